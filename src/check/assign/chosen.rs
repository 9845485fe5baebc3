//! Validators that a configuration file, an annotation or the command line of a container chooses.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use reload_gate_contract::{Code, Finding, Place};

use super::known::is_obtainable;
use super::{By, Checkers, NONE, select};
use crate::check::manifest::Annotated;
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
                Entry::Key { key, .. } => fits(Path::new(key)) || fits(path),
                Entry::File(file) => fits(file),
                Entry::Input(_) | Entry::Rules(_) | Entry::Snippet(_) => false,
            });
            let reason = format!("rule {} of the configuration file", index + 1);
            self.take(tree, &rule.assignment, &reason, (&fitting, By::Word), open);
        }
    }

    /// Applies annotations: that of an object to its entries, that of a pod to what its containers mount.
    pub(super) fn by_annotation(&mut self, tree: &FileTree, open: &mut BTreeSet<Entry>) {
        let mut said: BTreeMap<String, (Place, BTreeSet<Entry>)> = BTreeMap::new();
        for entry in open.iter() {
            if let Some((annotated, place)) = self.annotation(tree, entry) {
                said.entry(annotated.value).or_insert_with(|| (place, BTreeSet::new())).1.insert(entry.clone());
            }
        }
        for (name, (place, entries)) in said {
            match self.called(&name) {
                Ok(assignment) => {
                    // An included file is validated with its main file, and not by itself.
                    let whole =
                        assignment.preset.as_ref().is_some_and(|preset| program::has_main(preset, tree, self.store));
                    let entries = if whole { open.clone() } else { entries };
                    self.take(tree, &assignment, "named by an annotation", (&entries, By::Annotation), open);
                }
                Err(_) if name == NONE => {
                    open.retain(|entry| !entries.contains(entry));
                    self.released.extend(entries);
                }
                Err(error) => {
                    open.retain(|entry| !entries.contains(entry));
                    self.released.extend(entries.iter().cloned());
                    let finding = Finding::error(UNKNOWN_VALIDATOR, with_setting(&error)).at(place);
                    let finding = Finding { help: error.help, ..finding };
                    let subjects = entries.first().map(|entry| self.store.subject(entry));
                    let known = self.assigned.errors.iter().any(|(_, other)| *other == finding);
                    self.assigned.errors.extend(subjects.filter(|_| !known).map(|subject| (subject, finding)));
                }
            }
        }
    }

    fn annotation(&self, tree: &FileTree, entry: &Entry) -> Option<(Annotated, Place)> {
        self.store.annotation(entry).or_else(|| tree.annotated.clone())
    }

    /// Assigns the files that the command line of a container names.
    pub(super) fn by_command_line(&mut self, tree: &FileTree, open: &mut BTreeSet<Entry>) {
        let Some(config) = &tree.container.config else { return };
        let assignment = self.called(config.program).ok();
        if !assignment.as_deref().is_some_and(is_obtainable)
            && let Some(schema) = schemas::named(config.program)
        {
            let is_named = |path: &Path| config.paths.iter().any(|named| path.starts_with(named));
            let named = select(tree, open, |path, _| is_named(path));
            let choose = |path: &Path, text: &str| schemas::may_apply(path, text).then_some(schema);
            self.by_schema(tree, open, (&named, &format!("named on the command line: `{}`", config.words)), &choose);
        }
        let found = self.on_command_line(tree, open);
        let Some(assignment) = assignment else { return };
        for beginning in found {
            open.retain(|entry| !beginning.takes.contains(entry));
            self.add(tree, &assignment, "", beginning, By::Name);
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
