//! The right process, or none.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use crate::support::{Background, Gate, Kubelet, Volume, command, eventually, needs, python, skip, unique};

/// A target which counts its HUPs in a file, once it has a handler.
fn counting(directory: &Path, name: &str, before_handler: &str) -> Background {
    let program = format!(
        "import signal\ncount = 0\ndef hup(*_):\n    global count\n    count += 1\n    open('count-{name}', 'w').write(str(count))\n\
         {before_handler}\nsignal.signal(signal.SIGHUP, hup)\nopen('ready-{name}', 'w')\nwhile True:\n    signal.pause()\n"
    );
    python(directory, name, &program)
}

fn signals(directory: &Path, name: &str) -> usize {
    std::fs::read_to_string(directory.join(format!("count-{name}")))
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(0)
}

fn is_ready(directory: &Path, name: &str) -> bool {
    directory.join(format!("ready-{name}")).exists()
}

fn config(directory: &Path, content: &str) -> String {
    let watch = directory.join("config");
    std::fs::create_dir_all(&watch).expect("there is room");
    std::fs::write(watch.join("app.conf"), content).expect("there is room");
    watch.to_str().expect("it is UTF-8").to_owned()
}

fn gate(watch: &str, name: &str, more: &[&str]) -> Gate {
    Gate::run(&[&["--watch", watch, "--process", name, "--signal", "HUP", "--settle", "20ms"], more].concat())
}

#[test]
fn two_families_of_one_name_are_refused_and_nobody_is_signalled() {
    needs!("python3");
    let directory = tempfile::tempdir().expect("there is room");
    let (here, name) = (directory.path(), unique("two"));
    let (first, second) = (here.join("a"), here.join("b"));
    std::fs::create_dir_all(&first).and_then(|()| std::fs::create_dir_all(&second)).expect("there is room");
    let _one = counting(&first, &name, "");
    let two = counting(&second, &name, "");
    eventually("both are ready", || is_ready(&first, &name) && is_ready(&second, &name));
    let watch = config(here, "one");
    let mut gate = gate(&watch, &name, &[]);
    let refused = gate.wait_for("target_refused");
    assert!(refused["message"].as_str().expect("there is one").starts_with("2 families fit"), "{refused}");
    assert!(refused["help"].as_str().expect("there is one").contains("--pid-file"), "{refused}");
    assert_eq!(signals(&first, &name) + signals(&second, &name), 0);
    // With one clear target, the signal is sent.
    drop(two);
    gate.wait_for("reloaded");
    eventually("the one that is left is signalled", || signals(&first, &name) == 1);
    gate.wait_for("recovered");
}

#[test]
fn a_program_in_a_container_is_no_second_family_of_the_gates_host() {
    needs!("python3", "unshare");
    let as_user = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child"];
    if !command("unshare").args(as_user).arg("true").status().is_ok_and(|status| status.success()) {
        return skip("no namespace can be made here");
    }
    let directory = tempfile::tempdir().expect("there is room");
    let (here, name) = (directory.path(), unique("box"));
    let target = counting(here, &name, "");
    eventually("it is ready", || is_ready(here, &name));
    let watch = config(here, "one");
    let mut gate = gate(&watch, &name, &[]);
    gate.wait_for("reloaded");
    let mut container = command("unshare");
    container.args(as_user).arg(here.join(&name)).current_dir(here);
    let container = Background::start(&mut container);
    let named = || {
        let of = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let children = format!("/proc/{0}/task/{0}/children", container.pid());
        let children = std::fs::read_to_string(children).unwrap_or_default();
        let is_it = |comm: String| !comm.is_empty() && name.starts_with(comm.trim());
        children.split_whitespace().any(|pid| pid.parse().is_ok_and(|pid| is_it(of(pid))))
    };
    eventually("the container runs", named);
    std::fs::write(here.join("config/app.conf"), "two").expect("there is room");
    let reloaded = gate.wait_for_any(&["reloaded", "target_refused"]);
    assert_eq!((&reloaded["event"], &reloaded["pid"]), (&"reloaded".into(), &target.pid().into()), "{reloaded}");
}

