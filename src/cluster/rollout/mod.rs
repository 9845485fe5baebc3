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
mod plan;
mod protocol;
mod rejection;
mod state;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub use protocol::{
    Advice, PodFailure, PodView, RolloutEffect, RolloutInput, RolloutSettings, SharedState, WriteFailure,
};
pub use state::{GroupState, Parallel, Phase, Rejection, Topic};

use crate::flow::tree::Digest;
use crate::sys::backoff::Backoff;

#[cfg(test)]
mod tests;

/// The time after which a pod without a sign of life is lost.
pub const LEASE: Duration = Duration::from_secs(20);
/// The time after which a pod without a sign of life is suspected: the state is read once in each [`RENEWAL`], to see that the API server
/// answers.
const SUSPICION: Duration = Duration::from_secs(8);
/// The number of these readings after which the pod is lost. Together with [`SUSPICION`]: [`LEASE`].
const READINGS: u32 = 4;
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
/// The time after which an API server that does not answer is reported.
const LOSS: Duration = Duration::from_secs(10);
/// The time for which a pod whose application is missing does not try to be the first again.
const YIELD: Duration = Duration::from_secs(10);
/// The number of pods that may be lost while they take a revision before it is refused.
const LOST_PODS: u32 = 3;
/// The pause after a conflict, times a number between 0 and 1; doubled with each further one.
const CONFLICT: Duration = Duration::from_millis(40);
/// Backoff of an API server that does not answer. A pod with a place waits for the first pause only, as it has to give a sign of life
/// within [`LEASE`] when the API server answers again.
pub const RETRY: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(8) };

/// The last sign of life of a pod.
#[derive(Clone, Copy, Debug)]
struct SeenBeat {
    count: u64,
    /// The number of readings of the state since this pod waits for it: each time, the other pod could have given another one.
    readings: u32,
    /// The time of the next reading.
    reading_due: Instant,
}

impl SeenBeat {
    fn new(count: u64, now: Instant) -> Self {
        Self { count, readings: 0, reading_due: now + SUSPICION }
    }

    fn is_expired(&self) -> bool {
        self.readings >= READINGS
    }
}

