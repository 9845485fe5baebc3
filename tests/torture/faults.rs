//! The faults: each is applied, meets some updates, and is over.

use std::thread;
use std::time::Duration;

use rustix::process::{Signal, kill_process};

use crate::application::pid;
use crate::gate::shift_clock;
use crate::holdings::{descendants, entries};
use crate::run::Run;

/// The updates during a fault, at most.
const UPDATES: u64 = 6;
/// The time in which a checker is looked for.
const CHECKER: Duration = Duration::from_secs(1);
/// A process was forked and has executed nothing since (`PF_FORKNOEXEC` in `include/linux/sched.h`).
const FORKED_WITHOUT_EXEC: u64 = 0x40;
/// The range of clock jumps, in seconds.
const JUMP: u64 = 7200;

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    KillGate,
    RestartGate,
    StopGate,
    KillTarget,
    StopTarget,
    KillWorker,
    KillChecker,
    StopChecker,
    FullDisk,
    FewDescriptors,
    StalledLog,
    ClockJump,
}

impl Fault {
    /// A fault that this scenario allows.
    pub(crate) fn random(run: &mut Run) -> Self {
        let gate = [(4, Self::KillGate), (3, Self::RestartGate), (4, Self::StopGate)];
        let target = [(4, Self::KillTarget), (4, Self::StopTarget), (2, Self::KillWorker)];
        let checker = [(4, Self::KillChecker), (2, Self::StopChecker)];
        let place = [(4, Self::FullDisk), (4, Self::FewDescriptors), (3, Self::StalledLog), (3, Self::ClockJump)];
        let all: Vec<_> = gate.into_iter().chain(target).chain(checker).chain(place).collect();
        let possible = |fault: Self| match fault {
            Self::KillWorker => run.scenario.program.replaces_workers(),
            Self::FullDisk => run.disk.can_be_full(),
            Self::ClockJump => run.launch.clock.is_some(),
            _ => true,
        };
        let allowed = |fault: Self| possible(fault) && run.tools.allow(fault.name());
        let choices: Vec<_> = all.into_iter().filter(|(_, fault)| allowed(*fault)).collect();
        run.random.weighted(&choices)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::KillGate => "gate killed",
            Self::RestartGate => "gate restarted",
            Self::StopGate => "gate stopped",
            Self::KillTarget => "target killed",
            Self::StopTarget => "target stopped",
            Self::KillWorker => "worker killed",
            Self::KillChecker => "checker killed",
            Self::StopChecker => "checker stopped",
            Self::FullDisk => "disk full",
            Self::FewDescriptors => "few descriptors",
            Self::StalledLog => "log stalled",
            Self::ClockJump => "clock jump",
        }
    }

    /// Applies it, makes updates, and ends it.
    ///
    /// # Errors
    /// The violation that shows at once.
    pub(crate) fn apply(self, run: &mut Run) -> Result<(), String> {
        match self {
            Self::KillGate => run.kill_gate(),
            Self::RestartGate => return run.restart_gate(),
            Self::StopGate => run.stop_gate(),
            Self::KillTarget => run.kill_target(),
            Self::StopTarget => return run.stop_target(),
            Self::KillWorker => return run.kill_worker(),
            Self::KillChecker => run.signal_checker(Signal::KILL),
            Self::StopChecker => run.signal_checker(Signal::STOP),
            Self::FullDisk => run.fill_disk(),
            Self::FewDescriptors => run.take_descriptors(),
            Self::StalledLog => run.stall_log(),
            Self::ClockJump => run.jump(),
        }
        Ok(())
    }
}

