//! Running a command as another process is. IO: changes the root, the user and the capabilities of the process that calls
//! it, for good.
//!
//! A process with several threads cannot safely enter another root by itself, so the gate starts its own binary again,
//! which becomes like the target and then executes the command. Validating a configuration can execute it (`load_module`
//! in nginx, a Python file in gunicorn), so the command never has more privilege than the target has.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;

use procfs::process::{Process, Status};
use rustix::process::{Gid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::{Command, End, Finished, Like, NotStarted};
use crate::proc::{self, Identity};

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "enter";
/// What its own messages begin with, to tell them from the command's.
const PREFIX: &str = "reload-gate enter: ";
/// Exit codes as env(1), chroot(1) and nohup(1) use them.
const NOT_ENTERED: i32 = 125;
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;

/// The words that run a command like a process.
pub(super) fn words(like: Like, command: &Command) -> io::Result<Vec<OsString>> {
    let own = super::own_executable()?.into_os_string();
    let Identity { pid, start } = like.process;
    let root = if like.root { "root" } else { "same" };
    let mut words = vec![own, SUBCOMMAND.into(), pid.to_string().into(), start.to_string().into(), root.into()];
    words.extend(command.unset.iter().map(|name| format!("--unset={name}").into()));
    words.push("--".into());
    words.extend(command.words.iter().cloned());
    Ok(words)
}

/// Tells what the subcommand said from what the command said.
pub(super) fn outcome(command: &Command, finished: Finished) -> Result<Finished, NotStarted> {
    let (Some(_), End::Exited(code)) = (command.like, finished.end) else { return Ok(finished) };
    let Some(message) = finished.output.strip_prefix(PREFIX).map(|message| message.trim_end().to_owned()) else {
        return Ok(finished);
    };
    let program = command.words.first().map_or_else(String::new, |word| word.to_string_lossy().into_owned());
    match code {
        NOT_FOUND => Err(NotStarted::Missing(program)),
        NOT_EXECUTABLE => Err(NotStarted::Program { program, error: io::Error::other(message) }),
        NOT_ENTERED => Err(NotStarted::NotEntered(message)),
        _ => Ok(finished),
    }
}

/// The subcommand itself: becomes like the process and executes the command. It returns only if that failed, with the
/// message and the exit code.
#[must_use]
pub fn main(like: Like, unset: &[String], words: &[OsString]) -> (String, u8) {
    let (message, code) = match become_like(like) {
        Err((step, error)) => (format!("cannot {step}: {error}"), NOT_ENTERED),
        Ok(mut likeness) => {
            likeness.environment.retain(|(name, _)| !unset.iter().any(|unset| name == unset.as_str()));
            execute(&likeness, words)
        }
    };
    (format!("{PREFIX}{message}"), u8::try_from(code).unwrap_or(1))
}

fn execute(likeness: &Likeness, words: &[OsString]) -> (String, i32) {
    let Some((program, arguments)) = words.split_first() else {
        return ("the command is empty".into(), NOT_FOUND);
    };
    #[expect(clippy::disallowed_methods, reason = "this starts no child: it becomes the command")]
    let mut command = std::process::Command::new(program);
    command.args(arguments).env_clear().envs(likeness.environment.iter().map(|(name, value)| (name, value)));
    let path = likeness.environment.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_os_str());
    let path = path.unwrap_or(OsStr::new(super::DEFAULT_PATH));
    command.env("PATH", path);
    let error = command.exec();
    let code = if super::is_missing(&error, program, path) { NOT_FOUND } else { NOT_EXECUTABLE };
    (format!("{}: {error}", program.display()), code)
}

/// What makes a process what it is.
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

type Step = Result<(), (String, io::Error)>;

/// Takes the root, working directory, groups, user and capabilities of a process, in the order that keeps the right to do
/// the next, and gives up every way to get more.
fn become_like(like: Like) -> Result<Likeness, (String, io::Error)> {
    let pid = like.process.pid;
    let likeness = likeness(like.process).map_err(|error| (format!("look into pid {pid}"), error))?;
    if like.root {
        let enter = rustix::process::fchdir(&likeness.root).and_then(|()| rustix::process::chroot("."));
        step(enter, || format!("enter the root of pid {pid}"))?;
    }
    let directory = likeness.directory.clone().unwrap_or_else(|| PathBuf::from("/"));
    if rustix::process::chdir(&directory).is_err() {
        step(rustix::process::chdir("/"), || "change to the root directory".into())?;
    }
    take_user(&likeness)?;
    step(rustix::thread::set_no_new_privs(true), || "give up new privileges".into())?;
    // What leaves its parents and its session stays a descendant of the command, which keeps this across execve(2): so nothing of
    // it outlives the time limit (PR_SET_CHILD_SUBREAPER(2const)).
    let own = Some(rustix::process::getpid());
    step(rustix::process::set_child_subreaper(own), || "keep what the command starts".into())?;
    Ok(likeness)
}

fn take_user(likeness: &Likeness) -> Step {
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
fn limit_capabilities(likeness: &Likeness) -> Step {
    let status = &likeness.status;
    let own = rustix::thread::capabilities(None).map_err(|errno| ("read capabilities".into(), errno.into()))?;
    let permitted = own.permitted & CapabilitySet::from_bits_truncate(status.capprm);
    let effective = permitted & CapabilitySet::from_bits_truncate(status.capeff);
    // Only what is ambient outlives the execve of a user who is not root, and only the inheritable can be ambient.
    let ambient = permitted & CapabilitySet::from_bits_truncate(status.capamb.unwrap_or_default());
    let sets = CapabilitySets { effective, permitted, inheritable: ambient };
    step(rustix::thread::clear_ambient_capability_set(), || "drop ambient capabilities".into())?;
    step(rustix::thread::set_capabilities(None, sets), || "drop capabilities".into())?;
    ambient.iter().try_for_each(|capability| {
        let raise = rustix::thread::configure_capability_in_ambient_set(capability, true);
        step(raise, || "keep an ambient capability".into())
    })
}

fn step(result: rustix::io::Result<()>, what: impl Fn() -> String) -> Step {
    result.map_err(|errno| (what(), errno.into()))
}
