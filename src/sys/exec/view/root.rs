//! The root directory of a view. IO: mounts, in the mount namespace that it is called in.
//!
//! It is a file system in memory, in which every directory of the machine is shown by an overlay: it can be read, and writes are
//! kept in memory (the kernel's Documentation/filesystems/overlayfs.rst). An overlay does not show the mounts below a directory,
//! and in a user namespace it may not be laid over them; so a directory with mounts below it is made anew, and its entries are
//! shown one by one. Where no overlay is possible (before Linux 5.11 without privileges, or over another overlay of an overlay),
//! a directory is shown read-only. Devices are the harmless ones alone, and root sees only what every user may read, besides programs.

use std::ffi::CString;
use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, StatVfsMountFlags};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use super::programs;
use super::reserved::{ReservedPlaces, real};
use super::{FileSystemView, PROGRAMS, ViewMount};
use crate::sys::exec::again::{SetupStep, step};
use crate::sys::proc;
use crate::sys::shortage::{is_shortage, unless_short};

/// Mount point of the new root until it is the root.
const SCAFFOLD: &str = "/proc";
/// The machine's root, seen from there.
const OLD: &str = "/old";
/// The root of the view.
const NEW: &str = "/new";
/// Directory for the writes of the overlays.
const WRITTEN: &str = "/written";
/// Limits of each file system in memory.
const MEMORY: &str = "mode=0755,size=256m,nr_inodes=128k";

/// File systems of the kernel, on which nothing can be laid.
pub(super) const KERNEL: [&str; 3] = ["/dev", "/proc", "/sys"];
/// Devices that lead nowhere: no terminal, no disk, no log of the kernel.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
/// Links that programs expect beside them (`setup_dev_symlinks()` of container runtimes; proc_pid_fd(5)).
const DEVICE_LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];
/// Files of running programs, such as pid files: shown as a copy, which is the user's own.
const COPIED: [&str; 2] = ["/run", "/var/run"];
/// Directories of logs: the same directories without files.
const EMPTIED: [&str; 1] = ["/var/log"];
/// Directories of programs' own data: those that the user may see become the user's.
const OWNED: [&str; 3] = ["/var/cache", "/var/lib", "/var/spool"];
/// Directories that all users may write.
pub(super) const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];
/// Credentials that a kubelet, sessions of users and container runtimes put beside the files of running programs.
const SECRETS: [&str; 4] = ["/run/secrets", "/run/user", "/run/containers", "/var/run/secrets"];

/// Largest file that is copied from a running system, in bytes.
const SMALL: u64 = 64 << 10;
/// Largest number of entries of a directory that are copied, owned, shown one by one, or looked at for those of root alone.
const ENTRIES: usize = 4096;
/// Depth of directories that are made anew for the mounts below them. A deeper one is shown read-only with its mounts, which may be
/// those of many containers.
const DEPTH: usize = 5;

/// Lays out the root of a view, and enters it.
pub(super) fn lay_out(view: &FileSystemView, privileged: bool) -> SetupStep {
    let mut layers: Vec<ViewLayer> = Vec::new();
    let reserved = ReservedPlaces::find();
    for mount in &view.mounts {
        layers.push(step(ViewLayer::of(mount, &layers, &reserved), || format!("lay out `{}`", mount.at.display()))?);
    }
    let mounted = step(mounted(), || "read /proc/self/mountinfo".into())?;
    let programs = if view.homes.is_empty() { Vec::new() } else { programs::find() };
    step(raise_scaffold(), || "mount a root directory of its own".into())?;
    let targets = layers.iter().map(|layer| layer.at.clone()).collect();
    let mut scene = Scene { mounted, targets, homes: view.homes.clone(), programs, privileged, overlays: 0 };
    let old = step(fs::read_dir(OLD), || "read the root directory".into())?;
    for entry in old.flatten() {
        let path = Path::new("/").join(entry.file_name());
        step(scene.try_to_show(&path), || format!("show `{}`", path.display()))?;
    }
    for layer in &layers {
        step(layer.place(), || format!("lay out `{}`", layer.at.display()))?;
    }
    for ViewLayer { at, .. } in &layers {
        // Neither execve(2) nor mmap(2) executes what the inputs brought, whatever a program takes it for.
        let sealed = remount(&inside(NEW, at), MountFlags::RDONLY | MountFlags::NOEXEC);
        step(sealed, || format!("make `{}` read-only", at.display()))?;
    }
    step(change_root(NEW, NEW).and_then(|()| Ok(rustix::mount::unmount(".", UnmountFlags::DETACH)?)), || {
        "enter a root directory of its own".into()
    })
}

