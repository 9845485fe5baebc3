//! The state machine of one gate. Pure: it does no IO and reads no clock.
//!
//! [`Gate::step`] takes an [`Input`] and returns [`Effect`]s; [`Gate::deadline`] is the time of the next [`Input::Tick`] if nothing
//! happens before. One effect of the flow is in flight at a time, with one mark "scan again" behind it and never a queue: the
//! newest content wins, and the last change is never lost.
//!
//! | activity | input | next |
//! |---|---|---|
//! | idle | event, poll, retry or SIGHUP is due | scanning |
//! | idle | the search for a lost target, or for the first one, is due | seeking |
//! | scanning | content is live, or waits for its retry | idle |
//! | scanning | content is new, its retry is due, or it was rejected and a user asks | validating |
//! | scanning | unreadable | idle, with an incident |
//! | scanning | in the middle of an update | idle, with another scan due at once |
//! | scanning | changed after each of the last actions | idle for a trial; then ignored with an incident, or validating |
//! | validating | accepted, rejected or inconclusive | confirming; with publishing the verdict applies at once |
//! | validating | target missing or refused | idle, with an incident |
//! | confirming | same content, accepted | reloading |
//! | confirming | same content, not accepted | idle, with an incident |
//! | confirming | another content | idle, with another scan due |
//! | publishing | published | reloading, or idle until the bounds permit a reload |
//! | publishing | failed | idle, with an incident |
//! | idle | the scan of a poll is over, and something is published | comparing |
//! | comparing | nothing differs | idle; what could not be kept as the last-known-good revision is kept again |
//! | comparing | another program changed it | publishing it again, and reloading it |
//! | reloading | requested, or not needed | verifying |
//! | reloading | target missing | idle, with an incident and a search for the target |
//! | reloading | target refused, busy or failed | idle, with an incident; after a failure with publishing: publishing the last-known-good |
//! | verifying | proven, or no verification is configured | concluding; with publishing idle, live |
//! | verifying | not proven | late verifying, with an incident; with publishing: publishing the last-known-good |
//! | late verifying | proven | concluding |
//! | late verifying | anything is due | abandoned; as if idle |
//! | concluding | same content | idle, live |
//! | concluding | another content | idle, with another scan due; the running content is unknown |
//! | validating, confirming | accepted, and the group of pods has not permitted it | idle, until it does |
//! | idle | nothing is published, and the newest content is rejected or waits for its group | falling back |
//! | falling back | the known-good revision of the cluster is published | reloading it, with the incident open |
//! | seeking | found | idle, with a scan due unless it is the first one; in a crash loop idle until it has lived for a while |
//! | seeking | not found | idle, with an incident, until the next search |
//! | any | target lost | unchanged; the running content is unknown and a search is due |
//! | any | stop | finished, when the effect in flight is done or the grace period is over |

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::flow::settle::Settle;
use crate::flow::tree::{Digest, Revision};
use crate::flow::validate::Validation;
use crate::report::{Event, Kind};

mod aftermath;
mod bounds;
mod incident;
mod motion;
mod permission;
mod protocol;
mod publishing;
mod reloading;
mod scanning;
mod target;
mod verdict;

pub use bounds::Budget;
pub use incident::Incident;
pub use permission::FallenBack;
pub use protocol::{Effect, Extent, Input, Loss, Policy, ReloadRequest};
pub use publishing::not_kept;

use aftermath::Aftermath;
use bounds::ReloadBounds;
use motion::Motion;
use permission::Permission;
use publishing::{Alteration, Unkept};
use scanning::Seen;
use target::TargetState;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod traces;
#[cfg(test)]
mod world;

/// The cause of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Event,
    Poll,
    Retry,
}

