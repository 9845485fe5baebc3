//! Facts about a container that its configuration depends on: image, command line and environment. IO: reads the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::command_line::{self, NamedConfig};
use super::envsubst::Substitution;
use super::images::ImageReference;
use super::store::{Entry, Store};
use crate::check::manifest::{Container, EnvValue, Pod, RenderMode, Rendering, Room};

/// Most bytes of the variables of a container, and of its command and arguments besides. Linux executes no program with more than a quarter
/// of its stack for both, of which there are usually 8 MiB (execve(2), "Limits on size of arguments and environment").
const MOST_WORDS: usize = 2 << 20;

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
    /// Bytes of the known variables.
    bytes: usize,
    /// True if there are more than a container can have.
    is_too_large: bool,
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
        let words = environment.expanded(&container.command).zip(environment.expanded(&container.args));
        let config = words.and_then(|(command, args)| command_line::named_config(&command, &args, image.name()));
        Self { image, is_init: container.is_init, config, environment, all: all.clone() }
    }

    /// Returns what a reference to a variable becomes in a file that a container renders.
    pub(super) fn substitution(&self, rendering: &Rendering, name: &str) -> Substitution<'_> {
        let empty = &self.environment;
        let environment = self.all.get(&rendering.container).unwrap_or(empty);
        match (&rendering.mode, environment.known.get(name)) {
            (RenderMode::Listed(names), _) if !names.contains(name) => Substitution::Verbatim,
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
    /// Reads the environment of a container; `from` is the input of its pod. What has no room in `all`, or in a container, is unknown.
    pub(super) fn of(pod: &Pod, container: &Container, store: &Store<'_>, from: usize, all: &mut Room) -> Self {
        let namespace = pod.id.namespace.as_deref();
        let value = |entry: &Entry| String::from_utf8(store.content(entry).ok()?.bytes).ok();
        let mut environment = Self::default();
        let mut room = Room::of(MOST_WORDS.min(all.left()));
        for object in &container.env_from {
            let Some(config) = store.config(object.kind, namespace, &object.name, from) else {
                environment.is_open = true;
                continue;
            };
            for (key, entry) in store.keys(config) {
                let name = format!("{}{key}", object.prefix);
                // What does not fit is not read.
                let Some(value) = value(&entry).filter(|value| room.take(name.len() + value.len())) else {
                    if room.is_exceeded() {
                        break;
                    }
                    continue;
                };
                environment.secrets.extend(Some(value.clone()).filter(|_| object.kind == "Secret"));
                environment.known.insert(name, value);
            }
        }
        for (name, source) in &container.env {
            let known = match source {
                _ if !room.take(name.len()) => None,
                EnvValue::Text(text) => expand(text, &environment.known, &mut room),
                EnvValue::Key { kind, name, key } => store
                    .config(kind, namespace, name, from)
                    .and_then(|config| value(&store.entry(config, key)?))
                    .filter(|value| room.take(value.len())),
                EnvValue::Field(path) => Some(field(path, namespace)),
                EnvValue::Unknown => None,
            };
            let from = match source {
                _ if room.is_exceeded() => "values that are too large together".to_owned(),
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
        all.take(room.used());
        Self { bytes: room.used(), is_too_large: room.is_exceeded(), ..environment }
    }

    /// Returns words of the container with their references replaced; `None` where they are longer than a container can have.
    pub(super) fn expanded<'w>(&self, words: impl IntoIterator<Item = &'w String>) -> Option<Vec<String>> {
        let mut room = Room::of(MOST_WORDS.saturating_sub(self.bytes));
        words.into_iter().map(|word| expand(word, &self.known, &mut room)).collect()
    }

    /// Returns true if the container can have its variables, command and arguments.
    pub(super) fn fits(&self, container: &Container) -> bool {
        !self.is_too_large && self.expanded(container.command.iter().chain(&container.args)).is_some()
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

/// Replaces the references `$(NAME)` to known variables in a word, as a kubelet does it; `$$(NAME)` is `$(NAME)` as such. Returns `None`
/// where the text has no room.
fn expand(word: &str, variables: &BTreeMap<String, String>, room: &mut Room) -> Option<String> {
    let mut expanded = String::new();
    let mut push = |text: &str| room.take(text.len()).then(|| expanded.push_str(text));
    // Place of the next `)`, which is looked for once for all references before it.
    let (mut at, mut closing) = (0, word.find(')'));
    while let Some(sign) = word[at..].find('$').map(|found| at + found) {
        push(&word[at..sign])?;
        at = sign + 1;
        if word[at..].starts_with('$') {
            push("$")?;
            at += 1;
            continue;
        }
        if closing.is_some_and(|end| end < at) {
            closing = word[at..].find(')').map(|found| at + found);
        }
        let name = closing.filter(|_| word[at..].starts_with('(')).map(|end| (&word[at + 1..end], end + 1));
        match name.and_then(|(name, after)| Some((variables.get(name)?, after))) {
            Some((value, after)) => {
                push(value)?;
                at = after;
            }
            None => push("$")?,
        }
    }
    push(&word[at..])?;
    Some(expanded)
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
            ("$(A)$(", "1$("),
            ("a)$(A)$(B)$(A)", "a)1$(B)1"),
            ("$($(A))", "$(1)"),
        ] {
            assert_eq!(expand(word, &variables, &mut Room::of(100)).as_deref(), Some(expected), "{word}");
        }
    }

    #[test]
    fn an_expansion_ends_where_there_is_no_room() {
        let variables = [("A".to_owned(), "x".repeat(1_000))].into();
        let mut room = Room::of(10_000);
        assert_eq!(expand(&"$(A)".repeat(1_000), &variables, &mut room), None);
        assert!(room.is_exceeded());
        assert_eq!(expand("", &variables, &mut room), None, "nothing fits any more");
        assert_eq!(expand(&"$(A)".repeat(10), &variables, &mut Room::of(10_000)).map(|text| text.len()), Some(10_000));
    }
}
