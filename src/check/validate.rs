//! One validation: reads the files, runs the validators, and maps findings back to their places in the inputs. IO: reads inputs, writes
//! files for programs into a temporary directory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reload_gate_contract::{Cause, Code, Finding, Place, Verdict};

use super::CheckOptions;
use super::assign::{By, Task};
use super::encoding;
use super::envsubst::NotRendered;
use super::findings::{self, Reading, beside, is_rejecting};
use super::ignores::{self, IgnoreComment, IgnoreEffect, IgnoreRule, SeenIgnore};
use super::layout::{HOSTS, empty_mounts, hosts, lay_out, path_map};
use super::mounts::RefusedMounts;
use super::names::{self, VersionCache, Weighing};
use super::placeholder::{self, Dialect};
use super::reach;
use super::redaction::{Contents, is_public};
use super::store::{Entry, EntryContent, Store};
use super::trees::TOO_LARGE;
use super::variables;
use super::weigh::{weigh_by_name, weigh_nginx};
use super::withheld;
use crate::check::manifest::Room;
use crate::check::render::{Checked, Located, Suppressed, Suppression, is_explanation};
use crate::flow::placeholders;
use crate::flow::process::{Selector, TargetSearches};
use crate::flow::tree::Tree;
use crate::flow::validate::{
    Builtin, Main, PathMap, PlanScope, RootChoice, VIEW_NOT_POSSIBLE, Validation, ValidationPlan, Validator,
};

pub(super) const NOT_LAID_OUT: Code = Code::new("not-laid-out");
const CHECKER_MISSING: Code = Code::new("checker-missing");
const CHECKER_OBSTACLE: Code = Code::new("checker-obstacle");

/// Most bytes of the further mounts of files that a container mounts more than once, and of its rendered templates.
const COPIES: usize = 32 << 20;

/// Longest time limit that the inputs can set.
const LONGEST_OF_INPUTS: Duration = Duration::from_secs(60);

/// Result of a task.
#[derive(Clone)]
pub(super) struct Outcome {
    /// Validation; `None` if there was none.
    pub(super) checked: Option<Checked>,
    /// Reason and remedy, if there was none.
    pub(super) skipped: Option<(String, Option<String>)>,
    /// Entries that were read.
    pub(super) read: Box<[Entry]>,
    /// Comments and annotations that ignore findings.
    pub(super) ignores: Vec<SeenIgnore>,
}

impl Outcome {
    /// Returns the result of a task without a validation.
    pub(super) const fn skipped(why: String, read: Box<[Entry]>) -> Self {
        Self { checked: None, skipped: Some((why, None)), read, ignores: Vec::new() }
    }
}

/// Findings that count, those that do not, and the comments and annotations.
type IgnoredFindings = (Vec<Finding>, Vec<(Finding, Suppression)>, Vec<SeenIgnore>);

/// Reason why the files of a task are not read.
enum NotRead {
    /// The value of a variable is unknown, in words.
    Unknown(String),
    /// There are more bytes than [`COPIES`].
    TooLarge,
}

/// Files of one validation.
struct TaskFiles<'s> {
    store: &'s Store<'s>,
    contents: BTreeMap<PathBuf, (Entry, EntryContent)>,
    /// Values of variables that come from Secrets.
    secrets: Vec<String>,
}

/// Returns the result of a task that could not begin.
pub(super) fn not_begun(task: Task, error: &std::io::Error) -> Outcome {
    let finding = Finding::environment(CHECKER_OBSTACLE, format!("the validation could not begin: {error}"))
        .help("permit more open files and threads (`ulimit -n`, `ulimit -u`)");
    let (read, validator) = (task.tree.files.values().cloned().collect(), first(&task.assignment.plan));
    let checked = Some(without_validation(finding, validator, task));
    Outcome { checked, skipped: None, read, ignores: Vec::new() }
}

