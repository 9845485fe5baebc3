//! The gate's own binary, started again before a command. IO: gives up privileges of the process that calls it, and becomes the
//! command.
//!
//! Between fork and exec only `unsafe` code could change what a child may do, and a process with several threads cannot safely
//! change its own root. So the binary is started again with a hidden subcommand, which has one thread, changes itself, and
//! executes the command.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt as _;

use rustix::thread::{CapabilitySet, CapabilitySets};

use super::{Command, End, Finished, NotStarted};

/// Exit codes as env(1), chroot(1) and nohup(1) use them.
const NOT_READY: i32 = 125;
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;

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

/// Beginning of the subcommand's own messages.
fn prefix(subcommand: &str) -> String {
    format!("reload-gate {subcommand}: ")
}

/// Tells what the subcommand said from what the command said.
pub(super) fn outcome(
    subcommand: &str,
    not_ready: fn(String) -> NotStarted,
    command: &Command,
    finished: Finished,
) -> Result<Finished, NotStarted> {
    let End::Exited(code) = finished.end else { return Ok(finished) };
    let message = finished.output.strip_prefix(&prefix(subcommand)).map(|message| message.trim_end().to_owned());
    let Some(message) = message else { return Ok(finished) };
    let program = command.words.first().map_or_else(String::new, |word| word.to_string_lossy().into_owned());
    match code {
        NOT_FOUND => Err(NotStarted::Missing(program)),
        NOT_EXECUTABLE => Err(NotStarted::Program { program, error: io::Error::other(message) }),
        NOT_READY => Err(not_ready(message)),
        _ => Ok(finished),
    }
}

/// The end of a subcommand: executes the command in the environment that was made ready. It returns only if something failed,
/// with the message and the exit code.
pub(super) fn execute(
    subcommand: &str,
    ready: SetupStep<Vec<(OsString, OsString)>>,
    words: &[OsString],
) -> (String, u8) {
    let (message, code) = match ready {
        Err((step, error)) => (format!("cannot {step}: {error}"), NOT_READY),
        Ok(environment) => become_command(&environment, words),
    };
    (format!("{}{message}", prefix(subcommand)), u8::try_from(code).unwrap_or(1))
}

fn become_command(environment: &[(OsString, OsString)], words: &[OsString]) -> (String, i32) {
    let Some((program, arguments)) = words.split_first() else {
        return ("the command is empty".into(), NOT_FOUND);
    };
    #[expect(clippy::disallowed_methods, reason = "this starts no child: it becomes the command")]
    let mut command = std::process::Command::new(program);
    command.args(arguments).env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
    let path = environment.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_os_str());
    let path = path.unwrap_or(OsStr::new(super::DEFAULT_PATH));
    command.env("PATH", path);
    let error = command.exec();
    let code = if super::is_missing(&error, program, path) { NOT_FOUND } else { NOT_EXECUTABLE };
    (format!("{}: {error}", program.display()), code)
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

/// Gives up every way to get more privileges, and every way out of the time limit.
pub(super) fn give_up() -> SetupStep {
    step(rustix::thread::set_no_new_privs(true), || "give up new privileges".into())?;
    // What leaves its parents and its session stays a descendant of the command, which keeps this across execve(2): so nothing of
    // it outlives the time limit (PR_SET_CHILD_SUBREAPER(2const)).
    let own = Some(rustix::process::getpid());
    step(rustix::process::set_child_subreaper(own), || "keep what the command starts".into())
}
