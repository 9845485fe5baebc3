//! An alert as JSON, for `--alert-webhook` and `--alert-command` (`docs/alerts.md`).

use serde_json::{Map, Value, json};

use crate::notify::policy::Alert;
use crate::notify::wording::{self, Subject};
use crate::report::log;

/// The object.
#[must_use]
pub fn body(subject: Subject<'_>, alert: &Alert) -> Value {
    let labels: Map<_, _> = subject.labels.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    json!({
        "version": 1,
        "status": wording::status(alert),
        "alert": wording::name(alert.incident),
        "severity": wording::severity(alert.incident),
        "gate": subject.gate,
        "labels": labels,
        "since": wording::time(alert.since),
        "summary": wording::summary(subject.gate, alert),
        "description": wording::description(alert),
        "runbook_url": wording::runbook(alert.incident),
        "event": log::object(subject.gate, &wording::brief(&alert.event), alert.at),
    })
}
