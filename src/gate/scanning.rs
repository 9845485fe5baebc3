//! Scans: the decision about what the sources hold now.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use reload_gate_contract::Finding;

use super::bounds::TrialOutcome;
use super::{Activity, Effect, Gate, Reason, Unconcluded};
use crate::flow::snapshot::{Snapshot, SnapshotError};
use crate::flow::tree::{Digest, Revision};
use crate::flow::validate::Validation;
use crate::flow::watch::Hint;
use crate::report::{Event, Kind, Level};

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
#[derive(Debug)]
pub(super) struct Seen {
    revision: Arc<Revision>,
    delivered: SystemTime,
    /// The time since which every scan has found it, without an event in between.
    since: Instant,
}

impl Gate {
    pub(super) fn watch_event(&mut self, now: Instant, hint: Hint) {
        self.stirred = true;
        match hint {
            Hint::Commit => self.settle.at(now),
            Hint::Touch => self.settle.event(now),
            // The tail of an update whose commit was seen: it only matters while the gate waits for the end of it.
            Hint::AfterCommit if self.moving_since.is_some() => self.settle.at(now),
            Hint::AfterCommit => {}
        }
    }

    pub(super) fn degraded(&mut self, now: Instant, message: String, polling: bool, effects: &mut Vec<Effect>) {
        self.stirred = true;
        if polling {
            self.without_events = true;
            self.next_poll = self.next_poll.map(|at| at.min(now + self.poll()));
        }
        self.settle.at(now);
        effects.push(Effect::Report(Event::new(Kind::WatchDegraded).message(message)));
    }

    pub(super) fn watch_restored(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.without_events = false;
        self.stirred = true;
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
        if let Activity::Concluding(candidate, proof) = &activity
            && !self.concludes(&activity, &scan)
        {
            self.unconcluded = scan.as_ref().ok().map(|snapshot| Unconcluded {
                candidate: candidate.clone(),
                proof: proof.clone(),
                found: snapshot.revision.clone(),
            });
            // Something else lay there when the application read its configuration.
            (self.reload_unproven, self.read_unvalidated) = (true, true);
        }
        if self.still_moving(now, &scan) {
            return;
        }
        match (activity, scan) {
            (Activity::Scanning(reason), Ok(snapshot)) => self.compare(now, snapshot, reason, effects),
            (Activity::Scanning(_), Err(error)) => self.unreadable(now, error.findings, effects),
            (Activity::Confirming(candidate, validation), Ok(snapshot)) if self.stayed(&candidate, &snapshot) => {
                self.motion.decided();
                self.apply_verdict(now, candidate, validation, effects);
            }
            (Activity::Confirming(candidate, validation), Ok(snapshot)) => {
                self.start_over(now, &candidate, &validation, &snapshot);
            }
            (Activity::Concluding(candidate, proof), Ok(snapshot)) if self.stayed(&candidate, &snapshot) => {
                effects.push(Effect::Report(proof));
                self.live(candidate, effects);
            }
            // The application read another content, at least in part: start over when it is at rest.
            _ => self.settle.event(now),
        }
    }

