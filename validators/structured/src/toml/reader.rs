//! The grammar of TOML over the tokens of its text, one after another: nothing is kept but the names.

use std::borrow::Cow;

use reload_gate_contract::{Cause, Finding, Span};
use toml::de::DeValue;
use toml_parser::decoder::{Encoding, ScalarKind};
use toml_parser::lexer::{Lexer, Token, TokenKind};
use toml_parser::{Expected, ParseError, Raw, Source};

use super::names::{DottedKey, TableId, Taken, TakenNames};
use crate::codes::{TOML_DUPLICATE_KEY, TOML_SYNTAX, TOO_LARGE};
use crate::text::{Report, excerpt};

/// Limit of nested arrays and tables, and of the parts of a key: that of the reader of trees.
pub(super) const MAX_DEPTH: usize = 80;

/// A fault that ends a statement.
struct Fault(Box<(Finding, Span)>);

type Read<T> = Result<T, Fault>;

/// Reads a text and reports its faults.
pub(super) struct TomlReader<'t> {
    text: &'t str,
    lexer: Lexer<'t>,
    /// Tokens that were looked at.
    ahead: [Option<Token>; 2],
    last: Option<Token>,
    names: TakenNames,
    /// The table of the header above.
    table: TableId,
    /// Number of brackets that are open.
    depth: usize,
    pub(super) report: Report<'t>,
}

impl<'t> TomlReader<'t> {
    pub(super) fn new(path: &'t str, text: &'t str) -> Self {
        let (lexer, report) = (Source::new(text).lex(), Report::new(path, text));
        let (ahead, names, table) = ([None; 2], TakenNames::default(), TakenNames::ROOT);
        Self { text, lexer, ahead, last: None, names, table, depth: 0, report }
    }

    /// Reads all statements. After a fault the next one begins at the next line that looks like one.
    pub(super) fn read(&mut self) {
        loop {
            let token = self.next();
            let read = match token.kind() {
                TokenKind::Eof => return,
                TokenKind::Whitespace => Ok(()),
                TokenKind::Newline | TokenKind::Comment => {
                    self.blank(token);
                    Ok(())
                }
                TokenKind::LeftSquareBracket => self.header(token),
                _ => self.setting(token),
            };
            if let Err(Fault(fault)) = read {
                self.report.add(fault.0, fault.1);
                self.skip();
            }
        }
    }

    fn next(&mut self) -> Token {
        let ahead = self.ahead[0].take();
        self.ahead.swap(0, 1);
        ahead.unwrap_or_else(|| self.lexed())
    }

    /// The next token of the text. The lexer has one for its end, which is repeated.
    fn lexed(&mut self) -> Token {
        self.last = self.lexer.next().or(self.last);
        self.last.expect("each text has an end")
    }

    /// The kind of the token at this distance.
    fn peek(&mut self, distance: usize) -> TokenKind {
        for index in 0..=distance {
            if self.ahead[index].is_none() {
                self.ahead[index] = Some(self.lexed());
            }
        }
        self.ahead[distance].map_or(TokenKind::Eof, |token| token.kind())
    }

    fn skip_space(&mut self) {
        while self.peek(0) == TokenKind::Whitespace {
            self.next();
        }
    }

    /// Goes on behind the line of a fault. Within brackets that is the end of them, or a line that looks like a statement.
    fn skip(&mut self) {
        loop {
            match self.peek(0) {
                TokenKind::Eof => break,
                TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => self.depth += 1,
                TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => {
                    self.depth = self.depth.saturating_sub(1);
                }
                TokenKind::Newline => {
                    let end = self.ahead[0].map_or(self.text.len(), |token| token.span().end());
                    if self.depth == 0 || looks_like_statement(&self.text[end..]) {
                        break;
                    }
                }
                _ => {}
            }
            self.next();
        }
        self.depth = 0;
        self.names.close_all();
    }

    /// A line break or a comment.
    fn blank(&mut self, token: Token) {
        let raw = self.raw(token, None);
        let report = &mut self.report;
        let mut found = |error: ParseError| add(report, &error);
        match token.kind() {
            TokenKind::Comment => raw.decode_comment(&mut found),
            _ => raw.decode_newline(&mut found),
        }
    }

