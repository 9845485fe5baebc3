//! Configuration: flags, variables, the file and a preset become valid gates, or a list of all errors.
//!
//! Every setting is one constant in [`settings`]: the flag `--some-thing`, the variable `RELOAD_GATE_SOME_THING` and the key
//! `some-thing` of the configuration file. A setting of a higher layer hides that of a lower one.

mod admission;
mod check;
mod command;
mod drop_in;
mod elsewhere;
mod file;
mod flags;
mod layer;
mod parse;
mod preset;
mod resolve;
mod script;
mod settings;
mod validators;

use core::net::SocketAddr;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing_subscriber::filter::EnvFilter;

pub use admission::{AdmissionRule, AdmissionRules, OBJECT_SETTINGS, WEBHOOK_SETTINGS, admission, listener_address};
pub use check::{Assignment, Assignments, assignments};
pub use drop_in::{DropIn, FILE as DROP_IN_FILE, translate};
pub use elsewhere::check_pod_settings;
pub use file::ADMISSION_SETTINGS;
#[cfg(test)]
pub use flags::COMMANDS;
pub use flags::{Flags, flag, given_flags, run_command, run_flags};
pub use preset::{Preset, presets};
pub use settings::{SETTINGS, SettingSpec, Takes};

use crate::cluster::ClusterConfig;
use crate::flow::process::Selector;
use crate::flow::publish::Publication;
use crate::flow::reload::ReloadMethod;
use crate::flow::rendering::Rendering;
use crate::flow::snapshot::{ReadOptions, Source};
use crate::flow::validate::ValidationPlan;
use crate::flow::verify::Verification;
use crate::gate;
use crate::notify::{kubernetes, worker};
use crate::redact;
use crate::report::log;
use crate::report::metrics::Dialect;
use crate::sys::kubernetes::ApiAccess;
use file::{ConfigFile, ConfigPart};
use layer::{ErrorList, GivenValue, Layers, SettingsLayer};
use settings::{CONFIG, LISTEN, LOG_FORMAT, LOG_LEVEL, ONCE};

/// Settings of one gate.
#[derive(Clone, Debug)]
pub struct GateConfig {
    /// Name in every event and metric.
    pub name: String,
    /// Sources of the configuration.
    pub sources: Vec<Source>,
    /// Limits of its size, its links, and the files that belong to it.
    pub reading: ReadOptions,
    /// The way in which the published files differ from the watched ones.
    pub rendering: Option<Rendering>,
    /// Volumes that the application reads, if it does not read the sources themselves.
    pub publication: Option<Publication>,
    /// Volumes of the gate for candidates during validation.
    pub stage: Option<Publication>,
    /// Validators and their environment.
    pub plan: ValidationPlan,
    /// Description of the target process.
    pub selector: Selector,
    /// Reload method.
    pub reload: ReloadMethod,
    /// Proof that a reload took effect.
    pub verification: Verification,
    /// Time limit of the proof.
    pub verify_timeout: Duration,
    /// Number of workers of earlier reloads that defers another reload.
    pub max_lingering: Option<usize>,
    /// Sources whose contents are hidden in messages.
    pub redact: redact::RedactionScope,
    /// True if a rejection shows the differences from the running configuration.
    pub diff: bool,
    /// True if the user wants no proof (`--verify none`), as opposed to a preset that has none.
    pub waives_proof: bool,
    /// Settings of the state machine.
    pub policy: gate::Policy,
    /// The part that is about other pods.
    pub cluster: Option<ClusterConfig>,
}

/// Settings of the command `run`.
#[derive(Debug)]
pub struct Config {
    /// The gates.
    pub gates: Vec<GateConfig>,
    /// True for one validation, after which the process exits.
    pub once: bool,
    /// Format of events.
    pub log_format: log::LogFormat,
    /// True if the user chose the format of events.
    pub log_format_given: bool,
    /// Selection of spans and decisions in the log.
    pub log_filter: EnvFilter,
    /// Address of metrics, health and status, if they are served.
    pub listen: Option<SocketAddr>,
    /// The names under which another reloader has its metrics.
    pub dialect: Dialect,
    /// Sinks of alerts.
    pub alerts: worker::AlertSettings,
    /// Cluster in which Events are created.
    pub cluster: Option<kubernetes::client::Cluster>,
    /// Probable mistakes that are no errors.
    pub warnings: Vec<String>,
}

/// Place where a setting was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingOrigin {
    /// On the command line.
    Flag(&'static str),
    /// In the environment.
    Variable(String),
    /// In the configuration file: line and column, counted from 1.
    File(PathBuf, u32, u32),
    /// In a preset.
    Preset(&'static str),
    /// Nowhere: it is missing.
    Nowhere,
}

impl fmt::Display for SettingOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "`--{name}`: "),
            Self::Variable(name) => write!(f, "variable `{name}`: "),
            Self::File(path, line, column) => write!(f, "{}:{line}:{column}: ", path.display()),
            Self::Preset(name) => write!(f, "preset `{name}`: "),
            Self::Nowhere => Ok(()),
        }
    }
}

