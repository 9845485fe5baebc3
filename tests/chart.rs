//! The Helm charts: rendered by Helm, valid by the published schemas, and equal to the manifests in `deploy/`.

mod cluster;
mod pods;
mod webhook;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use reload_gate::{ADMISSION_SETTINGS, presets};
use serde_json::{Value, json};

use crate::deploy::schema;
use crate::documents::agrees;
use crate::support::{Gate, command, free_port, gate_command, installed, needs, report_skipped, skip};

/// Kinds whose definitions come with other software, so that no schema of Kubernetes describes them.
const FOREIGN: [&str; 4] = ["PrometheusRule", "PodMonitor", "Certificate", "Issuer"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Helm as `make test-chart` installs it, or that of this machine.
fn program() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_BIN_EXE_reload-gate")).parent()?.parent()?;
    let tools = std::fs::read_dir(target.join("tools")).into_iter().flatten().flatten();
    let own = tools.map(|tool| tool.path().join("helm")).find(|path| path.is_file());
    own.or_else(|| installed("helm").then(|| "helm".into()))
}

/// Ends a test here if Helm is missing.
macro_rules! charts {
    () => {
        match Charts::new() {
            Some(charts) => charts,
            None => return skip("helm is not installed: `make test-chart`"),
        }
    };
}

/// A copy of the charts, with their dependencies, in which Helm may write.
struct Charts {
    helm: PathBuf,
    directory: tempfile::TempDir,
}

impl Charts {
    fn new() -> Option<Self> {
        let charts = Self { helm: program()?, directory: tempfile::tempdir().expect("there is room") };
        let mut copy = command("cp");
        copy.arg("--recursive").arg(root().join("deploy/chart")).arg(charts.directory.path().join("chart"));
        assert!(copy.status().expect("it starts").success());
        let output = charts.helm(&["dependency", "build", "reload-gate-example"]);
        assert!(output.status.success(), "{output:?}");
        Some(charts)
    }

    /// Helm in the directory of the charts, with a home of its own.
    fn command(&self) -> Command {
        let mut helm = command(&self.helm);
        helm.current_dir(self.directory.path().join("chart")).env("HOME", self.directory.path());
        helm.env_remove("KUBECONFIG").stdin(Stdio::null());
        helm
    }

    fn helm(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().expect("it starts")
    }

    /// Renders a chart with one of its files of values.
    #[track_caller]
    fn render(&self, chart: &str, values: &str, more: &[&str]) -> Vec<Value> {
        schema::stream(&self.text(chart, values, more))
    }

    #[track_caller]
    fn text(&self, chart: &str, values: &str, more: &[&str]) -> String {
        let file = format!("{chart}/ci/{values}");
        let release = match values {
            "publish-values.yaml" => "nginx-published",
            "rollout-values.yaml" | "rollout-without-native-sidecar-values.yaml" => "nginx-rollout",
            _ => "web",
        };
        let arguments = ["template", release, chart, "--namespace", "apps", "--values", &file];
        let output = self.helm(&[&arguments, more].concat());
        assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("it is UTF-8")
    }
}

/// The charts that can be installed, each with its examples of values.
fn examples() -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    for chart in ["reload-gate", "reload-gate-example"] {
        let files =
            std::fs::read_dir(root().join("deploy/chart").join(chart).join("ci")).expect("it is there").flatten();
        all.extend(files.map(|file| (chart, file.file_name().into_string().expect("it is UTF-8"))));
    }
    assert!(all.len() >= 9, "{all:?}");
    all
}

fn name(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!("{} {}", text(&object["kind"]), text(&object["metadata"]["name"]))
}

