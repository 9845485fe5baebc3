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

use crate::checker::Checker;
use crate::core::main_conf;
use crate::core::server_names;
use crate::core::variables::{built_in, unknown_variables, variables_hash};
use crate::directives::Contexts;
use crate::findings::problem::Checked;
use crate::model::block::BlockId;
use crate::model::directive::Directive;

pub(crate) fn http<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let inner = main_conf::open_protocol(checker, directive, block, Contexts::HTTP)?;
    checker.http.variables = built_in(checker, "http");
    if checker.body(directive, inner) { finish(checker, directive, inner) } else { unknown_variables(checker, inner) }
}

/// Everything that comes after the `}`, in nginx's order: its modules one after another, each for all servers.
fn finish<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, http: BlockId) -> Checked {
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

/// Compares the names of the servers at each address that several share.
fn compare_names(checker: &mut Checker<'_>) -> Checked {
    let Some(first) = checker.http.servers.first().map(|server| server.block) else { return Ok(()) };
    // A copy of all names would be most of the memory: they are lent to the comparison.
    let (servers, ports) = (std::mem::take(&mut checker.http.servers), std::mem::take(&mut checker.http.ports));
    let names = |server: usize| &servers[server].names;
    let compared = server_names::compare(checker, &ports, names, |server| servers[server].captures, first);
    (checker.http.servers, checker.http.ports) = (servers, ports);
    compared
}
