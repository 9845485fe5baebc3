//! Certificates that a configuration names and that are in no source: a program reads a renewed one only at a reload. IO: looks for files through
//! /proc.

use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::super::ValidationContext;
use super::TargetRoot;
use crate::flow::named;

/// Extensions of certificates, keys and lists of what was revoked, which any directive may name.
const EXTENSIONS: [&str; 5] = [".pem", ".crt", ".cer", ".crl", ".key"];
/// Parts of names of directives whose value is such a file, or a directory of them.
const DIRECTIVES: [&str; 7] = ["cert", "crt", "crl", "ca-file", "ca_file", "cafile", "dhparam"];
/// Files and directories of the authorities of the system, which its packages renew.
const OF_SYSTEM: [&str; 7] = [
    "/etc/ssl/certs",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/cert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/certs/ca-bundle.crt",
];
/// The largest number of paths that are looked up.
const PATHS: usize = 1000;

/// Notes the certificates outside of the tree that the files which the target reads name by absolute paths.
pub(in super::super) fn note(context: &ValidationContext) {
    let Some(target) = &context.place.target else { return };
    let Some(root) = TargetRoot::open(target.pid()) else { return };
    let read = context.read();
    let is_read = |name: &Path| read.is_empty() || read.contains(name);
    let contents = context.tree.iter().filter(|(name, _)| is_read(name)).map(|(_, content)| content);
    let paths: Vec<&str> = contents.flat_map(|content| named(content)).take(PATHS).collect();
    if paths.is_empty() {
        return;
    }
    let sources: Vec<PathBuf> = context.path_map.0.iter().filter_map(|mapping| root.real(&mapping.there)).collect();
    for path in paths {
        let is_file = |path: &Path| matches!(root.kind(path), Some(FileType::RegularFile | FileType::Directory));
        let is_watched = |path: &Path| {
            let real = root.real(path);
            context.path_map.name_of(path).is_some()
                || real.is_some_and(|real| sources.iter().any(|source| real.starts_with(source)))
        };
        if is_file(Path::new(path)) && !is_watched(Path::new(path)) {
            context.note_beyond(path);
        }
    }
}

/// The absolute paths of certificates in a configuration.
fn named(content: &[u8]) -> impl Iterator<Item = &str> {
    let mut before = "";
    named::words(content).map(|word| word.text).filter(move |word| {
        let directive = std::mem::replace(&mut before, word).to_ascii_lowercase();
        let is_certificate = EXTENSIONS.iter().any(|extension| word.ends_with(extension))
            || DIRECTIVES.iter().any(|part| directive.contains(part) && !directive.starts_with('/'));
        word.starts_with('/') && is_certificate && !OF_SYSTEM.contains(&word.trim_end_matches('/'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_known_by_their_names_or_by_those_of_their_directives() {
        let found = |text: &'static str| named(text.as_bytes()).collect::<Vec<_>>();
        let nginx = "ssl_certificate /etc/letsencrypt/live/x/fullchain.pem;\nssl_certificate_key \"/etc/x/private\";\n\
                     ssl_dhparam /etc/dh;\naccess_log /var/log/x;\nauth_basic_user_file /etc/htpasswd;\n# ssl_certificate /no.pem;";
        assert_eq!(found(nginx), ["/etc/letsencrypt/live/x/fullchain.pem", "/etc/x/private", "/etc/dh"]);
        assert_eq!(found("bind :443 ssl crt /etc/certs/ ca-file /etc/authority"), ["/etc/certs/", "/etc/authority"]);
        assert_eq!(
            found("ssl_cert = </etc/dovecot/x\nssl_key = </etc/dovecot/x.key"),
            ["/etc/dovecot/x", "/etc/dovecot/x.key"]
        );
        assert_eq!(found("SSLCertificateFile /etc/x\nSSLCACertificatePath /etc/ssl/certs/"), ["/etc/x"]);
        assert_eq!(
            found("tls:\n  cert_file: /etc/x\n  key_file: key.pem"),
            ["/etc/x"],
            "a relative path has many beginnings"
        );
        assert!(found("ca_file: /etc/ssl/certs/ca-certificates.crt").is_empty(), "packages renew it");
    }
}
