//! The gate's side of a keeper ([`super::keep`]). IO: starts it, hands it a command, and waits for the report.
//!
//! To start the binary takes longer than most checkers. So a gate that runs commands again and again has one keeper ready, which waits for its
//! command ([`prepare`]).

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream as Socket;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use tokio::net::UnixStream;

use super::again::KeeperReport;
use super::door::{Door, Setup};
use super::{Command, End, Finished, Group, LAST_WORDS, NotStarted, Output, OutputPipes, keep, pipes, search_path};

/// A keeper that has no command yet.
struct Keeper {
    /// Its end is seen by this one.
    group: Group,
    channel: Socket,
    /// The output of its command.
    output: OutputPipes,
    /// The setup for which its child prepares itself; any command fits where there is none.
    expected: Option<Setup>,
}

impl Keeper {
    /// Returns true unless it has ended or could make no process for a command: another one may be able to by now.
    fn is_silent(&self) -> bool {
        let peek = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        matches!(rustix::net::recv(&self.channel, &mut [0; 1], peek), Err(Errno::AGAIN))
    }

    fn fits(&self, door: &Door) -> bool {
        self.expected.as_ref().is_none_or(|expected| expected.serves(door))
    }

    /// Lets it end: its channel is closed.
    fn dismiss(self) {
        tokio::spawn(self.group.ended(false));
    }
}

/// Number of commands for which none is expected after an expectation that was wrong.
const MISTRUST: u32 = 16;

/// The keeper of the next command, and what is expected of that.
struct Waiting {
    ready: Option<Keeper>,
    /// The setup of the command that took the last ready keeper: a gate runs the same for each change.
    expected: Option<Setup>,
    mistrust: u32,
}

static WAITING: Mutex<Waiting> = Mutex::new(Waiting { ready: None, expected: None, mistrust: 0 });

fn waiting() -> MutexGuard<'static, Waiting> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Waiting {
    /// Takes the ready keeper, if it serves this command.
    fn take(&mut self, door: &Door) -> Option<Keeper> {
        let ready = self.ready.take();
        if ready.is_some() || self.expected.is_none() {
            self.mistrust = self.mistrust.saturating_sub(1);
            self.expected = door.can_be_expected().then(|| door.setup.clone());
        }
        let keeper = ready.filter(Keeper::is_silent)?;
        if keeper.fits(door) {
            return Some(keeper);
        }
        self.mistrust = MISTRUST;
        keeper.dismiss();
        None
    }

    fn expectation(&self) -> Option<Setup> {
        self.expected.clone().filter(|_| self.mistrust == 0)
    }
}

/// Returns true if a keeper is ready for the next command.
#[must_use]
pub fn is_ready() -> bool {
    waiting().ready.is_some()
}

/// Makes a keeper ready for the next command, unless there is one. One that cannot be started now is started with the command.
pub fn prepare() {
    let (is_ready, expected) = {
        let waiting = waiting();
        (waiting.ready.is_some(), waiting.expectation())
    };
    if !is_ready && let Ok(keeper) = Keeper::start(expected) {
        waiting().ready.get_or_insert(keeper);
    }
}

/// The program of this process, whatever lies at its path now (proc_pid_exe(5)).
const SELF: &str = "/proc/self/exe";

/// Returns a path of this program: the usual one, which ps(1) shows, unless an upgrade has replaced the file.
fn own_program() -> io::Result<PathBuf> {
    let identity = |path: &Path| std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
    let path = std::env::current_exe()?;
    let is_same = identity(&path).is_ok_and(|there| identity(Path::new(SELF)).is_ok_and(|own| own == there));
    Ok(if is_same { path } else { SELF.into() })
}

impl Keeper {
    fn start(expected: Option<Setup>) -> io::Result<Self> {
        let (channel, theirs) = Socket::pair()?;
        let (output, (output_writer, errors_writer)) = pipes()?;
        let environment = [("PATH", search_path()), ("LC_ALL", "C".into())];
        let child = duct::cmd(own_program()?, [keep::SUBCOMMAND])
            .stdin_file(File::from(OwnedFd::from(theirs)))
            .stdout_file(output_writer)
            .stderr_file(errors_writer)
            .full_env(environment)
            .dir("/")
            .unchecked()
            .start()?;
        let keeper = Self { group: Group::of(child)?, channel, output, expected };
        if let Some(expected) = &keeper.expected {
            (&keeper.channel).write_all(&Door::expectation(expected.clone()).message()?)?;
        }
        Ok(keeper)
    }

    /// Sends the command; a keeper that has died meanwhile cannot take it.
    async fn give(self, message: &[u8]) -> io::Result<Running> {
        self.channel.set_nonblocking(true)?;
        // At once: the event loop would first wait for what it knows of a new descriptor.
        let sent = match rustix::net::send(&self.channel, message, SendFlags::NOSIGNAL) {
            Err(Errno::AGAIN) => 0,
            sent => sent?,
        };
        let channel = UnixStream::from_std(self.channel)?;
        send(&channel, &message[sent..]).await?;
        Ok(Running { group: self.group, channel, output: Output::new(self.output)? })
    }
}

