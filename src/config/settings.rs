//! Every setting: its type, parser, flag, heading and help. Pure.
//!
//! Adding a setting is one line in the table below, and one `layers.get(NAME)` where it is used. A constant that nothing reads is
//! dead code, which the compiler reports: the table of the flags does not refer to the constants.

use core::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use regex::Regex;
use reload_gate_nginx::{Build, Context, Version};
use tracing_subscriber::filter::EnvFilter;

use super::parse::{self, Invalid, Parse};
use crate::cluster::ObjectName;
use crate::cluster::rollout::Parallel;
use crate::flow::process::Signal;
use crate::flow::snapshot::{FilePattern, LinkPolicy};
use crate::flow::validate::{Builtin, RootChoice};
use crate::flow::verify::ExpectedMetric;
use crate::gate::Budget;
use crate::redact::RedactionScope;
use crate::report::log;

/// Number of values that a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// None: it is on or off.
    Switch,
    /// One value, and its name in the help.
    One(&'static str),
    /// Any number of values, and the name of one in the help.
    Many(&'static str),
}

/// Description of a setting: all of it but its type. The flag, the variable and the key of the file derive from the name.
#[derive(Clone, Copy, Debug)]
pub struct SettingSpec {
    /// Name in kebab-case.
    pub name: &'static str,
    /// Number of values.
    pub takes: Takes,
    /// Heading in the help.
    pub heading: &'static str,
    /// Meaning in one line.
    pub help: &'static str,
    /// Default, as it would be written.
    pub default: Option<&'static str>,
    /// Explanation of a default that depends on other settings.
    pub depends: Option<&'static str>,
    /// True for a setting of one gate, false for one of the whole process.
    pub of_gate: bool,
    /// True if `check` takes it as well.
    pub in_check: bool,
    /// True if the result of `doctor` depends on it.
    pub in_doctor: bool,
    /// True if `status` takes it as well.
    pub in_status: bool,
    /// True for a file that commands of validators must not read.
    pub private: bool,
    /// Second variable of the setting.
    pub second_variable: Option<&'static str>,
}

impl SettingSpec {
    const fn new(name: &'static str, takes: Takes, heading: &'static str, help: &'static str) -> Self {
        let (default, depends) = (None, None);
        Self {
            name,
            takes,
            heading,
            help,
            default,
            depends,
            of_gate: true,
            in_check: false,
            in_doctor: true,
            in_status: false,
            private: false,
            second_variable: None,
        }
    }

    const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    const fn or_depends(self, explanation: &'static str) -> Self {
        Self { depends: Some(explanation), ..self }
    }

    const fn of_process(self) -> Self {
        Self { of_gate: false, ..self }
    }

    const fn in_check(self) -> Self {
        Self { in_check: true, ..self }
    }

    const fn not_in_doctor(self) -> Self {
        Self { in_doctor: false, ..self }
    }

    const fn in_status(self) -> Self {
        Self { in_status: true, ..self }
    }

    const fn also_variable(self, name: &'static str) -> Self {
        Self { second_variable: Some(name), ..self }
    }

    const fn private(self) -> Self {
        Self { private: true, ..self }
    }

    /// The default in words.
    #[must_use]
    pub const fn shown_default(&self) -> Option<&'static str> {
        match self.depends {
            Some(explanation) => Some(explanation),
            None => self.default,
        }
    }

    /// The variable of the setting.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }

    /// Returns true if the variable of that name is one of the setting.
    #[must_use]
    pub fn has_variable(&self, name: &str) -> bool {
        self.second_variable == Some(name) || self.variable() == name
    }
}

/// Common beginning of the variables of this program.
pub(super) const PREFIX: &str = "RELOAD_GATE_";

