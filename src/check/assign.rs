//! Assignment of validators to trees of files: by settings, rules and annotations, or by the names of the files.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reload_gate_contract::{Code, Finding, Place};

use super::commands::{command_of, rules_assignment, shell_assignment};
use super::container::ContainerContext;
use super::program::{self, Beginning, MainOfImage};
use super::readers::Readers;
use super::store::{Entry, Store};
use super::trees::{FileTree, FileTrees, TreeKind};
use super::{content, schemas, snippets, withheld};
use crate::check::manifest::{self, Annotated, Mounted};
use crate::check::render::CheckSubject;
use crate::config::{
    Assignment, Assignments, ConfigError, GateConfig, OBJECT_SETTINGS, Preset, SettingOrigin, presets,
};
use crate::flow::validate::{CommandValidator, Main, PlanScope, ProgramSchema, Validator};
use crate::sys::exec;

const UNKNOWN_VALIDATOR: Code = Code::new("unknown-validator");

/// Value of the annotation that turns validation off.
const NONE: &str = "none";

const COMMAND_LINE: &str = "named on the command line";

/// Returns the message of an error, with the setting of the object that is wrong; none is if the name itself is.
fn with_setting(error: &ConfigError) -> String {
    let is_of_object = |name: &&str| OBJECT_SETTINGS.iter().any(|setting| setting.name == *name);
    match &error.origin {
        SettingOrigin::Flag(name) if is_of_object(name) => format!("{}{}", error.origin, error.message),
        _ => error.message.clone(),
    }
}

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
    pub(super) tree: Arc<Mounted<Entry>>,
    /// Main file in place of one that is not among the inputs.
    pub(super) around: Option<MainOfImage>,
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

