//! A running gate: its process, its log, its status.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use serde_json::Value;

use crate::client;
use crate::holdings::Holdings;
use crate::journal::Journal;
use crate::process::command;

/// The time that a gate has to end after SIGTERM: its grace period and something for a busy machine.
const END: Duration = Duration::from_secs(10);
/// The size of the pipe between a gate and the reader of its log: a stalled reader is noticed early.
const PIPE: usize = 4096;

/// The command of a gate, which can be started again.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) binary: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) port: u16,
    /// Its `TMPDIR`.
    pub(crate) temporary: PathBuf,
    /// The library that shifts its clock, and the file with the shift.
    pub(crate) clock: Option<(PathBuf, PathBuf)>,
}

/// A gate process.
pub(crate) struct Gate {
    child: Child,
    port: u16,
    journal: Arc<Mutex<Journal>>,
    paused: Arc<AtomicBool>,
    /// Its resources when it had worked for a while.
    pub(crate) baseline: Option<Holdings>,
    /// The objects of its descriptors then.
    pub(crate) baseline_descriptors: Vec<String>,
    /// The updates since its start.
    pub(crate) updates: u64,
}

impl Launch {
    /// Starts the gate.
    pub(crate) fn start(&self) -> Gate {
        let mut gate = command(&self.binary);
        gate.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("TMPDIR", &self.temporary);
        if let Some((library, offset)) = &self.clock {
            gate.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", offset);
            // The clock jumps, and nothing else (the manual of libfaketime): neither the monotonic clock, nor the times of files.
            gate.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("NO_FAKE_STAT", "1").env("FAKETIME_NO_CACHE", "1");
        }
        let (reader, writer) = std::io::pipe().expect("there is a descriptor");
        rustix::pipe::fcntl_setpipe_size(&reader, PIPE).expect("a pipe can be small");
        gate.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(writer);
        let child = gate.spawn().expect("the gate starts");
        let (journal, paused) = (Arc::new(Mutex::new(Journal::default())), Arc::new(AtomicBool::new(false)));
        let (shared, is_paused) = (journal.clone(), paused.clone());
        thread::spawn(move || {
            let mut lines = BufReader::with_capacity(512, reader).lines().map_while(Result::ok);
            loop {
                while is_paused.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(10));
                }
                let Some(line) = lines.next() else { break };
                locked(&shared).read(&line);
            }
        });
        Gate { child, port: self.port, journal, paused, baseline: None, baseline_descriptors: Vec::new(), updates: 0 }
    }
}

fn locked(journal: &Mutex<Journal>) -> MutexGuard<'_, Journal> {
    journal.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_child(child)
}

impl Gate {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn journal(&self) -> MutexGuard<'_, Journal> {
        locked(&self.journal)
    }

    /// The end of the process, if it has ended.
    pub(crate) fn ended(&mut self) -> Option<String> {
        self.child.try_wait().ok()?.map(|status| status.to_string())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let _ = kill_process(pid_of(&self.child), signal);
    }

    /// Kills the gate, and waits for its end.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks the gate to stop.
    ///
    /// # Errors
    /// When it does not end in time, with 0.
    pub(crate) fn stop(&mut self) -> Result<(), String> {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + END;
        loop {
            match self.ended() {
                Some(end) if end == "exit status: 0" => return Ok(()),
                Some(end) => return Err(format!("a stopped gate ended with {end}")),
                None if Instant::now() > deadline => return Err(format!("a gate did not stop within {END:?}")),
                None => thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Lets the reader of the log stall, or read on.
    pub(crate) fn stall_log(&self, stalled: bool) {
        self.paused.store(stalled, Ordering::Relaxed);
    }

    /// Leaves the gate this number of free descriptors; all of them again without one.
    pub(crate) fn limit_descriptors(&self, free: Option<u64>) {
        let in_use = Holdings::of(self.pid()).map_or(0, |holdings| holdings.descriptors);
        let all = getrlimit(Resource::Nofile);
        let limit = free.map_or(all, |free| Rlimit { current: Some(in_use + free), ..all });
        let _ = prlimit(Some(pid_of(&self.child)), Resource::Nofile, limit);
    }

    /// The state of the gate, as `/status` has it.
    pub(crate) fn status(&self) -> Option<Value> {
        let text = client::get(self.port, "/status").ok()?;
        let status: Value = serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()?;
        status["gates"].get(0).cloned()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.stall_log(false);
        self.kill();
    }
}

/// Shifts the clock of a gate by these seconds.
pub(crate) fn shift_clock(file: &Path, seconds: i64) {
    let new = file.with_extension("new");
    std::fs::write(&new, format!("{seconds:+}\n")).and_then(|()| std::fs::rename(&new, file)).expect("there is room");
}
