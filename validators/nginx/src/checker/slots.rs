//! The setters that most directives share: `ngx_conf_set_flag_slot()` and the like (`src/core/ngx_conf_file.c`).

use crate::checker::{Checker, Row};
use crate::directives::{self, ArgumentType, Bounds};
use crate::findings::codes;
use crate::findings::problem::Checked;
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::values::numbers;

/// Lets a directive's setter judge it.
pub(crate) fn apply<'s>(
    checker: &mut Checker<'s>,
    Row { entry: row, setter, .. }: Row,
    directive: &Directive<'s>,
    block: BlockId,
) -> Checked {
    match &row.value {
        ArgumentType::Custom(_) => {
            if let Some(setter) = setter {
                setter(checker, directive, block)?;
            } else if !row.module.is_own() {
                checker.define_any(directive, block);
            }
        }
        ArgumentType::Flag => flag(checker, directive, block)?,
        ArgumentType::Str => checker.once(directive, block)?,
        ArgumentType::StrArray | ArgumentType::Keyval => checker.blocks.add(block, directive),
        ArgumentType::Enum(words) => enumeration(checker, directive, block, words)?,
        ArgumentType::Bitmask(words) => bitmask(checker, directive, block, words)?,
        ArgumentType::Num(bounds) => number(checker, directive, block, *bounds)?,
        ArgumentType::Size => size(checker, directive, block)?,
        ArgumentType::Off => parsed(checker, directive, block, numbers::offset)?,
        ArgumentType::Msec => parsed(checker, directive, block, numbers::milliseconds)?,
        ArgumentType::Sec => parsed(checker, directive, block, numbers::seconds)?,
        ArgumentType::Bufs => buffers(checker, directive, block)?,
    }
    if row.post.is_some_and(|post| post.ends_with("_lowat_check")) {
        let message = format!("\"{}\" is not supported, ignored", row.name);
        checker.warn(*directive.problem(0, codes::UNSUPPORTED, message));
    }
    if let Some(words) = farewell(row) {
        checker.warn(*directive.problem(0, codes::DEPRECATED_DIRECTIVE, words));
    }
    Ok(())
}

/// nginx's warning about a deprecated or obsolete directive.
fn farewell(row: &directives::Definition) -> Option<String> {
    let name = row.name;
    match (&row.value, row.replaced_by) {
        (ArgumentType::Custom("ngx_http_v2_spdy_deprecated"), _) => {
            Some(format!("invalid directive \"{name}\": ngx_http_spdy_module was superseded by ngx_http_v2_module"))
        }
        (ArgumentType::Custom("ngx_http_v2_obsolete"), None) => {
            Some(format!("the \"{name}\" directive is obsolete, ignored"))
        }
        (ArgumentType::Custom("ngx_http_v2_obsolete"), Some(instead)) => {
            Some(format!("the \"{name}\" directive is obsolete, use the \"{instead}\" directive instead"))
        }
        (_, Some(instead)) => {
            Some(format!("the \"{name}\" directive is deprecated, use the \"{instead}\" directive instead"))
        }
        (_, None) => None,
    }
}

/// `on` or `off`.
pub(crate) fn flag<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    let given = numbers::c_string(directive.word(1));
    if given.eq_ignore_ascii_case(b"on") || given.eq_ignore_ascii_case(b"off") {
        return Ok(());
    }
    let (name, text) = (directive.known(), String::from_utf8_lossy(given));
    let message = format!("invalid value \"{text}\" in \"{name}\" directive, it must be \"on\" or \"off\"");
    directive.refuse(1, codes::INVALID_FLAG, message)
}

/// One of some words.
pub(crate) fn enumeration<'s>(
    checker: &mut Checker<'s>,
    directive: &Directive<'s>,
    block: BlockId,
    words: &[&str],
) -> Checked {
    checker.once(directive, block)?;
    if words.iter().any(|word| word.as_bytes().eq_ignore_ascii_case(directive.word(1))) {
        return Ok(());
    }
    Err(invalid_word(directive, 1, words))
}

fn bitmask<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId, words: &[&str]) -> Checked {
    for (at, argument) in directive.arguments() {
        let Some(word) = words.iter().find(|word| word.as_bytes().eq_ignore_ascii_case(argument)) else {
            return Err(invalid_word(directive, at, words));
        };
        if !checker.is_new(directive, block, word.as_bytes()) {
            let message = format!("duplicate value \"{}\"", directive.text(at));
            checker.warn(*directive.problem(at, codes::DUPLICATE_VALUE, message));
        }
    }
    checker.blocks.set(block, directive);
    Ok(())
}

