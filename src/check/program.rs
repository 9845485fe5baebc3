//! Selection of the main file of a validation, and of the files around it.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::command_line::NamedConfig;
use super::content;
use super::images::NginxLayout;
use super::store::{Entry, Store};
use super::trees::{ANYWHERE, FileTree, TreeKind};
use crate::check::manifest::{Mounted, Point};
use crate::config::{Preset, presets};
use crate::flow::validate::Main;

/// Main file and files of one validation.
pub(super) struct Beginning {
    /// File to begin with; `None` where the plan finds it.
    pub(super) main: Option<PathBuf>,
    /// Entry that names the validation in the report.
    pub(super) subject: Entry,
    /// Files as the program would see them; `None` for the subject alone, as the main file.
    pub(super) tree: Option<Arc<Mounted<Entry>>>,
    /// Main file in place of one that is not among the inputs.
    pub(super) around: Option<Box<MainOfImage>>,
    /// Entries that it covers.
    pub(super) takes: CoveredEntries,
    /// Files and directories of the command line, where there are several.
    pub(super) operands: Vec<PathBuf>,
    /// Reason for the choice of the program's validator, where none was named.
    pub(super) reason: Option<String>,
}

/// Entries that a validation covers.
#[derive(Clone)]
pub(super) enum CoveredEntries {
    /// The subject. An object may have tens of thousands of keys, with a validation for each.
    Subject,
    /// These.
    These(BTreeSet<Entry>),
}

impl Beginning {
    /// Returns the entries that it covers.
    pub(super) fn takes(&self) -> impl Iterator<Item = &Entry> {
        let (subject, these) = match &self.takes {
            CoveredEntries::Subject => (Some(&self.subject), None),
            CoveredEntries::These(these) => (None, Some(these)),
        };
        subject.into_iter().chain(these.into_iter().flatten())
    }
}

/// Returns the tree of one file alone. Its mount path makes no difference.
pub(super) fn tree_of(path: &Path, entry: &Entry) -> Arc<Mounted<Entry>> {
    let files = [(path.to_owned(), entry.clone())].into();
    let points = vec![Point { path: path.to_owned(), known: false }];
    Arc::new(Mounted { files, points, ..Mounted::default() })
}

/// Choice of a program for files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// None: names and contents decide.
    No,
    /// For all files of a tree.
    All,
    /// For the files of an object that names it.
    These,
}

/// Main file that is in the image of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MainOfImage {
    pub(super) path: PathBuf,
    pub(super) text: String,
    /// True if it is that of the image. If not, the names that it defines are unknown.
    pub(super) is_known: bool,
}

/// Extensions of files, and the validators for them.
///
/// INI is not among them: there is no standard, and what one program takes for a mistake another one means (`skip-networking` of MySQL).
const ENDINGS: [(&str, &str); 6] =
    [("json", "json"), ("yaml", "yaml"), ("yml", "yaml"), ("toml", "toml"), ("xml", "xml"), ("svg", "xml")];
/// A certificate and its key, as Kubernetes names them (`TLSCertKey` and `TLSPrivateKeyKey` of its core API).
const PAIR: [&str; 2] = ["tls.crt", "tls.key"];

/// Returns the validations of `entries` by a program's validator. If the program was not `chosen`, only of files that have the names
/// or the directory of its configuration.
pub(super) fn beginnings(
    preset: &Preset,
    main: &Main,
    tree: &FileTree,
    entries: &BTreeSet<Entry>,
    store: &Store<'_>,
    chosen: Chosen,
) -> Vec<Beginning> {
    if let Main::Given(main) = main {
        let files = tree.mounted.files.keys().filter(|path| path.ends_with(main));
        let nearest = files.min_by_key(|path| path.components().count());
        return match nearest {
            Some(path) if chosen == Chosen::No && !is_main_of(preset, tree, path, entries, store) => Vec::new(),
            Some(path) => vec![whole(preset, tree, path, entries)],
            // Of the containers of a pod it is one, and only the plan can say that it is missing.
            None if tree.kind == TreeKind::Container => Vec::new(),
            None => together(&tree.mounted, entries),
        };
    }
    let (mains, parts) = named(preset, tree, entries, store);
    let mut found: Vec<_> = mains.iter().map(|path| called(preset, tree, path, entries)).collect();
    if found.is_empty() {
        found = located(preset, tree, entries, store);
    }
    let covered: BTreeSet<Entry> = found.iter().flat_map(|beginning| beginning.takes().cloned()).collect();
    let parts: BTreeSet<Entry> = parts.difference(&covered).cloned().collect();
    // Each is one of its own: nothing is known of a configuration that has all of them.
    for entry in parts {
        let reason = Some(format!("its content is a part of a configuration of {}", preset.name));
        found.extend(part(preset, tree, [entry].into()).map(|beginning| Beginning { reason, ..beginning }));
    }
    if !found.is_empty() || chosen == Chosen::No {
        return found;
    }
    unnamed(preset, tree, entries, store, chosen)
}

