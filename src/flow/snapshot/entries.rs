//! Names and kinds in a directory. IO: reads it through an open handle.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{FileType, RawDir};
use rustix::io::Errno;

/// Bytes that one reading takes: some hundred names.
const BUFFER: usize = 16 << 10;

/// A name in a directory, and the kind of its file, if the file system tells it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) name: OsString,
    pub(super) kind: Option<EntryKind>,
}

/// The kinds that a reader tells apart without asking again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EntryKind {
    File,
    Directory,
    Socket,
}

/// Returns true if one of the sorted entries has this name.
pub(super) fn has_name(entries: &[Entry], name: &str) -> bool {
    entries.binary_search_by(|entry| entry.name.as_os_str().cmp(OsStr::new(name))).is_ok()
}

/// Returns the entries of a directory from the position of its handle on, sorted by the bytes of their names.
///
/// # Errors
/// When the directory cannot be read.
pub(super) fn entries(directory: impl AsFd) -> Result<Vec<Entry>, Errno> {
    let mut buffer = Vec::with_capacity(BUFFER);
    let mut listing = RawDir::new(directory, buffer.spare_capacity_mut());
    let mut entries = Vec::new();
    while let Some(entry) = listing.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::RegularFile => Some(EntryKind::File),
            FileType::Directory => Some(EntryKind::Directory),
            FileType::Socket => Some(EntryKind::Socket),
            _ => None,
        };
        entries.push(Entry { name: OsStr::from_bytes(name).to_owned(), kind });
    }
    entries.sort_unstable();
    entries.shrink_to_fit();
    Ok(entries)
}
