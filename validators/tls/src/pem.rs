//! PEM as servers read it: RFC 7468, with the headers of RFC 1421 that OpenSSL writes into encrypted keys.
//!
//! No message ever shows anything of a block's contents: it may be a key.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reload_gate_contract::{Finding, Findings, Place, Severity, Span};

use crate::File;
use crate::codes::{BROKEN_BASE64, BROKEN_BOUNDARY, NOT_PEM, TEXT_OUTSIDE_BLOCKS, TOO_MANY_FINDINGS, UNFINISHED_BLOCK};

/// Limit of findings in one file.
const MOST_FINDINGS: usize = 100;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// A block between a BEGIN and its END.
pub(crate) struct PemBlock {
    /// Such as `CERTIFICATE`.
    pub(crate) label: String,
    /// The line that begins it.
    pub(crate) place: Place,
    /// Its content, decoded.
    pub(crate) contents: Vec<u8>,
    /// Its headers declare encryption (RFC 1421, section 4.6.1.1).
    pub(crate) encrypted: bool,
}

/// A block of which no end has been seen yet.
struct Open {
    label: String,
    place: Place,
    base64: Vec<u8>,
    encrypted: bool,
    /// The headers may go on.
    in_headers: bool,
    /// The first character that is no base64.
    bad: Option<Place>,
    /// The last line of base64.
    last: Option<Place>,
}

/// The blocks of a file that are whole, in their order, and what is wrong with it. A block with an error is left out.
pub(crate) fn read(file: File<'_>) -> (Vec<PemBlock>, Vec<Finding>) {
    let mut reader = PemReader {
        file,
        blocks: Vec::new(),
        findings: Findings::new(MOST_FINDINGS),
        number: 0,
        open: None,
        text_outside: None,
    };
    let mut start = 0;
    for line in file.text.split_inclusive(|byte| *byte == b'\n') {
        reader.number += 1;
        reader.line(start, line);
        start += line.len();
    }
    reader.finish()
}

struct PemReader<'a> {
    file: File<'a>,
    blocks: Vec<PemBlock>,
    findings: Findings,
    /// The line that is read.
    number: u32,
    open: Option<Open>,
    text_outside: Option<Place>,
}

