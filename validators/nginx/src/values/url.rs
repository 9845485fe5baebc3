//! Addresses: `host:port`, `[ipv6]:port`, `unix:path`, as `ngx_parse_url()` reads them (`src/core/ngx_inet.c`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::values::numbers;

/// Rules for the form of an address.
#[derive(Clone, Copy, Default)]
pub(crate) struct Rules {
    /// It is one to listen on: a port alone, a range of ports or `*` will do, and there is no URI.
    pub(crate) listen: bool,
    /// It may have a range of ports.
    pub(crate) ranges: bool,
    /// It may go on with a URI.
    pub(crate) uri_part: bool,
    /// The host may be a name, which is not resolved while the configuration is read.
    pub(crate) no_resolve: bool,
    /// The port, where none is given.
    pub(crate) default_port: u16,
}

/// TokenKind of a host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Host {
    Ip(IpAddr),
    Name,
    Unix,
}

/// An address that was understood.
#[derive(Clone, Debug)]
pub(crate) struct HostUrl<'a> {
    pub(crate) kind: Host,
    pub(crate) host: &'a [u8],
    pub(crate) port: u16,
    pub(crate) last_port: Option<u16>,
    pub(crate) no_port: bool,
    pub(crate) uri: &'a [u8],
}

impl HostUrl<'_> {
    /// All the addresses that it means (a range of ports is many), as nginx writes them.
    pub(crate) fn sockets(&self) -> Vec<Socket> {
        let ports = self.port..=self.last_port.unwrap_or(self.port);
        match self.kind {
            Host::Unix => vec![Socket::Unix(self.host.to_vec())],
            Host::Ip(ip) => ports.map(|port| Socket::Ip(SocketAddr::new(ip, port))).collect(),
            Host::Name => ports.map(|port| Socket::Name(self.host.to_ascii_lowercase(), port)).collect(),
        }
    }
}

/// Something to listen on or to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Socket {
    Ip(SocketAddr),
    /// A host that only the machine could resolve.
    Name(Vec<u8>, u16),
    Unix(Vec<u8>),
}

impl std::fmt::Display for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Name(host, port) => write!(f, "{}:{port}", String::from_utf8_lossy(host)),
            Self::Unix(path) => write!(f, "unix:{}", String::from_utf8_lossy(path)),
        }
    }
}

/// The longest path of a unix socket, with its final NUL.
const SUN_PATH: usize = 108;

/// Reads an address.
///
/// # Errors
/// nginx's own words for what is wrong with it.
pub(crate) fn parse(text: &[u8], rules: Rules) -> Result<HostUrl<'_>, &'static str> {
    if text.len() >= 5 && text[..5].eq_ignore_ascii_case(b"unix:") {
        return unix(&text[5..], rules);
    }
    if text.first() == Some(&b'[') { inet6(text, rules) } else { inet(text, rules) }
}

fn unix(path: &[u8], rules: Rules) -> Result<HostUrl<'_>, &'static str> {
    let colon = if rules.uri_part { position(path, b':') } else { None };
    let (path, uri) = colon.map_or((path, &[][..]), |at| (&path[..at], &path[at + 1..]));
    if path.is_empty() {
        return Err("no path in the unix domain socket");
    }
    if path.len() + 1 > SUN_PATH {
        return Err("too long path in the unix domain socket");
    }
    Ok(HostUrl { kind: Host::Unix, host: path, port: 0, last_port: None, no_port: false, uri })
}

fn position(text: &[u8], byte: u8) -> Option<usize> {
    text.iter().position(|other| *other == byte)
}

fn port(text: &[u8]) -> Result<u16, &'static str> {
    let number = numbers::number(text).filter(|port| (1..=65535).contains(port));
    number.and_then(|port| u16::try_from(port).ok()).ok_or("invalid port")
}

