//! Removes quotations of a Secret from the output of a checker. Pure.
//!
//! A checker quotes text that it does not understand, which is often a password. So each part of a message that occurs in the
//! Secret as well is replaced, whole or in part, escaped or in base64. Words of the checkers' own vocabulary stay, unless they can be
//! a value of the Secret. In doubt a word is replaced.

mod matches;
mod values;
mod vocabulary;

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use reload_gate_contract::Finding;

use matches::{BETWEEN, Matches, is_boundary, is_word, words};
use values::SecretValues;
use vocabulary::is_vocabulary;

/// Mark in place of text that is not shown.
pub const REDACTED: &str = "[redacted]";

/// Length of the shortest secret: a shorter one is guessed at once.
const SHORTEST: usize = 3;
/// Number of words of the vocabulary that may occur in a row in a Secret as well, before they count as a quotation.
const CHANCE: usize = 2;
/// No word of a language is so long, once it is read as base64.
const CHANCE_BYTES: usize = 15;

/// Length in bytes of the longest text that is shown; the rest of it is cut off before any work.
const LONGEST_TEXT: usize = 8 << 10;
/// Length in bytes of all texts together; nothing is shown of further ones.
const LONGEST_TEXTS: usize = 128 << 10;

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
fn unarmored(content: &[u8]) -> Cow<'_, [u8]> {
    let is_frame = |line: &&[u8]| line.starts_with(b"-----BEGIN ") || line.starts_with(b"-----END ");
    let lines = || content.split_inclusive(|byte| *byte == b'\n');
    if !lines().any(|line| is_frame(&line)) {
        return Cow::Borrowed(content);
    }
    Cow::Owned(lines().filter(|line| !is_frame(line)).flatten().copied().collect())
}

/// Knows the contents of Secrets, and removes quotations of them from texts.
#[derive(Debug)]
pub struct Redactor {
    /// The contents as they can be read: as they are, unescaped, and decoded.
    readings: Vec<Vec<u8>>,
    values: SecretValues,
}

/// A text as it can be read, and the way back to its bytes.
struct View {
    /// The number of the text.
    text: usize,
    content: Vec<u8>,
    places: Places,
}

/// The bytes of a text that a view shows.
enum Places {
    /// Each byte is at the same place.
    Same,
    /// Each byte is at a place of its own.
    Each(Vec<Range<usize>>),
    /// All of it is in one place.
    Whole(Range<usize>),
}

impl Redactor {
    /// Creates a redactor that knows these contents.
    #[must_use]
    pub fn new<'a>(contents: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut readings = Vec::new();
        for content in contents {
            let content = unarmored(content);
            let encoded = hidden(&content);
            let mut content = content.into_owned();
            content.make_ascii_lowercase();
            // A reading that equals the content need be known once, and each takes as much memory.
            let is_new = |reading: &Vec<u8>| *reading != content && !reading.is_empty();
            let escapes = b"\\%".iter().filter(|escape| content.contains(escape));
            readings.extend(escapes.map(|escape| unescaped(&content, *escape)).filter(is_new));
            readings.extend(Some(encoded).filter(is_new));
            readings.push(content);
        }
        let mut values = SecretValues::default();
        readings.iter().for_each(|reading| values.add(reading));
        Self { readings, values }
    }

    /// Returns the findings without quotations. Their places stay: they name a file and a position, and no content.
    #[must_use]
    pub fn redact_all(&self, findings: Vec<Finding>) -> Vec<Finding> {
        let texts = findings.iter().flat_map(|finding| [Some(&finding.message), finding.help.as_ref()]);
        let mut shown = self.texts(texts.flatten().map(String::as_str)).into_iter();
        let redact = |finding: Finding| {
            let message = shown.next().unwrap_or_default();
            let help = finding.help.as_ref().and_then(|_| shown.next());
            Finding { message, help, ..finding }
        };
        findings.into_iter().map(redact).collect()
    }

    /// Returns the finding without quotations.
    #[must_use]
    pub fn redact(&self, finding: Finding) -> Finding {
        let help = finding.help.as_ref().map(|help| self.text(help));
        Finding { message: self.text(&finding.message), help, ..finding }
    }

    /// Returns true if it knows no content, so that each text is shown as it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.readings.iter().all(Vec::is_empty)
    }

    /// Returns the text without quotations.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        self.texts([text]).pop().unwrap_or_default()
    }

    /// Returns the texts without quotations. Together they cost one pass over the contents.
    #[must_use]
    pub fn texts<'t>(&self, texts: impl IntoIterator<Item = &'t str>) -> Vec<String> {
        let mut room = LONGEST_TEXTS;
        let fits = |text: &'t str| {
            let text = truncated(text);
            room = room.saturating_sub(text.len());
            (room > 0).then_some(text)
        };
        let texts: Vec<Option<&str>> = texts.into_iter().map(fits).collect();
        let views: Vec<View> =
            texts.iter().enumerate().flat_map(|(index, text)| views(index, text.unwrap_or_default())).collect();
        let joined: Vec<u8> = views.iter().flat_map(|view| view.content.iter().chain([&BETWEEN])).copied().collect();
        let mut matches = Matches::new(&joined);
        self.readings.iter().for_each(|reading| matches.find_in(reading));
        let starts = matches.quotations();
        let (mut found, mut offset) = (vec![Vec::new(); texts.len()], 0);
        for view in &views {
            let part = &starts[offset..offset + view.content.len()];
            found[view.text].extend(self.quotations_in(view, part, offset));
            offset += view.content.len() + 1;
        }
        let shown = |(text, found): (&Option<&str>, Vec<Range<usize>>)| {
            text.map_or(REDACTED.to_owned(), |text| replace(text, found))
        };
        texts.iter().zip(found).map(shown).collect()
    }

    /// Returns the bytes of a text that a view shows to be quotations from a Secret. `starts` has for each byte the beginning of the
    /// longest match that ends with it, counted from `offset` before the view.
    fn quotations_in(&self, view: &View, starts: &[Option<usize>], offset: usize) -> Vec<Range<usize>> {
        let text = &*view.content;
        let quotes = Quotes::new(text);
        let (mut found, mut covered) = (Vec::new(), text.len());
        for end in (1..=text.len()).rev() {
            let Some(start) = starts[end - 1].map(|start| start - offset) else { continue };
            // The blanks and quotes around a match are no part of it, so the match that ends before them is the same.
            if start >= covered || is_around(text[end - 1]) {
                continue;
            }
            let range = trimmed(text, start..end);
            if range.len() >= SHORTEST && self.reveals(text, &range, &quotes) {
                covered = start;
                found.push(range);
            }
        }
        let original = |range: Range<usize>| match &view.places {
            Places::Same => range,
            Places::Each(places) => places[range.start].start..places[range.end - 1].end,
            Places::Whole(whole) => whole.clone(),
        };
        found.into_iter().map(original).collect()
    }

    /// Returns true if a part that occurs in both `text` and a Secret reveals anything of the Secret.
    fn reveals(&self, text: &[u8], range: &Range<usize>, quotes: &Quotes) -> bool {
        let quotation = &text[range.clone()];
        if !quotation.iter().any(|byte| is_word(*byte)) {
            // Signs alone are a secret only if nothing else is beside them.
            return self.values.has_signs(quotation);
        }
        // A part of a word reveals no more than the whole word.
        let (from, to) = (widened(text, range.start, false), widened(text, range.end, true));
        let mut count = 0;
        let mut only = None;
        for word in words(&text[from..to]) {
            count += 1;
            only = Some(word);
            if count > CHANCE || !is_vocabulary(word) {
                return true;
            }
        }
        let quoted = quotes.mark(text, range);
        match only {
            Some(word) if count == 1 => quoted && self.values.has_word(word),
            _ => quoted,
        }
    }
}

