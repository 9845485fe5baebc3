//! The heartbeat of gunicorn's workers. IO: reads /proc.
//!
//! Each worker has an unlinked file, `wgunicorn-…`, whose mode or time it changes in its main loop alone, which it enters when the
//! application is loaded: `WorkerTmp.notify()` in `gunicorn/workers/workertmp.py`, `Worker.init_process()` in `gunicorn/workers/base.py`.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use procfs::process::Stat;

use crate::sys::proc;

/// The beginning of the file's name (`tempfile.mkstemp(prefix="wgunicorn-")`).
const NAME: &str = "wgunicorn-";
/// The suffix of an unlinked file (`proc_pid_fd(5)`).
const UNLINKED: &str = " (deleted)";
/// The permissions of a file that mkstemp(3) has made. gunicorn 20 sets them to 0 or 1 with each beat.
const NEW: u32 = 0o600;
/// gunicorn 21 and newer set the time of the file to that of the monotonic clock, which begins with the machine. The times of a file that
/// was only made differ by less than this.
const SAME: Duration = Duration::from_secs(60);
/// The mask of SIGHUP in which signal 1 is the lowest bit.
const HANGUP: u64 = 1;

/// The heartbeat of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heartbeat {
    /// It has none: it is no worker of gunicorn's, or one that ends.
    Unknown,
    /// It may not be seen, as that of a worker of another user without CAP_SYS_PTRACE (`proc_fd_link()` in the kernel's `fs/proc/fd.c`).
    Hidden,
    /// The worker has not entered its main loop yet.
    Awaited,
    /// The worker has loaded its application, and serves.
    Beats,
}

impl Heartbeat {
    /// The heartbeat of process `pid`.
    #[must_use]
    pub fn of(pid: i32) -> Self {
        let files = match proc::open_files(pid) {
            Ok(files) => files,
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Self::Hidden,
            Err(_) => return Self::Unknown,
        };
        let files = files.into_iter().filter(|(_, file)| is_heartbeat(file)).map(|(path, _)| path);
        // A release of gunicorn may leave those of its siblings open: all of them beat in the end.
        let beats: Vec<bool> = files.filter_map(|path| std::fs::metadata(path).ok()).map(|file| beats(&file)).collect();
        if beats.is_empty() {
            return Self::Unknown;
        }
        if beats.iter().all(|beats| *beats) { Self::Beats } else { Self::Awaited }
    }
}

fn is_heartbeat(file: &Path) -> bool {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
    name.is_some_and(|name| name.starts_with(NAME) && name.ends_with(UNLINKED))
}

fn beats(file: &Metadata) -> bool {
    let is_new = file.mode() & 0o7777 == NEW;
    let seconds = i64::try_from(SAME.as_secs()).unwrap_or(i64::MAX);
    !is_new || file.ctime().abs_diff(file.mtime()) > seconds.unsigned_abs()
}

/// Returns `true` for a worker of gunicorn whose master has ended: no master, though it has the same name. It was forked, has a heartbeat, and
/// does not take SIGHUP (`Worker.init_signals()` in `gunicorn/workers/base.py`), which each master does.
pub(super) fn is_orphaned_worker(stat: &Stat) -> bool {
    let is_seen = || matches!(Heartbeat::of(stat.pid), Heartbeat::Awaited | Heartbeat::Beats);
    proc::is_mere_fork(stat) && is_seen() && !takes_hangup(stat.pid)
}

fn takes_hangup(pid: i32) -> bool {
    proc::SignalFiles::open(pid).and_then(|files| files.state()).is_none_or(|signals| signals.caught & HANGUP != 0)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_worker_has_loaded_its_application_when_its_heartbeat_beats() {
        let own = proc::own();
        assert_eq!(Heartbeat::of(own), Heartbeat::Unknown);
        let directory = tempfile::tempdir().expect("there is room");
        let path = directory.path().join("wgunicorn-abc");
        let file = std::fs::File::create(&path).expect("there is room");
        file.set_permissions(Permissions::from_mode(NEW)).expect("it is ours");
        assert_eq!(Heartbeat::of(own), Heartbeat::Unknown, "it has a name");
        std::fs::remove_file(&path).expect("it is ours");
        assert_eq!(Heartbeat::of(own), Heartbeat::Awaited);
        file.set_permissions(Permissions::from_mode(0o1)).expect("it is ours");
        assert_eq!(Heartbeat::of(own), Heartbeat::Beats, "gunicorn 20");
        file.set_permissions(Permissions::from_mode(NEW)).expect("it is ours");
        assert_eq!(Heartbeat::of(own), Heartbeat::Awaited);
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(5000)).expect("it is ours");
        assert_eq!(Heartbeat::of(own), Heartbeat::Beats, "gunicorn 21");
    }
}
