//! Parsers of single values. Pure.
//!
//! A parser gets the text and the directory in which relative paths begin. The caller adds the place to its error.

use core::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use regex::Regex;
use reload_gate_nginx::{Build, Context, Version};

use super::script::ScriptPlaceholder;
use crate::cluster::rollout::Parallel;
use crate::cluster::{ObjectKind, ObjectName};
use crate::flow::process::Signal;
use crate::flow::snapshot::FilePattern;
use crate::flow::verify::ExpectedMetric;
use crate::gate::Budget;
use crate::sys::pattern::LazyRegex;
use crate::sys::suggest::suggestion;

/// Parser of the values of one setting.
pub(super) type Parse<T> = fn(&str, &Path) -> Result<T, Invalid>;

/// Reason why a text is no value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Invalid {
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Invalid {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

pub(super) fn text(text: &str, _: &Path) -> Result<String, Invalid> {
    Ok(text.to_owned())
}

/// A path, which is absolute afterwards.
pub(super) fn path(text: &str, directory: &Path) -> Result<PathBuf, Invalid> {
    Ok(normal(&directory.join(text)))
}

/// A path in the configuration, which stays relative.
pub(super) fn relative(text: &str, _: &Path) -> Result<PathBuf, Invalid> {
    Ok(text.into())
}

pub(super) fn file_pattern(text: &str, _: &Path) -> Result<FilePattern, Invalid> {
    fits(text)?.parse().map_err(|reason| Invalid::new(format!("`{text}` is no pattern of files: {reason}")))
}

/// Removes `.` and trailing slashes; `..` stays, since its meaning depends on links in the file system.
fn normal(path: &Path) -> PathBuf {
    path.components().collect()
}

pub(super) fn switch(text: &str, _: &Path) -> Result<bool, Invalid> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(Invalid::new(format!("`{text}` is neither true nor false"))),
    }
}

/// One of a few words, each with its value.
pub(super) fn choice<T: Copy>(text: &str, known: &[(&str, T)]) -> Result<T, Invalid> {
    if let Some((_, value)) = known.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let words: Vec<_> = known.iter().map(|(word, _)| *word).collect();
    Err(Invalid::new(format!("`{text}` is none of {}{}", words.join(", "), suggestion(text, words.iter().copied()))))
}

pub(super) fn duration(text: &str, _: &Path) -> Result<Duration, Invalid> {
    humantime::parse_duration(text).map_err(|error| {
        Invalid::new(format!("`{text}` is no duration: {error}")).help("write it as `500ms`, `30s` or `5m`")
    })
}

pub(super) fn positive_duration(text: &str, directory: &Path) -> Result<Duration, Invalid> {
    let given = duration(text, directory)?;
    if given.is_zero() { Err(Invalid::new(format!("`{text}` is no duration above 0"))) } else { Ok(given) }
}

pub(super) fn positive_number<N: FromStr + PartialEq + Default>(text: &str, _: &Path) -> Result<N, Invalid> {
    let number = text.parse().ok().filter(|number| *number != N::default());
    number.ok_or_else(|| Invalid::new(format!("`{text}` is no number above 0")).help("write it in digits, as `10000`"))
}

/// A number above 0, or `none`.
pub(super) fn limit(text: &str, directory: &Path) -> Result<Option<usize>, Invalid> {
    if text == "none" { Ok(None) } else { positive_number(text, directory).map(Some) }
}

/// A number of reloads in a time, as `20/10m`, or `none`.
pub(super) fn budget(text: &str, directory: &Path) -> Result<Option<Budget>, Invalid> {
    if text == "none" {
        return Ok(None);
    }
    let Some((reloads, window)) = text.split_once('/') else {
        return Err(Invalid::new(format!("`{text}` has no `/`")).help("write it as `20/10m`, or `none`"));
    };
    let (reloads, window) = (positive_number(reloads, directory)?, positive_duration(window, directory)?);
    Ok(Some(Budget { reloads, window }))
}

