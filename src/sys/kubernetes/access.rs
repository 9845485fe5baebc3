//! The address of the API server and the account of the gate.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::{ApiServer, LIMIT, RequestError};
use crate::sys::worker::{self, WorkKind};

/// The time limit of a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// The remedy where the API server does not accept a token.
const EXPIRED: &str = "the token is expired, or of another cluster: the kubelet renews a projected token, so see the volume of the service account; \
                           make a token of a kubeconfig anew";

/// Place and credentials of the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiAccess {
    /// A kubeconfig, which replaces the service account: for use outside of a pod.
    pub kubeconfig: Option<PathBuf>,
    /// The URL of the API server.
    pub server: String,
    /// The directory with `token`, `ca.crt` and `namespace`.
    pub service_account: PathBuf,
    /// The namespace, if it is not that of the account.
    pub namespace: Option<String>,
}

impl fmt::Display for ApiAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kubeconfig {
            Some(path) => path.display().fmt(f),
            None => self.server.fmt(f),
        }
    }
}

impl ApiAccess {
    /// Returns the file with the token of the service account; `None` with a kubeconfig.
    #[must_use]
    pub fn token_file(&self) -> Option<PathBuf> {
        self.kubeconfig.is_none().then(|| self.service_account.join("token"))
    }

    /// Returns the namespace of the pod, if the directory of its account has it.
    #[must_use]
    pub fn namespace_of_pod(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.service_account.join("namespace")).ok()?;
        Some(text.trim().to_owned()).filter(|namespace| !namespace.is_empty())
    }

    /// Returns true if the file with the credentials is there.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.kubeconfig.as_ref().map_or_else(|| self.service_account.exists(), |path| path.exists())
    }

    /// Returns the remedy of an error for a person.
    #[must_use]
    pub fn remedy(&self, error: &RequestError) -> Option<String> {
        let remedy = match error {
            _ if self.kubeconfig.is_none() && !self.is_there() => {
                "outside of a pod name a kubeconfig: `--kubeconfig FILE`, or the variable KUBECONFIG (~/.kube/config is not read by itself)"
            }
            RequestError::Unauthorized(_) => EXPIRED,
            RequestError::Unreachable(_) if self.kubeconfig.is_some() => {
                "see that the kubeconfig has the address of a running API server, and its authority (`certificate-authority-data`)"
            }
            RequestError::Unreachable(_) => {
                "see that the API server runs and that network policies let this pod reach it"
            }
            _ => return None,
        };
        Some(remedy.to_owned())
    }

    /// Reads the credentials. No request is sent.
    ///
    /// # Errors
    /// When a file cannot be read or has wrong contents.
    pub async fn connect(&self) -> Result<ApiServer, RequestError> {
        install_provider();
        let config = match &self.kubeconfig {
            Some(path) => from_kubeconfig(path).await?,
            None => self.with_service_account().await?,
        };
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| RequestError::Unreachable(error.to_string()))?;
        Ok(ApiServer { client, namespace })
    }

    async fn with_service_account(&self) -> Result<Config, RequestError> {
        let file = |name: &str| self.service_account.join(name);
        let server = self.server.parse().map_err(|error| {
            RequestError::Unreachable(format!("`{}` is no address of an API server: {error}", self.server))
        })?;
        let namespace = read(file("namespace")).await?;
        let token = read(file("token")).await?;
        let authorities = certificates(&file("ca.crt"), &read(file("ca.crt")).await?)?;
        let mut config = Config::new(server);
        config.default_namespace = namespace.trim().to_owned();
        // The client would look for authorities of the system otherwise, of which an image may have none.
        config.root_cert = Some(authorities);
        config.auth_info.token = Some(token.trim().to_owned().into());
        Ok(bounded(config))
    }
}

/// Returns the certificates in a PEM file, in DER.
fn certificates(file: &Path, text: &str) -> Result<Vec<Vec<u8>>, RequestError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let wrong = |reason: String| RequestError::Unreachable(format!("`{}`: {reason}", file.display()));
    let read = read.map_err(|error| wrong(error.to_string()))?;
    if read.is_empty() {
        return Err(wrong("it holds no certificate (PEM) of an authority".to_owned()));
    }
    Ok(read.into_iter().map(|certificate| certificate.to_vec()).collect())
}

