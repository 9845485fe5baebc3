//! The choice of validators for an object: by the configuration file of the webhook, or by the labels and annotations of the object. Pure.
//!
//! The configuration file belongs to those that run the cluster, so it takes precedence over what the author of an object writes.

use std::path::PathBuf;

use reload_gate_contract::Finding;

use super::review::{Review, ReviewedObject};
use crate::check::choice::{self, NONE, NamedBy};
use crate::check::manifest::{IGNORE, Id, VALIDATOR};
pub use crate::check::manifest::{LABEL, PREFIX};
use crate::check::{GivenObject, main_key};
use crate::config::{AdmissionRule, AdmissionRules, Assignments, OBJECT_SETTINGS, Preset, presets};
use crate::sys::suggest::suggestion;

/// Annotations that other parts of reload-gate write to an object.
const WRITTEN: [&str; 3] = ["digest", "verified-at", "verified-by"];

/// Finding that a validator is unknown, or lacks a setting.
const UNKNOWN_VALIDATOR: &str = "unknown-validator";

/// Findings about the annotation that ignores findings, if they have no place in a file.
const OF_IGNORE: [&str; 2] = ["unused-ignore", "ignore-without-reason"];

/// Another object that is validated together with the one of a review.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sibling {
    /// Name of the ConfigMap.
    pub name: String,
    /// Directory at which the program sees it.
    pub mount: PathBuf,
}

/// Chosen validation of an object.
#[derive(Debug)]
pub struct SelectedValidation {
    /// Validators.
    pub assignments: Assignments,
    /// Name of the validator that the object itself names.
    validator: Option<String>,
    /// Place of that name, unless it is a rule.
    named_by: Option<NamedBy>,
    /// Directory at which a program sees the object, if it is validated together with others.
    mount: Option<PathBuf>,
    /// The others.
    pub siblings: Vec<Sibling>,
    /// Validation of the stored object, by its own label and annotations; `None` if nothing selects it.
    pub stored: Option<Box<SelectedValidation>>,
}

/// Returns the validation of the object of a review; `None` if nothing selects it.
#[must_use]
pub fn select(rules: &AdmissionRules, review: &Review) -> Option<SelectedValidation> {
    let selected = of_object(rules, review.object.as_ref()?)?;
    let stored = review.old.as_ref().and_then(|old| of_object(rules, old)).map(Box::new);
    Some(SelectedValidation { stored, ..selected })
}

fn of_object(rules: &AdmissionRules, object: &ReviewedObject) -> Option<SelectedValidation> {
    let chosen: Vec<&AdmissionRule> = rules.rules.iter().filter(|rule| covers(rule, object)).collect();
    if !chosen.is_empty() {
        let assignments = rules.assignments.with(chosen.iter().map(|rule| rule.rule.clone()).collect(), &[]);
        let together = chosen.iter().find(|rule| !rule.together.is_empty());
        let own = together.and_then(|rule| rule.together.iter().find(|part| part.name == object.name));
        let others = together.iter().flat_map(|rule| &rule.together).filter(|part| part.name != object.name);
        let siblings = others.map(|part| Sibling { name: part.name.clone(), mount: part.mount.clone() });
        let (mount, siblings) = (own.map(|part| part.mount.clone()), siblings.collect());
        // What no rule covers is not validated.
        let (validator, named_by) = (Some(NONE.to_owned()), None);
        return Some(SelectedValidation { assignments, validator, named_by, mount, siblings, stored: None });
    }
    let label = object.labels.get(LABEL)?;
    let named = choice::chosen(Some(label), object.annotations.get(VALIDATOR), |name| name);
    if named.is_some_and(|(name, _)| choice::is_off(name)) {
        return None;
    }
    let settings = choice::settings(|name| object.annotations.get(name).cloned());
    let (validator, named_by) = named.map(|(name, by)| (name.clone(), by)).unzip();
    let assignments = rules.assignments.with(Vec::new(), &settings);
    Some(SelectedValidation { assignments, validator, named_by, mount: None, siblings: Vec::new(), stored: None })
}

