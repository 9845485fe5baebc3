//! SARIF 2.1.0 (OASIS Standard, with Errata 01), for code scanning.
//!
//! An accepted validation gives no result, though the standard has a `kind` for it: GitHub's code scanning shows every result as an
//! alert. An obstacle is a notification of the run, as in the standard. It is a result of level "warning" as well, since code scanning
//! does not show notifications, and an alert of level "error" would mean that the configuration is wrong.

use std::collections::{BTreeMap, HashMap};

use reload_gate_contract::{Severity, Verdict};
use serde::Serialize;
use serde_json::{Value, json};

use super::fix::TextFix;
use super::rule::{self, Description};
use super::{CheckReport, Checked, Fingerprints, Located, Suppression, part};
use crate::report::log::visible;

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

#[derive(Serialize)]
struct Region {
    #[serde(rename = "startLine")]
    start_line: u32,
    #[serde(rename = "startColumn", skip_serializing_if = "Option::is_none")]
    start_column: Option<u32>,
    #[serde(rename = "endLine", skip_serializing_if = "Option::is_none")]
    end_line: Option<u32>,
    #[serde(rename = "endColumn", skip_serializing_if = "Option::is_none")]
    end_column: Option<u32>,
}

pub(super) fn render(report: &CheckReport) -> String {
    let found = || report.checked.iter().flat_map(all_of);
    let mut rules = BTreeMap::new();
    for (checked, located, _) in found() {
        let code = located.finding.code.as_str();
        rules.entry(code).or_insert_with(|| rule(code, checked, located));
    }
    let index: HashMap<_, _> = rules.keys().enumerate().map(|(index, code)| (*code, index)).collect();
    let mut prints = Fingerprints::default();
    let results: Vec<_> = found()
        .map(|(checked, located, by)| {
            let print = prints.next(&checked.subject, located);
            let result = result(checked, located, index[located.finding.code.as_str()], &print);
            with_state(result, by, report.gone.is_some())
        })
        .collect();
    let obstacles = found().filter(|(_, located, _)| located.is_obstacle());
    let remarks = report.lapsed.iter().map(|lapsed| remark("lapsed", &lapsed.to_string()));
    let gone = report.gone_lines().into_iter().map(|line| remark("gone", &line));
    let notifications = obstacles.map(|(checked, located, _)| notification(checked, located));
    let notifications: Vec<_> = notifications.chain(remarks).chain(gone).collect();
    let driver = json!({
        "name": env!("CARGO_PKG_NAME"),
        "semanticVersion": env!("CARGO_PKG_VERSION"),
        "informationUri": REPOSITORY,
        "rules": rules.into_values().collect::<Vec<_>>(),
    });
    let invocation = json!({
        "executionSuccessful": report.checked.iter().all(|checked| checked.verdict() != Verdict::Inconclusive),
        "toolExecutionNotifications": notifications,
    });
    let run = json!({
        "tool": { "driver": driver },
        "invocations": [invocation],
        "columnKind": "unicodeCodePoints",
        "results": results,
    });
    let log = json!({ "$schema": SCHEMA, "version": "2.1.0", "runs": [run] });
    format!("{log}\n")
}

/// Returns all findings of a validation, with the suppression of those that have one.
fn all_of(checked: &Checked) -> impl Iterator<Item = (&Checked, &Located, Option<&Suppression>)> {
    let open = checked.findings.iter().map(move |located| (checked, located, None));
    let suppressed = checked.suppressed.iter();
    open.chain(suppressed.map(move |suppressed| (checked, &suppressed.located, Some(&suppressed.by))))
}

/// Adds the suppression to a result, and its state against the baseline, if there is one.
fn with_state(mut result: Value, by: Option<&Suppression>, has_baseline: bool) -> Value {
    if has_baseline {
        let is_known = by == Some(&Suppression::Baseline);
        result["baselineState"] = if is_known { "unchanged" } else { "new" }.into();
    }
    if let Some(by) = by {
        let kind = if *by == Suppression::Baseline { "external" } else { "inSource" };
        result["suppressions"] =
            json!([{ "kind": kind, "status": "accepted", "justification": visible(&by.to_string()) }]);
    }
    result
}

