//! What to add to a pod's specification. What is missing follows from who the gate is, and who the application.
//!
//! The rules are the kernel's: kill(2) asks for the same user or CAP_KILL; `/proc/PID/root` (ptrace(2), "Ptrace access mode
//! checking") for the same user and group and capabilities that cover the other's, or else CAP_SYS_PTRACE; chroot(2) for
//! CAP_SYS_CHROOT. In Kubernetes a container that does not run as root has no effective capabilities, whatever `add` says.

use rustix::thread::CapabilitySet;

use crate::sys::proc::{self, ProcessCredentials};

/// How many process names are shown.
const NAMES: usize = 8;
/// What judging in the root of a process of another user takes, besides what that user has.
const AS_ANOTHER: [CapabilitySet; 4] =
    [CapabilitySet::SYS_PTRACE, CapabilitySet::SYS_CHROOT, CapabilitySet::SETUID, CapabilitySet::SETGID];
/// What may be added under the baseline Pod Security Standard, which is what container runtimes give by default without `NET_RAW`.
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
/// The way without any capability.
const OWN_IMAGE: &str = "let the gate run in the application's own image (`reload-gate install DIR` in an init container puts it there) \
                         and judge with `--root local`, which takes no capability at all";

/// The way with fewer capabilities on both sides.
const FEWER: &str = "let the application have no more than it needs (`drop: [ALL]`, and `add` what it needs), and the gate the same and \
                     SYS_CHROOT, as in `deploy/publish`";

/// Who the gate is, and who the process; `None` when that has ended.
pub(super) fn credentials(pid: i32) -> Option<(ProcessCredentials, ProcessCredentials)> {
    Some((proc::credentials(proc::own())?, proc::credentials(pid)?))
}

/// Who the gate is, in words.
pub(super) fn identity() -> String {
    let Some(own) = proc::credentials(proc::own()) else { return "who this is cannot be read in /proc".into() };
    let capabilities = if own.capabilities.is_empty() { "none".into() } else { names(own.capabilities) };
    let privileges = if own.no_new_privileges { "; no new privileges" } else { "" };
    let seccomp = if own.seccomp { "; a seccomp filter" } else { "" };
    format!("uid {}, gid {}; capabilities: {capabilities}{privileges}{seccomp}", own.uid, own.gid)
}

/// What signalling takes.
pub(super) fn to_signal(own: ProcessCredentials, theirs: ProcessCredentials) -> String {
    if own.uid == 0 {
        return add(CapabilitySet::KILL);
    }
    format!("run as the application's user: `securityContext.runAsUser: {}`", theirs.uid)
}

/// What judging where the process is takes, as it would.
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
        // What it lacks then depends on what that is given.
        (_, 0) => format!(
            "{same}, and ask again: as root it has the capabilities that a runtime gives by default, unless they are dropped"
        ),
        _ if !other_root => same,
        (0, _) => format!("{}; or {OWN_IMAGE}", add(as_another - own.capabilities)),
        _ => format!("{OWN_IMAGE}; or `securityContext.runAsUser: 0` and {}", add(as_another | CapabilitySet::KILL)),
    }
}

/// What a checker may be missing that was started where the process is, and was denied something there.
pub(super) fn to_run(pid: i32, said: &str) -> Option<String> {
    let denied = ["Permission denied", "not permitted"].iter().any(|denied| said.contains(denied));
    let (own, theirs) = credentials(pid).filter(|_| denied)?;
    let missing = theirs.capabilities - own.capabilities;
    (!missing.is_empty()).then(|| format!("the checker has no capability that the gate has not: {}", add(missing)))
}

/// What it takes to see a process that was not found.
pub(super) fn to_be_seen() -> String {
    let first = proc::comm(1);
    let own = proc::comm(proc::own());
    let sees_all =
        proc::credentials(proc::own()).is_some_and(|own| own.capabilities.contains(CapabilitySet::SYS_PTRACE));
    match () {
        () if proc::own() == 1 || first == own => {
            "the gate sees the processes of its own container alone: `spec.shareProcessNamespace: true`".into()
        }
        () if !sees_all && proc::hides_others() => {
            "/proc hides the processes of other users (`hidepid`): run as the application's user, \
             `securityContext.runAsUser`"
                .into()
        }
        () => format!(
            "the processes that can be seen are called {}; name the right one with `--process`, or start the application",
            other_names().join(", ")
        ),
    }
}

/// The names of processes that are not the gate's.
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

