//! One pass over the sources. IO: reads files, never writes.

mod included;
mod linked;
mod links;
mod missing;
mod output;
mod volume;
mod way;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reload_gate_contract::{Code, Finding, Place};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, SeekFrom, Stat};
use rustix::io::Errno;

use super::contents::{self, Access};
use super::entries::{self, Entry, EntryKind};
use super::incomplete::{PlainFile, PlainFiles};
use super::newest::KnownVolume;
use super::outputs::{NamedSource, Outputs};
use super::secret::is_in_memory;
use super::{AGREEMENT, ReadOptions, Scan, Snapshot, SnapshotError, Source, litter, outside};
use crate::flow::tree::{EntryWithoutContent, Revision, Tree};
use crate::flow::watch::WatchPoints;
use crate::sys::beneath;
use crate::sys::regular::RegularFile;
use crate::sys::shortage::may_pass;
use linked::LinkedDirectory;
use way::{LinkOwners, Way};

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
#[derive(Clone)]
struct Dir {
    fd: Arc<OwnedFd>,
    /// Its path in the gate's file system.
    path: PathBuf,
    /// Its name in the tree.
    name: PathBuf,
    /// Its path inside the source.
    inside: PathBuf,
    depth: usize,
    /// Set if a change inside causes an event of the directory itself. A volume's timestamped directory never changes.
    watched: bool,
    /// Set in a volume that a kubelet writes: no link leads out of the sources.
    strict: bool,
    /// Users who own links on the way to the source: what they may not read is not read for them.
    owners: LinkOwners,
    /// The directories of the links on the way from the source.
    links: Vec<PathBuf>,
}

impl Dir {
    /// Returns the directory `entry` in this one.
    fn child(&self, fd: OwnedFd, entry: &OsStr, name: &Path) -> Self {
        let (path, inside) = (self.path.join(entry), self.inside.join(entry));
        Self { fd: Arc::new(fd), path, name: name.into(), inside, depth: self.depth + 1, ..self.clone() }
    }
}

/// The outcome of a pass.
pub(super) struct WholeScan {
    pub(super) scan: Scan,
    pub(super) plain: PlainFiles,
    /// The sources that are volumes of files alone, at rest.
    pub(super) volumes: Vec<KnownVolume>,
}

/// One pass over the sources.
pub(super) struct SourceReader<'a> {
    sources: &'a [Source],
    options: &'a ReadOptions,
    /// The real paths of the sources: links may lead into these.
    roots: Vec<SourceRoot>,
    tree: Tree,
    plain: PlainFiles,
    in_memory: BTreeSet<PathBuf>,
    bytes: u64,
    findings: Vec<Finding>,
    watch_points: WatchPoints,
    /// The newest time of what only a kubelet or a link puts in place, and those of directories without a commit point.
    delivered: SystemTime,
    times: BTreeMap<PathBuf, SystemTime>,
    settled: bool,
    /// Each volume's link, and its target when it was met.
    generations: Vec<(PathBuf, PathBuf)>,
    /// The sources that are volumes of files alone, at rest.
    volumes: Vec<KnownVolume>,
    /// Devices of files, and whether they are memory.
    devices: BTreeMap<u64, bool>,
    /// Files that are named like copies: the configuration itself shows if they are read.
    copies: Vec<(Dir, OsString, litter::Class)>,
    /// Output that the configuration names, and the names of the sources in it.
    outputs: Outputs,
    named: Vec<NamedSource>,
    /// Directories outside of the sources: the configuration itself shows what is read in them.
    linked: Vec<LinkedDirectory>,
    /// See [`SnapshotError::short`].
    short: bool,
    /// Links that lead in circles make an endless number of paths: the first that is too deep is the last.
    too_deep: bool,
}

/// The real path of a source, and a handle of it if it is a directory.
struct SourceRoot {
    path: PathBuf,
    fd: Option<Arc<OwnedFd>>,
    owners: LinkOwners,
}

/// Returns the path that the link of a volume with a source has, if that source is in one.
fn data_link(source: &Source) -> PathBuf {
    let volume = if source.path.is_dir() { Some(&*source.path) } else { source.path.parent() };
    volume.map(|volume| volume.join(DATA)).unwrap_or_default()
}

