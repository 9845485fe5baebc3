//! The status socket: the state of a gate for programs of its own container, without `--listen`. IO: listens, and reads.
//!
//! The socket is abstract (unix(7)): it needs no directory that can be written, and ends with its process. Its name has the number of
//! the mount namespace, since the containers of a pod share the namespace of abstract names, which is the network's, and the id of the
//! process. A client finds the sockets in `/proc/net/unix`: those of its own mount namespace, and those of processes with the same root
//! directory, since a confined service of systemd has a mount namespace of its own. A client of another user than root or the gate's
//! own gets no answer. An answer is the JSON of `/status`, and the end.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::io::{self, Read as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{self, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};

use crate::report::board::StatusBoard;
use crate::report::status::Status;

/// The time limit of one answer. Clients wait for each other, so that a client that does not read costs one connection.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// The pause after an error of accept(2), such as too many open files.
const PAUSE: Duration = Duration::from_secs(1);

/// The beginning of the names of all sockets.
const PREFIX: &str = "reload-gate/status/";
/// The sockets of the network namespace; a name begins with `@` if it is abstract (proc_pid_net(5)).
const SOCKETS: &str = "/proc/net/unix";

/// The number of this mount namespace.
fn container() -> io::Result<u64> {
    Ok(std::fs::metadata("/proc/self/ns/mnt")?.ino())
}

/// Answers clients, without end.
pub async fn serve(boards: Vec<Rc<StatusBoard>>) {
    let listener = match listen() {
        Ok(listener) => listener,
        Err(error) => return tracing::debug!(%error, "no status socket"),
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) if is_trusted(&stream) => {
                let status = Status::of(boards.iter().map(|board| board.status()).collect());
                // All keys are strings, so this does not fail.
                let text = serde_json::to_string(&status).unwrap_or_default() + "\n";
                // A client that has gone away needs no answer.
                let _ = tokio::time::timeout(ANSWER_TIMEOUT, answer(&stream, text.as_bytes())).await;
            }
            Ok(_) => {}
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

fn listen() -> io::Result<UnixListener> {
    let own = StatusSocket { container: container()?, pid: std::process::id() };
    let listener = net::UnixListener::bind_addr(&address(&own)?)?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Returns true for a client of root or of the gate's own user (SO_PEERCRED of unix(7)).
fn is_trusted(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|client| client.uid() == 0 || client.uid() == own)
}

async fn answer(stream: &UnixStream, mut rest: &[u8]) -> io::Result<()> {
    while !rest.is_empty() {
        stream.writable().await?;
        match stream.try_write(rest) {
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The answer of one gate process.
#[derive(Debug)]
pub struct ProcessAnswer {
    /// The id of the process, in its own namespace.
    pub pid: u32,
    /// The JSON of `/status`.
    pub text: io::Result<String>,
}

/// A socket by the parts of its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct StatusSocket {
    container: u64,
    pid: u32,
}

/// Reads the status of each gate process in this container, and of each other one with the same root directory. It waits, so it is
/// not for the loop.
///
/// # Errors
/// When the sockets cannot be listed. An error of one process is in its answer: no answer within `timeout`, another user.
pub fn read(timeout: Duration) -> io::Result<Vec<ProcessAnswer>> {
    let (all, own) = (sockets(&std::fs::read_to_string(SOCKETS)?), container()?);
    let asked = all.into_iter().filter(|socket| socket.container == own || socket.has_our_root());
    Ok(asked.map(|socket| ProcessAnswer { pid: socket.pid, text: read_one(&socket, timeout) }).collect())
}

/// The sockets of gates in a list of the kernel. An accepted connection has the name of its listener.
fn sockets(list: &str) -> BTreeSet<StatusSocket> {
    let socket = |line: &str| {
        let name = line.split_whitespace().nth(7)?.strip_prefix('@')?;
        let (container, pid) = name.strip_prefix(PREFIX)?.split_once('/')?;
        Some(StatusSocket { container: container.parse().ok()?, pid: pid.parse().ok()? })
    };
    list.lines().filter_map(socket).collect()
}

impl StatusSocket {
    /// Returns true if its process is of this machine or container, though in another mount namespace. The number of a process may
    /// also be that of another one here, since each container counts its own.
    fn has_our_root(&self) -> bool {
        let process = |part: &str| std::fs::metadata(format!("/proc/{}/{part}", self.pid));
        let is_it = process("ns/mnt").is_ok_and(|namespace| namespace.ino() == self.container);
        let place = |root: Metadata| (root.dev(), root.ino());
        let (theirs, ours) = (process("root").map(place), std::fs::metadata("/").map(place));
        is_it && theirs.is_ok_and(|theirs| ours.is_ok_and(|ours| ours == theirs))
    }
}

fn address(socket: &StatusSocket) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("{PREFIX}{}/{}", socket.container, socket.pid))
}

fn read_one(socket: &StatusSocket, timeout: Duration) -> io::Result<String> {
    let mut stream = net::UnixStream::connect_addr(&address(socket)?)?;
    stream.set_read_timeout(Some(timeout))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    if text.is_empty() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it answers to root and to its own user alone"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 41 @reload-gate/status/4026531840/12
0000000000000000: 00000003 00000000 00000000 0001 03 42 @reload-gate/status/4026531840/12
0000000000000000: 00000002 00000000 00010000 0001 01 44 @reload-gate/status/4026532000/1
0000000000000000: 00000002 00000000 00010000 0001 01 45 /run/reload-gate/status/4026531840/7
0000000000000000: 00000003 00000000 00000000 0001 03 46
0000000000000000: 00000002 00000000 00010000 0001 01 47 @reload-gate/other/4026531840/7
";

    #[test]
    fn each_gate_process_is_found_once() {
        let found: Vec<_> = sockets(LIST).into_iter().map(|socket| (socket.container, socket.pid)).collect();
        assert_eq!(found, [(4_026_531_840, 12), (4_026_532_000, 1)]);
    }

    #[test]
    fn a_process_of_the_same_number_is_not_taken_for_the_gate() {
        let own = StatusSocket { container: container().expect("it is there"), pid: std::process::id() };
        assert!(own.has_our_root());
        assert!(!StatusSocket { container: 7, ..own }.has_our_root());
    }
}
