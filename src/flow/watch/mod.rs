//! Notices changes. IO: inotify(7), through the crate `notify`.
//!
//! An event is a hint and never a fact: a lost event, an overflowing queue and a vanished watch all end in another scan.
//! Directories are watched, never files: a kubelet replaces the file behind a name, and a watch on it dies with the first
//! swap.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notify::event::{Flag, ModifyKind, RemoveKind, RenameMode};
use notify::{EventKind, EventKindMask, RecommendedWatcher, RecursiveMode, Watcher as _};

/// Number of links that may lead from a source's path to its directory (`MAXSYMLINKS` of the kernel, path_resolution(7)).
const MAX_LINKS: usize = 40;

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hint {
    /// The tail of a volume's update whose commit had an event of its own.
    AfterCommit,
    /// Something that may go on changing.
    Touch,
    /// Something that is complete: a volume's `..data` was swapped.
    Commit,
}

/// The names in a directory whose changes count.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Interest {
    /// Any name.
    Plain,
    /// A ConfigMap or Secret volume: the swap of `..data`, and what follows it.
    Volume,
    /// These names only: the directory is on the way to a source.
    Names(BTreeSet<OsString>),
}

/// A directory to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchPoint {
    path: PathBuf,
    interest: Interest,
}

/// Directories to watch, while they are being collected.
#[derive(Debug, Default)]
pub struct WatchPoints(BTreeMap<PathBuf, Interest>);

impl WatchPoints {
    /// Any change in `dir` counts.
    pub fn plain(&mut self, dir: &Path) {
        self.0.insert(dir.into(), Interest::Plain);
    }

    /// `dir` is a volume that a kubelet writes.
    pub fn volume(&mut self, dir: &Path) {
        self.0.insert(dir.into(), Interest::Volume);
    }

    /// Adds the places where `path` itself can appear, vanish or be led elsewhere: its parent, the parent of each link on the way,
    /// and of the first component that is missing.
    pub fn anchor(&mut self, path: &Path) {
        let mut links = 0;
        let mut here = PathBuf::from("/");
        let mut ahead: Vec<OsString> = components(path);
        while let Some(component) = ahead.pop() {
            let next = here.join(&component);
            let kind = next.symlink_metadata().map(|metadata| metadata.file_type());
            let is_link = kind.as_ref().is_ok_and(std::fs::FileType::is_symlink);
            if is_link || kind.is_err() || ahead.is_empty() {
                self.name(&here, component);
            }
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
            for component in components(&target) {
                ahead.push(component);
            }
        }
    }

    fn name(&mut self, dir: &Path, name: OsString) {
        let dir = dir.components().fold(PathBuf::new(), |mut path, component| {
            if component == Component::ParentDir {
                path.pop()
            } else {
                path.push(component);
                true
            };
            path
        });
        match self.0.entry(dir).or_insert_with(|| Interest::Names(BTreeSet::new())) {
            Interest::Names(names) => {
                names.insert(name);
            }
            Interest::Plain | Interest::Volume => {}
        }
    }
}

/// The components of a path, the last first.
fn components(path: &Path) -> Vec<OsString> {
    let relevant = path.components().filter(|component| !matches!(component, Component::RootDir | Component::CurDir));
    let mut components: Vec<_> = relevant.map(|component| component.as_os_str().to_owned()).collect();
    components.reverse();
    components
}

impl From<WatchPoints> for Vec<WatchPoint> {
    fn from(watch_points: WatchPoints) -> Self {
        watch_points.0.into_iter().map(|(path, interest)| WatchPoint { path, interest }).collect()
    }
}

/// Means by which changes are noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By the kernel's events, and by a slow rescan besides.
    Inotify,
    /// By frequent scans: the kernel's events are unavailable.
    Poll,
}

impl Mode {
    /// `inotify` or `poll`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inotify => "inotify",
            Self::Poll => "poll",
        }
    }
}

