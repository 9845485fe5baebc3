//! Processes of the tests: installed programs, copies under names of their own, and free ports.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A command that a test starts by itself. The PATH of a plain user of Debian lacks the directories of daemons.
#[expect(clippy::disallowed_methods, reason = "the gate's own door to children is what is tested")]
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let program = program.as_ref();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_found = std::env::split_paths(&path).any(|directory| directory.join(program).is_file());
    match program.to_str().and_then(find).filter(|_| !is_found) {
        Some(found) => Command::new(found),
        None => Command::new(program),
    }
}

/// Directory in which a program is installed.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    path.split(':').map(|directory| Path::new(directory).join(program)).find(|path| path.is_file())
}

pub(crate) fn installed(program: &str) -> bool {
    find(program).is_some()
}

/// A command name that no other process has; short enough for /proc.
pub(crate) fn unique(prefix: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}{}x{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A copy of an installed program, called `name`.
pub(crate) fn copy(program: &str, directory: &Path, name: &str) -> PathBuf {
    let copy = directory.join(name);
    install(&find(program).expect("it is installed"), &copy);
    copy
}

/// Copies a file to be executed. Not by this process: a child that another test starts just then would inherit the open copy,
/// and what is open for writing cannot be executed (`ETXTBSY`, execve(2)).
pub(crate) fn install(from: &Path, to: &Path) {
    let copied = command("cp").arg(from).arg(to).status().expect("cp is installed");
    assert!(copied.success(), "{} cannot be copied to {}", from.display(), to.display());
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).expect("the mode can be set");
}

/// A port that this process has not given out yet, and that no server holds. Below those that Linux gives to connections
/// (32768, `ip_local_port_range` in ip(7)): one of those could take it before the test does.
pub(crate) fn free_port() -> u16 {
    const FIRST: u32 = 10240;
    const COUNT: u32 = 32768 - FIRST;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Test processes that run side by side begin at different places.
    let start = std::process::id().wrapping_mul(257);
    let candidates = (0..COUNT).map(|_| FIRST + (start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed))) % COUNT);
    let mut ports = candidates.map(|port| u16::try_from(port).expect("it is below 32768"));
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("there is a free port")
}

/// A process that is killed, with the group that it leads, when the test ends.
pub(crate) struct Background(Child);

impl Background {
    pub(crate) fn start(command: &mut Command) -> Self {
        use std::os::unix::process::CommandExt as _;
        command.process_group(0).stdin(Stdio::null());
        loop {
            match command.spawn() {
                // A child which another test forks holds this program open for writing until it executes its own.
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
                started => return Self(started.expect("it starts")),
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.0.try_wait().expect("it is ours").is_none()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.0.wait();
    }
}
