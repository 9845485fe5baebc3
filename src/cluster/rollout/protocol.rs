//! The protocol of the roll-out: inputs, effects and settings.

use std::time::{Duration, Instant, SystemTime};

use super::state::{GroupState, Parallel};
use crate::flow::tree::Digest;

/// Settings of a pod's part in the roll-out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolloutSettings {
    /// The name of the group.
    pub group: String,
    /// The name of the pod.
    pub pod: String,
    /// The time for which the first pod has to stay healthy.
    pub soak: Duration,
    /// The largest number of pods with an unproven reload.
    pub parallel: Parallel,
    /// Revisions are permitted while the API server cannot be reached.
    pub proceed_alone: bool,
}

/// The state of the pod's gate, as far as the group depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodView {
    /// The newest revision that could be read.
    pub desired: Option<Digest>,
    /// The newest revision is rejected.
    pub rejected: bool,
    /// The revision that the gate accepted and may not reload without permission.
    pub asks: Option<Digest>,
    /// The revision whose publication, reload or verification is under way.
    pub acting: Option<Digest>,
    /// The accepted revision that cannot be reloaded now, as the application is missing.
    pub stuck: Option<Digest>,
    /// The revision that the application is proven to run.
    pub running: Option<Digest>,
    /// The time of that proof, for people.
    pub running_since: Option<SystemTime>,
    /// The last reload that the application did not take.
    pub failed: Option<PodFailure>,
    /// The number of times that the application ended by itself.
    pub ends: u32,
}

/// A reload that the application did not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodFailure {
    /// The revision.
    pub digest: Digest,
    /// The reason.
    pub reason: String,
    /// The number of such reloads so far.
    pub count: u64,
}

/// The state of the group in the cluster, and its version there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedState {
    /// The state.
    pub state: GroupState,
    /// The `resourceVersion` of the Lease.
    pub version: String,
    /// Its UID: another one is a Lease that was made anew.
    pub uid: String,
}

/// The reason why a write had no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteFailure {
    /// The state has changed since it was read.
    Conflict,
    /// The API server could not be asked, or refused.
    Failed(String),
}

/// An occurrence that the roll-out takes in.
#[derive(Clone, Debug)]
pub enum RolloutInput {
    /// The gate has another state.
    View(PodView),
    /// [`RolloutEffect::Read`] is done: `None` if there is no Lease yet.
    Read(Result<Option<SharedState>, String>),
    /// [`RolloutEffect::Write`] is done.
    Written(Result<SharedState, WriteFailure>),
    /// The watch reports a state, which may be old.
    Watched(SharedState),
    /// The watch reports that the Lease was deleted.
    Vanished,
    /// The watch ended with an error.
    WatchFailed(String),
    /// The gate ends: its place is given back ([`super::Rollout::has_left`]).
    Leave,
    /// The deadline has come.
    Tick,
}

/// A message to the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// It may reload this revision, if it begins before the time.
    Permit(Digest, Instant),
    /// It has to wait with this revision, for the reason.
    Hold(Digest, String),
    /// The group refuses this revision, for the reason.
    Refuse(Digest, String),
}

/// An action that the roll-out requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RolloutEffect {
    /// Read the Lease; answered by [`RolloutInput::Read`].
    Read,
    /// Write the Lease if it still has this version, or create it if there was none; answered by [`RolloutInput::Written`].
    Write {
        /// The new state.
        state: Box<GroupState>,
        /// The version that it replaces.
        version: Option<String>,
    },
    /// Advise the gate.
    Advise(Advice),
    /// Report, once, that the API server cannot be asked.
    Lost(String),
    /// Report that it can be asked again.
    Regained,
}
