//! Contents of the listed entries, read on demand. IO: reads inputs and files.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use reload_gate_contract::{Code, Finding, LineIndex, Place, Span};
use reload_gate_structured::yaml::{self, Node};

use super::choice::{self, NamedBy};
use super::envsubst::{self, NotRendered, Rendered, Substitution};
use super::listing::{At, Listing};
use super::objects::GivenObject;
use crate::check::manifest::{self, Annotated, ConfigKey, ConfigObject, Room, Snippet};
use crate::check::render::{CheckSubject, InputExcerpt, Located, SubjectWhole};
use crate::config::SettingSpec;

const UNREADABLE_INPUT: Code = Code::new("unreadable-input");

/// Number of documents that are kept: more than are validated at once, since each is read several times in a row.
const KEPT: usize = 16;

/// Number of bytes for each entry of a document from which on it is not kept while its values are validated.
const HEAVY: usize = 64 << 10;

/// Number of lines that are shown on each side of a finding.
const AROUND: u32 = 1;

/// Longest excerpt in bytes. A longer line has no other lines in it to show, and would be repeated for each finding.
const LONGEST_EXCERPT: usize = 4 << 10;

/// Number of bytes of one content after which findings are placed at the whole value. A value of the largest ConfigMap, 1 MiB, has an exact
/// place for each of the findings that are shown.
const DECODED: usize = 128 << 20;

/// Columns behind this one count as the first of the line: programs that report a column have read the line as text.
const LAST_COLUMN: u32 = 1 << 16;

/// Source of a file in the inputs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Entry {
    /// The entry of a ConfigMap or Secret, by its index in the listing, with the index of its key there. An object may have tens of thousands.
    Key { config: u32, key: u32 },
    /// The rules of a PrometheusRule, by its index in the listing.
    Rules(usize),
    /// A snippet of nginx configuration in an object of a controller, by its index in the listing.
    Snippet(usize),
    /// A file.
    File(Arc<PathBuf>),
    /// All of an input, by its index.
    Input(usize),
}

impl Entry {
    /// Returns the entry of the key with that index of the object with that index.
    fn key(config: usize, key: usize) -> Self {
        // There are fewer of them than bytes in memory.
        let small = |index| u32::try_from(index).unwrap_or(u32::MAX);
        Self::Key { config: small(config), key: small(key) }
    }

    /// Returns the index of its object.
    pub(super) fn config(&self) -> Option<usize> {
        match self {
            Self::Key { config, .. } => usize::try_from(*config).ok(),
            Self::Rules(_) | Self::Snippet(_) | Self::File(_) | Self::Input(_) => None,
        }
    }
}

/// Content of an entry, and the mapping of its positions to those of the input.
pub(super) struct EntryContent {
    pub(super) bytes: Vec<u8>,
    /// Template that the bytes were rendered from, with the way back.
    rendered: Option<(Vec<u8>, Rendered)>,
    written: Written,
    lines: OnceLock<LineIndex>,
    /// Lines of the bytes themselves.
    own_lines: OnceLock<LineIndex>,
    /// Number of bytes that were decoded for the places of findings.
    decoded: AtomicUsize,
}

enum Written {
    /// In a document, by the node, and whether it is of a Secret.
    Key { document: DocumentMark, at: At, key: Arc<str>, secret: bool },
    /// As whole lines of a document, with their first offset there and their indentation.
    Lines { document: DocumentMark, at: At, start: usize, indent: usize },
    /// As a value in an object of a document.
    Value { document: DocumentMark, at: At, snippet: Box<Snippet> },
    /// Verbatim, in a file or stream of this name.
    Plain(String),
    /// As the value of a key of an object in memory, and whether that is a Secret. Its lines are those of the value.
    Given { key: String, secret: bool },
}

/// Hash of the text of a document, by which it is recognised when it is read again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DocumentMark(u64);

