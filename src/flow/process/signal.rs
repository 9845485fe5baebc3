//! The names of signals.

use std::fmt;
use std::str::FromStr;

use nix::sys::signal::Signal as Named;
use rustix::process::Signal as Raw;

/// One of the 31 standard signals (signal(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal(Named);

/// There is no such signal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown signal `{given}`{}", .nearest.as_ref().map_or_else(String::new, |name| format!("; did you mean `{name}`?")))]
pub struct UnknownSignal {
    given: String,
    nearest: Option<String>,
}

impl Signal {
    /// The signal of an invalid access to memory, which no program waits for alone.
    pub(super) const SEGV: Self = Self(Named::SIGSEGV);

    /// Its number on this machine.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0 as i32
    }

    /// Its name, such as `SIGHUP`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.as_str()
    }

    /// Returns `true` if a program takes the signal as the order to end, so that a reload by it is a restart.
    #[must_use]
    pub fn ends_process(self) -> bool {
        matches!(self.0, Named::SIGTERM | Named::SIGINT | Named::SIGQUIT | Named::SIGKILL)
    }

    /// Returns `true` if it is in a mask in which signal 1 is the lowest bit.
    pub(super) fn is_in(self, mask: u64) -> bool {
        mask >> (self.number() - 1) & 1 == 1
    }

    pub(super) fn raw(self) -> Raw {
        // Both crates name the same standard signals, so this is never the fallback.
        Raw::from_named_raw(self.number()).unwrap_or(Raw::HUP)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl FromStr for Signal {
    type Err = UnknownSignal;

    /// `HUP`, `SIGHUP`, `hup` or a number.
    fn from_str(given: &str) -> Result<Self, UnknownSignal> {
        let name = given.to_ascii_uppercase();
        let long = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
        let by_number = given.parse().ok().and_then(|number: i32| Named::try_from(number).ok());
        by_number.or_else(|| long.parse().ok()).map(Self).ok_or_else(|| {
            let names = Named::iterator().map(|signal| &signal.as_str()[3..]);
            let nearest = crate::sys::suggest::nearest(&long[3..], names).map(str::to_owned);
            UnknownSignal { given: given.into(), nearest }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_has_many_spellings() {
        for spelling in ["HUP", "SIGHUP", "hup", "sighup", "1"] {
            assert_eq!(spelling.parse::<Signal>().expect(spelling).to_string(), "SIGHUP");
        }
    }

    #[test]
    fn an_unknown_signal_suggests_the_nearest() {
        let error = "HUPP".parse::<Signal>().expect_err("there is none");
        assert_eq!(error.to_string(), "unknown signal `HUPP`; did you mean `HUP`?");
        assert_eq!("0".parse::<Signal>().expect_err("there is none").to_string(), "unknown signal `0`");
    }

    #[test]
    fn every_signal_can_be_sent() {
        for signal in Named::iterator() {
            assert_eq!(Signal(signal).raw().as_raw(), signal as i32);
        }
    }
}
