//! The admission webhook: its answers over TLS, hostile clients, and a real API server.

mod cluster;
mod hostile;
mod manifests;

use serde_json::{Value, json};

use crate::support::{PATIENCE, Webhook, authority, eventually, gate_command, send_over};

pub(crate) const GOOD: &str = "events {}\nhttp {\n  server {\n    listen 8080;\n  }\n}\n";
pub(crate) const BAD: &str = "events {}\nhttp {\n  server {\n    lisen 8080;\n  }\n}\n";

/// A review of a new object of this kind, with this `data`.
pub(crate) fn review(kind: &str, data: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1",
            "kind": {"group": "", "version": "v1", "kind": kind},
            "namespace": "web",
            "operation": "CREATE",
            "object": {
                "metadata": {"name": "nginx", "namespace": "web", "labels": {"reload-gate.dev/validate": "nginx"}},
                "data": data,
            },
        },
    })
}

fn config_map(text: &str) -> Value {
    review("ConfigMap", &json!({"nginx.conf": text}))
}

#[test]
fn a_bad_object_is_denied_with_its_line_logged_and_counted() {
    let mut webhook = Webhook::start(&[]);
    let denied = webhook.review(&config_map(BAD));
    assert_eq!(denied["allowed"], false);
    let message = denied["status"]["message"].as_str().expect("it has one");
    assert!(message.contains("nginx.conf:4:5: unknown directive \"lisen\""), "{message}");
    assert!(message.contains("help: did you mean `listen`?"), "{message}");
    let event = webhook.gate.wait_for("rejected");
    assert_eq!(event["message"], "denied: create of ConfigMap web/nginx (request 1)");
    assert_eq!((&event["level"], &event["findings"][0]["line"]), (&"error".into(), &4.into()));
    assert_eq!(webhook.review(&config_map(GOOD))["allowed"], true);
    let mut unlabelled = config_map(BAD);
    unlabelled["request"]["object"]["metadata"]["labels"] = Value::Null;
    assert_eq!(webhook.review(&unlabelled)["allowed"], true);
    let mut dry_run = config_map(BAD);
    dry_run["request"]["dryRun"] = true.into();
    assert_eq!(webhook.review(&dry_run)["allowed"], false);
    for line in [
        r#"kind="ConfigMap",operation="create",verdict="rejected",decision="denied",dry_run="false"} 1"#,
        r#"kind="ConfigMap",operation="create",verdict="rejected",decision="denied",dry_run="true"} 1"#,
        r#"kind="ConfigMap",operation="create",verdict="accepted",decision="allowed",dry_run="false"} 1"#,
        r#"kind="ConfigMap",operation="create",verdict="skipped",decision="allowed",dry_run="false"} 1"#,
    ] {
        webhook.wait_for_metric(&format!("reload_gate_admission_reviews_total{{{line}"));
    }
    assert_eq!(webhook.gate.stop(), 0);
}

#[test]
fn a_webhook_that_never_denies_warns() {
    let webhook = Webhook::start(&["--deny", "never"]);
    let allowed = webhook.review(&config_map(BAD));
    assert_eq!(allowed["allowed"], true);
    let warning = allowed["warnings"][0].as_str().expect("there is one");
    assert!(warning.starts_with("not denied: nginx.conf:4:5: unknown directive"), "{warning}");
}

#[test]
fn rules_of_the_configuration_file_need_no_label() {
    let directory = tempfile::tempdir().expect("there is room");
    let file = directory.path().join("admission.yaml");
    let rules = r"
admission:
- {namespaces: [web-*], keys: ['*.conf'], app: nginx}
";
    std::fs::write(&file, rules).expect("there is room");
    let webhook = Webhook::start(&["--config", file.to_str().expect("it is UTF-8")]);
    let allowed = |namespace: &str, key: &str, label: Value| {
        let mut review = review("ConfigMap", &json!({key: BAD}));
        review["request"]["namespace"] = namespace.into();
        review["request"]["object"]["metadata"]["namespace"] = namespace.into();
        review["request"]["object"]["metadata"]["labels"] = label;
        webhook.review(&review)["allowed"].clone()
    };
    assert_eq!(allowed("web-a", "nginx.conf", Value::Null), false);
    assert_eq!(allowed("db", "nginx.conf", Value::Null), true);
    assert_eq!(allowed("web-a", "notes.txt", Value::Null), true);
    // The author of an object cannot turn off what the cluster wants.
    assert_eq!(allowed("web-a", "nginx.conf", json!({"reload-gate.dev/validate": "none"})), false);
}

