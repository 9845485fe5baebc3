//! Judges certificates and their keys as a server and its clients would: PEM in, findings out.
//!
//! [`check`] takes pairs of a chain of certificates and a private key, and reports what a server would refuse (a key that does not
//! belong to the certificate, a file that was cut off) and what its clients would (a chain in disorder, a date, a name).
//! [`pairs`] finds the pairs of a directory.
//!
//! The crate has no file system, no process and no clock: [`TlsOptions`] holds the time. Nothing of a key is ever in a
//! message.
//!
//! ```
//! use reload_gate_tls::{File, TlsOptions, Pair, check};
//!
//! let certificate = File { path: "tls.crt", text: b"-----BEGIN CERTIFICATE-----\nMIIB" };
//! let findings = check(&[Pair { certificate, key: None }], &TlsOptions::default());
//!
//! assert_eq!(findings[0].message, "the block of `CERTIFICATE` that begins here has no end");
//! assert_eq!(findings[0].place.as_ref().unwrap().to_string(), "tls.crt:1:1");
//! ```

pub mod codes;

mod certificate;
mod chain;
mod key;
mod names;
mod pairs;
mod pem;

use std::time::Duration;

use reload_gate_contract::{Finding, Place, Severity};

use certificate::Certificate;
use key::Fit;
pub use pairs::{Pairs, pairs};

/// A file and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File<'a> {
    /// Its name in findings.
    pub path: &'a str,
    /// Its content.
    pub text: &'a [u8],
}

/// A chain of certificates, the server's own first, and its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair<'a> {
    /// The file with the chain.
    pub certificate: File<'a>,
    /// The file with the key; where there is none, a key among the certificates is taken.
    pub key: Option<File<'a>>,
}

/// TlsOptions of [`check`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// Host names and addresses, for each of which one of the certificates must be valid.
    pub names: Vec<String>,
    /// A certificate that expires within this time is warned of.
    pub warn_before: Duration,
    /// The time: seconds since the epoch, UTC.
    pub now: i64,
}

impl TlsOptions {
    /// Default of [`TlsOptions::warn_before`]: two weeks. Automatic renewal happens earlier.
    pub const WARN_BEFORE: Duration = Duration::from_secs(14 * 24 * 60 * 60);
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self { names: Vec::new(), warn_before: Self::WARN_BEFORE, now: 0 }
    }
}

/// Judges the pairs, each by itself, and whether together they are valid for all names. The findings come in the order of the
/// pairs.
#[must_use]
pub fn check(pairs: &[Pair<'_>], options: &TlsOptions) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut missing: Vec<&String> = options.names.iter().collect();
    let (mut place, mut known) = (None, Vec::new());
    for pair in pairs {
        check_pair(*pair, options, &mut findings, &mut |leaf| {
            place.get_or_insert_with(|| leaf.place.clone());
            known.extend(names::known(&leaf.x509));
            missing.retain(|name| !names::covers(&leaf.x509, name));
        });
    }
    // Without any certificate something else is wrong.
    let Some(place) = place else { return findings };
    findings.extend(missing.into_iter().map(|name| {
        let (message, help) = match known.as_slice() {
            [] => (
                format!("no certificate is valid for `{name}`: there is no subjectAltName"),
                "request a certificate with names: clients ignore the Common Name (RFC 9525)".to_owned(),
            ),
            known => {
                (format!("no certificate is valid for `{name}`"), format!("use one of its names: {}", some(known)))
            }
        };
        Finding::error(codes::NAME_NOT_COVERED, message).at(place.clone()).help(help)
    }));
    findings
}

/// Properties of the certificate of a server that clients look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafFacts {
    /// Host names and addresses for which it is valid.
    pub names: Vec<String>,
    /// The time at which it expires: seconds since the epoch, UTC.
    pub not_after: i64,
}

/// Returns what clients look at in the first certificate of a chain; `None` if there is none.
#[must_use]
pub fn served(chain: &[u8]) -> Option<LeafFacts> {
    let (blocks, _) = pem::read(File { path: "", text: chain });
    let leaf = blocks.iter().find_map(|block| certificate::parse(block)?.ok())?;
    Some(LeafFacts { names: names::known(&leaf.x509), not_after: leaf.x509.validity().not_after.timestamp() })
}

