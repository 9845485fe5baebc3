//! Credentials and TLS of the reload and verify URLs: a real server behind a private authority.

use std::path::Path;

use crate::support::{Background, Gate, authority_for, eventually, free_port, needs, tls_server};

/// A server that wants the header in `expected`, and keeps what it was asked in `asked`.
const HANDLER: &str = "
class H(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        expected = open('expected').read().strip()
        given = self.headers.get('Authorization', '')
        code = 200 if given == expected else 403 if given == 'Bearer powerless' else 401
        with open('asked', 'a') as f:
            f.write(' '.join([self.command, self.path, str(code), self.headers['Host'], self.headers.get('X-Scope', '-')]) + '\\n')
        body = b'' if code == 200 else ('you sent ' + given).encode()
        self.send_response(code)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST
    def log_message(self, *a): pass
";

/// As [`HANDLER`], and a client has to have a certificate of the authority.
const WITH_CERTIFICATE: &str = "
wrap = ssl.SSLContext.wrap_socket
def strict(self, *a, **k):
    self.load_verify_locations('ca.pem')
    self.verify_mode = ssl.CERT_REQUIRED
    return wrap(self, *a, **k)
ssl.SSLContext.wrap_socket = strict
";

struct Served {
    directory: tempfile::TempDir,
    port: u16,
    _server: Background,
}

impl Served {
    fn start(name: &str, handler: &str) -> Self {
        let (directory, port) = (tempfile::tempdir().expect("there is room"), free_port());
        authority_for(directory.path(), name);
        let config = directory.path().join("config");
        std::fs::create_dir(&config).expect("there is room");
        std::fs::write(config.join("app.json"), "{}").expect("there is room");
        let server = tls_server(directory.path(), port, handler);
        Self { directory, port, _server: server }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.directory.path().join(name), text).expect("there is room");
    }

    fn asked(&self) -> String {
        std::fs::read_to_string(self.path("asked")).unwrap_or_default()
    }

    fn gate(&self, host: &str, more: &[&str]) -> Gate {
        let (config, url) = (self.path("config"), format!("https://{host}:{}/-/reload", self.port));
        let given = ["--builtin", "json", "--watch", &config, "--settle", "20ms", "--reload-url", &url];
        Gate::run(&[&given, more].concat())
    }

    fn change(&self, content: &str) {
        std::fs::write(Path::new(&self.path("config")).join("app.json"), content).expect("there is room");
    }
}

#[test]
fn a_token_behind_a_private_authority_is_read_again_for_each_request() {
    needs!("openssl", "python3");
    let server = Served::start("IP:127.0.0.1", HANDLER);
    server.write("expected", "Bearer first-token");
    server.write("token", "first-token\n");
    let (token, ca) = (server.path("token"), server.path("ca.pem"));
    let verify = format!("https://127.0.0.1:{}/-/ready", server.port);
    let more = ["--reload-bearer-file", &token, "--reload-ca-file", &ca, "--reload-header", "X-Scope: web"];
    let mut gate = server.gate("127.0.0.1", &[&more[..], &["--verify-url", &verify]].concat());
    gate.wait_for("verified");
    let host = format!("127.0.0.1:{}", server.port);
    assert_eq!(server.asked(), format!("POST /-/reload 200 {host} web\nGET /-/ready 200 {host} web\n"));

    // The server has rotated it, and the file has not yet.
    server.write("expected", "Bearer second-token");
    server.change("[]");
    let unverified = gate.wait_for("unverified");
    let message = unverified["message"].as_str().expect("there is one");
    assert!(message.contains("answered 401"), "{unverified}");
    let help = unverified["help"].as_str().expect("there is one");
    assert!(help.contains(&format!("renew the credentials in `{token}`")), "{unverified}");

    server.write("token", "second-token\n");
    server.change("[1]");
    gate.wait_for("verified");
    for secret in ["first-token", "second-token"] {
        assert!(!gate.story().contains(secret), "{}", gate.story());
    }
}

