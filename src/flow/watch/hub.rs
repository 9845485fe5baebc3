//! The inotify instances that the gates of a thread share. IO: inotify(7), through the crate `notify`.

use std::cell::RefCell;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use notify::event::Flag;
use notify::{Config, Event, EventKindMask, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::commits::{VolumeEvent, VolumeEvents, VolumeInstance};
use super::points::Interest;
use super::{Hint, Shared, is_end, lock};

/// Device and inode of a directory.
pub(super) type DirectoryId = (u64, u64);

/// One of the inotify instances. A mask belongs to an instance, in the crate `notify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Instance {
    /// Watches sources.
    Sources,
    /// Watches volumes, in the event loop itself.
    Volumes,
    /// Watches the way to the sources.
    Way,
}

impl Instance {
    /// Returns the instance of `notify` for an interest.
    pub(super) fn of(interest: &Interest) -> Self {
        match interest {
            Interest::Plain | Interest::Volume | Interest::Files(_) => Self::Sources,
            Interest::Way(_) => Self::Way,
        }
    }

    /// Returns the events that the kernel reports. Reading is none of them: a gate that reads a watched directory must not wake itself.
    /// Nor is writing: a stream of writes would keep the watcher's thread busy, and the end of the writing is an event.
    fn mask(self) -> EventKindMask {
        // A changed mode may make a directory readable, which cannot be watched before.
        let names =
            EventKindMask::CREATE | EventKindMask::REMOVE | EventKindMask::MODIFY_NAME | EventKindMask::MODIFY_META;
        match self {
            Self::Sources | Self::Volumes => names | EventKindMask::ACCESS_CLOSE,
            Self::Way => names,
        }
    }
}

type WatchKey = (Instance, PathBuf);

/// The inotify instances, and the gates that they serve.
#[derive(Debug, Default)]
pub(super) struct Hub {
    watchers: Mutex<BTreeMap<Instance, RecommendedWatcher>>,
    /// Number of gates that watch a directory.
    users: Mutex<BTreeMap<WatchKey, usize>>,
    audience: Arc<Audience>,
    volumes: VolumeInstance,
}

/// The part of the hub that the watchers' threads know. No lock of it is held while a watcher is called, since its thread may wait for it.
#[derive(Debug, Default)]
struct Audience {
    gates: Mutex<Vec<Weak<Shared>>>,
    places: Mutex<BTreeMap<WatchKey, DirectoryId>>,
}

thread_local! {
    static HUB: RefCell<Weak<Hub>> = const { RefCell::new(Weak::new()) };
}

impl Hub {
    /// Returns the hub of this thread, which lives as long as one of its gates.
    pub(super) fn of_this_thread() -> Arc<Self> {
        HUB.with_borrow_mut(|hub| {
            hub.upgrade().unwrap_or_else(|| {
                let new = Arc::<Self>::default();
                *hub = Arc::downgrade(&new);
                new
            })
        })
    }

    /// Lets `gate` have the events of what it watches.
    pub(super) fn join(&self, gate: &Arc<Shared>) {
        let mut gates = lock(&self.audience.gates);
        gates.retain(|gate| gate.strong_count() > 0);
        gates.push(Arc::downgrade(gate));
    }

