//! The addresses that servers listen on (`ngx_http_add_listen()` in `src/http/ngx_http.c`).

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use foldhash::{HashMap, HashSet};

use crate::model::growth;
use crate::values::url::Socket;

/// The parameters of a `listen`, besides the address.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListenOptions {
    pub(crate) set: bool,
    pub(crate) default_server: bool,
    pub(crate) ssl: bool,
    pub(crate) quic: bool,
    pub(crate) udp: bool,
    pub(crate) http2: bool,
    pub(crate) proxy_protocol: bool,
    /// The socket is bound by itself, even where a wildcard covers it.
    pub(crate) bind: bool,
}

impl ListenOptions {
    /// The protocols as bits.
    fn protocols(&self) -> u8 {
        u8::from(self.proxy_protocol) | u8::from(self.ssl) << 1 | u8::from(self.http2) << 2
    }
}

/// An address that http listens on.
#[derive(Debug)]
struct Address {
    socket: Socket,
    options: ListenOptions,
    servers: Vec<u32>,
    default_server: u32,
    protocols: Protocols,
    /// The address before it with the same hash.
    same_hash: Option<u32>,
}

impl Address {
    /// True if datagrams arrive there.
    fn is_udp(&self) -> bool {
        self.options.quic || self.options.udp
    }
}

/// The protocols of an address as its servers set them one after another.
#[derive(Debug, Default)]
struct Protocols {
    /// Those that the servers before had in common.
    common: Option<u8>,
    changed: bool,
}

impl Protocols {
    /// Adds the protocols of one more server to those of the servers before. True if nginx warns: `ngx_http_add_addresses()`.
    fn add(&mut self, before: u8, added: &ListenOptions, set_before: bool) -> bool {
        let own = added.protocols();
        let differs = self.common.is_some_and(|common| common != own);
        let warns = if own | before != before {
            (set_before && !added.set) || self.changed || own | before != own
        } else if before | own != own {
            added.set || differs
        } else {
            (added.set && self.changed) || differs
        };
        self.changed |= own != before;
        self.common = Some(if own | before == before { own } else { before });
        warns
    }
}

/// All addresses that http listens on.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    addresses: Vec<Address>,
    hasher: RandomState,
    /// The last address of each hash: the addresses themselves would be there twice.
    by_hash: HashMap<u64, u32>,
}

impl Ports {
    /// The address of a socket, if there is one.
    fn find(&self, hash: u64, socket: &Socket, is_udp: bool) -> Option<usize> {
        let address = |at: &u32| &self.addresses[*at as usize];
        let mut found = std::iter::successors(self.by_hash.get(&hash).copied(), |at| address(at).same_hash);
        found.find(|at| address(at).is_udp() == is_udp && address(at).socket == *socket).map(|at| at as usize)
    }

    /// Adds an address of a server, given by its index, and gives nginx's warning where it has one.
    ///
    /// # Errors
    /// nginx's message.
    pub(crate) fn add(
        &mut self,
        socket: &Socket,
        server: usize,
        options: &ListenOptions,
        warn_protocols: bool,
    ) -> Result<Option<String>, String> {
        let is_udp = options.quic || options.udp;
        let server = u32::try_from(server).unwrap_or(u32::MAX);
        let hash = self.hasher.hash_one((socket, is_udp));
        let Some(index) = self.find(hash, socket, is_udp) else {
            let same_hash = self.by_hash.insert(hash, u32::try_from(self.addresses.len()).unwrap_or(u32::MAX));
            growth::push(
                &mut self.addresses,
                Address {
                    socket: socket.clone(),
                    options: options.clone(),
                    servers: vec![server],
                    default_server: server,
                    protocols: Protocols::default(),
                    same_hash,
                },
            );
            return Ok(None);
        };
        let address = &mut self.addresses[index];
        // The servers come one after another, so that the last is the only one which can come twice.
        if address.servers.last() == Some(&server) {
            return Err(format!("a duplicate listen {}", address.socket));
        }
        address.servers.push(server);
        let old = address.options.clone();
        if options.set && old.set {
            return Err(format!("duplicate listen options for {}", address.socket));
        }
        if options.set {
            address.options = options.clone();
        }
        if options.default_server {
            if old.default_server {
                return Err(format!("a duplicate default server for {}", address.socket));
            }
            address.default_server = server;
        }
        let merged = &mut address.options;
        merged.default_server = old.default_server || options.default_server;
        merged.ssl = old.ssl || options.ssl;
        merged.http2 = old.http2 || options.http2;
        merged.proxy_protocol = old.proxy_protocol || options.proxy_protocol;
        let set_before = address.options.set;
        let warns = address.protocols.add(old.protocols(), options, set_before);
        Ok((warn_protocols && warns).then(|| format!("protocol options redefined for {}", address.socket)))
    }

    /// The addresses whose servers are found by name, with these servers: several share one, or the name of its default
    /// server has groups.
    pub(crate) fn named(&self, captures: impl Fn(usize) -> bool) -> impl Iterator<Item = (String, &[u32])> {
        let by_name = move |address: &&Address| address.servers.len() > 1 || captures(address.default_server as usize);
        self.addresses.iter().filter(by_name).map(|address| (address.socket.to_string(), &*address.servers))
    }

    /// The addresses with `ssl` or `quic`: which of these, the default server, and all servers of that address.
    pub(crate) fn with_ssl(&self) -> impl Iterator<Item = (&'static str, usize, &[u32])> {
        let with_ssl = self.addresses.iter().filter(|address| address.options.ssl || address.options.quic);
        with_ssl.map(|address| {
            let mode = if address.options.quic { "quic" } else { "ssl" };
            (mode, address.default_server as usize, &*address.servers)
        })
    }

    pub(crate) fn sockets(&self) -> usize {
        sockets(self.addresses.iter().map(|address| (&address.socket, address.options.bind)))
    }
}

/// Number of sockets for these addresses, each with whether it is bound by itself: a wildcard covers all
/// addresses of its port that are not.
pub(crate) fn sockets<'a>(addresses: impl Iterator<Item = (&'a Socket, bool)> + Clone) -> usize {
    let wildcards: HashSet<_> =
        addresses.clone().filter(|(socket, _)| is_wildcard(socket)).map(|(socket, _)| port(socket)).collect();
    addresses.filter(|(socket, bind)| is_wildcard(socket) || *bind || !wildcards.contains(&port(socket))).count()
}

pub(crate) fn is_wildcard(socket: &Socket) -> bool {
    matches!(socket, Socket::Ip(address) if address.ip().is_unspecified())
}

fn port(socket: &Socket) -> (u8, u16) {
    match socket {
        Socket::Ip(address) => (if address.is_ipv4() { 4 } else { 6 }, address.port()),
        Socket::Name(_, port) => (4, *port),
        Socket::Unix(_) => (0, 0),
    }
}
