//! The label and the annotations by which an object chooses its validator: the same for `check` and for the webhook. Pure.

use std::fmt;

use crate::check::manifest::{LABEL, PREFIX, VALIDATOR};
use crate::config::{OBJECT_SETTINGS, SettingSpec};

/// Value that turns validation off.
pub const NONE: &str = "none";

/// Values of the label and the annotation that turn validation off.
const OFF: [&str; 2] = [NONE, "false"];

/// Values of the label that leave the choice of the validator to the annotation, to names and to contents.
const BY_ITSELF: [&str; 3] = ["true", "auto", ""];

/// Words that people write to turn something off, and on.
const OFF_WORDS: [&str; 6] = ["off", "no", "false", "disabled", "disable", "never"];
const ON_WORDS: [&str; 6] = ["on", "yes", "true", "enabled", "enable", "auto"];

/// Place of the name of a validator in an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NamedBy {
    /// Label, which selects the object for the webhook as well.
    Label,
    /// Annotation.
    Annotation,
}

/// Shows the kind and its name.
impl fmt::Display for NamedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label => write!(f, "label `{LABEL}`"),
            Self::Annotation => write!(f, "annotation `{VALIDATOR}`"),
        }
    }
}

/// Returns the name of the validator that an object chooses by its label, else by its annotation; `None` if it leaves the choice to names
/// and contents.
#[must_use]
pub fn chosen<T>(label: Option<T>, annotation: Option<T>, text: impl Fn(&T) -> &str) -> Option<(T, NamedBy)> {
    let named = label.filter(|label| !BY_ITSELF.contains(&text(label)));
    let annotated = || annotation.map(|annotation| (annotation, NamedBy::Annotation));
    named.map(|label| (label, NamedBy::Label)).or_else(annotated)
}

/// Returns true if the name of a validator turns validation off.
#[must_use]
pub fn is_off(name: &str) -> bool {
    OFF.contains(&name)
}

/// Returns the settings of its validator that an object has: `annotation` returns the value of one of its annotations.
pub fn settings(annotation: impl Fn(&str) -> Option<String>) -> Vec<(&'static SettingSpec, String)> {
    let given = |setting: &&'static SettingSpec| annotation(&format!("{PREFIX}{}", setting.name));
    OBJECT_SETTINGS.iter().filter_map(|setting| Some((*setting, given(setting)?))).collect()
}

/// Returns the remedy if the unknown name of a validator is a word of a switch.
#[must_use]
pub fn switch(name: &str, by: NamedBy) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    match by {
        _ if OFF_WORDS.contains(&name.as_str()) => Some("write `none` to turn the validation off"),
        _ if !ON_WORDS.contains(&name.as_str()) => None,
        NamedBy::Label => Some("name a validator, or write `auto` to leave the choice to names and contents"),
        NamedBy::Annotation => {
            Some("name a validator, or remove the annotation to leave the choice to names and contents")
        }
    }
}