    fn raw(&self, token: Token, encoding: Option<Encoding>) -> Raw<'t> {
        let span = token.span();
        Raw::new_unchecked(&self.text[span.start()..span.end()], encoding, span)
    }

    /// `[name]` or `[[name]]`.
    fn header(&mut self, open: Token) -> Read<()> {
        let is_element = self.peek(0) == TokenKind::LeftSquareBracket;
        if is_element {
            self.next();
        }
        let key = self.key(None)?;
        let close = if is_element { "]]" } else { "]" };
        for _ in 0..close.len() {
            if self.peek(0) != TokenKind::RightSquareBracket {
                let token = self.next();
                let help = format!("a table begins with `{}name{close}`, alone on its line", "[".repeat(close.len()));
                let begun = Span { start: open.span().start(), end: token.span().start() };
                let message = format!("a table without its `{close}`: unexpected {}", self.shown(token));
                return Err(fault(message, begun_at(token, begun)).help(help));
            }
            self.next();
        }
        match self.names.header(&key, is_element) {
            Ok(table) => self.table = table,
            Err((taken, place)) => {
                self.table = self.names.lost();
                self.report.add(taken_name(taken), place);
            }
        }
        self.end_of_line()
    }

    /// `key = value`.
    fn setting(&mut self, first: Token) -> Read<()> {
        let key = self.key(Some(first))?;
        if self.peek(0) != TokenKind::Equals {
            let token = self.next();
            return Err(fault("a key without a value, expected `=`", at(token)));
        }
        self.next();
        self.skip_space();
        let table = self.table;
        let defined = self.names.value(table, &key);
        let value = self.next();
        self.value(value)?;
        if let Err((taken, place)) = defined {
            self.report.add(taken_name(taken), place);
        }
        self.end_of_line()
    }

    fn end_of_line(&mut self) -> Read<()> {
        self.skip_space();
        let token = self.next();
        match token.kind() {
            TokenKind::Newline => self.blank(token),
            TokenKind::Eof => {}
            TokenKind::Comment => {
                self.blank(token);
                // A comment goes on to the end of its line.
                return self.end_of_line();
            }
            _ => {
                return Err(fault(
                    format!("unexpected {}, expected the end of the line", self.shown(token)),
                    at(token),
                ));
            }
        }
        Ok(())
    }

    /// A key, its parts separated by dots, and the white space behind it.
    fn key(&mut self, first: Option<Token>) -> Read<DottedKey<'t>> {
        let (mut key, mut token) = (DottedKey::new(), first);
        loop {
            if token.is_none() {
                self.skip_space();
            }
            let part = token.take().unwrap_or_else(|| self.next());
            let encoding = match part.kind() {
                TokenKind::Atom => None,
                kind if kind.encoding().is_some() => kind.encoding(),
                _ => return Err(fault(format!("unexpected {}, expected a key", self.shown(part)), at(part))),
            };
            let (raw, report) = (self.raw(part, encoding), &mut self.report);
            let mut name = Cow::Borrowed("");
            raw.decode_key(&mut name, &mut |error: ParseError| add(report, &error));
            key.push((name, at(part)));
            if key.len() > MAX_DEPTH {
                return Err(too_deep(part));
            }
            self.skip_space();
            if self.peek(0) != TokenKind::Dot {
                return Ok(key);
            }
            self.next();
        }
    }

    fn value(&mut self, token: Token) -> Read<()> {
        match token.kind() {
            TokenKind::LeftSquareBracket => self.nested(token, Self::array),
            TokenKind::LeftCurlyBracket => self.nested(token, Self::table),
            TokenKind::Atom | TokenKind::Dot => {
                let span = self.scalar(token);
                self.decode(span, None);
                Ok(())
            }
            kind if kind.encoding().is_some() => {
                self.decode(at(token), kind.encoding());
                Ok(())
            }
            _ => Err(fault(format!("unexpected {}, expected a value", self.shown(token)), at(token))),
        }
    }

    fn nested(&mut self, open: Token, read: fn(&mut Self, Token) -> Read<()>) -> Read<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(too_deep(open));
        }
        read(self, open)?;
        self.depth -= 1;
        Ok(())
    }

    /// The bytes of a number, date or word: dots belong to it, and a blank before another word, as in a date with a time.
    fn scalar(&mut self, first: Token) -> Span {
        let mut span = at(first);
        loop {
            let more = match self.peek(0) {
                TokenKind::Atom | TokenKind::Dot => 1,
                TokenKind::Whitespace if self.peek(1) == TokenKind::Atom => 2,
                _ => return span,
            };
            for _ in 0..more {
                span.end = self.next().span().end();
            }
        }
    }

    fn decode(&mut self, span: Span, encoding: Option<Encoding>) {
        let text = &self.text[span.start..span.end];
        let raw = Raw::new_unchecked(text, encoding, toml_parser::Span::new_unchecked(span.start, span.end));
        let report = &mut self.report;
        let kind = raw.decode_scalar(&mut (), &mut |error: ParseError| add(report, &error));
        if kind == ScalarKind::DateTime
            && let Err(error) = DeValue::parse(text)
        {
            self.report.add(Finding::error(TOML_SYNTAX, error.message().trim().replace('\n', "; ")), span);
        }
    }

    /// The values of an array, and its end.
    fn array(&mut self, open: Token) -> Read<()> {
        let mut wants_value = true;
        loop {
            let token = self.next();
            match token.kind() {
                TokenKind::Whitespace => {}
                TokenKind::Newline | TokenKind::Comment => self.blank(token),
                TokenKind::RightSquareBracket => return Ok(()),
                TokenKind::Eof => return Err(fault("this `[` is not closed", at(open))),
                TokenKind::Comma if !wants_value => wants_value = true,
                _ if wants_value => {
                    self.value(token)?;
                    wants_value = false;
                }
                _ => return Err(fault(format!("unexpected {}, expected `,` or `]`", self.shown(token)), at(token))),
            }
        }
    }

    /// The settings of a table in braces, and its end.
    fn table(&mut self, open: Token) -> Read<()> {
        let table = self.names.open();
        let mut wants_key = true;
        loop {
            let token = self.next();
            match token.kind() {
                TokenKind::Whitespace => {}
                TokenKind::Newline | TokenKind::Comment => self.blank(token),
                TokenKind::RightCurlyBracket => break,
                TokenKind::Eof => return Err(fault("this `{` is not closed", at(open))),
                TokenKind::Comma if !wants_key => wants_key = true,
                _ if wants_key => {
                    self.setting_in_braces(table, token)?;
                    wants_key = false;
                }
                _ => return Err(fault(format!("unexpected {}, expected `,` or `}}`", self.shown(token)), at(token))),
            }
        }
        self.names.close();
        Ok(())
    }

    fn setting_in_braces(&mut self, table: TableId, first: Token) -> Read<()> {
        let key = self.key(Some(first))?;
        self.skip_lines();
        let token = self.next();
        if token.kind() != TokenKind::Equals {
            return Err(fault("a key without a value, expected `=`", at(token)));
        }
        self.skip_lines();
        let value = self.next();
        self.value(value)?;
        if let Err((taken, place)) = self.names.value(table, &key) {
            self.report.add(taken_name(taken), place);
        }
        Ok(())
    }

    fn skip_lines(&mut self) {
        while matches!(self.peek(0), TokenKind::Whitespace | TokenKind::Newline | TokenKind::Comment) {
            let token = self.next();
            if token.kind() != TokenKind::Whitespace {
                self.blank(token);
            }
        }
    }

    /// A token in words.
    fn shown(&self, token: Token) -> String {
        let span = token.span();
        match token.kind() {
            TokenKind::Newline => "end of the line".to_owned(),
            TokenKind::Eof => "end of the text".to_owned(),
            TokenKind::Comment => "comment".to_owned(),
            _ => format!("`{}`", excerpt(&self.text[span.start()..span.end()], 20)),
        }
    }
}

