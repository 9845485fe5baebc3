//! The status socket: the state of a gate for programs of its own container, without `--listen`. IO: listens, and reads.
//!
//! The socket is abstract (unix(7)): it needs no directory that can be written, and ends with its process. Its name ends with the
//! number of the mount namespace, since the containers of a pod share the namespace of abstract names, which is the network's. A
//! client of another user than root or the gate's own gets no answer. An answer is the JSON of `/status`, and the end.

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

/// The socket of this container.
fn address() -> io::Result<SocketAddr> {
    let container = std::fs::metadata("/proc/self/ns/mnt")?.ino();
    SocketAddr::from_abstract_name(format!("reload-gate/status/{container}"))
}

/// Answers clients, without end. Of several gate processes in one container the first has the socket.
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
    let listener = net::UnixListener::bind_addr(&address()?)?;
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

/// Reads the status of the gate in this container. It waits, so it is not for the loop.
///
/// # Errors
/// When there is no gate, or no answer within `timeout`.
pub fn read(timeout: Duration) -> io::Result<String> {
    let mut stream = net::UnixStream::connect_addr(&address()?)?;
    stream.set_read_timeout(Some(timeout))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}
