//! Names of servers.

use std::borrow::Cow;

use crate::findings::problem::Spot;

/// A name of a server that is no regular expression, and where it stands.
pub(crate) type ServerName<'s> = (Cow<'s, [u8]>, Spot);
