//! `reload-gate doctor`: tries out each step of a gate in this environment. IO: through the functions of the stages; it sends no
//! signal, publishes nothing and delivers no alert.

mod cluster;
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
use crate::report::client::{self, GateAddress, StatusQuery};
use crate::report::serve;
use crate::sys::proc;

/// Time limit of a connection to a sink of alerts.
const SINK_TIMEOUT: Duration = Duration::from_secs(5);

/// Result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// It works.
    Ok,
    /// The gate works without it, or by a fallback.
    Warn,
    /// A configured step does not work.
    Fail,
}

/// Best validation that works; a later one is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// No change gets through: validation or reload does not work.
    None,
    /// There is no validation: every change is reloaded.
    SignalOnly,
    /// A built-in validator.
    Builtin,
    /// A command in the gate's own root.
    Local,
    /// A command in the root of the target and as its user: the application's own checker.
    TargetRoot,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Name of the gate, unless the check concerns the whole process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<String>,
    /// Stable name of the check.
    pub check: &'static str,
    /// Result.
    pub status: CheckStatus,
    /// Description of the result.
    pub message: String,
    /// Remedy, such as lines of the pod's specification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// All checks, and their summary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// The version of this format.
    pub version: u8,
    /// Lowest tier of all gates.
    pub tier: Tier,
    /// Remedy that leads to the next tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The checks, in the order of the flow.
    pub checks: Vec<Check>,
}

/// The checks made so far, of one gate or of the process.
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

    fn warn(&mut self, check: &'static str, message: impl Into<String>, help: impl Into<String>) {
        self.add(check, CheckStatus::Warn, message, Some(help.into()));
    }

    fn fail(&mut self, check: &'static str, message: impl Into<String>, help: impl Into<String>) {
        self.add(check, CheckStatus::Fail, message, Some(help.into()));
    }
}

/// Tries out every step that `config` needs.
///
/// # Errors
/// When no event loop can be created.
pub fn examine(config: &Config) -> io::Result<Diagnosis> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(report(config));
    // A pending name resolution does not delay the end.
    runtime.shutdown_background();
    Ok(report)
}

async fn report(config: &Config) -> Diagnosis {
    let mut process = Checks { gate: None, made: Vec::new() };
    process.ok("identity", remedy::identity());
    for warning in &config.warnings {
        process.warn("settings", warning, "correct its name, or remove it from the environment of this container");
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
            Err(event) => check_taken_address(&mut process, address, &event.message.unwrap_or_default(), event.help),
        }
    }
    check_sinks(config, &mut process).await;
    if let Some(cluster) = &config.cluster {
        delivery::check_events(cluster, &mut process).await;
    }
    let (tier, next) = worst.unwrap_or((Tier::None, None));
    Diagnosis { version: 1, tier, next, checks: process.made }
}

/// Checks the files, the program and the server of each sink of alerts. Nothing is sent.
async fn check_sinks(config: &Config, checks: &mut Checks<'_>) {
    for sink in &config.alerts.sinks {
        let name = format!("`{}` ({})", sink.name, sink.kind.describe());
        if let Err(error) = sink.kind.ready() {
            let help = "create the file; it is read for each alert, so that it may come later";
            checks.fail("alerts", format!("cannot deliver alerts to {name}: {error}"), help);
        } else if let Err(error) = sink.kind.connect(SINK_TIMEOUT).await {
            let help = "start the receiver, and let this pod reach it (network policies, DNS)";
            checks.fail("alerts", format!("cannot reach {name}: {error}"), help);
        } else {
            checks.ok("alerts", format!("{name} can be reached"));
        }
    }
}

/// Checks an address in use: it is right if a running gate has it.
fn check_taken_address(checks: &mut Checks<'_>, address: std::net::SocketAddr, message: &str, help: Option<String>) {
    let (shown, address) = (address, GateAddress::Listener(address));
    let (answer, _) = client::ask(&StatusQuery { address, gate: None, ready: false, wait: Duration::ZERO });
    match answer {
        Ok(_) => checks.ok("listen", format!("a gate already listens on `{shown}`")),
        Err(_) => checks.fail("listen", message, help.unwrap_or_else(|| OTHER_ADDRESS.to_owned())),
    }
}

async fn examine_gate(gate: &GateConfig, checks: &mut Checks<'_>) -> (Tier, Option<String>) {
    let scan = snapshot::scan(&gate.sources, &gate.reading);
    let snapshot = sources(gate, scan, checks);
    volumes("publish", gate.publication.as_ref(), checks);
    volumes("stage", gate.stage.as_ref(), checks);
    let target = if gate.selector.is_empty() { None } else { find(gate, checks) };
    let validation = validation::examine(gate, snapshot.as_ref(), target.as_ref(), checks).await;
    delivery::examine(gate, snapshot.as_ref(), target.as_ref(), checks).await;
    if let Some(between) = &gate.cluster {
        cluster::examine(between, checks).await;
    }
    match checks.made.iter().find(|made| made.status == CheckStatus::Fail && NEEDED.contains(&made.check)) {
        Some(failed) => (Tier::None, Some(failed.help.clone().unwrap_or_else(|| failed.message.clone()))),
        None => validation,
    }
}

