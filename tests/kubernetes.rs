//! Kubernetes Events: a test server checks them against the published schema.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{
    ApiServer, Background, Gate, ask, authority, eventually, free_port, gate_command, needs, sample, tls_server,
};

/// It writes down every request, and answers with the code in the file `answer`, if there is one; else as an API server that
/// remembers the names of Events.
const API_SERVER: &str = "
known = set()
class H(http.server.BaseHTTPRequestHandler):
    def serve(self):
        body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        told = {'method': self.command, 'path': self.path, 'body': body}
        told |= {'authorization': self.headers['Authorization'], 'type': self.headers['Content-Type']}
        name = body['metadata']['name'] if self.command == 'POST' else self.path.split('?')[0].rsplit('/', 1)[1]
        code = 201 if name not in known else 409 if self.command == 'POST' else 200
        code = 404 if self.command == 'PATCH' and name not in known else code
        if os.path.exists('answer'):
            code = int(open('answer').read())
        if code < 300:
            known.add(name)
        told['code'] = code
        open('told', 'a').write(json.dumps(told) + '\\n')
        changed = {'apiVersion': 'meta.k8s.io/v1', 'kind': 'PartialObjectMetadata', 'metadata': {'name': name}}
        taken = body if self.command == 'POST' else changed
        refused = b'events is forbidden: Bearer token-hunter2'
        answer = json.dumps(taken).encode() if code < 300 else refused
        self.send_response(code)
        self.send_header('Content-Length', str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    do_POST = do_PATCH = serve
    def log_message(self, *words):
        pass
";

/// A gate in a pod, and the API server of its cluster.
struct Pod {
    gate: Gate,
    directory: tempfile::TempDir,
    port: u16,
    listens: u16,
    _server: Option<Background>,
}

impl Pod {
    fn start(up: bool, answer: Option<&str>, more: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("there is room");
        let (port, listens) = (free_port(), free_port());
        let here = directory.path();
        let account = here.join("account");
        fs::create_dir(&account).expect("there is room");
        fs::copy(authority(here), account.join("ca.crt")).expect("there is room");
        let file = |path: &Path, content: &str| fs::write(path, content).expect("there is room");
        file(&account.join("token"), "token-hunter2\n");
        file(&account.join("namespace"), "prod");
        answer.iter().for_each(|answer| file(&here.join("answer"), answer));
        let server = up.then(|| tls_server(here, port, API_SERVER));
        write(here, "good");
        let mut gate = told("run", here, port);
        gate.args(["--listen", &format!("127.0.0.1:{listens}")]).args(more);
        let mut gate = Gate::start(gate);
        gate.wait_for("verified");
        Self { gate, directory, port, listens, _server: server }
    }

    /// The requests so far.
    fn told(&self) -> Vec<Value> {
        let told = fs::read_to_string(self.directory.path().join("told")).unwrap_or_default();
        told.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Reason, kind of the object and count of each request.
    fn story(&self) -> Vec<String> {
        let told = self.told();
        let story = |request: &Value| {
            let body = &request["body"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            match request["method"].as_str() {
                Some("PATCH") => format!("count {}", body["series"]["count"]),
                _ => format!("{} {} {}", text(&body["type"]), text(&body["reason"]), text(&body["regarding"]["kind"])),
            }
        };
        told.iter().map(story).collect()
    }

    fn write(&self, content: &str) {
        write(self.directory.path(), content);
    }
}

/// The path of a request, without its parameters.
fn place(request: &Value) -> &str {
    request["path"].as_str().and_then(|path| path.split('?').next()).unwrap_or_default()
}

/// The gate's binary with a command that knows of the cluster.
fn told(what: &str, here: &Path, port: u16) -> std::process::Command {
    let mut gate = gate_command();
    gate.args([what, "--name", "web", "--settle", "20ms", "--watch"]).arg(here.join("config"));
    gate.args(["--validate", "grep -q good {config}", "--reload-command", "true", "--verify-command"]);
    gate.arg(format!("test ! -e {}/unproven", here.display()));
    gate.args(["--kubernetes-events", "--kubernetes-service-account"]).arg(here.join("account"));
    // An image may have no authorities of its own.
    gate.env("POD_NAME", "web-0").env("POD_UID", "0123-4567").env("SSL_CERT_FILE", "/nowhere");
    gate.env("KUBERNETES_SERVICE_HOST", "127.0.0.1").env("KUBERNETES_SERVICE_PORT", port.to_string());
    gate
}

/// Replaces the file in one step, so that a reader never sees half of it.
fn write(directory: &Path, content: &str) {
    let new = directory.join("new");
    fs::create_dir_all(directory.join("config")).expect("there is room");
    fs::write(&new, content).and_then(|()| fs::rename(&new, directory.join("config/app.conf"))).expect("there is room");
}

/// What of `value` is not as the schema has it.
fn faults(schema: &Value, kind: &str, value: &Value, place: &str) -> Vec<String> {
    let fits = match kind {
        "string" => value.is_string(),
        "integer" => value.is_i64(),
        "date-time" => value.as_str().is_some_and(|time| humantime::parse_rfc3339(time).is_ok()),
        _ => value.is_object(),
    };
    if !fits {
        return vec![format!("{place}: `{value}` is no {kind}")];
    }
    let Some(properties) = schema[kind]["properties"].as_object() else { return Vec::new() };
    let mut found = Vec::new();
    for (key, value) in value.as_object().into_iter().flatten() {
        match properties.get(key).and_then(Value::as_str) {
            Some(kind) => found.extend(faults(schema, kind, value, &format!("{place}.{key}"))),
            None => found.push(format!("{place}: unknown key `{key}`")),
        }
    }
    let names = |part: &str| schema[kind][part].as_array().cloned().unwrap_or_default();
    for key in names("required").iter().chain(&names("filled")).filter_map(Value::as_str) {
        if value[key].is_null() || value[key] == "" {
            found.push(format!("{place}: `{key}` is missing"));
        }
    }
    for (key, longest) in schema[kind]["longest"].as_object().into_iter().flatten() {
        let length = value[key].as_str().map_or(0, str::len);
        if length as u64 > longest.as_u64().unwrap_or_default() {
            found.push(format!("{place}: `{key}` is too long"));
        }
    }
    found
}

#[test]
fn reports_are_events_of_the_pod_and_of_the_configmap() {
    needs!("openssl", "python3");
    let mut pod = Pod::start(true, None, &["--kubernetes-configmap", "web-config"]);
    pod.write("bad");
    pod.gate.wait_for("rejected");
    pod.write("good");
    pod.gate.wait_for("recovered");
    pod.write("bad");
    pod.gate.wait_for("rejected");
    let of_both = |reason: &str| [format!("{reason} Pod"), format!("{reason} ConfigMap")];
    let expected =
        [of_both("Normal ConfigReloaded"), of_both("Warning ConfigRejected"), of_both("Normal ConfigRecovered")];
    let expected = [&expected.concat()[..], &["count 2".to_owned(), "count 2".to_owned()]].concat();
    eventually("all of it is told", || pod.story().len() >= expected.len());
    let mut story = pod.story();
    story.sort();
    let mut sorted = expected.clone();
    sorted.sort();
    assert_eq!(story, sorted, "the same rejection again is counted");

    let schema: Value =
        serde_json::from_str(include_str!("../fixtures/kubernetes/events.v1.json")).expect("it is JSON");
    for request in pod.told() {
        let body = &request["body"];
        assert_eq!(request["authorization"], "Bearer token-hunter2");
        if request["method"] == "POST" {
            assert_eq!(place(&request), "/apis/events.k8s.io/v1/namespaces/prod/events");
            assert_eq!(faults(&schema, "Event", body, "Event"), [""; 0], "{body}");
            assert_eq!((&body["apiVersion"], &body["kind"]), (&"events.k8s.io/v1".into(), &"Event".into()));
            assert_eq!(body["metadata"]["namespace"], body["regarding"]["namespace"]);
            let (name, uid) =
                if body["regarding"]["kind"] == "Pod" { ("web-0", "0123-4567") } else { ("web-config", "") };
            assert_eq!(body["regarding"]["name"], name);
            assert_eq!(body["regarding"]["uid"].as_str().unwrap_or_default(), uid);
        } else {
            assert_eq!(request["type"], "application/merge-patch+json");
            // The API server takes no other change of an Event.
            assert_eq!(
                body.as_object().map(|body| body.keys().cloned().collect::<Vec<_>>()),
                Some(vec!["series".into()])
            );
            assert_eq!(faults(&schema, "EventSeries", &body["series"], "series"), [""; 0], "{body}");
        }
        assert!((200..300).contains(&request["code"].as_i64().expect("it is a number")), "{request}");
    }
    assert_eq!(pod.gate.stop(), 0);
}

#[test]
fn a_real_api_server_takes_events_and_their_counts() {
    let Some(server) = ApiServer::start() else { return };
    let directory = tempfile::tempdir().expect("there is room");
    let here = directory.path();
    write(here, "good");
    let mut gate = told("run", here, 1);
    gate.env("KUBECONFIG", server.kubeconfig()).env("POD_NAMESPACE", "default");
    let mut gate = Gate::start(gate);
    gate.wait_for("verified");
    for _ in 0..2 {
        write(here, "bad");
        gate.wait_for("rejected");
        write(here, "good");
        gate.wait_for("recovered");
    }
    let stored = || -> Vec<Value> {
        let listed = server.kubectl(&["get", "events.v1.events.k8s.io", "-o", "json"]);
        let list: Value = serde_json::from_slice(&listed.stdout).unwrap_or_default();
        list["items"].as_array().cloned().unwrap_or_default()
    };
    let count = |events: &[Value], reason: &str| {
        let of_reason: Vec<_> = events.iter().filter(|event| event["reason"] == reason).collect();
        (of_reason.len(), of_reason.first().and_then(|event| event["series"]["count"].as_u64()))
    };
    eventually("the rejections are counted", || count(&stored(), "ConfigRejected") == (1, Some(2)));
    let events = stored();
    assert_eq!(count(&events, "ConfigReloaded").0, 1, "{events:?}");
    assert!(events.iter().all(|event| event["regarding"]["name"] == "web-0"), "{events:?}");
    assert_eq!(gate.count("alert_failed"), 0, "{}", gate.story());
}

#[test]
fn no_event_shows_anything_of_a_secret() {
    needs!("openssl", "python3");
    let mut pod = Pod::start(true, None, &["--redact", "always", "--validate", "sed -n 'p;/bad/q1' {config}"]);
    pod.write("good bad pass-correcthorse");
    pod.gate.wait_for("rejected");
    eventually("it is told", || pod.story().iter().any(|said| said.contains("ConfigRejected")));
    let told = format!("{:?}{}", pod.told(), pod.gate.story());
    assert!(told.contains("[redacted]") && !told.contains("correcthorse"), "{told}");
}

#[test]
fn a_gate_without_the_right_reports_once_and_continues() {
    needs!("openssl", "python3");
    let mut pod = Pod::start(true, Some("403"), &[]);
    let failed = pod.gate.wait_for("alert_failed");
    assert!(failed["message"].as_str().is_some_and(|message| message.contains("may not create events")), "{failed}");
    assert!(failed["help"].as_str().is_some_and(|help| help.contains("`create` and `patch`")), "{failed}");
    let shown = || -> Value {
        let status = ask(pod.listens, "GET", "/status").expect("it listens").body;
        serde_json::from_str::<Value>(&status).expect("it is JSON")["gates"][0]["alerts"][0].clone()
    };
    eventually("it is shown", || shown()["state"] == "failing");
    assert!(shown()["error"].as_str().is_some_and(|error| error.contains("may not create events")), "{}", shown());
    pod.write("bad");
    pod.gate.wait_for("rejected");
    pod.write("good 2");
    pod.gate.wait_for("verified");
    eventually("it is tried again", || pod.told().len() >= 3);
    assert_eq!(pod.gate.count("alert_failed"), 1);
    // The permission is given.
    fs::remove_file(pod.directory.path().join("answer")).expect("it is there");
    pod.gate.wait_for("recovered");
    eventually("what was not told is told", || pod.story().iter().any(|said| said.contains("ConfigRejected")));
    let status = || ask(pod.listens, "GET", "/status").expect("it listens").body;
    eventually("that is shown as well", || status().contains("\"sink\":\"kubernetes\",\"state\":\"delivered\""));
    let page = ask(pod.listens, "GET", "/metrics").expect("it listens").body;
    let failures = sample(&page, "reload_gate_alerts_total{sink=\"kubernetes\",outcome=\"failed\"}");
    assert!(failures.is_some_and(|failures| failures >= 3.0), "{page}");
    assert!(!pod.gate.story().contains("hunter2"), "{}", pod.gate.story());
}

#[test]
fn the_doctor_asks_whether_events_may_be_made_and_makes_none() {
    needs!("openssl", "python3");
    let pod = Pod::start(true, None, &[]);
    let diagnosis = || -> Value {
        let output =
            told("doctor", pod.directory.path(), pod.port).args(["--format", "json"]).output().expect("it starts");
        let report: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
        let checks = report["checks"].as_array().expect("there are some");
        checks.iter().find(|check| check["check"] == "events").expect("it is made").clone()
    };
    assert_eq!(diagnosis()["status"], "ok");
    let asked = pod.told().into_iter().filter(|request| request["body"]["reason"] == "Doctor");
    let paths: Vec<_> = asked.map(|request| request["path"].as_str().unwrap_or_default().to_owned()).collect();
    assert_eq!(paths.len(), 1, "{paths:?}");
    assert!(paths[0].starts_with("/apis/events.k8s.io/v1/namespaces/prod/events?"), "{paths:?}");
    assert!(paths[0].contains("dryRun=All"), "{paths:?}");
    fs::write(pod.directory.path().join("answer"), "403").expect("there is room");
    let refused = diagnosis();
    assert_eq!(refused["status"], "fail");
    assert!(refused["message"].as_str().is_some_and(|message| message.contains("may not create events")), "{refused}");
    assert!(refused["help"].as_str().is_some_and(|help| help.contains("`create` and `patch`")), "{refused}");
    assert!(!refused.to_string().contains("hunter2"), "{refused}");
    let token = pod.directory.path().join("account/token");
    fs::rename(&token, pod.directory.path().join("gone")).expect("there is room");
    let missing = diagnosis();
    assert!(
        missing["help"].as_str().is_some_and(|help| help.contains("`automountServiceAccountToken: true`")),
        "{missing}"
    );
}

#[test]
fn a_dead_api_server_is_in_nobodys_way() {
    needs!("openssl", "python3");
    let mut pod = Pod::start(false, None, &[]);
    pod.gate.wait_for("alert_failed");
    pod.write("bad");
    pod.gate.wait_for("rejected");
    pod.write("good 2");
    pod.gate.wait_for("verified");
    pod.gate.wait_for("recovered");
    let _server = tls_server(pod.directory.path(), pod.port, API_SERVER);
    eventually("what was not told is told", || pod.story().iter().any(|said| said.contains("ConfigRejected")));
    assert_eq!(pod.gate.count("alert_failed"), 1);
}

/// The output of one reload of this configuration.
fn reload_once(here: &Path, port: u16, content: &str) -> std::process::Output {
    write(here, content);
    told("reload", here, port).output().expect("it starts")
}

#[test]
fn a_single_reload_makes_its_event() {
    needs!("openssl", "python3");
    let mut pod = Pod::start(true, None, &[]);
    pod.gate.terminate();
    eventually("the gate has ended", || !pod.gate.is_alive());
    let (here, before) = (pod.directory.path().to_owned(), pod.told().len());
    let reasons = || pod.story().split_off(before);
    let rejected = reload_once(&here, pod.port, "bad");
    assert_eq!(rejected.status.code(), Some(1), "{rejected:?}");
    assert_eq!(reasons(), ["Warning ConfigRejected Pod"]);
    let good = reload_once(&here, pod.port, "good 2");
    assert_eq!((good.status.code(), good.stderr.as_slice()), (Some(0), &b""[..]), "{good:?}");
    assert_eq!(reasons(), ["Warning ConfigRejected Pod", "Normal ConfigReloaded Pod"]);
    fs::write(here.join("unproven"), "").expect("there is room");
    let unproven = told("reload", &here, pod.port).args(["--verify-timeout", "200ms"]).output().expect("it starts");
    assert_eq!(unproven.status.code(), Some(3), "{unproven:?}");
    fs::remove_file(here.join("unproven")).expect("it is there");
    assert_eq!(reasons().last().map(String::as_str), Some("Warning ReloadNotVerified Pod"));
    // Without the right to create Events the reload is the same, with a warning that promises nothing.
    fs::write(here.join("answer"), "403").expect("there is room");
    let good = reload_once(&here, pod.port, "good 3");
    let more = String::from_utf8_lossy(&good.stderr).into_owned();
    assert_eq!(good.status.code(), Some(0), "{more}");
    assert!(more.contains("alert_failed") && more.contains("`create` and `patch`"), "{more}");
    assert!(!more.contains("again") && !more.contains("hunter2"), "{more}");
}

#[test]
fn a_single_reload_waits_for_a_silent_api_server_for_seconds_at_most() {
    needs!("openssl");
    let directory = tempfile::tempdir().expect("there is room");
    let (here, account) = (directory.path(), directory.path().join("account"));
    fs::create_dir(&account).expect("there is room");
    fs::copy(authority(here), account.join("ca.crt")).expect("there is room");
    for (name, content) in [("token", "token-hunter2"), ("namespace", "prod")] {
        fs::write(account.join(name), content).expect("there is room");
    }
    // It takes connections into its queue, and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let port = silent.local_addr().expect("it is bound").port();
    let started = std::time::Instant::now();
    let rejected = reload_once(here, port, "bad");
    assert_eq!(rejected.status.code(), Some(1), "{rejected:?}");
    assert!(started.elapsed() < std::time::Duration::from_secs(8), "a request alone has 10 s: {:?}", started.elapsed());
}

#[test]
fn without_a_service_account_it_is_said_what_is_missing() {
    let directory = tempfile::tempdir().expect("there is room");
    write(directory.path(), "good");
    let mut gate = gate_command();
    gate.args([
        "run",
        "--signal",
        "none",
        "--kubernetes-events",
        "--kubernetes-service-account",
        "/nowhere",
        "--watch",
    ]);
    let mut gate = Gate::start({
        gate.arg(directory.path().join("config")).args(["--validate", "false"]).env("HOSTNAME", "web-0");
        gate
    });
    gate.wait_for("rejected");
    let failed = gate.wait_for("alert_failed");
    assert!(failed["message"].as_str().is_some_and(|message| message.contains("cannot read `/nowhere/")), "{failed}");
}

#[test]
fn a_pod_without_a_name_gets_no_events() {
    let mut gate = gate_command();
    gate.args(["run", "--watch", "/a", "--signal", "none", "--kubernetes-events"]);
    let said = gate.output().expect("it starts");
    let text = String::from_utf8(said.stderr).expect("it is UTF-8");
    assert!(said.status.code() == Some(2) && text.contains("POD_NAME"), "{text}");
    let mut gate = gate_command();
    gate.args(["run", "--watch", "/a", "--signal", "none", "--kubernetes-configmap", "x"]);
    let said = gate.output().expect("it starts");
    let text = String::from_utf8(said.stderr).expect("it is UTF-8");
    assert!(said.status.code() == Some(2) && text.contains("add `--kubernetes-events`"), "{text}");
}
