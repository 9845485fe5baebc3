//! `reload-gate doctor`: what this place allows, tried out rather than guessed. IO: through the stages, whose own functions it
//! calls; nobody is signalled, and nothing is published.

mod delivery;
mod remedy;
mod render;
mod validation;

use std::io;
use std::time::Duration;

use serde::Serialize;

use crate::config::{Config, GateConfig};
use crate::exit::Exit;
use crate::flow::process::{Target, TargetError};
use crate::flow::publish::Publication;
use crate::flow::snapshot::{self, Scan, Snapshot};
use crate::flow::watch::{Coverage, Watch};
use crate::report::client::{self, StatusQuery};
use crate::report::serve;
use crate::sys::proc;

/// How long the server of a sink of alerts may take to answer.
const ALERTS_PATIENCE: Duration = Duration::from_secs(5);

/// How well something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// It works.
    Ok,
    /// What is configured works without it, or by a second choice.
    Warn,
    /// Something that is configured will not work.
    Fail,
}

/// Who judges a configuration before the application is told of it; the later, the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// Nothing gets through: it cannot be judged, or the application cannot be told.
    None,
    /// Nobody: the application is told of whatever comes.
    SignalOnly,
    /// A validator that is built in.
    Builtin,
    /// A command in the gate's own root.
    Local,
    /// A command in the root of the target and as its user: what the application itself would say.
    TargetRoot,
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The gate that it is about, unless it is about all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<String>,
    /// What was tried, by a stable name.
    pub check: &'static str,
    /// How it went.
    pub status: CheckStatus,
    /// What was found.
    pub message: String,
    /// What to do, or to add to the pod's specification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// Everything that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// The version of this format.
    pub version: u8,
    /// What works now, in the gate for which the least does.
    pub tier: Tier,
    /// What the next tier takes, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// In the order in which a change flows.
    pub checks: Vec<Check>,
}

/// The checks of one gate, while they are being made.
struct Checks<'a> {
    gate: Option<&'a str>,
    made: Vec<Check>,
}

impl Checks<'_> {
    fn add(&mut self, check: &'static str, status: CheckStatus, message: impl Into<String>, help: Option<String>) {
        let gate = self.gate.map(str::to_owned);
        self.made.push(Check { gate, check, status, message: message.into(), help });
    }

    fn ok(&mut self, check: &'static str, message: impl Into<String>) {
        self.add(check, CheckStatus::Ok, message, None);
    }
}

/// Tries what `config` will need.
///
/// # Errors
/// When there is no event loop to be had.
pub fn examine(config: &Config) -> io::Result<Diagnosis> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(report(config));
    // A name that does not resolve is waited for no longer.
    runtime.shutdown_background();
    Ok(report)
}

async fn report(config: &Config) -> Diagnosis {
    let mut process = Checks { gate: None, made: Vec::new() };
    process.ok("identity", remedy::identity());
    for warning in &config.warnings {
        process.add("settings", CheckStatus::Warn, warning, None);
    }
    let mut worst: Option<(Tier, Option<String>)> = None;
    for gate in &config.gates {
        let mut checks = Checks { gate: Some(&gate.name), made: Vec::new() };
        let (tier, next) = examine_gate(gate, &mut checks).await;
        process.made.append(&mut checks.made);
        if worst.as_ref().is_none_or(|(worst, _)| tier < *worst) {
            worst = Some((tier, next));
        }
    }
    if let Some(address) = config.listen {
        match serve::try_out(address).await {
            Ok(()) => process.ok("listen", format!("`{address}` is free")),
            Err(event) => listen_taken(&mut process, address, &event.message.unwrap_or_default(), event.help),
        }
    }
    alerted(config, &mut process).await;
    if let Some(cluster) = &config.cluster {
        delivery::announced(cluster, &mut process).await;
    }
    let (tier, next) = worst.unwrap_or((Tier::None, None));
    Diagnosis { version: 1, tier, next, checks: process.made }
}

/// Whether each sink of alerts could be told: its files, its program, its server. Nothing is sent.
async fn alerted(config: &Config, checks: &mut Checks<'_>) {
    for sink in &config.alerts.sinks {
        let who = format!("`{}` ({})", sink.name, sink.kind.describe());
        if let Err(error) = sink.kind.ready() {
            let help = "files are read for each alert, and so may still come";
            checks.add("alerts", CheckStatus::Fail, format!("{who} cannot be told: {error}"), Some(help.into()));
        } else if let Err(error) = sink.kind.connect(ALERTS_PATIENCE).await {
            let help = "is the receiver up, and can this pod reach it (network policies, DNS)?";
            checks.add("alerts", CheckStatus::Fail, format!("{who} cannot be reached: {error}"), Some(help.into()));
        } else {
            checks.ok("alerts", format!("{who} can be told"));
        }
    }
}

/// An address that is taken is no trouble if a gate has it: the one beside which this is run.
fn listen_taken(checks: &mut Checks<'_>, address: std::net::SocketAddr, message: &str, help: Option<String>) {
    let (answer, _) = client::ask(&StatusQuery { address, ready: false, wait: Duration::ZERO });
    match answer {
        Ok(_) => checks.ok("listen", format!("a gate listens on `{address}` already")),
        Err(_) => checks.add("listen", CheckStatus::Fail, message, help),
    }
}

