//! Blocked signals: those that a process takes by another way than a handler, as by signalfd(2). Pure.
//!
//! The C library blocks all signals for the moment in which it makes a process or a thread (`__libc_signal_block_all()` in glibc, vfork in
//! dash), in which it does not sleep.

use std::time::Duration;

use super::Signal;
use crate::sys::proc::SignalState;

/// The number of looks at a process that blocks all signals, and the pause after one at which it does not sleep.
const LOOKS: usize = 21;
pub(super) const PAUSE: Duration = Duration::from_millis(1);
/// The state of a process that sleeps (`proc_pid_stat(5)`).
pub(super) const ASLEEP: u8 = b'S';

/// Returns `true` if a process keeps `signal` blocked, by looks at it one after the other. One that is never seen to sleep is taken for one
/// that makes another.
pub(super) fn keeps(signal: Signal, looks: impl Iterator<Item = SignalState>) -> bool {
    let (mut first, mut second) = (None, None);
    for look in looks.take(LOOKS) {
        if !signal.is_in(look.blocked) || !Signal::SEGV.is_in(look.blocked) {
            return signal.is_in(look.blocked);
        }
        if first.is_some_and(|first| slept_through(first, look)) {
            return true;
        }
        (first, second) = (second, Some(look));
    }
    false
}

/// Returns `true` if the process slept from a look to another one, so that the look between them shows signals that it blocks in its sleep.
/// One look proves nothing: the kernel reads the state first, then the signals, and the number of sleeps last (`proc_pid_status()` in
/// `fs/proc/array.c`), and the process may wake up in between.
fn slept_through(first: SignalState, last: SignalState) -> bool {
    last.state == ASLEEP && first.sleeps.is_some() && first.sleeps == last.sleeps
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: u64 = u64::MAX;

    fn usr1() -> Signal {
        "USR1".parse().expect("it is a signal")
    }

    fn keeps_usr1(looks: &[(u8, u64, u64)]) -> bool {
        let look = |(state, blocked, sleeps): &(u8, u64, u64)| SignalState {
            state: *state,
            blocked: *blocked,
            sleeps: Some(*sleeps),
            ..SignalState::default()
        };
        keeps(usr1(), looks.iter().map(look))
    }

    #[test]
    fn a_signal_that_is_blocked_alone_is_kept_so() {
        assert!(keeps_usr1(&[(b'R', 1 << 9, 0)]));
        assert!(!keeps_usr1(&[(b'R', 0, 0)]));
    }

    #[test]
    fn a_process_that_sleeps_with_all_signals_blocked_keeps_them() {
        assert!(keeps_usr1(&[(b'S', ALL, 5), (b'S', ALL, 5), (b'S', ALL, 5)]));
        assert!(keeps_usr1(&[(b'R', ALL, 4), (b'S', ALL, 5), (b'S', ALL, 5), (b'S', ALL, 5)]));
    }

    #[test]
    fn a_process_that_wakes_up_during_the_looks_keeps_nothing() {
        // It slept at the beginning of the first look, and blocked all signals in the middle of it.
        assert!(!keeps_usr1(&[(b'S', ALL, 5), (b'S', 0, 6)]));
        assert!(!keeps_usr1(&[(b'S', ALL, 5), (b'S', ALL, 5), (b'R', ALL, 5), (b'S', 0, 6)]));
        let always_another_sleep: Vec<_> = (0..100).map(|sleeps| (b'S', ALL, sleeps)).collect();
        assert!(!keeps_usr1(&always_another_sleep));
        assert!(!keeps_usr1(&[(b'D', ALL, 5); 100]));
    }

    #[test]
    fn without_a_number_of_sleeps_nothing_is_proven() {
        let look = SignalState { state: ASLEEP, blocked: ALL, ..SignalState::default() };
        assert!(!keeps(usr1(), std::iter::repeat(look)));
    }
}
