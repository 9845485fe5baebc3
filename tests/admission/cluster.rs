//! A real API server that asks the webhook, as `kubectl` shows its answers.

use std::path::Path;
use std::process::Output;

use crate::support::{ApiServer, Gate, Kubelet, Volume, Webhook, ask, free_port, gate_command, sample};

use super::{BAD, GOOD};

pub(super) fn said(output: &Output) -> String {
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
pub(super) fn denied_for(text: &str) -> &str {
    text.split_once("denied the request: ").map_or("", |(_, reason)| reason)
}

/// Registers the webhook with the manifest that ships, at the address of the test.
#[track_caller]
fn register(server: &ApiServer, webhook: &Webhook) {
    let authority = std::fs::read(webhook.directory.path().join("ca.pem")).expect("it is there");
    register_at(server, webhook.port, &format!("caBundle: {}", super::base64_of(&authority)));
}

#[track_caller]
fn register_at(server: &ApiServer, port: u16, bundle: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/admission/webhook.yaml");
    let text = std::fs::read_to_string(file).expect("it is there");
    let (before, rest) = text.split_once("      service:\n").expect("it names a service");
    let (service, after) = rest.split_once("    rules:\n").expect("it has rules");
    assert!(service.contains("path: /validate"));
    let url = format!("https://127.0.0.1:{port}/validate");
    let text = format!("{before}      url: {url}\n      {bundle}\n    rules:\n{after}");
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
        sample(&webhook.metrics(), &counted).is_some_and(|count| count >= 2.0)
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
    // What is stored is asked about again by a change that is not stored, as the runbooks advise.
    let again = ["annotate", "configmaps", "-A", "-l", "reload-gate.dev/validate", "reload-gate.dev/verified-by=again"];
    let asked = server.kubectl(&[&again[..], &["--overwrite", "--dry-run=server"]].concat());
    assert!(said(&asked).contains("Warning: as stored: nginx.conf:5:5: unknown directive \"roott\""), "{asked:?}");
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
    assert!(!text.contains("Warning"), "{text}");
    // The API server logs it, and counts it since version 1.24.
    crate::support::eventually("the API server logs it", || server.log().contains("failing open"));
    let metrics = said(&server.kubectl(&["get", "--raw", "/metrics"]));
    let counted = "apiserver_admission_webhook_fail_open_count{name=\"validate.reload-gate.dev\",type=\"validating\"}";
    if metrics.contains("# TYPE apiserver_admission_webhook_fail_open_count ") {
        assert!(sample(&metrics, counted).is_some_and(|count| count >= 1.0), "{metrics}");
    } else {
        crate::support::report_skipped("this API server has no metric of webhooks that fail open (Kubernetes 1.24)");
    }
    rejects_what_is_stored(&server);
    // The webhook is there again, and nothing was frozen in between: the object can be mended, and broken no more.
    let back = Webhook::start_at(webhook.port, &[]);
    register(&server, &back);
    crate::support::eventually("it is asked again", || !apply(&server, &manifest("other", BAD)).0);
    let (stored, text) = apply(&server, &manifest("nginx", GOOD));
    assert!(stored, "{text}");
    let (stored, text) = apply(&server, &manifest("nginx", BAD));
    assert!(!stored, "{text}");
}

/// The gate of an application rejects the object in the cluster, keeps what runs, and has a log, a metric and a state of it.
#[track_caller]
fn rejects_what_is_stored(server: &ApiServer) {
    let object = server.kubectl(&["get", "configmap", "nginx", "-o", "jsonpath={.data.nginx\\.conf}"]);
    let stored = String::from_utf8(object.stdout).expect("it is UTF-8");
    let directory = tempfile::tempdir().expect("there is room");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let mut volume = Volume::new(directory.path().join("config"), Kubelet::New, &[("nginx.conf", GOOD)]);
    let (port, watch, published) = (free_port(), path("config"), path("published"));
    let listen = format!("127.0.0.1:{port}");
    std::fs::create_dir(&published).expect("there is room");
    let arguments = ["--builtin", "nginx", "--watch", &watch, "--publish", &published, "--signal", "none"];
    let mut gate = Gate::run(&[&arguments[..], &["--listen", &listen, "--name", "web"]].concat());
    gate.wait_for("published");
    volume.write(&[("nginx.conf", &stored)]);
    let event = gate.wait_for("rejected");
    assert_eq!((&event["level"], &event["findings"][0]["line"]), (&"error".into(), &4.into()), "{event}");
    let metrics = ask(port, "GET", "/metrics").expect("it listens").body;
    for (name, expected) in [
        ("reload_gate_validations_total{gate=\"web\",verdict=\"rejected\"}", 1.0),
        ("reload_gate_standing_info{gate=\"web\",event=\"rejected\"}", 1.0),
        ("reload_gate_config_last_reload_successful{gate=\"web\"}", 0.0),
    ] {
        assert_eq!(sample(&metrics, name), Some(expected), "{name}: {metrics}");
    }
    let live = std::fs::read_to_string(directory.path().join("published/nginx.conf")).expect("it is there");
    assert_eq!(live, GOOD);
    volume.write(&[("nginx.conf", GOOD)]);
    gate.wait_for("recovered");
}

/// A right of the user `plain`, as `create` of kubectl takes it.
#[track_caller]
fn grant(server: &ApiServer, role: &str, arguments: &[&str]) {
    let binding = format!("{role}binding");
    let flag = format!("--{role}=webhook");
    for words in [
        &[&["create", role, "webhook"], arguments].concat()[..],
        &["create", &binding, "webhook", &flag, "--user=plain"],
    ] {
        let made = server.kubectl(words);
        assert!(made.status.success(), "{}", said(&made));
    }
}

#[test]
fn an_include_across_objects_is_validated_with_the_other_object() {
    let Some(server) = ApiServer::start() else { return };
    let map = |name: &str, key: &str, text: &str| {
        let lines: String = text.lines().map(|line| format!("    {line}\n")).collect();
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  labels: {{reload-gate.dev/validate: nginx}}\ndata:\n  {key}: |\n{lines}"
        )
    };
    let directory = tempfile::tempdir().expect("there is room");
    let rules = directory.path().join("admission.yaml");
    let text = r"
admission:
- app: nginx
  kind: ConfigMap
  together:
  - {name: nginx-main, path: /etc/nginx}
  - {name: nginx-sites, path: /etc/nginx/conf.d}
";
    std::fs::write(&rules, text).expect("there is room");
    let kubeconfig = server.kubeconfig_of("plain");
    let path = |path: &Path| path.to_str().expect("it is UTF-8").to_owned();
    let mut webhook = Webhook::start(&["--config", &path(&rules), "--kubeconfig", &path(&kubeconfig)]);
    register(&server, &webhook);
    let main = "events {}\nhttp {\n  log_format own '$status';\n  include /etc/nginx/conf.d/*.conf;\n}\n";
    let site = "server {\n  access_log /dev/stdout own;\n}\n";
    crate::support::eventually("it is asked", || !apply(&server, &map("nginx-main", "nginx.conf", BAD)).0);
    // Without the right it is validated alone, and says that.
    let (stored, text) = apply(&server, &map("nginx-main", "nginx.conf", main));
    assert!(stored && text.contains("Warning: it was validated without the ConfigMap `nginx-sites`"), "{text}");
    assert!(text.contains("may not get configmaps"), "{text}");
    // The owner of the webhook sees it as well.
    let event = webhook.gate.wait_for("inconclusive");
    let message = event["message"].as_str().unwrap_or_default();
    assert!(message.contains("without the ConfigMap `nginx-sites`") && message.contains("may not get"), "{event}");
    let names = ["--verb=get", "--resource=configmaps", "--resource-name=nginx-main", "--resource-name=nginx-sites"];
    grant(&server, "role", &names);
    crate::support::eventually("it may read", || {
        let (_, text) = apply(&server, &map("nginx-main", "nginx.conf", &format!("# again\n{main}")));
        let dropped = server.kubectl(&["delete", "configmap", "nginx-main"]);
        dropped.status.success() && text.contains("there is no ConfigMap `nginx-sites`")
    });
    let (stored, text) = apply(&server, &map("nginx-main", "nginx.conf", main));
    assert!(stored, "{text}");
    let (stored, text) = apply(&server, &map("nginx-sites", "web.conf", &site.replace("own", "other")));
    assert!(!stored && denied_for(&text).contains("web.conf:2:26: unknown log format \"other\""), "{text}");
    let (stored, text) = apply(&server, &map("nginx-sites", "web.conf", site));
    assert!(stored && !text.contains("Warning"), "{text}");
    // A change of the main file breaks a site: the finding is in the other object.
    let (stored, text) = apply(&server, &map("nginx-main", "nginx.conf", &main.replace("own", "main2")));
    let reason = denied_for(&text);
    assert!(!stored && reason.contains("ConfigMap default/nginx-sites web.conf:2:26: unknown log format"), "{text}");
}

