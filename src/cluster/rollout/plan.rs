//! The next state of the group, as this pod wants it.

use std::time::{Duration, Instant};

use super::state::{Beat, GroupState, Phase, Slot, Topic};
use super::{BEHIND, LEASE, LOST_PODS, QUIET, RENEWAL, Rollout, YIELD};
use crate::flow::tree::Digest;

/// The pause before a pod takes a place that is for another one, for each of those in front of it; and the longest pause.
const TURN: Duration = Duration::from_secs(1);
const LONGEST_TURN: Duration = Duration::from_secs(5);

/// Refuses a revision with which too many pods were lost.
fn refuse_lost(topic: &mut Topic, me: &str) {
    if topic.lost >= LOST_PODS {
        let reason = format!("{} pods were lost while they took it", topic.lost);
        topic.end(Phase::Refused { by: me.to_owned(), reason });
    }
}

impl Rollout {
    fn me(&self) -> &str {
        &self.settings.pod
    }

    /// Returns the state that is to replace the known one; `None` if nothing is left to do.
    pub(super) fn plan(&mut self) -> Option<GroupState> {
        let base = self.known.as_ref().map(|known| known.state.clone()).unwrap_or_default();
        let mut next = base.clone();
        if self.leases.are_counted() {
            self.drop_lost(&mut next);
        }
        self.settle_slot(&mut next);
        if self.leaves {
            self.give_back(&mut next);
        } else {
            self.lead(&mut next);
            self.follow(&mut next);
            self.ask(&mut next);
            self.show_rejection(&mut next);
        }
        let renewal_due = self.renewed.is_none_or(|at| at + RENEWAL <= self.now);
        if next == base && !(renewal_due && self.has_beats(&next)) {
            return None;
        }
        next.serial = base.serial + 1;
        self.beat(&mut next);
        Some(next)
    }

    /// Returns `true` if a lost pod would hold this one up.
    pub(super) fn is_interested(&self, state: &GroupState) -> bool {
        let takes_part = |topic: &Topic| topic.is_active() && topic.pods.contains_key(self.me());
        // The lead of a lost pod would keep the topic without end, although all others run it, or something newer.
        let concerns = |topic: &Topic| takes_part(topic) || (topic.is_active() && self.view.running.is_some());
        self.view.asks.is_some() || state.slot(self.me()).is_some() || state.topic.as_ref().is_some_and(concerns)
    }

    /// Removes the slots and the lead of pods that give no sign of life.
    fn drop_lost(&self, next: &mut GroupState) {
        let (lost, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut next.slots).into_iter().partition(|slot| self.leases.is_lost(&slot.beat, true));
        next.slots = kept;
        let me = self.me().to_owned();
        let Some(topic) = next.active() else { return };
        let taking = lost.iter().filter(|slot| (slot.digest, slot.epoch) == (topic.digest, topic.epoch)).count();
        topic.lost = topic.lost.saturating_add(u32::try_from(taking).unwrap_or(u32::MAX));
        if topic.holder.as_ref().is_some_and(|holder| self.leases.is_lost(holder, false)) {
            topic.holder = None;
            if topic.phase == Phase::Soaking {
                // It may be lost because of what it took.
                (topic.phase, topic.lost) = (Phase::First, topic.lost.saturating_add(1));
            }
        }
        refuse_lost(topic, &me);
    }

    /// Gives back the slot and the lead of this pod, which is not lost by that. Another pod is the first one, and has to stay healthy anew.
    fn give_back(&self, next: &mut GroupState) {
        let me = self.me().to_owned();
        next.slots.retain(|slot| slot.beat.pod != me);
        let Some(topic) = next.topic.as_mut().filter(|topic| topic.is_led_by(&me)) else { return };
        topic.holder = None;
        if topic.phase == Phase::Soaking {
            topic.phase = Phase::First;
        }
    }

    /// Returns `true` if this pod has a slot, or leads.
    pub(super) fn has_place(&self, state: &GroupState) -> bool {
        state.slot(self.me()).is_some() || state.topic.as_ref().is_some_and(|topic| topic.is_led_by(self.me()))
    }

    /// Returns `true` while the gate does something with a permission for `digest`, or is about to.
    fn uses(&self, digest: Digest) -> bool {
        self.view.acting == Some(digest) || self.view.asks == Some(digest)
    }

    /// Returns `true` while the application may still start with `digest`, which was published for it: in a new pod it starts afterwards.
    fn awaits_start(&self, digest: Digest) -> bool {
        self.view.stuck == Some(digest) && self.starts.is_some_and(|since| self.now < since + LEASE)
    }

