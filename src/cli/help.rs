//! Texts of the help and the manual that clap does not make of the arguments: descriptions, examples, exit codes. Pure.

use clap::Command;
use clap::builder::Styles;

use crate::exit::Exit;

/// Texts of one command.
pub(super) struct Page {
    /// Name of the command, or of the program itself.
    command: &'static str,
    /// Description in the manual, by paragraphs.
    pub(super) description: &'static [&'static str],
    /// Command lines, and what each does.
    pub(super) examples: &'static [(&'static str, &'static str)],
    pub(super) exit_codes: &'static [(Exit, &'static str)],
    /// Variables besides those of the flags.
    pub(super) environment: &'static [(&'static str, &'static str)],
    pub(super) files: &'static [(&'static str, &'static str)],
}

const SETTING_VARIABLES: (&str, &str) = (
    "RELOAD_GATE_*",
    "Each flag has a variable: `--some-thing` is RELOAD_GATE_SOME_THING. Several values are written one a line. A flag takes \
     precedence over the variable, the variable over the configuration file, the file over the preset.",
);
const LEGACY_VARIABLES: (&str, &str) = (
    "FILE, PROCESS, SIGNAL",
    "The variables of the well-known shell sidecar work as --watch, --process and --signal, unless there is a configuration file; so do \
     CONFIG_DIR, PROCESS_NAME and RELOAD_SIGNAL of config-reloader-sidecar.",
);
const COLOR_VARIABLES: (&str, &str) = (
    "NO_COLOR, FORCE_COLOR, CLICOLOR_FORCE",
    "The first turns colors off, the others turn them on where the output is no terminal.",
);
const CONFIG_FILE: (&str, &str) = (
    "gates.yaml",
    "The file of --config, under any name: a list `gates` of mappings with the flags as keys, for `check` a list `rules`, and for `admit` a list `admission`.",
);

