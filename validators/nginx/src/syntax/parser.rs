//! Text to [`SyntaxTree`], by the rules of `ngx_conf_read_token()` in `src/core/ngx_conf_file.c`.
//!
//! At a place where nginx would stop, the tree has an error node, and reading goes on as the writer probably meant it.

use std::borrow::Cow;

use crate::syntax::lua;
use crate::syntax::tree::{Builder, NodeKind, Sink, SyntaxError, SyntaxTree, Token, TokenKind, escape};

/// The size of nginx's read buffer: a word, with what follows it, must fit.
const BUFFER: usize = 4096;

/// Reads a file's syntax. It cannot fail: what is wrong is a node of its own in the tree.
///
/// Of a text beyond four gigabytes only that much is read.
#[must_use]
pub fn parse<'t>(text: impl Into<Cow<'t, [u8]>>) -> SyntaxTree<'t> {
    let mut text = text.into();
    if u32::try_from(text.len()).is_err() {
        text = Cow::Owned(text[..u32::MAX as usize].to_vec());
    }
    let mut built = read(&text, Builder::with_room(text.len()));
    built.finish();
    SyntaxTree::new(text, built)
}

/// All tokens of a text: they tile it.
pub(crate) fn tokens(text: &[u8]) -> Vec<Token> {
    let mut tokens = read(text, Tokens::default()).0;
    let at = tokens.last().map_or(0, |last| last.end);
    if at < text.len() {
        tokens.push(Token { kind: TokenKind::Space, start: at, end: text.len() });
    }
    tokens
}

/// The tokens so far, with the spaces between them.
#[derive(Default)]
struct Tokens(Vec<Token>);

impl Sink for Tokens {
    fn word(&mut self, start: usize, end: usize, _escaped: bool) {
        self.mark(TokenKind::Word, start, end);
    }

    fn mark(&mut self, kind: TokenKind, start: usize, end: usize) {
        let before = self.0.last().map_or(0, |last| last.end);
        if before < start {
            self.0.push(Token { kind: TokenKind::Space, start: before, end: start });
        }
        self.0.push(Token { kind, start, end });
    }
}

fn read<S: Sink>(text: &[u8], sink: S) -> S {
    let mut parser =
        Parser { text, at: 0, start: 0, filled: 0, too_long: false, name: None, has_lines: false, found: sink };
    while parser.directive() {}
    parser.found
}

struct Parser<'t, S> {
    text: &'t [u8],
    at: usize,
    /// Start of the bytes that nginx keeps when it fills its buffer again.
    start: usize,
    /// End of nginx's buffer.
    filled: usize,
    /// The word is reported as too long.
    too_long: bool,
    /// The first word of the directive, once it is read.
    name: Option<&'t [u8]>,
    /// A line has ended since the first word.
    has_lines: bool,
    found: S,
}

