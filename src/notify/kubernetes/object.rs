//! An Event as an object of `events.k8s.io/v1`
//! (<https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/>).

use std::time::SystemTime;

use serde_json::{Value, json};

use super::{Announcement, Regarding};

/// The reporting controller.
const CONTROLLER: &str = "reload-gate.dev/reload-gate";
/// The length of an object's name without its suffix (RFC 1123).
const NAME: usize = 200;
/// The length of the name of the reporting instance.
const INSTANCE: usize = 128;

/// The pod, and the ConfigMap of its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodIdentity {
    /// The namespace of both.
    pub namespace: String,
    /// The name of the pod.
    pub pod: String,
    /// Its UID, without which `kubectl describe` does not show its Events.
    pub uid: Option<String>,
    /// The name of the ConfigMap.
    pub configmap: Option<String>,
}

impl PodIdentity {
    fn name(&self, regarding: Regarding) -> &str {
        match regarding {
            Regarding::Pod => &self.pod,
            Regarding::ConfigMap => self.configmap.as_deref().unwrap_or_default(),
        }
    }

    fn reference(&self, regarding: Regarding) -> Value {
        let kind = match regarding {
            Regarding::Pod => "Pod",
            Regarding::ConfigMap => "ConfigMap",
        };
        let mut reference =
            json!({ "apiVersion": "v1", "kind": kind, "namespace": self.namespace, "name": self.name(regarding) });
        if let Some(uid) = self.uid.as_ref().filter(|_| regarding == Regarding::Pod) {
            reference["uid"] = uid.clone().into();
        }
        reference
    }

    /// Returns the name of the object for `announcement`.
    #[must_use]
    pub fn object_name(&self, announcement: &Announcement) -> String {
        let name = self.name(announcement.regarding);
        let name = name.get(..NAME).unwrap_or(name).trim_end_matches(['.', '-']);
        format!("{name}.{}", announcement.suffix)
    }
}

/// Returns the whole object.
#[must_use]
pub fn object(identity: &PodIdentity, announcement: &Announcement) -> Value {
    let mut object = json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": { "namespace": identity.namespace, "name": identity.object_name(announcement) },
        "eventTime": time(announcement.first),
        "reportingController": CONTROLLER,
        "reportingInstance": identity.pod.get(..INSTANCE).unwrap_or(&identity.pod),
        "action": announcement.action,
        "reason": announcement.reason,
        "type": if announcement.warns { "Warning" } else { "Normal" },
        "note": announcement.note,
        "regarding": identity.reference(announcement.regarding),
    });
    if announcement.regarding == Regarding::ConfigMap {
        object["related"] = identity.reference(Regarding::Pod);
    }
    if announcement.count > 1 {
        object["series"] = series(announcement)["series"].take();
    }
    object
}

/// Returns the patch for a repeated report; the API server takes no other change.
#[must_use]
pub fn series(announcement: &Announcement) -> Value {
    json!({ "series": { "count": announcement.count, "lastObservedTime": time(announcement.last) } })
}

/// `MicroTime`: RFC 3339, UTC, with microseconds.
fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_micros(at).to_string()
}
