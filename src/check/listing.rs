//! Objects and files of the inputs, listed without their contents. IO: reads inputs and directories.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use reload_gate_contract::{Code, Finding, Place, Severity, Span};
use reload_gate_structured::yaml::{self, Broken, Node};

use super::baseline::relative;
use super::charts::{self, CHART, TEMPLATE};
use super::encoding;
use super::fix::Overlay;
use super::ignores::{self, IgnoreComment, IgnoreRule};
use super::input::{InputStream, STDIN};
use super::objects::GivenObject;
use super::overlap::{outer_first, real};
use super::placeholder::{self, Dialect};
use super::store::DocumentMark;
use super::walk::{LeavingLinks, MOST_COUNTED, Unseen, leaves_repository, unseen, visible};
use crate::check::manifest::{
    self, ConfigKey, ConfigObject, ManifestDocument, Object, Pod, RepeatedKey, RulesObject, Snippet, Unreadable,
    VerbatimValue,
};
use crate::check::render::{CheckSubject, Unchecked};
use crate::redact::Redactor;

const BROKEN_MANIFEST: Code = Code::new("broken-manifest");
const INVALID_KEY: Code = Code::new("invalid-key");
const UNREADABLE_INPUT: Code = Code::new("unreadable-input");

/// Largest number of files beside a given one that it may include. A directory with more is not its own.
const BESIDE: usize = 1000;

/// Largest file in bytes that is read. A gate reads 16 MiB at most, and Kubernetes objects have 1.5 MiB.
pub(super) const LARGEST: u64 = 64 << 20;

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
    /// Mark of the text of that document.
    pub(super) mark: DocumentMark,
}

/// Files of one directory, by their paths in it.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// Files to validate.
    pub(super) files: BTreeSet<PathBuf>,
    /// Files beside them, which they may include.
    pub(super) beside: BTreeSet<PathBuf>,
    /// Directories without any file.
    pub(super) empty: BTreeSet<PathBuf>,
}

/// All inputs.
#[derive(Debug, Default)]
pub struct Listing {
    /// Paths as they were given.
    pub(super) paths: Vec<String>,
    /// Streams of manifests.
    pub(super) inputs: Vec<InputStream>,
    /// ConfigMaps and Secrets.
    pub(super) configs: Vec<(ConfigObject, At)>,
    /// Objects with a pod template.
    pub(super) pods: Vec<(Pod, At)>,
    /// PrometheusRules.
    pub(super) rules: Vec<(RulesObject, At)>,
    /// Snippets of nginx configuration in objects of its controllers.
    pub(super) snippets: Vec<(Snippet, At)>,
    /// Files that are no manifests, by the directories that they belong to.
    pub(super) directories: BTreeMap<PathBuf, Directory>,
    /// Inputs that are no manifests and have no name: standard input, a pipe.
    pub(super) nameless: Vec<usize>,
    /// Errors of the inputs themselves, by the name of the input.
    pub(super) broken: Vec<(String, Finding)>,
    /// Comments in manifests that ignore findings, by the index of the input.
    pub(super) ignores: Vec<(usize, IgnoreComment)>,
    /// Parts that are not read, with the reason.
    pub(super) skipped: Vec<Unchecked>,
    /// Paths that do not exist.
    pub(super) missing: Vec<String>,
    /// True if there is any manifest.
    pub(super) has_manifests: bool,
    /// Texts in place of those of files.
    pub(super) texts: Overlay,
    /// The ConfigMaps and Secrets, if they are in memory and not in a manifest.
    pub(super) given: Vec<GivenObject>,
    /// Charts with templates that are not read, by their real paths.
    pub(super) charts: BTreeMap<PathBuf, PathBuf>,
    /// Names of the files that are listed, by their paths without links in that of the argument. Arguments may overlap.
    pub(super) listed: BTreeMap<PathBuf, String>,
}

impl Listing {
    /// Lists what is at `paths`, without what the patterns `exclude` match, in the syntax of `.gitignore`.
    ///
    /// # Errors
    /// The first invalid pattern, with the reason.
    pub fn of(paths: &[String], exclude: &[String]) -> Result<Self, (String, String)> {
        Self::with_texts(paths, exclude, Overlay::new())
    }

