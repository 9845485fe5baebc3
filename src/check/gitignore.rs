//! Patterns of `.gitignore` and of `.git/info/exclude`. IO: reads these files.
//!
//! A pull request can put a link to a device, or a FIFO, in the place of such a file. Git follows no link there (gitignore(5), "NOTES"), so a
//! regular file of a limited size is read, and any other hides nothing.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::tracked::common_directory;
use crate::sys::regular::RegularFile;

/// Name of the file in a directory.
const NAME: &str = ".gitignore";

/// Largest file in bytes. The patterns of a larger one are not used, so it hides nothing.
const LARGEST: u64 = 64 << 10;
/// Limit of the patterns of all files together: each takes time and memory. A file with more than are left hides nothing.
const MOST: usize = 20_000;

/// Patterns that hide files below a directory. Each file is read once.
#[derive(Debug)]
pub(super) struct HiddenFiles {
    known: Mutex<KnownPatterns>,
    /// Top of the repository, or of the walk.
    top: PathBuf,
    /// Patterns of the repository itself.
    exclude: Gitignore,
}

/// Patterns that were read.
#[derive(Debug, Default)]
struct KnownPatterns {
    of_directory: HashMap<PathBuf, Arc<Gitignore>>,
    /// The number of all of them.
    count: usize,
}

impl HiddenFiles {
    /// Returns those of the repository at `top`, or of the directory in none where a walk begins: files above are another user's.
    pub(super) fn of(top: &Path) -> Self {
        let exclude = common_directory(top).and_then(|directory| {
            let file = RegularFile::open(&directory.join("info/exclude")).ok()??;
            Some(patterns(top, &file, MOST))
        });
        let exclude = exclude.unwrap_or_else(Gitignore::empty);
        Self { known: Mutex::default(), top: top.to_owned(), exclude }
    }

    /// Returns true for an absolute path that the patterns hide, or that begins with a dot and that no pattern shows. Those of a directory are
    /// decided before those of the directories above.
    pub(super) fn hide(&self, path: &Path, is_directory: bool) -> bool {
        for directory in path.ancestors().skip(1) {
            match self.in_directory(directory).matched(path, is_directory) {
                Match::None => {}
                found => return found.is_ignore(),
            }
            if self.top == directory {
                break;
            }
        }
        match self.exclude.matched(path, is_directory) {
            Match::None => path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")),
            found => found.is_ignore(),
        }
    }

    fn in_directory(&self, directory: &Path) -> Arc<Gitignore> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.of_directory.get(directory) {
            return known.clone();
        }
        let most = MOST.saturating_sub(known.count);
        let read = || {
            let opened = std::fs::File::open(directory).ok()?;
            Some(patterns(directory, &RegularFile::open_in(opened, NAME).ok()??, most))
        };
        let found = Arc::new(read().unwrap_or_else(Gitignore::empty));
        known.count += found.len();
        known.of_directory.insert(directory.to_owned(), found.clone());
        found
    }
}

