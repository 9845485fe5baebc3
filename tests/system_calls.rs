//! The work between a change and its signal, in system calls: a number that does not depend on the machine. `strace` counts them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::support::{Gate, Kubelet, Volume, command, eventually, needs, script, skip, unique};

/// Limits of the calls from the event to the signal, both included. A debug build makes one more for each descriptor that it closes.
const WITHOUT_VALIDATOR: usize = 25;
const WITH_BUNDLED_CHECKER: usize = 55;

/// Limits of the calls of the process for a command, from the message with the command to its execution, without those that close
/// descriptors. A confined one looks at each directory on the way to the watched one.
const COMMAND_HERE: usize = 80;
const COMMAND_AS_THE_TARGET: usize = 75;

/// Words of a command in a process namespace of its own, where no other test makes processes; `None` where that is not permitted.
fn in_namespace() -> Option<Vec<&'static str>> {
    let words = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let as_user = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let ways: [&[&str]; 2] = [&words, &as_user];
    let works = |way: &&&[&'static str]| {
        let mut unshare = command(way[0]);
        unshare.args(&way[1..]).arg("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    ways.iter().find(works).map(|way| way.to_vec())
}

/// A gate under strace(1), and its target.
struct TracedGate {
    gate: Gate,
    trace: PathBuf,
}

impl TracedGate {
    /// Runs a program that takes SIGHUP, and a gate for it.
    fn run(directory: &Path, namespace: &[&str], arguments: &[&str]) -> Self {
        let trace = directory.join("trace");
        // A FIFO that is open for writing too has no end.
        let program = format!(
            "import os, pathlib, signal, subprocess\nos.chdir({:?})\nos.mkfifo('probe')\n\
             probes = os.open('probe', os.O_RDWR)\nsignal.signal(signal.SIGHUP, lambda *_: None)\n\
             pathlib.Path('ready').touch()\n\
             while True:\n    os.read(probes, 1)\n    subprocess.run(['true'])\n    os.unlink('probed')\n",
            directory.display().to_string()
        );
        let name = unique("sys");
        script(directory, &name, &program);
        let start = "cd \"$0\"; ./\"$1\" & until [ -e ready ]; do sleep 0.02; done; name=$1; shift; exec \"$@\" --process \"$name\"";
        let mut unshare = command(namespace[0]);
        unshare.args(&namespace[1..]).args(["sh", "-c", start]).arg(directory).arg(name);
        // `-f` follows all threads; a name of an event is shown as far as `-s` permits.
        unshare.args(["strace", "-f", "-qq", "-y", "-s", "256", "-o"]).arg(&trace);
        unshare.arg(env!("CARGO_BIN_EXE_reload-gate")).arg("run").args(arguments);
        Self { gate: Gate::start(unshare), trace }
    }

    /// Lets the target run a command, as the probe of a container is one: a process is made, and ends.
    fn probe(directory: &Path) {
        let probed = directory.join("probed");
        std::fs::write(&probed, "").expect("there is room");
        std::fs::write(directory.join("probe"), "1").expect("the target reads it");
        eventually("the command has ended", || !probed.exists());
    }

    /// Returns the number of calls with this text.
    fn count(&self, text: &str) -> usize {
        let trace = std::fs::read_to_string(&self.trace).unwrap_or_default();
        trace.lines().filter(|line| line.contains(text)).count()
    }

    fn signals(&self) -> usize {
        self.count("pidfd_send_signal(")
    }

    /// Returns the calls of the last change, from the reading of the swap's event to the signal; `None` if another thread interrupted the
    /// first. The second part of a call that was interrupted by another thread is none.
    fn last_change(&self) -> Option<Vec<String>> {
        let text = std::fs::read_to_string(&self.trace).expect("it is there");
        let lines: Vec<_> = text.lines().filter(|line| !line.contains(" resumed>")).collect();
        let signal = lines.iter().rposition(|line| line.contains("pidfd_send_signal("))?;
        let is_event = |line: &&str| line.contains("inotify") && line.contains(" read(") && line.contains("..data\\0");
        let event = lines[..signal].iter().rposition(is_event)?;
        let lines = &lines[event..=signal];
        // Another thread takes in the names beside the volume, which other tests make.
        let thread = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
        let is_watch = |line: &&&str| line.contains("inotify") || line.contains("epoll") || line.contains("eventfd");
        let works =
            |line: &str| lines.iter().filter(|other| thread(other) == thread(line)).any(|other| !is_watch(&other));
        Some(lines.iter().filter(|line| works(line)).map(|line| (*line).to_owned()).collect())
    }

    /// Returns the calls of the process for the last command, from the message with the command to its execution.
    fn before_command(&self) -> Option<Vec<String>> {
        let text = std::fs::read_to_string(&self.trace).expect("it is there");
        let closes = |line: &&str| line.contains(" close(") || line.contains(", F_GETFD");
        let lines: Vec<_> = text.lines().filter(|line| !line.contains(" resumed>") && !closes(line)).collect();
        let execution = lines.iter().rposition(|line| line.contains("execve(") && line.contains(COMMAND))?;
        let process = lines[execution].split(' ').next()?;
        let own: Vec<_> = lines[..=execution].iter().filter(|line| line.split(' ').next() == Some(process)).collect();
        let message = own.iter().rposition(|line| line.contains("recvfrom("))?;
        Some(own[message..].iter().map(|line| (**line).to_owned()).collect())
    }
}

/// Returns the calls of the change that needed the fewest of five: a thread that ends may add some to any.
fn fewest_calls(directory: &Path, namespace: &[&str], more: &[&str]) -> Vec<String> {
    fewest(directory, namespace, more, TracedGate::last_change)
}

/// Returns the calls of the change for which `calls` are the fewest of five.
fn fewest(
    directory: &Path,
    namespace: &[&str],
    more: &[&str],
    calls: fn(&TracedGate) -> Option<Vec<String>>,
) -> Vec<String> {
    let config = |number: usize| format!("events {{}}\nhttp {{}}\n# {number}\n");
    let mut volume = Volume::new(directory.join("volume"), Kubelet::New, &[("nginx.conf", &config(0))]);
    let watch = volume.path().to_str().expect("it is UTF-8").to_owned();
    let mut traced = TracedGate::run(directory, namespace, &[&["--watch", &watch, "--signal", "HUP"], more].concat());
    traced.gate.wait_for("reloaded");
    let changes = (1..=5).filter_map(|number| {
        // Until the second search, after which the target is known.
        traced.gate.listen(Duration::from_millis(1_500));
        TracedGate::probe(directory);
        let before = traced.signals();
        volume.write(&[("nginx.conf", &config(number))]);
        traced.gate.wait_for("reloaded");
        eventually("the signal is in the trace", || traced.signals() > before);
        calls(&traced)
    });
    changes.min_by_key(Vec::len).expect("there were changes")
}

#[track_caller]
fn is_at_most(calls: &[String], limit: usize) {
    assert!(calls.len() <= limit, "{} calls, and {limit} are allowed:\n{}", calls.len(), calls.join("\n"));
    let searches = calls.iter().filter(|call| call.contains("/stat\"") || call.contains("/comm\"")).count();
    assert_eq!(searches, 0, "the target is known before the change:\n{}", calls.join("\n"));
}

#[test]
fn a_change_is_signalled_after_few_system_calls() {
    needs!("strace", "python3", "unshare");
    let Some(namespace) = in_namespace() else { return skip("no process namespace may be made") };
    let directory = tempfile::tempdir().expect("there is room");
    is_at_most(&fewest_calls(directory.path(), &namespace, &[]), WITHOUT_VALIDATOR);
}

#[test]
fn the_known_generation_is_read_as_soon_as_the_next_one_is_written() {
    needs!("strace", "python3", "unshare");
    let Some(namespace) = in_namespace() else { return skip("no process namespace may be made") };
    let directory = tempfile::tempdir().expect("there is room");
    let volume = Volume::new(directory.path().join("volume"), Kubelet::New, &[("nginx.conf", "events {}\n")]);
    let watch = volume.path().to_str().expect("it is UTF-8").to_owned();
    let arguments = ["--watch", &watch, "--signal", "HUP", "--poll", "1h"];
    let mut traced = TracedGate::run(directory.path(), &namespace, &arguments);
    traced.gate.wait_for("reloaded");
    traced.gate.listen(Duration::from_millis(1_500));
    let opens = |traced: &TracedGate| traced.count(", \"nginx.conf\", ");
    let (before, signals) = (opens(&traced), traced.signals());
    std::fs::create_dir(volume.path().join("..next")).expect("there is room");
    eventually("the known generation is read", || opens(&traced) > before);
    traced.gate.listen(Duration::from_millis(500));
    assert_eq!(traced.signals(), signals, "nothing is committed");
}

/// A command that does nothing, by its path.
const COMMAND: &str = "/bin/true";

/// Returns the fewest calls before the execution of a command that runs in this place.
fn before_command(root: &str) -> Option<Vec<String>> {
    let namespace = in_namespace()?;
    let directory = tempfile::tempdir().expect("there is room");
    let more = ["--validate", COMMAND, "--root", root];
    Some(fewest(directory.path(), &namespace, &more, TracedGate::before_command))
}

#[test]
fn a_confined_command_is_executed_after_few_system_calls() {
    needs!("strace", "python3", "unshare");
    let Some(calls) = before_command("local") else { return skip("no process namespace may be made") };
    assert!(calls.len() <= COMMAND_HERE, "{} calls:\n{}", calls.len(), calls.join("\n"));
    let late = calls.iter().filter(|call| call.contains("landlock_add_rule(") || call.contains("seccomp(")).count();
    assert_eq!(late, 0, "its rules are made before the command comes:\n{}", calls.join("\n"));
}

#[test]
fn a_command_that_runs_as_the_target_is_executed_after_few_system_calls() {
    needs!("strace", "python3", "unshare");
    let Some(calls) = before_command("target") else { return skip("no process namespace may be made") };
    assert!(calls.len() <= COMMAND_AS_THE_TARGET, "{} calls:\n{}", calls.len(), calls.join("\n"));
    let late = calls.iter().filter(|call| call.contains("seccomp(")).count();
    assert_eq!(late, 0, "its calls are filtered before the command comes:\n{}", calls.join("\n"));
}

#[test]
fn the_bundled_nginx_checker_adds_few_system_calls() {
    needs!("strace", "python3", "unshare");
    let Some(namespace) = in_namespace() else { return skip("no process namespace may be made") };
    let directory = tempfile::tempdir().expect("there is room");
    let more = ["--builtin", "nginx", "--main", "nginx.conf", "--mount", "/etc/nginx"];
    is_at_most(&fewest_calls(directory.path(), &namespace, &more), WITH_BUNDLED_CHECKER);
}
