//! Facts about processes. IO: reads /proc.
//!
//! Facts are those of proc(5): a command name is cut at 15 bytes (`TASK_COMM_LEN` in `include/linux/sched.h`), start times
//! are in clock ticks since boot (`proc_pid_stat(5)`), a replaced executable is shown with a suffix (`proc_pid_exe(5)`).

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Read as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use procfs::process::{Process, Stat, Status};
use procfs::{FromRead as _, ProcError};
use rustix::thread::CapabilitySet;

use super::shortage::unless_short;
use whole::noted;

pub mod locks;
mod newest;
mod options;
mod script;
mod signals;
mod whole;

pub use newest::{NewestProcess, have_ended};
pub use options::option_values;
pub use script::{is_interpreter, script};
pub use signals::{SignalFiles, SignalState};
pub use whole::whole;

/// Rights that a process has from the file of its program, and not from the user who started it (execve(2)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExecRights {
    /// Its user or group: the file has the set-user-ID or set-group-ID bit, or the process is of two users and was so when it executed
    /// the file.
    pub ids: bool,
    /// Capabilities (capabilities(7), "File capabilities").
    pub capabilities: bool,
}

/// The rights that process `pid`, of which the status is known, has from the file of its program.
///
/// # Errors
/// When the file may not be seen.
pub fn exec_rights(pid: i32, status: &Status) -> std::io::Result<ExecRights> {
    let exe = format!("/proc/{pid}/exe");
    let mode = rustix::fs::stat(&exe)?.st_mode;
    let attribute = unless_short(rustix::fs::getxattr(&exe, "security.capability", &mut [0_u8; 0][..]))?;
    // What root started may have given up its effective user alone, as varnishd's manager does.
    let is_of_two = status.ruid != 0 && (status.ruid != status.euid || status.rgid != status.egid);
    let ids = mode & 0o6000 != 0 || (is_of_two && was_of_two(pid)?);
    Ok(ExecRights { ids, capabilities: attribute.is_some() })
}

/// Returns true if process `pid` had two users or groups when it executed its program, so that its caller did not have the rights that it
/// has. Squid takes two users later, by setresuid(2), and its words and environment are those of root, which started it.
///
/// The kernel tells the program by AT_SECURE (getauxval(3); `cap_bprm_creds_from_file()` in `security/commoncap.c`).
fn was_of_two(pid: i32) -> std::io::Result<bool> {
    const AT_SECURE: u64 = 23;
    let vector = Process::new(pid).and_then(|process| process.auxv()).map_err(io_error)?;
    Ok(vector.get(&AT_SECURE) != Some(&0))
}

/// Returns false only if process `pid` certainly has the rights of this user alone.
#[must_use]
pub fn may_be_of_another_user(pid: i32, uid: u32) -> bool {
    let Ok(status) = Process::new(pid).and_then(|process| process.status()) else { return true };
    status.euid != uid || exec_rights(pid, &status).is_ok_and(|rights| rights.ids)
}

/// A command name in /proc has at most this many bytes.
pub const COMM_LEN: usize = 15;

/// Resolution of start times (`USER_HZ` in `include/asm-generic/param.h` of the kernel is 100).
pub const TICK: Duration = Duration::from_millis(10);

/// A process at one moment of its life: the pair says which, although process ids are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// The process id.
    pub pid: i32,
    /// When it was forked, in clock ticks since boot.
    pub start: u64,
}

impl Identity {
    /// Returns true while that very process is alive (and no zombie), and where that cannot be seen for want of descriptors or memory.
    #[must_use]
    pub fn is_alive(self) -> bool {
        whole(|| stat(self.pid)).map_or(true, |stat| stat.is_some_and(|stat| stat.starttime == self.start))
    }

    /// The time at which it was forked, cut to a whole tick. The time for which the machine slept since then counts as its age, so
    /// that it is never taken for younger than it is.
    #[must_use]
    pub fn started_at(self) -> Option<Instant> {
        use rustix::time::{ClockId, clock_gettime};
        let now = Instant::now();
        let uptime = clock_gettime(ClockId::Boottime);
        let uptime = Duration::new(uptime.tv_sec.try_into().ok()?, uptime.tv_nsec.try_into().ok()?);
        now.checked_sub(uptime.checked_sub(self.since_boot()?)?)
    }

