//! Rules of access.

use crate::model::directive::Directive;

use super::names::KnownName;
use super::pattern::{self, Piece, Repeated};
use super::{Hygiene, codes};

pub(super) fn check(hygiene: &mut Hygiene<'_>, scope: usize) {
    allow_without_deny(hygiene, scope);
    return_before_access(hygiene, scope);
    origin(hygiene, scope);
}

/// A client that no rule fits is let in (`ngx_http_access_handler()`).
fn allow_without_deny(hygiene: &mut Hygiene<'_>, scope: usize) {
    let block = &hygiene.scopes.all[scope];
    let Some(allow) = block.all(KnownName::Allow).find(|allow| allow.count() == 1 && allow.word(1) != b"all") else {
        return;
    };
    let facts = hygiene.facts.scopes[scope];
    if block.has(KnownName::Deny) || block.incomplete || facts.satisfies_any {
        return;
    }
    let message = "\"allow\" without a \"deny\" in the same block restricts nothing";
    hygiene.warn(codes::ALLOW_WITHOUT_DENY, &allow, 0, message, "add `deny all;` after the last `allow`");
}

/// `return` is a matter of the rewrite phase, which comes before that of access.
fn return_before_access(hygiene: &mut Hygiene<'_>, scope: usize) {
    let block = &hygiene.scopes.all[scope];
    if !matches!(block.name, KnownName::Location | KnownName::Server) {
        return;
    }
    // An answer that refuses as well gives nothing away.
    let gives = |found: &Directive<'_>| found.count() > 0 && !matches!(found.word(1).first(), Some(b'4' | b'5'));
    let Some(found) = block.get(KnownName::Return).filter(gives) else { return };
    let is_rule = |(name, directive): &(KnownName, Directive<'_>)| match name {
        KnownName::Deny | KnownName::Allow => true,
        KnownName::AuthBasic | KnownName::AuthRequest => directive.count() > 0 && directive.word(1) != b"off",
        _ => false,
    };
    let rule = block.known().find(is_rule);
    if let Some((_, rule)) = rule {
        let message = format!("\"return\" answers before \"{}\" in the same block is looked at", rule.name());
        let help = "answer in another way, as by `try_files` or in a named location, or remove the rule of access";
        hygiene.warn(codes::RETURN_BEFORE_ACCESS, &found, 0, &message, help);
    }
}

/// A request without the header is no request from an own page.
pub(super) fn referers<'s>(hygiene: &mut Hygiene<'s>, directive: &Directive<'s>) {
    let none = directive.arguments().find(|(_, word)| *word == b"none");
    if let Some((at, _)) = none {
        let message = "\"valid_referers none\" accepts every request that leaves the header out";
        hygiene.warn(codes::REFERER_NONE, directive, at, message, "remove `none` if the check is for security");
    }
}

/// A pattern of the own origins that others fit as well.
fn origin(hygiene: &mut Hygiene<'_>, scope: usize) {
    let block = &hygiene.scopes.all[scope];
    let Some(condition) = block.directive.filter(|it| block.name == KnownName::If && it.count() >= 3) else { return };
    let subject = condition.word(1);
    let is_denied = block.has(KnownName::Return) || block.has(KnownName::Deny);
    let allows = match condition.word(2) {
        b"!~" | b"!~*" => true,
        // A list of what is refused may well fit more.
        b"~" | b"~*" => subject == b"($http_origin" && !is_denied,
        _ => false,
    };
    if !allows || !matches!(subject, b"($http_origin" | b"($http_referer") {
        return;
    }
    let Some(parsed) = pattern::parse(last_pattern(&condition)) else { return };
    let pieces: Vec<&Repeated> = parsed.alternatives.iter().flatten().collect();
    let has_loose_dot = parsed.alternatives.iter().any(|parts| loose_dot(parts));
    let names_domain = has_loose_dot || pieces.iter().any(|part| is_only(part, b'.'));
    let fault = if has_loose_dot {
        "an unescaped dot fits any character"
    } else if !parsed.starts() {
        "it may begin anywhere"
    } else if parsed.alternatives.iter().any(|parts| leaves_host(parts, &mut 0)) {
        "a repetition in the host fits a slash"
    } else if parsed.alternatives.iter().any(|parts| runs_into_domain(parts)) {
        "a repetition runs into the domain"
    } else if !parsed.ends_with(b"/:?") {
        "it does not end with the host"
    } else {
        return;
    };
    if names_domain {
        let message = format!("the pattern fits hosts of others: {fault}");
        let help = "write it as `^https://example\\.com$`, or for a referer as `^https://example\\.com/`";
        hygiene.warn(codes::UNANCHORED_ORIGIN, &condition, 3, &message, help);
    }
}

