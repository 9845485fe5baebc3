//! Validations by a command that is of no preset: rule files of Prometheus and shell scripts. Pure.

use std::sync::Arc;

use crate::config::{Assignment, Assignments};
use crate::flow::validate::{CommandValidator, FindingPatterns, Main, ValidationPlan, Validator};
use crate::sys::pattern::LazyRegex;

/// Returns the command of a validator, if it has one.
pub(super) fn command_of(validator: &Validator) -> Option<&CommandValidator> {
    match validator {
        Validator::Command(command) => Some(command),
        Validator::Builtin(_) => None,
    }
}

/// Returns the validation of rule files by promtool, with the settings of the preset `prometheus`.
pub(super) fn rules_assignment(assignments: &Assignments) -> Option<Arc<Assignment>> {
    let prometheus = assignments.assignment_named("prometheus").ok()?;
    let command = prometheus.plan.validators.iter().find_map(command_of)?.clone();
    let words = ["promtool", "check", "rules", "{config}"].map(str::to_owned).to_vec();
    let name = "promtool check rules".to_owned();
    // As promtool 2.42 prints it (`checkRules()` in cmd/promtool/main.go).
    let patterns = [
        r"(?m)^(?P<file>/[^\n:]+): yaml: (?:unmarshal errors:\n +)?line (?P<line>[0-9]+): (?P<message>[^\n]+(?:\n  line [^\n]+)*)$",
        r"(?m)^(?P<file>/[^\n:]+): (?P<line>[0-9]+):(?P<column>[0-9]+): (?P<message>[^\n]+)$",
        r"(?m)^(?P<file>/[^\n:]+): (?P<message>group [^\n]+)$",
    ];
    let findings = patterns.iter().map(|pattern| LazyRegex::constant(pattern)).collect();
    let patterns = FindingPatterns { findings, ..FindingPatterns::default() };
    Some(with_command(&prometheus, CommandValidator { name, command: words, running: None, patterns, ..command }))
}

/// Returns the validation of the syntax of shell scripts. Bash with its extended patterns reads nearly all that other shells read, so what
/// it rejects is wrong; a script for dash is read by dash.
pub(super) fn shell_assignment(assignments: &Assignments, is_for_dash: bool) -> Option<Arc<Assignment>> {
    /// Shell, its options, and the pattern of its findings.
    const BASH: (&str, &[&str], &str) =
        ("bash", &["-O", "extglob"], r"(?m)^(?P<file>/[^:\n]+): line (?P<line>[0-9]+): (?P<message>[^\n]+)$");
    const DASH: (&str, &[&str], &str) = (
        "dash",
        &[],
        r"(?m)^(?:[^:\n]*dash: )?(?:[0-9]+: )?(?P<file>/[^:\n]+): (?P<line>[0-9]+): (?P<message>[^\n]+)$",
    );
    let any = assignments.assignment_named("prometheus").ok()?;
    let command = any.plan.validators.iter().find_map(command_of)?.clone();
    let (shell, options, pattern) = if is_for_dash { DASH } else { BASH };
    let patterns = FindingPatterns { findings: vec![LazyRegex::constant(pattern)], ..FindingPatterns::default() };
    let words = [&[shell], options, &["-n", "{config}"]].concat().into_iter().map(str::to_owned).collect();
    let (name, package) = (format!("{shell} -n"), Some(shell.to_owned()));
    Some(with_command(&any, CommandValidator { name, command: words, running: None, package, patterns, ..command }))
}

/// Returns an assignment of one command with the plan of another one.
fn with_command(assignment: &Assignment, command: CommandValidator) -> Arc<Assignment> {
    let validators = vec![Validator::Command(Box::new(command))];
    let plan = ValidationPlan { validators, main: Main::Only, ..assignment.plan.clone() };
    Arc::new(Assignment { preset: None, plan })
}
