//! One gate and the other pods: the tasks of its roll-out and its nudge, and the known-good revision of the cluster.
//!
//! The tasks run beside the loop of the gate, and only exchange messages with it: a slow API server holds up nothing else.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use k8s_openapi::api::coordination::v1::Lease;
use reload_gate_contract::{Code, Finding, Verdict};
use tokio::sync::{mpsc, watch as channel};
use tokio::task::JoinHandle;

use super::{EventSink, InFlight, Outcome, Runner};
use crate::cluster::keeper::{Keeper, Keeping};
use crate::cluster::known_good::{self, StoreError};
use crate::cluster::nudge::{self, NudgeNews};
use crate::cluster::rollout::{
    Advice, Phase, PodFailure, PodView, Rollout, RolloutEffect, RolloutInput, RolloutSettings, Topic,
};
use crate::cluster::{ClusterConfig, ObjectKind, ObjectName, lease, rollout};
use crate::config::GateConfig;
use crate::flow::snapshot::Snapshot;
use crate::flow::tree::{Digest, Revision};
use crate::gate::{FallenBack, Gate, Input};
use crate::report::board::StatusBoard;
use crate::report::status::{MemberStatus, RolloutStatus};
use crate::report::{Event, Kind, Level};
use crate::sys::backoff::Backoff;
use crate::sys::kubernetes::{Connection, RequestError, WatchNews};
use crate::sys::worker::{self, WorkKind};

const KNOWN_GOOD: Code = Code::new("known-good");
/// The time in which a gate that ends gives its place in the group back.
const LEAVE: Duration = Duration::from_secs(2);
/// The pause before a watch that has ended begins again.
const PAUSE: Duration = Duration::from_millis(500);
const RETRY: Backoff = Backoff::SECONDS;

/// A task that ends with its owner.
struct OwnedTask(JoinHandle<()>);

impl Drop for OwnedTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn task(work: impl Future<Output = ()> + 'static) -> OwnedTask {
    OwnedTask(tokio::task::spawn_local(work))
}

/// The state of the group, for the gate: the newest revision if it is proven.
type Proven = Rc<RefCell<Option<Digest>>>;

/// The part of one gate that deals with other pods.
pub(super) struct BetweenPods {
    config: Rc<GateConfig>,
    cluster: ClusterConfig,
    connection: Rc<Connection>,
    sink: EventSink,
    /// Closed when the gate ends.
    views: Option<channel::Sender<PodView>>,
    /// The task of the roll-out.
    member: Option<OwnedTask>,
    advice: mpsc::UnboundedReceiver<Input>,
    proven: Proven,
    keeper: Keeper,
    /// The task that stores the known-good revision.
    storing: Option<OwnedTask>,
    _nudge: Option<OwnedTask>,
}

impl BetweenPods {
    /// Starts the tasks of a gate; `None` if its configuration has nothing about other pods.
    pub(super) fn start(config: &Rc<GateConfig>, sink: &EventSink, board: &Rc<StatusBoard>) -> Option<Self> {
        let cluster = config.cluster.clone()?;
        let connection = Rc::new(Connection::new(cluster.access.clone()));
        let (views, newest) = channel::channel(PodView::default());
        let (advise, advice) = mpsc::unbounded_channel();
        let proven = Proven::default();
        let nudge = cluster
            .source
            .clone()
            .filter(|_| cluster.nudge)
            .map(|source| task(nudge_kubelet(connection.clone(), source, cluster.pod.clone(), sink.clone())));
        let member = cluster.rollout.clone().filter(|_| config.policy.permission).map(|settings| {
            let member = Member {
                machine: Rollout::new(settings.clone(), Instant::now()),
                settings,
                connection: connection.clone(),
                sink: sink.clone(),
                board: board.clone(),
                advise,
                proven: proven.clone(),
            };
            task(member.run(newest))
        });
        Some(Self {
            config: config.clone(),
            cluster,
            connection,
            sink: sink.clone(),
            views: Some(views),
            member,
            advice,
            proven,
            keeper: Keeper::default(),
            storing: None,
            _nudge: nudge,
        })
    }

    /// Gives the place of this pod in its group back, since the gate ends. Without an answer the others wait for its lease.
    pub(super) async fn leave(&mut self) {
        self.views = None;
        if let Some(member) = &mut self.member {
            let _ = tokio::time::timeout(LEAVE, &mut member.0).await;
        }
    }

    /// Waits for the next advice of the group.
    pub(super) async fn advice(&mut self) -> Input {
        match self.advice.recv().await {
            Some(input) => input,
            None => std::future::pending().await,
        }
    }

