//! The directories in which a change of a source would be visible. IO: resolves links.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

/// Number of links that may lead from a source's path to its directory (`MAXSYMLINKS` of the kernel, path_resolution(7)).
const MAX_LINKS: usize = 40;

/// The names in a directory whose changes count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Interest {
    /// Any name.
    Plain,
    /// A ConfigMap or Secret volume: the swap of `..data`, and the changes after it.
    Volume,
    /// These files only: other files beside them are no configuration.
    Files(BTreeSet<OsString>),
    /// These names only, and not what is in them: the directory is on the way to a source.
    Way(BTreeSet<OsString>),
}

/// A directory to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchPoint {
    pub(super) path: PathBuf,
    pub(super) interest: Interest,
}

/// Directories to watch, while they are being collected.
#[derive(Debug, Default)]
pub struct WatchPoints {
    sources: BTreeMap<PathBuf, Interest>,
    way: BTreeMap<PathBuf, BTreeSet<OsString>>,
}

impl WatchPoints {
    /// Adds a directory in which any change counts.
    pub fn plain(&mut self, dir: &Path) {
        self.sources.insert(dir.into(), Interest::Plain);
    }

    /// Adds a volume that a kubelet writes.
    pub fn volume(&mut self, dir: &Path) {
        self.sources.insert(dir.into(), Interest::Volume);
    }

    /// Adds one file in a directory.
    pub fn file(&mut self, dir: &Path, name: &OsStr) {
        match self.sources.entry(dir.into()).or_insert_with(|| Interest::Files(BTreeSet::new())) {
            Interest::Files(names) => {
                names.insert(name.into());
            }
            Interest::Plain | Interest::Volume | Interest::Way(_) => {}
        }
    }

    /// Adds the places where `path` itself can appear, vanish or be led elsewhere: each directory on the way to it, links included, as
    /// far as there is one.
    pub fn anchor(&mut self, path: &Path) {
        let mut links = 0;
        let mut here = PathBuf::from("/");
        let mut ahead: Vec<OsString> = components(path);
        while let Some(component) = ahead.pop() {
            if component == ".." {
                here.pop();
                continue;
            }
            let next = here.join(&component);
            self.way.entry(here.clone()).or_default().insert(component);
            let kind = next.symlink_metadata().map(|metadata| metadata.file_type());
            let is_link = kind.as_ref().is_ok_and(std::fs::FileType::is_symlink);
            if kind.is_err() || links > MAX_LINKS {
                return;
            }
            let Some(target) = is_link.then(|| next.read_link().ok()).flatten() else {
                here = next;
                continue;
            };
            links += 1;
            if target.is_absolute() {
                here = PathBuf::from("/");
            }
            ahead.extend(components(&target));
        }
    }
}

/// Returns the components of a path, the last first.
fn components(path: &Path) -> Vec<OsString> {
    let relevant = path.components().filter(|component| !matches!(component, Component::RootDir | Component::CurDir));
    let mut components: Vec<_> = relevant.map(|component| component.as_os_str().to_owned()).collect();
    components.reverse();
    components
}

impl From<WatchPoints> for Vec<WatchPoint> {
    fn from(watch_points: WatchPoints) -> Self {
        let WatchPoints { mut sources, way } = watch_points;
        for (path, names) in way {
            match sources.entry(path).or_insert_with(|| Interest::Way(BTreeSet::new())) {
                Interest::Way(known) | Interest::Files(known) => known.extend(names),
                Interest::Plain | Interest::Volume => {}
            }
        }
        sources.into_iter().map(|(path, interest)| WatchPoint { path, interest }).collect()
    }
}
