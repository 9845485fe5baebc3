//! What a gate has to say about its surroundings, beside the flow.

use std::path::Path;

use reload_gate_contract::Finding;

use crate::config::GateConfig;
use crate::flow::process::Target;
use crate::flow::reload::ReloadMethod;
use crate::flow::validate::{Confinement, RootChoice, Validator};
use crate::report::{Event, Kind};
use crate::sys::proc;

/// What is to be said at the start: what the gate will do, and what will never work.
pub(super) fn at_start(config: &GateConfig, findings: Vec<Finding>) -> Vec<Event> {
    let mut events = vec![Event { findings, ..Event::new(Kind::Started).message(started(config)) }];
    for source in &config.sources {
        events.extend(proc::frozen_here(&source.path).iter().map(|path| warning(path, "the gate")));
    }
    events
}

/// What is to be said about the process that was found: it may see other files than the gate does.
pub(super) fn about_target(config: &GateConfig, target: &Target) -> Vec<Event> {
    let who = format!("pid {}", target.pid());
    let mounts = config.sources.iter().map(|source| &source.mount);
    mounts.flat_map(|mount| proc::frozen(target.pid(), mount)).map(|path| warning(&path, &who)).collect()
}

fn started(config: &GateConfig) -> String {
    let watched: Vec<_> = config.sources.iter().map(|source| format!("`{}`", source.path.display())).collect();
    let judges: Vec<_> = config.plan.validators.iter().map(Validator::quoted).collect();
    let validated_candidate = match judges.as_slice() {
        [] => "accepted whatever it says (no validator is configured)".to_owned(),
        judges => format!("judged by {} ({})", judges.join(", "), config.plan.root.describe()),
    };
    let confined = match confined(config) {
        Some(confined) => format!("; {confined}"),
        None => String::new(),
    };
    let told = match &config.reload {
        _ if !config.policy.reload => "nobody is told".to_owned(),
        ReloadMethod::Signal { .. } => format!("{} to {}", config.reload.describe(), config.selector.describe()),
        reload => reload.describe(),
    };
    let (watched, proof) = (watched.join(", "), config.verification.describe());
    format!("a change of {watched} is {validated_candidate}; then {told}; proof: {proof}{confined}")
}

/// What keeps commands that judge here from what is none of their business, and what it leaves open, if there may be such commands.
#[must_use]
pub fn confined(config: &GateConfig) -> Option<String> {
    let here = config.plan.asks_programs() && config.plan.root != RootChoice::Target;
    here.then(|| match &config.plan.confinement {
        None => "commands that judge here are not confined (`--sandbox off`)".to_owned(),
        Some(_) if Confinement::version().is_none() => {
            "commands that judge here are not confined, as this kernel offers no Landlock".to_owned()
        }
        Some(confinement) => {
            let open: Vec<_> = confinement.left_open().iter().map(|path| format!("`{}`", path.display())).collect();
            let but = if open.is_empty() { String::new() } else { format!(", but for {}", open.join(", ")) };
            format!("commands that judge here are confined{but}")
        }
    })
}

fn warning(path: &Path, who: &str) -> Event {
    Event::new(Kind::WatchDegraded)
        .message(format!("`{}` is a mount of a single file: {who} will never see a change of it", path.display()))
        .help(Some(
            "a ConfigMap or Secret that is mounted with `subPath` is never updated; mount the whole volume".into(),
        ))
}
