//! The gate's own binary, started again before a command. IO: gives up privileges of the process that calls it, and becomes the
//! command.
//!
//! Between fork and exec only `unsafe` code could change what a child may do, and a process with several threads cannot safely
//! change its own root. So the binary is started again with a hidden subcommand, which has one thread, changes itself, and
//! executes the command.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::process::Stdio;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::{Command, End, Finished, NotStarted, filter, memory};

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

/// The words that start the binary again with a subcommand before a command.
pub(super) fn words(
    subcommand: &str,
    arguments: impl IntoIterator<Item = OsString>,
    command: &Command,
) -> io::Result<Vec<OsString>> {
    let mut words = vec![std::env::current_exe()?.into_os_string(), subcommand.into()];
    words.extend(arguments);
    words.push("--".into());
    words.extend(command.words.iter().cloned());
    Ok(words)
}

/// The arguments that say which variables of the gate's environment the command sees.
pub(super) fn pass(command: &Command) -> impl Iterator<Item = OsString> {
    let given = command.env.iter().map(|(name, _)| name);
    command.pass_env.iter().chain(given).map(|name| format!("--pass={name}").into())
}

/// The channel on which the binary reports why it could not become the command. It is the standard input of the binary, which
/// closes it before the command begins: so nothing that the command prints can be taken for a report.
pub(super) struct FailureReport {
    pub(super) reader: OwnedFd,
    pub(super) not_ready: fn(String) -> NotStarted,
}

impl FailureReport {
    /// Makes the channel, and gives the end for the binary's standard input.
    pub(super) fn channel(not_ready: fn(String) -> NotStarted) -> io::Result<(Self, OwnedFd)> {
        let (reader, writer) = io::pipe()?;
        rustix::io::ioctl_fionbio(&reader, true)?;
        Ok((Self { reader: reader.into(), not_ready }, writer.into()))
    }

    /// Returns the failure that the binary has reported, or the end of the command.
    pub(super) fn outcome(self, finished: Finished, program: String) -> Result<Finished, NotStarted> {
        let mut report = [0; 4096];
        let length = rustix::io::read(&self.reader, &mut report).unwrap_or_default();
        let report = String::from_utf8_lossy(&report[..length]);
        let Some((code, message)) = report.split_once(' ') else { return Ok(finished) };
        let message = message.to_owned();
        if let Some(signal) = message.strip_prefix(KILLED).and_then(|signal| signal.parse().ok()) {
            return Ok(Finished { end: End::Killed(signal), ..finished });
        }
        match code.parse() {
            Ok(NOT_FOUND) => Err(NotStarted::Missing(program)),
            Ok(NOT_EXECUTABLE) => Err(NotStarted::Program { program, error: io::Error::other(message) }),
            Ok(_) => Err((self.not_ready)(message)),
            Err(_) => Ok(finished),
        }
    }
}

/// Beginning of the report that the command was killed by a signal, where the binary waits for it.
const KILLED: &str = "killed by signal ";

/// The binary's end of the channel.
pub(super) struct Reporter(Option<OwnedFd>);

impl Reporter {
    /// Takes the channel from the standard input, which is empty then. Started by hand the binary has none. To be called first: there
    /// may be no `/dev/null` in another root.
    pub(super) fn take() -> Self {
        // A session of its own has no controlling terminal. Started by hand the binary may lead a group already.
        let _ = rustix::process::setsid();
        let stdin = rustix::stdio::stdin();
        let is_pipe =
            rustix::fs::fstat(stdin).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
        let is_written = rustix::fs::fcntl_getfl(stdin).is_ok_and(|flags| flags & OFlags::ACCMODE == OFlags::WRONLY);
        let channel = if is_pipe && is_written { rustix::io::fcntl_dupfd_cloexec(stdin, 3).ok() } else { None };
        if channel.is_some() && empty_stdin().is_err() {
            // The command would have the channel.
            let _ = nix::unistd::close(0);
        }
        Self(channel)
    }

