//! The injection into the text of manifests. Only lines are added, so that comments, order and style of the rest stay as they are.
//!
//! Each document is parsed again after its change and compared with the patched value: a text of a form that this module does not foresee
//! stays as it was, with a warning.

use std::collections::BTreeMap;

use reload_gate_structured::yaml::{self, Node, Style, Value as Yaml};
use serde_json::Value;

use super::edit::{PatchOperation, parts};
use super::{InjectOptions, InjectWarning, Injection, id, patch};
use crate::check::manifest::{ManifestDocuments, Unreadable};

/// Result of an injection into a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InjectedText {
    /// The whole text.
    pub text: String,
    /// Remarks, in the order of the documents.
    pub warnings: Vec<InjectWarning>,
    /// Number of templates that got a gate.
    pub added: usize,
    /// Number of templates that ask for a gate and stay without one.
    pub refused: usize,
    /// Number of templates that had a gate before.
    pub before: usize,
    /// True if there is no object at all.
    pub is_empty: bool,
}

impl InjectedText {
    /// Returns true if there are objects, and no template asks for a gate or has one.
    #[must_use]
    pub fn asks_for_nothing(&self) -> bool {
        !self.is_empty && self.added + self.refused + self.before == 0
    }
}

/// A document that is no manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct BrokenManifest {
    line: u32,
    column: u32,
    message: String,
}

/// Adds a gate to each pod template of a text that asks for one.
///
/// # Errors
/// The first document that is neither YAML nor JSON.
pub fn inject_text(text: &str, options: &InjectOptions) -> Result<InjectedText, BrokenManifest> {
    let mut result = InjectedText { is_empty: true, ..InjectedText::default() };
    let mut copied = 0;
    for document in ManifestDocuments::new(text.as_bytes()) {
        let document = document.map_err(unreadable)?;
        let start = usize::try_from(document.offset).unwrap_or(text.len());
        let end = start + document.text.len();
        result.text += &text[copied..start];
        copied = end;
        // The document as it is read may have other names in keys than the text.
        let own = &text[start..end];
        let Some(root) = root(&document.text, document.lines)? else {
            result.text += own;
            continue;
        };
        result.is_empty = false;
        let value = json(&root);
        let injection = patch(&value, options);
        let written = if injection.added == 0 { Some(own.to_owned()) } else { written(own, &root, &injection) };
        result.warnings.extend(injection.warnings);
        result.refused += injection.refused;
        result.before += injection.before;
        match written {
            Some(written) => {
                result.text += &written;
                result.added += injection.added;
            }
            None => {
                result.text += own;
                result.refused += injection.added;
                result.warnings.push(not_written(&value));
            }
        }
    }
    result.text += &text[copied..];
    Ok(result)
}

fn not_written(value: &Value) -> InjectWarning {
    InjectWarning {
        object: id(value),
        message: "the form of this document does not allow to add lines".to_owned(),
        help: "write the pod template without aliases, tags and unusual indentation".to_owned(),
    }
}

fn unreadable(error: Unreadable) -> BrokenManifest {
    match error {
        Unreadable::Io(error) => BrokenManifest { line: 1, column: 1, message: error.to_string() },
        Unreadable::Text(finding) => {
            let line = finding.place.as_ref().and_then(|place| place.line).unwrap_or(1);
            BrokenManifest { line, column: 1, message: finding.message }
        }
    }
}

/// Parses a document that begins after so many lines.
fn root(text: &str, lines: u32) -> Result<Option<Node>, BrokenManifest> {
    let broken = |broken: yaml::Broken| BrokenManifest {
        line: lines + broken.line,
        column: broken.column,
        message: broken.message,
    };
    yaml::parse(text).map_err(broken)
}

/// A node as JSON. A plain scalar that is JSON is a number or a boolean; others are text, which is good enough to compare texts.
fn json(node: &Node) -> Value {
    match &node.value {
        Yaml::Null => Value::Null,
        Yaml::List(items) => items.iter().map(json).collect(),
        Yaml::Map(entries) => {
            entries.iter().map(|(key, value)| (key.as_str().unwrap_or_default().to_owned(), json(value))).collect()
        }
        Yaml::Scalar(scalar) => {
            let typed = serde_json::from_str(&scalar.text).ok().filter(|_| scalar.style == Style::Plain);
            typed.unwrap_or_else(|| (*scalar.text).into())
        }
    }
}

