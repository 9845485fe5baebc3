//! Files of a common format, each validated against a JSON Schema.

use std::fmt;
use std::sync::Arc;

use reload_gate_contract::Finding;
use reload_gate_structured::json_schema::{Format, Schema};

use super::super::ValidationContext;
use super::structured::files;

/// Endings of such files.
pub(super) const ENDS: [&str; 4] = [".json", ".yaml", ".yml", ".toml"];

/// A schema, and which one it is.
#[derive(Clone)]
pub struct JsonSchema {
    text: String,
    schema: Arc<Schema>,
}

impl JsonSchema {
    /// Reads a schema, which is JSON or YAML.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Self { schema: Arc::new(Schema::parse(text)?), text: text.to_owned() })
    }

    pub(super) fn run(&self, context: &ValidationContext) -> Vec<Finding> {
        // Nearly all JSON is YAML, so a file without an ending is read as that.
        let format = |path: &str| Format::of(path).unwrap_or(Format::Yaml);
        match files(context, &ENDS) {
            Ok(files) => files.iter().flat_map(|(path, text)| self.schema.check(path, text, format(path))).collect(),
            Err(finding) => vec![*finding],
        }
    }
}

impl PartialEq for JsonSchema {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for JsonSchema {}

impl fmt::Debug for JsonSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JsonSchema").field(&self.text).finish()
    }
}
