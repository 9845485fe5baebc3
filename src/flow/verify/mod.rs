//! Verification that a reload took effect: a sent signal is not a reload. IO.

mod bytecode;
mod effect;
mod logs;
mod metrics;
mod workers;

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use crate::flow::placeholders::{self, LivePaths, UnknownMain};
use crate::flow::process::{Selector, Signal, Target};
use crate::sys::exec::{self, Command, End, Finished, NotStarted};
use crate::sys::http::Method;
use crate::sys::proc::{self, Identity};
use crate::sys::server::{Server, Unread};

pub use bytecode::hidden_change;
pub use effect::{GUNICORN_ARGUMENTS, Loaded};
use logs::ErrorLogs;
use metrics::Before;
pub use metrics::{ExpectedMetric, MetricProof, Scrape};

/// The first and the longest pause between two probes; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between two probes of workers: for so long, at least, the old ones live on beside the new. nginx gives them
/// 100 ms (`ngx_master_process_cycle()` in `src/os/unix/ngx_process_cycle.c`).
const WORKER_PAUSE: Duration = Duration::from_millis(5);
/// The pause between two probes after the time of a verification has passed, at first and at last.
const LATE_PAUSE: Duration = Duration::from_millis(500);
const LATEST_PAUSE: Duration = Duration::from_secs(10);
/// A target that works on the reload gets so many times the time.
const EXTENSION: u32 = 6;
/// The time in which a target that works on the reload has run on a processor for so many clock ticks. A process with a hundredth
/// of a processor does in five seconds, and one that waits does not.
const PROGRESS_WINDOW: Duration = Duration::from_secs(5);
const PROGRESS_TICKS: u64 = 2;

/// The time for reading the metrics before a reload, which waits for it.
const METRICS_TIMEOUT: Duration = Duration::from_secs(2);
/// The reason why there is no proof where none is configured.
pub const NOT_CONFIGURED: &str = "no verification is configured";

/// The proof that is required after a reload.
#[derive(Clone, Debug)]
pub enum Verification {
    /// None.
    Nothing,
    /// A new generation of the target's children: one that is younger than the reload.
    Workers,
    /// A GET of this URL is answered with a status of 200 to 299.
    Url(Server),
    /// This command exits with 0. Its words may have placeholders for the paths of the live configuration.
    Command(Vec<String>),
    /// Metrics of the application have these values.
    Metrics(Box<MetricProof>),
}

/// The time that a verification may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// So long, and longer while the target works on the reload.
    Limited(Duration),
    /// Until the caller drops it: the time has passed once.
    Late,
}

/// The state of the application just before a reload.
#[derive(Debug)]
pub struct Baseline {
    target: Option<Target>,
    children: BTreeSet<Identity>,
    logs: ErrorLogs,
    signal: Option<Signal>,
    /// The process has just started, so all of its workers are new.
    is_newborn: bool,
    at: Instant,
    /// The same by the wall clock.
    requested: SystemTime,
    metrics: Before,
    /// The reason why the metrics that a preset names are no proof here.
    without_metrics: Option<String>,
}

impl Baseline {
    /// Records `target` as far as `verification` needs it.
    #[must_use]
    pub fn now(target: Option<Target>, verification: &Verification) -> Self {
        let asked = target.as_ref().filter(|_| matches!(verification, Verification::Workers));
        let children = asked.map(Target::children).unwrap_or_default();
        let logged = target.as_ref().filter(|_| !matches!(verification, Verification::Nothing));
        let logs = logged.map(|target| ErrorLogs::of(target.pid())).unwrap_or_default();
        let (at, requested) = (Instant::now(), SystemTime::now());
        let (metrics, without_metrics) = (Before::Unknown, None);
        Self { target, children, logs, signal: None, is_newborn: false, at, requested, metrics, without_metrics }
    }

    /// Records a process that has just started: all of its workers are new.
    #[must_use]
    pub fn newborn(target: Target, verification: &Verification) -> Self {
        let metrics = Before::Newborn;
        Self { children: BTreeSet::new(), is_newborn: true, metrics, ..Self::now(Some(target), verification) }
    }

    /// Records the signal that follows.
    #[must_use]
    pub fn signalled(self, signal: Signal) -> Self {
        Self { signal: Some(signal), at: Instant::now(), requested: SystemTime::now(), ..self }
    }

    /// Adds the metrics as they were before the reload.
    #[must_use]
    pub fn with_metrics(self, before: MetricsBefore) -> Self {
        let MetricsBefore { metrics, without } = before;
        let metrics = if self.is_newborn { Before::Newborn } else { metrics };
        Self { metrics, without_metrics: without, ..self }
    }

