//! What the mind is told, and what it asks for.

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

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// Something stirred under a source.
    WatchEvent(Hint),
    /// Events were lost, or are not to be had at all (`polling`), for this reason.
    Degraded {
        /// Why, and what to do.
        message: String,
        /// Whether there will be no events from now on.
        polling: bool,
    },
    /// The kernel's events are available again, after a time of polling.
    WatchRestored,
    /// [`Effect::Scan`] is done.
    Scanned(Result<Snapshot, SnapshotError>),
    /// [`Effect::Validate`] is done.
    Validated(Result<Validation, TargetError>),
    /// [`Effect::Publish`] is done: it is live, and whether it was not before; or why it could not be.
    Published(Result<bool, Finding>),
    /// [`Effect::Reload`] is done.
    Reloaded(Result<Sent, TargetError>),
    /// [`Effect::Verify`] is done.
    Verified(Proof),
    /// The deadline has come.
    Tick,
    /// The gate is told to end.
    Stop,
}

/// What to do. All but [`Effect::Keep`], [`Effect::Count`], [`Effect::Report`] and [`Effect::Finish`] are answered by an input of the
/// same name.
#[allow(dead_code, reason = "the simulated world compares the digests")]
#[derive(Debug)]
pub enum Effect {
    /// Read the sources.
    Scan,
    /// Ask the validators about the content that was last looked at.
    Validate(Digest),
    /// Put the content that was judged last where the application reads it; or the last known good, if this is its digest.
    Publish(Digest),
    /// Tell the application to read it.
    Reload(Digest),
    /// Find proof that it did; `late` if the time for it was over once, so that one look is enough.
    Verify {
        /// Whether the time for it was over once.
        late: bool,
    },
    /// Remember what is published as the last known good.
    Keep(Digest),
    /// Count the gate's sentence on the content that was judged last. It may be harder than the validators'.
    Count(Verdict),
    /// Tell the world.
    Report(Event),
    /// End; nothing will be asked for any more.
    Finish,
}

/// What a gate does by its configuration, as far as its mind must know it.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Whether an accepted content leads to a reload; if not, the gate only judges, publishes and reports.
    pub reload: bool,
    /// Whether the application reads what the gate publishes, and not the sources themselves. What is judged is then a copy,
    /// so nobody need look again whether it stayed the same.
    pub publish: bool,
    /// Whether to end where the first content is rejected, so that nothing could be published.
    pub fail_on_empty: bool,
    /// How much of its files a content may lose at once, in percent of those that run.
    pub max_shrink: u8,
    /// The quiet period of plain directories.
    pub quiet: Duration,
    /// The slow rescan.
    pub poll: Duration,
    /// How long what is in flight may take to finish after [`Input::Stop`].
    pub grace: Duration,
}
