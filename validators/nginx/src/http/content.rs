//! Sources and filters of content: `index`, `try_files`, `mirror`, `auth_request`, `sub_filter`,
//! `image_filter` and others (`src/http/modules/`).

use crate::checker::Checker;
use crate::findings::codes;
use crate::findings::problem::Checked;
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::values::numbers;

pub(crate) fn index<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    for (at, word) in directive.arguments() {
        if word.first() == Some(&b'/') && at != directive.count() {
            let message = "only the last index in \"index\" directive should be absolute";
            checker.warn(*directive.problem(at, codes::ABSOLUTE_INDEX, message));
        }
        if word.is_empty() {
            let message = format!("index \"{}\" in \"index\" directive is invalid", directive.text(1));
            return directive.refuse(at, codes::INVALID_VALUE, message);
        }
        checker.compile(directive, at, block)?;
    }
    Ok(())
}

pub(crate) fn try_files<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    for at in 1..=directive.count() {
        checker.compile(directive, at, block)?;
    }
    let last = directive.count();
    let code = directive.word(last).strip_prefix(b"=").map(numbers::number);
    if code.is_some_and(|code| code.is_none_or(|code| code > 999)) {
        return directive.refuse(
            last,
            codes::INVALID_RETURN_CODE,
            format!("invalid code \"{}\"", directive.text(last)),
        );
    }
    Ok(())
}

/// `http2_push`, until 1.25.1.
pub(crate) fn http2_push<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let off = |line: &Directive<'_>| line.word(1) == b"off";
    let earlier = checker.blocks.lines(block, "http2_push").next().map(|first| off(&first));
    let complaint = match (earlier, off(directive)) {
        (Some(true), true) => "is duplicate",
        (Some(true), false) => "URI cannot be used with \"off\" parameter",
        (Some(false), true) => "\"off\" parameter cannot be used with URI",
        _ => {
            checker.blocks.add(block, directive);
            return checker.compile(directive, 1, block).map(|_| ());
        }
    };
    directive.refuse_directive(1, codes::INCOMPATIBLE_PARAMETERS, complaint)
}

pub(crate) fn mirror<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let off = |line: &Directive<'_>| line.word(1) == b"off";
    let earlier = checker.blocks.lines(block, "mirror").next();
    if earlier.is_some_and(|first| off(directive) || off(&first)) {
        return directive.refuse_directive(0, codes::DUPLICATE_DIRECTIVE, "is duplicate");
    }
    checker.blocks.add(block, directive);
    Ok(())
}

pub(crate) fn auth_request<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)
}

pub(crate) fn auth_request_set<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.define(directive, 1, block)?;
    checker.use_variable(directive, 1, &directive.word(1)[1..], block)?;
    checker.compile(directive, 2, block)?;
    Ok(())
}

pub(crate) fn sub_filter<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    if directive.word(1).is_empty() {
        return directive.refuse(1, codes::INVALID_VALUE, "empty search pattern");
    }
    if checker.blocks.lines(block, "sub_filter").count() >= 255 {
        return directive.refuse(0, codes::OUT_OF_BOUNDS, "number of search patterns exceeds 255");
    }
    checker.blocks.add(block, directive);
    checker.compile(directive, 1, block)?;
    checker.compile(directive, 2, block)?;
    Ok(())
}

pub(crate) fn image_filter<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let invalid = |at: usize| {
        directive.refuse(at, codes::INVALID_PARAMETER, format!("invalid parameter \"{}\"", directive.text(at)))
    };
    match (directive.count(), directive.word(1)) {
        (1, b"off" | b"test" | b"size") => Ok(()),
        (2, b"rotate") => {
            let fixed = !checker.compile(directive, 2, block)?;
            if fixed && ![&b"90"[..], b"180", b"270"].contains(&directive.word(2)) { invalid(2) } else { Ok(()) }
        }
        (3, b"resize" | b"crop") => {
            for at in 2..=3 {
                let fixed = !checker.compile(directive, at, block)?;
                let word = directive.word(at);
                if fixed && word != b"-" && numbers::number(word).is_none_or(|number| number == 0) {
                    return invalid(at);
                }
            }
            Ok(())
        }
        _ => invalid(1),
    }
}

/// `image_filter_jpeg_quality` and the like: 1 to 100, or a value with variables.
pub(crate) fn image_quality<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let fixed = !checker.compile(directive, 1, block)?;
    if fixed && numbers::number(directive.word(1)).is_none_or(|number| number <= 0) {
        return directive.refuse(1, codes::INVALID_VALUE, format!("invalid value \"{}\"", directive.text(1)));
    }
    Ok(())
}

/// Rights such as `user:rw`: `ngx_conf_set_access_slot()`.
pub(crate) fn access_rights<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    for (at, word) in directive.arguments() {
        let rights = [&b"user:"[..], b"group:", b"all:"].iter().find_map(|group| word.strip_prefix(*group));
        if !rights.is_some_and(|rights| rights == b"rw" || rights == b"r") {
            return directive.refuse(at, codes::INVALID_VALUE, format!("invalid value \"{}\"", directive.text(at)));
        }
    }
    Ok(())
}

/// The last argument is a value with variables, and the directive may be repeated.
pub(crate) fn named_value<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.compile(directive, 2, block)?;
    Ok(())
}

/// `perl_set` and the like: the first argument is a variable that is defined by it.
pub(crate) fn defines_variable<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.define(directive, 1, block)
}
