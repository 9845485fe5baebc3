//! The newest generation of volumes that a whole scan has found at rest. IO: reads files, never writes.
//!
//! A kubelet never changes a generation: it writes the next one beside it and swaps `..data`. So the link says whether there is anything
//! to read, and a new generation with the same names needs nothing else to be looked at again.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Stat};

use super::contents::{self, Access};
use super::entries::{EntryKind, entries};
use super::reader::{DATA, is_service_account_token};
use super::{AGREEMENT, ReadOptions, Snapshot};
use crate::flow::tree::{Revision, Tree};
use crate::sys::regular::{self, RegularFile};

/// Largest number of files, and of their bytes, that are read where nothing may wait.
const FILES_AT_ONCE: usize = 64;
const BYTES_AT_ONCE: u64 = 256 << 10;

/// The same for what is read without need.
const REHEARSED_FILES: usize = 16;
const REHEARSED_BYTES: u64 = 16 << 10;

/// A volume's link at one moment. A swap makes another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// The name of the generation. The number of a link alone may be used again within one tick of the clock.
    target: PathBuf,
    inode: u64,
    /// Time at which it was made (`st_ctime`), in seconds and nanoseconds.
    made: (i64, u64),
}

impl Link {
    pub(super) fn new(target: PathBuf, stat: &Stat) -> Self {
        Self { target, inode: stat.st_ino, made: (stat.st_ctime, stat.st_ctime_nsec) }
    }

    fn read(volume: impl AsFd) -> Option<Self> {
        let target = rustix::fs::readlinkat(&volume, DATA, Vec::with_capacity(64)).ok()?;
        let stat = rustix::fs::statat(volume, DATA, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some(Self::new(OsStr::from_bytes(target.as_bytes()).into(), &stat))
    }

    fn delivered(&self) -> SystemTime {
        let (seconds, nanoseconds) = self.made;
        let since = Duration::new(u64::try_from(seconds).unwrap_or(0), u32::try_from(nanoseconds).unwrap_or(0));
        SystemTime::UNIX_EPOCH + since
    }
}

/// A volume as the last scan found it: at rest, with files alone.
#[derive(Clone, Debug)]
pub(super) struct KnownVolume {
    pub(super) directory: Arc<OwnedFd>,
    /// Its name in the tree.
    pub(super) name: PathBuf,
    /// Its path inside the source.
    pub(super) inside: PathBuf,
    pub(super) link: Link,
    /// The names in its generation, sorted.
    pub(super) entries: Arc<[OsString]>,
}

/// All sources as the last scan found them, if they are such volumes.
#[derive(Clone, Debug)]
pub(super) struct KnownVolumes {
    pub(super) volumes: Vec<KnownVolume>,
    pub(super) snapshot: Snapshot,
}

/// The state of known volumes at one moment.
#[derive(Debug)]
pub(super) enum Newest {
    /// The generations that are known.
    Same,
    /// Others, which are known from now on.
    Changed(KnownVolumes),
}

impl KnownVolumes {
    /// Reads the volumes whose link is another one now. Returns `None` if anything else than their contents may have changed, or if
    /// something would have to be waited for where `access` forbids that: then only a whole scan says what is there.
    pub(super) fn read(&self, options: &ReadOptions, access: Access) -> Option<Newest> {
        let links = self.links()?;
        let is_known = |(volume, link): (&KnownVolume, &Link)| volume.link == *link;
        if self.volumes.iter().zip(&links).all(is_known) {
            return Some(Newest::Same);
        }
        let mut tree = Tree::new();
        let mut room = CopyRoom { files: options.limits.files, bytes: options.limits.bytes };
        if access == Access::AtOnce {
            room = CopyRoom { files: room.files.min(FILES_AT_ONCE), bytes: room.bytes.min(BYTES_AT_ONCE) };
        }
        let mut volumes = self.volumes.clone();
        for (volume, link) in volumes.iter_mut().zip(&links) {
            if volume.link == *link {
                volume.copy(&self.snapshot.tree, &mut tree, &mut room)?;
            } else {
                volume.link = link.clone();
                volume.read(options, access, &mut tree, &mut room)?;
            }
        }
        let snapshot = self.snapshot_of(tree, &links)?;
        Some(Newest::Changed(Self { volumes, snapshot }))
    }

