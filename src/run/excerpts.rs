//! Excerpts for reports: the offending lines, and the difference from the running content (`--diff`).

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use reload_gate_contract::Finding;

use crate::config::GateConfig;
use crate::flow::snapshot::Snapshot;
use crate::flow::tree::Revision;
use crate::flow::validate::PathMap;
use crate::gate::Gate;
use crate::report::diff::{self, Change};
use crate::report::excerpt::Excerpt;
use crate::report::{Event, Kind, Shown};
use crate::sys::worker::{self, WorkKind};

use super::{redaction, staging};

/// The number of findings that are shown with their lines.
const EXCERPTS: usize = 10;
/// Time limit of the excerpts of one event, which the event waits for.
const LIMIT: Duration = Duration::from_secs(2);

/// The contents that are kept beside the newest.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    /// The content that is known to run, where a diff may be asked for.
    running: Option<Snapshot>,
}

impl Contents {
    /// Keeps the running content, which is `snapshot` if it is new. Call it before the next scan.
    pub(super) fn follow(&mut self, config: &GateConfig, gate: &Gate, snapshot: Option<&Snapshot>) {
        let known_good = gate.known_good().map(Revision::digest);
        let is_known_good = |snapshot: &Snapshot| Some(snapshot.revision.digest()) == known_good;
        if config.diff && !self.running.as_ref().is_some_and(is_known_good) {
            self.running = snapshot.filter(|snapshot| is_known_good(snapshot)).cloned();
        }
    }

    /// Returns `event` with the permitted excerpts of its content, if that is `snapshot`. Large files take time, so they are read beside
    /// the event loop; after the limit there is none.
    pub(super) async fn show(&self, config: &GateConfig, event: Event, snapshot: Option<&Snapshot>) -> Event {
        let refused = matches!(event.kind, Kind::Rejected | Kind::Inconclusive);
        let Some(snapshot) = snapshot.filter(|snapshot| refused && event.digest == Some(snapshot.revision.digest()))
        else {
            return event;
        };
        let (contents, config, snapshot, about) = (self.clone(), config.clone(), snapshot.clone(), event.clone());
        let read = move || contents.shown(&config, &about, &snapshot);
        let shown = worker::run(WorkKind::Compute, LIMIT, read).await.unwrap_or_default();
        Event { shown: (shown != Shown::default()).then(|| Box::new(shown)), ..event }
    }

    fn shown(&self, config: &GateConfig, event: &Event, snapshot: &Snapshot) -> Shown {
        let hidden = redaction::hidden(config, snapshot);
        let excerpts = excerpts(config, &event.findings, snapshot, &hidden);
        Shown { excerpts, diff: self.diff(config, event, snapshot, &hidden) }
    }

    fn diff(
        &self,
        config: &GateConfig,
        event: &Event,
        snapshot: &Snapshot,
        hidden: &BTreeSet<PathBuf>,
    ) -> Option<String> {
        let before = self.running.as_ref()?;
        if event.kind != Kind::Rejected || event.previous != Some(before.revision.digest()) {
            return None;
        }
        let hidden_before = redaction::hidden(config, before);
        let change = |name| Change {
            name,
            before: before.tree.get(name).map(Vec::as_slice),
            after: snapshot.tree.get(name).map(Vec::as_slice),
            hidden: hidden_before.contains(name) || hidden.contains(name),
        };
        let changes: Vec<_> = event.changed.iter().map(|name| change(name.as_path())).collect();
        (!changes.is_empty()).then(|| diff::unified(&changes))
    }
}

/// The lines that the first of `findings` are about, each once.
fn excerpts(
    config: &GateConfig,
    findings: &[Finding],
    snapshot: &Snapshot,
    hidden: &BTreeSet<PathBuf>,
) -> Vec<Excerpt> {
    let path_maps = [staging::staged(config), Some(PathMap::of(&config.sources))];
    let excerpt = |finding: &Finding| {
        let place = finding.place.as_ref()?;
        let name =
            path_maps.iter().flatten().find_map(|path_map| path_map.named(place.file.as_ref(), &snapshot.tree))?;
        let content = snapshot.tree.get(name).filter(|_| !hidden.contains(name))?;
        Excerpt::of(place, content)
    };
    let mut excerpts: Vec<Excerpt> = Vec::new();
    for excerpt in findings.iter().take(EXCERPTS).filter_map(excerpt) {
        if !excerpts.contains(&excerpt) {
            excerpts.push(excerpt);
        }
    }
    excerpts
}
