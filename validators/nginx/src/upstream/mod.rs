//! Upstreams of http and stream: `src/http/ngx_http_upstream.c`, the balancing methods, and the hosts
//! which `proxy_pass` and its like name.

mod methods;
mod server;
mod sticky;

pub(crate) use methods::{hash, ip_hash, keepalive, least_conn, least_time, random, zone};
pub(crate) use server::server;
pub(crate) use sticky::sticky;

use crate::checker::Checker;
use crate::directives::Contexts;
use crate::findings::codes;
use crate::findings::problem::{Checked, Problem};
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::model::upstreams::{KnownHost, Upstream, Upstreams};
use crate::values::url::{self, Host, Rules};

const STREAM: [Contexts; 3] = [Contexts::STREAM, Contexts::STREAM_SERVER, Contexts::STREAM_UPSTREAM];

fn is_stream(checker: &Checker<'_>, block: BlockId) -> bool {
    STREAM.contains(&checker.blocks[block].context)
}

fn upstreams<'c, 's>(checker: &'c mut Checker<'s>, block: BlockId) -> &'c mut Upstreams<'s> {
    if is_stream(checker, block) { &mut checker.stream.upstreams } else { &mut checker.http.upstreams }
}

/// The block `upstream`.
pub(crate) fn upstream<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let stream = is_stream(checker, block);
    let index = define(upstreams(checker, block), directive, stream)?;
    let context = if stream { Contexts::STREAM_UPSTREAM } else { Contexts::UPSTREAM };
    let inner = checker.open(context, block);
    upstreams(checker, block).open = index;
    upstreams(checker, block).all[index].block = Some(inner);
    if checker.body(directive, inner) && upstreams(checker, block).all[index].servers == 0 {
        let message = "no servers are inside upstream";
        return Err(Box::new(Problem::error(codes::EMPTY_UPSTREAM, message, directive.closing())));
    }
    Ok(())
}

fn define<'s>(upstreams: &mut Upstreams<'s>, directive: &Directive<'s>, stream: bool) -> Checked<usize> {
    let host = directive.word(1);
    let indices: Vec<usize> = upstreams.known(host).into_iter().flat_map(KnownHost::indices).collect();
    for index in indices {
        let known = &mut upstreams.all[index];
        if known.defined.is_some() {
            let message = format!("duplicate upstream \"{}\"", directive.text(1));
            return directive.refuse(1, codes::DUPLICATE_UPSTREAM, message);
        }
        if !known.no_port {
            let message = format!("upstream \"{}\" may not have port {}", directive.text(1), known.port);
            return Err(Box::new(Problem::error(codes::UPSTREAM_WITH_PORT, message, known.spot)));
        }
        if stream && known.port != 0 {
            continue;
        }
        known.defined = Some(*directive);
        known.port = 0;
        known.takes_backup = true;
        upstreams.set_defined(host);
        return Ok(index);
    }
    Ok(upstreams.push(Upstream {
        host,
        port: 0,
        no_port: true,
        defined: Some(*directive),
        resolved: false,
        takes_backup: true,
        method: false,
        servers: 0,
        backups: 0,
        zone: false,
        resolves: false,
        block: None,
        spot: directive.spot(1),
    }))
}

/// Records a host that a directive such as `proxy_pass` names: `ngx_http_upstream_add()`. Returns the address.
pub(crate) fn refer<'s>(
    checker: &mut Checker<'s>,
    directive: &Directive<'s>,
    at: usize,
    text: &'s [u8],
    rules: Rules,
    block: BlockId,
) -> Checked<url::HostUrl<'s>> {
    let url = url::parse(text, rules).map_err(|error| {
        let message = format!("{error} in upstream \"{}\"", String::from_utf8_lossy(text));
        directive.problem(at, codes::INVALID_UPSTREAM, message)
    })?;
    let stream = is_stream(checker, block);
    let upstreams = upstreams(checker, block);
    if let Some(known) = upstreams.known(url.host) {
        if known.defined && !url.no_port {
            let host = String::from_utf8_lossy(url.host);
            let message = format!("upstream \"{host}\" may not have port {}", url.port);
            return directive.refuse(at, codes::UPSTREAM_WITH_PORT, message);
        }
        // stream distinguishes a host without a port from one with it, http does not.
        let any_port = known.has_port(0) || url.port == 0;
        if known.defined || known.has_port(url.port) || (!stream && any_port) {
            return Ok(url);
        }
    }
    let address = matches!(url.kind, Host::Ip(_));
    upstreams.push(Upstream {
        host: url.host,
        port: url.port,
        no_port: url.no_port,
        defined: None,
        resolved: url.kind == Host::Unix || (address && url.port != 0),
        takes_backup: false,
        method: false,
        servers: 0,
        backups: 0,
        zone: false,
        resolves: false,
        block: None,
        spot: directive.spot(at),
    });
    Ok(url)
}

/// Checks that come when the protocol's block is closed: `ngx_http_upstream_init_round_robin()`.
pub(crate) fn finish(checker: &Checker<'_>, upstreams: &Upstreams<'_>) -> Checked {
    for upstream in &upstreams.all {
        let host = || String::from_utf8_lossy(upstream.host);
        if let Some(defined) = &upstream.defined {
            resolution(checker, upstream, defined)?;
            if upstream.servers == upstream.backups {
                let message = format!("no servers in upstream \"{}\"", host());
                let problem = Problem::error(codes::EMPTY_UPSTREAM, message, defined.terminator());
                return Err(Box::new(problem.help("all of them are `backup`")));
            }
        } else if upstream.resolved {
        } else if upstream.port == 0 {
            let message = format!("no port in upstream \"{}\"", host());
            let problem = Problem::error(codes::NO_PORT_IN_UPSTREAM, message, upstream.spot);
            return Err(Box::new(
                problem.help(format!("there is no `upstream {}`, so this must be a host with a port", host())),
            ));
        } else if !url::plausible(upstream.host) && url::ipv4(upstream.host).is_none() {
            let message = format!("host not found in upstream \"{}\"", host());
            return Err(Box::new(Problem::error(codes::HOST_NOT_FOUND, message, upstream.spot)));
        }
    }
    Ok(())
}

/// Refuses an upstream with names that cannot be resolved while nginx runs.
fn resolution(checker: &Checker<'_>, upstream: &Upstream<'_>, defined: &Directive<'_>) -> Checked {
    if !upstream.resolves {
        return Ok(());
    }
    let has_resolver = upstream.block.is_some_and(|block| checker.effective(block, "resolver").is_some());
    let host = String::from_utf8_lossy(upstream.host);
    let message = match (upstream.zone, has_resolver) {
        (false, _) => format!("resolving names at run time requires upstream \"{host}\""),
        (true, false) => format!("no resolver defined to resolve names at run time in upstream \"{host}\""),
        (true, true) => return Ok(()),
    };
    let problem = Problem::error(codes::NO_RUN_TIME_RESOLUTION, message, defined.terminator());
    Err(Box::new(
        problem.help("servers with `resolve` need a `zone` in their upstream and a `resolver` in it or around it"),
    ))
}
