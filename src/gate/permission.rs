//! Permissions: with a roll-out, an accepted content waits until the group of pods permits its reload; and the known-good revision of the
//! cluster, where nothing else could be published.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use reload_gate_contract::Finding;

use super::{Activity, Effect, Gate};
use crate::flow::tree::{Digest, Revision};
use crate::report::{Event, Kind, Level};

/// The pause before the known-good revision of the cluster is sought again.
const FALL_BACK_AGAIN: Duration = Duration::from_secs(10);

/// The answer of the group about a content, as far as the gate knows it.
#[derive(Clone, Debug, Default)]
pub(super) struct Permission {
    /// The content that waits for a permission.
    asks: Option<Arc<Revision>>,
    /// The content that may be reloaded, if that begins before the time.
    permit: Option<(Digest, Instant)>,
    /// The content that the group refuses.
    refused: Option<Digest>,
    /// The last reload that the application did not take, and the number of such reloads.
    failure: Option<ReloadFailure>,
    /// The number of times that the application ended.
    pub(super) ends: u32,
    /// The time at which the known-good revision of the cluster is sought.
    pub(super) fall_back: Option<Instant>,
    /// The last reason why it could not be published.
    obstacle: Option<String>,
}

/// A reload that the application did not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReloadFailure {
    /// The content.
    pub digest: Digest,
    /// The reason.
    pub message: String,
    /// The number of such reloads so far.
    pub count: u64,
}

/// The known-good revision of the cluster, which is published now.
#[derive(Debug)]
pub struct FallenBack {
    /// The revision.
    pub revision: Arc<Revision>,
    /// The time at which some pod stored it.
    pub stored: SystemTime,
}

impl Permission {
    pub(super) fn failed(&mut self, digest: Digest, message: String) {
        let count = self.failure.as_ref().map_or(0, |failure| failure.count) + 1;
        self.failure = Some(ReloadFailure { digest, message, count });
        self.permit = None;
    }

    /// Returns `true` if the known-good revision could not be published before for another reason.
    fn failure_of_fall_back(&mut self, finding: &Finding) -> bool {
        self.obstacle.replace(finding.message.clone()).as_ref() != Some(&finding.message)
    }

    /// Ends the permission, since its reload is over, or cannot begin.
    pub(super) fn end(&mut self) {
        self.permit = None;
    }

    /// Takes in that `digest` is not acceptable after all.
    pub(super) fn withdraw(&mut self, digest: Digest) {
        self.asks.take_if(|asks| asks.digest() == digest);
    }

    /// Takes in that another content is the newest.
    pub(super) fn move_on(&mut self, digest: Digest) {
        self.asks.take_if(|asks| asks.digest() != digest);
        // Its place in the group is given back: if it comes back it has to ask again.
        self.permit.take_if(|(permitted, _)| *permitted != digest);
        self.refused.take_if(|refused| *refused != digest);
    }

    pub(super) fn waits_with(&self, digest: Digest) -> bool {
        self.asks.as_ref().is_some_and(|asks| asks.digest() == digest)
    }

    pub(super) fn refuses(&self, digest: Digest) -> bool {
        self.refused == Some(digest)
    }
}

impl Gate {
    /// The content that waits for a permission.
    #[must_use]
    pub fn asks(&self) -> Option<Digest> {
        self.permission.asks.as_ref().map(|asks| asks.digest())
    }

    /// The content whose publication, reload or verification is under way.
    #[must_use]
    pub fn acting(&self) -> Option<Digest> {
        if self.restoring.is_some() || self.reaffirming || self.repairing {
            return None;
        }
        match &self.activity {
            Activity::Publishing(candidate)
            | Activity::Reloading(candidate)
            | Activity::Verifying { candidate, late: false, .. }
            | Activity::Concluding(candidate, _) => Some(candidate.digest()),
            _ => self.withheld.as_ref().map(|withheld| withheld.candidate.digest()),
        }
    }

    /// The last reload that the application did not take.
    #[must_use]
    pub fn failure(&self) -> Option<&ReloadFailure> {
        self.permission.failure.as_ref()
    }

    /// The number of times that the application ended.
    #[must_use]
    pub fn ends(&self) -> u32 {
        self.permission.ends
    }

    /// Returns `true` if `candidate` may be reloaded. What the application ran before is no news for it.
    pub(super) fn is_permitted(&self, now: Instant, candidate: &Revision) -> bool {
        let digest = candidate.digest();
        let is_known = || self.known_good.as_deref() == Some(candidate) && !self.permission.refuses(digest);
        let permit = self.permission.permit;
        !self.policy.permission || is_known() || permit.is_some_and(|(of, until)| of == digest && now < until)
    }

    /// Waits for a permission to reload `candidate`. The group reports the reason if it takes longer.
    pub(super) fn ask(&mut self, candidate: Arc<Revision>) {
        self.retry = None;
        self.permission.asks = Some(candidate);
    }

