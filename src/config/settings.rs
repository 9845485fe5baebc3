//! The vocabulary: every setting there is. Pure.

/// What a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing: it is said or not.
    Switch,
    /// One value.
    One(&'static str),
    /// Any number of values.
    Many(&'static str),
}

/// One setting: the flag, the variable and the key of the configuration file by which it is said.
#[derive(Debug)]
pub struct Setting {
    /// The name, in kebab-case.
    pub name: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// Under which heading it stands.
    pub heading: &'static str,
    /// What it means, in one line.
    pub help: &'static str,
    /// Whether it is said of one gate; if not, of the whole process.
    pub of_gate: bool,
}

const fn setting(name: &'static str, takes: Takes, heading: &'static str, help: &'static str) -> Setting {
    Setting { name, takes, heading, help, of_gate: true }
}

const fn global(name: &'static str, takes: Takes, heading: &'static str, help: &'static str) -> Setting {
    Setting { name, takes, heading, help, of_gate: false }
}

use Takes::{Many, One, Switch};

const WHAT: &str = "What is gated";
const PUBLISH: &str = "Where it is published";
const JUDGE: &str = "Who judges it";
const TARGET: &str = "Who reads it";
const RELOAD: &str = "How that one is told";
const VERIFY: &str = "What proves it";
const ALERT: &str = "Who is alerted (no keys of the file)";
const HOW: &str = "How the gate works";

/// Every setting, in the order in which the help shows them.
pub const SETTINGS: &[Setting] = &[
    setting("app", One("NAME"), WHAT, "Take a preset for all that is not said (`none`: take none)"),
    setting("watch", Many("PATH"), WHAT, "A directory or file that holds configuration"),
    setting("main", One("FILE"), WHAT, "In a directory: the file to begin with [default: the preset's]"),
    setting(
        "mount",
        Many("PATH"),
        WHAT,
        "Where the application sees each watched (or published) path [default: the same path]",
    ),
    setting("name", One("NAME"), WHAT, "What to call the gate in events [default: the preset's or the process's name]"),
    setting(
        "max-bytes",
        One("SIZE"),
        WHAT,
        "Refuse a configuration of more bytes; `k`, `M` and `G` are powers of 1024 [default: 16M]",
    ),
    setting("max-files", One("NUMBER"), WHAT, "Refuse a configuration of more files [default: 10000]"),
    setting(
        "publish",
        Many("DIR"),
        PUBLISH,
        "The volume that the application mounts: only what is accepted appears there",
    ),
    setting(
        "stage",
        Many("DIR"),
        PUBLISH,
        "A volume of the gate's own, at the path that the configuration speaks of, in which it is judged",
    ),
    setting(
        "on-empty",
        One("HOW"),
        PUBLISH,
        "What to do if the first configuration is rejected, so that nothing is published: fail or wait [default: wait]",
    ),
    setting("require", Many("FILE"), JUDGE, "A file without which a configuration is rejected"),
    setting("max-shrink", One("PERCENT"), JUDGE, "Reject a configuration that lost more of its files [default: 100]"),
    setting(
        "validate",
        Many("CMD"),
        JUDGE,
        "A command that judges, run without a shell; `{config}` and `{dir}` are replaced",
    ),
    setting(
        "builtin",
        Many("NAME"),
        JUDGE,
        "A validator that is built in: nginx, json, yaml, toml, ini, json-schema or tls",
    ),
    setting(
        "nginx-version",
        One("VERSION"),
        JUDGE,
        "Whose rules the bundled nginx checker goes by [default: the running one's, or the newest stable]",
    ),
    setting("schema", One("FILE"), JUDGE, "The JSON Schema that files are held against (builtin json-schema)"),
    setting(
        "tls-name",
        Many("NAME"),
        JUDGE,
        "A host name or address for which a certificate must be valid (builtin tls)",
    ),
    setting(
        "tls-warn",
        One("DURATION"),
        JUDGE,
        "How long before its end a certificate is warned of (builtin tls) [default: 14d]",
    ),
    setting(
        "root",
        One("ROOT"),
        JUDGE,
        "Where commands run: auto, local or target; where that may not be entered, the bundled checker judges nginx [default: auto]",
    ),
    setting(
        "sandbox",
        One("HOW"),
        JUDGE,
        "Keep commands that run here from the gate's files and secrets: auto, strict or off [default: auto]",
    ),
    setting(
        "pass-env",
        Many("NAME"),
        JUDGE,
        "A variable of the gate's own environment that commands see which judge here; `PREFIX_*` are all that begin so",
    ),
    setting(
        "timeout",
        One("DURATION"),
        JUDGE,
        "How long each validator may take, and a reload command or POST [default: 30s]",
    ),
    setting("process", One("NAME"), TARGET, "The command name of the process"),
    setting("cmdline", One("REGEX"), TARGET, "A pattern somewhere in its command line"),
    setting("exe", One("PATH"), TARGET, "The file that it executes"),
    setting("pid-file", One("PATH"), TARGET, "A file that holds its process id"),
    setting("signal", One("SIG"), RELOAD, "The signal to send it, as `HUP`, `SIGHUP` or a number (`none`: only judge)"),
    setting("allow-uncaught", Switch, RELOAD, "Send the signal even to a process without a handler, which may kill it"),
    setting("reload-url", One("URL"), RELOAD, "Instead of a signal: POST to this URL"),
    setting("reload-command", One("CMD"), RELOAD, "Instead of a signal: run this command, without a shell"),
    setting("verify", One("HOW"), VERIFY, "What proves that a reload took effect: workers or none"),
    setting("verify-url", One("URL"), VERIFY, "GET of this URL is answered with a status of 200 to 299"),
    setting("verify-command", One("CMD"), VERIFY, "This command, run without a shell, succeeds"),
    setting("verify-timeout", One("DURATION"), VERIFY, "How long the proof may take [default: 10s]"),
    global("alert-webhook", Many("URL"), ALERT, "POST the documented JSON to this URL"),
    global("alert-webhook-header", Many("HEADER"), ALERT, "Send it with this header, as `X-Scope-OrgID: web`"),
    global("alert-webhook-bearer-file", One("FILE"), ALERT, "Send it with the token in this file"),
    global("alert-webhook-basic-file", One("FILE"), ALERT, "Send it with the `USER:PASSWORD` in this file"),
    global(
        "alert-slack-file",
        Many("FILE"),
        ALERT,
        "Tell a chat by the incoming webhook (Slack, Mattermost, Rocket.Chat) whose URL is in this file",
    ),
    global("alert-alertmanager", Many("URL"), ALERT, "Tell the Alertmanager there, as `http://alertmanager:9093`"),
    global("alert-alertmanager-bearer-file", One("FILE"), ALERT, "Tell it with the token in this file"),
    global("alert-alertmanager-basic-file", One("FILE"), ALERT, "Tell it with the `USER:PASSWORD` in this file"),
    global(
        "alert-command",
        Many("CMD"),
        ALERT,
        "Run this command, without a shell, with the documented JSON on its standard input",
    ),
    global(
        "alert-ca-file",
        One("FILE"),
        ALERT,
        "The authorities (PEM) that vouch for the servers above, in place of the usual ones",
    ),
    global("alert-after", One("DURATION"), ALERT, "How long trouble must stand that may pass by itself [default: 1m]"),
    global("alert-repeat", One("DURATION"), ALERT, "How often Alertmanager is told again of what stands [default: 1m]"),
    global("alert-label", Many("NAME=VALUE"), ALERT, "A label of every alert"),
    global("kubernetes-events", Switch, ALERT, "Make Events of the pod, as its service account"),
    global("kubernetes-configmap", One("NAME"), ALERT, "Make Events of this ConfigMap as well"),
    global(
        "kubernetes-service-account",
        One("DIR"),
        ALERT,
        "Where `token`, `ca.crt` and `namespace` are [default: /var/run/secrets/kubernetes.io/serviceaccount]",
    ),
    setting(
        "redact",
        One("WHEN"),
        HOW,
        "Show nothing of what is read, in no message: auto (of Secrets), always or never [default: auto]",
    ),
    setting(
        "diff",
        Switch,
        HOW,
        "Show what a rejected configuration changes against the running one, but for what `--redact` hides",
    ),
    setting("observe", Switch, HOW, "Judge and report, never signal"),
    setting(
        "settle",
        One("DURATION"),
        HOW,
        "How long a plain directory must be quiet to be looked at [default: 100ms]",
    ),
    setting("poll", One("DURATION"), HOW, "Look again this often though nothing stirred [default: 30s]"),
    setting("grace", One("DURATION"), HOW, "How long what is in flight may take after SIGTERM [default: 5s]"),
    global(
        "once",
        Switch,
        HOW,
        "Judge what is there now, report it, and exit with the verdict's code (no key of the file)",
    ),
    global("config", One("FILE"), HOW, "A file that describes one or several gates (no key of the file)"),
    global(
        "listen",
        One("ADDR"),
        HOW,
        "Serve /metrics, /livez, /readyz and /status by HTTP there, as `0.0.0.0:9464` or `:9464` (no key of the file)",
    ),
    global(
        "log-format",
        One("FORMAT"),
        HOW,
        "text or json; no key of the file [default: text on a terminal, else json]",
    ),
];

/// The setting of that name.
pub(super) fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// What the variables of this program begin with.
pub(super) const PREFIX: &str = "RELOAD_GATE_";

/// The variable that says a setting.
pub(super) fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.to_ascii_uppercase().replace('-', "_"))
}
