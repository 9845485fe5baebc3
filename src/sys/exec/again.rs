//! The last steps before a process becomes a command. IO: gives up privileges of the process that calls it, and becomes the command.
//!
//! Between fork and exec only `unsafe` code could change what a child may do, and a process with several threads cannot safely
//! change its own root. So the gate's binary runs again as a process with one thread, the *keeper* ([`super::keep`]), which is ready
//! before a command is; its child changes itself, and executes the command.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::fcntl::AtFlags;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::SendFlags;
use rustix::process::{Resource, Rlimit, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::{NotStarted, filter, memory};
use crate::sys::proc::Identity;
use crate::sys::shortage::is_shortage;

/// Exit codes as env(1), chroot(1) and nohup(1) use them.
const NOT_READY: i32 = 125;
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;

/// Capabilities that a command of the gate keeps: those of container runtimes by default, without the ones that lead out of a
/// confinement (`MKNOD`, `SYS_CHROOT`) or that no checker needs.
pub(super) const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID);

/// Capabilities that no checker has, even if its target has them: they are rights to other processes and to the machine, and PERFMON
/// opens other processes' memory past all other checks (`may_access_mm()` in `kernel/fork.c`).
pub(super) const NEVER: CapabilitySet = CapabilitySet::BPF
    .union(CapabilitySet::CHECKPOINT_RESTORE)
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::SYS_ADMIN)
    .union(CapabilitySet::SYS_BOOT)
    .union(CapabilitySet::SYS_MODULE)
    .union(CapabilitySet::SYS_PTRACE)
    .union(CapabilitySet::SYS_RAWIO);

/// Result of a step of that change; an error has the step in words and the reason.
pub(super) type SetupStep<T = ()> = Result<T, (String, io::Error)>;

pub(super) fn step<T>(result: Result<T, impl Into<io::Error>>, what: impl FnOnce() -> String) -> SetupStep<T> {
    result.map_err(|error| (what(), error.into()))
}

/// A message of the keeper, or of its child, to the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeeperReport {
    /// The child could not become the command, for this reason; the code is that of env(1).
    NotStarted(i32, String),
    /// The child could not become the command for want of processes, descriptors or memory.
    Short(String),
    /// The process was prepared for another command, or for a file system that has changed since. The command did not begin.
    Unfit,
    /// A signal ended the command of a view, in which its parent waits for it.
    KilledInView(i32),
    /// The command, or its parent in a view, ended with this code. Nothing follows.
    Exited(i32),
    /// A signal ended the command. Nothing follows.
    Killed(i32),
}

impl KeeperReport {
    fn text(&self) -> String {
        match self {
            Self::NotStarted(code, message) => format!("failed {code} {message}"),
            Self::Short(message) => format!("short {message}"),
            Self::Unfit => "unfit ".to_owned(),
            Self::KilledInView(signal) => format!("killed-in-view {signal}"),
            Self::Exited(code) => format!("exited {code}"),
            Self::Killed(signal) => format!("killed {signal}"),
        }
    }

    fn of(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(' ')?;
        match kind {
            "failed" => {
                let (code, message) = rest.split_once(' ')?;
                Some(Self::NotStarted(code.parse().ok()?, message.to_owned()))
            }
            "short" => Some(Self::Short(rest.to_owned())),
            "unfit" => Some(Self::Unfit),
            "killed-in-view" => rest.parse().ok().map(Self::KilledInView),
            "exited" => rest.parse().ok().map(Self::Exited),
            "killed" => rest.parse().ok().map(Self::Killed),
            _ => None,
        }
    }

    /// The report of a step that failed with this error before the command began.
    fn of_failure(code: i32, message: String, error: &io::Error) -> Self {
        if is_shortage(error) { Self::Short(message) } else { Self::NotStarted(code, message) }
    }

    /// Sends it to the gate.
    fn send(&self, channel: impl AsFd) {
        let text = self.text();
        let length = u32::try_from(text.len()).unwrap_or_default();
        let _ = rustix::net::send(channel, &[&length.to_le_bytes(), text.as_bytes()].concat(), SendFlags::NOSIGNAL);
    }

