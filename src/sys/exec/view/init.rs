//! The first process of a view's process namespace. IO: starts the command and waits for it.
//!
//! It is the binary again: after unshare(2) only a child is in the new namespace. When it ends the kernel ends all that is left
//! there, so nothing that the command starts outlives it, however often it forks (pid_namespaces(7)).

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use rustix::mount::MountFlags;
use rustix::process::Signal;
use rustix::thread::CapabilitySet;

use crate::sys::exec::again::{self, Reporter, SetupStep, step};
use crate::sys::exec::environment;
use crate::sys::exec::keep::{code, wait_for};

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "view-init";

/// Starts the first process, which runs the command, and waits for it. Returns the message, if that failed, and the exit code.
pub(super) fn start(reporter: Reporter, pass: &[String], words: &[OsString]) -> (String, u8) {
    match run(&reporter, pass, words) {
        Ok(status) => (String::new(), code(status)),
        Err(failed) => reporter.execute(super::SUBCOMMAND, Err(failed), words),
    }
}

fn run(reporter: &Reporter, pass: &[String], words: &[OsString]) -> SetupStep<ExitStatus> {
    let own = step(rustix::thread::capabilities(None), || "read capabilities".into())?;
    // A user who is not root keeps what it takes to mount /proc across execve(2) in the ambient set alone.
    let ambient = own.permitted & (CapabilitySet::SYS_ADMIN | CapabilitySet::NET_BIND_SERVICE);
    again::keep_capabilities(own.permitted, own.permitted, ambient)?;
    #[expect(
        clippy::disallowed_methods,
        reason = "a child of this process, which has one thread, is the only one in the namespace"
    )]
    let mut init = std::process::Command::new("/proc/self/exe");
    init.arg(SUBCOMMAND).args(pass.iter().map(|name| format!("--pass={name}"))).arg("--").args(words);
    let channel = step(reporter.to_stdin(), || "hand on the channel for reports".into())?;
    if let Some(channel) = channel {
        init.stdin(channel);
    }
    step(init.status(), || "start the first process of the view".into())
}

/// The subcommand itself: gives up what it had to lay out the view, and waits for the command. It gives the message, if that failed,
/// and the exit code.
#[must_use]
pub fn main(pass: &[String], words: &[OsString]) -> (String, u8) {
    let reporter = Reporter::take();
    if let Err(failed) = ready() {
        return reporter.execute(super::SUBCOMMAND, Err(failed), words);
    }
    match again::spawn(&environment(pass), words, None).and_then(|command| wait_for(command.id())) {
        Ok(status) => {
            reporter.killed(status.signal());
            (String::new(), code(status))
        }
        Err(error) => reporter.not_started(super::SUBCOMMAND, &error, words),
    }
}

fn ready() -> SetupStep {
    step(rustix::process::set_parent_process_death_signal(Some(Signal::KILL)), || "end with its parent".into())?;
    let own = step(rustix::thread::capabilities(None), || "read capabilities".into())?;
    let is_root = rustix::process::geteuid().is_root();
    // Where the processes of the machine stay visible (a container masks parts of /proc) they are out of reach all the same.
    let _ = mount_processes(is_root);
    let kept = if is_root { own.permitted & again::KEPT } else { own.permitted & CapabilitySet::NET_BIND_SERVICE };
    again::keep_capabilities(kept, kept, if is_root { CapabilitySet::empty() } else { kept })?;
    again::give_up()
}

/// Shows the processes of the namespace alone; read-only to root, which could change the kernel there.
fn mount_processes(read_only: bool) -> rustix::io::Result<()> {
    let mut flags = MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC;
    flags.set(MountFlags::RDONLY, read_only);
    rustix::mount::mount("proc", "/proc", "proc", flags, None)
}
