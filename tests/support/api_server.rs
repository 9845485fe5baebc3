//! A real API server with its etcd, from the folder that KUBEBUILDER_ASSETS names. RBAC and admission webhooks are on.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use super::{Background, authority_for, command, free_port, installed, report_skipped};

/// The time that the API server may take to start: it makes its own objects first.
const STARTING: Duration = Duration::from_secs(90);

/// The users, each with a bearer token that is its name and `-token`, and with its groups.
const USERS: [(&str, &str); 2] = [("admin", "system:masters"), ("plain", "plain")];

/// A running API server. Dropping it ends both processes and removes all state.
pub(crate) struct ApiServer {
    server: Option<Background>,
    etcd: Background,
    assets: PathBuf,
    directory: tempfile::TempDir,
    port: u16,
    store: u16,
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
        let store = free_port();
        let etcd = start_store(&store_program, directory.path(), store);
        let mut server = Self { server: None, etcd, assets, directory, port: free_port(), store };
        server.write_kubeconfigs();
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
            format!("--etcd-servers=http://127.0.0.1:{}", self.store),
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
        let started = Instant::now();
        while !self.is_ready() {
            let alive = self.server.as_mut().is_some_and(Background::is_alive) && self.etcd.is_alive();
            assert!(alive && started.elapsed() < STARTING, "the API server does not start: {}", self.last_lines());
            std::thread::park_timeout(Duration::from_millis(200));
        }
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

fn start_store(program: &Path, directory: &Path, port: u16) -> Background {
    let mut etcd = command(program);
    let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{}", free_port()));
    etcd.current_dir(directory).args(["--name", "test", "--unsafe-no-fsync", "--data-dir", "etcd"]);
    etcd.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    etcd.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    etcd.args(["--initial-cluster", &format!("test={peer}")]);
    etcd.stdout(Stdio::null()).stderr(Stdio::null());
    Background::start(&mut etcd)
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
