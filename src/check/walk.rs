//! The walk of a directory: what is read in it, and what is hidden. IO: lists directories, reads links and the index of git.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ignore::gitignore::Gitignore;
use ignore::{DirEntry, WalkBuilder};

use super::charts::CHART;
use super::gitignore::HiddenFiles;
use super::tracked;

/// Largest number of files that are counted and not read.
pub(super) const MOST_COUNTED: usize = 10_000;

/// Directories of packages, to which links of a directory of the system lead (`modules-enabled` of Debian's nginx).
const PACKAGES: [&str; 3] = ["/usr", "/lib", "/lib64"];

/// Returns the repository that a directory is in.
pub(super) fn repository(directory: &Path) -> Option<&Path> {
    directory.ancestors().find(|above| above.join(".git").exists())
}

/// Returns true if a link leads out of `repository`, or to what git keeps there: credentials may be among that.
fn leads_out(link: &Path, repository: &Path) -> bool {
    let is_inside = |to: &Path| to.starts_with(repository) && !to.starts_with(repository.join(".git"));
    let is_of_package = |to: &Path| PACKAGES.iter().any(|path| to.starts_with(path));
    link.canonicalize().is_ok_and(|to| !is_inside(&to) && !is_of_package(&to))
}

/// Returns true for a link in a repository that leads out of it. A link in no repository was made by the user who names it.
pub(super) fn leaves_repository(link: &Path) -> bool {
    let parent = link.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let real = parent.canonicalize().unwrap_or_default();
    repository(&real).is_some_and(|repository| leads_out(link, repository))
}

/// Links that lead out of the repository of a directory, or out of the directory where it is in none.
#[derive(Clone, Debug, Default)]
pub(super) struct LeavingLinks(Arc<Mutex<Vec<PathBuf>>>);

impl LeavingLinks {
    /// Returns the links so far.
    pub(super) fn take(&self) -> Vec<PathBuf> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns true, and keeps the link, if that is one.
    fn note(&self, link: &Path, repository: Option<&Path>) -> bool {
        let leaves = repository.is_some_and(|repository| leads_out(link, repository));
        if leaves {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(link.to_owned());
        }
        leaves
    }
}

/// Returns the entries of a directory and below it, sorted, without hidden ones and without what `.gitignore` or `exclude` matches, nor links
/// that are `leaving`. Templates of charts are no YAML until they are rendered.
pub(super) fn visible(
    root: &Path,
    exclude: &Gitignore,
    leaving: &LeavingLinks,
) -> impl Iterator<Item = Result<DirEntry, ignore::Error>> {
    let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    let (exclude, leaving) = (exclude.clone(), leaving.clone());
    let real = root.canonicalize().ok();
    let top = real.as_deref().and_then(repository).map(Path::to_owned);
    let repository = top.or_else(|| real.clone());
    let (given, real) = (root.to_owned(), real.unwrap_or_else(|| root.to_owned()));
    let patterns = HiddenFiles::of(repository.as_deref().unwrap_or(&real));
    let is_hidden = move |path: &Path, is_directory: bool| {
        path.strip_prefix(&given).is_ok_and(|inside| patterns.hide(&real.join(inside), is_directory))
    };
    let is_wanted = move |entry: &DirEntry| {
        let is_directory = entry.file_type().is_some_and(|kind| kind.is_dir());
        let is_linked = entry.path_is_symlink();
        entry.depth() == 0
            || (is_read(entry.path(), is_directory, &exclude)
                && !is_hidden(entry.path(), is_directory)
                && !(is_linked && leaving.note(entry.path(), repository.as_deref())))
    };
    let mut walk = unfiltered(root);
    walk.hidden(false).follow_links(true).filter_entry(is_wanted);
    walk.sort_by_file_name(OsStr::cmp).build()
}

/// Returns a walk that reads no file of patterns by itself: that would read a device, and wait for a FIFO.
fn unfiltered(root: &Path) -> WalkBuilder {
    let mut walk = WalkBuilder::new(root);
    walk.ignore(false).git_ignore(false).git_exclude(false).git_global(false).parents(false).require_git(false);
    walk
}

/// Returns true if a path is read, whatever a `.gitignore` says.
fn is_read(path: &Path, is_directory: bool, exclude: &Gitignore) -> bool {
    let name = path.file_name().unwrap_or_default();
    let is_of_chart =
        || (name == "templates" || name == "charts") && path.parent().is_some_and(|chart| chart.join(CHART).is_file());
    name != "node_modules" && !exclude.matched(path, is_directory).is_ignore() && !(is_directory && is_of_chart())
}

/// Files that the walk of a directory has not seen.
pub(super) enum Unseen {
    /// Those that git tracks.
    Tracked(Vec<PathBuf>),
    /// The number of those that a `.gitignore` hides, where it is unknown what git tracks.
    Unknown(usize),
}

/// Returns the files of a directory that its walk has not seen: git tracks some files that a `.gitignore` matches.
pub(super) fn unseen(root: &Path, seen: &BTreeSet<PathBuf>, exclude: &Gitignore, leaving: &LeavingLinks) -> Unseen {
    let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    let Ok(real) = root.canonicalize() else { return Unseen::Unknown(0) };
    let top = repository(&real);
    let Some(tracked) = top.and_then(tracked::tracked) else { return Unseen::Unknown(hidden(root, seen, exclude)) };
    let inside = top.and_then(|top| real.strip_prefix(top).ok()).unwrap_or(Path::new(""));
    let below = tracked.iter().filter_map(|file| file.strip_prefix(inside).ok()).map(|file| root.join(file));
    let is_hidden = |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let is_wanted = |file: &PathBuf| {
        let mut above = file.ancestors().skip(1).take_while(|above| *above != root);
        let is_open = |above: &Path| !is_hidden(above) && !above.is_symlink() && is_read(above, true, exclude);
        !is_hidden(file) && above.all(is_open) && is_read(file, false, exclude)
    };
    let found = below.filter(|file| !seen.contains(file) && is_wanted(file) && file.is_file());
    Unseen::Tracked(found.filter(|file| !(file.is_symlink() && leaving.note(file, top))).collect())
}

/// Returns the number of files of a directory that a `.gitignore` hides, up to the largest that is counted.
fn hidden(root: &Path, seen: &BTreeSet<PathBuf>, exclude: &Gitignore) -> usize {
    let exclude = exclude.clone();
    let is_wanted = move |entry: &DirEntry| {
        let is_directory = entry.file_type().is_some_and(|kind| kind.is_dir());
        entry.depth() == 0 || is_read(entry.path(), is_directory, &exclude)
    };
    let walk = unfiltered(root).filter_entry(is_wanted).build();
    let files = walk.flatten().filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()));
    files.filter(|entry| !seen.contains(entry.path())).take(MOST_COUNTED).count()
}
