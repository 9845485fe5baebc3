//! Command lines of other reloaders, so that a pod needs only another image. Pure.
//!
//! The flags of prometheus-config-reloader (`cmd/prometheus-config-reloader/main.go` of prometheus-operator) and of configmap-reload
//! (its README) become the gates of a configuration file, and flags of the process.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

use super::flags::Flags;
use super::settings::{self, SettingSpec};
use super::{ConfigError, SettingOrigin};
use crate::report::metrics::Dialect;
use crate::sys::suggest::suggestion;

/// The name under which errors show the configuration that a command line became.
pub const FILE: &str = "(command line)";

/// Another reloader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reloader {
    Prometheus,
    ConfigMap,
}

/// A flag of another reloader, and whether it is a switch.
type KnownFlag = (&'static str, bool);

const PROMETHEUS: [KnownFlag; 18] = [
    ("config-file", false),
    ("config-envsubst-file", false),
    ("watched-dir", false),
    ("watch-interval", false),
    ("delay-interval", false),
    ("retry-interval", false),
    ("reload-timeout", false),
    ("reload-url", false),
    ("reload-method", false),
    ("process-executable-name", false),
    ("runtimeinfo-url", false),
    ("statefulset-ordinal-from-envvar", false),
    ("listen-address", false),
    ("web-config-file", false),
    ("log-format", false),
    ("log-level", false),
    ("auto-gomemlimit-ratio", false),
    ("version", true),
];
const CONFIGMAP: [KnownFlag; 9] = [
    ("volume-dir", false),
    ("volume-dir-archive", false),
    ("webhook-url", false),
    ("webhook-method", false),
    ("webhook-status-code", false),
    ("webhook-retries", false),
    ("web.listen-address", false),
    ("web.telemetry-path", false),
    ("version", true),
];

impl Reloader {
    const ALL: [Self; 2] = [Self::Prometheus, Self::ConfigMap];

    const fn program(self) -> &'static str {
        match self {
            Self::Prometheus => "prometheus-config-reloader",
            Self::ConfigMap => "configmap-reload",
        }
    }

    const fn flags(self) -> &'static [KnownFlag] {
        match self {
            Self::Prometheus => &PROMETHEUS,
            Self::ConfigMap => &CONFIGMAP,
        }
    }

    /// The reloader that a command line is for: by the name of the program, or by its first flag.
    fn of(program: &str, arguments: &[String]) -> Option<Self> {
        let name = Path::new(program).file_name()?.to_str()?;
        if let Some(named) = Self::ALL.into_iter().find(|reloader| reloader.program() == name) {
            // A command of reload-gate, which starts itself anew for some of them, is no flag.
            return arguments.first().is_none_or(|first| first.starts_with('-')).then_some(named);
        }
        let (first, _) = split(arguments.first()?)?;
        let own = ["help", "version", "h", "V"];
        let knows = |reloader: &Self| reloader.flags().iter().any(|(flag, _)| *flag == first);
        Self::ALL.into_iter().filter(|_| !own.contains(&first)).find(knows)
    }
}

/// The name and the value of a flag.
fn split(argument: &str) -> Option<(&str, Option<&str>)> {
    let rest = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'))?;
    Some(rest.split_once('=').map_or((rest, None), |(name, value)| (name, Some(value))))
}

/// A command line of another reloader in the terms of this program.
#[derive(Debug)]
pub struct DropIn {
    /// The gates, as a configuration file.
    pub file: String,
    /// Flags of the process, among them the name of that file.
    pub flags: Flags,
    /// Variables besides those of the environment.
    pub variables: Vec<(OsString, OsString)>,
    /// The names under which the other reloader has its metrics.
    pub dialect: Dialect,
}

