//! Reloads that happen and cannot take effect. IO: reads files, beside the event loop.

use std::time::Duration;

use crate::config::GateConfig;
use crate::flow::snapshot::Snapshot;
use crate::flow::validate::PathMap;
use crate::flow::verify::{Loaded, Proof, hidden_change};
use crate::sys::worker::{self, WorkKind};

/// Time limit of a look at compiled files.
const READING: Duration = Duration::from_secs(2);

/// Returns the reason why the reload of `snapshot` cannot take effect in the process that has had `loaded` since its start, if there
/// is one.
pub(super) async fn of_reload(config: &GateConfig, loaded: Option<Loaded>, snapshot: &Snapshot) -> Option<Proof> {
    let (loaded, main) = (loaded?, config.plan.main.find(&snapshot.tree).ok());
    let limit = loaded.limit(&snapshot.revision, &snapshot.tree, main.as_deref());
    let modules = loaded.changed_modules(&snapshot.revision);
    // A published file has the time at which the gate wrote it.
    if limit.is_some() || modules.is_empty() || config.publication.is_some() {
        return limit;
    }
    let sources = config.sources.clone();
    let look = move || {
        let paths = PathMap::of(&sources);
        hidden_change(&modules.iter().map(|module| paths.here(module)).collect::<Vec<_>>())
    };
    worker::run(WorkKind::Files, READING, look).await.ok().flatten()
}