async fn examine_gate(gate: &GateConfig, checks: &mut Checks<'_>) -> (Tier, Option<String>) {
    let scan = snapshot::scan(&gate.sources, &gate.reading);
    let snapshot = sources(gate, scan, checks);
    volumes("publish", gate.publication.as_ref(), checks);
    volumes("stage", gate.stage.as_ref(), checks);
    let target = if gate.selector.is_empty() { None } else { find(gate, checks) };
    let judged = validation::examine(gate, snapshot.as_ref(), target.as_ref(), checks).await;
    delivery::examine(gate, target.as_ref(), checks).await;
    match checks.made.iter().find(|made| made.status == CheckStatus::Fail && NEEDED.contains(&made.check)) {
        Some(stuck) => (Tier::None, Some(stuck.help.clone().unwrap_or_else(|| stuck.message.clone()))),
        None => judged,
    }
}

/// The checks without which nothing gets through.
const NEEDED: [&str; 8] = ["source", "mount", "publish", "stage", "target", "judge", "signal", "reload"];

/// What can be read and watched.
fn sources(gate: &GateConfig, scan: Scan, checks: &mut Checks<'_>) -> Option<Snapshot> {
    let paths: Vec<_> = gate.sources.iter().map(|source| format!("`{}`", source.path.display())).collect();
    let snapshot = match scan.result {
        Ok(snapshot) => {
            let files = snapshot.tree.len();
            checks.ok("source", format!("{} can be read; files: {files}", paths.join(", ")));
            Some(snapshot)
        }
        Err(trouble) => {
            for finding in trouble.findings {
                // A volume that is empty may be filled later; a kubelet mounts it before anything in the pod is started.
                let empty = snapshot::is_empty(finding.code);
                let status = if empty { CheckStatus::Warn } else { CheckStatus::Fail };
                checks.add("source", status, finding.message, finding.help);
            }
            None
        }
    };
    match Watch::new().cover(scan.watch_points) {
        Coverage::Degraded(message) => {
            let help = format!(
                "changes are found all the same, within `--poll` ({})",
                humantime::format_duration(gate.policy.poll)
            );
            checks.add("watch", CheckStatus::Warn, message, Some(help));
        }
        Coverage::Extended | Coverage::Unchanged | Coverage::Restored => {
            checks.ok("watch", "changes are noticed at once, by inotify")
        }
    }
    let frozen = gate.sources.iter().flat_map(|source| proc::frozen_here(&source.path));
    for path in frozen {
        let message =
            format!("`{}` is a mount of a single file: the gate will never see a change of it", path.display());
        checks.add("mount", CheckStatus::Fail, message, Some(WHOLE_VOLUME.into()));
    }
    snapshot
}

/// What to do about a file that was mounted with `subPath`.
const WHOLE_VOLUME: &str = "mount the volume itself, at a directory: in `volumeMounts`, leave out `subPath`";

fn volumes(check: &'static str, publication: Option<&Publication>, checks: &mut Checks<'_>) {
    for (volume, _) in publication.iter().flat_map(|publication| publication.volumes()) {
        match volume.try_out() {
            Ok(()) => checks.ok(check, format!("`{}` can be written and swapped", volume.path().display())),
            Err(obstacle) => checks.add(check, CheckStatus::Fail, obstacle.to_string(), Some(obstacle.help())),
        }
    }
}

/// The process, if it is found; and what keeps it from being found, or from seeing a change.
fn find(gate: &GateConfig, checks: &mut Checks<'_>) -> Option<Target> {
    match gate.selector.find() {
        Ok(target) => {
            let (pid, title) = (target.pid(), proc::title(target.pid()));
            let uid = proc::credentials(pid).map_or_else(String::new, |theirs| format!(", of uid {}", theirs.uid));
            checks.ok("target", format!("pid {pid} (`{title}`){uid}"));
            for path in gate.sources.iter().flat_map(|source| proc::frozen(pid, &source.mount)) {
                let message = format!(
                    "`{}` is a mount of a single file: pid {pid} will never see a change of it",
                    path.display()
                );
                checks.add("mount", CheckStatus::Fail, message, Some(WHOLE_VOLUME.into()));
            }
            Some(target)
        }
        Err(target_error) => {
            // Who publishes does not need it: it may start only when something is published.
            let waits = gate.plan.without_target && matches!(target_error, TargetError::Missing { .. });
            let missing = matches!(target_error, TargetError::Missing { .. });
            let (message, help, _) = target_error.into_parts();
            let help = if missing { remedy::to_be_seen() } else { help };
            checks.add("target", if waits { CheckStatus::Warn } else { CheckStatus::Fail }, message, Some(help));
            None
        }
    }
}

impl Diagnosis {
    /// Whether all that is configured will work.
    #[must_use]
    pub fn exit(&self) -> Exit {
        if self.checks.iter().any(|check| check.status == CheckStatus::Fail) { Exit::Rejected } else { Exit::Accepted }
    }
}

impl Tier {
    /// The tier in words.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::None => "nothing gets through",
            Self::SignalOnly => "the application is told of every change, and nobody judges it",
            Self::Builtin => "judged by a validator that is built in",
            Self::Local => "judged by a command in the gate's own root",
            Self::TargetRoot => "judged by a command in the application's root, as the application's user",
        }
    }

    /// Its stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SignalOnly => "signal-only",
            Self::Builtin => "builtin",
            Self::Local => "local",
            Self::TargetRoot => "target-root",
        }
    }
}
