//! The certificate of the webhook, which is read again when its files change. IO: reads and watches files; the clock.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use reload_gate_contract::{Finding, Severity};
use reload_gate_tls::codes::{EXPIRED, NOT_YET_VALID};
use reload_gate_tls::{File, LeafFacts, Pair, TlsOptions};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::flow::watch::{Coverage, Mode, Watch, WatchPoints};
use crate::sys::worker::{self, WorkKind};

/// Time after which the files are read again without an event, which the kernel may have dropped.
const RESCAN: Duration = Duration::from_secs(30);

/// Time between two readings where inotify is unavailable.
const POLL: Duration = Duration::from_secs(2);

/// Time in which the second file of a pair may follow the first one.
const PAIR: Duration = Duration::from_secs(1);

/// Time limit of a reading.
const READING: Duration = Duration::from_secs(10);

/// Largest file in bytes.
const LARGEST: usize = 1 << 20;

/// Files of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// Certificate, with those between it and the authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Certificate and private key in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// Certificate, with those between it and the authority.
    pub certificate: Vec<u8>,
    /// Its private key.
    pub key: Vec<u8>,
}

impl KeyPair {
    /// Returns the settings of a TLS server with this certificate.
    ///
    /// # Errors
    /// The reason why the pair is unfit; it quotes nothing of the key.
    pub fn server(&self) -> Result<Arc<ServerConfig>, String> {
        let chain: Result<Vec<CertificateDer<'static>>, _> =
            CertificateDer::pem_slice_iter(&self.certificate).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or("the file has no certificate in PEM")?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| "the file has no private key in PEM")?;
        let provider = Arc::new(ring::default_provider());
        let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = versions.map_err(|error| error.to_string())?.with_no_client_auth();
        let mut config = builder.with_single_cert(chain, key).map_err(|error| error.to_string())?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl KeyPair {
    /// Returns the names and the end of the certificate.
    #[must_use]
    pub fn served(&self) -> Option<LeafFacts> {
        reload_gate_tls::served(&self.certificate)
    }

    /// Refuses a certificate that is not valid at a time: the API server would refuse it as well.
    fn valid_at(&self, time: SystemTime) -> Result<(), String> {
        let now = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let options = TlsOptions {
            now: i64::try_from(now).unwrap_or(i64::MAX),
            warn_before: Duration::ZERO,
            ..TlsOptions::default()
        };
        let certificate = File { path: "the certificate", text: &self.certificate };
        let findings = reload_gate_tls::check(&[Pair { certificate, key: None }], &options);
        let is_of_time =
            |finding: &Finding| finding.severity == Severity::Error && [EXPIRED, NOT_YET_VALID].contains(&finding.code);
        findings.into_iter().find(is_of_time).map_or(Ok(()), |finding| Err(finding.message))
    }
}

/// Returns the reason why an API server refuses a certificate with these names, and the remedy. `namespace` is that of the pod, if known.
#[must_use]
pub fn mismatch(names: &[String], namespace: Option<&str>) -> Option<(String, String)> {
    if names.is_empty() {
        // `verifyHostname` of Go's crypto/x509 since 1.15.
        let why = "the certificate has no subjectAltName, so an API server refuses it: the Common Name does not count";
        return Some((why.to_owned(), "make one with `subjectAltName=DNS:SERVICE.NAMESPACE.svc`".to_owned()));
    }
    let end = format!(".{}.svc", namespace?);
    // `serverName` of k8s.io/apiserver, util/webhook/client.go.
    let is_of_service = |name: &String| name.to_ascii_lowercase().trim_end_matches('.').ends_with(&end);
    let why =
        format!("the certificate has no name that ends in `{end}`, which an API server expects of a Service here");
    let help = format!("make one for `SERVICE{end}`, unless `clientConfig` of the webhook has another name in a `url`");
    (!names.iter().any(is_of_service)).then_some((why, help))
}

impl CertificateFiles {
    /// Reads the files beside the event loop.
    ///
    /// # Errors
    /// The reason, with the name of the file.
    pub async fn read(&self) -> Result<KeyPair, String> {
        let files = self.clone();
        let read = worker::run(WorkKind::Files, READING, move || {
            let one = |path: &PathBuf| match std::fs::read(path) {
                Ok(bytes) if bytes.len() <= LARGEST => Ok(bytes),
                Ok(_) => Err(format!("`{}` is larger than {} MiB", path.display(), LARGEST >> 20)),
                Err(error) => Err(format!("cannot read `{}`: {error}", path.display())),
            };
            Ok(KeyPair { certificate: one(&files.certificate)?, key: one(&files.key)? })
        });
        read.await.unwrap_or_else(|error| Err(format!("cannot read `{}`: {error}", self.certificate.display())))
    }

