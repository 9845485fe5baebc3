//! The block `stream` (`src/stream`): its servers, and the checks which nginx makes when it is closed.

use std::borrow::Cow;

use crate::checker::Checker;
use crate::core::listen;
use crate::core::main_conf;
use crate::core::server_names;
use crate::core::variables;
use crate::directives::{Contexts, Version};
use crate::findings::codes;
use crate::findings::problem::{Checked, Problem, SourceSpan};
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::model::ports::ListenOptions;
use crate::model::stream::{NAMES, StreamServer};
use crate::ssl;
use crate::upstream;
use crate::values::url::{self, Rules};

pub(crate) fn stream<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let inner = main_conf::open_protocol(checker, directive, block, Contexts::STREAM)?;
    checker.stream.variables = variables::built_in(checker, "stream");
    if checker.body(directive, inner) {
        finish(checker, inner, directive.closing())
    } else {
        variables::unknown_variables(checker, inner)
    }
}

/// Everything that comes after the `}`: the modules one after another, each for all servers.
fn finish(checker: &mut Checker<'_>, stream: BlockId, end: SourceSpan) -> Checked {
    let summary = |server: &StreamServer<'_>| (server.block, server.directive.terminator(), server.listens_with_ssl);
    let servers: Vec<_> = checker.stream.servers.iter().map(summary).collect();
    /// From this release on a server without a handler just closes its connections.
    const NEEDS_NO_HANDLER: Version = Version::new(1, 27, 1);
    if checker.options.version < NEEDS_NO_HANDLER {
        for (block, spot, _) in &servers {
            if !["proxy_pass", "return", "pass"].iter().any(|handler| checker.blocks.has(*block, handler)) {
                let problem = Problem::error(codes::NO_HANDLER, "no handler for server", *spot);
                checker.unless_unseen(Err(Box::new(problem)))?;
            }
        }
    }
    for (block, ..) in &servers {
        if checker.effective(*block, "proxy_ssl").is_some_and(|set| set.word(1).eq_ignore_ascii_case(b"on")) {
            let judged = ssl::upstream(checker, *block, "proxy");
            checker.unless_unseen(judged)?;
        }
    }
    checker.unless_unseen(upstream::finish(checker, &checker.stream.upstreams))?;
    for (block, _, listens_with_ssl) in servers {
        let judged = ssl::stream_server(checker, block, listens_with_ssl, end);
        checker.unless_unseen(judged)?;
    }
    let judged = ssl::check_stream_listening(checker);
    checker.unless_unseen(judged)?;
    variables::unknown_variables(checker, stream)?;
    variables::variables_hash(checker, stream, end)?;
    compare_names(checker)
}

/// Compares the names of the servers at each address that several share.
fn compare_names(checker: &mut Checker<'_>) -> Checked {
    let Some(first) = checker.stream.servers.first().map(|server| server.block) else { return Ok(()) };
    // A copy of all names would be most of the memory: they are lent to the comparison.
    let (servers, ports) = (std::mem::take(&mut checker.stream.servers), std::mem::take(&mut checker.stream.ports));
    let names = |server: usize| &servers[server].names;
    let compared = server_names::compare(checker, &ports, names, |server| servers[server].captures, first);
    (checker.stream.servers, checker.stream.ports) = (servers, ports);
    compared
}

pub(crate) fn server<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let inner = checker.open(Contexts::STREAM_SERVER, block);
    checker.stream.servers.push(StreamServer {
        block: inner,
        directive: *directive,
        names: vec![],
        captures: false,
        listens_with_ssl: None,
    });
    if checker.body(directive, inner) && !checker.blocks.has_lines(inner, "listen") {
        let message = "no \"listen\" is defined for server";
        return Err(Box::new(Problem::error(codes::NO_LISTEN, message, directive.terminator())));
    }
    if checker.stream.servers.last().is_some_and(|server| server.names.is_empty()) {
        // nginx gives it the empty name, unless regular expressions are its only names.
        let nameless = !checker.blocks.has_lines(inner, "server_name");
        let server = checker.stream.servers.last_mut().filter(|_| nameless);
        server.into_iter().for_each(|server| server.names.push((Cow::Borrowed(b""), directive.spot(0))));
    }
    Ok(())
}

