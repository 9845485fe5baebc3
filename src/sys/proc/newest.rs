//! The newest process, by which a changed process table is noticed. IO: reads /proc.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// `PROC_SUPER_MAGIC` (statfs(2)).
const PROC: rustix::fs::FsWord = 0x9fa0;

/// Largest number of processes that are looked for one by one: with more of them, a search is not much slower.
const FEW: i32 = 64;

/// The file with the number of the process, or thread, that was made last in this pid namespace (`proc_loadavg(5)`).
#[derive(Debug)]
pub struct NewestProcess(File);

impl NewestProcess {
    /// Opens the file; `None` if there is none, or if it is not the kernel's own, as in some containers.
    #[must_use]
    pub fn open() -> Option<Self> {
        let file = File::open("/proc/loadavg").ok()?;
        let is_kernels = rustix::fs::fstatfs(&file).is_ok_and(|statfs| statfs.f_type == PROC);
        is_kernels.then_some(Self(file))
    }

    /// Returns the number; `None` if the kernel does not tell it. As long as it stays the same, no process has been made.
    #[must_use]
    pub fn number(&self) -> Option<i32> {
        let mut buffer = [0; 128];
        let length = self.0.read_at(&mut buffer, 0).ok()?;
        let last = std::str::from_utf8(&buffer[..length]).ok()?.split_whitespace().nth(4)?;
        last.parse().ok().filter(|number| *number > 0)
    }
}

/// Returns `true` if the processes and threads that were made after number `before`, up to number `newest`, have all ended: a probe or a
/// cron job leaves nothing behind. `false` where that is unknown: there are many, or the numbers have begun again (`alloc_pid()` in
/// `kernel/pid.c` gives them out in a circle).
#[must_use]
pub fn have_ended(before: i32, newest: i32) -> bool {
    have_ended_in(Path::new("/proc"), before, newest)
}

/// The same by another list of processes. What cannot be looked at may be alive.
fn have_ended_in(list: &Path, before: i32, newest: i32) -> bool {
    let count = newest.checked_sub(before);
    let has_ended = |number: i32| matches!(list.join(number.to_string()).try_exists(), Ok(false));
    count.is_some_and(|count| (0..=FEW).contains(&count)) && (before..newest).all(|number| has_ended(number + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test wants a plain child")]
    fn processes_have_ended_when_none_is_left() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep is installed");
        let number = i32::try_from(child.id()).expect("it fits");
        assert!(have_ended(number, number), "none was made");
        assert!(!have_ended(number - 1, number), "it lives");
        child.kill().and_then(|()| child.wait()).expect("it is ours");
        assert!(have_ended(number - 1, number), "it is gone");
        assert!(!have_ended(number, number - 1), "the numbers have begun again");
        assert!(!have_ended(number - FEW - 1, number), "there are many");
    }

    #[test]
    fn a_process_that_cannot_be_looked_at_may_be_alive() {
        let list = tempfile::tempdir().expect("there is room");
        assert!(have_ended_in(list.path(), 6, 7), "none is there");
        // A link that leads to itself is an error of its own (ELOOP), as is a list that is none (ENOTDIR).
        std::os::unix::fs::symlink("7", list.path().join("7")).expect("there is room");
        assert!(!have_ended_in(list.path(), 6, 7));
        assert!(have_ended_in(list.path(), 7, 8), "it is about another one");
        assert!(!have_ended_in(Path::new("/dev/null"), 6, 7));
    }

    #[test]
    fn a_new_thread_has_another_number() {
        let newest = NewestProcess::open().expect("it is mounted");
        let before = newest.number().expect("it is known");
        std::thread::spawn(|| {}).join().expect("it ends");
        assert_ne!(newest.number(), Some(before));
    }
}
