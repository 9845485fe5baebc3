//! The requests of a pod to the API server: one at a time, and again after a pause.

use std::time::{Duration, Instant};

use super::RETRY;
use crate::flow::tree::Digest;

/// The time after which an API server that does not answer is reported.
const LOSS: Duration = Duration::from_secs(10);
/// The pause after a conflict, times a number between 0 and 1; doubled with each further one.
const CONFLICT: Duration = Duration::from_millis(40);

/// An API server that does not answer.
#[derive(Debug)]
struct ApiLoss {
    since: Instant,
    reason: String,
    is_reported: bool,
}

/// Conditions that an answer ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct AnswerEnds {
    /// The request before had no answer. No pod could give a sign of life in the time between.
    pub(super) after_silence: bool,
    /// The loss of the API server was reported.
    pub(super) after_loss: bool,
}

/// The requests of a pod.
#[derive(Debug)]
pub(super) struct LeaseRequests {
    in_flight: bool,
    /// The state is unknown, or may be older than the one in the cluster.
    must_read: bool,
    /// The version of the last reading, if its state was older than the known one.
    older: Option<String>,
    /// The time of the next request after a failure or a conflict.
    retry: Option<Instant>,
    failures: u32,
    conflicts: u32,
    /// The last request had no answer.
    unanswered: bool,
    loss: Option<ApiLoss>,
}

impl LeaseRequests {
    /// No request was sent yet; the first one reads.
    pub(super) fn new() -> Self {
        Self {
            in_flight: false,
            must_read: true,
            older: None,
            retry: None,
            failures: 0,
            conflicts: 0,
            unanswered: false,
            loss: None,
        }
    }

    /// Returns `true` if a request may be sent.
    pub(super) fn may_send(&mut self, now: Instant) -> bool {
        if !self.in_flight {
            self.retry.take_if(|retry| *retry <= now);
        }
        self.is_idle()
    }

    /// Takes in that a request was sent.
    pub(super) fn sent(&mut self) {
        self.in_flight = true;
    }

    /// Lets the next request read the state.
    pub(super) fn read_next(&mut self) {
        self.must_read = true;
    }

    /// Returns `true` if the next request has to read the state.
    pub(super) fn must_read(&self) -> bool {
        self.must_read
    }

    /// Takes in an answer.
    pub(super) fn answered(&mut self) -> AnswerEnds {
        (self.in_flight, self.retry, self.failures) = (false, None, 0);
        let after_loss = self.loss.take().is_some_and(|loss| loss.is_reported);
        AnswerEnds { after_silence: std::mem::take(&mut self.unanswered), after_loss }
    }

    /// Takes in that the state was read; `older` is its version if it is older than the known one. Such a state may be late, so it is read
    /// once more. Returns `true` if it was returned again: a person has put it in the place of the newer one.
    pub(super) fn was_read(&mut self, older: Option<String>) -> bool {
        let is_confirmed = older.is_some() && self.older == older;
        self.must_read = older.is_some() && !is_confirmed;
        self.older = older;
        is_confirmed
    }

    /// Takes in that the state was written.
    pub(super) fn was_written(&mut self) {
        self.conflicts = 0;
    }

    /// Takes in that another pod was faster; `chance` is a number between 0 and 1.
    pub(super) fn conflicted(&mut self, now: Instant, chance: f64) {
        self.must_read = true;
        let pause = CONFLICT * 2_u32.saturating_pow(self.conflicts.min(5));
        self.retry = Some(now + pause.mul_f64(chance));
        self.conflicts = self.conflicts.saturating_add(1);
    }

    /// Takes in that a request had no answer.
    pub(super) fn unanswered(&mut self) {
        (self.in_flight, self.unanswered) = (false, true);
    }

    /// Takes in that the API server did not answer, or refused. A pod with a place tries again soon; `chance` is a number between 0 and 1.
    pub(super) fn failed(&mut self, now: Instant, reason: String, has_place: bool, chance: f64) {
        let former = self.loss.take();
        let (since, is_reported) = former.map_or((now, false), |loss| (loss.since, loss.is_reported));
        self.loss = Some(ApiLoss { since, reason, is_reported });
        let wait = if has_place { RETRY.first } else { RETRY.wait(self.failures) };
        self.retry = Some(now + wait.mul_f64(0.5 + chance / 2.0));
        self.failures = self.failures.saturating_add(1);
    }

    /// Returns the reason of a loss that lasts for so long that it is reported now.
    pub(super) fn report_loss(&mut self, now: Instant) -> Option<String> {
        let loss = self.loss.as_mut().filter(|loss| !loss.is_reported && loss.since + LOSS <= now)?;
        loss.is_reported = true;
        Some(loss.reason.clone())
    }

    /// Returns the reason of a loss that was reported.
    pub(super) fn loss(&self) -> Option<&str> {
        self.loss.as_ref().filter(|loss| loss.is_reported).map(|loss| loss.reason.as_str())
    }

    /// Returns `true` if no request is in flight, and none waits for its pause.
    pub(super) fn is_idle(&self) -> bool {
        !self.in_flight && self.retry.is_none()
    }

    /// Returns the times at which something is due here.
    pub(super) fn due(&self) -> impl Iterator<Item = Instant> {
        let report = self.loss.as_ref().filter(|loss| !loss.is_reported).map(|loss| loss.since + LOSS);
        self.retry.filter(|_| !self.in_flight).into_iter().chain(report)
    }

    /// Returns a number between 0 and 1 that differs between pods, states and tries.
    pub(super) fn chance(&self, pod: &str, serial: u64) -> f64 {
        let seed = format!("{pod} {} {serial} {}", self.failures, self.conflicts);
        let text = Digest::of(seed.as_bytes()).to_string();
        let number = u32::from_str_radix(&text[..8], 16).unwrap_or_default();
        f64::from(number) / f64::from(u32::MAX)
    }
}