/// The pattern of a condition, without the parenthesis that may follow it.
pub(super) fn last_pattern<'s>(condition: &Directive<'s>) -> &'s [u8] {
    let word = condition.word(3);
    if condition.count() == 3 { word.strip_suffix(b")").unwrap_or(word) } else { word }
}

/// True if a dot without a backslash is between two letters or digits.
fn loose_dot(parts: &[Repeated]) -> bool {
    let is_letter = |part: &Repeated| {
        let Piece::Set(set) = &part.piece else { return false };
        let letters = (0..=u8::MAX).filter(|byte| set.has(*byte));
        letters.clone().count() == 1 && letters.clone().all(|byte| byte.is_ascii_alphanumeric())
    };
    let is_dot = |part: &Repeated| {
        let Piece::Set(set) = &part.piece else { return false };
        (part.least, part.most) == (1, Some(1)) && set.has(0) && set.has(b'a') && set.has(b'/') && set.has(b'.')
    };
    // In front of two more labels it only lets in hosts of the same domain.
    let labels = |at: usize| parts[at..].iter().filter(|part| is_only(part, b'.')).count();
    let own = parts
        .windows(3)
        .enumerate()
        .any(|(at, parts)| is_letter(&parts[0]) && is_dot(&parts[1]) && is_letter(&parts[2]) && labels(at + 2) < 2);
    own || parts.iter().any(|part| match &part.piece {
        Piece::Group(group) => group.alternatives.iter().any(|parts| loose_dot(parts)),
        _ => false,
    })
}

/// True if a repetition fits a slash before the one that ends the host. `slashes` counts those that were seen, the two of the scheme
/// included.
fn leaves_host(parts: &[Repeated], slashes: &mut usize) -> bool {
    parts.iter().any(|part| match &part.piece {
        Piece::Set(set) if part.most.is_none() => set.has(b'/') && set.has(b'a') && *slashes <= 2,
        Piece::Set(_) => {
            *slashes += usize::from(is_only(part, b'/'));
            false
        }
        Piece::Group(group) => group.alternatives.iter().any(|parts| leaves_host(parts, &mut slashes.clone())),
        _ => false,
    })
}

/// True if a repetition of what a host is made of touches a label: `[^/]+example` fits `badexample`, and `com[^/]*` fits `com.bad`.
fn runs_into_domain(parts: &[Repeated]) -> bool {
    let mut flat: Vec<&Repeated> = vec![];
    flatten(parts, &mut flat);
    let is_letter = |part: Option<&&Repeated>| {
        part.is_some_and(|part| (b'a'..=b'z').any(|letter| is_only(part, letter)) && part.most == Some(1))
    };
    flat.iter().enumerate().any(|(at, part)| {
        let is_host =
            part.most.is_none() && part.bytes().has(b'.') && part.bytes().has(b'a') && !part.bytes().has(b'/');
        let before = at.checked_sub(1).and_then(|at| flat.get(at));
        let is_last = flat[at + 1..].iter().all(|part| matches!(part.piece, Piece::End));
        is_host && (is_letter(flat.get(at + 1)) || (is_last && is_letter(before)))
    })
}

/// The pieces in order, groups with one alternative replaced by what is in them.
fn flatten<'p>(parts: &'p [Repeated], flat: &mut Vec<&'p Repeated>) {
    for part in parts {
        match &part.piece {
            Piece::Group(group) if group.alternatives.len() == 1 => flatten(&group.alternatives[0], flat),
            _ => flat.push(part),
        }
    }
}

/// True for a piece that fits this byte alone, or a group with such a piece.
fn is_only(part: &Repeated, byte: u8) -> bool {
    match &part.piece {
        Piece::Set(set) => set.is_within(super::bytes::ByteSet::of([byte])),
        Piece::Group(group) => group.alternatives.iter().flatten().any(|part| is_only(part, byte)),
        _ => false,
    }
}
