use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use tempfile::TempDir;

use super::*;

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

#[track_caller]
fn missing(selector: &Selector) -> (String, String) {
    match selector.find() {
        Err(TargetError::Missing { message, help }) => (message, help),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(selector: &Selector) -> (Option<i32>, String, String) {
    match selector.find() {
        Err(TargetError::Refused { pid, message, help }) => (pid, message, help),
        other => panic!("{other:?}"),
    }
}

fn pattern(pattern: &str) -> Option<Regex> {
    Some(Regex::new(pattern).expect("it is one"))
}

#[test]
fn a_process_is_found_by_each_criterion_and_by_all_of_them() {
    let program = Program::sleep("fnd");
    let orphan = program.start(&["1000.5"], 1);
    let pid_file = program.directory.path().join("pid");
    fs::write(&pid_file, format!("{}\n", orphan.0)).expect("there is room");
    let by_name = program.called();
    let by_cmdline = Selector { cmdline: pattern(&format!("{} 1000\\.5$", program.name)), ..Selector::default() };
    let by_exe = Selector { exe: Some(program.path()), ..Selector::default() };
    let by_file = Selector { pid_file: Some(pid_file), ..Selector::default() };
    let all = Selector {
        cmdline: by_cmdline.cmdline.clone(),
        exe: by_exe.exe.clone(),
        pid_file: by_file.pid_file.clone(),
        ..program.called()
    };
    for selector in [&by_name, &by_cmdline, &by_exe, &by_file, &all] {
        let found = selector.find().unwrap_or_else(|target_error| panic!("{}: {target_error:?}", selector.describe()));
        assert_eq!(found.pid(), orphan.0, "{}", selector.describe());
        assert!(matches!(found.root(), Root::Same));
    }
    // One that does not hold is enough.
    for wrong in [
        Selector { cmdline: pattern("1000\\.6"), ..program.called() },
        Selector { exe: Some("/bin/sleep".into()), ..program.called() },
        Selector { process: Some(program.name[1..].into()), ..by_exe.clone() },
    ] {
        missing(&wrong);
    }
    // So is a pid file whose process is another one.
    let stale = Selector { cmdline: pattern("1000\\.6"), ..by_file.clone() };
    let (pid, message, help) = refused(&stale);
    assert_eq!(pid, Some(orphan.0));
    let file = by_file.pid_file.expect("it is set");
    let seen = format!("`{}` names pid {} (`", file.display(), orphan.0);
    assert!(message.starts_with(&seen) && message.contains("which is not a process with a command"), "{message}");
    assert!(help.contains("stale"), "{help}");
}

#[test]
fn a_long_name_is_compared_in_full() {
    let program = Program::sleep("a-very-long-name");
    assert!(program.name.len() > 15);
    let orphan = program.start(&["1000"], 1);
    assert_eq!(program.called().find().expect("it runs").pid(), orphan.0);
    // The kernel keeps no more than fifteen bytes of either name.
    let other = Selector { process: Some(format!("{}-other", &program.name[..15])), ..Selector::default() };
    missing(&other);
    let shorter = Selector { process: Some(program.name[..14].into()), ..Selector::default() };
    missing(&shorter);
}

#[test]
fn a_script_with_a_long_name_is_known_by_its_file() {
    let program = Program::script("a-very-long-script", "read wait < /dev/zero; sleep 1000");
    let orphan = program.start(&[], 1);
    assert_eq!(program.called().find().expect("it runs").pid(), orphan.0);
}

#[test]
fn a_process_that_only_checks_is_not_the_target() {
    let program = Program::script("chk", "while :; do sleep 1000; done");
    let (real, _check) = (program.start(&["-f", "x"], 1), program.start(&["-c", "-f", "x"], 1));
    assert!(refused(&program.called()).1.starts_with("2 families fit"));
    let selector = Selector { check_word: Some("-c".into()), ..program.called() };
    assert_eq!(selector.find().expect("it runs").pid(), real.0);
}

#[test]
fn a_successor_that_a_process_has_started_takes_over() {
    // As an upgrade of a binary: the new master is a child of the old one, and executes the program anew.
    let program = Program::script(
        "upg",
        "[ -n \"$SECOND\" ] || { SECOND=1; export SECOND; \"$0\" \"$@\" & }\nsleep 1000 &\nwait",
    );
    let orphan = program.start(&["x"], 2);
    let find = || program.called().find().expect("it runs").pid();
    eventually("the successor is there", || find() != orphan.0);
    let stat = proc::stat(find()).expect("it is alive");
    assert!(!proc::is_mere_fork(&stat));
}

#[test]
fn a_pid_file_that_is_older_than_its_process_is_stale() {
    let program = Program::sleep("old");
    let pid_file = program.directory.path().join("pid");
    let orphan = program.start(&["1000"], 1);
    fs::write(&pid_file, orphan.0.to_string()).expect("there is room");
    let selector = Selector { pid_file: Some(pid_file.clone()), ..Selector::default() };
    assert_eq!(selector.find().expect("it runs").pid(), orphan.0);
    let an_hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    fs::File::options()
        .write(true)
        .open(&pid_file)
        .and_then(|file| file.set_modified(an_hour_ago))
        .expect("it is ours");
    let (pid, message, _) = refused(&selector);
    assert_eq!(pid, Some(orphan.0));
    assert!(message.contains("so another process wrote it"), "{message}");
    let named = Selector { process: Some(program.name.clone()), ..selector };
    assert_eq!(named.find().expect("its name says enough").pid(), orphan.0);
}

#[test]
fn a_pid_file_that_names_a_worker_is_refused() {
    let program = Program::script("wrk", "(sleep 1000; :) & wait");
    let orphan = program.start(&[], 2);
    let children = program.called().find().expect("it runs").children();
    let worker = children.first().expect("there is one").pid;
    let pid_file = program.directory.path().join("pid");
    fs::write(&pid_file, worker.to_string()).expect("there is room");
    let (pid, message, _) = refused(&Selector { pid_file: Some(pid_file), ..program.called() });
    assert_eq!(pid, Some(worker));
    assert!(message.contains(&format!("is a worker of pid {}", orphan.0)), "{message}");
}

#[test]
fn a_process_is_known_by_its_executable_when_that_was_replaced() {
    let program = Program::sleep("upg");
    let orphan = program.start(&["1000"], 1);
    let selector = Selector { exe: Some(program.path()), ..Selector::default() };
    fs::remove_file(program.path()).expect("it is ours");
    assert_eq!(selector.find().expect("it runs").pid(), orphan.0);
    program.install(Path::new("/bin/sleep"));
    assert_eq!(selector.find().expect("it runs").pid(), orphan.0);
}

#[test]
fn of_a_family_the_root_is_meant() {
    // Subshells bear the name of the script; sleep(1) does not.
    let program = Program::script("fam", "(sleep 1000; :) & (sleep 1000; :) & (sleep 1000; :)");
    let orphan = program.start(&[], 4);
    let found = program.called().find().expect("it runs");
    assert_eq!(found.pid(), orphan.0);
    // Before it executes sleep(1), what a subshell forks bears the name as well, and may have been counted.
    eventually("all have started", || found.children().len() == 3);
}

#[test]
fn of_two_families_none_is_meant_unless_one_is_the_master() {
    let program = Program::sleep("two");
    let (one, two) = (program.start(&["1000.1"], 1), program.start(&["1000.2"], 1));
    let (pid, message, help) = refused(&program.called());
    assert_eq!(pid, None);
    assert!(message.starts_with(&format!("2 families fit a process called `{}`: ", program.name)), "{message}");
    for pid in [one.0, two.0] {
        assert!(message.contains(&format!("pid {pid} (`")), "{message}");
    }
    assert_eq!(help, "say which is meant with `--pid-file`, `--exe` or `--cmdline`");
    let with_master = |master: &str| Selector { master: LazyRegex::parse(master).ok(), ..program.called() };
    assert_eq!(with_master("1000\\.2$").find().expect("it is one of them").pid(), two.0);
    assert!(refused(&with_master("1000")).1.starts_with("2 families fit"));
    eventually("both have started", || !is_starting(&with_master("none")));
    assert!(refused(&with_master("none")).1.starts_with("2 families fit"));
    drop(two);
    eventually("one is left", || program.called().find().is_ok_and(|found| found.pid() == one.0));
    let (pid, message, _) = refused(&with_master("none"));
    assert_eq!(pid, Some(one.0));
    assert!(message.starts_with(&format!("pid {} is no master process: pid", one.0)), "{message}");
}

fn is_starting(selector: &Selector) -> bool {
    matches!(selector.find(), Err(TargetError::Starting { .. }))
}

#[test]
fn a_young_process_is_starting_and_no_wrong_one() {
    let program = Program::sleep("yng");
    let orphan = program.start(&["1000.5"], 1);
    let selector = Selector { master: LazyRegex::parse("none").ok(), ..program.called() };
    let found = selector.find();
    let Err(TargetError::Starting { pid, message, help }) = found else { panic!("{found:?}") };
    assert_eq!(pid, orphan.0);
    assert!(message.starts_with(&format!("pid {pid} is starting, and no master process yet: pid")), "{message}");
    assert!(help.starts_with("the gate waits for it; "), "{help}");
    let young = Instant::now();
    eventually("it has started", || !is_starting(&selector));
    assert!(young.elapsed() > Duration::from_secs(3), "it may try to bind its ports for a while");
    assert_eq!(refused(&selector).0, Some(orphan.0));
}

#[test]
fn a_missing_process_is_described() {
    let selector = Selector {
        process: Some("no-such-process".into()),
        cmdline: pattern("a.*b"),
        exe: Some("/no/such".into()),
        ..Selector::default()
    };
    let (message, help) = missing(&selector);
    assert_eq!(
        message,
        "there is no process called `no-such-process` and with a command line like `a.*b` and executing `/no/such`"
    );
    assert!(help.contains("shareProcessNamespace: true"), "{help}");
    assert!(!selector.is_empty() && Selector::default().is_empty());
}

#[test]
fn a_child_of_the_gate_is_the_target_unless_it_is_a_command_of_the_gate() {
    // The gate may be the parent of the application, and a checker may bear the target's name.
    let program = Program::sleep("own");
    let path = program.path();
    let own = Own::run(&["sh", "-c", "echo; exec \"$0\" 1000", path.to_str().expect("it is UTF-8")]);
    let pid = own.identity().pid;
    eventually("it is itself", || proc::comm(pid) == program.comm());
    assert_eq!(program.called().find().expect("it runs").pid(), pid);
    let command = proc::OwnCommand::mark(pid);
    missing(&program.called());
    let orphan = program.start(&["1000"], 1);
    assert_eq!(program.called().find().expect("it runs").pid(), orphan.0);
    drop(command);
}

#[test]
fn a_pid_file_that_names_no_process_is_missing() {
    let directory = tempfile::tempdir().expect("there is room");
    let path = directory.path().join("pid");
    let selector = Selector { pid_file: Some(path.clone()), ..Selector::default() };
    let shown = path.display();
    let (message, help) = missing(&selector);
    assert_eq!(message, format!("cannot read `{shown}`: No such file or directory (os error 2)"));
    assert!(help.contains("written in the same pid namespace"), "{help}");
    let mut ended = Own::run(&["true"]);
    let gone = ended.0.id();
    // A zombie is not running either.
    eventually("it is a zombie", || proc::stat(i32::try_from(gone).expect("it fits")).is_none());
    for (content, expected) in [
        ("", format!("`{shown}` holds no process id")),
        ("nginx\n", format!("`{shown}` holds no process id")),
        ("99999999999\n", format!("`{shown}` holds no process id")),
        ("0\n", "pid 0 is not running".into()),
        ("-1\n", "pid -1 is not running".into()),
        (&format!(" {gone}\n"), format!("pid {gone} is not running")),
    ] {
        fs::write(&path, content).expect("there is room");
        assert_eq!(missing(&selector).0, expected, "{content:?}");
    }
    ended.0.wait().expect("it is ours");
}

#[test]
fn a_pid_file_that_is_no_file_is_not_waited_for() {
    let directory = tempfile::tempdir().expect("there is room");
    let fifo = directory.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).expect("room");
    for path in [fifo.as_path(), Path::new("/dev/zero"), directory.path()] {
        let selector = Selector { pid_file: Some(path.into()), ..Selector::default() };
        let (message, help) = missing(&selector);
        assert_eq!(message, format!("cannot read `{}`: it is no regular file", path.display()));
        assert!(help.contains("regular file"), "{help}");
    }
    // Of one that is far too large only the beginning is read.
    let (own, large) = (Own::run(&["sh", "-c", "echo; read wait"]), directory.path().join("large"));
    fs::write(&large, format!("{}\n{}", own.identity().pid, "x".repeat(1 << 20))).expect("there is room");
    let selector = Selector { pid_file: Some(large), ..Selector::default() };
    assert_eq!(selector.find().expect("it runs").identity(), own.identity());
}

#[test]
fn a_number_that_is_another_process_now_is_not_taken_for_it() {
    let own = Own::run(&["sh", "-c", "echo; read wait"]);
    let identity = own.identity();
    let other = Identity { start: identity.start - 1, ..identity };
    assert!(matches!(Target::open(other), Err(TargetError::Missing { message, .. }) if message.contains("ended")));
    let none = Identity { pid: 0, start: 0 };
    assert!(matches!(Target::open(none), Err(TargetError::Missing { .. })));
}

#[test]
fn a_signal_does_what_the_process_made_of_it() {
    let traps = "trap : HUP USR1 TERM WINCH; trap '' USR2 QUIT; echo; read wait";
    let handlers = Own::run(&["--default-signal", "sh", "-c", traps]);
    let masks = ["--default-signal", "--ignore-signal=USR1", "--block-signal=HUP", "sh", "-c", "echo; read wait"];
    let masked = Own::run(&masks);
    let plain = Own::run(&["--default-signal", "sh", "-c", "echo; exec sleep 1000"]);
    eventually("it is itself", || proc::comm(plain.identity().pid) == b"sleep");
    use Disposition::{Default, Ignored, Taken};
    // What each of the processes does of a signal.
    let cases = [
        ("HUP", [Taken, Taken, Default]),
        ("QUIT", [Ignored, Default, Default]),
        ("KILL", [Default, Default, Default]),
        ("USR1", [Taken, Ignored, Default]),
        ("USR2", [Ignored, Default, Default]),
        ("TERM", [Taken, Default, Default]),
        ("WINCH", [Taken, Default, Default]),
        ("SYS", [Default, Default, Default]),
    ];
    for (name, expected) in cases {
        let seen = [&handlers, &masked, &plain].map(|own| own.target().disposition(signal(name)));
        assert_eq!(seen, expected.map(Some), "{name}");
    }
}

#[test]
fn a_signal_that_is_blocked_for_a_moment_is_not_taken() {
    // The shell blocks all signals whenever it starts a program.
    let busy = Own::run(&["--default-signal", "sh", "-c", "echo; while :; do true; /bin/true; done"]);
    let target = busy.target();
    let taken = (0..2000).filter(|_| target.disposition(signal("USR1")) == Some(Disposition::Taken)).count();
    assert_eq!(taken, 0);
    let waiting = Own::run(&["--default-signal", "--block-signal", "sh", "-c", "echo; read wait"]);
    assert_eq!(waiting.target().disposition(signal("USR1")), Some(Disposition::Taken));
}

#[test]
fn a_signal_arrives_or_reports_that_the_process_has_ended() {
    let mut own = Own::run(&["--default-signal", "sh", "-c", "trap 'exit 3' HUP; echo; while :; do read wait; done"]);
    let target = own.target();
    target.signal(signal("HUP")).expect("it is ours");
    assert_eq!(own.0.wait().expect("it is ours").code(), Some(3));
    assert_eq!(target.disposition(signal("HUP")), None);
    let ended = TargetError::Missing {
        message: format!("pid {} ended before it could be signalled", target.pid()),
        help: "see its own log for the reason; the gate searches for it again".into(),
    };
    assert_eq!(target.signal(signal("HUP")), Err(ended));
}

#[test]
fn a_refusal_by_the_kernel_names_the_user_and_the_remedy() {
    let own = Own::run(&["sh", "-c", "echo; read wait"]);
    let target = own.target();
    let (pid, uid) = (target.pid(), rustix::process::geteuid().as_raw());
    let cases = [
        (
            Errno::PERM,
            format!("no permission to send SIGHUP to pid {pid} (uid {uid}) as uid {uid}"),
            "run the gate as the same user, or as root with the capability KILL (kill(2))",
        ),
        (
            Errno::NOSYS,
            format!("cannot send SIGHUP to pid {pid}: Function not implemented (os error 38)"),
            "a seccomp profile that allows pidfd_send_signal(2) is needed",
        ),
    ];
    for (errno, message, help) in cases {
        let expected = TargetError::Refused { pid: Some(pid), message, help: help.into() };
        assert_eq!(target.not_signalled(signal("HUP"), errno), expected);
    }
}

#[test]
fn a_process_that_started_after_a_moment_is_known_as_such() {
    let before = Instant::now();
    // The start time is cut to a tick of ten milliseconds.
    eventually("the tick is over", || before.elapsed() > Duration::from_millis(40));
    let own = Own::run(&["sh", "-c", "echo; read wait"]);
    let target = own.target();
    assert!(target.started_after(before).is_some());
    assert_eq!(target.started_after(Instant::now()), None, "it has not read what came after its start");
    let start = own.identity().started_at().expect("the clocks are set");
    assert!(start > before && start < Instant::now());
}

#[test]
fn the_start_of_a_mere_fork_proves_nothing() {
    let before = Instant::now();
    eventually("the tick is over", || before.elapsed() > Duration::from_millis(40));
    // As nginx does by default: what stays is a fork of the process that has read the configuration.
    let own = Own::run(&["sh", "-c", "(while :; do sleep 1000; done) & echo; wait"]);
    eventually("it has forked", || !own.target().children().is_empty());
    let fork = *own.target().children().first().expect("there is one");
    let target = Target::open(fork).expect("it is alive");
    assert!(fork.started_at().is_some_and(|start| start > before));
    assert_eq!(target.started_after(before), None);
}

#[test]
fn the_children_are_those_that_live() {
    let own = Own::run(&["sh", "-c", "sleep 1000 & echo; sleep 1000; wait"]);
    eventually("both are there", || own.target().children().len() == 2);
    let child = *own.target().children().first().expect("there are two");
    let pid = Pid::from_raw(child.pid).expect("it is one");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it is ours");
    eventually("one is left", || own.target().children().len() == 1);
    assert!(!child.is_alive());
    for child in own.target().children() {
        let pid = Pid::from_raw(child.pid).expect("it is one");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it is ours");
    }
}

#[test]
fn a_target_error_comes_apart() {
    let (message, help) = ("what".to_owned(), "do".to_owned());
    let parts = |target_error: TargetError| target_error.into_parts();
    assert_eq!(parts(TargetError::Missing { message: message.clone(), help: help.clone() }).2, None);
    assert_eq!(parts(TargetError::Refused { pid: Some(7), message: message.clone(), help: help.clone() }).2, Some(7));
    assert_eq!(parts(TargetError::Failed { message, help }), ("what".into(), "do".into(), None));
}

#[test]
fn an_executable_is_named_where_it_can_be_seen() {
    assert!(proc::exe(i32::MAX).is_none() && proc::cmdline(i32::MAX).is_empty());
    let own = Own::run(&["sh", "-c", "echo; read wait"]);
    let exe = proc::exe(own.identity().pid).expect("it is ours");
    assert_eq!(exe, Path::new("/bin/sh").canonicalize().expect("it is installed"));
}

/// Runs a future on an event loop of its own.
fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts").block_on(future)
}

