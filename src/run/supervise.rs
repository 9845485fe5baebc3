//! Starts and stops the gates of the process. IO: takes the process's signals.

use core::net::SocketAddr;
use std::cell::RefCell;
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
use crate::report::log::{self, Log};
use crate::report::metrics::Metrics;
use crate::report::serve::{self, Served};
use crate::report::socket;
use crate::report::{Event, Kind, Level};
use crate::run::service::Service;
use crate::run::signals::Signals;
use crate::run::steps::MeasuredSteps;
use crate::run::{self, EventSink as Sink, Requests};
use crate::sys;
use crate::sys::promise::READS;

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
    in_loop(config, async |config: Config, warnings, log: &Log| {
        if config.once { Ok(once(config, &warnings, log).await) } else { until_stopped(config, &warnings, log).await }
    })?
}

/// Reloads the applications of all gates once; returns the outcome of each in words, and the gravest exit code.
///
/// # Errors
/// As [`run`].
pub fn reload(config: Config) -> io::Result<(Vec<String>, Exit)> {
    in_loop(config, async |config: Config, warnings, log: &Log| {
        let names: Vec<_> = config.gates.iter().map(|gate| gate.name.clone()).collect();
        let mut bus = EventBus::new(&names, log, config.alerts, config.cluster, Course::Single);
        bus.quiet = !config.log_format_given;
        let (mut lines, mut exits) = (Vec::new(), Vec::new());
        for (index, gate) in config.gates.iter().enumerate() {
            let outcome = run::reload(gate, &bus.of_gate(index), bus.boards[index].clone(), warnings.clone()).await;
            lines.push(outcome.line);
            exits.push(outcome.exit);
        }
        bus.close().await;
        (lines, gravest(exits))
    })
}

/// The verdict of a validation, and its findings.
#[derive(Debug)]
pub struct Judged {
    /// `None` if there was nothing to validate.
    pub verdict: Option<Verdict>,
    /// The findings of the last report.
    pub findings: Vec<Finding>,
}

/// Validates the configuration of the first gate once, and logs nothing.
///
/// # Errors
/// As [`run`].
pub fn judge(config: Config) -> io::Result<Judged> {
    in_loop(config, async |config: Config, warnings, _: &Log| {
        let findings = Rc::new(RefCell::new(Vec::new()));
        let last = findings.clone();
        let sink: Sink = Rc::new(move |event| {
            if matches!(event.kind, Kind::Accepted | Kind::Rejected | Kind::Inconclusive) {
                last.borrow_mut().clone_from(&event.findings);
            }
        });
        let Some(gate) = config.gates.first() else { return Judged { verdict: None, findings: Vec::new() } };
        let board = Rc::new(StatusBoard::new(&gate.name, Rc::new(Metrics::new())));
        let verdict = run::once(gate, &sink, board, warnings).await;
        Judged { verdict, findings: findings.take() }
    })
}

/// Runs `work` on the one event loop, with the log and the warnings about the configuration.
fn in_loop<T>(config: Config, work: impl AsyncFnOnce(Config, Vec<Finding>, &Log) -> T) -> io::Result<T> {
    let name = config.gates.first().map(|gate| gate.name.clone()).unwrap_or_default();
    let log = Log::start(config.log_format, config.log_filter.clone(), &name)?;
    sys::worker::start()?;
    // One thread: the work is waiting.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = LocalSet::new();
    let done = runtime.block_on(MeasuredSteps::of(tasks.run_until(async {
        let warn = |message: &String| Finding::warning(UNKNOWN_VARIABLE, message.clone());
        let warnings: Vec<Finding> = config.warnings.iter().map(warn).chain(unready(&config.alerts)).collect();
        work(config, warnings, &log).await
    })));
    // Work beside the loop that still waits for an answer or a disk does not delay the end.
    runtime.shutdown_background();
    Ok(done)
}

/// Warnings about sinks that cannot deliver as things are now. Their files may come later, so these are warnings only.
fn unready(alerts: &worker::AlertSettings) -> impl Iterator<Item = Finding> {
    alerts.sinks.iter().filter_map(|sink| {
        let error = sink.kind.ready().err()?;
        let message = format!("cannot deliver alerts to `{}` ({}): {error}", sink.name, sink.kind.describe());
        let help = format!("mend it; {READS}");
        Some(Finding::warning(UNREADY_ALERT, message).help(help))
    })
}

