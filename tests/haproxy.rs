//! A bad configuration never reaches HAProxy.

use std::net::TcpListener;

use crate::support::{Gate, Haproxy, Volume, eventually, free_port, needs};

fn main_file(volume: &Volume) -> [std::ffi::OsString; 2] {
    ["-f".into(), volume.file("haproxy.cfg").into_os_string()]
}

/// A gate that has verified this HAProxy.
fn gate(haproxy: &Haproxy, more: &[&str]) -> Gate {
    let watch = haproxy.volume.path().to_str().expect("it is UTF-8");
    let mut gate = Gate::run(&[&["--app", "haproxy", "--process", &haproxy.name, "--watch", watch], more].concat());
    gate.wait_for("verified");
    gate
}

#[test]
fn a_bad_configuration_is_rejected_and_a_good_one_reloaded() {
    needs!("haproxy");
    let mut haproxy = Haproxy::start();
    let watch = haproxy.volume.path().to_str().expect("it is UTF-8").to_owned();
    let mut gate = Gate::run(&["--app", "haproxy", "--process", &haproxy.name, "--watch", &watch]);
    gate.wait_for("verified");

    haproxy.write("two", "nonsense on");
    let rejected = gate.wait_for("rejected");
    let finding = &rejected["findings"][0];
    assert!(finding["message"].as_str().expect("there is one").contains("unknown keyword 'nonsense'"), "{finding}");
    assert_eq!(finding["file"], haproxy.volume.file("haproxy.cfg").to_str().expect("it is UTF-8"));
    assert_eq!(finding["line"], 2);
    assert!(haproxy.serves("one"));

    haproxy.write("three", "");
    let reloaded = gate.wait_for("reloaded");
    assert_eq!(reloaded["signal"], "SIGUSR2");
    gate.wait_for("verified");
    eventually("haproxy serves the new configuration", || haproxy.serves("three"));

    haproxy.write("three", "nonsense off");
    gate.wait_for("rejected");
    haproxy.write("three", "");
    gate.wait_for("recovered");
    assert!(haproxy.process.is_alive() && haproxy.serves("three"));
}

#[test]
fn files_that_follow_the_options_are_judged_where_haproxy_would_look_for_them() {
    needs!("haproxy");
    let mut haproxy = Haproxy::told(|_| ["--".into(), "haproxy.cfg".into()]);
    let watch = haproxy.volume.path().to_str().expect("it is UTF-8").to_owned();
    let mut gate = Gate::run(&["--app", "haproxy", "--process", &haproxy.name, "--watch", &watch]);
    gate.wait_for("verified");
    haproxy.write("two", "nonsense on");
    let rejected = gate.wait_for("rejected");
    assert_eq!(
        (&rejected["findings"][0]["file"], &rejected["findings"][0]["line"]),
        (&"haproxy.cfg".into(), &2.into())
    );
    haproxy.write("three", "");
    gate.wait_for("reloaded");
    eventually("haproxy serves the new configuration", || haproxy.serves("three"));
}

#[test]
fn a_program_section_is_validated_as_the_master_reads_it() {
    needs!("haproxy");
    // Valid in master-worker mode alone (`src/mworker-prog.c`).
    let text = |port, body: &str, more: &str| {
        Haproxy::text(port, body, "") + "program helper\n    command sleep 1000\n    no option start-on-reload\n" + more
    };
    let port = free_port();
    let mut haproxy = Haproxy::run("-W", port, &[("haproxy.cfg", &text(port, "one", ""))], main_file);
    let mut gate = gate(&haproxy, &[]);
    haproxy.volume.write(&[("haproxy.cfg", &text(port, "two", ""))]);
    gate.wait_for("reloaded");
    gate.wait_for("verified");
    eventually("haproxy serves the new configuration", || haproxy.serves("two"));
    haproxy.volume.write(&[("haproxy.cfg", &text(port, "three", "    nonsense on\n"))]);
    let rejected = gate.wait_for("rejected");
    assert!(rejected.to_string().contains("unknown keyword 'nonsense'"), "{rejected}");
    assert_eq!((gate.count("unverified"), haproxy.serves("two")), (0, true), "{}", gate.story());
}

