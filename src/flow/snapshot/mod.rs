//! Reads the sources of a gate into one tree. IO: reads files, never writes.
//!
//! The tree is one generation: a ConfigMap or Secret volume is read through its pinned timestamped directory (`..data` is
//! resolved once), and a file that vanishes while it is read restarts the whole read. Entries that are no configuration are
//! refused without being opened: FIFOs, devices, sockets, and links that leave the sources.

mod reader;
mod secret;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use reload_gate_contract::{Code, Finding};

use crate::flow::tree::{Revision, Tree};
use crate::flow::watch::WatchPoint;

/// Number of reads that may meet a vanishing file before the sources count as moving.
const ATTEMPTS: usize = 5;

/// One place from which configuration comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Path in the gate's file system: absolute, of a directory or file, which need not exist yet.
    pub path: PathBuf,
    /// Path in the application's file system.
    pub mount: PathBuf,
    /// Set if a path of one file of a ConfigMap or Secret volume means the whole volume.
    pub whole_volume: bool,
}

/// Largest tree that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The sum of the sizes of all files, in bytes.
    pub bytes: u64,
    /// The number of files.
    pub files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 16 << 20, files: 10_000 }
    }
}

/// A tree that was read.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Names and digests.
    pub revision: Arc<Revision>,
    /// Names and contents.
    pub tree: Arc<Tree>,
    /// The files that lie in memory.
    pub in_memory: Arc<BTreeSet<PathBuf>>,
    /// Time at which the newest part of it was put in place, by the clock of the file system (`st_ctime`; inode(7)).
    pub delivered: SystemTime,
    /// Set if the visible names agree with those that were committed. A kubelet makes the links of new keys and removes those of
    /// deleted ones after the swap of `..data`, so for an instant it does not.
    pub settled: bool,
}

/// Reason why there is no tree.
#[derive(Clone, Debug)]
pub struct SnapshotError {
    /// The reasons; at least one is an error.
    pub findings: Vec<Finding>,
    /// Set if the sources were seen at rest; otherwise the reasons may be gone in an instant.
    pub settled: bool,
}

/// The outcome of one scan.
#[derive(Debug)]
pub struct Scan {
    /// The directories in which a change would be visible.
    pub watch_points: Vec<WatchPoint>,
    /// The tree, or the reason why there is none.
    pub result: Result<Snapshot, SnapshotError>,
}

/// Reads `sources`.
#[must_use]
pub fn scan(sources: &[Source], limits: Limits) -> Scan {
    let mut attempt = 1;
    loop {
        let mut reader = reader::SourceReader::new(sources, limits);
        match reader.read() {
            Ok(()) => return reader.finish(),
            Err(_) if attempt < ATTEMPTS => attempt += 1,
            Err(vanished) => return reader.give_up(&vanished),
        }
    }
}

/// Returns true if a finding of this code says that there is nothing to validate, rather than that a file cannot be read.
#[must_use]
pub fn is_nothing_there(code: Code) -> bool {
    code == reader::MISSING_SOURCE || code == reader::EMPTY_SOURCE
}

/// Returns true if a finding of this code says that the source is there, and holds nothing.
#[must_use]
pub fn is_empty(code: Code) -> bool {
    code == reader::EMPTY_SOURCE
}

#[cfg(test)]
mod tests;
