//! Tests of the experiment, step by step.

use super::*;
use crate::flow::tree::Tree;

const LAG: Duration = Duration::ZERO;
const NONE: BTreeSet<PathBuf> = BTreeSet::new();

fn revision(files: &[(&str, &str)]) -> Arc<Revision> {
    let tree: Tree = files.iter().map(|(name, content)| ((*name).into(), content.as_bytes().to_vec())).collect();
    Arc::new(Revision::of(&tree))
}

fn logs() -> Vec<Arc<Revision>> {
    ["0", "1", "2", "3", "4", "5"].map(|log| revision(&[("app.conf", "a"), ("log", log)])).into()
}

fn after(now: Instant, milliseconds: u64) -> Instant {
    now + Duration::from_millis(milliseconds)
}

/// Reloads one content, and finds the next one 200 ms later.
fn round(motion: &mut Motion, now: Instant, contents: &[Arc<Revision>], step: usize) -> Consequence {
    motion.acted(now, &contents[step], LAG);
    motion.arrived(after(now, 200), &contents[step + 1], &NONE)
}

/// Two reloads, each followed by a change, and the pause; returns its end.
fn up_to_the_test(motion: &mut Motion, now: Instant, contents: &[Arc<Revision>]) -> Instant {
    assert_eq!(round(motion, now, contents, 0), Consequence::None);
    let Consequence::Trial(until) = round(motion, now, contents, 1) else { panic!("no pause begins") };
    assert_eq!(until, after(now, 500), "as long as the changes took, and half as long again");
    assert_eq!(motion.try_out(after(now, 300), &contents[2]), TrialOutcome::Pending(until));
    assert_eq!(motion.try_out(until, &contents[2]), TrialOutcome::None);
    until
}

/// Motion in which the log is known to change because of the gate, and the time.
fn convicted(contents: &[Arc<Revision>]) -> (Motion, Instant) {
    let mut motion = Motion::default();
    let now = up_to_the_test(&mut motion, Instant::now(), contents);
    motion.acted(now, &contents[2], LAG);
    assert_eq!(motion.tests(now, &contents[2]), Some(after(now, 300)));
    assert_eq!(motion.arrived(after(now, 200), &contents[3], &NONE), Consequence::Caused);
    (motion, after(now, 200))
}

#[test]
fn a_file_that_changes_with_each_reload_and_never_without_is_known_after_three() {
    let contents = logs();
    let (mut motion, now) = convicted(&contents);
    assert!(motion.explains(now, &contents[2], &contents[3], &NONE));
    assert_eq!(motion.moving().collect::<Vec<_>>(), [Path::new("log")]);
}

#[test]
fn a_file_that_the_application_reads_is_never_taken_for_output() {
    let contents = logs();
    let (mut motion, now) = (Motion::default(), Instant::now());
    motion.reads(&BTreeSet::from([PathBuf::from("log")]));
    for step in 0..4 {
        assert_eq!(round(&mut motion, after(now, 1_000 * step as u64), &contents, step), Consequence::None);
    }
    let held = BTreeSet::from([PathBuf::from("log")]);
    assert!(!motion.explains(after(now, 4_000), &contents[3], &contents[4], &held));
    // A file that was known to change because of the gate is configuration from now on.
    let (mut motion, now) = convicted(&contents);
    motion.reads(&held);
    assert!(!motion.explains(now, &contents[2], &contents[3], &NONE));
}

#[test]
fn a_writer_that_waits_for_the_report_is_not_taken_for_the_gate() {
    let (mut motion, contents) = (Motion::default(), logs());
    let now = up_to_the_test(&mut motion, Instant::now(), &contents);
    motion.acted(now, &contents[2], LAG);
    // The proof is withheld for this time, and nothing changes in it.
    motion.acquit();
    assert_eq!(motion.arrived(after(now, 400), &contents[3], &NONE), Consequence::None);
    assert!(!motion.explains(after(now, 400), &contents[2], &contents[3], &NONE));
}

#[test]
fn three_quick_changes_and_none_afterwards_are_all_taken() {
    let (mut motion, contents) = (Motion::default(), logs());
    let until = up_to_the_test(&mut motion, Instant::now(), &contents);
    assert!(!motion.explains(until, &contents[1], &contents[2], &NONE));
    assert_eq!(motion.moving().count(), 0);
}

#[test]
fn a_file_that_changes_in_the_pause_changes_on_its_own() {
    let (now, mut motion, contents) = (Instant::now(), Motion::default(), logs());
    round(&mut motion, now, &contents, 0);
    assert!(matches!(round(&mut motion, now, &contents, 1), Consequence::Trial(_)));
    let aftermath = motion.try_out(after(now, 300), &contents[3]);
    assert!(matches!(aftermath, TrialOutcome::Pending(_)), "old workers write when they end: {aftermath:?}");
    assert_eq!(motion.try_out(after(now, 5_000), &contents[4]), TrialOutcome::None);
    for step in 0..4 {
        assert_eq!(round(&mut motion, after(now, 5_000), &contents, step), Consequence::None, "no pause for a while");
    }
}

