//! Who may come, and who is who: `allow`, `deny`, `set_real_ip_from`, `valid_referers`, browsers
//! (`src/http/modules/ngx_http_access_module.c`, `ngx_http_realip_module.c`, `ngx_http_referer_module.c`,
//! `ngx_http_browser_module.c`).

use crate::block::BlockId;
use crate::checker::Checker;
use crate::codes;
use crate::directive::Directive;
use crate::hash_keys::HashKeys;
use crate::problem::Outcome;
use crate::url::{self, Cidr};
use crate::{main_conf, maps};

pub(crate) fn rule<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, _: BlockId) -> Outcome {
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

pub(crate) fn real_ip_from<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, _: BlockId) -> Outcome {
    main_conf::network_or_host(checker, directive, "set_real_ip_from")
}

pub(crate) fn real_ip_header<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Outcome {
    checker.once(directive, block)
}

pub(crate) fn valid_referers<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Outcome {
    let mut keys = HashKeys::default();
    let earlier: Vec<_> = checker.blocks[block].all(directive.known).unwrap_or_default().to_vec();
    for line in &earlier {
        for (at, _) in line.arguments() {
            // What was wrong with it has been said when it was read.
            let _ = referer(checker, line, at, &mut keys);
        }
    }
    for at in 1..=directive.count() {
        referer(checker, directive, at, &mut keys)?;
    }
    checker.blocks[block].add(directive);
    Ok(())
}

fn referer<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, at: usize, keys: &mut HashKeys) -> Outcome {
    let word = directive.word(at);
    let text = directive.text(at);
    match word {
        b"" => directive.refuse(at, codes::INVALID_REFERER, format!("invalid referer \"{text}\"")),
        b"none" | b"blocked" | b"server_names" => Ok(()),
        b"~" => directive.refuse(at, codes::INVALID_REFERER, format!("empty regex in \"{text}\"")),
        [b'~', pattern @ ..] => checker.plain_regex(directive, at, pattern, true).map(|_| ()),
        _ => {
            let host = word.split(|byte| *byte == b'/').next().unwrap_or_default();
            maps::host_key(directive, at, host, keys, true)
        }
    }
}

/// The browsers that nginx can tell the version of.
const BROWSERS: [&str; 5] = ["opera", "msie", "gecko", "safari", "konqueror"];

pub(crate) fn modern_browser<'s>(_: &mut Checker<'s>, directive: &Directive<'s>, _: BlockId) -> Outcome {
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
