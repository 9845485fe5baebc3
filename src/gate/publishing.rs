//! The steps after an acceptance where the application reads only what the gate publishes: publication precedes the reload, and a
//! revision that is not verified gives way to the last-known-good one.

use std::sync::Arc;
use std::time::Instant;

use reload_gate_contract::Finding;

use super::{Activity, Effect, Gate};
use crate::flow::tree::{Digest, Revision};
use crate::report::{Event, Kind, Level};
use crate::sys::promise::{PUBLISHES, REFUSES, WAITS_FOR_CHANGE};

/// Remedy where another program writes a published volume.
const ONLY_WRITER: &str =
    "let the gate alone write that volume: mount it with `readOnly: true` in all other containers";

/// A change of what is published by another program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Alteration {
    None,
    /// It is being published again; the difference was found for the first time.
    Found(String),
    /// It was reported, and the next comparison has not found anything else yet.
    Reported,
}

/// A live revision that could not be kept as the last-known-good one: a disk may be full for a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unkept {
    digest: Digest,
    /// The level at which it was reported since the last incident.
    reported: Level,
}

impl Unkept {
    /// Takes in that another incident takes the place of its report.
    pub(super) fn replaced(&mut self) {
        self.reported = Level::Info;
    }
}

/// The event of a live revision that is not kept as the last-known-good one.
#[must_use]
pub fn not_kept(digest: Digest, finding: Finding) -> Event {
    let message = format!("it is live, and is not kept as the last-known-good revision: {}", finding.message);
    let event = Event::new(Kind::Inconclusive).about(digest).message(message);
    Event { findings: vec![finding], ..event }
}

impl Gate {
    /// Compares what lies published with what the gate published, if that is due and nothing else is to do.
    pub(super) fn compare_publication(&mut self, effects: &mut Vec<Effect>) {
        let is_at_rest = matches!(self.activity, Activity::Idle)
            && self.published_since.is_some()
            && self.withheld.is_none()
            && !self.aftermath.is_trial();
        if self.policy.publish && !self.policy.once && is_at_rest && std::mem::take(&mut self.comparison_due) {
            self.begin(Effect::ComparePublication, Activity::Comparing, effects);
        }
    }

    pub(super) fn compared(&mut self, difference: Option<String>, effects: &mut Vec<Effect>) {
        if !matches!(self.activity, Activity::Comparing) {
            return;
        }
        self.activity = Activity::Idle;
        let (Some(difference), Some((published, _))) = (difference, self.published_since.clone()) else {
            self.alteration = Alteration::None;
            return self.keep_again(effects);
        };
        if self.alteration == Alteration::None {
            self.alteration = Alteration::Found(difference);
        }
        // The application may have read it.
        self.reload_unproven = true;
        self.repairing = true;
        self.begin(Effect::Publish(published.digest()), Activity::Publishing(published), effects);
    }

    /// Takes in that what another program changed is published again, or could not be.
    fn repaired(
        &mut self,
        now: Instant,
        published: Arc<Revision>,
        result: Result<bool, Finding>,
        effects: &mut Vec<Effect>,
    ) {
        let found = std::mem::replace(&mut self.alteration, Alteration::Reported);
        let difference = if let Alteration::Found(difference) = found { Some(difference) } else { None };
        let digest = published.digest();
        let restored = |message: String| Event::new(Kind::Restored).about(digest).message(message);
        match result {
            Ok(_) => {
                self.published_since = Some((published, now));
                if let Some(difference) = difference {
                    let message =
                        format!("another program changed what is published: {difference}; it is published again");
                    let event = restored(message).help(Some(ONLY_WRITER.to_owned()));
                    effects.push(Effect::Report(event));
                }
                if self.policy.reload && !self.target.is_sought() {
                    self.reaffirm(effects);
                } else if !self.policy.reload {
                    self.reload_unproven = false;
                }
            }
            // The report of why the newest content is not live stays.
            Err(finding) if self.incident.is_some() => {
                if let Some(difference) = difference {
                    let reason = finding.message;
                    let message = format!(
                        "another program changed what is published: {difference}; it cannot be published again: {reason}"
                    );
                    let help = finding.help.or_else(|| Some(ONLY_WRITER.to_owned()));
                    effects.push(Effect::Report(Event { level: Level::Error, ..restored(message).help(help) }));
                }
            }
            Err(finding) => self.report_verdict(now, digest, vec![finding], None, effects),
        }
    }

    pub(super) fn published(&mut self, now: Instant, result: Result<bool, Finding>, effects: &mut Vec<Effect>) {
        let Activity::Publishing(candidate) = std::mem::replace(&mut self.activity, Activity::Idle) else { return };
        if std::mem::take(&mut self.repairing) {
            return self.repaired(now, candidate, result, effects);
        }
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
            let next = match self.retry {
                _ if self.policy.permission => REFUSES,
                Some(_) => PUBLISHES,
                None => WAITS_FOR_CHANGE,
            };
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

    /// Takes in that the live revision is the last-known-good one, or could not be kept as that: it is reported once, and kept again after
    /// the next comparison, and before a newer one takes its place. While another incident is open, its report stays the one that alerts.
    pub(super) fn kept(&mut self, digest: Digest, result: Result<(), Finding>, effects: &mut Vec<Effect>) {
        let before = self.unkept.take();
        match result {
            Ok(()) => {
                if before.is_some_and(|before| before.reported > Level::Info) {
                    let message = "`inconclusive` is over: it is kept as the last-known-good revision";
                    effects.push(Effect::Report(Event::new(Kind::Recovered).about(digest).message(message)));
                }
            }
            Err(finding) => {
                let event = not_kept(digest, finding);
                let level = if self.incident.is_none() { event.level } else { Level::Info };
                let is_known = before.is_some_and(|before| before.digest == digest && before.reported >= level);
                if !is_known {
                    effects.push(Effect::Report(Event { level, ..event }));
                }
                let reported = before.filter(|_| is_known).map_or(level, |before| before.reported);
                self.unkept = Some(Unkept { digest, reported });
            }
        }
    }

    /// Keeps the live revision again that could not be kept, if it is what lies published.
    pub(super) fn keep_again(&self, effects: &mut Vec<Effect>) {
        let Some(Unkept { digest, .. }) = self.unkept else { return };
        let published = self.published_since.as_ref().map(|(published, _)| published.digest());
        if published == Some(digest) && self.known_good.as_ref().map(|good| good.digest()) == Some(digest) {
            effects.push(Effect::Keep(digest));
        }
    }

    /// Makes the live revision the last-known-good one.
    pub(super) fn keep(&mut self, effects: &mut Vec<Effect>) {
        self.aftermath.end_trial();
        if let Some(known_good) = &self.known_good {
            effects.push(Effect::Keep(known_good.digest()));
        }
    }
}
