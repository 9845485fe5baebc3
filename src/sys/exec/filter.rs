//! Walls that hold for every checker, whatever its user: it leaves other processes alone. IO: restricts the calling process, for
//! good.
//!
//! A checker that runs as root, or as the gate's user, could otherwise trace the gate, signal it, change its limits and priority, read
//! its keys, or type into a terminal that it shares. Nothing of this is needed to read a configuration.

use std::collections::BTreeMap;
use std::io;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use landlock::{AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _, Scope};
use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Comparison, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::again::{SetupStep, step};
use super::confine::Confinement;

/// System calls for other processes' memory, descriptors and execution, and for the kernel's keys (keyrings(7)); and io_uring(7), whose
/// operations no filter sees.
const FORBIDDEN: [libc::c_long; 10] = [
    libc::SYS_add_key,
    libc::SYS_io_uring_setup,
    libc::SYS_kcmp,
    libc::SYS_keyctl,
    libc::SYS_pidfd_getfd,
    libc::SYS_process_madvise,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_request_key,
];

/// System calls about a process, with the position of the argument that names it; 0 is the calling process.
const ABOUT_ITSELF: [(libc::c_long, u8); 9] = [
    (libc::SYS_ioprio_set, 1),
    (libc::SYS_migrate_pages, 0),
    (libc::SYS_move_pages, 0),
    (libc::SYS_prlimit64, 0),
    (libc::SYS_sched_setaffinity, 0),
    (libc::SYS_sched_setattr, 0),
    (libc::SYS_sched_setparam, 0),
    (libc::SYS_sched_setscheduler, 0),
    (libc::SYS_setpriority, 1),
];

/// Requests of ioctl(2) that put characters into the input of a terminal (TIOCSTI and TIOCLINUX, ioctl_tty(2) and ioctl_console(2)).
const TERMINAL_INPUT: [u64; 2] = [0x5412, 0x541C];

/// The filter of system calls, in the language of the kernel; `None` on an architecture that has none.
static FILTER: LazyLock<Result<Option<BpfProgram>, String>> =
    LazyLock::new(|| filter().map_err(|error| error.to_string()));

/// A filter that lets no socket be made, except those that ask the kernel for addresses (netlink(7)).
static NETWORK: LazyLock<Result<Option<BpfProgram>, String>> =
    LazyLock::new(|| network().map_err(|error| error.to_string()));

/// System calls that change mounts, or make file systems that nothing limits.
const MOUNTS: [libc::c_long; 11] = [
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_pivot_root,
    libc::SYS_setns,
    libc::SYS_umount2,
];

/// Filters that let no file system be mounted and no user namespace be made, in which a command has all capabilities (user_namespaces(7)).
static NAMESPACES: LazyLock<[Result<Option<BpfProgram>, String>; 2]> =
    LazyLock::new(|| [namespaces(), clone3()].map(|filter| filter.map_err(|error| error.to_string())));

/// Makes ready what does not depend on the command.
pub(super) fn prepare() {
    let _ = LazyLock::force(&FILTER);
    let _ = LazyLock::force(&NAMESPACES);
    let _ = Confinement::version();
}

/// Raises the walls. The process must have given up new privileges.
pub(super) fn apply() -> SetupStep {
    step(separate().map_err(io::Error::other), || "separate the command from other processes".into())?;
    forbid_calls()
}

/// Filters the system calls of this process, unless they are filtered already. The process must have given up new privileges.
pub(super) fn forbid_calls() -> SetupStep {
    /// A child has the filters of its parent (seccomp(2)).
    static IS_FILTERED: AtomicBool = AtomicBool::new(false);
    if !IS_FILTERED.load(Ordering::Relaxed) {
        step(apply_filter(&FILTER), || "filter the system calls of the command".into())?;
        IS_FILTERED.store(true, Ordering::Relaxed);
    }
    Ok(())
}

/// Leaves the command no file system but those of its view. The process must have given up new privileges.
pub(super) fn forbid_mounts() -> SetupStep {
    NAMESPACES.iter().try_for_each(|filter| step(apply_filter(filter), || "forbid mounts to the command".into()))
}

