//! The validators that are built in: they need no program and no privilege.

mod about;
pub(super) mod nginx;
mod program;
mod schema;
mod structured;
mod tls;
mod view;

use std::sync::Arc;

use reload_gate_contract::Finding;

pub use about::{BUNDLED, Bundled};
pub use nginx::NginxSettings;
pub use program::{ProgramSchema, program_schemas};
pub use schema::JsonSchema;
pub use structured::TextFormat;
pub use tls::Tls;

use super::command::{CHECKER_MISSING, CHECKER_TIMEOUT};
use super::{PlanScope, ValidationContext};
use crate::flow::snapshot::Access;
use crate::sys::worker::{self, WorkError, WorkKind};

/// Largest configuration that is validated in the event loop. It takes a small part of a millisecond.
const FILES_AT_ONCE: usize = 16;
const BYTES_AT_ONCE: usize = 16 << 10;

/// A bundled validator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Builtin {
    /// Validates as `nginx -t` would.
    Nginx(Box<NginxSettings>),
    /// Validates files of a format, each by itself.
    Structured(TextFormat),
    /// Validates each file by the ending of its name, and no other.
    ByName,
    /// Validates such files against a schema, each by itself.
    JsonSchema(JsonSchema),
    /// Validates the configuration of a program against a bundled schema.
    ProgramSchema(&'static ProgramSchema),
    /// Validates certificates and their keys.
    Tls(Tls),
}

impl Builtin {
    /// The names of all bundled validators.
    pub const NAMES: [&str; BUNDLED.len()] = about::NAMES;

    /// Returns the name for `--builtin`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Nginx(_) => "nginx",
            Self::Structured(format) => format.word(),
            Self::ByName => "by-name",
            Self::JsonSchema(_) => "json-schema",
            Self::ProgramSchema(_) => "schema",
            Self::Tls(_) => "tls",
        }
    }

    /// Returns the name that people use.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Nginx(_) => "the bundled nginx checker",
            Self::Structured(TextFormat::Json) => "the bundled JSON checker",
            Self::Structured(TextFormat::Yaml) => "the bundled YAML checker",
            Self::ByName => "the bundled checkers of JSON, YAML and TOML",
            Self::JsonSchema(_) => "the bundled JSON Schema checker",
            Self::ProgramSchema(schema) => schema.sentence(),
            Self::Structured(TextFormat::Toml) => "the bundled TOML checker",
            Self::Structured(TextFormat::Ini) => "the bundled INI checker",
            Self::Structured(TextFormat::Xml) => "the bundled XML checker",
            Self::Tls(_) => "the bundled TLS checker",
        }
    }

    /// Returns the name that reports use.
    pub(super) fn title(&self) -> String {
        match self {
            Self::ProgramSchema(schema) => format!("builtin schema of {}", schema.title),
            _ => format!("builtin {}", self.word()),
        }
    }

    /// Returns which files it validates together.
    pub(super) fn scope(&self) -> PlanScope {
        match self {
            Self::Nginx(settings) if !settings.context.is_empty() => PlanScope::Snippets,
            Self::Nginx(_) => PlanScope::Program("nginx"),
            Self::Structured(_) | Self::ByName | Self::JsonSchema(_) | Self::ProgramSchema(_) => {
                PlanScope::Each(self.word())
            }
            Self::Tls(_) => PlanScope::These,
        }
    }

    /// Returns true if it may read files outside of the tree.
    pub(super) fn reads_beyond(&self) -> bool {
        match self {
            Self::Nginx(_) | Self::JsonSchema(_) | Self::Tls(_) => true,
            Self::Structured(_) | Self::ByName | Self::ProgramSchema(_) => false,
        }
    }

    /// Validates beside the event loop, within the time limit.
    pub(super) async fn validate(&self, context: &Arc<ValidationContext>) -> Vec<Finding> {
        let (builtin, input) = (self.clone(), context.clone());
        if let Some(findings) = self.run_at_once(context) {
            return findings;
        }
        let limit = context.timeout;
        match worker::run(WorkKind::Compute, limit, move || builtin.run(&input)).await {
            Ok(findings) => findings,
            Err(WorkError::TimedOut) => {
                let limit = humantime::format_duration(limit);
                let message = format!("{} did not end within {limit}", self.name());
                let help = "raise `--timeout`, or the CPU limit of this container; or make the configuration smaller";
                vec![Finding::environment(CHECKER_TIMEOUT, message).help(help)]
            }
            Err(error) => {
                let message = format!("{} could not run: {error}", self.name());
                let help = "raise the limit of processes of this pod or service: threads count in it";
                vec![Finding::environment(CHECKER_MISSING, message).help(help)]
            }
        }
    }

    /// Validates a small configuration here, if nothing has to be waited for: two wake-ups of threads would take longer.
    fn run_at_once(&self, context: &ValidationContext) -> Option<Vec<Finding>> {
        let Self::Nginx(settings) = self else { return None };
        let size: usize = context.tree.values().map(Vec::len).sum();
        let is_small = context.tree.len() <= FILES_AT_ONCE && size <= BYTES_AT_ONCE;
        is_small.then(|| nginx::run(settings, context, Access::AtOnce)).flatten()
    }

    /// Validates on the thread of the caller.
    pub(super) fn validate_alone(&self, context: &ValidationContext) -> Vec<Finding> {
        self.run(context)
    }

    fn run(&self, context: &ValidationContext) -> Vec<Finding> {
        match self {
            Self::Nginx(settings) => {
                let unknown = || Finding::environment(CHECKER_MISSING, format!("{} could not run", self.name()));
                nginx::run(settings, context, Access::Waiting).unwrap_or_else(|| vec![unknown()])
            }
            Self::Structured(format) => structured::run(*format, context),
            Self::ByName => structured::by_name(context),
            Self::JsonSchema(schema) => schema.run(context),
            Self::ProgramSchema(schema) => schema.run(context),
            Self::Tls(tls) => tls.run(context),
        }
    }
}
