//! Removes parts of Secrets from the output of checkers and other programs before it is reported.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reload_gate_contract::Finding;

use crate::config::GateConfig;
use crate::flow::process::TargetError;
use crate::flow::snapshot::{Snapshot, Source};
use crate::flow::tree::Tree;
use crate::flow::validate::Validation;
use crate::flow::verify::Proof;
use crate::redact::{REDACTED, RedactionScope, Redactor};
use crate::sys::worker::{self, WorkKind};

/// Size in bytes of the former Secrets that are remembered.
const FORMER: usize = 2 << 20;

/// Time limit of one redaction: it is far more than the largest Secrets take.
const LIMIT: Duration = Duration::from_secs(10);

/// Contents of Secrets before they were rotated. The application, and a command that it runs, may quote them for a while.
#[derive(Clone, Debug, Default)]
pub(super) struct FormerSecrets(Arc<Vec<Vec<u8>>>);

impl FormerSecrets {
    /// Remembers the Secrets of `old`, which are in `secret`, that are not the same in `new`, and forgets the oldest if they become too
    /// large.
    pub(super) fn remember(&mut self, secret: &[PathBuf], old: &Tree, new: &Tree) {
        let rotated = |name: &PathBuf| old.get(name).filter(|content| new.get(name) != Some(content)).cloned();
        let rotated: Vec<_> = secret.iter().filter_map(rotated).collect();
        if rotated.is_empty() {
            return;
        }
        let mut room = FORMER;
        let fits = |content: &Vec<u8>| {
            room = room.saturating_sub(content.len());
            room > 0
        };
        self.0 = Arc::new(rotated.into_iter().chain(self.0.iter().cloned()).take_while(fits).collect());
    }
}

/// Redacts the findings of a validation.
pub(super) async fn of_validation(
    config: &GateConfig,
    tree: &Arc<Tree>,
    former: &FormerSecrets,
    validation: Validation,
) -> Validation {
    if validation.findings.is_empty() {
        return validation;
    }
    let findings = validation.findings;
    let withheld = findings.iter().cloned().map(withheld).collect();
    let redact = |redactor: &Redactor, findings: Vec<Finding>| redactor.redact_all(findings);
    Validation { findings: redacted(config, (tree, former), (findings, withheld), redact).await, ..validation }
}

/// Redacts a target error: the output of a reload command, or a server's answer, may quote the configuration.
pub(super) async fn of_target_error(
    config: &GateConfig,
    tree: &Arc<Tree>,
    former: &FormerSecrets,
    target_error: TargetError,
) -> TargetError {
    let TargetError::Failed { message, help } = target_error else { return target_error };
    TargetError::Failed { message: redacted(config, (tree, former), (message, REDACTED.into()), text).await, help }
}

/// Redacts a proof that is missing.
pub(super) async fn of_proof(config: &GateConfig, tree: &Arc<Tree>, former: &FormerSecrets, proof: Proof) -> Proof {
    let Proof::Missing { message, help, answer } = proof else { return proof };
    let message = redacted(config, (tree, former), (message, REDACTED.into()), text).await;
    Proof::Missing { message, help, answer }
}

#[expect(clippy::needless_pass_by_value, reason = "it takes the place of what it is given")]
fn text(redactor: &Redactor, text: String) -> String {
    redactor.text(&text)
}

/// The finding without its texts.
fn withheld(finding: Finding) -> Finding {
    Finding { message: REDACTED.into(), help: None, ..finding }
}

/// Applies `redact` to a value if `tree` holds a Secret. A large one takes time, so it is done beside the event loop; after the limit the
/// second value takes the place of the first.
async fn redacted<T: Send + 'static>(
    config: &GateConfig,
    (tree, former): (&Arc<Tree>, &FormerSecrets),
    (value, withheld): (T, T),
    redact: impl FnOnce(&Redactor, T) -> T + Send + 'static,
) -> T {
    if config.redact == RedactionScope::Nothing {
        return value;
    }
    let (config, tree, former) = (config.clone(), tree.clone(), former.clone());
    let work = move || {
        let secret = secret_files(&config, &tree);
        if secret.is_empty() && former.0.is_empty() {
            return value;
        }
        let present = secret.iter().filter_map(|name| tree.get(name));
        let redactor = Redactor::new(present.chain(&*former.0).map(Vec::as_slice));
        redact(&redactor, value)
    };
    worker::run(WorkKind::Compute, LIMIT, work).await.unwrap_or(withheld)
}

/// The names of the files of which no line may be shown. A file that lies in memory counts as one.
pub(super) fn hidden(config: &GateConfig, snapshot: &Snapshot) -> BTreeSet<PathBuf> {
    let mut hidden: BTreeSet<_> = secret_files(config, &snapshot.tree).into_iter().collect();
    if config.redact == RedactionScope::Secrets {
        hidden.extend(snapshot.in_memory.iter().cloned());
    }
    hidden
}

/// The names of the files of which nothing may be quoted in a message. It looks at their file system, so it belongs beside the event
/// loop.
pub(super) fn secret_files(config: &GateConfig, tree: &Tree) -> Vec<PathBuf> {
    secret_among(config, &secret_sources(config), tree)
}

/// Returns, for each source, true if its files are such files.
pub(super) fn secret_sources(config: &GateConfig) -> Vec<bool> {
    let is_secret = |source: &Source| match config.redact {
        RedactionScope::Secrets => source.is_secret(),
        RedactionScope::All => true,
        RedactionScope::Nothing => false,
    };
    config.sources.iter().map(is_secret).collect()
}

/// The same as [`secret_files`] where the secret sources are known.
pub(super) fn secret_among(config: &GateConfig, secret: &[bool], tree: &Tree) -> Vec<PathBuf> {
    let sources: Vec<_> = config.sources.iter().zip(secret).filter(|(_, secret)| **secret).collect();
    // A rendered file has another name than its source.
    let is_renamed = config.rendering.is_some();
    tree.keys().filter(|name| sources.iter().any(|(source, _)| is_renamed || source.holds(name))).cloned().collect()
}