    /// Takes in that the reload of `candidate` begins.
    pub(super) fn go_ahead(&mut self, candidate: &Revision) {
        self.permission.withdraw(candidate.digest());
    }

    /// Permits the reload of `digest` if it begins before `until`.
    pub(super) fn permit(&mut self, now: Instant, digest: Digest, until: Instant) {
        let had = self.permission.permit.replace((digest, until));
        let was_permitted = had.is_some_and(|(of, until)| of == digest && now < until);
        let was_refused = self.permission.refused.take_if(|refused| *refused == digest).is_some();
        if was_refused || (!was_permitted && self.asks() == Some(digest)) {
            self.retry = Some(now);
        }
    }

    /// Reports, once, that `digest` has to wait.
    pub(super) fn hold(&mut self, now: Instant, digest: Digest, reason: String, effects: &mut Vec<Effect>) {
        let Some(asks) = self.permission.asks.clone().filter(|asks| asks.digest() == digest) else { return };
        let event = self.change(Kind::RolloutWaiting, &asks).message(reason);
        self.raise(now, digest, event, effects);
        self.fall_back_if_empty(now);
    }

    /// Reports, once, that the group refuses `digest`; `own` if this pod is the one that did not take it, and `group` its name.
    pub(super) fn refuse(
        &mut self,
        now: Instant,
        digest: Digest,
        reason: String,
        (own, group): (bool, &str),
        effects: &mut Vec<Effect>,
    ) {
        let Some(desired) = self.desired.clone().filter(|desired| desired.digest() == digest) else { return };
        (self.permission.permit, self.permission.refused) = (None, Some(digest));
        let has_it = self.known_good.as_ref().is_some_and(|known_good| known_good.digest() == digest);
        let help =
            format!("correct the configuration; or let the group try it again: `reload-gate rollout retry {group}`");
        let event = self.change(Kind::RolloutRefused, &desired).message(reason).help(Some(help));
        let previous = event.previous.filter(|previous| *previous != digest);
        self.raise(
            now,
            digest,
            Event { previous, level: if own { Level::Error } else { Level::Warn }, ..event },
            effects,
        );
        if !has_it {
            self.permission.asks = Some(desired);
        } else if self.policy.fallback && self.permission.fall_back.is_none() {
            self.permission.fall_back = Some(now);
        }
        self.fall_back_if_empty(now);
    }

    /// Seeks the known-good revision of the cluster if nothing is published.
    pub(super) fn fall_back_if_empty(&mut self, now: Instant) {
        if self.policy.fallback && !self.policy.once && !self.is_ready() {
            self.permission.fall_back.get_or_insert(now);
        }
    }

    /// Publishes the known-good revision of the cluster, unless something good is live by now.
    pub(super) fn begin_fall_back(&mut self, effects: &mut Vec<Effect>) {
        self.permission.fall_back = None;
        let refused = self.permission.refused;
        let is_good = |live: &Arc<Revision>| Some(live.digest()) != refused;
        if self.published && self.known_good.as_ref().is_none_or(is_good) {
            return;
        }
        self.begin(Effect::FallBack { refused }, Activity::FallingBack, effects);
    }

    pub(super) fn fell_back(
        &mut self,
        now: Instant,
        result: Result<Option<FallenBack>, Finding>,
        effects: &mut Vec<Effect>,
    ) {
        if !matches!(self.activity, Activity::FallingBack) {
            return;
        }
        self.activity = Activity::Idle;
        match result {
            Ok(Some(FallenBack { revision, stored })) => {
                let time = humantime::format_rfc3339_seconds(stored);
                let message = format!("running the known-good of {time}, the last revision that a pod has verified");
                let is_waiting = self.incident.is_some_and(|incident| incident.kind == Kind::RolloutWaiting);
                let (help, level) = if is_waiting {
                    ("the newest revision takes its place when the roll-out reaches this pod", Level::Info)
                } else {
                    (
                        "correct the configuration; the newest revision takes its place as soon as it is accepted",
                        Level::Warn,
                    )
                };
                let previous = self.incident.map(|incident| incident.about);
                let event =
                    Event::new(Kind::Degraded).about(revision.digest()).message(message).help(Some(help.into()));
                effects.push(Effect::Report(Event { previous, level, ..event }));
                (self.published, self.reload_unproven) = (true, true);
                self.published_since = Some((revision.clone(), now));
                if self.policy.reload { self.reaffirm(effects) } else { self.known_good = Some(revision) }
            }
            // No pod has verified anything yet.
            Ok(None) => {}
            Err(finding) => {
                if self.permission.failure_of_fall_back(&finding) {
                    let message = format!("cannot publish the known-good revision of the cluster: {}", finding.message);
                    let event = Event::new(Kind::Degraded).message(message).help(finding.help.clone());
                    effects.push(Effect::Report(Event { level: Level::Error, findings: vec![finding], ..event }));
                }
                self.permission.fall_back = Some(now + FALL_BACK_AGAIN);
            }
        }
    }
}
