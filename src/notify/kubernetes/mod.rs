//! What Kubernetes is told as Events of a pod or a ConfigMap, in which order and how often. Pure: it does no IO and reads no clock.
//!
//! The same thing said again is one Event that is counted (a series), not another. There are at most so many requests in a time, one at
//! a time, and what is not told yet is counted together meanwhile.

pub mod client;
mod object;

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant, SystemTime};

pub use object::{PodIdentity, object, series};

use crate::report::{Event, Kind, Level, headline};

/// How long a series goes on without anything new (`finishTime` of client-go's event broadcaster).
const SERIES_ENDS: Duration = Duration::from_secs(6 * 60);
/// How many series are remembered.
const SERIES: usize = 64;
/// How many requests may come at once, and how soon there may be another one then.
const BURST: u32 = 25;
const REFILL: Duration = Duration::from_secs(10);
/// How soon to try again, at first and at last.
const RETRY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];
/// How long a note may be, in bytes (events.k8s.io/v1).
const NOTE: usize = 1000;

/// What an Event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regarding {
    /// The pod in which the gate runs.
    Pod,
    /// The ConfigMap that holds the configuration.
    ConfigMap,
}

/// One Event as it is to be at the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// What the gate is called.
    pub gate: String,
    /// What it is about.
    pub regarding: Regarding,
    /// Why, in one word.
    pub reason: &'static str,
    /// What was done, in one word.
    pub action: &'static str,
    /// Whether somebody should look at it.
    pub warns: bool,
    /// The same in words.
    pub note: String,
    /// When it happened first and last.
    pub first: SystemTime,
    /// See above.
    pub last: SystemTime,
    /// How often.
    pub count: u32,
    /// What makes its name another one than that of any other.
    pub suffix: String,
}

/// What happened.
#[derive(Debug)]
pub enum KubernetesInput {
    /// A gate reported this.
    Reported {
        /// What the gate is called.
        gate: String,
        /// What it said.
        event: Box<Event>,
        /// When.
        at: SystemTime,
    },
    /// The effect in flight is done.
    Done(ApiOutcome),
    /// The deadline has come.
    Tick,
    /// The process ends: what was not tried yet is, and nothing again.
    Stop,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiOutcome {
    /// It was taken.
    Taken,
    /// What was to be changed is not there any more: Events are forgotten after an hour.
    Gone,
    /// It will never be taken, for this reason.
    Never(String),
    /// It may be taken later.
    Later(String),
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KubernetesEffect {
    /// Make a new Event; answered by [`KubernetesInput::Done`].
    Create(Announcement),
    /// Say how often it happened by now; likewise.
    Count(Announcement),
    /// Say that the API server cannot be told, for the first time since it could.
    Failing(String),
    /// Say that it can be told again.
    Works,
}

#[derive(Debug)]
struct Series {
    announcement: Announcement,
    /// How often of it the API server was told.
    notified: u32,
    observe: Instant,
}

/// What is told, and what is still to be told.
#[derive(Debug)]
pub struct Announcer {
    regarding: Vec<Regarding>,
    series: Vec<Series>,
    /// How many series there were.
    begun: u64,
    /// What is being told, as it is known by its suffix.
    in_flight: Option<Announcement>,
    /// How many requests may be made at once, as of when.
    allowance: (u32, Instant),
    failures: u32,
    retry: Option<Instant>,
    failing: bool,
    stopping: bool,
    given_up: bool,
}

/// The reason, the action and whether it warns; `None` for what is not worth an Event.
fn meaning(event: &Event) -> Option<(&'static str, &'static str)> {
    Some(match event.kind {
        Kind::Rejected => ("ConfigRejected", "Validate"),
        Kind::Inconclusive => ("ConfigInconclusive", "Validate"),
        Kind::Published => ("ConfigPublished", "Publish"),
        Kind::Verified => ("ConfigReloaded", "Reload"),
        Kind::Unverified if event.level == Level::Info => ("ConfigReloaded", "Reload"),
        Kind::Unverified => ("ReloadNotVerified", "Reload"),
        Kind::Restored => ("ConfigRestored", "Publish"),
        Kind::Recovered => ("ConfigRecovered", "Validate"),
        Kind::TargetMissing => ("TargetMissing", "Reload"),
        Kind::TargetRefused => ("TargetRefused", "Reload"),
        Kind::TargetReplaced => ("TargetReplaced", "Reload"),
        Kind::Deferred => ("ReloadDeferred", "Reload"),
        Kind::WatchDegraded => ("WatchDegraded", "Watch"),
        _ => return None,
    })
}

fn note(gate: &str, event: &Event) -> String {
    let published = || (event.kind == Kind::Published).then(|| "it is where the application reads it".to_owned());
    let said = event.message.clone().or_else(|| headline(&event.findings)).or_else(published).unwrap_or_default();
    let digest = event.digest.map_or_else(String::new, |digest| format!(" (configuration {})", digest.short()));
    let help = event.findings.iter().find_map(|finding| finding.help.as_ref()).or(event.help.as_ref());
    let help = help.map_or_else(String::new, |help| format!("; {help}"));
    let mut note = format!("{gate}: {said}{digest}{help}");
    while note.len() > NOTE {
        note.pop();
    }
    note
}

impl Announcer {
    /// Nothing was said yet.
    #[must_use]
    pub fn new(regarding: Vec<Regarding>, now: Instant) -> Self {
        Self {
            regarding,
            series: Vec::new(),
            begun: 0,
            in_flight: None,
            allowance: (BURST, now),
            failures: 0,
            retry: None,
            failing: false,
            stopping: false,
            given_up: false,
        }
    }

    /// When to call [`Announcer::step`] with [`KubernetesInput::Tick`] unless something happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let waits = self.in_flight.is_none() && !self.given_up && self.next().is_some();
        let allowed = (self.allowance.0 == 0).then(|| self.allowance.1 + REFILL);
        waits.then(|| [self.retry, allowed].into_iter().flatten().max()).flatten()
    }

    /// Whether nothing is under way and nothing will be, after [`KubernetesInput::Stop`].
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.stopping && self.in_flight.is_none()
    }

