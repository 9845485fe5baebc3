//! A change exactly as a kubelet makes it, and a process that records when it is signalled; for benches that compare a gate with the least
//! possible work.

#![allow(dead_code, reason = "each bench uses a part of it")]

use std::io::{BufRead as _, BufReader};
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

/// Time between two changes, and the longest time for a signal.
const PAUSE: Duration = Duration::from_millis(60);
const PATIENCE: Duration = Duration::from_secs(10);
/// The file that changes.
pub(crate) const FILE: &str = "nginx.conf";

/// Runs `measure` in a process namespace of its own, as in a pod; or this process is the target or the floor of such a run.
pub(crate) fn in_namespace(measure: impl FnOnce() -> ExitCode) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["target"] => target(),
        ["floor", directory, pid] => floor(Path::new(directory), pid.parse().expect("it is a number"), file_of),
        ["floor-of-many", directory, pid] => {
            floor(Path::new(directory), pid.parse().expect("it is a number"), files_of)
        }
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

/// The digest of the one file of a volume.
fn file_of(directory: &Path) -> [u8; 32] {
    Sha256::digest(std::fs::read(directory.join(FILE)).expect("it is there")).into()
}

/// The digest of all files of a volume.
fn files_of(directory: &Path) -> [u8; 32] {
    let generation = directory.join(std::fs::read_link(directory.join("..data")).expect("it is a volume"));
    let entries = std::fs::read_dir(&generation).expect("it is there");
    let mut names: Vec<_> = entries.map(|entry| entry.expect("it is readable").file_name()).collect();
    names.sort_unstable();
    let mut whole = Sha256::new();
    for name in names {
        whole.update(std::fs::read(generation.join(name)).expect("it is there"));
    }
    whole.finalize().into()
}

/// The least that can be done.
fn floor(directory: &Path, pid: i32, digest: fn(&Path) -> [u8; 32]) -> ! {
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
        let digest = digest(directory);
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
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Contents of a volume.
#[derive(Clone, Copy, Default)]
pub(crate) enum Shape {
    /// A small configuration of nginx.
    #[default]
    Small,
    /// So many files of so many bytes, of which all or the first change.
    Many { files: usize, bytes: usize, all: bool },
}

impl Shape {
    /// Writes the files of a generation.
    fn write(self, directory: &Path, generation: u32) {
        let Self::Many { files, bytes, all } = self else {
            let server = format!("    server {{\n        listen 80;\n        return 200 '{generation}';\n    }}\n");
            let text = format!("events {{}}\nhttp {{\n{server}}}\n");
            return std::fs::write(directory.join(FILE), text).expect("there is room");
        };
        for index in 0..files {
            let number = if all || index == 0 { generation } else { 0 };
            let mut text = format!("# {index} {number}\n").into_bytes();
            text.resize(bytes, b'#');
            std::fs::write(directory.join(name_of(index)), text).expect("there is room");
        }
    }

    /// The names that an application sees.
    fn names(self) -> Vec<String> {
        match self {
            Self::Small => vec![FILE.to_owned()],
            Self::Many { files, .. } => (0..files).map(name_of).collect(),
        }
    }
}

fn name_of(index: usize) -> String {
    if index == 0 { FILE.to_owned() } else { format!("{index}.conf") }
}

/// A volume that is changed as a kubelet does it.
struct Volume {
    path: PathBuf,
    generation: u32,
    shape: Shape,
}

impl Volume {
    /// Changes the contents, and returns the time just before the swap.
    fn change(&mut self) -> i64 {
        let name = |generation: u32| format!("..2026_01_01_00_00_00.{generation:010}");
        let link = |name: &str| self.path.join(name);
        self.generation += 1;
        let generation = link(&name(self.generation));
        std::fs::create_dir(&generation).expect("there is room");
        self.shape.write(&generation, self.generation);
        symlink(name(self.generation), link("..data_tmp")).expect("there is room");
        let before = now();
        std::fs::rename(link("..data_tmp"), link("..data")).expect("it can be swapped");
        if self.generation == 1 {
            for name in self.shape.names() {
                symlink(Path::new("..data").join(&name), link(&name)).expect("there is room");
            }
        } else {
            std::fs::remove_dir_all(link(&name(self.generation - 1))).expect("it is ours");
        }
        before
    }
}

/// A gate or a floor, and its target.
#[derive(Clone, Copy, Default)]
pub(crate) struct Entry<'a> {
    pub(crate) name: &'static str,
    /// Name of the target process.
    pub(crate) process: &'a str,
    /// Largest ratio to the floor, of medians.
    pub(crate) limit: Option<f64>,
    /// Words before the target's own program.
    pub(crate) before_target: &'a [&'a str],
    /// The command that the gate runs for each change.
    pub(crate) checker: &'a [&'a str],
    pub(crate) shape: Shape,
}

