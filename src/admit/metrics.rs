//! The metrics of the webhook.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::certificate::KeyPair;
use super::decision::AdmissionDecision;
use super::mutation::InjectionOutcome;
use super::review::Review;
use crate::report::log::Dropped;
use crate::report::metrics::{self, Exposition};

type CounterLabels = Vec<(&'static str, String)>;

/// From a small file to the longest time that an API server waits by default.
const BUCKETS: [f64; 11] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

/// Reasons for which a request is refused.
pub const REFUSALS: [&str; 8] =
    ["bad-request", "too-large", "too-slow", "busy", "time-limit", "not-found", "handshake", "panic"];

/// Counters of the webhook.
#[derive(Debug)]
pub struct AdmissionMetrics {
    registry: Registry,
    reviews: Family<CounterLabels, Counter>,
    durations: Histogram,
    refused: Family<CounterLabels, Counter>,
    connections: Gauge,
    injections: Family<CounterLabels, Counter>,
    reloads: Family<CounterLabels, Counter>,
    failing: Gauge,
    expiry: Gauge,
    dropped: Counter,
    log: Dropped,
}

impl AdmissionMetrics {
    /// Creates metrics without any count, which follow the lines that the log drops.
    #[must_use]
    pub fn new(log: Dropped) -> Self {
        let mut registry = Registry::with_prefix("reload_gate");
        let (reviews, refused, reloads) =
            (Family::default(), Family::<CounterLabels, Counter>::default(), Family::default());
        let injections = Family::<CounterLabels, Counter>::default();
        registry.register(
            "admission_injections",
            "Objects that an API server asked to inject into",
            injections.clone(),
        );
        let (durations, connections) = (Histogram::new(BUCKETS), Gauge::default());
        let (failing, expiry) = (Gauge::default(), Gauge::default());
        for reason in REFUSALS {
            drop(refused.get_or_create(&vec![("reason", reason.to_owned())]));
        }
        registry.register("admission_reviews", "Objects that an API server asked about", reviews.clone());
        registry.register(
            "admission_duration_seconds",
            "Time from the end of a request to its answer",
            durations.clone(),
        );
        registry.register("admission_refused", "Requests without an answer to a review, by reason", refused.clone());
        registry.register("admission_connections", "Open connections", connections.clone());
        registry.register("admission_certificate_reads", "Changes of the certificate, by outcome", reloads.clone());
        registry.register(
            "admission_certificate_stale",
            "1 while the newest certificate is unfit, or the API server does not know it",
            failing.clone(),
        );
        registry.register(
            "admission_certificate_expiry_timestamp_seconds",
            "Time at which the certificate that is served expires",
            expiry.clone(),
        );
        let dropped = metrics::add_dropped(&mut registry);
        metrics::add_build(&mut registry);
        Self { registry, reviews, durations, refused, connections, injections, reloads, failing, expiry, dropped, log }
    }

    /// Counts a review with its decision.
    pub fn reviewed(&self, review: &Review, decision: &AdmissionDecision, seconds: f64) {
        let kind = review.object.as_ref().map_or("other", |object| object.kind());
        let labels = vec![
            ("kind", kind.to_owned()),
            ("operation", review.operation.as_str().to_owned()),
            ("verdict", decision.verdict.map_or("skipped", |verdict| verdict.as_str()).to_owned()),
            ("decision", if decision.is_denied { "denied" } else { "allowed" }.to_owned()),
            ("dry_run", review.dry_run.to_string()),
        ];
        self.reviews.get_or_create(&labels).inc();
        self.durations.observe(seconds);
    }

    /// Counts a request for a sidecar.
    pub fn injected(&self, outcome: InjectionOutcome) {
        self.injections.get_or_create(&vec![("outcome", outcome.as_str().to_owned())]).inc();
    }

    /// Counts a request that got no answer to a review.
    pub fn refused(&self, reason: &str) {
        self.refused.get_or_create(&vec![("reason", reason.to_owned())]).inc();
    }

    /// Sets the number of open connections.
    pub fn connected(&self, count: usize) {
        self.connections.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts a reading of a changed certificate.
    pub fn certificate_read(&self, is_fit: bool) {
        let outcome = if is_fit { "read" } else { "failed" };
        self.reloads.get_or_create(&vec![("outcome", outcome.to_owned())]).inc();
        self.failing.set(i64::from(!is_fit));
    }

    /// Notes the certificate that is served from now on.
    pub fn serves(&self, pair: &KeyPair) {
        if let Some(served) = pair.served() {
            self.expiry.set(served.not_after);
        }
    }

    /// Notes that the configuration of the API server has the own authority, or cannot be given it.
    pub fn registered(&self, is_registered: bool) {
        self.failing.set(i64::from(!is_registered));
    }

    /// Returns all metrics as text.
    #[must_use]
    pub fn expose(&self, exposition: Exposition) -> String {
        self.dropped.inc_by(self.log.count().saturating_sub(self.dropped.get()));
        metrics::exposed(&[&self.registry], exposition)
    }
}