/// A port, or in a `listen` a range of ports.
fn ports(text: &[u8], ranges: bool) -> Result<(u16, Option<u16>), &'static str> {
    let Some(dash) = position(text, b'-').filter(|_| ranges) else { return Ok((port(text)?, None)) };
    let last = port(&text[dash + 1..])?;
    let first = port(&text[..dash])?;
    if first > last { Err("invalid port range") } else { Ok((first, Some(last))) }
}

fn inet6(text: &[u8], rules: Rules) -> Result<HostUrl<'_>, &'static str> {
    let close = position(text, b']').ok_or("invalid host")?;
    let mut rest = &text[close + 1..];
    let mut uri = &[][..];
    if let Some(slash) = position(rest, b'/') {
        if rules.listen || !rules.uri_part {
            return Err("invalid host");
        }
        (rest, uri) = rest.split_at(slash);
    }
    let (port, last_port, no_port) = match rest.split_first() {
        None => (rules.default_port, None, true),
        Some((b':', digits)) => {
            let (port, last) = ports(digits, rules.ranges)?;
            (port, last, false)
        }
        Some(_) => return Err("invalid host"),
    };
    let inner = &text[1..close];
    if inner.is_empty() {
        return Err("no host");
    }
    let ip = ipv6(inner).ok_or("invalid IPv6 address")?;
    Ok(HostUrl { kind: Host::Ip(IpAddr::V6(ip)), host: &text[..=close], port, last_port, no_port, uri })
}

fn inet(text: &[u8], rules: Rules) -> Result<HostUrl<'_>, &'static str> {
    let uri = match (position(text, b'/'), position(text, b'?')) {
        (Some(slash), Some(args)) => Some(slash.min(args)),
        (slash, args) => slash.or(args),
    };
    if uri.is_some() && (rules.listen || !rules.uri_part) {
        return Err("invalid host");
    }
    let (authority, uri_text) = text.split_at(uri.unwrap_or(text.len()));
    let mut found = (rules.default_port, None, true);
    let mut host = authority;
    if let Some(colon) = position(authority, b':') {
        let (port, last) = ports(&authority[colon + 1..], rules.ranges)?;
        found = (port, last, false);
        host = &authority[..colon];
    } else if rules.listen
        && let Some((port, last)) = port_alone(authority, rules.ranges)?
    {
        let kind = Host::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        return Ok(HostUrl { kind, host: b"", port, last_port: last, no_port: false, uri: b"" });
    }
    if host.is_empty() {
        return Err("no host");
    }
    let (port, last_port, no_port) = found;
    let kind = match ipv4(host) {
        _ if rules.listen && host == b"*" => Host::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        // 255.255.255.255 is INADDR_NONE, which nginx takes for "not an address"; the resolver knows better.
        Some(ip) => Host::Ip(IpAddr::V4(ip)),
        None if rules.no_resolve => Host::Name,
        None if let Some(ip) = numeric(host) => Host::Ip(IpAddr::V4(ip)),
        None if plausible(host) => Host::Name,
        None => return Err("host not found"),
    };
    Ok(HostUrl { kind, host, port, last_port, no_port, uri: uri_text })
}

/// `80` or `8000-8010`, which only a `listen` may say; `None` if it is a host after all.
fn port_alone(text: &[u8], ranges: bool) -> Result<Option<(u16, Option<u16>)>, &'static str> {
    let mut last = None;
    let mut first = text;
    if let Some(dash) = position(text, b'-').filter(|_| ranges) {
        let Some(number) = numbers::number(&text[dash + 1..]) else { return Ok(None) };
        last = Some(u16::try_from(number).ok().filter(|port| *port > 0).ok_or("invalid port"));
        first = &text[..dash];
    }
    if numbers::number(first).is_none() {
        return Ok(None);
    }
    let last = last.transpose()?;
    let first = port(first)?;
    if last.is_some_and(|last| first > last) { Err("invalid port range") } else { Ok(Some((first, last))) }
}

