//! The target process: selection that fails closed, and signals. IO: reads /proc, opens pidfds.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use procfs::process::{Process, Status};
use regex::Regex;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};

use crate::sys::pattern::LazyRegex;
use crate::sys::proc::{self, Identity, SignalFiles, SignalState};
use crate::sys::promise::SEARCHES;

mod blocked;
mod compare;
mod family;
mod heartbeat;
pub mod programs;
mod search;
mod signal;

pub use compare::Sight;
pub use heartbeat::Heartbeat;
pub use search::TargetSearches;
pub use signal::Signal;

/// The criteria for the target process. All that are given must hold.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    /// Its command name, as `pgrep -x` matches it; of a title, the part before the colon.
    pub process: Option<String>,
    /// A pattern somewhere in its command line, whose words are joined by spaces.
    pub cmdline: Option<Regex>,
    /// The file that it executes.
    pub exe: Option<PathBuf>,
    /// A file which holds its process id.
    pub pid_file: Option<PathBuf>,
    /// A pattern for the command line of a family's root: it chooses among several families that fit.
    pub master: Option<LazyRegex>,
    /// A word on the command line of a process that only checks a configuration, such as `-t`: it is never the target.
    pub check_word: Option<String>,
}

impl Selector {
    /// Returns `true` if there is no criterion.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.process.is_none() && self.cmdline.is_none() && self.exe.is_none() && self.pid_file.is_none()
    }

    /// The criteria in words, such as `` processes called `nginx` ``.
    #[must_use]
    pub fn describe(&self) -> String {
        let process = self.process.as_ref().map(|name| format!("called `{name}`"));
        let cmdline = self.cmdline.as_ref().map(|pattern| format!("with a command line like `{pattern}`"));
        let exe = self.exe.as_ref().map(|path| format!("executing `{}`", path.display()));
        let pid_file = self.pid_file.as_ref().map(|path| format!("named by `{}`", path.display()));
        let parts: Vec<_> = [process, cmdline, exe, pid_file].into_iter().flatten().collect();
        format!("a process {}", parts.join(" and "))
    }
}

/// The reason why a reload could not be requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// The process is not there (or cannot be seen).
    Missing {
        /// The process that is missing.
        message: String,
        /// The remedy.
        help: String,
    },
    /// It is young, and no master process yet.
    Starting {
        /// The process.
        pid: i32,
        /// The property that it lacks.
        message: String,
        /// The remedy, if it is another process.
        help: String,
    },
    /// It must not, or may not, be signalled.
    Refused {
        /// The process, where there is one.
        pid: Option<i32>,
        /// The reason.
        message: String,
        /// The remedy.
        help: String,
    },
    /// Too many workers of earlier reloads are left.
    Busy {
        /// The process.
        pid: i32,
        /// Their number.
        message: String,
        /// The remedy.
        help: String,
    },
    /// The application answered that the reload failed.
    Failed {
        /// The answer.
        message: String,
        /// The remedy.
        help: String,
    },
}

impl TargetError {
    /// Message, help and process.
    #[must_use]
    pub fn into_parts(self) -> (String, String, Option<i32>) {
        match self {
            Self::Missing { message, help } | Self::Failed { message, help } => (message, help, None),
            Self::Refused { pid, message, help } => (message, help, pid),
            Self::Starting { pid, message, help } | Self::Busy { pid, message, help } => (message, help, Some(pid)),
        }
    }
}

/// The root of the target's process family, held by a pidfd so that it cannot be confused with a later one. Clones share the handles.
#[derive(Clone, Debug)]
pub struct Target(Arc<OpenTarget>);

#[derive(Debug)]
struct OpenTarget {
    identity: Identity,
    pidfd: OwnedFd,
    /// Opened when they are needed, and tried again where that failed, as without a free descriptor.
    signals: OnceLock<SignalFiles>,
}

/// The root directory of the target, as seen from the gate.
#[derive(Debug)]
pub enum Root {
    /// The gate's own.
    Same,
    /// A root directory of the same number, with other mounts (systemd's `PrivateTmp=` and the like).
    OtherMounts,
    /// Another one.
    Other,
    /// Unknown: the gate has no permission to look.
    Hidden(std::io::Error),
}

/// The effect of a signal on a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// It is stopped, and takes no signal.
    Stopped,
    /// It has a handler, or has blocked the signal to take it with signalfd(2) or sigwait(3).
    Taken,
    /// It ignores the signal.
    Ignored,
    /// The default action: for most signals, death.
    Default,
}

/// The number of searches that find a process which ends meanwhile.
const SEARCHES_AGAIN: usize = 3;

