//! The outcomes of effects: what the runner keeps and counts of each, and the inputs that follow from it.

use std::rc::Rc;
use std::time::Duration;

use reload_gate_contract::Finding;

use crate::flow::process::{Target, TargetError};
use crate::flow::reload::Sent;
use crate::flow::snapshot::SnapshotError;
use crate::flow::verify::{Baseline, GUNICORN_ARGUMENTS, Loaded, Proof, ReloadAnswer, Verification};
use crate::gate::Input;
use crate::report::metrics::ReloadOutcome;
use crate::sys::proc;

use super::scans::ScanOutcome;
use super::{Outcome, Runner, startup};

impl Runner {
    /// Takes in the outcome of an effect, and returns the inputs that follow from it.
    pub(super) fn take_in(&mut self, outcome: Outcome) -> Vec<Input> {
        match outcome {
            Outcome::Scanned(sources, result) => {
                self.sources = Some(sources);
                self.scanned(result)
            }
            Outcome::Done(input, baseline) => {
                self.keep(baseline);
                self.count(&input);
                self.note_unwatched(&input);
                vec![input]
            }
        }
    }

    /// Reports, once each, the files that the target reads and the gate does not watch.
    fn note_unwatched(&mut self, input: &Input) {
        let Input::Validated(Ok(validation)) = input else { return };
        let new: Vec<_> = validation.unwatched.difference(&self.unwatched).cloned().collect();
        startup::about_unwatched(&new).iter().for_each(|event| (self.sink)(event));
        self.unwatched.extend(new);
    }

    /// Takes in the outcome of a scan.
    pub(super) fn scanned(&mut self, result: Result<ScanOutcome, Finding>) -> Vec<Input> {
        let (mut inputs, result, secret) = match result {
            Ok(outcome) => {
                self.mode = outcome.mode;
                (outcome.inputs, outcome.result, outcome.secret)
            }
            Err(finding) => {
                let error =
                    SnapshotError { findings: vec![finding], settled: true, patience: Duration::ZERO, short: true };
                (Vec::new(), Err(error), Vec::new())
            }
        };
        if let (Some(old), Ok(new)) = (&self.snapshot, &result) {
            self.former.remember(&self.secret, &old.tree, &new.tree);
        }
        self.secret = secret;
        self.last_readable = if result.is_ok() { None } else { self.snapshot.take().or(self.last_readable.take()) };
        self.snapshot = result.as_ref().ok().cloned();
        inputs.push(Input::Scanned(result));
        inputs
    }

    /// Counts the outcome of an effect. More is counted than reported, since the same incident is reported once.
    pub(super) fn count(&mut self, input: &Input) {
        match input {
            Input::Validated(Ok(validation)) => self.board.took(&validation.took),
            Input::Reloaded(Ok(Sent::Requested { .. })) => self.reload_requested = true,
            Input::Reloaded(Err(TargetError::Failed { .. })) => self.board.reloaded(ReloadOutcome::Failed),
            Input::Verified(proof) => {
                let is_direct = self.config.publication.is_none();
                let proven = matches!(proof, Proof::Proven { .. });
                // Workers of a reload that is not proven may still come.
                self.target.settle(is_direct && proven && matches!(self.config.verification, Verification::Workers));
                self.refused = match &proof {
                    Proof::Missing { answer, .. } => *answer != ReloadAnswer::Unknown,
                    Proof::Ineffective { .. } => true,
                    Proof::Proven { .. } | Proof::NotAsked { .. } => false,
                };
                if proven {
                    self.verified_reload = self.baseline.as_ref().map(|baseline| baseline.at());
                }
                self.count_lingering();
                // A late verification is not another reload.
                if std::mem::take(&mut self.reload_requested) {
                    self.board.reloaded(if proven { ReloadOutcome::Verified } else { ReloadOutcome::Unverified });
                }
            }
            _ => {}
        }
    }

    /// Shows the number of old workers, where new ones are the proof.
    pub(super) fn count_lingering(&self) {
        if matches!(self.config.verification, Verification::Workers) {
            let target = self.baseline.as_ref().and_then(|baseline| baseline.target());
            let target = target.filter(|target| target.identity().is_alive());
            self.board.lingering(target.map_or(0, |target| target.lingering(self.verified_reload)));
        }
    }

    /// Keeps the baseline of a reload, and watches its process.
    pub(super) fn keep(&mut self, baseline: Option<Baseline>) {
        let Some(baseline) = baseline else { return };
        if let Some(target) = baseline.target() {
            self.target.follow(target);
            self.remember(target);
        }
        self.baseline = Some(Rc::new(baseline));
    }

    /// Records a process that was not reloaded before.
    pub(super) fn remember(&mut self, target: &Target) {
        let identity = target.identity();
        if self.loaded.as_ref().is_some_and(|(known, _)| *known == identity) {
            return;
        }
        let snapshot = self.snapshot.as_ref();
        let arguments = proc::variable(identity.pid, GUNICORN_ARGUMENTS).unwrap_or_default();
        let loaded = snapshot.map(|snapshot| {
            Loaded::new(snapshot.revision.clone(), proc::cmdline(identity.pid)).with_arguments(&arguments)
        });
        for event in startup::about_target(&self.config, target, loaded.as_ref().zip(snapshot)) {
            (self.sink)(&event);
        }
        self.loaded = loaded.map(|loaded| (identity, loaded)).or_else(|| self.loaded.take());
    }
}
