//! The origin of the variables in a value: what a client chooses, and what may hold a line feed.

use std::cell::RefCell;

use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};

use crate::model::directive::Directive;

use super::bytes::ByteSet;
use super::names::KnownName;
use super::pattern::{self, PatternGroup};
use super::scopes::{HygieneScope, Scopes};

/// Limits of the variables that are followed for one value, and of the values of one variable.
const FOLLOWED: usize = 64;
const VALUES: usize = 16;

/// A part of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValuePart<'s> {
    Text(&'s [u8]),
    Variable(&'s [u8]),
}

/// The parts of a value, as nginx compiles it (`ngx_http_script_compile()`).
pub(super) fn parts<'s>(value: &'s [u8]) -> impl Iterator<Item = ValuePart<'s>> {
    let variable = |rest: &'s [u8]| rest.strip_prefix(b"$").and_then(name);
    let mut rest = value;
    std::iter::from_fn(move || {
        if let Some((name, length)) = variable(rest) {
            rest = &rest[1 + length..];
            return Some(ValuePart::Variable(name));
        }
        let end = (1..rest.len()).find(|at| variable(&rest[*at..]).is_some()).unwrap_or(rest.len());
        let (text, behind) = rest.split_at(end);
        rest = behind;
        (!text.is_empty()).then_some(ValuePart::Text(text))
    })
}

/// The name of the variable behind a `$`, and its length with any braces.
fn name(rest: &[u8]) -> Option<(&[u8], usize)> {
    if rest.first().is_some_and(|byte| (b'1'..=b'9').contains(byte)) {
        return Some((&rest[..1], 1));
    }
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    if let Some(inside) = rest.strip_prefix(b"{") {
        let length = inside.iter().take_while(|byte| is_of_name(byte)).count();
        return (length > 0 && inside.get(length) == Some(&b'}')).then(|| (&inside[..length], length + 2));
    }
    let length = rest.iter().take_while(|byte| is_of_name(byte)).count();
    (length > 0).then(|| (&rest[..length], length))
}

/// A value, with the block that its variables are looked up in.
type ScopedValue<'s> = (usize, &'s [u8]);

/// A part of a value, with that block.
pub(super) type ScopedPart<'s> = (usize, ValuePart<'s>);

/// The definitions of variables, each by its block.
pub(super) struct VariableOrigins<'s> {
    /// The values of `set`, by block and name; those in an `if` belong to the block around it, too.
    sets: HashMap<(usize, &'s [u8]), Vec<ScopedValue<'s>>>,
    /// The names in `sets`: most variables have none.
    names: HashSet<&'s [u8]>,
    /// The pattern of each block that matches the URI.
    patterns: HashMap<usize, &'s [u8]>,
    /// Known matches of the groups that were asked for, by block and name: patterns have many that are not.
    groups: RefCell<KnownGroups>,
}

/// Groups by the block of their pattern and their name; `None` for one that it has not.
type KnownGroups = HashMap<(usize, Vec<u8>), Option<GroupFacts>>;

/// The texts that a group of a pattern can match.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupFacts {
    /// The bytes anywhere in it, and at its beginning.
    pub(super) bytes: ByteSet,
    pub(super) first: ByteSet,
    pub(super) is_finite: bool,
}

impl GroupFacts {
    fn of(group: &PatternGroup) -> Self {
        Self { bytes: group.bytes(), first: group.first(), is_finite: group.is_finite() }
    }
}

impl<'s> VariableOrigins<'s> {
    pub(super) fn of(scopes: &Scopes<'s>) -> Self {
        let (patterns, groups) = (HashMap::new(), RefCell::default());
        let mut origins = Self { sets: HashMap::new(), names: HashSet::new(), patterns, groups };
        for (at, scope) in scopes.all.iter().enumerate() {
            if let Some(pattern) = scope.directive.and_then(|directive| pattern_of_uri(scope.name, &directive)) {
                origins.patterns.insert(at, pattern);
            }
            origins.table(at, scope);
            for directive in scope.all(KnownName::Set).filter(|directive| directive.count() == 2) {
                let Some(name) = directive.word(1).strip_prefix(b"$") else { continue };
                let outer = scope.parent().filter(|_| scope.name == KnownName::If);
                for block in [Some(at), outer].into_iter().flatten() {
                    origins.sets.entry((block, name)).or_default().push((at, directive.word(2)));
                }
            }
        }
        origins.names = origins.sets.keys().map(|(_, name)| *name).collect();
        origins
    }

    /// Adds the values of a `map` or `geo`.
    fn table(&mut self, at: usize, scope: &HygieneScope<'s>) {
        let Some(block) = scope.directive.filter(|_| matches!(scope.name, KnownName::Map | KnownName::Geo)) else {
            return;
        };
        let name = block.word(block.count()).strip_prefix(b"$");
        let Some((name, outer)) = name.zip(scope.parent()) else { return };
        let is_parameter = |word: &[u8]| scope.name == KnownName::Geo && matches!(word, b"delete" | b"proxy");
        let entries = scope.directives().filter(|entry| entry.count() == 1 && !is_parameter(entry.word(0)));
        let values = entries.map(|entry| (at, entry.word(1))).take(VALUES);
        // Without a default the variable may be empty.
        let empty = (!scope.has(KnownName::Default)).then_some((at, &b""[..]));
        self.sets.entry((outer, name)).or_default().extend(empty.into_iter().chain(values));
    }

