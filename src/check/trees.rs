//! Trees of files: those that a container sees, those of an object without a mount, those of a directory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use reload_gate_contract::{Code, Finding, Place};

use super::ParseArguments;
use super::listing::At;
use super::sidecar;
use super::store::{Entry, Store};
use crate::check::manifest::{Annotated, Container, Mounted, Pod, Point, Projection};
use crate::check::render::CheckSubject;
use crate::config::GateConfig;

const MISSING_KEY: Code = Code::new("missing-key");

/// Directory of the files of an object without a mount, unless the program that reads them is known.
pub(super) const ANYWHERE: &str = "/config";

/// Files that belong together.
#[derive(Clone, Debug)]
pub(super) struct FileTree {
    pub(super) kind: TreeKind,
    /// Name of the owner, such as `container nginx of Deployment web/app`.
    pub(super) owner: String,
    /// Files as the program would see them.
    pub(super) mounted: Mounted<Entry>,
    /// Entries to validate; the others may be included by them.
    pub(super) wanted: BTreeSet<Entry>,
    /// Annotation of a pod that names a validator for all of them, with its place in the input.
    pub(super) annotated: Option<(Annotated, Place)>,
}

/// Kind of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TreeKind {
    /// Mounts of a container.
    Container,
    /// Entries of one object.
    Object,
    /// Files of one directory, or a stream.
    Directory,
}

/// All trees.
#[derive(Default)]
pub(super) struct FileTrees {
    /// Files that a reload-gate in a pod will validate, and its settings.
    pub(super) gated: Vec<(FileTree, GateConfig)>,
    pub(super) trees: Vec<FileTree>,
    /// Errors in the settings of such a reload-gate, or in the volumes of a pod.
    pub(super) errors: Vec<(CheckSubject, Finding)>,
    /// Entries without a mount, of objects that are mounted.
    pub(super) idle: BTreeSet<Entry>,
}

impl FileTrees {
    /// Returns the trees of all that is listed.
    pub(super) fn of(store: &Store<'_>, words: ParseArguments) -> Self {
        let mut trees = Self::default();
        for (pod, at) in &store.listing.pods {
            trees.pod(pod, at, store, words);
        }
        let mounted: BTreeSet<usize> = trees.entries().filter_map(Entry::config).collect();
        let snapshot: BTreeSet<Entry> = trees.entries().cloned().collect();
        let of_mounted = mounted.iter().flat_map(|config| store.entries(*config).into_values());
        trees.idle = of_mounted.filter(|entry| !snapshot.contains(entry)).collect();
        let objects = (0..store.listing.configs.len()).filter(|config| !mounted.contains(config));
        trees.trees.extend(objects.map(|config| object(store.entries(config))));
        for (root, directory) in &store.listing.directories {
            let path = |file: &PathBuf| (file.clone(), Entry::File(root.join(file)));
            let files = directory.files.iter().chain(&directory.beside).map(path).collect();
            let wanted = directory.files.iter().map(|file| Entry::File(root.join(file))).collect();
            trees.trees.push(FileTree { wanted, ..loose(TreeKind::Directory, files) });
        }
        let nameless = store.listing.nameless.iter();
        trees.trees.extend(
            nameless.map(|index| loose(TreeKind::Directory, [(PathBuf::from("stdin"), Entry::Input(*index))].into())),
        );
        trees
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        let gated = self.gated.iter().map(|(tree, _)| tree);
        gated.chain(&self.trees).flat_map(|tree| &tree.wanted)
    }

