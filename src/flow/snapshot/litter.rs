//! Files that editors and tools leave beside a configuration. Pure.
//!
//! A name alone does not decide: `site~` in `sites-enabled` is configuration to nginx, which includes `sites-enabled/*`. So a file
//! that is named like a backup is left out only if no pattern in the configuration itself matches it.

use std::collections::BTreeSet;
use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};

use crate::flow::named::{self, NamedWord};
use crate::flow::tree::Tree;

/// The class of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// An ordinary name.
    Content,
    /// State of a tool that no program reads as configuration: swap and lock files, repositories, file systems' own names.
    Tool,
    /// A probe of vim, which is empty; a file of that name with a content is none.
    Probe,
    /// A backup copy or a temporary file, by a name that directories of configuration skip: left out unless a pattern of the
    /// configuration matches it.
    Backup,
    /// A copy by a name that some programs read: left out if the configuration reads its directory by patterns that do not match it.
    Copy,
}

/// Names of directories and files that belong to a tool or to a file system.
const TOOLS: [&str; 15] = [
    ".git",
    ".svn",
    ".hg",
    ".bzr",
    "_darcs",
    "CVS",
    ".idea",
    ".vscode",
    "__pycache__",
    "lost+found",
    ".snapshot",
    ".DS_Store",
    ".directory",
    "Thumbs.db",
    "desktop.ini",
];
/// Beginnings of names of the same kind: Emacs's locks, GIO's and AppleDouble's copies, files that are removed while they are open on NFS
/// and FUSE, the desktop's waste, whiteouts, the names that volumes keep for themselves, and the files that Ansible (`atomic_move()` in
/// `module_utils/basic.py`) and Chef (`file_content_management/tempfile.rb`) write before they rename.
const TOOL_BEGINNINGS: [&str; 12] = [
    ".#",
    ".~lock.",
    ".goutputstream-",
    "._",
    ".nfs0",
    ".fuse_hidden",
    ".Trash-",
    ".wh.",
    "..",
    ".syncthing.",
    ".ansible_tmp",
    ".chef-",
];
/// Ends of hidden names: vim's swap and undo files, Kate's swap files, hidden backup copies.
const HIDDEN_ENDS: [&str; 5] = [".un~", ".kate-swp", "~", ".part", ".crdownload"];
/// Ends of backup copies and temporary files: those of editors, dpkg, ucf, rpm, pacman and apk, and of Python and JetBrains.
const BACKUP_ENDS: [&str; 24] = [
    "~",
    ".swp",
    ".swo",
    ".swx",
    ".dpkg-old",
    ".dpkg-dist",
    ".dpkg-new",
    ".dpkg-tmp",
    ".dpkg-bak",
    ".dpkg-remove",
    ".ucf-old",
    ".ucf-dist",
    ".ucf-new",
    ".rpmsave",
    ".rpmnew",
    ".rpmorig",
    ".pacnew",
    ".pacsave",
    ".pacorig",
    ".apk-new",
    ".pyc",
    ".pyo",
    "___jb_tmp___",
    "___jb_old___",
];
/// Ends of copies that people and tools make by hand: patch, sed, nano and others.
const COPY_ENDS: [&str; 9] = [".bak", ".orig", ".rej", ".old", ".save", ".tmp", ".temp", ".backup", ".copy"];

/// Returns the class of a name. `siblings` are the names beside it.
pub(super) fn classify(name: &str, siblings: impl Fn(&str) -> bool) -> Class {
    let hidden = name.strip_prefix('.').filter(|rest| !rest.is_empty());
    let is_swap = |rest: &str| {
        rest.rsplit_once(".s").is_some_and(|(_, end)| matches!(end.as_bytes(), [b'a'..=b'w', b'a'..=b'z']))
    };
    let is_tool = TOOLS.contains(&name)
        || TOOL_BEGINNINGS.iter().any(|begins| name.starts_with(begins))
        || hidden.is_some_and(|rest| is_swap(rest) || HIDDEN_ENDS.iter().any(|end| rest.ends_with(end)))
        || hidden.is_some_and(|rest| is_in_transfer(rest, &siblings));
    if is_tool {
        Class::Tool
    } else if is_probe(name) {
        Class::Probe
    } else if BACKUP_ENDS.iter().any(|end| name.len() > end.len() && name.ends_with(end))
        || (name.len() > 2 && name.starts_with('#') && name.ends_with('#'))
        || is_seds(name)
    {
        Class::Backup
    } else if COPY_ENDS.iter().any(|end| name.len() > end.len() && name.ends_with(end)) {
        Class::Copy
    } else {
        Class::Content
    }
}

