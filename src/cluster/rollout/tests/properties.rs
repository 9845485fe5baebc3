//! The properties of the roll-out that hold under every interleaving (`docs/rollout.md`).

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::world::{ClusterFault, Content, SimulatedCluster};
use crate::cluster::rollout::{Advice, Parallel, Phase};

/// The number of simulated histories; `ROLLOUT_HISTORIES=100000` plays more.
fn histories() -> u32 {
    std::env::var("ROLLOUT_HISTORIES").ok().and_then(|count| count.parse().ok()).unwrap_or(60)
}

fn contents() -> impl Strategy<Value = Content> {
    prop_oneof![
        6 => (0..4_u8).prop_map(Content::Good),
        2 => (0..2_u8).prop_map(Content::Bad),
        2 => (0..2_u8).prop_map(Content::Untaken),
        1 => (0..2_u8).prop_map(Content::Ending),
    ]
}

fn faults() -> impl Strategy<Value = ClusterFault> {
    let pod = 0..9_u8;
    prop_oneof![
        10 => contents().prop_map(ClusterFault::Change),
        3 => pod.clone().prop_map(ClusterFault::Restart),
        2 => pod.clone().prop_map(ClusterFault::Die),
        2 => pod.clone().prop_map(ClusterFault::Partition),
        2 => pod.clone().prop_map(ClusterFault::Heal),
        1 => Just(ClusterFault::ApiDown),
        2 => Just(ClusterFault::ApiUp),
        2 => (pod.clone(), any::<bool>()).prop_map(|(pod, there)| ClusterFault::Target(pod, there)),
        1 => Just(ClusterFault::Join),
        1 => Just(ClusterFault::Pause),
        1 => Just(ClusterFault::Resume),
        1 => Just(ClusterFault::Retry),
        2 => pod.clone().prop_map(ClusterFault::Unwatch),
        2 => pod.prop_map(ClusterFault::Leave),
    ]
}

fn gaps() -> impl Strategy<Value = Duration> {
    prop_oneof![
        4 => (0..2_000_u64).prop_map(Duration::from_millis),
        3 => (2..20_u64).prop_map(Duration::from_secs),
        2 => (20..90_u64).prop_map(Duration::from_secs),
        1 => (90..400_u64).prop_map(Duration::from_secs),
    ]
}

fn parallels() -> impl Strategy<Value = Parallel> {
    prop_oneof![
        (1..4_u32).prop_map(|pods| Parallel::Pods(NonZeroU32::new(pods).expect("it is above 0"))),
        prop_oneof![Just(25_u8), Just(50), Just(100)].prop_map(Parallel::Percent),
    ]
}

/// Properties 4, 5 and 7: when the world is still, all pods run the newest revision, which is proven and the known-good one; or the group
/// refuses it, for one reason.
pub(super) fn the_end_is_explained(cluster: &SimulatedCluster) -> Result<(), TestCaseError> {
    let newest = cluster.object;
    let story = || cluster.story.join("\n");
    // A soak is too short for some applications that end, and a gate that starts again has not seen the end.
    let may_end_later = matches!(newest, Content::Ending(_));
    if matches!(newest, Content::Bad(_)) {
        return Ok(());
    }
    let topic = cluster.lease.as_ref().and_then(|lease| lease.state.topic.as_ref());
    let refusal = topic.filter(|topic| topic.digest == newest.digest() && matches!(topic.phase, Phase::Refused { .. }));
    if may_end_later && refusal.is_none() {
        return Ok(());
    }
    if matches!(newest, Content::Untaken(_)) {
        prop_assert!(refusal.is_some(), "{newest:?} is not refused: {topic:?}\n{}", story());
    }
    let mut reasons = Vec::new();
    for pod in cluster.pods.iter().filter(|pod| pod.alive) {
        match (refusal, &pod.advice) {
            (None, _) => prop_assert_eq!(pod.running, Some(newest), "{}\n{}", pod.name, story()),
            (Some(_), Some(Advice::Refuse(digest, reason))) if *digest == newest.digest() => reasons.push(reason),
            (Some(_), _) => prop_assert!(false, "{} is advised {:?}\n{}", pod.name, pod.advice, story()),
        }
    }
    prop_assert!(reasons.windows(2).all(|two| two[0] == two[1]), "{reasons:?}");
    let (.., proceeds_alone) = cluster.settings;
    if refusal.is_none() && !proceeds_alone {
        prop_assert_eq!(cluster.proven_topic(), Some(newest.digest()), "{:?}\n{}", topic, story());
        prop_assert_eq!(cluster.known_good, Some(newest), "the known-good content\n{}", story());
        let rejected = cluster.lease.as_ref().and_then(|lease| lease.state.rejected.as_ref());
        prop_assert_eq!(rejected, None, "{}", story());
    }
    Ok(())
}

