//! The one door to child processes. IO: starts and kills processes.
//!
//! No other module starts one, so the time limit, the session, the cleared environment and the cap on the output are never
//! forgotten.

mod again;
mod ahead;
mod confine;
pub mod door;
mod enter;
mod filter;
pub mod keep;
mod keeper;
mod memory;
mod view;

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::fs::MemfdFlags;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tokio::net::unix::pipe::Receiver;
use tokio::signal::unix::SignalKind;

use crate::sys::proc::{self, Identity};
use crate::sys::service_manager;
use crate::sys::shortage::is_shortage;

pub use confine::Confinement;
pub use enter::LENDS_RIGHTS;
pub use keeper::{is_ready, prepare};
pub use view::{FileSystemView, ReservedPlaces, ViewMount, homes};

/// Size of the output that is kept: of its beginning, and as much of its end, where the error often is.
const KEPT: usize = 32 << 10;
/// Bytes that one read takes.
const PIECE: usize = 4096;
/// Time after its end in which a command's output may still arrive.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// The number of looks for descendants of a command that must be killed: they may fork meanwhile.
const PASSES: u32 = 8;
/// Search path when the gate itself was given no `PATH` (execvp(3) has a default as well).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Process that a command runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunAs {
    /// The process whose user, groups, capabilities, environment and working directory it takes.
    pub process: Identity,
    /// Enter that process's root directory too.
    pub root: bool,
}

/// A command to run.
#[derive(Clone, Debug)]
pub struct Command {
    /// The program and its arguments; no shell is involved.
    pub words: Vec<OsString>,
    /// Process whose program a command that is kept executes, whatever lies at the path of its file now; the first word is only the name
    /// of the program then.
    pub image: Option<Identity>,
    /// Process that it runs as; the gate itself, with an environment of `PATH`, `LC_ALL=C` and `pass_env` alone, if absent.
    pub run_as: Option<RunAs>,
    /// File system that it sees where it runs as the gate itself; everything it writes is gone with it.
    pub view: Option<FileSystemView>,
    /// Confinement where it runs as the gate itself and sees the gate's file system.
    pub confinement: Option<Confinement>,
    /// Variables of that process's environment that it must not take.
    pub unset: Vec<String>,
    /// Directory in which it works in place of that process's own, as named in the root of that process.
    pub directory: Option<PathBuf>,
    /// Variables of the gate's own environment that it sees where it runs as the gate itself: names, or prefixes with a `*`.
    pub pass_env: Vec<String>,
    /// Further variables that it sees where it runs as the gate itself, with their values.
    pub env: Vec<(String, String)>,
    /// Time limit, after which it is killed with all its descendants.
    pub timeout: Duration,
    /// Everything that it starts ends with it, daemons included.
    pub kept: bool,
}

impl Command {
    /// A command that runs as the gate itself, and sees what the gate sees.
    #[must_use]
    pub fn here(words: Vec<OsString>, timeout: Duration) -> Self {
        let (unset, pass_env, env) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            words,
            image: None,
            run_as: None,
            view: None,
            confinement: None,
            unset,
            directory: None,
            pass_env,
            env,
            timeout,
            kept: false,
        }
    }
}

/// End of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal, which was not the gate's.
    Killed(i32),
    /// By the gate, since its time was over.
    TimedOut,
}

/// Result of a command.
#[derive(Clone, Debug)]
pub struct Finished {
    /// End of the command.
    pub end: End,
    /// Standard output, and standard error behind it; of much, the first and the last 32 KiB of each.
    pub output: String,
    /// Standard error alone.
    pub errors: String,
    /// Time that it ran.
    #[allow(dead_code, reason = "the tests compare it with the timeout")]
    pub duration: Duration,
}

/// Why a command did not even start.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// The program is not there.
    #[error("`{0}` is not installed here, or not on the PATH")]
    Missing(String),
    /// It is there and cannot be executed.
    #[error("cannot execute `{program}`: {error}")]
    Program {
        /// The program.
        program: String,
        /// Why not.
        error: io::Error,
    },
    /// The system had no process, descriptor or memory left for it.
    #[error("cannot start `{program}` now: {reason}")]
    Short {
        /// The program.
        program: String,
        /// Step that failed, and why.
        reason: String,
    },
    /// The command could not become like the process it was meant to run as.
    #[error("{0}")]
    NotEntered(String),
    /// The command could not be shown the file system that it was meant to see.
    #[error("{0}")]
    NotShown(String),
    /// The command could not be confined.
    #[error("{0}")]
    NotConfined(String),
}

