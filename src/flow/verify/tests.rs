use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::{Child, Stdio};

use super::*;
use crate::flow::process::Selector;

const WORKERS: Verification = Verification::Workers;
const PATIENCE: Duration = Duration::from_secs(20);

/// A shell that was started by the test and has said that it is ready.
struct Master {
    child: Child,
    directory: tempfile::TempDir,
}

impl Master {
    #[expect(clippy::disallowed_methods, reason = "the test wants a plain child")]
    fn start(script: &str) -> Self {
        let directory = tempfile::tempdir().expect("there is room");
        let mut shell = std::process::Command::new("sh");
        let shell = shell.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = shell.spawn().expect("sh is installed");
        BufReader::new(child.stdout.as_mut().expect("it is piped")).read_line(&mut String::new()).expect("it is text");
        std::fs::write(directory.path().join("pid"), child.id().to_string()).expect("there is room");
        Self { child, directory }
    }

    fn baseline(&self) -> Baseline {
        let selector = Selector { pid_file: Some(self.directory.path().join("pid")), ..Selector::default() };
        Baseline::now(Some(selector.find().expect("it runs")), &WORKERS)
    }

    /// Wakes it: it waits for a line.
    fn wake(&mut self) {
        let stdin = self.child.stdin.as_mut().expect("it is piped");
        stdin.write_all(b"\n").expect("it reads");
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        for child in proc::descendants(i32::try_from(self.child.id()).expect("it fits")) {
            let child = rustix::process::Pid::from_raw(child).expect("it is one");
            let _ = rustix::process::kill_process(child, rustix::process::Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn prove(verification: &Verification, baseline: &Baseline, timeout: Duration) -> Proof {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
    runtime.block_on(verification.prove(baseline, &Selector::default(), Patience::Limited(timeout))).0
}

/// The proof without a process.
fn plainly(verification: &Verification, timeout: Duration) -> Proof {
    prove(verification, &Baseline::now(None, verification), timeout)
}

#[track_caller]
fn not_proven(proof: Proof) -> String {
    match proof {
        Proof::Missing { message, help, .. } => {
            let is_known = [" refused the reload: ", " exited after ", " has none any more"];
            let is_known = is_known.iter().any(|known| message.contains(known));
            let remedy = if is_known { "correct" } else { "--verify-timeout" };
            assert!(help.contains(remedy), "{help}");
            message
        }
        other => panic!("{other:?}"),
    }
}

fn command(words: &[&str]) -> Verification {
    Verification::Command(words.iter().map(|word| (*word).to_owned()).collect())
}

#[test]
fn without_a_verification_there_is_no_proof() {
    assert_eq!(plainly(&Verification::Nothing, PATIENCE), Proof::NotAsked { message: NOT_CONFIGURED.into() });
}

#[test]
fn a_command_proves_by_success() {
    let proof = plainly(&command(&["sh", "-c", "exit 0"]), PATIENCE);
    assert!(
        matches!(&proof, Proof::Proven { pid: None, message, .. } if message == "`sh -c 'exit 0'` succeeded"),
        "{proof:?}"
    );
    let cases = [
        (command(&["false"]), "`false` exited with code 1, and nothing better within 50ms"),
        (command(&["sleep", "1000"]), "`sleep 1000` did not end within 50ms"),
        (command(&["sh", "-c", "kill -9 $$"]), "`sh -c 'kill -9 $$'` was killed by signal 9 within 50ms"),
        (command(&["no-such-proof"]), "`no-such-proof` is not installed here, or not on the PATH"),
    ];
    for (verification, expected) in cases {
        assert_eq!(not_proven(plainly(&verification, Duration::from_millis(50))), expected);
    }
}

#[test]
fn a_proof_that_comes_late_is_one() {
    let directory = tempfile::tempdir().expect("there is room");
    let count = directory.path().join("count").display().to_string();
    // The third try succeeds.
    let script = "echo >> \"$0\"; test $(wc -l < \"$0\") -ge 3";
    let proof = plainly(&command(&["sh", "-c", script, &count]), PATIENCE);
    assert!(matches!(proof, Proof::Proven { .. }), "{proof:?}");
    assert_eq!(std::fs::read_to_string(count).expect("it was written").len(), 3);
}

#[test]
fn the_last_answer_is_reported_rather_than_a_probe_that_was_cut_short() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    let verification = Verification::Url(format!("http://me:secret@{address}/ready").into());
    // Only the first request is answered.
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody asks");
        let mut line = String::new();
        let mut reader = BufReader::new(stream.try_clone().expect("it can be"));
        while reader.read_line(&mut line).is_ok_and(|read| read > 2) {}
        let answer = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(answer).expect("it listens");
        listener
    });
    let message = not_proven(plainly(&verification, Duration::from_secs(1)));
    assert_eq!(message, format!("GET http://{address}/ready answered 500, and nothing better within 1s"));
    drop(server.join().expect("it answered"));
    let refused = not_proven(plainly(&verification, Duration::from_millis(50)));
    assert!(refused.starts_with(&format!("GET http://{address}/ready was not answered (")), "{refused}");
    assert_eq!(verification.describe(), format!("GET http://{address}/ready"));
}

#[test]
fn a_new_worker_that_lives_is_proof() {
    let mut master = Master::start("sleep 1000 & echo; read go; sleep 2000 & echo; read go; wait");
    let before = master.baseline();
    assert_eq!(
        not_proven(prove(&WORKERS, &before, Duration::from_millis(50))).split(" started").nth(1),
        Some(" no new worker within 50ms")
    );
    master.wake();
    let proof = prove(&WORKERS, &before, PATIENCE);
    let Proof::Proven { pid: Some(pid), message, after } = proof else { panic!("{proof:?}") };
    let expected = format!("pid {pid} is a new worker of pid {}, started ", master.child.id());
    assert!(message.starts_with(&expected), "{message}");
    assert!(after >= workers::STEADY, "it was probed again");
    // It was there before this baseline.
    let message = not_proven(prove(&WORKERS, &master.baseline(), Duration::from_millis(50)));
    assert!(message.contains("started no new worker"), "{message}");
}

#[test]
fn an_older_worker_is_no_proof_where_those_before_could_not_be_counted() {
    let mut master = Master::start("sleep 1000 & echo; read go; sleep 2000 & echo; read go; wait");
    // Start times are cut to ticks.
    let first = *master.baseline().children.first().expect("there is one");
    while first.started_at().is_none_or(|start| start + Duration::from_millis(30) > Instant::now()) {
        std::thread::yield_now();
    }
    let mut before = master.baseline();
    before.children.clear();
    let message = not_proven(prove(&WORKERS, &before, Duration::from_millis(100)));
    assert!(message.contains("started no new worker"), "{message}");
    master.wake();
    let proof = prove(&WORKERS, &before, PATIENCE);
    assert!(matches!(&proof, Proof::Proven { pid, .. } if *pid != Some(first.pid)), "{proof:?}");
}

/// The reason to ask for no proof by the metrics of a preset at this address.
fn without_metrics(address: std::net::SocketAddr) -> Option<String> {
    let server = format!("http://{address}/metrics").into();
    let expected = vec!["x_config_last_reload_successful=1".parse().expect("it is one")];
    let proof = MetricProof { server, expected, listen_option: None, is_guess: true };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
    runtime.block_on(Verification::Metrics(Box::new(proof)).metrics_before(&Selector::default())).without
}

#[test]
fn the_metrics_of_a_preset_are_given_up_where_no_server_is_and_not_where_it_is_slow() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    assert_eq!(without_metrics(address), None, "it did not answer in time");
    drop(listener);
    let without = without_metrics(address).expect("nothing listens");
    assert!(
        without.starts_with("there is no verification: ") && without.contains("nothing listens there"),
        "{without}"
    );
}

