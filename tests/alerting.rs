//! What is shipped for operations (`deploy/monitoring`): rules, a dashboard, and a page for each alert.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use regex::Regex;
use serde_json::Value;

use crate::support::{command, needs};

const RULES: &str = "deploy/monitoring/reload-gate.rules.yaml";

/// The alerts that the gate sends by itself, and no rule does.
const SENT: [&str; 6] = [
    "ReloadGateRejected",
    "ReloadGateInconclusive",
    "ReloadGateUnverified",
    "ReloadGateRestored",
    "ReloadGateTargetMissing",
    "ReloadGateTargetRefused",
];

pub(crate) fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The values of this key in the rules, in order.
fn rules(key: &str) -> Vec<String> {
    let key = format!("{key}: ");
    let value = |line: &str| Some(line.trim_start_matches([' ', '-']).strip_prefix(&key)?.to_owned());
    read(RULES).lines().filter_map(value).collect()
}

/// The queries of the rules.
pub(crate) fn rule_queries() -> Vec<String> {
    rules("expr")
}

/// The queries of the dashboard, with a value for each of its variables.
pub(crate) fn dashboard_queries() -> Vec<String> {
    fn collect(value: &Value, queries: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                queries.extend(object.get("expr").and_then(Value::as_str).map(str::to_owned));
                object.values().for_each(|value| collect(value, queries));
            }
            Value::Array(array) => array.iter().for_each(|value| collect(value, queries)),
            _ => {}
        }
    }
    let mut queries = Vec::new();
    let dashboard: Value = serde_json::from_str(&read("deploy/monitoring/grafana-dashboard.json")).expect("it is JSON");
    collect(&dashboard, &mut queries);
    let variables =
        [("$__rate_interval", "1m"), ("$__range", "1h"), ("$namespace", ".*"), ("$pod", ".*"), ("$gate", ".*")];
    let filled = |query: String| variables.iter().fold(query, |query, (name, value)| query.replace(name, value));
    queries.into_iter().map(filled).collect()
}

/// `ReloadGateRejected` as `reload-gate-rejected`.
fn kebab(alert: &str) -> String {
    let words = Regex::new("[A-Z][a-z]*").expect("it is a pattern");
    words.find_iter(alert).map(|word| word.as_str().to_lowercase()).collect::<Vec<_>>().join("-")
}

#[test]
fn every_alert_has_a_page_and_every_page_an_alert() {
    let (alerts, urls) = (rules("alert"), rules("runbook_url"));
    assert!(alerts.len() >= 10, "{alerts:?}");
    let pages = alerts.iter().map(|alert| format!("docs/runbooks/{}.md", kebab(alert)));
    let repository = format!("{}/blob/main/", env!("CARGO_PKG_REPOSITORY"));
    assert_eq!(urls, pages.map(|page| repository.clone() + &page).collect::<Vec<_>>());
    let named: BTreeSet<String> = alerts.iter().map(String::as_str).chain(SENT).map(kebab).collect();
    let listed = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/runbooks")).expect("it is there");
    let there: BTreeSet<String> = listed
        .flatten()
        .map(|entry| entry.path().file_stem().expect("it has a name").to_string_lossy().into_owned())
        .collect();
    assert_eq!(named, there);
    let table = read("docs/monitoring.md");
    for alert in alerts.iter().map(String::as_str).chain(SENT) {
        let page = read(&format!("docs/runbooks/{}.md", kebab(alert)));
        let headings: Vec<_> = page.lines().filter(|line| line.starts_with('#')).collect();
        let title = format!("# {alert}");
        let expected = [&title, "## Meaning", "## Diagnosis", "## Remedy", "## Silence"];
        assert_eq!(headings, expected);
        assert!(page.contains(&format!("alertname={alert} ")), "{alert}: how is it silenced?");
        assert!(table.contains(&format!("[{alert}](runbooks/{}.md)", kebab(alert))), "{alert}");
    }
}

/// The variables of a Grafana query, as `$gate`.
fn variables(query: &str) -> BTreeSet<&str> {
    Regex::new(r"\$([a-z]+)")
        .expect("it is a pattern")
        .captures_iter(query)
        .map(|found| found.get(1).expect("it has one").as_str())
        .collect()
}

#[test]
fn the_dashboard_narrows_every_query_by_its_variables() {
    let dashboard: Value = serde_json::from_str(&read("deploy/monitoring/grafana-dashboard.json")).expect("it is JSON");
    let defined: Vec<_> = dashboard["templating"]["list"].as_array().expect("there are some").iter().collect();
    let names: Vec<_> = defined.iter().filter_map(|variable| variable["name"].as_str()).collect();
    assert_eq!(names, ["datasource", "namespace", "pod", "gate"]);
    for panel in dashboard["panels"].as_array().expect("there are some") {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().expect("it is text");
            let used = variables(query);
            assert!(used.contains("namespace") && used.contains("pod"), "{}: {query}", panel["title"]);
            // Alerts belong to the process and not to one gate.
            assert_eq!(
                used.contains("gate"),
                !query.contains("reload_gate_alerts_total"),
                "{}: {query}",
                panel["title"]
            );
        }
    }
}

