//! Reload and proof by other means than signals.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::support::{Background, Gate, command, eventually, free_port, needs};

/// An HTTP server that keeps the requests, and answers with these status codes in turn, the last without end.
fn server(codes: &'static [u16]) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let url = format!("http://{}/-/reload", listener.local_addr().expect("it is bound"));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let remember = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(&stream);
            let mut request = String::new();
            let _ = reader.read_line(&mut request);
            let mut header = String::new();
            while reader.read_line(&mut header).is_ok_and(|read| read > 2) {
                header.clear();
            }
            let mut asked = remember.lock().expect("nobody panics");
            asked.push(request.trim().to_owned());
            let code = codes[(asked.len() - 1).min(codes.len() - 1)];
            drop(asked);
            let more = if code == 302 { "Location: /login\r\n" } else { "" };
            let content = if code == 400 { "not so\n" } else { "" };
            let _ = write!(
                &stream,
                "HTTP/1.1 {code} Whatever\r\n{more}Content-Length: {}\r\nConnection: close\r\n\r\n{content}",
                content.len()
            );
        }
    });
    (url, asked)
}

fn gate(directory: &Path, arguments: &[&str]) -> Gate {
    let watch = directory.join("config");
    std::fs::create_dir_all(&watch).expect("there is room");
    std::fs::write(watch.join("app.conf"), "one").expect("there is room");
    Gate::run(&[&["--watch", watch.to_str().expect("it is UTF-8"), "--settle", "20ms"], arguments].concat())
}

#[test]
fn a_reload_by_http_is_a_post_that_is_repeated() {
    let directory = tempfile::tempdir().expect("there is room");
    let (url, asked) = server(&[503, 200]);
    let mut gate = gate(directory.path(), &["--reload-url", &url]);
    let reloaded = gate.wait_for("reloaded");
    assert!(reloaded["message"].as_str().expect("there is one").ends_with("answered 200"), "{reloaded}");
    let asked = asked.lock().expect("nobody panics").clone();
    assert_eq!(asked, ["POST /-/reload HTTP/1.1"; 2]);
}

#[test]
fn a_reload_that_is_refused_by_http_is_unverified() {
    let directory = tempfile::tempdir().expect("there is room");
    let (url, _) = server(&[400]);
    let mut gate = gate(directory.path(), &["--reload-url", &url]);
    let unverified = gate.wait_for("unverified");
    assert_eq!(unverified["level"], "error");
    assert!(unverified["message"].as_str().expect("there is one").ends_with("answered 400: not so"), "{unverified}");
    assert_eq!(gate.count("reloaded"), 0);
}

#[test]
fn a_reload_without_the_credentials_that_it_needs_asks_for_them() {
    for (codes, status) in [(&[401], "answered 401"), (&[403], "answered 403")] {
        let directory = tempfile::tempdir().expect("there is room");
        let (url, _) = server(codes);
        let mut gate = gate(directory.path(), &["--reload-url", &url]);
        let unverified = gate.wait_for("unverified");
        assert!(unverified["message"].as_str().expect("it has one").ends_with(status), "{unverified}");
        let help = unverified["help"].as_str().expect("it has one");
        assert!(help.contains("credentials") && help.contains("--reload-bearer-file"), "{unverified}");
    }
}

#[test]
fn a_stop_does_not_wait_for_an_answer() {
    let directory = tempfile::tempdir().expect("there is room");
    let silent = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let url = format!("http://{}/", silent.local_addr().expect("it is bound"));
    // What waits for an answer waits for longer than this test does.
    let mut gate = gate(directory.path(), &["--reload-url", &url, "--timeout", "10m", "--grace", "10ms"]);
    gate.wait_for("accepted");
    let (asked, _) = silent.accept().expect("it asks");
    gate.terminate();
    eventually("it ends", || !gate.is_alive());
    drop(asked);
}

