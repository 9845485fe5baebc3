//! The client of an application, which asks all the while and judges each answer.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The pause between two requests.
const PAUSE: Duration = Duration::from_millis(30);
/// The time limit of a request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The record that the client and the scenario share.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) requests: AtomicU64,
    /// The longest time between two answers while the application was meant to run, in milliseconds.
    pub(crate) longest_gap: AtomicU64,
    /// The scenario itself keeps the application from answering.
    excused: AtomicBool,
    /// The number of such times.
    excuses: AtomicU64,
    /// No answer was expected and given since the last such time.
    is_new: AtomicBool,
    stop: AtomicBool,
    /// Answers of bad contents, or of two contents, that the application read by itself when it was started.
    started_on: Mutex<BTreeSet<String>>,
    /// Answers that come from two contents are violations.
    whole: bool,
    violations: Mutex<Vec<String>>,
}

/// The client.
pub(crate) struct Client {
    pub(crate) record: Arc<Record>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    /// Starts to ask; excused at first.
    pub(crate) fn start(port: u16, whole: bool) -> Self {
        let record = Arc::new(Record { excused: AtomicBool::new(true), whole, ..Record::default() });
        let shared = record.clone();
        let thread = thread::spawn(move || shared.ask_until_stopped(port));
        Self { record, thread: Some(thread) }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.record.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Record {
    /// Begins a time in which no answer is a fault of the scenario.
    pub(crate) fn excuse(&self) {
        self.excuses.fetch_add(1, Ordering::SeqCst);
        self.is_new.store(true, Ordering::SeqCst);
        self.excused.store(true, Ordering::SeqCst);
    }

    /// Ends it.
    pub(crate) fn expect_answers(&self) {
        self.excused.store(false, Ordering::SeqCst);
    }

    pub(crate) fn allow(&self, answer: &str) {
        self.started_on.lock().unwrap_or_else(PoisonError::into_inner).insert(answer.to_owned());
    }

    /// The violations since the last call.
    pub(crate) fn violations(&self) -> Vec<String> {
        std::mem::take(&mut self.violations.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ask_until_stopped(&self, port: u16) {
        let mut last = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            let (excuses, excused) = (self.excuses.load(Ordering::SeqCst), self.excused.load(Ordering::SeqCst));
            let asked = Instant::now();
            let answer = ask(port);
            let excused = excused || excuses != self.excuses.load(Ordering::SeqCst);
            match answer {
                Ok(answer) => {
                    self.requests.fetch_add(1, Ordering::Relaxed);
                    self.judge(&answer, excused);
                }
                Err(error) if !excused => self.add(format!("no answer after {:?}: {error}", asked.elapsed())),
                Err(_) => {}
            }
            if !excused {
                let gap = u64::try_from(last.elapsed().as_millis()).unwrap_or(u64::MAX);
                self.longest_gap.fetch_max(gap, Ordering::Relaxed);
            }
            last = Instant::now();
            thread::sleep(PAUSE);
        }
    }

    fn judge(&self, answer: &str, excused: bool) {
        // A program that starts may read two contents, one after the other; a gate has no part in it, except that it reloads it soon.
        let is_new = excused || self.is_new.swap(false, Ordering::SeqCst);
        let is_mixed = is_good(answer) && self.whole && !is_whole(answer);
        if is_mixed && is_new {
            self.allow(answer);
        }
        let is_allowed = || self.started_on.lock().unwrap_or_else(PoisonError::into_inner).contains(answer);
        if is_mixed && !is_allowed() {
            self.add(format!("an answer mixes two contents: {answer:?}"));
        } else if !is_good(answer) && !is_allowed() {
            self.add(format!("bad content was served: {answer:?}"));
        }
    }

    fn add(&self, violation: String) {
        self.violations.lock().unwrap_or_else(PoisonError::into_inner).push(violation);
    }
}

pub(crate) fn is_good(answer: &str) -> bool {
    answer.starts_with("good-")
}

/// Returns true if both parts of an answer of nginx have the same number.
fn is_whole(answer: &str) -> bool {
    let parts = answer.strip_prefix("good-").and_then(|parts| parts.split_once('/'));
    parts.is_none_or(|(one, other)| one == other)
}

/// One request: the body of an answer with the code 200.
///
/// # Errors
/// When there is no such answer.
pub(crate) fn ask(port: u16) -> std::io::Result<String> {
    let text = get(port, "/")?;
    let code = text.split(' ').nth(1).unwrap_or_default();
    match text.split_once("\r\n\r\n") {
        Some((_, body)) if code == "200" => Ok(body.to_owned()),
        _ => Err(std::io::Error::new(ErrorKind::InvalidData, format!("{text:?}"))),
    }
}

/// The whole answer to a GET request.
///
/// # Errors
/// When there is no connection, or it ends early.
pub(crate) fn get(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}
