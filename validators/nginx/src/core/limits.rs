//! `limit_req` and `limit_conn` with their zones (`src/http/modules/ngx_http_limit_req_module.c`,
//! `ngx_http_limit_conn_module.c`, `src/stream/ngx_stream_limit_conn_module.c`).

use crate::checker::Checker;
use crate::directives::{Contexts, Version};
use crate::findings::codes;
use crate::findings::problem::Checked;
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::model::zones;
use crate::values::numbers;

/// Splits `name:size`, as `zone=` and `keys_zone=` have it.
pub(crate) fn zone_and_size(text: &[u8]) -> Option<(&[u8], i64)> {
    let colon = text.iter().position(|byte| *byte == b':')?;
    Some((&text[..colon], numbers::size(&text[colon + 1..])?))
}

fn zone_parameter<'d>(directive: &'d Directive<'_>, at: usize, given: &'d [u8]) -> Checked<(&'d [u8], i64)> {
    let Some((name, size)) = zone_and_size(given) else {
        return directive.refuse(at, codes::INVALID_ZONE, format!("invalid zone size \"{}\"", directive.text(at)));
    };
    if size < 8 * zones::PAGE {
        return directive.refuse(at, codes::ZONE_TOO_SMALL, format!("zone \"{}\" is too small", directive.text(at)));
    }
    Ok((name, size))
}

/// `limit_req_zone` and `limit_conn_zone`.
pub(crate) fn limit_zone<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.compile(directive, 1, block)?;
    let mut zone = None;
    for (at, word) in directive.arguments().skip(1) {
        if let Some(given) = word.strip_prefix(b"zone=") {
            let (name, size) = zone_parameter(directive, at, given)?;
            zone = Some((at, name, size));
        } else if let Some(rate) = word.strip_prefix(b"rate=").filter(|_| directive.known() == "limit_req_zone") {
            let number = rate.strip_suffix(b"r/s").or_else(|| rate.strip_suffix(b"r/m")).unwrap_or(rate);
            if numbers::number(number).is_none_or(|rate| rate <= 0) {
                return directive.refuse(
                    at,
                    codes::INVALID_PARAMETER,
                    format!("invalid rate \"{}\"", directive.text(at)),
                );
            }
        } else {
            let message = format!("invalid parameter \"{}\"", directive.text(at));
            return directive.refuse(at, codes::INVALID_PARAMETER, message);
        }
    }
    let Some((at, name, size)) = zone.filter(|(_, name, _)| !name.is_empty()) else {
        return directive.refuse(
            0,
            codes::MISSING_PARAMETER,
            format!("\"{}\" must have \"zone\" parameter", directive.known()),
        );
    };
    let stream = checker.blocks[block].context == Contexts::STREAM;
    let zone = checker.zones.add(directive, at, name, size, tag(directive.known(), stream))?;
    if std::mem::replace(&mut zone.declared, true) {
        let (name, key) = (String::from_utf8_lossy(name), String::from_utf8_lossy(&zone.key));
        let message = format!("{} \"{name}\" is already bound to key \"{key}\"", directive.known());
        return directive.refuse(at, codes::DUPLICATE_ZONE, message);
    }
    zone.key = directive.word(1).to_vec();
    Ok(())
}

fn tag(directive: &str, stream: bool) -> &'static str {
    match (directive.starts_with("limit_req"), stream) {
        (true, _) => "limit_req",
        (false, false) => "limit_conn",
        (false, true) => "stream limit_conn",
    }
}

/// The first release with `limit_req … delay=`.
const DELAY: Version = Version::new(1, 15, 7);

pub(crate) fn limit_req<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let mut zone = None;
    for (at, word) in directive.arguments() {
        let positive = |number: &[u8]| numbers::number(number).is_some_and(|number| number > 0);
        let invalid = if let Some(name) = word.strip_prefix(b"zone=") {
            checker.zones.add(directive, at, name, 0, tag("limit_req", false))?;
            zone = Some(name.to_vec());
            None
        } else if let Some(number) = word.strip_prefix(b"burst=") {
            (!positive(number)).then_some("burst value")
        } else if let Some(number) = word.strip_prefix(b"delay=").filter(|_| checker.options.version >= DELAY) {
            (!positive(number)).then_some("delay value")
        } else {
            (word != b"nodelay").then_some("parameter")
        };
        if let Some(what) = invalid {
            let message = format!("invalid {what} \"{}\"", directive.text(at));
            return directive.refuse(at, codes::INVALID_PARAMETER, message);
        }
    }
    let Some(zone) = zone else {
        return directive.refuse(0, codes::MISSING_PARAMETER, "\"limit_req\" must have \"zone\" parameter");
    };
    twice(checker, directive, block, &zone)
}

/// Refuses to limit a zone twice in a block.
fn twice<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId, zone: &[u8]) -> Checked {
    if checker.is_new(directive, block, zone) {
        return Ok(());
    }
    directive.refuse_directive(1, codes::DUPLICATE_DIRECTIVE, "is duplicate")
}

pub(crate) fn limit_conn<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let stream = checker.blocks[block].context.intersects(Contexts::STREAM | Contexts::STREAM_SERVER);
    checker.zones.add(directive, 1, directive.word(1), 0, tag("limit_conn", stream))?;
    twice(checker, directive, block, directive.word(1))?;
    match numbers::number(directive.word(2)) {
        Some(1..=65535) => {}
        Some(65536..) => {
            return directive.refuse(2, codes::OUT_OF_BOUNDS, "connection limit must be less 65536");
        }
        _ => {
            let message = format!("invalid number of connections \"{}\"", directive.text(2));
            return directive.refuse(2, codes::INVALID_NUMBER, message);
        }
    }
    Ok(())
}
