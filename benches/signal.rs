//! The time from a change to its signal, as a ratio to the least possible work: `make bench`.
//!
//! It changes a volume exactly as a kubelet does, and records when a process that waits for SIGHUP receives it. Contenders take turns in
//! blocks, so that noise of the machine hits all of them alike; only ratios within one run count, and only a ratio fails. The floor is one
//! wake-up by inotify, reading, SHA-256 and one system call to signal. Everything runs in a process namespace of its own, as in a pod.

#![allow(missing_docs, clippy::print_stdout, reason = "it is a program that prints a table")]
#![expect(clippy::disallowed_methods, reason = "the contenders are programs of their own")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::mem::MaybeUninit;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use rustix::process::{Pid, PidfdFlags};
use rustix::time::{ClockId, clock_gettime};
use sha2::{Digest as _, Sha256};

/// Number of blocks, and of changes in each.
const BLOCKS: usize = 20;
const CHANGES: usize = 5;
/// Time between two changes, and the longest time for a signal.
const PAUSE: Duration = Duration::from_millis(60);
const PATIENCE: Duration = Duration::from_secs(10);
/// The file that changes.
const FILE: &str = "nginx.conf";

/// The well-known sidecar of a few lines of shell.
const SIDECAR: &str = r#"
sum() { sha256sum "$1" | cut -d' ' -f1; }
last=$(sum "$2")
inotifywait -q -m -e moved_to -e close_write "$1" | while read -r _; do
    now=$(sum "$2")
    [ "$now" = "$last" ] && continue
    last=$now
    kill -HUP "$(pgrep -o -x "$3")"
done
"#;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["target"] => target(),
        ["floor", directory, pid] => floor(Path::new(directory), pid.parse().expect("it is a number")),
        ["inside", ..] => return measure(),
        _ => {}
    }
    let own = std::env::current_exe().expect("it is there");
    let mut unshare = Command::new("unshare");
    let unshare = unshare.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).arg(own).arg("inside");
    match unshare.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            println!("skipped: unshare(1) cannot make a process namespace: {error}");
            ExitCode::SUCCESS
        }
    }
}

/// The process that is signalled: it prints the time of each signal.
fn target() -> ! {
    let mut hangup = SigSet::empty();
    hangup.add(Signal::SIGHUP);
    hangup.thread_block().expect("it can be blocked");
    println!("ready");
    loop {
        hangup.wait().expect("it is a valid set");
        println!("{}", now());
    }
}

/// The least that can be done.
fn floor(directory: &Path, pid: i32) -> ! {
    let pidfd =
        rustix::process::pidfd_open(Pid::from_raw(pid).expect("it is one"), PidfdFlags::empty()).expect("it is alive");
    let events = inotify::init(CreateFlags::CLOEXEC).expect("there is an instance");
    inotify::add_watch(&events, directory, WatchFlags::MOVED_TO).expect("it can be watched");
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = Reader::new(events, &mut buffer);
    let mut last = [0; 32];
    println!("ready");
    loop {
        let is_commit =
            events.next().expect("there is an event").file_name().is_some_and(|name| name.to_bytes() == b"..data");
        if !is_commit {
            continue;
        }
        let digest: [u8; 32] = Sha256::digest(std::fs::read(directory.join(FILE)).expect("it is there")).into();
        if digest != last {
            last = digest;
            rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::HUP).expect("it is alive");
        }
    }
}

/// Nanoseconds of the monotonic clock, which all processes share.
fn now() -> i64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// A child that is killed in the end.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A volume that is changed as a kubelet does it.
struct Volume {
    path: PathBuf,
    generation: u32,
}

impl Volume {
    /// Changes the contents, and returns the time just before the swap.
    fn change(&mut self) -> i64 {
        let name = |generation: u32| format!("..2026_01_01_00_00_00.{generation:010}");
        let link = |name: &str| self.path.join(name);
        self.generation += 1;
        let generation = link(&name(self.generation));
        std::fs::create_dir(&generation).expect("there is room");
        let text = format!(
            "events {{}}\nhttp {{\n    server {{\n        listen 80;\n        return 200 '{}';\n    }}\n}}\n",
            self.generation
        );
        std::fs::write(generation.join(FILE), text).expect("there is room");
        symlink(name(self.generation), link("..data_tmp")).expect("there is room");
        let before = now();
        std::fs::rename(link("..data_tmp"), link("..data")).expect("it can be swapped");
        if self.generation == 1 {
            symlink(Path::new("..data").join(FILE), link(FILE)).expect("there is room");
        } else {
            std::fs::remove_dir_all(link(&name(self.generation - 1))).expect("it is ours");
        }
        before
    }
}

/// A contender with a volume and a target of its own.
struct Contender {
    name: &'static str,
    /// Largest ratio to the floor, of medians.
    limit: Option<f64>,
    volume: Volume,
    signals: std::sync::mpsc::Receiver<i64>,
    latencies: Vec<f64>,
    _target: Process,
    _process: Process,
}

