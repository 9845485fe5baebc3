//! The status of all gates, as a value for transport and display (`docs/stability.md`). Pure.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::excerpt::shortened;
use super::log::{self, visible};
use super::{Event, Kind, Level};
use crate::flow::tree::Digest;

/// The length of a message in the timeline, in characters.
const MESSAGE: usize = 300;
/// The number of findings on a terminal.
const FINDINGS: usize = 20;
/// The number of pods of a group on a terminal.
const PODS: usize = 20;
/// The number of decisions on a terminal.
const LAST: usize = 5;

/// All gates of a process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The version of this format.
    pub version: u32,
    /// True if every gate has an accepted revision live.
    pub ready: bool,
    /// True if every gate has its newest revision live.
    pub live: bool,
    /// The gates.
    pub gates: Vec<GateStatus>,
}

/// One gate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GateStatus {
    /// Its name.
    pub gate: String,
    /// True if an accepted revision is live: the application runs it, or reads it at its next start.
    pub ready: bool,
    /// True if the newest revision is live.
    pub live: bool,
    /// The newest revision that could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired: Option<RevisionStatus>,
    /// The newest valid revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validated: Option<RevisionStatus>,
    /// The revision that is live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<RevisionStatus>,
    /// The time for which the newest revision has not been known to be live.
    pub diverged_seconds: f64,
    /// The way in which changes are noticed: `inotify` or `poll`.
    pub watch_mode: String,
    /// The open incident: the event that reported it, as in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing: Option<Value>,
    /// The roll-out of the gate's group, as this pod knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,
    /// The alerts about this gate, by sink.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<DeliveryStatus>,
    /// The last decisions, the newest at the end.
    #[serde(default)]
    pub recent: Vec<Decision>,
}

/// The roll-out of a group of pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutStatus {
    /// The name of the group.
    pub group: String,
    /// `idle`, `first`, `soaking`, `wave`, `done`, `refused` or `given-up`.
    pub phase: String,
    /// The newest revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// True if a person has paused it.
    pub paused: bool,
    /// The pod that leads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// The number of pods that take part.
    pub pods: usize,
    /// The number of pods that have verified it.
    pub verified: usize,
    /// The number of pods whose reload is permitted and not proven yet.
    pub unproven: usize,
    /// The pod that did not take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_by: Option<String>,
    /// The reason of the refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The reason why the API server cannot be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
    /// The pods that take part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MemberStatus>,
}

/// A pod in the roll-out of its group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Its name.
    pub pod: String,
    /// True if it has verified the newest revision.
    pub verified: bool,
    /// The time at which it did, by its own clock (RFC 3339, UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

impl MemberStatus {
    /// Returns one line for people.
    fn line(&self, is_taken: bool) -> String {
        let (pod, since) = (visible(&self.pod), self.since.as_deref().map(visible));
        match (self.verified, is_taken, since) {
            (true, true, Some(since)) => format!("{pod}: has it since {since}"),
            (true, true, None) => format!("{pod}: has it"),
            (true, false, Some(since)) => format!("{pod}: had verified it at {since}"),
            (true, false, None) => format!("{pod}: had verified it"),
            (false, true, _) => format!("{pod}: waits for it"),
            (false, false, _) => format!("{pod}: does not have it"),
        }
    }
}

