//! The bounds of reloads: a minimum interval and a budget.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Policy;

/// A number of reloads in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The number of reloads.
    pub reloads: usize,
    /// The time.
    pub window: Duration,
}

/// The times of the last reloads.
#[derive(Clone, Debug, Default)]
pub(super) struct ReloadBounds {
    reloads: VecDeque<Instant>,
}

impl ReloadBounds {
    /// Records a reload.
    pub(super) fn note(&mut self, now: Instant, policy: &Policy) {
        self.reloads.push_back(now);
        while self.reloads.len() > policy.budget.map_or(1, |budget| budget.reloads.max(1)) {
            self.reloads.pop_front();
        }
    }

    /// The time at which the next reload is permitted, and the bound that determines it; `None` if that is now.
    pub(super) fn wait(&self, now: Instant, policy: &Policy) -> Option<(Instant, String)> {
        let last = *self.reloads.back()?;
        let by_interval = last + policy.min_interval;
        let by_budget = policy.budget.and_then(|budget| {
            let full = self.reloads.len() >= budget.reloads.max(1);
            Some((*self.reloads.front().filter(|_| full)? + budget.window, budget))
        });
        match by_budget {
            Some((at, Budget { reloads, window })) if at > now.max(by_interval) => Some((
                at,
                format!("the budget of {reloads} reloads in {} is spent", humantime::format_duration(window)),
            )),
            _ if by_interval > now => {
                let interval = humantime::format_duration(policy.min_interval);
                Some((by_interval, format!("the last reload was less than {interval} ago")))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(min_interval: u64, budget: Option<(usize, u64)>) -> Policy {
        let budget = budget.map(|(reloads, window)| Budget { reloads, window: Duration::from_secs(window) });
        Policy { min_interval: Duration::from_secs(min_interval), budget, ..super::super::world::policy(false) }
    }

    fn waits(bounds: &ReloadBounds, now: Instant, policy: &Policy) -> Option<u64> {
        bounds.wait(now, policy).map(|(at, _)| (at - now).as_secs())
    }

    #[test]
    fn reloads_keep_their_interval() {
        let (policy, start, mut bounds) = (policy(10, None), Instant::now(), ReloadBounds::default());
        assert_eq!(waits(&bounds, start, &policy), None);
        bounds.note(start, &policy);
        assert_eq!(waits(&bounds, start + Duration::from_secs(3), &policy), Some(7));
        assert_eq!(waits(&bounds, start + Duration::from_secs(10), &policy), None);
    }

    #[test]
    fn a_budget_is_spent_and_comes_back() {
        let (policy, start, mut bounds) = (policy(0, Some((2, 60))), Instant::now(), ReloadBounds::default());
        bounds.note(start, &policy);
        assert_eq!(waits(&bounds, start + Duration::from_secs(10), &policy), None);
        bounds.note(start + Duration::from_secs(10), &policy);
        let (at, reason) = bounds.wait(start + Duration::from_secs(20), &policy).expect("it is spent");
        assert_eq!(at, start + Duration::from_secs(60));
        assert_eq!(reason, "the budget of 2 reloads in 1m is spent");
        bounds.note(start + Duration::from_secs(60), &policy);
        assert_eq!(waits(&bounds, start + Duration::from_secs(61), &policy), Some(9));
    }
}