const PAGES: [Page; 13] = [
    Page {
        command: "reload-gate",
        description: &[
            "reload-gate watches a configuration, validates each change, makes the application reload it, and waits for proof that \
             the reload took effect. A rejected change never reaches the application, and is reported once, with its place.",
        ],
        examples: &[
            ("reload-gate run --app nginx --watch /etc/nginx", "Guard the configuration of a running nginx"),
            ("helm template . | reload-gate check -", "Validate the configurations of a chart in CI"),
            ("reload-gate doctor --app nginx --watch /etc/nginx", "Try out whether such a gate will work here"),
        ],
        exit_codes: &[
            (Exit::Accepted, "accepted, or a clean stop"),
            (Exit::Rejected, "rejected"),
            (Exit::Usage, "wrong usage or configuration"),
            (Exit::Inconclusive, "inconclusive: the validation has no result"),
            (Exit::Nothing, "nothing to validate"),
            (Exit::Bug, "a bug in reload-gate"),
        ],
        environment: &[SETTING_VARIABLES, LEGACY_VARIABLES, COLOR_VARIABLES],
        files: &[CONFIG_FILE],
    },
    Page {
        command: "run",
        description: &[
            "Runs one or several gates until SIGTERM or SIGINT. A gate watches its configuration, validates each change, \
             reloads the application if the change is accepted, and verifies the reload. With --publish the application reads a \
             volume in which only accepted configurations appear.",
            "A preset (--app) knows the validator, the process, the reload method and the proof of a program. One gate is \
             described by flags or variables, several by a configuration file (--config).",
        ],
        examples: &[
            ("reload-gate run --app nginx --watch /etc/nginx", "Guard the configuration of a running nginx"),
            (
                "reload-gate run --app nginx --watch /config --publish /etc/nginx",
                "Let only accepted configurations appear in /etc/nginx",
            ),
            (
                "reload-gate run --watch /etc/app --validate 'app --check {config}' --process app --signal HUP",
                "Guard a program that has no preset",
            ),
            ("reload-gate run --once --app nginx --watch /etc/nginx", "Validate once, as in an init container"),
        ],
        exit_codes: &[
            (Exit::Accepted, "a clean stop; with --once, accepted"),
            (Exit::Rejected, "with --once, rejected; with --on-empty fail, the first configuration is rejected"),
            (Exit::Usage, "wrong usage or configuration"),
            (Exit::Inconclusive, "with --once, the validation has no result"),
            (Exit::Nothing, "with --once, there is nothing to validate"),
            (Exit::Bug, "a bug in reload-gate"),
        ],
        environment: &[SETTING_VARIABLES, LEGACY_VARIABLES],
        files: &[CONFIG_FILE],
    },
    Page {
        command: "rollout",
        description: &[
            "Shows or controls the roll-out of a group of pods, whose gates run with --rollout GROUP. The state is in the Lease of that \
             name; this command reads and writes it as the account of a kubeconfig, or in a pod as its service account.",
            "The state is what pods have asked for, or rejected: directly after a change of the object it is the state before, until the \
             first volume has the change.",
        ],
        examples: &[
            ("reload-gate rollout status web", "Print the state of the group web"),
            ("reload-gate rollout pause web", "Let no further pod reload"),
            ("reload-gate rollout retry web", "Let the pods try a refused revision again, one of them first"),
        ],
        exit_codes: &[
            (Exit::Accepted, "done; with `status`, the newest revision is proven, or there is none"),
            (Exit::Rejected, "with `status`, the newest revision is refused, or a gate rejects it"),
            (Exit::Usage, "wrong usage, or there is no such group"),
            (
                Exit::Inconclusive,
                "with `status`, the roll-out is under way or awaited; or the API server did not answer",
            ),
            (Exit::Bug, "a bug in reload-gate"),
        ],
        environment: &[("KUBECONFIG", "kubeconfig of the account, if --kubeconfig is not given")],
        files: &[],
    },
    Page {
        command: "reload",
        description: &[
            "Validates the configuration that is there, reloads the application, waits for the proof, prints the outcome in one line \
             and exits. It is for ExecReload= of systemd, handlers of Ansible, deploy hooks of certbot, and deployment scripts. An \
             application that runs the configuration already is reloaded too, since what it names may have changed: a certificate, a \
             program, a host name.",
            "It takes the flags, the variables and the configuration file of `run`; flags on which it does not depend are accepted and \
             not listed here. Standard output has the outcome, standard error the events of the level warning and above, or all events \
             if --log-format is given.",
        ],
        examples: &[
            ("reload-gate reload --app nginx", "Reload nginx with what is in /etc/nginx, if that is valid"),
            (
                "reload-gate reload --app haproxy --pid-file /run/haproxy.pid",
                "Reload the haproxy of this file, as in ExecReload=",
            ),
            ("kubectl exec deploy/web -c gate -- reload-gate reload", "Reload with the variables of the gate of a pod"),
        ],
        exit_codes: &[
            (Exit::Accepted, "reloaded and proven; with --verify none, reloaded"),
            (
                Exit::Rejected,
                "rejected, or the application did not take it; of several gates the worst, in the order 1, 3, 0",
            ),
            (Exit::Usage, "wrong usage or configuration"),
            (Exit::Inconclusive, "the validation has no result, or there is no proof"),
            (Exit::Bug, "a bug in reload-gate"),
        ],
        environment: &[SETTING_VARIABLES, LEGACY_VARIABLES],
        files: &[CONFIG_FILE],
    },
    Page {
        command: "check",
        description: &[
            "Validates configurations before they are deployed, as the sidecar would: files, directories, or Kubernetes \
             manifests with ConfigMaps and Secrets. The validator of a file follows from the flags, the settings of a \
             sidecar in the manifest, the rules of a configuration file, an annotation, or the name of the file.",
        ],
        examples: &[
            ("reload-gate check nginx.conf", "Validate a file by its name"),
            ("reload-gate check --app nginx site.conf", "Validate a file of any name as nginx configuration"),
            ("helm template . | reload-gate check -", "Validate the configurations of a chart"),
            ("reload-gate check --format sarif --output report.sarif deploy/", "Write a report for code scanning"),
        ],
        exit_codes: &[
            (Exit::Accepted, "accepted"),
            (Exit::Rejected, "rejected"),
            (Exit::Usage, "wrong usage or configuration"),
            (Exit::Inconclusive, "inconclusive: the validation of an input has no result"),
            (Exit::Nothing, "nothing to validate"),
            (Exit::Bug, "a bug in reload-gate; of several inputs the worst code, in the order 70, 2, 1, 3, 4, 0"),
        ],
        environment: &[("RELOAD_GATE_CONFIG", "The configuration file, as --config."), COLOR_VARIABLES],
        files: &[CONFIG_FILE],
    },
    Page {
        command: "admit",
        description: &[
            "Serves a validating admission webhook over HTTPS. A Kubernetes API server asks it about ConfigMaps and Secrets that carry \
             the label `reload-gate.dev/validate`, and does not store what is rejected. The bundled validators alone run: a request can \
             start no process and reach no file.",
            "The value of the label is a preset with a bundled validator, a bundled validator, or `auto` for the choice that `check` \
             makes. An object that has errors already can be changed, unless the change adds another one.",
            "The certificate comes from files (--tls-cert and --tls-key), or the webhook makes one and puts its authority into the webhook \
             configuration (--self-signed).",
        ],
        examples: &[
            (
                "reload-gate admit --tls-cert tls.crt --tls-key tls.key",
                "Serve the webhook on port 8443 with a certificate of cert-manager",
            ),
            (
                "reload-gate admit --tls-cert tls.crt --tls-key tls.key --deny never",
                "Answer with warnings, and deny nothing",
            ),
        ],
        exit_codes: &[
            (Exit::Accepted, "a clean stop"),
            (Exit::Usage, "wrong usage, configuration or certificate, or an address that is taken"),
            (Exit::Bug, "a bug in reload-gate"),
        ],
        environment: &[SETTING_VARIABLES, ("KUBECONFIG", "kubeconfig of the account, if --kubeconfig is not given")],
        files: &[CONFIG_FILE],
    },
    Page {
        command: "inject",
        description: &[
            "Adds the sidecar to each pod template that asks for it by the annotation reload-gate.dev/inject, whose value is the name of a \
             preset, and prints the manifest. All other lines stay as they are. A template that cannot get a gate, or has one, is left \
             alone. docs/injection.md describes the annotations and what is added.",
        ],
        examples: &[
            ("reload-gate inject deployment.yaml | kubectl apply -f -", "Deploy with the sidecar"),
            ("helm template . | reload-gate inject -", "Add the sidecar to the workloads of a chart"),
        ],
        exit_codes: &[
            (Exit::Accepted, "printed; every template that asks for a gate has one"),
            (Exit::Rejected, "printed; a template that asks for a gate is left without one"),
            (Exit::Usage, "wrong usage, or the manifest cannot be read"),
            (Exit::Nothing, "there is no manifest: the command in front of the pipe printed nothing"),
        ],
        environment: &[],
        files: &[],
    },
    Page {
        command: "doctor",
        description: &[
            "Tries out each step of a gate in this place: reading and watching the configuration, finding and signalling the \
             process, running the validators, verifying a reload, delivering alerts. It sends no signal, publishes nothing and \
             delivers no alert. Each failure names its remedy, such as the lines that the pod's specification lacks.",
            "It takes the flags, the variables and the configuration file of `run`. Flags of `run` on which its result does \
             not depend are accepted and not listed here.",
        ],
        examples: &[
            ("reload-gate doctor --app nginx --watch /etc/nginx", "Try out a gate before it is deployed"),
            (
                "kubectl exec deploy/web -c gate -- reload-gate doctor",
                "Try out the gate of a pod, with its own variables",
            ),
        ],
        exit_codes: &[
            (Exit::Accepted, "every configured step works"),
            (Exit::Rejected, "a configured step does not work"),
            (Exit::Usage, "wrong usage or configuration"),
            (Exit::Bug, "a bug in reload-gate"),
        ],
        environment: &[SETTING_VARIABLES, LEGACY_VARIABLES],
        files: &[CONFIG_FILE],
    },
    Page {
        command: "status",
        description: &[
            "Asks a running gate for its state and prints it. In the gate's own container or machine, and as its user or root, no flag \
             is needed: a running gate has a status socket. From elsewhere, the gate has to listen (--listen of `run`).",
            "Of several gates choose one by its name: --gate NAME.",
        ],
        examples: &[
            ("kubectl exec deploy/web -c gate -- reload-gate status", "Print the state of the gate of a pod"),
            ("reload-gate status --listen :9464", "Print the state of a gate that listens on this port"),
            ("reload-gate status --wait 60s", "Wait until the newest configuration is live, as in a deployment script"),
        ],
        exit_codes: &[
            (Exit::Accepted, "the newest configuration is live in every gate; with --ready, any accepted one is"),
            (Exit::Rejected, "the newest configuration of a gate is rejected"),
            (Exit::Usage, "wrong usage or configuration; or several gates answer, and --gate does not choose one"),
            (Exit::Inconclusive, "the newest configuration is not live for another reason, or there is no answer"),
        ],
        environment: &[(
            "RELOAD_GATE_LISTEN",
            "The address of the gate, as --listen, for example in the container of the gate.",
        )],
        files: &[],
    },
    Page {
        command: "validators",
        description: &[
            "Lists the presets (--app) and the built-in validators (--builtin), or prints one in full.",
            "`validators test FILE` tries a preset of one's own (--preset): it must accept the configurations in `good` beside the file, and \
             reject those in `bad`, each with a line.",
        ],
        examples: &[
            ("reload-gate validators test app.yaml", "Try the preset of a program of one's own"),
            ("reload-gate validators", "List all"),
            ("reload-gate validators nginx", "Print the preset and the built-in validator of nginx"),
        ],
        exit_codes: &[
            (Exit::Accepted, "printed; test: every verdict is as expected"),
            (Exit::Rejected, "test: a verdict is another one, or has no line"),
            (Exit::Usage, "no preset or validator has the name; test: the preset is wrong"),
        ],
        environment: &[],
        files: &[],
    },
    Page {
        command: "install",
        description: &[
            "Copies the running binary into a directory, as an init container does for a volume that the container of the \
             gate mounts. The gate then runs in the application's own image, in which the checker is installed.",
        ],
        examples: &[("reload-gate install /gate", "Create or replace /gate/reload-gate")],
        exit_codes: &[(Exit::Accepted, "installed, or installed already"), (Exit::Usage, "not installed")],
        environment: &[],
        files: &[],
    },
    Page {
        command: "completions",
        description: &["Prints a script that makes a shell complete the commands and flags of reload-gate."],
        examples: &[
            ("source <(reload-gate completions bash)", "Complete in this bash"),
            ("reload-gate completions zsh > \"${fpath[1]}/_reload-gate\"", "Complete in every new zsh"),
        ],
        exit_codes: &[],
        environment: &[],
        files: &[],
    },
    Page {
        command: "man",
        description: &["Prints the manual page of reload-gate or of one of its commands, in the format of man(7)."],
        examples: &[("reload-gate man run | man -l -", "Read the manual of `run`")],
        exit_codes: &[(Exit::Accepted, "printed"), (Exit::Usage, "there is no such command")],
        environment: &[],
        files: &[],
    },
];

/// Returns the texts of a command.
pub(super) fn page(command: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.command == command)
}

/// Adds examples, exit codes and variables behind the arguments of a command.
pub(super) fn with_texts(command: Command, styles: &Styles) -> Command {
    let Some(page) = page(command.get_name()) else { return command };
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let section = |heading: &str, lines: Vec<String>| {
        let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
        if lines.is_empty() { None } else { Some(format!("{header}{heading}:{header:#}\n{lines}")) }
    };
    let below = |(name, meaning): &(&str, &str)| format!("{literal}{name}{literal:#}\n      {meaning}");
    let code = |(code, meaning): &(Exit, &str)| format!("{literal}{:>2}{literal:#}  {meaning}", *code as u8);
    let sections = [
        section("Examples", page.examples.iter().map(below).collect()),
        section("Exit codes", page.exit_codes.iter().map(code).collect()),
        section("Environment", page.environment.iter().map(below).collect()),
    ];
    let text: Vec<String> = sections.into_iter().flatten().collect();
    command.after_help(text.join("\n").trim_end().to_owned())
}
