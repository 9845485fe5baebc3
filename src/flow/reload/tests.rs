use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::{Child, Stdio};

use super::*;
use crate::flow::process::Selector;
use crate::sys::proc;

/// A shell that was started by the test and has said that it is ready.
struct Application {
    child: Child,
    directory: tempfile::TempDir,
}

impl Application {
    #[expect(clippy::disallowed_methods, reason = "the test wants a plain child")]
    fn start(script: &str) -> Self {
        let directory = tempfile::tempdir().expect("there is room");
        let mut shell = std::process::Command::new("env");
        let shell = shell.args(["--default-signal", "sh", "-c", script]);
        let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("env is installed");
        BufReader::new(child.stdout.as_mut().expect("it is piped")).read_line(&mut String::new()).expect("it is text");
        std::fs::write(directory.path().join("pid"), child.id().to_string()).expect("there is room");
        Self { child, directory }
    }

    fn selector(&self) -> Selector {
        Selector { pid_file: Some(self.directory.path().join("pid")), ..Selector::default() }
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("it fits")
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(name: &str, allow_uncaught: bool) -> ReloadMethod {
    ReloadMethod::Signal { signal: name.parse().expect("it is one"), allow_uncaught }
}

fn request_reload(
    method: &ReloadMethod,
    selector: &Selector,
    since: Option<Instant>,
) -> Result<(Sent, Baseline), TargetError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
    let timeout = Duration::from_millis(500);
    let circumstances = Circumstances { since, max_lingering: None, last_reload: None, timeout };
    runtime.block_on(method.request_reload(
        &TargetSearches::new(selector.clone()),
        &Verification::Nothing,
        circumstances,
    ))
}

/// The message of a request, or of its failure.
fn outcome_of(method: &ReloadMethod) -> Result<String, String> {
    match request_reload(method, &Selector::default(), None) {
        Ok((Sent::Requested { pid: None, signal: None, message, restarts: false }, _)) => Ok(message),
        Err(TargetError::Failed { message, help }) => {
            let is_missing = message.contains(" is not installed here");
            let remedy = if is_missing { "give its path (`--reload-command`)" } else { "the application's own log" };
            assert!(help.contains(remedy), "{help}");
            Err(message)
        }
        other => panic!("{other:?}"),
    }
}

fn command(words: &[&str]) -> ReloadMethod {
    ReloadMethod::Command(words.iter().map(|word| (*word).to_owned()).collect())
}

#[test]
fn a_request_of_a_reload_moves_little_memory() {
    let (method, targets) = (signal("HUP", false), TargetSearches::new(Selector::default()));
    let circumstances =
        Circumstances { since: None, max_lingering: None, last_reload: None, timeout: Duration::from_secs(1) };
    let size = size_of_val(&method.request_reload(&targets, &Verification::Nothing, circumstances));
    assert!(size <= 2048, "{size} bytes");
}

#[test]
fn a_process_with_a_handler_is_signalled() {
    let mut application = Application::start("trap 'exit 3' HUP; echo; while :; do read wait; done");
    let (sent, baseline) =
        request_reload(&signal("HUP", false), &application.selector(), Some(Instant::now())).expect("it is signalled");
    let pid = application.pid();
    let expected = Sent::Requested {
        pid: Some(pid),
        signal: Some("SIGHUP".into()),
        message: format!("sent SIGHUP to pid {pid}"),
        restarts: false,
    };
    assert_eq!(sent, expected);
    assert_eq!(baseline.target().map(Target::pid), Some(pid));
    assert_eq!(application.child.wait().expect("it is ours").code(), Some(3));
}

#[test]
fn a_process_that_would_die_of_the_signal_is_sent_it_only_by_request() {
    let mut application = Application::start("trap '' USR1; echo; read wait");
    let (pid, later) = (application.pid(), None);
    for (name, expected) in [
        ("HUP", format!("pid {pid} does not catch SIGHUP and could be killed by it, so it was not sent")),
        ("USR1", format!("pid {pid} ignores SIGUSR1, so it was not sent")),
    ] {
        match request_reload(&signal(name, false), &application.selector(), later) {
            Err(TargetError::Refused { pid: Some(refused), message, help }) => {
                assert_eq!((refused, message), (pid, expected));
                assert!(help.contains("--pid-file"), "{help}");
                // What is ignored stays unsent even so: nothing would come of it.
                assert_eq!(help.contains("--allow-uncaught"), name == "HUP", "{help}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(
        request_reload(&signal("USR1", true), &application.selector(), later),
        Err(TargetError::Refused { .. })
    ));
    assert!(application.child.try_wait().expect("it is ours").is_none(), "it is alive");
    request_reload(&signal("HUP", true), &application.selector(), later).expect("it is wanted");
    let ended = application.child.wait().expect("it is ours");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(1));
}

#[test]
fn a_process_that_started_after_the_content_was_seen_needs_no_signal() {
    let seen = Instant::now();
    // Start times are cut to a tick of ten milliseconds.
    std::thread::park_timeout(Duration::from_millis(30));
    let mut application = Application::start("echo; read wait");
    let pid = application.pid();
    let (sent, baseline) =
        request_reload(&signal("HUP", false), &application.selector(), Some(seen)).expect("nothing is wrong");
    let Sent::NotNeeded { pid: found, message } = sent else { panic!("{sent:?}") };
    assert_eq!(found, pid);
    assert!(message.ends_with("after the gate saw this content; no signal is needed"), "{message}");
    assert_eq!(baseline.target().map(Target::pid), Some(pid));
    assert!(application.child.try_wait().expect("it is ours").is_none(), "it is alive");
}

#[test]
fn a_stopped_process_is_not_signalled() {
    let application = Application::start("trap : HUP; echo; while :; do read wait; done");
    let stop = |signal| {
        let pid = rustix::process::Pid::from_raw(application.pid()).expect("it is one");
        rustix::process::kill_process(pid, signal).expect("it is ours");
    };
    stop(rustix::process::Signal::STOP);
    let deadline = Instant::now() + Duration::from_secs(20);
    while proc::stat(application.pid()).is_some_and(|stat| stat.state != 'T') {
        assert!(Instant::now() < deadline, "it is never stopped");
        std::thread::park_timeout(Duration::from_millis(2));
    }
    match request_reload(&signal("HUP", false), &application.selector(), None) {
        Err(TargetError::Refused { message, .. }) => assert!(message.contains("is stopped"), "{message}"),
        other => panic!("{other:?}"),
    }
    stop(rustix::process::Signal::CONT);
}

#[test]
fn a_process_that_is_not_there_is_missing() {
    let none = Selector { process: Some("no-such-process".into()), ..Selector::default() };
    assert!(matches!(request_reload(&signal("HUP", true), &none, None), Err(TargetError::Missing { .. })));
    assert_eq!(outcome_of(&ReloadMethod::Nothing), Ok("no reload is configured".into()));
}

#[test]
fn a_command_reloads_by_success() {
    let cases = [
        (command(&["true"]), Ok("ran `true`")),
        (command(&["sh", "-c", "echo no; exit 2"]), Err("`sh -c 'echo no; exit 2'` exited with code 2: no")),
        (command(&["sh", "-c", "kill -9 $$"]), Err("`sh -c 'kill -9 $$'` was killed by signal 9")),
        (command(&["sleep", "1000"]), Err("`sleep 1000` took too long and was killed")),
        (command(&["no-such-means"]), Err("`no-such-means` is not installed here, or not on the PATH")),
    ];
    for (method, expected) in cases {
        assert_eq!(outcome_of(&method), expected.map(str::to_owned).map_err(str::to_owned));
    }
}

/// The outcome of a POST to a server that answers with these codes in turn, and the number of its requests.
fn posted(codes: &'static [u16]) -> (Result<String, String>, usize) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    let server = std::thread::spawn(move || {
        let mut asked = 0;
        for code in codes {
            let (mut stream, _) = listener.accept().expect("somebody asks");
            let mut reader = BufReader::new(stream.try_clone().expect("it can be"));
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {}
            asked += usize::from(line.starts_with("POST / HTTP/1.1\r\n"));
            let _ = write!(stream, "HTTP/1.1 {code} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
        asked
    });
    let requested = outcome_of(&ReloadMethod::Url(format!("http://me:secret@{address}/").into()));
    let shown = |text: String| text.replace(&address.to_string(), "here");
    (requested.map(shown).map_err(shown), server.join().expect("it answered"))
}

#[test]
fn a_post_is_repeated_until_it_is_answered_well_or_refused() {
    let cases: [(&[u16], _); 4] = [
        (&[200], Ok("POST http://here/ answered 200")),
        (&[503, 204], Ok("POST http://here/ answered 204")),
        (&[404], Err("POST http://here/ answered 404")),
        (&[500, 502, 503], Err("POST http://here/ answered 503")),
    ];
    for (codes, expected) in cases {
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(posted(codes), (expected, codes.len()), "{codes:?}");
    }
}

#[test]
fn a_method_is_described_without_credentials() {
    let cases = [
        (ReloadMethod::Nothing, "no reload"),
        (signal("USR2", false), "SIGUSR2"),
        (ReloadMethod::Url("http://me:secret@host/-/reload".to_owned().into()), "POST http://host/-/reload"),
        (command(&["reload", "a b"]), "`reload 'a b'`"),
    ];
    for (method, expected) in cases {
        assert_eq!(method.describe(), expected);
    }
}
