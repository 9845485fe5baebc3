//! `reload-gate reload` on real programs: its exit code, and the one line that a person reads.

use std::net::TcpListener;
use std::process::Output;

use crate::support::{Gunicorn, Nginx, command, copy, eventually, gate_command, needs, served, unique};

/// Reloads the nginx with these arguments.
fn reload(nginx: &Nginx, arguments: &[&str]) -> Output {
    let mut gate = gate_command();
    gate.args(["reload", "--app", "nginx", "--process", &nginx.name, "--watch"]).arg(nginx.volume.path());
    gate.args(arguments).output().expect("it starts")
}

/// The exit code, the one line of standard output, and the text of standard error.
#[track_caller]
fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it is UTF-8");
    let (line, more) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(line.lines().count(), 1, "{line}{more}");
    (output.status.code().expect("it exits"), line.trim_end().to_owned(), more)
}

#[test]
fn a_good_configuration_is_reloaded_and_proven_even_if_it_is_live() {
    needs!("nginx");
    let mut nginx = Nginx::start();
    for (times, body) in [(1, "one"), (2, "two"), (3, "two")] {
        nginx.write(body, "");
        let (code, line, more) = said(&reload(&nginx, &[]));
        assert_eq!((code, more.as_str()), (0, ""), "{line}");
        assert!(line.starts_with(&format!("{}: reloaded: pid ", nginx.name)), "{line}");
        assert!(line.contains(&format!(" is a new worker of pid {}", nginx.process.pid())), "{line}");
        assert_eq!(nginx.signals(), times);
        eventually("nginx serves it", || nginx.serves(body));
    }
}

#[test]
fn a_bad_configuration_is_rejected_with_its_place_and_not_signalled() {
    needs!("nginx");
    let mut nginx = Nginx::start();
    nginx.write("two", "lisen 80;");
    let (code, line, more) = said(&reload(&nginx, &[]));
    let file = nginx.volume.file("nginx.conf");
    assert_eq!(code, 1, "{line}");
    let expected = format!("{}: rejected, not reloaded: {}:6: unknown directive \"lisen\"", nginx.name, file.display());
    assert_eq!(line, expected);
    assert!(more.contains(" rejected ") && more.contains("unknown directive"), "{more}");
    assert_eq!(nginx.signals(), 0);
    assert!(nginx.serves("one"));
}

#[test]
fn a_port_in_use_is_the_reason_why_nginx_did_not_take_it() {
    needs!("nginx");
    let mut nginx = Nginx::start();
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let port = taken.local_addr().expect("it is bound").port();
    // `nginx -t` tolerates it (`ngx_open_listening_sockets()` in src/core/ngx_connection.c).
    nginx.write("two", &format!("server {{ listen 127.0.0.1:{port}; }}"));
    let (code, line, more) = said(&reload(&nginx, &[]));
    assert_eq!(code, 1, "{line}\n{more}");
    assert!(line.contains(": not reloaded: pid ") && line.contains(" refused the reload: "), "{line}");
    assert!(line.contains(&format!("bind() to 127.0.0.1:{port} failed")), "{line}");
    assert_eq!(nginx.signals(), 1);
    assert!(nginx.serves("one"));
}

#[test]
fn without_a_process_or_with_two_nothing_is_reloaded() {
    needs!("nginx");
    let mut nginx = Nginx::start();
    let mut gate = gate_command();
    gate.args(["reload", "--app", "nginx", "--process", &unique("none"), "--root", "local", "--watch"]);
    let (code, line, more) = said(&gate.arg(nginx.volume.path()).output().expect("it starts"));
    assert_eq!(code, 1, "{line}");
    assert!(line.contains(": not reloaded: there is no process called "), "{line}");
    // It ends now, so it promises nothing.
    assert!(more.contains("help: start it; in a pod,") && !more.contains("the gate"), "{more}");

    // A second master of the same name, as a second instance on the host.
    nginx.write("two", "");
    let directory = tempfile::tempdir().expect("there is room");
    let port = crate::support::free_port();
    let config = directory.path().join("nginx.conf");
    std::fs::write(&config, Nginx::text(directory.path(), port, "other", "")).expect("there is room");
    let mut other = command(copy("nginx", directory.path(), &nginx.name));
    other.arg("-c").arg(&config).arg("-p").arg(directory.path()).args(["-g", "daemon off;"]);
    let other = crate::support::Background::start(&mut other);
    eventually("the other one serves", || served(port, "other"));
    let (code, line, _) = said(&reload(&nginx, &[]));
    assert_eq!(code, 1, "{line}");
    for pid in [nginx.process.pid(), other.pid()] {
        assert!(line.contains(&pid.to_string()), "it names both: {line}");
    }
    assert_eq!(nginx.signals(), 0);

    // The file of its process id chooses the one.
    let pid_file = nginx.directory().join("pid");
    let (code, line, _) = said(&reload(&nginx, &["--pid-file", pid_file.to_str().expect("it is UTF-8")]));
    assert_eq!(code, 0, "{line}");
    eventually("nginx serves the new configuration", || nginx.serves("two"));
}

#[test]
fn all_events_are_logged_on_request() {
    needs!("nginx");
    let nginx = Nginx::start();
    let output = reload(&nginx, &["--log-format", "json"]);
    let (code, _, more) = said(&output);
    let events: Vec<serde_json::Value> =
        more.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().expect("it has one")).collect();
    assert_eq!((code, names), (0, vec!["started", "accepted", "reloaded", "verified"]));
}

