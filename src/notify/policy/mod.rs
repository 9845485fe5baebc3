//! What should be known elsewhere of each gate, who has been told, and when to try again. Pure: it does no IO and reads no clock.
//!
//! Of each gate there is one state that matters, the newest, and never a queue: who could not be told of what is over is not told of
//! it any more. Each sink has one delivery in flight, and all of them are told by themselves, so that none waits for another.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::report::{Event, Kind, Level};

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use super::wording::Subject;

/// How soon a sink that failed is tried again, at first and at last; each time between half of it and all of it.
const RETRY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// What is to be known of one gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// The trouble, also where it is over.
    pub incident: Kind,
    /// Whether it is over.
    pub over: bool,
    /// What was reported last: the trouble, or its end.
    pub event: Event,
    /// When that was reported.
    pub at: SystemTime,
    /// When the trouble began.
    pub since: SystemTime,
}

impl Alert {
    /// Whether who knows of the one knows all that matters of the other.
    fn is_like(&self, other: &Self) -> bool {
        let matter = |alert: &Self| (alert.incident, alert.over, alert.event.digest, alert.event.previous);
        matter(self) == matter(other)
    }

    /// Whether this trouble stands.
    fn is_open(&self, incident: Kind) -> bool {
        !self.over && self.incident == incident
    }
}

/// One notice, to be brought to one sink.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Which gate it is about.
    pub gate: usize,
    /// What is to be known.
    pub alert: Arc<Alert>,
    /// The troubles of that gate which the sink may still take for standing, and which are over; and since when each stood.
    pub stale: Vec<(Kind, SystemTime)>,
}

impl Delivery {
    /// The same as notices, in order: for a sink that is told of one alert at a time, the ends of those that `notice` takes the place
    /// of, and then `notice`.
    #[must_use]
    pub fn alerts(&self) -> Vec<Alert> {
        let others = self.stale.iter().filter(|(incident, _)| *incident != self.alert.incident);
        let ended = |&(incident, since): &_| Alert { incident, over: true, since, ..(*self.alert).clone() };
        others.map(ended).chain([(*self.alert).clone()]).collect()
    }
}

/// What happened.
#[derive(Debug)]
pub enum AlertInput {
    /// A gate reported this.
    Reported {
        /// Which gate.
        gate: usize,
        /// What it said.
        event: Event,
        /// When.
        at: SystemTime,
    },
    /// [`AlertEffect::Deliver`] is done.
    Done {
        /// To which sink.
        sink: usize,
        /// Why it failed, if it did, in words that may be shown.
        result: Result<(), String>,
        /// When, by the clock of the wall.
        at: SystemTime,
        /// Something between 0 and 1 by chance, so that many gates do not try again at the same moment.
        chance: f64,
    },
    /// The deadline has come.
    Tick,
    /// The process ends: what was not tried yet is, and nothing again.
    Stop,
}

/// What to do.
#[derive(Debug)]
pub enum AlertEffect {
    /// Bring a notice to a sink; answered by [`AlertInput::Done`].
    Deliver {
        /// To which.
        sink: usize,
        /// What.
        delivery: Delivery,
    },
    /// Say that a sink cannot be told, for the first time since it could.
    Failing {
        /// Which sink.
        sink: usize,
        /// Of which gate it was to be told.
        gate: usize,
        /// Why, in words.
        error: String,
    },
    /// Say that it can be told again.
    Works {
        /// Which sink.
        sink: usize,
        /// Of which gate it was told.
        gate: usize,
    },
}

/// What a sink knows of a gate, for whoever asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knowledge {
    /// What it is to be told and was not yet.
    pub wanted: Option<Kind>,
    /// What it was told last, and when.
    pub notified: Option<(Kind, SystemTime)>,
    /// Why it cannot be told, if it could not the last time.
    pub error: Option<String>,
}

/// Who should know what.
#[derive(Debug)]
pub struct Alerts {
    after: Duration,
    gates: Vec<GateAlerts>,
    sinks: Vec<SinkQueue>,
    stopping: bool,
}

#[derive(Debug, Default)]
struct GateAlerts {
    /// Trouble that may pass by itself, and since when it stands.
    pending: Option<(Instant, Alert)>,
    /// What everybody should know.
    current: Option<Arc<Alert>>,
}

#[derive(Debug, Default)]
struct SinkQueue {
    /// How often it must be told again of what stands, if it forgets otherwise.
    repeat: Option<Duration>,
    in_flight: Option<Delivery>,
    /// How often it failed since it worked.
    failures: u32,
    retry: Option<Instant>,
    /// Why it failed, if it did the last time.
    error: Option<String>,
    /// Whether it failed when the process was about to end.
    given_up: bool,
    notified: Vec<SinkState>,
    /// The gate of which it was told last: the others come first.
    last: usize,
}

#[derive(Clone, Debug, Default)]
struct SinkState {
    /// What it said it took, and when, by both clocks.
    alert: Option<(Arc<Alert>, Instant, SystemTime)>,
    /// Whether something failed since: it may have arrived all the same.
    delivery_unproven: bool,
    /// The troubles of which it may have heard, and not of their end, and since when each stood.
    believed: Vec<(Kind, SystemTime)>,
}

/// When a sink is to be told of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// It does not know the newest state.
    Now,
    /// It forgets then.
    At(Instant),
}

