//! The loop of one gate: it performs the effects that the state machine requests and feeds back their outcomes. IO.

mod excerpts;
mod redaction;
mod staging;
mod startup;
pub mod supervise;

pub use startup::confined;

use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reload_gate_contract::{Finding, Verdict};
use tokio::sync::watch as channel;
use tracing::{Instrument as _, debug_span};

use crate::config::GateConfig;
use crate::flow::process::TargetError;
use crate::flow::reload::Sent;
use crate::flow::snapshot::{self, Scanner, Snapshot};
use crate::flow::tree::{Digest, Revision, Tree};
use crate::flow::validate::Validation;
use crate::flow::verify::{Baseline, Proof};
use crate::flow::watch::{Coverage, Watch, WatchEvent};
use crate::gate::{Effect, Gate, Input};
use crate::report::board::{BoardView, StatusBoard};
use crate::report::metrics::ReloadOutcome;
use crate::report::{Event, Kind, headline};
use crate::sys::proc::Identity;

use excerpts::Contents;
use redaction::FormerSecrets;

/// A receiver of events.
pub type EventSink = Rc<dyn Fn(&Event)>;

/// An effect in flight, which ends in an input. It comes with the baseline that later effects need.
type InFlight = Pin<Box<dyn Future<Output = (Input, Option<Baseline>)>>>;

/// The number of scans in a row while each finds more directories to watch.
const SCANS: usize = 3;

/// The performer of one gate's effects.
struct Runner {
    config: Rc<GateConfig>,
    watch: Watch,
    scanner: Scanner,
    sink: EventSink,
    board: Rc<StatusBoard>,
    /// The last snapshot.
    snapshot: Option<Snapshot>,
    /// Secrets before they were rotated.
    former: FormerSecrets,
    contents: Contents,
    /// The state of the application just before the last reload.
    baseline: Option<Rc<Baseline>>,
    /// The process with a warning about its mounts.
    warned: Option<Identity>,
    /// A reload was requested and its outcome is not known yet.
    reload_requested: bool,
}

/// Runs one gate until `stop` is true, or until it gives up because nothing can be published; returns the verdict in that case.
/// `board` shows its state. `warnings` are about its configuration.
pub async fn run(
    config: Rc<GateConfig>,
    sink: EventSink,
    board: Rc<StatusBoard>,
    warnings: Vec<Finding>,
    mut stop: channel::Receiver<bool>,
) -> Option<Verdict> {
    for event in startup::at_start(&config, warnings) {
        sink(&event);
    }
    let mut gate = staging::resume(&config, Gate::new(config.policy.clone(), Instant::now()), &sink);
    let mut runner = Runner::new(config, sink, board);
    runner.show(&gate);
    let name = runner.config.name.clone();
    let name = name.as_str();
    let mut in_flight = None;
    let mut stopping = false;
    let mut inputs = VecDeque::from([Input::Tick]);
    loop {
        while let Some(input) = inputs.pop_front() {
            let effects = gate.step(Instant::now(), input);
            runner.contents.follow(&runner.config, &gate, runner.snapshot.as_ref());
            for effect in effects {
                match effect {
                    Effect::Report(event) => runner.report(event),
                    Effect::Finish => return (!stopping).then_some(Verdict::Rejected),
                    Effect::Scan => inputs.extend(debug_span!("scan", gate = name).in_scope(|| runner.scan())),
                    Effect::Validate(digest) => {
                        let span = debug_span!("validate", gate = name, digest = %digest.short());
                        in_flight = in_span(runner.validate(), span);
                    }
                    Effect::Publish(digest) => {
                        let span = debug_span!("publish", gate = name, digest = %digest.short());
                        in_flight = in_span(runner.publish(digest), span);
                    }
                    Effect::Keep(digest) => debug_span!("keep", gate = name, digest = %digest.short())
                        .in_scope(|| staging::keep(&runner.config, &runner.sink)),
                    Effect::Count(verdict) => runner.board.count_verdict(verdict),
                    Effect::Reload(digest) => {
                        let span = debug_span!("reload", gate = name, digest = %digest.short());
                        in_flight = in_span(runner.reload(), span);
                    }
                    Effect::Verify { late } => {
                        in_flight = in_span(runner.verify(late), debug_span!("verify", gate = name, late));
                    }
                }
            }
            runner.show(&gate);
        }
        let input = tokio::select! {
            // A finished effect comes first: only then may another one begin.
            biased;
            (input, baseline) = finish(&mut in_flight) => {
                in_flight = None;
                runner.keep(baseline);
                runner.count(&input);
                input
            }
            _ = stop.wait_for(|stop| *stop), if !stopping => {
                stopping = true;
                Input::Stop
            }
            event = runner.watch.event() => match event {
                WatchEvent::Hint(hint) => Input::WatchEvent(hint),
                WatchEvent::Overflowed => overflowed(),
            },
            () = until(gate.deadline()) => Input::Tick,
        };
        inputs.push_back(input);
    }
}

