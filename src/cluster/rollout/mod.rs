//! The roll-out of a revision over the pods of a group: one pod first, then a few at a time. Pure: it does no IO and reads no clock.
//!
//! Each pod has a [`Rollout`] beside its gate. They share one [`GroupState`], which lies in a Lease. [`Rollout::step`] takes a
//! [`RolloutInput`] and returns [`RolloutEffect`]s; [`Rollout::deadline`] is the time of the next [`RolloutInput::Tick`] if nothing happens
//! before. A write replaces the state that was read or fails, so that two pods never decide about the same state.
//!
//! | phase | begins | ends |
//! |---|---|---|
//! | first | a pod asks for a revision that is new to the group | its pod has verified it, or did not take it |
//! | soaking | the first pod has verified it | it stayed healthy for the soak time |
//! | wave | the soak is over | all pods that asked have verified it, or no pod has asked for a while |
//! | done | | another revision comes |
//! | refused | a pod did not take it | another revision comes, or a person lets it be tried again |
//! | given up | a newer revision came that no pod could take | another revision comes |
//!
//! A pod reloads only while it has a slot in the state. A slot, and the lead of a roll-out, lapse when their pod gives no sign of life for
//! [`LEASE`], by the clock of the pod that waits for it: no two clocks are compared. The pod that waits sees meanwhile that the API server
//! answers: a time without it counts for no lease. A permission ends earlier, so a pod that was cut off begins no reload that the others
//! do not expect.

mod advice;
mod leases;
mod plan;
mod protocol;
mod rejection;
mod requests;
mod state;

use std::time::{Duration, Instant};

pub use protocol::{
    Advice, PodFailure, PodView, RolloutEffect, RolloutInput, RolloutSettings, SharedState, WriteFailure,
};
pub use state::{GroupState, Parallel, Phase, Rejection, Topic};

use leases::Leases;
use requests::LeaseRequests;

use crate::flow::tree::Digest;
use crate::sys::backoff::Backoff;

#[cfg(test)]
mod tests;

/// The time after which a pod without a sign of life is lost.
pub const LEASE: Duration = Duration::from_secs(20);
/// The time in which a permitted reload has to begin. Less than [`LEASE`], so that it has begun before the others count the pod as lost.
const PERMISSION: Duration = Duration::from_secs(10);
/// The interval of signs of life.
const RENEWAL: Duration = Duration::from_secs(4);
/// The time limit of one request: a lost answer must not cost the lease.
pub const REQUEST: Duration = Duration::from_secs(4);
/// The time without progress after which a roll-out is complete: pods that asked for it are gone.
const QUIET: Duration = Duration::from_secs(30);
/// The longest time for which a volume may be behind those of other pods: a kubelet looks every minute, and caches for another.
const BEHIND: Duration = Duration::from_secs(180);
/// The time for which a pod whose application is missing does not try to be the first again.
const YIELD: Duration = Duration::from_secs(10);
/// The number of pods that may be lost while they take a revision before it is refused.
const LOST_PODS: u32 = 3;
/// Backoff of an API server that does not answer. A pod with a place waits for the first pause only, as it has to give a sign of life
/// within [`LEASE`] when the API server answers again.
pub const RETRY: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(8) };

/// One pod's part in the roll-out of its group.
#[derive(Debug)]
pub struct Rollout {
    settings: RolloutSettings,
    view: PodView,
    known: Option<SharedState>,
    requests: LeaseRequests,
    leases: Leases,
    /// The number of the topic that this pod's volume has had since it became the topic.
    caught_up: u64,
    /// The time since which the application has run what soaks, and the number of its ends before.
    soak: Option<Instant>,
    soak_ends: u32,
    /// The topic that this pod's volume shows, and the time since when.
    shown: Option<(u64, Instant)>,
    /// A wish for what may be an older revision: the revision, the topic, and the time since when.
    behind: Option<(Digest, u64, Instant)>,
    /// The revision that this pod runs, if it is the newest in its volume and not the topic; with the topic, and the time since when.
    apart: Option<(Digest, u64, Instant)>,
    /// The number of times that this pod has made the newest revision of its volume the topic because it waited.
    claims: u32,
    /// The revision of the volume, if the group has refused it since it is there, and that phase.
    refusal: Option<(Digest, Phase)>,
    /// The revisions that the gate rejected, the newest first, and the newest one if the group knows it from this pod.
    rejections: Vec<Digest>,
    reported: Option<Digest>,
    /// The time at which the state was seen to change last; signs of life are no change.
    progressed: Instant,
    yields: Option<Instant>,
    /// The revision whose reload has begun last, and the number of ends of the application before.
    begun: Option<Digest>,
    ends_before: u32,
    /// The time since which the application, which was not there before, has not started with that revision.
    starts: Option<Instant>,
    /// The time of the last write with signs of life.
    renewed: Option<Instant>,
    /// The time of the write in flight, and the revision of the slot in it.
    sent: Option<(Instant, Option<Digest>)>,
    permission: Option<(Digest, Instant)>,
    /// The number of the failure that the group knows of.
    known_failure: u64,
    advised: Option<Advice>,
    /// The revision that the gate was advised to refuse.
    refused: Option<Digest>,
    /// The gate ends.
    leaves: bool,
    /// The time of the last step.
    now: Instant,
}