    /// The process.
    #[must_use]
    pub fn target(&self) -> Option<&Target> {
        self.target.as_ref()
    }

    /// The time of the reload.
    #[must_use]
    pub fn at(&self) -> Instant {
        self.at
    }

    /// Returns `true` if the process has to end, and a successor to start.
    fn restarts(&self) -> bool {
        self.signal.is_some_and(Signal::ends_process)
    }

    /// The error that the target's log has had about the reload, if there is one that ends it.
    fn refusal(&self) -> Option<String> {
        self.logs.refusal(self.target.as_ref()?.pid())
    }
}

/// The metrics of the application before a reload.
#[derive(Debug, Default)]
pub struct MetricsBefore {
    metrics: Before,
    /// The reason why the metrics that a preset names are no proof here.
    without: Option<String>,
}

/// The answer of an application to a reload without a proof, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadAnswer {
    /// Nothing is known: the proof may come later.
    Unknown,
    /// It refused the reload, and runs on as before; or there is no proof that it did not.
    Refused,
    /// It ended, by the reload or by something else.
    Ended,
    /// Its workers died at once, and it has none left: it serves nothing.
    Deserted,
}

/// The outcome of a verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The reload took effect.
    Proven {
        /// The new worker, where that is the proof.
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
        /// The answer of the application.
        answer: ReloadAnswer,
    },
    /// The reload happened, and cannot have taken effect for what changed.
    Ineffective {
        /// The reason.
        message: String,
        /// The remedy.
        help: String,
    },
    /// No verification is configured, or it is not possible.
    NotAsked {
        /// The reason.
        message: String,
    },
}

impl Verification {
    /// Returns the verification with these paths in the words of its command; `None` if no word has a placeholder.
    ///
    /// # Errors
    /// When a word needs the main file, and that is unknown.
    pub fn at(&self, paths: impl FnOnce() -> LivePaths) -> Result<Option<Self>, UnknownMain> {
        let Self::Command(words) = self else { return Ok(None) };
        placeholders::at_live(words, paths).map(|filled| filled.map(Self::Command))
    }

    /// Reads the metrics of the application just before a reload, if they are the proof.
    pub async fn metrics_before(&self, selector: &Selector) -> MetricsBefore {
        let Self::Metrics(proof) = self else { return MetricsBefore::default() };
        match self.scrape(proof, selector).await {
            Ok(scrape) => MetricsBefore { metrics: Before::Scraped(scrape), without: None },
            Err(reason) => {
                let without = format!("there is no verification: {}; see `--verify-metric-url`", reason.message);
                // What fails is there, and may succeed after the reload.
                let is_elsewhere = proof.is_guess && !reason.is_failure;
                MetricsBefore { metrics: Before::Unknown, without: is_elsewhere.then_some(without) }
            }
        }
    }

    /// The reason why the metrics that are the proof cannot be read, if there is one.
    pub async fn metrics_problem(&self, selector: &Selector) -> Option<Unread> {
        let Self::Metrics(proof) = self else { return None };
        self.scrape(proof, selector).await.err()
    }

    async fn scrape(&self, proof: &MetricProof, selector: &Selector) -> Result<Scrape, Unread> {
        let cmdline = selector.search().await.map(|target| proc::cmdline(target.pid())).unwrap_or_default();
        let scrape = proof.scrape(&cmdline, METRICS_TIMEOUT).await?;
        if proof.is_shown(&scrape) {
            Ok(scrape)
        } else {
            Err(Unread::other(format!("there is no {}", proof.describe())))
        }
    }

    /// Probes until there is a proof or the time has passed. Returns the successor of the process too, if the process had to end.
    pub async fn prove(
        &self,
        baseline: &Baseline,
        selector: &Selector,
        patience: Patience,
    ) -> (Proof, Option<Baseline>) {
        if !baseline.restarts() {
            return (self.wait(baseline, patience, baseline.at).await, None);
        }
        let successor = match successor(baseline, selector, patience).await {
            Ok(target) => Baseline::newborn(target, self),
            Err(message) => return (missing(message, baseline, ReloadAnswer::Unknown), None),
        };
        let (pid, before) = (successor.target().map(Target::pid), baseline.target().map_or(0, Target::pid));
        let took_place = format!("pid {} took the place of pid {before}", pid.unwrap_or_default());
        let proof = match self.wait(&successor, patience, baseline.at).await {
            Proof::NotAsked { .. } => Proof::Proven { pid, message: took_place, after: baseline.at.elapsed() },
            Proof::Proven { pid, message, after } => {
                Proof::Proven { pid, message: format!("{took_place}; {message}"), after }
            }
            proof => proof,
        };
        (proof, Some(successor))
    }

