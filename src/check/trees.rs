//! Trees of files: those that a container sees, those of an object without a mount, those of a directory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reload_gate_contract::{Code, Finding, Place};

use super::container::{ContainerContext, Environment};
use super::listing::{At, Directory};
use super::pods;
use super::sidecar;
use super::store::{Entry, Store};
use crate::check::manifest::{
    self, Annotated, Container, Filled, Mounted, Pod, PodVolume, Point, Projection, RenderMode, Rendering, Room,
};
use crate::check::render::CheckSubject;
use crate::config::GateConfig;

const MISSING_KEY: Code = Code::new("missing-key");
pub(super) const TOO_LARGE: Code = Code::new("too-large");

/// Most steps for the volumes, mounts and copies of a pod, of which each file that a container sees takes ten.
const STEPS_OF_POD: usize = 1_000_000;
/// Most steps for all pods.
const STEPS: usize = 10_000_000;
/// Most bytes of the variables of all containers.
const VARIABLES: usize = 64 << 20;

/// Directory of the files of an object without a mount, unless the program that reads them is known.
pub(super) const ANYWHERE: &str = "/config";

/// Files that belong together.
#[derive(Clone, Debug, Default)]
pub(super) struct FileTree {
    pub(super) kind: TreeKind,
    /// Name of the owner, such as `container nginx of Deployment web/app`.
    pub(super) owner: String,
    /// Files as the program would see them.
    pub(super) mounted: Arc<Mounted<Entry>>,
    /// Entries to validate; the others may be included by them.
    pub(super) wanted: BTreeSet<Entry>,
    /// Annotation of a pod that names a validator for all of them, with its place in the input.
    pub(super) annotated: Option<(Annotated, Place)>,
    /// Container that sees them, if it is one.
    pub(super) container: Arc<ContainerContext>,
}

/// Kind of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum TreeKind {
    /// Mounts of a container.
    Container,
    /// Entries of one object.
    #[default]
    Object,
    /// Files of one directory, or a stream.
    Directory,
}

/// All trees.
pub(super) struct FileTrees {
    /// Files that a reload-gate in a pod will validate, and its settings.
    pub(super) gated: Vec<(FileTree, GateConfig)>,
    pub(super) trees: Vec<FileTree>,
    /// Errors in the settings of such a reload-gate, or in the volumes of a pod.
    pub(super) errors: Vec<(CheckSubject, Finding)>,
    /// Objects that a container mounts, by their indices.
    pub(super) mounted: BTreeSet<usize>,
    /// Entries without a mount, of objects that are mounted.
    pub(super) idle: BTreeSet<Entry>,
    /// Room for the files of all pods.
    steps: Room,
    /// Room for the variables of all pods.
    variables: Room,
}

impl Default for FileTrees {
    fn default() -> Self {
        Self {
            gated: Vec::new(),
            trees: Vec::new(),
            errors: Vec::new(),
            mounted: BTreeSet::new(),
            idle: BTreeSet::new(),
            steps: Room::of(STEPS),
            variables: Room::of(VARIABLES),
        }
    }
}

impl FileTrees {
    /// Returns the trees of all that is listed.
    pub(super) fn of(store: &Store<'_>) -> Self {
        let mut trees = Self::default();
        for (pod, at) in &store.listing.pods {
            trees.pod(pod, at, store);
        }
        let mounted: BTreeSet<usize> = trees.entries().filter_map(Entry::config).collect();
        let seen: BTreeSet<Entry> = trees.entries().cloned().collect();
        let of_mounted = mounted.iter().flat_map(|config| store.keys(*config));
        trees.idle = of_mounted.map(|(_, entry)| entry).filter(|entry| !seen.contains(entry)).collect();
        let together = together(store);
        let mounts = |config: &usize| store.listing.given.get(*config).is_some_and(|given| given.mount.is_some());
        let objects = (0..store.listing.configs.len()).filter(|config| !mounted.contains(config) && !mounts(config));
        let object = |config| loose(TreeKind::Object, store.keys(config).map(|(name, entry)| (&**name, entry)));
        trees.trees.extend(objects.map(object).chain(together));
        trees.mounted = mounted;
        for (root, directory) in &store.listing.directories {
            trees.trees.push(in_directory(root, directory));
        }
        let nameless = store.listing.nameless.iter();
        trees
            .trees
            .extend(nameless.map(|index| loose(TreeKind::Directory, std::iter::once(("stdin", Entry::Input(*index))))));
        trees
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        let gated = self.gated.iter().map(|(tree, _)| tree);
        gated.chain(&self.trees).flat_map(|tree| &tree.wanted)
    }

