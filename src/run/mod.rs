//! The hands: the one loop, which performs the gate's effects and feeds back what came of them. IO.

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

use crate::config::GateConfig;
use crate::flow::process::Hindrance;
use crate::flow::reload::Sent;
use crate::flow::snapshot::{self, Seen};
use crate::flow::tree::{Digest, Manifest, Tree};
use crate::flow::validate::Judgement;
use crate::flow::verify::{Baseline, Proof};
use crate::flow::watch::{Coverage, Stirred, Watch};
use crate::gate::{Effect, Gate, Input};
use crate::report::board::{Board, View};
use crate::report::metrics::Outcome;
use crate::report::{Event, Kind, headline};
use crate::sys::proc::Identity;

use excerpts::Contents;

/// Where events go.
pub type Sink = Rc<dyn Fn(&Event)>;

/// An effect that is under way, and will end in an input. What the hands keep for later effects comes with it.
type InFlight = Pin<Box<dyn Future<Output = (Input, Option<Baseline>)>>>;

/// How often a look is taken again at once because it found more to watch.
const LOOKS: usize = 3;

/// The hands of one gate.
struct Hands {
    config: Rc<GateConfig>,
    watch: Watch,
    sink: Sink,
    board: Rc<Board>,
    /// What was last looked at.
    seen: Option<Seen>,
    contents: Contents,
    /// What the application was like when it was last told.
    baseline: Option<Rc<Baseline>>,
    /// The process about whose mounts was warned.
    warned: Option<Identity>,
    /// Whether the application was told of something, and it is not known yet what came of it.
    told: bool,
}

/// Runs one gate until `stop` is true, or until it gives up since it has nothing to publish, and says what it ended with.
/// What it has in mind is shown on `board`.
/// `warnings` are about the configuration it was given.
pub async fn run(
    config: Rc<GateConfig>,
    sink: Sink,
    board: Rc<Board>,
    warnings: Vec<Finding>,
    mut stop: channel::Receiver<bool>,
) -> Option<Verdict> {
    for event in startup::at_start(&config, warnings) {
        sink(&event);
    }
    let mut gate = staging::resume(&config, Gate::new(config.policy.clone(), Instant::now()), &sink);
    let mut hands = Hands::new(config, sink, board);
    hands.show(&gate);
    let mut in_flight = None;
    let mut stopping = false;
    let mut inputs = VecDeque::from([Input::Tick]);
    loop {
        while let Some(input) = inputs.pop_front() {
            let effects = gate.step(Instant::now(), input);
            hands.contents.follow(&hands.config, &gate, hands.seen.as_ref());
            for effect in effects {
                match effect {
                    Effect::Report(event) => hands.report(event),
                    Effect::Finish => return (!stopping).then_some(Verdict::Rejected),
                    Effect::Look => inputs.extend(hands.look()),
                    Effect::Judge(_) => in_flight = hands.judge(),
                    Effect::Publish(digest) => in_flight = hands.publish(digest),
                    Effect::Keep(_) => staging::keep(&hands.config, &hands.sink),
                    Effect::Count(verdict) => hands.board.judged(verdict),
                    Effect::Reload(_) => in_flight = hands.reload(),
                    Effect::Verify { late } => in_flight = hands.verify(late),
                }
            }
            hands.show(&gate);
        }
        let input = tokio::select! {
            // What is done comes first: only then may anything else begin.
            biased;
            (input, baseline) = finish(&mut in_flight) => {
                in_flight = None;
                hands.keep(baseline);
                hands.count(&input);
                input
            }
            _ = stop.wait_for(|stop| *stop), if !stopping => {
                stopping = true;
                Input::Stop
            }
            stirred = hands.watch.stirred() => match stirred {
                Stirred::Hint(hint) => Input::Stirred(hint),
                Stirred::Overflowed => overflowed(),
            },
            () = until(gate.deadline()) => Input::Tick,
        };
        inputs.push_back(input);
    }
}

/// Judges what is there now, reports it and says what the verdict is; `None` if there was nothing to judge.
pub async fn once(config: &GateConfig, sink: &Sink, warnings: Vec<Finding>) -> Option<Verdict> {
    for event in startup::at_start(config, warnings) {
        sink(&event);
    }
    staging::repair(config, sink);
    let look = snapshot::look(&config.sources, config.limits);
    let seen = match look.result {
        Ok(seen) => seen,
        Err(trouble) => {
            let verdict = Verdict::of(&trouble.findings);
            let nothing = trouble.findings.iter().all(|finding| snapshot::is_nothing_there(finding.code));
            report(sink, verdict, Event { findings: trouble.findings, ..Event::new(Kind::Inconclusive) });
            return Some(verdict).filter(|_| !nothing);
        }
    };
    let event = Event::new(Kind::Inconclusive).about(seen.manifest.digest());
    match judge(config, seen.tree.clone()).await {
        Ok(mut judgement) => {
            if judgement.verdict() == Verdict::Accepted
                && let Err(finding) = staging::publish(config, seen.clone(), seen.manifest.digest()).await
            {
                judgement.findings.push(finding);
            }
            let verdict = judgement.verdict();
            let (duration, message) = (Some(judgement.duration), judgement.by);
            report(sink, verdict, Event { findings: judgement.findings, duration, message, ..event });
            Some(verdict)
        }
        Err(hindrance) => {
            let (message, help, pid) = hindrance.into_parts();
            sink(&Event { pid, ..event.message(message).help(Some(help)) });
            Some(Verdict::Inconclusive)
        }
    }
}

