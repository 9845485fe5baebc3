//! The smallest things that are done in a volume. IO: writes.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Modes as a kubelet gives them, so that any user of the application can read.
const DIRECTORY_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

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
    /// Removes an empty directory.
    RemoveDirectory(PathBuf),
}

impl VolumeStep<'_> {
    pub(super) fn perform(&self, volume: &Path) -> io::Result<()> {
        match self {
            Self::Directory(path) => {
                let path = volume.join(path);
                DirBuilder::new().mode(DIRECTORY_MODE).create(&path)?;
                // The mode above was cut by the umask.
                std::fs::set_permissions(path, Permissions::from_mode(DIRECTORY_MODE))
            }
            Self::File(path, content) => {
                let mut file =
                    OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(volume.join(path))?;
                file.set_permissions(Permissions::from_mode(FILE_MODE))?;
                file.write_all(content)
            }
            Self::Sync => Ok(rustix::fs::syncfs(File::open(volume)?)?),
            Self::Link { name, to } => std::os::unix::fs::symlink(to, volume.join(name)),
            Self::Rename(from, to) => std::fs::rename(volume.join(from), volume.join(to)),
            Self::Unlink(path) => match std::fs::remove_file(volume.join(path)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                done => done,
            },
            Self::RemoveDirectory(path) => std::fs::remove_dir(volume.join(path)),
        }
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
            Self::Unlink(path) | Self::RemoveDirectory(path) => write!(f, "remove `{}`", path.display()),
        }
    }
}