    /// Returns `true` while this pod needs its slot for `digest`.
    pub(super) fn keeps(&self, digest: Digest) -> bool {
        self.uses(digest) || self.awaits_start(digest)
    }

    /// Returns the reason why the application did not take `digest`, if the group does not know it yet.
    fn new_failure(&self, digest: Digest) -> Option<String> {
        let failure = self.view.failed.as_ref()?;
        (failure.digest == digest && failure.count > self.known_failure).then(|| failure.reason.clone())
    }

    /// Returns `true` while the gate does not know what follows on `digest`: the group waits with it, or `digest` would go to another pod
    /// although something newer is there.
    fn is_undecided(&self, state: &GroupState, digest: Digest) -> bool {
        let Some(desired) = self.view.desired else { return true };
        if desired == digest {
            // A gate that starts again has to validate it again.
            return (self.view.stuck != Some(digest) || self.awaits_start(digest)) && !self.view.rejected;
        }
        let is_decided = self.view.asks.is_some() || self.view.rejected || self.view.running == Some(desired);
        !is_decided && !state.proven.contains(&desired)
    }

    /// Ends this pod's slot when its reload has an outcome.
    fn settle_slot(&mut self, next: &mut GroupState) {
        let me = self.me().to_owned();
        if let Some(digest) = next.active().map(|topic| topic.digest)
            && let Some(reason) = self.new_failure(digest)
        {
            // A reload of another revision that is under way keeps its slot.
            let acts = |slot: &Slot| slot.digest != digest && self.view.acting == Some(slot.digest);
            next.slots.retain(|slot| slot.beat.pod != me || acts(slot));
            if let Some(topic) = next.active() {
                topic.end(Phase::Refused { by: me, reason });
            }
            return;
        }
        let runs = |digest: Digest| self.view.running == Some(digest) && self.view.acting != Some(digest);
        // What came back may be what this pod has run all the while, and its volume may be behind.
        let has_it = |topic: &Topic| topic.is_active() || self.view.desired == Some(topic.digest);
        let verifies = |topic: &Topic| runs(topic.digest) && topic.pods.contains_key(&me) && has_it(topic);
        if let Some(topic) = next.current().filter(|topic| verifies(topic)) {
            topic.verify(&me, self.view.running_since);
        }
        let Some((digest, epoch)) = next.slot(&me).map(|slot| (slot.digest, slot.epoch)) else { return };
        let is_wanted = next.proven.contains(&digest)
            || next.topic.as_ref().is_some_and(|topic| {
                (topic.digest, topic.epoch) == (digest, epoch) && (topic.is_active() || topic.phase == Phase::Done)
            });
        // A reload that was permitted before a newer revision came, or before the refusal, goes on if it has begun.
        let is_over = runs(digest) || (!is_wanted && self.view.acting != Some(digest));
        if !is_over && (self.uses(digest) || self.is_undecided(next, digest)) {
            return;
        }
        next.slots.retain(|slot| slot.beat.pod != me);
        let (has_run, has_begun) = (runs(digest), self.begun == Some(digest));
        let Some(topic) = next.active().filter(|topic| topic.digest == digest) else { return };
        let is_first = topic.phase == Phase::First && topic.is_led_by(&me);
        if is_first && has_run {
            topic.phase = Phase::Soaking;
            (self.soak, self.soak_ends) = (None, self.view.ends);
        } else if is_first && self.view.desired == Some(digest) {
            // The application is missing: another pod is first.
            topic.holder = None;
            self.yields = Some(self.now + YIELD);
        }
        let has_ended = self.view.ends > self.ends_before;
        if has_begun && !has_run && has_ended && self.view.desired == Some(digest) {
            // It went missing while it took the revision, and maybe because of it.
            topic.lost = topic.lost.saturating_add(1);
            refuse_lost(topic, &me);
        }
    }

