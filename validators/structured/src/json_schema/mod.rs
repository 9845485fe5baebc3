//! Validation of JSON, YAML and TOML by a JSON Schema (<https://json-schema.org>, drafts 4 to 2020-12).
//!
//! Schemas are whole: what they refer to outside of themselves is not fetched, from nowhere.

mod steps;

use std::collections::HashMap;

use jsonschema::error::ValidationErrorKind;
use jsonschema::paths::LocationSegment;
use jsonschema::{ValidationError, Validator};
use reload_gate_contract::{Code, Finding, Findings, Place};
use serde_json::{Map, Number, Value as Json};

use crate::text::{MOST_FINDINGS, Report, excerpt};
use crate::yaml::{LONGEST_KEY, Node, Style, Value, documents, parse};
use crate::{codes, json, toml, yaml};
use steps::TooManySteps;

/// A schema, ready to be asked.
#[derive(Debug)]
pub struct Schema {
    validator: Validator,
    pub(crate) document: Json,
}

/// Limit of the bytes of a file that is held against a schema. A tree is made of it, which takes a multiple of its size.
pub const MOST_BYTES: usize = 4 << 20;

/// Limit of the values in a document that is held against a schema, keys included.
pub const MOST_VALUES: usize = 250_000;

/// Format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// RFC 8259.
    Json,
    /// YAML 1.2; each document of a stream is held against the schema.
    Yaml,
    /// TOML 1.1; dates and times are strings.
    Toml,
}

impl Format {
    /// Format of a file of that name, by its extension.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        match path.rsplit_once('.')?.1 {
            "json" => Some(Self::Json),
            "yaml" | "yml" => Some(Self::Yaml),
            "toml" => Some(Self::Toml),
            _ => None,
        }
    }
}

impl Schema {
    /// Reads a schema, which is JSON or YAML.
    ///
    /// # Errors
    /// The fault: one line, lower case, no full stop.
    pub fn parse(text: &str) -> Result<Self, String> {
        let root = match parse(text) {
            Ok(Some(root)) => root,
            Ok(None) => return Err("the schema is empty".to_owned()),
            Err(broken) => return Err(format!("{}:{}: {}", broken.line, broken.column, broken.message)),
        };
        let document = meaning(&root);
        let mut schema = document.clone();
        steps::count_in(&mut schema);
        let options = jsonschema::options().with_keyword(steps::KEYWORD, |_, _, _| Ok(Box::new(steps::Step)));
        let validator = options.build(&schema).map_err(|error| {
            let node = at(&root, &error).0;
            format!("{}:{}: {}", node.line, node.column, error.masked_with("this"))
        })?;
        Ok(Self { validator, document })
    }

    /// Holds a file against the schema. What is wrong with its syntax is found first, and alone.
    #[must_use]
    pub fn check(&self, path: &str, text: &[u8], format: Format) -> Vec<Finding> {
        check(path, text, format, &|text, root| self.check_tree(path, text, root))
    }

    /// Validates a tree with places in `text`.
    #[must_use]
    pub fn check_tree(&self, path: &str, text: &str, root: &Node) -> Vec<Finding> {
        let instance = meaning(root);
        let mut report = Report::new(path, text);
        // Whether it fits is known in fewer steps than why it does not: the validator remembers which schemas fit which values.
        match steps::bounded(&instance, || self.validator.is_valid(&instance)) {
            Ok(true) => {}
            Ok(false) => match self.errors(&instance) {
                Ok(errors) => errors.iter().for_each(|error| found(&mut report, root, error)),
                Err(TooManySteps) => {
                    let message = "it does not fit the schema; which part is unknown, since the alternatives of the schema overlap";
                    report.add(Finding::error(codes::SCHEMA_VALUE, message).help(OVERLAP), root.span.into());
                }
            },
            Err(TooManySteps) => report.add(too_many_steps(), root.span.into()),
        }
        report.finish()
    }

    /// Returns all errors of a value.
    ///
    /// # Errors
    /// When that takes too many steps.
    pub(crate) fn errors<'a>(&'a self, instance: &'a Json) -> Result<Vec<ValidationError<'a>>, TooManySteps> {
        steps::bounded(instance, || self.validator.iter_errors(instance).collect())
    }
}

/// Remedy for a schema whose alternatives fit the same values.
const OVERLAP: &str = "tell the alternatives apart by a `const`, a `type` or a required key";

