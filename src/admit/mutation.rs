//! Injection of the sidecar into an object that waits to be created. Pure.

use serde_json::Value;

use crate::inject::{self, InjectOptions, Injection};
use crate::report::log::visible;

use super::review::{Answer, CreatedObject};

/// Largest number of characters of a warning, beyond which the API server may cut it (`warning.go` of k8s.io/apiserver).
const LONGEST_WARNING: usize = 250;

/// Largest number of characters of a name, as an API server has it (RFC 1123).
const LONGEST_NAME: usize = 253;

/// Outcome of a request for a sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InjectionOutcome {
    /// The object gets a sidecar.
    Injected,
    /// The object asks for a sidecar, and is left alone.
    Refused,
    /// The object asks for none, or has one.
    Skipped,
}

impl InjectionOutcome {
    /// Returns the name for metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Injected => "injected",
            Self::Refused => "refused",
            Self::Skipped => "skipped",
        }
    }
}

/// Answer for an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InjectionAnswer {
    /// The answer; the object is always allowed.
    pub answer: Answer,
    /// Outcome for metrics.
    pub outcome: InjectionOutcome,
    /// Message and remedy for the log if the object is left alone though it asks for a sidecar.
    pub refusal: Option<(String, String)>,
}

/// Returns the answer for an object. It is always allowed: without a sidecar an application runs as before.
#[must_use]
pub fn answer(created: &CreatedObject, options: &InjectOptions) -> InjectionAnswer {
    let Some(object) = &created.object else {
        return InjectionAnswer { answer: Answer::allowed(), outcome: InjectionOutcome::Skipped, refusal: None };
    };
    let Injection { patch, warnings, added, refused, .. } = inject::patch(object, options);
    let warning = |text: String| visible(&text).chars().take(LONGEST_WARNING).collect::<String>();
    let refusal = warnings.first().filter(|_| refused > 0).map(|remark| {
        let name = name(object, &created.namespace);
        let message = format!("no sidecar in {name} (request {}): {}", created.uid, remark.message);
        (visible(&message).into_owned(), remark.help.clone())
    });
    let warnings = warnings.iter().map(|remark| warning(format!("{}; {}", remark.message, remark.help))).collect();
    let outcome = match (added, refused) {
        (0, 0) => InjectionOutcome::Skipped,
        (_, 0) => InjectionOutcome::Injected,
        _ => InjectionOutcome::Refused,
    };
    let patch = (!patch.is_empty()).then(|| serde_json::to_string(&patch).unwrap_or_default());
    let answer = Answer { patch: patch.filter(|patch| !patch.is_empty()), warnings, ..Answer::allowed() };
    InjectionAnswer { answer, outcome, refusal }
}

/// Returns the name of a pod for people, and that of its owner: a pod that a controller creates has no name of its own yet.
fn name(object: &Value, namespace: &str) -> String {
    let text = |value: &Value| value.as_str().map(|text| text.chars().take(LONGEST_NAME).collect::<String>());
    let metadata = &object["metadata"];
    let kind = text(&object["kind"]).unwrap_or_else(|| "object".to_owned());
    let own = text(&metadata["name"]).or_else(|| text(&metadata["generateName"])).unwrap_or_default();
    let owner = &metadata["ownerReferences"][0];
    let owner = text(&owner["kind"]).zip(text(&owner["name"]));
    let owner = owner.map_or_else(String::new, |(kind, name)| format!(" of {kind} {name}"));
    format!("{kind} {namespace}/{own}{owner}")
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use serde_json::json;

    use super::*;

    /// The review of a pod that asks for a gate.
    fn review(operation: &str, spec: &Value) -> Vec<u8> {
        let metadata = json!({ "generateName": "web-", "annotations": { "reload-gate.dev/inject": "nginx" } });
        let object = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec });
        let request = json!({
            "uid": "u", "kind": { "group": "", "version": "v1", "kind": "Pod" }, "operation": operation,
            "namespace": "web", "object": object,
        });
        json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request }).to_string().into()
    }

    fn spec() -> Value {
        let mounts = json!([{ "name": "config", "mountPath": "/etc/nginx" }]);
        json!({
            "containers": [{ "name": "nginx", "image": "nginx", "volumeMounts": mounts }],
            "volumes": [{ "name": "config", "configMap": { "name": "web" } }],
        })
    }

    #[track_caller]
    fn answered(body: &[u8]) -> (Value, InjectionOutcome) {
        let created = CreatedObject::parse(body).expect("it is a review");
        let InjectionAnswer { answer, outcome, refusal } = answer(&created, &InjectOptions::default());
        assert_eq!(refusal.is_some(), outcome == InjectionOutcome::Refused, "{refusal:?}");
        let response: Value = serde_json::from_str(&answer.response(&created.uid)).expect("it is JSON");
        assert_eq!(response["response"]["allowed"], true, "{response}");
        (response["response"].clone(), outcome)
    }

    #[test]
    fn a_refusal_has_a_message_with_the_owner_of_the_pod() {
        let mut review: Value = serde_json::from_slice(&review("CREATE", &spec())).expect("it is JSON");
        let object = &mut review["request"]["object"];
        object["spec"]["hostPID"] = true.into();
        object["metadata"]["ownerReferences"] = json!([{ "kind": "ReplicaSet", "name": "web-5d4" }]);
        let created = CreatedObject::parse(review.to_string().as_bytes()).expect("it is a review");
        let (message, help) = answer(&created, &InjectOptions::default()).refusal.expect("it is refused");
        let expected =
            "no sidecar in Pod web/web- of ReplicaSet web-5d4 (request u): `hostPID` excludes `shareProcessNamespace`";
        assert_eq!((message.as_str(), help.as_str()), (expected, "write the sidecar by hand"));
    }

    #[test]
    fn a_pod_gets_a_patch() {
        let (response, outcome) = answered(&review("CREATE", &spec()));
        assert_eq!((outcome, &response["patchType"]), (InjectionOutcome::Injected, &json!("JSONPatch")));
        let patch = response["patch"].as_str().expect("it is text");
        let patch = base64::engine::general_purpose::STANDARD.decode(patch).expect("it is base64");
        let patch: Value = serde_json::from_slice(&patch).expect("it is JSON");
        assert_eq!(patch[0]["path"], "/metadata/annotations/reload-gate.dev~1injected");
    }

    #[test]
    fn a_conflict_is_a_short_warning_and_no_denial() {
        let mut spec = spec();
        spec["hostPID"] = true.into();
        let (response, outcome) = answered(&review("CREATE", &spec));
        assert_eq!((outcome, &response["patch"]), (InjectionOutcome::Refused, &Value::Null));
        assert!(response["warnings"][0].as_str().is_some_and(|text| text.contains("hostPID")), "{response}");
    }

    #[test]
    fn a_deletion_and_a_body_of_another_form_get_no_patch() {
        let (response, outcome) = answered(&review("DELETE", &spec()));
        assert_eq!((outcome, &response["patch"]), (InjectionOutcome::Skipped, &Value::Null));
        assert!(CreatedObject::parse(b"{}").is_err());
        assert_eq!(
            CreatedObject::parse(b"[").map_err(|error| error.to_string()).err().as_deref(),
            Some("the body is no AdmissionReview: error at line 1, column 1")
        );
    }
}
