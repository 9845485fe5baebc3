//! The product from outside: the real binary, real programs, volumes changed as a kubelet changes them.
//!
//! A table of contents. `support` has what tests need; a test whose program is not installed reports that it is skipped, and fails
//! where `CI=true`.

#![expect(clippy::print_stderr, reason = "tests say aloud what they skip and what the gate said")]

mod support;

/// The admission webhook: reviews over TLS, hostile clients, and a real API server.
mod admission;
/// What is shipped for operations: alert rules, their pages, a dashboard.
mod alerting;
/// Alerts: their delivery, and sinks that fail.
mod alerts;
/// The walls between the modules, as data.
mod architecture;
/// Several pods of one application.
mod between_pods;
/// The other bundled validators: which files they judge, and what comes of it.
mod builtins;
/// The bundled nginx checker at the gate of a real nginx.
mod bundled;
/// The Helm charts.
mod chart;
/// The same judgement in CI.
mod check;
mod check_baseline;
/// The choice of validators in CI.
mod check_choice;
/// `check` on inputs as they are in the field.
mod check_field;
mod check_fix;
mod check_inputs;
/// Secrets in the reports of `check`.
mod check_secrets;
/// `check` and the version, product and machine of the program that checks.
mod check_versions;
/// Arguments, exit codes and every error message.
mod cli;
/// The image, in real containers.
mod containers;
/// What is shown of contents, and what never is.
mod contents;
/// Credentials and TLS of the reload and verify URLs, on a real server.
mod credentials;
/// Programs of the presets as they run.
mod daemons;
/// The manifests in `deploy/`.
mod deploy;
/// What the doctor finds, on real processes of several users.
mod doctor;
/// The pages agree with the program.
mod documents;
/// The command lines and variables of other reloaders.
mod drop_in;
/// A thousand changes, and none.
mod endurance;
/// Processes, memory, descriptors and disks that others use up.
mod exhaustion;
/// File systems that do not answer, and inputs that take long.
mod freezing;
/// A bad configuration never reaches gunicorn.
mod gunicorn;
/// A bad configuration never reaches HAProxy.
mod haproxy;
/// A hostile pull request or process: what it names is not executed, or reaches nothing.
mod hostile;
/// The sidecar that `inject` adds.
mod injection;
/// Validators that hang, fork, fail or are not there.
mod judging;
/// Kubernetes Events.
mod kubernetes;
/// Trees as packages and deployment tools lay them out.
mod layouts;
/// Rotated logs of an application.
mod log_rotation;
/// A reader of the log that stalls; spans and decisions on request.
mod logging;
mod manifest_cases;
/// The listener: metrics, health and status, and hostile clients.
mod monitoring;
/// Programs that write where the gate watches.
mod moving;
/// The flow on a real nginx.
mod nginx;
/// One reload on request: systemd, certbot, Ansible, deployments.
mod on_request;
/// Reload and proof by other means than signals.
mod other_means;
/// Presets from files of the user, and their test kit.
mod own_presets;
/// The demo, the pre-commit hook and the action, as their users start them.
mod packaging;
/// The page, as a browser shows it.
mod page;
/// The presets, each with its real program.
mod presets;
/// The privileges of a sidecar, by user and capabilities: a table that is tried and documented.
mod privilege_matrix;
/// What the gate says when it may not, and what its checkers may.
mod privileges;
/// The metrics as Prometheus reads them.
mod prometheus;
/// The application only ever meets what was accepted, also when it restarts.
mod publishing;
/// Verdicts count only for what the running application reads.
mod reading;
/// Limits of a configuration that is executed by its validation.
mod sandbox;
/// The bundled schemas of programs.
mod schemas;
/// Of a Secret nothing is shown.
mod secrets;
/// Under a service manager: its protocol, and the unit.
mod service;
/// What takes the binary to where it runs; completions and manual pages.
mod shipping;
/// Snippets, builds and further modules of nginx.
mod snippets;
/// System calls between a change and its signal.
mod system_calls;
/// A real systemd: `systemctl reload`, and the gate as a service.
mod systemd;
/// Targets that take no signal at the moment, and dead ones.
mod target_states;
/// The right process, or none.
mod targets;
/// Programs that validate a configuration of a hostile pull request: what lies over the machine, and what they read.
mod untrusted;
/// A checker that is shown a configuration at its own paths.
mod view;
/// Sources that come, go and are replaced; and what happens without inotify.
mod watching;
