//! Balancing methods, kept connections and shared zones of upstreams
//! (`src/http/modules/ngx_http_upstream_*_module.c`).

use super::{is_stream, upstreams};
use crate::checker::Checker;
use crate::checker::slots;
use crate::directives::Version;
use crate::findings::codes;
use crate::findings::problem::Checked;
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::values::numbers;

/// Chooses a balancing method.
pub(super) fn method<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId, takes_backup: bool) {
    let upstreams = upstreams(checker, block);
    let open = upstreams.open;
    let group = &mut upstreams.all[open];
    let again = std::mem::replace(&mut group.method, true);
    group.takes_backup = takes_backup;
    if again {
        checker.warn(*directive.problem(0, codes::METHOD_REDEFINED, "load balancing method redefined"));
    }
}

pub(crate) fn hash<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.compile(directive, 1, block)?;
    method(checker, directive, block, false);
    if directive.count() == 2 && directive.word(2) != b"consistent" {
        let message = format!("invalid parameter \"{}\"", directive.text(2));
        return directive.refuse(2, codes::INVALID_PARAMETER, message);
    }
    Ok(())
}

pub(crate) fn ip_hash<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    method(checker, directive, block, false);
    Ok(())
}

pub(crate) fn least_conn<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    method(checker, directive, block, true);
    Ok(())
}

pub(crate) fn least_time<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    method(checker, directive, block, true);
    if directive.count() == 2 && directive.word(2) != b"inflight" {
        let message = format!("invalid parameter \"{}\"", directive.text(2));
        return directive.refuse(2, codes::INVALID_PARAMETER, message);
    }
    let stream = is_stream(checker, block);
    let times: &[&str] = if stream { &["connect", "first_byte", "last_byte"] } else { &["header", "last_byte"] };
    slots::enumeration(checker, directive, block, times)
}

pub(crate) fn random<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    method(checker, directive, block, false);
    let wrong = match directive.count() {
        0 => None,
        _ if directive.word(1) != b"two" => Some(1),
        2 if directive.word(2) != b"least_conn" => Some(2),
        _ => None,
    };
    match wrong {
        None => Ok(()),
        Some(at) => {
            let message = format!("invalid parameter \"{}\"", directive.text(at));
            directive.refuse(at, codes::INVALID_PARAMETER, message)
        }
    }
}

pub(crate) fn keepalive<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    /// The first release that takes 0, which turns it off, and `local`.
    const LOCAL: Version = Version::new(1, 29, 7);
    checker.once(directive, block)?;
    let takes_zero = checker.options.version >= LOCAL;
    if numbers::number(directive.word(1)).is_none_or(|number| number == 0 && !takes_zero) {
        let message = format!("invalid value \"{}\" in \"keepalive\" directive", directive.text(1));
        return directive.refuse(1, codes::INVALID_VALUE, message);
    }
    if directive.count() == 2 && directive.word(2) != b"local" {
        let message = format!("invalid parameter \"{}\"", directive.text(2));
        return directive.refuse(2, codes::INVALID_PARAMETER, message);
    }
    if !takes_zero {
        // It wraps itself around the method chosen so far; to choose another afterwards is to lose it.
        let upstreams = upstreams(checker, block);
        let open = upstreams.open;
        upstreams.all[open].method = true;
    }
    Ok(())
}

pub(crate) fn zone<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let name = directive.word(1);
    if name.is_empty() {
        return directive.refuse(1, codes::INVALID_ZONE, "invalid zone name \"\"");
    }
    let mut size = 0;
    if directive.count() == 2 {
        let Some(given) = numbers::size(directive.word(2)) else {
            let message = format!("invalid zone size \"{}\"", directive.text(2));
            return directive.refuse(2, codes::INVALID_ZONE, message);
        };
        if given < 8 * crate::model::zones::PAGE {
            return directive.refuse(2, codes::ZONE_TOO_SMALL, format!("zone \"{}\" is too small", directive.text(1)));
        }
        size = given;
    }
    let stream = is_stream(checker, block);
    checker.zones.add(directive, 1, name, size, if stream { "stream upstream" } else { "http upstream" })?;
    let upstreams = upstreams(checker, block);
    let open = upstreams.open;
    upstreams.all[open].zone = true;
    Ok(())
}
