//! Short stories of the gate, told by itself. To read how it works, read `snapshots/`.

use std::time::Duration;

use super::Input;
use super::world::{Content, Fault, World};

const SHORT: Duration = Duration::from_millis(500);

fn world(first: Content) -> World {
    let mut world = World::new(first, vec![Duration::from_millis(1)]);
    world.pass(SHORT);
    world
}

#[test]
fn a_good_change_is_reloaded_and_proven() {
    let mut world = world(Content::Good(0));
    world.happen(Fault::Write(Content::Good(1)));
    world.pass(SHORT);
    insta::assert_snapshot!(world.story());
}

#[test]
fn a_bad_change_is_rejected_once_and_a_revert_recovers() {
    let mut world = world(Content::Good(0));
    world.happen(Fault::Write(Content::Bad(0)));
    world.pass(SHORT);
    world.happen(Fault::Touch);
    world.pass(SHORT);
    world.happen(Fault::Write(Content::Good(0)));
    world.pass(SHORT);
    insta::assert_snapshot!(world.story());
}

#[test]
fn a_change_while_judging_starts_over() {
    let mut world = World::new(Content::Good(0), vec![Duration::from_millis(20)]);
    world.pass(Duration::from_millis(30));
    world.happen(Fault::Write(Content::Good(1)));
    world.pass(SHORT);
    insta::assert_snapshot!(world.story());
}

#[test]
fn many_changes_make_few_reloads_and_the_last_one_wins() {
    let mut world = World::new(Content::Good(0), vec![Duration::from_millis(15)]);
    world.pass(SHORT);
    for change in 1..=20 {
        world.happen(Fault::Write(Content::Good(change)));
        world.pass(Duration::from_millis(5));
    }
    world.pass(SHORT);
    insta::assert_snapshot!(world.story());
    assert_eq!(world.live, Some(Content::Good(20)));
}

#[test]
fn what_cannot_be_judged_is_tried_again() {
    let mut world = world(Content::Good(0));
    world.happen(Fault::Write(Content::Unclear(2)));
    world.pass(Duration::from_secs(5));
    insta::assert_snapshot!(world.story());
}

#[test]
fn a_reload_without_proof_is_standing_and_tried_again() {
    let mut world = world(Content::Good(0));
    world.happen(Fault::Write(Content::Untaken(0)));
    world.pass(Duration::from_secs(40));
    world.happen(Fault::Write(Content::Good(0)));
    world.pass(SHORT);
    insta::assert_snapshot!(world.story());
}

#[test]
fn a_missing_target_is_waited_for() {
    let mut world = World::new(Content::Good(0), vec![Duration::from_millis(1)]);
    world.target = false;
    world.pass(Duration::from_millis(400));
    world.target = true;
    world.pass(SHORT);
    insta::assert_snapshot!(world.story());
}

#[test]
fn stop_lets_what_is_in_flight_finish_and_starts_nothing() {
    let mut world = World::new(Content::Good(0), vec![Duration::from_millis(50)]);
    world.pass(Duration::from_millis(60));
    world.step(Input::Stop);
    world.pass(SHORT);
    insta::assert_snapshot!(world.story());
}
