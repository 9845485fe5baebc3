//! Stream of documents, read one at a time, so that no more than one is in memory.

use std::borrow::Cow;
use std::io::{self, BufRead, Read as _};
use std::sync::LazyLock;

use regex::Regex;
use reload_gate_contract::{Code, Finding, Place};

const NOT_UTF8: Code = Code::new("not-utf8");
const TOO_LARGE: Code = Code::new("document-too-large");

/// Largest document in bytes. The API server accepts objects of 1.5 MiB; this leaves room for a long `List`.
const LARGEST: usize = 256 << 20;

/// One document of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestDocument {
    /// Text, with its marker `---`.
    pub text: String,
    /// Number of lines before it.
    pub lines: u32,
    /// Number of bytes before it.
    pub offset: u64,
}

/// Error of a stream.
#[derive(Debug)]
pub enum Unreadable {
    /// The stream cannot be read.
    Io(io::Error),
    /// The text is invalid, at a place with an empty file.
    Text(Box<Finding>),
}

/// Iterator over the documents of a stream of YAML or JSON.
///
/// A line that begins with `---` or `...` ends a document, also in a block scalar (`c-forbidden`, YAML 1.2.2, rule 206), so a stream can be
/// split without being understood.
#[derive(Debug)]
pub struct ManifestDocuments<R> {
    reader: R,
    lines: u32,
    offset: u64,
    /// Beginning of the next document, which ended the last one.
    begun: Vec<u8>,
    ended: bool,
}

impl<R: BufRead> ManifestDocuments<R> {
    /// Returns the documents of `reader`.
    pub fn new(reader: R) -> Self {
        Self { reader, lines: 0, offset: 0, begun: Vec::new(), ended: false }
    }

    /// Reads the next document; empty at the end of the stream.
    fn read(&mut self) -> Result<Vec<u8>, Unreadable> {
        let mut bytes = std::mem::take(&mut self.begun);
        let mut has_content = says_something(after_marker(&bytes));
        let mut is_marked = is_marker(&bytes, b"---");
        loop {
            let start = bytes.len();
            let mut limited = self.reader.by_ref().take(LARGEST as u64 + 1);
            if limited.read_until(b'\n', &mut bytes).map_err(Unreadable::Io)? == 0 {
                self.ended = true;
                return Ok(bytes);
            }
            let line = &bytes[start..];
            if bytes.len() > LARGEST {
                self.ended = true;
                return Err(Unreadable::Text(Box::new(self.too_large())));
            }
            if is_marker(line, b"---") && (has_content || is_marked) {
                self.begun = bytes.split_off(start);
                return Ok(bytes);
            }
            is_marked |= is_marker(line, b"---");
            if is_marker(line, b"...") {
                return Ok(bytes);
            }
            has_content |= says_something(after_marker(line));
        }
    }

    fn too_large(&self) -> Finding {
        let message = format!("this document has more than {} MiB", LARGEST >> 20);
        let help = "split it into several, with `---` between them";
        Finding::error(TOO_LARGE, message).at(Place::line("", self.lines + 1)).help(help)
    }
}

impl<R: BufRead> Iterator for ManifestDocuments<R> {
    type Item = Result<ManifestDocument, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.ended && self.begun.is_empty() {
                return None;
            }
            let mut bytes = match self.read() {
                Ok(bytes) => bytes,
                Err(unreadable) => return Some(Err(unreadable)),
            };
            bytes.shrink_to_fit();
            let (lines, offset) = (self.lines, self.offset);
            self.lines += u32::try_from(bytes.iter().filter(|byte| **byte == b'\n').count()).unwrap_or(u32::MAX);
            self.offset += bytes.len() as u64;
            // Between two markers there may be nothing but comments.
            let says = |line| !is_marker(line, b"...") && says_something(after_marker(line));
            if !bytes.split_inclusive(|byte| *byte == b'\n').any(says) {
                continue;
            }
            return Some(match String::from_utf8(bytes) {
                Ok(text) => Ok(ManifestDocument { text: readable(text), lines, offset }),
                Err(error) => {
                    let (at, bytes) = (error.utf8_error().valid_up_to(), error.as_bytes());
                    let place = Place::span("", bytes, reload_gate_contract::Span { start: at, end: at + 1 });
                    let line = place.line.map(|line| line + lines);
                    let finding = Finding::error(NOT_UTF8, "this is not UTF-8").at(Place { line, span: None, ..place });
                    Err(Unreadable::Text(Box::new(finding.help("manifests are UTF-8 (RFC 8259, YAML 1.2)"))))
                }
            });
        }
    }
}

/// Alias as a key without a blank in front of the colon.
static ALIAS_AS_KEY: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?m)^([ \t-]*)\*([A-Za-z0-9_-]+):([ \t\r]|$)").ok());

/// Returns a document as go-yaml reads it, with the same length: in an alias it ends the name at a colon, which belongs to the name in
/// YAML 1.2 (`yaml_parser_scan_anchor()` in its `scannerc.go`). The key gets a name of its own.
#[must_use]
pub fn readable(text: String) -> String {
    let aliases = ALIAS_AS_KEY.as_ref().filter(|_| text.contains('*'));
    match aliases.map(|pattern| pattern.replace_all(&text, "${1}_${2}:${3}")) {
        Some(Cow::Owned(replaced)) => replaced,
        _ => text,
    }
}

/// Returns true if a line is this marker, alone or followed by a blank.
fn is_marker(line: &[u8], marker: &[u8]) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace))
}

/// Returns the rest of a line behind its marker.
fn after_marker(line: &[u8]) -> &[u8] {
    if is_marker(line, b"---") { &line[3..] } else { line }
}

/// Returns true if a line is more than blanks, a comment or a directive.
fn says_something(line: &[u8]) -> bool {
    let text = line.trim_ascii_start();
    !text.is_empty() && !text.starts_with(b"#") && !line.starts_with(b"%") && text != "\u{feff}".as_bytes()
}
