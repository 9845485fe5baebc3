//! Assignment of validators to trees of files: by settings, rules and annotations, or by the names of the files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reload_gate_contract::{Code, Finding, Place};

use super::program::{self, Beginning};
use super::store::{Entry, Store};
use super::trees::{FileTree, FileTrees, TreeKind};
use crate::check::manifest::{Annotated, Mounted};
use crate::check::render::CheckSubject;
use crate::config::{Assignment, Assignments, ConfigError, GateConfig, presets};
use crate::flow::validate::{Main, Scope};

const UNKNOWN_VALIDATOR: Code = Code::new("unknown-validator");

/// Value of the annotation that turns validation off.
const NONE: &str = "none";

const COMMAND_LINE: &str = "named on the command line";

/// One validation that is due.
pub(super) struct Task {
    /// Part of the inputs that the validation is about.
    pub(super) subject: CheckSubject,
    /// Validator with its profile.
    pub(super) assignment: Arc<Assignment>,
    /// File to begin with.
    pub(super) main: Main,
    /// Reason for the choice of the validator.
    pub(super) reason: String,
    /// Files as the program would see them.
    pub(super) tree: Mounted<Entry>,
    /// Path and text of a main file in place of one that is not among the inputs.
    pub(super) around: Option<(PathBuf, String)>,
}

/// All validations that are due.
#[derive(Default)]
pub(super) struct Assigned {
    pub(super) tasks: Vec<Task>,
    /// Errors in the settings and annotations that choose validators.
    pub(super) errors: Vec<(CheckSubject, Finding)>,
    /// Entries that should be validated.
    pub(super) open: BTreeSet<Entry>,
}

/// Assigns validators to the trees.
pub(super) fn assign(trees: FileTrees, store: &Store<'_>, assignments: &Assignments) -> Assigned {
    let assigned = Assigned { errors: trees.errors, open: trees.idle, ..Assigned::default() };
    let named = presets().iter().filter_map(|preset| assignments.assignment_named(preset.name).ok());
    let mut checkers = Checkers {
        store,
        assignments,
        named: named.collect(),
        called: BTreeMap::new(),
        assigned,
        released: BTreeSet::new(),
    };
    for (tree, gate) in trees.gated {
        let (assignment, reason, by) = match &assignments.given {
            Some(given) => (given.clone(), COMMAND_LINE.to_owned(), By::Word),
            None => (of_gate(&gate), format!("the settings of {}", tree.owner), By::Gate),
        };
        checkers.give(&tree, &assignment, &reason, &tree.wanted, by);
        checkers.assigned.open.extend(tree.wanted);
    }
    for tree in &trees.trees {
        checkers.tree(tree);
    }
    checkers.assigned
}

/// Origin of an assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// Names of files, or the directory they are in.
    Name,
    /// Explicit choice for these files.
    Word,
    /// Gate, which selects by itself among the files that it watches.
    Gate,
}

struct Checkers<'a> {
    store: &'a Store<'a>,
    assignments: &'a Assignments,
    /// Validators of all presets.
    named: Vec<Arc<Assignment>>,
    /// Validators that were looked up by name.
    called: BTreeMap<String, Result<Arc<Assignment>, ConfigError>>,
    assigned: Assigned,
    /// Entries that an annotation excludes, or for which it names no known validator.
    released: BTreeSet<Entry>,
}

