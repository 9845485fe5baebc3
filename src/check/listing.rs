//! Objects and files of the inputs, listed without their contents. IO: reads inputs and directories.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use reload_gate_contract::{Code, Finding, Place, Span};
use reload_gate_structured::yaml::{self, Broken};
use walkdir::{DirEntry, WalkDir};

use super::input::{InputStream, STDIN};
use crate::check::manifest::{self, ConfigObject, ManifestDocument, Object, Pod, Unreadable};
use crate::redact::Redactor;

const BROKEN_MANIFEST: Code = Code::new("broken-manifest");
const INVALID_KEY: Code = Code::new("invalid-key");
const UNREADABLE_INPUT: Code = Code::new("unreadable-input");

/// Largest number of files beside a given one that it may include. A directory with more is not its own.
const BESIDE: usize = 1000;

/// Position of an object in the inputs, by which it is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    /// Index of the input.
    pub(super) input: usize,
    /// Offset of its document in bytes.
    pub(super) offset: u64,
    /// Length of that document in bytes.
    pub(super) length: usize,
    /// Number of lines before that document.
    pub(super) lines: u32,
    /// Index of the object in that document.
    pub(super) object: usize,
}

/// Files of one directory, by their paths in it.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// Files to validate.
    pub(super) files: BTreeSet<PathBuf>,
    /// Files beside them, which they may include.
    pub(super) beside: BTreeSet<PathBuf>,
}

/// All inputs.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Streams of manifests.
    pub(super) inputs: Vec<InputStream>,
    /// ConfigMaps and Secrets.
    pub(super) configs: Vec<(ConfigObject, At)>,
    /// Objects with a pod template.
    pub(super) pods: Vec<(Pod, At)>,
    /// Files that are no manifests, by the directories that they belong to.
    pub(super) directories: BTreeMap<PathBuf, Directory>,
    /// Inputs that are no manifests and have no name: standard input, a pipe.
    pub(super) nameless: Vec<usize>,
    /// Errors of the inputs themselves, by the name of the input.
    pub(super) broken: Vec<(String, Finding)>,
    /// Paths that do not exist.
    pub(super) missing: Vec<String>,
}

impl Listing {
    /// Lists what is at `paths`.
    pub(super) fn of(paths: &[String]) -> Self {
        let mut listing = Self::default();
        for name in paths {
            let path = Path::new(name);
            match () {
                () if name == STDIN || is_descriptor(path) => listing.stream(name),
                () if path.is_dir() => listing.walk(name),
                () if path.is_file() => listing.file(name, path.parent().unwrap_or(path)),
                // open(2) of a FIFO blocks until there is a writer.
                () if path.exists() => {
                    listing.unreadable(name, "it is a FIFO, socket or device; give `-` and its content");
                }
                () => listing.missing(name),
            }
        }
        for (root, directory) in &mut listing.directories {
            directory.list_beside(root);
        }
        listing
    }

    fn walk(&mut self, root: &str) {
        for entry in visible(Path::new(root)) {
            match entry {
                Ok(entry) if entry.file_type().is_file() => {
                    self.file(&entry.path().to_string_lossy(), Path::new(root));
                }
                Ok(_) => {}
                // A link that leads nowhere, or in a circle, is no file.
                Err(error) if error.loop_ancestor().is_some() || is_missing(&error) => {}
                Err(error) => {
                    let path = error.path().unwrap_or(Path::new(root)).to_string_lossy().into_owned();
                    let why = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
                    self.unreadable(&path, &why);
                }
            }
        }
    }

    /// Adds a file that belongs to the directory `root`.
    fn file(&mut self, name: &str, root: &Path) {
        let path = Path::new(name);
        let is_structured =
            path.extension().is_some_and(|end| ["json", "yaml", "yml"].iter().any(|known| end == *known));
        if is_structured {
            match InputStream::open(name) {
                Ok(input) if input.is_manifests() => return self.manifests(input),
                Ok(_) => {}
                Err(error) => return self.unreadable(name, &error.to_string()),
            }
        }
        let inside = path.strip_prefix(root).unwrap_or(path).to_owned();
        self.directories.entry(root.to_owned()).or_default().files.insert(inside);
    }

    /// Adds a stream that can be read only once.
    fn stream(&mut self, name: &str) {
        match InputStream::open(name) {
            Ok(input) if input.is_manifests() => self.manifests(input),
            Ok(input) => {
                self.nameless.push(self.inputs.len());
                self.inputs.push(input);
            }
            Err(error) => self.unreadable(name, &error.to_string()),
        }
    }

    fn missing(&mut self, name: &str) {
        let finding = Finding::environment(UNREADABLE_INPUT, "it does not exist").at(Place::file(name));
        self.broken.push((name.to_owned(), finding));
        self.missing.push(name.to_owned());
    }

    fn unreadable(&mut self, name: &str, why: &str) {
        let finding = Finding::environment(UNREADABLE_INPUT, format!("it cannot be read: {why}")).at(Place::file(name));
        self.broken.push((name.to_owned(), finding));
    }

