//! Copies the running binary into a directory. IO: writes there.
//!
//! A volume which two containers share takes the gate into the application's own image in this way: the checker that runs there
//! is the application's own then, and takes no privilege.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;

/// What the copy is called.
const NAME: &str = "reload-gate";
/// Everybody may execute it.
const MODE: u32 = 0o755;
/// What this process executes, wherever that file is by now (proc_pid_exe(5)).
const SELF: &str = "/proc/self/exe";

/// What was done.
#[derive(Debug)]
pub struct Installed {
    /// Where the binary is.
    pub path: PathBuf,
    /// Whether it was there already, the same byte for byte.
    pub unchanged: bool,
    /// Whether nothing can be executed there (`noexec`).
    pub not_executable: bool,
}

/// Why nothing was done. The directory is as it was.
#[derive(Debug, thiserror::Error)]
#[error("cannot install into `{}`: {error}\n  help: {}", .directory.display(), .error.remedy())]
pub struct NotInstalled {
    directory: PathBuf,
    error: Cause,
}

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("cannot create it: {0}")]
    Directory(io::Error),
    #[error("it is no directory")]
    NoDirectory,
    #[error("`{NAME}` is a directory there")]
    Occupied,
    #[error("`{NAME}` is another program's file there")]
    Foreign,
    #[error("cannot read the own binary: {0}")]
    Own(io::Error),
    #[error("cannot write `{NAME}` there: {0}")]
    Write(io::Error),
}

impl Cause {
    fn remedy(&self) -> &'static str {
        match self {
            Self::Directory(error) if error.kind() == io::ErrorKind::NotFound => {
                "mount the volume there, or create the directory above it"
            }
            Self::Directory(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                "mount a volume there that can be written, as an `emptyDir`: what is above it is read-only"
            }
            Self::Directory(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                "mount a volume there that the user that runs this may write to: `fsGroup` or `runAsUser` of the pod"
            }
            Self::Occupied => {
                "name the directory in which the binary is to lie, and not its path; or remove what is there"
            }
            Self::Foreign => "remove it, or name another directory: only an earlier `reload-gate` is replaced",
            Self::Directory(_) | Self::NoDirectory => "name a directory that exists, or can be created",
            Self::Own(_) => "it must be readable by the user that runs it (`chmod a+rx`)",
            Self::Write(error) => match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "the volume is full: raise its `sizeLimit`, or make room"
                }
                io::ErrorKind::ReadOnlyFilesystem => {
                    "mount the volume without `readOnly` here; only its readers need that"
                }
                _ => "the user that runs this must be allowed to write there: `fsGroup` or `runAsUser` of the pod",
            },
        }
    }
}

/// Copies the running binary into a directory, whose last part is created if it is missing. A reader sees the old file or the new
/// one, and nothing in between; a program that runs from the old one goes on.
///
/// # Errors
/// When it could not be read or written.
pub fn install(directory: &Path) -> Result<Installed, NotInstalled> {
    copy_into(directory).map_err(|error| NotInstalled { directory: directory.into(), error })
}

fn copy_into(directory: &Path) -> Result<Installed, Cause> {
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !directory.is_dir() => {
            return Err(Cause::Directory(error));
        }
        _ if !directory.is_dir() => return Err(Cause::NoDirectory),
        _ => {}
    }
    let path = directory.join(NAME);
    let mut own = Vec::new();
    File::open(SELF).and_then(|mut file| file.read_to_end(&mut own)).map_err(Cause::Own)?;
    let unchanged = is_there(&path, &own);
    if !unchanged {
        may_be_replaced(&path)?;
        let new = directory.join(format!(".{NAME}.{}", std::process::id()));
        let written = write(&new, &own).and_then(|()| fs::rename(&new, &path));
        written.inspect_err(|_| drop(fs::remove_file(&new))).map_err(Cause::Write)?;
        let _ = File::open(directory).and_then(|directory| directory.sync_all());
    }
    let flags = rustix::fs::statvfs(directory).map(|file_system| file_system.f_flag);
    let not_executable = flags.is_ok_and(|flags| flags.contains(StatVfsMountFlags::NOEXEC));
    Ok(Installed { path, unchanged, not_executable })
}

/// Whether the same is there already, and may be executed by everybody.
fn is_there(path: &Path, own: &[u8]) -> bool {
    let executable = |metadata: fs::Metadata| metadata.is_file() && metadata.permissions().mode() & 0o777 == MODE;
    fs::symlink_metadata(path).is_ok_and(executable) && fs::read(path).is_ok_and(|there| there == own)
}

/// Whether nothing is lost by putting the binary there: nothing is there, or an executable (elf(5)) that knows our name.
fn may_be_replaced(path: &Path) -> Result<(), Cause> {
    match fs::read(path) {
        Ok(there) => {
            let names_us = || there.windows(NAME.len()).any(|part| part == NAME.as_bytes());
            if there.starts_with(b"\x7fELF") && names_us() { Ok(()) } else { Err(Cause::Foreign) }
        }
        Err(_) if path.is_dir() => Err(Cause::Occupied),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Cause::Write(error)),
    }
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    // Left behind by one of this number that was killed, as the first process of a container always is number 1.
    let _ = fs::remove_file(path);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
    // Whatever the umask is.
    file.set_permissions(fs::Permissions::from_mode(MODE))?;
    io::Write::write_all(&mut file, content)?;
    file.sync_all()
}
