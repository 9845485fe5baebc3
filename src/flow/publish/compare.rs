//! Comparison of what lies published with what was published: another program may write the volumes. IO: reads.
//!
//! The contents are read once for each publication. Afterwards the numbers and times of the files are compared, which is a system call
//! for each of them: a write changes the time of the last change of its file, which no program can set (inode(7), `ctime`).

use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, statat};

use super::shared::Shared;
use super::{Generation, Generations, LIVE, Publication, PublishError, Volume};

/// The generations that were published last, as far as this process knows them.
pub(super) type Published = Shared<Option<PublishedState>>;

/// The generations, with what is known of their files.
pub(super) struct PublishedState {
    generations: Generations,
    /// The identity of each of their files, when their contents were read.
    identities: Option<Vec<FileIdentity>>,
}

/// A file, directory or link of a generation: inode, size and time of its last change.
#[derive(Debug, PartialEq, Eq)]
struct FileIdentity {
    path: PathBuf,
    inode: (u64, u64),
    size: i64,
    changed: (i64, u64),
}

impl Publication {
    /// Records what is published now.
    pub fn remember(&self, generations: Generations) {
        *self.published.lock() = Some(PublishedState { generations, identities: None });
    }

    /// Returns a description of the first difference between what lies published and what was published; `None` if there is none, or
    /// if nothing was published by this process.
    #[must_use]
    pub fn difference(&self) -> Option<String> {
        let state = self.published.lock().take()?;
        let pairs = || self.volumes.iter().zip(&state.generations);
        let difference = pairs().find_map(|(volume, generation)| volume.link_difference(generation));
        let identities: Option<Vec<FileIdentity>> = pairs()
            .map(|(volume, generation)| volume.identities(generation))
            .collect::<Option<Vec<_>>>()
            .map(|all| all.into_iter().flatten().collect());
        let is_known = identities.is_some() && identities == state.identities;
        let difference = difference.or_else(|| {
            let changed = pairs().find(|(volume, generation)| !is_known && !volume.is_whole(generation));
            changed.map(|(volume, _)| {
                format!("the files in `{}` are not those that the gate wrote", volume.path.display())
            })
        });
        let identities = if difference.is_none() { identities } else { None };
        *self.published.lock() = Some(PublishedState { generations: state.generations, identities });
        difference
    }
}

impl Volume {
    /// Returns the difference of the links from those that lead to `generation`.
    fn link_difference(&self, generation: &Generation) -> Option<String> {
        let live = self.path.join(LIVE);
        match self.leads_to(LIVE) {
            Ok(Some(found)) if found == *generation => {}
            Ok(Some(found)) => return Some(format!("`{}` leads to `{}`", live.display(), found.name())),
            Ok(None) => return Some(format!("`{}` is missing", live.display())),
            Err(error) => return Some(error.to_string()),
        }
        match self.plan_publish(generation) {
            Ok(steps) if steps.is_empty() => None,
            Ok(_) => Some(format!("names are missing in `{}`, or lead elsewhere", self.path.display())),
            // The whole generation is missing.
            Err(PublishError::System { .. }) => Some(format!("files are missing in `{}`", self.path.display())),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Returns true if the contents of `generation` are those that its name says.
    fn is_whole(&self, generation: &Generation) -> bool {
        self.live().is_ok_and(|live| live.is_some_and(|(live, _)| live == *generation))
    }

    /// Returns the identity of each file of `generation`; `None` if it cannot be read.
    fn identities(&self, generation: &Generation) -> Option<Vec<FileIdentity>> {
        let root = self.directory().ok()?.open(Path::new(generation.name())).ok()?;
        let (mut identities, mut directories) = (Vec::new(), vec![PathBuf::new()]);
        while let Some(path) = directories.pop() {
            let directory = root.open(&path).ok()?;
            for entry in directory.entries().ok()? {
                let (name, kind) = entry.ok()?;
                let stat = statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
                let path = path.join(name);
                if kind.is_dir() {
                    directories.push(path.clone());
                }
                if identities.len() >= self.limits.entries() {
                    return None;
                }
                let (inode, size) = ((stat.st_dev, stat.st_ino), stat.st_size);
                identities.push(FileIdentity { path, inode, size, changed: (stat.st_ctime, stat.st_ctime_nsec) });
            }
        }
        identities.sort_by(|one, other| one.path.cmp(&other.path));
        Some(identities)
    }
}