/// Makes a typed setting, which can be copied whatever its type is.
macro_rules! kind {
    ($(#[$doc:meta])* $kind:ident) => {
        $(#[$doc])*
        pub(super) struct $kind<T: 'static> {
            pub(super) spec: &'static SettingSpec,
            pub(super) parse: Parse<T>,
        }

        impl<T> Clone for $kind<T> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<T> Copy for $kind<T> {}
    };
}

kind! {
    /// Setting with a default.
    Setting
}
kind! {
    /// Setting that may be absent.
    Optional
}
kind! {
    /// Setting with any number of values.
    List
}

const fn switch(name: &'static str, heading: &'static str, help: &'static str) -> SettingSpec {
    SettingSpec::new(name, Takes::Switch, heading, help)
}

const fn one(name: &'static str, value: &'static str, heading: &'static str, help: &'static str) -> SettingSpec {
    SettingSpec::new(name, Takes::One(value), heading, help)
}

const fn many(name: &'static str, value: &'static str, heading: &'static str, help: &'static str) -> SettingSpec {
    SettingSpec::new(name, Takes::Many(value), heading, help)
}

/// Makes a typed constant of each line, and the table of all descriptions, which does not refer to the constants.
macro_rules! settings {
    ($($name:ident: $kind:ident<$type:ty> = $parse:expr, $spec:expr;)+) => {
        $(pub(super) const $name: $kind<$type> = $kind { spec: &$spec, parse: $parse };)+

        /// Every setting, in the order of the help.
        pub const SETTINGS: &[SettingSpec] = &[$($spec),+];
    };
}

const CONFIGURATION: &str = "Configuration";
const PUBLISHING: &str = "Publishing";
const VALIDATION: &str = "Validation";
const TARGET: &str = "Target process";
const RELOAD: &str = "Reload";
const VERIFICATION: &str = "Verification";
pub(super) const ALERTS: &str = "Alerts";
const EVENTS: &str = "Kubernetes Events";
pub(super) const BETWEEN_PODS: &str = "Between pods";
const REPORTING: &str = "Reporting";
const OPERATION: &str = "Operation";

settings! {
    APP: Optional<String> = parse::text,
        one("app", "NAME", CONFIGURATION, "Use a preset's settings as defaults (`none`: use no preset)")
            .in_check();
    PRESET: Optional<PathBuf> = parse::relative,
        one("preset", "FILE", CONFIGURATION, "Use a preset of your own, in the format of the bundled ones, instead of `--app`")
            .in_check();
    WATCH: List<PathBuf> = parse::path,
        many("watch", "PATH", CONFIGURATION, "Directory or file that holds the configuration");
    MAIN: Optional<PathBuf> = parse::relative,
        one("main", "FILE", CONFIGURATION, "Main file of a directory: validation begins with it")
            .or_depends("the preset's").in_check();
    MOUNT: List<PathBuf> = parse::path,
        many("mount", "PATH", CONFIGURATION, "Path of each watched (or published) path in the application's container")
            .or_depends("the same path");
    NAME: Optional<String> = parse::text,
        one("name", "NAME", CONFIGURATION, "Name of the gate in events and metrics")
            .or_depends("the preset's or the process's name").not_in_doctor();
    INCLUDE: List<FilePattern> = parse::file_pattern,
        many("include", "GLOB", CONFIGURATION,
            "Read only files that match, even if they are named like a backup; a pattern without `/` matches at any depth");
    EXCLUDE: List<FilePattern> = parse::file_pattern,
        many("exclude", "GLOB", CONFIGURATION,
            "Leave out files and directories that match; a pattern without `/` matches at any depth");
    LINKS: Setting<LinkPolicy> = links,
        one("links", "POLICY", CONFIGURATION,
            "Links that lead out of the watched paths: follow (read the file, or what the configuration includes from the directory) or refuse")
            .or("follow");
    MAX_BYTES: Setting<u64> = parse::size,
        one("max-bytes", "SIZE", CONFIGURATION,
            "Refuse a larger configuration; `k`, `M` and `G` are powers of 1024")
            .or("16M");
    MAX_FILES: Setting<usize> = parse::positive_number,
        one("max-files", "NUMBER", CONFIGURATION, "Refuse a configuration of more files")
            .or("10000");

    PUBLISH: List<PathBuf> = parse::path,
        many("publish", "DIR", PUBLISHING,
            "Volume that the application mounts: only accepted configurations appear in it");
    STAGE: List<PathBuf> = parse::path,
        many("stage", "DIR", PUBLISHING,
            "Volume of the gate for candidates during validation, mounted at the path that the configuration refers to");
    EXPAND: Setting<bool> = parse::switch,
        switch("expand", PUBLISHING,
            "Unpack gzip, and replace `$(NAME)` by the gate's variables, in the published files");
    PUBLISH_AS: Optional<PathBuf> = parse::relative,
        one("publish-as", "FILE", PUBLISHING, "Name of the published file, if one file is watched");
    FAIL_ON_EMPTY: Setting<bool> = |text, _| parse::choice(text, &[("fail", true), ("wait", false)]),
        one("on-empty", "ACTION", PUBLISHING,
            "Action if the first configuration is rejected and nothing is published yet: fail or wait")
            .or("wait").not_in_doctor();

    REQUIRE: List<PathBuf> = parse::relative,
        many("require", "FILE", VALIDATION, "Reject a configuration without this file")
            .in_check();
    MAX_SHRINK: Setting<u8> = parse::percent,
        one("max-shrink", "PERCENT", VALIDATION, "Reject a configuration that lost a larger share of its files")
            .or("100").not_in_doctor();
    VALIDATE: List<Vec<String>> = parse::command_line,
        many("validate", "CMD", VALIDATION,
            "Validate with this command, run without a shell; `{config}` and `{dir}` are replaced")
            .in_check();
    BUILTIN: List<&'static str> = builtin,
        many("builtin", "NAME", VALIDATION,
            "Validate with a built-in validator: nginx, json, yaml, toml, ini, xml, by-name, json-schema or tls")
            .in_check();
    NGINX_VERSION: Optional<Version> = parse::nginx_version,
        one("nginx-version", "VERSION", VALIDATION, "Version of nginx whose rules the built-in nginx validator applies")
            .or_depends("the running one's, or the newest stable").in_check();
    NGINX_BUILD: Optional<Build> = parse::nginx_build,
        one("nginx-build", "BUILD", VALIDATION,
            "Build of nginx, which has its own modules: nginx.org, debian, openresty or plus (built-in validator nginx)")
            .or_depends("the running one's, or nginx.org").in_check();
    NGINX_ALLOW: List<String> = parse::nginx_directive,
        many("nginx-allow", "NAME", VALIDATION,
            "Accept this directive, which a module of your own has, with any arguments (built-in validator nginx)")
            .in_check();
    NGINX_HYGIENE: Optional<bool> = |text, _| parse::choice(text, &[("on", true), ("off", false)]),
        one("nginx-hygiene", "on|off", VALIDATION,
            "Warn of insecure or fragile nginx configuration, and of known vulnerabilities (built-in validator nginx)")
            .or_depends("on in `check`, off in `run`").in_check();
    CONTEXT: Optional<Context> = parse::nginx_context,
        one("context", "BLOCKS", VALIDATION,
            "Validate each file as an nginx snippet within these blocks, as `http,server,location` (built-in validator nginx)")
            .in_check();
    SCHEMA: Optional<String> = parse::text,
        one("schema", "FILE", VALIDATION, "JSON Schema of the files (built-in validator json-schema)")
            .in_check();
    TLS_NAME: List<String> = parse::host_name,
        many("tls-name", "NAME", VALIDATION,
            "Host name or address for which a certificate must be valid (built-in validator tls)")
            .in_check();
    TLS_WARN: Setting<Duration> = parse::duration,
        one("tls-warn", "DURATION", VALIDATION,
            "Warn of a certificate this long before it expires (built-in validator tls)")
            .or("14d").in_check();
    ROOT: Setting<RootChoice> = root,
        one("root", "ROOT", VALIDATION,
            "Root file system in which commands run: auto, local or target; auto falls back to the built-in validator of nginx")
            .or("auto").in_check();
    SANDBOX: Setting<Sandbox> = sandbox,
        one("sandbox", "MODE", VALIDATION,
            "Deny commands that run here access to the gate's files and secrets: auto, strict or off")
            .or("auto").in_check();
    PASS_ENV: List<String> = parse::variable_name,
        many("pass-env", "NAME", VALIDATION,
            "Pass this variable of the gate's own environment to commands that run here; `PREFIX_*` names all with that beginning")
            .in_check();
    TIMEOUT: Setting<Duration> = parse::positive_duration,
        one("timeout", "DURATION", VALIDATION, "Time limit of each validator, and of a reload command or request")
            .or("30s").in_check();

    PROCESS: Optional<String> = parse::text,
        one("process", "NAME", TARGET, "Command name of the process; a preset's implies the preset");
    CMDLINE: Optional<Regex> = parse::pattern,
        one("cmdline", "REGEX", TARGET, "Regular expression that matches in the command line of the process");
    EXE: Optional<PathBuf> = parse::path,
        one("exe", "PATH", TARGET, "Executable file of the process");
    PID_FILE: Optional<PathBuf> = parse::path,
        one("pid-file", "PATH", TARGET, "File that holds the id of the process");

    SIGNAL: Optional<Option<Signal>> = parse::signal,
        one("signal", "SIG", RELOAD, "Signal to send, as `HUP`, `SIGHUP` or a number (`none`: send no signal)");
    ALLOW_UNCAUGHT: Setting<bool> = parse::switch,
        switch("allow-uncaught", RELOAD, "Send the signal even to a process without a handler, which may kill it");
    RELOAD_URL: Optional<String> = parse::url,
        one("reload-url", "URL", RELOAD, "POST to this URL instead of sending a signal");
    RELOAD_COMMAND: Optional<Vec<String>> = parse::command_line,
        one("reload-command", "CMD", RELOAD, "Run this command without a shell instead of sending a signal; `{config}` and `{dir}` are replaced");

    RELOAD_BEARER_FILE: Optional<PathBuf> = parse::path,
        one("reload-bearer-file", "FILE", RELOAD, "File that holds the bearer token for `--reload-url` and `--verify-url`")
            .private();
    RELOAD_BASIC_FILE: Optional<PathBuf> = parse::path,
        one("reload-basic-file", "FILE", RELOAD, "File that holds the `USER:PASSWORD` for `--reload-url` and `--verify-url`")
            .private();
    RELOAD_HEADER: List<(String, String)> = parse::header,
        many("reload-header", "HEADER", RELOAD, "Header of these requests, as `X-Scope-OrgID: web`");
    RELOAD_CA_FILE: Optional<PathBuf> = parse::path,
        one("reload-ca-file", "FILE", RELOAD, "Certificate authorities (PEM) of these servers, instead of the usual ones")
            .private();
    RELOAD_CERT_FILE: Optional<PathBuf> = parse::path,
        one("reload-cert-file", "FILE", RELOAD, "Client certificate (PEM) for these servers, with its chain")
            .private();
    RELOAD_KEY_FILE: Optional<PathBuf> = parse::path,
        one("reload-key-file", "FILE", RELOAD, "Private key (PEM) of the client certificate")
            .or_depends("the file of the certificate").private();
    RELOAD_SERVER_NAME: Optional<String> = parse::host_name,
        one("reload-server-name", "NAME", RELOAD, "Name in the certificate of these servers")
            .or_depends("the host of the URL");

    MIN_INTERVAL: Setting<Duration> = parse::duration,
        one("min-interval", "DURATION", RELOAD, "Shortest time between two reloads; the newest configuration waits for its end")
            .or("0s").not_in_doctor();
    RELOAD_BUDGET: Setting<Option<Budget>> = parse::budget,
        one("reload-budget", "NUMBER/DURATION", RELOAD, "Largest number of reloads in a time, as `20/10m` (`none`: no limit)")
            .or("1000/10m").not_in_doctor();
    MAX_LINGERING: Setting<Option<usize>> = parse::limit,
        one("max-lingering", "NUMBER", RELOAD,
            "Defer a reload while so many workers of earlier ones still serve connections (`none`: no limit)")
            .or("32").not_in_doctor();

    VERIFY_WORKERS: Optional<bool> = |text, _| parse::choice(text, &[("workers", true), ("none", false)]),
        one("verify", "METHOD", VERIFICATION, "Proof that a reload took effect: workers (new worker processes) or none");
    VERIFY_URL: Optional<String> = parse::url,
        one("verify-url", "URL", VERIFICATION, "Proof: a GET of this URL gets a status of 200 to 299");
    VERIFY_METRIC: List<ExpectedMetric> = parse::metric,
        many("verify-metric", "NAME=VALUE", VERIFICATION,
            "Proof: a metric of the application has this value, or is `increased`, as `prometheus_config_last_reload_successful=1`");
    VERIFY_METRIC_URL: Optional<String> = parse::url,
        one("verify-metric-url", "URL", VERIFICATION,
            "Where the application shows its metrics: text of Prometheus or a JSON object (default: `--verify-url`)");
    VERIFY_COMMAND: Optional<Vec<String>> = parse::command_line,
        one("verify-command", "CMD", VERIFICATION, "Proof: this command, run without a shell, succeeds; `{config}` and `{dir}` are replaced");
    VERIFY_TIMEOUT: Setting<Duration> = parse::positive_duration,
        // nginx starts workers in milliseconds, gunicorn imports an application, php-fpm waits for its requests.
        one("verify-timeout", "DURATION", VERIFICATION, "Time limit of the proof; longer while the target works on the reload")
            .or("30s");

    ALERT_WEBHOOK: List<String> = parse::url,
        many("alert-webhook", "URL", ALERTS, "POST alerts as the documented JSON to this URL")
            .of_process();
    ALERT_WEBHOOK_HEADER: List<(String, String)> = parse::header,
        many("alert-webhook-header", "HEADER", ALERTS, "Header of the webhook's requests, as `X-Scope-OrgID: web`")
            .of_process();
    ALERT_WEBHOOK_BEARER_FILE: Optional<PathBuf> = parse::path,
        one("alert-webhook-bearer-file", "FILE", ALERTS, "File that holds the bearer token of the webhook")
            .of_process().private();
    ALERT_WEBHOOK_BASIC_FILE: Optional<PathBuf> = parse::path,
        one("alert-webhook-basic-file", "FILE", ALERTS, "File that holds the `USER:PASSWORD` of the webhook")
            .of_process().private();
    ALERT_SLACK_FILE: List<PathBuf> = parse::secret_file,
        many("alert-slack-file", "FILE", ALERTS,
            "Alert a chat: file that holds the URL of an incoming webhook (Slack, Mattermost, Rocket.Chat)")
            .of_process().private();
    ALERT_TEAMS_FILE: List<PathBuf> = parse::secret_file,
        many("alert-teams-file", "FILE", ALERTS, "Alert Microsoft Teams: file that holds the URL of a workflow for webhook requests")
            .of_process().private();
    ALERT_ALERTMANAGER: List<String> = parse::url,
        many("alert-alertmanager", "URL", ALERTS, "Send alerts to this Alertmanager, as `http://alertmanager:9093`")
            .of_process();
    ALERT_ALERTMANAGER_BEARER_FILE: Optional<PathBuf> = parse::path,
        one("alert-alertmanager-bearer-file", "FILE", ALERTS, "File that holds the bearer token of Alertmanager")
            .of_process().private();
    ALERT_ALERTMANAGER_BASIC_FILE: Optional<PathBuf> = parse::path,
        one("alert-alertmanager-basic-file", "FILE", ALERTS, "File that holds the `USER:PASSWORD` of Alertmanager")
            .of_process().private();
    ALERT_COMMAND: List<Vec<String>> = parse::command_line,
        many("alert-command", "CMD", ALERTS,
            "Run this command without a shell, with the documented JSON on its standard input")
            .of_process();
    ALERT_CA_FILE: Optional<PathBuf> = parse::path,
        one("alert-ca-file", "FILE", ALERTS, "Certificate authorities (PEM) of the servers above, instead of the usual ones")
            .of_process().private();
    ALERT_AFTER: Setting<Duration> = parse::duration,
        one("alert-after", "DURATION", ALERTS, "Delay of alerts about incidents that may resolve by themselves")
            .or("1m").of_process().not_in_doctor();
    // As often as Prometheus repeats its alerts.
    ALERT_REPEAT: Setting<Duration> = parse::positive_duration,
        one("alert-repeat", "DURATION", ALERTS, "Interval at which active alerts are repeated to Alertmanager")
            .or("1m").of_process().not_in_doctor();
    ALERT_LABEL: List<(String, String)> = parse::label,
        many("alert-label", "NAME=VALUE", ALERTS, "Label of every alert")
            .of_process().not_in_doctor();

    KUBERNETES_EVENTS: Setting<bool> = parse::switch,
        switch("kubernetes-events", EVENTS, "Create Events of the pod, as its service account")
            .of_process();
    KUBERNETES_CONFIGMAP: Optional<String> = parse::text,
        one("kubernetes-configmap", "NAME", EVENTS, "Create Events of this ConfigMap as well")
            .of_process();
    // <https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/>
    KUBERNETES_SERVICE_ACCOUNT: Setting<PathBuf> = parse::path,
        one("kubernetes-service-account", "DIR", EVENTS, "Directory of `token`, `ca.crt` and `namespace`")
            .or("/var/run/secrets/kubernetes.io/serviceaccount").of_process().private();

    CLUSTER_SOURCE: Optional<ObjectName> = parse::object_name,
        one("cluster-source", "KIND/NAME", BETWEEN_PODS,
            "Object that the watched volume shows, as `configmap/web` or `secret/web`");
    NUDGE: Setting<bool> = parse::switch,
        switch("nudge", BETWEEN_PODS,
            "Let the kubelet update the volume at once when the object changes, by an annotation of the own pod");
    ROLLOUT: Optional<String> = parse::lease_name,
        one("rollout", "GROUP", BETWEEN_PODS,
            "Reload one pod of this group first, and the others when it has stayed healthy; the Lease of that name holds the state");
    ROLLOUT_SOAK: Setting<Duration> = parse::duration,
        one("rollout-soak", "DURATION", BETWEEN_PODS, "Time for which the first pod has to stay healthy")
            .or("30s").not_in_doctor();
    ROLLOUT_PARALLEL: Setting<Parallel> = parse::parallel,
        one("rollout-parallel", "NUMBER|PERCENT", BETWEEN_PODS,
            "Largest number of pods with an unproven reload, as `3` or `25%`")
            .or("25%").not_in_doctor();
    ON_API_LOSS: Setting<bool> = |text, _| parse::choice(text, &[("wait", false), ("proceed", true)]),
        one("on-api-loss", "ACTION", BETWEEN_PODS,
            "Action of a roll-out while the API server cannot be reached: wait or proceed")
            .or("wait").not_in_doctor();
    KNOWN_GOOD: Optional<ObjectName> = parse::object_name,
        one("known-good", "KIND/NAME", BETWEEN_PODS,
            "Keep the last verified revision in this object, and publish it in a new pod while the newest is rejected");

    REDACT: Setting<RedactionScope> = redact,
        one("redact", "WHEN", REPORTING, "Hide the contents of files in every message: auto (of Secrets), always or never")
            .or("auto").not_in_doctor();
    DIFF: Setting<bool> = parse::switch,
        switch("diff", REPORTING,
            "Show the differences between a rejected configuration and the running one, except what `--redact` hides")
            .not_in_doctor();
    LISTEN: Optional<SocketAddr> = parse::address,
        one("listen", "ADDR", REPORTING,
            "Serve /metrics, /livez, /readyz and /status by HTTP on this address, as `127.0.0.1:9464`, or `:9464` for all addresses")
            .of_process().in_status();
    LOG_FORMAT: Optional<log::LogFormat> = log_format,
        one("log-format", "FORMAT", REPORTING, "Format of events: text or json")
            .or_depends("text on a terminal, else json").of_process().not_in_doctor();
    LOG_LEVEL: Setting<EnvFilter> = log_filter,
        one("log-level", "FILTER", REPORTING,
            "Log spans and decisions: a level, as `debug`, or a filter as in RUST_LOG; events do not depend on it")
            .or("off").of_process().not_in_doctor().also_variable("RELOAD_GATE_LOG");

    OBSERVE: Setting<bool> = parse::switch,
        switch("observe", OPERATION, "Validate and report; neither publish nor reload");
    SETTLE: Setting<Duration> = parse::duration,
        one("settle", "DURATION", OPERATION, "Quiet period after a change in a plain directory")
            .or("100ms").not_in_doctor();
    POLL: Setting<Duration> = parse::positive_duration,
        one("poll", "DURATION", OPERATION, "Interval of scans without an event of the file system")
            .or("30s").not_in_doctor();
    GRACE: Setting<Duration> = parse::duration,
        one("grace", "DURATION", OPERATION, "Time limit of unfinished work after SIGTERM")
            .or("5s").not_in_doctor();
    ONCE: Setting<bool> = parse::switch,
        switch("once", OPERATION, "Validate once, report, and exit with the code of the verdict")
            .of_process().not_in_doctor();
    CONFIG: Optional<PathBuf> = parse::relative,
        one("config", "FILE", OPERATION, "Configuration file of one or several gates")
            .of_process().in_check();
}

/// Isolation of commands that run as the gate itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sandbox {
    Auto,
    Strict,
    Off,
}