/// One pod's part in the roll-out of its group.
#[derive(Debug)]
pub struct Rollout {
    settings: RolloutSettings,
    view: PodView,
    known: Option<SharedState>,
    /// The state is unknown, or may be older than the one in the cluster.
    must_read: bool,
    /// The version of the last reading, if its state was older than the known one.
    older: Option<String>,
    in_flight: bool,
    retry: Option<Instant>,
    failures: u32,
    conflicts: u32,
    /// The signs of life of each pod, as slot or as leader.
    beats: BTreeMap<(String, bool), SeenBeat>,
    /// The last request had no answer. No pod could give a sign of life in a time before the next answer.
    unanswered: bool,
    /// A lost pod would hold this one up.
    waits: bool,
    /// The number of the topic that this pod's volume has had since it became the topic.
    caught_up: u64,
    /// The time since which the application has run what soaks, and the number of its ends before.
    soak: Option<Instant>,
    soak_ends: u32,
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
    lost_since: Option<(Instant, String)>,
    loss_reported: bool,
    advised: Option<Advice>,
    /// The revision that the gate was advised to refuse.
    refused: Option<Digest>,
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
            must_read: true,
            older: None,
            in_flight: false,
            retry: None,
            failures: 0,
            conflicts: 0,
            beats: BTreeMap::new(),
            unanswered: false,
            waits: false,
            caught_up: 0,
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
            lost_since: None,
            loss_reported: false,
            advised: None,
            refused: None,
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
        self.lost_since.as_ref().filter(|_| self.loss_reported).map(|(_, reason)| reason.as_str())
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
            RolloutInput::View(view) => self.observe(view),
            RolloutInput::Read(Ok(Some(shared))) => {
                self.answered(&mut effects);
                self.read(shared);
                self.probed();
            }
            RolloutInput::Read(Ok(None)) => {
                self.answered(&mut effects);
                (self.must_read, self.known) = (false, None);
                self.beats.clear();
            }
            RolloutInput::Read(Err(error)) => {
                (self.in_flight, self.unanswered) = (false, true);
                self.failed(error);
            }
            RolloutInput::Written(result) => self.written(result, &mut effects),
            RolloutInput::Watched(shared) => self.take(shared),
            RolloutInput::Vanished => self.must_read = true,
            RolloutInput::WatchFailed(error) => {
                self.must_read = true;
                self.failed(error);
            }
        }
        self.note_interest();
        self.report_loss(&mut effects);
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
        self.note_topic();
    }

    /// Records that the volume of this pod is not behind the topic.
    fn note_topic(&mut self) {
        let Some(topic) = self.known.as_ref().and_then(|known| known.state.topic.as_ref()) else { return };
        // A gate before this one had it in the volume if the pod takes part. Of one that came back it may not have it yet.
        let takes_part = |verified: &bool| *verified || topic.phase != Phase::Done;
        if self.view.desired == Some(topic.digest) || topic.pods.get(&self.settings.pod).is_some_and(takes_part) {
            self.caught_up = topic.epoch;
        }
    }

    /// Counts the leases of the other pods from the time at which they can hold up this one: it did not ask the API server before.
    fn note_interest(&mut self) {
        let has_waited = self.waits;
        self.waits = self.group().is_some_and(|state| self.is_interested(state));
        if self.waits && !has_waited {
            self.renew_leases();
        }
    }

    fn answered(&mut self, effects: &mut Vec<RolloutEffect>) {
        (self.in_flight, self.retry, self.failures, self.lost_since) = (false, None, 0, None);
        if std::mem::take(&mut self.unanswered) {
            self.renew_leases();
        }
        if std::mem::take(&mut self.loss_reported) {
            effects.push(RolloutEffect::Regained);
        }
    }

    /// Counts the lease of each pod from now on.
    fn renew_leases(&mut self) {
        self.beats.values_mut().for_each(|beat| *beat = SeenBeat::new(beat.count, self.now));
    }

    /// Takes in that the state was read, so that suspected pods could have given signs of life.
    fn probed(&mut self) {
        for beat in self.beats.values_mut().filter(|beat| beat.reading_due <= self.now) {
            (beat.readings, beat.reading_due) = (beat.readings.saturating_add(1), self.now + RENEWAL);
        }
    }

    /// Returns the times at which the state has to be read to know whether a pod is lost.
    fn readings_due(&self) -> impl Iterator<Item = Instant> {
        let of_others = self.beats.iter().filter(|((pod, _), _)| self.waits && *pod != self.settings.pod);
        of_others.filter(|(_, beat)| !beat.is_expired()).map(|(_, beat)| beat.reading_due)
    }

    fn failed(&mut self, error: String) {
        let since = self.lost_since.take().map_or(self.now, |(since, _)| since);
        self.lost_since = Some((since, error));
        let has_place = self.group().is_some_and(|state| self.has_beats(state));
        let wait = if has_place { RETRY.first } else { RETRY.wait(self.failures) };
        self.retry = Some(self.now + wait.mul_f64(0.5 + self.chance() / 2.0));
        self.failures = self.failures.saturating_add(1);
    }

    fn written(&mut self, result: Result<SharedState, WriteFailure>, effects: &mut Vec<RolloutEffect>) {
        let sent = self.sent.take();
        match result {
            Ok(shared) => {
                self.answered(effects);
                self.conflicts = 0;
                if let Some((at, slot)) = sent {
                    self.permission = slot.map(|digest| (digest, at + PERMISSION));
                    self.begun.take_if(|digest| slot != Some(*digest));
                }
                self.take(shared);
            }
            Err(WriteFailure::Conflict) => {
                self.answered(effects);
                self.must_read = true;
                let pause = CONFLICT * 2_u32.saturating_pow(self.conflicts.min(5));
                self.retry = Some(self.now + pause.mul_f64(self.chance()));
                self.conflicts = self.conflicts.saturating_add(1);
            }
            Err(WriteFailure::Failed(error)) => {
                (self.in_flight, self.unanswered, self.must_read) = (false, true, true);
                self.failed(error);
            }
        }
    }

    /// Takes in the state that a reading returned. One that is older than the known one may be late. If the next reading returns it again, a
    /// person has put it in the place of the newer one, or has removed the annotation that had the newer one.
    fn read(&mut self, shared: SharedState) {
        let older = self.is_older(&shared).then(|| shared.version.clone());
        let is_confirmed = older.is_some() && self.older == older;
        if is_confirmed {
            (self.known, self.progressed) = (None, self.now);
            self.beats.clear();
        }
        self.must_read = older.is_some() && !is_confirmed;
        self.older = older;
        self.take(shared);
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
                self.beats.clear();
            }
            if !known.state.is_as_far_as(&shared.state) {
                self.progressed = self.now;
            }
        }
        let state = &shared.state;
        let slots = state.slots.iter().map(|slot| (&slot.beat, true));
        let leader = state.topic.iter().filter_map(|topic| Some((topic.holder.as_ref()?, false)));
        let beats = slots.chain(leader).map(|(beat, is_slot)| {
            let key = (beat.pod.clone(), is_slot);
            let known = self.beats.get(&key).filter(|seen| seen.count == beat.count);
            let new = SeenBeat::new(beat.count, self.now);
            (key, known.copied().unwrap_or(new))
        });
        self.beats = beats.collect();
        if matches!(&state.topic, Some(Topic { phase: Phase::Refused { .. }, .. }))
            && let Some(failure) = &self.view.failed
        {
            self.known_failure = failure.count;
        }
        self.note_reported(&shared.state);
        self.note_refusal(&shared.state);
        self.known = Some(shared);
        self.note_topic();
    }

    fn report_loss(&mut self, effects: &mut Vec<RolloutEffect>) {
        if let Some((since, reason)) = self.lost_since.as_ref().filter(|_| !self.loss_reported)
            && *since + LOSS <= self.now
        {
            effects.push(RolloutEffect::Lost(reason.clone()));
            self.loss_reported = true;
        }
    }

    /// Sends the next request, if one is due.
    fn advance(&mut self, effects: &mut Vec<RolloutEffect>) {
        if self.in_flight || self.retry.is_some_and(|retry| retry > self.now) {
            return;
        }
        self.retry = None;
        if self.must_read || self.readings_due().any(|due| due <= self.now) {
            self.in_flight = true;
            return effects.push(RolloutEffect::Read);
        }
        let Some(state) = self.plan() else { return };
        (self.in_flight, self.renewed) = (true, Some(self.now));
        let slot = state.slot(&self.settings.pod).map(|slot| slot.digest).filter(|digest| self.keeps(*digest));
        // A slot that is given back permits nothing, whatever becomes of the write.
        self.permission.take_if(|(digest, _)| slot != Some(*digest));
        self.sent = Some((self.now, slot));
        let version = self.known.as_ref().map(|known| known.version.clone());
        effects.push(RolloutEffect::Write { state: Box::new(state), version });
    }

    /// A number between 0 and 1 that differs between pods and tries.
    fn chance(&self) -> f64 {
        let seed = format!("{} {} {}", self.settings.pod, self.failures, self.group().map_or(0, |state| state.serial));
        let text = Digest::of(format!("{seed} {}", self.conflicts).as_bytes()).to_string();
        let number = u32::from_str_radix(&text[..8], 16).unwrap_or_default();
        f64::from(number) / f64::from(u32::MAX)
    }

    /// The time at which to call [`Rollout::step`] with [`RolloutInput::Tick`] unless something happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let loss = self.lost_since.as_ref().filter(|_| !self.loss_reported).map(|(since, _)| *since + LOSS);
        let others = if self.in_flight {
            Vec::new()
        } else if let Some(retry) = self.retry {
            vec![retry]
        } else {
            self.due()
        };
        let alone = self.renews_alone();
        others.into_iter().chain(loss).chain(alone).filter(|due| *due > self.now).min()
    }
}
