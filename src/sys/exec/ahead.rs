//! The steps that a process takes before its command comes. IO: restricts the calling process, for good.
//!
//! A gate runs the same kind of command for each change. So the process for the next command takes the steps that do not depend on the
//! words of the command while it waits. Where the expectation was wrong the command begins in another process.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::DumpableBehavior;
use rustix::time::Timespec;

use super::again::{self, Reporter, SetupStep, step};
use super::confine::Restricted;
use super::door::{Door, Setup};
use super::{enter, keep};

/// The steps that were taken.
pub(super) enum Ahead {
    /// None that restricts this process.
    Open,
    /// Those that all confined commands share; and whether the kernel kills this process first already.
    Limited { is_offered: bool },
    /// All of them, with what they depend on.
    Restricted(Restricted),
}

impl Ahead {
    /// Takes the steps for a command with this setup, if there is one.
    pub(super) fn take(setup: Option<&Setup>, channel: Option<&OwnedFd>) -> SetupStep<Self> {
        match setup {
            Some(Setup::Enter(run_as, _)) => {
                again::give_up_ahead()?;
                enter::rehearse(*run_as);
                // Root may do so now; for another user the files of this process are closed until the command comes.
                Ok(Self::Limited { is_offered: keep::offer_to_the_kernel() })
            }
            Some(Setup::Confine(confinement)) => {
                // Without places that are at rest the rules are made when the command comes.
                let Some(restricted) = Restricted::plan(confinement, channel) else { return Ok(Self::Open) };
                again::give_up_ahead()?;
                restricted.apply(offer_to_the_kernel).map(Self::Restricted)
            }
            Some(Setup::Plain | Setup::View(_)) | None => Ok(Self::Open),
        }
    }

    /// Takes the steps that are left, and executes the command. Returns only if that failed, or in a view after the end of the command, with
    /// the message and the exit code.
    pub(super) fn execute(self, door: Door, reporter: &Reporter) -> (String, u8) {
        let ready = match &self {
            Self::Restricted(restricted) if !restricted.fits(&door.setup) || door.image.is_some() => {
                return reporter.unfit();
            }
            Self::Limited { .. } if !matches!(door.setup, Setup::Enter(..) | Setup::Confine(_)) => {
                return reporter.unfit();
            }
            // The limit may have changed since.
            Self::Restricted(_) => again::limit_memory(),
            Self::Open => open_own_files(false),
            Self::Limited { is_offered } => open_own_files(*is_offered),
        };
        match (ready, self) {
            (Err(failed), _) => reporter.not_ready(keep::SUBCOMMAND, &failed),
            (Ok(()), Self::Restricted(_)) => door.execute_restricted(reporter),
            (Ok(()), _) => door.execute(reporter),
        }
    }
}

/// Opens the files of this process in /proc to itself. Not before the command comes: until then it has the rights of the gate.
fn open_own_files(is_offered: bool) -> SetupStep {
    step(rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable), || "open its own files".into())?;
    if !is_offered {
        keep::offer_to_the_kernel();
    }
    Ok(())
}

/// Lets the kernel kill this process before the gate. It has given up its capabilities, and waits for a command that it will execute with just
/// these rights.
fn offer_to_the_kernel() -> SetupStep {
    if keep::offer_to_the_kernel() {
        return Ok(());
    }
    // The files of a process that is closed to its user belong to root (proc(5)).
    let set = |behavior| step(rustix::process::set_dumpable_behavior(behavior), || "close its memory".into());
    set(DumpableBehavior::Dumpable)?;
    keep::offer_to_the_kernel();
    set(DumpableBehavior::NotDumpable)
}

/// Waits for a moment, or until the command comes; returns true if it has come.
pub(super) fn is_awaited(channel: Option<&OwnedFd>, moment: Duration) -> bool {
    let Some(channel) = channel else { return true };
    let moment = Timespec::try_from(moment).ok();
    let mut gate = [PollFd::new(channel, PollFlags::IN)];
    !matches!(poll(&mut gate, moment.as_ref()), Ok(0))
}
