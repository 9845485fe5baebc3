//! The syntax of one file as a lossless tree.
//!
//! A [`SyntaxTree`] is made of flat lists: the words in the order of the text, and the [`SyntaxNode`]s, each with its first
//! word and the end of its subtree. The text itself shows what is between the words. Flat lists make nesting of any depth
//! harmless, and a tree as cheap to drop as to build.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;

use reload_gate_contract::{LineIndex, Place, Span};

use crate::syntax::parser;

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
    pub start: usize,
    /// The byte after its last.
    pub end: usize,
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
    /// A word (or comment) that does not fit nginx's buffer.
    TooLong,
    /// The same for a word that begins with this quote.
    TooLongQuoted(u8),
}

/// TokenKind of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A directive that ends with `;` (or, after a syntax error, with nothing).
    Simple,
    /// A directive with a block; the nodes after it up to [`SyntaxTree::end`] are the block's.
    Block,
    /// A place where nginx would stop reading.
    Error(SyntaxError),
}

/// A directive or a syntax error. There are as many as lines in a file, so it is kept small.
#[derive(Clone, Copy, Debug)]
pub struct SyntaxNode {
    /// Its kind.
    pub kind: NodeKind,
    /// A word has an escape in it.
    escaped: bool,
    /// A line ends between its first word and its terminator.
    has_lines: bool,
    /// The index of its first word; its words end where those of the next node begin.
    words: u32,
    /// The byte of the `;` or `{`, or [`NOWHERE`]; the first byte of a syntax error.
    place: u32,
    /// The index among the blocks; the byte behind a syntax error.
    link: u32,
}

/// No byte of a text.
const NOWHERE: u32 = u32::MAX;

/// Number of equal errors in a row that have a node each. A file may have nothing but errors, of which so many are never shown.
const ROW: usize = 1_000;

impl SyntaxNode {
    /// True if a `;` or `{` ends the directive.
    #[must_use]
    pub fn is_terminated(&self) -> bool {
        self.place != NOWHERE
    }

    /// True if the directive has more than one line, its first word counted as its last line.
    pub(crate) fn has_lines(&self) -> bool {
        self.has_lines
    }
}

/// The end of a block.
#[derive(Clone, Copy, Debug)]
struct BlockEnd {
    /// The index of the first node behind it.
    end: u32,
    /// The byte of its `}`, or [`NOWHERE`].
    closing: u32,
}

/// The bytes of a word, with its quotes.
#[derive(Clone, Copy, Debug)]
struct WordSpan {
    start: u32,
    end: u32,
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
    words: Vec<WordSpan>,
    nodes: Vec<SyntaxNode>,
    blocks: Vec<BlockEnd>,
    /// The numbers of equal errors behind the last of a row, by its node.
    repeated: Vec<(u32, u32)>,
    /// The values of the words with escapes in them, by the index of the word.
    unescaped: Vec<(u32, Box<[u8]>)>,
    /// Index of lines, computed on first use.
    lines: OnceLock<LineIndex>,
}

impl<'t> SyntaxTree<'t> {
    pub(crate) fn new(text: Cow<'t, [u8]>, built: Builder) -> Self {
        let Builder { mut words, mut nodes, mut blocks, repeated, escaped, .. } = built;
        // No more are added, and what comes next needs the room.
        words.shrink_to_fit();
        nodes.shrink_to_fit();
        blocks.shrink_to_fit();
        let value = |at: u32| (at, unescape(&text[inside(&text, words[at as usize])]));
        let unescaped = escaped.into_iter().map(value).collect();
        Self { text, words, nodes, blocks, repeated, unescaped, lines: OnceLock::new() }
    }

    /// The text, as it was given.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// All tokens: they tile the text.
    #[must_use]
    pub fn tokens(&self) -> Vec<Token> {
        parser::tokens(&self.text)
    }

    /// All nodes, each before those of its block.
    #[must_use]
    pub fn nodes(&self) -> &[SyntaxNode] {
        &self.nodes
    }

