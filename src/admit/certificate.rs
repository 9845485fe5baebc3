//! The certificate of the webhook, which is read again when its files change. IO: reads files.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::sys::worker::{self, WorkKind};

/// Time between two readings of the files.
const POLL: Duration = Duration::from_secs(5);

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

    /// Waits until the files differ from `known`, and returns the outcome.
    ///
    /// # Errors
    /// As [`Self::read`] and [`KeyPair::server`]; the same error again is no change.
    pub async fn changed(&self, known: &Result<KeyPair, String>) -> Result<(KeyPair, Arc<ServerConfig>), String> {
        loop {
            tokio::time::sleep(POLL).await;
            let read = self.read().await;
            let outcome = read.and_then(|pair| Ok((pair.server()?, pair)));
            match (outcome, known) {
                (Ok((_, pair)), Ok(known)) if pair == *known => {}
                (Err(error), Err(known)) if error == *known => {}
                (Ok((server, pair)), _) => return Ok((pair, server)),
                (Err(error), _) => return Err(error),
            }
        }
    }
}
