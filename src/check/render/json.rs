//! One JSON object on one line, in the shape of `docs/stability.md`.

use serde::Serialize;

use super::{Checked, Located, Report, Subject, Unchecked};
use crate::report::found::Found;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    verdict: &'static str,
    inputs: Vec<Input<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unjudged: Vec<Skipped<'a>>,
}

#[derive(Serialize)]
struct Input<'a> {
    input: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    validator: &'a str,
    reason: &'a str,
    verdict: &'static str,
    findings: Vec<Entry<'a>>,
}

/// A finding as everywhere, and what only `check` knows of it: object and key where they are not the input's.
#[derive(Serialize)]
struct Entry<'a> {
    #[serde(flatten)]
    found: Found<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_column: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

#[derive(Serialize)]
struct Skipped<'a> {
    input: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    why: &'a str,
}

impl<'a> From<&'a Checked> for Input<'a> {
    fn from(checked: &'a Checked) -> Self {
        let subject = &checked.subject;
        Self {
            input: &subject.input,
            object: &subject.object,
            key: &subject.key,
            line: subject.line,
            validator: &checked.validator,
            reason: &checked.reason,
            verdict: checked.verdict().as_str(),
            findings: checked.findings.iter().map(|located| Entry::new(subject, located)).collect(),
        }
    }
}

impl<'a> Entry<'a> {
    fn new(subject: &Subject, located: &'a Located) -> Self {
        let end = located.end();
        let own = (&located.object, &located.key) != (&subject.object, &subject.key);
        Self {
            found: Found::from(&located.finding),
            end_line: end.map(|(line, _)| line),
            end_column: end.map(|(_, column)| column),
            object: located.object.as_deref().filter(|_| own),
            key: located.key.as_deref().filter(|_| own),
        }
    }
}

impl<'a> From<&'a Unchecked> for Skipped<'a> {
    fn from(unchecked: &'a Unchecked) -> Self {
        let subject = &unchecked.subject;
        Self {
            input: &subject.input,
            object: &subject.object,
            key: &subject.key,
            line: subject.line,
            why: &unchecked.why,
        }
    }
}

pub(super) fn render(report: &Report) -> String {
    let document = Document {
        version: 1,
        verdict: report.verdict().map_or("nothing", |verdict| verdict.as_str()),
        inputs: report.checked.iter().map(Input::from).collect(),
        unjudged: report.unchecked.iter().map(Skipped::from).collect(),
    };
    // No value in it can fail to be written: there are no maps with keys that are no strings.
    serde_json::to_string(&document).unwrap_or_default() + "\n"
}
