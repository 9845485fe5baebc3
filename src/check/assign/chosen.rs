//! Validators that a configuration file, an annotation or the command line of a container chooses.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use reload_gate_contract::{Code, Finding, Place};

use super::known::is_obtainable;
use super::{By, Checkers, select};
use crate::check::choice::{NamedBy, is_off, switch};
use crate::check::program::{self, Beginning};
use crate::check::schemas;
use crate::check::store::Entry;
use crate::check::trees::{FileTree, TreeKind};
use crate::config::{Assignment, ConfigError, GateConfig, OBJECT_SETTINGS, SettingOrigin};

const UNKNOWN_VALIDATOR: Code = Code::new("unknown-validator");

impl Checkers<'_> {
    /// Assigns what lies where the gates of the configuration file watch; a single gate also gets what has no such place.
    pub(super) fn by_gates(&mut self, tree: &FileTree, open: &mut BTreeSet<Entry>) {
        let assignments = self.assignments;
        for gate in &assignments.gates {
            let anywhere = assignments.gates.len() == 1 && tree.kind != TreeKind::Container;
            let is_watched = |path: &Path| gate.sources.iter().any(|source| path.starts_with(&source.mount));
            let watched = select(tree, open, |path, _| anywhere || is_watched(path));
            let reason = format!("the gate `{}` of the configuration file", gate.name);
            self.take(tree, &of_gate(gate), &reason, (&watched, By::Gate), open);
        }
    }

    pub(super) fn by_rules(&mut self, tree: &FileTree, open: &mut BTreeSet<Entry>) {
        let assignments = self.assignments;
        for (index, rule) in assignments.rules.iter().enumerate() {
            let fits = |path: &Path| rule.files.iter().any(|glob| glob.is_match(path));
            let fitting = select(tree, open, |path, entry| match entry {
                Entry::Key { .. } => self.store.key(entry).is_some_and(|key| fits(Path::new(&**key))) || fits(path),
                Entry::File(file) => fits(file),
                Entry::Input(_) | Entry::Rules(_) | Entry::Snippet(_) => false,
            });
            let reason = format!("rule {} of the configuration file", index + 1);
            self.take(tree, &rule.assignment, &reason, (&fitting, By::Word), open);
        }
    }

    /// Applies labels and annotations: those of an object to its entries, that of a pod to what its containers mount.
    pub(super) fn by_annotation(&mut self, tree: &FileTree, open: &mut BTreeSet<Entry>) {
        let mut said: BTreeMap<Choice, (Place, BTreeSet<Entry>)> = BTreeMap::new();
        for entry in open.iter() {
            if let Some((choice, place)) = self.choice(tree, entry) {
                said.entry(choice).or_insert_with(|| (place, BTreeSet::new())).1.insert(entry.clone());
            }
        }
        for (choice, (place, entries)) in said {
            if is_off(&choice.name) {
                open.retain(|entry| !entries.contains(entry));
                self.released.extend(entries);
                continue;
            }
            let named = self.called(&choice.name).map(|assignment| {
                // An included file is validated with its main file, and not by itself.
                let preset = assignment.preset.as_ref();
                let is_whole = preset.is_some_and(|preset| program::has_main(preset, tree, self.store));
                (assignment, is_whole)
            });
            // The settings of one object are not those of all that a container mounts.
            let named = match named {
                Ok((_, false)) if !choice.settings.is_empty() => self.with_settings(&choice).map(|own| (own, false)),
                named => named,
            };
            match named {
                Ok((assignment, is_whole)) => {
                    let entries = if is_whole { open.clone() } else { entries };
                    let reason = match choice.by {
                        NamedBy::Label => "named by a label",
                        NamedBy::Annotation => "named by an annotation",
                    };
                    let by = if choice.is_own { By::Object } else { By::Annotation };
                    self.take(tree, &assignment, reason, (&entries, by), open);
                }
                Err(error) => {
                    open.retain(|entry| !entries.contains(entry));
                    self.unfit(Some(&choice), &error, place, &entries);
                    self.released.extend(entries);
                }
            }
        }
    }

    /// Returns the choice of the object of an entry, or of the pod that mounts it, with its place.
    fn choice(&self, tree: &FileTree, entry: &Entry) -> Option<(Choice, Place)> {
        let own = self.store.chosen(entry);
        let is_own = own.is_some();
        let of_pod = || tree.annotated.clone().map(|(named, place)| (named.value, NamedBy::Annotation, place));
        let (name, by, place) = own.or_else(of_pod)?;
        // Those of an object without a mount are in the assignments.
        let settings = if tree.kind == TreeKind::Container { self.store.settings(entry) } else { Vec::new() };
        let settings = settings.into_iter().map(|(setting, value)| (setting.name, value)).collect();
        Some((Choice { name, by, is_own, settings }, place))
    }

    /// Returns the validator that an object names, with its settings.
    fn with_settings(&self, choice: &Choice) -> Result<Arc<Assignment>, ConfigError> {
        let known = OBJECT_SETTINGS.iter().filter_map(|setting| {
            let value = choice.settings.get(setting.name)?;
            Some((*setting, value.clone()))
        });
        self.assignments.with_settings(&known.collect::<Vec<_>>()).assignment_named(&choice.name)
    }

    /// Reports that a setting of an object is wrong which leaves the choice to names and contents. Without its program nothing would be
    /// validated.
    pub(super) fn unfit_settings(&mut self, tree: &FileTree, open: &mut BTreeSet<Entry>) {
        if tree.kind != TreeKind::Object || open.is_empty() {
            return;
        }
        // Only nginx has settings that may be wrong.
        let Err(error) = self.called("nginx") else { return };
        if matches!(&error.origin, SettingOrigin::Flag(name) if OBJECT_SETTINGS.iter().any(|setting| setting.name == *name))
        {
            let entries = std::mem::take(open);
            self.unfit(None, &error, Place::file(""), &entries);
            self.released.extend(entries);
        }
    }

    /// Reports that an object names an unknown validator, or that a setting of it is wrong.
    fn unfit(&mut self, choice: Option<&Choice>, error: &ConfigError, place: Place, entries: &BTreeSet<Entry>) {
        let Some(first) = entries.first() else { return };
        let setting = match &error.origin {
            SettingOrigin::Flag(name) => *name,
            _ => "",
        };
        let switch = choice.filter(|_| setting.is_empty()).and_then(|choice| switch(&choice.name, choice.by));
        let finding = Finding::error(UNKNOWN_VALIDATOR, with_setting(error)).at(place);
        let finding = Finding { help: switch.map(str::to_owned).or_else(|| error.help.clone()), ..finding };
        let finding = self.store.with_place_of_setting(first, setting, finding);
        if !self.assigned.errors.iter().any(|(_, other)| *other == finding) {
            self.assigned.errors.push((self.store.subject(first), finding));
        }
    }

    /// Assigns the files that the command line of a container names.
    pub(super) fn by_command_line(&mut self, tree: &FileTree, open: &mut BTreeSet<Entry>) {
        let Some(config) = &tree.container.config else { return };
        let assignment = self.called(config.program).ok();
        if !assignment.as_deref().is_some_and(is_obtainable)
            && let Some(schema) = schemas::named(config.program)
        {
            let is_named = |path: &Path| config.paths.iter().any(|named| path.starts_with(named));
            let choose = |path: &Path, text: &str| schemas::may_apply(path, text).then_some(schema);
            let reason = format!("named on the command line: `{}`", config.words);
            self.by_schema(tree, open, &reason, &is_named, &choose);
        }
        let found = self.on_command_line(tree, open);
        let Some(assignment) = assignment else { return };
        for beginning in found {
            let taken: BTreeSet<&Entry> = beginning.takes().collect();
            open.retain(|entry| !taken.contains(entry));
            self.add(tree, &assignment, &"".into(), beginning, By::Name);
        }
    }

    /// Returns the validations of the files that the command line of a container names for the program of a preset.
    pub(super) fn on_command_line(&mut self, tree: &FileTree, open: &BTreeSet<Entry>) -> Vec<Beginning> {
        let Some(config) = &tree.container.config else { return Vec::new() };
        let Ok(assignment) = self.called(config.program) else { return Vec::new() };
        let found = assignment.preset.as_ref().map(|preset| program::on_command_line(preset, tree, config, open));
        found.unwrap_or_default()
    }
}

/// Validator that an object chooses, with its settings by their names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Choice {
    name: String,
    by: NamedBy,
    /// True if it is of the object that has the files, and not of a pod.
    is_own: bool,
    settings: BTreeMap<&'static str, String>,
}

/// Returns the message of an error, with the setting of the object that is wrong; none is if the name itself is.
fn with_setting(error: &ConfigError) -> String {
    let is_of_object = |name: &&str| OBJECT_SETTINGS.iter().any(|setting| setting.name == *name);
    match &error.origin {
        SettingOrigin::Flag(name) if is_of_object(name) => format!("{}{}", error.origin, error.message),
        _ => error.message.clone(),
    }
}

/// Validator of a gate.
fn of_gate(gate: &GateConfig) -> Arc<Assignment> {
    Arc::new(Assignment { preset: None, plan: gate.plan.clone() })
}
