//! When it is safe to look: deadline arithmetic. Pure.

use std::time::{Duration, Instant};

/// How many quiet periods a stream of changes may postpone the look.
const LONGEST_WAIT: u32 = 20;

/// Waits for a quiet moment in a place that has no commit point.
///
/// A ConfigMap volume has one (the rename of `..data`), and a plain directory has none: there, the look is due when nothing
/// has stirred for the quiet period, and at the latest after twenty of them.
#[derive(Clone, Debug)]
pub struct Settle {
    quiet: Duration,
    first: Option<Instant>,
    due: Option<Instant>,
}

impl Settle {
    /// Nothing is due; `quiet` is the quiet period.
    #[must_use]
    pub fn new(quiet: Duration) -> Self {
        Self { quiet, first: None, due: None }
    }

    /// Something stirred that may go on stirring.
    pub fn stir(&mut self, now: Instant) {
        let first = *self.first.get_or_insert(now);
        let due = (now + self.quiet).min(first + self.quiet * LONGEST_WAIT);
        // A commit that is already due is not put off by what follows it.
        self.due = Some(self.due.filter(|due| *due <= now).unwrap_or(due));
    }

    /// Something was committed, or there is another reason to look at `at`, whatever stirs until then.
    pub fn at(&mut self, at: Instant) {
        self.first.get_or_insert(at);
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// When to look; `None` while nothing stirs.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The look is being taken: nothing is due any more.
    pub fn clear(&mut self) {
        (self.first, self.due) = (None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_millis(100);

    #[test]
    fn the_look_is_due_a_quiet_period_after_the_last_stir() {
        let start = Instant::now();
        let mut settle = Settle::new(QUIET);
        assert_eq!(settle.due(), None);
        settle.stir(start);
        settle.stir(start + QUIET / 2);
        assert_eq!(settle.due(), Some(start + QUIET / 2 + QUIET));
        settle.clear();
        assert_eq!(settle.due(), None);
    }

    #[test]
    fn endless_stirring_does_not_put_it_off_for_ever() {
        let start = Instant::now();
        let mut settle = Settle::new(QUIET);
        for step in 0..100 {
            settle.stir(start + QUIET / 2 * step);
        }
        assert_eq!(settle.due(), Some(start + QUIET * LONGEST_WAIT));
    }

    #[test]
    fn a_commit_is_due_at_once_and_stays_due() {
        let start = Instant::now();
        let mut settle = Settle::new(QUIET);
        settle.stir(start);
        settle.at(start + QUIET / 4);
        assert_eq!(settle.due(), Some(start + QUIET / 4));
        settle.stir(start + QUIET / 2);
        assert_eq!(settle.due(), Some(start + QUIET / 4));
    }
}
