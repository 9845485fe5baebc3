//! The target process: what is known about it ends with it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::aftermath::ReloadBeforeEnd;
use super::incident::backoff;
use super::{Activity, Effect, Gate, Loss};
use crate::flow::process::TargetError;
use crate::flow::tree::Digest;
use crate::report::{Event, Kind, Level};

/// The pause before the first search for the successor of a process, and the longest pause.
const FIRST_SEARCH: Duration = Duration::from_millis(50);
const LONGEST_SEARCH: Duration = Duration::from_secs(10);
/// The number of searches after which a refusal is reported.
const CERTAIN: u32 = 4;
/// The number of searches after which a start that does not end is reported: within 3 s to 7 s.
const STARTED: u32 = 7;
/// So many ends within this time are a crash loop.
const CRASHES: usize = 3;
const CRASH_WINDOW: Duration = Duration::from_secs(120);
/// The time that a process must live in a crash loop before it is reloaded and verified.
const CALM: Duration = Duration::from_secs(10);
/// The time without an end that ends a crash loop. The kubelet forgets the crashes of a container that has run for as long
/// (Kubernetes, "Pod Lifecycle", container restarts).
const LOOP_MEMORY: Duration = Duration::from_secs(600);

/// A search for the target.
#[derive(Clone, Debug)]
struct Search {
    at: Instant,
    attempt: u32,
}

/// The last process that was lost and not replaced yet.
#[derive(Clone, Copy, Debug)]
struct Lost {
    pid: i32,
    loss: Loss,
    at: Instant,
    /// Its end was reported, or the incident that is open is about it.
    reported: bool,
    /// Its last reload, if that may be the reason and was not reported.
    after_reload: Option<ReloadBeforeEnd>,
}

/// The search at the start of the gate.
#[derive(Clone, Copy, Debug)]
struct FirstSearch {
    /// Without the target there can be no reload.
    required: bool,
}

/// A crash loop that was reported.
#[derive(Clone, Copy, Debug)]
struct CrashLoop {
    /// It is over then, without another end.
    until: Instant,
    /// The first process that lived for a while was reported.
    has_survivor: bool,
}

/// New workers of a process that the gate did not cause.
#[derive(Clone, Copy, Debug)]
struct RenewedWorkers {
    pid: i32,
    /// The start of the first of them.
    start: Instant,
    /// See [`Loss::Renewed`].
    by_reload: bool,
    /// The scan that was under way when they were found may have read what lay there before.
    during_scan: bool,
}

/// The state of the search for the target.
#[derive(Clone, Debug, Default)]
pub(super) struct TargetState {
    search: Option<Search>,
    lost: Option<Lost>,
    ends: VecDeque<Instant>,
    /// In a crash loop, the process that must live for a while.
    on_probation: Option<i32>,
    crash_loop: Option<CrashLoop>,
    /// A verification can still succeed by itself.
    late_proof: bool,
    /// The search is the one at the start of the gate: no process was found before.
    first: Option<FirstSearch>,
    renewed: Option<RenewedWorkers>,
}

