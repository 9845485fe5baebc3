//! Locations, and patterns.

use crate::model::directive::Directive;

use super::bytes::ByteSet;
use super::names::KnownName;
use super::pattern::{self, Piece};
use super::variables::{self, ValuePart};
use super::{Hygiene, access, codes};

pub(super) fn check(hygiene: &mut Hygiene<'_>, scope: usize) {
    if hygiene.scopes.all[scope].name == KnownName::Location {
        alias(hygiene, scope);
        ifs(hygiene, scope);
        file_names(hygiene, scope);
    }
}

/// `location /img { alias /data/img/; }` maps `/img../x` to `/data/img/../x`.
fn alias(hygiene: &mut Hygiene<'_>, scope: usize) {
    let block = &hygiene.scopes.all[scope];
    let Some(location) = block.directive else { return };
    let path = match location.count() {
        1 if !location.word(1).starts_with(b"~") && !location.word(1).starts_with(b"=") => location.word(1),
        2 if location.word(1) == b"^~" => location.word(2),
        2 if location.word(1).starts_with(b"~") => return alias_of_group(hygiene, scope, &location),
        _ => return,
    };
    if path.ends_with(b"/") || path.starts_with(b"@") {
        return;
    }
    let in_conditions =
        block.blocks(KnownName::If).filter_map(|(_, inner)| hygiene.scopes.all[inner].get(KnownName::Alias));
    let aliases: Vec<_> = block.get(KnownName::Alias).into_iter().chain(in_conditions).collect();
    let is_handed_on = || block.directives().any(|directive| directive.word(0).ends_with(b"_pass"));
    if aliases.is_empty() || is_handed_on() {
        return;
    }
    for alias in aliases.iter().filter(|alias| alias.count() == 1 && alias.word(1).ends_with(b"/")) {
        let path = String::from_utf8_lossy(path);
        let message =
            format!("\"{path}../\" leads out of the directory of \"alias\", since the location ends without a slash");
        let help = format!("write `location {path}/`");
        hygiene.warn(codes::ALIAS_TRAVERSAL, alias, 1, &message, &help);
    }
}

/// `location ~ /img(.*) { alias /data/img/$1; }` maps `/img../x` to the same place. Behind a slash nginx has resolved the dots.
fn alias_of_group<'s>(hygiene: &mut Hygiene<'s>, scope: usize, location: &Directive<'s>) {
    let alias = hygiene.scopes.all[scope].get(KnownName::Alias).filter(|alias| alias.count() == 1);
    let parsed = |alias| Some((alias, pattern::parse(location.word(2))?));
    let Some((alias, parsed)) = alias.and_then(parsed) else { return };
    let parts: Vec<_> = variables::parts(alias.word(1)).collect();
    let pairs = parts.windows(2).filter_map(|pair| match pair {
        [ValuePart::Text(text), ValuePart::Variable(name)] if text.ends_with(b"/") => Some(*name),
        _ => None,
    });
    let escapes = |name: &[u8]| {
        let number = std::str::from_utf8(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usize::MAX);
        let is_meant = |part: &pattern::Repeated| match &part.piece {
            Piece::Group(group) => group.number == Some(number) || group.name.as_deref() == Some(name),
            _ => false,
        };
        parsed.alternatives.iter().any(|parts| {
            let at = parts.iter().position(is_meant);
            at.is_some_and(|at| {
                let before = at.checked_sub(1).map(|at| parts[at].bytes());
                let own = parts[at].bytes();
                let follows_slash = before.is_none_or(|before| before.is_within(slash()));
                !follows_slash && own.has(b'.') && own.has(b'/') && parts[at].first().has(b'.')
            })
        })
    };
    if pairs.clone().any(escapes) {
        let message =
            "a path with `../` leads out of the directory of \"alias\", since no slash is in front of the group";
        hygiene.warn(codes::ALIAS_TRAVERSAL, &alias, 1, message, "put a slash in front of the group: `/(.*)`");
    }
}

/// Directives that belong to the rewrite module, which `if` is made for.
const REWRITE: [KnownName; 6] =
    [KnownName::Return, KnownName::Rewrite, KnownName::Set, KnownName::Break, KnownName::If, KnownName::RewriteLog];

