//! Tells the application to read its configuration: by signal, HTTP or command. IO.

use std::time::{Duration, SystemTime};

use crate::flow::process::{Disposition, Selector, Signal, Target, TargetError};
use crate::flow::verify::{Baseline, Verification};
use crate::sys::exec::{self, Command, End};
use crate::sys::http::{self, HttpResponse};

/// How the application is told.
#[derive(Clone, Debug)]
pub enum ReloadMethod {
    /// Not at all: the gate only judges.
    Nothing,
    /// By a signal to the target.
    Signal {
        /// Which.
        signal: Signal,
        /// Whether to send it to a process that has no handler for it, which for most signals kills it.
        allow_uncaught: bool,
    },
    /// By a POST to this URL.
    Url(String),
    /// By a command, here.
    Command(Vec<String>),
}

/// How often a POST is tried, and how long the gate waits in between: the application may be starting.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The application was told.
    Requested {
        /// The process that was signalled.
        pid: Option<i32>,
        /// With what.
        signal: Option<String>,
        /// What was done, in words.
        message: String,
    },
    /// It has read the content already, since it started after that was delivered.
    NotNeeded {
        /// The process.
        pid: i32,
        /// Why not, in words.
        message: String,
    },
}

impl ReloadMethod {
    /// Tells the application of a content that was delivered at `delivered`. The second part is what proof is measured
    /// against: the state of the target just before.
    ///
    /// # Errors
    /// When it cannot be told.
    pub async fn request_reload(
        &self,
        selector: &Selector,
        delivered: SystemTime,
        verification: &Verification,
        timeout: Duration,
    ) -> Result<(Sent, Baseline), TargetError> {
        let baseline = || Baseline::now(selector.find().ok(), verification);
        match self {
            Self::Nothing => Ok((requested("nobody is to be told".into()), Baseline::now(None, verification))),
            Self::Signal { signal, allow_uncaught } => {
                let target = ready(selector, *signal, *allow_uncaught, delivered)?;
                send(target, *signal, verification)
            }
            Self::Url(url) => {
                let baseline = baseline();
                post(url, timeout).await.map(|message| (requested(message), baseline))
            }
            Self::Command(words) => {
                let baseline = baseline();
                run(words, timeout).await.map(|message| (requested(message), baseline))
            }
        }
    }

    /// What is done, in words.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Nothing => "nobody is told".into(),
            Self::Signal { signal, .. } => signal.to_string(),
            Self::Url(url) => format!("POST {}", http::shown(url)),
            Self::Command(words) => format!("`{}`", shell_words::join(words)),
        }
    }
}

fn requested(message: String) -> Sent {
    Sent::Requested { pid: None, signal: None, message }
}

/// The target, if it may and must be signalled.
enum Ready {
    Signal(Target),
    /// It has read the content already.
    Younger(Target),
}

fn ready(
    selector: &Selector,
    signal: Signal,
    allow_uncaught: bool,
    delivered: SystemTime,
) -> Result<Ready, TargetError> {
    let target = selector.find()?;
    if target.started_after(delivered) {
        return Ok(Ready::Younger(target));
    }
    is_taken(&target, signal, allow_uncaught)?;
    Ok(Ready::Signal(target))
}

/// Whether `target` is ready to be sent `signal`.
///
/// # Errors
/// When it ignores the signal, could be killed by it, or has ended.
pub fn is_taken(target: &Target, signal: Signal, allow_uncaught: bool) -> Result<(), TargetError> {
    let pid = target.pid();
    let gone =
        || TargetError::Missing { message: format!("pid {pid} has ended"), help: "it is looked for again".into() };
    let message = match target.disposition(signal).ok_or_else(gone)? {
        Disposition::Taken => return Ok(()),
        Disposition::Default if allow_uncaught => return Ok(()),
        Disposition::Ignored => format!("pid {pid} ignores {signal}, so it was not sent"),
        // It would be killed by it: it is still starting, or it is not the right one.
        Disposition::Default => {
            format!("pid {pid} does not catch {signal} and could be killed by it, so it was not sent")
        }
    };
    Err(TargetError::Refused {
        pid: Some(pid),
        message,
        help:
            "it is waited for, as a program that is starting has no handlers yet; if it is the wrong process, name the \
               right one (`--process`, `--pid-file`), and if it is meant so, say `--allow-uncaught`"
                .into(),
    })
}

fn send(ready: Ready, signal: Signal, verification: &Verification) -> Result<(Sent, Baseline), TargetError> {
    match ready {
        Ready::Younger(target) => {
            let pid = target.pid();
            let message = format!("pid {pid} started after this content was delivered; no signal is needed");
            // All of its workers are of its first generation.
            Ok((Sent::NotNeeded { pid, message }, Baseline::newborn(target)))
        }
        Ready::Signal(target) => {
            let pid = target.pid();
            // The signal goes through the handle which the baseline keeps, after the baseline was taken.
            let baseline = Baseline::now(Some(target), verification);
            baseline.target().map_or(Ok(()), |target| target.signal(signal))?;
            let message = format!("sent {signal} to pid {pid}");
            Ok((Sent::Requested { pid: Some(pid), signal: Some(signal.to_string()), message }, baseline))
        }
    }
}

async fn post(url: &str, timeout: Duration) -> Result<String, TargetError> {
    let (mut attempt, shown) = (1, http::shown(url));
    loop {
        let (message, is_final) = match http::send(http::Method::Post, url, timeout).await {
            Ok(HttpResponse { status, .. }) if (200..300).contains(&status) => {
                return Ok(format!("POST {shown} answered {status}"));
            }
            // The application has taken the request and says no, or is elsewhere: asking again is not going to change that.
            Ok(HttpResponse { status, remark }) => {
                let remark = remark.map_or_else(String::new, |remark| format!(": {remark}"));
                (format!("POST {shown} answered {status}{remark}"), status < 500)
            }
            Err(error) => (format!("POST {shown}: {error}"), false),
        };
        if is_final || attempt == ATTEMPTS {
            return Err(failed(message));
        }
        attempt += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

fn failed(message: String) -> TargetError {
    TargetError::Failed { message, help: "see the application's own log for the reason; it will be tried again".into() }
}

async fn run(words: &[String], timeout: Duration) -> Result<String, TargetError> {
    let name = shell_words::join(words);
    let command = Command::here(words.iter().map(Into::into).collect(), timeout);
    let finished = exec::run(&command).await.map_err(|error| failed(error.to_string()))?;
    match finished.end {
        End::Exited(0) => Ok(format!("ran `{name}`")),
        End::Exited(code) => Err(failed(format!("`{name}` exited with code {code}: {}", finished.output.trim()))),
        End::Killed(signal) => Err(failed(format!("`{name}` was killed by signal {signal}"))),
        End::TimedOut => Err(failed(format!("`{name}` took too long and was killed"))),
    }
}

#[cfg(test)]
mod tests;
