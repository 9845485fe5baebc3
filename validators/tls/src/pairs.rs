//! Pairs of certificates and keys in a directory, by their names.

use reload_gate_contract::{Finding, Place};

use crate::codes::{MISSING_CERTIFICATE, MISSING_KEY};
use crate::{File, Pair};

/// Extensions of certificates; of two with the same stem the former is meant.
const CERTIFICATES: [&str; 2] = [".crt", ".pem"];
const KEY: &str = ".key";
/// certbot's names of the certificate with its chain, and of the key.
const CERTBOT: (&str, &str) = ("fullchain.pem", "privkey.pem");
/// The two halves of a Secret of type `kubernetes.io/tls`: neither is there without the other.
const SECRET: (&str, &str) = ("tls.crt", "tls.key");

/// The pairs of a tree.
#[derive(Clone, Debug, Default)]
pub struct Pairs<'a> {
    /// The pairs, in the order of their certificates' paths.
    pub pairs: Vec<Pair<'a>>,
    /// Halves of a Secret without the other half.
    pub findings: Vec<Finding>,
}

/// The pairs among `files`: `NAME.crt` or `NAME.pem` with `NAME.key`, and `fullchain.pem` with `privkey.pem`. The key is
/// beside the certificate, or is the only one of its name. A file that holds a certificate and a key is a pair by itself; and
/// certificates without a key, such as those of authorities, are none.
#[must_use]
pub fn pairs<'a>(files: &[File<'a>]) -> Pairs<'a> {
    let mut found = Pairs::default();
    for file in files {
        let (directory, name) = parts(file.path);
        let key = key_of(files, directory, name);
        let pair = |key| Pair { certificate: *file, key };
        if name == SECRET.0 && key.is_none() {
            let message = "there is no `tls.key` to this certificate";
            let help = "watch the directory that holds the key, too";
            found.findings.push(Finding::environment(MISSING_KEY, message).at(Place::file(file.path)).help(help));
            found.pairs.push(pair(None));
        } else if key.is_some() && !is_second_choice(files, directory, name) {
            found.pairs.push(pair(key));
        } else if key.is_none() && is_certificate(name) && holds_both(file.text) {
            found.pairs.push(pair(None));
        }
        if name == SECRET.1 && named(files, directory, SECRET.0).is_none() {
            let message = "there is no `tls.crt` to this key";
            let help = "watch the directory that holds the certificate, too";
            found
                .findings
                .push(Finding::environment(MISSING_CERTIFICATE, message).at(Place::file(file.path)).help(help));
        }
    }
    found
}

fn parts(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn is_certificate(name: &str) -> bool {
    CERTIFICATES.iter().any(|end| name.ends_with(end))
}

/// The key of the certificate with that name.
fn key_of<'a>(files: &[File<'a>], directory: &str, name: &str) -> Option<File<'a>> {
    if name == CERTBOT.0 {
        return named(files, directory, CERTBOT.1);
    }
    let stem = CERTIFICATES.iter().find_map(|end| name.strip_suffix(end))?;
    named(files, directory, &format!("{stem}{KEY}"))
}

/// True if another file of the same stem is the certificate.
fn is_second_choice(files: &[File<'_>], directory: &str, name: &str) -> bool {
    let stem = name.strip_suffix(CERTIFICATES[1]).filter(|_| name != CERTBOT.0);
    stem.is_some_and(|stem| named(files, directory, &format!("{stem}{}", CERTIFICATES[0])).is_some())
}

/// The file of that name in the directory, or else the only one anywhere.
fn named<'a>(files: &[File<'a>], directory: &str, name: &str) -> Option<File<'a>> {
    let mut same = files.iter().filter(|file| parts(file.path).1 == name);
    let beside = same.clone().find(|file| parts(file.path).0 == directory);
    beside.or_else(|| same.next().filter(|_| same.next().is_none())).copied()
}

fn holds_both(text: &[u8]) -> bool {
    let holds = |what: &[u8]| text.windows(what.len()).any(|window| window == what);
    holds(b"-----BEGIN CERTIFICATE-----") && holds(b"PRIVATE KEY-----")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &[u8] = b"-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n";

    /// The pairs as `certificate+key`, and the codes of what is missing.
    fn found(files: &[(&str, &[u8])]) -> (Vec<String>, Vec<&'static str>) {
        let files: Vec<_> = files.iter().map(|(path, text)| File { path, text }).collect();
        let Pairs { pairs, findings } = pairs(&files);
        let shown = |pair: &Pair<'_>| match pair.key {
            Some(key) => format!("{}+{}", pair.certificate.path, key.path),
            None => pair.certificate.path.to_owned(),
        };
        (pairs.iter().map(shown).collect(), findings.iter().map(|finding| finding.code.as_str()).collect())
    }

    fn of_names(names: &[&str]) -> (Vec<String>, Vec<&'static str>) {
        found(&names.iter().map(|name| (*name, b"".as_slice())).collect::<Vec<_>>())
    }

    #[test]
    fn names_make_pairs() {
        assert_eq!(of_names(&["ca.crt", "tls.crt", "tls.key"]).0, ["tls.crt+tls.key"]);
        assert_eq!(of_names(&["a/x.pem", "a/x.key", "b/x.pem", "b/x.key"]).0, ["a/x.pem+a/x.key", "b/x.pem+b/x.key"]);
        assert_eq!(of_names(&["certs/x.crt", "keys/x.key"]).0, ["certs/x.crt+keys/x.key"]);
        assert_eq!(of_names(&["x.crt", "x.key", "x.pem"]).0, ["x.crt+x.key"]);
        assert_eq!(of_names(&["chain.pem", "fullchain.pem", "privkey.pem"]).0, ["fullchain.pem+privkey.pem"]);
        assert_eq!(of_names(&["nginx.conf", "session.key", "ca.pem"]).0, [""; 0]);
        assert_eq!(found(&[("site.pem", BOTH), ("other.pem", b"")]).0, ["site.pem"]);
    }

    #[test]
    fn half_a_secret_is_missed() {
        assert_eq!(of_names(&["tls.crt"]), (vec!["tls.crt".into()], vec!["missing-key"]));
        assert_eq!(of_names(&["tls.key"]), (vec![], vec!["missing-certificate"]));
        assert_eq!(of_names(&["tls.crt", "tls.key"]).1, [""; 0]);
    }
}
