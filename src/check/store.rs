//! Contents of the listed entries, read on demand. IO: reads inputs and files.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use reload_gate_contract::{Code, Finding, Place, Span};
use reload_gate_structured::yaml::{self, Node};

use super::listing::{At, Listing};
use crate::check::manifest::{self, Annotated, ConfigObject};
use crate::check::render::{CheckSubject, Located};

const UNREADABLE_INPUT: Code = Code::new("unreadable-input");

/// Number of documents that are kept parsed: more than are validated at once, since each is read several times in a row.
const KEPT: usize = 16;

/// Source of a file in the inputs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Entry {
    /// The entry `key` of a ConfigMap or Secret, by its index in the listing.
    Key { config: usize, key: String },
    /// A file.
    File(PathBuf),
    /// All of an input, by its index.
    Input(usize),
}

impl Entry {
    /// Returns the index of its object.
    pub(super) fn config(&self) -> Option<usize> {
        match self {
            Self::Key { config, .. } => Some(*config),
            Self::File(_) | Self::Input(_) => None,
        }
    }
}

/// Content of an entry, and the mapping of its positions to those of the input.
pub(super) struct EntryContent {
    pub(super) bytes: Vec<u8>,
    written: Written,
}

enum Written {
    /// In a document, by the node, and whether it is of a Secret.
    Key { document: Arc<Parsed>, at: At, key: String, secret: bool },
    /// Verbatim, in a file or stream of this name.
    Plain(String),
}

/// Position in an input.
pub(super) struct InputPosition {
    /// Lines that may be shown around it, and the number of lines before them; `None` where none may be shown.
    pub(super) text: Option<(String, u32)>,
    /// Place in the input; its span is one of `text`.
    pub(super) place: Place,
}

/// Parsed document.
#[derive(Debug)]
pub(super) struct Parsed {
    text: String,
    objects: Vec<Node>,
}

impl Parsed {
    /// Returns the whole lines of an object, and the number of lines before them; `None` where other objects are on the same lines:
    /// these may be Secrets.
    fn own_lines(&self, object: usize) -> Option<(std::ops::Range<usize>, u32)> {
        let span = self.objects.get(object)?.span;
        let start = self.text[..span.start].rfind('\n').map_or(0, |at| at + 1);
        let end = self.text[span.end..].find('\n').map_or(self.text.len(), |at| span.end + at + 1);
        let is_frame = |text: &str| text.chars().all(|c| c.is_whitespace() || "-,[]".contains(c));
        let alone = is_frame(&self.text[start..span.start]) && is_frame(&self.text[span.end..end]);
        let lines = u32::try_from(self.text[..start].matches('\n').count()).ok()?;
        alone.then_some((start..end, lines))
    }
}

/// Parsed document with its input and offset.
type Kept = ((usize, u64), Arc<Parsed>);

/// InputReader of the listed entries.
pub(super) struct Store<'l> {
    pub(super) listing: &'l Listing,
    kept: Mutex<VecDeque<Kept>>,
}

impl<'l> Store<'l> {
    pub(super) fn new(listing: &'l Listing) -> Self {
        Self { listing, kept: Mutex::default() }
    }

    /// Returns the ConfigMap or Secret of that kind and name for a pod of `namespace`.
    pub(super) fn config(&self, kind: &str, namespace: Option<&str>, name: &str) -> Option<usize> {
        let fits = |config: &ConfigObject| {
            // A rendered chart often has no namespace; it is the one of the installation.
            let same = config.id.namespace.as_deref().zip(namespace).is_none_or(|(one, other)| one == other);
            same && config.id.kind == kind && config.id.name == name
        };
        // The last of several is the one that stays in the cluster.
        self.listing.configs.iter().rposition(|(config, _)| fits(config))
    }

