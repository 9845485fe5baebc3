//! The protocol of a service manager such as systemd (sd_notify(3)): one datagram of `NAME=VALUE` lines for each state. IO.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::rc::Rc;
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

/// The longest time for a state that the service manager does not take: its queue may be full.
const SENDING: Duration = Duration::from_secs(1);

/// The service manager that started this process.
pub struct ServiceManager {
    address: SocketAddr,
    /// The connection, if the last state was sent.
    connection: RefCell<Option<Rc<tokio::net::UnixDatagram>>>,
}

impl ServiceManager {
    /// The service manager whose socket `NOTIFY_SOCKET` names; `None` where none is named.
    #[must_use]
    pub fn of_environment() -> Option<Self> {
        address(&std::env::var_os("NOTIFY_SOCKET")?).map(Self::at)
    }

    fn at(address: SocketAddr) -> Self {
        Self { address, connection: RefCell::default() }
    }

    /// Sends `state`, for at most a second.
    ///
    /// # Errors
    /// When the service manager has not taken it. The next state is sent through a new connection.
    pub async fn send(&self, state: &str) -> io::Result<()> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => Rc::new(self.connect()?),
        };
        tokio::time::timeout(SENDING, connection.send(state.as_bytes())).await??;
        self.connection.replace(Some(connection));
        Ok(())
    }

    fn connect(&self) -> io::Result<tokio::net::UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&self.address)?;
        socket.set_nonblocking(true)?;
        tokio::net::UnixDatagram::from_std(socket)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).expect("it was sent");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn a_service_manager_that_comes_back_gets_the_next_state() {
        let directory = tempfile::tempdir().expect("there is room");
        let path = directory.path().join("notify");
        let manager = ServiceManager::at(SocketAddr::from_pathname(&path).expect("it is short"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
        let send = |state: &str| runtime.block_on(manager.send(state));
        send("READY=1").expect_err("nothing listens yet");
        let first = UnixDatagram::bind(&path).expect("it is free");
        send("READY=1").expect("it listens");
        assert_eq!(received(&first), "READY=1");
        drop(first);
        send("WATCHDOG=1").expect_err("it is gone");
        std::fs::remove_file(&path).expect("it is ours");
        let second = UnixDatagram::bind(&path).expect("it is free");
        send("WATCHDOG=1").expect("it listens again");
        assert_eq!(received(&second), "WATCHDOG=1");
    }

    #[test]
    fn a_service_manager_that_reads_nothing_is_waited_for_a_moment() {
        let name = format!("reload-gate-unit-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(name).expect("it is short");
        let _unread = UnixDatagram::bind_addr(&address).expect("it is free");
        let manager = ServiceManager::at(address);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
        // The queue has room for some datagrams (`net.unix.max_dgram_qlen`).
        let failed = (0..10_000).find_map(|_| runtime.block_on(manager.send("WATCHDOG=1")).err());
        assert_eq!(failed.map(|error| error.kind()), Some(io::ErrorKind::TimedOut));
    }
}
