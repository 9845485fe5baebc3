//! Any body is refused, or has a response that an API server takes: JSON with the name of the request, a reason for a denial, warnings
//! within their limits, and no control character. The first byte chooses between bytes as they are and a review around them.

#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

/// Bound of the time for a case, far beyond the length of any.
const LONGEST: Duration = Duration::from_secs(20);

/// Validators that the label names, and a key that fits each.
const LABELS: [(&str, &str); 8] = [
    ("nginx", "nginx.conf"),
    ("yaml", "a.yaml"),
    ("json", "a.json"),
    ("toml", "a.toml"),
    ("xml", "a.xml"),
    ("ini", "a.ini"),
    ("tls", "tls.crt"),
    ("auto", "b"),
];

/// A review of an update, whose parts are separated by a byte that is in no text: the new value, the old one, the annotation that ignores.
fn review(choice: u8, rest: &[u8]) -> Vec<u8> {
    let (label, key) = LABELS[usize::from(choice) % LABELS.len()];
    let parts: Vec<_> = rest.splitn(3, |byte| *byte == 0xff).map(String::from_utf8_lossy).collect();
    let part = |index: usize| parts.get(index).map(|part| part.to_string()).unwrap_or_default();
    let object = |text: String| {
        json!({
            "metadata": {
                "name": "a",
                "labels": {"reload-gate.dev/validate": label},
                "annotations": {"reload-gate.dev/ignore": part(2)},
            },
            "data": {key: text},
        })
    };
    let request = json!({
        "uid": "u",
        "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
        "namespace": "b",
        "operation": "UPDATE",
        "object": object(part(0)),
        "oldObject": object(part(1)),
    });
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
    review.to_string().into_bytes()
}

fuzz_target!(|data: &[u8]| {
    let started = Instant::now();
    let body = match data.split_first() {
        Some((choice, rest)) if choice % 2 == 1 => review(choice / 2, rest),
        _ => data.to_vec(),
    };
    let response = reload_gate::admission_response(&body);
    assert!(started.elapsed() < LONGEST, "{:?} for {} bytes", started.elapsed(), data.len());
    let Some(response) = response else { return };
    let value: Value = serde_json::from_str(&response).expect("it is JSON");
    let response = &value["response"];
    assert!(response["uid"].is_string());
    let message = response["status"]["message"].as_str();
    assert_eq!(response["allowed"].as_bool(), Some(message.is_none()));
    assert!(message.is_none_or(|message| message.chars().all(|c| c == '\n' || !c.is_control())), "{message:?}");
    let warnings: Vec<&str> = response["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert!(warnings.iter().map(|warning| warning.chars().count()).sum::<usize>() <= 4096, "{warnings:?}");
    assert!(warnings.iter().all(|warning| warning.chars().all(|c| !c.is_control())), "{warnings:?}");
});
