//! The addresses that servers listen on (`ngx_http_add_listen()` in `src/http/ngx_http.c`).

use foldhash::{HashMap, HashSet};

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

/// An address that http listens on.
#[derive(Debug)]
struct Address {
    socket: Socket,
    text: String,
    options: ListenOptions,
    servers: Vec<usize>,
    default_server: usize,
}

/// All addresses that http listens on.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    addresses: Vec<Address>,
    by_socket: HashMap<(Socket, bool), usize>,
}

impl Ports {
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
        let key = (socket.clone(), options.quic || options.udp);
        let Some(index) = self.by_socket.get(&key) else {
            self.by_socket.insert(key, self.addresses.len());
            self.addresses.push(Address {
                socket: socket.clone(),
                text: socket.to_string(),
                options: options.clone(),
                servers: vec![server],
                default_server: server,
            });
            return Ok(None);
        };
        let address = &mut self.addresses[*index];
        // The servers come one after another, so that the last is the only one which can come twice.
        if address.servers.last() == Some(&server) {
            return Err(format!("a duplicate listen {}", address.text));
        }
        address.servers.push(server);
        let old = address.options.clone();
        if options.set && old.set {
            return Err(format!("duplicate listen options for {}", address.text));
        }
        if options.set {
            address.options = options.clone();
        }
        if options.default_server {
            if old.default_server {
                return Err(format!("a duplicate default server for {}", address.text));
            }
            address.default_server = server;
        }
        let merged = &mut address.options;
        merged.default_server = old.default_server || options.default_server;
        merged.ssl = old.ssl || options.ssl;
        merged.http2 = old.http2 || options.http2;
        merged.proxy_protocol = old.proxy_protocol || options.proxy_protocol;
        let differs = (old.ssl, old.http2, old.proxy_protocol) != (options.ssl, options.http2, options.proxy_protocol);
        let warning = format!("protocol options redefined for {}", address.text);
        Ok((warn_protocols && differs).then_some(warning))
    }

    /// The addresses which more than one server shares, with these servers.
    pub(crate) fn shared(&self) -> impl Iterator<Item = (String, &[usize])> {
        let shared = self.addresses.iter().filter(|address| address.servers.len() > 1);
        shared.map(|address| (address.text.clone(), &*address.servers))
    }

    /// The addresses with `ssl` or `quic`: which of these, the default server, and all servers of that address.
    pub(crate) fn with_ssl(&self) -> impl Iterator<Item = (&'static str, usize, &[usize])> {
        let with_ssl = self.addresses.iter().filter(|address| address.options.ssl || address.options.quic);
        with_ssl.map(|address| {
            let mode = if address.options.quic { "quic" } else { "ssl" };
            (mode, address.default_server, &*address.servers)
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
