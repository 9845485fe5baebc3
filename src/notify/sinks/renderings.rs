use std::sync::Arc;
use std::time::UNIX_EPOCH;

use reload_gate_contract::{Code, Finding, Place};
use serde_json::Value;

use super::*;
use crate::flow::tree::Digest;
use crate::notify::policy::*;
use crate::notify::wording;
use crate::report::{Event, Kind};

fn subject() -> (String, Vec<(String, String)>) {
    ("web".into(), vec![("pod".into(), "web-0".into()), ("team".into(), "a & b".into())])
}

fn rejected() -> Alert {
    let finding = |line| {
        let message = "unknown directive \"<lisen>\" ``` \u{1b}[2J";
        let finding = Finding::error(Code::new("checker-error"), message);
        finding.at(Place::line("nginx.conf", line)).help("did you mean `listen`?")
    };
    let event = Event {
        findings: vec![finding(3), finding(5)],
        ..Event::new(Kind::Rejected).about(Digest::of(b"new")).message("nginx.conf:3: unknown directive (and 1 more)")
    };
    let at = UNIX_EPOCH + Duration::from_secs(60);
    Alert { incident: Kind::Rejected, over: false, event, at, since: UNIX_EPOCH }
}

fn recovered() -> Alert {
    let event = Event::new(Kind::Recovered).about(Digest::of(b"old")).message("`rejected` is over");
    Alert { over: true, event, ..rejected() }
}

fn pretty(body: &Value) -> String {
    serde_json::to_string_pretty(body).expect("it is JSON")
}

/// The bodies for an incident and for its end, as text.
fn both(render: impl Fn(Subject<'_>, &Delivery) -> Value) -> String {
    let (gate, labels) = subject();
    let bodies = [(rejected(), vec![Kind::Inconclusive]), (recovered(), vec![Kind::Rejected])].map(|(alert, stale)| {
        let stale = stale.into_iter().map(|kind| (kind, UNIX_EPOCH)).collect();
        let delivery = Delivery { gate: 0, alert: Arc::new(alert), stale };
        pretty(&render(Subject { gate: &gate, labels: &labels }, &delivery))
    });
    bodies.join("\n")
}

#[test]
fn a_webhook_is_sent_what_is_documented() {
    insta::assert_snapshot!(both(|subject, delivery| webhook::body(subject, &delivery.alert)));
}

#[test]
fn a_chat_is_sent_text_in_which_nothing_is_markup_that_is_not_ours() {
    insta::assert_snapshot!(both(|subject, delivery| slack::body(subject, &delivery.alert)));
}

#[test]
fn teams_are_sent_a_card_in_which_nothing_is_markup() {
    insta::assert_snapshot!(both(|subject, delivery| teams::body(subject, &delivery.alert)));
}

#[test]
fn alertmanager_is_sent_what_stands_and_what_does_not() {
    let now = UNIX_EPOCH + Duration::from_secs(120);
    insta::assert_snapshot!(both(|subject, delivery| {
        alertmanager::body(subject, delivery, now, Duration::from_secs(60))
    }));
}

#[test]
fn no_body_is_of_any_length() {
    let long = "x".repeat(100_000);
    let finding = Finding::error(Code::new("checker-error"), long.clone()).help(long.clone());
    let event = Event {
        findings: vec![finding; 1000],
        changed: vec!["x".repeat(1000).into(); 1000],
        ..Event::new(Kind::Rejected).message(long)
    };
    let alert = Alert { event, ..rejected() };
    let (gate, labels) = subject();
    let body = webhook::body(Subject { gate: &gate, labels: &labels }, &alert).to_string();
    assert!(body.len() < 100_000, "{}", body.len());
    let description = wording::description(&alert);
    assert!(description.ends_with("\nand 980 more") && description.len() <= 3000, "{description}");
}
