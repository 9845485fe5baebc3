//! The policy of alerts: the alert that each sink should have, and the time of each delivery. Pure: it does no IO and reads no clock.
//!
//! Each gate has one state, the newest, and no queue: a sink that missed an incident which is over does not hear of it any more.
//! Each sink has one delivery in flight, so that no sink waits for another.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::report::{Event, Kind, Level};
use crate::sys::backoff::Backoff;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use super::wording::Subject;

/// Backoff of a sink that failed; each wait is jittered between half of it and all of it.
const RETRY: Backoff = Backoff::SECONDS;

/// The newest incident of one gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// The kind of the incident, also after its end.
    pub incident: Kind,
    /// True if the incident is over.
    pub over: bool,
    /// The last report: of the incident, or of its end.
    pub event: Event,
    /// The time of that report.
    pub at: SystemTime,
    /// The begin of the incident.
    pub since: SystemTime,
}

impl Alert {
    /// Returns true if the two alerts differ in nothing that a sink needs.
    fn is_like(&self, other: &Self) -> bool {
        let matter = |alert: &Self| (alert.incident, alert.over, alert.event.digest, alert.event.previous);
        matter(self) == matter(other)
    }

    /// Returns true if an incident of this kind is open.
    fn is_open(&self, incident: Kind) -> bool {
        !self.over && self.incident == incident
    }
}

/// One alert on its way to one sink.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The index of the gate.
    pub gate: usize,
    /// The alert.
    pub alert: Arc<Alert>,
    /// The incidents of that gate which the sink may still consider open although they are over, with their begins.
    pub stale: Vec<(Kind, SystemTime)>,
}

impl Delivery {
    /// Returns the same as alerts, in order, for a sink that takes one alert at a time: first the ends of the incidents that `alert`
    /// replaces, then `alert`.
    #[must_use]
    pub fn alerts(&self) -> Vec<Alert> {
        let others = self.stale.iter().filter(|(incident, _)| *incident != self.alert.incident);
        let ended = |&(incident, since): &_| Alert { incident, over: true, since, ..(*self.alert).clone() };
        others.map(ended).chain([(*self.alert).clone()]).collect()
    }
}

/// An input of the policy.
#[derive(Debug)]
pub enum AlertInput {
    /// A gate reported an event.
    Reported {
        /// The index of the gate.
        gate: usize,
        /// The event.
        event: Event,
        /// The time of the report.
        at: SystemTime,
    },
    /// [`AlertEffect::Deliver`] is done.
    Done {
        /// The index of the sink.
        sink: usize,
        /// The error, without credentials.
        result: Result<(), String>,
        /// The time, by the wall clock.
        at: SystemTime,
        /// A random number between 0 and 1 for the jitter, so that many gates do not try again at the same moment.
        chance: f64,
    },
    /// The deadline has come.
    Tick,
    /// The process ends: pending deliveries are tried once, and none is tried again.
    Stop,
}

/// An effect that the policy asks for.
#[derive(Debug)]
pub enum AlertEffect {
    /// Deliver an alert; answered by [`AlertInput::Done`].
    Deliver {
        /// The index of the sink.
        sink: usize,
        /// The alert.
        delivery: Delivery,
    },
    /// Report that a sink fails, for the first time since it worked.
    Failing {
        /// The index of the sink.
        sink: usize,
        /// The index of the gate whose alert failed.
        gate: usize,
        /// The error.
        error: String,
    },
    /// Report that a sink works again.
    Works {
        /// The index of the sink.
        sink: usize,
        /// The index of the gate whose alert was delivered.
        gate: usize,
    },
}

/// The state of one sink for one gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knowledge {
    /// The event that is not delivered yet.
    pub wanted: Option<Kind>,
    /// The event that was delivered last, and the time.
    pub notified: Option<(Kind, SystemTime)>,
    /// The error of the last delivery, if it failed.
    pub error: Option<String>,
}

/// The alerts of all gates and sinks.
#[derive(Debug)]
pub struct Alerts {
    after: Duration,
    gates: Vec<GateAlerts>,
    sinks: Vec<SinkQueue>,
    stopping: bool,
}

#[derive(Debug, Default)]
struct GateAlerts {
    /// An incident that may pass by itself, and the time since which it has lasted.
    pending: Option<(Instant, Alert)>,
    /// The alert that every sink should have.
    current: Option<Arc<Alert>>,
}

#[derive(Debug, Default)]
struct SinkQueue {
    /// The interval for repeating an open alert, for a sink that forgets it otherwise.
    repeat: Option<Duration>,
    in_flight: Option<Delivery>,
    /// The number of failures since the last success.
    failures: u32,
    retry: Option<Instant>,
    /// The error of the last delivery, if it failed.
    error: Option<String>,
    /// True if a delivery failed while the process was ending.
    given_up: bool,
    notified: Vec<SinkState>,
    /// The gate of the last delivery: the other gates come first.
    last: usize,
}

#[derive(Clone, Debug, Default)]
struct SinkState {
    /// The last alert that the sink took, and the time by both clocks.
    alert: Option<(Arc<Alert>, Instant, SystemTime)>,
    /// True if a delivery failed since: the alert may have arrived all the same.
    delivery_unproven: bool,
    /// The incidents that the sink may consider open, with their begins.
    believed: Vec<(Kind, SystemTime)>,
}