/// Returns true if the main file that is named is one of this program, by its name, its content, or the files beside it.
fn is_main_of(preset: &Preset, tree: &FileTree, path: &Path, entries: &BTreeSet<Entry>, store: &Store<'_>) -> bool {
    let Some(entry) = tree.mounted.files.get(path).filter(|entry| entries.contains(*entry)) else { return false };
    let has_name = |other: &Preset| other.files.iter().any(|name| path.ends_with(name));
    if presets().iter().any(has_name) {
        return has_name(preset);
    }
    let text = store.text(entry).unwrap_or_default();
    let is_whole = preset.whole.as_ref().is_some_and(|whole| whole.is_match(&text));
    is_whole || (ending(path).is_none() && !named(preset, tree, entries, store).0.is_empty())
}

/// Returns true if the main file of a program's configuration is in a tree.
pub(super) fn has_main(preset: &Preset, tree: &FileTree, store: &Store<'_>) -> bool {
    !named(preset, tree, &tree.wanted, store).0.is_empty()
}

/// Returns the validations of the files that the command line of a container names.
pub(super) fn on_command_line(
    preset: &Preset,
    tree: &FileTree,
    config: &NamedConfig,
    open: &BTreeSet<Entry>,
) -> Vec<Beginning> {
    let files = &tree.mounted.files;
    let given = config.paths.iter().filter(|path| files.keys().any(|file| file.starts_with(path)));
    let given: Vec<&PathBuf> = given.collect();
    let first = given.iter().find_map(|path| files.keys().find(|file| file.starts_with(path)));
    let Some(main) = first.filter(|main| files.get(*main).is_some_and(|entry| open.contains(entry))) else {
        return Vec::new();
    };
    let mut beginning = whole(preset, tree, main, open);
    let named = |path: &Path| given.iter().any(|given| path.starts_with(given));
    let more = files.iter().filter(|(path, _)| named(path)).map(|(_, entry)| entry);
    beginning.takes = CoveredEntries::These(beginning.takes().chain(more).cloned().collect());
    beginning.reason = Some(format!("named on the command line: `{}`", config.words));
    if given.len() > 1 || given.iter().any(|path| !files.contains_key(*path)) {
        beginning.operands = given.into_iter().cloned().collect();
    }
    vec![beginning]
}

/// Returns the main files with the name of the program's main file, without those in or below the directory of another one of the same
/// container; and the files of that name with the content of a part.
fn named(
    preset: &Preset,
    tree: &FileTree,
    entries: &BTreeSet<Entry>,
    store: &Store<'_>,
) -> (Vec<PathBuf>, BTreeSet<Entry>) {
    let is_called =
        |path: &Path| path.file_name().is_some_and(|name| preset.files.iter().any(|file| name == file.as_str()));
    let files = tree.mounted.files.iter().filter(|(path, entry)| is_called(path) && entries.contains(entry));
    let mut found: Vec<(&PathBuf, &Entry)> = files.collect();
    found.sort_by_key(|(path, _)| path.components().count());
    let (mut kept, mut parts): (Vec<PathBuf>, BTreeSet<Entry>) = (Vec::new(), BTreeSet::new());
    let in_container = tree.kind == TreeKind::Container;
    for (path, entry) in found {
        let is_below = |main: &PathBuf| main.parent().is_some_and(|directory| path.starts_with(directory));
        if in_container && kept.iter().any(is_below) {
            continue;
        }
        let is_customary = in_container && main_paths(preset, tree).iter().any(|main| main == path);
        if is_customary || store.text(entry).is_none_or(|text| content::may_be_main(preset, &text)) {
            kept.push(path.clone());
        } else if preset.around.is_some()
            && !in_container
            && !store.text(entry).is_some_and(|text| content::has_sections(&text))
        {
            parts.insert(entry.clone());
        }
    }
    (kept, parts)
}

/// Returns the paths at which the program of a container looks for its main file.
fn main_paths(preset: &Preset, tree: &FileTree) -> Vec<PathBuf> {
    let layout = tree.container.image.nginx_layout().filter(|_| preset.name == "nginx");
    let customary = preset.directory.as_deref().map(|directory| main_file(preset, directory));
    layout.map(|layout| PathBuf::from(layout.main)).into_iter().chain(customary).collect()
}