/// The finding that a value was not held against the whole schema.
pub(crate) fn too_many_steps() -> Finding {
    let message = "the schema takes too many steps: its alternatives overlap";
    Finding::environment(codes::TOO_LARGE, message).help(OVERLAP)
}

/// Returns the errors of a file's syntax; if there are none, the findings of each of its trees.
pub(crate) fn check(
    path: &str,
    text: &[u8],
    format: Format,
    check_tree: &dyn Fn(&str, &Node) -> Vec<Finding>,
) -> Vec<Finding> {
    let syntax = match format {
        Format::Json => json::check(path, text),
        Format::Yaml => yaml::check(path, text),
        Format::Toml => toml::check(path, text),
    };
    let Ok(text) = std::str::from_utf8(text) else { return syntax };
    if syntax.iter().any(|finding| finding.severity == reload_gate_contract::Severity::Error) {
        return syntax;
    }
    let mut findings = Findings::new(MOST_FINDINGS);
    findings.extend(syntax);
    if text.len() > MOST_BYTES {
        findings.push(too_large(path, &format!("more than {} MiB", MOST_BYTES >> 20)));
        return findings.finish(codes::TOO_MANY_FINDINGS);
    }
    // One tree at a time.
    let roots: Box<dyn Iterator<Item = Node>> = match format {
        Format::Toml => Box::new(toml::tree(text).into_iter()),
        Format::Json | Format::Yaml => Box::new(documents(text).filter_map(Result::ok).map(|document| document.root)),
    };
    for root in roots {
        if values(&root) > MOST_VALUES {
            findings.push(too_large(path, &format!("more than {MOST_VALUES} values")));
        } else {
            findings.extend(check_tree(text, &root));
        }
    }
    findings.finish(codes::TOO_MANY_FINDINGS)
}

/// The finding that a file was not held against the schema.
fn too_large(path: &str, what: &str) -> Finding {
    let message = format!("the file has {what}, so its values are not held against the schema");
    let finding = Finding::environment(codes::TOO_LARGE, message).at(Place::file(path));
    finding.help("split the file, or validate it with a command")
}

/// The number of values in a tree, keys included.
fn values(node: &Node) -> usize {
    match &node.value {
        Value::Null | Value::Scalar(_) => 1,
        Value::List(items) => items.iter().map(values).sum::<usize>() + 1,
        Value::Map(entries) => entries.iter().map(|(key, value)| values(key) + values(value)).sum::<usize>() + 1,
    }
}

/// Value of a tree: plain scalars by YAML's core schema (YAML 1.2.2, 10.3.2), all others are text.
pub(crate) fn meaning(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Scalar(scalar) if scalar.style == Style::Plain => plain(&scalar.text),
        Value::Scalar(scalar) => Json::String(scalar.text.to_string()),
        Value::List(items) => Json::Array(items.iter().map(meaning).collect()),
        Value::Map(entries) => {
            Json::Object(entries.iter().map(|(key, value)| (name(key), meaning(value))).collect::<Map<_, _>>())
        }
    }
}

/// A key, as JSON has it.
pub(crate) fn name(key: &Node) -> String {
    key.as_str().unwrap_or("null").to_owned()
}

fn plain(text: &str) -> Json {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let radix = |prefix, radix| text.strip_prefix(prefix).and_then(|digits| u64::from_str_radix(digits, radix).ok());
    let decimal = unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    match text {
        "true" | "True" | "TRUE" => Json::Bool(true),
        "false" | "False" | "FALSE" => Json::Bool(false),
        _ if let Some(number) = radix("0o", 8).or_else(|| radix("0x", 16)) => Json::from(number),
        _ if !decimal => Json::from(text),
        _ if let Ok(number) = text.parse::<i64>() => Json::from(number),
        _ if let Ok(number) = text.parse::<u64>() => Json::from(number),
        _ => text.parse().ok().and_then(Number::from_f64).map_or_else(|| Json::from(text), Json::Number),
    }
}

/// The value that an error is about and its key, the last of equal ones, if it has one.
pub(crate) fn at<'n>(root: &'n Node, error: &ValidationError<'_>) -> (&'n Node, Option<&'n Node>) {
    error.instance_path().iter().fold((root, None), |(node, key), segment| match segment {
        LocationSegment::Property(property) => {
            entry(node, &property).map_or((node, key), |(key, value)| (value, Some(key)))
        }
        LocationSegment::Index(index) => node.items().get(index).map_or((node, key), |item| (item, None)),
    })
}

