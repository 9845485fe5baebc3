//! A simulated cluster: pods with gates, volumes that lag, and an API server with latencies and faults. The clock is virtual; that of each
//! pod is off by another time.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use crate::cluster::keeper::Keeper;
use crate::cluster::rollout::{
    Advice, GroupState, Parallel, Phase, PodFailure, PodView, RENEWAL, REQUEST, Rollout, RolloutEffect, RolloutInput,
    RolloutSettings, SharedState, WriteFailure,
};
use crate::flow::tree::Digest;

/// A content of the object, by what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Content {
    /// It is good, and one of several that differ.
    Good(u8),
    /// Every gate rejects it.
    Bad(u8),
    /// It is valid, and no application takes it.
    Untaken(u8),
    /// The application takes it, and ends soon afterwards.
    Ending(u8),
}

impl Content {
    /// Each digest is computed once: long runs ask for them again and again.
    pub(super) fn digest(self) -> Digest {
        thread_local! {
            static KNOWN: RefCell<BTreeMap<Content, Digest>> = const { RefCell::new(BTreeMap::new()) };
        }
        let digest = || Digest::of(format!("{self:?}").as_bytes());
        KNOWN.with_borrow_mut(|known| *known.entry(self).or_insert_with(digest))
    }
}

/// A change of the world.
#[derive(Clone, Copy, Debug)]
pub(super) enum ClusterFault {
    /// The object changes.
    Change(Content),
    /// The gate of a pod is killed, and starts again.
    Restart(u8),
    /// A pod dies, and does not come back.
    Die(u8),
    /// A pod is cut off from the API server, or reaches it again.
    Partition(u8),
    Heal(u8),
    /// The API server goes away, or comes back.
    ApiDown,
    ApiUp,
    /// The application of a pod goes away, or comes back.
    Target(u8, bool),
    /// A pod joins.
    Join,
    /// A person acts.
    Pause,
    Resume,
    Retry,
    /// The watch of a pod breaks for a while.
    Unwatch(u8),
    /// A pod is deleted: its gate ends in good order.
    Leave(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Idle,
    Validating(Content, Instant),
    Asking(Content),
    Acting(Content, Instant),
    /// It waits for its application.
    Stuck(Content),
}

pub(super) struct SimulatedPod {
    pub(super) name: String,
    pub(super) rollout: Rollout,
    pub(super) alive: bool,
    /// Its gate is about to end.
    leaves: bool,
    /// The difference of its clock.
    pub(super) offset: Duration,
    pub(super) partitioned: bool,
    pub(super) watches: bool,
    pub(super) target: bool,
    /// The application starts when something is published for it.
    pub(super) is_new: bool,
    pub(super) volume: Content,
    /// The number of the change that the volume shows: a kubelet does not go back.
    change: u32,
    pub(super) desired: Option<Content>,
    pub(super) rejected: bool,
    pub(super) stage: Stage,
    pub(super) running: Option<Content>,
    /// The time of its proof, by the wall clock.
    pub(super) since: Option<SystemTime>,
    pub(super) failed: Option<PodFailure>,
    pub(super) retry: Option<Instant>,
    pub(super) ends: u32,
    pub(super) end_at: Option<Instant>,
    pub(super) permit: Option<(Digest, Instant)>,
    pub(super) advice: Option<Advice>,
    /// The last content that the application was proven to run. It needs no permission.
    pub(super) good: Option<Content>,
    /// The last time at which the API server took a write of it.
    pub(super) contact: Instant,
    /// Raised at a restart: what was sent before is not answered.
    pub(super) life: u32,
    pub(super) keeper: Keeper,
    /// The content that it stores as the known-good one.
    pub(super) storing: Option<Content>,
}

impl SimulatedPod {
    /// Takes in the content of the volume, to which an earlier permission does not apply.
    pub(super) fn move_on(&mut self) {
        (self.desired, self.rejected) = (Some(self.volume), false);
        let digest = self.volume.digest();
        self.permit.take_if(|(permitted, _)| *permitted != digest);
    }

