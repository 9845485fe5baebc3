//! Events of the parser with their places, and the faults of syntax.

use granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, StrInput, options};
use reload_gate_contract::{Cause, LineIndex, Place, Span};

use crate::codes;
use crate::text::excerpt;

use super::{Broken, LONGEST_KEY, MAX_DEPTH, MAX_EXPANDED, MAX_NODES, Node, Value};

/// An event, and its bytes.
pub(super) type Spanned<'t> = (Event<'t>, granit_parser::Span);

/// Cost of a copy of a node.
#[derive(Clone, Copy, Default)]
pub(super) struct Weight {
    pub(super) nodes: usize,
    pub(super) bytes: usize,
    pub(super) depth: usize,
}

impl Weight {
    /// Adds the cost of a part.
    pub(super) fn add(&mut self, part: Self) {
        self.nodes += part.nodes;
        self.bytes += part.bytes;
        self.depth = self.depth.max(part.depth + 1);
    }
}

/// Size of a document so far, which has limits.
#[derive(Clone, Copy, Default)]
pub(super) struct DocumentSize {
    /// Number of nodes, with those of its aliases.
    nodes: usize,
    /// Bytes of its aliases.
    expanded: usize,
}

impl DocumentSize {
    /// Adds a node of the text itself, `depth` levels deep.
    ///
    /// # Errors
    /// When the document is too large or too deep.
    pub(super) fn add(&mut self, node: &Node, depth: usize) -> Result<(), Broken> {
        self.nodes += 1;
        self.fits(node, depth)
    }

    /// Adds a copy of a node, as a program that reads the document has to make it.
    ///
    /// # Errors
    /// When the document is too large.
    pub(super) fn add_copy(&mut self, node: &Node, weight: Weight) -> Result<(), Broken> {
        self.nodes += weight.nodes;
        self.expanded += weight.bytes;
        if self.nodes > MAX_NODES || self.expanded > MAX_EXPANDED {
            return Err(too_large(node, "the aliases of the document expand to too much"));
        }
        Ok(())
    }

    /// Checks that a node may be `depth` levels deep.
    ///
    /// # Errors
    /// When the document is too large or too deep.
    pub(super) fn fits(self, node: &Node, depth: usize) -> Result<(), Broken> {
        if depth > MAX_DEPTH {
            return Err(too_large(node, TOO_DEEP));
        }
        if self.nodes > MAX_NODES {
            return Err(too_large(node, "more than a million values"));
        }
        Ok(())
    }
}

/// The events of a text.
pub(super) struct ParserEvents<'t> {
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    /// End of the last event: the text after it belongs to the next.
    end: usize,
    /// The lines of a text with carriage returns that end a line of YAML (YAML 1.2.2, 5.4), and none for editors.
    lines: Option<LineIndex>,
    /// Bytes in which lines may still be counted: mappings in each other have the same lines, so that the work would be a multiple.
    countable: usize,
}

impl<'t> ParserEvents<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let mut options = options! {
            flow_nesting_limit: MAX_DEPTH,
            block_nesting_limit: MAX_DEPTH,
            // As libyaml and its kin do, Kubernetes among them.
            block_scalar_eof_without_line_feed: true,
        };
        // Another crate of the program may have turned on the feature by which comments are events.
        options.set_emit_comments(false);
        let is_alone = |at: usize| text.as_bytes().get(at + 1) != Some(&b'\n');
        let has_returns = text.match_indices('\r').any(|(at, _)| is_alone(at));
        let lines = has_returns.then(|| LineIndex::new(text.as_bytes()));
        Self {
            text,
            parser: Parser::new_from_str_with_options(text, options),
            end: 0,
            lines,
            countable: 2 * text.len(),
        }
    }

    /// The line and the column of a byte.
    fn position(&self, byte: usize, marker: &Marker) -> (u32, u32) {
        match &self.lines {
            Some(lines) => (lines.line(byte), lines.column(self.text.as_bytes(), byte)),
            None => (number(marker.line()), number(marker.col() + 1)),
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Spanned<'t>>, Broken> {
        self.parser.next().transpose().map_err(|error| self.syntax(&error))
    }

    /// Goes on with the document behind a broken one; false if there is none.
    pub(super) fn next_document(&mut self) -> bool {
        self.parser.proceed_next_document().unwrap_or(false)
    }

    /// A node which has its place, and nothing in it yet.
    pub(super) fn start(&mut self, event: &Event<'_>, span: granit_parser::Span) -> Node {
        let node = self.place(event, span);
        self.end = self.end.max(bytes(span).end);
        node
    }

    /// End of a collection: after its bracket, or else that of its last part.
    pub(super) fn close(&mut self, span: granit_parser::Span, last: Option<usize>) -> usize {
        let Span { start, end } = bytes(span);
        self.end = self.end.max(end);
        if end > start { end } else { last.unwrap_or(start) }
    }

    pub(super) fn place(&self, event: &Event<'_>, span: granit_parser::Span) -> Node {
        let Span { mut start, end } = bytes(span);
        let (mut line, mut column) = self.position(start, &span.start);
        if let Event::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded, ..) = event
            && let Some(header) = self.header(start)
        {
            line -= number(self.text[header..start].bytes().filter(|byte| *byte == b'\n').count());
            let beginning = self.text[..header].rfind('\n').map_or(0, |at| at + 1);
            column = number(self.text[beginning..header].chars().count() + 1);
            start = header;
        }
        Node { span: Span { start, end }.into(), line, column, value: Value::Null }
    }

    /// Number of the lines from that of a key on which have its indentation, up to the first with less: as many entries has the rest of its
    /// block mapping, with comments at most. Zero in braces, where the lines may be those of many other mappings, and when as many bytes as
    /// two texts have were looked at.
    pub(super) fn lines_beside(&mut self, map: &Node, key: &Node) -> usize {
        if self.text.as_bytes().get(map.span.start()) == Some(&b'{') {
            return 0;
        }
        let start = self.text[..key.span.start()].rfind('\n').map_or(0, |at| at + 1);
        let indent = key.span.start() - start;
        let blanks = |line: &str| line.len() - line.trim_start_matches(' ').len();
        let mut count = 0;
        for line in self.text[start..].split_inclusive('\n') {
            let found = blanks(line);
            let is_blank = line.trim().is_empty();
            let Some(rest) = self.countable.checked_sub(line.len()) else { return 0 };
            self.countable = rest;
            if (found < indent && !is_blank) || count == MAX_NODES {
                break;
            }
            count += usize::from(found == indent && !is_blank);
        }
        count
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
        let (line, column) = self.position(start, marker);
        Broken { line, column, span: Span { start, end }, message, code, cause }
    }
}

const TOO_DEEP: &str = "nested too deep";

/// The plain scalars which are null in YAML's core schema (YAML 1.2.2, 10.3.2).
pub(super) fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

pub(super) fn broken(node: &Node, message: &str) -> Broken {
    Broken {
        line: node.line,
        column: node.column,
        span: node.span.into(),
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