#[test]
fn the_operator_reads_the_same_rules() {
    let (plain, operator) = (read(RULES), read("deploy/monitoring/prometheusrule.yaml"));
    let groups = |text: &str, indent: &str| {
        let lines = text.lines().skip_while(|line| line.trim() != "groups:");
        lines.map(|line| line.strip_prefix(indent).unwrap_or(line).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(groups(&plain, ""), groups(&operator, "  "));
    assert!(operator.contains("\nspec:\n  groups:\n") && plain.contains("\ngroups:\n"));
}

/// Metric of the API server that a rule reads (`metrics.go` of k8s.io/apiserver, package admission/metrics).
const OF_THE_API_SERVER: (&str, [&str; 2]) = ("apiserver_admission_webhook_fail_open_count", ["name", "type"]);

/// The names and labels of the metrics, from the pages that other tests hold to what is exposed.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let page = read("docs/monitoring.md");
    let mut metrics = BTreeMap::new();
    for line in page.lines().filter_map(|line| line.strip_prefix("| `reload_gate_")) {
        let cells: Vec<_> = line.split('|').collect();
        let name = format!("reload_gate_{}", cells[0].trim().trim_end_matches('`'));
        let labels: BTreeSet<String> = cells[2].split('`').skip(1).step_by(2).map(str::to_owned).collect();
        if cells[1].contains("histogram") {
            metrics.insert(format!("{name}_bucket"), labels.iter().cloned().chain(["le".to_owned()]).collect());
        }
        metrics.insert(name, labels);
    }
    // The page of the webhook names labels and their values in one cell.
    let page = read("docs/admission.md");
    for line in page.lines().filter_map(|line| line.strip_prefix("| `reload_gate_admission_")) {
        let (name, meaning) = line.split_once("` |").expect("it is a row");
        let labels: BTreeSet<String> = meaning.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let name = format!("reload_gate_admission_{name}");
        if meaning.contains("histogram") {
            metrics.insert(format!("{name}_bucket"), ["le".to_owned()].into());
        }
        metrics.insert(name, labels);
    }
    let (foreign, labels) = OF_THE_API_SERVER;
    metrics.insert(foreign.to_owned(), labels.map(str::to_owned).into());
    // Exposed where alerts are configured.
    metrics.insert("reload_gate_alerts_total".to_owned(), ["sink", "outcome"].map(str::to_owned).into());
    metrics
}

#[test]
fn every_query_is_about_metrics_and_labels_that_there_are() {
    let (metrics, name) = (documented(), Regex::new("(?:reload_gate|apiserver)_[a-z_]+").expect("it is a pattern"));
    let matched = Regex::new(r"((?:reload_gate|apiserver)_[a-z_]+)\{([^}]*)\}").expect("it is a pattern");
    let grouped = Regex::new(r"(?:by|on|group_left) \(([^)]*)\)").expect("it is a pattern");
    // What Prometheus adds when it scrapes.
    let added = ["job", "instance", "namespace", "pod"];
    let queries = [rule_queries(), dashboard_queries()].concat();
    assert!(queries.len() > 20, "{queries:?}");
    for query in &queries {
        let named: Vec<_> = name.find_iter(query).map(|found| found.as_str()).collect();
        assert!(!named.is_empty(), "{query}");
        for metric in &named {
            assert!(metrics.contains_key(*metric), "`{metric}` is not exposed: {query}");
        }
        for found in matched.captures_iter(query) {
            for label in found[2].split(',').filter_map(|matcher| matcher.trim().split(['=', '!']).next()) {
                let known = metrics[&found[1]].contains(label) || added.contains(&label);
                assert!(known, "`{}` has no label `{label}`: {query}", &found[1]);
            }
        }
        for label in
            grouped.captures_iter(query).flat_map(|found| found[1].split(", ").map(str::to_owned).collect::<Vec<_>>())
        {
            let known = named.iter().any(|metric| metrics[*metric].contains(&label));
            assert!(known || added.contains(&label.as_str()), "no metric has a label `{label}`: {query}");
        }
    }
}

#[test]
fn promtool_tests_the_rules_and_reads_every_query() {
    needs!("promtool");
    let promtool = |arguments: &[&str], directory: &Path| {
        let output = command("promtool").args(arguments).current_dir(directory).output().expect("it starts");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success() && said.contains("SUCCESS"), "{said}");
        said
    };
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/monitoring");
    promtool(&["test", "rules", "rules.test.yaml"], &shipped);
    let said = promtool(&["check", "rules", "reload-gate.rules.yaml"], &shipped);
    assert!(said.contains(&format!("{} rules found", rules("alert").len())), "{said}");
    let tested = read("deploy/monitoring/rules.test.yaml");
    for alert in rules("alert") {
        assert!(
            tested.matches(&format!("alertname: {alert}")).count() >= 2,
            "{alert}: when does it fire, and when not?"
        );
    }
    let directory = tempfile::tempdir().expect("there is room");
    let record = |query: String| format!("      - record: dashboard:query\n        expr: {}\n", Value::from(query));
    let text = "groups:\n  - name: dashboard\n    rules:\n".to_owned()
        + &dashboard_queries().into_iter().map(record).collect::<String>();
    std::fs::write(directory.path().join("dashboard.yaml"), text).expect("there is room");
    promtool(&["check", "rules", "--lint=none", "dashboard.yaml"], directory.path());
}
