//! Reload and proof by other means than signals.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::support::{Gate, eventually};

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
