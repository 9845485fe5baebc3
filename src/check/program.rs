//! Selection of the main file of a validation, and of the files around it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::store::{Entry, Store};
use super::trees::{ANYWHERE, FileTree, TreeKind};
use crate::check::manifest::{Mounted, Point};
use crate::config::Preset;
use crate::flow::validate::Main;

/// Main file and files of one validation.
pub(super) struct Beginning {
    /// File to begin with; `None` where the plan finds it.
    pub(super) main: Option<PathBuf>,
    /// Entry that names the validation in the report.
    pub(super) subject: Entry,
    /// Files as the program would see them.
    pub(super) tree: Mounted<Entry>,
    /// Path and text of a main file in place of one that is not among the inputs.
    pub(super) around: Option<(PathBuf, String)>,
    /// Entries that it covers.
    pub(super) takes: BTreeSet<Entry>,
    /// Reason for the choice of the program's validator, where none was named.
    pub(super) reason: Option<String>,
}

/// Extensions of files, and the validators for them.
///
/// INI is not among them: there is no standard, and what one program takes for a mistake another one means (`skip-networking` of MySQL).
const ENDINGS: [(&str, &str); 4] = [("json", "json"), ("yaml", "yaml"), ("yml", "yaml"), ("toml", "toml")];
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
    chosen: bool,
) -> Vec<Beginning> {
    let mounted = tree.moved(preset.directory.as_deref().unwrap_or(ANYWHERE));
    if let Main::Given(main) = main {
        let files = mounted.files.keys().filter(|path| path.ends_with(main));
        let nearest = files.min_by_key(|path| path.components().count()).cloned();
        return match nearest {
            Some(path) => vec![whole(&mounted, path, entries)],
            // Of the containers of a pod it is one, and only the plan can say that it is missing.
            None if tree.kind == TreeKind::Container => Vec::new(),
            None => together(&mounted, entries),
        };
    }
    let named: Vec<PathBuf> = named(preset, &mounted, entries);
    if !named.is_empty() {
        return named.into_iter().map(|path| called(&mounted, path, entries)).collect();
    }
    let located = located(preset, &mounted, entries);
    if !located.is_empty() || !chosen {
        return located;
    }
    unnamed(preset, tree, &mounted, entries, store)
}

/// Returns true if the main file of a program's configuration is in a tree.
pub(super) fn has_main(preset: &Preset, tree: &FileTree) -> bool {
    !named(preset, &tree.mounted, &tree.wanted).is_empty()
}

/// Returns the files with the name of the program's main file, without those in or below the directory of another one.
fn named(preset: &Preset, mounted: &Mounted<Entry>, entries: &BTreeSet<Entry>) -> Vec<PathBuf> {
    let is_called =
        |path: &Path| path.file_name().is_some_and(|name| preset.files.iter().any(|file| name == file.as_str()));
    let files = mounted.files.iter().filter(|(path, entry)| is_called(path) && entries.contains(entry));
    let mut found: Vec<PathBuf> = files.map(|(path, _)| path.clone()).collect();
    found.sort_by_key(|path| path.components().count());
    let mut kept: Vec<PathBuf> = Vec::new();
    for path in found {
        let is_below = |main: &PathBuf| main.parent().is_some_and(|directory| path.starts_with(directory));
        if !kept.iter().any(is_below) {
            kept.push(path);
        }
    }
    kept
}

/// Returns the parts of a configuration that has its main file in the program's image, by the directories which that file includes.
fn located(preset: &Preset, mounted: &Mounted<Entry>, entries: &BTreeSet<Entry>) -> Vec<Beginning> {
    let Some((directory, around)) = preset.directory.as_deref().zip(preset.around.as_ref()) else { return Vec::new() };
    let mut found = Vec::new();
    for part in &preset.parts {
        let Some((place, ending)) = part.split_once('*') else { continue };
        let place = Path::new(directory).join(place);
        let is_part = |path: &Path| path.parent() == Some(&place) && path.to_string_lossy().ends_with(ending);
        let parts = mounted.files.iter().filter(|(path, entry)| is_part(path) && entries.contains(entry));
        let takes: BTreeSet<Entry> = parts.map(|(_, entry)| entry.clone()).collect();
        found.extend(takes.first().cloned().map(|subject| {
            let main = main_file(preset, directory);
            let around = Some((main.clone(), around.replace("{part}", part)));
            let reason = Some(format!("{} includes `{part}`", preset.name));
            Beginning { main: Some(main), subject, tree: mounted.clone(), around, takes, reason }
        }));
    }
    found
}

