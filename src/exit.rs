//! Exit codes.

/// The exit codes of all commands (`docs/stability.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Accepted, or a clean stop.
    Accepted = 0,
    /// Rejected.
    Rejected = 1,
    /// The command line, the environment or the configuration is wrong.
    Usage = 2,
    /// Validation was not possible.
    Inconclusive = 3,
    /// There was nothing to validate.
    Nothing = 4,
    /// A bug in reload-gate itself (`EX_SOFTWARE` of sysexits.h).
    Bug = 70,
}