/// Returns `true` for a process that its parent forked to do its work; a helper executes a program of its own.
fn is_worker(pid: i32) -> bool {
    proc::stat(pid).is_some_and(|stat| proc::is_mere_fork(&stat))
}

/// Returns `true` for a worker that takes no new requests, as its title says.
#[must_use]
pub fn is_shutting_down(pid: i32) -> bool {
    programs::is_ending(&proc::title(pid))
}

impl Selector {
    /// Finds the process.
    ///
    /// # Errors
    /// When there is none, or more than one family, or it may not be seen.
    pub fn find(&self) -> Result<Target, TargetError> {
        for _ in 1..SEARCHES_AGAIN {
            match self.find_now() {
                // A launcher, as nginx's, ends when it has forked the master.
                Err(TargetError::Refused { pid: Some(pid), .. } | TargetError::Starting { pid, .. })
                    if proc::stat(pid).is_none() => {}
                found => return found,
            }
        }
        self.find_now()
    }

    fn find_now(&self) -> Result<Target, TargetError> {
        let root = proc::whole(|| match &self.pid_file {
            Some(path) => family::named_by(path, self),
            None => family::only_root(self),
        });
        Target::open(root.map_err(|error| self.not_looked_for(&error.to_string()))??)
    }

    /// The error of a search that has not seen all processes.
    fn not_looked_for(&self, why: &str) -> TargetError {
        TargetError::Refused {
            pid: None,
            message: format!("the search for {} has no result: {why}", self.describe()),
            help: format!(
                "raise the limits of this container or service (open files, processes, memory), or see whether `ps` ends in it; {SEARCHES}"
            ),
        }
    }
}

impl Target {
    /// Opens a pidfd first and checks the identity afterwards: the pidfd holds the process that was found.
    fn open(identity: Identity) -> Result<Self, TargetError> {
        let gone = || TargetError::Missing {
            message: format!("pid {} ended during the search", identity.pid),
            help: format!("see its own log for the reason; {SEARCHES}"),
        };
        let pid = Pid::from_raw(identity.pid).ok_or_else(gone)?;
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(|errno| match errno {
            Errno::SRCH => gone(),
            errno => TargetError::Refused {
                pid: Some(identity.pid),
                message: format!("cannot open a pidfd for pid {}: {errno}", identity.pid),
                help: "Linux 5.3 or newer is needed, and a seccomp profile that allows pidfd_open(2)".into(),
            },
        })?;
        let open = OpenTarget { identity, pidfd, signals: OnceLock::new() };
        if identity.is_alive() { Ok(Self(Arc::new(open))) } else { Err(gone()) }
    }

