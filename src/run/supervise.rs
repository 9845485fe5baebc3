//! Starts and stops the gates of the process. IO: takes the process's signals.

use std::io;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use reload_gate_contract::{Code, Finding, Verdict};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, LocalSet};

use crate::config::Config;
use crate::exit::Exit;
use crate::notify::kubernetes::client as kubernetes;
use crate::notify::worker::{self, Boards, Reported};
use crate::report::Event;
use crate::report::board::StatusBoard;
use crate::report::log::{self, Log};
use crate::report::metrics::Metrics;
use crate::report::serve::{self, Served};
use crate::report::socket;
use crate::run::steps::MeasuredSteps;
use crate::run::{self, EventSink as Sink};
use crate::sys;

/// The time for the last deliveries after all gates have ended.
const LAST_DELIVERIES: Duration = Duration::from_secs(3);

/// The time for the last report of a gate after its grace period.
const LAST_STEP: Duration = Duration::from_secs(1);

const UNREADY_ALERT: Code = Code::new("unready-alert");
const UNKNOWN_VARIABLE: Code = Code::new("unknown-variable");

/// Runs all gates until SIGTERM or SIGINT, or validates once.
///
/// # Errors
/// When the process cannot get what every gate needs: an event loop and its own signals.
pub fn run(config: Config) -> io::Result<Exit> {
    let name = config.gates.first().map(|gate| gate.name.clone()).unwrap_or_default();
    let log = Log::start(config.log_format, config.log_filter.clone(), &name)?;
    sys::worker::start()?;
    // One thread: the work is waiting.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = LocalSet::new();
    let exit = runtime.block_on(MeasuredSteps::of(tasks.run_until(async {
        let warn = |message: &String| Finding::warning(UNKNOWN_VARIABLE, message.clone());
        let warnings: Vec<Finding> = config.warnings.iter().map(warn).chain(unready(&config.alerts)).collect();
        if config.once { Ok(once(config, &warnings, &log).await) } else { until_stopped(config, &warnings, &log).await }
    })));
    // Work beside the loop that still waits for an answer or a disk does not delay the end.
    runtime.shutdown_background();
    exit
}

/// Warnings about sinks that cannot deliver as things are now. Their files may come later, so these are warnings only.
fn unready(alerts: &worker::AlertSettings) -> impl Iterator<Item = Finding> {
    alerts.sinks.iter().filter_map(|sink| {
        let error = sink.kind.ready().err()?;
        let message = format!("cannot deliver alerts to `{}` ({}): {error}", sink.name, sink.kind.describe());
        let help = "mend it; the gate reads it again for each alert, and delivers no alert to this sink until then";
        Some(Finding::warning(UNREADY_ALERT, message).help(help))
    })
}

async fn until_stopped(config: Config, warnings: &[Finding], log: &Log) -> io::Result<Exit> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut gates = tokio::task::JoinSet::new();
    let mut exit = Exit::Accepted;
    let names: Vec<_> = config.gates.iter().map(|gate| gate.name.clone()).collect();
    let grace = config.gates.iter().map(|gate| gate.policy.grace).max().unwrap_or_default();
    let bus = EventBus::new(&names, log, config.alerts, config.cluster);
    for (index, gate) in config.gates.into_iter().enumerate() {
        let (sink, board) = (bus.of_gate(index), bus.boards[index].clone());
        gates.spawn_local(run::run(Rc::new(gate), sink, board, warnings.to_vec(), stopped.clone()));
    }
    tokio::task::spawn_local(socket::serve(bus.boards.clone()));
    if let Some(address) = config.listen {
        let (boards, metrics) = (bus.boards.clone(), bus.metrics.clone());
        // The same error concerns all gates.
        let sinks: Vec<_> = bus.boards.iter().map(|board| local_sink(board)).collect();
        let report = move |event: &Event| sinks.iter().for_each(|sink| sink(event));
        tokio::task::spawn_local(serve::serve(address, Served { metrics, boards }, report));
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        ended = gates.join_next() => match ended {
            Some(Ok(Some(Verdict::Rejected))) => exit = Exit::Rejected,
            // A gate ends by itself otherwise only by a panic.
            _ => return Ok(Exit::Bug),
        },
    }
    stop.send_replace(true);
    let ended = async { while gates.join_next().await.is_some() {} };
    // A gate that waits for a volume of its own which does not answer cannot end by itself.
    let _ = tokio::time::timeout(grace + LAST_STEP, ended).await;
    bus.close().await;
    Ok(exit)
}

