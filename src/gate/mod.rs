//! The state machine of one gate. Pure: it does no IO and reads no clock.
//!
//! [`Gate::step`] takes an [`Input`] and returns [`Effect`]s; [`Gate::deadline`] is the time of the next [`Input::Tick`] if nothing
//! happens before. One effect of the flow is in flight at a time, with one mark "scan again" behind it and never a queue: the
//! newest content wins, and the last change is never lost.
//!
//! | activity | input | next |
//! |---|---|---|
//! | idle | event, poll or retry is due | scanning |
//! | scanning | content is live, or waits for its retry | idle |
//! | scanning | content is new, or its retry is due | validating |
//! | scanning | unreadable | idle, with an incident |
//! | scanning | in the middle of an update | idle, with another scan due at once |
//! | validating | accepted, rejected or inconclusive | confirming; with publishing the verdict applies at once |
//! | validating | target missing or refused | idle, with an incident |
//! | confirming | same content, accepted | reloading |
//! | confirming | same content, not accepted | idle, with an incident |
//! | confirming | another content | idle, with another scan due |
//! | publishing | published | reloading |
//! | publishing | failed | idle, with an incident |
//! | reloading | requested | verifying |
//! | reloading | not needed | concluding; with publishing verifying |
//! | reloading | target missing, refused or failed | idle, with an incident; after a failure with publishing: publishing the last-known-good |
//! | verifying | proven, or no verification is configured | concluding; with publishing idle, live |
//! | verifying | not proven | idle, with an incident; with publishing: publishing the last-known-good |
//! | concluding | same content | idle, live |
//! | concluding | another content | idle, with another scan due |
//! | any | stop | finished, when the effect in flight is done or the grace period is over |

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use reload_gate_contract::{Code, Finding, Verdict};

use crate::flow::process::TargetError;
use crate::flow::reload::Sent;
use crate::flow::settle::Settle;
use crate::flow::snapshot::{Snapshot, SnapshotError};
use crate::flow::tree::{Digest, Revision};
use crate::flow::validate::Validation;
use crate::flow::verify::Proof;
use crate::flow::watch::Hint;
use crate::report::{Event, Kind, Level, headline};

mod protocol;
mod publishing;

pub use protocol::{Effect, Input, Policy};

#[cfg(test)]
mod properties;
#[cfg(test)]
mod traces;
#[cfg(test)]
mod world;

const SHRUNK: Code = Code::new("shrunk");

/// Number of scans during the time in which sources may come to rest, if no event says when they have.
const SCANS_OF_AN_UPDATE: u32 = 50;
/// The slow rescan where the kernel's events are unavailable.
const POLL_WITHOUT_EVENTS: Duration = Duration::from_secs(2);

/// The number of times that a content is validated or reloaded again because its bytes were rewritten unchanged meanwhile. A
/// program which leaves files in a watched directory does that every time.
const REPETITIONS: u32 = 3;

/// The cause of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Event,
    Poll,
    Retry,
}

/// The one effect in flight.
#[derive(Debug)]
enum Activity {
    Idle,
    Scanning(Reason),
    Validating(Arc<Revision>),
    /// The scan after validation: it confirms that the content is the same.
    Confirming(Arc<Revision>, Validation),
    Publishing(Arc<Revision>),
    Reloading(Arc<Revision>),
    Verifying {
        candidate: Arc<Revision>,
        late: bool,
    },
    /// The scan after the proof, before it is reported: it confirms that the application read this content.
    Concluding(Arc<Revision>, Event),
    Finished,
}

/// The one open report of why the newest content is not live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incident {
    /// The content that it is about (or a digest of the reasons, if no content could be read).
    pub about: Digest,
    /// The event that was reported.
    pub kind: Kind,
    /// The number of times that it was found again since.
    attempt: u32,
}

