//! A notice for any program: what `--alert-webhook` is sent and `--alert-command` reads (`docs/alerts.md`).

use serde_json::{Map, Value, json};

use crate::notify::policy::Notice;
use crate::notify::wording::{self, Subject};
use crate::report::log;

/// The object.
#[must_use]
pub fn body(subject: Subject<'_>, notice: &Notice) -> Value {
    let labels: Map<_, _> = subject.labels.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    json!({
        "version": 1,
        "status": wording::status(notice),
        "alert": wording::name(notice.trouble),
        "severity": wording::severity(notice.trouble),
        "gate": subject.gate,
        "labels": labels,
        "since": wording::time(notice.since),
        "summary": wording::summary(subject.gate, notice),
        "description": wording::description(notice),
        "runbook_url": wording::runbook(notice.trouble),
        "event": log::object(subject.gate, &wording::brief(&notice.event), notice.at),
    })
}
