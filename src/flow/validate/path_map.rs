//! Paths of the files of a tree, for the gate and for the application.

use std::path::{Component, Path, PathBuf};

use reload_gate_contract::{Code, Finding};

use crate::flow::snapshot::Source;
use crate::flow::tree::Tree;
use crate::sys::exec::{FileSystemView, ViewMount};

pub(super) const LEADS_TO_LIVE: Code = Code::new("leads-to-live");

/// A part of a tree in one place: the prefix of its names, and the path that replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Prefix of the names of its files; the whole name if it is one file.
    pub prefix: PathBuf,
    /// Path at which the gate sees it.
    pub here: PathBuf,
    /// Path at which the application sees it.
    pub there: PathBuf,
    /// Path at which the application sees the live content, if this part is a candidate that lies beside it: the paths of its
    /// command line lead there.
    pub live: Option<PathBuf>,
    /// It hides everything else at that path: a file that is not in the tree does not exist there.
    pub whole: bool,
}

/// Paths of all parts of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathMap(pub Vec<Mapping>);

impl PathMap {
    /// Returns the paths of a tree that was read from `sources`. IO: looks which of them are directories.
    #[must_use]
    pub fn of(sources: &[Source]) -> Self {
        let [source] = sources else {
            // With several sources a name is the path that the application sees.
            let mapping = |source: &Source| Mapping {
                prefix: source.mount.clone(),
                here: source.path.clone(),
                there: source.mount.clone(),
                live: None,
                whole: true,
            };
            return Self(sources.iter().map(mapping).collect());
        };
        let (here, there) = (source.path.clone(), source.mount.clone());
        let mapping = match (source.path.parent(), source.mount.parent(), source.path.file_name()) {
            // It means the files beside it, though it may be gone itself.
            (Some(here), Some(there), _) if source.whole_volume && !source.path.is_dir() => {
                Mapping { prefix: PathBuf::new(), here: here.into(), there: there.into(), live: None, whole: true }
            }
            (_, _, Some(name)) if source.path.is_file() => {
                Mapping { prefix: name.into(), here, there, live: None, whole: true }
            }
            _ => Mapping { prefix: PathBuf::new(), here, there, live: None, whole: true },
        };
        Self(vec![mapping])
    }

    /// Returns the path of the file of that name, for the application or for the gate.
    pub(super) fn path_of(&self, name: &Path, for_application: bool) -> PathBuf {
        self.locate(name, |mapping| if for_application { &mapping.there } else { &mapping.here })
    }

    /// Returns the path of the file of that name in the gate's file system.
    #[must_use]
    pub fn here(&self, name: &Path) -> PathBuf {
        self.path_of(name, false)
    }

    /// Returns true if it has no directory: the sources are files.
    pub(super) fn is_of_files(&self) -> bool {
        self.0.iter().all(|mapping| mapping.here.is_file())
    }

    /// Returns the directory of the configuration in the gate's file system.
    #[must_use]
    pub fn directory_here(&self) -> PathBuf {
        self.directory(false)
    }

    fn locate(&self, name: &Path, root: impl Fn(&Mapping) -> &PathBuf) -> PathBuf {
        let inside = self.0.iter().filter_map(|mapping| Some((mapping, name.strip_prefix(&mapping.prefix).ok()?)));
        // The longest prefix is that of the mount on top.
        match inside.min_by_key(|(_, rest)| rest.components().count()) {
            Some((mapping, rest)) if rest.components().all(|step| matches!(step, Component::Normal(_))) => {
                let root = root(mapping);
                // Joined with nothing a path would end in a slash.
                if rest.as_os_str().is_empty() { root.clone() } else { root.join(rest) }
            }
            _ => name.into(),
        }
    }

    /// Returns the path by which the application will know the file of that name.
    pub(super) fn shown(&self, name: &Path) -> PathBuf {
        self.locate(name, |mapping| mapping.live.as_ref().unwrap_or(&mapping.there))
    }

    /// The name in the tree of what the application will know as `path`, whether it is there or not; `None` if that is no part of it.
    pub(super) fn name_of(&self, path: &Path) -> Option<PathBuf> {
        let inside = |mapping: &Mapping| {
            let rest = path.strip_prefix(mapping.live.as_ref().unwrap_or(&mapping.there)).ok()?;
            Some(if rest.as_os_str().is_empty() { mapping.prefix.clone() } else { mapping.prefix.join(rest) })
        };
        self.0.iter().filter_map(inside).max_by_key(|name| name.components().count())
    }

