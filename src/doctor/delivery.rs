//! Checks of reload, verification and Kubernetes Events.

use std::ffi::OsStr;
use std::time::Duration;

use super::{CheckStatus, Checks, remedy};
use crate::config::GateConfig;
use crate::flow::placeholders::UnknownMain;
use crate::flow::process::{Signal, Target};
use crate::flow::reload::{self, ReloadMethod};
use crate::flow::snapshot::Snapshot;
use crate::flow::verify::{Baseline, Patience, Proof, Verification};
use crate::notify::kubernetes::client::Cluster;
use crate::run;
use crate::sys::exec;
use crate::sys::http;
use crate::sys::kubernetes::RequestError;
use crate::sys::proc;

/// Time limit of a server's answer.
const SERVER_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) async fn examine(
    gate: &GateConfig,
    snapshot: Option<&Snapshot>,
    target: Option<&Target>,
    checks: &mut Checks<'_>,
) {
    if !gate.policy.reload {
        return checks.ok("reload", "the gate reloads nothing");
    }
    match &gate.reload {
        ReloadMethod::Nothing => checks.ok("reload", "the gate reloads nothing"),
        // A missing target has a check of its own.
        ReloadMethod::Signal { signal, allow_uncaught } => {
            target.iter().for_each(|target| check_signal(target, *signal, *allow_uncaught, checks));
        }
        ReloadMethod::Url(server) => match http::connect(&server.url, SERVER_TIMEOUT).await {
            Ok(()) => checks.ok("reload", format!("the server of {} can be reached", server.shown())),
            Err(error) => {
                let message = format!("the server of {} cannot be reached: {error}", server.shown());
                let help = "give the port on which the application listens; the containers of a pod share `localhost`";
                checks.fail("reload", message, help);
            }
        },
        ReloadMethod::Command(words) => installed(words, checks),
    }
    proven(gate, snapshot, target, checks).await;
}

fn check_signal(target: &Target, signal: Signal, allow_uncaught: bool, checks: &mut Checks<'_>) {
    let pid = target.pid();
    if let Err(target_error) = target.may_be_sent(signal) {
        let (message, help, _) = target_error.into_parts();
        let help = remedy::credentials(pid).map_or(help, |(own, theirs)| remedy::to_signal(own, theirs));
        return checks.fail("signal", message, help);
    }
    match reload::is_taken(target, signal, allow_uncaught) {
        Ok(()) => checks.ok("signal", format!("the gate may send {signal} to pid {pid}, which has a handler for it")),
        Err(target_error) => {
            let (message, help, _) = target_error.into_parts();
            checks.fail("signal", message, help);
        }
    }
}

/// Checks that the program which reloads is there.
fn installed(words: &[String], checks: &mut Checks<'_>) {
    let program = words.first().map(String::as_str).unwrap_or_default();
    if exec::is_installed(OsStr::new(program)) {
        return checks.ok("reload", format!("`{program}` is installed"));
    }
    let message = format!("`{program}` is not installed here, or not on the PATH");
    checks.fail("reload", message, reload::WITHOUT_PROGRAM);
}

async fn proven(gate: &GateConfig, snapshot: Option<&Snapshot>, target: Option<&Target>, checks: &mut Checks<'_>) {
    match &gate.verification {
        Verification::Nothing => checks.ok("proof", "no proof is configured"),
        Verification::Workers => {
            let Some(target) = target else { return };
            let (pid, workers) = (target.pid(), proc::children(target.pid()).len());
            if workers > 0 {
                return checks.ok("proof", format!("number of workers of pid {pid}: {workers}"));
            }
            let message = format!("pid {pid} has no workers, and the proof is new workers");
            let help = "choose another proof if the program has no workers: `--verify-url URL`, or `--verify none`";
            checks.fail("proof", message, help);
        }
        Verification::Metrics(proof) => match gate.verification.metrics_problem(&gate.selector).await {
            None => checks.ok("proof", format!("the application shows {}", proof.describe())),
            Some(problem) => {
                let status = if proof.is_guess { CheckStatus::Warn } else { CheckStatus::Fail };
                let usual = "name the address of the application's metrics: `--verify-metric-url URL`";
                checks.add("proof", status, problem.message, problem.help.or_else(|| Some(usual.into())));
            }
        },
        Verification::Url(_) | Verification::Command(_) => {
            let patience = Patience::Limited(gate.verify_timeout.min(SERVER_TIMEOUT));
            let tree = snapshot.map(|snapshot| snapshot.tree.clone()).unwrap_or_default();
            let filled = match run::verification_at(gate, &tree) {
                Ok(filled) => filled,
                Err(UnknownMain { message, help }) => {
                    return checks.fail("proof", message, help);
                }
            };
            let verification = filled.as_ref().unwrap_or(&gate.verification);
            let baseline = Baseline::now(None, verification);
            match verification.prove(&baseline, &gate.selector, patience).await.0 {
                Proof::Missing { message, help, .. } | Proof::Ineffective { message, help } => {
                    checks.fail("proof", message, help);
                }
                Proof::Proven { message, .. } => checks.ok("proof", message),
                Proof::NotAsked { .. } => {}
            }
        }
    }
}

/// Checks that the cluster accepts Events.
pub(super) async fn check_events(cluster: &Cluster, checks: &mut Checks<'_>) {
    let Err(error) = cluster.try_out().await else {
        return checks.ok("events", format!("Kubernetes (`{}`) accepts Events", cluster.access));
    };
    let event = cluster.failing(&error);
    let help = if cluster.access.token_file().is_some_and(|token| !token.exists()) {
        format!(
            "mount a token in `{}`: set `automountServiceAccountToken: true`, and use a service account with a Role that allows Events",
            cluster.access.service_account.display()
        )
    } else if let Some(help) = event.help.filter(|_| !matches!(error, RequestError::Unreachable(_))) {
        // The answer of the server names its reason.
        help
    } else {
        "let the pod reach the server of the API: a NetworkPolicy may forbid it".to_owned()
    };
    checks.fail("events", event.message.unwrap_or_default(), help);
}
