//! Alerts: their delivery, and sinks that fail.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::support::{
    Background, Gate, Health, Receiver, Told, ask, authority, command, eventually, free_port, gate_command, needs,
    sample, tls_server,
};

/// A gate over one file, which must contain `good`, and has a reload that is proven.
struct Alerting {
    gate: Gate,
    directory: tempfile::TempDir,
    port: u16,
}

impl Alerting {
    fn start(more: &[&str]) -> Self {
        Self::with(more, &[])
    }

    fn with(more: &[&str], variables: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("there is room");
        let port = free_port();
        write(directory.path(), "good");
        let (watch, listen) = (directory.path().join("config"), format!("127.0.0.1:{port}"));
        let mut gate = gate_command();
        gate.args(["run", "--name", "web", "--settle", "20ms", "--listen", &listen, "--watch"]).arg(watch);
        gate.args(["--validate", "grep -q good {config}", "--reload-command", "true", "--verify-command", "true"]);
        gate.args(more).envs(variables.iter().copied());
        let mut gate = Gate::start(gate);
        gate.wait_for("verified");
        eventually("it listens", || ask(port, "GET", "/livez").is_some());
        Self { gate, directory, port }
    }

    fn write(&self, content: &str) {
        write(self.directory.path(), content);
    }

    /// The delivery to the only sink, as the status shows it.
    fn delivery(&self) -> Value {
        let status = ask(self.port, "GET", "/status").expect("it listens").body;
        let status: Value = serde_json::from_str(&status).expect("it is JSON");
        status["gates"][0]["alerts"][0].clone()
    }

    fn counted(&self, sink: &str, outcome: &str) -> Option<f64> {
        let page = ask(self.port, "GET", "/metrics").expect("it listens").body;
        sample(&page, &format!("reload_gate_alerts_total{{sink=\"{sink}\",outcome=\"{outcome}\"}}"))
    }
}

/// Replaces the file in one step, so that a reader never sees half of it.
fn write(directory: &Path, content: &str) {
    let new = directory.join("new");
    fs::create_dir_all(directory.join("config")).expect("there is room");
    fs::write(&new, content).and_then(|()| fs::rename(&new, directory.join("config/app.conf"))).expect("there is room");
}

fn file(directory: &Path, name: &str, content: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, content).expect("there is room");
    path
}

fn said(told: &Told) -> (&str, &str) {
    (told.body["status"].as_str().unwrap_or_default(), told.body["event"]["event"].as_str().unwrap_or_default())
}

#[test]
fn a_webhook_is_told_of_a_rejection_and_of_its_end() {
    let receiver = Receiver::start();
    let secrets = tempfile::tempdir().expect("there is room");
    let token = file(secrets.path(), "token", "hunter2-one\n");
    let bearer = token.to_str().expect("it is UTF-8");
    let url = receiver.url("/hook?key=hunter2-two");
    let more = ["--alert-webhook", &url, "--alert-webhook-bearer-file", bearer, "--alert-webhook-header"];
    let more = [&more[..], &["X-Scope: hunter2-three", "--alert-label", "team=a b"]].concat();
    let mut alerting = Alerting::with(&more, &[("POD_NAME", "web-0"), ("POD_NAMESPACE", "prod")]);
    assert_eq!(alerting.counted("webhook", "delivered"), Some(0.0));
    assert_eq!(alerting.delivery()["state"], "idle");
    alerting.write("bad");
    let rejected = alerting.gate.wait_for("rejected");
    let told = receiver.taken();
    assert_eq!((told.line.as_str(), said(&told)), ("POST /hook?key=hunter2-two HTTP/1.1", ("firing", "rejected")));
    assert_eq!(told.header("content-type"), Some("application/json"));
    assert_eq!(told.header("authorization"), Some("Bearer hunter2-one"));
    assert_eq!(told.header("x-scope"), Some("hunter2-three"));
    for part in ["digest", "previous", "message", "findings", "changed", "level"] {
        assert_eq!(told.body["event"][part], rejected[part], "{part}");
    }
    let labels = serde_json::json!({ "pod": "web-0", "namespace": "prod", "team": "a b" });
    assert_eq!((&told.body["labels"], &told.body["gate"]), (&labels, &"web".into()));
    eventually("it is shown", || alerting.delivery()["state"] == "delivered");
    assert_eq!(alerting.delivery()["about"], "rejected");

    // The credentials are read each time, since they change.
    fs::write(&token, "hunter2-four").expect("there is room");
    receiver.is(Health::Answers(401));
    alerting.write("good");
    alerting.gate.wait_for("recovered");
    let failed = alerting.gate.wait_for("alert_failed");
    eventually("it is shown", || alerting.delivery()["state"] == "failing");
    let shown = alerting.delivery();
    assert_eq!((&shown["about"], &shown["wanted"]), (&"rejected".into(), &"recovered".into()), "{shown}");
    assert_eq!(receiver.next().0.header("authorization"), Some("Bearer hunter2-four"));
    assert!(failed["message"].as_str().is_some_and(|message| message.contains("it answered 401")), "{failed}");
    receiver.is(Health::Answers(200));
    assert_eq!(said(&receiver.taken()), ("resolved", "recovered"));
    alerting.gate.wait_for("recovered");
    let pages = ["/", "/status", "/metrics"].map(|path| ask(alerting.port, "GET", path).expect("it listens").body);
    let shown = alerting.gate.story() + &pages.concat();
    assert!(!shown.contains("hunter2"), "{shown}");
    assert_eq!(alerting.counted("webhook", "delivered"), Some(2.0));
    assert_eq!(alerting.gate.stop(), 0);
    assert!(receiver.rest().is_empty(), "nothing is told twice");
}

