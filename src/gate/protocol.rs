//! The protocol of the state machine: inputs, effects and policy.

use std::time::{Duration, Instant};

use reload_gate_contract::{Finding, Verdict};

use super::bounds::Budget;
use super::permission::FallenBack;
use crate::flow::process::TargetError;
use crate::flow::reload::Sent;
use crate::flow::snapshot::{Snapshot, SnapshotError};
use crate::flow::tree::Digest;
use crate::flow::validate::{Main, Validation};
use crate::flow::verify::Proof;
use crate::flow::watch::Hint;
use crate::report::Event;

/// An occurrence that the state machine takes in.
#[derive(Debug)]
pub enum Input {
    /// Something changed under a source.
    WatchEvent(Hint),
    /// File events were lost, or are unavailable altogether (`polling`).
    Degraded {
        /// The reason and the remedy.
        message: String,
        /// No events will come from now on.
        polling: bool,
    },
    /// A user asks for a scan (SIGHUP).
    Rescan,
    /// The kernel's events are available again, after a time of polling.
    WatchRestored,
    /// [`Effect::Scan`] is done.
    Scanned(Result<Snapshot, SnapshotError>),
    /// [`Effect::Validate`] is done.
    Validated(Result<Validation, TargetError>),
    /// [`Effect::Publish`] is done: `true` if the content was not published before.
    Published(Result<bool, Finding>),
    /// [`Effect::ComparePublication`] is done: the difference, if there is one.
    Compared(Option<String>),
    /// [`Effect::Keep`] is done.
    Kept {
        /// The content.
        digest: Digest,
        /// The reason why it is not the last-known-good revision, if it is not.
        result: Result<(), Finding>,
    },
    /// [`Effect::Reload`] is done.
    Reloaded(Result<Sent, TargetError>),
    /// [`Effect::Verify`] is done.
    Verified(Proof),
    /// The process that was reloaded or verified last is gone or reads its configuration anew.
    TargetLost {
        /// Its process id.
        pid: i32,
        /// The way in which it was lost.
        loss: Loss,
    },
    /// [`Effect::FindTarget`] is done: the process that is the target now.
    TargetFound(Result<i32, TargetError>),
    /// The group of pods permits the reload of a content.
    Permit {
        /// The content.
        digest: Digest,
        /// The reload has to begin before.
        until: Instant,
    },
    /// A content has to wait for its group.
    Hold {
        /// The content.
        digest: Digest,
        /// The reason.
        reason: String,
    },
    /// The group refuses a content.
    Refuse {
        /// The content.
        digest: Digest,
        /// The reason.
        reason: String,
        /// This pod is the one that refused it.
        own: bool,
        /// The name of the group.
        group: String,
    },
    /// [`Effect::FallBack`] is done: the known-good revision that is published now, if there is one.
    FellBack(Result<Option<FallenBack>, Finding>),
    /// The deadline has come.
    Tick,
    /// The gate is asked to end.
    Stop,
}

/// The way in which a target process was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It ended.
    Ended,
    /// It executed a program, so it has read its configuration again.
    Executed,
    /// It started a successor of itself, as in an upgrade of its binary.
    Superseded,
    /// It has a new generation of workers that the gate did not cause, so it may have read its configuration.
    Renewed {
        /// The start of the first of them.
        since: Option<Instant>,
        /// Only a reload or a crash renews all workers of this program; others do so by themselves.
        by_reload: bool,
    },
}

/// An action that the state machine requests. All except [`Effect::Abandon`], [`Effect::CheckTarget`], [`Effect::Count`],
/// [`Effect::Report`] and [`Effect::Finish`] are answered by an input of the same name.
#[derive(Debug)]
pub enum Effect {
    /// Read the sources.
    Scan(Extent),
    /// Validate the content that was scanned last.
    Validate(Digest),
    /// Publish the content that was validated last, or the last-known-good revision if this is its digest.
    Publish(Digest),
    /// Compare what lies published with what the gate published; answered by [`Input::Compared`].
    ComparePublication,
    /// Request a reload of the application.
    Reload(ReloadRequest),
    /// Verify that the reload took effect; `late` if the time for it has passed once, so that the gate only goes on probing.
    Verify {
        /// The time for it has passed once.
        late: bool,
    },
    /// Drop the effect in flight. Only a late verification is abandoned.
    Abandon,
    /// Find the process that is the target now, and watch it.
    FindTarget,
    /// Compare the watched process with its recorded state; answered by [`Input::TargetLost`] if it is another one.
    CheckTarget,
    /// Publish the known-good revision of the cluster, unless it is the one that is refused; answered by [`Input::FellBack`].
    FallBack {
        /// The content that the group refuses.
        refused: Option<Digest>,
    },
    /// Keep what is published as the last-known-good revision; answered at once by [`Input::Kept`].
    Keep(Digest),
    /// Count the gate's verdict on the content that was validated last. It may be harder than the validators'.
    Count(Verdict),
    /// Report an event.
    Report(Event),
    /// End; no further effect follows.
    Finish,
}

/// The extent of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything, as if nothing was known.
    Whole,
    /// The newest generations of volumes, if a kubelet's update is all that can have changed.
    Newest,
}

/// A reload of one content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReloadRequest {
    /// The content.
    pub digest: Digest,
    /// The time since which the gate has seen this content, without a pause, where the application reads it. A process that
    /// started later has read it at its start.
    pub since: Option<Instant>,
    /// Defer the reload while too many old workers are left (`--max-lingering`).
    pub limit_lingering: bool,
}

/// The part of a gate's configuration that the state machine depends on.
#[derive(Clone, Debug)]
pub struct Policy {
    /// An accepted content leads to a reload; otherwise the gate only validates, publishes and reports.
    pub reload: bool,
    /// The application reads what the gate publishes, and not the sources themselves. The gate then validates a copy, which
    /// cannot change meanwhile.
    pub publish: bool,
    /// An accepted content waits for the permission of its group of pods.
    pub permission: bool,
    /// There is a known-good revision in the cluster for a gate that has nothing else to publish.
    pub fallback: bool,
    /// End after the first decision: with `reload`, after the reload of the content, which is requested even if it is live.
    pub once: bool,
    /// End if the first content is rejected, so that nothing could be published.
    pub fail_on_empty: bool,
    /// The share of the running files that a content may lose at once, in percent.
    pub max_shrink: u8,
    /// The shortest time between two reloads.
    pub min_interval: Duration,
    /// The number of reloads that are permitted in a time.
    pub budget: Option<Budget>,
    /// The file with which validation begins.
    pub main: Main,
    /// The quiet period of plain directories.
    pub quiet: Duration,
    /// The slow rescan.
    pub poll: Duration,
    /// The time in which an effect in flight may finish after [`Input::Stop`].
    pub grace: Duration,
}
