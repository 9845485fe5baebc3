//! The smallest things that are done in a volume. IO: writes, through descriptors.

use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, fchmod, mkdirat, openat, renameat, symlinkat, syncfs, unlinkat};
use rustix::io::Errno;

use super::directory::Directory;

/// Modes as a kubelet gives them, so that any user of the application can read.
const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);
const FILE_MODE: Mode = Mode::from_raw_mode(0o644);

/// One step; paths are relative to the volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum VolumeStep<'a> {
    /// Makes a directory.
    Directory(PathBuf),
    /// Writes a new file.
    File(PathBuf, &'a [u8]),
    /// Waits until all of the volume is on its disk.
    Sync,
    /// Makes a symbolic link that leads to `to`.
    Link { name: PathBuf, to: PathBuf },
    /// Renames a file, directory or link, in place of the former holder of the name: the only step that changes a visible file.
    Rename(PathBuf, PathBuf),
    /// Removes a file or link, if it is there.
    Unlink(PathBuf),
    /// Removes a directory with all that is in it. Nothing leads to it.
    RemoveTree(PathBuf),
    /// Removes a file, a link, or a directory with all that is in it, which nothing needs any more: a failure stops no publication.
    Sweep(PathBuf),
}

impl VolumeStep<'_> {
    /// Returns the path of which the next step does not need that it is gone.
    pub(super) fn dispensable(&self) -> Option<&Path> {
        match self {
            Self::Sweep(path) => Some(path),
            _ => None,
        }
    }

    /// Performs it. No link on the way to a name is followed.
    pub(super) fn perform(&self, volume: &Directory) -> io::Result<()> {
        match self {
            Self::Directory(path) => {
                let (parent, name) = volume.parent_of(path)?;
                mkdirat(&parent, name, DIRECTORY_MODE)?;
                // The mode above was cut by the umask.
                fchmod(parent.open(Path::new(name))?, DIRECTORY_MODE)?;
            }
            Self::File(path, content) => {
                let (parent, name) = volume.parent_of(path)?;
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let mut file = File::from(openat(&parent, name, flags, FILE_MODE)?);
                fchmod(&file, FILE_MODE)?;
                file.write_all(content)?;
            }
            Self::Sync => syncfs(volume)?,
            Self::Link { name, to } => {
                let (parent, name) = volume.parent_of(name)?;
                symlinkat(to, &parent, name)?;
            }
            Self::Rename(from, to) => {
                let ((from, old), (to, new)) = (volume.parent_of(from)?, volume.parent_of(to)?);
                renameat(&from, old, &to, new)?;
            }
            Self::Unlink(path) => {
                let (parent, name) = volume.parent_of(path)?;
                match unlinkat(&parent, name, AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Self::RemoveTree(path) => {
                let (parent, name) = volume.parent_of(path)?;
                parent.remove(name)?;
            }
            Self::Sweep(path) => {
                let (parent, name) = volume.parent_of(path)?;
                match parent.kind(name) {
                    Ok(kind) if kind.is_dir() => parent.remove(name)?,
                    _ => Self::Unlink(path.clone()).perform(volume)?,
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for VolumeStep<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "make the directory `{}`", path.display()),
            Self::File(path, content) => write!(f, "write the {} bytes of `{}`", content.len(), path.display()),
            Self::Sync => write!(f, "sync"),
            Self::Link { name, .. } => write!(f, "make the link `{}`", name.display()),
            Self::Rename(from, to) => write!(f, "rename `{}` to `{}`", from.display(), to.display()),
            Self::Unlink(path) | Self::RemoveTree(path) | Self::Sweep(path) => write!(f, "remove `{}`", path.display()),
        }
    }
}
