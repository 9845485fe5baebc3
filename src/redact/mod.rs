//! Removes quotations of a Secret from the output of a checker. Pure.
//!
//! A checker quotes text that it does not understand, which is often a password. So each part of a message that occurs in the
//! Secret as well is replaced, whole or in part, escaped or in base64. Words of the checkers' own vocabulary stay, unless they can be
//! a value of the Secret. In doubt a word is replaced.

mod index;
mod vocabulary;

use std::ops::Range;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use reload_gate_contract::Finding;

use index::{Index, is_boundary, is_word, words};
use vocabulary::is_vocabulary;

/// Mark in place of text that is not shown.
pub const REDACTED: &str = "[redacted]";

/// Length of the shortest secret: a shorter one is guessed at once.
const SHORTEST: usize = 3;
/// Number of words of the vocabulary that may occur in a row in a Secret as well, before they count as a quotation.
const CHANCE: usize = 2;
/// No word of a language is so long, once it is read as base64.
const CHANCE_BYTES: usize = 15;

/// Contents of which nothing may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedactionScope {
    /// Those that come from Secrets, as far as that can be determined.
    Secrets,
    /// All of them.
    All,
    /// None.
    Nothing,
}

/// Returns a content without the lines that frame keys and certificates (RFC 7468, section 2): their words are public.
fn unarmored(content: &[u8]) -> Vec<u8> {
    let is_frame = |line: &&[u8]| line.starts_with(b"-----BEGIN ") || line.starts_with(b"-----END ");
    content.split_inclusive(|byte| *byte == b'\n').filter(|line| !is_frame(line)).flatten().copied().collect()
}

/// Knows the contents of Secrets, and takes them out of texts.
#[derive(Debug)]
pub struct Redactor {
    index: Index,
}

impl Redactor {
    /// Creates a redactor that knows these contents.
    #[must_use]
    pub fn new<'a>(contents: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut known = Vec::new();
        for content in contents {
            let content = &*unarmored(content);
            let encoded = hidden(content);
            let content = content.to_ascii_lowercase();
            for reading in [unescaped(&content, b'\\'), unescaped(&content, b'%'), encoded] {
                // A reading that equals the content need be known once.
                if reading != content {
                    known.extend([&*reading, index::BETWEEN].concat());
                }
            }
            known.extend([&*content, index::BETWEEN].concat());
        }
        Self { index: Index::new(known) }
    }

    /// Returns the finding without quotations. Its place stays: it names a file and a position, and no content.
    #[must_use]
    pub fn redact(&self, finding: Finding) -> Finding {
        Finding { message: self.text(&finding.message), help: finding.help.map(|help| self.text(&help)), ..finding }
    }

    /// Returns the text without quotations.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let lower = text.as_bytes().to_ascii_lowercase();
        let mut found = self.quotations(&lower);
        for escape in *b"\\%" {
            let (view, places): (Vec<_>, Vec<_>) = decoded(&lower, escape).unzip();
            if view.len() < lower.len() {
                let original = |range: Range<usize>| places[range.start].start..places[range.end - 1].end;
                found.extend(self.quotations(&view).into_iter().map(original));
            }
        }
        found.extend(encoded(text.as_bytes()).filter_map(|(range, content)| {
            let content = content.to_ascii_lowercase();
            (!self.quotations(&content).is_empty()).then_some(range)
        }));
        replace(text, found)
    }

    /// Returns the parts of `text`, in lower case, that are quotations from a Secret.
    fn quotations(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        for start in 0..text.len() {
            let Some(length) = self.index.longest(text, start) else { continue };
            let range = trimmed(text, start..start + length);
            let is_new = found.last().is_none_or(|last| range.end > last.end);
            if range.len() >= SHORTEST && is_new && self.reveals(text, &range) {
                found.push(range);
            }
        }
        found
    }

    /// Returns true if a part that occurs in both `text` and a Secret reveals anything of the Secret.
    fn reveals(&self, text: &[u8], range: &Range<usize>) -> bool {
        let quotation = &text[range.clone()];
        if !quotation.iter().any(|byte| is_word(*byte)) {
            // Signs alone are a secret only if nothing else is beside them.
            return self.index.holds_alone(quotation);
        }
        // A part of a word reveals no more than the whole word.
        let (from, to) = (widened(text, range.start, false), widened(text, range.end, true));
        let said: Vec<_> = words(&text[from..to]).collect();
        if said.iter().any(|word| !is_vocabulary(word)) {
            return true;
        }
        let quoted = is_quoted(text, range);
        match said.as_slice() {
            [word] => quoted && self.index.holds_as_value(word),
            said => quoted || said.len() > CHANCE,
        }
    }
}

