//! Text to [`SyntaxTree`], by the rules of `ngx_conf_read_token()` in `src/core/ngx_conf_file.c`.
//!
//! At a place where nginx would stop, the tree has an error node, and reading goes on as the writer probably meant it.

use std::borrow::Cow;

use crate::syntax::lua;
use crate::syntax::tree::{Builder, NodeKind, SyntaxError, SyntaxTree, TokenKind, escape};

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
    let mut parser =
        Parser { text: &text, at: 0, start: 0, filled: 0, too_long: false, tree: Builder::with_room(text.len()) };
    while parser.directive() {}
    let built = parser.tree;
    SyntaxTree::new(text, built)
}

struct Parser<'t> {
    text: &'t [u8],
    at: usize,
    /// Start of the bytes that nginx keeps when it fills its buffer again.
    start: usize,
    /// End of nginx's buffer.
    filled: usize,
    /// The word is reported as too long.
    too_long: bool,
    tree: Builder,
}

impl Parser<'_> {
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
                    self.tree.error(SyntaxError::TooLong(quote), start, end);
                }
                self.start = self.filled;
            }
            self.filled = (self.start + BUFFER).min(self.text.len());
        }
    }

    /// Reads up to the next terminator; false at the end of the file.
    fn directive(&mut self) -> bool {
        let mut first = None;
        self.start = self.at;
        let mut after_word = false;
        loop {
            self.space(after_word);
            let Some(byte) = self.peek() else { return self.end_of_file(first) };
            self.read(self.at, None);
            self.start = self.at;
            self.too_long = false;
            after_word = !matches!(byte, b'#');
            match byte {
                b'#' => self.comment(),
                b';' | b'{' | b'}' => {
                    self.terminator(byte, first);
                    return true;
                }
                _ => {
                    first.get_or_insert(self.tree.tokens.len());
                    self.word(byte);
                }
            }
        }
    }

    /// Goes to the next byte that is no space. To nginx the first one after a word belongs to the word.
    fn space(&mut self, after_word: bool) {
        let first = self.at + usize::from(after_word);
        let rest = &self.text[self.at..];
        let end = self.at + rest.iter().position(|byte| !is_space(*byte)).unwrap_or(rest.len());
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
        self.tree.comment(from, self.at);
    }

    fn word(&mut self, first: u8) {
        let from = self.at;
        if matches!(first, b'"' | b'\'') {
            self.start += 1;
            let escaped = self.quoted(first);
            self.read(self.at.saturating_sub(1), Some(first));
            self.tree.word(from, self.at, escaped);
            self.after_quote();
        } else {
            let escaped = self.bare();
            self.read(self.at, None);
            self.tree.word(from, self.at, escaped);
        }
    }

    /// Goes to the end of a quoted word. True if it has an escape.
    fn quoted(&mut self, quote: u8) -> bool {
        let mut escaped = false;
        self.at += 1;
        while let Some(byte) = self.peek() {
            if byte == b'\\' {
                escaped |= self.escape();
                self.at += 2;
                continue;
            }
            self.at += 1;
            if byte == quote {
                return escaped;
            }
        }
        self.at = self.text.len();
        escaped
    }

    /// Goes to the end of a word without quotes. A `{` directly after a `$` belongs to it.
    fn bare(&mut self) -> bool {
        let (mut escaped, mut variable) = (false, false);
        while let Some(byte) = self.peek() {
            match byte {
                b'\\' => {
                    escaped |= self.escape();
                    self.at += 1;
                    variable = false;
                }
                b'$' => variable = true,
                b'{' if variable => {}
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' => return escaped,
                _ => variable = false,
            }
            self.at += 1;
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
            self.tree.error(SyntaxError::Unexpected(byte), self.at, self.at + 1);
        }
    }

    fn terminator(&mut self, byte: u8, first: Option<usize>) {
        let kind = match byte {
            b';' => TokenKind::Semicolon,
            b'{' => TokenKind::Open,
            _ => TokenKind::Close,
        };
        let from = self.at;
        self.at += 1;
        match (byte, first) {
            (b'}', words) => {
                if let Some(first) = words {
                    self.tree.error(SyntaxError::Unexpected(byte), from, self.at);
                    self.tree.directive(NodeKind::Simple, first, false);
                }
                self.tree.token(kind, from, self.at);
                if !self.tree.close() {
                    self.tree.error(SyntaxError::Unexpected(byte), from, self.at);
                }
            }
            (b';', Some(first)) => {
                self.tree.token(kind, from, self.at);
                self.tree.directive(NodeKind::Simple, first, true);
            }
            (b'{', Some(first)) => {
                self.tree.token(kind, from, self.at);
                self.tree.directive(NodeKind::Block, first, true);
                self.lua(first);
            }
            (_, None) | (_, Some(_)) => {
                self.tree.error(SyntaxError::Unexpected(byte), from, self.at);
                self.tree.token(kind, from, self.at);
                if byte == b'{' {
                    self.tree.directive(NodeKind::Block, self.tree.tokens.len() - 1, true);
                }
            }
        }
    }

    /// Reads the body of a `*_by_lua_block`, which is Lua with braces, strings and comments of its own.
    fn lua(&mut self, first: usize) {
        let name = self.tree.tokens[first];
        if !self.text[name.start as usize..name.end as usize].ends_with(b"_by_lua_block") {
            return;
        }
        let from = self.at;
        self.at += lua::block(&self.text[from..]);
        self.start = self.at;
        self.filled = self.filled.max(self.at);
        if self.at > from {
            self.tree.token(TokenKind::Lua, from, self.at);
        }
    }

    fn end_of_file(&mut self, first: Option<usize>) -> bool {
        let end = self.text.len();
        if let Some(first) = first {
            self.tree.error(SyntaxError::UnfinishedDirective, end, end);
            self.tree.directive(NodeKind::Simple, first, false);
        } else if self.tree.is_open() {
            self.tree.error(SyntaxError::UnfinishedBlock, end, end);
        }
        self.tree.finish();
        false
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}
