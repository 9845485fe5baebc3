//! Results of an earlier check of the same inputs, for those whose text is still the same.

use std::collections::{BTreeSet, HashMap};

use super::assign::{DueTask, Task};
use super::fix::Overlay;
use super::listing::Listing;
use super::store::Store;
use super::validate::Outcome;
use super::{CheckRequest, TakeResult, all};
use crate::check::manifest::ConfigObject;
use crate::check::render::CheckSubject;
use crate::flow::tree::Digest;

/// Results of the tasks of a check.
#[derive(Default)]
pub(super) struct KnownOutcomes {
    outcomes: HashMap<Digest, (CheckSubject, Outcome)>,
    /// Texts in place of those of files.
    texts: Overlay,
    shape: ListingShape,
}

/// Objects of the inputs in their order: tasks and results name them by their numbers.
#[derive(Default, PartialEq, Eq)]
struct ListingShape(Vec<String>);

impl ListingShape {
    fn of(listing: &Listing) -> Self {
        let inputs = listing.inputs.iter().map(|input| input.name.to_string());
        let names = |config: &ConfigObject| config.keys.iter().map(|key| key.name.clone()).collect::<Vec<_>>();
        let configs =
            listing.configs.iter().map(|(config, at)| format!("{} {} {:?}", at.input, config.id, names(config)));
        let rules = listing.rules.iter().map(|(rules, at)| format!("{} {}", at.input, rules.id));
        let snippets = listing.snippets.iter().map(|(one, at)| format!("{} {} {}", at.input, one.id, one.key));
        let pods = listing.pods.iter().map(|(pod, at)| format!("{} {}", at.input, pod.id));
        let counts = [listing.inputs.len(), listing.configs.len(), listing.rules.len(), listing.snippets.len()];
        let counts = counts.iter().map(usize::to_string);
        Self(counts.chain(inputs).chain(configs).chain(rules).chain(snippets).chain(pods).collect())
    }
}

impl KnownOutcomes {
    /// Runs the tasks that have no known result, and knows those of all tasks from then on. Returns the signal that ended them early.
    pub(super) fn complete(
        &mut self,
        tasks: Vec<DueTask>,
        store: &Store<'_>,
        request: &CheckRequest<'_>,
        take: &mut TakeResult<'_>,
    ) -> Option<i32> {
        let listing = store.listing;
        let shape = ListingShape::of(listing);
        let changed = self.changed(&listing.texts);
        let has_shape = shape == self.shape;
        let mut results: Vec<Option<(CheckSubject, Outcome)>> = Vec::with_capacity(tasks.len());
        let (mut keys, mut due) = (Vec::with_capacity(tasks.len()), Vec::new());
        for task in tasks {
            let key = key(&task.task(store));
            let is_same = || task.entries().all(|entry| !changed.contains(&*store.subject(entry).input));
            let known = self.outcomes.get(&key).filter(|_| has_shape && is_same());
            results.push(known.map(|(subject, outcome)| (subject.clone(), outcome.clone())));
            if known.is_none() {
                due.push(task);
            }
            keys.push(key);
        }
        let count = due.len();
        let mut done = Vec::with_capacity(count);
        let interrupted = all(due, store, request, &mut |subject, outcome| done.push((subject, outcome)));
        if interrupted.is_some() || done.len() < count {
            done.into_iter().for_each(|(subject, outcome)| take(subject, outcome));
            return interrupted;
        }
        let mut done = done.into_iter();
        let results: Vec<_> = results.into_iter().filter_map(|known| known.or_else(|| done.next())).collect();
        let known =
            keys.into_iter().zip(&results).map(|(key, (subject, outcome))| (key, (subject.clone(), outcome.clone())));
        *self = Self { outcomes: known.collect(), texts: listing.texts.clone(), shape };
        results.into_iter().for_each(|(subject, outcome)| take(subject, outcome));
        None
    }

    /// Returns the files whose text is another one now.
    fn changed(&self, texts: &Overlay) -> BTreeSet<String> {
        let names = self.texts.keys().chain(texts.keys());
        names.filter(|name| self.texts.get(*name) != texts.get(*name)).cloned().collect()
    }
}

/// Returns a digest of all that a task says, except for the texts of its files.
fn key(task: &Task) -> Digest {
    let Task { subject, assignment, main, reason, tree, around, container, operands, by, program, .. } = task;
    let flags = [task.is_optional, task.is_of_inputs, task.must_not_run, task.is_of_controller];
    let what = format!("{subject:?} {main:?} {reason} {tree:?} {around:?} {operands:?} {by:?} {program:?} {flags:?}");
    Digest::of(format!("{what} {container:?} {:?}", assignment.plan).as_bytes())
}
