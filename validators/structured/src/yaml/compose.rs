//! Events → trees: what the YAML specification calls composing. Aliases and merge keys are resolved here.

use std::collections::HashMap;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, StrInput, options};
use reload_gate_contract::{Cause, Place, Span};

use crate::codes;
use crate::text::excerpt;

use super::{Broken, Document, LONGEST_KEY, MAX_DEPTH, MAX_EXPANDED, MAX_NODES, Node, Scalar, Style, Value, repeated};

/// An event, and its bytes.
type Spanned<'t> = (Event<'t>, granit_parser::Span);

/// Reads the documents of a text.
pub(super) struct Composer<'t> {
    text: &'t str,
    events: Parser<'t, StrInput<'t>>,
    /// The nodes of this document's anchors, by their numbers.
    anchors: HashMap<usize, (Node, Weight)>,
    /// Numbers of this document's nodes so far, and of the bytes of its aliases.
    nodes: usize,
    expanded: usize,
    repeated: Vec<Node>,
    /// End of the last event: the text after it belongs to the next.
    end: usize,
    /// The document at hand is broken, so that its rest is skipped.
    broken: bool,
}

/// Cost of a copy of a node.
#[derive(Clone, Copy, Default)]
struct Weight {
    nodes: usize,
    bytes: usize,
    depth: usize,
}

impl std::fmt::Debug for Composer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Composer").finish_non_exhaustive()
    }
}

