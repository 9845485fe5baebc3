//! Assignment of validators to trees of files: those that the user or an object has [`chosen`], then those that are [`known`] by names and contents.

mod chosen;
mod known;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reload_gate_contract::Finding;

use super::commands::command_of;
use super::container::ContainerContext;
use super::program::{self, Beginning, MainOfImage};
use super::readers::Readers;
use super::store::{Entry, Store};
use super::trees::{ANYWHERE, FileTree, FileTrees, TreeKind};
use super::{schemas, withheld};
use crate::check::manifest::Mounted;
use crate::check::render::CheckSubject;
use crate::config::{Assignment, Assignments, ConfigError, GateConfig, Preset, presets};
use crate::flow::validate::{CommandValidator, Main, PlanScope};

const COMMAND_LINE: &str = "named on the command line";

/// One validation.
#[derive(Clone)]
pub(super) struct Task {
    /// Part of the inputs that the validation is about.
    pub(super) subject: CheckSubject,
    /// Validator with its profile.
    pub(super) assignment: Arc<Assignment>,
    /// File to begin with.
    pub(super) main: Main,
    /// Reason for the choice of the validator.
    pub(super) reason: Arc<str>,
    /// Files as the program would see them.
    pub(super) tree: Arc<Mounted<Entry>>,
    /// Main file in place of one that is not among the inputs.
    pub(super) around: Option<Box<MainOfImage>>,
    /// Container that the files are for.
    pub(super) container: Arc<ContainerContext>,
    /// Files and directories of the command line, where there are several.
    pub(super) operands: Vec<PathBuf>,
    /// True if a missing program is no obstacle: the inputs do not name it.
    pub(super) is_optional: bool,
    /// Choice of the validators.
    pub(super) by: By,
    /// True if the inputs name its command, or hold a program as a configuration.
    pub(super) is_of_inputs: bool,
    /// True if it may not run for that.
    pub(super) must_not_run: bool,
    /// True for a snippet of a Kubernetes controller, the nginx of which is unknown.
    pub(super) is_of_controller: bool,
    /// Preset whose program validates, if it was not the user who named the command.
    pub(super) program: Option<&'static str>,
}

/// Validation that is due, in little memory.
pub(super) enum DueTask {
    Whole(Box<Task>),
    /// Of one file alone. There may be tens of thousands in a row, so all but the file is only in the `first` of them.
    Alone {
        entry: Entry,
        /// Its path, unless that is the one of its key.
        path: Option<Box<Path>>,
        first: Arc<Task>,
    },
}

impl DueTask {
    /// Returns the entries that are its files.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        let (files, alone) = match self {
            Self::Whole(task) => (Some(task.tree.files.values()), None),
            Self::Alone { entry, .. } => (None, Some(entry)),
        };
        files.into_iter().flatten().chain(alone)
    }

    /// Returns the whole task.
    pub(super) fn task(&self, store: &Store<'_>) -> Cow<'_, Task> {
        match self {
            Self::Whole(task) => Cow::Borrowed(task),
            Self::Alone { entry, path, first } => {
                let path = path.as_ref().map(|path| path.to_path_buf());
                let main = path.or_else(|| path_of_key(entry, store)).unwrap_or_default();
                let (subject, tree) = (store.subject(entry), program::tree_of(&main, entry));
                Cow::Owned(Task { subject, main: Main::Given(main), tree, ..Task::clone(first) })
            }
        }
    }

    /// Returns the whole task when its turn comes.
    pub(super) fn into_task(self, store: &Store<'_>) -> Task {
        match self {
            Self::Whole(task) => *task,
            Self::Alone { .. } => self.task(store).into_owned(),
        }
    }
}

/// Returns the path of a key of an object in a directory of its own.
fn path_of_key(entry: &Entry, store: &Store<'_>) -> Option<PathBuf> {
    store.key(entry).map(|key| Path::new(ANYWHERE).join(&**key))
}

/// All validations that are due.
#[derive(Default)]
pub(super) struct Assigned {
    pub(super) tasks: Vec<DueTask>,
    /// Errors in the settings and annotations that choose validators.
    pub(super) errors: Vec<(CheckSubject, Finding)>,
    /// Entries that should be validated.
    pub(super) open: BTreeSet<Entry>,
    /// Entries that are not validated, with the reason.
    pub(super) skipped: BTreeMap<Entry, (String, Option<String>)>,
    /// Programs that read them.
    pub(super) readers: Readers,
}