    fn view(&self) -> PodView {
        let asks = if let Stage::Asking(content) = self.stage { Some(content.digest()) } else { None };
        let acting = if let Stage::Acting(content, _) = self.stage { Some(content.digest()) } else { None };
        PodView {
            desired: self.desired.map(Content::digest),
            rejected: self.rejected,
            asks,
            acting,
            stuck: if let Stage::Stuck(content) = self.stage { Some(content.digest()) } else { None },
            running: self.running.map(Content::digest),
            running_since: self.running.and(self.since),
            failed: self.failed.clone(),
            ends: self.ends,
        }
    }
}

#[derive(Debug)]
pub(super) enum Happening {
    /// A kubelet updates a volume.
    Sync(usize, Content),
    /// The same for the change of the object with this number, unless it has updated the volume to a later one.
    Update(usize, u32, Content),
    /// The gate of a pod ends.
    End(usize, u32),
    /// A request reaches the API server; true if the answer is lost.
    Request(usize, u32, Box<RolloutEffect>, bool),
    Answer(usize, u32, Box<RolloutInput>),
    /// The application of a new pod starts, with what is published.
    Start(usize),
    /// A pod stores the known-good content.
    Store(usize, u32, Content),
}

pub(super) struct SimulatedCluster {
    pub(super) now: Instant,
    pub(super) start: Instant,
    pub(super) pods: Vec<SimulatedPod>,
    pub(super) lease: Option<SharedState>,
    pub(super) known_good: Option<Content>,
    pub(super) old_states: Vec<SharedState>,
    pub(super) version: u64,
    pub(super) object: Content,
    /// The number of times that it changed.
    changes: u32,
    /// The time since which the API server is away.
    pub(super) outage: Option<Instant>,
    pub(super) queue: BTreeMap<(Instant, u64), Happening>,
    pub(super) sequence: u64,
    pub(super) dice: Vec<u8>,
    pub(super) rolls: usize,
    pub(super) settings: (Duration, Parallel, bool),
    /// The last topic of each digest, and the times at which reloads of each topic began and were first verified.
    pub(super) epochs: BTreeMap<Digest, u64>,
    pub(super) begun: BTreeMap<u64, BTreeSet<usize>>,
    pub(super) verified: BTreeMap<u64, Instant>,
    pub(super) refused: BTreeMap<u64, Instant>,
    pub(super) proven: BTreeSet<Digest>,
    /// The pods that took each content, without those that were lost when another pod took it.
    pub(super) reloads: BTreeMap<Content, BTreeSet<usize>>,
    pub(super) broken: Vec<String>,
    pub(super) story: Vec<String>,
}

/// More steps than any history takes.
const MOST_STEPS: u32 = 400_000;

impl SimulatedCluster {
    pub(super) fn new(pods: u8, settings: (Duration, Parallel, bool), dice: Vec<u8>) -> Self {
        let now = Instant::now() + Duration::from_secs(100_000);
        let mut cluster = Self {
            now,
            start: now,
            pods: Vec::new(),
            lease: None,
            known_good: None,
            old_states: Vec::new(),
            version: 0,
            object: Content::Good(0),
            changes: 0,
            outage: None,
            queue: BTreeMap::new(),
            sequence: 0,
            dice,
            rolls: 0,
            settings,
            epochs: BTreeMap::new(),
            begun: BTreeMap::new(),
            verified: BTreeMap::new(),
            refused: BTreeMap::new(),
            proven: BTreeSet::new(),
            reloads: BTreeMap::new(),
            broken: Vec::new(),
            story: Vec::new(),
        };
        (0..pods).for_each(|_| cluster.join());
        cluster
    }

