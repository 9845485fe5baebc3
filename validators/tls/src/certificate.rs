//! One certificate: what it says (RFC 5280), and whether that still holds.

use reload_gate_contract::{Finding, Place};
use x509_parser::asn1_rs::{FromDer, Oid, oid};
use x509_parser::certificate::X509Certificate;
use x509_parser::public_key::RSAPublicKey;
use x509_parser::time::ASN1Time;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Name};

use crate::TlsOptions;
use crate::codes::{
    BROKEN_CERTIFICATE, EXPIRED, EXPIRES_SOON, LEAF_IS_CA, NOT_YET_VALID, WEAK_KEY, WEAK_SIGNATURE, WRONG_LABEL,
};
use crate::names;
use crate::pem::{PemBlock, shown};

/// The shortest RSA key that is thought safe (NIST SP 800-131A, section 3; RFC 9325, section 4.5).
const SHORTEST_RSA: usize = 2048;

/// The first is what the RFC calls it, the others are OpenSSL's.
const LABELS: [&str; 3] = ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"];
/// Labels of other blocks in a file of certificates, for other programs.
const FOR_OTHERS: [&str; 3] = ["DH PARAMETERS", "EC PARAMETERS", "X509 CRL"];

/// A certificate and where it is.
pub(crate) struct Certificate<'a> {
    pub(crate) x509: X509Certificate<'a>,
    pub(crate) der: &'a [u8],
    pub(crate) place: Place,
    pub(crate) line: u32,
    /// Its name in messages.
    pub(crate) shown: String,
}

/// The certificate of a block; `None` if the block is none and may be there.
pub(crate) fn parse(block: &PemBlock) -> Option<Result<Certificate<'_>, Box<Finding>>> {
    let at = |finding: Finding| Some(Err(Box::new(finding.at(block.place.clone()))));
    if FOR_OTHERS.contains(&block.label.as_str()) {
        return None;
    }
    if !LABELS.contains(&block.label.as_str()) {
        let message = format!("`{}` is no certificate", shown(&block.label));
        let help = match block.label.as_str() {
            "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => {
                "it asks an authority for one: take what the authority answered"
            }
            "PKCS7" | "CMS" => "`openssl pkcs7 -print_certs` takes the certificates out of it",
            _ => "only blocks of `CERTIFICATE` belong here",
        };
        return at(Finding::error(WRONG_LABEL, message).help(help));
    }
    // The parser lets a primitive one pass, and OpenSSL does not.
    let is_sequence = block.contents.first() == Some(&0x30);
    match X509Certificate::from_der(&block.contents) {
        // They must be the same (RFC 5280, section 4.1.1.2); only the inner one is signed.
        Ok((_, x509)) if x509.signature_algorithm != x509.tbs_certificate.signature => {
            at(Finding::error(BROKEN_CERTIFICATE, "the certificate names two algorithms for its one signature"))
        }
        Ok((rest, x509)) if is_sequence && (rest.is_empty() || block.label == "TRUSTED CERTIFICATE") => {
            let shown = subject(&x509);
            let line = block.place.line.unwrap_or_default();
            Some(Ok(Certificate { x509, der: &block.contents, place: block.place.clone(), line, shown }))
        }
        Ok(_) if is_sequence => {
            at(Finding::error(BROKEN_CERTIFICATE, "something follows the certificate in its block"))
        }
        _ => {
            let help = "copy it again, whole; `openssl x509 -noout -text -in FILE` shows more";
            at(Finding::error(BROKEN_CERTIFICATE, "the block holds no X.509 certificate").help(help))
        }
    }
}