    /// Shows the state of the gate to its group, and stores what is known to be good.
    pub(super) fn follow(&mut self, gate: &Gate, snapshot: Option<&Snapshot>, has_secrets: bool) {
        let view = view(gate);
        let Some(views) = &self.views else { return };
        views.send_if_modified(|known| {
            let is_same = known.running == view.running;
            let now = || view.running.map(|_| SystemTime::now());
            let running_since = if is_same { known.running_since } else { now() };
            let view = PodView { running_since, ..view };
            let is_new = *known != view;
            *known = view;
            is_new
        });
        let Some(object) = self.cluster.known_good.clone() else { return };
        let running = gate.running().map(Revision::digest);
        let snapshot = snapshot.filter(|snapshot| gate.is_live() && running == Some(snapshot.revision.digest()));
        let live = snapshot.map(|snapshot| snapshot.revision.digest());
        let proven = if self.cluster.rollout.is_some() { *self.proven.borrow() } else { running };
        match (self.keeper.decide(running, live, proven), snapshot) {
            (Keeping::Store(_), Some(snapshot)) => {
                let store = self.store(object, snapshot.clone(), has_secrets);
                self.storing = Some(task(store));
            }
            (Keeping::Store(_) | Keeping::Stop, _) => self.storing = None,
            (Keeping::Same, _) => {}
        }
    }

    /// Stores the revision of `snapshot`, with a backoff until it is stored.
    fn store(&self, object: ObjectName, snapshot: Snapshot, has_secrets: bool) -> impl Future<Output = ()> + use<> {
        let (connection, sink, pod) = (self.connection.clone(), self.sink.clone(), self.cluster.pod.clone());
        let is_config_map = self.cluster.source.as_ref().is_some_and(|source| source.kind == ObjectKind::ConfigMap);
        let would_leak = has_secrets && object.kind == ObjectKind::ConfigMap && !is_config_map;
        async move {
            if would_leak {
                let message = format!("{object} is not written: the configuration may come from a Secret");
                let help = "write `--known-good secret/NAME`, or `--cluster-source configmap/NAME` if it does not";
                return sink(&Event::new(Kind::WatchDegraded).message(message).help(Some(help.into())));
            }
            for failures in 0.. {
                match known_good::store(&connection, &object, &pod, &snapshot.tree).await {
                    Ok(_) => {
                        if failures > 0 {
                            sink(&regained("the known-good revision is stored"));
                        }
                        return;
                    }
                    Err(error) => {
                        if failures == 0 {
                            let message = format!("the known-good revision is not stored: {error}");
                            sink(&Event::new(Kind::WatchDegraded).message(message).help(Some(error.help())));
                        }
                        if matches!(error, StoreError::TooLarge(..)) {
                            return;
                        }
                        tokio::time::sleep(RETRY.wait(failures)).await;
                    }
                }
            }
        }
    }

    /// Publishes the known-good revision of the cluster, unless it is `refused`.
    pub(super) fn fall_back(&self, refused: Option<Digest>) -> Pin<Box<dyn Future<Output = Input>>> {
        let (config, connection) = (self.config.clone(), self.connection.clone());
        let object = self.cluster.known_good.clone();
        Box::pin(async move {
            match object {
                Some(object) => Input::FellBack(publish_known_good(&config, &connection, &object, refused).await),
                None => Input::FellBack(Ok(None)),
            }
        })
    }
}

impl Runner {
    /// Publishes the known-good revision of the cluster.
    pub(super) fn fall_back(&self, refused: Option<Digest>) -> Option<InFlight> {
        let fallen_back = self.between.as_ref().map(|between| between.fall_back(refused));
        Some(Box::pin(async move {
            let input = match fallen_back {
                Some(fallen_back) => fallen_back.await,
                None => Input::FellBack(Ok(None)),
            };
            Outcome::Done(input, None)
        }))
    }
}

/// The state of the gate, for its group.
fn view(gate: &Gate) -> PodView {
    let failed = gate.failure().map(|failure| PodFailure {
        digest: failure.digest,
        reason: failure.message.clone(),
        count: failure.count,
    });
    let desired = gate.desired().map(Revision::digest);
    let is_rejected =
        |incident: crate::gate::Incident| incident.kind == Kind::Rejected && Some(incident.about) == desired;
    let awaits = [Kind::TargetMissing, Kind::TargetRefused, Kind::Deferred, Kind::Inconclusive];
    let stuck = gate.incident().filter(|incident| awaits.contains(&incident.kind)).map(|incident| incident.about);
    PodView {
        desired,
        stuck,
        rejected: gate.incident().is_some_and(is_rejected),
        asks: gate.asks(),
        acting: gate.acting(),
        running: gate.running().map(Revision::digest),
        running_since: None,
        failed,
        ends: gate.ends(),
    }
}

