//! The steps that a process takes before its command comes. IO: restricts the calling process, for good.
//!
//! A gate runs the same kind of command for each change. So the process for the next command takes the steps that do not depend on the
//! command while it waits, and makes the rules of its confinement. Where these would be others when the command comes, it makes them again.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::DumpableBehavior;
use rustix::time::Timespec;

use super::again::{self, Reporter, SetupStep, step};
use super::confine::{self, PreparedRules};
use super::door::{Door, Setup};
use super::{enter, keep};

/// The steps that were taken.
#[derive(Default)]
pub(super) struct Ahead {
    /// The kind of command that this process can still become; any without it.
    setup: Option<Setup>,
    /// The rules of a confinement.
    rules: Option<PreparedRules>,
    /// The kernel kills this process before the gate already.
    is_offered: bool,
}

impl Ahead {
    /// Takes the steps for a command with this setup, if there is one.
    pub(super) fn take(setup: Option<&Setup>, channel: Option<&OwnedFd>) -> SetupStep<Self> {
        let rules = match setup {
            Some(Setup::Enter(run_as, _)) => {
                again::give_up_ahead()?;
                enter::rehearse(*run_as);
                None
            }
            Some(Setup::Confine(confinement)) => {
                again::give_up_ahead()?;
                confine::give_up_rights(confinement)?;
                PreparedRules::make(confinement, channel)
            }
            Some(Setup::Plain | Setup::View(_)) | None => return Ok(Self::default()),
        };
        // Root may do so now; for another user the files of this process are closed until the command comes.
        Ok(Self { setup: setup.cloned(), rules, is_offered: keep::offer_to_the_kernel() })
    }

    /// Takes the steps that are left, and executes the command. Returns only if that failed, or in a view after the end of the command, with
    /// the message and the exit code.
    pub(super) fn execute(self, door: Door, reporter: &Reporter) -> (String, u8) {
        if self.setup.is_some_and(|setup| !setup.serves(&door)) {
            return reporter.unfit();
        }
        match open_own_files(self.is_offered) {
            Ok(()) => door.execute(reporter, self.rules),
            Err(failed) => reporter.not_ready(keep::SUBCOMMAND, &failed),
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

/// Waits for a moment, or until the command comes; returns true if it has come.
pub(super) fn is_awaited(channel: Option<&OwnedFd>, moment: Duration) -> bool {
    let Some(channel) = channel else { return true };
    let moment = Timespec::try_from(moment).ok();
    let mut gate = [PollFd::new(channel, PollFlags::IN)];
    !matches!(poll(&mut gate, moment.as_ref()), Ok(0))
}