/// A kind and a name, as `configmap/web`.
pub(super) fn object_name(text: &str, directory: &Path) -> Result<ObjectName, Invalid> {
    let Some((kind, name)) = text.split_once('/') else {
        return Err(Invalid::new(format!("`{text}` has no `/`")).help("write it as `configmap/NAME` or `secret/NAME`"));
    };
    let kind = choice(kind, &[("configmap", ObjectKind::ConfigMap), ("secret", ObjectKind::Secret)])?;
    lease_name(name, directory).map(|name| ObjectName { kind, name })
}

/// The name of an object (RFC 1123): a subdomain in lower case.
pub(super) fn lease_name(text: &str, _: &Path) -> Result<String, Invalid> {
    let is_edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let fits = |part: &str| {
        let bytes = part.as_bytes();
        let edges = bytes.first().is_some_and(|byte| is_edge(*byte)) && bytes.last().is_some_and(|byte| is_edge(*byte));
        edges && bytes.iter().all(|byte| is_edge(*byte) || *byte == b'-')
    };
    if text.len() <= 253 && text.split('.').all(fits) {
        return Ok(text.to_owned());
    }
    let help = "use lower-case letters, digits, `-` and `.`, as Kubernetes does";
    Err(Invalid::new(format!("`{text}` is no name of an object")).help(help))
}

/// A number of pods, or a share of them in percent; both above 0.
pub(super) fn parallel(text: &str, directory: &Path) -> Result<Parallel, Invalid> {
    match text.strip_suffix('%') {
        Some(_) => match percent(text, directory)? {
            0 => Err(Invalid::new(format!("`{text}` lets no pod reload"))),
            share => Ok(Parallel::Percent(share)),
        },
        None => positive_number::<u32>(text, directory)
            .map(|number| Parallel::Pods(NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN))),
    }
}

/// A share in percent, with or without its sign.
pub(super) fn percent(text: &str, _: &Path) -> Result<u8, Invalid> {
    let percent = text.trim_end_matches('%').parse().ok().filter(|percent| *percent <= 100);
    percent.ok_or_else(|| Invalid::new(format!("`{text}` is no share in percent, from 0 to 100")))
}

/// A number of bytes, as Kubernetes writes quantities: a suffix is a power of 1024, with or without `i` and `B`.
pub(super) fn size(text: &str, _: &Path) -> Result<u64, Invalid> {
    bytes(text).ok_or_else(|| {
        Invalid::new(format!("`{text}` is no size above 0"))
            .help("write a whole number of bytes or of their powers of 1024: `65536`, `512k`, `16M`, `16MiB`, `1G`")
    })
}

fn bytes(text: &str) -> Option<u64> {
    let suffix = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let shift = match suffix.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "ki" | "kb" | "kib" => 10,
        "m" | "mi" | "mb" | "mib" => 20,
        "g" | "gi" | "gb" | "gib" => 30,
        _ => return None,
    };
    let number: u64 = text[..text.len() - suffix.len()].parse().ok()?;
    number.checked_mul(1 << shift).filter(|bytes| *bytes > 0)
}

/// Longest pattern in bytes, as of a path (`PATH_MAX`). A compiled one takes up to thousands of times as much memory, also in the webhook, where
/// the author of a pod writes it.
const LONGEST_PATTERN: usize = 4096;

fn fits(text: &str) -> Result<&str, Invalid> {
    let length = text.len();
    if length <= LONGEST_PATTERN {
        return Ok(text);
    }
    let message = format!("the pattern has {length} bytes, and may have {LONGEST_PATTERN}");
    Err(Invalid::new(message).help("write a shorter one, or several"))
}

pub(super) fn pattern(text: &str, _: &Path) -> Result<Regex, Invalid> {
    Regex::new(fits(text)?).map_err(|error| Invalid::new(error.to_string()))
}

