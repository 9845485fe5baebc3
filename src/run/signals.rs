//! Signals to the gate that do not end it. IO: takes the process's signals.
//!
//! A rotation of logs that signals every process with `nginx` on its command line also meets the gate.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that a gate takes: SIGHUP asks for a scan, SIGUSR1 and SIGUSR2 do nothing.
pub(super) struct Signals {
    hangup: Option<Signal>,
    /// Their default action, which is death, stays off for as long as the process lives.
    _ignored: [Option<Signal>; 2],
}

impl Signals {
    pub(super) fn new() -> Self {
        let take = |kind| signal(kind).ok();
        let ignored = [take(SignalKind::user_defined1()), take(SignalKind::user_defined2())];
        Self { hangup: take(SignalKind::hangup()), _ignored: ignored }
    }

    /// Waits for a SIGHUP.
    pub(super) async fn hangup(&mut self) {
        let received = match &mut self.hangup {
            Some(hangup) => hangup.recv().await,
            None => None,
        };
        if received.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
