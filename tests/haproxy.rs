//! A bad configuration never reaches HAProxy.

use crate::support::{Gate, Haproxy, eventually, needs};

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
