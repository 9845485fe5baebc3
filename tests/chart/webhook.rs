//! The webhook as the chart installs it: an API server reaches it by its Service, with the certificate that Helm made.

use std::net::TcpListener;

use serde_json::Value;

use super::cluster::{helm, server, succeeds};
use super::{Charts, needs, schema};
use crate::support::{ApiServer, Gate, ask, eventually, free_port, gate_command, report_skipped, skip};

/// An nginx configuration with a mistake in its third line.
const BAD: &str = "events {}\nhttp {\n    lisen 80;\n}\n";
const GOOD: &str = "events {}\nhttp {\n    server { listen 80; }\n}\n";

/// A release in the namespace `apps`, whose container runs here at the address of its Service.
struct Release<'s> {
    server: &'s ApiServer,
    directory: tempfile::TempDir,
    /// The port of metrics and health.
    metrics: u16,
    gate: Option<Gate>,
}

impl<'s> Release<'s> {
    /// Starts the container of the release `web`. `None`, which is reported, if this user may not listen on port 443.
    fn start(server: &'s ApiServer) -> Option<Self> {
        let get = |arguments: &[&str]| {
            let output = server.kubectl(&[&["get", "--namespace", "apps"], arguments].concat());
            succeeds(&output)
        };
        let address = get(&["service", "web-reload-gate", "-o", "jsonpath={.spec.clusterIP}"]);
        if let Err(error) = TcpListener::bind((address.as_str(), 443)) {
            report_skipped(&format!("cannot listen on port 443 of the Service: {error}"));
            return None;
        }
        let directory = tempfile::tempdir().expect("there is room");
        let json = |arguments: &[&str]| serde_json::from_str::<Value>(&get(arguments)).expect("it is JSON");
        let files = [
            ("tls", json(&["secret", "web-reload-gate-tls", "-o", "json"])),
            ("rules", json(&["configmap", "web-reload-gate-rules", "-o", "json"])),
        ];
        for (volume, object) in &files {
            let path = directory.path().join(volume);
            std::fs::create_dir(&path).expect("there is room");
            for (key, value) in object["data"].as_object().expect("it has some") {
                let text = value.as_str().expect("it is text");
                let bytes = if *volume == "tls" { decoded(text) } else { text.into() };
                std::fs::write(path.join(key), bytes).expect("there is room");
            }
        }
        let deployment = json(&["deployment", "web-reload-gate", "-o", "json"]);
        let metrics = free_port();
        let words = deployment["spec"]["template"]["spec"]["containers"][0]["args"].as_array().expect("it is a list");
        let root = directory.path().display();
        let here = |word: &Value| {
            let word = word.as_str().expect("it is text");
            let word = word.replace("=/tls/", &format!("={root}/tls/")).replace("=/rules/", &format!("={root}/rules/"));
            let word = word.replace("--listen-metrics=:9464", &format!("--listen-metrics=127.0.0.1:{metrics}"));
            word.replace("--listen=:8443", &format!("--listen={address}:443"))
        };
        let mut gate = gate_command();
        gate.args(words.iter().map(here)).args(["--log-format", "json"]);
        let mut gate = Gate::start(gate);
        gate.wait_for("started");
        Some(Self { server, directory, metrics, gate: Some(gate) })
    }

    /// Applies a ConfigMap with an nginx configuration, with or without the label that selects it.
    fn apply(&self, name: &str, labels: &str, text: &str) -> (bool, String) {
        let manifest = serde_json::json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": { "nginx.conf": text },
            "metadata": { "name": name, "namespace": "apps", "labels": schema::parse(labels) },
        });
        let output = self.server.kubectl_with(&["apply", "-f", "-"], &manifest.to_string());
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }
}

/// The bytes of standard base64.
fn decoded(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).expect("it is base64")
}