/// The one effect in flight.
#[derive(Clone, Debug)]
enum Activity {
    Idle,
    Scanning(Reason),
    Validating(Arc<Revision>),
    /// The scan after validation: it confirms that the content is the same.
    Confirming(Arc<Revision>, Validation),
    Publishing(Arc<Revision>),
    /// The published files are compared with those that the gate published.
    Comparing,
    Reloading(Arc<Revision>),
    Verifying {
        candidate: Arc<Revision>,
        late: bool,
        /// The evidence that the process has read the candidate at its start.
        read_at_start: Option<String>,
        /// The signal makes the process end, and a successor start.
        restarts: bool,
    },
    /// The scan after the proof, before it is reported: it confirms that the application read this content.
    Concluding(Arc<Revision>, Event),
    /// The target is gone, and its successor is sought.
    Seeking,
    /// The known-good revision of the cluster is read, validated and published.
    FallingBack,
    Finished,
}

/// A proof that is reported when it is known whether the reload has changed files.
#[derive(Clone, Debug)]
struct Withheld {
    candidate: Arc<Revision>,
    proof: Event,
    until: Instant,
}

/// The state machine of one gate.
#[derive(Clone, Debug)]
pub struct Gate {
    policy: Policy,
    settle: Settle,
    activity: Activity,
    desired: Option<Arc<Revision>>,
    /// The last scan could not read the sources, so the desired content is unknown.
    unreadable: bool,
    /// A user has asked for a scan, and no content was decided on since.
    requested: bool,
    /// [`Kind::Accepted`] was reported for `desired`: once is enough, although a reload is tried again.
    announced: bool,
    /// The time at which the candidate was put in place, by the scan that began its flight.
    delivered: SystemTime,
    /// The same time of the content that was reloaded last.
    reloaded_delivery: SystemTime,
    repeated: u32,
    /// The content that lies in the sources, by the gate's own observation.
    seen: Option<Seen>,
    /// Something changed under a source since the last scan.
    stirred: bool,
    /// Something else than the update of a volume may have changed since the last scan of everything.
    unseen: bool,
    /// The content that was accepted last.
    validated: Option<Arc<Revision>>,
    /// Something accepted is where the application reads it.
    published: bool,
    /// The content that was published last, and the time since which it has been.
    published_since: Option<(Arc<Revision>, Instant)>,
    /// A comparison of the published files is due.
    comparison_due: bool,
    alteration: Alteration,
    /// The live revision, if it could not be kept as the last-known-good one.
    unkept: Option<Unkept>,
    /// The time of the first step.
    start: Instant,
    known_good: Option<Arc<Revision>>,
    /// A reload was requested and not proven, or the target was lost: another content than the known good may run.
    reload_unproven: bool,
    /// The application may have read a content that was not accepted: it changed while the application read it.
    read_unvalidated: bool,
    aftermath: Aftermath,
    withheld: Option<Withheld>,
    /// The content that the last-known-good revision is replacing, because it was not verified.
    restoring: Option<Digest>,
    /// The published content is being published again, since another program changed it.
    repairing: bool,
    /// The published content is being verified for a new target process, although it is not the newest.
    reaffirming: bool,
    target: TargetState,
    bounds: ReloadBounds,
    permission: Permission,
    motion: Motion,
    /// The reason why the last content was rejected that changed during its validation, if it was.
    interrupted: Option<String>,
    /// The subject of the incident about files that change because of the gate.
    motion_report: Option<Digest>,
    /// The main file of the desired content.
    main: Option<PathBuf>,
    /// The content with a deferred reload, and the time since when.
    deferred: Option<(Digest, Instant)>,
    incident: Option<Incident>,
    retry: Option<Instant>,
    next_poll: Option<Instant>,
    /// Set while the kernel's events are unavailable.
    without_events: bool,
    moving_since: Option<Instant>,
    stop_by: Option<Instant>,
}

impl Gate {
    /// A gate whose first scan is due at `now`.
    #[must_use]
    pub fn new(policy: Policy, now: Instant) -> Self {
        let mut settle = Settle::new(policy.quiet);
        settle.at(now);
        Self {
            policy,
            settle,
            activity: Activity::Idle,
            desired: None,
            unreadable: false,
            requested: false,
            announced: false,
            delivered: SystemTime::UNIX_EPOCH,
            reloaded_delivery: SystemTime::UNIX_EPOCH,
            repeated: 0,
            seen: None,
            stirred: false,
            unseen: true,
            validated: None,
            published: false,
            published_since: None,
            comparison_due: false,
            alteration: Alteration::None,
            unkept: None,
            start: now,
            known_good: None,
            reload_unproven: false,
            read_unvalidated: false,
            aftermath: Aftermath::default(),
            withheld: None,
            restoring: None,
            repairing: false,
            reaffirming: false,
            target: TargetState::default(),
            bounds: ReloadBounds::default(),
            permission: Permission::default(),
            motion: Motion::default(),
            interrupted: None,
            motion_report: None,
            main: None,
            deferred: None,
            incident: None,
            retry: None,
            next_poll: None,
            without_events: false,
            moving_since: None,
            stop_by: None,
        }
    }