    fn roll(&mut self, sides: u8) -> u8 {
        self.rolls += 1;
        // The dice are few: their sum with the number of the roll makes other series of them.
        let turn = self.rolls / self.dice.len();
        let mixed = usize::from(self.dice[self.rolls % self.dice.len()]).wrapping_mul(31).wrapping_add(turn * 17);
        u8::try_from(mixed % usize::from(sides)).unwrap_or_default()
    }

    pub(super) fn millis(&mut self, most: u64) -> Duration {
        let share = u64::from(self.roll(100));
        Duration::from_millis(most * share / 100)
    }

    pub(super) fn tell_story(&mut self, line: impl Into<String>) {
        self.story.push(format!("{:>10.3} {}", (self.now - self.start).as_secs_f64(), line.into()));
    }

    pub(super) fn expect(&mut self, holds: bool, what: &str) {
        if !holds {
            self.broken.push(format!("{what}, at {:?}", self.now - self.start));
            self.tell_story(format!("BROKEN: {what}"));
        }
    }

    /// The wall clock.
    pub(super) fn time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + (self.now - self.start)
    }

    fn clock(&self, pod: usize) -> Instant {
        self.now - self.pods[pod].offset
    }

    fn machine(&self, name: &str, pod_now: Instant) -> Rollout {
        let (soak, parallel, proceed_alone) = self.settings;
        let settings = RolloutSettings { group: "web".into(), pod: name.into(), soak, parallel, proceed_alone };
        Rollout::new(settings, pod_now)
    }

    fn join(&mut self) {
        let index = self.pods.len();
        let offset = Duration::from_secs(u64::from(self.roll(200)) * 97);
        let name = format!("web-{index}");
        let rollout = self.machine(&name, self.now - offset);
        let (volume, latency) = (self.object, self.millis(500));
        self.pods.push(SimulatedPod {
            name,
            rollout,
            alive: true,
            leaves: false,
            offset,
            partitioned: false,
            watches: true,
            target: true,
            is_new: false,
            volume,
            change: self.changes,
            desired: None,
            rejected: false,
            stage: Stage::Validating(volume, self.now + latency),
            running: None,
            since: None,
            failed: None,
            retry: None,
            ends: 0,
            end_at: None,
            permit: None,
            advice: None,
            good: None,
            contact: self.now,
            life: 0,
            keeper: Keeper::default(),
            storing: None,
        });
        self.step(index, RolloutInput::Tick);
    }

    pub(super) fn later(&mut self, after: Duration, happening: Happening) {
        self.sequence += 1;
        self.queue.insert((self.now + after, self.sequence), happening);
    }

    pub(super) fn happen(&mut self, fault: ClusterFault) {
        self.tell_story(format!("{fault:?}"));
        let count = self.pods.len();
        let pod = |number: u8| usize::from(number) % count;
        match fault {
            ClusterFault::Change(content) => self.change(content),
            ClusterFault::Restart(number) => self.restart(pod(number)),
            ClusterFault::Die(number) => {
                if self.others_stay(pod(number)) {
                    self.pods[pod(number)].alive = false;
                }
            }
            ClusterFault::Partition(number) => self.pods[pod(number)].partitioned = true,
            ClusterFault::Heal(number) => {
                self.pods[pod(number)].partitioned = false;
                self.rewatch(pod(number));
            }
            ClusterFault::ApiDown => {
                self.outage.get_or_insert(self.now);
            }
            ClusterFault::ApiUp => {
                self.come_back();
                (0..count).for_each(|pod| self.rewatch(pod));
            }
            ClusterFault::Target(number, is_there) => self.target(pod(number), is_there),
            ClusterFault::Join if count < 9 => self.join(),
            ClusterFault::Join => {}
            ClusterFault::Pause => self.person(|state| state.paused = true),
            ClusterFault::Resume => self.person(|state| state.paused = false),
            ClusterFault::Retry => self.person(|state| {
                state.retry();
            }),
            ClusterFault::Leave(number) => self.leave(pod(number)),
            ClusterFault::Unwatch(number) => {
                self.pods[pod(number)].watches = false;
                self.step(pod(number), RolloutInput::WatchFailed("410 Gone".into()));
            }
        }
    }