impl NotStarted {
    /// The error of a program that is there.
    fn of(program: &str, error: io::Error) -> Self {
        let program = program.to_owned();
        if is_shortage(&error) {
            Self::Short { program, reason: error.to_string() }
        } else {
            Self::Program { program, error }
        }
    }
}

/// Closes the descriptors that this process inherited beside its three standard streams: children would inherit them, and an open
/// directory leads out of any root. The descriptors that it opens itself are closed by execve(2).
pub fn close_inherited() {
    let numbers = std::fs::read_dir("/proc/self/fd").map(|entries| {
        let names = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        names.collect::<Vec<_>>()
    });
    for number in numbers.into_iter().flatten().filter(|number| *number > 2 && is_inherited(*number)) {
        // One of them was the listing itself, which is closed already.
        let _ = nix::unistd::close(number);
    }
}

/// Returns true if a descriptor stays open across execve(2): its flags, in octal, lack O_CLOEXEC (proc_pid_fdinfo(5)).
fn is_inherited(number: i32) -> bool {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap_or_default();
    let flags = info.lines().find_map(|line| i64::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
    flags.is_some_and(|flags| flags & i64::from(rustix::fs::OFlags::CLOEXEC.bits()) == 0)
}

/// Runs a command to its end.
///
/// Dropping the future kills it with its process group.
///
/// # Errors
/// When it could not be started.
pub async fn run(command: &Command) -> Result<Finished, NotStarted> {
    feed(command, &[]).await
}

/// Runs a command to its end, with `input` to read on its standard input; a command that is kept has no input.
///
/// Dropping the future kills it with its process group.
///
/// # Errors
/// When it could not be started.
pub async fn feed(command: &Command, input: &[u8]) -> Result<Finished, NotStarted> {
    if command.kept {
        return keeper::run(command).await;
    }
    let started = Instant::now();
    let program = command.words.first().map_or_else(String::new, |word| word.to_string_lossy().into_owned());
    let failed = |error: io::Error| {
        if is_missing(&error, OsStr::new(&program), &search_path()) {
            NotStarted::Missing(program.clone())
        } else {
            NotStarted::of(&program, error)
        }
    };
    let (pipes, writers) = pipes().map_err(failed)?;
    let mut output = Output::new(pipes).map_err(failed)?;
    let group = Group::of(start(command, input, writers).map_err(failed)?).map_err(failed)?;

    let timed_out = {
        // What it prints is read all the while, so that a full pipe does not block it; its end is its exit, since the pipe may
        // be held open by a descendant for longer.
        let reading = async {
            output.collect().await;
            std::future::pending::<()>().await;
        };
        let exit = async {
            tokio::select! { () = reading => Ok(()), exited = group.exited() => exited }
        };
        match tokio::time::timeout(command.timeout, exit).await {
            Ok(exited) => exited.map(|()| false).map_err(failed)?,
            Err(_) => true,
        }
    };
    if timed_out {
        group.kill_strays();
    }
    group.kill();
    let _ = tokio::time::timeout(LAST_WORDS, output.collect()).await;
    let end = group.ended(timed_out).await.map_err(failed)?;
    Ok(output.of(end, started.elapsed()))
}

/// A file in memory that holds `input`. A pipe would have to be written to for as long as the command takes to read, or does not.
fn readable(input: &[u8]) -> io::Result<File> {
    if input.is_empty() {
        return File::open("/dev/null");
    }
    let mut file = File::from(rustix::fs::memfd_create("input", MemfdFlags::CLOEXEC)?);
    file.write_all(input)?;
    file.rewind()?;
    Ok(file)
}

/// Starts a command in a process group of its own.
fn start(command: &Command, input: &[u8], (output, errors): OutputWriters) -> io::Result<duct::Handle> {
    let Some((program, arguments)) = command.words.split_first() else {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the command is empty"));
    };
    // With a path posix_spawn(3) starts it, and not execvp(3), with which a shell would read a file that is no program.
    duct::cmd(located(program, &search_path()), arguments)
        .stdin_file(readable(input)?)
        .stdout_file(output)
        .stderr_file(errors)
        .full_env(environment(&command.pass_env).into_iter().chain(given(command)))
        .dir("/")
        .unchecked()
        .before_spawn(|command| {
            command.process_group(0);
            Ok(())
        })
        .start()
}

/// Returns the further variables of a command, without those that the gate sets itself.
fn given(command: &Command) -> impl Iterator<Item = (OsString, OsString)> {
    let is_own = |name: &str| name == "PATH" || name == "LC_ALL";
    let given = command.env.iter().filter(move |(name, _)| !is_own(name));
    given.map(|(name, value)| (name.into(), value.into()))
}

/// Returns the environment of a command.
fn environment(pass: &[String]) -> Vec<(OsString, OsString)> {
    let own = [("PATH".into(), search_path()), ("LC_ALL".into(), "C".into())];
    let is_meant = |name: &OsString| {
        let name = name.as_encoded_bytes();
        let fits = |pattern: &String| match pattern.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning.as_bytes()),
            None => name == pattern.as_bytes(),
        };
        // The patterns of the presets fit untranslated messages.
        name != b"LC_ALL" && name != b"PATH" && pass.iter().any(fits)
    };
    let is_meant = |name: &OsString| is_meant(name) && !service_manager::is_own_variable(name);
    own.into_iter().chain(std::env::vars_os().filter(|(name, _)| is_meant(name))).collect()
}