/// Returns the validations of files for which the program was chosen, though none has the name of its main file: whole
/// configurations, and parts of one.
fn unnamed(
    preset: &Preset,
    tree: &FileTree,
    mounted: &Mounted<Entry>,
    entries: &BTreeSet<Entry>,
    store: &Store<'_>,
) -> Vec<Beginning> {
    let (Some(whole_pattern), Some(around), [part, ..]) = (&preset.whole, &preset.around, preset.parts.as_slice())
    else {
        return together(mounted, entries);
    };
    let text = |entry: &Entry| store.content(entry).map(|content| String::from_utf8_lossy(&content.bytes).into_owned());
    let is_whole = |entry: &Entry| text(entry).is_ok_and(|text| whole_pattern.is_match(&text));
    let (wholes, parts): (BTreeSet<Entry>, BTreeSet<Entry>) = entries.iter().cloned().partition(is_whole);
    let path = |entry: &Entry| mounted.files.iter().find(|(_, other)| *other == entry).map(|(path, _)| path.clone());
    let mut found: Vec<_> = wholes.iter().filter_map(path).map(|path| whole(mounted, path, &wholes)).collect();
    let directory = preset.directory.as_deref().unwrap_or(ANYWHERE);
    if let Some(subject) = parts.first().cloned().filter(|_| tree.kind != TreeKind::Container) {
        let place = Path::new(directory).join(part.split('*').next().unwrap_or_default());
        let moved = |entry: &Entry| Some((place.join(path(entry)?.file_name()?), entry.clone()));
        let mut tree = mounted.clone();
        tree.files = parts.iter().filter_map(moved).collect();
        let main = main_file(preset, directory);
        let around = Some((main.clone(), around.replace("{part}", &format!("{}*", place.display()))));
        found.push(Beginning { main: Some(main), subject, tree, around, takes: parts, reason: None });
    }
    found
}

fn main_file(preset: &Preset, directory: &str) -> PathBuf {
    Path::new(directory).join(preset.files.first().map_or("main", String::as_str))
}

/// Returns the validation of a configuration that is known by the name of its main file.
fn called(mounted: &Mounted<Entry>, main: PathBuf, entries: &BTreeSet<Entry>) -> Beginning {
    let reason = main.file_name().map(|name| format!("named `{}`", name.display()));
    Beginning { reason, ..whole(mounted, main, entries) }
}

/// Returns the validation of a configuration that begins with the file at `main`.
fn whole(mounted: &Mounted<Entry>, main: PathBuf, entries: &BTreeSet<Entry>) -> Beginning {
    let directory = main.parent().unwrap_or(&main);
    let below = mounted.files.iter().filter(|(path, entry)| {
        entries.contains(entry) && (path.starts_with(directory) && !is_of_others(path) || **path == main)
    });
    let takes = below.map(|(_, entry)| entry.clone()).collect();
    let subject = mounted.files[&main].clone();
    Beginning { main: Some(main), subject, tree: mounted.clone(), around: None, takes, reason: None }
}

/// Returns true if a file is known by its own name, also beside the files of a program.
fn is_of_others(path: &Path) -> bool {
    ending(path).is_some() || PAIR.iter().any(|name| path.ends_with(name))
}

/// Returns the validation of one file alone. Its mount path makes no difference.
fn alone(path: &Path, entry: &Entry) -> Option<Beginning> {
    let main = Path::new(ANYWHERE).join(path.file_name()?);
    let files = [(main.clone(), entry.clone())].into();
    let tree = Mounted { files, points: vec![Point { path: main.clone(), known: false }] };
    let (subject, takes) = (entry.clone(), [entry.clone()].into());
    Some(Beginning { main: Some(main), subject, tree, around: None, takes, reason: None })
}

/// Returns one validation for each file of a format: of the main file, if one is named; of those with its extension, if there are
/// any; else of all.
pub(super) fn each(format: &str, main: &Main, tree: &FileTree, entries: &BTreeSet<Entry>) -> Vec<Beginning> {
    let files: Vec<_> = tree.mounted.files.iter().filter(|(_, entry)| entries.contains(entry)).collect();
    let fits = |path: &Path| match main {
        Main::Given(main) => path.ends_with(main),
        _ => ending(path).is_some_and(|ending| ending == format || format == "json-schema"),
    };
    let all = !matches!(main, Main::Given(_)) && !files.iter().any(|(path, _)| fits(path));
    files.into_iter().filter(|(path, _)| all || fits(path)).filter_map(|(path, entry)| alone(path, entry)).collect()
}

/// Returns one validation for each file, with the files beside it.
pub(super) fn beside(tree: &FileTree, entries: &BTreeSet<Entry>) -> Vec<Beginning> {
    let files = tree.mounted.files.iter().filter(|(_, entry)| entries.contains(entry));
    let begin = |(path, entry): (&PathBuf, &Entry)| {
        let (subject, takes) = (entry.clone(), [entry.clone()].into());
        Beginning { main: Some(path.clone()), subject, tree: tree.mounted.clone(), around: None, takes, reason: None }
    };
    files.map(begin).collect()
}

/// Returns one validation of the whole tree. The plan finds the main file.
pub(super) fn together(mounted: &Mounted<Entry>, entries: &BTreeSet<Entry>) -> Vec<Beginning> {
    let begin = |subject: &Entry| {
        let (tree, takes) = (mounted.clone(), entries.clone());
        Beginning { main: None, subject: subject.clone(), tree, around: None, takes, reason: None }
    };
    entries.first().map(begin).into_iter().collect()
}

/// Returns one validation of these files alone.
pub(super) fn these(tree: &FileTree, entries: &BTreeSet<Entry>) -> Vec<Beginning> {
    let mut mounted = tree.mounted.clone();
    mounted.files.retain(|_, entry| entries.contains(entry));
    together(&mounted, entries)
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

fn ending(path: &Path) -> Option<&'static str> {
    let ending = path.extension()?;
    ENDINGS.iter().find(|(known, _)| ending == *known).map(|(_, format)| *format)
}
