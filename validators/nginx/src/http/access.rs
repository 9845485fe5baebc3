//! Access by address, referer and browser: `allow`, `deny`, `set_real_ip_from`, `valid_referers`, `modern_browser`
//! (`src/http/modules/ngx_http_access_module.c`, `ngx_http_realip_module.c`, `ngx_http_referer_module.c`,
//! `ngx_http_browser_module.c`).

use crate::checker::Checker;
use crate::core::main_conf;
use crate::core::maps;
use crate::directives::Contexts;
use crate::findings::codes;
use crate::findings::problem::{Checked, Problem, SourceSpan};
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::model::http::Referers;
use crate::values::hash_keys::Refused;
use crate::values::url::{self, Cidr};

pub(crate) fn rule<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, _: BlockId) -> Checked {
    if [&b"all"[..], b"unix:"].contains(&directive.word(1)) {
        return Ok(());
    }
    match url::cidr(directive.word(1)) {
        Cidr::Exact(_) => {}
        Cidr::LowBits(_) => main_conf::low_bits(checker, directive, 1),
        Cidr::Invalid => {
            let message = format!("invalid parameter \"{}\"", directive.text(1));
            return directive.refuse(1, codes::INVALID_PARAMETER, message);
        }
    }
    Ok(())
}

pub(crate) fn real_ip_from<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, _: BlockId) -> Checked {
    main_conf::network_or_host(checker, directive, "set_real_ip_from")
}

pub(crate) fn real_ip_header<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)
}

pub(crate) fn valid_referers<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let mut referers = checker.http.referers.remove(&block).unwrap_or_default();
    let judged = (1..=directive.count()).try_for_each(|at| referer(checker, directive, at, &mut referers));
    checker.http.referers.insert(block, referers);
    judged
}

fn referer<'s>(
    checker: &mut Checker<'s>,
    directive: &Directive<'s>,
    at: usize,
    referers: &mut Referers<'s>,
) -> Checked {
    let word = directive.word(at);
    let text = directive.text(at);
    match word {
        b"" => return directive.refuse(at, codes::INVALID_REFERER, format!("invalid referer \"{text}\"")),
        b"none" | b"blocked" => referers.none_or_blocked = true,
        b"server_names" => referers.server_names = true,
        b"~" => return directive.refuse(at, codes::INVALID_REFERER, format!("empty regex in \"{text}\"")),
        [b'~', pattern @ ..] => drop(checker.plain_regex(directive, at, pattern, true)?),
        _ => {
            let host = word.split(|byte| *byte == b'/').next().unwrap_or_default();
            maps::host_key(directive, at, host, &mut referers.keys, true)?;
            referers.any = true;
        }
    }
    Ok(())
}

/// Adds the names of a block's server to its referers: `ngx_http_referer_merge_conf()`.
pub(crate) fn merge_referers(checker: &mut Checker<'_>, block: BlockId, end: SourceSpan) -> Checked {
    let Some(mut referers) = checker.http.referers.remove(&block) else { return Ok(()) };
    let mut server = block;
    while checker.blocks[server].context != Contexts::SERVER {
        let Some(parent) = checker.blocks[server].parent() else { return Ok(()) };
        server = parent;
    }
    // They were opened one after another, so that their blocks are sorted.
    let servers = &checker.http.servers;
    let found = servers.binary_search_by_key(&server, |known| known.block).map(|at| &servers[at].names);
    for (name, _) in found.into_iter().flatten().filter(|_| referers.server_names) {
        let text = String::from_utf8_lossy(name);
        let message = match referers.keys.add(name, true) {
            Ok(()) => {
                referers.any = true;
                continue;
            }
            Err(Refused::Declined) => format!("invalid hostname or wildcard \"{text}\""),
            Err(Refused::Busy) => format!("conflicting parameter \"{text}\""),
        };
        return Err(Box::new(Problem::error(codes::INVALID_REFERER, message, end)));
    }
    if referers.none_or_blocked && !referers.any {
        let message = "the \"none\" or \"blocked\" referers are specified in the \"valid_referers\" directive without any \
                       valid referer";
        return Err(Box::new(Problem::error(codes::INVALID_REFERER, message, end)));
    }
    Ok(())
}

/// The browsers whose version nginx can read.
const BROWSERS: [&str; 5] = ["opera", "msie", "gecko", "safari", "konqueror"];

pub(crate) fn modern_browser<'s>(_: &mut Checker<'s>, directive: &Directive<'s>, _: BlockId) -> Checked {
    if directive.count() == 1 {
        return match directive.word(1) {
            b"unlisted" => Ok(()),
            _ => directive.refuse(1, codes::INVALID_VALUE, format!("invalid value \"{}\"", directive.text(1))),
        };
    }
    if !BROWSERS.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(directive.word(1))) {
        let message = format!("unknown browser name \"{}\"", directive.text(1));
        return directive.refuse(1, codes::INVALID_VALUE, message);
    }
    if !directive.word(2).iter().all(|byte| byte.is_ascii_digit() || *byte == b'.') {
        let message = format!("invalid browser version \"{}\"", directive.text(2));
        return directive.refuse(2, codes::INVALID_VALUE, message);
    }
    Ok(())
}
