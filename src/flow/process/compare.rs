//! Comparison of a file in the target's root with an expected content. IO: reads files through /proc.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::Target;
use crate::sys::regular::{self, RegularFile};

/// The outcome of a comparison in the target's root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// A file with the same bytes.
    Same,
    /// Something else.
    Other,
    /// Nothing.
    Nothing,
    /// The gate has no permission to read.
    Unknown,
}

impl Target {
    /// Compares the file at `path`, an absolute path in the process's own root, with `content`.
    ///
    /// Reading takes the access of ptrace(2), as entering the root does.
    #[must_use]
    pub fn sees(&self, path: &Path, content: &[u8]) -> Sight {
        let read = self.open_root().and_then(|root| read(&root, path, content.len()));
        match read {
            // A process that has ended sees nothing any more, and another one may have its number.
            _ if !self.identity().is_alive() => Sight::Unknown,
            Ok(Some(found)) if found == content => Sight::Same,
            Ok(_) => Sight::Other,
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::NOENT | Errno::NOTDIR) => Sight::Nothing,
                _ => Sight::Unknown,
            },
        }
    }

    fn open_root(&self) -> io::Result<OwnedFd> {
        let path = format!("/proc/{}/root", self.pid());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // A missing path here is a missing process, not a missing file.
        rustix::fs::open(path, flags, Mode::empty()).map_err(|_| io::ErrorKind::PermissionDenied.into())
    }
}

/// The regular file at `path` in `root`, where its symbolic links lead (openat2(2)), and no more of it than one byte after `length`;
/// `None` if it is no regular file.
fn read(root: &OwnedFd, path: &Path, length: usize) -> io::Result<Option<Vec<u8>>> {
    let opened = rustix::fs::openat2(root, path, regular::FLAGS, Mode::empty(), ResolveFlags::IN_ROOT)?;
    RegularFile::of(opened)?.map(|file| file.beginning(length as u64 + 1)).transpose()
}