#[test]
fn a_target_without_a_handler_is_waited_for_and_not_killed() {
    needs!("python3");
    let directory = tempfile::tempdir().expect("there is room");
    let (here, name) = (directory.path(), unique("unc"));
    let wait = "import os, time\nwhile not os.path.exists('go-on'):\n    time.sleep(0.01)";
    let mut target = counting(here, &name, wait);
    eventually("it runs", || {
        std::fs::read(format!("/proc/{}/comm", target.pid())).is_ok_and(|comm| comm.starts_with(name.as_bytes()))
    });
    std::thread::park_timeout(Duration::from_millis(30));
    let watch = config(here, "one");
    let mut gate = gate(&watch, &name, &[]);
    let refused = gate.wait_for("target_refused");
    assert!(refused["message"].as_str().expect("there is one").contains("does not catch SIGHUP"), "{refused}");
    assert_eq!(refused["pid"], target.pid());
    gate.listen(Duration::from_millis(400));
    assert!(target.is_alive());
    std::fs::write(here.join("go-on"), "").expect("there is room");
    gate.wait_for("reloaded");
    eventually("it is told as soon as it listens", || signals(here, &name) == 1);
    assert!(target.is_alive());
}

#[test]
fn a_target_that_waits_for_its_signal_takes_it() {
    needs!("python3");
    let directory = tempfile::tempdir().expect("there is room");
    for (means, how) in [
        ("sigwait", "signal.sigwait([signal.SIGHUP])"),
        ("ignored", "signal.signal(signal.SIGHUP, signal.SIG_IGN); signal.sigwait([signal.SIGHUP])"),
        ("thread", "t = threading.Thread(target=lambda: signal.sigwait([signal.SIGHUP])); t.start(); t.join()"),
    ] {
        let (here, name) = (directory.path().join(means), unique(&means[..3]));
        std::fs::create_dir_all(&here).expect("there is room");
        let watch = config(&here, "one");
        let program = format!(
            "import signal, threading\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])\nopen('ready-{name}', 'w')\n\
             {how}\nopen('count-{name}', 'w').write('1')\nsignal.pause()\n"
        );
        let mut target = python(&here, &name, &program);
        eventually("it is ready", || is_ready(&here, &name));
        let mut gate = gate(&watch, &name, &[]);
        gate.wait_for_any(&["reloaded", "verified"]);
        config(&here, "two");
        eventually("it is told", || signals(&here, &name) == 1);
        assert!(target.is_alive());
    }
}

#[test]
fn a_target_that_waits_for_another_signal_is_not_killed() {
    needs!("python3");
    let directory = tempfile::tempdir().expect("there is room");
    let (here, name) = (directory.path(), unique("oth"));
    let program = format!("import signal\nopen('ready-{name}', 'w')\nsignal.sigwait([signal.SIGUSR1])\n");
    let mut target = python(here, &name, &program);
    eventually("it is ready", || is_ready(here, &name));
    let watch = config(here, "one");
    let mut gate = gate(&watch, &name, &[]);
    let refused = gate.wait_for("target_refused");
    assert!(refused["message"].as_str().expect("there is one").contains("does not catch SIGHUP"), "{refused}");
    assert!(target.is_alive());
}

