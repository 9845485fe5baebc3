//! The claim of a gate to be the only one that writes its volumes: a lock on each directory. IO: locks.
//!
//! flock(2) locks the inode, so gates in several containers of a node meet at a volume that they share. The kernel releases a lock when
//! its holder ends, however it ends. A file system without locks on directories (flock(2), "NFS details") gives no such protection.

use std::fs::File;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::shared::Shared;
use super::{Publication, PublishError, Volume};

/// The locked directories, once all of them are locked. They are closed at an exec.
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
            volume.lock(&directory)?;
            locked.push(directory);
        }
        // One effect of a gate is in flight, so no other thread of it has set it.
        *self.claim.lock() = Some(locked);
        Ok(())
    }
}

impl Volume {
    fn lock(&self, directory: &File) -> Result<(), PublishError> {
        match flock(directory, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => Err(PublishError::Taken(self.path.clone())),
            // There are no locks, or they are forbidden.
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
