//! Sources of the configuration, and the volumes that the gate writes. Pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::ConfigError;
use crate::config::layer::{GivenValue, Layers};
use crate::config::settings::{
    EXCLUDE, EXPAND, INCLUDE, LINKS, List, MAX_BYTES, MAX_FILES, MOUNT, PUBLISH, PUBLISH_AS, SETTLE, STAGE, WATCH,
};
use crate::flow::publish::{Publication, Volume, VolumeLimits};
use crate::flow::rendering::Rendering;
use crate::flow::snapshot::{FilePattern, ReadOptions, Selection, Source};
use crate::flow::tree::Limits;

/// The size of unpacked files together, in multiples of the limit of one.
const EXPANDED: u64 = 4;

/// The watched paths; without one, `usual`: the directory in which the program's configuration usually is.
pub(super) fn sources(layers: &Layers<'_>, usual: Option<&Path>) -> Vec<Source> {
    let (watched, mounts, published) = (layers.get(WATCH), layers.get(MOUNT), layers.get(PUBLISH));
    let own = [WATCH.spec, MOUNT.spec, PUBLISH.spec, STAGE.spec];
    if let Some(usual) = usual
        && layers.highest(&own).is_none()
    {
        return vec![Source { path: usual.into(), mount: usual.into(), whole_volume: false }];
    }
    let whole_volume = layers.highest(&[WATCH.spec]).is_some_and(|layer| layer.whole_volume);
    if watched.is_empty() {
        let help = "add `--watch PATH`, where PATH is the directory in which the ConfigMap is mounted";
        layers.fail(ConfigError::new(layers.place(), "there is nothing to watch").help(help));
    }
    if mounts.len() > watched.len() {
        let message = format!("there are {} mounts for {} watched paths", mounts.len(), watched.len());
        let help = "give at most one `--mount` for each `--watch`, in the same order";
        layers.fail(ConfigError::new(mounts[watched.len()].origin.clone(), message).help(help));
    }
    let source = |(index, watch): (usize, &GivenValue<PathBuf>)| {
        let mount = mounts.get(index).or(published.get(index)).unwrap_or(watch);
        Source { path: watch.value.clone(), mount: mount.value.clone(), whole_volume }
    };
    watched.iter().enumerate().map(source).collect()
}

/// Settings of the scans.
pub(super) fn reading(layers: &Layers<'_>) -> ReadOptions {
    let patterns = |setting: List<FilePattern>| layers.get(setting).into_iter().map(|pattern| pattern.value);
    ReadOptions {
        limits: Limits { bytes: layers.get(MAX_BYTES), files: layers.get(MAX_FILES) },
        links: layers.get(LINKS),
        selection: Selection::new(patterns(INCLUDE), patterns(EXCLUDE)),
        quiet: layers.get(SETTLE),
        is_copied: !layers.get(PUBLISH).is_empty(),
    }
}

/// The way in which the published files differ from the watched ones, if they do. The variables follow.
pub(super) fn rendering(layers: &Layers<'_>) -> Option<Rendering> {
    let (expand, name) = (layers.get(EXPAND), layers.get(PUBLISH_AS));
    for setting in [EXPAND.spec, PUBLISH_AS.spec] {
        if let Some(origin) = layers.origin(setting).filter(|_| layers.get(PUBLISH).is_empty()) {
            let message = format!("`{}` has no effect without a volume to publish in", setting.name);
            layers.fail(ConfigError::new(origin.clone(), message).help("add `--publish DIR`"));
        }
    }
    if let (Some(name), Some(origin)) = (&name, layers.origin(PUBLISH_AS.spec))
        && name.file_name() != Some(name.as_os_str())
    {
        let error = ConfigError::new(origin.clone(), format!("`{}` is no name of a file", name.display()));
        layers.fail(error.help("give a name without a directory; `--publish` is the directory"));
    }
    let rendering = Rendering { expand, name, variables: BTreeMap::new(), limit: layers.get(MAX_BYTES) };
    (expand || rendering.name.is_some()).then_some(rendering)
}

/// The volumes that a setting gives to the sources, one for each.
pub(super) fn volumes(layers: &Layers<'_>, setting: List<PathBuf>, sources: &[Source]) -> Option<Publication> {
    let given = layers.get(setting);
    let first = given.first()?;
    if given.len() != sources.len() {
        let message = format!("there are {} volumes for {} watched paths", given.len(), sources.len());
        let help = format!("give one `--{}` for each `--watch`, in the same order", setting.spec.name);
        layers.fail(ConfigError::new(first.origin.clone(), message).help(help));
    }
    for GivenValue { value: path, origin } in &given {
        if sources.iter().any(|source| path.starts_with(&source.path) || source.path.starts_with(path)) {
            let message = format!("`{}` is watched, so the gate cannot write to it", path.display());
            let help = "give it a volume of its own, an `emptyDir`, beside the ConfigMap's";
            layers.fail(ConfigError::new(origin.clone(), message).help(help));
        }
    }
    let prefixes = match sources {
        [_] => vec![PathBuf::new()],
        sources => sources.iter().map(|source| source.mount.clone()).collect(),
    };
    // An unpacked file may be as large as all of the sources.
    let factor = if layers.get(EXPAND) { EXPANDED } else { 1 };
    let limits = VolumeLimits { bytes: layers.get(MAX_BYTES).saturating_mul(factor), files: layers.get(MAX_FILES) };
    let volumes = given.into_iter().map(|volume| Volume::new(volume.value, limits)).collect();
    Some(Publication::new(volumes, prefixes))
}

/// Reports volumes in each other: one volume cannot hold two things.
pub(super) fn check_distinct_volumes(layers: &Layers<'_>) {
    let volumes: Vec<_> = [PUBLISH, STAGE].into_iter().flat_map(|setting| layers.get(setting)).collect();
    for (index, volume) in volumes.iter().enumerate() {
        let path = &volume.value;
        let nested = |other: &GivenValue<PathBuf>| path.starts_with(&other.value) || other.value.starts_with(path);
        if volumes[..index].iter().any(nested) {
            let message = format!("`{}` is, or is in, another volume that the gate writes", path.display());
            let help = "give each `--publish` and each `--stage` a volume of its own";
            layers.fail(ConfigError::new(volume.origin.clone(), message).help(help));
        }
    }
}

/// Paths that commands of validators must not write: the watched ones, and those that the application reads.
pub(super) fn fixed(layers: &Layers<'_>, sources: &[Source]) -> Vec<PathBuf> {
    let written = [PUBLISH, STAGE].into_iter().flat_map(|setting| layers.get(setting)).map(|volume| volume.value);
    sources.iter().map(|source| source.path.clone()).chain(written).collect()
}