/// The state machine of one gate.
#[derive(Debug)]
pub struct Gate {
    policy: Policy,
    settle: Settle,
    activity: Activity,
    desired: Option<Arc<Revision>>,
    /// [`Kind::Accepted`] was reported for `desired`: once is enough, although a reload is tried again.
    announced: bool,
    /// The time at which the candidate was put in place, by the scan that began its flight.
    delivered: SystemTime,
    /// The same time of the content that was reloaded last.
    reloaded_delivery: SystemTime,
    repeated: u32,
    /// The content that was accepted last.
    validated: Option<Arc<Revision>>,
    /// Something accepted is where the application reads it.
    published: bool,
    known_good: Option<Arc<Revision>>,
    /// A reload was requested and not proven: the known good or the newer content may run.
    reload_unproven: bool,
    /// The content that the last-known-good revision is replacing, because it was not verified.
    restoring: Option<Digest>,
    incident: Option<Incident>,
    retry: Option<Instant>,
    next_poll: Option<Instant>,
    /// Set while the kernel's events are unavailable.
    without_events: bool,
    moving_since: Option<Instant>,
    stop_by: Option<Instant>,
}

impl Gate {
    /// A gate whose first scan is due at `now`.
    #[must_use]
    pub fn new(policy: Policy, now: Instant) -> Self {
        let mut settle = Settle::new(policy.quiet);
        settle.at(now);
        Self {
            policy,
            settle,
            activity: Activity::Idle,
            desired: None,
            announced: false,
            delivered: SystemTime::UNIX_EPOCH,
            reloaded_delivery: SystemTime::UNIX_EPOCH,
            repeated: 0,
            validated: None,
            published: false,
            known_good: None,
            reload_unproven: false,
            restoring: None,
            incident: None,
            retry: None,
            next_poll: None,
            without_events: false,
            moving_since: None,
            stop_by: None,
        }
    }

    /// Resumes from the revision that an earlier gate published and verified; `live` if that is still published.
    #[must_use]
    pub fn resume(self, known_good: Arc<Revision>, live: bool) -> Self {
        Self { known_good: Some(known_good), reload_unproven: !live, ..self }
    }

    /// Resumes where an earlier gate published something accepted already.
    #[must_use]
    pub fn published_before(self) -> Self {
        Self { published: true, ..self }
    }

    /// The content that should be live: the newest that could be read.
    #[must_use]
    pub fn desired(&self) -> Option<&Revision> {
        self.desired.as_deref()
    }

    /// The content that is known to be live.
    #[must_use]
    pub fn running(&self) -> Option<&Revision> {
        self.known_good.as_deref().filter(|_| !self.reload_unproven)
    }

    /// The last content that was proven to be live.
    #[must_use]
    pub fn known_good(&self) -> Option<&Revision> {
        self.known_good.as_deref()
    }

    /// The newest content that is known to be valid.
    #[must_use]
    pub fn validated(&self) -> Option<&Revision> {
        self.validated.as_deref().or(self.known_good())
    }

