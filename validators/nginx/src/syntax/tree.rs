//! The syntax of one file as a lossless tree.
//!
//! A [`SyntaxTree`] is made of two flat lists: the [`Token`]s, which together with the spaces between them tile the text from
//! its first byte to its last, and the [`SyntaxNode`]s in the order of the text, each with the end of its subtree.
//! Flat lists make nesting of any depth harmless, and a tree as cheap to drop as to build.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;

use reload_gate_contract::{LineIndex, Place, Span};

/// TokenKind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// Spaces, tabs and line ends.
    Space,
    /// From `#` to the end of the line, without the line end.
    Comment,
    /// A word: bare, or quoted (its quotes belong to it).
    Word,
    /// `;`
    Semicolon,
    /// `{`
    Open,
    /// `}`
    Close,
    /// The code between the braces of a `*_by_lua_block`.
    Lua,
}

/// A piece of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its kind.
    pub kind: TokenKind,
    /// Its first byte.
    pub start: u32,
    /// The byte after its last.
    pub end: u32,
    /// It is a word with an escape in it.
    escaped: bool,
}

/// Syntax error at one place; the messages are those of `ngx_conf_parse()` and
/// `ngx_conf_read_token()` in `src/core/ngx_conf_file.c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyntaxError {
    /// A `;`, `{` or `}` with nothing before it, a `}` in the middle of a directive, or anything but a space or a
    /// terminator after a closing quote.
    Unexpected(u8),
    /// The file ends within a directive.
    UnfinishedDirective,
    /// The file ends within a block.
    UnfinishedBlock,
    /// A word (or comment) that does not fit nginx's buffer, begun by this quote if by any.
    TooLong(Option<u8>),
}

/// TokenKind of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A directive that ends with `;` (or, after a syntax error, with nothing).
    Simple,
    /// A directive with a block; the nodes after it up to [`SyntaxNode::end`] are the block's.
    Block,
    /// A place where nginx would stop reading.
    Error(SyntaxError),
}

/// A directive or a syntax error.
#[derive(Clone, Copy, Debug)]
pub struct SyntaxNode {
    /// Its kind.
    pub kind: NodeKind,
    first: u32,
    last: u32,
    end: u32,
    closed: u32,
    /// It ends with a terminator, which is the token `last`.
    terminated: bool,
}

impl SyntaxNode {
    /// The index of the first node that is not in this one's subtree.
    #[must_use]
    pub fn end(&self) -> usize {
        self.end as usize
    }

    /// True if a `;` or `{` ends the directive.
    #[must_use]
    pub fn is_terminated(&self) -> bool {
        self.terminated
    }

    /// True if a `}` closes the block.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed != u32::MAX
    }

    /// The bytes of the token which ended the directive (`;` or `{`), or the place of a syntax error.
    #[must_use]
    pub fn terminator(&self, tree: &SyntaxTree<'_>) -> Span {
        match self.kind {
            NodeKind::Error(_) => Span { start: self.first as usize, end: self.last as usize },
            _ if self.terminated => span(tree.tokens[self.last as usize]),
            _ => tree.end_of_text(),
        }
    }

    /// The bytes of the `}` which closed the block; the end of the text if nothing did.
    #[must_use]
    pub fn closing(&self, tree: &SyntaxTree<'_>) -> Span {
        tree.tokens.get(self.closed as usize).map_or_else(|| tree.end_of_text(), |token| span(*token))
    }
}

fn span(token: Token) -> Span {
    Span { start: token.start as usize, end: token.end as usize }
}

/// A word of a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word<'t> {
    /// The value that nginx reads: without quotes, with escapes replaced.
    pub value: &'t [u8],
    /// Its bytes, with its quotes.
    pub span: Span,
}

/// A file's text and its syntax.
#[derive(Clone, Debug)]
pub struct SyntaxTree<'t> {
    text: Cow<'t, [u8]>,
    /// All tokens but spaces and comments, so that the words of a directive are next to each other.
    tokens: Vec<Token>,
    comments: Vec<Token>,
    nodes: Vec<SyntaxNode>,
    /// The values of the words with escapes in them, by the index of their tokens.
    unescaped: Vec<(u32, Box<[u8]>)>,
    /// Index of lines, computed on first use.
    lines: OnceLock<LineIndex>,
}

