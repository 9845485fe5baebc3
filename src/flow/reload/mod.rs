//! Reload requests: by signal, HTTP or command. IO.

mod without_effect;

use std::time::{Duration, Instant};

use crate::flow::placeholders::{self, LivePaths, UnknownMain};
use crate::flow::process::{Disposition, Signal, Target, TargetError, TargetSearches};
use crate::flow::verify::{Baseline, Verification};
use crate::sys::exec::{self, Command, End, NotStarted};
use crate::sys::http::{HttpResponse, Method};
use crate::sys::promise::{FOLLOWS, SEARCHES, TRIES, WAITS};
use crate::sys::server::Server;

pub use without_effect::{WithoutEffect, without_effect};

/// The way in which a reload is requested.
#[derive(Clone, Debug)]
pub enum ReloadMethod {
    /// No reload: the gate only validates.
    Nothing,
    /// By a signal to the target.
    Signal {
        /// The signal.
        signal: Signal,
        /// Send it even to a process without a handler for it, which for most signals kills it.
        allow_uncaught: bool,
    },
    /// By a POST to this URL.
    Url(Server),
    /// By a command, here. The words may have `{config}` and `{dir}`, for the paths of the live configuration.
    Command(Vec<String>),
}

/// The number of tries of a POST and the pause between them: the application may be starting.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// The remedy where the program that reloads cannot be started.
pub const WITHOUT_PROGRAM: &str =
    "use an image with the program for the gate's container, or give its path (`--reload-command`)";

/// The outcome of a reload request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The reload was requested.
    Requested {
        /// The process that was signalled.
        pid: Option<i32>,
        /// The signal that was sent.
        signal: Option<String>,
        /// A description of the request.
        message: String,
        /// The process ends, and a successor is expected.
        restarts: bool,
    },
    /// The application has read the content already: it started after the gate had seen it.
    NotNeeded {
        /// The process.
        pid: i32,
        /// The evidence.
        message: String,
    },
}

/// The circumstances of a reload request.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// The time since which the content lies, without a pause, where the application reads it.
    pub since: Option<Instant>,
    /// The number of workers of earlier reloads that defers another one.
    pub max_lingering: Option<usize>,
    /// The time of the last reload: older workers are lingering ones.
    pub last_reload: Option<Instant>,
    /// The time limit of a command or request.
    pub timeout: Duration,
}

impl ReloadMethod {
    /// Requests a reload. The baseline is the state of the target just before, and the verification compares with it.
    ///
    /// # Errors
    /// When the reload cannot be requested.
    pub async fn request_reload(
        &self,
        targets: &TargetSearches,
        verification: &Verification,
        circumstances: Circumstances,
    ) -> Result<(Sent, Baseline), TargetError> {
        // Boxed, as the request below: the future of a signal is small, and a change moves it.
        let before = Box::pin(verification.metrics_before(targets.selector())).await;
        let (sent, baseline) = self.request_with(targets, verification, circumstances).await?;
        Ok((sent, baseline.with_metrics(before)))
    }

    async fn request_with(
        &self,
        targets: &TargetSearches,
        verification: &Verification,
        circumstances: Circumstances,
    ) -> Result<(Sent, Baseline), TargetError> {
        match self {
            Self::Nothing => Ok((requested("no reload is configured".into()), Baseline::now(None, verification))),
            Self::Signal { signal, allow_uncaught } => {
                let send = |target| signalled(target, (*signal, *allow_uncaught), verification, circumstances);
                match send(targets.find().await?) {
                    // It was known, and has ended since.
                    Err(TargetError::Missing { .. }) => send(targets.search().await?),
                    sent => sent,
                }
            }
            Self::Url(_) | Self::Command(_) => {
                let target = if targets.selector().is_empty() { None } else { targets.living().await.ok() };
                if let Some(target) = &target {
                    lingering(target, circumstances)?;
                }
                let baseline = Baseline::now(target, verification);
                Box::pin(self.request(circumstances.timeout)).await.map(|message| (requested(message), baseline))
            }
        }
    }

