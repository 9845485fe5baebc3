//! The protocol of the state machine: inputs, effects and policy.

use std::time::Duration;

use reload_gate_contract::{Finding, Verdict};

use crate::flow::process::TargetError;
use crate::flow::reload::Sent;
use crate::flow::snapshot::{Snapshot, SnapshotError};
use crate::flow::tree::Digest;
use crate::flow::validate::Validation;
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
    /// The kernel's events are available again, after a time of polling.
    WatchRestored,
    /// [`Effect::Scan`] is done.
    Scanned(Result<Snapshot, SnapshotError>),
    /// [`Effect::Validate`] is done.
    Validated(Result<Validation, TargetError>),
    /// [`Effect::Publish`] is done: `true` if the content was not published before.
    Published(Result<bool, Finding>),
    /// [`Effect::Reload`] is done.
    Reloaded(Result<Sent, TargetError>),
    /// [`Effect::Verify`] is done.
    Verified(Proof),
    /// The deadline has come.
    Tick,
    /// The gate is asked to end.
    Stop,
}

/// An action that the state machine requests. All except [`Effect::Keep`], [`Effect::Count`], [`Effect::Report`] and [`Effect::Finish`] are answered by an input of the
/// same name.
#[derive(Debug)]
pub enum Effect {
    /// Read the sources.
    Scan,
    /// Validate the content that was scanned last.
    Validate(Digest),
    /// Publish the content that was validated last, or the last-known-good revision if this is its digest.
    Publish(Digest),
    /// Request a reload of the application.
    Reload(Digest),
    /// Verify that the reload took effect; `late` if the time for it has passed once, so that one probe is enough.
    Verify {
        /// The time for it has passed once.
        late: bool,
    },
    /// Keep what is published as the last-known-good revision.
    Keep(Digest),
    /// Count the gate's verdict on the content that was validated last. It may be harder than the validators'.
    Count(Verdict),
    /// Report an event.
    Report(Event),
    /// End; no further effect follows.
    Finish,
}

/// The part of a gate's configuration that the state machine depends on.
#[derive(Clone, Debug)]
pub struct Policy {
    /// An accepted content leads to a reload; otherwise the gate only validates, publishes and reports.
    pub reload: bool,
    /// The application reads what the gate publishes, and not the sources themselves. The gate then validates a copy, which
    /// cannot change meanwhile.
    pub publish: bool,
    /// End if the first content is rejected, so that nothing could be published.
    pub fail_on_empty: bool,
    /// The share of the running files that a content may lose at once, in percent.
    pub max_shrink: u8,
    /// The quiet period of plain directories.
    pub quiet: Duration,
    /// The slow rescan.
    pub poll: Duration,
    /// The time in which an effect in flight may finish after [`Input::Stop`].
    pub grace: Duration,
}