/// A keeper with its command.
struct Running {
    group: Group,
    channel: UnixStream,
    output: Output,
}

/// The reports of a keeper.
#[derive(Default)]
struct Reports {
    /// One that came before the end: of a command that was not started, or of the command of a view.
    early: Option<KeeperReport>,
    /// The end; absent if the keeper itself was killed.
    end: Option<KeeperReport>,
}

impl Running {
    async fn start(door: &Door) -> io::Result<Self> {
        let message = door.message()?;
        let ready = waiting().take(door);
        if let Some(keeper) = ready
            && let Ok(running) = keeper.give(&message).await
        {
            return Ok(running);
        }
        Self::start_now(&message).await
    }

    /// Starts a keeper that serves any command.
    async fn start_now(message: &[u8]) -> io::Result<Self> {
        Keeper::start(None)?.give(message).await
    }

    /// Gives the command to another keeper, since this one was prepared for something else.
    async fn start_again(self, door: &Door) -> io::Result<Self> {
        waiting().mistrust = MISTRUST;
        tokio::spawn(self.group.ended(false));
        Self::start_now(&door.message()?).await
    }

    /// Waits for the end of the command, and reads what it prints all the while, so that a full pipe does not block it.
    async fn reports(&mut self) -> Reports {
        let output = async {
            self.output.collect().await;
            std::future::pending::<Reports>().await
        };
        tokio::select! { reports = reports(&self.channel) => reports, reports = output => reports }
    }
}

async fn send(channel: &UnixStream, mut message: &[u8]) -> io::Result<()> {
    while !message.is_empty() {
        match channel.try_write(message) {
            Ok(sent) => message = &message[sent..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => channel.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Receives what there is; `None` at the end.
async fn receive(channel: &UnixStream, received: &mut Vec<u8>) -> Option<()> {
    loop {
        channel.readable().await.ok()?;
        match channel.try_read_buf(received) {
            Ok(0) => return None,
            Ok(_) => return Some(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
    }
}

/// Reads the reports up to the end.
async fn reports(channel: &UnixStream) -> Reports {
    let (mut reports, mut received) = (Reports::default(), Vec::new());
    loop {
        while let Some(report) = KeeperReport::take(&mut received) {
            if matches!(report, KeeperReport::Exited(_) | KeeperReport::Killed(_)) {
                reports.end = Some(report);
                return reports;
            }
            reports.early.get_or_insert(report);
        }
        if receive(channel, &mut received).await.is_none() {
            return reports;
        }
    }
}

/// Runs a command under a keeper to its end. Dropping the future kills it with all that it started.
pub(super) async fn run(command: &Command) -> Result<Finished, NotStarted> {
    let started = Instant::now();
    let program = command.words.first().map_or_else(String::new, |word| word.to_string_lossy().into_owned());
    let name = program.clone();
    let failed = move |error| NotStarted::of(&name, error);
    let door = Door::of(command);
    let mut running = Running::start(&door).await.map_err(&failed)?;
    let mut reports = tokio::time::timeout(command.timeout, running.reports()).await.ok();
    if matches!(&reports, Some(Reports { early: Some(KeeperReport::Unfit), .. })) {
        running = running.start_again(&door).await.map_err(&failed)?;
        let left = command.timeout.saturating_sub(started.elapsed());
        reports = tokio::time::timeout(left, running.reports()).await.ok();
    }
    if reports.is_none() {
        running.group.kill_strays();
        running.group.kill();
    }
    let _ = tokio::time::timeout(LAST_WORDS, running.output.collect()).await;
    let Running { group, output, .. } = running;
    let finished = |end, output: Output| Ok(output.of(end, started.elapsed()));
    let Some(Reports { early, end }) = reports else {
        return finished(group.ended(true).await.map_err(&failed)?, output);
    };
    let Some(report) = early.or(end) else {
        return match group.ended(false).await.map_err(&failed)? {
            // The command did not begin, so this is the keeper's own output.
            end @ End::Exited(code) => {
                let printed = output.of(end, started.elapsed()).output;
                Err(failed(io::Error::other(format!("its keeper ended with code {code}: {}", printed.trim()))))
            }
            end => finished(end, output),
        };
    };
    // The keeper ends by itself now.
    tokio::spawn(group.ended(false));
    match report {
        KeeperReport::NotStarted(code, message) => Err(KeeperReport::error(code, message, program, not_ready(command))),
        KeeperReport::Short(reason) => Err(NotStarted::Short { program, reason }),
        // No keeper that serves any command reports that.
        KeeperReport::Unfit => Err(not_ready(command)("its keeper was prepared for another command".to_owned())),
        KeeperReport::Killed(signal) | KeeperReport::KilledInView(signal) => finished(End::Killed(signal), output),
        KeeperReport::Exited(code) => finished(End::Exited(code), output),
    }
}

/// The error of a keeper whose child could not change itself for this command.
fn not_ready(command: &Command) -> fn(String) -> NotStarted {
    match Door::of(command).setup {
        Setup::Enter(..) => NotStarted::NotEntered,
        Setup::View(_) => NotStarted::NotShown,
        Setup::Confine(_) | Setup::Plain => NotStarted::NotConfined,
    }
}
