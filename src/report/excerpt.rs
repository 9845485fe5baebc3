//! The lines around a finding, for readers without the file. Pure.

use reload_gate_contract::Place;
use serde::{Deserialize, Serialize};

/// The number of lines before and after the line of the finding.
const AROUND: usize = 2;
/// The length of a line in characters.
const WIDTH: usize = 200;

/// Some lines of a validated file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    /// The name of the file, as in the finding.
    pub file: String,
    /// The line of the finding.
    pub line: u32,
    /// The column of the finding, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// The number of the first of `lines`.
    pub first: u32,
    /// The line and its neighbours. A long line ends in `…`.
    pub lines: Vec<String>,
}

impl Excerpt {
    /// Returns the lines around `place` in a file with this content; `None` without a line, for a file that is not text, or for one
    /// that ends long before.
    #[must_use]
    pub fn of(place: &Place, content: &[u8]) -> Option<Self> {
        let line = place.line?;
        let index = usize::try_from(line).ok()?.checked_sub(1)?;
        if content.contains(&0) {
            return None;
        }
        // The text after the last line break is no line; but a file that ends too early is wrong just there.
        let content = content.strip_suffix(b"\n").unwrap_or(content);
        let begin = index.saturating_sub(AROUND);
        // Line by line, so that a large file is not copied.
        let lines = content.split(|byte| *byte == b'\n').skip(begin).take(index - begin + AROUND + 1);
        let lines: Vec<_> = lines.map(shown).collect();
        if lines.is_empty() {
            return None;
        }
        let first = u32::try_from(begin + 1).ok()?;
        Some(Self { file: place.file.clone(), line, column: place.column, first, lines })
    }
}

fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
    shortened(&text, WIDTH)
}

/// Returns the first `width` characters of `text`; a `…` marks the rest.
pub(super) fn shortened(text: &str, width: usize) -> String {
    match text.char_indices().nth(width) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(line: u32, content: &str) -> Option<(u32, Vec<String>)> {
        Excerpt::of(&Place::line("/a", line), content.as_bytes()).map(|excerpt| (excerpt.first, excerpt.lines))
    }

    #[test]
    fn a_line_is_shown_with_its_neighbours_as_far_as_there_are_any() {
        let content = "1\n2\r\n3\n4\n5\n6\n";
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        for (line, expected) in [
            (1, Some((1, lines(&["1", "2", "3"])))),
            (4, Some((2, lines(&["2", "3", "4", "5", "6"])))),
            (6, Some((4, lines(&["4", "5", "6"])))),
            (7, Some((5, lines(&["5", "6"])))),
            (9, None),
            (0, None),
            (u32::MAX, None),
        ] {
            assert_eq!(excerpt(line, content), expected, "{line}");
        }
        assert_eq!(Excerpt::of(&Place::file("/a"), b"1"), None, "no line is meant");
    }

    #[test]
    fn it_is_bounded_and_text() {
        let (_, lines) = excerpt(1, &"ä".repeat(100_000)).expect("it is text");
        assert_eq!(lines, [format!("{}…", "ä".repeat(WIDTH))]);
        assert_eq!(excerpt(1, "a\0b"), None);
        assert_eq!(Excerpt::of(&Place::line("/a", 1), b"\xff").expect("it is nearly text").lines, ["\u{fffd}"]);
    }
}