#[test]
fn a_replaced_alert_is_resolved() {
    let receiver = Receiver::start();
    let directory = tempfile::tempdir().expect("there is room");
    let heard = directory.path().join("heard");
    let command = format!("sh -c 'cat >>{}'", heard.display());
    let more = ["--alert-webhook", &receiver.url("/"), "--alert-command", &command, "--alert-after", "0s"];
    let validate = "sh -c 'grep -q unclear $0 && kill -9 $$; true' {config}";
    let alerting = Alerting::start(&[&more[..], &["--validate", validate]].concat());
    let alert =
        |told: &Value| [&told["status"], &told["alert"]].map(|part| part.as_str().unwrap_or_default().to_owned());
    alerting.write("bad");
    let first = receiver.taken().body;
    assert_eq!(alert(&first), ["firing", "ReloadGateRejected"]);
    alerting.write("good, but unclear");
    let (ended, second) = (receiver.taken().body, receiver.taken().body);
    assert_eq!(
        (alert(&ended), &ended["since"]),
        (["resolved", "ReloadGateRejected"].map(str::to_owned), &first["since"])
    );
    assert_eq!(alert(&second), ["firing", "ReloadGateInconclusive"]);
    alerting.write("good");
    assert_eq!(alert(&receiver.taken().body), ["resolved", "ReloadGateInconclusive"]);
    eventually("the command hears the same", || {
        fs::read_to_string(&heard).is_ok_and(|heard| heard.lines().count() == 4)
    });
    assert_eq!(alerting.gate.stop(), 0);
    assert!(receiver.rest().is_empty());
}

#[test]
fn no_proxy_of_the_environment_is_asked() {
    let receiver = Receiver::start();
    let proxies = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"];
    let proxies = proxies.map(|name| (name, "http://127.0.0.1:1"));
    let alerting = Alerting::with(&["--alert-webhook", &receiver.url("/")], &proxies);
    alerting.write("bad");
    assert_eq!(said(&receiver.taken()), ("firing", "rejected"));
}

#[test]
fn a_sink_in_trouble_delays_nobody_and_is_told_what_still_matters() {
    for health in [Health::Hangs, Health::Answers(500), Health::Drops] {
        let (ill, well) = (Receiver::start(), Receiver::start());
        let urls = [ill.url("/"), well.url("/")];
        let mut alerting = Alerting::start(&["--alert-webhook", &urls[0], "--alert-webhook", &urls[1]]);
        ill.is(health);
        alerting.write("bad 1");
        alerting.gate.wait_for("rejected");
        // While the sink fails, the gate works, and the other sink gets the alert.
        assert_eq!((ill.next().1, said(&well.taken())), (health, ("firing", "rejected")));
        alerting.write("good 2");
        alerting.gate.wait_for("reloaded");
        alerting.gate.wait_for("verified");
        alerting.gate.wait_for("recovered");
        assert_eq!(said(&well.taken()).0, "resolved");
        alerting.write("bad 3");
        let current = alerting.gate.wait_for("rejected");
        assert_eq!(well.taken().body["event"]["digest"], current["digest"]);
        ill.is(Health::Answers(200));
        let told = ill.taken();
        assert_eq!((said(&told), &told.body["event"]["digest"]), (("firing", "rejected"), &current["digest"]));
        alerting.gate.wait_for("recovered");
        assert!(alerting.gate.count("alert_failed") == 1 && ill.rest().is_empty(), "{}", alerting.gate.story());
    }
}