    async fn wait(&self, baseline: &Baseline, patience: Patience, since: Instant) -> Proof {
        if matches!(self, Self::Nothing) {
            return Proof::NotAsked { message: NOT_CONFIGURED.into() };
        }
        if let Some(message) = baseline.without_metrics.clone() {
            return Proof::NotAsked { message };
        }
        let mut clock = Clock::start(patience);
        let (mut before, mut remedy) = (None, None);
        loop {
            let probed = self.probe(baseline, clock.probe_deadline()).await;
            let over = clock.is_over(baseline);
            match probed {
                Ok((pid, message)) => return Proof::Proven { pid, message, after: since.elapsed() },
                Err(Not::Ever(message)) => return missing(message, baseline, ReloadAnswer::Refused),
                Err(Not::Ended(message)) => return missing(message, baseline, ReloadAnswer::Ended),
                Err(Not::Deserted(message)) => return missing(message, baseline, ReloadAnswer::Deserted),
                // An earlier complete probe says more than one that was cut short.
                Err(Not::Cut(message)) => before = before.or(Some(message)),
                Err(Not::Yet(message)) => (before, remedy) = (Some(message), None),
                Err(Not::Permitted(message, help)) => (before, remedy) = (Some(message), Some(help)),
            }
            if let Some(message) = before.as_ref().filter(|_| over) {
                let message = format!("{message} within {}", clock.waited());
                return match (missing(message, baseline, ReloadAnswer::Unknown), remedy) {
                    (Proof::Missing { message, answer, .. }, Some(help)) => Proof::Missing { message, help, answer },
                    (proof, _) => proof,
                };
            }
            clock.pause(self.longest_pause()).await;
        }
    }

    fn longest_pause(&self) -> Duration {
        if matches!(self, Self::Workers) { WORKER_PAUSE } else { LONGEST_PAUSE }
    }

    /// A description of the required proof.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Nothing => "nothing".into(),
            Self::Workers => "a new generation of workers".into(),
            Self::Url(server) => format!("GET {}", server.shown()),
            Self::Command(words) => format!("`{}`", shell_words::join(words)),
            Self::Metrics(proof) => proof.describe(),
        }
    }

    async fn probe(&self, baseline: &Baseline, deadline: Instant) -> Result<(Option<i32>, String), Not> {
        let rest = deadline.saturating_duration_since(Instant::now()).max(FIRST_PAUSE);
        match self {
            Self::Nothing => Ok((None, String::new())),
            Self::Workers => workers::new_worker(baseline).await,
            Self::Url(server) => self.get(server, rest, deadline).await,
            Self::Metrics(proof) => metric(proof, baseline, rest, deadline).await,
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
                    // What the gate lacks says nothing about the application.
                    Err(error @ NotStarted::Short { .. }) => Err(Not::Yet(error.to_string())),
                    Err(error) => Err(Not::Ever(error.to_string())),
                }
            }
        }
    }
}

impl Verification {
    async fn get(&self, server: &Server, rest: Duration, deadline: Instant) -> Result<(Option<i32>, String), Not> {
        match server.ask(Method::Get, rest).await.map(|answer| answer.status) {
            Ok(status) if (200..300).contains(&status) => Ok((None, format!("{} answered {status}", self.describe()))),
            Ok(status) => {
                let message = format!("{} answered {status}, and nothing better", self.describe());
                Err(server.help(status).map_or(Not::Yet(message.clone()), |help| Not::Permitted(message, help)))
            }
            Err(error) => {
                let message = format!("{} was not answered ({error})", self.describe());
                Err(if Instant::now() < deadline { Not::Yet(message) } else { Not::Cut(message) })
            }
        }
    }
}

/// Compares the metrics of the application with those before the reload.
async fn metric(
    proof: &MetricProof,
    baseline: &Baseline,
    rest: Duration,
    deadline: Instant,
) -> Result<(Option<i32>, String), Not> {
    let cmdline = baseline.target().map(|target| proc::cmdline(target.pid())).unwrap_or_default();
    match proof.scrape(&cmdline, rest).await {
        Ok(now) => proof
            .evidence(&now, &baseline.metrics, baseline.requested)
            .map(|evidence| (None, evidence))
            .map_err(Not::Yet),
        Err(Unread { message, help: Some(help), .. }) => Err(Not::Permitted(message, help)),
        Err(Unread { message, .. }) => {
            Err(if Instant::now() < deadline { Not::Yet(message) } else { Not::Cut(message) })
        }
    }
}

/// The reason why a probe found no proof.
enum Not {
    /// There may be one in a moment.
    Yet(String),
    /// The application wants other credentials, with the remedy.
    Permitted(String, String),
    /// The probe was cut short at the end of the time.
    Cut(String),
    /// There will be none.
    Ever(String),
    /// There will be none, since the application ended.
    Ended(String),
    /// There will be none, since it has no worker left.
    Deserted(String),
}

