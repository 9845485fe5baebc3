//! Upstreams that are named by variables.

use std::net::IpAddr;

use crate::model::directive::Directive;

use super::inherited;
use super::names::KnownName;
use super::scopes::HygieneScope;
use super::variables::{ScopedPart, ValuePart, host_breakers, is_of_request};
use super::{Hygiene, codes, locations};

/// The parts of a host, each with the block that its variables are looked up in.
type HostParts<'s> = Vec<ScopedPart<'s>>;

pub(super) fn check<'s>(hygiene: &mut Hygiene<'s>, scope: usize, directive: &Directive<'s>) {
    let value = directive.word(1);
    if directive.count() != 1 || !value.contains(&b'$') {
        return;
    }
    let values = hygiene.origins.expanded(&hygiene.scopes, scope, value);
    let by_scheme = values.iter().find_map(|parts| scheme_by_client(hygiene, parts));
    let hosts: Vec<_> = values.into_iter().map(host).collect();
    let chosen = by_scheme.or_else(|| hosts.iter().find_map(|host| chosen_by_client(hygiene, host)));
    if let Some(name) = chosen.filter(|_| !hygiene.facts.scopes[scope].internal) {
        let message = format!(
            "the client chooses the host by \"${}\", so that it reaches any host that nginx reaches",
            String::from_utf8_lossy(name)
        );
        let help = "choose the host by a `map` that lists the allowed ones, or mark the location as `internal`";
        hygiene.warn(codes::OPEN_PROXY, directive, 1, &message, help);
        return;
    }
    let facts = hygiene.facts.scopes[scope];
    if facts.resolver || facts.incomplete || !hygiene.scopes.complete {
        return;
    }
    if let Some(host) = hosts.iter().find_map(|host| needs_resolver(hygiene, host)) {
        let message = format!(
            "\"{host}\" is resolved for each request, since \"{}\" has variables, and there is no \"resolver\"",
            directive.name()
        );
        let help = "add a `resolver`, or define an `upstream` of that name";
        hygiene.warn(codes::NO_RESOLVER, directive, 1, &message, help);
    }
}

/// The parts of the host of a URL; empty for a socket.
fn host(mut parts: HostParts<'_>) -> HostParts<'_> {
    const SCHEME: &[u8] = b"://";
    let scheme = parts.iter().position(|(_, part)| match part {
        ValuePart::Text(text) => text.windows(3).any(|window| window == SCHEME),
        ValuePart::Variable(_) => false,
    });
    // `$scheme://` or `http://` comes first.
    if let Some(at) = scheme.filter(|at| *at <= 1) {
        parts.drain(..at);
        if let Some((_, ValuePart::Text(text))) = parts.first_mut() {
            let after = text.windows(3).position(|window| window == SCHEME).map_or(0, |at| at + 3);
            *text = &text[after..];
        }
    }
    let mut host = vec![];
    for (scope, part) in parts {
        match part {
            ValuePart::Text(text) if text.starts_with(b"unix:") => return vec![],
            ValuePart::Text(text) => {
                let end = text.iter().position(|byte| matches!(byte, b'/' | b'?'));
                host.push((scope, ValuePart::Text(&text[..end.unwrap_or(text.len())])));
                if end.is_some() {
                    break;
                }
            }
            // These begin with a slash.
            ValuePart::Variable(b"request_uri" | b"uri" | b"document_uri") => break,
            ValuePart::Variable(_) => host.push((scope, part)),
        }
    }
    host.retain(|(_, part)| *part != ValuePart::Text(b""));
    host
}

/// The variable by which a client chooses the scheme, and with it all that follows: `http://other/?`.
fn scheme_by_client<'s>(hygiene: &Hygiene<'s>, parts: &HostParts<'s>) -> Option<&'s [u8]> {
    let [(scope, ValuePart::Variable(name)), (_, ValuePart::Text(text)), ..] = parts.as_slice() else { return None };
    let group = hygiene.origins.group(&hygiene.scopes, *scope, name);
    let is_free = is_of_request(name) || group.is_some_and(|group| group.bytes.has(b'/'));
    (text.starts_with(b"://") && is_free).then_some(*name)
}

/// The variable by which a client chooses the host, if it does.
fn chosen_by_client<'s>(hygiene: &Hygiene<'s>, host: &HostParts<'s>) -> Option<&'s [u8]> {
    for (at, (scope, part)) in host.iter().enumerate() {
        let ValuePart::Variable(name) = part else { continue };
        match *name {
            b"host" | b"http_host" if !is_catch_all(hygiene, *scope) => {}
            b"args" | b"query_string" | b"host" | b"http_host" => return Some(name),
            _ if is_of_request(name) => return Some(name),
            _ => {
                // An unknown value may end the host.
                let group = hygiene.origins.group(&hygiene.scopes, *scope, name)?;
                let is_alone = host.len() == 1;
                let begins_path = group.first.is_within(locations::slash());
                if begins_path && at > 0 {
                    // The path begins here.
                    return None;
                }
                let breaks = host_breakers();
                if !group.is_finite && (is_alone || group.bytes.intersects(breaks)) {
                    return Some(name);
                }
            }
        }
    }
    None
}

/// True if a server answers requests for any host.
fn is_catch_all(hygiene: &Hygiene<'_>, scope: usize) -> bool {
    let Some(server) = hygiene.scopes.server(scope) else { return false };
    // A server may have many locations that ask.
    *hygiene.catch_all.borrow_mut().entry(server).or_insert_with(|| takes_any_host(&hygiene.scopes.all[server]))
}

fn takes_any_host(block: &HygieneScope<'_>) -> bool {
    let mut names =
        block.all(KnownName::ServerName).flat_map(|it| it.arguments().map(|(_, word)| word).collect::<Vec<_>>());
    let is_default = block
        .all(KnownName::Listen)
        .any(|it| it.arguments().any(|(_, word)| matches!(word, b"default_server" | b"default")));
    !block.incomplete && (is_default || names.all(|name| matches!(name, b"_" | b"" | b"*")))
}

/// The host, if nginx has to resolve it for each request.
fn needs_resolver(hygiene: &Hygiene<'_>, host: &HostParts<'_>) -> Option<String> {
    let mut text = vec![];
    let mut is_constant = true;
    for (_, part) in host {
        match part {
            ValuePart::Text(part) => text.extend_from_slice(part),
            ValuePart::Variable(name) => {
                is_constant = false;
                text.extend_from_slice(b"$");
                text.extend_from_slice(name);
            }
        }
    }
    let name = inherited::host(&text).to_ascii_lowercase();
    let shown = String::from_utf8_lossy(&name).into_owned();
    let is_address = shown.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    if is_constant {
        let is_known = name.is_empty() || is_address || hygiene.resolved_names().contains(&name);
        return (!is_known).then_some(shown);
    }
    // A name of a domain is none of an upstream, as people choose them.
    let Some((_, ValuePart::Text(last))) = host.last() else { return None };
    let suffix = inherited::host(last);
    let is_domain =
        suffix.starts_with(b".") && suffix[1..].contains(&b'.') && suffix.last().is_some_and(u8::is_ascii_alphabetic);
    is_domain.then_some(shown)
}
