//! YAML with places: text → trees in which every node has its place.
//!
//! A document that is JSON is read as JSON (RFC 8259): YAML has no pairs of surrogates and no long keys.
//! Positions are those of [`Place::span`](reload_gate_contract::Place::span): lines and characters from 1.

mod check;
mod compose;
mod events;
mod locate;
mod outline;

#[cfg(test)]
mod tests;

use reload_gate_contract::{Cause, Code, Span};

use crate::text::excerpt;
use crate::{codes, json};
pub use check::check;
use compose::Composer;
pub(crate) use compose::grow;

/// Limit of nested lists and mappings, the same as in most JSON parsers.
pub const MAX_DEPTH: usize = 128;

/// Limit of a document's nodes, including those of its aliases.
pub const MAX_NODES: usize = 1_000_000;

/// Limit of the bytes of text of a document's aliases.
pub const MAX_EXPANDED: usize = 16 << 20;

/// Limit of the characters of a key in a message.
pub(crate) const LONGEST_KEY: usize = 100;

/// A piece of YAML, and its place. The node of an alias keeps the place of its anchor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its bytes in the text, quotes and the header of a block scalar included; anchors and tags are not.
    pub span: NodeSpan,
    /// The line of its first byte, from 1.
    pub line: u32,
    /// The column of its first byte in characters, from 1.
    pub column: u32,
    /// Its value.
    pub value: Value,
}

/// The bytes of a node in half the memory of a [`Span`], since a document has many nodes. What lies behind the first 4 GiB of a text, which
/// is far more than is read anywhere, counts as their end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeSpan {
    start: u32,
    end: u32,
}

impl NodeSpan {
    /// The offset of its first byte.
    #[must_use]
    pub fn start(self) -> usize {
        Span::from(self).start
    }

    /// The offset behind its last byte.
    #[must_use]
    pub fn end(self) -> usize {
        Span::from(self).end
    }

    /// The same up to another end.
    pub(crate) fn until(self, end: usize) -> Self {
        Span { start: self.start(), end }.into()
    }
}

impl From<Span> for NodeSpan {
    fn from(Span { start, end }: Span) -> Self {
        let small = |offset| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { start: small(start), end: small(end) }
    }
}

impl From<NodeSpan> for Span {
    fn from(NodeSpan { start, end }: NodeSpan) -> Self {
        let offset = |small| usize::try_from(small).unwrap_or(usize::MAX);
        Self { start: offset(start), end: offset(end) }
    }
}

/// Value of a piece of YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing, or a plain `null` or `~`.
    Null,
    /// Any other scalar; what it means is for the reader to say.
    Scalar(Scalar),
    /// The items of a sequence.
    List(Box<[Node]>),
    /// The keys and values of a mapping, merge keys (`<<`) resolved; those that were merged come last.
    Map(Box<[(Node, Node)]>),
}

/// A scalar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// Its value, without quotes, escapes, folds and indentation.
    pub text: Box<str>,
    /// Its style.
    pub style: Style,
}

/// Style of a scalar (YAML 1.2.2, chapters 7.3 and 8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// `'…'`
    SingleQuoted,
    /// `"…"`, as JSON's strings are.
    DoubleQuoted,
    /// `|`
    Literal,
    /// `>`
    Folded,
}

/// A document of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its content.
    pub root: Node,
    /// The keys that its mappings have already: the second and each further one of those that say the same, however
    /// they are written. (Lists and mappings as keys are not compared.)
    pub repeated: Vec<Node>,
}

/// A fault of the text, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// The bytes.
    pub span: Span,
    /// The fault: one line, lower case, no full stop.
    pub message: String,
    /// The kind of fault.
    pub code: Code,
    /// The text is wrong, or larger than the limits of this crate ([`Cause::Environment`]).
    pub cause: Cause,
}