impl DocumentMark {
    pub(super) fn of(text: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// Document in memory. It is parsed for the first value that it has not verbatim.
#[derive(Debug)]
pub(super) struct LoadedDocument {
    mark: DocumentMark,
    text: String,
    /// Number of the listed entries in it.
    entries: usize,
    objects: OnceLock<Vec<Node>>,
    lines: OnceLock<LineIndex>,
    /// Positions of the values of each object.
    values: OnceLock<Vec<manifest::ValuePositions>>,
}

impl LoadedDocument {
    fn objects(&self) -> &[Node] {
        self.objects.get_or_init(|| {
            let roots = yaml::documents(&self.text).filter_map(|document| Some(document.ok()?.root));
            roots.flat_map(manifest::objects).collect()
        })
    }

    fn lines(&self) -> &LineIndex {
        self.lines.get_or_init(|| LineIndex::new(self.text.as_bytes()))
    }

    /// Returns the whole lines of an object, and the number of lines before them; `None` where other objects are on the same lines:
    /// these may be Secrets.
    fn own_lines(&self, object: usize) -> Option<Range<usize>> {
        let span = Span::from(self.objects().get(object)?.span);
        let lines = self.lines();
        let start = lines.range(lines.line(span.start)).start;
        let end = lines.range(lines.line(span.end)).end;
        let is_frame = |text: &str| text.chars().all(|c| c.is_whitespace() || "-,[]".contains(c));
        let alone = is_frame(&self.text[start..span.start]) && is_frame(&self.text[span.end..end]);
        alone.then_some(start..end)
    }

    fn values(&self) -> &[manifest::ValuePositions] {
        self.values.get_or_init(|| self.objects().iter().map(ConfigObject::positions).collect())
    }

    /// Returns the value of a key of an object.
    fn value(&self, at: &At, key: &ConfigKey) -> Option<Result<Cow<'_, [u8]>, Box<Finding>>> {
        let verbatim = key.verbatim.filter(|_| self.mark == at.mark);
        if let Some(content) = verbatim.and_then(|verbatim| verbatim.content(&self.text)) {
            return Some(Ok(content));
        }
        let node = self.objects().get(at.object)?;
        let position = self.values().get(at.object)?.get(node, &key.name)?;
        Some(ConfigObject::value_at(node, &key.name, position))
    }

    /// Returns the value of a key of an object as it is written, and whether it is encoded.
    fn written(&self, object: usize, key: &str) -> Option<manifest::WrittenValue<'_>> {
        let node = self.objects().get(object)?;
        ConfigObject::written_at(node, self.values().get(object)?.get(node, key)?)
    }

    /// Returns true if it has few entries for its size.
    fn is_heavy(&self) -> bool {
        self.text.len() / self.entries.max(1) > HEAVY
    }
}

/// Document with its input and offset.
type Kept = ((usize, u64), Arc<LoadedDocument>);

/// Reader of the listed entries.
pub(super) struct Store<'l> {
    pub(super) listing: &'l Listing,
    /// Indexes of ConfigMaps and Secrets, by kind and name.
    configs: HashMap<(&'l str, &'l str), Vec<usize>>,
    /// ConfigMaps and Secrets as reports name them, by index.
    subjects: Vec<CheckSubject>,
    kept: Mutex<VecDeque<Kept>>,
}

impl<'l> Store<'l> {
    pub(super) fn new(listing: &'l Listing) -> Self {
        let mut configs: HashMap<_, Vec<usize>> = HashMap::new();
        for (index, (config, _)) in listing.configs.iter().enumerate() {
            configs.entry((config.id.kind.as_str(), config.id.name.as_str())).or_default().push(index);
        }
        let subjects =
            listing.configs.iter().map(|(config, at)| object(listing, &config.id, at, config.line)).collect();
        Self { listing, configs, subjects, kept: Mutex::default() }
    }

    /// Returns the ConfigMap or Secret of that kind and name for a pod of `namespace` in the input `from`: of several the one of the
    /// same input, else of the same directory, else the last. Files that are applied together lie together.
    pub(super) fn config(&self, kind: &str, namespace: Option<&str>, name: &str, from: usize) -> Option<usize> {
        let fits = |index: &&usize| {
            let (config, _) = &self.listing.configs[**index];
            // A rendered chart often has no namespace; it is the one of the installation.
            config.id.namespace.as_deref().zip(namespace).is_none_or(|(one, other)| one == other)
        };
        let found = self.configs.get(&(kind, name)).into_iter().flatten().filter(fits);
        // The last of several in one input is the one that stays in the cluster.
        found.copied().max_by_key(|index| (self.nearness(*index, from), *index))
    }