/// The flags of a command line, in order.
struct Arguments {
    reloader: Reloader,
    given: Vec<(&'static str, String)>,
}

impl Arguments {
    fn read(reloader: Reloader, arguments: &[String]) -> Result<Self, ConfigError> {
        let (mut given, mut words) = (Vec::new(), arguments.iter());
        while let Some(word) = words.next() {
            let Some((name, value)) = split(word) else {
                return Err(wrong(format!("unexpected argument `{word}`"), "give flags of the reloader alone"));
            };
            let names = || reloader.flags().iter().map(|(name, _)| *name);
            let Some((name, is_switch)) = reloader.flags().iter().find(|(known, _)| *known == name) else {
                let message = format!("unknown flag `--{name}` of {}{}", reloader.program(), suggestion(name, names()));
                return Err(wrong(message, "see docs/migrating.md for the flags that are known"));
            };
            let value = match value {
                Some(value) => value.to_owned(),
                None if *is_switch => "true".to_owned(),
                None => words
                    .next()
                    .cloned()
                    .ok_or_else(|| wrong(format!("`--{name}` has no value"), "write it as `--name=value`"))?,
            };
            given.push((*name, value));
        }
        Ok(Self { reloader, given })
    }

    fn all(&self, name: &str) -> Vec<&str> {
        self.given.iter().filter(|(given, _)| *given == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The last value of a flag; empty values count as absent.
    fn last(&self, name: &str) -> Option<&str> {
        self.all(name).last().copied().filter(|value| !value.is_empty())
    }
}

fn wrong(message: String, help: &str) -> ConfigError {
    ConfigError::new(SettingOrigin::Nowhere, message).help(help)
}

/// Translates the command line of another reloader; `None` if it is none. `variable` reads the environment, `read` a file.
///
/// # Errors
/// When a flag is unknown, or asks for something that this program does not do.
pub fn translate(
    program: &str,
    arguments: &[String],
    variable: &dyn Fn(&str) -> Option<String>,
    read: &dyn Fn(&Path) -> std::io::Result<String>,
) -> Option<Result<DropIn, ConfigError>> {
    let reloader = Reloader::of(program, arguments)?;
    Some(Arguments::read(reloader, arguments).and_then(|arguments| match arguments.reloader {
        Reloader::Prometheus => prometheus(&arguments, variable, read),
        Reloader::ConfigMap => configmap(&arguments),
    }))
}

/// A gate as an item of the list in the file.
struct GateText(String);

impl GateText {
    fn new(name: &str) -> Self {
        Self(String::new()).with("name", name, "- ")
    }

    fn with(mut self, key: &str, value: &str, before: &str) -> Self {
        // JSON is YAML. A String takes every write.
        let _ = writeln!(self.0, "{before}{key}: {}", serde_json::Value::from(value));
        self
    }

    fn set(self, key: &str, value: &str) -> Self {
        self.with(key, value, "  ")
    }

    fn maybe(self, key: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.set(key, value),
            None => self,
        }
    }

    fn list(self, key: &str, values: &[&str]) -> Self {
        let mut text = self.0;
        let _ = writeln!(text, "  {key}: {}", serde_json::Value::from(values.to_vec()));
        Self(text)
    }
}

fn prometheus(
    arguments: &Arguments,
    variable: &dyn Fn(&str) -> Option<String>,
    read: &dyn Fn(&Path) -> std::io::Result<String>,
) -> Result<DropIn, ConfigError> {
    check_web_config(arguments, read)?;
    let dirs = arguments.all("watched-dir");
    let config = arguments.last("config-file");
    let rendered = arguments.last("config-envsubst-file");
    let mut gates = Vec::new();
    let watched: Vec<&str> = match (config, rendered) {
        (Some(config), Some(rendered)) => {
            gates.push(rendering(arguments, config, rendered));
            dirs
        }
        (config, _) => config.into_iter().chain(dirs).collect(),
    };
    if !watched.is_empty() {
        let name = if gates.is_empty() { "config" } else { "watched" };
        gates.push(reload(arguments, GateText::new(name).list("watch", &watched)));
    }
    let mut flags = vec![flag(&settings::CONFIG.spec, FILE)];
    flags.extend(arguments.last("listen-address").map(|address| flag(&settings::LISTEN.spec, address)));
    let format = if arguments.last("log-format") == Some("json") { "json" } else { "text" };
    flags.push(flag(&settings::LOG_FORMAT.spec, format));
    if matches!(arguments.last("watch-interval"), Some("0" | "0s")) {
        flags.push(flag(&settings::ONCE.spec, "true"));
    }
    Ok(DropIn { file: file(&gates), flags, variables: ordinal(arguments, variable), dialect: Dialect::Reloader })
}

/// The gate of the configuration file, which is written with its variables replaced.
fn rendering(arguments: &Arguments, config: &str, rendered: &str) -> GateText {
    let output = Path::new(rendered);
    let directory = output.parent().map(|parent| parent.to_string_lossy().into_owned()).unwrap_or_default();
    let name = output.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let gate = GateText::new("config").set("watch", config).set("publish", &directory);
    reload(arguments, gate.set("expand", "true").set("publish-as", &name))
}

/// The reload and the timing, which all gates have in common.
fn reload(arguments: &Arguments, gate: GateText) -> GateText {
    let gate = gate.set("app", "none").set("builtin", "by-name");
    let interval = arguments.last("watch-interval").filter(|interval| !matches!(*interval, "0" | "0s"));
    let gate = gate.maybe("poll", interval).maybe("timeout", arguments.last("reload-timeout"));
    let gate = gate.maybe("settle", arguments.last("delay-interval"));
    if arguments.last("reload-method") == Some("signal") {
        let process = arguments.last("process-executable-name").unwrap_or("prometheus");
        return gate
            .set("process", process)
            .set("signal", "HUP")
            .maybe("verify-url", arguments.last("runtimeinfo-url"));
    }
    gate.set("reload-url", arguments.last("reload-url").unwrap_or("http://127.0.0.1:9090/-/reload"))
}

/// The number at the end of a pod's name, as a variable.
fn ordinal(arguments: &Arguments, variable: &dyn Fn(&str) -> Option<String>) -> Vec<(OsString, OsString)> {
    let name = arguments.last("statefulset-ordinal-from-envvar").unwrap_or("POD_NAME");
    let value = variable(name).unwrap_or_default();
    let digits = value.len() - value.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    vec![("STATEFULSET_ORDINAL_NUMBER".into(), value[value.len() - digits..].into())]
}

/// Refuses a file that asks for TLS or a password: the listener has neither, and would be open.
fn check_web_config(arguments: &Arguments, read: &dyn Fn(&Path) -> std::io::Result<String>) -> Result<(), ConfigError> {
    let Some(path) = arguments.last("web-config-file") else { return Ok(()) };
    let text = read(Path::new(path)).map_err(|error| {
        wrong(format!("cannot read `{path}` (`--web-config-file`): {error}"), "make it readable, or leave the flag out")
    })?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    if lines.clone().all(|line| matches!(line, "{}" | "---")) {
        return Ok(());
    }
    let message =
        format!("`{path}` configures the listener (`--web-config-file`), which has neither TLS nor passwords");
    Err(wrong(message, "leave the flag out, and limit access to the port by a NetworkPolicy"))
}

fn configmap(arguments: &Arguments) -> Result<DropIn, ConfigError> {
    let (dirs, urls) = (arguments.all("volume-dir"), arguments.all("webhook-url"));
    for (given, name) in [(&dirs, "volume-dir"), (&urls, "webhook-url")] {
        if given.is_empty() {
            return Err(wrong(format!("`--{name}` is missing"), "give it at least once"));
        }
    }
    for (name, expected) in
        [("webhook-method", "POST"), ("webhook-status-code", "200"), ("web.telemetry-path", "/metrics")]
    {
        if let Some(other) = arguments.last(name).filter(|value| *value != expected) {
            let message = format!("`--{name}={other}` is not supported");
            return Err(wrong(message, "use `reload-gate run` with `--reload-command` for another kind of request"));
        }
    }
    if let Some(archive) = arguments.last("volume-dir-archive") {
        let message = format!("`--volume-dir-archive={archive}` is not supported");
        return Err(wrong(message, "mount the configuration unpacked"));
    }
    let name = |index: usize| if index == 0 { "webhook".to_owned() } else { format!("webhook-{}", index + 1) };
    let gate = |(index, url): (usize, &&str)| {
        let gate = GateText::new(&name(index)).list("watch", &dirs).set("app", "none").set("builtin", "by-name");
        gate.set("reload-url", url)
    };
    let gates: Vec<_> = urls.iter().enumerate().map(gate).collect();
    let labels = urls.iter().enumerate().map(|(index, url)| (name(index), crate::sys::http::shown(url))).collect();
    let listen = arguments.last("web.listen-address").unwrap_or(":9533");
    let flags = vec![
        flag(&settings::CONFIG.spec, FILE),
        flag(&settings::LISTEN.spec, listen),
        flag(&settings::LOG_FORMAT.spec, "text"),
    ];
    Ok(DropIn { file: file(&gates), flags, variables: Vec::new(), dialect: Dialect::ConfigmapReload(labels) })
}

fn flag(setting: &SettingSpec, value: &str) -> (&'static SettingSpec, String) {
    let setting = settings::find(setting.name).unwrap_or_else(|| panic!("no setting {}", setting.name));
    (setting, value.to_owned())
}

fn file(gates: &[GateText]) -> String {
    let gates: String = gates.iter().map(|gate| gate.0.as_str()).collect();
    format!("gates:\n{gates}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(program: &str, arguments: &[&str]) -> Option<Result<DropIn, ConfigError>> {
        let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        let variable = |name: &str| (name == "POD_NAME").then(|| "prometheus-k8s-12".to_owned());
        let read = |path: &Path| match path.to_str() {
            Some("/empty") => Ok("{}\n".to_owned()),
            Some("/tls") => Ok("tls_server_config:\n  cert_file: x\n".to_owned()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        };
        translate(program, &arguments, &variable, &read)
    }

    fn accepted(arguments: &[&str]) -> DropIn {
        translated("/reload-gate", arguments).expect("it is one").unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn the_own_command_line_is_none_of_another_program() {
        for arguments in [&["run", "--reload-url", "x"][..], &["check", "-"], &["--version"], &["--help"], &[]] {
            assert!(translated("/reload-gate", arguments).is_none(), "{arguments:?}");
        }
        assert!(translated("/bin/prometheus-config-reloader", &["enter", "--x"]).is_none());
        assert!(translated("/bin/prometheus-config-reloader", &[]).is_some());
    }

    #[test]
    fn a_configuration_file_and_directories_become_two_gates() {
        let drop_in = accepted(&[
            "--listen-address=:8080",
            "--reload-url=http://127.0.0.1:9090/-/reload",
            "--config-file=/etc/prometheus/config/prometheus.yaml.gz",
            "--config-envsubst-file=/etc/prometheus/config_out/prometheus.env.yaml",
            "--watched-dir=/etc/prometheus/rules/a",
            "--watched-dir",
            "/etc/prometheus/rules/b",
            "--log-format=json",
        ]);
        insta::assert_snapshot!(drop_in.file);
        let flags: Vec<_> = drop_in.flags.iter().map(|(setting, value)| (setting.name, value.as_str())).collect();
        assert_eq!(flags, [("config", FILE), ("listen", ":8080"), ("log-format", "json")]);
        assert_eq!(drop_in.variables, [("STATEFULSET_ORDINAL_NUMBER".into(), "12".into())]);
    }

    #[test]
    fn each_webhook_is_a_gate() {
        let drop_in = accepted(&[
            "-volume-dir=/etc/a",
            "--volume-dir",
            "/etc/b",
            "-webhook-url=http://u:p@h/x",
            "-webhook-url=http://i/",
        ]);
        insta::assert_snapshot!(drop_in.file);
        let expected = [("webhook", "http://h/x"), ("webhook-2", "http://i/")];
        let expected = expected.map(|(gate, url)| (gate.to_owned(), url.to_owned())).into();
        assert_eq!(drop_in.dialect, Dialect::ConfigmapReload(expected));
    }

    #[test]
    fn a_flag_that_cannot_be_served_is_an_error() {
        for (arguments, expected) in [
            (&["--watched-dir=/a", "--watched-dri=/b"][..], "did you mean `watched-dir`"),
            (&["--watched-dir"], "has no value"),
            (&["--watched-dir=/a", "b"], "unexpected argument `b`"),
            (&["--watched-dir=/a", "--web-config-file=/tls"], "neither TLS nor passwords"),
            (&["-volume-dir=/a"], "`--webhook-url` is missing"),
            (&["-volume-dir=/a", "-webhook-url=http://h/", "-webhook-method=GET"], "is not supported"),
        ] {
            let error = translated("/reload-gate", arguments).expect("it is one").expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(accepted(&["--watched-dir=/a", "--web-config-file=/empty"]).file.contains("/a"));
    }
}
