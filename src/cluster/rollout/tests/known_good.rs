//! The known-good content of the simulated cluster: new pods publish it while the newest one is bad.

use std::num::NonZeroU32;
use std::time::Duration;

use super::properties::{play, the_end_is_explained};
use super::world::{ClusterFault, Content, Happening, SimulatedCluster, Stage};
use crate::cluster::keeper::Keeping;
use crate::cluster::rollout::{GroupState, LEASE, Parallel, Phase};
use crate::flow::tree::Digest;

/// The time that a store takes. It is no roll of the dice: the other histories keep theirs.
const STORED: Duration = Duration::from_millis(150);

impl SimulatedCluster {
    /// The newest revision of the group, if it is proven.
    pub(super) fn proven_topic(&self) -> Option<Digest> {
        let topic = self.lease.as_ref().and_then(|lease| lease.state.topic.as_ref())?;
        (topic.phase == Phase::Done).then_some(topic.digest)
    }

    /// Stores what the pod knows to be good, as the gate does.
    pub(super) fn keep(&mut self, pod: usize) {
        let this = &mut self.pods[pod];
        let live = this.running.filter(|running| this.stage == Stage::Idle && this.desired == Some(*running));
        let proven = this.rollout.proven();
        match this.keeper.decide(this.running.map(Content::digest), live.map(Content::digest), proven) {
            Keeping::Store(_) => {
                this.storing = live;
                let life = this.life;
                if let Some(content) = live {
                    self.later(STORED, Happening::Store(pod, life, content));
                }
            }
            Keeping::Stop => this.storing = None,
            Keeping::Same => {}
        }
    }

    /// The API server takes the known-good content of a pod, or cannot be reached.
    pub(super) fn store_known_good(&mut self, pod: usize, life: u32, content: Content) {
        let this = &self.pods[pod];
        if !this.alive || this.life != life || this.storing != Some(content) {
            return;
        }
        if self.reaches(pod) {
            self.known_good = Some(content);
            self.tell_story(format!("web-{pod} stores {content:?}"));
        } else {
            self.later(Duration::from_secs(4), Happening::Store(pod, life, content));
        }
    }
}

fn cluster(pods: u8) -> SimulatedCluster {
    let mut cluster =
        SimulatedCluster::new(pods, (Duration::from_secs(30), Parallel::Percent(25), false), vec![7, 90, 31]);
    cluster.pass(Duration::from_secs(600));
    cluster
}

fn change(cluster: &mut SimulatedCluster, content: Content) {
    cluster.happen(ClusterFault::Change(content));
    cluster.pass(Duration::from_secs(600));
}

fn expect_known_good(cluster: &SimulatedCluster, content: Content) {
    let story = cluster.story.join("\n");
    assert_eq!(cluster.known_good, Some(content), "{story}");
    assert_eq!(cluster.proven_topic(), Some(content.digest()), "{story}");
    assert!(cluster.broken.is_empty(), "{:?}\n{story}", cluster.broken);
}

/// The usual reason for a revert is that the withdrawn revision was harmful: no new pod may start with it.
#[test]
fn a_revert_to_a_proven_revision_becomes_the_known_good_one() {
    for pods in [1, 3, 8] {
        let mut cluster = cluster(pods);
        for content in [Content::Good(1), Content::Good(2), Content::Good(1)] {
            change(&mut cluster, content);
            expect_known_good(&cluster, content);
        }
        change(&mut cluster, Content::Bad(0));
        cluster.happen(ClusterFault::Join);
        cluster.pass(Duration::from_secs(600));
        assert_eq!(cluster.known_good, Some(Content::Good(1)), "{}", cluster.story.join("\n"));
    }
}

/// The pods that have the revert are those that had the withdrawn revision.
#[test]
fn a_revert_is_verified_by_the_pods_of_the_group() {
    let mut cluster = cluster(4);
    let pods = |cluster: &SimulatedCluster| {
        let topic = cluster.lease.as_ref().and_then(|lease| lease.state.topic.clone()).expect("there is one");
        topic.pods
    };
    change(&mut cluster, Content::Good(1));
    let before: Vec<_> = pods(&cluster).into_keys().collect();
    change(&mut cluster, Content::Good(0));
    let after = pods(&cluster);
    assert!(before.len() > 1 && after.values().all(|verified| *verified), "{after:?}");
    assert_eq!(after.into_keys().collect::<Vec<_>>(), before, "{}", cluster.story.join("\n"));
}

/// Pods that start with the earlier revision never had the withdrawn one in their volumes.
#[test]
fn new_pods_bring_an_earlier_revision_back() {
    let mut cluster = cluster(2);
    change(&mut cluster, Content::Good(1));
    cluster.object = Content::Good(0);
    for old in [0, 1] {
        cluster.happen(ClusterFault::Join);
        cluster.pass(Duration::from_secs(5));
        cluster.happen(ClusterFault::Die(old));
    }
    cluster.pass(Duration::from_secs(600));
    expect_known_good(&cluster, Content::Good(0));
}

