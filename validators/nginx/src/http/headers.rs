//! `add_header`, `expires` and `userid` (`src/http/modules/ngx_http_headers_filter_module.c`,
//! `ngx_http_userid_filter_module.c`).

use crate::checker::Checker;
use crate::findings::codes;
use crate::findings::problem::Checked;
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::values::numbers;

pub(crate) fn add_header<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.compile(directive, 2, block)?;
    if directive.count() == 3 && directive.word(3) != b"always" {
        let problem =
            directive.problem(3, codes::INVALID_PARAMETER, format!("invalid parameter \"{}\"", directive.text(3)));
        return Err(Box::new(problem.help("a value with spaces needs quotes; the third word may only be `always`")));
    }
    Ok(())
}

pub(crate) fn expires<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    let modified = directive.count() == 2;
    if modified && directive.word(1) != b"modified" {
        return directive.refuse_directive(1, codes::INVALID_VALUE, "invalid value");
    }
    let at = directive.count();
    if checker.compile(directive, at, block)? {
        return Ok(());
    }
    let text = directive.word(at);
    if !modified && [&b"epoch"[..], b"max", b"off"].contains(&text) {
        return Ok(());
    }
    let (sign, time) = match text.split_first() {
        Some((sign @ (b'@' | b'+' | b'-'), rest)) => (*sign, rest),
        _ => (b'+', text),
    };
    let refuse = |complaint: &str| directive.refuse_directive(at, codes::INVALID_VALUE, complaint);
    if sign == b'@' && modified {
        return refuse("daily time cannot be used with \"modified\" parameter");
    }
    match numbers::seconds(time) {
        None => refuse("invalid value"),
        Some(seconds) if sign == b'@' && seconds > 24 * 60 * 60 => {
            refuse("daily time value must be less than 24 hours")
        }
        Some(_) => Ok(()),
    }
}

pub(crate) fn userid_expires<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    let text = directive.word(1);
    if text == b"max" || text == b"off" || numbers::seconds(text).is_some() {
        return Ok(());
    }
    directive.refuse_directive(1, codes::INVALID_VALUE, "invalid value")
}

pub(crate) fn userid_mark<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    match directive.word(1) {
        b"off" => Ok(()),
        [byte] if byte.is_ascii_alphanumeric() || *byte == b'=' => Ok(()),
        _ => {
            let complaint = "value must be \"off\" or a single letter, digit or \"=\"";
            directive.refuse_directive(1, codes::INVALID_VALUE, complaint)
        }
    }
}
