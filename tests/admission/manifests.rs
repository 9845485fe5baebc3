//! The manifests of the webhook on a real API server: their rights suffice, and their webhook is reached by its Service.

use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use super::cluster::{denied_for, said};
use super::{BAD, GOOD, base64_of};
use crate::deploy::{schema, variant};
use crate::support::{ApiServer, Gate, authority_for, eventually, free_port, gate_command, report_skipped};

/// Name of all objects of the manifests, and their namespace.
const NAME: &str = "reload-gate-admission";
const NAMESPACE: &str = "reload-gate";

#[track_caller]
fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A variant of the webhook, whose container runs here at the address of its Service.
struct Installation<'s> {
    server: &'s ApiServer,
    directory: tempfile::TempDir,
    gate: Gate,
}

impl<'s> Installation<'s> {
    /// Applies the manifests, without the kinds of cert-manager, and starts their container with the token of its service account. `None`,
    /// which is reported, if this user may not listen on port 443.
    fn start(server: &'s ApiServer, name: &str) -> Option<Self> {
        let objects = schema::stream(&variant(name)?);
        let is_ours =
            |object: &&Value| !object["apiVersion"].as_str().is_some_and(|api| api.starts_with("cert-manager"));
        for object in objects.iter().filter(is_ours) {
            // Kubernetes 1.20 has an older version of one kind.
            let text = object.to_string().replace("\"policy/v1\"", "\"policy/v1beta1\"");
            succeeds(&server.kubectl_with(&["apply", "--server-side", "-f", "-"], &text));
        }
        let in_namespace = |arguments: &[&str]| server.kubectl(&[&["--namespace", NAMESPACE], arguments].concat());
        let address = succeeds(&in_namespace(&["get", "service", NAME, "-o", "jsonpath={.spec.clusterIP}"]));
        if let Err(error) = TcpListener::bind((address.as_str(), 443)) {
            report_skipped(&format!("cannot listen on port 443 of the Service: {error}"));
            return None;
        }
        let directory = tempfile::tempdir().expect("there is room");
        let token = succeeds(&in_namespace(&["create", "token", NAME]));
        let kubeconfig = std::fs::read_to_string(server.kubeconfig_of("plain")).expect("it is there");
        let kubeconfig = kubeconfig.replace("plain-token", token.trim());
        std::fs::write(directory.path().join("kubeconfig"), kubeconfig).expect("there is room");
        let rules = in_namespace(&["get", "configmap", NAME, "-o", "jsonpath={.data.admission\\.yaml}"]);
        std::fs::write(directory.path().join("admission.yaml"), succeeds(&rules)).expect("there is room");
        let made = authority_for(directory.path(), &format!("DNS:{NAME}.{NAMESPACE}.svc"));
        if name != "admission-self-signed" {
            // As cert-manager does.
            let bundle = base64_of(&std::fs::read(made).expect("it is there"));
            let patch =
                format!("[{{\"op\":\"add\",\"path\":\"/webhooks/0/clientConfig/caBundle\",\"value\":\"{bundle}\"}}]");
            succeeds(&server.kubectl(&["patch", "validatingwebhookconfiguration", NAME, "--type=json", "-p", &patch]));
        }
        let deployment = objects.iter().find(|object| object["kind"] == "Deployment").expect("there is one");
        let gate = run(&deployment["spec"]["template"]["spec"]["containers"][0], directory.path(), &address);
        Some(Self { server, directory, gate })
    }

    /// Applies a ConfigMap with one key.
    fn apply(&self, namespace: &str, name: &str, key: &str, text: &str) -> (bool, String) {
        let manifest = serde_json::json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": { key: text },
            "metadata": { "name": name, "namespace": namespace, "labels": { "reload-gate.dev/validate": "nginx" } },
        });
        let output = self.server.kubectl_with(&["apply", "-f", "-"], &manifest.to_string());
        (output.status.success(), said(&output))
    }
}