async fn until_stopped(config: Config, warnings: &[Finding], log: &Log) -> io::Result<Exit> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut signals = Signals::new();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let (rescan, rescans) = tokio::sync::watch::channel(0_u32);
    let mut gates = tokio::task::JoinSet::new();
    let names: Vec<_> = config.gates.iter().map(|gate| gate.name.clone()).collect();
    let grace = config.gates.iter().map(|gate| gate.policy.grace).max().unwrap_or_default();
    let mut bus = EventBus::new(&names, log, config.alerts, config.cluster, Course::Continuous);
    bus.service = Service::start(&bus.boards);
    bus.metrics.speak(config.dialect);
    for (index, gate) in config.gates.into_iter().enumerate() {
        let (sink, board) = (bus.of_gate(index), bus.boards[index].clone());
        let requests = Requests { stop: stopped.clone(), rescan: rescans.clone() };
        gates.spawn_local(run::run(Rc::new(gate), sink, board, warnings.to_vec(), requests));
    }
    tokio::task::spawn_local(socket::serve(bus.boards.clone()));
    if let Some(address) = config.listen {
        bus.listen(address);
    }
    if let Some(service) = &bus.service {
        tokio::task::spawn_local(service.clone().run());
    }
    let exit = loop {
        tokio::select! {
            _ = terminate.recv() => break Exit::Accepted,
            _ = interrupt.recv() => break Exit::Accepted,
            () = signals.hangup() => {
                if let Some(service) = &bus.service {
                    service.reloading();
                }
                rescan.send_modify(|count| *count = count.wrapping_add(1));
            }
            ended = gates.join_next() => match ended {
                Some(Ok(Some(Verdict::Rejected))) => break Exit::Rejected,
                // A gate ends by itself otherwise only by a panic.
                _ => return Ok(Exit::Bug),
            },
        }
    };
    if let Some(service) = &bus.service {
        service.stopping().await;
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
    let names: Vec<_> = config.gates.iter().map(|gate| gate.name.clone()).collect();
    let bus = EventBus::new(&names, log, config.alerts, config.cluster, Course::Single);
    let mut exits = Vec::new();
    for (index, gate) in config.gates.iter().enumerate() {
        exits.push(match run::once(gate, &bus.of_gate(index), bus.boards[index].clone(), warnings.to_vec()).await {
            Some(Verdict::Accepted) => Exit::Accepted,
            Some(Verdict::Rejected) => Exit::Rejected,
            Some(Verdict::Inconclusive) => Exit::Inconclusive,
            None => Exit::Nothing,
        });
    }
    bus.close().await;
    gravest(exits)
}

fn gravest(exits: Vec<Exit>) -> Exit {
    let weight =
        |exit: &Exit| [Exit::Nothing, Exit::Inconclusive, Exit::Rejected].iter().position(|other| other == exit);
    exits.into_iter().max_by_key(weight).unwrap_or(Exit::Accepted)
}

/// The number of decisions of the gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// One of each gate.
    Single,
    /// Any number, until the process is stopped.
    Continuous,
}

/// The consumers of the gates' events: the log, the status boards, and the sinks of alerts and Kubernetes Events.
struct EventBus {
    boards: Vec<Rc<StatusBoard>>,
    metrics: Rc<Metrics>,
    /// The service manager, if there is one.
    service: Option<Rc<Service>>,
    /// Events of the level info are not logged.
    quiet: bool,
    /// The workers that deliver elsewhere, each a task of its own.
    workers: Vec<(mpsc::UnboundedSender<Reported>, JoinHandle<()>)>,
}

impl EventBus {
    fn new(
        names: &[String],
        log: &Log,
        alerts: worker::AlertSettings,
        cluster: Option<kubernetes::Cluster>,
        course: Course,
    ) -> Self {
        let metrics = Rc::new(Metrics::new());
        metrics.count_dropped_lines(log.dropped());
        let boards: Vec<_> = names.iter().map(|name| Rc::new(StatusBoard::new(name, metrics.clone()))).collect();
        let shown = Boards { boards: boards.clone(), metrics: metrics.clone() };
        // Events about the workers themselves go to the log and the boards alone.
        let sinks: Rc<[Sink]> = boards.iter().map(local_sink).collect();
        let report = move |gate: usize, event: &Event| match course {
            Course::Single => sinks[gate](&run::without_promises(event.clone())),
            Course::Continuous => sinks[gate](event),
        };
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
        Self { boards, metrics, service: None, quiet: false, workers }
    }

    /// The sink that a gate reports to.
    fn of_gate(&self, index: usize) -> Sink {
        let (local, board, quiet) = (local_sink(&self.boards[index]), self.boards[index].clone(), self.quiet);
        let workers: Vec<_> = self.workers.iter().map(|(sender, _)| sender.clone()).collect();
        let service = self.service.clone();
        Rc::new(move |event| {
            if quiet && event.level == Level::Info {
                board.report(event);
            } else {
                local(event);
            }
            if let Some(service) = &service {
                service.take(index, event);
            }
            for worker in &workers {
                // A worker that has ended has delivered everything.
                let _ = worker.send((index, event.clone(), SystemTime::now()));
            }
        })
    }

    /// Serves metrics, health and status on `address`.
    fn listen(&self, address: SocketAddr) {
        let (boards, metrics) = (self.boards.clone(), self.metrics.clone());
        // The same error concerns all gates.
        let sinks: Vec<_> = self.boards.iter().map(|board| local_sink(board)).collect();
        let report = move |event: &Event| sinks.iter().for_each(|sink| sink(event));
        tokio::task::spawn_local(serve::serve(address, Served { metrics, boards }, report));
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
