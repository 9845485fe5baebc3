//! Validators of files that are known by their names or contents.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{By, Checkers, is_program};
use crate::check::choice::is_off;
use crate::check::commands::{command_of, rules_assignment, shell_assignment};
use crate::check::manifest;
use crate::check::store::Entry;
use crate::check::trees::{FileTree, TreeKind};
use crate::check::{content, program, schemas, snippets};
use crate::config::Assignment;
use crate::flow::validate::{ProgramSchema, Validator};
use crate::sys::exec;

impl Checkers<'_> {
    pub(super) fn by_name(&mut self, tree: &FileTree, open: &mut BTreeSet<Entry>) {
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
            let is_known = |path: &Path| schemas::of_path(path).is_some();
            self.by_schema(tree, open, "known by its path", &is_known, &|path, _| schemas::of_path(path));
        }
        let may_be_known =
            |path: &Path| schemas::may_be_known(path, tree.kind) && !program::has_values_of_chart(path, tree);
        self.by_schema(tree, open, "known by its content", &may_be_known, &|_, text| schemas::of_content(text));
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
        let found = program::beginnings(preset, &assignment.plan.main, tree, open, self.store, program::Chosen::No);
        self.assigned
            .readers
            .lack(command, found.into_iter().flat_map(|beginning| beginning.takes().cloned().collect::<Vec<_>>()));
    }

    /// Assigns those files that a bundled schema describes: `choose` returns it for a path that fits, and its text.
    pub(super) fn by_schema(
        &mut self,
        tree: &FileTree,
        open: &mut BTreeSet<Entry>,
        reason: &str,
        fits: &dyn Fn(&Path) -> bool,
        choose: &dyn Fn(&Path, &str) -> Option<&'static ProgramSchema>,
    ) {
        let files = tree.mounted.files.iter().filter(|(path, entry)| open.contains(entry) && fits(path));
        let chosen = files.filter_map(|(path, entry)| {
            let text = String::from_utf8(self.store.content(entry).ok()?.bytes).ok()?;
            Some((path.clone(), entry.clone(), choose(path, &text)?))
        });
        for (path, entry, schema) in chosen.collect::<Vec<_>>() {
            let assignment = schemas::assignment(self.assignments, schema);
            let Some((assignment, beginning)) = assignment.zip(program::alone(&path, &entry)) else { continue };
            // One entry may be at several paths.
            if open.remove(&entry) {
                self.add(tree, &assignment, &reason.into(), beginning, By::Content);
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
    pub(super) fn by_content(&mut self, tree: &FileTree, open: &mut BTreeSet<Entry>) {
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
            self.add(tree, &assignment, &reason.into(), beginning, By::Content);
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
            self.add(tree, &assignment, &"known by its content".into(), beginning, By::Content);
        }
    }

    /// Assigns the rules of PrometheusRule objects.
    pub(super) fn rules(&mut self) {
        for index in 0..self.store.listing.rules.len() {
            let entry = Entry::Rules(index);
            let Some(assignment) = rules_assignment(self.assignments).filter(|_| self.assignments.given.is_none())
            else {
                return;
            };
            let Some(beginning) = program::alone(Path::new("rules.yaml"), &entry) else { continue };
            self.assigned.open.insert(entry);
            self.add(&FileTree::default(), &assignment, &"it is a PrometheusRule".into(), beginning, By::Content);
        }
    }

    /// Assigns the snippets in objects of nginx's Kubernetes controllers.
    pub(super) fn snippets(&mut self) {
        if self.assignments.given.is_some() {
            return;
        }
        for (index, (snippet, _)) in self.store.listing.snippets.iter().enumerate() {
            let is_excluded = snippet.validator.as_ref().is_some_and(|annotated| is_off(&annotated.value));
            if !is_excluded {
                self.snippet(&Entry::Snippet(index), snippet.context);
            }
        }
    }

    /// Assigns the snippets in the ConfigMap of a controller, which no pod mounts.
    pub(super) fn snippet_keys(&mut self, tree: &FileTree, open: &mut BTreeSet<Entry>) {
        if tree.kind != TreeKind::Object {
            return;
        }
        let store = self.store;
        let context = |entry: &Entry| store.key(entry).and_then(|key| manifest::context_of_key(key));
        let found: Vec<_> = open.iter().filter_map(|entry| Some((entry.clone(), context(entry)?))).collect();
        for (entry, context) in found {
            open.remove(&entry);
            self.snippet(&entry, context);
        }
    }

    fn snippet(&mut self, entry: &Entry, context: &str) {
        let assignment = snippets::assignment(self.assignments, context);
        let beginning = program::alone(Path::new("snippet.conf"), entry);
        if let Some((assignment, beginning)) = assignment.zip(beginning) {
            self.assigned.open.insert(entry.clone());
            self.add(&FileTree::default(), &assignment, &snippets::reason(context).into(), beginning, By::Snippet);
        }
    }
}

/// Returns true if the program that validates is installed, or a package brings it. The files of other programs are those of an unknown
/// one, of which the syntax is checked: no package would let a pipeline pass.
pub(super) fn is_obtainable(assignment: &Assignment) -> bool {
    let is_missing = |validator: &Validator| match validator {
        Validator::Builtin(_) => false,
        Validator::Command(command) => {
            let program = command.command.first().map(String::as_str).unwrap_or_default();
            command.package.is_none() && command.otherwise.is_none() && !exec::is_installed(program.as_ref())
        }
    };
    !assignment.plan.validators.iter().any(is_missing)
}