/// Validates once and returns the gravest exit code of all gates.
async fn once(config: Config, warnings: &[Finding], log: &Log) -> Exit {
    let mut worst = Exit::Accepted;
    let names: Vec<_> = config.gates.iter().map(|gate| gate.name.clone()).collect();
    let bus = EventBus::new(&names, log, config.alerts, config.cluster);
    for (index, gate) in config.gates.into_iter().enumerate() {
        let exit = match run::once(&gate, &bus.of_gate(index), warnings.to_vec()).await {
            Some(Verdict::Accepted) => Exit::Accepted,
            Some(Verdict::Rejected) => Exit::Rejected,
            Some(Verdict::Inconclusive) => Exit::Inconclusive,
            None => Exit::Nothing,
        };
        let weight = |exit| [Exit::Rejected, Exit::Inconclusive, Exit::Nothing].iter().position(|other| *other == exit);
        if weight(exit).is_some_and(|weight_of| weight(worst).is_none_or(|weight| weight_of < weight)) {
            worst = exit;
        }
    }
    bus.close().await;
    worst
}

/// The consumers of the gates' events: the log, the status boards, and the sinks of alerts and Kubernetes Events.
struct EventBus {
    boards: Vec<Rc<StatusBoard>>,
    metrics: Rc<Metrics>,
    /// The workers that deliver elsewhere, each a task of its own.
    workers: Vec<(mpsc::UnboundedSender<Reported>, JoinHandle<()>)>,
}

impl EventBus {
    fn new(names: &[String], log: &Log, alerts: worker::AlertSettings, cluster: Option<kubernetes::Cluster>) -> Self {
        let metrics = Rc::new(Metrics::new());
        metrics.count_dropped_lines(log.dropped());
        let boards: Vec<_> = names.iter().map(|name| Rc::new(StatusBoard::new(name, metrics.clone()))).collect();
        let shown = Boards { boards: boards.clone(), metrics: metrics.clone() };
        // Events about the workers themselves go to the log and the boards alone.
        let sinks: Rc<[Sink]> = boards.iter().map(local_sink).collect();
        let report = move |gate: usize, event: &Event| sinks[gate](event);
        let mut workers = Vec::new();
        if !alerts.sinks.is_empty() {
            let (sender, reports) = mpsc::unbounded_channel();
            let worker = worker::run(alerts, shown.clone(), reports, report.clone());
            workers.push((sender, tokio::task::spawn_local(worker)));
        }
        if let Some(cluster) = cluster {
            let (sender, reports) = mpsc::unbounded_channel();
            let worker = kubernetes::announce(cluster, shown, reports, report);
            workers.push((sender, tokio::task::spawn_local(worker)));
        }
        Self { boards, metrics, workers }
    }

    /// The sink that a gate reports to.
    fn of_gate(&self, index: usize) -> Sink {
        let local = local_sink(&self.boards[index]);
        let workers: Vec<_> = self.workers.iter().map(|(sender, _)| sender.clone()).collect();
        Rc::new(move |event| {
            local(event);
            for worker in &workers {
                // A worker that has ended has delivered everything.
                let _ = worker.send((index, event.clone(), SystemTime::now()));
            }
        })
    }

    /// Lets the workers deliver what they have, within a bounded time.
    async fn close(self) {
        let (senders, workers): (Vec<_>, Vec<_>) = self.workers.into_iter().unzip();
        drop(senders);
        let all = async {
            for worker in workers {
                // A worker ends by itself otherwise only by a panic.
                let _ = worker.await;
            }
        };
        let _ = tokio::time::timeout(LAST_DELIVERIES, all).await;
    }
}

/// A sink that writes the log and updates `board`.
fn local_sink(board: &Rc<StatusBoard>) -> Sink {
    let board = board.clone();
    Rc::new(move |event| {
        log::write(board.gate(), event);
        board.report(event);
    })
}
