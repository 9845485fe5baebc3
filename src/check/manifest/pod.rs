//! Pod templates: volumes, containers and their mounts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use reload_gate_structured::yaml::Node;

use super::mounted::Given;
use super::object::{Annotated, Id, annotation, ignore};
use super::room::Room;

/// Pod, or template of pods.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Object that it belongs to.
    pub id: Id,
    /// Annotation of the object or of the template that names a validator.
    pub validator: Option<Annotated>,
    /// Annotation of the object that ignores findings.
    pub ignore: Option<Annotated>,
    /// Volumes.
    pub volumes: Vec<PodVolume>,
    /// Containers, init containers first.
    pub containers: Vec<Container>,
    /// True if each container sees the processes of the others.
    pub shares_processes: bool,
    /// Line of the document at which the object begins.
    pub line: u32,
}

/// Volume of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodVolume {
    /// Its name.
    pub name: String,
    /// ConfigMaps and Secrets in it; `None` for any other kind of volume.
    pub projections: Option<Vec<Projection>>,
    /// True if it is an empty directory at first, which containers fill.
    pub is_empty_dir: bool,
}

/// ConfigMap or Secret in a volume; a projected volume may have several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projection {
    /// `ConfigMap` or `Secret`; another word for a source without a manifest, such as a token.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Selected keys with their paths; if absent, all keys under their own names.
    pub items: Option<Vec<(String, String)>>,
    /// True if a pod starts without it, or without one of those keys.
    pub optional: bool,
}

/// Container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Image.
    pub image: String,
    /// Command in place of the image's entry point.
    pub command: Vec<String>,
    /// Arguments.
    pub args: Vec<String>,
    /// Variables.
    pub env: Vec<(String, EnvValue)>,
    /// Objects that give all of their entries as variables.
    pub env_from: Vec<EnvFrom>,
    /// Mounts.
    pub mounts: Vec<VolumeMount>,
    /// True if it ends before the other containers start.
    pub is_init: bool,
    /// User that it runs as, if the manifest names one.
    pub user: Option<String>,
    /// True if it has the capability to signal processes of other users.
    pub may_kill: bool,
}

/// Value of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvValue {
    /// Literal text.
    Text(String),
    /// Entry `key` of the ConfigMap or Secret of that kind and name.
    Key {
        /// `ConfigMap` or `Secret`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Key of the entry.
        key: String,
    },
    /// Field of the pod, such as `metadata.name`, or a resource of a container.
    Field(String),
    /// Value that is known in the cluster alone.
    Unknown,
}

/// All entries of an object as variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvFrom {
    /// `ConfigMap` or `Secret`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Prefix of the variables.
    pub prefix: String,
}

/// Mount of a volume in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeMount {
    /// Name of the volume.
    pub volume: String,
    /// Mount path.
    pub path: String,
    /// Path inside of the volume; all of it if this is empty.
    pub sub_path: String,
    /// True if that path is an expression of variables.
    pub is_expression: bool,
}

impl Pod {
    /// Returns the keys that its volumes select and that do not exist, so that the pod will not start; as far as `room` permits.
    pub fn lacks<K>(&self, entries: &Given<'_, K>, room: &mut Room) -> Vec<(&PodVolume, &Projection, &str)> {
        let mut lacking = Vec::new();
        let mut sub_paths: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for mount in self.containers.iter().flat_map(|container| &container.mounts) {
            if !mount.is_expression && !mount.sub_path.is_empty() {
                sub_paths.entry(&mount.volume).or_default().push(&mount.sub_path);
            }
        }
        for volume in &self.volumes {
            for projection in volume.projections.iter().flatten().filter(|projection| !projection.optional) {
                let of_volume = sub_paths.get(volume.name.as_str()).map_or(&[][..], Vec::as_slice);
                let Some(found) = entries(&projection.kind, &projection.name) else { continue };
                if !room.take(found.len() + projection.items.as_ref().map_or(0, Vec::len) + of_volume.len()) {
                    return lacking;
                }
                let keys = projection.items.iter().flatten().map(|(key, _)| key.as_str());
                lacking.extend(keys.filter(|key| !found.contains_key(*key)).map(|key| (volume, projection, key)));
                let missing = missing_sub_paths(volume, projection, &found, of_volume);
                lacking.extend(missing.into_iter().map(|path| (volume, projection, path)));
            }
        }
        lacking
    }

