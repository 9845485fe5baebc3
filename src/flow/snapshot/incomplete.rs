//! Files that are not whole yet, in directories without a commit point: half-written files, and certificates without their new key.
//! Pure.
//!
//! A shell's `generate > app.conf` empties the file first. So a file that was not empty and is, a file that a program is writing, and
//! a pair with only one new half are given time, each for itself and never without end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use reload_gate_contract::{Code, Finding, Place};
use reload_gate_tls as tls;

use super::writers::{Inode, OpenFiles};
use crate::flow::tree::{Revision, Tree};

const HALF_WRITTEN: Code = Code::new("half-written");
const HALF_A_PAIR: Code = Code::new("half-a-pair");

/// Shortest time for which a file that may be half-written is waited for, and the number of quiet periods if those are longer.
const SHORT: Duration = Duration::from_secs(2);
const QUIET_PERIODS: u32 = 10;
/// Time for a file that has shrunk while a program has it open for writing.
const LONG: Duration = Duration::from_secs(30);
/// Time for the other half of a pair: two templates of one agent are seconds apart.
const PAIR: Duration = Duration::from_secs(10);

/// A file in a directory without a commit point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PlainFile {
    pub(super) inode: Inode,
    pub(super) length: u64,
    /// Time at which it was put in place, if its directory is watched.
    pub(super) placed: Option<SystemTime>,
}

/// Files in directories without a commit point, by their names in the tree.
pub(super) type PlainFiles = BTreeMap<PathBuf, PlainFile>;

/// Memory of the last content that was whole.
#[derive(Debug, Default)]
pub(super) struct LastWhole {
    revision: Option<Arc<Revision>>,
    /// Files that are waited for, and since when.
    waiting: BTreeMap<PathBuf, Instant>,
    /// Files that were taken although a program had them open: it may keep them open.
    kept_open: BTreeSet<PathBuf>,
    /// Files that a program keeps open to append.
    logs: BTreeSet<PathBuf>,
}

/// The files that are not whole.
#[derive(Debug, Default)]
pub(super) struct Incomplete {
    /// Longest time for which one of them is waited for, if any is.
    pub(super) patience: Option<Duration>,
    /// Reasons, also of those that are not waited for any longer.
    pub(super) notes: Vec<Finding>,
    /// Files that a program keeps open and writes.
    pub(super) held: BTreeSet<PathBuf>,
}

/// A reason to wait for a file.
struct Doubt {
    bound: Duration,
    note: Finding,
    /// A program has it open for writing.
    is_open: bool,
}

impl LastWhole {
    /// Compares a content with the last whole one. `writers` returns the files that a program has open for writing.
    pub(super) fn compare(
        &mut self,
        (revision, tree): (&Arc<Revision>, &Tree),
        plain: &PlainFiles,
        (now, quiet): (Instant, Duration),
        writers: impl FnOnce(&BTreeSet<Inode>) -> OpenFiles,
    ) -> Incomplete {
        let short = SHORT.max(quiet * QUIET_PERIODS);
        let mut doubts = self.half_written(revision, plain, short, writers);
        doubts.extend(self.half_pairs(revision, tree, plain));
        self.waiting.retain(|name, _| doubts.contains_key(name));
        let mut incomplete = Incomplete::default();
        for (name, doubt) in doubts {
            let since = *self.waiting.entry(name.clone()).or_insert(now);
            if now < since + doubt.bound {
                incomplete.patience = incomplete.patience.max(Some(doubt.bound));
            } else if doubt.is_open {
                self.kept_open.insert(name);
            }
            incomplete.notes.push(doubt.note);
        }
        if incomplete.patience.is_none() {
            incomplete.held = self.logs.union(&self.kept_open).cloned().collect();
            self.waiting.clear();
            self.revision = Some(revision.clone());
        }
        incomplete
    }

