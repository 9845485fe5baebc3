//! Keys and certificates as OpenSSL writes them: each kind belongs to its own certificate, and to no other.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use reload_gate_contract::Finding;
use reload_gate_tls::{File, Pair, TlsOptions, check};

use crate::authority::{NOW, line};

/// What makes a key, and what it is called.
const KINDS: [(&str, &str); 9] = [
    ("rsa in PKCS#8", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048"),
    ("rsa in PKCS#1", "genrsa -traditional 2048"),
    ("p256 in PKCS#8", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"),
    ("p256 in SEC 1, after its parameters", "ecparam -genkey -name prime256v1"),
    ("p384 in PKCS#8", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384"),
    ("p384 in SEC 1", "ecparam -genkey -noout -name secp384r1"),
    ("p521 in SEC 1", "ecparam -genkey -noout -name secp521r1"),
    ("ed25519", "genpkey -algorithm ED25519"),
    ("ed448", "genpkey -algorithm ED448"),
];

#[expect(clippy::disallowed_methods, reason = "OpenSSL is what writes keys for servers")]
fn openssl(directory: &Path, line: &str) -> bool {
    let output = Command::new("openssl").args(line.split(' ')).current_dir(directory).output();
    let output = output.expect("it is installed");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    true
}

#[expect(clippy::disallowed_methods, reason = "OpenSSL is installed if it can be called")]
fn is_installed() -> bool {
    let there = Command::new("openssl").arg("version").output().is_ok();
    if !there {
        // Past the capture of `eprintln!`, so that it is seen although the test passes; `.ci/test` lists these lines at the end.
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("(thread)");
        writeln!(std::io::stderr(), "skipped: {test}: openssl is not installed").expect("standard error is open");
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "nothing may be skipped in CI");
    }
    there
}

/// Certificates and keys of all kinds, by their names.
fn made(directory: &Path) -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let make = |(name, line): (&'static str, &'static str)| {
        let (before, after) = line.split_once(' ').expect("there are options");
        openssl(directory, &format!("{before} -out key {after}"));
        openssl(directory, "req -x509 -key key -out crt -days 3650 -subj /CN=x -addext basicConstraints=CA:FALSE");
        let read = |name| std::fs::read(directory.join(name)).expect("it was written");
        (name, read("crt"), read("key"))
    };
    KINDS.map(make).into()
}

fn found(certificate: &[u8], key: &[u8]) -> Vec<Finding> {
    let certificate = File { path: "crt", text: certificate };
    let key = Some(File { path: "key", text: key });
    check(&[Pair { certificate, key }], &TlsOptions { now: NOW, ..TlsOptions::default() })
}

#[test]
fn each_key_belongs_to_its_own_certificate() {
    if !is_installed() {
        return;
    }
    let directory = tempfile::tempdir().expect("there is room");
    let made = made(directory.path());
    for (of_certificate, certificate, _) in &made {
        for (of_key, _, key) in &made {
            let findings: Vec<_> = found(certificate, key).iter().map(|finding| finding.code.as_str()).collect();
            let expected = match of_certificate == of_key {
                // Neither the key says it, nor can it be computed.
                true if *of_key == "ed448" => vec!["key-not-compared"],
                true => vec![],
                false => vec!["key-mismatch"],
            };
            assert_eq!(findings, expected, "{of_key} for the certificate of {of_certificate}");
        }
    }
}

#[test]
fn a_key_of_the_same_kind_is_another_key() {
    if !is_installed() {
        return;
    }
    let directory = tempfile::tempdir().expect("there is room");
    let (one, two) = (made(directory.path()), made(directory.path()));
    for ((name, certificate, _), (_, _, key)) in one.iter().zip(&two) {
        let codes: Vec<_> = found(certificate, key).iter().map(|finding| finding.code.as_str()).collect();
        assert_eq!(codes, [if *name == "ed448" { "key-not-compared" } else { "key-mismatch" }], "{name}");
    }
}

#[test]
fn keys_that_only_their_owner_reads() {
    if !is_installed() {
        return;
    }
    let directory = tempfile::tempdir().expect("there is room");
    let (_, certificate, key) = made(directory.path()).remove(0);
    std::fs::write(directory.path().join("key"), key).expect("there is room");
    for how in ["rsa -aes256 -traditional", "pkcs8 -topk8", "rsa -aes256"] {
        let (command, options) = how.split_once(' ').expect("there are options");
        openssl(directory.path(), &format!("{command} -in key -out encrypted {options} -passout pass:secret"));
        let encrypted = std::fs::read(directory.path().join("encrypted")).expect("it was written");
        let lines: Vec<_> = found(&certificate, &encrypted).iter().map(line).collect();
        assert_eq!(lines, ["obstacle at key:1:1: the key is encrypted"], "{how}");
    }
    openssl(directory.path(), "x509 -inform PEM -in crt -outform DER -out der");
}

#[test]
fn text_around_a_certificate_is_a_note() {
    if !is_installed() {
        return;
    }
    let directory = tempfile::tempdir().expect("there is room");
    let (_, _, key) = made(directory.path()).pop().expect("there are some");
    openssl(directory.path(), "x509 -in crt -text -out text");
    openssl(directory.path(), "x509 -in crt -outform DER -out der");
    let read = |name| std::fs::read(directory.path().join(name)).expect("it was written");
    let codes = |text: &[u8]| found(text, &key).iter().map(|finding| finding.code.as_str()).collect::<Vec<_>>();
    assert_eq!(codes(&read("text")), ["text-outside-blocks", "key-not-compared"]);
    let der = found(&read("der"), &key);
    assert_eq!(der.iter().map(line).collect::<Vec<_>>(), ["error at crt: the file is binary (DER) and no PEM"]);
}