/// One pod keeps what it has, while the only other one takes the next revision and is gone.
#[test]
fn a_revision_that_a_pod_never_left_is_stored_again() {
    let mut cluster = cluster(2);
    cluster.object = Content::Good(1);
    cluster.later(Duration::ZERO, Happening::Sync(1, Content::Good(1)));
    cluster.pass(Duration::from_secs(120));
    expect_known_good(&cluster, Content::Good(1));
    cluster.object = Content::Good(0);
    cluster.happen(ClusterFault::Die(1));
    cluster.pass(Duration::from_secs(600));
    expect_known_good(&cluster, Content::Good(0));
}

/// The group has soaked the revision that runs for a moment when the object changes, and changes back before any pod has taken the other.
#[test]
fn a_revert_before_the_reload_is_proven() {
    let script = [
        (Duration::from_secs(5), ClusterFault::Change(Content::Good(1))),
        (Duration::from_secs(5), ClusterFault::Pause),
        (Duration::from_secs(120), ClusterFault::Change(Content::Good(2))),
        (Duration::from_secs(120), ClusterFault::Change(Content::Good(1))),
        (Duration::from_secs(5), ClusterFault::Resume),
    ];
    for seed in 0..8 {
        let settings = (Duration::from_secs(30), Parallel::Pods(NonZeroU32::MIN), false);
        let mut cluster = SimulatedCluster::new(1, settings, vec![seed, 71, 203]);
        cluster.pass(Duration::from_secs(600));
        play(&mut cluster, &script);
        if let Err(error) = the_end_is_explained(&cluster) {
            panic!("{error}");
        }
    }
}

/// The first pod gives signs of life while it leads, also when nothing else happens.
#[test]
fn a_pod_that_asked_and_died_does_not_keep_a_revision_unproven() {
    let mut cluster = cluster(3);
    cluster.object = Content::Good(1);
    for pod in 0..3 {
        cluster.later(Duration::ZERO, Happening::Sync(pod, Content::Good(1)));
    }
    // The others wait for the end of the soak.
    cluster.pass(Duration::from_secs(20));
    let first = *cluster.reloads[&Content::Good(1)].first().expect("one is first");
    cluster.happen(ClusterFault::Die(u8::from(first == 0)));
    cluster.pass(Duration::from_secs(120));
    expect_known_good(&cluster, Content::Good(1));
}

fn rejected(cluster: &SimulatedCluster) -> Option<Digest> {
    let state = cluster.lease.as_ref().map(|lease| &lease.state)?;
    state.rejected.as_ref().map(|rejected| rejected.digest)
}

/// Without it, a group whose pods all reject the newest revision looks as if it had that revision.
#[test]
fn a_group_knows_what_its_gates_reject() {
    let mut cluster = cluster(3);
    for content in [Content::Bad(0), Content::Bad(1)] {
        change(&mut cluster, content);
        assert_eq!(rejected(&cluster), Some(content.digest()), "{}", cluster.story.join("\n"));
        assert_eq!(cluster.known_good, Some(Content::Good(0)), "{}", cluster.story.join("\n"));
    }
    for content in [Content::Good(0), Content::Bad(1), Content::Good(1)] {
        change(&mut cluster, content);
        let expected = Some(content.digest()).filter(|_| matches!(content, Content::Bad(_)));
        assert_eq!(rejected(&cluster), expected, "{content:?}\n{}", cluster.story.join("\n"));
    }
}

/// The first content of all may be wrong.
#[test]
fn a_new_group_knows_what_its_gates_reject() {
    let settings = (Duration::from_secs(30), Parallel::Percent(25), false);
    let mut cluster = SimulatedCluster::new(2, settings, vec![7, 90, 31]);
    change(&mut cluster, Content::Bad(0));
    change(&mut cluster, Content::Bad(1));
    assert_eq!(rejected(&cluster), Some(Content::Bad(1).digest()), "{}", cluster.story.join("\n"));
}

/// A pod whose volume never moves must not let the others try again what they refused.
#[test]
fn a_refusal_outlasts_a_volume_that_is_far_behind() {
    let mut cluster = cluster(4);
    cluster.object = Content::Untaken(0);
    for pod in 0..3 {
        cluster.later(Duration::ZERO, Happening::Sync(pod, Content::Untaken(0)));
    }
    cluster.pass(Duration::from_secs(3_600));
    let story = cluster.story.join("\n");
    assert_eq!(cluster.reloads[&Content::Untaken(0)].len(), 1, "{story}");
    let topic = cluster.lease.as_ref().and_then(|lease| lease.state.topic.clone()).expect("there is one");
    assert_eq!((topic.digest, topic.phase.as_str()), (Content::Untaken(0).digest(), "refused"), "{story}");
    assert!(cluster.broken.is_empty(), "{:?}", cluster.broken);
}