impl Rollout {
    /// A pod that has read nothing yet.
    #[must_use]
    pub fn new(settings: RolloutSettings, now: Instant) -> Self {
        Self {
            settings,
            view: PodView::default(),
            known: None,
            requests: LeaseRequests::new(),
            leases: Leases::default(),
            caught_up: 0,
            shown: None,
            soak: None,
            soak_ends: 0,
            behind: None,
            apart: None,
            claims: 0,
            refusal: None,
            rejections: Vec::new(),
            reported: None,
            progressed: now,
            yields: None,
            begun: None,
            ends_before: 0,
            starts: None,
            renewed: None,
            sent: None,
            permission: None,
            known_failure: 0,
            advised: None,
            refused: None,
            leaves: false,
            now,
        }
    }

    /// The state of the group as this pod knows it.
    #[must_use]
    pub fn group(&self) -> Option<&GroupState> {
        self.known.as_ref().map(|known| &known.state)
    }

    /// The reason why the API server has not been asked successfully for a while.
    #[must_use]
    pub fn loss(&self) -> Option<&str> {
        self.requests.loss()
    }

    /// Returns `true` once the group knows that the gate of this pod has ended, as far as that concerns the group.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.leaves && self.sent.is_none() && !self.group().is_some_and(|state| self.has_place(state))
    }

    /// The newest revision, if the group has proven it.
    #[must_use]
    pub fn proven(&self) -> Option<Digest> {
        let state = self.group()?;
        state.topic.as_ref().map(|topic| topic.digest).filter(|digest| state.proven.contains(digest))
    }

    /// Takes in what happened at `now` and returns the effects, in order.
    pub fn step(&mut self, now: Instant, input: RolloutInput) -> Vec<RolloutEffect> {
        let mut effects = Vec::new();
        self.now = now;
        match input {
            RolloutInput::Tick => {}
            RolloutInput::Leave => self.leaves = true,
            RolloutInput::View(view) => self.observe(view),
            RolloutInput::Read(Ok(shared)) => {
                self.answered(&mut effects);
                self.read(shared);
                self.leases.probed(now);
            }
            RolloutInput::Read(Err(error)) => {
                self.requests.unanswered();
                self.failed(error);
            }
            RolloutInput::Written(result) => self.written(result, &mut effects),
            RolloutInput::Watched(shared) => self.take(shared),
            RolloutInput::Vanished => self.requests.read_next(),
            RolloutInput::WatchFailed(error) => {
                self.requests.read_next();
                self.failed(error);
            }
        }
        self.note_topic();
        let is_interested = self.group().is_some_and(|state| self.is_interested(state));
        self.leases.count(now, is_interested);
        effects.extend(self.requests.report_loss(now).map(RolloutEffect::Lost));
        self.advance(&mut effects);
        self.advise(&mut effects);
        effects
    }

    fn observe(&mut self, view: PodView) {
        if view.asks != self.view.asks || view.acting != self.view.acting || view.running != self.view.running {
            // A gate in another state does not remember the answer.
            self.advised = None;
        }
        if view.acting.is_some() && view.acting != self.view.acting {
            self.ends_before = self.view.ends;
        }
        if view.desired != self.view.desired {
            (self.claims, self.reported, self.refusal) = (0, None, None);
        }
        self.begun = view.acting.or(self.begun);
        let is_starting = view.stuck.is_some() && view.stuck == self.begun && view.ends == self.ends_before;
        self.starts = is_starting.then(|| self.starts.unwrap_or(self.now));
        self.view = view;
        self.remember_rejection();
    }

    /// Records that the volume of this pod is not behind the topic.
    fn note_topic(&mut self) {
        let Some(topic) = self.known.as_ref().and_then(|known| known.state.topic.as_ref()) else { return };
        // A gate before this one had it in the volume if the pod takes part. Of one that came back it may not have it yet.
        let takes_part = |verified: &bool| *verified || topic.phase != Phase::Done;
        let shows =
            self.view.desired == Some(topic.digest) || topic.pods.get(&self.settings.pod).is_some_and(takes_part);
        let since = self.shown.filter(|(epoch, _)| *epoch == topic.epoch).map_or(self.now, |(_, since)| since);
        self.shown = shows.then_some((topic.epoch, since));
        // A volume that has not had the topic before this one may have this one from the time before both.
        let had_former = self.caught_up + 1 == topic.epoch;
        if shows && (!topic.is_back || had_former || since + BEHIND <= self.now) {
            self.caught_up = topic.epoch;
        }
    }

    fn answered(&mut self, effects: &mut Vec<RolloutEffect>) {
        let answer = self.requests.answered();
        if answer.after_silence {
            self.leases.renew(self.now);
        }
        if answer.after_loss {
            effects.push(RolloutEffect::Regained);
        }
    }

    fn failed(&mut self, error: String) {
        let has_place = self.group().is_some_and(|state| self.has_beats(state));
        self.requests.failed(self.now, error, has_place, self.chance());
    }

    fn written(&mut self, result: Result<SharedState, WriteFailure>, effects: &mut Vec<RolloutEffect>) {
        let sent = self.sent.take();
        match result {
            Ok(shared) => {
                self.answered(effects);
                self.requests.was_written();
                if let Some((at, slot)) = sent {
                    self.permission = slot.map(|digest| (digest, at + PERMISSION));
                    self.begun.take_if(|digest| slot != Some(*digest));
                }
                self.take(shared);
            }
            Err(WriteFailure::Conflict) => {
                self.answered(effects);
                self.requests.conflicted(self.now, self.chance());
            }
            Err(WriteFailure::Failed(error)) => {
                self.requests.unanswered();
                self.requests.read_next();
                self.failed(error);
            }
        }
    }

    /// Takes in the state that a reading returned, if there is one.
    fn read(&mut self, shared: Option<SharedState>) {
        let older = shared.as_ref().filter(|shared| self.is_older(shared)).map(|shared| shared.version.clone());
        if self.requests.was_read(older) || shared.is_none() {
            (self.known, self.progressed) = (None, self.now);
            self.leases.forget();
        }
        shared.into_iter().for_each(|shared| self.take(shared));
    }

    fn is_older(&self, shared: &SharedState) -> bool {
        self.known.as_ref().is_some_and(|known| known.uid == shared.uid && shared.state.serial < known.state.serial)
    }

    /// Takes in a state unless it is older than the known one.
    fn take(&mut self, shared: SharedState) {
        if self.is_older(&shared) {
            return;
        }
        if let Some(known) = &self.known {
            if known.uid != shared.uid {
                self.leases.forget();
            }
            if !known.state.is_as_far_as(&shared.state) {
                self.progressed = self.now;
            }
        }
        let state = &shared.state;
        self.leases.take(self.now, state, &self.settings.pod);
        if matches!(&state.topic, Some(Topic { phase: Phase::Refused { .. }, .. }))
            && let Some(failure) = &self.view.failed
        {
            self.known_failure = failure.count;
        }
        self.note_reported(&shared.state);
        self.note_refusal(&shared.state);
        self.known = Some(shared);
    }

    /// Sends the next request, if one is due.
    fn advance(&mut self, effects: &mut Vec<RolloutEffect>) {
        if !self.requests.may_send(self.now) {
            return;
        }
        if self.requests.must_read() || self.leases.readings_due().any(|due| due <= self.now) {
            self.requests.sent();
            return effects.push(RolloutEffect::Read);
        }
        let Some(state) = self.plan() else { return };
        self.requests.sent();
        self.renewed = Some(self.now);
        let slot = state.slot(&self.settings.pod).map(|slot| slot.digest).filter(|digest| self.keeps(*digest));
        // A slot that is given back permits nothing, whatever becomes of the write.
        self.permission.take_if(|(digest, _)| slot != Some(*digest));
        self.sent = Some((self.now, slot));
        let version = self.known.as_ref().map(|known| known.version.clone());
        effects.push(RolloutEffect::Write { state: Box::new(state), version });
    }

    fn chance(&self) -> f64 {
        self.requests.chance(&self.settings.pod, self.group().map_or(0, |state| state.serial))
    }

    /// The time at which to call [`Rollout::step`] with [`RolloutInput::Tick`] unless something happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let own = if self.requests.is_idle() { self.due() } else { Vec::new() };
        let alone = self.renews_alone();
        own.into_iter().chain(self.requests.due()).chain(alone).filter(|due| *due > self.now).min()
    }
}