    /// Lists the same with texts in place of those of some files.
    pub(super) fn with_texts(paths: &[String], exclude: &[String], texts: Overlay) -> Result<Self, (String, String)> {
        let exclude = exclusion(exclude)?;
        let mut listing = Self { paths: paths.to_vec(), texts, ..Self::default() };
        for name in outer_first(paths) {
            listing.argument(name, &exclude);
        }
        for (root, directory) in &mut listing.directories {
            directory.list_beside(root);
        }
        let unrendered = std::mem::take(&mut listing.charts);
        listing.skipped.extend(unrendered.values().map(|chart| charts::unrendered(chart)));
        Ok(listing)
    }

    /// Lists what is at one argument.
    fn argument(&mut self, name: &str, exclude: &Gitignore) {
        let path = Path::new(name);
        let is_stream = name == STDIN || is_descriptor(path);
        let leaves = || path.ancestors().any(|part| part.is_symlink() && leaves_repository(part));
        if is_stream {
            self.stream(name);
        } else if leaves() {
            self.skipped.push(left_out(path));
        } else if path.is_dir() {
            self.walk(name, exclude);
        } else if exclude.matched(path, false).is_ignore() {
            // The user wants it to be left out.
        } else if path.is_file() {
            if let Some(known) = self.list(&real(path), name) {
                // The user has named it, whatever its name in the report.
                self.paths.push(known);
            } else {
                self.file(name, path.parent().unwrap_or(path));
            }
        } else if path.exists() {
            // open(2) of a FIFO blocks until there is a writer.
            self.unreadable(name, "it is a FIFO, socket or device; give `-` and its content");
        } else {
            self.missing(name);
        }
    }

    /// Notes a file by its real path; if it is listed already, returns its name.
    fn list(&mut self, real: &Path, name: &str) -> Option<String> {
        match self.listed.entry(real.to_owned()) {
            Entry::Occupied(known) => Some(known.get().clone()),
            Entry::Vacant(new) => {
                new.insert(name.to_owned());
                None
            }
        }
    }

    /// Returns the number of entries in the document of an input at this offset. They are listed in the order of the documents.
    pub(super) fn entries_in(&self, which: (usize, u64)) -> usize {
        fn within<T>(listed: &[(T, At)], which: (usize, u64)) -> &[(T, At)] {
            let from = listed.partition_point(|(_, at)| (at.input, at.offset) < which);
            let to = listed.partition_point(|(_, at)| (at.input, at.offset) <= which);
            &listed[from..to]
        }
        let keys: usize = within(&self.configs, which).iter().map(|(config, _)| config.keys.len()).sum();
        keys + within(&self.rules, which).len() + within(&self.snippets, which).len()
    }

    /// Returns the files among the inputs, by their paths relative to `base`.
    #[must_use]
    pub fn files(&self, base: &Path) -> BTreeSet<String> {
        let below = |(root, directory): (&PathBuf, &Directory)| {
            directory.files.iter().map(|file| root.join(file).display().to_string()).collect::<Vec<_>>()
        };
        let inputs = self.inputs.iter().map(|input| input.name.to_string());
        let all = inputs.chain(self.directories.iter().flat_map(below));
        all.map(|file| relative(&file, base)).collect()
    }

    fn walk(&mut self, root: &str, exclude: &Gitignore) {
        let (mut empty, leaving) = (BTreeSet::new(), LeavingLinks::default());
        let below = real(Path::new(root));
        let mut seen = BTreeSet::new();
        for entry in visible(Path::new(root), exclude, &leaving) {
            match entry {
                Ok(entry) => {
                    entry.path().parent().map(|parent| empty.remove(parent));
                    let kind = entry.file_type();
                    if kind.is_some_and(|kind| kind.is_dir()) {
                        empty.insert(entry.into_path());
                    } else if kind.is_some_and(|kind| kind.is_file()) {
                        self.found(entry.path(), Path::new(root), &below);
                        seen.insert(entry.into_path());
                    }
                }
                // A link that leads nowhere, or in a circle, is no file.
                Err(error) if is_broken_link(&error) => {}
                Err(error) => {
                    self.unreadable(&error_path(&error).unwrap_or_else(|| root.to_owned()), &error.to_string());
                }
            }
        }
        match unseen(Path::new(root), &seen, exclude, &leaving) {
            Unseen::Tracked(files) => files.iter().for_each(|file| self.found(file, Path::new(root), &below)),
            Unseen::Unknown(0) => {}
            Unseen::Unknown(count) => self.skipped.push(ignored(root, count)),
        }
        for link in leaving.take() {
            let inside = below.join(link.strip_prefix(root).unwrap_or(&link));
            if self.list(&inside, &link.to_string_lossy()).is_none() {
                self.skipped.push(left_out(&link));
            }
        }
        if let Some(directory) = self.directories.get_mut(Path::new(root)) {
            let inside = empty.iter().filter(|path| is_empty(path)).filter_map(|path| path.strip_prefix(root).ok());
            directory.empty = inside.filter(|path| !path.as_os_str().is_empty()).map(Path::to_owned).collect();
        }
    }