/// Starts a child, and waits for its first line.
fn start(command: &mut Command) -> (Process, BufReader<ChildStdout>) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
    let lines = BufReader::new(child.stdout.take().expect("it is piped"));
    (Process(child), lines)
}

impl Contender {
    fn start(
        directory: &Path,
        (name, process_name, limit): (&'static str, &str, Option<f64>),
        command: impl FnOnce(&Path, i32) -> Command,
    ) -> Self {
        let (path, program) =
            (directory.join(process_name).join("volume"), directory.join(process_name).join(process_name));
        std::fs::create_dir_all(&path).expect("there is room");
        std::fs::copy(std::env::current_exe().expect("it is there"), &program).expect("there is room");
        let (target, mut lines) = start(Command::new(program).arg("target"));
        lines.read_line(&mut String::new()).expect("it is ready");
        let (sender, signals) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let times = lines.lines().map_while(Result::ok).filter_map(|line| line.parse().ok());
            times.map(|time| sender.send(time)).take_while(Result::is_ok).for_each(drop);
        });
        let mut volume = Volume { path, generation: 0 };
        volume.change();
        let pid = i32::try_from(target.0.id()).expect("it fits");
        let mut command = command(&volume.path, pid);
        let process = Process(command.stderr(Stdio::null()).stdin(Stdio::null()).spawn().expect("it starts"));
        // What is there at the start may be signalled, and a program that is starting may miss the first changes.
        let deadline = Instant::now() + PATIENCE;
        while signals.recv_timeout(Duration::from_millis(500)).is_err() {
            assert!(Instant::now() < deadline, "{name} signals nothing");
            volume.change();
        }
        Self { name, limit, volume, signals, latencies: Vec::new(), _target: target, _process: process }
    }

    /// A block of changes.
    fn block(&mut self) {
        // Signals of an earlier block are none of this one.
        std::thread::sleep(PAUSE);
        while self.signals.try_recv().is_ok() {}
        for _ in 0..CHANGES {
            let before = self.volume.change();
            let received =
                self.signals.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{} missed a change", self.name));
            self.latencies.push((received - before) as f64 / 1e6);
            std::thread::sleep(PAUSE);
        }
    }

    fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[((sorted.len() - 1) as f64 * share) as usize]
    }
}

/// All contenders whose programs are installed; the floor is the first.
fn contenders(directory: &Path) -> Vec<Contender> {
    let own = std::env::current_exe().expect("it is there");
    let gate = |volume: &Path, process: &str, more: &[&str]| {
        let mut gate = Command::new(env!("CARGO_BIN_EXE_reload-gate"));
        gate.args(["run", "--signal", "HUP", "--process", process, "--watch"]).arg(volume).args(more);
        gate
    };
    let mut contenders = vec![
        Contender::start(directory, ("floor", "benchfloor", None), |volume, pid| {
            let mut floor = Command::new(&own);
            floor.arg("floor").arg(volume).arg(pid.to_string()).stdout(Stdio::null());
            floor
        }),
        Contender::start(directory, ("gate", "benchgate", Some(4.0)), |volume, _| gate(volume, "benchgate", &[])),
        Contender::start(directory, ("gate with the bundled nginx checker", "benchnginx", Some(5.0)), |volume, _| {
            gate(volume, "benchnginx", &["--builtin", "nginx", "--main", FILE, "--mount", "/etc/nginx"])
        }),
    ];
    let is_there = |name: &str| {
        Command::new("which").arg(name).stdout(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    if ["inotifywait", "pgrep"].into_iter().all(is_there) {
        contenders.push(Contender::start(directory, ("shell sidecar", "benchshell", None), |volume, _| {
            let mut shell = Command::new("sh");
            shell.args(["-c", SIDECAR, "sh"]).arg(volume).arg(volume.join(FILE)).arg("benchshell");
            shell
        }));
    } else {
        println!("skipped: shell sidecar: inotifywait or pgrep is not installed");
    }
    contenders
}

fn measure() -> ExitCode {
    let directory = tempfile::tempdir().expect("there is room");
    let mut contenders = contenders(directory.path());
    for block in 0..BLOCKS {
        let count = contenders.len();
        (0..count).for_each(|turn| contenders[(block + turn) % count].block());
    }
    println!("{:<40} {:>10} {:>10} {:>9} {:>9}", "", "median ms", "p95 ms", "× floor", "p95 ×");
    let (median, slow) = (contenders[0].quantile(0.5), contenders[0].quantile(0.95));
    let mut is_right = true;
    for contender in &contenders {
        let ratio = contender.quantile(0.5) / median;
        let (name, at_p95) = (contender.name, contender.quantile(0.95));
        println!("{name:<40} {:>10.3} {at_p95:>10.3} {ratio:>9.2} {:>9.2}", contender.quantile(0.5), at_p95 / slow);
        if let Some(limit) = contender.limit.filter(|limit| ratio > *limit) {
            println!("error: {name}: the ratio of the medians is {ratio:.2}, and at most {limit} is allowed");
            is_right = false;
        }
    }
    let _ = std::io::stdout().flush();
    if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