/// Parses the first document of `text`; `None` if there is none. What comes after it is not looked at.
///
/// # Errors
/// The first thing that is wrong, which may be that it is too large ([`MAX_DEPTH`], [`MAX_NODES`], [`MAX_EXPANDED`]); a
/// key that a mapping has twice is wrong too, as for Kubernetes.
pub fn parse(text: &str) -> Result<Option<Node>, Broken> {
    let Some(document) = documents(text).next().transpose()? else { return Ok(None) };
    match document.repeated.into_iter().min_by_key(|key| key.span.start()) {
        Some(key) => Err(twice(&key)),
        None => Ok(Some(document.root)),
    }
}

/// Parses the documents of a stream one after another, each when it is asked for; places are those in the whole text.
/// After a broken one it goes on with the next that begins with `---`, if there is one.
#[must_use]
pub fn documents(text: &str) -> Documents<'_> {
    let mut values = Box::new(json::Values::new(text));
    let begins_as_json = matches!(values.first_byte(), Some(b'{' | b'['));
    let reader = match values.next().filter(|_| begins_as_json) {
        // JSON that has a document of YAML behind it, or a comment, is read as YAML, which nearly all JSON is.
        Some(first) if matches!(values.first_byte(), None | Some(b'{' | b'[')) && first.is_ok() => {
            YamlReader::Json { next: Some(first), values }
        }
        _ => YamlReader::Yaml(Box::new(Composer::new(text))),
    };
    Documents { reader }
}

/// The documents of a stream.
#[derive(Debug)]
pub struct Documents<'t> {
    reader: YamlReader<'t>,
}

#[derive(Debug)]
enum YamlReader<'t> {
    Json { next: Option<Result<Document, Broken>>, values: Box<json::Values<'t>> },
    Yaml(Box<Composer<'t>>),
}

impl Iterator for Documents<'_> {
    type Item = Result<Document, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.reader {
            YamlReader::Json { next, values } => next.take().or_else(|| values.next()),
            YamlReader::Yaml(composer) => composer.document().transpose(),
        }
    }
}

impl Node {
    /// The value of a key, if this is a mapping that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name.as_str() == Some(key)).map(|(_, value)| value)
    }

    /// Its text, if it is a scalar and not null.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// Returns true if another node says the same, wherever it is written.
    #[must_use]
    pub fn has_same_value(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Map(own), Value::Map(others)) => {
                let mut pairs = own.iter().zip(others);
                own.len() == others.len()
                    && pairs
                        .all(|((key, value), (name, other))| key.has_same_value(name) && value.has_same_value(other))
            }
            (Value::List(own), Value::List(others)) => {
                own.len() == others.len() && own.iter().zip(others).all(|(own, other)| own.has_same_value(other))
            }
            (own, other) => own == other,
        }
    }

    /// The items, if it is a list.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The keys and values, if it is a mapping.
    #[must_use]
    pub fn entries(&self) -> &[(Self, Self)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }
}

/// Returns the entries of a mapping whose key is there already, each with the one before it. Lists and mappings as keys are not compared.
pub fn repeated(entries: &[(Node, Node)]) -> impl Iterator<Item = (&(Node, Node), &(Node, Node))> {
    let is_scalar = |(key, _): &&(Node, Node)| !matches!(key.value, Value::Map(_) | Value::List(_));
    let mut sorted = Vec::with_capacity(entries.len());
    sorted.extend(entries.iter().filter(is_scalar));
    sorted.sort_unstable_by_key(|(key, _)| (key.as_str(), key.span.start()));
    let is_same = |pair: &&[&(Node, Node)]| pair[0].0.as_str() == pair[1].0.as_str();
    let again: Vec<_> = sorted.windows(2).filter(is_same).map(|pair| (pair[0], pair[1])).collect();
    again.into_iter()
}

/// The fault of a duplicate key.
#[must_use]
pub fn twice(key: &Node) -> Broken {
    let message = format!("duplicate key `{}`", excerpt(key.as_str().unwrap_or("null"), LONGEST_KEY));
    Broken {
        line: key.line,
        column: key.column,
        span: key.span.into(),
        message,
        code: codes::DUPLICATE_KEY,
        cause: Cause::Config,
    }
}
