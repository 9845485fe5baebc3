//! A server that receives alerts, healthy or failing.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver as Channel, Sender, channel};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::PATIENCE;

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// With this code.
    Answers(u16),
    /// Never.
    Hangs,
    /// By closing the connection.
    Drops,
}

/// A received request.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) line: String,
    /// The headers, with names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Told {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// The server. It keeps the requests that it refuses as well.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    health: Arc<Mutex<Health>>,
    told: Channel<(Told, Health)>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        Self::at("127.0.0.1:0")
    }

    pub(crate) fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).expect("the port is free");
        let address = listener.local_addr().expect("it is bound");
        let (health, (sender, told)) = (Arc::new(Mutex::new(Health::Answers(200))), channel());
        let shared = health.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (health, sender) = (shared.clone(), sender.clone());
                std::thread::spawn(move || serve(&stream, &health, &sender));
            }
        });
        Self { address, health, told }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn is(&self, health: Health) {
        *self.health.lock().expect("nobody panicked") = health;
    }

    /// The next request, and the answer to it.
    #[track_caller]
    pub(crate) fn next(&self) -> (Told, Health) {
        self.told.recv_timeout(PATIENCE).expect("it is told something")
    }

    /// The next request that the server took.
    #[track_caller]
    pub(crate) fn taken(&self) -> Told {
        loop {
            let (told, health) = self.next();
            if matches!(health, Health::Answers(200..300)) {
                return told;
            }
        }
    }

    /// The requests that no test has asked for.
    pub(crate) fn rest(&self) -> Vec<Told> {
        self.told.try_iter().map(|(told, _)| told).collect()
    }
}

fn serve(stream: &TcpStream, health: &Mutex<Health>, sender: &Sender<(Told, Health)>) {
    let Some(told) = read(stream) else { return };
    let health = *health.lock().expect("nobody panicked");
    let _ = sender.send((told, health));
    match health {
        Health::Answers(code) => {
            let mut stream = stream;
            let answer = format!("HTTP/1.1 {code} Whatever\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}");
            let _ = stream.write_all(answer.as_bytes());
        }
        // Until the client has had enough.
        Health::Hangs => drop(BufReader::new(stream).read(&mut [0])),
        Health::Drops => {}
    }
}

fn read(stream: &TcpStream) -> Option<Told> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let line = lines.first()?.clone();
    let headers = lines[1..].iter().filter_map(|line| line.split_once(": "));
    let headers: Vec<_> = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or("0", |(_, value)| value);
    let mut body = vec![0; length.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Told { line, headers, body: serde_json::from_slice(&body).unwrap_or_default() })
}
