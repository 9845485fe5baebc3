//! What a process sees at a path, where its root is another one than the gate's. IO: reads files through /proc.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::Target;

/// What a process sees at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// A file with the same bytes.
    Same,
    /// Something else.
    Other,
    /// Nothing.
    Nothing,
    /// The gate may not look.
    Unknown,
}

impl Target {
    /// What the process sees at `path`, an absolute path in its own root, where a file with `content` is expected.
    ///
    /// Looking takes the access of ptrace(2), as entering the root does.
    #[must_use]
    pub fn sees(&self, path: &Path, content: &[u8]) -> Sight {
        let read = self.open_root().and_then(|root| read(&root, path, content.len()));
        match read {
            // Whoever has ended sees nothing any more, and another one may have its number.
            _ if !self.identity.is_alive() => Sight::Unknown,
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
        // What is missing here is the process, and no file of its.
        rustix::fs::open(path, flags, Mode::empty()).map_err(|_| io::ErrorKind::PermissionDenied.into())
    }
}

/// The regular file at `path` in `root`, where its symbolic links lead (openat2(2)), and no more of it than one byte after `length`;
/// `None` if it is no regular file.
fn read(root: &OwnedFd, path: &Path, length: usize) -> io::Result<Option<Vec<u8>>> {
    // A pipe would be waited for.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)?);
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut found = Vec::new();
    file.take(length as u64 + 1).read_to_end(&mut found)?;
    Ok(Some(found))
}
