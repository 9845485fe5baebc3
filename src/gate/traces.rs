//! Traces of the gate in typical situations. The files in `snapshots/` show how it works.

use std::time::Duration;

use super::world::{Fault, Noise, SimulatedContent, SimulatedWorld, TraceEntry, What, digest};
use super::{Input, Loss};

use crate::flow::verify::{Proof, ReloadAnswer};
use crate::report::{Kind, Level};

const SHORT: Duration = Duration::from_millis(500);

fn world(first: SimulatedContent) -> SimulatedWorld {
    let mut world = SimulatedWorld::new(first, vec![Duration::from_millis(1)]);
    world.pass(SHORT);
    world
}

#[test]
fn a_good_change_is_reloaded_and_proven() {
    let mut world = world(SimulatedContent::Good(0));
    world.happen(Fault::Write(SimulatedContent::Good(1)));
    world.pass(SHORT);
    insta::assert_snapshot!(world.story());
}

#[test]
fn a_reload_by_another_program_is_repeated_only_after_a_change() {
    let mut world = world(SimulatedContent::Good(0));
    world.happen(Fault::Foreign);
    world.pass(SHORT);
    world.happen(Fault::Write(SimulatedContent::Bad(0)));
    world.pass(SHORT);
    world.happen(Fault::Foreign);
    world.happen(Fault::Write(SimulatedContent::Good(0)));
    world.pass(SHORT);
    insta::assert_snapshot!(world.story());
}

#[test]
fn a_reload_with_a_rejected_content_is_found_when_the_rejection_ends() {
    let mut world = world(SimulatedContent::Good(0));
    world.happen(Fault::Write(SimulatedContent::Bad(0)));
    world.pass(SHORT);
    world.happen(Fault::ForeignUnseen);
    assert_eq!(world.live, Some(SimulatedContent::Bad(0)), "the other program knows nothing of the rejection");
    world.happen(Fault::Write(SimulatedContent::Good(0)));
    world.pass(SHORT);
    assert_eq!(world.live, Some(SimulatedContent::Good(0)), "before the next poll: {}", world.story());
    assert_eq!(world.count(Kind::TargetReplaced), 1, "{}", world.story());
}

#[test]
fn workers_that_are_renewed_again_and_again_are_reported_once() {
    let mut world = world(SimulatedContent::Good(0));
    world.happen(Fault::Write(SimulatedContent::Bad(0)));
    world.pass(SHORT);
    for _ in 0..3 {
        world.happen(Fault::Foreign);
        world.pass(SHORT);
    }
    assert_eq!(world.count(Kind::TargetReplaced), 1, "{}", world.story());
    world.happen(Fault::Write(SimulatedContent::Good(0)));
    world.pass(SHORT);
    assert_eq!(world.live, Some(SimulatedContent::Good(0)), "{}", world.story());
    assert!(world.gate.is_live(), "{}", world.story());
}

#[test]
fn a_bad_change_is_rejected_once_and_a_revert_recovers() {
    let mut world = world(SimulatedContent::Good(0));
    world.happen(Fault::Write(SimulatedContent::Bad(0)));
    world.pass(SHORT);
    world.happen(Fault::Touch);
    world.pass(SHORT);
    world.happen(Fault::Write(SimulatedContent::Good(0)));
    world.pass(SHORT);
    insta::assert_snapshot!(world.story());
}

#[test]
fn a_change_during_validation_starts_over() {
    let mut world = SimulatedWorld::new(SimulatedContent::Good(0), vec![Duration::from_millis(20)]);
    world.pass(Duration::from_millis(30));
    world.happen(Fault::Write(SimulatedContent::Good(1)));
    world.pass(SHORT);
    insta::assert_snapshot!(world.story());
}

#[test]
fn many_changes_make_few_reloads_and_the_last_one_wins() {
    let mut world = SimulatedWorld::new(SimulatedContent::Good(0), vec![Duration::from_millis(15)]);
    world.pass(SHORT);
    for change in 1..=20 {
        world.happen(Fault::Write(SimulatedContent::Good(change)));
        world.pass(Duration::from_millis(5));
    }
    world.pass(SHORT);
    insta::assert_snapshot!(world.story());
    assert_eq!(world.live, Some(SimulatedContent::Good(20)));
}