impl RolloutStatus {
    /// Returns false if no pod takes the newest revision any more, so that those which had verified it are not on their way to it.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        !matches!(self.phase.as_str(), "refused" | "given-up")
    }

    /// Returns the numbers of pods in words.
    #[must_use]
    pub fn counts(&self) -> String {
        let Self { verified, pods, unproven, .. } = self;
        if self.is_taken() {
            return format!("{verified} of {pods} pods have it, {unproven} unproven");
        }
        let unproven = if *unproven > 0 { format!(", {unproven} unproven") } else { String::new() };
        let before = if *verified > 0 { format!(", {verified} had verified it before") } else { String::new() };
        format!("no pod takes it{before}{unproven}")
    }

    /// Returns the progress in words.
    #[must_use]
    pub fn words(&self) -> String {
        let paused = if self.paused { ", paused" } else { "" };
        let digest = self.digest.as_deref().map_or_else(String::new, |digest| format!(" of {}", short(digest)));
        let counts = self.counts();
        let leader = self.leader.as_ref().map_or_else(String::new, |leader| format!(", led by {leader}"));
        let refused = self.refused_by.as_ref().zip(self.reason.as_ref());
        let refused = refused.map_or_else(String::new, |(by, reason)| format!(", refused by {by}: {reason}"));
        let lost = self.lost.as_ref().map_or_else(String::new, |lost| format!("; {lost}"));
        format!("{}{paused}{digest}: {counts}{leader}{refused}{lost}", self.phase)
    }
}

/// The state of the alerts about one gate at one sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// There was nothing to deliver.
    Idle,
    /// A delivery is in flight or waits.
    Pending,
    /// The newest alert is delivered.
    Delivered,
    /// The last delivery failed.
    Failing,
}

impl DeliveryState {
    /// Returns the stable name.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failing => "failing",
        }
    }
}

/// The alerts about one gate at one sink.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeliveryStatus {
    /// The name of the sink.
    pub sink: String,
    /// `delivered`, `pending`, `failing`, or `idle` if there was nothing to deliver.
    pub state: DeliveryState,
    /// The event that was delivered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<Kind>,
    /// The time of that delivery (RFC 3339, UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The event that is not delivered yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Kind>,
    /// The error of the last delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One event, in short.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Decision {
    /// The time of the report (RFC 3339, UTC).
    pub timestamp: String,
    /// Its level.
    pub level: Level,
    /// Its name.
    pub event: Kind,
    /// Its revision, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The beginning of its message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Its duration, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<f64>,
}

impl DeliveryStatus {
    /// Returns the state in words that follow it.
    pub(super) fn words(&self) -> String {
        let at = self.at.as_ref().map_or_else(String::new, |at| format!(" at {at}"));
        let delivered = self.about.map(|about| format!("`{}`{at}", about.as_str()));
        match (self.state, self.wanted.map(Kind::as_str)) {
            (DeliveryState::Failing, Some(wanted)) => {
                let last = delivered.map_or_else(String::new, |delivered| format!("; last delivered: {delivered}"));
                format!("cannot deliver `{wanted}`{last}")
            }
            (DeliveryState::Pending, Some(wanted)) => format!("delivering `{wanted}`"),
            _ => delivered.unwrap_or_else(|| at.trim_start().to_owned()),
        }
    }

    /// Returns one line for people.
    fn line(&self) -> String {
        let error = self.error.as_ref().filter(|_| self.state == DeliveryState::Failing);
        let error = error.map_or_else(String::new, |error| format!(": {}", shortened(error, MESSAGE)));
        let line = format!("alerts {}: {} {}", self.sink, self.state.as_str(), self.words());
        visible(&format!("{}{error}", line.trim_end())).into_owned()
    }
}

impl Decision {
    /// Returns true if the event is about a sink or the listener, which are shown by themselves, and not about a revision.
    fn is_aside(&self) -> bool {
        self.event == Kind::AlertFailed || (self.event == Kind::Recovered && self.digest.is_none())
    }

    pub(super) fn new(event: &Event, at: SystemTime) -> Self {
        Self {
            timestamp: humantime::format_rfc3339_millis(at).to_string(),
            level: event.level,
            event: event.kind,
            digest: event.digest.map(|digest| digest.to_string()),
            message: event.message.as_deref().map(|message| shortened(message, MESSAGE)),
            duration_ms: event.duration.map(log::milliseconds),
        }
    }

