//! The listener: the state of a gate, and clients that would harm it.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Gate, Listening, PATIENCE, ask, eventually, free_port, gate_command, sample};

/// What `reload-gate status` with these arguments prints, and its exit code.
fn status(arguments: &[&str]) -> (String, i32) {
    ended(asking(arguments))
}

fn asking(arguments: &[&str]) -> Child {
    let mut command = gate_command();
    command.arg("status").args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it starts")
}

fn ended(asking: Child) -> (String, i32) {
    let output = asking.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    (String::from_utf8(said).expect("it is UTF-8"), output.status.code().expect("it ends by itself"))
}

#[test]
fn ready_is_what_has_something_accepted_whatever_comes_later() {
    let mut listening = Listening::start(Some("bad"), &["--signal", "none"]);
    let address = format!(":{}", listening.port);
    let asked = |more: &[&str]| status(&[&["--listen", &address], more].concat());
    listening.gate.wait_for("rejected");
    let ready = listening.get("/readyz");
    assert_eq!(ready.code, 503);
    assert!(ready.body.contains("default: no accepted configuration is known to be live (rejected)"), "{}", ready.body);
    assert_eq!(listening.get("/livez").code, 200);
    assert_eq!((asked(&[]).1, asked(&["--ready"]).1), (1, 1));

    listening.write("good");
    let digest = listening.gate.wait_for("accepted")["digest"].clone();
    listening.gate.wait_for("recovered");
    assert_eq!(listening.get("/readyz").code, 200);
    let (said, code) = asked(&[]);
    assert!(code == 0 && said.contains("accepted, not reloaded by this gate"), "{code}: {said}");

    listening.write("bad again");
    let rejected = listening.gate.wait_for("rejected");
    assert_eq!(listening.get("/readyz").code, 200, "what is live goes on");
    assert_eq!((asked(&[]).1, asked(&["--ready"]).1), (1, 0));
    let state = &listening.status()["gates"][0];
    assert_eq!((&state["ready"], &state["live"]), (&true.into(), &false.into()));
    let digests = ["desired", "validated", "running"].map(|content| &state[content]["digest"]);
    assert_eq!(
        digests,
        [&rejected["digest"], &digest, &Value::Null],
        "a gate without a reload knows nothing of an application"
    );
    for part in ["event", "level", "gate", "message", "digest", "previous", "changed", "findings", "duration_ms"] {
        assert_eq!(state["standing"][part], rejected[part], "{part}");
    }
    assert!(state["diverged_seconds"].as_f64().expect("it is a number") > 0.0, "{state}");

    listening.write("good");
    listening.gate.wait_for("recovered");
    let state = &listening.status()["gates"][0];
    assert_eq!((&state["standing"], &state["diverged_seconds"]), (&Value::Null, &0.0.into()));
}

#[test]
fn recent_decisions_are_kept_and_bounded() {
    let mut listening = Listening::start(Some("good"), &["--signal", "none"]);
    let accepted = listening.gate.wait_for("accepted");
    listening.write("good");
    listening.gate.wait_for("unchanged");
    listening.write("bad");
    let rejected = listening.gate.wait_for("rejected");
    let recent =
        |listening: &Listening| listening.status()["gates"][0]["recent"].as_array().cloned().expect("it is there");
    let decisions = recent(&listening);
    let names: Vec<_> = decisions.iter().map(|decision| decision["event"].as_str().unwrap_or_default()).collect();
    assert_eq!(names, ["started", "accepted", "rejected"], "what changes nothing drives nothing out");
    for (decision, event) in decisions[1..].iter().zip([accepted, rejected]) {
        for part in ["level", "event", "digest", "message", "duration_ms"] {
            assert_eq!(decision[part], event[part], "{part}");
        }
    }
    let address = format!(":{}", listening.port);
    for format in ["human", "text"] {
        let (said, code) = status(&["--listen", &address, "--format", format]);
        assert!(code == 1 && said.contains("Z accepted ") && said.contains("Z rejected "), "{code}: {said}");
    }
    for round in 0..12 {
        listening.write(&format!("bad {round}"));
        listening.gate.wait_for("rejected");
        listening.write("good");
        listening.gate.wait_for("recovered");
    }
    let decisions = recent(&listening);
    assert_eq!(decisions.len(), 20);
    assert_eq!(decisions[19]["event"], "recovered", "the newest is the last");
}

