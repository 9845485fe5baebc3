//! Load on the admission webhook: requests at a fixed rate over TLS, each with an nginx configuration of its own. Prints a table.
//!
//! `cargo bench --bench admission [SECONDS]`. Client and server share the processors. A request counts from the time at which it was due, so
//! that a server which falls behind is not spared.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs, reason = "it is a program of a person")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Connections of the client.
const CONNECTIONS: usize = 16;

/// Text in the place of which each request has its own number.
const NUMBER: &str = "0000000000";

struct Webhook {
    child: Child,
    port: u16,
    client: Arc<ClientConfig>,
}

impl Drop for Webhook {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "the program from outside is what is measured")]
fn start(directory: &Path) -> Webhook {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(directory.join("tls.crt"), certificate.pem()).unwrap();
    std::fs::write(directory.join("tls.key"), key.serialize_pem()).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut child = Command::new(env!("CARGO_BIN_EXE_reload-gate"))
        .args(["admit", "--listen", &format!("127.0.0.1:{port}"), "--log-format", "json"])
        .arg("--tls-cert")
        .arg(directory.join("tls.crt"))
        .arg("--tls-key")
        .arg(directory.join("tls.key"))
        // As in `deploy/admission`.
        .envs([("MALLOC_MMAP_THRESHOLD_", "65536"), ("MALLOC_ARENA_MAX", "2")])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut started = String::new();
    stderr.read_line(&mut started).unwrap();
    assert!(started.contains("\"started\""), "{started}");
    std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Webhook { child, port, client: Arc::new(builder.with_root_certificates(roots).with_no_client_auth()) }
}

/// A configuration of at least this size, as sites of a proxy have it.
fn configuration(size: usize, is_good: bool) -> String {
    let mut text = format!("# {NUMBER}\nevents {{}}\nhttp {{\n");
    let mut index = 0;
    while text.len() < size {
        index += 1;
        text += &format!(
            "  upstream app{index} {{ server 10.0.{}.{}:8080 max_fails=3; keepalive 16; }}\n  server {{\n    listen 8080;\n    \
             server_name site{index}.example.com;\n    client_max_body_size 10m;\n    location / {{\n      proxy_pass http://app{index};\n      \
             proxy_set_header Host $host;\n      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n      proxy_read_timeout 30s;\n    \
             }}\n    location ~ \\.(?:css|js|png)$ {{\n      expires 7d;\n      add_header Cache-Control public;\n    }}\n  }}\n",
            index / 250,
            index % 250 + 1,
        );
    }
    text += if is_good { "}\n" } else { "  lisen 80;\n}\n" };
    text
}

fn review(text: &str) -> String {
    let object = serde_json::json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "nginx", "namespace": "web", "labels": {"reload-gate.dev/validate": "nginx"}},
        "data": {"nginx.conf": text},
    });
    let request = serde_json::json!({
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
        "namespace": "web",
        "operation": "CREATE",
        "object": object,
    });
    serde_json::json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).to_string()
}

type Channel = StreamOwned<ClientConnection, TcpStream>;

fn connect(webhook: &Webhook) -> Channel {
    let stream = TcpStream::connect(("127.0.0.1", webhook.port)).unwrap();
    stream.set_nodelay(true).unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    StreamOwned::new(ClientConnection::new(webhook.client.clone(), name).unwrap(), stream)
}

/// Posts a review, and returns true if the object is allowed.
fn post(channel: &mut Channel, body: &[u8]) -> bool {
    let head = format!("POST /validate?timeout=5s HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    channel.write_all(head.as_bytes()).unwrap();
    channel.write_all(body).unwrap();
    channel.flush().unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        let read = channel.read(&mut buffer).unwrap();
        assert!(read > 0, "the connection is closed");
        answer.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, rest)) = text.split_once("\r\n\r\n") else { continue };
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if rest.len() >= length.unwrap_or(0) {
            return rest.contains("\"allowed\":true");
        }
    }
}

/// Processor time of a process in seconds (`proc_pid_stat(5)`), with the 100 ticks a second of Linux.
fn processor_time(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// Largest resident memory so far in MiB.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// One row of the table.
fn measure(webhook: &Webhook, size: usize, rate: u32, seconds: u64, is_good: bool) {
    let template = review(&configuration(size, is_good));
    let at = template.find(NUMBER).unwrap();
    let total = usize::try_from(u64::from(rate) * seconds).unwrap();
    let (next, times) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(total)));
    let before = processor_time(webhook.child.id());
    let started = Instant::now() + Duration::from_millis(200);
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let (mut channel, mut body) = (connect(webhook), template.clone().into_bytes());
                let mut own = Vec::new();
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= total {
                        break;
                    }
                    body[at..at + NUMBER.len()].copy_from_slice(format!("{index:010}").as_bytes());
                    let due = started + Duration::from_secs(1) * u32::try_from(index).unwrap() / rate;
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    assert_eq!(post(&mut channel, &body), is_good);
                    own.push(due.elapsed());
                }
                times.lock().unwrap().extend(own);
            });
        }
    });
    let wall = started.elapsed().as_secs_f64();
    let mut times = times.into_inner().unwrap();
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
    let used = (processor_time(webhook.child.id()) - before) / wall;
    let kind = if is_good { "accepted" } else { "denied" };
    println!(
        "| {} kB, {kind} | {rate} | {:.0} | {:.1} ms | {:.1} ms | {:.1} ms | {used:.2} | {} MiB |",
        template.len() / 1000,
        times.len() as f64 / wall,
        at(0.5),
        at(0.99),
        at(1.0),
        peak(webhook.child.id()),
    );
}

fn main() {
    let seconds = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(10);
    let directory = tempfile::tempdir().unwrap();
    let webhook = start(directory.path());
    println!("| review | requests a second | answered a second | p50 | p99 | longest | processors | peak memory |");
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    for (size, rate, is_good) in [
        (10_000, 100, true),
        (10_000, 1000, true),
        (100_000, 100, true),
        (100_000, 500, true),
        (100_000, 1000, true),
        (100_000, 1000, false),
    ] {
        measure(&webhook, size, rate, seconds, is_good);
    }
}
