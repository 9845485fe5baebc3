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

    /// Returns a description of the first difference between what lies published and what was published; `None` if there is none, if nothing
    /// was published by this process, or if the volumes cannot be read at this moment.
    #[must_use]
    pub fn difference(&self) -> Option<String> {
        let mut published = self.published.lock();
        let state = published.as_mut()?;
        // What could not be compared is compared the next time.
        let (difference, identities) = self.compared_with(state).ok()?;
        state.identities = if difference.is_none() { identities } else { None };
        difference
    }

    /// Returns the first difference from `state`, and the identities of the files.
    fn compared_with(
        &self,
        state: &PublishedState,
    ) -> Result<(Option<String>, Option<Vec<FileIdentity>>), PublishError> {
        let mut identities = Some(Vec::new());
        for (volume, generation) in self.volumes.iter().zip(&state.generations) {
            if let Some(difference) = volume.link_difference(generation)? {
                return Ok((Some(difference), None));
            }
            let found = volume.identities(generation);
            identities = identities.zip(found).map(|(all, found)| all.into_iter().chain(found).collect());
        }
        if identities.is_some() && identities == state.identities {
            return Ok((None, identities));
        }
        for (volume, generation) in self.volumes.iter().zip(&state.generations) {
            if volume.live()?.is_none_or(|(live, _)| live != *generation) {
                let path = volume.path.display();
                return Ok((Some(format!("the files in `{path}` are not those that the gate wrote")), None));
            }
        }
        Ok((None, identities))
    }
}

impl Volume {
    /// Returns the difference of the links from those that lead to `generation`.
    fn link_difference(&self, generation: &Generation) -> Result<Option<String>, PublishError> {
        let live = self.path.join(LIVE);
        let difference = match self.leads_to(LIVE) {
            Ok(Some(found)) if found == *generation => None,
            Ok(Some(found)) => Some(format!("`{}` leads to `{}`", live.display(), found.name())),
            Ok(None) => Some(format!("`{}` is missing", live.display())),
            Err(error) if error.may_pass() => return Err(error),
            Err(error) => Some(error.to_string()),
        };
        if difference.is_some() {
            return Ok(difference);
        }
        match self.plan_publish(generation) {
            Ok(steps) if steps.is_empty() => Ok(None),
            Ok(_) => Ok(Some(format!("names are missing in `{}`, or lead elsewhere", self.path.display()))),
            Err(error) if error.may_pass() => Err(error),
            // The whole generation is missing.
            Err(PublishError::System { .. }) => Ok(Some(format!("files are missing in `{}`", self.path.display()))),
            Err(error) => Ok(Some(error.to_string())),
        }
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