/// Assigns validators to the trees.
pub(super) fn assign(trees: FileTrees, store: &Store<'_>, assignments: &Assignments, allow_commands: bool) -> Assigned {
    let readers = Readers::of(&trees.trees);
    let assigned = Assigned { errors: trees.errors, open: trees.idle, readers, ..Assigned::default() };
    let (called, released, commanded) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    let obtainable = OnceCell::new();
    let own: Vec<_> = trees.trees.iter().map(|tree| own_assignments(tree, store, assignments)).collect();
    let mut checkers =
        Checkers { store, assignments, called, assigned, released, commanded, allow_commands, obtainable };
    for tree in &trees.trees {
        let found = checkers.on_command_line(tree, &tree.wanted);
        checkers
            .commanded
            .extend(found.into_iter().flat_map(|beginning| beginning.takes().cloned().collect::<Vec<_>>()));
    }
    for (tree, gate) in trees.gated {
        let (assignment, reason, by) = match &assignments.given {
            Some(given) => (given.clone(), COMMAND_LINE.to_owned(), By::Word),
            None => (of_sidecar(&gate, assignments), format!("the settings of {}", tree.owner), By::Sidecar),
        };
        checkers.give(&tree, &assignment, &reason, &tree.wanted, by);
        checkers.assigned.open.extend(tree.wanted);
    }
    for (tree, own) in trees.trees.into_iter().zip(&own) {
        checkers.use_assignments(own.as_ref().unwrap_or(assignments));
        checkers.tree(tree);
    }
    checkers.use_assignments(assignments);
    checkers.rules();
    checkers.snippets();
    checkers.assigned
}

/// Origin of an assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// Names of files, or the directory they are in.
    Name,
    /// Explicit choice for these files.
    Word,
    /// Annotation of a pod, for all that its containers mount.
    Annotation,
    /// Label or annotation of the object that has these files.
    Object,
    /// Content of the files.
    Content,
    /// Kind of an object with snippets.
    Snippet,
    /// Gate, which selects by itself among the files that it watches.
    Gate,
    /// Gate of a sidecar, with its settings in the inputs.
    Sidecar,
}

struct Checkers<'a> {
    store: &'a Store<'a>,
    assignments: &'a Assignments,
    /// Validators that were looked up by name.
    called: BTreeMap<String, Result<Arc<Assignment>, ConfigError>>,
    assigned: Assigned,
    /// Entries that an annotation excludes, or for which it names no known validator.
    released: BTreeSet<Entry>,
    /// Entries that the command line of a container names, whose program reads them.
    commanded: BTreeSet<Entry>,
    allow_commands: bool,
    /// Presets whose program is obtainable, and the others, in the order of `of_presets`. The file system is asked once, and not for each tree.
    obtainable: OnceCell<Vec<bool>>,
}

/// Returns the assignments with the settings of an object that no container mounts, if it has some.
fn own_assignments(tree: &FileTree, store: &Store<'_>, assignments: &Assignments) -> Option<Assignments> {
    let first = tree.wanted.first().filter(|_| tree.kind == TreeKind::Object && assignments.given.is_none())?;
    let settings = store.settings(first);
    (!settings.is_empty()).then(|| assignments.with_settings(&settings))
}

impl<'a> Checkers<'a> {
    /// Continues with other assignments, and forgets what was looked up in the last ones.
    fn use_assignments(&mut self, assignments: &'a Assignments) {
        if !std::ptr::eq(self.assignments, assignments) {
            (self.assignments, self.called, self.obtainable) = (assignments, BTreeMap::new(), OnceCell::new());
        }
    }
}