    /// Resumes from the revision that an earlier gate published and verified; `live` if that is still published.
    #[must_use]
    pub fn resume(self, known_good: Arc<Revision>, live: bool) -> Self {
        let published_since = live.then(|| (known_good.clone(), self.start));
        Self { known_good: Some(known_good), reload_unproven: !live, published_since, ..self }
    }

    /// Resumes where an earlier gate published something accepted already.
    #[must_use]
    pub fn published_before(self) -> Self {
        Self { published: true, ..self }
    }

    /// Lets the gate find and watch its target at the start: it may have nothing to reload for a long time. A target that is missing
    /// is reported if it is `required` for a reload.
    #[must_use]
    pub fn watch_target(mut self, required: bool) -> Self {
        self.target.seek_first(self.start, required);
        self
    }

    /// The content that should be live: the newest that could be read.
    #[must_use]
    pub fn desired(&self) -> Option<&Revision> {
        self.desired.as_deref()
    }

    /// The content that is known to be live.
    #[must_use]
    pub fn running(&self) -> Option<&Revision> {
        self.known_good.as_deref().filter(|_| !self.reload_unproven)
    }

    /// The last content that was proven to be live.
    #[must_use]
    pub fn known_good(&self) -> Option<&Revision> {
        self.known_good.as_deref()
    }

    /// The newest content that is known to be valid.
    #[must_use]
    pub fn validated(&self) -> Option<&Revision> {
        self.validated.as_deref().or(self.known_good())
    }

    /// Returns `true` if the newest content is known to be live. Files that only move because of the gate are no newer content.
    #[must_use]
    pub fn is_live(&self) -> bool {
        let (Some(running), Some(desired)) = (self.running(), self.desired()) else { return false };
        let is_explained = self.incident.is_none_or(|incident| self.is_about_motion(incident));
        !self.unreadable && is_explained && running == desired
    }

