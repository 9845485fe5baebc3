//! Merge steps of the three TLS modules, for servers.

use super::openssl;
use crate::checker::Checker;
use crate::checker::script;
use crate::directives::Version;
use crate::findings::codes;
use crate::findings::problem::{Checked, Problem, SourceSpan};
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::model::stream::NAMES;

/// The first release that checks, at the end, that servers which listen with TLS have certificates.
pub(crate) const CHECKS_LISTENING: Version = Version::new(1, 15, 0);

/// The first release without `ssl on`.
const NO_SSL_ON: Version = Version::new(1, 25, 1);

/// The lines of a directive that hold in a block: one, or a list.
pub(super) fn lines<'s>(checker: &Checker<'s>, block: BlockId, name: &str) -> Vec<Directive<'s>> {
    match checker.lines_from(block, name) {
        Some(from) => checker.blocks.lines(from, name).collect(),
        None => checker.effective(block, name).copied().into_iter().collect(),
    }
}

/// True if a flag or a word is set to something else than `off`.
pub(super) fn is_on(checker: &Checker<'_>, block: BlockId, name: &str) -> bool {
    checker.effective(block, name).is_some_and(|set| !set.word(1).eq_ignore_ascii_case(b"off"))
}

/// A server of http: `ngx_http_ssl_merge_srv_conf()`.
pub(crate) fn http_server(checker: &mut Checker<'_>, server: BlockId, end: SourceSpan) -> Checked {
    let enabled = checker.effective(server, "ssl").filter(|set| set.word(1).eq_ignore_ascii_case(b"on"));
    if let Some(spot) = enabled.map(Directive::terminator).filter(|_| checker.options.version < NO_SSL_ON) {
        let rejects = is_on(checker, server, "ssl_reject_handshake");
        if !rejects || !lines(checker, server, "ssl_certificate").is_empty() {
            required(checker, server, "ssl", spot)?;
        }
        return settings(checker, server, Some(end));
    }
    optional(checker, server, Some(end))
}

/// A server of mail: `ngx_mail_ssl_merge_conf()`; with what asks for TLS, if anything does, and where.
pub(crate) fn mail_server(checker: &mut Checker<'_>, server: BlockId, mode: Option<(SourceSpan, &str)>) -> Checked {
    match mode {
        Some((spot, mode)) => {
            required(checker, server, mode, spot)?;
            settings(checker, server, None)
        }
        None if checker.options.version < CHECKS_LISTENING => optional(checker, server, None),
        None => Ok(()),
    }
}

/// A server of stream: `ngx_stream_ssl_merge_srv_conf()`; with the place of its `listen … ssl`, if it has one.
pub(crate) fn stream_server(
    checker: &mut Checker<'_>,
    server: BlockId,
    listens: Option<SourceSpan>,
    end: SourceSpan,
) -> Checked {
    let version = checker.options.version;
    if !(CHECKS_LISTENING..NAMES).contains(&version) {
        return optional(checker, server, Some(end));
    }
    let Some(spot) = listens else { return Ok(()) };
    required(checker, server, "listen ... ssl", spot)?;
    settings(checker, server, Some(end))
}

/// A server that need not have certificates; but those it has need keys.
fn optional(checker: &mut Checker<'_>, server: BlockId, end: Option<SourceSpan>) -> Checked {
    let (certificates, keys) =
        (lines(checker, server, "ssl_certificate"), lines(checker, server, "ssl_certificate_key"));
    let Some(last) = certificates.last() else {
        return if is_on(checker, server, "ssl_reject_handshake") { settings(checker, server, end) } else { Ok(()) };
    };
    if keys.len() < certificates.len() {
        let message = format!("no \"ssl_certificate_key\" is defined for certificate \"{}\"", last.text(1));
        return last.refuse(1, codes::CERTIFICATE_WITHOUT_KEY, message);
    }
    settings(checker, server, end)
}

/// A server that must have certificates with keys, because of the directive that `mode` names.
fn required(checker: &Checker<'_>, server: BlockId, mode: &str, spot: SourceSpan) -> Checked {
    let (certificates, keys) =
        (lines(checker, server, "ssl_certificate"), lines(checker, server, "ssl_certificate_key"));
    let message = match certificates.last() {
        None => format!("no \"ssl_certificate\" is defined for the \"{mode}\" directive"),
        Some(_) if keys.is_empty() => format!("no \"ssl_certificate_key\" is defined for the \"{mode}\" directive"),
        Some(last) if keys.len() < certificates.len() => {
            let certificate = last.text(1);
            format!(
                "no \"ssl_certificate_key\" is defined for certificate \"{certificate}\" and the \"{mode}\" directive"
            )
        }
        Some(_) => return Ok(()),
    };
    let code = if certificates.is_empty() { codes::NO_CERTIFICATE } else { codes::CERTIFICATE_WITHOUT_KEY };
    Err(Box::new(Problem::error(code, message, spot)))
}

