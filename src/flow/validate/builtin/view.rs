//! The files as an application will see them. IO: reads what is there beside the tree.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use reload_gate_contract::{Absent, Files};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::super::{RootChoice, ValidationContext};
use crate::flow::snapshot::{Access, read_contents};
use crate::flow::tree::{EntryWithoutContent, Tree};
use crate::sys::file_rights::{FileRights, TakenRights};

/// Largest size of a file beside the tree, and of all of them.
const LARGEST: u64 = 16 << 20;
const TOTAL: u64 = 64 << 20;

/// The same where nothing may be waited for.
const TOTAL_AT_ONCE: u64 = 256 << 10;

/// Opens the root for files beside the tree; `None` if it is unknown.
fn root(context: &ValidationContext) -> Option<OwnedFd> {
    let path = match (&context.place.target, context.root) {
        (Some(target), _) => format!("/proc/{}/root", target.pid()),
        (None, RootChoice::Local) => "/".into(),
        (None, _) => return None,
    };
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// The files as the application will see them: the candidate in its place, and around it what is there already.
pub(super) struct CandidateFiles<'a> {
    context: &'a ValidationContext,
    beyond: Option<OwnedFd>,
    /// The rights of the target to files; `None` if they are unknown.
    rights: OnceCell<Option<FileRights>>,
    /// Paths beside the tree that nothing which validates here may read, with all links followed.
    hidden: OnceCell<Vec<PathBuf>>,
    /// Files of the machine that the candidate will replace, by file system and number: links give them other names.
    replaced: BTreeMap<(u64, u64), PathBuf>,
    /// A file that hides any other at its path.
    over: Option<(String, Vec<u8>)>,
    /// Bytes that may still be read beside the tree.
    budget: Cell<u64>,
    access: Access,
    /// Something would have had to be waited for.
    would_wait: Cell<bool>,
}

impl<'a> CandidateFiles<'a> {
    pub(super) fn of(context: &'a ValidationContext, access: Access) -> Self {
        let beyond = root(context);
        let would_wait = Cell::new(false);
        let identity = |path: &Path| {
            let root = beyond.as_ref()?;
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            let file = rustix::fs::openat2(root, path, flags, Mode::empty(), resolution(access));
            would_wait.set(would_wait.get() || file.as_ref().err() == Some(&Errno::AGAIN));
            let file = file.ok()?;
            let stat = rustix::fs::fstat(file).ok()?;
            Some((stat.st_dev, stat.st_ino))
        };
        let names = context.tree.keys();
        let replaced =
            names.filter_map(|name| Some((identity(&context.path_map.shown(name))?, name.clone()))).collect();
        let budget = Cell::new(if access == Access::AtOnce { TOTAL_AT_ONCE } else { TOTAL });
        let (rights, hidden) = (OnceCell::new(), OnceCell::new());
        Self { context, beyond, rights, hidden, replaced, over: None, budget, access, would_wait }
    }

    /// Returns true if what was found is not all: something would have had to be waited for.
    pub(super) fn would_wait(&self) -> bool {
        self.would_wait.get()
    }

    /// Lays a text over any file at `path`.
    pub(super) fn lay_over(&mut self, path: String, text: String) {
        self.over = Some((path, text.into_bytes()));
    }

    /// Returns true if a file of the tree was read since the last [`Self::forget`].
    pub(super) fn was_read(&self) -> bool {
        self.context.read().iter().any(|name| self.context.tree.contains_key(name))
    }

