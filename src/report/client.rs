//! The client of `reload-gate status`. IO: through `http` and `socket` alone, and waits.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::exit::Exit;
use crate::report::socket;
use crate::report::status::Status;
use crate::sys::http;

/// The time limit of one answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The interval between requests.
const PAUSE: Duration = Duration::from_millis(200);

/// The place at which a running gate answers.
#[derive(Clone, Copy, Debug)]
pub enum GateAddress {
    /// The status socket of this container.
    Container,
    /// The address of its listener.
    Listener(SocketAddr),
}

/// A question to a running gate.
#[derive(Clone, Copy, Debug)]
pub struct StatusQuery {
    /// The place at which it answers.
    pub address: GateAddress,
    /// True if any accepted revision is enough, the newest or not.
    pub ready: bool,
    /// The time for which to repeat the question until the answer is good.
    pub wait: Duration,
}

/// The status and its text as it was sent, or the error.
pub type StatusAnswer = Result<(Status, String), String>;

/// Asks until the answer is good or the time is over; returns the last answer and its exit code.
pub fn ask(question: &StatusQuery) -> (StatusAnswer, Exit) {
    let deadline = Instant::now() + question.wait;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let answer =
            once(question.address, if question.wait.is_zero() { PATIENCE } else { left.clamp(PAUSE, PATIENCE) });
        let exit = exit(&answer, question.ready);
        if exit == Exit::Accepted || left.is_zero() {
            return (answer, exit);
        }
        std::thread::sleep(PAUSE.min(left));
    }
}

fn once(address: GateAddress, patience: Duration) -> StatusAnswer {
    let body = match address {
        GateAddress::Listener(address) => http::read(&format!("http://{}/status", reachable(address)), patience)?,
        GateAddress::Container => socket::read(patience).map_err(|error| error.to_string())?,
    };
    let status = serde_json::from_str(&body).map_err(|error| format!("the answer is no status: {error}"))?;
    Ok((status, body))
}

fn exit(answer: &StatusAnswer, ready: bool) -> Exit {
    match answer {
        Ok((status, _)) if status.live || (ready && status.ready) => Exit::Accepted,
        Ok((status, _)) if status.is_rejected() => Exit::Rejected,
        _ => Exit::Inconclusive,
    }
}

/// Returns the address at which a server that listens on `address` can be reached from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        // Such a listener takes IPv4 as well, and has only that where the kernel has no IPv6.
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::status::GateStatus;

    fn gate(ready: bool, live: bool, event: Option<&str>) -> GateStatus {
        GateStatus {
            gate: "web".into(),
            ready,
            live,
            desired: None,
            validated: None,
            running: None,
            diverged_seconds: 1.0,
            watch_mode: "inotify".into(),
            rollout: None,
            standing: event.map(|event| serde_json::json!({ "event": event })),
            alerts: Vec::new(),
            recent: Vec::new(),
        }
    }

    #[test]
    fn the_exit_code_is_that_of_the_worst_gate() {
        let well = || gate(true, true, None);
        for (other, newest, ready) in [
            (well(), Exit::Accepted, Exit::Accepted),
            (gate(true, false, Some("rejected")), Exit::Rejected, Exit::Accepted),
            (gate(false, false, Some("rejected")), Exit::Rejected, Exit::Rejected),
            (gate(true, false, Some("inconclusive")), Exit::Inconclusive, Exit::Accepted),
            (gate(false, false, None), Exit::Inconclusive, Exit::Inconclusive),
        ] {
            let answer = Ok((Status::of(vec![well(), other.clone()]), String::new()));
            assert_eq!((exit(&answer, false), exit(&answer, true)), (newest, ready), "{other:?}");
        }
        assert_eq!(exit(&Err("nobody answers".into()), true), Exit::Inconclusive);
    }

    #[test]
    fn all_addresses_are_reached_at_the_nearest() {
        for (listens, reached) in
            [("0.0.0.0:9464", "127.0.0.1:9464"), ("[::]:9464", "127.0.0.1:9464"), ("10.1.2.3:80", "10.1.2.3:80")]
        {
            let parse = |address: &str| address.parse::<SocketAddr>().expect("it is one");
            assert_eq!(reachable(parse(listens)), parse(reached));
        }
    }
}