    fn half_written(
        &mut self,
        revision: &Revision,
        plain: &PlainFiles,
        short: Duration,
        writers: impl FnOnce(&BTreeSet<Inode>) -> OpenFiles,
    ) -> BTreeMap<PathBuf, Doubt> {
        let is_changed = |(name, _): &(&PathBuf, &PlainFile)| self.differs(name, revision);
        let inodes = plain.iter().filter(is_changed).map(|(_, file)| file.inode);
        let known = self.logs.iter().chain(&self.kept_open).filter_map(|name| Some(plain.get(name)?.inode));
        let asked: BTreeSet<Inode> = inodes.chain(known).collect();
        let OpenFiles { written: open, appended } =
            if asked.is_empty() { OpenFiles::default() } else { writers(&asked) };
        let logs = plain.iter().filter(|(_, file)| appended.contains(&file.inode) && !open.contains(&file.inode));
        self.logs = logs.map(|(name, _)| name.clone()).collect();
        self.kept_open.retain(|name| plain.get(name).is_some_and(|file| open.contains(&file.inode)));
        let doubt = |(name, file): (&PathBuf, &PlainFile)| {
            let before = self.revision.as_ref().and_then(|before| before.length(name)).unwrap_or(0);
            let is_open = open.contains(&file.inode) && !self.kept_open.contains(name);
            let (bound, what) = match (file.length < before as u64, is_open) {
                (true, true) => (LONG, "has shrunk, and a program is writing it"),
                (false, true) => (short, "is being written by a program"),
                (true, false) if file.length == 0 => (short, "is empty, and was not before"),
                _ => return None,
            };
            let note = Finding::warning(HALF_WRITTEN, format!("`{}` {what}: it may be half-written", name.display()));
            let help = "write it under another name and rename it, so that no reader finds a part of it";
            let note = note.at(Place::file(name.display().to_string())).help(help);
            Some((name.clone(), Doubt { bound, note, is_open }))
        };
        let is_changed = |(name, _): &(&PathBuf, &PlainFile)| self.differs(name, revision);
        plain.iter().filter(is_changed).filter_map(doubt).collect()
    }

