//! The directory to which a program goes back at a reload, which is that of its start. IO: reads /proc.
//!
//! Its relative paths begin there. Where a link to the current release has led to that directory, it stays the directory of the program when
//! the link leads to the next release, and a reload loads the old one again.

use std::path::{Component, Path, PathBuf};

use procfs::process::Process;
use reload_gate_contract::Finding;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};

use super::{ConfigLookup, NOT_READ, TargetRoot, ValidationContext};
use crate::sys::pattern::LazyRegex;
use crate::sys::proc;

/// The suffix of a directory that was removed (`proc_pid_cwd(5)`).
const REMOVED: &str = " (deleted)";
/// The manager of services of the system: the directory of a service is not its own.
const SERVICE_MANAGER: &[u8] = b"systemd";

/// The rules by which a program finds the directory to which it goes back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReloadDirectory {
    /// By the name in `PWD`, if that led to its working directory at the start (`getcwd()` in `gunicorn/util.py`).
    pub by_name: bool,
    /// Options of the command line with another directory, into which it changes from there.
    pub options: Vec<String>,
    /// Pattern of the same setting in the configuration; the group `value` is there if the value is no expression.
    pub setting: Option<LazyRegex>,
    /// Environment variable with further words of the command line.
    pub variable: Option<String>,
}

/// The change from that directory into another one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum DirectoryChange {
    Nothing,
    /// Into a directory below it.
    Below(PathBuf),
    /// Into one with a path of its own.
    Elsewhere,
}

impl DirectoryChange {
    fn to(path: &str) -> Self {
        let steps: Vec<_> = Path::new(path).components().filter(|step| *step != Component::CurDir).collect();
        match steps.as_slice() {
            [] => Self::Nothing,
            steps if steps.iter().all(|step| matches!(step, Component::Normal(_))) => {
                Self::Below(steps.iter().collect())
            }
            _ => Self::Elsewhere,
        }
    }
}

impl ReloadDirectory {
    /// The change that the command line asks for, or else the configuration.
    fn change(&self, words: &[String], further: &[String], text: &str) -> DirectoryChange {
        let given =
            |words: &[String]| self.options.iter().flat_map(|option| proc::option_values(words, option)).next_back();
        let settings =
            self.setting.as_ref().and_then(LazyRegex::get).and_then(|found| found.captures_iter(text).last());
        match (given(words).or_else(|| given(further)), settings) {
            (Some(path), _) => DirectoryChange::to(&path),
            (None, Some(setting)) => {
                setting.name("value").map_or(DirectoryChange::Elsewhere, |path| DirectoryChange::to(path.as_str()))
            }
            (None, None) => DirectoryChange::Nothing,
        }
    }
}

/// Returns the finding that a reload would load the content of another directory, or of none. Notes the directory of the start for the
/// command that validates.
pub(super) fn obstacle(lookup: &ConfigLookup, context: &ValidationContext, root: &TargetRoot) -> Option<Finding> {
    let rule = lookup.directory.as_ref()?;
    let place = &context.place;
    // The words behind a title are unknown.
    if place.title().is_some() {
        return None;
    }
    let pid = place.pid();
    let main = context.main.as_ref().ok().and_then(|main| context.tree.get(main));
    let text = main.map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default();
    let variable = rule.variable.as_ref().and_then(|name| proc::variable(pid, name)).unwrap_or_default();
    // The first word is no option.
    let further = shell_words::split(&format!("- {variable}")).unwrap_or_default();
    let change = rule.change(&place.cmdline(), &further, &text);
    let started = Started { pid, root, cwd: without_suffix(proc::cwd(pid)?) };
    let start = started.directory(rule.by_name, &change)?;
    if root.lacks(&start) {
        return Some(gone(pid, &start));
    }
    if start != started.cwd {
        let _ = place.directory.set(start.clone());
    }
    let (link, current) = Some(started.replaced(&start, context)?).filter(|_| change != DirectoryChange::Elsewhere)?;
    Some(replaced(pid, &start, &link, &current))
}

/// The name of a directory, also after it was removed.
fn without_suffix(path: PathBuf) -> PathBuf {
    path.to_str().and_then(|path| path.strip_suffix(REMOVED)).map(PathBuf::from).unwrap_or(path)
}

/// A process, with its working directory.
struct Started<'a> {
    pid: i32,
    root: &'a TargetRoot,
    cwd: PathBuf,
}

