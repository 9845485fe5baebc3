//! Notices mounts at, above and below the sources, which cause no event of inotify: a file system that is mounted again, a bind mount. IO:
//! proc_pid_mountinfo(5), which can be polled for changes.

use std::fs::File;
use std::path::{Path, PathBuf};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::sys::proc;

/// The table of the mounts of this process.
#[derive(Debug)]
pub(super) struct MountTable(AsyncFd<File>);

impl MountTable {
    /// Opens the table; returns `None` if it cannot be waited for.
    #[expect(
        deprecated,
        reason = "the file owns its descriptor while it is registered, and the replacement is unsafe code"
    )]
    pub(super) fn open() -> Option<Self> {
        let file = File::open("/proc/self/mountinfo").ok()?;
        AsyncFd::with_interest(file, Interest::PRIORITY).ok().map(Self)
    }

    /// Waits until any mount comes or goes.
    pub(super) async fn changed(&self) {
        match self.0.ready(Interest::PRIORITY).await {
            Ok(mut ready) => ready.clear_ready(),
            Err(_) => std::future::pending().await,
        }
    }
}

/// A place in which a mount would matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MountPlace {
    /// A directory of a source: at it, above it and below it.
    Source(PathBuf),
    /// A name on the way to a source: at it.
    Way(PathBuf),
}

impl MountPlace {
    fn is_at(&self, mount: &Path) -> bool {
        match self {
            Self::Source(path) => path.starts_with(mount) || mount.starts_with(path),
            Self::Way(path) => path == mount,
        }
    }
}

/// Returns the mounts that matter to one of `places`, each with its id.
pub(super) fn mounts_at(places: &[MountPlace]) -> Vec<(i32, PathBuf)> {
    let matters = |(_, mount): &(i32, PathBuf)| places.iter().any(|place| place.is_at(mount));
    proc::mounts().into_iter().filter(matters).collect()
}
