//! One pass over the sources. IO: reads files, never writes.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reload_gate_contract::{Code, Finding, Place};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::secret::is_in_memory;
use super::{Limits, Scan, Snapshot, SnapshotError, Source};
use crate::flow::tree::{Revision, Tree};
use crate::flow::watch::WatchPoints;

/// The name of the link that a kubelet swaps (`pkg/volume/util/atomic_writer.go` in kubernetes).
pub(super) const DATA: &str = "..data";
/// Deeper than any configuration, and an end to links that lead in circles.
const MAX_DEPTH: usize = 32;

pub(super) const MISSING_SOURCE: Code = Code::new("missing-source");
pub(super) const EMPTY_SOURCE: Code = Code::new("empty-source");
const UNREADABLE: Code = Code::new("unreadable-file");
const SPECIAL_FILE: Code = Code::new("special-file");
const ESCAPING_LINK: Code = Code::new("escaping-link");
const TOO_DEEP: Code = Code::new("too-deep");
const TOO_LARGE: Code = Code::new("too-large");
const MOVING: Code = Code::new("moving-source");

/// A file was there and is not any more: the files read so far may be of two generations.
#[derive(Debug)]
pub(super) struct Vanished(PathBuf);

type ReadResult<T = ()> = Result<T, Vanished>;

/// A directory that is being read, through a handle of its own.
struct Dir {
    fd: OwnedFd,
    /// Its path in the gate's file system.
    path: PathBuf,
    /// Its name in the tree.
    name: PathBuf,
    depth: usize,
    /// Set if a change inside causes an event of the directory itself. A volume's timestamped directory never changes.
    watched: bool,
}

/// One pass over the sources.
pub(super) struct SourceReader<'a> {
    sources: &'a [Source],
    limits: Limits,
    /// The real paths of the sources: links may lead into these.
    roots: Vec<PathBuf>,
    tree: Tree,
    in_memory: BTreeSet<PathBuf>,
    bytes: u64,
    findings: Vec<Finding>,
    watch_points: WatchPoints,
    delivered: SystemTime,
    settled: bool,
    /// Each volume's link, and its target when it was met.
    generations: Vec<(PathBuf, PathBuf)>,
    /// Links that lead in circles make an endless number of paths: the first that is too deep is the last.
    too_deep: bool,
}

impl<'a> SourceReader<'a> {
    pub(super) fn new(sources: &'a [Source], limits: Limits) -> Self {
        Self {
            sources,
            limits,
            roots: sources.iter().filter_map(|source| source.path.canonicalize().ok()).collect(),
            tree: Tree::new(),
            in_memory: BTreeSet::new(),
            bytes: 0,
            findings: Vec::new(),
            watch_points: WatchPoints::default(),
            delivered: SystemTime::UNIX_EPOCH,
            settled: true,
            generations: Vec::new(),
            too_deep: false,
        }
    }

    pub(super) fn read(&mut self) -> ReadResult {
        for source in self.sources {
            // Links of one source may lead into another that is read later.
            let volume = if source.path.is_dir() { Some(&*source.path) } else { source.path.parent() };
            let link = volume.map(|volume| volume.join(DATA)).unwrap_or_default();
            self.generations.extend(link.read_link().ok().map(|target| (link, target)));
        }
        for source in self.sources {
            self.watch_points.anchor(&source.path);
            self.source(source)?;
        }
        self.is_one_generation()?;
        if self.tree.is_empty() && self.findings.is_empty() {
            let path = &self.sources[0].path;
            let finding = Finding::environment(EMPTY_SOURCE, format!("`{}` holds no file", path.display()));
            self.findings.push(finding.help("nothing is signalled for an empty configuration; check the volume"));
        }
        Ok(())
    }

    /// Checks that every volume still has the generation that it had when it was met. Otherwise a kubelet may have removed some
    /// files before they were read: it does so only after the swap, and then at once.
    fn is_one_generation(&self) -> ReadResult {
        let moved = |(link, target): &&(PathBuf, PathBuf)| link.read_link().ok().as_ref() != Some(target);
        self.generations.iter().find(moved).map_or(Ok(()), |(link, _)| Err(Vanished(link.clone())))
    }

    pub(super) fn finish(self) -> Scan {
        let settled = self.settled;
        let result = if self.findings.is_empty() {
            let (revision, in_memory) = (Arc::new(Revision::of(&self.tree)), Arc::new(self.in_memory));
            Ok(Snapshot { revision, tree: Arc::new(self.tree), in_memory, delivered: self.delivered, settled })
        } else {
            Err(SnapshotError { findings: self.findings, settled })
        };
        Scan { watch_points: self.watch_points.into(), result }
    }

