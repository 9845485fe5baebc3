//! Events of Kubernetes about a pod or a ConfigMap: their order and rate. Pure: it does no IO and reads no clock.
//!
//! A repeated report is one Event with a count (a series). The number of requests in a time is limited, one request is in flight, and
//! reports that wait are counted together.

pub mod client;
mod object;

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant, SystemTime};

pub use object::{PodIdentity, object, series};

use crate::report::{Event, Kind, Level, headline};
use crate::sys::backoff::Backoff;
use crate::sys::kubernetes::RequestError;

/// The time after which a series ends without a new report (`finishTime` of client-go's event broadcaster).
const SERIES_ENDS: Duration = Duration::from_secs(6 * 60);
/// The number of series that are remembered.
const SERIES: usize = 64;
/// The burst of requests, and the interval between requests after it.
const BURST: u32 = 25;
const REFILL: Duration = Duration::from_secs(10);
/// Backoff of requests.
const RETRY: Backoff = Backoff::SECONDS;
/// The length of a note in bytes (events.k8s.io/v1).
const NOTE: usize = 1000;

/// The object that an Event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regarding {
    /// The pod in which the gate runs.
    Pod,
    /// The ConfigMap that holds the configuration.
    ConfigMap,
}

/// One Event as the API server should have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The name of the gate.
    pub gate: String,
    /// The object.
    pub regarding: Regarding,
    /// The reason, in one word.
    pub reason: &'static str,
    /// The action, in one word.
    pub action: &'static str,
    /// True for the type `Warning`.
    pub warns: bool,
    /// The note.
    pub note: String,
    /// The time of the first report.
    pub first: SystemTime,
    /// The time of the last report.
    pub last: SystemTime,
    /// The number of reports.
    pub count: u32,
    /// The suffix of the object's name, unique among the Events.
    pub suffix: String,
}

/// An input of the announcer.
#[derive(Debug)]
pub enum KubernetesInput {
    /// A gate reported an event.
    Reported {
        /// The name of the gate.
        gate: String,
        /// The event.
        event: Box<Event>,
        /// The time of the report.
        at: SystemTime,
    },
    /// The effect in flight is done.
    Done(ApiOutcome),
    /// The deadline has come.
    Tick,
    /// The process ends: pending requests are tried once, and none is tried again.
    Stop,
}

/// The result of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiOutcome {
    /// The API server took it.
    Taken,
    /// The object of the change is gone: Events are kept for an hour.
    Gone,
    /// The API server will never take it, for this reason.
    Never(RequestError),
    /// The API server may take it later.
    Later(RequestError),
}

/// An effect that the announcer asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KubernetesEffect {
    /// Create an Event; answered by [`KubernetesInput::Done`].
    Create(Announcement),
    /// Update the count of an Event; answered in the same way.
    Count(Announcement),
    /// Report that the API server fails, for the first time since it worked.
    Failing(RequestError),
    /// Report that the API server works again.
    Works,
}

#[derive(Debug)]
struct Series {
    announcement: Announcement,
    /// The count that the API server has.
    notified: u32,
    reported: Instant,
}

/// The Events that are sent and those that wait.
#[derive(Debug)]
pub struct Announcer {
    regarding: Vec<Regarding>,
    series: Vec<Series>,
    /// The number of series so far.
    begun: u64,
    /// The suffix of the series whose request is in flight.
    in_flight: Option<Announcement>,
    /// The number of requests that may start at once, and the time of that number.
    allowance: (u32, Instant),
    failures: u32,
    retry: Option<Instant>,
    failing: bool,
    stopping: bool,
    given_up: bool,
}

/// The reason, the action and the type; `None` for an event that makes no Event.
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
        Kind::Degraded => ("ConfigDegraded", "Publish"),
        Kind::RolloutRefused => ("RolloutRefused", "Reload"),
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
    /// Starts without any Event.
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

    /// Returns the time at which to call [`Announcer::step`] with [`KubernetesInput::Tick`] if nothing happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let waits = self.in_flight.is_none() && !self.given_up && self.next().is_some();
        let allowed = (self.allowance.0 == 0).then(|| self.allowance.1 + REFILL);
        waits.then(|| [self.retry, allowed].into_iter().flatten().max()).flatten()
    }

    /// Returns true if no request is or will be in flight after [`KubernetesInput::Stop`].
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.stopping && self.in_flight.is_none()
    }

    /// Takes an input at `now`, and returns the effects in order.
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
                    && now < other.reported + SERIES_ENDS
            };
            if let Some(series) = self.series.iter_mut().find(is_same) {
                (series.announcement.last, series.reported) = (at, now);
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
            self.series.push(Series { announcement, notified: 0, reported: now });
        }
    }

    /// Returns a suffix that no other Event of this object has: no two processes create one in the same nanosecond.
    fn suffix(&mut self, at: SystemTime) -> String {
        self.begun += 1;
        let since_epoch = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        format!("{:x}{:x}", since_epoch.as_nanos(), self.begun)
    }

    /// Makes room for another series. The oldest goes, first of those that are sent.
    fn forget(&mut self) {
        if self.series.len() >= SERIES {
            let notified = self.series.iter().position(|series| series.notified == series.announcement.count);
            self.series.remove(notified.unwrap_or_default());
        }
    }

    /// Returns the first series with a pending request.
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
                let wait = RETRY.wait(self.failures);
                self.failures = self.failures.saturating_add(1);
                (self.retry, self.given_up) = (Some(now + wait), self.stopping);
                if !std::mem::replace(&mut self.failing, true) {
                    effects.push(KubernetesEffect::Failing(error));
                }
            }
        }
    }
}