/// All validations that are due.
#[derive(Default)]
pub(super) struct Assigned {
    pub(super) tasks: Vec<Task>,
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
    let mut checkers =
        Checkers { store, assignments, called, assigned, released, commanded, allow_commands, obtainable };
    for tree in &trees.trees {
        let found = checkers.on_command_line(tree, &tree.wanted);
        checkers.commanded.extend(found.into_iter().flat_map(|beginning| beginning.takes));
    }
    for (tree, gate) in trees.gated {
        let (assignment, reason, by) = match &assignments.given {
            Some(given) => (given.clone(), COMMAND_LINE.to_owned(), By::Word),
            None => (of_sidecar(&gate, assignments), format!("the settings of {}", tree.owner), By::Sidecar),
        };
        checkers.give(&tree, &assignment, &reason, &tree.wanted, by);
        checkers.assigned.open.extend(tree.wanted);
    }
    for tree in &trees.trees {
        checkers.tree(tree);
    }
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
    /// Annotation of the inputs.
    Annotation,
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

impl Checkers<'_> {
    fn tree(&mut self, tree: &FileTree) {
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
            self.by_command_line(tree, &mut open);
            // A container that only watches or reloads lacks the environment of the program.
            open.retain(|entry| !self.commanded.contains(entry));
            self.snippet_keys(tree, &mut open);
            self.by_name(tree, &mut open);
            self.by_content(tree, &mut open);
        }
        self.assigned.open.extend(tree.wanted.difference(&self.released).cloned());
    }

    /// Reports that the main file which an object names is none of its keys. Returns false if there is one, or none is named.
    fn lacks_main(&mut self, tree: &FileTree) -> bool {
        let Some(main) = self.assignments.main().filter(|_| tree.kind == TreeKind::Object) else { return false };
        let Some(entry) = tree.wanted.first().filter(|_| !tree.mounted.files.keys().any(|path| path.ends_with(main)))
        else {
            return false;
        };
        self.assigned.errors.push((self.store.subject(entry), Main::missing(main)));
        true
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
                Entry::Input(_) | Entry::Rules(_) | Entry::Snippet(_) => false,
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
    fn by_command_line(&mut self, tree: &FileTree, open: &mut BTreeSet<Entry>) {
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
    fn on_command_line(&mut self, tree: &FileTree, open: &BTreeSet<Entry>) -> Vec<Beginning> {
        let Some(config) = &tree.container.config else { return Vec::new() };
        let Ok(assignment) = self.called(config.program) else { return Vec::new() };
        let found = assignment.preset.as_ref().map(|preset| program::on_command_line(preset, tree, config, open));
        found.unwrap_or_default()
    }

    fn by_name(&mut self, tree: &FileTree, open: &mut BTreeSet<Entry>) {
        let assignments = self.assignments;
        for (index, assignment) in assignments.of_presets().iter().enumerate() {
            // Without an entry there is nothing to give.
            if open.is_empty() {
                continue;
            }
            let all = || assignments.of_presets().iter().map(|assignment| is_obtainable(assignment)).collect();
            if !(self.obtainable.get_or_init(all)[index] || is_program(assignment)) {
                self.lack(tree, assignment, open);
                continue;
            }
            let taken = self.give(tree, assignment, "known by its name", open, By::Name);
            open.retain(|entry| !taken.contains(entry));
        }
        self.rule_files(tree, open);
        self.skip_json_with_comments(tree, open);
        if tree.kind == TreeKind::Container {
            let known = select(tree, open, |path, _| schemas::of_path(path).is_some());
            self.by_schema(tree, open, (&known, "known by its path"), &|path, _| schemas::of_path(path));
        }
        let may_be_known = select(tree, open, |path, _| {
            schemas::may_be_known(path, tree.kind) && !program::has_values_of_chart(path, tree)
        });
        self.by_schema(tree, open, (&may_be_known, "known by its content"), &|_, text| schemas::of_content(text));
        for (name, entries) in program::known_by_ending(tree, open) {
            if let Ok(assignment) = self.called(name) {
                for (reason, entries) in self.by_reader(tree, name, entries) {
                    self.take(tree, &assignment, &reason, (&entries, By::Word), open);
                }
            }
        }
    }

    /// Returns the files of a format by the reason for its validator.
    fn by_reader(&self, tree: &FileTree, format: &str, files: BTreeSet<Entry>) -> BTreeMap<String, BTreeSet<Entry>> {
        let mut reasons: BTreeMap<String, BTreeSet<Entry>> = BTreeMap::new();
        for entry in files {
            let reason = match format {
                "tls" => "known by its name".to_owned(),
                _ => self.assigned.readers.reader(&entry, tree.kind).of_format("name"),
            };
            reasons.entry(reason).or_default().insert(entry);
        }
        reasons
    }

    /// Notes the files of a program that is not installed.
    fn lack(&mut self, tree: &FileTree, assignment: &Assignment, open: &BTreeSet<Entry>) {
        let command = assignment.plan.validators.iter().find_map(command_of).and_then(|one| one.command.first());
        let Some((preset, command)) = assignment.preset.as_ref().zip(command) else { return };
        let found = program::beginnings(preset, &assignment.plan.main, tree, open, self.store, false);
        self.assigned.readers.lack(command, found.into_iter().flat_map(|beginning| beginning.takes));
    }

    /// Assigns those of `entries` that a bundled schema describes: `choose` returns it for a path and a text.
    fn by_schema(
        &mut self,
        tree: &FileTree,
        open: &mut BTreeSet<Entry>,
        (entries, reason): (&BTreeSet<Entry>, &str),
        choose: &dyn Fn(&Path, &str) -> Option<&'static ProgramSchema>,
    ) {
        let files = tree.mounted.files.iter().filter(|(_, entry)| entries.contains(entry));
        let chosen = files.filter_map(|(path, entry)| {
            let text = String::from_utf8(self.store.content(entry).ok()?.bytes).ok()?;
            Some((path.clone(), entry.clone(), choose(path, &text)?))
        });
        for (path, entry, schema) in chosen.collect::<Vec<_>>() {
            let assignment = schemas::assignment(self.assignments, schema);
            let Some((assignment, beginning)) = assignment.zip(program::alone(&path, &entry)) else { continue };
            // One entry may be at several paths.
            if open.remove(&entry) {
                self.add(tree, &assignment, reason, beginning, By::Content);
            }
        }
    }

    /// Notes files that are JSON with comments by their names: their programs accept more than JSON.
    fn skip_json_with_comments(&mut self, tree: &FileTree, open: &mut BTreeSet<Entry>) {
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let is_named = |path: &Path| name(path).is_some_and(|name| content::has_comments(&name));
        let found = tree.mounted.files.iter().filter(|(path, entry)| is_named(path) && open.contains(entry));
        let found: BTreeSet<Entry> = found.map(|(_, entry)| entry.clone()).collect();
        open.retain(|entry| !found.contains(entry));
        let why = "it is JSON with comments, which no validator reads";
        self.assigned.skipped.extend(found.into_iter().map(|entry| (entry, (why.to_owned(), None))));
    }

    /// Assigns files that have no known name, by their content. Files of a directory have one in general.
    fn by_content(&mut self, tree: &FileTree, open: &mut BTreeSet<Entry>) {
        if tree.kind == TreeKind::Directory {
            return;
        }
        let files = tree.mounted.files.iter().filter(|(_, entry)| open.contains(entry));
        let known: Vec<_> = files
            .filter_map(|(path, entry)| {
                let text = String::from_utf8(self.store.content(entry).ok()?.bytes).ok()?;
                let end = path.extension().map(|end| end.to_string_lossy().into_owned());
                let format = content::format_of(end.as_deref(), &text)?;
                Some((format, path.clone(), entry.clone(), content::is_for_dash(&text)))
            })
            .collect();
        for (format, path, entry, is_for_dash) in known {
            // `tls.crt` alone may be that of an authority, and has a key in a Secret of type `kubernetes.io/tls` only.
            let path = if format == "tls" { path.with_file_name("certificates.pem") } else { path };
            let assignment = match format {
                "shell" => shell_assignment(self.assignments, is_for_dash),
                name => self.called(name).ok(),
            };
            let (Some(assignment), Some(beginning)) = (assignment, program::alone(&path, &entry)) else { continue };
            open.remove(&entry);
            let reason = match format {
                "json" | "yaml" => self.assigned.readers.reader(&entry, tree.kind).of_format("content"),
                _ => "known by its content".to_owned(),
            };
            self.add(tree, &assignment, &reason, beginning, By::Content);
        }
    }

    /// Assigns files of alerting and recording rules.
    fn rule_files(&mut self, tree: &FileTree, open: &mut BTreeSet<Entry>) {
        let is_named = |path: &Path| {
            path.extension().is_some_and(|end| ["rules", "yaml", "yml"].iter().any(|known| end == *known))
        };
        let is_candidate = |path: &Path| is_named(path) && !program::has_values_of_chart(path, tree);
        let files = tree.mounted.files.iter().filter(|(path, entry)| is_candidate(path) && open.contains(entry));
        let is_rules = |entry: &Entry| {
            let content = self.store.content(entry).ok();
            content.is_some_and(|content| std::str::from_utf8(&content.bytes).is_ok_and(content::is_rule_file))
        };
        let found: Vec<_> =
            files.filter(|(_, entry)| is_rules(entry)).map(|(path, entry)| (path.clone(), entry.clone())).collect();
        for (path, entry) in found {
            let Some(assignment) = rules_assignment(self.assignments) else { return };
            let Some(beginning) = program::alone(&path, &entry) else { continue };
            open.remove(&entry);
            self.add(tree, &assignment, "known by its content", beginning, By::Content);
        }
    }

    /// Assigns the rules of PrometheusRule objects.
    fn rules(&mut self) {
        for index in 0..self.store.listing.rules.len() {
            let entry = Entry::Rules(index);
            let Some(assignment) = rules_assignment(self.assignments).filter(|_| self.assignments.given.is_none())
            else {
                return;
            };
            let Some(beginning) = program::alone(Path::new("rules.yaml"), &entry) else { continue };
            self.assigned.open.insert(entry);
            self.add(&FileTree::default(), &assignment, "it is a PrometheusRule", beginning, By::Content);
        }
    }

    /// Assigns the snippets in objects of nginx's Kubernetes controllers.
    fn snippets(&mut self) {
        if self.assignments.given.is_some() {
            return;
        }
        for (index, (snippet, _)) in self.store.listing.snippets.iter().enumerate() {
            let is_excluded = snippet.validator.as_ref().is_some_and(|annotated| annotated.value == NONE);
            if !is_excluded {
                self.snippet(&Entry::Snippet(index), snippet.context);
            }
        }
    }

    /// Assigns the snippets in the ConfigMap of a controller, which no pod mounts.
    fn snippet_keys(&mut self, tree: &FileTree, open: &mut BTreeSet<Entry>) {
        if tree.kind != TreeKind::Object {
            return;
        }
        for entry in open.clone() {
            let Entry::Key { key, .. } = &entry else { continue };
            if let Some(context) = manifest::context_of_key(key) {
                open.remove(&entry);
                self.snippet(&entry, context);
            }
        }
    }

    fn snippet(&mut self, entry: &Entry, context: &str) {
        let assignment = snippets::assignment(self.assignments, context);
        let beginning = program::alone(Path::new("snippet.conf"), entry);
        if let Some((assignment, beginning)) = assignment.zip(beginning) {
            self.assigned.open.insert(entry.clone());
            self.add(&FileTree::default(), &assignment, &snippets::reason(context), beginning, By::Snippet);
        }
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
        let chosen = by != By::Name;
        let beginnings = match (&assignment.preset, assignment.plan.scope()) {
            (_, PlanScope::Snippets) => program::snippets(&assignment.plan.main, tree, entries),
            (Some(preset), _) => program::beginnings(preset, &assignment.plan.main, tree, entries, self.store, chosen),
            (None, PlanScope::Program(app)) => {
                let preset = presets().iter().find(|preset| preset.name == app);
                let begin =
                    |preset| program::beginnings(preset, &assignment.plan.main, tree, entries, self.store, chosen);
                preset.map(begin).unwrap_or_default()
            }
            // A gate selects by itself among the files that it watches.
            (None, _) if matches!(by, By::Gate | By::Sidecar) => program::together(&tree.mounted, entries),
            (None, PlanScope::Each(name)) => program::each(name, &assignment.plan.main, tree, entries),
            (None, PlanScope::Main) => program::beside(tree, entries),
            (None, PlanScope::Together) => program::together(&tree.mounted, entries),
            (None, PlanScope::These) => program::these(tree, entries),
        };
        for beginning in beginnings {
            taken.extend(beginning.takes.iter().cloned());
            self.add(tree, assignment, reason, beginning, by);
        }
        taken
    }

    /// Adds one validation.
    fn add(&mut self, tree: &FileTree, assignment: &Arc<Assignment>, reason: &str, beginning: Beginning, by: By) {
        if let Some(preset) = assignment.preset.as_ref().filter(|_| is_program(assignment) && !self.allow_commands)
            && matches!(by, By::Name | By::Annotation)
        {
            let why = withheld::is_program(preset.name);
            let help = Some(withheld::ALLOW.to_owned());
            self.assigned.skipped.extend(beginning.takes.into_iter().map(|entry| (entry, (why.clone(), help.clone()))));
            return;
        }
        let Beginning { main, subject, tree: mounted, around, operands, reason: found, .. } = beginning;
        let (is_optional, is_of_controller) = (by == By::Content, by == By::Snippet);
        let is_of_inputs = by == By::Sidecar && self.runs_inputs(assignment);
        let must_not_run = is_of_inputs && !self.allow_commands;
        let program = self.program_of(assignment).or_else(|| is_optional.then_some("prometheus"));
        let main = main.map_or_else(|| assignment.plan.main.clone(), Main::Given);
        let (assignment, container) = (assignment.clone(), tree.container.clone());
        let subject = self.store.subject(&subject);
        let reason = found.filter(|_| by == By::Name).unwrap_or_else(|| reason.to_owned());
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
        self.assigned.tasks.push(task);
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

/// Returns true if the preset of an assignment executes its configuration.
fn is_program(assignment: &Assignment) -> bool {
    assignment.preset.as_ref().is_some_and(Preset::is_code)
}

/// Returns true if the program that validates is installed, or a package brings it. The files of other programs are those of an unknown
/// one, of which the syntax is checked: no package would let a pipeline pass.
fn is_obtainable(assignment: &Assignment) -> bool {
    let is_missing = |validator: &Validator| match validator {
        Validator::Builtin(_) => false,
        Validator::Command(command) => {
            let program = command.command.first().map(String::as_str).unwrap_or_default();
            command.package.is_none() && command.otherwise.is_none() && !exec::is_installed(program.as_ref())
        }
    };
    !assignment.plan.validators.iter().any(is_missing)
}

/// Validator of a gate.
fn of_gate(gate: &GateConfig) -> Arc<Assignment> {
    Arc::new(Assignment { preset: None, plan: gate.plan.clone() })
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