    /// The values that a variable is set to in a block or around it, each with the block of the `set`.
    pub(super) fn values(&self, scopes: &Scopes<'s>, scope: usize, name: &'s [u8]) -> &[ScopedValue<'s>] {
        if !self.names.contains(name) {
            return &[];
        }
        let blocks = scopes.around(scope);
        let found = blocks.map(|at| self.sets.get(&(at, name))).find(Option::is_some).flatten();
        found.map_or(&[], |values| &values[..values.len().min(VALUES)])
    }

    /// The group of the pattern of a location, `if` or block around them that a variable is captured by.
    pub(super) fn group(&self, scopes: &Scopes<'s>, scope: usize, name: &[u8]) -> Option<GroupFacts> {
        let number = std::str::from_utf8(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usize::MAX);
        scopes.around(scope).find_map(|at| {
            // Another match has replaced the numbered groups.
            if number != usize::MAX && scopes.all[at].has(KnownName::Rewrite) {
                return None;
            }
            let pattern = *self.patterns.get(&at)?;
            let facts = || pattern::parse(pattern)?.find(number, name).map(GroupFacts::of);
            *self.groups.borrow_mut().entry((at, name.to_vec())).or_insert_with(facts)
        })
    }

    /// The name of a variable through which a value may hold a line feed that the client has sent, encoded in the URI.
    pub(super) fn line_feed(&self, scopes: &Scopes<'s>, scope: usize, value: &'s [u8]) -> Option<&'s [u8]> {
        if !value.contains(&b'$') {
            return None;
        }
        let mut queue = vec![];
        let (mut next, mut followed) = (Some((scope, value)), 0);
        while let Some((scope, value)) = next {
            for part in parts(value) {
                let ValuePart::Variable(name) = part else { continue };
                followed += 1;
                if followed > FOLLOWED {
                    return None;
                }
                if is_uri(name) {
                    return Some(name);
                }
                let values = self.values(scopes, scope, name);
                queue.extend(values.iter().copied());
                let group = if values.is_empty() { self.group(scopes, scope, name) } else { None };
                if group.is_some_and(|group| group.bytes.has(b'\n')) {
                    return Some(name);
                }
            }
            next = queue.pop();
        }
        None
    }

    /// The parts of a value, in which variables that are set are replaced by their values; each alternative if a variable has
    /// several.
    pub(super) fn expanded(&self, scopes: &Scopes<'s>, scope: usize, value: &'s [u8]) -> Vec<Vec<ScopedPart<'s>>> {
        let mut all = vec![];
        let mut queue: Vec<Vec<ScopedPart<'s>>> = vec![parts(value).map(|part| (scope, part)).collect()];
        let mut steps = 0;
        while let Some(mut current) = queue.pop() {
            steps += 1;
            let open = current.iter().position(|(scope, part)| match part {
                ValuePart::Variable(name) => !self.values(scopes, *scope, name).is_empty(),
                ValuePart::Text(_) => false,
            });
            match open {
                Some(at) if steps <= FOLLOWED && current.len() <= FOLLOWED => {
                    let (scope, part) = current[at];
                    let ValuePart::Variable(name) = part else { continue };
                    for (scope, value) in self.values(scopes, scope, name) {
                        let mut next = current.clone();
                        next.splice(at..=at, parts(value).map(|part| (*scope, part)));
                        queue.push(next);
                    }
                }
                // A variable that is set from itself has no end.
                Some(_) => current.clear(),
                None => all.push(current),
            }
        }
        all
    }
}

/// True for the decoded URI. The case of a variable makes no difference (`ngx_http_get_variable_index()`).
pub(super) fn is_uri(name: &[u8]) -> bool {
    [&b"uri"[..], b"document_uri"].iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// True for a variable that holds what the client sends, as it sends it.
pub(super) fn is_of_request(name: &[u8]) -> bool {
    let begins = |prefix: &&[u8]| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    [&b"arg_"[..], b"cookie_", b"http_"].iter().any(begins)
}

/// The bytes with which a client leaves the host of a URL, or names another one.
pub(super) fn host_breakers() -> ByteSet {
    ByteSet::of(*b"./@:?#\\")
}

/// The pattern of a location or an `if` that is matched against the decoded URI.
fn pattern_of_uri<'s>(name: KnownName, directive: &Directive<'s>) -> Option<&'s [u8]> {
    match name {
        KnownName::Location if directive.count() == 2 && matches!(directive.word(1), b"~" | b"~*") => {
            Some(directive.word(2))
        }
        KnownName::Location if directive.count() == 1 && directive.word(1).starts_with(b"~*") => {
            Some(&directive.word(1)[2..])
        }
        KnownName::Location if directive.count() == 1 && directive.word(1).starts_with(b"~") => {
            Some(&directive.word(1)[1..])
        }
        KnownName::If
            if directive.count() >= 3
                && matches!(directive.word(1), b"($uri" | b"($document_uri")
                && matches!(directive.word(2), b"~" | b"~*") =>
        {
            Some(super::access::last_pattern(directive))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_parts() {
        let text = |text: &'static str| ValuePart::Text(text.as_bytes());
        let variable = |name: &'static str| ValuePart::Variable(name.as_bytes());
        assert_eq!(
            parts(b"http://a$uri?$1x${b}c").collect::<Vec<_>>(),
            [text("http://a"), variable("uri"), text("?"), variable("1"), text("x"), variable("b"), text("c")]
        );
        assert_eq!(parts(b"a$").collect::<Vec<_>>(), [text("a$")]);
        assert_eq!(parts(b"$$a$").collect::<Vec<_>>(), [text("$"), variable("a"), text("$")]);
        assert_eq!(parts(b"").count(), 0);
    }
}
