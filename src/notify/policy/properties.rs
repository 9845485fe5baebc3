//! Properties that hold however gates report and sinks fail, in a simulated world with a virtual clock.

use proptest::prelude::*;

use super::*;
use crate::flow::tree::Digest;

const AFTER: Duration = Duration::from_secs(60);
const REPEAT: Duration = Duration::from_secs(45);
const GATES: usize = 2;
const SINKS: usize = 2;

/// Behaviour of a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    /// It takes what it is brought, after this many milliseconds.
    Well(u64),
    /// It says that it failed, though it took it.
    Lying,
    /// It fails, and takes nothing, after this many milliseconds.
    Down(u64),
}

#[derive(Clone, Copy, Debug)]
enum Happening {
    Report(usize, Kind, u8),
    Health(usize, Health),
    Pass(u64),
    Tick,
}

struct World {
    alerts: Alerts,
    start: Instant,
    now: Instant,
    health: [Health; SINKS],
    in_flight: [Option<(Instant, Delivery, Health)>; SINKS],
    /// The last alert that each sink received, by gate.
    has: [[Option<Arc<Alert>>; GATES]; SINKS],
    /// The last alert that each sink took, by gate.
    said: [[Option<Arc<Alert>>; GATES]; SINKS],
    /// When a sink was tried in vain last.
    failed: [Option<Instant>; SINKS],
    /// Since when each gate has been in trouble of any kind.
    incident: [Option<Instant>; GATES],
    broken: Vec<String>,
}

impl World {
    fn new() -> Self {
        let start = Instant::now();
        Self {
            alerts: Alerts::new(GATES, [None, Some(REPEAT)], AFTER),
            start,
            now: start,
            health: [Health::Well(1); SINKS],
            in_flight: [const { None }; SINKS],
            has: Default::default(),
            said: Default::default(),
            failed: [None; SINKS],
            incident: [None; GATES],
            broken: Vec::new(),
        }
    }

    fn expect(&mut self, holds: bool, what: &str) {
        if !holds {
            self.broken.push(format!("{:?}: {what}", self.now - self.start));
        }
    }

