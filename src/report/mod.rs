//! What the gate has to say: one event type, which every sink renders in its own way. Pure; the sinks are not.

pub mod board;
pub mod client;
pub mod diff;
pub mod excerpt;
pub(crate) mod found;
pub mod log;
pub mod metrics;
pub mod page;
pub mod serve;
pub mod status;

use std::path::PathBuf;
use std::time::Duration;

use reload_gate_contract::{Finding, Severity};

use crate::flow::tree::Digest;

use excerpt::Excerpt;

/// What happened. The names are stable (`docs/stability.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The gate is watching; the message says what will judge, be signalled and prove.
    Started,
    /// Something stirred and the content is what it was.
    Unchanged,
    /// A new content passed all validators.
    Accepted,
    /// A new content is wrong, and stays so until it changes.
    Rejected,
    /// A content could not be judged; it will be tried again.
    Inconclusive,
    /// An accepted content is where the application reads it.
    Published,
    /// The application was told to read the new content.
    Reloaded,
    /// There is proof that it did.
    Verified,
    /// There is no proof that it did.
    Unverified,
    /// The last known good is live again, in place of one that was not proven.
    Restored,
    /// What was wrong before is right now.
    Recovered,
    /// The process to signal is not there; it is waited for.
    TargetMissing,
    /// The process to signal was found but must not, or may not, be signalled.
    TargetRefused,
    /// Another process took the place of the target, or the target executed a program anew.
    TargetReplaced,
    /// An accepted content waits: the bounds of reloads are reached, or files change because of the gate itself.
    Deferred,
    /// Changes may be seen late: the kernel's events are not to be had.
    WatchDegraded,
    /// What should reach people or their programs by another way than the log does not.
    AlertFailed,
    /// The gate ended as it was told to.
    Stopped,
}

impl Kind {
    /// The stable name.
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
            Self::WatchDegraded => "watch_degraded",
            Self::AlertFailed => "alert_failed",
            Self::Stopped => "stopped",
        }
    }

    /// How loud it is unless the event says otherwise.
    const fn level(self) -> Level {
        match self {
            Self::Rejected | Self::Unverified | Self::TargetRefused => Level::Error,
            Self::Inconclusive
            | Self::TargetMissing
            | Self::WatchDegraded
            | Self::AlertFailed
            | Self::Restored
            | Self::TargetReplaced
            | Self::Deferred => Level::Warn,
            _ => Level::Info,
        }
    }
}

/// How loud an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// All is well.
    Info,
    /// Somebody should look at it some time.
    Warn,
    /// Somebody should look at it now.
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

/// One thing that happened in one gate. Absent parts are left out of every rendering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: Kind,
    /// How loud it is.
    pub level: Level,
    /// What happened, in words; one line, lower case, no full stop.
    pub message: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
    /// The content it is about.
    pub digest: Option<Digest>,
    /// The content that was live before, or whose trouble is over.
    pub previous: Option<Digest>,
    /// The files in which the two differ.
    pub changed: Vec<PathBuf>,
    /// What the validators found.
    pub findings: Vec<Finding>,
    /// What may be shown of the content itself.
    pub shown: Option<Box<Shown>>,
    /// How long it took.
    pub duration: Option<Duration>,
    /// The process it is about.
    pub pid: Option<i32>,
    /// The signal that was sent, such as `SIGHUP`.
    pub signal: Option<String>,
}

/// What may be shown of a content that was refused: never anything of a file that may come from a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The lines that the findings are about. Not in the log, which is not for contents.
    pub excerpts: Vec<Excerpt>,
    /// How it differs from the content that runs, if that is asked for (`--diff`).
    pub diff: Option<String>,
}

impl Event {
    /// An event with nothing but its name.
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

    /// The same event, in words.
    #[must_use]
    pub fn message(self, message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), ..self }
    }

    /// The same event, with a remedy.
    #[must_use]
    pub fn help(self, help: Option<String>) -> Self {
        Self { help, ..self }
    }

    /// How the content differs from the one that runs, if that is to be shown.
    #[must_use]
    pub fn diff(&self) -> Option<&str> {
        self.shown.as_ref()?.diff.as_deref()
    }

    /// The same event, about a content.
    #[must_use]
    pub fn about(self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self }
    }
}

/// The first line that a person should read of `findings`: the gravest, with its place.
#[must_use]
pub fn headline(findings: &[Finding]) -> Option<String> {
    let gravest = findings.iter().map(|finding| finding.severity).max()?;
    let finding = findings.iter().find(|finding| finding.severity == gravest)?;
    let place = finding.place.as_ref().map_or_else(String::new, |place| format!("{place}: "));
    let others = findings.iter().filter(|finding| finding.severity == Severity::Error).count().saturating_sub(1);
    let more = if others > 0 { format!(" (and {others} more)") } else { String::new() };
    Some(format!("{place}{}{more}", finding.message))
}
