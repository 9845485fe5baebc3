//! Reloads: the request, the verification, and the end of a flight.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Activity, Effect, Gate, ReloadRequest};
use crate::flow::process::TargetError;
use crate::flow::reload::Sent;
use crate::flow::tree::{Digest, Revision};
use crate::flow::verify::{Proof, ReloadAnswer};
use crate::report::{Event, Kind, Level};

/// A reload that is deferred for longer is reported.
const SILENT_DEFERRAL: Duration = Duration::from_secs(5);
/// The longest time for which lingering workers defer a reload.
const LONGEST_LINGERING: Duration = Duration::from_secs(600);

impl Gate {
    /// Requests a reload of `candidate`, if a reload is configured and the bounds permit it.
    pub(super) fn reload(&mut self, now: Instant, candidate: Arc<Revision>, effects: &mut Vec<Effect>) {
        if !self.policy.reload {
            return self.live(candidate, effects);
        }
        if let Some((at, reason)) = self.bounds.wait(now, &self.policy).filter(|_| self.restoring.is_none()) {
            return self.defer(now, at, &reason, &candidate, effects);
        }
        self.reloaded_delivery = self.delivered;
        self.request(now, candidate, effects);
    }

    fn request(&mut self, now: Instant, candidate: Arc<Revision>, effects: &mut Vec<Effect>) {
        let digest = candidate.digest();
        self.withheld = None;
        let deferred_since = self.deferred.filter(|(deferred, _)| *deferred == digest).map_or(now, |(_, since)| since);
        let limit_lingering = self.restoring.is_none() && now < deferred_since + LONGEST_LINGERING;
        let request = ReloadRequest { digest, since: self.seen_since(digest), limit_lingering };
        self.begin(Effect::Reload(request), Activity::Reloading(candidate), effects);
    }

    /// Waits until the bounds permit a reload of `candidate`.
    fn defer(&mut self, now: Instant, at: Instant, reason: &str, candidate: &Revision, effects: &mut Vec<Effect>) {
        let digest = candidate.digest();
        self.note_deferral(now, digest);
        if at > now + SILENT_DEFERRAL {
            let wait = humantime::format_duration(Duration::from_secs((at - now).as_secs()));
            let message = format!("the reload waits for {wait}: {reason}");
            let help = "change the configuration less often, or raise `--reload-budget` or lower `--min-interval`";
            let event = self.change(Kind::Deferred, candidate).message(message).help(Some(help.into()));
            self.raise(now, digest, event, effects);
        }
        self.retry = Some(at);
    }

    fn note_deferral(&mut self, now: Instant, digest: Digest) {
        if self.deferred.is_none_or(|(deferred, _)| deferred != digest) {
            self.deferred = Some((digest, now));
        }
    }

    /// Verifies the published content for a new target process, while an incident about a newer one stays open.
    pub(super) fn reaffirm(&mut self, effects: &mut Vec<Effect>) {
        let Some((published, _)) = self.published_since.clone() else { return };
        let digest = published.digest();
        self.reaffirming = true;
        let request = ReloadRequest { digest, since: self.seen_since(digest), limit_lingering: false };
        self.begin(Effect::Reload(request), Activity::Reloading(published), effects);
    }