/// A mount, with the symbolic links of its paths followed.
struct ViewLayer<'a> {
    mount: &'a ViewMount,
    at: PathBuf,
    from: PathBuf,
}

impl<'a> ViewLayer<'a> {
    fn of(mount: &'a ViewMount, earlier: &[ViewLayer<'_>], reserved: &ReservedPlaces) -> io::Result<Self> {
        let from = mount.from.canonicalize()?;
        // An earlier mount hides the links below it.
        let below = |layer: &ViewLayer<'_>| Some(layer.at.join(mount.at.strip_prefix(&layer.mount.at).ok()?));
        let at = earlier.iter().rev().find_map(below).unwrap_or_else(|| real(&mount.at));
        let is_hidden = earlier.iter().any(|layer| mount.at.starts_with(&layer.mount.at));
        let possible = |at: &PathBuf| !reserved.refuses(&mount.at, []) && (!is_hidden || !reserved.refuses(at, []));
        let nothing = || io::Error::new(io::ErrorKind::InvalidInput, "nothing can be laid there");
        // A path joined with nothing ends in a slash.
        let at = Some(at).filter(possible).ok_or_else(nothing)?.components().collect();
        Ok(Self { mount, at, from })
    }

    /// Lays it in its place.
    fn place(&self) -> io::Result<()> {
        let (from, at) = (inside(OLD, &self.from), inside(NEW, &self.at));
        if from.is_dir() {
            make_directory(&at)?;
            memory(&at)?;
            return Copying::whole().copy(&from, &at);
        }
        at.parent().map_or(Ok(()), make_directory)?;
        if !at.exists() {
            fs::File::create(&at)?;
        }
        Ok(rustix::mount::mount_bind(&from, &at)?)
    }
}

/// The paths at which something is mounted.
fn mounted() -> io::Result<Vec<PathBuf>> {
    let mounts = procfs::process::Process::myself().and_then(|own| own.mountinfo()).map_err(proc::io_error)?;
    let paths = mounts.into_iter().map(|mount| mount.mount_point);
    Ok(paths.collect())
}

/// Makes a file system in memory the root, with the machine's root at [`OLD`] and an empty one at [`NEW`].
fn raise_scaffold() -> io::Result<()> {
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    memory(Path::new(SCAFFOLD))?;
    let old = inside(SCAFFOLD, Path::new(OLD));
    make_directory(&old)?;
    change_root(SCAFFOLD, old)?;
    for directory in [NEW, WRITTEN] {
        make_directory(Path::new(directory))?;
    }
    memory(Path::new(NEW))
}

fn change_root(new: impl AsRef<Path>, old: impl AsRef<Path>) -> io::Result<()> {
    rustix::process::pivot_root(new.as_ref(), old.as_ref())?;
    Ok(rustix::process::chdir("/")?)
}

fn memory(at: &Path) -> io::Result<()> {
    let options = CString::new(MEMORY)?;
    Ok(rustix::mount::mount("tmpfs", at, "tmpfs", MountFlags::NODEV | MountFlags::NOSUID, &*options)?)
}

/// A path of the machine or of the view, from the scaffold.
fn inside(root: &str, path: &Path) -> PathBuf {
    Path::new(root).join(path.strip_prefix("/").unwrap_or(path))
}

fn is(path: &Path, one_of: &[&str]) -> bool {
    one_of.iter().any(|other| path == Path::new(other))
}

/// Returns true for a directory of programs, and for one below: what lies there, any user may read.
fn is_of_programs(path: &Path) -> bool {
    PROGRAMS.iter().any(|programs| path.starts_with(programs))
}

/// The part of the machine that is shown.
struct Scene {
    /// Mount points of the machine.
    mounted: Vec<PathBuf>,
    /// Paths at which the configuration will lie.
    targets: Vec<PathBuf>,
    /// Directories whose files are not shown, and files that are not.
    homes: Vec<PathBuf>,
    /// Programs in such directories, which are shown.
    programs: Vec<PathBuf>,
    privileged: bool,
    /// Number of overlays.
    overlays: usize,
}

