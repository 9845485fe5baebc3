//! Who judges what: trees of files are given to judges, by what is said of them or by what the files are called.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reload_gate_contract::{Code, Finding, Place};

use super::program::{self, Beginning};
use super::store::{Entry, Store};
use super::trees::{Kind, Tree, Trees};
use crate::check::manifest::{Annotated, Mounted};
use crate::check::render::Subject;
use crate::config::{Assignment, Assignments, ConfigError, GateConfig, presets};
use crate::flow::validate::{Main, PlanScope};

const UNKNOWN_VALIDATOR: Code = Code::new("unknown-validator");

/// The value of the annotation by which nobody is to judge.
const NOBODY: &str = "none";

const COMMAND_LINE: &str = "the command line says so";

/// One judgement to be made.
pub(super) struct Task {
    /// What is judged.
    pub(super) subject: Subject,
    /// By whom.
    pub(super) assignment: Arc<Assignment>,
    /// With which file it begins.
    pub(super) main: Main,
    /// Why by that one.
    pub(super) reason: String,
    /// The files as the program would see them.
    pub(super) tree: Mounted<Entry>,
    /// What stands for a file to begin with that is not given, and where.
    pub(super) around: Option<(PathBuf, String)>,
}

/// Who judges what.
#[derive(Default)]
pub(super) struct Assigned {
    pub(super) tasks: Vec<Task>,
    /// What is wrong with what is said of who judges.
    pub(super) errors: Vec<(Subject, Finding)>,
    /// What is to be judged by somebody.
    pub(super) open: BTreeSet<Entry>,
}

/// Gives the trees to judges.
pub(super) fn assign(trees: Trees, store: &Store<'_>, assignments: &Assignments) -> Assigned {
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

/// By what a judge is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// What files are called, or where they lie.
    Name,
    /// Somebody's word about these files.
    Word,
    /// A gate, which will find by itself what is to be judged of what it watches.
    Gate,
}

struct Checkers<'a> {
    store: &'a Store<'a>,
    assignments: &'a Assignments,
    /// The judges of all presets.
    named: Vec<Arc<Assignment>>,
    /// Judges that were asked for by name.
    called: BTreeMap<String, Result<Arc<Assignment>, ConfigError>>,
    assigned: Assigned,
    /// What nobody is to be asked about, or cannot be.
    released: BTreeSet<Entry>,
}