impl<'a> SourceReader<'a> {
    pub(super) fn new(sources: &'a [Source], options: &'a ReadOptions) -> Self {
        Self {
            sources,
            options,
            roots: sources.iter().filter_map(root).collect(),
            tree: Tree::new(),
            plain: PlainFiles::new(),
            in_memory: BTreeSet::new(),
            bytes: 0,
            findings: Vec::new(),
            watch_points: WatchPoints::default(),
            delivered: SystemTime::UNIX_EPOCH,
            times: BTreeMap::new(),
            settled: true,
            generations: Vec::new(),
            volumes: Vec::new(),
            devices: BTreeMap::new(),
            copies: Vec::new(),
            outputs: Outputs::default(),
            named: output::named(sources),
            linked: Vec::new(),
            short: false,
            too_deep: false,
        }
    }

    pub(super) fn read(&mut self) -> ReadResult {
        for source in self.sources {
            // Links of one source may lead into another that is read later.
            let link = data_link(source);
            self.generations.extend(link.read_link().ok().map(|target| (link, target)));
        }
        for source in self.sources {
            self.watch_points.anchor(&source.path);
            self.source(source)?;
        }
        self.copies()?;
        self.linked_directories()?;
        self.leave_out_outputs();
        self.include_entries();
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

    pub(super) fn finish(mut self) -> WholeScan {
        let volumes = std::mem::take(&mut self.volumes);
        let (settled, patience, delivered) = (self.settled, AGREEMENT, self.newest_time());
        let result = if self.findings.is_empty() {
            self.tree.shrink_to_fit();
            let (revision, in_memory) = (Arc::new(Revision::of(&self.tree)), Arc::new(self.in_memory));
            let (tree, notes) = (Arc::new(self.tree), Vec::new());
            // Only a kubelet writes a volume with a commit point.
            let is_volume = |source: &Source| self.generations.iter().any(|(link, _)| *link == data_link(source));
            let committed = self.sources.iter().all(is_volume);
            let held = Arc::default();
            Ok(Snapshot { revision, tree, in_memory, delivered, settled, committed, patience, notes, held })
        } else {
            Err(SnapshotError { findings: self.findings, settled, patience, short: self.short })
        };
        WholeScan { scan: Scan { watch_points: self.watch_points.into(), result }, plain: self.plain, volumes }
    }

    pub(super) fn give_up(self, vanished: &Vanished) -> WholeScan {
        let message = format!("`{}` keeps vanishing while it is read", vanished.0.display());
        let findings = vec![Finding::environment(MOVING, message)];
        // What could not be opened for want of a descriptor counts as vanished, too.
        let error = SnapshotError { findings, settled: false, patience: AGREEMENT, short: true };
        let scan = Scan { watch_points: self.watch_points.into(), result: Err(error) };
        WholeScan { scan, plain: PlainFiles::new(), volumes: Vec::new() }
    }

    fn source(&mut self, source: &Source) -> ReadResult {
        let name = if self.sources.len() == 1 { Path::new("") } else { &source.mount };
        match std::fs::metadata(&source.path) {
            Ok(metadata) if metadata.is_dir() => {
                let Way { real: path, owners } = way(&source.path)?;
                let Some(fd) = self.opened(open_real(&path), &path, false)? else { return Ok(()) };
                self.dir(&Dir { name: name.into(), owners, ..top(fd, path.clone()) })?;
                // A link that changed meanwhile may have led to files that were removed in part before they were read.
                if way(&source.path)?.real == path { Ok(()) } else { Err(Vanished(path)) }
            }
            Ok(_) => self.single(source, name),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.missing(source);
                Ok(())
            }
            Err(error) => {
                self.unreadable(&source.path, &error, false);
                Ok(())
            }
        }
    }