    /// Returns the pairs of which one half is new, and does not fit the other, which is old. The halves of one volume change
    /// together.
    fn half_pairs(&self, revision: &Revision, tree: &Tree, plain: &PlainFiles) -> BTreeMap<PathBuf, Doubt> {
        let Some(before) = &self.revision else { return BTreeMap::new() };
        let ends = [".crt", ".pem", ".key"];
        let files = tree.iter().filter_map(|(name, text)| {
            let path = name.to_str().filter(|name| ends.iter().any(|end| name.ends_with(end)))?;
            Some(tls::File { path, text })
        });
        let files: Vec<_> = files.collect();
        if !files.iter().any(|file| self.differs(Path::new(file.path), revision)) {
            return BTreeMap::new();
        }
        let is_new = |file: tls::File<'_>| {
            let name = Path::new(file.path);
            before.contains(name).then(|| self.differs(name, revision))
        };
        let is_plain = |file: tls::File<'_>| plain.contains_key(Path::new(file.path));
        let doubt = |pair: tls::Pair<'_>| {
            let (certificate, key) = (pair.certificate, pair.key?);
            let (new, old) = match (is_new(certificate)?, is_new(key)?) {
                (true, false) => (certificate, key),
                (false, true) => (key, certificate),
                _ => return None,
            };
            let fits = tls::check(&[pair], &tls::TlsOptions::default());
            let fits = fits.iter().all(|finding| finding.code != tls::codes::KEY_MISMATCH);
            let (Some(new_parent), Some(old_parent)) = (Path::new(new.path).parent(), Path::new(old.path).parent())
            else {
                return None;
            };
            if fits || (new_parent == old_parent && !is_plain(new)) {
                return None;
            }
            let message = format!("`{}` is new, and does not fit `{}` yet", new.path, old.path);
            let note = Finding::warning(HALF_A_PAIR, message).at(Place::file(old.path));
            let note = note.help("renew a certificate and its key together");
            Some((PathBuf::from(new.path), Doubt { bound: PAIR, note, is_open: false }))
        };
        tls::pairs(&files).pairs.into_iter().filter_map(doubt).collect()
    }

    fn differs(&self, name: &Path, revision: &Revision) -> bool {
        self.revision.as_ref().is_none_or(|before| before.file(name) != revision.file(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_millis(100);

    /// Files, and those of them that a program has open for writing.
    struct Scans {
        last: LastWhole,
        start: Instant,
    }

    impl Scans {
        fn new() -> Self {
            Self { last: LastWhole::default(), start: Instant::now() }
        }

        /// Returns how long is waited, and the notes, of a scan this many seconds after the start.
        fn at(&mut self, seconds: u64, files: &[(&str, &str)], open: &[&str]) -> (Option<u64>, Vec<String>) {
            let tree: Tree = files.iter().map(|(name, text)| (name.into(), text.as_bytes().to_vec())).collect();
            let inode = |name: &str| (1, u64::from(name.as_bytes()[0]));
            let plain = |(name, text): &(&str, &str)| {
                (PathBuf::from(name), PlainFile { inode: inode(name), length: text.len() as u64, placed: None })
            };
            let plain: PlainFiles = files.iter().map(plain).collect();
            let revision = Arc::new(Revision::of(&tree));
            let now = self.start + Duration::from_secs(seconds);
            let open: BTreeSet<Inode> = open.iter().map(|name| inode(name)).collect();
            let found = self.last.compare((&revision, &tree), &plain, (now, QUIET), |asked| OpenFiles {
                written: &open & asked,
                appended: BTreeSet::new(),
            });
            (
                found.patience.map(|patience| patience.as_secs()),
                found.notes.into_iter().map(|note| note.message).collect(),
            )
        }
    }

    fn note(text: &str) -> Vec<String> {
        vec![format!("{text}: it may be half-written")]
    }

    #[test]
    fn a_file_that_was_emptied_is_waited_for_and_then_taken() {
        let mut scans = Scans::new();
        assert_eq!(scans.at(0, &[("a", "one"), ("b", "")], &[]), (None, vec![]), "an empty file may always have been");
        let emptied = note("`a` is empty, and was not before");
        assert_eq!(scans.at(5, &[("a", ""), ("b", "")], &[]), (Some(2), emptied.clone()));
        assert_eq!(scans.at(6, &[("a", ""), ("b", "")], &[]), (Some(2), emptied.clone()));
        assert_eq!(scans.at(7, &[("a", ""), ("b", "")], &[]), (None, emptied), "with a note");
        assert_eq!(scans.at(8, &[("a", ""), ("b", "")], &[]), (None, vec![]));
    }

    #[test]
    fn a_file_whose_rest_arrives_is_taken_at_once() {
        let mut scans = Scans::new();
        scans.at(0, &[("a", "one")], &[]);
        assert_eq!(scans.at(1, &[("a", "")], &["a"]).0, Some(30));
        assert_eq!(scans.at(9, &[("a", "t")], &["a"]).0, Some(30), "it is shorter than before");
        assert_eq!(
            scans.at(20, &[("a", "two and more")], &["a"]).0,
            None,
            "the time for a file that only grows is over"
        );
        assert_eq!(scans.at(21, &[("a", "two")], &[]), (None, vec![]));
    }

    #[test]
    fn a_file_that_stays_open_is_waited_for_once() {
        let mut scans = Scans::new();
        scans.at(0, &[("a", "one")], &[]);
        let written = note("`a` is being written by a program");
        assert_eq!(scans.at(1, &[("a", "one two")], &["a"]), (Some(2), written.clone()));
        assert_eq!(scans.at(4, &[("a", "one two")], &["a"]), (None, written.clone()));
        assert_eq!(scans.at(5, &[("a", "one two three")], &["a"]), (None, vec![]), "it stays open, as a log does");
        assert_eq!(scans.at(6, &[("a", "one two three four")], &[]), (None, vec![]));
        assert_eq!(scans.at(7, &[("a", "one two three four five")], &["a"]), (Some(2), written));
    }

    #[test]
    fn a_certificate_and_its_key_wait_for_each_other() {
        let (old_certificate, old_key) =
            (include_str!("../../../fixtures/pairs/old.crt"), include_str!("../../../fixtures/pairs/old.key"));
        let (new_certificate, new_key) =
            (include_str!("../../../fixtures/pairs/new.crt"), include_str!("../../../fixtures/pairs/new.key"));
        let mut scans = Scans::new();
        assert_eq!(scans.at(0, &[("tls.crt", old_certificate), ("tls.key", old_key)], &[]), (None, vec![]));
        let half = [("tls.crt", new_certificate), ("tls.key", old_key)];
        let waiting = vec!["`tls.crt` is new, and does not fit `tls.key` yet".to_owned()];
        assert_eq!(scans.at(1, &half, &[]), (Some(10), waiting.clone()));
        assert_eq!(scans.at(4, &[("tls.crt", new_certificate), ("tls.key", new_key)], &[]), (None, vec![]));
        assert_eq!(scans.at(5, &half, &[]).0, Some(10));
        assert_eq!(scans.at(15, &half, &[]).0, None, "the time is over");
        assert_eq!(scans.at(16, &half, &[]), (None, vec![]), "the validators know better now");
    }
}