impl Checkers<'_> {
    fn tree(&mut self, mut whole: FileTree) {
        let tree = &whole;
        if self.lacks_main(tree) {
            return;
        }
        let mut open = tree.wanted.clone();
        if let Some(given) = &self.assignments.given {
            let given = given.clone();
            self.give(tree, &given, COMMAND_LINE, &open, By::Word);
        } else {
            self.by_gates(tree, &mut open);
            self.by_rules(tree, &mut open);
            self.by_annotation(tree, &mut open);
            self.unfit_settings(tree, &mut open);
            self.by_command_line(tree, &mut open);
            // A container that only watches or reloads lacks the environment of the program.
            open.retain(|entry| !self.commanded.contains(entry));
            self.snippet_keys(tree, &mut open);
            self.by_name(tree, &mut open);
            self.by_content(tree, &mut open);
        }
        whole.wanted.retain(|entry| !self.released.contains(entry));
        self.assigned.open.append(&mut whole.wanted);
    }

    /// Reports that the main file which an object names is none of its keys. Returns false if there is one, or none is named.
    fn lacks_main(&mut self, tree: &FileTree) -> bool {
        let Some(main) = self.assignments.main().filter(|_| tree.kind == TreeKind::Object) else { return false };
        let Some(entry) = tree.wanted.first().filter(|_| !tree.mounted.files.keys().any(|path| path.ends_with(main)))
        else {
            return false;
        };
        let finding = self.store.with_place_of_setting(entry, "main", Main::missing(main));
        self.assigned.errors.push((self.store.subject(entry), finding));
        true
    }

    fn called(&mut self, name: &str) -> Result<Arc<Assignment>, ConfigError> {
        let assignments = self.assignments;
        let find = || {
            let schema = || schemas::assignment(assignments, schemas::named(name)?);
            assignments.assignment_named(name).or_else(|error| schema().ok_or(error))
        };
        self.called.entry(name.to_owned()).or_insert_with(find).clone()
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
        let beginnings = beginnings((tree, entries), assignment, self.store, by);
        self.assigned.tasks.reserve(beginnings.size_hint().1.unwrap_or_default());
        let reason = Arc::from(reason);
        let mut first = None;
        for beginning in beginnings {
            taken.extend(beginning.takes().cloned());
            self.add_to((tree, beginning), assignment, &reason, by, &mut first);
        }
        taken
    }

    /// Adds one validation.
    fn add(&mut self, tree: &FileTree, assignment: &Arc<Assignment>, reason: &Arc<str>, beginning: Beginning, by: By) {
        self.add_to((tree, beginning), assignment, reason, by, &mut None);
    }

    /// Adds one of several validations. `first` is the first of those before it that are of one file alone.
    fn add_to(
        &mut self,
        (tree, beginning): (&FileTree, Beginning),
        assignment: &Arc<Assignment>,
        reason: &Arc<str>,
        by: By,
        first: &mut Option<Arc<Task>>,
    ) {
        if let Some(preset) = assignment.preset.as_ref().filter(|_| is_program(assignment) && !self.allow_commands)
            && matches!(by, By::Name | By::Annotation | By::Object)
        {
            let why = withheld::is_program(preset.name);
            let help = Some(withheld::ALLOW.to_owned());
            let takes = beginning.takes().cloned();
            self.assigned.skipped.extend(takes.map(|entry| (entry, (why.clone(), help.clone()))));
            return;
        }
        let is_alone = beginning.tree.is_none();
        let path = beginning.main.as_ref().filter(|_| is_alone);
        let path = path.filter(|path| path_of_key(&beginning.subject, self.store).as_ref() != Some(path));
        let path: Option<Box<Path>> = path.map(|path| path.as_path().into());
        if let (true, Some(first)) = (is_alone, &*first) {
            let (entry, first) = (beginning.subject, first.clone());
            return self.assigned.tasks.push(DueTask::Alone { entry, path, first });
        }
        let Beginning { main, subject: entry, tree: mounted, around, operands, reason: found, .. } = beginning;
        let (is_optional, is_of_controller) = (by == By::Content, by == By::Snippet);
        let is_of_inputs = by == By::Sidecar && self.runs_inputs(assignment);
        let must_not_run = is_of_inputs && !self.allow_commands;
        let program = self.program_of(assignment).or_else(|| is_optional.then_some("prometheus"));
        let main = main.map_or_else(|| assignment.plan.main.clone(), Main::Given);
        let (assignment, container) = (assignment.clone(), tree.container.clone());
        let mounted = mounted.unwrap_or_default();
        let subject = self.store.subject(&entry);
        let reason = found.filter(|_| by == By::Name).map_or_else(|| reason.clone(), Into::into);
        let task = Task {
            subject,
            assignment,
            main,
            reason,
            tree: mounted,
            around,
            container,
            operands,
            is_optional,
            by,
            is_of_inputs,
            must_not_run,
            is_of_controller,
            program,
        };
        self.assigned.tasks.push(match is_alone {
            true => DueTask::Alone { entry, path, first: first.insert(Arc::new(task)).clone() },
            false => DueTask::Whole(Box::new(task)),
        });
    }

    /// Returns the preset whose program an assignment runs.
    fn program_of(&self, assignment: &Assignment) -> Option<&'static str> {
        let command = assignment.plan.validators.iter().find_map(command_of)?;
        let runs = |named: &&Arc<Assignment>| {
            let mut commands = named.plan.validators.iter().filter_map(command_of);
            commands.any(|known| known.command == command.command)
        };
        Some(self.assignments.of_presets().iter().find(runs)?.preset.as_ref()?.name)
    }

    /// Returns true if the inputs name a command of the validation, or hold one as a configuration that is a program.
    fn runs_inputs(&self, assignment: &Assignment) -> bool {
        let is_of_preset = |command: &CommandValidator| {
            let plans = self.assignments.of_presets().iter().filter(|named| !is_program(named));
            let commands = plans.flat_map(|named| &named.plan.validators).filter_map(command_of);
            commands.into_iter().any(|known| known.command == command.command && known.running == command.running)
        };
        assignment.plan.validators.iter().filter_map(command_of).any(|command| !is_of_preset(command))
    }
}