/// Text that replaces a part of another one.
struct Replacement {
    start: usize,
    end: usize,
    text: String,
}

/// Additions to one mapping or list: keys with their values, or items.
#[derive(Default)]
struct Additions<'p> {
    keys: Vec<(String, &'p Value)>,
    items: Vec<&'p Value>,
}

/// Returns the text with the patch; `None` if the result would not be the patched value.
fn written(text: &str, root: &Node, injection: &Injection) -> Option<String> {
    let mut changes = Vec::new();
    let mut additions: BTreeMap<Vec<String>, Additions<'_>> = BTreeMap::new();
    for PatchOperation { op, path, value } in &injection.patch {
        let mut place: Vec<String> = parts(path).collect();
        if *op == "replace" {
            let node = find(root, &place)?;
            changes.push(Replacement { start: node.span.start(), end: node.span.end(), text: scalar(value) });
            continue;
        }
        let key = place.pop()?;
        let parent = additions.entry(place).or_default();
        if key == "-" { parent.items.push(value) } else { parent.keys.push((key, value)) }
    }
    for (place, added) in &additions {
        changes.extend(added.changes(text, find(root, place)?)?);
    }
    changes.sort_by_key(|change| std::cmp::Reverse((change.start, change.end)));
    let mut result = text.to_owned();
    for change in changes {
        result.get(change.start..change.end)?;
        result.replace_range(change.start..change.end, &change.text);
    }
    let after = yaml::parse(&result).ok()??;
    (json(&after) == injection.injected).then_some(result)
}

/// The node at a place.
fn find<'n>(root: &'n Node, place: &[String]) -> Option<&'n Node> {
    place.iter().try_fold(root, |node, part| match &node.value {
        Yaml::List(items) => items.get(part.parse::<usize>().ok()?),
        _ => node.get(part),
    })
}

impl Additions<'_> {
    /// Returns the changes that add them to a node.
    fn changes(&self, text: &str, node: &Node) -> Option<Vec<Replacement>> {
        let mut changes = Vec::new();
        let mut missing = Vec::new();
        for (key, value) in &self.keys {
            match node.entries().iter().find(|(name, _)| name.as_str() == Some(key)) {
                // A key without a value, or with one to replace.
                Some((name, old)) => changes.push(filled(text, name, old, value)?),
                None => missing.push((key, *value)),
            }
        }
        if missing.is_empty() && self.items.is_empty() {
            return Some(changes);
        }
        let change = if is_flow(text, node) {
            // What is JSON stays JSON.
            let is_json = text.trim_start().starts_with('{');
            let written = |value: &Value| if is_json { value.to_string() } else { flow(value) };
            let keys =
                missing.iter().map(|(key, value)| format!("{}: {}", written(&key.as_str().into()), written(value)));
            let items = self.items.iter().map(|item| written(item));
            in_brackets(text, node, &keys.chain(items).collect::<Vec<_>>())?
        } else {
            let indent = indent(text, node)?;
            let mut lines = String::new();
            missing.iter().for_each(|(key, value)| entry(key, value, indent, &mut lines));
            self.items.iter().for_each(|item| list_item(item, indent, &mut lines));
            below(text, node, &lines)
        };
        changes.push(change);
        Some(changes)
    }
}

/// True for a collection in brackets. A block list that is not indented begins with its first item, which may have brackets of its own.
fn is_flow(text: &str, node: &Node) -> bool {
    let first = match &node.value {
        Yaml::Map(entries) => entries.first().map(|(key, _)| key),
        _ => node.items().first(),
    };
    let has_bracket = matches!(text.as_bytes().get(node.span.start()), Some(b'{' | b'['));
    has_bracket && first.is_none_or(|first| first.span.start() > node.span.start())
}

/// Gives a key another value, on the same line.
fn filled(text: &str, key: &Node, old: &Node, value: &Value) -> Option<Replacement> {
    if matches!(old.value, Yaml::Null)
        && text.get(old.span.start()..old.span.end()).is_none_or(|old| old.trim().is_empty())
    {
        let colon = key.span.end() + text.get(key.span.end()..)?.find(':')? + 1;
        return Some(Replacement { start: colon, end: colon, text: format!(" {}", flow(value)) });
    }
    Some(Replacement { start: old.span.start(), end: old.span.end(), text: flow(value) })
}

