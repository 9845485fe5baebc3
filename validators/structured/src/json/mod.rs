//! JSON, strictly as RFC 8259 has it.

mod reader;
mod string;

use reload_gate_contract::{Finding, Span};

use crate::codes;
use crate::text::{Report, decode, excerpt};
use crate::yaml::{Broken, Document, LONGEST_KEY, Node, Scalar, Style, Value, twice};
use reader::JsonReader;

/// Judges a file of JSON: one value, as RFC 8259 has it. Nothing after a syntax error is judged; a duplicate key is a
/// warning, since most programs take the last.
#[must_use]
pub fn check(path: &str, text: &[u8]) -> Vec<Finding> {
    let text = match decode(path, text) {
        Ok(text) => text,
        Err(finding) => return vec![*finding],
    };
    let mut report = Report::new(path, text);
    let mut reader = JsonReader::checking(text);
    if let Some(span) = reader.skip_mark() {
        let finding = Finding::error(codes::BYTE_ORDER_MARK, "JSON begins with no byte order mark (U+FEFF)");
        report.add(finding.help("save it as UTF-8 without it: many programs refuse it"), span);
    }
    if let Err(fault) = reader.value().and_then(|_| reader.ends()) {
        let finding = Finding { cause: fault.cause, ..Finding::error(fault.code, fault.message) };
        report.add(Finding { help: fault.help.map(str::to_owned), ..finding }, fault.span);
    }
    reader.repeated_at.sort_unstable();
    for start in std::mem::take(&mut reader.repeated_at) {
        let Ok((name, end)) = string::read(text, start, &mut Vec::new()) else { continue };
        let message = format!("duplicate key `{}`: most programs take the last", excerpt(&name, LONGEST_KEY));
        let finding = Finding::warning(codes::DUPLICATE_KEY, message).help("remove one of the two");
        report.add(finding, Span { start, end });
    }
    for span in &reader.halves {
        let message = format!("`{}` is half of a pair of surrogates", &text[span.start..span.end]);
        report.add(Finding::warning(codes::JSON_SURROGATE, message).help("write both halves, or none"), *span);
    }
    report.finish()
}

/// Reports the faults of a text that YAML's reader takes for JSON: as [`Values`], and without their trees. Returns false for any
/// other text.
pub(crate) fn faults(text: &str, found: &mut dyn FnMut(Broken)) -> bool {
    let mut values = Values { reader: JsonReader::checking(text), ended: false };
    values.reader.skip_mark();
    if !matches!(values.first_byte(), Some(b'{' | b'[')) || values.next().is_none_or(|first| first.is_err()) {
        return false;
    }
    if !matches!(values.first_byte(), None | Some(b'{' | b'[')) {
        return false;
    }
    let broken = values.find_map(Result::err);
    // The places of faults are asked for in their order.
    let mut places = JsonReader::checking(text);
    let mut repeated = std::mem::take(&mut values.reader.repeated_at);
    repeated.sort_unstable();
    for start in repeated {
        let Ok((name, end)) = string::read(text, start, &mut Vec::new()) else { continue };
        let ((line, column), value) =
            (places.place(start), Value::Scalar(Scalar { text: name.into(), style: Style::DoubleQuoted }));
        found(twice(&Node { span: Span { start, end }.into(), line, column, value }));
    }
    broken.into_iter().for_each(found);
    true
}

/// The values of a text that holds one after another, each read when it is asked for; it ends after a broken one.
#[derive(Debug)]
pub(crate) struct Values<'t> {
    reader: JsonReader<'t>,
    ended: bool,
}

impl<'t> Values<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let mut reader = JsonReader::new(text);
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
                Err(Broken {
                    line,
                    column,
                    span: problem.span,
                    message: problem.message,
                    code: problem.code,
                    cause: problem.cause,
                })
            }
        };
        self.ended = value.is_err();
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let shown = |finding: &Finding| {
            let place = finding.place.as_ref().expect("it has a place");
            format!("{place}: {}: {}", finding.code, finding.message)
        };
        check("f", text.as_bytes()).iter().map(shown).collect()
    }

    #[test]
    fn correct_input_is_accepted() {
        for text in [
            "{}",
            " [] ",
            "\"\\u00e9\\/\\\\\"",
            "-0.5e+10",
            "[1,\t2,\r\n{\"a\": [null, true, false]}]\n",
            "0",
            "\"\u{7f}\u{2028}\"",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn each_mistake_is_found_at_its_place() {
        for (text, expected) in [
            ("", "f:1:1: json-syntax: unexpected end of the text, expected a value"),
            ("# x\n{}", "f:1:1: json-comment: JSON has no comments"),
            ("{} // x", "f:1:4: json-comment: JSON has no comments"),
            ("{\"é\": [1 2]}", "f:1:10: json-syntax: unexpected `2`, expected a `,` or `]`"),
            ("[\n1,\n]", "f:2:2: json-trailing-comma: unexpected `,` after the last element"),
            ("[,]", "f:1:2: json-syntax: unexpected `,`, expected a value"),
            ("{a: 1}", "f:1:2: json-syntax: unexpected `a`, expected a key in double quotes"),
            ("{'a': 1}", "f:1:2: json-string: a string is in double quotes, not in single ones"),
            ("{\"a\" 1}", "f:1:6: json-syntax: unexpected `1`, expected a `:`"),
            ("{\"a\": [1}", "f:1:9: json-syntax: unexpected `}`, expected a `,` or `]`"),
            ("[1, [2]", "f:1:1: json-syntax: this `[` is not closed"),
            ("\"a\nb\"", "f:1:3: json-string: the line ends within a string"),
            ("\"a\tb\"", "f:1:3: json-string: a string contains a tab"),
            ("\"a\0b\"", "f:1:3: json-string: a string contains the control character U+0000"),
            ("[\"a]", "f:1:2: json-string: this string is not closed"),
            ("\"\\u12g4\"", "f:1:2: json-string: `\\u` takes four hexadecimal digits"),
            ("\"\\", "f:1:2: json-string: `\\` is no escape"),
            ("NaN", "f:1:1: json-word: `NaN` is no value"),
            ("[True]", "f:1:2: json-word: `True` is no value"),
            ("-", "f:1:1: json-number: `-` is no number"),
            ("+1", "f:1:1: json-number: `+1` is no number"),
            (".5", "f:1:1: json-number: `.5` is no number"),
            ("5.", "f:1:1: json-number: `5.` is no number"),
            ("0x1f", "f:1:1: json-number: `0x1f` is no number"),
            ("1e", "f:1:1: json-number: `1e` is no number"),
            ("-Infinity", "f:1:1: json-number: `-Infinity` is no number"),
            ("{} x", "f:1:4: json-trailing-text: unexpected text after the value"),
            (
                "{\"a\": 1, \"b\": {\"a\": 2}, \"\\u0061\": 3}",
                "f:1:25: duplicate-key: duplicate key `a`: most programs take the last",
            ),
            ("\"\\udc00\\ud800x\"", "f:1:2: json-surrogate: `\\udc00` is half of a pair of surrogates"),
        ] {
            assert_eq!(found(text).first().map(String::as_str), Some(expected), "{text:?}");
        }
        assert_eq!(found("\u{feff}{\"a\": 1,}").len(), 2);
    }
}