impl Certificate<'_> {
    /// True if it names `other` as its issuer.
    pub(crate) fn is_named_as_issued_by(&self, other: &Certificate<'_>) -> bool {
        let (issuer, subject) = (self.x509.issuer(), other.x509.subject());
        // Other spellings of the same name are the same (RFC 5280, section 7.1).
        issuer.as_raw() == subject.as_raw() || issuer.to_string().eq_ignore_ascii_case(&subject.to_string())
    }

    /// The issuer, as it is shown.
    pub(crate) fn issuer(&self) -> String {
        common_name(self.x509.issuer())
    }

    /// True if it ends every chain.
    fn is_root(&self) -> bool {
        self.is_named_as_issued_by(self)
    }

    /// Judges it by itself. `first` is the server's own.
    pub(crate) fn check(&self, first: bool, options: &TlsOptions) -> Vec<Finding> {
        let dates = self.dates(first, options);
        let mut findings: Vec<_> = dates.into_iter().collect();
        if first && self.x509.is_ca() {
            let message = format!("{} is an authority's certificate, in the place of the server's", self.shown);
            let help = "put the server's own first; one made by `openssl req -x509` is an authority's, and with \
                        `-addext basicConstraints=critical,CA:FALSE` it is not";
            findings.push(Finding::warning(LEAF_IS_CA, message).help(help));
        }
        if let Some(bits) = rsa_bits(self.x509.public_key()).filter(|bits| *bits < SHORTEST_RSA) {
            let message =
                format!("the RSA key of {} has {bits} bits, and at least {SHORTEST_RSA} are expected", self.shown);
            findings.push(Finding::warning(WEAK_KEY, message).help("have a certificate made for a new key"));
        }
        // The signature of a root is never verified: a root is known or it is not.
        let weak = weak_hash(&self.x509.signature_algorithm.algorithm).filter(|_| first || !self.is_root());
        if let Some(hash) = weak {
            let message = format!("{} is signed with {hash}, which clients no longer accept", self.shown);
            findings.push(Finding::warning(WEAK_SIGNATURE, message).help("have it issued again, with SHA-256"));
        }
        findings.into_iter().map(|finding| finding.at(self.place.clone())).collect()
    }

    fn dates(&self, first: bool, options: &TlsOptions) -> Option<Finding> {
        let validity = self.x509.validity();
        let (begins, ends) = (validity.not_before, validity.not_after);
        let soon = i64::try_from(options.warn_before.as_secs()).unwrap_or(i64::MAX);
        let (finding, help) = if options.now > ends.timestamp() {
            let message = format!("{} expired at {}", self.shown, date(ends));
            // A root which is sent along is not looked at.
            let finding = match first || !self.is_root() {
                true => Finding::error(EXPIRED, message),
                false => Finding::warning(EXPIRED, message),
            };
            (finding, "renew it; if it was renewed, this is the old one")
        } else if options.now < begins.timestamp() {
            let message = format!("{} is not valid before {}", self.shown, date(begins));
            (Finding::error(NOT_YET_VALID, message), "wait until then, or set the clock of this machine right")
        } else if ends.timestamp().saturating_sub(options.now) < soon {
            let message = format!("{} expires at {}", self.shown, date(ends));
            (Finding::warning(EXPIRES_SOON, message), "renew it")
        } else {
            return None;
        };
        Some(finding.help(help))
    }
}

/// Length of an RSA key in bits; `None` for another kind of key.
pub(crate) fn rsa_bits(public: &SubjectPublicKeyInfo<'_>) -> Option<usize> {
    if !public.algorithm.algorithm.to_id_string().starts_with("1.2.840.113549.1.1.") {
        return None;
    }
    let (_, rsa) = RSAPublicKey::from_der(&public.subject_public_key.data).ok()?;
    let zeros = rsa.modulus.iter().take_while(|byte| **byte == 0).count();
    let first = rsa.modulus.get(zeros)?;
    Some((rsa.modulus.len() - zeros) * 8 - first.leading_zeros() as usize)
}

/// The hash of a signature, if it is one that no longer protects (RFC 9155; RFC 8446, section 4.4.2.4).
fn weak_hash(algorithm: &Oid<'_>) -> Option<&'static str> {
    // With RSA (RFC 8017, appendix C), with ECDSA (RFC 3279, section 2.2.3), and OIW's own name of the first.
    const SHA1: [Oid<'static>; 3] = [oid!(1.2.840.113549.1.1.5), oid!(1.2.840.10045.4.1), oid!(1.3.14.3.2.29)];
    const MD5: Oid<'static> = oid!(1.2.840.113549.1.1.4);
    if *algorithm == MD5 {
        return Some("MD5");
    }
    SHA1.contains(algorithm).then_some("SHA-1")
}

/// Name of a certificate in messages: its Common Name, its first name, or the whole subject.
fn subject(x509: &X509Certificate<'_>) -> String {
    match names::known(x509).first() {
        Some(name) if x509.subject().iter_common_name().next().is_none() => format!("`{}`", printable(name)),
        _ => common_name(x509.subject()),
    }
}

fn common_name(name: &X509Name<'_>) -> String {
    let common = name.iter_common_name().next().and_then(|common| common.as_str().ok());
    format!("`{}`", printable(&common.map_or_else(|| name.to_string(), str::to_owned)))
}

/// A name for a line of text: no control characters, and not without end.
fn printable(name: &str) -> String {
    name.chars().take(100).map(|c| if c.is_control() || c == '`' { '?' } else { c }).collect()
}

/// As RFC 3339 writes it.
fn date(time: ASN1Time) -> String {
    let time = time.to_datetime();
    format!("{}T{:02}:{:02}:{:02}Z", time.date(), time.hour(), time.minute(), time.second())
}
