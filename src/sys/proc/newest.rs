//! The newest process, by which a changed process table is noticed. IO: reads /proc.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// `PROC_SUPER_MAGIC` (statfs(2)).
const PROC: rustix::fs::FsWord = 0x9fa0;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_thread_has_another_number() {
        let newest = NewestProcess::open().expect("it is mounted");
        let before = newest.number().expect("it is known");
        std::thread::spawn(|| {}).join().expect("it ends");
        assert_ne!(newest.number(), Some(before));
    }
}
