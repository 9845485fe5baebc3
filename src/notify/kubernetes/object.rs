//! An Event as an object of `events.k8s.io/v1`
//! (<https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/>).

use std::time::SystemTime;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event as EventObject, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
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

    fn reference(&self, regarding: Regarding) -> ObjectReference {
        let kind = match regarding {
            Regarding::Pod => "Pod",
            Regarding::ConfigMap => "ConfigMap",
        };
        ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some(kind.to_owned()),
            namespace: Some(self.namespace.clone()),
            name: Some(self.name(regarding).to_owned()),
            uid: self.uid.clone().filter(|_| regarding == Regarding::Pod),
            ..ObjectReference::default()
        }
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
pub fn object(identity: &PodIdentity, announcement: &Announcement) -> EventObject {
    let metadata = ObjectMeta {
        namespace: Some(identity.namespace.clone()),
        name: Some(identity.object_name(announcement)),
        ..ObjectMeta::default()
    };
    let is_of_object = announcement.regarding == Regarding::ConfigMap;
    EventObject {
        metadata,
        event_time: Some(time(announcement.first)),
        reporting_controller: Some(CONTROLLER.to_owned()),
        reporting_instance: Some(identity.pod.get(..INSTANCE).unwrap_or(&identity.pod).to_owned()),
        action: Some(announcement.action.to_owned()),
        reason: Some(announcement.reason.to_owned()),
        type_: Some(if announcement.warns { "Warning" } else { "Normal" }.to_owned()),
        note: Some(announcement.note.clone()),
        regarding: Some(identity.reference(announcement.regarding)),
        related: is_of_object.then(|| identity.reference(Regarding::Pod)),
        series: (announcement.count > 1).then(|| repeated(announcement)),
        ..EventObject::default()
    }
}

/// Returns the patch for a repeated report; the API server takes no other change.
#[must_use]
pub fn series(announcement: &Announcement) -> Value {
    json!({ "series": repeated(announcement) })
}

fn repeated(announcement: &Announcement) -> EventSeries {
    EventSeries {
        count: i32::try_from(announcement.count).unwrap_or(i32::MAX),
        last_observed_time: time(announcement.last),
    }
}

fn time(at: SystemTime) -> MicroTime {
    MicroTime(Timestamp::try_from(at).unwrap_or_default())
}
