//! Growing waits between tries. Pure.

use std::time::Duration;

/// A wait that doubles with each failure, between two bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub first: Duration,
    /// The bound of all waits.
    pub longest: Duration,
}

impl Backoff {
    /// From one second to one minute.
    pub const SECONDS: Self = Self { first: Duration::from_secs(1), longest: Duration::from_secs(60) };

    /// Returns the wait after `failures` failures besides the first.
    #[must_use]
    pub fn wait(self, failures: u32) -> Duration {
        // 2^16 seconds are longer than any bound here.
        (self.first * 2_u32.saturating_pow(failures.min(16))).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound() {
        let waits = [0, 1, 2, 5, 6, u32::MAX].map(|failures| Backoff::SECONDS.wait(failures).as_secs());
        assert_eq!(waits, [1, 2, 4, 32, 60, 60]);
    }
}
