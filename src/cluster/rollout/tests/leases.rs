//! The time for which a pod waits for another one that is silent.

use std::num::NonZeroU32;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::cluster::rollout::leases::READINGS;
use crate::cluster::rollout::state::{Beat, Slot};
use crate::cluster::rollout::{
    GroupState, LEASE, Parallel, Phase, PodView, REQUEST, RETRY, Rollout, RolloutEffect, RolloutInput, RolloutSettings,
    SharedState, WriteFailure,
};
use crate::flow::tree::Digest;

/// The latest end of a lease: the time between two readings begins at the answer.
const LATEST: Duration = LEASE.saturating_add(Duration::from_secs(2));

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A pod of a group whose API server answers at once, or fails after the time limit of a request.
struct Waiter {
    rollout: Rollout,
    start: Instant,
    now: Instant,
    shared: Option<SharedState>,
    outage: Range<Duration>,
    /// The next error of the watch, which comes every 3 s.
    watch_fails: Option<Instant>,
    /// The time of each request.
    requests: Vec<Duration>,
}

impl Waiter {
    fn new(shared: Option<GroupState>, outage: Range<u64>) -> Self {
        let start = Instant::now();
        let settings = RolloutSettings {
            group: "web".into(),
            pod: "web-1".into(),
            soak: seconds(30),
            parallel: Parallel::Pods(NonZeroU32::MIN),
            proceed_alone: false,
        };
        let shared = shared.map(|state| SharedState { state, version: "1".into(), uid: "uid".into() });
        let outage = seconds(outage.start)..seconds(outage.end);
        let rollout = Rollout::new(settings, start);
        Self { rollout, start, now: start, shared, outage, watch_fails: None, requests: Vec::new() }
    }

    /// A group whose first pod has a place, and is silent.
    fn behind_a_silent_pod(outage: Range<u64>) -> Self {
        let digest = Digest::of(b"new");
        let mut state = GroupState { serial: 1, ..GroupState::default() };
        state.begin(digest, Phase::First, Some("web-0"));
        state.slots.push(Slot { beat: Beat { pod: "web-0".into(), count: 1 }, digest, epoch: 1 });
        Self::new(Some(state), outage)
    }

    fn step(&mut self, input: RolloutInput) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for effect in self.rollout.step(self.now, input) {
                let answer = self.answer(effect);
                inputs.extend(answer);
            }
        }
    }

    fn answer(&mut self, effect: RolloutEffect) -> Option<RolloutInput> {
        let since = self.now - self.start;
        let is_write = match &effect {
            RolloutEffect::Read => false,
            RolloutEffect::Write { .. } => true,
            _ => return None,
        };
        self.requests.push(since);
        if self.outage.contains(&since) {
            self.now += REQUEST;
            let error = "no answer".to_owned();
            let failure = || WriteFailure::Failed(error.clone());
            return Some(if is_write { RolloutInput::Written(Err(failure())) } else { RolloutInput::Read(Err(error)) });
        }
        if let RolloutEffect::Write { state, .. } = effect {
            let version = state.serial.to_string();
            self.shared = Some(SharedState { state: *state, version, uid: "uid".into() });
            return self.shared.clone().map(|shared| RolloutInput::Written(Ok(shared)));
        }
        Some(RolloutInput::Read(Ok(self.shared.clone())))
    }

    /// Lets time pass up to `end`, or until this pod has a place.
    fn pass(&mut self, end: Duration) {
        while !self.has_place() {
            let due = self.rollout.deadline().into_iter().chain(self.watch_fails).min();
            let Some(due) = due.filter(|due| *due <= self.start + end) else { break };
            self.now = self.now.max(due);
            if let Some(failure) = self.watch_fails.filter(|at| *at <= self.now) {
                self.watch_fails = Some(failure.max(self.now) + seconds(3));
                self.step(RolloutInput::WatchFailed("it has no right to watch".into()));
            } else {
                self.step(RolloutInput::Tick);
            }
        }
    }

    fn has_place(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.state.slot("web-1").is_some())
    }

    /// Begins to wait at `since`, and returns the time at which this pod has a place.
    fn waits(&mut self, since: Duration) -> Duration {
        self.step(RolloutInput::Tick);
        self.pass(since);
        self.now = self.now.max(self.start + since);
        let digest = Some(Digest::of(b"new"));
        self.step(RolloutInput::View(PodView { desired: digest, asks: digest, ..PodView::default() }));
        self.pass(seconds(300));
        assert!(self.has_place(), "it waits longer than 300 s: {:?}", self.requests);
        self.now - self.start
    }
}

