//! Notices the updates of volumes on the event loop itself. IO: inotify(7).
//!
//! The watchers of the crate `notify` have threads of their own. A wake-up of a thread takes as long as the reading of a small volume, so
//! the loop waits for the swap of `..data` itself. All other events have time.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use notify::EventKind;
use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind, RenameMode};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::lock;

/// Bytes that one read takes, and the number of events that they hold at least: an event has 16 bytes and a name of at most 256.
const BUFFER: usize = 4096;
const EVENTS: usize = BUFFER / (16 + 256);

/// An event in a volume, or of the volume itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct VolumeEvent {
    pub(super) kind: EventKind,
    /// All paths of the file.
    pub(super) paths: Vec<PathBuf>,
}

/// The result of one wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum VolumeEvents {
    Changed(Vec<VolumeEvent>),
    Overflowed,
}

/// The inotify instance of the volumes of a thread's gates.
#[derive(Debug, Default)]
pub(super) struct VolumeInstance {
    /// Made by the first volume.
    instance: Mutex<Option<Arc<OwnedFd>>>,
    /// The same in the event loop. The gate that holds the lock waits for all.
    registered: tokio::sync::Mutex<Option<AsyncFd<Arc<OwnedFd>>>>,
    watched: Mutex<Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    /// The watch of each directory.
    paths: BTreeMap<PathBuf, i32>,
    /// A bind mount shows one directory at two places, which have one watch.
    watches: BTreeMap<i32, BTreeSet<PathBuf>>,
}

impl VolumeInstance {
    /// Watches a volume.
    ///
    /// # Errors
    /// When the kernel has no instance or watch left.
    pub(super) fn watch(&self, path: &Path) -> Result<(), Errno> {
        // A watch that is left follows a directory which is elsewhere now.
        self.unwatch(path);
        let instance = self.instance()?;
        let names = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVED_FROM | WatchFlags::MOVED_TO;
        let itself = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
        let flags = names | itself | WatchFlags::CLOSE_WRITE | WatchFlags::ONLYDIR;
        let mut watched = lock(&self.watched);
        let watch = inotify::add_watch(&*instance, path, flags)?;
        watched.paths.insert(path.into(), watch);
        watched.watches.entry(watch).or_default().insert(path.into());
        Ok(())
    }

    /// Ends the watching of a volume.
    pub(super) fn unwatch(&self, path: &Path) {
        let ended = lock(&self.watched).remove(path);
        if let Some(ended) = ended
            && let Some(instance) = &*lock(&self.instance)
        {
            // It fails if the kernel has dropped the watch already.
            let _ = inotify::remove_watch(&**instance, ended);
        }
    }

    fn instance(&self) -> Result<Arc<OwnedFd>, Errno> {
        let mut instance = lock(&self.instance);
        if let Some(instance) = &*instance {
            return Ok(instance.clone());
        }
        let new = Arc::new(inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?);
        Ok(instance.insert(new).clone())
    }

    /// Waits for changes of names; endless if no volume is watched. One gate waits for all that share the instance.
    pub(super) async fn changed(&self) -> VolumeEvents {
        let mut registered = self.registered.lock().await;
        if registered.is_none() {
            *registered = lock(&self.instance).clone().and_then(readable);
        }
        let Some(instance) = &*registered else { return std::future::pending().await };
        loop {
            let Ok(mut ready) = instance.readable().await else { return std::future::pending().await };
            let events = self.read(ready.get_inner());
            // The kernel announces each event that comes after the reading.
            ready.clear_ready();
            match events {
                VolumeEvents::Changed(events) if events.is_empty() => {}
                events => return events,
            }
        }
    }

    fn read(&self, instance: &OwnedFd) -> VolumeEvents {
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut events = Vec::new();
        let mut of_this_read = 0;
        let mut reader = Reader::new(instance, &mut buffer);
        loop {
            if reader.is_buffer_empty() {
                // A read that left room has taken everything.
                if (1..EVENTS).contains(&of_this_read) {
                    break;
                }
                of_this_read = 0;
            }
            let Ok(event) = reader.next() else { break };
            of_this_read += 1;
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                return VolumeEvents::Overflowed;
            }
            // A kubelet's link that becomes `..data` means nothing under its first name.
            let is_data_tmp = event.file_name().is_some_and(|name| name.to_bytes() == b"..data_tmp");
            let Some(kind) = kind(event.events()).filter(|_| !is_data_tmp) else { continue };
            let Some(volumes) = lock(&self.watched).watches.get(&event.wd()).cloned() else { continue };
            let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
            let path = |volume: PathBuf| name.map(|name| volume.join(name)).unwrap_or(volume);
            events.push(VolumeEvent { kind, paths: volumes.into_iter().map(path).collect() });
        }
        VolumeEvents::Changed(events)
    }
}

impl Watched {
    /// Forgets a directory, and returns its watch if no other path has it.
    fn remove(&mut self, path: &Path) -> Option<i32> {
        let watch = self.paths.remove(path)?;
        let paths = self.watches.get_mut(&watch)?;
        paths.remove(path);
        if !paths.is_empty() {
            return None;
        }
        self.watches.remove(&watch);
        Some(watch)
    }
}

/// Returns the kind of an event as the crate `notify` has it.
fn kind(events: ReadFlags) -> Option<EventKind> {
    let is_directory = events.contains(ReadFlags::ISDIR);
    Some(match () {
        () if events.contains(ReadFlags::MOVED_TO) => EventKind::Modify(ModifyKind::Name(RenameMode::To)),
        () if events.contains(ReadFlags::MOVED_FROM) => EventKind::Modify(ModifyKind::Name(RenameMode::From)),
        () if events.contains(ReadFlags::CREATE) && is_directory => EventKind::Create(CreateKind::Folder),
        () if events.contains(ReadFlags::CREATE) => EventKind::Create(CreateKind::File),
        () if events.contains(ReadFlags::DELETE) && is_directory => EventKind::Remove(RemoveKind::Folder),
        () if events.contains(ReadFlags::DELETE) => EventKind::Remove(RemoveKind::File),
        () if events.contains(ReadFlags::CLOSE_WRITE) => EventKind::Access(AccessKind::Close(AccessMode::Write)),
        () if events.contains(ReadFlags::DELETE_SELF) => EventKind::Remove(RemoveKind::Folder),
        () if events.contains(ReadFlags::MOVE_SELF) => EventKind::Modify(ModifyKind::Name(RenameMode::From)),
        () if events.contains(ReadFlags::UNMOUNT) => EventKind::Remove(RemoveKind::Other),
        () => return None,
    })
}

#[expect(deprecated, reason = "what replaces it is unsafe; the descriptor is owned here, so nothing else can close it")]
fn readable(instance: Arc<OwnedFd>) -> Option<AsyncFd<Arc<OwnedFd>>> {
    AsyncFd::with_interest(instance, Interest::READABLE).ok()
}