    /// The time of day at which it was forked, cut to a whole tick.
    #[must_use]
    pub fn started(self) -> Option<SystemTime> {
        use rustix::time::{ClockId, clock_gettime};
        let uptime = clock_gettime(ClockId::Boottime);
        let uptime = Duration::new(uptime.tv_sec.try_into().ok()?, uptime.tv_nsec.try_into().ok()?);
        SystemTime::now().checked_sub(uptime)?.checked_add(self.since_boot()?)
    }

    fn since_boot(self) -> Option<Duration> {
        let ticks_per_second = rustix::param::clock_ticks_per_second().max(1);
        let nanoseconds = u128::from(self.start) * 1_000_000_000 / u128::from(ticks_per_second);
        Some(Duration::from_nanos(nanoseconds.try_into().ok()?))
    }
}

impl From<&Stat> for Identity {
    fn from(stat: &Stat) -> Self {
        Self { pid: stat.pid, start: stat.starttime }
    }
}

/// Credentials of a process, as far as the kernel checks them for ptrace(2) and kill(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessCredentials {
    /// The effective user.
    pub uid: u32,
    /// The effective group.
    pub gid: u32,
    /// The permitted capabilities.
    pub capabilities: CapabilitySet,
    /// It can never gain more privileges (PR_SET_NO_NEW_PRIVS(2const)).
    pub no_new_privileges: bool,
    /// Its system calls are filtered (seccomp(2)).
    pub seccomp: bool,
}

/// Returns the credentials of a process; `None` when it has ended.
#[must_use]
pub fn credentials(pid: i32) -> Option<ProcessCredentials> {
    let status = Process::new(pid).and_then(|process| process.status()).ok()?;
    Some(ProcessCredentials {
        uid: status.euid,
        gid: status.egid,
        capabilities: CapabilitySet::from_bits_truncate(status.capprm),
        no_new_privileges: status.nonewprivs == Some(1),
        seccomp: status.seccomp.is_some_and(|mode| mode > 0),
    })
}

/// Every process id there is.
pub fn pids() -> impl Iterator<Item = i32> {
    let entries = noted(std::fs::read_dir("/proc")).into_iter().flatten();
    entries.filter_map(noted).filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The status line of a living process.
#[must_use]
pub fn stat(pid: i32) -> Option<Stat> {
    let stat = parsed(contents(&format!("/proc/{pid}/stat"), &mut [0; 1024])?)?;
    (!matches!(stat.state, 'Z' | 'X' | 'x')).then_some(stat)
}

/// Parses a status line. The library panics at one of another form than the kernel's: `PID (NAME) STATE …` (`proc_pid_stat(5)`).
fn parsed(line: &[u8]) -> Option<Stat> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let end = line.iter().rposition(|byte| *byte == b')')?;
    let has_name = digits > 0 && line[digits..].starts_with(b" (") && digits + 1 < end;
    let has_state = matches!(&line[end + 1..], [b' ', state, ..] if state.is_ascii_alphabetic());
    if has_name && has_state { Stat::from_read(line).ok() } else { None }
}

/// The number of times that it has waited for something (`voluntary_ctxt_switches` of proc_pid_status(5)); 0 if it has ended.
#[must_use]
pub fn waits(pid: i32) -> u64 {
    let status = Process::new(pid).and_then(|process| process.status());
    status.ok().and_then(|status| status.voluntary_ctxt_switches).unwrap_or_default()
}

/// The command name.
#[must_use]
pub fn comm(pid: i32) -> Vec<u8> {
    let mut buffer = [0; 64];
    let comm = contents(&format!("/proc/{pid}/comm"), &mut buffer).unwrap_or_default();
    comm.strip_suffix(b"\n").unwrap_or(comm).to_vec()
}

/// Reads a file of /proc that is shorter than the buffer: one read gives all of it. Reading every process is most of the time
/// between a change and its signal, so system calls are saved here.
fn contents<'a>(path: &str, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let length = noted(std::fs::File::open(path).and_then(|mut file| file.read(buffer)))?;
    Some(&buffer[..length])
}