    /// Forgets which files were read.
    pub(super) fn forget(&self) {
        self.context.files_read.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Takes the rights of the target while a file beside the tree is opened: a candidate may name any file, and its content is quoted in
    /// reports.
    fn as_target(&self) -> Result<Option<TakenRights>, Absent> {
        let Some(target) = &self.context.place.target else { return Ok(None) };
        let rights = self.rights.get_or_init(|| FileRights::of(target.pid()).ok());
        let taken = rights.as_ref().ok_or(Absent::Unknown)?.take();
        taken.map(Some).map_err(|_| Absent::Unknown)
    }

    /// Returns true for a file that is hidden from commands which validate here: what they may not read is not read for them either.
    fn is_hidden(&self, file: &OwnedFd) -> bool {
        let Some(confinement) = self.context.confinement.as_ref().filter(|_| self.context.place.run_as.is_none())
        else {
            return false;
        };
        let real = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
        let hidden = self.hidden.get_or_init(|| confinement.hidden.iter().map(real).collect());
        let path = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
        path.is_err() || path.is_ok_and(|path| hidden.iter().any(|hidden| path.starts_with(hidden)))
    }

    fn read_beyond(&self, path: &str) -> Result<Cow<'_, [u8]>, Absent> {
        let file = self.open(path, OFlags::RDONLY)?;
        let stat = rustix::fs::fstat(&file).map_err(|_| Absent::Unknown)?;
        if let Some(name) = self.replaced.get(&(stat.st_dev, stat.st_ino))
            && let Some(content) = self.context.tree.get(name)
        {
            self.context.note_read([name]);
            return Ok(Cow::Borrowed(content.as_slice()));
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Err(Absent::Directory),
            FileType::RegularFile => {
                let limit = LARGEST.min(self.budget.get());
                let (file, size) = (std::fs::File::from(file), stat.st_size.cast_unsigned());
                let content = if self.access == Access::AtOnce && size > limit {
                    Err(Errno::AGAIN)
                } else {
                    read_contents(&file, size.min(limit), limit, self.access)
                };
                let content = content.map_err(|errno| self.unknown(errno))?;
                let length = content.len() as u64;
                self.budget.set(self.budget.get().saturating_sub(length));
                self.context.note_beyond(path);
                if length > limit { Err(Absent::Unknown) } else { Ok(Cow::Owned(content)) }
            }
            _ => Err(Absent::Unknown),
        }
    }

    /// Opens a file beside the tree, if the target may read it.
    fn open(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Absent> {
        let root = self.beyond.as_ref().ok_or(Absent::Unknown)?;
        // Links lead where they lead for the application (openat2(2)); opening a FIFO does not block.
        let flags = flags | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let _rights = self.as_target()?;
        match rustix::fs::openat2(root, path, flags, Mode::empty(), resolution(self.access)) {
            Ok(file) if self.is_hidden(&file) => Err(Absent::Unknown),
            Ok(file) => Ok(file),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Err(Absent::Missing),
            Err(errno) => Err(self.unknown(errno)),
        }
    }

    fn unknown(&self, errno: Errno) -> Absent {
        let is_not_at_once = matches!(errno, Errno::AGAIN | Errno::OPNOTSUPP) && self.access == Access::AtOnce;
        self.would_wait.set(self.would_wait.get() || is_not_at_once);
        Absent::Unknown
    }
}

/// The resolution of paths in the root of the application. At once it succeeds only if the kernel has the way in memory (openat2(2)).
fn resolution(access: Access) -> ResolveFlags {
    match access {
        Access::Waiting => ResolveFlags::IN_ROOT,
        Access::AtOnce => ResolveFlags::IN_ROOT | ResolveFlags::CACHED,
    }
}

impl Files for CandidateFiles<'_> {
    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, Absent> {
        if let Some((_, text)) = self.over.as_ref().filter(|(over, _)| over == path) {
            return Ok(Cow::Borrowed(text));
        }
        let (tree, path_map) = (&self.context.tree, &self.context.path_map);
        if let Some(name) = path_map.name_of(Path::new(path)) {
            self.context.note_read([&name]);
            if let Some(content) = tree.get(&name) {
                return Ok(Cow::Borrowed(content.as_slice()));
            }
            if tree.range(name.clone()..).next().is_some_and(|(other, _)| other.starts_with(&name)) {
                return Err(Absent::Directory);
            }
            match tree.without_content().get(&name) {
                Some(EntryWithoutContent::Directory) => return Err(Absent::Directory),
                Some(EntryWithoutContent::DanglingLink) => return Err(Absent::Missing),
                None => {}
            }
            if path_map.is_whole(Path::new(path)) {
                return Err(Absent::Missing);
            }
        }
        self.read_beyond(path)
    }

