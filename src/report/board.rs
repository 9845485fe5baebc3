//! The state of one gate, for every reader. IO: reads the clock.
//!
//! The gate's loop writes after each step, and a request reads; both run on the one thread. Nothing here wakes up by itself: durations
//! are computed when they are read.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use reload_gate_contract::Verdict;
use serde_json::Value;

use super::metrics::{Metrics, ReloadOutcome};
use super::status::{Decision, DeliveryStatus, GateStatus, RevisionStatus, RolloutStatus};
use super::{Event, Kind, Level, log};
use crate::flow::tree::Digest;
use crate::flow::watch::Mode;

/// The number of decisions that are kept.
const RECENT: usize = 20;

/// The state of the gate that is shown.
#[derive(Clone, Copy, Debug)]
pub struct BoardView {
    /// The revision that should be live.
    pub desired: Option<Digest>,
    /// The newest valid revision.
    pub validated: Option<Digest>,
    /// The revision that is live.
    pub running: Option<Digest>,
    /// True if an accepted revision is live.
    pub ready: bool,
    /// True if the newest revision is known to be live.
    pub live: bool,
    /// The report of why the desired revision is not live, and its revision.
    pub incident: Option<(Kind, Digest)>,
    /// The way in which changes are noticed.
    pub mode: Mode,
}

/// A revision, and the time since which it has had its state.
type Since = Option<(Digest, SystemTime)>;

#[derive(Debug)]
struct OpenIncident {
    of: (Kind, Digest),
    event: Event,
    at: SystemTime,
}

impl OpenIncident {
    /// The event as in the log, with the lines of its findings.
    fn object(&self, gate: &str) -> Value {
        let mut object = log::object(gate, &self.event, self.at);
        if let Some(shown) = self.event.shown.as_ref().filter(|shown| !shown.excerpts.is_empty()) {
            object["excerpts"] = serde_json::to_value(&shown.excerpts).unwrap_or_default();
        }
        object
    }
}

#[derive(Debug)]
struct BoardState {
    desired: Since,
    validated: Since,
    running: Since,
    ready: bool,
    mode: Mode,
    incident: Option<OpenIncident>,
    /// The time since which the desired revision has not been known to be live.
    diverged: Option<Instant>,
    /// True if the newest revision that could be tried is live; and the time of the last success.
    successful: Option<bool>,
    succeeded: Option<SystemTime>,
    /// The last report that may be of an open incident.
    reported: Option<(Event, SystemTime)>,
    recent: VecDeque<Decision>,
    rollout: Option<RolloutStatus>,
}

impl BoardState {
    /// After a roll-back, or a failed one, this is the report of the incident.
    fn become_of(&mut self, event: &Event, at: SystemTime) {
        let is_sequel = matches!(event.kind, Kind::Restored | Kind::Unverified);
        let unproven = |incident: &&mut OpenIncident| {
            incident.of.0 == Kind::Unverified && is_sequel && event.previous == Some(incident.of.1)
        };
        // The reason of an incident may become another one.
        let is_amended = |incident: &&mut OpenIncident| Some(incident.of) == event.digest.map(|of| (event.kind, of));
        if let Some(incident) = self.incident.as_mut().filter(|incident| unproven(incident) || is_amended(incident)) {
            (incident.event, incident.at) = (event.clone(), at);
        }
        // A pod that waits for its turn in a roll-out keeps the report of that.
        if event.kind == Kind::Degraded && event.level > Level::Info {
            self.degrade(event, at);
        }
    }

    /// The one report says what runs instead, and why the newest revision does not.
    fn degrade(&mut self, event: &Event, at: SystemTime) {
        // The incident of this step is not shown yet.
        let reported = self.reported.as_mut().map(|(event, at)| (event, at));
        let shown = self.incident.as_mut().map(|incident| (&mut incident.event, &mut incident.at));
        if let Some((incident, since)) = shown.or(reported) {
            let reason = incident.message.as_deref().unwrap_or(incident.kind.as_str());
            // An earlier report of this kind is over: its cause remains.
            let cause = match reason.rsplit_once(NOT_LIVE) {
                Some((_, cause)) if incident.kind == Kind::Degraded => cause.to_owned(),
                _ => format!("`{}`): {reason}", incident.kind.as_str()),
            };
            let message = format!("{}{NOT_LIVE}{cause}", event.message.as_deref().unwrap_or_default());
            *incident = Event { kind: event.kind, level: event.level, message: Some(message), ..incident.clone() };
            *since = at;
        }
    }
}

/// The words between what runs and the cause.
const NOT_LIVE: &str = "; the newest is not live (";

/// The status board of one gate.
#[derive(Debug)]
pub struct StatusBoard {
    gate: String,
    metrics: Rc<Metrics>,
    state: RefCell<BoardState>,
    alerts: RefCell<Vec<DeliveryStatus>>,
}