pub(super) fn play(cluster: &mut SimulatedCluster, script: &[(Duration, ClusterFault)]) {
    for (gap, fault) in script {
        cluster.happen(*fault);
        cluster.pass(*gap);
    }
    cluster.mend();
    cluster.pass(Duration::from_secs(1_800));
}

/// A revision that no application takes meets one pod, unless that pod is lost; so does one that ends the application.
fn one_pod_meets_them(pods: u8, dice: Vec<u8>) -> Result<(), TestCaseError> {
    let is_revert = dice.len().is_multiple_of(2);
    let settings = (Duration::from_secs(30), Parallel::Percent(25), false);
    let mut cluster = SimulatedCluster::new(pods, settings, dice);
    cluster.pass(Duration::from_secs(600));
    for content in [Content::Untaken(0), Content::Ending(0)] {
        cluster.happen(ClusterFault::Change(content));
        cluster.pass(Duration::from_secs(600));
        prop_assert_eq!(cluster.reloads[&content].len(), 1, "{}", cluster.story.join("\n"));
        let topic = cluster.lease.as_ref().and_then(|lease| lease.state.topic.as_ref());
        let is_refused = topic.is_some_and(|topic| matches!(topic.phase, Phase::Refused { .. }));
        prop_assert!(is_refused, "{}", cluster.story.join("\n"));
        the_end_is_explained(&cluster)?;
    }
    cluster.happen(ClusterFault::Change(Content::Good(u8::from(!is_revert))));
    cluster.pass(Duration::from_secs(600));
    for content in [Content::Untaken(0), Content::Ending(0)] {
        prop_assert_eq!(cluster.reloads[&content].len(), 1, "withdrawn: {}", cluster.story.join("\n"));
    }
    the_end_is_explained(&cluster)?;
    prop_assert!(cluster.broken.is_empty(), "{:?}\n{}", cluster.broken, cluster.story.join("\n"));
    Ok(())
}

/// The API server goes away while the first pod of a group has a revision that no application takes, and comes back. Whatever the length of
/// the outage, no other pod takes the revision, unless the first one is silent for its lease when the API server answers again.
fn an_outage_costs_no_place(pods: u8, begins: Duration, lasts: Duration, dice: Vec<u8>) -> Result<(), TestCaseError> {
    let settings = (Duration::from_secs(30), Parallel::Percent(25), false);
    let mut cluster = SimulatedCluster::new(pods, settings, dice);
    cluster.pass(Duration::from_secs(600));
    let script = [
        (begins, ClusterFault::Change(Content::Untaken(0))),
        (lasts, ClusterFault::ApiDown),
        (Duration::from_secs(600), ClusterFault::ApiUp),
    ];
    for (gap, fault) in script {
        cluster.happen(fault);
        cluster.pass(gap);
    }
    prop_assert_eq!(cluster.reloads[&Content::Untaken(0)].len(), 1, "{}", cluster.story.join("\n"));
    prop_assert!(cluster.broken.is_empty(), "{:?}\n{}", cluster.broken, cluster.story.join("\n"));
    the_end_is_explained(&cluster)
}

/// In this history three answers in a row were lost to the first pod, so the others counted it as lost and a second one took the revision.
#[test]
fn three_lost_answers_do_not_cost_the_first_place() {
    let dice = [155, 92, 102, 197, 59, 57, 62, 58, 228, 73, 247, 26, 58, 28, 150, 104, 200, 154, 235, 205, 124];
    let settings = (Duration::from_secs(30), Parallel::Percent(25), false);
    let mut cluster = SimulatedCluster::new(8, settings, dice.to_vec());
    cluster.pass(Duration::from_secs(600));
    for content in [Content::Untaken(0), Content::Ending(0)] {
        cluster.happen(ClusterFault::Change(content));
        cluster.pass(Duration::from_secs(600));
    }
    let lost = cluster.lease.as_ref().and_then(|lease| lease.state.topic.as_ref()).map(|topic| topic.lost);
    assert_eq!(lost, Some(0), "{}", cluster.story.join("\n"));
    if let Err(error) = one_pod_meets_them(8, dice.to_vec()) {
        panic!("{error}");
    }
}

/// In this history the first pod had no answer before the outage, so its pauses had grown, and the others counted it as lost.
#[test]
fn an_outage_after_lost_answers_costs_no_place() {
    let dice = [226, 196, 96, 231, 245, 186, 141, 16, 24, 62, 147, 101];
    let (begins, lasts) = (Duration::from_millis(4_042), Duration::from_millis(19_642));
    if let Err(error) = an_outage_costs_no_place(6, begins, lasts, dice.to_vec()) {
        panic!("{error}");
    }
}