/// Validates what is there now, reports it and returns the verdict; `None` if there was nothing to validate.
pub async fn once(config: &GateConfig, sink: &EventSink, warnings: Vec<Finding>) -> Option<Verdict> {
    for event in startup::at_start(config, warnings) {
        sink(&event);
    }
    staging::repair(config, sink);
    let scan = snapshot::scan(&config.sources, &config.reading);
    let snapshot = match scan.result {
        Ok(snapshot) => snapshot,
        Err(error) => {
            let verdict = Verdict::of(&error.findings);
            let nothing = error.findings.iter().all(|finding| snapshot::is_nothing_there(finding.code));
            report(sink, verdict, Event { findings: error.findings, ..Event::new(Kind::Inconclusive) });
            return Some(verdict).filter(|_| !nothing);
        }
    };
    let event = Event::new(Kind::Inconclusive).about(snapshot.revision.digest());
    match validate(config, snapshot.tree.clone()).await {
        Ok(mut validation) => {
            if validation.verdict() == Verdict::Accepted
                && let Err(finding) = staging::publish(config, snapshot.clone(), snapshot.revision.digest()).await
            {
                validation.findings.push(finding);
            }
            let verdict = validation.verdict();
            let (duration, message) = (Some(validation.duration), validation.by);
            report(sink, verdict, Event { findings: validation.findings, duration, message, ..event });
            Some(verdict)
        }
        Err(target_error) => {
            let (message, help, pid) = target_error.into_parts();
            sink(&Event { pid, ..event.message(message).help(Some(help)) });
            Some(Verdict::Inconclusive)
        }
    }
}

/// Lays `tree` out and validates it there.
///
/// # Errors
/// When validation needs the target and it is missing or refused.
pub async fn validate(config: &GateConfig, tree: Arc<Tree>) -> Result<Validation, TargetError> {
    validate_after(config, tree, &FormerSecrets::default()).await
}

