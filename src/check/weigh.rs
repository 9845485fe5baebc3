//! The weight of findings: what an image, a build or a file that is not among the inputs may know. Pure.

use reload_gate_contract::{Cause, Finding, Severity};

use super::assign::Task;
use super::images::ImageReference;
use super::{CheckOptions, Missing};
use crate::flow::validate::{Builtin, NginxSettings, ValidationPlan, Validator};

impl CheckOptions {
    /// Applies `--missing`: a file that is not among the inputs may be in the image, unless its whole directory is among them.
    pub(super) fn weigh(&self, finding: Finding) -> Option<Finding> {
        if finding.cause != Cause::Environment || !finding.code.is_absence() {
            return Some(finding);
        }
        match (finding.severity, self.missing) {
            (Severity::Error, _) | (_, Missing::Reject) => {
                Some(Finding { severity: Severity::Error, cause: Cause::Config, ..finding })
            }
            (_, Missing::Ignore) => None,
            (_, Missing::Warn) => Some(finding),
        }
    }
}

/// Returns a finding of the nginx checker as it counts for an image with a build or a main file that is unknown.
pub(super) fn weigh_nginx(finding: Finding, task: &Task) -> Finding {
    /// Codes for names that a module defines.
    const OF_MODULES: [&str; 3] = ["unknown-directive", "unknown-variable", "unknown-module"];
    /// Codes for names that the main file defines.
    const OF_MAIN: [&str; 4] = ["unknown-log-format", "unknown-zone", "unknown-variable", "unknown-thread-pool"];
    let (image, plan) = (&task.container.image, &task.assignment.plan);
    let is_error = finding.severity == Severity::Error;
    let code = finding.code.as_str();
    let is_near = finding.help.as_deref().is_some_and(|help| help.starts_with("did you mean"));
    let is_foreign = *image != ImageReference::default() && !image.is_stock_nginx() && !names_build(plan);
    if is_error && is_foreign && OF_MODULES.contains(&code) && !is_near {
        let help =
            format!("`{}` may have a module that knows it; check with the nginx of that image to be sure", image.text);
        return Finding { severity: Severity::Warning, help: Some(help), ..finding };
    }
    if is_error && task.is_of_controller && OF_MODULES.contains(&code) && !is_near && !names_version(plan) {
        let help = "the nginx of the controller may know it; name its version with `--nginx-version` to be sure";
        return Finding { severity: Severity::Warning, help: Some(help.to_owned()), ..finding };
    }
    let is_of_known_module = finding.help.as_deref().is_some_and(|help| help.starts_with("load its module"));
    let is_nowhere = *image == ImageReference::default() && !names_build(plan);
    if is_error && is_nowhere && OF_MODULES.contains(&code) && is_of_known_module {
        let help = "a build such as OpenResty has this module; name yours with `--nginx-build` to be sure".to_owned();
        return Finding { severity: Severity::Warning, help: Some(help), ..finding };
    }
    let is_open = task.around.as_ref().is_some_and(|around| !around.is_known);
    if is_error && is_open && OF_MAIN.contains(&code) {
        let help = "the main file is not among the inputs, and may define it".to_owned();
        return Finding { severity: Severity::Warning, help: Some(help), ..finding };
    }
    finding
}

/// Returns true if the user has named the build of nginx.
fn names_build(plan: &ValidationPlan) -> bool {
    nginx_settings(plan).is_some_and(|settings| settings.build.is_some())
}

/// Returns true if the user has named the version of nginx.
fn names_version(plan: &ValidationPlan) -> bool {
    nginx_settings(plan).is_some_and(|settings| settings.version.is_some())
}

/// Returns the settings of the bundled nginx validator.
fn nginx_settings(plan: &ValidationPlan) -> Option<&NginxSettings> {
    plan.validators.iter().find_map(|validator| match validator {
        Validator::Builtin(Builtin::Nginx(settings)) => Some(&**settings),
        Validator::Command(command) => match &command.otherwise {
            Some(Builtin::Nginx(settings)) => Some(&**settings),
            _ => None,
        },
        Validator::Builtin(_) => None,
    })
}