    /// Returns the method with these paths in the words of its command; `None` if no word has a placeholder.
    ///
    /// # Errors
    /// When a word needs the main file, and it is unknown.
    pub fn at(&self, paths: impl FnOnce() -> LivePaths) -> Result<Option<Self>, TargetError> {
        let Self::Command(words) = self else { return Ok(None) };
        match placeholders::at_live(words, paths) {
            Ok(filled) => Ok(filled.map(Self::Command)),
            Err(UnknownMain { message, help }) => Err(TargetError::Failed { message, help }),
        }
    }

    /// Looks at the target as a request by a signal does, if it is known.
    pub fn rehearse(&self, targets: &TargetSearches, verification: &Verification) {
        if let (Self::Signal { signal, allow_uncaught }, Some(target)) = (self, targets.known()) {
            let _ = is_taken(&target, *signal, *allow_uncaught);
            let _ = Baseline::now(Some(target), verification);
        }
    }

    /// The reason why it does not make the program `process` read its configuration, if that is known.
    #[must_use]
    pub fn without_effect(&self, process: Option<&str>) -> Option<WithoutEffect> {
        let Self::Signal { signal, .. } = self else { return None };
        without_effect(process?, *signal)
    }

    async fn request(&self, timeout: Duration) -> Result<String, TargetError> {
        match self {
            Self::Url(server) => post(server, timeout).await,
            Self::Command(words) => run(words, timeout).await,
            Self::Nothing | Self::Signal { .. } => Ok(self.describe()),
        }
    }

    /// A description of the method.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Nothing => "no reload".into(),
            Self::Signal { signal, .. } => signal.to_string(),
            Self::Url(server) => format!("POST {}", server.shown()),
            Self::Command(words) => format!("`{}`", shell_words::join(words)),
        }
    }
}

/// Sends `target` the signal, unless it has read the content already.
fn signalled(
    target: Target,
    (signal, allow_uncaught): (Signal, bool),
    verification: &Verification,
    circumstances: Circumstances,
) -> Result<(Sent, Baseline), TargetError> {
    if let Some(read) = has_read(&target, circumstances.since) {
        return Ok((read, Baseline::newborn(target, verification)));
    }
    is_taken(&target, signal, allow_uncaught)?;
    lingering(&target, circumstances)?;
    send(target, signal, verification)
}

fn requested(message: String) -> Sent {
    Sent::Requested { pid: None, signal: None, message, restarts: false }
}

/// The evidence that `target` has read the content at its start, if there is any.
fn has_read(target: &Target, since: Option<Instant>) -> Option<Sent> {
    let (pid, after) = (target.pid(), target.started_after(since?)?);
    let after = humantime::format_duration(Duration::from_millis(u64::try_from(after.as_millis()).ok()?));
    let message = format!("pid {pid} started {after} after the gate saw this content; no signal is needed");
    Some(Sent::NotNeeded { pid, message })
}

/// Checks that `target` takes `signal`.
///
/// # Errors
/// When it is stopped, ignores the signal, could be killed by it, or has ended.
pub fn is_taken(target: &Target, signal: Signal, allow_uncaught: bool) -> Result<(), TargetError> {
    let pid = target.pid();
    let gone = || TargetError::Missing {
        message: format!("pid {pid} has ended"),
        help: format!("see its own log for the reason; {SEARCHES}"),
    };
    let refused = |message, help| Err(TargetError::Refused { pid: Some(pid), message, help });
    let (message, anyway) = match target.disposition(signal).ok_or_else(gone)? {
        Disposition::Stopped => {
            let message = format!("pid {pid} is stopped, so {signal} was not sent");
            let help = format!("continue it (SIGCONT, `docker unpause`), or detach the debugger; {WAITS}");
            return refused(message, help);
        }
        Disposition::Taken => return Ok(()),
        Disposition::Default if allow_uncaught => return Ok(()),
        Disposition::Ignored => (format!("pid {pid} ignores {signal}, so it was not sent"), ""),
        // The signal would kill it: it is still starting, or it is the wrong one.
        Disposition::Default => (
            format!("pid {pid} does not catch {signal} and could be killed by it, so it was not sent"),
            "; to send the signal nevertheless, use `--allow-uncaught`",
        ),
    };
    if let Some(help) = without_effect::not_taken(&target.name(), signal) {
        return refused(message, format!("{help}; {WAITS}"));
    }
    let help = format!(
        "a program that is starting has no handlers yet; {WAITS}; if it is the wrong process, name the right one \
         (`--process`, `--pid-file`){anyway}"
    );
    refused(message, help)
}

