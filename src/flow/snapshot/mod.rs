//! Reads the sources of a gate into one tree. IO: reads files, never writes.
//!
//! The tree is one generation: a ConfigMap or Secret volume is read through its pinned timestamped directory (`..data` is
//! resolved once), and a file that vanishes while it is read restarts the whole read. Entries that are no configuration are
//! refused without being opened: FIFOs, devices and sockets.
//!
//! A link that leaves the sources is followed to a file, as in the trees that packages ship; a directory to which it leads, such as
//! `modules` or `logs`, counts by its name. In a volume that a kubelet writes, and with `--links refuse`, no link leads out.

mod contents;
mod entries;
mod incomplete;
mod litter;
mod newest;
mod outputs;
mod outside;
mod reader;
mod secret;
mod selection;
mod writers;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use reload_gate_contract::{Code, Finding};

pub use contents::{Access, read as read_contents};
use incomplete::{LastWhole, PlainFiles};
use newest::{KnownVolumes, Newest};
use reader::WholeScan;
pub use selection::{FilePattern, Selection};

use crate::flow::tree::{Limits, Revision, Tree};
use crate::flow::watch::WatchPoint;

/// Time for which a volume is given to agree with itself: its visible names with `..data`, its owner with the reader.
const AGREEMENT: Duration = Duration::from_secs(1);

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

/// Treatment of links that leave the sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkPolicy {
    /// A file that they lead to is read; of a directory the name counts.
    #[default]
    Follow,
    /// They are an error.
    Refuse,
}

/// Settings of a scan.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// The largest tree that is read.
    pub limits: Limits,
    /// Treatment of links that leave the sources.
    pub links: LinkPolicy,
    /// The files that belong to the configuration.
    pub selection: Selection,
    /// The quiet period of directories without a commit point.
    pub quiet: Duration,
    /// The application reads a copy, which has files and links alone.
    pub is_copied: bool,
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
    /// True if every source is a volume that only a kubelet writes: neither the application nor a checker can change it.
    pub committed: bool,
    /// Time for which it may be waited until the sources are at rest, if they are not.
    pub patience: Duration,
    /// Warnings about the state in which the sources were found, such as a file that may be half-written.
    pub notes: Vec<Finding>,
    /// Files that a program keeps open and writes: they are its output, and no configuration.
    pub held: Arc<BTreeSet<PathBuf>>,
}

/// Reason why there is no tree.
#[derive(Clone, Debug)]
pub struct SnapshotError {
    /// The reasons; at least one is an error.
    pub findings: Vec<Finding>,
    /// Set if the sources were seen at rest; otherwise the reasons may be gone in an instant.
    pub settled: bool,
    /// Time for which it may be waited until they are.
    pub patience: Duration,
    /// The system was short of something, or the device failed: it may be over without any event.
    pub short: bool,
}

/// The outcome of one scan.
#[derive(Debug)]
pub struct Scan {
    /// The directories in which a change would be visible.
    pub watch_points: Vec<WatchPoint>,
    /// The tree, or the reason why there is none.
    pub result: Result<Snapshot, SnapshotError>,
}

/// Reads sources again and again, and remembers what was whole. It can be moved to a thread of its own.
#[derive(Debug)]
pub struct Scanner {
    sources: Vec<Source>,
    options: ReadOptions,
    last: LastWhole,
    /// The sources as the last scan found them, if they are volumes at rest.
    known: Option<KnownVolumes>,
}

impl Scanner {
    /// Creates a scanner of these sources.
    #[must_use]
    pub fn new(sources: Vec<Source>, options: ReadOptions) -> Self {
        Self { sources, options, last: LastWhole::default(), known: None }
    }

    /// Reads the sources.
    pub fn scan(&mut self) -> Scan {
        let WholeScan { mut scan, plain, volumes } = read(&self.sources, &self.options);
        if let Ok(snapshot) = &mut scan.result
            && snapshot.settled
        {
            self.compare(snapshot, &plain);
        }
        let at_rest = scan.result.as_ref().ok().filter(|snapshot| snapshot.settled && snapshot.committed);
        let known = |snapshot: &Snapshot| KnownVolumes { volumes, snapshot: snapshot.clone() };
        self.known = at_rest.map(known).filter(|known| known.volumes.len() == self.sources.len());
        scan
    }

    /// Reads the newest generations if the sources are volumes that the last scan found at rest, and nothing else in them may have
    /// changed. Waits for no disk and no server.
    pub fn newest_at_once(&mut self) -> Option<Snapshot> {
        self.newest(Access::AtOnce)
    }

    /// Reads the same, whatever it takes.
    pub fn newest_in_time(&mut self) -> Option<Snapshot> {
        self.newest(Access::Waiting)
    }

    /// Reads the generations that the last scan found as if they were new, and returns them with a change. Nothing is remembered of it.
    #[must_use]
    pub fn rehearse(&self) -> Option<Snapshot> {
        self.known.as_ref()?.rehearse(&self.options)
    }

    fn newest(&mut self, access: Access) -> Option<Snapshot> {
        let known = self.known.as_ref()?;
        let mut known = match known.read(&self.options, access)? {
            Newest::Same => return Some(known.snapshot.clone()),
            Newest::Changed(known) => known,
        };
        self.compare(&mut known.snapshot, &PlainFiles::new());
        let snapshot = known.snapshot.clone();
        self.known = Some(known).filter(|known| known.snapshot.settled);
        Some(snapshot)
    }

    /// Compares a snapshot at rest with the last whole one.
    fn compare(&mut self, snapshot: &mut Snapshot, plain: &PlainFiles) {
        let (content, quiet) = ((&snapshot.revision, &*snapshot.tree), self.options.quiet);
        let incomplete = self.last.compare(content, plain, (Instant::now(), quiet), writers::open_for_writing);
        snapshot.settled = incomplete.patience.is_none();
        // The scanner ends the waiting itself; the margin is for the scan that does so.
        snapshot.patience = incomplete.patience.map_or(AGREEMENT, |patience| patience + AGREEMENT);
        snapshot.notes = incomplete.notes;
        snapshot.held = Arc::new(incomplete.held);
    }
}

/// Reads `sources` once, without a memory of what was there before.
#[must_use]
pub fn scan(sources: &[Source], options: &ReadOptions) -> Scan {
    read(sources, options).scan
}

fn read(sources: &[Source], options: &ReadOptions) -> WholeScan {
    let mut attempt = 1;
    loop {
        let mut reader = reader::SourceReader::new(sources, options);
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