    fn pod(&mut self, pod: &Pod, at: &At, store: &Store<'_>) {
        let namespace = pod.id.namespace.as_deref();
        let find = |kind: &str, name: &str| store.config(kind, namespace, name, at.input);
        let entries = |kind: &str, name: &str| find(kind, name).map(|config| store.entries(config));
        let input = &store.listing.inputs[at.input].name;
        let environments = self.environments(pod, at, store);
        let mut steps = Room::of(STEPS_OF_POD.min(self.steps.left()));
        let annotated = pod.validator.clone().map(|annotated| {
            let line = annotated.place.line.map(|line| line.saturating_add(at.lines));
            let place = Place { line, span: None, file: input.to_string(), ..annotated.place.clone() };
            (annotated, place)
        });
        let line = pod.line.saturating_add(at.lines);
        let near = |kind: &str, name: &str| find(kind, name).filter(|config| store.is_near(*config, at.input));
        let near = |kind: &str, name: &str| near(kind, name).map(|config| store.entries(config));
        for (volume, projection, key) in pod.lacks(&near, &mut steps) {
            self.errors.push((subject(pod, input, line), missing_key(volume, projection, key, input, line)));
        }
        let shared =
            pod.volumes.iter().filter(|volume| volume.is_empty_dir).map(|volume| volume.name.as_str()).collect();
        let mut filled = Filled::new();
        let (mut gates, mut programs) = (Vec::new(), Vec::new());
        for container in &pod.containers {
            let mounted = Mounted::of(pod, container, &entries, &filled, &mut steps);
            let mounted = manifest::fill(container, mounted, &shared, &mut filled, &mut steps);
            if sidecar::is_sidecar(container) {
                gates.push((container, mounted));
                continue;
            }
            let context = ContainerContext::of(container, &environments);
            let mounted = with_rendered_templates(container, &context, mounted);
            let mut tree = FileTree { annotated: annotated.clone(), ..FileTree::of(pod, container, mounted, context) };
            if container.is_init {
                // What it copies is validated where it is copied to.
                let copied: BTreeSet<&Entry> =
                    filled.values().flat_map(BTreeMap::values).map(|(entry, _)| entry).collect();
                tree.wanted.retain(|entry| !copied.contains(entry));
            }
            programs.push(tree);
        }
        self.steps.take(steps.used());
        if steps.is_exceeded() {
            let message = "its volumes, mounts and copies are too many, so that not all of its files were validated";
            self.errors.push((subject(pod, input, line), too_large(message.to_owned(), input, line)));
        }
        let gated = self.gates(gates, &programs, (pod, at), store, &environments);
        // Files of a gate are validated with its settings, and not once more.
        programs.iter_mut().for_each(|tree| tree.wanted.retain(|entry| !gated.contains(entry)));
        self.trees.extend(programs.into_iter().filter(|tree| !tree.wanted.is_empty()));
    }

    /// Returns the environments of the containers of a pod, by name, and adds an error for each container whose words are too large.
    fn environments(&mut self, pod: &Pod, at: &At, store: &Store<'_>) -> Arc<BTreeMap<String, Arc<Environment>>> {
        let input = &store.listing.inputs[at.input].name;
        let line = pod.line.saturating_add(at.lines);
        let mut environments = BTreeMap::new();
        for container in &pod.containers {
            let environment = Environment::of(pod, container, store, at.input, &mut self.variables);
            if !environment.fits(container) {
                let message = format!(
                    "the variables, the command and the arguments of container `{}` are too large for a process",
                    container.name
                );
                self.errors.push((subject(pod, input, line), too_large(message, input, line)));
            }
            environments.insert(container.name.clone(), Arc::new(environment));
        }
        Arc::new(environments)
    }

