//! Files that change because the gate acts: a log or a state file of the application, or of the checker, in a watched directory.
//!
//! Such a change is no new configuration, and a change by a person is. Two kinds of evidence tell them apart, and no time of a file:
//!
//! 1. A program keeps the file open and writes it. So it is output.
//! 2. An experiment. The same files changed after two actions in a row. Then the gate does nothing for as long as these changes took
//!    to appear: files that change now change on their own. Otherwise it acts once more, which brings everything that was written
//!    into effect, and it does not report that before such a change had its time: a writer that waits for the report is no effect of
//!    the action. If the same files change now, the action is the cause.
//!
//! A file that the application is known to read as configuration is never output: each change of it is taken.
//!
//! Files that change in the pause are no effect of the action. Where the application does not read them, they start no reload while they
//! change ([`own`]). Files that come and go, as those of a cache do, are known by their directory.
//!
//! A validation is tested three times, since it costs the application nothing. A file that is known to change because of the gate is
//! only ignored when it changes after an action. Another change of it is taken, once in a minute, and if it does not change after an action it is
//! known no longer. By chance a person may have changed a file at all of these moments, so the experiment is repeated three times,
//! first after a minute and then ever later.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::flow::tree::Revision;

mod own;
#[cfg(test)]
mod tests;

use own::OwnMotion;

/// A change that follows an action of the gate within this time may be a consequence of it.
const CONSEQUENCE: Duration = Duration::from_secs(2);
/// The number of times in a row that the same files change after an action before the experiment begins.
const SUSPICIOUS: u32 = 2;
/// The number of validations in a row that a change interrupts before it is reported.
const RESTARTS: u32 = 3;
/// The bounds of the pause in an experiment. A validation may last for longer.
const SHORTEST_TRIAL: Duration = Duration::from_millis(300);
const LONGEST_TRIAL: Duration = Duration::from_secs(10);
/// The number of validations that are tested.
const ROUNDS: u32 = 3;
/// The time until the experiment is repeated, the factor by which it grows, and the number of repetitions.
const FIRST_REPETITION: Duration = Duration::from_secs(60);
const GROWTH: u32 = 8;
const REPETITIONS: u32 = 3;
/// The time without an experiment after one that showed that the files change on their own.
const NEXT_TRIAL: Duration = Duration::from_secs(10);

/// A pause without any action: the content either changes meanwhile, or only because of the gate.
#[derive(Clone, Debug)]
struct MotionTrial {
    revision: Arc<Revision>,
    files: BTreeSet<PathBuf>,
    until: Instant,
    pause: Duration,
    /// Until then a change may still be a consequence of the action: old workers write when they end.
    aftermath: Instant,
    during_validation: bool,
    round: u32,
}

/// The action after the pause.
#[derive(Clone, Debug)]
struct MotionTest {
    revision: Arc<Revision>,
    files: BTreeSet<PathBuf>,
    /// The time in which its consequences appear.
    window: Duration,
    during_validation: bool,
    round: u32,
}

/// The outcome of a scan for the pause of an experiment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TrialOutcome {
    /// No pause is under way, or nothing follows from it.
    None,
    /// It goes on until then.
    Pending(Instant),
    /// These files change on their own, and interrupt one validation after the other.
    Interrupting(BTreeSet<PathBuf>),
}

/// The meaning of a change that followed an action.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Consequence {
    /// Nothing is known: it is a change as any other.
    None,
    /// An experiment begins: nothing is done until then.
    Trial(Instant),
    /// The action is the cause.
    Caused,
}

/// The evidence for a file that changes because of the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    /// A program keeps it open.
    Held,
    /// The experiment.
    Caused,
    /// It changes whether the gate acts or not.
    Alone,
}

/// The files that change because of the gate's own actions.
#[derive(Clone, Debug, Default)]
pub(super) struct Motion {
    /// The last action, and the content that it was about.
    acted: Option<(Instant, Arc<Revision>)>,
    /// The end of the time in which a change may be a consequence of the last action.
    window_end: Option<Instant>,
    /// The number of times in a row that each file changed after an action.
    suspects: BTreeMap<PathBuf, u32>,
    /// The longest time that these changes took to appear.
    delay: Duration,
    /// The number of times in a row that a validation was started over.
    restarts: u32,
    trial: Option<MotionTrial>,
    test: Option<MotionTest>,
    no_trial_before: Option<Instant>,
    /// The files that are known to change because of the gate.
    moving: BTreeMap<PathBuf, Evidence>,
    /// Those of them that changed since the last validation began.
    moved: BTreeSet<PathBuf>,
    /// The time at which the experiment is repeated, and the number of repetitions before that.
    repetition: Option<(Instant, u32)>,
    /// The content that differs from the desired one only because of the gate.
    explained: Option<Arc<Revision>>,
    /// Files that the application is known to read as configuration.
    configuration: BTreeSet<PathBuf>,
    alone: OwnMotion,
}

