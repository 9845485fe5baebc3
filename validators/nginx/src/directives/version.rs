//! Versions of nginx.

use std::fmt;
use std::str::FromStr;

/// A version of nginx, such as 1.22.1. Stable releases have an even minor number, mainline an odd one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    major: u16,
    minor: u16,
    patch: u16,
}

/// All releases that the table of directives was made from, oldest first.
const RELEASES: &str = include_str!("releases.tsv");

impl Version {
    /// The newest stable release that this table knows.
    pub const NEWEST_STABLE: Self = Self::new(1, 30, 4);

    /// The version of these three numbers.
    #[must_use]
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self { major, minor, patch }
    }

    /// The second number: even in stable branches.
    #[must_use]
    pub const fn minor(self) -> u16 {
        self.minor
    }

    /// Every release that this table knows, from 1.0.0 on, oldest first.
    pub fn releases() -> impl Iterator<Item = Self> {
        RELEASES.lines().skip(1).map(|line| line.parse().expect("a release has three numbers"))
    }
}

impl Default for Version {
    fn default() -> Self {
        Self::NEWEST_STABLE
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// A text is no version of nginx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseVersionError;

impl fmt::Display for ParseVersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a version of nginx is two or three numbers, such as 1.22 or 1.22.1")
    }
}

impl std::error::Error for ParseVersionError {}

impl FromStr for Version {
    type Err = ParseVersionError;

    /// Reads `1.22.1`, or `1.22` for the last known release of that branch.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse().ok()).flatten().ok_or(ParseVersionError)
        };
        let (major, rest) = text.split_once('.').ok_or(ParseVersionError)?;
        let (minor, patch) = rest.split_once('.').map_or((rest, None), |(minor, patch)| (minor, Some(patch)));
        let first = Self::new(number(major)?, number(minor)?, patch.map_or(Ok(0), number)?);
        if patch.is_some() {
            return Ok(first);
        }
        let of_branch = |release: &Self| (release.major, release.minor) == (first.major, first.minor);
        Ok(Self::releases().filter(of_branch).last().unwrap_or(first))
    }
}

/// The versions from one on, up to another which is no longer meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(super) since: Version,
    pub(super) until: Option<Version>,
}

impl Range {
    pub(crate) fn contains(&self, version: Version) -> bool {
        self.since <= version && self.until.is_none_or(|until| version < until)
    }

    /// Reads `1.0.0-1.2.7` or `1.3.10-`.
    pub(crate) fn read(text: &str) -> Self {
        let (since, until) = text.split_once('-').expect("a range has two ends");
        let version = |text: &str| text.parse().expect("an end of a range is a version");
        Self { since: version(since), until: (!until.is_empty()).then(|| version(until)) }
    }
}