/// Message of the watcher's thread to the gate: the strongest hint since the last one, and a mark that events were lost.
#[derive(Debug, Default)]
struct Pending {
    hint: Option<Hint>,
    overflowed: bool,
}

#[derive(Debug, Default)]
struct Shared {
    /// The watched directories; one that went away is taken out by its own last event.
    watch_points: Mutex<BTreeMap<PathBuf, Watched>>,
    pending: Mutex<Pending>,
    event: tokio::sync::Notify,
}

#[derive(Debug)]
struct Watched {
    interest: Interest,
    /// Device and inode, to see that another directory has taken the place of the watched one.
    identity: (u64, u64),
}

/// The watch over the directories of one gate.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    inotify: Option<RecommendedWatcher>,
    mode: Mode,
}

/// The outcome of [`Watch::cover`].
#[derive(Debug, PartialEq, Eq)]
pub enum Coverage {
    /// Everything is watched, and was before.
    Unchanged,
    /// A directory is watched that was not before: its changes until now were not seen, so another scan is needed.
    Extended,
    /// A directory is not watched, for this reason.
    Degraded(String),
}

impl Watch {
    /// Creates a watch over nothing. It never fails: the first [`Watch::cover`] reports that inotify is unavailable.
    #[must_use]
    pub fn new() -> Self {
        Self { shared: Arc::default(), inotify: None, mode: Mode::Inotify }
    }

    /// Returns the means by which changes are noticed.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Watches `watch_points`, and nothing else.
    pub fn cover(&mut self, watch_points: Vec<WatchPoint>) -> Coverage {
        if self.mode == Mode::Poll {
            return Coverage::Unchanged;
        }
        let wanted: BTreeMap<_, _> =
            watch_points.into_iter().map(|watch_point| (watch_point.path, watch_point.interest)).collect();
        let mut extended = false;
        match self.adjust(wanted, &mut extended) {
            Ok(()) if extended => Coverage::Extended,
            Ok(()) => Coverage::Unchanged,
            Err(error) => {
                self.mode = Mode::Poll;
                self.inotify = None;
                Coverage::Degraded(explain(&error))
            }
        }
    }

    fn adjust(&mut self, wanted: BTreeMap<PathBuf, Interest>, extended: &mut bool) -> notify::Result<()> {
        let before: BTreeMap<_, _> =
            lock(&self.shared.watch_points).iter().map(|(path, watched)| (path.clone(), watched.identity)).collect();
        for path in before.keys().filter(|path| !wanted.contains_key(*path)) {
            self.forget(path);
        }
        for (path, interest) in wanted {
            // A missing directory causes an event in its parent when it appears.
            let Ok(metadata) = path.metadata() else { continue };
            let identity = (metadata.dev(), metadata.ino());
            if before.get(&path) != Some(&identity) {
                *extended = true;
                self.forget(&path);
                if let Err(error) = self.inotify()?.watch(&path, RecursiveMode::NonRecursive) {
                    // The poll can do without events on the way to a source, and not without those of the source itself.
                    if !matches!(interest, Interest::Names(_)) && path.is_dir() {
                        return Err(error);
                    }
                    continue;
                }
            }
            lock(&self.shared.watch_points).insert(path, Watched { interest, identity });
        }
        Ok(())
    }

    fn forget(&mut self, path: &Path) {
        lock(&self.shared.watch_points).remove(path);
        if let Some(inotify) = &mut self.inotify {
            // It fails if the kernel has dropped the watch already.
            let _ = inotify.unwatch(path);
        }
    }

    fn inotify(&mut self) -> notify::Result<&mut RecommendedWatcher> {
        if self.inotify.is_none() {
            let shared = self.shared.clone();
            let handler = move |event: notify::Result<notify::Event>| shared.take_in(&event);
            // Without access events: reading what is watched must not look like a change of it.
            let config = notify::Config::default().with_event_kinds(EventKindMask::CORE);
            self.inotify = Some(RecommendedWatcher::new(handler, config)?);
        }
        self.inotify.as_mut().ok_or_else(|| notify::Error::generic("inotify is gone"))
    }