/// Returns the parts of a configuration that has its main file in the program's image, by the directories which that file includes.
fn located(preset: &Preset, tree: &FileTree, entries: &BTreeSet<Entry>, store: &Store<'_>) -> Vec<Beginning> {
    let Some((directory, around)) = preset.directory.as_deref().zip(preset.around.as_ref()) else { return Vec::new() };
    if let Some(layout) = tree.container.image.nginx_layout().filter(|_| preset.name == "nginx") {
        return in_layout(layout, tree, entries).into_iter().collect();
    }
    let mounted = LazyCell::new(|| tree.moved(Path::new(ANYWHERE), directory));
    let in_container = tree.kind == TreeKind::Container;
    let root = Path::new(if in_container { directory } else { ANYWHERE });
    let mut found = Vec::new();
    for part in &preset.parts {
        let Some((place, ending)) = part.split_once('*') else { continue };
        let takes = parts_in(&tree.mounted, &root.join(place), ending, entries);
        // Other programs have directories of this name as well.
        let is_meant = |entry: &Entry| store.text(entry).is_some_and(|text| content::is_part_of_nginx(&text));
        if !in_container && !takes.iter().any(is_meant) {
            continue;
        }
        found.extend(takes.first().cloned().map(|subject| {
            let path = main_file(preset, directory);
            let around = MainOfImage { path: path.clone(), text: around.replace("{part}", part), is_known: false };
            let reason = Some(format!("{} includes `{part}`", preset.name));
            let (tree, around, operands) = (Some(Arc::clone(&mounted)), Some(Box::new(around)), Vec::new());
            Beginning { main: Some(path), subject, tree, around, takes: CoveredEntries::These(takes), operands, reason }
        }));
    }
    found
}

/// Returns the entries of a directory with this extension.
fn parts_in(mounted: &Mounted<Entry>, place: &Path, ending: &str, entries: &BTreeSet<Entry>) -> BTreeSet<Entry> {
    let is_part = |path: &Path| path.parent() == Some(place) && path.to_string_lossy().ends_with(ending);
    let parts = mounted.files.iter().filter(|(path, entry)| is_part(path) && entries.contains(entry));
    parts.map(|(_, entry)| entry.clone()).collect()
}

/// Returns the validation of the parts that the main file of a public image includes.
fn in_layout(layout: &NginxLayout, tree: &FileTree, entries: &BTreeSet<Entry>) -> Option<Beginning> {
    let parts = layout.parts.iter().map(|(place, ending)| parts_in(&tree.mounted, Path::new(place), ending, entries));
    let takes: BTreeSet<Entry> = parts.flatten().collect();
    let subject = takes.first().cloned()?;
    let main = PathBuf::from(layout.main);
    let text = text_of_layout(layout, &tree.mounted);
    let around = MainOfImage { path: main.clone(), text, is_known: true };
    let reason = Some(format!("`{}` of the image includes it", layout.main));
    let (tree, around, operands) = (Some(tree.mounted.clone()), Some(Box::new(around)), Vec::new());
    Some(Beginning { main: Some(main), subject, tree, around, takes: CoveredEntries::These(takes), operands, reason })
}

/// Returns the main file of an image without the includes of directories that are not among the inputs, which are of the image.
fn text_of_layout(layout: &NginxLayout, mounted: &Mounted<Entry>) -> String {
    let is_given = |line: &&str| {
        let directory = layout.parts.iter().find(|(directory, _)| line.contains(&format!("{directory}/*")));
        directory
            .is_none_or(|(directory, _)| mounted.files.keys().any(|file| file.parent() == Some(Path::new(directory))))
    };
    layout.text.split_inclusive('\n').filter(is_given).collect()
}

/// Returns the validations of files for which the program was chosen, though none has the name of its main file: whole
/// configurations, and parts of one.
fn unnamed(
    preset: &Preset,
    tree: &FileTree,
    entries: &BTreeSet<Entry>,
    store: &Store<'_>,
    chosen: Chosen,
) -> Vec<Beginning> {
    let (Some(whole_pattern), Some(_)) = (&preset.whole, &preset.around) else {
        return together(&tree.mounted, entries);
    };
    let is_whole = |entry: &Entry| store.text(entry).is_some_and(|text| whole_pattern.is_match(&text));
    let (wholes, parts): (BTreeSet<Entry>, BTreeSet<Entry>) = entries.iter().cloned().partition(is_whole);
    let paths = paths_of(tree);
    let mut found: Vec<_> =
        wholes.iter().filter_map(|entry| paths.get(entry)).map(|path| whole(preset, tree, path, &wholes)).collect();
    // A container mounts other files as well.
    if tree.kind != TreeKind::Container || chosen == Chosen::These {
        found.extend(part(preset, tree, parts));
    }
    found
}

