//! What must hold under every interleaving (`ARCHITECTURE.md`, "The eight properties").

use std::time::Duration;

use proptest::prelude::*;

use super::world::{Content, Fault, What, World, digest};
use super::{Input, REPETITIONS};
use crate::flow::tree::{Digest, Revision};
use crate::report::Kind;

fn contents() -> impl Strategy<Value = Content> {
    prop_oneof![
        1 => Just(Content::Absent),
        4 => (0..3_u8).prop_map(Content::Good),
        3 => (0..2_u8).prop_map(Content::Bad),
        2 => (1..4_u8).prop_map(Content::Unclear),
        1 => (0..2_u8).prop_map(Content::Untaken),
    ]
}

fn happenings() -> impl Strategy<Value = Fault> {
    prop_oneof![
        6 => contents().prop_map(Fault::Write),
        2 => contents().prop_map(Fault::WriteUnseen),
        2 => Just(Fault::Touch),
        1 => any::<bool>().prop_map(Fault::Target),
        1 => Just(Fault::Tick),
    ]
}

fn gaps() -> impl Strategy<Value = Duration> {
    prop_oneof![
        4 => (0..40_u64).prop_map(Duration::from_millis),
        2 => (40..2_000_u64).prop_map(Duration::from_millis),
        1 => (2..90_u64).prop_map(Duration::from_secs),
    ]
}

fn latencies() -> impl Strategy<Value = Vec<Duration>> {
    prop::collection::vec(prop_oneof![(0..30_u64), (30..400_u64)].prop_map(Duration::from_millis), 1..12)
}

/// Plays a script, then lets the world be still for long enough that every backoff has come round.
fn play(mut world: World, script: &[(Duration, Fault)]) -> World {
    for (gap, happening) in script {
        world.pass(*gap);
        world.happen(*happening);
    }
    world.pass(Duration::from_secs(4_000));
    world
}

/// Properties 1, 2 and 8 are watched by the world itself at each step.
fn nothing_is_broken(world: &World) -> Result<(), TestCaseError> {
    prop_assert!(world.broken.is_empty(), "{:?}\n{}", world.broken, world.story());
    Ok(())
}

/// Property 3: when the world is still, the newest content is live, or there is exactly one standing report why not.
fn the_end_is_explained(world: &World) -> Result<(), TestCaseError> {
    // Written anew with the same bytes again and again within one flight: there the gate stops doubting, by design.
    if world.gate.repeated >= REPETITIONS {
        return Ok(());
    }
    let takes = matches!(world.content, Content::Good(_) | Content::Unclear(_));
    let (running, incident) = (world.gate.running().map(Revision::digest), world.gate.incident());
    if takes && (world.target || running.is_some()) && incident.is_none() {
        prop_assert_eq!(running, Some(digest(world.content)), "{}", world.story());
        prop_assert_eq!(world.live, Some(world.content), "{}", world.story());
        return Ok(());
    }
    prop_assert!(incident.is_some() || running == Some(digest(world.content)), "{}", world.story());
    let expected = match world.content {
        Content::Bad(_) => Kind::Rejected,
        Content::Absent => Kind::Inconclusive,
        _ if !world.target => Kind::TargetMissing,
        _ => Kind::Unverified,
    };
    prop_assert_eq!(incident.map(|incident| incident.kind), Some(expected), "{}", world.story());
    Ok(())
}

/// Property 4: the last-known-good gives way to a verified content and to nothing else.
fn known_good_is_verified(world: &World) -> Result<(), TestCaseError> {
    let verified: Vec<_> = world.reports().filter(|event| event.kind == Kind::Verified).collect();
    let last = verified.last().and_then(|event| event.digest);
    prop_assert_eq!(world.gate.known_good().map(Revision::digest), last, "{}", world.story());
    Ok(())
}

/// Where the gate publishes: what is not taken does not stay published if there is a better one.
fn the_good_one_is_published(world: &World) -> Result<(), TestCaseError> {
    prop_assert_eq!(world.kept.map(digest), world.gate.known_good().map(Revision::digest), "{}", world.story());
    // An application that was away was not asked; it meets what was accepted last.
    if world.count(Kind::TargetMissing) == 0 && world.kept.is_some() {
        prop_assert!(!matches!(world.published, Some(Content::Untaken(_))), "{}", world.story());
    }
    Ok(())
}