    /// Returns the directories in which a change of the files would be visible.
    fn watch_points(&self) -> WatchPoints {
        let mut watch_points = WatchPoints::default();
        for path in [&self.certificate, &self.key] {
            let Ok(path) = std::path::absolute(path) else { continue };
            watch_points.anchor(&path);
            // The file itself may be written in its place.
            if let Ok(real) = path.canonicalize()
                && let (Some(directory), Some(name)) = (real.parent(), real.file_name())
            {
                watch_points.file(directory, name);
            }
        }
        watch_points
    }
}

/// Watch over the files of a certificate.
pub struct CertificateWatch {
    files: CertificateFiles,
    watch: Watch,
}

impl CertificateWatch {
    /// Creates a watch over these files. What changed before the first call of [`Self::changed`] is noticed by it.
    #[must_use]
    pub fn new(files: CertificateFiles) -> Self {
        Self { files, watch: Watch::new() }
    }

    /// Waits until the files differ from `known`, and returns the outcome. An unfit pair is an outcome only if it stays unfit, since one of
    /// two files is written first.
    ///
    /// # Errors
    /// As [`CertificateFiles::read`] and [`KeyPair::server`]; the same error again is no change.
    pub async fn changed(&mut self, known: &Result<KeyPair, String>) -> Result<(KeyPair, Arc<ServerConfig>), String> {
        let mut unfit_since: Option<Instant> = None;
        loop {
            self.event(unfit_since.map(|since| PAIR.saturating_sub(since.elapsed()))).await;
            let read = self.files.read().await;
            let fit = |pair: KeyPair| {
                let server = pair.server()?;
                pair.valid_at(SystemTime::now())?;
                Ok((server, pair))
            };
            match read.and_then(fit) {
                Ok((_, pair)) if known.as_ref() == Ok(&pair) => unfit_since = None,
                Ok((server, pair)) => return Ok((pair, server)),
                Err(error) if known.as_ref().err() == Some(&error) => unfit_since = None,
                Err(error) if unfit_since.is_some_and(|since| since.elapsed() >= PAIR) => return Err(error),
                Err(_) => drop(unfit_since.get_or_insert_with(Instant::now)),
            }
        }
    }

    /// Waits for an event, and for no longer than `limit`.
    async fn event(&mut self, limit: Option<Duration>) {
        // What changed before a directory was watched had no event.
        if self.cover().await != Some(Coverage::Extended) {
            let usual = if self.watch.mode() == Mode::Poll { POLL } else { RESCAN };
            let _ = tokio::time::timeout(limit.unwrap_or(usual), self.watch.event()).await;
        }
    }

