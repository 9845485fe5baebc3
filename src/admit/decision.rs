//! The decision about an object: validation, comparison with the stored object, and the rules for denials. Pure.

use std::collections::{BTreeMap, BTreeSet};

use reload_gate_contract::{Code, Finding, Severity, Verdict};

use super::policy::{self, SelectedValidation, Sibling};
use super::review::{MOST_KEYS, Operation, Review, ReviewedObject};
use crate::check::check_objects;
use crate::check::render::{CheckReport, Located};

/// Objects that are denied (`--deny`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deny {
    /// Those that are rejected.
    #[default]
    Rejected,
    /// None: errors are warnings.
    Never,
}

/// Name in the place of a validator where the settings of an object are wrong.
const NO_VALIDATOR: &str = "reload-gate";

const TOO_MANY_KEYS: Code = Code::new("too-many-keys");

/// Rules for denials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DenialRules {
    /// Objects that are denied.
    pub deny: Deny,
    /// True if an object with errors is denied though the stored one has them already.
    pub deny_unchanged: bool,
}

/// Result of the look at an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdmissionDecision {
    /// Verdict on the object; `None` if it was not looked at.
    pub verdict: Option<Verdict>,
    /// True if it may not be stored.
    pub is_denied: bool,
    /// Validators that ran.
    pub validators: BTreeSet<String>,
    /// Errors that deny it, or would.
    pub errors: Vec<ObjectFinding>,
    /// Errors that the stored object has as well.
    pub known: Vec<ObjectFinding>,
    /// Errors on lines that were there already, which an error that is mended now may have hidden.
    pub hidden: Vec<ObjectFinding>,
    /// Warnings, and obstacles to the validation.
    pub others: Vec<ObjectFinding>,
    /// Errors that a comment or an annotation ignores, with the reason.
    pub ignored: Vec<(ObjectFinding, String)>,
    /// Parts that were not validated, with the reason.
    pub unchecked: Vec<String>,
    /// Reasons why objects that it should have been validated with could not be read.
    pub unread: Vec<String>,
    /// Other remarks.
    pub notes: Vec<String>,
}

/// Finding in an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectFinding {
    /// The object, if it is another one than that of the review.
    pub other: Option<String>,
    /// The finding, with the key as its file.
    pub finding: Finding,
}

/// Object that is validated together with the one of a review; `None` if there is none of that name.
pub type BesideObject = (Sibling, Option<ReviewedObject>);

impl AdmissionDecision {
    /// Returns the decision about an object that was not looked at.
    #[must_use]
    pub fn without_look() -> Self {
        Self::default()
    }

    /// Returns the decision about an object that could not be validated.
    #[must_use]
    pub fn open(why: impl Into<String>) -> Self {
        Self { verdict: Some(Verdict::Inconclusive), unchecked: vec![why.into()], ..Self::default() }
    }

    /// Notes objects that it should have been validated with. Without one that cannot be read it is not known to be valid.
    #[must_use]
    pub fn without(mut self, missing: Vec<String>, unread: Vec<String>) -> Self {
        if !unread.is_empty() && self.verdict == Some(Verdict::Accepted) {
            self.verdict = Some(Verdict::Inconclusive);
        }
        self.notes.extend(missing);
        self.unread = unread;
        self
    }

    /// Returns the reason why the validation is not complete, if it is not.
    #[must_use]
    pub fn obstacle(&self) -> Option<&str> {
        self.unchecked.first().or(self.unread.first()).map(String::as_str)
    }

    /// Returns all findings, the gravest first.
    pub fn findings(&self) -> impl Iterator<Item = &ObjectFinding> {
        self.errors.iter().chain(&self.known).chain(&self.hidden).chain(&self.others)
    }
}

/// Returns true if an object needs a look: it is new, or differs from the stored one in what counts.
#[must_use]
pub fn needs_look(review: &Review, rules: DenialRules) -> bool {
    match (&review.object, &review.old) {
        (None, _) => false,
        (Some(object), Some(old)) if !rules.deny_unchanged => !policy::is_same(object, old),
        (Some(_), _) => review.operation != Operation::Other,
    }
}