impl Scene {
    /// Shows a path of the machine in the view, or leaves it out if it cannot be shown: this user may not see it.
    ///
    /// # Errors
    /// A want of memory or descriptors: the view would lack something that is there, or show something that it hides.
    fn try_to_show(&mut self, path: &Path) -> io::Result<()> {
        unless_short(self.show(path)).map(|_| ())
    }

    fn show(&mut self, path: &Path) -> io::Result<()> {
        let (old, new) = (inside(OLD, path), inside(NEW, path));
        let metadata = fs::symlink_metadata(&old)?;
        if metadata.is_symlink() {
            return std::os::unix::fs::symlink(fs::read_link(&old)?, &new);
        }
        if metadata.is_file() && self.may_see(&metadata) && !self.homes.iter().any(|hidden| hidden == path) {
            fs::File::create(&new)?;
            rustix::mount::mount_bind(&old, &new)?;
            return make_read_only(&new);
        }
        // A socket that is bound there leads out of the view, read-only or not.
        if !metadata.is_dir() {
            return Ok(());
        }
        make_like(&new, &metadata)?;
        // What a closed directory holds is closed too, whatever its own mode is.
        let is_needed = self.targets.iter().any(|target| target.starts_with(path));
        if self.may_see(&metadata) || is_needed { self.fill(path, &old, &new) } else { Ok(()) }
    }

    /// Shows what is in a directory.
    fn fill(&mut self, path: &Path, old: &Path, new: &Path) -> io::Result<()> {
        let below = |others: &[PathBuf]| others.iter().any(|other| other != path && other.starts_with(path));
        let special = [&COPIED[..], &EMPTIED, &OWNED, &TEMPORARY].concat();
        if path == Path::new("/dev") {
            return show_devices(old, new);
        }
        if is(path, &KERNEL) {
            return self.show_kernel(path, old, new);
        }
        if is(path, &COPIED) || is(path, &EMPTIED) {
            let largest = if is(path, &COPIED) { Some(SMALL) } else { None };
            let hidden = self.homes.iter().map(|hidden| inside(OLD, hidden)).collect();
            return Copying { largest, left: ENTRIES, strict: false, hidden }.copy(old, new);
        }
        if self.homes.iter().any(|home| home == path) {
            return self.show_programs(path, old, new);
        }
        if below(&self.mounted) && !below(&self.targets) && path.components().count() > DEPTH {
            rustix::mount::mount_bind_recursive(old, new)?;
            return self.make_all_read_only(path, new);
        }
        if below(&self.mounted) || below(&self.homes) || below(&special.iter().map(PathBuf::from).collect::<Vec<_>>()) {
            return self.show_entries(path, old);
        }
        match self.overlay(path, old, new) {
            Ok(()) => Ok(()),
            Err(error) if is_shortage(&error) => Err(error),
            // It is empty, and can be written.
            Err(_) if is(path, &TEMPORARY) => Ok(()),
            Err(_) if is(path, &OWNED) => Copying::directories().copy(old, new),
            // Without an overlay nothing can be hidden in the directory as it is.
            Err(_) if below(&self.targets) || (self.hides_private() && !is_of_programs(path)) => {
                self.show_entries(path, old)
            }
            Err(_) => show_read_only(old, new),
        }
    }

    /// Shows of a hidden directory the programs that the search path has there, and their libraries.
    fn show_programs(&mut self, home: &Path, old: &Path, new: &Path) -> io::Result<()> {
        for shown in self.programs.clone().iter().filter(|path| *path != home) {
            let Ok(relative) = shown.strip_prefix(home) else { continue };
            if old.join(relative).symlink_metadata().is_err() || new.join(relative).symlink_metadata().is_ok() {
                continue;
            }
            make_directories(old, new, relative.parent().unwrap_or(relative))?;
            self.try_to_show(shown)?;
        }
        Ok(())
    }

    fn show_kernel(&self, path: &Path, old: &Path, new: &Path) -> io::Result<()> {
        rustix::mount::mount_bind_recursive(old, new)?;
        // In a user namespace it cannot change the kernel, and a checker may need its own files there.
        if path == Path::new("/proc") && !self.privileged {
            return Ok(());
        }
        self.make_all_read_only(path, new)
    }