fn entry<'n>(node: &'n Node, key: &str) -> Option<&'n (Node, Node)> {
    node.entries().iter().rev().find(|(candidate, _)| name(candidate) == key)
}

fn found(report: &mut Report<'_>, root: &Node, error: &ValidationError<'_>) {
    let (value, key) = at(root, error);
    let location = error.instance_path().as_str();
    let location = if location.is_empty() { "the whole".to_owned() } else { format!("`{location}`") };
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            // Of equal keys the last one counts.
            let keys: HashMap<_, _> = value.entries().iter().map(|(key, _)| (name(key), key)).collect();
            for key in unexpected {
                let span = keys.get(key).map_or(value.span, |key| key.span).into();
                let message = format!("{location} may not have the key `{}`", excerpt(key, LONGEST_KEY));
                report.add(Finding::error(codes::SCHEMA_UNKNOWN, message), span);
            }
        }
        ValidationErrorKind::Required { property } => {
            let key = property.as_str().unwrap_or_default();
            report.add(
                Finding::error(codes::SCHEMA_MISSING, format!("{location} lacks the key `{key}`")),
                value.span.into(),
            );
        }
        kind => {
            let node = if matches!(kind, ValidationErrorKind::FalseSchema) { key.unwrap_or(value) } else { value };
            report.add(Finding::error(code(kind), format!("{location}: {}", words(error))), node.span.into());
        }
    }
}

pub(crate) fn code(kind: &ValidationErrorKind) -> Code {
    match kind {
        ValidationErrorKind::Type { .. } => codes::SCHEMA_TYPE,
        ValidationErrorKind::FalseSchema => codes::SCHEMA_UNKNOWN,
        _ => codes::SCHEMA_VALUE,
    }
}

