//! Sees to it that nothing of a Secret is in what checkers and other programs answer, before anybody is told of it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use reload_gate_contract::Finding;

use crate::config::GateConfig;
use crate::flow::process::TargetError;
use crate::flow::snapshot::Snapshot;
use crate::flow::tree::Tree;
use crate::flow::validate::Validation;
use crate::flow::verify::Proof;
use crate::redact::{RedactionScope, Redactor};

/// The same judgement, without what it quotes.
pub(super) async fn of_validation(config: &GateConfig, tree: &Arc<Tree>, validation: Validation) -> Validation {
    if validation.findings.is_empty() {
        return validation;
    }
    let findings = validation.findings;
    let redact = |redactor: &Redactor, findings: Vec<Finding>| redactor.redact_all(findings);
    Validation { findings: discreetly(config, tree, findings, redact).await, ..validation }
}

/// The same hindrance: what a reload command prints, or a server answers, quotes the configuration as a checker does.
pub(super) async fn of_target_error(config: &GateConfig, tree: &Arc<Tree>, target_error: TargetError) -> TargetError {
    let TargetError::Failed { message, help } = target_error else { return target_error };
    TargetError::Failed { message: discreetly(config, tree, message, text).await, help }
}

/// The same proof, or want of it.
pub(super) async fn of_proof(config: &GateConfig, tree: &Arc<Tree>, proof: Proof) -> Proof {
    let Proof::Missing { message, help } = proof else { return proof };
    Proof::Missing { message: discreetly(config, tree, message, text).await, help }
}

#[expect(clippy::needless_pass_by_value, reason = "it takes the place of what it is given")]
fn text(redactor: &Redactor, text: String) -> String {
    redactor.text(&text)
}

/// What `redact` makes of `said`, if anything of `tree` is a Secret's. A large one takes its time, so it is done beside the loop.
async fn discreetly<T: Send + 'static>(
    config: &GateConfig,
    tree: &Arc<Tree>,
    said: T,
    redact: impl FnOnce(&Redactor, T) -> T + Send + 'static,
) -> T {
    let secret = secret_files(config, tree);
    if secret.is_empty() {
        return said;
    }
    let tree = tree.clone();
    let work = move || {
        let redactor = Redactor::new(secret.iter().filter_map(|name| tree.get(name)).map(Vec::as_slice));
        redact(&redactor, said)
    };
    // It only fails by a bug, and a bug must not end in showing anything.
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// The names of the files of which nothing may be shown, not even a line. In doubt, which is whatever lies in memory, a file is one.
pub(super) fn hidden(config: &GateConfig, snapshot: &Snapshot) -> BTreeSet<PathBuf> {
    let mut hidden: BTreeSet<_> = secret_files(config, &snapshot.tree).into_iter().collect();
    if config.redact == RedactionScope::Secrets {
        hidden.extend(snapshot.in_memory.iter().cloned());
    }
    hidden
}

/// The names of the files of which nothing may be quoted.
fn secret_files(config: &GateConfig, tree: &Tree) -> Vec<PathBuf> {
    let sources = config.sources.iter().filter(|source| match config.redact {
        RedactionScope::Secrets => source.is_secret(),
        RedactionScope::All => true,
        RedactionScope::Nothing => false,
    });
    let sources: Vec<_> = sources.collect();
    tree.keys().filter(|name| sources.iter().any(|source| source.holds(name))).cloned().collect()
}