/// Returns a remark on each annotation of an object that has the prefix of reload-gate and means nothing here.
#[must_use]
pub fn unknown_annotations(object: &ReviewedObject) -> Vec<String> {
    let settings = OBJECT_SETTINGS.iter().map(|setting| format!("{PREFIX}{}", setting.name));
    let known: Vec<String> = settings.chain([VALIDATOR.to_owned(), IGNORE.to_owned()]).collect();
    let names = object.annotations.keys().filter(|name| {
        let own = name.strip_prefix(PREFIX);
        own.is_some_and(|own| !known.contains(name) && !WRITTEN.contains(&own))
    });
    let remark =
        |name: &String| format!("unknown annotation `{name}`{}", suggestion(name, known.iter().map(String::as_str)));
    names.map(remark).collect()
}

/// Returns true if a rule is about an object.
fn covers(rule: &AdmissionRule, object: &ReviewedObject) -> bool {
    let is_kind = rule.kind.is_none_or(|kind| kind == object.kind());
    let is_part =
        rule.together.is_empty() || (!object.is_secret && rule.together.iter().any(|part| part.name == object.name));
    is_kind
        && is_part
        && rule.namespaces.iter().any(|glob| glob.is_match(&object.namespace))
        && rule.names.iter().any(|glob| glob.is_match(&object.name))
}

impl SelectedValidation {
    /// Returns an object as it is validated.
    #[must_use]
    pub fn given(&self, object: &ReviewedObject) -> GivenObject {
        GivenObject { validator: self.validator.clone(), mount: self.mount.clone(), ..given(object) }
    }

    /// Returns a finding with the label or annotation that it is about, if it is about one and has no place in a file.
    #[must_use]
    pub fn placed(&self, finding: Finding) -> Finding {
        let is_nowhere = finding.place.as_ref().is_none_or(|place| place.file.is_empty());
        let is_of_ignore = OF_IGNORE.contains(&finding.code.as_str());
        // A setting with an error is named already.
        let is_of_name = finding.code.as_str() == UNKNOWN_VALIDATOR && !finding.message.starts_with("`--");
        let (subject, help) = match (&self.validator, self.named_by) {
            _ if !is_nowhere => return finding,
            _ if is_of_ignore => (format!("annotation `{IGNORE}`"), None),
            (Some(name), Some(by)) if is_of_name => (by.to_string(), choice::switch(name, by)),
            _ => return finding,
        };
        let help = help.map(str::to_owned).or(finding.help);
        Finding { message: format!("{subject}: {}", finding.message), help, ..finding }
    }

    /// Returns a remark on an update that leaves a program without the file with which its configuration begins.
    #[must_use]
    pub fn lost_main(&self, old: &ReviewedObject, new: &ReviewedObject) -> Option<String> {
        let of_rules = self.assignments.rules.iter().filter_map(|rule| rule.assignment.preset.as_ref());
        let of_rules: Vec<&str> = of_rules.map(|preset| preset.name).collect();
        let is_chosen = |preset: &&Preset| match self.validator.as_deref() {
            Some(NONE) => of_rules.contains(&preset.name),
            Some(name) => preset.name == name,
            None => true,
        };
        presets().iter().filter(is_chosen).find_map(|preset| {
            let main = main_key(preset, &old.contents)?;
            if main_key(preset, &new.contents).is_some() {
                return None;
            }
            let program = preset.name;
            Some(if new.contents.contains_key(main) {
                format!("`{main}` is no whole configuration of {program} any more, and is validated as a part of one")
            } else {
                format!("this update removes `{main}`, with which the configuration of {program} begins")
            })
        })
    }
}

/// Returns an object that is validated together with another one.
#[must_use]
pub fn beside(object: &ReviewedObject, sibling: &Sibling) -> GivenObject {
    GivenObject { mount: Some(sibling.mount.clone()), ..given(object) }
}

fn given(object: &ReviewedObject) -> GivenObject {
    let id =
        Id { kind: object.kind().to_owned(), namespace: Some(object.namespace.clone()), name: object.name.clone() };
    let ignore = object.annotations.get(IGNORE).cloned();
    GivenObject { id, validator: None, ignore, contents: object.contents.clone(), mount: None }
}

/// Returns true if the same validation would have the same result for both objects.
#[must_use]
pub fn is_same(one: &ReviewedObject, other: &ReviewedObject) -> bool {
    let own = |object: &ReviewedObject| {
        let annotations = object.annotations.iter().filter(|(name, _)| name.starts_with(PREFIX));
        annotations.map(|(name, value)| (name.clone(), value.clone())).collect::<Vec<_>>()
    };
    // Of too many keys only the first ones are known.
    !one.has_too_many_keys()
        && one.contents == other.contents
        && one.labels.get(LABEL) == other.labels.get(LABEL)
        && own(one) == own(other)
}
