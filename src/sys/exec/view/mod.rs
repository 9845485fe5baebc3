//! Running a command in a file system of its own. IO: changes the namespaces, the root and the capabilities of the process
//! that calls it, for good.
//!
//! A configuration names its files by the paths of its application: `/etc/nginx/conf.d/*.conf`. To validate it where those paths
//! hold something else, or nothing, the command sees the machine's file system with the configuration laid over it. Nothing
//! changes for other processes, and nothing that the command writes stays: its mounts are in a namespace that ends with its last
//! process (mount_namespaces(7)).

mod hidden;
mod init;
mod network;
mod programs;
mod reserved;
mod root;

pub use hidden::homes;
pub use reserved::ReservedPlaces;

use std::ffi::OsString;
use std::path::PathBuf;

use nix::sched::CloneFlags;
use rustix::thread::CapabilitySet;

use super::again::{CommandProgram, Reporter, SetupStep, step};

/// The hidden subcommand.
pub(super) const SUBCOMMAND: &str = "view";

/// Directories with programs, their libraries and their code. `/nix` and `/gnu` are those of Nix and Guix, and `/snap` that of snapd.
pub(super) const PROGRAMS: [&str; 11] =
    ["/bin", "/boot", "/gnu", "/lib", "/lib32", "/lib64", "/libx32", "/nix", "/sbin", "/snap", "/usr"];

/// File system of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSystemView {
    /// Files and directories laid over the machine's, in this order: later ones lie over earlier ones.
    pub mounts: Vec<ViewMount>,
    /// Directories that are empty, except for programs on the `PATH` and their libraries, and files that are missing: [`homes`], or none.
    pub homes: Vec<PathBuf>,
}

/// One thing laid over the file system. It can be read, and neither written nor executed, nor loaded as a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewMount {
    /// The absolute path at which the command sees it. It need not exist; what is there already is hidden.
    pub at: PathBuf,
    /// The directory or file that it is. A directory is copied, with the symbolic links in it as they are.
    pub from: PathBuf,
}

/// Returns the directories in which the programs of the search path lie, with their libraries.
#[must_use]
pub(super) fn programs() -> Vec<PathBuf> {
    programs::find()
}

/// The user nobody, by convention.
const NOBODY: u32 = 65534;

/// The arguments of the subcommand.
pub(super) fn arguments(view: &FileSystemView) -> Vec<OsString> {
    let mounts = view.mounts.iter().flat_map(|ViewMount { at, from }| ["--mount".into(), at.into(), from.into()]);
    let homes = view.homes.iter().flat_map(|home| ["--home".into(), home.into()]);
    homes.chain(mounts).collect()
}

/// Lays out the view, enters it and waits for the command. It returns the message, if that failed, and the exit code.
pub(super) fn execute(
    reporter: &Reporter,
    view: &FileSystemView,
    environment: &[(OsString, OsString)],
    program: &CommandProgram,
) -> (String, u8) {
    match enter(view) {
        Ok(()) => init::start(reporter, environment, program),
        Err(failed) => reporter.not_ready(SUBCOMMAND, &failed),
    }
}

fn enter(view: &FileSystemView) -> SetupStep {
    let own = step(rustix::thread::capabilities(None), || "read capabilities".into())?;
    // With the right to mount no user namespace is needed, in which most users and groups do not exist.
    let may_mount = own.effective.contains(CapabilitySet::SYS_ADMIN);
    separate(may_mount)?;
    root::lay_out(view, may_mount)
}

/// Takes namespaces of its own. The network has nothing except a loopback address, on which every port is free: a name that is in no
/// file does not resolve there. The next child is the first process of a process namespace, and with it all others end
/// (pid_namespaces(7)).
fn separate(may_mount: bool) -> SetupStep {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let mut namespaces =
        CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWIPC;
    namespaces.set(CloneFlags::CLONE_NEWUSER, !may_mount);
    step(nix::sched::unshare(namespaces), || "have namespaces of its own".into())?;
    if !may_mount {
        // A root that is alone in its namespace cannot give away files (chown(2): EINVAL), as programs do that root starts. So it
        // is another user there.
        let inside = |id| if id == 0 { NOBODY } else { id };
        let map = |file: &str, text: String| {
            step(std::fs::write(format!("/proc/self/{file}"), text), || format!("write /proc/self/{file}"))
        };
        map("setgroups", "deny".into())?;
        map("uid_map", format!("{} {uid} 1", inside(uid)))?;
        map("gid_map", format!("{} {gid} 1", inside(gid)))?;
    }
    step(network::raise_loopback(), || "raise the loopback interface".into())
}
