//! Bytes → text.

use reload_gate_contract::{Finding, Place, Span};

use crate::codes::NOT_UTF8;

/// The text of a file; what is wrong with it if it is none.
pub(crate) fn decode<'t>(path: &str, bytes: &'t [u8]) -> Result<&'t str, Box<Finding>> {
    std::str::from_utf8(bytes).map_err(|error| {
        let start = error.valid_up_to();
        let span = Span { start, end: start + error.error_len().unwrap_or(bytes.len() - start) };
        let help = "save it as UTF-8: in another encoding its characters mean something else";
        Box::new(Finding::error(NOT_UTF8, "the text is not UTF-8").at(Place::span(path, bytes, span)).help(help))
    })
}
