//! The same judgement where nothing runs yet: over configuration files, and over the manifests that will bring them. IO: reads inputs,
//! has validators asked.
//!
//! What is given is listed first, without its contents; then trees are put together as programs would see them, and given to judges;
//! and then they are judged one by one, on all processors, each read when its turn comes. So memory does not grow with what is given,
//! but for the list of it.

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

use crate::check::render::{Checked, Located, Report, Subject, Unchecked};
use crate::config::Assignments;
use crate::flow::tree::Digest;
use crate::flow::validate::Validator;

use assign::{Assigned, Task};
pub use listing::Listing;
use store::{Entry, Store};
use trees::Trees;

/// What a file, certificate or host name is worth that is not among the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Nothing.
    Ignore,
    /// A warning: it may be in the image.
    Warn,
    /// A rejection.
    Reject,
}

/// How to judge.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether programs are asked also where a bundled validator can stand in for them.
    pub local: bool,
    /// Whether that one judges where the program is not installed.
    pub fallback: bool,
    /// What is worth what, that is not given.
    pub missing: Missing,
}

/// What is asked.
pub struct Question<'a> {
    /// The inputs, which are open.
    pub listing: &'a Listing,
    /// Who judges, by what the user says.
    pub assignments: &'a Assignments,
    /// How.
    pub options: Options,
    /// Is told how many judgements of how many are done.
    pub progress: &'a (dyn Fn(usize, usize) + Sync),
}

/// What came of it.
#[derive(Debug)]
pub struct Answer {
    /// What was judged, and what was not.
    pub report: Report,
    /// What was given and is not there.
    pub missing: Vec<String>,
}

/// Judges what is given.
#[must_use]
pub fn check(question: &Question<'_>) -> Answer {
    let listing = question.listing;
    let store = Store::new(listing);
    let trees = Trees::of(&store);
    let assigned = assign::assign(trees, &store, question.assignments);
    let mut checked = of_inputs(listing);
    let Assigned { tasks, errors, open } = assigned;
    for (subject, finding) in errors {
        let located = Located { finding, object: None, key: None, excerpt: None };
        match checked.last_mut() {
            Some(last) if last.subject == subject => last.findings.push(located),
            _ => checked.push(finding_about(subject, "reload-gate", "it says who judges", located)),
        }
    }
    let given: BTreeSet<Entry> = tasks.iter().flat_map(|task| task.tree.files.values().cloned()).collect();
    let mut read = BTreeSet::new();
    for (one, entries) in all(distinct(tasks), &store, question) {
        checked.push(one);
        read.extend(entries);
    }
    let unchecked = open.difference(&read).map(|entry| {
        let why =
            if given.contains(entry) { "nothing that was judged includes it" } else { "nothing says who judges it" };
        Unchecked { subject: store.subject(entry), why: why.to_owned() }
    });
    Answer { report: Report { checked, unchecked: unchecked.collect() }, missing: listing.missing.clone() }
}

/// What is wrong with the inputs themselves.
fn of_inputs(listing: &Listing) -> Vec<Checked> {
    let located = |finding| Located { finding, object: None, key: None, excerpt: None };
    let broken = listing.broken.iter().map(|(input, finding)| {
        let line = finding.place.as_ref().and_then(|place| place.line);
        let subject = Subject { input: input.clone(), object: None, key: None, line };
        finding_about(subject, "reload-gate", "it is an input", located(finding.clone()))
    });
    broken.collect()
}

fn finding_about(subject: Subject, validator: &str, reason: &str, located: Located) -> Checked {
    let (validator, reason) = (validator.to_owned(), reason.to_owned());
    Checked { subject, validator, reason, findings: vec![located], duration: Duration::ZERO }
}

/// The tasks without those that are others again: the same files in the same places, mounted by several containers.
fn distinct(mut tasks: Vec<Task>) -> Vec<Task> {
    let mut snapshot = BTreeSet::new();
    tasks.retain(|task| {
        let by: Vec<_> = task.assignment.plan.validators.iter().map(Validator::title).collect();
        // The digest alone is kept: there may be many.
        snapshot.insert(Digest::of(format!("{:?} {by:?} {:?} {:?}", task.tree, task.main, task.around).as_bytes()))
    });
    tasks
}

/// Does all tasks, on all processors; the answers are in the order of the tasks.
fn all(tasks: Vec<Task>, store: &Store<'_>, question: &Question<'_>) -> Vec<(Checked, BTreeSet<Entry>)> {
    let total = tasks.len();
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(total);
    let (queue, done) = (Mutex::new(tasks.into_iter().enumerate()), AtomicUsize::new(0));
    let answers = Mutex::new(Vec::with_capacity(total));
    let work = || {
        // Each has its own loop, in which it waits for the programs that it asks.
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