impl Run<'_> {
    fn moment(&mut self, most: u64) {
        thread::sleep(Duration::from_millis(self.random.below(most)));
    }

    fn kill_gate(&mut self) {
        self.updates_meanwhile(UPDATES);
        self.moment(300);
        self.close_life();
        self.gate.kill();
        // A killed gate cannot remove its temporary files.
        self.figures.left_behind += entries(&self.launch.temporary) as u64;
        let _ = std::fs::remove_dir_all(&self.launch.temporary);
        let _ = std::fs::create_dir(&self.launch.temporary);
        self.updates_meanwhile(UPDATES);
        self.gate = self.launch.start();
    }

    fn restart_gate(&mut self) -> Result<(), String> {
        self.updates_meanwhile(UPDATES);
        self.moment(300);
        self.close_life();
        self.gate.stop()?;
        if !Self::within(Duration::from_secs(5), || self.gate.journal().stopped) {
            return Err("a gate that was asked to stop never reported `stopped`".into());
        }
        self.updates_meanwhile(UPDATES);
        self.gate = self.launch.start();
        Ok(())
    }

    fn stop_gate(&mut self) {
        self.updates_meanwhile(UPDATES);
        self.moment(100);
        self.gate.signal(Signal::STOP);
        self.updates_meanwhile(2 * UPDATES);
        self.moment(500);
        self.gate.signal(Signal::CONT);
    }

    /// Kills the application, which is started again on what it finds.
    fn kill_target(&mut self) {
        self.updates_meanwhile(UPDATES);
        self.moment(200);
        self.application.kill();
        self.updates_meanwhile(UPDATES);
        if self.starts_on_bad_content() {
            let answer = self.newest.answer.clone();
            self.application.record().allow(&answer);
        }
        self.application.start();
    }

    fn stop_target(&mut self) -> Result<(), String> {
        self.updates_meanwhile(UPDATES);
        self.application.record().excuse();
        self.application.signal(Signal::STOP);
        self.updates_meanwhile(UPDATES);
        // Once in a while longer than a verification waits.
        let time = if self.random.one_in(12) { 6000 } else { self.random.below(800) };
        thread::sleep(Duration::from_millis(time));
        self.application.signal(Signal::CONT);
        self.expect_answers()
    }

    fn kill_worker(&mut self) -> Result<(), String> {
        self.updates_meanwhile(UPDATES);
        self.application.kill_worker();
        self.updates_meanwhile(UPDATES);
        self.moment(500);
        self.expect_answers()
    }

    fn expect_answers(&mut self) -> Result<(), String> {
        let answers = match (self.application.is_running(), self.starts_on_bad_content()) {
            (false, true) => return Ok(()),
            // It could not start with an earlier content, and is started again.
            (false, false) if !self.application.ended_by_itself() => self.application.start(),
            _ => self.application.answers(),
        };
        answers.then_some(()).ok_or_else(|| "the application does not answer any more".into())
    }

    /// Sends a signal to a process of a validation.
    fn signal_checker(&mut self, signal: Signal) {
        self.updates_meanwhile(UPDATES);
        let gate = self.gate.pid();
        let mut victim = None;
        Self::within(CHECKER, || {
            victim = descendants(gate).into_iter().rev().find(|pid| !is_mere_fork(*pid));
            victim.is_some()
        });
        if let Some(victim) = victim.and_then(pid) {
            let _ = kill_process(victim, signal);
        }
        self.updates_meanwhile(UPDATES);
    }

    fn fill_disk(&mut self) {
        let left = self.random.below(8192);
        self.disk.fill(left);
        self.updates_meanwhile(2 * UPDATES);
        self.moment(800);
        self.disk.clear();
    }

    fn take_descriptors(&mut self) {
        let left = self.random.below(6);
        self.gate.limit_descriptors(Some(left));
        self.updates_meanwhile(2 * UPDATES);
        self.moment(800);
        self.gate.limit_descriptors(None);
    }

    fn stall_log(&mut self) {
        self.gate.stall_log(true);
        self.updates_meanwhile(2 * UPDATES);
        self.moment(500);
        self.gate.stall_log(false);
    }

    fn jump(&mut self) {
        let seconds = i64::try_from(self.random.below(2 * JUMP)).unwrap_or_default() - JUMP.cast_signed();
        if let Some((_, shift)) = &self.launch.clock {
            shift_clock(shift, seconds);
        }
        self.updates_meanwhile(UPDATES);
    }
}

/// Returns true for a process between fork(2) and execve(2): the gate waits for it, and a stop of it is a stop of the gate.
fn is_mere_fork(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may hold spaces; the flags are the seventh field behind it (proc_pid_stat(5)).
    let flags = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(6)?.parse::<u64>().ok());
    flags.is_none_or(|flags| flags & FORKED_WITHOUT_EXEC != 0)
}
