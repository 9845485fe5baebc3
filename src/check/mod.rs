//! Validation before deployment: of configuration files, and of the manifests that will bring them. IO: reads inputs, runs validators.
//!
//! The inputs are listed first, without their contents. Then trees are put together as programs would see them, and validators are
//! assigned. Then the trees are validated one by one, on all processors, and each is read when its turn comes: of all inputs only the
//! list is held in memory.

mod assign;
mod baseline;
mod charts;
pub mod choice;
mod command_line;
mod commands;
mod container;
mod content;
mod encoding;
mod envsubst;
mod execution;
mod findings;
mod fix;
mod gitignore;
mod ignores;
mod images;
mod input;
mod known;
mod layout;
mod listing;
pub mod manifest;
mod mounts;
mod names;
mod objects;
mod output;
mod overlap;
mod placeholder;
mod pods;
mod program;
mod reach;
mod readers;
mod redaction;
pub mod render;
mod schemas;
mod search;
mod sidecar;
mod snippets;
mod store;
mod tracked;
mod trees;
mod validate;
mod variables;
mod walk;
mod warnings;
mod weigh;
mod withheld;

#[cfg(test)]
mod growth;
#[cfg(test)]
mod properties;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::libc;
use reload_gate_contract::{Code, Finding, Place};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::check::render::{CheckReport, CheckSubject, Checked, Located, Suppressed, Unchecked};
use crate::config::Assignments;
use crate::flow::tree::Digest;
use crate::flow::validate::Validator;

use assign::{Assigned, DueTask};
pub use baseline::{Baseline, RunScope, relative};
use content::MountState;
pub use findings::listed;
pub use fix::{Corrected, ListArguments, check_and_correct};
use ignores::{IgnoreEffect, IgnoreRule, SeenIgnore, SeenIgnores};
pub use listing::Listing;
use names::VersionCache;
#[cfg(any(test, fuzzing))]
pub use objects::check_text;
pub use objects::{GivenObject, check_objects, main_key};
pub use output::{read_option, write_output};
use readers::Reader;
pub use search::InputPlaces;
use store::{Entry, Store};
use trees::{FileTrees, TreeKind};
use validate::Outcome;
pub use warnings::Warnings;

const NO_VALIDATOR: Code = Code::new("no-validator");
/// Remedy.
const NAME_IT: &str = "name its validator, such as `--app nginx`, or leave it out with `--exclude`";
const NOT_INCLUDED: &str = "no validated file includes it";
const EMPTY: &str = "it is empty";
const UNKNOWN: &str = "no validator is known for it";
const PART_OF_NGINX: &str = "it is a part of an nginx configuration, and its main file is not among the inputs";
/// Remedy.
const ABOVE: &str = "check the directory of `nginx.conf`, or name the block around it: `--context http`";

/// Treatment of files, certificates and host names that are not among the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// No finding.
    Ignore,
    /// A warning: it may be in the image.
    Warn,
    /// A rejection.
    Reject,
}

/// Options of `check`.
#[derive(Clone, Copy, Debug)]
pub struct CheckOptions {
    /// True if programs run also where a bundled validator could replace them.
    pub local: bool,
    /// True if the bundled validator replaces a program that is not installed.
    pub fallback: bool,
    /// Treatment of what is not among the inputs.
    pub missing: Missing,
    /// True if commands run that the inputs name.
    pub allow_commands: bool,
    /// True if bundled validators alone run, on the thread of the caller.
    pub alone: bool,
}

/// Inputs and options of one run of `check`.
pub struct CheckRequest<'a> {
    /// Inputs, which are open.
    pub listing: &'a Listing,
    /// Validators that the user chose.
    pub assignments: &'a Assignments,
    /// Options.
    pub options: CheckOptions,
    /// Called with the numbers of finished and of all validations.
    pub progress: &'a (dyn Fn(usize, usize) + Sync),
}

/// Result of one run of `check`.
#[derive(Debug)]
pub struct CheckOutcome {
    /// Report of what was validated, and of what was not.
    pub report: CheckReport,
    /// Paths that do not exist.
    pub missing: Vec<String>,
    /// True if there was no manifest and no file.
    pub is_empty: bool,
    /// Signal that ended it early.
    pub interrupted: Option<i32>,
}

/// Validates all inputs.
#[must_use]
pub fn check(request: &CheckRequest<'_>) -> CheckOutcome {
    let store = Store::new(request.listing);
    with_tasks(&store, request.assignments, &request.options, |tasks, take| all(tasks, &store, request, take))
}