fn regained(what: &str) -> Event {
    let event = Event::new(Kind::WatchDegraded).message(format!("the API server can be reached again: {what}"));
    Event { level: Level::Info, ..event }
}

/// Reads the known-good revision, validates it as every other, and publishes it.
async fn publish_known_good(
    config: &GateConfig,
    connection: &Connection,
    object: &ObjectName,
    refused: Option<Digest>,
) -> Result<Option<FallenBack>, Finding> {
    let found = |message: String, help: String| Finding::environment(KNOWN_GOOD, message).help(help);
    let read = known_good::read(connection, object, config.reading.limits).await;
    let stored = read.map_err(|error| found(error.to_string(), error.help()))?;
    let Some(stored) = stored.filter(|stored| refused != Some(stored.digest)) else { return Ok(None) };
    let tree = Arc::new(stored.tree);
    let validation = super::validate(config, tree.clone()).await;
    let validation = validation.map_err(|error| {
        let (message, help, _) = error.into_parts();
        found(message, help)
    })?;
    if validation.verdict() != Verdict::Accepted {
        let reason = crate::report::headline(&validation.findings).unwrap_or_default();
        let message = format!("{object} does not fit this pod ({}): {reason}", validation.verdict().as_str());
        return Err(found(message, "correct the configuration; what runs stays".into()));
    }
    super::staging::publish_tree(config, tree.clone()).await?;
    let revision = worker::run(WorkKind::Compute, Duration::MAX, move || Revision::of(&tree)).await;
    let revision = revision.map_err(|error| found(error.to_string(), "wait; the gate tries again".into()))?;
    Ok(Some(FallenBack { revision: Arc::new(revision), stored: stored.stored }))
}

/// Nudges the kubelet, and reports when that does not work.
async fn nudge_kubelet(connection: Rc<Connection>, source: ObjectName, pod: String, sink: EventSink) {
    let report = |news| match news {
        NudgeNews::Lost(error) => {
            let message = format!("the kubelet is not nudged, so a change may take up to two minutes: {error}");
            let help = match error {
                RequestError::Forbidden { .. } => "let a Role permit it; `reload-gate doctor` prints the rule",
                _ => "wait; the gate tries again by itself, and takes changes as without `--nudge` until then",
            };
            sink(&Event::new(Kind::WatchDegraded).message(message).help(Some(help.into())));
        }
        NudgeNews::Regained => sink(&regained("the kubelet is nudged")),
    };
    nudge::run(&connection, &source, &pod, report).await;
}

/// One pod's part in the roll-out.
struct Member {
    machine: Rollout,
    settings: RolloutSettings,
    connection: Rc<Connection>,
    sink: EventSink,
    board: Rc<StatusBoard>,
    advise: mpsc::UnboundedSender<Input>,
    proven: Proven,
}

type Request = Pin<Box<dyn Future<Output = RolloutInput>>>;

impl Member {
    async fn run(mut self, mut views: channel::Receiver<PodView>) {
        let (report, mut reports) = mpsc::unbounded_channel();
        let _watch = task(watch(self.connection.clone(), self.settings.group.clone(), report));
        let (mut in_flight, mut is_leaving): (Option<Request>, _) = (None, false);
        let mut input = RolloutInput::Tick;
        while !self.machine.has_left() {
            for effect in self.machine.step(Instant::now(), input) {
                self.perform(effect, &mut in_flight);
            }
            self.show();
            input = tokio::select! {
                biased;
                answer = finish(&mut in_flight) => {
                    in_flight = None;
                    answer
                }
                changed = views.changed(), if !is_leaving => {
                    is_leaving = changed.is_err();
                    if is_leaving { RolloutInput::Leave } else { RolloutInput::View(views.borrow_and_update().clone()) }
                }
                Some(report) = reports.recv() => report,
                () = super::until(self.machine.deadline()) => RolloutInput::Tick,
            };
        }
    }

    fn perform(&self, effect: RolloutEffect, in_flight: &mut Option<Request>) {
        let (connection, group) = (self.connection.clone(), self.settings.group.clone());
        match effect {
            RolloutEffect::Read => {
                *in_flight = Some(Box::pin(async move {
                    let read = lease::fetch(&connection, &group).await;
                    RolloutInput::Read(read.map_err(|error| error.to_string()))
                }));
            }
            RolloutEffect::Write { state, version } => {
                *in_flight = Some(Box::pin(async move {
                    RolloutInput::Written(lease::store(&connection, &group, &state, version).await)
                }));
            }
            // A gate that has ended needs no advice.
            RolloutEffect::Advise(advice) => drop(self.advise.send(self.input(advice))),
            RolloutEffect::Lost(reason) => (self.sink)(&self.lost(&reason)),
            RolloutEffect::Regained => (self.sink)(&regained("the roll-out goes on")),
        }
    }