/// The time at which a sink needs a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// The sink lacks the newest state.
    Now,
    /// The sink forgets the alert at this time.
    At(Instant),
}

/// The kinds of events that are incidents.
pub const INCIDENTS: [Kind; 8] = [
    Kind::Rejected,
    Kind::Inconclusive,
    Kind::Unverified,
    Kind::Restored,
    Kind::TargetMissing,
    Kind::TargetRefused,
    Kind::Deferred,
    Kind::RolloutRefused,
];

/// Returns true if an incident of this kind often passes by itself, so that alerts wait for `--alert-after`.
fn may_pass(kind: Kind) -> bool {
    matches!(kind, Kind::Inconclusive | Kind::TargetMissing | Kind::TargetRefused | Kind::Deferred)
}

impl GateAlerts {
    /// Returns the open incident.
    fn open_incident(&self) -> Option<&Alert> {
        self.current.as_deref().filter(|alert| !alert.over)
    }

    /// Takes an event, and returns the alert that follows from it if that is a new one.
    fn observe(&mut self, now: Instant, event: Event, at: SystemTime) -> Option<Alert> {
        let kind = event.kind;
        // Without verification, `unverified` is no incident.
        let is_trouble = INCIDENTS.contains(&kind) && event.level > Level::Info;
        if !is_trouble {
            return self.ended(event, at);
        }
        let open_incident = self.open_incident();
        if kind == Kind::RolloutRefused {
            // One alert for the group: that of the pod which did not take it, about the reload if there is one.
            let is_known = |open_incident: &Alert| matches!(open_incident.incident, Kind::Unverified | Kind::Restored);
            if event.level < Level::Error || open_incident.is_some_and(is_known) {
                return None;
            }
        }
        let since = open_incident
            .filter(|open_incident| open_incident.incident == kind)
            .map_or(at, |open_incident| open_incident.since);
        let alert = Alert { incident: kind, over: false, event, at, since };
        // A sink that has an incident which did not pass gets its successor at once.
        if may_pass(kind) && !open_incident.is_some_and(|open_incident| may_pass(open_incident.incident)) {
            let (began, since) = self.pending.as_ref().map_or((now, at), |(began, alert)| (*began, alert.since));
            self.pending = Some((began, Alert { since, ..alert }));
            return None;
        }
        let known = open_incident.is_some_and(|open_incident| open_incident.is_like(&alert));
        self.pending = None;
        if known {
            // The sinks that have it need no other one, and those that are late or forget it get the newest reason.
            self.current = Some(Arc::new(alert));
            return None;
        }
        Some(alert)
    }

    fn ended(&mut self, event: Event, at: SystemTime) -> Option<Alert> {
        let recovered = event.kind == Kind::Recovered;
        self.pending.take_if(|_| recovered);
        // A revision that an earlier gate left torn was restored at the start, and no `recovered` follows.
        let is_proof = matches!(event.kind, Kind::Verified | Kind::Unverified | Kind::Unchanged);
        let alone =
            |open_incident: &&Alert| open_incident.incident == Kind::Restored && open_incident.event.previous.is_none();
        let open_incident =
            self.open_incident().filter(|open_incident| recovered || (is_proof && alone(open_incident)))?;
        Some(Alert { over: true, event, at, ..open_incident.clone() })
    }
}

impl Alerts {
    /// Starts without any incident. `after` is the time for incidents that may pass by themselves; `repeats` has for each sink the interval
    /// for repeating an open alert.
    #[must_use]
    pub fn new(gates: usize, repeats: impl IntoIterator<Item = Option<Duration>>, after: Duration) -> Self {
        let sink = |repeat| SinkQueue { repeat, notified: vec![SinkState::default(); gates], ..SinkQueue::default() };
        let sinks = repeats.into_iter().map(sink).collect();
        let gates = (0..gates).map(|_| GateAlerts::default()).collect();
        Self { after, gates, sinks, stopping: false }
    }