#[test]
fn an_inconclusive_content_is_tried_again() {
    let mut world = world(SimulatedContent::Good(0));
    world.happen(Fault::Write(SimulatedContent::Unclear(2)));
    world.pass(Duration::from_secs(5));
    insta::assert_snapshot!(world.story());
}

#[test]
fn an_unverified_reload_is_an_incident_and_tried_again() {
    let mut world = world(SimulatedContent::Good(0));
    world.happen(Fault::Write(SimulatedContent::Untaken(0)));
    world.pass(Duration::from_secs(40));
    world.happen(Fault::Write(SimulatedContent::Good(0)));
    world.pass(SHORT);
    insta::assert_snapshot!(world.story());
}

#[test]
fn a_late_answer_is_the_newest_reason_of_the_one_report() {
    let mut world = world(SimulatedContent::Good(0));
    let (message, help) = ("the change of `a.py` is not in effect".to_owned(), "restart it".to_owned());
    world.late = Some(Proof::Ineffective { message, help });
    world.happen(Fault::Write(SimulatedContent::Untaken(0)));
    world.pass(Duration::from_secs(3600));
    insta::assert_snapshot!(world.story());
    let incident = world.gate.incident().map(|incident| (incident.kind, incident.about));
    assert_eq!(incident, Some((Kind::Unverified, digest(SimulatedContent::Untaken(0)))));
    world.late = None;
    world.happen(Fault::Write(SimulatedContent::Good(1)));
    world.pass(SHORT);
    assert_eq!(world.count(Kind::Recovered), 1, "{}", world.story());
}

#[test]
fn a_late_answer_that_was_reported_is_not_reported_again() {
    let late = |message: &str, answer| {
        let mut world = world(SimulatedContent::Good(0));
        world.late = Some(Proof::Missing { message: message.into(), help: "see its log".into(), answer });
        world.happen(Fault::Write(SimulatedContent::Untaken(0)));
        world.pass(Duration::from_secs(20));
        world.count(Kind::Unverified)
    };
    assert_eq!(late("no new worker", ReloadAnswer::Refused), 1, "it is the reason of the report");
    assert_eq!(late("pid 1 refused the reload", ReloadAnswer::Refused), 2);
    assert_eq!(late("pid 1 has no worker any more", ReloadAnswer::Deserted), 2);
    assert_eq!(late("pid 1 exited", ReloadAnswer::Ended), 1, "its end has a report of its own");
}

#[test]
fn a_missing_target_is_waited_for() {
    let mut world = SimulatedWorld::new(SimulatedContent::Good(0), vec![Duration::from_millis(1)]);
    world.target = false;
    world.pass(Duration::from_millis(400));
    world.target = true;
    world.pass(SHORT);
    insta::assert_snapshot!(world.story());
}

#[test]
fn stop_lets_what_is_in_flight_finish_and_starts_nothing() {
    let mut world = SimulatedWorld::new(SimulatedContent::Good(0), vec![Duration::from_millis(50)]);
    world.pass(Duration::from_millis(60));
    world.step(Input::Stop);
    world.pass(SHORT);
    insta::assert_snapshot!(world.story());
}

#[test]
fn a_scan_for_which_there_is_no_descriptor_is_tried_again_soon() {
    let mut world = world(SimulatedContent::Good(0));
    world.shortage = true;
    world.happen(Fault::Write(SimulatedContent::Good(1)));
    world.pass(Duration::from_secs(2));
    world.shortage = false;
    world.pass(Duration::from_secs(3));
    insta::assert_snapshot!(world.story());
    assert_eq!(world.count(Kind::Inconclusive), 1, "one report, wherever it shows");
    assert_eq!(world.live, Some(SimulatedContent::Good(1)));
}

#[test]
fn nothing_takes_the_place_of_a_newer_revision_that_is_live() {
    let mut world = SimulatedWorld::falling_back(SimulatedContent::Bad(0));
    let searches =
        |world: &SimulatedWorld| world.trace.iter().filter(|entry| matches!(entry.what, What::FallBack)).count();
    world.pass(SHORT);
    assert_eq!(searches(&world), 1, "{}", world.story());
    world.happen(Fault::Write(SimulatedContent::Good(1)));
    world.pass(Duration::from_secs(600));
    assert_eq!(searches(&world), 1, "{}", world.story());
    assert!(world.gate.is_live(), "{}", world.story());
}

