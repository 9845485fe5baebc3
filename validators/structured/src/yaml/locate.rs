//! A byte of a scalar's meaning → the byte at which it is written.
//!
//! The source is read once more by the rules of YAML 1.2.2, chapters 7.3 and 8.1, and each character is compared with
//! the parser's value: where the two differ there is no place, since a wrong line is worse than none.

use super::{Node, Scalar, Style, Value};

impl Node {
    /// The byte of the document's `text` at which byte `offset` of this scalar's text is written: the byte with which
    /// that character begins, or its escape, or the line break that becomes it. `offset` may be the length of the
    /// text, for what comes behind its last character.
    ///
    /// `None` where that is unknown, so that the caller names the whole scalar.
    #[must_use]
    pub fn locate(&self, text: &str, offset: usize) -> Option<usize> {
        let Value::Scalar(scalar) = &self.value else { return None };
        let source = text.get(self.span.start()..self.span.end())?;
        let mut trace = Trace::new(scalar, offset);
        match scalar.style {
            Style::Plain => flow(source, None, &mut trace),
            Style::SingleQuoted => flow(source.strip_prefix('\'')?.strip_suffix('\'')?, Some('\''), &mut trace),
            Style::DoubleQuoted => flow(source.strip_prefix('"')?.strip_suffix('"')?, Some('"'), &mut trace),
            Style::Literal | Style::Folded => block(source, scalar, &mut trace),
        }
        let opening = usize::from(matches!(scalar.style, Style::SingleQuoted | Style::DoubleQuoted));
        trace.found().map(|at| self.span.start() + opening + at)
    }

    /// The same for a scalar that is base64 (RFC 4648, section 4, with white space anywhere): `offset` counts in what it
    /// encodes, and what is found is the character which holds the first bits of that byte.
    #[must_use]
    pub fn locate_base64(&self, text: &str, offset: usize) -> Option<usize> {
        let encoded = self.as_str()?;
        let characters = || encoded.bytes().enumerate().filter(|(_, byte)| !byte.is_ascii_whitespace());
        let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || b"+/".contains(&byte);
        let data = characters().take_while(|(_, byte)| alphabet(*byte)).count();
        // Four characters hold three bytes, and each byte begins in a character of its own.
        let wanted = offset / 3 * 4 + offset % 3;
        let is_padding = characters().skip(data).all(|(_, byte)| byte == b'=');
        if !is_padding || offset > data * 3 / 4 {
            return None;
        }
        let at = characters().nth(wanted).map_or(encoded.len(), |(at, _)| at);
        self.locate(text, at)
    }
}

/// A scalar as read so far, compared with its text.
struct Trace<'s> {
    /// The rest of the value.
    rest: &'s str,
    /// Number of bytes before the wanted one.
    before: usize,
    at: Option<usize>,
    /// End of the last piece.
    end: usize,
    agrees: bool,
}

impl<'s> Trace<'s> {
    fn new(scalar: &'s Scalar, offset: usize) -> Self {
        Self { rest: &scalar.text, before: offset, at: None, end: 0, agrees: offset <= scalar.text.len() }
    }

    /// A character, and the bytes of the source that mean it.
    fn say(&mut self, character: char, start: usize, end: usize) {
        if self.at.is_none() && self.before < character.len_utf8() {
            self.at = Some(start);
        }
        self.compare(character.encode_utf8(&mut [0; 4]), end);
    }

    /// Text that is its own value.
    fn say_as_written(&mut self, run: &str, start: usize) {
        if self.at.is_none() && self.before < run.len() {
            self.at = (0..=self.before).rev().find(|at| run.is_char_boundary(*at)).map(|at| start + at);
        }
        self.compare(run, start + run.len());
    }

    fn compare(&mut self, value: &str, end: usize) {
        match self.rest.strip_prefix(value) {
            Some(rest) => (self.rest, self.end) = (rest, end),
            None => self.agrees = false,
        }
        self.before = self.before.saturating_sub(value.len());
    }

    fn found(self) -> Option<usize> {
        (self.agrees && self.rest.is_empty()).then(|| self.at.unwrap_or(self.end))
    }
}

/// A piece of the source, and where it goes on.
struct Cursor<'s> {
    source: &'s str,
    at: usize,
}

impl<'s> Cursor<'s> {
    fn peek(&self) -> Option<char> {
        self.source[self.at..].chars().next()
    }

