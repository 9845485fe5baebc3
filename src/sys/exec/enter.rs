//! Running a command as another process is. IO: changes the root, the user and the capabilities of the process that calls
//! it, for good.
//!
//! Validating a configuration can execute it (`load_module` in nginx, a Python file in gunicorn), so the command never has
//! more privileges than the target.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use procfs::process::{Process, Status};
use rustix::process::{Gid, Uid};
use rustix::thread::CapabilitySet;

use super::again::{self, SetupStep, step};
use super::{Command, RunAs};
use crate::sys::proc::{self, Identity};

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "enter";

/// The words that run a command like a process.
pub(super) fn words(run_as: RunAs, command: &Command) -> io::Result<Vec<OsString>> {
    let Identity { pid, start } = run_as.process;
    let root = if run_as.root { "root" } else { "same" };
    let which = [pid.to_string(), start.to_string(), root.to_owned()];
    let unset = command.unset.iter().map(|name| format!("--unset={name}"));
    again::words(SUBCOMMAND, which.into_iter().chain(unset).map(OsString::from), command)
}

/// The subcommand itself: becomes like the process and executes the command. It returns only if that failed, with the
/// message and the exit code.
#[must_use]
pub fn main(run_as: RunAs, unset: &[String], words: &[OsString]) -> (String, u8) {
    let environment = become_like(run_as).map(|mut likeness| {
        likeness.environment.retain(|(name, _)| !unset.iter().any(|unset| name == unset.as_str()));
        likeness.environment
    });
    again::execute(SUBCOMMAND, environment, words)
}

/// Attributes of a process that a command takes.
struct Likeness {
    /// Its ids, capabilities and supplementary groups.
    status: Status,
    environment: Vec<(OsString, OsString)>,
    /// Its working directory, as named in its own root.
    directory: Option<PathBuf>,
    root: OwnedFd,
}

/// Reads what a process is like. `/proc/PID/root` and `/proc/PID/environ` ask for the access of ptrace(2), which is the same
/// uid and gid and no more capabilities than ours, or CAP_SYS_PTRACE.
fn likeness(identity: Identity) -> io::Result<Likeness> {
    let fail = |error: procfs::ProcError| io::Error::other(error);
    let process = Process::new(identity.pid).map_err(fail)?;
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    let root = rustix::fs::open(format!("/proc/{}/root", identity.pid), flags, rustix::fs::Mode::empty())?;
    let likeness = Likeness {
        status: process.status().map_err(fail)?,
        environment: process.environ().map_err(fail)?.into_iter().collect(),
        directory: process.cwd().ok().map(|directory| proc::in_own_root(&process, directory)),
        root,
    };
    // All of that was of one and the same process if it is still the one that was meant.
    if process.stat().map_err(fail)?.starttime == identity.start {
        Ok(likeness)
    } else {
        Err(io::Error::new(io::ErrorKind::NotFound, "it has ended"))
    }
}

/// Takes the root, working directory, groups, user and capabilities of a process, in the order that keeps the right to do
/// the next, and gives up every way to get more.
fn become_like(run_as: RunAs) -> SetupStep<Likeness> {
    let pid = run_as.process.pid;
    let likeness = likeness(run_as.process).map_err(|error| (format!("look into pid {pid}"), error))?;
    if run_as.root {
        let enter = rustix::process::fchdir(&likeness.root).and_then(|()| rustix::process::chroot("."));
        step(enter, || format!("enter the root of pid {pid}"))?;
    }
    let directory = likeness.directory.clone().unwrap_or_else(|| PathBuf::from("/"));
    if rustix::process::chdir(&directory).is_err() {
        step(rustix::process::chdir("/"), || "change to the root directory".into())?;
    }
    take_user(&likeness)?;
    again::give_up()?;
    Ok(likeness)
}

fn take_user(likeness: &Likeness) -> SetupStep {
    let status = &likeness.status;
    let groups: Vec<Gid> = status.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    let uid = Uid::from_raw(status.euid);
    let gid = Gid::from_raw(status.egid);
    // What is so already needs no privilege, and a sidecar under the restricted standard has none.
    if rustix::process::getgroups().ok().as_ref() != Some(&groups) {
        step(rustix::thread::set_thread_groups(&groups), || "take its supplementary groups".into())?;
    }
    if rustix::process::getegid() != gid {
        step(rustix::thread::set_thread_res_gid(gid, gid, gid), || format!("become gid {}", status.egid))?;
    }
    if rustix::process::geteuid() != uid {
        step(rustix::thread::set_keep_capabilities(true), || "keep capabilities".into())?;
        step(rustix::thread::set_thread_res_uid(uid, uid, uid), || format!("become uid {}", status.euid))?;
    }
    limit_capabilities(likeness)
}

/// Keeps of the gate's capabilities those that the process has too (capabilities(7)).
fn limit_capabilities(likeness: &Likeness) -> SetupStep {
    let status = &likeness.status;
    let own = rustix::thread::capabilities(None).map_err(|errno| ("read capabilities".into(), errno.into()))?;
    let permitted = own.permitted & CapabilitySet::from_bits_truncate(status.capprm);
    let effective = permitted & CapabilitySet::from_bits_truncate(status.capeff);
    // Only what is ambient outlives the execve of a user who is not root.
    let ambient = permitted & CapabilitySet::from_bits_truncate(status.capamb.unwrap_or_default());
    again::keep_capabilities(permitted, effective, ambient)
}
