//! Events → trees: what the YAML specification calls composing. Aliases and merge keys are resolved here.

use std::collections::HashMap;

use granit_parser::{Event, ScalarStyle};

use crate::codes;

use super::events::{DocumentSize, ParserEvents, Weight, broken, is_null};
use super::{Broken, Document, Node, Scalar, Style, Value, repeated};

/// Reads the documents of a text.
pub(super) struct Composer<'t> {
    events: ParserEvents<'t>,
    /// The nodes of this document's anchors, by their numbers.
    anchors: HashMap<usize, (Node, Weight)>,
    size: DocumentSize,
    repeated: Vec<Node>,
    /// The document at hand is broken, so that its rest is skipped.
    broken: bool,
}

impl std::fmt::Debug for Composer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Composer").finish_non_exhaustive()
    }
}

impl<'t> Composer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let (anchors, repeated) = (HashMap::new(), Vec::new());
        Self { events: ParserEvents::new(text), anchors, size: DocumentSize::default(), repeated, broken: false }
    }

    /// The next document, if there is one.
    pub(super) fn document(&mut self) -> Result<Option<Document>, Broken> {
        if self.broken && !self.events.next_document() {
            return Ok(None);
        }
        self.broken = false;
        let document = self.read();
        self.broken = document.is_err();
        document
    }

    fn read(&mut self) -> Result<Option<Document>, Broken> {
        self.size = DocumentSize::default();
        self.anchors.clear();
        self.repeated.clear();
        while let Some((event, span)) = self.events.next()? {
            match event {
                Event::StreamStart | Event::DocumentStart(..) => {}
                Event::StreamEnd => break,
                event => {
                    let root = self.node(event, span, 0)?;
                    // The end of the document; unexpected text there is an error of the parser.
                    self.events.next()?;
                    return Ok(Some(Document { root, repeated: std::mem::take(&mut self.repeated) }));
                }
            }
        }
        Ok(None)
    }

    fn node(&mut self, event: Event<'t>, span: granit_parser::Span, depth: usize) -> Result<Node, Broken> {
        let anchor = event.anchor_id();
        let node = self.events.start(&event, span);
        self.size.add(&node, depth)?;
        let node = match event {
            Event::Scalar(text, style, _, tag) => {
                let null = tag.is_none() && style == ScalarStyle::Plain && is_null(&text);
                let scalar = || Scalar { text: text.into(), style: style_of(style) };
                Node { value: if null { Value::Null } else { Value::Scalar(scalar()) }, ..node }
            }
            Event::SequenceStart(..) => self.list(node, depth)?,
            Event::MappingStart(..) => self.map(node, depth)?,
            Event::Alias(id) => self.alias(&node, id, depth)?,
            _ => return Err(broken(&node, "expected a value here")),
        };
        if let Some(id) = anchor {
            let weight = weigh(&node);
            self.size.add_copy(&node, weight)?;
            self.anchors.insert(id, (node.clone(), weight));
        }
        Ok(node)
    }

    fn list(&mut self, mut list: Node, depth: usize) -> Result<Node, Broken> {
        let mut items: Vec<Node> = Vec::new();
        while let Some((event, span)) = self.events.next()? {
            if matches!(event, Event::SequenceEnd) {
                list.span = list.span.until(self.events.close(span, items.last().map(|last| last.span.end())));
                break;
            }
            grow(&mut items);
            items.push(self.node(event, span, depth + 1)?);
        }
        Ok(Node { value: Value::List(items.into()), ..list })
    }

    fn map(&mut self, mut map: Node, depth: usize) -> Result<Node, Broken> {
        let mut entries: Vec<(Node, Node)> = Vec::new();
        while let Some((event, span)) = self.events.next()? {
            if matches!(event, Event::MappingEnd) {
                map.span = map.span.until(self.events.close(span, entries.last().map(|(_, value)| value.span.end())));
                break;
            }
            let key = self.node(event, span, depth + 1)?;
            let Some((event, span)) = self.events.next()? else {
                return Err(broken(&key, "the text ends in a mapping"));
            };
            let value = self.node(event, span, depth + 1)?;
            if entries.len() == MANY {
                entries.reserve_exact(self.events.lines_beside(&map, &key));
            }
            grow(&mut entries);
            entries.push((key, value));
        }
        self.repeated.extend(repeated(&entries).map(|(_, (key, _))| key.clone()));
        Ok(Node { value: Value::Map(merge(entries)?.into()), ..map })
    }

    fn alias(&mut self, alias: &Node, id: usize, depth: usize) -> Result<Node, Broken> {
        let Some((node, weight)) = self.anchors.get(&id) else {
            let inside = broken(alias, "an alias within its own anchor");
            return Err(Broken { code: codes::YAML_ALIAS, ..inside });
        };
        let (node, weight) = (node.clone(), *weight);
        self.size.fits(alias, depth + weight.depth)?;
        self.size.add_copy(alias, weight)?;
        Ok(node)
    }
}

/// Number of entries of a mapping from which on the lines of its text are counted: room for all of them is made at once, since a list that
/// grows is in memory twice.
const MANY: usize = 64;

/// Makes room for another node. A long list grows by an eighth: a node takes many times its text, and the usual growth would double that.
pub(crate) fn grow<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 8).max(4));
    }
}

/// Puts the mappings of a merge key (`<<`, <https://yaml.org/type/merge.html>) in its place: what the mapping says
/// itself goes before, and what is named first before what is named later.
fn merge(entries: Vec<(Node, Node)>) -> Result<Vec<(Node, Node)>, Broken> {
    let merges =
        |key: &Node| matches!(&key.value, Value::Scalar(Scalar { text, style: Style::Plain }) if &**text == "<<");
    if !entries.iter().any(|(key, _)| merges(key)) {
        return Ok(entries);
    }
    let (merged, mut own): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(key, _)| merges(key));
    let mut known: std::collections::HashSet<_> = own.iter().map(|(key, _)| key.as_str().map(str::to_owned)).collect();
    for (key, value) in merged {
        let sources = match value.value {
            Value::List(items) => items.into_vec(),
            _ => vec![value],
        };
        for source in sources {
            let Value::Map(entries) = source.value else {
                return Err(broken(&key, "a merge key takes a mapping or a list of mappings"));
            };
            own.extend(entries.into_iter().filter(|(key, _)| known.insert(key.as_str().map(str::to_owned))));
        }
    }
    Ok(own)
}

fn weigh(node: &Node) -> Weight {
    let mut weight = Weight { nodes: 1, bytes: 0, depth: 0 };
    match &node.value {
        Value::Null => {}
        Value::Scalar(scalar) => weight.bytes = scalar.text.len(),
        Value::List(items) => items.iter().for_each(|item| weight.add(weigh(item))),
        Value::Map(entries) => {
            entries.iter().flat_map(|(key, value)| [key, value]).for_each(|part| weight.add(weigh(part)));
        }
    }
    weight
}

fn style_of(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::SingleQuoted,
        ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
        ScalarStyle::Literal => Style::Literal,
        ScalarStyle::Folded => Style::Folded,
    }
}
