//! Events of the gates, and all of their renderings. Pure; the sinks are not.

pub mod board;
pub mod client;
pub mod diff;
pub mod excerpt;
pub(crate) mod found;
pub mod log;
pub mod metrics;
pub mod page;
pub mod serve;
pub mod socket;
pub mod status;

use std::path::PathBuf;
use std::time::Duration;

use reload_gate_contract::{Finding, Severity};
use serde::{Deserialize, Serialize};

use crate::flow::tree::Digest;

use excerpt::Excerpt;

/// The kind of an event. The names are stable (`docs/stability.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The gate watches; the message describes validation, reload and verification.
    Started,
    /// There was a wake-up, and the revision is unchanged.
    Unchanged,
    /// All validators accepted a new revision.
    Accepted,
    /// A new revision is wrong, and stays wrong until it changes.
    Rejected,
    /// Validation was not possible; the gate tries again.
    Inconclusive,
    /// An accepted revision is where the application reads it.
    Published,
    /// The reload is requested.
    Reloaded,
    /// The reload is verified.
    Verified,
    /// The reload is not verified.
    Unverified,
    /// The last-known-good revision is live again, in place of one that was not verified.
    Restored,
    /// The incident is over.
    Recovered,
    /// There is no process to reload; the gate waits for it.
    TargetMissing,
    /// The process is there, and the gate must not or may not signal it.
    TargetRefused,
    /// Another process took the place of the target, or the target executed a program anew.
    TargetReplaced,
    /// An accepted content waits: the bounds of reloads are reached, or files change because of the gate itself.
    Deferred,
    /// The known-good revision of the cluster is published, since the newest one cannot be.
    Degraded,
    /// An accepted content waits for the other pods of its group.
    RolloutWaiting,
    /// The group of pods refuses a content.
    RolloutRefused,
    /// The gate may notice changes late: inotify is unavailable or lost events.
    WatchDegraded,
    /// A sink, the listener or the log failed.
    AlertFailed,
    /// The gate ended on request.
    Stopped,
}

impl Kind {
    /// Returns the stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Unchanged => "unchanged",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Inconclusive => "inconclusive",
            Self::Published => "published",
            Self::Reloaded => "reloaded",
            Self::Verified => "verified",
            Self::Unverified => "unverified",
            Self::Restored => "restored",
            Self::Recovered => "recovered",
            Self::TargetMissing => "target_missing",
            Self::TargetRefused => "target_refused",
            Self::TargetReplaced => "target_replaced",
            Self::Deferred => "deferred",
            Self::Degraded => "degraded",
            Self::RolloutWaiting => "rollout_waiting",
            Self::RolloutRefused => "rollout_refused",
            Self::WatchDegraded => "watch_degraded",
            Self::AlertFailed => "alert_failed",
            Self::Stopped => "stopped",
        }
    }

    /// Returns the level of events that do not set another one.
    const fn level(self) -> Level {
        match self {
            Self::Rejected | Self::Unverified | Self::TargetRefused | Self::RolloutRefused => Level::Error,
            Self::Inconclusive
            | Self::TargetMissing
            | Self::WatchDegraded
            | Self::AlertFailed
            | Self::Restored
            | Self::TargetReplaced
            | Self::Deferred
            | Self::Degraded => Level::Warn,
            _ => Level::Info,
        }
    }
}

/// The level of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Everything is well.
    Info,
    /// A person should look at it some time.
    Warn,
    /// A person should look at it now.
    Error,
}

impl Level {
    /// `info`, `warn` or `error`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// One event of one gate. Renderings leave out absent parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The kind.
    pub kind: Kind,
    /// The level.
    pub level: Level,
    /// The message: one line, lower case, no full stop.
    pub message: Option<String>,
    /// The remedy: one imperative sentence.
    pub help: Option<String>,
    /// The revision that the event is about.
    pub digest: Option<Digest>,
    /// The revision that was live before, or that of the incident that is over.
    pub previous: Option<Digest>,
    /// The files in which the two differ.
    pub changed: Vec<PathBuf>,
    /// The findings of the validators.
    pub findings: Vec<Finding>,
    /// The parts of the configuration that may be shown.
    pub shown: Option<Box<Shown>>,
    /// The duration of the step.
    pub duration: Option<Duration>,
    /// The process that the event is about.
    pub pid: Option<i32>,
    /// The signal that was sent, such as `SIGHUP`.
    pub signal: Option<String>,
}

/// The parts of a rejected configuration that may be shown: never a part of a file that may come from a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The lines of the findings. The log does not have them.
    pub excerpts: Vec<Excerpt>,
    /// The differences from the running revision (`--diff`).
    pub diff: Option<String>,
}

impl Event {
    /// Creates an event with nothing but its kind.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            level: kind.level(),
            message: None,
            help: None,
            digest: None,
            previous: None,
            changed: Vec::new(),
            findings: Vec::new(),
            shown: None,
            duration: None,
            pid: None,
            signal: None,
        }
    }

    /// Sets the message.
    #[must_use]
    pub fn message(self, message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), ..self }
    }

    /// Sets the remedy.
    #[must_use]
    pub fn help(self, help: Option<String>) -> Self {
        Self { help, ..self }
    }

    /// Returns the differences from the running revision.
    #[must_use]
    pub fn diff(&self) -> Option<&str> {
        self.shown.as_ref()?.diff.as_deref()
    }

    /// Sets the revision.
    #[must_use]
    pub fn about(self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self }
    }
}

/// Returns the headline of `findings`: the gravest finding with its place.
#[must_use]
pub fn headline(findings: &[Finding]) -> Option<String> {
    let gravest = findings.iter().map(|finding| finding.severity).max()?;
    let finding = findings.iter().find(|finding| finding.severity == gravest)?;
    let place = finding.place.as_ref().map_or_else(String::new, |place| format!("{place}: "));
    let others = findings.iter().filter(|finding| finding.severity == Severity::Error).count().saturating_sub(1);
    let more = if others > 0 { format!(" (and {others} more)") } else { String::new() };
    Some(format!("{place}{}{more}", finding.message))
}