/// The kinds that are trouble.
pub const INCIDENTS: [Kind; 7] = [
    Kind::Rejected,
    Kind::Inconclusive,
    Kind::Unverified,
    Kind::Restored,
    Kind::TargetMissing,
    Kind::TargetRefused,
    Kind::Deferred,
];

/// Whether trouble of this kind may well pass by itself, so that nobody is told before it has stood for a while.
fn may_pass(kind: Kind) -> bool {
    matches!(kind, Kind::Inconclusive | Kind::TargetMissing | Kind::TargetRefused | Kind::Deferred)
}

impl GateAlerts {
    /// The trouble that should be known.
    fn open_incident(&self) -> Option<&Alert> {
        self.current.as_deref().filter(|alert| !alert.over)
    }

    /// What should be known after `event`, if that is something new.
    fn observe(&mut self, now: Instant, event: Event, at: SystemTime) -> Option<Alert> {
        let kind = event.kind;
        // That no proof was asked for is no trouble.
        let is_trouble = INCIDENTS.contains(&kind) && event.level > Level::Info;
        if !is_trouble {
            return self.ended(event, at);
        }
        let open_incident = self.open_incident();
        let since = open_incident
            .filter(|open_incident| open_incident.incident == kind)
            .map_or(at, |open_incident| open_incident.since);
        let alert = Alert { incident: kind, over: false, event, at, since };
        // Whoever knows of trouble that did not pass may know at once what has become of it.
        if may_pass(kind) && !open_incident.is_some_and(|open_incident| may_pass(open_incident.incident)) {
            let (began, since) = self.pending.as_ref().map_or((now, at), |(began, alert)| (*began, alert.since));
            self.pending = Some((began, Alert { since, ..alert }));
            return None;
        }
        let known = open_incident.is_some_and(|open_incident| open_incident.is_like(&alert));
        self.pending = None;
        (!known).then_some(alert)
    }

    fn ended(&mut self, event: Event, at: SystemTime) -> Option<Alert> {
        let recovered = event.kind == Kind::Recovered;
        self.pending.take_if(|_| recovered);
        // What an earlier gate left torn was restored at the start, and that alone never recovers.
        let is_proof = matches!(event.kind, Kind::Verified | Kind::Unverified | Kind::Unchanged);
        let alone =
            |open_incident: &&Alert| open_incident.incident == Kind::Restored && open_incident.event.previous.is_none();
        let open_incident =
            self.open_incident().filter(|open_incident| recovered || (is_proof && alone(open_incident)))?;
        Some(Alert { over: true, event, at, ..open_incident.clone() })
    }
}

impl Alerts {
    /// Nobody knows anything. `after`: how long trouble that may pass must stand; `repeats`: one for each sink, how often it must be
    /// told again of what stands.
    #[must_use]
    pub fn new(gates: usize, repeats: impl IntoIterator<Item = Option<Duration>>, after: Duration) -> Self {
        let sink = |repeat| SinkQueue { repeat, notified: vec![SinkState::default(); gates], ..SinkQueue::default() };
        let sinks = repeats.into_iter().map(sink).collect();
        let gates = (0..gates).map(|_| GateAlerts::default()).collect();
        Self { after, gates, sinks, stopping: false }
    }

    /// When to call [`Alerts::step`] with [`AlertInput::Tick`] unless something happens before.
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

    /// Whether nothing is under way, after [`AlertInput::Stop`].
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.stopping && self.sinks.iter().all(|sink| sink.in_flight.is_none())
    }

    /// What each sink knows of this gate.
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

    /// Takes in what happened at `now` and gives what to do about it, in order.
    pub fn step(&mut self, now: Instant, input: AlertInput) -> Vec<AlertEffect> {
        let mut effects = Vec::new();
        match input {
            AlertInput::Tick => {}
            AlertInput::Stop => {
                self.stopping = true;
                // Who waits to be tried again is tried once more.
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

    /// Trouble that did not pass should be known.
    fn ripen(&mut self, now: Instant) {
        for gate in 0..self.gates.len() {
            let ripe = self.gates[gate].pending.take_if(|(began, _)| *began + self.after <= now);
            self.know(gate, ripe.map(|(_, alert)| alert));
        }
    }

    /// When a sink is to be told of a gate; `None` if it knows, and does not forget.
    fn due(&self, sink: &SinkQueue, gate: usize) -> Option<Due> {
        let alert = self.gates[gate].current.as_ref()?;
        let notified = &sink.notified[gate];
        let knows = |known: &&(Arc<Alert>, Instant, SystemTime)| known.0.is_like(alert) && !notified.delivery_unproven;
        match notified.alert.as_ref().filter(knows) {
            // The end of what it never heard of is nothing to it.
            None => (!alert.over || !notified.believed.is_empty()).then_some(Due::Now),
            Some((_, at, _)) => {
                sink.repeat.filter(|_| !alert.over && !self.stopping).map(|repeat| Due::At(*at + repeat))
            }
        }
    }

    /// What a sink is to be told first: of the gates in turn.
    fn next(&self, sink: &SinkQueue) -> Option<(Due, usize)> {
        let count = self.gates.len();
        let gates = (1..=count).map(|step| (sink.last + step) % count);
        gates.filter_map(|gate| Some((self.due(sink, gate)?, gate))).min_by_key(|(due, _)| *due)
    }

    /// Tells whoever is to be told now, and is not being told anything.
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
                let longest = (RETRY[0] * 2_u32.saturating_pow(sink.failures.min(16))).min(RETRY[1]);
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