    /// Returns the entries of the ConfigMap or Secret with that index.
    pub(super) fn entries(&self, config: usize) -> BTreeMap<String, Entry> {
        let keys = self.listing.configs[config].0.keys.iter();
        keys.map(|key| (key.clone(), Entry::Key { config, key: key.clone() })).collect()
    }

    /// Returns the part of the inputs that an entry is.
    pub(super) fn subject(&self, entry: &Entry) -> CheckSubject {
        match entry {
            Entry::File(path) => {
                CheckSubject { input: path.to_string_lossy().into_owned(), object: None, key: None, line: None }
            }
            Entry::Input(input) => {
                CheckSubject { input: self.listing.inputs[*input].name.clone(), object: None, key: None, line: None }
            }
            Entry::Key { config, key } => {
                let (config, at) = &self.listing.configs[*config];
                CheckSubject {
                    input: self.listing.inputs[at.input].name.clone(),
                    object: Some(config.id.to_string()),
                    key: Some(key.clone()),
                    line: Some(config.line.saturating_add(at.lines)),
                }
            }
        }
    }

    /// Returns a finding with the object and key of an entry.
    pub(super) fn located(&self, entry: &Entry, finding: Finding) -> Located {
        let CheckSubject { object, key, .. } = self.subject(entry);
        Located { finding, object, key, excerpt: None }
    }

    /// Returns the annotation of the object of an entry, with its place in the input.
    pub(super) fn annotation(&self, entry: &Entry) -> Option<(Annotated, Place)> {
        let (config, at) = &self.listing.configs[entry.config()?];
        let annotated = config.validator.clone()?;
        let place = in_input(&annotated.place, &self.listing.inputs[at.input].name, at);
        Some((annotated, place))
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
        match entry {
            Entry::File(path) => {
                let name = path.to_string_lossy().into_owned();
                let bytes = std::fs::read(path).map_err(|error| unreadable(&name, &error))?;
                Ok(EntryContent { bytes, written: Written::Plain(name) })
            }
            Entry::Input(index) => {
                let input = &self.listing.inputs[*index];
                let bytes = input.whole().map_err(|error| unreadable(&input.name, &error))?;
                Ok(EntryContent { bytes, written: Written::Plain(input.name.clone()) })
            }
            Entry::Key { config, key } => {
                let (config, at) = &self.listing.configs[*config];
                let name = &self.listing.inputs[at.input].name;
                let document = self.document(at).map_err(|error| unreadable(name, &error))?;
                let node = document.objects.get(at.object);
                let changed = || unreadable(name, &io::Error::other("it changed while it was read"));
                let bytes = match ConfigObject::value(node.ok_or_else(changed)?, key).ok_or_else(changed)? {
                    Ok(value) => value.content.into_owned(),
                    Err(finding) => {
                        let place = finding.place.as_ref().map(|place| in_input(place, name, at));
                        return Err(Box::new(Finding { place, ..*finding }));
                    }
                };
                let (at, key, secret) = (*at, key.clone(), config.secret);
                Ok(EntryContent { bytes, written: Written::Key { document, at, key, secret } })
            }
        }
    }

    fn document(&self, at: &At) -> io::Result<Arc<Parsed>> {
        let which = (at.input, at.offset);
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, parsed)) = kept().iter().find(|(other, _)| *other == which) {
            return Ok(parsed.clone());
        }
        let mut bytes = vec![0; at.length];
        let mut read = 0;
        while read < bytes.len() {
            match self.listing.inputs[at.input].read_at(&mut bytes[read..], at.offset + read as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                more => read += more,
            }
        }
        let text = String::from_utf8(bytes).map_err(io::Error::other)?;
        let roots = yaml::documents(&text).filter_map(|document| Some(document.ok()?.root));
        let objects = roots.flat_map(manifest::objects).collect();
        let parsed = Arc::new(Parsed { text, objects });
        let mut kept = kept();
        kept.push_back((which, parsed.clone()));
        if kept.len() > KEPT {
            kept.pop_front();
        }
        Ok(parsed)
    }
}

