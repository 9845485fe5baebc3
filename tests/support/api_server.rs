//! A real API server with its etcd, from the folder that KUBEBUILDER_ASSETS names. RBAC and admission webhooks are on.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::{Background, authority_for, command, free_port, installed, report_skipped};

/// The time that the API server may take to start: it makes its own objects first.
const STARTING: Duration = Duration::from_secs(240);

/// The users, each with a bearer token that is its name and `-token`, and with its groups.
const USERS: [(&str, &str); 2] = [("admin", "system:masters"), ("plain", "plain")];

/// A running API server. Dropping it ends both processes and removes all state.
pub(crate) struct ApiServer {
    server: Option<Background>,
    etcd: Option<Background>,
    store_program: PathBuf,
    assets: PathBuf,
    directory: tempfile::TempDir,
    port: u16,
    store: (u16, u16),
}

impl ApiServer {
    /// Starts one. `None`, which is reported aloud, if its programs are not there: no package has the API server, so this is no failure
    /// where CI=true.
    pub(crate) fn start() -> Option<Self> {
        let Some(assets) = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from) else {
            report_skipped("KUBEBUILDER_ASSETS names no folder with kube-apiserver");
            return None;
        };
        let own = assets.join("etcd");
        let store_program = if own.is_file() { own } else { PathBuf::from("etcd") };
        let lacks = [
            (!assets.join("kube-apiserver").is_file()).then_some("kube-apiserver is not in KUBEBUILDER_ASSETS"),
            (store_program.is_relative() && !installed("etcd")).then_some("etcd is not installed"),
            (!installed("kubectl")).then_some("kubectl is not installed"),
            (!installed("openssl")).then_some("openssl is not installed"),
        ];
        if let Some(lack) = lacks.into_iter().flatten().next() {
            report_skipped(lack);
            return None;
        }
        let directory = tempfile::tempdir().expect("there is room");
        authority_for(directory.path(), "IP:127.0.0.1,DNS:localhost,DNS:kubernetes.default.svc");
        let users: String =
            USERS.iter().map(|(name, groups)| format!("{name}-token,{name},{name},\"{groups}\"\n")).collect();
        std::fs::write(directory.path().join("tokens.csv"), users).expect("there is room");
        let (port, store) = (free_port(), (free_port(), free_port()));
        let mut server = Self { server: None, etcd: None, store_program, assets, directory, port, store };
        server.write_kubeconfigs();
        server.start_store();
        server.resume();
        Some(server)
    }

    fn write_kubeconfigs(&self) {
        for (name, _) in USERS {
            let ca = self.authority();
            let text = format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
                 clusters: [{{name: test, cluster: {{server: \"{}\", certificate-authority: {}}}}}]\n\
                 users: [{{name: {name}, user: {{token: {name}-token}}}}]\n\
                 contexts: [{{name: test, context: {{cluster: test, user: {name}}}}}]\n",
                self.url(),
                ca.display(),
            );
            std::fs::write(self.kubeconfig_of(name), text).expect("there is room");
        }
    }

    /// Starts the server again after [`Self::halt`], with the same state and address.
    #[track_caller]
    pub(crate) fn resume(&mut self) {
        let file = |name: &str| self.directory.path().join(name).display().to_string();
        let mut program = command(self.assets.join("kube-apiserver"));
        program.current_dir(self.directory.path()).args([
            format!("--etcd-servers=http://127.0.0.1:{}", self.store.0),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", self.port),
            format!("--tls-cert-file={}", file("server.pem")),
            format!("--tls-private-key-file={}", file("server.key")),
            format!("--token-auth-file={}", file("tokens.csv")),
            format!("--cert-dir={}", file("run")),
            format!("--service-account-key-file={}", file("server.key")),
            format!("--service-account-signing-key-file={}", file("server.key")),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            "--authorization-mode=RBAC".to_owned(),
            "--service-cluster-ip-range=127.97.0.0/24".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
        ]);
        let log = std::fs::File::create(self.directory.path().join("kube-apiserver.log")).expect("there is room");
        program.stdout(Stdio::null()).stderr(log);
        self.server = Some(Background::start(&mut program));
        self.wait_until_ready();
    }

    #[track_caller]
    fn wait_until_ready(&mut self) {
        let started = Instant::now();
        while !self.is_ready() {
            let processes = [&mut self.server, &mut self.etcd];
            let are_alive = processes.into_iter().all(|process| process.as_mut().is_some_and(Background::is_alive));
            assert!(are_alive && started.elapsed() < STARTING, "the API server does not start: {}", self.last_lines());
            std::thread::park_timeout(Duration::from_millis(200));
        }
    }

    /// Kills the store of the server. Its contents stay.
    pub(crate) fn halt_store(&mut self) {
        self.etcd = None;
    }

    /// Starts the store again after [`Self::halt_store`].
    #[track_caller]
    pub(crate) fn resume_store(&mut self) {
        self.start_store();
        self.wait_until_ready();
    }

    fn start_store(&mut self) {
        let mut etcd = command(&self.store_program);
        let [client, peer] = [self.store.0, self.store.1].map(|port| format!("http://127.0.0.1:{port}"));
        etcd.current_dir(self.directory.path()).args(["--name", "test", "--unsafe-no-fsync", "--data-dir", "etcd"]);
        etcd.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        etcd.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        etcd.args(["--initial-cluster", &format!("test={peer}")]);
        etcd.stdout(Stdio::null()).stderr(Stdio::null());
        self.etcd = Some(Background::start(&mut etcd));
    }

    /// A token of a service account of the namespace `default` that expires after `lasts`.
    pub(crate) fn token(&self, account: &str, lasts: Duration) -> String {
        let uid = self.kubectl(&["get", "serviceaccount", account, "-o", "jsonpath={.metadata.uid}"]);
        let uid = String::from_utf8_lossy(&uid.stdout).into_owned();
        // The server allows for clocks that differ by a minute.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let ends = now + lasts.as_secs() - 60;
        let claims = serde_json::json!({
            "aud": ["https://kubernetes.default.svc"],
            "iss": "https://kubernetes.default.svc",
            "sub": format!("system:serviceaccount:default:{account}"),
            "iat": now - 600,
            "nbf": now - 600,
            "exp": ends,
            "kubernetes.io": { "namespace": "default", "serviceaccount": { "name": account, "uid": uid } },
        });
        let parts =
            [r#"{"alg":"RS256","typ":"JWT"}"#, &claims.to_string()].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
        let signed = parts.join(".");
        let mut openssl = command("openssl");
        openssl.args(["dgst", "-sha256", "-sign", "server.key"]).current_dir(self.directory.path());
        let mut openssl = openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        openssl.stdin.take().expect("it is piped").write_all(signed.as_bytes()).expect("it reads");
        let signature = openssl.wait_with_output().expect("it ends").stdout;
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    /// The port of the server.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The directory with the certificate and the key of the server.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Kills the server, as a node that fails would. The state stays.
    pub(crate) fn halt(&mut self) {
        self.server = None;
    }

    fn is_ready(&self) -> bool {
        let ready = self.kubectl(&["get", "--raw", "/readyz", "--request-timeout=5s"]);
        // The namespace is made after the server is ready.
        ready.status.success() && self.kubectl(&["get", "namespace", "default"]).status.success()
    }

    /// The log of the server so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("kube-apiserver.log")).unwrap_or_default()
    }

    fn last_lines(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().rev().take(8).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// The address of the server.
    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The certificate that vouches for the server, in PEM.
    pub(crate) fn authority(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// The configuration of clients of a user that may do everything.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig_of("admin")
    }

    /// The configuration of clients of `admin`, or of `plain`, a user without any right.
    pub(crate) fn kubeconfig_of(&self, user: &str) -> PathBuf {
        self.directory.path().join(format!("{user}.kubeconfig"))
    }

    /// Runs kubectl with these arguments as a user that may do everything.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Output {
        self.kubectl_with(arguments, "")
    }

    /// Runs kubectl with a text on its standard input, such as a manifest for `apply -f -`.
    pub(crate) fn kubectl_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut kubectl = command("kubectl");
        kubectl.arg("--kubeconfig").arg(self.kubeconfig()).args(arguments).env("HOME", self.directory.path());
        kubectl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = kubectl.spawn().expect("it starts");
        child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("it reads");
        child.wait_with_output().expect("it ends")
    }
}

#[test]
fn an_api_server_keeps_objects_and_knows_its_users() {
    let Some(mut server) = ApiServer::start() else { return };
    let made = server.kubectl(&["create", "configmap", "one", "--from-literal=a=b"]);
    assert!(made.status.success(), "{made:?}");
    let may = |user: &str| server.kubectl(&["auth", "can-i", "get", "configmaps", "--as", user]).status.success();
    assert!(!may("plain"), "a plain user may read");
    let plain = server.kubeconfig_of("plain");
    let plain = plain.to_str().expect("it is UTF-8");
    let refused = server.kubectl(&["--kubeconfig", plain, "get", "configmap", "one"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("Forbidden"), "{refused:?}");
    server.halt();
    assert!(!server.kubectl(&["get", "configmap", "one", "--request-timeout=2s"]).status.success());
    server.resume();
    let kept = server.kubectl(&["get", "configmap", "one", "-o", "jsonpath={.data.a}"]);
    assert_eq!(String::from_utf8_lossy(&kept.stdout), "b", "{kept:?}");
    assert!(server.authority().is_file() && server.url().starts_with("https://"));
}