/// The pods that refused a revision are gone, and nothing is left of it but the refusal.
#[test]
fn new_pods_end_a_refusal_of_a_withdrawn_revision() {
    let mut cluster = cluster(2);
    change(&mut cluster, Content::Untaken(0));
    cluster.object = Content::Good(0);
    for old in [0, 1] {
        cluster.happen(ClusterFault::Join);
        cluster.pass(Duration::from_secs(5));
        cluster.happen(ClusterFault::Die(old));
    }
    cluster.pass(Duration::from_secs(600));
    expect_known_good(&cluster, Content::Good(0));
}

/// The pod that leads dies, and no other one has to reload anything.
#[test]
fn a_dead_leader_is_replaced_by_a_pod_that_runs_the_revision() {
    let mut cluster = cluster(3);
    change(&mut cluster, Content::Good(1));
    // Nothing is proven when it is forgotten: the pods run it, and one begins with it anew.
    let mut shared = cluster.lease.clone().expect("there is one");
    shared.state.proven.clear();
    shared.state.begin(Content::Good(1).digest(), Phase::Soaking, Some("web-0"));
    shared.state.serial += 1;
    cluster.happen(ClusterFault::Die(0));
    cluster.store(shared.state, shared.uid);
    cluster.pass(Duration::from_secs(300));
    expect_known_good(&cluster, Content::Good(1));
}

/// The volumes of the other pods still have the withdrawn revision when that of the first pod has moved back.
#[test]
fn a_revert_during_the_soak_stops_the_roll_out() {
    for seed in 0..60 {
        let settings = (Duration::from_secs(30), Parallel::Percent(25), false);
        let mut cluster = SimulatedCluster::new(4, settings, vec![seed, 90, 31, 177]);
        cluster.pass(Duration::from_secs(600));
        cluster.happen(ClusterFault::Change(Content::Good(1)));
        while !cluster.pods.iter().any(|pod| pod.running == Some(Content::Good(1))) {
            cluster.pass(Duration::from_secs(1));
        }
        cluster.happen(ClusterFault::Change(Content::Good(0)));
        while cluster.proven_topic() != Some(Content::Good(0).digest()) {
            cluster.pass(Duration::from_millis(10));
        }
        let met = cluster.reloads[&Content::Good(1)].len();
        cluster.pass(Duration::from_secs(600));
        assert_eq!(cluster.reloads[&Content::Good(1)].len(), met, "{seed}: {}", cluster.story.join("\n"));
        expect_known_good(&cluster, Content::Good(0));
    }
}

/// A rolling restart takes the pods that lead one after another. They are no pods that were lost because of the revision.
#[test]
fn leaders_that_leave_refuse_nothing() {
    let mut cluster = cluster(5);
    cluster.happen(ClusterFault::Change(Content::Good(1)));
    for _ in 0..3 {
        let leader = |cluster: &SimulatedCluster| {
            let topic = cluster.lease.as_ref()?.state.topic.clone()?;
            let holder = topic.holder.filter(|_| topic.phase == Phase::Soaking)?.pod;
            cluster.pods.iter().position(|pod| pod.name == holder)
        };
        let first = loop {
            cluster.pass(Duration::from_millis(100));
            if let Some(leader) = leader(&cluster) {
                break leader;
            }
        };
        let before = cluster.now;
        cluster.happen(ClusterFault::Leave(u8::try_from(first).expect("there are few")));
        while leader(&cluster).is_none_or(|leader| leader == first) {
            cluster.pass(Duration::from_millis(100));
        }
        assert!(cluster.now - before < LEASE, "the next pod waits for no lease: {}", cluster.story.join("\n"));
    }
    cluster.pass(Duration::from_secs(600));
    expect_known_good(&cluster, Content::Good(1));
}

/// A person replaces the Lease by one without the state, or by an earlier copy of it.
#[test]
fn a_group_goes_on_after_its_state_was_replaced_by_an_earlier_one() {
    let mut cluster = cluster(3);
    let earlier = cluster.lease.clone().expect("there is one").state;
    for (state, good) in [(GroupState::default(), 1), (earlier, 2)] {
        change(&mut cluster, Content::Good(good));
        expect_known_good(&cluster, Content::Good(good));
        let uid = cluster.lease.clone().expect("there is one").uid;
        cluster.store(state, uid);
        change(&mut cluster, Content::Good(good + 10));
        expect_known_good(&cluster, Content::Good(good + 10));
    }
}