    fn list(&self, directory: &str) -> Result<Vec<Cow<'_, str>>, Absent> {
        let (tree, path_map) = (&self.context.tree, &self.context.path_map);
        if let Some(name) = path_map.name_of(Path::new(directory)) {
            let files = tree.keys().filter(|file| file.parent() == Some(&name));
            let shown = |file: &PathBuf| Cow::Owned(path_map.shown(file).to_string_lossy().into_owned());
            let mut paths: Vec<_> = files.map(shown).collect();
            let others = tree.without_content().keys().filter(|other| other.parent() == Some(&name));
            let others: BTreeSet<_> = others.cloned().chain(directories_in(tree, &name)).collect();
            if !others.is_empty() {
                paths.extend(others.iter().map(shown));
                paths.sort();
            }
            if !paths.is_empty() || path_map.is_whole(Path::new(directory)) {
                return Ok(paths);
            }
        }
        self.list_beyond(directory)
    }

    fn directories(&self, directory: &str) -> Result<Vec<Cow<'_, str>>, Absent> {
        let (tree, path_map) = (&self.context.tree, &self.context.path_map);
        if let Some(name) = path_map.name_of(Path::new(directory)) {
            let names: BTreeSet<_> = directories_in(tree, &name).collect();
            if !names.is_empty() || path_map.is_whole(Path::new(directory)) {
                let shown = |name: &PathBuf| Cow::Owned(path_map.shown(name).to_string_lossy().into_owned());
                return Ok(names.iter().map(shown).collect());
            }
        }
        let mut paths = self.list_beyond(directory)?;
        paths.retain(|path| self.open(path, OFlags::RDONLY | OFlags::DIRECTORY).is_ok());
        Ok(paths)
    }
}

/// Returns the directories directly in `name` that hold files of `tree`, some of them several times.
fn directories_in<'t>(tree: &'t Tree, name: &'t Path) -> impl Iterator<Item = PathBuf> + 't {
    tree.keys().filter_map(move |file| {
        let mut rest = file.strip_prefix(name).ok()?.components();
        let first = rest.next()?;
        rest.next().map(|_| name.join(first))
    })
}