/// Returns the validations of `entries` by a validator.
fn beginnings<'t>(
    (tree, entries): (&'t FileTree, &'t BTreeSet<Entry>),
    assignment: &'t Assignment,
    store: &Store<'_>,
    by: By,
) -> Box<dyn Iterator<Item = Beginning> + 't> {
    let main = &assignment.plan.main;
    let chosen = match by {
        By::Name => program::Chosen::No,
        By::Object => program::Chosen::These,
        _ => program::Chosen::All,
    };
    let of_preset = |preset| program::beginnings(preset, main, tree, entries, store, chosen);
    let all = match (&assignment.preset, assignment.plan.scope()) {
        (_, PlanScope::Snippets) => program::snippets(main, tree, entries),
        (Some(preset), _) => of_preset(preset),
        (None, PlanScope::Program(app)) => {
            presets().iter().find(|preset| preset.name == app).map(of_preset).unwrap_or_default()
        }
        // A gate selects by itself among the files that it watches.
        (None, _) if matches!(by, By::Gate | By::Sidecar) => program::together(&tree.mounted, entries),
        // An object may have tens of thousands of keys: of its files only the tasks are kept.
        (None, PlanScope::Each(name)) => return Box::new(program::each(name, main, tree, entries)),
        (None, PlanScope::Main) => program::beside(tree, entries),
        (None, PlanScope::Together) => program::together(&tree.mounted, entries),
        (None, PlanScope::These) => program::these(tree, entries),
    };
    Box::new(all.into_iter())
}

/// Returns true if the preset of an assignment executes its configuration.
fn is_program(assignment: &Assignment) -> bool {
    assignment.preset.as_ref().is_some_and(Preset::is_code)
}

/// Validator of a gate of the inputs, which cannot set a longer time limit than the user of `check`.
fn of_sidecar(gate: &GateConfig, assignments: &Assignments) -> Arc<Assignment> {
    let mut plan = gate.plan.clone();
    plan.timeout = assignments.timeout().map_or(plan.timeout, |longest| plan.timeout.min(longest));
    Arc::new(Assignment { preset: None, plan })
}

/// Entries of `open` that fit.
fn select(tree: &FileTree, open: &BTreeSet<Entry>, fits: impl Fn(&Path, &Entry) -> bool) -> BTreeSet<Entry> {
    let files = tree.mounted.files.iter().filter(|(path, entry)| open.contains(entry) && fits(path, entry));
    files.map(|(_, entry)| entry.clone()).collect()
}
