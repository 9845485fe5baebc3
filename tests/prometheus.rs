//! The metrics as Prometheus reads them.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Background, Gate, ask, command, eventually, free_port, needs};

/// A gate that has accepted one content and rejected the next, and where it listens.
fn gate(directory: &std::path::Path) -> (Gate, u16) {
    let (watch, port) = (directory.join("config"), free_port());
    std::fs::create_dir(&watch).expect("there is room");
    std::fs::write(watch.join("app.conf"), "good").expect("there is room");
    let (listen, watch_text) = (format!("127.0.0.1:{port}"), watch.to_str().expect("it is UTF-8"));
    let judged = ["--name", "it's \"web\" \\", "--watch", watch_text, "--settle", "20ms", "--listen", &listen];
    let mut gate =
        Gate::run(&[&judged[..], &["--validate", "grep -q good {config}", "--reload-command", "true"]].concat());
    // It is said when the gate is at rest.
    gate.wait_for("unverified");
    std::fs::write(watch.join("app.conf"), "bad").expect("there is room");
    gate.wait_for("rejected");
    eventually("it listens", || ask(port, "GET", "/metrics").is_some());
    (gate, port)
}

#[test]
fn promtool_has_nothing_to_say() {
    needs!("promtool");
    let directory = tempfile::tempdir().expect("there is room");
    let (_gate, port) = gate(directory.path());
    let page = ask(port, "GET", "/metrics").expect("it listens").body;
    assert!(page.lines().count() > 20, "{page}");
    let mut promtool = command("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("it is installed");
    promtool.stdin.take().expect("it is piped").write_all(page.as_bytes()).expect("it reads");
    let output = promtool.wait_with_output().expect("it ends");
    let said = String::from_utf8([output.stdout, output.stderr].concat()).expect("it is UTF-8");
    assert!(output.status.success() && said.is_empty(), "{said}\n{page}");
}

/// The alerts that fire.
fn firing(port: u16) -> Vec<String> {
    let alerts = query(port, "ALERTS{alertstate=\"firing\"}");
    alerts.iter().map(|(labels, _)| labels["alertname"].as_str().unwrap_or_default().to_owned()).collect()
}

/// What Prometheus answers to a query that it must understand.
fn answer(port: u16, query: &str) -> Vec<Value> {
    let escaped = query.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let answer = ask(port, "GET", &format!("/api/v1/query?query={escaped}")).expect("it listens").body;
    let answer: Value = serde_json::from_str(&answer).expect("it is JSON");
    assert_eq!(answer["status"], "success", "{query}: {answer}");
    answer["data"]["result"].as_array().cloned().unwrap_or_default()
}

/// What Prometheus answers to this query: labels and value of each series.
fn query(port: u16, query: &str) -> Vec<(Value, String)> {
    let escaped = query.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let answer = ask(port, "GET", &format!("/api/v1/query?query={escaped}"));
    let answer: Value = answer.and_then(|answer| serde_json::from_str(&answer.body).ok()).unwrap_or_default();
    let series = answer["data"]["result"].as_array().cloned().unwrap_or_default();
    let value = |series: &Value| series["value"][1].as_str().unwrap_or_default().to_owned();
    series.iter().map(|series| (series["metric"].clone(), value(series))).collect()
}

#[test]
fn prometheus_scrapes_them() {
    needs!("prometheus");
    let directory = tempfile::tempdir().expect("there is room");
    let (mut gate, listens) = gate(directory.path());
    let (config, port) = (directory.path().join("prometheus.yml"), free_port());
    let scrape = format!(
        "global: {{ evaluation_interval: 200ms }}\nrule_files: ['{}/deploy/monitoring/reload-gate.rules.yaml']\nscrape_configs:\n  - job_name: gate\n    scrape_interval: 200ms\n    scrape_timeout: 200ms\n    static_configs:\n      - \
         targets: ['127.0.0.1:{listens}']\n",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::write(&config, scrape).expect("there is room");
    let mut prometheus = command("prometheus");
    prometheus.arg(format!("--config.file={}", config.display()));
    prometheus.arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()));
    prometheus.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let _prometheus = Background::start(prometheus.stdout(Stdio::null()).stderr(Stdio::null()));
    let successful = "reload_gate_config_last_reload_successful";
    eventually("the rejection is seen", || query(port, &format!("{successful} == 0")).len() == 1);
    assert_eq!(query(port, successful)[0].0["gate"], "it's \"web\" \\");
    let counted = query(port, "reload_gate_validations_total{verdict=\"rejected\"}");
    assert_eq!(counted.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["1"]);
    let quantile = "histogram_quantile(0.5, reload_gate_validation_duration_seconds_bucket)";
    assert!(query(port, quantile)[0].1.parse::<f64>().is_ok_and(|seconds| seconds > 0.0));
    let kind = ask(port, "GET", "/api/v1/metadata?metric=reload_gate_validations").expect("it listens").body;
    assert!(kind.contains("\"type\":\"counter\""), "it was offered OpenMetrics, and understood it: {kind}");
    eventually("the shipped rule fires", || firing(port) == ["ReloadGateRejected"]);
    for query in crate::alerting::rule_queries() {
        answer(port, &query);
    }
    for query in crate::alerting::dashboard_queries() {
        // There are no alerts where none are configured; an increase needs two samples.
        let shows = || !answer(port, &query).is_empty() || query.contains("reload_gate_alerts_total");
        eventually(&format!("this panel of the dashboard is not empty: {query}"), shows);
    }

    std::fs::write(directory.path().join("config/app.conf"), "good").expect("there is room");
    gate.wait_for("recovered");
    eventually("so is the recovery", || query(port, &format!("{successful} == 1")).len() == 1);
    eventually("the alert resolves", || firing(port).is_empty());
}
