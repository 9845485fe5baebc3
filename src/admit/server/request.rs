//! One request: its body, the threads that validate it, and the answer. IO: reads a body; the clock.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::{Body as _, Incoming};
use hyper::header::{ACCEPT, ALLOW, CONNECTION, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use reload_gate_contract::Verdict;

use super::Webhook;
use super::turn::{Turn, UNIT};
use crate::admit::decision::{self, AdmissionDecision};
use crate::admit::mutation;
use crate::admit::policy;
use crate::admit::review::{Answer, BadReview, CreatedObject, Review, ReviewedObject};
use crate::admit::together::SiblingObjects;
use crate::admit::wording;
use crate::report::log::visible;
use crate::report::metrics::Exposition;
use crate::report::serve::text;
use crate::report::{Event, Kind, Level};
use crate::sys::panics::{self, Panicked};
use crate::sys::worker::{self, WorkError, WorkKind};

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// Bytes that a key takes in a validation beside its content and its share of the body: its entries in the trees and lists.
const KEY_COST: usize = 200;

/// Paths of the webhook: validation, and injection of the sidecar.
const VALIDATE: &str = "/validate";
const MUTATE: &str = "/mutate";

/// Reason why a request gets no answer to a review.
pub(super) enum Refusal {
    TooLarge,
    TooSlow,
    Busy,
    /// The work took longer than the time limit.
    Overrun,
    Lost,
    Bad(BadReview),
    /// The work ended by a bug; with the request, for people.
    Panicked(String, Panicked),
}

impl Refusal {
    /// Returns the reason for metrics.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge => "too-large",
            Self::TooSlow => "too-slow",
            Self::Busy => "busy",
            Self::Overrun => "time-limit",
            Self::Lost | Self::Bad(_) => "bad-request",
            Self::Panicked(..) => "panic",
        }
    }

    pub(super) fn answer(&self, webhook: &Webhook) -> Response<String> {
        let limit = webhook.limits.body;
        let (status, why) = match self {
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, format!("a body has at most {limit} bytes")),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the body came too slowly".to_owned()),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "too many requests at once".to_owned()),
            Self::Overrun => {
                let limit = humantime::format_duration(webhook.limits.time);
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    format!("there is no answer after {limit} (`--time-limit`): the object takes longer"),
                )
            }
            Self::Lost => (StatusCode::BAD_REQUEST, "the body is incomplete".to_owned()),
            Self::Bad(error) => (StatusCode::BAD_REQUEST, error.to_string()),
            // The API server treats it by the `failurePolicy`.
            Self::Panicked(what, panicked) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{what}: {panicked}")),
        };
        let mut answer = text(status, TEXT, why + "\n");
        if !matches!(self, Self::Bad(_) | Self::Panicked(..)) {
            // The rest of the body may be on its way.
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if matches!(self, Self::Busy) {
            // With it the client of the API server asks again, within the time limit of the webhook (`checkWait()` in client-go's
            // `rest/request.go`).
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
    }
}

impl From<WorkError> for Refusal {
    fn from(error: WorkError) -> Self {
        match error {
            WorkError::TimedOut => Self::Overrun,
            WorkError::NotDone => Self::Busy,
        }
    }
}

/// Returns the answer to a request.
pub(super) async fn answer(request: Request<Incoming>, webhook: &Rc<Webhook>, is_secure: bool) -> Response<String> {
    let path = request.uri().path();
    if is_secure && (path == VALIDATE || path == MUTATE) {
        if *request.method() != Method::POST {
            return not_allowed("POST");
        }
        let validates = path == VALIDATE;
        let body = request.into_body();
        return match if validates { review(body, webhook).await } else { inject(body, webhook).await } {
            Ok(response) => text(StatusCode::OK, JSON, response),
            Err(refusal) => {
                webhook.metrics.refused(refusal.reason());
                if let Refusal::Panicked(what, panicked) = &refusal {
                    Webhook::report(&bug(what, panicked));
                }
                refusal.answer(webhook)
            }
        };
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return not_allowed("GET, HEAD");
    }
    match path {
        "/livez" => text(StatusCode::OK, TEXT, "ok\n"),
        "/readyz" if webhook.is_ready.get() => text(StatusCode::OK, TEXT, "ok\n"),
        "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, TEXT, "it ends\n"),
        "/metrics" => {
            let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
            let exposition = Exposition::accepted_by(accept);
            text(StatusCode::OK, exposition.content_type(), webhook.metrics.expose(exposition))
        }
        _ => {
            webhook.metrics.refused("not-found");
            text(StatusCode::NOT_FOUND, TEXT, "there are /validate, /mutate, /metrics, /livez and /readyz\n")
        }
    }
}