/// Returns the rule of a code, with its description from the documentation.
fn rule(code: &str, checked: &Checked, located: &Located) -> Value {
    let Description { page, text, markdown } = rule::describe(checked, located);
    let uri = format!("{REPOSITORY}/blob/main/docs/{page}");
    let level = if located.is_obstacle() { Severity::Warning } else { located.finding.severity };
    json!({
        "id": code,
        "shortDescription": { "text": code.replace('-', " ") },
        "fullDescription": { "text": text },
        "help": { "text": format!("{text}\n{uri}"), "markdown": format!("{markdown}\n\n[Documentation]({uri})") },
        "helpUri": uri,
        "defaultConfiguration": { "level": level.as_str() },
        "properties": { "tags": ["configuration"] },
    })
}

fn result(checked: &Checked, located: &Located, rule: usize, fingerprint: &str) -> Value {
    let finding = &located.finding;
    let level = if located.is_obstacle() { Severity::Warning } else { finding.severity };
    let mut result = json!({
        "ruleId": finding.code.as_str(),
        "ruleIndex": rule,
        "level": level.as_str(),
        "message": { "text": message(located) },
        "locations": [location(checked, located)],
        "partialFingerprints": { "reloadGate/v1": fingerprint },
        "properties": { "validator": &*checked.validator },
    });
    if let Some(fix) = located.fix() {
        result["fixes"] = json!([proposal(&located.place(&checked.subject).file, fix)]);
    }
    result
}

/// Returns a correction as the standard has it (3.55).
fn proposal(file: &str, TextFix { start, end, new, .. }: TextFix) -> Value {
    let region =
        Region { start_line: start.0, start_column: Some(start.1), end_line: Some(end.0), end_column: Some(end.1) };
    let replacement = json!({ "deletedRegion": region, "insertedContent": { "text": new } });
    let change = json!({ "artifactLocation": artifact(file), "replacements": [replacement] });
    json!({ "description": { "text": "correct it" }, "artifactChanges": [change] })
}

fn notification(checked: &Checked, located: &Located) -> Value {
    json!({
        "associatedRule": { "id": located.finding.code.as_str() },
        "level": "error",
        "message": { "text": message(located) },
        "locations": [location(checked, located)],
    })
}

/// Returns a notification about an entry of the baseline.
fn remark(kind: &str, text: &str) -> Value {
    json!({ "descriptor": { "id": format!("baseline-{kind}") }, "level": "note", "message": { "text": text } })
}

fn message(located: &Located) -> String {
    let finding = &located.finding;
    let checked = if located.is_obstacle() { "this could not be validated: " } else { "" };
    let help = finding.help.as_ref().map_or_else(String::new, |help| format!("\nhelp: {}", visible(help)));
    format!("{checked}{}{help}", visible(&finding.message))
}

/// Returns the place of a finding, or of its subject: an alert without a place is not shown.
fn location(checked: &Checked, located: &Located) -> Value {
    let place = located.place(&checked.subject);
    let end = located.end();
    let region = place.line.filter(|line| *line > 0).map(|start_line| Region {
        start_line,
        start_column: place.column.filter(|column| *column > 0),
        end_line: end.map(|(line, _)| line),
        end_column: end.map(|(_, column)| column),
    });
    let mut location = json!({ "physicalLocation": { "artifactLocation": artifact(&place.file) } });
    if let Some(region) = region {
        location["physicalLocation"]["region"] = json!(region);
    }
    let (object, key) = located.part(&checked.subject);
    if let Some(name) = part((object, key)) {
        let kind = if key.is_some() { "member" } else { "object" };
        location["logicalLocations"] = json!([{ "name": key.or(object), "fullyQualifiedName": name, "kind": kind }]);
    }
    location
}

/// A path as a URI. A relative one is below the root of the sources, from where `check` is run; one which leads out of there, and
/// standard input, is below nothing.
fn artifact(path: &str) -> Value {
    if path == "-" {
        return json!({ "uri": "-", "description": { "text": "standard input" } });
    }
    let path = path.trim_start_matches("./");
    let encoded = encoded(path);
    if path.starts_with('/') {
        return json!({ "uri": format!("file://{encoded}") });
    }
    if path.split('/').any(|name| name == "..") {
        return json!({ "uri": encoded });
    }
    json!({ "uri": encoded, "uriBaseId": "%SRCROOT%" })
}

/// Everything but the unreserved characters of RFC 3986 (section 2.3) and `/`, as percent and two digits a byte.
fn encoded(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => encoded.push(byte.into()),
            _ => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}
