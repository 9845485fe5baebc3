//! Text → tree, with the place of everything; or only a check of the text, in memory that does not grow with its values.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};

use reload_gate_contract::{Cause, Code, Span};

use super::string;
use crate::codes;
use crate::text::excerpt;
use crate::yaml::{MAX_DEPTH, MAX_NODES, Node, Scalar, Style, Value, grow, repeated};

/// A fault that keeps a text from being JSON.
#[derive(Debug)]
pub(super) struct JsonFault {
    pub(super) code: Code,
    pub(super) span: Span,
    pub(super) message: String,
    pub(super) help: Option<&'static str>,
    pub(super) cause: Cause,
}

impl JsonFault {
    pub(super) fn new(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self { code, span, message: message.into(), help: None, cause: Cause::Config }
    }

    pub(super) fn help(self, help: &'static str) -> Self {
        Self { help: Some(help), ..self }
    }
}

/// Reads one value after another.
#[derive(Debug)]
pub(super) struct JsonReader<'t> {
    text: &'t str,
    at: usize,
    /// A byte before `at` with its line and column: counting goes on from there.
    counted: (usize, u32, u32),
    nodes: usize,
    /// Lists and mappings keep their content.
    keeps: bool,
    /// The hash of keys where their texts are not kept.
    hasher: RandomState,
    /// Keys that are there a second time; where the content is not kept, their first bytes alone.
    pub(super) repeated: Vec<Node>,
    pub(super) repeated_at: Vec<usize>,
    /// Escapes that are half of a pair of surrogates.
    pub(super) halves: Vec<Span>,
}

