//! Whether the application can be told, and whether it can be proven that it listened.

use std::ffi::OsStr;
use std::time::Duration;

use super::{Checks, Status, remedy};
use crate::config::GateConfig;
use crate::flow::process::{Signal, Target};
use crate::flow::reload::{self, ReloadMethod};
use crate::flow::verify::{Baseline, Patience, Proof, Verification};
use crate::notify::kubernetes::client::Cluster;
use crate::sys::exec;
use crate::sys::http;
use crate::sys::proc;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn examine(gate: &GateConfig, target: Option<&Target>, checks: &mut Checks<'_>) {
    if !gate.policy.reload {
        return checks.ok("reload", "nobody is to be told");
    }
    match &gate.reload {
        ReloadMethod::Nothing => checks.ok("reload", "nobody is to be told"),
        // Why there is no target was said before.
        ReloadMethod::Signal { signal, allow_uncaught } => {
            target.iter().for_each(|target| signalled(target, *signal, *allow_uncaught, checks));
        }
        ReloadMethod::Url(url) => match http::connect(url, PATIENCE).await {
            Ok(()) => checks.ok("reload", format!("the server of {} can be reached", http::shown(url))),
            Err(error) => {
                let message = format!("the server of {} cannot be reached: {error}", http::shown(url));
                let help = "the containers of a pod share `localhost`: name the port on which the application listens";
                checks.add("reload", Status::Fail, message, Some(help.into()));
            }
        },
        ReloadMethod::Command(words) => installed("reload", words, checks),
    }
    proven(gate, target, checks).await;
}

fn signalled(target: &Target, signal: Signal, allow_uncaught: bool, checks: &mut Checks<'_>) {
    let pid = target.pid();
    if let Err(target_error) = target.may_be_sent(signal) {
        let (message, help, _) = target_error.into_parts();
        let help = remedy::credentials(pid).map_or(help, |(own, theirs)| remedy::to_signal(own, theirs));
        return checks.add("signal", Status::Fail, message, Some(help));
    }
    match reload::is_taken(target, signal, allow_uncaught) {
        Ok(()) => checks.ok("signal", format!("pid {pid} may be sent {signal}, and takes it")),
        Err(target_error) => {
            let (message, help, _) = target_error.into_parts();
            checks.add("signal", Status::Fail, message, Some(help));
        }
    }
}

fn installed(check: &'static str, words: &[String], checks: &mut Checks<'_>) {
    let program = words.first().map(String::as_str).unwrap_or_default();
    if exec::is_installed(OsStr::new(program)) {
        return checks.ok(check, format!("`{program}` is there"));
    }
    let message = format!("`{program}` is not installed here, or not on the PATH");
    let help = "it runs in the gate's container: give that an image in which it is";
    checks.add(check, Status::Fail, message, Some(help.into()));
}

async fn proven(gate: &GateConfig, target: Option<&Target>, checks: &mut Checks<'_>) {
    match &gate.verification {
        Verification::Nothing => checks.ok("proof", "none is asked for"),
        Verification::Workers => {
            let Some(target) = target else { return };
            let (pid, workers) = (target.pid(), proc::children(target.pid()).len());
            if workers > 0 {
                return checks.ok("proof", format!("the workers of pid {pid} can be seen: {workers}"));
            }
            let message = format!("pid {pid} has no workers, and new ones are the proof");
            let help = "if it never has any, ask for another proof: `--verify-url URL`, or `--verify none`";
            checks.add("proof", Status::Fail, message, Some(help.into()));
        }
        Verification::Url(_) | Verification::Command(_) => {
            let patience = Patience::Limited(gate.verify_timeout.min(PATIENCE));
            let baseline = Baseline::now(None, &gate.verification);
            match gate.verification.prove(&baseline, &gate.selector, patience).await.0 {
                Proof::Missing { message, help } | Proof::Ineffective { message, help } => {
                    checks.add("proof", Status::Fail, message, Some(help))
                }
                Proof::Proven { message, .. } => checks.ok("proof", message),
                Proof::NotAsked => {}
            }
        }
    }
}

/// Whether the cluster takes Events.
pub(super) async fn announced(cluster: &Cluster, checks: &mut Checks<'_>) {
    let Err(event) = cluster.try_out().await else {
        return checks.ok("events", format!("Kubernetes (`{}`) takes Events", cluster.server));
    };
    let message = event.message.unwrap_or_default();
    let help = match () {
        () if !cluster.service_account.join("token").exists() => Some(format!(
            "no token is mounted in `{}`: `automountServiceAccountToken: true` in the pod's specification, and a service account \
             whose Role allows it",
            cluster.service_account.display()
        )),
        // An answer is the server's own.
        () if message.contains("it answered ") => event.help,
        () => Some("the server cannot be reached: a NetworkPolicy must let the pod reach it".into()),
    };
    checks.add("events", Status::Fail, message, help);
}