#[test]
fn a_second_family_is_refused_however_well_the_first_is_known() {
    needs!("python3");
    let directory = tempfile::tempdir().expect("there is room");
    let (here, name) = (directory.path(), unique("scd"));
    let (first, second) = (here.join("a"), here.join("b"));
    std::fs::create_dir_all(&first).and_then(|()| std::fs::create_dir_all(&second)).expect("there is room");
    let mut volume = Volume::new(here.join("volume"), Kubelet::New, &[("app.conf", "0")]);
    let watch = volume.path().to_str().expect("it is UTF-8").to_owned();
    let one = counting(&first, &name, "");
    eventually("it is ready", || is_ready(&first, &name));
    let mut gate = gate(&watch, &name, &[]);
    gate.wait_for("reloaded");
    // Longer than it takes until the target is known without another search.
    gate.listen(Duration::from_millis(1_500));
    volume.write(&[("app.conf", "1")]);
    gate.wait_for("reloaded");
    eventually("it is signalled", || signals(&first, &name) == 2);
    let two = counting(&second, &name, "");
    eventually("the second is ready", || is_ready(&second, &name));
    volume.write(&[("app.conf", "2")]);
    let refused = gate.wait_for_any(&["target_refused", "reloaded"]);
    assert_eq!(refused["event"], "target_refused", "{refused}");
    assert_eq!((signals(&first, &name), signals(&second, &name)), (2, 0));
    // Another process takes the place of the one that was known.
    drop(one);
    gate.wait_for("reloaded");
    eventually("the one that is left is signalled", || signals(&second, &name) == 1);
    volume.write(&[("app.conf", "3")]);
    assert_eq!(gate.wait_for("reloaded")["pid"], two.pid());
}

#[test]
fn a_target_that_is_not_there_is_waited_for() {
    needs!("python3");
    let directory = tempfile::tempdir().expect("there is room");
    let (here, name) = (directory.path(), unique("mis"));
    let watch = config(here, "one");
    let mut gate = gate(&watch, &name, &[]);
    let missing = gate.wait_for("target_missing");
    assert!(missing["message"].as_str().expect("there is one").contains(&format!("`{name}`")), "{missing}");
    assert!(missing["help"].as_str().expect("there is one").contains("shareProcessNamespace"), "{missing}");
    // A process that starts now is younger than the scan by clock ticks.
    gate.listen(Duration::from_millis(50));
    let _target = counting(here, &name, "");
    let verified = gate.wait_for("verified");
    assert!(verified["message"].as_str().expect("there is one").contains("no signal is needed"), "{verified}");
    assert_eq!(signals(here, &name), 0, "a process younger than the content has read it already");
    config(here, "two");
    gate.wait_for("reloaded");
    eventually("it is told of what is newer", || signals(here, &name) == 1);
}

#[test]
fn a_pid_file_says_which() {
    needs!("python3");
    let directory = tempfile::tempdir().expect("there is room");
    let (here, name) = (directory.path(), unique("pid"));
    let target = counting(here, &name, "");
    eventually("it is ready", || is_ready(here, &name));
    let watch = config(here, "one");
    let pid_file = here.join("pid");
    std::fs::write(&pid_file, format!("{}\n", target.pid())).expect("there is room");
    let pid_file = pid_file.to_str().expect("it is UTF-8");
    let mut gate = Gate::run(&["--watch", &watch, "--pid-file", pid_file, "--signal", "HUP", "--settle", "20ms"]);
    let reloaded = gate.wait_for("reloaded");
    assert_eq!(reloaded["pid"], target.pid());
    // A stale pid file with the number of another process: no signal is sent.
    std::fs::write(pid_file, "1\n").expect("there is room");
    config(here, "two");
    let refused = gate.wait_for_any(&["target_refused", "reloaded"]);
    assert_eq!(refused["event"], "target_refused", "the init process catches no SIGHUP, or is not ours: {refused}");
}