    /// Takes in a file below `root`, whose real path is `below`, unless another input names it.
    fn found(&mut self, path: &Path, root: &Path, below: &Path) {
        let inside = below.join(path.strip_prefix(root).unwrap_or(path));
        if self.list(&inside, &path.to_string_lossy()).is_none() {
            self.walked(path, root);
        }
    }

    fn walked(&mut self, path: &Path, root: &Path) {
        let has_templates = || path.parent().is_some_and(|chart| chart.join("templates").is_dir());
        if path.file_name().is_some_and(|name| name == CHART) && has_templates() {
            path.parent().map(|chart| self.charts.insert(real(chart), chart.to_owned()));
        }
        match path.to_str() {
            Some(name) => self.file(name, root),
            None => self.unreadable(&path.to_string_lossy(), "its name is not UTF-8; rename it"),
        }
    }

    /// Adds a file that belongs to the directory `root`.
    fn file(&mut self, name: &str, root: &Path) {
        let path = Path::new(name);
        if self.is_named(name) && charts::is_template(path) {
            return self.unrendered(name, TEMPLATE);
        }
        if path.metadata().is_ok_and(|metadata| metadata.len() > LARGEST) {
            let why = format!("larger than {} MiB", LARGEST >> 20);
            return self.skipped.push(Unchecked { subject: CheckSubject::input(name), why: why.into(), help: None });
        }
        let is_structured =
            path.extension().is_some_and(|end| ["json", "yaml", "yml"].iter().any(|known| end == *known));
        if is_structured {
            let opened = match self.texts.get(name) {
                Some(text) => Ok(InputStream::of_text(name, text.clone())),
                None => InputStream::open(name),
            };
            match opened {
                Ok(input) => {
                    if self.if_manifests(input).is_none() {
                        return;
                    }
                }
                Err(error) => return self.unreadable(name, &error.to_string()),
            }
        }
        let inside = path.strip_prefix(root).unwrap_or(path).to_owned();
        self.directories.entry(root.to_owned()).or_default().files.insert(inside);
    }

    /// Adds a stream that can be read only once.
    fn stream(&mut self, name: &str) {
        if self.list(Path::new(name), name).is_some() {
            return;
        }
        match InputStream::open(name) {
            Ok(input) => {
                if let Some(input) = self.if_manifests(input) {
                    self.nameless.push(self.inputs.len());
                    self.inputs.push(input);
                }
            }
            Err(error) => self.unreadable(name, &error.to_string()),
        }
    }

    /// Returns true for a file that the user has named, and not only a directory of it.
    fn is_named(&self, name: &str) -> bool {
        self.paths.iter().any(|path| path == name)
    }

    fn missing(&mut self, name: &str) {
        if self.missing.iter().any(|known| known == name) {
            return;
        }
        let finding = Finding::environment(UNREADABLE_INPUT, "it does not exist").at(Place::file(name));
        self.broken.push((name.to_owned(), finding));
        self.missing.push(name.to_owned());
    }

    fn unreadable(&mut self, name: &str, why: &str) {
        let finding = Finding::environment(UNREADABLE_INPUT, format!("it cannot be read: {why}")).at(Place::file(name));
        self.broken.push((name.to_owned(), finding));
    }

    /// Lists the objects of a stream if it is one of manifests, and returns it otherwise.
    fn if_manifests(&mut self, input: InputStream) -> Option<InputStream> {
        if let Some(decoded) = input.decoded().filter(InputStream::is_manifests) {
            self.broken.push((input.name.to_string(), encoding::of_manifest(&input.name)));
            self.manifests(decoded);
        } else if input.is_manifests() {
            self.manifests(input);
        } else {
            return Some(input);
        }
        None
    }