/// Returns the end, or the beginning, of the word of which a part lies at `at`.
fn widened(text: &[u8], at: usize, forward: bool) -> usize {
    let mut at = at;
    while !is_boundary(text, at) {
        at = if forward { at + 1 } else { at - 1 };
    }
    at
}

/// Returns the range without the blanks and quotes around what it holds.
fn trimmed(text: &[u8], range: Range<usize>) -> Range<usize> {
    let is_around = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'`');
    let inside = &text[range.clone()];
    let before = inside.iter().take_while(|byte| is_around(byte)).count();
    let after = inside[before..].iter().rev().take_while(|byte| is_around(byte)).count();
    range.start + before..range.end - after
}

/// Returns true if the checker marks this as a quotation.
fn is_quoted(text: &[u8], range: &Range<usize>) -> bool {
    let opens = text[..range.start].last().is_some_and(|byte| b"\"'`<[(=:".contains(byte));
    let closes = text[range.end..].first().is_some_and(|byte| b"\"'`>])".contains(byte));
    let open = |quote: u8| text[..range.start].iter().filter(|byte| **byte == quote).count() % 2 == 1;
    opens || closes || open(b'"') || open(b'`')
}

/// Decodes `text`, in which `escape` begins an escape sequence (`\x41`, `\101`, `\n`, `\"`; `%41`): returns each byte, and its place.
fn decoded(text: &[u8], escape: u8) -> impl Iterator<Item = (u8, Range<usize>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let first = *text.get(at)?;
        let (byte, length) = if first == escape { unescape(&text[at..]) } else { (first, 1) };
        let range = at..at + length;
        at = range.end;
        Some((byte.to_ascii_lowercase(), range))
    })
}

fn unescaped(text: &[u8], escape: u8) -> Vec<u8> {
    decoded(text, escape).map(|(byte, _)| byte).collect()
}

/// Returns the byte that an escape sequence means, and the length of the sequence.
fn unescape(text: &[u8]) -> (u8, usize) {
    let number = |digits: Option<&[u8]>, radix| {
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok())?;
        u8::from_str_radix(digits, radix).ok()
    };
    match text {
        [b'%', ..] => number(text.get(1..3), 16).map_or((b'%', 1), |byte| (byte, 3)),
        [_, b'x', ..] => number(text.get(2..4), 16).map_or((b'x', 2), |byte| (byte, 4)),
        [_, b'n', ..] => (b'\n', 2),
        [_, b't', ..] => (b'\t', 2),
        [_, b'0'..=b'3', ..] => number(text.get(1..4), 8).map_or((b'0', 2), |byte| (byte, 4)),
        [_, byte, ..] => (*byte, 2),
        _ => (b'\\', 1),
    }
}

/// Returns the parts of a text that may be base64 (RFC 4648), each decoded. Most words may be; few then have a meaning.
fn encoded(text: &[u8]) -> impl Iterator<Item = (Range<usize>, Vec<u8>)> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let engines = [STANDARD, URL_SAFE].map(|alphabet| GeneralPurpose::new(&alphabet, config));
    let is_of_it = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(byte);
    let mut at = 0;
    let parts = text.split(move |byte| !is_of_it(byte)).map(move |part| {
        let range = at..at + part.len();
        at = range.end + 1;
        (range, part)
    });
    parts.filter(|(_, part)| part.len() > SHORTEST).filter_map(move |(range, part)| {
        let content = engines.iter().find_map(|engine| engine.decode(part).ok())?;
        let says = std::str::from_utf8(&content).is_ok_and(|text| !text.contains(char::is_control));
        (says || content.len() > CHANCE_BYTES).then_some((range, content))
    })
}

/// Returns the decoded base64 of a content.
fn hidden(content: &[u8]) -> Vec<u8> {
    encoded(content).flat_map(|(_, content)| [&content.to_ascii_lowercase(), index::BETWEEN].concat()).collect()
}

/// Returns `text` with the mark in place of each of the ranges.
fn replace(text: &str, mut ranges: Vec<Range<usize>>) -> String {
    ranges.sort_by_key(|range| range.start);
    let (mut written, mut done) = (String::with_capacity(text.len()), 0);
    for range in ranges {
        // Bytes were compared, so a range may end within a character.
        let start = (0..=range.start).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        let end = (range.end..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
        if end <= done {
            continue;
        }
        let between = text.get(done..start).unwrap_or_default();
        if !(between.is_empty() && written.ends_with(REDACTED)) {
            written += between;
            written += REDACTED;
        }
        done = end;
    }
    written + &text[done..]
}

#[cfg(test)]
mod tests;
