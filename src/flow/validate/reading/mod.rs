//! The files that the running target reads. A verdict counts only if the tree is among them. IO: reads files through /proc.

pub(super) mod certificates;
mod directory;
pub(super) mod nginx;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use reload_gate_contract::{Code, Finding, Place as Position};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use directory::ReloadDirectory;

use super::place::ExecutionPlace;
use super::{PathMap, ValidationContext};
use crate::flow::named::{self, NamedWord};
use crate::flow::tree::Tree;
use crate::sys::pattern::LazyRegex;
use crate::sys::proc;
use crate::sys::regular::{self, RegularFile};

pub(super) const NOT_READ: Code = Code::new("not-read");

/// Largest file that is searched for the names of other files, and the largest number of such files.
const LARGEST: u64 = 1 << 20;
const FILES: usize = 64;
/// Largest number of words in files beyond the tree that are looked up as paths: a file that is only named may be a log of any size.
const WORDS: usize = 4096;

/// The rules by which a program finds its configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigLookup {
    /// Options of the command line with the path of a file or directory, as `-f`, `--config` or `--config.file`.
    pub options: Vec<String>,
    /// Pattern of an argument that is the path of a file without an option before it, in its first group.
    pub argument: Option<LazyRegex>,
    /// Pattern of a title that names the file, in its first group.
    pub title: Option<LazyRegex>,
    /// The files that the program reads where nothing names one, in its working directory if they are relative; the packages of
    /// distributions differ. An empty list: it reads none. `None`: that is not known.
    pub defaults: Option<Vec<PathBuf>>,
    /// The configuration is a program, and may read any file.
    pub is_program: bool,
    /// The rules for the directory to which it goes back at a reload, if its relative paths begin there.
    pub directory: Option<ReloadDirectory>,
}

/// Returns the finding that the target does not read the tree, if that is certain.
pub(super) fn obstacle(lookup: &ConfigLookup, context: &ValidationContext) -> Option<Finding> {
    let target = context.place.target.as_ref()?;
    let root = TargetRoot::open(target.pid())?;
    if let Some(finding) = directory::obstacle(lookup, context, &root) {
        return Some(finding);
    }
    let cwd = context.place.cwd();
    let named: Vec<_> = lookup.named(&context.place.cmdline()).iter().map(|path| cwd.join(path)).collect();
    let begins = match (named.as_slice(), &lookup.defaults) {
        ([], Some(defaults)) if defaults.is_empty() => return Some(reads_none(target.pid(), lookup)),
        ([], defaults) => {
            let paths = defaults.iter().flatten().map(|path| cwd.join(path));
            paths.filter(|path| root.kind(path).is_some()).collect()
        }
        (named, _) => named.to_vec(),
    };
    if begins.is_empty() || (lookup.is_program && context.main.is_err()) {
        return None;
    }
    let tree = AppTree { tree: &context.tree, path_map: &context.path_map, root: &root };
    let reached = Reached::from(&tree, &begins);
    context.note_read(&reached.configuration);
    if reached.any || reached.is_partial {
        return None;
    }
    let shown: Vec<_> = begins.iter().map(|path| format!("`{}`", path.display())).collect();
    let message = format!(
        "pid {} reads {}, and nothing of the configuration is that file or named in it",
        target.pid(),
        shown.join(", ")
    );
    Some(not_read(message).at(Position::file(begins[0].display().to_string())))
}

/// The finding that the target was started without a configuration.
fn reads_none(pid: i32, lookup: &ConfigLookup) -> Finding {
    let options: Vec<_> = lookup.options.iter().map(|option| format!("`{option}`")).collect();
    let message = format!("pid {pid} was started without {}, so it reads no configuration file", options.join(" or "));
    let help = "start it with the configuration that is watched, or name the right process (`--process`, `--pid-file`)";
    Finding::environment(NOT_READ, message).help(help)
}

/// The finding with the usual remedy.
pub(super) fn not_read(message: impl Into<String>) -> Finding {
    let help = "watch the directory that the application reads, give the path by which it knows that directory (`--mount DIR`), or name \
                the right process (`--process`, `--pid-file`)";
    Finding::environment(NOT_READ, message).help(help)
}

impl ConfigLookup {
    /// Returns the paths that a command line or a title names.
    #[must_use]
    pub fn named(&self, words: &[String]) -> Vec<String> {
        let title = words.first().and_then(|title| first_group(self.title.as_ref(), title));
        let arguments = words.iter().skip(1).filter_map(|word| first_group(self.argument.as_ref(), word));
        let values = self.options.iter().flat_map(|option| proc::option_values(words, option));
        values.chain(title).chain(arguments).collect()
    }
}