    /// Lists the objects of a stream of manifests.
    pub(super) fn manifests(&mut self, input: InputStream) {
        let index = self.inputs.len();
        self.has_manifests = true;
        match input.documents() {
            Ok(documents) => {
                for document in documents {
                    match document {
                        Ok(document) => self.document(index, &input.name, &document),
                        Err(Unreadable::Io(error)) => {
                            self.unreadable(&input.name, &error.to_string());
                            break;
                        }
                        Err(Unreadable::Text(finding)) => {
                            let place =
                                finding.place.clone().map(|place| Place { file: input.name.to_string(), ..place });
                            self.broken.push((input.name.to_string(), Finding { place, ..*finding }));
                        }
                    }
                }
            }
            Err(error) => self.unreadable(&input.name, &error.to_string()),
        }
        self.inputs.push(input);
    }

    fn document(&mut self, input: usize, name: &str, document: &ManifestDocument) {
        let ManifestDocument { text, offset, lines } = document;
        let below = |line: u32| line.saturating_add(*lines);
        // A comment may be a line of a value.
        let hidden = may_be_secret(text);
        let rule = |rule: IgnoreRule| if hidden { rule.of_secret() } else { rule };
        self.ignores.extend(ignores::comments(Path::new("manifest.yaml"), None, text.as_bytes()).into_iter().map(
            |one| {
                let IgnoreComment { line, below: next, rule: of_comment } = one;
                (input, IgnoreComment { line: below(line), below: next.map(below), rule: rule(of_comment) })
            },
        ));
        let mark = DocumentMark::of(text);
        let mut at = At { input, offset: *offset, length: text.len(), lines: *lines, object: 0, mark };
        for root in yaml::documents(text) {
            let yaml::Document { root, repeated } = match root {
                Ok(parsed) => parsed,
                Err(broken) => {
                    match placeholders_in(&broken, text) {
                        Some(why) => self.unrendered(name, why),
                        None => {
                            let findings = unquoted(text, vec![broken_manifest(name, document, &broken)]);
                            self.broken.extend(findings.into_iter().map(|finding| (name.to_owned(), finding)));
                        }
                    }
                    continue;
                }
            };
            if !repeated.is_empty() {
                let twice = manifest::repeated_keys(&root, &repeated, text);
                let findings = twice.iter().map(|repeated| repeated_key(name, document, repeated)).collect();
                self.broken.extend(unquoted(text, findings).into_iter().map(|finding| (name.to_owned(), finding)));
            }
            for node in manifest::objects(root) {
                match Object::read(&node, text) {
                    Object::Config(config) if is_encrypted(&node) => self.encrypted(name, &config, at),
                    Object::Config(config) => self.config(name, *config, (&node, text), at),
                    Object::Pod(pod) => self.pods.push((*pod, at)),
                    Object::Rules(rules) => self.rules.push((rules, at)),
                    Object::Snippets(snippets) => {
                        self.snippets.extend(snippets.into_iter().map(|snippet| (snippet, at)));
                    }
                    Object::Other => {}
                }
                at.object += 1;
            }
        }
    }
}

impl Listing {
    /// Notes a template that is not rendered, once for each chart.
    fn unrendered(&mut self, name: &str, why: &str) {
        let chart = charts::around(Path::new(name));
        // One that the user has named is reported by itself.
        if let Some(chart) = chart.filter(|_| !self.is_named(name)) {
            self.charts.entry(real(chart)).or_insert_with(|| chart.to_owned());
            return;
        }
        let helm = match chart {
            Some(chart) => charts::render(chart),
            None => "render it first, as by `helm template CHART | reload-gate check -`".to_owned(),
        };
        let help = if why == TEMPLATE { helm } else { placeholder::RENDER.to_owned() };
        let (subject, help) = (CheckSubject::input(name), Some(help));
        let skipped = Unchecked { subject, why: why.to_owned().into(), help: help.map(Into::into) };
        if !self.skipped.contains(&skipped) {
            self.skipped.push(skipped);
        }
    }

    /// Notes an object with encrypted values.
    fn encrypted(&mut self, name: &str, config: &ConfigObject, at: At) {
        let line = config.line.saturating_add(at.lines);
        let subject = CheckSubject::object(name, &config.id.to_string(), line);
        self.skipped.push(Unchecked { subject, why: "encrypted with SOPS".into(), help: None });
    }

