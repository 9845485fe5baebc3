//! Settings of a reload-gate in a pod: the files that it will validate there, and the validators. IO: reads the store.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;

use reload_gate_contract::{Code, Finding};

use super::container::Environment;
use super::store::{Entry, Store};
use crate::check::manifest::{Container, Mounted};
use crate::config::{self, ConfigError, GateConfig, UserInput};
use crate::redact::Redactor;

const SIDECAR_SETTINGS: Code = Code::new("sidecar-settings");

/// Name of the program and of its image.
const NAME: &str = "reload-gate";
/// Prefix of its variables, and the variables of the shell sidecar that it may replace.
const VARIABLES: &str = "RELOAD_GATE_";
const LEGACY: [&str; 3] = ["FILE", "PROCESS", "SIGNAL"];
/// Value of a variable that is known in the cluster alone. It is a valid name of a pod.
const UNKNOWN_VALUE: &str = "set-in-the-cluster";
/// Variables of every container, with values that they may have.
const IN_EVERY_POD: [(&str, &str); 3] =
    [("HOSTNAME", "pod"), ("KUBERNETES_SERVICE_HOST", "10.0.0.1"), ("KUBERNETES_SERVICE_PORT", "443")];

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
    container: &Container,
    environment: &Environment,
    mounted: &Mounted<Entry>,
    store: &Store<'_>,
) -> Result<Vec<GateConfig>, Vec<Finding>> {
    let matters = |name: &str| name.starts_with(VARIABLES) || LEGACY.contains(&name);
    let unknown: Vec<_> = environment.unknown.iter().filter(|(name, _)| matters(name)).collect();
    if !unknown.is_empty() {
        return Err(unknown.into_iter().map(|(name, from)| not_given(name, from)).collect());
    }
    // An error quotes values, and those may be of Secrets.
    let secrets = RefCell::new(environment.secrets.iter().map(|value| value.clone().into_bytes()).collect::<Vec<_>>());
    let refused = |errors: Vec<ConfigError>| {
        let secrets = secrets.borrow();
        let redactor = Redactor::new(secrets.iter().map(Vec::as_slice));
        errors.iter().map(|error| redactor.redact(refused(container, error))).collect::<Vec<_>>()
    };
    let words = container.command.iter().skip(1).chain(&container.args);
    // The pod has a finding about arguments that are too large.
    let Some(arguments) = environment.expanded(words) else { return Ok(Vec::new()) };
    // The image's own command is `run`.
    let arguments = if arguments.is_empty() { vec!["run".to_owned()] } else { arguments };
    let Some(flags) = config::run_flags(&arguments).map_err(refused)? else { return Ok(Vec::new()) };
    let read = |path: &Path| -> io::Result<String> {
        let entry = mounted.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        let content = store.content(entry).map_err(|finding| io::Error::other(finding.message))?;
        if content.is_secret() {
            secrets.borrow_mut().push(content.bytes.clone());
        }
        String::from_utf8(content.bytes).map_err(io::Error::other)
    };
    // The container has the others as well, and no gate depends on their values.
    let others = environment.unknown.keys().map(|name| (name.clone(), UNKNOWN_VALUE.to_owned()));
    // Kubernetes sets these in every container.
    let given = IN_EVERY_POD.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let variables = BTreeMap::from(given).into_iter().chain(others).chain(environment.known.clone());
    let variables = variables.collect::<BTreeMap<_, _>>().into_iter();
    let variables = variables.map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
    let is_directory = |path: &Path| mounted.points.iter().any(|point| point.path.starts_with(path));
    let directory = "/".into();
    let input = UserInput { flags, variables, read: &read, is_directory: &is_directory, directory, terminal: false };
    let mut gates = config::load(&input).map(|config| config.gates).map_err(refused)?;
    // The environment of this process is not that of the container: it may have the token of a job.
    gates.iter_mut().for_each(|gate| gate.plan.pass_env.clear());
    Ok(gates)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::manifest::EnvValue;

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
