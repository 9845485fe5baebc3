//! Bytes → text, and findings at places in it.

use std::cell::OnceCell;

use reload_gate_contract::{Finding, Findings, LineIndex, Place, Span};

use crate::codes::{NOT_UTF8, TOO_MANY_FINDINGS};

/// The text of a file; what is wrong with it if it is none.
pub(crate) fn decode<'t>(path: &str, bytes: &'t [u8]) -> Result<&'t str, Box<Finding>> {
    std::str::from_utf8(bytes).map_err(|error| {
        let start = error.valid_up_to();
        let span = Span { start, end: start + error.error_len().unwrap_or(bytes.len() - start) };
        let help = "save it as UTF-8: in another encoding its characters mean something else";
        Box::new(Finding::error(NOT_UTF8, "the text is not UTF-8").at(Place::span(path, bytes, span)).help(help))
    })
}

/// The text of a file in UTF-16, without its byte order mark; `None` if it has none, or is not UTF-16.
#[must_use]
pub fn decode_utf16(bytes: &[u8]) -> Option<String> {
    let (mark, rest) = bytes.split_first_chunk()?;
    let unit: fn([u8; 2]) -> u16 = match mark {
        [0xff, 0xfe] => u16::from_le_bytes,
        [0xfe, 0xff] => u16::from_be_bytes,
        _ => return None,
    };
    let (units, rest) = rest.as_chunks();
    let text: Result<String, _> = char::decode_utf16(units.iter().copied().map(unit)).collect();
    text.ok().filter(|_| rest.is_empty())
}

/// Limit of findings of each kind in one file.
pub(crate) const MOST_FINDINGS: usize = 100;

/// Findings of one file, at places in its text.
pub(crate) struct Report<'t> {
    path: &'t str,
    text: &'t str,
    /// Made for the first finding: most files have none.
    lines: OnceCell<LineIndex>,
    findings: Findings,
}

impl<'t> Report<'t> {
    pub(crate) fn new(path: &'t str, text: &'t str) -> Self {
        Self { path, text, lines: OnceCell::new(), findings: Findings::new(MOST_FINDINGS) }
    }

    /// Adds a finding, at a range of bytes.
    pub(crate) fn add(&mut self, finding: Finding, span: Span) {
        if !self.findings.omits(finding.severity, finding.cause) {
            let lines = self.lines.get_or_init(|| LineIndex::new(self.text.as_bytes()));
            self.findings.push(finding.at(lines.place(self.path, self.text.as_bytes(), span)));
        }
    }

    /// All findings by their places, and the number of those left out.
    pub(crate) fn finish(self) -> Vec<Finding> {
        let mut findings = self.findings.finish(TOO_MANY_FINDINGS);
        // The number of those left out has no place, and is the last.
        findings.sort_by_key(|finding| finding.place.as_ref().map_or((1, None), |place| (0, place.span)));
        findings
    }
}

/// The beginning of a text that may be long, with its control characters shown.
pub(crate) fn excerpt(text: &str, characters: usize) -> String {
    let end = text.char_indices().nth(characters).map_or(text.len(), |(end, _)| end);
    let shown = reload_gate_contract::visible(&text[..end]);
    if end < text.len() { format!("{shown}…") } else { shown.into_owned() }
}