/// Has `tree` judged, laid out where it is to be judged.
///
/// # Errors
/// When the target is needed to judge and cannot be had.
pub async fn judge(config: &GateConfig, tree: Arc<Tree>) -> Result<Judgement, Hindrance> {
    let judged = match staging::lay_out(config, tree.clone()).await {
        Ok(layout) => config.plan.judge(&tree, &layout, &config.selector).await,
        Err(finding) => Ok(Judgement { findings: vec![finding], ..Judgement::default() }),
    };
    match judged {
        Ok(judgement) => Ok(redaction::of_judgement(config, &tree, judgement).await),
        Err(hindrance) => Err(redaction::of_hindrance(config, &tree, hindrance).await),
    }
}

fn report(sink: &Sink, verdict: Verdict, event: Event) {
    let kind = match verdict {
        Verdict::Accepted => Kind::Accepted,
        Verdict::Inconclusive => Kind::Inconclusive,
        Verdict::Rejected => Kind::Rejected,
    };
    let headline = (verdict != Verdict::Accepted).then(|| headline(&event.findings)).flatten();
    let message = headline.or_else(|| event.message.clone());
    sink(&Event { kind, level: Event::new(kind).level, message, ..event });
}

/// Waits for the effect in flight; for ever if there is none.
async fn finish(in_flight: &mut Option<InFlight>) -> (Input, Option<Baseline>) {
    match in_flight {
        Some(effect) => effect.await,
        None => std::future::pending().await,
    }
}

/// Waits until `deadline`; for ever if there is none.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

fn overflowed() -> Input {
    let message = "so much changed that the kernel dropped events; everything is looked at again".into();
    Input::Degraded { message, polling: false }
}

impl Hands {
    fn new(config: Rc<GateConfig>, sink: Sink, board: Rc<Board>) -> Self {
        let (watch, contents) = (Watch::new(), Contents::default());
        Self { config, watch, sink, board, seen: None, contents, baseline: None, warned: None, told: false }
    }

    fn report(&self, event: Event) {
        (self.sink)(&self.contents.show(&self.config, event, self.seen.as_ref()));
    }

    /// Looks at the sources, and sees to it that whatever changes after the look will be noticed.
    fn look(&mut self) -> Vec<Input> {
        let mut inputs = Vec::new();
        let mut look = snapshot::look(&self.config.sources, self.config.limits);
        for _ in 1..LOOKS {
            match self.watch.cover(std::mem::take(&mut look.spots)) {
                Coverage::Unchanged => break,
                Coverage::Degraded(message) => inputs.push(Input::Degraded { message, polling: true }),
                // What changed between the look and the beginning of the watch was missed.
                Coverage::Extended => {}
            }
            look = snapshot::look(&self.config.sources, self.config.limits);
        }
        self.seen = look.result.as_ref().ok().cloned();
        inputs.push(Input::Looked(look.result));
        inputs
    }

    fn judge(&self) -> Option<InFlight> {
        let (config, tree) = (self.config.clone(), self.seen.as_ref()?.tree.clone());
        Some(Box::pin(async move { (Input::Judged(judge(&config, tree).await), None) }))
    }

    fn publish(&self, digest: Digest) -> Option<InFlight> {
        let (config, seen) = (self.config.clone(), self.seen.clone()?);
        Some(Box::pin(async move { (Input::Published(staging::publish(&config, seen, digest).await), None) }))
    }

    fn reload(&self) -> Option<InFlight> {
        let seen = self.seen.clone()?;
        let (config, delivered) = (self.config.clone(), staging::delivered(&self.config, &seen));
        Some(Box::pin(async move {
            let told = config.means.tell(&config.selector, delivered, &config.demand, config.plan.timeout).await;
            match told {
                Ok((sent, baseline)) => (Input::Reloaded(Ok(sent)), Some(baseline)),
                Err(hindrance) => {
                    let hindrance = redaction::of_hindrance(&config, &seen.tree, hindrance).await;
                    (Input::Reloaded(Err(hindrance)), None)
                }
            }
        }))
    }

    fn verify(&self, late: bool) -> Option<InFlight> {
        let (config, baseline, seen) = (self.config.clone(), self.baseline.clone(), self.seen.clone()?);
        let patience = if late { Duration::ZERO } else { config.verify_timeout };
        Some(Box::pin(async move {
            let proof = match baseline {
                Some(baseline) => config.demand.prove(&baseline, patience).await,
                None => Proof::NotAsked,
            };
            (Input::Verified(redaction::of_proof(&config, &seen.tree, proof).await), None)
        }))
    }

    /// Shows what the gate has in mind.
    fn show(&self, gate: &Gate) {
        self.board.show(View {
            desired: gate.desired().map(Manifest::digest),
            validated: gate.validated().map(Manifest::digest),
            running: gate.running().map(Manifest::digest),
            ready: gate.is_ready(),
            standing: gate.standing().map(|standing| (standing.kind, standing.about)),
            mode: self.watch.mode(),
        });
    }

    /// Counts what was done. What is reported is less: the same thing is said once.
    fn count(&mut self, input: &Input) {
        match input {
            Input::Judged(Ok(judgement)) => self.board.took(&judgement.took),
            Input::Reloaded(Ok(Sent::Told { .. })) => self.told = true,
            Input::Reloaded(Err(Hindrance::Failed { .. })) => self.board.reloaded(Outcome::Failed),
            // A proof that came late is not another reload.
            Input::Verified(proof) if std::mem::take(&mut self.told) => self.board.reloaded(match proof {
                Proof::Proven { .. } => Outcome::Verified,
                Proof::NotAsked | Proof::Missing { .. } => Outcome::Unverified,
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
