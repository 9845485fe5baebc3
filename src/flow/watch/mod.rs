//! Notices changes. IO: inotify(7), through the crate `notify`.
//!
//! An event is a hint and never a fact: a lost event, an overflowing queue and a vanished watch all end in another scan.
//! Directories are watched, never files: a kubelet replaces the file behind a name, and a watch on it dies with the first
//! swap.
//!
//! The directories on the way to a source are watched for their names alone, by an inotify instance of its own: writes beside a source
//! cost nothing. A file counts as changed when its writer closes it (IN_CLOSE_WRITE), and not at each write.
//!
//! Volumes are watched by the event loop itself: see `commits`.

mod commits;
mod hub;
mod mounts;
mod points;

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use notify::EventKind;
use notify::event::{CreateKind, ModifyKind, RemoveKind, RenameMode};

use hub::{DirectoryId, Hub, Instance};
use mounts::{MountPlace, MountTable};
use points::Interest;
pub use points::{WatchPoint, WatchPoints};

/// Time after which inotify is tried again where it was unavailable.
const RETRY: Duration = Duration::from_secs(30);

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hint {
    /// A visible name of a volume came or went, as at an update that adds or removes a key.
    Names,
    /// The tail of a volume's update whose commit had an event of its own.
    AfterCommit,
    /// Something that may go on changing.
    Touch,
    /// Something that is complete: a volume's `..data` was swapped.
    Commit,
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

/// Message of a watcher to the gate.
#[derive(Debug, Default)]
struct Pending {
    /// The hints since the last one that was taken.
    hints: BTreeSet<Hint>,
    /// Events were lost.
    overflowed: bool,
    /// A volume's next generation is being written.
    expected: bool,
}

impl Pending {
    /// Takes the strongest hint, which hides the weaker ones. Only an update of a volume hides no other change.
    fn take(&mut self) -> Option<WatchEvent> {
        if self.overflowed {
            *self = Self::default();
            return Some(WatchEvent::Overflowed);
        }
        let Some(strongest) = self.hints.last().copied() else {
            return std::mem::take(&mut self.expected).then_some(WatchEvent::Expected);
        };
        let other = [Hint::Touch, Hint::Names].into_iter().find(|other| self.hints.contains(other));
        let hint = match strongest {
            Hint::Commit => other.unwrap_or(strongest),
            _ => strongest,
        };
        match strongest {
            Hint::Commit | Hint::AfterCommit if other.is_some() => drop(self.hints.remove(&hint)),
            _ => self.hints.clear(),
        }
        self.expected &= hint != Hint::Commit;
        Some(WatchEvent::Hint(hint))
    }
}

/// The part of a watch that the watcher's thread knows.
#[derive(Debug, Default)]
struct Shared {
    /// The interest in each watched directory; one that went away is taken out by its own last event.
    interests: Mutex<BTreeMap<PathBuf, Interest>>,
    pending: Mutex<Pending>,
    event: tokio::sync::Notify,
}

/// The watch over the directories of one gate.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    hub: Arc<Hub>,
    /// The directories that the hub watches for this gate.
    held: BTreeMap<(Instance, PathBuf), DirectoryId>,
    /// Volumes that the event loop cannot watch.
    others: BTreeSet<PathBuf>,
    /// False if the crate `notify` watches everything.
    watches_volumes: bool,
    mode: Mode,
    retry_at: Option<Instant>,
    /// The table of mounts, if it can be waited for; it is opened by the first wait.
    mount_table: OnceCell<Option<MountTable>>,
    mount_places: Vec<MountPlace>,
    /// The mounts that matter to these places.
    mounts: RefCell<Vec<(i32, PathBuf)>>,
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
    /// Everything is watched again, after a time of polling.
    Restored,
}

impl Watch {
    /// Creates a watch over nothing. It never fails: the first [`Watch::cover`] reports that inotify is unavailable. The watches that a
    /// thread creates share their inotify instances, of which a user has few.
    #[must_use]
    pub fn new() -> Self {
        let shared = Arc::default();
        let hub = Hub::of_this_thread();
        hub.join(&shared);
        Self {
            shared,
            hub,
            held: BTreeMap::new(),
            others: BTreeSet::new(),
            watches_volumes: true,
            mode: Mode::Inotify,
            retry_at: None,
            mount_table: OnceCell::new(),
            mount_places: Vec::new(),
            mounts: RefCell::default(),
        }
    }