    /// Returns the time at which to call [`Alerts::step`] with [`AlertInput::Tick`] if nothing happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let pending = self.gates.iter().filter_map(|gate| Some(gate.pending.as_ref()?.0 + self.after));
        let idle = self.sinks.iter().filter(|sink| sink.in_flight.is_none() && !sink.given_up);
        let sinks = idle.filter_map(|sink| match (self.next(sink)?.0, sink.retry) {
            (Due::Now, retry) => retry,
            (Due::At(at), retry) => Some(retry.map_or(at, |retry| retry.max(at))),
        });
        pending.filter(|_| !self.stopping).chain(sinks).min()
    }

    /// Returns true if no delivery is in flight after [`AlertInput::Stop`].
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.stopping && self.sinks.iter().all(|sink| sink.in_flight.is_none())
    }

    /// Returns the state of each sink for this gate.
    pub fn knowledge(&self, gate: usize) -> impl Iterator<Item = Knowledge> + '_ {
        self.sinks.iter().map(move |sink| Knowledge {
            wanted: self.gates[gate]
                .current
                .as_ref()
                .filter(|_| self.due(sink, gate) == Some(Due::Now))
                .map(|alert| alert.event.kind),
            notified: sink.notified[gate].alert.as_ref().map(|(alert, _, at)| (alert.event.kind, *at)),
            error: sink.error.clone(),
        })
    }

    /// Takes an input at `now`, and returns the effects in order.
    pub fn step(&mut self, now: Instant, input: AlertInput) -> Vec<AlertEffect> {
        let mut effects = Vec::new();
        match input {
            AlertInput::Tick => {}
            AlertInput::Stop => {
                self.stopping = true;
                // Waiting retries are tried once more.
                self.sinks.iter_mut().for_each(|sink| sink.retry = None);
            }
            AlertInput::Reported { gate, event, at } => {
                let alert = self.gates[gate].observe(now, event, at);
                self.know(gate, alert);
            }
            AlertInput::Done { sink, result, at, chance } => self.done(now, sink, result, (at, chance), &mut effects),
        }
        self.ripen(now);
        self.advance(now, &mut effects);
        effects
    }

    fn know(&mut self, gate: usize, alert: Option<Alert>) {
        if let Some(alert) = alert {
            self.gates[gate].current = Some(Arc::new(alert));
        }
    }

    /// Lets incidents become alerts that lasted for `after`.
    fn ripen(&mut self, now: Instant) {
        for gate in 0..self.gates.len() {
            let ripe = self.gates[gate].pending.take_if(|(began, _)| *began + self.after <= now);
            self.know(gate, ripe.map(|(_, alert)| alert));
        }
    }

    /// Returns the time at which a sink needs a delivery; `None` if it has the newest state and does not forget.
    fn due(&self, sink: &SinkQueue, gate: usize) -> Option<Due> {
        let alert = self.gates[gate].current.as_ref()?;
        let notified = &sink.notified[gate];
        let knows = |known: &&(Arc<Alert>, Instant, SystemTime)| known.0.is_like(alert) && !notified.delivery_unproven;
        match notified.alert.as_ref().filter(knows) {
            // A sink that never had an incident does not need its end.
            None => (!alert.over || !notified.believed.is_empty()).then_some(Due::Now),
            Some((_, at, _)) => {
                sink.repeat.filter(|_| !alert.over && !self.stopping).map(|repeat| Due::At(*at + repeat))
            }
        }
    }

    /// Returns the most urgent delivery of a sink, with the gates in turn.
    fn next(&self, sink: &SinkQueue) -> Option<(Due, usize)> {
        let count = self.gates.len();
        let gates = (1..=count).map(|step| (sink.last + step) % count);
        gates.filter_map(|gate| Some((self.due(sink, gate)?, gate))).min_by_key(|(due, _)| *due)
    }

    /// Starts the deliveries that are due.
    fn advance(&mut self, now: Instant, effects: &mut Vec<AlertEffect>) {
        for index in 0..self.sinks.len() {
            let sink = &self.sinks[index];
            if sink.in_flight.is_some() || sink.given_up || sink.retry.is_some_and(|retry| retry > now) {
                continue;
            }
            let due = self.next(sink).filter(|(due, _)| *due <= Due::At(now));
            let Some((gate, alert)) = due.and_then(|(_, gate)| Some((gate, self.gates[gate].current.clone()?))) else {
                continue;
            };
            let sink = &mut self.sinks[index];
            let believed = &mut sink.notified[gate].believed;
            let stale = believed.iter().copied().filter(|(kind, _)| !alert.is_open(*kind)).collect();
            if !alert.over && believed.iter().all(|(kind, _)| *kind != alert.incident) {
                believed.push((alert.incident, alert.since));
            }
            let delivery = Delivery { gate, alert, stale };
            sink.in_flight = Some(delivery.clone());
            (sink.last, sink.retry) = (gate, None);
            effects.push(AlertEffect::Deliver { sink: index, delivery });
        }
    }

    fn done(
        &mut self,
        now: Instant,
        index: usize,
        result: Result<(), String>,
        (at, chance): (SystemTime, f64),
        effects: &mut Vec<AlertEffect>,
    ) {
        let sink = &mut self.sinks[index];
        let Some(Delivery { gate, alert, .. }) = sink.in_flight.take() else { return };
        match result {
            Ok(()) => {
                let notified = &mut sink.notified[gate];
                notified.believed.retain(|(kind, _)| alert.is_open(*kind));
                (notified.alert, notified.delivery_unproven) = (Some((alert, now, at)), false);
                sink.failures = 0;
                if sink.error.take().is_some() {
                    effects.push(AlertEffect::Works { sink: index, gate });
                }
            }
            Err(error) => {
                let longest = RETRY.wait(sink.failures);
                sink.notified[gate].delivery_unproven = true;
                sink.retry = Some(now + longest.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0));
                sink.failures = sink.failures.saturating_add(1);
                sink.given_up = self.stopping;
                if sink.error.replace(error.clone()).is_none() {
                    effects.push(AlertEffect::Failing { sink: index, gate, error });
                }
            }
        }
    }
}
