//! Opens paths without following a link, so that no race leads out of a directory. IO: opens files.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

/// Opens `path`, relative to `root` and free of links and `..`, without leaving `root`: a component that has become a link
/// meanwhile is an error (`ELOOP` or `ENOTDIR`), and is never followed.
///
/// # Errors
/// When there is no such path, or a link is on it.
pub fn open(root: impl AsFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(&root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
        // Kernels before 5.6 do not know the call, and a seccomp filter that does not know it says EPERM.
        Err(Errno::NOSYS | Errno::PERM) => walk(root.as_fd(), path, flags),
        opened => opened,
    }
}

/// Opens `path` one component after the other, each relative to the handle of the one before.
fn walk(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut names: Vec<&OsStr> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name),
            Component::CurDir => {}
            _ => return Err(Errno::XDEV),
        }
    }
    let last = names.pop().unwrap_or(OsStr::new("."));
    let mut directory: Option<OwnedFd> = None;
    for name in names {
        let way = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let at = directory.as_ref().map_or(root, AsFd::as_fd);
        directory = Some(openat(at, name, way, Mode::empty())?);
    }
    let at = directory.as_ref().map_or(root, AsFd::as_fd);
    let opened = openat(at, last, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    // With O_PATH a link is opened as itself (open(2)).
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&opened)?.st_mode);
    if kind.is_symlink() { Err(Errno::LOOP) } else { Ok(opened) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_link_is_followed_with_or_without_openat2() {
        let here = tempfile::tempdir().expect("there is room");
        let (inside, outside) = (here.path().join("root"), here.path().join("outside"));
        fs::create_dir_all(inside.join("d/e")).and_then(|()| fs::create_dir(&outside)).expect("there is room");
        fs::write(inside.join("d/e/file"), "inside")
            .and_then(|()| fs::write(outside.join("file"), "outside"))
            .expect("room");
        symlink(&outside, inside.join("d/link")).and_then(|()| symlink("d", inside.join("up"))).expect("there is room");
        let root = fs::File::open(&inside).expect("it is there");
        let with_call = |path: &str| open(&root, Path::new(path), OFlags::RDONLY);
        let with_walk = |path: &str| walk(root.as_fd(), Path::new(path), OFlags::RDONLY);
        for path in ["d/e/file", "d/e", "d/./e/file", ""] {
            assert!(with_call(path).is_ok(), "{path}");
            assert!(with_walk(path).is_ok(), "{path}");
        }
        for path in ["d/link", "d/link/file", "up/e/file", "../outside/file", "/etc/passwd", "d/missing"] {
            assert!(with_call(path).is_err(), "{path}");
            assert!(with_walk(path).is_err(), "{path}");
        }
        let handle = walk(root.as_fd(), Path::new("d/link"), OFlags::PATH);
        assert_eq!(handle.err(), Some(Errno::LOOP), "O_PATH opens a link as itself");
    }
}
