//! Character sets (`src/http/modules/ngx_http_charset_filter_module.c`).

use crate::checker::Checker;
use crate::findings::codes;
use crate::findings::problem::{Checked, Problem};
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::values::numbers;

/// Two names as they are kept: a table works both ways.
fn pair(one: Vec<u8>, other: Vec<u8>) -> [Vec<u8>; 2] {
    if one < other { [one, other] } else { [other, one] }
}

fn lower(directive: &Directive<'_>, at: usize) -> Vec<u8> {
    directive.word(at).to_ascii_lowercase()
}

/// `charset` and `source_charset`: a name, or a variable.
pub(crate) fn charset<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    match directive.word(1).strip_prefix(b"$") {
        Some(name) => checker.use_variable(directive, 1, name, block),
        None => Ok(()),
    }
}

pub(crate) fn charset_map<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, _: BlockId) -> Checked {
    let (from, to) = (lower(directive, 1), lower(directive, 2));
    let (one, two) = (directive.text(1), directive.text(2));
    if from == to {
        let message = format!("\"charset_map\" between the same charsets \"{one}\" and \"{two}\"");
        return directive.refuse(2, codes::INVALID_CHARSET, message);
    }
    let utf8 = to == b"utf-8";
    if !checker.http.charsets.tables.insert(pair(from, to)) {
        let message = format!("duplicate \"charset_map\" between \"{one}\" and \"{two}\"");
        return directive.refuse(2, codes::INVALID_CHARSET, message);
    }
    checker.entries(directive, false, |_, entry| entry_of_map(entry, utf8));
    Ok(())
}

fn entry_of_map(entry: &Directive<'_>, utf8: bool) -> Checked {
    if entry.count() != 1 {
        return entry.refuse(0, codes::ENTRY_PARAMETERS, "invalid parameters number");
    }
    let invalid = |at: usize| entry.refuse(at, codes::INVALID_VALUE, format!("invalid value \"{}\"", entry.text(at)));
    let byte = |text: &[u8]| numbers::hexadecimal(text).is_some_and(|byte| byte <= 255);
    if !byte(entry.word(0)) {
        return invalid(0);
    }
    let target = entry.word(1);
    let valid = if utf8 { target.len().is_multiple_of(2) && target.chunks(2).all(byte) } else { byte(target) };
    if valid { Ok(()) } else { invalid(1) }
}

/// Records the recoding of a block.
pub(crate) fn merge(checker: &mut Checker<'_>, block: BlockId) {
    let effective = |name: &str| checker.effective(block, name).copied();
    let (Some(to), Some(from)) = (effective("charset"), effective("source_charset")) else { return };
    let is_name = |directive: &Directive<'_>| !directive.word(1).starts_with(b"$");
    if to.word(1) == b"off" || !is_name(&to) || !is_name(&from) {
        return;
    }
    let (source, target) = (lower(&from, 1), lower(&to, 1));
    let charsets = &mut checker.http.charsets;
    if source != target && charsets.recoded.insert([source, target]) {
        charsets.recodes.push((from, to));
    }
}

/// Checks that there is a table for everything that is recoded.
pub(crate) fn finish(checker: &Checker<'_>) -> Checked {
    let charsets = &checker.http.charsets;
    for (from, to) in &charsets.recodes {
        if !checker.incomplete && !charsets.tables.contains(&pair(lower(from, 1), lower(to, 1))) {
            let message =
                format!("no \"charset_map\" between the charsets \"{}\" and \"{}\"", from.text(1), to.text(1));
            return Err(Box::new(Problem::error(codes::INVALID_CHARSET, message, to.exact(1))));
        }
    }
    Ok(())
}
