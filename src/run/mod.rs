//! The loop of one gate: it performs the effects that the state machine requests and feeds back their outcomes. IO.

mod between;
mod decisions;
mod excerpts;
mod redaction;
mod scans;
mod service;
mod signals;
mod single;
mod staging;
mod startup;
mod steps;
pub mod supervise;
mod target;

pub use single::{once, reload, without_promises};
pub use startup::confined;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use reload_gate_contract::{Finding, Verdict};
use tokio::sync::watch as channel;
use tracing::{Instrument as _, debug_span};

use crate::config::GateConfig;
use crate::flow::process::{Target, TargetError, TargetSearches};
use crate::flow::reload::{Circumstances, ReloadMethod, Sent};
use crate::flow::snapshot::{self, Snapshot, SnapshotError};
use crate::flow::tree::{Digest, Revision, Tree};
use crate::flow::validate::Validation;
use crate::flow::verify::{Baseline, Loaded, NOT_CONFIGURED, Patience, Proof, Verification};
use crate::flow::watch::{Hint, Mode, WatchEvent};
use crate::gate::{Effect, Extent, Gate, Input, Loss, ReloadRequest};
use crate::report::board::{BoardView, StatusBoard};
use crate::report::metrics::ReloadOutcome;
use crate::report::{Event, Kind};
use crate::sys::exec;
use crate::sys::proc::{self, Identity};
use crate::sys::worker::{self, Work, WorkKind};

use between::BetweenPods;
use excerpts::Contents;
use redaction::FormerSecrets;
use scans::{ScanOutcome, Sources};
use target::TargetWatch;

/// A receiver of events.
pub type EventSink = Rc<dyn Fn(&Event)>;

/// An effect in flight.
type InFlight = Pin<Box<dyn Future<Output = Outcome>>>;

/// The outcome of an effect.
enum Outcome {
    /// The sources come back from a scan.
    Scanned(Sources, Result<ScanOutcome, Finding>),
    /// An input, with the baseline that later effects need.
    Done(Input, Option<Baseline>),
}

/// The performer of one gate's effects.
struct Runner {
    config: Rc<GateConfig>,
    /// Absent during a scan.
    sources: Option<Sources>,
    mode: Mode,
    sink: EventSink,
    board: Rc<StatusBoard>,
    /// The last snapshot.
    snapshot: Option<Snapshot>,
    /// The files of it that may be those of Secrets.
    secret: Vec<PathBuf>,
    /// Secrets before they were rotated.
    former: FormerSecrets,
    contents: Contents,
    /// The state of the application just before the last reload.
    baseline: Option<Rc<Baseline>>,
    target: TargetWatch,
    targets: TargetSearches,
    /// A volume's next generation is being written, and the target was sought for it.
    is_expecting: bool,
    /// The process that was reloaded last, and the content that it has had since its start.
    loaded: Option<(Identity, Loaded)>,
    /// The time of the last reload that was verified.
    verified_reload: Option<Instant>,
    /// A reload was requested and its outcome is not known yet.
    reload_requested: bool,
    /// The verdict that was reported last, and whether there was nothing to validate.
    verdict: Option<(Verdict, bool)>,
    /// The last verification found that the reload did not take effect, rather than no proof of it.
    refused: bool,
    /// The other pods, if the gate has to do with them.
    between: Option<BetweenPods>,
    /// The start of a process that waits for the next command.
    readying: Option<Work<()>>,
}

/// Requests of the process to its gates.
#[derive(Clone, Debug)]
pub struct Requests {
    /// True when they have to end.
    pub stop: channel::Receiver<bool>,
    /// Changes when they have to scan again.
    pub rescan: channel::Receiver<u32>,
}