impl Checkers<'_> {
    fn tree(&mut self, tree: &FileTree) {
        let mut open = tree.wanted.clone();
        if let Some(given) = &self.assignments.given {
            let given = given.clone();
            self.give(tree, &given, COMMAND_LINE, &open, By::Word);
        } else {
            self.by_gates(tree, &mut open);
            self.by_rules(tree, &mut open);
            self.by_annotation(tree, &mut open);
            self.by_name(tree, &mut open);
        }
        self.assigned.open.extend(tree.wanted.difference(&self.released).cloned());
    }

    /// Assigns what lies where the gates of the configuration file watch; a single gate also gets what has no such place.
    fn by_gates(&mut self, tree: &FileTree, open: &mut BTreeSet<Entry>) {
        let assignments = self.assignments;
        for gate in &assignments.gates {
            let anywhere = assignments.gates.len() == 1 && tree.kind != TreeKind::Container;
            let is_watched = |path: &Path| gate.sources.iter().any(|source| path.starts_with(&source.mount));
            let watched = select(tree, open, |path, _| anywhere || is_watched(path));
            let reason = format!("the gate `{}` of the configuration file", gate.name);
            self.take(tree, &of_gate(gate), &reason, (&watched, By::Gate), open);
        }
    }

    fn by_rules(&mut self, tree: &FileTree, open: &mut BTreeSet<Entry>) {
        let assignments = self.assignments;
        for (index, rule) in assignments.rules.iter().enumerate() {
            let fits = |path: &Path| rule.files.iter().any(|glob| glob.is_match(path));
            let fitting = select(tree, open, |path, entry| match entry {
                Entry::Key { key, .. } => fits(Path::new(key)) || fits(path),
                Entry::File(file) => fits(file),
                Entry::Input(_) => false,
            });
            let reason = format!("rule {} of the configuration file", index + 1);
            self.take(tree, &rule.assignment, &reason, (&fitting, By::Word), open);
        }
    }

    /// Applies annotations: that of an object to its entries, that of a pod to what its containers mount.
    fn by_annotation(&mut self, tree: &FileTree, open: &mut BTreeSet<Entry>) {
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
                    let whole = assignment.preset.as_ref().is_some_and(|preset| program::has_main(preset, tree));
                    let entries = if whole { open.clone() } else { entries };
                    self.take(tree, &assignment, "named by an annotation", (&entries, By::Word), open);
                }
                Err(_) if name == NONE => {
                    open.retain(|entry| !entries.contains(entry));
                    self.released.extend(entries);
                }
                Err(error) => {
                    open.retain(|entry| !entries.contains(entry));
                    self.released.extend(entries.iter().cloned());
                    let finding = Finding::error(UNKNOWN_VALIDATOR, error.message).at(place);
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

    fn by_name(&mut self, tree: &FileTree, open: &mut BTreeSet<Entry>) {
        for assignment in self.named.clone() {
            let taken = self.give(tree, &assignment, "known by its name", open, By::Name);
            open.retain(|entry| !taken.contains(entry));
        }
        for (name, entries) in program::known_by_ending(tree, open) {
            if let Ok(assignment) = self.called(name) {
                self.take(tree, &assignment, "known by its name", (&entries, By::Word), open);
            }
        }
    }

    fn called(&mut self, name: &str) -> Result<Arc<Assignment>, ConfigError> {
        let assignments = self.assignments;
        self.called.entry(name.to_owned()).or_insert_with(|| assignments.assignment_named(name)).clone()
    }

    /// Assigns entries to a validator, and removes them from `open`.
    fn take(
        &mut self,
        tree: &FileTree,
        assignment: &Arc<Assignment>,
        reason: &str,
        (entries, by): (&BTreeSet<Entry>, By),
        open: &mut BTreeSet<Entry>,
    ) {
        if !entries.is_empty() {
            self.give(tree, assignment, reason, entries, by);
            open.retain(|entry| !entries.contains(entry));
        }
    }

    /// Adds the validations of `entries` by a validator, and returns the entries that they cover.
    fn give(
        &mut self,
        tree: &FileTree,
        assignment: &Arc<Assignment>,
        reason: &str,
        entries: &BTreeSet<Entry>,
        by: By,
    ) -> BTreeSet<Entry> {
        let mut taken = BTreeSet::new();
        // A plan without validators accepts everything, which is no validation.
        if assignment.plan.validators.is_empty() && assignment.plan.required.is_empty() {
            return BTreeSet::new();
        }
        let chosen = by != By::Name;
        let beginnings = match (&assignment.preset, assignment.plan.scope()) {
            (Some(preset), _) => program::beginnings(preset, &assignment.plan.main, tree, entries, self.store, chosen),
            (None, Scope::Program(app)) => {
                let preset = presets().iter().find(|preset| preset.name == app);
                let begin =
                    |preset| program::beginnings(preset, &assignment.plan.main, tree, entries, self.store, chosen);
                preset.map(begin).unwrap_or_default()
            }
            // A gate selects by itself among the files that it watches.
            (None, _) if by == By::Gate => program::together(&tree.mounted, entries),
            (None, Scope::Each(name)) => program::each(name, &assignment.plan.main, tree, entries),
            (None, Scope::Main) => program::beside(tree, entries),
            (None, Scope::Together) => program::together(&tree.mounted, entries),
            (None, Scope::These) => program::these(tree, entries),
        };
        for Beginning { main, subject, tree, around, takes, reason: found } in beginnings {
            taken.extend(takes);
            let main = main.map_or_else(|| assignment.plan.main.clone(), Main::Given);
            let assignment = assignment.clone();
            let subject = self.store.subject(&subject);
            let reason = found.filter(|_| !chosen).unwrap_or_else(|| reason.to_owned());
            self.assigned.tasks.push(Task { subject, assignment, main, reason, tree, around });
        }
        taken
    }
}

/// Validator of a gate.
fn of_gate(gate: &GateConfig) -> Arc<Assignment> {
    Arc::new(Assignment { preset: None, plan: gate.plan.clone() })
}

/// Entries of `open` that fit.
fn select(tree: &FileTree, open: &BTreeSet<Entry>, fits: impl Fn(&Path, &Entry) -> bool) -> BTreeSet<Entry> {
    let files = tree.mounted.files.iter().filter(|(path, entry)| open.contains(entry) && fits(path, entry));
    files.map(|(_, entry)| entry.clone()).collect()
}