#[test]
fn a_restart_during_a_rejection_is_a_new_question() {
    let mut world = world(SimulatedContent::Good(0));
    world.happen(Fault::Write(SimulatedContent::Bad(0)));
    world.pass(SHORT);
    world.happen(Fault::Restart);
    world.pass(SHORT);
    assert!(world.gate.running().is_none(), "the new process has read the rejected content");
    world.happen(Fault::Write(SimulatedContent::Good(0)));
    world.pass(SHORT);
    insta::assert_snapshot!(world.story());
    assert_eq!(world.live, Some(SimulatedContent::Good(0)));
}

#[test]
fn an_end_during_a_rejection_is_reported_at_once() {
    let mut world = world(SimulatedContent::Good(0));
    world.happen(Fault::Write(SimulatedContent::Bad(0)));
    world.pass(SHORT);
    world.happen(Fault::Target(false));
    world.pass(Duration::from_secs(20));
    insta::assert_snapshot!(world.story());
    assert_eq!(world.count(Kind::TargetReplaced), 1, "once, however long it lasts");
}

#[test]
fn a_process_that_started_after_the_scan_is_verified_without_a_signal() {
    let mut world = world(SimulatedContent::Good(0));
    world.happen(Fault::Restart);
    world.pass(SHORT);
    insta::assert_snapshot!(world.story());
}

#[test]
fn a_gate_that_resumes_watches_its_target() {
    let mut world = SimulatedWorld::resuming(SimulatedContent::Good(0), true);
    world.pass(SHORT);
    assert!(world.gate.is_live(), "{}", world.story());
    assert_eq!(world.count(Kind::Reloaded), 0, "{}", world.story());
    world.happen(Fault::Target(false));
    world.pass(Duration::from_secs(1));
    assert_eq!(world.count(Kind::TargetMissing), 1, "{}", world.story());
    world.happen(Fault::Target(true));
    world.pass(Duration::from_secs(20));
    insta::assert_snapshot!(world.story());
    assert!(world.gate.is_live(), "{}", world.story());
}

#[test]
fn a_gate_that_resumes_without_its_target_waits_for_it() {
    let mut world = SimulatedWorld::resuming(SimulatedContent::Good(0), false);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.count(Kind::TargetMissing), 1, "{}", world.story());
    assert!(world.gate.running().is_none(), "{}", world.story());
    world.happen(Fault::Target(true));
    world.pass(Duration::from_secs(20));
    insta::assert_snapshot!(world.story());
    assert!(world.gate.is_live(), "{}", world.story());
}

#[test]
fn a_change_that_meets_the_successor_first_is_reloaded_once() {
    let mut world = world(SimulatedContent::Good(0));
    world.happen(Fault::Write(SimulatedContent::Bad(0)));
    world.pass(SHORT);
    world.happen(Fault::Target(false));
    world.pass(Duration::from_secs(5));
    let before = world.trace.len();
    world.happen(Fault::Target(true));
    world.happen(Fault::Write(SimulatedContent::Good(1)));
    world.pass(Duration::from_secs(20));
    let reports = world.trace[before..].iter().filter_map(|entry| match &entry.what {
        What::Report(event) => Some(event.kind),
        _ => None,
    });
    let expected = [Kind::Accepted, Kind::TargetReplaced, Kind::Reloaded, Kind::Verified, Kind::Recovered];
    assert_eq!(reports.collect::<Vec<_>>(), expected, "{}", world.story());
    assert!(world.gate.is_live(), "{}", world.story());
}

#[test]
fn a_crash_loop_is_reported_once() {
    let mut world = world(SimulatedContent::Good(0));
    for _ in 0..6 {
        world.happen(Fault::Restart);
        world.pass(SHORT);
    }
    world.pass(Duration::from_secs(20));
    insta::assert_snapshot!(world.story());
}

#[test]
fn a_slow_crash_loop_with_changes_is_reported_once() {
    let mut world = world(SimulatedContent::Good(0));
    for change in 1..9 {
        world.happen(Fault::Restart);
        world.pass(Duration::from_secs(20));
        world.happen(Fault::Write(SimulatedContent::Good(change)));
        world.pass(Duration::from_secs(10));
    }
    // Two ends, the loop, and the first process that lived for a while.
    assert_eq!(world.count(Kind::TargetReplaced), 4, "{}", world.story());
    world.pass(Duration::from_secs(600));
    world.happen(Fault::Restart);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.count(Kind::TargetReplaced), 5, "the loop is over: {}", world.story());
    assert!(world.gate.is_live(), "{}", world.story());
}

