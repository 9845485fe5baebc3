//! Validation of the nginx snippets of Kubernetes controllers. Pure.

use std::sync::Arc;

use reload_gate_nginx::Context;

use crate::config::{Assignment, Assignments};
use crate::flow::validate::{Builtin, Main, ValidationPlan, Validator};

/// Returns the validation of a snippet within these blocks by the bundled nginx validator.
pub(super) fn assignment(assignments: &Assignments, context: &str) -> Option<Arc<Assignment>> {
    let nginx = assignments.assignment_named("nginx").ok()?;
    let plan = ValidationPlan::clone(&nginx.plan).bundled();
    let mut settings = plan.validators.iter().find_map(|validator| match validator {
        Validator::Builtin(Builtin::Nginx(settings)) => Some(settings.clone()),
        _ => None,
    })?;
    settings.context = context.parse::<Context>().ok()?;
    let validators = vec![Validator::Builtin(Builtin::Nginx(settings))];
    Some(Arc::new(Assignment { preset: None, plan: ValidationPlan { validators, main: Main::Only, ..plan } }))
}

/// Returns the reason for the validation.
pub(super) fn reason(context: &str) -> String {
    format!("an nginx snippet within `{context}`")
}
