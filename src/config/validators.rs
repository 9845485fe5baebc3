//! Which bundled validators judge, and how. Pure.

use core::net::IpAddr;
use std::path::Path;

use reload_gate_nginx::Version;

use super::layer::{Layer, Layers, Said};
use super::resolve::{ConfigErrors, duration, one_word};
use super::{ConfigError, GateConfig, Outside};
use crate::flow::validate::{Builtin, JsonSchema, TextFormat, Tls, Validator};

/// On which terms the bundled validators judge.
pub(super) struct Terms {
    version: Option<Version>,
    tls: Tls,
    schema: Option<JsonSchema>,
}

impl Terms {
    pub(super) fn of(layers: &Layers, errors: ConfigErrors<'_>) -> Self {
        let names = layers.list("tls-name").iter().map(|said| name(said, errors)).collect();
        let warn_before = duration(layers, "tls-warn", Tls::default().warn_before, errors);
        let schema = layers.speaking_of(&["schema"]).and_then(|layer| layer.schema.clone());
        Self { version: version(layers, errors), tls: Tls { names, warn_before }, schema }
    }

    /// The validator of that name.
    pub(super) fn builtin(&self, said: &Said, errors: ConfigErrors<'_>) -> Option<Builtin> {
        let name = one_word(said, &Builtin::NAMES, errors)?;
        let format = TextFormat::ALL.into_iter().find(|format| format.word() == name).map(Builtin::Structured);
        format.or_else(|| match name {
            "json-schema" if self.schema.is_none() => {
                let help = "say which schema it goes by: `--schema FILE`";
                errors.push(ConfigError::new(said.origin.clone(), "`json-schema` needs a schema").help(help));
                None
            }
            "json-schema" => self.schema.clone().map(Builtin::JsonSchema),
            "tls" => Some(Builtin::Tls(self.tls.clone())),
            _ => Some(Builtin::Nginx(self.version)),
        })
    }
}

/// The layer with the schema that it names, as `outside` reads it.
pub(super) fn with_schema(mut layer: Layer, outside: &Outside<'_>, errors: ConfigErrors<'_>) -> Layer {
    let Some(said) = layer.text("schema").cloned() else { return layer };
    let schema = match (outside.read)(&outside.directory.join(Path::new(&said.value))) {
        Err(error) => {
            Err((format!("cannot read `{}`: {error}", said.value), "it is read at the start, by the gate's own user"))
        }
        Ok(text) => JsonSchema::parse(&text).map_err(|why| {
            // It begins with the line and the column, where there is one.
            let gap = if why.starts_with(|first: char| first.is_ascii_digit()) { "" } else { " " };
            let help = "a schema is JSON or YAML of draft 4 to 2020-12, and refers to nothing outside of itself";
            (format!("it is no JSON Schema: {}:{gap}{why}", said.value), help)
        }),
    };
    match schema {
        Ok(schema) => layer.schema = Some(schema),
        Err((message, help)) => errors.push(ConfigError::new(said.origin, message).help(help)),
    }
    layer
}

/// Tells of a schema that nothing is held against.
pub(super) fn unused_schema(layers: &Layers, gate: &GateConfig) -> Option<ConfigError> {
    let said = layers.text("schema")?;
    let uses = |validator: &Validator| matches!(validator, Validator::Builtin(Builtin::JsonSchema(_)));
    let help = "say `--builtin json-schema` as well";
    let unused = !gate.plan.validators.iter().any(uses);
    unused.then(|| ConfigError::new(said.origin.clone(), "nothing is held against the schema").help(help))
}

fn version(layers: &Layers, errors: ConfigErrors<'_>) -> Option<Version> {
    let said = layers.text("nginx-version")?;
    let version = said.value.parse::<Version>();
    version.map_err(|error| errors.push(ConfigError::new(said.origin.clone(), error.to_string()))).ok()
}

/// A host name (RFC 1123, section 2.1, and with a `_`, as some use it), a pattern of such, or an address.
fn name(said: &Said, errors: ConfigErrors<'_>) -> String {
    let host = said.value.strip_prefix("*.").unwrap_or(&said.value).trim_end_matches('.');
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if said.value.parse::<IpAddr>().is_err() && !host.split('.').all(is_label) {
        let message = format!("`{}` is no host name", said.value);
        let help = "names look like `www.example.org`, `*.example.org` or `192.0.2.1`, without a scheme or a port";
        errors.push(ConfigError::new(said.origin.clone(), message).help(help));
    }
    said.value.clone()
}