    /// Takes a line break, which may be of two characters; says where it was.
    fn take_break(&mut self) -> Option<usize> {
        let start = self.at;
        let rest = &self.source[start..];
        self.at += if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with(['\r', '\n'])) };
        (self.at > start).then_some(start)
    }

    fn take(&mut self, bytes: usize) -> &'s str {
        let start = self.at;
        self.at += bytes;
        &self.source[start..self.at]
    }

    /// Takes the rest of the line, without its end. A line may have megabytes, and is read anew for each place in it.
    fn take_line(&mut self) -> &'s str {
        let rest = &self.source.as_bytes()[self.at..];
        self.take(rest.iter().position(|byte| is_break(*byte)).unwrap_or(rest.len()))
    }

    fn take_while(&mut self, is: impl Fn(char) -> bool) -> &'s str {
        let rest = &self.source[self.at..];
        self.take(rest.find(|character| !is(character)).unwrap_or(rest.len()))
    }
}

fn is_break(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t')
}

/// Plain and quoted scalars, without their quotes.
fn flow(source: &str, quote: Option<char>, trace: &mut Trace<'_>) {
    let mut cursor = Cursor { source, at: 0 };
    while let (true, Some(character)) = (trace.agrees, cursor.peek()) {
        let start = cursor.at;
        match (character, quote) {
            (' ' | '\t' | '\r' | '\n', _) => space(&mut cursor, trace),
            ('\\', Some('"')) => escape(&mut cursor, trace),
            ('\'', Some('\'')) => {
                cursor.at += 2;
                trace.say('\'', start, cursor.at.min(source.len()));
                trace.agrees &= cursor.at <= source.len();
            }
            _ => {
                let run = cursor.take_while(|next| !matches!(next, ' ' | '\t' | '\r' | '\n' | '\\' | '\''));
                let run = if run.is_empty() { cursor.take(character.len_utf8()) } else { run };
                trace.say_as_written(run, start);
            }
        }
    }
}

/// White space: within a line it is what it is, and around line breaks it is folded (YAML 1.2.2, 6.5 and 7.4).
fn space(cursor: &mut Cursor<'_>, trace: &mut Trace<'_>) {
    let start = cursor.at;
    let blanks = cursor.take_while(is_blank);
    if cursor.peek().is_none_or(|next| !matches!(next, '\r' | '\n')) {
        trace.say_as_written(blanks, start);
        return;
    }
    let first = cursor.take_break().unwrap_or(start);
    if !empty_lines(cursor, trace) {
        trace.say(' ', first, first + 1);
    }
}

/// Lines with nothing on them, each of which says a line break, and the indentation of the next; says whether there were
/// any.
fn empty_lines(cursor: &mut Cursor<'_>, trace: &mut Trace<'_>) -> bool {
    let mut any = false;
    loop {
        cursor.take_while(is_blank);
        let Some(start) = cursor.take_break() else { return any };
        trace.say('\n', start, cursor.at);
        any = true;
    }
}

/// An escape of a double-quoted scalar (YAML 1.2.2, 5.7), pairs of surrogates included, as JSON has them.
fn escape(cursor: &mut Cursor<'_>, trace: &mut Trace<'_>) {
    let start = cursor.at;
    cursor.at += 1;
    if cursor.take_break().is_some() {
        empty_lines(cursor, trace);
        return;
    }
    let Some(letter) = cursor.peek() else {
        trace.agrees = false;
        return;
    };
    cursor.at += letter.len_utf8();
    let character = match letter {
        '0' => Some('\0'),
        'a' => Some('\u{7}'),
        'b' => Some('\u{8}'),
        't' | '\t' => Some('\t'),
        'n' => Some('\n'),
        'v' => Some('\u{b}'),
        'f' => Some('\u{c}'),
        'r' => Some('\r'),
        'e' => Some('\u{1b}'),
        ' ' | '"' | '/' | '\\' => Some(letter),
        'N' => Some('\u{85}'),
        '_' => Some('\u{a0}'),
        'L' => Some('\u{2028}'),
        'P' => Some('\u{2029}'),
        'x' => number(cursor, 2).and_then(char::from_u32),
        'u' => unit(cursor),
        'U' => number(cursor, 8).and_then(char::from_u32),
        _ => None,
    };
    match character {
        Some(character) => trace.say(character, start, cursor.at),
        None => trace.agrees = false,
    }
}

