//! The bounds of reloads: a minimum interval, a budget, and the files that change because the gate acts.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Policy;
use crate::flow::tree::Revision;

/// A number of reloads in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The number of reloads.
    pub reloads: usize,
    /// The time.
    pub window: Duration,
}

/// The times of the last reloads.
#[derive(Debug, Default)]
pub(super) struct ReloadBounds {
    reloads: VecDeque<Instant>,
}

impl ReloadBounds {
    /// Records a reload.
    pub(super) fn note(&mut self, now: Instant, policy: &Policy) {
        self.reloads.push_back(now);
        while self.reloads.len() > policy.budget.map_or(1, |budget| budget.reloads.max(1)) {
            self.reloads.pop_front();
        }
    }

    /// The time at which the next reload is permitted, and the bound that determines it; `None` if that is now.
    pub(super) fn wait(&self, now: Instant, policy: &Policy) -> Option<(Instant, String)> {
        let last = *self.reloads.back()?;
        let by_interval = last + policy.min_interval;
        let by_budget = policy.budget.and_then(|budget| {
            let full = self.reloads.len() >= budget.reloads.max(1);
            Some((*self.reloads.front().filter(|_| full)? + budget.window, budget))
        });
        match by_budget {
            Some((at, Budget { reloads, window })) if at > now.max(by_interval) => Some((
                at,
                format!("the budget of {reloads} reloads in {} is spent", humantime::format_duration(window)),
            )),
            _ if by_interval > now => {
                let interval = humantime::format_duration(policy.min_interval);
                Some((by_interval, format!("the last reload was less than {interval} ago")))
            }
            _ => None,
        }
    }
}

/// A change that follows an action of the gate within this time may be a consequence of it.
const CONSEQUENCE: Duration = Duration::from_secs(2);
/// The number of times that the same files change after an action before the gate pauses, and before it takes the action for the
/// cause if nothing changes in either pause.
const PAUSE_AFTER: u32 = 2;
const CAUSED_AFTER: u32 = 3;
/// The number of validations in a row that a change interrupts before it is reported.
const RESTARTS: u32 = 3;
/// The pause at first and before the decision; at least as long as a validation takes, and not longer than the longest.
const FIRST_TRIAL: Duration = Duration::from_millis(300);
const LAST_TRIAL: Duration = Duration::from_secs(2);
const LONGEST_TRIAL: Duration = Duration::from_secs(10);
/// The time for which the changes of a file are ignored. The main file is more probably changed by a person.
const IGNORED: Duration = Duration::from_secs(600);
const MAIN_IGNORED: Duration = Duration::from_secs(60);
/// The time without a pause after one that showed that the files change on their own.
const NEXT_TRIAL: Duration = Duration::from_secs(10);

/// A pause without any action: the content either changes meanwhile, or only because of the gate.
#[derive(Debug)]
struct MotionTrial {
    revision: Arc<Revision>,
    files: Vec<PathBuf>,
    until: Instant,
    pause: Duration,
    /// Until then a change may still be a consequence of the action: old workers write when they end.
    aftermath: Instant,
    /// If nothing changes, the gate is the cause.
    is_last: bool,
    during_validation: bool,
}

/// The outcome of a scan for the trial.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TrialOutcome {
    /// No trial is under way, or nothing follows from it.
    None,
    /// It goes on until then.
    Pending(Instant),
    /// Files change because the gate validates or reloads.
    Caused,
    /// These files change on their own, and interrupt one validation after the other.
    Interrupting(Vec<PathBuf>),
}

/// The files that change because of the gate's own actions: a log of the application or of the checker in a watched directory.
#[derive(Debug, Default)]
pub(super) struct Motion {
    /// The last action, and the content that it was about.
    acted: Option<(Instant, Arc<Revision>)>,
    /// The number of times in a row that each file changed after an action.
    suspects: BTreeMap<PathBuf, u32>,
    /// The number of times in a row that a validation was started over.
    restarts: u32,
    trial: Option<MotionTrial>,
    no_trial_before: Option<Instant>,
    /// The files that move because of the gate, and the time until which their changes are ignored.
    moving: BTreeMap<PathBuf, Instant>,
}

