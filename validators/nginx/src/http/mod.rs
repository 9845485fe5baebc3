//! The block `http`: what is in it, and the checks which nginx makes when it is closed (`ngx_http_block()` in
//! `src/http/ngx_http.c`).

pub(crate) mod access;
pub(crate) mod cache;
pub(crate) mod charset;
pub(crate) mod content;
pub(crate) mod core;
pub(crate) mod headers;
pub(crate) mod location;
pub(crate) mod merge;
pub(crate) mod pass;
pub(crate) mod rewrite;
pub(crate) mod server;

use foldhash::HashMap;

use crate::checker::Checker;
use crate::core::listen::Ports;
use crate::core::logs::LogFormats;
use crate::core::main_conf;
use crate::core::server_names;
use crate::directives::{self, Contexts};
use crate::findings::codes;
use crate::findings::problem::{Outcome, Problem, Spot};
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::model::variables::Variables;
use crate::upstream::Upstreams;
use crate::values::numbers;

/// What is known of the block `http`.
#[derive(Default)]
pub(crate) struct Http<'s> {
    pub(crate) variables: Variables,
    pub(crate) formats: LogFormats,
    pub(crate) servers: Vec<server::Server<'s>>,
    pub(crate) upstreams: Upstreams<'s>,
    pub(crate) ports: Ports,
    pub(crate) charsets: charset::Charsets<'s>,
    pub(crate) caches: cache::Caches,
    pub(crate) types: core::Types,
    pub(crate) referers: HashMap<BlockId, access::Referers<'s>>,
}

impl Http<'_> {
    pub(crate) fn listening(&self) -> usize {
        self.ports.sockets()
    }
}

/// The variables which the modules of this build bring along.
pub(crate) fn built_in(checker: &Checker<'_>, family: &str) -> Variables {
    let version = checker.options.version;
    // A module without directives is part of any build that has its protocol.
    let lacks =
        |name: &str| directives::modules().any(|module| module.name == name && !checker.main.has_module(module));
    Variables::of(family, version, |module| !lacks(module))
}

pub(crate) fn http<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Outcome {
    let inner = main_conf::open_protocol(checker, directive, block, Contexts::HTTP)?;
    checker.http.variables = built_in(checker, "http");
    if checker.body(directive, inner) { finish(checker, directive, inner) } else { unknown_variables(checker, inner) }
}

/// Everything that comes after the `}`, in nginx's order: its modules one after another, each for all servers.
fn finish<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, http: BlockId) -> Outcome {
    merge::merge(checker, directive, http)?;
    let servers: Vec<_> = checker.http.servers.iter().map(|server| server.block).collect();
    for server in servers {
        location::duplicates(checker, server)?;
    }
    let judged = crate::ssl::check_listening(checker);
    checker.unless_unseen(judged)?;
    charset::finish(checker)?;
    unknown_variables(checker, http)?;
    variables_hash(checker, http, directive.closing())?;
    compare_names(checker)
}

/// Variables are kept in a hash of at most this size: `ngx_hash_init()`.
pub(crate) fn variables_hash(checker: &Checker<'_>, block: BlockId, end: Spot) -> Outcome {
    let size = checker.effective(block, "variables_hash_max_size").and_then(|set| numbers::number(set.word(1)));
    if size != Some(0) {
        return Ok(());
    }
    let message = "could not build variables_hash, you should increase variables_hash_max_size: 0";
    Err(Box::new(Problem::error(codes::HASH_BUCKET_SIZE, message, end)))
}

/// The first variable that is used but not defined; any other is reported besides.
pub(crate) fn unknown_variables(checker: &mut Checker<'_>, block: BlockId) -> Outcome {
    if checker.incomplete || checker.main.foreign_module {
        return Ok(());
    }
    /// How many are worth to be reported, and to be compared with all others.
    const REPORTED: usize = 100;
    const COMPARED: usize = 20;
    let variables = checker.variables(block);
    let unknown = variables.unknown().take(REPORTED).enumerate().map(|(at, (name, spot))| {
        let near = if at < COMPARED { variables.nearest(name) } else { None };
        (near, name.clone(), *spot)
    });
    let unknown: Vec<_> = unknown.collect();
    for (near, name, spot) in unknown {
        let message = format!("unknown \"{}\" variable", String::from_utf8_lossy(&name));
        let problem = Problem::error(codes::UNKNOWN_VARIABLE, message, spot);
        checker.report(match near {
            Some(near) => problem.help(format!("did you mean `${near}`?")),
            None => problem,
        });
    }
    Ok(())
}

/// Compares the names of the servers at each address that several share.
fn compare_names(checker: &mut Checker<'_>) -> Outcome {
    let servers = &checker.http.servers;
    let Some(first) = servers.first().map(|server| server.block) else { return Ok(()) };
    let shared = server_names::shared(&checker.http.ports, |server| &servers[server].names);
    shared.iter().try_for_each(|(address, names)| server_names::conflicts(checker, address, names, first))
}