/// Returns the result of a task with a finding about its input in place of a validation.
pub(super) fn without_validation(finding: Finding, validator: String, task: Task) -> Checked {
    let finding = finding.at(Place { line: task.subject.line, ..Place::file(&*task.subject.input) });
    let located = Located { finding, object: None, key: None, excerpt: None };
    Checked::new(task.subject, validator, task.reason, vec![located])
}

/// Runs a task.
pub(super) async fn validate(
    task: Task,
    store: &Store<'_>,
    options: &CheckOptions,
    versions: &VersionCache,
) -> Outcome {
    let started = Instant::now();
    let plan = options.plan(&task);
    let all: Box<[Entry]> = task.tree.files.values().cloned().collect();
    if task.must_not_run {
        let checked = Some(withheld::command(&plan, task));
        return Outcome { checked, skipped: None, read: all, ignores: Vec::new() };
    }
    let (mut files, broken) = match TaskFiles::read(&task, &plan, store) {
        Ok(read) => read,
        Err(reason) => return not_read(reason, &plan, task, all),
    };
    let (tree, hidden) = files.lend(&task);
    // Without the main file all other findings would follow from its absence.
    let lacks_main = matches!(&task.main, Main::Given(main) if !tree.contains_key(main));
    let plan = ValidationPlan { env: files.environment(&task, &tree), ..plan };
    let plan = match options.without_execution(&task, plan, &tree) {
        Ok(plan) => plan,
        Err(program) => return program.outcome(task, all, |file| files.is_secret(file)),
    };
    let is_unreadable = |located: &Located| located.finding.cause == Cause::Environment;
    let (validator, validation) = if broken.is_empty() || !lacks_main {
        run(&plan, &task, &tree, options).await
    } else if broken.iter().any(is_unreadable) {
        (first(&plan), Validation::default())
    } else {
        // The listing has reported the error of the value.
        return Outcome { checked: None, skipped: None, read: all, ignores: Vec::new() };
    };
    files.take_back(tree, hidden);
    if task.is_optional
        && let Some(missing) = validation.findings.iter().find(|finding| finding.code == CHECKER_MISSING)
    {
        return Outcome::skipped(missing.message.clone(), Box::default());
    }
    let mut read: Box<[Entry]> = validation.read.iter().filter_map(|path| task.tree.files.get(path).cloned()).collect();
    if validation.read.is_empty() {
        // The validation ended before the first file was read.
        read = all;
    }
    // What is not shown is not processed.
    let (found, omitted) = findings::cut(validation.findings);
    let found = files.with_encodings(found, &plan, &task);
    let found = files.weighed(found, &plan, &task, options, versions).await;
    let found = match files.without_placeholders(found, &plan, &task, options, versions).await {
        Ok(found) => found,
        Err(why) => return Outcome::skipped(why, read),
    };
    let (found, ignored, ignores) = files.ignored(&task, &read, found);
    let (ignored, reasons): (Vec<_>, Vec<_>) = ignored.into_iter().unzip();
    let ignored = files.redacted(ignored).into_iter().zip(reasons);
    let suppressed = ignored.map(|(finding, by)| Suppressed { located: files.locate(&task, finding), by }).collect();
    let (found, split) = findings::cut(found);
    let found = files.redacted(found);
    let unreadable: Vec<_> = broken.into_iter().filter(is_unreadable).collect();
    // The inputs do not name this validator, so what hinders it is no fault of theirs.
    if let Some(obstacle) = obstacle(&found).filter(|_| task.is_optional && unreadable.is_empty()) {
        let why = format!("`{validator}` cannot validate it: {}", obstacle.message);
        return Outcome { ignores, ..Outcome::skipped(why, read) };
    }
    let found = found.into_iter().map(|finding| files.locate(&task, finding));
    let findings = unreadable.into_iter().chain(found).collect();
    let (Task { subject, reason, .. }, omitted, duration) = (task, omitted + split, started.elapsed());
    let checked = Checked { suppressed, omitted, duration, ..Checked::new(subject, validator, reason, findings) };
    Outcome { checked: Some(checked), skipped: None, read, ignores }
}

