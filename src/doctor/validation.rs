//! Checks of validation: the current configuration is validated in each place, as a change would be.

use std::path::PathBuf;
use std::sync::Arc;

use reload_gate_contract::Verdict;

use super::{CheckStatus, Checks, Tier, remedy};
use crate::config::GateConfig;
use crate::flow::process::{Root, Target};
use crate::flow::snapshot::Snapshot;
use crate::flow::tree::Tree;
use crate::flow::validate::{
    self, CommandValidator, Confinement, Location, RootChoice, Validation, ValidationPlan, Validator,
};
use crate::report;
use crate::run;

/// Remedy for a validation that does not work and names none itself.
const OTHER_VALIDATION: &str = "run the validator by hand in this container for its reason, or choose another one: `--app NAME`, `--validate CMD`, `--root PLACE`";
/// Remedy for a configuration that is rejected and names none itself.
const CORRECT: &str = "correct the configuration there, and run `doctor` again";

/// Result of a trial.
struct ValidationTrial {
    location: Location,
    /// `None` without a validation, because the target is missing.
    verdict: Option<Verdict>,
    message: String,
    help: Option<String>,
    /// Files that the target reads and that are in no source.
    unwatched: Vec<PathBuf>,
}

impl ValidationTrial {
    fn works(&self) -> bool {
        self.verdict.is_some_and(|verdict| verdict != Verdict::Inconclusive)
    }

    /// Adds the trial as a check, and returns the remedy if it does not work. A failure is a warning here: the check of the
    /// configured place decides.
    fn add_to(self, check: &'static str, checks: &mut Checks<'_>) -> Option<String> {
        if self.works() {
            checks.add(check, CheckStatus::Ok, self.message, self.help);
            return None;
        }
        let help = self.help.unwrap_or_else(|| OTHER_VALIDATION.to_owned());
        checks.warn(check, self.message, help.clone());
        Some(help)
    }
}

/// Tries each place, and returns the tier of the configured one and the remedy that leads to the next.
pub(super) async fn examine(
    gate: &GateConfig,
    snapshot: Option<&Snapshot>,
    target: Option<&Target>,
    checks: &mut Checks<'_>,
) -> (Tier, Option<String>) {
    if gate.plan.validators.is_empty() {
        let help = "add `--app NAME` for the program, or `--validate CMD` for its checker";
        checks.warn("judge", "no validator is configured", help);
        return (Tier::SignalOnly, Some(help.into()));
    }
    let Some(tree) = snapshot.map(|snapshot| &snapshot.tree) else {
        let help = "put the configuration there, and run `doctor` again";
        checks.warn("judge", "there is nothing to validate yet", help);
        return (Tier::None, Some(help.into()));
    };
    let configured = validated(gate, tree.clone(), target).await;
    if let Some((message, help)) = run::unwatched(&configured.unwatched) {
        checks.warn("watch", message, help);
    }
    // The user chose this root, and the validation works there; the target's root is no alternative.
    let chosen = gate.plan.root == RootChoice::Local && configured.works() && configured.location == Location::Here;
    let mut next = "add the application's own checker: `--app NAME`, or `--validate CMD`".to_owned();
    if let Some(commands) = commands(&gate.plan) {
        let here = local(gate, &commands, tree, configured.works(), checks).await;
        let there = if chosen { None } else { in_target(gate, &commands, tree, target, checks).await };
        next = there.or(here).unwrap_or(next);
    }
    sandbox(gate, configured.location, checks);
    let tier = Tier::of(configured.location);
    let status = match configured.verdict {
        Some(Verdict::Accepted) if configured.help.is_none() => CheckStatus::Ok,
        // No validator ran: a required file is missing.
        Some(Verdict::Rejected) if configured.location == Location::Nowhere => CheckStatus::Fail,
        Some(Verdict::Accepted | Verdict::Rejected) => CheckStatus::Warn,
        Some(Verdict::Inconclusive) | None => CheckStatus::Fail,
    };
    let usual = match configured.verdict {
        Some(Verdict::Rejected) => CORRECT,
        _ => OTHER_VALIDATION,
    };
    let usual = || if status == CheckStatus::Ok { None } else { Some(usual.to_owned()) };
    checks.add("judge", status, configured.message, configured.help.or_else(usual));
    let has_next = !chosen && tier < Tier::TargetRoot;
    (tier, has_next.then_some(next))
}

/// Checks the sandbox of commands that run here, if there are any.
fn sandbox(gate: &GateConfig, location: Location, checks: &mut Checks<'_>) {
    let Some(description) = run::confined(gate) else { return };
    let Some(confinement) = &gate.plan.confinement else { return checks.ok("sandbox", description) };
    let (version, open) = (Confinement::version(), !confinement.left_open().is_empty());
    let help = match version {
        None => Some("use Linux 5.13 or newer with Landlock among its security modules (docs/sandbox.md)"),
        Some(_) if open => Some(
            "add `--sandbox strict`, which also forbids new files directly in these directories; or remove the secrets below them from \
             this container (`automountServiceAccountToken: false`)",
        ),
        Some(_) => None,
    };
    let by = version.map_or_else(String::new, |version| format!(" (Landlock, version {version})"));
    let message = format!("{description}{by}");
    match help {
        Some(help) if location == Location::Here => {
            checks.warn("sandbox", message, help);
        }
        // The sandbox matters only if commands run here.
        _ => checks.ok("sandbox", message),
    }
}