#[test]
fn every_example_passes_the_linter_and_the_published_schemas() {
    let charts = charts!();
    let mut wrong = Vec::new();
    for (chart, values) in examples() {
        let output = charts.helm(&["lint", "--strict", chart, "--values", &format!("{chart}/ci/{values}")]);
        assert!(output.status.success(), "{chart} {values}: {output:?}");
        for object in charts.render(chart, &values, &[]) {
            let is_foreign = FOREIGN.iter().any(|kind| object["kind"] == *kind);
            let found = if is_foreign { Vec::new() } else { schema::violations(&object) };
            wrong.extend(found.into_iter().map(|found| format!("{values}: {}: {found}", name(&object))));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let library = charts.helm(&["lint", "--strict", "reload-gate-sidecar"]);
    assert!(library.status.success(), "{library:?}");
}

#[test]
fn all_options_at_once_render_every_kind_of_object() {
    let charts = charts!();
    let objects = charts.render("reload-gate", "everything-values.yaml", &[]);
    let kinds: BTreeSet<_> = objects.iter().filter_map(|object| object["kind"].as_str()).collect();
    let expected = [
        "Certificate",
        "ConfigMap",
        "Deployment",
        "Issuer",
        "MutatingWebhookConfiguration",
        "NetworkPolicy",
        "Pod",
        "PodDisruptionBudget",
        "PodMonitor",
        "PrometheusRule",
        "Role",
        "RoleBinding",
        "Service",
        "ServiceAccount",
        "ValidatingWebhookConfiguration",
    ];
    assert_eq!(kinds, expected.into());
    for object in &objects {
        let labels = &object["metadata"]["labels"];
        let common =
            ["app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "helm.sh/chart"];
        for label in common {
            assert!(labels[label].is_string(), "{}: {label}", name(object));
        }
        let is_hook = object["metadata"]["annotations"]["helm.sh/hook"].is_string();
        assert!(is_hook || labels["team"] == "platform", "{}: commonLabels", name(object));
    }
    // One part alone needs nothing of the others.
    let monitoring = charts.render("reload-gate", "monitoring-values.yaml", &[]);
    let kinds: BTreeSet<_> = monitoring.iter().filter_map(|object| object["kind"].as_str()).collect();
    assert_eq!(kinds, ["ConfigMap", "PodMonitor", "PrometheusRule"].into());
}

#[test]
fn the_webhook_runs_with_least_rights_and_lets_objects_pass_without_it() {
    let charts = charts!();
    let objects = charts.render("reload-gate", "default-values.yaml", &[]);
    let one = |kind: &str| objects.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"));
    let webhook = &one("ValidatingWebhookConfiguration")["webhooks"][0];
    for (key, expected) in [
        ("failurePolicy", json!("Ignore")),
        ("sideEffects", json!("None")),
        ("timeoutSeconds", json!(5)),
        ("matchPolicy", json!("Equivalent")),
        (
            "objectSelector",
            json!({ "matchExpressions": [{ "key": "reload-gate.dev/validate", "operator": "Exists" }] }),
        ),
    ] {
        assert_eq!(webhook[key], expected, "{key}");
    }
    let pod = &one("Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let context = json!({ "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] } });
    assert_eq!(pod["containers"][0]["securityContext"], context);
    assert!(objects.iter().all(|object| object["kind"] != "Role" && object["kind"] != "ClusterRole"));
    // The certificate, its authority and the name by which the API server calls.
    needs!("openssl");
    let secret = one("Secret");
    let directory = tempfile::tempdir().expect("there is room");
    let decode = |key: &str, file: &str| {
        let mut base64 = command("sh");
        let script = "printf %s \"$0\" | base64 -d > \"$1\"";
        let encoded = secret["data"][key].as_str().expect("it is text");
        base64.args(["-c", script, encoded]).arg(directory.path().join(file));
        assert!(base64.status().expect("it starts").success());
    };
    decode("ca.crt", "ca.pem");
    decode("tls.crt", "crt.pem");
    assert_eq!(webhook["clientConfig"]["caBundle"], secret["data"]["ca.crt"]);
    let mut verify = command("openssl");
    verify.current_dir(directory.path());
    let output = verify
        .args(["verify", "-CAfile", "ca.pem", "-verify_hostname", "web-reload-gate.apps.svc", "crt.pem"])
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        webhook["clientConfig"]["service"],
        json!({ "name": "web-reload-gate", "namespace": "apps", "path": "/validate", "port": 443 })
    );
}

#[test]
fn the_library_renders_what_the_bases_have() {
    let charts = charts!();
    let one = |objects: &[Value], kind: &str| {
        objects.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("no {kind}")).clone()
    };
    for base in ["drop-in", "publish", "restricted", "rollout"] {
        if !root().join("deploy").join(base).is_dir() {
            report_skipped(&format!("there is no deploy/{base}"));
            continue;
        }
        let base_of = |file: &str| schema::parse(&read(format!("deploy/{base}/{file}")));
        let objects = charts.render("reload-gate-example", &format!("{base}-values.yaml"), &[]);
        if base == "rollout" {
            assert_eq!(one(&objects, "Role")["rules"], base_of("role.yaml")["rules"]);
        }
        let pod = |deployment: &Value| deployment["spec"]["template"]["spec"].clone();
        let (mut ours, mut theirs) = (pod(&one(&objects, "Deployment")), pod(&base_of("deployment.yaml")));
        for pod in [&mut ours, &mut theirs] {
            // The name of the ConfigMap is that of the release; the order of volumes has no meaning.
            let volumes = pod["volumes"].as_array_mut().expect("it is a list");
            volumes.sort_by_key(|volume| volume["name"].to_string());
            let config = volumes.iter_mut().find(|volume| volume["name"] == "config").expect("there is one");
            config["configMap"] = json!({});
        }
        assert_eq!(ours, theirs, "{base}");
    }
}

