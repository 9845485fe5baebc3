//! Files that change on their own, whether the gate acts or not: caches, state, output of other programs.
//!
//! Their changes start no reload while they go on. When they have rested for a while, their content is taken as any other is; if they go on
//! soon afterwards, they must rest for longer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Evidence, GROWTH, Motion};
use crate::flow::tree::{Digest, Revision};

/// The time for which such files must rest at first, and the number of times that it grows.
const REST: Duration = Duration::from_secs(10);
const LONGEST_REST: u32 = 2;
/// The time for which a change of a file outside of the time after an action is remembered.
const STRAY: Duration = Duration::from_secs(60);

/// The knowledge about files that change on their own.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnMotion {
    /// The last change of one of them.
    last: Option<Instant>,
    /// The number of times that they have rested.
    rests: u32,
    /// Those that have rested, and when.
    rested: Option<(BTreeSet<PathBuf>, Instant)>,
    /// The content that they have now must be taken.
    taking: bool,
    /// Files that change because of the gate, and have changed at another time, with the content of that time.
    strays: BTreeMap<PathBuf, (Digest, Instant)>,
}

impl Motion {
    /// The files that differ between two contents. Those that come and go count by a pattern of their place, such as `cache/*`, since each has
    /// a name of its own; so do the others in such a place. Known configuration counts by its name.
    pub(super) fn moves(&self, before: &Revision, after: &Revision) -> BTreeSet<PathBuf> {
        let changed = after.changed_since(before);
        let passes = |file: &&PathBuf| before.contains(file) != after.contains(file);
        let is_unread = |file: &&PathBuf| !self.configuration.contains(*file);
        let places: BTreeSet<&PathBuf> = changed.iter().filter(passes).filter(is_unread).collect();
        let tried = self.trial.iter().map(|trial| &trial.files).chain(self.test.iter().map(|test| &test.files));
        let known: BTreeSet<&PathBuf> =
            self.moving.keys().chain(tried.flatten()).filter(|file| is_pattern(file)).collect();
        if places.is_empty() && known.is_empty() {
            return changed.into_iter().collect();
        }
        let lasting = after.names().filter(|name| before.contains(name)).filter_map(Path::parent);
        let lasting: BTreeSet<&Path> = lasting.collect();
        let places: BTreeSet<PathBuf> = places.into_iter().map(|file| place(file, &lasting)).collect();
        let counts_by = |file: PathBuf| {
            let pattern = Some(&file).filter(is_unread).map(|file| place(file, &lasting));
            pattern.filter(|pattern| places.contains(pattern) || known.contains(pattern)).unwrap_or(file)
        };
        changed.into_iter().map(counts_by).collect()
    }

    /// The number of times in a row that `file` has changed after an action. A file that came with one action may change with the next, and
    /// the other way round.
    pub(super) fn times(&self, file: &Path) -> u32 {
        let is_same = |other: &Path| {
            (is_pattern(other) || is_pattern(file)) && other.parent().is_some_and(|place| file.starts_with(place))
        };
        let alike = self.suspects.iter().filter(|(other, _)| *other == file || is_same(other));
        alike.map(|(_, times)| *times).max().unwrap_or_default()
    }

    /// Records files that changed in the pause of an experiment, unless the application may read them: what comes and goes, or what is not
    /// among the known configuration. Returns `true` if they are recorded.
    pub(super) fn change_alone(&mut self, now: Instant, files: &BTreeSet<PathBuf>) -> bool {
        let is_output = |file: &PathBuf| is_pattern(file) || !self.configuration.is_empty();
        let are_outputs = files.iter().all(|file| is_output(file) && !self.configuration.contains(file));
        if are_outputs {
            self.convict_alone(now, files.iter().cloned());
        }
        are_outputs
    }

    fn convict_alone(&mut self, now: Instant, files: impl IntoIterator<Item = PathBuf>) {
        self.moving.extend(files.into_iter().map(|file| (file, Evidence::Alone)));
        self.alone.last = Some(now);
    }

