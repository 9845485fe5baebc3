//! The properties that hold under every interleaving (`ARCHITECTURE.md`, "The eight properties").

use std::time::Duration;

use proptest::prelude::*;

use super::Input;
use super::scanning::REPETITIONS;
use super::world::{Fault, Noise, SimulatedContent, SimulatedWorld, What, digest};
use crate::flow::tree::{Digest, Revision};
use crate::report::{Kind, Level};

fn contents() -> impl Strategy<Value = SimulatedContent> {
    prop_oneof![
        1 => Just(SimulatedContent::Absent),
        4 => (0..3_u8).prop_map(SimulatedContent::Good),
        3 => (0..2_u8).prop_map(SimulatedContent::Bad),
        2 => (1..4_u8).prop_map(SimulatedContent::Unclear),
        1 => (0..2_u8).prop_map(SimulatedContent::Untaken),
    ]
}

fn happenings() -> impl Strategy<Value = Fault> {
    prop_oneof![
        6 => contents().prop_map(Fault::Write),
        2 => contents().prop_map(Fault::WriteUnseen),
        2 => Just(Fault::Touch),
        1 => any::<bool>().prop_map(Fault::Target),
        1 => Just(Fault::Restart),
        1 => Just(Fault::Foreign),
        1 => Just(Fault::Tick),
        1 => Just(Fault::Request),
    ]
}

