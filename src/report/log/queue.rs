//! The bounded queue between those who report and the thread that writes standard error. IO: writes there.
//!
//! `tracing-appender` has the same shape, but prints to standard output where its queue is full at the end, and so hangs
//! where both outputs are one pipe without a reader.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// The number of lines that wait for a slow reader before lines are dropped.
const CAPACITY: usize = 1024;

/// The longest time that the end of the process waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

enum Message {
    Line(String),
    /// Everything before this message is written.
    End(SyncSender<()>),
}

/// The number of lines that were dropped.
#[derive(Clone, Debug, Default)]
pub struct Dropped(Arc<AtomicU64>);

impl Dropped {
    /// Returns the number so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The end of the queue that takes lines.
#[derive(Clone)]
pub(super) struct LogQueue {
    sender: SyncSender<Message>,
    dropped: Dropped,
}

impl LogQueue {
    /// Starts the thread. `missing` renders the line that counts dropped lines.
    ///
    /// # Errors
    /// When the thread cannot be made.
    pub(super) fn start(missing: impl Fn(u64) -> String + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(CAPACITY);
        let dropped = Dropped::default();
        let counter = dropped.clone();
        thread::Builder::new().name("log".into()).spawn(move || write_all(&receiver, &counter, missing))?;
        Ok(Self { sender, dropped })
    }

    /// Takes a line, or counts it where the queue is full.
    pub(super) fn push(&self, line: String) {
        if self.sender.try_send(Message::Line(line)).is_err() {
            self.dropped.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything is written, for a bounded time; not at all where the queue is full.
    pub(super) fn flush(&self) {
        let (sender, done) = sync_channel(1);
        if self.sender.try_send(Message::End(sender)).is_ok() {
            let _ = done.recv_timeout(LAST_LINES);
        }
    }

    pub(super) fn dropped(&self) -> Dropped {
        self.dropped.clone()
    }
}

fn write_all(messages: &Receiver<Message>, dropped: &Dropped, missing: impl Fn(u64) -> String) {
    let mut reported = 0;
    for message in messages {
        match message {
            Message::Line(line) => {
                let count = dropped.count();
                if count > reported {
                    write(&missing(count - reported));
                    reported = count;
                }
                write(&line);
            }
            // The caller may have stopped waiting.
            Message::End(done) => drop(done.try_send(())),
        }
    }
}

/// Writes a line at once, so that lines never mix. A reader that went away does not end the gate.
fn write(line: &str) {
    let _ = io::stderr().write_all(line.as_bytes());
}
