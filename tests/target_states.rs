//! Targets that take no signal at the moment, and dead ones that still have a number.

use rustix::process::{Pid, Signal};

use crate::support::{Background, Gate, Nginx, command, eventually, needs, python, report_skipped, unique};

fn gate(nginx: &Nginx) -> Gate {
    let watch = nginx.volume.path().to_str().expect("it is UTF-8");
    let mut gate = Gate::run(&["--app", "nginx", "--process", &nginx.name, "--watch", watch]);
    gate.wait_for("verified");
    gate
}

fn pid(process: &Background) -> Pid {
    i32::try_from(process.pid()).ok().and_then(Pid::from_raw).expect("it is one")
}

/// The state of a process, as `ps` shows it.
fn state(process: &Background) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid())).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Changes the configuration of an nginx that takes no signal, and lets it `go_on`.
fn is_signalled_later(mut nginx: Nginx, mut gate: Gate, go_on: impl FnOnce()) {
    let signals = nginx.signals();
    nginx.write("two", "");
    gate.wait_for("accepted");
    let refused = gate.wait_for_any(&["target_refused", "reloaded"]);
    assert!(refused["message"].as_str().is_some_and(|message| message.contains("is stopped")), "{refused}");
    assert_eq!(refused["pid"], nginx.process.pid());
    go_on();
    gate.wait_for("reloaded");
    gate.wait_for("verified");
    gate.wait_for("recovered");
    eventually("nginx serves the new configuration", || nginx.serves("two"));
    assert_eq!(nginx.signals() - signals, 1, "{}", gate.story());
    assert_eq!((gate.count("target_refused"), gate.count("unverified")), (1, 0), "{}", gate.story());
}

#[test]
fn a_stopped_target_is_reloaded_when_it_goes_on() {
    needs!("nginx");
    let nginx = Nginx::start();
    let (gate, master) = (gate(&nginx), pid(&nginx.process));
    rustix::process::kill_process(master, Signal::STOP).expect("it is ours");
    eventually("it is stopped", || state(&nginx.process) == Some('T'));
    is_signalled_later(nginx, gate, || rustix::process::kill_process(master, Signal::CONT).expect("it is ours"));
}

/// Stops a process as a debugger does (ptrace(2)), until the file `detach` exists.
const TRACER: &str = "import ctypes, os, sys, time\n\
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace\n\
    ATTACH, DETACH, pid = 16, 17, int(open('traced').read())\n\
    if ptrace(ATTACH, pid, None, None) != 0:\n    sys.exit(1)\n\
    os.waitpid(pid, 0)\n\
    open('attached', 'w')\n\
    while not os.path.exists('detach'):\n    time.sleep(0.01)\n\
    ptrace(DETACH, pid, None, None)\n\
    while True:\n    time.sleep(100)\n";

#[test]
fn a_traced_target_is_reloaded_when_the_debugger_lets_it_go() {
    needs!("nginx", "python3");
    let nginx = Nginx::start();
    let (gate, here) = (gate(&nginx), nginx.directory().to_path_buf());
    std::fs::write(here.join("traced"), nginx.process.pid().to_string()).expect("there is room");
    let mut tracer = python(&here, &unique("trc"), TRACER);
    eventually("the tracer has tried", || here.join("attached").exists() || !tracer.is_alive());
    if !here.join("attached").exists() {
        return report_skipped("no process may be traced here (ptrace(2))");
    }
    assert_eq!(state(&nginx.process), Some('t'));
    is_signalled_later(nginx, gate, || std::fs::write(here.join("detach"), "").expect("there is room"));
}

/// An nginx with the same configuration as another one that has ended.
fn start_again(nginx: &Nginx) -> Background {
    let mut other = command(nginx.directory().join(&nginx.name));
    other.arg("-c").arg(nginx.volume.file("nginx.conf")).arg("-p").arg(nginx.directory()).args(["-g", "daemon off;"]);
    Background::start(other.stderr(std::process::Stdio::null()))
}

#[test]
fn a_dead_target_that_keeps_its_number_is_no_target() {
    needs!("nginx");
    let mut nginx = Nginx::start();
    let mut gate = gate(&nginx);
    // This process does not ask for its end, so it stays in the list of processes.
    rustix::process::kill_process_group(pid(&nginx.process), Signal::KILL).expect("it is ours");
    gate.wait_for("target_missing");
    assert_eq!(state(&nginx.process), Some('Z'));
    let successor = start_again(&nginx);
    eventually("the successor serves", || nginx.serves("one"));
    gate.wait_for("target_replaced");
    gate.wait_for("verified");
    nginx.write("two", "");
    assert_eq!(gate.wait_for("reloaded")["pid"], successor.pid());
    gate.wait_for("verified");
    eventually("nginx serves the new configuration", || nginx.serves("two"));
}

#[test]
fn a_configuration_that_ends_the_application_is_taken_back_without_any_verification() {
    let directory = tempfile::tempdir().expect("there is room");
    let path = |name: &str| directory.path().join(name).to_str().expect("it is UTF-8").to_owned();
    let source = path("source");
    std::fs::create_dir(&source).expect("there is room");
    std::fs::create_dir(path("published")).expect("there is room");
    let write =
        |content: &str| std::fs::write(directory.path().join("source/app.conf"), content).expect("there is room");
    write("one");
    let published = path("published");
    let script = format!(
        "echo $$ > '{}'; trap \"grep -q fatal '{published}/app.conf' && exit 1; :\" HUP; while :; do sleep 1 & wait $!; done",
        path("pid")
    );
    let mut application = command("sh");
    let _application = Background::start(application.args(["-c", &script]).stdout(std::process::Stdio::null()));
    eventually("the application has its process id in a file", || {
        std::fs::read_to_string(path("pid")).is_ok_and(|pid| !pid.is_empty())
    });
    let pid = path("pid");
    let target = ["--app", "none", "--pid-file", &pid, "--signal", "HUP", "--verify", "none", "--validate", "true"];
    let mut gate = Gate::run(&[&["--watch", &source, "--publish", &published], &target[..]].concat());
    gate.wait_for("reloaded");
    gate.wait_for("unverified");
    eventually("it is kept", || std::fs::read_link(directory.path().join("published/..good")).is_ok());
    write("fatal");
    gate.wait_for("reloaded");
    let silent = gate.wait_for("unverified");
    assert_eq!(silent["level"], "info", "there is no verification: {silent}");
    let ended = gate.wait_for("unverified");
    assert!(ended["message"].as_str().is_some_and(|said| said.contains("after it was reloaded")), "{ended}");
    eventually("what was live before is published", || {
        std::fs::read_to_string(directory.path().join("published/app.conf")).is_ok_and(|content| content == "one")
    });
}
