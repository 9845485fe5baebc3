//! Headers of answers and of requests to upstreams.

use crate::model::directive::Directive;

use super::inherited::SECURITY_HEADERS;
use super::names::KnownName;
use super::variables::{self, ValuePart, is_of_request};
use super::{Hygiene, codes};

/// Rules for all headers of a block.
pub(super) fn check(hygiene: &mut Hygiene<'_>, scope: usize) {
    lost(hygiene, scope);
    credentials(hygiene, scope);
}

/// `add_header` in a block replaces all those of the blocks around it (`ngx_http_headers_merge_conf()`).
fn lost(hygiene: &mut Hygiene<'_>, scope: usize) {
    let facts = hygiene.facts.scopes[scope];
    let Some(parent) = hygiene.scopes.all[scope].parent() else { return };
    let lost = hygiene.facts.scopes[parent].headers & !facts.headers;
    let is_meant = || hygiene.scopes.all[scope].has(KnownName::AddHeaderInherit);
    if lost == 0 || facts.own_headers.is_none() || hygiene.scopes.all[scope].incomplete || is_meant() {
        return;
    }
    let Some(first) = hygiene.scopes.all[scope].get(KnownName::AddHeader) else { return };
    let names = SECURITY_HEADERS.iter().enumerate().filter(|(at, _)| lost & (1 << at) != 0);
    let names: Vec<_> = names.map(|(_, name)| format!("\"{name}\"")).collect();
    let message = format!("\"add_header\" here drops {} of the blocks around it", names.join(", "));
    let help = "repeat those lines in this block, as by an `include`";
    hygiene.warn(codes::LOST_HEADERS, &first, 0, &message, help);
}

/// A page of any origin may read answers with the cookies of the user.
fn credentials(hygiene: &mut Hygiene<'_>, scope: usize) {
    let find = |name: &[u8], value: &[u8]| {
        let mut headers = hygiene.scopes.all[scope].all(KnownName::AddHeader).filter(|header| header.count() >= 2);
        headers.find(|header| header.word(1).eq_ignore_ascii_case(name) && header.word(2).eq_ignore_ascii_case(value))
    };
    let Some(origin) = find(b"Access-Control-Allow-Origin", b"$http_origin") else { return };
    if find(b"Access-Control-Allow-Credentials", b"true").is_none() {
        return;
    }
    let is_condition = |at: usize| {
        let block = &hygiene.scopes.all[at];
        block.name == KnownName::If
            && block.directive.is_some_and(|it| it.arguments().any(|(_, word)| word.ends_with(b"$http_origin")))
    };
    if !hygiene.scopes.around(scope).any(is_condition) {
        let message = "any origin is allowed to send credentials and to read the answer";
        let help = "take the origin from a `map` of `$http_origin` that lists the allowed ones";
        hygiene.warn(codes::CREDENTIALS_FOR_ANY_ORIGIN, &origin, 2, message, help);
    }
}

/// Rules for one value.
pub(super) fn values<'s>(hygiene: &mut Hygiene<'s>, scope: usize, name: KnownName, directive: &Directive<'s>) {
    if matches!(name, KnownName::ProxySetHeader | KnownName::GrpcSetHeader) {
        host_spoofing(hygiene, directive);
    }
    let Some(at) = sink(name, directive) else { return };
    let value = directive.word(at);
    let Some(name) = hygiene.origins.line_feed(&hygiene.scopes, scope, value) else { return };
    let name = String::from_utf8_lossy(name);
    let message = format!(
        "the variable \"${name}\" is decoded and may hold a line feed, which splits the header or request line of \"{}\"",
        directive.name()
    );
    let help = if ["uri", "document_uri"].iter().any(|known| name.eq_ignore_ascii_case(known)) {
        "use `$request_uri`, which is as the client sent it"
    } else {
        "exclude line feeds from the group, as by `[^/\\n]` or `.`"
    };
    hygiene.warn(codes::HEADER_SPLITTING, directive, at, &message, help);
}

/// The argument that becomes a part of a header or of a request line.
fn sink(name: KnownName, directive: &Directive<'_>) -> Option<usize> {
    match (name, directive.count()) {
        (KnownName::Return, 1) => Some(1).filter(|_| directive.word(1).contains(&b'/')),
        // `ngx_http_send_response()` takes the text for a location.
        (KnownName::Return, 2) => {
            Some(2).filter(|_| matches!(directive.word(1), b"301" | b"302" | b"303" | b"307" | b"308"))
        }
        (KnownName::Rewrite, 2 | 3) => {
            let replacement = directive.word(2);
            let by_flag = directive.count() == 3 && matches!(directive.word(3), b"redirect" | b"permanent");
            let by_scheme = [&b"http://"[..], b"https://", b"$scheme"].iter().any(|it| replacement.starts_with(it));
            // Groups are escaped there (`ngx_http_script_copy_capture_code()`), variables are not.
            Some(2).filter(|_| by_flag || by_scheme)
        }
        (KnownName::AddHeader | KnownName::ProxySetHeader | KnownName::GrpcSetHeader, 2..) => Some(2),
        (KnownName::ProxyPass, 1) => Some(1),
        _ => None,
    }
}

/// The `Host` of the request may be another one than that by which nginx chose the server (RFC 9112, section 3.2.2).
fn host_spoofing<'s>(hygiene: &mut Hygiene<'s>, directive: &Directive<'s>) {
    if directive.count() != 2 || !directive.word(1).eq_ignore_ascii_case(b"host") {
        return;
    }
    let is_raw = |part: &ValuePart<'_>| match part {
        ValuePart::Variable(name) => is_of_request(name),
        ValuePart::Text(_) => false,
    };
    if let Some(ValuePart::Variable(name)) = variables::parts(directive.word(2)).find(is_raw) {
        let message = format!(
            "the upstream gets the host from \"${}\", which the client may choose regardless of the server",
            String::from_utf8_lossy(name)
        );
        hygiene.warn(codes::HOST_SPOOFING, directive, 2, &message, "write `proxy_set_header Host $host;`");
    }
}
