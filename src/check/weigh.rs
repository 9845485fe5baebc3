//! The weight of findings: what an image, a build or a file that is not among the inputs may know. Pure.

use std::ffi::OsStr;
use std::path::Path;

use reload_gate_contract::{Cause, Finding, Severity};

use super::assign::Task;
use super::images::ImageReference;
use super::{CheckOptions, Missing};
use crate::check::render::CheckSubject;
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

/// Returns a finding as it counts for a file of this name; `None` if it does not.
pub(super) fn weigh_by_name(finding: Finding, subject: &CheckSubject) -> Option<Finding> {
    let path = Path::new(&*subject.input);
    let of_file = || path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let name = subject.key.as_deref().unwrap_or_else(of_file).to_ascii_lowercase();
    match finding.code.as_str() {
        "leaf-is-ca" if is_of_authority(&name) => None,
        "duplicate-key" if is_merge(&finding) || is_of_helm(path, &name) => {
            let help = "remove one of the two: Helm takes the last, and merges all `<<`; other programs fail";
            Some(Finding { severity: Severity::Warning, help: Some(help.to_owned()), ..finding })
        }
        _ => Some(finding),
    }
}

/// Returns true if a name is one for certificates of authorities, such as `ca.crt`.
fn is_of_authority(name: &str) -> bool {
    const WORDS: [&str; 12] = [
        "ca",
        "cas",
        "cacert",
        "cacerts",
        "rootca",
        "root",
        "authority",
        "authorities",
        "issuer",
        "bundle",
        "chain",
        "intermediate",
    ];
    let mut words = name.split(|c: char| !c.is_ascii_alphabetic());
    words.any(|word| WORDS.contains(&word) || word.starts_with("trust") || word.ends_with("clientca"))
}

/// Returns true if a finding is about `<<`, which merges mappings.
fn is_merge(finding: &Finding) -> bool {
    finding.message.contains("`<<`")
}

/// Returns true if a file has the values of a Helm chart, by its name or that of its directory.
fn is_of_helm(path: &Path, name: &str) -> bool {
    let directory = path.parent().and_then(Path::file_name).and_then(OsStr::to_str);
    name.trim_end_matches(".yaml").trim_end_matches(".yml").split(['-', '_', '.']).any(|word| word == "values")
        || directory == Some("values")
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

#[cfg(test)]
mod tests {
    use reload_gate_contract::Code;

    use super::*;

    #[test]
    fn names_of_authorities_are_known() {
        for name in
            ["ca.crt", "service-ca.crt", "rootca.pem", "ca-bundle.crt", "cacert.pem", "client_ca.pem", "trusted.pem"]
        {
            assert!(is_of_authority(name), "{name}");
        }
        for name in ["tls.crt", "server.pem", "cat.crt", "local.crt"] {
            assert!(!is_of_authority(name), "{name}");
        }
    }

    #[test]
    fn a_key_twice_counts_by_the_name_of_the_file() {
        let severity = |input: &str, message: &str| {
            let finding = Finding::error(Code::new("duplicate-key"), message);
            weigh_by_name(finding, &CheckSubject::input(input)).map(|finding| finding.severity)
        };
        let twice = "duplicate key `a`";
        assert_eq!(severity("chart/values.yaml", twice), Some(Severity::Warning));
        assert_eq!(severity("chart/distributed-values.yaml", twice), Some(Severity::Warning));
        assert_eq!(severity("environments/values/loki.yaml", twice), Some(Severity::Warning));
        assert_eq!(severity("app.yaml", "duplicate key `<<`"), Some(Severity::Warning));
        assert_eq!(severity("app.yaml", twice), Some(Severity::Error));
    }
}
