//! Commands that `check` does not execute without `--allow-commands`, since the inputs name them, or what they would execute. Pure.

use std::path::Path;

use reload_gate_contract::{Code, Finding};

use super::CheckOptions;
use super::assign::{By, Task};
use super::execution::{self, Execution};
use super::store::Entry;
use super::validate::{Outcome, first, without_validation};
use crate::check::render::Checked;
use crate::config::{Preset, presets};
use crate::flow::tree::Tree;
use crate::flow::validate::{ValidationPlan, Validator};
use crate::sys::exec::{self, Confinement};

const COMMAND_NOT_ALLOWED: Code = Code::new("command-not-allowed");
/// Remedy.
pub(super) const ALLOW: &str = "execute commands of the inputs with `--allow-commands`, if you trust them";

/// Returns the result of a task whose command the inputs name.
pub(super) fn command(plan: &ValidationPlan, task: Task) -> Checked {
    let name = plan.validators.iter().map(Validator::title).collect::<Vec<_>>().join("`, `");
    withheld(format!("the inputs name the command `{name}`, so it was not executed"), first(plan), task)
}

/// Returns the result of a task whose command was not executed.
fn withheld(message: String, validator: String, task: Task) -> Checked {
    let finding = Finding::environment(COMMAND_NOT_ALLOWED, message).help(ALLOW);
    without_validation(finding, validator, task)
}

/// Returns the reason for which a configuration that is code as a whole is not validated.
pub(super) fn is_program(program: &str) -> String {
    format!("a configuration of {program} is a program, and would be executed")
}

/// A program that would execute or load something of the inputs.
pub(super) struct WithheldProgram {
    program: &'static str,
    is_code: bool,
    validator: String,
    execution: Execution,
}

impl WithheldProgram {
    /// Returns the result of its task: no validation where the program was found by a name. Nothing is quoted of a Secret.
    pub(super) fn outcome(self, task: Task, all: Box<[Entry]>, is_secret: impl Fn(&Path) -> bool) -> Outcome {
        let Execution { file, line, words } = self.execution;
        let place = line.map_or_else(|| file.display().to_string(), |line| format!("{}:{line}", file.display()));
        let construct = if is_secret(&file) { "a construct".to_owned() } else { format!("`{words}`") };
        let program = self.program;
        let why = if self.is_code {
            is_program(program)
        } else {
            format!("{program} would execute or load what the inputs name: {construct} in {place}")
        };
        if matches!(task.by, By::Name | By::Annotation | By::Object | By::Content) {
            return Outcome {
                checked: None,
                skipped: Some((why, Some(ALLOW.to_owned()))),
                read: all,
                ignores: Vec::new(),
            };
        }
        let checked = withheld(format!("{why}; so it was not executed"), self.validator, task);
        Outcome { checked: Some(checked), skipped: None, read: all, ignores: Vec::new() }
    }
}

/// Returns the preset of the program that a task runs, also where a gate or a rule has its command.
fn preset_of(task: &Task) -> Option<&Preset> {
    let of_program = || presets().iter().find(|preset| Some(preset.name) == task.program);
    task.assignment.preset.as_ref().or_else(of_program)
}

impl CheckOptions {
    /// Returns `plan` without programs that would execute or load something of the inputs.
    ///
    /// # Errors
    /// The construct that they would execute, where nothing else can validate.
    pub(super) fn without_execution(
        &self,
        task: &Task,
        plan: ValidationPlan,
        tree: &Tree,
    ) -> Result<ValidationPlan, Box<WithheldProgram>> {
        let preset = preset_of(task).filter(|_| !self.allow_commands && plan.asks_programs());
        let Some((preset, execution)) = preset.and_then(|preset| Some((preset, execution::find(preset, tree)?))) else {
            return Ok(plan);
        };
        let validator = first(&plan);
        let bundled = plan.bundled();
        if bundled.asks_programs() {
            Err(Box::new(WithheldProgram { program: preset.name, is_code: preset.is_code(), validator, execution }))
        } else {
            Ok(bundled)
        }
    }

    /// Returns true if a program may run without a view: it is the user's own or permitted; or it executes nothing of the inputs, and the
    /// kernel can isolate it.
    pub(super) fn may_run_in_place(&self, task: &Task) -> bool {
        !self.is_untrusted(task) || (!preset_of(task).is_some_and(Preset::may_execute) && Confinement::can_isolate())
    }

    /// Returns the confinement of a program that runs without a view, and reads files in `here`.
    pub(super) fn isolation(&self, task: &Task, here: &Path) -> Option<Confinement> {
        let only = Some(vec![here.to_owned()]);
        self.is_untrusted(task).then(|| Confinement { hidden: exec::homes(), only, ..Confinement::default() })
    }

    /// Returns true for a program that the inputs choose by their names or contents, unless commands are allowed.
    fn is_untrusted(&self, task: &Task) -> bool {
        !self.allow_commands && preset_of(task).is_some_and(|preset| preset.executes.is_some())
    }
}
