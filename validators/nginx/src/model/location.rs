//! Locations, in nginx's sense.

use crate::findings::problem::Spot;

/// What a location is for.
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

/// What is particular to a block that is a location.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Location<'s> {
    pub(crate) kind: Match,
    pub(crate) name: &'s [u8],
    /// Where nginx says that it is.
    pub(crate) spot: Option<Spot>,
}

impl Location<'_> {
    /// Whether `proxy_pass` may not replace a part of the URI, which nobody would know.
    pub(crate) fn has_no_prefix(&self) -> bool {
        matches!(self.kind, Match::Named | Match::Regex | Match::NoName { .. })
    }
}
