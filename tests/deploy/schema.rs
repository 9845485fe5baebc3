//! Manifests as values, and as their published schemas want them. A field that is not in those is wrong.

use std::fs;
use std::path::Path;

use reload_gate_structured::yaml::{self, Node, Style};
use serde_json::Value;

/// The kinds that may stand in `deploy/`, and where they are described (`fixtures/kubernetes/extract.py`).
const KINDS: [(&str, &str, &str, &str); 19] = [
    ("apps/v1", "Deployment", "v1.31.json", "V1Deployment"),
    ("apps/v1", "StatefulSet", "v1.31.json", "V1StatefulSet"),
    ("apps/v1", "DaemonSet", "v1.31.json", "V1DaemonSet"),
    ("batch/v1", "CronJob", "v1.31.json", "V1CronJob"),
    ("v1", "Pod", "v1.31.json", "V1Pod"),
    ("v1", "ConfigMap", "v1.31.json", "V1ConfigMap"),
    ("v1", "Namespace", "v1.31.json", "V1Namespace"),
    ("v1", "Secret", "v1.31.json", "V1Secret"),
    ("v1", "Service", "v1.31.json", "V1Service"),
    ("v1", "ServiceAccount", "v1.31.json", "V1ServiceAccount"),
    ("rbac.authorization.k8s.io/v1", "Role", "v1.31.json", "V1Role"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", "v1.31.json", "V1RoleBinding"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", "v1.31.json", "V1ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "v1.31.json", "V1ClusterRoleBinding"),
    ("policy/v1", "PodDisruptionBudget", "v1.31.json", "V1PodDisruptionBudget"),
    ("networking.k8s.io/v1", "NetworkPolicy", "v1.31.json", "V1NetworkPolicy"),
    (
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
        "v1.31.json",
        "V1ValidatingWebhookConfiguration",
    ),
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "v1.31.json", "V1MutatingWebhookConfiguration"),
    ("apps/v1beta1", "Deployment", "v1.15-v1beta1.json", "AppsV1beta1Deployment"),
];

/// What a file of one YAML document says.
#[track_caller]
pub(super) fn read(path: &Path) -> Value {
    parse(&fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// What a text of one YAML document says.
#[track_caller]
pub(crate) fn parse(text: &str) -> Value {
    let node = yaml::parse(text).unwrap_or_else(|broken| panic!("{broken:?}: {text}"));
    value(&node.expect("there is a document"))
}

/// What a stream of YAML documents says.
#[track_caller]
pub(crate) fn stream(text: &str) -> Vec<Value> {
    let documents =
        yaml::documents(text).map(|document| document.unwrap_or_else(|broken| panic!("{broken:?}: {text}")));
    documents.map(|document| value(&document.root)).filter(|value| !value.is_null()).collect()
}

/// A piece of YAML as JSON has it: a plain scalar that looks like a number or a boolean is one (the core schema of YAML 1.2).
fn value(node: &Node) -> Value {
    match &node.value {
        yaml::Value::Null => Value::Null,
        yaml::Value::List(items) => items.iter().map(value).collect(),
        yaml::Value::Map(entries) => {
            entries.iter().map(|(key, of)| (key.as_str().expect("it is text").to_owned(), value(of))).collect()
        }
        yaml::Value::Scalar(scalar) => {
            let typed = serde_json::from_str(&scalar.text).ok().filter(|_| scalar.style == Style::Plain);
            typed.unwrap_or_else(|| (*scalar.text).into())
        }
    }
}

/// What is wrong with a manifest, by the schema of its kind.
pub(crate) fn violations(manifest: &Value) -> Vec<String> {
    let (version, kind) = (&manifest["apiVersion"], &manifest["kind"]);
    let Some((_, _, file, definition)) = KINDS.iter().find(|(v, k, ..)| version == v && kind == k) else {
        return vec![format!("{version} {kind}: no schema for it is here")];
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/kubernetes").join(file);
    let mut schema: Value = serde_json::from_str(&fs::read_to_string(path).expect("it is there")).expect("it is JSON");
    schema["$ref"] = format!("#/definitions/{definition}").into();
    let validator = jsonschema::validator_for(&schema).expect("it is a schema");
    validator.iter_errors(manifest).map(|error| format!("{}: {error}", error.instance_path())).collect()
}
