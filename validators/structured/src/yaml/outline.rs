//! Events → faults, without a tree: of each anchor and each mapping that is open only as much is kept as a fault needs.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};

use granit_parser::{Event, ScalarStyle};

use super::events::{DocumentSize, ParserEvents, Weight, broken, is_null};
use super::{Broken, Node, Scalar, Style, Value, twice};
use crate::codes;

/// Summary of a node that was read.
#[derive(Clone, Copy)]
struct Outline {
    form: Form,
    weight: Weight,
}

/// Form of a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A scalar, by the hash of its text.
    Scalar(u64),
    /// A plain `<<`, which merges mappings.
    Merge(u64),
    Map,
    /// True if each of its items is a mapping.
    List(bool),
}

/// An anchor in small: there may be one for every few bytes of a text.
#[derive(Clone, Copy)]
struct Anchor {
    hash: u64,
    nodes: u32,
    bytes: u32,
    depth: u8,
    /// `None` until its node has ended.
    form: Option<AnchorForm>,
}

#[derive(Clone, Copy)]
enum AnchorForm {
    Scalar,
    Merge,
    Map,
    ListOfMaps,
    List,
}

impl Anchor {
    const OPEN: Self = Self { hash: 0, nodes: 0, bytes: 0, depth: 0, form: None };

    fn of(Outline { form, weight }: Outline) -> Self {
        let (form, hash) = match form {
            Form::Scalar(hash) => (AnchorForm::Scalar, hash),
            Form::Merge(hash) => (AnchorForm::Merge, hash),
            Form::Map => (AnchorForm::Map, 0),
            Form::List(true) => (AnchorForm::ListOfMaps, 0),
            Form::List(false) => (AnchorForm::List, 0),
        };
        // The limits of a document are far below those of these numbers.
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let depth = u8::try_from(weight.depth).unwrap_or(u8::MAX);
        Self { hash, nodes: small(weight.nodes), bytes: small(weight.bytes), depth, form: Some(form) }
    }

    fn outline(self) -> Option<Outline> {
        let form = match self.form? {
            AnchorForm::Scalar => Form::Scalar(self.hash),
            AnchorForm::Merge => Form::Merge(self.hash),
            AnchorForm::Map => Form::Map,
            AnchorForm::ListOfMaps => Form::List(true),
            AnchorForm::List => Form::List(false),
        };
        let weight = Weight { nodes: self.nodes as usize, bytes: self.bytes as usize, depth: self.depth.into() };
        Some(Outline { form, weight })
    }
}

/// Reads the documents of a text for their faults.
pub(super) struct Outliner<'t, 'f> {
    text: &'t str,
    events: ParserEvents<'t>,
    hasher: RandomState,
    /// This document's anchors by their numbers, from `first` on.
    anchors: Vec<Anchor>,
    first: Option<usize>,
    size: DocumentSize,
    found: &'f mut dyn FnMut(Broken),
}

impl<'t, 'f> Outliner<'t, 'f> {
    /// A reader that reports each fault to `found`.
    pub(super) fn new(text: &'t str, found: &'f mut dyn FnMut(Broken)) -> Self {
        let (events, hasher) = (ParserEvents::new(text), RandomState::new());
        Self { text, events, hasher, anchors: Vec::new(), first: None, size: DocumentSize::default(), found }
    }

    /// Reads all documents. After a broken one it goes on with the next that begins with `---`, if there is one.
    pub(super) fn read(&mut self) {
        loop {
            match self.document() {
                Ok(true) => {}
                Ok(false) => return,
                Err(broken) => {
                    (self.found)(broken);
                    if !self.events.next_document() {
                        return;
                    }
                }
            }
        }
    }