impl Motion {
    /// Records the files that the application is known to read as configuration; none if that is not known.
    pub(super) fn reads(&mut self, configuration: &BTreeSet<PathBuf>) {
        self.configuration.clone_from(configuration);
        self.moving.retain(|file, _| !configuration.contains(file));
    }

    /// Returns `true` if a program keeps the file open, and it is no configuration.
    fn is_held(&self, file: &PathBuf, held: &BTreeSet<PathBuf>) -> bool {
        held.contains(file) && !self.configuration.contains(file)
    }

    /// Records that the gate reloaded `revision`. Scans see a change late by `lag`.
    pub(super) fn acted(&mut self, now: Instant, revision: &Arc<Revision>, lag: Duration) {
        self.window_end = Some(now + CONSEQUENCE + lag);
        self.acted = Some((now, revision.clone()));
    }

    /// Records that the last action went on until `now`.
    pub(super) fn acted_again(&mut self, now: Instant, lag: Duration) {
        if self.window_end.is_some() {
            self.window_end = Some(now + CONSEQUENCE + lag);
        }
    }

    /// Records that a validation begins.
    pub(super) fn begins(&mut self) {
        self.moved.clear();
    }

    /// Records that a content was validated without being disturbed.
    pub(super) fn decided(&mut self, now: Instant, lag: Duration) {
        self.restarts = 0;
        // Nothing changed in the validation that was the test.
        if self.test.take_if(|test| test.during_validation).is_some() {
            self.suspects.clear();
        }
        self.window_end = Some(now + CONSEQUENCE + lag);
    }

    /// Forgets the files that did not change with the last action although its consequences had their time.
    pub(super) fn expire(&mut self, now: Instant) {
        if self.window_end.is_some_and(|end| now > end) {
            self.moving.retain(|file, evidence| *evidence != Evidence::Caused || self.moved.contains(file));
        }
        self.take_rested(now);
    }

    /// The time at which the experiment must be repeated.
    pub(super) fn repetition(&self) -> Option<Instant> {
        let is_caused = self.moving.values().any(|evidence| *evidence == Evidence::Caused);
        let repetition = self.repetition.filter(|(_, done)| is_caused && *done < REPETITIONS).map(|(at, _)| at);
        repetition.into_iter().chain(self.rest_end()).min()
    }

    /// Returns `true` if the experiment must be repeated now.
    pub(super) fn repeats(&self, now: Instant) -> bool {
        let is_caused = self.moving.values().any(|evidence| *evidence == Evidence::Caused);
        is_caused && self.repetition.is_some_and(|(at, done)| at <= now && done < REPETITIONS)
    }

    /// Repeats the experiment with the next action, which is about `revision`.
    pub(super) fn repeat(&mut self, revision: &Arc<Revision>) {
        let caused = self.moving.iter().filter(|(_, evidence)| **evidence == Evidence::Caused);
        let files: BTreeSet<_> = caused.map(|(file, _)| file.clone()).collect();
        let window = CONSEQUENCE;
        self.test =
            Some(MotionTest { revision: revision.clone(), files, window, during_validation: false, round: ROUNDS });
    }

    /// The end of the time in which the reload of `revision`, which was proven at `now`, shows its consequences, if it is the test.
    pub(super) fn tests(&self, now: Instant, revision: &Revision) -> Option<Instant> {
        let is_this = |test: &&MotionTest| *test.revision == *revision && !test.during_validation;
        let test = self.test.as_ref().filter(is_this).filter(|_| self.acted.is_some())?;
        Some(now + test.window)
    }

    /// Ends an experiment in which the action had no consequence.
    pub(super) fn acquit(&mut self) {
        if let Some(test) = self.test.take() {
            self.moving.retain(|file, _| !test.files.contains(file));
        }
        self.suspects.clear();
    }

    /// Gives up an experiment that was disturbed.
    pub(super) fn cancel(&mut self) {
        self.test = None;
    }

