//! One JSON object on one line, as described in `docs/stability.md`.

use serde::Serialize;

use super::{
    CheckReport, CheckSubject, Checked, Fingerprints, GoneEntry, LapsedPart, Located, Suppressed, Suppression,
    Unchecked,
};
use crate::report::found::Found;

#[derive(Serialize)]
struct JsonReport<'a> {
    version: u32,
    verdict: &'static str,
    inputs: Vec<JsonInput<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unjudged: Vec<JsonUnchecked<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline: Option<JsonBaseline<'a>>,
}

/// Effect of a baseline.
#[derive(Serialize)]
struct JsonBaseline<'a> {
    known: usize,
    gone: Vec<JsonGone<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lapsed: Vec<JsonLapsed<'a>>,
}

/// Part that is not validated any more.
#[derive(Serialize)]
struct JsonLapsed<'a> {
    #[serde(flatten)]
    subject: JsonSubject<'a>,
    why: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    former: &'a Option<String>,
    count: usize,
}

#[derive(Serialize)]
struct JsonGone<'a> {
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: &'a Option<String>,
    code: &'a str,
    count: usize,
}

#[derive(Serialize)]
struct JsonSubject<'a> {
    input: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

#[derive(Serialize)]
struct JsonInput<'a> {
    #[serde(flatten)]
    subject: JsonSubject<'a>,
    validator: &'a str,
    reason: &'a str,
    verdict: &'static str,
    findings: Vec<JsonFinding<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    suppressed: Vec<JsonSuppressed<'a>>,
}

/// Finding that does not count, with the decision.
#[derive(Serialize)]
struct JsonSuppressed<'a> {
    #[serde(flatten)]
    finding: JsonFinding<'a>,
    by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// Finding with the keys that only `check` has: its end, and object and key where they differ from those of the input.
#[derive(Serialize)]
struct JsonFinding<'a> {
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
    fingerprint: String,
}

#[derive(Serialize)]
struct JsonUnchecked<'a> {
    #[serde(flatten)]
    subject: JsonSubject<'a>,
    why: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
}

impl<'a> From<&'a CheckSubject> for JsonSubject<'a> {
    fn from(subject: &'a CheckSubject) -> Self {
        let (object, key) = (subject.object.as_deref(), subject.key.as_deref());
        Self { input: &subject.input, object, key, line: subject.line }
    }
}

impl<'a> JsonInput<'a> {
    fn new(checked: &'a Checked, prints: &mut Fingerprints) -> Self {
        let subject = &checked.subject;
        let findings = checked.findings.iter().map(|located| JsonFinding::new(subject, located, prints)).collect();
        let suppressed = checked.suppressed.iter();
        let suppressed = suppressed.map(|suppressed| JsonSuppressed::new(subject, suppressed, prints)).collect();
        Self {
            subject: subject.into(),
            validator: &checked.validator,
            reason: &checked.reason,
            verdict: checked.verdict().as_str(),
            findings,
            suppressed,
        }
    }
}

impl<'a> JsonSuppressed<'a> {
    fn new(subject: &CheckSubject, Suppressed { located, by }: &'a Suppressed, prints: &mut Fingerprints) -> Self {
        let (by, reason) = match by {
            Suppression::Baseline => ("baseline", None),
            Suppression::Ignored(reason) => ("ignore", reason.as_deref()),
        };
        Self { finding: JsonFinding::new(subject, located, prints), by, reason }
    }
}

impl<'a> From<&'a GoneEntry> for JsonGone<'a> {
    fn from(GoneEntry { file, object, key, code, count, .. }: &'a GoneEntry) -> Self {
        Self { file, object, key, code, count: *count }
    }
}

impl<'a> JsonFinding<'a> {
    fn new(subject: &CheckSubject, located: &'a Located, prints: &mut Fingerprints) -> Self {
        let end = located.end();
        let (object, key) = (located.object.as_deref(), located.key.as_deref());
        let own = (object, key) != (subject.object.as_deref(), subject.key.as_deref());
        Self {
            found: Found::from(&located.finding),
            end_line: end.map(|(line, _)| line),
            end_column: end.map(|(_, column)| column),
            object: object.filter(|_| own),
            key: key.filter(|_| own),
            fingerprint: prints.next(subject, located),
        }
    }
}

impl<'a> From<&'a Unchecked> for JsonUnchecked<'a> {
    fn from(unchecked: &'a Unchecked) -> Self {
        Self { subject: (&unchecked.subject).into(), why: &unchecked.why, help: unchecked.help.as_deref() }
    }
}

impl<'a> From<&'a LapsedPart> for JsonLapsed<'a> {
    fn from(LapsedPart { subject, why, former, count }: &'a LapsedPart) -> Self {
        Self { subject: subject.into(), why, former, count: *count }
    }
}

pub(super) fn render(report: &CheckReport) -> String {
    let mut prints = Fingerprints::default();
    let document = JsonReport {
        version: 1,
        verdict: report.verdict().map_or("nothing", |verdict| verdict.as_str()),
        inputs: report.checked.iter().map(|checked| JsonInput::new(checked, &mut prints)).collect(),
        unjudged: report.unchecked.iter().map(JsonUnchecked::from).collect(),
        baseline: report.gone.as_ref().map(|gone| JsonBaseline {
            known: report.counts().known,
            gone: gone.iter().map(JsonGone::from).collect(),
            lapsed: report.lapsed.iter().map(JsonLapsed::from).collect(),
        }),
    };
    // Serialization cannot fail: all keys of maps are strings.
    serde_json::to_string(&document).unwrap_or_default() + "\n"
}
