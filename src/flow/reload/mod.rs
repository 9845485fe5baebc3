//! Reload requests: by signal, HTTP or command. IO.

use std::time::{Duration, SystemTime};

use crate::flow::process::{Disposition, Selector, Signal, Target, TargetError};
use crate::flow::verify::{Baseline, Verification};
use crate::sys::exec::{self, Command, End};
use crate::sys::http::{self, HttpResponse};

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
    Url(String),
    /// By a command, here.
    Command(Vec<String>),
}

/// The number of tries of a POST and the pause between them: the application may be starting.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

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
    },
    /// It has read the content already, since it started after that was delivered.
    NotNeeded {
        /// The process.
        pid: i32,
        /// The reason.
        message: String,
    },
}

impl ReloadMethod {
    /// Requests a reload of a content that was delivered at `delivered`. The baseline is the state of the target just before, and
    /// the verification compares with it.
    ///
    /// # Errors
    /// When the reload cannot be requested.
    pub async fn request_reload(
        &self,
        selector: &Selector,
        delivered: SystemTime,
        verification: &Verification,
        timeout: Duration,
    ) -> Result<(Sent, Baseline), TargetError> {
        let baseline = || Baseline::now(selector.find().ok(), verification);
        match self {
            Self::Nothing => Ok((requested("no reload is configured".into()), Baseline::now(None, verification))),
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

    /// A description of the method.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Nothing => "no reload".into(),
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

/// Checks that `target` takes `signal`.
///
/// # Errors
/// When it ignores the signal, could be killed by it, or has ended.
pub fn is_taken(target: &Target, signal: Signal, allow_uncaught: bool) -> Result<(), TargetError> {
    let pid = target.pid();
    let gone = || TargetError::Missing {
        message: format!("pid {pid} has ended"),
        help: "the gate searches for it again".into(),
    };
    let message = match target.disposition(signal).ok_or_else(gone)? {
        Disposition::Taken => return Ok(()),
        Disposition::Default if allow_uncaught => return Ok(()),
        Disposition::Ignored => format!("pid {pid} ignores {signal}, so it was not sent"),
        // The signal would kill it: it is still starting, or it is the wrong one.
        Disposition::Default => {
            format!("pid {pid} does not catch {signal} and could be killed by it, so it was not sent")
        }
    };
    Err(TargetError::Refused {
        pid: Some(pid),
        message,
        help:
            "the gate waits for it, as a program that is starting has no handlers yet; if it is the wrong process, name the \
               right one (`--process`, `--pid-file`); to send the signal nevertheless, use `--allow-uncaught`"
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
        let (message, status) = match http::send(http::Method::Post, url, timeout).await {
            Ok(HttpResponse { status, .. }) if (200..300).contains(&status) => {
                return Ok(format!("POST {shown} answered {status}"));
            }
            Ok(HttpResponse { status, remark }) => {
                let remark = remark.map_or_else(String::new, |remark| format!(": {remark}"));
                (format!("POST {shown} answered {status}{remark}"), Some(status))
            }
            Err(error) => (format!("POST {shown}: {error}"), None),
        };
        if matches!(status, Some(401 | 403)) {
            let help = "give the credentials that the application expects, in the URL (`https://USER:PASSWORD@HOST/`) or by a \
                        `--reload-command` that sends them";
            return Err(TargetError::Failed { message, help: help.into() });
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
    TargetError::Failed { message, help: "see the application's own log for the reason; the gate tries again".into() }
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