    /// Reads the pod template of an object; `None` if it has none.
    pub(super) fn read(id: Id, node: &Node, validator: Option<Annotated>) -> Option<Self> {
        let template = template(node)?;
        let spec = template.get("spec")?;
        let list = |name: &str| spec.get(name).map_or(&[][..], Node::items).iter();
        // An init container that restarts is a sidecar ("Sidecar Containers" in Kubernetes' documentation).
        let ends = |node: &Node| node.get("restartPolicy").and_then(Node::as_str) != Some("Always");
        let init = list("initContainers").map(|node| Container { is_init: ends(node), ..container(node) });
        let containers: Vec<_> = init.chain(list("containers").map(container)).collect();
        let volumes = spec.get("volumes").map_or(&[][..], Node::items).iter().map(volume).collect();
        let validator = validator.or_else(|| annotation(template));
        let ignore = ignore(node);
        let is_set = |key: &str| spec.get(key).and_then(Node::as_str) == Some("true");
        let shares_processes = is_set("shareProcessNamespace") || is_set("hostPID");
        let user = spec.get("securityContext").and_then(|context| context.get("runAsUser")?.as_str());
        let with_user =
            |container: Container| Container { user: container.user.or(user.map(str::to_owned)), ..container };
        let containers: Vec<_> = containers.into_iter().map(with_user).collect();
        (!containers.is_empty()).then_some(Self {
            id,
            validator,
            ignore,
            volumes,
            containers,
            shares_processes,
            line: node.line,
        })
    }
}

/// Returns those sub-paths of mounts of a volume that a volume of one object does not have: the kubelet cannot make them in it.
fn missing_sub_paths<'p, K>(
    volume: &PodVolume,
    projection: &Projection,
    found: &BTreeMap<Arc<str>, K>,
    sub_paths: &[&'p str],
) -> Vec<&'p str> {
    let is_only = volume.projections.as_ref().is_some_and(|all| all.len() == 1);
    let items = projection.items.as_ref();
    let items: Option<BTreeSet<&Path>> = items.map(|all| all.iter().map(|(_, item)| Path::new(item)).collect());
    let exists = |path: &Path| match &items {
        None => found.contains_key(&*path.to_string_lossy()),
        Some(items) => items.range(path..).next().is_some_and(|item| item.starts_with(path)),
    };
    sub_paths.iter().copied().filter(|path| is_only && !exists(Path::new(path))).collect()
}

/// Returns the node with the pod's metadata and spec: the object itself, its template, or (CronJob) the template of its template. Every
/// kind with such a template counts, since there are more than those of Kubernetes itself.
fn template(node: &Node) -> Option<&Node> {
    let spec = node.get("spec")?;
    let is_pod = |node: &&Node| node.get("spec").is_some_and(|spec| spec.get("containers").is_some());
    let job = || spec.get("jobTemplate").and_then(|job| job.get("spec")?.get("template"));
    spec.get("template").filter(is_pod).or_else(|| job().filter(is_pod)).or_else(|| Some(node).filter(is_pod))
}

fn text(node: &Node, key: &str) -> String {
    node.get(key).and_then(Node::as_str).unwrap_or_default().to_owned()
}

fn texts(node: &Node, key: &str) -> Vec<String> {
    let items = node.get(key).map_or(&[][..], Node::items);
    items.iter().filter_map(Node::as_str).map(str::to_owned).collect()
}