    /// Watches a directory for one more gate.
    pub(super) fn watch(&self, key: &WatchKey, identity: DirectoryId) -> notify::Result<()> {
        let mut users = lock(&self.users);
        let known = lock(&self.audience.places).get(key).copied();
        if known != Some(identity) && key.0 == Instance::Volumes {
            self.volumes.watch(&key.1).map_err(|errno| notify::Error::io(errno.into()))?;
            lock(&self.audience.places).insert(key.clone(), identity);
        } else if known != Some(identity) {
            let mut watchers = lock(&self.watchers);
            let watcher = match watchers.entry(key.0) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(self.watcher(key.0)?),
            };
            // A watch that is left follows a directory which is elsewhere now.
            let _ = watcher.unwatch(&key.1);
            watcher.watch(&key.1, RecursiveMode::NonRecursive)?;
            lock(&self.audience.places).insert(key.clone(), identity);
        }
        *users.entry(key.clone()).or_default() += 1;
        Ok(())
    }

    /// Ends the watching of a directory for one gate.
    pub(super) fn unwatch(&self, key: &WatchKey) {
        let mut users = lock(&self.users);
        let Some(count) = users.get_mut(key) else { return };
        *count -= 1;
        if *count == 0 {
            users.remove(key);
            lock(&self.audience.places).remove(key);
            if key.0 == Instance::Volumes {
                self.volumes.unwatch(&key.1);
            }
            if let Some(watcher) = lock(&self.watchers).get_mut(&key.0) {
                // It fails if the kernel has dropped the watch already.
                let _ = watcher.unwatch(&key.1);
            }
        }
    }

    /// Waits for changes of volumes, and passes them on to the gates. Cancelling loses nothing.
    pub(super) async fn pass_on(&self) {
        let events = self.volumes.changed().await;
        let gates: Vec<_> = lock(&self.audience.gates).iter().filter_map(Weak::upgrade).collect();
        match events {
            VolumeEvents::Overflowed => gates.iter().for_each(|gate| gate.mark(None, true)),
            VolumeEvents::Changed(events) => {
                for VolumeEvent { kind, paths } in events {
                    gates.iter().for_each(|gate| gate.take_in(kind, &paths));
                    if is_end(kind) {
                        let mut places = lock(&self.audience.places);
                        for path in paths {
                            places.remove(&(Instance::Volumes, path));
                        }
                    }
                }
            }
        }
    }

    fn watcher(&self, instance: Instance) -> notify::Result<RecommendedWatcher> {
        let audience = self.audience.clone();
        let handler = move |event: notify::Result<Event>| audience.take_in(instance, event);
        RecommendedWatcher::new(handler, Config::default().with_event_kinds(instance.mask()))
    }
}

impl Audience {
    /// Passes an event on to the gates. Runs on the watcher's own thread.
    fn take_in(&self, instance: Instance, event: notify::Result<Event>) {
        let gates: Vec<_> = lock(&self.gates).iter().filter_map(Weak::upgrade).collect();
        match event {
            // The watcher failed to read or to follow: the next scan finds the reason.
            Err(_) => gates.iter().for_each(|gate| gate.mark(Some(Hint::Touch), false)),
            Ok(event) if event.flag() == Some(Flag::Rescan) => gates.iter().for_each(|gate| gate.mark(None, true)),
            Ok(event) => {
                for path in &event.paths {
                    let paths = self.names_of(instance, path);
                    gates.iter().for_each(|gate| gate.take_in(event.kind, &paths));
                    if is_end(event.kind) {
                        let mut places = lock(&self.places);
                        for path in paths {
                            places.remove(&(instance, path));
                        }
                    }
                }
            }
        }
    }

    /// Returns all names under which the file at `path` is watched: inotify knows inodes, and a bind mount shows one at two places.
    fn names_of(&self, instance: Instance, path: &Path) -> Vec<PathBuf> {
        let places = lock(&self.places);
        let identity_of = |path: &Path| places.get(&(instance, path.to_path_buf())).copied();
        let same = |identity| {
            let is_same = move |(key, other): &(&WatchKey, &DirectoryId)| key.0 == instance && **other == identity;
            places.iter().filter(is_same).map(|(key, _)| key.1.clone())
        };
        let mut names = BTreeSet::from([path.to_path_buf()]);
        names.extend(identity_of(path).into_iter().flat_map(same));
        if let (Some(parent), Some(name)) = (path.parent(), path.file_name()) {
            names.extend(identity_of(parent).into_iter().flat_map(same).map(|parent| parent.join(name)));
        }
        names.into_iter().collect()
    }
}