    /// Makes what is shown of `path` read-only, with the mounts below it.
    fn make_all_read_only(&self, path: &Path, new: &Path) -> io::Result<()> {
        make_read_only(new)?;
        for mount in self.mounted.iter().filter(|mount| *mount != path && mount.starts_with(path)) {
            let shown = inside(NEW, mount);
            if shown.is_dir() && make_read_only(&shown).is_err() {
                memory(&shown)?;
            }
        }
        Ok(())
    }

    /// Returns true for what a program that validates may read: root leaves its own rights at the door.
    fn may_see(&self, metadata: &Metadata) -> bool {
        !self.hides_private() || is_public(metadata)
    }

    /// Returns true if root sees only what every user may read. A command of the user's own sees all.
    fn hides_private(&self) -> bool {
        self.privileged && !self.homes.is_empty()
    }

    /// Hides from an overlay what root alone may read, by a whiteout in its upper layer (overlayfs.rst, "whiteouts
    /// and opaque directories").
    fn hide_private(&self, path: &Path, old: &Path, upper: &Path) -> io::Result<()> {
        let mut left = ENTRIES;
        let mut directories = vec![PathBuf::new()];
        while let Some(directory) = directories.pop() {
            // An entry that is gone meanwhile needs no hiding.
            for entry in unless_short(fs::read_dir(old.join(&directory)))?.into_iter().flatten() {
                let Some(entry) = unless_short(entry)? else { continue };
                let Some(metadata) = unless_short(entry.metadata())? else { continue };
                let relative = directory.join(entry.file_name());
                let shown = path.join(&relative);
                left = left.saturating_sub(1);
                let is_needed = self.targets.iter().any(|target| target.starts_with(&shown));
                if metadata.is_symlink() || is_needed || (left > 0 && is_public(&metadata)) {
                    directories.extend(metadata.is_dir().then_some(relative));
                    continue;
                }
                make_directories(old, upper, &directory)?;
                let (kind, mode) = (FileType::CharacterDevice, Mode::empty());
                rustix::fs::mknodat(CWD, upper.join(&relative), kind, mode, rustix::fs::makedev(0, 0))?;
            }
        }
        Ok(())
    }

    fn show_entries(&mut self, path: &Path, old: &Path) -> io::Result<()> {
        for entry in fs::read_dir(old)?.flatten().take(ENTRIES) {
            self.try_to_show(&path.join(entry.file_name()))?;
        }
        Ok(())
    }

    /// Lays an overlay over a directory. The directories in which something will be laid, and those that programs write to, are
    /// made before that in the layer of what is written: so they are the user's own.
    fn overlay(&mut self, path: &Path, old: &Path, new: &Path) -> io::Result<()> {
        let layer = Path::new(WRITTEN).join(self.overlays.to_string());
        let (upper, work) = (layer.join("upper"), layer.join("work"));
        let lower = old.to_str().filter(|old| !old.contains([',', ':', '\\', '"']));
        let lower = lower.ok_or(io::ErrorKind::InvalidFilename)?;
        self.overlays += 1;
        make_directory(&work)?;
        make_like(&upper, &fs::metadata(old)?)?;
        if is(path, &OWNED) && !self.privileged {
            Copying::directories().copy(old, &upper)?;
        }
        if self.hides_private() && !is_of_programs(path) {
            self.hide_private(path, old, &upper)?;
        }
        for target in self.targets.iter().filter_map(|target| target.strip_prefix(path).ok()?.parent()) {
            make_directories(old, &upper, target)?;
        }
        // The attributes which an overlay keeps are those of a user where it was laid by one.
        let whose = if self.privileged { "" } else { ",userxattr" };
        let options = format!("lowerdir={lower},upperdir={},workdir={}{whose}", upper.display(), work.display());
        let flags = MountFlags::NODEV | MountFlags::NOSUID;
        Ok(rustix::mount::mount("overlay", new, "overlay", flags, &*CString::new(options)?)?)
    }
}

/// Makes the directories of a relative path in `new`, each like that in `old` if there is one.
fn make_directories(old: &Path, new: &Path, path: &Path) -> io::Result<()> {
    let steps: Vec<_> = path.ancestors().filter(|step| !step.as_os_str().is_empty()).collect();
    for directory in steps.into_iter().rev().filter(|directory| !new.join(directory).exists()) {
        match fs::symlink_metadata(old.join(directory)) {
            Ok(metadata) => make_like(&new.join(directory), &metadata)?,
            Err(_) => make_directory(&new.join(directory))?,
        }
    }
    Ok(())
}

fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(path)
}

/// Makes a directory with the mode of another, and its owner where that is possible.
fn make_like(path: &Path, metadata: &Metadata) -> io::Result<()> {
    make_directory(path)?;
    // The user must be able to write into what it owns.
    fs::set_permissions(path, fs::Permissions::from_mode((metadata.mode() & 0o7777) | 0o700))?;
    let _ = std::os::unix::fs::chown(path, Some(metadata.uid()), Some(metadata.gid()));
    Ok(())
}

/// Returns true if every user may read it.
fn is_public(metadata: &Metadata) -> bool {
    let needed = if metadata.is_dir() { 0o005 } else { 0o004 };
    metadata.mode() & needed == needed
}

/// Shows a directory of devices with those alone that lead nowhere.
fn show_devices(old: &Path, new: &Path) -> io::Result<()> {
    memory(new)?;
    for device in DEVICES {
        let (old, new) = (old.join(device), new.join(device));
        if old.exists() {
            fs::File::create(&new)?;
            rustix::mount::mount_bind(&old, &new)?;
        }
    }
    for (link, to) in DEVICE_LINKS {
        std::os::unix::fs::symlink(to, new.join(link))?;
    }
    make_directory(&new.join("shm"))?;
    memory(&new.join("shm"))?;
    make_read_only(new)
}

fn show_read_only(old: &Path, new: &Path) -> io::Result<()> {
    rustix::mount::mount_bind_recursive(old, new)?;
    make_read_only(new)
}

fn make_read_only(at: &Path) -> io::Result<()> {
    remount(at, MountFlags::RDONLY)
}

/// Adds flags to a mount. In a user namespace those that it has must be given again (mount_namespaces(7)).
fn remount(at: &Path, added: MountFlags) -> io::Result<()> {
    let now = rustix::fs::statvfs(at)?.f_flag;
    let mut flags = MountFlags::BIND | added;
    for (flag, has) in [
        (MountFlags::RDONLY, StatVfsMountFlags::RDONLY),
        (MountFlags::NODEV, StatVfsMountFlags::NODEV),
        (MountFlags::NOSUID, StatVfsMountFlags::NOSUID),
        (MountFlags::NOEXEC, StatVfsMountFlags::NOEXEC),
    ] {
        if now.contains(has) {
            flags |= flag;
        }
    }
    Ok(rustix::mount::mount_remount(at, flags, c"")?)
}

/// Copying directories, links and regular files.
struct Copying {
    /// Of files only those that are not larger, in bytes; none if absent.
    largest: Option<u64>,
    /// Largest number of entries.
    left: usize,
    /// An entry that cannot be copied is an error.
    strict: bool,
    /// Paths that are not copied.
    hidden: Vec<PathBuf>,
}

impl Copying {
    /// Everything, or an error.
    fn whole() -> Self {
        Self { largest: Some(u64::MAX), left: usize::MAX, strict: true, hidden: Vec::new() }
    }

    /// Directories and links without the files.
    fn directories() -> Self {
        Self { largest: None, left: ENTRIES, strict: false, hidden: Vec::new() }
    }

    fn copy(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        for entry in fs::read_dir(from)? {
            if self.left == 0 {
                return Ok(());
            }
            self.left -= 1;
            let entry = entry?;
            let copied = self.copy_entry(&entry.path(), &to.join(entry.file_name()));
            if self.strict {
                copied?;
            } else {
                unless_short(copied)?;
            }
        }
        Ok(())
    }

    fn copy_entry(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        if self.hidden.iter().any(|hidden| hidden == from) {
            return Ok(());
        }
        let metadata = fs::symlink_metadata(from)?;
        // Files of running programs may be credentials, of this user too.
        let is_private = self.largest.is_some() && !self.strict && !is_public(&metadata);
        if metadata.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(from)?, to)
        } else if metadata.is_dir() {
            make_like(to, &metadata)?;
            if is_private || SECRETS.iter().any(|secrets| from == inside(OLD, Path::new(secrets))) {
                Ok(())
            } else {
                self.copy(from, to)
            }
        } else if metadata.is_file() && !is_private && self.largest.is_some_and(|largest| metadata.len() <= largest) {
            fs::copy(from, to).map(|_| ())
        } else {
            Ok(())
        }
    }
}
