//! Of a Secret nothing is shown, wherever a gate speaks.

use crate::support::{Gate, Kubelet, Receiver, Volume, ask, eventually, free_port, needs};

const PASSWORD: &str = "hunter2correcthorse";

/// A gate over a volume in memory, as a kubelet mounts a Secret, with a password where a directive should be.
fn reject(judge: &[&str], more: &[&str]) -> String {
    let directory = tempfile::tempdir_in("/dev/shm").expect("there is room");
    let files = [("nginx.conf", &*format!("events {{}}\n{PASSWORD} on;\n"))];
    let volume = Volume::new(directory.path().join("secret"), Kubelet::New, &files);
    let (watch, port) = (volume.path().to_str().expect("it is UTF-8"), free_port());
    let (listen, hooks) = (format!("127.0.0.1:{port}"), [Receiver::start(), Receiver::start(), Receiver::start()]);
    let common = ["--watch", watch, "--signal", "none", "--root", "local", "--listen", &listen];
    let chat = directory.path().join("chat");
    std::fs::write(&chat, hooks[1].url("/")).expect("there is room");
    let urls = [hooks[0].url("/"), chat.to_str().expect("it is UTF-8").to_owned(), hooks[2].url("")];
    let alerts = ["--alert-webhook", &urls[0], "--alert-slack-file", &urls[1], "--alert-alertmanager", &urls[2]];
    let mut gate = Gate::run(&[&common[..], &alerts, judge, more].concat());
    let rejected = gate.wait_for("rejected");
    let told = hooks.map(|hook| hook.taken().body.to_string());
    assert!(told[1].contains("was rejected"), "{told:?}");
    eventually("it listens", || ask(port, "GET", "/livez").is_some());
    let pages = ["/", "/status", "/metrics", "/readyz"].map(|path| ask(port, "GET", path).expect("it listens").body);
    assert!(pages[1].contains("rejected"), "{pages:?}");
    format!("{rejected}\n{}{}{}", gate.story(), pages.concat(), told.concat())
}

#[test]
fn a_password_in_a_rejected_line_is_shown_nowhere() {
    for judge in [
        &["--builtin", "nginx"][..],
        // What is not understood is shown as the last lines of what was printed; this prints all there is.
        &["--validate", "sed -n 'p;$q1' {config}"],
        &["--validate", "grep -c ^nothing {config} /dev/null"],
    ] {
        let shown = reject(judge, &[]);
        assert!(!shown.contains(PASSWORD), "{judge:?}: {shown}");
        let shown = reject(judge, &["--redact", "never"]);
        assert_eq!(shown.contains(PASSWORD), !judge[1].starts_with("grep"), "{judge:?}: {shown}");
    }
}

#[test]
fn nginx_itself_does_not_give_it_away() {
    needs!("nginx");
    let shown = reject(&["--app", "nginx", "--process", &crate::support::unique("none")], &[]);
    assert!(!shown.contains(PASSWORD), "{shown}");
    assert!(shown.contains("unknown directive \\\"[redacted]\\\""), "{shown}");
}

#[test]
fn contents_without_secrets_are_shown_unless_forbidden() {
    let directory = tempfile::tempdir().expect("there is room");
    std::fs::write(directory.path().join("nginx.conf"), format!("{PASSWORD} on;\n")).expect("there is room");
    let watch = directory.path().to_str().expect("it is UTF-8");
    for (redact, expected) in [("auto", true), ("always", false)] {
        let mut gate = Gate::run(&["--watch", watch, "--builtin", "nginx", "--signal", "none", "--redact", redact]);
        let rejected = gate.wait_for("rejected").to_string();
        assert_eq!(rejected.contains(PASSWORD), expected, "{rejected}");
    }
}

#[test]
fn a_password_of_before_the_rotation_is_shown_no_more_than_the_new_one() {
    let directory = tempfile::tempdir_in("/dev/shm").expect("there is room");
    let mut volume = Volume::new(directory.path().join("secret"), Kubelet::New, &[("password", PASSWORD)]);
    let watch = volume.path().to_str().expect("it is UTF-8").to_owned();
    // An application that quotes the password it still has when it is asked to take the new one.
    let script = directory.path().join("refuse");
    std::fs::write(&script, format!("echo access denied for {PASSWORD}; exit 1")).expect("there is room");
    let refuse = format!("sh {}", script.display());
    let mut gate =
        Gate::run(&["--watch", &watch, "--validate", "true", "--root", "local", "--reload-command", &refuse]);
    let first = gate.wait_for("unverified").to_string();
    assert!(first.contains("access denied for [redacted]"), "{first}");
    for new in ["zebra-crossing", "giraffe-house"] {
        volume.write(&[("password", new)]);
        let rotated = gate.wait_for("unverified").to_string();
        assert!(rotated.contains("access denied for [redacted]"), "{rotated}");
    }
    assert!(!gate.story().contains(PASSWORD), "{}", gate.story());
}