    /// Reads the generations that are known, if they are small, and returns them with another byte in one file.
    pub(super) fn rehearse(&self, options: &ReadOptions) -> Option<Snapshot> {
        let links = self.links()?;
        let mut tree = Tree::new();
        let mut room = CopyRoom { files: REHEARSED_FILES, bytes: REHEARSED_BYTES };
        for volume in &self.volumes {
            volume.read(options, Access::AtOnce, &mut tree, &mut room)?;
        }
        tree.values_mut().next()?.push(b'\n');
        self.snapshot_of(tree, &links)
    }

    fn links(&self) -> Option<Vec<Link>> {
        self.volumes.iter().map(|volume| Link::read(&volume.directory)).collect()
    }

    /// Returns the snapshot of a tree with the same names: the files in memory, and those that may be shown, are known by them.
    fn snapshot_of(&self, tree: Tree, links: &[Link]) -> Option<Snapshot> {
        if !tree.keys().eq(self.snapshot.tree.keys()) {
            return None;
        }
        let delivered = links.iter().map(Link::delivered).max()?;
        let (revision, tree) = (Arc::new(Revision::of(&tree)), Arc::new(tree));
        Some(Snapshot { revision, tree, delivered, patience: AGREEMENT, ..self.snapshot.clone() })
    }
}

/// The rest of what may be read.
struct CopyRoom {
    files: usize,
    bytes: u64,
}

impl CopyRoom {
    fn take(&mut self, bytes: usize) -> Option<()> {
        self.files = self.files.checked_sub(1)?;
        self.bytes = self.bytes.checked_sub(bytes as u64)?;
        Some(())
    }
}

impl KnownVolume {
    /// Takes the files of a volume over from the tree before.
    fn copy(&self, before: &Tree, tree: &mut Tree, room: &mut CopyRoom) -> Option<()> {
        for name in self.entries.iter().map(|entry| self.name.join(entry)) {
            if let Some(content) = before.get(&name) {
                room.take(content.len())?;
                tree.insert(name, content.clone());
            }
        }
        Some(())
    }

    /// Reads the generation of the link.
    fn read(&self, options: &ReadOptions, access: Access, tree: &mut Tree, room: &mut CopyRoom) -> Option<()> {
        let generation = self.open_generation(access)?;
        let found = entries(&generation).ok()?;
        let is_plain = found.iter().all(|entry| entry.kind == Some(EntryKind::File));
        if !is_plain || !found.iter().map(|entry| &entry.name).eq(self.entries.iter()) {
            return None;
        }
        for entry in &*self.entries {
            let inside = self.inside.join(entry);
            let selection = &options.selection;
            if selection.excludes(&inside) || (selection.is_limited() && !selection.includes(&inside)) {
                continue;
            }
            let name = self.name.join(entry);
            let content = read_file(&generation, entry, access, room.bytes)?;
            if is_service_account_token(&content) && !selection.includes(&name) {
                continue;
            }
            room.take(content.len())?;
            tree.insert(name, content);
        }
        // All of it is of one generation, through the handle of that. A swap meanwhile has an event of its own, and if the kubelet has
        // begun to remove this one, a name is missing.
        Some(())
    }

    fn open_generation(&self, access: Access) -> Option<OwnedFd> {
        let mut components = self.link.target.components();
        let (Some(Component::Normal(generation)), None) = (components.next(), components.next()) else { return None };
        open(&self.directory, generation, OFlags::DIRECTORY, access)
    }
}

fn read_file(directory: &OwnedFd, entry: &OsStr, access: Access, room: u64) -> Option<Vec<u8>> {
    let regular = RegularFile::of(open(directory, entry, regular::FLAGS, access)?).ok()??;
    let size = regular.size();
    if size > room {
        return None;
    }
    contents::read(&regular.file, size, room, access).ok().filter(|content| content.len() as u64 <= room)
}

/// Opens a name in a directory, and no link. At once it succeeds only if the kernel has the way to the file in memory (openat2(2)).
fn open(directory: &OwnedFd, name: &OsStr, flags: OFlags, access: Access) -> Option<OwnedFd> {
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match access {
        Access::Waiting => rustix::fs::openat(directory, name, flags, Mode::empty()).ok(),
        Access::AtOnce => {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::CACHED;
            rustix::fs::openat2(directory, name, flags, Mode::empty(), resolve).ok()
        }
    }
}