#[test]
fn a_sink_that_is_down_is_told_when_it_is_up() {
    let port = free_port();
    let mut alerting = Alerting::start(&["--alert-webhook", &format!("http://127.0.0.1:{port}/")]);
    alerting.write("bad");
    let failed = alerting.gate.wait_for("alert_failed");
    assert_eq!(failed["level"], "warn");
    alerting.write("good 2");
    alerting.gate.wait_for("verified");
    let receiver = Receiver::at(&format!("127.0.0.1:{port}"));
    assert_eq!(said(&receiver.taken()), ("resolved", "recovered"), "what is over is not told as if it stood");
    // The trouble with the configuration, then that with the sink.
    alerting.gate.wait_for("recovered");
    alerting.gate.wait_for("recovered");
    assert!(alerting.counted("webhook", "failed").is_some_and(|failed| failed >= 1.0));
    assert!(receiver.rest().is_empty());
}

#[test]
fn a_chat_is_told_in_text() {
    let receiver = Receiver::start();
    let secrets = tempfile::tempdir().expect("there is room");
    let url = file(secrets.path(), "url", &format!("{}\n", receiver.url("/services/T0/B0/hunter2")));
    let mut alerting = Alerting::start(&["--alert-slack-file", url.to_str().expect("it is UTF-8")]);
    receiver.is(Health::Answers(404));
    alerting.write("bad");
    alerting.gate.wait_for("rejected");
    alerting.gate.wait_for("alert_failed");
    receiver.is(Health::Answers(200));
    let told = receiver.taken();
    assert_eq!(told.line, "POST /services/T0/B0/hunter2 HTTP/1.1");
    let (text, keys) =
        (told.body["text"].as_str().expect("it is text"), told.body.as_object().map(serde_json::Map::len));
    assert!(keys == Some(1) && text.contains("web: a new configuration was rejected"), "{text}");
    alerting.write("good");
    assert!(receiver.taken().body["text"].as_str().is_some_and(|text| text.contains("`rejected` is over")));
    let status = ask(alerting.port, "GET", "/status").expect("it listens").body;
    assert!(!(alerting.gate.story() + &status).contains("hunter2"), "{status}");
}

#[test]
fn microsoft_teams_get_a_card() {
    let receiver = Receiver::start();
    let secrets = tempfile::tempdir().expect("there is room");
    let url = file(secrets.path(), "url", &receiver.url("/workflows/hunter2/triggers/manual"));
    let mut alerting = Alerting::start(&["--alert-teams-file", url.to_str().expect("it is UTF-8")]);
    alerting.write("bad");
    alerting.gate.wait_for("rejected");
    let taken = receiver.taken();
    assert_eq!(taken.line, "POST /workflows/hunter2/triggers/manual HTTP/1.1");
    let card = |body: &Value| body["attachments"][0]["content"].clone();
    assert_eq!(card(&taken.body)["type"], "AdaptiveCard");
    assert_eq!(card(&taken.body)["body"][0]["text"], "web: a new configuration was rejected");
    assert!(
        card(&taken.body)["actions"][0]["url"].as_str().is_some_and(|url| url.ends_with("/reload-gate-rejected.md"))
    );
    alerting.write("good");
    let text = card(&receiver.taken().body)["body"][0]["text"].clone();
    assert!(text.as_str().is_some_and(|text| text.contains("is over")), "{text}");
    // It is counted when the answer has arrived.
    eventually("both are counted", || alerting.counted("teams", "delivered") == Some(2.0));
    assert!(!alerting.gate.story().contains("hunter2"));
}

#[test]
fn a_command_reads_it_on_standard_input() {
    let directory = tempfile::tempdir().expect("there is room");
    let heard = directory.path().join("heard");
    let script = format!("cat >>{0}; test -e {0}.well || {{ echo no hunter2; exit 3; }}", heard.display());
    let mut alerting = Alerting::start(&["--alert-command", &format!("sh -c '{script}' hunter2-argument")]);
    alerting.write("bad");
    let failed = alerting.gate.wait_for("alert_failed");
    assert!(failed["message"].as_str().is_some_and(|message| message.contains("exited with code 3: no")), "{failed}");
    assert!(!failed.to_string().contains("hunter2-argument"), "{failed}");
    file(directory.path(), "heard.well", "");
    alerting.gate.wait_for("recovered");
    let heard = fs::read_to_string(&heard).expect("it was written");
    let heard: Vec<Value> = heard.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
    assert!(heard.len() == 2 && heard.iter().all(|alert| alert["alert"] == "ReloadGateRejected"), "{heard:?}");
}

