//! The words of an answer, as clients such as kubectl show them. Pure.

use std::borrow::Cow;

use reload_gate_contract::Verdict;

use super::decision::{AdmissionDecision, ObjectFinding};
use super::policy::PREFIX;
use super::review::{Answer, ReviewedObject};
use crate::config::OBJECT_SETTINGS;
use crate::report::log::visible;

/// Largest number of findings in a denial.
const MOST_ERRORS: usize = 10;

/// Largest number of warnings: all of them together have a limit of 4,096 characters in the API server (`warning.go` of
/// k8s.io/apiserver), which drops what is beyond.
const MOST_WARNINGS: usize = 15;

/// Largest number of characters of a message or help in a denial, which may quote a long word.
const LONGEST_MESSAGE: usize = 400;

/// Largest number of characters of a warning, beyond which the API server may cut it (the same file).
const LONGEST_WARNING: usize = 250;

/// Returns the answer for a decision.
#[must_use]
pub fn answer(decision: &AdmissionDecision, object: &ReviewedObject) -> Answer {
    let Some(verdict) = decision.verdict else { return Answer::allowed() };
    let denial = decision.is_denied.then(|| denial(decision, object));
    Answer { denial, warnings: warnings(decision), verdict: Some(verdict.as_str()), patch: None }
}

/// Returns the name of an object for people.
#[must_use]
pub fn name(object: &ReviewedObject) -> String {
    format!("{} {}/{}", object.kind(), visible(&object.namespace), visible(&object.name))
}

/// Returns the reason of a denial: a headline, and each error on lines of its own.
fn denial(decision: &AdmissionDecision, object: &ReviewedObject) -> String {
    let count = decision.errors.len();
    let errors = if count == 1 { "1 error".to_owned() } else { format!("{count} errors") };
    let by: Vec<&str> = decision.validators.iter().map(String::as_str).collect();
    let by = if by.is_empty() { String::new() } else { format!(" ({})", by.join(", ")) };
    let mut text = format!("{errors} in {}{by}", name(object));
    for found in decision.errors.iter().take(MOST_ERRORS) {
        text += &format!("\n  {}", headline(found));
        if let Some(help) = &found.finding.help {
            text += &format!("\n    help: {}", worded(help, LONGEST_MESSAGE));
        }
    }
    if count > MOST_ERRORS {
        text += &format!("\n  and {} more", count - MOST_ERRORS);
    }
    text
}

/// Returns a finding as one line: place, message and code.
fn headline(found: &ObjectFinding) -> String {
    let other = found.other.as_deref().map_or_else(String::new, |other| format!("{} ", visible(other)));
    let place = found.finding.place.as_ref().map(ToString::to_string).filter(|_| !is_nowhere(found));
    let place = place.map_or_else(String::new, |place| format!("{}: ", visible(&place)));
    format!("{other}{place}{} ({})", worded(&found.finding.message, LONGEST_MESSAGE), found.finding.code)
}

/// Returns a text of a finding in the terms of an object: its annotations set what flags set elsewhere.
fn worded(text: &str, most: usize) -> String {
    let text = OBJECT_SETTINGS.iter().fold(text.to_owned(), |text, setting| {
        text.replace(&format!("`--{}`", setting.name), &format!("annotation `{PREFIX}{}`", setting.name))
    });
    cut(&visible(&text), most).into_owned()
}

/// Returns true if a finding is about an object as a whole.
fn is_nowhere(found: &ObjectFinding) -> bool {
    found.finding.place.as_ref().is_none_or(|place| place.file.is_empty())
}

/// Returns the warnings of an answer. Errors are among them where they do not deny.
fn warnings(decision: &AdmissionDecision) -> Vec<String> {
    let errors = decision.errors.iter().filter(|_| !decision.is_denied).map(|found| ("not denied: ", found));
    let known = decision.known.iter().map(|found| ("as stored: ", found));
    let hidden = decision.hidden.iter().map(|found| ("perhaps hidden before: ", found));
    let others = decision.others.iter().map(|found| ("", found));
    let found = errors.chain(known).chain(hidden).chain(others).map(|(kind, found)| {
        let help = found
            .finding
            .help
            .as_deref()
            .map_or_else(String::new, |help| format!("; {}", worded(help, LONGEST_MESSAGE)));
        format!("{kind}{}{help}", headline(found))
    });
    let ignored = decision
        .ignored
        .iter()
        .map(|(found, reason)| format!("ignored: {}: {}", headline(found), cut(&visible(reason), LONGEST_MESSAGE)));
    // Without an object beside it, it was validated in part.
    let is_open = decision.verdict == Some(Verdict::Inconclusive) && decision.unread.is_empty();
    let unchecked = decision.unchecked.iter().filter(|_| is_open).map(|why| format!("not validated: {}", visible(why)));
    let notes = decision.unread.iter().chain(&decision.notes);
    let notes = notes.map(|note| visible(note).into_owned());
    let mut all: Vec<String> = unchecked
        .chain(found)
        .chain(ignored)
        .chain(notes)
        .map(|text| cut(&text, LONGEST_WARNING).into_owned())
        .collect();
    let others = all.len().saturating_sub(MOST_WARNINGS);
    if others > 0 {
        all.truncate(MOST_WARNINGS - 1);
        all.push(format!("{} more warnings are left out", others + 1));
    }
    all
}

fn cut(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        Some((at, _)) => Cow::Owned(format!("{} …", &text[..at])),
        None => Cow::Borrowed(text),
    }
}
