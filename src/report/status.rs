//! How all gates are, as a value that is sent and shown (`docs/stability.md`). Pure.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Kind;
use super::log::visible;
use crate::tree::Digest;

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
    pub desired: Option<Content>,
    /// The newest content that is known to be valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validated: Option<Content>,
    /// The content that is known to be live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<Content>,
    /// How long the newest content has not been known to be live.
    pub diverged_seconds: f64,
    /// How changes are noticed: `inotify` or `poll`.
    pub watch_mode: String,
    /// Why the newest content is not live: the event that reported it, as it stands in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing: Option<Value>,
}

/// A content.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Content {
    /// Its digest, in hexadecimal.
    pub digest: String,
    /// Since when it is what it is (RFC 3339, UTC).
    pub since: String,
}

impl Content {
    pub(super) fn new(digest: Digest, since: SystemTime) -> Self {
        Self { digest: digest.to_string(), since: humantime::format_rfc3339_seconds(since).to_string() }
    }

    fn shown(&self) -> String {
        let short = self.digest.get(..12).unwrap_or(&self.digest);
        format!("{} since {}", visible(short), visible(&self.since))
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
    for finding in findings {
        let place = ["line", "column"].iter().filter_map(|key| Some(format!(":{}", finding[key].as_u64()?)));
        let place = part(finding, "file").map(|file| file + &place.collect::<String>() + ": ").unwrap_or_default();
        // The message is the headline of the findings, and is all of them where there is one.
        if findings.len() > 1 {
            text += &format!("      {place}{}\n", part(finding, "message").unwrap_or_default());
        }
        part(finding, "help").iter().for_each(|help| text += &format!("    help: {help}\n"));
    }
    part(event, "help").iter().for_each(|help| text += &format!("    help: {help}\n"));
    text
}
