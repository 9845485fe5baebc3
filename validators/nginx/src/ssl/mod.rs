//! Directives of TLS that http, stream and mail share (`src/http/modules/ngx_http_ssl_module.c` and its siblings).

mod openssl;
mod servers;
mod upstreams;

pub(crate) use servers::{
    CHECKS_LISTENING, check_listening, check_stream_listening, http_server, mail_server, stream_server,
};
pub(crate) use upstreams::upstream;

use crate::checker::Checker;
use crate::directives::Contexts;
use crate::findings::codes;
use crate::findings::problem::Checked;
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::model::zones;
use crate::values::numbers;

/// Tags of the zones of TLS, by the protocol that a block belongs to.
fn family(checker: &Checker<'_>, block: BlockId) -> [&'static str; 2] {
    let context = checker.blocks[block].context;
    if context.intersects(Contexts::STREAM | Contexts::STREAM_SERVER) {
        ["stream sessions", "stream OCSP"]
    } else if context.intersects(Contexts::MAIL | Contexts::MAIL_SERVER) {
        ["mail sessions", "mail OCSP"]
    } else {
        ["http sessions", "http OCSP"]
    }
}

/// `ssl_session_cache`; a later one replaces an earlier one.
pub(crate) fn session_cache<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    for at in 1..=directive.count() {
        let word = directive.word(at);
        let builtin = word.strip_prefix(b"builtin:").filter(|size| !size.is_empty());
        let valid = match word {
            b"off" | b"none" | b"builtin" => true,
            _ => builtin.is_some_and(|size| numbers::number(size).is_some()),
        };
        if !valid && !shared(checker, directive, at, "session cache", family(checker, block)[0])? {
            let message = format!("invalid session cache \"{}\"", directive.text(at));
            return directive.refuse(at, codes::INVALID_ZONE, message);
        }
    }
    checker.blocks.set(block, directive);
    Ok(())
}

/// Takes `shared:name:size`; false if it is none.
fn shared(
    checker: &mut Checker<'_>,
    directive: &Directive<'_>,
    at: usize,
    what: &str,
    tag: &'static str,
) -> Checked<bool> {
    let Some(rest) = directive.word(at).strip_prefix(b"shared:") else { return Ok(false) };
    let Some(colon) = rest.iter().position(|byte| *byte == b':').filter(|colon| *colon > 0) else { return Ok(false) };
    let Some(size) = numbers::size(&rest[colon + 1..]) else { return Ok(false) };
    if size < 8 * zones::PAGE {
        let message = format!("{what} \"{}\" is too small", directive.text(at));
        return directive.refuse(at, codes::ZONE_TOO_SMALL, message);
    }
    checker.zones.add(directive, at, &rest[..colon], size, tag)?;
    Ok(true)
}

pub(crate) fn ocsp_cache<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    let tag = family(checker, block)[1];
    if directive.word(1) == b"off" || shared(checker, directive, 1, "OCSP cache", tag)? {
        return Ok(());
    }
    directive.refuse(1, codes::INVALID_ZONE, format!("invalid OCSP cache \"{}\"", directive.text(1)))
}

/// `ssl_certificate_cache`, `proxy_ssl_certificate_cache` and their siblings.
pub(crate) fn certificate_cache<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    let (mut off, mut has_max) = (false, false);
    for (at, word) in directive.arguments() {
        let time = |prefix: &[u8]| word.strip_prefix(prefix).is_some_and(|time| numbers::seconds(time).is_some());
        if let Some(max) = word.strip_prefix(b"max=") {
            has_max = numbers::number(max).is_some_and(|max| max > 0);
        } else if word == b"off" {
            off = true;
        }
        let valid = word == b"off" || time(b"inactive=") || time(b"valid=") || (has_max && word.starts_with(b"max="));
        if !valid {
            let message = format!("invalid parameter \"{}\"", directive.text(at));
            return directive.refuse(at, codes::INVALID_PARAMETER, message);
        }
    }
    if !off && !has_max {
        let message = format!("\"{}\" must have the \"max\" parameter", directive.known());
        return directive.refuse(0, codes::MISSING_PARAMETER, message);
    }
    Ok(())
}

/// `ssl_password_file`, `proxy_ssl_password_file` and their siblings.
pub(crate) fn password_file<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    let path = directive.text(1);
    if checker.is_directory(&path) {
        return directive.refuse(
            1,
            codes::INCLUDED_DIRECTORY,
            format!("read() \"{path}\" failed (21: Is a directory)"),
        );
    }
    checker.needs_file(directive, 1, &path, "file");
    Ok(())
}

/// `proxy_ssl_alpn` of stream, whose protocols may have variables.
pub(crate) fn proxy_alpn<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    for (at, protocol) in directive.arguments() {
        if !checker.compile(directive, at, block)? && protocol.len() > 255 {
            return directive.refuse_directive(at, codes::INVALID_VALUE, "protocol too long");
        }
    }
    Ok(())
}

/// `ssl_alpn` of stream.
pub(crate) fn alpn<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    checker.once(directive, block)?;
    match directive.arguments().find(|(_, protocol)| protocol.len() > 255) {
        Some((at, _)) => directive.refuse_directive(at, codes::INVALID_VALUE, "protocol too long"),
        None => Ok(()),
    }
}