    pub(super) fn reloaded(&mut self, now: Instant, result: Result<Sent, TargetError>, effects: &mut Vec<Effect>) {
        let Activity::Reloading(candidate) = std::mem::replace(&mut self.activity, Activity::Idle) else { return };
        self.target.end_first_search();
        if let Ok(Sent::NotNeeded { pid, .. } | Sent::Requested { pid: Some(pid), .. }) = result {
            self.successor_reloaded(now, pid, effects);
        }
        match result {
            Err(_) if self.reaffirming => {
                self.reaffirming = false;
                self.target.seek(now + SILENT_DEFERRAL);
            }
            Err(target_error) if self.restoring.is_some() => {
                self.not_restored(&candidate, target_error.into_parts(), effects);
            }
            Err(target_error) => self.target_failed(now, candidate.digest(), target_error, effects),
            // A start proves nothing yet: the verification that is configured still has to succeed.
            Ok(Sent::NotNeeded { message, .. }) => self.verify(candidate, Some(message), false, effects),
            Ok(Sent::Requested { pid, signal, message, restarts }) => {
                // Until there is proof, the known good or the newer content may run.
                self.reload_unproven = true;
                self.bounds.note(now, &self.policy);
                self.aftermath.reloaded(now, candidate.digest(), restarts);
                self.motion.acted(now, &candidate, self.lag());
                let event = self.change(Kind::Reloaded, &candidate).message(message);
                effects.push(Effect::Report(Event { pid, signal, ..event }));
                self.verify(candidate, None, restarts, effects);
            }
        }
    }

    /// The time after which a change is seen at the latest.
    pub(super) fn lag(&self) -> Duration {
        let poll = if self.without_events { self.poll() } else { Duration::ZERO };
        self.policy.quiet * 2 + poll
    }

    fn verify(
        &mut self,
        candidate: Arc<Revision>,
        read_at_start: Option<String>,
        restarts: bool,
        effects: &mut Vec<Effect>,
    ) {
        let activity = Activity::Verifying { candidate, late: false, read_at_start, restarts };
        self.begin(Effect::Verify { late: false }, activity, effects);
    }

    pub(super) fn verified(&mut self, now: Instant, proof: Proof, effects: &mut Vec<Effect>) {
        let activity = std::mem::replace(&mut self.activity, Activity::Idle);
        let Activity::Verifying { candidate, late, read_at_start, restarts } = activity else { return };
        let digest = candidate.digest();
        self.target.proves_late(matches!(proof, Proof::Missing { .. }));
        if restarts && matches!(proof, Proof::Proven { .. }) {
            self.target.succeeded();
        }
        match proof {
            Proof::Proven { pid, message, after } => {
                let message = read_at_start.map_or_else(|| message.clone(), |read| format!("{read}; {message}"));
                let event = Event::new(Kind::Verified).about(digest).message(message);
                self.proven(now, candidate, Event { pid, duration: Some(after), ..event }, effects);
            }
            Proof::NotAsked { message } => {
                let event = match read_at_start {
                    Some(evidence) => Event::new(Kind::Verified).message(evidence),
                    None => Event::new(Kind::Unverified).message(message),
                };
                self.proven(now, candidate, Event { level: Level::Info, ..event.about(digest) }, effects);
            }
            Proof::Ineffective { message, help } if late => {
                self.refused_late(digest, (message, help), effects);
                // Another reload would have no effect either.
                self.retry = None;
            }
            Proof::Missing { message, help, answer } if late => {
                self.target.proves_late(false);
                // The end of the process has a report of its own.
                if matches!(answer, ReloadAnswer::Refused | ReloadAnswer::Deserted) {
                    self.refused_late(digest, (message, help), effects);
                }
            }
            Proof::Missing { message, help, .. } | Proof::Ineffective { message, help } if self.reaffirming => {
                self.reaffirming = false;
                let previous = self.incident.map(|incident| incident.about);
                let event = Event::new(Kind::Unverified).about(digest).message(message).help(Some(help));
                effects.push(Effect::Report(Event { previous, level: Level::Warn, ..event }));
                self.restore(digest, effects);
            }
            Proof::Missing { message, help, .. } | Proof::Ineffective { message, help } if self.restoring.is_some() => {
                self.not_restored(&candidate, (message, help, None), effects);
            }
            Proof::Ineffective { message, help } => {
                self.raise_unverified(now, digest, (message, help), effects);
                // Another reload would have no effect either.
                self.retry = None;
                self.end_once(effects);
            }
            Proof::Missing { message, help, answer } => {
                self.raise_unverified(now, digest, (message, help), effects);
                if answer == ReloadAnswer::Deserted && self.policy.publish {
                    // Each try would end the service once more.
                    self.retry = None;
                }
                self.restore(digest, effects);
                if !self.policy.publish && !self.target.is_sought() {
                    // The application may only be slow.
                    let late = Activity::Verifying { candidate, late: true, read_at_start, restarts };
                    self.begin(Effect::Verify { late: true }, late, effects);
                }
            }
        }
    }