#[test]
fn a_master_that_exits_disproves_at_once() {
    let mut master = Master::start("echo; read go; exit 1");
    let before = master.baseline();
    master.wake();
    let started = Instant::now();
    let message = not_proven(prove(&WORKERS, &before, PATIENCE));
    assert_eq!(message, format!("pid {} exited after the reload request", master.child.id()));
    assert!(started.elapsed() < PATIENCE);
}

#[test]
fn workers_that_die_at_once_are_no_proof() {
    let mut master = Master::start("echo; read go; while :; do sleep 0.1 & sleep 0.07; done");
    let before = master.baseline();
    master.wake();
    let message = not_proven(prove(&WORKERS, &before, Duration::from_millis(600)));
    let pid = master.child.id();
    assert_eq!(message, format!("pid {pid} started workers that died at once, and no other within 600ms"));
}

#[test]
fn a_master_without_any_worker_left_disproves_at_once() {
    let mut master = Master::start("sleep 1000 & echo; read go; kill $!; wait $!; read go");
    let before = master.baseline();
    master.wake();
    // The only new worker is gone after a tenth of a second.
    let mut script = Master::start("sleep 1000 & echo; read go; kill $!; wait $!; sleep 0.1 & wait; read go");
    let dying = script.baseline();
    script.wake();
    let started = Instant::now();
    let proof = prove(&WORKERS, &dying, PATIENCE);
    assert!(matches!(proof, Proof::Missing { answer: ReloadAnswer::Deserted, .. }), "{proof:?}");
    let pid = script.child.id();
    assert_eq!(not_proven(proof), format!("pid {pid} started workers that died at once, and has none any more"));
    assert!(started.elapsed() < PATIENCE);
    // One that is between two generations may start the next one.
    let proof = prove(&WORKERS, &before, Duration::from_millis(50));
    assert!(matches!(proof, Proof::Missing { answer: ReloadAnswer::Unknown, .. }), "{proof:?}");
}