    /// Takes in a content that is new after an action, of which `held` are files that a program keeps open.
    pub(super) fn arrived(&mut self, now: Instant, revision: &Arc<Revision>, held: &BTreeSet<PathBuf>) -> Consequence {
        let Some((at, before)) = self.acted.take() else { return Consequence::None };
        let is_suspect = |file: &PathBuf| !held.contains(file) && !self.configuration.contains(file);
        let files: BTreeSet<_> = self.moves(&before, revision).into_iter().filter(is_suspect).collect();
        if self.window_end.is_none_or(|end| now > end) {
            self.acquit();
            return Consequence::None;
        }
        if let Some(test) = self.passed(&before, &files) {
            self.convict(now, revision, &test.files);
            return Consequence::Caused;
        }
        let files: BTreeSet<_> = files.into_iter().filter(|file| !self.moving.contains_key(file)).collect();
        if files.is_empty() {
            self.acted = Some((at, before));
            return Consequence::None;
        }
        self.delay = self.delay.max(now - at);
        self.suspect(now, (revision, files), at + CONSEQUENCE, None)
    }

    /// Takes in that `revision` took the place of `before` during its validation, which lasted for `duration`.
    pub(super) fn restarted(
        &mut self,
        now: Instant,
        before: &Revision,
        revision: &Arc<Revision>,
        duration: Duration,
    ) -> Consequence {
        self.restarts += 1;
        let files = self.moves(before, revision);
        match self.passed(before, &files) {
            Some(test) if test.round < ROUNDS => {
                let pause = duration.clamp(SHORTEST_TRIAL, LONGEST_TRIAL);
                self.pause(now, (revision, test.files), (pause, now), Some(test.round + 1))
            }
            Some(test) => {
                self.convict(now, revision, &test.files);
                Consequence::Caused
            }
            None => self.suspect(now, (revision, files), now, Some(duration)),
        }
    }

    /// Takes in that these files changed after the action on `before`; returns the test that shows by that that it is the cause.
    fn passed(&mut self, before: &Revision, files: &BTreeSet<PathBuf>) -> Option<MotionTest> {
        let test = self.test.take_if(|test| *test.revision == *before)?;
        (!files.is_empty() && files.is_subset(&test.files)).then_some(test)
    }

    fn convict(&mut self, now: Instant, revision: &Arc<Revision>, files: &BTreeSet<PathBuf>) {
        self.suspects.clear();
        let is_repetition = files.iter().all(|file| self.moving.contains_key(file));
        self.moving.extend(files.iter().map(|file| (file.clone(), Evidence::Caused)));
        self.moved.extend(files.iter().cloned());
        self.explained = Some(revision.clone());
        let done = if is_repetition { self.repetition.map_or(0, |(_, done)| done + 1) } else { 0 };
        self.repetition = Some((now + FIRST_REPETITION * GROWTH.saturating_pow(done), done));
    }

    fn suspect(
        &mut self,
        now: Instant,
        (revision, files): (&Arc<Revision>, BTreeSet<PathBuf>),
        aftermath: Instant,
        validation: Option<Duration>,
    ) -> Consequence {
        self.suspects = files.iter().map(|file| (file.clone(), self.times(file) + 1)).collect();
        let moves = self.suspects.values().min().copied().unwrap_or_default();
        let is_due = moves >= SUSPICIOUS || self.restarts >= RESTARTS;
        if !is_due || self.no_trial_before.is_some_and(|at| now < at) {
            return Consequence::None;
        }
        let pause = validation.unwrap_or(self.window()).clamp(SHORTEST_TRIAL, LONGEST_TRIAL);
        self.pause(now, (revision, files), (pause, aftermath), validation.map(|_| 1))
    }

    /// Begins a pause before a test; `round` is that of a validation.
    fn pause(
        &mut self,
        now: Instant,
        (revision, files): (&Arc<Revision>, BTreeSet<PathBuf>),
        (pause, aftermath): (Duration, Instant),
        round: Option<u32>,
    ) -> Consequence {
        let until = now + pause;
        let (during_validation, round) = (round.is_some(), round.unwrap_or(ROUNDS));
        let revision = revision.clone();
        self.trial = Some(MotionTrial { revision, files, until, pause, aftermath, during_validation, round });
        Consequence::Trial(until)
    }

    /// The time that the suspects need to change, and half as much again.
    fn window(&self) -> Duration {
        (self.delay * 3 / 2).clamp(SHORTEST_TRIAL, CONSEQUENCE)
    }

