//! Built-in validators and their settings. Pure.

use std::path::Path;

use super::layer::{ErrorList, GivenValue, Layers, SettingsLayer};
use super::preset::{self, Preset};
use super::settings::{
    CONTEXT, NGINX_ALLOW, NGINX_BUILD, NGINX_HYGIENE, NGINX_VERSION, PRESET, SCHEMA, TLS_NAME, TLS_WARN, builtin,
};
use super::{ConfigError, GateConfig, UserInput};
use crate::flow::validate::{Builtin, JsonSchema, NginxSettings, TextFormat, Tls, ValidationPlan, Validator};

/// Settings of the built-in validators.
pub(super) struct BuiltinSettings {
    nginx: NginxSettings,
    tls: Tls,
    schema: Option<JsonSchema>,
}

impl BuiltinSettings {
    pub(super) fn of(layers: &Layers<'_>) -> Self {
        let names = layers.get(TLS_NAME).into_iter().map(|name| name.value).collect();
        let tls = Tls { names, warn_before: layers.get(TLS_WARN) };
        let schema = layers.highest(&[SCHEMA.spec]).and_then(|layer| layer.schema.clone());
        let nginx = NginxSettings {
            version: layers.get(NGINX_VERSION),
            build: layers.get(NGINX_BUILD),
            allowed: layers.get(NGINX_ALLOW).into_iter().map(|name| name.value).collect(),
            context: layers.get(CONTEXT).unwrap_or_default(),
            hygiene: layers.get(NGINX_HYGIENE),
        };
        Self { nginx, tls, schema }
    }

    /// Returns the validator of that name.
    pub(super) fn named(&self, given: &GivenValue<String>, layers: &Layers<'_>) -> Option<Builtin> {
        self.validator(&layers.parse_given(given, builtin)?, layers)
    }

    pub(super) fn validator(&self, given: &GivenValue<&'static str>, layers: &Layers<'_>) -> Option<Builtin> {
        let format = TextFormat::ALL.into_iter().find(|format| format.word() == given.value).map(Builtin::Structured);
        format.or_else(|| match given.value {
            "json-schema" if self.schema.is_none() => {
                let error = ConfigError::new(given.origin.clone(), "`json-schema` needs a schema");
                layers.fail(error.help("name the schema: `--schema FILE`"));
                None
            }
            "json-schema" => self.schema.clone().map(Builtin::JsonSchema),
            "by-name" => Some(Builtin::ByName),
            "tls" => Some(Builtin::Tls(self.tls.clone())),
            _ => Some(Builtin::Nginx(Box::new(self.nginx.clone()))),
        })
    }
}

/// Reads the schema and the preset that the layer names.
pub(super) fn with_files(mut layer: SettingsLayer, input: &UserInput<'_>, errors: &ErrorList) -> SettingsLayer {
    if let Some(given) = layer.text(PRESET.spec).cloned() {
        layer.preset = read_preset(&given, input, errors).map(Box::new);
    }
    let Some(given) = layer.text(SCHEMA.spec).cloned() else { return layer };
    let schema = match (input.read)(&input.directory.join(Path::new(&given.value))) {
        Err(error) => Err((
            format!("cannot read `{}`: {error}", given.value),
            "make the file readable for the gate's user; it is read once, at the start",
        )),
        Ok(text) => JsonSchema::parse(&text).map_err(|why| {
            // It begins with the line and the column, where there is one.
            let gap = if why.starts_with(|first: char| first.is_ascii_digit()) { "" } else { " " };
            let help = "give a JSON Schema of draft 4 to 2020-12, as JSON or YAML, without references to other files";
            (format!("the file is no JSON Schema: {}:{gap}{why}", given.value), help)
        }),
    };
    match schema {
        Ok(schema) => layer.schema = Some(schema),
        Err((message, help)) => errors.push(ConfigError::new(given.origin, message).help(help)),
    }
    layer
}

fn read_preset(given: &GivenValue<String>, input: &UserInput<'_>, errors: &ErrorList) -> Option<Preset> {
    let path = Path::new(&given.value);
    match (input.read)(&input.directory.join(path)) {
        Ok(text) => preset::of_file(path, &text).map_err(|wrong| errors.extend(wrong)).ok(),
        Err(error) => {
            let message = format!("cannot read `{}`: {error}", given.value);
            let help = "make the file readable for the gate's user; it is read once, at the start";
            errors.push(ConfigError::new(given.origin.clone(), message).help(help));
            None
        }
    }
}

/// Reports blocks around snippets that no validator uses.
pub(super) fn check_context_use(layers: &Layers<'_>, plan: &ValidationPlan) {
    let Some(origin) = layers.origin(CONTEXT.spec) else { return };
    let uses = |validator: &Validator| match validator {
        Validator::Builtin(builtin) => matches!(builtin, Builtin::Nginx(_)),
        Validator::Command(command) => matches!(command.otherwise, Some(Builtin::Nginx(_))),
    };
    if !plan.validators.iter().any(uses) {
        let error = ConfigError::new(origin.clone(), "no validator uses the context");
        layers.fail(error.help("add `--app nginx` or `--builtin nginx`"));
    }
}

/// Reports a schema that no validator uses.
pub(super) fn check_schema_use(layers: &Layers<'_>, gate: &GateConfig) {
    let Some(origin) = layers.origin(SCHEMA.spec) else { return };
    let uses = |validator: &Validator| matches!(validator, Validator::Builtin(Builtin::JsonSchema(_)));
    if !gate.plan.validators.iter().any(uses) {
        let error = ConfigError::new(origin.clone(), "no validator uses the schema");
        layers.fail(error.help("add `--builtin json-schema`"));
    }
}
