//! Locations, in nginx's sense.

use crate::findings::problem::SourceSpan;

/// TokenKind of a location, by its modifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Match {
    /// No location at all: `http` or a `server`.
    #[default]
    None,
    Prefix,
    Exact,
    Regex,
    Named,
    /// `if`, or `limit_except`.
    NoName {
        limit_except: bool,
    },
}

/// Name and kind of a block that is a location.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Location<'s> {
    pub(crate) kind: Match,
    pub(crate) name: &'s [u8],
    /// The place that nginx names for it.
    pub(crate) spot: Option<SourceSpan>,
}

impl Location<'_> {
    /// True if `proxy_pass` may have no URI, because the part that it would replace is unknown.
    pub(crate) fn has_no_prefix(&self) -> bool {
        matches!(self.kind, Match::Named | Match::Regex | Match::NoName { .. })
    }
}
