//! Starts the gates, tells them to stop, and says how it went. IO: takes the process's signals.

use std::io;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use reload_gate_contract::{Code, Finding, Verdict};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, LocalSet};

use crate::config::Config;
use crate::deliver::{self, Boards, Reported};
use crate::exit::Exit;
use crate::report::board::Board;
use crate::report::metrics::Metrics;
use crate::report::{Event, log};
use crate::run::{self, Sink};
use crate::serve::{self, Served};

/// How long the process goes on, when all gates have ended, to tell who was not told yet.
const LAST_WORDS: Duration = Duration::from_secs(3);

const UNKNOWN_VARIABLE: Code = Code::new("unknown-variable");

/// Runs all gates until SIGTERM or SIGINT, or judges once.
///
/// # Errors
/// When the process cannot get what every gate needs: an event loop and its own signals.
pub fn run(config: Config) -> io::Result<Exit> {
    // One thread: the work is waiting.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exit = LocalSet::new().block_on(&runtime, async {
        let warn = |message: &String| Finding::warning(UNKNOWN_VARIABLE, message.clone());
        let warnings: Vec<Finding> = config.warnings.iter().map(warn).collect();
        if config.once { Ok(once(config, &warnings).await) } else { until_stopped(config, &warnings).await }
    });
    // What still waits beside the loop, for an answer or a disk, has had its time.
    runtime.shutdown_background();
    exit
}

async fn until_stopped(config: Config, warnings: &[Finding]) -> io::Result<Exit> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut gates = tokio::task::JoinSet::new();
    let mut exit = Exit::Accepted;
    let names: Vec<_> = config.gates.iter().map(|gate| gate.name.clone()).collect();
    let audience = Audience::new(&names, config.log_format, config.alerts);
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
    let audience = Audience::new(&names, config.log_format, config.alerts);
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
struct Audience {
    format: log::Format,
    boards: Vec<Rc<Board>>,
    metrics: Rc<Metrics>,
    /// Those who are alerted, if there are any.
    alerted: Option<(mpsc::UnboundedSender<Reported>, JoinHandle<()>)>,
}

impl Audience {
    fn new(names: &[String], format: log::Format, alerts: deliver::Settings) -> Self {
        let metrics = Rc::new(Metrics::new());
        let boards: Vec<_> = names.iter().map(|name| Rc::new(Board::new(name, metrics.clone()))).collect();
        let alerted = (!alerts.sinks.is_empty()).then(|| {
            let (sender, reports) = mpsc::unbounded_channel();
            // What is said of the alerts themselves is for the log.
            let sinks: Vec<_> = boards.iter().map(|board| shown(format, board)).collect();
            let report = move |gate: usize, event: &Event| sinks[gate](event);
            let boards = Boards { boards: boards.clone(), metrics: metrics.clone() };
            (sender, tokio::task::spawn_local(deliver::run(alerts, boards, reports, report)))
        });
        Self { format, boards, metrics, alerted }
    }

    /// Where a gate reports to.
    fn of_gate(&self, index: usize) -> Sink {
        let here = shown(self.format, &self.boards[index]);
        let Some((alerts, _)) = &self.alerted else { return here };
        let alerts = alerts.clone();
        Rc::new(move |event| {
            here(event);
            // Whoever has nobody left to tell has told all there was.
            let _ = alerts.send((index, event.clone(), SystemTime::now()));
        })
    }

    /// Lets those who are alerted hear the end of it.
    async fn leave(self) {
        if let Some((sender, delivered)) = self.alerted {
            drop(sender);
            let _ = tokio::time::timeout(LAST_WORDS, delivered).await;
        }
    }
}

/// A sink that writes the log and keeps `board` informed.
fn shown(format: log::Format, board: &Rc<Board>) -> Sink {
    let board = board.clone();
    Rc::new(move |event| {
        log::write(format, board.gate(), event);
        board.report(event);
    })
}
