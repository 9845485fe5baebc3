//! The selection of the target among all processes.

use std::fs;
use std::path::Path;
use std::time::Instant;

use super::super::*;
use super::{Own, Program, eventually};

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