/// The first of many names, in words.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<_> = names.iter().take(SHOWN).map(|name| format!("`{}`", name.escape_debug())).collect();
    let more = names.len().saturating_sub(SHOWN);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

fn check_pair(
    pair: Pair<'_>,
    options: &TlsOptions,
    findings: &mut Vec<Finding>,
    leaf: &mut dyn FnMut(&Certificate<'_>),
) {
    let (blocks, mut found) = pem::read(pair.certificate);
    let (keys, others): (Vec<_>, Vec<_>) = blocks.iter().partition(|block| key::is_key(block));
    let mut certificates = Vec::new();
    for parsed in others.into_iter().filter_map(certificate::parse) {
        match parsed {
            Ok(certificate) => certificates.push(certificate),
            Err(finding) => found.push(*finding),
        }
    }
    let whole = found.iter().all(|finding| finding.severity < Severity::Error);
    for (index, certificate) in certificates.iter().enumerate() {
        found.extend(certificate.check(index == 0 && whole, options));
    }
    if whole {
        match (certificates.first(), keys.first()) {
            (Some(first), _) => {
                found.extend(chain::check(&certificates));
                leaf(first);
            }
            (None, Some(key)) => {
                let message = "the file of the certificate holds a private key";
                let help =
                    "check whether the two files are swapped, and replace the key if the file was readable by others";
                let finding = Finding::error(codes::KEY_IN_PLACE_OF_CERTIFICATE, message);
                found.push(finding.at(key.place.clone()).help(help));
            }
            (None, None) => {
                let finding = Finding::error(codes::NO_CERTIFICATE, "there is no certificate in the file");
                found.push(finding.at(Place::file(pair.certificate.path)));
            }
        }
    }
    let first = certificates.first().filter(|_| whole);
    match pair.key {
        Some(file) => found.extend(check_key_file(file, first)),
        None => found.extend(keys.first().and_then(|block| check_key(block, first))),
    }
    findings.extend(found);
}

/// Judges the file of a key. `first` is the certificate to which the key belongs, if there is one.
fn check_key_file(file: File<'_>, first: Option<&Certificate<'_>>) -> Vec<Finding> {
    let (blocks, mut findings) = pem::read(file);
    if let Some(block) = blocks.iter().find(|block| key::is_key(block)) {
        findings.extend(check_key(block, first));
    } else if findings.iter().all(|finding| finding.severity < Severity::Error) {
        let finding = match blocks.iter().find(|block| block.label == "CERTIFICATE") {
            Some(certificate) => {
                let message = "the file of the key holds a certificate";
                let finding = Finding::error(codes::CERTIFICATE_IN_PLACE_OF_KEY, message);
                finding.at(certificate.place.clone()).help("check whether the two files are swapped")
            }
            None => Finding::error(codes::NO_KEY, "there is no private key in the file").at(Place::file(file.path)),
        };
        findings.push(finding);
    }
    findings
}

fn check_key(block: &pem::PemBlock, first: Option<&Certificate<'_>>) -> Option<Finding> {
    let key = match key::parse(block) {
        Ok(key) => key,
        Err(finding) => return Some(*finding),
    };
    let certificate = first?;
    let finding = match key.fits(certificate.x509.public_key()) {
        Fit::Yes => return None,
        Fit::No => {
            let message = format!("the key does not belong to the certificate of {}", certificate.shown);
            let help =
                "install the key that was made with this certificate: one of the two is older, or of another server";
            Finding::error(codes::KEY_MISMATCH, message).help(help)
        }
        Fit::Unknown => {
            let message = format!("it is unknown whether the key belongs to the certificate of {}", certificate.shown);
            let help = "compare them yourself: keys of this kind are not supported";
            Finding::warning(codes::KEY_NOT_COMPARED, message).help(help)
        }
    };
    Some(finding.at(block.place.clone()))
}
