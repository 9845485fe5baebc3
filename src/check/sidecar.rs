//! Settings of a reload-gate in a pod: the files that it will validate there, and the validators. IO: reads the store.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;

use reload_gate_contract::{Code, Finding};

use super::ParseArguments;
use super::store::{Entry, Store};
use crate::check::manifest::{Container, EnvValue, Mounted, Pod};
use crate::config::{self, ConfigError, GateConfig, Outside};

const SIDECAR_SETTINGS: Code = Code::new("sidecar-settings");

/// Name of the program and of its image.
const NAME: &str = "reload-gate";
/// Prefix of its variables, and the variables of the shell sidecar that it may replace.
const VARIABLES: &str = "RELOAD_GATE_";
const LEGACY: [&str; 3] = ["FILE", "PROCESS", "SIGNAL"];

/// Returns true if this container is a reload-gate, by its command, image or variables.
pub(super) fn is_sidecar(container: &Container) -> bool {
    let image = container.image.rsplit('/').next().unwrap_or_default();
    let image = image.split(['@', ':']).next().unwrap_or_default();
    match container.command.first() {
        Some(program) => Path::new(program).file_name().is_some_and(|name| name == NAME),
        None => image.starts_with(NAME) || container.env.iter().any(|(name, _)| name.starts_with(VARIABLES)),
    }
}

/// Returns the gates that it will run; none for another command than `run`.
///
/// # Errors
/// Errors of its settings, as it would report them at its start, and variables that are not among the inputs. Without a place.
pub(super) fn gates(
    pod: &Pod,
    container: &Container,
    mounted: &Mounted<Entry>,
    store: &Store<'_>,
    parse: ParseArguments,
) -> Result<Vec<GateConfig>, Vec<Finding>> {
    let (variables, unknown) = variables(pod, container, store);
    let matters = |name: &str| name.starts_with(VARIABLES) || LEGACY.contains(&name);
    let unknown: Vec<_> =
        unknown.into_iter().filter(|(name, _)| matters(name)).map(|(name, from)| not_given(&name, &from)).collect();
    if !unknown.is_empty() {
        return Err(unknown);
    }
    let refused = |errors: Vec<ConfigError>| errors.iter().map(|error| refused(container, error)).collect::<Vec<_>>();
    let arguments: Vec<String> =
        container.command.iter().skip(1).chain(&container.args).map(|word| expand(word, &variables)).collect();
    // The image's own command is `run`.
    let arguments = if arguments.is_empty() { vec!["run".to_owned()] } else { arguments };
    let Some(flags) = parse(&arguments).map_err(refused)? else { return Ok(Vec::new()) };
    let read = |path: &Path| -> io::Result<String> {
        let entry = mounted.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        let content = store.content(entry).map_err(|finding| io::Error::other(finding.message))?;
        String::from_utf8(content.bytes).map_err(io::Error::other)
    };
    let variables = variables.into_iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
    let outside = Outside { flags, variables, read: &read, directory: "/".into(), terminal: false };
    config::load(&outside).map(|config| config.gates).map_err(refused)
}

fn refused(container: &Container, error: &ConfigError) -> Finding {
    let message = format!("container `{}`: {}{}", container.name, error.origin, error.message);
    Finding { help: error.help.clone(), ..Finding::error(SIDECAR_SETTINGS, message) }
}

fn not_given(name: &str, from: &str) -> Finding {
    let message = format!("variable `{name}` is set from {from}, which is not among the inputs");
    Finding::environment(SIDECAR_SETTINGS, message)
        .help("add all objects that the pod refers to; the settings of the gate depend on them")
}

/// Returns the variables with known values; and the others, with their sources.
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
    for (name, source) in &container.env {
        let known = match source {
            EnvValue::Text(text) => Some(expand(text, &variables)),
            EnvValue::Key { kind, name, key } => {
                store.config(kind, namespace, name).and_then(|config| value(&Entry::Key { config, key: key.clone() }))
            }
            EnvValue::Unknown => None,
        };
        match (known, source) {
            (Some(value), _) => drop(variables.insert(name.clone(), value)),
            (None, EnvValue::Key { kind, name: object, key }) => {
                unknown.push((name.clone(), format!("`{key}` of {kind} `{object}`")));
            }
            (None, _) => unknown.push((name.clone(), "a source that is known in the cluster alone".to_owned())),
        }
    }
    (variables, unknown)
}

/// Replaces the references `$(NAME)` to known variables in a word, as a kubelet does it; `$$(NAME)` is `$(NAME)` as such.
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
