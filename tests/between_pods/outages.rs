//! Gates of several pods and an API server that fails: it is killed, slow, busy, or forgets, and credentials expire.

use std::fs;
use std::time::Duration;

use super::{Cluster, GROUP, Pod};
use crate::support::{ApiServer, Background, eventually, free_port, tls_server};

fn losses(pod: &Pod) -> Vec<String> {
    let lost = pod.events().filter(|event| event["event"] == "watch_degraded");
    lost.map(|event| event["message"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_lost_api_server_is_reported_once_and_holds_up_what_it_has_to() {
    let flags = ["--rollout", GROUP, "--rollout-soak", "0s"];
    let Some(mut cluster) = Cluster::start(&flags) else { return };
    cluster.add("valid 1");
    cluster.wait_for_all("valid 1");
    cluster.server.halt();
    cluster.write("valid 2");
    cluster.wait("the loss is reported", |pods| pods[0].last("rollout_waiting").is_some());
    assert_eq!(losses(&cluster.pods[0]).len(), 1, "{}", cluster.story());
    assert_eq!(cluster.pods[0].live(), "valid 1", "{}", cluster.story());
    cluster.server.resume();
    cluster.wait_for_all("valid 2");
    assert_eq!(losses(&cluster.pods[0]).len(), 2, "the loss and its end: {}", cluster.story());
}

#[test]
fn a_group_may_proceed_without_the_api_server() {
    let flags = ["--rollout", GROUP, "--rollout-soak", "0s", "--on-api-loss", "proceed"];
    let Some(mut cluster) = Cluster::start(&flags) else { return };
    cluster.add("valid 1");
    cluster.wait_for_all("valid 1");
    cluster.server.halt();
    cluster.write("valid 2");
    cluster.wait_for_all("valid 2");
}

/// A proxy in front of an API server. The file `busy` lets it answer 429 to everything; while there is a file `expired`, each watch ends
/// with 410 after its first event.
const PROXY: &str = "
import http.client, threading, time
class H(http.server.BaseHTTPRequestHandler):
    def serve(self):
        content = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        if os.path.exists('busy'):
            return self.answer(429, {'reason': 'TooManyRequests', 'message': 'try again', 'details': {'retryAfterSeconds': 1}})
        api = http.client.HTTPSConnection('127.0.0.1', int(open('upstream').read()), context=ssl._create_unverified_context())
        kept = {n: v for n, v in self.headers.items() if n.lower() not in ('host', 'connection', 'accept-encoding')}
        try:
            api.request(self.command, self.path, content or None, kept)
            response = api.getresponse()
        except OSError:
            return self.answer(503, {'message': 'nothing answers'})
        if 'watch=' not in self.path:
            return self.send(response.status, response.read())
        self.send_response(response.status)
        self.send_header('Content-Type', response.headers['Content-Type'])
        self.end_headers()
        threading.Thread(target=self.expire, args=[api], daemon=True).start()
        for line in response:
            self.wfile.write(line)
            self.wfile.flush()
    def answer(self, code, status):
        self.send(code, json.dumps({'kind': 'Status', 'apiVersion': 'v1', 'status': 'Failure', 'code': code} | status).encode())
    def send(self, code, content):
        self.send_response(code)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        self.wfile.write(content)
    def expire(self, api):
        while not os.path.exists('expired'):
            time.sleep(0.05)
        gone = {'kind': 'Status', 'apiVersion': 'v1', 'status': 'Failure', 'code': 410, 'reason': 'Expired', 'message': 'too old resource version'}
        try:
            self.wfile.write(json.dumps({'type': 'ERROR', 'object': gone}).encode() + b'\\n')
            self.wfile.flush()
            open('ended', 'a').write('.')
            time.sleep(0.05)
            self.connection.shutdown(2)
            api.sock.shutdown(2)
        except (OSError, AttributeError):
            pass
    do_GET = do_POST = do_PUT = do_PATCH = serve
    def log_message(self, *words):
        pass
";

/// A running proxy.
struct Proxy {
    _process: Background,
    directory: std::path::PathBuf,
}

impl Proxy {
    /// Starts one; the user `proxied` asks through it.
    fn start(server: &ApiServer) -> Self {
        let (directory, port) = (server.directory().to_owned(), free_port());
        fs::write(directory.join("upstream"), server.port().to_string()).expect("there is room");
        let admin = fs::read_to_string(server.kubeconfig()).expect("it is there");
        let proxied = admin.replace(&server.url(), &format!("https://127.0.0.1:{port}"));
        fs::write(server.kubeconfig_of("proxied"), proxied).expect("there is room");
        Self { _process: tls_server(&directory, port, PROXY), directory }
    }

    fn set(&self, fault: &str, is_on: bool) {
        let file = self.directory.join(fault);
        let done = if is_on { fs::write(file, "") } else { fs::remove_file(file) };
        done.expect("there is room");
    }

    /// The number of watches that ended with 410.
    fn ended(&self) -> usize {
        fs::read_to_string(self.directory.join("ended")).unwrap_or_default().len()
    }
}

#[test]
fn a_watch_that_ends_with_410_is_no_loss() {
    let flags = ["--rollout", GROUP, "--rollout-soak", "0s", "--nudge", "--cluster-source", "configmap/web"];
    let Some(mut cluster) = Cluster::start(&flags) else { return };
    let proxy = Proxy::start(&cluster.server);
    cluster.user = "proxied";
    let created = cluster.server.kubectl(&["create", "configmap", "web", "--from-literal=app.conf=valid"]);
    assert!(created.status.success(), "{created:?}");
    (0..3).for_each(|_| cluster.add("valid 1"));
    cluster.wait_for_all("valid 1");
    proxy.set("expired", true);
    eventually("watches end", || proxy.ended() >= 6);
    cluster.write("valid 2");
    cluster.wait_for_all("valid 2");
    proxy.set("expired", false);
    cluster.write("valid 3");
    cluster.wait_for_all("valid 3");
    for pod in &cluster.pods {
        assert_eq!(losses(pod), [""; 0], "{}: {}", pod.name, cluster.story());
    }
}

#[test]
fn a_busy_api_server_is_a_loss_that_ends() {
    let flags = ["--rollout", GROUP, "--rollout-soak", "0s"];
    let Some(mut cluster) = Cluster::start(&flags) else { return };
    let proxy = Proxy::start(&cluster.server);
    cluster.user = "proxied";
    (0..2).for_each(|_| cluster.add("valid 1"));
    cluster.wait_for_all("valid 1");
    proxy.set("busy", true);
    cluster.write("valid 2");
    cluster.wait("the loss is reported", |pods| pods.iter().all(|pod| pod.last("rollout_waiting").is_some()));
    for pod in &cluster.pods {
        let losses = losses(pod);
        assert!(losses.len() == 1 && losses[0].contains("the API server is busy"), "{losses:?}");
        assert_eq!(pod.live(), "valid 1", "{}", cluster.story());
    }
    proxy.set("busy", false);
    cluster.wait_for_all("valid 2");
}

#[test]
fn an_expired_token_is_a_loss_until_a_new_one_is_there() {
    let flags = ["--rollout", GROUP, "--rollout-soak", "0s"];
    let Some(mut cluster) = Cluster::start(&flags) else { return };
    for arguments in [
        &["create", "serviceaccount", "web"][..],
        &["create", "clusterrolebinding", "web", "--clusterrole=cluster-admin", "--serviceaccount=default:web"],
    ] {
        let made = cluster.server.kubectl(arguments);
        assert!(made.status.success(), "{made:?}");
    }
    let account = cluster.directory.path().join("account");
    fs::create_dir(&account).expect("there is room");
    fs::copy(cluster.server.authority(), account.join("ca.crt")).expect("there is room");
    fs::write(account.join("namespace"), "default").expect("there is room");
    let token = cluster.server.token("web", Duration::from_secs(5));
    fs::write(account.join("token"), &token).expect("there is room");
    cluster.account = Some(account.clone());
    cluster.add("valid 1");
    cluster.wait_for_all("valid 1");
    let nobody = cluster.directory.path().join("nobody");
    fs::write(&nobody, "").expect("there is room");
    let asks = ["--kubeconfig", nobody.to_str().expect("it is UTF-8"), "--server", &cluster.server.url()];
    let authority = cluster.server.authority().display().to_string();
    let asks = [&asks[..], &["--certificate-authority", &authority, "--token", &token, "get", "lease", GROUP]].concat();
    eventually("the token expires", || !cluster.server.kubectl(&asks).status.success());
    cluster.write("valid 2");
    cluster.wait("the loss is reported", |pods| !losses(&pods[0]).is_empty());
    let message = losses(&cluster.pods[0]).remove(0);
    assert!(message.contains("does not accept the credentials"), "{message}");
    assert!(!cluster.story().contains(&token), "the token is shown");
    assert_eq!(cluster.pods[0].live(), "valid 1", "{}", cluster.story());
    fs::write(account.join("token"), cluster.server.token("web", Duration::from_secs(3_600))).expect("there is room");
    cluster.wait_for_all("valid 2");
}