/// Returns the search path for programs: the gate's own, and behind it the `sbin` beside each `bin` of it. Debian leaves those out of the
/// path of users who are not root, and has nginx, haproxy and others there.
fn search_path() -> OsString {
    SEARCH_PATH
        .get()
        .cloned()
        .unwrap_or_else(|| with_system_programs(std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into())))
}

/// Search path without the directories that were left out.
static SEARCH_PATH: OnceLock<OsString> = OnceLock::new();

/// Leaves the directories of the search path out for which `is_out` is true, for all commands from now on, and returns them.
pub fn leave_out(is_out: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let path = search_path();
    let (out, kept): (Vec<PathBuf>, Vec<PathBuf>) = std::env::split_paths(&path).partition(|path| is_out(path));
    if !out.is_empty() {
        let kept = std::env::join_paths(kept).ok().filter(|kept| !kept.is_empty());
        // An empty path would be the current directory (execvp(3)).
        let _ = SEARCH_PATH.set(kept.unwrap_or_else(|| DEFAULT_PATH.into()));
    }
    out
}

fn with_system_programs(path: OsString) -> OsString {
    let own: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let beside =
        own.iter().filter(|directory| directory.ends_with("bin")).map(|directory| directory.with_file_name("sbin"));
    let beside: Vec<_> = beside.filter(|directory| !own.contains(directory)).collect();
    if beside.is_empty() {
        return path;
    }
    std::env::join_paths(own.iter().chain(&beside)).unwrap_or(path)
}

/// Returns true if a program is installed here.
#[must_use]
pub fn is_installed(program: &OsStr) -> bool {
    is_there(program, &search_path())
}

/// Returns true if a program could not be executed because it is missing. The error of execvp(3) is not enough: it is a missing
/// permission if a directory of the `PATH` may not be searched, and a missing file if an interpreter or a loader is missing.
fn is_missing(error: &io::Error, program: &OsStr, path: &OsStr) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) && !is_there(program, path)
}

fn is_there(program: &OsStr, path: &OsStr) -> bool {
    !program.is_empty() && candidates(program, path).any(|file| file.exists())
}

/// The files that a program's name may mean: itself if it is a path, else a file in a directory of the search path.
fn candidates<'a>(program: &'a OsStr, path: &'a OsStr) -> impl Iterator<Item = PathBuf> {
    let is_path = program.as_encoded_bytes().contains(&b'/');
    let itself = is_path.then(|| PathBuf::from(program));
    let directories = std::env::split_paths(path).filter(move |_| !is_path);
    itself.into_iter().chain(directories.map(move |directory| directory.join(program)))
}

/// The first file of that name that may be executed, or is there, as execvp(3) finds it; of a name without one, a path at which nothing
/// is.
fn located(program: &OsStr, path: &OsStr) -> PathBuf {
    let may_execute = |file: &PathBuf| file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok();
    let found = candidates(program, path).find(may_execute);
    found
        .or_else(|| candidates(program, path).find(|file| file.exists()))
        .unwrap_or_else(|| Path::new("/").join(program))
}

/// A running child and all that it starts; killed when dropped.
struct Group {
    child: duct::Handle,
    leader: Pid,
    reaped: bool,
    _mark: proc::OwnCommand,
}

