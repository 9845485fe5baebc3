//! The validators that are built in: they need no program and no privilege.

mod about;
mod nginx;
mod schema;
mod structured;
mod tls;
mod view;

use reload_gate_contract::Finding;
use reload_gate_nginx::Version;

pub use about::{BUNDLED, Bundled};
pub use schema::JsonSchema;
pub use structured::Format;
pub use tls::Tls;

use super::{Scope, ValidationContext};

/// A bundled validator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Builtin {
    /// Judges as `nginx -t` of that version would; as that of the running one, or the newest stable, if none is said.
    Nginx(Option<Version>),
    /// Judges files of a format, each by itself.
    Structured(Format),
    /// Holds such files against a schema, each by itself.
    JsonSchema(JsonSchema),
    /// Judges certificates and their keys.
    Tls(Tls),
}

impl Builtin {
    /// The names of all bundled validators.
    pub const NAMES: [&str; BUNDLED.len()] = about::NAMES;

    /// What `--builtin` calls it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Nginx(_) => "nginx",
            Self::Structured(format) => format.word(),
            Self::JsonSchema(_) => "json-schema",
            Self::Tls(_) => "tls",
        }
    }

    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Nginx(_) => "the bundled nginx checker",
            Self::Structured(Format::Json) => "the bundled JSON checker",
            Self::Structured(Format::Yaml) => "the bundled YAML checker",
            Self::JsonSchema(_) => "the bundled JSON Schema checker",
            Self::Structured(Format::Toml) => "the bundled TOML checker",
            Self::Structured(Format::Ini) => "the bundled INI checker",
            Self::Tls(_) => "the bundled TLS checker",
        }
    }

    /// What it is called in a report.
    pub(super) fn title(&self) -> String {
        format!("builtin {}", self.word())
    }

    /// What it judges at once.
    pub(super) fn scope(&self) -> Scope {
        match self {
            Self::Nginx(_) => Scope::Program("nginx"),
            Self::Structured(_) | Self::JsonSchema(_) => Scope::Each(self.word()),
            Self::Tls(_) => Scope::These,
        }
    }

    pub(super) fn run(&self, context: &ValidationContext<'_>) -> Vec<Finding> {
        match self {
            Self::Nginx(version) => nginx::run(*version, context),
            Self::Structured(format) => structured::run(*format, context),
            Self::JsonSchema(schema) => schema.run(context),
            Self::Tls(tls) => tls.run(context),
        }
    }
}
