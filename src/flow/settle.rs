//! The time at which a scan is safe: deadline arithmetic. Pure.

use std::time::{Duration, Instant};

/// Number of quiet periods by which a stream of changes may postpone a scan.
const LONGEST_WAIT: u32 = 20;

/// Waits for a quiet moment in a place that has no commit point.
///
/// A ConfigMap volume has one (the rename of `..data`), and a plain directory has none: there, the scan is due when nothing
/// has changed for the quiet period, and at the latest after twenty of them.
#[derive(Clone, Debug)]
pub struct Settle {
    quiet: Duration,
    first: Option<Instant>,
    /// The end of the current quiet period.
    calm: Option<Instant>,
    /// A scan that no further change postpones.
    fixed: Option<Instant>,
}

impl Settle {
    /// Nothing is due; `quiet` is the quiet period.
    #[must_use]
    pub fn new(quiet: Duration) -> Self {
        Self { quiet, first: None, calm: None, fixed: None }
    }

    /// Notes a change that others may follow.
    pub fn event(&mut self, now: Instant) {
        let first = *self.first.get_or_insert(now);
        let calm = (now + self.quiet).min(first + self.quiet * LONGEST_WAIT);
        // What is due already is not put off by what follows it.
        self.calm = Some(self.calm.filter(|calm| *calm <= now).unwrap_or(calm));
    }

    /// Makes a scan due at `at`, whatever changes until then: something was committed, or a retry is due.
    pub fn at(&mut self, at: Instant) {
        self.first.get_or_insert(at);
        self.fixed = Some(self.fixed.map_or(at, |fixed| fixed.min(at)));
    }

    /// Returns when to scan; `None` while nothing changes.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        [self.calm, self.fixed].into_iter().flatten().min()
    }

    /// Forgets what was due, since the scan begins.
    pub fn clear(&mut self) {
        (self.first, self.calm, self.fixed) = (None, None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_millis(100);

    #[test]
    fn a_scan_is_due_a_quiet_period_after_the_last_change() {
        let start = Instant::now();
        let mut settle = Settle::new(QUIET);
        assert_eq!(settle.due(), None);
        settle.event(start);
        settle.event(start + QUIET / 2);
        assert_eq!(settle.due(), Some(start + QUIET / 2 + QUIET));
        settle.clear();
        assert_eq!(settle.due(), None);
    }

    #[test]
    fn endless_changes_do_not_postpone_a_scan_without_end() {
        let start = Instant::now();
        let mut settle = Settle::new(QUIET);
        for step in 0..100 {
            settle.event(start + QUIET / 2 * step);
        }
        assert_eq!(settle.due(), Some(start + QUIET * LONGEST_WAIT));
    }

    #[test]
    fn a_commit_is_due_at_once_and_stays_due() {
        let start = Instant::now();
        let mut settle = Settle::new(QUIET);
        settle.event(start);
        settle.at(start + QUIET / 4);
        assert_eq!(settle.due(), Some(start + QUIET / 4));
        settle.event(start + QUIET / 2);
        assert_eq!(settle.due(), Some(start + QUIET / 4));
    }

    #[test]
    fn a_scan_at_a_given_time_is_not_postponed_by_changes_until_then() {
        let start = Instant::now();
        let mut settle = Settle::new(QUIET);
        settle.at(start + QUIET / 2);
        settle.event(start + QUIET / 4);
        assert_eq!(settle.due(), Some(start + QUIET / 2));
        settle.at(start + QUIET);
        assert_eq!(settle.due(), Some(start + QUIET / 2), "the earliest counts");
        settle.clear();
        assert_eq!(settle.due(), None);
    }

    #[test]
    fn an_overdue_scan_is_not_postponed() {
        let start = Instant::now();
        let mut settle = Settle::new(QUIET);
        settle.event(start);
        settle.event(start + QUIET * 2);
        assert_eq!(settle.due(), Some(start + QUIET));
    }

    #[test]
    fn without_a_quiet_period_every_change_is_due_at_once() {
        let start = Instant::now();
        let mut settle = Settle::new(Duration::ZERO);
        settle.event(start);
        assert_eq!(settle.due(), Some(start));
    }
}
