//! What the user wants: flags, environment, file and preset meet here, and become valid or a list of everything wrong.
//!
//! There is one vocabulary ([`SETTINGS`]): the flag `--some-thing`, the variable `RELOAD_GATE_SOME_THING` and the key
//! `some-thing` of the configuration file are the same setting. A setting of a higher layer hides that of a lower one.

mod check;
mod layer;
mod preset;
mod resolve;
mod settings;
mod validators;

use core::net::SocketAddr;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use check::{Assignment, Assignments, assignments};
pub use preset::{Preset, presets};
pub use settings::{SETTINGS, Setting, Takes};

use crate::flow::process::Selector;
use crate::flow::publish::Publication;
use crate::flow::reload::ReloadMethod;
use crate::flow::snapshot::{Limits, Source};
use crate::flow::validate::ValidationPlan;
use crate::flow::verify::Verification;
use crate::gate;
use crate::notify::{kubernetes, worker};
use crate::redact;
use crate::report::log;

/// One gate, as it is to run.
#[derive(Clone, Debug)]
pub struct GateConfig {
    /// What people call it; in every event and metric.
    pub name: String,
    /// Where its configuration comes from.
    pub sources: Vec<Source>,
    /// How large it may be.
    pub limits: Limits,
    /// Where it is published, if the application reads it there and not from the sources.
    pub publication: Option<Publication>,
    /// Where a candidate is laid out to be judged, if not beside what is published.
    pub stage: Option<Publication>,
    /// Who judges it.
    pub plan: ValidationPlan,
    /// Whose configuration it is.
    pub selector: Selector,
    /// How that one is told.
    pub reload: ReloadMethod,
    /// What proves that it listened.
    pub verification: Verification,
    /// How long the proof may take.
    pub verify_timeout: Duration,
    /// Of which of its sources nothing may be shown.
    pub redact: redact::RedactionScope,
    /// Whether a rejection shows what it changes against what runs.
    pub diff: bool,
    /// What the mind of the gate must know.
    pub policy: gate::Policy,
}

/// All that `run` is to do.
#[derive(Debug)]
pub struct Config {
    /// The gates.
    pub gates: Vec<GateConfig>,
    /// Whether to judge once what is there now, and end.
    pub once: bool,
    /// How events are written.
    pub log_format: log::Format,
    /// Where to serve metrics, health and status, if anywhere.
    pub listen: Option<SocketAddr>,
    /// Who is told of trouble.
    pub alerts: worker::Settings,
    /// The cluster that is told of events, if it is.
    pub cluster: Option<kubernetes::client::Cluster>,
    /// What is probably not meant, but no error.
    pub warnings: Vec<String>,
}

/// Where a setting was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
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

