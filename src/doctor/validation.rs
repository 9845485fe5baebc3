//! Who can judge, and where: each place is tried with what is there now, as it would be with a change.

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

/// What came of a try.
struct Tried {
    location: Location,
    /// `None` if nobody judged, for want of the target.
    verdict: Option<Verdict>,
    message: String,
    help: Option<String>,
}

impl Tried {
    fn works(&self) -> bool {
        self.verdict.is_some_and(|verdict| verdict != Verdict::Inconclusive)
    }

    /// Adds it as a check, and gives what it takes if it does not work. Whether that is needed, the check of what is configured says.
    fn say(self, check: &'static str, checks: &mut Checks<'_>) -> Option<String> {
        let works = self.works();
        checks.add(check, if works { CheckStatus::Ok } else { CheckStatus::Warn }, self.message, self.help.clone());
        self.help.filter(|_| !works)
    }
}

/// Tries the places, and says what the one that is configured amounts to, and what the next better takes.
pub(super) async fn examine(
    gate: &GateConfig,
    snapshot: Option<&Snapshot>,
    target: Option<&Target>,
    checks: &mut Checks<'_>,
) -> (Tier, Option<String>) {
    if gate.plan.validators.is_empty() {
        let help = "say which program it is for (`--app NAME`), or what judges it (`--validate CMD`)";
        checks.add("judge", CheckStatus::Warn, "nobody judges: no validator is configured", Some(help.into()));
        return (Tier::SignalOnly, Some(help.into()));
    }
    let Some(tree) = snapshot.map(|snapshot| &snapshot.tree) else {
        let help = "put the configuration there, and ask again";
        checks.add("judge", CheckStatus::Warn, "there is nothing to judge yet", Some(help.into()));
        return (Tier::None, Some(help.into()));
    };
    let configured = validated(gate, tree.clone(), target).await;
    // Who is said to judge here, and does, is not to be had elsewhere.
    let chosen = gate.plan.root == RootChoice::Local && configured.works() && configured.location == Location::Here;
    let mut next = "let the application's own checker judge too: `--app NAME`, or `--validate CMD`".to_owned();
    if let Some(commands) = commands(&gate.plan) {
        let here = local(gate, &commands, tree, configured.works(), checks).await;
        let there = if chosen { None } else { in_target(gate, &commands, tree, target, checks).await };
        next = there.or(here).unwrap_or(next);
    }
    sandbox(gate, configured.location, checks);
    let tier = Tier::of(configured.location);
    let status = match configured.verdict {
        Some(Verdict::Accepted) if configured.help.is_none() => CheckStatus::Ok,
        // Nobody was asked: a file is missing that is to be there.
        Some(Verdict::Rejected) if configured.location == Location::Nowhere => CheckStatus::Fail,
        Some(Verdict::Accepted | Verdict::Rejected) => CheckStatus::Warn,
        Some(Verdict::Inconclusive) | None => CheckStatus::Fail,
    };
    checks.add("judge", status, configured.message, configured.help);
    (tier, Some(next).filter(|_| !chosen && tier < Tier::TargetRoot))
}