/// Returns true for `.NAME.XXXXXX` beside NAME: rsync writes there before it renames.
fn is_in_transfer(rest: &str, siblings: impl Fn(&str) -> bool) -> bool {
    let random = |end: &str| end.len() == 6 && end.bytes().all(|byte| byte.is_ascii_alphanumeric());
    rest.rsplit_once('.').is_some_and(|(name, end)| random(end) && siblings(name))
}

/// Returns true for 4913 and the numbers that follow it in steps of 123: vim makes such a file to find out if it can
/// (`buf_write` in src/bufwrite.c).
fn is_probe(name: &str) -> bool {
    name.parse::<u32>().is_ok_and(|number| (4913..9999).contains(&number) && (number - 4913) % 123 == 0)
}

/// Returns true for `sedXXXXXX`, which `sed -i` writes before it renames.
fn is_seds(name: &str) -> bool {
    name.strip_prefix("sed").is_some_and(|end| end.len() == 6 && end.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Number of patterns that are compiled; a configuration with more reads by name.
const PATTERNS: usize = 1000;

/// The files that a configuration reads by patterns and by name, as far as its text shows it.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// The last directory of each pattern, if it names one, and a matcher of names in it.
    patterns: Vec<(Option<GlobMatcher>, GlobMatcher, bool)>,
    /// Last components of paths and names that were written out.
    names: BTreeSet<String>,
}

impl Reads {
    /// Collects what the files of `tree` name. Only names that one of `wanted` has are kept.
    pub(super) fn of(tree: &Tree, wanted: &BTreeSet<String>) -> Self {
        Self::by(tree, wanted, |_| true)
    }

    /// Collects the same without patterns that may be no paths, such as a sole `*`: those in lines that include files, and those that name
    /// their directory.
    pub(super) fn of_includes(tree: &Tree, wanted: &BTreeSet<String>) -> Self {
        Self::by(tree, wanted, |word| {
            let directory = word.text.rsplit_once('/').map_or("", |(directory, _)| directory);
            word.is_include || directory.contains(|letter: char| letter.is_ascii_alphanumeric())
        })
    }

    fn by(tree: &Tree, wanted: &BTreeSet<String>, is_path: impl Fn(&NamedWord<'_>) -> bool) -> Self {
        let mut reads = Self::default();
        let mut known = BTreeSet::new();
        for content in tree.values() {
            for word in named::patterns(content) {
                let last = word.text.rsplit('/').next().unwrap_or(word.text);
                if wanted.contains(last) {
                    reads.names.insert(last.to_owned());
                } else if last.contains(['*', '?', '['])
                    && reads.patterns.len() < PATTERNS
                    && is_path(&word)
                    && known.insert(word.text)
                {
                    reads.patterns.extend(pattern(word.text));
                }
            }
        }
        reads
    }

    /// Returns true if a pattern or a name in the configuration matches the file at `path`.
    pub(super) fn match_of(&self, path: &Path) -> bool {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
        self.names.contains(name)
            || self.beside(path).any(|(_, glob, dotted)| (*dotted || !name.starts_with('.')) && glob.is_match(name))
    }

    /// Returns true if the configuration reads the directory of `path` by patterns.
    pub(super) fn reads_directory_of(&self, path: &Path) -> bool {
        self.beside(path).next().is_some()
    }

    fn beside<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a (Option<GlobMatcher>, GlobMatcher, bool)> {
        let directory = path.parent().and_then(Path::file_name);
        self.patterns.iter().filter(move |(within, _, _)| match (within, directory) {
            (Some(within), Some(directory)) => within.is_match(directory),
            // A pattern without a directory, or a file at the top of a source whose own name may be any.
            _ => true,
        })
    }
}

/// Compiles a word as a pattern of paths (glob(7)): `*` does not match a leading dot.
fn pattern(word: &str) -> Option<(Option<GlobMatcher>, GlobMatcher, bool)> {
    let compile = |part: &str| GlobBuilder::new(part).build().ok().map(|glob| glob.compile_matcher());
    let mut parts = word.rsplit('/');
    let last = parts.next()?;
    let directory = parts.next().filter(|directory| !matches!(*directory, "" | "." | ".."));
    let directory = match directory {
        Some(directory) => Some(compile(directory)?),
        None => None,
    };
    Some((directory, compile(last)?, last.starts_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str) -> Class {
        classify(name, |sibling| sibling == "app.conf")
    }

    #[test]
    fn files_of_tools_are_known() {
        for name in [
            ".git",
            ".svn",
            "lost+found",
            "__pycache__",
            ".DS_Store",
            "..2026_01_01",
            "..data_tmp",
            ".#app.conf",
            ".app.conf.swp",
            ".app.conf.swo",
            ".app.conf.svz",
            ".app.conf.un~",
            ".app.conf~",
            ".~lock.app.conf#",
            ".goutputstream-ABC123",
            "._app.conf",
            ".nfs000000000000abcd",
            ".fuse_hidden0000",
            ".app.conf.kate-swp",
            ".app.conf.Xy12Zz",
            ".ansible_tmpq1w2e3a.app.conf",
            ".chef-app.conf20260101-1-x",
        ] {
            assert_eq!(class(name), Class::Tool, "{name}");
        }
    }

    #[test]
    fn probes_of_vim_are_known() {
        for name in ["4913", "5036", "5159"] {
            assert_eq!(class(name), Class::Probe, "{name}");
        }
    }

    #[test]
    fn backups_are_known() {
        for name in [
            "app.conf~",
            "site~",
            "#app.conf#",
            "app.conf.swp",
            "app.conf.dpkg-old",
            "app.conf.dpkg-dist",
            "app.conf.ucf-dist",
            "app.conf.rpmsave",
            "app.conf.rpmnew",
            "app.conf.pacnew",
            "app.conf.apk-new",
            "app.pyc",
            "sedAbC123",
            "app.conf___jb_tmp___",
            "app.conf.~1~",
        ] {
            assert_eq!(class(name), Class::Backup, "{name}");
        }
    }

    #[test]
    fn copies_are_known() {
        for name in ["app.conf.bak", "app.conf.orig", "app.conf.rej", "app.conf.old", "app.conf.save", "app.conf.tmp"] {
            assert_eq!(class(name), Class::Copy, "{name}");
        }
    }

    #[test]
    fn ordinary_names_are_content() {
        for name in [
            "app.conf",
            "default",
            ".htaccess",
            ".htpasswd",
            ".env",
            ".env.docker",
            ".ansible.cfg",
            "~",
            "swp",
            ".bak",
            "sedative",
            "4914",
            "10000",
            "README",
            "git",
            "#",
            "##",
            "site.backups",
        ] {
            assert_eq!(class(name), Class::Content, "{name}");
        }
    }

    fn reads(text: &str, wanted: &[&str]) -> Reads {
        let tree: Tree = [("main".into(), text.as_bytes().to_vec())].into();
        Reads::of(&tree, &wanted.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn a_pattern_of_the_configuration_decides() {
        let nginx =
            "http { include /etc/nginx/conf.d/*.conf; include /etc/nginx/sites-enabled/*; include snippets/odd.bak; }";
        let reads = reads(nginx, &["odd.bak"]);
        for (path, expected) in [
            ("sites-enabled/site~", true),
            ("sites-enabled/#site#", true),
            ("sites-enabled/.site", false),
            ("conf.d/a.conf~", false),
            ("conf.d/a.conf.bak", false),
            ("snippets/odd.bak", true),
            ("snippets/other.bak", false),
        ] {
            assert_eq!(reads.match_of(Path::new(path)), expected, "{path}");
        }
        assert!(reads.reads_directory_of(Path::new("conf.d/a.conf.bak")));
        assert!(!reads.reads_directory_of(Path::new("snippets/other.bak")));
    }

    #[test]
    fn patterns_of_other_programs_are_found_too() {
        for (text, path) in [
            ("IncludeOptional sites-enabled/*", "sites-enabled/site~"),
            ("include-toplevel: \"/etc/unbound/unbound.conf.d/*\"", "unbound.conf.d/a~"),
            ("rule_files:\n  - rules/*.old\n", "rules/a.old"),
            ("include=/etc/php/fpm/pool.d/[a-z]*", "pool.d/www~"),
            ("conf.?/*~", "conf.d/x~"),
        ] {
            assert!(reads(text, &[]).match_of(Path::new(path)), "{text}");
        }
        assert!(!reads("# include sites-enabled/*", &[]).match_of(Path::new("sites-enabled/site~")), "it is a comment");
        assert!(!reads("a * b", &[]).match_of(Path::new("conf.d/.x~")), "glob(7) does not match a leading dot");
    }
}
