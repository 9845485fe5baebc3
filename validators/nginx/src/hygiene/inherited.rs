//! Settings that hold in each block because it or a block around it has them.

use foldhash::{HashSet, HashSetExt as _};

use super::names::KnownName;
use super::scopes::Scopes;

/// Headers that protect a page, of which the loss has no other sign.
pub(super) const SECURITY_HEADERS: [&str; 9] = [
    "Strict-Transport-Security",
    "Content-Security-Policy",
    "X-Frame-Options",
    "X-Content-Type-Options",
    "Referrer-Policy",
    "Permissions-Policy",
    "Cross-Origin-Opener-Policy",
    "Cross-Origin-Embedder-Policy",
    "Cross-Origin-Resource-Policy",
];

/// Facts of one block.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ScopeFacts {
    /// The security headers in effect, as bits.
    pub(super) headers: u16,
    /// Those of its own lines; `None` without such lines.
    pub(super) own_headers: Option<u16>,
    pub(super) merges_headers: bool,
    pub(super) resolver: bool,
    pub(super) satisfies_any: bool,
    pub(super) internal: bool,
    /// A file that may set more is unknown, here or around it.
    pub(super) incomplete: bool,
}

/// Facts of all blocks.
pub(super) struct Inherited {
    pub(super) scopes: Vec<ScopeFacts>,
}

impl Inherited {
    pub(super) fn of(scopes: &Scopes<'_>) -> Self {
        let mut all: Vec<ScopeFacts> = Vec::with_capacity(scopes.all.len());
        for scope in &scopes.all {
            let around = scope.parent().map(|parent| all[parent]).unwrap_or_default();
            let incomplete = around.incomplete || scope.incomplete;
            let mut facts = ScopeFacts { own_headers: None, incomplete, ..around };
            for (name, directive) in scope.known() {
                let value = || if directive.count() > 0 { directive.word(1) } else { b"" };
                match name {
                    KnownName::AddHeader => {
                        *facts.own_headers.get_or_insert_default() |= bit(value());
                    }
                    KnownName::AddHeaderInherit => facts.merges_headers = value() == b"merge",
                    KnownName::Resolver => facts.resolver = value() != b"off",
                    KnownName::Satisfy => facts.satisfies_any = value() == b"any",
                    KnownName::Internal => facts.internal = true,
                    _ => {}
                }
            }
            facts.headers = match facts.own_headers {
                Some(own) if facts.merges_headers => own | around.headers,
                Some(own) => own,
                None => around.headers,
            };
            all.push(facts);
        }
        Self { scopes: all }
    }
}

/// Names of upstreams, and hosts that nginx resolves at its start, in lower case.
pub(super) fn resolved_names(scopes: &Scopes<'_>) -> HashSet<Vec<u8>> {
    let passes = |name: KnownName| {
        use KnownName as Name;
        matches!(name, Name::ProxyPass | Name::GrpcPass | Name::FastcgiPass | Name::UwsgiPass | Name::ScgiPass)
    };
    let mut names = HashSet::new();
    for scope in &scopes.all {
        let upstream = scope.directive.filter(|it| scope.name == KnownName::Upstream && it.count() > 0);
        names.extend(upstream.map(|it| it.word(1).to_ascii_lowercase()));
        for (_, pass) in scope.known().filter(|(name, pass)| passes(*name) && pass.count() > 0) {
            if !pass.word(1).contains(&b'$') {
                names.insert(host(pass.word(1)).to_ascii_lowercase());
            }
        }
    }
    names
}

/// The bit of a security header.
fn bit(name: &[u8]) -> u16 {
    let known = SECURITY_HEADERS.iter().position(|known| known.as_bytes().eq_ignore_ascii_case(name));
    known.map_or(0, |at| 1 << at)
}

/// The host of a URL without variables: no scheme, port or path.
pub(super) fn host(url: &[u8]) -> &[u8] {
    let rest = url.windows(3).position(|window| window == b"://").map_or(url, |at| &url[at + 3..]);
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let host = &rest[..end];
    if host.starts_with(b"[") {
        return host;
    }
    host.iter().position(|byte| *byte == b':').map_or(host, |at| &host[..at])
}
