//! Volumes that a kubelet writes. IO: lists directories.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, PathBuf};

use rustix::fs::{AtFlags, OFlags};
use rustix::io::Errno;

use super::{DATA, Dir, ReadResult, SourceReader, Vanished, is_litter, leads_to_data};
use crate::flow::snapshot::entries::{Entry, EntryKind};
use crate::flow::snapshot::newest::{KnownVolume, Link};

impl SourceReader<'_> {
    /// Reads a directory that a kubelet writes: only the target of `..data` counts.
    pub(super) fn volume(&mut self, dir: &Dir, entries: &[Entry]) -> ReadResult {
        self.watch_points.volume(&dir.path);
        let dir = &Dir { strict: true, ..dir.clone() };
        let Some((data, link)) = self.pin(dir)? else { return Ok(()) };
        let committed = self.list(&data)?;
        let linked: BTreeSet<_> =
            entries.iter().map(|entry| &entry.name).filter(|name| leads_to_data(&dir.fd, name)).collect();
        for Entry { name, kind } in &committed {
            self.settled &= linked.contains(name);
            self.entry(&data, name, *kind)?;
        }
        let committed_names: BTreeSet<_> = committed.iter().map(|entry| &entry.name).collect();
        let mut is_alone = true;
        for name in entries.iter().map(|entry| &entry.name).filter(|name| !name.as_bytes().starts_with(b"..")) {
            if linked.contains(name) {
                self.settled &= committed_names.contains(name);
            } else if !committed_names.contains(name) && !is_litter(name) {
                is_alone = false;
                self.entry(dir, name, None)?;
            }
        }
        let is_known = is_alone && dir.owners.is_empty();
        if dir.depth == 0 && is_known && committed.iter().all(|entry| entry.kind == Some(EntryKind::File)) {
            let (directory, entries) = (dir.fd.clone(), committed.into_iter().map(|entry| entry.name).collect());
            self.volumes.push(KnownVolume {
                directory,
                name: dir.name.clone(),
                inside: dir.inside.clone(),
                link,
                entries,
            });
        }
        Ok(())
    }

    /// Opens the present target of `..data`, so that all files that are read are of one generation.
    pub(super) fn pin(&mut self, dir: &Dir) -> ReadResult<Option<(Dir, Link)>> {
        let link = dir.path.join(DATA);
        let target = match rustix::fs::readlinkat(&dir.fd, DATA, Vec::new()) {
            Ok(target) => PathBuf::from(OsStr::from_bytes(target.as_bytes())),
            Err(Errno::NOENT) => return Err(Vanished(link)),
            Err(errno) => {
                self.unreadable(&link, &errno.into(), true);
                return Ok(None);
            }
        };
        self.generations.push((link.clone(), target.clone()));
        let mut components = target.components();
        let (Some(Component::Normal(generation)), None) = (components.next(), components.next()) else {
            self.escaping(&link, &target, "let it lead to a directory beside it, as a kubelet does");
            return Ok(None);
        };
        let stat = rustix::fs::statat(&dir.fd, DATA, AtFlags::SYMLINK_NOFOLLOW).map_err(|_| Vanished(link.clone()))?;
        self.delivered_at(&Ok(stat));
        let path = dir.path.join(generation);
        let fd = self.open_dir(&dir.fd, generation, OFlags::NOFOLLOW, &path, true)?;
        let inside = dir.inside.clone();
        let data = |fd| Dir { inside, watched: false, strict: true, ..dir.child(fd, generation, &dir.name) };
        let link = Link::new(target.clone(), &stat);
        Ok(fd.map(|fd| (data(fd), link)))
    }
}
