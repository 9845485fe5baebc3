//! Directories outside of the sources to which links lead. What the configuration includes from them is content, as `conf.d/*.conf` behind
//! a link `conf.d` is, and so are certificates. Of all else, such as modules, logs or pages, the link itself counts. IO: reads files.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::{Dir, ReadResult, SourceReader};
use crate::flow::named::{self, NamedWord};
use crate::flow::tree::EntryWithoutContent;

/// Number of paths that one directory is searched for.
const PATHS: usize = 1000;
/// Number of steps of such a path.
const STEPS: usize = 8;

/// A directory to which a link leads.
pub(super) struct LinkedDirectory {
    /// The link.
    pub(super) path: PathBuf,
    /// The directory, without links.
    pub(super) real: PathBuf,
    /// The name of the link in the tree.
    pub(super) name: PathBuf,
    /// The directory of the link.
    pub(super) from: Dir,
    /// The user who owns the link.
    pub(super) owner: u32,
}

/// A path below a directory; no step means all of its files.
type Steps = Vec<Step>;

/// One step of a path that a configuration names.
#[derive(Clone, Debug)]
enum Step {
    Name(OsString),
    Pattern(GlobMatcher),
}

/// A place below a linked directory.
struct Place {
    path: PathBuf,
    real: PathBuf,
    name: PathBuf,
}

impl Place {
    fn child(&self, entry: &Path) -> Self {
        Self { path: self.path.join(entry), real: self.real.join(entry), name: self.name.join(entry) }
    }
}