#[test]
fn a_pid_file_that_another_user_may_write_names_no_process_of_root() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root signals processes of other users");
    }
    needs!("python3");
    let directory = tempfile::tempdir().expect("there is room");
    let (here, name) = (directory.path(), unique("pfo"));
    let target = counting(here, &name, "");
    eventually("it is ready", || is_ready(here, &name));
    let watch = config(here, "one");
    let pid_file = here.join("pid");
    std::fs::write(&pid_file, format!("{}\n", target.pid())).expect("there is room");
    let owned = |uid, mode| {
        std::os::unix::fs::chown(&pid_file, Some(uid), None).expect("it is ours");
        std::fs::set_permissions(&pid_file, std::fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    let file = pid_file.to_str().expect("it is UTF-8");
    for (uid, mode) in [(65534, 0o644), (0, 0o666)] {
        owned(uid, mode);
        let mut gate = Gate::run(&["--watch", &watch, "--pid-file", file, "--signal", "HUP", "--settle", "20ms"]);
        let refused = gate.wait_for_any(&["target_refused", "reloaded"]);
        assert_eq!(refused["event"], "target_refused", "{uid} {mode:o}: {refused}");
        assert!(refused["message"].as_str().is_some_and(|message| message.contains("by another user")), "{refused}");
    }
    assert_eq!(signals(here, &name), 0);
}

#[test]
fn the_application_may_be_a_child_of_the_gate() {
    needs!("python3");
    let directory = tempfile::tempdir().expect("there is room");
    let (here, name) = (directory.path(), unique("chi"));
    let watch = config(here, "one");
    let target = counting(here, &name, "");
    eventually("it is ready", || is_ready(here, &name));
    drop(target);
    std::fs::remove_file(here.join(format!("ready-{name}"))).expect("it is there");
    // The shell starts the application and becomes the gate.
    let script = format!("cd {0}; {0}/{name} & exec \"$@\"", here.display());
    let mut shell = command("sh");
    shell.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_reload-gate"), "run"]);
    shell.args(["--watch", &watch, "--process", &name, "--signal", "HUP", "--settle", "20ms"]);
    let mut gate = Gate::start(shell);
    gate.wait_for_any(&["reloaded", "verified"]);
    let before = signals(here, &name);
    config(here, "two");
    eventually("it is signalled", || signals(here, &name) > before);
    gate.wait_for("reloaded");
    let pid = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", gate.pid())).unwrap_or_default();
    for pid in pid.split_whitespace().filter_map(|pid| rustix::process::Pid::from_raw(pid.parse().ok()?)) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

#[test]
fn signals_of_other_programs_do_not_end_the_gate() {
    needs!("python3");
    let directory = tempfile::tempdir().expect("there is room");
    let (here, name) = (directory.path(), unique("sig"));
    let _target = counting(here, &name, "");
    eventually("it is ready", || is_ready(here, &name));
    let watch = config(here, "one");
    let mut gate = gate(&watch, &name, &[]);
    gate.wait_for("unverified");
    let pid = rustix::process::Pid::from_raw(i32::try_from(gate.pid()).expect("it fits")).expect("it is one");
    for signal in [rustix::process::Signal::USR1, rustix::process::Signal::USR2, rustix::process::Signal::HUP] {
        rustix::process::kill_process(pid, signal).expect("it is ours");
    }
    // A HUP asks for a scan.
    gate.wait_for("unchanged");
    assert!(gate.is_alive());
    config(here, "two");
    gate.wait_for("reloaded");
}

#[test]
fn a_crash_loop_is_reported_once() {
    needs!("python3");
    let directory = tempfile::tempdir().expect("there is room");
    let (here, name) = (directory.path(), unique("cra"));
    let watch = config(here, "one");
    let target = counting(here, &name, "");
    eventually("it is ready", || is_ready(here, &name));
    let mut gate = gate(&watch, &name, &[]);
    gate.wait_for("unverified");
    drop(target);
    for _ in 0..4 {
        std::fs::remove_file(here.join(format!("ready-{name}"))).expect("it is there");
        let target = counting(here, &name, "");
        eventually("it is ready", || is_ready(here, &name));
        // Long enough for the gate to find it.
        gate.listen(Duration::from_millis(1500));
        drop(target);
    }
    gate.listen(Duration::from_secs(2));
    let loops = gate.events.iter().filter(|event| event.to_string().contains("crash loop")).count();
    assert_eq!(loops, 1, "{}", gate.story());
}

#[test]
fn a_restart_by_signal_waits_for_the_successor() {
    needs!("python3");
    let directory = tempfile::tempdir().expect("there is room");
    let (here, name) = (directory.path(), unique("qui"));
    // As a container that is restarted when its program ends.
    let program =
        "import signal, sys\nsignal.signal(signal.SIGQUIT, lambda *_: sys.exit(0))\nwhile True:\n    signal.pause()\n";
    drop(python(here, &name, program));
    let script = format!("cd {0}; while :; do {0}/{name}; sleep 0.2; done", here.display());
    let _supervisor = Background::start(command("sh").args(["-c", &script]));
    let watch = config(here, "one");
    let mut gate = Gate::run(&["--watch", &watch, "--process", &name, "--signal", "QUIT", "--settle", "20ms"]);
    let first = gate.wait_for_any(&["verified", "unverified"]);
    assert_eq!(first["event"], "verified", "{first}");
    config(here, "two");
    let reloaded = gate.wait_for("reloaded");
    assert_eq!(reloaded["signal"], "SIGQUIT");
    let verified = gate.wait_for_any(&["verified", "unverified"]);
    assert!(verified["message"].as_str().expect("there is one").contains("took the place of pid"), "{verified}");
}

#[test]
fn a_signal_that_the_target_ignores_is_refused() {
    needs!("python3");
    let directory = tempfile::tempdir().expect("there is room");
    let (here, name) = (directory.path(), unique("ign"));
    let program = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\nopen('ready', 'w')\nwhile True:\n    signal.pause()\n";
    let mut target = python(here, &name, program);
    eventually("it is ready", || here.join("ready").exists());
    let watch = config(here, "one");
    let mut gate = gate(&watch, &name, &[]);
    let refused = gate.wait_for_any(&["target_refused", "reloaded"]);
    let message = format!("pid {} ignores SIGHUP, so it was not sent", target.pid());
    assert_eq!(refused["message"], message);
    gate.listen(Duration::from_secs(1));
    assert_eq!(gate.events.iter().filter(|event| event["event"] == "target_refused").count(), 1, "{}", gate.story());
    assert_eq!((gate.count("reloaded"), target.is_alive()), (0, true), "{}", gate.story());
}

#[test]
fn a_process_whose_long_name_begins_alike_is_another_one() {
    needs!("python3");
    let directory = tempfile::tempdir().expect("there is room");
    let here = directory.path();
    // A command name has 15 bytes (`comm` in proc(5)).
    let common = format!("{:x<15}", unique("lng"));
    let (exporter, sidecar) = (format!("{common}-exporter"), format!("{common}-sidecar"));
    let _sidecar = counting(here, &sidecar, "");
    eventually("it is ready", || is_ready(here, &sidecar));
    let watch = config(here, "one");
    let mut gate = gate(&watch, &exporter, &[]);
    let missing = gate.wait_for_any(&["target_missing", "reloaded"]);
    assert!(missing["message"].as_str().is_some_and(|message| message.contains(&exporter)), "{missing}");
    let target = counting(here, &exporter, "");
    eventually("it is ready", || is_ready(here, &exporter));
    gate.wait_for_any(&["verified", "unverified"]);
    config(here, "two");
    assert_eq!(gate.wait_for("reloaded")["pid"], target.pid());
    eventually("it is signalled", || signals(here, &exporter) >= 1);
    assert_eq!(signals(here, &sidecar), 0, "{}", gate.story());
}

#[test]
fn a_younger_process_is_not_live_before_the_command_proves_it() {
    needs!("python3");
    let directory = tempfile::tempdir().expect("there is room");
    let (here, name) = (directory.path(), unique("you"));
    let (watch, healthy) = (config(here, "one"), here.join("healthy"));
    let verify = format!("test -e {}", healthy.display());
    let mut gate = gate(&watch, &name, &["--verify-command", &verify, "--verify-timeout", "500ms"]);
    gate.wait_for("target_missing");
    // A process that starts now is younger than the scan by clock ticks.
    gate.listen(Duration::from_millis(50));
    let _target = counting(here, &name, "");
    let unverified = gate.wait_for_any(&["unverified", "verified"]);
    assert!(
        unverified["message"].as_str().is_some_and(|message| message.contains("exited with code 1")),
        "{unverified}"
    );
    assert_eq!(unverified["event"], "unverified");
    std::fs::write(healthy, "").expect("there is room");
    gate.wait_for("verified");
    gate.wait_for("recovered");
    assert_eq!(signals(here, &name), 0, "it has read the content at its start: {}", gate.story());
}
