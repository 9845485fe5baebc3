//! Tests with real processes, each of a name of its own.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use tempfile::TempDir;

use super::*;

mod identity;
mod searches;
mod selection;
mod signals;

/// A process that is a child of the test: it can be looked at, but not found, since the gate's own are left out.
struct Own(Child);

impl Own {
    /// Runs a command until it has printed a line, or ends.
    #[expect(clippy::disallowed_methods, reason = "the test wants a plain child")]
    fn run(words: &[&str]) -> Self {
        // The child must not inherit what the test runner ignores or blocks.
        let reset = ["--default-signal", "--block-signal=", "--"];
        let mut command = std::process::Command::new("env");
        command.args(if words[0].starts_with("--") { &reset[..1] } else { &reset[..0] }).args(words);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("env is installed");
        let mut line = String::new();
        let stdout: &mut ChildStdout = child.stdout.as_mut().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it is text");
        Self(child)
    }

    fn identity(&self) -> Identity {
        Identity::from(&proc::stat(i32::try_from(self.0.id()).expect("it fits")).expect("it is alive"))
    }

    fn target(&self) -> Target {
        Target::open(self.identity()).expect("it is alive")
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program of a name of its own, to be found like a stranger's.
struct Program {
    directory: TempDir,
    name: String,
}

impl Program {
    fn new(prefix: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{prefix}{}x{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self { directory: tempfile::tempdir().expect("there is room"), name }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join(&self.name)
    }

    /// A copy of sleep(1).
    fn sleep(prefix: &str) -> Self {
        let program = Self::new(prefix);
        program.install(Path::new("/bin/sleep"));
        program
    }

    /// Copies a file. Not by this process: a child that another test starts just then would inherit the open copy, and what is
    /// open for writing cannot be executed.
    #[expect(clippy::disallowed_methods, reason = "the test wants a plain child")]
    fn install(&self, from: &Path) {
        let copied = std::process::Command::new("cp").arg(from).arg(self.path()).status();
        assert!(copied.expect("cp is installed").success());
    }

    /// A shell script.
    fn script(prefix: &str, script: &str) -> Self {
        let program = Self::new(prefix);
        let text = program.directory.path().join("script");
        fs::write(&text, format!("#!/bin/sh\n{script}\n")).expect("there is room");
        fs::set_permissions(&text, fs::Permissions::from_mode(0o755)).expect("it is ours");
        program.install(&text);
        program
    }

    /// Starts it, by a parent that goes away; and waits until it is itself, and `members` bear its name.
    #[expect(clippy::disallowed_methods, reason = "the test wants an orphan")]
    fn start(&self, arguments: &[&str], members: usize) -> Orphan {
        let mut shell = std::process::Command::new("setsid");
        shell.args(["sh", "-c", "\"$0\" \"$@\" > /dev/null & echo $!"]).arg(self.path()).args(arguments);
        let mut shell = shell.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("setsid is installed");
        let mut pid = String::new();
        shell.stdout.take().expect("it is piped").read_to_string(&mut pid).expect("it is text");
        shell.wait().expect("it is ours");
        let orphan = Orphan(pid.trim().parse().expect("a number"));
        let named = || proc::pids().filter(|pid| proc::comm(*pid) == self.comm() && in_group(*pid, orphan.0)).count();
        eventually("it runs", || named() == members);
        orphan
    }

    fn comm(&self) -> &[u8] {
        &self.name.as_bytes()[..self.name.len().min(15)]
    }

    fn called(&self) -> Selector {
        Selector { process: Some(self.name.clone()), ..Selector::default() }
    }
}

/// A process whose parent has gone away; killed with all of its group in the end.
struct Orphan(i32);

/// Returns `true` if `pid` is in the session that was made for `orphan`.
fn in_group(pid: i32, orphan: i32) -> bool {
    let session = |pid| proc::stat(pid).map(|stat| stat.session);
    session(pid).is_some() && session(pid) == session(orphan)
}

impl Drop for Orphan {
    fn drop(&mut self) {
        let group = proc::stat(self.0).and_then(|stat| Pid::from_raw(stat.pgrp));
        let _ = group.map(|group| rustix::process::kill_process_group(group, rustix::process::Signal::KILL));
    }
}

#[track_caller]
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came true: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

fn signal(name: &str) -> Signal {
    name.parse().expect("it is one")
}

#[test]
fn a_target_error_comes_apart() {
    let (message, help) = ("what".to_owned(), "do".to_owned());
    let parts = |target_error: TargetError| target_error.into_parts();
    assert_eq!(parts(TargetError::Missing { message: message.clone(), help: help.clone() }).2, None);
    assert_eq!(parts(TargetError::Refused { pid: Some(7), message: message.clone(), help: help.clone() }).2, Some(7));
    assert_eq!(parts(TargetError::Failed { message, help }), ("what".into(), "do".into(), None));
}
