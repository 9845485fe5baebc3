//! The block `mail` as far as it has been read.

use foldhash::HashSet;

use crate::findings::problem::SourceSpan;
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::model::ports;
use crate::values::url::Socket;

/// State of the block `mail`.
#[derive(Default)]
pub(crate) struct Mail<'s> {
    pub(crate) servers: Vec<MailServer<'s>>,
    pub(crate) sockets: HashSet<Socket>,
    /// The sockets, each with whether it is bound by itself even where a wildcard covers it.
    pub(crate) bound: Vec<(Socket, bool)>,
}

/// A server of mail.
pub(crate) struct MailServer<'s> {
    pub(crate) block: BlockId,
    pub(crate) directive: Directive<'s>,
    /// Its protocol is set, or follows from a port that it listens on.
    pub(crate) has_protocol: bool,
    /// Its last `listen … ssl`.
    pub(crate) listens_with_ssl: Option<SourceSpan>,
}

impl Mail<'_> {
    pub(crate) fn listening(&self) -> usize {
        ports::sockets(self.bound.iter().map(|(socket, bind)| (socket, *bind)))
    }
}
