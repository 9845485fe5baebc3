//! `location`, and `if` and `limit_except`, which nginx treats the same (`ngx_http_core_location()` and
//! `ngx_http_init_locations()`).

use foldhash::{HashMap, HashMapExt as _};

use crate::checker::Checker;
use crate::directives::Contexts;
use crate::findings::codes;
use crate::findings::problem::{Checked, Problem, SourceSpan};
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::model::location::{Location, Match};
use crate::values::numbers;

/// Reads the modifier and the name of a location.
fn understand<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked<(Match, &'s [u8])> {
    let rest = |from: usize, word: usize| &directive.word(word)[from..];
    let regex = |checker: &mut Checker<'s>, name: &'s [u8], at: usize, caseless: bool| {
        checker.regex(directive, at, name, caseless, block)?;
        Ok((Match::Regex, name))
    };
    if directive.count() == 2 {
        return match directive.word(1) {
            b"=" => Ok((Match::Exact, rest(0, 2))),
            b"^~" => Ok((Match::Prefix, rest(0, 2))),
            b"~" => regex(checker, rest(0, 2), 2, false),
            b"~*" => regex(checker, rest(0, 2), 2, true),
            _ => {
                let message = format!("invalid location modifier \"{}\"", directive.text(1));
                let problem = directive.problem(1, codes::INVALID_LOCATION, message);
                Err(Box::new(problem.help("it may be: `=`, `~`, `~*`, `^~`")))
            }
        };
    }
    match directive.word(1) {
        [b'=', ..] => Ok((Match::Exact, rest(1, 1))),
        [b'^', b'~', ..] => Ok((Match::Prefix, rest(2, 1))),
        [b'~', b'*', ..] => regex(checker, rest(2, 1), 1, true),
        [b'~', ..] => regex(checker, rest(1, 1), 1, false),
        [b'@', ..] => Ok((Match::Named, rest(0, 1))),
        _ => Ok((Match::Prefix, rest(0, 1))),
    }
}

pub(crate) fn location<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let (kind, name) = understand(checker, directive, block)?;
    nesting(checker, directive, block, kind, name)?;
    let inner = open(checker, directive, block, Contexts::LOCATION, Location { kind, name, spot: None });
    checker.body(directive, inner);
    Ok(())
}

/// Opens a block that is a location in nginx's sense.
pub(crate) fn open<'s>(
    checker: &mut Checker<'s>,
    directive: &Directive<'s>,
    parent: BlockId,
    context: Contexts,
    location: Location<'s>,
) -> BlockId {
    let inner = checker.open(context, parent);
    checker.blocks.add_location(inner, Location { spot: Some(directive.terminator()), ..location });
    inner
}

fn nesting(checker: &Checker<'_>, directive: &Directive<'_>, block: BlockId, kind: Match, name: &[u8]) -> Checked {
    if checker.blocks[block].context != Contexts::LOCATION {
        return Ok(());
    }
    let outer = &checker.blocks.location(block);
    let (text, around) = (String::from_utf8_lossy(name), String::from_utf8_lossy(outer.name));
    let message = match outer.kind {
        Match::Exact => format!("location \"{text}\" cannot be inside the exact location \"{around}\""),
        Match::Named => format!("location \"{text}\" cannot be inside the named location \"{around}\""),
        _ if kind == Match::Named => format!("named location \"{text}\" can be on the server level only"),
        _ if kind != Match::Regex && !name.starts_with(outer.name) => {
            format!("location \"{text}\" is outside location \"{around}\"")
        }
        _ => return Ok(()),
    };
    directive.refuse(directive.count(), codes::LOCATION_NESTING, message)
}

pub(crate) fn limit_except<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    const METHODS: [&str; 15] = [
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "DELETE",
        "MKCOL",
        "COPY",
        "MOVE",
        "OPTIONS",
        "PROPFIND",
        "PROPPATCH",
        "LOCK",
        "UNLOCK",
        "PATCH",
        "CONNECT",
    ];
    checker.once(directive, block)?;
    // nginx learnt CONNECT with 1.29.
    let known = if checker.options.version.minor() >= 29 { 15 } else { 14 };
    for (at, method) in directive.arguments() {
        if !METHODS[..known].iter().any(|known| known.as_bytes().eq_ignore_ascii_case(numbers::c_string(method))) {
            let message = format!("invalid method \"{}\"", directive.text(at));
            return directive.refuse(at, codes::INVALID_VALUE, message);
        }
    }
    let name = checker.blocks.location(block).name;
    let location = Location { kind: Match::NoName { limit_except: true }, name, spot: None };
    let inner = open(checker, directive, block, Contexts::LIMIT_EXCEPT, location);
    checker.body(directive, inner);
    Ok(())
}

/// Finds locations of the same name in a server, and in each location.
pub(crate) fn duplicates(checker: &Checker<'_>, block: BlockId) -> Checked {
    let mut seen: HashMap<(Match, &[u8]), SourceSpan> = HashMap::new();
    let mut first: Option<(&[u8], SourceSpan, SourceSpan)> = None;
    for child in checker.blocks.locations(block) {
        duplicates(checker, child)?;
        let Location { kind, name, spot } = checker.blocks.location(child);
        let Some(spot) = spot.filter(|_| matches!(kind, Match::Exact | Match::Prefix)) else { continue };
        if let Some(earlier) = seen.insert((kind, name), spot) {
            // nginx sorts the locations first, and so finds the least name.
            if first.is_none_or(|(least, ..)| name < least) {
                first = Some((name, spot, earlier));
            }
        }
    }
    let Some((name, spot, earlier)) = first else { return Ok(()) };
    let line = checker.sources.file(earlier.file()).tree.line(earlier.span().start);
    let message = format!("duplicate location \"{}\"", String::from_utf8_lossy(name));
    let problem = Problem::error(codes::DUPLICATE_LOCATION, message, spot);
    Err(Box::new(problem.help(format!("the first is on line {line}"))))
}