impl fmt::Display for Origin {
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

/// One thing that is wrong with what the user said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin}{message}{}", .help.as_ref().map_or_else(String::new, |help| format!("\n  help: {help}")))]
pub struct ConfigError {
    /// Where it was said.
    pub origin: Origin,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl ConfigError {
    fn new(origin: Origin, message: impl Into<String>) -> Self {
        Self { origin, message: message.into(), help: None }
    }

    /// What the command line's own parser says, which names the flag itself.
    #[must_use]
    pub fn said_by_command_line(message: impl Into<String>) -> Self {
        Self::new(Origin::Nowhere, message)
    }

    fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// Flags of the command line, by name, in order; switches have the value `true`.
pub type Flags = Vec<(&'static str, String)>;

/// What the world outside says: injected, so that tests need not set the environment of their process.
pub struct Outside<'a> {
    /// The flags of the command line.
    pub flags: Flags,
    /// The environment.
    pub variables: Vec<(OsString, OsString)>,
    /// Reads the configuration file.
    pub read: &'a dyn Fn(&Path) -> std::io::Result<String>,
    /// The working directory: relative paths begin there.
    pub directory: PathBuf,
    /// Whether standard error is a terminal.
    pub terminal: bool,
}

/// Makes a valid configuration of what the user said.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn load(outside: &Outside<'_>) -> Result<Config, Vec<ConfigError>> {
    let mut errors = Vec::new();
    let mut warnings = Vec::new();
    let flags = layer::of_flags(&outside.flags);
    let variables = layer::of_variables(&outside.variables, flags.says("config"), &mut warnings, &mut errors);
    let schema = validators::with_schema;
    let command = [flags, variables].map(|layer| schema(layer, outside, &mut errors));
    let command = layer::Layers(command.into());
    let gates = match command.text("config") {
        Some(path) => match file(Path::new(&path.value), &path.origin, outside, &mut errors).gates {
            gates if gates.is_empty() && errors.is_empty() => {
                errors.push(
                    ConfigError::new(path.origin.clone(), "there is no gate in it")
                        .help("`rules` are for `reload-gate check`"),
                );
                gates
            }
            gates => gates,
        },
        None => vec![layer::Layer::default()],
    };
    if gates.len() > 1 {
        errors.extend(command.gate_settings().map(|(name, origin)| {
            ConfigError::new(origin, format!("`{name}` cannot be said of several gates at once"))
                .help("say it in the configuration file, of the gate that is meant")
        }));
    }
    let empty: Vec<_> = command.0.iter().chain(&gates).flat_map(layer::Layer::empty).cloned().collect();
    let resolved = gates.into_iter().filter_map(|gate| {
        let gate = schema(gate, outside, &mut errors);
        let layers = layer::Layers(command.0.iter().cloned().chain([gate]).collect());
        let named = layers.text("name").map_or_else(|| layers.place(), |said| said.origin.clone());
        let gate = resolve::gate(&layers, &outside.directory, &mut errors)?;
        errors.extend(validators::unused_schema(&layers, &gate));
        Some((named, gate))
    });
    let gates: Vec<_> = resolved.collect();
    resolve::distinct_names(&gates, &mut errors);
    let gates = gates.into_iter().map(|(_, gate)| gate).collect();
    let once = resolve::switch(&command, "once", &mut errors);
    let log_format = resolve::log_format(&command, outside.terminal, &mut errors);
    let listen = resolve::listen(&command, &mut errors);
    let alerts = resolve::alerts(&command, &outside.variables, &outside.directory, &mut errors);
    let cluster = resolve::cluster(&command, &outside.variables, &outside.directory, &mut errors);
    // Whatever else is wrong there comes of it.
    errors.retain(|error| !empty.contains(&error.origin));
    errors.extend(empty.into_iter().map(|origin| {
        let help = "a variable that is not set stands there, perhaps; leave it out where nothing is meant";
        ConfigError::new(origin, "the value is empty").help(help)
    }));
    let config = Config { gates, once, log_format, listen, alerts, cluster, warnings };
    if errors.is_empty() { Ok(config) } else { Err(in_order(errors)) }
}

/// Where a gate listens that is told so by the same flags and variables.
///
/// # Errors
/// Everything that is wrong with them, also that nothing says it.
pub fn listening(
    flags: &[(&'static str, String)],
    variables: &[(OsString, OsString)],
) -> Result<SocketAddr, Vec<ConfigError>> {
    let mut errors = Vec::new();
    let listens: Vec<_> =
        variables.iter().filter(|(name, _)| *name == *settings::variable("listen")).cloned().collect();
    let variables = layer::of_variables(&listens, true, &mut Vec::new(), &mut errors);
    let said = layer::Layers(vec![layer::of_flags(flags), variables]);
    let listen = resolve::listen(&said, &mut errors);
    if listen.is_none() && errors.is_empty() {
        let help = "say `--listen ADDR`, or set RELOAD_GATE_LISTEN, as for `reload-gate run`";
        errors.push(ConfigError::new(Origin::Nowhere, "nothing says where the gate listens").help(help));
    }
    listen.ok_or(errors)
}

/// The mistakes as somebody reads who mends them: each once, and those of a file from its top to its end.
fn in_order(errors: Vec<ConfigError>) -> Vec<ConfigError> {
    let mut once = Vec::new();
    for error in errors {
        if !once.contains(&error) {
            once.push(error);
        }
    }
    once.sort_by_key(|error| match error.origin {
        Origin::File(_, line, column) => (line, column),
        _ => (0, 0),
    });
    once
}

/// What the configuration file describes.
fn file(path: &Path, origin: &Origin, outside: &Outside<'_>, errors: &mut Vec<ConfigError>) -> layer::File {
    match (outside.read)(&outside.directory.join(path)) {
        Ok(text) => layer::of_file(path, &text, errors),
        Err(error) => {
            let message = format!("cannot read `{}`: {error}", path.display());
            let help = "it must be there when the gate starts, and readable for the gate's user";
            errors.push(ConfigError::new(origin.clone(), message).help(help));
            layer::File::default()
        }
    }
}

#[cfg(test)]
mod tests;