/// Returns the result of a task of which the files are not read.
fn not_read(reason: NotRead, plan: &ValidationPlan, task: Task, read: Box<[Entry]>) -> Outcome {
    if let NotRead::Unknown(why) = reason {
        return Outcome::skipped(why, Box::default());
    }
    let message = format!("repeated mounts and rendered templates have more than {} MiB together", COPIES >> 20);
    let finding = Finding::environment(TOO_LARGE, message).help("mount each object once, or make them smaller");
    let checked = Some(without_validation(finding, first(plan), task));
    Outcome { checked, skipped: None, read, ignores: Vec::new() }
}

/// Returns the finding for which a validation has no verdict, if it has none.
fn obstacle(found: &[Finding]) -> Option<&Finding> {
    let is_obstacle = |finding: &&Finding| Verdict::of([*finding]) == Verdict::Inconclusive;
    found.iter().find(is_obstacle).filter(|_| Verdict::of(found) == Verdict::Inconclusive)
}

/// Runs the validators, and returns their names with the result.
async fn run(plan: &ValidationPlan, task: &Task, tree: &Arc<Tree>, options: &CheckOptions) -> (String, Validation) {
    let obstacle = |finding| (first(plan), Validation { findings: vec![finding], ..Validation::default() });
    let asks_programs = plan.asks_programs();
    let refused =
        if asks_programs && !options.alone { RefusedMounts::of(task, tree) } else { RefusedMounts::default() };
    if let Some(finding) = refused.obstacle(task, tree) {
        return obstacle(finding);
    }
    let tree = &refused.without(tree);
    let hosts = asks_programs.then(|| hosts(tree)).flatten();
    // It is shown to programs, and is no file of the configuration.
    let hosts = hosts.map(|hosts| (PathBuf::from(HOSTS), hosts.into_bytes()));
    let files = tree.iter().chain(hosts.as_ref().map(|(path, text)| (path, text)));
    let directory = match lay_out(asks_programs, files, &empty_mounts(task, tree)) {
        Ok(directory) => directory,
        Err(error) => {
            let help = "programs read them from a temporary directory: see that there is room in `$TMPDIR`";
            let message = format!("the files cannot be laid out: {error}");
            return obstacle(Finding::environment(NOT_LAID_OUT, message).help(help));
        }
    };
    let here = directory.as_ref().map_or(Path::new("/"), tempfile::TempDir::path);
    let path_map = path_map(task, hosts.is_some(), here, asks_programs);
    let path_map = PathMap(path_map.0.into_iter().filter(|mapping| !refused.holds(&mapping.prefix)).collect());
    if options.alone {
        let validation = plan.validate_alone(tree, &path_map);
        return (validation.validators.join(", "), validation);
    }
    let checked = match plan.validate(tree, &path_map, &TargetSearches::new(Selector::default())).await {
        // Files that name no path of their mount can be validated in the temporary directory.
        Ok(validation)
            if !is_shown(&validation)
                && !task.is_of_inputs
                && !names_its_place(task, tree)
                && options.may_run_in_place(task)
                && task.operands.is_empty() =>
        {
            let confinement = options.isolation(task, here).or_else(|| plan.confinement.clone());
            let plan = ValidationPlan { root: RootChoice::Local, confinement, ..plan.clone() };
            plan.validate(tree, &path_map, &TargetSearches::new(Selector::default())).await
        }
        checked => checked,
    };
    match checked {
        Ok(validation) => {
            let validation = refused.weigh(in_place(validation, here), tree);
            let validators = validation.validators.join(", ");
            (if validators.is_empty() { first(plan) } else { validators }, validation)
        }
        Err(target_error) => {
            let (message, help, _) = target_error.into_parts();
            obstacle(Finding::environment(NOT_LAID_OUT, message).help(help))
        }
    }
}

