//! The gate's own volumes: the stage, where a candidate is validated, and the publication, which the application reads.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use reload_gate_contract::Finding;

use crate::config::GateConfig;
use crate::flow::publish::{Generation, Publication, PublishError, Volume};
use crate::flow::snapshot::Snapshot;
use crate::flow::tree::{Digest, Tree};
use crate::flow::validate::{Mapping, PathMap};
use crate::gate::Gate;
use crate::report::{Event, Kind};

use super::EventSink;

/// Repairs a torn or damaged publication and reports it; returns `true` if it had to.
fn repair(config: &GateConfig, sink: &EventSink) -> bool {
    match config.publication.as_ref().map(Publication::repair) {
        Some(Ok(true)) => {
            let message = "the publication was damaged or incomplete; the last-known-good revision is live again";
            sink(&Event::new(Kind::Restored).message(message));
            return true;
        }
        Some(Err(error)) => sink(&failed(error)),
        _ => {}
    }
    false
}

/// Lets `gate` go on from what an earlier one published.
pub(super) fn resume(config: &GateConfig, gate: Gate, sink: &EventSink) -> Gate {
    let Some(publication) = &config.publication else { return gate };
    let repaired = repair(config, sink);
    let gate = if publication.is_live() { gate.published_before() } else { gate };
    match publication.good() {
        // The application may have read what was damaged.
        Ok(Some(good)) => gate.resume(Arc::new(good.revision), good.live && !repaired),
        // The next write there reports the reason.
        Ok(None) | Err(_) => gate,
    }
}

/// Lays `tree` out for validation and returns its paths.
pub(super) async fn lay_out(config: &GateConfig, tree: Arc<Tree>) -> Result<PathMap, Finding> {
    match (&config.stage, &config.publication) {
        (Some(stage), _) => {
            blocking(stage, move |stage| stage.publish(&stage.stage(&tree)?)).await?;
            Ok(path_map(stage))
        }
        (None, Some(publication)) => {
            let generations = blocking(publication, move |publication| publication.stage(&tree)).await?;
            let mounts = config.sources.iter().map(|source| &source.mount);
            let volumes = publication.volumes().zip(mounts).zip(&generations);
            let mapping =
                |(((volume, prefix), mount), generation): (((&Volume, &Path), &PathBuf), &Generation)| Mapping {
                    prefix: prefix.into(),
                    here: volume.path_of(generation),
                    there: mount.join(generation.name()),
                    live: Some(mount.clone()),
                    whole: true,
                };
            Ok(PathMap(volumes.map(mapping).collect()))
        }
        (None, None) => Ok(PathMap::of(&config.sources)),
    }
}

/// Lets findings about a copy of the sources name the files of the sources, which are those that can be corrected.
pub(super) fn at_sources(config: &GateConfig, path_map: &PathMap, tree: &Tree, findings: &mut [Finding]) {
    if config.stage.is_none() && config.publication.is_none() {
        return;
    }
    let sources = PathMap::of(&config.sources);
    for place in findings.iter_mut().filter_map(|finding| finding.place.as_mut()) {
        if let Some(name) = path_map.named(Path::new(&place.file), tree) {
            place.file = sources.here(name).display().to_string();
        }
    }
}

/// The paths of a tree in the stage, if there is one.
pub(super) fn staged(config: &GateConfig) -> Option<PathMap> {
    config.stage.as_ref().map(path_map)
}

fn path_map(stage: &Publication) -> PathMap {
    let mapping = |(volume, prefix): (&Volume, &Path)| {
        let path = volume.path().to_path_buf();
        Mapping { prefix: prefix.into(), here: path.clone(), there: path, live: None, whole: true }
    };
    PathMap(stage.volumes().map(mapping).collect())
}

/// Publishes `snapshot`, or the last-known-good revision if `digest` names it; returns `true` if it was not published before.
pub(super) async fn publish(config: &GateConfig, snapshot: Snapshot, digest: Digest) -> Result<bool, Finding> {
    let Some(publication) = &config.publication else { return Ok(false) };
    blocking(publication, move |publication| {
        if snapshot.revision.digest() == digest {
            return publication.publish(&publication.stage(&snapshot.tree)?);
        }
        let good = publication.good()?.filter(|good| good.revision.digest() == digest);
        good.map_or(Err(PublishError::Lost), |good| publication.publish(&good.generations))
    })
    .await
}

/// Keeps what is live as the last-known-good revision.
pub(super) fn keep(config: &GateConfig, sink: &EventSink) {
    if let Some(Err(error)) = config.publication.as_ref().map(Publication::keep) {
        sink(&failed(error));
    }
}

fn failed(error: PublishError) -> Event {
    let finding = Finding::from(error);
    Event { message: Some(finding.message.clone()), findings: vec![finding], ..Event::new(Kind::Inconclusive) }
}

/// Runs slow work, such as waiting for a disk, on a thread of its own.
async fn blocking<T: Send + 'static>(
    publication: &Publication,
    work: impl FnOnce(&Publication) -> Result<T, PublishError> + Send + 'static,
) -> Result<T, Finding> {
    let publication = publication.clone();
    let done = tokio::task::spawn_blocking(move || work(&publication)).await;
    done.unwrap_or(Err(PublishError::Lost)).map_err(Finding::from)
}