    /// Returns true if the tree holds everything that the application will find at `path`.
    pub(super) fn is_whole(&self, path: &Path) -> bool {
        let there = |mapping: &&Mapping| path.starts_with(mapping.live.as_ref().unwrap_or(&mapping.there));
        // The deepest one lies on top.
        let over = self.0.iter().filter(there).max_by_key(|mapping| mapping.there.components().count());
        over.is_some_and(|mapping| mapping.whole)
    }

    /// Returns the view that shows a command the files of `tree` at the application's paths. A part that hides everything else is
    /// laid there as a whole, any other file by file.
    pub(super) fn view(&self, tree: &Tree) -> FileSystemView {
        let mut mounts = Vec::new();
        for mapping in &self.0 {
            let mut files = tree.keys().filter(|name| name.starts_with(&mapping.prefix)).peekable();
            // A directory without a file of the tree is that of a volume whose content is unknown.
            if mapping.whole || (files.peek().is_none() && mapping.here.is_dir()) {
                mounts.extend(
                    mapping.here.exists().then(|| ViewMount { at: mapping.there.clone(), from: mapping.here.clone() }),
                );
            } else {
                mounts.extend(
                    files.map(|name| ViewMount { at: self.path_of(name, true), from: self.path_of(name, false) }),
                );
            }
        }
        FileSystemView { mounts, homes: Vec::new() }
    }