/// Returns the name of the first validator, where none came to run.
pub(super) fn first(plan: &ValidationPlan) -> String {
    plan.validators.first().map(Validator::title).unwrap_or_default()
}

/// Returns true if a program could see the files at the paths of their mounts.
fn is_shown(validation: &Validation) -> bool {
    validation.findings.iter().all(|finding| finding.code != VIEW_NOT_POSSIBLE)
}

/// Returns true if any file names a path of a mount.
fn names_its_place(task: &Task, tree: &Tree) -> bool {
    let places: Vec<String> = task.tree.points.iter().map(|point| point.path.to_string_lossy().into_owned()).collect();
    tree.values().any(|content| {
        let text = String::from_utf8_lossy(content);
        places.iter().any(|place| text.contains(place.as_str()))
    })
}

/// Replaces the paths of the temporary directory in a result by those of the mounts.
fn in_place(validation: Validation, here: &Path) -> Validation {
    let here = here.to_string_lossy();
    if here == "/" {
        return validation;
    }
    let there = |text: String| text.replace(&*here, "");
    let moved = |finding: Finding| Finding {
        message: there(finding.message),
        place: finding.place.map(|place| Place { file: there(place.file), ..place }),
        ..finding
    };
    Validation { findings: validation.findings.into_iter().map(moved).collect(), ..validation }
}

impl<'s> TaskFiles<'s> {
    /// Reads the files that the validators of a task may read, and returns the errors of others.
    fn read(task: &Task, plan: &ValidationPlan, store: &'s Store<'s>) -> Result<(Self, Vec<Located>), NotRead> {
        let (mut room, mut read) = (Room::of(COPIES), BTreeSet::new());
        let mut broken = Vec::new();
        let mut contents = BTreeMap::new();
        let mut unknown = None;
        for path in Self::needed(task, plan, store) {
            let entry = &task.tree.files[&path];
            let content = match store.content(entry) {
                Ok(content) => content,
                Err(finding) => {
                    broken.push(store.located(entry, *finding));
                    continue;
                }
            };
            if !read.insert(entry) && !room.take(content.bytes.len()) {
                return Err(NotRead::TooLarge);
            }
            let content = match task.tree.rendered.get(&path) {
                Some(rendering) => content.render(&|name| task.container.substitution(rendering, name), &mut room),
                None => Ok(content),
            };
            match content {
                Ok(content) => drop(contents.insert(path, (entry.clone(), content))),
                Err(NotRendered::Unknown(name)) => unknown = unknown.or(Some(name)),
                Err(NotRendered::TooLarge) => return Err(NotRead::TooLarge),
            }
        }
        if let Some(name) = unknown {
            let from = task.container.environment.unknown.get(&name);
            let from = from.map_or_else(|| "outside of the inputs".to_owned(), |from| format!("from {from}"));
            return Err(NotRead::Unknown(format!("its template has the variable `{name}`, which is set {from}")));
        }
        store.release();
        let secrets = task.container.environment.secrets.clone();
        Ok((Self { store, contents, secrets }, broken))
    }

    /// Returns the files that the validators may read: all of ConfigMaps and Secrets, which are small, and of directories those that the
    /// main file names.
    fn needed(task: &Task, plan: &ValidationPlan, store: &Store<'_>) -> BTreeSet<PathBuf> {
        let files: BTreeSet<PathBuf> = task.tree.files.keys().cloned().collect();
        let main = match &task.main {
            Main::Given(main) => Some(main).filter(|main| files.contains(*main) || task.around.is_some()),
            Main::Usual(_) | Main::Only => None,
        };
        let is_small = task.tree.files.values().all(|entry| !matches!(entry, Entry::File(_)));
        let reads_all = plan.validators.iter().any(|validator| match validator {
            Validator::Command(command) => placeholders::has(&command.command, placeholders::DIRECTORY),
            Validator::Builtin(_) => false,
        });
        let Some(main) = main.filter(|_| !is_small && !reads_all) else { return files };
        // A snippet lies in a directory of that of its main file.
        let is_snippet = plan.scope() == PlanScope::Snippets;
        let above = main.parent().and_then(Path::parent).filter(|_| is_snippet).map(Path::to_owned);
        let start: Vec<PathBuf> = std::iter::once(main).chain(&task.operands).cloned().collect();
        let texts: Vec<_> =
            task.around.iter().map(|around| (around.path.clone(), around.text.clone().into_bytes())).collect();
        let mut read = |path: &Path| store.content(task.tree.files.get(path)?).ok().map(|content| content.bytes);
        reach::reachable(&files, &start, &texts, above.as_deref(), &mut read)
    }