#[test]
fn a_reload_that_is_redirected_by_http_is_unverified() {
    let directory = tempfile::tempdir().expect("there is room");
    let (url, asked) = server(&[302, 200]);
    let mut gate = gate(directory.path(), &["--reload-url", &url]);
    let message = gate.wait_for("unverified")["message"].clone();
    assert!(message.as_str().expect("there is one").ends_with("answered 302: it redirects to `/login`"), "{message}");
    assert_eq!((gate.count("reloaded"), asked.lock().expect("nobody panics").len()), (0, 1));
}

#[test]
fn commands_reload_and_prove() {
    let directory = tempfile::tempdir().expect("there is room");
    let (told, proof) = (directory.path().join("told"), directory.path().join("proof"));
    let (reload, verify) = (format!("touch {}", told.display()), format!("test -e {}", proof.display()));
    let mut gate = gate(directory.path(), &["--reload-command", &reload, "--verify-command", &verify]);
    gate.wait_for("reloaded");
    assert!(told.exists());
    std::fs::write(&proof, "").expect("there is room");
    gate.wait_for("verified");
}

#[test]
fn a_command_that_proves_gets_the_paths_of_the_live_configuration() {
    let directory = tempfile::tempdir().expect("there is room");
    let verify = "sh -c 'grep -q one \"$0\" && test -e \"$1/app.conf\"' {config} {dir}";
    let mut gate = gate(directory.path(), &["--reload-command", "true", "--verify-command", verify]);
    let verified = gate.wait_for("verified");
    let main = directory.path().join("config/app.conf");
    let message = verified["message"].as_str().expect("it has one");
    assert!(message.contains(main.to_str().expect("it is UTF-8")), "{message}");
    std::fs::write(directory.path().join("config/other.conf"), "two").expect("there is room");
    let unverified = gate.wait_for("unverified");
    let message = unverified["message"].as_str().expect("it has one");
    assert!(message.starts_with("the main file for `sh -c ") && message.contains("is unknown"), "{message}");
    assert!(unverified["help"].as_str().is_some_and(|help| help.contains("--main")), "{unverified:#}");
}

#[test]
fn a_proof_that_does_not_come_is_unverified() {
    let directory = tempfile::tempdir().expect("there is room");
    let (url, _) = server(&[500]);
    let demand = ["--reload-command", "true", "--verify-url", &url, "--verify-timeout", "1s"];
    let mut gate = gate(directory.path(), &demand);
    gate.wait_for("reloaded");
    let unverified = gate.wait_for("unverified");
    assert!(unverified["message"].as_str().expect("there is one").contains("answered 500"), "{unverified}");
    assert!(unverified["help"].as_str().expect("there is one").contains("--verify-timeout"), "{unverified}");
}

#[test]
fn a_proof_by_url_is_an_answer() {
    let directory = tempfile::tempdir().expect("there is room");
    let (url, asked) = server(&[500, 500, 204]);
    let mut gate = gate(directory.path(), &["--reload-command", "true", "--verify-url", &url]);
    gate.wait_for("verified");
    eventually("it was asked until it answered well", || asked.lock().expect("nobody panics").len() == 3);
}

/// An HTTP server that answers with these contents in turn, the last without end.
fn pages(pages: Vec<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let url = format!("http://{}/metrics", listener.local_addr().expect("it is bound"));
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            let mut reader = BufReader::new(&stream);
            let mut header = String::new();
            while reader.read_line(&mut header).is_ok_and(|read| read > 2) {
                header.clear();
            }
            let page = &pages[number.min(pages.len() - 1)];
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", page.len());
            let _ = (&stream).write_all(&[head.as_bytes(), page.as_bytes()].concat());
        }
    });
    url
}

