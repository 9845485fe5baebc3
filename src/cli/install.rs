//! Installation: a copy of the running binary in a directory. IO: writes there.
//!
//! With a volume that two containers share, the gate runs in the application's own image: its checker is installed there, and
//! running it takes no privilege.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command};
use rustix::fs::StatVfsMountFlags;

use super::{print, say};
use crate::exit::Exit;

/// Name of the copy.
const NAME: &str = "reload-gate";
/// Mode of the copy: every user may execute it.
const MODE: u32 = 0o755;
/// The file that this process executes, even after it was moved (proc_pid_exe(5)).
const SELF: &str = "/proc/self/exe";

/// Result of an installation.
#[derive(Debug)]
struct Installed {
    /// Path of the binary.
    path: PathBuf,
    /// True if the same binary was there already.
    unchanged: bool,
    /// True if nothing can be executed there (`noexec`).
    not_executable: bool,
}

/// Failure of an installation. The directory is unchanged.
#[derive(Debug, thiserror::Error)]
#[error("cannot install into `{}`: {error}\n  help: {}", .directory.display(), .error.remedy())]
struct NotInstalled {
    directory: PathBuf,
    error: InstallFailure,
}

#[derive(Debug, thiserror::Error)]
enum InstallFailure {
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

impl InstallFailure {
    fn remedy(&self) -> &'static str {
        match self {
            Self::Directory(error) if error.kind() == io::ErrorKind::NotFound => {
                "mount the volume there, or create the directory above it"
            }
            Self::Directory(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                "mount a writable volume there, as an `emptyDir`: the file system is read-only"
            }
            Self::Directory(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                "give this user write permission in the volume: `fsGroup` or `runAsUser` of the pod"
            }
            Self::Occupied => "name the directory of the binary, not its path; or remove the directory that is there",
            Self::Foreign => "remove it, or name another directory: only an earlier `reload-gate` is replaced",
            Self::Directory(_) | Self::NoDirectory => "name a directory that exists, or can be created",
            Self::Own(_) => "make the binary readable for this user (`chmod a+rx`)",
            Self::Write(error) => match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "raise the `sizeLimit` of the volume, or make room: it is full"
                }
                io::ErrorKind::ReadOnlyFilesystem => "mount the volume without `readOnly` in this container",
                _ => "give this user write permission in the volume: `fsGroup` or `runAsUser` of the pod",
            },
        }
    }
}

pub(super) fn command() -> Command {
    let directory = Arg::new("directory").value_name("DIR").required(true).value_parser(clap::value_parser!(PathBuf));
    let help =
        "Directory of the copy, which is called `reload-gate`; the last part of the path is created if it is missing";
    Command::new("install")
        .about("Copy this binary into a directory, for use in another image")
        .arg(directory.help(help))
}

pub(super) fn run(matches: &ArgMatches) -> Exit {
    let directory = matches.get_one::<PathBuf>("directory").map_or(Path::new("."), PathBuf::as_path);
    let installed = match install(directory) {
        Ok(installed) => installed,
        Err(error) => {
            say(&format!("error: {error}"));
            return Exit::Usage;
        }
    };
    let path = installed.path.display();
    if installed.not_executable {
        let message = format!("nothing can be executed in `{}`", directory.display());
        say(&format!("warning: {message}\n  help: mount that volume without `noexec`"));
    }
    print(&if installed.unchanged {
        format!("`{path}` is this binary already\n")
    } else {
        format!("installed `{path}`\n")
    })
}

/// Copies the running binary into a directory. The last part of its path is created if it is missing. A reader sees the old file or the new
/// one, and nothing in between; a program that runs from the old one goes on.
///
/// # Errors
/// When it could not be read or written.
fn install(directory: &Path) -> Result<Installed, NotInstalled> {
    copy_into(directory).map_err(|error| NotInstalled { directory: directory.into(), error })
}

fn copy_into(directory: &Path) -> Result<Installed, InstallFailure> {
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !directory.is_dir() => {
            return Err(InstallFailure::Directory(error));
        }
        _ if !directory.is_dir() => return Err(InstallFailure::NoDirectory),
        _ => {}
    }
    let path = directory.join(NAME);
    let mut own = Vec::new();
    File::open(SELF).and_then(|mut file| file.read_to_end(&mut own)).map_err(InstallFailure::Own)?;
    let unchanged = is_there(&path, &own);
    if !unchanged {
        may_be_replaced(&path)?;
        let new = directory.join(format!(".{NAME}.{}", std::process::id()));
        let written = write(&new, &own).and_then(|()| fs::rename(&new, &path));
        written.inspect_err(|_| drop(fs::remove_file(&new))).map_err(InstallFailure::Write)?;
        let _ = File::open(directory).and_then(|directory| directory.sync_all());
    }
    let flags = rustix::fs::statvfs(directory).map(|file_system| file_system.f_flag);
    let not_executable = flags.is_ok_and(|flags| flags.contains(StatVfsMountFlags::NOEXEC));
    Ok(Installed { path, unchanged, not_executable })
}

/// Returns true if the same binary is there already, and every user may execute it.
fn is_there(path: &Path, own: &[u8]) -> bool {
    let executable = |metadata: fs::Metadata| metadata.is_file() && metadata.permissions().mode() & 0o777 == MODE;
    fs::symlink_metadata(path).is_ok_and(executable) && fs::read(path).is_ok_and(|there| there == own)
}

/// Checks that nothing is lost by putting the binary there: there is no file, or an executable (elf(5)) that contains our name.
fn may_be_replaced(path: &Path) -> Result<(), InstallFailure> {
    match fs::read(path) {
        Ok(there) => {
            let names_us = || there.windows(NAME.len()).any(|part| part == NAME.as_bytes());
            if there.starts_with(b"\x7fELF") && names_us() { Ok(()) } else { Err(InstallFailure::Foreign) }
        }
        Err(_) if path.is_dir() => Err(InstallFailure::Occupied),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(InstallFailure::Write(error)),
    }
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    // A killed process of the same id may have left it: the first process of a container is always number 1.
    let _ = fs::remove_file(path);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
    // Independent of the umask.
    file.set_permissions(fs::Permissions::from_mode(MODE))?;
    io::Write::write_all(&mut file, content)?;
    file.sync_all()
}