#[test]
fn a_lasting_obstacle_is_alerted() {
    let receiver = Receiver::start();
    let url = receiver.url("/");
    let mut alerting = Alerting::start(&["--alert-webhook", &url, "--alert-after", "300ms"]);
    fs::remove_file(alerting.directory.path().join("config/app.conf")).expect("it is there");
    alerting.gate.wait_for("inconclusive");
    assert_eq!(said(&receiver.taken()), ("firing", "inconclusive"));
    alerting.write("good");
    assert_eq!(said(&receiver.taken()).0, "resolved");
    // By default it is given a minute.
    let patient = Receiver::start();
    let mut alerting = Alerting::start(&["--alert-webhook", &patient.url("/")]);
    fs::remove_file(alerting.directory.path().join("config/app.conf")).expect("it is there");
    alerting.gate.wait_for("inconclusive");
    alerting.write("bad");
    alerting.gate.wait_for("rejected");
    assert_eq!(said(&patient.taken()), ("firing", "rejected"));
}

#[test]
fn run_once_delivers_its_alert_before_it_ends() {
    let receiver = Receiver::start();
    let directory = tempfile::tempdir().expect("there is room");
    write(directory.path(), "bad");
    let mut once = gate_command();
    once.args([
        "run",
        "--once",
        "--validate",
        "grep -q good {config}",
        "--alert-webhook",
        &receiver.url("/"),
        "--watch",
    ]);
    let status = once.arg(directory.path().join("config")).stderr(Stdio::null()).status().expect("it starts");
    assert_eq!((status.code(), said(&receiver.taken())), (Some(1), ("firing", "rejected")));
}

#[test]
fn an_authority_of_ones_own_vouches_for_a_server() {
    needs!("openssl", "python3");
    let directory = tempfile::tempdir().expect("there is room");
    let authority = authority(directory.path());
    let (port, heard) = (free_port(), directory.path().join("heard"));
    let handler = "class H(http.server.BaseHTTPRequestHandler):\n    def do_POST(self):\n        \
                   body = self.rfile.read(int(self.headers['Content-Length']))\n        open('heard', 'ab').write(body + b'\\n')\n        \
                   self.send_response(200)\n        self.end_headers()\n";
    let _server = tls_server(directory.path(), port, handler);
    let url = format!("https://127.0.0.1:{port}/");

    let mut distrusting = Alerting::start(&["--alert-webhook", &url]);
    distrusting.write("bad");
    let failed = distrusting.gate.wait_for("alert_failed");
    assert!(failed["message"].as_str().is_some_and(|message| message.contains("certificate")), "{failed}");
    assert!(!heard.exists());

    let authority = authority.to_str().expect("it is UTF-8");
    let mut trusting = Alerting::start(&["--alert-webhook", &url, "--alert-ca-file", authority]);
    trusting.write("bad");
    trusting.gate.wait_for("rejected");
    eventually("it is told", || fs::read_to_string(&heard).is_ok_and(|heard| heard.contains("\"rejected\"")));
}

/// The alerts that a real Alertmanager has for this gate: names, and the whole objects.
fn alerts(port: u16) -> Vec<(String, Value)> {
    let answer = ask(port, "GET", "/api/v2/alerts?active=true").map(|answer| answer.body).unwrap_or_default();
    let answer = answer.find('[').map_or("[]", |at| &answer[at..=answer.rfind(']').unwrap_or(at)]).to_owned();
    let alerts: Value = serde_json::from_str(&answer).unwrap_or_default();
    let alerts = alerts.as_array().cloned().unwrap_or_default().into_iter();
    alerts.map(|alert| (alert["labels"]["alertname"].as_str().unwrap_or_default().to_owned(), alert)).collect()
}

