//! Scans: the decision about what the sources hold now.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use reload_gate_contract::Verdict;

use super::incident::Incident;
use super::motion::{Consequence, TrialOutcome};
use super::{Activity, Effect, Gate, Reason, Withheld};
use crate::flow::snapshot::{Snapshot, SnapshotError};
use crate::flow::tree::{Digest, Revision};
use crate::flow::validate::Validation;
use crate::flow::watch::Hint;
use crate::report::{Event, Kind, Level, headline};

/// Number of scans during the time in which sources may come to rest, if no event says when they have.
const SCANS_OF_AN_UPDATE: u32 = 50;
/// The slow rescan where the kernel's events are unavailable.
const POLL_WITHOUT_EVENTS: Duration = Duration::from_secs(2);

/// The number of times that a content is validated or reloaded again because its bytes were rewritten unchanged meanwhile. A
/// program which leaves files in a watched directory does that every time.
pub(super) const REPETITIONS: u32 = 3;

/// The number of names in a message.
const NAMES: usize = 3;

/// A content that the gate saw in the sources itself.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    revision: Arc<Revision>,
    delivered: SystemTime,
    /// The time since which every scan has found it, without an event in between.
    since: Instant,
}

impl Gate {
    pub(super) fn watch_event(&mut self, now: Instant, hint: Hint) {
        // The tail of an update whose commit was seen changes no content.
        self.stirred |= hint != Hint::AfterCommit || self.moving_since.is_some();
        match hint {
            Hint::Commit => self.settle.at(now),
            Hint::Touch => {
                self.unseen = true;
                self.settle.event(now);
            }
            // The tail of an update whose commit was seen: it only matters while the gate waits for the end of it.
            Hint::AfterCommit if self.moving_since.is_some() => self.settle.at(now),
            Hint::AfterCommit => {}
            Hint::Names => {
                self.unseen = true;
                if self.moving_since.is_some() {
                    self.settle.at(now);
                }
            }
        }
    }

    pub(super) fn degraded(&mut self, now: Instant, message: String, polling: bool, effects: &mut Vec<Effect>) {
        (self.stirred, self.unseen) = (true, true);
        if polling {
            self.without_events = true;
            self.next_poll = self.next_poll.map(|at| at.min(now + self.poll()));
        }
        self.settle.at(now);
        effects.push(Effect::Report(Event::new(Kind::WatchDegraded).message(message)));
    }

    pub(super) fn watch_restored(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.without_events = false;
        (self.stirred, self.unseen) = (true, true);
        self.settle.at(now);
        let event = Event::new(Kind::WatchDegraded).message("inotify is available again");
        effects.push(Effect::Report(Event { level: Level::Info, ..event }));
    }

    /// Returns the interval of scans without an event.
    pub(super) fn poll(&self) -> Duration {
        if self.without_events { self.policy.poll.min(POLL_WITHOUT_EVENTS) } else { self.policy.poll }
    }

    pub(super) fn scanned(&mut self, now: Instant, scan: Result<Snapshot, SnapshotError>, effects: &mut Vec<Effect>) {
        let activity = std::mem::replace(&mut self.activity, Activity::Idle);
        self.observe(now, &scan);
        self.weigh_renewal(now, effects);
        let is_lost = self.withheld.is_some() && scan.is_err() && !self.policy.publish;
        if let Some(withheld) = self.withheld.as_ref().filter(|_| scan.is_err() && !is_lost) {
            // The application reads what was published, whatever becomes of the source.
            self.settle.at(withheld.until.max(now + self.policy.quiet));
        }
        if matches!(activity, Activity::Concluding(..)) && !self.concludes(&activity, &scan) || is_lost {
            self.not_concluded();
        }
        if self.still_moving(now, &scan) {
            return;
        }
        match (activity, scan) {
            (Activity::Scanning(reason), Ok(snapshot)) => self.compare(now, &snapshot, reason, effects),
            (Activity::Scanning(_), Err(error)) => self.unreadable(now, error, effects),
            (Activity::Confirming(candidate, validation), Ok(snapshot)) if self.stayed(&candidate, &snapshot) => {
                self.motion.decided(now, self.lag());
                self.apply_verdict(now, candidate, validation, effects);
            }
            (Activity::Confirming(candidate, validation), Ok(snapshot)) => {
                self.start_over(now, &candidate, &validation, &snapshot, effects);
            }
            (Activity::Concluding(candidate, proof), Ok(snapshot)) if self.stayed(&candidate, &snapshot) => {
                effects.push(Effect::Report(proof));
                self.live(candidate, effects);
            }
            // The application read another content, at least in part: start over when it is at rest.
            _ => self.settle.event(now),
        }
        self.compare_publication(effects);
    }

