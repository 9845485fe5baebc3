//! Certificates and their keys. IO: reads the clock.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reload_gate_contract::Finding;
use reload_gate_tls::{File, Pair, Pairs, TlsOptions};

use super::super::{NO_MAIN_FILE, ValidationContext};

/// Settings of the TLS checker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Host names and addresses, for each of which one of the certificates must be valid.
    pub names: Vec<String>,
    /// A certificate that expires within this time is warned of.
    pub warn_before: Duration,
}

impl Default for Tls {
    fn default() -> Self {
        Self { names: Vec::new(), warn_before: TlsOptions::WARN_BEFORE }
    }
}

impl Tls {
    pub(super) fn run(&self, context: &ValidationContext) -> Vec<Finding> {
        let shown = |name: &Path| context.path_map.shown(name).to_string_lossy().into_owned();
        let named: Vec<_> = context.tree.iter().map(|(name, content)| (shown(name), content.as_slice())).collect();
        let files: Vec<_> = named.iter().map(|(path, text)| File { path, text }).collect();
        let Pairs { mut pairs, mut findings } = reload_gate_tls::pairs(&files);
        let main = context.main.as_ref().ok().filter(|_| context.main_is_given || context.tree.len() == 1);
        if let Some(main) = main.map(|main| shown(main)) {
            pairs.retain(|pair| pair.certificate.path == main);
            findings.retain(|finding| finding.place.as_ref().is_some_and(|place| place.file == main));
            let certificate =
                files.iter().find(|file| file.path == main).filter(|_| pairs.is_empty() && findings.is_empty());
            pairs.extend(certificate.map(|certificate| Pair { certificate: *certificate, key: None }));
        }
        if pairs.is_empty() && findings.is_empty() {
            let message = "there is no certificate with its key: no `NAME.crt` or `NAME.pem` beside a `NAME.key`";
            let help = "name the file of the certificate: `--main FILE`";
            return vec![Finding::environment(NO_MAIN_FILE, message).help(help)];
        }
        let files = pairs.iter().flat_map(|pair| [Some(pair.certificate), pair.key].into_iter().flatten());
        let names: Vec<_> = files.filter_map(|file| context.path_map.name_of(Path::new(file.path))).collect();
        context.note_read(&names);
        findings.extend(reload_gate_tls::check(&pairs, &self.options()));
        findings
    }

    fn options(&self) -> TlsOptions {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        TlsOptions { names: self.names.clone(), warn_before: self.warn_before, now }
    }
}