/// The time of one verification.
struct Clock {
    patience: Patience,
    start: Instant,
    deadline: Instant,
    pause: Duration,
    /// The processor time of the target at the last check of its progress.
    progress: Option<(Instant, u64)>,
    /// It made progress until that check.
    works: bool,
}

impl Clock {
    fn start(patience: Patience) -> Self {
        let start = Instant::now();
        let (time, pause) = match patience {
            Patience::Limited(time) => (time, FIRST_PAUSE),
            Patience::Late => (LATEST_PAUSE, LATE_PAUSE),
        };
        Self { patience, start, deadline: start + time, pause, progress: None, works: false }
    }

    /// The end of a single probe.
    fn probe_deadline(&self) -> Instant {
        match self.patience {
            Patience::Limited(_) => self.deadline,
            Patience::Late => Instant::now() + LATEST_PAUSE,
        }
    }

    /// Returns `true` if the time has passed and the target does not work on the reload any more.
    fn is_over(&mut self, baseline: &Baseline) -> bool {
        let Patience::Limited(time) = self.patience else { return false };
        let now = Instant::now();
        let works = self.makes_progress(now, baseline);
        if now < self.deadline {
            return false;
        }
        if works && now < self.start + time * EXTENSION {
            self.deadline = now + PROGRESS_WINDOW.min(time);
            return false;
        }
        true
    }

    /// Returns `true` if the target has not taken the signal yet, or has run on a processor since the last check.
    fn makes_progress(&mut self, now: Instant, baseline: &Baseline) -> bool {
        let Some(target) = baseline.target() else { return false };
        let (since, ticks) = *self.progress.get_or_insert_with(|| (now, target.cpu_ticks()));
        if now >= since + PROGRESS_WINDOW {
            let current = target.cpu_ticks();
            self.works = current >= ticks + PROGRESS_TICKS;
            self.progress = Some((now, current));
        }
        let is_pending = || baseline.signal.is_some_and(|signal| target.is_pending(signal));
        self.works || (now >= self.deadline && is_pending())
    }

    fn waited(&self) -> String {
        let waited = self.deadline.saturating_duration_since(self.start);
        humantime::format_duration(Duration::from_millis(u64::try_from(waited.as_millis()).unwrap_or(u64::MAX)))
            .to_string()
    }

    async fn pause(&mut self, longest: Duration) {
        let pause = match self.patience {
            Patience::Limited(_) => self.pause.min(self.deadline.saturating_duration_since(Instant::now())),
            Patience::Late => self.pause,
        };
        tokio::time::sleep(pause).await;
        self.pause = match self.patience {
            Patience::Limited(_) => (self.pause * 2).min(longest),
            // A minute after the reload the next probes become rarer.
            Patience::Late => (self.start.elapsed() / 60).clamp(LATE_PAUSE, LATEST_PAUSE),
        };
    }
}

/// Waits until the process has ended and another one has taken its place.
async fn successor(baseline: &Baseline, selector: &Selector, patience: Patience) -> Result<Target, String> {
    let before = baseline.target().map(Target::identity);
    let mut clock = Clock::start(patience);
    loop {
        let is_alive = before.is_some_and(Identity::is_alive);
        let found = if is_alive { None } else { selector.search().await.ok() };
        if let Some(target) = found.filter(|target| Some(target.identity()) != before) {
            return Ok(target);
        }
        if clock.is_over(baseline) {
            let pid = before.map_or(0, |before| before.pid);
            let state = if is_alive { "has not ended" } else { "ended, and no successor started" };
            return Err(format!("pid {pid} {state} within {}", clock.waited()));
        }
        clock.pause(LONGEST_PAUSE).await;
    }
}

fn missing(message: String, baseline: &Baseline, answer: ReloadAnswer) -> Proof {
    let has_refused = baseline.refusal().is_some();
    let help = if has_refused {
        "correct what its error log names, and reload it again; it runs the configuration that it had before"
    } else if matches!(answer, ReloadAnswer::Ended | ReloadAnswer::Deserted) {
        "it serves nothing now: see its own error log for the reason, and correct the configuration"
    } else {
        "the application refused the reload or is slow; see its own error log, and give it more time with \
         `--verify-timeout`; it may still run the configuration that it had before"
    };
    let lines = baseline.logs.errors();
    let said =
        if lines.is_empty() || has_refused { String::new() } else { format!("; its error log: {}", lines.join("; ")) };
    Proof::Missing { message: message + &said, help: help.into(), answer }
}

#[cfg(test)]
mod tests;