    /// The end of a subcommand: executes the command in the environment that was made ready. It returns only if something failed,
    /// with the message and the exit code.
    pub(super) fn execute(
        self,
        subcommand: &str,
        ready: SetupStep<Vec<(OsString, OsString)>>,
        words: &[OsString],
    ) -> (String, u8) {
        match ready {
            Err((step, error)) => self.failed(subcommand, &format!("cannot {step}: {error}"), NOT_READY),
            Ok(environment) => {
                let error = become_command(&environment, words);
                self.not_started(subcommand, &error, words)
            }
        }
    }

    /// Reports that the command could not be executed.
    pub(super) fn not_started(self, subcommand: &str, error: &io::Error, words: &[OsString]) -> (String, u8) {
        let program = words.first().map(OsString::as_os_str).unwrap_or_default();
        let code = if super::is_missing(error, program, &super::search_path()) { NOT_FOUND } else { NOT_EXECUTABLE };
        self.failed(subcommand, &format!("{}: {error}", program.display()), code)
    }

    /// Reports the signal that killed the command.
    pub(super) fn killed(self, signal: Option<i32>) {
        if let (Some(signal), Some(channel)) = (signal, self.0) {
            let _ = rustix::io::write(channel, format!("0 {KILLED}{signal}").as_bytes());
        }
    }

    fn failed(self, subcommand: &str, message: &str, code: i32) -> (String, u8) {
        if let Some(channel) = self.0 {
            let _ = rustix::io::write(channel, format!("{code} {message}").as_bytes());
        }
        (format!("reload-gate {subcommand}: {message}"), u8::try_from(code).unwrap_or(1))
    }

    /// The channel as the standard input of a child that will report on it.
    pub(super) fn to_stdin(&self) -> io::Result<Option<Stdio>> {
        Ok(self.channel()?.map(Stdio::from))
    }

    /// Another descriptor of the channel.
    pub(super) fn channel(&self) -> io::Result<Option<OwnedFd>> {
        self.0.as_ref().map(OwnedFd::try_clone).transpose()
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

/// Becomes the command, by execve(2) itself: execvp(3) of the GNU C library has a shell read a file that is no program.
fn become_command(environment: &[(OsString, OsString)], words: &[OsString]) -> io::Error {
    match image(environment, words) {
        Ok((program, arguments, variables)) => match nix::unistd::execve(&program, &arguments, &variables) {
            Err(errno) => errno.into(),
        },
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

/// Starts the command as a child of this process, with nothing or a channel as its standard input.
pub(super) fn spawn(
    environment: &[(OsString, OsString)],
    words: &[OsString],
    channel: Option<Stdio>,
) -> io::Result<std::process::Child> {
    let Some((program, arguments)) = words.split_first() else { return Err(io::ErrorKind::NotFound.into()) };
    let path = path_of(environment);
    #[expect(clippy::disallowed_methods, reason = "the command was started already: this process waits for it")]
    let mut command = std::process::Command::new(super::located(program, &path));
    command.args(arguments).env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
    command.env("PATH", path).stdin(channel.unwrap_or_else(Stdio::null)).spawn()
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
    step(rustix::process::setrlimit(resource, limit), || "limit the resources of the command".into())
}

/// Drops all capabilities from the bounding set of this process, except these; that takes the capability SETPCAP.
pub(super) fn drop_from_bounding_set(kept: CapabilitySet) -> rustix::io::Result<()> {
    for capability in CapabilitySet::all().difference(kept).iter() {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // This kernel does not know it.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Gives up every way to get more privileges, and to outlive its parent.
pub(super) fn give_up() -> SetupStep {
    if let Some(most) = memory::of_command() {
        lower_limit(Resource::Data, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    step(rustix::thread::set_no_new_privs(true), || "give up new privileges".into())?;
    // Whatever kills its parent, which keeps what it starts, ends the command as well.
    step(rustix::process::set_parent_process_death_signal(Some(Signal::KILL)), || "end with its parent".into())?;
    filter::apply()
}
