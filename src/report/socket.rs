//! The status socket: the state of a gate for programs of its own container, without `--listen`. IO: listens, and reads.
//!
//! The socket is abstract (unix(7)): it needs no directory that can be written, and ends with its process. Its name has the number of
//! the mount namespace, since the containers of a pod share the namespace of abstract names, which is the network's, and the id of the
//! process. A client finds the sockets in `/proc/net/unix`: those of its own mount namespace, and those of processes with the same root
//! directory, since a confined service of systemd has a mount namespace of its own. A client of another user than root or the gate's
//! own gets no answer. An answer is the JSON of `/status`, and the end.
//!
//! Any process of the network namespace may listen at any such name, so a client looks at the server too: it asks the process alone whose
//! id is in the name, if root or the client's own user runs it. The others are passed over, as if they were not there.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{self, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::AsyncReadExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::Instant;

use crate::report::board::StatusBoard;
use crate::report::status::Status;
use crate::sys::backoff::Backoff;

/// The time limit of one answer. Clients wait for each other, so that a client that does not read costs one connection.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Backoff of listening.
const RETRY: Backoff = Backoff::SECONDS;
/// The pause after an error of accept(2), such as too many open files.
const PAUSE: Duration = Duration::from_secs(1);
/// The pause between two tries to connect to a listener whose queue is full.
const CONNECT_PAUSE: Duration = Duration::from_millis(20);
/// The largest answer in bytes.
const LARGEST_ANSWER: u64 = 1 << 20;

/// The beginning of the names of all sockets.
const PREFIX: &str = "reload-gate/status/";
/// The sockets of the network namespace; a name begins with `@` if it is abstract (proc_pid_net(5)).
const SOCKETS: &str = "/proc/net/unix";

/// The number of this mount namespace.
fn container() -> io::Result<u64> {
    Ok(std::fs::metadata("/proc/self/ns/mnt")?.ino())
}

