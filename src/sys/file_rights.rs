//! The rights of another process to files. IO: changes those of the calling thread, for a while.
//!
//! A configuration names other files, and a gate often has more rights than the application. What the gate reads in its name, and quotes in a
//! report, must not be more than the application itself may read.

use std::io;

use nix::unistd::{setfsgid, setfsuid};
use procfs::process::{Process, Status};
use rustix::process::{DumpableBehavior, Gid, dumpable_behavior, set_dumpable_behavior};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_thread_groups};

use super::proc;

/// Capabilities that open files whatever their modes are (capabilities(7)).
const OPENS_ALL: CapabilitySet = CapabilitySet::DAC_OVERRIDE.union(CapabilitySet::DAC_READ_SEARCH);

/// User and groups of a process for access to files (credentials(7)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRights {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

impl FileRights {
    /// Returns the rights of a process.
    ///
    /// # Errors
    /// When they cannot be read, or come from the file of its program: then they are not those of its user.
    pub fn of(pid: i32) -> io::Result<Self> {
        let status = Process::new(pid).and_then(|process| process.status()).map_err(proc::io_error)?;
        if proc::exec_rights(pid, &status)?.ids {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(Self::from(status))
    }

    fn own() -> io::Result<Self> {
        let groups = rustix::process::getgroups()?.into_iter().map(Gid::as_raw).collect();
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Ok(Self { uid, gid, groups })
    }

    /// Gives the calling thread these rights until the result is dropped; a thread of the same user keeps its own.
    ///
    /// # Errors
    /// When it may not change them.
    pub fn take(&self) -> io::Result<TakenRights> {
        let own = Self::own()?;
        if own.uid == self.uid {
            return Ok(TakenRights(None));
        }
        // From here on the own rights come back whatever fails.
        let taken = TakenRights(Some((own, capabilities(None)?, dumpable_behavior()?)));
        self.set()?;
        let now = capabilities(None)?;
        set_capabilities(None, CapabilitySets { effective: now.effective.difference(OPENS_ALL), ..now })?;
        Ok(taken)
    }

    fn set(&self) -> io::Result<()> {
        let groups: Vec<Gid> = self.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
        set_thread_groups(&groups)?;
        setfsgid(self.gid.into());
        setfsuid(self.uid.into());
        // Neither reports an error; both return what was set before (setfsuid(2)).
        let is_set = setfsgid(self.gid.into()).as_raw() == self.gid && setfsuid(self.uid.into()).as_raw() == self.uid;
        if is_set { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }
}

impl From<Status> for FileRights {
    fn from(status: Status) -> Self {
        Self { uid: status.fuid, gid: status.fgid, groups: status.groups }
    }
}

/// The rights that a thread has taken.
#[derive(Debug)]
pub struct TakenRights(Option<(FileRights, CapabilitySets, DumpableBehavior)>);

impl Drop for TakenRights {
    fn drop(&mut self) {
        let Some((own, sets, dumpable)) = self.0.take() else { return };
        // With what fails the thread has fewer rights than before, and not more.
        let _ = own.set();
        let _ = set_capabilities(None, sets);
        // A change of the user makes /proc/PID another user's (`commit_creds()` in the kernel's `kernel/cred.c`).
        let _ = set_dumpable_behavior(dumpable);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_thread_reads_what_the_other_user_may_read_and_then_again_what_is_its_own() {
        if !rustix::process::geteuid().is_root() {
            return crate::sys::skipped::skip("only root may take the rights of another user");
        }
        let directory = tempfile::tempdir().expect("there is room");
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).expect("it is ours");
        let file = |name: &str, mode: u32| {
            let path = directory.path().join(name);
            std::fs::write(&path, name).expect("there is room");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
            path
        };
        let (public, group, private) = (file("public", 0o644), file("group", 0o640), file("private", 0o600));
        std::os::unix::fs::chown(&group, None, Some(4242)).expect("it is ours");
        let can_read = || [&public, &group, &private].map(|path| std::fs::read(path).is_ok());
        let before = (capabilities(None).expect("there are some"), FileRights::own().expect("there are some"));
        for (groups, expected) in [(vec![], [true, false, false]), (vec![4242], [true, true, false])] {
            let rights = FileRights { uid: 65534, gid: 65534, groups };
            let taken = rights.take().expect("root may");
            assert_eq!(can_read(), expected, "{rights:?}");
            drop(taken);
            assert_eq!(can_read(), [true; 3], "the own rights are back");
        }
        let after = (capabilities(None).expect("there are some"), FileRights::own().expect("there are some"));
        assert_eq!(before, after);
        assert_eq!(dumpable_behavior().expect("it is known"), DumpableBehavior::Dumpable);
    }

    #[test]
    fn a_thread_of_the_same_user_keeps_its_rights() {
        let own = FileRights::of(proc::own()).expect("they are known");
        assert!(own.take().expect("nothing changes").0.is_none());
    }
}
