//! The state of a roll-out group, which all of its pods share: the content of one Lease.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::flow::tree::Digest;

/// The number of proven digests that are remembered: a change back to one of them waits for no soak.
const PROVEN: usize = 8;
/// The number of digests that are remembered as older than the newest one.
const SUPERSEDED: usize = 16;

/// The state of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupState {
    /// The number of changes so far: a reader tells an old state from a new one by it.
    pub serial: u64,
    /// A person has paused the roll-out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// The newest revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<Topic>,
    /// The pods whose reload is permitted and not proven yet.
    pub slots: Vec<Slot>,
    /// The digests that the whole group has run, the newest first.
    pub proven: Vec<Digest>,
    /// The digests that were not proven before a newer one came, the newest first.
    pub superseded: Vec<Digest>,
    /// The revision that gates reject, if it is newer than the topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Rejection>,
}

/// A revision that a gate rejects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// The revision.
    pub digest: Digest,
    /// The first pod that has reported it.
    pub by: String,
}

/// The roll-out of one revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topic {
    /// Its number.
    pub epoch: u64,
    /// The revision.
    pub digest: Digest,
    /// The progress.
    pub phase: Phase,
    /// The number of pods that were lost while they took it.
    #[serde(default)]
    pub lost: u32,
    /// A pod made it the topic after a long wait, without having seen the one before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub claimed: bool,
    /// It was a topic before: a volume that has it may show what lay there then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_back: bool,
    /// The pod that leads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<Beat>,
    /// The pods that want it or have it; true for those that have verified it.
    pub pods: BTreeMap<String, bool>,
    /// The time at which each of those has verified it first, by its own clock, in seconds since 1970. It is for people: nothing is decided
    /// by it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub since: BTreeMap<String, u64>,
}

/// The progress of a roll-out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "name")]
pub enum Phase {
    /// One pod tries it.
    First,
    /// One pod has verified it and has to stay healthy.
    Soaking,
    /// The others take it, a few at a time.
    Wave,
    /// It is proven.
    Done,
    /// A pod did not take it.
    Refused {
        /// The pod.
        by: String,
        /// The reason.
        reason: String,
    },
    /// A newer revision came that no pod could take.
    GivenUp,
}

impl Phase {
    /// Returns the stable name.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Soaking => "soaking",
            Self::Wave => "wave",
            Self::Done => "done",
            Self::Refused { .. } => "refused",
            Self::GivenUp => "given-up",
        }
    }
}

/// A sign of life: the number of the state in which its pod gave it last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// The pod.
    pub pod: String,
    /// The number.
    pub count: u64,
}

/// A permitted reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The pod, and its sign of life.
    #[serde(flatten)]
    pub beat: Beat,
    /// The revision.
    pub digest: Digest,
    /// The number of the topic when it was permitted.
    pub epoch: u64,
}

/// The largest number of pods with an unproven reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parallel {
    /// That many.
    Pods(NonZeroU32),
    /// A share of the pods that take part, in percent; at least one pod.
    Percent(u8),
}

impl Parallel {
    /// Returns the number for a group of `pods`.
    #[must_use]
    pub fn of(self, pods: usize) -> usize {
        match self {
            Self::Pods(number) => usize::try_from(number.get()).unwrap_or(usize::MAX),
            Self::Percent(percent) => (pods * usize::from(percent)).div_ceil(100).max(1),
        }
    }
}

impl Topic {
    /// Records that `pod` has verified it, at the time `at` if that is known.
    pub fn verify(&mut self, pod: &str, at: Option<SystemTime>) {
        self.pods.insert(pod.to_owned(), true);
        if let Some(since) = at.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok())
            && !self.since.contains_key(pod)
        {
            self.since.insert(pod.to_owned(), since.as_secs());
        }
    }

    /// Returns the number of pods that have verified it.
    #[must_use]
    pub fn verified(&self) -> usize {
        self.pods.values().filter(|verified| **verified).count()
    }

    /// Returns the time at which `pod` has verified it, as far as it is known.
    #[must_use]
    pub fn since(&self, pod: &str) -> Option<SystemTime> {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(*self.since.get(pod)?))
    }

    /// Returns true while pods may still take it for the first time.
    #[must_use]
    pub fn is_active(&self) -> bool {
        matches!(self.phase, Phase::First | Phase::Soaking | Phase::Wave)
    }

    /// Returns true if `pod` leads it.
    #[must_use]
    pub fn is_led_by(&self, pod: &str) -> bool {
        self.holder.as_ref().is_some_and(|holder| holder.pod == pod)
    }

    /// Ends it: no pod takes it from now on.
    pub fn end(&mut self, phase: Phase) {
        (self.phase, self.holder) = (phase, None);
    }
}