impl TargetState {
    /// The time of the next search, if one is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.search.as_ref().map(|search| search.at)
    }

    /// Returns `true` while the target is sought.
    pub(super) fn is_sought(&self) -> bool {
        self.search.is_some()
    }

    /// Returns `true` while a process must live on before it is believed, in a crash loop.
    pub(super) fn is_on_probation(&self) -> bool {
        self.on_probation.is_some() && self.is_sought()
    }

    /// Begins a search, unless one is under way.
    pub(super) fn seek(&mut self, at: Instant) {
        self.search.get_or_insert(Search { at, attempt: 0 });
    }

    /// Begins the search at the start of the gate.
    pub(super) fn seek_first(&mut self, at: Instant, required: bool) {
        self.seek(at);
        self.first = Some(FirstSearch { required });
    }

    /// Ends the search at the start of the gate: a reload has found the target, or reports that it has not.
    pub(super) fn end_first_search(&mut self) {
        if self.first.take().is_some() {
            self.search = None;
        }
    }

    /// Records that the successor of a process that had to end was verified.
    pub(super) fn succeeded(&mut self) {
        (self.search, self.lost, self.on_probation) = (None, None, None);
    }

    /// Records that the process can, or cannot, be proven later without another reload.
    pub(super) fn proves_late(&mut self, late_proof: bool) {
        self.late_proof = late_proof;
    }

    /// Returns `true` if the process may be proven later without another reload.
    pub(super) fn may_prove_late(&self) -> bool {
        self.late_proof && self.lost.is_none()
    }

    /// Returns `true` after so many searches.
    fn has_searched(&self, searches: u32) -> bool {
        self.search.as_ref().is_none_or(|search| search.attempt >= searches)
    }

    fn crashes(&mut self, now: Instant) -> usize {
        self.ends.retain(|end| now < *end + CRASH_WINDOW);
        self.ends.len()
    }

    /// Records the end of a process.
    fn ended(&mut self, now: Instant) {
        self.ends.push_back(now);
        self.crash_loop = self.crash_loop.filter(|crash_loop| now < crash_loop.until);
        if let Some(crash_loop) = &mut self.crash_loop {
            crash_loop.until = now + LOOP_MEMORY;
        }
    }

    /// Returns `true` if the successor of the lost process is reported: in a crash loop only the first one that lived for a while.
    fn is_successor_reported(&mut self) -> bool {
        self.crash_loop.as_mut().is_none_or(|crash_loop| !std::mem::replace(&mut crash_loop.has_survivor, true))
    }
}

impl Gate {
    /// The process of which everything was known is gone: the running content is unknown until its successor is verified.
    pub(super) fn target_lost(&mut self, now: Instant, pid: i32, loss: Loss, effects: &mut Vec<Effect>) {
        if let Loss::Renewed { since: Some(start), by_reload } = loss
            && self.lay_since(start)
        {
            let is_scan =
                matches!(self.activity, Activity::Scanning(_) | Activity::Confirming(..) | Activity::Concluding(..));
            let during_scan = is_scan && !self.policy.publish;
            self.target.renewed = Some(RenewedWorkers { pid, start, by_reload, during_scan });
            if self.policy.publish {
                return self.weigh_renewal(now, effects);
            }
            // A scan tells whether it was another content for a moment.
            return self.settle.at(now);
        }
        let is_undecided = |kind| matches!(kind, Kind::Rejected | Kind::Inconclusive);
        let is_open = self.incident.is_some_and(|incident| is_undecided(incident.kind));
        // A reload that is being proven would be taken for their content.
        let is_at_rest = matches!(self.activity, Activity::Idle | Activity::Scanning(_));
        if matches!(loss, Loss::Renewed { .. }) && self.running().is_none() && is_open && is_at_rest {
            // gunicorn renews a worker after so many requests: that their content is unknown is reported once.
            return;
        }
        self.reload_unproven = true;
        self.withheld = None;
        let after_reload = if loss == Loss::Ended { self.ended_by_reload(now) } else { None };
        if loss == Loss::Ended {
            self.permission.ends = self.permission.ends.saturating_add(1);
            self.target.ended(now);
        }
        self.target.first = None;
        self.target.lost = Some(Lost { pid, loss, at: now, reported: false, after_reload });
        self.target.search = Some(Search { at: now + FIRST_SEARCH, attempt: 0 });
        self.target.on_probation = None;
        // The retry of a reload is for the process that is gone.
        if self.incident.is_some_and(|incident| incident.kind == Kind::Unverified) {
            self.retry = None;
        }
    }

    /// Returns how often the reload of `digest` has ended the application, which reads the last-known-good revision at its next start.
    fn fatal_ends(&self, digest: Digest) -> Option<u32> {
        let is_other = self.known_good.as_ref().is_some_and(|known_good| known_good.digest() != digest);
        if self.policy.publish && is_other { self.aftermath.ends_by(digest) } else { None }
    }

    /// Returns what is published, if its reload has ended the application.
    fn fatal_publication(&self) -> Option<Digest> {
        let published = self.published_since.as_ref().map(|(published, _)| published.digest());
        published.filter(|published| self.fatal_ends(*published).is_some())
    }