    /// Adds a ConfigMap or Secret, without keys that would be no files of its own directory.
    fn config(&mut self, name: &str, mut config: ConfigObject, (node, text): (&Node, &str), at: At) {
        let line = config.line.saturating_add(at.lines);
        let others: Vec<ConfigKey> = config.keys.extract_if(.., |key| !is_key(&key.name)).collect();
        self.broken.extend(others.into_iter().map(|key| {
            let message = format!("{} has the key `{}`, which the API server rejects", config.id, key.name);
            let help = "a key has letters, digits, `-`, `_` and `.`, and is neither `.` nor `..`";
            (name.to_owned(), Finding::error(INVALID_KEY, message).at(Place::line(name, line)).help(help))
        }));
        let positions = ConfigObject::positions(node);
        for key in &mut config.keys {
            let Some(position) = positions.get(node, &key.name) else { continue };
            let Err(finding) = ConfigObject::value_at(node, &key.name, position) else {
                let written = ConfigObject::written_at(node, position);
                key.verbatim = written.and_then(|written| VerbatimValue::of(&written, text));
                continue;
            };
            let written = finding.place.as_ref().and_then(|place| place.span).and_then(|span| text.get(span.start..));
            // To YAML `{{ .Name }}` is a mapping.
            let is_action = written.is_some_and(|written| written.starts_with("{{"));
            if is_action || ConfigObject::text_at(node, position).is_some_and(placeholder::is_placeholder) {
                let subject = CheckSubject::object(name, &config.id.to_string(), line).with_key(key.name.clone());
                self.skipped.push(Unchecked { subject, why: placeholder::WHY.into(), help: None });
            } else {
                let place = finding.place.as_ref().map(|place| Place {
                    file: name.to_owned(),
                    line: place.line.map(|line| line.saturating_add(at.lines)),
                    span: None,
                    ..place.clone()
                });
                self.broken.push((name.to_owned(), Finding { place, ..*finding }));
            }
        }
        self.configs.push((config, at));
    }
}

/// Returns true if SOPS has encrypted the values of an object: it adds a `sops` map with its metadata.
fn is_encrypted(node: &Node) -> bool {
    node.get("sops").is_some_and(|sops| sops.get("mac").is_some() || sops.get("version").is_some())
}

/// Returns the reason why a link was not followed. What it leads to may be a secret of the job, and a report quotes what it reads.
fn left_out(link: &Path) -> Unchecked {
    let (why, help) =
        ("a link out of the repository, which is not followed", "name what it leads to as an input, if you trust it");
    Unchecked { subject: CheckSubject::input(&link.to_string_lossy()), why: why.into(), help: Some(help.into()) }
}

/// Returns the entry of files that a `.gitignore` hides.
fn ignored(root: &str, count: usize) -> Unchecked {
    let number = match count {
        1 => "a file is".to_owned(),
        MOST_COUNTED => format!("{MOST_COUNTED} or more files are"),
        count => format!("{count} files are"),
    };
    let why =
        format!("{number} ignored by a `.gitignore`, and there is no index of git that names the files it tracks");
    Unchecked {
        subject: CheckSubject::input(root),
        why: why.into(),
        help: Some("name such a file as an input to check it".into()),
    }
}

/// Returns true if a name may be a key of a ConfigMap or Secret (`IsConfigMapKey()` in Kubernetes' apimachinery).
fn is_key(key: &str) -> bool {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !key.is_empty() && key.len() <= 253 && key.chars().all(is_fit) && key != "." && !key.starts_with("..")
}

impl Directory {
    fn list_beside(&mut self, root: &Path) {
        let (mut beside, mut empty) = (BTreeSet::new(), BTreeSet::new());
        let everything = Gitignore::empty();
        let below = if root.as_os_str().is_empty() { Path::new(".") } else { root };
        for entry in visible(root, &everything, &LeavingLinks::default())
            .filter_map(Result::ok)
            .filter(|entry| entry.depth() > 0)
        {
            if beside.len() + empty.len() >= BESIDE {
                return;
            }
            let inside = entry.path().strip_prefix(below).unwrap_or(entry.path()).to_owned();
            let is = |kind: fn(&std::fs::FileType) -> bool| entry.file_type().as_ref().is_some_and(kind);
            if is(std::fs::FileType::is_dir) && is_empty(entry.path()) {
                empty.insert(inside);
            } else if is(std::fs::FileType::is_file)
                && !self.files.contains(&inside)
                && entry.metadata().is_ok_and(|metadata| metadata.len() <= LARGEST)
            {
                beside.insert(inside);
            }
        }
        self.beside = beside;
        self.empty.extend(empty);
    }
}