    /// Kubelets update the volumes one after another; some skip a content that does not last.
    fn change(&mut self, content: Content) {
        self.object = content;
        self.changes += 1;
        for pod in 0..self.pods.len() {
            let lag = if self.roll(3) == 0 { self.millis(90_000) } else { self.millis(1_500) };
            self.later(lag, Happening::Update(pod, self.changes, content));
        }
    }

    /// Brings the world to rest: every fault is mended, and every volume has the newest content.
    pub(super) fn mend(&mut self) {
        self.tell_story("mended");
        self.come_back();
        self.person(|state| state.paused = false);
        for pod in 0..self.pods.len() {
            self.pods[pod].partitioned = false;
            self.rewatch(pod);
            self.target(pod, true);
            self.later(Duration::from_secs(91), Happening::Sync(pod, self.object));
        }
    }

    /// The API server answers again: from now on each pod can give signs of life. A shorter outage is not noticed by each pod that waits.
    fn come_back(&mut self) {
        let now = self.now;
        if self.outage.take().is_some_and(|since| now - since > RENEWAL + REQUEST) {
            self.pods.iter_mut().filter(|pod| pod.alive && !pod.partitioned).for_each(|pod| pod.contact = now);
        }
    }

    fn person(&mut self, act: impl FnOnce(&mut GroupState)) {
        if let Some(shared) = self.lease.clone() {
            let mut state = shared.state;
            act(&mut state);
            state.serial += 1;
            self.store(state, shared.uid);
        }
    }

    /// The gate finishes what it does, and gives its place back.
    fn leave(&mut self, pod: usize) {
        let is_acting = matches!(self.pods[pod].stage, Stage::Acting(..));
        if is_acting || !self.others_stay(pod) || !self.pods[pod].alive {
            return;
        }
        (self.pods[pod].stage, self.pods[pod].leaves) = (Stage::Idle, true);
        self.begun.values_mut().for_each(|begun| begun.retain(|other| *other != pod));
        self.step(pod, RolloutInput::Leave);
        self.later(REQUEST, Happening::End(pod, self.pods[pod].life));
    }

    /// A pod besides this one is there, and does not end.
    fn others_stay(&self, pod: usize) -> bool {
        self.pods.iter().enumerate().any(|(other, this)| other != pod && this.alive && !this.leaves)
    }

    fn restart(&mut self, pod: usize) {
        let clock = self.clock(pod);
        let machine = self.machine(&self.pods[pod].name.clone(), clock);
        let latency = self.millis(500);
        let (now, this) = (self.now, &mut self.pods[pod]);
        this.rollout = machine;
        this.life += 1;
        this.leaves = false;
        (this.keeper, this.storing) = (Keeper::default(), None);
        (this.desired, this.rejected, this.permit, this.advice) = (None, false, None, None);
        (this.failed, this.retry, this.ends, this.watches) = (None, None, 0, true);
        // A new gate reads the volume at once, and does not know what runs.
        this.desired = Some(this.volume);
        this.stage = Stage::Validating(this.volume, now + latency);
        (this.running, this.good) = (None, None);
        self.step(pod, RolloutInput::Tick);
    }

    fn target(&mut self, pod: usize, is_there: bool) {
        let this = &mut self.pods[pod];
        if this.target == is_there {
            return;
        }
        this.target = is_there;
        if is_there {
            if let Stage::Stuck(content) = this.stage {
                this.stage = Stage::Validating(content, self.now);
            }
        } else if this.alive {
            // It gives way to another pod unless the group knows already that it soaks.
            self.begun.values_mut().for_each(|begun| begun.retain(|other| *other != pod));
            (this.running, this.ends, this.end_at) = (None, this.ends + 1, None);
            if this.stage == Stage::Idle
                && !this.rejected
                && let Some(content) = this.desired
            {
                this.stage = Stage::Stuck(content);
            }
        }
        self.look(pod);
    }

