//! The server with a validator that panics at some objects.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::connection::{ConnectionActivity, serve};
use super::*;
use crate::sys::panics;

/// The name of an object at which the validator panics, and its words, which quote the object.
const BROKEN: &str = "broken";
const WORDS: &str = "hunter2";

fn panics_at_some(
    review: &Review,
    selection: &SelectedValidation,
    beside: &[BesideObject],
    rules: DenialRules,
) -> AdmissionDecision {
    assert!(review.object.as_ref().is_some_and(|object| object.name != BROKEN), "{WORDS}");
    decision::decide(review, selection, beside, rules)
}

fn webhook() -> Rc<Webhook> {
    webhook_with(WebhookLimits { validations: 2, ..WebhookLimits::default() })
}

fn webhook_with(limits: WebhookLimits) -> Rc<Webhook> {
    let own = OwnAuthority::new(vec!["localhost".to_owned()]).expect("it is made");
    let access =
        ApiAccess { kubeconfig: None, server: String::new(), service_account: PathBuf::new(), namespace: None };
    Rc::new(Webhook {
        decide: panics_at_some,
        rules: Arc::default(),
        siblings: SiblingReader::new(access),
        denials: DenialRules::default(),
        injection: InjectOptions::default(),
        limits,
        metrics: AdmissionMetrics::new(Dropped::default()),
        permits: Arc::new(Semaphore::new(limits.validations)),
        room: Arc::new(Semaphore::new(units(limits.validated))),
        buffered: Cell::new(0),
        acceptor: RefCell::new(TlsAcceptor::from(own.server.server().expect("it is fit"))),
        is_ready: Cell::new(true),
    })
}

/// Sends one request, as over TLS, and returns the whole answer.
fn send(webhook: &Rc<Webhook>, method: &str, path: &str, body: &str) -> String {
    let (mut client, server) = UnixStream::pair().expect("there are descriptors");
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    client.write_all((head + body).as_bytes()).expect("it is open");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
    LocalSet::new().block_on(&runtime, async {
        server.set_nonblocking(true).expect("it is open");
        let stream = tokio::net::UnixStream::from_std(server).expect("it is open");
        serve(stream, webhook.clone(), Rc::new(ConnectionActivity::new()), true).await;
    });
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("it is UTF-8");
    answer
}

fn review(name: &str) -> String {
    let metadata = json!({"name": name, "labels": {"reload-gate.dev/validate": "yaml"}});
    let request = json!({
        "uid": "7", "kind": {"group": "", "version": "v1", "kind": "ConfigMap"}, "operation": "CREATE", "namespace": "web",
        "object": {"metadata": metadata, "data": {"a.yaml": "a: b\n"}},
    });
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).to_string()
}

/// The same with a value of so many bytes.
fn large_review(bytes: usize) -> String {
    review("large").replace("a: b\\n", &format!("a: {}\\n", "b".repeat(bytes)))
}

fn is_allowed(answer: &str) -> bool {
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| serde_json::from_str::<Value>(body));
    answer.starts_with("HTTP/1.1 200 ")
        && body.is_some_and(|body| body.is_ok_and(|body| body["response"]["allowed"] == true))
}

#[test]
fn a_validator_that_panics_ends_its_request_and_no_other() {
    panics::note_in_tests();
    let webhook = webhook();
    // More often than there are places for validations.
    for _ in 0..3 {
        let answer = send(&webhook, "POST", "/validate?timeout=5s", &review(BROKEN));
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        let expected = "create of ConfigMap web/broken (request 7): it ended by a bug at src/admit/server/tests.rs:";
        assert!(answer.contains(expected), "{answer}");
        assert!(!answer.contains(WORDS), "{answer}");
    }
    assert!(is_allowed(&send(&webhook, "POST", "/validate?timeout=5s", &review("whole"))));
    assert!(send(&webhook, "GET", "/livez", "").starts_with("HTTP/1.1 200 "));
    let metrics = send(&webhook, "GET", "/metrics", "");
    assert!(metrics.contains("reload_gate_admission_refused_total{reason=\"panic\"} 3\n"), "{metrics}");
    assert!(metrics.contains("verdict=\"accepted\",decision=\"allowed\",dry_run=\"false\"} 1\n"), "{metrics}");
    assert_eq!(webhook.permits.available_permits(), 2);
    assert_eq!(webhook.buffered.get(), 0);
}

#[test]
fn the_bytes_that_are_validated_at_once_are_bounded() {
    let with_time = |time| webhook_with(WebhookLimits { time, validated: 4 * UNIT, ..WebhookLimits::default() });
    let (patient, hasty) = (with_time(Duration::from_secs(60)), with_time(Duration::from_millis(50)));
    let send = |webhook: &Rc<Webhook>, body: &str| send(webhook, "POST", "/validate?timeout=5s", body);
    let take = |webhook: &Rc<Webhook>| webhook.room.clone().try_acquire_many_owned(3).expect("there is room");
    assert!(is_allowed(&send(&patient, &large_review(2 * UNIT))));
    assert_eq!(patient.room.available_permits(), 4, "the room is free again");
    let taken = (take(&patient), take(&hasty));
    let answer = send(&hasty, &large_review(2 * UNIT));
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
    assert!(is_allowed(&send(&patient, &review("whole"))), "a small one does not wait");
    drop(taken);
    // One that is larger than all of the room is validated alone.
    assert!(is_allowed(&send(&patient, &large_review(6 * UNIT))));
}

#[test]
fn a_bug_is_an_event_with_its_place() {
    let panicked = panics::Panicked { place: "a.rs:1:2".to_owned() };
    let event = request::bug("create of ConfigMap web/nginx (request 7)", &panicked);
    assert_eq!((event.kind, event.level), (Kind::Inconclusive, crate::report::Level::Error));
    let expected = "no answer to create of ConfigMap web/nginx (request 7): it ended by a bug at a.rs:1:2";
    assert_eq!(event.message.as_deref(), Some(expected));
    assert!(event.help.is_some_and(|help| help.starts_with("report the bug at https://")));
}