/// Returns a place in a document as one of its input.
fn in_input(place: &Place, name: &str, at: &At) -> Place {
    let line = place.line.map(|line| line.saturating_add(at.lines));
    Place { file: name.to_owned(), line, column: place.column, span: None }
}

impl EntryContent {
    /// Returns the position in the input of `place`, which is one in this content.
    pub(super) fn locate(&self, store: &Store<'_>, place: &Place) -> InputPosition {
        let span = self.span(place);
        match &self.written {
            Written::Plain(name) => {
                let Some(span) = span else { return InputPosition { text: None, place: Place::file(name) } };
                let place = Place::span(name, &self.bytes, span);
                // Bytes that are no UTF-8 have another length in the text that is shown.
                let shown = |at: usize| String::from_utf8_lossy(&self.bytes[..at.min(self.bytes.len())]).len();
                let span = Some(Span { start: shown(span.start), end: shown(span.end) });
                let text = String::from_utf8_lossy(&self.bytes).into_owned();
                InputPosition { text: Some((text, 0)), place: Place { span, ..place } }
            }
            Written::Key { document, at, key, secret } => {
                let name = &store.listing.inputs[at.input].name;
                let Some(span) = Self::of_key(document, at, key, span) else {
                    return InputPosition { text: None, place: Place::file(name) };
                };
                let place = Place::span(name, document.text.as_bytes(), span);
                let line = place.line.map(|line| line.saturating_add(at.lines));
                let Some((own, lines)) = document.own_lines(at.object).filter(|_| !secret) else {
                    return InputPosition { text: None, place: Place { line, span: None, ..place } };
                };
                let inside = |at: usize| at.saturating_sub(own.start).min(own.len());
                let span = Some(Span { start: inside(span.start), end: inside(span.end) });
                let text = Some((document.text[own].to_owned(), lines.saturating_add(at.lines)));
                InputPosition { text, place: Place { line, span, ..place } }
            }
        }
    }

    /// Returns the span in the document of a span of a value; that of the whole value where there is no such span.
    fn of_key(document: &Parsed, at: &At, key: &str, span: Option<Span>) -> Option<Span> {
        let value = ConfigObject::value(document.objects.get(at.object)?, key)?.ok()?;
        let exact = |span: Span| {
            let start = value.locate(&document.text, span.start)?;
            // The end is where the last of them ends; a span that is empty stays so.
            let last = span.end.saturating_sub(1).max(span.start);
            let end = value.locate(&document.text, last).map_or(start, |last| last + 1);
            Some(Span { start, end: if span.end > span.start { end.max(start) } else { start } })
        };
        Some(span.and_then(exact).unwrap_or(value.node().span))
    }

    /// Returns the span of a place in this content; for a line, all of it without the blanks around.
    fn span(&self, place: &Place) -> Option<Span> {
        if place.span.is_some() {
            return place.span;
        }
        let wanted = place.line?.checked_sub(1)?;
        let mut start = 0;
        for (index, line) in self.bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            if index as u64 == u64::from(wanted) {
                let text = String::from_utf8_lossy(line);
                let blank = line.len() - line.trim_ascii_start().len();
                let before = |column: u32| text.chars().take(column as usize - 1).map(char::len_utf8).sum::<usize>();
                let column = place.column.filter(|column| *column > 0).map(before);
                return Some(match column {
                    Some(column) if column < line.len() => Span { start: start + column, end: start + column + 1 },
                    _ => Span { start: start + blank, end: start + blank + line.trim_ascii().len() },
                });
            }
            start += line.len();
        }
        // Checkers often report an error at the end on the line after the last.
        (start > 0 && wanted > 0).then_some(Span { start: start - 1, end: start })
    }

    /// Returns true if it is the value of a Secret.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self.written, Written::Key { secret: true, .. })
    }
}