/// Decides about the object of a review.
#[must_use]
pub fn decide(
    review: &Review,
    selection: &SelectedValidation,
    beside: &[BesideObject],
    rules: DenialRules,
) -> AdmissionDecision {
    let Some(object) = &review.object else { return AdmissionDecision::without_look() };
    if object.has_too_many_keys() {
        return oversized(review.old.as_ref(), rules);
    }
    let others = beside.iter().filter_map(|(_, other)| other.as_ref());
    if others.map(|other| other.contents.len()).sum::<usize>() + object.contents.len() > MOST_KEYS {
        return AdmissionDecision::open(format!("it and the objects of its program have more than {MOST_KEYS} keys"));
    }
    let report = validate(object, selection, beside);
    let (verdict, mut notes) = (Some(verdict(&report)), policy::unknown_annotations(object));
    if object.contents.is_empty() {
        notes.push("the object has no files, so nothing was validated".to_owned());
    }
    notes.extend(review.old.as_ref().and_then(|old| selection.lost_main(old, object)));
    let mut decision = AdmissionDecision { verdict, notes, ..AdmissionDecision::default() };
    let validators = report.checked.iter().map(|checked| checked.validator.to_string());
    decision.validators.extend(validators.filter(|name| !name.is_empty() && name != NO_VALIDATOR));
    decision.unchecked.extend(report.unchecked.iter().map(|unchecked| {
        let part = unchecked.subject.key.as_deref().map_or_else(String::new, |key| format!("{key}: "));
        format!("{part}{}", unchecked.why)
    }));
    if report.checked.is_empty() && !report.unchecked.is_empty() {
        decision.verdict = Some(Verdict::Inconclusive);
    }
    let suppressed = report.checked.iter().flat_map(|checked| &checked.suppressed);
    let suppressed = suppressed.filter(|suppressed| is_error(&suppressed.located.finding));
    decision.ignored = suppressed
        .map(|suppressed| (shown(object, selection, suppressed.located.clone()), suppressed.by.to_string()))
        .collect();
    let findings = report.checked.into_iter().flat_map(|checked| checked.findings);
    let findings = findings.map(|located| shown(object, selection, located));
    let (errors, others): (Vec<_>, Vec<_>) = findings.partition(|found| is_error(&found.finding));
    decision.others = others;
    decision.errors = errors;
    // A stored object that is too large has no known errors.
    let old = review.old.as_ref().filter(|old| !rules.deny_unchanged && !old.has_too_many_keys());
    if let Some(old) = old.filter(|_| !decision.errors.is_empty()) {
        let before = stored_errors(old, selection, beside);
        let stored = StoredErrors { before: &before, old, new: object };
        let compared = stored.split(std::mem::take(&mut decision.errors));
        (decision.known, decision.hidden, decision.errors) = (compared.known, compared.hidden, compared.new);
    }
    decision.is_denied = rules.deny == Deny::Rejected && !decision.errors.is_empty();
    decision
}

/// Decides about an object that is too large to be validated, so that its keys hide no other error.
fn oversized(old: Option<&ReviewedObject>, rules: DenialRules) -> AdmissionDecision {
    let message = format!("the object has more than {MOST_KEYS} keys, so none of them was validated");
    let finding =
        Finding::error(TOO_MANY_KEYS, message).help("split it, or give it no label and no rule for validation");
    let found = vec![ObjectFinding { other: None, finding }];
    let is_known = !rules.deny_unchanged && old.is_some_and(ReviewedObject::has_too_many_keys);
    let (known, errors) = if is_known { (found, Vec::new()) } else { (Vec::new(), found) };
    let is_denied = rules.deny == Deny::Rejected && !errors.is_empty();
    AdmissionDecision { verdict: Some(Verdict::Rejected), is_denied, known, errors, ..AdmissionDecision::default() }
}

/// Returns a finding in an object as people see it.
fn shown(object: &ReviewedObject, selection: &SelectedValidation, located: Located) -> ObjectFinding {
    let own = format!("{} {}/{}", object.kind(), object.namespace, object.name);
    ObjectFinding { other: located.object.filter(|other| *other != own), finding: selection.placed(located.finding) }
}

/// Returns the errors of the stored object: those by its own label and annotations, and in the files that these leave unvalidated those by
/// the new ones. A mistake in a label or an annotation is thus an error of the object that has it.
fn stored_errors(old: &ReviewedObject, selection: &SelectedValidation, beside: &[BesideObject]) -> Vec<ObjectFinding> {
    let errors_in = |selection: &SelectedValidation, report: CheckReport| {
        let findings = report.checked.into_iter().flat_map(|checked| checked.findings);
        let all = findings.map(|located| shown(old, selection, located));
        all.filter(|found| is_error(&found.finding)).collect::<Vec<_>>()
    };
    let key = |found: &ObjectFinding| {
        let key = file(found).filter(|key| found.other.is_none() && old.contents.contains_key(*key));
        key.map(str::to_owned)
    };
    let mut errors = Vec::new();
    let mut open: BTreeSet<String> = old.contents.keys().cloned().collect();
    if let Some(own) = &selection.stored {
        let report = validate(old, own, beside);
        let name = format!("{} {}/{}", old.kind(), old.namespace, old.name);
        let unchecked = report.unchecked.iter().map(|unchecked| &unchecked.subject);
        let unchecked = unchecked.filter(|subject| subject.object.as_deref().is_none_or(|object| object == name));
        let unchecked: BTreeSet<String> =
            unchecked.filter_map(|subject| subject.key.as_deref().map(str::to_owned)).collect();
        errors = errors_in(own, report);
        // A mistake in the settings leaves all of it unvalidated.
        let is_unfit = errors.iter().any(|found| found.other.is_none() && key(found).is_none());
        if !is_unfit {
            open = unchecked;
        }
        for key in errors.iter().filter_map(key) {
            open.remove(&key);
        }
    }
    if !open.is_empty() {
        let hidden = errors_in(selection, validate(old, selection, beside)).into_iter();
        errors.extend(hidden.filter(|found| key(found).is_some_and(|key| open.contains(&key))));
    }
    errors
}