/// The fault of a value, without the value itself, which may be long, or secret.
pub(crate) fn words(error: &ValidationError<'_>) -> String {
    match error.kind() {
        ValidationErrorKind::AnyOf { .. } | ValidationErrorKind::OneOfNotValid { .. } => {
            "it is nothing of what the schema allows here".to_owned()
        }
        ValidationErrorKind::OneOfMultipleValid { .. } => {
            "it is more than one of what the schema allows here, and only one may be meant".to_owned()
        }
        ValidationErrorKind::FalseSchema => "no value is allowed here".to_owned(),
        _ => error.masked_with("it").to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{
        "type": "object",
        "required": ["listen"],
        "additionalProperties": false,
        "properties": {
            "listen": {"type": "integer", "minimum": 1, "maximum": 65535},
            "level": {"enum": ["info", "debug"]},
            "a/b~c": {"type": "array", "items": {"type": "string", "pattern": "^x"}},
            "either": {"anyOf": [{"type": "null"}, {"type": "boolean"}]},
            "version": {"type": "string"}
        }
    }"#;

    fn found(text: &str, format: Format) -> Vec<String> {
        let shown = |finding: &Finding| {
            let place = finding.place.as_ref().expect("it has a place");
            format!("{place}: {}: {}", finding.code, finding.message)
        };
        let schema = Schema::parse(SCHEMA).expect("it is a schema");
        schema.check("f", text.as_bytes(), format).iter().map(shown).collect()
    }

    #[test]
    fn a_fitting_document_is_accepted() {
        assert_eq!(found("{\"listen\": 80, \"a/b~c\": [\"x\"], \"either\": null}", Format::Json), [""; 0]);
        assert_eq!(
            found("listen: 0x50\nlevel: info\neither: True\nversion: '1.0'\n---\nlisten: 1\n", Format::Yaml),
            [""; 0]
        );
    }

    #[test]
    fn each_mistake_is_at_its_value_or_key() {
        let text =
            "listen: 'no'\nlevel: warn\nlisen: 80\n\"a/b~c\":\n  - x\n  - |\n    y\neither: maybe\nversion: 1.0\n";
        assert_eq!(
            found(text, Format::Yaml),
            [
                "f:1:9: schema-type: `/listen`: it is not of type \"integer\"",
                "f:2:8: schema-value: `/level`: it is not one of \"info\" or \"debug\"",
                "f:3:1: schema-unknown: the whole may not have the key `lisen`",
                "f:6:5: schema-value: `/a~1b~0c/1`: it does not match \"^x\"",
                "f:8:9: schema-value: `/either`: it is nothing of what the schema allows here",
                "f:9:10: schema-type: `/version`: it is not of type \"string\"",
            ]
        );
        let json = "{\n\t\"level\": \"debug\",\n\t\"x\": 1\n}\n";
        assert_eq!(
            found(json, Format::Json),
            [
                "f:1:1: schema-missing: the whole lacks the key `listen`",
                "f:3:2: schema-unknown: the whole may not have the key `x`",
            ]
        );
        let toml = "listen = 0x1_0000\nlevel = 'é'\n\"a/b~c\" = [\n  'x',\n  'y',\n]\n[extra]\nday = 2020-01-01\n";
        assert_eq!(
            found(toml, Format::Toml),
            [
                "f:1:10: schema-value: `/listen`: it is greater than the maximum of 65535",
                "f:2:9: schema-value: `/level`: it is not one of \"info\" or \"debug\"",
                "f:5:3: schema-value: `/a~1b~0c/1`: it does not match \"^x\"",
                "f:7:2: schema-unknown: the whole may not have the key `extra`",
            ]
        );
        assert_eq!(found("a: [\n", Format::Yaml), ["f:1:4: yaml-syntax: unclosed bracket '['"]);
    }

    #[test]
    fn alternatives_that_overlap_end_in_a_bounded_number_of_steps() {
        let schemas = [
            r##"{"anyOf": [{"type": "array", "items": {"$ref": "#"}}, {"type": "array", "contains": {"$ref": "#"}}, {"const": 1}]}"##,
            r##"{"$ref": "#/$defs/a", "$defs": {"a": {"oneOf": [{"$ref": "#/$defs/b"}, {"$ref": "#/$defs/c"}, {"const": 1}]},
                "b": {"type": "array", "items": {"$ref": "#/$defs/a"}}, "c": {"type": "array", "items": {"$ref": "#/$defs/a"}}}}"##,
            r##"{"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {"anyOf": [
                {"type": "object", "properties": {"x": {"$ref": "#/definitions/a"}}, "required": ["x"], "additionalProperties": false},
                {"type": "object", "patternProperties": {"^x": {"$ref": "#/definitions/a"}}, "required": ["x"], "minProperties": 1}]}},
                "$ref": "#/definitions/a"}"##,
        ];
        for text in schemas {
            let schema = Schema::parse(text).expect("it is a schema");
            for document in [
                format!("{}2{}", "[".repeat(40), "]".repeat(40)),
                format!("{}2{}", "{\"x\":".repeat(40), "}".repeat(40)),
            ] {
                let findings = schema.check("f", document.as_bytes(), Format::Json);
                assert_eq!(findings.len(), 1, "{text}: {findings:?}");
                assert!(findings[0].message.len() < 200, "{findings:?}");
            }
        }
    }

    #[test]
    fn a_large_document_has_all_its_steps() {
        let value = "{\"listen\": 80, \"either\": [{\"a\": true}]}";
        let schema = Schema::parse(
            r##"{"type": "array", "items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"type": "object", "properties": {
                "listen": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
                "either": {"oneOf": [{"type": "array", "items": {"$ref": "#/$defs/a"}}, {"type": "null"}]}}}}}"##,
        );
        let schema = schema.expect("it is a schema");
        let many = format!("[{}]", vec![value; 20_000].join(","));
        assert_eq!(schema.check("f", many.as_bytes(), Format::Json), []);
    }

    #[test]
    fn an_invalid_schema_is_explained() {
        let why = |text: &str| Schema::parse(text).expect_err("it is none");
        assert_eq!(
            why("{\"type\": \"strin\"}"),
            "1:10: this is not valid under any of the schemas listed in the 'anyOf' keyword"
        );
        assert_eq!(why("{"), "1:1: unclosed bracket '{'");
        assert_eq!(why(""), "the schema is empty");
        assert!(why("{\"$ref\": \"https://example.com/x.json\"}").contains("https://example.com/x.json"));
        assert!(why("{\"$ref\": \"file:///etc/passwd\"}").contains("file:///etc/passwd"));
    }
}