#[test]
fn check_validates_the_example_by_its_sidecar() {
    let charts = charts!();
    for (values, container) in [
        ("drop-in", "reload"),
        ("publish", "reload-gate"),
        ("publish-without-native-sidecar", "reload-gate-first"),
        ("restricted", "reload-gate"),
    ] {
        let text = charts.text("reload-gate-example", &format!("{values}-values.yaml"), &[]);
        let file = charts.directory.path().join("rendered.yaml");
        for (text, expected) in [(text.clone(), 0), (text.replace("listen ", "lisen "), 1)] {
            std::fs::write(&file, text).expect("there is room");
            let output = gate_command().arg("check").arg(&file).output().expect("it starts");
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert_eq!(output.status.code(), Some(expected), "{said}");
            assert!(said.contains(&format!("the settings of container `{container}`")), "{said}");
        }
    }
}

#[test]
fn monitoring_is_that_of_the_manifests() {
    for file in ["reload-gate.rules.yaml", "grafana-dashboard.json"] {
        let (ours, theirs) = (format!("deploy/chart/reload-gate/files/{file}"), format!("deploy/monitoring/{file}"));
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::copy(root().join(&theirs), root().join(&ours)).expect("it can be written");
        }
        assert_eq!(read(ours), read(theirs), "{file}: UPDATE_DOCS=1 copies it");
    }
    let charts = charts!();
    let objects = charts.render("reload-gate", "monitoring-values.yaml", &[]);
    let one = |kind: &str| objects.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"));
    for (kind, file) in [("PrometheusRule", "prometheusrule.yaml"), ("PodMonitor", "podmonitor.yaml")] {
        let theirs = schema::parse(&read(format!("deploy/monitoring/{file}")));
        assert_eq!(one(kind)["spec"], theirs["spec"], "{kind}");
    }
    let dashboard = one("ConfigMap")["data"]["reload-gate.json"].as_str().expect("it is text");
    let dashboard: Value = serde_json::from_str(dashboard).expect("it is JSON");
    let theirs: Value = serde_json::from_str(&read("deploy/monitoring/grafana-dashboard.json")).expect("it is JSON");
    assert_eq!(dashboard, theirs);
}

#[test]
fn wrong_values_are_refused_with_their_names() {
    let charts = charts!();
    for (set, expected) in [
        ("webhook.replicas=0", "webhook.replicas"),
        ("webhook.deny=always", "webhook.deny"),
        ("webhook.failurePolicy=ignore", "webhook.failurePolicy"),
        ("webhook.timeoutSeconds=60", "webhook.timeoutSeconds"),
        ("webhook.replica=3", "replica"),
        ("webhok.enabled=true", "webhok"),
        ("certificates.source=self-signed", "certificates.source"),
        ("certificates.source=secret", "secretName"),
        ("image.digest=sha256:1", "image.digest"),
        ("monitoring.podMonitor.interval=often", "monitoring.podMonitor.interval"),
        ("rbac.readConfigMaps[0].namespace=web", "names"),
        ("webhook.rules[0].app=ngnix", "app"),
        ("webhook.rules[0].ap=nginx", "ap"),
    ] {
        let output = charts.helm(&["template", "web", "reload-gate", "--set", set]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(expected), "{set}: {said}");
    }
    for (set, expected) in [
        ("mode=published", "mode"),
        ("mode=restricted", "applicationImage"),
        ("mode=rollout", "group"),
        ("mountPath=etc/nginx", "mountPath"),
        ("port=0", "port"),
        ("modes=publish", "modes"),
        ("app=ngnix", "app"),
    ] {
        let set = format!("reload-gate-sidecar.{set}");
        let output = charts.helm(&["template", "web", "reload-gate-example", "--set", &set]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(expected), "{set}: {said}");
    }
}