#[test]
fn an_authority_of_its_own_is_put_into_the_configuration_of_the_api_server() {
    let Some(server) = ApiServer::start() else { return };
    let port = free_port();
    // As others left it.
    register_at(&server, port, "caBundle: \"\"");
    let kubeconfig = server.kubeconfig_of("plain");
    let kubeconfig = kubeconfig.to_str().expect("it is UTF-8");
    let own = ["--self-signed", "reload-gate-admission", "--kubeconfig", kubeconfig];
    let mut refused = gate_command();
    refused.arg("admit").args(own).args(["--listen", &format!("127.0.0.1:{port}")]);
    let output = refused.output().expect("it starts");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("may not get validatingwebhookconfigurations"),
        "{output:?}"
    );
    let configurations = "--resource=validatingwebhookconfigurations.admissionregistration.k8s.io,mutatingwebhookconfigurations.admissionregistration.k8s.io";
    let name = "--resource-name=reload-gate-admission";
    grant(&server, "clusterrole", &["--verb=get,update", configurations, name]);
    crate::support::eventually("it may change it", || {
        let may = ["auth", "can-i", "update", "validatingwebhookconfigurations/reload-gate-admission", "--as", "plain"];
        server.kubectl(&may).status.success()
    });
    let mut unknown = gate_command();
    unknown.args(["admit", "--self-signed", "nope", "--listen", &format!("127.0.0.1:{port}")]);
    // As kubectl finds its cluster.
    let output = unknown.env("KUBECONFIG", server.kubeconfig()).output().expect("it starts");
    let text = said(&output);
    assert!(
        text.contains("neither a ValidatingWebhookConfiguration nor a MutatingWebhookConfiguration is called `nope`"),
        "{text}"
    );
    assert!(text.contains("\n  help: apply the configuration of the webhook first"), "{text}");
    let mut webhook = Webhook::start_at(port, &own);
    crate::support::eventually("it is asked", || !apply(&server, &manifest("nginx", BAD)).0);
    let (stored, text) = apply(&server, &manifest("nginx", GOOD));
    assert!(stored, "{text}");
    // Another replica adds its own.
    let second = Webhook::start(&own);
    let bundle = server.kubectl(&[
        "get",
        "validatingwebhookconfiguration",
        "reload-gate-admission",
        "-o",
        "go-template={{range .webhooks}}{{.clientConfig.caBundle | base64decode}}{{end}}",
    ]);
    let bundle = said(&bundle);
    assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 2, "{bundle}");
    assert_eq!(second.gate.stop(), 0);
    let (stored, text) = apply(&server, &manifest("nginx", BAD));
    assert!(!stored, "{text}");
    assert_eq!(webhook.gate.count("alert_failed"), 0);
    assert!(webhook.gate.is_alive());
}
