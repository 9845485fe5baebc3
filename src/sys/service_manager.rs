//! The protocol of a service manager such as systemd (sd_notify(3)): one datagram of `NAME=VALUE` lines for each state. IO.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The variables by which a service manager addresses the one process that it started: its socket for states, its watchdog, and the
/// descriptors that it passes (sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3)).
const OWN_VARIABLES: [&str; 7] =
    ["LISTEN_FDNAMES", "LISTEN_FDS", "LISTEN_PID", "LISTEN_PIDFDID", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// Returns true for a variable that is for the process alone which a service manager started: any other that has it speaks in the
/// name of the service.
#[must_use]
pub fn is_own_variable(name: &OsStr) -> bool {
    OWN_VARIABLES.iter().any(|own| name == *own)
}

/// The connection to the service manager that started this process.
pub struct ServiceManager(tokio::net::UnixDatagram);

impl ServiceManager {
    /// Connects to the socket that `NOTIFY_SOCKET` names; `None` where no service manager listens.
    #[must_use]
    pub fn connect() -> Option<Self> {
        let address = address(&std::env::var_os("NOTIFY_SOCKET")?)?;
        let socket = UnixDatagram::unbound().ok()?;
        socket.connect_addr(&address).ok()?;
        socket.set_nonblocking(true).ok()?;
        tokio::net::UnixDatagram::from_std(socket).ok().map(Self)
    }

    /// Sends `state`. A manager that has gone away needs no state.
    pub async fn send(&self, state: &str) {
        let _ = self.0.send(state.as_bytes()).await;
    }
}

/// A path, or an abstract name that begins with `@`.
fn address(name: &OsStr) -> Option<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok(),
        [b'/', ..] => SocketAddr::from_pathname(name).ok(),
        // Virtual machines have addresses of sockets of their own kind (`vsock:`).
        _ => None,
    }
}

/// The interval at which this process has to report that it works (sd_watchdog_enabled(3)), if there is one.
#[must_use]
pub fn watchdog() -> Option<Duration> {
    let variable = |name: &str| std::env::var(name).ok();
    let own = variable("WATCHDOG_PID").is_none_or(|pid| pid.parse() == Ok(std::process::id()));
    let interval = variable("WATCHDOG_USEC")?.parse().ok().map(Duration::from_micros);
    interval.filter(|interval| own && !interval.is_zero())
}

/// The time of the monotonic clock, as `RELOADING=1` needs it.
#[must_use]
pub fn monotonic() -> u128 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u128::try_from(now.tv_sec).unwrap_or_default() * 1_000_000 + u128::try_from(now.tv_nsec).unwrap_or_default() / 1000
}