#[test]
fn credentials_that_are_not_enough_ask_for_permission() {
    needs!("openssl", "python3");
    let server = Served::start("IP:127.0.0.1", HANDLER);
    server.write("expected", "Bearer powerful");
    server.write("token", "powerless");
    let (token, ca) = (server.path("token"), server.path("ca.pem"));
    let mut gate = server.gate("127.0.0.1", &["--reload-bearer-file", &token, "--reload-ca-file", &ca]);
    let unverified = gate.wait_for("unverified");
    assert!(unverified["message"].as_str().expect("there is one").contains("answered 403"), "{unverified}");
    assert!(unverified["help"].as_str().expect("there is one").contains("permit the request"), "{unverified}");
    assert!(!gate.story().contains("powerless"), "{}", gate.story());
}

#[test]
fn a_proof_that_is_refused_for_its_credentials_names_them() {
    needs!("openssl", "python3");
    let server = Served::start("IP:127.0.0.1", HANDLER);
    server.write("expected", "Bearer powerful");
    let (ca, url) = (server.path("ca.pem"), format!("https://127.0.0.1:{}/", server.port));
    let config = server.path("config");
    let mut gate = Gate::run(&[
        "--builtin",
        "json",
        "--watch",
        &config,
        "--reload-command",
        "true",
        "--verify-url",
        &url,
        "--reload-ca-file",
        &ca,
        "--verify-timeout",
        "300ms",
    ]);
    let unverified = gate.wait_for("unverified");
    assert!(unverified["message"].as_str().expect("there is one").contains("answered 401"), "{unverified}");
    assert!(unverified["help"].as_str().expect("there is one").contains("--reload-bearer-file"), "{unverified}");
}

/// As [`HANDLER`], and a GET is answered by a counter of the reloads.
const WITH_METRICS: &str = "
class M(H):
    reloads = 0
    def do_POST(self):
        M.reloads += 1
        super().do_POST()
    def do_GET(self):
        given, expected = self.headers.get('Authorization', ''), open('expected').read()
        body = ('app_reloads_total %d\\n' % M.reloads if given == expected else 'you sent ' + given).encode()
        self.send_response(200 if given == expected else 401)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
H = M
";

#[test]
fn the_metrics_of_a_proof_are_read_with_the_credentials() {
    needs!("openssl", "python3");
    let server = Served::start("DNS:app.internal", &(HANDLER.to_owned() + WITH_METRICS));
    server.write("expected", "Bearer first-token");
    server.write("token", "first-token\n");
    let [token, ca] = ["token", "ca.pem"].map(|name| server.path(name));
    let metrics = format!("https://127.0.0.1:{}/metrics", server.port);
    let of_server = ["--reload-bearer-file", &token, "--reload-ca-file", &ca, "--reload-server-name", "app.internal"];
    let proof = ["--verify-metric", "app_reloads_total=increased", "--verify-metric-url", &metrics];
    let mut gate = server.gate("127.0.0.1", &[&of_server[..], &proof, &["--verify-timeout", "500ms"]].concat());
    let verified = gate.wait_for("verified");
    assert!(verified["message"].as_str().is_some_and(|text| text.contains("was 0 and is 1")), "{verified}");

    // The server has rotated the token, and the file has not yet.
    drop(gate);
    server.write("expected", "Bearer second-token");
    let config = server.path("config");
    let by_command = ["--builtin", "json", "--watch", &config, "--reload-command", "true", "--verify-timeout", "500ms"];
    let mut gate = Gate::run(&[&by_command[..], &of_server, &proof].concat());
    let unverified = gate.wait_for("unverified");
    assert!(unverified["message"].as_str().is_some_and(|text| text.contains("it answered 401")), "{unverified}");
    let help = unverified["help"].as_str().expect("there is one");
    assert!(help.contains(&format!("renew the credentials in `{token}`")), "{unverified}");
    assert!(!gate.story().contains("first-token"), "{}", gate.story());
}