    /// Returns `true` if anything that was accepted is live: the application runs it, or reads it at its next start.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.published || self.known_good.is_some()
    }

    /// The reason why the newest content is not live, if it is not.
    #[must_use]
    pub fn incident(&self) -> Option<Incident> {
        self.incident
    }

    /// The time at which to call [`Gate::step`] with [`Input::Tick`] unless something happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.activity {
            Activity::Finished => None,
            Activity::Idle => [self.settle.due(), self.retry, self.next_poll, self.stop_by].into_iter().flatten().min(),
            _ => self.stop_by,
        }
    }

    /// Takes in what happened at `now` and returns the effects, in order.
    pub fn step(&mut self, now: Instant, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Tick => {}
            Input::Stop => {
                self.stop_by.get_or_insert(now + self.policy.grace);
            }
            Input::WatchEvent(hint) => self.watch_event(now, hint),
            Input::Degraded { message, polling } => self.degraded(now, message, polling, &mut effects),
            Input::WatchRestored => self.watch_restored(now, &mut effects),
            Input::Scanned(scan) => self.scanned(now, scan, &mut effects),
            Input::Validated(result) => self.validated_candidate(now, result, &mut effects),
            Input::Published(result) => self.published(now, result, &mut effects),
            Input::Reloaded(result) => self.reloaded(now, result, &mut effects),
            Input::Verified(proof) => self.verified(now, proof, &mut effects),
        }
        self.advance(now, &mut effects);
        effects
    }

    /// Starts what is due, if nothing is in flight.
    fn advance(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let idle = matches!(self.activity, Activity::Idle);
        if matches!(self.activity, Activity::Finished) {
            return;
        }
        if self.stop_by.is_some() {
            if idle || due(self.stop_by) {
                let event = Event::new(Kind::Stopped);
                effects.push(Effect::Report(if idle { event } else { event.message("the time to finish was over") }));
                effects.push(Effect::Finish);
                self.activity = Activity::Finished;
            }
            return;
        }
        if !idle {
            return;
        }
        if due(self.settle.due()) {
            self.scan(now, Reason::Event, effects);
        } else if due(self.retry) {
            self.scan(now, Reason::Retry, effects);
        } else if due(self.next_poll) {
            self.scan(now, Reason::Poll, effects);
        }
    }

    fn scan(&mut self, now: Instant, reason: Reason, effects: &mut Vec<Effect>) {
        self.settle.clear();
        self.next_poll = Some(now + self.poll());
        self.begin(Effect::Scan, Activity::Scanning(reason), effects);
    }

    /// Puts an effect in flight, except after [`Input::Stop`].
    fn begin(&mut self, effect: Effect, activity: Activity, effects: &mut Vec<Effect>) {
        if self.stop_by.is_some() {
            self.activity = Activity::Idle;
        } else {
            self.activity = activity;
            effects.push(effect);
        }
    }

    fn watch_event(&mut self, now: Instant, hint: Hint) {
        match hint {
            Hint::Commit => self.settle.at(now),
            Hint::Touch => self.settle.event(now),
            // The tail of an update whose commit was seen: it only matters while the gate waits for the end of it.
            Hint::AfterCommit if self.moving_since.is_some() => self.settle.at(now),
            Hint::AfterCommit => {}
        }
    }

    fn degraded(&mut self, now: Instant, message: String, polling: bool, effects: &mut Vec<Effect>) {
        if polling {
            self.without_events = true;
            self.next_poll = self.next_poll.map(|at| at.min(now + self.poll()));
        }
        self.settle.at(now);
        effects.push(Effect::Report(Event::new(Kind::WatchDegraded).message(message)));
    }

    fn watch_restored(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.without_events = false;
        self.settle.at(now);
        let event = Event::new(Kind::WatchDegraded).message("inotify is available again");
        effects.push(Effect::Report(Event { level: Level::Info, ..event }));
    }

    /// Returns the interval of scans without an event.
    fn poll(&self) -> Duration {
        if self.without_events { self.policy.poll.min(POLL_WITHOUT_EVENTS) } else { self.policy.poll }
    }

    fn scanned(&mut self, now: Instant, scan: Result<Snapshot, SnapshotError>, effects: &mut Vec<Effect>) {
        let activity = std::mem::replace(&mut self.activity, Activity::Idle);
        if let Activity::Concluding(_, proof) = &activity {
            effects.push(Effect::Report(proof.clone()));
        }
        if self.still_moving(now, &scan) {
            return;
        }
        match (activity, scan) {
            (Activity::Scanning(reason), Ok(snapshot)) => self.compare(now, snapshot, reason, effects),
            (Activity::Scanning(_), Err(error)) => self.unreadable(now, error.findings, effects),
            (Activity::Confirming(candidate, validation), Ok(snapshot)) if self.stayed(&candidate, &snapshot) => {
                self.apply_verdict(now, candidate, validation, effects);
            }
            (Activity::Concluding(candidate, _), Ok(snapshot)) if self.stayed(&candidate, &snapshot) => {
                self.live(candidate, effects);
            }
            // Another content, at least in part, was validated or read by the application: start over when it is at rest.
            _ => self.settle.event(now),
        }
    }

    /// Returns `true` if `snapshot` is `candidate`, untouched since the first scan. Bytes that were rewritten may have been others in
    /// between.
    fn stayed(&mut self, candidate: &Arc<Revision>, snapshot: &Snapshot) -> bool {
        if snapshot.revision != *candidate {
            return false;
        }
        let untouched = snapshot.delivered == self.delivered || self.repeated >= REPETITIONS;
        self.repeated += u32::from(!untouched);
        untouched
    }

    /// Returns `true` if the scan met an update in the middle; then another scan is due, within limits.
    fn still_moving(&mut self, now: Instant, scan: &Result<Snapshot, SnapshotError>) -> bool {
        let (settled, patience) = match scan {
            Ok(snapshot) => (snapshot.settled, snapshot.patience),
            Err(error) => (error.settled, error.patience),
        };
        if settled {
            self.moving_since = None;
            return false;
        }
        if now >= *self.moving_since.get_or_insert(now) + patience {
            return false;
        }
        self.settle.at(now + patience / SCANS_OF_AN_UPDATE);
        true
    }

    /// Nothing can be validated.
    fn unreadable(&mut self, now: Instant, findings: Vec<Finding>, effects: &mut Vec<Effect>) {
        let about = Digest::of(format!("{findings:?}").as_bytes());
        self.report_verdict(now, about, findings, None, effects);
        // The next event or poll scans again anyway; a retry would only scan earlier something that announces its change.
        self.retry = None;
    }

    fn compare(&mut self, now: Instant, snapshot: Snapshot, reason: Reason, effects: &mut Vec<Effect>) {
        let candidate = snapshot.revision;
        let digest = candidate.digest();
        let new = self.desired.as_deref() != Some(&*candidate);
        if new && reason == Reason::Poll {
            // No event announced it, so it may be half-written: it must be the same after the quiet period.
            self.settle.event(now);
            return;
        }
        self.delivered = snapshot.delivered;
        if new {
            (self.announced, self.repeated) = (false, 0);
            self.desired = Some(candidate.clone());
        }
        let incident = self.incident.filter(|incident| incident.about == digest);
        let waits = incident.is_some_and(|incident| incident.kind == Kind::Rejected || self.retry.is_some());
        if self.running() == Some(&*candidate) {
            self.validated = Some(candidate);
            if !self.resolve(digest, effects) && reason == Reason::Event {
                effects.push(Effect::Report(Event::new(Kind::Unchanged).about(digest)));
            }
        } else if waits && reason != Reason::Retry {
            if reason == Reason::Event {
                effects.push(Effect::Report(Event::new(Kind::Unchanged).about(digest)));
            }
        } else if incident.is_some_and(|incident| incident.kind == Kind::Unverified)
            && self.reloaded_delivery == self.delivered
            && !self.policy.publish
        {
            // The application may only have been slow with the last reload.
            self.retry = None;
            self.begin(Effect::Verify { late: true }, Activity::Verifying { candidate, late: true }, effects);
        } else {
            self.validate(candidate, effects);
        }
    }

    fn validate(&mut self, candidate: Arc<Revision>, effects: &mut Vec<Effect>) {
        self.retry = None;
        self.begin(Effect::Validate(candidate.digest()), Activity::Validating(candidate), effects);
    }

    fn validated_candidate(
        &mut self,
        now: Instant,
        result: Result<Validation, TargetError>,
        effects: &mut Vec<Effect>,
    ) {
        let Activity::Validating(candidate) = std::mem::replace(&mut self.activity, Activity::Idle) else { return };
        match result {
            Ok(validation) if self.policy.publish => self.apply_verdict(now, candidate, validation, effects),
            Ok(validation) => self.begin(Effect::Scan, Activity::Confirming(candidate, validation), effects),
            Err(target_error) => self.target_failed(now, candidate.digest(), target_error, effects),
        }
    }

    fn apply_verdict(
        &mut self,
        now: Instant,
        candidate: Arc<Revision>,
        validation: Validation,
        effects: &mut Vec<Effect>,
    ) {
        let digest = candidate.digest();
        let mut validation = validation;
        validation.findings.extend(self.shrunk(&candidate));
        effects.push(Effect::Count(validation.verdict()));
        if validation.verdict() != Verdict::Accepted {
            self.report_verdict(now, digest, validation.findings, Some(validation.duration), effects);
            return;
        }
        self.validated = Some(candidate.clone());
        if !std::mem::replace(&mut self.announced, true) {
            let event = Event {
                findings: validation.findings,
                duration: Some(validation.duration),
                message: validation.by,
                ..self.change(Kind::Accepted, &candidate)
            };
            effects.push(Effect::Report(event));
        }
        if self.policy.publish {
            self.begin(Effect::Publish(digest), Activity::Publishing(candidate), effects);
        } else {
            self.reload(candidate, effects);
        }
    }

    /// Requests a reload of `candidate`, if a reload is configured.
    fn reload(&mut self, candidate: Arc<Revision>, effects: &mut Vec<Effect>) {
        if self.policy.reload {
            self.reloaded_delivery = self.delivered;
            self.begin(Effect::Reload(candidate.digest()), Activity::Reloading(candidate), effects);
        } else {
            self.live(candidate, effects);
        }
    }

    /// The finding about a content that lost many of its files: valid in itself, it may well be a mistake.
    fn shrunk(&self, candidate: &Revision) -> Option<Finding> {
        let before = self.known_good.as_deref()?;
        let lost = before.names().filter(|name| !candidate.contains(name)).count();
        let message = format!("{lost} of {} files are gone", before.len());
        let help = "if that is intended, raise `--max-shrink`, or remove them in several steps";
        (lost * 100 > before.len() * usize::from(self.policy.max_shrink))
            .then(|| Finding::error(SHRUNK, message).help(help))
    }

    /// Reports, once, the `findings` that stop a content.
    fn report_verdict(
        &mut self,
        now: Instant,
        about: Digest,
        findings: Vec<Finding>,
        duration: Option<Duration>,
        effects: &mut Vec<Effect>,
    ) {
        let rejected = Verdict::of(&findings) == Verdict::Rejected;
        // A valid content can become invalid: a checker depends on more than the content.
        self.validated.take_if(|validated| rejected && validated.digest() == about);
        let kind = if rejected { Kind::Rejected } else { Kind::Inconclusive };
        let event = match self.desired.as_ref().filter(|desired| desired.digest() == about) {
            Some(desired) => self.change(kind, desired),
            // Nothing was read, so there is no content to name.
            None => Event { previous: self.running().map(Revision::digest), ..Event::new(kind) },
        };
        let message = headline(&findings);
        self.raise(now, about, Event { message, findings, duration, ..event }, effects);
        if rejected && self.policy.fail_on_empty && !self.is_ready() {
            effects.push(Effect::Report(
                Event::new(Kind::Stopped)
                    .message("the first configuration was rejected and nothing is published (`--on-empty fail`)"),
            ));
            effects.push(Effect::Finish);
            self.activity = Activity::Finished;
        }
    }

    fn reloaded(&mut self, now: Instant, result: Result<Sent, TargetError>, effects: &mut Vec<Effect>) {
        let Activity::Reloading(candidate) = std::mem::replace(&mut self.activity, Activity::Idle) else { return };
        match result {
            Err(target_error) if self.restoring.is_some() => {
                self.not_restored(&candidate, target_error.into_parts(), effects);
            }
            Err(target_error) => self.target_failed(now, candidate.digest(), target_error, effects),
            // A start proves nothing yet: the published content may be the reason why it dies.
            Ok(Sent::NotNeeded { .. }) if self.policy.publish => {
                self.begin(Effect::Verify { late: false }, Activity::Verifying { candidate, late: false }, effects);
            }
            Ok(Sent::NotNeeded { pid, message }) => {
                let event = Event::new(Kind::Verified).about(candidate.digest()).message(message);
                self.proven(candidate, Event { pid: Some(pid), ..event }, effects);
            }
            Ok(Sent::Requested { pid, signal, message }) => {
                // Until there is proof, the known good may or may not be what runs.
                self.reload_unproven = true;
                let event = self.change(Kind::Reloaded, &candidate).message(message);
                effects.push(Effect::Report(Event { pid, signal, ..event }));
                self.begin(Effect::Verify { late: false }, Activity::Verifying { candidate, late: false }, effects);
            }
        }
    }

    fn verified(&mut self, now: Instant, proof: Proof, effects: &mut Vec<Effect>) {
        let activity = std::mem::replace(&mut self.activity, Activity::Idle);
        let Activity::Verifying { candidate, late } = activity else { return };
        let digest = candidate.digest();
        match proof {
            Proof::Proven { pid, message, after } => {
                let event = Event::new(Kind::Verified).about(digest).message(message);
                self.proven(candidate, Event { pid, duration: Some(after), ..event }, effects);
            }
            Proof::NotAsked => {
                let event = Event::new(Kind::Unverified).about(digest).message("no verification is configured");
                self.proven(candidate, Event { level: Level::Info, ..event }, effects);
            }
            Proof::Missing { .. } if late => self.validate(candidate, effects),
            Proof::Missing { message, help } if self.restoring.is_some() => {
                self.not_restored(&candidate, (message, help, None), effects);
            }
            Proof::Missing { message, help } => {
                let event = Event::new(Kind::Unverified).about(digest).message(message).help(Some(help));
                let previous = self.known_good.as_ref().map(|known_good| known_good.digest());
                self.raise(now, digest, Event { previous, ..event }, effects);
                self.restore(digest, effects);
            }
        }
    }

    fn target_failed(&mut self, now: Instant, about: Digest, target_error: TargetError, effects: &mut Vec<Effect>) {
        let kind = match target_error {
            TargetError::Missing { .. } => Kind::TargetMissing,
            TargetError::Refused { .. } => Kind::TargetRefused,
            TargetError::Failed { .. } => Kind::Unverified,
        };
        // A reload that failed half-way may have taken effect.
        self.reload_unproven |= kind == Kind::Unverified;
        let (message, help, pid) = target_error.into_parts();
        let event = Event { pid, ..Event::new(kind).about(about).message(message).help(Some(help)) };
        self.raise(now, about, event, effects);
        if kind == Kind::Unverified {
            self.restore(about, effects);
        }
    }

    /// Makes `event` the one open incident, reports it unless it is open already, and schedules a retry.
    fn raise(&mut self, now: Instant, about: Digest, event: Event, effects: &mut Vec<Effect>) {
        let kind = event.kind;
        let attempt = match self.incident {
            Some(incident) if incident.about == about && incident.kind == kind => incident.attempt.saturating_add(1),
            _ => {
                effects.push(Effect::Report(event));
                0
            }
        };
        self.incident = Some(Incident { about, kind, attempt });
        self.retry = backoff(kind, attempt).map(|wait| now + wait);
    }

    /// The application has read its configuration; one more scan confirms that it was `candidate`. `proof` is reported afterwards,
    /// so that a reader of the report finds the gate at rest.
    fn conclude(&mut self, candidate: Arc<Revision>, proof: Event, effects: &mut Vec<Effect>) {
        self.known_good = Some(candidate.clone());
        if self.stop_by.is_some() {
            effects.push(Effect::Report(proof));
        } else {
            self.begin(Effect::Scan, Activity::Concluding(candidate, proof), effects);
        }
    }

    /// `candidate` is live.
    fn live(&mut self, candidate: Arc<Revision>, effects: &mut Vec<Effect>) {
        let digest = candidate.digest();
        self.known_good = Some(candidate);
        self.reload_unproven = false;
        if self.policy.publish {
            effects.push(Effect::Keep(digest));
        }
        self.resolve(digest, effects);
    }

    /// Closes the open incident, if there is one, since `digest` is live.
    fn resolve(&mut self, digest: Digest, effects: &mut Vec<Effect>) -> bool {
        self.retry = None;
        let Some(incident) = self.incident.take() else { return false };
        let previous = Some(incident.about).filter(|about| *about != digest);
        let message = format!("`{}` is over", incident.kind.as_str());
        let event = Event::new(Kind::Recovered).about(digest).message(message);
        effects.push(Effect::Report(Event { previous, ..event }));
        true
    }

    /// An event about `candidate` and its differences from the revision that was live before.
    fn change(&self, kind: Kind, candidate: &Revision) -> Event {
        let before = self.known_good.as_deref();
        Event {
            previous: before.map(Revision::digest),
            changed: before.map(|before| candidate.changed_since(before)).unwrap_or_default(),
            ..Event::new(kind).about(candidate.digest())
        }
    }
}

/// The pause before the next try after an incident of `kind` that was found again `attempt` times; `None` if only another content
/// can change it.
fn backoff(kind: Kind, attempt: u32) -> Option<Duration> {
    let (first, longest) = match kind {
        // A program that is starting gets its handlers within milliseconds.
        Kind::TargetMissing | Kind::TargetRefused => (Duration::from_millis(100), Duration::from_secs(10)),
        Kind::Inconclusive => (Duration::from_secs(1), Duration::from_secs(60)),
        // Every try disturbs the application: old workers linger after each.
        Kind::Unverified => (Duration::from_secs(30), Duration::from_secs(600)),
        _ => return None,
    };
    Some((first * 2_u32.saturating_pow(attempt.min(16))).min(longest))
}
