//! The gate under a service manager: the protocol of sd_notify(3), read from a real socket, and the unit of `deploy/systemd`.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;

use crate::support::{Gate, PATIENCE, command, gate_command, needs, unique};

/// A service manager: it receives what the gate sends.
struct Manager(UnixDatagram);

impl Manager {
    fn at(address: &SocketAddr) -> Self {
        let socket = UnixDatagram::bind_addr(address).expect("it is free");
        socket.set_read_timeout(Some(PATIENCE)).expect("it is a time");
        Self(socket)
    }

    /// The next message that begins so; those before it are passed over.
    #[track_caller]
    fn wait_for(&self, beginning: &str) -> String {
        let mut passed = Vec::new();
        let deadline = std::time::Instant::now() + PATIENCE;
        while std::time::Instant::now() < deadline {
            let mut buffer = vec![0; 4096];
            let Ok(length) = self.0.recv(&mut buffer) else { break };
            let message = String::from_utf8(buffer[..length].to_vec()).expect("it is text");
            if message.starts_with(beginning) {
                return message;
            }
            passed.push(message);
        }
        panic!("there was no {beginning}, but {passed:?}");
    }
}

fn start(directory: &Path, variables: &[(&str, &str)]) -> Gate {
    let mut gate = gate_command();
    gate.args(["run", "--name", "app", "--builtin", "json", "--reload-command", "true", "--verify-command", "true"]);
    gate.args(["--settle", "20ms", "--watch"]).arg(directory).envs(variables.iter().copied());
    Gate::start(gate)
}

#[test]
fn a_service_manager_is_told_the_state() {
    let directory = tempfile::tempdir().expect("there is room");
    let config = directory.path().join("config");
    std::fs::create_dir(&config).expect("there is room");
    std::fs::write(config.join("app.json"), "{}").expect("there is room");
    let path = directory.path().join("notify");
    let manager = Manager::at(&SocketAddr::from_pathname(&path).expect("it is short"));
    let variables = [("NOTIFY_SOCKET", path.to_str().expect("it is UTF-8")), ("WATCHDOG_USEC", "200000")];
    let gate = start(&config, &variables);
    manager.wait_for("STATUS=app: not live yet");
    manager.wait_for("READY=1");
    // Twice within the interval, for as long as the event loop works.
    manager.wait_for("WATCHDOG=1");
    manager.wait_for("WATCHDOG=1");

    std::fs::write(config.join("app.json"), "{").expect("there is room");
    let status = manager.wait_for("STATUS=app: rejected: ");
    assert!(status.contains("app.json:1:"), "{status}");
    std::fs::write(config.join("app.json"), "{}").expect("there is room");
    manager.wait_for("STATUS=app: live");

    let pid = rustix::process::Pid::from_raw(i32::try_from(gate.pid()).expect("it fits")).expect("it is one");
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("it is ours");
    let reloading = manager.wait_for("RELOADING=1");
    let since = reloading.split_once("\nMONOTONIC_USEC=").expect("it has the time").1;
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic).tv_sec;
    let ago = now - since.parse::<i64>().expect("it is a number") / 1_000_000;
    assert!((0..=20).contains(&ago), "{since} is the time of the monotonic clock: {now}");
    manager.wait_for("READY=1");

    assert_eq!(gate.stop(), 0);
    manager.wait_for("STOPPING=1");
}

#[test]
fn a_first_configuration_that_is_rejected_is_a_decision_and_an_abstract_socket_will_do() {
    let directory = tempfile::tempdir().expect("there is room");
    std::fs::write(directory.path().join("app.json"), "{").expect("there is room");
    let name = unique("reload-gate-test-");
    let manager = Manager::at(&SocketAddr::from_abstract_name(&name).expect("it is short"));
    let gate = start(directory.path(), &[("NOTIFY_SOCKET", &format!("@{name}"))]);
    manager.wait_for("STATUS=app: rejected: ");
    manager.wait_for("READY=1");
    assert_eq!(gate.stop(), 0);
}

#[test]
fn a_service_manager_that_listens_late_misses_no_state() {
    let directory = tempfile::tempdir().expect("there is room");
    let config = directory.path().join("config");
    std::fs::create_dir(&config).expect("there is room");
    std::fs::write(config.join("app.json"), "{}").expect("there is room");
    let path = directory.path().join("notify");
    let mut gate = start(&config, &[("NOTIFY_SOCKET", path.to_str().expect("it is UTF-8"))]);
    gate.wait_for("verified");
    let manager = Manager::at(&SocketAddr::from_pathname(&path).expect("it is short"));
    manager.wait_for("READY=1");
    // The manager starts again, with another socket at the same path.
    drop(manager);
    std::fs::remove_file(&path).expect("it is ours");
    let pid = rustix::process::Pid::from_raw(i32::try_from(gate.pid()).expect("it fits")).expect("it is one");
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("it is ours");
    gate.wait_for("unchanged");
    let manager = Manager::at(&SocketAddr::from_pathname(&path).expect("it is short"));
    manager.wait_for("RELOADING=1");
    manager.wait_for("READY=1");
    assert_eq!(gate.stop(), 0);
    manager.wait_for("STOPPING=1");
}

#[test]
fn the_watchdog_of_another_process_is_not_served() {
    let directory = tempfile::tempdir().expect("there is room");
    std::fs::write(directory.path().join("app.json"), "{}").expect("there is room");
    let name = unique("reload-gate-test-");
    let manager = Manager::at(&SocketAddr::from_abstract_name(&name).expect("it is short"));
    let socket = format!("@{name}");
    let variables = [("NOTIFY_SOCKET", socket.as_str()), ("WATCHDOG_USEC", "1000"), ("WATCHDOG_PID", "1")];
    let gate = start(directory.path(), &variables);
    manager.wait_for("READY=1");
    assert_eq!(gate.stop(), 0);
    let mut buffer = vec![0; 4096];
    let mut messages = Vec::new();
    while let Ok(length) = manager.0.recv(&mut buffer) {
        messages.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        if messages.last().is_some_and(|message| message.starts_with("STOPPING=1")) {
            break;
        }
    }
    assert!(!messages.is_empty() && !messages.iter().any(|message| message.starts_with("WATCHDOG")), "{messages:?}");
}

#[test]
fn systemd_accepts_the_unit_and_finds_it_hardened() {
    needs!("systemd-analyze");
    let directory = tempfile::tempdir().expect("there is room");
    let unit = directory.path().join("reload-gate.service");
    let text = include_str!("../deploy/systemd/reload-gate.service");
    let text = text.replace("/usr/bin/reload-gate", env!("CARGO_BIN_EXE_reload-gate"));
    std::fs::write(&unit, text).expect("there is room");
    let analyze = |words: &[&str]| {
        let output = command("systemd-analyze").args(words).arg(&unit).output().expect("it is installed");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).expect("it is UTF-8"))
    };
    let (is_right, messages) = analyze(&["verify", "--man=no"]);
    let about_it: Vec<_> = messages.lines().filter(|line| line.contains("reload-gate.service")).collect();
    assert!(is_right && about_it.is_empty(), "{messages}");
    let (is_hardened, table) = analyze(&["security", "--offline=yes", "--threshold=50", "--no-pager"]);
    assert!(is_hardened, "its exposure is above 5.0:\n{table}");
}
