//! Certificates for every occasion. They are of Ed25519, whose signatures all have one length, so that their lines are known.

use std::sync::LazyLock;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, PKCS_ED25519, date_time_ymd,
};
use reload_gate_contract::{Cause, Finding, Severity};
use reload_gate_tls::{File, TlsOptions, check, pairs};

/// The first of June 2027.
pub(crate) const NOW: i64 = 1_811_808_000;

/// A certificate with an RSA key of 1024 bits and a signature by SHA-1: `openssl req -x509 -newkey rsa:1024 -sha1 -days 36500`.
const WEAK: &str = include_str!("weak.pem");
/// A certificate of a kind that ring does not know: `openssl genpkey -algorithm ED448`.
const ED448: &str = include_str!("ed448.pem");
/// What such a key looks like (RFC 8410, section 7), if it were all zeros.
const ED448_KEY: &str = "-----BEGIN PRIVATE KEY-----\nMEcCAQAwBQYDK2VxBDsEOQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\n-----END PRIVATE KEY-----\n";

/// The years in which a certificate is valid: from the first of June of the one to that of the other.
type Years = (i32, i32);

/// The texts of the examples, by the words that name them.
static PARTS: LazyLock<Vec<(&'static str, String)>> = LazyLock::new(parts);

fn params(name: &str, serial: u64, (from, to): Years) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::<String>::new()).expect("there are no names");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(serial.into());
    (params.not_before, params.not_after) = (date_time_ymd(from, 6, 1), date_time_ymd(to, 6, 1));
    params
}

fn authority(name: &str, serial: u64) -> CertificateParams {
    let mut params = params(name, serial, (2020, 2040));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn server(serial: u64, years: Years) -> CertificateParams {
    let mut params = params("www.example.org", serial, years);
    let names = ["www.example.org", "*.api.example.org"].map(|name| name.try_into().expect("it is ASCII"));
    params.subject_alt_names = names.into_iter().map(rcgen::SanType::DnsName).collect();
    params.subject_alt_names.push(rcgen::SanType::IpAddress([192, 0, 2, 1].into()));
    params
}

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ED25519).expect("ring can do it")
}

fn parts() -> Vec<(&'static str, String)> {
    let root = Issuer::new(authority("Root", 1), key());
    let root_pem = authority("Root", 1).self_signed(root.key()).expect("it signs").pem();
    let root_key = root.key().serialize_pem();
    let between_key = key();
    let between_pem = authority("Intermediate", 2).signed_by(&between_key, &root).expect("it signs").pem();
    let between = Issuer::new(authority("Intermediate", 2), between_key);
    let renewed_pem = authority("Intermediate", 3).signed_by(&key(), &root).expect("it signs").pem();
    let (own, other) = (key(), key());
    let issued = |params: CertificateParams| params.signed_by(&own, &between).expect("it signs").pem();
    let asked = CertificateParams::new(["www.example.org".to_owned()]).expect("it is a name");
    let request = asked.serialize_request(&own).and_then(|request| request.pem()).expect("it signs");
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let mut ending = server(7, (2026, 2027));
    ending.not_after = date_time_ymd(2027, 6, 8);
    let nameless = params("www.example.org", 8, (2026, 2028));
    vec![
        ("server", issued(server(4, (2026, 2028)))),
        ("old server", issued(server(5, (2025, 2026)))),
        ("future server", issued(server(6, (2028, 2029)))),
        ("ending server", issued(ending)),
        ("nameless server", issued(nameless)),
        ("intermediate", between_pem),
        ("renewed intermediate", renewed_pem),
        ("root", root_pem),
        ("root key", root_key),
        ("weak", WEAK.to_owned()),
        ("ed448", ED448.to_owned()),
        ("ed448 key", ED448_KEY.to_owned()),
        ("request", request),
        ("server key", own.serialize_pem()),
        ("other key", other.serialize_pem()),
        ("encrypted key", encrypted.to_owned()),
    ]
}

/// What the words of an example say: `server, intermediate`, or `server without its last line`.
pub(crate) fn pem(words: &str) -> String {
    words.split(", ").map(part).collect()
}

fn part(words: &str) -> String {
    let plain = |name: &str| PARTS.iter().find(|(known, _)| *known == name).map(|(_, pem)| pem.clone());
    if let Some(pem) = plain(words) {
        return pem;
    }
    if let Some(text) = words.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        return format!("{text}\n");
    }
    let changed = |end: &str| plain(words.strip_suffix(end)?);
    if let Some(pem) = changed(" without its last line") {
        return pem.lines().take(pem.lines().count() - 1).map(|line| format!("{line}\n")).collect();
    }
    if let Some(pem) = changed(" without its third line") {
        let lines = pem.lines().enumerate().filter(|(index, _)| *index != 2);
        return lines.map(|(_, line)| format!("{line}\n")).collect();
    }
    if let Some(pem) = changed(" with a `*` in its second line") {
        let at = pem.find('\n').expect("it has lines") + 8;
        return format!("{}*{}", &pem[..at], &pem[at + 1..]);
    }
    if let Some(pem) = changed(" with a dash too few") {
        return pem[1..].to_owned();
    }
    panic!("what is `{words}`?")
}

/// What is found in a directory with these files, for these names.
pub(crate) fn find(files: &[(&str, &str)], names: &[&str]) -> Vec<Finding> {
    let files: Vec<_> = files.iter().map(|(path, text)| File { path, text: text.as_bytes() }).collect();
    let found = pairs(&files);
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    let mut findings = found.findings;
    findings.extend(check(&found.pairs, &TlsOptions { names, now: NOW, ..TlsOptions::default() }));
    findings
}

/// A finding as the page writes it.
pub(crate) fn line(finding: &Finding) -> String {
    let word = match (finding.severity, finding.cause) {
        (Severity::Note, _) => "note",
        (Severity::Warning, _) => "warning",
        (Severity::Error, Cause::Environment) => "obstacle",
        (Severity::Error, Cause::Config) => "error",
    };
    let place = finding.place.as_ref().expect("it has a place");
    format!("{word} at {place}: {}", finding.message)
}