    /// Returns `true` if it has ended. A pidfd is readable then (pidfd_open(2)).
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let mut pidfd = [PollFd::new(&self.0.pidfd, PollFlags::IN)];
        rustix::event::poll(&mut pidfd, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|readable| readable > 0)
    }

    /// Its identity.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.0.identity
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.0.identity.pid
    }

    /// Its command name.
    #[must_use]
    pub fn name(&self) -> String {
        String::from_utf8_lossy(&proc::comm(self.pid())).into_owned()
    }

    /// The time after `moment` at which it certainly started, if it did, so that it has read at its start what lay there then.
    ///
    /// A process that was only forked may have been forked after its parent had read its configuration, as a daemon is, so its
    /// start proves nothing.
    #[must_use]
    pub fn started_after(&self, moment: Instant) -> Option<Duration> {
        let after = self.identity().started_at()?.checked_duration_since(moment)?;
        let stat = proc::stat(self.pid()).filter(|stat| !proc::is_mere_fork(stat))?;
        (Identity::from(&stat) == self.identity()).then_some(after)
    }

    /// Returns `true` if `signal` was sent and not taken yet.
    #[must_use]
    pub fn is_pending(&self, signal: Signal) -> bool {
        self.signals().is_some_and(|signals| signal.is_in(signals.pending))
    }

    /// The time for which it has run on a processor, in clock ticks.
    #[must_use]
    pub fn cpu_ticks(&self) -> u64 {
        proc::stat(self.pid()).map_or(0, |stat| stat.utime + stat.stime)
    }

    /// A descriptor that becomes readable when it ends.
    ///
    /// # Errors
    /// When no further descriptor can be opened.
    pub fn end(&self) -> std::io::Result<OwnedFd> {
        self.0.pidfd.try_clone()
    }

    /// Its status; `None` when it has ended.
    fn status(&self) -> Option<Status> {
        Process::new(self.pid()).and_then(|process| process.status()).ok()
    }

    /// The effect that `signal` would have at this moment; `None` when it has ended.
    #[must_use]
    pub fn disposition(&self, signal: Signal) -> Option<Disposition> {
        let signals = self.signals()?;
        Some(match () {
            // By SIGSTOP, or by a debugger: it takes no signal now.
            () if matches!(signals.state, b'T' | b't') => Disposition::Stopped,
            () if signal.is_in(signals.caught) || self.keeps_blocked(signal, signals) => Disposition::Taken,
            // Also if it is ignored otherwise, as under nohup(1): `sig_ignored()` in `kernel/signal.c`.
            () if self.signal_files()?.is_awaited(signal.number()) => Disposition::Taken,
            () if signal.is_in(signals.ignored) => Disposition::Ignored,
            () => Disposition::Default,
        })
    }

    /// Returns `true` for a signal that it has blocked to take it.
    fn keeps_blocked(&self, signal: Signal, signals: SignalState) -> bool {
        let again = |seen: &SignalState| {
            if seen.state != blocked::ASLEEP {
                std::thread::sleep(blocked::PAUSE);
            }
            self.signals()
        };
        blocked::keeps(signal, std::iter::successors(Some(signals), again))
    }

    fn signals(&self) -> Option<SignalState> {
        self.signal_files()?.state().filter(|signals| !matches!(signals.state, b'Z' | b'X' | b'x'))
    }

    fn signal_files(&self) -> Option<&SignalFiles> {
        if self.0.signals.get().is_none() {
            let opened = SignalFiles::open(self.pid()).filter(|_| self.identity().is_alive())?;
            let _ = self.0.signals.set(opened);
        }
        self.0.signals.get()
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has ended, or the gate may not.
    pub fn signal(&self, signal: Signal) -> Result<(), TargetError> {
        rustix::process::pidfd_send_signal(&self.0.pidfd, signal.raw())
            .map_err(|errno| self.not_signalled(signal, errno))
    }

    /// Checks the permission to send it `signal` without sending it. The kernel checks signal 0 like any other (kill(2)).
    ///
    /// # Errors
    /// As [`Target::signal`].
    pub fn may_be_sent(&self, signal: Signal) -> Result<(), TargetError> {
        let tried = Pid::from_raw(self.pid()).map_or(Err(Errno::SRCH), rustix::process::test_kill_process);
        // The number still belongs to this process if it is alive.
        let tried = if self.identity().is_alive() { tried } else { Err(Errno::SRCH) };
        tried.map_err(|errno| self.not_signalled(signal, errno))
    }

    fn not_signalled(&self, signal: Signal, errno: Errno) -> TargetError {
        let pid = self.pid();
        match errno {
            Errno::SRCH => TargetError::Missing {
                message: format!("pid {pid} ended before it could be signalled"),
                help: format!("see its own log for the reason; {SEARCHES}"),
            },
            Errno::PERM => {
                let theirs =
                    self.status().map_or_else(|| "another user".into(), |status| format!("uid {}", status.ruid));
                let ours = rustix::process::geteuid().as_raw();
                TargetError::Refused {
                    pid: Some(pid),
                    message: format!("no permission to send {signal} to pid {pid} ({theirs}) as uid {ours}"),
                    help: "run the gate as the same user, or as root with the capability KILL (kill(2))".into(),
                }
            }
            errno => TargetError::Refused {
                pid: Some(pid),
                message: format!("cannot send {signal} to pid {pid}: {errno}"),
                help: "a seccomp profile that allows pidfd_send_signal(2) is needed".into(),
            },
        }
    }

    /// Its living children.
    #[must_use]
    pub fn children(&self) -> BTreeSet<Identity> {
        proc::children(self.pid())
    }

    /// The number of its workers that are left of earlier reloads: they started before `last_reload`, or are shutting down.
    #[must_use]
    pub fn lingering(&self, last_reload: Option<Instant>) -> usize {
        let is_older = |child: &Identity| {
            last_reload.is_some_and(|reload| child.started_at().is_some_and(|start| start + proc::TICK < reload))
        };
        let is_ending = |child: &Identity| is_shutting_down(child.pid);
        self.children().iter().filter(|child| is_worker(child.pid) && (is_older(child) || is_ending(child))).count()
    }

    /// Its root directory.
    #[must_use]
    pub fn root(&self) -> Root {
        let key = |path: String| std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
        match (key("/".into()), key(format!("/proc/{}/root/.", self.pid()))) {
            (Ok(ours), Ok(theirs)) if ours != theirs => Root::Other,
            (Ok(_), Ok(_)) if proc::shares_namespace(self.pid(), "mnt") == Some(false) => Root::OtherMounts,
            (Ok(_), Ok(_)) => Root::Same,
            (Err(error), _) | (_, Err(error)) => Root::Hidden(error),
        }
    }
}

#[cfg(test)]
mod tests;