/// Receiver of the results of tasks, in the order of the tasks.
type TakeResult<'t> = dyn FnMut(CheckSubject, Outcome) + Send + 't;

/// Validates all inputs. `run` validates tasks, and returns the signal that ended it early.
fn with_tasks(
    store: &Store<'_>,
    assignments: &Assignments,
    options: &CheckOptions,
    run: impl FnOnce(Vec<DueTask>, &mut TakeResult<'_>) -> Option<i32>,
) -> CheckOutcome {
    let listing = store.listing;
    let trees = FileTrees::of(store);
    let (mounted, idle) = (trees.mounted.clone(), trees.idle.clone());
    let assigned = assign::assign(trees, store, assignments, options.allow_commands);
    let mut checked = of_inputs(listing);
    let Assigned { tasks, errors, mut open, skipped, readers } = assigned;
    for (subject, finding) in errors {
        let located = Located { finding, object: None, key: None, excerpt: None };
        match checked.last_mut() {
            Some(last) if last.subject == subject => last.findings.push(located),
            _ => checked.push(finding_about(subject, "reload-gate", "it is a pod, or names a validator", located)),
        }
    }
    let came = open.iter().any(|entry| !matches!(entry, Entry::Input(_))) || listing.has_manifests;
    open.retain(|entry| !skipped.contains_key(entry));
    // Entries that were not read yet, and whether a task has them.
    let mut open: BTreeMap<Entry, bool> = open.into_iter().map(|entry| (entry, false)).collect();
    for entry in tasks.iter().flat_map(DueTask::entries) {
        if let Some(is_given) = open.get_mut(entry) {
            *is_given = true;
        }
    }
    let unchecked = skipped.into_iter().map(|(entry, (why, help))| Unchecked {
        subject: store.subject(&entry),
        why: why.into(),
        help: help.map(Into::into),
    });
    let mut seen = of_manifests(&mut checked, listing);
    let mut unchecked: Vec<Unchecked> = listing.skipped.iter().cloned().chain(unchecked).collect();
    let tasks = distinct(tasks, store);
    checked.reserve_exact(tasks.len());
    let mut validator = None;
    let interrupted = run(tasks, &mut |subject, outcome| {
        checked.extend(outcome.checked.map(|checked| with_shared_name(checked, &mut validator)));
        unchecked.extend(outcome.skipped.map(|(why, help)| Unchecked {
            subject,
            why: why.into(),
            help: help.map(Into::into),
        }));
        for entry in &outcome.read {
            open.remove(entry);
        }
        outcome.ignores.into_iter().for_each(|ignore| seen.add(ignore));
    });
    let codes = checked.iter().flat_map(|checked| &checked.findings).map(|located| located.finding.code.to_string());
    let warnings = seen.warnings(&codes.collect());
    warnings.into_iter().for_each(|warning| add_warning(&mut checked, warning));
    let is_empty = checked.is_empty() && unchecked.is_empty() && !came;
    let listed: HashSet<CheckSubject> = unchecked.iter().map(|unchecked| unchecked.subject.clone()).collect();
    unchecked.reserve(open.len());
    let open = open.iter().map(|(entry, is_given)| (store.subject(entry), entry, *is_given));
    let open = open.filter(|(subject, ..)| !listed.contains(subject)).map(|(subject, entry, is_given)| {
        let mount = match entry.config() {
            Some(_) if idle.contains(entry) => MountState::OtherKeys,
            Some(config) if !mounted.contains(&config) => MountState::None,
            _ => MountState::Mounted,
        };
        let reader = readers.reader(entry, TreeKind::Object);
        unassigned(subject, entry, (is_given, mount, &reader), store)
    });
    unchecked.extend(open);
    let named = take_named_files(&mut unchecked, &checked, listing);
    checked.extend(named.into_iter().map(without_validator));
    let report = CheckReport { checked, unchecked, ..CheckReport::default() };
    CheckOutcome { report, missing: listing.missing.clone(), is_empty, interrupted }
}

/// Returns a validation that shares the name of its validator with the one before it, if that had the same.
fn with_shared_name(checked: Checked, last: &mut Option<Arc<str>>) -> Checked {
    let validator = last.take().filter(|last| *last == checked.validator).unwrap_or(checked.validator);
    *last = Some(validator.clone());
    Checked { validator, ..checked }
}

/// Suppresses the findings about manifests themselves that a comment in the manifest or an annotation of the pod ignores, and returns
/// all comments in manifests.
fn of_manifests(checked: &mut [Checked], listing: &Listing) -> SeenIgnores {
    let mut seen = SeenIgnores::default();
    let name = |input: usize| &*listing.inputs[input].name;
    let comments = listing.ignores.iter().map(|(input, comment)| {
        let lines = Some([Some(comment.line), comment.below]);
        (lines, None, comment.rule.clone(), Place::line(name(*input), comment.line))
    });
    let annotations = listing.pods.iter().flat_map(|(pod, at)| {
        let annotation = pod.ignore.as_ref().map(|annotated| (annotated, at, pod.id.to_string()));
        annotation.into_iter().flat_map(|(annotated, at, object)| {
            let place = store::in_input(&annotated.place, name(at.input), at);
            let rules = IgnoreRule::of_annotation(&annotated.value);
            rules.into_iter().map(move |rule| (None, Some(object.clone()), rule, place.clone()))
        })
    });
    for (lines, owner, rule, place) in comments.chain(annotations) {
        let mut effect = IgnoreEffect::None;
        for one in checked.iter_mut() {
            let of_owner = owner.is_some()
                && one.subject.object.as_deref() == owner.as_deref()
                && *one.subject.input == place.file;
            let (covered, kept) = std::mem::take(&mut one.findings).into_iter().partition(|located| {
                let at = located.finding.place.as_ref().filter(|at| at.file == place.file);
                let is_at = lines.zip(at).is_some_and(|(lines, at)| at.line.is_some() && lines.contains(&at.line));
                (of_owner || is_at) && rule.covers(&located.finding)
            });
            one.findings = kept;
            effect = if Vec::<Located>::is_empty(&covered) { effect } else { IgnoreEffect::Some };
            let by = ignores::suppression(&rule);
            one.suppressed.extend(covered.into_iter().map(|located| Suppressed { located, by: by.clone() }));
        }
        seen.add(SeenIgnore { rule, place, object: owner, key: None, effect });
    }
    seen
}

/// Adds a warning about a comment or an annotation to the validation of its place, if there is one.
fn add_warning(checked: &mut Vec<Checked>, warning: Located) {
    let Some(file) = warning.finding.place.as_ref().map(|place| place.file.clone()) else { return };
    let of_input = |checked: &&mut Checked| *checked.subject.input == file;
    let is_same = |checked: &&mut Checked| {
        of_input(checked)
            && checked.subject.object.as_deref() == warning.object.as_deref()
            && checked.subject.key.as_deref() == warning.key.as_deref()
    };
    let at = checked.iter_mut().find(is_same);
    match at {
        Some(checked) => checked.findings.push(warning),
        None => match checked.iter_mut().find(of_input) {
            Some(checked) => checked.findings.push(warning),
            None => {
                let subject = CheckSubject::input(&file);
                checked.push(finding_about(subject, "reload-gate", "it ignores findings", warning));
            }
        },
    }
}

/// Takes out files that the user named and of which nothing was validated.
fn take_named_files(unchecked: &mut Vec<Unchecked>, checked: &[Checked], listing: &Listing) -> Vec<Unchecked> {
    let has_result: HashSet<&str> = checked.iter().map(|checked| &*checked.subject.input).collect();
    let is_named = |Unchecked { subject, why, .. }: &mut Unchecked| {
        let is_named = subject.object.is_none() && listing.paths.iter().any(|path| **path == *subject.input);
        // Empty standard input is no input, as after a `helm template` that failed.
        let is_part = [NOT_INCLUDED, EMPTY].contains(&&**why) || Path::new(&*subject.input).is_dir();
        is_named && !is_part && !has_result.contains(&*subject.input)
    };
    unchecked.extract_if(.., is_named).collect()
}

/// Returns the entry of a part that no validator is known for, or that nothing includes.
fn unassigned(
    subject: CheckSubject,
    entry: &Entry,
    (is_given, mount, reader): (bool, MountState, &Reader),
    store: &Store<'_>,
) -> Unchecked {
    let name = subject.key.as_deref().unwrap_or_else(|| subject.input.rsplit('/').next().unwrap_or_default());
    let is_file = matches!(entry, Entry::File(_));
    let text = || String::from_utf8(store.content(entry).ok()?.bytes).ok();
    let directory = Path::new(&*subject.input).parent();
    let of_directory = directory.is_some_and(|parent| store.listing.paths.iter().any(|path| parent == Path::new(path)));
    let is_near = is_file && (of_directory || store.listing.paths.iter().any(|path| **path == *subject.input));
    if !is_given && is_near && store.content(entry).is_ok_and(|content| encoding::is_utf16(&content.bytes)) {
        return Unchecked { subject, why: encoding::WHY.into(), help: Some(encoding::CONVERT.into()) };
    }
    if !is_given && is_near && text().is_some_and(|text| content::is_part_of_nginx(&text)) {
        let (why, help) = (PART_OF_NGINX.into(), Some(ABOVE.into()));
        return Unchecked { subject, why, help };
    }
    let why = match (is_given, is_file) {
        (true, _) => NOT_INCLUDED,
        (false, true) => content::unknown(name, None, MountState::Mounted).unwrap_or(UNKNOWN),
        (false, false) => match text() {
            Some(text) if subject.object.is_none() && text.trim().is_empty() => EMPTY,
            text => content::unknown(name, text.as_deref(), mount).unwrap_or(UNKNOWN),
        },
    };
    let of_reader = reader.of_file().filter(|_| why == UNKNOWN);
    Unchecked { subject, why: of_reader.map_or(why.into(), Into::into), help: None }
}

/// Returns the obstacle that a file was not validated, though the user named the file.
fn without_validator(Unchecked { subject, why, help }: Unchecked) -> Checked {
    let other = if why == placeholder::WHY { placeholder::RENDER } else { NAME_IT };
    let help = help.unwrap_or(other.into());
    let finding = Finding::environment(NO_VALIDATOR, why).at(Place::file(&*subject.input)).help(help);
    let located = Located { finding, object: None, key: None, excerpt: None };
    finding_about(subject, "reload-gate", "it is an input", located)
}

/// Returns the errors of the inputs themselves: one validation for each input, with all its findings.
fn of_inputs(listing: &Listing) -> Vec<Checked> {
    let mut findings: BTreeMap<&str, Vec<Finding>> = BTreeMap::new();
    for (input, finding) in &listing.broken {
        findings.entry(input).or_default().push(finding.clone());
    }
    let names = listing.broken.iter().map(|(input, _)| input.as_str());
    names.filter_map(|input| Some(of_input(input, findings.remove(input)?))).collect()
}

/// Returns the validation of an input with these findings.
fn of_input(input: &str, findings: Vec<Finding>) -> Checked {
    let line = findings.first().and_then(|finding| finding.place.as_ref()?.line);
    let located = |finding| Located { finding, object: None, key: None, excerpt: None };
    let (findings, omitted) = findings::cut(findings);
    let subject = CheckSubject::at_line(input, line);
    let findings = findings.into_iter().map(located).collect();
    Checked { omitted, ..Checked::new(subject, "reload-gate", "it is an input", findings) }
}

fn finding_about(subject: CheckSubject, validator: &str, reason: &str, located: Located) -> Checked {
    Checked::new(subject, validator, reason, vec![located])
}

/// Removes repeated tasks: the same keys in the same places, mounted by several containers.
fn distinct(mut tasks: Vec<DueTask>, store: &Store<'_>) -> Vec<DueTask> {
    let mut seen = BTreeSet::new();
    tasks.retain(|task| {
        if task.entries().any(|entry| matches!(entry, Entry::File(_))) {
            return true;
        }
        let task = task.task(store);
        let by: Vec<_> = task.assignment.plan.validators.iter().map(Validator::title).collect();
        let container = (&task.container.image, &task.container.environment, &task.operands);
        // The digest alone is kept: there may be many.
        let key = format!("{:?} {by:?} {:?} {:?} {container:?}", task.tree, task.main, task.around);
        seen.insert(Digest::of(key.as_bytes()))
    });
    tasks
}

/// Signals that end a run.
struct EndSignals(Vec<(i32, Signal)>);

impl EndSignals {
    /// The signals that end a process (signal(7)), without those that cannot be handled and those that report a fault of the program.
    const ALL: [libc::c_int; 13] = [
        libc::SIGABRT,
        libc::SIGALRM,
        libc::SIGHUP,
        libc::SIGINT,
        libc::SIGIO,
        libc::SIGPROF,
        libc::SIGPWR,
        libc::SIGQUIT,
        libc::SIGTERM,
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGVTALRM,
        libc::SIGXCPU,
    ];

    /// Starts to listen, in the runtime of the caller.
    fn listen() -> std::io::Result<Self> {
        let listen = |number| Ok((number, signal(SignalKind::from_raw(number))?));
        Self::ALL.into_iter().map(listen).collect::<std::io::Result<_>>().map(Self)
    }

    async fn next(&mut self) -> i32 {
        let each = self.0.iter_mut().map(|(number, signal)| {
            Box::pin(async {
                signal.recv().await;
                *number
            })
        });
        futures_util::future::select_all(each).await.0
    }
}

/// Tasks that have not begun, in their order, with the number of those that have.
struct TaskQueue {
    begun: usize,
    tasks: VecDeque<DueTask>,
}

impl Iterator for TaskQueue {
    type Item = (usize, DueTask);

    fn next(&mut self) -> Option<Self::Item> {
        let task = self.tasks.pop_front()?;
        // The memory of tens of thousands of tasks becomes that of their results.
        if self.tasks.len() < self.tasks.capacity() / 2 {
            self.tasks.shrink_to_fit();
        }
        self.begun += 1;
        Some((self.begun - 1, task))
    }
}

/// Results that go to their receiver in the order of the tasks.
struct OrderedResults<'t, 'r> {
    take: &'t mut TakeResult<'r>,
    /// Number of the task whose result is the next.
    next: usize,
    /// Results of tasks behind that one.
    early: BTreeMap<usize, (CheckSubject, Outcome)>,
}

impl OrderedResults<'_, '_> {
    fn add(&mut self, number: usize, subject: CheckSubject, outcome: Outcome) {
        self.early.insert(number, (subject, outcome));
        while let Some((subject, outcome)) = self.early.remove(&self.next) {
            (self.take)(subject, outcome);
            self.next += 1;
        }
    }

    /// Gives the rest to the receiver: some tasks have no result.
    fn finish(self) {
        self.early.into_values().for_each(|(subject, outcome)| (self.take)(subject, outcome));
    }
}

/// Runs all tasks, on all processors. A signal ends them: their programs are killed, and their files are removed. Returns its number.
fn all(tasks: Vec<DueTask>, store: &Store<'_>, request: &CheckRequest<'_>, take: &mut TakeResult<'_>) -> Option<i32> {
    let total = tasks.len();
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(total);
    let (queue, done) = (Mutex::new(TaskQueue { begun: 0, tasks: tasks.into() }), AtomicUsize::new(0));
    let results = Mutex::new(OrderedResults { take, next: 0, early: BTreeMap::new() });
    let (interrupted, shortage) = (Mutex::new(None), Mutex::new(None));
    let versions = VersionCache::default();
    let work = || {
        // Each thread has its own event loop for the programs that it runs.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let ready = runtime.and_then(|runtime| Ok((runtime.block_on(async { EndSignals::listen() })?, runtime)));
        let (mut signals, runtime) = match ready {
            Ok(ready) => ready,
            Err(error) => return *shortage.lock().unwrap_or_else(PoisonError::into_inner) = Some(error),
        };
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((index, due)) = next else { return };
            let task = due.into_task(store);
            let subject = task.subject.clone();
            let outcome = runtime.block_on(async {
                tokio::select! {
                    biased;
                    signal = signals.next() => Err(signal),
                    outcome = validate::validate(task, store, &request.options, &versions) => Ok(outcome),
                }
            });
            match outcome {
                Ok(outcome) => results.lock().unwrap_or_else(PoisonError::into_inner).add(index, subject, outcome),
                Err(signal) => {
                    *interrupted.lock().unwrap_or_else(PoisonError::into_inner) = Some(signal);
                    return;
                }
            }
            (request.progress)(done.fetch_add(1, Ordering::Relaxed) + 1, total);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..workers {
            // Where the system has no thread left, this one does all.
            let _ = std::thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    let interrupted = interrupted.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let (None, Some(error)) = (interrupted, shortage.into_inner().unwrap_or_else(PoisonError::into_inner)) {
        // What no thread could take is not validated.
        for (index, due) in queue.into_inner().unwrap_or_else(PoisonError::into_inner) {
            let task = due.into_task(store);
            results.add(index, task.subject.clone(), validate::not_begun(task, &error));
        }
    }
    results.finish();
    interrupted
}
