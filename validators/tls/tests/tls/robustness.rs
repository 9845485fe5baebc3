//! No input makes it panic, or print a key.

use proptest::prelude::*;
use reload_gate_contract::Finding;
use reload_gate_tls::{File, Pair, TlsOptions, check};

use crate::authority::{NOW, pem};

fn found(certificate: &[u8], key: &[u8]) -> Vec<Finding> {
    let certificate = File { path: "tls.crt", text: certificate };
    let names = vec!["www.example.org".into()];
    let key = Some(File { path: "tls.key", text: key });
    check(&[Pair { certificate, key }], &TlsOptions { names, now: NOW, ..TlsOptions::default() })
}

/// RFC 4648, section 4.
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A text with some of its bytes changed, taken out or put in.
fn mutated(text: &str, changes: &[(usize, u8, u8)]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for (at, how, byte) in changes {
        let at = at % bytes.len();
        match how % 4 {
            0 => bytes[at] = *byte,
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, *byte),
            // Base64 stays base64, so that what is in it is mutated.
            _ => bytes[at] = BASE64[usize::from(byte % 64)],
        }
    }
    bytes
}

fn changes() -> impl Strategy<Value = Vec<(usize, u8, u8)>> {
    prop::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 1..6)
}

/// Whether so much of a key is in a text that it was copied.
fn prints(text: &str, key: &str) -> bool {
    const TELLING: usize = 8;
    let lines = key.lines().filter(|line| !line.starts_with("-----"));
    let text = text.as_bytes();
    lines
        .flat_map(|line| line.as_bytes().windows(TELLING))
        .any(|part| text.windows(TELLING).any(|window| window == part))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn mutants_make_no_panic_and_tell_nothing_of_the_key(in_certificate in changes(), in_key in changes()) {
        let whole = pem("server key");
        let key = mutated(&whole, &in_key);
        for certificate in [mutated(&pem("server, intermediate"), &in_certificate), key.clone()] {
            for finding in found(&certificate, &key) {
                let place = finding.place.as_ref().map_or_else(String::new, ToString::to_string);
                let shown = format!("{}\n{}\n{place}", finding.message, finding.help.unwrap_or_default());
                prop_assert!(!shown[..finding.message.len()].contains('\n'), "{shown}");
                prop_assert!(!prints(&shown, &whole), "{shown}");
            }
        }
    }

    #[test]
    fn any_bytes_make_no_panic(certificate in prop::collection::vec(any::<u8>(), 0..400), key in ".{0,200}") {
        found(&certificate, key.as_bytes());
        found(key.as_bytes(), &certificate);
    }

    /// Neither what is signed nor the signature can be changed in any bit.
    #[test]
    fn a_changed_bit_of_the_server_is_noticed(at in any::<usize>(), bit in 0..8_u8) {
        use base64::Engine as _;
        let encoder = base64::engine::general_purpose::STANDARD;
        let lines = pem("server");
        let body: String = lines.lines().filter(|line| !line.starts_with('-')).collect();
        let mut der = encoder.decode(body).expect("it is base64");
        // Between the two the algorithm is named once more, and the bits of the signature counted: 10 bytes that parsers read in their own ways.
        const SIGNATURE: usize = 64;
        let at = at % (der.len() - 10);
        let at = if at < der.len() - 10 - SIGNATURE { at } else { at + 10 };
        der[at] ^= 1 << bit;
        let changed = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", encoder.encode(der));
        let findings = found(format!("{changed}{}", pem("intermediate")).as_bytes(), pem("server key").as_bytes());
        prop_assert!(!findings.is_empty(), "byte {at} of {changed}");
    }
}

#[test]
fn many_faults_are_counted() {
    let many = "-----END CERTIFICATE-----\n".repeat(100_000);
    let findings = found(many.as_bytes(), many.as_bytes());
    assert_eq!(findings.len(), 202);
    assert_eq!(findings.last().map(|finding| &*finding.message), Some("99900 more findings are left out"));
    let long = format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n", "AAAA\n".repeat(1_000_000));
    assert_eq!(found(long.as_bytes(), long.as_bytes()).len(), 2);
}