impl Motion {
    /// Records that the gate reloaded `revision`.
    pub(super) fn acted(&mut self, now: Instant, revision: &Arc<Revision>) {
        self.acted = Some((now, revision.clone()));
    }

    /// Records that the last action went on until `now`.
    pub(super) fn acted_again(&mut self, now: Instant) {
        if let Some((at, _)) = &mut self.acted {
            *at = now;
        }
    }

    /// Records that a content was validated without being disturbed.
    pub(super) fn decided(&mut self) {
        self.restarts = 0;
    }

    /// Takes in a content that is new after an action; returns the end of a trial if one begins.
    pub(super) fn arrived(&mut self, now: Instant, revision: &Arc<Revision>) -> Option<Instant> {
        let (at, before) = self.acted.take()?;
        if now > at + CONSEQUENCE {
            self.suspects.clear();
            return None;
        }
        self.suspect(now, (&before, revision), at + CONSEQUENCE, None)
    }

    /// Takes in that `revision` took the place of `before` during its validation, which lasted for `duration`.
    pub(super) fn restarted(
        &mut self,
        now: Instant,
        before: &Revision,
        revision: &Arc<Revision>,
        duration: Duration,
    ) -> Option<Instant> {
        self.restarts += 1;
        self.suspect(now, (before, revision), now, Some(duration))
    }

    fn suspect(
        &mut self,
        now: Instant,
        (before, revision): (&Revision, &Arc<Revision>),
        aftermath: Instant,
        validation: Option<Duration>,
    ) -> Option<Instant> {
        let files = revision.changed_since(before);
        self.suspects.retain(|file, _| files.contains(file));
        for file in &files {
            *self.suspects.entry(file.clone()).or_default() += 1;
        }
        let moves = self.suspects.values().min().copied().unwrap_or_default();
        let is_due = moves >= PAUSE_AFTER || self.restarts >= RESTARTS;
        if !is_due || self.no_trial_before.is_some_and(|at| now < at) {
            return None;
        }
        let (is_last, during_validation) = (moves >= CAUSED_AFTER, validation.is_some());
        let shortest = if is_last { LAST_TRIAL } else { FIRST_TRIAL };
        let pause = validation.unwrap_or_default().clamp(shortest, LONGEST_TRIAL);
        let until = now + pause;
        let revision = revision.clone();
        self.trial = Some(MotionTrial { revision, files, until, pause, aftermath, is_last, during_validation });
        Some(until)
    }