#[test]
fn a_checker_that_touches_its_sources_prolongs_no_crash_loop() {
    let mut world = SimulatedWorld::publishing(SimulatedContent::Good(0), vec![Duration::from_millis(1)]);
    world.noise = Noise::Touch;
    for _ in 0..4 {
        world.happen(Fault::Restart);
        world.pass(SHORT);
    }
    world.happen(Fault::Write(SimulatedContent::Good(1)));
    let before = world.count(Kind::Reloaded);
    world.pass(Duration::from_secs(30));
    assert!(world.gate.is_live(), "{}", world.story());
    let reloads = world.count(Kind::Reloaded) - before;
    assert!(reloads <= 3, "{reloads} reloads: {}", world.story());
}

#[test]
fn a_file_that_moves_with_each_reload_ends_in_a_report() {
    let mut world = SimulatedWorld::new(SimulatedContent::Good(0), vec![Duration::from_millis(1)]);
    world.noise = Noise::Reload;
    world.pass(Duration::from_secs(40));
    let signals = world.count(Kind::Reloaded);
    insta::assert_snapshot!(world.story());
    assert_eq!(signals, 3, "{}", world.story());
    world.happen(Fault::Write(SimulatedContent::Good(1)));
    world.pass(Duration::from_secs(60));
    assert_eq!(world.count(Kind::Reloaded), signals + 2, "the change, and a repetition: {}", world.story());
    assert_eq!(world.count(Kind::Deferred), 1);
    assert!(world.gate.is_live());
    world.pass(Duration::from_secs(24 * 3600));
    assert_eq!(world.count(Kind::Reloaded), signals + 4, "the experiment is repeated three times: {}", world.story());
    assert_eq!(world.count(Kind::Deferred), 1);
    assert!(world.gate.is_live());
}

#[test]
fn a_file_that_moves_with_each_validation_ends_in_a_report_and_a_reload() {
    let mut world = SimulatedWorld::new(SimulatedContent::Good(0), vec![Duration::from_millis(1)]);
    world.noise = Noise::Validation;
    world.pass(Duration::from_secs(40));
    insta::assert_snapshot!(world.story());
    assert_eq!((world.count(Kind::Reloaded), world.count(Kind::Deferred)), (1, 1));
    assert!(world.gate.is_live());
}

#[test]
fn a_content_that_is_not_taken_is_reloaded_three_times_at_most() {
    let mut world = world(SimulatedContent::Good(0));
    let before = world.count(Kind::Reloaded);
    world.happen(Fault::Write(SimulatedContent::Untaken(0)));
    world.pass(Duration::from_secs(24 * 3600));
    assert_eq!(world.count(Kind::Reloaded) - before, 3, "{}", world.story());
    assert_eq!(world.count(Kind::Unverified), 1);
    world.happen(Fault::Restart);
    world.pass(SHORT);
    assert_eq!(world.count(Kind::TargetReplaced), 1, "another process is another question");
}

#[test]
fn a_published_content_that_is_not_taken_is_tried_three_times_at_most() {
    let mut world = SimulatedWorld::publishing(SimulatedContent::Good(0), vec![Duration::from_millis(1)]);
    world.pass(SHORT);
    world.happen(Fault::Write(SimulatedContent::Untaken(0)));
    world.pass(Duration::from_secs(24 * 3600));
    assert_eq!(world.count(Kind::Restored), 3, "{}", world.story());
    assert_eq!(world.published, Some(SimulatedContent::Good(0)));
}

#[test]
fn a_rejection_by_a_file_outside_ends_at_the_poll() {
    let mut world = world(SimulatedContent::Good(0));
    world.wrong_outside = true;
    world.happen(Fault::Write(SimulatedContent::Good(1)));
    world.pass(Duration::from_secs(100));
    world.wrong_outside = false;
    world.pass(Duration::from_secs(31));
    insta::assert_snapshot!(world.story());
    assert_eq!((world.count(Kind::Rejected), world.count(Kind::Recovered)), (1, 1), "one report");
    assert_eq!(world.live, Some(SimulatedContent::Good(1)));
}

#[test]
fn events_do_not_validate_a_rejected_content_more_often_than_the_poll() {
    let mut world = world(SimulatedContent::Good(0));
    world.wrong_outside = true;
    world.happen(Fault::Write(SimulatedContent::Good(1)));
    for _ in 0..100 {
        world.happen(Fault::Touch);
        world.pass(Duration::from_secs(1));
    }
    assert_eq!(world.validations(), 1 + 1 + 3, "two contents, and three polls: {}", world.story());
}