    /// Waits for a change, and returns the strongest hint since the last call. Cancelling loses nothing.
    pub async fn event(&self) -> WatchEvent {
        loop {
            let pending = std::mem::take(&mut *lock(&self.shared.pending));
            if pending.overflowed {
                return WatchEvent::Overflowed;
            }
            if let Some(hint) = pending.hint {
                return WatchEvent::Hint(hint);
            }
            self.shared.event.notified().await;
        }
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}

/// The result of [`Watch::event`].
#[derive(Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// Something changed.
    Hint(Hint),
    /// So much changed that the kernel dropped events.
    Overflowed,
}

impl Shared {
    /// Runs on the watcher's own thread, once for each event.
    fn take_in(&self, event: &notify::Result<notify::Event>) {
        let (hint, overflowed) = match event {
            // The watcher failed to read or to follow: the next scan finds the reason.
            Err(_) => (Some(Hint::Touch), false),
            Ok(event) if event.flag() == Some(Flag::Rescan) => (None, true),
            Ok(event) => (self.classify(event), false),
        };
        if hint.is_none() && !overflowed {
            return;
        }
        let mut pending = lock(&self.pending);
        pending.hint = pending.hint.max(hint);
        pending.overflowed |= overflowed;
        drop(pending);
        self.event.notify_one();
    }

    fn classify(&self, event: &notify::Event) -> Option<Hint> {
        let mut watch_points = lock(&self.watch_points);
        event.paths.iter().filter_map(|path| hint(&mut watch_points, event.kind, path)).max()
    }
}

fn hint(watch_points: &mut BTreeMap<PathBuf, Watched>, kind: EventKind, path: &Path) -> Option<Hint> {
    if watch_points.contains_key(path) && is_end(kind) {
        // The watched directory itself went away; another one may take its place.
        watch_points.remove(path);
        return Some(Hint::Touch);
    }
    let watched = watch_points.get(path.parent()?)?;
    let name = path.file_name()?;
    match &watched.interest {
        Interest::Plain => Some(Hint::Touch),
        Interest::Names(names) => names.contains(name).then_some(Hint::Touch),
        Interest::Volume => in_volume(kind, name),
    }
}

/// Returns the meaning of an event in a volume (for the order of events see `pkg/volume/util/atomic_writer.go` in kubernetes).
fn in_volume(kind: EventKind, name: &OsStr) -> Option<Hint> {
    let swapped = matches!(kind, EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both)));
    match name.as_encoded_bytes() {
        b"..data" if swapped => Some(Hint::Commit),
        b"..data" => Some(Hint::Touch),
        b"..data_tmp" => None,
        // The timestamped directories: a new one is not committed yet, and the end of the old one ends the update.
        name if name.starts_with(b"..") => matches!(kind, EventKind::Remove(_)).then_some(Hint::AfterCommit),
        _ => Some(Hint::AfterCommit),
    }
}

fn is_end(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Remove(RemoveKind::Folder | RemoveKind::Other)
            | EventKind::Modify(ModifyKind::Name(RenameMode::From))
    )
}

/// Returns why inotify is unavailable, and the remedy (inotify(7), "ERRORS").
fn explain(error: &notify::Error) -> String {
    let remedy = match &error.kind {
        notify::ErrorKind::MaxFilesWatch => "; raise `fs.inotify.max_user_watches` on the node",
        notify::ErrorKind::Io(io) if io.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) => {
            "; raise `fs.inotify.max_user_instances` on the node"
        }
        _ => "",
    };
    format!("inotify is unavailable; polling for changes: {error}{remedy}")
}

/// Locks even after a panic: no holder of these locks can panic between two states that do not fit together.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
