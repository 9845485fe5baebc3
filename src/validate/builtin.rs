//! The validators that are built in: they need no program and no privilege.

mod nginx;
mod view;

use reload_gate_contract::Finding;
use reload_gate_nginx::Version;

use super::{Case, Scope};

/// A bundled validator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Builtin {
    /// Judges as `nginx -t` of that version would; as that of the running one, or the newest stable, if none is said.
    Nginx(Option<Version>),
}

impl Builtin {
    /// The names of all bundled validators.
    pub const NAMES: [&str; 1] = ["nginx"];

    /// What `--builtin` calls it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Nginx(_) => "nginx",
        }
    }

    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Nginx(_) => "the bundled nginx checker",
        }
    }

    /// What it judges at once.
    pub(super) fn scope(&self) -> Scope {
        match self {
            Self::Nginx(_) => Scope::Program("nginx"),
        }
    }

    pub(super) fn run(&self, case: &Case<'_>) -> Vec<Finding> {
        match self {
            Self::Nginx(version) => nginx::run(*version, case),
        }
    }
}