    /// Moves a roll-out on that this pod leads, or adopts one without a leader.
    fn lead(&mut self, next: &mut GroupState) {
        let me = self.me().to_owned();
        let quiet = self.progressed + QUIET <= self.now && !next.paused;
        let slots: Vec<Digest> = next.slots.iter().map(|slot| slot.digest).collect();
        let Some(topic) = next.active() else { return };
        let digest = topic.digest;
        let has_it = self.view.running == Some(digest) || self.uses(digest);
        let runs = self.view.running == Some(digest) && self.view.acting != Some(digest);
        let may_adopt = (topic.phase == Phase::Wave && has_it) || (topic.phase == Phase::First && runs);
        if topic.holder.is_none() && may_adopt {
            topic.holder = Some(Beat { pod: me.clone(), count: 0 });
            topic.pods.entry(me.clone()).or_insert(false);
            if runs {
                topic.verify(&me, self.view.running_since);
            }
        }
        if !topic.is_led_by(&me) {
            return;
        }
        match topic.phase {
            // It took the revision without a slot: while the API server was lost, or since it ran it before.
            Phase::First if runs => {
                topic.phase = Phase::Soaking;
                (self.soak, self.soak_ends) = (None, self.view.ends);
            }
            Phase::Soaking if self.view.ends > self.soak_ends => {
                let reason = "the application ended during the soak".to_owned();
                topic.end(Phase::Refused { by: me, reason });
            }
            Phase::Soaking if self.view.running == Some(digest) => {
                let since = *self.soak.get_or_insert(self.now);
                if since + self.settings.soak <= self.now {
                    topic.phase = Phase::Wave;
                }
            }
            Phase::Soaking => self.soak = None,
            Phase::Wave if !slots.contains(&digest) && (quiet || topic.pods.values().all(|verified| *verified)) => {
                next.prove();
            }
            _ => {}
        }
    }

    /// Makes the newest revision the topic, where this pod's volume has moved on from the topic.
    fn follow(&mut self, next: &mut GroupState) {
        let Some(desired) = self.view.desired else { return };
        let runs = self.view.running == Some(desired) && self.view.acting.is_none() && !self.view.rejected;
        // What was given up begins anew when the object changes back to it.
        let is_other = |topic: &Topic| topic.digest != desired || topic.phase == Phase::GivenUp;
        if !next.topic.as_ref().is_some_and(is_other) && next.rejected.is_none() {
            self.apart = None;
        }
        if self.refuse_again(next) {
            return;
        }
        let Some(topic) = next.topic.as_mut().filter(|topic| is_other(topic)) else { return };
        let claims = self.caught_up != topic.epoch;
        if claims && !(runs && self.may_claim(topic, desired)) {
            return;
        }
        let (is_active, is_done) = (topic.is_active(), topic.phase == Phase::Done);
        if next.proven.contains(&desired) {
            // A proven topic stays until some pod has verified the one that comes back.
            if !is_done || runs {
                next.come_back(desired);
            }
        } else if (runs || self.view.asks == Some(desired)) && !self.is_yielding() {
            next.begin(desired, Phase::First, Some(self.me()));
        } else if self.view.rejected && is_active {
            topic.end(Phase::GivenUp);
        }
        if let Some(topic) = next.topic.as_mut().filter(|topic| topic.digest == desired) {
            topic.claimed = claims;
        }
    }

    /// Returns `true` if this pod runs what its volume has had for so long that it is not behind: the topic, which it never had, is older,
    /// and no pod is at work on it.
    fn may_claim(&mut self, topic: &Topic, desired: Digest) -> bool {
        if topic.is_active() && topic.holder.is_some() {
            self.apart = None;
            return false;
        }
        self.is_overdue(desired, topic.epoch)
    }

    /// Returns `true` if this pod has waited long enough with `digest` to know that its volume is not behind the group.
    pub(super) fn is_overdue(&mut self, digest: Digest, epoch: u64) -> bool {
        let since = match self.apart {
            Some((of, known, since)) if (of, known) == (digest, epoch) => since,
            _ => self.now,
        };
        self.apart = Some((digest, epoch, since));
        let is_over = since + self.patience() <= self.now;
        if is_over {
            (self.apart, self.claims) = (None, self.claims.saturating_add(1));
        }
        is_over
    }

    /// The time for which this pod's volume may be behind the topic. A volume that never moves does not change the topic again and again.
    fn patience(&self) -> Duration {
        BEHIND.saturating_mul(2_u32.saturating_pow(self.claims.min(8)))
    }

    fn is_yielding(&self) -> bool {
        self.yields.is_some_and(|until| until > self.now)
    }

    /// Takes a slot for the revision that the gate asks for, if it is this pod's turn.
    fn ask(&mut self, next: &mut GroupState) {
        let Some(wanted) = self.view.asks else { return };
        if next.slot(self.me()).is_some() {
            return;
        }
        let may_take = next.proven.contains(&wanted) || self.join(next, wanted);
        if may_take && !next.paused && next.slots.len() < next.limit(self.settings.parallel) {
            let beat = Beat { pod: self.me().to_owned(), count: 0 };
            let epoch = next.epoch();
            next.slots.push(Slot { beat, digest: wanted, epoch });
        }
    }

