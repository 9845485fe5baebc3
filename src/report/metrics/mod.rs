//! The metrics of all gates: OpenMetrics 1.0, or the older text format of Prometheus. IO: reads the
//! clock.

mod dialect;
mod process;

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, UNIX_EPOCH};

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};
use reload_gate_contract::Verdict;

use super::board::StatusBoard;
use super::log::Dropped;
use super::status::RolloutStatus;

type Labels = Vec<(&'static str, String)>;
type Info = Family<Labels, Gauge>;
type Seconds = Family<Labels, Gauge<f64, AtomicU64>>;

/// From a validation in this process to one that imports an application.
const BUCKETS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

const VERDICTS: [Verdict; 3] = [Verdict::Accepted, Verdict::Rejected, Verdict::Inconclusive];
const OUTCOMES: [ReloadOutcome; 3] = [ReloadOutcome::Verified, ReloadOutcome::Unverified, ReloadOutcome::Failed];

/// The outcome of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadOutcome {
    /// It is verified.
    Verified,
    /// It is not verified, or no verification is configured.
    Unverified,
    /// The signal or the request failed.
    Failed,
}

impl ReloadOutcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Unverified => "unverified",
            Self::Failed => "failed",
        }
    }
}

/// The format of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The text format of Prometheus, version 0.0.4.
    Prometheus,
}

impl Exposition {
    /// Returns the best format for a client that sends this `Accept`.
    #[must_use]
    pub fn accepted_by(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The media type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Another reloader, under whose names the metrics are served as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// None.
    #[default]
    Own,
    /// `reloader_…` of prometheus-config-reloader.
    Reloader,
    /// `configmap_reload_…`, with the URL of each gate.
    ConfigmapReload(Vec<(String, String)>),
}

/// The metrics of all gates.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    validations: Family<Labels, Counter>,
    durations: Family<Labels, Histogram, fn() -> Histogram>,
    unchanged: Family<Labels, Counter>,
    reloads: Family<Labels, Counter>,
    restarts: Family<Labels, Counter>,
    lingering: Info,
    alerts: Family<Labels, Counter>,
    dropped: Counter,
    /// The counter that `dropped` follows.
    log: OnceCell<Dropped>,
    dialect: OnceCell<Dialect>,
    // The values of the boards are set when they are read.
    successful: Info,
    succeeded: Seconds,
    contents: Info,
    diverged: Seconds,
    modes: Info,
    incident: Info,
    rollout: Info,
    rollout_pods: Info,
}

