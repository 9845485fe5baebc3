//! The one open incident: the reason why the newest content is not live.

use std::time::{Duration, Instant};

use super::{Effect, Gate, Unkept};
use crate::flow::tree::{Digest, Revision};
use crate::report::{Event, Kind};

/// The number of times that a content which was not verified is reloaded again. Every reload disturbs the application: old workers
/// linger after each.
const RELOADS_AGAIN: u32 = 2;

/// The one open report of why the newest content is not live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incident {
    /// The content that it is about (or a digest of the reasons, if no content could be read).
    pub about: Digest,
    /// The event that was reported.
    pub kind: Kind,
    /// The number of times that it was found again since.
    pub(super) attempt: u32,
}

impl Gate {
    /// Makes `event` the one open incident, reports it unless it is open already, and schedules a retry.
    pub(super) fn raise(&mut self, now: Instant, about: Digest, event: Event, effects: &mut Vec<Effect>) {
        let kind = event.kind;
        let attempt = match self.incident {
            Some(incident) if incident.about == about && incident.kind == kind => incident.attempt.saturating_add(1),
            _ => {
                self.unkept.iter_mut().for_each(Unkept::replaced);
                effects.push(Effect::Report(self.with_doubt(event)));
                0
            }
        };
        self.incident = Some(Incident { about, kind, attempt });
        self.retry = backoff(kind, attempt).map(|wait| now + wait);
        // With publishing, the last-known-good revision follows one that was not verified.
        if !(kind == Kind::Unverified && self.policy.publish) {
            self.end_once(effects);
        }
    }

    /// Reports the open incident again, since its reason is another one now; `event` is of the same kind and content.
    pub(super) fn amend(&mut self, event: Event, effects: &mut Vec<Effect>) {
        let of = |incident: Incident| (Some(incident.about), incident.kind);
        if self.incident.map(of) == Some((event.digest, event.kind)) {
            effects.push(Effect::Report(self.with_doubt(event)));
        }
    }

    /// Adds that the application may run a content that was not accepted.
    fn with_doubt(&self, event: Event) -> Event {
        if !self.read_unvalidated {
            return event;
        }
        let doubt = "the application may have read a content that was not accepted";
        let message = event.message.as_ref().map_or_else(|| doubt.to_owned(), |message| format!("{message}; {doubt}"));
        event.message(message)
    }

    /// Closes the open incident, if there is one, since `digest` is live. Files that move because of the gate stay reported.
    pub(super) fn resolve(&mut self, digest: Digest, effects: &mut Vec<Effect>) -> bool {
        (self.retry, self.deferred) = (None, None);
        let is_motion = self.incident.is_some_and(|incident| self.is_about_motion(incident));
        if is_motion && self.motion.moving().next().is_some() {
            self.retry = self.motion.repetition();
            return false;
        }
        if self.permission.refuses(digest)
            && self.incident.is_some_and(|incident| incident.kind == Kind::RolloutRefused)
        {
            return false;
        }
        let Some(incident) = self.incident.take() else { return false };
        let previous = Some(incident.about).filter(|about| *about != digest);
        let message = format!("`{}` is over", incident.kind.as_str());
        let event = Event::new(Kind::Recovered).about(digest).message(message);
        effects.push(Effect::Report(Event { previous, ..event }));
        true
    }

    /// Returns `true` if `incident` is about files that move because of the gate.
    pub(super) fn is_about_motion(&self, incident: Incident) -> bool {
        incident.kind == Kind::Deferred && self.motion_report == Some(incident.about)
    }

    /// An event about `candidate` and its differences from the revision that was live before.
    pub(super) fn change(&self, kind: Kind, candidate: &Revision) -> Event {
        let before = self.known_good.as_deref();
        Event {
            previous: before.map(Revision::digest),
            changed: before.map(|before| candidate.changed_since(before)).unwrap_or_default(),
            ..Event::new(kind).about(candidate.digest())
        }
    }
}

/// The pause before the next try after an incident of `kind` that was found again `attempt` times; `None` if only another content
/// or another process can change it.
pub(super) fn backoff(kind: Kind, attempt: u32) -> Option<Duration> {
    let (first, longest) = match kind {
        // A program that is starting gets its handlers within milliseconds.
        Kind::TargetMissing | Kind::TargetRefused => (Duration::from_millis(100), Duration::from_secs(10)),
        Kind::Inconclusive => (Duration::from_secs(1), Duration::from_secs(60)),
        Kind::Deferred => (Duration::from_secs(1), Duration::from_secs(10)),
        Kind::Unverified if attempt < RELOADS_AGAIN => {
            return Some(if attempt == 0 { Duration::from_secs(30) } else { Duration::from_secs(600) });
        }
        _ => return None,
    };
    Some((first * 2_u32.saturating_pow(attempt.min(16))).min(longest))
}
