//! The first process of a view's process namespace. IO: starts the command and waits for it.
//!
//! After unshare(2) only a child is in the new namespace. When it ends the kernel ends all that is left there, so nothing that the
//! command starts outlives it, however often it forks (pid_namespaces(7)).

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;

use fork::Fork;
use rustix::mount::MountFlags;
use rustix::process::{Resource, Rlimit, Signal};
use rustix::thread::CapabilitySet;

use crate::sys::exec::again::{self, CommandProgram, KeeperReport, Reporter, SetupStep, step};
use crate::sys::exec::filter;
use crate::sys::exec::keep::{code, wait_for};

/// Starts the first process, which runs the command, and waits for it. Returns the message, if that failed, and the exit code.
pub(super) fn start(
    reporter: &Reporter,
    environment: &[(OsString, OsString)],
    program: &CommandProgram,
) -> (String, u8) {
    match fork::fork() {
        Ok(Fork::Child) => main(reporter, environment, program),
        Ok(Fork::Parent(init)) => match wait_for(init) {
            Ok(status) => (String::new(), code(status)),
            Err(error) => reporter.not_ready(super::SUBCOMMAND, &("wait for the view".into(), error)),
        },
        Err(error) => reporter.not_ready(super::SUBCOMMAND, &("start the first process of the view".into(), error)),
    }
}

/// Gives up what it took to lay out the view, and waits for the command. It returns the message, if that failed, and the exit code.
fn main(reporter: &Reporter, environment: &[(OsString, OsString)], program: &CommandProgram) -> (String, u8) {
    if let Err(failed) = ready() {
        return reporter.not_ready(super::SUBCOMMAND, &failed);
    }
    let ended = again::spawn(environment, &program.words).and_then(|command| wait_for(command.id().cast_signed()));
    match ended {
        Ok(status) => {
            // A signal that ended the command is no exit code of this process.
            if let Some(signal) = status.signal() {
                reporter.report(&KeeperReport::KilledInView(signal));
            }
            (String::new(), code(status))
        }
        Err(error) => reporter.not_started(super::SUBCOMMAND, &error, environment, program),
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
    again::give_up()?;
    // Memory that is locked cannot be reclaimed. No checker needs any.
    again::lower_limit(Resource::Memlock, Rlimit { current: Some(0), maximum: Some(0) })?;
    filter::forbid_mounts()
}

/// Shows the processes of the namespace alone; read-only to root, which could change the kernel there.
fn mount_processes(read_only: bool) -> rustix::io::Result<()> {
    let mut flags = MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC;
    flags.set(MountFlags::RDONLY, read_only);
    rustix::mount::mount("proc", "/proc", "proc", flags, None)
}
