//! How all gates are, as a value that is sent and shown (`docs/stability.md`). Pure.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::excerpt::shortened;
use super::log::{self, visible};
use super::{Event, Kind};
use crate::flow::tree::Digest;

/// How many characters of a message stand in a timeline.
const MESSAGE: usize = 300;
/// How many findings are shown on a terminal.
const FINDINGS: usize = 20;
/// How many decisions are shown on a terminal.
const LAST: usize = 5;

/// All gates of a process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The version of this format.
    pub version: u32,
    /// Whether anything that was accepted is live in every gate.
    pub ready: bool,
    /// Whether the newest content is live in every gate.
    pub live: bool,
    /// The gates.
    pub gates: Vec<GateStatus>,
}

/// One gate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GateStatus {
    /// What people call it.
    pub gate: String,
    /// Whether anything that was accepted is live: the application was proven to run it, or reads it at its next start.
    pub ready: bool,
    /// Whether the newest content is live.
    pub live: bool,
    /// The newest content that could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired: Option<RevisionStatus>,
    /// The newest content that is known to be valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validated: Option<RevisionStatus>,
    /// The content that is known to be live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<RevisionStatus>,
    /// How long the newest content has not been known to be live.
    pub diverged_seconds: f64,
    /// How changes are noticed: `inotify` or `poll`.
    pub watch_mode: String,
    /// Why the newest content is not live: the event that reported it, as it stands in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing: Option<Value>,
    /// How the alerts about this gate fare, one for each sink.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<DeliveryStatus>,
    /// What it decided and did last, the newest at the end.
    #[serde(default)]
    pub recent: Vec<Decision>,
}

/// How the alerts about one gate fare at one sink.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeliveryStatus {
    /// What the sink is called.
    pub sink: String,
    /// `delivered`, `pending`, `failing`, or `idle` if there was nothing to tell.
    pub state: String,
    /// The event that it was told last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// When that was delivered (RFC 3339, UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The event that it is to be told and was not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    /// Why it was not delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One event, in short.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Decision {
    /// When it was reported (RFC 3339, UTC).
    pub timestamp: String,
    /// How loud it is.
    pub level: String,
    /// Its name.
    pub event: String,
    /// The content that it is about, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The beginning of its message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<f64>,
}

impl DeliveryStatus {
    /// How it fares, in words that follow its state.
    pub(super) fn words(&self) -> String {
        let at = self.at.as_ref().map_or_else(String::new, |at| format!(" at {at}"));
        let told = self.about.as_ref().map(|about| format!("`{about}`{at}"));
        match (self.state.as_str(), &self.wanted) {
            ("failing", Some(wanted)) => {
                let told = told.map_or_else(String::new, |told| format!("; last told: {told}"));
                format!("cannot be told of `{wanted}`{told}")
            }
            ("pending", Some(wanted)) => format!("is being told of `{wanted}`"),
            _ => told.unwrap_or_else(|| at.trim_start().to_owned()),
        }
    }

    /// The same in a line for people.
    fn line(&self) -> String {
        let error = self.error.as_ref().filter(|_| self.state == "failing");
        let error = error.map_or_else(String::new, |error| format!(": {}", shortened(error, MESSAGE)));
        let line = format!("alerts {}: {} {}", self.sink, self.state, self.words());
        visible(&format!("{}{error}", line.trim_end())).into_owned()
    }
}

impl Decision {
    /// Whether it is about a sink of alerts or the port, which are told of by themselves, and not about a content.
    fn is_aside(&self) -> bool {
        self.event == Kind::AlertFailed.as_str() || (self.event == Kind::Recovered.as_str() && self.digest.is_none())
    }

    pub(super) fn new(event: &Event, at: SystemTime) -> Self {
        Self {
            timestamp: humantime::format_rfc3339_millis(at).to_string(),
            level: event.level.as_str().to_owned(),
            event: event.kind.as_str().to_owned(),
            digest: event.digest.map(|digest| digest.to_string()),
            message: event.message.as_deref().map(|message| shortened(message, MESSAGE)),
            duration_ms: event.duration.map(log::milliseconds),
        }
    }

    /// The same in a line for people.
    fn line(&self) -> String {
        // Without the fraction of the second, which nobody reads.
        let time = self.timestamp.get(..19).unwrap_or(&self.timestamp);
        let digest = self.digest.as_deref().map_or_else(String::new, |digest| format!(" {}", visible(short(digest))));
        let took = self.duration_ms.map_or_else(String::new, |took| format!(" ({took:.1} ms)"));
        format!("{}Z {}{digest}{took}", visible(time), visible(&self.event))
    }
}

/// The first digits of a digest: enough for people to tell two apart.
pub(super) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// A content.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RevisionStatus {
    /// Its digest, in hexadecimal.
    pub digest: String,
    /// Since when it is what it is (RFC 3339, UTC).
    pub since: String,
}

impl RevisionStatus {
    pub(super) fn new(digest: Digest, since: SystemTime) -> Self {
        Self { digest: digest.to_string(), since: humantime::format_rfc3339_seconds(since).to_string() }
    }

    fn shown(&self) -> String {
        format!("{} since {}", visible(short(&self.digest)), visible(&self.since))
    }
}

impl Status {
    /// The status of these gates.
    #[must_use]
    pub fn of(gates: Vec<GateStatus>) -> Self {
        let (ready, live) = (gates.iter().all(|gate| gate.ready), gates.iter().all(|gate| gate.live));
        Self { version: 1, ready, live, gates }
    }

    /// Whether a rejection stands in any gate.
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        self.gates.iter().any(|gate| gate.reported() == Kind::Rejected.as_str())
    }

    /// The same for people.
    #[must_use]
    pub fn text(&self) -> String {
        self.gates.iter().map(GateStatus::text).collect()
    }
}