fn invalid_word(directive: &Directive<'_>, at: usize, words: &[&str]) -> Box<crate::findings::problem::Problem> {
    let problem = directive.problem(at, codes::INVALID_VALUE, format!("invalid value \"{}\"", directive.text(at)));
    Box::new(problem.help(format!("it may be: {}", words.join(", "))))
}

fn number<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId, bounds: Option<Bounds>) -> Checked {
    checker.once(directive, block)?;
    let Some(number) = numbers::number(directive.word(1)) else {
        return directive.refuse_directive(1, codes::INVALID_NUMBER, "invalid number");
    };
    if directive.known() == "http2_streams_index_size" && (number == 0 || number & (number - 1) != 0) {
        return directive.refuse_directive(1, codes::INVALID_NUMBER, "must be a power of two");
    }
    match bounds {
        Some(Bounds { low, high: None }) if number < low => {
            let message = format!("value must be equal to or greater than {low}");
            directive.refuse(1, codes::OUT_OF_BOUNDS, message)
        }
        Some(Bounds { low, high: Some(high) }) if !(low..=high).contains(&number) => {
            directive.refuse(1, codes::OUT_OF_BOUNDS, format!("value must be between {low} and {high}"))
        }
        _ => Ok(()),
    }
}

fn parsed<'s>(
    checker: &mut Checker<'s>,
    directive: &Directive<'s>,
    block: BlockId,
    read: fn(&[u8]) -> Option<i64>,
) -> Checked {
    checker.once(directive, block)?;
    match read(directive.word(1)) {
        Some(_) => Ok(()),
        None => directive.refuse_directive(1, codes::INVALID_VALUE, "invalid value"),
    }
}

/// The least size of a memory pool that nginx takes.
const MIN_POOL_SIZE: i64 = 112;

fn size<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    parsed(checker, directive, block, numbers::size)?;
    let size = numbers::size(directive.word(1)).unwrap_or_default();
    let powers =
        |top: i64| (0..).map(move |shift| top >> shift).take_while(|power| *power > 256).any(|power| power == size);
    match directive.known() {
        "connection_pool_size" | "request_pool_size" | "http2_pool_size" if size < MIN_POOL_SIZE => {
            let message = format!("the pool size must be no less than {MIN_POOL_SIZE}");
            directive.refuse(1, codes::OUT_OF_BOUNDS, message)
        }
        "connection_pool_size" | "request_pool_size" | "http2_pool_size" if size % 16 != 0 => {
            directive.refuse(1, codes::OUT_OF_BOUNDS, "the pool size must be a multiple of 16")
        }
        "gzip_window" if !powers(32 << 10) => {
            directive.refuse_directive(1, codes::OUT_OF_BOUNDS, "must be 512, 1k, 2k, 4k, 8k, 16k, or 32k")
        }
        "gzip_hash" if !powers(128 << 10) => {
            let complaint = "must be 512, 1k, 2k, 4k, 8k, 16k, 32k, 64k, or 128k";
            directive.refuse_directive(1, codes::OUT_OF_BOUNDS, complaint)
        }
        "http2_body_preread_size" if size > i64::from(i32::MAX) => {
            let message = format!("the maximum body preread buffer size is {}", i32::MAX);
            directive.refuse(1, codes::OUT_OF_BOUNDS, message)
        }
        "http2_chunk_size" if size == 0 => {
            directive.refuse(1, codes::OUT_OF_BOUNDS, "the http2 chunk size cannot be zero")
        }
        "http2_recv_buffer_size" if size <= 32 => {
            directive.refuse_directive(1, codes::OUT_OF_BOUNDS, "value is too small")
        }
        _ => Ok(()),
    }
}

fn buffers<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    let positive = |number: Option<i64>| number.is_some_and(|number| number != 0);
    if !positive(numbers::number(directive.word(1))) {
        return directive.refuse_directive(1, codes::INVALID_VALUE, "invalid value");
    }
    if !positive(numbers::size(directive.word(2))) {
        return directive.refuse_directive(2, codes::INVALID_VALUE, "invalid value");
    }
    Ok(())
}
