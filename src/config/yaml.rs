//! YAML with positions: text → a tree in which everything knows where it stands. Pure.

use granit_parser::{Event, Parser, ScalarStyle, Span};

/// A piece of YAML and where it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) value: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Nothing, or `null` or `~`.
    Null,
    /// Any scalar, as it is written: what it means is for the setting to say.
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

/// What is wrong with the text, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) message: String,
}

/// Deeper than any configuration of ours, and an end to recursion.
const MAX_DEPTH: usize = 16;

/// Parses the first document of `text`; `None` if there is none.
pub(super) fn parse(text: &str) -> Result<Option<Node>, Broken> {
    let mut events = Parser::new_from_str(text);
    let mut next = move || -> Result<Option<(Event<'_>, Span)>, Broken> {
        match events.next() {
            None => Ok(None),
            Some(Ok(event)) => Ok(Some(event)),
            Some(Err(error)) => {
                let marker = error.marker();
                let (line, column) = (marker.line(), marker.col() + 1);
                Err(Broken { line, column, message: error.kind().to_string() })
            }
        }
    };
    while let Some((event, span)) = next()? {
        match event {
            Event::StreamStart | Event::DocumentStart(..) => {}
            Event::StreamEnd | Event::DocumentEnd => return Ok(None),
            event => return node(event, span, &mut next, 0).map(Some),
        }
    }
    Ok(None)
}

type Next<'a, 'input> = &'a mut dyn FnMut() -> Result<Option<(Event<'input>, Span)>, Broken>;

fn node<'input>(event: Event<'input>, span: Span, next: Next<'_, 'input>, depth: usize) -> Result<Node, Broken> {
    let (line, column) = (span.start.line(), span.start.col() + 1);
    let broken = |message: &str| Broken { line, column, message: message.into() };
    if depth > MAX_DEPTH {
        return Err(broken("nested too deep"));
    }
    let value = match event {
        Event::Scalar(text, ScalarStyle::Plain, ..) if matches!(&*text, "" | "~" | "null") => Value::Null,
        Event::Scalar(text, ..) => Value::Text(text.into_owned()),
        Event::SequenceStart(..) => {
            let mut items = Vec::new();
            while let Some((event, span)) = next()? {
                if matches!(event, Event::SequenceEnd) {
                    break;
                }
                items.push(node(event, span, next, depth + 1)?);
            }
            Value::List(items)
        }
        Event::MappingStart(..) => {
            let mut entries = Vec::new();
            while let Some((event, span)) = next()? {
                if matches!(event, Event::MappingEnd) {
                    break;
                }
                let key = node(event, span, next, depth + 1)?;
                let Some((event, span)) = next()? else { return Err(broken("the file ends in a mapping")) };
                entries.push((key, node(event, span, next, depth + 1)?));
            }
            Value::Map(entries)
        }
        Event::Alias(..) => return Err(broken("aliases are not understood here; write it out")),
        _ => return Err(broken("this is not understood here")),
    };
    Ok(Node { line, column, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_knows_where_it_stands() {
        let root =
            parse("# a comment\na:\n  - x # why\n  - 'y z'\nb: ~\n").expect("it is YAML").expect("it is not empty");
        let Value::Map(entries) = root.value else { panic!("a map") };
        let (key, list) = &entries[0];
        assert_eq!((key.line, key.column), (2, 1));
        let Value::List(items) = &list.value else { panic!("a list") };
        assert_eq!((items[1].line, items[1].column, &items[1].value), (4, 5, &Value::Text("y z".into())));
        assert_eq!(entries[1].1.value, Value::Null);
    }

    #[test]
    fn what_is_broken_says_where() {
        let broken = parse("a: 1\nb: [2\n").expect_err("it is broken");
        assert_eq!((broken.line, broken.column), (2, 4), "{broken:?}");
        assert!(!broken.message.is_empty());
        let alias = parse("a: &x 1\nb: *x\n").expect_err("it is not understood");
        assert_eq!((alias.line, alias.column), (2, 4));
        assert!(parse(&"[".repeat(1000)).is_err());
    }

    #[test]
    fn an_empty_file_is_no_document() {
        assert_eq!(parse("# nothing\n"), Ok(None));
    }
}