    /// Adds the trees of the gates of a pod, and returns their entries.
    fn gates(
        &mut self,
        gates: Vec<(&Container, Mounted<Entry>)>,
        programs: &[FileTree],
        (pod, at): (&Pod, &At),
        store: &Store<'_>,
        environments: &BTreeMap<String, Arc<Environment>>,
    ) -> BTreeSet<Entry> {
        let input = &store.listing.inputs[at.input].name;
        let line = pod.line.saturating_add(at.lines);
        let mut gated = BTreeSet::new();
        for (container, mounted) in gates {
            let environment = environments.get(&container.name).cloned().unwrap_or_default();
            let found = sidecar::gates(container, &environment, &mounted, store);
            let tree = FileTree::of(pod, container, mounted, ContainerContext::default());
            match found {
                Ok(gates) => {
                    let about = pods::findings(pod, container, &gates).into_iter();
                    let placed =
                        |finding: Finding| (subject(pod, input, line), finding.at(Place::line(&**input, line)));
                    self.errors.extend(about.map(placed));
                    for gate in gates {
                        let tree = tree.gated(&gate, programs);
                        gated.extend(tree.wanted.iter().cloned());
                        self.gated.push((tree, gate));
                    }
                }
                Err(findings) => {
                    let placed =
                        |finding: Finding| (subject(pod, input, line), finding.at(Place::line(&**input, line)));
                    self.errors.extend(findings.into_iter().map(placed));
                }
            }
        }
        gated
    }
}

/// Returns the obstacle that not all of a pod was read.
fn too_large(message: String, input: &str, line: u32) -> Finding {
    let finding = Finding::environment(TOO_LARGE, message).at(Place::line(input, line));
    finding.help("make it smaller, or leave it out with `--exclude`; Kubernetes runs no such pod")
}

/// Returns the finding about a key that a volume selects and that does not exist.
fn missing_key(volume: &PodVolume, projection: &Projection, key: &str, input: &str, line: u32) -> Finding {
    let Projection { kind, name, .. } = projection;
    let message = format!("volume `{}` selects the key `{key}` of {kind} `{name}`, which has no such key", volume.name);
    let finding = Finding::error(MISSING_KEY, message).at(Place::line(input, line));
    finding.help("correct the key, or set `optional: true`; the pod does not start without it")
}

/// Adds the files that the entry point of nginx's image renders from templates (`20-envsubst-on-templates.sh` of docker-nginx).
fn with_rendered_templates(
    container: &Container,
    context: &ContainerContext,
    mut mounted: Mounted<Entry>,
) -> Mounted<Entry> {
    let runs_entry_point = container.command.first().is_none_or(|word| word.ends_with("docker-entrypoint.sh"));
    if !(runs_entry_point && context.image.nginx_layout().is_some_and(|layout| layout.renders_templates)) {
        return mounted;
    }
    let set = |name: &str, default: &'static str| {
        context.environment.known.get(name).map_or_else(|| default.to_owned(), Clone::clone)
    };
    let directory = set("NGINX_ENVSUBST_TEMPLATE_DIR", "/etc/nginx/templates");
    let suffix = set("NGINX_ENVSUBST_TEMPLATE_SUFFIX", ".template");
    let output = PathBuf::from(set("NGINX_ENVSUBST_OUTPUT_DIR", "/etc/nginx/conf.d"));
    let templates = mounted.files.iter().filter_map(|(path, entry)| {
        let inside = path.strip_prefix(&directory).ok()?.to_str()?.strip_suffix(&suffix)?;
        Some((output.join(inside), entry.clone()))
    });
    for (path, entry) in templates.collect::<Vec<_>>() {
        let rendering = Rendering { container: container.name.clone(), mode: RenderMode::Defined };
        mounted.rendered.insert(path.clone(), rendering);
        mounted.points.push(Point { path: path.clone(), known: true });
        mounted.files.insert(path, entry);
    }
    mounted
}

fn subject(pod: &Pod, input: &str, line: u32) -> CheckSubject {
    CheckSubject::object(input, &pod.id.to_string(), line)
}

impl FileTree {
    /// Returns the files that a container of a pod sees, all of which should be validated.
    fn of(pod: &Pod, container: &Container, mounted: Mounted<Entry>, context: ContainerContext) -> Self {
        let owner = format!("container `{}` of {}", container.name, pod.id);
        let wanted = mounted.files.values().cloned().collect();
        let (mounted, container) = (Arc::new(mounted), Arc::new(context));
        Self { kind: TreeKind::Container, owner, mounted, wanted, annotated: None, container }
    }