impl<'t> SyntaxTree<'t> {
    pub(crate) fn new(text: Cow<'t, [u8]>, built: Builder) -> Self {
        let Builder { tokens, comments, nodes, .. } = built;
        let escaped = tokens.iter().enumerate().filter(|(_, token)| token.escaped);
        let unescaped = escaped.map(|(at, token)| (offset(at), unescape(&text[inside(&text, *token)]))).collect();
        Self { text, tokens, comments, nodes, unescaped, lines: OnceLock::new() }
    }

    /// The text, as it was given.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// All tokens: they tile the text.
    pub fn tokens(&self) -> impl Iterator<Item = Token> {
        let space = |start, end| Token { kind: TokenKind::Space, start, end, escaped: false };
        let end = space(offset(self.text.len()), offset(self.text.len()));
        let (mut tokens, mut comments) = (self.tokens.iter().peekable(), self.comments.iter().peekable());
        let visible = std::iter::from_fn(move || match (tokens.peek(), comments.peek()) {
            (Some(token), Some(comment)) if comment.start < token.start => comments.next(),
            (Some(_), _) => tokens.next(),
            (None, _) => comments.next(),
        });
        let mut at = 0;
        visible.copied().chain([end]).flat_map(move |token| {
            let before = space(at, token.start);
            at = token.end;
            [before, token].into_iter().filter(|token| token.start < token.end)
        })
    }

    /// All nodes, each before those of its block.
    #[must_use]
    pub fn nodes(&self) -> &[SyntaxNode] {
        &self.nodes
    }

    /// The text again, put together from the tokens.
    #[must_use]
    pub fn print(&self) -> Vec<u8> {
        self.tokens().flat_map(|token| &self.text[token.start as usize..token.end as usize]).copied().collect()
    }

    /// The number of words of a directive, its name included; a syntax error has none.
    #[must_use]
    pub fn count(&self, node: usize) -> usize {
        self.range(node).len()
    }

    /// A word of a directive: 0 is its name.
    #[must_use]
    pub fn word(&self, node: usize, at: usize) -> Option<Word<'_>> {
        self.range(node).nth(at).map(|token| self.value(token))
    }

    /// The words of a directive, its name first; a syntax error has none.
    pub fn words(&self, node: usize) -> impl Iterator<Item = Word<'_>> {
        self.range(node).map(|token| self.value(token))
    }

    /// The words of a directive among the tokens.
    fn range(&self, node: usize) -> Range<usize> {
        let SyntaxNode { kind, first, last, .. } = self.nodes[node];
        if matches!(kind, NodeKind::Error(_)) { 0..0 } else { first as usize..last as usize }
    }

    fn value(&self, at: usize) -> Word<'_> {
        let token = self.tokens[at];
        let unescaped = || self.unescaped.binary_search_by_key(&offset(at), |(token, _)| *token).ok();
        let value = match token.escaped.then(unescaped).flatten() {
            Some(found) => &*self.unescaped[found].1,
            None => &self.text[inside(&self.text, token)],
        };
        Word { value, span: span(token) }
    }

    /// The line of a byte, counted from 1.
    #[must_use]
    pub fn line(&self, byte: usize) -> u32 {
        self.lines().line(byte)
    }

    /// The column of a byte in characters, counted from 1.
    #[must_use]
    pub fn column(&self, byte: usize) -> u32 {
        self.lines().column(&self.text, byte)
    }

    /// A range of bytes as a place in a file of that name.
    #[must_use]
    pub fn place(&self, file: impl Into<String>, span: Span) -> Place {
        self.lines().place(file, &self.text, span)
    }

    /// The width of the white space before a byte, if there is nothing else before it on its line.
    pub(crate) fn indentation(&self, byte: usize) -> Option<usize> {
        let before = &self.text[..byte];
        let width = before.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        matches!(before.iter().nth_back(width), None | Some(b'\n')).then_some(width)
    }

    fn lines(&self) -> &LineIndex {
        self.lines.get_or_init(|| LineIndex::new(&self.text))
    }

    fn end_of_text(&self) -> Span {
        Span { start: self.text.len(), end: self.text.len() }
    }
}