impl Checkers<'_> {
    fn tree(&mut self, tree: &Tree) {
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

    /// The gates of the configuration file judge what lies where they watch; the only one judges whatever has no such place.
    fn by_gates(&mut self, tree: &Tree, open: &mut BTreeSet<Entry>) {
        let assignments = self.assignments;
        for gate in &assignments.gates {
            let anywhere = assignments.gates.len() == 1 && tree.kind != Kind::Container;
            let is_watched = |path: &Path| gate.sources.iter().any(|source| path.starts_with(&source.mount));
            let watched = select(tree, open, |path, _| anywhere || is_watched(path));
            let reason = format!("the gate `{}` of the configuration file", gate.name);
            self.take(tree, &of_gate(gate), &reason, (&watched, By::Gate), open);
        }
    }

    fn by_rules(&mut self, tree: &Tree, open: &mut BTreeSet<Entry>) {
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

    /// What an object's annotation says holds for its entries; what a pod's says, for what its containers mount.
    fn by_annotation(&mut self, tree: &Tree, open: &mut BTreeSet<Entry>) {
        let mut said: BTreeMap<String, (Place, BTreeSet<Entry>)> = BTreeMap::new();
        for entry in open.iter() {
            if let Some((annotated, place)) = self.annotation(tree, entry) {
                said.entry(annotated.value).or_insert_with(|| (place, BTreeSet::new())).1.insert(entry.clone());
            }
        }
        for (name, (place, entries)) in said {
            match self.called(&name) {
                Ok(assignment) => {
                    // What a main file includes is judged with it, and not by itself.
                    let whole = assignment.preset.as_ref().is_some_and(|preset| program::has_main(preset, tree));
                    let entries = if whole { open.clone() } else { entries };
                    self.take(tree, &assignment, "an annotation says so", (&entries, By::Word), open);
                }
                Err(_) if name == NOBODY => {
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

    fn annotation(&self, tree: &Tree, entry: &Entry) -> Option<(Annotated, Place)> {
        self.store.annotation(entry).or_else(|| tree.annotated.clone())
    }

    fn by_name(&mut self, tree: &Tree, open: &mut BTreeSet<Entry>) {
        for assignment in self.named.clone() {
            let taken = self.give(tree, &assignment, "its name says so", open, By::Name);
            open.retain(|entry| !taken.contains(entry));
        }
        for (name, entries) in program::known_by_ending(tree, open) {
            if let Ok(assignment) = self.called(name) {
                self.take(tree, &assignment, "its name says so", (&entries, By::Word), open);
            }
        }
    }

    fn called(&mut self, name: &str) -> Result<Arc<Assignment>, ConfigError> {
        let assignments = self.assignments;
        self.called.entry(name.to_owned()).or_insert_with(|| assignments.assignment_named(name)).clone()
    }

    /// Gives entries to a judge, so that nobody else is asked about them.
    fn take(
        &mut self,
        tree: &Tree,
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

    /// Makes the judgements that a judge is asked for about `entries`, and says which of them it takes.
    fn give(
        &mut self,
        tree: &Tree,
        assignment: &Arc<Assignment>,
        reason: &str,
        entries: &BTreeSet<Entry>,
        by: By,
    ) -> BTreeSet<Entry> {
        let mut taken = BTreeSet::new();
        // Who accepts everything judges nothing.
        if assignment.plan.validators.is_empty() && assignment.plan.required.is_empty() {
            return BTreeSet::new();
        }
        let meant = by != By::Name;
        let beginnings = match (&assignment.preset, assignment.plan.scope()) {
            (Some(preset), _) => program::beginnings(preset, &assignment.plan.main, tree, entries, self.store, meant),
            (None, PlanScope::Program(app)) => {
                let preset = presets().iter().find(|preset| preset.name == app);
                let begin =
                    |preset| program::beginnings(preset, &assignment.plan.main, tree, entries, self.store, meant);
                preset.map(begin).unwrap_or_default()
            }
            // A gate finds by itself what its validators judge of what it watches.
            (None, _) if by == By::Gate => program::together(&tree.mounted, entries),
            (None, PlanScope::Each(name)) => program::each(name, &assignment.plan.main, tree, entries),
            (None, PlanScope::Main) => program::beside(tree, entries),
            (None, PlanScope::Together) => program::together(&tree.mounted, entries),
            (None, PlanScope::These) => program::these(tree, entries),
        };
        for Beginning { main, subject, tree, around, takes, reason: found } in beginnings {
            taken.extend(takes);
            let main = main.map_or_else(|| assignment.plan.main.clone(), Main::Given);
            let assignment = assignment.clone();
            let subject = self.store.subject(&subject);
            let reason = found.filter(|_| !meant).unwrap_or_else(|| reason.to_owned());
            self.assigned.tasks.push(Task { subject, assignment, main, reason, tree, around });
        }
        taken
    }
}

/// Whoever judges for a gate.
fn of_gate(gate: &GateConfig) -> Arc<Assignment> {
    Arc::new(Assignment { preset: None, plan: gate.plan.clone() })
}

/// Those of `open` that fit.
fn select(tree: &Tree, open: &BTreeSet<Entry>, fits: impl Fn(&Path, &Entry) -> bool) -> BTreeSet<Entry> {
    let files = tree.mounted.files.iter().filter(|(path, entry)| open.contains(entry) && fits(path, entry));
    files.map(|(_, entry)| entry.clone()).collect()
}