impl Tier {
    fn of(location: Location) -> Self {
        match location {
            Location::Nowhere => Self::None,
            Location::Gate => Self::Builtin,
            Location::Here => Self::Local,
            Location::Target => Self::TargetRoot,
        }
    }
}

/// The commands among the validators, without their built-in substitutes; `None` if there are none.
fn commands(plan: &ValidationPlan) -> Option<Vec<Validator>> {
    let alone = |validator: &Validator| match validator {
        Validator::Command(check) => {
            Some(Validator::Command(Box::new(CommandValidator { otherwise: None, ..*check.clone() })))
        }
        Validator::Builtin(_) => None,
    };
    let commands: Vec<_> = plan.validators.iter().filter_map(alone).collect();
    (!commands.is_empty()).then_some(commands)
}

/// Tries the commands alone here, and returns the remedy if they do not work. Their failure does not matter if another validator
/// `works`.
async fn local(
    gate: &GateConfig,
    commands: &[Validator],
    tree: &Arc<Tree>,
    works: bool,
    checks: &mut Checks<'_>,
) -> Option<String> {
    let trial = alone(gate, commands, RootChoice::Local, tree, None).await;
    if !trial.works() && works {
        return None;
    }
    trial.add_to("local", checks)
}

/// Tries the commands alone in the target's root, and returns the remedy if they do not work.
async fn in_target(
    gate: &GateConfig,
    commands: &[Validator],
    tree: &Arc<Tree>,
    target: Option<&Target>,
    checks: &mut Checks<'_>,
) -> Option<String> {
    if target.is_none() {
        let help = "start the application, and run `doctor` again".to_owned();
        checks.warn("target-root", "there is no target process, so its root cannot be entered", help.clone());
        return Some(help);
    }
    alone(gate, commands, RootChoice::Target, tree, target).await.add_to("target-root", checks)
}

async fn alone(
    gate: &GateConfig,
    commands: &[Validator],
    root: RootChoice,
    tree: &Arc<Tree>,
    target: Option<&Target>,
) -> ValidationTrial {
    let plan = ValidationPlan { root, validators: commands.to_vec(), ..gate.plan.clone() };
    validated(&GateConfig { plan, ..gate.clone() }, tree.clone(), target).await
}

async fn validated(gate: &GateConfig, tree: Arc<Tree>, target: Option<&Target>) -> ValidationTrial {
    // A single decision, which may be made beside the gate of the same published volume.
    let mut single = gate.clone();
    single.policy.once = true;
    match run::validate(&single, tree).await {
        Ok(validation) => trial_of(&validation, target),
        Err(target_error) => {
            let (message, help, _) = target_error.into_parts();
            ValidationTrial {
                location: Location::Nowhere,
                verdict: None,
                message,
                help: Some(help),
                unwatched: Vec::new(),
            }
        }
    }
}

fn trial_of(validation: &Validation, target: Option<&Target>) -> ValidationTrial {
    let verdict = validation.verdict();
    let reason = report::headline(&validation.findings).unwrap_or_else(|| "the validator gave no reason".into());
    let by = validation.by.clone().unwrap_or_else(|| "validated".into());
    let kept_out = validation.findings.iter().find(|finding| validate::is_kept_out(finding.code));
    let message = match (verdict, kept_out) {
        (Verdict::Rejected, _) => format!("{by}; the current configuration is rejected: {reason}"),
        (Verdict::Inconclusive, _) => format!("cannot be {by}: {reason}"),
        (Verdict::Accepted, Some(finding)) => finding.message.clone(),
        (Verdict::Accepted, None) => by,
    };
    let own_help = || validation.findings.iter().find_map(|finding| finding.help.clone());
    let help = match (kept_out, target) {
        (Some(finding), _) if finding.help.as_deref() == Some(validate::START_AS_ITSELF) => own_help(),
        (Some(_), Some(target)) => remedy_to_enter(target).or_else(own_help),
        (None, Some(target)) if verdict == Verdict::Inconclusive => {
            own_help().or_else(|| remedy::to_run(target.pid(), &reason))
        }
        _ if verdict == Verdict::Accepted && kept_out.is_none() => None,
        _ => own_help(),
    };
    let (location, unwatched) = (validation.location, validation.unwatched.iter().cloned().collect());
    ValidationTrial { location, verdict: Some(verdict), message, help, unwatched }
}

fn remedy_to_enter(target: &Target) -> Option<String> {
    let (own, theirs) = remedy::credentials(target.pid())?;
    Some(remedy::to_enter(own, theirs, !matches!(target.root(), Root::Same)))
}