fn volume(node: &Node) -> PodVolume {
    let projections = if let Some(source) = node.get("configMap") {
        Some(vec![projection("ConfigMap", text(source, "name"), source)])
    } else if let Some(source) = node.get("secret") {
        Some(vec![projection("Secret", text(source, "secretName"), source)])
    } else {
        let sources = |projected: &Node| {
            projected.get("sources").map_or(&[][..], Node::items).iter().map(projected_source).collect()
        };
        node.get("projected").map(sources)
    };
    PodVolume { name: text(node, "name"), projections, is_empty_dir: node.get("emptyDir").is_some() }
}

fn projected_source(source: &Node) -> Projection {
    for (key, kind) in [("configMap", "ConfigMap"), ("secret", "Secret")] {
        if let Some(source) = source.get(key) {
            return projection(kind, text(source, "name"), source);
        }
    }
    let kind = source.entries().first().and_then(|(key, _)| key.as_str()).unwrap_or_default().to_owned();
    Projection { kind, name: String::new(), items: None, optional: true }
}

fn projection(kind: &str, name: String, source: &Node) -> Projection {
    let item = |item: &Node| (text(item, "key"), text(item, "path"));
    let items = source.get("items").map(|items| items.items().iter().map(item).collect());
    let optional = source.get("optional").and_then(Node::as_str) == Some("true");
    Projection { kind: kind.to_owned(), name, items, optional }
}

fn container(node: &Node) -> Container {
    let list = |key: &str| node.get(key).map_or(&[][..], Node::items);
    let context = node.get("securityContext");
    let added = context.and_then(|context| context.get("capabilities")?.get("add")).map_or(&[][..], Node::items);
    let added = added.iter().filter_map(Node::as_str);
    Container {
        name: text(node, "name"),
        image: text(node, "image"),
        command: texts(node, "command"),
        args: texts(node, "args"),
        env: list("env").iter().map(variable).collect(),
        env_from: list("envFrom").iter().filter_map(variables).collect(),
        mounts: list("volumeMounts").iter().map(mount).collect(),
        is_init: false,
        user: context.and_then(|context| context.get("runAsUser")?.as_str()).map(str::to_owned),
        may_kill: added.into_iter().any(|name| matches!(name, "KILL" | "CAP_KILL" | "ALL")),
    }
}

fn variable(node: &Node) -> (String, EnvValue) {
    let value = match (node.get("value"), node.get("valueFrom")) {
        (_, None) => EnvValue::Text(text(node, "value")),
        (_, Some(from)) => {
            let of = |(field, kind): (&str, &'static str)| {
                let from = from.get(field)?;
                Some(EnvValue::Key { kind, name: text(from, "name"), key: text(from, "key") })
            };
            let fields = [("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")];
            let field = || {
                let path = from.get("fieldRef").map(|field| text(field, "fieldPath"));
                path.or_else(|| from.get("resourceFieldRef").map(|field| text(field, "resource"))).map(EnvValue::Field)
            };
            fields.into_iter().find_map(of).or_else(field).unwrap_or(EnvValue::Unknown)
        }
    };
    (text(node, "name"), value)
}

fn variables(node: &Node) -> Option<EnvFrom> {
    let of = |(field, kind): (&str, &'static str)| Some((kind, text(node.get(field)?, "name")));
    let (kind, name) = [("configMapRef", "ConfigMap"), ("secretRef", "Secret")].into_iter().find_map(of)?;
    Some(EnvFrom { kind, name, prefix: text(node, "prefix") })
}

fn mount(node: &Node) -> VolumeMount {
    // The value of an expression is known in the cluster alone, so it names no file here.
    let sub_path = match text(node, "subPathExpr") {
        expression if expression.is_empty() => text(node, "subPath"),
        expression => expression,
    };
    let is_expression = node.get("subPathExpr").is_some();
    VolumeMount { volume: text(node, "name"), path: text(node, "mountPath"), sub_path, is_expression }
}