/// Adds parts before the closing bracket of a flow collection.
fn in_brackets(text: &str, node: &Node, added: &[String]) -> Option<Replacement> {
    let inside = text.get(node.span.start() + 1..node.span.end().checked_sub(1)?)?;
    let content = inside.trim_end();
    let at = node.span.start() + 1 + content.len();
    let separator = if content.is_empty() || content.ends_with(',') { "" } else { ", " };
    Some(Replacement { start: at, end: at, text: format!("{separator}{}", added.join(", ")) })
}

/// The number of columns before the keys or items of a block collection.
fn indent(text: &str, node: &Node) -> Option<usize> {
    let (first, is_list) = match &node.value {
        Yaml::Map(entries) => (entries.first()?.0.span.start(), false),
        _ => (node.items().first()?.span.start(), true),
    };
    let line = text[..first].rfind('\n').map_or(0, |at| at + 1);
    let before = &text[line..first];
    let is_plain = before.chars().all(|c| matches!(c, ' ' | '-'));
    if is_list { before.rfind('-').filter(|_| is_plain) } else { is_plain.then_some(before.len()) }
}

/// Adds lines below a block collection.
fn below(text: &str, node: &Node, lines: &str) -> Replacement {
    let end = text[..node.span.end()].trim_end().len().max(node.span.start());
    let line_break = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let lines = lines.replace('\n', line_break);
    match text[end..].find('\n') {
        Some(at) => Replacement { start: end + at + 1, end: end + at + 1, text: lines },
        None => Replacement { start: text.len(), end: text.len(), text: format!("{line_break}{}", lines.trim_end()) },
    }
}

/// Keys that come first in a mapping, as people write them.
const FIRST: [&str; 9] =
    ["name", "image", "imagePullPolicy", "restartPolicy", "command", "args", "env", "ports", "httpGet"];

/// The entries of a mapping in the order in which they are written.
fn ordered(map: &serde_json::Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = map.iter().collect();
    let rank = |key: &str| FIRST.iter().position(|first| *first == key).unwrap_or(FIRST.len());
    entries.sort_by_key(|(key, _)| rank(key));
    entries
}

/// Writes an entry of a block mapping.
fn entry(key: &str, value: &Value, indent: usize, lines: &mut String) {
    *lines += &format!("{}{}:", " ".repeat(indent), scalar(&key.into()));
    below_key(value, indent, lines);
}

/// Writes an item of a block list.
fn list_item(item: &Value, indent: usize, lines: &mut String) {
    let mut inner = String::new();
    match item {
        Value::Object(map) if !map.is_empty() && !is_short(item) => {
            ordered(map).into_iter().for_each(|(key, value)| entry(key, value, indent + 2, &mut inner));
        }
        other => inner = format!("{}{}\n", " ".repeat(indent + 2), flow(other)),
    }
    *lines += &format!("{}- {}", " ".repeat(indent), inner.trim_start());
}

fn below_key(value: &Value, indent: usize, lines: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() && !is_short(value) => {
            lines.push('\n');
            ordered(map).into_iter().for_each(|(key, value)| entry(key, value, indent + 2, lines));
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            lines.push('\n');
            items.iter().for_each(|item| list_item(item, indent + 2, lines));
        }
        other => *lines += &format!(" {}\n", flow(other)),
    }
}

/// True for a mapping that is easier to read on one line: few short values.
fn is_short(value: &Value) -> bool {
    value.as_object().is_some_and(|map| map.values().all(|value| !value.is_object() || value == &serde_json::json!({})))
        && !flow(value).contains("[{")
        && flow(value).len() <= 90
}

/// A value in flow style.
fn flow(value: &Value) -> String {
    match value {
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => {
            let entry = |(key, value): (&String, &Value)| format!("{}: {}", scalar(&key.as_str().into()), flow(value));
            format!("{{ {} }}", ordered(map).into_iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        other => scalar(other),
    }
}

/// A scalar: plain if every reader takes it as this text, else quoted as JSON is.
fn scalar(value: &Value) -> String {
    const WORDS: [&str; 11] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"];
    match value.as_str() {
        Some(text) => {
            let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
            let is_plain =
                text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-:@".contains(c)) && !text.ends_with(':');
            let is_text = begins && is_plain && !WORDS.contains(&text.to_ascii_lowercase().as_str());
            if is_text { text.to_owned() } else { value.to_string() }
        }
        None => value.to_string(),
    }
}
