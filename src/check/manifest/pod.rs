//! Pod templates: which volumes a pod has, and where its containers mount them.

use reload_gate_structured::yaml::Node;

use super::mounted::Given;
use super::object::{Annotated, Id, annotation};

/// A pod, or what pods are made from.
#[derive(Clone, Debug)]
pub struct Pod {
    /// The object it belongs to.
    pub id: Id,
    /// Who judges its configuration, by the annotation of the object or of the template.
    pub validator: Option<Annotated>,
    /// Its volumes.
    pub volumes: Vec<Volume>,
    /// Its containers, those of its initialisation first.
    pub containers: Vec<Container>,
    /// The line of the document at which the object begins.
    pub line: u32,
}

/// A volume, by what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// What mounts call it.
    pub name: String,
    /// What is put together in it; `None` if it is something else than configuration.
    pub projections: Option<Vec<Projection>>,
}

/// A ConfigMap or Secret in a volume; in a projected volume there may be several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projection {
    /// `ConfigMap` or `Secret`; another word for what has no manifest, such as a token.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The keys that are wanted with their paths; all of them under their own names if this is absent.
    pub items: Option<Vec<(String, String)>>,
    /// Whether a pod starts without it, or without one of those keys.
    pub optional: bool,
}

/// A container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// What it executes, in place of the image's entry point.
    pub command: Vec<String>,
    /// The arguments.
    pub args: Vec<String>,
    /// Its own variables.
    pub env: Vec<(String, EnvValue)>,
    /// Objects all of whose entries are variables.
    pub env_from: Vec<EnvFrom>,
    /// Its mounts.
    pub mounts: Vec<Mount>,
}

/// What a variable is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvValue {
    /// This text.
    Text(String),
    /// The entry `key` of the ConfigMap or Secret of that kind and name.
    Key {
        /// `ConfigMap` or `Secret`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The entry.
        key: String,
    },
    /// Something that only the cluster knows.
    Unknown,
}

/// All entries of an object, as variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvFrom {
    /// `ConfigMap` or `Secret`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// What the variables begin with.
    pub prefix: String,
}

/// A volume in the file system of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Which.
    pub volume: String,
    /// Where.
    pub path: String,
    /// What of it; all of it if this is empty.
    pub sub_path: String,
}

impl Pod {
    /// What is wanted by its volumes and does not exist, so that the pod will not start: the volume, and the key of which object.
    pub fn lacks<K>(&self, entries: &Given<'_, K>) -> Vec<(&Volume, &Projection, &str)> {
        let mut lacking = Vec::new();
        for volume in &self.volumes {
            for projection in volume.projections.iter().flatten().filter(|projection| !projection.optional) {
                let Some(found) = entries(&projection.kind, &projection.name) else { continue };
                let keys = projection.items.iter().flatten().map(|(key, _)| key.as_str());
                lacking.extend(keys.filter(|key| !found.contains_key(*key)).map(|key| (volume, projection, key)));
            }
        }
        lacking
    }

    /// Reads the pod template of an object; `None` if it has none.
    pub(super) fn read(id: Id, node: &Node, validator: Option<Annotated>) -> Option<Self> {
        let template = template(node)?;
        let spec = template.get("spec")?;
        let lists = ["initContainers", "containers"].iter().filter_map(|list| spec.get(list));
        let containers: Vec<_> = lists.flat_map(Node::items).map(container).collect();
        let volumes = spec.get("volumes").map_or(&[][..], Node::items).iter().map(volume).collect();
        let validator = validator.or_else(|| annotation(template));
        (!containers.is_empty()).then_some(Self { id, validator, volumes, containers, line: node.line })
    }
}

/// Where the pod's own metadata and spec stand: in the object itself, in its template, or (CronJob) in that of its template. Whatever
/// kind has such a template is taken for one that makes pods: there are more than those of Kubernetes itself.
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

fn volume(node: &Node) -> Volume {
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
    Volume { name: text(node, "name"), projections }
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
    Container {
        name: text(node, "name"),
        image: text(node, "image"),
        command: texts(node, "command"),
        args: texts(node, "args"),
        env: list("env").iter().map(variable).collect(),
        env_from: list("envFrom").iter().filter_map(variables).collect(),
        mounts: list("volumeMounts").iter().map(mount).collect(),
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
            fields.into_iter().find_map(of).unwrap_or(EnvValue::Unknown)
        }
    };
    (text(node, "name"), value)
}

fn variables(node: &Node) -> Option<EnvFrom> {
    let of = |(field, kind): (&str, &'static str)| Some((kind, text(node.get(field)?, "name")));
    let (kind, name) = [("configMapRef", "ConfigMap"), ("secretRef", "Secret")].into_iter().find_map(of)?;
    Some(EnvFrom { kind, name, prefix: text(node, "prefix") })
}

fn mount(node: &Node) -> Mount {
    // An expression of variables is not known before there is a pod, and names no file here.
    let sub_path = match text(node, "subPathExpr") {
        expression if expression.is_empty() => text(node, "subPath"),
        expression => expression,
    };
    Mount { volume: text(node, "name"), path: text(node, "mountPath"), sub_path }
}