    /// A source that is one file.
    fn single(&mut self, source: &Source, name: &Path) -> ReadResult {
        let (Some(parent), Some(file)) = (source.path.parent(), source.path.file_name()) else { return Ok(()) };
        let Way { real: parent, owners } = way(parent)?;
        let Some(fd) = self.opened(open_real(&parent), &parent, false)? else { return Ok(()) };
        let name = if name.as_os_str().is_empty() { PathBuf::from(file) } else { name.to_path_buf() };
        let dir = Dir { owners, ..top(fd, parent) };
        if leads_to_data(&dir.fd, file) {
            if source.whole_volume {
                return self.dir(&dir);
            }
            self.watch_points.volume(&dir.path);
            if let Some((data, _)) = self.pin(&dir)? {
                return self.entry_as(&data, file, &name);
            }
        }
        self.watch_points.file(&dir.path, file);
        self.entry_as(&dir, file, &name)
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
        let stat = rustix::fs::fstat(&dir.fd).map_err(|_| Vanished(dir.path.clone()))?;
        if !self.permits(&dir.owners, &dir.path, &stat) {
            return Ok(());
        }
        let entries = self.list(dir)?;
        if entries.iter().any(|entry| entry.name == DATA) {
            return self.volume(dir, &entries);
        }
        if entries.is_empty() && !dir.strict {
            self.tree.note(dir.name.clone(), EntryWithoutContent::Directory);
        }
        if dir.watched {
            self.watch_points.plain(&dir.path);
            self.times.insert(dir.name.clone(), changed_at(&stat));
        }
        for Entry { name: entry, kind } in in_order(&entries) {
            let class = entry.to_str().map_or(litter::Class::Content, |name| {
                litter::classify(name, |sibling| entries::has_name(&entries, sibling))
            });
            match class {
                litter::Class::Content => self.entry(dir, entry, *kind)?,
                _ if self.options.selection.includes(&dir.inside.join(entry)) => self.entry(dir, entry, *kind)?,
                litter::Class::Tool => {}
                litter::Class::Probe if is_empty(dir, entry) => {}
                litter::Class::Probe => self.entry(dir, entry, *kind)?,
                class => self.copies.push((dir.clone(), entry.clone(), class)),
            }
        }
        Ok(())
    }

