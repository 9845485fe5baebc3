//! Right files are accepted, and faults are found at their places.

use reload_gate_contract::Verdict;

use crate::authority::{find, line, pem};

/// What is found in a `tls.crt` and a `tls.key` of these parts.
#[track_caller]
fn check(certificates: &str, key: &str, names: &[&str], expected: &[&str]) {
    let findings = find(&[("tls.crt", &pem(certificates)), ("tls.key", &pem(key))], names);
    let found: Vec<_> = findings.iter().map(|finding| format!("{}: {}", finding.code, line(finding))).collect();
    assert_eq!(found, expected);
}

#[test]
fn correct_input_is_accepted() {
    let names = ["www.example.org", "WWW.Example.ORG.", "v1.api.example.org", "192.0.2.1"];
    check("server, intermediate", "server key", &names, &[]);
    check("server, intermediate, root", "server key", &[], &[]);
    check("server", "server key", &[], &[]);
}

#[test]
fn one_fault_is_told_once() {
    // The consequences of the wrong order are not reported besides.
    check(
        "intermediate, server",
        "server key",
        &[],
        &[
            "leaf-is-ca: warning at tls.crt:1:1: `Intermediate` is an authority's certificate, in the place of the server's",
            "not-issued-by-next: error at tls.crt:9:1: `Intermediate` is followed by `www.example.org`, and was issued by `Root`",
            "key-mismatch: error at tls.key:1:1: the key does not belong to the certificate of `Intermediate`",
        ],
    );
    // A chain that cannot be read in whole has no order, no first certificate and no names.
    check(
        "server without its third line, intermediate",
        "other key",
        &["missing.example.org"],
        &["broken-certificate: error at tls.crt:1:1: the block holds no X.509 certificate"],
    );
}

#[test]
fn several_pairs_share_the_names() {
    let (certificate, key) = (pem("server"), pem("server key"));
    let pair = [("a.crt", certificate.as_str()), ("a.key", &key), ("b.pem", &certificate), ("b.key", &key)];
    assert_eq!(find(&pair, &["www.example.org"]), []);
    let found = find(&pair, &["www.example.org", "example.org"]);
    assert_eq!(
        found.iter().map(line).collect::<Vec<_>>(),
        ["error at a.crt:1:1: no certificate is valid for `example.org`"]
    );
}

#[test]
fn a_file_of_both_is_a_pair() {
    assert_eq!(find(&[("site.pem", &pem("server, intermediate, server key"))], &[]), []);
    let found = find(&[("site.pem", &pem("other key, server"))], &[]);
    assert_eq!(found[0].code.as_str(), "key-mismatch");
}

#[test]
fn an_encrypted_key_leaves_it_open() {
    let found = find(&[("tls.crt", &pem("server")), ("tls.key", &pem("encrypted key"))], &[]);
    assert_eq!(Verdict::of(&found), Verdict::Inconclusive);
    let traditional = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let found = find(&[("tls.crt", &pem("server")), ("tls.key", traditional)], &[]);
    assert_eq!(found.iter().map(line).collect::<Vec<_>>(), ["obstacle at tls.key:1:1: the key is encrypted"]);
}
