//! Index of the lines of a text, so that many places cost no more than one pass over the text. Pure.

use reload_gate_contract::{Place, Span};

/// Starts of the lines of a text.
#[derive(Debug)]
pub(super) struct LineIndex {
    starts: Vec<usize>,
    length: usize,
}

impl LineIndex {
    pub(super) fn new(text: &[u8]) -> Self {
        let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
        Self { starts: std::iter::once(0).chain(ends).collect(), length: text.len() }
    }

    /// Returns the index of the line that contains `at`, from 0.
    pub(super) fn line_of(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at).saturating_sub(1)
    }

    /// Returns the range of a line, with its end of line; the empty end of the text for a line behind the last.
    pub(super) fn range(&self, line: usize) -> std::ops::Range<usize> {
        let start = self.starts.get(line).copied().unwrap_or(self.length);
        start..self.starts.get(line + 1).copied().unwrap_or(self.length)
    }

    /// Returns the number of lines, of which the last may be empty.
    pub(super) fn count(&self) -> usize {
        self.starts.len()
    }

    /// Returns the place of a span, as `Place::span` does.
    pub(super) fn place(&self, file: &str, text: &[u8], span: Span) -> Place {
        let at = span.start.min(text.len());
        let line = self.line_of(at);
        let column = String::from_utf8_lossy(&text[self.range(line).start..at]).chars().count() + 1;
        let number = |count: usize| Some(u32::try_from(count).unwrap_or(u32::MAX));
        Place { file: file.to_owned(), line: number(line + 1), column: number(column), span: Some(span) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_that_of_a_search_through_the_text() {
        let text = "a\nbü c\n\nlast".as_bytes();
        let index = LineIndex::new(text);
        for start in 0..=text.len() {
            let span = Span { start, end: (start + 1).min(text.len()) };
            assert_eq!(index.place("f", text, span), Place::span("f", text, span), "at {start}");
        }
        assert_eq!(index.range(1), 2..7);
        assert_eq!(index.range(9), text.len()..text.len());
    }
}