/// The first group of a pattern in a text.
fn first_group(pattern: Option<&LazyRegex>, text: &str) -> Option<String> {
    Some(pattern.and_then(LazyRegex::get)?.captures(text)?.get(1)?.as_str().to_owned())
}

/// Reads a text as a command line, a configuration and a program.
#[cfg(any(test, fuzzing))]
pub fn read_process(data: &[u8]) {
    let words = proc::words(data);
    for option in ["-c", "--config", "--"] {
        let _ = (proc::option_values(&words, option), super::command::options(&words, &[option.to_owned()]));
    }
    let _ = names(data).count();
    nginx::read_program(data);
}

/// The files of a tree that a program reaches from the files with which it begins.
#[derive(Default)]
struct Reached {
    /// One is reached: by an include, or named in any other way.
    any: bool,
    /// The search ended before all words were looked up.
    is_partial: bool,
    /// The files that are read as configuration: a file that is only named may be a log or a state file.
    configuration: BTreeSet<PathBuf>,
}

/// The files that a search has yet to read, and what it has done.
struct PendingReads {
    included: Vec<PathBuf>,
    /// They are read after the others: a log names other files without end.
    named: Vec<PathBuf>,
    known: BTreeSet<PathBuf>,
    /// The paths that were looked up, and whether as an include.
    looked_up: BTreeSet<(PathBuf, bool)>,
    /// The number of words in files beyond the tree that may be looked up still.
    left: usize,
}

impl PendingReads {
    fn next(&mut self) -> Option<PathBuf> {
        self.included.pop().or_else(|| self.named.pop())
    }

    /// Returns false if no more words of files beyond the tree may be looked up.
    fn may_look_up(&mut self, is_beyond: bool) -> bool {
        let may = !is_beyond || self.left > 0;
        self.left -= usize::from(is_beyond && may);
        may
    }

    fn add(&mut self, path: PathBuf, is_include: bool, tree: &AppTree<'_>) {
        if self.known.len() < FILES && !self.known.contains(&path) && tree.is_file(&path) {
            self.known.insert(path.clone());
            if is_include { self.included.push(path) } else { self.named.push(path) }
        }
    }
}

impl Reached {
    fn from(tree: &AppTree<'_>, begins: &[PathBuf]) -> Self {
        let mut reached = Self::default();
        let mut pending = PendingReads {
            included: begins.to_vec(),
            named: Vec::new(),
            known: begins.iter().cloned().collect(),
            looked_up: BTreeSet::new(),
            left: WORDS,
        };
        for begin in begins {
            reached.any |= tree.holds(begin);
            reached.configuration.extend(tree.name_of(begin));
        }
        while let Some(path) = pending.next() {
            reached.read(&path, tree, &mut pending);
        }
        reached
    }

    /// Looks up the words of one file.
    fn read(&mut self, path: &Path, tree: &AppTree<'_>, pending: &mut PendingReads) {
        let Some(text) = tree.read(path) else { return };
        let directory = path.parent().unwrap_or(Path::new("/"));
        let is_beyond = tree.name_of(path).is_none();
        for NamedWord { text: word, is_include } in names(&text) {
            let beside = directory.join(word);
            if !pending.looked_up.insert((beside.clone(), is_include)) {
                continue;
            }
            if !pending.may_look_up(is_beyond) {
                self.is_partial = true;
                return;
            }
            self.any = self.any || tree.matches(&beside);
            let included = if is_include { tree.included(&beside) } else { Vec::new() };
            for path in included.iter().map(|name| tree.path_map.shown(name)).chain([beside]) {
                pending.add(path, is_include, tree);
            }
            self.configuration.extend(included);
        }
    }
}

/// The words of a text that may be paths.
fn names(text: &[u8]) -> impl Iterator<Item = NamedWord<'_>> {
    named::words(text).filter(|word| word.text.len() > 1 && word.text.contains(['/', '.', '*']))
}

/// The tree by the paths of the application.
struct AppTree<'a> {
    tree: &'a Tree,
    path_map: &'a PathMap,
    root: &'a TargetRoot,
}

