//! As much of Lua's syntax as is needed to find the `}` that ends a `*_by_lua_block`.

/// The length of the Lua code at the beginning of `text`, up to the `}` that closes its block (all of the text, if
/// nothing does). Braces in strings and comments do not count.
pub(crate) fn block(text: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        at += match byte {
            b'{' => {
                depth += 1;
                1
            }
            b'}' if depth == 0 => return at,
            b'}' => {
                depth -= 1;
                1
            }
            b'"' | b'\'' => string(&text[at..]),
            b'[' => long_bracket(&text[at..]).unwrap_or(1),
            b'-' if text.get(at + 1) == Some(&b'-') => 2 + comment(&text[at + 2..]),
            _ => 1,
        };
    }
    text.len()
}

fn string(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = text.get(at) {
        at += if *byte == b'\\' { 2 } else { 1 };
        if *byte == text[0] {
            break;
        }
    }
    at.min(text.len())
}

fn comment(text: &[u8]) -> usize {
    let line = || text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
    if text.first() == Some(&b'[') { long_bracket(text).unwrap_or_else(line) } else { line() }
}

/// The length of `[[ … ]]` or `[==[ … ]==]`, if one begins here.
fn long_bracket(text: &[u8]) -> Option<usize> {
    let level = text[1..].iter().take_while(|byte| **byte == b'=').count();
    if text.get(level + 1) != Some(&b'[') {
        return None;
    }
    let mut closing = vec![b'='; level + 2];
    (closing[0], closing[level + 1]) = (b']', b']');
    let body = &text[level + 2..];
    let end = body.windows(closing.len()).position(|window| window == closing);
    Some(end.map_or(text.len(), |end| level + 2 + end + closing.len()))
}
