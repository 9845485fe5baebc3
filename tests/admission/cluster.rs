//! A real API server that asks the webhook, as `kubectl` shows its answers.

use std::path::Path;
use std::process::Output;

use crate::support::{ApiServer, Webhook, gate_command};

use super::{BAD, GOOD};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A ConfigMap as a manifest, with the label that selects it.
fn manifest(name: &str, file: &str) -> String {
    let lines: String = file.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  labels: {{reload-gate.dev/validate: nginx}}\ndata:\n  \
         nginx.conf: |\n{lines}"
    )
}

/// The reason of a denial, without the manifest that kubectl shows before it.
fn denied_for(text: &str) -> &str {
    text.split_once("denied the request: ").map_or("", |(_, reason)| reason)
}

/// Registers the webhook with the manifest that ships, at the address of the test.
#[track_caller]
fn register(server: &ApiServer, webhook: &Webhook) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/admission/webhook.yaml");
    let text = std::fs::read_to_string(file).expect("it is there");
    let (before, rest) = text.split_once("      service:\n").expect("it names a service");
    let (service, after) = rest.split_once("    rules:\n").expect("it has rules");
    assert!(service.contains("path: /validate"));
    let authority = std::fs::read(webhook.directory.path().join("ca.pem")).expect("it is there");
    let bundle = super::base64_of(&authority);
    let text = format!(
        "{before}      url: https://127.0.0.1:{}/validate\n      caBundle: {bundle}\n    rules:\n{after}",
        webhook.port
    );
    let applied = server.kubectl_with(&["apply", "-f", "-"], &text);
    assert!(applied.status.success(), "{}", said(&applied));
}

/// Applies a manifest.
fn apply(server: &ApiServer, manifest: &str) -> (bool, String) {
    let output = server.kubectl_with(&["apply", "-f", "-"], manifest);
    (output.status.success(), said(&output))
}

#[test]
fn an_api_server_stores_only_what_is_accepted() {
    let Some(server) = ApiServer::start() else { return };
    let webhook = Webhook::start(&[]);
    register(&server, &webhook);
    // The API server learns of a webhook by a watch.
    crate::support::eventually("it is asked", || !apply(&server, &manifest("probe", BAD)).0);

    let (stored, text) = apply(&server, &manifest("nginx", BAD));
    assert!(!stored, "{text}");
    insta::assert_snapshot!(denied_for(&text).trim_end(), @r#"
    1 error in ConfigMap default/nginx (builtin nginx)
      nginx.conf:4:5: unknown directive "lisen" (unknown-directive)
        help: did you mean `listen`?
    "#);
    assert!(text.contains("admission webhook \"validate.reload-gate.dev\""), "{text}");
    let (stored, text) = apply(&server, &manifest("nginx", GOOD));
    assert!(stored, "{text}");
    let (stored, text) = apply(&server, &manifest("nginx", BAD));
    assert!(!stored, "{text}");
    let kept = server.kubectl(&["get", "configmap", "nginx", "-o", "jsonpath={.data.nginx\\.conf}"]);
    assert_eq!(String::from_utf8_lossy(&kept.stdout), GOOD);
    // Another client, other operations.
    let patched = server.kubectl(&["patch", "configmap", "nginx", "-p", "{\"data\":{\"nginx.conf\":\"bad\"}}"]);
    assert!(!patched.status.success() && said(&patched).contains("nginx.conf:1:"), "{}", said(&patched));
    let applied = server.kubectl_with(&["apply", "--server-side", "-f", "-"], &manifest("other", BAD));
    assert!(said(&applied).contains("unknown directive"), "{}", said(&applied));
    let dry = server.kubectl_with(&["apply", "--dry-run=server", "-f", "-"], &manifest("other", BAD));
    assert!(!dry.status.success() && said(&dry).contains("unknown directive"), "{}", said(&dry));
    assert!(server.kubectl(&["delete", "configmap", "nginx"]).status.success());
    // What has no label is not asked about.
    let free = manifest("free", BAD).replace("  labels: {reload-gate.dev/validate: nginx}\n", "");
    assert!(apply(&server, &free).0);
    let counted = "kind=\"ConfigMap\",operation=\"update\",verdict=\"rejected\",decision=\"denied\",dry_run=\"false\"";
    let counted = format!("reload_gate_admission_reviews_total{{{counted}}}");
    crate::support::eventually("updates are counted", || {
        crate::support::sample(&webhook.metrics(), &counted).is_some_and(|count| count >= 2.0)
    });
}

#[test]
fn an_api_server_lets_mend_what_is_stored_and_shows_no_secret() {
    let Some(server) = ApiServer::start() else { return };
    // It is stored before there is a webhook.
    let two = BAD.replace("  }\n", "    roott /srv;\n  }\n");
    assert!(apply(&server, &manifest("nginx", &two)).0);
    let webhook = Webhook::start(&[]);
    register(&server, &webhook);
    crate::support::eventually("it is asked", || !apply(&server, &manifest("probe", BAD)).0);
    let (stored, text) = apply(&server, &manifest("nginx", &two.replace("lisen", "listen")));
    assert!(stored, "{text}");
    assert!(text.contains("Warning: as stored: nginx.conf:5:5: unknown directive \"roott\""), "{text}");
    let worse = two.replace("lisen 8080;", "listen 8080;\n    indexx a;");
    let (stored, text) = apply(&server, &manifest("nginx", &worse));
    assert!(!stored && denied_for(&text).contains("indexx") && !denied_for(&text).contains("roott"), "{text}");
    let (stored, text) = apply(&server, &manifest("nginx", GOOD));
    assert!(stored && !text.contains("Warning"), "{text}");

    let secret = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: nginx\n  labels: {reload-gate.dev/validate: nginx}\nstringData:\n  \
                  nginx.conf: |\n    events {}\n    http {\n      hunter2topsecret on;\n    }\n";
    // `apply` keeps the whole manifest in an annotation, and shows it itself when it fails.
    let output = server.kubectl_with(&["create", "-f", "-"], secret);
    let text = said(&output);
    assert!(!output.status.success() && text.contains("nginx.conf:3:3"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    assert!(!webhook.gate.story().contains("hunter2") && !webhook.metrics().contains("hunter2"));
}

#[test]
fn without_the_webhook_an_object_is_stored_and_still_rejected_by_the_gate() {
    let Some(server) = ApiServer::start() else { return };
    let webhook = Webhook::start(&[]);
    register(&server, &webhook);
    crate::support::eventually("it is asked", || !apply(&server, &manifest("nginx", BAD)).0);
    assert_eq!(webhook.gate.stop(), 0);
    let (stored, text) = apply(&server, &manifest("nginx", BAD));
    assert!(stored, "{text}");
    let object = server.kubectl(&["get", "configmap", "nginx", "-o", "jsonpath={.data.nginx\\.conf}"]);
    let directory = tempfile::tempdir().expect("there is room");
    std::fs::write(directory.path().join("nginx.conf"), &object.stdout).expect("there is room");
    let mut gate = gate_command();
    gate.args(["run", "--once", "--builtin", "nginx", "--log-format", "json", "--watch"]).arg(directory.path());
    let output = gate.output().expect("it starts");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(log.contains("\"event\":\"rejected\"") && log.contains("unknown directive"), "{log}");
}