    fn rewatch(&mut self, pod: usize) {
        self.pods[pod].watches = true;
        if let Some(shared) = self.lease.clone() {
            let (life, after) = (self.pods[pod].life, self.millis(2_000));
            self.later(after, Happening::Answer(pod, life, Box::new(RolloutInput::Watched(shared))));
        }
    }

    pub(super) fn store(&mut self, state: GroupState, uid: String) {
        self.version += 1;
        if let Some(topic) = &state.topic {
            let runs = |pod: &SimulatedPod| pod.alive && pod.running.map(Content::digest) == Some(topic.digest);
            if self.epochs.insert(topic.digest, topic.epoch) != Some(topic.epoch) && self.pods.iter().any(runs) {
                // A pod that ran it before soaks from now on.
                self.verified.entry(topic.epoch).or_insert(self.now);
            }
            if matches!(topic.phase, Phase::Refused { .. }) {
                self.refused.entry(topic.epoch).or_insert(self.now);
            }
        }
        self.proven.extend(&state.proven);
        let shared = SharedState { state, version: self.version.to_string(), uid };
        self.old_states.push(shared.clone());
        self.lease = Some(shared.clone());
        for pod in 0..self.pods.len() {
            let (life, after) = (self.pods[pod].life, self.millis(800));
            if self.pods[pod].watches && self.reaches(pod) {
                self.later(after, Happening::Answer(pod, life, Box::new(RolloutInput::Watched(shared.clone()))));
            }
        }
    }

    pub(super) fn reaches(&self, pod: usize) -> bool {
        self.outage.is_none() && !self.pods[pod].partitioned
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        for step in 0.. {
            if step > MOST_STEPS {
                self.expect(false, "the cluster comes to rest");
                break;
            }
            let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
            let of_pods = (0..self.pods.len()).filter(|pod| self.pods[*pod].alive).filter_map(|pod| {
                let machine = self.pods[pod].rollout.deadline().map(|at| at + self.pods[pod].offset);
                [machine, self.gate_deadline(pod)].into_iter().flatten().min().map(|at| (at, pod))
            });
            let first = of_pods.min();
            let next = first.map(|(at, _)| at).into_iter().chain(queued).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            match first {
                Some((at, pod)) if queued.is_none_or(|queued| at <= queued) => {
                    self.run_gate(pod);
                    self.step(pod, RolloutInput::Tick);
                }
                _ => {
                    if let Some((_, happening)) = self.queue.pop_first() {
                        self.take(happening);
                    }
                }
            }
        }
        self.now = end;
    }

    fn take(&mut self, happening: Happening) {
        match happening {
            Happening::Sync(pod, content) => {
                self.pods[pod].volume = content;
                self.look(pod);
            }
            Happening::End(pod, life) => self.pods[pod].alive &= self.pods[pod].life != life,
            Happening::Update(pod, change, content) => {
                if self.pods[pod].change < change {
                    self.pods[pod].change = change;
                    self.take(Happening::Sync(pod, content));
                }
            }
            Happening::Answer(pod, life, input) => {
                if !self.pods[pod].alive
                    || self.pods[pod].life != life
                    || matches!(*input, RolloutInput::Watched(_)) && !self.reaches(pod)
                {
                    return;
                }
                self.step(pod, *input);
            }
            Happening::Start(pod) => self.start(pod),
            Happening::Store(pod, life, content) => self.store_known_good(pod, life, content),
            Happening::Request(pod, life, request, is_lost) => self.serve(pod, life, *request, is_lost),
        }
    }

