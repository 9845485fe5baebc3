//! Verification that a reload took effect: a sent signal is not a reload. IO.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::flow::process::Target;
use crate::sys::exec::{self, Command, End, Finished};
use crate::sys::http;
use crate::sys::proc::Identity;

/// The first and the longest pause between two probes; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between two probes of workers: for so long, at least, the old ones live on beside the new. nginx gives them
/// 100 ms (`ngx_master_process_cycle()` in `src/os/unix/ngx_process_cycle.c`).
const GENERATIONS_MEET: Duration = Duration::from_millis(5);
/// The time that a new worker must live to count: one that cannot start dies at once, and takes gunicorn's master with it.
const STEADY: Duration = Duration::from_millis(250);

/// The proof that is required after a reload.
#[derive(Clone, Debug)]
pub enum Verification {
    /// None.
    Nothing,
    /// A new generation of the target's children.
    Workers {
        /// The target also starts a child for each that dies by itself, so that one new child alone is no proof.
        replaces: bool,
    },
    /// A GET of this URL is answered with a status of 200 to 299.
    Url(String),
    /// This command exits with 0.
    Command(Vec<String>),
}

/// The state of the application just before a reload.
#[derive(Debug)]
pub struct Baseline {
    target: Option<Target>,
    children: BTreeSet<Identity>,
    at: Instant,
}

impl Baseline {
    /// Records `target` as far as `verification` needs it.
    #[must_use]
    pub fn now(target: Option<Target>, verification: &Verification) -> Self {
        let asked = target.as_ref().filter(|_| matches!(verification, Verification::Workers { .. }));
        let children = asked.map(Target::children).unwrap_or_default();
        Self { target, children, at: Instant::now() }
    }

    /// Records a process that has just started: all of its workers are new.
    #[must_use]
    pub fn newborn(target: Target) -> Self {
        Self { target: Some(target), children: BTreeSet::new(), at: Instant::now() }
    }

    /// The process.
    #[must_use]
    pub fn target(&self) -> Option<&Target> {
        self.target.as_ref()
    }
}

/// The outcome of a verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The reload took effect.
    Proven {
        /// The process that proves it.
        pid: Option<i32>,
        /// The evidence.
        message: String,
        /// The time since the reload.
        after: Duration,
    },
    /// There is no proof that it did.
    Missing {
        /// The last observation.
        message: String,
        /// The remedy.
        help: String,
    },
    /// No verification is configured.
    NotAsked,
}

impl Verification {
    /// Probes until there is a proof or `timeout` has passed.
    pub async fn prove(&self, baseline: &Baseline, timeout: Duration) -> Proof {
        if matches!(self, Self::Nothing) {
            return Proof::NotAsked;
        }
        let deadline = Instant::now() + timeout;
        let mut pause = FIRST_PAUSE;
        let mut before = None;
        loop {
            let seen = self.probe(baseline, deadline).await;
            let over = Instant::now() >= deadline;
            match seen {
                Ok((pid, message)) => return Proof::Proven { pid, message, after: baseline.at.elapsed() },
                Err(Not::Ever(message)) => return missing(message),
                // An earlier complete probe says more than one that was cut short.
                Err(Not::Cut(message)) => before = before.or(Some(message)),
                Err(Not::Yet(message)) => before = Some(message),
            }
            if let Some(message) = before.as_ref().filter(|_| over) {
                return missing(format!("{message} within {}", humantime::format_duration(timeout)));
            }
            tokio::time::sleep(pause.min(deadline.saturating_duration_since(Instant::now()))).await;
            pause = (pause * 2).min(self.longest_pause());
        }
    }

    fn longest_pause(&self) -> Duration {
        if matches!(self, Self::Workers { .. }) { GENERATIONS_MEET } else { LONGEST_PAUSE }
    }