/// Runs a container of the webhook with its own arguments and variables.
fn run(container: &Value, directory: &Path, address: &str) -> Gate {
    let root = directory.display();
    let metrics = format!("127.0.0.1:{}", free_port());
    let here = |word: &Value| {
        let word = word.as_str().expect("it is text");
        let word = word.replace("/tls/tls.crt", &format!("{root}/server.pem"));
        let word = word.replace("/tls/tls.key", &format!("{root}/server.key"));
        word.replace("/rules/", &format!("{root}/")).replace(":9464", &metrics)
    };
    let mut gate = gate_command();
    gate.args(container["args"].as_array().expect("it is a list").iter().map(here));
    gate.args(["--listen", &format!("{address}:443"), "--log-format", "json", "--kubeconfig"]);
    gate.arg(directory.join("kubeconfig"));
    for variable in container["env"].as_array().expect("it is a list") {
        gate.env(variable["name"].as_str().expect("it is text"), variable["value"].as_str().expect("it is text"));
    }
    let mut gate = Gate::start(gate);
    gate.wait_for("started");
    gate
}

#[test]
fn an_own_authority_has_the_rights_that_it_takes() {
    let Some(server) = ApiServer::start() else { return };
    let Some(mut installation) = Installation::start(&server, "admission-self-signed") else { return };
    eventually("it is asked", || !installation.apply("default", "nginx", "nginx.conf", BAD).0);
    let (_, text) = installation.apply("default", "nginx", "nginx.conf", BAD);
    assert!(denied_for(&text).contains("nginx.conf:4:5: unknown directive \"lisen\""), "{text}");
    let (stored, text) = installation.apply("default", "nginx", "nginx.conf", GOOD);
    assert!(stored, "{text}");
    // Applying the manifests again leaves the authority where the webhook has put it.
    let again = variant("admission-self-signed").expect("it was there");
    let webhook = schema::stream(&again).into_iter().find(|object| object["kind"] == "ValidatingWebhookConfiguration");
    let webhook = webhook.expect("there is one").to_string();
    succeeds(&server.kubectl_with(&["apply", "--server-side", "-f", "-"], &webhook));
    let path = "jsonpath={.webhooks[0].clientConfig.caBundle}";
    let bundle = succeeds(&server.kubectl(&["get", "validatingwebhookconfiguration", NAME, "-o", path]));
    assert!(bundle.len() > 100, "{bundle}");
    assert_eq!(installation.gate.count("alert_failed"), 0);
    assert!(installation.gate.is_alive() && installation.directory.path().is_dir());
}

#[test]
fn objects_that_belong_together_are_read_with_the_rights_of_the_manifests() {
    let Some(server) = ApiServer::start() else { return };
    succeeds(&server.kubectl(&["create", "namespace", "web"]));
    // Since Kubernetes 1.21 a namespace has it by itself.
    succeeds(&server.kubectl(&["label", "--overwrite", "namespace", "web", "kubernetes.io/metadata.name=web"]));
    let Some(installation) = Installation::start(&server, "admission-together") else { return };
    let main = "events {}\nhttp {\n  log_format own '$status';\n  include /etc/nginx/conf.d/*.conf;\n}\n";
    let site = "server {\n  access_log /dev/stdout own;\n}\n";
    eventually("it is asked", || !installation.apply("web", "nginx-main", "nginx.conf", BAD).0);
    let (stored, text) = installation.apply("web", "nginx-main", "nginx.conf", main);
    assert!(stored && text.contains("there is no ConfigMap `nginx-sites`"), "{text}");
    let (stored, text) = installation.apply("web", "nginx-sites", "web.conf", &site.replace("own", "other"));
    assert!(!stored && denied_for(&text).contains("web.conf:2:26: unknown log format \"other\""), "{text}");
    let (stored, text) = installation.apply("web", "nginx-sites", "web.conf", site);
    assert!(stored && !text.contains("Warning"), "{text}");
    let (stored, text) = installation.apply("web", "nginx-main", "nginx.conf", &main.replace("own", "main2"));
    assert!(!stored && denied_for(&text).contains("ConfigMap web/nginx-sites web.conf:2:26"), "{text}");
    // Other namespaces are none of its business.
    let (stored, text) = installation.apply("default", "nginx-main", "nginx.conf", BAD);
    assert!(stored, "{text}");
}