    /// Returns `true` if anything that was accepted is live: the application runs it, or reads it at its next start.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.published || self.known_good.is_some()
    }

    /// The reason why the newest content is not live, if it is not.
    #[must_use]
    pub fn incident(&self) -> Option<Incident> {
        self.incident
    }

    /// The time at which to call [`Gate::step`] with [`Input::Tick`] unless something happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.activity {
            Activity::Finished => None,
            _ if self.may_begin() => self.next_due().into_iter().chain(self.stop_by).min(),
            _ => self.stop_by,
        }
    }

    /// Takes in what happened at `now` and returns the effects, in order.
    pub fn step(&mut self, now: Instant, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Tick => {}
            Input::Stop => {
                self.stop_by.get_or_insert(now + self.policy.grace);
            }
            Input::WatchEvent(hint) => self.watch_event(now, hint),
            Input::Degraded { message, polling } => self.degraded(now, message, polling, &mut effects),
            Input::Rescan => {
                (self.unseen, self.requested, self.comparison_due) = (true, true, true);
                self.settle.at(now);
            }
            Input::WatchRestored => self.watch_restored(now, &mut effects),
            Input::Scanned(scan) => self.scanned(now, scan, &mut effects),
            Input::Validated(result) => self.validated_candidate(now, result, &mut effects),
            Input::Published(result) => self.published(now, result, &mut effects),
            Input::Compared(difference) => self.compared(difference, &mut effects),
            Input::Kept { digest, result } => self.kept(digest, result, &mut effects),
            Input::Reloaded(result) => self.reloaded(now, result, &mut effects),
            Input::Verified(proof) => self.verified(now, proof, &mut effects),
            Input::TargetLost { pid, loss } => self.target_lost(now, pid, loss, &mut effects),
            Input::TargetFound(result) => self.target_found(now, result, &mut effects),
            Input::Permit { digest, until } => self.permit(now, digest, until),
            Input::Hold { digest, reason } => self.hold(now, digest, reason, &mut effects),
            Input::Refuse { digest, reason, own, group } => {
                self.refuse(now, digest, reason, (own, &group), &mut effects);
            }
            Input::FellBack(result) => self.fell_back(now, result, &mut effects),
        }
        self.advance(now, &mut effects);
        effects
    }

    /// Nothing is in flight, or nothing that could not be abandoned.
    fn may_begin(&self) -> bool {
        matches!(self.activity, Activity::Idle | Activity::Verifying { late: true, .. })
    }

    fn next_due(&self) -> Option<Instant> {
        let fall_back = self.permission.fall_back;
        let trial = self.aftermath.trial_end();
        [self.settle.due(), self.target.due(), self.retry, self.next_poll, fall_back, trial].into_iter().flatten().min()
    }

    /// Starts what is due, if nothing is in flight.
    fn advance(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if matches!(self.activity, Activity::Finished) {
            return;
        }
        let is_over = self.aftermath.trial_end().is_some_and(|end| end <= now || self.stop_by.is_some());
        if is_over && self.may_begin() {
            self.keep(effects);
        }
        if self.stop_by.is_some() {
            if self.may_begin() || due(self.stop_by) {
                let event = Event::new(Kind::Stopped);
                let in_time = self.may_begin();
                self.abandon(effects);
                let report = if in_time { event } else { event.message("the time to finish was over") };
                effects.push(Effect::Report(report));
                self.finish(effects);
            }
            return;
        }
        if !self.may_begin() || !due(self.next_due()) {
            return;
        }
        self.abandon(effects);
        // Events that never end, as those of a checker that touches its sources, starve no search that was due before.
        let seeks_first = due(self.target.due()) && self.target.due() < self.settle.due();
        if due(self.settle.due()) && !seeks_first {
            self.scan(now, Reason::Event, effects);
        } else if due(self.permission.fall_back) {
            self.begin_fall_back(effects);
        } else if due(self.target.due()) {
            self.begin(Effect::FindTarget, Activity::Seeking, effects);
        } else if due(self.retry) {
            self.scan(now, Reason::Retry, effects);
        } else {
            effects.push(Effect::CheckTarget);
            self.scan(now, Reason::Poll, effects);
        }
    }

    /// Ends a late verification.
    fn abandon(&mut self, effects: &mut Vec<Effect>) {
        if matches!(self.activity, Activity::Verifying { late: true, .. }) {
            effects.push(Effect::Abandon);
            self.activity = Activity::Idle;
        }
    }

    fn scan(&mut self, now: Instant, reason: Reason, effects: &mut Vec<Effect>) {
        self.settle.clear();
        self.next_poll = Some(now + self.poll());
        // A poll and a retry are for what no event announced.
        self.unseen |= reason != Reason::Event;
        self.comparison_due |= reason == Reason::Poll;
        self.begin(Effect::Scan(self.extent()), Activity::Scanning(reason), effects);
    }

    /// Returns how much the next scan has to read.
    fn extent(&self) -> Extent {
        if self.unseen { Extent::Whole } else { Extent::Newest }
    }

    /// Puts an effect in flight, except after [`Input::Stop`].
    fn begin(&mut self, effect: Effect, activity: Activity, effects: &mut Vec<Effect>) {
        if matches!(self.activity, Activity::Finished) {
            return;
        }
        if self.stop_by.is_some() {
            self.activity = Activity::Idle;
        } else {
            self.activity = activity;
            effects.push(effect);
        }
    }

    /// Ends a gate that decides once.
    fn end_once(&mut self, effects: &mut Vec<Effect>) {
        if self.policy.once && !matches!(self.activity, Activity::Finished) {
            self.finish(effects);
        }
    }

    /// Ends the gate.
    fn finish(&mut self, effects: &mut Vec<Effect>) {
        effects.push(Effect::Finish);
        self.activity = Activity::Finished;
    }
}
