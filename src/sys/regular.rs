//! Regular files, which are opened without waiting. IO: opens and reads files.
//!
//! Another user may put a FIFO, a device or a link in the place of a file, also a moment after a look at it.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

/// Flags with which open(2) waits for no writer of a FIFO, and takes no terminal.
pub const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// A regular file that is open.
#[derive(Debug)]
pub struct RegularFile {
    /// The file.
    pub file: File,
    /// Its state when it was opened.
    pub stat: Stat,
}

impl RegularFile {
    /// Opens the file at a path, where its links lead; `None` if it is no regular file.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> Result<Option<Self>, Errno> {
        Self::of(rustix::fs::open(path, FLAGS, Mode::empty())?)
    }

    /// Opens a name in a directory, and no link; `None` if it is no regular file.
    ///
    /// # Errors
    /// When it cannot be opened; for a link `ELOOP`.
    pub fn open_in(directory: impl AsFd, name: impl rustix::path::Arg) -> Result<Option<Self>, Errno> {
        Self::of(rustix::fs::openat(directory, name, FLAGS | OFlags::NOFOLLOW, Mode::empty())?)
    }

    /// Returns what was opened with [`FLAGS`]; `None` if it is no regular file.
    ///
    /// # Errors
    /// When its kind cannot be read.
    pub fn of(opened: OwnedFd) -> Result<Option<Self>, Errno> {
        let stat = rustix::fs::fstat(&opened)?;
        let is_regular = FileType::from_raw_mode(stat.st_mode).is_file();
        Ok(is_regular.then(|| Self { file: File::from(opened), stat }))
    }

    /// Returns its size in bytes when it was opened.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.stat.st_size.cast_unsigned()
    }

    /// Reads its beginning: at most so many bytes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn beginning(&self, most: u64) -> io::Result<Vec<u8>> {
        let mut content = Vec::with_capacity(usize::try_from(self.size().min(most)).unwrap_or(0));
        (&self.file).take(most).read_to_end(&mut content)?;
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_no_regular_file_is_not_waited_for() {
        let here = tempfile::tempdir().expect("there is room");
        let at = |name: &str| here.path().join(name);
        fs::write(at("file"), "text").and_then(|()| symlink("file", at("link"))).expect("there is room");
        rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), FileType::Fifo, 0o600.into(), 0).expect("there is room");
        symlink("fifo", at("to-fifo")).expect("there is room");
        let directory = File::open(here.path()).expect("it is there");
        let content = |opened: Result<Option<RegularFile>, Errno>| {
            opened.map(|file| file.map(|file| file.beginning(3).expect("it can be read")))
        };
        for (name, followed, unfollowed) in [
            ("file", Ok(Some(b"tex".to_vec())), Ok(Some(b"tex".to_vec()))),
            ("link", Ok(Some(b"tex".to_vec())), Err(Errno::LOOP)),
            ("fifo", Ok(None), Ok(None)),
            ("to-fifo", Ok(None), Err(Errno::LOOP)),
            (".", Ok(None), Ok(None)),
            ("none", Err(Errno::NOENT), Err(Errno::NOENT)),
        ] {
            assert_eq!(content(RegularFile::open(&at(name))), followed, "{name}");
            assert_eq!(content(RegularFile::open_in(&directory, name)), unfollowed, "{name}");
        }
    }
}