/// A master with two workers and the titles of nginx, which does `work` when it is woken.
fn nginx(work: &str) -> Master {
    let worker = r#"w() { exec -a "nginx: worker process" sleep 1000; }"#;
    let script = format!("{worker}; w & w & echo; read go; {work}; read go; wait");
    Master::start(&format!(r#"export RUN='{script}'; exec bash -c 'exec -a "nginx: master process" bash -c "$RUN"'"#))
}

#[test]
fn a_worker_in_place_of_one_that_died_is_no_proof_where_all_are_replaced() {
    let mut refuses = nginx("kill %1; wait %1; w & :");
    let before = refuses.baseline();
    refuses.wake();
    let message = not_proven(prove(&WORKERS, &before, Duration::from_secs(1)));
    assert!(
        message.ends_with(", perhaps in place of one that died, and 1 of the older ones go on within 1s"),
        "{message}"
    );
    let mut reloads = nginx("w & w & sleep 0.1; kill %1 %2");
    let before = reloads.baseline();
    reloads.wake();
    let proof = prove(&WORKERS, &before, PATIENCE);
    assert!(matches!(proof, Proof::Proven { pid: Some(_), .. }), "{proof:?}");
}

#[test]
fn a_child_with_a_program_of_its_own_is_no_worker_beside_forks_of_the_master() {
    let mut master = Master::start("echo; read go; sleep 1000 & (sleep 1001; :) & read go; wait");
    let before = master.baseline();
    master.wake();
    let Proof::Proven { pid: Some(pid), .. } = prove(&WORKERS, &before, PATIENCE) else { panic!("there is a worker") };
    let own = i32::try_from(master.child.id()).expect("it fits");
    assert_eq!(proc::exe(pid), proc::exe(own), "{}", proc::title(pid));
}

#[test]
fn without_a_process_workers_prove_nothing() {
    let message = not_proven(plainly(&WORKERS, PATIENCE));
    assert!(message.starts_with("the process was missing before the reload"), "{message}");
}

#[test]
fn a_worker_in_place_of_the_only_one_is_new() {
    // As php-fpm and Apache with one child: the old one ends first.
    let mut master = Master::start("sleep 1000 & echo; read go; kill $!; wait $!; sleep 2000 & echo; read go; wait");
    let before = master.baseline();
    master.wake();
    let proof = prove(&WORKERS, &before, PATIENCE);
    assert!(matches!(proof, Proof::Proven { pid: Some(_), .. }), "{proof:?}");
}

#[test]
fn lingering_workers_that_end_meanwhile_do_not_matter() {
    let mut master = Master::start(
        "sleep 1000 & sleep 1001 & sleep 1002 & echo; read go; kill %1 %2 2>/dev/null || kill $!; sleep 2000 & read go; wait",
    );
    let before = master.baseline();
    master.wake();
    let proof = prove(&WORKERS, &before, PATIENCE);
    assert!(matches!(proof, Proof::Proven { pid: Some(_), .. }), "{proof:?}");
}

#[test]
fn a_refusal_in_the_error_log_ends_the_verification() {
    let directory = tempfile::tempdir().expect("there is room");
    let log = directory.path().join("error.log").display().to_string();
    let script = format!(
        "exec 7>>{log}; echo; read go; echo \"2026/11/26 09:00:00 [emerg] $$#$$: bind() failed\" >&7; sleep 2000 & wait"
    );
    let mut master = Master::start(&script);
    let before = master.baseline();
    master.wake();
    let started = Instant::now();
    let message = not_proven(prove(&WORKERS, &before, PATIENCE));
    assert_eq!(message, format!("pid {} refused the reload: bind() failed", master.child.id()));
    assert!(started.elapsed() < PATIENCE);
}

#[test]
fn a_target_that_works_on_the_reload_gets_more_time() {
    let mut master =
        Master::start("echo; read go; i=0; while [ $i -lt 3000000 ]; do i=$((i+1)); done; sleep 2000 & wait");
    let before = master.baseline();
    master.wake();
    let proof = prove(&WORKERS, &before, PROGRESS_WINDOW + Duration::from_millis(500));
    assert!(matches!(proof, Proof::Proven { .. }), "{proof:?}");
}