    fn at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + (self.now - self.start)
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Report(gate, kind, content) => {
                if INCIDENTS.contains(&kind) {
                    self.incident[gate].get_or_insert(self.now);
                } else {
                    self.incident[gate] = None;
                }
                let event = Event::new(kind).about(Digest::of(&[content]));
                let event = Event { previous: Some(Digest::of(b"before")), ..event };
                self.step(AlertInput::Reported { gate, event, at: self.at() });
            }
            Happening::Health(sink, health) => self.health[sink] = health,
            Happening::Pass(seconds) => self.pass(Duration::from_secs(seconds)),
            Happening::Tick => self.step(AlertInput::Tick),
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let done = self.in_flight.iter().flatten().map(|(at, ..)| *at).min();
            let Some(next) = [done, self.alerts.deadline()].into_iter().flatten().min().filter(|next| *next <= end)
            else {
                break;
            };
            self.now = self.now.max(next);
            let ended = |flight: &mut Option<(Instant, Delivery, Health)>| flight.take_if(|(at, ..)| *at <= self.now);
            let sink = self.in_flight.iter_mut().enumerate().find_map(|(sink, flight)| Some((sink, ended(flight)?)));
            match sink {
                Some((sink, (_, delivery, health))) => self.arrive(sink, &delivery, health),
                None => self.step(AlertInput::Tick),
            }
        }
        self.now = end;
    }

    fn arrive(&mut self, sink: usize, delivery: &Delivery, health: Health) {
        let gate = delivery.gate;
        if !matches!(health, Health::Down(_)) {
            self.has[sink][gate] = Some(delivery.alert.clone());
        }
        let result = if matches!(health, Health::Well(_)) { Ok(()) } else { Err("down".to_owned()) };
        if result.is_err() {
            self.said[sink][gate] = None;
        } else {
            let again = sink == 1 && !delivery.alert.over;
            let before = self.said[sink][gate].replace(delivery.alert.clone());
            let known = before.is_some_and(|before| before.is_like(&delivery.alert));
            self.expect(again || !known, "nobody is told twice");
        }
        self.failed[sink] = result.is_err().then_some(self.now);
        self.step(AlertInput::Done { sink, result, at: self.at(), chance: 0.0 });
    }

    fn step(&mut self, input: AlertInput) {
        let effects = self.alerts.step(self.now, input);
        for effect in effects {
            let AlertEffect::Deliver { sink, delivery } = effect else { continue };
            self.expect(self.in_flight[sink].is_none(), "one delivery is in flight");
            let pause = self.failed[sink].map(|failed| self.now - failed);
            self.expect(pause.is_none_or(|pause| pause >= RETRY.first / 2), "who failed is left alone for a while");
            let current = self.alerts.gates[delivery.gate].current.clone();
            self.expect(current.as_ref() == Some(&delivery.alert), "the newest state is delivered");
            let young = self.incident[delivery.gate].is_some_and(|since| self.now - since < AFTER);
            let early = may_pass(delivery.alert.incident) && !delivery.alert.over && young;
            self.expect(!early, "what may pass is given time");
            let takes = match self.health[sink] {
                Health::Well(millis) | Health::Down(millis) => Duration::from_millis(millis),
                Health::Lying => Duration::from_secs(10),
            };
            self.in_flight[sink] = Some((self.now + takes, delivery, self.health[sink]));
        }
        let spurious = self.alerts.step(self.now, AlertInput::Tick);
        self.expect(spurious.is_empty(), "a spurious tick is a no-op");
    }

    /// Every sink is well for long: what does each believe, and what should it?
    fn settle(&mut self) {
        self.health = [Health::Well(1); SINKS];
        self.pass(AFTER + RETRY.longest * 4);
        for sink in 0..SINKS {
            for gate in 0..GATES {
                let current = self.alerts.gates[gate].current.clone();
                let has = self.has[sink][gate].clone();
                // Of trouble that came and went meanwhile there is nothing to know.
                let is_over = |alert: &Option<Arc<Alert>>| alert.as_ref().is_none_or(|alert| alert.over);
                let like = has.as_ref().zip(current.as_ref()).is_some_and(|(has, current)| has.is_like(current));
                let same = like || (is_over(&has) && is_over(&current));
                self.expect(same, "at rest everybody knows the newest state");
                let open_incident = current.is_some_and(|current| !current.over);
                self.expect(open_incident == self.incident[gate].is_some(), "what is known is what is");
            }
        }
    }
}

fn happening() -> impl Strategy<Value = Happening> {
    let kind = prop::sample::select([&INCIDENTS[..], &[Kind::Recovered]].concat());
    let health =
        prop_oneof![(0..5_000_u64).prop_map(Health::Well), Just(Health::Lying), (0..10_000_u64).prop_map(Health::Down)];
    prop_oneof![
        4 => (0..GATES, kind, 0..3_u8).prop_map(|(gate, kind, content)| Happening::Report(gate, kind, content)),
        2 => (0..SINKS, health).prop_map(|(sink, health)| Happening::Health(sink, health)),
        3 => (0..200_u64).prop_map(Happening::Pass),
        1 => Just(Happening::Tick),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn everybody_knows_the_newest_state_in_the_end(happenings in prop::collection::vec(happening(), 0..40)) {
        let mut world = World::new();
        for happening in happenings {
            world.happen(happening);
        }
        world.settle();
        prop_assert!(world.broken.is_empty(), "{:#?}", world.broken);
    }

    #[test]
    fn a_sink_that_forgets_is_reminded_in_time(seconds in 1..500_u64) {
        let mut world = World::new();
        world.happen(Happening::Report(0, Kind::Rejected, 0));
        let (mut notified, mut last) = (0_u64, world.now);
        for _ in 0..seconds {
            world.pass(Duration::from_secs(1));
            if let Some(at) = world.alerts.sinks[1].notified[0].alert.as_ref().map(|notified| notified.1).filter(|at| *at != last) {
                prop_assert!(at - last <= REPEAT + Duration::from_secs(1));
                (notified, last) = (notified + 1, at);
            }
        }
        prop_assert_eq!(notified, 1 + (seconds - 1) / (REPEAT.as_secs()));
    }
}