    /// Takes in a scan that found `revision`.
    pub(super) fn try_out(&mut self, now: Instant, revision: &Arc<Revision>) -> TrialOutcome {
        let changed = self.trial.as_ref().map(|trial| self.moves(&trial.revision, revision)).unwrap_or_default();
        let Some(mut trial) = self.trial.take() else { return TrialOutcome::None };
        if !changed.is_empty() && now < trial.aftermath && changed.iter().all(|file| trial.files.contains(file)) {
            (trial.revision, trial.until) = (revision.clone(), now + trial.pause);
        }
        let is_same = trial.revision == *revision;
        if is_same && now < trial.until {
            let until = trial.until;
            self.trial = Some(trial);
            return TrialOutcome::Pending(until);
        }
        if changed.iter().any(|file| !trial.files.contains(file)) {
            // A change of something else; the suspects stay under suspicion.
            return TrialOutcome::None;
        }
        if !is_same {
            self.suspects.clear();
            let is_alone = self.change_alone(now, &changed);
            if is_alone || (trial.during_validation && self.restarts < RESTARTS) {
                return TrialOutcome::None;
            }
            self.no_trial_before = Some(now + NEXT_TRIAL);
            let interrupts = trial.during_validation;
            return if interrupts { TrialOutcome::Interrupting(trial.files) } else { TrialOutcome::None };
        }
        let MotionTrial { files, during_validation, round, .. } = trial;
        let window = self.window();
        self.test = Some(MotionTest { revision: revision.clone(), files, window, during_validation, round });
        self.delay = Duration::ZERO;
        TrialOutcome::None
    }

    /// Returns `true` if `revision` differs from `desired` only in files that a program keeps open, and in files that the last action
    /// moved.
    pub(super) fn explains(
        &mut self,
        now: Instant,
        desired: &Revision,
        revision: &Arc<Revision>,
        held: &BTreeSet<PathBuf>,
    ) -> bool {
        let changed = self.moves(desired, revision);
        let fresh = self.explained.as_ref().map_or_else(|| changed.clone(), |known| self.moves(known, revision));
        let in_window = self.window_end.is_some_and(|end| now <= end);
        let follows = |file: &PathBuf| match self.moving.get(file) {
            Some(Evidence::Caused) => in_window || !fresh.contains(file),
            Some(Evidence::Alone) => !fresh.contains(file),
            _ => false,
        };
        let rest: Vec<&PathBuf> = changed.iter().filter(|file| !self.is_held(file, held) && !follows(file)).collect();
        if changed.is_empty() || !(rest.is_empty() || self.moves_alone(now, &rest, revision)) {
            self.moving.retain(|file, evidence| *evidence != Evidence::Held || held.contains(file));
            return false;
        }
        self.note(revision, &changed, held);
        true
    }

    /// Records the files that changed because of the gate, or of a program that keeps them open.
    fn note(&mut self, revision: &Arc<Revision>, changed: &BTreeSet<PathBuf>, held: &BTreeSet<PathBuf>) {
        for file in changed {
            if held.contains(file) {
                self.moving.entry(file.clone()).or_insert(Evidence::Held);
            }
            self.moved.insert(file.clone());
        }
        self.explained = Some(revision.clone());
    }

    /// Records that `revision` lies in the sources in place of `candidate`, which is validated or was proven; returns `true` if they
    /// differ in nothing except such files, and not in `main`: what the application reads of it has to be validated.
    pub(super) fn stays(
        &mut self,
        candidate: &Revision,
        revision: &Arc<Revision>,
        main: Option<&Path>,
        held: &BTreeSet<PathBuf>,
    ) -> bool {
        let changed = self.moves(candidate, revision);
        let is_known = |file: &PathBuf| self.is_held(file, held) || self.moving.contains_key(file);
        let stays = changed.iter().all(|file| is_known(file) && Some(file.as_path()) != main);
        if stays && !changed.is_empty() {
            self.note(revision, &changed, held);
        }
        stays
    }

    /// Forgets which content differs from the desired one because of the gate, since another one is desired.
    pub(super) fn begin(&mut self) {
        self.explained = None;
        self.has_taken();
    }

    /// The files that change because of the gate, or that a program keeps open.
    pub(super) fn moving(&self) -> impl Iterator<Item = &PathBuf> {
        self.moving.keys()
    }

    /// Returns `true` if a program keeps all of these files open.
    pub(super) fn is_output(&self) -> bool {
        self.moving.values().all(|evidence| *evidence == Evidence::Held)
    }
}