    /// Moves the texts into a tree, since a second copy of them would be most of the memory; with the one that the blocks around a snippet
    /// hide there.
    fn lend(&mut self, task: &Task) -> (Arc<Tree>, Option<(PathBuf, Vec<u8>)>) {
        let texts = self.contents.iter_mut();
        let texts = texts.map(|(path, (_, content))| (path.clone(), std::mem::take(&mut content.bytes)));
        let mut tree: Tree = texts.collect();
        let around = task.around.as_ref().map(|around| (around.path.clone(), around.text.clone().into_bytes()));
        let hidden = around.and_then(|(path, text)| Some((path.clone(), tree.insert(path, text)?)));
        (Arc::new(tree), hidden)
    }

    /// Takes the texts back. A checker that took too long may still hold the tree.
    fn take_back(&mut self, tree: Arc<Tree>, hidden: Option<(PathBuf, Vec<u8>)>) {
        let mut tree = Arc::try_unwrap(tree).unwrap_or_else(|tree| Tree::clone(&tree));
        tree.extend(hidden);
        for (path, (_, content)) in &mut self.contents {
            content.bytes = tree.remove(path).unwrap_or_default();
        }
    }

    /// Returns the variables of the container that the files name, for the validators.
    fn environment(&self, task: &Task, tree: &Tree) -> Vec<(String, String)> {
        /// Variables that change how a program runs, and not what its configuration says.
        const OWN: [&str; 31] = [
            "LD_", "PATH", "LC_", "LANG", "BASH", "SHELL", "ENV", "IFS", "PS4", "PYTHON", "LUA", "PERL", "RUBY",
            "GEM_", "BUNDLE_", "NODE_", "JAVA", "JDK_", "PHP", "HOME", "TMP", "TEMP", "XDG_", "OPENSSL", "GLIBC_",
            "MALLOC_", "GCONV_", "LOC", "NLS", "APACHE_", "HAPROXY_",
        ];
        let known = &task.container.environment.known;
        if known.is_empty() {
            return Vec::new();
        }
        let names: BTreeSet<&[u8]> =
            tree.values().flat_map(|text| text.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')).collect();
        let is_named = |name: &str| names.contains(name.as_bytes()) && !OWN.iter().any(|own| name.starts_with(own));
        known.iter().filter(|(name, _)| is_named(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// Returns the text of the file at a path of the validation.
    fn text(&self, path: &str) -> Option<&[u8]> {
        self.contents.get(Path::new(path)).map(|(_, content)| content.bytes.as_slice())
    }

    /// Replaces errors that are about the encoding of a file.
    fn with_encodings(&self, found: Vec<Finding>, plan: &ValidationPlan, task: &Task) -> Vec<Finding> {
        let main = match &task.main {
            Main::Given(main) | Main::Usual(main) => Some(main.as_path()),
            Main::Only => None,
        };
        if plan.validators.iter().all(encoding::is_read_by) {
            return found;
        }
        encoding::named(found, main, &|path| self.text(path))
    }

    /// Applies the rules for the severity of findings.
    async fn weighed(
        &self,
        found: Vec<Finding>,
        plan: &ValidationPlan,
        task: &Task,
        options: &CheckOptions,
        versions: &VersionCache,
    ) -> Vec<Finding> {
        let found = found
            .into_iter()
            .flat_map(|finding| findings::one_by_line(&finding))
            .filter_map(|finding| options.weigh(finding));
        let reading = Reading { contents: &|path| self.text(path) };
        let found = found.map(|finding| reading.weigh_format(finding));
        let found = found.filter_map(|finding| weigh_by_name(finding, &task.subject));
        let found: Vec<_> = found.map(|finding| weigh_nginx(finding, task)).collect();
        // A checker of the user's choice is the right one.
        let Some(preset) = task.program else { return found };
        let text = |path: &str| self.text(path);
        let found = variables::weigh(found, preset, &task.container.environment, &text);
        names::weigh(found, plan, &Weighing { preset, image: &task.container.image, versions, text: &text }).await
    }

    /// Returns the findings that are not of placeholders: those that remain where plain text is in the place of each, on lines without
    /// one outside of quoted strings.
    ///
    /// # Errors
    /// The reason for which the text is not judged, if no finding that rejects it is left.
    async fn without_placeholders(
        &mut self,
        found: Vec<Finding>,
        plan: &ValidationPlan,
        task: &Task,
        options: &CheckOptions,
        versions: &VersionCache,
    ) -> Result<Vec<Finding>, String> {
        if !found.iter().any(is_rejecting) {
            return Ok(found);
        }
        let dialect = Dialect::of(task, plan);
        let before = found.len();
        let mut found = Reading { contents: &|path| self.text(path) }.beside_placeholders(found, dialect);
        found.retain(|finding| !is_rejecting(finding) || !self.is_about_angled(finding));
        let mut is_of_placeholder = found.len() < before;
        if found.iter().any(is_rejecting) {
            let (tree, hidden) = self.lend(task);
            let mut has_placeholder = false;
            let texts = tree.iter().map(|(path, text)| {
                let plain = placeholder::replaced(text, dialect);
                has_placeholder |= plain.is_some();
                (path.clone(), plain.unwrap_or_else(|| text.clone()))
            });
            let texts: Tree = texts.collect();
            self.take_back(tree, hidden);
            if has_placeholder {
                let (_, again) = run(plan, task, &Arc::new(texts), options).await;
                let (again, _) = findings::cut(again.findings);
                let again = self.weighed(again, plan, task, options, versions).await;
                let before = found.len();
                found.retain(|finding| !is_rejecting(finding) || again.contains(finding));
                is_of_placeholder |= found.len() < before;
            }
        }
        if is_of_placeholder && !found.iter().any(is_rejecting) { Err(placeholder::WHY.to_owned()) } else { Ok(found) }
    }

    /// Returns true if the message of a finding names a placeholder such as `<domain>` of its line; without a line, of any text.
    fn is_about_angled(&self, finding: &Finding) -> bool {
        let place = finding.place.as_ref();
        let own = place.and_then(|place| self.text(&place.file));
        let texts: Vec<&[u8]> = match own {
            Some(text) => vec![text],
            None => self.contents.values().map(|(_, content)| content.bytes.as_slice()).collect(),
        };
        let number = place.and_then(|place| place.line).filter(|_| own.is_some());
        texts.into_iter().filter_map(|text| std::str::from_utf8(text).ok()).any(|text| {
            let line = number.and_then(|number| text.lines().nth(usize::try_from(number).ok()?.checked_sub(1)?));
            let other = text.lines().filter(|_| number.is_none());
            placeholder::names_angled(&finding.message, line.into_iter().chain(other))
        })
    }

    /// Splits off the findings that a comment or an annotation ignores, and returns these comments and annotations as well.
    fn ignored(&self, task: &Task, read: &[Entry], found: Vec<Finding>) -> IgnoredFindings {
        let preset = task.assignment.preset.as_ref().map(|preset| preset.name);
        let effect = match Verdict::of(&found) {
            Verdict::Inconclusive => IgnoreEffect::Unknown,
            Verdict::Accepted | Verdict::Rejected => IgnoreEffect::None,
        };
        let (mut scopes, mut seen) = (Vec::new(), Vec::new());
        for (path, (entry, content)) in self.contents.iter().filter(|(_, (entry, _))| read.contains(entry)) {
            let Located { object, key, .. } = self.store.located(entry, Finding::error(NOT_LAID_OUT, ""));
            for IgnoreComment { line, below, rule } in ignores::comments(path, preset, &content.bytes) {
                let rule = if content.is_secret() { rule.of_secret() } else { rule };
                let (place, _) = content.locate(self.store, &Place::line(path.to_string_lossy(), line));
                scopes.push((path, Some([Some(line), below])));
                seen.push(SeenIgnore { rule, place, object: object.clone(), key: key.clone(), effect });
            }
            let annotation = self.store.ignore(entry).into_iter();
            for (annotated, place) in annotation {
                for rule in IgnoreRule::of_annotation(&annotated.value) {
                    scopes.push((path, None));
                    seen.push(SeenIgnore { rule, place: place.clone(), object: object.clone(), key: None, effect });
                }
            }
        }
        let (mut kept, mut ignored, mut follows_ignored) = (Vec::new(), Vec::new(), false);
        for finding in found {
            if follows_ignored && is_explanation(&finding) {
                continue;
            }
            let is_in = |(path, lines): &(&PathBuf, Option<[Option<u32>; 2]>)| {
                let place = finding.place.as_ref().filter(|place| Path::new(&place.file) == path.as_path());
                place.is_some_and(|place| lines.is_none_or(|lines| place.line.is_some() && lines.contains(&place.line)))
            };
            let mut ignores = scopes.iter().zip(&mut seen);
            match ignores.find(|(scope, seen)| is_in(scope) && seen.rule.covers(&finding)) {
                Some((_, seen)) => {
                    seen.effect = IgnoreEffect::Some;
                    follows_ignored = true;
                    ignored.push((finding, ignores::suppression(&seen.rule)));
                }
                None => {
                    follows_ignored = false;
                    kept.push(finding);
                }
            }
        }
        (kept, ignored, seen)
    }

    /// Returns a finding at its place in the input.
    fn locate(&self, task: &Task, finding: Finding) -> Located {
        let of = finding.place.as_ref().and_then(|place| Some((place, self.contents.get(Path::new(&place.file))?)));
        let Some((place, (entry, content))) = of else {
            // The file is not among the inputs, such as one of the image: the finding is about the whole.
            let line = task.subject.line;
            let place = Place { line, ..Place::file(&*task.subject.input) };
            let finding = if finding.place.is_some() { beside(finding) } else { finding };
            let owned = |text: Option<&str>| text.map(str::to_owned);
            let (object, key) = (owned(task.subject.object.as_deref()), owned(task.subject.key.as_deref()));
            return Located { finding: finding.at(place), object, key, excerpt: None };
        };
        let (place, excerpt) = content.locate(self.store, place);
        Located { excerpt, ..self.store.located(entry, finding.at(place)) }
    }

    /// Returns true for a content of a Secret, and for a template that was rendered with a value of one.
    fn has_secret(&self, content: &EntryContent) -> bool {
        let mut values = self.secrets.iter().filter(|value| !value.is_empty());
        content.is_secret() || values.any(|value| memchr::memmem::find(&content.bytes, value.as_bytes()).is_some())
    }

    /// Returns true unless the text at a path of the validation may be shown.
    fn is_secret(&self, path: &Path) -> bool {
        self.contents.get(path).is_some_and(|(_, content)| self.has_secret(content))
    }

    /// Returns the findings without quotations of Secrets.
    fn redacted(&self, findings: Vec<Finding>) -> Vec<Finding> {
        let secrets = self.contents.values().filter(|(_, content)| content.is_secret());
        let keyed: Vec<&[u8]> = secrets.map(|(_, content)| content.bytes.as_slice()).collect();
        let secrets = keyed.iter().copied().filter(|content| !is_public(content));
        let secrets = secrets.chain(self.secrets.iter().map(String::as_bytes)).collect();
        let is_readable = |content: &&EntryContent| !self.has_secret(content);
        let public = |file: &str| {
            let content = self.contents.get(Path::new(file)).map(|(_, content)| content).filter(is_readable)?;
            Some(std::str::from_utf8(&content.bytes).unwrap_or_default())
        };
        Contents { secrets, public: &public, keyed }.redact(findings)
    }
}

impl Dialect {
    /// Returns the language of the files of a task.
    fn of(task: &Task, plan: &ValidationPlan) -> Self {
        /// Programs with `{{` in their own language.
        const WITH_TEMPLATES: [&str; 5] = ["prometheus", "alertmanager", "vector", "fluent-bit", "caddy"];
        let is_with_templates = |name: &str| WITH_TEMPLATES.contains(&name);
        let is_of_rules = |validator: &Validator| match validator {
            Validator::Command(command) => command.command.first().is_some_and(|program| program == "promtool"),
            Validator::Builtin(_) => false,
        };
        let is_of_format = |validator: &Validator| {
            matches!(validator, Validator::Builtin(Builtin::Structured(_) | Builtin::ProgramSchema(_)))
        };
        match task.assignment.preset.as_ref().map(|preset| preset.name) {
            Some(name) if is_with_templates(name) => Self::Templates,
            // The image has no placeholders in the files that a container mounts.
            Some("nginx") if !task.container.image.is_stock_nginx() => Self::Nginx,
            None if plan.validators.iter().any(is_of_rules) => Self::Templates,
            None if plan.validators.iter().all(is_of_format) => Self::Format,
            _ => Self::Other,
        }
    }
}

impl CheckOptions {
    /// Returns the plan of a task as `check` runs it.
    fn plan(&self, task: &Task) -> ValidationPlan {
        let plan = task.assignment.plan.clone();
        let mut plan = if self.local { plan } else { plan.bundled() };
        let image = &task.container.image;
        for validator in &mut plan.validators {
            match validator {
                Validator::Builtin(Builtin::Nginx(settings)) => {
                    settings.version = settings.version.or_else(|| image.nginx_version());
                    settings.build = settings.build.or_else(|| image.nginx_build());
                    settings.hygiene = settings.hygiene.or(Some(true));
                }
                Validator::Builtin(_) => {}
                Validator::Command(command) => command.command = with_operands(&command.command, &task.operands),
            }
        }
        let main = task.main.clone();
        // Programs for files of the inputs need nothing there; a command of the user's own may, also that of a preset.
        let is_bundled = task.assignment.preset.as_ref().is_some_and(|preset| preset.executes.is_some());
        let hides_homes = task.is_of_inputs || is_bundled;
        ValidationPlan {
            main,
            root: RootChoice::View,
            timeout: if task.by == By::Sidecar { plan.timeout.min(LONGEST_OF_INPUTS) } else { plan.timeout },
            fallback: self.fallback,
            without_target: true,
            hides_homes,
            ..plan
        }
    }
}

/// Returns a command with several files in place of `{config}`, each behind the same option.
fn with_operands(command: &[String], operands: &[PathBuf]) -> Vec<String> {
    let at = command.iter().position(|word| word == placeholders::CONFIG).filter(|at| *at > 0 && !operands.is_empty());
    let Some(at) = at else { return command.to_vec() };
    let option = &command[at - 1];
    let pairs = operands.iter().flat_map(|path| [option.clone(), path.to_string_lossy().into_owned()]);
    command[..at - 1].iter().cloned().chain(pairs).chain(command[at + 1..].iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_files_follow_their_option() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let command = words(&["haproxy", "-c", "-f", "{config}"]);
        let operands = [PathBuf::from("/a"), PathBuf::from("/b")];
        assert_eq!(with_operands(&command, &operands), words(&["haproxy", "-c", "-f", "/a", "-f", "/b"]));
        assert_eq!(with_operands(&command, &[]), command);
    }
}