impl SourceReader<'_> {
    /// Reads what the configuration names in linked directories, until that names nothing more.
    pub(super) fn linked_directories(&mut self) -> ReadResult {
        let mut linked = Vec::new();
        loop {
            linked.append(&mut self.linked);
            let before = self.tree.len();
            for directory in &linked {
                self.linked_directory(directory)?;
            }
            if self.tree.len() == before && self.linked.is_empty() {
                break;
            }
        }
        for LinkedDirectory { path, name, from, .. } in &linked {
            // With a file below it the name is a directory in any copy.
            if !self.tree.keys().any(|file| file.starts_with(name)) {
                self.name_only(path, name, from);
                self.tree.note(name.clone(), EntryWithoutContent::Directory);
            }
        }
        Ok(())
    }

    fn linked_directory(&mut self, directory: &LinkedDirectory) -> ReadResult {
        let Some(entry) = directory.name.file_name().and_then(|name| name.to_str()) else { return Ok(()) };
        let mut paths: Vec<(String, Steps)> = Vec::new();
        for content in self.tree.values() {
            for NamedWord { text, is_include } in named::words(content) {
                for rest in below(text, entry, is_include) {
                    if paths.len() < PATHS && !paths.iter().any(|(known, _)| known == rest) {
                        paths.push((rest.to_owned(), steps(rest)));
                    }
                }
            }
        }
        let place = Place { path: directory.path.clone(), real: directory.real.clone(), name: directory.name.clone() };
        for (_, steps) in paths.iter().filter(|(_, steps)| steps.len() <= STEPS) {
            self.named_below(directory, &place, steps)?;
        }
        if !paths.is_empty()
            && let Ok(target) = directory.path.read_link()
        {
            self.watch_points.anchor(&directory.from.path.join(target));
        }
        Ok(())
    }

    /// Reads the files that `steps` lead to from `place`.
    fn named_below(&mut self, directory: &LinkedDirectory, place: &Place, steps: &[Step]) -> ReadResult {
        let (step, rest) = steps.split_first().map_or((None, &[][..]), |(step, rest)| (Some(step), rest));
        let entries = match step {
            Some(Step::Name(name)) => {
                self.watch_points.file(&place.real, name);
                vec![name.clone()]
            }
            // A pattern means no hidden file (glob(7)).
            Some(Step::Pattern(pattern)) => {
                self.entries(place, |name| !name.as_encoded_bytes().starts_with(b".") && pattern.is_match(name))
            }
            None => self.entries(place, |_| true),
        };
        for entry in entries {
            let below = place.child(Path::new(&entry));
            let is_left_out = self.options.selection.excludes(&below.name) || self.tree.contains_key(&below.name);
            if is_left_out {
                continue;
            }
            let Some(real) = self.unless_absent(&below.path, below.path.canonicalize()) else { continue };
            match (real.is_dir(), rest.is_empty()) {
                (true, false) => self.named_below(directory, &Place { real, ..below }, rest)?,
                (false, true) => self.linked_file(directory, &Place { real, ..below })?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns the wanted names in a directory, and watches it.
    fn entries(&mut self, place: &Place, is_wanted: impl Fn(&OsString) -> bool) -> Vec<OsString> {
        self.watch_points.plain(&place.real);
        let listed = std::fs::read_dir(&place.real).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
        let entries = self.unless_absent(&place.real, listed).unwrap_or_default();
        let names = entries.into_iter().map(|entry| entry.file_name());
        let mut names: Vec<_> = names.filter(|name| !super::is_litter(name) && is_wanted(name)).collect();
        names.sort();
        names
    }

    /// Returns what was read at a path that the configuration names, or `None` if there is nothing. Any other failure is reported: the
    /// application may be able to read there.
    fn unless_absent<T>(&mut self, path: &Path, read: std::io::Result<T>) -> Option<T> {
        use std::io::ErrorKind::{NotADirectory, NotFound};
        let is_absent = |error: &std::io::Error| matches!(error.kind(), NotFound | NotADirectory);
        let is_loop = |error: &std::io::Error| error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
        match read {
            Ok(read) => return Some(read),
            Err(error) if is_absent(&error) || is_loop(&error) => {}
            Err(error) => self.unreadable(path, &error, false),
        }
        None
    }

    fn linked_file(&mut self, directory: &LinkedDirectory, place: &Place) -> ReadResult {
        match self.roots.iter().position(|root| place.real.starts_with(&root.path)) {
            Some(index) => self.inside(index, &place.real, &place.name, &directory.from),
            None => self.outside(&place.path, &place.real, &place.name, (&directory.from, directory.owner)),
        }
    }
}

/// Extensions of certificates and keys, which any directive may name.
const CERTIFICATES: [&str; 4] = [".pem", ".crt", ".cer", ".key"];

/// Returns the parts of a word behind a step that is called `entry`, if they are configuration: an include, where a word that ends with that
/// step means the whole directory; a pattern of files; or a certificate.
fn below<'w>(word: &'w str, entry: &str, is_include: bool) -> impl Iterator<Item = &'w str> {
    let ends = word.match_indices('/').map(|(at, _)| at).chain([word.len()]);
    let is_entry = move |end: usize| word[..end].rsplit('/').next() == Some(entry);
    let rest = move |end: usize| word[end..].trim_matches('/');
    let is_read = move |rest: &&str| {
        is_include || is_pattern(rest) || CERTIFICATES.iter().any(|extension| rest.ends_with(extension))
    };
    ends.filter(move |end| is_entry(*end)).map(rest).filter(is_read)
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

fn steps(rest: &str) -> Steps {
    let step = |text: &str| match is_pattern(text) {
        true => GlobBuilder::new(text)
            .build()
            .map_or_else(|_| Step::Name(text.into()), |glob| Step::Pattern(glob.compile_matcher())),
        false => Step::Name(text.into()),
    };
    rest.split('/').filter(|step| !matches!(*step, "" | "." | "..")).map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_below_a_directory_are_those_behind_its_name() {
        let found = |word, is_include| below(word, "conf.d", is_include).collect::<Vec<_>>();
        assert_eq!(found("/etc/nginx/conf.d/*.conf", true), ["*.conf"]);
        assert_eq!(found("conf.d/a/b.conf", true), ["a/b.conf"]);
        assert_eq!(found("/etc/prometheus/conf.d/*.yml", false), ["*.yml"]);
        assert_eq!(found("conf.d/tls.key", false), ["tls.key"]);
        assert!(found("conf.d/mod.so", false).is_empty(), "a module is no configuration");
        assert_eq!(found("/etc/app/conf.d", true), [""]);
        assert_eq!(found("/etc/app/conf.d/", true), [""]);
        assert!(found("/srv/conf.d", false).is_empty());
        assert!(found("/etc/conf.d.old/x", true).is_empty());
    }
}