#[test]
fn a_value_of_a_secret_is_in_no_answer_no_log_and_no_metric() {
    use std::fmt::Write as _;
    let mut webhook = Webhook::start(&["--log-level", "trace"]);
    // "hunter2topsecret on;" within a configuration, in base64.
    let text = "events {}\nhttp {\n  hunter2topsecret on;\n}\n";
    let encoded = base64_of(text.as_bytes());
    let denied = webhook.review(&review("Secret", &json!({"nginx.conf": encoded})));
    assert_eq!(denied["allowed"], false);
    let mut all = denied.to_string();
    let broken = review("Secret", &json!({"nginx.conf": "hunter2topsecret!"}));
    all += &webhook.send("POST", "/validate", broken.to_string().as_bytes()).body;
    all += &webhook.metrics();
    webhook.gate.wait_for("rejected");
    webhook.gate.listen(std::time::Duration::from_millis(200));
    write!(all, "{}", webhook.gate.story()).expect("a text takes it");
    assert!(all.contains("nginx.conf"), "{all}");
    assert!(!all.contains("hunter2"), "{all}");
}

/// Standard base64.
pub(crate) fn base64_of(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |value: u32, shift: u32| char::from(DIGITS[((value >> shift) & 63) as usize]);
    let group = |chunk: &[u8]| {
        let value = chunk.iter().fold(0u32, |value, byte| (value << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        let text: String = [18, 12, 6, 0].map(|shift| digit(value, shift)).into_iter().take(chunk.len() + 1).collect();
        format!("{text:=<4}")
    };
    bytes.chunks(3).map(group).collect()
}

#[test]
fn what_is_no_review_gets_a_status_and_never_a_hang() {
    let webhook = Webhook::start(&[]);
    for (method, path, body, code) in [
        ("POST", "/validate", &b"no JSON"[..], 400),
        ("POST", "/validate", b"", 400),
        ("POST", "/validate", b"{}", 400),
        ("POST", "/validate", b"\xff\xfe", 400),
        ("GET", "/validate", b"", 405),
        ("POST", "/metrics", b"", 405),
        ("GET", "/other", b"", 404),
        ("GET", "/livez", b"", 200),
        ("GET", "/readyz", b"", 200),
    ] {
        let answer = webhook.send(method, path, body);
        assert_eq!(answer.code, code, "{method} {path}: {}", answer.body);
    }
    // A connection serves several requests, also after a bad one.
    let mut channel = webhook.connect();
    let bad = send_over(&mut channel, "POST", "/validate", b"{").expect("it answers");
    assert_eq!(bad.code, 400);
    let good = send_over(&mut channel, "POST", "/validate", config_map(GOOD).to_string().as_bytes());
    assert_eq!(good.expect("it answers").code, 200);
    webhook.wait_for_metric("reload_gate_admission_refused_total{reason=\"bad-request\"} 5");
}

#[test]
fn a_new_certificate_is_served_and_an_unfit_one_is_not() {
    let mut webhook = Webhook::start(&[]);
    let directory = webhook.directory.path().to_owned();
    let old = directory.join("old.pem");
    std::fs::copy(directory.join("ca.pem"), &old).expect("there is room");
    let server = directory.join("server.pem");
    let fit = std::fs::read(&server).expect("it is there");
    std::fs::write(&server, "no certificate").expect("there is room");
    let failed = webhook.gate.wait_for("alert_failed");
    assert!(failed["message"].as_str().is_some_and(|message| message.contains("has no certificate")), "{failed}");
    assert_eq!(webhook.review(&config_map(GOOD))["allowed"], true);
    webhook.wait_for_metric("reload_gate_admission_certificate_stale 1");
    std::fs::write(&server, fit).expect("there is room");
    webhook.gate.wait_for("recovered");
    authority(&directory);
    eventually("the new certificate is served", || webhook.connect_with(&directory.join("ca.pem")).is_ok());
    assert!(webhook.connect_with(&old).is_err());
}

#[test]
fn it_starts_only_with_what_it_needs() {
    let directory = tempfile::tempdir().expect("there is room");
    authority(directory.path());
    let path = |name: &str| directory.path().join(name).display().to_string();
    let fails = |certificate: &str, more: &[&str]| {
        let mut admit = gate_command();
        admit.args(["admit", "--tls-cert", &path(certificate), "--tls-key", &path("server.key")]).args(more);
        let output = admit.output().expect("it starts");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(fails("none.pem", &[]).contains("none.pem`: No such file"));
    assert!(fails("ca.pem", &[]).contains("unfit"));
    assert!(fails("server.pem", &["--listen", "192.0.2.1:1"]).contains("cannot listen on `192.0.2.1:1`"));
    assert!(fails("server.pem", &["--listen", "8443"]).contains("no address to listen on"));
    assert!(fails("server.pem", &["--deny", "always"]).contains("invalid value"));
    assert!(fails("server.pem", &["--time-limit", "0s"]).contains("above 0"));
    let alone = |arguments: &[&str]| {
        let mut admit = gate_command();
        let output = admit.arg("admit").args(arguments).env_remove("KUBECONFIG").output().expect("it starts");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let without = alone(&[]);
    assert!(
        without.contains("`--tls-cert FILE --tls-key FILE`") && without.contains("`--self-signed NAME`"),
        "{without}"
    );
    assert!(alone(&["--tls-cert", &path("server.pem")]).contains("--tls-key"));
    let account = path("no-account");
    let outside = alone(&["--self-signed", "reload-gate-admission", "--kubernetes-service-account", &account]);
    let help = "  help: outside of a pod name a kubeconfig with `--kubeconfig FILE` or the variable KUBECONFIG\n";
    assert!(outside.contains("no-account/namespace`: No such file") && outside.ends_with(help), "{outside}");
    let rules = directory.path().join("rules.yaml");
    std::fs::write(&rules, "admission:\n- {namespaces: web, ap: nginx}\n").expect("there is room");
    let wrong = fails("server.pem", &["--config", rules.to_str().expect("it is UTF-8")]);
    assert!(wrong.contains("rules.yaml:2:21: unknown key `ap`"), "{wrong}");
}

#[test]
fn a_file_without_rules_of_admission_is_remarked() {
    let directory = tempfile::tempdir().expect("there is room");
    authority(directory.path());
    let path = |name: &str| directory.path().join(name).display().to_string();
    std::fs::write(path("gates.yaml"), "gates: [{app: nginx, watch: /etc/nginx}]\n").expect("there is room");
    let mut admit = gate_command();
    admit.args(["admit", "--tls-cert", &path("ca.pem"), "--tls-key", &path("server.key")]);
    let output = admit.args(["--config", &path("gates.yaml")]).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.starts_with("warning: `") && text.contains("gates.yaml` has no `admission`"), "{text}");
}

#[test]
fn after_sigterm_it_answers_until_others_have_noticed() {
    let mut webhook = Webhook::start(&[]);
    webhook.gate.terminate();
    eventually("it is not ready", || webhook.send("GET", "/readyz", b"").code == 503);
    assert_eq!(webhook.review(&config_map(BAD))["allowed"], false);
    webhook.gate.wait_for("stopped");
    let ended = std::time::Instant::now();
    while webhook.gate.is_alive() {
        assert!(ended.elapsed() < PATIENCE, "it does not end");
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
}

#[test]
fn the_end_and_the_names_of_the_certificate_are_known_from_the_start() {
    let webhook = Webhook::start(&[]);
    let started = webhook.gate.story();
    assert!(started.contains("the certificate is for `127.0.0.1`"), "{started}");
    let metrics = webhook.metrics();
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("reload_gate_admission_certificate_expiry_timestamp_seconds "));
    let expiry: u64 = line.and_then(|time| time.parse().ok()).expect("it is exposed");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is later").as_secs();
    assert!((now + 86_400..now + 3 * 86_400).contains(&expiry), "{expiry}");
}

#[test]
fn a_certificate_that_an_api_server_refuses_is_said_at_the_start() {
    let directory = tempfile::tempdir().expect("there is room");
    std::fs::write(directory.path().join("namespace"), "gate\n").expect("there is room");
    let account = directory.path().to_str().expect("it is UTF-8");
    let webhook = Webhook::start(&["--kubernetes-service-account", account]);
    let started = webhook.gate.story();
    assert!(started.contains("no name that ends in `.gate.svc`"), "{started}");
}

#[test]
fn the_first_answer_of_the_page_is_printed_as_its_blocks_are_pasted() {
    crate::support::needs!("openssl", "curl", "bash");
    let page = std::fs::read_to_string("docs/admission.md").expect("it is there");
    let section =
        page.split("## First answer").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("there is one");
    let blocks: Vec<&str> = section.split("```sh\n").skip(1).filter_map(|block| block.split("```").next()).collect();
    assert_eq!(blocks.len(), 2, "the certificate, and the request");
    let gate = gate_command().get_program().to_str().expect("it is UTF-8").to_owned();
    let port = crate::support::free_port().to_string();
    let script = blocks.concat().replace("8443", &port).replace("\nreload-gate ", &format!("\n{gate} "));
    let directory = tempfile::tempdir().expect("there is room");
    let mut bash = crate::support::command("bash");
    bash.current_dir(directory.path()).args(["-c", &format!("set -e\n{script}\nkill -INT $!\nwait")]);
    let output = bash.output().expect("it starts");
    let answer = String::from_utf8_lossy(&output.stdout);
    assert!(answer.contains("\"allowed\":false") && answer.contains("nginx.conf:3:3"), "{answer}{output:?}");
}

#[test]
fn the_help_names_the_defaults_of_the_webhook() {
    let help = gate_command().args(["admit", "--help"]).output().expect("it starts");
    let text = String::from_utf8_lossy(&help.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    let hygiene = text.split("--nginx-hygiene").nth(1).and_then(|rest| rest.split("--").next()).unwrap_or_default();
    assert!(hygiene.ends_with("[default: on] "), "{hygiene}");
}