/// Error in the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin}{message}{}", .help.as_ref().map_or_else(String::new, |help| format!("\n  help: {help}")))]
pub struct ConfigError {
    /// Place of the setting.
    pub origin: SettingOrigin,
    /// Description of the error.
    pub message: String,
    /// Advice.
    pub help: Option<String>,
}

impl ConfigError {
    fn new(origin: SettingOrigin, message: impl Into<String>) -> Self {
        Self { origin, message: message.into(), help: None }
    }

    fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// Input of the user: flags, environment and files. It is injected, so that tests need not set the environment of their process.
pub struct UserInput<'a> {
    /// The flags of the command line.
    pub flags: Flags,
    /// The environment.
    pub variables: Vec<(OsString, OsString)>,
    /// Reads a file.
    pub read: &'a dyn Fn(&Path) -> std::io::Result<String>,
    /// Returns true if a directory exists.
    pub is_directory: &'a dyn Fn(&Path) -> bool,
    /// The working directory, in which relative paths begin.
    pub directory: PathBuf,
    /// True if standard error is a terminal.
    pub terminal: bool,
}

/// Resolves the settings of the command `run`.
///
/// # Errors
/// All errors at once.
pub fn load(input: &UserInput<'_>) -> Result<Config, Vec<ConfigError>> {
    let errors = ErrorList::default();
    let mut warnings = Vec::new();
    let flags = flags::layer(&input.flags);
    let variables = flags::variables_layer(&input.variables, flags.has(CONFIG.spec), &mut warnings, &errors);
    let command = [flags, variables].map(|layer| validators::with_files(layer, input, &errors));
    let command = Layers { layers: command.into(), directory: &input.directory, errors: &errors };
    let gates = gate_layers(&command, input);
    check_gate_settings(&command, gates.len());
    let empty: Vec<_> = command.layers.iter().chain(&gates).flat_map(SettingsLayer::empty).cloned().collect();
    let gates: Vec<_> = gates.into_iter().filter_map(|gate| load_gate(gate, &command, input)).collect();
    resolve::check_distinct_names(&gates, &command);
    resolve::check_distinct_groups(&gates, &command);
    let mut gates: Vec<_> = gates.into_iter().map(|gate| gate.value).collect();
    resolve::keep_apart(&mut gates);
    let config = Config {
        gates,
        once: command.get(ONCE),
        log_format: resolve::log_format(&command, input.terminal),
        log_format_given: command.origin(LOG_FORMAT.spec).is_some(),
        log_filter: command.get(LOG_LEVEL),
        listen: command.get(LISTEN),
        dialect: Dialect::default(),
        alerts: resolve::alerts(&command, &input.variables),
        cluster: resolve::cluster(&command, &input.variables),
        warnings,
    };
    let mut errors = errors.into_errors();
    // Other errors of an empty value follow from its being empty.
    errors.retain(|error| !empty.contains(&error.origin));
    errors.extend(empty.into_iter().map(|origin| {
        let help = "leave the setting out, or check that the variable in its value is set";
        ConfigError::new(origin, "the value is empty").help(help)
    }));
    if errors.is_empty() { Ok(config) } else { Err(in_order(errors)) }
}

/// Resolves the settings of the command `reload`: those of `run`, and each gate reloads its application.
///
/// # Errors
/// All errors at once.
pub fn load_for_reload(input: &UserInput<'_>) -> Result<Config, Vec<ConfigError>> {
    let config = load(input)?;
    let idle = config.gates.iter().filter(|gate| config.once || !gate.policy.reload);
    let errors: Vec<_> = idle
        .map(|gate| {
            let message =
                format!("the gate `{}` reloads nothing (`--signal none`, `--observe` or `--once`)", gate.name);
            let help = "name a way to reload the application, or use `reload-gate run --once` to validate alone";
            ConfigError::new(SettingOrigin::Nowhere, message).help(help)
        })
        .collect();
    if errors.is_empty() { Ok(config) } else { Err(errors) }
}

/// The gates of the configuration file; without one, a gate of which the file says nothing.
fn gate_layers(command: &Layers<'_>, input: &UserInput<'_>) -> Vec<SettingsLayer> {
    let Some(path) = command.given(CONFIG) else { return vec![SettingsLayer::default()] };
    let before = command.errors.len();
    let gates = read_file(&path, ConfigPart::Gates, input, command.errors).gates;
    if gates.is_empty() && command.errors.len() == before {
        let error = ConfigError::new(path.origin, "the file has no gates");
        command.fail(error.help("add `gates`; `rules` apply to `reload-gate check` only"));
    }
    gates
}

