//! `server` of http with `listen` and `server_name` (`src/http/ngx_http_core_module.c`).

use std::borrow::Cow;

use crate::checker::Checker;
use crate::core::listen;
use crate::core::server_names;
use crate::directives::{Contexts, Version};
use crate::findings::codes;
use crate::findings::problem::{Checked, Problem, SourceSpan};
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::model::growth;
use crate::model::http::HttpServer;
use crate::model::ports::ListenOptions;
use crate::values::url::Socket;

pub(crate) fn server<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let inner = checker.open(Contexts::SERVER, block);
    let index = checker.http.servers.len();
    let server = HttpServer { block: inner, directive: *directive, names: vec![], captures: false };
    growth::push(&mut checker.http.servers, server);
    let clean = checker.body(directive, inner);
    if clean && !checker.blocks.has_lines(inner, "listen") {
        let socket = Socket::Ip((std::net::Ipv4Addr::UNSPECIFIED, 80).into());
        add(checker, directive, index, &[socket], &ListenOptions::default(), directive.closing())?;
    }
    if checker.http.servers[index].names.is_empty() && !checker.blocks.has_lines(inner, "server_name") {
        checker.http.servers[index].names = vec![(Cow::Borrowed(b""), directive.spot(0))];
    }
    Ok(())
}

/// The server that is being read.
fn current(checker: &Checker<'_>) -> usize {
    checker.http.servers.len() - 1
}

fn add(
    checker: &mut Checker<'_>,
    directive: &Directive<'_>,
    server: usize,
    sockets: &[Socket],
    options: &ListenOptions,
    spot: SourceSpan,
) -> Checked {
    /// The first release that warns of protocols that differ.
    const WARNS: Version = Version::new(1, 23, 4);
    let warns = checker.options.version >= WARNS;
    for socket in sockets {
        match checker.http.ports.add(socket, server, options, warns) {
            Ok(None) => {}
            Ok(Some(message)) => checker.warn(*directive.problem(0, codes::PROTOCOL_OPTIONS_REDEFINED, message)),
            Err(message) => return Err(Box::new(Problem::error(codes::DUPLICATE_LISTEN, message, spot))),
        }
    }
    Ok(())
}

pub(crate) fn listen<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.blocks.add(block, directive);
    let url = listen::address(checker, directive, 80)?;
    let mut options = ListenOptions::default();
    for at in 2..=directive.count() {
        parameter(checker, directive, at, &mut options)?;
    }
    if options.quic {
        incompatible_with_quic(checker, directive)?;
    }
    let server = current(checker);
    add(checker, directive, server, &url.sockets(), &options, directive.spot(1))
}

/// Refuses parameters that `quic` cannot be combined with, in nginx's order.
fn incompatible_with_quic(checker: &Checker<'_>, directive: &Directive<'_>) -> Checked {
    /// The first release that looks for the options of TCP.
    const TCP: Version = Version::new(1, 25, 4);
    let given = |name: &str| {
        let named =
            |word: &[u8]| word.starts_with(name.as_bytes()) && (name.ends_with('=') || word.len() == name.len());
        directive.arguments().skip(1).any(|(_, word)| named(word))
    };
    let names = ["fastopen=", "backlog=", "deferred", "multipath", "ssl", "http2", "so_keepalive=", "proxy_protocol"];
    let tcp = ["fastopen=", "backlog=", "deferred", "multipath", "so_keepalive="];
    let looked_for = |name: &&str| checker.options.version >= TCP || !tcp.contains(name);
    match names.into_iter().filter(looked_for).find(|name| given(name)) {
        Some(name) => {
            let complaint = format!("\"{}\" parameter is incompatible with \"quic\"", name.trim_end_matches('='));
            directive.refuse_directive(0, codes::INCOMPATIBLE_PARAMETERS, &complaint)
        }
        None => Ok(()),
    }
}

fn parameter(checker: &mut Checker<'_>, directive: &Directive<'_>, at: usize, options: &mut ListenOptions) -> Checked {
    /// The releases with `listen … quic`, and with the directive `http2`.
    const QUIC: Version = Version::new(1, 25, 0);
    const SPDY_SUPERSEDED: Version = Version::new(1, 9, 5);
    const SPDY_GONE: Version = Version::new(1, 19, 7);
    const HTTP2_DIRECTIVE: Version = Version::new(1, 25, 1);
    let version = checker.options.version;
    match directive.word(at) {
        b"default_server" | b"default" => options.default_server = true,
        b"ssl" => options.ssl = true,
        b"http2" => {
            options.http2 = true;
            if version >= HTTP2_DIRECTIVE {
                let message = "the \"listen ... http2\" directive is deprecated, use the \"http2\" directive instead";
                checker.warn(*directive.problem(at, codes::DEPRECATED_DIRECTIVE, message));
            }
        }
        b"spdy" if (SPDY_SUPERSEDED..SPDY_GONE).contains(&version) => {
            let message = "invalid parameter \"spdy\": ngx_http_spdy_module was superseded by ngx_http_v2_module";
            checker.warn(*directive.problem(at, codes::DEPRECATED_DIRECTIVE, message));
        }
        b"spdy" if version < Version::new(1, 9, 5) => {}
        b"quic" if version >= QUIC => options.quic = true,
        b"proxy_protocol" => options.proxy_protocol = true,
        b"deferred" => (options.set, options.bind) = (true, true),
        b"multipath" if version >= listen::MULTIPATH => (options.set, options.bind) = (true, true),
        word if word.starts_with(b"accept_filter=") => {}
        _ => {
            if !listen::socket_option(directive, at)? {
                let message = format!("invalid parameter \"{}\"", directive.text(at));
                return directive.refuse(at, codes::INVALID_PARAMETER, message);
            }
            (options.set, options.bind) = (true, true);
        }
    }
    Ok(())
}

pub(crate) fn server_name<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let names = server_names::read(checker, directive, block)?;
    let server = current(checker);
    let server = &mut checker.http.servers[server];
    if server.names.is_empty() {
        // The list of the directive has no room that stays empty.
        server.names = names.plain;
    } else {
        server.names.extend(names.plain);
    }
    server.captures = names.captures.unwrap_or(server.captures);
    Ok(())
}
