//! Remedies: the lines that a pod's specification lacks. They follow from the credentials of the gate and of the application.
//!
//! The rules are the kernel's: kill(2) asks for the same user or CAP_KILL; `/proc/PID/root` (ptrace(2), "Ptrace access mode
//! checking") for the same user and group and capabilities that cover the other's, or else CAP_SYS_PTRACE; chroot(2) for
//! CAP_SYS_CHROOT. In Kubernetes a container that does not run as root has no effective capabilities, whatever `add` says.

use rustix::thread::CapabilitySet;

use crate::sys::proc::{self, ProcessCredentials};

/// Number of process names in a message.
const NAMES: usize = 8;
/// Capabilities for commands in the root of another user's process, besides those of that user.
const AS_ANOTHER: [CapabilitySet; 4] =
    [CapabilitySet::SYS_PTRACE, CapabilitySet::SYS_CHROOT, CapabilitySet::SETUID, CapabilitySet::SETGID];
/// Capabilities that the baseline Pod Security Standard allows: those that container runtimes give by default, without `NET_RAW`.
const BASELINE: [CapabilitySet; 13] = [
    CapabilitySet::AUDIT_WRITE,
    CapabilitySet::CHOWN,
    CapabilitySet::DAC_OVERRIDE,
    CapabilitySet::FOWNER,
    CapabilitySet::FSETID,
    CapabilitySet::KILL,
    CapabilitySet::MKNOD,
    CapabilitySet::NET_BIND_SERVICE,
    CapabilitySet::SETFCAP,
    CapabilitySet::SETGID,
    CapabilitySet::SETPCAP,
    CapabilitySet::SETUID,
    CapabilitySet::SYS_CHROOT,
];
/// Remedy without any capability.
const OWN_IMAGE: &str = "run the gate in the application's own image (`reload-gate install DIR` in an init container puts it there) \
                         with `--root local`, which needs no capability";

/// Remedy with fewer capabilities on both sides.
const FEWER: &str = "give the application only the capabilities that it needs (`drop: [ALL]`, and `add`), and the gate the same and \
                     SYS_CHROOT, as in `deploy/publish`";

/// Returns the credentials of the gate and of the process; `None` if the process has ended.
pub(super) fn credentials(pid: i32) -> Option<(ProcessCredentials, ProcessCredentials)> {
    Some((proc::credentials(proc::own())?, proc::credentials(pid)?))
}

/// Describes the credentials of the gate.
pub(super) fn identity() -> String {
    let Some(own) = proc::credentials(proc::own()) else {
        return "the credentials of the gate cannot be read in /proc".into();
    };
    let capabilities = if own.capabilities.is_empty() { "none".into() } else { names(own.capabilities) };
    let privileges = if own.no_new_privileges { "; no new privileges" } else { "" };
    let seccomp = if own.seccomp { "; a seccomp filter" } else { "" };
    format!("uid {}, gid {}; capabilities: {capabilities}{privileges}{seccomp}", own.uid, own.gid)
}

/// Returns the remedy for a signal that is not permitted.
pub(super) fn to_signal(own: ProcessCredentials, theirs: ProcessCredentials) -> String {
    if own.uid == 0 {
        return add(CapabilitySet::KILL);
    }
    format!("run as the application's user: `securityContext.runAsUser: {}`", theirs.uid)
}