impl StatusBoard {
    /// Returns an empty board for the gate called `gate`.
    #[must_use]
    pub fn new(gate: &str, metrics: Rc<Metrics>) -> Self {
        metrics.begin(gate);
        let state = BoardState {
            desired: None,
            validated: None,
            running: None,
            ready: false,
            mode: Mode::Inotify,
            incident: None,
            diverged: Some(Instant::now()),
            successful: None,
            succeeded: None,
            reported: None,
            recent: VecDeque::new(),
            rollout: None,
        };
        Self { gate: gate.to_owned(), metrics, state: RefCell::new(state), alerts: RefCell::default() }
    }

    /// Takes a report of the gate.
    pub fn report(&self, event: &Event) {
        let now = SystemTime::now();
        if event.kind == Kind::Unchanged {
            // Repeated writes without a change would push the decisions out.
            return self.metrics.unchanged(&self.gate);
        }
        let mut state = self.state.borrow_mut();
        if state.recent.len() == RECENT {
            state.recent.pop_front();
        }
        state.recent.push_back(Decision::new(event, now));
        let stands = [
            Kind::Rejected,
            Kind::Inconclusive,
            Kind::Unverified,
            Kind::TargetMissing,
            Kind::TargetRefused,
            Kind::Deferred,
            Kind::RolloutWaiting,
            Kind::RolloutRefused,
        ];
        state.become_of(event, now);
        if stands.contains(&event.kind) {
            state.reported = Some((event.clone(), now));
        }
    }

    /// Counts the durations of validators.
    pub fn took(&self, took: &[(String, Duration)]) {
        self.metrics.took(&self.gate, took);
    }

    /// Counts the gate's verdict on a revision.
    pub fn count_verdict(&self, verdict: Verdict) {
        self.metrics.count_verdict(&self.gate, verdict);
    }

    /// Counts a reload by its outcome.
    pub fn reloaded(&self, outcome: ReloadOutcome) {
        self.metrics.reloaded(&self.gate, outcome);
    }

    /// Counts a target process that ended or was replaced.
    pub fn target_lost(&self) {
        self.metrics.target_lost(&self.gate);
    }

    /// Shows the number of workers that are left of earlier reloads.
    pub fn lingering(&self, workers: usize) {
        self.metrics.lingering(&self.gate, workers);
    }

