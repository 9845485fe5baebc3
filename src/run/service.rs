//! The state of the process for a service manager such as systemd: readiness, a status line, reloads, the watchdog. IO.
//!
//! The process is ready when each gate has made its first decision, whatever it is. After a SIGHUP it is reloading until each gate has
//! made another one.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::until;
use crate::report::board::StatusBoard;
use crate::report::log::visible;
use crate::report::status::GateStatus;
use crate::report::{Event, Kind};
use crate::sys::backoff::Backoff;
use crate::sys::service_manager::{self, ServiceManager};

/// The longest time until the process is ready, and until a reload is over: systemd gives 90 s (`DefaultTimeoutStartSec=`).
const LONGEST_START: Duration = Duration::from_secs(60);
/// Backoff of a state that the service manager does not take.
const RETRY: Backoff = Backoff::SECONDS;
/// The number of characters of the status line.
const CHARACTERS: usize = 300;

/// The service that this process is.
pub(super) struct Service {
    manager: ServiceManager,
    boards: Vec<Rc<StatusBoard>>,
    state: RefCell<ServiceState>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct ServiceState {
    /// The gates that have decided since the start or the last SIGHUP.
    decided: BTreeSet<usize>,
    /// The time at which the process is ready at the latest; `None` if it is.
    ready_by: Option<Instant>,
    /// A reload has begun that was not reported yet.
    reloads: bool,
}

/// The states that the service manager has taken.
#[derive(Debug, Default)]
struct TakenStates {
    line: String,
    /// The number of states in a row that it did not take.
    failures: u32,
}

impl Service {
    /// The service of these gates; `None` without a service manager.
    pub(super) fn start(boards: &[Rc<StatusBoard>]) -> Option<Rc<Self>> {
        let state = ServiceState { ready_by: Some(Instant::now() + LONGEST_START), ..ServiceState::default() };
        let (state, changed) = (RefCell::new(state), Notify::new());
        Some(Rc::new(Self { manager: ServiceManager::of_environment()?, boards: boards.to_vec(), state, changed }))
    }

    /// Takes in an event of the gate of that number.
    pub(super) fn take(&self, gate: usize, event: &Event) {
        let goes_on =
            [Kind::Started, Kind::Accepted, Kind::Published, Kind::Reloaded, Kind::WatchDegraded, Kind::TargetReplaced];
        if !goes_on.contains(&event.kind) {
            self.state.borrow_mut().decided.insert(gate);
        }
        self.changed.notify_one();
    }

    /// Sends the state whenever it changes, and the sign of life that the watchdog expects. What is not taken is sent again.
    pub(super) async fn run(self: Rc<Self>) {
        let mut watchdog = service_manager::watchdog().map(|interval| tokio::time::interval(interval / 2));
        let mut taken = TakenStates::default();
        loop {
            let wake = match self.report(&mut taken).await {
                Ok(()) => {
                    taken.failures = 0;
                    self.state.borrow().ready_by
                }
                Err(error) => {
                    tracing::debug!(%error, "the service manager did not take a state");
                    taken.failures = taken.failures.saturating_add(1);
                    Some(Instant::now() + RETRY.wait(taken.failures - 1))
                }
            };
            tokio::select! {
                () = self.changed.notified() => {}
                () = until(wake) => {}
                // A sign of life that is lost has a successor.
                () = tick(&mut watchdog) => drop(self.manager.send("WATCHDOG=1").await),
            }
        }
    }

    /// Sends what the service manager does not know yet.
    async fn report(&self, taken: &mut TakenStates) -> io::Result<()> {
        let line = status_line(&self.boards.iter().map(|board| board.status()).collect::<Vec<_>>());
        if line != taken.line {
            self.manager.send(&format!("STATUS={line}")).await?;
            taken.line = line;
        }
        if std::mem::take(&mut self.state.borrow_mut().reloads) {
            let state = format!("RELOADING=1\nMONOTONIC_USEC={}", service_manager::monotonic());
            self.manager.send(&state).await.inspect_err(|_| self.state.borrow_mut().reloads = true)?;
        }
        if self.becomes_ready() {
            let sent = self.manager.send("READY=1").await;
            sent.inspect_err(|_| _ = self.state.borrow_mut().ready_by.get_or_insert_with(Instant::now))?;
        }
        Ok(())
    }