    pub(super) fn raise_unverified(
        &mut self,
        now: Instant,
        digest: Digest,
        (message, help): (String, String),
        effects: &mut Vec<Effect>,
    ) {
        self.permission.failed(digest, message.clone());
        self.aftermath.was_unverified(digest, message.clone());
        self.reload_unproven = true;
        self.raise(now, digest, self.unverified(digest, message, help), effects);
    }

    /// Takes in the answer of the application to a reload of `digest` that was reported as unverified: the report has the newest reason.
    fn refused_late(&mut self, digest: Digest, (message, help): (String, String), effects: &mut Vec<Effect>) {
        self.target.proves_late(false);
        if self.aftermath.reason(digest) != Some(&message) {
            self.aftermath.was_unverified(digest, message.clone());
            self.amend(self.unverified(digest, message, help), effects);
        }
    }

    fn unverified(&self, digest: Digest, message: String, help: String) -> Event {
        let event = Event::new(Kind::Unverified).about(digest).message(message).help(Some(help));
        Event { previous: self.known_good.as_ref().map(|known_good| known_good.digest()), ..event }
    }

    pub(super) fn target_failed(
        &mut self,
        now: Instant,
        about: Digest,
        target_error: TargetError,
        effects: &mut Vec<Effect>,
    ) {
        let kind = match target_error {
            TargetError::Missing { .. } | TargetError::Starting { .. } => Kind::TargetMissing,
            TargetError::Refused { .. } => Kind::TargetRefused,
            TargetError::Busy { .. } => Kind::Deferred,
            TargetError::Failed { .. } => Kind::Unverified,
        };
        // A reload that failed half-way may have taken effect.
        self.reload_unproven |= kind == Kind::Unverified;
        let (message, help, pid) = target_error.into_parts();
        match kind {
            Kind::Unverified => self.permission.failed(about, message.clone()),
            _ => self.permission.end(),
        }
        let event = Event { pid, ..Event::new(kind).about(about).message(message).help(Some(help)) };
        match kind {
            Kind::TargetMissing => return self.raise_missing(now, about, event, effects),
            Kind::Deferred => self.note_deferral(now, about),
            _ => {}
        }
        self.raise(now, about, event, effects);
        if kind == Kind::Unverified {
            self.target.proves_late(false);
            self.restore(about, effects);
        }
    }

    /// The application has read its configuration; one more scan confirms that it was `candidate`. `proof` is reported afterwards,
    /// so that a reader of the report finds the gate at rest.
    pub(super) fn conclude(&mut self, candidate: Arc<Revision>, proof: Event, effects: &mut Vec<Effect>) {
        if self.stop_by.is_some() {
            self.known_good = Some(candidate);
            effects.push(Effect::Report(proof));
        } else {
            self.begin(Effect::Scan(self.extent()), Activity::Concluding(candidate, proof), effects);
        }
    }

    /// `candidate` is live.
    pub(super) fn live(&mut self, candidate: Arc<Revision>, effects: &mut Vec<Effect>) {
        let digest = candidate.digest();
        self.known_good = Some(candidate);
        self.permission.end();
        self.aftermath.is_live();
        (self.reload_unproven, self.read_unvalidated) = (self.target.is_sought(), false);
        // Without a reload no application has read it yet, so it is not known to be good.
        if self.policy.publish && (self.policy.reload || !self.policy.once) && !self.aftermath.is_trial() {
            effects.push(Effect::Keep(digest));
        }
        if !self.policy.once {
            self.resolve(digest, effects);
        }
        self.end_once(effects);
    }
}
