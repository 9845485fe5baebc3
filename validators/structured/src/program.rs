//! Validation of a program's configuration by a schema of one of its versions.
//!
//! The version that reads the file is unknown, and may know more keys and words than the schema. So these are warnings, and only a
//! value of the wrong kind and a missing key are errors. A placeholder fits everywhere: what takes its place is unknown.
//!
//! These keywords of a schema have a meaning here: `title` is the name of the program, `x-expected` describes the values that fit, for
//! messages, and `x-ignore-case` is true where the program reads keys without regard to their case.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use reload_gate_contract::Finding;
use serde_json::Value as Json;

use crate::codes;
use crate::json_schema::{self, Format, Schema, at, meaning, name, words};
use crate::text::{Report, excerpt};
use crate::yaml::{LONGEST_KEY, Node, Value};

/// Returns the name among those that are known which another one most likely means.
pub type Suggest = dyn Fn(&str, &[&str]) -> Option<String> + Sync;

/// Schema of a program's configuration.
#[derive(Debug)]
pub struct ProgramSchema {
    schema: Schema,
    title: String,
    ignores_case: bool,
}

impl ProgramSchema {
    /// Reads a schema, which is JSON or YAML.
    ///
    /// # Errors
    /// The fault: one line, lower case, no full stop.
    pub fn parse(text: &str) -> Result<Self, String> {
        let schema = Schema::parse(text)?;
        let title = schema.document.get("title").and_then(Json::as_str).unwrap_or("the program").to_owned();
        let ignores_case = schema.document.get("x-ignore-case") == Some(&Json::Bool(true));
        Ok(Self { schema, title, ignores_case })
    }

    /// Validates a file. Errors of its syntax are found first, and alone.
    #[must_use]
    pub fn check(&self, path: &str, text: &[u8], format: Format, suggest: &Suggest) -> Vec<Finding> {
        json_schema::check(path, text, format, &|text, root| self.check_tree(path, text, root, suggest))
    }

    fn check_tree(&self, path: &str, text: &str, root: &Node, suggest: &Suggest) -> Vec<Finding> {
        let mut report = Report::new(path, text);
        // An empty document has the defaults of the program.
        if root.value == Value::Null {
            return Vec::new();
        }
        let instance = meaning(root);
        match self.schema.errors(&instance) {
            Ok(errors) => {
                for error in errors {
                    let (node, _) = at(root, &error);
                    if !has_placeholder(node) {
                        self.found(&mut report, node, &error, suggest);
                    }
                }
            }
            Err(_) => report.add(json_schema::too_many_steps(), root.span.into()),
        }
        report.finish()
    }

    fn found(&self, report: &mut Report<'_>, node: &Node, error: &ValidationError<'_>, suggest: &Suggest) {
        let location = error.instance_path().as_str();
        let location = if location.is_empty() { "the whole".to_owned() } else { format!("`{location}`") };
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let known = self.keys(error);
                for (key, _) in node.entries() {
                    let text = name(key);
                    let is_known = self.ignores_case && known.iter().any(|known| known.eq_ignore_ascii_case(&text));
                    if unexpected.contains(&text) && !is_known && !has_placeholder(key) {
                        self.unknown_key(report, &location, key, suggest(&text, &known));
                    }
                }
            }
            ValidationErrorKind::Required { property } => {
                let key = property.as_str().unwrap_or_default();
                let finding = Finding::error(codes::SCHEMA_MISSING, format!("{location} lacks the key `{key}`"));
                report.add(finding.help(format!("add it: {} needs it", self.title)), node.span.into());
            }
            ValidationErrorKind::Enum { options } => {
                let message = format!("{location}: {}", words(error));
                let known: Vec<&str> = options.as_array().into_iter().flatten().filter_map(Json::as_str).collect();
                let meant = node.as_str().and_then(|given| suggest(given, &known));
                let finding = Finding::warning(codes::SCHEMA_VALUE, message);
                report.add(finding.help(self.help(meant)), node.span.into());
            }
            kind => {
                let expected = self.expected(error).map(|expected| format!("expected {expected}"));
                let message = format!("{location}: {}", expected.unwrap_or_else(|| words(error)));
                report.add(Finding::error(json_schema::code(kind), message), node.span.into());
            }
        }
    }

    fn unknown_key(&self, report: &mut Report<'_>, location: &str, key: &Node, meant: Option<String>) {
        let text = excerpt(&name(key), LONGEST_KEY);
        let message = match location {
            "the whole" => format!("unknown key `{text}`"),
            location => format!("{location} has the unknown key `{text}`"),
        };
        report.add(Finding::warning(codes::SCHEMA_UNKNOWN, message).help(self.help(meant)), key.span.into());
    }

    /// Returns the remedy for a name that the schema does not have.
    fn help(&self, meant: Option<String>) -> String {
        match meant {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("the schema is that of {}: another version may know it", self.title),
        }
    }

    /// Returns the part of the schema with the keyword of an error.
    fn part(&self, error: &ValidationError<'_>) -> Option<&Json> {
        let (part, _) = error.schema_path().as_str().rsplit_once('/')?;
        self.schema.document.pointer(part)
    }

    /// Returns the keys that the schema has where it knows no others.
    fn keys(&self, error: &ValidationError<'_>) -> Vec<&str> {
        let properties = self.part(error).and_then(|part| part.get("properties")).and_then(Json::as_object);
        properties.into_iter().flat_map(|properties| properties.keys().map(String::as_str)).collect()
    }

    fn expected(&self, error: &ValidationError<'_>) -> Option<&str> {
        self.part(error)?.get("x-expected")?.as_str()
    }
}

