//! The parent of a command that validates. IO: starts the command, waits for it, and kills everything that it leaves behind.
//!
//! A daemon leaves its session, its process group and its parent. It does not leave its subreaper: a process whose parent ends becomes
//! a child of the nearest ancestor that asked for it (PR_SET_CHILD_SUBREAPER(2const)). This process asks, has the rights of the gate,
//! and ends after the last descendant of the command. It ends the command, too, when the gate is gone, which would have kept the time.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions, kill_process, wait};

use super::again::{self, Reporter, SetupStep, step};
use crate::sys::proc;

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "keep";
/// The longest time for killing what the command left behind; processes that fork without pause may take all of it.
const CLEANUP: Duration = Duration::from_secs(2);

/// The words that run `words` under this process; `reports` if they are the gate's binary, which reports its failures itself.
pub(super) fn words(words: Vec<OsString>, reports: bool) -> io::Result<Vec<OsString>> {
    let mut kept = vec![std::env::current_exe()?.into_os_string(), SUBCOMMAND.into()];
    kept.extend(reports.then(|| "--reports".into()));
    kept.push("--".into());
    kept.extend(words);
    Ok(kept)
}

/// The subcommand itself. It gives the message, if the command could not be started, and the exit code.
#[must_use]
pub fn main(reports: bool, words: &[OsString]) -> (String, u8) {
    let reporter = Reporter::take();
    if let Err(failed) = ready(&reporter) {
        return reporter.execute(SUBCOMMAND, Err(failed), words);
    }
    let environment: Vec<_> = std::env::vars_os().collect();
    let channel = if reports { reporter.to_stdin() } else { Ok(None) };
    let ended = channel.and_then(|channel| again::spawn(&environment, words, channel)).and_then(|command| {
        let status = wait_for(command.id());
        kill_descendants();
        status
    });
    match ended {
        Ok(status) => {
            reporter.killed(status.signal());
            (String::new(), code(status))
        }
        Err(error) => reporter.not_started(SUBCOMMAND, &error, words),
    }
}

fn ready(reporter: &Reporter) -> SetupStep {
    let own = Some(rustix::process::getpid());
    step(rustix::process::set_child_subreaper(own), || "keep what the command starts".into())?;
    // A command of the same user may not look into this process, which could report in its name.
    step(rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable), || "close its memory".into())?;
    if let Some(channel) = step(reporter.channel(), || "watch the gate".into())? {
        thread::Builder::new().spawn(move || end_with(&channel)).map_err(|error| ("watch the gate".into(), error))?;
    }
    Ok(())
}

/// Kills the command when the reader of the channel, which is the gate, has ended: a pipe without a reader is an error (poll(2)).
fn end_with(channel: &OwnedFd) {
    let mut gate = [PollFd::new(channel, PollFlags::empty())];
    while !matches!(poll(&mut gate, None), Ok(1..)) {}
    kill_descendants();
}

/// Kills all descendants, those that they start meanwhile included.
fn kill_descendants() {
    let deadline = Instant::now() + CLEANUP;
    loop {
        let descendants = proc::descendants(proc::own());
        for pid in descendants.iter().copied().filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
        if descendants.is_empty() || Instant::now() > deadline {
            return;
        }
        thread::yield_now();
    }
}

/// Waits for the command, and for what was left to this process in the meantime.
pub(super) fn wait_for(command: u32) -> io::Result<ExitStatus> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if u32::try_from(pid.as_raw_pid()) == Ok(command) => {
                return Ok(ExitStatus::from_raw(status.as_raw()));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// The exit code that represents a status, as shells have it.
pub(super) fn code(status: ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    u8::try_from(code).unwrap_or(u8::MAX)
}