    /// Lets the new process run the last-known-good revision: the newest one has ended the last process, and is tried again after a while.
    fn spare(&mut self, now: Instant, pid: i32, ends: u32, effects: &mut Vec<Effect>) {
        let Some(incident) = self.incident else { return };
        let message = "the last process ended after it was reloaded with this content; the new one runs the last-known-good revision";
        let event = Event::new(Kind::Unverified).about(incident.about).message(message);
        let help = "see its own log for the reason: it may be unable to run this configuration";
        self.raise(now, incident.about, Event { pid: Some(pid), ..event.help(Some(help.to_owned())) }, effects);
        self.try_again(now, ends);
        self.reaffirm(effects);
    }

    /// Schedules the next try of a content that has ended the application so often: something else may have ended it.
    fn try_again(&mut self, now: Instant, ends: u32) {
        self.retry = backoff(Kind::Unverified, ends.saturating_sub(1)).map(|wait| now + wait);
    }

    /// The last reload of the target, which ends at `now`, if it may have ended by it, and no verification finds that out.
    fn ended_by_reload(&mut self, now: Instant) -> Option<ReloadBeforeEnd> {
        let reload = self.aftermath.ended(now)?;
        let digest = reload.digest;
        let is_verified = match &self.activity {
            Activity::Verifying { candidate, late: false, .. } => candidate.digest() == digest,
            _ => self.incident.is_some_and(|incident| incident.kind == Kind::Unverified && incident.about == digest),
        };
        if is_verified || reload.is_suspect() {
            self.aftermath.count_end(digest);
        }
        let is_live = self.known_good.as_ref().is_some_and(|known_good| known_good.digest() == digest);
        let is_fatal = reload.is_suspect() && is_live && !is_verified;
        if is_fatal && let Some(former) = self.aftermath.fail_trial() {
            self.known_good = Some(former);
        }
        let is_quiet = self.may_begin() && self.stop_by.is_none() && self.incident.is_none();
        (is_fatal && is_quiet).then_some(reload)
    }

    /// Decides about new workers that the gate did not cause: they run what is live, or it is unknown what they run.
    pub(super) fn weigh_renewal(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let Some(renewed) = self.target.renewed.take() else { return };
        let RenewedWorkers { pid, start, by_reload, during_scan } = renewed;
        if during_scan {
            self.target.renewed = Some(RenewedWorkers { during_scan: false, ..renewed });
            return self.settle.at(now);
        }
        if !self.lay_since(start) {
            return self.target_lost(now, pid, Loss::Renewed { since: None, by_reload }, effects);
        }
        if !by_reload {
            return;
        }
        let message =
            format!("pid {pid} has new workers that the gate did not cause; they have read the content that is live");
        let event = Event::new(Kind::TargetReplaced).message(message);
        effects.push(Effect::Report(Event { pid: Some(pid), level: Level::Info, ..event }));
    }

    /// Returns `true` if the content that is live has lain where the application reads it since `start`, without an event. Workers that
    /// started later run it, whether their master has read it again or not.
    fn lay_since(&self, start: Instant) -> bool {
        let Some(running) = self.running() else { return false };
        let is_quiet = self.policy.publish || !(self.stirred || self.without_events);
        is_quiet && self.seen_since(running.digest()).is_some_and(|since| since <= start)
    }

    pub(super) fn target_found(&mut self, now: Instant, result: Result<i32, TargetError>, effects: &mut Vec<Effect>) {
        if !matches!(self.activity, Activity::Seeking) {
            return;
        }
        self.activity = Activity::Idle;
        match result {
            Ok(pid) => self.target_returned(now, pid, effects),
            Err(_) if self.target.first.is_some_and(|first| !first.required) => self.target.end_first_search(),
            Err(target_error) => {
                self.target.on_probation = None;
                if let Some(search) = &mut self.target.search {
                    let pause = FIRST_SEARCH * 2_u32.saturating_pow(search.attempt.min(16));
                    (search.at, search.attempt) = (now + pause.min(LONGEST_SEARCH), search.attempt.saturating_add(1));
                }
                // The process that is found later has to be verified.
                self.reload_unproven |= self.target.first.take().is_some();
                self.still_lost(now, target_error, effects);
            }
        }
    }