/// The bytes of a word within its quotes.
fn inside(text: &[u8], token: Token) -> Range<usize> {
    let (start, end) = (token.start as usize, token.end as usize);
    match text[start] {
        quote @ (b'"' | b'\'') => {
            let closed = end - start > 1 && text[end - 1] == quote;
            start + 1..if closed { end - 1 } else { end }
        }
        _ => start..end,
    }
}

/// The meaning of a backslash with this byte after it; `None` if it is no escape.
pub(crate) fn escape(byte: u8) -> Option<u8> {
    match byte {
        b'"' | b'\'' | b'\\' => Some(byte),
        b't' => Some(b'\t'),
        b'r' => Some(b'\r'),
        b'n' => Some(b'\n'),
        _ => None,
    }
}

/// Replaces `\"`, `\'`, `\\`, `\t`, `\r` and `\n`; any other backslash stays.
fn unescape(raw: &[u8]) -> Box<[u8]> {
    let mut value = Vec::with_capacity(raw.len());
    let mut at = 0;
    while at < raw.len() {
        let escaped = raw.get(at + 1).filter(|_| raw[at] == b'\\').and_then(|byte| escape(*byte));
        value.push(escaped.unwrap_or(raw[at]));
        at += if escaped.is_some() { 2 } else { 1 };
    }
    value.into()
}

/// An offset as it is kept: texts of four gigabytes and more are not read (see [`crate::syntax::parser::parse`]).
pub(crate) fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Builds the nodes of a [`SyntaxTree`].
#[derive(Default)]
pub(crate) struct Builder {
    pub(crate) tokens: Vec<Token>,
    pub(crate) comments: Vec<Token>,
    pub(crate) nodes: Vec<SyntaxNode>,
    open: Vec<usize>,
}

impl Builder {
    /// Room for the tokens and nodes of a text of that length, if it is one as people write them.
    pub(crate) fn with_room(length: usize) -> Self {
        let (tokens, nodes) = (Vec::with_capacity(length / 10), Vec::with_capacity(length / 40));
        Self { tokens, nodes, ..Self::default() }
    }

    pub(crate) fn token(&mut self, kind: TokenKind, start: usize, end: usize) {
        self.tokens.push(Token { kind, start: offset(start), end: offset(end), escaped: false });
    }

    pub(crate) fn comment(&mut self, start: usize, end: usize) {
        let (start, end) = (offset(start), offset(end));
        self.comments.push(Token { kind: TokenKind::Comment, start, end, escaped: false });
    }

    /// A word; `escaped` if it has an escape in it.
    pub(crate) fn word(&mut self, start: usize, end: usize, escaped: bool) {
        self.tokens.push(Token { kind: TokenKind::Word, start: offset(start), end: offset(end), escaped });
    }

    pub(crate) fn error(&mut self, error: SyntaxError, start: usize, end: usize) {
        let next = offset(self.nodes.len() + 1);
        let (first, last) = (offset(start), offset(end));
        self.nodes.push(SyntaxNode {
            kind: NodeKind::Error(error),
            first,
            last,
            end: next,
            closed: u32::MAX,
            terminated: false,
        });
    }

    /// A directive from the token `first`, ended by the last token if it is terminated.
    pub(crate) fn directive(&mut self, kind: NodeKind, first: usize, terminated: bool) {
        let last = offset(if terminated { self.tokens.len() - 1 } else { self.tokens.len() });
        if kind == NodeKind::Block {
            self.open.push(self.nodes.len());
        }
        let end = offset(self.nodes.len() + 1);
        self.nodes.push(SyntaxNode { kind, first: offset(first), last, end, closed: u32::MAX, terminated });
    }

    /// Closes the innermost block with the last token; false if none is open.
    pub(crate) fn close(&mut self) -> bool {
        let Some(node) = self.open.pop() else { return false };
        self.nodes[node].end = offset(self.nodes.len());
        self.nodes[node].closed = offset(self.tokens.len() - 1);
        true
    }

    /// Ends all blocks that are still open; false if there are none.
    pub(crate) fn finish(&mut self) {
        let end = offset(self.nodes.len());
        for node in self.open.drain(..) {
            self.nodes[node].end = end;
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }
}