#[test]
fn the_test_of_the_release_succeeds_only_if_the_webhook_answers() {
    let charts = charts!();
    let objects = charts.render("reload-gate", "default-values.yaml", &[]);
    let pod = objects.iter().find(|object| object["kind"] == "Pod").expect("there is one");
    assert_eq!(pod["metadata"]["annotations"]["helm.sh/hook"], "test");
    let port = free_port();
    let run = || {
        let words = pod["spec"]["containers"][0]["args"].as_array().expect("it is a list").iter();
        let here = |word: &Value| {
            let word = word.as_str().expect("it is text");
            let word = word.replace("=/reload-gate ", &format!("={} ", env!("CARGO_BIN_EXE_reload-gate")));
            word.replace("web-reload-gate.apps.svc:9464", &format!("127.0.0.1:{port}"))
        };
        let words: Vec<String> = words.map(here).collect();
        assert!(words.iter().any(|word| word.contains("127.0.0.1")), "{words:?}");
        gate_command().args(words).args(["--verify-timeout", "1s"]).output().expect("it starts")
    };
    let before = run();
    assert_ne!(before.status.code(), Some(0), "{before:?}");
    // Any gate has the same path for its readiness.
    let directory = tempfile::tempdir().expect("there is room");
    std::fs::write(directory.path().join("app.conf"), "one").expect("there is room");
    let watch = directory.path().to_str().expect("it is UTF-8");
    let listen = format!("127.0.0.1:{port}");
    let mut gate = Gate::run(&["--watch", watch, "--signal", "none", "--validate", "true", "--listen", &listen]);
    gate.wait_for("accepted");
    let after = run();
    assert_eq!(after.status.code(), Some(0), "{after:?}");
}

/// The block of `docs/helm.md` that begins with the name of this file.
fn block(file: &str) -> String {
    let page = read("docs/helm.md");
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let block = blocks.into_iter().find(|block| block.starts_with(&format!("# {file}\n")));
    block.unwrap_or_else(|| panic!("docs/helm.md has no {file}")).to_owned()
}

#[test]
fn the_page_shows_a_chart_that_renders() {
    let charts = charts!();
    let chart = charts.directory.path().join("chart/own");
    std::fs::create_dir_all(chart.join("templates")).expect("there is room");
    let write = |file: &str, text: &str| std::fs::write(chart.join(file), text).expect("there is room");
    write("Chart.yaml", &format!("apiVersion: v2\nname: own\nversion: 1.0.0\n{}", block("Chart.yaml")));
    write("templates/deployment.yaml", &block("templates/deployment.yaml"));
    write("values.yaml", &block("values.yaml"));
    let output = charts.helm(&["dependency", "build", "own"]);
    assert!(output.status.success(), "{output:?}");
    for mode in ["drop-in", "publish", "restricted", "rollout"] {
        let required = "restricted.applicationImage=nginx,reload-gate-sidecar.rollout.group=a,reload-gate-sidecar.rollout.source=configmap/nginx";
        let set = format!("reload-gate-sidecar.mode={mode},reload-gate-sidecar.{required}");
        let output = charts.helm(&["template", "web", "own", "--set", &set]);
        assert!(output.status.success(), "{output:?}");
        let wrong = schema::violations(&schema::parse(&String::from_utf8_lossy(&output.stdout)));
        // Without any item the key has no value, as the API server permits it.
        let is_empty_list = |wrong: &&String| wrong.ends_with("initContainers: null is not of type \"array\"");
        assert_eq!(wrong.iter().filter(|wrong| !is_empty_list(wrong)).count(), 0, "{mode}: {wrong:?}");
    }
}

#[test]
fn the_versions_are_those_of_the_program() {
    let version = env!("CARGO_PKG_VERSION");
    for chart in ["reload-gate", "reload-gate-sidecar"] {
        let chart = schema::parse(&read(format!("deploy/chart/{chart}/Chart.yaml")));
        assert_eq!((&chart["version"], &chart["appVersion"]), (&json!(version), &json!(version)));
    }
    let example = schema::parse(&read("deploy/chart/reload-gate-example/Chart.yaml"));
    assert_eq!(example["dependencies"][0]["version"], version);
    let library = read("deploy/chart/reload-gate-sidecar/templates/_sidecar.tpl");
    assert!(library.contains(&format!("ternary \"{version}-root\" \"{version}\" ")), "the library has another tag");
}