    /// Takes the first whole report out of what was received. On the channel its length comes before it.
    pub(super) fn take(received: &mut Vec<u8>) -> Option<Self> {
        let (length, rest) = received.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let text = String::from_utf8_lossy(rest.get(..length)?).into_owned();
        received.drain(..size_of::<u32>() + length);
        Self::of(&text)
    }

    /// The error of a command that was not started; `not_ready` makes that of a process which could not change itself.
    pub(super) fn error(
        code: i32,
        message: String,
        program: String,
        not_ready: fn(String) -> NotStarted,
    ) -> NotStarted {
        match code {
            NOT_FOUND => NotStarted::Missing(program),
            NOT_EXECUTABLE => NotStarted::Program { program, error: io::Error::other(message) },
            _ => not_ready(message),
        }
    }
}

/// The keeper's end of the channel to the gate. It is the standard input of the binary, which moves it away before the command begins:
/// so nothing that the command prints can be taken for a report.
pub(super) struct Reporter(Option<OwnedFd>);

impl Reporter {
    /// Takes the channel from the standard input, which is empty then. What fails is reported to the gate.
    pub(super) fn take() -> io::Result<Self> {
        let stdin = rustix::stdio::stdin();
        if FileType::from_raw_mode(rustix::fs::fstat(stdin)?.st_mode) != FileType::Socket {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "standard input is no socket"));
        }
        let channel = rustix::io::fcntl_dupfd_cloexec(stdin, 3).map_err(io::Error::from);
        let taken = channel.and_then(|channel| empty_stdin().map(|()| channel));
        taken.map(|channel| Self(Some(channel))).inspect_err(|error| {
            KeeperReport::of_failure(NOT_READY, error.to_string(), error).send(stdin);
        })
    }

    /// A channel that is open already.
    #[cfg(test)]
    pub(super) fn on(channel: OwnedFd) -> Self {
        Self(Some(channel))
    }

    /// No channel: the binary was started by hand.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// The end of a setup: executes the command in the environment that was made ready. It returns only if something failed, with the
    /// message and the exit code.
    pub(super) fn execute(
        &self,
        subcommand: &str,
        ready: SetupStep<Vec<(OsString, OsString)>>,
        program: &CommandProgram,
    ) -> (String, u8) {
        match ready {
            Err(failed) => self.not_ready(subcommand, &failed),
            Ok(environment) => {
                let error = become_command(&environment, program);
                self.not_started(subcommand, &error, &environment, program)
            }
        }
    }

    /// Reports that a step failed.
    pub(super) fn not_ready(&self, subcommand: &str, (step, error): &(String, io::Error)) -> (String, u8) {
        self.failed(subcommand, format!("cannot {step}: {error}"), NOT_READY, error)
    }

    /// Reports that the command could not be executed.
    pub(super) fn not_started(
        &self,
        subcommand: &str,
        error: &io::Error,
        environment: &[(OsString, OsString)],
        program: &CommandProgram,
    ) -> (String, u8) {
        let name = program.words.first().map(OsString::as_os_str).unwrap_or_default();
        let is_missing = program.image.is_none() && super::is_missing(error, name, &path_of(environment));
        let code = if is_missing { NOT_FOUND } else { NOT_EXECUTABLE };
        self.failed(subcommand, format!("{}: {error}", name.display()), code, error)
    }

    /// Reports that this process was prepared for another command.
    pub(super) fn unfit(&self) -> (String, u8) {
        self.report(&KeeperReport::Unfit);
        ("the process was prepared for another command".to_owned(), u8::try_from(NOT_READY).unwrap_or(1))
    }

    /// Reports that no process could be made for the command, whatever it is; returns the exit code.
    pub(super) fn not_made(&self, subcommand: &str, error: &io::Error) -> u8 {
        self.failed(subcommand, error.to_string(), NOT_EXECUTABLE, error).1
    }

    fn failed(&self, subcommand: &str, message: String, code: i32, error: &io::Error) -> (String, u8) {
        let shown = format!("reload-gate {subcommand}: {message}");
        self.report(&KeeperReport::of_failure(code, message, error));
        (shown, u8::try_from(code).unwrap_or(1))
    }

    /// Sends a report. Without a reader, or without a channel, there is no need of one.
    pub(super) fn report(&self, report: &KeeperReport) {
        if let Some(channel) = &self.0 {
            report.send(channel);
        }
    }

    /// The channel itself.
    pub(super) fn channel(&self) -> Option<&OwnedFd> {
        self.0.as_ref()
    }
}

