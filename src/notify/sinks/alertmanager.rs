//! An alert for Alertmanager, for `POST /api/v2/alerts`
//! (<https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>).

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use crate::notify::policy::{Alert, Delivery};
use crate::notify::wording::{self, Subject};
use crate::report::Kind;

/// Alertmanager ends an alert that is not repeated for so many intervals: the gate or its pod is gone. Prometheus uses the same number.
const INTERVALS: u32 = 4;

/// The open alert, and those that are over.
#[must_use]
pub fn body(subject: Subject<'_>, delivery: &Delivery, now: SystemTime, repeat: Duration) -> Value {
    let alert = &*delivery.alert;
    let is_open =
        (!alert.over).then(|| labelled(subject, alert, (alert.incident, alert.since), now + repeat * INTERVALS));
    let stale = delivery.stale.iter().map(|stale| labelled(subject, alert, *stale, now));
    is_open.into_iter().chain(stale).collect()
}

fn labelled(subject: Subject<'_>, alert: &Alert, (incident, since): (Kind, SystemTime), ends: SystemTime) -> Value {
    // Alertmanager identifies an alert by its labels, so no label depends on the revision.
    let mut labels = Map::new();
    for (name, value) in subject.labels {
        labels.insert(name.clone(), value.clone().into());
    }
    for (name, value) in
        [("alertname", wording::name(incident)), ("severity", wording::severity(incident)), ("gate", subject.gate)]
    {
        labels.insert(name.to_owned(), value.into());
    }
    let digest = alert.event.digest.map_or_else(String::new, |digest| digest.to_string());
    json!({
        "labels": labels,
        "annotations": {
            "summary": wording::summary(subject.gate, alert),
            "description": wording::description(alert),
            "digest": digest,
            "runbook_url": wording::runbook(incident),
        },
        "startsAt": wording::time(since.min(ends)),
        "endsAt": wording::time(ends),
    })
}