    /// The text again, put together from the tokens.
    #[must_use]
    pub fn print(&self) -> Vec<u8> {
        self.tokens().into_iter().flat_map(|token| &self.text[token.start..token.end]).copied().collect()
    }

    /// The index of the first node that is not in the subtree of a node.
    #[must_use]
    pub fn end(&self, node: usize) -> usize {
        match self.block(node) {
            Some(block) => block.end as usize,
            None => node + 1,
        }
    }

    /// The number of further errors like that of a node, directly behind it.
    pub(crate) fn repeated(&self, node: usize) -> usize {
        let found = self.repeated.binary_search_by_key(&offset(node), |(node, _)| *node);
        found.map_or(0, |found| self.repeated[found].1 as usize)
    }

    fn block(&self, node: usize) -> Option<&BlockEnd> {
        let SyntaxNode { kind, link, .. } = &self.nodes[node];
        (*kind == NodeKind::Block).then(|| &self.blocks[*link as usize])
    }

    /// True if a `}` closes the block of a node.
    #[must_use]
    pub fn is_closed(&self, node: usize) -> bool {
        self.block(node).is_some_and(|block| block.closing != NOWHERE)
    }

    /// The bytes of the token which ended the directive (`;` or `{`), or the place of a syntax error.
    #[must_use]
    pub fn terminator(&self, node: usize) -> Span {
        let SyntaxNode { kind, place, link, .. } = self.nodes[node];
        match kind {
            NodeKind::Error(_) => Span { start: place as usize, end: link as usize },
            NodeKind::Simple | NodeKind::Block => self.byte(place),
        }
    }

    /// The bytes of the `}` which closed the block; the end of the text if nothing did.
    #[must_use]
    pub fn closing(&self, node: usize) -> Span {
        self.byte(self.block(node).map_or(NOWHERE, |block| block.closing))
    }

    /// The span of one byte; the end of the text for none.
    fn byte(&self, at: u32) -> Span {
        let end = self.text.len();
        if at == NOWHERE {
            return Span { start: end, end };
        }
        Span { start: at as usize, end: at as usize + 1 }
    }

    /// The number of words of a directive, its name included; a syntax error has none.
    #[must_use]
    pub fn count(&self, node: usize) -> usize {
        self.range(node).len()
    }

    /// A word of a directive: 0 is its name.
    #[must_use]
    #[inline]
    pub fn word(&self, node: usize, at: usize) -> Option<Word<'_>> {
        self.range(node).nth(at).map(|word| self.value(node, word))
    }

    /// The words of a directive, its name first; a syntax error has none.
    pub fn words(&self, node: usize) -> impl Iterator<Item = Word<'_>> {
        self.range(node).map(move |word| self.value(node, word))
    }

    /// The indices of the words of a directive.
    #[inline]
    fn range(&self, node: usize) -> Range<usize> {
        let end = self.nodes.get(node + 1).map_or(self.words.len(), |next| next.words as usize);
        self.nodes[node].words as usize..end
    }

    #[inline]
    fn value(&self, node: usize, at: usize) -> Word<'_> {
        let word = self.words[at];
        let unescaped = if self.nodes[node].escaped { self.unescaped(at) } else { None };
        let value = unescaped.unwrap_or_else(|| &self.text[inside(&self.text, word)]);
        Word { value, span: Span { start: word.start as usize, end: word.end as usize } }
    }

    /// The value of a word with escapes in it.
    #[cold]
    fn unescaped(&self, at: usize) -> Option<&[u8]> {
        let found = self.unescaped.binary_search_by_key(&offset(at), |(word, _)| *word).ok();
        found.map(|found| &*self.unescaped[found].1)
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
}