/// Compares the names of the metrics with those of their page.
fn all_are_documented(page: &str) {
    let described = |line: &str| Some(line.strip_prefix("# TYPE ")?.split(' ').next()?.to_owned());
    let (mut exposed, of_process): (BTreeSet<_>, BTreeSet<_>) =
        page.lines().filter_map(described).partition(|name| name.starts_with("reload_gate_"));
    assert!(of_process.len() > 5, "{of_process:?}");
    // Only a gate that verifies by workers has it.
    exposed.insert("reload_gate_lingering_workers".to_owned());
    // Only one of a roll-out has these.
    exposed.extend(["reload_gate_rollout_info", "reload_gate_rollout_pods"].map(str::to_owned));
    for name in of_process {
        assert!(include_str!("../docs/monitoring.md").contains(&format!("`{name}`")), "{name} is documented");
    }
    let documented = include_str!("../docs/monitoring.md").lines();
    let documented = documented.filter_map(|line| line.strip_prefix("| `reload_gate_")?.split('`').next());
    assert_eq!(exposed, documented.map(|name| format!("reload_gate_{name}")).collect());
}

#[test]
fn metrics_count_what_was_done() {
    let control = tempfile::tempdir().expect("there is room");
    let switch = |name: &str| control.path().join(name);
    let on = |name: &str| std::fs::write(switch(name), "").expect("there is room");
    let off = |name: &str| std::fs::remove_file(switch(name)).expect("it is there");
    let test = |name: &str| format!("test -e {}", switch(name).display());
    on("told");
    on("proven");
    let (told, proven) = (test("told"), test("proven"));
    let means = ["--name", "web", "--reload-command", &told, "--verify-command", &proven, "--verify-timeout", "100ms"];
    let mut listening = Listening::start(None, &[&means[..], &["--alert-command", "true"]].concat());
    listening.gate.wait_for("inconclusive");
    let successful = "reload_gate_config_last_reload_successful{gate=\"web\"}";
    let of = |name: &str, label: &str| format!("reload_gate_{name}_total{{gate=\"web\",{label}}}");
    assert_eq!(listening.metric(successful), None, "nothing was tried yet");
    assert_eq!(listening.metric("reload_gate_config_last_reload_success_timestamp_seconds{gate=\"web\"}"), None);
    assert_eq!(listening.metric(&of("validations", "verdict=\"rejected\"")), Some(0.0));
    assert!(listening.metric("reload_gate_diverged_seconds{gate=\"web\"}").is_some_and(|seconds| seconds > 0.0));

    listening.write("good");
    listening.gate.wait_for("verified");
    listening.gate.wait_for("recovered");
    assert_eq!(listening.metric(successful), Some(1.0));
    assert_eq!(listening.metric("reload_gate_diverged_seconds{gate=\"web\"}"), Some(0.0));
    let since = listening.metric("reload_gate_config_last_reload_success_timestamp_seconds{gate=\"web\"}");
    let now = std::time::UNIX_EPOCH.elapsed().expect("it is later").as_secs_f64();
    assert!(since.is_some_and(|since| (now - 20.0..=now).contains(&since)), "{since:?}");

    listening.write("good");
    listening.gate.wait_for("unchanged");
    listening.write("bad");
    let rejected = listening.gate.wait_for("rejected");
    assert_eq!(listening.metric(successful), Some(0.0));
    let desired = format!("reload_gate_config_info{{gate=\"web\",state=\"desired\",digest={}}}", rejected["digest"]);
    assert_eq!(listening.metric(&desired), Some(1.0));
    listening.write("good");
    listening.gate.wait_for("recovered");
    assert_eq!((listening.metric(successful), listening.metric(&desired)), (Some(1.0), None));

    off("proven");
    listening.write("good 2");
    listening.gate.wait_for("unverified");
    assert_eq!(listening.metric(successful), Some(0.0));
    off("told");
    listening.write("good 3");
    listening.gate.wait_for("unverified");

    let page = listening.get("/metrics");
    for (name, label, expected) in [
        ("validations", "verdict=\"accepted\"", 3.0),
        ("validations", "verdict=\"rejected\"", 1.0),
        ("reloads", "outcome=\"verified\"", 1.0),
        ("reloads", "outcome=\"unverified\"", 1.0),
        ("reloads", "outcome=\"failed\"", 1.0),
    ] {
        assert_eq!(sample(&page.body, &of(name, label)), Some(expected), "{name} {label}:\n{}", page.body);
    }
    for (name, expected) in [
        ("reload_gate_unchanged_total{gate=\"web\"}", 1.0),
        ("reload_gate_validation_duration_seconds_count{gate=\"web\",validator=\"grep\"}", 4.0),
        ("reload_gate_watch_mode_info{gate=\"web\",mode=\"inotify\"}", 1.0),
    ] {
        assert_eq!(sample(&page.body, name), Some(expected), "{name}:\n{}", page.body);
    }
    all_are_documented(&page.body);
    assert!(page.body.contains(&format!("reload_gate_build_info{{version=\"{}\"", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn a_rejection_by_the_gate_counts_as_rejected() {
    let mut listening = Listening::start(Some("good"), &["--name", "web", "--signal", "none", "--max-shrink", "50%"]);
    let accepted = listening.gate.wait_for("accepted");
    std::fs::rename(listening.watch.join("app.conf"), listening.watch.join("other.conf")).expect("it can be renamed");
    let rejected = listening.gate.wait_for("rejected");
    assert_eq!(rejected["findings"][0]["code"], "shrunk", "{rejected}");
    assert_eq!(rejected["previous"], accepted["digest"]);
    for (verdict, expected) in [("accepted", 1.0), ("rejected", 1.0), ("inconclusive", 0.0)] {
        let sample = format!("reload_gate_validations_total{{gate=\"web\",verdict=\"{verdict}\"}}");
        assert_eq!(listening.metric(&sample), Some(expected), "{verdict}");
    }
    let asked = "reload_gate_validation_duration_seconds_count{gate=\"web\",validator=\"grep\"}";
    assert_eq!(listening.metric(asked), Some(2.0));
    assert_eq!(listening.metric("reload_gate_standing_info{gate=\"web\",event=\"rejected\"}"), Some(1.0));
}

#[test]
fn a_publication_is_ready_before_the_application_reads_it() {
    let published = tempfile::tempdir().expect("there is room");
    let publish = published.path().to_str().expect("it is UTF-8");
    let name = crate::support::unique("later");
    let mut listening = Listening::start(
        Some("good"),
        &["--publish", publish, "--process", &name, "--signal", "HUP", "--root", "local"],
    );
    listening.gate.wait_for("published");
    listening.gate.wait_for("target_missing");
    assert_eq!(listening.get("/readyz").code, 200, "the application would wait for the gate, and the gate for it");
    let state = &listening.status()["gates"][0];
    assert_eq!((&state["live"], &state["running"]), (&false.into(), &Value::Null));
    assert_eq!(state["standing"]["event"], "target_missing");
    assert_eq!(listening.metric(&format!("reload_gate_config_last_reload_successful{{gate=\"{name}\"}}")), None);
    let address = format!("127.0.0.1:{}", listening.port);
    assert_eq!(status(&["--listen", &address]).1, 3);
    assert_eq!(status(&["--listen", &address, "--ready"]).1, 0);
}

#[test]
fn the_documented_sidecar_is_ready_before_its_application() {
    let directory = tempfile::tempdir().expect("there is room");
    let (config, published, port) = (directory.path().join("config"), directory.path().join("published"), free_port());
    std::fs::create_dir(&config).and_then(|()| std::fs::create_dir(&published)).expect("there is room");
    // A plain user may not write to nginx's own directories.
    let scratch = tempfile::tempdir().expect("there is room");
    let text = format!(
        "pid {0}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n    access_log off;\n    client_body_temp_path {0}/body;\n    \
         proxy_temp_path {0}/proxy;\n    fastcgi_temp_path {0}/fastcgi;\n    uwsgi_temp_path {0}/uwsgi;\n    scgi_temp_path {0}/scgi;\n    \
         server {{ listen 8080; }}\n}}\n",
        scratch.path().display()
    );
    std::fs::write(config.join("nginx.conf"), text).expect("there is room");
    let page = include_str!("../docs/monitoring.md");
    let arguments =
        page.split_once("args: [").and_then(|(_, rest)| Some(rest.split_once(']')?.0)).expect("it is there");
    let here = |argument: &str| match argument.trim_matches('"') {
        "/config" => config.display().to_string(),
        "/etc/nginx" => published.display().to_string(),
        ":9464" => format!(":{port}"),
        same => same.to_owned(),
    };
    let arguments: Vec<String> = arguments.split(", ").map(here).collect();
    let mut sidecar = gate_command();
    // No nginx of another test is this one's application.
    sidecar.args(arguments).args(["--process", &crate::support::unique("later")]);
    let mut gate = Gate::start(sidecar);
    gate.wait_for("published");
    eventually("it is ready", || ask(port, "GET", "/readyz").is_some_and(|answer| answer.code == 200));
    assert!(published.join("nginx.conf").exists());
    assert_eq!(gate.stop(), 0);
}

#[test]
fn only_what_there_is_is_served_and_nothing_can_be_changed() {
    let mut listening = Listening::start(Some("good"), &["--signal", "none"]);
    listening.gate.wait_for("accepted");
    for (method, path, code) in [
        ("GET", "/", 200),
        ("GET", "/status?x=y", 200),
        ("GET", "/nowhere", 404),
        ("GET", "/metrics/", 404),
        ("GET", "/../etc/passwd", 404),
        ("POST", "/status", 405),
        ("DELETE", "/", 405),
        ("OPTIONS", "/metrics", 405),
    ] {
        let answer = ask(listening.port, method, path).expect("it listens");
        assert_eq!(answer.code, code, "{method} {path}");
        assert_eq!(code == 405, answer.head.to_lowercase().contains("allow: get, head"), "{}", answer.head);
    }
    for path in ["/metrics", "/livez", "/readyz", "/status", "/"] {
        let answer = ask(listening.port, "HEAD", path).expect("it listens");
        assert_eq!((answer.code, answer.body.as_str()), (200, ""), "{path}");
        assert!(answer.head.to_lowercase().contains("content-length: "), "{}", answer.head);
    }
    let said = listening.gate.listen(Duration::from_millis(50));
    assert!(said.is_empty(), "who asks is not worth an event: {said:?}");
}

#[test]
fn status_waits_until_it_is_so() {
    let mut listening = Listening::start(Some("bad"), &["--signal", "none"]);
    listening.gate.wait_for("rejected");
    let address = format!("0.0.0.0:{}", listening.port);
    let (said, code) = status(&["--listen", &address, "--wait", "300ms"]);
    assert!(code == 1 && said.contains("not live for") && said.contains("rejected: "), "{code}: {said}");
    let waiting = asking(&["--listen", &address, "--wait", "20s", "--format", "json"]);
    listening.write("good");
    let (said, code) = ended(waiting);
    assert_eq!(code, 0, "{said}");
    assert_eq!(serde_json::from_str::<Value>(&said).expect("it is JSON")["live"], true);
    listening.gate.stop();

    let (said, code) = status(&["--listen", &address]);
    assert!(code == 3 && said.contains("no answer from a gate"), "{code}: {said}");
    let (said, code) = status(&["--listen", "9464"]);
    assert!(code == 2 && said.contains("`--listen`: `9464` is no address"), "{code}: {said}");
    // The server there is no gate.
    let other = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = other.local_addr().expect("it is bound").to_string();
    let waiting = asking(&["--listen", &address]);
    let (mut stream, _) = other.accept().expect("it asks");
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno").expect("it listens");
    let (said, code) = ended(waiting);
    assert!(code == 3 && said.contains("the answer is no status"), "{code}: {said}");
}

#[test]
fn a_port_that_is_in_use_is_taken_when_it_is_free() {
    let directory = tempfile::tempdir().expect("there is room");
    std::fs::write(directory.path().join("app.conf"), "one").expect("there is room");
    let other = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = other.local_addr().expect("it is bound");
    let watch = directory.path().to_str().expect("it is UTF-8");
    let mut gate =
        Gate::run(&["--watch", watch, "--settle", "20ms", "--signal", "none", "--listen", &address.to_string()]);
    // The listener and the gate start side by side.
    let first = [gate.wait_for_any(&["alert_failed", "accepted"]), gate.wait_for_any(&["alert_failed", "accepted"])];
    let failed = first.iter().find(|event| event["event"] == "alert_failed").expect("it is reported");
    assert_eq!(failed["level"], "warn");
    let message = failed["message"].as_str().expect("there is one");
    assert!(message.contains(&format!("cannot listen on `{address}`")), "{failed}");
    assert!(failed["help"].as_str().expect("there is one").contains("another port"), "{failed}");
    std::fs::write(directory.path().join("app.conf"), "two").expect("there is room");
    eventually("the gate goes on", || {
        gate.listen(Duration::from_millis(20));
        gate.events.iter().any(|event| event["event"] == "accepted" && event["previous"].is_string())
    });
    drop(other);
    let recovered = gate.wait_for("recovered");
    assert!(recovered["message"].as_str().expect("there is one").contains("listening on"), "{recovered}");
    assert_eq!(ask(address.port(), "GET", "/readyz").map(|answer| answer.code), Some(200));
    assert_eq!(gate.count("alert_failed"), 1, "it is said once, however often it is tried");
    assert_eq!(gate.stop(), 0);
}

/// How many files and connections a process has open.
fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it is alive").count()
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it is alive");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it is there");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("it is a number")
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("it can be set");
    stream.set_write_timeout(Some(PATIENCE)).expect("it can be set");
    stream
}

#[test]
fn a_thousand_silent_clients_delay_nobody() {
    let mut listening = Listening::start(Some("good"), &["--signal", "none"]);
    listening.gate.wait_for("accepted");
    let pid = listening.gate.pid();
    let (before, memory) = (descriptors(pid), resident_kib(pid));
    let mut silent = Vec::new();
    for client in 0..1_000 {
        let mut stream = connect(listening.port);
        // Some begin a request; none ends it.
        let _ = stream.write_all(&b"GET /status HTTP/1.1\r\nHost: x\r\nX-Slow: "[..client % 40]);
        silent.push(stream);
        // This process may have a thousand files open, and the other tests need some.
        if silent.len() > 300 {
            silent.remove(0);
        }
    }
    assert_eq!(listening.get("/livez").code, 200);
    let asked = Instant::now();
    listening.write("good 2");
    listening.gate.wait_for("accepted");
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    eventually("the oldest have given way", || descriptors(pid) <= before + 66);
    assert!(asked.elapsed() < Duration::from_secs(5), "they gave way only when their time was over");
    assert!(resident_kib(pid) < memory + 8 * 1024, "{memory} KiB have become {}", resident_kib(pid));
    // Of those which are still connected, each has its time, although it sends a byte now and then.
    let mut last = silent.pop().expect("it is there");
    let deadline = Instant::now() + PATIENCE;
    last.set_read_timeout(Some(Duration::from_millis(100))).expect("it can be set");
    loop {
        let sent = last.write_all(b"x");
        match last.read(&mut [0; 512]) {
            Err(error) if sent.is_ok() && error.kind() == std::io::ErrorKind::WouldBlock => {}
            _ => break,
        }
        assert!(Instant::now() < deadline, "a byte at a time keeps a connection for ever");
    }
    drop(silent);
    eventually("nothing is left of them", || {
        listening.get("/livez");
        // Since then a process for the next command may have become ready, which has a socket, two pipes and a descriptor of its end.
        descriptors(pid) <= before + 6
    });
}

#[test]
fn a_header_without_end_is_cut_off() {
    let mut listening = Listening::start(Some("good"), &["--signal", "none"]);
    listening.gate.wait_for("accepted");
    for begin in ["GET / HTTP/1.1\r\nX: ", "GET /", "GET / HTTP/1.1\r\n"] {
        let mut stream = connect(listening.port);
        stream.write_all(begin.as_bytes()).expect("it listens");
        let piece = if begin.ends_with('\n') { "A: b\r\n".repeat(1_000) } else { "a".repeat(6_000) };
        let mut sent = 0;
        while sent < 64 << 20 && stream.write_all(piece.as_bytes()).is_ok() {
            sent += piece.len();
        }
        // What the kernels keep on the way is not the gate's.
        assert!(sent < 32 << 20, "{sent} bytes were taken");
    }
    let pid = listening.gate.pid();
    assert!(resident_kib(pid) < 64 * 1024, "{} KiB", resident_kib(pid));
    assert_eq!(listening.get("/readyz").code, 200);
}

#[test]
fn a_client_that_never_reads_keeps_only_its_connection() {
    let mut listening = Listening::start(Some("good"), &["--signal", "none"]);
    listening.gate.wait_for("accepted");
    let mut streams: Vec<_> = (0..60).map(|_| connect(listening.port)).collect();
    let requests = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(200);
    let mut greedy = connect(listening.port);
    greedy.write_all(&requests.as_bytes()[..requests.len() / 100]).expect("it listens");
    let mut answers = String::new();
    // What was sent in vain may end the connection with a reset, after the answer.
    let _ = greedy.read_to_string(&mut answers);
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 1, "a connection is for one request");
    for stream in &mut streams {
        // A connection is for one request, so that it may be closed before all are sent.
        let _ = stream.write_all(requests.as_bytes());
    }
    let asked = Instant::now();
    assert_eq!(listening.get("/livez").code, 200);
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    let pid = listening.gate.pid();
    assert!(resident_kib(pid) < 64 * 1024, "{} KiB", resident_kib(pid));
    listening.write("good 2");
    listening.gate.wait_for("accepted");
}
