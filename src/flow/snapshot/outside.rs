//! Targets of links that leave the sources. IO: opens files.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::sys::beneath;

/// Directories of runtime data (hier(7), file-hierarchy(7)): logs, sockets, process ids and the kernel's own files are no configuration.
const RUNTIME: [&str; 6] = ["/dev", "/proc", "/run", "/sys", "/var/log", "/var/run"];
/// Directories below those that hold files after all: in memory, and mounted secrets.
const FILES: [&str; 2] = ["/dev/shm", "/run/secrets"];
const NULL: &str = "/dev/null";

/// LinkTarget of a link that leaves the sources.
pub(super) enum LinkTarget {
    /// A file of configuration.
    File(File, Stat),
    /// A file that is always empty: the name is masked by a link to `/dev/null`.
    Empty,
    /// A directory, of which the configuration may name files.
    Directory,
    /// Runtime data, or what the gate may not read: the name of the link counts.
    Name,
    /// A file that this owner of a link may not read, and that the gate must not read for that owner.
    Denied(u32),
}

/// Opens the target of a link; `owners` are the users who own it and links on the way to it, and `real` is its path without links.
///
/// # Errors
/// When the target has become another file meanwhile.
pub(super) fn open(real: &Path, owners: &[u32]) -> Result<LinkTarget, Errno> {
    if real == Path::new(NULL) {
        return Ok(LinkTarget::Empty);
    }
    let is_below = |directories: &[&str]| directories.iter().any(|directory| real.starts_with(directory));
    if is_below(&RUNTIME) && !is_below(&FILES) {
        return Ok(LinkTarget::Name);
    }
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let relative = real.strip_prefix("/").unwrap_or(real);
    let handle = match beneath::open(&root, relative, OFlags::PATH) {
        Err(Errno::ACCESS) => return Ok(LinkTarget::Name),
        handle => handle?,
    };
    let stat = rustix::fs::fstat(&handle)?;
    let denied = owners.iter().find(|owner| !is_trusted(**owner) && !may_read(**owner, real, &stat));
    match (FileType::from_raw_mode(stat.st_mode), denied) {
        (FileType::RegularFile, None) => {}
        (FileType::RegularFile, Some(owner)) => return Ok(LinkTarget::Denied(*owner)),
        (FileType::Directory, None) => return Ok(LinkTarget::Directory),
        _ => return Ok(LinkTarget::Name),
    }
    let file = match beneath::open(&root, relative, OFlags::RDONLY | OFlags::NONBLOCK) {
        Err(Errno::ACCESS | Errno::PERM) => return Ok(LinkTarget::Name),
        file => File::from(file?),
    };
    let opened = rustix::fs::fstat(&file)?;
    let is_same = (opened.st_dev, opened.st_ino) == (stat.st_dev, stat.st_ino);
    if is_same { Ok(LinkTarget::File(file, opened)) } else { Err(Errno::STALE) }
}

/// Returns true if a link of this user may lead anywhere: root and the gate's own user could read the file themselves.
pub(super) fn is_trusted(owner: u32) -> bool {
    owner == 0 || owner == rustix::process::geteuid().as_raw()
}

/// Returns true if user `owner` can read the file by its mode bits. Groups are not known here, and do not count.
pub(super) fn may_read(owner: u32, real: &Path, stat: &Stat) -> bool {
    let allows = |mode: u32, uid: u32, bit: u32| mode & bit != 0 || (uid == owner && mode & (bit << 6) != 0);
    const READ: u32 = 0o4;
    const SEARCH: u32 = 0o1;
    let can_pass =
        |directory: &Path| directory.metadata().is_ok_and(|metadata| allows(metadata.mode(), metadata.uid(), SEARCH));
    allows(stat.st_mode, stat.st_uid, READ) && real.ancestors().skip(1).all(can_pass)
}