/// Returns true if the next line of a text may be a header or a setting, and none in an array or a table in braces.
fn looks_like_statement(text: &str) -> bool {
    let line = text.lines().next().unwrap_or_default().trim();
    let is_name = |name: &str| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | '"' | '\'');
        !name.trim().is_empty() && name.chars().all(is_part)
    };
    let is_header = line
        .strip_prefix('[')
        .and_then(|line| line.strip_suffix(']'))
        .is_some_and(|name| is_name(name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name)));
    is_header || line.split_once('=').is_some_and(|(name, _)| is_name(name) && !line.ends_with(','))
}

fn at(token: Token) -> Span {
    Span { start: token.span().start(), end: token.span().end() }
}

/// The place of a token, or of what was begun before it if the token is the end of a line or of the text.
fn begun_at(token: Token, begun: Span) -> Span {
    if matches!(token.kind(), TokenKind::Newline | TokenKind::Eof) { begun } else { at(token) }
}

fn fault(message: impl Into<String>, span: Span) -> Fault {
    Fault(Box::new((Finding::error(TOML_SYNTAX, message), span)))
}

impl Fault {
    fn help(mut self, help: String) -> Self {
        self.0.0.help = Some(help);
        self
    }
}

fn too_deep(token: Token) -> Fault {
    let finding = Finding { cause: Cause::Environment, ..Finding::error(TOO_LARGE, "nested too deep") };
    Fault(Box::new((finding, at(token))))
}

fn taken_name(taken: Taken) -> Finding {
    match taken {
        Taken::Twice => Finding::error(TOML_DUPLICATE_KEY, "the key is there twice")
            .help("remove one of the two: a key is set once, and a table is opened once"),
        Taken::InValue => Finding::error(TOML_SYNTAX, "the key is a value already, so it has no keys in it")
            .help("rename one of the two, or put the keys into a table"),
    }
}

/// Adds a fault of a key, a scalar, a comment or a line break.
fn add(report: &mut Report<'_>, error: &ParseError) {
    let place = error.unexpected().or(error.context()).unwrap_or_default();
    let span = Span { start: place.start(), end: place.end() };
    let expected: Vec<_> = error.expected().unwrap_or_default().iter().map(shown_expectation).collect();
    let expected = if expected.is_empty() { String::new() } else { format!(", expected {}", expected.join(", ")) };
    let message = format!("{}{expected}", error.description());
    // A bare word is taken for the beginning of one of these (`info` for `inf`).
    let is_word = ["string values", "invalid float", "invalid boolean"].iter().any(|kind| message.starts_with(kind));
    let finding = Finding::error(TOML_SYNTAX, message);
    let help = "put a string in quotes; write booleans as `true` and `false`";
    report.add(if is_word { finding.help(help) } else { finding }, span);
}

fn shown_expectation(expected: &Expected) -> String {
    match expected {
        Expected::Literal("\n") => "the end of the line".to_owned(),
        Expected::Literal(literal) => {
            format!("`{}`", literal.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'"))
        }
        Expected::Description(description) => (*description).to_owned(),
        _ => "something else".to_owned(),
    }
}
