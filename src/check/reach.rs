//! Selection of the files that a configuration names, so that no other file is read or copied. Pure: a function reads the files.

use std::collections::{BTreeSet, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::sys::lexical::without_dots;

/// Longest word that may be a path (`PATH_MAX` of Linux).
const LONGEST: usize = 4096;

/// Limit of the files that are compared with patterns and directories. Words that name a directory again and again would be compared with its
/// files as often. Beyond it all files count as reached.
const MOST: usize = 2_000_000;

/// Extensions that names in a configuration may leave out, as in an `import` of Python.
const OMITTED: [&str; 2] = ["py", "lua"];

/// True for each byte between two words.
const BETWEEN: [bool; 256] = {
    let mut between = [false; 256];
    let bytes = b" \t\n\x0c\r\"'`;{}()[]<>,=:|\0";
    let mut at = 0;
    while at < bytes.len() {
        between[bytes[at] as usize] = true;
        at += 1;
    }
    between
};

/// Returns the files of `files` that are reached from `start`: those that its text names, and those that their texts name. `read` gives
/// the text of a file. Names are relative to the directory of the file they are in, to that of the first file, or to `above`.
pub(super) fn reachable(
    files: &BTreeSet<PathBuf>,
    start: &[PathBuf],
    texts: &[(PathBuf, Vec<u8>)],
    above: Option<&Path>,
    read: &mut dyn FnMut(&Path) -> Option<Vec<u8>>,
) -> BTreeSet<PathBuf> {
    let home = start.first().and_then(|main| main.parent()).unwrap_or(Path::new("/"));
    let (names, above) = (names(files), above.unwrap_or(home));
    let mut reach = Reach { files, names, home, above, found: BTreeSet::new(), queue: Vec::new(), left: MOST };
    start.iter().for_each(|path| reach.below(path));
    for (path, text) in texts {
        reach.words(path, text);
    }
    while let Some(path) = reach.queue.pop() {
        if reach.found.len() == files.len() {
            break;
        }
        if let Some(text) = read(&path) {
            reach.words(&path, &text);
        }
    }
    reach.found
}

/// Returns the names that a word may end with: those of files and their directories, and those of files without their extension.
fn names(files: &BTreeSet<PathBuf>) -> HashSet<&[u8]> {
    let stems = files.iter().filter_map(|path| path.file_stem());
    let parts = files.iter().flat_map(|path| path.iter());
    parts.chain(stems).map(OsStrExt::as_bytes).collect()
}

struct Reach<'f> {
    files: &'f BTreeSet<PathBuf>,
    /// Names that a word may end with.
    names: HashSet<&'f [u8]>,
    /// Directory of the main file.
    home: &'f Path,
    /// Directory of the main file that includes the first one.
    above: &'f Path,
    found: BTreeSet<PathBuf>,
    queue: Vec<PathBuf>,
    /// Comparisons that are left.
    left: usize,
}