    /// Records what the gate itself sees in the sources. Times of files are no evidence of that: they can be set, and differ in
    /// meaning between file systems.
    fn observe(&mut self, now: Instant, scan: &Result<Snapshot, SnapshotError>) {
        let stirred = std::mem::take(&mut self.stirred);
        self.unseen = !scan.as_ref().is_ok_and(|snapshot| snapshot.settled);
        let Ok(snapshot) = scan else {
            self.seen = None;
            return;
        };
        let (revision, delivered) = (snapshot.revision.clone(), snapshot.delivered);
        let is_same = |seen: &Seen| *seen.revision == *revision && seen.delivered == delivered;
        if stirred || !self.seen.as_ref().is_some_and(is_same) {
            self.seen = Some(Seen { revision, delivered, since: now });
        }
    }

    /// The time since which the application would read `digest`, by the gate's own observation.
    pub(super) fn seen_since(&self, digest: Digest) -> Option<Instant> {
        if self.policy.publish {
            let published = self.published_since.as_ref().filter(|(published, _)| published.digest() == digest);
            return published.map(|(_, since)| *since);
        }
        self.seen.as_ref().filter(|seen| seen.revision.digest() == digest).map(|seen| seen.since)
    }

    /// Returns `true` if the concluding scan found the content that was proven.
    fn concludes(&mut self, activity: &Activity, scan: &Result<Snapshot, SnapshotError>) -> bool {
        let (Activity::Concluding(candidate, _), Ok(snapshot)) = (activity, scan) else { return false };
        self.motion.stays(candidate, &snapshot.revision, self.main.as_deref(), &snapshot.held)
    }

    /// Something else lay there when the application read its configuration.
    fn not_concluded(&mut self) {
        self.withheld = None;
        self.motion.cancel();
        if !self.policy.publish {
            (self.reload_unproven, self.read_unvalidated) = (true, true);
        }
    }

    /// Returns `true` if `snapshot` is `candidate`, untouched since the first scan. Bytes that were rewritten may have been others in
    /// between.
    fn stayed(&mut self, candidate: &Arc<Revision>, snapshot: &Snapshot) -> bool {
        if snapshot.revision != *candidate {
            return self.motion.stays(candidate, &snapshot.revision, self.main.as_deref(), &snapshot.held);
        }
        let untouched = snapshot.delivered == self.delivered || self.repeated >= REPETITIONS;
        self.repeated += u32::from(!untouched);
        untouched
    }