    /// Returns true if the ConfigMap or Secret with that index comes from the input `from` or its directory, so that it is surely the
    /// one that a pod there means.
    pub(super) fn is_near(&self, config: usize, from: usize) -> bool {
        self.nearness(config, from) > 0
    }

    fn nearness(&self, config: usize, from: usize) -> u8 {
        let own = self.listing.configs[config].1.input;
        let directory = |input: usize| Path::new(&*self.listing.inputs[input].name).parent();
        if own == from { 2 } else { u8::from(directory(own) == directory(from)) }
    }

    /// Returns the entries of the ConfigMap or Secret with that index.
    pub(super) fn entries(&self, config: usize) -> BTreeMap<Arc<str>, Entry> {
        self.keys(config).map(|(name, entry)| (name.clone(), entry)).collect()
    }

    /// Returns the names of the keys of the ConfigMap or Secret with that index, with their entries.
    pub(super) fn keys(&self, config: usize) -> impl Iterator<Item = (&'l Arc<str>, Entry)> + use<'l> {
        let keys = self.listing.configs[config].0.keys.iter().enumerate();
        keys.map(move |(index, key)| (&key.name, Entry::key(config, index)))
    }

    /// Returns the entry of that name of the ConfigMap or Secret with that index.
    pub(super) fn entry(&self, config: usize, name: &str) -> Option<Entry> {
        let keys = &self.listing.configs[config].0.keys;
        keys.binary_search_by(|key| (*key.name).cmp(name)).ok().map(|index| Entry::key(config, index))
    }

    /// Returns the name of the key that an entry is, if it is one of a ConfigMap or Secret.
    pub(super) fn key(&self, entry: &Entry) -> Option<&'l Arc<str>> {
        let Entry::Key { config, key } = entry else { return None };
        Some(&self.listing.configs[*config as usize].0.keys[*key as usize].name)
    }

    /// Returns the part of the inputs that an entry is.
    pub(super) fn subject(&self, entry: &Entry) -> CheckSubject {
        match entry {
            Entry::File(path) => CheckSubject::input(&path.to_string_lossy()),
            Entry::Input(input) => CheckSubject::input(&self.listing.inputs[*input].name),
            Entry::Rules(index) => {
                let (rules, at) = &self.listing.rules[*index];
                object(self.listing, &rules.id, at, rules.line)
            }
            Entry::Snippet(index) => {
                let (snippet, at) = &self.listing.snippets[*index];
                object(self.listing, &snippet.id, at, snippet.line).with_key(snippet.key.as_str().into())
            }
            Entry::Key { config, .. } => {
                CheckSubject { key: self.key(entry).cloned(), ..self.subjects[*config as usize].clone() }
            }
        }
    }

    /// Returns a finding with the object and key of an entry.
    pub(super) fn located(&self, entry: &Entry, finding: Finding) -> Located {
        let subject = self.subject(entry);
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let (object, key) = (owned(subject.object.as_deref()), owned(subject.key.as_deref()));
        Located { finding, object, key, excerpt: None }
    }

    /// Returns the validator that the object of an entry names, with its place in the input.
    pub(super) fn chosen(&self, entry: &Entry) -> Option<(String, NamedBy, Place)> {
        let (config, at) = &self.listing.configs[entry.config()?];
        let (named, by) = choice::chosen(config.label.as_ref(), config.validator.as_ref(), |named| &named.value)?;
        let place = in_input(&named.place, &self.listing.inputs[at.input].name, at);
        Some((named.value.clone(), by, place))
    }

    /// Returns the settings of its validator that the object of an entry has.
    pub(super) fn settings(&self, entry: &Entry) -> Vec<(&'static SettingSpec, String)> {
        let config = entry.config().map(|config| &self.listing.configs[config].0);
        config.map(|config| choice::settings(|name| Some(config.settings.get(name)?.value.clone()))).unwrap_or_default()
    }

