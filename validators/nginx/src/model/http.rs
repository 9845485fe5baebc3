//! The block `http` as far as it has been read.

use foldhash::{HashMap, HashSet};

use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::model::logs::LogFormats;
use crate::model::ports::Ports;
use crate::model::server_names::ServerName;
use crate::model::upstreams::Upstreams;
use crate::model::variables::Variables;
use crate::values::hash_keys::HashKeys;

/// State of the block `http`.
#[derive(Default)]
pub(crate) struct Http<'s> {
    pub(crate) variables: Variables<'s>,
    pub(crate) formats: LogFormats,
    pub(crate) servers: Vec<HttpServer<'s>>,
    pub(crate) upstreams: Upstreams<'s>,
    pub(crate) ports: Ports,
    pub(crate) charsets: Charsets<'s>,
    pub(crate) caches: Caches,
    pub(crate) types: Types,
    pub(crate) referers: HashMap<BlockId, Referers<'s>>,
}

impl Http<'_> {
    pub(crate) fn listening(&self) -> usize {
        self.ports.sockets()
    }
}

/// A server of http.
pub(crate) struct HttpServer<'s> {
    pub(crate) block: BlockId,
    pub(crate) directive: Directive<'s>,
    /// Its names that are no regular expressions.
    pub(crate) names: Vec<ServerName<'s>>,
    /// The last of its names that is a regular expression has groups.
    pub(crate) captures: bool,
}

/// The tables between character sets, and which of them are needed.
#[derive(Debug, Default)]
pub(crate) struct Charsets<'s> {
    /// The two names of each table, in lower case and sorted.
    pub(crate) tables: HashSet<[Vec<u8>; 2]>,
    /// The pairs that servers and locations recode, with the directives that set them.
    pub(crate) recodes: Vec<(Directive<'s>, Directive<'s>)>,
    pub(crate) recoded: HashSet<[Vec<u8>; 2]>,
}

/// The directories that are in use, each with its levels and whether a cache keeps it.
#[derive(Debug, Default)]
pub(crate) struct Caches {
    pub(crate) paths: HashMap<Vec<u8>, CachePath>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CachePath {
    pub(crate) levels: Vec<i64>,
    pub(crate) cache: bool,
    pub(crate) place: String,
}

/// The MIME types of each block: by extension.
pub(crate) type Types = HashMap<BlockId, HashMap<Vec<u8>, Vec<u8>>>;

/// The referers that a block takes.
#[derive(Debug, Default)]
pub(crate) struct Referers<'s> {
    pub(crate) keys: HashKeys<'s>,
    pub(crate) any: bool,
    pub(crate) none_or_blocked: bool,
    pub(crate) server_names: bool,
}
