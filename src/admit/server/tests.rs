//! The server with a validator that panics at some objects.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Condvar, Mutex};

use serde_json::{Value, json};

use super::connection::{ConnectionActivity, serve};
use super::turn::UNIT;
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
    webhook_with(panics_at_some, WebhookLimits { validations: 2, ..WebhookLimits::default() })
}

fn webhook_with(decide: Decide, limits: WebhookLimits) -> Rc<Webhook> {
    let own = OwnAuthority::new(vec!["localhost".to_owned()]).expect("it is made");
    let access =
        ApiAccess { kubeconfig: None, server: String::new(), service_account: PathBuf::new(), namespace: None };
    Rc::new(Webhook {
        decide,
        rules: Arc::default(),
        siblings: SiblingReader::new(access),
        denials: DenialRules::default(),
        injection: InjectOptions::default(),
        limits,
        metrics: AdmissionMetrics::new(Dropped::default()),
        turns: Turns::new(&limits),
        buffered: Cell::new(0),
        acceptor: RefCell::new(TlsAcceptor::from(own.server.server().expect("it is fit"))),
        is_ready: Cell::new(true),
    })
}

/// A connection, as over TLS, with one request, whose answer comes through the channel.
fn connect(method: &str, path: &str, body: &str) -> (UnixStream, Receiver<String>) {
    let (mut client, server) = UnixStream::pair().expect("there are descriptors");
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    let (request, (report, answer)) = (head + body, channel());
    // A large body has no room in the socket: it is written while the server reads.
    std::thread::spawn(move || {
        client.write_all(request.as_bytes()).expect("it is open");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("it is UTF-8");
        report.send(answer).expect("it is waited for");
    });
    (server, answer)
}

async fn answer_on(server: UnixStream, webhook: Rc<Webhook>) {
    server.set_nonblocking(true).expect("it is open");
    let stream = tokio::net::UnixStream::from_std(server).expect("it is open");
    serve(stream, webhook, Rc::new(ConnectionActivity::new()), true).await;
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
    LocalSet::new().block_on(&runtime, future)
}

/// Sends one request and returns the whole answer.
fn send(webhook: &Rc<Webhook>, method: &str, path: &str, body: &str) -> String {
    let (server, answer) = connect(method, path, body);
    block_on(answer_on(server, webhook.clone()));
    answer.recv().expect("there is one")
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
    assert_eq!(webhook.turns.free().0, 2);
    assert_eq!(webhook.buffered.get(), 0);
}

/// Validations of large objects at once now, and the most so far.
static VALIDATED: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
/// True once they may end.
static MAY_END: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

/// Validates large objects when they may end.
fn holds_large(
    review: &Review,
    selection: &SelectedValidation,
    beside: &[BesideObject],
    rules: DenialRules,
) -> AdmissionDecision {
    if review.object.as_ref().is_some_and(|object| object.name == "large") {
        MOST.fetch_max(VALIDATED.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let may_end = MAY_END.0.lock().expect("nothing panics");
        drop(MAY_END.1.wait_while(may_end, |may_end| !*may_end).expect("nothing panics"));
        VALIDATED.fetch_sub(1, Ordering::SeqCst);
    }
    decision::decide(review, selection, beside, rules)
}

#[test]
fn the_bytes_that_are_validated_at_once_are_bounded() {
    let limits = WebhookLimits { time: Duration::from_secs(60), validations: 9, ..WebhookLimits::default() };
    let webhook = webhook_with(holds_large, WebhookLimits { validated: 5 * UNIT, ..limits });
    let body = large_review(UNIT + UNIT / 2);
    let answers = block_on(async {
        let large: Vec<_> = (0..6).map(|_| connect("POST", "/validate", &body)).collect();
        let (servers, answers): (Vec<_>, Vec<_>) = large.into_iter().unzip();
        let served: Vec<_> =
            servers.into_iter().map(|server| tokio::task::spawn_local(answer_on(server, webhook.clone()))).collect();
        while webhook.buffered.get() < 6 * body.len() || VALIDATED.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        // A small one does not wait behind them.
        let (server, small) = connect("POST", "/validate", &review("whole"));
        answer_on(server, webhook.clone()).await;
        let small = small.recv().expect("there is one");
        assert!(is_allowed(&small), "{small}");
        *MAY_END.0.lock().expect("nothing panics") = true;
        MAY_END.1.notify_all();
        for served in served {
            served.await.expect("nothing panics");
        }
        answers
    });
    for answer in answers {
        let answer = answer.recv().expect("there is one");
        assert!(is_allowed(&answer), "{answer}");
    }
    assert_eq!(MOST.load(Ordering::SeqCst), 2, "two have four of five units");
    assert_eq!(webhook.turns.free(), (9, 5), "all is free again");
}

#[test]
fn a_request_without_room_in_time_is_asked_again_later() {
    let limits = WebhookLimits { time: Duration::from_millis(50), validated: 4 * UNIT, ..WebhookLimits::default() };
    let webhook = webhook_with(panics_at_some, limits);
    let turn = block_on(webhook.turns.next(3 * UNIT, Duration::from_secs(60))).expect("there is room");
    let answer = send(&webhook, "POST", "/validate", &large_review(UNIT));
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
    drop(turn);
}

#[test]
fn work_that_takes_too_long_is_not_called_too_many_requests() {
    use crate::sys::worker::WorkError;

    let webhook = webhook();
    for (error, reason, message, is_retried) in [
        (
            WorkError::TimedOut,
            "time-limit",
            "there is no answer after 4s (`--time-limit`): the object takes longer\n",
            false,
        ),
        (WorkError::NotDone, "busy", "too many requests at once\n", true),
    ] {
        let refusal = request::Refusal::from(error);
        let answer = refusal.answer(&webhook);
        assert_eq!((refusal.reason(), answer.status().as_u16(), answer.body().as_str()), (reason, 503, message));
        assert_eq!(answer.headers().contains_key("retry-after"), is_retried, "{reason}");
    }
}

#[test]
fn a_body_that_is_larger_than_all_the_room_is_validated_alone() {
    let limits = WebhookLimits { time: Duration::from_secs(60), validated: 4 * UNIT, ..WebhookLimits::default() };
    let webhook = webhook_with(panics_at_some, limits);
    let answer = send(&webhook, "POST", "/validate", &large_review(6 * UNIT));
    assert!(is_allowed(&answer), "{answer}");
    let (turn, more) = block_on(async {
        let turn = webhook.turns.next(UNIT, limits.time).await.expect("there is room");
        // Another one that waits for its share of the room does not prevent that it gets more.
        let turn = webhook.turns.with_more(turn, 6 * UNIT, limits.time).await.expect("there is room");
        (turn, webhook.turns.next(UNIT, Duration::ZERO).await)
    });
    assert!(more.is_none(), "it has all of the room");
    drop(turn);
    assert_eq!(webhook.turns.free().1, 4);
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