fn empty_stdin() -> io::Result<()> {
    let nothing = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let nothing = match nothing {
        Ok(nothing) => nothing,
        Err(_) => io::pipe()?.0.into(),
    };
    Ok(rustix::stdio::dup2_stdin(&nothing)?)
}

/// A program with its arguments.
pub(super) struct CommandProgram {
    pub(super) words: Vec<OsString>,
    /// The file that is executed in place of the one that the first word names.
    image: Option<OwnedFd>,
}

impl CommandProgram {
    /// Opens the program of a process, or leaves it to the first word. It is opened before the root changes, in which its file may lie
    /// at another path.
    pub(super) fn open(image: Option<Identity>, words: Vec<OsString>) -> SetupStep<Self> {
        let open = |process: Identity| -> io::Result<OwnedFd> {
            // It leads to the file itself, also where another one lies at its path by now (proc_pid_exe(5)).
            let path = format!("/proc/{}/exe", process.pid);
            let image = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            if process.is_alive() { Ok(image) } else { Err(io::Error::new(io::ErrorKind::NotFound, "it has ended")) }
        };
        let opened = image.map(|process| step(open(process), || format!("open the program of pid {}", process.pid)));
        Ok(Self { words, image: opened.transpose()? })
    }

    /// The program that the first word names.
    #[cfg(test)]
    pub(super) fn named(words: Vec<OsString>) -> Self {
        Self { words, image: None }
    }
}

/// Becomes the command, by execve(2) itself: execvp(3) of the GNU C library has a shell read a file that is no program.
fn become_command(environment: &[(OsString, OsString)], program: &CommandProgram) -> io::Error {
    let executed = image(environment, &program.words).map(|(path, arguments, variables)| match &program.image {
        Some(image) => nix::unistd::execveat(image, c"", &arguments, &variables, AtFlags::AT_EMPTY_PATH),
        None => nix::unistd::execve(&path, &arguments, &variables),
    });
    match executed {
        Ok(Err(errno)) => errno.into(),
        Err(error) => error,
    }
}

/// The arguments of execve(2).
type Image = (CString, Vec<CString>, Vec<CString>);

fn image(environment: &[(OsString, OsString)], words: &[OsString]) -> io::Result<Image> {
    let Some(program) = words.first() else { return Err(io::ErrorKind::NotFound.into()) };
    let program = super::located(program, &path_of(environment)).into_os_string();
    let owned = |bytes: Vec<u8>| CString::new(bytes).map_err(io::Error::from);
    let arguments = words.iter().map(|word| owned(word.as_bytes().to_vec())).collect::<Result<_, _>>()?;
    let variable = |(name, value): &(OsString, OsString)| owned([name.as_bytes(), b"=", value.as_bytes()].concat());
    let mut variables = environment.iter().map(variable).collect::<Result<Vec<_>, _>>()?;
    if environment.iter().all(|(name, _)| name != "PATH") {
        variables.push(owned([b"PATH=", path_of(environment).as_bytes()].concat())?);
    }
    Ok((owned(program.into_vec())?, arguments, variables))
}

/// The search path in an environment.
fn path_of(environment: &[(OsString, OsString)]) -> OsString {
    let path = environment.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone());
    path.unwrap_or_else(|| super::DEFAULT_PATH.into())
}

/// Starts the command as a child of this process, with an empty standard input.
pub(super) fn spawn(environment: &[(OsString, OsString)], words: &[OsString]) -> io::Result<std::process::Child> {
    let Some((program, arguments)) = words.split_first() else { return Err(io::ErrorKind::NotFound.into()) };
    let path = path_of(environment);
    #[expect(clippy::disallowed_methods, reason = "the command was started already: this process waits for it")]
    let mut command = std::process::Command::new(super::located(program, &path));
    command.args(arguments).env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
    command.env("PATH", path).stdin(std::process::Stdio::null()).spawn()
}