/// In new pods the application starts after the publication. That is no failure of the first pod, and the others wait for it.
#[test]
fn a_new_group_starts_with_one_pod() {
    for seed in 0..40 {
        let settings = (Duration::from_secs(30), Parallel::Percent(25), false);
        let mut cluster = SimulatedCluster::new(4, settings, vec![seed, 71, 203]);
        cluster.pods.iter_mut().for_each(|pod| (pod.target, pod.is_new) = (false, true));
        cluster.pass(Duration::from_secs(29));
        let met = cluster.reloads.get(&Content::Good(0)).map_or(0, BTreeSet::len);
        assert_eq!(met, 1, "{}", cluster.story.join("\n"));
        cluster.pass(Duration::from_secs(600));
        assert!(cluster.broken.is_empty(), "{:?}\n{}", cluster.broken, cluster.story.join("\n"));
        let topic = cluster.lease.as_ref().and_then(|lease| lease.state.topic.clone()).expect("there is one");
        assert_eq!((topic.phase, topic.lost), (Phase::Done, 0), "{}", cluster.story.join("\n"));
        assert!(cluster.pods.iter().all(|pod| pod.running == Some(Content::Good(0))), "{}", cluster.story.join("\n"));
    }
}

#[test]
fn the_state_names_the_time_since_which_each_pod_has_the_revision() {
    let soak = Duration::from_secs(30);
    let mut cluster = SimulatedCluster::new(3, (soak, Parallel::Percent(25), false), vec![7, 90, 31]);
    cluster.pass(Duration::from_secs(600));
    let topic = |cluster: &SimulatedCluster| cluster.lease.as_ref().and_then(|lease| lease.state.topic.clone());
    let changed = cluster.time();
    cluster.happen(ClusterFault::Change(Content::Good(1)));
    cluster.pass(Duration::from_secs(600));
    let good = topic(&cluster).expect("there is one");
    let mut times: Vec<_> = cluster.pods.iter().filter_map(|pod| good.since(&pod.name)).collect();
    times.sort();
    assert_eq!((times.len(), good.verified()), (3, 3), "{good:?}");
    assert!(times[0] >= changed && times[1] >= times[0] + soak, "the others follow the first: {good:?}");
    cluster.pass(Duration::from_secs(3600));
    assert_eq!(topic(&cluster), Some(good), "the time stays");
    cluster.happen(ClusterFault::Change(Content::Untaken(0)));
    cluster.pass(Duration::from_secs(600));
    let refused = topic(&cluster).expect("there is one");
    assert!(matches!(refused.phase, Phase::Refused { .. }), "{refused:?}");
    assert_eq!((refused.verified(), refused.since.len()), (0, 0), "no pod has verified it: {refused:?}");
    cluster.happen(ClusterFault::Change(Content::Good(1)));
    cluster.pass(Duration::from_secs(600));
    let back = topic(&cluster).expect("there is one");
    assert_eq!(back.since.len(), back.verified(), "{back:?}");
    for pod in &cluster.pods {
        let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).map(|since| since.as_secs()).ok();
        assert_eq!(back.since(&pod.name).and_then(seconds), pod.since.and_then(seconds), "{}: {back:?}", pod.name);
    }
}

/// In this history a pod came back to a content whose place it had given back.
#[test]
fn a_permission_does_not_outlive_its_place() {
    let second = Duration::from_secs(1);
    let dice = [
        241, 13, 169, 146, 125, 81, 16, 33, 45, 190, 139, 6, 160, 9, 16, 113, 163, 72, 165, 48, 190, 148, 42, 74, 140,
        38, 130, 101, 228, 12, 208, 68, 99, 163, 14, 9, 16,
    ];
    let settings = (Duration::ZERO, Parallel::Pods(NonZeroU32::MIN), false);
    let mut cluster = SimulatedCluster::new(6, settings, dice.to_vec());
    let script = [
        (Duration::from_millis(1_420), ClusterFault::Die(1)),
        (Duration::from_millis(1_782), ClusterFault::Change(Content::Untaken(1))),
        (Duration::from_millis(216), ClusterFault::Join),
        (6 * second, ClusterFault::Restart(4)),
        (2 * second, ClusterFault::Change(Content::Good(1))),
        (Duration::from_millis(11), ClusterFault::Change(Content::Untaken(1))),
    ];
    play(&mut cluster, &script);
    assert!(cluster.broken.is_empty(), "{:?}\n{}", cluster.broken, cluster.story.join("\n"));
}