impl AppTree<'_> {
    /// Returns true if the path is a file of the tree or a directory above one, by its name or by another name of the same file.
    fn holds(&self, path: &Path) -> bool {
        let shown = |name: &PathBuf| self.path_map.shown(name);
        if self.tree.keys().any(|name| shown(name).starts_with(path)) {
            return true;
        }
        let Some(identity) = self.root.identity(path) else { return false };
        self.tree
            .keys()
            .any(|name| shown(name).ancestors().take(3).any(|path| self.root.identity(path) == Some(identity)))
    }

    /// The name of the file of the tree that the application knows by a path.
    fn name_of(&self, path: &Path) -> Option<PathBuf> {
        self.path_map.name_of(path).filter(|name| self.tree.contains_key(name))
    }

    /// The files of the tree that an include of a file, a directory or a pattern of paths means.
    fn included(&self, pattern: &Path) -> Vec<PathBuf> {
        let text = pattern.to_string_lossy();
        let matcher = globset::Glob::new(&text).ok().map(|glob| glob.compile_matcher());
        let means = |name: &&PathBuf| {
            let path = self.path_map.shown(name);
            path == pattern
                || path.parent() == Some(pattern)
                || matcher.as_ref().is_some_and(|matcher| matcher.is_match(&path))
        };
        self.tree.keys().filter(means).cloned().collect()
    }

    /// The text of a file: that of the tree, where it is in the tree. A program that is named there is no text.
    fn read(&self, path: &Path) -> Option<Cow<'_, [u8]>> {
        match self.name_of(path).and_then(|name| self.tree.get(&name)) {
            Some(content) => Some(Cow::Borrowed(content.as_slice())),
            None => self.root.read(path).filter(|content| !content.contains(&0)).map(Cow::Owned),
        }
    }

    fn is_file(&self, path: &Path) -> bool {
        self.name_of(path).is_some() || self.root.kind(path).is_some()
    }

    /// Returns true if a path, or a pattern of paths, means a file of the tree.
    fn matches(&self, pattern: &Path) -> bool {
        let text = pattern.to_string_lossy();
        if !text.contains(['*', '?', '[']) {
            return self.holds_exactly(pattern);
        }
        let Ok(glob) = globset::Glob::new(&text) else { return false };
        let matcher = glob.compile_matcher();
        self.tree.keys().any(|name| matcher.is_match(self.path_map.shown(name)))
            // By a link the directory may have another name.
            || pattern.parent().is_some_and(|directory| self.root.kind(directory).is_some() && self.holds(directory))
    }

    /// The same as [`Self::holds`], without directories far above the tree, which any text may name.
    fn holds_exactly(&self, path: &Path) -> bool {
        let shown = |name: &PathBuf| self.path_map.shown(name);
        let near = |name: &PathBuf| shown(name).ancestors().take(2).any(|near| near == path);
        self.tree.keys().any(near)
            || (self.root.kind(path).is_some()
                && self.tree.keys().any(|name| {
                    let identity = self.root.identity(path);
                    identity.is_some() && self.root.identity(&shown(name)) == identity
                }))
    }
}

/// The root directory of the target, in its own mount namespace.
pub(super) struct TargetRoot(OwnedFd);

impl TargetRoot {
    pub(super) fn open(pid: i32) -> Option<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(format!("/proc/{pid}/root"), flags, Mode::empty()).ok().map(Self)
    }

    fn find(&self, path: &Path) -> Option<OwnedFd> {
        self.look_for(path).ok()
    }

    fn look_for(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        rustix::fs::openat2(&self.0, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)
    }

    /// Returns true if there certainly is nothing at a path.
    fn lacks(&self, path: &Path) -> bool {
        matches!(self.look_for(path), Err(Errno::NOENT | Errno::NOTDIR))
    }

    /// The kind of the file at a path; `None` if there is none.
    fn kind(&self, path: &Path) -> Option<FileType> {
        Some(FileType::from_raw_mode(rustix::fs::fstat(self.find(path)?).ok()?.st_mode))
    }

    /// The file system and the number of a file, which links do not change.
    fn identity(&self, path: &Path) -> Option<(u64, u64)> {
        let stat = rustix::fs::fstat(self.find(path)?).ok()?;
        Some((stat.st_dev, stat.st_ino))
    }

    /// The beginning of a regular file.
    fn read(&self, path: &Path) -> Option<Vec<u8>> {
        let opened = rustix::fs::openat2(&self.0, path, regular::FLAGS, Mode::empty(), ResolveFlags::IN_ROOT).ok()?;
        RegularFile::of(opened).ok()??.beginning(LARGEST).ok()
    }
}