fn not_allowed(methods: &'static str) -> Response<String> {
    let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, TEXT, format!("only {methods}\n"));
    refusal.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    refusal
}

/// Share of a request in the bytes of bodies in memory.
struct Buffered<'w> {
    webhook: &'w Webhook,
    bytes: usize,
}

impl Buffered<'_> {
    fn add(&mut self, bytes: usize) -> Result<(), Refusal> {
        let all = self.webhook.buffered.get() + bytes;
        if all > self.webhook.limits.buffered {
            return Err(Refusal::Busy);
        }
        self.webhook.buffered.set(all);
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Buffered<'_> {
    fn drop(&mut self) {
        self.webhook.buffered.set(self.webhook.buffered.get() - self.bytes);
    }
}

/// Reads a body within its limits.
async fn read(mut body: Incoming, buffered: &mut Buffered<'_>) -> Result<Vec<u8>, Refusal> {
    let limit = buffered.webhook.limits.body;
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(Refusal::TooLarge);
    }
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let Ok(data) = frame.map_err(|_| Refusal::Lost)?.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(Refusal::TooLarge);
        }
        buffered.add(data.len())?;
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// Reads a body in time.
async fn read_in_time(body: Incoming, buffered: &mut Buffered<'_>) -> Result<Vec<u8>, Refusal> {
    let limit = buffered.webhook.limits.reading;
    tokio::time::timeout(limit, read(body, buffered)).await.map_err(|_| Refusal::TooSlow)?
}

/// Time limit of a request, from the end of its body.
#[derive(Clone, Copy)]
struct TimeLimit {
    started: Instant,
    limit: Duration,
}

impl TimeLimit {
    fn of(webhook: &Webhook) -> Self {
        Self { started: Instant::now(), limit: webhook.limits.time }
    }

    fn left(self) -> Duration {
        self.limit.saturating_sub(self.started.elapsed())
    }
}

/// Answers a review with the patch that adds the sidecar, if the object asks for one.
async fn inject(body: Incoming, webhook: &Rc<Webhook>) -> Result<String, Refusal> {
    let mut buffered = Buffered { webhook, bytes: 0 };
    let body = read_in_time(body, &mut buffered).await?;
    let time = TimeLimit::of(webhook);
    let turn = webhook.turns.next(body.len(), time.left()).await.ok_or(Refusal::Busy)?;
    let options = webhook.injection.clone();
    let work = move || {
        let answered = panics::contain(|| {
            CreatedObject::parse(&body).map(|created| {
                let answered = mutation::answer(&created, &options);
                (answered.answer.response(&created.uid), answered.outcome, answered.refusal)
            })
        });
        drop(turn);
        answered
    };
    let answered = worker::run(WorkKind::Compute, time.left(), work).await?;
    let answered = answered.map_err(|panicked| Refusal::Panicked("injection into an object".to_owned(), panicked))?;
    let (response, outcome, refusal) = answered.map_err(Refusal::Bad)?;
    webhook.metrics.injected(outcome);
    // Pods are created by controllers, which show the warnings to no person of an answer.
    if let Some((message, help)) = refusal {
        Webhook::report(&Event::new(Kind::Inconclusive).message(message).help(Some(help)));
    }
    Ok(response)
}

/// Answers a review.
async fn review(body: Incoming, webhook: &Rc<Webhook>) -> Result<String, Refusal> {
    let mut buffered = Buffered { webhook, bytes: 0 };
    let body = read_in_time(body, &mut buffered).await?;
    let time = TimeLimit::of(webhook);
    let turn = webhook.turns.next(body.len(), time.left()).await.ok_or(Refusal::Busy)?;
    let parse = move || (panics::contain(|| Review::parse(&body)), turn);
    let (review, turn) = worker::run(WorkKind::Compute, time.left(), parse).await?;
    let review = review.map_err(|panicked| Refusal::Panicked("a review".to_owned(), panicked))?;
    let review = Arc::new(review.map_err(Refusal::Bad)?);
    let (decision, response) = decide(&review, turn, webhook, time).await?;
    webhook.metrics.reviewed(&review, &decision, time.started.elapsed().as_secs_f64());
    if let Some(event) = event(&review, &decision) {
        Webhook::report(&event);
    }
    Ok(response)
}

