//! Parameters of `listen` that http, stream and mail share.

use crate::checker::Checker;
use crate::directives::Version;
use crate::findings::codes;
use crate::findings::problem::Checked;
use crate::model::directive::Directive;
use crate::values::numbers;
use crate::values::url::{self, HostUrl, Rules};

/// The first release with `listen … multipath`.
pub(crate) const MULTIPATH: Version = Version::new(1, 29, 7);

/// Reads the address to listen on.
pub(crate) fn address<'d>(
    checker: &Checker<'_>,
    directive: &'d Directive<'_>,
    default_port: u16,
) -> Checked<HostUrl<'d>> {
    /// The first release that listens on ranges of ports.
    const RANGES: Version = Version::new(1, 15, 10);
    let ranges = checker.options.version >= RANGES;
    url::parse(directive.word(1), Rules { listen: true, ranges, default_port, ..Rules::default() }).map_err(|error| {
        let message = format!("{error} in \"{}\" of the \"listen\" directive", directive.text(1));
        let code = if error == "host not found" { codes::HOST_NOT_FOUND } else { codes::INVALID_LISTEN };
        directive.problem(1, code, message)
    })
}

/// Judges a parameter that sets an option of the socket. False if it is some other parameter.
pub(crate) fn socket_option(directive: &Directive<'_>, at: usize) -> Checked<bool> {
    let word = directive.word(at);
    let text = directive.text(at);
    let invalid = |what: &str| directive.refuse(at, codes::INVALID_LISTEN, format!("invalid {what} \"{text}\""));
    if let Some(given) = word.strip_prefix(b"backlog=") {
        return if numbers::number(given).is_some_and(|number| number != 0) { Ok(true) } else { invalid("backlog") };
    }
    if let Some(given) = word.strip_prefix(b"rcvbuf=") {
        return if numbers::size(given).is_some() { Ok(true) } else { invalid("rcvbuf") };
    }
    if let Some(given) = word.strip_prefix(b"sndbuf=") {
        return if numbers::size(given).is_some() { Ok(true) } else { invalid("sndbuf") };
    }
    if let Some(given) = word.strip_prefix(b"fastopen=") {
        return if numbers::number(given).is_some() { Ok(true) } else { invalid("fastopen") };
    }
    if let Some(given) = word.strip_prefix(b"ipv6only=o") {
        if given == b"n" || given == b"ff" {
            return Ok(true);
        }
        let message = format!("invalid ipv6only flags \"o{}\"", String::from_utf8_lossy(given));
        return directive.refuse(at, codes::INVALID_LISTEN, message);
    }
    if let Some(given) = word.strip_prefix(b"so_keepalive=") {
        if keepalive(given) {
            return Ok(true);
        }
        let message = format!("invalid so_keepalive value: \"{}\"", String::from_utf8_lossy(given));
        return directive.refuse(at, codes::INVALID_LISTEN, message);
    }
    Ok(word == b"bind" || word == b"reuseport")
}

/// `on`, `off`, or `idle:interval:count`, of which at least one is not zero.
fn keepalive(text: &[u8]) -> bool {
    if text == b"on" || text == b"off" {
        return true;
    }
    let mut parts = text.splitn(3, |byte| *byte == b':');
    let mut part = || parts.next().unwrap_or_default();
    let (idle, interval, count) = (part(), part(), part());
    let read = |text: &[u8], read: fn(&[u8]) -> Option<i64>| if text.is_empty() { Some(0) } else { read(text) };
    let all = [read(idle, numbers::seconds), read(interval, numbers::seconds), read(count, numbers::number)];
    all.iter().all(Option::is_some) && all != [Some(0); 3]
}

/// Refuses a parameter of stream or mail that is none.
pub(crate) fn unknown_parameter<T>(checker: &Checker<'_>, directive: &Directive<'_>, at: usize) -> Checked<T> {
    /// The first release that words it as the other protocols do.
    const REWORDED: Version = Version::new(1, 25, 5);
    let text = directive.text(at);
    let message = if checker.options.version < REWORDED {
        format!("the invalid \"{text}\" parameter")
    } else {
        format!("invalid parameter \"{text}\"")
    };
    directive.refuse(at, codes::INVALID_PARAMETER, message)
}