    /// Shows the state of the gate. Called after each step and after the reports of that step.
    pub fn show(&self, view: BoardView) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        follow(&mut state.desired, view.desired);
        follow(&mut state.validated, view.validated);
        if follow(&mut state.running, view.running) {
            state.succeeded = state.running.map(|(_, since)| since).or(state.succeeded);
        }
        (state.ready, state.mode) = (view.ready, view.mode);
        let live = view.live;
        if live {
            state.diverged = None;
        } else {
            state.diverged.get_or_insert_with(Instant::now);
        }
        // A validation that was inconclusive, or a missing target, was no attempt: an application that starts later than the gate is
        // no failure.
        match view.incident {
            _ if live => state.successful = Some(true),
            Some((Kind::Rejected | Kind::Unverified | Kind::RolloutRefused, _)) => state.successful = Some(false),
            _ => {}
        }
        let reported = state.reported.take();
        if state.incident.as_ref().map(|incident| incident.of) != view.incident {
            state.incident = view.incident.and_then(|of| {
                let (event, at) = reported.filter(|(event, _)| event.kind == of.0)?;
                Some(OpenIncident { of, event, at })
            });
        }
    }

    /// Shows the roll-out of the gate's group.
    pub fn show_rollout(&self, rollout: RolloutStatus) {
        self.state.borrow_mut().rollout = Some(rollout);
    }

    /// Returns the roll-out of the gate's group.
    #[must_use]
    pub fn rollout(&self) -> Option<RolloutStatus> {
        self.state.borrow().rollout.clone()
    }

    /// Shows the state of a sink, in place of its earlier state.
    pub fn show_alert(&self, alert: DeliveryStatus) {
        let mut alerts = self.alerts.borrow_mut();
        match alerts.iter_mut().find(|shown| shown.sink == alert.sink) {
            Some(shown) => *shown = alert,
            None => alerts.push(alert),
        }
    }

    /// Returns the state as a value.
    #[must_use]
    pub fn status(&self) -> GateStatus {
        let state = self.state.borrow();
        let content = |since: Since| since.map(|(digest, since)| RevisionStatus::new(digest, since));
        GateStatus {
            gate: self.gate.clone(),
            ready: state.ready,
            live: state.diverged.is_none(),
            desired: content(state.desired),
            validated: content(state.validated),
            running: content(state.running),
            diverged_seconds: self.diverged().as_secs_f64(),
            watch_mode: state.mode.as_str().to_owned(),
            standing: state.incident.as_ref().map(|incident| incident.object(&self.gate)),
            rollout: state.rollout.clone(),
            alerts: self.alerts.borrow().clone(),
            recent: state.recent.iter().cloned().collect(),
        }
    }

    /// Returns the name of the gate.
    #[must_use]
    pub fn gate(&self) -> &str {
        &self.gate
    }

    /// Returns the time for which the desired revision has not been known to be live.
    pub(super) fn diverged(&self) -> Duration {
        self.state.borrow().diverged.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Returns true if the newest revision that could be tried is live, and the time of the last success.
    pub(super) fn success(&self) -> (Option<bool>, Option<SystemTime>) {
        let state = self.state.borrow();
        (state.successful, state.succeeded)
    }

    /// Returns the kind of the open incident.
    pub(super) fn incident(&self) -> Option<Kind> {
        self.state.borrow().incident.as_ref().map(|incident| incident.event.kind)
    }

    pub(super) fn mode(&self) -> Mode {
        self.state.borrow().mode
    }

    /// Returns the revisions by the names of their states.
    pub(super) fn contents(&self) -> [(&'static str, Option<Digest>); 3] {
        let state = self.state.borrow();
        let digest = |since: Since| since.map(|(digest, _)| digest);
        [("desired", digest(state.desired)), ("validated", digest(state.validated)), ("running", digest(state.running))]
    }
}

/// Returns true if `shown` was another revision.
fn follow(shown: &mut Since, digest: Option<Digest>) -> bool {
    let changed = shown.map(|(digest, _)| digest) != digest;
    if changed {
        *shown = digest.map(|digest| (digest, SystemTime::now()));
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rolled_back_revision_is_shown_until_another_incident() {
        let [good, tried] = [b"good", b"newr"].map(|content| Digest::of(content));
        let board = StatusBoard::new("web", Rc::new(Metrics::new()));
        let show = |incident| {
            let (desired, running) = (Some(tried), Some(good));
            board.show(BoardView {
                desired,
                validated: desired,
                running,
                ready: true,
                live: false,
                incident,
                mode: Mode::Inotify,
            });
            board.incident()
        };
        let unproven = Some((Kind::Unverified, tried));
        board.report(&Event::new(Kind::Unverified).about(tried));
        assert_eq!(show(unproven), Some(Kind::Unverified));
        let restored = Event { previous: Some(tried), ..Event::new(Kind::Restored).about(good) };
        board.report(&restored);
        assert_eq!(show(unproven), Some(Kind::Restored));
        assert_eq!(board.status().reported(), "restored");
        // The gate tries the revision again, and rolls it back again.
        board.report(&Event::new(Kind::Reloaded).about(tried));
        assert_eq!(show(unproven), Some(Kind::Restored));
        board.report(&Event { previous: Some(tried), ..Event::new(Kind::Unverified).about(good) });
        assert_eq!(show(unproven), Some(Kind::Unverified), "it could not be taken back");
        board.report(&Event { previous: Some(good), ..restored });
        assert_eq!(show(unproven), Some(Kind::Unverified), "that was another one");
        assert_eq!(show(None), None);
    }

    #[test]
    fn an_incident_has_its_newest_reason() {
        let tried = Digest::of(b"newr");
        let board = StatusBoard::new("web", Rc::new(Metrics::new()));
        let view = BoardView {
            desired: Some(tried),
            validated: Some(tried),
            running: None,
            ready: true,
            live: false,
            incident: Some((Kind::Unverified, tried)),
            mode: Mode::Inotify,
        };
        let reasons = ["no new worker", "pid 7 refused the reload"].map(|reason| {
            board.report(&Event::new(Kind::Unverified).about(tried).message(reason));
            board.show(view);
            board.status().standing.expect("it is open")["message"].clone()
        });
        assert_eq!(reasons, ["no new worker", "pid 7 refused the reload"]);
        board.report(&Event::new(Kind::Unverified).about(Digest::of(b"good")).message("about another one"));
        board.show(view);
        assert_eq!(board.status().standing.expect("it is open")["message"], "pid 7 refused the reload");
    }

    /// The obstacle to the known-good revision is over when that is published.
    #[test]
    fn the_report_of_the_known_good_revision_has_one_cause() {
        let tried = Digest::of(b"newr");
        let board = StatusBoard::new("web", Rc::new(Metrics::new()));
        board.report(&Event::new(Kind::RolloutRefused).about(tried).message("its application ended"));
        let incident = Some((Kind::RolloutRefused, tried));
        board.show(BoardView {
            desired: Some(tried),
            validated: Some(tried),
            running: None,
            ready: true,
            live: false,
            incident,
            mode: Mode::Inotify,
        });
        for message in ["cannot publish it: no process", "cannot publish it: two families", "running the known-good"] {
            board.report(&Event::new(Kind::Degraded).message(message));
        }
        board.report(&Event { level: Level::Info, ..Event::new(Kind::Degraded).message("its turn comes") });
        let standing = board.status().standing.expect("it is open");
        let expected = "running the known-good; the newest is not live (`rollout_refused`): its application ended";
        assert_eq!(standing["message"], expected);
    }
}