/// Validates `tree` as [`validate`] does, where there were Secrets before it.
async fn validate_after(
    config: &GateConfig,
    tree: Arc<Tree>,
    former: &FormerSecrets,
) -> Result<Validation, TargetError> {
    let count_verdict = match staging::lay_out(config, tree.clone()).await {
        Ok(path_map) => {
            let mut validated = config.plan.validate(&tree, &path_map, &config.selector).await;
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

fn report(sink: &EventSink, verdict: Verdict, event: Event) {
    let kind = match verdict {
        Verdict::Accepted => Kind::Accepted,
        Verdict::Inconclusive => Kind::Inconclusive,
        Verdict::Rejected => Kind::Rejected,
    };
    let headline = (verdict != Verdict::Accepted).then(|| headline(&event.findings)).flatten();
    let message = headline.or_else(|| event.message.clone());
    sink(&Event { kind, level: Event::new(kind).level, message, ..event });
}

/// Lets `effect` run in `span`, which gives its duration in the log (`--log-level debug`).
fn in_span(effect: Option<InFlight>, span: tracing::Span) -> Option<InFlight> {
    Some(Box::pin(effect?.instrument(span)))
}

/// Waits for the effect in flight; endless if there is none.
async fn finish(in_flight: &mut Option<InFlight>) -> (Input, Option<Baseline>) {
    match in_flight {
        Some(effect) => effect.await,
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
        let (watch, contents) = (Watch::new(), Contents::default());
        let scanner = Scanner::new(config.sources.clone(), config.reading.clone());
        Self {
            config,
            watch,
            scanner,
            sink,
            board,
            snapshot: None,
            former: FormerSecrets::default(),
            contents,
            baseline: None,
            warned: None,
            reload_requested: false,
        }
    }

    fn report(&self, event: Event) {
        (self.sink)(&self.contents.show(&self.config, event, self.snapshot.as_ref()));
    }

    /// Reads the sources, and watches every directory in which a later change would show.
    fn scan(&mut self) -> Vec<Input> {
        let mut inputs = Vec::new();
        let mut scan = self.scanner.scan();
        for _ in 1..SCANS {
            match self.watch.cover(std::mem::take(&mut scan.watch_points)) {
                Coverage::Unchanged => break,
                Coverage::Degraded(message) => inputs.push(Input::Degraded { message, polling: true }),
                Coverage::Restored => inputs.push(Input::WatchRestored),
                // What changed between the scan and the beginning of the watch was missed.
                Coverage::Extended => {}
            }
            scan = self.scanner.scan();
        }
        if let (Some(old), Ok(new)) = (&self.snapshot, &scan.result) {
            self.former.remember(&self.config, &old.tree, &new.tree);
        }
        self.snapshot = scan.result.as_ref().ok().cloned();
        inputs.push(Input::Scanned(scan.result));
        inputs
    }

    fn validate(&self) -> Option<InFlight> {
        let (config, snapshot, former) = (self.config.clone(), self.snapshot.clone()?, self.former.clone());
        Some(Box::pin(async move {
            let mut validated = validate_after(&config, snapshot.tree, &former).await;
            if let Ok(validation) = &mut validated {
                validation.findings.extend(snapshot.notes);
            }
            (Input::Validated(validated), None)
        }))
    }

    fn publish(&self, digest: Digest) -> Option<InFlight> {
        let (config, snapshot) = (self.config.clone(), self.snapshot.clone()?);
        Some(Box::pin(async move { (Input::Published(staging::publish(&config, snapshot, digest).await), None) }))
    }

    fn reload(&self) -> Option<InFlight> {
        let snapshot = self.snapshot.clone()?;
        let former = self.former.clone();
        let (config, delivered) = (self.config.clone(), staging::delivered(&self.config, &snapshot));
        Some(Box::pin(async move {
            let requested = config
                .reload
                .request_reload(&config.selector, delivered, &config.verification, config.plan.timeout)
                .await;
            match requested {
                Ok((sent, baseline)) => (Input::Reloaded(Ok(sent)), Some(baseline)),
                Err(target_error) => {
                    let target_error = redaction::of_target_error(&config, &snapshot.tree, &former, target_error).await;
                    (Input::Reloaded(Err(target_error)), None)
                }
            }
        }))
    }

    fn verify(&self, late: bool) -> Option<InFlight> {
        let (config, baseline, snapshot) = (self.config.clone(), self.baseline.clone(), self.snapshot.clone()?);
        let former = self.former.clone();
        let patience = if late { Duration::ZERO } else { config.verify_timeout };
        Some(Box::pin(async move {
            let proof = match baseline {
                Some(baseline) => config.verification.prove(&baseline, patience).await,
                None => Proof::NotAsked,
            };
            (Input::Verified(redaction::of_proof(&config, &snapshot.tree, &former, proof).await), None)
        }))
    }

    /// Writes the state of the gate to its status board.
    fn show(&self, gate: &Gate) {
        self.board.show(BoardView {
            desired: gate.desired().map(Revision::digest),
            validated: gate.validated().map(Revision::digest),
            running: gate.running().map(Revision::digest),
            ready: gate.is_ready(),
            incident: gate.incident().map(|incident| (incident.kind, incident.about)),
            mode: self.watch.mode(),
        });
    }

    /// Counts outcomes. Fewer are reported, since the same incident is reported once.
    fn count(&mut self, input: &Input) {
        match input {
            Input::Validated(Ok(validation)) => self.board.took(&validation.took),
            Input::Reloaded(Ok(Sent::Requested { .. })) => self.reload_requested = true,
            Input::Reloaded(Err(TargetError::Failed { .. })) => self.board.reloaded(ReloadOutcome::Failed),
            // A late verification is not another reload.
            Input::Verified(proof) if std::mem::take(&mut self.reload_requested) => self.board.reloaded(match proof {
                Proof::Proven { .. } => ReloadOutcome::Verified,
                Proof::NotAsked | Proof::Missing { .. } => ReloadOutcome::Unverified,
            }),
            _ => {}
        }
    }

    fn keep(&mut self, baseline: Option<Baseline>) {
        let Some(baseline) = baseline else { return };
        if let Some(target) = baseline.target().filter(|target| self.warned != Some(target.identity())) {
            self.warned = Some(target.identity());
            for event in startup::about_target(&self.config, target) {
                (self.sink)(&event);
            }
        }
        self.baseline = Some(Rc::new(baseline));
    }
}
