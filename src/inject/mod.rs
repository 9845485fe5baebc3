//! The sidecar that an annotation of a pod template asks for: what is added to the template. Pure: values in, values out.
//!
//! The gate runs in the application's own image, as the application's user and with no right that the application lacks, as in
//! `deploy/restricted`: so it works whatever user the image has, and the checker is the program that will run. A template that cannot get
//! a gate stays as it is, with a warning. An injected template has a mark and is never changed again.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use serde_json::Value;

mod application;
mod edit;
mod request;
mod settings;
mod sidecar;
mod text;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use edit::PatchOperation;
pub use text::inject_text;

use edit::PatchBuilder;
use request::{Ineffective, InjectRequest, Requested, ineffective};

/// Annotation of a pod template that asks for a gate; its value is the name of a preset.
const INJECT: &str = "reload-gate.dev/inject";
/// Mark of an injected template; its value is the version that injected it.
const MARK: &str = "reload-gate.dev/injected";
/// Version of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Settings of an injection that do not belong to one template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InjectOptions {
    /// Image of reload-gate, from which the binary is copied.
    pub image: String,
    /// Version of the cluster; the newest if absent.
    pub kubernetes: Option<KubernetesVersion>,
}

/// Version of Kubernetes, without patches. Versions compare by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KubernetesVersion {
    major: u32,
    minor: u32,
}

/// First version with native sidecars ("Sidecar Containers" in Kubernetes' documentation). An older one refuses their probes.
const NATIVE_SIDECARS: KubernetesVersion = KubernetesVersion { major: 1, minor: 29 };

impl FromStr for KubernetesVersion {
    type Err = &'static str;

    /// Reads a version such as `1.31` or `v1.31.2+k3s1`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut numbers = text.trim_start_matches('v').split(['.', '+', '-']).map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Ok(Self { major, minor }),
            _ => Err("expected a version such as `1.31`"),
        }
    }
}

impl Default for InjectOptions {
    fn default() -> Self {
        Self { image: format!("ghcr.io/reload-gate/reload-gate:{VERSION}"), kubernetes: None }
    }
}

/// Result of an injection into one object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Injection {
    /// The JSON Patch (RFC 6902) for the object; empty if nothing is added.
    pub patch: Vec<PatchOperation>,
    /// Templates that ask for a gate and stay as they are, and remarks about injected ones.
    pub warnings: Vec<InjectWarning>,
    /// The object with the patch.
    pub injected: Value,
    /// Number of templates that got a gate now.
    pub added: usize,
    /// Number of templates that ask for a gate and stay without one.
    pub refused: usize,
    /// Number of templates that had a gate before.
    pub before: usize,
}

/// A remark for the author of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InjectWarning {
    /// The object, such as `Deployment web`.
    pub object: String,
    /// The observation: one line, lower case.
    pub message: String,
    /// The remedy, in one imperative sentence.
    pub help: String,
}

impl fmt::Display for InjectWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.object, self.message, self.help)
    }
}

/// A message and its remedy, before it is known which object they are about.
type Remark = (String, String);

/// Returns the patch that adds a gate to each pod template of an object that asks for one.
pub fn patch(object: &Value, options: &InjectOptions) -> Injection {
    let mut builder = PatchBuilder::new(object.clone());
    let mut injection = Injection::default();
    for (at, template) in templates(object) {
        let id = id(object.pointer(&at).unwrap_or(object));
        let mut warn = |(message, help): Remark| {
            injection.warnings.push(InjectWarning { object: id.clone(), message, help });
        };
        match add(&mut builder, &template, options) {
            Ok(Added::Nothing) => {
                if let Some(remark) = misplaced(object, &at, &template) {
                    warn(remark);
                    injection.refused += 1;
                } else if let Some(Ineffective { remark, asks }) = object.pointer(&template).and_then(ineffective) {
                    warn(remark);
                    injection.refused += usize::from(asks);
                }
            }
            Ok(Added::Before(version)) => {
                injection.before += 1;
                if version != VERSION {
                    warn((
                        format!("reload-gate {version} injected the sidecar, and this is {VERSION}"),
                        "inject into the original template to get the newer sidecar".to_owned(),
                    ));
                }
            }
            Ok(Added::Now(remarks)) => {
                remarks.into_iter().for_each(&mut warn);
                injection.added += 1;
            }
            Err(remarks) => {
                remarks.into_iter().for_each(&mut warn);
                injection.refused += 1;
            }
        }
    }
    let (injected, patch) = builder.finish();
    Injection { patch, injected, ..injection }
}