    fn becomes_ready(&self) -> bool {
        let mut state = self.state.borrow_mut();
        let Some(ready_by) = state.ready_by else { return false };
        let is_ready = state.decided.len() == self.boards.len() || Instant::now() >= ready_by;
        state.ready_by.take_if(|_| is_ready);
        is_ready
    }

    /// Reports that the gates scan again on request.
    pub(super) fn reloading(&self) {
        let ready_by = Some(Instant::now() + LONGEST_START);
        *self.state.borrow_mut() = ServiceState { decided: BTreeSet::new(), ready_by, reloads: true };
        self.changed.notify_one();
    }

    /// Reports that the gates end.
    pub(super) async fn stopping(&self) {
        // The end itself is not missed.
        let _ = self.manager.send("STOPPING=1\nSTATUS=finishing what is in flight").await;
    }
}

async fn tick(watchdog: &mut Option<tokio::time::Interval>) {
    match watchdog {
        Some(interval) => {
            interval.tick().await;
        }
        None => std::future::pending().await,
    }
}

/// The state of all gates in a line: each gate that is not live, with the reason.
fn status_line(gates: &[GateStatus]) -> String {
    let others: Vec<_> = gates.iter().filter(|gate| !gate.live).map(in_words).collect();
    let live = gates.len() - others.len();
    let summary = match (gates, live) {
        ([only], 1) => format!("{}: live", only.gate),
        ([_], _) => String::new(),
        (gates, live) => format!("{live} of {} gates live", gates.len()),
    };
    let parts: Vec<_> = Some(summary).into_iter().filter(|summary| !summary.is_empty()).chain(others).collect();
    visible(&parts.join("; ")).chars().take(CHARACTERS).collect()
}

fn in_words(gate: &GateStatus) -> String {
    let of = |key: &str| gate.standing.as_ref().and_then(|incident| incident[key].as_str());
    match (of("event"), of("message")) {
        (Some(event), Some(message)) => format!("{}: {event}: {message}", gate.gate),
        (Some(event), None) => format!("{}: {event}", gate.gate),
        (None, _) => format!("{}: not live yet", gate.gate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::tree::Digest;
    use crate::flow::watch::Mode;
    use crate::report::board::BoardView;
    use crate::report::metrics::Metrics;

    #[test]
    fn the_status_line_has_the_state_of_each_gate_that_is_not_live() {
        let board = |name: &str| StatusBoard::new(name, Rc::new(Metrics::new()));
        let (web, api) = (board("web"), board("api"));
        let line =
            |boards: &[&StatusBoard]| status_line(&boards.iter().map(|board| board.status()).collect::<Vec<_>>());
        assert_eq!(line(&[&web]), "web: not live yet");
        let desired = Digest::of(b"a");
        let view = BoardView {
            desired: Some(desired),
            validated: None,
            running: None,
            ready: false,
            live: false,
            incident: Some((Kind::Rejected, desired)),
            mode: Mode::Inotify,
        };
        web.report(&Event::new(Kind::Rejected).about(desired).message("nginx.conf:6: unknown\ndirective"));
        web.show(view);
        assert_eq!(line(&[&web]), "web: rejected: nginx.conf:6: unknown\\ndirective");
        api.show(BoardView { live: true, ready: true, incident: None, ..view });
        assert_eq!(line(&[&api]), "api: live");
        assert!(line(&[&web, &api]).starts_with("1 of 2 gates live; web: rejected: "));
    }
}