/// Validates on another thread, within the time that is left.
async fn decide(
    review: &Arc<Review>,
    turn: Turn,
    webhook: &Rc<Webhook>,
    time: TimeLimit,
) -> Result<(AdmissionDecision, String), Refusal> {
    let without_look = || (AdmissionDecision::without_look(), Answer::allowed().response(&review.uid));
    let selected = review.object.as_ref().filter(|_| decision::needs_look(review, webhook.denials));
    let Some(object) = selected else { return Ok(without_look()) };
    let Some(selection) = policy::select(&webhook.rules, review) else { return Ok(without_look()) };
    let SiblingObjects { objects: beside, missing, unread } =
        webhook.siblings.read(&object.namespace, &selection.siblings).await;
    let read = beside.iter().filter_map(|(_, object)| object.as_ref()).map(ReviewedObject::bytes).sum();
    let objects = [Some(object), review.old.as_ref()].into_iter().chain(beside.iter().map(|(_, other)| other.as_ref()));
    let keys: usize = objects.flatten().map(|object| object.contents.len()).sum();
    let cost = keys.saturating_mul(KEY_COST);
    let turn = match read {
        // As few keys as these are not counted, as a small body is not.
        0 if cost < UNIT => turn,
        read => webhook.turns.with_more(turn, read + cost, time.left()).await.ok_or(Refusal::Busy)?,
    };
    let (denials, input, decide) = (webhook.denials, review.clone(), webhook.decide);
    let work = move || {
        let decided = panics::contain(|| {
            let object = input.object.as_ref()?;
            let decision = decide(&input, &selection, &beside, denials).without(missing, unread);
            let response = wording::answer(&decision, object).response(&input.uid);
            Some((decision, response))
        });
        drop(turn);
        decided
    };
    let decided = match worker::run(WorkKind::Compute, time.left(), work).await {
        Ok(Ok(Some(decided))) => decided,
        Ok(Ok(None)) => without_look(),
        Ok(Err(panicked)) => return Err(Refusal::Panicked(request_name(review, object), panicked)),
        Err(error) => {
            let limit = humantime::format_duration(time.limit);
            let decision = AdmissionDecision::open(format!("the validation has no result after {limit}: {error}"));
            let response = wording::answer(&decision, object).response(&review.uid);
            (decision, response)
        }
    };
    Ok(decided)
}

/// Returns the name of a review for people.
fn request_name(review: &Review, object: &ReviewedObject) -> String {
    let dry_run = if review.dry_run { ", a dry run" } else { "" };
    let (operation, uid) = (review.operation.as_str(), visible(&review.uid));
    format!("{operation} of {} (request {uid}{dry_run})", wording::name(object))
}

/// Returns the event for the log about a bug.
pub(super) fn bug(what: &str, panicked: &Panicked) -> Event {
    let message = format!("no answer to {what}: {panicked}");
    let help = concat!(
        "report the bug at ",
        env!("CARGO_PKG_REPOSITORY"),
        "/issues; `failurePolicy` decides about the object"
    );
    Event { level: Level::Error, ..Event::new(Kind::Inconclusive).message(message).help(Some(help.to_owned())) }
}

/// Returns the event for the log about an object that is not accepted.
fn event(review: &Review, decision: &AdmissionDecision) -> Option<Event> {
    let (object, verdict) = review.object.as_ref().zip(decision.verdict)?;
    let kind = match verdict {
        Verdict::Accepted => return None,
        Verdict::Rejected => Kind::Rejected,
        Verdict::Inconclusive => Kind::Inconclusive,
    };
    let done = if decision.is_denied { "denied" } else { "allowed" };
    let message = format!("{done}: {}", request_name(review, object));
    let message = match decision.obstacle().filter(|_| verdict == Verdict::Inconclusive) {
        Some(why) => format!("{message}: {why}"),
        None => message,
    };
    let findings = decision.findings().map(|found| found.finding.clone()).collect();
    let level = if decision.is_denied { Level::Error } else { Level::Warn };
    Some(Event { findings, level, ..Event::new(kind).message(message) })
}