    /// Reads those files that are named like copies, and that the configuration reads all the same.
    fn copies(&mut self) -> ReadResult {
        let copies = std::mem::take(&mut self.copies);
        if copies.is_empty() {
            return Ok(());
        }
        let names = copies.iter().filter_map(|(_, entry, _)| entry.to_str().map(str::to_owned)).collect();
        let reads = litter::Reads::of(&self.tree, &names);
        for (dir, entry, class) in copies {
            let path = dir.path.join(&entry);
            if reads.match_of(&path) || (class == litter::Class::Copy && !reads.reads_directory_of(&path)) {
                self.entry(&dir, &entry, None)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, dir: &Dir, entry: &OsStr, kind: Option<EntryKind>) -> ReadResult {
        let name = dir.name.join(entry);
        match kind {
            Some(EntryKind::File) => self.plain_entry(dir, entry, &name),
            // A program listens on it, and nothing reads it as a file. It is made anew by a reload, which is no time of a delivery.
            Some(EntryKind::Socket) if !dir.strict => {
                self.times.remove(&dir.name);
                Ok(())
            }
            _ => self.entry_as(dir, entry, &name),
        }
    }

    /// Reads an entry that its directory lists as a regular file.
    fn plain_entry(&mut self, dir: &Dir, entry: &OsStr, name: &Path) -> ReadResult {
        let inside = dir.inside.join(entry);
        let selection = &self.options.selection;
        if selection.excludes(&inside) || (selection.is_limited() && !selection.includes(&inside)) {
            return Ok(());
        }
        self.file(dir, entry, &dir.path.join(entry), name)
    }

    fn entry_as(&mut self, dir: &Dir, entry: &OsStr, name: &Path) -> ReadResult {
        let (path, inside) = (dir.path.join(entry), dir.inside.join(entry));
        if self.options.selection.excludes(&inside) {
            return Ok(());
        }
        let stat = match rustix::fs::statat(&dir.fd, entry, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Err(Vanished(path)),
            Err(errno) => {
                self.unreadable(&path, &errno.into(), dir.strict);
                return Ok(());
            }
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        let is_left_out =
            |reader: &Self| reader.options.selection.is_limited() && !reader.options.selection.includes(&inside);
        match kind {
            FileType::Directory if !dir.strict && self.is_output_directory(name) => {
                self.tree.note(name.into(), EntryWithoutContent::Directory);
                Ok(())
            }
            FileType::Directory => {
                let Some(fd) = self.open_dir(&dir.fd, entry, OFlags::NOFOLLOW, &path, dir.strict)? else {
                    return Ok(());
                };
                self.dir(&dir.child(fd, entry, name))
            }
            FileType::Symlink => self.link(&path, entry, name, (dir, stat.st_uid)),
            _ if is_left_out(self) => Ok(()),
            FileType::RegularFile => self.file(dir, entry, &path, name),
            other => {
                let message = format!("{} is no configuration; it was not opened", describe(other));
                self.findings.push(
                    Finding::error(SPECIAL_FILE, message).at(Place::file(path.display().to_string())).help(
                        "remove it, leave it out by `--exclude`, or watch a directory that holds only configuration",
                    ),
                );
                Ok(())
            }
        }
    }

    fn file(&mut self, dir: &Dir, entry: &OsStr, path: &Path, name: &Path) -> ReadResult {
        let RegularFile { file, stat } = match RegularFile::open_in(&dir.fd, entry) {
            Ok(Some(file)) => file,
            Ok(None) | Err(Errno::NOENT | Errno::LOOP) => return Err(Vanished(path.into())),
            Err(errno) => {
                self.unreadable(path, &errno.into(), dir.strict);
                return Ok(());
            }
        };
        if !self.permits(&dir.owners, path, &stat) {
            return Ok(());
        }
        if dir.watched && dir.strict {
            self.delivered_at(&Ok(stat));
        }
        let placed = dir.watched.then(|| changed_at(&stat));
        self.content(&file, &stat, (path, name), dir.strict, placed)
    }

    /// Reads an open file, which was put in place at that time.
    fn content(
        &mut self,
        file: &File,
        stat: &Stat,
        (path, name): (&Path, &Path),
        strict: bool,
        placed: Option<SystemTime>,
    ) -> ReadResult {
        if *self.devices.entry(stat.st_dev).or_insert_with(|| is_in_memory(file)) {
            self.in_memory.insert(name.into());
        }
        let room = self.options.limits.bytes - self.bytes;
        if self.tree.len() >= self.options.limits.files {
            self.too_large(path, &format!("more than {} files", self.options.limits.files), "files");
            return Ok(());
        }
        let content = match contents::read(file, stat.st_size.cast_unsigned().min(room), room, Access::Waiting) {
            Ok(content) => content,
            Err(errno) => {
                self.unreadable(path, &errno.into(), strict);
                return Ok(());
            }
        };
        if content.len() as u64 > room {
            self.too_large(path, &format!("more than {} bytes in all", self.options.limits.bytes), "bytes");
            return Ok(());
        }
        if strict && is_service_account_token(&content) && !self.options.selection.includes(name) {
            return Ok(());
        }
        self.bytes += content.len() as u64;
        if !strict {
            let (inode, length) = ((stat.st_dev, stat.st_ino), content.len() as u64);
            // It may turn out to be output.
            self.plain.insert(name.into(), PlainFile { inode, length, placed });
        }
        self.outputs.take_in(name, &content);
        self.tree.insert(name.into(), content);
        Ok(())
    }

    fn open_dir(
        &mut self,
        at: impl AsFd,
        entry: &OsStr,
        flags: OFlags,
        path: &Path,
        strict: bool,
    ) -> ReadResult<Option<OwnedFd>> {
        let flags = flags | OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        self.opened(rustix::fs::openat(at, entry, flags, Mode::empty()), path, strict)
    }

    /// Returns a directory that was opened, or reports that it cannot be read.
    fn opened(&mut self, opened: Result<OwnedFd, Errno>, path: &Path, strict: bool) -> ReadResult<Option<OwnedFd>> {
        match opened {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Err(Vanished(path.into())),
            Err(errno) => {
                self.unreadable(path, &errno.into(), strict);
                Ok(None)
            }
        }
    }

    /// Returns the entries of a directory, sorted by the bytes of their names.
    fn list(&mut self, dir: &Dir) -> ReadResult<Vec<Entry>> {
        // A handle may have been read before.
        let listed = rustix::fs::seek(&dir.fd, SeekFrom::Start(0)).and_then(|_| entries::entries(&dir.fd));
        match listed {
            Ok(entries) => Ok(entries),
            Err(Errno::NOENT) => Err(Vanished(dir.path.clone())),
            Err(errno) => {
                self.unreadable(&dir.path, &errno.into(), dir.strict);
                Ok(Vec::new())
            }
        }
    }

    /// Notes the time at which a file was put in place. The ctime, since a program may set any mtime; that of a directory is also
    /// the time at which a name in it last came or went.
    fn delivered_at(&mut self, stat: &rustix::io::Result<Stat>) {
        if let Ok(stat) = stat {
            self.delivered = self.delivered.max(changed_at(stat));
        }
    }

    /// Reports a file or directory that cannot be read. A kubelet with `fsGroup` may set owners and modes after the swap, so in a volume
    /// that may be over in an instant.
    fn unreadable(&mut self, path: &Path, error: &std::io::Error, in_volume: bool) {
        let finding = Finding::environment(UNREADABLE, format!("cannot read `{}`: {error}", path.display()));
        let is_denied = error.kind() == std::io::ErrorKind::PermissionDenied;
        self.short |= may_pass(error);
        self.settled &= !(is_denied && in_volume);
        let uid = rustix::process::geteuid().as_raw();
        let help = match (is_denied, in_volume) {
            (true, true) => format!(
                "the gate runs as uid {uid}; set `fsGroup`, or a `defaultMode` of the volume with which that user may read"
            ),
            (true, false) => format!("the gate runs as uid {uid}; give that user read access, or run it as the owner"),
            (false, _) => "check the file and its file system, or leave it out by `--exclude`".to_owned(),
        };
        self.findings.push(finding.help(help));
    }

    /// Returns true if the users who own links on the way to a file may read it; else it is reported.
    fn permits(&mut self, owners: &[u32], path: &Path, stat: &Stat) -> bool {
        let Some(owner) = owners.iter().find(|owner| !outside::may_read(**owner, path, stat)) else { return true };
        let message = format!("it was not read: a link on the way to it belongs to uid {owner}, which may not read it");
        // One finding is enough, as for a directory that the user may not read.
        if !self.findings.iter().any(|finding| finding.code == ESCAPING_LINK && finding.message == message) {
            let finding = Finding::error(ESCAPING_LINK, message).at(Place::file(path.display().to_string()));
            self.findings.push(finding.help("let root own the link, or let that user read the file"));
        }
        false
    }

    fn escaping(&mut self, path: &Path, target: &Path, help: &str) {
        let message = format!("a link that leaves the watched sources, to `{}`, was not followed", target.display());
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

/// Returns the way to `path`: the directory that is watched must be the one that is read.
fn way(path: &Path) -> ReadResult<Way> {
    Way::to(path).map_err(|_| Vanished(path.into()))
}

/// Returns the time of the last change of a file or its inode.
fn changed_at(stat: &Stat) -> SystemTime {
    let seconds = u64::try_from(stat.st_ctime).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::new(seconds, u32::try_from(stat.st_ctime_nsec).unwrap_or(0))
}

/// Returns the entries of a directory in the order in which they are read: the files, the directories, and last those that are named as if a
/// program wrote there.
fn in_order(entries: &[Entry]) -> Vec<&Entry> {
    let mut ordered: Vec<&Entry> = entries.iter().collect();
    ordered.sort_by_key(|entry| match entry.kind {
        Some(EntryKind::Directory) => 1 + u8::from(entry.name.to_str().is_some_and(output::is_read_late)),
        _ => 0,
    });
    ordered
}

/// Returns true if `entry` is a link that a kubelet made: one that leads through `..data`.
fn leads_to_data(dir: impl AsFd, entry: &OsStr) -> bool {
    let target = rustix::fs::readlinkat(dir, entry, Vec::new());
    target.is_ok_and(|target| target.as_bytes().starts_with(b"..data/"))
}

/// Returns true if there is an empty file of that name.
fn is_empty(dir: &Dir, entry: &OsStr) -> bool {
    rustix::fs::statat(&dir.fd, entry, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| stat.st_size == 0)
}

/// Returns true for names that no volume's key has: those of tools.
fn is_litter(entry: &OsStr) -> bool {
    entry.to_str().is_some_and(|name| litter::classify(name, |_| false) == litter::Class::Tool)
}

/// Returns true for the token of a service account, which a kubelet renews by itself and no program reads as configuration: a JWT
/// (RFC 7519) with a claim of Kubernetes.
pub(super) fn is_service_account_token(content: &[u8]) -> bool {
    use base64::Engine as _;
    let mut parts = content.trim_ascii().split(|byte| *byte == b'.');
    let (Some(header), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap_or_default();
    header.starts_with(b"eyJ") && String::from_utf8_lossy(&claims).contains("\"kubernetes.io")
}

/// Returns a directory at the top of a source.
fn top(fd: OwnedFd, path: PathBuf) -> Dir {
    let (name, inside, owners) = (PathBuf::new(), PathBuf::new(), LinkOwners::default());
    Dir { fd: Arc::new(fd), path, name, inside, depth: 0, watched: true, strict: false, owners, links: Vec::new() }
}

fn root(source: &Source) -> Option<SourceRoot> {
    let Way { real: path, owners } = Way::to(&source.path).ok()?;
    let fd = open_real(&path).ok().map(Arc::new);
    Some(SourceRoot { path, fd, owners })
}

/// Opens the directory at a path that has no links.
fn open_real(path: &Path) -> Result<OwnedFd, Errno> {
    let slash = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    beneath::open(&slash, path.strip_prefix("/").unwrap_or(path), OFlags::RDONLY | OFlags::DIRECTORY)
}

fn describe(kind: FileType) -> &'static str {
    match kind {
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "a special file",
    }
}
