//! Configurations of programs that no checker is installed for, each validated against a bundled schema.

use std::fmt;
use std::sync::{LazyLock, OnceLock};

use reload_gate_contract::Finding;
use reload_gate_structured::json_schema::Format;
use reload_gate_structured::program::ProgramSchema as Schema;
use reload_gate_structured::yaml::{self, Node};

use super::super::ValidationContext;
use super::schema::ENDS;
use super::structured::files;
use crate::sys::suggest::nearest;

/// The bundled schemas, by name. Adding one is adding a file in `validators/schemas` and a line here.
const TEXTS: [(&str, &str); 13] = [
    ("fluent-bit", include_str!("../../../../validators/schemas/fluent-bit.yaml")),
    ("grafana-dashboard", include_str!("../../../../validators/schemas/grafana-dashboard.yaml")),
    ("grafana-dashboard-providers", include_str!("../../../../validators/schemas/grafana-dashboard-providers.yaml")),
    ("grafana-datasources", include_str!("../../../../validators/schemas/grafana-datasources.yaml")),
    ("kong", include_str!("../../../../validators/schemas/kong.yaml")),
    ("loki", include_str!("../../../../validators/schemas/loki.yaml")),
    ("mimir", include_str!("../../../../validators/schemas/mimir.yaml")),
    ("otelcol", include_str!("../../../../validators/schemas/otelcol.yaml")),
    ("promtail", include_str!("../../../../validators/schemas/promtail.yaml")),
    ("tempo", include_str!("../../../../validators/schemas/tempo.yaml")),
    ("traefik", include_str!("../../../../validators/schemas/traefik.yaml")),
    ("traefik-dynamic", include_str!("../../../../validators/schemas/traefik-dynamic.yaml")),
    ("vector", include_str!("../../../../validators/schemas/vector.yaml")),
];

/// Schema of the configuration of a program.
pub struct ProgramSchema {
    /// Name of the schema.
    pub name: &'static str,
    /// Program with its version.
    pub title: String,
    /// Description in one line.
    pub about: String,
    /// Patterns of the paths at which a container reads such files.
    pub paths: Vec<String>,
    /// Sets of keys by which such a file is known: a file that has all of one set is one.
    pub content: Vec<Vec<String>>,
    /// The text of the schema.
    pub text: &'static str,
    /// Name in sentences.
    sentence: String,
    schema: OnceLock<Schema>,
}

/// All bundled schemas, sorted by name.
#[must_use]
pub fn program_schemas() -> &'static [ProgramSchema] {
    static SCHEMAS: LazyLock<Vec<ProgramSchema>> =
        LazyLock::new(|| TEXTS.into_iter().map(|(name, text)| ProgramSchema::read(name, text)).collect());
    &SCHEMAS
}

impl ProgramSchema {
    /// Reads what is not of the schema itself, which is compiled when it is needed.
    ///
    /// # Panics
    /// If a bundled schema is no YAML; a test reads all of them.
    fn read(name: &'static str, text: &'static str) -> Self {
        let root = match yaml::parse(text) {
            Ok(Some(root)) => root,
            other => panic!("schema {name}: {other:?}"),
        };
        let word = |key: &str| root.get(key).and_then(Node::as_str).unwrap_or_default().to_owned();
        let texts = |node: &Node| node.items().iter().filter_map(Node::as_str).map(str::to_owned).collect();
        let title = word("title");
        Self {
            name,
            sentence: format!("the bundled schema of {title}"),
            title,
            about: word("description"),
            paths: root.get("x-paths").map(texts).unwrap_or_default(),
            content: root.get("x-content").map(Node::items).unwrap_or_default().iter().map(texts).collect(),
            text,
            schema: OnceLock::new(),
        }
    }

    /// Returns the name for sentences.
    pub(super) fn sentence(&self) -> &str {
        &self.sentence
    }

    /// Returns the compiled schema.
    ///
    /// # Panics
    /// If a bundled schema is none; a test reads all of them.
    fn schema(&self) -> &Schema {
        let read = || Schema::parse(self.text).unwrap_or_else(|error| panic!("schema {}: {error}", self.name));
        self.schema.get_or_init(read)
    }

    /// Validates each file of the context.
    pub(super) fn run(&self, context: &ValidationContext) -> Vec<Finding> {
        let suggest = |given: &str, known: &[&str]| nearest(given, known.iter().copied()).map(str::to_owned);
        let format = |path: &str| Format::of(path).unwrap_or(Format::Yaml);
        match files(context, &ENDS) {
            Ok(files) => {
                let check = |(path, text): &(String, &[u8])| self.schema().check(path, text, format(path), &suggest);
                files.iter().flat_map(check).collect()
            }
            Err(finding) => vec![*finding],
        }
    }
}

impl PartialEq for ProgramSchema {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for ProgramSchema {}

impl fmt::Debug for ProgramSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProgramSchema").field(&self.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_schema_says_what_it_is_and_from_where() {
        let names: Vec<_> = program_schemas().iter().map(|schema| schema.name).collect();
        assert!(names.is_sorted(), "{names:?}");
        for schema in program_schemas() {
            let _ = schema.schema();
            let root = yaml::parse(schema.text).expect("it is YAML").expect("it is not empty");
            let comment = root.get("$comment").and_then(Node::as_str).unwrap_or_default();
            assert!(comment.contains("https://"), "{} names no source", schema.name);
            assert!(comment.contains("own work"), "{} does not say that it is ours", schema.name);
            assert!(!schema.title.is_empty() && !schema.about.is_empty(), "{} has no title", schema.name);
            let version = root.get("x-version").and_then(Node::as_str).unwrap_or_default();
            assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{} has no version", schema.name);
        }
    }
}