/// Checks of all settings where TLS is in use. Faults of the variables in a file's name are reported at `end`; without
/// it a name has no variables.
fn settings(checker: &mut Checker<'_>, server: BlockId, end: Option<SourceSpan>) -> Checked {
    openssl::ciphers(checker, server, "ssl_ciphers")?;
    let (certificates, keys) =
        (lines(checker, server, "ssl_certificate"), lines(checker, server, "ssl_certificate_key"));
    // With a variable in one of them, all are loaded later.
    let loads = |directive: &Directive<'_>| script::variables(directive.word(1)) == 0;
    match end.filter(|_| !certificates.iter().chain(&keys).all(loads)) {
        Some(end) => {
            for directive in certificates.iter().chain(&keys) {
                checker.compile_at(directive.word(1), directive.exact(1), end, server)?;
            }
        }
        None => {
            certificates.iter().for_each(|certificate| file(checker, certificate, "certificate"));
            keys.iter().for_each(|key| file(checker, key, "certificate key"));
        }
    }
    verification(checker, server)?;
    for name in ["ssl_client_certificate", "ssl_trusted_certificate"] {
        lines(checker, server, name).iter().for_each(|line| file(checker, line, "certificate"));
    }
    for name in ["ssl_crl", "ssl_dhparam", "ssl_session_ticket_key"] {
        lines(checker, server, name).iter().for_each(|line| file(checker, line, "file"));
    }
    openssl::curves(checker, server)?;
    if is_on(checker, server, "ssl_stapling") {
        lines(checker, server, "ssl_stapling_file").iter().for_each(|line| file(checker, line, "file"));
        if let (Some(on), true) =
            (checker.effective(server, "ssl_stapling"), is_on(checker, server, "ssl_certificate_compression"))
        {
            let message = "\"ssl_stapling\" is incompatible with \"ssl_certificate_compression\"";
            return on.refuse(0, codes::INCOMPATIBLE_DIRECTIVES, message);
        }
    }
    openssl::commands(checker, server, "ssl_conf_command")
}

/// Reports a missing file; an empty name means none.
pub(super) fn file<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, what: &str) {
    let path = directive.text(1);
    if !path.is_empty() && !path.starts_with("data:") && !path.starts_with("engine:") && !path.starts_with("store:") {
        checker.needs_file(directive, 1, &path, what);
    }
}

fn verification(checker: &Checker<'_>, server: BlockId) -> Checked {
    /// The first release that is content with `ssl_trusted_certificate`.
    const TRUSTED_WILL_DO: Version = Version::new(1, 27, 2);
    let given = |name| lines(checker, server, name).first().is_some_and(|line| !line.word(1).is_empty());
    let Some(verify) = checker.effective(server, "ssl_verify_client") else { return Ok(()) };
    let any_authority = verify.word(1).eq_ignore_ascii_case(b"optional_no_ca");
    let is_off = verify.word(1).eq_ignore_ascii_case(b"off");
    let trusted_will_do = checker.options.version >= TRUSTED_WILL_DO;
    let authority = given("ssl_client_certificate") || (trusted_will_do && given("ssl_trusted_certificate"));
    if !(is_off || any_authority || authority) {
        let or_trusted = if trusted_will_do { " or ssl_trusted_certificate" } else { "" };
        let message = format!("no ssl_client_certificate{or_trusted} for ssl_verify_client");
        return verify.refuse(0, codes::NO_CLIENT_CERTIFICATE, message);
    }
    match checker.effective(server, "ssl_ocsp").filter(|_| any_authority && is_on(checker, server, "ssl_ocsp")) {
        Some(ocsp) => {
            let message = "\"ssl_ocsp\" is incompatible with \"ssl_verify_client optional_no_ca\"";
            ocsp.refuse(0, codes::INCOMPATIBLE_DIRECTIVES, message)
        }
        None => Ok(()),
    }
}

/// Checks that the servers of http that listen with TLS have certificates: `ngx_http_ssl_init()`.
pub(crate) fn check_listening(checker: &mut Checker<'_>) -> Checked {
    if checker.options.version < CHECKS_LISTENING {
        return Ok(());
    }
    let servers = &checker.http.servers;
    let place = |server: usize| (servers[server].block, servers[server].directive.terminator());
    for (mode, default, all) in checker.http.ports.with_ssl() {
        check_address(checker, mode, place(default), all.iter().map(|server| place(*server as usize)))?;
    }
    Ok(())
}

/// The same for stream: `ngx_stream_ssl_init()`.
pub(crate) fn check_stream_listening(checker: &mut Checker<'_>) -> Checked {
    if checker.options.version < NAMES {
        return Ok(());
    }
    let servers = &checker.stream.servers;
    let place = |server: usize| (servers[server].block, servers[server].directive.terminator());
    for (mode, default, all) in checker.stream.ports.with_ssl() {
        check_address(checker, mode, place(default), all.iter().map(|server| place(*server as usize)))?;
    }
    Ok(())
}

/// Judges the servers of one address, each with its place; `mode` is `ssl` or `quic`.
fn check_address(
    checker: &Checker<'_>,
    mode: &str,
    default: (BlockId, SourceSpan),
    mut all: impl Iterator<Item = (BlockId, SourceSpan)>,
) -> Checked {
    let bare = |block: BlockId| lines(checker, block, "ssl_certificate").is_empty();
    let refuse = |message: String, spot| Err(Box::new(Problem::error(codes::NO_CERTIFICATE, message, spot)));
    if !bare(default.0) {
        let protocols = checker.effective(default.0, "ssl_protocols").filter(|_| mode == "quic");
        if protocols.is_some_and(|set| !set.arguments().any(|(_, word)| word.eq_ignore_ascii_case(b"TLSv1.3"))) {
            let message = format!("\"ssl_protocols\" must enable TLSv1.3 for the \"listen ... {mode}\" directive");
            return refuse(message, default.1);
        }
        return Ok(());
    }
    // A server that rejects every handshake needs no certificate; then the others at its address must have one.
    let rejects = |block| is_on(checker, block, "ssl_reject_handshake");
    let lacking =
        if rejects(default.0) { all.find(|(block, _)| bare(*block) && !rejects(*block)) } else { Some(default) };
    match lacking {
        Some((_, spot)) => {
            refuse(format!("no \"ssl_certificate\" is defined for the \"listen ... {mode}\" directive"), spot)
        }
        None => Ok(()),
    }
}
