//! Which bundled validators judge, and how. Pure.

use core::net::IpAddr;

use reload_gate_nginx::Version;

use super::Mistake;
use super::layer::{Layers, Said};
use super::resolve::{Mistakes, duration, one_word};
use crate::validate::{Builtin, Format, Tls};

/// On which terms the bundled validators judge.
pub(super) struct Terms {
    version: Option<Version>,
    tls: Tls,
}

impl Terms {
    pub(super) fn of(layers: &Layers, mistakes: Mistakes<'_>) -> Self {
        let names = layers.list("tls-name").iter().map(|said| name(said, mistakes)).collect();
        let warn_before = duration(layers, "tls-warn", Tls::default().warn_before, mistakes);
        Self { version: version(layers, mistakes), tls: Tls { names, warn_before } }
    }

    /// The validator of that name.
    pub(super) fn builtin(&self, said: &Said, mistakes: Mistakes<'_>) -> Option<Builtin> {
        let name = one_word(said, &Builtin::NAMES, mistakes)?;
        let format = Format::ALL.into_iter().find(|format| format.word() == name).map(Builtin::Structured);
        format.or_else(|| match name {
            "tls" => Some(Builtin::Tls(self.tls.clone())),
            _ => Some(Builtin::Nginx(self.version)),
        })
    }
}

fn version(layers: &Layers, mistakes: Mistakes<'_>) -> Option<Version> {
    let said = layers.text("nginx-version")?;
    let version = said.value.parse::<Version>();
    version.map_err(|error| mistakes.push(Mistake::new(said.origin.clone(), error.to_string()))).ok()
}

/// A host name (RFC 1123, section 2.1, and with a `_`, as some use it), a pattern of such, or an address.
fn name(said: &Said, mistakes: Mistakes<'_>) -> String {
    let host = said.value.strip_prefix("*.").unwrap_or(&said.value).trim_end_matches('.');
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if said.value.parse::<IpAddr>().is_err() && !host.split('.').all(is_label) {
        let message = format!("`{}` is no host name", said.value);
        let help = "names look like `www.example.org`, `*.example.org` or `192.0.2.1`, without a scheme or a port";
        mistakes.push(Mistake::new(said.origin.clone(), message).help(help));
    }
    said.value.clone()
}
