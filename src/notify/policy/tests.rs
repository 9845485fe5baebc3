use super::*;
use crate::flow::tree::Digest;

const AFTER: Duration = Duration::from_secs(60);

/// One gate and one sink, driven by hand.
struct Table {
    alerts: Alerts,
    now: Instant,
}

impl Table {
    fn new(repeat: Option<Duration>) -> Self {
        Self { alerts: Alerts::new(1, [repeat], AFTER), now: Instant::now() }
    }

    fn step(&mut self, input: AlertInput) -> Vec<String> {
        self.alerts.step(self.now, input).iter().map(shown).collect()
    }

    fn report(&mut self, kind: Kind) -> Vec<String> {
        self.event(Event::new(kind).about(Digest::of(kind.as_str().as_bytes())))
    }

    fn event(&mut self, event: Event) -> Vec<String> {
        self.step(AlertInput::Reported { gate: 0, event, at: SystemTime::UNIX_EPOCH })
    }

    fn done(&mut self, result: Result<(), &str>) -> Vec<String> {
        let result = result.map_err(str::to_owned);
        self.step(AlertInput::Done { sink: 0, result, at: SystemTime::UNIX_EPOCH, chance: 1.0 })
    }

    fn pass(&mut self, time: Duration) -> Vec<String> {
        self.now += time;
        self.step(AlertInput::Tick)
    }
}

fn shown(effect: &AlertEffect) -> String {
    match effect {
        AlertEffect::Deliver { delivery: Delivery { alert, stale, .. }, .. } => {
            let over = if alert.over { "end of " } else { "" };
            let stale: String = stale.iter().map(|(kind, _)| format!(", not {}", kind.as_str())).collect();
            format!("{over}{}{stale}", alert.incident.as_str())
        }
        AlertEffect::Failing { error, .. } => format!("failing: {error}"),
        AlertEffect::Works { .. } => "works".into(),
    }
}

#[test]
fn a_rejection_is_told_at_once_and_once_and_so_is_its_end() {
    let mut table = Table::new(None);
    assert_eq!(table.report(Kind::Started), [""; 0]);
    assert_eq!(table.report(Kind::Rejected), ["rejected"]);
    assert_eq!(table.done(Ok(())), [""; 0]);
    assert_eq!((table.report(Kind::Rejected), table.report(Kind::Unchanged)), (vec![], vec![]));
    assert_eq!(table.report(Kind::Recovered), ["end of rejected, not rejected"]);
    assert_eq!(table.done(Ok(())), [""; 0]);
    assert_eq!((table.pass(AFTER * 100), table.alerts.deadline()), (vec![], None));
}

#[test]
fn a_passing_incident_is_alerted_only_if_it_lasts() {
    for kind in [Kind::Inconclusive, Kind::TargetMissing, Kind::TargetRefused] {
        let mut table = Table::new(None);
        assert_eq!(table.report(kind), [""; 0]);
        assert_eq!(table.alerts.deadline(), Some(table.now + AFTER));
        assert_eq!(table.pass(AFTER - Duration::from_secs(1)), [""; 0]);
        table.report(Kind::Recovered);
        assert_eq!((table.pass(AFTER), table.alerts.deadline()), (vec![], None), "it passed");

        table.report(kind);
        table.pass(AFTER / 2);
        assert_eq!(table.report(Kind::TargetMissing), [""; 0], "one trouble in place of another is no end of trouble");
        assert_eq!(table.pass(AFTER / 2), ["target_missing"]);
        table.done(Ok(()));
        assert_eq!(table.report(Kind::Inconclusive), ["inconclusive, not target_missing"], "it is late already");
    }
}

#[test]
fn an_alert_stays_open_until_its_successor_is_alerted() {
    let mut table = Table::new(None);
    table.report(Kind::Rejected);
    table.done(Ok(()));
    assert_eq!(table.report(Kind::Inconclusive), [""; 0]);
    assert_eq!(table.pass(AFTER), ["inconclusive, not rejected"]);
}

#[test]
fn a_sink_with_one_alert_at_a_time_gets_the_end_of_a_replaced_alert() {
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let alert = |incident, over| Alert { incident, over, event: Event::new(incident), at: at(9), since: at(5) };
    let notified = |alert, stale: &[Kind]| {
        let stale = stale.iter().map(|kind| (*kind, at(1))).collect();
        let alerts = Delivery { gate: 0, alert: Arc::new(alert), stale }.alerts();
        alerts.iter().map(|alert| (alert.incident, alert.over, alert.since)).collect::<Vec<_>>()
    };
    assert_eq!(
        notified(alert(Kind::Unverified, false), &[Kind::Rejected]),
        [(Kind::Rejected, true, at(1)), (Kind::Unverified, false, at(5))]
    );
    assert_eq!(
        notified(alert(Kind::Restored, true), &[Kind::Rejected, Kind::Restored]),
        [(Kind::Rejected, true, at(1)), (Kind::Restored, true, at(5))]
    );
}