/// Returns the open files of a process: the path of each in /proc, and that of the file.
///
/// # Errors
/// Without the permission to look, and when it has ended.
pub fn open_files(pid: i32) -> std::io::Result<Vec<(PathBuf, PathBuf)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).inspect_err(whole::note)? {
        let path = entry.inspect_err(whole::note)?.path();
        match std::fs::read_link(&path).inspect_err(whole::note) {
            Ok(file) => files.push((path, file)),
            // It was closed meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(files)
}

/// The words of the command line, as the process shows them (it may have written over them).
#[must_use]
pub fn cmdline(pid: i32) -> Vec<String> {
    words(&noted(std::fs::read(format!("/proc/{pid}/cmdline"))).unwrap_or_default())
}

/// Returns the words of the text of a command line in /proc.
#[must_use]
pub fn words(bytes: &[u8]) -> Vec<String> {
    // A process that wrote over them leaves zeros behind what it shows; an empty word in between is one.
    let Some(last) = bytes.iter().rposition(|byte| *byte != 0) else { return Vec::new() };
    bytes[..=last].split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// The value of a variable in the environment of a process, as it was at the start; `None` without the permission to look.
#[must_use]
pub fn variable(pid: i32, name: &str) -> Option<String> {
    let environment = Process::new(pid).and_then(|process| process.environ()).ok()?;
    environment.get(std::ffi::OsStr::new(name)).map(|value| value.to_string_lossy().into_owned())
}

/// The command line as one line.
#[must_use]
pub fn title(pid: i32) -> String {
    cmdline(pid).join(" ").trim_end().to_owned()
}

/// The file it executes, as named in its own root, also where that was replaced since; `None` without the permission to look.
#[must_use]
pub fn exe(pid: i32) -> Option<PathBuf> {
    let process = noted(Process::new(pid).map_err(io_error))?;
    let exe = noted(process.exe().map_err(io_error))?;
    Some(without_mark(in_own_root(&process, exe)))
}

/// Returns the path of an executable without the mark of one that was replaced.
fn without_mark(exe: PathBuf) -> PathBuf {
    match exe.to_str().and_then(|exe| exe.strip_suffix(" (deleted)")) {
        Some(path) => path.into(),
        None => exe,
    }
}

/// Its working directory, as named in its own root; `None` without the permission to look.
#[must_use]
pub fn cwd(pid: i32) -> Option<PathBuf> {
    let process = Process::new(pid).ok()?;
    Some(in_own_root(&process, process.cwd().ok()?))
}

/// Returns a path as `process` names it. The kernel names a path from the reader's root as long as it can be reached from there:
/// so it can after a mere chroot(2), and not in another container.
#[must_use]
pub fn in_own_root(process: &Process, path: PathBuf) -> PathBuf {
    let inside =
        process.root().ok().and_then(|root| path.strip_prefix(root).ok().map(|rest| Path::new("/").join(rest)));
    inside.unwrap_or(path)
}

/// The files at or below `path` that are mount points of their own, all as named in the root of the process. A kubelet never
/// updates such a `subPath` mount, and neither does any other bind mount of a file follow when the file is replaced.
#[must_use]
pub fn frozen(pid: i32, path: &Path) -> Vec<PathBuf> {
    frozen_among(&mount_points(pid), Path::new(&format!("/proc/{pid}/root")), path)
}

/// The same of the calling process.
#[must_use]
pub fn frozen_here(path: &Path) -> Vec<PathBuf> {
    // Mount points have no links in their names, but the way to a path may (`/var/run`).
    let path = path.canonicalize().unwrap_or_else(|_| path.into());
    frozen_among(&mount_points(own()), Path::new("/"), &path)
}

fn frozen_among(mount_points: &[PathBuf], root: &Path, path: &Path) -> Vec<PathBuf> {
    let is_file = |point: &Path| root.join(point.strip_prefix("/").unwrap_or(point)).is_file();
    mount_points.iter().filter(|point| point.starts_with(path) && is_file(point)).cloned().collect()
}

/// Returns the calling process.
#[must_use]
pub fn own() -> i32 {
    i32::try_from(std::process::id()).unwrap_or_default()
}

/// Returns true if a process is in the same namespace of a kind (`mnt`, `user`, …) as the calling process; `None` without the
/// permission to look (`proc_ns_follow_link()` in the kernel's `fs/proc/namespaces.c` asks for the access of ptrace(2)).
#[must_use]
pub fn shares_namespace(pid: i32, kind: &str) -> Option<bool> {
    let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok();
    Some(namespace("self")? == namespace(&pid.to_string())?)
}

/// Returns true for a process of a container that has a pid namespace below that of the calling process (`NSpid` in `proc_pid_status(5)`).
#[must_use]
pub fn is_in_container(pid: i32) -> bool {
    let depth =
        |process: procfs::ProcResult<Process>| Some(process.and_then(|process| process.status()).ok()?.nspid?.len());
    depth(Process::new(pid)) > depth(Process::myself())
}

/// Returns true if a process is certainly in the same namespace of a kind as the calling process. Without the permission to look it may be in
/// another one.
///
/// # Errors
/// When that is unknown for want of memory or descriptors.
pub fn is_in_namespace(pid: i32, kind: &str) -> std::io::Result<bool> {
    let namespace = |pid: &str| unless_short(std::fs::read_link(format!("/proc/{pid}/ns/{kind}")));
    let (own, theirs) = (namespace("self")?, namespace(&pid.to_string())?);
    Ok(own.is_some() && own == theirs)
}

/// Returns the error of the system within an error about /proc.
pub fn io_error(error: ProcError) -> std::io::Error {
    match error {
        ProcError::Io(error, _) => error,
        error => std::io::Error::other(error),
    }
}

/// Returns the room in bytes that a process has for its command line and its environment, in which a title is written
/// (`proc_pid_stat(5)`, the fields from `arg_start` on); `None` without the permission to look.
#[must_use]
pub fn title_room(pid: i32) -> Option<usize> {
    let stat = stat(pid)?;
    let room = stat.env_end?.checked_sub(stat.arg_start?)?;
    usize::try_from(room).ok().filter(|room| *room > 0)
}

/// Returns true if /proc hides the processes of other users (`hidepid`; proc(5), "Mount options").
#[must_use]
pub fn hides_others() -> bool {
    let mounts = Process::myself().and_then(|own| own.mountinfo());
    let hides = |value: Option<&Option<String>>| {
        value.and_then(Option::as_deref).is_some_and(|value| !matches!(value, "0" | "off"))
    };
    let proc = |mounts: procfs::process::MountInfos| {
        mounts
            .into_iter()
            .any(|mount| mount.mount_point == Path::new("/proc") && hides(mount.super_options.get("hidepid")))
    };
    mounts.is_ok_and(proc)
}

/// Its mount points, as named in its own root.
#[must_use]
fn mount_points(pid: i32) -> Vec<PathBuf> {
    let mounts = Process::new(pid).and_then(|process| process.mountinfo());
    mounts.map(|mounts| mounts.into_iter().map(|mount| unescaped(&mount.mount_point)).collect()).unwrap_or_default()
}

/// Returns the mounts of this process, each with its id.
#[must_use]
pub fn mounts() -> Vec<(i32, PathBuf)> {
    let mounts = Process::myself().and_then(|process| process.mountinfo());
    let mount = |mount: procfs::process::MountInfo| (mount.mnt_id, unescaped(&mount.mount_point));
    mounts.map(|mounts| mounts.into_iter().map(mount).collect()).unwrap_or_default()
}

/// A path in which the kernel wrote blanks and backslashes as three octal digits (`mangle_path()` in `fs/seq_file.c`).
fn unescaped(path: &Path) -> PathBuf {
    let mut bytes = path.as_os_str().as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    while let Some((first, rest)) = bytes.split_first() {
        let digits = rest.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        plain.push(escaped.unwrap_or(*first));
        bytes = if escaped.is_some() { &rest[3..] } else { rest };
    }
    OsString::from_vec(plain).into()
}

/// Reads a text as each file of /proc that is read here.
#[cfg(any(test, fuzzing))]
pub fn read_texts(data: &[u8]) {
    let _ = (words(data), unescaped(&PathBuf::from(OsString::from_vec(data.to_vec()))));
    let _ = (SignalState::parse(data), parsed(data), Status::from_read(data).ok());
    let _ = procfs::process::MountInfos::from_read(data).ok();
}

/// The leaders of the process groups of running commands of the gate.
static COMMANDS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// A mark of a command that the gate started, for as long as it runs. The application itself may be a child of the gate too, as
/// its parent or as the init process of a container.
#[derive(Debug)]
pub struct OwnCommand(i32);

impl OwnCommand {
    /// Marks the process group of `leader`.
    #[must_use]
    pub fn mark(leader: i32) -> Self {
        COMMANDS.lock().unwrap_or_else(PoisonError::into_inner).insert(leader);
        Self(leader)
    }
}

impl Drop for OwnCommand {
    fn drop(&mut self) {
        COMMANDS.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// Returns `true` if `process` is a command of the gate, belongs to its process group, or descends from one.
#[must_use]
pub fn is_own(process: &Stat) -> bool {
    let commands = COMMANDS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut ancestors = std::iter::successors(Some((process.pid, process.ppid)), |(_, parent)| {
        stat(*parent).map(|stat| (stat.pid, stat.ppid))
    });
    process.pid == own() || commands.contains(&process.pgrp) || ancestors.any(|(pid, _)| commands.contains(&pid))
}

/// A process was forked and has executed nothing since (`PF_FORKNOEXEC` in `include/linux/sched.h`).
const FORKED_WITHOUT_EXEC: u32 = 0x40;

/// Returns `true` if the process was forked and has executed no program since: its memory is that of its parent, and it may have
/// read nothing itself.
#[must_use]
pub fn is_mere_fork(stat: &Stat) -> bool {
    stat.flags & FORKED_WITHOUT_EXEC != 0
}

/// The state of a process that another program in it would change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incarnation {
    exe: Option<PathBuf>,
    /// The bottom of its stack, which the kernel chooses anew at each execve(2); 0 without the permission to look.
    stack: u64,
}

/// The incarnation of a living process; `None` where it cannot be seen for want of descriptors or memory.
#[must_use]
pub fn incarnation(pid: i32) -> Option<Incarnation> {
    let stack = stat(pid)?.startstack;
    let exe = unless_short(std::fs::read_link(format!("/proc/{pid}/exe"))).ok()?;
    Some(Incarnation { exe: exe.map(without_mark), stack })
}

/// The living children of a process.
///
/// The kernel lists them, and may leave one out while another one ends (`proc_tid_children(5)`). Two lists that are the same are whole;
/// otherwise every process is asked.
#[must_use]
pub fn children(parent: i32) -> BTreeSet<Identity> {
    let listed = listed_children(parent).filter(|listed| listed_children(parent).as_ref() == Some(listed));
    let candidates: Box<dyn Iterator<Item = i32>> = match listed {
        Some(listed) => Box::new(listed.into_iter()),
        None => Box::new(pids()),
    };
    candidates.filter_map(stat).filter(|stat| stat.ppid == parent).map(|stat| Identity::from(&stat)).collect()
}

/// The children of all threads of a process; `None` if the kernel does not list them.
fn listed_children(parent: i32) -> Option<BTreeSet<i32>> {
    let mut children = BTreeSet::new();
    for thread in noted(std::fs::read_dir(format!("/proc/{parent}/task")))? {
        let listed = noted(std::fs::read_to_string(noted(thread)?.path().join("children")))?;
        children.extend(listed.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
    }
    Some(children)
}

/// All living descendants of a process.
#[must_use]
pub fn descendants(ancestor: i32) -> BTreeSet<i32> {
    let parents: Vec<(i32, i32)> = pids().filter_map(stat).map(|stat| (stat.pid, stat.ppid)).collect();
    let mut found = BTreeSet::from([ancestor]);
    loop {
        let next: Vec<i32> = parents
            .iter()
            .filter(|(pid, parent)| found.contains(parent) && !found.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if next.is_empty() {
            found.remove(&ancestor);
            return found;
        }
        found.extend(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_started_before_now() {
        let own = Identity::from(&stat(own()).expect("it is alive"));
        assert!(own.is_alive());
        assert!(own.started().expect("the clocks are set") <= SystemTime::now());
        assert!(!Identity { start: own.start + 1, ..own }.is_alive());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test wants a plain child")]
    fn a_command_line_is_every_word_of_it() {
        let mut cat = std::process::Command::new("cat");
        let words = [OsString::from("--"), "".into(), "a b".into(), OsString::from_vec(b"\xff".to_vec()), "-".into()];
        // It opens none of them: its standard input is first, and stays open.
        let mut child =
            cat.arg("-").args(&words).stdin(std::process::Stdio::piped()).spawn().expect("cat is installed");
        let pid = i32::try_from(child.id()).expect("it fits");
        // For an instant after execve(2) there is none.
        let shown = std::iter::repeat_with(|| cmdline(pid)).find(|shown| !shown.is_empty()).expect("it is endless");
        child.kill().and_then(|()| child.wait()).expect("it is ours");
        assert_eq!(shown, ["cat", "-", "--", "", "a b", "\u{fffd}", "-"]);
    }

    #[test]
    fn a_status_line_of_another_form_is_none() {
        let fields = " 1 7 7 0 -1".to_owned() + &" 0".repeat(45);
        let of_name = |name: &[u8]| [b"7 (", name, b") S", fields.as_bytes(), b"\n"].concat();
        for name in [&b"a"[..], b"", b"a) S (b", b"\xff)\xff"] {
            assert_eq!(parsed(&of_name(name)).map(|stat| (stat.pid, stat.state)), Some((7, 'S')), "{name:?}");
        }
        for line in [&b""[..], b"7", b"(a) S", b"7 (a)", b"7 (a) ", b"7 )a( S 1", b"7 (a)\xff\xff S 1", b"7 \xff(a) S"]
        {
            assert!(parsed(line).is_none(), "{line:?}");
        }
    }

    #[test]
    fn a_mount_point_is_read_as_it_was_named() {
        for (written, named) in [
            ("/etc/app", "/etc/app"),
            (r"/a\040b\011c\012d\134e\043", "/a b\tc\nd\\e#"),
            (r"/a\\04", r"/a\\04"),
            (r"/ä\0409", "/ä 9"),
        ] {
            assert_eq!(unescaped(Path::new(written)), Path::new(named));
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test wants a plain child")]
    fn a_child_is_known_as_such_until_it_is_dead() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep is installed");
        let pid = i32::try_from(child.id()).expect("it fits");
        assert!(children(own()).iter().any(|child| child.pid == pid));
        assert!(descendants(own()).contains(&pid));
        // The application may be a child of the gate too.
        assert!(!is_own(&stat(pid).expect("it is alive")));
        let command = OwnCommand::mark(pid);
        assert!(is_own(&stat(pid).expect("it is alive")));
        drop(command);
        assert!(!is_own(&stat(pid).expect("it is alive")));
        child.kill().expect("it is ours");
        child.wait().expect("it is ours");
        assert!(stat(pid).is_none());
    }

    #[test]
    fn a_mount_of_a_single_file_never_changes() {
        let root = tempfile::tempdir().expect("there is room");
        std::fs::create_dir_all(root.path().join("etc/app/volume")).expect("there is room");
        std::fs::write(root.path().join("etc/app/sub.conf"), "").expect("there is room");
        let points = ["/", "/etc/app/volume", "/etc/app/sub.conf", "/etc/hosts"].map(PathBuf::from);
        let cases: [(&str, &[&str]); 6] = [
            ("/etc/app/sub.conf", &["/etc/app/sub.conf"]),
            ("/etc/app", &["/etc/app/sub.conf"]),
            ("/etc/app/volume", &[]),
            ("/etc/app/volume/app.conf", &[]),
            ("/etc/ap", &[]),
            ("/srv", &[]),
        ];
        for (path, expected) in cases {
            assert_eq!(
                frozen_among(&points, root.path(), Path::new(path)),
                expected.iter().map(PathBuf::from).collect::<Vec<_>>()
            );
        }
    }
}
