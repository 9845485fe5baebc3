//! The way to a source: its path without links, and the users who own the links on it. IO: reads links.
//!
//! A source may be reached through a link of another user than root: git-sync and Capistrano swap such a link for each release. The gate reads
//! for that user, so it reads only what that user may read.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FileType, lstat};
use rustix::io::Errno;

use crate::flow::snapshot::outside;

/// Largest number of links that the kernel follows (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// Users who own a link on the way to a file, without those whom the gate trusts.
pub(super) type LinkOwners = Arc<[u32]>;

/// The way to a source.
pub(super) struct Way {
    /// The path without links.
    pub(super) real: PathBuf,
    pub(super) owners: LinkOwners,
}

impl Way {
    /// Follows the links on an absolute path.
    ///
    /// # Errors
    /// When it leads nowhere, or in a circle.
    pub(super) fn to(path: &Path) -> io::Result<Self> {
        let (mut real, mut owners, mut links) = (PathBuf::from("/"), Vec::new(), 0);
        let mut steps: VecDeque<OsString> = steps(path).collect();
        while let Some(step) = steps.pop_front() {
            if step == ".." {
                real.pop();
                continue;
            }
            let next = real.join(step);
            let stat = lstat(&next)?;
            if !FileType::from_raw_mode(stat.st_mode).is_symlink() {
                real = next;
                continue;
            }
            links += 1;
            if links > MOST_LINKS {
                return Err(Errno::LOOP.into());
            }
            if !outside::is_trusted(stat.st_uid) && !owners.contains(&stat.st_uid) {
                owners.push(stat.st_uid);
            }
            let target = next.read_link()?;
            if target.is_absolute() {
                real = PathBuf::from("/");
            }
            for step in self::steps(&target).collect::<Vec<_>>().into_iter().rev() {
                steps.push_front(step);
            }
        }
        Ok(Self { real, owners: owners.into() })
    }
}

fn steps(path: &Path) -> impl Iterator<Item = OsString> {
    let is_step = |component: &Component<'_>| matches!(component, Component::Normal(_) | Component::ParentDir);
    path.components().filter(is_step).map(|component| component.as_os_str().to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_path_without_links_is_the_one_of_the_kernel() {
        let here = tempfile::tempdir().expect("there is room");
        let at = |name: &str| here.path().join(name);
        fs::create_dir_all(at("releases/1/conf")).expect("there is room");
        for (target, name) in [("releases/1", "current"), ("../..", "releases/1/up"), ("circle", "circle")] {
            symlink(target, at(name)).expect("there is room");
        }
        symlink(at("current"), at("absolute")).expect("there is room");
        for name in ["", "current/conf", "absolute/up/current/conf", "releases/1/up", "releases/../current"] {
            let way = Way::to(&at(name)).expect("it is there");
            assert_eq!(way.real, at(name).canonicalize().expect("it is there"), "{name}");
            assert!(way.owners.is_empty(), "{name}: the gate's user owns them");
        }
        assert!(Way::to(&at("circle")).is_err());
        assert!(Way::to(&at("none")).is_err());
    }
}