    /// Reads a document; false if there is none.
    fn document(&mut self) -> Result<bool, Broken> {
        (self.size, self.first) = (DocumentSize::default(), None);
        self.anchors.clear();
        while let Some((event, span)) = self.events.next()? {
            match event {
                Event::StreamStart | Event::DocumentStart(..) => {}
                Event::StreamEnd => break,
                event => {
                    self.node(event, span, 0)?;
                    // The end of the document; unexpected text there is an error of the parser.
                    self.events.next()?;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn node(&mut self, event: Event<'t>, span: granit_parser::Span, depth: usize) -> Result<Outline, Broken> {
        let anchor = event.anchor_id();
        let place = self.events.start(&event, span);
        self.size.add(&place, depth)?;
        let outline = match event {
            Event::Scalar(text, style, _, tag) => {
                let is_plain = tag.is_none() && style == ScalarStyle::Plain;
                let text = (!(is_plain && is_null(&text))).then_some(&*text);
                let hash = self.hasher.hash_one(text);
                let merges = style == ScalarStyle::Plain && text == Some("<<");
                let weight = Weight { nodes: 1, bytes: text.map_or(0, str::len), depth: 0 };
                let form = if merges { Form::Merge(hash) } else { Form::Scalar(hash) };
                Outline { form, weight }
            }
            Event::SequenceStart(..) => self.list(depth)?,
            Event::MappingStart(..) => self.map(depth)?,
            Event::Alias(id) => {
                let outline = self.alias(&place, id, depth)?;
                self.size.add_copy(&place, outline.weight)?;
                outline
            }
            _ => return Err(broken(&place, "expected a value here")),
        };
        if let Some(id) = anchor {
            self.size.add_copy(&place, outline.weight)?;
            let index = id - *self.first.get_or_insert(id);
            if self.anchors.len() <= index {
                self.anchors.resize(index + 1, Anchor::OPEN);
            }
            self.anchors[index] = Anchor::of(outline);
        }
        Ok(outline)
    }

    fn list(&mut self, depth: usize) -> Result<Outline, Broken> {
        let (mut weight, mut of_maps) = (Weight { nodes: 1, bytes: 0, depth: 0 }, true);
        while let Some((event, span)) = self.events.next()? {
            if matches!(event, Event::SequenceEnd) {
                self.events.close(span, None);
                break;
            }
            let item = self.node(event, span, depth + 1)?;
            weight.add(item.weight);
            of_maps &= item.form == Form::Map;
        }
        Ok(Outline { form: Form::List(of_maps), weight })
    }

    fn map(&mut self, depth: usize) -> Result<Outline, Broken> {
        let mut weight = Weight { nodes: 1, bytes: 0, depth: 0 };
        let mut keys = BTreeSet::new();
        while let Some((event, span)) = self.events.next()? {
            if matches!(event, Event::MappingEnd) {
                self.events.close(span, None);
                break;
            }
            let shown = self.key(&event, span);
            let key = self.node(event, span, depth + 1)?;
            if let Form::Scalar(hash) | Form::Merge(hash) = key.form
                && !keys.insert(hash)
            {
                (self.found)(twice(&shown));
            }
            let Some((event, span)) = self.events.next()? else {
                return Err(broken(&shown, "the text ends in a mapping"));
            };
            let value = self.node(event, span, depth + 1)?;
            if matches!(key.form, Form::Merge(_)) && !matches!(value.form, Form::Map | Form::List(true)) {
                return Err(broken(&shown, "a merge key takes a mapping or a list of mappings"));
            }
            weight.add(key.weight);
            weight.add(value.weight);
        }
        Ok(Outline { form: Form::Map, weight })
    }

    /// A key for a message: the beginning of its text, or of an alias the alias itself.
    fn key(&mut self, event: &Event<'t>, span: granit_parser::Span) -> Node {
        let place = self.events.place(event, span);
        let text = match event {
            Event::Scalar(text, ..) => text.chars().take(super::LONGEST_KEY + 1).collect(),
            _ => self.text.get(place.span.start()..place.span.end()).unwrap_or_default().into(),
        };
        Node { value: Value::Scalar(Scalar { text, style: Style::Plain }), ..place }
    }

    fn alias(&self, alias: &Node, id: usize, depth: usize) -> Result<Outline, Broken> {
        let index = self.first.and_then(|first| id.checked_sub(first));
        let anchor = index.and_then(|index| self.anchors.get(index));
        let Some(outline) = anchor.and_then(|anchor| anchor.outline()) else {
            let inside = broken(alias, "an alias within its own anchor");
            return Err(Broken { code: codes::YAML_ALIAS, ..inside });
        };
        self.size.fits(alias, depth + outline.weight.depth)?;
        Ok(outline)
    }
}
