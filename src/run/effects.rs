//! The effects that take time. Each becomes a future, whose outcome is the next input of the state machine. IO.

use std::sync::Arc;

use crate::config::GateConfig;
use crate::flow::placeholders::UnknownMain;
use crate::flow::process::{TargetError, TargetSearches};
use crate::flow::reload::{Circumstances, ReloadMethod};
use crate::flow::snapshot::Snapshot;
use crate::flow::tree::{Digest, Tree};
use crate::flow::validate::Validation;
use crate::flow::verify::{NOT_CONFIGURED, Patience, Proof, ReloadAnswer, Verification};
use crate::gate::{Extent, Input, ReloadRequest};
use crate::sys::exec;
use crate::sys::worker::{self, WorkKind};

use super::redaction::{self, FormerSecrets};
use super::{InFlight, Outcome, Runner, limits, staging};

impl Runner {
    /// Makes sure that the next command need not wait for the start of the process in which it runs.
    pub(super) fn ready_for_command(&mut self) {
        let is_starting = self.readying.as_mut().is_some_and(|work| work.ended().is_none());
        if self.config.plan.asks_programs() && !is_starting && !exec::is_ready() {
            self.readying = Some(worker::begin(WorkKind::Files, exec::prepare));
        }
    }

    /// Begins the search for the target in one of the ways, if a reload will need it.
    pub(super) fn expect_reload(&self, search: fn(&TargetSearches)) {
        if self.config.policy.reload && !matches!(self.config.reload, ReloadMethod::Nothing) {
            search(&self.targets);
        }
    }

    /// Reads the sources.
    pub(super) fn scan(&mut self, extent: Extent) -> Option<InFlight> {
        let (mut sources, limit) = (self.sources.take()?, self.config.plan.timeout);
        // A small new generation was written a moment ago, so nothing has to be waited for.
        let newest = if extent == Extent::Newest { sources.newest() } else { None };
        Some(Box::pin(async move {
            let (sources, result) = match newest {
                Some(outcome) => (sources, Ok(outcome)),
                None => sources.scan(extent, limit).await,
            };
            Outcome::Scanned(sources, result)
        }))
    }

    pub(super) fn validate(&self) -> Option<InFlight> {
        let (config, snapshot, former) = (self.config.clone(), self.snapshot.clone()?, self.former.clone());
        let targets = self.targets.clone();
        if config.plan.asks_programs() {
            self.expect_reload(TargetSearches::expect_after_command);
        } else if !config.plan.validators.is_empty() {
            self.expect_reload(TargetSearches::expect);
        }
        Some(Box::pin(async move {
            let mut validated = validate_after(&config, snapshot.tree, &targets, &former).await;
            if let Ok(validation) = &mut validated {
                validation.findings.extend(snapshot.notes);
            }
            Outcome::Done(Input::Validated(validated), None)
        }))
    }

    /// The last snapshot that could be read. What was published can be reloaded and verified while the sources are unreadable.
    fn readable(&self) -> Option<Snapshot> {
        self.snapshot.clone().or_else(|| self.last_readable.clone())
    }

    pub(super) fn publish(&self, digest: Digest) -> Option<InFlight> {
        let (config, snapshot) = (self.config.clone(), self.readable());
        Some(Box::pin(async move {
            Outcome::Done(Input::Published(staging::publish(&config, snapshot, digest).await), None)
        }))
    }

    pub(super) fn compare_publication(&self) -> Option<InFlight> {
        let config = self.config.clone();
        Some(Box::pin(async move { Outcome::Done(Input::Compared(staging::difference(&config).await), None) }))
    }