fn validate(object: &ReviewedObject, selection: &SelectedValidation, beside: &[BesideObject]) -> CheckReport {
    let others = beside.iter().filter_map(|(sibling, object)| Some(policy::beside(object.as_ref()?, sibling)));
    check_objects(std::iter::once(selection.given(object)).chain(others).collect(), &selection.assignments)
}

fn verdict(report: &CheckReport) -> Verdict {
    Verdict::of(report.checked.iter().flat_map(|checked| &checked.findings).map(|located| &located.finding))
}

fn is_error(finding: &Finding) -> bool {
    Verdict::of([finding]) == Verdict::Rejected && finding.severity == Severity::Error
}

/// Errors of the stored object, for the comparison with those of its successor.
struct StoredErrors<'s> {
    before: &'s [ObjectFinding],
    old: &'s ReviewedObject,
    new: &'s ReviewedObject,
}

/// Errors by their relation to the stored object.
#[derive(Default)]
struct ComparedErrors {
    known: Vec<ObjectFinding>,
    hidden: Vec<ObjectFinding>,
    new: Vec<ObjectFinding>,
}

/// Finding without its position: object, key, code, message, and text of the line.
type Sameness<'f> = (Option<&'f str>, &'f str, &'f str, &'f str, &'f [u8]);

impl StoredErrors<'_> {
    /// Splits errors into those that the stored object has as well, those that an error of it may have hidden, and those that are new.
    ///
    /// An error on a line that was there already may have been hidden if an earlier error of that file is gone: a validator that stops at
    /// the first error had not seen the rest.
    fn split(&self, errors: Vec<ObjectFinding>) -> ComparedErrors {
        let mut left: BTreeMap<Sameness<'_>, usize> = BTreeMap::new();
        for found in self.before {
            *left.entry(sameness(found, self.old)).or_default() += 1;
        }
        let is_known = errors.iter().map(|found| {
            let count = left.get_mut(&sameness(found, self.new)).filter(|count| **count > 0);
            count.map(|count| *count -= 1).is_some()
        });
        let is_known: Vec<bool> = is_known.collect();
        // What is left of the stored errors is mended. Only they may have hidden others.
        let mended: Vec<&ObjectFinding> = self
            .before
            .iter()
            .filter(|found| left.get(&sameness(found, self.old)).is_some_and(|count| *count > 0))
            .collect();
        let is_hidden: Vec<bool> = errors.iter().map(|found| self.was_hidden(found, &mended)).collect();
        let mut compared = ComparedErrors::default();
        for ((found, is_known), is_hidden) in errors.into_iter().zip(is_known).zip(is_hidden) {
            let kind = match (is_known, is_hidden) {
                (true, _) => &mut compared.known,
                (false, true) => &mut compared.hidden,
                (false, false) => &mut compared.new,
            };
            kind.push(found);
        }
        compared
    }

    fn was_hidden(&self, found: &ObjectFinding, mended: &[&ObjectFinding]) -> bool {
        let text = line(found, self.new);
        let Some(contents) = file(found).and_then(|file| self.old.contents.get(file)) else { return false };
        if text.is_empty() || found.other.is_some() {
            return false;
        }
        let first = mended.iter().filter(|other| other.other.is_none() && file(other) == file(found));
        let Some(first) = first.map(|found| number(found).unwrap_or(1)).min() else { return false };
        let rest = contents.split(|byte| *byte == b'\n').skip(first.saturating_sub(1));
        rest.map(<[u8]>::trim_ascii).any(|line| line == text)
    }
}

fn sameness<'f>(found: &'f ObjectFinding, object: &'f ReviewedObject) -> Sameness<'f> {
    let ObjectFinding { other, finding } = found;
    (
        other.as_deref(),
        file(found).unwrap_or_default(),
        finding.code.as_str(),
        &finding.message,
        if other.is_some() { &[] } else { line(found, object) },
    )
}

fn file(found: &ObjectFinding) -> Option<&str> {
    found.finding.place.as_ref().map(|place| place.file.as_str())
}

fn number(found: &ObjectFinding) -> Option<usize> {
    usize::try_from(found.finding.place.as_ref()?.line?).ok()
}

/// Returns the text of the line of a finding, without the blanks around it.
fn line<'o>(found: &ObjectFinding, object: &'o ReviewedObject) -> &'o [u8] {
    let text = file(found).and_then(|file| object.contents.get(file)).zip(number(found));
    let line = text.and_then(|(text, number)| text.split(|byte| *byte == b'\n').nth(number.checked_sub(1)?));
    line.map(<[u8]>::trim_ascii).unwrap_or_default()
}