    /// The name in `tree` of the file that a finding calls `path`: as the application knows it, as the gate does, or by a part of that.
    #[must_use]
    pub fn named<'a>(&self, path: &Path, tree: &'a Tree) -> Option<&'a Path> {
        let here = |mapping: &Mapping| Some(mapping.prefix.join(path.strip_prefix(&mapping.here).ok()?));
        let whole = self.name_of(path).into_iter().chain(self.0.iter().filter_map(here));
        // Joined with nothing a path ends in a slash, which a comparison of components does not see.
        let found = whole.filter_map(|name| tree.keys().find(|other| **other == name)).next();
        let mut ends = tree.keys().filter(|name| path.is_relative() && name.ends_with(path));
        let only = || ends.next().filter(|_| ends.next().is_none());
        found.or_else(only).map(PathBuf::as_path)
    }

    /// Returns true for a candidate that lies beside the live content.
    pub(super) fn is_beside(&self) -> bool {
        self.0.iter().any(|mapping| mapping.live.is_some())
    }

    /// Returns a word of a command line with its path, alone or after an option (`-f/etc/a`, `--file=/etc/a`), changed from the live
    /// content to the candidate. A path that begins in the working directory `cwd` may be any other word: it must be in `tree`.
    pub(super) fn redirect(&self, word: &str, cwd: &Path, tree: &Tree, for_application: bool) -> String {
        let (option, path) = match word.split_once('=') {
            _ if !word.starts_with('-') => ("", word),
            Some((option, _)) => word.split_at(option.len() + 1),
            None => word.split_at_checked(2).unwrap_or((word, "")),
        };
        let leads = |mapping: &Mapping| {
            let path = cwd.join(path);
            path.strip_prefix(mapping.live.as_ref()?).ok().map(|rest| mapping.prefix.join(rest))
        };
        let there = |name: &PathBuf| tree.keys().any(|file| file.starts_with(name));
        let meant = |name: &PathBuf| !path.is_empty() && (path.starts_with('/') || there(name));
        match self.0.iter().find_map(leads).filter(meant) {
            Some(name) => format!("{option}{}", self.path_of(&name, for_application).display()),
            None => word.to_owned(),
        }
    }

    /// Returns a finding for a candidate that lies beside the live content and names files by paths that lead to the latter: a
    /// command would validate a mixture of the two.
    pub(super) fn leads_to_live(&self, tree: &Tree) -> Option<Finding> {
        let live: Vec<String> =
            self.0.iter().filter_map(|mapping| Some(format!("{}/", mapping.live.as_ref()?.display()))).collect();
        let names = |content: &[u8]| {
            let text = String::from_utf8_lossy(content);
            live.iter().find(|live| text.contains(live.as_str())).cloned()
        };
        let (file, live) = tree.iter().find_map(|(file, content)| Some((file, names(content)?)))?;
        let message = format!(
            "`{}` names files in `{live}` by their whole paths, which lead to the live content",
            file.display()
        );
        let help = "name them by relative paths; or give the gate a volume of its own at that path: `--stage`";
        Some(Finding::environment(LEADS_TO_LIVE, message).help(help))
    }

    /// Returns a finding in which files have the paths that the user knows: those of the live content, not of the candidate beside it.
    pub(super) fn show(&self, mut finding: Finding) -> Finding {
        for mapping in &self.0 {
            let Some(live) = &mapping.live else { continue };
            for candidate in [&mapping.here, &mapping.there] {
                let shown = |text: &str| text.replace(&*candidate.to_string_lossy(), &live.to_string_lossy());
                finding.message = shown(&finding.message);
                if let Some(place) = &mut finding.place {
                    place.file = shown(&place.file);
                }
            }
        }
        finding
    }

    /// The directory of the first part, or in which it is if that is one file.
    pub(super) fn directory(&self, for_application: bool) -> PathBuf {
        let Some(mapping) = self.0.first() else { return PathBuf::from("/") };
        let root = if for_application { &mapping.there } else { &mapping.here };
        if mapping.here.is_file() { root.parent().unwrap_or(root).into() } else { root.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_any_path_that_a_checker_may_give_it() {
        let mapping = |prefix: &str, here: &str, there: &str| Mapping {
            prefix: prefix.into(),
            here: here.into(),
            there: there.into(),
            live: None,
            whole: true,
        };
        let volume = PathMap(vec![mapping("", "/config", "/etc/nginx")]);
        let file = PathMap(vec![mapping("nginx.conf", "/config/nginx.conf", "/etc/nginx/nginx.conf")]);
        let several =
            PathMap(vec![mapping("/etc/nginx", "/config", "/etc/nginx"), mapping("/etc/tls", "/tls", "/etc/tls")]);
        let one = ["nginx.conf", "conf.d/a.conf", "sites/a.conf"];
        let two = ["/etc/nginx/nginx.conf", "/etc/tls/tls.crt"];
        for (path_map, names, path, expected) in [
            (&volume, &one[..], "/etc/nginx/nginx.conf", Some("nginx.conf")),
            (&volume, &one, "/config/conf.d/a.conf", Some("conf.d/a.conf")),
            (&volume, &one, "nginx.conf", Some("nginx.conf")),
            (&volume, &one, "sites/a.conf", Some("sites/a.conf")),
            (&volume, &one, "a.conf", None),
            (&volume, &one, "/srv/nginx.conf", None),
            (&volume, &one, "/etc/nginx", None),
            (&file, &one[..1], "/etc/nginx/nginx.conf", Some("nginx.conf")),
            (&file, &one[..1], "/config/nginx.conf", Some("nginx.conf")),
            (&several, &two, "/etc/tls/tls.crt", Some("/etc/tls/tls.crt")),
            (&several, &two, "/tls/tls.crt", Some("/etc/tls/tls.crt")),
            (&several, &two, "/tls/nginx.conf", None),
        ] {
            let tree: Tree = names.iter().map(|name| (name.into(), Vec::new())).collect();
            assert_eq!(path_map.named(Path::new(path), &tree), expected.map(Path::new), "{path} in {names:?}");
        }
    }

    #[test]
    fn paths_of_a_command_line_lead_to_the_candidate() {
        let live = Some(PathBuf::from("/etc/app"));
        let mapping = Mapping {
            prefix: PathBuf::new(),
            here: "/gate/new".into(),
            there: "/etc/app/new".into(),
            live,
            whole: true,
        };
        let tree: Tree = ["app.cfg", "conf.d/a.cfg"].map(|name| (name.into(), Vec::new())).into();
        for (word, cwd, expected) in [
            ("/etc/app/app.cfg", "/", "/etc/app/new/app.cfg"),
            ("-f/etc/app/conf.d", "/", "-f/etc/app/new/conf.d"),
            ("--file=/etc/app/app.cfg", "/", "--file=/etc/app/new/app.cfg"),
            ("/etc/application", "/", "/etc/application"),
            ("app.cfg", "/etc/app", "/etc/app/new/app.cfg"),
            ("-fconf.d", "/etc/app", "-f/etc/app/new/conf.d"),
            ("app/app.cfg", "/etc", "/etc/app/new/app.cfg"),
            ("app.cfg", "/srv", "app.cfg"),
            ("other", "/etc/app", "other"),
            ("-W", "/etc/app", "-W"),
            ("daemon off;", "/etc/app", "daemon off;"),
        ] {
            assert_eq!(
                PathMap(vec![mapping.clone()]).redirect(word, Path::new(cwd), &tree, true),
                expected,
                "{word} in {cwd}"
            );
        }
    }
}
