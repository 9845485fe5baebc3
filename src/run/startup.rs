//! Reports about the surroundings of a gate, beside the flow.

use std::path::{Path, PathBuf};

use reload_gate_contract::{Code, Finding};

use crate::config::GateConfig;
use crate::flow::process::Target;
use crate::flow::reload::ReloadMethod;
use crate::flow::snapshot::Snapshot;
use crate::flow::validate::{Confinement, RootChoice, Validator};
use crate::flow::verify::Loaded;
use crate::gate::Gate;
use crate::report::{Event, Kind, Level};
use crate::sys::proc;

const WITHOUT_EFFECT: Code = Code::new("reload-without-effect");
/// The number of directories that a remedy names.
const DIRECTORIES: usize = 3;

/// The events at the start: what the gate will do, and what can never work.
pub(super) fn at_start(config: &GateConfig, findings: Vec<Finding>) -> Vec<Event> {
    let without_effect =
        config.reload.without_effect(config.selector.process.as_deref()).filter(|_| config.policy.reload);
    let without_effect =
        without_effect.map(|reason| Finding::warning(WITHOUT_EFFECT, reason.message).help(reason.help));
    let findings = findings.into_iter().chain(without_effect).collect();
    let mut events = vec![Event { findings, ..Event::new(Kind::Started).message(started(config)) }];
    for source in &config.sources {
        events.extend(proc::frozen_here(&source.path).iter().map(|path| warning(path, "the gate")));
    }
    events
}

/// Lets `gate` watch the target from the start, if it reloads it. A server or a command may reload one that cannot be found.
pub(super) fn watch_target(config: &GateConfig, gate: Gate) -> Gate {
    match &config.reload {
        _ if !config.policy.reload || config.selector.is_empty() => gate,
        ReloadMethod::Nothing => gate,
        ReloadMethod::Signal { .. } => gate.watch_target(true),
        ReloadMethod::Url(_) | ReloadMethod::Command(_) => gate.watch_target(false),
    }
}

/// Warnings about the target process: it may see other files than the gate does, and a reload may not bring all changes into effect.
pub(super) fn about_target(config: &GateConfig, target: &Target, loaded: Option<(&Loaded, &Snapshot)>) -> Vec<Event> {
    let pid = format!("pid {}", target.pid());
    let mounts = config.sources.iter().map(|source| &source.mount);
    let frozen = mounts.flat_map(|mount| proc::frozen(target.pid(), mount)).map(|path| warning(&path, &pid));
    let forewarning = loaded.and_then(|(loaded, snapshot)| {
        loaded.forewarning(&snapshot.tree, config.plan.main.find(&snapshot.tree).ok().as_deref())
    });
    let help = "restart the application after such a change: the gate verifies the new process";
    let reload = forewarning.map(|text| Event::new(Kind::WatchDegraded).message(text).help(Some(help.into())));
    frozen.chain(reload).collect()
}

/// A note about files that the target reads and that are in no source; `None` if there are none.
pub(super) fn about_unwatched(files: &[PathBuf]) -> Option<Event> {
    let (message, help) = unwatched(files)?;
    Some(Event { level: Level::Info, ..Event::new(Kind::WatchDegraded).message(message).help(Some(help)) })
}

/// A description of files that the target reads and that are in no source, and the remedy; `None` if there are none.
#[must_use]
pub fn unwatched(files: &[PathBuf]) -> Option<(String, String)> {
    let first = files.first()?;
    let message = match files.len() {
        1 => format!("`{}` is read and not watched", first.display()),
        several => format!("`{}` and {} more files are read and not watched", first.display(), several - 1),
    };
    let mut directories: Vec<&Path> = files.iter().filter_map(|file| file.parent()).collect();
    directories.dedup();
    let watch: Vec<_> =
        directories.iter().take(DIRECTORIES).map(|path| format!("`--watch {}`", path.display())).collect();
    let help = format!("add {}: a change there is not noticed, and not validated before a reload", watch.join(", "));
    Some((message, help))
}

fn started(config: &GateConfig) -> String {
    let watched: Vec<_> = config.sources.iter().map(|source| format!("`{}`", source.path.display())).collect();
    let validators: Vec<_> = config.plan.validators.iter().map(Validator::quoted).collect();
    let validated_candidate = match validators.as_slice() {
        [] => "accepted unchecked (no validator is configured)".to_owned(),
        validators => format!("validated by {} ({})", validators.join(", "), config.plan.root.describe()),
    };
    let confined = match confined(config) {
        Some(confined) => format!("; {confined}"),
        None => String::new(),
    };
    let reload = match &config.reload {
        _ if config.policy.once => "no reload (`--once`)".to_owned(),
        _ if !config.policy.reload => "no reload".to_owned(),
        ReloadMethod::Signal { .. } => format!("{} to {}", config.reload.describe(), config.selector.describe()),
        method => method.describe(),
    };
    let (watched, proof) = (watched.join(", "), config.verification.describe());
    format!("a change of {watched} is {validated_candidate}; then {reload}; proof: {proof}{confined}")
}

/// A description of the sandbox of local validator commands and its exceptions; `None` if there are no such commands.
#[must_use]
pub fn confined(config: &GateConfig) -> Option<String> {
    let here = config.plan.asks_programs() && config.plan.root != RootChoice::Target;
    here.then(|| match &config.plan.confinement {
        None => "validator commands are not confined (`--sandbox off`)".to_owned(),
        Some(_) if Confinement::version().is_none() => {
            "validator commands are not confined, as this kernel offers no Landlock".to_owned()
        }
        Some(confinement) => {
            let open: Vec<_> = confinement.left_open().iter().map(|path| format!("`{}`", path.display())).collect();
            let except = if open.is_empty() { String::new() } else { format!(", except for {}", open.join(", ")) };
            format!("validator commands are confined{except}")
        }
    })
}

fn warning(path: &Path, reader: &str) -> Event {
    Event::new(Kind::WatchDegraded)
        .message(format!("`{}` is a mount of a single file: {reader} will never see a change of it", path.display()))
        .help(Some(
            "a ConfigMap or Secret that is mounted with `subPath` is never updated; mount the whole volume".into(),
        ))
}