/// What commands are kept from that judge here, if there are such.
fn sandbox(gate: &GateConfig, location: Location, checks: &mut Checks<'_>) {
    let Some(said) = run::confined(gate) else { return };
    let Some(confinement) = &gate.plan.confinement else { return checks.ok("sandbox", said) };
    let (version, open) = (Confinement::version(), !confinement.left_open().is_empty());
    let help = match version {
        None => Some("Linux 5.13 or newer with Landlock among its security modules holds them to it (docs/sandbox.md)"),
        Some(_) if open => Some(
            "who may make files in a directory may use all that is below it: `--sandbox strict` closes that, and nothing new can be made \
             directly there; or take what is there out of this container (`automountServiceAccountToken: false`)",
        ),
        Some(_) => None,
    };
    // Where somebody else judges, that is only worth knowing.
    let status = if help.is_some() && location == Location::Here { CheckStatus::Warn } else { CheckStatus::Ok };
    let by = version.map_or_else(String::new, |version| format!(" (Landlock, version {version})"));
    checks.add(
        "sandbox",
        status,
        format!("{said}{by}"),
        help.filter(|_| status == CheckStatus::Warn).map(str::to_owned),
    );
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

/// The commands among the validators, which nobody judges in place of; `None` if there are none.
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

/// Tries the commands alone here, and gives what it takes if they cannot judge here; that is nobody's concern where somebody `else_judges`.
async fn local(
    gate: &GateConfig,
    commands: &[Validator],
    tree: &Arc<Tree>,
    else_judges: bool,
    checks: &mut Checks<'_>,
) -> Option<String> {
    let tried = alone(gate, commands, RootChoice::Local, tree, None).await;
    if !tried.works() && else_judges {
        return None;
    }
    tried.say("local", checks)
}

/// Tries the commands alone in the target's root, and gives what it takes if they cannot judge there.
async fn in_target(
    gate: &GateConfig,
    commands: &[Validator],
    tree: &Arc<Tree>,
    target: Option<&Target>,
    checks: &mut Checks<'_>,
) -> Option<String> {
    if target.is_none() {
        let help = "start the application; its own checker could judge then".to_owned();
        checks.add(
            "target-root",
            CheckStatus::Warn,
            "there is no process whose root could be entered",
            Some(help.clone()),
        );
        return Some(help);
    }
    alone(gate, commands, RootChoice::Target, tree, target).await.say("target-root", checks)
}

async fn alone(
    gate: &GateConfig,
    commands: &[Validator],
    root: RootChoice,
    tree: &Arc<Tree>,
    target: Option<&Target>,
) -> Tried {
    let plan = ValidationPlan { root, validators: commands.to_vec(), ..gate.plan.clone() };
    validated(&GateConfig { plan, ..gate.clone() }, tree.clone(), target).await
}

async fn validated(gate: &GateConfig, tree: Arc<Tree>, target: Option<&Target>) -> Tried {
    match run::validate(gate, tree).await {
        Ok(validation) => tried(&validation, target),
        Err(target_error) => {
            let (message, help, _) = target_error.into_parts();
            Tried { location: Location::Nowhere, verdict: None, message, help: Some(help) }
        }
    }
}

fn tried(validation: &Validation, target: Option<&Target>) -> Tried {
    let verdict = validation.verdict();
    let said = report::headline(&validation.findings).unwrap_or_else(|| "no reason was given".into());
    let by = validation.by.clone().unwrap_or_else(|| "judged".into());
    let kept_out = validation.findings.iter().find(|finding| validate::is_kept_out(finding.code));
    let message = match (verdict, kept_out) {
        (Verdict::Rejected, _) => format!("{by}; what is there now is rejected: {said}"),
        (Verdict::Inconclusive, _) => format!("cannot be {by}: {said}"),
        (Verdict::Accepted, Some(finding)) => finding.message.clone(),
        (Verdict::Accepted, None) => by,
    };
    let own_help = || validation.findings.iter().find_map(|finding| finding.help.clone());
    let help = match (kept_out, target) {
        (Some(_), Some(target)) => remedy_to_enter(target).or_else(own_help),
        (None, Some(target)) if verdict == Verdict::Inconclusive => {
            own_help().or_else(|| remedy::to_run(target.pid(), &said))
        }
        _ if verdict == Verdict::Accepted && kept_out.is_none() => None,
        _ => own_help(),
    };
    Tried { location: validation.location, verdict: Some(verdict), message, help }
}

fn remedy_to_enter(target: &Target) -> Option<String> {
    let (own, theirs) = remedy::credentials(target.pid())?;
    Some(remedy::to_enter(own, theirs, !matches!(target.root(), Root::Same)))
}