impl GateStatus {
    /// The name of the standing report; empty if none stands.
    #[must_use]
    pub fn reported(&self) -> &str {
        self.standing.as_ref().and_then(|event| event["event"].as_str()).unwrap_or_default()
    }

    fn text(&self) -> String {
        let gate = visible(&self.gate);
        let running = self.running.as_ref().map(|running| format!("running {}", running.shown()));
        let mut text = match (&running, self.live) {
            (Some(running), true) => format!("{gate}: live, {running}\n"),
            _ => {
                // Whole seconds are as fine as anybody reads.
                let diverged = Duration::from_secs(
                    Duration::try_from_secs_f64(self.diverged_seconds).unwrap_or_default().as_secs(),
                );
                format!("{gate}: not live for {}\n", humantime::format_duration(diverged))
            }
        };
        if !self.live {
            let desired = self.desired.as_ref().map(|desired| format!("desired {}", desired.shown()));
            for line in desired.into_iter().chain(running) {
                text += &format!("    {line}\n");
            }
        }
        self.standing.iter().for_each(|event| text += &report(event));
        self.alerts.iter().for_each(|alert| text += &format!("    {}\n", alert.line()));
        if !self.live {
            let decisions: Vec<_> = self.recent.iter().filter(|decision| !decision.is_aside()).collect();
            let last = &decisions[decisions.len().saturating_sub(LAST)..];
            last.iter().for_each(|decision| text += &format!("    {}\n", decision.line()));
        }
        text
    }
}

/// A standing report: what, where, and what to do.
fn report(event: &Value) -> String {
    let part = |value: &Value, key: &str| value[key].as_str().map(|text| visible(text).into_owned());
    let name = part(event, "event").unwrap_or_default();
    let message = part(event, "message").map_or_else(String::new, |message| format!(": {message}"));
    let mut text = format!("    {name}{message}\n");
    let findings = event["findings"].as_array().map_or(&[][..], Vec::as_slice);
    for finding in findings.iter().take(FINDINGS) {
        let place = ["line", "column"].iter().filter_map(|key| Some(format!(":{}", finding[key].as_u64()?)));
        let place = part(finding, "file").map(|file| file + &place.collect::<String>() + ": ").unwrap_or_default();
        // The message is the headline of the findings, and is all of them where there is one.
        if findings.len() > 1 {
            text += &format!("      {place}{}\n", part(finding, "message").unwrap_or_default());
        }
        part(finding, "help").iter().for_each(|help| text += &format!("    help: {help}\n"));
    }
    let unsaid = event["findings_left_out"].as_u64().unwrap_or_default();
    let left_out = (findings.len().saturating_sub(FINDINGS) as u64).saturating_add(unsaid);
    if left_out > 0 {
        text += &format!("      and {left_out} more\n");
    }
    part(event, "help").iter().for_each(|help| text += &format!("    help: {help}\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(state: &str, wanted: Option<&str>, about: Option<&str>) -> DeliveryStatus {
        DeliveryStatus {
            sink: "webhook".into(),
            state: state.into(),
            about: about.map(str::to_owned),
            at: about.map(|_| "2026-11-22T23:59:59Z".into()),
            wanted: wanted.map(str::to_owned),
            error: (state == "failing").then(|| "it answered 500".into()),
        }
    }

    #[test]
    fn who_cannot_be_told_is_said_with_what_of() {
        for (alert, line) in [
            (alert("idle", None, None), "alerts webhook: idle"),
            (
                alert("delivered", None, Some("rejected")),
                "alerts webhook: delivered `rejected` at 2026-11-22T23:59:59Z",
            ),
            (alert("pending", Some("rejected"), None), "alerts webhook: pending is being told of `rejected`"),
            (
                alert("failing", Some("rejected"), Some("recovered")),
                "alerts webhook: failing cannot be told of `rejected`; last told: `recovered` at 2026-11-22T23:59:59Z: it \
                 answered 500",
            ),
        ] {
            assert_eq!(alert.line(), line);
        }
    }

    #[test]
    fn a_terminal_is_shown_what_matters() {
        let now = SystemTime::UNIX_EPOCH;
        let decision = |event: Event| Decision::new(&event, now);
        let aside = (0..20).flat_map(|_| [Kind::AlertFailed, Kind::Recovered]).map(|kind| decision(Event::new(kind)));
        let decided = decision(Event::new(Kind::Rejected).about(Digest::of(b"new")));
        let finding = |number: u32| serde_json::json!({ "message": format!("finding {number}") });
        let findings: Vec<_> = (0..100).map(finding).collect();
        let gate = GateStatus {
            gate: "web".into(),
            ready: true,
            live: false,
            desired: None,
            validated: None,
            running: None,
            diverged_seconds: 1.0,
            watch_mode: "inotify".into(),
            standing: Some(serde_json::json!({ "event": "rejected", "findings": findings, "findings_left_out": 900 })),
            alerts: vec![alert("failing", Some("rejected"), None)],
            recent: std::iter::once(decided).chain(aside).collect(),
        };
        let text = gate.text();
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        assert!(
            lines.contains(&"and 980 more") && lines.contains(&"finding 19") && !lines.contains(&"finding 20"),
            "{text}"
        );
        assert!(lines.contains(&"alerts webhook: failing cannot be told of `rejected`: it answered 500"), "{text}");
        assert!(lines[lines.len() - 1].starts_with("1970-01-01T00:00:00Z rejected "), "{text}");
        assert_eq!(text.matches("alert_failed").count(), 0, "{text}");
    }
}
