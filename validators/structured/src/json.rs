//! JSON, strictly as RFC 8259 has it.

mod reader;
mod string;

use crate::yaml::{Broken, Document};
use reader::Reader;

/// The values of a text that holds one after another, each read when it is asked for; it ends after a broken one.
#[derive(Debug)]
pub(crate) struct Values<'t> {
    reader: Reader<'t>,
    ended: bool,
}

impl<'t> Values<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let mut reader = Reader::new(text);
        reader.skip_mark();
        Self { reader, ended: false }
    }

    /// The byte with which the next value begins, if there is one.
    pub(crate) fn first_byte(&mut self) -> Option<u8> {
        self.reader.skip_space();
        self.reader.peek()
    }
}

impl Iterator for Values<'_> {
    type Item = Result<Document, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        self.first_byte()?;
        let value = match self.reader.value() {
            Ok(root) => Ok(Document { root, repeated: std::mem::take(&mut self.reader.repeated) }),
            Err(problem) => {
                let (line, column) = self.reader.place(problem.span.start);
                Err(Broken { line, column, span: problem.span, message: problem.message, cause: problem.cause })
            }
        };
        self.ended = value.is_err();
        Some(value)
    }
}