/// The rows of a table of values, by the comments of `values.yaml` that begin with `--`.
fn table(text: &str) -> String {
    let values = schema::parse(text);
    let mut rows = "| value | default | meaning |\n|---|---|---|\n".to_owned();
    let (mut path, mut description): (Vec<(usize, String)>, Option<String>) = (Vec::new(), None);
    for line in text.lines() {
        let content = line.trim_start();
        let indent = line.len() - content.len();
        if let Some(comment) = content.strip_prefix("# ") {
            description = match (comment.strip_prefix("-- "), description) {
                (Some(begun), _) => Some(begun.to_owned()),
                (None, Some(begun)) => Some(format!("{begun} {comment}")),
                (None, None) => None,
            };
            continue;
        }
        let Some((key, _)) =
            content.split_once(':').filter(|(key, _)| !key.is_empty() && !key.contains(['-', '{', ' ']))
        else {
            continue;
        };
        path.retain(|(other, _)| *other < indent);
        path.push((indent, key.to_owned()));
        if let Some(description) = description.take() {
            let keys: Vec<&str> = path.iter().map(|(_, key)| key.as_str()).collect();
            let value = values.pointer(&format!("/{}", keys.join("/"))).unwrap_or_else(|| panic!("no {keys:?}"));
            rows += &format!("| `{}` | `{value}` | {} |\n", keys.join("."), description.replace('|', "\\|"));
        }
    }
    rows
}

#[test]
fn the_tables_of_values_are_those_of_their_comments() {
    for chart in ["reload-gate", "reload-gate-sidecar"] {
        let directory = Path::new("deploy/chart").join(chart);
        agrees(&directory.join("README.md"), "values", &table(&read(directory.join("values.yaml"))));
    }
}

/// The places of all values that are no mappings with keys of the chart's own.
fn leaves(at: &str, value: &Value, schema: &Value, found: &mut BTreeSet<String>) {
    match (schema["properties"].as_object(), value.as_object()) {
        (Some(properties), Some(values)) => {
            for (key, value) in values {
                let schema = properties.get(key).unwrap_or_else(|| panic!("`{at}{key}` is not in the schema"));
                leaves(&format!("{at}{key}."), value, schema, found);
            }
        }
        _ => drop(found.insert(at.trim_end_matches('.').to_owned())),
    }
}

#[test]
fn the_schemas_know_the_rules_of_the_webhook_and_the_programs() {
    let schema = |chart: &str| -> Value {
        serde_json::from_str(&read(format!("deploy/chart/{chart}/values.schema.json"))).expect("it is JSON")
    };
    let names: Vec<&str> = presets().iter().map(|preset| preset.name).collect();
    assert_eq!(schema("reload-gate-sidecar")["properties"]["app"]["enum"], json!(names));
    let bundled = presets().iter().filter(|preset| preset.text.contains("\n    otherwise:"));
    let bundled: Vec<&str> = bundled.map(|preset| preset.name).collect();
    let rule = &schema("reload-gate")["properties"]["webhook"]["properties"]["rules"]["items"];
    assert_eq!(rule["properties"]["app"]["enum"], json!(bundled));
    let keys = ["kind", "namespaces", "names", "keys", "together"].into_iter().chain(ADMISSION_SETTINGS);
    let known: BTreeSet<&str> =
        rule["properties"].as_object().expect("they are a mapping").keys().map(String::as_str).collect();
    assert_eq!(known, keys.collect());
    let validator = jsonschema::validator_for(rule).expect("it is a schema");
    for (rule, expected) in [
        (json!({"namespaces": ["web-*"], "names": "nginx", "app": "nginx", "nginx-version": 1.28}), true),
        (json!({"builtin": "yaml", "together": [{"name": "a", "path": "/a"}]}), true),
        (json!({"app": "ngnix"}), false),
        (json!({"ap": "nginx"}), false),
        (json!({"app": "nginx", "namespace": "x"}), false),
        (json!({"app": "nginx", "validate": "nginx -t"}), false),
        (json!({"builtin": "ngnix"}), false),
        (json!({"names": ["a"]}), false),
        (json!({"app": "nginx", "together": [{"name": "a"}]}), false),
    ] {
        assert_eq!(validator.is_valid(&rule), expected, "{rule}");
    }
}

#[test]
fn every_value_is_in_the_schema_and_has_a_description() {
    for chart in ["reload-gate", "reload-gate-sidecar"] {
        let text = read(format!("deploy/chart/{chart}/values.yaml"));
        let schema: Value =
            serde_json::from_str(&read(format!("deploy/chart/{chart}/values.schema.json"))).expect("it is JSON");
        let mut found = BTreeSet::new();
        leaves("", &schema::parse(&text), &schema, &mut found);
        let rows = table(&text);
        let missing: Vec<_> = found
            .iter()
            .filter(|path| {
                let mut parts: Vec<&str> = path.split('.').collect();
                // A mapping may be described as a whole.
                std::iter::from_fn(|| {
                    let row = (!parts.is_empty()).then(|| rows.contains(&format!("| `{}` |", parts.join("."))));
                    parts.pop();
                    row
                })
                .all(|described| !described)
            })
            .collect();
        assert!(found.len() > 20 && missing.is_empty(), "{chart}: {missing:?}");
    }
}
