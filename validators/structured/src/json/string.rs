//! The strings of JSON (RFC 8259, section 7).

use reload_gate_contract::Span;

use super::reader::{JsonFault, visible};
use crate::codes;

/// Reads the string whose quote is at byte `open`: its value, and the byte after it. Escapes that are half of a pair
/// of surrogates become U+FFFD, as in Go and the browsers' `TextEncoder`, and are added to `halves`.
pub(super) fn read(text: &str, open: usize, halves: &mut Vec<Span>) -> Result<(String, usize), JsonFault> {
    let mut value = String::new();
    let mut at = open + 1;
    loop {
        let rest = &text[at..];
        let plain = rest.bytes().take_while(|byte| *byte >= b' ' && *byte != b'"' && *byte != b'\\').count();
        value.push_str(&rest[..plain]);
        at += plain;
        match text.as_bytes().get(at) {
            Some(b'"') => return Ok((value, at + 1)),
            Some(b'\\') => {
                let (character, end) = escape(text, at)?;
                value.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
                if character.is_none() {
                    halves.push(Span { start: at, end });
                }
                at = end;
            }
            Some(control) => return Err(raw(*control, at)),
            None => return Err(string(Span { start: open, end: open + 1 }, "this string is not closed")),
        }
    }
}

/// The character of the escape at byte `at`, none for half of a pair of surrogates, and the byte behind it.
fn escape(text: &str, at: usize) -> Result<(Option<char>, usize), JsonFault> {
    let character = match text.as_bytes().get(at + 1) {
        Some(plain @ (b'"' | b'\\' | b'/')) => char::from(*plain),
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode(text, at),
        _ => {
            let next = text[at + 1..].chars().next();
            let end = at + 1 + next.map_or(0, char::len_utf8);
            let message = format!("`\\{}` is no escape", next.map(visible).unwrap_or_default());
            return Err(string(Span { start: at, end }, message).help("write `\\\\` for a backslash"));
        }
    };
    Ok((Some(character), at + 2))
}

fn unicode(text: &str, at: usize) -> Result<(Option<char>, usize), JsonFault> {
    let unit = |at: usize| {
        let digits = text.get(at + 2..at + 6).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        text[at..].starts_with("\\u").then(|| u16::from_str_radix(digits, 16).ok())?
    };
    let Some(first) = unit(at) else {
        return Err(string(Span { start: at, end: at + 2 }, "`\\u` takes four hexadecimal digits"));
    };
    let alone = (char::from_u32(first.into()), at + 6);
    let Some(second) = (0xd800..0xdc00).contains(&first).then(|| unit(at + 6)).flatten() else { return Ok(alone) };
    match char::decode_utf16([first, second]).next() {
        Some(Ok(character)) => Ok((Some(character), at + 12)),
        _ => Ok(alone),
    }
}

/// A control character that is not escaped.
fn raw(control: u8, at: usize) -> JsonFault {
    let span = Span { start: at, end: at + 1 };
    match control {
        b'\n' | b'\r' => {
            string(span, "the line ends within a string").help("close it, or write `\\n` for a line break")
        }
        b'\t' => string(span, "a string contains a tab").help("write `\\t`"),
        _ => string(span, format!("a string contains the control character U+{control:04X}"))
            .help("write it as `\\u` and four hexadecimal digits"),
    }
}

fn string(span: Span, message: impl Into<String>) -> JsonFault {
    JsonFault::new(codes::JSON_STRING, span, message)
}
