//! `sticky`: `src/http/modules/ngx_http_upstream_sticky_module.c`.

use super::upstreams;
use crate::checker::Checker;
use crate::core::limits;
use crate::findings::codes;
use crate::findings::problem::Checked;
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::model::zones;
use crate::values::numbers;

pub(crate) fn sticky<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    let upstreams = upstreams(checker, block);
    let open = upstreams.open;
    // It wraps itself around the method chosen so far; to choose another afterwards is to lose it.
    upstreams.all[open].method = true;
    match directive.word(1) {
        b"cookie" => cookie(checker, directive, block),
        b"route" => route(checker, directive, block),
        b"learn" => learn(checker, directive, block),
        _ => unknown(directive, 1),
    }
}

fn unknown<T>(directive: &Directive<'_>, at: usize) -> Checked<T> {
    directive.refuse(at, codes::INVALID_PARAMETER, format!("unknown parameter \"{}\"", directive.text(at)))
}

fn route<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    for (at, word) in directive.arguments().skip(1) {
        let Some(name) = word.strip_prefix(b"$") else {
            let message = format!("invalid variable name \"{}\"", directive.text(at));
            return directive.refuse(at, codes::INVALID_VARIABLE, message);
        };
        checker.use_variable(directive, at, name, block)?;
    }
    Ok(())
}

fn cookie<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let refuse = |at: usize, complaint: &str| directive.refuse_directive(at, codes::INVALID_PARAMETER, complaint);
    if directive.word(2).is_empty() {
        return refuse(2, "empty cookie name");
    }
    for at in 3..=directive.count() {
        let word = directive.word(at);
        let length = word.iter().position(|byte| *byte == b'=').map_or(word.len(), |at| at + 1);
        let (key, given) = word.split_at(length);
        let name = String::from_utf8_lossy(key.strip_suffix(b"=").unwrap_or(key));
        if !matches!(key, b"domain=" | b"path=" | b"expires=" | b"samesite=" | b"httponly" | b"secure") {
            return unknown(directive, at);
        }
        if !checker.is_new(directive, block, key) {
            return refuse(at, &format!("parameter \"{name}\" is duplicate"));
        }
        let same_site =
            |text: &[u8]| [&b"strict"[..], b"lax", b"none"].iter().any(|word| word.eq_ignore_ascii_case(text));
        match key {
            b"domain=" | b"path=" if given.is_empty() => return refuse(at, &format!("no value for \"{name}\"")),
            b"domain=" => drop(checker.compile_text(directive, at, given, block)?),
            b"expires=" if given != b"max" && numbers::seconds(given).is_none() => {
                return refuse(at, "invalid \"expires\" parameter value");
            }
            b"samesite=" if !checker.compile_text(directive, at, given, block)? && !same_site(given) => {
                return refuse(at, "invalid \"samesite\" parameter value");
            }
            _ => {}
        }
    }
    let variable = [b"cookie_", directive.word(2)].concat();
    checker.use_variable(directive, 2, variable, block)
}

fn learn<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let refuse = |at: usize, complaint: &str| directive.refuse_directive::<()>(at, codes::INVALID_PARAMETER, complaint);
    let (mut zone, mut timeout, mut create, mut lookup) = (None, false, false, false);
    for at in 2..=directive.count() {
        let word = directive.word(at);
        if let Some(given) = word.strip_prefix(b"zone=") {
            if zone.is_some() {
                return refuse(at, "duplicate zone");
            }
            zone = Some((at, learn_zone(directive, at, given)?));
        } else if let Some(given) = word.strip_prefix(b"timeout=") {
            if std::mem::replace(&mut timeout, true) {
                return refuse(at, "duplicate timeout");
            }
            if numbers::milliseconds(given).is_none_or(|time| time == 0) {
                return refuse(at, "invalid timeout");
            }
        } else if let Some(given) = word.strip_prefix(b"create=") {
            let Some(name) = given.strip_prefix(b"$") else {
                return refuse(at, "missing variable in the \"create\" parameter");
            };
            checker.use_variable(directive, at, name, block)?;
            create = true;
        } else if let Some(given) = word.strip_prefix(b"lookup=") {
            let Some(name) = given.strip_prefix(b"$") else {
                return refuse(at, "missing variable in the \"lookup\" parameter");
            };
            checker.use_variable(directive, at, name, block)?;
            lookup = true;
        } else if word != b"header" {
            return unknown(directive, at);
        }
    }
    match zone {
        _ if !lookup => refuse(0, "\"lookup\" parameter is not specified"),
        _ if !create => refuse(0, "\"create\" parameter is not specified"),
        None => refuse(0, "\"zone\" parameter is not specified"),
        Some((at, (name, size))) => sessions(checker, directive, block, at, name, size),
    }
}

fn learn_zone<'d>(directive: &Directive<'_>, at: usize, given: &'d [u8]) -> Checked<(&'d [u8], i64)> {
    let refuse = |complaint: &str| directive.refuse_directive(at, codes::INVALID_ZONE, complaint);
    match (given.iter().position(|byte| *byte == b':'), limits::zone_and_size(given)) {
        (None, _) => refuse("zone size is not specified"),
        (Some(0), _) => refuse("zone name is not specified"),
        (_, None) => refuse("invalid zone size"),
        (_, Some((_, size))) if size < 8 * zones::PAGE => refuse("zone is too small"),
        (_, Some(zone)) => Ok(zone),
    }
}

/// Keeps the sessions of an upstream in a zone of its own.
fn sessions<'s>(
    checker: &mut Checker<'s>,
    directive: &Directive<'s>,
    block: BlockId,
    at: usize,
    name: &[u8],
    size: i64,
) -> Checked {
    let upstreams = upstreams(checker, block);
    let host = upstreams.all[upstreams.open].host.to_vec();
    let zone = checker.zones.add(directive, at, name, size, "sticky")?;
    if std::mem::replace(&mut zone.declared, true) {
        let (name, host) = (String::from_utf8_lossy(name), String::from_utf8_lossy(&zone.key));
        let message = format!("sticky zone \"{name}\" is already used in upstream \"{host}\"");
        return directive.refuse(at, codes::DUPLICATE_ZONE, message);
    }
    zone.key = host;
    Ok(())
}