async fn from_kubeconfig(path: &Path) -> Result<Config, RequestError> {
    let wrong = |error: &dyn fmt::Display| RequestError::Unreachable(format!("`{}`: {error}", path.display()));
    let owned = path.to_owned();
    let read = worker::run(WorkKind::Files, LIMIT, move || Kubeconfig::read_from(owned)).await;
    let kubeconfig = read.map_err(|error| wrong(&error))?.map_err(|error| match error {
        // The variable of kubectl may name several.
        KubeconfigError::ReadConfig(..) if path.to_string_lossy().contains(':') => {
            wrong(&"it is a list of files, and one kubeconfig is read; name that one alone")
        }
        KubeconfigError::ReadConfig(error, _) => wrong(&error),
        error => wrong(&error),
    })?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let config = config.map_err(|error| wrong(&error))?;
    if starts_programs(&config.auth_info) {
        return Err(wrong(
            &"a user with `exec` or `auth-provider` is not supported; use a token (`kubectl create token ACCOUNT`) or a client certificate, or run \
              the command in a pod of the group (`kubectl exec`)",
        ));
    }
    Ok(bounded(config))
}

/// Returns true if the credentials come from a program: the gate starts children through one door only.
fn starts_programs(account: &AuthInfo) -> bool {
    account.exec.is_some() || account.auth_provider.is_some()
}

fn bounded(config: Config) -> Config {
    let mut config = config;
    config.connect_timeout = Some(CONNECT_LIMIT);
    config.write_timeout = Some(LIMIT);
    // The state machines have a backoff of their own.
    config.default_retry = false;
    config
}

async fn read(path: PathBuf) -> Result<String, RequestError> {
    let shown = path.display().to_string();
    let read = worker::run(WorkKind::Files, LIMIT, move || std::fs::read_to_string(path)).await;
    let wrong = |error: &dyn fmt::Display| RequestError::Unreachable(format!("cannot read `{shown}`: {error}"));
    read.map_err(|error| wrong(&error))?.map_err(|error| wrong(&error))
}

/// Chooses the cryptography of TLS for `kube`, once: rustls panics where a process has not chosen and more than one is linked.
fn install_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // It only fails where it was chosen before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts").block_on(future)
    }

    fn access(service_account: &Path) -> ApiAccess {
        let server = "https://127.0.0.1:1".to_owned();
        ApiAccess { kubeconfig: None, server, service_account: service_account.to_owned(), namespace: None }
    }

    #[test]
    fn outside_of_a_pod_the_remedy_is_a_kubeconfig() {
        let outside = access(Path::new("/nowhere"));
        let error = block_on(outside.connect()).expect_err("nothing is there");
        let remedy = outside.remedy(&error).unwrap_or_default();
        assert!(remedy.contains("--kubeconfig"), "{remedy}");
    }

    #[test]
    fn a_list_of_kubeconfigs_is_named_as_one() {
        let several = ApiAccess { kubeconfig: Some("/nowhere/a:/nowhere/b".into()), ..access(Path::new("/nowhere")) };
        let error = block_on(several.connect()).expect_err("nothing is there");
        assert!(error.to_string().contains("it is a list of files, and one kubeconfig is read"), "{error}");
    }

    #[test]
    fn a_missing_file_of_the_account_is_named() {
        let directory = tempfile::tempdir().expect("there is room");
        let error = block_on(access(directory.path()).connect()).expect_err("nothing is there");
        assert!(error.to_string().contains("namespace"), "{error}");
    }

    #[test]
    fn a_kubeconfig_that_cannot_be_read_is_named_once() {
        let directory = tempfile::tempdir().expect("there is room");
        let said = |path: &str| {
            let access = ApiAccess { kubeconfig: Some(path.into()), ..access(directory.path()) };
            block_on(access.connect()).expect_err("it is not there").to_string()
        };
        let missing = said("/no/such/file");
        assert!(missing.ends_with("`/no/such/file`: No such file or directory (os error 2)"), "{missing}");
        let list = said("/no/a:/no/b");
        assert!(
            list.ends_with("`/no/a:/no/b`: it is a list of files, and one kubeconfig is read; name that one alone")
        );
    }

    #[test]
    fn a_kubeconfig_that_starts_a_program_is_refused() {
        let directory = tempfile::tempdir().expect("there is room");
        let path = directory.path().join("config");
        let text = r#"
apiVersion: v1
kind: Config
current-context: here
clusters: [{name: here, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: me, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: "false"}}}]
contexts: [{name: here, context: {cluster: here, user: me, namespace: web}}]
"#;
        std::fs::write(&path, text).expect("there is room");
        let access = ApiAccess { kubeconfig: Some(path), ..access(directory.path()) };
        let error = block_on(access.connect()).expect_err("it is refused");
        assert!(error.to_string().contains("`exec`"), "{error}");
    }
}
