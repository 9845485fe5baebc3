//! `rewrite`, `return`, `set`, `if` and `break` (`src/http/modules/ngx_http_rewrite_module.c`).

use crate::checker::Checker;
use crate::directives::Contexts;
use crate::findings::codes;
use crate::findings::problem::Checked;
use crate::http::location;
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::model::location::{Location, Match};
use crate::values::numbers;

/// True if a text begins like a redirect to another address.
fn is_redirect(text: &[u8]) -> bool {
    [&b"http://"[..], b"https://", b"$scheme"].iter().any(|prefix| text.starts_with(prefix))
}

pub(crate) fn rewrite<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    if directive.word(2).is_empty() {
        return directive.refuse(2, codes::INVALID_REWRITE, "empty replacement");
    }
    checker.regex(directive, 1, directive.word(1), false, block)?;
    if directive.count() == 3 && ![&b"last"[..], b"break", b"redirect", b"permanent"].contains(&directive.word(3)) {
        let problem =
            directive.problem(3, codes::INVALID_PARAMETER, format!("invalid parameter \"{}\"", directive.text(3)));
        return Err(Box::new(problem.help("it may be: last, break, redirect, permanent")));
    }
    let replacement = directive.word(2).strip_suffix(b"?").unwrap_or(directive.word(2));
    checker.compile_text(directive, 2, replacement, block)?;
    Ok(())
}

pub(crate) fn return_<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let given = directive.word(1);
    let text = match numbers::number(given) {
        Some(code) if code > 999 => None,
        Some(_) => Some(2),
        None => (directive.count() == 1 && is_redirect(given)).then_some(1),
    };
    let Some(text) = text else {
        let message = format!("invalid return code \"{}\"", directive.text(1));
        return directive.refuse(1, codes::INVALID_RETURN_CODE, message);
    };
    if text <= directive.count() {
        checker.compile(directive, text, block)?;
    }
    Ok(())
}

pub(crate) fn set<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.define(directive, 1, block)?;
    let name = &directive.word(1)[1..];
    checker.use_variable(directive, 1, name, block)?;
    checker.compile(directive, 2, block)?;
    Ok(())
}

pub(crate) fn if_<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let in_server = checker.blocks[block].context == Contexts::SERVER;
    let context = if in_server { Contexts::SERVER_IF } else { Contexts::LOCATION_IF };
    let name = checker.blocks.location(block).name;
    let location = Location { kind: Match::NoName { limit_except: false }, name, spot: None };
    let inner = location::open(checker, directive, block, context, location);
    let judged = condition(checker, directive, block);
    checker.take(judged);
    checker.body(directive, inner);
    Ok(())
}

/// The words between the parentheses, each with its index.
fn between_parentheses<'s>(directive: &Directive<'s>) -> Checked<Vec<(usize, &'s [u8])>> {
    let invalid = |at: usize, text: &[u8]| {
        let text = String::from_utf8_lossy(text);
        directive.refuse(at, codes::INVALID_CONDITION, format!("invalid condition \"{text}\""))
    };
    let mut words: Vec<_> = directive.arguments().collect();
    let (first, last) = (1, directive.count());
    let Some(rest) = words[0].1.strip_prefix(b"(") else { return invalid(first, directive.word(first)) };
    words[0].1 = rest;
    let end = words.len() - 1;
    // nginx has cut the first parenthesis off by now, unless it is a word of its own.
    let text = if directive.word(last) == b"(" { directive.word(last) } else { words[end].1 };
    let Some(rest) = words[end].1.strip_suffix(b")") else { return invalid(last, text) };
    words[end].1 = rest;
    if directive.word(last) == b")" || (first == last && rest.is_empty()) {
        words.pop();
    }
    if directive.word(first) == b"(" && !words.is_empty() {
        words.remove(0);
    }
    Ok(words)
}

fn condition<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let words = between_parentheses(directive)?;
    let invalid = |text: &[u8], at: usize| {
        let message = format!("invalid condition \"{}\"", String::from_utf8_lossy(text));
        directive.refuse(at, codes::INVALID_CONDITION, message)
    };
    let Some((at, word)) = words.first().copied() else { return invalid(b")", 1) };
    match word {
        [b'$', name @ ..] if !name.is_empty() => match &words[1..] {
            [] => checker.use_variable(directive, at, name, block),
            [(operator_at, operator), (value_at, value)] => {
                checker.use_variable(directive, at, name, block)?;
                match *operator {
                    b"=" | b"!=" => checker.compile_text(directive, *value_at, value, block).map(|_| ()),
                    b"~" | b"!~" => checker.regex(directive, *value_at, value, false, block).map(|_| ()),
                    b"~*" | b"!~*" => checker.regex(directive, *value_at, value, true, block).map(|_| ()),
                    other => {
                        let message = format!("unexpected \"{}\" in condition", String::from_utf8_lossy(other));
                        directive.refuse(*operator_at, codes::INVALID_CONDITION, message)
                    }
                }
            }
            _ => invalid(word, at),
        },
        [b'-', _] | [b'!', b'-', _] => {
            let [_, (value_at, value)] = words[..] else { return invalid(word, at) };
            checker.compile_text(directive, value_at, value, block)?;
            if word.last().is_some_and(|test| b"fdex".contains(test)) { Ok(()) } else { invalid(word, at) }
        }
        _ => invalid(word, at),
    }
}
