//! A small file system of the scenario's own, which can be full. Needs root.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, unshare};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};

/// Enough for some generations of a configuration, and little to fill.
const SIZE: &std::ffi::CStr = c"size=2m,mode=0755";

/// A directory for what the gate writes.
#[derive(Debug)]
pub(crate) struct Disk {
    path: PathBuf,
    /// It is a file system of its own.
    can_be_full: bool,
}

/// Gives this process mounts of its own, which vanish with it. To be called before any thread starts.
///
/// # Errors
/// When that is not allowed.
pub(crate) fn take_mounts() -> Result<(), String> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(|error| format!("cannot mount a small file system: {error}"))?;
    let private = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
    mount_change("/", private).map_err(|error| format!("cannot make mounts private: {error}"))
}

impl Disk {
    /// Makes the directory, and mounts a file system there if `own`.
    pub(crate) fn new(path: PathBuf, own: bool) -> Self {
        fs::create_dir(&path).expect("there is room");
        let can_be_full = own && mount("torture", &path, "tmpfs", MountFlags::empty(), SIZE).is_ok();
        Self { path, can_be_full }
    }

    /// A directory on it.
    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        let directory = self.path.join(name);
        fs::create_dir_all(&directory).expect("there is room");
        directory
    }

    pub(crate) const fn can_be_full(&self) -> bool {
        self.can_be_full
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }

    /// Takes all of its room, except for `left` bytes.
    pub(crate) fn fill(&self, left: u64) {
        let Ok(mut file) = OpenOptions::new().create(true).append(true).open(self.ballast()) else { return };
        while file.write_all(&[0; 4096]).is_ok() {}
        let full = file.metadata().map_or(0, |metadata| metadata.len());
        let _ = file.set_len(full.saturating_sub(left));
    }

    /// Gives the room back.
    pub(crate) fn clear(&self) {
        let _ = fs::remove_file(self.ballast());
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.can_be_full {
            let _ = rustix::mount::unmount(&self.path, rustix::mount::UnmountFlags::DETACH);
        }
    }
}