/// Returns the paths of the entries of a tree.
fn paths_of(tree: &FileTree) -> BTreeMap<&Entry, &PathBuf> {
    tree.mounted.files.iter().map(|(path, entry)| (entry, path)).collect()
}

/// Returns the validation of parts as if the main file included them, since their directory is unknown.
fn part(preset: &Preset, tree: &FileTree, parts: BTreeSet<Entry>) -> Option<Beginning> {
    let (around, pattern) = preset.around.as_ref().zip(preset.parts.first())?;
    let subject = parts.first().cloned()?;
    let directory = preset.directory.as_deref().unwrap_or(ANYWHERE);
    let place = Path::new(directory).join(pattern.split('*').next().unwrap_or_default());
    let paths = paths_of(tree);
    // Two files of one name in several directories are two parts.
    let moved = |(index, entry): (usize, &Entry)| {
        let name = paths.get(entry)?.file_name()?.to_string_lossy().into_owned();
        Some((place.join(format!("{index:04}-{name}")), entry.clone()))
    };
    let files = parts.iter().enumerate().filter_map(moved).collect();
    let points = vec![Point { path: directory.into(), known: false }];
    let main = main_file(preset, directory);
    let text = around.replace("{part}", &format!("{}*", place.join("").display()));
    let around = Some(Box::new(MainOfImage { path: main.clone(), text, is_known: false }));
    let tree = Some(Arc::new(Mounted { files, points, ..Mounted::default() }));
    let takes = CoveredEntries::These(parts);
    Some(Beginning { main: Some(main), subject, tree, around, takes, operands: Vec::new(), reason: None })
}

fn main_file(preset: &Preset, directory: &str) -> PathBuf {
    Path::new(directory).join(preset.files.first().map_or("main", String::as_str))
}

/// Returns the validation of a configuration that is known by the name of its main file.
fn called(preset: &Preset, tree: &FileTree, main: &Path, entries: &BTreeSet<Entry>) -> Beginning {
    let reason = main.file_name().map(|name| format!("named `{}`", name.display()));
    Beginning { reason, ..whole(preset, tree, main, entries) }
}

/// Returns the validation of a configuration that begins with the file at `main`. Outside of a container its directory is taken for
/// the customary one of the program.
fn whole(preset: &Preset, tree: &FileTree, main: &Path, entries: &BTreeSet<Entry>) -> Beginning {
    let directory = main.parent().unwrap_or(main);
    let below = tree.mounted.files.range(directory.to_owned()..).take_while(|(path, _)| path.starts_with(directory));
    let below = below.filter(|(path, entry)| entries.contains(entry) && (!is_of_others(path) || *path == main));
    let takes = CoveredEntries::These(below.map(|(_, entry)| entry.clone()).collect());
    let subject = tree.mounted.files[main].clone();
    let customary = preset.directory.as_deref().unwrap_or(ANYWHERE);
    let moved = tree.moved(directory, customary);
    let main = match tree.kind {
        TreeKind::Container => main.to_owned(),
        TreeKind::Object | TreeKind::Directory => Path::new(customary).join(main.file_name().unwrap_or_default()),
    };
    let (main, tree, operands) = (Some(main), Some(moved), Vec::new());
    Beginning { main, subject, tree, around: None, takes, operands, reason: None }
}

/// Returns true if a file is known by its own name, also beside the files of a program.
fn is_of_others(path: &Path) -> bool {
    let is_main = |preset: &Preset| preset.files.iter().any(|name| path.ends_with(name));
    ending(path).is_some() || PAIR.iter().any(|name| path.ends_with(name)) || presets().iter().any(is_main)
}

/// Returns the validation of one file alone. Its mount path makes no difference.
pub(super) fn alone(path: &Path, entry: &Entry) -> Option<Beginning> {
    let main = Path::new(ANYWHERE).join(path.file_name()?);
    let (main, subject, takes) = (Some(main), entry.clone(), CoveredEntries::Subject);
    Some(Beginning { main, subject, tree: None, around: None, takes, operands: Vec::new(), reason: None })
}

