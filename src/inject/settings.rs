//! The settings of a gate that waits to be added: a gate that would not start is not added.

use serde_json::Value;

use super::Remark;
use super::application::{list, text};
use super::request::ARGS;
use crate::config::{ConfigError, SettingOrigin, check_pod_settings};

/// Refuses the container of a gate with settings that the gate itself would refuse at its start.
pub(super) fn refuse_wrong(gate: &Value) -> Result<(), Vec<Remark>> {
    let arguments: Vec<String> = list(gate, "args").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let known = |variable: &Value| Some((text(variable, "name").to_owned(), variable["value"].as_str()?.to_owned()));
    let variables: Vec<_> = list(gate, "env").iter().filter_map(known).collect();
    check_pod_settings(&arguments, &variables).map_err(|errors| errors.iter().map(remark).collect())
}

fn remark(error: &ConfigError) -> Remark {
    let place = match &error.origin {
        origin @ SettingOrigin::Variable(_) => origin.to_string(),
        origin => format!("`{ARGS}`: {origin}"),
    };
    let help = error.help.clone().unwrap_or_else(|| "correct it: the gate would not start with it".to_owned());
    (format!("{place}{}", error.message), help)
}
