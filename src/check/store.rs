//! The contents of what is listed, read when they are wanted. IO: reads inputs and files.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use reload_gate_contract::{Code, Finding, Place, Span};
use reload_gate_structured::yaml::{self, Node};

use super::listing::{At, Listing};
use crate::check::manifest::{self, Annotated, Config};
use crate::check::render::{Located, Subject};

const UNREADABLE_INPUT: Code = Code::new("unreadable-input");

/// So many documents are kept parsed: more than are judged at once, since each is asked for several times in a row.
const KEPT: usize = 16;

/// What stands behind a file that is to be judged.
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
    /// The object that it is of.
    pub(super) fn config(&self) -> Option<usize> {
        match self {
            Self::Key { config, .. } => Some(*config),
            Self::File(_) | Self::Input(_) => None,
        }
    }
}

/// A content, and how its positions become those of the input.
pub(super) struct Content {
    pub(super) bytes: Vec<u8>,
    written: Written,
}

enum Written {
    /// In a document, by the node and whether what is there may be shown.
    Key { document: Arc<Parsed>, at: At, key: String, secret: bool },
    /// As it is, in a file or stream of this name.
    Plain(String),
}

/// Where something stands in an input.
pub(super) struct Spot {
    /// The lines that may be shown around it, and how many come before them; `None` where nothing may be.
    pub(super) text: Option<(String, u32)>,
    /// The place in the input; its span is one of `text`.
    pub(super) place: Place,
}

/// A document that was read again.
#[derive(Debug)]
pub(super) struct Parsed {
    text: String,
    objects: Vec<Node>,
}

impl Parsed {
    /// The whole lines of the text that an object is on, and how many come before them; `None` where others are on them too: what is
    /// beside it may be a Secret.
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

/// A parsed document, by its input and offset.
type Kept = ((usize, u64), Arc<Parsed>);

/// Reads what is listed.
pub(super) struct Store<'l> {
    pub(super) listing: &'l Listing,
    kept: Mutex<VecDeque<Kept>>,
}

impl<'l> Store<'l> {
    pub(super) fn new(listing: &'l Listing) -> Self {
        Self { listing, kept: Mutex::default() }
    }

    /// The ConfigMap or Secret of that kind and name, as a pod of `namespace` means it.
    pub(super) fn config(&self, kind: &str, namespace: Option<&str>, name: &str) -> Option<usize> {
        let fits = |config: &Config| {
            // A rendered chart leaves the namespace open, and means the one that it is installed in.
            let same = config.id.namespace.as_deref().zip(namespace).is_none_or(|(one, other)| one == other);
            same && config.id.kind == kind && config.id.name == name
        };
        // Of several, the last is what stands in the cluster in the end.
        self.listing.configs.iter().rposition(|(config, _)| fits(config))
    }

    /// The entries of the ConfigMap or Secret with that index.
    pub(super) fn entries(&self, config: usize) -> BTreeMap<String, Entry> {
        let keys = self.listing.configs[config].0.keys.iter();
        keys.map(|key| (key.clone(), Entry::Key { config, key: key.clone() })).collect()
    }

    /// Where an entry is written.
    pub(super) fn subject(&self, entry: &Entry) -> Subject {
        match entry {
            Entry::File(path) => {
                Subject { input: path.to_string_lossy().into_owned(), object: None, key: None, line: None }
            }
            Entry::Input(input) => {
                Subject { input: self.listing.inputs[*input].name.clone(), object: None, key: None, line: None }
            }
            Entry::Key { config, key } => {
                let (config, at) = &self.listing.configs[*config];
                Subject {
                    input: self.listing.inputs[at.input].name.clone(),
                    object: Some(config.id.to_string()),
                    key: Some(key.clone()),
                    line: Some(config.line.saturating_add(at.lines)),
                }
            }
        }
    }

    /// A finding about an entry, with the names of the object that it is of.
    pub(super) fn located(&self, entry: &Entry, finding: Finding) -> Located {
        let Subject { object, key, .. } = self.subject(entry);
        Located { finding, object, key, excerpt: None }
    }

    /// Who judges an entry by the annotation of its object, and where that is written.
    pub(super) fn annotation(&self, entry: &Entry) -> Option<(Annotated, Place)> {
        let (config, at) = &self.listing.configs[entry.config()?];
        let annotated = config.validator.clone()?;
        let place = in_input(&annotated.place, &self.listing.inputs[at.input].name, at);
        Some((annotated, place))
    }