    /// Starts over with another content, or with the same that was rewritten during its validation.
    fn start_over(
        &mut self,
        now: Instant,
        candidate: &Revision,
        validation: &Validation,
        snapshot: &Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        let is_rejected = validation.verdict() == Verdict::Rejected;
        self.interrupted = if is_rejected { headline(&validation.findings) } else { None };
        let consequence = if *snapshot.revision == *candidate || snapshot.committed {
            Consequence::None
        } else {
            self.motion.restarted(now, candidate, &snapshot.revision, validation.duration)
        };
        match consequence {
            Consequence::Trial(until) => return self.settle.at(until),
            Consequence::Caused => self.raise_motion(now, snapshot.revision.digest(), effects),
            Consequence::None => {}
        }
        self.settle.event(now);
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
    fn unreadable(&mut self, now: Instant, error: SnapshotError, effects: &mut Vec<Effect>) {
        self.unreadable = true;
        self.motion.begin();
        if error.short {
            // It shows at one path now and at another one next time, and nothing announces its end.
            return self.report_verdict(now, Digest::of(b"short"), error.findings, None, effects);
        }
        let about = Digest::of(format!("{:?}", error.findings).as_bytes());
        self.report_verdict(now, about, error.findings, None, effects);
        // The next event or poll scans again anyway; a retry would only scan earlier something that announces its change.
        self.retry = None;
    }

    fn compare(&mut self, now: Instant, snapshot: &Snapshot, reason: Reason, effects: &mut Vec<Effect>) {
        let candidate = snapshot.revision.clone();
        self.unreadable = false;
        self.motion.expire(now);
        let new = self.desired.as_deref() != Some(&*candidate);
        let explained = new && self.explains(now, snapshot);
        if new && !explained && reason != Reason::Event {
            // No event announced it, so it may be half-written: it must be the same after the quiet period.
            self.retry = None;
            self.settle.event(now);
            return;
        }
        self.main = self.policy.main.find(&snapshot.tree).ok();
        if self.waits_for_trial(now, &candidate, effects) || self.ends_test(now, snapshot, effects) {
            return;
        }
        if new && !explained && self.begins_trial(now, snapshot) {
            return;
        }
        // A retry may be about files that have not rested yet.
        let is_early = self.incident.is_none_or(|incident| self.is_about_motion(incident)) && !self.motion.repeats(now);
        let is_retry = reason == Reason::Retry && !is_early;
        if explained && !is_retry && self.is_decided(&candidate) {
            if self.running() == self.desired() {
                self.resolve(self.desired().map_or(candidate.digest(), Revision::digest), effects);
            }
            return self.raise_motion(now, candidate.digest(), effects);
        }
        if explained && is_retry && self.motion.repeats(now) {
            self.motion.repeat(&candidate);
        }
        self.delivered = snapshot.delivered;
        if new {
            (self.announced, self.repeated) = (false, 0);
            self.motion.begin();
            self.permission.move_on(candidate.digest());
            self.desired = Some(candidate.clone());
        }
        self.decide(candidate, reason, effects);
    }

    /// Returns `true` if `snapshot` differs from the desired content only because of the gate.
    fn explains(&mut self, now: Instant, snapshot: &Snapshot) -> bool {
        let Some(desired) = self.desired.clone().filter(|_| !snapshot.committed) else { return false };
        self.motion.explains(now, &desired, &snapshot.revision, &snapshot.held)
    }

    /// Returns `true` if nothing is left to do about the desired content for now, although `candidate` lies in the sources. Another
    /// main file may end a rejection.
    fn is_decided(&self, candidate: &Revision) -> bool {
        let Some(desired) = self.desired() else { return false };
        let is_main = |file: &PathBuf| Some(file) == self.main.as_ref();
        let waits = || self.waits(desired.digest()) && !candidate.changed_since(desired).iter().any(is_main);
        self.running() == Some(desired) || waits()
    }

    /// Takes the scan in for a trial that is under way; returns `true` if it goes on.
    fn waits_for_trial(&mut self, now: Instant, candidate: &Arc<Revision>, effects: &mut Vec<Effect>) -> bool {
        match self.motion.try_out(now, candidate) {
            TrialOutcome::None => {}
            TrialOutcome::Pending(until) => {
                self.settle.at(until);
                return true;
            }
            TrialOutcome::Interrupting(files) => {
                let files: Vec<_> = files.into_iter().collect();
                let message = format!("{} changes faster than it can be validated", names(&files));
                let (message, about) = match &self.interrupted {
                    Some(reason) => {
                        (format!("{message}; the last content that was validated is rejected: {reason}"), "rejected")
                    }
                    None => (message, "valid"),
                };
                // No reload: the application would read a content that nothing has validated.
                let help = "write it less often, leave it out with `--exclude`, or let the application read what was validated \
                            (`--publish`); the newest content is reloaded when it rests";
                let event = Event::new(Kind::Deferred).about(candidate.digest()).message(message);
                let about = Digest::of(format!("faster than {about}").as_bytes());
                self.raise(now, about, event.help(Some(help.into())), effects);
                self.retry = None;
            }
        }
        false
    }

    /// Withholds the proof of a reload that is the test of an experiment; returns `true` if it is one.
    pub(super) fn withholds(&mut self, now: Instant, candidate: &Arc<Revision>, proof: &Event) -> bool {
        let Some(until) = self.motion.tests(now, candidate).filter(|_| self.stop_by.is_none()) else { return false };
        self.settle.at(until);
        self.withheld = Some(Withheld { candidate: candidate.clone(), proof: proof.clone(), until });
        true
    }

    /// Takes the scan in for a proof that is withheld; returns `true` if there is nothing else to do about the scan.
    fn ends_test(&mut self, now: Instant, snapshot: &Snapshot, effects: &mut Vec<Effect>) -> bool {
        let Some(withheld) = self.withheld.take() else { return false };
        let is_same = *snapshot.revision == *withheld.candidate;
        if is_same && now < withheld.until {
            self.settle.at(withheld.until);
            self.withheld = Some(withheld);
            return true;
        }
        let consequence = if is_same {
            self.motion.acquit();
            Consequence::None
        } else if self.has_other_main(&snapshot.revision) {
            self.motion.cancel();
            Consequence::None
        } else {
            self.motion.arrived(now, &snapshot.revision, &snapshot.held)
        };
        let Withheld { candidate, proof, .. } = withheld;
        let is_read = self.policy.publish || self.stayed(&candidate, snapshot);
        if is_read {
            effects.push(Effect::Report(proof));
            self.live(candidate, effects);
        } else {
            self.not_concluded();
        }
        match consequence {
            Consequence::Caused => self.raise_motion(now, snapshot.revision.digest(), effects),
            Consequence::Trial(until) => self.settle.at(until),
            // Bytes that were written again may have been others in between.
            Consequence::None if is_same && !is_read => self.settle.event(now),
            Consequence::None => return is_same,
        }
        true
    }

    /// Returns `true` if the main file differs from the desired one: programs do not write the file that configures them, and a person may
    /// change it as soon as a reload is done.
    fn has_other_main(&self, revision: &Revision) -> bool {
        let (Some(main), Some(desired)) = (self.main.as_ref(), self.desired()) else { return false };
        revision.changed_since(desired).contains(main)
    }

    /// Takes in a new content; returns `true` if it follows the gate's own actions so often that a trial begins.
    fn begins_trial(&mut self, now: Instant, snapshot: &Snapshot) -> bool {
        if snapshot.committed {
            return false;
        }
        if self.has_other_main(&snapshot.revision) {
            self.motion.cancel();
            return false;
        }
        let consequence = self.motion.arrived(now, &snapshot.revision, &snapshot.held);
        if let Consequence::Trial(until) = consequence {
            self.settle.at(until);
        }
        matches!(consequence, Consequence::Trial(_))
    }

    /// Decides what follows from the newest content.
    fn decide(&mut self, candidate: Arc<Revision>, reason: Reason, effects: &mut Vec<Effect>) {
        let digest = candidate.digest();
        let over = self.incident.filter(|incident| incident.about == digest && self.is_over(*incident));
        let is_requested = std::mem::take(&mut self.requested);
        let asked_again = over.filter(|_| is_requested);
        let is_open_rejection = self.incident.is_some_and(|incident| incident.kind == Kind::Rejected);
        let unchanged = |effects: &mut Vec<Effect>| {
            if reason == Reason::Event {
                effects.push(Effect::Report(Event::new(Kind::Unchanged).about(digest)));
            }
        };
        let running = self.running().filter(|_| !self.policy.once);
        let is_running = running.is_some_and(|running| *running == *candidate);
        if is_running {
            self.validated = Some(candidate);
            if is_open_rejection && !self.policy.publish {
                // Another program may have reloaded the application meanwhile, with what was rejected.
                effects.push(Effect::CheckTarget);
            }
            if !self.resolve(digest, effects) {
                unchanged(effects);
            }
        } else if let Some(Incident { kind, .. }) = asked_again {
            let message = format!("the content that was {} is validated again", kind.as_str());
            effects.push(Effect::Report(Event::new(Kind::Unchanged).about(digest).message(message)));
            self.validate(candidate, effects);
        } else if reason != Reason::Retry && self.waits(digest) {
            if self.goes_on_verifying(digest) {
                let late = Activity::Verifying { candidate, late: true, read_at_start: None, restarts: false };
                self.begin(Effect::Verify { late: true }, late, effects);
            }
            unchanged(effects);
        } else {
            self.validate(candidate, effects);
        }
    }

    /// Returns `true` if the gate does nothing more about an incident by itself until the content or the process changes.
    fn is_over(&self, incident: Incident) -> bool {
        let is_given_up = self.policy.publish && self.retry.is_none();
        incident.kind == Kind::Rejected || (incident.kind == Kind::Unverified && is_given_up)
    }

    /// Returns `true` if nothing more can be done about `digest` for now.
    fn waits(&self, digest: Digest) -> bool {
        let is_deferred = self.deferred.is_some_and(|(deferred, _)| deferred == digest) && self.retry.is_some();
        let incident = self.incident.filter(|incident| incident.about == digest);
        // It was proven, and is proven again when the new process has lived for a while.
        let is_known_good = self.known_good.as_ref().is_some_and(|known_good| known_good.digest() == digest);
        is_deferred
            || (is_known_good && self.target.is_on_probation())
            || self.permission.waits_with(digest)
            || incident.is_some_and(|incident| {
                let is_final = matches!(incident.kind, Kind::Rejected | Kind::Unverified | Kind::RolloutRefused);
                // A target that ends before the verdict leaves the content without one.
                let is_valid = self.validated.as_ref().is_some_and(|validated| validated.digest() == digest);
                let awaits_target = is_valid && matches!(incident.kind, Kind::TargetMissing | Kind::TargetRefused);
                is_final || self.retry.is_some() || (awaits_target && self.target.is_sought())
            })
    }

    /// Returns `true` if the application may still take what it was reloaded with.
    fn goes_on_verifying(&self, digest: Digest) -> bool {
        let is_unverified = |kind, about| kind == Kind::Unverified && about == digest;
        let unverified = self.incident.is_some_and(|incident| is_unverified(incident.kind, incident.about));
        unverified && !self.policy.publish && self.reloaded_delivery == self.delivered && self.target.may_prove_late()
    }

    fn validate(&mut self, candidate: Arc<Revision>, effects: &mut Vec<Effect>) {
        self.retry = None;
        self.motion.begins();
        self.begin(Effect::Validate(candidate.digest()), Activity::Validating(candidate), effects);
    }
}

/// The first names of some files.
pub(super) fn names<T: AsRef<Path>>(files: &[T]) -> String {
    let shown: Vec<_> = files.iter().take(NAMES).map(|file| format!("`{}`", file.as_ref().display())).collect();
    let more = files.len().saturating_sub(NAMES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

impl Gate {
    /// Reports, once, the files that change because of the gate, unless another report is open.
    pub(super) fn raise_motion(&mut self, now: Instant, digest: Digest, effects: &mut Vec<Effect>) {
        let files: Vec<PathBuf> = self.motion.moving().cloned().collect();
        let about = Digest::of(format!("{files:?}").as_bytes());
        let is_open = self.incident.is_some_and(|incident| incident.about == about);
        if files.is_empty() || self.incident.is_some_and(|incident| !self.is_about_motion(incident)) {
            return;
        }
        if is_open {
            self.retry = self.motion.repetition();
            return;
        }
        let names = names(&files);
        let message = if self.motion.is_output() {
            format!("a program keeps {names} open and writes it, so its changes are ignored")
        } else if self.motion.is_alone() {
            format!(
                "{names} keeps changing, whether the gate acts or not, so these changes start no reload until they rest"
            )
        } else {
            format!("{names} changed after each of the last validations or reloads, so such changes are ignored")
        };
        let help = "a program writes it: leave it out with `--exclude`, or write it elsewhere";
        let event = Event::new(Kind::Deferred).about(digest).message(message).help(Some(help.into()));
        self.motion_report = Some(about);
        self.raise(now, about, event, effects);
        self.retry = self.motion.repetition();
    }
}
