//! Upstreams of http and stream: groups of servers, and single hosts.

use std::borrow::Cow;
use std::collections::hash_map::Entry;

use foldhash::{HashMap, HashSet};

use crate::findings::problem::SourceSpan;
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::values::hash_keys::lower;

/// A group of servers, or a single host.
#[derive(Debug)]
pub(crate) struct Upstream<'s> {
    pub(crate) host: &'s [u8],
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
    by_host: HashMap<Cow<'s, [u8]>, KnownHost>,
    /// The block that is being read.
    pub(crate) open: usize,
}

/// State of a host, in lower case.
#[derive(Debug)]
pub(crate) struct KnownHost {
    /// There is a block `upstream` of that name.
    pub(crate) defined: bool,
    /// The first upstream of it, and its port when it was named.
    first: (usize, u16),
    /// Further ones, which few hosts have.
    more: Option<Box<MorePorts>>,
}

#[derive(Debug, Default)]
struct MorePorts {
    ports: HashSet<u16>,
    indices: Vec<usize>,
}

impl KnownHost {
    /// True if the host was named with that port.
    pub(crate) fn has_port(&self, port: u16) -> bool {
        self.first.1 == port || self.more.as_ref().is_some_and(|more| more.ports.contains(&port))
    }

    /// The upstreams of the host, in the order in which they were named.
    pub(crate) fn indices(&self) -> impl Iterator<Item = usize> + '_ {
        std::iter::once(self.first.0).chain(self.more.iter().flat_map(|more| more.indices.iter().copied()))
    }
}

impl<'s> Upstreams<'s> {
    pub(crate) fn push(&mut self, upstream: Upstream<'s>) -> usize {
        let (index, port, defined) = (self.all.len(), upstream.port, upstream.defined.is_some());
        match self.by_host.entry(lower(upstream.host)) {
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.defined |= defined;
                let more = known.more.get_or_insert_default();
                more.ports.insert(port);
                more.indices.push(index);
            }
            Entry::Vacant(unknown) => {
                unknown.insert(KnownHost { defined, first: (index, port), more: None });
            }
        }
        self.all.push(upstream);
        index
    }

    /// A host in any case.
    pub(crate) fn known(&self, host: &[u8]) -> Option<&KnownHost> {
        self.by_host.get(&*lower(host))
    }

    /// Records that there is a block `upstream` of the name of a host.
    pub(crate) fn set_defined(&mut self, host: &[u8]) {
        if let Some(known) = self.by_host.get_mut(&*lower(host)) {
            known.defined = true;
        }
    }
}