/// Returns a text up to the greatest length that is shown. It ends between two words: a part of one could not be recognised.
#[must_use]
pub fn truncated(text: &str) -> &str {
    if text.len() <= LONGEST_TEXT {
        return text;
    }
    let bytes = &text.as_bytes()[..LONGEST_TEXT];
    let end = bytes.iter().rposition(|byte| !is_word(*byte)).unwrap_or(0);
    &text[..end]
}

/// Returns the ways in which a text can be read.
fn views(index: usize, text: &str) -> Vec<View> {
    let lower = text.as_bytes().to_ascii_lowercase();
    let mut views = Vec::new();
    for escape in *b"\\%" {
        let (content, places): (Vec<_>, Vec<_>) = decoded(&lower, escape).unzip();
        if content.len() < lower.len() {
            views.push(View { text: index, content, places: Places::Each(places) });
        }
    }
    views.extend(encoded(text.as_bytes()).map(|(range, content)| View {
        text: index,
        content: content.to_ascii_lowercase(),
        places: Places::Whole(range),
    }));
    views.push(View { text: index, content: lower, places: Places::Same });
    views
}

/// Returns the end, or the beginning, of the word of which a part lies at `at`.
fn widened(text: &[u8], at: usize, forward: bool) -> usize {
    let mut at = at;
    while !is_boundary(text, at) {
        at = if forward { at + 1 } else { at - 1 };
    }
    at
}

/// Returns true for blanks and quotes.
fn is_around(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'`')
}

/// Returns the range without the blanks and quotes around what it holds.
fn trimmed(text: &[u8], range: Range<usize>) -> Range<usize> {
    let inside = &text[range.clone()];
    let before = inside.iter().take_while(|byte| is_around(**byte)).count();
    let after = inside[before..].iter().rev().take_while(|byte| is_around(**byte)).count();
    range.start + before..range.end - after
}

/// The quotes of a text: for each place, if one is open there.
struct Quotes(Vec<bool>);

impl Quotes {
    fn new(text: &[u8]) -> Self {
        let (mut double, mut back) = (false, false);
        let open = |byte: &u8| {
            double ^= *byte == b'"';
            back ^= *byte == b'`';
            double || back
        };
        Self([false].into_iter().chain(text.iter().map(open)).collect())
    }

    /// Returns true if the checker marks this range as a quotation.
    fn mark(&self, text: &[u8], range: &Range<usize>) -> bool {
        let opens = text[..range.start].last().is_some_and(|byte| b"\"'`<[(=:".contains(byte));
        let closes = text[range.end..].first().is_some_and(|byte| b"\"'`>])".contains(byte));
        opens || closes || self.0[range.start]
    }
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
    let mut content = Vec::with_capacity(text.len());
    content.extend(decoded(text, escape).map(|(byte, _)| byte));
    content
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
    encoded(content).flat_map(|(_, content)| [&*content.to_ascii_lowercase(), &[BETWEEN]].concat()).collect()
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