    /// Watches the directories in which the files are now, beside the event loop; `None` if that takes too long.
    async fn cover(&mut self) -> Option<Coverage> {
        let (files, mut watch) = (self.files.clone(), std::mem::take(&mut self.watch));
        let covered = worker::run(WorkKind::Files, READING, move || {
            let coverage = watch.cover(files.watch_points().into());
            (watch, coverage)
        });
        let (watch, coverage) = covered.await.ok()?;
        self.watch = watch;
        Some(coverage)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::admit::authority::OwnAuthority;

    /// Time within which an event is noticed, and far below the time of a rescan.
    const PROMPT: Duration = Duration::from_secs(15);

    fn pair() -> KeyPair {
        OwnAuthority::new(vec!["localhost".to_owned()]).expect("it is made").server
    }

    fn write(directory: &Path, pair: &KeyPair) {
        std::fs::create_dir_all(directory).expect("there is room");
        std::fs::write(directory.join("tls.crt"), &pair.certificate).expect("there is room");
        std::fs::write(directory.join("tls.key"), &pair.key).expect("there is room");
    }

    fn files(directory: &Path) -> CertificateFiles {
        CertificateFiles { certificate: directory.join("tls.crt"), key: directory.join("tls.key") }
    }

    /// Returns the outcome after a change, which happens once the watch waits.
    fn noticed(files: CertificateFiles, known: KeyPair, change: impl FnOnce()) -> Result<KeyPair, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
        runtime.block_on(async {
            let (mut watch, known) = (CertificateWatch::new(files), Ok(known));
            // It covers the directories, finds nothing new, and waits.
            let early = tokio::time::timeout(Duration::from_millis(300), watch.changed(&known)).await;
            assert!(early.is_err(), "nothing has changed");
            change();
            let late = tokio::time::timeout(PROMPT, watch.changed(&known)).await.expect("an event wakes it");
            late.map(|(pair, _)| pair)
        })
    }

    #[test]
    fn a_pair_that_is_written_in_two_steps_is_one_change() {
        let directory = tempfile::tempdir().expect("there is room");
        let (old, new) = (pair(), pair());
        write(directory.path(), &old);
        assert!(noticed(files(directory.path()), old, || write(directory.path(), &new)) == Ok(new));
    }

    #[test]
    fn a_secret_volume_has_one_change_for_each_generation() {
        let directory = tempfile::tempdir().expect("there is room");
        let (old, new, root) = (pair(), pair(), directory.path());
        let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, root.join(name)).expect("it is new");
        write(&root.join("..1"), &old);
        link("..1", "..data");
        link("..data/tls.crt", "tls.crt");
        link("..data/tls.key", "tls.key");
        let swap = || {
            write(&root.join("..2"), &new);
            link("..2", "..data_tmp");
            std::fs::rename(root.join("..data_tmp"), root.join("..data")).expect("it is ours");
            std::fs::remove_dir_all(root.join("..1")).expect("it is ours");
        };
        assert!(noticed(files(root), old, swap) == Ok(new));
    }

    #[test]
    fn a_certificate_is_unfit_before_and_after_its_time() {
        let (pair, now) = (pair(), SystemTime::now());
        assert_eq!(pair.valid_at(now), Ok(()));
        let year = Duration::from_secs(366 * 24 * 3600);
        let after = pair.valid_at(now + year).expect_err("it has expired");
        assert!(after.contains("expired"), "{after}");
        let before = pair.valid_at(now - Duration::from_secs(24 * 3600)).expect_err("it is not valid yet");
        assert!(before.contains("not valid"), "{before}");
    }

    #[test]
    fn a_certificate_without_the_name_of_the_service_is_a_mismatch() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let why = |given: &[&str], namespace| mismatch(&names(given), namespace).map(|(why, _)| why);
        assert!(why(&[], None).is_some_and(|why| why.contains("no subjectAltName")));
        assert!(why(&["localhost"], Some("gate")).is_some_and(|why| why.contains("`.gate.svc`")));
        assert_eq!(why(&["localhost"], None), None);
        assert_eq!(why(&["localhost", "door.gate.svc"], Some("gate")), None);
    }

    #[test]
    fn the_end_of_a_certificate_is_known() {
        let own = OwnAuthority::new(vec!["a.b.svc".to_owned()]).expect("it is made");
        let served = own.server.served().expect("it has a certificate");
        assert_eq!(served.names, ["a.b.svc"]);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_secs();
        let days = (served.not_after - i64::try_from(now).expect("it fits")) / 86_400;
        assert!((364..=365).contains(&days), "{days}");
    }

    #[test]
    fn an_unfit_file_is_an_error_after_a_while() {
        let directory = tempfile::tempdir().expect("there is room");
        let old = pair();
        write(directory.path(), &old);
        let unfit = noticed(files(directory.path()), old, || {
            std::fs::write(directory.path().join("tls.crt"), "none").expect("there is room");
        });
        assert!(unfit.is_err_and(|error| error == "the file has no certificate in PEM"));
    }
}
