//! A thousand changes, and none.

use std::time::Duration;

use crate::support::{Gate, Kubelet, Volume, ask, command, eventually, free_port};

/// What a process holds.
#[derive(Debug)]
struct Holdings {
    resident_kib: u64,
    threads: u64,
    descriptors: usize,
    /// How often it was woken.
    wakeups: u64,
}

fn holdings(pid: u32) -> Holdings {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it is alive");
    let number = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).expect("it is there");
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("it is a number")
    };
    let threads: Vec<_> = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it is alive").flatten().collect();
    let wakeups = threads.iter().map(|thread| {
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok()).unwrap_or_default()
    });
    Holdings {
        resident_kib: number("VmRSS:"),
        threads: number("Threads:"),
        descriptors: std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it is alive").count(),
        wakeups: wakeups.sum(),
    }
}

#[test]
fn commands_run_after_an_upgrade_has_replaced_the_program() {
    let directory = tempfile::tempdir().expect("there is room");
    let program = directory.path().join("reload-gate");
    std::fs::copy(env!("CARGO_BIN_EXE_reload-gate"), &program).expect("there is room");
    let config = directory.path().join("config");
    std::fs::create_dir(&config).expect("there is room");
    std::fs::write(config.join("app.conf"), "one").expect("there is room");
    let mut run = command(&program);
    run.args([
        "run",
        "--validate",
        "grep -q o {config}",
        "--root",
        "local",
        "--observe",
        "--settle",
        "20ms",
        "--watch",
    ])
    .arg(&config);
    let mut gate = Gate::start(run);
    gate.wait_for("accepted");
    for (content, replacement) in [("two", Some("of another version")), ("too", None)] {
        std::fs::remove_file(&program).expect("it is there");
        std::fs::write(&program, replacement.unwrap_or_default()).expect("there is room");
        std::fs::write(config.join("app.conf"), content).expect("there is room");
        gate.wait_for("accepted");
    }
}

#[test]
fn a_thousand_changes_leave_no_trace_and_rest_is_rest() {
    let directory = tempfile::tempdir().expect("there is room");
    let mut volume = Volume::new(directory.path().join("volume"), Kubelet::New, &[("app.conf", "0")]);
    let watch = volume.path().to_str().expect("it is UTF-8").to_owned();
    let (port, scrapes) = (free_port(), std::cell::Cell::new(0));
    let listen = format!("127.0.0.1:{port}");
    let means = ["--validate", "true", "--reload-command", "true", "--reload-budget", "10000/10m", "--listen", &listen];
    let mut gate = Gate::run(&[&["--watch", &watch][..], &means].concat());
    gate.wait_for("reloaded");
    let mut change = |gate: &mut Gate, content: usize| {
        volume.write(&[("app.conf", &content.to_string())]);
        gate.wait_for("reloaded");
        // Somebody looks now and then.
        if content.is_multiple_of(10) {
            assert!(ask(port, "GET", "/metrics").is_some_and(|answer| answer.code == 200));
            scrapes.set(scrapes.get() + 1);
        }
    };
    (1..=100).for_each(|content| change(&mut gate, content));
    // What follows the reload holds descriptors for a moment.
    gate.listen(Duration::from_millis(300));
    let before = holdings(gate.pid());
    (101..=1_100).for_each(|content| change(&mut gate, content));
    gate.listen(Duration::from_millis(300));
    let after = holdings(gate.pid());
    assert_eq!(scrapes.get(), 110);
    // Work that found no free thread has made one, which ends after ten idle seconds: one more for each kind of work.
    assert!(after.threads <= before.threads + 3, "{before:?} {after:?}");
    assert_eq!(after.descriptors, before.descriptors, "{before:?} {after:?}");
    assert!(after.resident_kib < before.resident_kib + 512, "{before:?} {after:?}");

    // On a loaded machine the work after the last change takes a while, and mounts of other tests wake the gate.
    let rests = |_| {
        let before = holdings(gate.pid()).wakeups;
        std::thread::park_timeout(Duration::from_secs(2));
        holdings(gate.pid()).wakeups == before
    };
    assert!((0..45).any(rests), "it wakes up while nothing changes");
}

#[test]
fn reading_what_is_watched_wakes_nobody() {
    let directory = tempfile::tempdir().expect("there is room");
    let volume = Volume::new(directory.path().join("volume"), Kubelet::New, &[("app.conf", "0")]);
    let watch = volume.path().to_str().expect("it is UTF-8").to_owned();
    let mut gate = Gate::run(&["--watch", &watch, "--signal", "none"]);
    gate.wait_for("accepted");
    gate.listen(Duration::from_millis(300));
    // A mount of another test wakes the gate, and on a loaded machine so does the end of its start; reading would wake it each time.
    let mut wakes = || {
        let before = holdings(gate.pid()).wakeups;
        for _ in 0..1_000 {
            std::fs::read(volume.file("app.conf")).expect("it is there");
            std::fs::read_dir(volume.path()).expect("it is there").count();
        }
        assert!(gate.listen(Duration::from_millis(300)).is_empty());
        holdings(gate.pid()).wakeups > before
    };
    assert!((0..60).any(|_| !wakes()), "reading wakes the gate");
    eventually("it is still alive", || holdings(gate.pid()).threads > 0);
}