#[test]
fn a_rejection_stands_in_alertmanager_as_long_as_it_stands() {
    needs!("prometheus-alertmanager");
    let directory = tempfile::tempdir().expect("there is room");
    let (port, heard) = (free_port(), Receiver::start());
    let config = format!(
        "route: {{receiver: all, group_wait: 0s, group_interval: 1s}}\nreceivers:\n  - name: all\n    webhook_configs: [{{url: \
         '{}'}}]\n",
        heard.url("/")
    );
    let config = file(directory.path(), "alertmanager.yml", &config);
    let mut alertmanager = command("prometheus-alertmanager");
    alertmanager.arg(format!("--config.file={}", config.display()));
    alertmanager.arg(format!("--storage.path={}", directory.path().join("data").display()));
    alertmanager.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--cluster.listen-address=");
    let _alertmanager = Background::start(alertmanager.stdout(Stdio::null()).stderr(Stdio::null()));
    eventually("it is ready", || ask(port, "GET", "/-/ready").is_some_and(|answer| answer.code == 200));

    let url = format!("http://127.0.0.1:{port}/");
    let more = ["--alert-alertmanager", &url, "--alert-repeat", "500ms", "--alert-label", "team=web"];
    let mut alerting = Alerting::start(&more);
    alerting.write("bad");
    let rejected = alerting.gate.wait_for("rejected");
    eventually("it fires", || alerts(port).len() == 1);
    let (name, alert) = alerts(port).remove(0);
    assert_eq!((name.as_str(), &alert["labels"]["gate"]), ("ReloadGateRejected", &"web".into()));
    let labels = alert["labels"].as_object().expect("it is one");
    assert_eq!(labels.keys().collect::<Vec<_>>(), ["alertname", "gate", "severity", "team"]);
    assert_eq!(alert["annotations"]["digest"], rejected["digest"]);
    assert!(alert["annotations"]["runbook_url"].as_str().is_some_and(|url| url.ends_with("reload-gate-rejected.md")));
    // What is not repeated is over after two seconds; so it is repeated.
    let told = || alerting.counted("alertmanager", "delivered").unwrap_or_default();
    let before = told();
    eventually("it is told again and again", || told() >= before + 6.0);
    assert_eq!(alerts(port).len(), 1, "it stands");
    assert_eq!(heard.taken().body["alerts"][0]["labels"]["alertname"], "ReloadGateRejected");

    // Another content that is rejected is the same alert.
    alerting.write("bad again");
    let again = alerting.gate.wait_for("rejected");
    eventually("it is told", || {
        alerts(port).first().is_some_and(|(_, alert)| alert["annotations"]["digest"] == again["digest"])
    });
    assert_eq!(alerts(port).len(), 1);
    alerting.write("good");
    alerting.gate.wait_for("recovered");
    eventually("it is over", || alerts(port).is_empty());
    eventually("who is told by it hears of that", || heard.taken().body["status"] == "resolved");

    // The end of the gate is no end of the incident: its successor reports that.
    alerting.write("bad at last");
    alerting.gate.wait_for("rejected");
    eventually("it fires again", || alerts(port).len() == 1);
    assert_eq!(alerting.gate.stop(), 0);
    assert_eq!(alerts(port).len(), 1, "it still stands");
    eventually("nobody says so any more", || alerts(port).is_empty());
}

#[test]
fn an_unready_sink_is_reported_at_the_start_and_by_the_doctor() {
    let directory = tempfile::tempdir().expect("there is room");
    let url = file(directory.path(), "url", "hooks.slack.com/hunter2");
    let (receiver, port) = (Receiver::start(), free_port());
    let (well, nobody) = (receiver.url("/"), format!("http://127.0.0.1:{port}/"));
    let slack = url.to_str().expect("it is UTF-8");
    let more = ["--alert-slack-file", slack, "--alert-command", "no-such-program", "--alert-webhook", &well];
    let mut alerting = Alerting::start(&[&more[..], &["--alert-webhook", &nobody]].concat());
    let started = alerting.gate.story();
    let started: Value = serde_json::from_str(started.lines().next().expect("there is one")).expect("it is JSON");
    let findings = started["findings"].as_array().expect("there are some");
    let said: Vec<_> = findings.iter().filter(|finding| finding["code"] == "unready-alert").collect();
    assert!(said.len() == 2 && said.iter().all(|finding| finding["severity"] == "warning"), "{started}");
    assert!(said[0]["message"].as_str().is_some_and(|message| message.contains("holds no URL")), "{started}");
    assert!(said[1]["message"].as_str().is_some_and(|message| message.contains("not installed")), "{started}");
    alerting.write("bad");
    eventually("all who cannot be told are said", || {
        let _ = alerting.gate.wait_for("alert_failed");
        alerting.gate.count("alert_failed") == 3
    });
    let status = ask(alerting.port, "GET", "/status").expect("it listens").body;
    assert!(!(alerting.gate.story() + &status).contains("hunter2"), "{status}");

    let mut doctor = gate_command();
    doctor.args(["doctor", "--format", "json", "--signal", "none", "--watch"]).arg(directory.path());
    let output = doctor.args(more).args(["--alert-webhook", &nobody]).output().expect("it starts");
    let report: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let checks = report["checks"].as_array().expect("there are some").iter();
    let alerts = checks.filter(|check| check["check"] == "alerts").map(|check| {
        let (status, message) = (check["status"].as_str(), check["message"].as_str());
        (status.unwrap_or_default(), message.unwrap_or_default().split("): ").last().unwrap_or_default().to_owned())
    });
    let alerts: Vec<_> = alerts.collect();
    assert_eq!(
        alerts.iter().map(|(status, _)| *status).collect::<Vec<_>>(),
        ["ok", "fail", "fail", "fail"],
        "{alerts:?}"
    );
    assert!(alerts[1].1.contains("cannot be reached") || alerts[1].1.contains("refused"), "{alerts:?}");
    assert!(!report.to_string().contains("hunter2"), "{report}");
}

