use std::fs;
use std::future::Future;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::io::Errno;

use super::again::{CommandProgram, KeeperReport, Reporter};
use super::door::{Door, Setup};
use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn command(words: &[&str]) -> Command {
    Command::here(words.iter().map(Into::into).collect(), PATIENCE)
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
    runtime.block_on(future)
}

#[track_caller]
fn finished(words: &[&str]) -> Finished {
    block_on(run(&command(words))).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn shell(script: &str) -> Finished {
    finished(&["sh", "-c", script])
}

/// A duration that no other process sleeps for, so that the sleeper is known by its command line.
fn nap() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{}.{}", 1_000_000 + std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

fn sleeps(nap: &str) -> bool {
    proc::pids().any(|pid| proc::cmdline(pid) == ["sleep", nap])
}

#[track_caller]
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came true: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

#[test]
fn a_command_ends_as_it_ends() {
    for code in [0, 1, 2, 75, 125, 126, 127, 255] {
        assert_eq!(shell(&format!("exit {code}")).end, End::Exited(code));
    }
    for signal in [6, 9, 11, 15] {
        assert_eq!(shell(&format!("kill -{signal} $$")).end, End::Killed(signal));
    }
}

#[test]
fn a_program_that_cannot_be_started_is_no_end() {
    let directory = tempfile::tempdir().expect("there is room");
    let path = |name: &str| directory.path().join(name).display().to_string();
    fs::write(path("text"), "no program").expect("there is room");
    fs::write(path("script"), "#!/no/such/interpreter\n").expect("there is room");
    // A shell would read it (execvp(3)).
    fs::write(path("words"), "exit 0\n").expect("there is room");
    for name in ["script", "words"] {
        fs::set_permissions(path(name), fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
    let cases = [
        (path("words"), format!("cannot execute `{}`: Exec format error (os error 8)", path("words"))),
        (path("script"), format!("cannot execute `{}`: No such file or directory (os error 2)", path("script"))),
        ("no-such-program".to_owned(), "`no-such-program` is not installed here, or not on the PATH".to_owned()),
        (path("none"), format!("`{}` is not installed here, or not on the PATH", path("none"))),
        (path("text"), format!("cannot execute `{}`: Permission denied (os error 13)", path("text"))),
        (path(""), format!("cannot execute `{}`: Permission denied (os error 13)", path(""))),
    ];
    for (program, expected) in cases {
        let error = block_on(run(&command(&[&program, "argument"]))).expect_err("it cannot be started");
        assert_eq!(error.to_string(), expected);
    }
    assert!(matches!(block_on(run(&command(&[]))), Err(NotStarted::Missing(_))));
}

#[test]
fn both_outputs_are_kept_and_the_errors_alone() {
    let finished = shell("echo one; echo two >&2; printf 'thr\\377ee'");
    assert_eq!(finished.output, "one\nthr\u{fffd}ee\ntwo\n");
    assert_eq!(finished.errors, "two\n");
    assert_eq!(shell("printf one >&2").output, "one");
}

#[test]
fn of_much_that_is_printed_the_beginning_and_the_end_are_kept() {
    let finished = shell("echo begin; head -c 10000000 /dev/zero | tr '\\0' x; echo end; exit 3");
    assert_eq!(finished.end, End::Exited(3));
    let mark = format!("xxx\n[… {} bytes left out …]\nxxx", 10_000_000 + 10 - 2 * KEPT);
    let (beginning, end) = finished.output.split_once(&mark).expect("it says what is missing");
    assert!(beginning.starts_with("begin\nxxx") && end.ends_with("xxxend\n"), "{}", finished.output);
    assert_eq!((beginning.len() + 3, end.len() + 3), (KEPT, KEPT));
    // What fits is whole.
    let whole = shell(&format!("head -c {} /dev/zero | tr '\\0' x; echo", 2 * KEPT - 1));
    assert_eq!((whole.output.len(), whole.output.contains("left out")), (2 * KEPT, false));
}

#[test]
fn a_command_is_given_no_more_than_it_needs() {
    let environment = finished(&["env"]).output;
    let mut names: Vec<_> = environment.lines().map(|line| line.split('=').next().unwrap_or_default()).collect();
    names.sort_unstable();
    assert_eq!(names, ["LC_ALL", "PATH"], "the environment is that of the test otherwise, which has far more");
    assert_eq!(shell("pwd; cat; id -u").output, format!("/\n{}\n", rustix::process::geteuid().as_raw()));
    // What is open here is not open there.
    let held = tempfile::NamedTempFile::new().expect("there is room");
    let open = finished(&["ls", "-l", "/proc/self/fd"]).output;
    assert!(open.contains("/dev/null") && open.contains("pipe:"), "{open}");
    assert!(!open.contains(held.path().to_str().expect("it is UTF-8")), "{open}");
    // It leads a process group of its own. A session is for commands that validate, which are started through the binary.
    assert_eq!(shell("test $$ = $(cut -d ' ' -f 5 /proc/$$/stat)").end, End::Exited(0));
}

#[test]
fn a_command_that_takes_too_long_is_killed_with_all_that_it_started() {
    // A child, a grandchild whose parent is gone, a child that left the group, and one that does not want to end.
    let naps = [nap(), nap(), nap(), nap()];
    let [child, orphan, stray, stubborn] = &naps;
    let script = format!(
        "echo begun; sleep {child} & (sleep {orphan} &); setsid sleep {stray} & (trap '' TERM HUP INT; sleep {stubborn}) & wait"
    );
    let limited = Command { timeout: Duration::from_millis(300), ..command(&["sh", "-c", &script]) };
    let finished = block_on(async {
        let all = async {
            while !naps.iter().all(|nap| sleeps(nap)) {
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(run(&limited), tokio::time::timeout(PATIENCE, all)).0
    });
    let finished = finished.expect("it started");
    assert_eq!((finished.end, finished.output.as_str()), (End::TimedOut, "begun\n"));
    assert!(finished.duration >= limited.timeout && finished.duration < PATIENCE, "{finished:?}");
    eventually("all of them are dead", || !naps.iter().any(|nap| sleeps(nap)));
}

#[test]
fn processes_of_the_group_end_with_the_command() {
    let nap = nap();
    let finished = shell(&format!("sleep {nap} & echo left"));
    assert_eq!((finished.end, finished.output.as_str()), (End::Exited(0), "left\n"));
    eventually("it is dead", || !sleeps(&nap));
}

#[test]
fn a_daemon_that_holds_the_output_is_not_waited_for() {
    let nap = nap();
    let finished = shell(&format!("setsid sleep {nap} & echo $!; exit 4"));
    assert_eq!(finished.end, End::Exited(4));
    assert!(finished.duration < PATIENCE);
    let pid = finished.output.trim().parse().ok().and_then(Pid::from_raw).expect("a process id");
    // It may not have got as far as its session, and be dead already.
    let _ = rustix::process::kill_process(pid, Signal::KILL);
}

#[test]
fn a_command_is_killed_when_its_future_is_dropped() {
    let naps = [nap(), nap()];
    let script = format!("sleep {} & setsid sleep {} & wait", naps[0], naps[1]);
    block_on(async {
        let command = command(&["sh", "-c", &script]);
        let begun = async {
            while !naps.iter().all(|nap| sleeps(nap)) {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            ended = run(&command) => panic!("{ended:?}"),
            begun = tokio::time::timeout(PATIENCE, begun) => begun.expect("it has begun"),
        }
    });
    eventually("both are dead", || !naps.iter().any(|nap| sleeps(nap)));
}

#[test]
fn many_commands_run_side_by_side() {
    let commands: Vec<_> = (0..20).map(|code| command(&["sh", "-c", &format!("echo {code}; exit {code}")])).collect();
    let ends = block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for command in commands {
            tasks.spawn(async move { run(&command).await });
        }
        tasks.join_all().await
    });
    let mut codes: Vec<_> = ends
        .into_iter()
        .map(|finished| finished.expect("it started"))
        .map(|finished| (finished.end, finished.output.trim().to_owned()))
        .collect();
    codes.sort_by_key(|(_, output)| output.parse::<i32>().expect("a number"));
    assert_eq!(codes, (0..20).map(|code| (End::Exited(code), code.to_string())).collect::<Vec<_>>());
}

#[test]
fn a_program_is_missing_where_no_directory_of_the_path_has_it() {
    let directory = tempfile::tempdir().expect("there is room");
    fs::write(directory.path().join("here"), "").expect("there is room");
    let path = std::env::join_paths(["/no/such".as_ref(), directory.path()]).expect("it is a path");
    let here = directory.path().join("here");
    let cases = [
        (Errno::NOENT, "here", false),
        (Errno::NOENT, "nowhere", true),
        // Some directory of the path may not be searched.
        (Errno::ACCESS, "nowhere", true),
        (Errno::ACCESS, "here", false),
        (Errno::NOENT, here.to_str().expect("it is UTF-8"), false),
        (Errno::NOENT, "/no/such/program", true),
        (Errno::NOENT, "", true),
        (Errno::MFILE, "nowhere", false),
    ];
    for (errno, program, expected) in cases {
        assert_eq!(is_missing(&errno.into(), OsStr::new(program), &path), expected, "{errno} {program}");
    }
}

/// A process that does not exist.
const ABSENT: RunAs = RunAs { process: Identity { pid: i32::MAX, start: 7 }, root: true };

/// A command with each kind of setup.
fn doors() -> Vec<Door> {
    let words: Vec<OsString> = vec!["nginx".into(), "--hide".into(), "--".into(), "".into()];
    let environment = vec![("PATH".into(), "/bin".into()), ("EMPTY".into(), "".into())];
    let mount = ViewMount { at: "/etc/app".into(), from: "/tmp/a b".into() };
    let view = FileSystemView { mounts: vec![mount.clone(), mount], homes: vec!["/home".into(), "/srv/me".into()] };
    let (hidden, fixed) = (vec!["--fix".into()], vec!["/b".into(), "--".into()]);
    let confinement = Confinement { strict: true, hidden, fixed, only: Some(vec!["--hide".into()]) };
    let setups = [
        Setup::Plain,
        Setup::Enter(ABSENT, vec![]),
        Setup::Enter(RunAs { root: false, ..ABSENT }, vec!["NGINX".to_owned(), "A=B".to_owned()]),
        Setup::Confine(confinement),
        Setup::Confine(Confinement::default()),
        Setup::View(view),
    ];
    let of = |image| {
        let door = |setup| Door { setup, environment: environment.clone(), image, words: words.clone() };
        setups.clone().map(door)
    };
    [of(None), of(Some(ABSENT.process))].concat()
}

#[test]
fn a_keeper_reads_what_the_gate_has_written() {
    for door in doors() {
        let message = door.message().expect("it has no zero byte");
        let (length, rest) = message.split_first_chunk().expect("it begins with its length");
        assert_eq!(u32::from_le_bytes(*length) as usize, rest.len());
        assert_eq!(Door::read(rest), Some(door));
    }
}

#[test]
fn a_zero_byte_makes_no_further_argument() {
    let door = doors().pop().expect("there are some");
    let words = vec!["nginx\0-t".into()];
    let error = Door { words, ..door }.message().expect_err("no command has it");
    assert_eq!(error.to_string(), "nul byte found in provided data");
}

/// Returns the reports in what was received, and the number of bytes that are left.
fn reported(mut received: Vec<u8>) -> (Vec<KeeperReport>, usize) {
    let reports = std::iter::from_fn(|| KeeperReport::take(&mut received)).collect();
    (reports, received.len())
}

#[test]
fn reports_are_read_as_they_were_sent() {
    let (gate, theirs) = std::os::unix::net::UnixStream::pair().expect("there is room");
    let reporter = Reporter::on(theirs.into());
    let sent = [
        KeeperReport::NotStarted(127, "nginx: No such file\nor directory".to_owned()),
        KeeperReport::Short("cannot lead a session: Cannot allocate memory".to_owned()),
        KeeperReport::Unfit,
        KeeperReport::KilledInView(9),
        KeeperReport::Exited(1),
        KeeperReport::Killed(15),
    ];
    sent.iter().for_each(|report| reporter.report(report));
    drop(reporter);
    let mut received = Vec::new();
    io::Read::read_to_end(&mut &gate, &mut received).expect("it was closed");
    assert_eq!(reported(received.clone()), (sent.to_vec(), 0));
    // A part of a report waits for the rest.
    received.truncate(received.len() - 1);
    assert_eq!(reported(received).0, sent[..sent.len() - 1]);
}

#[test]
fn a_step_that_fails_for_a_shortage_is_no_missing_part_of_the_system() {
    let failed = |error: io::Error| {
        let (gate, theirs) = std::os::unix::net::UnixStream::pair().expect("there is room");
        let shown = Reporter::on(theirs.into()).not_ready("confine", &("confine the command".into(), error));
        let mut received = Vec::new();
        io::Read::read_to_end(&mut &gate, &mut received).expect("it was closed");
        (reported(received).0, shown.1)
    };
    let short = "cannot confine the command: Too many open files (os error 24)".to_owned();
    assert_eq!(failed(Errno::MFILE.into()), (vec![KeeperReport::Short(short)], 125));
    let denied = "cannot confine the command: Operation not permitted (os error 1)".to_owned();
    assert_eq!(failed(Errno::PERM.into()), (vec![KeeperReport::NotStarted(125, denied)], 125));
}

#[test]
fn a_failure_before_the_command_has_a_meaning_of_its_own() {
    let error =
        |code| KeeperReport::error(code, "nginx: denied".into(), "nginx".into(), NotStarted::NotEntered).to_string();
    assert_eq!(error(127), "`nginx` is not installed here, or not on the PATH");
    assert_eq!(error(126), "cannot execute `nginx`: nginx: denied");
    assert_eq!(error(125), "nginx: denied");
}

#[test]
fn a_missing_process_cannot_be_entered() {
    let (message, code) = enter::execute(&Reporter::none(), ABSENT, &[], &CommandProgram::named(vec!["true".into()]));
    assert_eq!(code, 125);
    assert!(message.starts_with("reload-gate enter: cannot look into pid 2147483647: "), "{message}");
}

#[test]
fn standard_input_is_offered_and_need_not_be_read() {
    let input = "x".repeat(300_000);
    let fed = |script| block_on(feed(&command(&["sh", "-c", script]), input.as_bytes())).expect("it starts");
    assert_eq!(fed("wc -c").output.trim(), "300000");
    assert_eq!((fed("exec true").end, fed("head -c 3").output), (End::Exited(0), "xxx".to_owned()));
    assert_eq!(shell("wc -c").output.trim(), "0");
}

#[test]
fn a_path_in_a_shared_directory_stays_open_unless_strict() {
    let shared = tempfile::tempdir_in("/tmp").expect("there is room");
    let confinement =
        |strict| Confinement { strict, hidden: vec![shared.path().into()], fixed: vec!["/usr".into()], only: None };
    assert_eq!(confinement(false).left_open(), [shared.path().canonicalize().expect("it is there")]);
    assert!(confinement(true).left_open().is_empty());
}

#[test]
fn programs_of_the_system_are_found_on_the_path_of_any_user() {
    for (path, expected) in [
        ("/usr/local/bin:/usr/bin:/bin", "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"),
        ("/usr/sbin:/usr/bin", "/usr/sbin:/usr/bin"),
        ("/opt/tools", "/opt/tools"),
        ("", ""),
    ] {
        assert_eq!(with_system_programs(path.into()), OsStr::new(expected));
    }
}
