//! Finds files that a process has open for writing. IO: reads `/proc`.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, StatxFlags};

use crate::sys::shortage::is_shortage;

/// Device and inode of a file.
pub(super) type Inode = (u64, u64);

/// Time after which the search ends; it is a courtesy, and a host may have a million descriptors.
const LONGEST: Duration = Duration::from_millis(100);

/// Files that processes have open.
#[derive(Debug, Default)]
pub(super) struct OpenFiles {
    /// Open for writing.
    pub(super) written: BTreeSet<Inode>,
    /// Open to append, as logs are.
    pub(super) appended: BTreeSet<Inode>,
}

/// Returns those of `files` that a process has open for writing, as far as this process may look (proc_pid_fd(5)).
pub(super) fn open_for_writing(files: &BTreeSet<Inode>) -> OpenFiles {
    let mut found = OpenFiles::default();
    let unknown = || OpenFiles { written: files.clone(), appended: BTreeSet::new() };
    let start = Instant::now();
    let processes = match std::fs::read_dir("/proc") {
        // Without a descriptor nothing is known: the files may all be in the making.
        Err(error) if is_shortage(&error) => return unknown(),
        processes => processes.into_iter().flatten().flatten(),
    };
    let is_process =
        |entry: &std::fs::DirEntry| entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit);
    for process in processes.filter(is_process) {
        let descriptors = match std::fs::read_dir(process.path().join("fd")) {
            Ok(descriptors) => descriptors,
            Err(error) if is_shortage(&error) => return unknown(),
            Err(_) => continue,
        };
        for descriptor in descriptors.flatten() {
            if found.written.len() == files.len() || start.elapsed() > LONGEST {
                return found;
            }
            let inode = inode(&descriptor.path()).filter(|inode| files.contains(inode));
            let Some(inode) = inode else { continue };
            match flags(&process.path().join("fdinfo").join(descriptor.file_name())) {
                flags if flags & ACCESS == 0 => {}
                flags if flags & APPEND != 0 => drop(found.appended.insert(inode)),
                _ => drop(found.written.insert(inode)),
            }
        }
    }
    found
}

/// Returns the file to which a descriptor leads. A server that does not answer is not asked.
fn inode(descriptor: &Path) -> Option<Inode> {
    let stat = rustix::fs::statx(CWD, descriptor, AtFlags::STATX_DONT_SYNC, StatxFlags::INO | StatxFlags::TYPE).ok()?;
    Some((rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor), stat.stx_ino))
}

/// O_WRONLY and O_RDWR, and O_APPEND, of open(2).
const ACCESS: u32 = 0o3;
const APPEND: u32 = 0o2000;

/// The flags of a descriptor (proc_pid_fdinfo(5)); none of one that is closed.
fn flags(descriptor: &Path) -> u32 {
    let text = std::fs::read_to_string(descriptor).unwrap_or_default();
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn a_file_that_is_open_for_writing_is_found_and_a_log_is_not() {
        let here = tempfile::tempdir().expect("there is room");
        let path = |name: &str| here.path().join(name);
        for name in ["written", "log", "read", "closed"] {
            std::fs::write(path(name), "x").expect("there is room");
        }
        let inode = |name: &str| path(name).metadata().map(|metadata| (metadata.dev(), metadata.ino())).expect("ours");
        let _written = OpenOptions::new().write(true).open(path("written")).expect("ours");
        let _log = OpenOptions::new().append(true).open(path("log")).expect("ours");
        let _read = std::fs::File::open(path("read")).expect("ours");
        let files = ["written", "log", "read", "closed"].map(inode).into();
        let found = open_for_writing(&files);
        assert_eq!(found.written, [inode("written")].into());
        assert_eq!(found.appended, [inode("log")].into());
    }
}
