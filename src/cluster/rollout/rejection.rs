//! Memory of the group for revisions that no pod takes: those that it refuses, and those that gates reject.
//!
//! The newest revision of a volume may be one that its gate rejects. No pod asks for it, so it never becomes the topic: people who wait for its
//! roll-out learn it from here.

use super::Rollout;
use super::state::{GroupState, Phase, Rejection};

/// The number of rejected revisions that a pod remembers.
const REMEMBERED: usize = 8;

impl Rollout {
    /// Remembers what the gate rejects.
    pub(super) fn remember_rejection(&mut self) {
        let Some(desired) = self.view.desired.filter(|_| self.view.rejected) else { return };
        self.rejections.retain(|other| *other != desired);
        self.rejections.insert(0, desired);
        self.rejections.truncate(REMEMBERED);
    }

    /// Takes in the rejection that the group knows.
    pub(super) fn note_reported(&mut self, state: &GroupState) {
        let own = state.rejected.as_ref().filter(|rejected| rejected.by == self.settings.pod);
        if let Some(rejected) = own.filter(|rejected| self.view.desired == Some(rejected.digest)) {
            self.reported = Some(rejected.digest);
        }
    }

    /// Remembers what the group refuses, until it lets a pod try it again.
    pub(super) fn note_refusal(&mut self, state: &GroupState) {
        let Some(topic) = state.topic.as_ref().filter(|topic| self.view.desired == Some(topic.digest)) else { return };
        let is_refused = matches!(topic.phase, Phase::Refused { .. });
        self.refusal = is_refused.then(|| (topic.digest, topic.phase.clone()));
    }

    /// Refuses the revision of this pod's volume again if a pod that never saw it has claimed another one. Returns `true` if it was so.
    pub(super) fn refuse_again(&self, next: &mut GroupState) -> bool {
        let is_claimed =
            next.topic.as_ref().is_some_and(|topic| topic.claimed && Some(topic.digest) != self.view.desired);
        let Some((digest, phase)) = self.refusal.clone().filter(|_| is_claimed) else { return false };
        next.begin(digest, phase, None);
        true
    }

    /// Shows the group what this pod rejects, once, or takes back what is over.
    pub(super) fn show_rejection(&mut self, next: &mut GroupState) {
        let Some(desired) = self.view.desired else { return };
        let known = next.rejected.as_ref().map(|rejected| rejected.digest);
        let epoch = next.epoch();
        if self.view.rejected {
            // The report of another pod may be newer: this pod replaces what it rejected before.
            let is_older = known.is_none_or(|known| known != desired && self.rejections.contains(&known));
            if is_older && self.caught_up == epoch && self.reported != Some(desired) {
                next.rejected = Some(Rejection { digest: desired, by: self.settings.pod.clone() });
            }
            return;
        }
        let Some(known) = known.filter(|known| *known != desired) else { return };
        let is_topic = next.topic.as_ref().is_some_and(|topic| topic.digest == desired);
        let is_over = self.rejections.contains(&known)
            || (is_topic && self.view.running == Some(desired) && self.is_overdue(known, epoch));
        if is_over {
            next.rejected = None;
        }
    }
}