impl<'t> Composer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let mut options = options! {
            flow_nesting_limit: MAX_DEPTH,
            block_nesting_limit: MAX_DEPTH,
            // As libyaml and its kin do, Kubernetes among them.
            block_scalar_eof_without_line_feed: true,
        };
        // Another crate of the program may have turned on the feature by which comments are events.
        options.set_emit_comments(false);
        let events = Parser::new_from_str_with_options(text, options);
        Self {
            text,
            events,
            anchors: HashMap::new(),
            nodes: 0,
            expanded: 0,
            repeated: Vec::new(),
            end: 0,
            broken: false,
        }
    }

    /// The next document, if there is one.
    pub(super) fn document(&mut self) -> Result<Option<Document>, Broken> {
        if self.broken && !self.events.proceed_next_document().unwrap_or(false) {
            return Ok(None);
        }
        self.broken = false;
        let document = self.read();
        self.broken = document.is_err();
        document
    }

    fn read(&mut self) -> Result<Option<Document>, Broken> {
        (self.nodes, self.expanded) = (0, 0);
        self.anchors.clear();
        self.repeated.clear();
        while let Some((event, span)) = self.next()? {
            match event {
                Event::StreamStart | Event::DocumentStart(..) => {}
                Event::StreamEnd => break,
                event => {
                    let root = self.node(event, span, 0)?;
                    // The end of the document; unexpected text there is an error of the parser.
                    self.next()?;
                    return Ok(Some(Document { root, repeated: std::mem::take(&mut self.repeated) }));
                }
            }
        }
        Ok(None)
    }

    fn next(&mut self) -> Result<Option<Spanned<'t>>, Broken> {
        let event = self.events.next().transpose().map_err(|error| self.syntax(&error))?;
        Ok(event)
    }

    fn node(&mut self, event: Event<'t>, span: granit_parser::Span, depth: usize) -> Result<Node, Broken> {
        let anchor = event.anchor_id();
        let node = self.start(&event, span);
        self.end = self.end.max(bytes(span).end);
        self.nodes += 1;
        self.within_limits(&node, depth)?;
        let node = match event {
            Event::Scalar(text, style, _, tag) => {
                let null = tag.is_none() && style == ScalarStyle::Plain && is_null(&text);
                let scalar = || Scalar { text: text.into_owned(), style: style_of(style) };
                Node { value: if null { Value::Null } else { Value::Scalar(scalar()) }, ..node }
            }
            Event::SequenceStart(..) => self.list(node, depth)?,
            Event::MappingStart(..) => self.map(node, depth)?,
            Event::Alias(id) => self.alias(&node, id, depth)?,
            _ => return Err(broken(&node, "expected a value here")),
        };
        if let Some(id) = anchor {
            let weight = weigh(&node);
            self.charge(&node, weight)?;
            self.anchors.insert(id, (node.clone(), weight));
        }
        Ok(node)
    }

    fn list(&mut self, mut list: Node, depth: usize) -> Result<Node, Broken> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::SequenceEnd) {
                list.span.end = self.close(span, items.last());
                break;
            }
            items.push(self.node(event, span, depth + 1)?);
        }
        Ok(Node { value: Value::List(items), ..list })
    }

    fn map(&mut self, mut map: Node, depth: usize) -> Result<Node, Broken> {
        let mut entries: Vec<(Node, Node)> = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::MappingEnd) {
                map.span.end = self.close(span, entries.last().map(|(_, value)| value));
                break;
            }
            let key = self.node(event, span, depth + 1)?;
            let Some((event, span)) = self.next()? else { return Err(broken(&key, "the text ends in a mapping")) };
            entries.push((key, self.node(event, span, depth + 1)?));
        }
        self.repeated.extend(repeated(&entries).cloned());
        Ok(Node { value: Value::Map(merge(entries)?), ..map })
    }

    /// End of a collection: after its bracket, or else that of its last part.
    fn close(&mut self, span: granit_parser::Span, last: Option<&Node>) -> usize {
        let Span { start, end } = bytes(span);
        self.end = self.end.max(end);
        if end > start { end } else { last.map_or(start, |last| last.span.end) }
    }

    fn alias(&mut self, alias: &Node, id: usize, depth: usize) -> Result<Node, Broken> {
        let Some((node, weight)) = self.anchors.get(&id) else {
            let inside = broken(alias, "an alias within its own anchor");
            return Err(Broken { code: codes::YAML_ALIAS, ..inside });
        };
        let (node, weight) = (node.clone(), *weight);
        self.within_limits(alias, depth + weight.depth)?;
        self.charge(alias, weight)?;
        Ok(node)
    }

    /// Pays for a copy.
    fn charge(&mut self, node: &Node, weight: Weight) -> Result<(), Broken> {
        self.nodes += weight.nodes;
        self.expanded += weight.bytes;
        if self.nodes > MAX_NODES || self.expanded > MAX_EXPANDED {
            return Err(too_large(node, "the aliases of the document expand to too much"));
        }
        Ok(())
    }

    fn within_limits(&self, node: &Node, depth: usize) -> Result<(), Broken> {
        if depth > MAX_DEPTH {
            return Err(too_large(node, TOO_DEEP));
        }
        if self.nodes > MAX_NODES {
            return Err(too_large(node, "more than a million values"));
        }
        Ok(())
    }

    /// A node which has its place, and nothing in it yet.
    fn start(&self, event: &Event<'_>, span: granit_parser::Span) -> Node {
        let Span { mut start, end } = bytes(span);
        let (mut line, mut column) = (number(span.start.line()), number(span.start.col() + 1));
        if let Event::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded, ..) = event
            && let Some(header) = self.header(start)
        {
            line -= number(self.text[header..start].bytes().filter(|byte| *byte == b'\n').count());
            let beginning = self.text[..header].rfind('\n').map_or(0, |at| at + 1);
            column = number(self.text[beginning..header].chars().count() + 1);
            start = header;
        }
        Node { span: Span { start, end }, line, column, value: Value::Null }
    }

    /// The `|` or `>` of a block scalar whose content begins at `content`: the parser names the content alone.
    fn header(&self, content: usize) -> Option<usize> {
        let between = self.text.get(self.end..content)?;
        let mut rest = between;
        loop {
            let at = between.len() - rest.len();
            let skipped = match rest.chars().next()? {
                '|' | '>' => return Some(self.end + at),
                '#' => rest.find(['\n', '\r']),
                // Properties: they have no white space in them, but may have anything else.
                '&' | '!' => rest.find([' ', '\t', '\n', '\r']),
                other => Some(other.len_utf8()),
            };
            rest = &rest[skipped?..];
        }
    }

    fn syntax(&self, error: &ScanError) -> Broken {
        let marker = error.marker();
        let start = marker.byte_offset().unwrap_or(self.end).min(self.text.len());
        let rest = &self.text[start..];
        let (code, cause, message) = match error.kind() {
            ErrorKind::RecursionLimitExceeded => (codes::TOO_LARGE, Cause::Environment, TOO_DEEP.to_owned()),
            ErrorKind::UnknownAnchor => {
                let alias = rest.split([' ', '\t', '\r', '\n', ',', ']', '}']).next().unwrap_or_default();
                let alias = excerpt(alias, LONGEST_KEY);
                let message = format!("unknown alias `{alias}`: there is no such anchor before it");
                (codes::YAML_ALIAS, Cause::Config, message)
            }
            kind @ (ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabAtBlockScalarStart
            | ErrorKind::TabInIndentation
            | ErrorKind::TabInPlainScalar) => (codes::YAML_TAB, Cause::Config, kind.to_string()),
            kind => (codes::YAML_SYNTAX, Cause::Config, kind.to_string()),
        };
        if code == codes::YAML_TAB {
            // The parser names the place where it noticed it: after the tab, or at the end of the line before.
            let at = if self.text[..start].ends_with('\t') { start - 1 } else { start + rest.find('\t').unwrap_or(0) };
            let span = Span { start: at, end: at + 1 };
            let place = Place::span("", self.text.as_bytes(), span);
            let (line, column) = (place.line.unwrap_or(1), place.column.unwrap_or(1));
            return Broken { line, column, span, message, code, cause };
        }
        let end = start + rest.chars().next().map_or(0, char::len_utf8);
        let (line, column) = (number(marker.line()), number(marker.col() + 1));
        Broken { line, column, span: Span { start, end }, message, code, cause }
    }
}