#[test]
fn of_many_states_the_newest_is_told() {
    let mut table = Table::new(None);
    assert_eq!(table.report(Kind::Rejected), ["rejected"]);
    table.report(Kind::Unverified);
    table.report(Kind::Restored);
    assert_eq!(table.done(Err("down")), ["failing: down"]);
    let wait = table.alerts.deadline().expect("it is tried again") - table.now;
    assert_eq!(wait, RETRY.first);
    assert_eq!(table.pass(wait), ["restored, not rejected"], "what failed may have arrived");
    assert_eq!(table.done(Err("down still")), [""; 0], "once is enough");
    assert_eq!(table.report(Kind::Recovered), [""; 0]);
    assert_eq!(table.pass(RETRY.first * 2), ["end of restored, not rejected, not restored"]);
    assert_eq!(table.done(Ok(())), ["works"]);
    assert_eq!(table.pass(AFTER), [""; 0]);
}

#[test]
fn a_sink_that_was_never_reached_gets_no_end() {
    let mut table = Table::new(None);
    // Another gate's notice is in flight all the while.
    table.alerts = Alerts::new(2, [None], AFTER);
    table.step(AlertInput::Reported { gate: 1, event: Event::new(Kind::Rejected), at: SystemTime::UNIX_EPOCH });
    table.report(Kind::Rejected);
    table.report(Kind::Recovered);
    assert_eq!(table.done(Ok(())), [""; 0]);
}

#[test]
fn a_sink_that_forgets_gets_open_alerts_again() {
    let repeat = Duration::from_secs(30);
    let mut table = Table::new(Some(repeat));
    table.report(Kind::Rejected);
    table.done(Ok(()));
    assert_eq!(table.pass(repeat), ["rejected"]);
    table.done(Err("down"));
    assert_eq!(table.pass(RETRY.first), ["rejected"]);
    table.done(Ok(()));
    assert_eq!(table.pass(repeat - Duration::from_secs(1)), [""; 0]);
    table.report(Kind::Recovered);
    table.done(Ok(()));
    assert_eq!(table.pass(repeat * 10), [""; 0]);
}

#[test]
fn an_alert_that_is_repeated_has_the_newest_reason() {
    let repeat = Duration::from_secs(30);
    let mut table = Table::new(Some(repeat));
    let event = |message: &str| Event::new(Kind::Unverified).about(Digest::of(b"newest")).message(message);
    assert_eq!(table.event(event("no new worker")), ["unverified"]);
    table.done(Ok(()));
    assert_eq!(table.event(event("it refused the reload")), [""; 0], "the sink has the incident");
    table.now += repeat;
    let effects = table.alerts.step(table.now, AlertInput::Tick);
    let [AlertEffect::Deliver { delivery, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(delivery.alert.event.message.as_deref(), Some("it refused the reload"));
}

#[test]
fn a_restored_alert_ends_when_the_gate_is_live() {
    for end in [Kind::Verified, Kind::Unchanged, Kind::Recovered] {
        let mut table = Table::new(None);
        assert_eq!(table.event(Event::new(Kind::Restored)), ["restored"]);
        table.done(Ok(()));
        assert_eq!(table.report(end), ["end of restored, not restored"], "{end:?}");
    }
    // The report that replaces an unverified revision is open until that is over.
    let mut table = Table::new(None);
    table.event(Event { previous: Some(Digest::of(b"")), ..Event::new(Kind::Restored) });
    table.done(Ok(()));
    assert_eq!(table.report(Kind::Unchanged), [""; 0]);
}

#[test]
fn that_no_proof_was_asked_for_is_no_trouble() {
    let mut table = Table::new(None);
    assert_eq!(table.event(Event { level: Level::Info, ..Event::new(Kind::Unverified) }), [""; 0]);
}

#[test]
fn at_the_end_everything_is_tried_once_more() {
    let mut table = Table::new(Some(AFTER));
    table.report(Kind::Rejected);
    table.done(Err("down"));
    assert_eq!(table.step(AlertInput::Stop), ["rejected"]);
    assert!(!table.alerts.is_done());
    table.done(Err("down"));
    assert!(table.alerts.is_done() && table.alerts.deadline().is_none());
    assert_eq!(table.pass(AFTER * 10), [""; 0]);

    let mut table = Table::new(Some(AFTER));
    table.report(Kind::Rejected);
    table.done(Ok(()));
    assert_eq!(table.step(AlertInput::Stop), [""; 0], "that the gate ends is no end of the trouble");
    assert!(table.alerts.is_done() && table.alerts.deadline().is_none());
}
