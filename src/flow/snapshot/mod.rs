//! Reads the sources of a gate into one tree. IO: reads files, never writes.
//!
//! The tree is one generation: a ConfigMap or Secret volume is read through its pinned timestamped directory (`..data` is
//! resolved once), and a file that vanishes while it is read restarts the whole read. What is no configuration is refused
//! without being opened: FIFOs, devices, sockets, and links that leave the sources.

mod reader;
mod secret;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use reload_gate_contract::{Code, Finding};

use crate::flow::tree::{Revision, Tree};
use crate::flow::watch::WatchPoint;

/// How often a read that met a vanishing file is begun anew before the sources count as moving.
const ATTEMPTS: usize = 5;

/// One place that configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where the gate sees it: an absolute path of a directory or file, which need not exist yet.
    pub path: PathBuf,
    /// Where the application sees it.
    pub mount: PathBuf,
    /// Whether a path which is one file of a ConfigMap or Secret volume stands for the whole volume.
    pub whole_volume: bool,
}

/// How large a tree may be.
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
    /// Those of the files that lie in memory.
    pub in_memory: Arc<BTreeSet<PathBuf>>,
    /// When the newest part of it was put in place, by the clock of the file system (`st_ctime`; inode(7)).
    pub delivered: SystemTime,
    /// Whether what is visible agrees with what was committed. A kubelet makes the links of new keys and removes those of
    /// deleted ones after the swap of `..data`, so for an instant it does not.
    pub settled: bool,
}

/// Why there is no tree.
#[derive(Clone, Debug)]
pub struct SnapshotError {
    /// The reasons; at least one is an error.
    pub findings: Vec<Finding>,
    /// Whether the sources were seen at rest; if not, the reasons may be gone in an instant.
    pub settled: bool,
}

/// The outcome of one look at the sources.
#[derive(Debug)]
pub struct Scan {
    /// The directories in which a change would show.
    pub watch_points: Vec<WatchPoint>,
    /// The tree, or why there is none.
    pub result: Result<Snapshot, SnapshotError>,
}

/// Looks at `sources`.
#[must_use]
pub fn scan(sources: &[Source], limits: Limits) -> Scan {
    let mut attempt = 1;
    loop {
        let mut reader = reader::Reader::new(sources, limits);
        match reader.read() {
            Ok(()) => return reader.finish(),
            Err(_) if attempt < ATTEMPTS => attempt += 1,
            Err(vanished) => return reader.give_up(&vanished),
        }
    }
}

/// Whether a finding of this code says that there is nothing to judge, rather than that something cannot be read.
#[must_use]
pub fn is_nothing_there(code: Code) -> bool {
    code == reader::MISSING_SOURCE || code == reader::EMPTY_SOURCE
}

/// Whether a finding of this code says that what is watched is there, and holds nothing.
#[must_use]
pub fn is_empty(code: Code) -> bool {
    code == reader::EMPTY_SOURCE
}

#[cfg(test)]
mod tests;
