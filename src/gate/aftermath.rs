//! The aftermath of a reload: the application may end by the content that it was reloaded with.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::flow::tree::{Digest, Revision};

/// A process that ends within this time of a reload may have ended by it.
const AFTERMATH: Duration = Duration::from_secs(3);

/// The state of the last reload.
#[derive(Clone, Debug, Default)]
pub(super) struct Aftermath {
    /// The content of the last reload and its time, until the process ends.
    reload: Option<(Digest, Instant)>,
    /// The content whose reload has ended the application, and how often.
    fatal: Option<(Digest, u32)>,
    /// The content that was not verified last, and the reason.
    unverified: Option<(Digest, String)>,
    trial: Option<Trial>,
}

/// The time in which a content without a proof is no last-known-good revision yet.
#[derive(Clone, Debug)]
struct Trial {
    until: Instant,
    /// The last-known-good revision before.
    former: Option<Arc<Revision>>,
}

/// The last reload of a process that has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReloadBeforeEnd {
    pub(super) digest: Digest,
    /// The time from the reload to the end.
    pub(super) after: Duration,
}

impl ReloadBeforeEnd {
    /// Returns `true` if the process may have ended by the reload.
    pub(super) fn is_suspect(&self) -> bool {
        self.after <= AFTERMATH
    }
}

impl Aftermath {
    /// Takes in a reload. A process that `restarts` by it has no aftermath: its end is what the reload is for.
    pub(super) fn reloaded(&mut self, now: Instant, digest: Digest, restarts: bool) {
        self.reload = (!restarts).then_some((digest, now));
    }

    /// Takes in the end of the process, and returns its last reload.
    pub(super) fn ended(&mut self, now: Instant) -> Option<ReloadBeforeEnd> {
        let (digest, at) = self.reload.take()?;
        Some(ReloadBeforeEnd { digest, after: now - at })
    }

    /// Counts an end of the application by the reload of `digest`.
    pub(super) fn count_end(&mut self, digest: Digest) {
        self.fatal = Some((digest, self.ends_by(digest).unwrap_or(0).saturating_add(1)));
    }

    /// Returns how often the reload of `digest` has ended the application, if it has.
    pub(super) fn ends_by(&self, digest: Digest) -> Option<u32> {
        self.fatal.filter(|(fatal, _)| *fatal == digest).map(|(_, ends)| ends)
    }

    /// Takes in that the reload of `digest` was not verified.
    pub(super) fn was_unverified(&mut self, digest: Digest, reason: String) {
        self.unverified = Some((digest, reason));
    }

    /// Returns the reason why the reload of `digest` was not verified, if it was the last one that was not.
    pub(super) fn reason(&self, digest: Digest) -> Option<&str> {
        self.unverified.as_ref().filter(|(unverified, _)| *unverified == digest).map(|(_, reason)| reason.as_str())
    }

    /// Takes in that a content is live.
    pub(super) fn is_live(&mut self) {
        self.unverified = None;
    }

    /// Begins the trial of a content that was reloaded without a proof; `former` is the last-known-good revision before.
    pub(super) fn begin_trial(&mut self, now: Instant, former: Option<Arc<Revision>>) {
        let former = self.trial.take().map_or(former, |trial| trial.former);
        self.trial = Some(Trial { until: now + AFTERMATH, former });
    }

    /// Returns the end of the trial that is under way.
    pub(super) fn trial_end(&self) -> Option<Instant> {
        self.trial.as_ref().map(|trial| trial.until)
    }

    /// Returns `true` if a content is on trial.
    pub(super) fn is_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// Ends the trial, which the content has passed.
    pub(super) fn end_trial(&mut self) {
        self.trial = None;
    }

    /// Ends the trial, which the content has failed; returns the last-known-good revision before. Without one, the trial goes on.
    pub(super) fn fail_trial(&mut self) -> Option<Arc<Revision>> {
        self.trial.take_if(|trial| trial.former.is_some())?.former
    }
}