/// Lets time pass that what is known depends on.
fn let_pass(time: Duration) {
    let end = Instant::now() + time;
    while let Some(rest) = end.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(rest);
    }
}

#[test]
fn a_target_that_is_known_is_found_without_a_search() {
    let program = Program::sleep("knw");
    let orphan = program.start(&["1000.5"], 1);
    let searches = TargetSearches::new(program.called());
    assert_eq!(block_on(searches.find()).expect("it runs").pid(), orphan.0);
    let due = searches.confirmation().expect("once is not enough");
    let_pass(due.saturating_duration_since(Instant::now()));
    searches.confirm();
    assert_eq!(block_on(searches.find()).expect("it runs").pid(), orphan.0);
    // Another process of the same name is seen, however well the first is known.
    let second = program.start(&["1000.6"], 1);
    let_pass(Duration::from_millis(150));
    let refused = block_on(searches.find()).expect_err("there are two");
    assert!(
        matches!(&refused, TargetError::Refused { message, .. } if message.starts_with("2 families")),
        "{refused:?}"
    );
    drop(second);
    eventually("only the first is left", || block_on(searches.find()).is_ok_and(|target| target.pid() == orphan.0));
    // It ends: what is known is that very process, and nothing that has its number.
    let known = block_on(searches.find()).expect("it runs");
    drop(orphan);
    eventually("it is gone", || !known.identity().is_alive());
    assert_eq!(known.disposition(signal("HUP")), None);
    assert!(matches!(block_on(searches.living()), Err(TargetError::Missing { .. })));
}

#[test]
fn a_process_that_is_found_again_keeps_its_handles() {
    let program = Program::sleep("shr");
    let orphan = program.start(&["1000.5"], 1);
    let searches = TargetSearches::new(program.called());
    let first = block_on(searches.search()).expect("it runs");
    let second = block_on(searches.search()).expect("it runs");
    assert_eq!(first.pid(), orphan.0);
    assert!(Arc::ptr_eq(&first.0, &second.0), "one descriptor is enough for one process");
}

#[test]
fn a_search_that_was_begun_in_time_is_not_made_again() {
    let program = Program::sleep("bgn");
    let orphan = program.start(&["1000.5"], 1);
    let searches = TargetSearches::new(program.called());
    searches.expect();
    assert_eq!(block_on(searches.find()).expect("it runs").pid(), orphan.0);
    searches.forget();
    assert_eq!(searches.confirmation(), None);
    assert_eq!(block_on(searches.find()).expect("it runs").pid(), orphan.0);
    // Nothing is sought that has no criteria.
    let nothing = TargetSearches::new(Selector::default());
    nothing.expect();
    assert_eq!(nothing.confirmation(), None);
}
