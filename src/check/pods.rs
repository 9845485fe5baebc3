//! Findings about a pod with a gate that will not work in it, as `doctor` reports them in the pod. Pure.

use reload_gate_contract::{Code, Finding};

use crate::check::manifest::{Container, Pod};
use crate::config::GateConfig;
use crate::flow::reload::ReloadMethod;

const UNSHARED_PROCESSES: Code = Code::new("unshared-processes");
const OTHER_USER: Code = Code::new("other-user");
const NEVER_UPDATED: Code = Code::new("never-updated");

/// Returns the findings about a pod and the gates of one of its containers, without a place.
pub(super) fn findings(pod: &Pod, container: &Container, gates: &[GateConfig]) -> Vec<Finding> {
    let signals = gates.iter().any(|gate| matches!(gate.reload, ReloadMethod::Signal { .. }));
    let mut findings = Vec::new();
    if signals && !container.is_init {
        findings.extend(unshared(pod, container));
        findings.extend(other_users(pod, container));
    }
    findings.extend(never_updated(pod, container, gates));
    findings
}

/// Returns the finding that the gate cannot see the processes of the other containers ("Share Process Namespace between Containers in a
/// Pod" in Kubernetes' documentation).
fn unshared(pod: &Pod, gate: &Container) -> Option<Finding> {
    let message = format!("container `{}` signals a process, and the containers share no processes", gate.name);
    let help = "set `shareProcessNamespace: true` in the `spec` of the pod";
    let has_others = pod.containers.iter().any(|other| other.name != gate.name && !other.is_init);
    (has_others && !pod.shares_processes).then(|| Finding::warning(UNSHARED_PROCESSES, message).help(help))
}

/// Returns the findings about containers with another user: kill(2) needs the same user, or CAP_KILL.
fn other_users(pod: &Pod, gate: &Container) -> Vec<Finding> {
    let Some(own) = gate.user.as_deref().filter(|own| *own != "0" && !gate.may_kill) else { return Vec::new() };
    let others = pod.containers.iter().filter(|other| other.name != gate.name && !other.is_init);
    let others: Vec<_> =
        others.filter_map(|other| Some((other, other.user.as_deref().filter(|user| *user != own)?))).collect();
    // Of several applications one may be the target.
    let is_possible = pod
        .containers
        .iter()
        .any(|other| other.name != gate.name && !other.is_init && other.user.as_deref().is_none_or(|user| user == own));
    let finding = |(other, user): (&Container, &str)| {
        let message = format!(
            "container `{}` runs as user {own}, and may not signal `{}`, which runs as {user}",
            gate.name, other.name
        );
        Finding::warning(OTHER_USER, message)
            .help("give both the same `runAsUser`, or add the capability `KILL` to the gate")
    };
    if is_possible { Vec::new() } else { others.into_iter().map(finding).collect() }
}

/// Returns the findings about mounts of a watched volume with `subPath`, which the kubelet never updates ("Mounted ConfigMaps are updated
/// automatically" in Kubernetes' documentation).
fn never_updated(pod: &Pod, container: &Container, gates: &[GateConfig]) -> Vec<Finding> {
    let is_watched = |path: &str| {
        let watched = gates.iter().flat_map(|gate| &gate.sources).map(|source| source.path.as_path());
        watched.into_iter().any(|watched| watched.starts_with(path) || std::path::Path::new(path).starts_with(watched))
    };
    let watched = container.mounts.iter().filter(|mount| is_watched(&mount.path));
    let volumes: Vec<&str> = watched.map(|mount| mount.volume.as_str()).collect();
    let is_projected = |name: &str| {
        volumes.contains(&name) && pod.volumes.iter().any(|volume| volume.name == name && volume.projections.is_some())
    };
    let mut findings = Vec::new();
    for other in &pod.containers {
        for mount in other.mounts.iter().filter(|mount| !mount.sub_path.is_empty() && is_projected(&mount.volume)) {
            let message = format!(
                "container `{}` mounts `{}` of the watched volume `{}` with `subPath`, which is never updated",
                other.name, mount.sub_path, mount.volume
            );
            let help = "mount the whole volume as a directory, and let the application read the file there";
            findings.push(Finding::warning(NEVER_UPDATED, message).help(help));
        }
    }
    findings
}