/// A pattern that is compiled here, so that a mistake is found.
pub(super) fn lazy_pattern(text: &str, _: &Path) -> Result<LazyRegex, Invalid> {
    LazyRegex::parse(fits(text)?).map_err(|error| Invalid::new(error.to_string()))
}

/// A command in one line, split into words as a shell splits them.
pub(super) fn command_line(text: &str, _: &Path) -> Result<Vec<String>, Invalid> {
    match shell_words::split(text) {
        Ok(words) if words.is_empty() => Err(Invalid::new("the command is empty")),
        Ok(words) => match ScriptPlaceholder::find(&words) {
            Some(found) => {
                let (message, help) = found.explained();
                Err(Invalid::new(message).help(help))
            }
            None => Ok(words),
        },
        Err(error) => Err(Invalid::new(format!("`{text}`: {error}"))
            .help("quote words as for a shell; write a quote that belongs to a word as `\\'`")),
    }
}

pub(super) fn url(text: &str, _: &Path) -> Result<String, Invalid> {
    let parsed = text.parse::<ureq::http::Uri>();
    let right = parsed.is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
    if right {
        return Ok(text.to_owned());
    }
    let shown = without_credentials(text);
    Err(Invalid::new(format!("`{shown}` is no URL that begins with `http://` or `https://`")))
}

/// Removes the user and password from a URL, and its path: those of webhooks are secrets (docs/alerts.md).
fn without_credentials(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let (authority, more) = rest.split_once(['/', '?', '#']).map_or((rest, ""), |(authority, _)| (authority, "/…"));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let separator = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{separator}{host}{more}")
}

/// A signal, or `none`.
pub(super) fn metric(text: &str, _: &Path) -> Result<ExpectedMetric, Invalid> {
    text.parse().map_err(|form: &str| Invalid::new("is no metric with a value").help(form))
}

pub(super) fn signal(text: &str, _: &Path) -> Result<Option<Signal>, Invalid> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    Signal::from_str(text).map(Some).map_err(|error| {
        Invalid::new(error.to_string())
            .help("name it as `kill -l` does: `HUP`, `SIGHUP` or a number; `none` sends no signal")
    })
}

pub(super) fn nginx_version(text: &str, _: &Path) -> Result<Version, Invalid> {
    text.parse::<Version>().map_err(|error| Invalid::new(error.to_string()))
}

pub(super) fn nginx_build(text: &str, _: &Path) -> Result<Build, Invalid> {
    choice(text, &Build::ALL.map(|build| (build.as_str(), build)))
}

/// The name of a directive: one word of a configuration.
pub(super) fn nginx_directive(text: &str, _: &Path) -> Result<String, Invalid> {
    let is_of_word = |c: char| !c.is_whitespace() && !";{}\"'#$".contains(c);
    if text.chars().all(is_of_word) {
        return Ok(text.to_owned());
    }
    Err(Invalid::new(format!("`{text}` is no name of a directive"))
        .help("give the name alone, as `vhost_traffic_status`"))
}

/// The blocks around a snippet, as `http,server`.
pub(super) fn nginx_context(text: &str, _: &Path) -> Result<Context, Invalid> {
    text.parse::<Context>().map_err(|error| {
        let unknown = text.split(',').map(str::trim).find(|name| Context::names().all(|known| known != *name));
        let meant = unknown.map(|name| suggestion(name, Context::names())).unwrap_or_default();
        Invalid::new(format!("{error}{meant}")).help("name the blocks from the outside in, as `http,server,location`")
    })
}

/// A host name (RFC 1123, section 2.1, and with a `_`, as some use it), a pattern of such, or an address.
pub(super) fn host_name(text: &str, _: &Path) -> Result<String, Invalid> {
    let host = text.strip_prefix("*.").unwrap_or(text).trim_end_matches('.');
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if text.parse::<IpAddr>().is_ok() || host.split('.').all(is_label) {
        return Ok(text.to_owned());
    }
    Err(Invalid::new(format!("`{text}` is no host name"))
        .help("write it as `www.example.org`, `*.example.org` or `192.0.2.1`, without a scheme or a port"))
}

