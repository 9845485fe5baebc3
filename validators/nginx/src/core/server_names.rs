//! `server_name` of http and of stream, and the names of servers that share an address (`ngx_http_core_server_name()`
//! and `ngx_http_server_names()`).

use crate::checker::Checker;
use crate::findings::codes;
use crate::findings::problem::{Checked, Problem};
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::model::ports::Ports;
use crate::model::server_names::ServerName;
use crate::values::hash_keys::{HashKeys, Refused, lower};

/// Limit of compared names, each counted at every address of its server.
const MOST: usize = 5_000_000;

/// Compares the names of the servers at each address whose servers are found by name, of which there are [`MOST`] in all; `first` is
/// one of the servers.
pub(crate) fn compare<'a, 's: 'a>(
    checker: &mut Checker<'s>,
    ports: &Ports,
    names_of: impl Fn(usize) -> &'a Vec<ServerName<'s>>,
    captures: impl Fn(usize) -> bool,
    first: BlockId,
) -> Checked {
    let mut left = MOST;
    for (address, servers) in ports.named(captures) {
        let names: Vec<_> = servers.iter().flat_map(|server| names_of(*server as usize)).collect();
        left = left.saturating_sub(names.len());
        if left == 0 {
            break;
        }
        conflicts(checker, &address, &names, first)?;
    }
    Ok(())
}

/// The names of a directive `server_name`.
pub(crate) struct Names<'s> {
    /// Those that are no regular expressions.
    pub(crate) plain: Vec<ServerName<'s>>,
    /// True if the last regular expression has groups; `None` without one.
    pub(crate) captures: Option<bool>,
}

/// Reads the directive `server_name`.
pub(crate) fn read<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked<Names<'s>> {
    checker.blocks.add(block, directive);
    let mut names = Names { plain: Vec::with_capacity(directive.count()), captures: None };
    for at in 1..=directive.count() {
        let name = directive.word(at);
        let text = || directive.text(at);
        let star = name.first() == Some(&b'*') && (name.len() < 3 || name[1] != b'.');
        if star || name == b"." {
            return directive.refuse(at, codes::INVALID_SERVER_NAME, format!("server name \"{}\" is invalid", text()));
        }
        if name.contains(&b'/') {
            let message = format!("server name \"{}\" has suspicious symbols", text());
            checker.warn(*directive.problem(at, codes::SUSPICIOUS_SERVER_NAME, message));
        }
        let Some(pattern) = name.strip_prefix(b"~") else {
            names.plain.push((lower(name), directive.exact(at)));
            continue;
        };
        if pattern.is_empty() {
            let message = format!("empty regex in server name \"{}\"", text());
            return directive.refuse(at, codes::INVALID_SERVER_NAME, message);
        }
        let caseless = pattern.iter().any(u8::is_ascii_uppercase);
        names.captures = Some(checker.regex(directive, at, pattern, caseless, block)?.captures > 0);
    }
    Ok(names)
}

/// Compares the names of all servers that share one address; `server` is one of them.
fn conflicts(checker: &mut Checker<'_>, address: &str, names: &[&ServerName<'_>], server: BlockId) -> Checked {
    let sizes = checker.hash_sizes(server, "server_names_hash");
    let mut keys = HashKeys::default();
    for (name, spot) in names {
        let text = || String::from_utf8_lossy(name);
        match keys.add(name, true) {
            Ok(()) => {}
            Err(Refused::Declined) => {
                let message = format!("invalid server name or wildcard \"{}\" on {address}", text());
                return Err(Box::new(Problem::error(codes::INVALID_SERVER_NAME, message, *spot)));
            }
            Err(Refused::Busy) => {
                let message = format!("conflicting server name \"{}\" on {address}, ignored", text());
                checker.report(Problem::warning(codes::CONFLICTING_SERVER_NAME, message, *spot));
            }
        }
    }
    if let (false, Some((_, spot))) = (keys.is_empty(), names.first()) {
        checker.check_hash(&sizes, &[], *spot)?;
    }
    let plain = |name: &[u8]| !name.starts_with(b".") && !name.contains(&b'*');
    for (name, spot) in names.iter().filter(|(name, _)| plain(name)) {
        if let Some(complaint) = sizes.complaint_about(name) {
            return Err(Box::new(Problem::error(codes::HASH_BUCKET_SIZE, complaint, *spot)));
        }
    }
    Ok(())
}