/// Keeps of this process's capabilities no more than these (capabilities(7)). Those that are `ambient` are kept by a user who
/// is not root through execve(2), too.
pub(super) fn keep_capabilities(
    permitted: CapabilitySet,
    effective: CapabilitySet,
    ambient: CapabilitySet,
) -> SetupStep {
    // Only the inheritable can be ambient.
    let sets = CapabilitySets { effective, permitted, inheritable: ambient };
    step(rustix::thread::clear_ambient_capability_set(), || "drop ambient capabilities".into())?;
    step(rustix::thread::set_capabilities(None, sets), || "drop capabilities".into())?;
    ambient.iter().try_for_each(|capability| {
        let raise = rustix::thread::configure_capability_in_ambient_set(capability, true);
        step(raise, || "keep an ambient capability".into())
    })
}

/// Lowers a resource limit of this process; a lower limit that it has already stays (getrlimit(2)).
pub(super) fn lower_limit(resource: Resource, to: Rlimit) -> SetupStep {
    let lower = |now: Option<u64>, to: Option<u64>| match (now, to) {
        (Some(now), Some(to)) => Some(now.min(to)),
        (now, to) => now.or(to),
    };
    let now = rustix::process::getrlimit(resource);
    let maximum = lower(now.maximum, to.maximum);
    let limit = Rlimit { current: lower(lower(now.current, to.current), maximum), maximum };
    if limit == now {
        return Ok(());
    }
    step(rustix::process::setrlimit(resource, limit), || "limit the resources of the command".into())
}

/// The capabilities that the bounding set of this process may have. It never grows (capabilities(7)).
static BOUNDING: AtomicU64 = AtomicU64::new(u64::MAX);

/// Drops all capabilities from the bounding set of this process, except these; that takes the capability SETPCAP.
pub(super) fn drop_from_bounding_set(kept: CapabilitySet) -> rustix::io::Result<()> {
    let present = CapabilitySet::from_bits_truncate(BOUNDING.load(Ordering::Relaxed));
    for capability in present.difference(kept).iter() {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // This kernel does not know it.
            Ok(()) | Err(Errno::INVAL) => BOUNDING.fetch_and(!capability.bits(), Ordering::Relaxed),
            Err(errno) => return Err(errno),
        };
    }
    Ok(())
}

/// Reads what does not depend on the command, before the command comes.
pub(super) fn read_ahead() {
    memory::open_limits();
    let is_absent =
        |capability: &CapabilitySet| rustix::thread::capability_is_in_bounding_set(*capability) == Ok(false);
    let absent: CapabilitySet = CapabilitySet::all().iter().filter(is_absent).collect();
    BOUNDING.fetch_and(!absent.bits(), Ordering::Relaxed);
}

/// Gives up, before the command comes, what no confined command has, whatever its setup.
pub(super) fn give_up_ahead() -> SetupStep {
    // A process without the right to do that gives up new privileges below.
    let _ = drop_from_bounding_set(CapabilitySet::all().difference(NEVER));
    step(rustix::thread::set_no_new_privs(true), || "give up new privileges".into())?;
    filter::forbid_calls()
}

/// Limits the data of this process to the share of the container's memory that a command may use.
pub(super) fn limit_memory() -> SetupStep {
    let Some(most) = memory::of_command() else { return Ok(()) };
    lower_limit(Resource::Data, Rlimit { current: Some(most), maximum: Some(most) })
}

/// Gives up every way to get more privileges, and to outlive its parent.
pub(super) fn give_up() -> SetupStep {
    limit_memory()?;
    step(rustix::thread::set_no_new_privs(true), || "give up new privileges".into())?;
    // Whatever kills its parent, which keeps what it starts, ends the command as well.
    step(rustix::process::set_parent_process_death_signal(Some(Signal::KILL)), || "end with its parent".into())?;
    filter::apply()
}
