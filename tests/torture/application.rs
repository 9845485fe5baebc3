//! The application of a scenario, with a supervisor as a container runtime is one: it starts again when it has ended.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::client::{self, Client, Record};
use crate::holdings;
use crate::process::Background;
use crate::program::{Place, Program};

/// The time in which a started application answers.
const START: Duration = Duration::from_secs(20);
/// The pause between two starts of an application that ends at once.
const BACKOFF: Duration = Duration::from_millis(300);

/// An application with the client that asks it.
pub(crate) struct Application {
    pub(crate) program: Program,
    pub(crate) place: Place,
    pub(crate) binary: PathBuf,
    main: PathBuf,
    client: Client,
    process: Option<Background>,
    started: Instant,
    /// It has answered since its last start.
    has_answered: bool,
}

impl Application {
    pub(crate) fn new(program: Program, place: Place, binary: PathBuf, main: PathBuf, whole: bool) -> Self {
        let client = Client::start(place.port, whole);
        Self { program, place, binary, main, client, process: None, started: Instant::now(), has_answered: false }
    }

    pub(crate) fn record(&self) -> &Record {
        &self.client.record
    }

    /// Starts it; nothing else is awaited.
    fn spawn(&mut self) {
        (self.started, self.has_answered) = (Instant::now(), false);
        self.process = Some(Background::start(&mut self.program.start(&self.binary, &self.place, &self.main)));
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Background::is_alive)
    }

    /// Returns true if it ended without a reason: it answered since its last start.
    pub(crate) fn ended_by_itself(&mut self) -> bool {
        self.has_answered && !self.is_running()
    }

    /// Returns true if there is a configuration to start with.
    pub(crate) fn can_start(&self) -> bool {
        self.main.exists()
    }

    /// Starts it if it has ended, and expects answers when it gives the first.
    pub(crate) fn supervise(&mut self) {
        if !self.is_running() {
            self.record().excuse();
            if self.process.is_some() && self.started.elapsed() < BACKOFF {
                return;
            }
            self.spawn();
        }
        if client::ask(self.place.port).is_ok() {
            self.expect_answers();
        }
    }

    fn expect_answers(&mut self) {
        self.has_answered = true;
        self.record().expect_answers();
    }

    /// Starts it, and waits until it answers; returns false if it ends at once.
    pub(crate) fn start(&mut self) -> bool {
        self.spawn();
        self.answers()
    }

    /// Waits until it answers, and expects answers from then on; returns false if it ends or takes too long.
    pub(crate) fn answers(&mut self) -> bool {
        let deadline = Instant::now() + START;
        while client::ask(self.place.port).is_err() {
            if !self.is_running() || Instant::now() > deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.expect_answers();
        true
    }

    /// Kills it with its workers, as the end of a container does.
    pub(crate) fn kill(&mut self) {
        self.record().excuse();
        self.has_answered = false;
        self.process = None;
    }

    /// Stops or continues it with its workers.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if let Some(group) = self.process.as_ref().and_then(|process| pid(process.pid())) {
            let _ = kill_process_group(group, signal);
        }
    }

    /// Kills one worker, which the master replaces.
    pub(crate) fn kill_worker(&mut self) -> bool {
        self.record().excuse();
        let workers = self.process.as_ref().map(|process| holdings::descendants(process.pid())).unwrap_or_default();
        workers.first().copied().and_then(pid).is_some_and(|worker| kill_process(worker, Signal::KILL).is_ok())
    }
}

pub(crate) fn pid(number: u32) -> Option<Pid> {
    i32::try_from(number).ok().and_then(Pid::from_raw)
}
