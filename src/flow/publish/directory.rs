//! Directories of a volume, by descriptors. IO: reads, and removes.
//!
//! An application that may write its volume can put a link in the place of any name at any moment. So every name is used relative to a
//! descriptor of its directory, and no link is followed; only the way to the volume itself is a path.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, readlinkat, statat, unlinkat};
use rustix::io::Errno;

use crate::flow::tree::Tree;
use crate::sys::beneath;
use crate::sys::regular::RegularFile;

/// Most levels of directories that are removed.
const MOST_LEVELS: usize = 64;
/// Most components of a name that is published; those of a source have fewer (`too-deep`).
pub(super) const MOST_COMPONENTS: usize = 48;
/// Most entries that are removed at once.
const MOST_REMOVED: usize = 200_000;
/// Entries for each file that is permitted: directories, links, and names that other programs made.
const ENTRIES_PER_FILE: usize = 16;

/// Largest generation that is written or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeLimits {
    /// The sum of the sizes of all files, in bytes.
    pub bytes: u64,
    /// The number of files.
    pub files: usize,
}

impl VolumeLimits {
    /// Returns true if a tree is small enough to be read again.
    pub(super) fn permit(&self, tree: &Tree) -> bool {
        let bytes: u64 = tree.values().map(|content| content.len() as u64).sum();
        let names = tree.keys().chain(tree.links().keys());
        let parents = names.flat_map(|name| name.ancestors().skip(1)).filter(|name| !name.as_os_str().is_empty());
        let directories: BTreeSet<&Path> = parents.collect();
        let entries = tree.len() + tree.links().len() + directories.len();
        bytes <= self.bytes && tree.len() <= self.files && entries <= self.entries()
    }

    /// The number of entries of a directory, or of a whole generation.
    pub(super) fn entries(&self) -> usize {
        self.files.saturating_mul(ENTRIES_PER_FILE)
    }
}

impl Default for VolumeLimits {
    fn default() -> Self {
        Self { bytes: 16 << 20, files: 10_000 }
    }
}

/// A directory that is open.
#[derive(Debug)]
pub(super) struct Directory(OwnedFd);

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Directory {
    /// Opens a volume.
    pub(super) fn of_volume(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// Opens a directory in this one; empty for this one.
    pub(super) fn open(&self, path: &Path) -> io::Result<Self> {
        Ok(Self(beneath::open(&self.0, path, OFlags::RDONLY | OFlags::DIRECTORY)?))
    }

    /// Opens the directory of the last name of `path`, and returns that name.
    pub(super) fn parent_of<'p>(&self, path: &'p Path) -> io::Result<(Self, &'p OsStr)> {
        let name = path.file_name().ok_or(Errno::INVAL)?;
        Ok((self.open(path.parent().unwrap_or(Path::new("")))?, name))
    }

    /// Returns the entries and their kinds.
    pub(super) fn entries(&self) -> io::Result<impl Iterator<Item = io::Result<(OsString, FileType)>> + use<'_>> {
        let is_name = |name: &[u8]| name != b"." && name != b"..";
        let read = Dir::read_from(&self.0)?.filter_map(move |entry| {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return Some(Err(error.into())),
            };
            let name = OsString::from_vec(entry.file_name().to_bytes().to_vec());
            is_name(name.as_bytes()).then_some(())?;
            // Not every file system says it (readdir(3)).
            let kind = match entry.file_type() {
                FileType::Unknown => self.kind(&name),
                kind => Ok(kind),
            };
            Some(kind.map(|kind| (name, kind)))
        });
        Ok(read)
    }

    /// Returns the kind of an entry; of a link its own.
    pub(super) fn kind(&self, name: &OsStr) -> io::Result<FileType> {
        Ok(FileType::from_raw_mode(statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode))
    }

    /// Returns the target of a link.
    pub(super) fn link(&self, name: &OsStr) -> io::Result<PathBuf> {
        let target = readlinkat(&self.0, name, Vec::new())?;
        Ok(OsString::from_vec(target.into_bytes()).into())
    }

    /// Returns the content of a regular file of at most `most` bytes.
    fn content(&self, name: &OsStr, most: u64) -> io::Result<Vec<u8>> {
        let file = RegularFile::open_in(&self.0, name)?.filter(|file| file.size() <= most).ok_or(Errno::FBIG)?;
        // It may grow meanwhile.
        let content = file.beginning(most.saturating_add(1))?;
        if content.len() as u64 > most { Err(Errno::FBIG.into()) } else { Ok(content) }
    }

    /// Returns the files and links in this directory and those in it.
    pub(super) fn tree(&self, limits: VolumeLimits) -> io::Result<Tree> {
        let (mut tree, mut directories, mut entries) = (Tree::new(), vec![PathBuf::new()], 0);
        let mut bytes = limits.bytes;
        while let Some(path) = directories.pop() {
            let directory = self.open(&path)?;
            for entry in directory.entries()? {
                let (name, kind) = entry?;
                entries += 1;
                if entries > limits.entries() || tree.len() > limits.files {
                    return Err(Errno::FBIG.into());
                }
                let inside = path.join(&name);
                match kind {
                    FileType::Directory => directories.push(inside),
                    FileType::RegularFile => {
                        let content = directory.content(&name, bytes)?;
                        bytes -= content.len() as u64;
                        tree.insert(inside, content);
                    }
                    FileType::Symlink => tree.link(inside, directory.link(&name)?),
                    _ => return Err(Errno::INVAL.into()),
                }
            }
        }
        if tree.len() > limits.files { Err(Errno::FBIG.into()) } else { Ok(tree) }
    }

    /// Removes a directory of this one with all that is in it; of very many entries only some at a time.
    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        let mut room = MOST_REMOVED;
        self.remove_within(name, MOST_LEVELS, &mut room)
    }

    fn remove_within(&self, name: &OsStr, levels: usize, room: &mut usize) -> io::Result<()> {
        let too_deep = || io::Error::other(format!("it has more than {MOST_LEVELS} levels of directories"));
        let too_many = || io::Error::other(format!("it has more than {MOST_REMOVED} entries"));
        let levels = levels.checked_sub(1).ok_or_else(too_deep)?;
        let directory = self.open(Path::new(name))?;
        for entry in directory.entries()? {
            let (name, kind) = entry?;
            *room = room.checked_sub(1).ok_or_else(too_many)?;
            if kind.is_dir() {
                directory.remove_within(&name, levels, room)?;
            } else {
                unlinkat(&directory, &name, AtFlags::empty())?;
            }
        }
        Ok(unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }
}
