//! Starts the gates, tells them to stop, and says how it went. IO: takes the process's signals.

use std::io;
use std::rc::Rc;

use reload_gate_contract::{Code, Finding, Verdict};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

use crate::config::{Config, GateConfig};
use crate::exit::Exit;
use crate::report::board::Board;
use crate::report::metrics::Metrics;
use crate::report::{Event, log};
use crate::run::{self, Sink};
use crate::serve::{self, Served};

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
    let format = config.log_format;
    let mut exit = Exit::Accepted;
    let metrics = Rc::new(Metrics::new());
    let boards: Vec<_> = config.gates.iter().map(|gate| Rc::new(Board::new(&gate.name, metrics.clone()))).collect();
    let sinks: Vec<_> = boards.iter().map(|board| shown(format, board)).collect();
    for ((gate, board), sink) in config.gates.into_iter().zip(&boards).zip(&sinks) {
        gates.spawn_local(run::run(Rc::new(gate), sink.clone(), board.clone(), warnings.to_vec(), stopped.clone()));
    }
    if let Some(address) = config.listen {
        // It is the same trouble for all of them.
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
    Ok(exit)
}

/// The worst of the gates, in the order in which exit codes outweigh each other.
async fn once(config: Config, warnings: &[Finding]) -> Exit {
    let mut worst = Exit::Accepted;
    for gate in config.gates {
        let sink = sink(config.log_format, &gate);
        let exit = match run::once(&gate, &sink, warnings.to_vec()).await {
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
    worst
}

fn sink(format: log::Format, gate: &GateConfig) -> Sink {
    let name = gate.name.clone();
    Rc::new(move |event| log::write(format, &name, event))
}

/// A sink that keeps `board` informed besides.
fn shown(format: log::Format, board: &Rc<Board>) -> Sink {
    let board = board.clone();
    Rc::new(move |event| {
        log::write(format, board.gate(), event);
        board.report(event);
    })
}