const TOO_DEEP: &str = "nested too deep";

/// Puts the mappings of a merge key (`<<`, <https://yaml.org/type/merge.html>) in its place: what the mapping says
/// itself goes before, and what is named first before what is named later.
fn merge(entries: Vec<(Node, Node)>) -> Result<Vec<(Node, Node)>, Broken> {
    let merges = |key: &Node| matches!(&key.value, Value::Scalar(Scalar { text, style: Style::Plain }) if text == "<<");
    if !entries.iter().any(|(key, _)| merges(key)) {
        return Ok(entries);
    }
    let (merged, mut own): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(key, _)| merges(key));
    let mut known: std::collections::HashSet<_> = own.iter().map(|(key, _)| key.as_str().map(str::to_owned)).collect();
    for (key, value) in merged {
        let sources = match value.value {
            Value::List(items) => items,
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
    let parts: Vec<_> = match &node.value {
        Value::Null => Vec::new(),
        Value::Scalar(scalar) => return Weight { nodes: 1, bytes: scalar.text.len(), depth: 0 },
        Value::List(items) => items.iter().map(weigh).collect(),
        Value::Map(entries) => entries.iter().flat_map(|(key, value)| [weigh(key), weigh(value)]).collect(),
    };
    let empty = Weight { nodes: 1, bytes: 0, depth: 0 };
    parts.iter().fold(empty, |all, part| Weight {
        nodes: all.nodes + part.nodes,
        bytes: all.bytes + part.bytes,
        depth: all.depth.max(part.depth + 1),
    })
}

/// The plain scalars which are null in YAML's core schema (YAML 1.2.2, 10.3.2).
fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
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

fn broken(node: &Node, message: &str) -> Broken {
    Broken {
        line: node.line,
        column: node.column,
        span: node.span,
        message: message.into(),
        code: codes::YAML_SYNTAX,
        cause: Cause::Config,
    }
}

fn too_large(node: &Node, message: &str) -> Broken {
    Broken { code: codes::TOO_LARGE, cause: Cause::Environment, ..broken(node, message) }
}

fn bytes(span: granit_parser::Span) -> Span {
    // A parser of a `&str` always knows them.
    let range = span.byte_range().unwrap_or_default();
    Span { start: range.start, end: range.end }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