impl Reach<'_> {
    /// Follows the words of a text.
    fn words(&mut self, path: &Path, text: &[u8]) {
        let mut seen = HashSet::new();
        // A bracket may be of a glob as well, so a word is looked up without it.
        for word in text.split(|byte| BETWEEN[usize::from(*byte)]) {
            let is_path = self.may_be_path(word) && seen.insert(word);
            let Some(word) = std::str::from_utf8(word).ok().filter(|_| is_path) else { continue };
            let directory = path.parent().unwrap_or(Path::new("/"));
            for base in BTreeSet::from([directory, self.home, self.above]) {
                self.word(&without_dots(&base.join(word)), word);
            }
            if self.found.len() == self.files.len() {
                return;
            }
        }
    }

    /// Returns false for a word that names nothing among the files, as nearly all do.
    fn may_be_path(&self, word: &[u8]) -> bool {
        let last = word.rsplit(|byte| *byte == b'/').find(|part| !part.is_empty()).unwrap_or_default();
        let stem = || last.rsplitn(2, |byte| *byte == b'.').last().unwrap_or_default();
        let names_some = || self.names.contains(last) || self.names.contains(stem());
        let is_special = || matches!(last, b"" | b"." | b"..") || word.iter().any(|byte| matches!(byte, b'*' | b'?'));
        (1..=LONGEST).contains(&word.len()) && (names_some() || is_special())
    }

    fn word(&mut self, path: &Path, word: &str) {
        if let Some(at) = path.to_str().and_then(|text| text.find(['*', '?'])) {
            // A star alone has many meanings besides that of a pattern.
            if word.len() > 1 {
                self.matching(path, at);
            }
        } else if self.files.contains(path) {
            self.add(path.to_owned());
        } else {
            if word.contains('/') && !self.home.starts_with(path) {
                self.below(path);
            }
            for extension in OMITTED {
                let path = path.with_extension(extension);
                if self.files.contains(&path) {
                    self.add(path);
                }
            }
        }
    }

    /// Adds the files that fit a pattern with its first wildcard at `at`, or that may fit it.
    fn matching(&mut self, pattern: &Path, at: usize) {
        let pattern = pattern.to_string_lossy().into_owned();
        let directory = PathBuf::from(&pattern[..pattern[..at].rfind('/').map_or(0, |slash| slash + 1)]);
        let is_deep = pattern[at..].contains('/');
        let ending = pattern.rsplit(['*', '?']).next().unwrap_or_default().to_owned();
        let fits = |path: &&PathBuf| {
            (is_deep || path.parent() == Some(&directory)) && path.to_string_lossy().ends_with(&ending)
        };
        self.inside(&directory, fits);
    }

    /// Adds a file, or all files of a directory.
    fn below(&mut self, path: &Path) {
        self.inside(path, |_| true);
    }

    /// Adds the files below `directory` that fit.
    fn inside(&mut self, directory: &Path, fits: impl Fn(&&PathBuf) -> bool) {
        let range = self.files.range(directory.to_owned()..).take_while(|file| file.starts_with(directory));
        let range = range.inspect(|_| self.left = self.left.saturating_sub(1));
        let new: Vec<PathBuf> = range.filter(|file| !self.found.contains(*file)).filter(fits).cloned().collect();
        new.into_iter().for_each(|path| self.add(path));
        if self.left == 0 {
            self.files.iter().for_each(|path| self.add(path.clone()));
        }
    }

    fn add(&mut self, path: PathBuf) {
        if self.found.insert(path.clone()) {
            self.queue.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_reached(text: &str, expected: &[&str]) {
        let names =
            ["/e/main.conf", "/e/conf.d/a.conf", "/e/conf.d/b.txt", "/e/deep/x/c.conf", "/e/settings.py", "/o/big.bin"];
        let files = names.iter().map(PathBuf::from).collect();
        let mut read =
            |path: &Path| Some(if path.ends_with("main.conf") { text.as_bytes().to_vec() } else { Vec::new() });
        let found = reachable(&files, &["/e/main.conf".into()], &[], None, &mut read);
        let found: Vec<_> =
            found.iter().filter(|path| !path.ends_with("main.conf")).filter_map(|path| path.to_str()).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn words_that_name_a_directory_again_and_again_are_compared_so_often_and_not_more() {
        let files: BTreeSet<_> =
            (0..2_000).map(|at| PathBuf::from(format!("/e/o/{at}"))).chain(["/x/y".into()]).collect();
        let directories: String = (0..20_000).map(|at| format!("x{at}/../o/ ")).collect();
        let patterns: String = (0..20_000).map(|at| format!("o/*a{at} ")).collect();
        for text in [directories, patterns] {
            let mut looks = 0;
            let mut read = |path: &Path| {
                looks += 1;
                (path == Path::new("/e/main.conf")).then(|| text.clone().into_bytes())
            };
            let texts = [(PathBuf::from("/e/main.conf"), text.clone().into_bytes())];
            let found = reachable(&files, &["/e/main.conf".into()], &texts, None, &mut read);
            assert_eq!(found.len(), files.len(), "beyond the limit all are reached");
            assert!(looks <= files.len() + 1);
        }
    }

    #[test]
    fn named_files_are_reached_and_no_others() {
        assert_reached("include conf.d/*.conf;", &["/e/conf.d/a.conf"]);
        assert_reached("include \"/e/conf.d/b.txt\"", &["/e/conf.d/b.txt"]);
        assert_reached("templates: [./deep/*/c.conf]", &["/e/deep/x/c.conf"]);
        assert_reached("-f ../e/conf.d/", &["/e/conf.d/a.conf", "/e/conf.d/b.txt"]);
        assert_reached("import settings", &["/e/settings.py"]);
        assert_reached("import settings.first", &["/e/settings.py"]);
        assert_reached("-f ../e/deep/x/..// -g conf.d/../../o/.", &["/e/deep/x/c.conf", "/o/big.bin"]);
        assert_reached("root /; allow *; a: / b", &[]);
    }
}
