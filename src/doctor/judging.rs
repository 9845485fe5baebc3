//! Who can judge, and where: each place is tried with what is there now, as it would be with a change.

use std::sync::Arc;

use reload_gate_contract::Verdict;

use super::{Checks, Status, Tier, remedy};
use crate::config::GateConfig;
use crate::report;
use crate::run;
use crate::snapshot::Seen;
use crate::target::{Root, Target};
use crate::tree::Tree;
use crate::validate::{self, Check, Judgement, Plan, RootChoice, Seat, Validator};

/// What came of a try.
struct Tried {
    seat: Seat,
    /// `None` if nobody judged, for want of the target.
    verdict: Option<Verdict>,
    message: String,
    help: Option<String>,
}

impl Tried {
    fn works(&self) -> bool {
        self.verdict.is_some_and(|verdict| verdict != Verdict::Inconclusive)
    }
}

/// Tries the places, and says what the one that is configured amounts to, and what the next better takes.
pub(super) async fn examine(
    gate: &GateConfig,
    seen: Option<&Seen>,
    target: Option<&Target>,
    checks: &mut Checks<'_>,
) -> (Tier, Option<String>) {
    if gate.plan.validators.is_empty() {
        let help = "say which program it is for (`--app NAME`), or what judges it (`--validate CMD`)";
        checks.add("judge", Status::Warn, "nobody judges: no validator is configured", Some(help.into()));
        return (Tier::SignalOnly, Some(help.into()));
    }
    let tree = seen.map(|seen| seen.tree.clone()).unwrap_or_default();
    let configured = judged(gate, tree.clone(), target).await;
    let mut next = "let the application's own checker judge too: `--app NAME`, or `--validate CMD`".to_owned();
    if let Some(commands) = commands(&gate.plan) {
        let here = elsewhere(gate, &commands, RootChoice::Local, &tree, None, checks).await;
        let there = elsewhere(gate, &commands, RootChoice::Target, &tree, target, checks).await;
        next = there.or(here).unwrap_or(next);
    }
    let tier = Tier::of(configured.seat);
    let status = match configured.verdict {
        // There may be something to judge later.
        _ if seen.is_none() => Status::Warn,
        Some(Verdict::Accepted) if configured.help.is_none() => Status::Ok,
        Some(Verdict::Accepted | Verdict::Rejected) => Status::Warn,
        Some(Verdict::Inconclusive) | None => Status::Fail,
    };
    checks.add("judge", status, configured.message, configured.help);
    (tier, Some(next).filter(|_| tier < Tier::TargetRoot))
}

impl Tier {
    fn of(seat: Seat) -> Self {
        match seat {
            Seat::Nowhere => Self::None,
            Seat::Gate => Self::Builtin,
            Seat::Here => Self::Local,
            Seat::Target => Self::TargetRoot,
        }
    }
}

/// The commands among the validators, which nobody judges in place of; `None` if there are none.
fn commands(plan: &Plan) -> Option<Vec<Validator>> {
    let alone = |validator: &Validator| match validator {
        Validator::Command(check) => Some(Validator::Command(Box::new(Check { otherwise: None, ..*check.clone() }))),
        Validator::Builtin(_) => None,
    };
    let commands: Vec<_> = plan.validators.iter().filter_map(alone).collect();
    (!commands.is_empty()).then_some(commands)
}

/// Tries the commands alone in `root`, and gives what it takes if they cannot judge there.
async fn elsewhere(
    gate: &GateConfig,
    commands: &[Validator],
    root: RootChoice,
    tree: &Arc<Tree>,
    target: Option<&Target>,
    checks: &mut Checks<'_>,
) -> Option<String> {
    let check = if root == RootChoice::Target { "target-root" } else { "local" };
    if root == RootChoice::Target && target.is_none() {
        let help = "start the application; its own checker could judge then".to_owned();
        checks.add(check, Status::Warn, "there is no process whose root could be entered", Some(help.clone()));
        return Some(help);
    }
    let plan = Plan { root, validators: commands.to_vec(), ..gate.plan.clone() };
    let tried = judged(&GateConfig { plan, ..gate.clone() }, tree.clone(), target).await;
    // Whether that is needed, the check of what is configured says.
    let works = tried.works();
    checks.add(check, if works { Status::Ok } else { Status::Warn }, tried.message, tried.help.clone());
    tried.help.filter(|_| !works)
}

async fn judged(gate: &GateConfig, tree: Arc<Tree>, target: Option<&Target>) -> Tried {
    match run::judge(gate, tree).await {
        Ok(judgement) => tried(&judgement, target),
        Err(hindrance) => {
            let (message, help, _) = hindrance.into_parts();
            Tried { seat: Seat::Nowhere, verdict: None, message, help: Some(help) }
        }
    }
}

fn tried(judgement: &Judgement, target: Option<&Target>) -> Tried {
    let verdict = judgement.verdict();
    let said = report::headline(&judgement.findings).unwrap_or_else(|| "no reason was given".into());
    let by = judgement.by.clone().unwrap_or_else(|| "judged".into());
    let kept_out = judgement.findings.iter().find(|finding| validate::is_kept_out(finding.code));
    let message = match (verdict, kept_out) {
        (Verdict::Rejected, _) => format!("{by}; what is there now is rejected: {said}"),
        (Verdict::Inconclusive, _) => format!("cannot be {by}: {said}"),
        (Verdict::Accepted, Some(finding)) => finding.message.clone(),
        (Verdict::Accepted, None) => by,
    };
    let own_help = || judgement.findings.iter().find_map(|finding| finding.help.clone());
    let help = match (kept_out, target) {
        (Some(_), Some(target)) => remedy_to_enter(target).or_else(own_help),
        (None, Some(target)) if verdict == Verdict::Inconclusive => {
            own_help().or_else(|| remedy::to_run(target.pid(), &said))
        }
        _ if verdict == Verdict::Accepted && kept_out.is_none() => None,
        _ => own_help(),
    };
    Tried { seat: judgement.seat, verdict: Some(verdict), message, help }
}

fn remedy_to_enter(target: &Target) -> Option<String> {
    let (own, theirs) = remedy::credentials(target.pid())?;
    Some(remedy::to_enter(own, theirs, !matches!(target.root(), Root::Same)))
}
