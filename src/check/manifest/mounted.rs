//! Files that a container sees in its mounts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::copies::Filled;
use super::pod::{Container, Pod, PodVolume, Projection, VolumeMount};
use super::room::Room;

/// Steps that a file takes which a container sees; one that is only looked at takes one.
pub(super) const FILE: usize = 10;

/// Lookup of the entries of a ConfigMap or Secret by kind and name; `None` if it is not among the inputs.
pub type Given<'g, K> = dyn Fn(&str, &str) -> Option<BTreeMap<Arc<str>, K>> + 'g;

/// Files that a container sees. `K` identifies an entry of a ConfigMap or Secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mounted<K> {
    /// Files, by their paths in the container.
    pub files: BTreeMap<PathBuf, K>,
    /// Mount points, each after those that it covers.
    pub points: Vec<Point>,
    /// Files that a container renders from their entries with `envsubst`.
    pub rendered: BTreeMap<PathBuf, Rendering>,
}

/// Rendering of a file by a container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rendering {
    /// Name of the container, with the variables of which the file is rendered.
    pub container: String,
    /// Variables that are replaced.
    pub mode: RenderMode,
}

/// Variables that `envsubst` replaces.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RenderMode {
    /// All; a variable that is not set becomes empty.
    All,
    /// Variables of the environment; other references stay.
    Defined,
    /// These; other references stay.
    Listed(Arc<BTreeSet<String>>),
}

impl<K> Default for Mounted<K> {
    fn default() -> Self {
        Self { files: BTreeMap::new(), points: Vec::new(), rendered: BTreeMap::new() }
    }
}

/// Mount point.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// Its path.
    pub path: PathBuf,
    /// True if all of its files are known: any other file does not exist.
    pub known: bool,
}

impl<K: Clone> Mounted<K> {
    /// Returns the files that `container` of `pod` sees, with those that other containers have copied into its volumes, as far as
    /// `room` permits.
    pub fn of(pod: &Pod, container: &Container, entries: &Given<'_, K>, filled: &Filled<K>, room: &mut Room) -> Self {
        let mut mounts: Vec<&VolumeMount> = container.mounts.iter().filter(|mount| is_whole(&mount.path)).collect();
        // A mount covers those which contain it, whatever their order (runc sorts by the depth of the destination).
        mounts.sort_by_key(|mount| Path::new(&mount.path).components().count());
        // Of several with one name the first.
        let volumes: BTreeMap<&str, &PodVolume> =
            pod.volumes.iter().rev().map(|volume| (volume.name.as_str(), volume)).collect();
        let mut mounted = Self::default();
        for mount in mounts {
            let projections = volumes.get(mount.volume.as_str()).and_then(|volume| volume.projections.as_deref());
            let copied = filled.get(&mount.volume);
            // The mount points before it are looked at, as are the copies.
            let looked_at = mounted.points.len() + copied.map_or(0, |files| files.len() * FILE);
            if !room.take(looked_at) {
                break;
            }
            let (mut files, known) = projections.map_or((BTreeMap::new(), false), |all| project(all, entries, room));
            let copied = copied.into_iter().flatten();
            let rendered: BTreeMap<_, _> =
                copied.clone().filter_map(|(path, (_, rendering))| Some((path.clone(), rendering.clone()?))).collect();
            files.extend(copied.map(|(path, (key, _))| (path.clone(), key.clone())));
            mounted.lay(mount, files, known, rendered);
        }
        mounted
    }

    fn lay(
        &mut self,
        mount: &VolumeMount,
        files: BTreeMap<PathBuf, K>,
        known: bool,
        rendered: BTreeMap<PathBuf, Rendering>,
    ) {
        let at: PathBuf = Path::new(&mount.path).components().collect();
        let whole = PathBuf::from(&mount.sub_path);
        let path = |name: &Path| {
            let rest = name.strip_prefix(&whole).ok()?;
            Some(if rest.as_os_str().is_empty() { at.clone() } else { at.join(rest) })
        };
        let inside: BTreeMap<_, _> = files.into_iter().filter_map(|(name, key)| Some((path(&name)?, key))).collect();
        let rendered = rendered.into_iter().filter_map(|(name, it)| Some((path(&name)?, it))).collect();
        let known = known && (mount.sub_path.is_empty() || !inside.is_empty());
        self.lay_over(Self { files: inside, points: vec![Point { path: at.clone(), known }], rendered });
    }

