//! Lines and columns of a text, computed once for many places.

use std::ops::Range;
use std::sync::OnceLock;

use crate::{Place, Span};

/// The distance in bytes between two known columns.
const STRIDE: usize = 1024;

/// Index of a text's lines: any number of places costs one pass over the text.
///
/// Columns are those of [`Place::span`]. The text itself is not kept; each call must have the same one.
#[derive(Clone, Debug)]
pub struct LineIndex {
    /// Starts of lines; what is behind the first four gigabytes is one line.
    starts: Vec<u32>,
    /// Length of the text in bytes.
    length: usize,
    /// Bytes at which a character begins, each with the number of characters before it; computed on first use.
    characters: OnceLock<Vec<(usize, usize)>>,
}

impl LineIndex {
    /// Index of a text.
    #[must_use]
    pub fn new(text: &[u8]) -> Self {
        let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let starts = std::iter::once(0).chain(ends.map_while(|(at, _)| u32::try_from(at + 1).ok())).collect();
        Self { starts, length: text.len(), characters: OnceLock::new() }
    }

    /// The line of a byte, counted from 1.
    #[must_use]
    pub fn line(&self, byte: usize) -> u32 {
        number(self.at(byte) + 1)
    }

    /// The index of the line of a byte.
    fn at(&self, byte: usize) -> usize {
        let byte = u32::try_from(byte).unwrap_or(u32::MAX);
        self.starts.partition_point(|start| *start <= byte) - 1
    }

    /// The number of lines, of which the last may be empty.
    #[must_use]
    pub fn count(&self) -> u32 {
        number(self.starts.len())
    }

    /// The bytes of a line, counted from 1, with its end of line; the empty end of the text for a line behind the last.
    #[must_use]
    pub fn range(&self, line: u32) -> Range<usize> {
        let index = usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1);
        let start = |index: usize| self.starts.get(index).map_or(self.length, |start| *start as usize);
        start(index)..start(index.saturating_add(1))
    }

    /// The column of a byte in characters, counted from 1.
    #[must_use]
    pub fn column(&self, text: &[u8], byte: usize) -> u32 {
        let byte = byte.min(text.len());
        let start = self.starts[self.at(byte)] as usize;
        if byte - start < STRIDE {
            return number(count(&text[start..byte]) + 1);
        }
        let known = self.characters.get_or_init(|| characters(text));
        number(before(known, text, byte) - before(known, text, start) + 1)
    }

    /// A range of bytes of a file, as [`Place::span`] gives it.
    #[must_use]
    pub fn place(&self, file: impl Into<String>, text: &[u8], span: Span) -> Place {
        let start = span.start.min(text.len());
        Place {
            file: file.into(),
            line: Some(self.line(start)),
            column: Some(self.column(text, start)),
            span: Some(span),
        }
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn count(text: &[u8]) -> usize {
    String::from_utf8_lossy(text).chars().count()
}

/// The number of characters before a byte.
fn before(known: &[(usize, usize)], text: &[u8], byte: usize) -> usize {
    let (from, characters) = known[known.partition_point(|(at, _)| *at <= byte) - 1];
    characters + count(&text[from..byte])
}

/// Every so many bytes, one at which a character begins.
fn characters(text: &[u8]) -> Vec<(usize, usize)> {
    let (mut known, mut at, mut seen) = (vec![(0, 0)], 0, 0);
    let mut note = |at: usize, seen: usize| {
        if at - known[known.len() - 1].0 >= STRIDE {
            known.push((at, seen));
        }
    };
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            note(at, seen);
            (at, seen) = (at + character.len_utf8(), seen + 1);
        }
        if !chunk.invalid().is_empty() {
            note(at, seen);
            (at, seen) = (at + chunk.invalid().len(), seen + 1);
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_is_that_of_a_single_span() {
        let long = "zwölf ".repeat(700);
        for text in [
            b"".to_vec(),
            b"a\n\nb".to_vec(),
            long.clone().into_bytes(),
            [long.as_bytes(), b"\xff\xe2\n", long.as_bytes()].concat(),
        ] {
            let index = LineIndex::new(&text);
            for start in 0..=text.len() + 1 {
                let span = Span { start, end: start + 1 };
                assert_eq!(index.place("f", &text, span), Place::span("f", &text, span), "at {start}");
            }
        }
    }
    #[test]
    fn a_line_is_its_bytes_with_the_end_of_line() {
        let text = "a\nb\u{fc} c\n\nlast".as_bytes();
        let index = LineIndex::new(text);
        assert_eq!(index.count(), 4);
        assert_eq!((1..=5).map(|line| &text[index.range(line)]).collect::<Vec<_>>().concat(), text);
        assert_eq!(&text[index.range(2)], "b\u{fc} c\n".as_bytes());
        assert_eq!(index.range(9), text.len()..text.len());
    }
}
