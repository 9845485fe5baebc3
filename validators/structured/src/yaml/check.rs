//! Judges a file of YAML.

use reload_gate_contract::Finding;

use super::{Broken, documents, twice};
use crate::codes;
use crate::text::{Report, decode};

/// Judges all documents of a file of YAML 1.2: the first syntax error of each, and all duplicate keys.
#[must_use]
pub fn check(path: &str, text: &[u8]) -> Vec<Finding> {
    let text = match decode(path, text) {
        Ok(text) => text,
        Err(finding) => return vec![*finding],
    };
    let mut report = Report::new(path, text);
    let mut add = |broken: Broken| {
        let finding = Finding { cause: broken.cause, ..Finding::error(broken.code, broken.message) };
        report.add(Finding { help: remedy(&finding).map(str::to_owned), ..finding }, broken.span);
    };
    for document in documents(text) {
        match document {
            Ok(document) => document.repeated.iter().map(twice).for_each(&mut add),
            Err(broken) => add(broken),
        }
    }
    report.finish()
}

fn remedy(finding: &Finding) -> Option<&'static str> {
    match finding.code {
        codes::YAML_TAB => Some("indent with spaces"),
        codes::DUPLICATE_KEY => Some("remove one of the two"),
        codes::YAML_ALIAS => Some("define the anchor with `&name` above; or quote the text if no alias is meant"),
        _ => None,
    }
}