impl Started<'_> {
    /// The directory of its start as it names it itself; `None` if that is unknown.
    fn directory(&self, by_name: bool, change: &DirectoryChange) -> Option<PathBuf> {
        let below = if let DirectoryChange::Below(below) = change { below.as_path() } else { Path::new("") };
        let above = self.cwd.ends_with(below).then(|| self.cwd.ancestors().nth(below.components().count())).flatten();
        let name = proc::variable(self.pid, "PWD").map(PathBuf::from).filter(|name| by_name && name.is_absolute());
        if let Some(name) = &name
            && (self.is_same(&name.join(below), &self.cwd) || above.is_some_and(|above| self.has_led_to(name, above)))
        {
            return Some(name.clone());
        }
        match change {
            DirectoryChange::Elsewhere if name.is_some_and(|name| self.root.kind(&name).is_some()) => None,
            DirectoryChange::Elsewhere => self.removed_directory_of_parent(),
            _ => above.map(Path::to_path_buf),
        }
    }

    fn is_same(&self, one: &Path, other: &Path) -> bool {
        self.root.identity(one).is_some_and(|one| self.root.identity(other) == Some(one))
    }

    /// Returns true if a name is a link that may have led to a directory: to one beside it, as releases are.
    fn has_led_to(&self, name: &Path, directory: &Path) -> bool {
        let leads = self.root.is_link(name).then(|| self.real(name)).flatten();
        leads.is_some_and(|leads| leads.parent() == directory.parent())
    }

    /// The path of a file without links, as the process names it.
    fn real(&self, path: &Path) -> Option<PathBuf> {
        let path = self.root.real(path)?;
        Some(Process::new(self.pid).map_or(path.clone(), |process| proc::in_own_root(&process, path)))
    }

    /// The directory of its parent, from which it has that of its start, if that was removed.
    fn removed_directory_of_parent(&self) -> Option<PathBuf> {
        let parent = proc::stat(self.pid)?.ppid;
        if parent <= 1 || proc::comm(parent) == SERVICE_MANAGER {
            return None;
        }
        let cwd = proc::cwd(parent)?;
        cwd.to_str()?.strip_suffix(REMOVED).map(PathBuf::from)
    }

    /// The link to the configuration, and the directory to which it leads now, where the directory of the start lies beside that one and has,
    /// or had, the same files: it is an earlier release.
    fn replaced(&self, start: &Path, context: &ValidationContext) -> Option<(PathBuf, PathBuf)> {
        let name = context.main.as_ref().ok().or_else(|| context.tree.keys().next())?;
        let (path, start) = (context.path_map.shown(name), self.real(start)?);
        let links = path.ancestors().skip(1).filter(|path| self.root.is_link(path));
        links.into_iter().find_map(|link| {
            let current = self.real(link)?;
            let beside = start.strip_prefix(current.parent()?).ok()?.components().next()?;
            let earlier = current.parent()?.join(beside);
            let has_the_same =
                earlier != current && self.root.kind(&earlier.join(path.strip_prefix(link).ok()?)).is_some();
            has_the_same.then(|| (link.to_path_buf(), current))
        })
    }
}

impl TargetRoot {
    /// Returns true if a path is a link itself.
    fn is_link(&self, path: &Path) -> bool {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = rustix::fs::openat2(&self.0, path, flags, Mode::empty(), ResolveFlags::IN_ROOT);
        let kind = found.and_then(rustix::fs::fstat).map(|stat| FileType::from_raw_mode(stat.st_mode));
        kind.is_ok_and(|kind| kind == FileType::Symlink)
    }

    /// The path of a file without links, as this process names it.
    pub(super) fn real(&self, path: &Path) -> Option<PathBuf> {
        use std::os::fd::AsRawFd as _;
        let found = self.find(path)?;
        std::fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd())).ok()
    }
}

fn gone(pid: i32, start: &Path) -> Finding {
    let message = format!(
        "pid {pid} goes back to `{}` at a reload, where it was started, and that directory is gone",
        start.display()
    );
    let help = "restart the application; start it in a directory that stays";
    Finding::environment(NOT_READ, message).help(help)
}

fn replaced(pid: i32, start: &Path, link: &Path, current: &Path) -> Finding {
    let (start, link, current) = (start.display(), link.display(), current.display());
    let message = format!(
        "pid {pid} goes back to `{start}` at a reload, where it was started, and `{link}` leads to `{current}` now: it would load what lies \
         in the old directory"
    );
    let help = format!(
        "restart the application; so that a reload follows the link, have it change into `{link}` itself (`chdir`)"
    );
    Finding::environment(NOT_READ, message).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> ReloadDirectory {
        let setting = r#"(?m)^chdir *= *(?:'(?P<value>[^'\n]*)'$)?"#;
        ReloadDirectory {
            by_name: true,
            options: vec!["--chdir".to_owned()],
            setting: Some(LazyRegex::constant(setting)),
            variable: None,
        }
    }

    #[test]
    fn the_last_word_about_the_directory_counts() {
        let change = |words: &[&str], further: &[&str], text: &str| {
            let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
            rule().change(&owned(words), &owned(further), text)
        };
        let below = |path: &str| DirectoryChange::Below(path.into());
        assert_eq!(change(&["gunicorn", "web:app"], &["-"], ""), DirectoryChange::Nothing);
        assert_eq!(change(&["gunicorn", "--chdir", "/srv"], &["-"], "chdir = 'app'"), DirectoryChange::Elsewhere);
        assert_eq!(change(&["gunicorn", "--chdir=app"], &["-"], ""), below("app"));
        assert_eq!(change(&["gunicorn"], &["-", "--chdir", "./a/b/"], ""), below("a/b"));
        assert_eq!(change(&["gunicorn"], &["-"], "chdir = 'app'"), below("app"));
        assert_eq!(change(&["gunicorn"], &["-"], "chdir = '.'"), DirectoryChange::Nothing);
        assert_eq!(change(&["gunicorn"], &["-"], "chdir = '../other'"), DirectoryChange::Elsewhere);
        assert_eq!(change(&["gunicorn"], &["-"], "chdir = os.path.dirname(__file__)"), DirectoryChange::Elsewhere);
    }

    #[test]
    fn a_link_is_distinguished_from_the_directory_to_which_it_leads() {
        let directory = tempfile::tempdir().expect("there is room");
        let at = |name: &str| directory.path().join(name);
        std::fs::create_dir(at("r1")).and_then(|()| std::fs::create_dir(at("r2"))).expect("there is room");
        std::os::unix::fs::symlink("r2", at("current")).expect("there is room");
        let root = TargetRoot::open(proc::own()).expect("it is its own");
        let started = Started { pid: proc::own(), root: &root, cwd: at("r1") };
        assert!(root.is_link(&at("current")) && !root.is_link(&at("r1")));
        assert_eq!(started.real(&at("current")), Some(at("r2").canonicalize().expect("it is there")));
        assert!(started.has_led_to(&at("current"), &at("r1").canonicalize().expect("it is there")));
        assert!(!started.has_led_to(&at("r2"), &at("r1")));
    }
}