impl CandidateFiles<'_> {
    /// Lists all entries of a directory beyond the tree.
    fn list_beyond(&self, directory: &str) -> Result<Vec<Cow<'static, str>>, Absent> {
        if self.access == Access::AtOnce {
            return Err(self.unknown(Errno::AGAIN));
        }
        let unknown = |_| Absent::Unknown;
        let opened = self.open(directory, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let entries = rustix::fs::Dir::read_from(opened).map_err(unknown)?;
        let names = entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
        let mut names = names.collect::<Result<Vec<_>, _>>().map_err(unknown)?;
        names.retain(|name| name != "." && name != "..");
        names.sort();
        Ok(names.into_iter().map(|name| Cow::Owned(format!("{}/{name}", directory.trim_end_matches('/')))).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::super::tests::context;
    use super::super::super::{Mapping, PathMap};
    use crate::sys::exec::Confinement;

    use super::*;

    /// The files for a candidate, with those of a directory around it.
    fn view_of<'c>(context: &'c ValidationContext, root: &Path) -> CandidateFiles<'c> {
        let beyond = Some(fs::File::open(root).expect("it is there").into());
        CandidateFiles { beyond, ..CandidateFiles::of(context, Access::Waiting) }
    }

    #[test]
    fn what_is_hidden_from_commands_is_not_read_for_a_candidate() {
        let root = tempfile::tempdir().expect("there is room");
        for directory in ["secrets", "public"] {
            fs::create_dir(root.path().join(directory)).expect("there is room");
            fs::write(root.path().join(directory).join("file"), directory).expect("there is room");
        }
        std::os::unix::fs::symlink("../secrets/file", root.path().join("public/link")).expect("there is room");
        let mut context = context(Tree::new(), &PathMap(Vec::new()));
        let hidden = vec![root.path().join("secrets"), "/no/such/directory".into()];
        context.confinement = Some(Confinement { hidden, ..Confinement::default() });
        let hiding = view_of(&context, root.path());
        assert_eq!(hiding.read("/public/file").as_deref(), Ok(b"public".as_slice()));
        for path in ["/secrets/file", "/public/link"] {
            assert_eq!(hiding.read(path), Err(Absent::Unknown), "{path}");
        }
        assert_eq!(hiding.list("/secrets"), Err(Absent::Unknown));
        // A command that runs as the target is not confined, and has the rights of the target.
        drop(hiding);
        context.confinement = None;
        assert_eq!(view_of(&context, root.path()).read("/secrets/file").as_deref(), Ok(b"secrets".as_slice()));
    }

    #[test]
    fn a_listing_has_the_entries_without_content() {
        let root = tempfile::tempdir().expect("there is room");
        let mut tree: Tree = [
            ("nginx.conf".into(), b"a".to_vec()),
            ("conf.d/z.conf".into(), b"z".to_vec()),
            ("conf.d/deep/x.conf".into(), b"x".to_vec()),
        ]
        .into();
        tree.note("conf.d/empty".into(), EntryWithoutContent::Directory);
        tree.note("conf.d/link".into(), EntryWithoutContent::DanglingLink);
        let there = PathBuf::from("/etc/nginx");
        let mapping = Mapping { prefix: PathBuf::new(), here: there.clone(), there, live: None, whole: true };
        let context = context(tree, &PathMap(vec![mapping]));
        let view = view_of(&context, root.path());
        let names = ["deep", "empty", "link", "z.conf"].map(|name| Cow::Owned(format!("/etc/nginx/conf.d/{name}")));
        assert_eq!(view.list("/etc/nginx/conf.d").as_deref(), Ok(names.as_slice()));
        let reads = ["deep", "empty", "link"].map(|name| view.read(&format!("/etc/nginx/conf.d/{name}")).err());
        assert_eq!(reads, [Some(Absent::Directory), Some(Absent::Directory), Some(Absent::Missing)]);
    }

    #[test]
    fn the_candidate_hides_what_is_live_and_the_rest_is_there() {
        let root = tempfile::tempdir().expect("there is room");
        for directory in ["etc/nginx/conf.d", "usr/share"] {
            fs::create_dir_all(root.path().join(directory)).expect("there is room");
        }
        fs::write(root.path().join("etc/nginx/nginx.conf"), "live").expect("there is room");
        fs::write(root.path().join("usr/share/mime.types"), "types").expect("there is room");
        std::os::unix::fs::symlink("/usr/share/mime.types", root.path().join("usr/share/link")).expect("there is room");
        let tree: Tree = [("nginx.conf".into(), b"candidate".to_vec()), ("conf.d/a.conf".into(), b"a".to_vec())].into();
        let there = PathBuf::from("/etc/nginx");
        let path_map =
            PathMap(vec![Mapping { prefix: PathBuf::new(), here: "/watched".into(), there, live: None, whole: true }]);
        let context = context(tree, &path_map);
        let view = view_of(&context, root.path());
        assert_eq!(view.read("/etc/nginx/nginx.conf").as_deref(), Ok(b"candidate".as_slice()));
        assert_eq!(view.read("/etc/nginx/conf.d"), Err(Absent::Directory));
        assert_eq!(view.read("/etc/nginx/gone"), Err(Absent::Missing));
        assert_eq!(view.list("/etc/nginx/conf.d").as_deref(), Ok(["/etc/nginx/conf.d/a.conf".into()].as_slice()));
        assert_eq!(view.read("/usr/share/link").as_deref(), Ok(b"types".as_slice()), "a link of that root");
        assert_eq!(view.list("/usr/share").map(|names| names.len()), Ok(2));
        assert_eq!(view.directories("/etc/nginx").as_deref(), Ok(["/etc/nginx/conf.d".into()].as_slice()));
        assert_eq!(view.directories("/usr").as_deref(), Ok(["/usr/share".into()].as_slice()));
        assert_eq!(view.read("/usr/gone"), Err(Absent::Missing));
        let read = context.read();
        assert!(read.contains(Path::new("nginx.conf")) && !read.contains(Path::new("conf.d/a.conf")));
        let blind = CandidateFiles { beyond: None, ..view };
        assert_eq!(blind.read("/usr/share/link"), Err(Absent::Unknown));
    }
}
