//! Hostile clients and objects: no hang, no growth, no process, no file.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};

use super::{BAD, GOOD, config_map, review};
use crate::support::{
    Background, Channel, PROMPT, Webhook, command, eventually, installed, receive, report_skipped, send_over,
};

/// Resident memory in KiB.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    line.trim().trim_end_matches(" kB").parse().expect("it is a number")
}

/// An honest review is answered in time.
#[track_caller]
fn answers_promptly(webhook: &Webhook) {
    let started = Instant::now();
    assert_eq!(webhook.review(&config_map(GOOD))["allowed"], true);
    assert!(started.elapsed() < PROMPT, "{:?}", started.elapsed());
}

/// Aliases in YAML that each mean many values.
fn bomb() -> String {
    let levels =
        (1..12).map(|level| format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 9].join(", ")));
    format!("a0: &a0 [x, x, x, x, x, x, x, x, x]\n{}", levels.collect::<String>())
}

/// Reviews of objects that are meant to cost much.
fn costly() -> Vec<Value> {
    let labelled = |label: &str, data: Value| {
        let mut review = review("ConfigMap", &data);
        review["request"]["object"]["metadata"]["labels"] = json!({"reload-gate.dev/validate": label});
        review
    };
    let many: serde_json::Map<String, Value> =
        (0..5_000).map(|index| (format!("conf.{index}"), format!("include conf.{};\n", index + 1).into())).collect();
    let large = "server { listen 80; location ~ (a+)+$ { return 200; } }\n".repeat(18_000);
    vec![
        labelled("yaml", json!({"a.yaml": bomb()})),
        labelled("auto", json!({"a.yaml": bomb(), "b.json": "[".repeat(1 << 20)})),
        labelled("yaml", json!({"a.yaml": "[".repeat(1 << 20)})),
        labelled("toml", json!({"a.toml": "a = ".to_owned() + &"[".repeat(1 << 20)})),
        labelled("xml", json!({"a.xml": "<a>".repeat(340_000)})),
        labelled("nginx", json!({"nginx.conf": "http {".repeat(170_000)})),
        labelled("nginx", json!({"nginx.conf": "include *.conf;\n".repeat(60_000), "a.conf": "include *.conf;\n"})),
        labelled("nginx", Value::Object(many)),
        labelled("nginx", json!({"nginx.conf": format!("events {{}}\nhttp {{\n{large}}}\n")})),
        labelled("nginx", json!({"nginx.conf": "a".repeat(1 << 20)})),
        labelled("haproxy", json!({"haproxy.cfg": "defaults\n"})),
        labelled("gunicorn", json!({"gunicorn.conf.py": "import os\nos.system('touch /tmp/admitted')\n"})),
        labelled("auto", json!({"run.sh": "#!/bin/sh\necho a\n", "rules.yaml": "groups:\n- name: a\n  rules: []\n"})),
        review("Secret", &json!({"nginx.conf": super::base64_of("hunter2 ".repeat(100_000).as_bytes())})),
    ]
}

#[test]
fn costly_objects_have_an_answer_and_leave_no_memory_behind() {
    let webhook = Webhook::start(&[]);
    let post_all = || {
        for (index, review) in costly().iter().enumerate() {
            let started = Instant::now();
            let answer = webhook.send("POST", "/validate", review.to_string().as_bytes());
            assert_eq!(answer.code, 200, "{index}: {}", answer.body);
            // The time limit of a validation, and the time to read what is large.
            assert!(started.elapsed() < PROMPT + PROMPT, "{index}: {:?}", started.elapsed());
        }
    };
    post_all();
    // On a loaded machine validations that took too long overlap with the next: what leaks would grow with each round, and not with some.
    let grows = |_: &u32| {
        let before = resident(webhook.gate.pid());
        post_all();
        resident(webhook.gate.pid()) > before + (4 << 10)
    };
    let rounds = (0..10).take_while(grows).count();
    assert!(rounds < 10, "{} KiB after {rounds} rounds", resident(webhook.gate.pid()));
    answers_promptly(&webhook);
}

#[test]
fn a_body_that_is_too_large_or_too_slow_is_refused() {
    let webhook = Webhook::start(&[]);
    let mut channel = webhook.connect();
    write!(channel, "POST /validate HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n").expect("it is open");
    channel.flush().expect("it is open");
    assert_eq!(receive(&mut channel).expect("it answers").code, 413);
    // Without a length the limit holds as well.
    let mut channel = webhook.connect();
    write!(channel, "POST /validate HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").expect("it is open");
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, " ".repeat(1 << 20));
    let _ = (0..24).try_for_each(|_| channel.write_all(chunk.as_bytes()));
    let refused = receive(&mut channel);
    // The server may close before the client has written all.
    assert!(refused.is_none_or(|answer| answer.code == 413));
    webhook.wait_for_metric("reload_gate_admission_refused_total{reason=\"too-large\"} 2");
    let mut slow = webhook.connect();
    write!(slow, "POST /validate HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{{").expect("it is open");
    slow.flush().expect("it is open");
    answers_promptly(&webhook);
    assert_eq!(receive(&mut slow).expect("it answers").code, 408);
    webhook.wait_for_metric("reload_gate_admission_refused_total{reason=\"too-slow\"} 1");
}

