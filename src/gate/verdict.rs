//! Verdicts: the consequences of a validation.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reload_gate_contract::{Code, Finding, Verdict};

use super::{Activity, Effect, Gate};
use crate::flow::process::TargetError;
use crate::flow::tree::{Digest, Revision};
use crate::flow::validate::Validation;
use crate::report::{Event, Kind, headline};

const SHRUNK: Code = Code::new("shrunk");

impl Gate {
    pub(super) fn validated_candidate(
        &mut self,
        now: Instant,
        result: Result<Validation, TargetError>,
        effects: &mut Vec<Effect>,
    ) {
        let Activity::Validating(candidate) = std::mem::replace(&mut self.activity, Activity::Idle) else { return };
        if let Ok(validation) = &result {
            self.motion.reads(&validation.configuration);
        }
        match result {
            Ok(validation) if self.policy.publish => self.apply_verdict(now, candidate, validation, effects),
            Ok(validation) => {
                self.begin(Effect::Scan(self.extent()), Activity::Confirming(candidate, validation), effects);
            }
            Err(target_error) => self.target_failed(now, candidate.digest(), target_error, effects),
        }
    }

    pub(super) fn apply_verdict(
        &mut self,
        now: Instant,
        candidate: Arc<Revision>,
        validation: Validation,
        effects: &mut Vec<Effect>,
    ) {
        let digest = candidate.digest();
        let mut validation = validation;
        validation.findings.extend(self.shrunk(&candidate));
        effects.push(Effect::Count(validation.verdict()));
        if validation.verdict() != Verdict::Accepted {
            let may_pass = validation.verdict() == Verdict::Rejected && validation.reads_beyond;
            self.report_verdict(now, digest, validation.findings, Some(validation.duration), effects);
            if may_pass {
                // The cause may lie outside of the sources, where nothing announces its end.
                self.retry = Some(now + self.policy.poll);
            }
            return;
        }
        self.validated = Some(candidate.clone());
        if !std::mem::replace(&mut self.announced, true) {
            let event = Event {
                findings: validation.findings,
                duration: Some(validation.duration),
                message: validation.by,
                ..self.change(Kind::Accepted, &candidate)
            };
            effects.push(Effect::Report(event));
        }
        if !self.is_permitted(now, &candidate) {
            return self.ask(candidate);
        }
        self.go_ahead(&candidate);
        if self.policy.publish {
            // Otherwise there would be none to return to.
            if self.aftermath.is_trial() {
                self.keep(effects);
            } else {
                self.keep_again(effects);
            }
            self.begin(Effect::Publish(digest), Activity::Publishing(candidate), effects);
        } else {
            self.reload(now, candidate, effects);
        }
    }

    /// The finding about a content that lost many of its files: valid in itself, it may well be a mistake.
    fn shrunk(&self, candidate: &Revision) -> Option<Finding> {
        let before = self.known_good.as_deref()?;
        let lost = before.names().filter(|name| !candidate.contains(name)).count();
        let message = format!("{lost} of {} files are gone", before.len());
        let help = "if that is intended, raise `--max-shrink`, or remove them in several steps";
        (lost * 100 > before.len() * usize::from(self.policy.max_shrink))
            .then(|| Finding::error(SHRUNK, message).help(help))
    }

    /// Reports, once, the `findings` that stop a content.
    pub(super) fn report_verdict(
        &mut self,
        now: Instant,
        about: Digest,
        findings: Vec<Finding>,
        duration: Option<Duration>,
        effects: &mut Vec<Effect>,
    ) {
        let rejected = Verdict::of(&findings) == Verdict::Rejected;
        // A valid content can become invalid: a checker depends on more than the content.
        self.validated.take_if(|validated| rejected && validated.digest() == about);
        self.permission.withdraw(about);
        let kind = if rejected { Kind::Rejected } else { Kind::Inconclusive };
        let event = match self.desired.as_ref().filter(|desired| desired.digest() == about) {
            Some(desired) => self.change(kind, desired),
            // Nothing was read, so there is no content to name.
            None => Event { previous: self.running().map(Revision::digest), ..Event::new(kind) },
        };
        let message = headline(&findings);
        self.raise(now, about, Event { message, findings, duration, ..event }, effects);
        if rejected {
            self.fall_back_if_empty(now);
        }
        if rejected && self.policy.fail_on_empty && !self.is_ready() && !self.policy.once {
            let message = "the first configuration was rejected and nothing is published (`--on-empty fail`)";
            effects.push(Effect::Report(Event::new(Kind::Stopped).message(message)));
            self.finish(effects);
        }
    }
}
