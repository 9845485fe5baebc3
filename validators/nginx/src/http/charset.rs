//! Character sets (`src/http/modules/ngx_http_charset_filter_module.c`).

use crate::checker::Checker;
use crate::directives::Version;
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
    if from == b"utf-8" && checker.options.version >= UTF8_SECOND {
        let message = "\"charset_map\" with \"utf-8\" charset should be given in the second column";
        return directive.refuse(1, codes::INVALID_CHARSET, message);
    }
    let utf8 = (to == b"utf-8").then_some(checker.options.version);
    if !checker.http.charsets.tables.insert(pair(from, to)) {
        let message = format!("duplicate \"charset_map\" between \"{one}\" and \"{two}\"");
        return directive.refuse(2, codes::INVALID_CHARSET, message);
    }
    checker.entries(directive, false, |_, entry| entry_of_map(entry, utf8));
    Ok(())
}

/// The first release that refuses UTF-8 in the first column.
const UTF8_SECOND: Version = Version::new(1, 31, 3);

/// Judges a line of `charset_map`: `ngx_http_charset_map()`. The version is given where the target is UTF-8.
fn entry_of_map(entry: &Directive<'_>, utf8: Option<Version>) -> Checked {
    if entry.count() != 1 {
        return entry.refuse(0, codes::ENTRY_PARAMETERS, "invalid parameters number");
    }
    let invalid = |at: usize| entry.refuse(at, codes::INVALID_VALUE, format!("invalid value \"{}\"", entry.text(at)));
    let byte = |text: &[u8]| numbers::hexadecimal(text).is_some_and(|byte| byte <= 255);
    if !byte(entry.word(0)) {
        return invalid(0);
    }
    let target = entry.word(1);
    let valid = utf8.map_or_else(|| byte(target), |version| is_utf8(target, version));
    if valid { Ok(()) } else { invalid(1) }
}

/// True if hexadecimal digits are the bytes of a character that nginx decodes (`ngx_utf8_decode()` in
/// `src/core/ngx_string.c`) and that has at most 16 bits.
fn is_utf8(digits: &[u8], version: Version) -> bool {
    /// The first release that refuses more than three bytes.
    const BOUNDED: Version = Version::new(1, 27, 5);
    /// Bytes that nginx keeps of a character.
    const LONGEST: usize = 3;
    let bytes: Option<Vec<u8>> =
        digits.chunks(2).map(|pair| numbers::hexadecimal(pair).and_then(|byte| u8::try_from(byte).ok())).collect();
    let Some(bytes) = bytes.filter(|_| digits.len().is_multiple_of(2)) else { return false };
    if version >= BOUNDED && bytes.len() > LONGEST {
        return false;
    }
    let Some((first, rest)) = bytes.split_first() else { return false };
    let (length, least, bits) = match first {
        0xf8.. => return false,
        0xf0.. => (3, 0xffff, first & 0x07),
        0xe0.. => (2, 0x7ff, first & 0x0f),
        0xc2.. => (1, 0x7f, first & 0x1f),
        // A byte of ASCII, or one that begins no character.
        _ => return false,
    };
    let decoded = rest.get(..length).and_then(|rest| {
        rest.iter()
            .try_fold(u32::from(bits), |value, byte| (*byte >= 0x80).then(|| value << 6 | u32::from(byte & 0x3f)))
    });
    decoded.is_some_and(|value| value > least && value <= 0xffff)
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
