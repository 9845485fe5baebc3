//! What is given: objects and files, listed without their contents. IO: reads inputs and directories.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use reload_gate_contract::{Code, Finding, Place, Span};
use reload_gate_structured::yaml::{self, Broken};
use walkdir::{DirEntry, WalkDir};

use super::input::{Input, STDIN};
use crate::check::manifest::{self, Config, Document, Object, Pod, Unreadable};
use crate::redact::Redactor;

const BROKEN_MANIFEST: Code = Code::new("broken-manifest");
const INVALID_KEY: Code = Code::new("invalid-key");
const UNREADABLE_INPUT: Code = Code::new("unreadable-input");

/// So many files beside one that was given may be included by it; where there are more, the directory is none of its own.
const BESIDE: usize = 1000;

/// Where an object is written: enough to find it again, so that its contents need not be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    /// Which of the inputs.
    pub(super) input: usize,
    /// Where its document begins in it, in bytes.
    pub(super) offset: u64,
    /// How long that document is, in bytes.
    pub(super) length: usize,
    /// How many lines come before that document.
    pub(super) lines: u32,
    /// Which of the objects of that document it is.
    pub(super) object: usize,
}

/// Files of one directory, by their paths in it.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// Those that are to be judged.
    pub(super) files: BTreeSet<PathBuf>,
    /// Those that lie beside them and may be included.
    pub(super) beside: BTreeSet<PathBuf>,
}

/// All that is given.
#[derive(Debug, Default)]
pub struct Listing {
    /// The streams of manifests.
    pub(super) inputs: Vec<Input>,
    /// ConfigMaps and Secrets.
    pub(super) configs: Vec<(Config, At)>,
    /// What has a pod template.
    pub(super) pods: Vec<(Pod, At)>,
    /// Files that are no manifests, by the directories that they belong to.
    pub(super) directories: BTreeMap<PathBuf, Directory>,
    /// Which input is no manifest and has no name: standard input, a pipe.
    pub(super) nameless: Vec<usize>,
    /// What is wrong with the inputs themselves, by the name of the input.
    pub(super) broken: Vec<(String, Finding)>,
    /// What was given and is not there.
    pub(super) missing: Vec<String>,
}

impl Listing {
    /// Lists what is at `paths`.
    pub fn of(paths: &[String]) -> Self {
        let mut listing = Self::default();
        for name in paths {
            let path = Path::new(name);
            match () {
                () if name == STDIN || is_descriptor(path) => listing.stream(name),
                () if path.is_dir() => listing.walk(name),
                () if path.is_file() => listing.file(name, path.parent().unwrap_or(path)),
                // To open it might take for ever.
                () if path.exists() => {
                    listing.unreadable(name, "it is a FIFO, socket or device; give `-` and its content");
                }
                () => listing.missing(name),
            }
        }
        for (root, directory) in &mut listing.directories {
            directory.look_beside(root);
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

    /// Takes in a file that belongs to the directory `root`.
    fn file(&mut self, name: &str, root: &Path) {
        let path = Path::new(name);
        let is_structured =
            path.extension().is_some_and(|end| ["json", "yaml", "yml"].iter().any(|known| end == *known));
        if is_structured {
            match Input::open(name) {
                Ok(input) if input.is_manifests() => return self.manifests(input),
                Ok(_) => {}
                Err(error) => return self.unreadable(name, &error.to_string()),
            }
        }
        let inside = path.strip_prefix(root).unwrap_or(path).to_owned();
        self.directories.entry(root.to_owned()).or_default().files.insert(inside);
    }

    /// Takes in what can be read only once.
    fn stream(&mut self, name: &str) {
        match Input::open(name) {
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
    fn manifests(&mut self, input: Input) {
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

    fn document(&mut self, input: usize, name: &str, document: &Document) {
        let Document { text, offset, lines } = document;
        let mut at = At { input, offset: *offset, length: text.len(), lines: *lines, object: 0 };
        for root in yaml::documents(text) {
            let yaml::Document { root, repeated } = match root {
                Ok(parsed) => parsed,
                Err(broken) => {
                    self.broken.push((name.to_owned(), broken_manifest(name, document, &broken)));
                    continue;
                }
            };
            // An API server refuses them, and which of the two is meant nobody knows.
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
    /// Takes in a ConfigMap or Secret, but for keys that would be no files of its own directory.
    fn config(&mut self, name: &str, mut config: Config, at: At) {
        let line = config.line.saturating_add(at.lines);
        let (keys, others) = std::mem::take(&mut config.keys).into_iter().partition(|key| is_key(key));
        config.keys = keys;
        self.broken.extend(Vec::<String>::into_iter(others).map(|key| {
            let message = format!("{} has the key `{key}`, which no API server takes", config.id);
            let help = "a key has letters, digits, `-`, `_` and `.`, and is neither `.` nor `..`";
            (name.to_owned(), Finding::error(INVALID_KEY, message).at(Place::line(name, line)).help(help))
        }));
        self.configs.push((config, at));
    }
}

/// Whether a name may be a key of a ConfigMap or Secret (`IsConfigMapKey()` in Kubernetes' apimachinery).
fn is_key(key: &str) -> bool {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !key.is_empty() && key.len() <= 253 && key.chars().all(is_fit) && key != "." && !key.starts_with("..")
}

impl Directory {
    fn look_beside(&mut self, root: &Path) {
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

/// Whether a path names what the process has open already: `/dev/stdin`, and `/dev/fd/63` as shells make it of `<(helm template …)`.
fn is_descriptor(path: &Path) -> bool {
    path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd") || path == Path::new("/dev/stdin")
}

fn is_missing(error: &walkdir::Error) -> bool {
    error.io_error().is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// What is in a directory and below it, sorted, but for what is hidden there.
fn visible(root: &Path) -> impl Iterator<Item = walkdir::Result<DirEntry>> {
    let is_hidden = |entry: &DirEntry| {
        let name = entry.file_name().as_encoded_bytes();
        entry.depth() > 0 && (name.starts_with(b".") || name == b"node_modules")
    };
    let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    WalkDir::new(root).follow_links(true).sort_by_file_name().into_iter().filter_entry(move |entry| !is_hidden(entry))
}

fn broken_manifest(name: &str, document: &Document, broken: &Broken) -> Finding {
    let offset = usize::try_from(document.offset).unwrap_or(usize::MAX);
    let span = Span { start: broken.span.start.saturating_add(offset), end: broken.span.end.saturating_add(offset) };
    let line = Some(broken.line.saturating_add(document.lines));
    let place = Place { line, column: Some(broken.column), span: Some(span), ..Place::file(name) };
    let finding = Finding::error(BROKEN_MANIFEST, broken.message.clone()).at(place);
    // What is wrong may be quoted, and what it is of nobody knows.
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