    fn pod(&mut self, pod: &Pod, at: &At, store: &Store<'_>, words: ParseArguments) {
        let namespace = pod.id.namespace.as_deref();
        let entries = |kind: &str, name: &str| store.config(kind, namespace, name).map(|config| store.entries(config));
        let see = |container: &Container| Mounted::of(pod, container, &entries);
        let (gates, programs): (Vec<_>, Vec<_>) = pod.containers.iter().partition(|it| sidecar::is_sidecar(it));
        let input = &store.listing.inputs[at.input].name;
        let annotated = pod.validator.clone().map(|said| {
            let line = said.place.line.map(|line| line.saturating_add(at.lines));
            let place = Place { line, span: None, file: input.clone(), ..said.place.clone() };
            (said, place)
        });
        let of_program =
            |container| FileTree { annotated: annotated.clone(), ..FileTree::of(pod, container, see(container)) };
        let mut programs: Vec<FileTree> = programs.into_iter().map(of_program).collect();
        let line = pod.line.saturating_add(at.lines);
        for (volume, Projection { kind, name, .. }, key) in pod.lacks(&entries) {
            let message = format!(
                "volume `{}` wants the key `{key}` of {kind} `{name}`, which has none of that name",
                volume.name
            );
            let finding = Finding::error(MISSING_KEY, message).at(Place::line(input, line));
            let finding = finding.help("the pod will not start; correct the key, or say `optional: true`");
            self.errors.push((subject(pod, input, line), finding));
        }
        let mut gated = BTreeSet::new();
        for container in gates {
            let tree = FileTree::of(pod, container, see(container));
            match sidecar::gates(pod, container, &tree.mounted, store, words) {
                Ok(gates) => {
                    for gate in gates {
                        let tree = tree.gated(&gate, &programs);
                        gated.extend(tree.wanted.iter().cloned());
                        self.gated.push((tree, gate));
                    }
                }
                Err(findings) => {
                    let placed = |finding: Finding| (subject(pod, input, line), finding.at(Place::line(input, line)));
                    self.errors.extend(findings.into_iter().map(placed));
                }
            }
        }
        // Files of a gate are validated with its settings, and not once more.
        programs.iter_mut().for_each(|tree| tree.wanted.retain(|entry| !gated.contains(entry)));
        self.trees.extend(programs.into_iter().filter(|tree| !tree.wanted.is_empty()));
    }
}

fn subject(pod: &Pod, input: &str, line: u32) -> CheckSubject {
    CheckSubject { input: input.to_owned(), object: Some(pod.id.to_string()), key: None, line: Some(line) }
}

impl FileTree {
    /// Returns the files that a container of a pod sees, all of which should be validated.
    fn of(pod: &Pod, container: &Container, mounted: Mounted<Entry>) -> Self {
        let owner = format!("container `{}` of {}", container.name, pod.id);
        let wanted = mounted.files.values().cloned().collect();
        Self { kind: TreeKind::Container, owner, mounted, wanted, annotated: None }
    }

    /// Returns the same tree in another directory.
    pub(super) fn moved(&self, directory: &str) -> Mounted<Entry> {
        if self.kind == TreeKind::Container {
            return self.mounted.clone();
        }
        let files = self.mounted.files.iter();
        let path = |path: &Path| Path::new(directory).join(path.strip_prefix(ANYWHERE).unwrap_or(path));
        let files = files.map(|(name, entry)| (path(name), entry.clone())).collect();
        Mounted { files, points: vec![Point { path: directory.into(), known: false }] }
    }

    /// Returns the part of a reload-gate's files that one of its gates validates: the watched files at the paths of the program, among
    /// the other files of the program.
    fn gated(&self, gate: &GateConfig, programs: &[Self]) -> Self {
        let reads = |tree: &&Self| {
            let of_gate = |point: &Point| gate.sources.iter().any(|source| point.path.starts_with(&source.mount));
            tree.mounted.points.iter().any(of_gate)
        };
        let mut mounted = programs.iter().find(reads).map(|tree| tree.mounted.clone()).unwrap_or_default();
        let mut wanted = BTreeSet::new();
        for source in &gate.sources {
            // With the shell sidecar's variable FILE, a file of a volume means the whole volume.
            let is_file = source.whole_volume && self.mounted.files.contains_key(&source.path);
            let root = |path: &Path| if is_file { path.parent().unwrap_or(path).to_owned() } else { path.to_owned() };
            let part = self.mounted.at(&root(&source.path), &root(&source.mount));
            wanted.extend(part.files.values().cloned());
            mounted.lay_over(part);
        }
        Self { mounted, wanted, ..self.clone() }
    }
}

/// Returns the files of one object without a mount.
fn object(entries: BTreeMap<String, Entry>) -> FileTree {
    loose(TreeKind::Object, entries.into_iter().map(|(key, entry)| (PathBuf::from(key), entry)).collect())
}

/// Returns a tree of files with an unknown directory.
fn loose(kind: TreeKind, files: BTreeMap<PathBuf, Entry>) -> FileTree {
    let wanted = files.values().cloned().collect();
    let files = files.into_iter().map(|(path, entry)| (Path::new(ANYWHERE).join(path), entry)).collect();
    let mounted = Mounted { files, points: vec![Point { path: ANYWHERE.into(), known: false }] };
    FileTree { kind, owner: String::new(), mounted, wanted, annotated: None }
}
