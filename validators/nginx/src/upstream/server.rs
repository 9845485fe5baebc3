//! `server` in an upstream: `ngx_http_upstream_server()`, `ngx_stream_upstream_server()`.

use super::{is_stream, upstreams};
use crate::checker::Checker;
use crate::directives::{Build, Version};
use crate::findings::codes;
use crate::findings::problem::Checked;
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::model::upstreams::Upstream;
use crate::values::numbers;
use crate::values::url::{self, Host, Rules};

/// The first release whose servers know `route` and `drain`.
const STICKY: Version = Version::new(1, 29, 6);

/// The first release whose servers know `resolve` and `service`.
const RESOLVE: Version = Version::new(1, 27, 3);

pub(crate) fn server<'s>(checker: &mut Checker<'s>, directive: &Directive<'s>, block: BlockId) -> Checked {
    let stream = is_stream(checker, block);
    let version = checker.options.version;
    let plus = checker.options.build == Build::Plus;
    let upstreams = upstreams(checker, block);
    let open = upstreams.open;
    let group = &mut upstreams.all[open];
    group.servers += 1;
    group.backups += usize::from(directive.arguments().skip(1).any(|(_, word)| word == b"backup"));
    for at in 2..=directive.count() {
        if !parameter(directive, at, group, version, stream, plus)? {
            let message = format!("invalid parameter \"{}\"", directive.text(at));
            return directive.refuse(at, codes::INVALID_PARAMETER, message);
        }
    }
    let given = |name: &[u8]| directive.arguments().skip(1).any(|(_, word)| word.starts_with(name));
    let (resolve, service) = (given(b"resolve"), given(b"service="));
    let text = directive.text(1);
    let refuse = |message: String| directive.refuse(1, codes::INVALID_UPSTREAM, message);
    if service && !resolve {
        return refuse(format!("service upstream \"{text}\" requires \"resolve\" parameter"));
    }
    let rules = Rules { default_port: if stream { 0 } else { 80 }, no_resolve: resolve, ..Rules::default() };
    let url = url::parse(directive.word(1), rules).map_err(|error| {
        let code = if error == "host not found" { codes::HOST_NOT_FOUND } else { codes::INVALID_UPSTREAM };
        directive.problem(1, code, format!("{error} in upstream \"{text}\""))
    })?;
    if stream && url.no_port && !service {
        return directive.refuse(1, codes::NO_PORT_IN_UPSTREAM, format!("no port in upstream \"{text}\""));
    }
    if service && !url.no_port {
        return refuse(format!("service upstream \"{text}\" may not have port"));
    }
    if service && url.kind != Host::Name {
        return refuse(format!("service upstream \"{text}\" requires domain name"));
    }
    group.resolves |= resolve && url.kind == Host::Name;
    Ok(())
}

/// Judges a parameter. False if it is none, or its value cannot be read.
fn parameter(
    directive: &Directive<'_>,
    at: usize,
    group: &mut Upstream<'_>,
    version: Version,
    stream: bool,
    plus: bool,
) -> Checked<bool> {
    /// The longest route that nginx can keep.
    const ROUTE: usize = 32;
    let word = directive.word(at);
    if plus && word.strip_prefix(b"slow_start=").is_some_and(|time| numbers::seconds(time).is_some()) {
        return Ok(true);
    }
    // NGINX Plus had them before nginx.
    let version = if plus { version.max(STICKY) } else { version };
    let number = |prefix: &[u8]| word.strip_prefix(prefix).map(numbers::number);
    if let Some(weight) = number(b"weight=") {
        return Ok(weight.is_some_and(|weight| weight != 0));
    }
    if let Some(number) = number(b"max_conns=").or_else(|| number(b"max_fails=")) {
        return Ok(number.is_some());
    }
    if let Some(time) = word.strip_prefix(b"fail_timeout=") {
        return Ok(numbers::seconds(time).is_some());
    }
    let empty = |what: &str| directive.refuse(at, codes::INVALID_PARAMETER, format!("{what} is empty"));
    match word {
        b"backup" if !group.takes_backup => {
            let message = "balancing method does not support parameter \"backup\"";
            directive.refuse(at, codes::INVALID_PARAMETER, message)
        }
        b"backup" | b"down" => Ok(true),
        b"resolve" => Ok(version >= RESOLVE),
        b"service=" if version >= RESOLVE => empty("service"),
        b"drain" => Ok(version >= STICKY && !stream),
        b"route=" if version >= STICKY && !stream => empty("route"),
        _ if word.starts_with(b"service=") => Ok(version >= RESOLVE),
        _ if word.starts_with(b"route=") && version >= STICKY && !stream => {
            if word.len() > b"route=".len() + ROUTE {
                return directive.refuse(at, codes::INVALID_PARAMETER, format!("route is longer than {ROUTE}"));
            }
            Ok(true)
        }
        _ => Ok(false),
    }
}
