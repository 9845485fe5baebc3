//! Holders of locks (`/proc/locks`). IO: reads it.

use rustix::fs::{Stat, major, minor};

/// Returns the process that has a whole file or directory locked exclusively by flock(2); `None` if it is unknown, as in another namespace
/// of processes, or on a file system whose files have another device number than its locks.
#[must_use]
pub fn exclusive_holder(file: &Stat) -> Option<i32> {
    in_table(&std::fs::read_to_string("/proc/locks").ok()?, file)
}

/// Finds the holder in lines such as `1: FLOCK  ADVISORY  WRITE 42 fd:01:7 0 EOF` (`lock_get_status()` in `fs/locks.c`). A process that
/// waits for a lock has `->` in front of `FLOCK`.
fn in_table(table: &str, file: &Stat) -> Option<i32> {
    let name = format!("{:02x}:{:02x}:{}", major(file.st_dev), minor(file.st_dev), file.st_ino);
    let holder = |line: &str| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let is_exclusive = words.next()? == "FLOCK" && words.nth(1)? == "WRITE";
        let pid: i32 = words.next()?.parse().ok()?;
        (is_exclusive && words.next()? == name && pid > 0).then_some(pid)
    };
    table.lines().find_map(holder)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use rustix::fs::{FlockOperation, flock, fstat, makedev};

    use super::*;

    #[test]
    fn the_holder_is_the_one_that_has_the_lock() {
        let file = tempfile::tempfile().expect("there is room");
        let mut stat = fstat(&file).expect("it is open");
        (stat.st_dev, stat.st_ino) = (makedev(0xfd, 1), 7);
        let table = "1: FLOCK  ADVISORY  READ 41 fd:01:7 0 EOF\n2: POSIX  ADVISORY  WRITE 42 fd:01:7 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 43 fd:01:77 0 EOF\n3: -> FLOCK  ADVISORY  WRITE 44 fd:01:7 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE 0 fd:01:7 0 EOF\nx\n5: FLOCK  ADVISORY  WRITE 45 fd:01:7 0 EOF\n";
        assert_eq!(in_table(table, &stat), Some(45));
        assert_eq!(in_table("", &stat), None);
    }

    #[test]
    fn the_table_of_the_kernel_is_understood() {
        let directory = tempfile::tempdir().expect("there is room");
        let file = File::open(directory.path()).expect("it is there");
        flock(&file, FlockOperation::NonBlockingLockExclusive).expect("it is free");
        let found = exclusive_holder(&fstat(&file).expect("it is open"));
        // Not every file system has the same device number for both.
        assert!(found.is_none_or(|pid| pid == crate::sys::proc::own()), "{found:?}");
    }
}