impl Group {
    fn of(child: duct::Handle) -> io::Result<Self> {
        let leader = child.pids().first().and_then(|pid| i32::try_from(*pid).ok()).and_then(Pid::from_raw);
        let leader = leader.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { child, leader, reaped: false, _mark: proc::OwnCommand::mark(leader.as_raw_pid()) })
    }

    /// Waits until the leader has exited, without reaping it: so its number stays taken until [`Group::reap`].
    async fn exited(&self) -> io::Result<()> {
        // Listening comes before looking, so that an exit in between is not missed.
        let mut children = tokio::signal::unix::signal(SignalKind::child())?;
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        while rustix::process::waitid(WaitId::Pid(self.leader), options)?.is_none() {
            children.recv().await;
        }
        Ok(())
    }

    /// Kills the group, and its leader, which may not have made the group yet.
    fn kill(&self) {
        let _ = rustix::process::kill_process(self.leader, Signal::KILL);
        let _ = rustix::process::kill_process_group(self.leader, Signal::KILL);
    }

    /// Kills what has left the group but still descends from the leader, as long as that is alive to descend from.
    fn kill_strays(&self) {
        for _ in 0..PASSES {
            let strays = proc::descendants(self.leader.as_raw_pid());
            for stray in strays.iter().copied().filter_map(Pid::from_raw) {
                let _ = rustix::process::kill_process(stray, Signal::KILL);
            }
            if strays.is_empty() {
                return;
            }
        }
    }

    /// Waits until the leader has exited, and reaps it.
    async fn ended(mut self, timed_out: bool) -> io::Result<End> {
        self.exited().await?;
        self.reaped = true;
        let status = self.child.wait()?.status;
        Ok(match (timed_out, status.code(), status.signal()) {
            (true, ..) => End::TimedOut,
            (false, Some(code), _) => End::Exited(code),
            (false, None, signal) => End::Killed(signal.unwrap_or_default()),
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill_strays();
            self.kill();
            let _ = self.child.wait();
        }
    }
}

/// The ends of the pipes of standard output and standard error that are read, and those that a command has.
type OutputPipes = (OwnedFd, OwnedFd);
type OutputWriters = (io::PipeWriter, io::PipeWriter);

fn pipes() -> io::Result<(OutputPipes, OutputWriters)> {
    let ((output, output_writer), (errors, errors_writer)) = (io::pipe()?, io::pipe()?);
    Ok(((output.into(), errors.into()), (output_writer, errors_writer)))
}

/// Standard output and standard error of a command, which are kept apart: a program may print its configuration on the one, and what is
/// wrong with it on the other.
struct Output {
    output: OutputStream,
    errors: OutputStream,
}

impl Output {
    fn new((output, errors): OutputPipes) -> io::Result<Self> {
        Ok(Self { output: OutputStream::new(output)?, errors: OutputStream::new(errors)? })
    }

    /// Reads both to the end. Cancelling loses nothing.
    async fn collect(&mut self) {
        tokio::join!(self.output.collect(), self.errors.collect());
    }

    /// The finished command with this output.
    fn of(self, end: End, duration: Duration) -> Finished {
        let (mut output, errors) = (self.output.text(), self.errors.text());
        if !output.is_empty() && !output.ends_with('\n') && !errors.is_empty() {
            output.push('\n');
        }
        output.push_str(&errors);
        Finished { end, output, errors, duration }
    }
}

/// The beginning and the end of what a command prints; the rest is read and thrown away, so that it is not blocked.
struct OutputStream {
    pipe: Receiver,
    beginning: Vec<u8>,
    end: VecDeque<u8>,
    left_out: usize,
}

impl OutputStream {
    fn new(pipe: OwnedFd) -> io::Result<Self> {
        Ok(Self { pipe: Receiver::from_owned_fd(pipe)?, beginning: Vec::new(), end: VecDeque::new(), left_out: 0 })
    }

    /// Reads to the end. Cancelling loses nothing.
    async fn collect(&mut self) {
        // On the heap: what lies in a future is moved with it, also with that of a change for which no command runs.
        let mut buffer = Vec::new();
        while self.pipe.readable().await.is_ok() {
            buffer.clear();
            buffer.reserve(PIECE);
            match self.pipe.try_read_buf(&mut buffer) {
                Ok(0) => return,
                Ok(_) => self.keep(&buffer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    fn keep(&mut self, printed: &[u8]) {
        let (first, rest) = printed.split_at(printed.len().min(KEPT - self.beginning.len()));
        self.beginning.extend_from_slice(first);
        self.end.extend(rest);
        let surplus = self.end.len().saturating_sub(KEPT);
        self.end.drain(..surplus);
        self.left_out += surplus;
    }

    fn text(mut self) -> String {
        if self.left_out > 0 {
            self.beginning.extend(format!("\n[… {} bytes left out …]\n", self.left_out).into_bytes());
        }
        self.beginning.extend(self.end);
        String::from_utf8_lossy(&self.beginning).into_owned()
    }
}

#[cfg(test)]
mod tests;