#[test]
fn a_thousand_connections_delay_no_review() {
    // A plain user may have 1,024 descriptors at first.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("it is below the other limit");
    let webhook = Webhook::start(&[]);
    let pid = webhook.gate.pid();
    answers_promptly(&webhook);
    let before = resident(pid);
    // Silent ones, which never begin the handshake.
    let silent: Vec<TcpStream> =
        (0..1_200).map_while(|_| TcpStream::connect(("127.0.0.1", webhook.port)).ok()).collect();
    assert!(silent.len() > 1_000, "{}", silent.len());
    answers_promptly(&webhook);
    // Those that have sent half a request.
    let mut halves: Vec<Channel> = (0..50).map(|_| webhook.connect()).collect();
    for half in &mut halves {
        write!(half, "POST /validate HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n{{").expect("it is open");
        half.flush().expect("it is open");
    }
    answers_promptly(&webhook);
    let during = resident(pid);
    assert!(during < before + (64 << 10), "{before} KiB, then {during} KiB");
    drop((silent, halves));
    eventually("they are forgotten", || {
        let connections = webhook.metrics();
        let line = connections.lines().find_map(|line| line.strip_prefix("reload_gate_admission_connections "));
        line.and_then(|count| count.parse::<u64>().ok()).is_some_and(|count| count < 100)
    });
}

#[test]
fn no_request_starts_a_process_or_opens_a_file_or_a_connection() {
    if !installed("strace") {
        return report_skipped("strace is not installed");
    }
    let directory = tempfile::tempdir().expect("there is room");
    let trace = directory.path().join("trace");
    let calls = "trace=execve,execveat,fork,vfork,connect,open,openat,openat2,creat,mkdir,unlink,rename,symlink";
    let path = trace.to_str().expect("it is UTF-8");
    let mut webhook = Webhook::start(&["--time-limit", "60s"]);
    let pid = webhook.gate.pid().to_string();
    let mut strace = command("strace");
    strace.args(["-f", "-qq", "-e", calls, "-o", path, "-p", &pid]).stderr(std::process::Stdio::null());
    let mut strace = Background::start(&mut strace);
    let is_traced = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
    };
    eventually("it is traced", || is_traced() || !strace.is_alive());
    if !strace.is_alive() {
        return report_skipped("strace may not trace here");
    }
    let read = || std::fs::read_to_string(&trace).expect("it is there");
    // What it needs once, such as time zones, is opened by the first reviews, and by the thread that writes the log of a denied one.
    webhook.review(&config_map(GOOD));
    webhook.review(&config_map(BAD));
    webhook.gate.wait_for("rejected");
    let started = read().lines().count();
    for review in costly() {
        let mut channel = webhook.connect();
        channel.sock.set_read_timeout(Some(Duration::from_secs(120))).expect("it is open");
        let answer = send_over(&mut channel, "POST", "/validate", review.to_string().as_bytes());
        assert_eq!(answer.expect("it answers").code, 200);
    }
    let text = read();
    let certificate = webhook.directory.path().to_str().expect("it is UTF-8").to_owned();
    // The certificate is read when it changes, and now and then, whatever is asked. The allocator looks for its limits.
    let is_own = |line: &str| line.contains(&certificate) || line.contains("/proc/sys/vm/overcommit_memory");
    let others: Vec<&str> = text
        .lines()
        .skip(started)
        .filter(|line| {
            ["exec", "fork", "connect", "open", "creat", "mkdir", "unlink", "rename", "symlink"]
                .iter()
                .any(|call| line.contains(call))
        })
        .filter(|line| !is_own(line))
        .collect();
    assert!(others.is_empty(), "{others:#?}");
    // The trace works: it has the reading of a certificate that changes.
    let file = webhook.directory.path().join("server.pem");
    std::fs::copy(&file, webhook.directory.path().join("new.pem")).expect("there is room");
    std::fs::rename(webhook.directory.path().join("new.pem"), &file).expect("it is ours");
    eventually("it is traced", || read().contains(&certificate));
    assert!(!std::path::Path::new("/tmp/admitted").exists());
}