    /// Returns the same tree in another directory, without the files outside of `below`, which becomes that directory.
    pub(super) fn moved(&self, below: &Path, directory: &str) -> Arc<Mounted<Entry>> {
        if self.kind == TreeKind::Container {
            return self.mounted.clone();
        }
        let path = |path: &Path| Some(Path::new(directory).join(path.strip_prefix(below).ok()?));
        let files = self.mounted.files.range(below.to_owned()..).take_while(|(name, _)| name.starts_with(below));
        let files = files.filter_map(|(name, entry)| Some((path(name)?, entry.clone()))).collect();
        let known = self.mounted.points.iter().filter(|point| point.known);
        let known = known.filter_map(|point| Some(Point { path: path(&point.path)?, known: true }));
        let points = std::iter::once(Point { path: directory.into(), known: false }).chain(known).collect();
        Arc::new(Mounted { files, points, ..Mounted::default() })
    }

    /// Returns the part of a reload-gate's files that one of its gates validates: the watched files at the paths of the program, among
    /// the other files of the program.
    fn gated(&self, gate: &GateConfig, programs: &[Self]) -> Self {
        let reads = |tree: &&Self| {
            let of_gate = |point: &Point| gate.sources.iter().any(|source| point.path.starts_with(&source.mount));
            tree.mounted.points.iter().any(of_gate)
        };
        let program = programs.iter().find(reads);
        let mut mounted = program.map(|tree| Mounted::clone(&tree.mounted)).unwrap_or_default();
        let mut wanted = BTreeSet::new();
        for source in &gate.sources {
            // With the shell sidecar's variable FILE, a file of a volume means the whole volume.
            let is_file = source.whole_volume && self.mounted.files.contains_key(&source.path);
            let root = |path: &Path| if is_file { path.parent().unwrap_or(path).to_owned() } else { path.to_owned() };
            let part = self.mounted.at(&root(&source.path), &root(&source.mount));
            wanted.extend(part.files.values().cloned());
            mounted.lay_over(part);
        }
        let container = program.map_or_else(|| self.container.clone(), |tree| tree.container.clone());
        Self { mounted: Arc::new(mounted), wanted, container, ..self.clone() }
    }
}

/// Returns the files of the objects in memory that one program reads, each in its directory.
fn together(store: &Store<'_>) -> Option<FileTree> {
    let given = store.listing.given.iter().enumerate();
    let mounts: Vec<(usize, &PathBuf)> =
        given.filter_map(|(config, given)| given.mount.as_ref().map(|mount| (config, mount))).collect();
    // Other files of the directories may be in the image: a volume may hide a single file.
    let points = mounts.iter().map(|(_, mount)| Point { path: PathBuf::clone(mount), known: false }).collect();
    let file = |(config, mount): &(usize, &PathBuf)| {
        let mount = PathBuf::clone(mount);
        store.keys(*config).map(move |(key, entry)| (mount.join(&**key), entry))
    };
    let files: BTreeMap<PathBuf, Entry> = mounts.iter().flat_map(file).collect();
    let wanted = files.values().cloned().collect();
    let mounted = Arc::new(Mounted { files, points, ..Mounted::default() });
    let kind = TreeKind::Container;
    (!mounts.is_empty()).then(|| FileTree { kind, mounted, wanted, ..FileTree::default() })
}

/// Returns the files of a directory that was given.
fn in_directory(root: &Path, directory: &Directory) -> FileTree {
    let files = directory.files.iter().chain(&directory.beside);
    let mut tree = loose(TreeKind::Directory, files.map(|file| (file, Entry::File(Arc::new(root.join(file))))));
    let given = directory.files.iter().map(|file| Path::new(ANYWHERE).join(file));
    tree.wanted = given.filter_map(|path| tree.mounted.files.get(&path).cloned()).collect();
    let empty = directory.empty.iter().map(|path| Point { path: Path::new(ANYWHERE).join(path), known: true });
    Arc::make_mut(&mut tree.mounted).points.extend(empty);
    tree
}

/// Returns a tree of files with an unknown directory.
fn loose<P: AsRef<Path>>(kind: TreeKind, files: impl Iterator<Item = (P, Entry)>) -> FileTree {
    let anywhere = |path: &Path| {
        // A path that is joined has room for more.
        let mut joined = PathBuf::with_capacity(ANYWHERE.len() + 1 + path.as_os_str().len());
        joined.extend([Path::new(ANYWHERE), path]);
        joined
    };
    let files: BTreeMap<PathBuf, Entry> = files.map(|(path, entry)| (anywhere(path.as_ref()), entry)).collect();
    let wanted = files.values().cloned().collect();
    let points = vec![Point { path: ANYWHERE.into(), known: false }];
    let mounted = Arc::new(Mounted { files, points, ..Mounted::default() });
    FileTree { kind, owner: String::new(), mounted, wanted, annotated: None, container: Arc::default() }
}