    /// Returns the files at `path` and below it, moved to `mount`.
    #[must_use]
    pub fn at(&self, path: &Path, mount: &Path) -> Self {
        let moved = |other: &Path| {
            let rest = other.strip_prefix(path).ok()?;
            Some(if rest.as_os_str().is_empty() { mount.to_owned() } else { mount.join(rest) })
        };
        let files = self.files.iter().filter_map(|(name, key)| Some((moved(name)?, key.clone()))).collect();
        let rendered = self.rendered.iter().filter_map(|(name, it)| Some((moved(name)?, it.clone()))).collect();
        let points = self.points.iter().filter_map(|point| Some(Point { path: moved(&point.path)?, ..*point }));
        let mut points: Vec<_> = points.collect();
        // The path may lie inside of a volume.
        if points.iter().all(|point| point.path != mount) {
            points.insert(0, Point { path: mount.to_owned(), known: self.knows(path) });
        }
        Self { files, points, rendered }
    }

    /// Lays another tree over this one: its mount points hide the files below them.
    pub fn lay_over(&mut self, other: Self) {
        for point in &other.points {
            remove_below(&mut self.files, &point.path);
            remove_below(&mut self.rendered, &point.path);
        }
        let hidden = |path: &Path| other.points.iter().any(|point| path.starts_with(&point.path));
        self.points.retain(|point| !hidden(&point.path));
        self.rendered.extend(other.rendered);
        self.files.extend(other.files);
        self.points.extend(other.points);
    }

    /// Returns true if a file at `path` would be known.
    #[must_use]
    pub fn knows(&self, path: &Path) -> bool {
        let over = self.points.iter().filter(|point| path.starts_with(&point.path));
        over.max_by_key(|point| point.path.components().count()).is_some_and(|point| point.known)
    }
}

/// Removes what lies at a path and below it.
fn remove_below<V>(all: &mut BTreeMap<PathBuf, V>, path: &Path) {
    let below = all.range(path.to_owned()..).take_while(|(name, _)| name.starts_with(path));
    for name in below.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
        all.remove(&name);
    }
}

/// Returns the files of a volume as far as there is room for them, and whether these are all.
fn project<K: Clone>(
    projections: &[Projection],
    entries: &Given<'_, K>,
    room: &mut Room,
) -> (BTreeMap<PathBuf, K>, bool) {
    let (mut files, mut known) = (BTreeMap::new(), true);
    for projection in projections {
        let Some(found) = entries(&projection.kind, &projection.name) else {
            known = false;
            continue;
        };
        let count = projection.items.as_ref().map_or(found.len() * FILE, |items| found.len() + items.len() * FILE);
        if !room.take(count) {
            return (files, false);
        }
        match &projection.items {
            None => files.extend(found.into_iter().map(|(key, entry)| (PathBuf::from(&*key), entry))),
            Some(items) => files.extend(items.iter().filter(|(_, path)| is_inside(path)).filter_map(|(key, path)| {
                Some((Path::new(path).components().collect(), found.get(key.as_str())?.clone()))
            })),
        }
    }
    (files, known)
}

/// Returns true if a path is absolute and has no `..`.
fn is_whole(path: &str) -> bool {
    path.starts_with('/') && !Path::new(path).components().any(|step| step == Component::ParentDir)
}

/// Returns true if a path stays in its volume, as the API server requires.
fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && Path::new(path).components().all(|step| matches!(step, Component::Normal(_) | Component::CurDir))
}