/// Checks that not too many workers of earlier reloads are left.
fn lingering(target: &Target, circumstances: Circumstances) -> Result<(), TargetError> {
    let Some(limit) = circumstances.max_lingering else { return Ok(()) };
    let lingering = target.lingering(circumstances.last_reload);
    if lingering < limit {
        return Ok(());
    }
    let pid = target.pid();
    let message = format!(
        "{lingering} workers of earlier reloads of pid {pid} still serve connections (`--max-lingering {limit}`)"
    );
    let help = format!(
        "limit the life of connections in the application (nginx: `worker_shutdown_timeout`, haproxy: `hard-stop-after`), \
         or raise `--max-lingering`; {FOLLOWS}"
    );
    Err(TargetError::Busy { pid, message, help })
}

fn send(target: Target, signal: Signal, verification: &Verification) -> Result<(Sent, Baseline), TargetError> {
    let pid = target.pid();
    let restarts = signal.ends_process();
    // The signal goes through the handle that the baseline keeps, after the baseline was taken.
    let baseline = Baseline::now(Some(target), verification).signalled(signal);
    baseline.target().map_or(Ok(()), |target| target.signal(signal))?;
    let message = format!("sent {signal} to pid {pid}");
    Ok((Sent::Requested { pid: Some(pid), signal: Some(signal.to_string()), message, restarts }, baseline))
}

async fn post(server: &Server, timeout: Duration) -> Result<String, TargetError> {
    let (mut attempt, shown) = (1, server.shown());
    loop {
        let (message, status) = match server.ask(Method::Post, timeout).await {
            Ok(HttpResponse { status, .. }) if (200..300).contains(&status) => {
                return Ok(format!("POST {shown} answered {status}"));
            }
            Ok(HttpResponse { status, remark, .. }) => {
                let remark = remark.map_or_else(String::new, |remark| format!(": {remark}"));
                (format!("POST {shown} answered {status}{remark}"), Some(status))
            }
            Err(error) => (format!("POST {shown}: {error}"), None),
        };
        if let Some(help) = status.and_then(|status| server.help(status)) {
            return Err(TargetError::Failed { message, help });
        }
        // The application has refused the request, or is elsewhere: a repetition does not change that.
        if status.is_some_and(|status| status < 500) || attempt == ATTEMPTS {
            return Err(failed(message));
        }
        attempt += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

fn failed(message: String) -> TargetError {
    TargetError::Failed { message, help: format!("see the application's own log for the reason; {TRIES}") }
}

/// The error of a reload that did not begin: the application is as it was.
fn not_requested(message: String) -> TargetError {
    let help = format!("raise the limits of this container or service (processes, open files, memory); {TRIES}");
    TargetError::Refused { pid: None, message, help }
}

async fn run(words: &[String], timeout: Duration) -> Result<String, TargetError> {
    let name = shell_words::join(words);
    let command = Command::here(words.iter().map(Into::into).collect(), timeout);
    let finished = exec::run(&command).await.map_err(|error| match error {
        NotStarted::Short { .. } => not_requested(error.to_string()),
        NotStarted::Missing(_) => {
            TargetError::Failed { message: error.to_string(), help: format!("{WITHOUT_PROGRAM}; {TRIES}") }
        }
        error => failed(error.to_string()),
    })?;
    match finished.end {
        End::Exited(0) => Ok(format!("ran `{name}`")),
        End::Exited(code) => Err(failed(format!("`{name}` exited with code {code}: {}", finished.output.trim()))),
        End::Killed(signal) => Err(failed(format!("`{name}` was killed by signal {signal}"))),
        End::TimedOut => Err(failed(format!("`{name}` took too long and was killed"))),
    }
}

#[cfg(test)]
mod tests;