/// Outcome for one template.
enum Added {
    /// It asks for nothing.
    Nothing,
    /// It has a gate since an earlier injection by this version.
    Before(String),
    /// It has a gate now.
    Now(Vec<Remark>),
}

/// Adds a gate to the template at a pointer.
fn add(builder: &mut PatchBuilder, template: &str, options: &InjectOptions) -> Result<Added, Vec<Remark>> {
    let Some(value) = builder.value().pointer(template) else { return Ok(Added::Nothing) };
    let one = |remark: Remark| vec![remark];
    let request = match InjectRequest::of(value).map_err(one)? {
        Requested::Nothing => return Ok(Added::Nothing),
        Requested::Injected(version) => return Ok(Added::Before(version)),
        Requested::Gate(request) => request,
    };
    application::refuse_conflicts(value).map_err(one)?;
    let application = application::find(value, &request).map_err(one)?;
    let sidecar = sidecar::of(&application, &request, options).map_err(one)?;
    settings::refuse_wrong(&sidecar.gate)?;
    let remarks = sidecar.remarks.clone();
    sidecar.add_to(builder, template);
    Ok(Added::Now(remarks))
}

/// Returns the pointers to the objects with a pod template, and to these templates: an object itself, or the items of a list (of lists).
fn templates(object: &Value) -> Vec<(String, String)> {
    let (mut found, mut open) = (Vec::new(), vec![(String::new(), object)]);
    while let Some((at, object)) = open.pop() {
        let is_list = object["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
        if let Some(items) = object["items"].as_array().filter(|_| is_list) {
            open.extend(items.iter().enumerate().rev().map(|(index, item)| (format!("{at}/items/{index}"), item)));
            continue;
        }
        // The template of a workload, that of a CronJob, and a pod itself.
        let places = ["/spec/template", "/spec/jobTemplate/spec/template", ""];
        let is_template = |place: &&str| {
            object.pointer(place).is_some_and(|pod| pod.pointer("/spec/containers").is_some_and(Value::is_array))
        };
        if let Some(place) = places.into_iter().find(is_template) {
            found.push((at.clone(), format!("{at}{place}")));
        }
    }
    found
}

/// Returns the remark about an annotation of an object, or a label, that belongs to the annotations of its template.
fn misplaced(object: &Value, at: &str, template: &str) -> Option<Remark> {
    let asks = |place: &str, map: &str| {
        let value = object.pointer(place).and_then(|object| object["metadata"][map].get(INJECT));
        value.is_some_and(|value| *value != request::NONE)
    };
    let is_decided = object.pointer(template).is_some_and(|pod| !pod["metadata"]["annotations"][INJECT].is_null());
    let message = if at != template && asks(at, "annotations") {
        format!("`{INJECT}` is an annotation of the object, and not of its pods")
    } else if !is_decided && (asks(template, "labels") || asks(at, "labels")) {
        format!("`{INJECT}` is a label, and no annotation")
    } else {
        return None;
    };
    Some((message, "move it to `metadata.annotations` of the pod template".to_owned()))
}

/// Returns the name of an object for people.
fn id(object: &Value) -> String {
    let metadata = &object["metadata"];
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let name = text(&metadata["name"]).or_else(|| text(&metadata["generateName"]));
    let kind = text(&object["kind"]).unwrap_or_else(|| "object".to_owned());
    match (text(&metadata["namespace"]), name) {
        (Some(namespace), Some(name)) => format!("{kind} {namespace}/{name}"),
        (None, Some(name)) => format!("{kind} {name}"),
        (_, None) => kind,
    }
}