    pub(super) fn give_up(self, vanished: &Vanished) -> Scan {
        let message = format!("`{}` keeps vanishing while it is read", vanished.0.display());
        let findings = vec![Finding::environment(MOVING, message)];
        Scan { watch_points: self.watch_points.into(), result: Err(SnapshotError { findings, settled: false }) }
    }

    fn source(&mut self, source: &Source) -> ReadResult {
        let name = if self.sources.len() == 1 { Path::new("") } else { &source.mount };
        match std::fs::metadata(&source.path) {
            Ok(metadata) if metadata.is_dir() => {
                let path = real(&source.path)?;
                let Some(fd) = self.open_dir(rustix::fs::CWD, path.as_os_str(), OFlags::empty(), &path)? else {
                    return Ok(());
                };
                self.dir(&Dir { fd, path: path.clone(), name: name.into(), depth: 0, watched: true })?;
                // A link that changed meanwhile may have led to files that were removed in part before they were read.
                if real(&source.path)? == path { Ok(()) } else { Err(Vanished(path)) }
            }
            Ok(_) => self.single(source, name),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.missing(source);
                Ok(())
            }
            Err(error) => {
                self.unreadable(&source.path, &error);
                Ok(())
            }
        }
    }

    /// A source that is one file.
    fn single(&mut self, source: &Source, name: &Path) -> ReadResult {
        let (Some(parent), Some(file)) = (source.path.parent(), source.path.file_name()) else { return Ok(()) };
        let parent = real(parent)?;
        let Some(fd) = self.open_dir(rustix::fs::CWD, parent.as_os_str(), OFlags::empty(), &parent)? else {
            return Ok(());
        };
        let name = if name.as_os_str().is_empty() { PathBuf::from(file) } else { name.to_path_buf() };
        let dir = Dir { fd, path: parent, name: PathBuf::new(), depth: 0, watched: true };
        if leads_to_data(&dir.fd, file) {
            if source.whole_volume {
                return self.dir(&dir);
            }
            self.watch_points.volume(&dir.path);
            if let Some(data) = self.pin(&dir)? {
                return self.entry_as(&data, file, &name);
            }
        }
        self.entry_as(&dir, file, &name)
    }

    /// Reports a source that does not exist; in the middle of a volume's update it may appear in an instant.
    fn missing(&mut self, source: &Source) {
        if let (Some(parent), Some(file)) = (source.path.parent(), source.path.file_name())
            && parent.join(DATA).is_symlink()
        {
            self.watch_points.volume(parent);
            self.settled &= !(source.path.is_symlink() || parent.join(DATA).join(file).exists());
        }
        let finding = Finding::environment(MISSING_SOURCE, format!("`{}` does not exist", source.path.display()));
        self.findings
            .push(finding.help("check `--watch` against the volume mounts of this container; the gate waits for it"));
    }

    fn dir(&mut self, dir: &Dir) -> ReadResult {
        if self.too_deep {
            return Ok(());
        }
        if dir.depth > MAX_DEPTH {
            self.too_deep = true;
            let finding = Finding::error(TOO_DEEP, format!("directories are nested deeper than {MAX_DEPTH}"));
            let help = format!("does a link lead in a circle? this is `{}`", dir.name.display());
            self.findings.push(finding.at(Place::file(dir.path.display().to_string())).help(help));
            return Ok(());
        }
        let entries = self.list(dir)?;
        if entries.iter().any(|entry| entry == DATA) {
            return self.volume(dir, &entries);
        }
        if dir.watched {
            self.watch_points.plain(&dir.path);
            self.delivered_at(&rustix::fs::fstat(&dir.fd));
        }
        entries.iter().filter(|entry| !is_litter(entry)).try_for_each(|entry| self.entry(dir, entry))
    }

    /// Reads a directory that a kubelet writes: only the target of `..data` counts.
    fn volume(&mut self, dir: &Dir, entries: &[OsString]) -> ReadResult {
        self.watch_points.volume(&dir.path);
        let Some(data) = self.pin(dir)? else { return Ok(()) };
        let committed = self.list(&data)?;
        for entry in &committed {
            self.settled &= leads_to_data(&dir.fd, entry);
            self.entry(&data, entry)?;
        }
        for entry in entries.iter().filter(|entry| !entry.as_bytes().starts_with(b"..")) {
            if leads_to_data(&dir.fd, entry) {
                self.settled &= committed.contains(entry);
            } else if !committed.contains(entry) && !is_litter(entry) {
                self.entry(dir, entry)?;
            }
        }
        Ok(())
    }

    /// Opens the present target of `..data`, so that all files that are read are of one generation.
    fn pin(&mut self, dir: &Dir) -> ReadResult<Option<Dir>> {
        let link = dir.path.join(DATA);
        let target = match rustix::fs::readlinkat(&dir.fd, DATA, Vec::new()) {
            Ok(target) => PathBuf::from(OsStr::from_bytes(target.as_bytes())),
            Err(Errno::NOENT) => return Err(Vanished(link)),
            Err(errno) => {
                self.unreadable(&link, &errno.into());
                return Ok(None);
            }
        };
        self.generations.push((link.clone(), target.clone()));
        let mut components = target.components();
        let (Some(Component::Normal(generation)), None) = (components.next(), components.next()) else {
            self.escaping(&link, &target);
            return Ok(None);
        };
        self.delivered_at(&rustix::fs::statat(&dir.fd, DATA, AtFlags::SYMLINK_NOFOLLOW));
        let path = dir.path.join(generation);
        let fd = self.open_dir(&dir.fd, generation, OFlags::NOFOLLOW, &path)?;
        Ok(fd.map(|fd| Dir { fd, path, name: dir.name.clone(), depth: dir.depth + 1, watched: false }))
    }

    fn entry(&mut self, dir: &Dir, entry: &OsStr) -> ReadResult {
        self.entry_as(dir, entry, &dir.name.join(entry))
    }

    fn entry_as(&mut self, dir: &Dir, entry: &OsStr, name: &Path) -> ReadResult {
        let path = dir.path.join(entry);
        let stat = match rustix::fs::statat(&dir.fd, entry, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Err(Vanished(path)),
            Err(errno) => {
                self.unreadable(&path, &errno.into());
                return Ok(());
            }
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => self.file(&dir.fd, entry, &path, name, dir.watched),
            FileType::Directory => {
                let Some(fd) = self.open_dir(&dir.fd, entry, OFlags::NOFOLLOW, &path)? else { return Ok(()) };
                self.dir(&Dir { fd, path, name: name.into(), depth: dir.depth + 1, watched: dir.watched })
            }
            FileType::Symlink => self.link(&path, name, dir),
            other => {
                let message = format!("{} is no configuration; it was not opened", describe(other));
                self.findings.push(
                    Finding::error(SPECIAL_FILE, message)
                        .at(Place::file(path.display().to_string()))
                        .help("remove it, or watch a directory that holds nothing but configuration"),
                );
                Ok(())
            }
        }
    }

    fn file(&mut self, dir: impl AsFd, entry: &OsStr, path: &Path, name: &Path, watched: bool) -> ReadResult {
        // NONBLOCK: if the file was swapped for a FIFO since its kind was checked, opening it must not hang.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(dir, entry, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT | Errno::LOOP) => return Err(Vanished(path.into())),
            Err(errno) => {
                self.unreadable(path, &errno.into());
                return Ok(());
            }
        };
        let stat = rustix::fs::fstat(&file);
        if !stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_file()) {
            return Err(Vanished(path.into()));
        }
        if watched {
            self.delivered_at(&stat);
        }
        if is_in_memory(&file) {
            self.in_memory.insert(name.into());
        }
        let room = self.limits.bytes - self.bytes;
        if self.tree.len() >= self.limits.files {
            self.too_large(path, &format!("more than {} files", self.limits.files), "files");
            return Ok(());
        }
        let mut content = Vec::new();
        if let Err(error) = file.take(room.saturating_add(1)).read_to_end(&mut content) {
            self.unreadable(path, &error);
            return Ok(());
        }
        if content.len() as u64 > room {
            self.too_large(path, &format!("more than {} bytes in all", self.limits.bytes), "bytes");
            return Ok(());
        }
        self.bytes += content.len() as u64;
        self.tree.insert(name.into(), content);
        Ok(())
    }

    /// Reads the target of a link, which may lie anywhere inside the sources, and nowhere else.
    fn link(&mut self, path: &Path, name: &Path, from: &Dir) -> ReadResult {
        let real = match path.canonicalize() {
            Ok(real) => real,
            // Editors leave links that lead nowhere as locks.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                self.unreadable(path, &error);
                return Ok(());
            }
        };
        if !self.roots.iter().any(|root| real.starts_with(root)) {
            self.escaping(path, &real);
            return Ok(());
        }
        let (Some(parent), Some(entry)) = (real.parent(), real.file_name()) else { return Ok(()) };
        let Some(fd) = self.open_dir(rustix::fs::CWD, parent.as_os_str(), OFlags::empty(), parent)? else {
            return Ok(());
        };
        let dir = Dir { fd, path: parent.into(), name: PathBuf::new(), depth: from.depth + 1, watched: from.watched };
        self.entry_as(&dir, entry, name)
    }

    fn open_dir(&mut self, at: impl AsFd, entry: &OsStr, flags: OFlags, path: &Path) -> ReadResult<Option<OwnedFd>> {
        let flags = flags | OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::openat(at, entry, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Err(Vanished(path.into())),
            Err(errno) => {
                self.unreadable(path, &errno.into());
                Ok(None)
            }
        }
    }

    /// Returns the names in a directory, sorted by their bytes.
    fn list(&mut self, dir: &Dir) -> ReadResult<Vec<OsString>> {
        let entries = rustix::fs::Dir::read_from(&dir.fd).and_then(|entries| {
            let names =
                entries.map(|entry| entry.map(|entry| OsStr::from_bytes(entry.file_name().to_bytes()).to_owned()));
            names.collect::<Result<Vec<_>, _>>()
        });
        match entries {
            Ok(mut names) => {
                names.retain(|name| name != "." && name != "..");
                names.sort();
                Ok(names)
            }
            Err(Errno::NOENT) => Err(Vanished(dir.path.clone())),
            Err(errno) => {
                self.unreadable(&dir.path, &errno.into());
                Ok(Vec::new())
            }
        }
    }

    /// Notes the time at which a file was put in place. The ctime, since a program may set any mtime; that of a directory is also
    /// the time at which a name in it last came or went.
    fn delivered_at(&mut self, stat: &rustix::io::Result<Stat>) {
        if let Ok(stat) = stat {
            let seconds = u64::try_from(stat.st_ctime).unwrap_or(0);
            let since = Duration::new(seconds, u32::try_from(stat.st_ctime_nsec).unwrap_or(0));
            self.delivered = self.delivered.max(SystemTime::UNIX_EPOCH + since);
        }
    }

    fn unreadable(&mut self, path: &Path, error: &std::io::Error) {
        let finding = Finding::environment(UNREADABLE, format!("cannot read `{}`: {error}", path.display()));
        let uid = rustix::process::geteuid().as_raw();
        self.findings.push(if error.kind() == std::io::ErrorKind::PermissionDenied {
            finding.help(format!("the gate runs as uid {uid}; give that user read access, or run it as the owner"))
        } else {
            finding
        });
    }

    fn escaping(&mut self, path: &Path, target: &Path) {
        let message = format!("a link that leaves the watched sources, to `{}`, was not followed", target.display());
        let help = "copy what it leads to into the source, or name that directory in a further `--watch`";
        self.findings
            .push(Finding::error(ESCAPING_LINK, message).at(Place::file(path.display().to_string())).help(help));
    }

    fn too_large(&mut self, path: &Path, what: &str, limit: &str) {
        // One finding is enough: every further file would cause the same.
        if !self.findings.iter().any(|finding| finding.code == TOO_LARGE) {
            let finding = Finding::error(TOO_LARGE, format!("the configuration has {what}"));
            let help = format!("watch only what is configuration, or raise `--max-{limit}`");
            self.findings.push(finding.at(Place::file(path.display().to_string())).help(help));
        }
    }
}

/// Returns `path` without links: the directory that is watched must be the one that is read.
fn real(path: &Path) -> ReadResult<PathBuf> {
    path.canonicalize().map_err(|_| Vanished(path.into()))
}

/// Returns true if `entry` is a link that a kubelet made: one that leads through `..data`.
fn leads_to_data(dir: impl AsFd, entry: &OsStr) -> bool {
    let target = rustix::fs::readlinkat(dir, entry, Vec::new());
    target.is_ok_and(|target| target.as_bytes().starts_with(b"..data/"))
}

/// Returns true for files that editors leave beside an open file (vim, Emacs, and the backup copies of both), and for the
/// directory in which Python keeps compiled modules.
fn is_litter(entry: &OsStr) -> bool {
    let name = entry.as_bytes();
    let swap = name.starts_with(b".") && [".swp", ".swo", ".swx"].iter().any(|end| name.ends_with(end.as_bytes()));
    swap || name.ends_with(b"~") || name.starts_with(b".#") || name == b"__pycache__"
}

fn describe(kind: FileType) -> &'static str {
    match kind {
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "a special file",
    }
}