#[test]
fn a_request_validates_a_rejected_content_again() {
    let mut world = world(SimulatedContent::Good(0));
    world.happen(Fault::Write(SimulatedContent::Bad(0)));
    world.pass(SHORT);
    let before = world.validations();
    world.happen(Fault::Request);
    world.pass(SHORT);
    assert_eq!(world.validations(), before + 1, "{}", world.story());
    assert_eq!(world.count(Kind::Rejected), 1, "it is reported once: {}", world.story());
    world.happen(Fault::Touch);
    world.pass(SHORT);
    assert_eq!(world.validations(), before + 1, "a request holds for one scan: {}", world.story());
}

#[test]
fn a_launcher_is_not_reported_and_a_wrong_process_is() {
    for (launchers, reports) in [(2, 0), (20, 1)] {
        let mut world = world(SimulatedContent::Good(0));
        world.launchers = launchers;
        world.happen(Fault::Restart);
        world.pass(Duration::from_secs(200));
        assert_eq!(world.count(Kind::TargetRefused), reports, "{launchers} searches: {}", world.story());
        assert!(world.gate.is_live(), "{launchers} searches: {}", world.story());
    }
}

#[test]
fn a_start_is_reported_only_if_it_does_not_end() {
    for (starts, reports) in [(6, 0), (20, 1)] {
        let mut world = world(SimulatedContent::Good(0));
        world.starts = starts;
        world.happen(Fault::Restart);
        world.pass(Duration::from_secs(200));
        assert_eq!(world.count(Kind::TargetMissing), reports, "{starts} searches: {}", world.story());
        assert_eq!(world.count(Kind::TargetRefused), 0, "{starts} searches: {}", world.story());
        assert!(world.gate.is_live(), "{starts} searches: {}", world.story());
    }
}

/// A gate that publishes, and something that starts the application again whenever it has ended.
fn supervised(mut world: SimulatedWorld, seconds: u64) -> SimulatedWorld {
    for _ in 0..seconds {
        world.pass(Duration::from_secs(1));
        world.happen(Fault::Target(true));
    }
    world
}

fn reloads_of(world: &SimulatedWorld, content: SimulatedContent) -> usize {
    let is_reload = |entry: &&TraceEntry| matches!(entry.what, What::Reload(of) if of == digest(content));
    world.trace.iter().filter(is_reload).count()
}

#[test]
fn a_content_that_ends_the_application_is_not_for_the_next_process() {
    let mut world = SimulatedWorld::publishing(SimulatedContent::Good(0), vec![Duration::from_millis(1)]);
    world.pass(SHORT);
    world.happen(Fault::Write(SimulatedContent::Fatal(0)));
    let mut world = supervised(world, 20);
    insta::assert_snapshot!(world.story());
    assert_eq!(world.live, Some(SimulatedContent::Good(0)));
    assert_eq!(reloads_of(&world, SimulatedContent::Fatal(0)), 1);
    world = supervised(world, 2 * 3600);
    assert_eq!(reloads_of(&world, SimulatedContent::Fatal(0)), 3, "two more tries: {}", world.story());
    world.happen(Fault::Request);
    world = supervised(world, 20);
    assert_eq!(reloads_of(&world, SimulatedContent::Fatal(0)), 4, "a user may ask for it: {}", world.story());
    assert_eq!(world.live, Some(SimulatedContent::Good(0)), "{}", world.story());
    assert_eq!(world.broken, Vec::<String>::new());
}

/// Something else kills the application just after its reload. The verification finds that out first, and the reload of what is restored
/// finds the successor before the search does.
#[test]
fn a_content_is_tried_again_after_a_death_that_it_did_not_cause() {
    let moment = Duration::from_millis(1);
    let mut world = SimulatedWorld::publishing(SimulatedContent::Good(0), vec![moment]);
    world.pass(SHORT);
    world.happen(Fault::Write(SimulatedContent::Good(1)));
    let wait_for = |world: &mut SimulatedWorld, kind, count| {
        for _ in 0..1_000 {
            if world.count(kind) < count {
                world.pass(moment);
            }
        }
    };
    wait_for(&mut world, Kind::Published, 2);
    world.target = false;
    wait_for(&mut world, Kind::Unverified, 1);
    world.step(Input::TargetLost { pid: 1, loss: Loss::Ended });
    world.happen(Fault::Target(true));
    world.pass(Duration::from_secs(60));
    assert_eq!(world.count(Kind::Restored), 1, "{}", world.story());
    assert_eq!(world.live, Some(SimulatedContent::Good(1)), "{}", world.story());
    assert!(world.gate.is_live(), "{}", world.story());
}

