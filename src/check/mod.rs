//! Validation before deployment: of configuration files, and of the manifests that will bring them. IO: reads inputs, runs validators.
//!
//! The inputs are listed first, without their contents. Then trees are put together as programs would see them, and validators are
//! assigned. Then the trees are validated one by one, on all processors, and each is read when its turn comes: of all inputs only the
//! list is held in memory.

mod assign;
mod input;
mod listing;
pub mod manifest;
mod program;
pub mod render;
mod sidecar;
mod store;
mod trees;
mod validate;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::check::render::{CheckReport, CheckSubject, Checked, Located, Unchecked};
use crate::config::{Assignments, ConfigError, Flags};
use crate::flow::tree::Digest;
use crate::flow::validate::Validator;

use assign::{Assigned, Task};
use listing::Listing;
use store::{Entry, Store};
use trees::FileTrees;

/// Reads the arguments of a reload-gate as flags of `run`; `None` for another command.
pub type ParseArguments = fn(&[String]) -> Result<Option<Flags>, Vec<ConfigError>>;

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
    /// Whether programs run also where a bundled validator could replace them.
    pub local: bool,
    /// Whether the bundled validator replaces a program that is not installed.
    pub fallback: bool,
    /// Treatment of what is not among the inputs.
    pub missing: Missing,
}

/// Inputs and options of one run of `check`.
pub struct CheckRequest<'a> {
    /// Files, directories, and `-` for standard input.
    pub paths: &'a [String],
    /// Validators that the user chose.
    pub assignments: &'a Assignments,
    /// Options.
    pub options: CheckOptions,
    /// Parser for the arguments of a reload-gate in a pod.
    pub words: ParseArguments,
    /// Called when all inputs are open.
    pub opened: fn(),
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
}

/// Validates all inputs.
#[must_use]
pub fn check(question: &CheckRequest<'_>) -> CheckOutcome {
    let listing = Listing::of(question.paths);
    (question.opened)();
    let store = Store::new(&listing);
    let trees = FileTrees::of(&store, question.words);
    let assigned = assign::assign(trees, &store, question.assignments);
    let mut checked = of_inputs(&listing);
    let Assigned { tasks, errors, open } = assigned;
    for (subject, finding) in errors {
        let located = Located { finding, object: None, key: None, excerpt: None };
        match checked.last_mut() {
            Some(last) if last.subject == subject => last.findings.push(located),
            _ => checked.push(finding_about(subject, "reload-gate", "it names a validator", located)),
        }
    }
    let given: BTreeSet<Entry> = tasks.iter().flat_map(|task| task.tree.files.values().cloned()).collect();
    let mut read = BTreeSet::new();
    for (one, entries) in all(distinct(tasks), &store, question) {
        checked.push(one);
        read.extend(entries);
    }
    let unchecked = open.difference(&read).map(|entry| {
        let why = if given.contains(entry) { "no validated file includes it" } else { "no validator is known for it" };
        Unchecked { subject: store.subject(entry), why: why.to_owned() }
    });
    CheckOutcome { report: CheckReport { checked, unchecked: unchecked.collect() }, missing: listing.missing.clone() }
}

/// Returns the errors of the inputs themselves.
fn of_inputs(listing: &Listing) -> Vec<Checked> {
    let located = |finding| Located { finding, object: None, key: None, excerpt: None };
    let broken = listing.broken.iter().map(|(input, finding)| {
        let line = finding.place.as_ref().and_then(|place| place.line);
        let subject = CheckSubject { input: input.clone(), object: None, key: None, line };
        finding_about(subject, "reload-gate", "it is an input", located(finding.clone()))
    });
    broken.collect()
}

fn finding_about(subject: CheckSubject, validator: &str, reason: &str, located: Located) -> Checked {
    let (validator, reason) = (validator.to_owned(), reason.to_owned());
    Checked { subject, validator, reason, findings: vec![located], duration: Duration::ZERO }
}

/// Removes repeated tasks: the same files in the same places, mounted by several containers.
fn distinct(mut tasks: Vec<Task>) -> Vec<Task> {
    let mut snapshot = BTreeSet::new();
    tasks.retain(|task| {
        let by: Vec<_> = task.assignment.plan.validators.iter().map(Validator::title).collect();
        // The digest alone is kept: there may be many.
        snapshot.insert(Digest::of(format!("{:?} {by:?} {:?} {:?}", task.tree, task.main, task.around).as_bytes()))
    });
    tasks
}

/// Runs all tasks, on all processors. The results are in the order of the tasks.
fn all(tasks: Vec<Task>, store: &Store<'_>, question: &CheckRequest<'_>) -> Vec<(Checked, BTreeSet<Entry>)> {
    let total = tasks.len();
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(total);
    let (queue, done) = (Mutex::new(tasks.into_iter().enumerate()), AtomicUsize::new(0));
    let answers = Mutex::new(Vec::with_capacity(total));
    let work = || {
        // Each thread has its own event loop for the programs that it runs.
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((index, task)) = next else { return };
            let checked = runtime.block_on(validate::validate(task, store, &question.options));
            answers.lock().unwrap_or_else(PoisonError::into_inner).push((index, checked));
            (question.progress)(done.fetch_add(1, Ordering::Relaxed) + 1, total);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..workers {
            scope.spawn(work);
        }
        work();
    });
    let mut answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, checked)| checked).collect()
}