#[test]
fn metrics_that_want_a_client_certificate_get_it() {
    needs!("openssl", "python3");
    let handler = [WITH_CERTIFICATE, HANDLER, WITH_METRICS].concat();
    let server = Served::start("IP:127.0.0.1", &handler);
    server.write("expected", "");
    let [ca, certificate, key] = ["ca.pem", "server.pem", "server.key"].map(|name| server.path(name));
    let metrics = format!("https://127.0.0.1:{}/metrics", server.port);
    let more = ["--reload-ca-file", &ca, "--reload-cert-file", &certificate, "--reload-key-file", &key];
    let proof = ["--verify-metric", "app_reloads_total=increased", "--verify-metric-url", &metrics];
    let mut gate = server.gate("127.0.0.1", &[&more[..], &proof].concat());
    gate.wait_for("verified");
}

#[test]
fn a_user_and_password_are_sent_to_a_server_of_another_name() {
    needs!("openssl", "python3");
    let server = Served::start("DNS:app.internal", HANDLER);
    // "me:pass" in base64.
    server.write("expected", "Basic bWU6cGFzcw==");
    server.write("basic", "me:pass\n");
    let (basic, ca) = (server.path("basic"), server.path("ca.pem"));
    let more = ["--reload-basic-file", &basic, "--reload-ca-file", &ca];
    let mut gate = server.gate("127.0.0.1", &more);
    let unverified = gate.wait_for("unverified");
    assert!(unverified["message"].as_str().expect("there is one").contains("certificate is not valid"), "{unverified}");
    drop(gate);
    let mut gate = server.gate("127.0.0.1", &[&more[..], &["--reload-server-name", "app.internal"]].concat());
    gate.wait_for("reloaded");
    assert_eq!(server.asked(), format!("POST /-/reload 200 127.0.0.1:{} -\n", server.port));
}

#[test]
fn a_client_certificate_is_presented() {
    needs!("openssl", "python3");
    let server = Served::start("IP:127.0.0.1", &(WITH_CERTIFICATE.to_owned() + HANDLER));
    server.write("expected", "");
    let [ca, certificate, key] = ["ca.pem", "server.pem", "server.key"].map(|name| server.path(name));
    let mut gate = server.gate("127.0.0.1", &["--reload-ca-file", &ca]);
    gate.wait_for("unverified");
    drop(gate);
    assert_eq!(server.asked(), "");
    let more = ["--reload-ca-file", &ca, "--reload-cert-file", &certificate, "--reload-key-file", &key];
    let mut gate = server.gate("127.0.0.1", &more);
    gate.wait_for("reloaded");
    eventually("it was asked", || server.asked().starts_with("POST /-/reload 200 "));
}

#[test]
fn settings_that_make_no_sense_are_errors() {
    let wrong = |arguments: &[&str]| {
        let mut gate = crate::support::gate_command();
        gate.args(["run", "--builtin", "json", "--watch", "/x"]).args(arguments);
        let output = gate.output().expect("it starts");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        String::from_utf8(output.stderr).expect("it is UTF-8")
    };
    let url = ["--reload-url", "https://localhost:1/"];
    for (arguments, expected) in [
        (
            &["--reload-command", "true", "--reload-bearer-file", "t"][..],
            "`reload-bearer-file` has no effect without a URL",
        ),
        (&[url[0], url[1], "--reload-bearer-file", "t", "--reload-basic-file", "b"], "exclude each other"),
        (&[url[0], url[1], "--reload-basic-file", "b", "--reload-header", "Authorization: x"], "sets `Authorization`"),
        (&[url[0], url[1], "--reload-key-file", "k"], "the key has no certificate"),
        (
            &[url[0], url[1], "--verify-url", "https://elsewhere/", "--reload-bearer-file", "t"],
            "would go to another host",
        ),
        (&[url[0], url[1], "--reload-header", "Host: x"], "follows from the request"),
    ] {
        let error = wrong(arguments);
        assert!(error.contains(expected), "{error}");
    }
}