impl<'t> JsonReader<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            at: 0,
            counted: (0, 1, 1),
            nodes: 0,
            keeps: true,
            hasher: RandomState::new(),
            repeated: Vec::new(),
            repeated_at: Vec::new(),
            halves: Vec::new(),
        }
    }

    /// A reader of values without their content.
    pub(super) fn checking(text: &'t str) -> Self {
        Self { keeps: false, ..Self::new(text) }
    }

    /// Begins behind a byte order mark, if there is one.
    pub(super) fn skip_mark(&mut self) -> Option<Span> {
        let mark = self.text.starts_with('\u{feff}').then_some(Span { start: 0, end: '\u{feff}'.len_utf8() })?;
        self.at = mark.end;
        Some(mark)
    }

    pub(super) fn skip_space(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next character, with its span.
    pub(super) fn here(&self) -> Span {
        let length = self.text[self.at..].chars().next().map_or(0, char::len_utf8);
        Span { start: self.at, end: self.at + length }
    }

    /// The line and column of a byte that is not before those asked for earlier.
    pub(super) fn place(&mut self, byte: usize) -> (u32, u32) {
        let (from, line, column) = &mut self.counted;
        for character in self.text.get(*from..byte).unwrap_or_default().chars() {
            if character == '\n' {
                (*line, *column) = (line.saturating_add(1), 1);
            } else {
                *column = column.saturating_add(1);
            }
        }
        *from = byte.max(*from);
        (*line, *column)
    }

    /// The next value.
    pub(super) fn value(&mut self) -> Result<Node, JsonFault> {
        self.nodes = 0;
        self.nested(0)
    }

    /// Refuses anything but white space behind the value.
    pub(super) fn ends(&mut self) -> Result<(), JsonFault> {
        self.skip_space();
        match self.peek() {
            None => Ok(()),
            Some(b'#' | b'/') => Err(self.unexpected("the end")),
            Some(_) => {
                let problem = JsonFault::new(codes::JSON_TRAILING_TEXT, self.here(), "unexpected text after the value");
                Err(problem.help("a file of JSON is one value: put several into a list, or take this away"))
            }
        }
    }

    fn nested(&mut self, depth: usize) -> Result<Node, JsonFault> {
        self.skip_space();
        let start = self.at;
        let (line, column) = self.place(start);
        self.nodes += 1;
        let too_deep = depth >= MAX_DEPTH && matches!(self.peek(), Some(b'{' | b'['));
        if too_deep || self.nodes > MAX_NODES {
            let message = if too_deep { "nested too deep" } else { "more than a million values" };
            let problem = JsonFault::new(codes::TOO_LARGE, self.here(), message);
            return Err(JsonFault { cause: Cause::Environment, ..problem });
        }
        let value = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Value::Scalar(self.string()?),
            Some(b'-' | b'0'..=b'9' | b'+' | b'.') => self.number()?,
            Some(_) => self.word()?,
            None => {
                return Err(JsonFault::new(
                    codes::JSON_SYNTAX,
                    self.here(),
                    "unexpected end of the text, expected a value",
                ));
            }
        };
        Ok(Node { span: Span { start, end: self.at }.into(), line, column, value })
    }

    fn array(&mut self, depth: usize) -> Result<Value, JsonFault> {
        let mut items = Vec::new();
        let open = self.here();
        self.at += 1;
        let mut first = true;
        while !self.closes(b']', open, first)? {
            first = false;
            let item = self.nested(depth + 1)?;
            if self.keeps {
                grow(&mut items);
                items.push(item);
            }
        }
        Ok(Value::List(items.into()))
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonFault> {
        let (mut entries, mut names, mut first) = (Vec::new(), BTreeSet::new(), true);
        let open = self.here();
        self.at += 1;
        while !self.closes(b'}', open, first)? {
            first = false;
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("a key in double quotes"));
            }
            let key = self.nested(depth + 1)?;
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err(self.unexpected("a `:`"));
            }
            self.at += 1;
            let value = self.nested(depth + 1)?;
            if self.keeps {
                grow(&mut entries);
                entries.push((key, value));
            } else if !names.insert(self.hasher.hash_one(key.as_str())) {
                self.repeated_at.push(key.span.start());
            }
        }
        self.repeated.extend(repeated(&entries).map(|(_, (key, _))| key.clone()));
        Ok(Value::Map(entries.into()))
    }

    /// Goes on to the next entry of what opened at `open`, or past its end; says whether it was the end.
    fn closes(&mut self, close: u8, open: Span, first: bool) -> Result<bool, JsonFault> {
        self.skip_space();
        let (comma, here) = (self.here(), self.peek());
        if here.is_none() {
            let bracket = &self.text[open.start..open.end];
            return Err(JsonFault::new(codes::JSON_SYNTAX, open, format!("this `{bracket}` is not closed")));
        }
        if here == Some(close) {
            self.at += 1;
            return Ok(true);
        }
        if first {
            return Ok(false);
        }
        if here != Some(b',') {
            return Err(self.unexpected(if close == b']' { "a `,` or `]`" } else { "a `,` or `}`" }));
        }
        self.at += 1;
        self.skip_space();
        if matches!(self.peek(), Some(b']' | b'}')) {
            let help = "take it away, or add what comes after it";
            return Err(
                JsonFault::new(codes::JSON_TRAILING_COMMA, comma, "unexpected `,` after the last element").help(help)
            );
        }
        Ok(false)
    }

    fn string(&mut self) -> Result<Scalar, JsonFault> {
        let (text, end) = string::read(self.text, self.at, &mut self.halves)?;
        self.at = end;
        Ok(Scalar { text: text.into(), style: Style::DoubleQuoted })
    }

    /// RFC 8259, section 6.
    fn number(&mut self) -> Result<Value, JsonFault> {
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        let end = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count();
        self.at += end;
        let written = &self.text[start..self.at];
        let Some(help) = number_mistake(written) else {
            return Ok(Value::Scalar(Scalar { text: written.into(), style: Style::Plain }));
        };
        let span = Span { start, end: self.at };
        Err(JsonFault::new(codes::JSON_NUMBER, span, format!("`{}` is no number", excerpt(written, 40))).help(help))
    }

    fn word(&mut self) -> Result<Value, JsonFault> {
        let start = self.at;
        let rest = self.text[start..].bytes();
        let length = rest.take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte == b'$').count();
        let word = &self.text[start..start + length];
        let value = match word {
            "" => return Err(self.unexpected("a value")),
            "null" => Value::Null,
            "true" | "false" => Value::Scalar(Scalar { text: word.into(), style: Style::Plain }),
            _ => {
                let span = Span { start, end: start + length };
                let problem = JsonFault::new(codes::JSON_WORD, span, format!("`{}` is no value", excerpt(word, 40)));
                return Err(problem.help(word_remedy(word)));
            }
        };
        self.at += length;
        Ok(value)
    }

    /// Something else than what is wanted.
    pub(super) fn unexpected(&self, wanted: &str) -> JsonFault {
        let span = self.here();
        let syntax = |message: String| JsonFault::new(codes::JSON_SYNTAX, span, message);
        match self.text[self.at..].chars().next() {
            None => syntax(format!("unexpected end of the text, expected {wanted}")),
            Some('#' | '/') => JsonFault::new(codes::JSON_COMMENT, span, "JSON has no comments").help("take it away"),
            Some('\'') => {
                let problem =
                    JsonFault::new(codes::JSON_STRING, span, "a string is in double quotes, not in single ones");
                problem.help("write `\"` before it and behind it")
            }
            Some(other) => syntax(format!("unexpected `{}`, expected {wanted}", visible(other))),
        }
    }
}

/// The fault of a number, if it has one.
fn number_mistake(written: &str) -> Option<&'static str> {
    let unsigned = written.strip_prefix('-').unwrap_or(written);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let power = |text: &str| digits(text.strip_prefix(['+', '-']).unwrap_or(text));
    match () {
        () if written.starts_with('+') => Some("remove the `+`"),
        () if whole.is_empty() || fraction == Some("") => Some("write digits before and after the `.`"),
        () if digits(whole) && whole.len() > 1 && whole.starts_with('0') => Some("remove the leading zeros"),
        () if digits(whole) && fraction.is_none_or(digits) && exponent.is_none_or(power) => None,
        () => Some(
            "a number is in decimal digits, such as `-1`, `0.5` or `1e9`; anything else is a string in double quotes",
        ),
    }
}

fn word_remedy(word: &str) -> &'static str {
    match word {
        "True" | "TRUE" => "write `true`",
        "False" | "FALSE" => "write `false`",
        "None" | "undefined" | "nil" | "Null" | "NULL" => "write `null`",
        "NaN" | "Infinity" => "JSON has no such number: write `null`, or a string",
        _ => "a string is in double quotes",
    }
}

/// A character as people can see it.
pub(super) fn visible(character: char) -> String {
    if character == '"' { character.into() } else { character.escape_debug().to_string() }
}
