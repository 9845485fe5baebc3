//! The steps after an acceptance where the application reads only what the gate publishes: publication precedes the reload, and a
//! revision that is not verified gives way to the last-known-good one.

use std::sync::Arc;
use std::time::Instant;

use reload_gate_contract::Finding;

use super::{Activity, Effect, Gate};
use crate::flow::tree::{Digest, Revision};
use crate::report::{Event, Kind};
use crate::sys::promise::{PUBLISHES, REFUSES};

impl Gate {
    pub(super) fn published(&mut self, now: Instant, result: Result<bool, Finding>, effects: &mut Vec<Effect>) {
        let Activity::Publishing(candidate) = std::mem::replace(&mut self.activity, Activity::Idle) else { return };
        match result {
            Ok(new) => {
                if new {
                    effects.push(Effect::Report(self.change(Kind::Published, &candidate)));
                }
                let before = self.published_since.as_ref();
                if new || before.is_none_or(|(published, _)| published.digest() != candidate.digest()) {
                    self.published_since = Some((candidate.clone(), now));
                }
                // The next start of the application reads it, whatever comes of the reload.
                (self.published, self.reload_unproven) = (true, true);
                self.reload(now, candidate, effects);
            }
            Err(finding) if self.restoring.is_some() => {
                let help = finding.help.unwrap_or_default();
                self.not_restored(&candidate, (finding.message, help, None), effects);
            }
            Err(finding) => self.report_verdict(now, candidate.digest(), vec![finding], None, effects),
        }
    }

    /// Rolls back from `about` to the last-known-good revision, so that a restart of the application reads nothing worse.
    pub(super) fn restore(&mut self, about: Digest, effects: &mut Vec<Effect>) {
        let known_good = self.known_good.clone().filter(|known_good| known_good.digest() != about);
        let Some(known_good) = known_good.filter(|_| self.policy.publish) else { return self.end_once(effects) };
        self.restoring = Some(about);
        self.begin(Effect::Publish(known_good.digest()), Activity::Publishing(known_good), effects);
    }

    /// Reports that the last-known-good revision is published but not verified: the application reads it at its next start.
    pub(super) fn not_restored(
        &mut self,
        known_good: &Revision,
        (message, help, pid): (String, String, Option<i32>),
        effects: &mut Vec<Effect>,
    ) {
        let previous = self.restoring.take();
        let event = Event::new(Kind::Unverified).about(known_good.digest()).message(message).help(Some(help));
        effects.push(Effect::Report(Event { previous, pid, ..event }));
        self.end_once(effects);
    }

    /// Takes in that the application runs `candidate`, or that no verification is configured; `proof` is the event for it.
    pub(super) fn proven(&mut self, now: Instant, candidate: Arc<Revision>, proof: Event, effects: &mut Vec<Effect>) {
        self.motion.acted_again(now, self.lag());
        if std::mem::take(&mut self.reaffirming) {
            (self.reload_unproven, self.read_unvalidated) = (self.target.is_sought(), false);
            effects.extend([Effect::Report(proof), Effect::Keep(candidate.digest())]);
            if self.desired() == Some(&*candidate) {
                self.validated = Some(candidate.clone());
            }
            self.known_good = Some(candidate);
            return;
        }
        if self.restoring.is_none() && self.withholds(now, &candidate, &proof) {
            return;
        }
        if !self.policy.publish {
            return self.conclude(candidate, proof, effects);
        }
        if let Some(about) = self.restoring.take() {
            let level = Event::new(Kind::Restored).level;
            let proven = proof.message.as_ref().map_or_else(String::new, |proven| format!(": {proven}"));
            let message =
                format!("{} was not verified; the last-known-good revision is live again{proven}", about.short());
            // A group takes it for no newer one, until its object changes.
            let next = if self.policy.permission { REFUSES } else { PUBLISHES };
            let help = format!("`unverified` gives the reason; {next}");
            let event = Event { kind: Kind::Restored, level, previous: Some(about), ..proof };
            effects.push(Effect::Report(event.message(message).help(Some(help))));
            self.reload_unproven = false;
            return self.end_once(effects);
        }
        let former = self.known_good.clone();
        let is_proven = proof.kind == Kind::Verified;
        effects.push(Effect::Report(proof));
        if !is_proven && !self.policy.once {
            self.aftermath.begin_trial(now, former);
        }
        self.live(candidate, effects);
    }

    /// Makes the live revision the last-known-good one.
    pub(super) fn keep(&mut self, effects: &mut Vec<Effect>) {
        self.aftermath.end_trial();
        if let Some(known_good) = &self.known_good {
            effects.push(Effect::Keep(known_good.digest()));
        }
    }
}
