//! TOML, as version 1.1 has it (<https://toml.io/en/v1.1.0>): a text of version 1.0 means the same in it.

mod names;
mod reader;

use reload_gate_contract::{Finding, LineIndex, Span};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::text::decode;
use crate::yaml::{Node, Scalar, Style, Value};
use reader::TomlReader;

/// Everything that is wrong with a file of TOML, from its top to its end.
#[must_use]
pub fn check(path: &str, text: &[u8]) -> Vec<Finding> {
    let text = match decode(path, text) {
        Ok(text) => text,
        Err(finding) => return vec![*finding],
    };
    let mut reader = TomlReader::new(path, text);
    reader.read();
    reader.report.finish()
}

/// The tree of a file of TOML, in which every node has its place; `None` if it is broken. Numbers and booleans are
/// plain scalars, as YAML has them; strings, dates and times are quoted ones.
pub(crate) fn tree(text: &str) -> Option<Node> {
    let table = DeTable::parse(text).ok()?;
    let tree = TomlTree { text, lines: LineIndex::new(text.as_bytes()) };
    Some(tree.node(&table, tree.map(table.get_ref())))
}

struct TomlTree<'t> {
    text: &'t str,
    lines: LineIndex,
}

impl TomlTree<'_> {
    fn map(&self, table: &DeTable<'_>) -> Value {
        let key = |key: &Spanned<_>| self.node(key, scalar(key.get_ref(), Style::DoubleQuoted));
        Value::Map(table.iter().map(|(name, item)| (key(name), self.node(item, self.value(item.get_ref())))).collect())
    }

    fn value(&self, item: &DeValue<'_>) -> Value {
        match item {
            DeValue::String(value) => scalar(value, Style::DoubleQuoted),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(whole) => scalar(&whole, Style::Plain),
                Err(_) => scalar(&number.as_str(), Style::Plain),
            },
            DeValue::Float(number) => scalar(&number.as_str(), Style::Plain),
            DeValue::Boolean(value) => scalar(value, Style::Plain),
            DeValue::Datetime(time) => scalar(time, Style::DoubleQuoted),
            DeValue::Array(items) => {
                Value::List(items.iter().map(|item| self.node(item, self.value(item.get_ref()))).collect())
            }
            DeValue::Table(table) => self.map(table),
        }
    }

    fn node<T>(&self, spanned: &Spanned<T>, value: Value) -> Node {
        let span = Span { start: spanned.span().start, end: spanned.span().end };
        let (line, column) = (self.lines.line(span.start), self.lines.column(self.text.as_bytes(), span.start));
        Node { span: span.into(), line, column, value }
    }
}

fn scalar(text: &dyn std::fmt::Display, style: Style) -> Value {
    Value::Scalar(Scalar { text: text.to_string().into(), style })
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
        let all = "title = \"x\"\nday = 1979-05-27T07:32:00Z\n[a.b]\nlist = [1, 2.5, 0xff, inf,\n  # more\n]\ninline = { x = 1 }\n[[t]]\n'k' = '''\n'''\n";
        assert_eq!(found(all), [""; 0]);
        assert_eq!(found(""), [""; 0]);
    }

    #[test]
    fn each_mistake_is_found_at_its_place() {
        for (text, expected) in [
            (
                "a = \"x
",
                &["f:1:7: toml-syntax: invalid basic string, expected `\"`"][..],
            ),
            (
                "[a]
[a]
",
                &["f:2:2: toml-duplicate-key: the key is there twice"],
            ),
            (
                "a = 1
a = 2
",
                &["f:2:1: toml-duplicate-key: the key is there twice"],
            ),
            (
                "key
",
                &["f:1:4: toml-syntax: a key without a value, expected `=`"],
            ),
            (
                "a = True
b = yes
",
                &[
                    "f:1:5: toml-syntax: invalid boolean, expected `true`",
                    "f:2:5: toml-syntax: string values must be quoted, expected literal string",
                ],
            ),
            (
                "ä = 1 2
b = [1
",
                &[
                    "f:1:1: toml-syntax: invalid unquoted key, expected letters, numbers, `-`, `_`",
                    "f:1:5: toml-syntax: string values must be quoted, expected literal string",
                    "f:2:5: toml-syntax: this `[` is not closed",
                ],
            ),
        ] {
            assert_eq!(found(text), expected, "{text}");
        }
    }

    #[test]
    fn deep_and_long_input_is_bounded() {
        assert!(!check("f", format!("a = {}", "[".repeat(100_000)).as_bytes()).is_empty());
        assert_eq!(
            check(
                "f",
                "=
"
                .repeat(100_000)
                .as_bytes()
            )
            .len(),
            crate::text::MOST_FINDINGS + 1
        );
    }
}
