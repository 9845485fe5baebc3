//! The bounded queue between those who report and the thread that writes standard error. IO: writes there.
//!
//! `tracing-appender` has the same shape, but prints to standard output where its queue is full at the end, and so hangs
//! where both outputs are one pipe without a reader.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};

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
        let output = LineOutput::of(io::stderr());
        thread::Builder::new().name("log".into()).spawn(move || write_all(&receiver, &counter, missing, output))?;
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

fn write_all(
    messages: &Receiver<Message>,
    dropped: &Dropped,
    missing: impl Fn(u64) -> String,
    mut output: LineOutput<impl io::Write>,
) {
    let mut reported = 0;
    for message in messages {
        match message {
            Message::Line(line) => {
                let count = dropped.count();
                let is_complete = count == reported || output.write(&missing(count - reported)).is_ok();
                if is_complete {
                    reported = count;
                }
                // A reader that went away does not end the gate.
                if !is_complete || output.write(&line).is_err() {
                    dropped.0.fetch_add(1, Ordering::Relaxed);
                }
            }
            // The caller may have stopped waiting.
            Message::End(done) => drop(done.try_send(())),
        }
    }
}

/// An output of lines.
struct LineOutput<W> {
    output: W,
    /// The last line was written in part: the disk was full.
    is_torn: bool,
}

impl<W: io::Write> LineOutput<W> {
    fn of(output: W) -> Self {
        Self { output, is_torn: false }
    }

    /// Writes a line at once, so that lines never mix.
    ///
    /// # Errors
    /// When it is not written, or not all of it.
    fn write(&mut self, line: &str) -> io::Result<()> {
        let joined = if self.is_torn { format!("\n{line}") } else { line.to_owned() };
        let mut rest = joined.as_bytes();
        while !rest.is_empty() {
            match self.output.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.is_torn = !rest[..written].ends_with(b"\n");
                    rest = &rest[written..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Another program may have made a shared pipe or terminal non-blocking.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_for_room()?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Waits until standard error takes more.
fn wait_for_room() -> io::Result<()> {
    let stderr = io::stderr();
    let mut stderr = [PollFd::new(&stderr, PollFlags::OUT)];
    rustix::event::poll(&mut stderr, None)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that has room for so many bytes.
    #[derive(Default)]
    struct Disk {
        room: usize,
        written: String,
    }

    impl io::Write for &mut Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let written = bytes.len().min(self.room);
            self.room -= written;
            self.written += std::str::from_utf8(&bytes[..written]).expect("it is ASCII");
            Ok(written)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn write_lines(disk: &mut Disk, dropped: &Dropped, lines: &[&str]) {
        let (sender, receiver) = sync_channel(CAPACITY);
        lines.iter().for_each(|line| sender.try_send(Message::Line(format!("{line}\n"))).expect("it has room"));
        drop(sender);
        write_all(&receiver, dropped, |count| format!("{count} missing\n"), LineOutput::of(disk));
    }

    #[test]
    fn what_a_full_disk_does_not_take_is_counted() {
        let (mut disk, dropped) = (Disk { room: 5, ..Disk::default() }, Dropped::default());
        write_lines(&mut disk, &dropped, &["one", "two", "three"]);
        assert_eq!((disk.written.as_str(), dropped.count()), ("one\nt", 2));
        disk.room = 0;
        let (sender, receiver) = sync_channel(CAPACITY);
        let line = |line: &str| Message::Line(format!("{line}\n"));
        assert!(sender.try_send(line("four")).is_ok() && sender.try_send(line("five")).is_ok());
        drop(sender);
        let mut output = LineOutput::of(&mut disk);
        output.is_torn = true;
        write_all(&receiver, &dropped, |count| format!("{count} missing\n"), output);
        assert_eq!((disk.written.as_str(), dropped.count()), ("one\nt", 4));
    }

    #[test]
    fn a_torn_line_has_an_end_and_a_successor() {
        let mut disk = Disk { room: 2, ..Disk::default() };
        let mut output = LineOutput::of(&mut disk);
        output.write("one\n").expect_err("there is no room");
        output.output.room = 100;
        output.write("two\n").expect("there is room");
        output.write("three\n").expect("there is room");
        assert_eq!(disk.written, "on\ntwo\nthree\n");
    }
}