impl Requests {
    /// Waits for the next request of a scan.
    async fn rescan(&mut self) {
        if self.rescan.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Runs one gate until `requests` end it, or until it gives up because nothing can be published; returns the verdict in that case.
/// `board` shows its state. `warnings` are about its configuration.
pub async fn run(
    config: Rc<GateConfig>,
    sink: EventSink,
    board: Rc<StatusBoard>,
    warnings: Vec<Finding>,
    requests: Requests,
) -> Option<Verdict> {
    for event in startup::at_start(&config, warnings) {
        sink(&event);
    }
    let gate = staging::resume(&config, Gate::new(config.policy.clone(), Instant::now()), &sink).await;
    let between = BetweenPods::start(&config, &sink, &board);
    let mut runner = Runner { between, ..Runner::new(config, sink, board) };
    runner.drive(gate, requests).await.then_some(Verdict::Rejected)
}

impl Runner {
    /// Runs `gate` to its end; returns `true` if it was not stopped.
    async fn drive(&mut self, mut gate: Gate, requests: Requests) -> bool {
        let (mut stop, mut requests) = (requests.stop.clone(), requests);
        self.show(&gate);
        let mut in_flight = None;
        let mut stopping = false;
        let mut inputs = VecDeque::from([Input::Tick]);
        loop {
            while let Some(input) = inputs.pop_front() {
                let cause = decisions::input(&input);
                let effects = gate.step(Instant::now(), input);
                decisions::log(&self.config.name, cause, &gate, &effects);
                self.contents.follow(&self.config, &gate, self.snapshot.as_ref());
                if self.perform_all(effects, &mut in_flight, &mut inputs).await {
                    return !stopping;
                }
                self.follow(&gate);
            }
            if in_flight.is_none() {
                self.ready_for_command();
            }
            let input = tokio::select! {
                // A finished effect comes first: only then may another one begin.
                biased;
                outcome = finish(&mut in_flight) => {
                    in_flight = None;
                    inputs.extend(self.take_in(outcome));
                    continue;
                }
                _ = stop.wait_for(|stop| *stop), if !stopping => {
                    stopping = true;
                    Input::Stop
                }
                pid = self.target.ended() => {
                    self.target.forget();
                    self.targets.forget();
                    self.board.target_lost();
                    Input::TargetLost { pid, loss: Loss::Ended }
                }
                event = event(self.sources.as_ref()) => match self.noticed(event) {
                    Some(input) => input,
                    None => continue,
                },
                () = until(self.targets.confirmation()) => {
                    self.targets.confirm();
                    continue;
                }
                () = requests.rescan() => Input::Rescan,
                advice = advice(&mut self.between) => advice,
                () = until(gate.deadline()) => Input::Tick,
            };
            inputs.push_back(input);
        }
    }

    /// Shows the state of the gate after a step, to people and to the other pods.
    fn follow(&mut self, gate: &Gate) {
        self.show(gate);
        if let Some(between) = &mut self.between {
            between.follow(gate, self.snapshot.as_ref(), !self.secret.is_empty());
        }
    }

    /// Takes in an event of the watch; `None` if the gate has nothing to do about it yet.
    fn noticed(&mut self, event: WatchEvent) -> Option<Input> {
        match event {
            WatchEvent::Hint(hint) => {
                self.notice(hint);
                Some(Input::WatchEvent(hint))
            }
            WatchEvent::Overflowed => Some(overflowed()),
            WatchEvent::Expected => {
                self.is_expecting = true;
                self.targets.notice();
                self.expect_reload(TargetSearches::expect);
                None
            }
        }
    }

    /// Performs the effects of one step, a reload before all others; returns `true` if the gate ends.
    async fn perform_all(
        &mut self,
        effects: Vec<Effect>,
        in_flight: &mut Option<InFlight>,
        inputs: &mut VecDeque<Input>,
    ) -> bool {
        let mut early = None;
        for effect in reload_first(effects) {
            if matches!(effect, Effect::Finish) {
                return true;
            }
            let is_reload = matches!(effect, Effect::Reload(_));
            self.perform(effect, in_flight, inputs).await;
            if is_reload {
                early = advance(in_flight).await;
            }
        }
        if let Some(outcome) = early {
            *in_flight = None;
            inputs.extend(self.take_in(outcome));
        }
        false
    }

    /// Performs one effect; what takes time becomes `in_flight`, and the outcome of the rest an input.
    async fn perform(&mut self, effect: Effect, in_flight: &mut Option<InFlight>, inputs: &mut VecDeque<Input>) {
        let name = self.config.name.clone();
        let gate = name.as_str();
        match effect {
            Effect::Report(event) => self.report(event).await,
            Effect::Scan(extent) => *in_flight = in_span(self.scan(extent), debug_span!("scan", gate)),
            Effect::Validate(digest) => {
                *in_flight = in_span(self.validate(), debug_span!("validate", gate, digest = %digest.short()));
            }
            Effect::Publish(digest) => {
                *in_flight = in_span(self.publish(digest), debug_span!("publish", gate, digest = %digest.short()));
            }
            Effect::Keep(digest) => {
                let span = debug_span!("keep", gate, digest = %digest.short());
                staging::keep(&self.config, &self.sink).instrument(span).await;
            }
            Effect::Count(verdict) => self.board.count_verdict(verdict),
            Effect::Reload(request) => {
                let span = debug_span!("reload", gate, digest = %request.digest.short());
                *in_flight = in_span(self.reload(request), span);
            }
            Effect::Verify { late } => *in_flight = in_span(self.verify(late), debug_span!("verify", gate, late)),
            Effect::FallBack { refused } => {
                let span = debug_span!("fall_back", gate);
                *in_flight = in_span(self.fall_back(refused), span);
            }
            Effect::Abandon => *in_flight = None,
            Effect::CheckTarget => {
                let lost = self.target.check(&self.targets).await;
                let is_other = |lost: &&Input| !matches!(lost, Input::TargetLost { loss: Loss::Renewed, .. });
                lost.iter().filter(is_other).for_each(|_| self.board.target_lost());
                inputs.extend(lost);
                self.count_lingering();
            }
            Effect::FindTarget => inputs.push_back(Input::TargetFound(self.target.find(&self.targets).await)),
            Effect::Finish => {}
        }
    }
}

/// Lays `tree` out and validates it there.
///
/// # Errors
/// When validation needs the target and it is missing or refused.
pub async fn validate(config: &GateConfig, tree: Arc<Tree>) -> Result<Validation, TargetError> {
    let targets = TargetSearches::new(config.selector.clone());
    validate_after(config, tree, &targets, &FormerSecrets::default()).await
}

/// Validates `tree` as [`validate`] does, where there were Secrets before it.
async fn validate_after(
    config: &GateConfig,
    tree: Arc<Tree>,
    targets: &TargetSearches,
    former: &FormerSecrets,
) -> Result<Validation, TargetError> {
    let count_verdict = match staging::lay_out(config, tree.clone()).await {
        Ok(path_map) => {
            let mut validated = config.plan.validate(&tree, &path_map, targets).await;
            if let Ok(validation) = &mut validated {
                staging::at_sources(config, &path_map, &tree, &mut validation.findings);
            }
            validated
        }
        Err(finding) => Ok(Validation { findings: vec![finding], ..Validation::default() }),
    };
    match count_verdict {
        Ok(validation) => Ok(redaction::of_validation(config, &tree, former, validation).await),
        Err(target_error) => Err(redaction::of_target_error(config, &tree, former, target_error).await),
    }
}

/// Lets `effect` run in `span`, which gives its duration in the log (`--log-level debug`).
fn in_span(effect: Option<InFlight>, span: tracing::Span) -> Option<InFlight> {
    Some(Box::pin(effect?.instrument(span)))
}

/// Puts a reload before the reports of the same step: writing them takes time.
fn reload_first(effects: Vec<Effect>) -> impl Iterator<Item = Effect> {
    let (reload, others): (Vec<_>, Vec<_>) =
        effects.into_iter().partition(|effect| matches!(effect, Effect::Reload(_)));
    reload.into_iter().chain(others)
}

/// Lets the effect in flight go as far as it can without waiting.
async fn advance(in_flight: &mut Option<InFlight>) -> Option<Outcome> {
    let effect = in_flight.as_mut()?;
    std::future::poll_fn(|context| match effect.as_mut().poll(context) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Waits for the effect in flight; endless if there is none.
async fn finish(in_flight: &mut Option<InFlight>) -> Outcome {
    match in_flight {
        Some(effect) => effect.await,
        None => std::future::pending().await,
    }
}

/// Waits for a change under the sources; endless during a scan.
async fn event(sources: Option<&Sources>) -> WatchEvent {
    match sources {
        Some(sources) => sources.event().await,
        None => std::future::pending().await,
    }
}

/// Waits for an advice of the group; endless if the gate has none.
async fn advice(between: &mut Option<BetweenPods>) -> Input {
    match between {
        Some(between) => between.advice().await,
        None => std::future::pending().await,
    }
}

/// Waits until `deadline`; endless if there is none.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

fn overflowed() -> Input {
    let message = "so much changed that the kernel dropped events; everything is scanned again".into();
    Input::Degraded { message, polling: false }
}

impl Runner {
    fn new(config: Rc<GateConfig>, sink: EventSink, board: Rc<StatusBoard>) -> Self {
        Self {
            sources: Some(Sources::new(&config)),
            targets: TargetSearches::new(config.selector.clone()),
            is_expecting: false,
            config,
            mode: Mode::Inotify,
            sink,
            board,
            snapshot: None,
            secret: Vec::new(),
            former: FormerSecrets::default(),
            contents: Contents::default(),
            baseline: None,
            target: TargetWatch::default(),
            loaded: None,
            verified_reload: None,
            reload_requested: false,
            verdict: None,
            refused: false,
            between: None,
            readying: None,
        }
    }

    async fn report(&mut self, event: Event) {
        let is_nothing = |event: &Event| {
            !event.findings.is_empty() && event.findings.iter().all(|finding| snapshot::is_nothing_there(finding.code))
        };
        self.verdict = match event.kind {
            Kind::Accepted => Some((Verdict::Accepted, false)),
            Kind::Rejected => Some((Verdict::Rejected, is_nothing(&event))),
            Kind::Inconclusive => Some((Verdict::Inconclusive, is_nothing(&event))),
            Kind::TargetMissing | Kind::TargetRefused => Some((Verdict::Inconclusive, false)),
            _ => self.verdict,
        };
        (self.sink)(&self.contents.show(&self.config, event, self.snapshot.as_ref()).await);
    }

    /// Notes a change, unless it was expected.
    fn notice(&mut self, hint: Hint) {
        if hint == Hint::Touch || (hint == Hint::Commit && !std::mem::take(&mut self.is_expecting)) {
            self.targets.notice();
        }
    }

    /// Makes sure that the next command need not wait for the start of the process in which it runs.
    fn ready_for_command(&mut self) {
        let is_starting = self.readying.as_mut().is_some_and(|work| work.ended().is_none());
        if self.config.plan.asks_programs() && !is_starting && !exec::is_ready() {
            self.readying = Some(worker::begin(WorkKind::Files, exec::prepare));
        }
    }

    /// Begins the search for the target in one of the ways, if a reload will need it.
    fn expect_reload(&self, search: fn(&TargetSearches)) {
        if self.config.policy.reload && !matches!(self.config.reload, ReloadMethod::Nothing) {
            search(&self.targets);
        }
    }

    /// Reads the sources.
    fn scan(&mut self, extent: Extent) -> Option<InFlight> {
        let (mut sources, limit) = (self.sources.take()?, self.config.plan.timeout);
        // A small new generation was written a moment ago, so nothing has to be waited for.
        let newest = if extent == Extent::Newest { sources.newest() } else { None };
        Some(Box::pin(async move {
            let (sources, result) = match newest {
                Some(outcome) => (sources, Ok(outcome)),
                None => sources.scan(extent, limit).await,
            };
            Outcome::Scanned(sources, result)
        }))
    }

    /// Takes in the outcome of a scan.
    fn scanned(&mut self, result: Result<ScanOutcome, Finding>) -> Vec<Input> {
        let (mut inputs, result, secret) = match result {
            Ok(outcome) => {
                self.mode = outcome.mode;
                (outcome.inputs, outcome.result, outcome.secret)
            }
            Err(finding) => {
                let error =
                    SnapshotError { findings: vec![finding], settled: true, patience: Duration::ZERO, short: true };
                (Vec::new(), Err(error), Vec::new())
            }
        };
        if let (Some(old), Ok(new)) = (&self.snapshot, &result) {
            self.former.remember(&self.secret, &old.tree, &new.tree);
        }
        self.secret = secret;
        self.snapshot = result.as_ref().ok().cloned();
        inputs.push(Input::Scanned(result));
        inputs
    }

    fn validate(&self) -> Option<InFlight> {
        let (config, snapshot, former) = (self.config.clone(), self.snapshot.clone()?, self.former.clone());
        let targets = self.targets.clone();
        if config.plan.asks_programs() {
            self.expect_reload(TargetSearches::expect_after_command);
        } else if !config.plan.validators.is_empty() {
            self.expect_reload(TargetSearches::expect);
        }
        Some(Box::pin(async move {
            let mut validated = validate_after(&config, snapshot.tree, &targets, &former).await;
            if let Ok(validation) = &mut validated {
                validation.findings.extend(snapshot.notes);
            }
            Outcome::Done(Input::Validated(validated), None)
        }))
    }

    fn publish(&self, digest: Digest) -> Option<InFlight> {
        let (config, snapshot) = (self.config.clone(), self.snapshot.clone()?);
        Some(Box::pin(async move {
            Outcome::Done(Input::Published(staging::publish(&config, snapshot, digest).await), None)
        }))
    }

    fn reload(&self, request: ReloadRequest) -> Option<InFlight> {
        let (snapshot, config, former) = (self.snapshot.clone()?, self.config.clone(), self.former.clone());
        let counts_workers = matches!(config.verification, Verification::Workers) && request.limit_lingering;
        let circumstances = Circumstances {
            since: request.since,
            max_lingering: config.max_lingering.filter(|_| counts_workers),
            last_reload: self.verified_reload,
            timeout: config.plan.timeout,
        };
        let targets = self.targets.clone();
        Some(Box::pin(async move {
            let requested = config.reload.request_reload(&targets, &config.verification, circumstances).await;
            match requested {
                Ok((sent, baseline)) => Outcome::Done(Input::Reloaded(Ok(sent)), Some(baseline)),
                Err(target_error) => {
                    let target_error = redaction::of_target_error(&config, &snapshot.tree, &former, target_error).await;
                    Outcome::Done(Input::Reloaded(Err(target_error)), None)
                }
            }
        }))
    }

    fn verify(&self, late: bool) -> Option<InFlight> {
        let (config, baseline, snapshot) = (self.config.clone(), self.baseline.clone(), self.snapshot.clone()?);
        let former = self.former.clone();
        let patience = if late { Patience::Late } else { Patience::Limited(config.verify_timeout) };
        let main = config.plan.main.find(&snapshot.tree).ok();
        let loaded = self.loaded.as_ref().map(|(_, loaded)| loaded.clone());
        let limit = loaded.and_then(|loaded| loaded.limit(&snapshot.revision, &snapshot.tree, main.as_deref()));
        Some(Box::pin(async move {
            let (proof, successor) = match baseline {
                Some(baseline) => config.verification.prove(&baseline, &config.selector, patience).await,
                None => (Proof::NotAsked { message: NOT_CONFIGURED.into() }, None),
            };
            let proof = match (proof, limit) {
                (Proof::Proven { .. } | Proof::NotAsked { .. }, Some(limit)) if successor.is_none() => limit,
                (proof, _) => proof,
            };
            let proof = redaction::of_proof(&config, &snapshot.tree, &former, proof).await;
            Outcome::Done(Input::Verified(proof), successor)
        }))
    }

    /// Writes the state of the gate to its status board.
    fn show(&self, gate: &Gate) {
        self.board.show(BoardView {
            desired: gate.desired().map(Revision::digest),
            validated: gate.validated().map(Revision::digest),
            running: gate.running().map(Revision::digest),
            ready: gate.is_ready(),
            live: gate.is_live(),
            incident: gate.incident().map(|incident| (incident.kind, incident.about)),
            mode: self.mode,
        });
    }

    /// Takes in the outcome of an effect, and returns the inputs that follow from it.
    fn take_in(&mut self, outcome: Outcome) -> Vec<Input> {
        match outcome {
            Outcome::Scanned(sources, result) => {
                self.sources = Some(sources);
                self.scanned(result)
            }
            Outcome::Done(input, baseline) => {
                self.keep(baseline);
                self.count(&input);
                vec![input]
            }
        }
    }

    /// Counts the outcome of an effect. More is counted than reported, since the same incident is reported once.
    fn count(&mut self, input: &Input) {
        match input {
            Input::Validated(Ok(validation)) => self.board.took(&validation.took),
            Input::Reloaded(Ok(Sent::Requested { .. })) => self.reload_requested = true,
            Input::Reloaded(Err(TargetError::Failed { .. })) => self.board.reloaded(ReloadOutcome::Failed),
            Input::Verified(proof) => {
                let is_direct = self.config.publication.is_none();
                let proven = matches!(proof, Proof::Proven { .. });
                // Workers of a reload that is not proven may still come.
                self.target.settle(is_direct && proven && matches!(self.config.verification, Verification::Workers));
                self.refused = matches!(proof, Proof::Missing { refused: true, .. } | Proof::Ineffective { .. });
                if proven {
                    self.verified_reload = self.baseline.as_ref().map(|baseline| baseline.at());
                }
                self.count_lingering();
                // A late verification is not another reload.
                if std::mem::take(&mut self.reload_requested) {
                    self.board.reloaded(if proven { ReloadOutcome::Verified } else { ReloadOutcome::Unverified });
                }
            }
            _ => {}
        }
    }

    /// Shows the number of old workers, where new ones are the proof.
    fn count_lingering(&self) {
        if matches!(self.config.verification, Verification::Workers) {
            let target = self.baseline.as_ref().and_then(|baseline| baseline.target());
            let target = target.filter(|target| target.identity().is_alive());
            self.board.lingering(target.map_or(0, |target| target.lingering(self.verified_reload)));
        }
    }

    /// Keeps the baseline of a reload, and watches its process.
    fn keep(&mut self, baseline: Option<Baseline>) {
        let Some(baseline) = baseline else { return };
        if let Some(target) = baseline.target() {
            self.target.follow(target);
            self.remember(target);
        }
        self.baseline = Some(Rc::new(baseline));
    }

    /// Records a process that was not reloaded before.
    fn remember(&mut self, target: &Target) {
        let identity = target.identity();
        if self.loaded.as_ref().is_some_and(|(known, _)| *known == identity) {
            return;
        }
        for event in startup::about_target(&self.config, target) {
            (self.sink)(&event);
        }
        let Some(snapshot) = &self.snapshot else { return };
        let loaded = Loaded::new(snapshot.revision.clone(), proc::cmdline(identity.pid));
        self.loaded = Some((identity, loaded));
    }
}
