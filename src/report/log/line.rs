//! The two shapes of a log line as values; their JSON is stable (`docs/stability.md`). Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::report::Event;
use crate::report::found::Found;

/// The number of findings and of changed files that one line names; of the others it has the count. A log collector cuts lines
/// of any length.
pub(super) const MOST: usize = 100;

/// One event.
#[derive(Default, Serialize)]
pub(super) struct Line<'a> {
    pub(super) timestamp: String,
    pub(super) level: Cow<'a, str>,
    pub(super) event: Cow<'a, str>,
    pub(super) gate: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) help: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) previous: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) changed: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) changed_left_out: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) findings: Vec<Found<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) findings_left_out: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) diff: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) duration_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pid: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signal: Option<Cow<'a, str>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl<'a> Line<'a> {
    /// The line of `event`, without a time.
    pub(super) fn of(gate: &'a str, event: &'a Event) -> Self {
        Self {
            timestamp: String::new(),
            level: event.level.as_str().into(),
            event: event.kind.as_str().into(),
            gate: gate.into(),
            message: event.message.as_deref().map(Cow::from),
            help: event.help.as_deref().map(Cow::from),
            digest: event.digest.map(|digest| digest.to_string()),
            previous: event.previous.map(|digest| digest.to_string()),
            changed: event.changed.iter().take(MOST).map(|path| path.display().to_string()).collect(),
            changed_left_out: event.changed.len().saturating_sub(MOST) as u64,
            findings: event.findings.iter().take(MOST).map(Found::from).collect(),
            findings_left_out: event.findings.len().saturating_sub(MOST) as u64,
            diff: event.diff().map(Cow::from),
            duration_ms: event.duration.map(milliseconds),
            pid: event.pid.map(i64::from),
            signal: event.signal.as_deref().map(Cow::from),
        }
    }

    /// The same line at a time.
    pub(super) fn at(self, at: SystemTime) -> Self {
        Self { timestamp: humantime::format_rfc3339_millis(at).to_string(), ..self }
    }
}

/// A decision or the end of a span.
#[derive(Default, Serialize)]
pub(super) struct DebugLine {
    pub(super) timestamp: String,
    pub(super) level: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) span: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) duration_ms: Option<f64>,
    #[serde(flatten)]
    pub(super) fields: BTreeMap<&'static str, String>,
}

/// A duration in milliseconds, rounded to microseconds.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// One line of JSON. The values have no maps with other keys than strings, so they are always written.
pub(super) fn json(line: &impl Serialize) -> String {
    serde_json::to_string(line).unwrap_or_default() + "\n"
}