/// Returns true for a directory without files, apart from hidden ones such as `.gitkeep`: no pattern of a program matches these. What
/// is not read because of a `.gitignore` counts.
fn is_empty(directory: &Path) -> bool {
    let is_hidden = |entry: &std::fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(b".");
    std::fs::read_dir(directory).is_ok_and(|entries| entries.flatten().all(|entry| is_hidden(&entry)))
}

/// Returns true if a path names a descriptor of this process: `/dev/stdin`, and `/dev/fd/63` as shells make it of `<(helm template …)`.
pub(super) fn is_descriptor(path: &Path) -> bool {
    path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd") || path == Path::new("/dev/stdin")
}

fn is_broken_link(error: &ignore::Error) -> bool {
    match error {
        ignore::Error::Loop { .. } => true,
        ignore::Error::WithPath { err, .. } | ignore::Error::WithDepth { err, .. } => is_broken_link(err),
        ignore::Error::Io(error) => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

fn error_path(error: &ignore::Error) -> Option<String> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path.to_string_lossy().into_owned()),
        ignore::Error::WithDepth { err, .. } => error_path(err),
        _ => None,
    }
}

/// Returns the patterns of paths that are not read.
fn exclusion(patterns: &[String]) -> Result<Gitignore, (String, String)> {
    let mut builder = GitignoreBuilder::new("");
    for pattern in patterns {
        // Reports show paths as `./web/nginx.conf`, and a pattern is relative as well.
        builder
            .add_line(None, pattern.strip_prefix("./").unwrap_or(pattern))
            .map_err(|error| (pattern.clone(), error.to_string()))?;
    }
    builder.build().map_err(|error| (patterns.join(" "), error.to_string()))
}

/// Returns the reason for which a broken text is no error: its placeholders break it.
fn placeholders_in(broken: &Broken, text: &str) -> Option<&'static str> {
    let plain = placeholder::replaced(text.as_bytes(), Dialect::Format);
    let again = plain.as_deref().map_or(Ok(text), std::str::from_utf8);
    let is_same = again.is_ok_and(|plain| yaml::documents(plain).any(|root| root.as_ref() == Err(broken)));
    // Branches of a template are no text that is valid together.
    let has_branches = || !placeholder::open_places(text.as_bytes(), Dialect::Format).is_empty();
    match placeholder::is_template(text) {
        true if !is_same || has_branches() => Some(TEMPLATE),
        false if !is_same => Some(placeholder::WHY),
        _ => None,
    }
}

fn broken_manifest(name: &str, document: &ManifestDocument, broken: &Broken) -> Finding {
    let offset = usize::try_from(document.offset).unwrap_or(usize::MAX);
    let span = Span { start: broken.span.start.saturating_add(offset), end: broken.span.end.saturating_add(offset) };
    let line = Some(broken.line.saturating_add(document.lines));
    let place = Place { line, column: Some(broken.column), span: Some(span), ..Place::file(name) };
    Finding::error(BROKEN_MANIFEST, broken.message.clone()).at(place)
}

/// Returns the finding about a duplicate key: an error where it is open which value an application gets.
fn repeated_key(name: &str, document: &ManifestDocument, repeated: &RepeatedKey<'_>) -> Finding {
    let mut broken = yaml::twice(repeated.key);
    if let Some(first) = repeated.first {
        let line = first.line.saturating_add(document.lines);
        broken.message = format!("{}: the first is at {line}:{}", broken.message, first.column);
    }
    let severity = if repeated.is_decisive { Severity::Error } else { Severity::Warning };
    let help = "remove one of the two: kubectl and Helm take the last, Kustomize and Flux fail";
    Finding { severity, ..broken_manifest(name, document, &broken).help(help) }
}

/// Returns findings without what they quote of a document that may be a Secret.
fn unquoted(text: &str, findings: Vec<Finding>) -> Vec<Finding> {
    if may_be_secret(text) { Redactor::new([text.as_bytes()]).redact_all(findings) } else { findings }
}

/// Returns true if the text of a document may be that of a Secret.
fn may_be_secret(text: &str) -> bool {
    text.contains("Secret")
}