#[test]
fn a_reload_without_a_proof_is_not_called_one() {
    let directory = tempfile::tempdir().expect("there is room");
    std::fs::write(directory.path().join("app.json"), "{}").expect("there is room");
    let name = unique("hup");
    let program = "import signal, time\nsignal.signal(signal.SIGHUP, lambda *a: open('told', 'w'))\nopen('up', 'w')\n\
                   while True: time.sleep(60)\n";
    let place = tempfile::tempdir().expect("there is room");
    let _app = crate::support::python(place.path(), &name, program);
    eventually("it is up", || place.path().join("up").exists());
    let gate = |more: &[&str]| {
        let mut gate = gate_command();
        gate.args(["reload", "--builtin", "json", "--process", &name, "--signal", "HUP", "--watch"]);
        said(&gate.arg(directory.path()).args(more).output().expect("it starts"))
    };
    let (code, line, _) = gate(&[]);
    assert_eq!(code, 3, "{line}");
    assert!(
        line.contains(": reloaded without a proof: sent SIGHUP to pid ") && line.contains("`--verify none`"),
        "{line}"
    );
    eventually("it was signalled", || place.path().join("told").exists());
    let (code, line, _) = gate(&["--verify", "none"]);
    assert_eq!(code, 0, "{line}");
    let (code, line, _) = gate(&["--verify-command", "false", "--verify-timeout", "200ms"]);
    assert_eq!(code, 3, "{line}");
    assert!(line.contains(": reload not proven: `false` exited with code 1"), "{line}");
}

#[test]
fn the_hook_of_certbot_reloads_with_variables_alone() {
    needs!("nginx");
    let mut nginx = Nginx::start();
    nginx.write("two", "");
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_reload-gate")).parent().expect("it lies somewhere");
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap_or_default());
    let hook = || {
        let mut hook = command(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/certbot/reload-nginx"));
        hook.env_clear().env("PATH", &path).env("RENEWED_LINEAGE", "/etc/letsencrypt/live/web");
        hook.env("RELOAD_GATE_PROCESS", &nginx.name).env("RELOAD_GATE_WATCH", nginx.volume.path());
        said(&hook.output().expect("it starts"))
    };
    let (code, line, more) = hook();
    assert_eq!((code, more.as_str()), (0, ""), "{line}");
    eventually("nginx serves the new configuration", || nginx.serves("two"));
}

#[test]
fn the_commands_of_the_drop_ins_are_right() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/systemd");
    let units = std::fs::read_dir(folder).expect("it is there").map(|entry| entry.expect("it is readable").path());
    let texts = units.map(|path| std::fs::read_to_string(path).expect("it is text"));
    let commands: Vec<String> = texts
        .flat_map(|text| {
            text.lines().filter_map(|line| Some(line.strip_prefix("ExecReload=")?.to_owned())).collect::<Vec<_>>()
        })
        .filter(|line| line.starts_with("/usr"))
        .collect();
    assert!(commands.len() >= 3, "{commands:?}");
    for line in commands {
        let mut words = line.split(' ');
        assert_eq!(words.next(), Some("/usr/bin/reload-gate"), "{line}");
        let output =
            gate_command().args(words).args(["--main", "none", "--watch", "/nowhere"]).output().expect("it starts");
        assert!(matches!(output.status.code(), Some(1 | 3)), "{line}: {output:?}");
    }
}

#[test]
fn a_command_that_would_reload_nothing_is_wrong() {
    for more in [&["--signal", "none"][..], &["--observe"], &["--once", "--builtin", "json"]] {
        let output = gate_command().args(["reload", "--watch", "/"]).args(more).output().expect("it starts");
        let error = String::from_utf8(output.stderr).expect("it is UTF-8");
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains("reloads nothing") || error.contains("signal needs a target"), "{error}");
    }
}

#[test]
fn a_published_configuration_that_is_not_taken_is_rolled_back() {
    needs!("gunicorn");
    let mut gunicorn = Gunicorn::start();
    let published = gunicorn.directory().join("config-published");
    let reload = |gunicorn: &Gunicorn, verify: &str| {
        let mut gate = gate_command();
        gate.args(["reload", "--app", "gunicorn", "--process", &gunicorn.name, "--root", "local"]);
        gate.args(["--validate", "true", "--verify-timeout", "1s", "--verify-command", verify]);
        gate.arg("--watch").arg(gunicorn.volume.path()).arg("--publish").arg(&published);
        said(&gate.output().expect("it starts"))
    };
    std::fs::create_dir(&published).expect("there is room");
    assert_eq!(reload(&gunicorn, "true").0, 0);
    let read = || std::fs::read_to_string(published.join("gunicorn.conf.py")).expect("it is published");
    let good = read();
    gunicorn.write("two");
    let refuses_two = format!("grep -q BODY=one {}/gunicorn.conf.py", published.display());
    let (code, line, more) = reload(&gunicorn, &refuses_two);
    assert_eq!(code, 1, "{line}");
    assert!(line.contains(": rolled back: "), "{line}");
    assert!(more.contains(" restored ") && more.contains("`unverified` gives the reason"), "{more}");
    assert!(!more.contains("tried again"), "nothing is tried again: {more}");
    assert_eq!(read(), good);
}
