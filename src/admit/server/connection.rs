//! Connections of clients: their number, and the time that they may be idle. IO: talks to clients.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::{Webhook, request};

/// Time for the handshake and the head of the first request.
const FIRST: Duration = Duration::from_secs(10);

/// Time between two requests. It is longer than the 90 s after which clients written in Go close an idle connection themselves
/// (`DefaultTransport` of net/http), so that no request meets a connection that closes.
const IDLE: Duration = Duration::from_secs(120);

/// Size of the request line and all headers together.
const HEADER: usize = 16 << 10;

/// State of one connection.
pub(super) struct ConnectionActivity {
    since: Cell<Instant>,
    is_busy: Cell<bool>,
    had_request: Cell<bool>,
    /// Wakes at the end of a request.
    ended: Notify,
}

impl ConnectionActivity {
    pub(super) fn new() -> Self {
        let (is_busy, had_request) = (Cell::new(false), Cell::new(false));
        Self { since: Cell::new(Instant::now()), is_busy, had_request, ended: Notify::new() }
    }

    /// Waits until the connection was idle for too long.
    async fn overdue(&self) {
        loop {
            if self.is_busy.get() {
                self.ended.notified().await;
                continue;
            }
            let limit = if self.had_request.get() { IDLE } else { FIRST };
            let left = limit.saturating_sub(self.since.get().elapsed());
            if left.is_zero() {
                return;
            }
            // A request in the meantime moves the end of this time.
            tokio::time::sleep(left).await;
        }
    }

    fn begin(self: &Rc<Self>) -> Busy {
        self.is_busy.set(true);
        self.had_request.set(true);
        Busy(self.clone())
    }
}

/// A request that is being answered.
struct Busy(Rc<ConnectionActivity>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.is_busy.set(false);
        self.0.since.set(Instant::now());
        self.0.ended.notify_one();
    }
}

/// All connections.
pub(super) struct Connections {
    most: usize,
    open: RefCell<Vec<(Rc<ConnectionActivity>, AbortHandle)>>,
}

impl Connections {
    pub(super) fn new(most: usize) -> Self {
        Self { most, open: RefCell::default() }
    }

    pub(super) fn count(&self) -> usize {
        self.open.borrow().len()
    }

    /// Starts to talk to a client. If there are too many connections, the one that was idle for the longest time is closed; if all are
    /// busy, this one is.
    pub(super) fn start(&self, stream: TcpStream, webhook: &Rc<Webhook>, is_secure: bool) {
        let mut open = self.open.borrow_mut();
        open.retain(|(_, task)| !task.is_finished());
        if open.len() >= self.most {
            let idle = open.iter().enumerate().filter(|(_, (activity, _))| !activity.is_busy.get());
            let Some((oldest, _)) = idle.min_by_key(|(_, (activity, _))| activity.since.get()) else {
                webhook.metrics.refused("busy");
                return;
            };
            open.swap_remove(oldest).1.abort();
        }
        let activity = Rc::new(ConnectionActivity::new());
        let task = tokio::task::spawn_local(converse(stream, webhook.clone(), activity.clone(), is_secure));
        open.push((activity, task.abort_handle()));
    }
}

async fn converse(stream: TcpStream, webhook: Rc<Webhook>, activity: Rc<ConnectionActivity>, is_secure: bool) {
    let talk = async {
        if !is_secure {
            return serve(stream, webhook, activity.clone(), is_secure).await;
        }
        let acceptor = webhook.acceptor.borrow().clone();
        match acceptor.accept(stream).await {
            Ok(stream) => serve(stream, webhook, activity.clone(), is_secure).await,
            Err(_) => webhook.metrics.refused("handshake"),
        }
    };
    tokio::select! {
        () = talk => {}
        () = activity.overdue() => {}
    }
}

pub(super) async fn serve<S>(stream: S, webhook: Rc<Webhook>, activity: Rc<ConnectionActivity>, is_secure: bool)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let (webhook, busy) = (webhook.clone(), activity.begin());
        async move {
            let answer = request::answer(request, &webhook, is_secure).await;
            drop(busy);
            Ok::<_, Infallible>(answer)
        }
    });
    let mut http = http1::Builder::new();
    // A client that breaks the rules gets no answer.
    let _ = http.keep_alive(true).max_buf_size(HEADER).serve_connection(TokioIo::new(stream), service).await;
}
