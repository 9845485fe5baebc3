//! Dispositions of the signals of a process, read again and again through files that stay open. IO: reads /proc.
//!
//! Between a verdict and its signal each reading is one system call. An open file of /proc stays with its process: when that has ended,
//! reading fails, whatever has its number now (`proc_pid_status(5)`, `get_proc_task()` in the kernel's `fs/proc/internal.h`).

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::unix::fs::FileExt as _;
use std::sync::{Mutex, PoisonError};

/// Longer than any status.
const STATUS: usize = 4096;
/// Number of its lines that are read: the state, and five masks.
const LINES: usize = 6;
/// Longer than the line about a system call: nine numbers.
const CALL: usize = 256;

/// The state of a process, and its signals as masks in which signal 1 is the lowest bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalState {
    /// The letter of its state, as `T` for a stopped one.
    pub state: u8,
    /// Sent and not taken yet.
    pub pending: u64,
    /// Blocked, as by a program that takes them with signalfd(2).
    pub blocked: u64,
    /// Ignored.
    pub ignored: u64,
    /// With a handler.
    pub caught: u64,
    /// The number of times that it has gone to sleep (`voluntary_ctxt_switches`), where that is shown.
    pub sleeps: Option<u64>,
}

impl SignalState {
    /// Parses a status (`proc_pid_status(5)`).
    pub(super) fn parse(status: &[u8]) -> Option<Self> {
        let (mut signals, mut found) = (Self::default(), 0);
        // Line by line: the name of the process may be no UTF-8.
        for line in status.split(|byte| *byte == b'\n') {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name == b"State" {
                signals.state = *value.first()?;
                found += 1;
                continue;
            }
            let mask = match name {
                b"SigPnd" | b"ShdPnd" => &mut signals.pending,
                b"SigBlk" => &mut signals.blocked,
                b"SigIgn" => &mut signals.ignored,
                b"SigCgt" => &mut signals.caught,
                _ => continue,
            };
            *mask |= u64::from_str_radix(std::str::from_utf8(value).ok()?, 16).ok()?;
            found += 1;
            if found == LINES {
                return Some(Self { sleeps: sleeps(status), ..signals });
            }
        }
        None
    }
}

/// Reads a number near the end of a status.
fn sleeps(status: &[u8]) -> Option<u64> {
    let line = status.rsplit(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"voluntary_ctxt_switches:"))?;
    std::str::from_utf8(line.trim_ascii()).ok()?.parse().ok()
}

/// The open files of a process that tell about its signals.
#[derive(Debug)]
pub struct SignalFiles {
    pid: i32,
    status: File,
    waits: Mutex<Waits>,
}

/// The threads that waited for a signal when all were looked at.
#[derive(Debug, Default)]
struct Waits {
    /// The system call of each.
    calls: Vec<File>,
    memory: Option<File>,
}

impl SignalFiles {
    /// Opens the files of a process; `None` when it has ended.
    #[must_use]
    pub fn open(pid: i32) -> Option<Self> {
        let status = File::open(format!("/proc/{pid}/status")).ok()?;
        Some(Self { pid, status, waits: Mutex::default() })
    }

    /// Returns the state of the process; `None` when it has ended.
    #[must_use]
    pub fn state(&self) -> Option<SignalState> {
        let mut buffer = [MaybeUninit::uninit(); STATUS];
        let (status, _) = rustix::io::pread(&self.status, &mut buffer, 0).ok()?;
        SignalState::parse(status)
    }

    /// Returns true if a thread of the process waits for a signal at this moment with sigwait(3) or its like; false without the permission
    /// to look.
    ///
    /// While it waits, /proc shows the signal neither as caught nor as blocked (`do_sigtimedwait()` in `kernel/signal.c` unblocks it),
    /// so the set is read where the argument of that system call points to (`proc_pid_syscall(5)`, `proc_pid_mem(5)`).
    #[must_use]
    pub fn is_awaited(&self, number: i32) -> bool {
        let is_set = |mask: u64| mask >> (number - 1) & 1 == 1;
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        // A program that waits for signals mostly does so in one thread.
        if is_set(waits.awaited()) {
            return true;
        }
        *waits = Waits::of(self.pid);
        is_set(waits.awaited())
    }
}

impl Waits {
    fn of(pid: i32) -> Self {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let calls = threads.filter_map(|thread| File::open(thread.path().join("syscall")).ok());
        let calls: Vec<_> = calls.filter(|call| waited_set(call).is_some()).collect();
        let memory = (!calls.is_empty()).then(|| File::open(format!("/proc/{pid}/mem")).ok()).flatten();
        Self { calls, memory }
    }

    /// The signals for which these threads wait.
    fn awaited(&self) -> u64 {
        let Some(memory) = &self.memory else { return 0 };
        let set = |call: &File| {
            let mut set = [0; 8];
            memory.read_exact_at(&mut set, waited_set(call)?).ok()?;
            Some(u64::from_ne_bytes(set))
        };
        self.calls.iter().filter_map(set).fold(0, |all, set| all | set)
    }
}

/// The address of the set of signals for which a thread waits, if it does.
fn waited_set(call: &File) -> Option<u64> {
    let mut buffer = [0; CALL];
    let length = call.read_at(&mut buffer, 0).ok()?;
    let mut words = std::str::from_utf8(&buffer[..length]).ok()?.split_whitespace();
    if words.next()?.parse() != Ok(nix::libc::SYS_rt_sigtimedwait) {
        return None;
    }
    u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_whatever_the_name_is() {
        let rest = "State:\tT (stopped)\nSigPnd:\t1\nShdPnd:\t2\nSigBlk:\t4\nSigIgn:\t8\nSigCgt:\t10\nSeccomp:\t0\n\
                    voluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t3\n";
        let expected = SignalState { state: b'T', pending: 3, blocked: 4, ignored: 8, caught: 16, sleeps: Some(12) };
        for name in [&b"plain"[..], b"State:", b"\xff\xfe"] {
            let status = [b"Name:\t", name, b"\nUmask:\t0022\n", rest.as_bytes()].concat();
            assert_eq!(SignalState::parse(&status), Some(expected), "{name:?}");
        }
        assert_eq!(SignalState::parse(b"Name:\tcut"), None);
    }

    #[test]
    fn this_process_runs_and_waits_for_nothing() {
        let files = SignalFiles::open(super::super::own()).expect("it is alive");
        let state = files.state().expect("it is alive");
        assert!(matches!(state.state, b'R' | b'S') && state.sleeps.is_some());
        assert!(!files.is_awaited(1));
    }
}