    /// Takes in what happened at `now` and gives what to do about it, in order.
    pub fn step(&mut self, now: Instant, input: KubernetesInput) -> Vec<KubernetesEffect> {
        let mut effects = Vec::new();
        match input {
            KubernetesInput::Tick => {}
            KubernetesInput::Stop => (self.stopping, self.retry) = (true, None),
            KubernetesInput::Reported { gate, event, at } => self.observe(now, &gate, &event, at),
            KubernetesInput::Done(outcome) => self.done(now, outcome, &mut effects),
        }
        self.advance(now, &mut effects);
        effects
    }

    fn observe(&mut self, now: Instant, gate: &str, event: &Event, at: SystemTime) {
        let Some((reason, action)) = meaning(event) else { return };
        let note = note(gate, event);
        for regarding in self.regarding.clone() {
            let is_same = |other: &&mut Series| {
                let known = &other.announcement;
                (known.gate.as_str(), known.regarding, known.reason) == (gate, regarding, reason)
                    && known.note == note
                    && now < other.observe + SERIES_ENDS
            };
            if let Some(series) = self.series.iter_mut().find(is_same) {
                (series.announcement.last, series.observe) = (at, now);
                series.announcement.count = series.announcement.count.saturating_add(1);
                continue;
            }
            let suffix = self.suffix(at);
            let announcement = Announcement {
                gate: gate.to_owned(),
                regarding,
                reason,
                action,
                warns: event.level > Level::Info,
                note: note.clone(),
                first: at,
                last: at,
                count: 1,
                suffix,
            };
            self.forget();
            self.series.push(Series { announcement, notified: 0, observe: now });
        }
    }

    /// A suffix that no other Event of this object has: no two processes begin one in the same nanosecond.
    fn suffix(&mut self, at: SystemTime) -> String {
        self.begun += 1;
        let since_epoch = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        format!("{:x}{:x}", since_epoch.as_nanos(), self.begun)
    }

    /// Makes room for another series: of those that are told, if there are any, the oldest goes.
    fn forget(&mut self) {
        if self.series.len() >= SERIES {
            let notified = self.series.iter().position(|series| series.notified == series.announcement.count);
            self.series.remove(notified.unwrap_or_default());
        }
    }

    /// The first series of which something is to be told.
    fn next(&self) -> Option<&Series> {
        self.series.iter().find(|series| series.notified < series.announcement.count)
    }

    fn advance(&mut self, now: Instant, effects: &mut Vec<KubernetesEffect>) {
        let (left, since) = self.allowance;
        let more = now.saturating_duration_since(since).as_secs() / REFILL.as_secs();
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        self.allowance = match left.saturating_add(more) {
            full if full >= BURST => (BURST, now),
            left => (left, since + REFILL * more),
        };
        let waits = self.in_flight.is_some() || self.given_up || self.retry.is_some_and(|retry| retry > now);
        if waits || self.allowance.0 == 0 {
            return;
        }
        let Some(series) = self.next() else { return };
        let announcement = series.announcement.clone();
        let is_new = series.notified == 0;
        self.allowance.0 -= 1;
        self.retry = None;
        self.in_flight = Some(announcement.clone());
        effects.push(if is_new {
            KubernetesEffect::Create(announcement)
        } else {
            KubernetesEffect::Count(announcement)
        });
    }

    fn done(&mut self, now: Instant, outcome: ApiOutcome, effects: &mut Vec<KubernetesEffect>) {
        let Some(notified) = self.in_flight.take() else { return };
        let renamed = self.suffix(notified.last);
        let series = self.series.iter_mut().find(|series| series.announcement.suffix == notified.suffix);
        match (&outcome, series) {
            (ApiOutcome::Taken | ApiOutcome::Never(_), Some(series)) => series.notified = notified.count,
            (ApiOutcome::Gone, Some(series)) => (series.notified, series.announcement.suffix) = (0, renamed),
            _ => {}
        }
        match outcome {
            ApiOutcome::Taken | ApiOutcome::Gone => {
                self.failures = 0;
                if std::mem::take(&mut self.failing) {
                    effects.push(KubernetesEffect::Works);
                }
            }
            ApiOutcome::Never(error) | ApiOutcome::Later(error) => {
                let wait = (RETRY[0] * 2_u32.saturating_pow(self.failures.min(16))).min(RETRY[1]);
                self.failures = self.failures.saturating_add(1);
                (self.retry, self.given_up) = (Some(now + wait), self.stopping);
                if !std::mem::replace(&mut self.failing, true) {
                    effects.push(KubernetesEffect::Failing(error));
                }
            }
        }
    }
}