    /// Returns a finding about a setting at the annotation of the object of an entry, if that is where the setting is. Its words then
    /// name the annotation in place of the flag.
    pub(super) fn with_place_of_setting(&self, entry: &Entry, name: &str, finding: Finding) -> Finding {
        let annotation = format!("{}{name}", manifest::PREFIX);
        let config = entry.config().map(|config| &self.listing.configs[config]);
        let Some((annotated, at)) = config.and_then(|(config, at)| Some((config.settings.get(&annotation)?, at)))
        else {
            return finding;
        };
        let place = in_input(&annotated.place, &self.listing.inputs[at.input].name, at);
        let worded = |text: &str| text.replace(&format!("`--{name}`"), &format!("annotation `{annotation}`"));
        let (message, help) = (worded(&finding.message), finding.help.as_deref().map(worded));
        Finding { message, help, ..finding }.at(place)
    }

    /// Returns the annotation of the object of an entry that ignores findings, with its place in the input.
    pub(super) fn ignore(&self, entry: &Entry) -> Option<(&Annotated, Place)> {
        let (config, at) = &self.listing.configs[entry.config()?];
        let annotated = config.ignore.as_ref()?;
        Some((annotated, in_input(&annotated.place, &self.listing.inputs[at.input].name, at)))
    }

    /// Returns the object in memory that an entry is a key of.
    fn given(&self, entry: &Entry) -> Option<(&'l GivenObject, &'l str)> {
        Some((self.listing.given.get(entry.config()?)?, self.key(entry)?))
    }

