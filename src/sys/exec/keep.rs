//! The keeper: the parent of a command that validates. IO: starts the command, waits for it, and kills everything that it leaves behind.
//!
//! A daemon leaves its session, its process group and its parent. It does not leave its subreaper: a process whose parent ends becomes
//! a child of the nearest ancestor that asked for it (PR_SET_CHILD_SUBREAPER(2const)). The keeper asks, has the rights of the gate,
//! and ends after the last descendant of the command. It ends the command, too, when the gate is gone, which would have kept the time.
//!
//! It is the gate's binary, started before it is needed ([`super::keeper`]). The process that will become the command is forked at once,
//! takes all steps that do not depend on the words of the command ([`super::ahead`]), and waits for the message with the command.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use fork::Fork;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions, kill_process, wait};

use super::again::{self, KeeperReport, Reporter, SetupStep, step};
use super::ahead::Ahead;
use super::door::Door;
use super::filter;
use crate::sys::proc;

/// The hidden subcommand.
pub(super) const SUBCOMMAND: &str = "keep";
/// The number of a process that the kernel kills before all others.
const KILLED_FIRST: &str = "1000";
/// The longest time for killing what the command left behind; processes that fork without pause may take all of it.
const CLEANUP: Duration = Duration::from_secs(2);

/// Runs the subcommand, if that is the one of a command line; `None` if it is another. Returns the message, if there is one, and the exit
/// code.
pub fn run(mut line: impl Iterator<Item = OsString>) -> Option<(String, u8)> {
    if line.next()? != SUBCOMMAND {
        return None;
    }
    super::close_inherited();
    let reporter = match Reporter::take() {
        Ok(reporter) => reporter,
        Err(error) => return Some((format!("reload-gate {SUBCOMMAND}: {error}"), 2)),
    };
    Some(match serve(&reporter) {
        Ok(code) => (String::new(), code),
        Err(failed) => reporter.not_ready(SUBCOMMAND, &failed),
    })
}

fn serve(reporter: &Reporter) -> SetupStep<u8> {
    // A session of its own has no controlling terminal.
    let _ = rustix::process::setsid();
    let own = Some(rustix::process::getpid());
    step(rustix::process::set_child_subreaper(own), || "keep what the command starts".into())?;
    // A command of the same user may not look into this process, which could report in its name.
    step(rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable), || "close its memory".into())?;
    filter::prepare();
    let kept = match fork::fork() {
        Ok(Fork::Child) => std::process::exit(become_command(reporter).into()),
        // Where processes run short, the thread that waits for the end of the gate may be the first that is missing.
        Ok(Fork::Parent(command)) => keep(command, reporter).inspect_err(|_| kill_descendants()),
        Err(error) => Err(error),
    };
    Ok(kept.map_or_else(|error| reporter.not_made(SUBCOMMAND, &error), |()| 0))
}

/// Waits for the message with the command; `None` if the gate has ended or needs none.
fn receive(reporter: &Reporter) -> io::Result<Option<Door>> {
    let Some(channel) = reporter.channel() else { return Ok(None) };
    let mut gate = UnixStream::from(channel.try_clone()?);
    let mut length = [0; size_of::<u32>()];
    match gate.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let mut message = vec![0; usize::try_from(u32::from_le_bytes(length)).map_err(io::Error::other)?];
    gate.read_exact(&mut message)?;
    Door::read(&message).map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The child: leads a session, ends with its parent, and waits for the command.
fn become_command(reporter: &Reporter) -> u8 {
    let ready = || {
        step(rustix::process::setsid(), || "lead a session".into())?;
        step(rustix::process::set_parent_process_death_signal(Some(Signal::KILL)), || "end with its parent".into())?;
        again::read_ahead();
        let received = || step(receive(reporter), || "read the command".into());
        let first = received()?;
        // The setup of the command that the gate expects comes before the command itself.
        let expected = first.as_ref().filter(|door| door.is_expectation()).map(|door| &door.setup);
        let Ok(ahead) = Ahead::take(expected, reporter.channel()) else {
            reporter.unfit();
            return Ok(None);
        };
        let door = if expected.is_some() { received()? } else { first };
        Ok(door.map(|door| (ahead, door)))
    };
    match ready() {
        Ok(Some((ahead, door))) => ahead.execute(door, reporter).1,
        Ok(None) => 0,
        Err(failed) => reporter.not_ready(SUBCOMMAND, &failed).1,
    }
}

/// Lets the kernel kill this process, and what it starts, before the gate, where the memory of the container or the machine is used up: the
/// limit on data counts neither shared memory nor buffers (proc_pid_oom_score_adj(5)). A process may raise its own number without a
/// privilege. Where /proc cannot be written the limit on data is left. Returns true if the number was raised.
pub(super) fn offer_to_the_kernel() -> bool {
    let file = std::fs::OpenOptions::new().write(true).open("/proc/self/oom_score_adj");
    file.and_then(|mut file| file.write_all(KILLED_FIRST.as_bytes())).is_ok()
}

/// Waits for the command and reports its end.
fn keep(command: i32, reporter: &Reporter) -> io::Result<()> {
    // The gate reads what the command has printed to its end, and that is the end of the command itself.
    leave_output();
    if let Some(channel) = reporter.channel() {
        let channel = channel.try_clone()?;
        thread::Builder::new().spawn(move || end_with(&channel))?;
    }
    let status = wait_for(command)?;
    end_descendants();
    reporter
        .report(&status.signal().map_or(KeeperReport::Exited(status.code().unwrap_or_default()), KeeperReport::Killed));
    Ok(())
}

fn leave_output() {
    if let Ok(nothing) = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()) {
        let _ = rustix::stdio::dup2_stdout(&nothing);
        let _ = rustix::stdio::dup2_stderr(&nothing);
    }
}

/// Kills the command when the gate has ended: then the other end of the channel is closed.
fn end_with(channel: &OwnedFd) {
    let mut gate = [PollFd::new(channel, PollFlags::empty())];
    while !matches!(poll(&mut gate, None), Ok(1..)) {}
    kill_descendants();
}

/// Ends what the command has left. As all of it descends from this process, there is nothing if this has no child.
fn end_descendants() {
    let deadline = Instant::now() + CLEANUP;
    while has_child() && Instant::now() <= deadline {
        kill(&proc::descendants(proc::own()));
        thread::yield_now();
    }
}

/// Returns true if a child is left, and takes in those that have ended.
fn has_child() -> bool {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
    !matches!(wait(WaitOptions::NOHANG), Err(Errno::CHILD))
}

/// Kills all descendants, those that they start meanwhile included.
fn kill_descendants() {
    let deadline = Instant::now() + CLEANUP;
    loop {
        let descendants = proc::descendants(proc::own());
        kill(&descendants);
        if descendants.is_empty() || Instant::now() > deadline {
            return;
        }
        thread::yield_now();
    }
}

fn kill(processes: &BTreeSet<i32>) {
    for pid in processes.iter().copied().filter_map(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Waits for a child, and for what was left to this process in the meantime.
pub(super) fn wait_for(child: i32) -> io::Result<ExitStatus> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_pid() == child => {
                return Ok(ExitStatus::from_raw(status.as_raw()));
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// The exit code that represents a status, as shells have it.
pub(super) fn code(status: ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    u8::try_from(code).unwrap_or(u8::MAX)
}
