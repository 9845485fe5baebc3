//! Exit codes of the process.

/// Exit codes (`docs/stability.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Accepted, or a clean stop.
    Accepted = 0,
    /// Rejected.
    Rejected = 1,
    /// The command line, the environment or the configuration is wrong.
    Usage = 2,
    /// The validation has no result.
    Inconclusive = 3,
    /// There is nothing to validate.
    Nothing = 4,
    /// A bug in reload-gate itself (`EX_SOFTWARE` of sysexits.h).
    Bug = 70,
}