/// A contender with a volume and a target of its own.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) limit: Option<f64>,
    volume: Volume,
    signals: std::sync::mpsc::Receiver<i64>,
    pub(crate) latencies: Vec<f64>,
    /// The command that the gate runs, and its times without a gate.
    checker: Vec<String>,
    pub(crate) alone: Vec<f64>,
    _target: Process,
    /// The contender itself.
    pub(crate) process: Process,
}

/// Starts a child, and waits for its first line.
fn start(command: &mut Command) -> (Process, BufReader<ChildStdout>) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
    let lines = BufReader::new(child.stdout.take().expect("it is piped"));
    (Process(child), lines)
}

impl Contender {
    pub(crate) fn start(directory: &Path, entry: &Entry<'_>, command: impl FnOnce(&Path, i32) -> Command) -> Self {
        let Entry { name, process, limit, .. } = *entry;
        let (path, program) = (directory.join(process).join("volume"), directory.join(process).join(process));
        std::fs::create_dir_all(&path).expect("there is room");
        std::fs::copy(std::env::current_exe().expect("it is there"), &program).expect("there is room");
        let mut words = entry.before_target.iter().map(PathBuf::from).chain([program]);
        let mut target = Command::new(words.next().expect("there is one"));
        let (target, mut lines) = start(target.args(words).arg("target"));
        lines.read_line(&mut String::new()).expect("it is ready");
        let (sender, signals) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let times = lines.lines().map_while(Result::ok).filter_map(|line| line.parse().ok());
            times.map(|time| sender.send(time)).take_while(Result::is_ok).for_each(drop);
        });
        let mut volume = Volume { path, generation: 0, shape: entry.shape };
        volume.change();
        let pid = i32::try_from(target.0.id()).expect("it fits");
        let mut command = command(&volume.path, pid);
        let running = Process(command.stderr(Stdio::null()).stdin(Stdio::null()).spawn().expect("it starts"));
        // What is there at the start may be signalled, and a program that is starting may miss the first changes.
        let deadline = Instant::now() + PATIENCE;
        while signals.recv_timeout(Duration::from_millis(500)).is_err() {
            assert!(Instant::now() < deadline, "{name} signals nothing");
            volume.change();
        }
        let checker = entry.checker.iter().map(|word| (*word).to_owned()).collect();
        let (latencies, alone) = (Vec::new(), Vec::new());
        Self { name, limit, volume, signals, latencies, checker, alone, _target: target, process: running }
    }

    /// A block of changes.
    pub(crate) fn block(&mut self, changes: usize) {
        // Signals of an earlier block are none of this one.
        std::thread::sleep(PAUSE);
        while self.signals.try_recv().is_ok() {}
        for _ in 0..changes {
            let before = self.volume.change();
            let received =
                self.signals.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{} missed a change", self.name));
            self.latencies.push((received - before) as f64 / 1e6);
            std::thread::sleep(PAUSE);
            self.run_alone();
        }
    }

    /// Runs the command of the gate by the fastest way there is.
    fn run_alone(&mut self) {
        let Some((program, arguments)) = self.checker.split_first() else { return };
        let before = now();
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().expect("it starts");
        self.alone.push((now() - before) as f64 / 1e6);
        std::thread::sleep(PAUSE);
    }
}

/// The value below which this share of all lies.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

/// The least possible work for a change, with a target of its own.
pub(crate) fn floor_contender(directory: &Path, shape: Shape) -> Contender {
    let own = std::env::current_exe().expect("it is there");
    let entry = Entry { name: "floor", process: "benchfloor", shape, ..Entry::default() };
    let mode = if matches!(shape, Shape::Small) { "floor" } else { "floor-of-many" };
    Contender::start(directory, &entry, |volume, pid| {
        let mut floor = Command::new(own);
        floor.arg(mode).arg(volume).arg(pid.to_string()).stdout(Stdio::null());
        floor
    })
}