    /// Lists the objects of a stream of manifests.
    fn manifests(&mut self, input: InputStream) {
        let index = self.inputs.len();
        for document in input.documents() {
            match document {
                Ok(document) => self.document(index, &input.name, &document),
                Err(Unreadable::Io(error)) => {
                    self.unreadable(&input.name, &error.to_string());
                    break;
                }
                Err(Unreadable::Text(finding)) => {
                    let place = finding.place.clone().map(|place| Place { file: input.name.clone(), ..place });
                    self.broken.push((input.name.clone(), Finding { place, ..*finding }));
                }
            }
        }
        self.inputs.push(input);
    }

    fn document(&mut self, input: usize, name: &str, document: &ManifestDocument) {
        let ManifestDocument { text, offset, lines } = document;
        let mut at = At { input, offset: *offset, length: text.len(), lines: *lines, object: 0 };
        for root in yaml::documents(text) {
            let yaml::Document { root, repeated } = match root {
                Ok(parsed) => parsed,
                Err(broken) => {
                    self.broken.push((name.to_owned(), broken_manifest(name, document, &broken)));
                    continue;
                }
            };
            // An API server rejects them, and nothing says which of the two is meant.
            let twice = repeated.iter().map(|key| broken_manifest(name, document, &yaml::twice(key)));
            self.broken.extend(twice.map(|finding| (name.to_owned(), finding)));
            for node in manifest::objects(root) {
                match Object::read(&node) {
                    Object::Config(config) => self.config(name, config, at),
                    Object::Pod(pod) => self.pods.push((*pod, at)),
                    Object::Other => {}
                }
                at.object += 1;
            }
        }
    }
}

impl Listing {
    /// Adds a ConfigMap or Secret, without keys that would be no files of its own directory.
    fn config(&mut self, name: &str, mut config: ConfigObject, at: At) {
        let line = config.line.saturating_add(at.lines);
        let (keys, others) = std::mem::take(&mut config.keys).into_iter().partition(|key| is_key(key));
        config.keys = keys;
        self.broken.extend(Vec::<String>::into_iter(others).map(|key| {
            let message = format!("{} has the key `{key}`, which the API server rejects", config.id);
            let help = "a key has letters, digits, `-`, `_` and `.`, and is neither `.` nor `..`";
            (name.to_owned(), Finding::error(INVALID_KEY, message).at(Place::line(name, line)).help(help))
        }));
        self.configs.push((config, at));
    }
}

/// Returns true if a name may be a key of a ConfigMap or Secret (`IsConfigMapKey()` in Kubernetes' apimachinery).
fn is_key(key: &str) -> bool {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !key.is_empty() && key.len() <= 253 && key.chars().all(is_fit) && key != "." && !key.starts_with("..")
}

impl Directory {
    fn list_beside(&mut self, root: &Path) {
        let mut beside = BTreeSet::new();
        for entry in visible(root).flatten().filter(|entry| entry.file_type().is_file()) {
            if beside.len() >= BESIDE {
                return;
            }
            let below = if root.as_os_str().is_empty() { Path::new(".") } else { root };
            let inside = entry.path().strip_prefix(below).unwrap_or(entry.path()).to_owned();
            if !self.files.contains(&inside) {
                beside.insert(inside);
            }
        }
        self.beside = beside;
    }
}

/// Returns true if a path names a descriptor of this process: `/dev/stdin`, and `/dev/fd/63` as shells make it of `<(helm template …)`.
fn is_descriptor(path: &Path) -> bool {
    path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd") || path == Path::new("/dev/stdin")
}

fn is_missing(error: &walkdir::Error) -> bool {
    error.io_error().is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// Returns the entries of a directory and below it, sorted, without hidden ones.
fn visible(root: &Path) -> impl Iterator<Item = walkdir::Result<DirEntry>> {
    let is_hidden = |entry: &DirEntry| {
        let name = entry.file_name().as_encoded_bytes();
        entry.depth() > 0 && (name.starts_with(b".") || name == b"node_modules")
    };
    let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    WalkDir::new(root).follow_links(true).sort_by_file_name().into_iter().filter_entry(move |entry| !is_hidden(entry))
}

fn broken_manifest(name: &str, document: &ManifestDocument, broken: &Broken) -> Finding {
    let offset = usize::try_from(document.offset).unwrap_or(usize::MAX);
    let span = Span { start: broken.span.start.saturating_add(offset), end: broken.span.end.saturating_add(offset) };
    let line = Some(broken.line.saturating_add(document.lines));
    let place = Place { line, column: Some(broken.column), span: Some(span), ..Place::file(name) };
    let finding = Finding::error(BROKEN_MANIFEST, broken.message.clone()).at(place);
    // The message may quote the text, and the text may be of a Secret.
    let finding = if document.text.contains("Secret") {
        Redactor::new([document.text.as_bytes()]).redact(finding)
    } else {
        finding
    };
    if document.text.contains("{{") {
        return finding
            .help("it looks like a template: render it first, as by `helm template CHART | reload-gate check -`");
    }
    finding
}
