//! Flags and variables. Pure.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::layer::{ErrorList, SettingsLayer};
use super::settings::{self, CONFIG, PREFIX, PROCESS, SETTINGS, SIGNAL, SettingSpec, Takes, WATCH};
use super::{ConfigError, SettingOrigin};
use crate::sys::suggest::{nearest, suggestion};

/// Flags of the command line in order; switches have the value `true`.
pub type Flags = Vec<(&'static SettingSpec, String)>;

/// Returns the argument of a setting.
#[must_use]
pub fn flag(setting: &'static SettingSpec) -> Arg {
    let default = setting.shown_default().map_or_else(String::new, |default| format!(" [default: {default}]"));
    let help = format!("{}{default}", setting.help);
    let arg = Arg::new(setting.name).long(setting.name).help(help).help_heading(setting.heading);
    match setting.takes {
        Takes::Switch => arg.action(ArgAction::SetTrue),
        Takes::One(value) => arg.value_name(value).allow_hyphen_values(false),
        Takes::Many(value) => arg.value_name(value).action(ArgAction::Append),
    }
}

/// Returns the command `run` with all of its flags.
#[must_use]
pub fn run_command() -> Command {
    Command::new("run").args(SETTINGS.iter().map(flag))
}

/// Returns the flags that were given, in the order of the settings.
#[must_use]
pub fn given_flags(matches: &ArgMatches) -> Flags {
    let mut flags = Vec::new();
    // Not every command takes all of them, and clap panics when asked for an argument that the command does not have.
    for setting in SETTINGS.iter().filter(|setting| matches.ids().any(|id| id == setting.name)) {
        match setting.takes {
            Takes::Switch if matches.get_flag(setting.name) => flags.push((setting, "true".to_owned())),
            Takes::Switch => {}
            Takes::One(_) | Takes::Many(_) => {
                let values = matches.get_many::<String>(setting.name).into_iter().flatten();
                flags.extend(values.map(|value| (setting, value.clone())));
            }
        }
    }
    flags
}

/// The commands of reload-gate.
pub const COMMANDS: [&str; 12] = [
    "run",
    "reload",
    "check",
    "admit",
    "inject",
    "doctor",
    "status",
    "rollout",
    "validators",
    "install",
    "completions",
    "man",
];

/// Reads the arguments of a reload-gate in a pod as flags of `run`; returns `None` for another command.
///
/// # Errors
/// The first wrong argument.
pub fn run_flags(arguments: &[String]) -> Result<Option<Flags>, Vec<ConfigError>> {
    match arguments.first().map(String::as_str) {
        Some("run") => {}
        Some(word) if !word.starts_with('-') && !COMMANDS.contains(&word) => {
            let message = format!("unknown command `{word}`{}", suggestion(word, COMMANDS));
            return Err(vec![ConfigError::new(SettingOrigin::Nowhere, message)]);
        }
        _ => return Ok(None),
    }
    let command = run_command();
    match command.try_get_matches_from(arguments) {
        Ok(matches) => Ok(Some(given_flags(&matches))),
        // The message names the flag itself.
        Err(error) => Err(vec![ConfigError::new(SettingOrigin::Nowhere, in_one_line(&error))]),
    }
}

/// The message of clap without its usage and tips, and the flag that is probably meant.
fn in_one_line(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::DisplayHelp {
        return "`--help` prints a help and ends".to_owned();
    }
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(meant)) => format!("{first}; did you mean `{meant}`?"),
        _ => first.to_owned(),
    }
}

/// The settings of the command line.
pub(super) fn layer(flags: &[(&'static SettingSpec, String)]) -> SettingsLayer {
    let mut layer = SettingsLayer::default();
    for (setting, value) in flags {
        layer.add(setting, value.clone(), SettingOrigin::Flag(setting.name));
    }
    layer
}

/// The variables of the well-known shell sidecar, and their settings.
const LEGACY: [(&str, &SettingSpec); 3] = [("FILE", WATCH.spec), ("PROCESS", PROCESS.spec), ("SIGNAL", SIGNAL.spec)];

/// The settings of the environment. With a configuration file (`has_file`), the variables of the shell sidecar are ignored: other
/// programs use names as common as theirs.
pub(super) fn variables_layer(
    variables: &[(OsString, OsString)],
    has_file: bool,
    warnings: &mut Vec<String>,
    errors: &ErrorList,
) -> SettingsLayer {
    let mut layer = SettingsLayer::default();
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        let Some(setting) = SETTINGS.iter().find(|setting| setting.has_variable(name)) else {
            warnings.push(unknown_variable(name));
            continue;
        };
        let origin = SettingOrigin::Variable(name.to_owned());
        let Some(value) = value.to_str() else {
            errors.push(ConfigError::new(origin, "the value is no UTF-8"));
            continue;
        };
        let values: Vec<_> = match setting.takes {
            // A list in a variable has one item a line: no other character can be excluded from a path or a command.
            Takes::Many(_) if !value.trim().is_empty() => {
                value.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
            }
            Takes::Many(_) | Takes::One(_) | Takes::Switch => vec![value],
        };
        for value in values {
            layer.add(setting, value.to_owned(), origin.clone());
        }
    }
    if !has_file && !layer.has(CONFIG.spec) {
        add_legacy(variables, &mut layer);
    }
    layer
}

fn unknown_variable(name: &str) -> String {
    // The common prefix would make every name look near.
    let word = name.trim_start_matches(PREFIX).to_ascii_lowercase().replace('_', "-");
    let meant = nearest(&word, SETTINGS.iter().map(|setting| setting.name)).and_then(settings::find);
    let meant = meant.map_or_else(String::new, |setting| format!("; did you mean `{}`?", setting.variable()));
    format!("variable `{name}` is not known and was ignored{meant}")
}

/// The variables of config-reloader-sidecar (Pluies), and their settings.
const SIDECAR: [(&str, &SettingSpec); 3] =
    [("CONFIG_DIR", WATCH.spec), ("PROCESS_NAME", PROCESS.spec), ("RELOAD_SIGNAL", SIGNAL.spec)];

fn add_legacy(variables: &[(OsString, OsString)], layer: &mut SettingsLayer) {
    let is_set = |name: &str| variables.iter().any(|(variable, value)| variable == name && !value.is_empty());
    // Images use names as common as these for something else: only both of them together are of a reloader.
    if is_set("CONFIG_DIR") && is_set("PROCESS_NAME") && ![WATCH.spec, PROCESS.spec].iter().any(|spec| layer.has(spec))
    {
        add_variables(&SIDECAR, variables, layer);
        if !layer.has(SIGNAL.spec) {
            layer.add(SIGNAL.spec, "HUP".to_owned(), SettingOrigin::Variable("RELOAD_SIGNAL".to_owned()));
        }
    }
    add_variables(&LEGACY, variables, layer);
}

fn add_variables(
    known: &[(&str, &'static SettingSpec)],
    variables: &[(OsString, OsString)],
    layer: &mut SettingsLayer,
) {
    for &(legacy, setting) in known {
        let value = variables.iter().find(|(variable, _)| variable == legacy).and_then(|(_, value)| value.to_str());
        if let Some(value) = value.filter(|value| !value.is_empty() && !layer.has(setting)) {
            layer.whole_volume |= legacy == "FILE";
            layer.add(setting, value.to_owned(), SettingOrigin::Variable(legacy.to_owned()));
        }
    }
}