fn sandbox(text: &str, _: &Path) -> Result<Sandbox, Invalid> {
    parse::choice(text, &[("auto", Sandbox::Auto), ("strict", Sandbox::Strict), ("off", Sandbox::Off)])
}

fn root(text: &str, _: &Path) -> Result<RootChoice, Invalid> {
    let known = [("auto", RootChoice::Auto), ("local", RootChoice::Local), ("target", RootChoice::Target)];
    parse::choice(text, &known)
}

fn links(text: &str, _: &Path) -> Result<LinkPolicy, Invalid> {
    parse::choice(text, &[("follow", LinkPolicy::Follow), ("refuse", LinkPolicy::Refuse)])
}

fn redact(text: &str, _: &Path) -> Result<RedactionScope, Invalid> {
    parse::choice(
        text,
        &[("auto", RedactionScope::Secrets), ("always", RedactionScope::All), ("never", RedactionScope::Nothing)],
    )
}

fn log_filter(text: &str, _: &Path) -> Result<EnvFilter, Invalid> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    // The filter would take a misspelt level for the name of a module.
    let is_word = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphabetic());
    for word in text.split(',').map(str::trim).filter(is_word) {
        parse::choice(&word.to_ascii_lowercase(), &LEVELS.map(|level| (level, ())))?;
    }
    log::filter(text).map_err(|error| {
        Invalid::new(format!("`{text}` is no filter of log lines: {error}"))
            .help("write a level, as `debug`, or levels of modules, as `info,reload_gate::gate=debug`")
    })
}

fn log_format(text: &str, _: &Path) -> Result<log::LogFormat, Invalid> {
    parse::choice(text, &[("text", log::LogFormat::Text), ("json", log::LogFormat::Json)])
}

pub(super) fn builtin(text: &str, _: &Path) -> Result<&'static str, Invalid> {
    parse::choice(text, &Builtin::NAMES.map(|name| (name, name)))
}

/// Returns the setting of that name.
pub(super) fn find(name: &str) -> Option<&'static SettingSpec> {
    SETTINGS.iter().find(|setting| setting.name == name)
}