#[test]
fn a_content_that_left_no_worker_is_tried_again_only_when_a_user_asks() {
    let mut world = SimulatedWorld::publishing(SimulatedContent::Good(0), vec![Duration::from_millis(1)]);
    world.pass(SHORT);
    world.answer = ReloadAnswer::Deserted;
    world.happen(Fault::Write(SimulatedContent::Untaken(0)));
    world.pass(Duration::from_secs(2 * 3600));
    assert_eq!(reloads_of(&world, SimulatedContent::Untaken(0)), 1, "{}", world.story());
    assert_eq!((world.count(Kind::Restored), world.live), (1, Some(SimulatedContent::Good(0))), "{}", world.story());
    world.happen(Fault::Request);
    world.pass(SHORT);
    assert_eq!(reloads_of(&world, SimulatedContent::Untaken(0)), 2, "{}", world.story());
}

fn on_trial(content: SimulatedContent) -> SimulatedWorld {
    let mut world = SimulatedWorld::publishing(SimulatedContent::Good(0), vec![Duration::from_millis(1)]);
    world.unverified = true;
    world.pass(Duration::from_secs(10));
    world.happen(Fault::Write(content));
    world.pass(Duration::from_secs(1));
    world
}

#[test]
fn a_content_without_a_proof_becomes_the_last_known_good_after_its_trial() {
    let mut world = on_trial(SimulatedContent::Good(1));
    assert_eq!(world.kept, Some(SimulatedContent::Good(0)));
    world.pass(Duration::from_secs(3));
    insta::assert_snapshot!(world.story());
    assert_eq!(world.kept, Some(SimulatedContent::Good(1)));
}

#[test]
fn a_stop_during_a_trial_keeps_the_content_that_is_live() {
    let mut world = on_trial(SimulatedContent::Good(1));
    world.step(Input::Stop);
    world.pass(SHORT);
    insta::assert_snapshot!(world.story());
    assert_eq!(world.kept, Some(SimulatedContent::Good(1)));
}

#[test]
fn a_content_without_a_proof_that_ends_the_application_gives_way() {
    let world = supervised(on_trial(SimulatedContent::Fatal(0)), 20);
    insta::assert_snapshot!(world.story());
    assert_eq!(world.kept, Some(SimulatedContent::Good(0)));
    assert_eq!(world.live, Some(SimulatedContent::Good(0)));
}

#[test]
fn a_content_that_ends_the_application_beside_a_rejection_is_no_last_known_good() {
    let mut world = SimulatedWorld::publishing(SimulatedContent::Good(0), vec![Duration::from_millis(1)]);
    world.unverified = true;
    world.pass(Duration::from_secs(10));
    world.happen(Fault::Write(SimulatedContent::Fatal(0)));
    while world.count(Kind::Reloaded) < 2 {
        world.pass(Duration::from_millis(1));
    }
    world.happen(Fault::Write(SimulatedContent::Bad(1)));
    let world = supervised(world, 20);
    assert_eq!(world.count(Kind::Rejected), 1, "{}", world.story());
    assert_eq!(world.kept, Some(SimulatedContent::Good(0)), "{}", world.story());
    assert_eq!(
        (world.live, world.published),
        (Some(SimulatedContent::Good(0)), Some(SimulatedContent::Good(0))),
        "{}",
        world.story()
    );
}

#[test]
fn a_publication_that_another_program_changes_is_published_again() {
    let mut world = SimulatedWorld::publishing(SimulatedContent::Good(0), vec![Duration::from_millis(1)]);
    world.pass(Duration::from_secs(1));
    world.happen(Fault::Alter(SimulatedContent::Bad(0)));
    world.pass(Duration::from_secs(40));
    insta::assert_snapshot!(world.story());
    assert_eq!(world.published, Some(SimulatedContent::Good(0)));
    assert!(world.gate.is_live(), "{}", world.story());
    world.pass(Duration::from_secs(3600));
    assert_eq!(world.count(Kind::Restored), 1, "{}", world.story());
    assert_eq!(world.count(Kind::Reloaded), 2, "{}", world.story());
}

