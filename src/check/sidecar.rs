//! The settings of a reload-gate that is found in a pod: what it will judge there, and how. Pure but for what it reads of the store.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;

use reload_gate_contract::{Code, Finding};

use super::store::{Entry, Store};
use crate::check::manifest::{Container, EnvValue, Mounted, Pod};
use crate::config::{self, ConfigError, GateConfig, UserInput};

const SIDECAR_SETTINGS: Code = Code::new("sidecar-settings");

/// What the program and its image are called.
const NAME: &str = "reload-gate";
/// What its variables begin with, and those of the shell sidecar in whose place it may be.
const VARIABLES: &str = "RELOAD_GATE_";
const LEGACY: [&str; 3] = ["FILE", "PROCESS", "SIGNAL"];
/// Value of a variable that only the cluster knows. It is a valid name of a pod.
const UNKNOWN_VALUE: &str = "set-in-the-cluster";

/// Whether this container is a reload-gate: by what it executes, or by its image or variables.
pub(super) fn is_sidecar(container: &Container) -> bool {
    let image = container.image.rsplit('/').next().unwrap_or_default();
    let image = image.split(['@', ':']).next().unwrap_or_default();
    match container.command.first() {
        Some(program) => Path::new(program).file_name().is_some_and(|name| name == NAME),
        None => image.starts_with(NAME) || container.env.iter().any(|(name, _)| name.starts_with(VARIABLES)),
    }
}

/// The gates that it will run; none where it runs another command than `run`.
///
/// # Errors
/// What is wrong with its settings, as it would say at its start; or what of them is not given. Without a place.
pub(super) fn gates(
    pod: &Pod,
    container: &Container,
    mounted: &Mounted<Entry>,
    store: &Store<'_>,
) -> Result<Vec<GateConfig>, Vec<Finding>> {
    let (mut variables, unknown) = variables(pod, container, store);
    let is_setting = |name: &str| name.starts_with(VARIABLES) || LEGACY.contains(&name);
    let (settings, others): (Vec<_>, Vec<_>) = unknown.into_iter().partition(|(name, _)| is_setting(name));
    if !settings.is_empty() {
        return Err(settings.into_iter().map(|(name, from)| not_given(&name, &from)).collect());
    }
    let refused = |errors: Vec<ConfigError>| errors.iter().map(|error| refused(container, error)).collect::<Vec<_>>();
    let said: Vec<String> =
        container.command.iter().skip(1).chain(&container.args).map(|word| expand(word, &variables)).collect();
    // The image's own command is `run`.
    let said = if said.is_empty() { vec!["run".to_owned()] } else { said };
    let Some(flags) = config::run_flags(&said).map_err(refused)? else { return Ok(Vec::new()) };
    let read = |path: &Path| -> io::Result<String> {
        let entry = mounted.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        let content = store.content(entry).map_err(|finding| io::Error::other(finding.message))?;
        String::from_utf8(content.bytes).map_err(io::Error::other)
    };
    // The container has them, as POD_NAME by `fieldRef`: only the value is unknown, and no gate depends on it.
    variables.extend(others.into_iter().map(|(name, _)| (name, UNKNOWN_VALUE.to_owned())));
    let variables = variables.into_iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
    let is_directory = |path: &Path| mounted.points.iter().any(|point| point.path.starts_with(path));
    let directory = "/".into();
    let input = UserInput { flags, variables, read: &read, is_directory: &is_directory, directory, terminal: false };
    config::load(&input).map(|config| config.gates).map_err(refused)
}

fn refused(container: &Container, error: &ConfigError) -> Finding {
    let message = format!("container `{}`: {}{}", container.name, error.origin, error.message);
    Finding { help: error.help.clone(), ..Finding::error(SIDECAR_SETTINGS, message) }
}

fn not_given(name: &str, from: &str) -> Finding {
    let message = format!("variable `{name}` is set from {from}, which is not among the inputs");
    Finding::environment(SIDECAR_SETTINGS, message)
        .help("give all that the pod refers to; what the gate will judge depends on it")
}

/// The variables whose values are known here; and those that are not, with what they are set from.
fn variables(pod: &Pod, container: &Container, store: &Store<'_>) -> (BTreeMap<String, String>, Vec<(String, String)>) {
    let mut unknown = Vec::new();
    let namespace = pod.id.namespace.as_deref();
    let value = |entry: &Entry| String::from_utf8(store.content(entry).ok()?.bytes).ok();
    let mut variables = BTreeMap::new();
    for from in &container.env_from {
        let entries = store.config(from.kind, namespace, &from.name).map(|config| store.entries(config));
        for (key, entry) in entries.unwrap_or_default() {
            variables.extend(value(&entry).map(|value| (format!("{}{key}", from.prefix), value)));
        }
    }
    for (name, said) in &container.env {
        let known = match said {
            EnvValue::Text(text) => Some(expand(text, &variables)),
            EnvValue::Key { kind, name, key } => {
                store.config(kind, namespace, name).and_then(|config| value(&Entry::Key { config, key: key.clone() }))
            }
            EnvValue::Unknown => None,
        };
        match (known, said) {
            (Some(value), _) => drop(variables.insert(name.clone(), value)),
            (None, EnvValue::Key { kind, name: object, key }) => {
                unknown.push((name.clone(), format!("`{key}` of {kind} `{object}`")));
            }
            (None, _) => unknown.push((name.clone(), "what only the cluster knows".to_owned())),
        }
    }
    (variables, unknown)
}

/// A word with the references `$(NAME)` to known variables replaced, as a kubelet does it; `$$(NAME)` is `$(NAME)` as such.
fn expand(word: &str, variables: &BTreeMap<String, String>) -> String {
    let mut expanded = String::new();
    let mut rest = word;
    while let Some(at) = rest.find('$') {
        expanded += &rest[..at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            (expanded, rest) = (expanded + "$", after);
            continue;
        }
        let reference = rest.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        match reference.and_then(|(name, after)| Some((variables.get(name)?, after))) {
            Some((value, after)) => (expanded, rest) = (expanded + value, after),
            None => expanded.push('$'),
        }
    }
    expanded + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_replaced_as_a_kubelet_does_it() {
        let variables = [("A".to_owned(), "1".to_owned())].into();
        for (word, expected) in [
            ("$(A)", "1"),
            ("x$(A)y$(A)", "x1y1"),
            ("$(B)", "$(B)"),
            ("$$(A)", "$(A)"),
            ("$A $", "$A $"),
            ("$(A", "$(A"),
        ] {
            assert_eq!(expand(word, &variables), expected, "{word}");
        }
    }

    #[test]
    fn a_sidecar_is_known_by_its_program_or_image() {
        let container = |image: &str, command: &[&str]| Container {
            image: image.to_owned(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            ..Container::default()
        };
        assert!(is_sidecar(&container("registry.example:5000/tools/reload-gate:1.2@sha256:00", &[])));
        assert!(is_sidecar(&container("nginx", &["/gate/reload-gate", "run"])));
        assert!(is_sidecar(&container("reload-gate-root", &[])));
        let named = ("RELOAD_GATE_APP".to_owned(), EnvValue::Text("nginx".to_owned()));
        assert!(is_sidecar(&Container { env: vec![named], ..container("gate", &[]) }));
        assert!(!is_sidecar(&container("nginx", &[])));
        assert!(!is_sidecar(&container("reload-gate", &["/bin/sh"])));
    }
}
