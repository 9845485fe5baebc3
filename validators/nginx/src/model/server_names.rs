//! Names of servers.

use std::borrow::Cow;

use crate::findings::problem::SourceSpan;

/// A name of a server that is no regular expression, and its span.
pub(crate) type ServerName<'s> = (Cow<'s, [u8]>, SourceSpan);