#[test]
fn every_error_has_its_place() {
    let wrong = |arguments: &[&str]| {
        let mut gate = gate_command();
        gate.args(["run", "--watch", "/a", "--signal", "none"]).args(arguments);
        let output = gate.output().expect("it starts");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        String::from_utf8(output.stderr).expect("it is UTF-8")
    };
    let webhook = ["--alert-webhook", "http://a/"];
    for (arguments, expected) in [
        (&["--alert-webhook", "hunter2@a"][..], "error: `--alert-webhook`: `a` is no URL"),
        (&["--alert-after", "5m"], "error: `--alert-after`: `alert-after` has no effect without a sink"),
        (&["--alert-label", "x=y"], "error: `--alert-label`: `alert-label` has no effect without a sink"),
        (&["--alert-command", "'"], "error: `--alert-command`: "),
        (&["--alert-repeat", "0s", webhook[0], webhook[1]], "error: `--alert-repeat`: `0s` is no duration above 0"),
        (
            &["--alert-label", "gate=y", webhook[0], webhook[1]],
            "error: `--alert-label`: every alert has a label `gate`",
        ),
        (&["--alert-label", "1=y", webhook[0], webhook[1]], "error: `--alert-label`: `1` is no name of a label"),
        (
            &["--alert-webhook-header", "hunter2", webhook[0], webhook[1]],
            "error: `--alert-webhook-header`: the value is no header",
        ),
        (
            &["--alert-webhook-basic-file", "/x", "--alert-webhook-bearer-file", "/y", webhook[0], webhook[1]],
            "`alert-webhook-bearer-file` and `alert-webhook-basic-file` exclude each other",
        ),
        (
            &["--alert-webhook-basic-file", "/x", webhook[0], webhook[1], "--alert-webhook", "http://b/"],
            "the headers and credentials of `alert-webhook` would go to more than one host",
        ),
        (&["--alert-webhook-header", "host: b", webhook[0], webhook[1]], "the header `host` follows from the request"),
        (
            &["--alert-webhook-header", "content-length: 0", webhook[0], webhook[1]],
            "the header `content-length` follows from the request",
        ),
        (
            &[
                "--alert-webhook-header",
                "authorization: hunter2@",
                "--alert-webhook-basic-file",
                "/x",
                webhook[0],
                webhook[1],
            ],
            "`alert-webhook-basic-file` sets the header `authorization` already",
        ),
        (&["--alert-label", "x=y", "--alert-label", "x=z", webhook[0], webhook[1]], "the label `x` is given twice"),
        (&[webhook[0], "http://a", webhook[0], webhook[1]], "`alert-webhook` has the same value twice"),
        (
            &["--alert-alertmanager", "http://a:9093/api/v2/alerts/"],
            "error: `--alert-alertmanager`: `/api/v2/alerts` is added",
        ),
        (
            &["--alert-slack-file", "https://hooks.slack.com/hunter2@"],
            "error: `--alert-slack-file`: the value is a URL, which is a secret, and no file\n  help: write the URL into a file",
        ),
        (&["--alert-webhok", "x"], "--alert-webhook"),
    ] {
        let said = wrong(arguments);
        assert!(said.contains(expected) && !said.contains("hunter2@"), "{arguments:?}: {said}");
    }
}