pub(crate) fn listen<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.blocks.add(block, directive);
    let url = listen::address(checker, directive, 0)?;
    let mut options = ListenOptions::default();
    for at in 2..=directive.count() {
        if !parameter(checker, directive, at, &mut options)? {
            return listen::unknown_parameter(checker, directive, at);
        }
    }
    if options.udp {
        let given = |name: &str| directive.arguments().any(|(at, word)| at > 1 && word.starts_with(name.as_bytes()));
        for name in ["fastopen=", "backlog=", "deferred", "multipath", "ssl", "so_keepalive=", "proxy_protocol"] {
            if given(name) {
                let complaint = format!("\"{}\" parameter is incompatible with \"udp\"", name.trim_end_matches('='));
                return directive.refuse_directive(0, codes::INCOMPATIBLE_PARAMETERS, &complaint);
            }
        }
    }
    let server = checker.stream.servers.len() - 1;
    if options.ssl {
        checker.stream.servers[server].listens_with_ssl = Some(directive.terminator());
    }
    let shares = checker.options.version >= NAMES;
    for socket in url.sockets() {
        if !shares && !checker.stream.sockets.insert((socket.clone(), options.udp)) {
            let message = format!("duplicate \"{socket}\" address and port pair");
            return directive.refuse(1, codes::DUPLICATE_LISTEN, message);
        }
        match checker.stream.ports.add(&socket, server, &options, true) {
            Ok(None) => {}
            Ok(Some(message)) => checker.warn(*directive.problem(0, codes::PROTOCOL_OPTIONS_REDEFINED, message)),
            Err(message) => return directive.refuse(1, codes::DUPLICATE_LISTEN, message),
        }
    }
    Ok(())
}

/// Takes one parameter of `listen`; false if there is none such.
fn parameter(
    checker: &Checker<'_>,
    directive: &Directive<'_>,
    at: usize,
    options: &mut ListenOptions,
) -> Checked<bool> {
    let version = checker.options.version;
    match directive.word(at) {
        b"default_server" if version >= NAMES => options.default_server = true,
        b"udp" => options.udp = true,
        b"ssl" => options.ssl = true,
        b"proxy_protocol" => options.proxy_protocol = true,
        b"deferred" if version >= NAMES => (options.set, options.bind) = (true, true),
        b"multipath" if version >= listen::MULTIPATH => (options.set, options.bind) = (true, true),
        word if word.starts_with(b"accept_filter=") => return Ok(version >= NAMES),
        word if word.starts_with(b"fastopen=") && version < Version::new(1, 21, 0) => return Ok(false),
        _ if listen::socket_option(directive, at)? => (options.set, options.bind) = (true, true),
        _ => return Ok(false),
    }
    Ok(true)
}

pub(crate) fn server_name<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let names = server_names::read(checker, directive, block)?;
    if let Some(server) = checker.stream.servers.last_mut() {
        server.names.extend(names.plain);
        server.captures = names.captures.unwrap_or(server.captures);
    }
    Ok(())
}

pub(crate) fn proxy_pass<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    if checker.compile(directive, 1, block)? {
        return Ok(());
    }
    let rules = Rules { no_resolve: true, ..Rules::default() };
    upstream::refer(checker, directive, 1, directive.word(1), rules, block).map(|_| ())
}

pub(crate) fn pass<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    if checker.compile(directive, 1, block)? {
        return Ok(());
    }
    match url::parse(directive.word(1), Rules { no_resolve: true, ..Rules::default() }) {
        Err(error) => {
            let message = format!("{error} in \"{}\" of the \"pass\" directive", directive.text(1));
            directive.refuse(1, codes::INVALID_ADDRESS, message)
        }
        Ok(url) if url.kind == url::Host::Name => {
            directive.refuse_directive(1, codes::INVALID_ADDRESS, "has no addresses")
        }
        Ok(url) if url.no_port => directive.refuse_directive(1, codes::INVALID_ADDRESS, "has no port"),
        Ok(_) => Ok(()),
    }
}

pub(crate) fn return_<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    checker.compile(directive, 1, block).map(|_| ())
}

pub(crate) fn set<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.define(directive, 1, block)?;
    checker.compile(directive, 2, block).map(|_| ())
}