#[test]
fn a_known_file_is_ignored_after_an_action_alone() {
    let contents = logs();
    let (mut motion, now) = convicted(&contents);
    let later = after(now, 10_000);
    assert!(motion.explains(later, &contents[2], &contents[3], &NONE), "nothing has changed since");
    assert!(!motion.explains(later, &contents[2], &contents[4], &NONE), "a change of its own is a real one");
    motion.begin();
    motion.acted(later, &contents[4], LAG);
    assert!(motion.explains(after(later, 100), &contents[4], &contents[5], &NONE));
    let other = revision(&[("app.conf", "b"), ("log", "5")]);
    assert!(!motion.explains(after(later, 100), &contents[4], &other, &NONE), "another file is a real change");
}

#[test]
fn a_file_that_does_not_change_after_an_action_is_known_no_longer() {
    let contents = logs();
    let (mut motion, now) = convicted(&contents);
    motion.expire(after(now, 5_000));
    assert_eq!(motion.moving().count(), 1, "it changed after the last action");
    motion.begins();
    motion.acted(after(now, 10_000), &contents[3], LAG);
    motion.expire(after(now, 11_000));
    assert_eq!(motion.moving().count(), 1, "it may still change");
    motion.expire(after(now, 13_000));
    assert_eq!(motion.moving().count(), 0);
}

#[test]
fn the_experiment_is_repeated() {
    let contents = logs();
    let (mut motion, now) = convicted(&contents);
    let at = motion.repetition().expect("it is due");
    assert_eq!(at, now + FIRST_REPETITION);
    motion.repeat(&contents[3]);
    motion.acted(at, &contents[3], LAG);
    assert_eq!(motion.tests(at, &contents[3]), Some(at + CONSEQUENCE));
    assert_eq!(motion.arrived(after(at, 100), &contents[4], &NONE), Consequence::Caused);
    assert_eq!(motion.repetition(), Some(after(at, 100) + GROWTH * FIRST_REPETITION), "ever more rarely");
    motion.repeat(&contents[4]);
    motion.acquit();
    assert_eq!((motion.moving().count(), motion.repetition()), (0, None));
}

#[test]
fn a_validation_without_a_change_acquits_and_is_no_test_of_the_reload() {
    let (now, mut motion, contents) = (Instant::now(), Motion::default(), logs());
    let duration = Duration::from_secs(1);
    motion.restarted(now, &contents[0], &contents[1], duration);
    motion.restarted(now, &contents[1], &contents[2], duration);
    let later = after(now, 1_000);
    assert_eq!(motion.try_out(later, &contents[2]), TrialOutcome::None);
    motion.decided(later, LAG);
    motion.acted(later, &contents[2], LAG);
    assert_eq!(motion.arrived(after(later, 500), &contents[3], &NONE), Consequence::None);
    assert!(!motion.explains(after(later, 500), &contents[2], &contents[3], &NONE));
}

#[test]
fn a_validation_is_tested_three_times() {
    let (mut now, mut motion, contents) = (Instant::now(), Motion::default(), logs());
    let duration = Duration::from_secs(1);
    assert_eq!(motion.restarted(now, &contents[0], &contents[1], duration), Consequence::None);
    for round in 1..=4 {
        let consequence = motion.restarted(now, &contents[round], &contents[round + 1], duration);
        let Consequence::Trial(until) = consequence else {
            assert_eq!((round, consequence), (4, Consequence::Caused));
            continue;
        };
        now = until;
        assert_eq!(motion.try_out(now, &contents[round + 1]), TrialOutcome::None, "{round}");
    }
    assert_eq!(motion.moving().count(), 1);
}

#[test]
fn a_file_that_a_program_keeps_open_is_output() {
    let (now, mut motion, contents) = (Instant::now(), Motion::default(), logs());
    let held = BTreeSet::from([PathBuf::from("log")]);
    assert!(motion.explains(now, &contents[0], &contents[1], &held));
    assert!(motion.is_output() && motion.moving().count() == 1);
    assert!(motion.stays(&contents[0], &contents[2], None, &held));
    assert!(!motion.stays(&contents[0], &contents[2], Some(Path::new("log")), &held), "the main file is read");
    assert!(!motion.explains(now, &contents[0], &contents[2], &NONE), "it was closed");
    assert_eq!(motion.moving().count(), 0);
}

#[test]
fn a_file_that_interrupts_one_validation_after_the_other_is_reported() {
    let (now, mut motion, contents) = (Instant::now(), Motion::default(), logs());
    let interrupt = |motion: &mut Motion, step: usize| {
        let consequence = motion.restarted(now, &contents[step], &contents[step + 1], Duration::from_secs(1));
        matches!(consequence, Consequence::Trial(_))
    };
    assert!(!interrupt(&mut motion, 0));
    assert!(interrupt(&mut motion, 1));
    assert_eq!(motion.try_out(now, &contents[3]), TrialOutcome::None);
    assert!(interrupt(&mut motion, 2));
    let interrupting = TrialOutcome::Interrupting([PathBuf::from("log")].into());
    assert_eq!(motion.try_out(now, &contents[4]), interrupting);
}