    fn input(&self, advice: Advice) -> Input {
        match advice {
            Advice::Permit(digest, until) => Input::Permit { digest, until },
            Advice::Hold(digest, reason) => Input::Hold { digest, reason },
            Advice::Refuse(digest, reason) => {
                let topic = self.machine.group().and_then(|state| state.topic.as_ref());
                let phase = topic.map(|topic| &topic.phase);
                let own = matches!(phase, Some(Phase::Refused { by, .. }) if *by == self.settings.pod);
                Input::Refuse { digest, reason, own, group: self.settings.group.clone() }
            }
        }
    }

    fn lost(&self, reason: &str) -> Event {
        let does = if self.settings.proceed_alone { "goes on alone" } else { "waits with new revisions" };
        let message = format!("{reason}; this pod of group `{}` {does} until it can be asked", self.settings.group);
        let help = "see that the API server runs, that the token is valid, and that a Role permits the Lease: `reload-gate doctor` tries each";
        Event::new(Kind::WatchDegraded).message(message).help(Some(help.into()))
    }

    /// Shows the state of the group.
    fn show(&self) {
        let state = self.machine.group();
        let topic = state.and_then(|state| state.topic.as_ref());
        let proven = self.machine.proven();
        if self.proven.replace(proven) != proven {
            // The gate stores what its group has proven; nothing else may wake it for a while.
            drop(self.advise.send(Input::Tick));
        }
        let (by, reason) = match topic.map(|topic| &topic.phase) {
            Some(Phase::Refused { by, reason }) => (Some(by.clone()), Some(reason.clone())),
            _ => (None, None),
        };
        self.board.show_rollout(RolloutStatus {
            group: self.settings.group.clone(),
            phase: topic.map_or("idle", |topic| topic.phase.as_str()).to_owned(),
            digest: topic.map(|topic| topic.digest.to_string()),
            paused: state.is_some_and(|state| state.paused),
            leader: topic.and_then(|topic| topic.holder.as_ref()).map(|holder| holder.pod.clone()),
            pods: topic.map_or(0, |topic| topic.pods.len()),
            verified: topic.map_or(0, Topic::verified),
            unproven: state.map_or(0, |state| state.slots.len()),
            refused_by: by,
            reason,
            lost: self.machine.loss().map(str::to_owned),
            members: topic.map_or_else(Vec::new, members),
        });
    }
}

/// The pods that take part in a roll-out.
fn members(topic: &Topic) -> Vec<MemberStatus> {
    let member = |(pod, verified): (&String, &bool)| MemberStatus {
        pod: pod.clone(),
        verified: *verified,
        since: topic.since(pod).map(|since| humantime::format_rfc3339_seconds(since).to_string()),
    };
    topic.pods.iter().map(member).collect()
}

async fn finish(in_flight: &mut Option<Request>) -> RolloutInput {
    match in_flight {
        Some(request) => request.await,
        None => std::future::pending().await,
    }
}

/// Watches the Lease of a group, again and again.
async fn watch(connection: Rc<Connection>, group: String, report: mpsc::UnboundedSender<RolloutInput>) {
    let mut failures = 0;
    loop {
        match watch_once(&connection, &group, &report, &mut failures).await {
            Ok(()) => tokio::time::sleep(PAUSE).await,
            Err(error) => {
                connection.failed(&error);
                // What was missed is read.
                let input = if matches!(error, RequestError::Gone(_)) {
                    RolloutInput::Vanished
                } else {
                    RolloutInput::WatchFailed(error.to_string())
                };
                if report.send(input).is_err() {
                    return;
                }
                tokio::time::sleep(rollout::RETRY.wait(failures)).await;
                failures = failures.saturating_add(1);
            }
        }
    }
}

async fn watch_once(
    connection: &Connection,
    group: &str,
    report: &mpsc::UnboundedSender<RolloutInput>,
    failures: &mut u32,
) -> Result<(), RequestError> {
    let mut watch = connection.server().await?.watch::<Lease>(group).await?;
    *failures = 0;
    while let Some(news) = watch.next().await? {
        let input = match news {
            WatchNews::There(lease) => RolloutInput::Watched(lease::read(&lease)),
            WatchNews::Gone => RolloutInput::Vanished,
        };
        if report.send(input).is_err() {
            break;
        }
    }
    Ok(())
}
