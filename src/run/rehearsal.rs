//! Rehearsal of the next change. IO: reads.
//!
//! A kubelet makes the directory of a generation about a millisecond before it commits it (`pkg/volume/util/atomic_writer.go` in
//! kubernetes), and until then the gate has slept. The caches of the processor hold neither its code nor its data, so the way from the commit
//! to the signal takes three times as long as that of the second of two close changes. So the gate goes this way once in advance,
//! without any effect: it reads the generation that it knows, validates that where no program is asked, lets a copy of the state
//! machine decide, and looks at the target.

use std::time::Instant;

use crate::flow::snapshot::Snapshot;
use crate::flow::validate::Validation;
use crate::flow::watch::Hint;
use crate::gate::{Gate, Input};

use super::effects::validate_after;
use super::scans::Sources;
use super::{Runner, advance};

impl Runner {
    /// Goes through a change of the sources, without any effect.
    pub(super) async fn rehearse(&mut self, gate: &Gate) {
        let Some(snapshot) = self.sources.as_mut().and_then(Sources::rehearse) else { return };
        decide(gate.clone(), &snapshot);
        self.rehearse_validation(&snapshot).await;
        self.config.reload.rehearse(&self.targets, &self.config.verification);
        self.show(gate);
    }

    /// Validates as far as that needs no program, writes no files, and waits for nothing.
    async fn rehearse_validation(&self, snapshot: &Snapshot) {
        let writes = self.config.stage.is_some() || self.config.publication.is_some();
        if !writes && !self.config.plan.asks_programs() {
            let (config, targets, former) = (self.config.clone(), self.targets.clone(), self.former.clone());
            let tree = snapshot.tree.clone();
            let validation = async move { validate_after(&config, tree, &targets, &former).await };
            let _ = advance(&mut Some(Box::pin(validation))).await;
        }
    }
}

/// Takes the decisions from the event to the reload.
fn decide(mut gate: Gate, snapshot: &Snapshot) {
    let scanned = || Input::Scanned(Ok(snapshot.clone()));
    let accepted = Input::Validated(Ok(Validation::default()));
    for input in [Input::WatchEvent(Hint::Commit), scanned(), accepted, scanned()] {
        let _ = gate.step(Instant::now(), input);
    }
}
