//! XML 1.0: well-formed or not (<https://www.w3.org/TR/xml/#sec-well-formed>). No schema is applied, and nothing is fetched.

use reload_gate_contract::{Finding, LineIndex, Span};
use roxmltree::{Document, Error, ParsingOptions};

use crate::codes::{TOO_LARGE, XML_SYNTAX};
use crate::text::{Report, decode};

/// Limits of nodes, entities included, so that a few lines do not expand to gigabytes, and the tree stays a few times as large as the
/// text: a node takes as much memory as some eighty characters.
const NODES: usize = 10_000;
const CHARACTERS_OF_A_NODE: usize = 16;

/// The first fault of a file of XML, which ends the parsing.
#[must_use]
pub fn check(path: &str, bytes: &[u8]) -> Vec<Finding> {
    let text = match decode(path, bytes) {
        Ok(text) => text,
        Err(finding) => return vec![*finding],
    };
    let most = u32::try_from(NODES + text.len() / CHARACTERS_OF_A_NODE).unwrap_or(u32::MAX);
    let options = ParsingOptions { allow_dtd: true, nodes_limit: most, ..ParsingOptions::default() };
    let Err(error) = Document::parse_with_options(text, options) else { return Vec::new() };
    let lines = LineIndex::new(bytes);
    let position = error.pos();
    let line = lines.range(position.row);
    let column = usize::try_from(position.col).unwrap_or(usize::MAX).saturating_sub(1);
    let offset = text[line.clone()].char_indices().nth(column).map_or(line.end, |(offset, _)| line.start + offset);
    let length = text[offset..].chars().next().filter(|c| *c != '\n').map_or(0, char::len_utf8);
    let mut report = Report::new(path, text);
    report.add(finding(&error), Span { start: offset, end: offset + length });
    report.finish()
}

fn finding(error: &Error) -> Finding {
    // The place is in the finding, and so is cut off.
    let message = error.to_string();
    let message = message.split_once(" at ").filter(|(_, place)| is_place(place)).map_or(&*message, |(text, _)| text);
    match error {
        Error::NodesLimitReached => Finding::environment(TOO_LARGE, "the text has more nodes than this checker reads"),
        Error::UnexpectedCloseTag(open, _, _) => {
            Finding::error(XML_SYNTAX, message).help(format!("close the element `{open}` before this one"))
        }
        Error::UnknownEntityReference(..) => {
            Finding::error(XML_SYNTAX, message).help("write `&amp;` for `&`, and `&lt;` for `<`")
        }
        _ => Finding::error(XML_SYNTAX, message),
    }
}

fn is_place(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == ':')
}