/// Returns true if the value of a node is unknown for a placeholder: in its text, or in the place of a key.
fn has_placeholder(node: &Node) -> bool {
    match &node.value {
        Value::Scalar(scalar) => is_placeholder(&scalar.text),
        // `{{ name }}` without quotes is a mapping in YAML.
        Value::Map(entries) => entries.iter().any(|(key, _)| key.as_str().is_none_or(is_placeholder)),
        Value::List(_) | Value::Null => false,
    }
}

/// Returns true for references to variables, actions of templates and marks of other tools.
fn is_placeholder(text: &str) -> bool {
    let text = text.trim();
    let is_between = |begin: &str, end: &str| text.starts_with(begin) && text.ends_with(end) && text.len() > 2;
    let marks = ["$", "{{", "{%", "<%", "((", "://vault", "op://", "ENC[", "vault:", "ref+", "<path:"];
    let wholes = [("<", ">"), ("__", "__"), ("@", "@"), ("%", "%")];
    marks.iter().any(|mark| text.contains(mark)) || wholes.iter().any(|(begin, end)| is_between(begin, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r"
title: Web 2
type: object
additionalProperties: false
required: [listen]
properties:
  listen: &number {type: [integer, string, 'null'], pattern: '^[0-9]', x-expected: a number}
  level: {enum: [info, debug]}
  sites: {type: array, items: {type: object, properties: {port: *number}}}
";

    #[track_caller]
    fn assert_found(text: &str, expected: &[&str]) {
        let suggest = |given: &str, known: &[&str]| {
            let near = |name: &&&str| given.get(..2).is_some_and(|two| name[..2].eq_ignore_ascii_case(two));
            known.iter().find(near).map(|name| (*name).to_owned())
        };
        let schema = ProgramSchema::parse(SCHEMA).expect("it is a schema");
        let shown = |finding: &Finding| {
            let place = finding.place.as_ref().expect("it has a place");
            let help = finding.help.as_deref().map_or_else(String::new, |help| format!("; {help}"));
            format!("{:?} {place}: {}: {}{help}", finding.severity, finding.code, finding.message)
        };
        let found = schema.check("f", text.as_bytes(), Format::Yaml, &suggest);
        assert_eq!(found.iter().map(shown).collect::<Vec<_>>(), expected, "{text}");
    }

    #[test]
    fn what_is_certain_is_an_error() {
        assert_found("listen: 80\nlevel: info\n", &[]);
        assert_found("listen: [80]\n", &["Error f:1:9: schema-type: `/listen`: expected a number"]);
        assert_found(
            "listen: 1\nsites:\n  - port: high\n",
            &["Error f:3:11: schema-value: `/sites/0/port`: expected a number"],
        );
        assert_found(
            "level: info\n",
            &["Error f:1:1: schema-missing: the whole lacks the key `listen`; add it: Web 2 needs it"],
        );
        assert_found("listen: [\n", &["Error f:1:9: yaml-syntax: unclosed bracket '['"]);
        assert_found("", &[]);
    }

    #[test]
    fn what_another_version_may_know_is_a_warning() {
        assert_found(
            "listen: 1\nlisen: 2\nother: 3\n",
            &[
                "Warning f:2:1: schema-unknown: unknown key `lisen`; did you mean `listen`?",
                "Warning f:3:1: schema-unknown: unknown key `other`; the schema is that of Web 2: another version may know it",
            ],
        );
        assert_found(
            "listen: 1\nlevel: trace\n",
            &[
                "Warning f:2:8: schema-value: `/level`: it is not one of \"info\" or \"debug\"; the schema is that of Web 2: another version may know it",
            ],
        );
    }

    #[test]
    fn the_case_of_keys_may_be_ignored() {
        assert_found(
            "Listen: 1\nlisten: 2\n",
            &["Warning f:1:1: schema-unknown: unknown key `Listen`; did you mean `listen`?"],
        );
        let schema = ProgramSchema::parse(&format!("x-ignore-case: true\n{SCHEMA}")).expect("it is a schema");
        assert!(schema.check("f", b"Listen: 1\nlisten: 2\n", Format::Yaml, &|_, _| None).is_empty());
    }

    #[test]
    fn placeholders_fit_everywhere() {
        assert_found("listen: ${PORT}\nlevel: $(LEVEL)\nsites: {{ sites }}\n", &[]);
        assert_found("listen: <port>\nlevel: '{{ level }}'\n${OTHER}: 1\n", &[]);
    }
}