    /// Returns the text of an entry for a look at it. That of an object in memory is not copied.
    pub(super) fn text(&self, entry: &Entry) -> Option<Cow<'l, str>> {
        if let Some((given, key)) = self.given(entry) {
            let content = given.contents.get(key)?;
            // The lossy reading goes byte by byte, also where nothing is lost.
            return Some(std::str::from_utf8(content).map_or_else(|_| String::from_utf8_lossy(content), Cow::Borrowed));
        }
        let text = String::from_utf8(self.content(entry).ok()?.bytes);
        Some(Cow::Owned(text.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())))
    }

    /// Reads the content of an entry.
    ///
    /// # Errors
    /// Error of the value, at its place in the input.
    pub(super) fn content(&self, entry: &Entry) -> Result<EntryContent, Box<Finding>> {
        let unreadable = |name: &str, error: &io::Error| {
            Box::new(
                Finding::environment(UNREADABLE_INPUT, format!("it cannot be read: {error}")).at(Place::file(name)),
            )
        };
        let content = |bytes, written| EntryContent {
            bytes,
            rendered: None,
            written,
            lines: OnceLock::new(),
            own_lines: OnceLock::new(),
            decoded: AtomicUsize::new(0),
        };
        let changed = |name: &str| unreadable(name, &io::Error::other("it changed while it was read"));
        if let Some((given, key)) = self.given(entry) {
            let bytes = given.contents.get(key).cloned().unwrap_or_default();
            return Ok(content(bytes, Written::Given { key: key.to_owned(), secret: given.id.is_secret() }));
        }
        match entry {
            Entry::File(path) => {
                let name = path.to_string_lossy().into_owned();
                let bytes = match self.listing.texts.get(&name) {
                    Some(text) => text.clone(),
                    None => std::fs::read(&**path).map_err(|error| unreadable(&name, &error))?,
                };
                Ok(content(bytes, Written::Plain(name)))
            }
            Entry::Input(index) => {
                let input = &self.listing.inputs[*index];
                let bytes = input.whole().map_err(|error| unreadable(&input.name, &error))?;
                Ok(content(bytes, Written::Plain(input.name.to_string())))
            }
            Entry::Rules(index) => {
                let (rules, at) = &self.listing.rules[*index];
                let name = &self.listing.inputs[at.input].name;
                let document = self.document(at).map_err(|error| unreadable(name, &error))?;
                let start = document.lines().range(rules.first_line).start;
                let end = document.lines().range(rules.last_line).end;
                let text = document.text.get(start..end).ok_or_else(|| changed(name))?;
                let lines = text.split_inclusive('\n').map(|line| line.get(rules.indent..).unwrap_or("\n"));
                let bytes = lines.collect::<String>().into_bytes();
                let (document, at, indent) = (document.mark, *at, rules.indent);
                Ok(content(bytes, Written::Lines { document, at, start, indent }))
            }
            Entry::Snippet(index) => {
                let (snippet, at) = &self.listing.snippets[*index];
                let name = &self.listing.inputs[at.input].name;
                let document = self.document(at).map_err(|error| unreadable(name, &error))?;
                let root = document.objects().get(at.object).ok_or_else(|| changed(name))?;
                let text = snippet.node(root).and_then(Node::as_str).ok_or_else(|| changed(name))?;
                let bytes = text.as_bytes().to_vec();
                let (document, at) = (document.mark, *at);
                Ok(content(bytes, Written::Value { document, at, snippet: Box::new(snippet.clone()) }))
            }
            Entry::Key { config, key } => {
                let (config, at) = &self.listing.configs[*config as usize];
                let name = &self.listing.inputs[at.input].name;
                let document = self.document(at).map_err(|error| unreadable(name, &error))?;
                let key = &config.keys[*key as usize];
                let bytes = match document.value(at, key).ok_or_else(|| changed(name))? {
                    Ok(value) => value.into_owned(),
                    Err(finding) => {
                        let place = finding.place.as_ref().map(|place| in_input(place, name, at));
                        return Err(Box::new(Finding { place, ..*finding }));
                    }
                };
                let (document, at, key, secret) = (document.mark, *at, key.name.clone(), config.secret);
                Ok(content(bytes, Written::Key { document, at, key, secret }))
            }
        }
    }

    /// Forgets documents with few, large values, whose contents were read: their texts and trees take twice the memory of these, and are
    /// not needed before the validators have ended. For the place of a finding they are read again.
    pub(super) fn release(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).retain(|(_, loaded)| !loaded.is_heavy());
    }

    /// Returns a document again, unless it has changed.
    fn again(&self, at: &At, mark: DocumentMark) -> Option<Arc<LoadedDocument>> {
        self.document(at).ok().filter(|document| document.mark == mark)
    }

    fn document(&self, at: &At) -> io::Result<Arc<LoadedDocument>> {
        let which = (at.input, at.offset);
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, loaded)) = kept().iter().find(|(other, _)| *other == which) {
            return Ok(loaded.clone());
        }
        let text = String::from_utf8(self.listing.inputs[at.input].part(at.offset, at.length)?);
        let text = manifest::readable(text.map_err(io::Error::other)?);
        let loaded = Arc::new(LoadedDocument {
            mark: DocumentMark::of(&text),
            text,
            entries: self.listing.entries_in(which),
            objects: OnceLock::new(),
            lines: OnceLock::new(),
            values: OnceLock::new(),
        });
        let mut kept = kept();
        kept.push_back((which, loaded.clone()));
        if kept.len() > KEPT {
            kept.pop_front();
        }
        Ok(loaded)
    }
}

/// Returns an object as reports name it; `line` is that of its document.
fn object(listing: &Listing, id: &manifest::Id, at: &At, line: u32) -> CheckSubject {
    let (input, line) = (listing.inputs[at.input].name.clone(), Some(line.saturating_add(at.lines)));
    SubjectWhole { input, object: Some(id.to_string().into()), line }.into()
}

/// Returns the span in the document of a span of the text of a node; that of the whole node where there is no such span.
fn of_node(node: &Node, locate: &dyn Fn(usize) -> Option<usize>, span: Option<Span>) -> Span {
    let exact = |span: Span| {
        let start = locate(span.start)?;
        // The end is where the last of them ends; a span that is empty stays so.
        let last = span.end.saturating_sub(1).max(span.start);
        let end = locate(last).map_or(start, |last| last + 1);
        Some(Span { start, end: if span.end > span.start { end.max(start) } else { start } })
    };
    span.and_then(exact).unwrap_or(node.span.into())
}

