//! Upstreams of http and stream: groups of servers, and single hosts.

use foldhash::{HashMap, HashSet};

use crate::findings::problem::SourceSpan;
use crate::model::block::BlockId;
use crate::model::directive::Directive;

/// A group of servers, or a single host.
#[derive(Debug)]
pub(crate) struct Upstream<'s> {
    pub(crate) host: Vec<u8>,
    pub(crate) port: u16,
    pub(crate) no_port: bool,
    /// It is a block `upstream`.
    pub(crate) defined: Option<Directive<'s>>,
    /// It is an address or a path, or a host with a port.
    pub(crate) resolved: bool,
    /// The method takes servers with `backup`.
    pub(crate) takes_backup: bool,
    /// A balancing method was chosen.
    pub(crate) method: bool,
    pub(crate) servers: usize,
    /// Of these, how many are `backup`.
    pub(crate) backups: usize,
    /// Servers are kept in a shared zone, so that names may be resolved later.
    pub(crate) zone: bool,
    /// Names of servers are resolved while nginx runs.
    pub(crate) resolves: bool,
    /// The block, if it is one.
    pub(crate) block: Option<BlockId>,
    pub(crate) spot: SourceSpan,
}

/// All upstreams of a protocol, in the order in which they were first named.
#[derive(Debug, Default)]
pub(crate) struct Upstreams<'s> {
    pub(crate) all: Vec<Upstream<'s>>,
    pub(crate) by_host: HashMap<Vec<u8>, KnownHost>,
    /// The block that is being read.
    pub(crate) open: usize,
}

/// State of a host, in lower case.
#[derive(Debug, Default)]
pub(crate) struct KnownHost {
    /// There is a block `upstream` of that name.
    pub(crate) defined: bool,
    pub(crate) ports: HashSet<u16>,
    pub(crate) indices: Vec<usize>,
}

impl<'s> Upstreams<'s> {
    pub(crate) fn push(&mut self, upstream: Upstream<'s>) -> usize {
        let index = self.all.len();
        let known = self.by_host.entry(upstream.host.to_ascii_lowercase()).or_default();
        known.defined |= upstream.defined.is_some();
        known.ports.insert(upstream.port);
        known.indices.push(index);
        self.all.push(upstream);
        index
    }
}