impl GroupState {
    /// Returns the slot of `pod`.
    #[must_use]
    pub fn slot(&self, pod: &str) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.beat.pod == pod)
    }

    /// Returns the rejection of the newest revision, if gates reject it.
    #[must_use]
    pub fn newest_rejection(&self) -> Option<&Rejection> {
        self.rejected.as_ref().filter(|_| !self.topic.as_ref().is_some_and(Topic::is_active))
    }

    /// Returns the newest revision, and the name of its progress for people.
    #[must_use]
    pub fn newest(&self) -> Option<(Digest, &'static str)> {
        match (self.newest_rejection(), &self.topic) {
            (Some(rejection), _) => Some((rejection.digest, "rejected")),
            (None, topic) => topic.as_ref().map(|topic| (topic.digest, topic.phase.as_str())),
        }
    }

    /// Returns the largest number of slots.
    #[must_use]
    pub fn limit(&self, parallel: Parallel) -> usize {
        parallel.of(self.topic.as_ref().map_or(0, |topic| topic.pods.len()))
    }

    /// Returns the topic if pods may still take it for the first time.
    pub fn active(&mut self) -> Option<&mut Topic> {
        self.topic.as_mut().filter(|topic| topic.is_active())
    }

    /// Returns true if `other` differs in signs of life alone.
    #[must_use]
    pub fn is_as_far_as(&self, other: &Self) -> bool {
        let silent = |state: &Self| {
            let mut state = Self { serial: 0, ..state.clone() };
            let leader = state.topic.as_mut().and_then(|topic| topic.holder.as_mut());
            let beats = state.slots.iter_mut().map(|slot| &mut slot.beat).chain(leader);
            beats.for_each(|beat| beat.count = 0);
            state
        };
        silent(self) == silent(other)
    }

    /// Returns the topic if pods take it, or have taken it.
    pub fn current(&mut self) -> Option<&mut Topic> {
        self.topic.as_mut().filter(|topic| topic.is_active() || topic.phase == Phase::Done)
    }

    /// Returns false for counts that no group reaches: somebody else wrote them, and they leave no room for larger ones.
    #[must_use]
    pub fn can_go_on(&self) -> bool {
        const MOST: u64 = 1 << 53;
        self.serial < MOST && self.epoch() < MOST
    }

    /// Returns the number of the topic; 0 without one.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.topic.as_ref().map_or(0, |topic| topic.epoch)
    }

    /// Makes `digest` the topic, in place of an older one.
    pub fn begin(&mut self, digest: Digest, phase: Phase, leader: Option<&str>) {
        let epoch = self.epoch() + 1;
        if let Some(old) = self.topic.take().filter(|old| old.phase != Phase::Done && old.digest != digest) {
            self.superseded.retain(|other| *other != old.digest);
            self.superseded.insert(0, old.digest);
            self.superseded.truncate(SUPERSEDED);
        }
        let is_back = self.superseded.contains(&digest) || self.proven.contains(&digest);
        self.superseded.retain(|other| *other != digest);
        self.rejected = None;
        let holder = leader.map(|pod| Beat { pod: pod.to_owned(), count: 0 });
        let pods = leader.map(|pod| (pod.to_owned(), false)).into_iter().collect();
        let since = BTreeMap::new();
        self.topic = Some(Topic { epoch, digest, phase, lost: 0, claimed: false, is_back, holder, pods, since });
    }

    /// Makes `digest`, which is proven, the topic again. The pods of the topic before are those that are expected to run it.
    pub fn come_back(&mut self, digest: Digest) {
        let pods = self.topic.as_ref().map_or_else(BTreeMap::new, |topic| topic.pods.clone());
        self.begin(digest, Phase::Done, None);
        if let Some(topic) = &mut self.topic {
            topic.pods = pods.into_keys().map(|pod| (pod, false)).collect();
        }
        self.prove();
    }

    /// Records that the topic is proven.
    pub fn prove(&mut self) {
        let Some(topic) = &mut self.topic else { return };
        topic.end(Phase::Done);
        let digest = topic.digest;
        self.proven.retain(|other| *other != digest);
        self.proven.insert(0, digest);
        self.proven.truncate(PROVEN);
    }

    /// Lets the pods try a refused revision again; returns false if none is refused.
    pub fn retry(&mut self) -> bool {
        let Some(topic) = self.topic.as_mut().filter(|topic| matches!(topic.phase, Phase::Refused { .. })) else {
            return false;
        };
        topic.epoch += 1;
        (topic.phase, topic.lost, topic.holder) = (Phase::First, 0, None);
        topic.pods.clear();
        topic.since.clear();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_up_and_never_zero() {
        let pods = |percent: u8, pods: usize| Parallel::Percent(percent).of(pods);
        assert_eq!(
            [pods(25, 0), pods(25, 1), pods(25, 4), pods(25, 20), pods(25, 21), pods(100, 3)],
            [1, 1, 1, 5, 6, 3]
        );
        assert_eq!(Parallel::Pods(NonZeroU32::MIN).of(20), 1);
    }

    #[test]
    fn a_state_is_read_back_as_it_was_written() {
        let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
        let mut state = GroupState { serial: 7, paused: true, ..GroupState::default() };
        state.begin(old, Phase::First, Some("web-0"));
        state.slots.push(Slot { beat: Beat { pod: "web-0".into(), count: 3 }, digest: old, epoch: 1 });
        state.begin(new, Phase::Refused { by: "web-1".into(), reason: "it \"failed\"".into() }, None);
        let text = serde_json::to_string(&state).expect("it can be written");
        assert_eq!(serde_json::from_str::<GroupState>(&text).expect("it can be read"), state, "{text}");
        assert_eq!(state.superseded, [old]);
        assert_eq!(serde_json::from_str::<GroupState>("{}").expect("it can be read"), GroupState::default());
    }

    #[test]
    fn a_revision_that_comes_back_is_no_older_one() {
        let (old, new) = (Digest::of(b"old"), Digest::of(b"new"));
        let mut state = GroupState::default();
        state.begin(old, Phase::First, Some("web-0"));
        state.begin(new, Phase::First, Some("web-0"));
        state.begin(old, Phase::First, Some("web-0"));
        assert_eq!((state.epoch(), state.superseded.as_slice()), (3, &[new][..]));
        state.prove();
        state.begin(new, Phase::First, Some("web-0"));
        assert_eq!((state.proven.as_slice(), state.superseded.as_slice()), (&[old][..], &[][..]));
    }
}