/// Returns a place in a document as one of its input.
pub(super) fn in_input(place: &Place, name: &str, at: &At) -> Place {
    let line = place.line.map(|line| line.saturating_add(at.lines));
    Place { file: name.to_owned(), line, column: place.column, span: None }
}

impl EntryContent {
    /// Replaces variables as a container does with a template.
    ///
    /// # Errors
    /// At the first variable with an unknown value, or where `room` ends.
    pub(super) fn render<'v>(
        self,
        value: &dyn Fn(&str) -> Substitution<'v>,
        room: &mut Room,
    ) -> Result<Self, NotRendered> {
        let mut rendered = envsubst::render(&self.bytes, value, room)?;
        let bytes = std::mem::take(&mut rendered.text);
        Ok(Self { bytes, rendered: Some((self.bytes, rendered)), ..self })
    }

    /// Returns the position in the input of `place`, which is one in this content, with the lines around it that may be shown.
    pub(super) fn locate(&self, store: &Store<'_>, place: &Place) -> (Place, Option<InputExcerpt>) {
        let span = self.span(place).map(|span| self.in_source(span));
        match &self.written {
            Written::Plain(name) => {
                let Some(span) = span else { return (Place::file(&**name), None) };
                let bytes = self.rendered.as_ref().map_or(&self.bytes, |(template, _)| template);
                let lines = self.lines.get_or_init(|| LineIndex::new(bytes));
                (lines.place(name, bytes, span), excerpt(bytes, lines, 0..bytes.len(), 0, span))
            }
            Written::Given { key, .. } => {
                let Some(span) = span else { return (Place::file(key), None) };
                let lines = self.lines.get_or_init(|| LineIndex::new(&self.bytes));
                (lines.place(key, &self.bytes, span), None)
            }
            Written::Lines { document, at, start, indent } => {
                let name = &store.listing.inputs[at.input].name;
                let Some((span, document)) = span.zip(store.again(at, *document)) else {
                    return (Place::file(&**name), None);
                };
                let own = LineIndex::new(&self.bytes);
                let moved = |offset: usize| {
                    let line = own.line(offset);
                    let lines = document.lines();
                    let begins = lines.range(lines.line(*start) + line - 1).start;
                    begins + indent + offset.saturating_sub(own.range(line).start)
                };
                let span = Span { start: moved(span.start), end: moved(span.end.max(1) - 1) + 1 };
                document.locate(name, at, span, true)
            }
            Written::Value { document, at, snippet } => {
                let name = &store.listing.inputs[at.input].name;
                let Some(document) = store.again(at, *document) else { return (Place::file(&**name), None) };
                let node = document.objects().get(at.object).and_then(|root| snippet.node(root));
                let Some(node) = node else { return (Place::file(&**name), None) };
                let span = of_node(node, &|offset| node.locate(&document.text, offset), span);
                document.locate(name, at, span, true)
            }
            Written::Key { document, at, key, secret } => {
                let name = &store.listing.inputs[at.input].name;
                // The scalar is decoded from its beginning for each place.
                let decoded = self.decoded.fetch_add(self.bytes.len(), Ordering::Relaxed);
                let span = span.filter(|_| decoded <= DECODED);
                let Some(document) = store.again(at, *document) else { return (Place::file(&**name), None) };
                let Some(span) = Self::of_key(&document, at, key, span) else { return (Place::file(&**name), None) };
                document.locate(name, at, span, !secret)
            }
        }
    }

    /// Returns the span of the template for one of the rendered text.
    fn in_source(&self, span: Span) -> Span {
        let Some((_, rendered)) = &self.rendered else { return span };
        let start = rendered.origin(span.start);
        let end = if span.end > span.start { rendered.origin(span.end - 1) + 1 } else { start };
        Span { start, end: end.max(start) }
    }

    /// Returns the span in the document of a span of a value; that of the whole value where there is no such span.
    fn of_key(document: &LoadedDocument, at: &At, key: &str, span: Option<Span>) -> Option<Span> {
        let value = document.written(at.object, key)?;
        Some(of_node(value.node, &|offset| value.locate(&document.text, offset), span))
    }

    /// Returns the span of a place in this content; for a line, all of it without the blanks around.
    fn span(&self, place: &Place) -> Option<Span> {
        if place.span.is_some() {
            return place.span;
        }
        let number = place.line.filter(|line| *line > 0)?;
        let lines = self.own_lines.get_or_init(|| LineIndex::new(&self.bytes));
        let Range { start, end } = lines.range(number);
        let line = &self.bytes[start..end];
        if line.is_empty() {
            // Checkers often report an error at the end on the line after the last.
            return (start > 0 && number > 1).then(|| Span { start: start - 1, end: start });
        }
        let before = |column: u32| before(line, column as usize - 1);
        let column = place.column.filter(|column| (1..=LAST_COLUMN).contains(column)).map(before);
        let blank = line.len() - line.trim_ascii_start().len();
        Some(match column {
            Some(column) if column < line.len() => Span { start: start + column, end: start + column + 1 },
            _ => Span { start: start + blank, end: start + blank + line.trim_ascii().len() },
        })
    }

    /// Returns true if it is the value of a Secret.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self.written, Written::Key { secret: true, .. } | Written::Given { secret: true, .. })
    }
}