/// The bytes of a word within its quotes.
#[inline]
fn inside(text: &[u8], word: WordSpan) -> Range<usize> {
    let (start, end) = (word.start as usize, word.end as usize);
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
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Receives what the parser finds, in the order of the text.
pub(crate) trait Sink {
    /// A word; `escaped` if it has an escape in it.
    fn word(&mut self, start: usize, end: usize, escaped: bool);

    /// Any other token but space.
    fn mark(&mut self, kind: TokenKind, start: usize, end: usize);

    /// A syntax error; it comes before the directive that it is found in.
    fn error(&mut self, _error: SyntaxError, _start: usize, _end: usize) {}

    /// A directive of the words since the one before, with the byte of its terminator if it has one.
    fn directive(&mut self, _kind: NodeKind, _terminator: Option<usize>, _has_lines: bool) {}

    /// The `}` at a byte. False if no block is open.
    fn close(&mut self, _at: usize) -> bool {
        true
    }

    /// True if a block is open.
    fn is_open(&self) -> bool {
        false
    }
}

/// Builds the nodes of a [`SyntaxTree`].
#[derive(Default)]
pub(crate) struct Builder {
    words: Vec<WordSpan>,
    nodes: Vec<SyntaxNode>,
    blocks: Vec<BlockEnd>,
    repeated: Vec<(u32, u32)>,
    /// The number of equal errors in a row.
    row: usize,
    /// The indices of the words with escapes.
    escaped: Vec<u32>,
    /// The first word of the directive that is being read.
    first: usize,
    open: Vec<u32>,
}

impl Builder {
    /// Room for the words and nodes of a text of that length, if it is one as people write them.
    pub(crate) fn with_room(length: usize) -> Self {
        let (words, nodes) = (Vec::with_capacity(length / 16), Vec::with_capacity(length / 40));
        Self { words, nodes, ..Self::default() }
    }

    fn push(&mut self, kind: NodeKind, place: u32, link: u32, has_lines: bool) {
        let escaped = self.escaped.last().is_some_and(|word| *word as usize >= self.first);
        self.nodes.push(SyntaxNode { kind, escaped, has_lines, words: offset(self.first), place, link });
    }

    /// True if an error is counted with the equal ones of a long row before it.
    fn is_repeated(&mut self, kind: NodeKind) -> bool {
        let is_in_row = self.words.len() == self.first && self.nodes.last().is_some_and(|last| last.kind == kind);
        self.row = if is_in_row { self.row + 1 } else { 0 };
        if self.row < ROW {
            return false;
        }
        let last = offset(self.nodes.len() - 1);
        match self.repeated.last_mut().filter(|(node, _)| *node == last) {
            Some((_, count)) => *count += 1,
            None => self.repeated.push((last, 1)),
        }
        true
    }

    /// Ends all blocks that are still open.
    pub(crate) fn finish(&mut self) {
        let end = offset(self.nodes.len());
        for block in self.open.drain(..) {
            self.blocks[block as usize].end = end;
        }
    }
}

impl Sink for Builder {
    fn word(&mut self, start: usize, end: usize, escaped: bool) {
        if escaped {
            self.escaped.push(offset(self.words.len()));
        }
        self.words.push(WordSpan { start: offset(start), end: offset(end) });
    }

    fn mark(&mut self, _kind: TokenKind, _start: usize, _end: usize) {}

    fn error(&mut self, error: SyntaxError, start: usize, end: usize) {
        let kind = NodeKind::Error(error);
        if !self.is_repeated(kind) {
            self.push(kind, offset(start), offset(end), false);
        }
    }

    fn directive(&mut self, kind: NodeKind, terminator: Option<usize>, has_lines: bool) {
        let place = terminator.map_or(NOWHERE, offset);
        let link = offset(self.blocks.len());
        if kind == NodeKind::Block {
            self.open.push(link);
            self.blocks.push(BlockEnd { end: NOWHERE, closing: NOWHERE });
        }
        self.push(kind, place, link, has_lines);
        self.first = self.words.len();
    }

    fn close(&mut self, at: usize) -> bool {
        let Some(block) = self.open.pop() else { return false };
        // What follows is in another block.
        self.row = 0;
        self.blocks[block as usize] = BlockEnd { end: offset(self.nodes.len()), closing: offset(at) };
        true
    }

    fn is_open(&self) -> bool {
        !self.open.is_empty()
    }
}