    fn target_returned(&mut self, now: Instant, pid: i32, effects: &mut Vec<Effect>) {
        let has_ended = self.target.lost.is_some_and(|lost| lost.loss == Loss::Ended);
        let is_looping = self.target.crashes(now) >= CRASHES || self.target.crash_loop.is_some();
        if has_ended && is_looping && self.target.on_probation != Some(pid) {
            self.target.on_probation = Some(pid);
            self.target.search = Some(Search { at: now + CALM, attempt: 0 });
            if self.target.crash_loop.is_none() {
                self.target.crash_loop = Some(CrashLoop { until: now + LOOP_MEMORY, has_survivor: false });
                effects.push(Effect::Report(self.crash_loop(pid)));
            }
            return;
        }
        self.target.search = None;
        if self.target.first.take().is_some() {
            return;
        }
        if let Some(lost) = self.target.lost.take()
            && (!has_ended || self.target.is_successor_reported())
        {
            effects.push(Effect::Report(replaced(lost, pid, now)));
        }
        // The new process is a new question, also for a content that the old one did not take, unless that has ended it.
        let of_process = [Kind::Unverified, Kind::TargetMissing, Kind::TargetRefused];
        let about = self.incident.filter(|incident| of_process.contains(&incident.kind)).map(|incident| incident.about);
        if let Some(ends) = about.and_then(|about| self.fatal_ends(about)) {
            return self.spare(now, pid, ends, effects);
        }
        match &mut self.incident {
            Some(incident) if of_process.contains(&incident.kind) => {
                incident.attempt = 0;
                self.retry = Some(now);
            }
            Some(_) if self.policy.publish => match self.fatal_publication() {
                Some(about) => self.restore(about, effects),
                None => self.reaffirm(effects),
            },
            _ => self.settle.at(now),
        }
    }

    /// A reload has found the successor of the lost process before the search for it: it needs no other one.
    pub(super) fn successor_reloaded(&mut self, now: Instant, pid: i32, effects: &mut Vec<Effect>) {
        if self.target.crashes(now) >= CRASHES || self.target.crash_loop.is_some() {
            return;
        }
        // The lost process itself may have ended after its reload.
        if let Some(lost) = self.target.lost.take_if(|lost| lost.loss == Loss::Ended && lost.pid != pid) {
            self.target.search = None;
            effects.push(Effect::Report(replaced(lost, pid, now)));
            // It runs the last-known-good revision.
            let about = self.incident.map(|incident| incident.about).filter(|_| self.restoring.is_some());
            if let Some(ends) = about.and_then(|about| self.fatal_ends(about)) {
                self.try_again(now, ends);
            }
        }
    }

    fn still_lost(&mut self, now: Instant, target_error: TargetError, effects: &mut Vec<Effect>) {
        let kind = match target_error {
            // While an application starts again, its launcher or its old process is there for a moment.
            TargetError::Refused { .. } if !self.target.has_searched(CERTAIN) => return,
            TargetError::Starting { .. } if !self.target.has_searched(STARTED) => return,
            TargetError::Refused { .. } => Kind::TargetRefused,
            _ => Kind::TargetMissing,
        };
        let replaceable = [Kind::TargetMissing, Kind::TargetRefused, Kind::Unverified];
        let about = match (self.incident, self.desired()) {
            (Some(incident), _) if replaceable.contains(&incident.kind) => incident.about,
            (None, Some(desired)) => desired.digest(),
            (Some(incident), _) => {
                self.report_end(target_error, incident.kind, effects);
                if let Some(about) = self.fatal_publication() {
                    self.restore(about, effects);
                }
                return;
            }
            (None, None) => return,
        };
        let ended = self.target.lost.as_mut().and_then(|lost| Some((lost.pid, lost.after_reload.take()?)));
        if let Some((pid, reload)) = ended
            && reload.digest == about
        {
            let after = Duration::from_millis(u64::try_from(reload.after.as_millis()).unwrap_or(u64::MAX));
            let message = format!("pid {pid} ended {} after it was reloaded", humantime::format_duration(after));
            let help = "see its own log for the reason: it may be unable to run this configuration";
            self.raise_unverified(now, about, (message, help.to_owned()), effects);
            return self.restore(about, effects);
        }
        let (message, help, pid) = target_error.into_parts();
        let after_reload = self.incident.is_some_and(|incident| incident.kind == Kind::Unverified);
        let message = match self.target.lost {
            Some(Lost { pid, loss: Loss::Ended, .. }) if after_reload => {
                format!("pid {pid} has ended after the reload, and {message}")
            }
            Some(Lost { pid, loss: Loss::Ended, .. }) => format!("pid {pid} has ended, and {message}"),
            _ => message,
        };
        let (message, help) = match self.aftermath.reason(about) {
            Some(reason) => (
                format!("{message}; before that: {reason}"),
                format!("correct the configuration if the application cannot start with it; else {help}"),
            ),
            None => (message, help),
        };
        self.raise_missing(now, about, Event { pid, ..Event::new(kind).message(message).help(Some(help)) }, effects);
    }