/// The number of so many hexadecimal digits.
fn number(cursor: &mut Cursor<'_>, digits: usize) -> Option<u32> {
    let written = cursor.source.get(cursor.at..cursor.at + digits)?;
    cursor.at += digits;
    u32::from_str_radix(written, 16).ok()
}

/// Meaning of `\u`: a character, or half of one, with the other half in the next escape; half of one alone is U+FFFD.
fn unit(cursor: &mut Cursor<'_>) -> Option<char> {
    let first = number(cursor, 4)?;
    let behind = cursor.at;
    if let (0xd800..0xdc00, true) = (first, cursor.source[behind..].starts_with("\\u")) {
        cursor.at += 2;
        if let Some(second @ 0xdc00..0xe000) = number(cursor, 4) {
            return char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
        }
        cursor.at = behind;
    }
    Some(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
}

/// Literal and folded scalars, their header included (YAML 1.2.2, 8.1).
fn block(source: &str, scalar: &Scalar, trace: &mut Trace<'_>) {
    let header = source.find(['\r', '\n']).unwrap_or(source.len());
    let mut cursor = Cursor { source, at: header };
    cursor.take_break();
    let indent = indentation(&source[cursor.at..], &scalar.text);
    // Whether the line before is one that is folded with the next; there is none before the first.
    let mut before = None;
    while trace.agrees {
        let gap = cursor.at;
        let more = to_next_line(&mut cursor, indent);
        let folds = scalar.style == Style::Folded && !cursor.peek().is_some_and(is_blank);
        let breaks = match before {
            _ if !more => chomping(&source[..header], before.is_some()),
            Some(true) if folds => Breaks::Fold,
            _ => Breaks::Keep,
        };
        say_breaks(&source[..cursor.at], gap, breaks, trace);
        if !more {
            return;
        }
        let start = cursor.at;
        trace.say_as_written(cursor.take_line(), start);
        before = Some(folds);
    }
}

/// Treatment of the line breaks between two lines, or after the last one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Breaks {
    /// Each is kept.
    Keep,
    /// One is a space; of several, all after the first are kept.
    Fold,
    /// The first is kept.
    Clip,
    /// None is kept.
    Strip,
}

/// Treatment of the line breaks at the end, by the header of a block scalar.
fn chomping(header: &str, has_lines: bool) -> Breaks {
    match header.find([' ', '\t']).map_or(header, |end| &header[..end]) {
        indicators if indicators.contains('+') => Breaks::Keep,
        indicators if indicators.contains('-') || !has_lines => Breaks::Strip,
        _ => Breaks::Clip,
    }
}

/// Goes past the end of a line, empty lines, and the indentation of the next one; says whether there is one.
fn to_next_line(cursor: &mut Cursor<'_>, indent: usize) -> bool {
    loop {
        let spaces = cursor.source[cursor.at..].bytes().take(indent).take_while(|byte| *byte == b' ').count();
        cursor.at += spaces;
        if cursor.take_break().is_none() {
            return spaces == indent && cursor.at < cursor.source.len();
        }
    }
}

fn say_breaks(source: &str, gap: usize, breaks: Breaks, trace: &mut Trace<'_>) {
    let mut cursor = Cursor { source, at: gap };
    let mut first = None;
    let mut count = 0;
    loop {
        cursor.take_while(|character| character == ' ');
        let Some(start) = cursor.take_break() else { break };
        if breaks == Breaks::Keep || (breaks == Breaks::Clip && count == 0) || (breaks == Breaks::Fold && count > 0) {
            trace.say('\n', start, cursor.at);
        }
        first = first.or(Some((start, cursor.at)));
        count += 1;
    }
    if let (Breaks::Fold, 1, Some((start, end))) = (breaks, count, first) {
        trace.say(' ', start, end);
    }
}

fn split_lines(text: &str) -> impl Iterator<Item = &[u8]> {
    text.as_bytes().split(|byte| is_break(*byte))
}

/// Indentation that the parser removed, computed from the first line that is not only spaces.
fn indentation(source: &str, text: &str) -> usize {
    let spaces = |line: &[u8]| line.iter().take_while(|byte| **byte == b' ').count();
    let first = |text: &str| split_lines(text).find(|line| spaces(line) < line.len()).map(spaces);
    let widest = |text: &str| split_lines(text).map(spaces).max().unwrap_or(0);
    let written = first(source).unwrap_or_else(|| widest(source));
    written.saturating_sub(first(text).unwrap_or_else(|| widest(text)))
}