    /// The content of an entry.
    ///
    /// # Errors
    /// What is wrong with it, at its place in the input.
    pub(super) fn content(&self, entry: &Entry) -> Result<Content, Box<Finding>> {
        let unreadable = |name: &str, error: &io::Error| {
            Box::new(
                Finding::environment(UNREADABLE_INPUT, format!("it cannot be read: {error}")).at(Place::file(name)),
            )
        };
        match entry {
            Entry::File(path) => {
                let name = path.to_string_lossy().into_owned();
                let bytes = std::fs::read(path).map_err(|error| unreadable(&name, &error))?;
                Ok(Content { bytes, written: Written::Plain(name) })
            }
            Entry::Input(index) => {
                let input = &self.listing.inputs[*index];
                let bytes = input.whole().map_err(|error| unreadable(&input.name, &error))?;
                Ok(Content { bytes, written: Written::Plain(input.name.clone()) })
            }
            Entry::Key { config, key } => {
                let (config, at) = &self.listing.configs[*config];
                let name = &self.listing.inputs[at.input].name;
                let document = self.document(at).map_err(|error| unreadable(name, &error))?;
                let node = document.objects.get(at.object);
                let changed = || unreadable(name, &io::Error::other("it changed while it was read"));
                let bytes = match Config::value(node.ok_or_else(changed)?, key).ok_or_else(changed)? {
                    Ok(value) => value.content.into_owned(),
                    Err(finding) => {
                        let place = finding.place.as_ref().map(|place| in_input(place, name, at));
                        return Err(Box::new(Finding { place, ..*finding }));
                    }
                };
                let (at, key, secret) = (*at, key.clone(), config.secret);
                Ok(Content { bytes, written: Written::Key { document, at, key, secret } })
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

/// A place in a document, as one of its input.
fn in_input(place: &Place, name: &str, at: &At) -> Place {
    let line = place.line.map(|line| line.saturating_add(at.lines));
    Place { file: name.to_owned(), line, column: place.column, span: None }
}

impl Content {
    /// The position in the input of `place`, which is one in this content.
    pub(super) fn locate(&self, store: &Store<'_>, place: &Place) -> Spot {
        let span = self.span(place);
        match &self.written {
            Written::Plain(name) => {
                let Some(span) = span else { return Spot { text: None, place: Place::file(name) } };
                let place = Place::span(name, &self.bytes, span);
                // What is no UTF-8 takes other room in what is shown.
                let shown = |at: usize| String::from_utf8_lossy(&self.bytes[..at.min(self.bytes.len())]).len();
                let span = Some(Span { start: shown(span.start), end: shown(span.end) });
                let text = String::from_utf8_lossy(&self.bytes).into_owned();
                Spot { text: Some((text, 0)), place: Place { span, ..place } }
            }
            Written::Key { document, at, key, secret } => {
                let name = &store.listing.inputs[at.input].name;
                let Some(span) = Self::of_key(document, at, key, span) else {
                    return Spot { text: None, place: Place::file(name) };
                };
                let place = Place::span(name, document.text.as_bytes(), span);
                let line = place.line.map(|line| line.saturating_add(at.lines));
                let Some((own, lines)) = document.own_lines(at.object).filter(|_| !secret) else {
                    return Spot { text: None, place: Place { line, span: None, ..place } };
                };
                let inside = |at: usize| at.saturating_sub(own.start).min(own.len());
                let span = Some(Span { start: inside(span.start), end: inside(span.end) });
                let text = Some((document.text[own].to_owned(), lines.saturating_add(at.lines)));
                Spot { text, place: Place { line, span, ..place } }
            }
        }
    }

    /// The bytes of the document which a span of a value stands for, or the whole value where it has none or they do not correspond.
    fn of_key(document: &Parsed, at: &At, key: &str, span: Option<Span>) -> Option<Span> {
        let value = Config::value(document.objects.get(at.object)?, key)?.ok()?;
        let exact = |span: Span| {
            let start = value.locate(&document.text, span.start)?;
            // The end is where the last of them ends; a span that is empty stays so.
            let last = span.end.saturating_sub(1).max(span.start);
            let end = value.locate(&document.text, last).map_or(start, |last| last + 1);
            Some(Span { start, end: if span.end > span.start { end.max(start) } else { start } })
        };
        Some(span.and_then(exact).unwrap_or(value.node().span))
    }

    /// The bytes of this content that a place is about; of a line that is all of it without the blanks around.
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
        // An error at the end is often told of the line after the last.
        (start > 0 && wanted > 0).then_some(Span { start: start - 1, end: start })
    }

    /// Whether it must not be shown.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self.written, Written::Key { secret: true, .. })
    }
}