/// The checks that every change depends on.
const NEEDED: [&str; 8] = ["source", "mount", "publish", "stage", "target", "judge", "signal", "reload"];

/// Checks reading and watching.
fn sources(gate: &GateConfig, scan: Scan, checks: &mut Checks<'_>) -> Option<Snapshot> {
    let paths: Vec<_> = gate.sources.iter().map(|source| format!("`{}`", source.path.display())).collect();
    let snapshot = match scan.result {
        Ok(snapshot) => {
            let files = snapshot.tree.len();
            checks.ok("source", format!("{} can be read; number of files: {files}", paths.join(", ")));
            Some(snapshot)
        }
        Err(trouble) => {
            for finding in trouble.findings {
                // An empty volume may be filled later; a kubelet mounts it before it starts any container of the pod.
                let empty = snapshot::is_empty(finding.code);
                let status = if empty { CheckStatus::Warn } else { CheckStatus::Fail };
                let help = finding.help.unwrap_or_else(|| CHECK_SOURCES.to_owned());
                checks.add("source", status, finding.message, Some(help));
            }
            None
        }
    };
    let frozen: Vec<_> = gate.sources.iter().flat_map(|source| proc::frozen_here(&source.path)).collect();
    match Watch::new().cover(scan.watch_points) {
        Coverage::Degraded(message) => {
            let poll = humantime::format_duration(gate.policy.poll);
            let help = format!("raise the limit of inotify; until then the gate scans every {poll} (`--poll`)");
            checks.warn("watch", message, help);
        }
        // No change reaches a frozen mount, which the next check reports.
        Coverage::Extended | Coverage::Unchanged | Coverage::Restored if !frozen.is_empty() => {}
        Coverage::Extended | Coverage::Unchanged | Coverage::Restored => {
            checks.ok("watch", "inotify reports changes at once");
        }
    }
    for path in frozen {
        let message = format!("`{}` is a mount of a single file: the gate never sees a change of it", path.display());
        checks.fail("mount", message, WHOLE_VOLUME);
    }
    snapshot
}

/// Remedy for an address on which the gate cannot listen.
const OTHER_ADDRESS: &str = "name another address: `--listen ADDRESS:PORT`";
/// Remedy for sources that cannot be read, where the finding has none.
const CHECK_SOURCES: &str = "correct the files that `--watch` names, and run `doctor` again";
/// Remedy for a file that is mounted with `subPath`.
const WHOLE_VOLUME: &str = "mount the whole volume at a directory: leave out `subPath` in `volumeMounts`";

fn volumes(check: &'static str, publication: Option<&Publication>, checks: &mut Checks<'_>) {
    for (volume, _) in publication.iter().flat_map(|publication| publication.volumes()) {
        match volume.try_out() {
            Ok(()) => checks.ok(check, format!("the gate can publish in `{}`", volume.path().display())),
            Err(obstacle) => checks.fail(check, obstacle.to_string(), obstacle.help()),
        }
    }
}

/// Finds the process, and checks that it sees changes.
fn find(gate: &GateConfig, checks: &mut Checks<'_>) -> Option<Target> {
    match gate.selector.find() {
        Ok(target) => {
            let (pid, title) = (target.pid(), proc::title(target.pid()));
            let uid = proc::credentials(pid).map_or_else(String::new, |theirs| format!(", of uid {}", theirs.uid));
            checks.ok("target", format!("pid {pid} (`{title}`){uid}"));
            for path in gate.sources.iter().flat_map(|source| proc::frozen(pid, &source.mount)) {
                let message =
                    format!("`{}` is a mount of a single file: pid {pid} never sees a change of it", path.display());
                checks.fail("mount", message, WHOLE_VOLUME);
            }
            Some(target)
        }
        Err(target_error) => {
            // The application of a publishing gate may start only after the first publication.
            let waits = gate.plan.without_target && matches!(target_error, TargetError::Missing { .. });
            let missing = matches!(target_error, TargetError::Missing { .. });
            let (message, help, _) = target_error.into_parts();
            let help = if missing { remedy::to_find() } else { help };
            checks.add("target", if waits { CheckStatus::Warn } else { CheckStatus::Fail }, message, Some(help));
            None
        }
    }
}

impl Diagnosis {
    /// The exit code: 1 if a configured step does not work.
    #[must_use]
    pub fn exit(&self) -> Exit {
        if self.checks.iter().any(|check| check.status == CheckStatus::Fail) { Exit::Rejected } else { Exit::Accepted }
    }
}

impl Tier {
    /// Description of the tier.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::None => "no change gets through",
            Self::SignalOnly => "every change is reloaded without validation",
            Self::Builtin => "validation by a built-in validator",
            Self::Local => "validation by a command in the gate's own root",
            Self::TargetRoot => "validation by a command in the application's root, as the application's user",
        }
    }

    /// Stable name.
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
