//! The leases of the other pods, as this pod counts them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::RENEWAL;
use super::state::{Beat, GroupState};

/// The time after which a pod without a sign of life is suspected: the state is read once in each [`RENEWAL`], to see that the API server
/// answers.
const SUSPICION: Duration = Duration::from_secs(8);
/// The number of these readings after which the pod is lost. Together with [`SUSPICION`]: [`super::LEASE`].
pub(super) const READINGS: u32 = 4;

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

/// The leases of the other pods.
#[derive(Debug, Default)]
pub(super) struct Leases {
    /// The signs of life of each pod, as one with a slot or as the leader.
    beats: BTreeMap<(String, bool), SeenBeat>,
    /// A lost pod would hold this one up.
    are_counted: bool,
}

impl Leases {
    /// Takes in the signs of life of all pods but `me`.
    pub(super) fn take(&mut self, now: Instant, state: &GroupState, me: &str) {
        let slots = state.slots.iter().map(|slot| (&slot.beat, true));
        let leader = state.topic.iter().filter_map(|topic| Some((topic.holder.as_ref()?, false)));
        let others = slots.chain(leader).filter(|(beat, _)| beat.pod != me);
        let beats = others.map(|(beat, is_slot)| {
            let key = (beat.pod.clone(), is_slot);
            let known = self.beats.get(&key).filter(|seen| seen.count == beat.count);
            let new = SeenBeat::new(beat.count, now);
            (key, known.copied().unwrap_or(new))
        });
        self.beats = beats.collect();
    }

    /// Forgets all pods: the state is another one.
    pub(super) fn forget(&mut self) {
        self.beats.clear();
    }

    /// Counts the leases, or not: they count from the time at which they can hold up this pod, which did not ask the API server before.
    pub(super) fn count(&mut self, now: Instant, are_counted: bool) {
        let were_counted = std::mem::replace(&mut self.are_counted, are_counted);
        if are_counted && !were_counted {
            self.renew(now);
        }
    }

    /// Returns `true` while the leases are counted.
    pub(super) fn are_counted(&self) -> bool {
        self.are_counted
    }

    /// Counts the lease of each pod from now on.
    pub(super) fn renew(&mut self, now: Instant) {
        self.beats.values_mut().for_each(|beat| *beat = SeenBeat::new(beat.count, now));
    }

    /// Takes in that the state was read, so that suspected pods could have given signs of life.
    pub(super) fn probed(&mut self, now: Instant) {
        for beat in self.beats.values_mut().filter(|beat| beat.reading_due <= now) {
            (beat.readings, beat.reading_due) = (beat.readings.saturating_add(1), now + RENEWAL);
        }
    }

    /// Returns the times at which the state has to be read to know whether a pod is lost.
    pub(super) fn readings_due(&self) -> impl Iterator<Item = Instant> {
        let waiting = self.beats.values().filter(|beat| self.are_counted && !beat.is_expired());
        waiting.map(|beat| beat.reading_due)
    }

    /// Returns `true` if the pod that gave this sign of life has given none since.
    pub(super) fn is_lost(&self, beat: &Beat, is_slot: bool) -> bool {
        let seen = self.beats.get(&(beat.pod.clone(), is_slot)).filter(|seen| seen.count == beat.count);
        seen.is_some_and(SeenBeat::is_expired)
    }
}