    /// The API server takes a request. A read may be stale, and an answer may be lost after a write.
    fn serve(&mut self, pod: usize, life: u32, request: RolloutEffect, is_lost: bool) {
        let is_write = matches!(request, RolloutEffect::Write { .. });
        let unreachable = !self.reaches(pod) || (is_lost && self.roll(2) == 0);
        let stale = self.roll(12) == 0;
        let mut answer = match request {
            _ if unreachable => None,
            RolloutEffect::Write { state, version } => {
                let fits = self.lease.as_ref().map(|lease| lease.version.clone()) == version;
                if fits {
                    let uid = self.lease.as_ref().map_or_else(|| "uid".to_owned(), |lease| lease.uid.clone());
                    let slots: Vec<_> = state.slots.iter().map(|slot| slot.beat.pod.as_str()).collect();
                    let topic = state
                        .topic
                        .as_ref()
                        .map(|topic| (topic.epoch, topic.digest, topic.phase.as_str(), topic.lost, topic.pods.clone()));
                    let line = format!("web-{pod} writes {} {topic:?} slots {slots:?}", state.serial);
                    self.tell_story(line);
                    self.store(*state, uid);
                    self.pods[pod].contact = self.now;
                    Some(RolloutInput::Written(Ok(self.lease.clone().expect("it was just stored"))))
                } else {
                    Some(RolloutInput::Written(Err(WriteFailure::Conflict)))
                }
            }
            _ if stale && !self.old_states.is_empty() => {
                let back = usize::from(self.roll(4)).min(self.old_states.len() - 1);
                Some(RolloutInput::Read(Ok(self.old_states.get(self.old_states.len() - 1 - back).cloned())))
            }
            _ => Some(RolloutInput::Read(Ok(self.lease.clone()))),
        };
        if is_lost {
            answer = None;
        }
        let none = "no answer".to_owned();
        let failed = if is_write {
            RolloutInput::Written(Err(WriteFailure::Failed(none)))
        } else {
            RolloutInput::Read(Err(none))
        };
        let after = if answer.is_some() { self.millis(300) } else { REQUEST };
        self.later(after, Happening::Answer(pod, life, Box::new(answer.unwrap_or(failed))));
    }

    fn step(&mut self, pod: usize, input: RolloutInput) {
        if !self.pods[pod].alive {
            return;
        }
        let clock = self.clock(pod);
        let view = self.pods[pod].view();
        let mut effects = self.pods[pod].rollout.step(clock, input);
        effects.extend(self.pods[pod].rollout.step(clock, RolloutInput::View(view)));
        for effect in effects {
            match effect {
                RolloutEffect::Read | RolloutEffect::Write { .. } => {
                    let (life, after, is_lost) = (self.pods[pod].life, self.millis(200), self.roll(25) == 0);
                    self.later(after, Happening::Request(pod, life, Box::new(effect), is_lost));
                }
                RolloutEffect::Advise(advice) => self.advise(pod, advice),
                RolloutEffect::Lost(_) | RolloutEffect::Regained => {}
            }
        }
        self.keep(pod);
    }

    fn advise(&mut self, pod: usize, advice: Advice) {
        let line = format!("{} is advised {advice:?}", self.pods[pod].name);
        if !matches!(advice, Advice::Permit(..)) {
            self.tell_story(line);
        }
        let this = &mut self.pods[pod];
        match &advice {
            Advice::Permit(digest, until) => this.permit = Some((*digest, *until + this.offset)),
            Advice::Refuse(digest, _) => {
                this.permit = None;
                let asks_again = this.stage == Stage::Idle && this.running.map(Content::digest) != Some(*digest);
                if let Some(content) = this.desired.filter(|content| asks_again && content.digest() == *digest) {
                    (this.stage, this.retry) = (Stage::Asking(content), None);
                }
            }
            Advice::Hold(..) => {}
        }
        this.advice = Some(advice);
        self.look(pod);
    }

    /// Lets the gate act, and its roll-out see the outcome.
    pub(super) fn look(&mut self, pod: usize) {
        self.run_gate(pod);
        let view = self.pods[pod].view();
        self.step(pod, RolloutInput::View(view));
    }
}