impl LoadedDocument {
    /// Returns the place in the input of a span of this document, with the lines around it, if they may be shown.
    fn locate(&self, name: &str, at: &At, span: Span, is_public: bool) -> (Place, Option<InputExcerpt>) {
        let text = self.text.as_bytes();
        let place = self.lines().place(name, text, span);
        let place = Place { line: place.line.map(|line| line.saturating_add(at.lines)), span: None, ..place };
        let own = self.own_lines(at.object).filter(|_| is_public);
        let shown = own.and_then(|own| {
            // What reaches beyond its object is cut.
            let inside = |at: usize| at.clamp(own.start, own.end);
            let span = Span { start: inside(span.start), end: inside(span.end) };
            excerpt(text, self.lines(), own, at.lines, span)
        });
        (place, shown)
    }
}

/// Returns the number of bytes of the first characters of a line.
fn before(line: &[u8], characters: usize) -> usize {
    let longest = characters.saturating_mul(4).min(line.len());
    String::from_utf8_lossy(&line[..longest]).chars().take(characters).map(char::len_utf8).sum()
}

/// Returns the lines around a span of `text` within `shown`; `before` is the number of lines before the text.
fn excerpt(text: &[u8], lines: &LineIndex, shown: Range<usize>, before: u32, span: Span) -> Option<InputExcerpt> {
    let line = lines.line(span.start.min(text.len()));
    // A whole value may be long; its first line is enough.
    let range = |line: u32| {
        let range = lines.range(line);
        range.start.max(shown.start)..range.end.min(shown.end)
    };
    let marked = range(line);
    let is_shown = |line: &u32| range(*line).start < range(*line).end;
    let first = (line.saturating_sub(AROUND).max(1)..line).find(is_shown).unwrap_or(line);
    let last = (line + 1..=lines.count().min(line + AROUND)).rfind(is_shown).unwrap_or(line);
    let whole = range(first).start..range(last).end.max(marked.end);
    if whole.len() > LONGEST_EXCERPT || whole.start > whole.end {
        return None;
    }
    // Bytes that are no UTF-8 have another length in the text that is shown.
    let lossy = |range: Range<usize>| String::from_utf8_lossy(&text[range]).into_owned();
    let stop = lines_end(text, &marked);
    let start = span.start.clamp(whole.start, stop);
    let end = span.end.clamp(start, stop);
    let mark = lossy(whole.start..start).len()..lossy(whole.start..end).len();
    let first_line = first.checked_add(before)?;
    let mut shown = lossy(whole);
    // The last line has no end of line of its own, as in the text without it.
    shown.truncate(shown.trim_end_matches('\n').len());
    let mark = mark.start.min(shown.len())..mark.end.min(shown.len());
    Some(InputExcerpt { first_line, text: shown, mark })
}

/// Returns the end of a line without its line feed.
fn lines_end(text: &[u8], line: &Range<usize>) -> usize {
    if text[line.clone()].ends_with(b"\n") { line.end - 1 } else { line.end }
}
