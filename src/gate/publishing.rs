//! What follows an acceptance where the application reads only what the gate publishes: it is published before the application is
//! told, and what is not proven gives way to the last known good.

use std::sync::Arc;
use std::time::Instant;

use reload_gate_contract::Finding;

use super::{Activity, Effect, Gate};
use crate::flow::tree::{Digest, Revision};
use crate::report::{Event, Kind};

impl Gate {
    pub(super) fn published(&mut self, now: Instant, result: Result<bool, Finding>, effects: &mut Vec<Effect>) {
        let Activity::Publishing(candidate) = std::mem::replace(&mut self.activity, Activity::Idle) else { return };
        match result {
            Ok(new) => {
                if new {
                    effects.push(Effect::Report(self.change(Kind::Published, &candidate)));
                }
                // The next start of the application reads it, whatever comes of the reload.
                (self.published, self.reload_unproven) = (true, true);
                self.reload(candidate, effects);
            }
            Err(finding) if self.restoring.is_some() => {
                let help = finding.help.unwrap_or_default();
                self.not_restored(&candidate, (finding.message, help, None), effects);
            }
            Err(finding) => self.report_verdict(now, candidate.digest(), vec![finding], None, effects),
        }
    }

    /// Puts the last known good back in place of `about`, so that a restart of the application meets nothing worse than it has.
    pub(super) fn restore(&mut self, about: Digest, effects: &mut Vec<Effect>) {
        let known_good = self.known_good.clone().filter(|known_good| known_good.digest() != about);
        if let Some(known_good) = known_good.filter(|_| self.policy.publish) {
            self.restoring = Some(about);
            self.begin(Effect::Publish(known_good.digest()), Activity::Publishing(known_good), effects);
        }
    }

    /// The last known good is where the application will read it at its next start, and that is all that can be said.
    pub(super) fn not_restored(
        &mut self,
        known_good: &Revision,
        (message, help, pid): (String, String, Option<i32>),
        effects: &mut Vec<Effect>,
    ) {
        let previous = self.restoring.take();
        let event = Event::new(Kind::Unverified).about(known_good.digest()).message(message).help(Some(help));
        effects.push(Effect::Report(Event { previous, pid, ..event }));
    }

    /// There is proof that the application runs `candidate`, or none was asked for; `proof` says so.
    pub(super) fn proven(&mut self, candidate: Arc<Revision>, proof: Event, effects: &mut Vec<Effect>) {
        if !self.policy.publish {
            return self.conclude(candidate, proof, effects);
        }
        if let Some(about) = self.restoring.take() {
            let level = Event::new(Kind::Restored).level;
            let proven = proof.message.as_ref().map_or_else(String::new, |proven| format!(": {proven}"));
            let message = format!("{} was not proven, and the last known good is live again{proven}", about.short());
            let help = "`unverified` says why it was not; it is tried again after 30 s at first and every 10 min at last, or when it \
                        changes";
            let event = Event { kind: Kind::Restored, level, previous: Some(about), ..proof };
            effects.push(Effect::Report(event.message(message).help(Some(help.into()))));
            self.reload_unproven = false;
            return;
        }
        effects.push(Effect::Report(proof));
        self.live(candidate, effects);
    }
}
