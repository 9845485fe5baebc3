//! The metrics under the names of other reloaders, so that their alerts and dashboards go on.
//!
//! The names and meanings are those of `pkg/reloader/reloader.go` of thanos, which prometheus-config-reloader uses, and of
//! configmap-reload's README.

use std::rc::Rc;
use std::sync::atomic::AtomicU64;
use std::time::UNIX_EPOCH;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};
use reload_gate_contract::Verdict;

use super::{Dialect, Info, Labels, Metrics, OUTCOMES, ReloadOutcome, VERDICTS, labels};
use crate::report::board::StatusBoard;

/// The counts of one gate.
struct Counts {
    reloads: u64,
    failed: u64,
    validations: u64,
    not_accepted: u64,
}

impl Counts {
    fn of(metrics: &Metrics, gate: &str) -> Self {
        let reloads =
            |outcome: ReloadOutcome| metrics.reloads.get_or_create(&labels(gate, "outcome", outcome.as_str())).get();
        let validations =
            |verdict: Verdict| metrics.validations.get_or_create(&labels(gate, "verdict", verdict.as_str())).get();
        Self {
            reloads: OUTCOMES.into_iter().map(reloads).sum(),
            failed: reloads(ReloadOutcome::Failed),
            validations: VERDICTS.into_iter().map(validations).sum(),
            not_accepted: validations(Verdict::Rejected) + validations(Verdict::Inconclusive),
        }
    }
}

/// The metrics of `dialect`; `None` if there are none.
pub(super) fn registry(dialect: &Dialect, metrics: &Metrics, boards: &[Rc<StatusBoard>]) -> Option<Registry> {
    match dialect {
        Dialect::Own => None,
        Dialect::Reloader => Some(reloader(metrics, boards)),
        Dialect::ConfigmapReload(urls) => Some(configmap_reload(metrics, boards, urls)),
    }
}

fn add(registry: &mut Registry, name: &'static str, help: &'static str, metric: impl Metric) {
    registry.register(name, help, metric);
}

fn counter(count: u64) -> Counter {
    let counter = Counter::default();
    counter.inc_by(count);
    counter
}

fn reloader(metrics: &Metrics, boards: &[Rc<StatusBoard>]) -> Registry {
    let counts: Vec<_> = boards.iter().map(|board| Counts::of(metrics, board.gate())).collect();
    let sum = |count: fn(&Counts) -> u64| counter(counts.iter().map(count).sum());
    let mut registry = Registry::with_prefix("reloader");
    add(&mut registry, "reloads", "Number of reload requests", sum(|counts| counts.reloads));
    add(&mut registry, "reloads_failed", "Number of reload requests that failed", sum(|counts| counts.failed));
    add(&mut registry, "config_apply_operations", "Number of validations", sum(|counts| counts.validations));
    add(
        &mut registry,
        "config_apply_operations_failed",
        "Number of validations that did not accept, and of failed reload requests",
        sum(|counts| counts.not_accepted + counts.failed),
    );
    add(&mut registry, "watches", "Number of gates", {
        let watches: Gauge = Gauge::default();
        watches.set(i64::try_from(boards.len()).unwrap_or(i64::MAX));
        watches
    });
    let successes: Vec<_> = boards.iter().map(|board| board.success()).collect();
    // Absent until the first attempt: a pod that starts is no failure.
    if successes.iter().any(|(successful, _)| successful.is_some()) {
        let is_successful = successes.iter().all(|(successful, _)| *successful != Some(false));
        let gauge: Gauge = Gauge::default();
        gauge.set(is_successful.into());
        add(
            &mut registry,
            "last_reload_successful",
            "1 if the last reload attempt of every gate was successful",
            gauge,
        );
    }
    let last = successes.iter().filter_map(|(_, at)| at.as_ref()?.duration_since(UNIX_EPOCH).ok()).max();
    if let Some(last) = last {
        let gauge: Gauge<f64, AtomicU64> = Gauge::default();
        gauge.set(last.as_secs_f64());
        add(&mut registry, "last_reload_success_timestamp_seconds", "Time of the last successful reload", gauge);
    }
    registry
}

fn configmap_reload(metrics: &Metrics, boards: &[Rc<StatusBoard>], urls: &[(String, String)]) -> Registry {
    let (errors, reloads, failures) = (Info::default(), Family::<Labels, Counter>::default(), Family::default());
    for board in boards {
        let Some((gate, url)) = urls.iter().find(|(gate, _)| gate == board.gate()) else { continue };
        let counts = Counts::of(metrics, gate);
        let webhook: Labels = vec![("webhook", url.clone())];
        reloads.get_or_create(&webhook).inc_by(counts.reloads - counts.failed);
        let reason: Labels = vec![("webhook", url.clone()), ("reason", "client_response".to_owned())];
        let failed: &Family<Labels, Counter> = &failures;
        failed.get_or_create(&reason).inc_by(counts.failed);
        if let (Some(successful), _) = board.success() {
            errors.get_or_create(&webhook).set((!successful).into());
        }
    }
    let mut registry = Registry::with_prefix("configmap_reload");
    add(&mut registry, "last_reload_error", "1 if the last reload failed, 0 if not", errors);
    add(&mut registry, "success_reloads", "Number of successful reload requests", reloads);
    add(&mut registry, "request_errors", "Number of failed reload requests, by reason", failures);
    registry
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Exposition;
    use super::*;

    fn page(dialect: Dialect) -> String {
        let metrics = Rc::new(Metrics::new());
        let boards = ["config", "webhook"].map(|gate| Rc::new(StatusBoard::new(gate, metrics.clone())));
        boards[0].count_verdict(Verdict::Accepted);
        boards[0].count_verdict(Verdict::Rejected);
        boards[0].reloaded(ReloadOutcome::Unverified);
        boards[1].reloaded(ReloadOutcome::Verified);
        boards[1].reloaded(ReloadOutcome::Failed);
        boards[1].took(&[("by-name".to_owned(), Duration::from_millis(1))]);
        metrics.speak(dialect);
        metrics.expose(&boards, Exposition::OpenMetrics)
    }

    #[test]
    fn the_names_of_others_are_served_beside_the_own() {
        let reloader = page(Dialect::Reloader);
        for line in [
            "reloader_reloads_total 3",
            "reloader_reloads_failed_total 1",
            "reloader_config_apply_operations_total 2",
            "reloader_config_apply_operations_failed_total 2",
            "reloader_watches 2",
        ] {
            assert!(reloader.lines().any(|other| other == line), "{line}:\n{reloader}");
        }
        assert!(reloader.contains("reload_gate_reloads_total{"), "{reloader}");
        assert!(reloader.ends_with("# EOF\n") && reloader.matches("# EOF").count() == 1, "{reloader}");
        let labels = vec![("webhook".to_owned(), "http://h/".to_owned())];
        let webhook = page(Dialect::ConfigmapReload(labels));
        for line in [
            "configmap_reload_success_reloads_total{webhook=\"http://h/\"} 1",
            "configmap_reload_request_errors_total{webhook=\"http://h/\",reason=\"client_response\"} 1",
        ] {
            assert!(webhook.lines().any(|other| other == line), "{line}:\n{webhook}");
        }
        assert!(!page(Dialect::Own).contains("reloader_"));
    }
}