#[test]
fn a_metric_of_the_application_is_a_proof() {
    let page = |value: &str, time: u32| {
        format!(
            "# TYPE app_config_last_reload_successful gauge\napp_config_last_reload_successful{{pod=\"a\"}} {value}\n\
             app_config_last_reload_success_timestamp_seconds{{pod=\"a\"}} {time}\n"
        )
    };
    let reload = ["--reload-command", "true", "--verify-timeout", "1s"];
    for (contents, expected, message) in [
        (vec![page("1", 5), page("1", 5), page("1", 6)], "verified", "is of this reload"),
        (vec![page("1", 5)], "unverified", "is still that of an earlier reload"),
        (vec![page("1", 5), page("0", 5)], "unverified", "is 0"),
        (vec![page("NaN", 5)], "unverified", "is NaN"),
        (vec!["other 1\n".to_owned()], "unverified", "there is no metric `app_config_last_reload_successful`"),
        (vec!["app_config_last_reload_successful one\n".to_owned()], "unverified", "a line is no sample"),
        (vec!["x".repeat(17 << 20)], "unverified", "the answer is longer than 16 MiB"),
    ] {
        let directory = tempfile::tempdir().expect("there is room");
        let url = pages(contents);
        let metric = ["--verify-metric", "app_config_last_reload_successful=1", "--verify-metric-url", &url];
        let mut gate = gate(directory.path(), &[&reload[..], &metric].concat());
        let event = gate.wait_for_any(&["verified", "unverified"]);
        assert_eq!(event["event"], expected, "{event}");
        assert!(event["message"].as_str().is_some_and(|said| said.contains(message)), "{event}");
    }
}

#[test]
fn a_count_that_increases_is_a_proof() {
    let directory = tempfile::tempdir().expect("there is room");
    let count = |count: u32| format!("{{\"hot_reload_count\":{count},\"status\":\"ok\"}}");
    let url = pages(vec![count(0), count(0), count(1)]);
    let metric = ["--verify-metric", "hot_reload_count=increased", "--verify-url", &url];
    let mut gate = gate(directory.path(), &[&["--reload-command", "true"][..], &metric].concat());
    let verified = gate.wait_for("verified");
    assert_eq!(verified["message"], "`hot_reload_count` was 0 and is 1");
}

/// A program of Prometheus with its configuration in `directory`, and the gate of it.
fn exporter(directory: &Path, (app, program): (&str, &str), file: &str, options: &[String]) -> (Background, Gate) {
    let port = free_port();
    let mut process = command(program);
    process.arg(format!("--config.file={}", directory.join("config").join(file).display()));
    process.arg(format!("--web.listen-address=127.0.0.1:{port}")).args(options);
    let process = Background::start(process.stderr(std::process::Stdio::null()).stdout(std::process::Stdio::null()));
    eventually("it listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let pid_file = directory.join("pid");
    std::fs::write(&pid_file, process.pid().to_string()).expect("there is room");
    let (watch, pid_file) = (directory.join("config").display().to_string(), pid_file.display().to_string());
    let gate = Gate::run(&["--app", app, "--process", program, "--pid-file", &pid_file, "--watch", &watch]);
    (process, gate)
}

#[test]
fn prometheus_and_alertmanager_prove_their_reloads() {
    needs!("prometheus", "promtool", "prometheus-alertmanager", "amtool");
    for (program, file, text, option) in [
        (("prometheus", "prometheus"), "prometheus.yml", "global:\n  scrape_interval: 30s\n", "storage.tsdb.path"),
        (
            ("alertmanager", "prometheus-alertmanager"),
            "alertmanager.yml",
            "route:\n  receiver: a\nreceivers:\n- name: a\n",
            "storage.path",
        ),
    ] {
        let directory = tempfile::tempdir().expect("there is room");
        let here = directory.path();
        std::fs::create_dir(here.join("config")).expect("there is room");
        std::fs::write(here.join("config").join(file), text).expect("there is room");
        let mut options = vec![format!("--{option}={}", here.join("data").display())];
        options.extend((program.0 == "alertmanager").then(|| "--cluster.listen-address=".to_owned()));
        let (_process, mut gate) = exporter(here, program, file, &options);
        gate.wait_for("verified");
        std::fs::write(here.join("config").join(file), format!("{text}# changed\n")).expect("there is room");
        gate.wait_for("reloaded");
        let verified = gate.wait_for("verified");
        let evidence = format!("`{}_config_last_reload_success_timestamp_seconds` is of this reload", program.0);
        assert!(verified["message"].as_str().is_some_and(|said| said.contains(&evidence)), "{verified}");
    }
}