/// True if a resolver might know such a name.
pub(crate) fn plausible(host: &[u8]) -> bool {
    let host = numbers::c_string(host);
    let name = host.strip_suffix(b".").unwrap_or(host);
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let label = |label: &[u8]| (1..=63).contains(&label.len()) && label.iter().all(letter);
    host.len() <= 253 && name.split(|byte| *byte == b'.').all(label)
}

/// A dotted quad: `ngx_inet_addr()`, which also takes empty octets for zero.
pub(crate) fn ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0_u8; 4];
    let mut parts = text.split(|byte| *byte == b'.');
    for octet in &mut octets {
        for byte in parts.next()? {
            let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
            *octet = octet.checked_mul(10)?.checked_add(digit)?;
        }
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets))
}

/// An address of IPv4 as a resolver reads it, such as `127.1` or `0x7f000001`: `inet_aton(3)`.
fn numeric(text: &[u8]) -> Option<Ipv4Addr> {
    let number = |part: &[u8]| {
        let text =
            std::str::from_utf8(part).ok().filter(|text| text.starts_with(|first: char| first.is_ascii_digit()))?;
        match (text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")), text.strip_prefix('0')) {
            (Some(digits), _) => u32::from_str_radix(digits, 16).ok(),
            (None, Some(digits)) if !digits.is_empty() => u32::from_str_radix(digits, 8).ok(),
            _ => text.parse().ok(),
        }
    };
    let numbers: Option<Vec<u32>> = text.split(|byte| *byte == b'.').map(number).collect();
    let numbers = numbers.filter(|numbers| numbers.len() <= 4)?;
    let (last, octets) = numbers.split_last()?;
    let left = 8 * (4 - u32::try_from(octets.len()).ok()?);
    let fits = octets.iter().all(|octet| *octet <= 255) && u64::from(*last) < 1 << left;
    let high = octets.iter().fold(0_u64, |value, octet| value << 8 | u64::from(*octet)) << left;
    u32::try_from(high | u64::from(*last)).ok().filter(|_| fits).map(Ipv4Addr::from_bits)
}

/// An IPv6 address without brackets.
pub(crate) fn ipv6(text: &[u8]) -> Option<Ipv6Addr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// An address with an optional port and no name: `ngx_parse_addr_port()`.
pub(crate) fn address_port(text: &[u8]) -> bool {
    if ipv4(text).is_some() || ipv6(text).is_some() {
        return true;
    }
    let Some(colon) = text.iter().rposition(|byte| *byte == b':') else { return false };
    let (host, digits) = (&text[..colon], &text[colon + 1..]);
    let bracketed = host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]"));
    port(digits).is_ok() && (bracketed.map_or_else(|| ipv4(host).is_some(), |host| ipv6(host).is_some()))
}

/// Result of reading a network.
pub(crate) enum Cidr {
    Exact(Network),
    /// Bits are set beyond the mask.
    LowBits(Network),
    Invalid,
}

/// The first address of a network and the length of its prefix.
pub(crate) type Network = (IpAddr, u8);

/// A network: `ngx_ptocidr()`.
pub(crate) fn cidr(text: &[u8]) -> Cidr {
    let (address, mask) = match position(text, b'/') {
        Some(slash) => (&text[..slash], Some(&text[slash + 1..])),
        None => (text, None),
    };
    let (ip, bits) = match (ipv4(address).filter(|ip| !ip.is_broadcast()), ipv6(address)) {
        (Some(ip), _) => (IpAddr::V4(ip), 32),
        (None, Some(ip)) => (IpAddr::V6(ip), 128),
        (None, None) => return Cidr::Invalid,
    };
    let Some(mask) = mask else { return Cidr::Exact((ip, bits)) };
    let shift = match numbers::number(mask).and_then(|shift| u8::try_from(shift).ok()) {
        Some(shift) if shift <= bits => shift,
        _ => return Cidr::Invalid,
    };
    let first = first_of(ip, shift);
    if first == ip { Cidr::Exact((ip, shift)) } else { Cidr::LowBits((first, shift)) }
}

fn first_of(ip: IpAddr, prefix: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & mask))
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask))
        }
    }
}