impl Metrics {
    /// Creates metrics without any count.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("reload_gate");
        let durations: Family<Labels, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(BUCKETS));
        let metrics = Self {
            successful: add(&mut registry, SUCCESSFUL, Family::default()),
            succeeded: add(&mut registry, SUCCEEDED, Family::default()),
            validations: add(&mut registry, VALIDATIONS, Family::default()),
            durations: add(&mut registry, DURATIONS, durations),
            unchanged: add(&mut registry, UNCHANGED, Family::default()),
            reloads: add(&mut registry, RELOADS, Family::default()),
            restarts: add(&mut registry, RESTARTS, Family::default()),
            lingering: add(&mut registry, LINGERING, Family::default()),
            alerts: add(&mut registry, ALERTS, Family::default()),
            dropped: add_dropped(&mut registry),
            log: OnceCell::new(),
            dialect: OnceCell::new(),
            contents: add(&mut registry, CONTENTS, Family::default()),
            diverged: add(&mut registry, DIVERGED, Family::default()),
            modes: add(&mut registry, MODES, Family::default()),
            incident: add(&mut registry, STANDING, Family::default()),
            rollout: add(&mut registry, ROLLOUT, Family::default()),
            rollout_pods: add(&mut registry, ROLLOUT_PODS, Family::default()),
            registry: Registry::default(),
        };
        add_build(&mut registry);
        Self { registry, ..metrics }
    }

    /// Starts the counters of `gate` at zero, so that the first count is an increase.
    pub(super) fn begin(&self, gate: &str) {
        for verdict in VERDICTS {
            drop(self.validations.get_or_create(&labels(gate, "verdict", verdict.as_str())));
        }
        for outcome in OUTCOMES {
            drop(self.reloads.get_or_create(&labels(gate, "outcome", outcome.as_str())));
        }
        drop(self.unchanged.get_or_create(&of(gate)));
        drop(self.restarts.get_or_create(&of(gate)));
    }

    pub(super) fn unchanged(&self, gate: &str) {
        self.unchanged.get_or_create(&of(gate)).inc();
    }

    pub(super) fn count_verdict(&self, gate: &str, verdict: Verdict) {
        self.validations.get_or_create(&labels(gate, "verdict", verdict.as_str())).inc();
    }

    pub(super) fn took(&self, gate: &str, took: &[(String, Duration)]) {
        for (validator, duration) in took {
            self.durations.get_or_create(&labels(gate, "validator", validator)).observe(duration.as_secs_f64());
        }
    }

    pub(super) fn reloaded(&self, gate: &str, outcome: ReloadOutcome) {
        self.reloads.get_or_create(&labels(gate, "outcome", outcome.as_str())).inc();
    }

    pub(super) fn target_lost(&self, gate: &str) {
        self.restarts.get_or_create(&of(gate)).inc();
    }

    pub(super) fn lingering(&self, gate: &str, workers: usize) {
        self.lingering.get_or_create(&of(gate)).set(i64::try_from(workers).unwrap_or(i64::MAX));
    }

    /// Starts the counters of `sink` at zero.
    pub fn begin_alerts(&self, sink: &str) {
        for delivered in [true, false] {
            drop(self.alerts.get_or_create(&alert_labels(sink, delivered)));
        }
    }

    /// Counts a delivery to `sink`.
    pub fn alerted(&self, sink: &str, delivered: bool) {
        self.alerts.get_or_create(&alert_labels(sink, delivered)).inc();
    }

    /// Counts the lines that the log has dropped.
    pub fn count_dropped_lines(&self, log: Dropped) {
        // There is one log in a process.
        let _ = self.log.set(log);
    }

    /// Serves the metrics under the names of another reloader as well.
    pub fn speak(&self, dialect: Dialect) {
        // It is set once, at the start.
        let _ = self.dialect.set(dialect);
    }

    /// Returns all metrics as text, with the present values of `boards`.
    #[must_use]
    pub fn expose(&self, boards: &[Rc<StatusBoard>], exposition: Exposition) -> String {
        [&self.successful, &self.contents, &self.modes, &self.incident, &self.rollout]
            .into_iter()
            .for_each(Family::clear);
        for board in boards {
            self.take_down(board);
        }
        let dropped = self.log.get().map_or(0, Dropped::count);
        self.dropped.inc_by(dropped.saturating_sub(self.dropped.get()));
        let others = self.dialect.get().and_then(|dialect| dialect::registry(dialect, self, boards));
        let registries: Vec<&Registry> = std::iter::once(&self.registry).chain(&others).collect();
        exposed(&registries, exposition)
    }

    fn take_down(&self, board: &StatusBoard) {
        let gate = board.gate();
        let (successful, succeeded) = board.success();
        if let Some(successful) = successful {
            self.successful.get_or_create(&of(gate)).set(successful.into());
        }
        if let Some(since_epoch) = succeeded.and_then(|at| at.duration_since(UNIX_EPOCH).ok()) {
            self.succeeded.get_or_create(&of(gate)).set(since_epoch.as_secs_f64());
        }
        for (state, digest) in board.contents() {
            if let Some(digest) = digest {
                let mut labels = labels(gate, "state", state);
                labels.push(("digest", digest.to_string()));
                self.contents.get_or_create(&labels).set(1);
            }
        }
        self.diverged.get_or_create(&of(gate)).set(board.diverged().as_secs_f64());
        self.modes.get_or_create(&labels(gate, "mode", board.mode().as_str())).set(1);
        if let Some(rollout) = board.rollout() {
            self.take_down_rollout(gate, &rollout);
        }
        if let Some(kind) = board.incident() {
            self.incident.get_or_create(&labels(gate, "event", kind.as_str())).set(1);
        }
    }
}