/// In this history a pod reported a revision that it had not taken while it reloaded another one, and gave up the place of that reload.
#[test]
fn a_refusal_ends_no_reload_of_another_revision() {
    let (second, ms) = (Duration::from_secs(1), Duration::from_millis);
    let dice = [
        32, 4, 107, 125, 31, 101, 161, 91, 32, 16, 215, 9, 91, 97, 104, 5, 44, 157, 119, 63, 39, 46, 184, 69, 17, 136,
        218, 28, 212, 205, 0, 70, 247, 59, 170,
    ];
    let settings = (Duration::ZERO, Parallel::Pods(NonZeroU32::MIN), false);
    let mut cluster = SimulatedCluster::new(1, settings, dice.to_vec());
    let script = [
        (ms(606), ClusterFault::Restart(0)),
        (3 * second, ClusterFault::Change(Content::Good(1))),
        (ms(586), ClusterFault::Join),
        (2 * second, ClusterFault::ApiDown),
        (Duration::ZERO, ClusterFault::ApiUp),
        (6 * second, ClusterFault::Partition(6)),
        (4 * second, ClusterFault::Join),
        (ms(783), ClusterFault::Join),
        (29 * second, ClusterFault::Change(Content::Bad(0))),
        (40 * second, ClusterFault::Unwatch(3)),
        (ms(570), ClusterFault::Change(Content::Good(1))),
        (ms(65), ClusterFault::Change(Content::Good(0))),
        (49 * second, ClusterFault::Unwatch(1)),
        (ms(518), ClusterFault::Change(Content::Untaken(0))),
        (2 * second, ClusterFault::Change(Content::Good(0))),
    ];
    play(&mut cluster, &script);
    assert!(cluster.broken.is_empty(), "{:?}\n{}", cluster.broken, cluster.story.join("\n"));
}

/// A first pod that is cut off for longer than its lease does not hold up the others: the next one takes what it took, and the group
/// refuses it.
#[test]
fn the_next_pod_takes_the_place_of_a_first_one_that_is_cut_off() {
    let settings = (Duration::from_secs(30), Parallel::Percent(25), false);
    let mut cluster = SimulatedCluster::new(4, settings, vec![7, 90, 31]);
    cluster.pass(Duration::from_secs(600));
    cluster.happen(ClusterFault::Change(Content::Untaken(0)));
    let first =
        |cluster: &SimulatedCluster| cluster.reloads.get(&Content::Untaken(0)).and_then(|met| met.first().copied());
    while first(&cluster).is_none() {
        cluster.pass(Duration::from_millis(20));
    }
    let first = first(&cluster).expect("it is there");
    cluster.happen(ClusterFault::Partition(u8::try_from(first).expect("it is small")));
    cluster.pass(Duration::from_secs(120));
    let met = &cluster.reloads[&Content::Untaken(0)];
    assert!(met.len() == 1 && !met.contains(&first), "{met:?}\n{}", cluster.story.join("\n"));
    let topic = cluster.lease.as_ref().and_then(|lease| lease.state.topic.clone()).expect("there is one");
    assert!(matches!(topic.phase, Phase::Refused { .. }) && topic.lost == 1, "{topic:?}");
    assert!(cluster.broken.is_empty(), "{:?}", cluster.broken);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: histories(),
        failure_persistence: None,
        max_shrink_iters: 600,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_properties_of_a_group_hold(
        pods in 1..7_u8,
        soak in prop_oneof![Just(0_u64), Just(5), Just(30)],
        parallel in parallels(),
        proceed_alone in prop::bool::weighted(0.1),
        script in prop::collection::vec((gaps(), faults()), 0..24),
        dice in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let mut cluster = SimulatedCluster::new(pods, (Duration::from_secs(soak), parallel, proceed_alone), dice);
        play(&mut cluster, &script);
        prop_assert!(cluster.broken.is_empty(), "{:?}\n{}", cluster.broken, cluster.story.join("\n"));
        the_end_is_explained(&cluster)?;
    }

    #[test]
    fn one_pod_meets_what_no_application_takes(pods in 2..9_u8, dice in prop::collection::vec(any::<u8>(), 1..40)) {
        one_pod_meets_them(pods, dice)?;
    }

    #[test]
    fn an_outage_of_the_api_server_costs_no_pod_its_place(
        pods in 2..9_u8,
        begins in (0..15_000_u64).prop_map(Duration::from_millis),
        // Up to 8 s pass unseen.
        lasts in prop_oneof![0..8_000_u64, 8_000..60_000_u64].prop_map(Duration::from_millis),
        dice in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        an_outage_costs_no_place(pods, begins, lasts, dice)?;
    }
}
