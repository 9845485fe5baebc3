//! Delivers alerts to the sinks. IO: through `http` and `exec` alone; reads credentials.
//!
//! The worker runs beside the gates, which only hand over their events: a slow or failing sink never delays a gate or another sink.
//! [`policy`](crate::notify::policy) decides which sink gets which alert.

use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

use super::sinks::SinkKind;

use crate::notify::policy::{AlertEffect, AlertInput, Alerts, Knowledge, Subject};
use crate::report::board::StatusBoard;
use crate::report::metrics::Metrics;
use crate::report::status::{self, DeliveryState};
use crate::report::{Event, Kind};
use crate::sys::promise::DELIVERS;

/// The time limit of one delivery.
const PATIENCE: Duration = Duration::from_secs(10);

/// The settings of all alerts.
#[derive(Clone, Debug)]
pub struct AlertSettings {
    /// The sinks.
    pub sinks: Vec<SinkConfig>,
    /// The time for incidents that may pass by themselves.
    pub after: Duration,
    /// The interval at which Alertmanager gets an open alert again.
    pub repeat: Duration,
    /// Labels that distinguish the gates of this process from others.
    pub labels: Vec<(String, String)>,
}

/// One sink.
#[derive(Clone, Debug)]
pub struct SinkConfig {
    /// Its name.
    pub name: String,
    /// Its kind, with addresses and credentials.
    pub kind: SinkKind,
}

/// The index of a gate, its event, and the time of the report.
pub type Reported = (usize, Event, SystemTime);

/// The index of a sink, and the result of a delivery.
type Done = (usize, Result<(), String>);

/// The status boards and metrics that show the deliveries.
#[derive(Clone, Debug)]
pub struct Boards {
    /// One for each gate.
    pub boards: Vec<Rc<StatusBoard>>,
    /// The metrics.
    pub metrics: Rc<Metrics>,
}

/// Delivers events until no gate is left, and then what is still pending.
pub async fn run(
    settings: AlertSettings,
    boards: Boards,
    mut reports: UnboundedReceiver<Reported>,
    report: impl Fn(usize, &Event),
) {
    let settings = Rc::new(settings);
    settings.sinks.iter().for_each(|sink| boards.metrics.begin_alerts(&sink.name));
    let repeats = settings.sinks.iter().map(|sink| sink.kind.forgets().then_some(settings.repeat));
    let mut alerts = Alerts::new(boards.boards.len(), repeats, settings.after);
    let mut in_flight: JoinSet<Done> = JoinSet::new();
    let mut stopping = false;
    show(&settings, &boards, &alerts);
    while !alerts.is_done() {
        let input = tokio::select! {
            reported = reports.recv(), if !stopping => match reported {
                Some((gate, event, at)) => AlertInput::Reported { gate, event, at },
                None => {
                    stopping = true;
                    AlertInput::Stop
                }
            },
            Some(done) = in_flight.join_next() => {
                // A delivery ends by itself otherwise only by a panic.
                let Ok((sink, result)) = done else { return };
                boards.metrics.alerted(&settings.sinks[sink].name, result.is_ok());
                AlertInput::Done { sink, result, at: SystemTime::now(), chance: chance() }
            }
            () = until(alerts.deadline()) => AlertInput::Tick,
        };
        for effect in alerts.step(Instant::now(), input) {
            match effect {
                AlertEffect::Deliver { sink, delivery } => {
                    let (settings, gate) = (settings.clone(), boards.boards[delivery.gate].gate().to_owned());
                    in_flight.spawn_local(async move {
                        let subject = Subject { gate: &gate, labels: &settings.labels };
                        let kind = &settings.sinks[sink].kind;
                        (sink, kind.deliver(subject, &delivery, settings.repeat, PATIENCE).await)
                    });
                }
                AlertEffect::Failing { sink, gate, error } => report(gate, &failing(&settings.sinks[sink], &error)),
                AlertEffect::Works { sink, gate } => report(gate, &works(&settings.sinks[sink])),
            }
        }
        show(&settings, &boards, &alerts);
    }
}

fn show(settings: &AlertSettings, boards: &Boards, alerts: &Alerts) {
    for (gate, board) in boards.boards.iter().enumerate() {
        let known = settings.sinks.iter().zip(alerts.knowledge(gate));
        known.for_each(|(sink, known)| board.show_alert(shown(sink, known)));
    }
}

fn shown(sink: &SinkConfig, known: Knowledge) -> status::DeliveryStatus {
    let state = match known {
        Knowledge { wanted: Some(_), error: Some(_), .. } => DeliveryState::Failing,
        Knowledge { wanted: Some(_), .. } => DeliveryState::Pending,
        Knowledge { notified: Some(_), .. } => DeliveryState::Delivered,
        _ => DeliveryState::Idle,
    };
    status::DeliveryStatus {
        sink: sink.name.clone(),
        state,
        about: known.notified.map(|(kind, _)| kind),
        at: known.notified.map(|(_, at)| humantime::format_rfc3339_seconds(at).to_string()),
        wanted: known.wanted,
        error: known.error,
    }
}

fn failing(sink: &SinkConfig, error: &str) -> Event {
    let help = format!("mend the sink or its settings; {DELIVERS}");
    let message = format!("cannot deliver alerts to `{}` ({}): {error}", sink.name, sink.kind.describe());
    Event::new(Kind::AlertFailed).message(message).help(Some(help))
}

fn works(sink: &SinkConfig) -> Event {
    let message = format!("alerts are delivered to `{}` again; `alert_failed` is over", sink.name);
    Event::new(Kind::Recovered).message(message)
}

/// Waits until `deadline`; without a deadline, without end.
pub(super) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// A number between 0 and 1. The keys of a new hash map are random, which is random enough for a jitter.
fn chance() -> f64 {
    use std::hash::{BuildHasher as _, RandomState};
    let number = u32::try_from(RandomState::new().hash_one(()) >> 32).unwrap_or_default();
    f64::from(number) / f64::from(u32::MAX)
}