#[test]
fn a_silent_pod_is_lost_after_its_lease() {
    let waited = Waiter::behind_a_silent_pod(0..0).waits(Duration::ZERO);
    assert!((LEASE..LATEST).contains(&waited), "{waited:?}");
}

/// The volume of a pod may change just after an outage, of which it knows nothing.
#[test]
fn a_lease_is_counted_by_a_pod_that_waits() {
    let waited = Waiter::behind_a_silent_pod(0..0).waits(seconds(60));
    assert!((seconds(60) + LEASE..seconds(60) + LATEST).contains(&waited), "{waited:?}");
}

#[test]
fn a_lease_begins_again_after_an_outage() {
    for (begins, ends) in [(0, 9), (5, 13), (9, 19), (13, 19), (17, 27), (3, 90)] {
        let mut waiter = Waiter::behind_a_silent_pod(begins..ends);
        let waited = waiter.waits(Duration::ZERO);
        // A pod without a place pauses for at most 8 s, and a request of it may have begun before.
        let latest = seconds(ends) + RETRY.longest + REQUEST + LATEST;
        assert!((seconds(ends) + LEASE..latest).contains(&waited), "{begins} s to {ends} s: {waited:?}");
    }
}

/// A Role may permit to read the Lease, and not to watch it.
#[test]
fn a_watch_that_fails_again_and_again_keeps_no_lost_pod() {
    let mut waiter = Waiter::behind_a_silent_pod(0..0);
    waiter.watch_fails = Some(waiter.start + seconds(3));
    let waited = waiter.waits(Duration::ZERO);
    assert!((LEASE..LEASE + seconds(12)).contains(&waited), "{waited:?}");
}

/// A pod with a place has to give a sign of life soon after an outage, however long it was.
#[test]
fn a_pod_with_a_place_pauses_for_a_second() {
    let end = seconds(120);
    let mut waiter = Waiter::new(None, 1..120);
    waiter.waits(Duration::ZERO);
    let began = waiter.requests.len();
    while let Some(due) = waiter.rollout.deadline().filter(|due| *due < waiter.start + end) {
        waiter.now = waiter.now.max(due);
        waiter.step(RolloutInput::Tick);
    }
    let pauses: Vec<_> = waiter.requests[began..].windows(2).map(|two| two[1] - two[0] - REQUEST).collect();
    assert!(pauses.len() > 20, "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause <= RETRY.first), "{pauses:?}");
}

/// A request to the API server for each suspected pod and second would be many in a large group.
#[test]
fn a_pod_that_waits_reads_a_few_times() {
    let mut waiter = Waiter::behind_a_silent_pod(0..0);
    waiter.waits(Duration::ZERO);
    let most = usize::try_from(READINGS).expect("it is small") + 3;
    assert!(waiter.requests.len() <= most, "{:?}", waiter.requests);
}

/// The answer to a write that takes a place may come after the gate has begun to end.
#[test]
fn a_place_that_is_on_its_way_is_given_back() {
    let mut waiter = Waiter::new(None, 0..0);
    let (rollout, now) = (&mut waiter.rollout, waiter.now);
    let wanted = Some(Digest::of(b"new"));
    let write = |effects: Vec<RolloutEffect>| {
        effects.into_iter().find_map(|effect| match effect {
            RolloutEffect::Write { state, .. } => Some(*state),
            _ => None,
        })
    };
    let stored = |state: GroupState| {
        RolloutInput::Written(Ok(SharedState { version: state.serial.to_string(), uid: "uid".into(), state }))
    };
    rollout.step(now, RolloutInput::Tick);
    rollout.step(now, RolloutInput::Read(Ok(None)));
    let view = PodView { desired: wanted, asks: wanted, ..PodView::default() };
    let taken = write(rollout.step(now, RolloutInput::View(view))).expect("it takes a place");
    assert!(taken.slot("web-1").is_some(), "{taken:?}");
    rollout.step(now, RolloutInput::Leave);
    assert!(!rollout.has_left(), "the answer may be a place");
    let given_back = write(rollout.step(now, stored(taken))).expect("it gives it back");
    assert!(given_back.slot("web-1").is_none() && !rollout.has_left(), "{given_back:?}");
    rollout.step(now, stored(given_back));
    assert!(rollout.has_left());
}