    /// Returns the means by which changes are noticed.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Watches `watch_points`, and nothing else.
    pub fn cover(&mut self, watch_points: Vec<WatchPoint>) -> Coverage {
        let places: Vec<_> = watch_points.iter().flat_map(WatchPoint::mount_places).collect();
        if places != self.mount_places {
            self.mounts = RefCell::new(mounts::mounts_at(&places));
            self.mount_places = places;
        }
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return Coverage::Unchanged;
        }
        let was_polling = self.retry_at.is_some();
        match self.adjust(watch_points) {
            Ok(_) if was_polling => {
                (self.mode, self.retry_at) = (Mode::Inotify, None);
                Coverage::Restored
            }
            Ok(true) => Coverage::Extended,
            Ok(false) => Coverage::Unchanged,
            Err(error) => {
                (self.mode, self.retry_at) = (Mode::Poll, Some(Instant::now() + RETRY));
                self.release();
                if was_polling { Coverage::Unchanged } else { Coverage::Degraded(explain(&error)) }
            }
        }
    }

    /// Adjusts the hub to `wanted`, and returns true if a directory is watched that was not before.
    fn adjust(&mut self, wanted: Vec<WatchPoint>) -> notify::Result<bool> {
        let mut extended = false;
        let gone: Vec<_> = {
            let interests = lock(&self.shared.interests);
            self.held.keys().filter(|key| !interests.contains_key(&key.1)).cloned().collect()
        };
        for key in gone {
            self.forget(&key);
            self.others.remove(&key.1);
        }
        let key = |point: &WatchPoint| (self.instance_for(point), point.path.clone());
        let kept: BTreeSet<_> = wanted.iter().map(key).collect();
        let ended: Vec<_> = self.held.keys().filter(|key| !kept.contains(*key)).cloned().collect();
        for key in ended {
            self.forget(&key);
        }
        for point in wanted {
            // A missing directory causes an event in its parent when it appears.
            let Ok(metadata) = point.path.metadata() else { continue };
            let (identity, key) = ((metadata.dev(), metadata.ino()), (self.instance_for(&point), point.path.clone()));
            if self.held.get(&key) != Some(&identity) {
                extended = true;
                self.forget(&key);
                if let Err(error) = self.hold(key, identity) {
                    // The poll can do without events on the way to a source, and not without those of the source itself.
                    if !matches!(point.interest, Interest::Way(_)) && point.path.is_dir() {
                        return Err(error);
                    }
                    continue;
                }
            }
            lock(&self.shared.interests).insert(point.path, point.interest);
        }
        Ok(extended)
    }

    /// Returns the instance for a directory: the event loop watches volumes, if it can.
    fn instance_for(&self, point: &WatchPoint) -> Instance {
        let in_loop = point.interest == Interest::Volume && self.watches_volumes && !self.others.contains(&point.path);
        if in_loop { Instance::Volumes } else { Instance::of(&point.interest) }
    }

    fn hold(&mut self, mut key: (Instance, PathBuf), identity: DirectoryId) -> notify::Result<()> {
        if let Err(error) = self.hub.watch(&key, identity) {
            if key.0 != Instance::Volumes {
                return Err(error);
            }
            self.others.insert(key.1.clone());
            key.0 = Instance::Sources;
            self.hub.watch(&key, identity)?;
        }
        self.held.insert(key, identity);
        Ok(())
    }

    fn forget(&mut self, key: &(Instance, PathBuf)) {
        if self.held.remove(key).is_some() {
            lock(&self.shared.interests).remove(&key.1);
            self.hub.unwatch(key);
        }
    }

    fn release(&mut self) {
        for key in self.held.keys().cloned().collect::<Vec<_>>() {
            self.forget(&key);
        }
        self.others.clear();
    }

    /// Waits for a change, and returns the strongest hint since the last call. Cancelling loses nothing.
    pub async fn event(&self) -> WatchEvent {
        loop {
            let pending = lock(&self.shared.pending).take();
            if let Some(event) = pending {
                return event;
            }
            tokio::select! {
                () = self.shared.event.notified() => {}
                () = self.hub.pass_on() => {}
                () = self.mount_changed() => return WatchEvent::Hint(Hint::Touch),
            }
        }
    }

    /// Waits until a mount comes or goes at a watched place.
    async fn mount_changed(&self) {
        let Some(table) = self.mount_table.get_or_init(MountTable::open) else { return std::future::pending().await };
        loop {
            table.changed().await;
            let now = mounts::mounts_at(&self.mount_places);
            if self.mounts.replace_with(|_| now.clone()) != now {
                return;
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.release();
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}

/// The result of [`Watch::event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// Something changed.
    Hint(Hint),
    /// So much changed that the kernel dropped events.
    Overflowed,
    /// Nothing changed yet: a volume's next generation is being written.
    Expected,
}

impl Shared {
    /// Takes in an event at these paths, which are names of one file. Runs on the watcher's own thread.
    fn take_in(&self, kind: EventKind, paths: &[PathBuf]) {
        let mut interests = lock(&self.interests);
        let hint = paths.iter().filter_map(|path| hint(&mut interests, kind, path)).max();
        drop(interests);
        if hint.is_some() {
            self.mark(hint, false);
        } else if kind == EventKind::Create(CreateKind::Folder) && paths.iter().any(|path| self.is_generation(path)) {
            lock(&self.pending).expected = true;
            self.event.notify_one();
        }
    }

    /// Returns true for a timestamped directory in a volume.
    fn is_generation(&self, path: &Path) -> bool {
        let is_in_volume = |parent| lock(&self.interests).get(parent) == Some(&Interest::Volume);
        path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".."))
            && path.parent().is_some_and(is_in_volume)
    }

    fn mark(&self, hint: Option<Hint>, overflowed: bool) {
        let mut pending = lock(&self.pending);
        pending.hints.extend(hint);
        pending.overflowed |= overflowed;
        drop(pending);
        self.event.notify_one();
    }
}

fn hint(interests: &mut BTreeMap<PathBuf, Interest>, kind: EventKind, path: &Path) -> Option<Hint> {
    if is_end(kind) && interests.contains_key(path) {
        // The watched directory itself went away; another one may take its place.
        interests.remove(path);
        return Some(Hint::Touch);
    }
    let interest = interests.get(path.parent()?)?;
    let name = path.file_name()?;
    match interest {
        Interest::Plain => Some(Hint::Touch),
        Interest::Way(names) | Interest::Files(names) => names.contains(name).then_some(Hint::Touch),
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
        _ => Some(Hint::Names),
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
