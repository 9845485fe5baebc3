//! The HTTP listener: metrics, health and status (`--listen`). IO: listens.
//!
//! No client delays a gate or uses unbounded memory. A connection has one request, some seconds, and a buffer of one size. When there are
//! too many connections, the oldest is closed: an honest client needs milliseconds.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;

use crate::report::board::StatusBoard;
use crate::report::metrics::{Exposition, Metrics};
use crate::report::page;
use crate::report::status::Status;
use crate::report::{Event, Kind};
use crate::sys::backoff::Backoff;

/// The number of connections at once.
const CONNECTIONS: usize = 64;
/// The longest time of a connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// The size of the request line and all headers together.
const HEADER: usize = 16 << 10;
/// Backoff of listening.
const RETRY: Backoff = Backoff::SECONDS;

/// Number of connections that wait to be accepted.
const BACKLOG: u32 = 1024;

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

/// The values that are served.
#[derive(Debug)]
pub struct Served {
    /// The metrics.
    pub metrics: Rc<Metrics>,
    /// One board for each gate.
    pub boards: Vec<Rc<StatusBoard>>,
}

/// Serves requests at `address`, without end. A failure to listen is reported once, and tried again.
pub async fn serve(address: SocketAddr, served: Served, report: impl Fn(&Event)) {
    let served = Rc::new(served);
    let mut failures = 0;
    loop {
        match bind(address).await {
            Ok(listener) => {
                if std::mem::take(&mut failures) > 0 {
                    let message = format!("listening on `{address}`; `alert_failed` is over");
                    report(&Event::new(Kind::Recovered).message(message));
                }
                let error = accept(&listener, &served).await;
                report(&cannot_listen(address, &error));
            }
            Err(error) if failures == 0 => report(&cannot_listen(address, &error)),
            Err(_) => {}
        }
        tokio::time::sleep(RETRY.wait(failures)).await;
        failures += 1;
    }
}

/// Listens for a moment.
///
/// # Errors
/// The event that would be reported.
pub async fn try_out(address: SocketAddr) -> Result<(), Box<Event>> {
    bind(address).await.map(|_| ()).map_err(|error| Box::new(cannot_listen(address, &error)))
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> Event {
    let help = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "all containers of a pod share one network: give this one another port; it is tried again"
        }
        io::ErrorKind::PermissionDenied => "choose a port above 1023; it is tried again",
        io::ErrorKind::AddrNotAvailable => "name an address of this machine, or `0.0.0.0` for all; it is tried again",
        _ => {
            "name another address (`--listen`): there are no metrics and no health checks until then; it is tried again"
        }
    };
    let message = format!("cannot listen on `{address}`: {error}");
    Event::new(Kind::AlertFailed).message(message).help(Some(help.into()))
}

/// Listens on `address`. `[::]` includes IPv4, whatever the default of the system is (IPV6_V6ONLY of ipv6(7)); where the kernel has
/// no IPv6, it means all addresses of IPv4.
///
/// # Errors
/// When the address cannot be had.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    if address.ip() != Ipv6Addr::UNSPECIFIED {
        return TcpListener::bind(address).await;
    }
    match TcpSocket::new_v6() {
        Ok(socket) => {
            rustix::net::sockopt::set_ipv6_v6only(&socket, false)?;
            // As `TcpListener::bind` does: connections of an earlier process do not keep the address taken.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        }
        Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await,
    }
}

/// Accepts connections until an error ends that.
async fn accept(listener: &TcpListener, served: &Rc<Served>) -> io::Error {
    let mut connections: VecDeque<JoinHandle<()>> = VecDeque::new();
    let error = loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.retain(|connection| !connection.is_finished());
                while connections.len() >= CONNECTIONS {
                    connections.pop_front().iter().for_each(JoinHandle::abort);
                }
                connections.push_back(tokio::task::spawn_local(converse(stream, served.clone())));
            }
            // The client has gone (accept(2)).
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {
            }
            Err(error) => break error,
        }
    };
    connections.iter().for_each(JoinHandle::abort);
    error
}

/// Answers the request of one connection.
pub(crate) async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, served: Rc<Served>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer(&request, &served);
        async { Ok::<_, Infallible>(answer) }
    });
    let mut http = http1::Builder::new();
    let connection = http.keep_alive(false).max_buf_size(HEADER).serve_connection(TokioIo::new(stream), service);
    // A client that breaks the rules or takes too long gets no answer.
    let _ = tokio::time::timeout(PATIENCE, connection).await;
}

fn answer(request: &Request<Incoming>, served: &Served) -> Response<String> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    let status = || Status::of(served.boards.iter().map(|board| board.status()).collect());
    match request.uri().path() {
        "/livez" => text(StatusCode::OK, TEXT, "ok\n"),
        // As prometheus-config-reloader answers it.
        "/healthz" => text(StatusCode::OK, JSON, "{\"status\":\"up\"}"),
        "/readyz" => readiness(&status()),
        "/metrics" => {
            let accept = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
            let exposition = Exposition::accepted_by(&accept.collect::<Vec<_>>().join(", "));
            text(StatusCode::OK, exposition.content_type(), served.metrics.expose(&served.boards, exposition))
        }
        // The value has no maps with other keys than strings, so it is always written.
        "/status" => text(StatusCode::OK, JSON, serde_json::to_string(&status()).unwrap_or_default() + "\n"),
        "/" => page(&status()),
        _ => text(StatusCode::NOT_FOUND, TEXT, "there are /metrics, /livez, /readyz, /status and /\n"),
    }
}

fn page(status: &Status) -> Response<String> {
    let mut answer = text(StatusCode::OK, HTML, page::html(status, SystemTime::now()));
    let headers = answer.headers_mut();
    headers.extend(HeaderValue::from_str(&page::policy()).ok().map(|policy| (CONTENT_SECURITY_POLICY, policy)));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}

fn readiness(status: &Status) -> Response<String> {
    if status.ready {
        return text(StatusCode::OK, TEXT, "ok\n");
    }
    let waiting = status.gates.iter().filter(|gate| !gate.ready);
    let lines = waiting.map(|gate| {
        let why = gate.reported();
        let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
        format!("{}: no accepted configuration is known to be live{why}\n", gate.gate)
    });
    text(StatusCode::SERVICE_UNAVAILABLE, TEXT, lines.collect::<String>())
}

/// Returns an answer that no cache keeps and no browser takes for another type.
pub(crate) fn text(status: StatusCode, content_type: &'static str, body: impl Into<String>) -> Response<String> {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}