/// What it takes to have these, which an application that is root has besides: within the baseline standard, or with fewer there.
fn cover(missing: CapabilitySet) -> String {
    let beyond = BASELINE.into_iter().fold(missing, |rest, one| rest - one);
    match () {
        () if missing == beyond && !missing.is_empty() => {
            format!("the application has {}, which the gate should not have: {FEWER}", names(beyond))
        }
        () if !beyond.is_empty() && names(beyond) == "ALL" => {
            format!("the application has every capability, which the gate should not have: {FEWER}")
        }
        () if !beyond.is_empty() => format!(
            "{} for the gate, and `securityContext.capabilities.drop: [{}]` for the application; or {FEWER}",
            add(missing - beyond),
            names(beyond)
        ),
        () if (missing - CapabilitySet::SYS_CHROOT).is_empty() => add(missing),
        () => format!("{}; or {FEWER}", add(missing)),
    }
}

fn add(capabilities: CapabilitySet) -> String {
    if capabilities.is_empty() {
        return "a seccomp profile and a security module that allow it: nothing is missing otherwise".into();
    }
    format!("`securityContext.capabilities.add: [{}]`", names(capabilities))
}

/// Capabilities as Kubernetes writes them: without `CAP_`.
fn names(capabilities: CapabilitySet) -> String {
    // SYS_ADMIN alone would do what all of them do: whoever has it is a privileged container, or no container at all.
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

    fn who(uid: u32, capabilities: &[CapabilitySet]) -> ProcessCredentials {
        let capabilities = capabilities.iter().fold(CapabilitySet::empty(), |all, one| all | *one);
        ProcessCredentials { uid, gid: uid, capabilities, no_new_privileges: false, seccomp: false }
    }

    #[test]
    fn what_signalling_takes() {
        let cases = [
            (who(0, &[]), who(101, &[]), "`securityContext.capabilities.add: [KILL]`"),
            (who(65532, &[]), who(101, &[]), "run as the application's user: `securityContext.runAsUser: 101`"),
            (who(65532, &[]), who(0, &DEFAULT), "run as the application's user: `securityContext.runAsUser: 0`"),
        ];
        for (own, theirs, expected) in cases {
            assert_eq!(to_signal(own, theirs), expected);
        }
    }

    #[test]
    fn what_entering_a_root_takes() {
        let as_root = "`securityContext: {runAsUser: 0, runAsGroup: 0}`";
        let cases = [
            // A root that lacks what the application has, all of it or one.
            (
                who(0, &[]),
                who(0, &DEFAULT),
                true,
                format!("`securityContext.capabilities.add: [CHOWN, KILL, SYS_CHROOT]`; or {FEWER}"),
            ),
            // Nobody is told to give the gate what the baseline standard forbids.
            (
                who(0, &[]),
                who(0, &[CapabilitySet::CHOWN, CapabilitySet::NET_RAW]),
                true,
                format!(
                    "`securityContext.capabilities.add: [CHOWN, SYS_CHROOT]` for the gate, and \
                     `securityContext.capabilities.drop: [NET_RAW]` for the application; or {FEWER}"
                ),
            ),
            (
                who(0, &DEFAULT),
                who(0, &[CapabilitySet::NET_RAW]),
                true,
                format!("the application has NET_RAW, which the gate should not have: {FEWER}"),
            ),
            (who(0, &DEFAULT[..2]), who(0, &DEFAULT), true, "`securityContext.capabilities.add: [SYS_CHROOT]`".into()),
            (who(0, &[]), who(0, &[]), true, "`securityContext.capabilities.add: [SYS_CHROOT]`".into()),
            // Another user than root.
            (
                who(101, &[]),
                who(0, &DEFAULT),
                true,
                format!(
                    "{as_root}, and ask again: as root it has the capabilities that a runtime gives by default, unless they are dropped"
                ),
            ),
            (who(101, &[]), who(0, &[]), false, as_root.into()),
            // An application that is not root: its user is enough in the same root, and never in another.
            (who(5, &[]), who(101, &[]), false, "`securityContext: {runAsUser: 101, runAsGroup: 101}`".into()),
            (
                who(0, &[&DEFAULT[..], &[CapabilitySet::DAC_OVERRIDE]].concat()),
                who(101, &[]),
                true,
                format!("`securityContext.capabilities.add: [SETGID, SETUID, SYS_PTRACE]`; or {OWN_IMAGE}"),
            ),
            (
                who(101, &[]),
                who(101, &[]),
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