#[test]
fn a_change_of_another_file_in_the_pause_acquits_no_suspect() {
    let (now, mut motion, contents) = (Instant::now(), Motion::default(), logs());
    round(&mut motion, now, &contents, 0);
    round(&mut motion, now, &contents, 1);
    let other = |log: &str| revision(&[("app.conf", "b"), ("log", log)]);
    assert_eq!(motion.try_out(after(now, 300), &other("2")), TrialOutcome::None);
    motion.acted(after(now, 300), &other("2"), LAG);
    assert!(matches!(motion.arrived(after(now, 500), &other("3"), &NONE), Consequence::Trial(_)));
}

#[test]
fn a_change_long_after_a_reload_is_no_consequence() {
    let (now, mut motion, contents) = (Instant::now(), Motion::default(), logs());
    for step in 0..4 {
        motion.acted(now, &contents[step], LAG);
        assert_eq!(motion.arrived(now + CONSEQUENCE * 2, &contents[step + 1], &NONE), Consequence::None);
    }
}

/// A cache with one entry of this name, beside a configuration.
fn cached(entry: &str) -> Arc<Revision> {
    revision(&[("app.conf", "a"), ("conf.d/a.conf", "a"), (&format!("cache/{}/{entry}", &entry[..1]), "page")])
}

/// Two reloads, each followed by other files in the cache, and a pause in which they go on to change.
fn churned(motion: &mut Motion) -> Instant {
    let (now, entries) = (Instant::now(), ["ab", "bc", "cd", "de"].map(cached));
    assert_eq!(round(motion, now, &entries, 0), Consequence::None);
    let Consequence::Trial(until) = round(motion, now, &entries, 1) else { panic!("no pause begins") };
    let late = until + CONSEQUENCE;
    assert_eq!(motion.try_out(late, &entries[3]), TrialOutcome::None);
    assert_eq!(motion.moving().collect::<Vec<_>>(), [Path::new("cache/*")]);
    late
}

#[test]
fn files_that_come_and_go_are_known_by_their_place_and_start_no_reload() {
    let mut motion = Motion::default();
    let now = churned(&mut motion);
    assert!(motion.explains(after(now, 3_000), &cached("de"), &cached("ef"), &NONE));
    assert!(motion.stays(&cached("de"), &cached("fg"), None, &NONE), "neither do they disturb another one");
    let other = revision(&[("app.conf", "a"), ("conf.d/a.conf", "b"), ("cache/g/gh", "page")]);
    assert!(!motion.explains(after(now, 3_000), &cached("de"), &other, &NONE), "another file is a real change");
    let new = revision(&[("app.conf", "a"), ("conf.d/a.conf", "a"), ("conf.d/b.conf", ""), ("cache/g/gh", "page")]);
    assert!(!motion.explains(after(now, 3_000), &cached("de"), &new, &NONE), "so is a new file in another place");
}

#[test]
fn files_that_rest_are_taken_and_rest_for_longer_if_they_go_on() {
    let mut motion = Motion::default();
    let now = churned(&mut motion);
    let rest = Duration::from_secs(10);
    assert_eq!(motion.repetition(), Some(now + rest));
    motion.expire(now + rest);
    let (taken, next) = (cached("ef"), cached("fg"));
    assert!(!motion.explains(now + rest, &cached("de"), &taken, &NONE), "what lies there now is taken");
    motion.begin();
    let later = now + rest * 2;
    assert!(motion.explains(later, &taken, &next, &NONE), "they go on");
    assert_eq!(motion.repetition(), Some(later + rest * GROWTH));
    motion.expire(later + rest * GROWTH);
    motion.begin();
    assert!(!motion.explains(later + rest * GROWTH * 100, &taken, &next, &NONE), "they have rested for long");
}

#[test]
fn a_known_file_that_changes_at_all_times_starts_one_reload() {
    let contents = logs();
    let (mut motion, now) = convicted(&contents);
    let later = after(now, 10_000);
    assert!(!motion.explains(later, &contents[2], &contents[4], &NONE));
    assert!(!motion.explains(later, &contents[2], &contents[4], &NONE), "it is the same change");
    motion.begin();
    assert!(motion.explains(after(later, 5_000), &contents[4], &contents[5], &NONE));
    assert!(motion.is_alone());
}

#[test]
fn known_configuration_that_comes_and_goes_is_no_output() {
    let mut motion = Motion::default();
    motion.reads(&["ab", "bc", "cd", "de"].map(|entry| PathBuf::from(format!("cache/{}/{entry}", &entry[..1]))).into());
    let entries = ["ab", "bc", "cd", "de"].map(cached);
    for step in 0..3 {
        assert_eq!(round(&mut motion, Instant::now(), &entries, step), Consequence::None);
    }
    assert_eq!(motion.moving().count(), 0);
}