    /// Reports, once, that the target has ended while an incident of another `kind` is open, which stays the reason why the newest
    /// content is not live.
    fn report_end(&mut self, target_error: TargetError, kind: Kind, effects: &mut Vec<Effect>) {
        let is_new = |lost: &&mut Lost| lost.loss == Loss::Ended && !lost.reported;
        let Some(lost) = self.target.lost.as_mut().filter(is_new) else { return };
        lost.reported = true;
        let (message, help, _) = target_error.into_parts();
        let message = format!("pid {} has ended, and {message}; the newest content is `{}`", lost.pid, kind.as_str());
        let (message, help) = match kind {
            Kind::Rejected if !self.policy.publish => (
                format!("{message}, so the application may be unable to start with it"),
                "correct the configuration; see the application's own log".to_owned(),
            ),
            _ => (message, help),
        };
        let event = Event::new(Kind::TargetReplaced).message(message).help(Some(help));
        effects.push(Effect::Report(Event { level: Level::Error, pid: Some(lost.pid), ..event }));
    }

    /// Reports that the target is missing; the search goes on, and nothing else is tried meanwhile.
    pub(super) fn raise_missing(&mut self, now: Instant, about: Digest, event: Event, effects: &mut Vec<Effect>) {
        self.raise(now, about, event.about(about), effects);
        self.retry = None;
        self.target.first = None;
        self.target.seek(now + FIRST_SEARCH * 2);
    }

    fn crash_loop(&self, pid: i32) -> Event {
        let (ends, window) = (self.target.ends.len(), humantime::format_duration(CRASH_WINDOW));
        let calm = humantime::format_duration(CALM);
        let message = format!(
            "the target is in a crash loop: {ends} ends within {window}; pid {pid} is watched until it has lived for {calm}"
        );
        let help = "see its own log for the reason; further ends are counted but not reported";
        let event = Event::new(Kind::TargetReplaced).message(message).help(Some(help.into()));
        Event { level: Level::Error, pid: Some(pid), ..event }
    }
}

fn replaced(lost: Lost, pid: i32, now: Instant) -> Event {
    let ago = humantime::format_duration(Duration::from_millis(
        u64::try_from(now.saturating_duration_since(lost.at).as_millis()).unwrap_or(u64::MAX),
    ));
    let message = match lost.loss {
        Loss::Ended => format!("pid {pid} took the place of pid {}, which ended {ago} ago", lost.pid),
        Loss::Executed => {
            format!("pid {} executed a program anew, so it may have read another configuration", lost.pid)
        }
        Loss::Renewed { .. } => format!(
            "pid {} has new workers that the gate did not cause (a signal of another program, or a crash of all workers), so it may have read another configuration",
            lost.pid
        ),
        Loss::Superseded => format!("pid {pid} takes over from pid {}, which started it", lost.pid),
    };
    Event { pid: Some(pid), ..Event::new(Kind::TargetReplaced).message(message) }
}