    /// Takes part in the roll-out of `wanted`; returns `true` if it is this pod's turn.
    fn join(&mut self, next: &mut GroupState, wanted: Digest) -> bool {
        let (me, yielding) = (self.me().to_owned(), self.is_yielding());
        let is_it = |topic: &Topic| topic.digest == wanted && topic.phase != Phase::GivenUp;
        if !next.topic.as_ref().is_some_and(is_it) {
            let begins = !yielding && !self.may_be_behind(next, wanted);
            if begins {
                next.begin(wanted, Phase::First, Some(&me));
            }
            return begins;
        }
        let Some(topic) = &mut next.topic else { return false };
        if topic.is_active() {
            topic.pods.entry(me.clone()).or_insert(false);
        }
        match topic.phase {
            Phase::First => {
                if topic.holder.is_none() && !yielding {
                    topic.holder = Some(Beat { pod: me.clone(), count: 0 });
                }
                topic.is_led_by(&me)
            }
            Phase::Wave => self.turn(next).is_some_and(|turn| turn <= self.now),
            // A gate that starts again does not know what its application runs.
            Phase::Soaking => topic.is_led_by(&me),
            // It is proven, although it was forgotten.
            Phase::Done => true,
            Phase::Refused { .. } | Phase::GivenUp => false,
        }
    }

    /// Returns `true` while `wanted` may be an older revision than the topic: it was the topic before, and this pod's volume has not had
    /// the present one.
    fn may_be_behind(&mut self, next: &GroupState, wanted: Digest) -> bool {
        let epoch = next.epoch();
        if epoch == self.caught_up || !next.superseded.contains(&wanted) {
            self.behind = None;
            return false;
        }
        let since = match self.behind {
            Some((digest, of, since)) if digest == wanted && of == epoch => since,
            _ => self.now,
        };
        self.behind = Some((wanted, epoch, since));
        self.now < since + BEHIND
    }

    /// Returns the time at which this pod may take a free slot: the pods in front of it in the alphabet come first, as long as they do.
    fn turn(&self, state: &GroupState) -> Option<Instant> {
        let free = state.limit(self.settings.parallel).checked_sub(state.slots.len()).filter(|free| *free > 0)?;
        let topic = state.topic.as_ref()?;
        let waiting = topic.pods.iter().filter(|(pod, verified)| !**verified && state.slot(pod).is_none());
        let rank = waiting.take_while(|(pod, _)| pod.as_str() < self.me()).count();
        let rounds = u32::try_from(rank / free).unwrap_or(u32::MAX);
        Some(self.progressed + TURN.saturating_mul(rounds).min(LONGEST_TURN))
    }

    pub(super) fn has_beats(&self, state: &GroupState) -> bool {
        let slot = state.slot(self.me()).is_some_and(|slot| self.keeps(slot.digest));
        slot || state.topic.as_ref().is_some_and(|topic| topic.is_led_by(self.me()))
    }

    /// Gives signs of life. The number of the state is one that was never given before, so no old state looks like this one.
    fn beat(&self, next: &mut GroupState) {
        let me = self.me();
        for slot in &mut next.slots {
            if slot.beat.pod == me && self.keeps(slot.digest) {
                slot.beat.count = next.serial;
            }
        }
        let leader = next.topic.as_mut().and_then(|topic| topic.holder.as_mut());
        if let Some(leader) = leader.filter(|leader| leader.pod == me) {
            leader.count = next.serial;
        }
    }

    /// Returns the times at which the plan may become another one by itself.
    pub(super) fn due(&self) -> Vec<Instant> {
        let Some(state) = self.group() else { return Vec::new() };
        let mut due = Vec::new();
        if self.has_beats(state) {
            due.extend(self.renewed.map(|at| at + RENEWAL));
        }
        due.extend(self.leases.readings_due());
        due.extend(self.behind.map(|(_, _, since)| since + BEHIND));
        due.extend(self.apart.map(|(_, _, since)| since + self.patience()));
        due.extend(self.yields);
        due.extend(self.starts.map(|since| since + LEASE));
        if let Some(topic) = state.topic.as_ref().filter(|topic| topic.is_active()) {
            if topic.is_led_by(self.me()) {
                due.extend(self.soak.map(|since| since + self.settings.soak));
                due.push(self.progressed + QUIET);
            }
            if self.view.asks == Some(topic.digest) && topic.phase == Phase::Wave {
                due.extend(self.turn(state));
            }
        }
        due
    }
}