/// Creates a pod with an nginx and an annotation; returns it as it is stored, and what kubectl says.
#[track_caller]
fn created(server: &ApiServer, name: &str, namespace: &str, more: &str) -> (Value, String) {
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{ name: {name}, namespace: {namespace}, annotations: {{ reload-gate.dev/inject: nginx }} }}\nspec:\n  automountServiceAccountToken: false\n  \
         {more}\n  containers: [{{ name: nginx, image: nginx:1.28, volumeMounts: [{{ name: config, mountPath: /etc/nginx }}] }}]\n  \
         volumes: [{{ name: config, configMap: {{ name: nginx }} }}]\n"
    );
    let said = succeeds(&server.kubectl_with(&["create", "-f", "-"], &manifest));
    let stored = succeeds(&server.kubectl(&["get", "pod", name, "--namespace", namespace, "-o", "json"]));
    (serde_json::from_str(&stored).expect("it is JSON"), said)
}

/// New pods get the sidecar in the namespaces with the label, and no pod is refused.
#[track_caller]
fn protects_pods(server: &ApiServer) {
    let names = |pod: &Value| {
        let containers = pod["spec"]["containers"].as_array().expect("it is a list").iter();
        containers.map(|container| container["name"].to_string()).collect::<Vec<_>>().join(" ")
    };
    let (elsewhere, _) = created(server, "elsewhere", "apps", "");
    assert_eq!(names(&elsewhere), "\"nginx\"");
    succeeds(&server.kubectl(&["label", "namespace", "web", "reload-gate.dev/inject=enabled"]));
    // The API server learns of a label by a watch.
    let mut tries = 0;
    let mut pod = Value::Null;
    eventually("a pod is injected", || {
        tries += 1;
        pod = created(server, &format!("web-{tries}"), "web", "").0;
        names(&pod) == "\"nginx\" \"reload-gate\""
    });
    assert_eq!(pod["spec"]["shareProcessNamespace"], true);
    let install = &pod["spec"]["initContainers"][0];
    let image = format!("ghcr.io/reload-gate/reload-gate:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!((&install["name"], install["image"].as_str()), (&"reload-gate-install".into(), Some(image.as_str())));
    let (pod, said) = created(server, "host", "web", "hostPID: true");
    assert_eq!(names(&pod), "\"nginx\"");
    assert!(said.contains("Warning: `hostPID` excludes `shareProcessNamespace`; write the sidecar by hand"), "{said}");
}

#[test]
fn an_api_server_reaches_the_installed_webhook_by_its_service() {
    needs!("openssl");
    let Some(charts) = Charts::new() else { return skip("helm is not installed: `make test-chart`") };
    let Some((server, _)) = server() else { return };
    let rules = "webhook.rules[0].names[0]=by-name,webhook.rules[0].app=nginx,injection.enabled=true";
    helm(&charts, &server, &["install", "web", "reload-gate", "--set", rules]);
    let Some(mut release) = Release::start(&server) else { return };
    let labelled = "{ reload-gate.dev/validate: nginx }";
    // The API server learns of a webhook by a watch.
    eventually("it is asked", || !release.apply("probe", labelled, BAD).0);
    let (stored, said) = release.apply("nginx", labelled, BAD);
    assert!(!stored && said.contains("admission webhook \"validate.reload-gate.dev\" denied the request"), "{said}");
    assert!(said.contains("nginx.conf:3:5: ") && said.contains("lisen"), "{said}");
    let (stored, said) = release.apply("nginx", labelled, GOOD);
    assert!(stored, "{said}");
    // The label selects an object, and a rule of the chart's values its validator.
    let (stored, said) = release.apply("by-name", "{ reload-gate.dev/validate: auto }", BAD);
    assert!(!stored && said.contains("nginx.conf:3:5: "), "{said}");
    let (stored, said) = release.apply("plain", "{}", BAD);
    assert!(stored, "{said}");
    assert!(ask(release.metrics, "GET", "/readyz").is_some_and(|answer| answer.code == 200));
    assert!(release.directory.path().join("tls/ca.crt").is_file());
    protects_pods(&server);
    // Without the webhook objects are stored.
    assert_eq!(release.gate.take().map(Gate::stop), Some(0));
    let (stored, said) = release.apply("nginx", labelled, BAD);
    assert!(stored, "{said}");
}