    /// Returns one line for people.
    fn line(&self) -> String {
        // Without the fraction of the second.
        let time = self.timestamp.get(..19).unwrap_or(&self.timestamp);
        let digest = self.digest.as_deref().map_or_else(String::new, |digest| format!(" {}", visible(short(digest))));
        let took = self.duration_ms.map_or_else(String::new, |took| format!(" ({took:.1} ms)"));
        format!("{}Z {}{digest}{took}", visible(time), self.event.as_str())
    }
}

/// Returns the first digits of a digest, enough for people to tell two apart.
pub(super) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// A revision.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RevisionStatus {
    /// Its digest, in hexadecimal.
    pub digest: String,
    /// The time since which it has had its state (RFC 3339, UTC).
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
    /// Returns the status of these gates.
    #[must_use]
    pub fn of(gates: Vec<GateStatus>) -> Self {
        let (ready, live) = (gates.iter().all(|gate| gate.ready), gates.iter().all(|gate| gate.live));
        Self { version: 1, ready, live, gates }
    }

    /// Returns true if a gate has an open rejection.
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        self.gates.iter().any(|gate| gate.reported() == Kind::Rejected.as_str())
    }

    /// Returns the status as text for people.
    #[must_use]
    pub fn text(&self) -> String {
        self.gates.iter().map(GateStatus::text).collect()
    }
}

impl GateStatus {
    /// Returns the name of the open incident; empty without one.
    #[must_use]
    pub fn reported(&self) -> &str {
        self.standing.as_ref().and_then(|event| event["event"].as_str()).unwrap_or_default()
    }

    /// Returns the report that the target has ended and has no successor, where the open incident is about another matter.
    fn end_of_target(&self) -> Option<String> {
        let replaced = self.recent.iter().rev().find(|decision| decision.event == Kind::TargetReplaced)?;
        let is_about_target =
            [Kind::TargetMissing, Kind::TargetRefused].iter().any(|kind| kind.as_str() == self.reported());
        let is_open = self.standing.is_some() && !is_about_target && replaced.level == Level::Error;
        let message = replaced.message.as_deref().filter(|_| is_open)?;
        Some(format!("{}: {}", replaced.event.as_str(), visible(message)))
    }

    /// Returns `true` if the newest content could not be read: the verdict that is open is about none that has a digest.
    fn is_unreadable(&self) -> bool {
        let of = |revision: &Option<RevisionStatus>| revision.as_ref().map(|revision| revision.digest.clone());
        let is_verdict = [Kind::Rejected, Kind::Inconclusive].iter().any(|kind| kind.as_str() == self.reported());
        is_verdict && self.running.is_some() && of(&self.running) == of(&self.desired)
    }

    fn text(&self) -> String {
        let gate = visible(&self.gate);
        let running = self.running.as_ref().map(|running| format!("running {}", running.shown()));
        let mut text = match (&running, self.live) {
            (Some(running), true) => format!("{gate}: live, {running}\n"),
            (None, true) => {
                let validated =
                    self.validated.as_ref().map_or_else(String::new, |revision| format!(", {}", revision.shown()));
                format!("{gate}: accepted, not reloaded by this gate{validated}\n")
            }
            (_, false) => {
                // Without fractions of a second.
                let diverged = Duration::from_secs(
                    Duration::try_from_secs_f64(self.diverged_seconds).unwrap_or_default().as_secs(),
                );
                format!("{gate}: not live for {}\n", humantime::format_duration(diverged))
            }
        };
        if !self.live {
            let desired = self.desired.as_ref().map(|desired| match self.is_unreadable() {
                true => "desired unknown: what lies in the sources cannot be read".to_owned(),
                false => format!("desired {}", desired.shown()),
            });
            for line in desired.into_iter().chain(running) {
                text += &format!("    {line}\n");
            }
        }
        if let Some(rollout) = &self.rollout {
            text += &format!("    roll-out {}: {}\n", visible(&rollout.group), visible(&rollout.words()));
            let is_taken = rollout.is_taken();
            rollout.members.iter().take(PODS).for_each(|pod| text += &format!("      {}\n", pod.line(is_taken)));
            let more = rollout.members.len().saturating_sub(PODS);
            if more > 0 {
                text += &format!("      and {more} more: `reload-gate rollout status {}`\n", visible(&rollout.group));
            }
        }
        self.standing.iter().for_each(|event| text += &report(event));
        self.end_of_target().iter().for_each(|line| text += &format!("    {line}\n"));
        self.alerts.iter().for_each(|alert| text += &format!("    {}\n", alert.line()));
        if !self.live {
            let decisions: Vec<_> = self.recent.iter().filter(|decision| !decision.is_aside()).collect();
            let last = &decisions[decisions.len().saturating_sub(LAST)..];
            last.iter().for_each(|decision| text += &format!("    {}\n", decision.line()));
        }
        text
    }
}