/// Returns one validation for each file of a format: of the main file, if one is named; of those with its extension, if there are
/// any; else of all.
pub(super) fn each<'t>(
    format: &'t str,
    main: &'t Main,
    tree: &'t FileTree,
    entries: &'t BTreeSet<Entry>,
) -> impl Iterator<Item = Beginning> + 't {
    let files = || tree.mounted.files.iter().filter(|(_, entry)| entries.contains(entry));
    let fits = move |path: &Path| match main {
        Main::Given(main) => path.ends_with(main),
        _ => ending(path).is_some_and(|ending| ending == format || format == "json-schema"),
    };
    let all = !matches!(main, Main::Given(_)) && !files().any(|(path, _)| fits(path));
    files().filter(move |(path, _)| all || fits(path)).filter_map(|(path, entry)| alone(path, entry))
}

/// Returns one validation for each file, with the files beside it.
pub(super) fn beside(tree: &FileTree, entries: &BTreeSet<Entry>) -> Vec<Beginning> {
    let files = tree.mounted.files.iter().filter(|(_, entry)| entries.contains(entry));
    let begin = |(path, entry): (&PathBuf, &Entry)| {
        let (subject, takes) = (entry.clone(), CoveredEntries::Subject);
        let (main, tree, operands) = (Some(path.clone()), Some(tree.mounted.clone()), Vec::new());
        Beginning { main, subject, tree, around: None, takes, operands, reason: None }
    };
    files.map(begin).collect()
}

/// Returns one validation for each file as a part of a configuration, with the files beside it; of the main file alone, if one is
/// named.
pub(super) fn snippets(main: &Main, tree: &FileTree, entries: &BTreeSet<Entry>) -> Vec<Beginning> {
    let is_meant = |beginning: &Beginning| match main {
        Main::Given(main) => beginning.main.as_ref().is_some_and(|path| path.ends_with(main)),
        Main::Usual(_) | Main::Only => true,
    };
    beside(tree, entries).into_iter().filter(is_meant).collect()
}

/// Returns one validation of the whole tree. The plan finds the main file.
pub(super) fn together(mounted: &Arc<Mounted<Entry>>, entries: &BTreeSet<Entry>) -> Vec<Beginning> {
    let begin = |subject: &Entry| {
        let (tree, takes) = (Some(mounted.clone()), CoveredEntries::These(entries.clone()));
        let (subject, operands) = (subject.clone(), Vec::new());
        Beginning { main: None, subject, tree, around: None, takes, operands, reason: None }
    };
    entries.first().map(begin).into_iter().collect()
}

/// Returns one validation of these files alone.
pub(super) fn these(tree: &FileTree, entries: &BTreeSet<Entry>) -> Vec<Beginning> {
    let mut mounted = Mounted::clone(&tree.mounted);
    mounted.files.retain(|_, entry| entries.contains(entry));
    together(&Arc::new(mounted), entries)
}

/// Returns the entries that are known by their extensions, or as a certificate and its key, with the names of their validators.
pub(super) fn known_by_ending(tree: &FileTree, open: &BTreeSet<Entry>) -> Vec<(&'static str, BTreeSet<Entry>)> {
    let mut known: Vec<(&str, BTreeSet<Entry>)> = Vec::new();
    let mut endings: BTreeMap<&str, BTreeSet<Entry>> = BTreeMap::new();
    for (path, entry) in tree.mounted.files.iter().filter(|(_, entry)| open.contains(entry)) {
        let key = path.with_file_name(PAIR[1]);
        match tree.mounted.files.get(&key).filter(|_| path.ends_with(PAIR[0])) {
            Some(key) => known.push(("tls", [entry.clone(), key.clone()].into())),
            None => {
                if let Some(format) = ending(path) {
                    endings.entry(format).or_default().insert(entry.clone());
                }
            }
        }
    }
    known.extend(endings);
    known
}

/// Returns true if a file has the values of a Helm chart, which are beside or one directory below its `Chart.yaml`. Their keys are those of
/// configurations as well.
pub(super) fn has_values_of_chart(path: &Path, tree: &FileTree) -> bool {
    let is_values = path.file_name().is_some_and(|name| name.to_string_lossy().contains("values"));
    let is_in_chart = |directory: &Path| tree.mounted.files.contains_key(&directory.join("Chart.yaml"));
    is_values && path.ancestors().skip(1).take(2).any(is_in_chart)
}

fn ending(path: &Path) -> Option<&'static str> {
    let ending = path.extension()?;
    ENDINGS.iter().find(|(known, _)| ending == *known).map(|(_, format)| *format)
}
