//! The admission webhook as an API server meets it: over TLS.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use super::{Answer, Gate, PATIENCE, authority, eventually, free_port, gate_command};

/// A connection to the webhook.
pub(crate) type Channel = StreamOwned<ClientConnection, TcpStream>;

/// A running webhook, whose certificate a test's own authority has signed.
pub(crate) struct Webhook {
    pub(crate) gate: Gate,
    pub(crate) port: u16,
    pub(crate) directory: tempfile::TempDir,
}

impl Webhook {
    /// Starts it with further arguments.
    pub(crate) fn start(more: &[&str]) -> Self {
        Self::start_at(free_port(), more)
    }

    /// Starts it at this port.
    pub(crate) fn start_at(port: u16, more: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("there is room");
        authority(directory.path());
        let mut command = gate_command();
        // As in `deploy/admission`: glibc keeps what large blocks leave otherwise.
        command.env("MALLOC_MMAP_THRESHOLD_", "65536").env("MALLOC_ARENA_MAX", "2");
        command.arg("admit").args(["--listen", &format!("127.0.0.1:{port}"), "--log-format", "json"]).args(more);
        if !more.contains(&"--self-signed") {
            command.arg("--tls-cert").arg(directory.path().join("server.pem"));
            command.arg("--tls-key").arg(directory.path().join("server.key"));
        }
        let mut gate = Gate::start(command);
        gate.wait_for("started");
        Self { gate, port, directory }
    }

    /// Opens a connection that trusts the authority in this file.
    pub(crate) fn connect_with(&self, authority: &Path) -> Result<Channel, std::io::Error> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(authority).expect("it is there") {
            roots.add(certificate.expect("it is one")).expect("it is one");
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = builder.expect("it has some").with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("127.0.0.1").expect("it is a name");
        let mut tls = ClientConnection::new(Arc::new(config), name).expect("it is a client");
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        tls.complete_io(&mut stream)?;
        Ok(StreamOwned::new(tls, stream))
    }

    /// Opens a connection.
    #[track_caller]
    pub(crate) fn connect(&self) -> Channel {
        self.connect_with(&self.directory.path().join("ca.pem")).expect("it listens")
    }

    /// Sends one request, and returns its answer.
    #[track_caller]
    pub(crate) fn send(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        send_over(&mut self.connect(), method, path, body).expect("it answers")
    }

    /// Posts a review, and returns the response in it.
    #[track_caller]
    pub(crate) fn review(&self, review: &Value) -> Value {
        let answer = self.send("POST", "/validate?timeout=5s", review.to_string().as_bytes());
        assert_eq!(answer.code, 200, "{}", answer.body);
        serde_json::from_str::<Value>(&answer.body).expect("it is JSON")["response"].clone()
    }

    pub(crate) fn metrics(&self) -> String {
        self.send("GET", "/metrics", b"").body
    }

    /// Waits until a metric has a value, since a count follows its answer.
    #[track_caller]
    pub(crate) fn wait_for_metric(&self, line: &str) {
        eventually(line, || self.metrics().lines().any(|other| other == line));
    }
}

/// Sends one request over a connection, which stays open; `None` if there is no whole answer.
pub(crate) fn send_over(channel: &mut Channel, method: &str, path: &str, body: &[u8]) -> Option<Answer> {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
    channel.write_all(head.as_bytes()).ok()?;
    // A server that refuses a body may close before all of it is written.
    let _ = channel.write_all(body);
    let _ = channel.flush();
    receive(channel)
}

/// Reads one answer.
pub(crate) fn receive(channel: &mut Channel) -> Option<Answer> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        if let Some((head, length)) = parse_head(&bytes) {
            let start = head.len() + 4;
            if bytes.len() >= start + length {
                let body = String::from_utf8(bytes[start..start + length].to_vec()).expect("it is UTF-8");
                let code = head.split(' ').nth(1)?.parse().ok()?;
                return Some(Answer { code, head, body });
            }
        }
        match channel.read(&mut buffer).ok()? {
            0 => return None,
            read => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}

/// The head of an answer, and the length of its body.
fn parse_head(bytes: &[u8]) -> Option<(String, usize)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    Some((head, length.unwrap_or(0)))
}

/// The longest time in which an honest request is answered, whatever others do.
pub(crate) const PROMPT: Duration = Duration::from_secs(5);