#[test]
fn a_publication_that_another_program_changes_all_the_time_is_reported_once() {
    let mut world = SimulatedWorld::publishing(SimulatedContent::Good(0), vec![Duration::from_millis(1)]);
    world.pass(Duration::from_secs(1));
    world.happen(Fault::Write(SimulatedContent::Bad(0)));
    for _ in 0..10 {
        world.happen(Fault::Alter(SimulatedContent::Bad(0)));
        world.pass(Duration::from_secs(30));
    }
    assert_eq!(world.count(Kind::Restored), 1, "{}", world.story());
    assert_eq!(world.count(Kind::Rejected), 1, "the report of the rejection stays: {}", world.story());
    assert_eq!(world.published, Some(SimulatedContent::Good(0)), "{}", world.story());
    world.pass(Duration::from_secs(60));
    world.happen(Fault::Alter(SimulatedContent::Bad(0)));
    world.pass(Duration::from_secs(30));
    assert_eq!(world.count(Kind::Restored), 2, "it was unchanged for a while: {}", world.story());
}

#[test]
fn what_could_not_be_kept_is_kept_when_the_disk_has_room() {
    let mut world = SimulatedWorld::publishing(SimulatedContent::Good(0), vec![Duration::from_millis(1)]);
    world.pass(Duration::from_secs(1));
    world.full = true;
    world.happen(Fault::Write(SimulatedContent::Good(1)));
    world.pass(Duration::from_secs(100));
    assert_eq!(world.kept, Some(SimulatedContent::Good(0)));
    assert!(world.gate.is_live(), "{}", world.story());
    world.full = false;
    world.pass(Duration::from_secs(40));
    insta::assert_snapshot!(world.story());
    assert_eq!(world.kept, Some(SimulatedContent::Good(1)));
    assert_eq!((world.count(Kind::Inconclusive), world.count(Kind::Recovered)), (1, 1), "one report");
    assert_eq!(world.broken, Vec::<String>::new());
}

#[test]
fn what_could_not_be_kept_is_kept_before_its_successor_is_published() {
    let mut world = SimulatedWorld::publishing(SimulatedContent::Good(0), vec![Duration::from_millis(1)]);
    world.pass(Duration::from_secs(1));
    world.full = true;
    world.happen(Fault::Write(SimulatedContent::Good(1)));
    world.pass(Duration::from_secs(1));
    world.full = false;
    world.happen(Fault::Write(SimulatedContent::Untaken(0)));
    world.pass(Duration::from_secs(1));
    assert_eq!(world.kept, Some(SimulatedContent::Good(1)), "{}", world.story());
    assert_eq!(world.published, Some(SimulatedContent::Good(1)), "it is rolled back to: {}", world.story());
    assert_eq!(world.broken, Vec::<String>::new());
}

#[test]
fn what_could_not_be_kept_ends_no_report_of_another_incident() {
    let mut world = SimulatedWorld::publishing(SimulatedContent::Good(0), vec![Duration::from_millis(1)]);
    world.full = true;
    world.pass(Duration::from_secs(1));
    assert_eq!(world.count(Kind::Inconclusive), 1, "{}", world.story());
    world.happen(Fault::Write(SimulatedContent::Bad(0)));
    world.pass(Duration::from_secs(40));
    world.full = false;
    world.pass(Duration::from_secs(40));
    assert_eq!(world.kept, Some(SimulatedContent::Good(0)), "{}", world.story());
    assert_eq!(world.count(Kind::Recovered), 0, "the newest content is rejected: {}", world.story());
    world.full = true;
    world.happen(Fault::Write(SimulatedContent::Good(1)));
    world.pass(Duration::from_secs(1));
    assert_eq!(world.count(Kind::Recovered), 1, "of the rejection: {}", world.story());
    world.happen(Fault::Write(SimulatedContent::Bad(1)));
    world.pass(SHORT);
    world.happen(Fault::Write(SimulatedContent::Good(1)));
    world.pass(Duration::from_secs(100));
    let alarms = |world: &SimulatedWorld| {
        world.reports().filter(|event| event.kind == Kind::Inconclusive && event.level > Level::Info).count()
    };
    assert_eq!(alarms(&world), 3, "it is open again after the rejection: {}", world.story());
    assert_eq!(world.broken, Vec::<String>::new());
}