impl<S: Sink> Parser<'_, S> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Records that nginx has read the byte at `at` (or has found the end of the file there).
    fn read(&mut self, at: usize, quote: Option<u8>) {
        while at >= self.filled && self.filled < self.text.len() {
            if self.filled - self.start == BUFFER {
                // nginx stops here, so that one error for each word will do.
                if !std::mem::replace(&mut self.too_long, true) {
                    let (start, end) = (self.start, (self.start + 10).min(self.text.len()));
                    self.found.error(quote.map_or(SyntaxError::TooLong, SyntaxError::TooLongQuoted), start, end);
                }
                self.start = self.filled;
            }
            self.filled = (self.start + BUFFER).min(self.text.len());
        }
    }

    /// Reads up to the next terminator; false at the end of the file.
    fn directive(&mut self) -> bool {
        self.start = self.at;
        (self.name, self.has_lines) = (None, false);
        let mut after_word = false;
        loop {
            self.space(after_word);
            let Some(byte) = self.peek() else { return self.end_of_file() };
            self.read(self.at, None);
            self.start = self.at;
            self.too_long = false;
            after_word = !matches!(byte, b'#');
            match byte {
                b'#' => self.comment(),
                b';' | b'{' | b'}' => {
                    self.terminator(byte);
                    return true;
                }
                _ => self.word(byte),
            }
        }
    }

    /// Goes to the next byte that is no space. To nginx the first one after a word belongs to the word.
    fn space(&mut self, after_word: bool) {
        let first = self.at + usize::from(after_word);
        let mut end = self.at;
        loop {
            match self.text.get(end) {
                Some(b' ' | b'\t' | b'\r') => {}
                Some(b'\n') => self.has_lines = true,
                _ => break,
            }
            end += 1;
        }
        while self.filled < end {
            // nginx fills its buffer when it is at this byte, and keeps nothing but the space before.
            if self.filled > first {
                self.start = self.filled - 1;
            }
            self.read(self.filled.max(self.at), None);
        }
        if end > first {
            self.start = end - 1;
        }
        self.at = end;
    }

    fn comment(&mut self) {
        let from = self.at;
        self.at = self.text[from..].iter().position(|byte| *byte == b'\n').map_or(self.text.len(), |end| from + end);
        self.read(self.at, None);
        self.found.mark(TokenKind::Comment, from, self.at);
    }

    fn word(&mut self, first: u8) {
        let from = self.at;
        if matches!(first, b'"' | b'\'') {
            self.start += 1;
            let escaped = self.quoted(first);
            self.has_lines = self.has_lines || self.text[from..self.at].contains(&b'\n');
            self.read(self.at.saturating_sub(1), Some(first));
            self.found.word(from, self.at, escaped);
            self.after_quote();
        } else {
            let escaped = self.bare();
            self.read(self.at, None);
            self.found.word(from, self.at, escaped);
        }
        if self.name.is_none() {
            self.name = Some(&self.text[from..self.at]);
            self.has_lines = false;
        }
    }

    /// Goes to the end of a quoted word. True if it has an escape.
    fn quoted(&mut self, quote: u8) -> bool {
        let mut escaped = false;
        self.at += 1;
        loop {
            let rest = &self.text[self.at.min(self.text.len())..];
            let Some(length) = rest.iter().position(|byte| *byte == quote || *byte == b'\\') else { break };
            self.at += length;
            if self.text[self.at] == quote {
                self.at += 1;
                return escaped;
            }
            escaped |= self.escape();
            self.at += 2;
        }
        self.at = self.text.len();
        escaped
    }

    /// Goes to the end of a word without quotes. A `{` directly after a `$` belongs to it.
    fn bare(&mut self) -> bool {
        let mut escaped = false;
        loop {
            let rest = &self.text[self.at.min(self.text.len())..];
            let Some(length) = rest.iter().position(|byte| MARKS[usize::from(*byte)]) else { break };
            self.at += length;
            match self.text[self.at] {
                b'\\' => {
                    escaped |= self.escape();
                    self.has_lines = self.has_lines || self.text.get(self.at + 1) == Some(&b'\n');
                    self.at += 2;
                }
                b'$' => {
                    let braces = self.text[self.at + 1..].iter().take_while(|byte| **byte == b'{').count();
                    self.at += 1 + braces;
                }
                _ => return escaped,
            }
        }
        self.at = self.text.len();
        escaped
    }

    /// True if the backslash here and the next byte are an escape.
    fn escape(&self) -> bool {
        self.text.get(self.at + 1).is_some_and(|byte| escape(*byte).is_some())
    }

    /// After a closing quote only a space, a terminator or a `)` may follow.
    fn after_quote(&mut self) {
        let Some(byte) = self.peek() else { return };
        if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' | b')') {
            self.found.error(SyntaxError::Unexpected(byte), self.at, self.at + 1);
        }
    }

    fn terminator(&mut self, byte: u8) {
        let from = self.at;
        self.at += 1;
        let kind = match byte {
            b';' => TokenKind::Semicolon,
            b'{' => TokenKind::Open,
            _ => TokenKind::Close,
        };
        self.found.mark(kind, from, self.at);
        let unexpected = SyntaxError::Unexpected(byte);
        match (byte, self.name) {
            (b'}', name) => {
                if name.is_some() {
                    self.found.error(unexpected, from, self.at);
                    self.found.directive(NodeKind::Simple, None, self.has_lines);
                }
                if !self.found.close(from) {
                    self.found.error(unexpected, from, self.at);
                }
            }
            (b'{', Some(name)) => {
                self.found.directive(NodeKind::Block, Some(from), self.has_lines);
                self.lua(name);
            }
            (b'{', None) => {
                self.found.error(unexpected, from, self.at);
                self.found.directive(NodeKind::Block, Some(from), false);
            }
            (_, Some(_)) => self.found.directive(NodeKind::Simple, Some(from), self.has_lines),
            (_, None) => self.found.error(unexpected, from, self.at),
        }
    }

    /// Reads the body of a `*_by_lua_block`, which is Lua with braces, strings and comments of its own.
    fn lua(&mut self, name: &[u8]) {
        if !name.ends_with(b"_by_lua_block") {
            return;
        }
        let from = self.at;
        self.at += lua::block(&self.text[from..]);
        self.start = self.at;
        self.filled = self.filled.max(self.at);
        if self.at > from {
            self.found.mark(TokenKind::Lua, from, self.at);
        }
    }

    fn end_of_file(&mut self) -> bool {
        let end = self.text.len();
        if self.name.is_some() {
            self.found.error(SyntaxError::UnfinishedDirective, end, end);
            self.found.directive(NodeKind::Simple, None, self.has_lines);
        } else if self.found.is_open() {
            self.found.error(SyntaxError::UnfinishedBlock, end, end);
        }
        false
    }
}

/// The bytes that end a word without quotes, or have a meaning of their own in it.
const MARKS: [bool; 256] = {
    let mut marks = [false; 256];
    let bytes = b" \t\r\n;{\\$";
    let mut at = 0;
    while at < bytes.len() {
        marks[bytes[at] as usize] = true;
        at += 1;
    }
    marks
};
