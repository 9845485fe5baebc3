//! The world as a validator may see it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Reason why a file cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Absent {
    /// It is known not to exist: it lies in a directory that is wholly among the inputs, and is not there.
    Missing,
    /// Nothing is known about that place: it may well exist where the program runs (in its image, say).
    Unknown,
    /// It exists, but is a directory.
    Directory,
}

/// Files that a configuration may name, by the paths under which the program would open them.
///
/// Paths are absolute and `/`-separated. An implementation resolves nothing by itself (`.`, `..` and relative
/// paths are the validator's
/// business, since each program has rules of its own), and is asked for the same path any number of times.
pub trait Files {
    /// The contents of the file at `path`.
    ///
    /// # Errors
    /// The reason why the file cannot be read.
    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, Absent>;

    /// The paths of all known entries directly in `directory` (with no trailing slash, `""` is the root),
    /// sorted by their bytes, whole paths: files, and what else is known to lie there, such as directories.
    ///
    /// # Errors
    /// [`Absent::Unknown`] where that directory is not among the inputs, so that nothing is known about
    /// what it holds.
    fn list(&self, directory: &str) -> Result<Vec<Cow<'_, str>>, Absent>;

    /// The paths of all known directories directly in `directory`, sorted by their bytes, whole paths. Without it
    /// a wildcard in the name of a directory means unknown files.
    ///
    /// # Errors
    /// [`Absent::Unknown`] where that directory is not among the inputs.
    fn directories(&self, directory: &str) -> Result<Vec<Cow<'_, str>>, Absent> {
        let _ = directory;
        Err(Absent::Unknown)
    }
}

/// Files held in memory: path to contents. A directory that holds at least one of them (directly or deeper) is
/// wholly known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryFiles {
    files: BTreeMap<String, Vec<u8>>,
    /// Directories that may be empty.
    directories: BTreeSet<String>,
}

impl MemoryFiles {
    /// The same files, and a directory that is known even if it is empty.
    #[must_use]
    pub fn with_directory(mut self, path: impl Into<String>) -> Self {
        self.directories.insert(path.into());
        self
    }

    fn holds(&self, directory: &str) -> bool {
        let prefix = format!("{directory}/");
        let below = |path: &String| path.starts_with(&prefix);
        self.directories.contains(directory)
            || self.files.range(prefix.clone()..).next().is_some_and(|(path, _)| below(path))
            || self.directories.range(prefix.clone()..).next().is_some_and(below)
    }
}

impl<P: Into<String>, C: Into<Vec<u8>>> FromIterator<(P, C)> for MemoryFiles {
    fn from_iter<I: IntoIterator<Item = (P, C)>>(files: I) -> Self {
        let files = files.into_iter().map(|(path, contents)| (path.into(), contents.into())).collect();
        Self { files, directories: BTreeSet::new() }
    }
}

impl Files for MemoryFiles {
    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, Absent> {
        if let Some(contents) = self.files.get(path) {
            return Ok(Cow::Borrowed(contents));
        }
        if self.holds(path) {
            return Err(Absent::Directory);
        }
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        Err(if self.holds(parent) { Absent::Missing } else { Absent::Unknown })
    }

    fn list(&self, directory: &str) -> Result<Vec<Cow<'_, str>>, Absent> {
        if !self.holds(directory) {
            return Err(Absent::Unknown);
        }
        let prefix = format!("{directory}/");
        let inside =
            self.files.range(prefix.clone()..).map(|(path, _)| path).take_while(|path| path.starts_with(&prefix));
        let files = inside.filter(|path| !path[prefix.len()..].contains('/')).map(|path| Cow::Borrowed(path.as_str()));
        let mut entries: Vec<_> = files.chain(self.directories(directory)?).collect();
        entries.sort();
        Ok(entries)
    }

    fn directories(&self, directory: &str) -> Result<Vec<Cow<'_, str>>, Absent> {
        if !self.holds(directory) {
            return Err(Absent::Unknown);
        }
        let prefix = format!("{directory}/");
        let below = |path: &&String| path.starts_with(&prefix);
        let files = self.files.range(prefix.clone()..).map(|(path, _)| path).take_while(below);
        let of_files = files.filter_map(|path| {
            let (name, _) = path[prefix.len()..].split_once('/')?;
            Some(&path[..prefix.len() + name.len()])
        });
        let own = self.directories.range(prefix.clone()..).take_while(below).map(|path| {
            let name = path[prefix.len()..].split('/').next().unwrap_or_default();
            &path[..prefix.len() + name.len()]
        });
        Ok(of_files.chain(own).collect::<BTreeSet<_>>().into_iter().map(Cow::Borrowed).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> MemoryFiles {
        [("/etc/nginx/nginx.conf", "a"), ("/etc/nginx/conf.d/b.conf", "b"), ("/etc/nginx/conf.d/a.conf", "")]
            .into_iter()
            .collect()
    }

    #[test]
    fn a_known_directory_is_known_to_lack_what_it_lacks() {
        assert_eq!(files().read("/etc/nginx/nginx.conf").as_deref(), Ok(b"a".as_slice()));
        assert_eq!(files().read("/etc/nginx/mime.types"), Err(Absent::Missing));
        assert_eq!(files().read("/etc/nginx/conf.d"), Err(Absent::Directory));
        assert_eq!(files().read("/etc/ssl/x.pem"), Err(Absent::Unknown));
    }

    #[test]
    fn a_listing_is_sorted_and_not_deep() {
        let files = files();
        let listed = files.list("/etc/nginx/conf.d").expect("it is known");
        assert_eq!(listed, ["/etc/nginx/conf.d/a.conf", "/etc/nginx/conf.d/b.conf"]);
        assert_eq!(files.list("/etc/nginx").expect("it is known"), ["/etc/nginx/conf.d", "/etc/nginx/nginx.conf"]);
        assert_eq!(files.list("/srv"), Err(Absent::Unknown));
    }

    #[test]
    fn an_empty_directory_is_known() {
        let files = files().with_directory("/etc/nginx/sites/empty");
        assert_eq!(files.read("/etc/nginx/sites"), Err(Absent::Directory));
        assert_eq!(files.list("/etc/nginx/sites/empty").as_deref(), Ok([].as_slice()));
        assert_eq!(
            files.directories("/etc/nginx").as_deref(),
            Ok(["/etc/nginx/conf.d".into(), "/etc/nginx/sites".into()].as_slice())
        );
        assert_eq!(files.directories("/srv"), Err(Absent::Unknown));
    }
}
