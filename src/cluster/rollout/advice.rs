//! The advice to the gate: it may reload, it has to wait, or the group refuses the revision.

use std::time::Instant;

use super::protocol::{Advice, RolloutEffect};
use super::state::{GroupState, Phase, Topic};
use super::{PERMISSION, RENEWAL, Rollout};
use crate::flow::tree::Digest;

impl Rollout {
    /// Advises the gate, unless it has that advice.
    pub(super) fn advise(&mut self, effects: &mut Vec<RolloutEffect>) {
        self.permission.take_if(|(_, until)| *until <= self.now);
        let Some(advice) = self.advice() else { return };
        if self.advised.as_ref() != Some(&advice) {
            self.refused = if let Advice::Refuse(digest, _) = &advice { Some(*digest) } else { None };
            self.advised = Some(advice.clone());
            effects.push(RolloutEffect::Advise(advice));
        }
    }

    fn advice(&self) -> Option<Advice> {
        let refusal = self.group().and_then(refusal);
        let Some(wanted) = self.view.asks else {
            return match refusal {
                // It took what another pod did not.
                Some((digest, reason)) if self.view.desired == Some(digest) && self.view.acting.is_none() => {
                    Some(Advice::Refuse(digest, self.of_group(&reason)))
                }
                _ => self.pardon(),
            };
        };
        if let Some((_, reason)) = refusal.filter(|(digest, _)| *digest == wanted) {
            return Some(Advice::Refuse(wanted, self.of_group(&reason)));
        }
        let slot = self.group().and_then(|state| state.slot(&self.settings.pod)).map(|slot| slot.digest);
        if let Some((digest, until)) = self.permission.filter(|(digest, _)| *digest == wanted && slot == Some(wanted)) {
            return Some(Advice::Permit(digest, until));
        }
        if let Some(reason) = self.loss() {
            return Some(if self.settings.proceed_alone {
                Advice::Permit(wanted, self.alone_until(wanted))
            } else {
                Advice::Hold(wanted, format!("the roll-out of group `{}` waits: {reason}", self.settings.group))
            });
        }
        let is_at_rest = self.requests.is_idle() && !self.requests.must_read();
        is_at_rest.then(|| Advice::Hold(wanted, self.reason(wanted)))
    }

    /// A revision that this pod runs is not refused any more.
    fn pardon(&self) -> Option<Advice> {
        let refused = self.refused.filter(|refused| self.view.running == Some(*refused))?;
        Some(Advice::Permit(refused, self.now + PERMISSION))
    }

    /// The end of a permission that this pod gives itself. It lasts: the same advice is not given in each step.
    fn alone_until(&self, wanted: Digest) -> Instant {
        match &self.advised {
            Some(Advice::Permit(digest, until)) if *digest == wanted && *until > self.now + RENEWAL => *until,
            _ => self.now + PERMISSION,
        }
    }

    /// Returns the time at which a permission that this pod gave itself needs a renewal.
    pub(super) fn renews_alone(&self) -> Option<Instant> {
        let alone = self.settings.proceed_alone && self.loss().is_some() && self.view.asks.is_some();
        match &self.advised {
            Some(Advice::Permit(_, until)) if alone => Some(*until - RENEWAL),
            _ => None,
        }
    }

    fn of_group(&self, reason: &str) -> String {
        format!("the roll-out of group `{}` refuses it: {reason}", self.settings.group)
    }

    /// The reason why the gate has to wait with `wanted`.
    fn reason(&self, wanted: Digest) -> String {
        let group = &self.settings.group;
        let Some(state) = self.group() else { return format!("waiting for the roll-out of group `{group}`") };
        if state.paused {
            return format!("the roll-out of group `{group}` is paused");
        }
        if state.proven.contains(&wanted) {
            return format!("waiting for a free place in group `{group}`");
        }
        match &state.topic {
            Some(topic) if topic.digest == wanted => self.progress(state, topic),
            Some(topic) => format!(
                "group `{group}` has another revision, {}, which may be newer: the volume of this pod may be behind",
                topic.digest.short()
            ),
            None => format!("waiting for the roll-out of group `{group}`"),
        }
    }

    fn progress(&self, state: &GroupState, topic: &Topic) -> String {
        let group = &self.settings.group;
        let (verified, pods) = (topic.verified(), topic.pods.len());
        let leader = topic.holder.as_ref().map(|holder| holder.pod.as_str());
        match (&topic.phase, leader) {
            (Phase::First, Some(leader)) if leader == self.settings.pod => {
                format!("waiting for the {} reloads in flight in group `{group}`", state.slots.len())
            }
            (Phase::First, Some(leader)) => {
                format!("waiting for the first pod of group `{group}`, `{leader}`, to verify it")
            }
            (Phase::First, None) => format!("waiting for a pod of group `{group}` to be the first"),
            (Phase::Soaking, leader) => format!(
                "the first pod of group `{group}`, `{}`, has verified it and has to stay healthy for {}",
                leader.unwrap_or_default(),
                humantime::format_duration(self.settings.soak)
            ),
            _ => format!("waiting for its turn in group `{group}`: {verified} of {pods} pods have it"),
        }
    }
}

/// The revision that the group refuses, and the reason.
fn refusal(state: &GroupState) -> Option<(Digest, String)> {
    let topic = state.topic.as_ref()?;
    let Phase::Refused { by, reason } = &topic.phase else { return None };
    Some((topic.digest, format!("{reason} (pod `{by}`)")))
}
