//! Judges a file of YAML.

use reload_gate_contract::{Finding, Place};

use super::{Broken, documents, twice};
use crate::codes;
use crate::text::decode;

/// Limit of findings in one file.
const MOST_FINDINGS: usize = 100;

/// Judges all documents of a file of YAML 1.2: the first syntax error of each, and all duplicate keys.
#[must_use]
pub fn check(path: &str, text: &[u8]) -> Vec<Finding> {
    let text = match decode(path, text) {
        Ok(text) => text,
        Err(finding) => return vec![*finding],
    };
    let of = |broken: Broken| {
        let finding = Finding { cause: broken.cause, ..Finding::error(broken.code, broken.message) };
        let finding = finding.at(Place::span(path, text.as_bytes(), broken.span));
        Finding { help: remedy(&finding).map(str::to_owned), ..finding }
    };
    let broken = documents(text).flat_map(|document| match document {
        Ok(document) => document.repeated.iter().map(twice).collect(),
        Err(broken) => vec![broken],
    });
    let mut findings: Vec<_> = broken.take(MOST_FINDINGS).map(of).collect();
    findings.sort_by_key(|finding| finding.place.as_ref().and_then(|place| place.span));
    findings
}

fn remedy(finding: &Finding) -> Option<&'static str> {
    match finding.code {
        codes::YAML_TAB => Some("indent with spaces"),
        codes::DUPLICATE_KEY => Some("remove one of the two"),
        codes::YAML_ALIAS => Some("define the anchor with `&name` above; or quote the text if no alias is meant"),
        _ => None,
    }
}
