//! What is shown of the contents of a configuration, and what never is.

use std::path::Path;

use serde_json::Value;

use crate::support::{Gate, ask, command, eventually, free_port, skip};

const CONFIG: &str = "events {}\nhttp {\n    server {\n        listen 8080;\n    }\n}\n";

/// A gate over these directories that judges by the bundled nginx checker, and where it listens.
fn gate(watched: &[&Path], more: &[&str]) -> (Gate, u16) {
    let (port, mut arguments) = (free_port(), Vec::new());
    let listen = format!("127.0.0.1:{port}");
    for path in watched {
        arguments.extend(["--watch", path.to_str().expect("it is UTF-8")]);
    }
    arguments.extend(["--builtin", "nginx", "--main", "nginx.conf", "--settle", "20ms", "--listen", &listen]);
    arguments.extend(more);
    let gate = Gate::run(&arguments);
    eventually("it listens", || ask(port, "GET", "/livez").is_some());
    (gate, port)
}

fn write(path: &Path, content: &str) {
    std::fs::create_dir_all(path.parent().expect("it has one")).expect("there is room");
    let new = path.with_extension("new~");
    std::fs::write(&new, content).and_then(|()| std::fs::rename(&new, path)).expect("there is room");
}

fn standing(port: u16) -> Value {
    let status: Value =
        serde_json::from_str(&ask(port, "GET", "/status").expect("it listens").body).expect("it is JSON");
    status["gates"][0]["standing"].clone()
}

#[test]
fn a_rejection_shows_its_lines_and_what_it_changes() {
    for published in [false, true] {
        let (directory, volume) = (tempfile::tempdir().expect("room"), tempfile::tempdir().expect("room"));
        let file = directory.path().join("nginx.conf");
        write(&file, CONFIG);
        let publish = volume.path().to_str().expect("it is UTF-8");
        let mode: &[&str] = if published { &["--publish", publish] } else { &[] };
        let (mut gate, port) = gate(&[directory.path()], &[&["--diff", "--signal", "none"], mode].concat());
        gate.wait_for("accepted");
        write(&file, &CONFIG.replace("listen", "lisen"));
        let rejected = gate.wait_for("rejected");
        let expected = "--- running/nginx.conf\n+++ rejected/nginx.conf\n@@ -1,6 +1,6 @@\n events {}\n http {\n     server {\n-        \
                        listen 8080;\n+        lisen 8080;\n     }\n }\n";
        assert_eq!(rejected["diff"], expected, "{rejected}");
        assert_eq!(rejected["excerpts"], Value::Null, "the log is not for contents");
        let standing = standing(port);
        assert_eq!(standing["diff"], expected);
        let excerpt = &standing["excerpts"][0];
        assert_eq!((&excerpt["file"], &excerpt["line"]), (&rejected["findings"][0]["file"], &4.into()), "{standing}");
        assert_eq!((&excerpt["first"], &excerpt["column"]), (&2.into(), &9.into()), "{standing}");
        assert_eq!(excerpt["lines"][2], "        lisen 8080;", "{standing}");

        // Another one is compared with what runs, and not with the one before.
        write(&file, &CONFIG.replace("listen", "listening"));
        let rejected = gate.wait_for("rejected");
        let diff = rejected["diff"].as_str().expect("there is one");
        assert!(diff.contains("-        listen 8080;\n+        listening 8080;\n"), "{diff}");
    }
}

#[test]
fn without_the_switch_nothing_is_compared() {
    let directory = tempfile::tempdir().expect("there is room");
    let file = directory.path().join("nginx.conf");
    write(&file, CONFIG);
    let (mut gate, port) = gate(&[directory.path()], &["--signal", "none"]);
    gate.wait_for("accepted");
    write(&file, &CONFIG.replace("listen", "lisen"));
    assert_eq!(gate.wait_for("rejected")["diff"], Value::Null);
    assert_eq!(standing(port)["excerpts"].as_array().map(Vec::len), Some(1));
}

#[test]
fn nothing_of_a_file_in_memory_is_shown_anywhere() {
    let kind = command("stat").args(["--file-system", "--format=%T", "/dev/shm"]).output().expect("it is installed");
    if kind.stdout != b"tmpfs\n" {
        return skip("/dev/shm is no tmpfs, as a Secret's volume is one");
    }
    let (directory, memory) = (tempfile::tempdir().expect("room"), tempfile::tempdir_in("/dev/shm").expect("room"));
    let secret = memory.path().join("auth.conf");
    let include = CONFIG.replace("listen 8080;", &format!("listen 8080;\n        include {};", secret.display()));
    write(&directory.path().join("nginx.conf"), &include);
    write(&secret, "proxy_set_header Authorization \"hunter1\";\n");
    let (mut gate, port) = gate(&[directory.path(), memory.path()], &["--diff", "--signal", "none"]);
    gate.wait_for("accepted");
    write(&secret, "proxy_set_haeder Authorization \"hunter2\";\n");
    let rejected = gate.wait_for("rejected");
    assert_eq!(rejected["findings"][0]["line"], 1, "{rejected}");
    let diff = rejected["diff"].as_str().expect("there is one");
    assert!(diff.contains("auth.conf\n(not shown: "), "{diff}");
    for path in ["/", "/status", "/metrics"] {
        let answer = ask(port, "GET", path).expect("it listens").body;
        assert!(answer.contains("rejected") && !answer.contains("hunter"), "{path}: {answer}");
    }
    assert!(!gate.story().contains("hunter"), "{}", gate.story());
    assert_eq!(standing(port)["excerpts"], Value::Null);
}

#[test]
fn nothing_is_shown_with_redact_always() {
    let directory = tempfile::tempdir().expect("there is room");
    let file = directory.path().join("nginx.conf");
    write(&file, CONFIG);
    let (mut gate, port) = gate(&[directory.path()], &["--diff", "--redact", "always", "--signal", "none"]);
    gate.wait_for("accepted");
    write(&file, &CONFIG.replace("listen", "lisen hunter2;listen"));
    let rejected = gate.wait_for("rejected");
    assert!(
        rejected["diff"].as_str().is_some_and(|diff| diff.ends_with("(not shown: it may come from a Secret)\n")),
        "{rejected}"
    );
    assert_eq!((&rejected["findings"][0]["line"], &standing(port)["excerpts"]), (&4.into(), &Value::Null));
    for path in ["/", "/status"] {
        assert!(!ask(port, "GET", path).expect("it listens").body.contains("hunter2"), "{path}");
    }
}