/// Happenings without a content that the application does not take.
fn readable_happenings() -> impl Strategy<Value = Fault> {
    happenings().prop_filter("the application takes it", |fault| {
        !matches!(fault, Fault::Write(SimulatedContent::Untaken(_)) | Fault::WriteUnseen(SimulatedContent::Untaken(_)))
    })
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

/// Plays a script, then leaves the world unchanged for long enough that every backoff has expired.
fn play(mut world: SimulatedWorld, script: &[(Duration, Fault)]) -> SimulatedWorld {
    for (gap, happening) in script {
        world.pass(*gap);
        world.happen(*happening);
    }
    world.pass(Duration::from_secs(4_000));
    world
}

/// Properties 1, 2 and 8; the world checks them at each step.
fn nothing_is_broken(world: &SimulatedWorld) -> Result<(), TestCaseError> {
    prop_assert!(world.broken.is_empty(), "{:?}\n{}", world.broken, world.story());
    Ok(())
}

/// Property 3: when nothing changes any more, the newest content is live, or there is exactly one open incident.
fn the_end_is_explained(world: &SimulatedWorld) -> Result<(), TestCaseError> {
    // The same bytes were rewritten again and again within one flight; the gate accepts that after some repetitions.
    if world.gate.repeated >= REPETITIONS {
        return Ok(());
    }
    let takes = matches!(world.content, SimulatedContent::Good(_) | SimulatedContent::Unclear(_));
    let (running, incident) = (world.gate.running().map(Revision::digest), world.gate.incident());
    if takes && (world.target || running.is_some()) && incident.is_none() {
        prop_assert_eq!(running, Some(digest(world.content)), "{}", world.story());
        prop_assert_eq!(world.live, Some(world.content), "{}", world.story());
        return Ok(());
    }
    prop_assert!(incident.is_some() || running == Some(digest(world.content)), "{}", world.story());
    let expected = match world.content {
        SimulatedContent::Bad(_) => Kind::Rejected,
        SimulatedContent::Absent => Kind::Inconclusive,
        _ if !world.target => Kind::TargetMissing,
        _ => Kind::Unverified,
    };
    prop_assert_eq!(incident.map(|incident| incident.kind), Some(expected), "{}", world.story());
    Ok(())
}

/// Property 4: only a verified content replaces the last-known-good revision.
fn known_good_is_verified(world: &SimulatedWorld) -> Result<(), TestCaseError> {
    let verified: Vec<_> = world.reports().filter(|event| event.kind == Kind::Verified).collect();
    let last = verified.last().and_then(|event| event.digest);
    prop_assert_eq!(world.gate.known_good().map(Revision::digest), last, "{}", world.story());
    Ok(())
}

/// With publishing: a content that the application does not take does not stay published if there is a better one.
fn the_good_one_is_published(world: &SimulatedWorld) -> Result<(), TestCaseError> {
    prop_assert_eq!(world.kept.map(digest), world.gate.known_good().map(Revision::digest), "{}", world.story());
    // An application that was away was not reloaded; it reads what was accepted last.
    if world.count(Kind::TargetMissing) == 0 && world.kept.is_some() {
        prop_assert!(!matches!(world.published, Some(SimulatedContent::Untaken(_))), "{}", world.story());
    }
    Ok(())
}

/// Property 5: an inconclusive content is not reloaded, not called rejected, and tried again.
fn inconclusive_is_open(world: &SimulatedWorld) -> Result<(), TestCaseError> {
    for event in world.reports() {
        let about = event.digest;
        let is = |contents: &[SimulatedContent]| contents.iter().any(|content| about == Some(digest(*content)));
        let unclear = is(&[SimulatedContent::Unclear(1), SimulatedContent::Unclear(2), SimulatedContent::Unclear(3)]);
        prop_assert!(!(unclear && event.kind == Kind::Rejected), "{}", world.story());
        let bad = is(&[SimulatedContent::Bad(0), SimulatedContent::Bad(1)]);
        prop_assert!(!(bad && event.kind == Kind::Inconclusive), "{}", world.story());
        prop_assert!(!(bad && matches!(event.kind, Kind::Accepted | Kind::Reloaded)), "{}", world.story());
    }
    Ok(())
}

/// Properties 6 and 7: an incident is reported once, and its end is reported.
fn reports_are_made_once(world: &SimulatedWorld) -> Result<(), TestCaseError> {
    let mut incident: Option<(Kind, Option<Digest>)> = None;
    for event in world.reports() {
        match event.kind {
            // It is about what is published, while the incident is about what is newer.
            Kind::Unverified if event.level == Level::Warn => {}
            Kind::Rejected | Kind::Inconclusive | Kind::TargetMissing | Kind::Unverified | Kind::Deferred => {
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

/// The bytes are written again during the validation, so it starts over; meanwhile the application ends.
#[test]
fn a_bad_content_is_rejected_although_the_application_ends_before_the_verdict() {
    let (none, moment) = (Duration::ZERO, Duration::from_millis(4));
    let script = [
        (none, Fault::Write(SimulatedContent::Good(0))),
        (none, Fault::Touch),
        (Duration::from_millis(617), Fault::Write(SimulatedContent::Bad(1))),
        (none, Fault::Target(false)),
        (moment, Fault::WriteUnseen(SimulatedContent::Bad(1))),
    ];
    let world = play(SimulatedWorld::new(SimulatedContent::Absent, vec![Duration::from_millis(3)]), &script);
    assert_eq!(world.gate.incident().map(|incident| incident.kind), Some(Kind::Rejected), "{}", world.story());
}

/// In this history a process on probation ends while it is found, and the sources are back, which were still reported as missing.
#[test]
fn a_process_on_probation_that_is_gone_holds_nothing_up() {
    let ms = Duration::from_millis;
    let (absent, good) = (SimulatedContent::Absent, SimulatedContent::Good(2));
    let script = [
        (Duration::from_secs(31), Fault::Restart),
        (ms(0), Fault::Write(good)),
        (ms(0), Fault::Write(SimulatedContent::Bad(0))),
        (ms(511), Fault::Write(absent)),
        (ms(29), Fault::Touch),
        (ms(100), Fault::Write(SimulatedContent::Bad(1))),
        (ms(358), Fault::Write(SimulatedContent::Good(0))),
        (ms(17), Fault::WriteUnseen(SimulatedContent::Bad(0))),
        (ms(0), Fault::Restart),
        (ms(9), Fault::Write(absent)),
        (ms(31), Fault::Write(absent)),
        (ms(36), Fault::Write(absent)),
        (ms(14), Fault::Write(absent)),
        (ms(0), Fault::Write(absent)),
        (ms(1), Fault::Target(false)),
        (ms(0), Fault::Write(absent)),
        (ms(0), Fault::Write(absent)),
        (ms(0), Fault::Write(good)),
        (ms(0), Fault::WriteUnseen(good)),
    ];
    let world = play(SimulatedWorld::new(good, [18, 5, 71, 3, 12].map(ms).to_vec()), &script);
    assert_eq!(world.gate.incident().map(|incident| incident.kind), Some(Kind::TargetMissing), "{}", world.story());
}

/// In this history another program reloads the application while a scan is under way, which has read what lay there before.
#[test]
fn a_scan_that_is_older_than_new_workers_tells_nothing_of_them() {
    let ms = Duration::from_millis;
    let (running, unseen) = (SimulatedContent::Good(2), SimulatedContent::Good(0));
    for (gap, last) in
        [(217, Fault::Write(SimulatedContent::Absent)), (0, Fault::Write(running)), (0, Fault::WriteUnseen(running))]
    {
        let script = [
            (ms(30_000), Fault::Write(running)),
            (ms(1_034), Fault::Foreign),
            (ms(8), Fault::Foreign),
            (ms(0), Fault::WriteUnseen(unseen)),
            (ms(0), Fault::Foreign),
            (ms(gap), last),
            (ms(0), Fault::WriteUnseen(running)),
            (ms(40), Fault::Write(running)),
        ];
        let world = play(SimulatedWorld::new(SimulatedContent::Absent, [ms(1)].to_vec()), &script);
        assert_eq!(world.live, Some(running), "{}", world.story());
    }
}

/// In this history another program reloads the application while the end of a rejection is being proven.
#[test]
fn new_workers_during_a_proof_are_asked_about_although_a_rejection_is_open() {
    let ms = Duration::from_millis;
    let (bad, good) = (SimulatedContent::Bad(0), SimulatedContent::Good(2));
    let script = [
        (ms(0), Fault::Write(bad)),
        (ms(365), Fault::Write(good)),
        (ms(464), Fault::Foreign),
        (ms(15), Fault::WriteUnseen(bad)),
        (ms(0), Fault::Foreign),
        (ms(0), Fault::Write(good)),
    ];
    let latencies = [6, 0, 0, 0, 22, 49, 6, 240, 157].map(ms).to_vec();
    let world = play(SimulatedWorld::new(SimulatedContent::Absent, latencies), &script);
    assert_eq!(world.live, Some(good), "{}", world.story());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_properties_hold(
        first in contents(),
        script in prop::collection::vec((gaps(), happenings()), 0..24),
        latencies in latencies(),
    ) {
        let world = play(SimulatedWorld::new(first, latencies), &script);
        nothing_is_broken(&world)?;
        the_end_is_explained(&world)?;
        known_good_is_verified(&world)?;
        inconclusive_is_open(&world)?;
        reports_are_made_once(&world)?;
    }

    /// The same properties with publishing; in addition, a restart of the application would read the last-known-good revision.
    #[test]
    fn the_properties_hold_where_it_publishes(
        first in contents(),
        script in prop::collection::vec((gaps(), happenings()), 0..24),
        latencies in latencies(),
    ) {
        let world = play(SimulatedWorld::publishing(first, latencies), &script);
        nothing_is_broken(&world)?;
        the_end_is_explained(&world)?;
        known_good_is_verified(&world)?;
        inconclusive_is_open(&world)?;
        reports_are_made_once(&world)?;
        the_good_one_is_published(&world)?;
    }

    /// Property 6: a change back to the running content is a recovery, and no reload.
    #[test]
    fn a_revert_is_a_recovery(bad in prop_oneof![Just(SimulatedContent::Bad(0)), Just(SimulatedContent::Absent)], latencies in latencies()) {
        let mut world = SimulatedWorld::new(SimulatedContent::Good(0), latencies);
        world.pass(Duration::from_secs(10));
        world.happen(Fault::Write(bad));
        world.pass(Duration::from_secs(10));
        let reloads = world.count(Kind::Reloaded);
        world.happen(Fault::Write(SimulatedContent::Good(0)));
        world.pass(Duration::from_secs(10));
        prop_assert_eq!(world.count(Kind::Recovered), 1, "{}", world.story());
        prop_assert_eq!(world.count(Kind::Reloaded), reloads, "{}", world.story());
        prop_assert!(world.gate.incident().is_none());
    }

    /// Property 8: after a stop no effect begins, and the gate ends within the grace period.
    #[test]
    fn after_stop_nothing_begins(
        script in prop::collection::vec((gaps(), happenings()), 0..12),
        latencies in latencies(),
        after in gaps(),
    ) {
        let mut world = SimulatedWorld::new(SimulatedContent::Good(0), latencies);
        for (gap, happening) in script {
            world.pass(gap);
            world.happen(happening);
        }
        let before = world.trace.len();
        world.step(Input::Stop);
        world.happen(Fault::Write(SimulatedContent::Good(9)));
        world.pass(after);
        world.pass(Duration::from_secs(6));
        let rest = &world.trace[before..];
        let begun = rest.iter().filter(|did| !matches!(did.what, What::Report(_) | What::Finish)).count();
        prop_assert_eq!(begun, 0, "{}", world.story());
        prop_assert_eq!(rest.iter().filter(|did| matches!(did.what, What::Finish)).count(), 1, "{}", world.story());
        prop_assert!(world.gate.deadline().is_none());
    }
}

fn quick_gaps() -> impl Strategy<Value = Duration> {
    prop_oneof![(0..300_u64), (300..2_500_u64)].prop_map(Duration::from_millis)
}

fn noises() -> impl Strategy<Value = Noise> {
    prop_oneof![Just(Noise::Reload), Just(Noise::Validation)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Three quick changes by a person are all taken as one, and the last one wins: it is live within seconds, and nothing is reported.
    #[test]
    fn three_quick_changes_are_taken(gaps in prop::collection::vec(quick_gaps(), 3), latencies in latencies()) {
        let mut world = SimulatedWorld::new(SimulatedContent::Good(0), latencies);
        world.pass(Duration::from_secs(10));
        for (number, gap) in (1..).zip(gaps) {
            world.happen(Fault::Write(SimulatedContent::Good(number)));
            world.pass(gap);
        }
        world.pass(Duration::from_secs(10));
        prop_assert_eq!(world.live, Some(SimulatedContent::Good(3)), "{}", world.story());
        prop_assert!(world.gate.is_live(), "{}", world.story());
        prop_assert_eq!(world.count(Kind::Deferred), 0, "{}", world.story());
        nothing_is_broken(&world)?;
    }

    /// Any number of quick changes: the last one is live when the experiment has been repeated, at the latest.
    #[test]
    fn the_last_of_many_quick_changes_wins(gaps in prop::collection::vec(quick_gaps(), 4..24), latencies in latencies()) {
        let mut world = SimulatedWorld::new(SimulatedContent::Good(0), latencies);
        world.pass(Duration::from_secs(10));
        let mut last = SimulatedContent::Good(0);
        for (number, gap) in (1..).zip(gaps) {
            last = SimulatedContent::Good(number);
            world.happen(Fault::Write(last));
            world.pass(gap);
        }
        world.pass(Duration::from_secs(70));
        prop_assert_eq!(world.live, Some(last), "{}", world.story());
        prop_assert!(world.gate.is_live() && world.gate.incident().is_none(), "{}", world.story());
        nothing_is_broken(&world)?;
    }

    /// A disk that is full at any moments delays what is kept, and nothing else than what is published is ever kept.
    #[test]
    fn what_is_live_is_kept_when_there_is_room(
        script in prop::collection::vec((gaps(), readable_happenings(), any::<bool>()), 0..24),
        latencies in latencies(),
    ) {
        let mut world = SimulatedWorld::publishing(SimulatedContent::Good(0), latencies);
        for (gap, happening, full) in script {
            world.full = full;
            world.pass(gap);
            world.happen(happening);
        }
        world.full = false;
        world.pass(Duration::from_secs(4_000));
        nothing_is_broken(&world)?;
        let good = world.gate.known_good().map(Revision::digest);
        if world.published.map(digest) == good {
            prop_assert_eq!(world.kept.map(digest), good, "{}", world.story());
        }
        // What is not kept is no incident, and its report has ended.
        let last = world.reports().filter(|event| event.level > Level::Info || event.kind == Kind::Recovered).last();
        let is_open = last.is_some_and(|event| event.kind == Kind::Inconclusive);
        let is_inconclusive = world.gate.incident().is_some_and(|incident| incident.kind == Kind::Inconclusive);
        prop_assert!(!is_open || is_inconclusive, "{}", world.story());
    }

    /// A file that changes because of the gate ends in one report, and a change of the configuration is still taken.
    #[test]
    fn a_storm_ends_in_a_report(noise in noises(), latencies in latencies()) {
        let mut world = SimulatedWorld::new(SimulatedContent::Good(0), latencies);
        world.noise = noise;
        world.pass(Duration::from_secs(40));
        prop_assert!(world.count(Kind::Reloaded) <= 3, "{}", world.story());
        prop_assert_eq!(world.count(Kind::Deferred), 1, "{}", world.story());
        let before = world.count(Kind::Reloaded);
        world.happen(Fault::Write(SimulatedContent::Good(1)));
        world.pass(Duration::from_secs(15));
        prop_assert_eq!(world.live, Some(SimulatedContent::Good(1)), "{}", world.story());
        prop_assert_eq!(world.count(Kind::Reloaded), before + 1, "{}", world.story());
        // It stops: the experiment is repeated three times, and no more.
        world.pass(Duration::from_secs(2 * 3600));
        prop_assert!(world.count(Kind::Reloaded) <= before + 4, "{}", world.story());
        nothing_is_broken(&world)?;
    }
}

/// Plays a script with a group that answers after each pause: it permits, or lets wait first.
fn play_permitted(mut world: SimulatedWorld, script: &[(Duration, Fault)], holds: &[bool]) -> SimulatedWorld {
    for (index, (gap, happening)) in script.iter().enumerate() {
        world.pass(*gap);
        world.happen(*happening);
        if let Some(digest) = world.gate.asks().filter(|_| holds[index % holds.len()]) {
            world.step(Input::Hold { digest, reason: "another pod is first".into() });
        } else {
            world.permit();
        }
    }
    for _ in 0..400 {
        world.permit();
        world.pass(Duration::from_secs(10));
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// The same properties hold for a gate that waits for its group, and nothing is reloaded that was not permitted.
    #[test]
    fn the_properties_hold_with_permissions(
        first in contents(),
        script in prop::collection::vec((gaps(), happenings()), 0..24),
        latencies in latencies(),
        holds in prop::collection::vec(any::<bool>(), 1..6),
        publish in any::<bool>(),
    ) {
        let world = SimulatedWorld::permitting(publish, first, latencies);
        let world = play_permitted(world, &script, &holds);
        nothing_is_broken(&world)?;
        the_end_is_explained(&world)?;
        known_good_is_verified(&world)?;
        inconclusive_is_open(&world)?;
    }
}

#[test]
fn an_accepted_content_waits_for_its_permission_and_a_refused_one_for_another_content() {
    let second = Duration::from_secs(1);
    let mut world = SimulatedWorld::permitting(false, SimulatedContent::Good(0), vec![Duration::from_millis(3)]);
    world.pass(second);
    let first = digest(SimulatedContent::Good(0));
    assert_eq!((world.gate.asks(), world.count(Kind::Reloaded)), (Some(first), 0), "{}", world.story());
    world.step(Input::Hold { digest: first, reason: "another pod is first".into() });
    world.step(Input::Hold { digest: first, reason: "the soak goes on".into() });
    assert_eq!(world.count(Kind::RolloutWaiting), 1, "{}", world.story());
    world.permit();
    world.pass(second);
    assert_eq!((world.live, world.count(Kind::Recovered)), (Some(SimulatedContent::Good(0)), 1), "{}", world.story());
    // A permission that is over permits nothing.
    world.happen(Fault::Write(SimulatedContent::Good(1)));
    world.pass(second);
    let newer = digest(SimulatedContent::Good(1));
    let now = world.now;
    world.step(Input::Permit { digest: newer, until: now });
    world.pass(second);
    assert_eq!(world.count(Kind::Reloaded), 1, "{}", world.story());
    let reason = || "it failed at another pod".to_owned();
    world.step(Input::Refuse { digest: newer, reason: reason(), own: false, group: "web".into() });
    world.step(Input::Refuse { digest: newer, reason: reason(), own: false, group: "web".into() });
    world.happen(Fault::Touch);
    world.pass(Duration::from_secs(4_000));
    assert_eq!((world.count(Kind::Reloaded), world.count(Kind::RolloutRefused)), (1, 1), "{}", world.story());
    assert_eq!(world.gate.incident().map(|incident| incident.kind), Some(Kind::RolloutRefused), "{}", world.story());
    // The content that runs needs no permission, and its return is the end of the report.
    world.happen(Fault::Write(SimulatedContent::Good(0)));
    world.pass(second);
    assert!(world.gate.is_live(), "{}", world.story());
}

#[test]
fn a_permission_ends_when_another_content_comes() {
    let second = Duration::from_secs(1);
    let mut world = SimulatedWorld::permitting(false, SimulatedContent::Good(0), vec![Duration::from_millis(3)]);
    world.pass(second);
    world.permit();
    world.pass(second);
    world.happen(Fault::Write(SimulatedContent::Good(1)));
    world.pass(second);
    let until = world.now + Duration::from_secs(10);
    world.step(Input::Permit { digest: digest(SimulatedContent::Good(1)), until });
    world.happen(Fault::Write(SimulatedContent::Good(2)));
    world.pass(second);
    assert_eq!(world.gate.asks(), Some(digest(SimulatedContent::Good(2))), "{}", world.story());
    world.happen(Fault::Write(SimulatedContent::Good(1)));
    world.pass(second);
    assert_eq!(world.gate.asks(), Some(digest(SimulatedContent::Good(1))), "{}", world.story());
    assert_eq!(world.count(Kind::Reloaded), 1, "{}", world.story());
}

#[test]
fn what_runs_and_is_refused_stays_reported_until_it_is_permitted() {
    let second = Duration::from_secs(1);
    let mut world = SimulatedWorld::permitting(false, SimulatedContent::Good(0), vec![Duration::from_millis(3)]);
    world.pass(second);
    world.permit();
    world.pass(second);
    let running = digest(SimulatedContent::Good(0));
    world.step(Input::Refuse {
        digest: running,
        reason: "it failed at another pod".into(),
        own: false,
        group: "web".into(),
    });
    world.happen(Fault::Touch);
    world.pass(second);
    assert!(!world.gate.is_live() && world.gate.asks().is_none(), "{}", world.story());
    let until = world.now + second;
    world.step(Input::Permit { digest: running, until });
    world.pass(second);
    assert!(world.gate.is_live(), "{}", world.story());
    assert_eq!(world.count(Kind::Reloaded), 1, "{}", world.story());
}