impl PemReader<'_> {
    fn line(&mut self, start: usize, bytes: &[u8]) {
        // Blanks at the end of a line mean nothing (RFC 7468, section 2).
        let bytes = bytes.trim_ascii_end();
        let (path, number) = (self.file.path, self.number);
        let place = || place(path, number, start, bytes, 0..bytes.len());
        let text = String::from_utf8_lossy(bytes);
        let label = |begin: &str| text.strip_prefix(begin)?.strip_suffix(DASHES).map(str::to_owned);
        if let Some(label) = label(BEGIN) {
            let place = place();
            self.unfinished();
            self.open = Some(Open {
                label,
                place,
                base64: Vec::new(),
                encrypted: false,
                in_headers: true,
                bad: None,
                last: None,
            });
        } else if let Some(label) = label(END) {
            let place = place();
            self.end(&label, place);
        } else if is_nearly_a_boundary(&text) {
            let finding = Finding::error(BROKEN_BOUNDARY, "this line does not begin or end a block, and was meant to");
            let help = "such a line is `-----BEGIN LABEL-----` or `-----END LABEL-----`: five dashes on either side, and \
                        nothing before them";
            self.findings.push(finding.at(place()).help(help));
        } else if self.open.is_some() {
            self.inside(start, bytes);
        } else if !bytes.is_empty() && self.text_outside.is_none() {
            self.text_outside = Some(place());
        }
    }

    /// A line of a block.
    fn inside(&mut self, start: usize, bytes: &[u8]) {
        let Some(open) = &mut self.open else { return };
        if open.in_headers && bytes.contains(&b':') {
            open.encrypted |= bytes.starts_with(b"Proc-Type:") && bytes.ends_with(b"ENCRYPTED");
            return;
        }
        let first = bytes.iter().position(|byte| !byte.is_ascii_whitespace());
        let Some(first) = first else { return };
        open.in_headers = false;
        let place = |at: usize| place(self.file.path, self.number, start, bytes, at..at + 1);
        open.last = Some(place(first));
        for (at, byte) in bytes.iter().enumerate().filter(|(_, byte)| !byte.is_ascii_whitespace()) {
            let is_base64 = byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
            if !is_base64 && open.bad.is_none() {
                open.bad = Some(place(at));
            }
            open.base64.push(*byte);
        }
    }

    fn end(&mut self, label: &str, place: Place) {
        let Some(open) = self.open.take() else {
            let message = format!("a block of `{}` ends here and begins nowhere", shown(label));
            let help =
                format!("the line `-----BEGIN {}-----` is missing, or the text before it was cut off", shown(label));
            self.findings.push(Finding::error(BROKEN_BOUNDARY, message).at(place).help(help));
            return;
        };
        if open.label != label {
            let message = format!("`{}` begins and `{}` ends", shown(&open.label), shown(label));
            let help = "copy the file again: both lines of a block have the same label, and text between two blocks may be lost";
            self.findings.push(Finding::error(BROKEN_BOUNDARY, message).at(place).help(help));
            return;
        }
        let help = "copy the file again, whole: a character was changed, or a line was cut";
        let finding = match (open.bad, STANDARD.decode(&open.base64)) {
            (Some(bad), _) => Finding::error(BROKEN_BASE64, "a character that is no base64").at(bad),
            (None, Err(_)) => {
                let message = "what ends here is no base64: characters are missing, or too many";
                Finding::error(BROKEN_BASE64, message).at(open.last.unwrap_or(open.place))
            }
            (None, Ok(contents)) => {
                self.blocks.push(PemBlock {
                    label: open.label,
                    place: open.place,
                    contents,
                    encrypted: open.encrypted,
                });
                return;
            }
        };
        self.findings.push(finding.help(help));
    }

    fn unfinished(&mut self) {
        let Some(open) = self.open.take() else { return };
        let message = format!("the block of `{}` that begins here has no end", shown(&open.label));
        let help = format!("copy the file again, whole: the line `-----END {}-----` is missing", shown(&open.label));
        self.findings.push(Finding::error(UNFINISHED_BLOCK, message).at(open.place).help(help));
    }

    fn finish(mut self) -> (Vec<PemBlock>, Vec<Finding>) {
        self.unfinished();
        if self.blocks.is_empty() && self.findings.is_empty() {
            let what = match self.file.text {
                [] => "the file is empty",
                // A SEQUENCE of more than 127 bytes (X.690, section 8.1.3.5).
                [0x30, 0x81..=0x84, ..] => "the file is binary (DER) and no PEM",
                _ => "there is no block of PEM in the file",
            };
            let help = "convert it to PEM, whose blocks are between `-----BEGIN …-----` and `-----END …-----`; `openssl x509 \
                        -inform DER` or `openssl pkey -inform DER` makes it of DER";
            self.findings.push(Finding::error(NOT_PEM, what).at(Place::file(self.file.path)).help(help));
        } else if let Some(place) = self.text_outside {
            let message = "text outside of the blocks is ignored";
            let finding = Finding::warning(TEXT_OUTSIDE_BLOCKS, message).at(place);
            self.findings.push(Finding { severity: Severity::Note, ..finding });
        }
        (self.blocks, self.findings.finish(TOO_MANY_FINDINGS))
    }
}

/// The place of a part of the line that begins at byte `start`. (To count the lines each time would take long in a long file.)
fn place(path: &str, number: u32, start: usize, line: &[u8], part: Range<usize>) -> Place {
    let column = String::from_utf8_lossy(&line[..part.start]).chars().count() + 1;
    Place {
        line: Some(number),
        column: u32::try_from(column).ok(),
        span: Some(Span { start: start + part.start, end: start + part.end }),
        ..Place::file(path)
    }
}

/// True if a line looks like a boundary: dashes, and one of the two words.
fn is_nearly_a_boundary(text: &str) -> bool {
    let dashes = text.contains("--");
    dashes && ["BEGIN", "END"].iter().any(|word| text.split(['-', ' ', '\u{feff}']).any(|part| part == *word))
}

/// A label as it is shown: what is too long to be one might be anything.
pub(crate) fn shown(label: &str) -> String {
    let printable =
        label.chars().map(|c| if c.is_ascii_uppercase() || c.is_ascii_digit() || c == ' ' { c } else { '?' });
    let mut label: String = printable.take(40).collect();
    if label.is_empty() {
        label.push('?');
    }
    label
}