/// An open incident with its findings and remedy.
fn report(event: &Value) -> String {
    let part = |value: &Value, key: &str| value[key].as_str().map(|text| visible(text).into_owned());
    let name = part(event, "event").unwrap_or_default();
    let message = part(event, "message").map_or_else(String::new, |message| format!(": {message}"));
    let mut text = format!("    {name}{message}\n");
    let findings = event["findings"].as_array().map_or(&[][..], Vec::as_slice);
    for finding in findings.iter().take(FINDINGS) {
        let place = ["line", "column"].iter().filter_map(|key| Some(format!(":{}", finding[key].as_u64()?)));
        let place = part(finding, "file").map(|file| file + &place.collect::<String>() + ": ").unwrap_or_default();
        // The message is the headline of the findings, and is all of them if there is one.
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

    fn alert(state: DeliveryState, wanted: Option<Kind>, about: Option<Kind>) -> DeliveryStatus {
        DeliveryStatus {
            sink: "webhook".into(),
            state,
            about,
            at: about.map(|_| "2026-11-22T23:59:59Z".into()),
            wanted,
            error: (state == DeliveryState::Failing).then(|| "it answered 500".into()),
        }
    }

    #[test]
    fn a_line_has_the_state_and_the_pending_event_of_a_sink() {
        for (alert, line) in [
            (alert(DeliveryState::Idle, None, None), "alerts webhook: idle"),
            (
                alert(DeliveryState::Delivered, None, Some(Kind::Rejected)),
                "alerts webhook: delivered `rejected` at 2026-11-22T23:59:59Z",
            ),
            (
                alert(DeliveryState::Pending, Some(Kind::Rejected), None),
                "alerts webhook: pending delivering `rejected`",
            ),
            (
                alert(DeliveryState::Failing, Some(Kind::Rejected), Some(Kind::Recovered)),
                "alerts webhook: failing cannot deliver `rejected`; last delivered: `recovered` at 2026-11-22T23:59:59Z: it \
                 answered 500",
            ),
        ] {
            assert_eq!(alert.line(), line);
        }
    }

    fn rollout(phase: &str, verified: [bool; 2]) -> RolloutStatus {
        let member = |(pod, verified): (&str, bool)| MemberStatus {
            pod: pod.into(),
            verified,
            since: verified.then(|| "2026-11-22T23:59:59Z".into()),
        };
        RolloutStatus {
            group: "web".into(),
            phase: phase.into(),
            digest: Some("0123456789abcdef".into()),
            paused: false,
            leader: None,
            pods: 2,
            verified: verified.iter().filter(|verified| **verified).count(),
            unproven: 0,
            refused_by: (phase == "refused").then(|| "web-1".into()),
            reason: (phase == "refused").then(|| "no new worker".into()),
            lost: None,
            members: ["web-0", "web-1"].into_iter().zip(verified).map(member).collect(),
        }
    }

    #[test]
    fn a_roll_out_names_the_time_of_each_pod() {
        let lines = |rollout: &RolloutStatus| {
            let is_taken = rollout.is_taken();
            rollout.members.iter().map(|pod| pod.line(is_taken)).collect::<Vec<_>>()
        };
        let wave = rollout("wave", [true, false]);
        assert_eq!(wave.words(), "wave of 0123456789ab: 1 of 2 pods have it, 0 unproven");
        assert_eq!(lines(&wave), ["web-0: has it since 2026-11-22T23:59:59Z", "web-1: waits for it"]);
        let refused = rollout("refused", [true, false]);
        assert_eq!(lines(&refused), ["web-0: had verified it at 2026-11-22T23:59:59Z", "web-1: does not have it"]);
    }

    #[test]
    fn no_pod_is_counted_for_a_refused_revision() {
        let words = rollout("refused", [true, true]).words();
        let expected =
            "refused of 0123456789ab: no pod takes it, 2 had verified it before, refused by web-1: no new worker";
        assert_eq!(words, expected);
        assert_eq!(rollout("given-up", [false, false]).words(), "given-up of 0123456789ab: no pod takes it");
    }

    #[test]
    fn an_end_of_the_target_is_shown_until_it_has_a_successor() {
        let decision = |level, message: &str| {
            let event = Event::new(Kind::TargetReplaced).message(message);
            Decision::new(&Event { level, ..event }, SystemTime::UNIX_EPOCH)
        };
        let gate = |kind: Kind, recent: Vec<Decision>| GateStatus {
            gate: "web".into(),
            ready: true,
            live: false,
            desired: None,
            validated: None,
            running: None,
            diverged_seconds: 1.0,
            watch_mode: "inotify".into(),
            rollout: None,
            standing: Some(serde_json::json!({ "event": kind.as_str() })),
            alerts: Vec::new(),
            recent,
        };
        let ended = || decision(Level::Error, "pid 5 has ended");
        let line = "target_replaced: pid 5 has ended";
        let is_shown = |gate: GateStatus| gate.text().lines().any(|shown| shown.trim() == line);
        assert!(is_shown(gate(Kind::Rejected, vec![ended()])), "it has ended");
        assert!(!is_shown(gate(Kind::Rejected, vec![ended(), decision(Level::Info, "pid 6")])), "it has a successor");
        assert!(!is_shown(gate(Kind::TargetMissing, vec![ended()])), "the incident says it");
    }

    #[test]
    fn a_content_that_cannot_be_read_is_not_called_the_running_one() {
        let revision = |content: &[u8]| {
            let since = "2026-01-01T00:00:00Z".to_owned();
            Some(RevisionStatus { digest: Digest::of(content).to_string(), since })
        };
        let text = |event: &str, desired: &[u8]| {
            let gate = GateStatus {
                gate: "web".into(),
                ready: true,
                live: false,
                desired: revision(desired),
                validated: None,
                running: revision(b"one"),
                diverged_seconds: 1.0,
                watch_mode: "inotify".into(),
                rollout: None,
                standing: Some(serde_json::json!({ "event": event })),
                alerts: Vec::new(),
                recent: Vec::new(),
            };
            gate.text()
        };
        assert!(text("rejected", b"one").contains("desired unknown: what lies in the sources cannot be read\n"));
        assert!(text("rejected", b"two").contains("desired 3fc4ccfe7458 since"), "{}", text("rejected", b"two"));
        assert!(text("target_missing", b"one").contains("desired 7692c3ad3540 since"), "it is about the target");
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
            rollout: None,
            standing: Some(serde_json::json!({ "event": "rejected", "findings": findings, "findings_left_out": 900 })),
            alerts: vec![alert(DeliveryState::Failing, Some(Kind::Rejected), None)],
            recent: std::iter::once(decided).chain(aside).collect(),
        };
        let text = gate.text();
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        assert!(
            lines.contains(&"and 980 more") && lines.contains(&"finding 19") && !lines.contains(&"finding 20"),
            "{text}"
        );
        assert!(lines.contains(&"alerts webhook: failing cannot deliver `rejected`: it answered 500"), "{text}");
        assert!(lines[lines.len() - 1].starts_with("1970-01-01T00:00:00Z rejected "), "{text}");
        assert_eq!(text.matches("alert_failed").count(), 0, "{text}");
    }
}