/// Returns the remedy for commands in the root and as the user of the process.
pub(super) fn to_enter(own: ProcessCredentials, theirs: ProcessCredentials, other_root: bool) -> String {
    let chroot = if other_root { CapabilitySet::SYS_CHROOT } else { CapabilitySet::empty() };
    let same = format!("`securityContext: {{runAsUser: {}, runAsGroup: {}}}`", theirs.uid, theirs.gid);
    let covering = theirs.capabilities | chroot;
    // `/proc/PID/environ` is a file that its owner alone may read (`proc_pid_environ(5)`).
    let reads = own.uid == 0 && own.capabilities.contains(CapabilitySet::DAC_OVERRIDE);
    let read = if reads { CapabilitySet::empty() } else { CapabilitySet::DAC_READ_SEARCH };
    let as_another = AS_ANOTHER.into_iter().fold(read, |all, one| all | one) | covering;
    match (own.uid, theirs.uid) {
        (0, 0) => cover(covering - own.capabilities),
        (_, 0) if covering.is_empty() => same,
        // The missing capabilities then depend on those that root gets.
        (_, 0) => format!(
            "{same}, and run `doctor` again: as root the gate has the default capabilities of the runtime, unless they are dropped"
        ),
        _ if !other_root => same,
        (0, _) => format!("{}; or {OWN_IMAGE}", add(as_another - own.capabilities)),
        _ => format!("{OWN_IMAGE}; or `securityContext.runAsUser: 0` and {}", add(as_another | CapabilitySet::KILL)),
    }
}

/// Returns the remedy for a checker that was denied something in the root of the process.
pub(super) fn to_run(pid: i32, reason: &str) -> Option<String> {
    if !["Permission denied", "not permitted"].iter().any(|denied| reason.contains(denied)) {
        return None;
    }
    let (own, theirs) = credentials(pid)?;
    let missing = theirs.capabilities - own.capabilities;
    (!missing.is_empty())
        .then(|| format!("give the gate the missing capabilities, which its checker inherits: {}", add(missing)))
}

/// Returns the remedy for a process that was not found.
pub(super) fn to_find() -> String {
    let first = proc::comm(1);
    let own = proc::comm(proc::own());
    let sees_all =
        proc::credentials(proc::own()).is_some_and(|own| own.capabilities.contains(CapabilitySet::SYS_PTRACE));
    if proc::own() == 1 || first == own {
        "set `spec.shareProcessNamespace: true`: the gate sees only the processes of its own container".into()
    } else if !sees_all && proc::hides_others() {
        "run as the application's user, `securityContext.runAsUser`: /proc hides the processes of other users (`hidepid`)".into()
    } else {
        format!(
            "start the application, or name its process with `--process`; the visible processes are {}",
            other_names().join(", ")
        )
    }
}

/// Names of the visible processes, without those of the gate.
fn other_names() -> Vec<String> {
    let others = proc::pids().filter_map(proc::stat).filter(|stat| !proc::is_own(stat));
    let mut names: Vec<String> = others.map(|stat| format!("`{}`", stat.comm)).collect();
    names.sort();
    names.dedup();
    if names.len() > NAMES {
        names.truncate(NAMES);
        names.push("…".into());
    }
    names
}

/// Returns the remedy for capabilities of a root application that the gate lacks: within the baseline standard, or with fewer
/// capabilities of the application.
fn cover(missing: CapabilitySet) -> String {
    let beyond = BASELINE.into_iter().fold(missing, |rest, one| rest - one);
    if missing == beyond && !missing.is_empty() {
        format!("{FEWER}: the application has {}, which the gate should not have", names(beyond))
    } else if !beyond.is_empty() && names(beyond) == "ALL" {
        format!("{FEWER}: the application has every capability, which the gate should not have")
    } else if !beyond.is_empty() {
        format!(
            "{} for the gate, and `securityContext.capabilities.drop: [{}]` for the application; or {FEWER}",
            add(missing - beyond),
            names(beyond)
        )
    } else if (missing - CapabilitySet::SYS_CHROOT).is_empty() {
        add(missing)
    } else {
        format!("{}; or {FEWER}", add(missing))
    }
}

fn add(capabilities: CapabilitySet) -> String {
    if capabilities.is_empty() {
        return "allow it in the seccomp profile and the security module: no capability is missing".into();
    }
    format!("`securityContext.capabilities.add: [{}]`", names(capabilities))
}