/// Returns the patterns of a file for paths below `directory`, or none if there are more than `most`.
fn patterns(directory: &Path, file: &RegularFile, most: usize) -> Gitignore {
    let read = || file.beginning(LARGEST + 1).ok().filter(|text| text.len() as u64 <= LARGEST);
    let Some(text) = read() else { return Gitignore::empty() };
    let text = String::from_utf8_lossy(&text);
    if text.lines().count() > most {
        return Gitignore::empty();
    }
    let mut builder = GitignoreBuilder::new(directory);
    for line in text.trim_start_matches('\u{feff}').lines() {
        // A pattern of another form hides nothing.
        let _ = builder.add_line(None, line);
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, FileType, mknodat};

    use super::*;
    use crate::check::walk::{LeavingLinks, Unseen, unseen, visible};

    #[test]
    fn patterns_above_the_top_and_beyond_the_limit_hide_nothing() {
        let here = tempfile::tempdir().expect("there is room");
        let top = here.path().join("top");
        for directory in ["a", "b"] {
            fs::create_dir_all(top.join(directory)).expect("there is room");
            let patterns: String = (0..MOST * 3 / 5).map(|at| format!("{at}\n")).collect();
            assert!((patterns.len() as u64) < 2 * LARGEST);
            let half = &patterns[..patterns.len().min(LARGEST as usize - 16)];
            fs::write(top.join(directory).join(NAME), format!("{half}\n*.conf\n")).expect("there is room");
        }
        fs::write(here.path().join(NAME), "*.yaml\n").expect("there is room");
        let hidden = HiddenFiles::of(&top);
        assert!(!hidden.hide(&top.join("x.yaml"), false), "the file above is another user's");
        assert!(hidden.hide(&top.join("a/x.conf"), false));
        assert!(!hidden.hide(&top.join("b/x.conf"), false), "there are too many with those of `b`");
    }

    #[test]
    fn the_deepest_pattern_decides() {
        let here = tempfile::tempdir().expect("there is room");
        let top = here.path();
        fs::create_dir_all(top.join("sub/deep")).expect("there is room");
        fs::create_dir_all(top.join(".git/info")).expect("there is room");
        fs::write(top.join(".git/info/exclude"), "*.swp\n").expect("there is room");
        let text = "\u{feff}*.log\n/top.conf\nbuild/\n\\.*\n!\\.github\n";
        fs::write(top.join(".gitignore"), text).expect("there is room");
        fs::write(top.join("sub/.gitignore"), "!keep.log\n*.swp.conf\n").expect("there is room");
        let hidden = HiddenFiles::of(top);
        for (path, is_directory, expected) in [
            ("a.log", false, true),
            ("a.conf", false, false),
            ("top.conf", false, true),
            ("sub/top.conf", false, false),
            ("sub/a.log", false, true),
            ("sub/deep/keep.log", false, false),
            ("keep.log", false, true),
            ("sub/deep/a.swp.conf", false, true),
            ("sub/deep/a.swp", false, true),
            (".env", false, true),
            (".github", true, false),
            (".github/a.yml", false, false),
            ("build", true, true),
            ("build", false, false),
        ] {
            assert_eq!(hidden.hide(&top.join(path), is_directory), expected, "{path}");
        }
    }

    #[test]
    fn a_walk_waits_for_no_file_of_patterns() {
        let here = tempfile::tempdir().expect("there is room");
        fs::create_dir_all(here.path().join(".git/info")).expect("there is room");
        fs::create_dir(here.path().join("sub")).expect("there is room");
        fs::write(here.path().join("sub/a.conf"), "").expect("there is room");
        for name in [".gitignore", ".ignore", ".rgignore", ".git/info/exclude", "sub/.gitignore", "sub/.ignore"] {
            mknodat(CWD, here.path().join(name), FileType::Fifo, 0o600.into(), 0).expect("there is room");
        }
        let below = here.path().join("sub");
        for root in [here.path(), below.as_path()] {
            let (exclude, leaving) = (Gitignore::empty(), LeavingLinks::default());
            let found = visible(root, &exclude, &leaving).filter_map(Result::ok);
            assert_eq!(found.filter(|entry| entry.path().is_file()).count(), 1, "{}", root.display());
            assert!(matches!(unseen(root, &BTreeSet::new(), &exclude, &leaving), Unseen::Unknown(1)));
        }
    }

    #[test]
    fn only_a_regular_file_of_a_limited_size_hides_files() {
        let here = tempfile::tempdir().expect("there is room");
        fs::write(here.path().join("patterns"), "*.conf\n").expect("there is room");
        let hides = |name: &str, make: &dyn Fn(&Path)| {
            let directory = here.path().join(name);
            fs::create_dir(&directory).expect("there is room");
            make(&directory.join(NAME));
            HiddenFiles::of(here.path()).hide(&directory.join("a.conf"), false)
        };
        assert!(hides("file", &|at| fs::write(at, "*.conf\n").expect("there is room")));
        assert!(!hides("link", &|at| symlink("../patterns", at).expect("there is room")));
        assert!(!hides("zero", &|at| symlink("/dev/zero", at).expect("there is room")));
        assert!(!hides("fifo", &|at| mknodat(CWD, at, FileType::Fifo, 0o600.into(), 0).expect("there is room")));
        let large = "*.conf\n".repeat(usize::try_from(LARGEST).expect("it is small") / 7 + 1);
        assert!(!hides("large", &|at| fs::write(at, &large).expect("there is room")));
        fs::create_dir_all(here.path().join(".git/info")).expect("there is room");
        symlink("/dev/zero", here.path().join(".git/info/exclude")).expect("there is room");
        assert!(!hides("exclude", &|_| {}));
    }
}
