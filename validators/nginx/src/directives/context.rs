//! Blocks in which a directive is allowed.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// A set of contexts: the kinds of blocks that nginx distinguishes.
///
/// nginx has a bit for each (`NGX_HTTP_SRV_CONF`, …), and uses the same bits again in the tables of http, mail and
/// stream modules; here each context has a bit of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Contexts(u32);

/// Each context, the word for it in the data, and how people call it.
const NAMES: [(Contexts, &str, &str); 18] = [
    (Contexts::MAIN, "main", "main"),
    (Contexts::EVENTS, "events", "events"),
    (Contexts::HTTP, "http", "http"),
    (Contexts::SERVER, "server", "server"),
    (Contexts::LOCATION, "location", "location"),
    (Contexts::UPSTREAM, "upstream", "upstream"),
    (Contexts::SERVER_IF, "if-in-server", "if in server"),
    (Contexts::LOCATION_IF, "if-in-location", "if in location"),
    (Contexts::LIMIT_EXCEPT, "limit_except", "limit_except"),
    (Contexts::STREAM, "stream", "stream"),
    (Contexts::STREAM_SERVER, "stream-server", "server in stream"),
    (Contexts::STREAM_UPSTREAM, "stream-upstream", "upstream in stream"),
    (Contexts::MAIL, "mail", "mail"),
    (Contexts::MAIL_SERVER, "mail-server", "server in mail"),
    (Contexts::RTMP, "rtmp", "rtmp"),
    (Contexts::RTMP_SERVER, "rtmp-server", "server in rtmp"),
    (Contexts::APPLICATION, "application", "application"),
    (Contexts::RECORDER, "recorder", "recorder"),
];

impl Contexts {
    /// No context at all.
    pub const NONE: Self = Self(0);
    /// Outside every block (`NGX_MAIN_CONF`).
    pub const MAIN: Self = Self(1 << 0);
    /// In `events` (`NGX_EVENT_CONF`).
    pub const EVENTS: Self = Self(1 << 1);
    /// In `http` (`NGX_HTTP_MAIN_CONF`).
    pub const HTTP: Self = Self(1 << 2);
    /// In `server` of http (`NGX_HTTP_SRV_CONF`).
    pub const SERVER: Self = Self(1 << 3);
    /// In `location` (`NGX_HTTP_LOC_CONF`).
    pub const LOCATION: Self = Self(1 << 4);
    /// In `upstream` of http (`NGX_HTTP_UPS_CONF`).
    pub const UPSTREAM: Self = Self(1 << 5);
    /// In `if` directly in a server (`NGX_HTTP_SIF_CONF`).
    pub const SERVER_IF: Self = Self(1 << 6);
    /// In `if` in a location (`NGX_HTTP_LIF_CONF`).
    pub const LOCATION_IF: Self = Self(1 << 7);
    /// In `limit_except` (`NGX_HTTP_LMT_CONF`).
    pub const LIMIT_EXCEPT: Self = Self(1 << 8);
    /// In `stream` (`NGX_STREAM_MAIN_CONF`).
    pub const STREAM: Self = Self(1 << 9);
    /// In `server` of stream (`NGX_STREAM_SRV_CONF`).
    pub const STREAM_SERVER: Self = Self(1 << 10);
    /// In `upstream` of stream (`NGX_STREAM_UPS_CONF`).
    pub const STREAM_UPSTREAM: Self = Self(1 << 11);
    /// In `mail` (`NGX_MAIL_MAIN_CONF`).
    pub const MAIL: Self = Self(1 << 12);
    /// In `server` of mail (`NGX_MAIL_SRV_CONF`).
    pub const MAIL_SERVER: Self = Self(1 << 13);
    /// In `rtmp` of nginx-rtmp-module (`NGX_RTMP_MAIN_CONF`).
    pub const RTMP: Self = Self(1 << 14);
    /// In `server` of rtmp (`NGX_RTMP_SRV_CONF`).
    pub const RTMP_SERVER: Self = Self(1 << 15);
    /// In `application` of rtmp (`NGX_RTMP_APP_CONF`).
    pub const APPLICATION: Self = Self(1 << 16);
    /// In `recorder` of rtmp (`NGX_RTMP_REC_CONF`).
    pub const RECORDER: Self = Self(1 << 17);

    /// Whether every context of `other` is in this set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether a context is in both sets.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The contexts of both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The contexts of the set, one by one.
    pub fn iter(self) -> impl Iterator<Item = Self> {
        NAMES.iter().map(|(context, ..)| *context).filter(move |context| self.contains(*context))
    }

    /// Reads the column of the table: words with commas between them, `-` for none.
    pub(super) fn read(text: &str) -> Self {
        let context = |word| NAMES.iter().find(|(_, name, _)| *name == word).map(|(context, ..)| *context);
        let known = |word| context(word).unwrap_or_else(|| unreachable!("the data has no context `{word}`"));
        text.split(',').filter(|word| *word != "-").map(known).fold(Self::NONE, BitOr::bitor)
    }
}

impl BitOr for Contexts {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.and(other)
    }
}

impl BitOrAssign for Contexts {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

/// As the documentation of nginx lists them: `http, server, if in location`.
impl fmt::Display for Contexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (_, _, name) in NAMES.iter().filter(|(context, ..)| self.contains(*context)) {
            write!(f, "{separator}{name}")?;
            separator = ", ";
        }
        Ok(())
    }
}