/// An `if` that is true has a configuration of its own, without that of other `if`s and without `try_files`
/// (<https://github.com/nginxinc/nginx-wiki/blob/master/source/start/topics/depth/ifisevil.rst>).
fn ifs(hygiene: &mut Hygiene<'_>, scope: usize) {
    let block = &hygiene.scopes.all[scope];
    let is_open = |inner: usize| {
        let inner = &hygiene.scopes.all[inner];
        let has_more = inner.names().any(|name| !REWRITE.contains(&name));
        let ends =
            |rewrite: Directive<'_>| matches!(rewrite.word(rewrite.count()), b"last" | b"redirect" | b"permanent");
        (has_more, inner.has(KnownName::Return) || inner.all(KnownName::Rewrite).any(ends))
    };
    let ifs = block.blocks(KnownName::If).map(|(directive, inner)| (directive, is_open(inner)));
    let ifs: Vec<_> = ifs.filter(|(_, (_, ends))| !ends).collect();
    let others: Vec<Directive<'_>> = ifs.iter().filter(|(_, (has_more, _))| *has_more).map(|(it, _)| *it).collect();
    if let (Some(first), Some(_)) = (ifs.first().map(|(directive, _)| *directive), block.get(KnownName::TryFiles)) {
        let message = "\"try_files\" of the location is not looked at if this condition is true";
        let help = "end the `if` with `return` or `rewrite … last`, or use a `map`";
        hygiene.warn(codes::IF_IN_LOCATION, &first, 0, message, help);
    } else if others.len() > 1 && !are_exclusive(&others) {
        let message = "of several conditions that are true only the last one has an effect";
        hygiene.warn(codes::IF_IN_LOCATION, &others[1], 0, message, "use variables of a `map` in the location itself");
    }
}

/// True if all conditions compare one variable with texts that differ.
fn are_exclusive(ifs: &[Directive<'_>]) -> bool {
    let compares = |it: &Directive<'_>| it.count() >= 3 && it.word(2) == b"=";
    ifs.iter().all(|it| compares(it) && it.word(1) == ifs[0].word(1))
}

/// A pattern of an extension without an end fits `a.php.jpg` and `a.phps` as well.
fn file_names(hygiene: &mut Hygiene<'_>, scope: usize) {
    let block = &hygiene.scopes.all[scope];
    let Some(location) = block.directive.filter(|it| it.count() == 2 && it.word(1).starts_with(b"~")) else { return };
    if ![KnownName::FastcgiPass, KnownName::UwsgiPass, KnownName::ScgiPass].iter().any(|name| block.has(*name)) {
        return;
    }
    let Some(parsed) = pattern::parse(location.word(2)) else { return };
    let [parts] = parsed.alternatives.as_slice() else { return };
    let single = |part: &pattern::Repeated, fits: fn(u8) -> bool| {
        let Piece::Set(set) = &part.piece else { return false };
        let mut bytes = (0..=u8::MAX).filter(|byte| set.has(*byte));
        (part.least, part.most) == (1, Some(1)) && bytes.next().is_some_and(fits) && bytes.next().is_none()
    };
    let extension = parts.iter().rev().take_while(|part| single(part, |byte| byte.is_ascii_alphanumeric())).count();
    let dot = parts.len().checked_sub(extension + 1).and_then(|at| parts.get(at));
    if (1..=5).contains(&extension) && dot.is_some_and(|dot| single(dot, |byte| byte == b'.')) {
        let pattern = String::from_utf8_lossy(location.word(2));
        let message = format!("the pattern \"{pattern}\" fits names with another extension, too, which are executed");
        hygiene.warn(codes::UNANCHORED_REGEX, &location, 2, &message, &format!("write `{pattern}$`"));
    }
}

/// Rules for the regular expressions of one directive, which may be a line of a `map`.
pub(super) fn patterns<'s>(hygiene: &mut Hygiene<'s>, is_line: bool, name: KnownName, directive: &Directive<'s>) {
    for (at, pattern) in of_directive(is_line, name, directive) {
        // Without a group nothing is nested.
        let is_slow = || pattern::parse(pattern).is_some_and(|parsed| parsed.is_slow());
        if pattern.contains(&b'(') && *hygiene.slow.entry(pattern).or_insert_with(is_slow) {
            let message = "the pattern may take a time that doubles with each character: a repetition is repeated";
            let help =
                "separate the inner repetitions by a character that they do not fit, or make the group atomic: `(?>…)`";
            hygiene.warn(codes::SLOW_REGEX, directive, at, message, help);
        }
    }
}

/// The patterns of a directive, each with its argument.
fn of_directive<'s>(is_line: bool, name: KnownName, directive: &Directive<'s>) -> Vec<(usize, &'s [u8])> {
    let of_words = |from: usize| {
        let words = directive.arguments().skip(from.saturating_sub(1));
        words.filter_map(|(at, word)| Some((at, word.strip_prefix(b"~")?))).collect()
    };
    match name {
        KnownName::Location if directive.count() == 2 && matches!(directive.word(1), b"~" | b"~*") => {
            vec![(2, directive.word(2))]
        }
        KnownName::Rewrite if directive.count() >= 2 => vec![(1, directive.word(1))],
        KnownName::If if directive.count() >= 3 && directive.word(2).contains(&b'~') => {
            vec![(3, access::last_pattern(directive))]
        }
        KnownName::ServerName | KnownName::ValidReferers => of_words(1),
        _ if is_line => {
            let word = directive.word(0);
            let pattern = word.strip_prefix(b"~*").or_else(|| word.strip_prefix(b"~"));
            pattern.map(|pattern| (0, pattern)).into_iter().collect()
        }
        _ => vec![],
    }
}

/// The slash alone.
pub(super) fn slash() -> ByteSet {
    ByteSet::of([b'/'])
}
