//! Tells volumes of Secrets from others. IO: asks the file system.

use std::fs::File;
use std::path::Path;

use rustix::fs::FsWord;

use super::Source;
use super::reader::DATA;

/// `TMPFS_MAGIC` (statfs(2)).
const TMPFS: FsWord = 0x0102_1994;
/// `RAMFS_MAGIC` (statfs(2)).
const RAMFS: FsWord = 0x8584_58f6;

/// Returns true if a file lies in memory, or if the file system cannot be determined.
pub(super) fn is_in_memory(file: &File) -> bool {
    rustix::fs::fstatfs(file).map_or(true, |statfs| [TMPFS, RAMFS].contains(&statfs.f_type))
}

impl Source {
    /// Returns true if the files may be those of a Secret. A kubelet mounts Secrets and projected volumes, which may hold some, in memory, and
    /// ConfigMaps from disk; both have its layout. A single file in memory is one that is mounted with `subPath`. What cannot be looked at may
    /// be one.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        let path = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        let Ok(statfs) = rustix::fs::statfs(&path) else { return true };
        let in_volume = || path.ancestors().any(|directory| directory.join(DATA).is_symlink());
        statfs.f_type == TMPFS && (path.is_file() || in_volume())
    }

    /// Returns true if the file of this name, in a tree of one source or of several, comes from this source.
    #[must_use]
    pub fn holds(&self, name: &Path) -> bool {
        name.is_relative() || name.starts_with(&self.mount)
    }
}