fn apply_filter(filter: &Result<Option<BpfProgram>, String>) -> io::Result<()> {
    match filter {
        Ok(Some(program)) => seccompiler::apply_filter(program).map_err(io::Error::other),
        Ok(None) => Ok(()),
        Err(error) => Err(io::Error::other(error.clone())),
    }
}

/// Returns true if the network can be cut off on this architecture.
pub(super) fn can_cut_network() -> bool {
    matches!(&*NETWORK, Ok(Some(_)))
}

/// Leaves the command no way to other hosts and processes: it can make no socket. The process must have given up new privileges.
pub(super) fn cut_network() -> SetupStep {
    step(apply_filter(&NETWORK), || "cut off the network of the command".into())
}

/// Enters a domain of Landlock, which cannot trace processes outside of it, nor from Linux 6.12 on signal them, nor connect to
/// abstract sockets outside of it (the kernel's Documentation/userspace-api/landlock.rst). It leaves files alone; before 6.12 a
/// domain needs some rule about files, and that no devices can be made does no harm.
fn separate() -> Result<(), landlock::RulesetError> {
    let rules = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
    let rules = if Confinement::version() >= Some(6) {
        rules.scope(Scope::Signal | Scope::AbstractUnixSocket)?
    } else {
        rules.handle_access(AccessFs::MakeChar | AccessFs::MakeBlock)?
    };
    rules.create()?.restrict_self()?;
    Ok(())
}

fn network() -> Result<Option<BpfProgram>, seccompiler::BackendError> {
    let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else { return Ok(None) };
    let netlink = u64::from(libc::AF_NETLINK.unsigned_abs());
    let other = SeccompRule::new(vec![SeccompCondition::new(0, Length::Dword, Comparison::Ne, netlink)?])?;
    // As on a machine without that protocol, for which programs are prepared.
    let denied = SeccompAction::Errno(libc::EAFNOSUPPORT.unsigned_abs());
    let rules = BTreeMap::from([(libc::SYS_socket, vec![other])]);
    SeccompFilter::new(rules, SeccompAction::Allow, denied, arch)?.try_into().map(Some)
}

fn namespaces() -> Result<Option<BpfProgram>, seccompiler::BackendError> {
    let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else { return Ok(None) };
    let user = u64::from(libc::CLONE_NEWUSER.unsigned_abs());
    let new_user = || {
        let has_flag = SeccompCondition::new(0, Length::Dword, Comparison::MaskedEq(user), user)?;
        Ok::<_, seccompiler::BackendError>(vec![SeccompRule::new(vec![has_flag])?])
    };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = MOUNTS.iter().map(|call| (*call, Vec::new())).collect();
    rules.insert(libc::SYS_clone, new_user()?);
    rules.insert(libc::SYS_unshare, new_user()?);
    let denied = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, denied, arch)?.try_into().map(Some)
}

/// A filter reads no memory, where this call has its flags. Programs use clone(2) where a kernel does not have it.
fn clone3() -> Result<Option<BpfProgram>, seccompiler::BackendError> {
    let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else { return Ok(None) };
    let rules = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let unknown = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, unknown, arch)?.try_into().map(Some)
}

fn filter() -> Result<Option<BpfProgram>, seccompiler::BackendError> {
    let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else { return Ok(None) };
    let condition = |argument, length, comparison, value| {
        SeccompRule::new(vec![SeccompCondition::new(argument, length, comparison, value)?])
    };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = FORBIDDEN.iter().map(|call| (*call, Vec::new())).collect();
    for (call, argument) in ABOUT_ITSELF {
        rules.insert(call, vec![condition(argument, Length::Dword, Comparison::Ne, 0)?]);
    }
    let requests = TERMINAL_INPUT.map(|request| condition(1, Length::Dword, Comparison::Eq, request));
    rules.insert(libc::SYS_ioctl, requests.into_iter().collect::<Result<_, _>>()?);
    // A socket to the hypervisor, and so to what else runs on the machine, which a network namespace does not cut off (vsock(7)).
    let to_hypervisor = condition(0, Length::Dword, Comparison::Eq, u64::from(libc::AF_VSOCK.unsigned_abs()))?;
    rules.insert(libc::SYS_socket, vec![to_hypervisor]);
    let denied = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, denied, arch)?.try_into().map(Some)
}
