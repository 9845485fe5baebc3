//! Running a command as another process is. IO: changes the root, the user and the capabilities of the process that calls
//! it, for good.
//!
//! Validating a configuration can execute it (`load_module` in nginx, a Python file in gunicorn), so the command never has
//! more privileges than the target.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use procfs::process::{Limit, LimitValue, Process, Status};
use rustix::fs::Mode;
use rustix::process::{Gid, Resource, Rlimit, Uid};
use rustix::thread::CapabilitySet;

use super::RunAs;
use super::again::{self, CommandProgram, Reporter, SetupStep, step};
use crate::sys::proc::{self, Identity};
use crate::sys::shortage::unless_short;

/// The reason why a command cannot run as a process with rights that its caller did not have.
pub const LENDS_RIGHTS: &str =
    "it runs a set-user-ID or set-group-ID program, so its words and environment are those of another user";

/// The hidden subcommand.
pub(super) const SUBCOMMAND: &str = "enter";

/// The arguments of the subcommand.
pub(super) fn arguments(run_as: RunAs, unset: &[String]) -> Vec<OsString> {
    let Identity { pid, start } = run_as.process;
    let root = if run_as.root { "root" } else { "same" };
    let which = [pid.to_string(), start.to_string(), root.to_owned()];
    which.into_iter().chain(unset.iter().map(|name| format!("--unset={name}"))).map(OsString::from).collect()
}

/// Becomes like the process and executes the command. It returns only if that failed, with the message and the exit code.
pub(super) fn execute(reporter: &Reporter, run_as: RunAs, unset: &[String], program: &CommandProgram) -> (String, u8) {
    let environment = become_like(run_as).map(|mut likeness| {
        likeness.environment.retain(|(name, _)| !unset.iter().any(|unset| name == unset.as_str()));
        likeness.environment
    });
    reporter.execute(SUBCOMMAND, environment, program)
}

/// Looks at the process before the command comes, so that the pages and tables that this needs are there. What it sees is not used: the
/// process may change until then.
pub(super) fn rehearse(run_as: RunAs) {
    let _ = likeness(run_as.process);
}

/// Attributes of a process that a command takes.
struct Likeness {
    /// Its ids, capabilities and supplementary groups.
    status: Status,
    environment: Vec<(OsString, OsString)>,
    /// Its working directory, as named in its own root.
    directory: Option<PathBuf>,
    root: OwnedFd,
    /// Its capabilities, as far as they count here.
    capabilities: Capabilities,
    /// Its resource limits.
    limits: Vec<(Resource, Rlimit)>,
}

/// The capability sets of a process (capabilities(7)). The inheritable set is left out: a command has no more of it than is ambient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Capabilities {
    permitted: CapabilitySet,
    effective: CapabilitySet,
    ambient: CapabilitySet,
    bounding: CapabilitySet,
}

impl Capabilities {
    /// Returns the capabilities of a process in the user namespace of this one. Those that it has in another user namespace are
    /// rights to the resources of that namespace, and none here (user_namespaces(7)).
    fn of(status: &Status, has_own: bool) -> Self {
        if !has_own {
            let none = CapabilitySet::empty();
            return Self { permitted: none, effective: none, ambient: none, bounding: none };
        }
        let set = CapabilitySet::from_bits_truncate;
        Self {
            permitted: set(status.capprm),
            effective: set(status.capeff),
            ambient: set(status.capamb.unwrap_or_default()),
            bounding: set(status.capbnd.unwrap_or(status.capprm)),
        }
    }
}

/// Reads what a process is like. `/proc/PID/root` and `/proc/PID/environ` ask for the access of ptrace(2), which is the same
/// uid and gid and no more capabilities than ours, or CAP_SYS_PTRACE.
fn likeness(identity: Identity) -> io::Result<Likeness> {
    let fail = proc::io_error;
    let process = Process::new(identity.pid).map_err(fail)?;
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    let root = rustix::fs::open(format!("/proc/{}/root", identity.pid), flags, Mode::empty())?;
    let status = process.status().map_err(fail)?;
    let rights = proc::exec_rights(identity.pid, &status)?;
    if rights.ids {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, LENDS_RIGHTS));
    }
    // Without the permission to look it may well be another user namespace. What the file of a program adds is not its caller's.
    let has_own = !rights.capabilities && proc::is_in_namespace(identity.pid, "user")?;
    let likeness = Likeness {
        capabilities: Capabilities::of(&status, has_own),
        limits: limits(&process)?,
        status,
        environment: process.environ().map_err(fail)?.into_iter().collect(),
        directory: unless_short(process.cwd().map_err(fail))?.map(|directory| proc::in_own_root(&process, directory)),
        root,
    };
    // All of that was of one and the same process if it is still the one that was meant.
    if process.stat().map_err(fail)?.starttime == identity.start {
        Ok(likeness)
    } else {
        Err(io::Error::new(io::ErrorKind::NotFound, "it has ended"))
    }
}

/// The resource limits of a process that a command takes from it: they decide on what a program can do, or protect other programs.
fn limits(process: &Process) -> io::Result<Vec<(Resource, Rlimit)>> {
    let Some(limits) = unless_short(process.limits().map_err(proc::io_error))? else { return Ok(Vec::new()) };
    let resources = [
        (Resource::As, limits.max_address_space),
        (Resource::Cpu, limits.max_cpu_time),
        (Resource::Data, limits.max_data_size),
        (Resource::Fsize, limits.max_file_size),
        (Resource::Memlock, limits.max_locked_memory),
        (Resource::Nofile, limits.max_open_files),
        (Resource::Nproc, limits.max_processes),
        (Resource::Stack, limits.max_stack_size),
    ];
    let value = |limit| match limit {
        LimitValue::Unlimited => None,
        LimitValue::Value(value) => Some(value),
    };
    let limit = |limit: Limit| Rlimit { current: value(limit.soft_limit), maximum: value(limit.hard_limit) };
    Ok(resources.map(|(resource, own)| (resource, limit(own))).into())
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
    for (resource, limit) in &likeness.limits {
        again::lower_limit(*resource, *limit)?;
    }
    again::lower_limit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    if let Some(umask) = likeness.status.umask {
        rustix::process::umask(Mode::from_raw_mode(umask));
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
    // A process without the right to do that gains nothing by what it cannot drop: it gives up new privileges.
    let _ = again::drop_from_bounding_set(likeness.capabilities.bounding.difference(again::NEVER));
    if rustix::process::geteuid() != uid {
        step(rustix::thread::set_keep_capabilities(true), || "keep capabilities".into())?;
        step(rustix::thread::set_thread_res_uid(uid, uid, uid), || format!("become uid {}", status.euid))?;
    }
    limit_capabilities(likeness)
}

/// Keeps of the gate's capabilities those that the process has too (capabilities(7)).
fn limit_capabilities(likeness: &Likeness) -> SetupStep {
    let own = rustix::thread::capabilities(None).map_err(|errno| ("read capabilities".into(), errno.into()))?;
    let theirs = likeness.capabilities;
    let permitted = (own.permitted & theirs.permitted).difference(again::NEVER);
    // Only the ambient set outlives the execve of a user who is not root.
    again::keep_capabilities(permitted, permitted & theirs.effective, permitted & theirs.ambient)
}
