//! The block `stream` as far as it has been read.

use foldhash::HashSet;

use crate::directives::Version;
use crate::findings::problem::SourceSpan;
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::model::logs::LogFormats;
use crate::model::ports::Ports;
use crate::model::server_names::ServerName;
use crate::model::upstreams::Upstreams;
use crate::model::variables::Variables;
use crate::values::url::Socket;

/// The release in which the servers of stream got names, and share addresses as those of http do.
pub(crate) const NAMES: Version = Version::new(1, 25, 5);

/// State of the block `stream`.
#[derive(Default)]
pub(crate) struct Stream<'s> {
    pub(crate) variables: Variables<'s>,
    pub(crate) formats: LogFormats,
    pub(crate) upstreams: Upstreams<'s>,
    pub(crate) servers: Vec<StreamServer<'s>>,
    pub(crate) ports: Ports,
    /// The addresses before servers could share them, each once; true for UDP.
    pub(crate) sockets: HashSet<(Socket, bool)>,
}

/// A server of stream.
pub(crate) struct StreamServer<'s> {
    pub(crate) block: BlockId,
    pub(crate) directive: Directive<'s>,
    /// Its names that are no regular expressions.
    pub(crate) names: Vec<ServerName<'s>>,
    /// The last of its names that is a regular expression has groups.
    pub(crate) captures: bool,
    /// Its last `listen … ssl`.
    pub(crate) listens_with_ssl: Option<SourceSpan>,
}

impl Stream<'_> {
    pub(crate) fn listening(&self) -> usize {
        self.ports.sockets()
    }
}
