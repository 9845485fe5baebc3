//! The gate's own volumes: the stage, where a candidate is validated, and the publication, which the application reads.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reload_gate_contract::Finding;

use crate::config::GateConfig;
use crate::flow::placeholders::LivePaths;
use crate::flow::publish::{Generation, Generations, Publication, PublishError, Volume};
use crate::flow::snapshot::Snapshot;
use crate::flow::tree::{Digest, Revision, Tree};
use crate::flow::validate::{Mapping, PathMap};
use crate::gate::Gate;
use crate::report::{Event, Kind};
use crate::sys::worker::{self, WorkKind};

use super::EventSink;

/// A publication that an earlier gate left.
struct Former {
    /// It was torn or damaged, and was repaired.
    repaired: bool,
    is_live: bool,
    /// The last-known-good revision, and whether that is live.
    good: Option<(Revision, bool)>,
}

/// Claims a publication, unless `shares` is set; repairs it if it is torn or damaged, and reads it.
fn former(publication: &Publication, shares: bool) -> Option<(Former, Option<PublishError>)> {
    if !shares && publication.claim().is_err() {
        // The first candidate reports it.
        return None;
    }
    let (repaired, error) = match publication.repair() {
        Ok(repaired) => (repaired, None),
        Err(error) => (false, Some(error)),
    };
    // The next write there reports the reason for an error.
    let good = publication.good().ok().flatten().map(|good| (good.revision, good.live));
    let live = publication.live();
    let is_live = live.is_some();
    if let Some(live) = live {
        publication.remember(live);
    }
    Some((Former { repaired, is_live, good }, error))
}

/// Lets `gate` go on from what an earlier one published.
pub(super) async fn resume(config: &GateConfig, gate: Gate, sink: &EventSink) -> Gate {
    let Some(publication) = &config.publication else { return gate };
    let shares = shares(config);
    let former = beside(publication, move |publication| former(publication, shares)).await;
    let Ok(Some((former, error))) = former else { return gate };
    error.into_iter().for_each(|error| sink(&failed(error.into())));
    if former.repaired {
        let message = "the publication was damaged or incomplete; the last-known-good revision is live again";
        sink(&Event::new(Kind::Restored).message(message));
    }
    let gate = if former.is_live { gate.published_before() } else { gate };
    match former.good {
        // The application may have read what was damaged.
        Some((revision, live)) => gate.resume(Arc::new(revision), live && !former.repaired),
        None => gate,
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
            let generations = writing(config, publication, move |publication| publication.stage(&tree)).await?;
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
        // Without a validator nothing asks for a path.
        (None, None) if config.plan.validators.is_empty() => Ok(PathMap(Vec::new())),
        (None, None) => Ok(PathMap::of(&config.sources)),
    }
}

/// Returns warnings about what lies in the gate's volumes and cannot be removed.
pub(super) fn leftovers(config: &GateConfig) -> impl Iterator<Item = Finding> {
    config.stage.iter().chain(&config.publication).flat_map(Publication::leftovers)
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

/// The paths at which the gate sees what the application reads.
pub(super) fn live_paths(config: &GateConfig, tree: &Tree) -> LivePaths {
    let paths = config.publication.as_ref().map_or_else(|| PathMap::of(&config.sources), path_map);
    LivePaths { main: config.plan.main.find(tree).map(|name| paths.here(&name)), directory: paths.directory_here() }
}

fn path_map(stage: &Publication) -> PathMap {
    let mapping = |(volume, prefix): (&Volume, &Path)| {
        let path = volume.path().to_path_buf();
        Mapping { prefix: prefix.into(), here: path.clone(), there: path, live: None, whole: true }
    };
    PathMap(stage.volumes().map(mapping).collect())
}

/// Publishes `snapshot`, or the last-known-good revision if `digest` names it; returns `true` if it was not published before.
pub(super) async fn publish(config: &GateConfig, snapshot: Option<Snapshot>, digest: Digest) -> Result<bool, Finding> {
    let Some(publication) = &config.publication else { return Ok(false) };
    writing(config, publication, move |publication| {
        if let Some(snapshot) = snapshot.filter(|snapshot| snapshot.revision.digest() == digest) {
            return put_live(publication, publication.stage(&snapshot.tree)?);
        }
        let good = publication.good()?.filter(|good| good.revision.digest() == digest);
        good.map_or(Err(PublishError::Lost), |good| put_live(publication, good.generations))
    })
    .await
}

fn put_live(publication: &Publication, generations: Generations) -> Result<bool, PublishError> {
    let is_new = publication.publish(&generations)?;
    publication.remember(generations);
    Ok(is_new)
}

/// Compares what lies published with what was published; returns the first difference.
pub(super) async fn difference(config: &GateConfig) -> Option<String> {
    let publication = config.publication.as_ref()?;
    beside(publication, Publication::difference).await.unwrap_or_default()
}

/// Publishes `tree`.
pub(super) async fn publish_tree(config: &GateConfig, tree: Arc<Tree>) -> Result<bool, Finding> {
    let Some(publication) = &config.publication else { return Ok(false) };
    writing(config, publication, move |publication| put_live(publication, publication.stage(&tree)?)).await
}

/// Keeps what is live as the last-known-good revision.
pub(super) async fn keep(config: &GateConfig) -> Result<(), Finding> {
    let Some(publication) = &config.publication else { return Ok(()) };
    writing(config, publication, Publication::keep).await
}

/// True for a single decision (`reload`, `run --once`), which may be made beside the gate of the same volume.
fn shares(config: &GateConfig) -> bool {
    config.policy.once
}

/// Writes into the publication, which no other gate may do.
async fn writing<T: Send + 'static>(
    config: &GateConfig,
    publication: &Publication,
    work: impl FnOnce(&Publication) -> Result<T, PublishError> + Send + 'static,
) -> Result<T, Finding> {
    let shares = shares(config);
    blocking(publication, move |publication| {
        if !shares {
            publication.claim()?;
        }
        work(publication)
    })
    .await
}

fn failed(finding: Finding) -> Event {
    Event { message: Some(finding.message.clone()), findings: vec![finding], ..Event::new(Kind::Inconclusive) }
}

/// Does slow work, such as waiting for a disk, beside the event loop. It has no limit: a publication that went on after its limit would
/// meet the next one.
async fn blocking<T: Send + 'static>(
    publication: &Publication,
    work: impl FnOnce(&Publication) -> Result<T, PublishError> + Send + 'static,
) -> Result<T, Finding> {
    beside(publication, work).await?.map_err(Finding::from)
}

async fn beside<T: Send + 'static>(
    publication: &Publication,
    work: impl FnOnce(&Publication) -> T + Send + 'static,
) -> Result<T, Finding> {
    let publication = publication.clone();
    let done = worker::run(WorkKind::Files, Duration::MAX, move || work(&publication)).await;
    // It only fails by a bug.
    done.map_err(|_| Finding::from(PublishError::Lost))
}