/// Reports flags and variables of one gate where the file has several.
fn check_gate_settings(command: &Layers<'_>, gates: usize) {
    if gates < 2 {
        return;
    }
    let given = command.layers.iter().flat_map(|layer| {
        let of_gate = SETTINGS.iter().filter(|setting| setting.of_gate);
        of_gate.filter_map(|setting| Some((setting, layer.text(setting)?)))
    });
    for (setting, text) in given {
        let message = format!("`{}` applies to one gate, and the configuration file has several", setting.name);
        let error = ConfigError::new(text.origin.clone(), message);
        command.fail(error.help("move it into the configuration file, to its gate"));
    }
}

/// Resolves a gate; its place is that of its name.
fn load_gate(gate: SettingsLayer, command: &Layers<'_>, input: &UserInput<'_>) -> Option<GivenValue<GateConfig>> {
    let mut layers = command.clone();
    layers.layers.push(validators::with_files(gate, input, command.errors));
    let mut gate = resolve::gate(&layers, input.is_directory)?;
    if let Some(rendering) = &mut gate.rendering {
        let text = |(name, value): &(OsString, OsString)| Some((name.to_str()?.to_owned(), value.to_str()?.to_owned()));
        // The settings of the gate may be secrets, and an author of the configuration has no use for them.
        let is_own = |(name, _): &(String, String)| name.starts_with(settings::PREFIX);
        rendering.variables = input.variables.iter().filter_map(text).filter(|variable| !is_own(variable)).collect();
    }
    if let Some(cluster) = resolve::between_pods(&layers, &input.variables) {
        let acts = (gate.policy.reload || gate.policy.publish) && !gate.policy.once;
        gate.policy.permission = cluster.rollout.is_some() && acts;
        gate.policy.fallback = cluster.known_good.is_some() && gate.policy.publish && !gate.policy.once;
        gate.cluster = Some(cluster);
    }
    validators::check_schema_use(&layers, &gate);
    validators::check_context_use(&layers, &gate.plan);
    Some(GivenValue { value: gate, origin: resolve::place_of_name(&layers) })
}

/// Resolves the address on which a gate with the same flags and variables listens; `None` if it does not.
///
/// # Errors
/// All errors at once.
pub fn listen_address(
    flags: &[(&'static SettingSpec, String)],
    variables: &[(OsString, OsString)],
) -> Result<Option<SocketAddr>, Vec<ConfigError>> {
    let errors = ErrorList::default();
    let own: Vec<_> = variables.iter().filter(|(name, _)| *name == *LISTEN.spec.variable()).cloned().collect();
    let variables = flags::variables_layer(&own, true, &mut Vec::new(), &errors);
    let layers = Layers { layers: vec![flags::layer(flags), variables], directory: Path::new("/"), errors: &errors };
    let address = layers.get(LISTEN);
    let errors = errors.into_errors();
    if errors.is_empty() { Ok(address) } else { Err(errors) }
}

/// Resolves place and credentials of the API server for a command of people.
#[must_use]
pub fn api_access(variables: &[(OsString, OsString)]) -> ApiAccess {
    let errors = ErrorList::default();
    let own = flags::variables_layer(variables, true, &mut Vec::new(), &errors);
    resolve::api_access(&Layers { layers: vec![own], directory: Path::new("/"), errors: &errors }, variables)
}

/// Reads the name of a roll-out group, as `--rollout` does.
///
/// # Errors
/// With the reason why it is none.
pub fn group_name(text: &str) -> Result<String, String> {
    parse::lease_name(text, Path::new("/")).map_err(|invalid| invalid.message)
}

/// Sorts errors as the user corrects them: each once, those of the file by line.
fn in_order(errors: Vec<ConfigError>) -> Vec<ConfigError> {
    let mut once = Vec::new();
    for error in errors {
        if !once.contains(&error) {
            once.push(error);
        }
    }
    once.sort_by_key(|error| match error.origin {
        SettingOrigin::File(_, line, column) => (line, column),
        _ => (0, 0),
    });
    once
}

fn read_file(path: &GivenValue<PathBuf>, wanted: ConfigPart, input: &UserInput<'_>, errors: &ErrorList) -> ConfigFile {
    match (input.read)(&input.directory.join(&path.value)) {
        Ok(text) => file::read(&path.value, &text, wanted, errors),
        Err(error) => {
            let message = format!("cannot read `{}`: {error}", path.value.display());
            let help = "make the file readable for the gate's user; it is read once, at the start";
            errors.push(ConfigError::new(path.origin.clone(), message).help(help));
            ConfigFile::default()
        }
    }
}

#[cfg(test)]
mod tests;