    /// Takes in a scan that found `revision`, in which `main` is the main file.
    pub(super) fn try_out(&mut self, now: Instant, revision: &Arc<Revision>, main: Option<&Path>) -> TrialOutcome {
        let Some(mut trial) = self.trial.take() else { return TrialOutcome::None };
        let changed = revision.changed_since(&trial.revision);
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
            if trial.during_validation && self.restarts < RESTARTS {
                return TrialOutcome::None;
            }
            self.no_trial_before = Some(now + NEXT_TRIAL);
            let interrupts = trial.during_validation;
            return if interrupts { TrialOutcome::Interrupting(trial.files) } else { TrialOutcome::None };
        }
        if !trial.is_last {
            return TrialOutcome::None;
        }
        self.suspects.clear();
        let until = |file: &PathBuf| now + if Some(file.as_path()) == main { MAIN_IGNORED } else { IGNORED };
        self.moving.extend(trial.files.iter().map(|file| (file.clone(), until(file))));
        TrialOutcome::Caused
    }

    /// Returns `true` if the two differ in nothing but files that move because of the gate.
    pub(super) fn same(&self, one: &Revision, other: &Revision) -> bool {
        one.changed_since(other).iter().all(|file| self.moving.contains_key(file))
    }

    /// Returns `true` if the two differ in nothing but files that move because of the gate, and not in `main`: what the application
    /// reads of it has to be validated.
    pub(super) fn same_in_flight(&self, one: &Revision, other: &Revision, main: Option<&Path>) -> bool {
        let is_main = |file: &PathBuf| Some(file.as_path()) == main;
        one.changed_since(other).iter().all(|file| self.moving.contains_key(file) && !is_main(file))
    }

    /// Gives those of the files that differ another chance whose time is over and that do not follow an action just now.
    pub(super) fn reprieve(&mut self, now: Instant, one: &Revision, other: &Revision) {
        if self.acted.as_ref().is_some_and(|(at, _)| now <= *at + CONSEQUENCE) {
            return;
        }
        for file in one.changed_since(other) {
            if self.moving.get(&file).is_some_and(|until| now >= *until) {
                self.moving.remove(&file);
                self.suspects.insert(file, PAUSE_AFTER);
            }
        }
    }

    /// The files that move because of the gate.
    pub(super) fn moving(&self) -> impl Iterator<Item = &PathBuf> {
        self.moving.keys()
    }

    /// No longer ignores the changes of `main`; returns `true` if it did.
    pub(super) fn forget(&mut self, main: Option<&Path>) -> bool {
        main.is_some_and(|main| self.moving.remove(main).is_some())
    }

    /// The time until which the changes of `main` are ignored, if they are.
    pub(super) fn main_until(&self, main: Option<&Path>) -> Option<Instant> {
        self.moving.get(main?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::tree::Tree;

    fn revision(files: &[(&str, &str)]) -> Arc<Revision> {
        let tree: Tree = files.iter().map(|(name, content)| ((*name).into(), content.as_bytes().to_vec())).collect();
        Arc::new(Revision::of(&tree))
    }

    fn policy(min_interval: u64, budget: Option<(usize, u64)>) -> Policy {
        let budget = budget.map(|(reloads, window)| Budget { reloads, window: Duration::from_secs(window) });
        Policy { min_interval: Duration::from_secs(min_interval), budget, ..super::super::world::policy(false) }
    }

    fn waits(bounds: &ReloadBounds, now: Instant, policy: &Policy) -> Option<u64> {
        bounds.wait(now, policy).map(|(at, _)| (at - now).as_secs())
    }

    #[test]
    fn reloads_keep_their_interval() {
        let (policy, start, mut bounds) = (policy(10, None), Instant::now(), ReloadBounds::default());
        assert_eq!(waits(&bounds, start, &policy), None);
        bounds.note(start, &policy);
        assert_eq!(waits(&bounds, start + Duration::from_secs(3), &policy), Some(7));
        assert_eq!(waits(&bounds, start + Duration::from_secs(10), &policy), None);
    }

    #[test]
    fn a_budget_is_spent_and_comes_back() {
        let (policy, start, mut bounds) = (policy(0, Some((2, 60))), Instant::now(), ReloadBounds::default());
        bounds.note(start, &policy);
        assert_eq!(waits(&bounds, start + Duration::from_secs(10), &policy), None);
        bounds.note(start + Duration::from_secs(10), &policy);
        let (at, reason) = bounds.wait(start + Duration::from_secs(20), &policy).expect("it is spent");
        assert_eq!(at, start + Duration::from_secs(60));
        assert_eq!(reason, "the budget of 2 reloads in 1m is spent");
        bounds.note(start + Duration::from_secs(60), &policy);
        assert_eq!(waits(&bounds, start + Duration::from_secs(61), &policy), Some(9));
    }

    fn logs() -> Vec<Arc<Revision>> {
        ["0", "1", "2", "3", "4"].map(|log| revision(&[("app.conf", "a"), ("log", log)])).into()
    }

    /// Reloads one content, and finds the next one after it.
    fn round(motion: &mut Motion, now: Instant, contents: &[Arc<Revision>], step: usize) -> Option<Instant> {
        motion.acted(now, &contents[step]);
        motion.arrived(now, &contents[step + 1])
    }

    #[test]
    fn a_file_that_only_moves_after_a_reload_is_a_consequence() {
        let (mut now, mut motion, contents) = (Instant::now(), Motion::default(), logs());
        assert_eq!(round(&mut motion, now, &contents, 0), None);
        for (step, outcome) in [(1, TrialOutcome::None), (2, TrialOutcome::Caused)] {
            let until = round(&mut motion, now, &contents, step).expect("a pause begins");
            assert_eq!(motion.try_out(now, &contents[step + 1], None), TrialOutcome::Pending(until));
            assert_eq!(motion.try_out(until, &contents[step + 1], None), outcome);
            now = until;
        }
        assert!(motion.same(&contents[0], &contents[3]));
        assert!(!motion.same(&contents[0], &revision(&[("app.conf", "b"), ("log", "0")])));
    }

    #[test]
    fn a_file_that_moves_in_a_pause_moves_on_its_own() {
        let (now, mut motion, contents) = (Instant::now(), Motion::default(), logs());
        round(&mut motion, now, &contents, 0);
        round(&mut motion, now, &contents, 1).expect("a pause begins");
        let aftermath = motion.try_out(now, &contents[3], None);
        assert!(matches!(aftermath, TrialOutcome::Pending(_)), "old workers write when they end: {aftermath:?}");
        assert_eq!(motion.try_out(now + CONSEQUENCE * 2, &contents[4], None), TrialOutcome::None);
        for step in 0..4 {
            assert_eq!(round(&mut motion, now, &contents, step), None, "no pause for a while");
        }
        assert!(!motion.same(&contents[0], &contents[3]));
    }

    #[test]
    fn a_file_that_interrupts_one_validation_after_the_other_is_reported() {
        let (now, mut motion, contents) = (Instant::now(), Motion::default(), logs());
        let interrupt = |motion: &mut Motion, step: usize| {
            motion.restarted(now, &contents[step], &contents[step + 1], Duration::from_secs(1)).is_some()
        };
        assert!(!interrupt(&mut motion, 0));
        assert!(interrupt(&mut motion, 1));
        assert_eq!(motion.try_out(now, &contents[3], None), TrialOutcome::None);
        assert!(interrupt(&mut motion, 2));
        let interrupting = TrialOutcome::Interrupting(vec!["log".into()]);
        assert_eq!(motion.try_out(now, &contents[4], None), interrupting);
    }

    #[test]
    fn a_change_of_another_file_in_a_pause_acquits_no_suspect() {
        let (now, mut motion, contents) = (Instant::now(), Motion::default(), logs());
        round(&mut motion, now, &contents, 0);
        round(&mut motion, now, &contents, 1).expect("a pause begins");
        let other = |log: &str| revision(&[("app.conf", "b"), ("log", log)]);
        assert_eq!(motion.try_out(now, &other("2"), None), TrialOutcome::None);
        motion.acted(now, &other("2"));
        let until = motion.arrived(now, &other("3")).expect("the last pause begins");
        assert_eq!(motion.try_out(until, &other("3"), None), TrialOutcome::Caused);
    }

    #[test]
    fn a_change_long_after_a_reload_is_no_consequence() {
        let (now, mut motion, contents) = (Instant::now(), Motion::default(), logs());
        for step in 0..4 {
            motion.acted(now, &contents[step]);
            assert_eq!(motion.arrived(now + CONSEQUENCE * 2, &contents[step + 1]), None);
        }
    }

    #[test]
    fn a_moving_file_gets_another_chance_after_a_while() {
        let (now, mut motion, contents) = (Instant::now(), Motion::default(), logs());
        motion.moving.insert("log".into(), now + IGNORED);
        motion.reprieve(now, &contents[0], &contents[1]);
        assert!(motion.same(&contents[0], &contents[1]));
        motion.reprieve(now + IGNORED, &contents[0], &contents[1]);
        assert!(!motion.same(&contents[0], &contents[1]));
    }
}
