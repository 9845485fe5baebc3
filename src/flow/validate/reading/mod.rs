//! The files that the running target reads. A verdict counts only if the tree is among them. IO: reads files through /proc.

pub(super) mod nginx;

use std::collections::BTreeSet;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use reload_gate_contract::{Code, Finding, Place as Position};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};

use super::place::ExecutionPlace;
use super::{PathMap, ValidationContext};
use crate::flow::tree::Tree;
use crate::sys::pattern::LazyRegex;
use crate::sys::proc;

pub(super) const NOT_READ: Code = Code::new("not-read");

/// Largest file that is searched for the names of other files, and the largest number of such files.
const LARGEST: u64 = 1 << 20;
const FILES: usize = 64;

/// The rules by which a program finds its configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigLookup {
    /// Options of the command line with the path of a file or directory, as `-f`, `--config` or `--config.file`.
    pub options: Vec<String>,
    /// Pattern of a title that names the file, in its first group.
    pub title: Option<LazyRegex>,
    /// The files that the program reads without such an option; the packages of distributions differ.
    pub defaults: Vec<PathBuf>,
    /// The configuration is a program, and may read any file.
    pub is_program: bool,
}

/// Returns the finding that the target does not read the tree, if that is certain.
pub(super) fn obstacle(lookup: &ConfigLookup, context: &ValidationContext) -> Option<Finding> {
    let target = context.place.target.as_ref()?;
    let root = TargetRoot::open(target.pid())?;
    let named = named_files(lookup, context);
    let begins = match named.as_slice() {
        [] => lookup.defaults.iter().filter(|path| root.kind(path).is_some()).cloned().collect(),
        named => named.to_vec(),
    };
    if begins.is_empty() || (lookup.is_program && context.main.is_err()) {
        return None;
    }
    let tree = AppTree { tree: &context.tree, path_map: &context.path_map, root: &root };
    if reaches(&tree, &begins) {
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

/// The finding with the usual remedy.
pub(super) fn not_read(message: impl Into<String>) -> Finding {
    let help = "watch the directory that the application reads, give the path by which it knows that directory (`--mount DIR`), or name \
                the right process (`--process`, `--pid-file`)";
    Finding::environment(NOT_READ, message).help(help)
}

/// The files that the target's command line or title names.
fn named_files(lookup: &ConfigLookup, context: &ValidationContext) -> Vec<PathBuf> {
    let words = context.place.cmdline();
    let cwd = context.place.cwd();
    let title = lookup.title.as_ref().and_then(LazyRegex::get);
    let in_title = title.and_then(|pattern| Some(pattern.captures(words.first()?)?.get(1)?.as_str().to_owned()));
    let values = lookup.options.iter().flat_map(|option| option_values(&words, option));
    values.chain(in_title).map(|value| cwd.join(value)).collect()
}

/// The values of an option: `-f FILE`, `-fFILE`, `--file FILE`, `--file=FILE`; and of `--`, all words behind it.
fn option_values(words: &[String], option: &str) -> Vec<String> {
    let mut values = Vec::new();
    let mut rest = words.iter().skip(1);
    while let Some(word) = rest.next() {
        if word == "--" {
            if option == "--" {
                values.extend(rest.cloned());
            }
            break;
        }
        let Some(value) = word.strip_prefix(option) else { continue };
        let is_short = option.len() == 2 && !option.starts_with("--");
        match value.strip_prefix('=') {
            _ if value.is_empty() => values.extend(rest.next().cloned()),
            Some(value) => values.push(value.to_owned()),
            None if is_short => values.push(value.to_owned()),
            None => {}
        }
    }
    values
}

/// Returns true if one of `begins` is in the tree, or leads there by the names of files in it.
fn reaches(tree: &AppTree<'_>, begins: &[PathBuf]) -> bool {
    let mut seen: BTreeSet<PathBuf> = begins.iter().cloned().collect();
    let mut next: Vec<PathBuf> = begins.to_vec();
    while let Some(path) = next.pop() {
        if tree.holds(&path) {
            return true;
        }
        let Some(text) = tree.root.read(&path) else { continue };
        let text = String::from_utf8_lossy(&text);
        for named in names(&text) {
            let directory = path.parent().unwrap_or(Path::new("/"));
            let beside = directory.join(named);
            if tree.matches(&beside) {
                return true;
            }
            if seen.len() < FILES && !seen.contains(&beside) && tree.root.kind(&beside).is_some() {
                seen.insert(beside.clone());
                next.push(beside);
            }
        }
    }
    false
}

/// The words of a text that may be paths.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(str::trim_start).filter(|line| !line.starts_with(['#', ';']));
    let ends =
        |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ';' | ',' | '=' | '(' | ')' | '[' | ']' | '<' | '>');
    lines.flat_map(move |line| line.split(ends)).filter(|word| word.len() > 1 && word.contains(['/', '.', '*']))
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
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        rustix::fs::openat2(&self.0, path, flags, Mode::empty(), ResolveFlags::IN_ROOT).ok()
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
        let regular = self.kind(path)? == FileType::RegularFile;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file =
            rustix::fs::openat2(&self.0, path, flags, Mode::empty(), ResolveFlags::IN_ROOT).ok().filter(|_| regular)?;
        let mut text = Vec::new();
        std::fs::File::from(file).take(LARGEST).read_to_end(&mut text).ok()?;
        Some(text)
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

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_values_of_an_option_are_found_in_each_notation() {
        let cases = [
            ("app -f a.conf -x", "-f", vec!["a.conf"]),
            ("app -fa.conf -f=b.conf", "-f", vec!["a.conf", "b.conf"]),
            ("app --config.file=a.yml", "--config.file", vec!["a.yml"]),
            ("app --config.file a.yml --config.files x", "--config.file", vec!["a.yml"]),
            ("app -W -- a.cfg -f", "--", vec!["a.cfg", "-f"]),
            ("app -W -- a.cfg -f b", "-f", vec![]),
            ("app -f", "-f", vec![]),
        ];
        for (line, option, expected) in cases {
            assert_eq!(option_values(&words(line), option), expected, "{line}");
        }
    }

    #[test]
    fn names_of_files_are_found_in_any_notation() {
        let text = "# include /no\ninclude \"/etc/a/*.conf\";\nIncludeOptional sites/*.conf\ninclude=/etc/b.d/*.conf\n";
        let found: Vec<_> = names(text).collect();
        assert_eq!(found, ["/etc/a/*.conf", "sites/*.conf", "/etc/b.d/*.conf"]);
    }
}
