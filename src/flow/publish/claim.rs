//! The claim of a gate to be the only one that writes its volumes: a lock on a file in each of them. IO: locks.
//!
//! flock(2) locks the inode, so gates in several containers of a node meet at a volume that they share. The kernel releases a lock when
//! its holder ends, however it ends. A file system without locks (flock(2), "NFS details") gives no such protection.
//!
//! A file that can be opened for reading can be locked, exclusively too. So the file has no permission to read: an application that has the volume
//! read-only, as the gate's own user too, cannot open it unless it passes by permissions (CAP_DAC_OVERRIDE, which root has in a container by
//! default). A user who may write the volume may open it for that, so that gates of several users meet.
//!
//! Earlier versions lock the directory in its place; both exclude each other where the process of the older one can be seen.

use std::fs::File;

use rustix::fs::{FlockOperation, Mode, OFlags, fchmod, flock, fstat, openat};
use rustix::io::Errno;

use super::shared::Shared;
use super::{Publication, PublishError, Volume};
use crate::sys::proc;
use crate::sys::proc::locks::exclusive_holder;

/// Name of the file that is locked.
pub(super) const LOCK: &str = "..lock";

/// The locked files and directories, once all of them are locked. They are closed at an exec.
pub(super) type Claim = Shared<Option<Vec<File>>>;

impl Publication {
    /// Claims the volumes for this publication and its clones, until all of them are dropped.
    ///
    /// # Errors
    /// When another publication has claimed one of the volumes.
    pub fn claim(&self) -> Result<(), PublishError> {
        if self.claim.lock().is_some() {
            return Ok(());
        }
        let mut locked = Vec::new();
        for volume in &self.volumes {
            // The next step in a volume that cannot be opened reports the reason.
            let Ok(directory) = File::open(&volume.path) else { return Ok(()) };
            locked.extend(volume.lock(&directory)?);
            locked.push(directory);
        }
        // One effect of a gate is in flight, so no other thread of it has set it.
        *self.claim.lock() = Some(locked);
        Ok(())
    }
}

impl Volume {
    /// Locks the volume, and returns the file of the lock, if there can be one.
    fn lock(&self, directory: &File) -> Result<Option<File>, PublishError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = openat(directory, LOCK, flags, Mode::WUSR).map(File::from) else {
            // Another user made it, or what has its name is no file.
            return self.lock_exclusively(directory).map(|()| None);
        };
        // A kubelet gives the group of a volume the right to read each file (`fsGroup`).
        let _ = fchmod(&file, Mode::WUSR | may_write(directory));
        self.lock_exclusively(&file)?;
        // An older gate does not begin in a directory that is locked, and has one locked itself.
        if flock(directory, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
            && let Some(pid) = holder(directory).filter(|pid| may_be_gate(*pid))
        {
            return Err(PublishError::Taken { volume: self.path.clone(), pid: Some(pid) });
        }
        Ok(Some(file))
    }

    fn lock_exclusively(&self, file: &File) -> Result<(), PublishError> {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => Err(PublishError::Taken { volume: self.path.clone(), pid: holder(file) }),
            // There are no locks, or they are forbidden.
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Returns the permissions of others to write a directory.
fn may_write(directory: &File) -> Mode {
    let mode = fstat(directory).map_or(Mode::empty(), |stat| Mode::from_raw_mode(stat.st_mode));
    mode & (Mode::WGRP | Mode::WOTH)
}

fn holder(file: &File) -> Option<i32> {
    exclusive_holder(&fstat(file).ok()?)
}

/// Returns true if a process has rights with which it could stop this gate in other ways, too.
fn may_be_gate(pid: i32) -> bool {
    let own = rustix::process::geteuid().as_raw();
    proc::credentials(pid).is_some_and(|of| of.uid == 0 || of.uid == own)
}
