//! The loop of one gate: it performs the effects that the state machine requests and feeds back their outcomes. IO.

mod between;
mod decisions;
mod effects;
mod excerpts;
mod limits;
mod outcomes;
mod redaction;
mod rehearsal;
mod scans;
mod service;
mod signals;
mod single;
mod staging;
mod startup;
mod steps;
pub mod supervise;
mod target;

pub use effects::{validate, verification_at};
pub use single::{once, reload, without_promises};
pub use startup::{confined, unwatched};

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use reload_gate_contract::{Finding, Verdict};
use tokio::sync::watch as channel;
use tracing::{Instrument as _, debug_span};

use crate::config::GateConfig;
use crate::flow::process::TargetSearches;
use crate::flow::snapshot::{self, Snapshot};
use crate::flow::tree::Revision;
use crate::flow::verify::{Baseline, Loaded};
use crate::flow::watch::{Hint, Mode, WatchEvent};
use crate::gate::{self, Effect, Gate, Input, Loss};
use crate::report::board::{BoardView, StatusBoard};
use crate::report::{Event, Kind};
use crate::sys::proc::Identity;
use crate::sys::worker::Work;

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
    /// The last snapshot before the sources became unreadable.
    last_readable: Option<Snapshot>,
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
    /// The files that the target reads and the gate does not watch, as far as they were reported.
    unwatched: BTreeSet<PathBuf>,
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
    let gate = startup::watch_target(&config, gate);
    let between = BetweenPods::start(&config, &sink, &board);
    let mut runner = Runner { between, ..Runner::new(config, sink, board) };
    let gave_up = runner.drive(gate, requests).await;
    if let Some(between) = &mut runner.between {
        between.leave().await;
    }
    gave_up.then_some(Verdict::Rejected)
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
                    None => {
                        self.rehearse(&gate).await;
                        continue;
                    }
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

    /// Takes in an event of the watch; `None` if a change is expected.
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
                self.report_not_kept(inputs);
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

    /// Reports what could not be kept in the last step: the state machine takes no input after it.
    fn report_not_kept(&self, inputs: &mut VecDeque<Input>) {
        for input in inputs.drain(..) {
            if let Input::Kept { digest, result: Err(finding) } = input {
                (self.sink)(&gate::not_kept(digest, finding));
            }
        }
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
            Effect::ComparePublication => {
                *in_flight = in_span(self.compare_publication(), debug_span!("compare", gate));
            }
            Effect::Keep(digest) => {
                let span = debug_span!("keep", gate, digest = %digest.short());
                let result = staging::keep(&self.config).instrument(span).await;
                inputs.push_back(Input::Kept { digest, result });
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
                let is_other = |lost: &&Input| !matches!(lost, Input::TargetLost { loss: Loss::Renewed { .. }, .. });
                lost.iter().filter(is_other).for_each(|_| self.board.target_lost());
                inputs.extend(lost);
                self.count_lingering();
            }
            Effect::FindTarget => inputs.push_back(Input::TargetFound(self.target.find(&self.targets).await)),
            Effect::Finish => {}
        }
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
async fn advance<T>(in_flight: &mut Option<Pin<Box<impl Future<Output = T> + ?Sized>>>) -> Option<T> {
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
            last_readable: None,
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
            unwatched: BTreeSet::new(),
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

    /// Writes the state of the gate to its status board.
    fn show(&self, gate: &Gate) {
        self.board.show(BoardView {
            desired: gate.desired().map(Revision::digest),
            validated: gate.validated().map(Revision::digest),
            // Without a reload it is unknown what the application runs.
            running: gate.running().filter(|_| self.config.policy.reload).map(Revision::digest),
            ready: gate.is_ready(),
            live: gate.is_live(),
            incident: gate.incident().map(|incident| (incident.kind, incident.about)),
            mode: self.mode,
        });
    }
}