#[test]
fn the_command_of_a_program_section_is_no_worker() {
    needs!("haproxy");
    // The command is executed anew at each reload.
    let text = |port, body: &str| Haproxy::text(port, body, "") + "program helper\n    command sleep 1000\n";
    let port = free_port();
    let mut haproxy = Haproxy::run("-W", port, &[("haproxy.cfg", &text(port, "one"))], main_file);
    let mut gate = gate(&haproxy, &[]);
    haproxy.volume.write(&[("haproxy.cfg", &text(port, "two"))]);
    let verified = gate.wait_for("verified");
    let program = std::fs::read_link(format!("/proc/{}/exe", verified["pid"])).expect("it runs");
    assert!(program.ends_with(&haproxy.name), "{}: {verified}", program.display());
    eventually("haproxy serves the new configuration", || haproxy.serves("two"));
}

#[test]
fn a_master_that_notifies_a_service_manager_is_reloaded() {
    needs!("haproxy");
    let port = free_port();
    let mut haproxy = Haproxy::run("-Ws", port, &[("haproxy.cfg", &Haproxy::text(port, "one", ""))], main_file);
    let mut gate = gate(&haproxy, &[]);
    haproxy.write("two", "");
    gate.wait_for("verified");
    eventually("haproxy serves the new configuration", || haproxy.serves("two"));
    haproxy.write("three", "nonsense on");
    gate.wait_for("rejected");
    assert!(haproxy.process.is_alive() && haproxy.serves("two"));
}

#[test]
fn the_files_of_a_directory_are_validated_as_haproxy_reads_them() {
    needs!("haproxy");
    let port = free_port();
    let base = "defaults base\n    mode http\n    timeout client 5s\n    timeout connect 5s\n    timeout server 5s\n";
    let web = |body: &str| {
        format!(
            "frontend web from base\n    bind 127.0.0.1:{port}\n    http-request return status 200 content-type text/plain \
             string {body}\n"
        )
    };
    let mut haproxy = Haproxy::run("-W", port, &[("10-base.cfg", base), ("20-web.cfg", &web("one"))], |volume| {
        ["-f".into(), volume.path().into()]
    });
    let mut gate = gate(&haproxy, &[]);
    haproxy.volume.write(&[("10-base.cfg", base), ("20-web.cfg", &web("two"))]);
    gate.wait_for("verified");
    eventually("haproxy serves the new configuration", || haproxy.serves("two"));
    // haproxy reads what ends in `.cfg`, in the order of the names.
    let wrong = "global\n    nonsense on\n";
    haproxy.volume.write(&[("10-base.cfg", base), ("20-web.cfg", &web("three")), ("30-notes.txt", wrong)]);
    gate.wait_for("verified");
    eventually("haproxy serves the new configuration", || haproxy.serves("three"));
    haproxy.volume.write(&[("10-base.cfg", base), ("20-web.cfg", &web("four")), ("30-more.cfg", wrong)]);
    let finding = gate.wait_for("rejected")["findings"][0].clone();
    assert!(finding["file"].as_str().is_some_and(|file| file.ends_with("/30-more.cfg")), "{finding}");
    assert_eq!(finding["line"], 2, "{finding}");
    haproxy.volume.write(&[("00-web.cfg", &web("five")), ("10-base.cfg", base)]);
    let finding = gate.wait_for("rejected")["findings"][0].clone();
    assert!(finding["file"].as_str().is_some_and(|file| file.ends_with("/00-web.cfg")), "{finding}");
    assert!(haproxy.process.is_alive() && haproxy.serves("three"));
}

#[test]
fn a_reload_that_haproxy_refuses_is_never_verified() {
    needs!("haproxy");
    let mut haproxy = Haproxy::start();
    let mut gate = gate(&haproxy, &["--verify-timeout", "2s"]);
    // `haproxy -c` binds nothing, so a port in use is no finding.
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let port = taken.local_addr().expect("it is bound").port();
    let text = Haproxy::text(haproxy.port, "two", "") + &format!("frontend other\n    bind 127.0.0.1:{port}\n");
    haproxy.volume.write(&[("haproxy.cfg", &text)]);
    gate.wait_for("reloaded");
    let unverified = gate.wait_for_any(&["unverified", "verified"]);
    assert_eq!(unverified["event"], "unverified", "{}", gate.story());
    eventually("the master keeps its old worker, which it pauses during the try", || haproxy.serves("one"));
    assert!(haproxy.process.is_alive());
    haproxy.write("three", "");
    gate.wait_for("reloaded");
    gate.wait_for("verified");
    gate.wait_for("recovered");
    eventually("haproxy serves the new configuration", || haproxy.serves("three"));
}