    /// Records what the gate itself sees in the sources. Times of files are no evidence of that: they can be set, and differ in
    /// meaning between file systems.
    fn observe(&mut self, now: Instant, scan: &Result<Snapshot, SnapshotError>) {
        let stirred = std::mem::take(&mut self.stirred);
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
    fn concludes(&self, activity: &Activity, scan: &Result<Snapshot, SnapshotError>) -> bool {
        let (Activity::Concluding(candidate, _), Ok(snapshot)) = (activity, scan) else { return false };
        self.motion.same_in_flight(candidate, &snapshot.revision, self.main.as_deref())
    }

    /// Returns `true` if `snapshot` is `candidate`, untouched since the first scan. Bytes that were rewritten may have been others in
    /// between.
    fn stayed(&mut self, candidate: &Arc<Revision>, snapshot: &Snapshot) -> bool {
        if snapshot.revision != *candidate {
            return self.motion.same_in_flight(candidate, &snapshot.revision, self.main.as_deref());
        }
        let untouched = snapshot.delivered == self.delivered || self.repeated >= REPETITIONS;
        self.repeated += u32::from(!untouched);
        untouched
    }

    /// Starts over with another content, or with the same that was rewritten during its validation.
    fn start_over(&mut self, now: Instant, candidate: &Revision, validation: &Validation, snapshot: &Snapshot) {
        let trial = if *snapshot.revision == *candidate || snapshot.committed {
            None
        } else {
            self.motion.restarted(now, candidate, &snapshot.revision, validation.duration)
        };
        match trial {
            Some(until) => self.settle.at(until),
            None => self.settle.event(now),
        }
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
        self.unreadable = true;
        let about = Digest::of(format!("{findings:?}").as_bytes());
        self.report_verdict(now, about, findings, None, effects);
        // The next event or poll scans again anyway; a retry would only scan earlier something that announces its change.
        self.retry = None;
    }

    fn compare(&mut self, now: Instant, snapshot: Snapshot, reason: Reason, effects: &mut Vec<Effect>) {
        let candidate = snapshot.revision;
        self.unreadable = false;
        let new = self.desired.as_deref() != Some(&*candidate);
        if new && reason == Reason::Poll {
            // No event announced it, so it may be half-written: it must be the same after the quiet period.
            self.settle.event(now);
            return;
        }
        self.main = self.policy.main.find(&snapshot.tree).ok();
        let may_follow = new && !snapshot.committed;
        if self.waits_for_trial(now, &candidate, effects) || (may_follow && self.begins_trial(now, &candidate)) {
            return;
        }
        if (new || reason == Reason::Retry)
            && let Some(known_good) = &self.known_good
        {
            self.motion.reprieve(now, &candidate, known_good);
        }
        self.delivered = snapshot.delivered;
        if new {
            (self.announced, self.repeated) = (false, 0);
            self.desired = Some(candidate.clone());
        }
        self.decide(now, candidate, reason, effects);
    }

    /// Takes the scan in for a trial that is under way; returns `true` if it goes on.
    fn waits_for_trial(&mut self, now: Instant, candidate: &Arc<Revision>, effects: &mut Vec<Effect>) -> bool {
        match self.motion.try_out(now, candidate, self.main.as_deref()) {
            TrialOutcome::None => {}
            TrialOutcome::Pending(until) => {
                self.settle.at(until);
                return true;
            }
            TrialOutcome::Caused if self.running() == Some(&**candidate) => {}
            TrialOutcome::Caused => {
                self.conclude_late(candidate, effects);
                self.raise_motion(now, candidate.digest(), effects);
            }
            TrialOutcome::Interrupting(files) => {
                let message = format!("{} changes faster than it can be validated", names(&files));
                let help = "write it less often, or leave it out with `--exclude`; the newest content is reloaded when it rests";
                let event = Event::new(Kind::Deferred).about(candidate.digest()).message(message);
                self.raise(now, Digest::of(b"faster"), event.help(Some(help.into())), effects);
                self.retry = None;
            }
        }
        false
    }

    /// Concludes the last reload after all, if only files that move because of the gate kept it from that.
    fn conclude_late(&mut self, candidate: &Revision, effects: &mut Vec<Effect>) {
        let Some(unconcluded) = self.unconcluded.take() else { return };
        let is_same =
            |other: &Revision| self.motion.same_in_flight(&unconcluded.candidate, other, self.main.as_deref());
        if is_same(&unconcluded.found) && is_same(candidate) {
            effects.push(Effect::Report(unconcluded.proof));
            self.live(unconcluded.candidate, effects);
        }
    }

    /// Takes in a new content; returns `true` if it follows the gate's own actions so often that a trial begins.
    fn begins_trial(&mut self, now: Instant, candidate: &Arc<Revision>) -> bool {
        let trial = self.motion.arrived(now, candidate);
        if let Some(until) = trial {
            self.settle.at(until);
        }
        trial.is_some()
    }

    /// Decides what follows from the newest content.
    fn decide(&mut self, now: Instant, candidate: Arc<Revision>, reason: Reason, effects: &mut Vec<Effect>) {
        let digest = candidate.digest();
        let unchanged = |effects: &mut Vec<Effect>| {
            if reason == Reason::Event {
                effects.push(Effect::Report(Event::new(Kind::Unchanged).about(digest)));
            }
        };
        let running = self.running().filter(|_| !self.policy.once);
        let is_running = running.is_some_and(|running| *running == *candidate);
        if is_running {
            self.validated = Some(candidate);
            if !self.resolve(digest, effects) {
                unchanged(effects);
            }
        } else if running.is_some_and(|running| self.motion.same(running, &candidate)) {
            self.raise_motion(now, digest, effects);
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

    /// Returns `true` if nothing more can be done about `digest` for now.
    fn waits(&self, digest: Digest) -> bool {
        let is_deferred = self.deferred.is_some_and(|(deferred, _)| deferred == digest) && self.retry.is_some();
        let incident = self.incident.filter(|incident| incident.about == digest);
        is_deferred
            || incident.is_some_and(|incident| {
                let is_final = matches!(incident.kind, Kind::Rejected | Kind::Unverified);
                let awaits_target = matches!(incident.kind, Kind::TargetMissing | Kind::TargetRefused);
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
    /// Reports, once, the files that move because of the gate.
    pub(super) fn raise_motion(&mut self, now: Instant, digest: Digest, effects: &mut Vec<Effect>) {
        let files: Vec<PathBuf> = self.motion.moving().cloned().collect();
        if files.is_empty() {
            return;
        }
        let message =
            format!("{} changes whenever the gate validates or reloads, so its changes are ignored", names(&files));
        let help = "the application or the checker writes it: leave it out with `--exclude`, or write it elsewhere";
        let event = Event::new(Kind::Deferred).about(digest).message(message).help(Some(help.into()));
        self.raise(now, self.about_motion(), event, effects);
        // A main file that moves is not left alone for long.
        self.retry = self.motion.main_until(self.main.as_deref());
    }

    /// The subject of the incident about files that move because of the gate.
    pub(super) fn about_motion(&self) -> Digest {
        let files: Vec<_> = self.motion.moving().collect();
        Digest::of(format!("{files:?}").as_bytes())
    }
}