    pub(super) fn reload(&self, request: ReloadRequest) -> Option<InFlight> {
        let (config, former) = (self.config.clone(), self.former.clone());
        let tree = self.readable().map(|snapshot| snapshot.tree).unwrap_or_default();
        let counts_workers = matches!(config.verification, Verification::Workers) && request.limit_lingering;
        let circumstances = Circumstances {
            since: request.since,
            max_lingering: config.max_lingering.filter(|_| counts_workers),
            last_reload: self.verified_reload,
            timeout: config.plan.timeout,
        };
        let targets = self.targets.clone();
        Some(Box::pin(async move {
            let requested = match config.reload.at(|| staging::live_paths(&config, &tree)) {
                Ok(filled) => {
                    let method = filled.as_ref().unwrap_or(&config.reload);
                    method.request_reload(&targets, &config.verification, circumstances).await
                }
                Err(target_error) => Err(target_error),
            };
            match requested {
                Ok((sent, baseline)) => Outcome::Done(Input::Reloaded(Ok(sent)), Some(baseline)),
                Err(target_error) => {
                    let target_error = redaction::of_target_error(&config, &tree, &former, target_error).await;
                    Outcome::Done(Input::Reloaded(Err(target_error)), None)
                }
            }
        }))
    }

    pub(super) fn verify(&self, late: bool) -> Option<InFlight> {
        let (config, baseline, snapshot) = (self.config.clone(), self.baseline.clone(), self.readable());
        let former = self.former.clone();
        let patience = if late { Patience::Late } else { Patience::Limited(config.verify_timeout) };
        let loaded = self.loaded.as_ref().map(|(_, loaded)| loaded.clone());
        Some(Box::pin(async move {
            let tree = snapshot.as_ref().map(|snapshot| snapshot.tree.clone()).unwrap_or_default();
            let (proof, successor) = match baseline {
                Some(baseline) => match verification_at(&config, &tree) {
                    Ok(filled) => {
                        let verification = filled.as_ref().unwrap_or(&config.verification);
                        verification.prove(&baseline, &config.selector, patience).await
                    }
                    Err(UnknownMain { message, help }) => {
                        (Proof::Missing { message, help, answer: ReloadAnswer::Unknown }, None)
                    }
                },
                None => (Proof::NotAsked { message: NOT_CONFIGURED.into() }, None),
            };
            let proof = match (proof, &snapshot) {
                (proof @ (Proof::Proven { .. } | Proof::NotAsked { .. }), Some(snapshot)) if successor.is_none() => {
                    limits::of_reload(&config, loaded, snapshot).await.unwrap_or(proof)
                }
                (proof, _) => proof,
            };
            let proof = redaction::of_proof(&config, &tree, &former, proof).await;
            Outcome::Done(Input::Verified(proof), successor)
        }))
    }
}

/// Returns the verification of a gate with the paths of the live configuration in the words of its command; `None` if no word has a
/// placeholder.
///
/// # Errors
/// When a word needs the main file of `tree`, and that is unknown.
pub fn verification_at(config: &GateConfig, tree: &Tree) -> Result<Option<Verification>, UnknownMain> {
    config.verification.at(|| staging::live_paths(config, tree))
}

/// Lays `tree` out and validates it there.
///
/// # Errors
/// When validation needs the target and it is missing or refused.
pub async fn validate(config: &GateConfig, tree: Arc<Tree>) -> Result<Validation, TargetError> {
    let targets = TargetSearches::new(config.selector.clone());
    validate_after(config, tree, &targets, &FormerSecrets::default()).await
}

/// Validates `tree` as [`validate`] does, where there were Secrets before it.
pub(super) async fn validate_after(
    config: &GateConfig,
    tree: Arc<Tree>,
    targets: &TargetSearches,
    former: &FormerSecrets,
) -> Result<Validation, TargetError> {
    let count_verdict = match staging::lay_out(config, tree.clone()).await {
        Ok(path_map) => {
            let is_copied = config.stage.is_some() || config.publication.is_some();
            let seen = if is_copied { tree.clone().as_copied() } else { tree.clone() };
            let mut validated = config.plan.validate(&seen, &path_map, targets).await;
            if let Ok(validation) = &mut validated {
                staging::at_sources(config, &path_map, &tree, &mut validation.findings);
                validation.findings.extend(staging::leftovers(config));
            }
            validated
        }
        Err(finding) => Ok(Validation { findings: vec![finding], ..Validation::default() }),
    };
    match count_verdict {
        Ok(validation) => Ok(redaction::of_validation(config, &tree, former, validation).await),
        Err(target_error) => Err(redaction::of_target_error(config, &tree, former, target_error).await),
    }
}