    /// A description of the required proof.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Nothing => "nothing".into(),
            Self::Workers { .. } => "a new generation of workers".into(),
            Self::Url(url) => format!("GET {}", http::shown(url)),
            Self::Command(words) => format!("`{}`", shell_words::join(words)),
        }
    }

    async fn probe(&self, baseline: &Baseline, deadline: Instant) -> Result<(Option<i32>, String), Not> {
        let rest = deadline.saturating_duration_since(Instant::now()).max(FIRST_PAUSE);
        match self {
            Self::Nothing => Ok((None, String::new())),
            Self::Workers { replaces } => new_worker(baseline, *replaces).await,
            Self::Url(url) => match http::request(http::Method::Get, url, rest).await {
                Ok(status) if (200..300).contains(&status) => {
                    Ok((None, format!("{} answered {status}", self.describe())))
                }
                Ok(status) => Err(Not::Yet(format!("{} answered {status}, and nothing better", self.describe()))),
                Err(error) => {
                    let message = format!("{} was not answered ({error})", self.describe());
                    Err(if Instant::now() < deadline { Not::Yet(message) } else { Not::Cut(message) })
                }
            },
            Self::Command(words) => {
                let name = shell_words::join(words);
                let command = Command::here(words.iter().map(Into::into).collect(), rest);
                match exec::run(&command).await {
                    Ok(finished) if finished.end == End::Exited(0) => Ok((None, format!("`{name}` succeeded"))),
                    Ok(Finished { end: End::TimedOut, .. }) => Err(Not::Cut(format!("`{name}` did not end"))),
                    Ok(Finished { end: End::Exited(code), .. }) => {
                        Err(Not::Yet(format!("`{name}` exited with code {code}, and nothing better")))
                    }
                    Ok(Finished { end: End::Killed(signal), .. }) => {
                        Err(Not::Yet(format!("`{name}` was killed by signal {signal}")))
                    }
                    Err(error) => Err(Not::Ever(error.to_string())),
                }
            }
        }
    }
}

/// The reason why a probe found no proof.
enum Not {
    /// There may be one in a moment.
    Yet(String),
    /// The probe was cut short at the end of the time.
    Cut(String),
    /// There will be none.
    Ever(String),
}

async fn new_worker(baseline: &Baseline, replaces: bool) -> Result<(Option<i32>, String), Not> {
    let Some(target) = baseline.target() else {
        return Err(Not::Ever("the process was missing before the reload, so its workers are unknown".into()));
    };
    let master = target.identity();
    if !master.is_alive() {
        return Err(Not::Ever(format!("pid {} exited after the reload request", master.pid)));
    }
    let Some(worker) = renewed(&baseline.children, &target.children(), replaces) else {
        return Err(Not::Yet(format!("pid {} started no new generation of workers", master.pid)));
    };
    tokio::time::sleep(STEADY).await;
    if !master.is_alive() {
        return Err(Not::Ever(format!("pid {} exited after the reload request", master.pid)));
    }
    if !worker.is_alive() {
        return Err(Not::Yet(format!("pid {} started workers that died at once, and no other", master.pid)));
    }
    Ok((Some(worker.pid), format!("pid {} is a new worker of pid {}", worker.pid, master.pid)))
}

/// A worker of a new generation, if there is one. A master that renews its workers starts the new before it ends the old; one that
/// only replaces a worker that died, or that has served its number of requests, starts the new one after. So there must at some time be more new
/// ones than old ones are gone; or none of the old ones may be left, which says nothing if there was one that may have died.
fn renewed(before: &BTreeSet<Identity>, now: &BTreeSet<Identity>, replaces: bool) -> Option<Identity> {
    let gone = before.difference(now).count();
    let new: Vec<_> = now.difference(before).collect();
    let all_gone = gone == before.len() && gone > usize::from(replaces);
    new.first().filter(|_| new.len() > gone || all_gone).map(|worker| **worker)
}

fn missing(message: String) -> Proof {
    let help = "the application refused the reload or is slow; see its own error log, and give it more time with \
                `--verify-timeout`; it may still run the configuration that it had before";
    Proof::Missing { message, help: help.into() }
}

#[cfg(test)]
mod tests;