/// Returns the finding that the target shows only the beginning of its command line: a title is written into the memory of the
/// command line and the environment, where there may be no room for all of it (`ngx_setproctitle()` in nginx's
/// `src/os/unix/ngx_setproctitle.c`).
pub(super) fn lost_options(place: &ExecutionPlace, words: &[String]) -> Option<Finding> {
    let [title] = words else { return None };
    let room = proc::title_room(place.pid())?;
    // nginx leaves the last byte of the room alone, and the one before it is the zero at the end of the title.
    if !title.contains(": ") || title.len() + 2 < room {
        return None;
    }
    let pid = place.pid();
    let message = format!(
        "pid {pid} shows only the beginning of its command line (`{title}`), so the file that it reads is unknown"
    );
    let help = "start it with some environment (not by `env -i`), which has room for the whole title; or give the command: \
                `--validate 'nginx -t -c FILE'`";
    Some(Finding::environment(NOT_READ, message).help(help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_found_in_any_notation() {
        let text = "# include /no\ninclude \"/etc/a/*.conf\";\nIncludeOptional sites/*.conf\ninclude=/etc/b.d/*.conf\n\
                    !include_try local.conf\n$IncludeConfig /etc/r.d/*.conf\nimport sites/*\nlogfile: /var/log/u.log\n";
        let found: Vec<_> = names(text.as_bytes()).map(|word| (word.text, word.is_include)).collect();
        let expected = [
            ("/etc/a/*.conf", true),
            ("sites/*.conf", true),
            ("/etc/b.d/*.conf", true),
            ("local.conf", true),
            ("/etc/r.d/*.conf", true),
            ("sites/*", true),
            ("/var/log/u.log", false),
        ];
        assert_eq!(found, expected);
    }

    fn reached(app: &Path, tree: &Tree, main: &Path) -> Reached {
        let mapping = super::super::Mapping {
            prefix: PathBuf::new(),
            here: app.into(),
            there: app.into(),
            live: None,
            whole: true,
        };
        let root = TargetRoot::open(std::process::id().try_into().expect("a process id")).expect("the own root");
        Reached::from(&AppTree { tree, path_map: &PathMap(vec![mapping]), root: &root }, &[main.into()])
    }

    fn configuration(reached: &Reached) -> Vec<String> {
        reached.configuration.iter().map(|name| name.display().to_string()).collect()
    }

    #[test]
    fn a_program_that_is_named_is_not_searched_for_names() {
        let directory = tempfile::tempdir().expect("a directory");
        let app = directory.path().join("app");
        let tool = directory.path().join("tool");
        std::fs::write(&tool, "\x7fELF\0\ninclude app/stray\n").expect("there is room");
        let text = format!("run {}\n", tool.display());
        let tree: Tree = [("app.conf", text.as_str()), ("stray", "")]
            .map(|(name, text)| (PathBuf::from(name), text.as_bytes().to_vec()))
            .into();
        assert_eq!(configuration(&reached(&app, &tree, &app.join("app.conf"))), ["app.conf"]);
        std::fs::write(&tool, "include app/stray\n").expect("there is room");
        assert_eq!(configuration(&reached(&app, &tree, &app.join("app.conf"))), ["app.conf", "stray"], "it is text");
    }

    #[test]
    fn the_search_in_a_log_that_is_named_has_an_end() {
        let directory = tempfile::tempdir().expect("a directory");
        let (app, main) = (directory.path().join("app"), directory.path().join("main.conf"));
        let log = directory.path().join("main.log");
        let tree: Tree =
            [("a.conf", ""), ("stray", "")].map(|(name, text)| (PathBuf::from(name), text.as_bytes().to_vec())).into();
        let noise: String = (0..WORDS).map(|number| format!("started /usr/sbin/x{number}\n")).collect();
        std::fs::write(&log, format!("{noise}include app/stray\n")).expect("there is room");
        std::fs::write(&main, "logfile main.log\n").expect("there is room");
        let unknown = reached(&app, &tree, &main);
        assert!(unknown.is_partial, "nothing is certain then");
        assert!(configuration(&unknown).is_empty());
        // What is included is read before what is only named.
        std::fs::write(&main, "include more.conf\nlogfile main.log\n").expect("there is room");
        std::fs::write(directory.path().join("more.conf"), "include app/*.conf\n").expect("there is room");
        let known = reached(&app, &tree, &main);
        assert!(known.any);
        assert_eq!(configuration(&known), ["a.conf"]);
    }

    #[test]
    fn a_file_that_is_included_is_configuration_and_one_that_is_only_named_is_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let app = directory.path().join("app");
        let main = app.join("app.conf");
        let tree: Tree = [
            ("app.conf", "include more/*.inc\nlogfile: app.log\n"),
            ("more/a.inc", "include \"b.conf\"\n"),
            ("more/b.conf", ""),
            ("app.log", ""),
            ("stray", ""),
        ]
        .map(|(name, text)| (PathBuf::from(name), text.as_bytes().to_vec()))
        .into();
        let reached = reached(&app, &tree, &main);
        assert!(reached.any);
        assert_eq!(configuration(&reached), ["app.conf", "more/a.inc", "more/b.conf"]);
    }
}
