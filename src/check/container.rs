//! Facts about a container that its configuration depends on: image, command line and environment. IO: reads the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::command_line::{self, NamedConfig};
use super::envsubst::Substitution;
use super::images::ImageReference;
use super::store::{Entry, Store};
use crate::check::manifest::{Container, EnvValue, Pod, RenderMode, Rendering};

/// Environment of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Environment {
    /// Variables with known values.
    pub(super) known: BTreeMap<String, String>,
    /// Other variables, with their sources.
    pub(super) unknown: BTreeMap<String, String>,
    /// Values that come from Secrets.
    pub(super) secrets: Vec<String>,
    /// True if there are variables of unknown names.
    is_open: bool,
}

/// Facts about a container.
#[derive(Debug, Default)]
pub(super) struct ContainerContext {
    pub(super) image: ImageReference,
    /// True if it ends before the others start.
    pub(super) is_init: bool,
    /// Configuration that the command line names.
    pub(super) config: Option<NamedConfig>,
    /// Environment.
    pub(super) environment: Arc<Environment>,
    /// Environments of all containers of the pod, by name.
    all: Arc<BTreeMap<String, Arc<Environment>>>,
}

impl ContainerContext {
    /// Returns the facts about a container, given the environments of all containers of its pod.
    pub(super) fn of(container: &Container, all: &Arc<BTreeMap<String, Arc<Environment>>>) -> Self {
        let image = ImageReference::parse(&container.image);
        let environment = all.get(&container.name).cloned().unwrap_or_default();
        let expanded = |words: &[String]| words.iter().map(|word| expand(word, &environment.known)).collect::<Vec<_>>();
        let config =
            command_line::named_config(&expanded(&container.command), &expanded(&container.args), image.name());
        Self { image, is_init: container.is_init, config, environment, all: all.clone() }
    }

    /// Returns what a reference to a variable becomes in a file that a container renders.
    pub(super) fn substitution(&self, rendering: &Rendering, name: &str) -> Substitution<'_> {
        let empty = &self.environment;
        let environment = self.all.get(&rendering.container).unwrap_or(empty);
        let listed = |names: &[String]| names.iter().any(|other| other == name);
        match (&rendering.mode, environment.known.get(name)) {
            (RenderMode::Listed(names), _) if !listed(names) => Substitution::Verbatim,
            (_, Some(value)) => Substitution::Value(value),
            _ if environment.unknown.contains_key(name) => Substitution::Unknown,
            // Names in capitals are variables of the environment by convention (POSIX, XBD 8.1), which the image may set.
            (RenderMode::Defined, None) if environment.is_open && !name.contains(|c: char| c.is_ascii_lowercase()) => {
                Substitution::Unknown
            }
            (RenderMode::Defined, None) => Substitution::Verbatim,
            (RenderMode::All | RenderMode::Listed(_), None) => Substitution::Value(""),
        }
    }
}

impl Environment {
    /// Reads the environment of a container; `from` is the input of its pod.
    pub(super) fn of(pod: &Pod, container: &Container, store: &Store<'_>, from: usize) -> Self {
        let namespace = pod.id.namespace.as_deref();
        let value = |entry: &Entry| String::from_utf8(store.content(entry).ok()?.bytes).ok();
        let mut environment = Self::default();
        for object in &container.env_from {
            let Some(config) = store.config(object.kind, namespace, &object.name, from) else {
                environment.is_open = true;
                continue;
            };
            for (key, entry) in store.entries(config) {
                let value = value(&entry);
                environment.secrets.extend(value.clone().filter(|_| object.kind == "Secret"));
                environment.known.extend(value.map(|value| (format!("{}{key}", object.prefix), value)));
            }
        }
        for (name, source) in &container.env {
            let known = match source {
                EnvValue::Text(text) => Some(expand(text, &environment.known)),
                EnvValue::Key { kind, name, key } => store
                    .config(kind, namespace, name, from)
                    .and_then(|config| value(&Entry::key(config, &key.as_str().into()))),
                EnvValue::Field(path) => Some(field(path, namespace)),
                EnvValue::Unknown => None,
            };
            let from = match source {
                EnvValue::Key { kind, name, key } => format!("`{key}` of {kind} `{name}`"),
                _ => "a source that is known in the cluster alone".to_owned(),
            };
            let is_secret = matches!(source, EnvValue::Key { kind: "Secret", .. });
            environment.secrets.extend(known.clone().filter(|_| is_secret));
            match known {
                Some(value) => drop(environment.known.insert(name.clone(), value)),
                None => drop(environment.unknown.insert(name.clone(), from)),
            }
        }
        environment
    }
}

/// Returns a value that a field of a pod may have ("Downward API" in Kubernetes' documentation).
fn field(path: &str, namespace: Option<&str>) -> String {
    let value = match path {
        "metadata.namespace" => namespace.unwrap_or("default"),
        "metadata.uid" => "00000000-0000-0000-0000-000000000000",
        "spec.nodeName" => "node",
        "spec.serviceAccountName" => "default",
        "status.hostIP" | "status.podIP" | "status.hostIPs" | "status.podIPs" => "127.0.0.1",
        path if path.contains("cpu") => "1",
        path if path.starts_with("limits.") || path.starts_with("requests.") => "1073741824",
        _ => "pod",
    };
    value.to_owned()
}

/// Replaces the references `$(NAME)` to known variables in a word, as a kubelet does it; `$$(NAME)` is `$(NAME)` as such.
pub(super) fn expand(word: &str, variables: &BTreeMap<String, String>) -> String {
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
    fn the_containers_of_a_pod_share_their_environments() {
        let all = Arc::new([("app".to_owned(), Arc::new(Environment::default()))].into());
        let contexts = (0..100).map(|_| ContainerContext::of(&Container::default(), &all));
        let contexts: Vec<ContainerContext> = contexts.collect();
        assert!(contexts.iter().all(|context| Arc::ptr_eq(&context.all, &all)));
        assert_eq!(Arc::strong_count(&all), 101);
    }

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
}