impl Metrics {
    fn take_down_rollout(&self, gate: &str, rollout: &RolloutStatus) {
        let mut of_group = of(gate);
        of_group.push(("group", rollout.group.clone()));
        let phase = if rollout.lost.is_some() { "lost" } else { &rollout.phase };
        let phase = if rollout.paused { "paused" } else { phase };
        let mut labels = of_group.clone();
        labels.push(("phase", phase.to_owned()));
        self.rollout.get_or_create(&labels).set(1);
        for (state, pods) in [("verified", rollout.verified), ("unproven", rollout.unproven), ("all", rollout.pods)] {
            let mut labels = of_group.clone();
            labels.push(("state", state.to_owned()));
            self.rollout_pods.get_or_create(&labels).set(i64::try_from(pods).unwrap_or(i64::MAX));
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// A name without the prefix and `_total`, and its help; the encoder adds the full stop.
type Described = (&'static str, &'static str);

const SUCCESSFUL: Described =
    ("config_last_reload_successful", "1 if the newest configuration that could be tried is live, 0 if not");
const SUCCEEDED: Described = (
    "config_last_reload_success_timestamp_seconds",
    "Time at which a configuration last became live, in seconds since the epoch",
);
const VALIDATIONS: Described = ("validations", "Number of validations, by verdict");
const DURATIONS: Described = ("validation_duration_seconds", "Duration of a validator");
const UNCHANGED: Described = ("unchanged", "Number of wake-ups with an unchanged configuration");
const RELOADS: Described = ("reloads", "Number of reloads, by outcome");
const RESTARTS: Described = ("target_restarts", "Number of times that the target process ended or was replaced");
const LINGERING: Described =
    ("lingering_workers", "Number of workers that are left of earlier reloads, at the last look");
const ALERTS: Described = ("alerts", "Number of deliveries to a sink of alerts, by outcome");
const DROPPED: Described =
    ("log_lines_dropped", "Number of log lines that were dropped because standard error did not take them");
const CONTENTS: Described = ("config_info", "Digests of the desired, the validated and the running revision");
const DIVERGED: Described = ("diverged_seconds", "Time for which the desired revision has not been known to run");
const MODES: Described = ("watch_mode_info", "Way in which changes are noticed");
const STANDING: Described =
    ("standing_info", "Open incident: the event that reported why the desired revision is not known to run");
const ROLLOUT: Described = ("rollout_info", "Progress of the roll-out of the group of pods, as this pod knows it");
const ROLLOUT_PODS: Described = ("rollout_pods", "Number of pods in the roll-out, by state, as this pod knows it");
const BUILD: Described = ("build_info", "Version of reload-gate");

fn add<M: Metric + Clone>(registry: &mut Registry, (name, help): Described, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

fn of(gate: &str) -> Labels {
    vec![("gate", gate.to_owned())]
}

fn labels(gate: &str, name: &'static str, value: &str) -> Labels {
    vec![("gate", gate.to_owned()), (name, value.to_owned())]
}

fn alert_labels(sink: &str, delivered: bool) -> Labels {
    let outcome = if delivered { "delivered" } else { "failed" };
    vec![("sink", sink.to_owned()), ("outcome", outcome.to_owned())]
}

/// Adds the counter of dropped log lines to a registry.
pub fn add_dropped(registry: &mut Registry) -> Counter {
    add(registry, DROPPED, Counter::default())
}

/// Adds the version of the program to a registry.
pub fn add_build(registry: &mut Registry) {
    let build: Info = Family::default();
    let revision = option_env!("RELOAD_GATE_REVISION").unwrap_or("unknown");
    let labels = vec![("version", env!("CARGO_PKG_VERSION").to_owned()), ("revision", revision.to_owned())];
    build.get_or_create(&labels).set(1);
    add(registry, BUILD, build);
}

/// Returns the metrics of registries, and those of the process, as text.
#[must_use]
pub fn exposed(registries: &[&Registry], exposition: Exposition) -> String {
    let mut written = String::new();
    let process = process::registry();
    for registry in registries.iter().copied().chain([&process]) {
        written.truncate(written.trim_end_matches("# EOF\n").len());
        // A String takes every write.
        let _ = text::encode(&mut written, registry);
    }
    match exposition {
        Exposition::OpenMetrics => written,
        Exposition::Prometheus => older(&written),
    }
}

/// Converts OpenMetrics to the older format, in which a counter is described by the name of its samples.
fn older(open_metrics: &str) -> String {
    let mut written = String::with_capacity(open_metrics.len() + 64);
    let mut lines = open_metrics.lines().peekable();
    while let Some(line) = lines.next() {
        let kind = lines.peek().filter(|_| line.starts_with("# HELP ")).unwrap_or(&line);
        let mut words = line.splitn(4, ' ');
        match [words.next(), words.next(), words.next(), words.next()] {
            [Some("#"), Some("EOF"), ..] => {}
            [Some("#"), Some(what), Some(name), Some(rest)] if kind.ends_with(" counter") => {
                written += &format!("# {what} {name}_total {rest}\n");
            }
            _ => written.extend([line, "\n"]),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Event, Kind};

    #[test]
    fn the_older_format_names_counters_as_their_samples() {
        let written = "# HELP a_b What counter.\n# TYPE a_b counter\na_b_total{c=\"# EOF\"} 1\n# HELP d It is a counter\n# TYPE d \
                       gauge\nd 2\n# EOF\n";
        let expected = "# HELP a_b_total What counter.\n# TYPE a_b_total counter\na_b_total{c=\"# EOF\"} 1\n# HELP d It is a \
                        counter\n# TYPE d gauge\nd 2\n";
        assert_eq!(older(written), expected);
    }

    #[test]
    fn the_newer_format_is_for_those_who_accept_it() {
        for (accept, expected) in [
            ("", Exposition::Prometheus),
            ("*/*", Exposition::Prometheus),
            ("text/plain;version=0.0.4", Exposition::Prometheus),
            (
                "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Exposition::OpenMetrics,
            ),
        ] {
            assert_eq!(Exposition::accepted_by(accept), expected, "{accept}");
        }
    }

    #[test]
    fn no_gate_is_counted_as_another_and_no_name_breaks_a_line() {
        let metrics = Rc::new(Metrics::new());
        let boards = ["one", "a\"b\\c\nd"].map(|gate| Rc::new(StatusBoard::new(gate, metrics.clone())));
        boards[1].report(&Event::new(Kind::Unchanged));
        boards[1].count_verdict(Verdict::Rejected);
        boards[1].took(&[("nginx".to_owned(), Duration::from_millis(3))]);
        let page = metrics.expose(&boards, Exposition::OpenMetrics);
        for line in [
            "reload_gate_unchanged_total{gate=\"one\"} 0",
            r#"reload_gate_unchanged_total{gate="a\"b\\c\nd"} 1"#,
            r#"reload_gate_validations_total{gate="a\"b\\c\nd",verdict="rejected"} 1"#,
            "reload_gate_validations_total{gate=\"one\",verdict=\"rejected\"} 0",
            r#"reload_gate_validation_duration_seconds_bucket{le="0.005",gate="a\"b\\c\nd",validator="nginx"} 1"#,
            r#"reload_gate_validation_duration_seconds_bucket{le="0.0025",gate="a\"b\\c\nd",validator="nginx"} 0"#,
        ] {
            assert!(page.lines().any(|other| other == line), "{line}:\n{page}");
        }
        assert!(page.ends_with("# EOF\n"));
        let begins = |line: &str| ["# ", "reload_gate_", "process_"].iter().any(|word| line.starts_with(word));
        assert!(page.lines().all(begins), "{page}");
    }
}
