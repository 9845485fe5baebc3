//! Any text is read as documents or refused: no panic, an end, places within the text, and each byte
//! of a scalar within the scalar, at what says it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use reload_gate_structured::yaml::{Node, Style, Value, documents};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for document in documents(text) {
        match document {
            Ok(document) => within(&document.root, text),
            Err(broken) => assert!(broken.span.start <= broken.span.end && broken.span.end <= text.len(), "{broken:?}"),
        }
    }
});

fn within(node: &Node, text: &str) {
    let source = text.get(node.span.start()..node.span.end()).unwrap_or_else(|| panic!("{node:?}"));
    match &node.value {
        Value::Null => {}
        Value::List(items) => items.iter().for_each(|item| within(item, text)),
        Value::Map(entries) => entries.iter().flat_map(|(key, value)| [key, value]).for_each(|node| within(node, text)),
        Value::Scalar(scalar) => {
            for (offset, character) in scalar.text.char_indices().chain([(scalar.text.len(), '\0')]).take(2_000) {
                let _ = node.locate_base64(text, offset);
                let Some(at) = node.locate(text, offset) else { continue };
                assert!(node.span.start() <= at && at <= node.span.end(), "{node:?}");
                let written = text[at..].chars().next();
                let is_escape = scalar.style == Style::DoubleQuoted && written == Some('\\');
                let is_break = matches!(character, ' ' | '\n') && matches!(written, Some('\r' | '\n'));
                let is_end = offset == scalar.text.len();
                assert!(written == Some(character) || is_escape || is_break || is_end, "{character:?} at {at} of {source:?}");
            }
        }
    }
}