/// Capabilities as Kubernetes writes them: without `CAP_`.
fn names(capabilities: CapabilitySet) -> String {
    // A process with these is in a privileged container or in none, and has all the others.
    if capabilities.contains(CapabilitySet::SYS_ADMIN | CapabilitySet::SYS_MODULE) {
        return "ALL".into();
    }
    let known = capabilities.iter_names().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
    known.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: [CapabilitySet; 3] = [CapabilitySet::CHOWN, CapabilitySet::KILL, CapabilitySet::SYS_CHROOT];

    fn user(uid: u32, capabilities: &[CapabilitySet]) -> ProcessCredentials {
        let capabilities = capabilities.iter().fold(CapabilitySet::empty(), |all, one| all | *one);
        ProcessCredentials { uid, gid: uid, capabilities, no_new_privileges: false, seccomp: false }
    }

    #[test]
    fn a_signal_needs_the_same_user_or_a_capability() {
        let cases = [
            (user(0, &[]), user(101, &[]), "`securityContext.capabilities.add: [KILL]`"),
            (user(65532, &[]), user(101, &[]), "run as the application's user: `securityContext.runAsUser: 101`"),
            (user(65532, &[]), user(0, &DEFAULT), "run as the application's user: `securityContext.runAsUser: 0`"),
        ];
        for (own, theirs, expected) in cases {
            assert_eq!(to_signal(own, theirs), expected);
        }
    }

    #[test]
    fn the_root_of_a_root_application_needs_its_capabilities() {
        let cases = [
            // Root without all or one of the application's capabilities.
            (
                user(0, &[]),
                user(0, &DEFAULT),
                true,
                format!("`securityContext.capabilities.add: [CHOWN, KILL, SYS_CHROOT]`; or {FEWER}"),
            ),
            // No remedy gives the gate a capability that the baseline standard forbids.
            (
                user(0, &[]),
                user(0, &[CapabilitySet::CHOWN, CapabilitySet::NET_RAW]),
                true,
                format!(
                    "`securityContext.capabilities.add: [CHOWN, SYS_CHROOT]` for the gate, and \
                     `securityContext.capabilities.drop: [NET_RAW]` for the application; or {FEWER}"
                ),
            ),
            (
                user(0, &DEFAULT),
                user(0, &[CapabilitySet::NET_RAW]),
                true,
                format!("{FEWER}: the application has NET_RAW, which the gate should not have"),
            ),
            (
                user(0, &DEFAULT[..2]),
                user(0, &DEFAULT),
                true,
                "`securityContext.capabilities.add: [SYS_CHROOT]`".into(),
            ),
            (user(0, &[]), user(0, &[]), true, "`securityContext.capabilities.add: [SYS_CHROOT]`".into()),
        ];
        for (own, theirs, other_root, expected) in cases {
            assert_eq!(to_enter(own, theirs, other_root), expected);
        }
    }

    #[test]
    fn another_user_than_root_needs_the_same_user_or_another_image() {
        let as_root = "`securityContext: {runAsUser: 0, runAsGroup: 0}`";
        let cases = [
            (
                user(101, &[]),
                user(0, &DEFAULT),
                true,
                format!(
                    "{as_root}, and run `doctor` again: as root the gate has the default capabilities of the runtime, unless they are dropped"
                ),
            ),
            (user(101, &[]), user(0, &[]), false, as_root.into()),
            // An application that is not root: its user is enough in the same root, and never in another.
            (user(5, &[]), user(101, &[]), false, "`securityContext: {runAsUser: 101, runAsGroup: 101}`".into()),
            (
                user(0, &[&DEFAULT[..], &[CapabilitySet::DAC_OVERRIDE]].concat()),
                user(101, &[]),
                true,
                format!("`securityContext.capabilities.add: [SETGID, SETUID, SYS_PTRACE]`; or {OWN_IMAGE}"),
            ),
            (
                user(101, &[]),
                user(101, &[]),
                true,
                format!(
                    "{OWN_IMAGE}; or `securityContext.runAsUser: 0` and `securityContext.capabilities.add: [DAC_READ_SEARCH, KILL, \
                     SETGID, SETUID, SYS_CHROOT, SYS_PTRACE]`"
                ),
            ),
        ];
        for (own, theirs, other_root, expected) in cases {
            assert_eq!(to_enter(own, theirs, other_root), expected);
        }
    }
}