/// The name of a variable, as POSIX has it (XBD 8.1), or the beginning of several and a `*`.
pub(super) fn variable_name(text: &str, _: &Path) -> Result<String, Invalid> {
    let name = text.strip_suffix('*').unwrap_or(text);
    let is_word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_word && name.bytes().next().is_some_and(|first| !first.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    Err(Invalid::new(format!("`{text}` is no name of a variable")).help(
        "give the name alone, as `PORT`, or the beginning of several, as `APP_*`; the value comes from the gate's own \
         environment",
    ))
}

/// An address to listen on: `IP:PORT`, or `:PORT` for all addresses of both IPv4 and IPv6.
pub(super) fn address(text: &str, _: &Path) -> Result<SocketAddr, Invalid> {
    let all = text.strip_prefix(':').map(|port| format!("[::]:{port}"));
    let address = all.as_deref().unwrap_or(text).parse::<SocketAddr>().ok().filter(|address| address.port() != 0);
    address.ok_or_else(|| {
        Invalid::new(format!("`{text}` is no address to listen on"))
            .help("write it as `127.0.0.1:9464`, or `:9464` for all addresses")
    })
}

/// Headers that follow from the request itself.
const OWN_HEADERS: [&str; 5] = ["Connection", "Content-Length", "Content-Type", "Host", "Transfer-Encoding"];

/// A header of a request, as `NAME: VALUE`.
pub(super) fn header(text: &str, _: &Path) -> Result<(String, String), Invalid> {
    let parts = text.split_once(':').map(|(name, value)| (name.trim(), value.trim()));
    let valid = parts.filter(|(name, value)| {
        ureq::http::HeaderName::try_from(*name).is_ok() && ureq::http::HeaderValue::try_from(*value).is_ok()
    });
    match valid {
        Some((name, _)) if OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name)) => {
            Err(Invalid::new(format!("the header `{name}` follows from the request and cannot be set"))
                .help("leave it out: the URL and the body of the request determine it"))
        }
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        // It may be a credential, so it is not shown.
        None => Err(Invalid::new("the value is no header")
            .help("write it as `X-Scope-OrgID: web`; keep credentials in a file instead")),
    }
}

/// Labels that every alert has already.
const OWN_LABELS: [&str; 3] = ["alertname", "gate", "severity"];

/// A label of alerts, as `NAME=VALUE`.
pub(super) fn label(text: &str, _: &Path) -> Result<(String, String), Invalid> {
    let invalid = |message: String| {
        Err(Invalid::new(message).help("write it as `team=web`; a name has letters, digits and underscores"))
    };
    let Some((name, value)) = text.split_once('=') else { return invalid(format!("`{text}` has no `=`")) };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(is_name) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return invalid(format!("`{name}` is no name of a label"));
    }
    if OWN_LABELS.contains(&name) {
        return invalid(format!("every alert has a label `{name}` already"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// A file that holds a secret URL. The URL itself in its place is refused, and not repeated.
pub(super) fn secret_file(text: &str, directory: &Path) -> Result<PathBuf, Invalid> {
    if ["http://", "https://"].iter().any(|scheme| text.trim().starts_with(scheme)) {
        return Err(Invalid::new("the value is a URL, which is a secret, and no file")
            .help("write the URL into a file, and give the path of the file"));
    }
    path(text, directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_would_take_much_memory_is_refused() {
        let here = Path::new("/");
        let (expressions, globs) = ("\\pL{500}".repeat(20_000), "*a".repeat(80_000));
        assert!(pattern(&expressions, here).is_err() && lazy_pattern(&expressions, here).is_err());
        assert!(file_pattern(&globs, here).is_err());
        assert!(file_pattern(&globs[..LONGEST_PATTERN], here).is_ok());
    }
}
