//! The gate's own volumes: where a candidate is judged, and where the application reads what was accepted.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use reload_gate_contract::Finding;

use crate::config::GateConfig;
use crate::flow::publish::{Generation, Publication, PublishError, Volume};
use crate::flow::snapshot::Snapshot;
use crate::flow::tree::{Digest, Tree};
use crate::flow::validate::{Mapping, PathMap};
use crate::gate::Gate;
use crate::report::{Event, Kind};

use super::Sink;

/// Repairs what an earlier gate left torn, or somebody has damaged, and says so.
pub(super) fn repair(config: &GateConfig, sink: &Sink) {
    match config.publication.as_ref().map(Publication::repair) {
        Some(Ok(true)) => {
            let message = "what was published was not whole, or half of it newer, so the last known good is live again";
            sink(&Event::new(Kind::Restored).message(message));
        }
        Some(Err(obstacle)) => sink(&failed(obstacle)),
        _ => {}
    }
}

/// Lets `gate` go on from what an earlier one published.
pub(super) fn resume(config: &GateConfig, gate: Gate, sink: &Sink) -> Gate {
    let Some(publication) = &config.publication else { return gate };
    repair(config, sink);
    let gate = if publication.is_live() { gate.published_before() } else { gate };
    match publication.good() {
        Ok(Some(good)) => gate.resume(Arc::new(good.revision), good.live),
        // Why not, is said by whoever wants to write there.
        Ok(None) | Err(_) => gate,
    }
}

/// Lays `tree` out where it is to be judged, and says where that is.
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
            let part = |(((volume, prefix), mount), generation): (((&Volume, &Path), &PathBuf), &Generation)| Mapping {
                prefix: prefix.into(),
                here: volume.path_of(generation),
                there: mount.join(generation.name()),
                live: Some(mount.clone()),
                whole: true,
            };
            Ok(PathMap(volumes.map(part).collect()))
        }
        (None, None) => Ok(PathMap::of(&config.sources)),
    }
}

/// Where a tree lies that was laid out in volumes of the gate's own, if it is.
pub(super) fn staged(config: &GateConfig) -> Option<PathMap> {
    config.stage.as_ref().map(path_map)
}

fn path_map(stage: &Publication) -> PathMap {
    let part = |(volume, prefix): (&Volume, &Path)| {
        let path = volume.path().to_path_buf();
        Mapping { prefix: prefix.into(), here: path.clone(), there: path, live: None, whole: true }
    };
    PathMap(stage.volumes().map(part).collect())
}

/// Makes what was `seen` live, or the last known good if that is meant by `digest`; says whether it was not before.
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

/// Remembers what is live as the last known good.
pub(super) fn keep(config: &GateConfig, sink: &Sink) {
    if let Some(Err(obstacle)) = config.publication.as_ref().map(Publication::keep) {
        sink(&failed(obstacle));
    }
}

/// When what the application reads was put there.
pub(super) fn delivered(config: &GateConfig, snapshot: &Snapshot) -> SystemTime {
    config.publication.as_ref().and_then(Publication::since).unwrap_or(snapshot.delivered)
}

fn failed(obstacle: PublishError) -> Event {
    let finding = Finding::from(obstacle);
    Event { message: Some(finding.message.clone()), findings: vec![finding], ..Event::new(Kind::Inconclusive) }
}

/// Does what may take long, such as waiting for a disk, beside the loop.
async fn blocking<T: Send + 'static>(
    publication: &Publication,
    work: impl FnOnce(&Publication) -> Result<T, PublishError> + Send + 'static,
) -> Result<T, Finding> {
    let publication = publication.clone();
    let done = tokio::task::spawn_blocking(move || work(&publication)).await;
    done.unwrap_or(Err(PublishError::Lost)).map_err(Finding::from)
}
