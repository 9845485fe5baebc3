//! Starts the gates, tells them to stop, and says how it went. IO: takes the process's signals.

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
use crate::report::board::StatusBoard;
use crate::report::metrics::Metrics;
use crate::report::serve::{self, Served};
use crate::report::{Event, log};
use crate::run::{self, Sink};
use crate::sys;

/// How long the process goes on, when all gates have ended, to tell who was not told yet.
const LAST_WORDS: Duration = Duration::from_secs(3);

const UNREADY_ALERT: Code = Code::new("unready-alert");
const UNKNOWN_VARIABLE: Code = Code::new("unknown-variable");

/// Runs all gates until SIGTERM or SIGINT, or judges once.
///
/// # Errors
/// When the process cannot get what every gate needs: an event loop and its own signals.
pub fn run(config: Config) -> io::Result<Exit> {
    sys::worker::start()?;
    // One thread: the work is waiting.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exit = LocalSet::new().block_on(&runtime, async {
        let warn = |message: &String| Finding::warning(UNKNOWN_VARIABLE, message.clone());
        let warnings: Vec<Finding> = config.warnings.iter().map(warn).chain(unready(&config.alerts)).collect();
        if config.once { Ok(once(config, &warnings).await) } else { until_stopped(config, &warnings).await }
    });
    // What still waits beside the loop, for an answer or a disk, has had its time.
    runtime.shutdown_background();
    exit
}

/// Who could not be alerted as things are now. Files may come later, so it is said and no more.
fn unready(alerts: &worker::Settings) -> impl Iterator<Item = Finding> {
    alerts.sinks.iter().filter_map(|sink| {
        let error = sink.kind.ready().err()?;
        let message = format!("`{}` ({}) cannot be told as it is: {error}", sink.name, sink.kind.describe());
        let help = "nobody hears of trouble that way until it is mended; it is looked at again for each alert";
        Some(Finding::warning(UNREADY_ALERT, message).help(help))
    })
}

async fn until_stopped(config: Config, warnings: &[Finding]) -> io::Result<Exit> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut gates = tokio::task::JoinSet::new();
    let mut exit = Exit::Accepted;
    let names: Vec<_> = config.gates.iter().map(|gate| gate.name.clone()).collect();
    let audience = EventBus::new(&names, config.log_format, (config.alerts, config.cluster));
    for (index, gate) in config.gates.into_iter().enumerate() {
        let (sink, board) = (audience.of_gate(index), audience.boards[index].clone());
        gates.spawn_local(run::run(Rc::new(gate), sink, board, warnings.to_vec(), stopped.clone()));
    }
    if let Some(address) = config.listen {
        let (boards, metrics) = (audience.boards.clone(), audience.metrics.clone());
        // It is the same trouble for all of them.
        let sinks: Vec<_> = audience.boards.iter().map(|board| shown(audience.format, board)).collect();
        let report = move |event: &Event| sinks.iter().for_each(|sink| sink(event));
        tokio::task::spawn_local(serve::serve(address, Served { metrics, boards }, report));
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        ended = gates.join_next() => match ended {
            Some(Ok(Some(Verdict::Rejected))) => exit = Exit::Rejected,
            // It ends by itself otherwise only by a panic.
            _ => return Ok(Exit::Bug),
        },
    }
    stop.send_replace(true);
    while gates.join_next().await.is_some() {}
    audience.leave().await;
    Ok(exit)
}

/// The worst of the gates, in the order in which exit codes outweigh each other.
async fn once(config: Config, warnings: &[Finding]) -> Exit {
    let mut worst = Exit::Accepted;
    let names: Vec<_> = config.gates.iter().map(|gate| gate.name.clone()).collect();
    let audience = EventBus::new(&names, config.log_format, (config.alerts, config.cluster));
    for (index, gate) in config.gates.into_iter().enumerate() {
        let exit = match run::once(&gate, &audience.of_gate(index), warnings.to_vec()).await {
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
    audience.leave().await;
    worst
}

/// Who listens to the gates: the log, the boards, and whoever is alerted.
struct EventBus {
    format: log::Format,
    boards: Vec<Rc<StatusBoard>>,
    metrics: Rc<Metrics>,
    /// Those who are told elsewhere, each by a task of its own.
    elsewhere: Vec<(mpsc::UnboundedSender<Reported>, JoinHandle<()>)>,
}

impl EventBus {
    fn new(
        names: &[String],
        format: log::Format,
        (alerts, cluster): (worker::Settings, Option<kubernetes::Cluster>),
    ) -> Self {
        let metrics = Rc::new(Metrics::new());
        let boards: Vec<_> = names.iter().map(|name| Rc::new(StatusBoard::new(name, metrics.clone()))).collect();
        let here = Boards { boards: boards.clone(), metrics: metrics.clone() };
        // What is said of those who are told is for the log.
        let sinks: Rc<[Sink]> = boards.iter().map(|board| shown(format, board)).collect();
        let report = move |gate: usize, event: &Event| sinks[gate](event);
        let mut elsewhere = Vec::new();
        if !alerts.sinks.is_empty() {
            let (sender, reports) = mpsc::unbounded_channel();
            let told = worker::run(alerts, here.clone(), reports, report.clone());
            elsewhere.push((sender, tokio::task::spawn_local(told)));
        }
        if let Some(cluster) = cluster {
            let (sender, reports) = mpsc::unbounded_channel();
            let told = kubernetes::announce(cluster, here, reports, report);
            elsewhere.push((sender, tokio::task::spawn_local(told)));
        }
        Self { format, boards, metrics, elsewhere }
    }

    /// Where a gate reports to.
    fn of_gate(&self, index: usize) -> Sink {
        let here = shown(self.format, &self.boards[index]);
        let elsewhere: Vec<_> = self.elsewhere.iter().map(|(sender, _)| sender.clone()).collect();
        Rc::new(move |event| {
            here(event);
            for sender in &elsewhere {
                // Whoever has nobody left to tell has told all there was.
                let _ = sender.send((index, event.clone(), SystemTime::now()));
            }
        })
    }

    /// Lets those who are told elsewhere hear the end of it.
    async fn leave(self) {
        let (senders, told): (Vec<_>, Vec<_>) = self.elsewhere.into_iter().unzip();
        drop(senders);
        let all = async {
            for told in told {
                // It ends by itself otherwise only by a panic.
                let _ = told.await;
            }
        };
        let _ = tokio::time::timeout(LAST_WORDS, all).await;
    }
}

/// A sink that writes the log and keeps `board` informed.
fn shown(format: log::Format, board: &Rc<StatusBoard>) -> Sink {
    let board = board.clone();
    Rc::new(move |event| {
        log::write(format, board.gate(), event);
        board.report(event);
    })
}