/// Answers clients, without end. A failure to listen is tried again.
pub async fn serve(boards: Vec<Rc<StatusBoard>>) {
    let own = || Ok(StatusSocket { container: container()?, pid: std::process::id() });
    let listener = listening(own).await;
    loop {
        match listener.accept().await {
            Ok((stream, _)) if stream.peer_cred().is_ok_and(|client| is_trusted(client.uid())) => {
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

/// Listens, as soon as that is possible: the process may have no descriptor left for a while.
async fn listening(own: impl Fn() -> io::Result<StatusSocket>) -> UnixListener {
    let mut failures = 0;
    loop {
        match own().and_then(|own| listen(&own)) {
            Ok(listener) => return listener,
            Err(error) => tracing::debug!(%error, "no status socket"),
        }
        tokio::time::sleep(RETRY.wait(failures)).await;
        failures = failures.saturating_add(1);
    }
}

fn listen(own: &StatusSocket) -> io::Result<UnixListener> {
    let listener = net::UnixListener::bind_addr(&address(own)?)?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Returns true for root and the own user of this process.
fn is_trusted(user: u32) -> bool {
    user == 0 || user == rustix::process::geteuid().as_raw()
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
/// not for the loop. Servers of other users are passed over.
///
/// # Errors
/// When the sockets cannot be listed. An error of one process is in its answer: no whole answer within `timeout`, another user.
pub fn read(timeout: Duration) -> io::Result<Vec<ProcessAnswer>> {
    let (all, own) = (sockets(&std::fs::read_to_string(SOCKETS)?), container()?);
    let asked = all.into_iter().filter(|socket| socket.container == own || socket.has_our_root());
    let asked: Vec<_> = asked.filter(StatusSocket::may_be_trusted).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(async {
        let deadline = Instant::now() + timeout;
        // At once: a server that does not answer takes no time of the others.
        let answers = join_all(asked.iter().map(|socket| read_one(socket, deadline))).await;
        let answers = asked.iter().zip(answers).filter_map(|(socket, answer)| Some((socket.pid, answer.transpose()?)));
        answers.map(|(pid, text)| ProcessAnswer { pid, text }).collect()
    }))
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
    /// Returns true if there is a process of its number which may be a gate. The server may be another process still.
    fn may_be_trusted(&self) -> bool {
        std::fs::metadata(format!("/proc/{}", self.pid)).is_ok_and(|process| self.is_gate(process.uid()))
    }

    /// Returns true if root or the own user runs the process. Root may see those of other users as well, if they execute the program of this
    /// process (proc_pid_exe(5)).
    fn is_gate(&self, user: u32) -> bool {
        let program = |pid: &str| std::fs::metadata(format!("/proc/{pid}/exe")).map(|file| (file.dev(), file.ino()));
        let runs_this =
            || program(&self.pid.to_string()).is_ok_and(|theirs| program("self").is_ok_and(|own| own == theirs));
        is_trusted(user) || (rustix::process::geteuid().is_root() && runs_this())
    }

    /// Returns true if the server at the other end is the process of the name (SO_PEERCRED of unix(7)), and trusted.
    fn is_server(&self, stream: &UnixStream) -> bool {
        let pid = i32::try_from(self.pid).ok();
        stream.peer_cred().is_ok_and(|server| self.is_gate(server.uid()) && server.pid() == pid)
    }

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

/// Returns the answer of one server; `None` if it is not the process of the name, or of another user.
async fn read_one(socket: &StatusSocket, deadline: Instant) -> io::Result<Option<String>> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "it has not answered in time");
    tokio::time::timeout_at(deadline, exchange(socket)).await.map_err(late)?
}

async fn exchange(socket: &StatusSocket) -> io::Result<Option<String>> {
    let stream = connect(socket).await?;
    if !socket.is_server(&stream) {
        return Ok(None);
    }
    let mut text = String::new();
    stream.take(LARGEST_ANSWER + 1).read_to_string(&mut text).await?;
    if text.is_empty() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it answers to root and to its own user alone"));
    }
    if text.len() as u64 > LARGEST_ANSWER {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("its answer is larger than {LARGEST_ANSWER} bytes"),
        ));
    }
    Ok(Some(text))
}

/// Connects without waiting in the kernel: connect(2) waits without end for a place in the queue of a listener that does not accept.
async fn connect(socket: &StatusSocket) -> io::Result<UnixStream> {
    let address = address(socket)?.into();
    loop {
        match UnixStream::connect_addr(&address).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(CONNECT_PAUSE).await,
            done => return done,
        }
    }
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

    fn own_socket(pid: u32) -> (StatusSocket, net::UnixListener) {
        // No name of a gate: the tests of one process run at once.
        let socket = StatusSocket { container: u64::from(std::process::id()) << 20, pid };
        let listener = net::UnixListener::bind_addr(&address(&socket).expect("it is short")).expect("it is free");
        (socket, listener)
    }

    fn answer_of(socket: &StatusSocket, timeout: Duration) -> io::Result<Option<String>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
        runtime.block_on(async { read_one(socket, Instant::now() + timeout).await })
    }

    #[test]
    fn a_failure_to_listen_is_tried_again() {
        let (socket, taken) = own_socket(0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
        let tries = std::cell::Cell::new(0);
        let own = || {
            tries.set(tries.get() + 1);
            Ok(socket.clone())
        };
        runtime.block_on(async {
            let mut listening = std::pin::pin!(listening(own));
            let at_once = tokio::time::timeout(Duration::from_millis(1), listening.as_mut()).await;
            assert!(at_once.is_err(), "the name is taken");
            drop(taken);
            let later = tokio::time::timeout(Duration::from_secs(20), listening).await;
            assert!(later.is_ok(), "it is free");
        });
        assert_eq!(tries.get(), 2, "nothing is tried without a pause");
    }

    #[test]
    fn a_server_that_is_not_the_process_of_the_name_is_passed_over() {
        let (other, listener) = own_socket(std::process::id() + 1);
        let served = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("it connects");
            // It has perhaps gone away already.
            let _ = io::Write::write_all(&mut stream, b"forged");
        });
        assert_eq!(answer_of(&other, Duration::from_secs(5)).expect("it is no error"), None);
        served.join().expect("it ends");
        let unused = StatusSocket { container: 7, pid: u32::MAX };
        assert!(!unused.may_be_trusted());
    }

    #[test]
    fn an_answer_has_one_time_limit_and_one_size() {
        let (socket, listener) = own_socket(std::process::id());
        let served = std::thread::spawn(move || {
            for chunk in [vec![b' '; 64 << 10], vec![b' '; 1]] {
                let (mut stream, _) = listener.accept().expect("it connects");
                while io::Write::write_all(&mut stream, &chunk).is_ok() {
                    if chunk.len() == 1 {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                }
            }
            // The queue of this listener fills up, since nothing accepts any more.
            let queued: Vec<_> = std::iter::from_fn(|| {
                let name = listener.local_addr().expect("it has one");
                let socket = rustix::net::socket_with(
                    rustix::net::AddressFamily::UNIX,
                    rustix::net::SocketType::STREAM,
                    rustix::net::SocketFlags::NONBLOCK,
                    None,
                );
                let socket = socket.expect("there is room");
                let name = name.as_abstract_name().expect("it is one");
                let name = rustix::net::SocketAddrUnix::new_abstract_name(name).expect("it is short");
                rustix::net::connect(&socket, &name).ok().map(|()| socket)
            })
            .collect();
            (listener, queued)
        });
        let large = answer_of(&socket, Duration::from_secs(5)).expect_err("it is too large");
        assert_eq!(large.kind(), io::ErrorKind::FileTooLarge);
        let slow = answer_of(&socket, Duration::from_millis(200)).expect_err("it never ends");
        assert_eq!(slow.kind(), io::ErrorKind::TimedOut);
        let _kept = served.join().expect("it ends");
        let full = answer_of(&socket, Duration::from_millis(200)).expect_err("it is not accepted");
        assert_eq!(full.kind(), io::ErrorKind::TimedOut);
    }
}