/// Property 5: what could not be judged is not reloaded, not called rejected, and tried again.
fn inconclusive_is_open(world: &World) -> Result<(), TestCaseError> {
    for event in world.reports() {
        let about = event.digest;
        let is = |contents: &[Content]| contents.iter().any(|content| about == Some(digest(*content)));
        let unclear = is(&[Content::Unclear(1), Content::Unclear(2), Content::Unclear(3)]);
        prop_assert!(!(unclear && event.kind == Kind::Rejected), "{}", world.story());
        let bad = is(&[Content::Bad(0), Content::Bad(1)]);
        prop_assert!(!(bad && event.kind == Kind::Inconclusive), "{}", world.story());
        prop_assert!(!(bad && matches!(event.kind, Kind::Accepted | Kind::Reloaded)), "{}", world.story());
    }
    Ok(())
}

/// Property 7: a standing report is made once; and property 6: what is resolved is said to be.
fn reports_are_made_once(world: &World) -> Result<(), TestCaseError> {
    let mut incident: Option<(Kind, Option<Digest>)> = None;
    for event in world.reports() {
        match event.kind {
            Kind::Rejected | Kind::Inconclusive | Kind::TargetMissing | Kind::Unverified => {
                let this = Some((event.kind, event.digest));
                prop_assert_ne!(this, incident, "{}", world.story());
                incident = this;
            }
            Kind::Recovered => {
                prop_assert!(incident.is_some(), "nothing was wrong\n{}", world.story());
                incident = None;
            }
            _ => {}
        }
    }
    prop_assert_eq!(incident.is_some(), world.gate.incident().is_some(), "{}", world.story());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_properties_hold(
        first in contents(),
        script in prop::collection::vec((gaps(), happenings()), 0..24),
        latencies in latencies(),
    ) {
        let world = play(World::new(first, latencies), &script);
        nothing_is_broken(&world)?;
        the_end_is_explained(&world)?;
        known_good_is_verified(&world)?;
        inconclusive_is_open(&world)?;
        reports_are_made_once(&world)?;
    }

    /// The same where the gate publishes: besides, what the application would meet at a restart is what is known to be good.
    #[test]
    fn the_properties_hold_where_it_publishes(
        first in contents(),
        script in prop::collection::vec((gaps(), happenings()), 0..24),
        latencies in latencies(),
    ) {
        let world = play(World::publishing(first, latencies), &script);
        nothing_is_broken(&world)?;
        the_end_is_explained(&world)?;
        known_good_is_verified(&world)?;
        inconclusive_is_open(&world)?;
        reports_are_made_once(&world)?;
        the_good_one_is_published(&world)?;
    }

    /// Property 6: a change back to the running content is a recovery, and no reload.
    #[test]
    fn a_revert_is_a_recovery(bad in prop_oneof![Just(Content::Bad(0)), Just(Content::Absent)], latencies in latencies()) {
        let mut world = World::new(Content::Good(0), latencies);
        world.pass(Duration::from_secs(10));
        world.happen(Fault::Write(bad));
        world.pass(Duration::from_secs(10));
        let reloads = world.count(Kind::Reloaded);
        world.happen(Fault::Write(Content::Good(0)));
        world.pass(Duration::from_secs(10));
        prop_assert_eq!(world.count(Kind::Recovered), 1, "{}", world.story());
        prop_assert_eq!(world.count(Kind::Reloaded), reloads, "{}", world.story());
        prop_assert!(world.gate.incident().is_none());
    }

    /// Property 8: after stop no effect begins, and the end comes within the grace period.
    #[test]
    fn after_stop_nothing_begins(
        script in prop::collection::vec((gaps(), happenings()), 0..12),
        latencies in latencies(),
        after in gaps(),
    ) {
        let mut world = World::new(Content::Good(0), latencies);
        for (gap, happening) in script {
            world.pass(gap);
            world.happen(happening);
        }
        let before = world.trace.len();
        world.step(Input::Stop);
        world.happen(Fault::Write(Content::Good(9)));
        world.pass(after);
        world.pass(Duration::from_secs(6));
        let rest = &world.trace[before..];
        let begun = rest.iter().filter(|did| !matches!(did.what, What::Report(_) | What::Finish)).count();
        prop_assert_eq!(begun, 0, "{}", world.story());
        prop_assert_eq!(rest.iter().filter(|did| matches!(did.what, What::Finish)).count(), 1, "{}", world.story());
        prop_assert!(world.gate.deadline().is_none());
    }
}
