//! Brings alerts to where people look. IO: through `http` and `exec` alone; reads credentials.
//!
//! It runs beside the gates, which only hand over what they report: a sink that hangs, refuses or is away delays none of them, and no other
//! sink. What is to be told whom is decided by [`alert`](crate::notify::policy).

use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

use super::sinks::SinkKind;

use crate::notify::policy::{AlertEffect, AlertInput, Alerts, Knowledge, Subject};
use crate::report::board::StatusBoard;
use crate::report::metrics::Metrics;
use crate::report::status;
use crate::report::{Event, Kind};

/// How long one delivery may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Who is told, and of what.
#[derive(Clone, Debug)]
pub struct AlertSettings {
    /// Who.
    pub sinks: Vec<SinkConfig>,
    /// How long trouble that may pass by itself must stand.
    pub after: Duration,
    /// How often Alertmanager is told again of what stands.
    pub repeat: Duration,
    /// What tells the gates of this process from others.
    pub labels: Vec<(String, String)>,
}

/// Who is told.
#[derive(Clone, Debug)]
pub struct SinkConfig {
    /// What people call it.
    pub name: String,
    /// How it is told.
    pub kind: SinkKind,
}

/// What a gate reported, by the place of the gate among all.
pub type Reported = (usize, Event, SystemTime);

/// What came of a delivery, by the place of the sink among all.
type Done = (usize, Result<(), String>);

/// Where it is shown what became of the alerts.
#[derive(Clone, Debug)]
pub struct Boards {
    /// One for each gate.
    pub boards: Vec<Rc<StatusBoard>>,
    /// What is counted.
    pub metrics: Rc<Metrics>,
}

/// Delivers what is reported until there is nobody left who reports, and what is still to be told then.
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
        Knowledge { wanted: Some(_), error: Some(_), .. } => "failing",
        Knowledge { wanted: Some(_), .. } => "pending",
        Knowledge { notified: Some(_), .. } => "delivered",
        _ => "idle",
    };
    status::DeliveryStatus {
        sink: sink.name.clone(),
        state: state.to_owned(),
        about: known.notified.map(|(kind, _)| kind.as_str().to_owned()),
        at: known.notified.map(|(_, at)| humantime::format_rfc3339_seconds(at).to_string()),
        wanted: known.wanted.map(|kind| kind.as_str().to_owned()),
        error: known.error,
    }
}

fn failing(sink: &SinkConfig, error: &str) -> Event {
    let help = "the gate goes on with its work; it is tried again, after 1 s at first and every 60 s at last, and is told then \
                what still matters";
    let message = format!("`{}` ({}) cannot be told: {error}", sink.name, sink.kind.describe());
    Event::new(Kind::AlertFailed).message(message).help(Some(help.into()))
}

fn works(sink: &SinkConfig) -> Event {
    let message = format!("`{}` can be told again; `alert_failed` is over", sink.name);
    Event::new(Kind::Recovered).message(message)
}

/// Waits until `deadline`; for ever if there is none.
pub(super) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// A number between 0 and 1: the keys of a new hash map are random, which is as much chance as is needed here.
fn chance() -> f64 {
    use std::hash::{BuildHasher as _, RandomState};
    let number = u32::try_from(RandomState::new().hash_one(()) >> 32).unwrap_or_default();
    f64::from(number) / f64::from(u32::MAX)
}
