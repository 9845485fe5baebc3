//! Patterns in `include`, as `glob(3)` expands them for nginx in the C locale.

use reload_gate_contract::{Absent, Files};

/// True if nginx would expand it: `*`, `?` or `[` occurs.
pub(crate) fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// The paths that match an absolute pattern, sorted: known files, and what nginx meets there and cannot read. Files of which nothing is
/// known are left out.
///
/// # Errors
/// The reason why a directory cannot be listed. A directory that is known to be missing holds nothing.
pub(crate) fn matching(pattern: &str, files: &dyn Files) -> Result<Vec<String>, Absent> {
    let mut found = vec![String::new()];
    let mut is_listed = false;
    let mut parts = pattern.split('/').filter(|part| !part.is_empty()).peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        is_listed = last && is_pattern(part);
        if !is_pattern(part) {
            found.iter_mut().for_each(|path| *path = format!("{path}/{part}"));
            continue;
        }
        let mut next = vec![];
        for directory in &found {
            let listed = if last { files.list(directory) } else { files.directories(directory) };
            let listed = match listed {
                // Nothing can be in a directory that is known not to be there.
                Err(Absent::Unknown) if files.read(directory) == Err(Absent::Missing) => vec![],
                listed => listed?,
            };
            next.extend(listed.iter().filter(|path| matches_in(directory, path, part)).map(ToString::to_string));
        }
        found = next;
    }
    // A directory matches as a file does, and so does a link that leads nowhere; what a pattern does not list has to be there.
    found.retain(|path| match files.read(path) {
        Ok(_) | Err(Absent::Directory) => true,
        Err(Absent::Missing) => is_listed,
        Err(Absent::Unknown) => false,
    });
    found.sort();
    Ok(found)
}

fn matches_in(directory: &str, path: &str, pattern: &str) -> bool {
    let name = path.strip_prefix(directory).and_then(|rest| rest.strip_prefix('/')).unwrap_or(path);
    let hidden = name.starts_with('.') && !pattern.starts_with('.');
    !hidden && matches(pattern.as_bytes(), name.as_bytes())
}

/// True if a name matches a pattern of `*`, `?`, `[…]` and backslash escapes.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    // Where to go on after a failed attempt: the pattern after the last `*`, and the name it was last tried on.
    let mut star = None;
    let (mut p, mut n) = (0, 0);
    while n < name.len() {
        let step = if p < pattern.len() { one(&pattern[p..], name[n]) } else { None };
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            star = Some((p, n));
        } else if let Some(length) = step {
            p += length;
            n += 1;
        } else if let Some((after, from)) = star {
            (p, n) = (after, from + 1);
            star = Some((after, n));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// The length of the pattern's first element if it matches the byte.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern[0] {
        b'?' => Some(1),
        b'\\' if pattern.len() > 1 => (pattern[1] == byte).then_some(2),
        b'[' => class(pattern, byte),
        other => (other == byte).then_some(1),
    }
}

fn class(pattern: &[u8], byte: u8) -> Option<usize> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let start = if negated { 2 } else { 1 };
    // A `]` which comes first is an ordinary member.
    let close = pattern.iter().skip(start + 1).position(|other| *other == b']').map(|at| at + start + 1);
    let Some(close) = close else { return (byte == b'[').then_some(1) };
    let members = &pattern[start..close];
    let mut at = 0;
    let mut inside = false;
    while at < members.len() {
        if at + 2 < members.len() && members[at + 1] == b'-' {
            inside |= (members[at]..=members[at + 2]).contains(&byte);
            at += 3;
        } else {
            inside |= members[at] == byte;
            at += 1;
        }
    }
    (inside != negated).then_some(close + 1)
}