    /// Takes in that `files` have changed. Returns `true` if they are known to change on their own, or turn out to.
    pub(super) fn moves_alone(&mut self, now: Instant, files: &[&PathBuf], revision: &Revision) -> bool {
        let is_alone = |file: &&&PathBuf| self.moving.get(**file) == Some(&Evidence::Alone);
        if files.iter().all(|file| is_alone(&file)) {
            self.alone.last = Some(now);
            return true;
        }
        self.goes_on(now, files) || self.strays(now, files, revision)
    }

    /// Returns `true` if these files have rested, and go on so soon that they must rest for longer.
    fn goes_on(&mut self, now: Instant, files: &[&PathBuf]) -> bool {
        let rest = self.rest();
        let Some((rested, at)) = self.alone.rested.take() else { return false };
        if now > at + rest {
            self.alone.rests = 0;
            return false;
        }
        let goes_on = !self.alone.taking && files.iter().all(|file| rested.contains(*file));
        if goes_on {
            self.convict_alone(now, rested);
        } else {
            self.alone.rested = Some((rested, at));
        }
        goes_on
    }

    /// Takes in changes outside of the time after an action. Returns `true` if all files changed so before, with another content: then they
    /// change on their own, too.
    fn strays(&mut self, now: Instant, files: &[&PathBuf], revision: &Revision) -> bool {
        let digest = revision.digest();
        self.alone.strays.retain(|_, (_, at)| now < *at + STRAY);
        let is_caused = |file: &&&PathBuf| self.moving.get(**file) == Some(&Evidence::Caused);
        if !files.iter().all(|file| is_caused(&file)) {
            return false;
        }
        let strayed = |file: &PathBuf| self.alone.strays.get(file).is_some_and(|(before, _)| *before != digest);
        if files.iter().all(|file| strayed(file)) {
            self.convict_alone(now, files.iter().map(|file| (*file).clone()));
            return true;
        }
        for file in files {
            self.alone.strays.entry((*file).clone()).or_insert((digest, now));
        }
        false
    }

    fn rest(&self) -> Duration {
        REST * GROWTH.saturating_pow(self.alone.rests.min(LONGEST_REST))
    }

    /// The time at which the files that change on their own have rested.
    pub(super) fn rest_end(&self) -> Option<Instant> {
        let is_alone = self.moving.values().any(|evidence| *evidence == Evidence::Alone);
        self.alone.last.filter(|_| is_alone).map(|last| last + self.rest())
    }

    /// Lets the content of files that have rested be taken.
    pub(super) fn take_rested(&mut self, now: Instant) {
        if self.rest_end().is_none_or(|end| now < end) {
            return;
        }
        let rested = self.moving.iter().filter(|(_, evidence)| **evidence == Evidence::Alone);
        let rested: BTreeSet<PathBuf> = rested.map(|(file, _)| file.clone()).collect();
        self.moving.retain(|file, _| !rested.contains(file));
        self.alone.rested = Some((rested, now));
        self.alone.rests = self.alone.rests.saturating_add(1);
        self.alone.taking = true;
    }

    /// Records that a new content is desired, which has what has rested in it.
    pub(super) fn has_taken(&mut self) {
        self.alone.taking = false;
    }

    /// Returns `true` if one of the files changes on its own.
    pub(in crate::gate) fn is_alone(&self) -> bool {
        self.moving.values().any(|evidence| *evidence == Evidence::Alone)
    }
}

/// The pattern of the files in the place of `file`: the highest directory above it beside which no file lasts.
fn place(file: &Path, lasting: &BTreeSet<&Path>) -> PathBuf {
    let mut place = file.parent().unwrap_or(Path::new(""));
    while let Some(above) = place.parent().filter(|above| above.parent().is_some() && !lasting.contains(above)) {
        place = above;
    }
    place.join("*")
}

fn is_pattern(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name == "*")
}
