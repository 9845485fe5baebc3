//! Differences between versions of PCRE2: the library here is a newer one than that of many an nginx.

/// A place where PCRE2 10.42 and older refuse a pattern that newer ones take, with their words.
///
/// 10.43 introduced the option `a` and lookbehinds of variable length (`ChangeLog` of PCRE2).
pub(crate) fn newer_syntax(pattern: &[u8]) -> Option<(usize, &'static str)> {
    let mut at = 0;
    while at < pattern.len() {
        let rest = &pattern[at..];
        if rest.starts_with(b"(?<=") || rest.starts_with(b"(?<!") {
            if is_variable(&rest[4..]) {
                return Some((at, "lookbehind assertion is not fixed length"));
            }
        } else if let Some(options) = rest.strip_prefix(b"(?")
            && let Some(option) = ascii_option(options)
        {
            return Some((at + 2 + option, "unrecognized character after (? or (?-"));
        }
        at += element(rest);
    }
    None
}

/// The index of the option `a` in the options of a group, such as `i-sa)`.
fn ascii_option(options: &[u8]) -> Option<usize> {
    let length = options.iter().take_while(|byte| byte.is_ascii_alphabetic() || b"^-".contains(byte)).count();
    let ends = matches!(options.get(length), Some(b')' | b':'));
    options[..length].iter().position(|byte| *byte == b'a').filter(|_| ends)
}

/// The length of the first element of a pattern: an escape, a class, or a byte.
fn element(pattern: &[u8]) -> usize {
    match pattern[0] {
        b'\\' if pattern.starts_with(b"\\Q") => {
            pattern.windows(2).position(|pair| pair == b"\\E").map_or(pattern.len(), |end| end + 2)
        }
        b'\\' => 2,
        b'[' => class(pattern),
        _ => 1,
    }
}

/// The length of a class of characters, in which a `]` at its beginning is a member.
fn class(pattern: &[u8]) -> usize {
    let mut at = if pattern.get(1) == Some(&b'^') { 3 } else { 2 };
    while at < pattern.len() && pattern[at] != b']' {
        at += if pattern[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// True if the group that begins here has a quantifier that makes its length vary.
fn is_variable(group: &[u8]) -> bool {
    let (mut at, mut depth) = (0, 0_usize);
    while at < group.len() {
        match group[at] {
            b'(' => {
                depth += 1;
                // The `?` after it is no quantifier.
                at += usize::from(group.get(at + 1) == Some(&b'?'));
            }
            b')' if depth == 0 => return false,
            b')' => depth -= 1,
            b'*' | b'+' | b'?' => return true,
            b'{' if varies(&group[at + 1..]) => return true,
            _ => {}
        }
        at += group.get(at..).filter(|rest| !rest.is_empty()).map_or(1, element);
    }
    false
}

/// True for the rest of a quantifier such as `1,3}`.
fn varies(quantifier: &[u8]) -> bool {
    let Some(end) = quantifier.iter().position(|byte| *byte == b'}') else { return false };
    let Some(comma) = quantifier[..end].iter().position(|byte| *byte == b',') else { return false };
    let (low, high) = (&quantifier[..comma], &quantifier[comma + 1..end]);
    let digits = |text: &[u8]| text.iter().all(u8::is_ascii_digit);
    !low.is_empty() && digits(low) && digits(high) && low != high
}

/// A pattern that PCRE2 10.42 and older take, as newer ones write it: `\x` without digits is the character 0.
pub(crate) fn older_syntax(pattern: &str) -> Option<String> {
    let mut older = String::with_capacity(pattern.len() + 2);
    let (mut rest, mut changed) = (pattern, false);
    while let Some(at) = rest.find('\\') {
        let length = rest[at + 1..].chars().next().map_or(0, char::len_utf8);
        let (escape, after) = rest.split_at(at + 1 + length);
        older.push_str(escape);
        if escape.ends_with("\\x") && !after.starts_with(|next: char| next.is_ascii_hexdigit() || next == '{') {
            older.push_str("00");
            changed = true;
        }
        rest = after;
    }
    older.push_str(rest);
    changed.then_some(older)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_newer_syntax_is_found() {
        for pattern in ["(?<=a{1,3})b", "x(?<!a|bc+)", "(?<=(?:a)?)", "(?aD)x", "(?i-a:x)"] {
            assert!(newer_syntax(pattern.as_bytes()).is_some(), "{pattern}");
        }
        for pattern in [
            "(?<=a{2})b*",
            "(?<=[a+]\\*)x",
            "(?<name>a+)",
            "(?<=a)(?:b)+",
            "(?i)a",
            "\\(?<=a+",
            "[(?<=]a+",
            "(?=a+)",
            "(?<=a{2,2})",
        ] {
            assert_eq!(newer_syntax(pattern.as_bytes()), None, "{pattern}");
        }
    }

    #[test]
    fn an_escape_without_digits_is_the_character_0() {
        assert_eq!(older_syntax("a\\xzz").as_deref(), Some("a\\x00zz"));
        assert_eq!(older_syntax("\\x").as_deref(), Some("\\x00"));
        assert_eq!(older_syntax("\\\\x \\x41 \\x{41}"), None);
    }
}
