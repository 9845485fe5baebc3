//! Judges a file of YAML.

use reload_gate_contract::Finding;

use super::Broken;
use super::outline::Outliner;
use crate::text::{Report, decode, decode_utf16};
use crate::{codes, json};

/// Judges all documents of a file of YAML 1.2: the first syntax error of each, and all duplicate keys.
///
/// A file in UTF-16 begins with a byte order mark (YAML 1.2.2, section 5.2). Its findings have lines and columns, and no bytes.
#[must_use]
pub fn check(path: &str, text: &[u8]) -> Vec<Finding> {
    let Some(decoded) = decode_utf16(text) else {
        return match decode(path, text) {
            Ok(text) => check_text(path, text),
            Err(finding) => vec![*finding],
        };
    };
    let mut findings = check_text(path, &decoded);
    findings.iter_mut().filter_map(|finding| finding.place.as_mut()).for_each(|place| place.span = None);
    findings
}

fn check_text(path: &str, text: &str) -> Vec<Finding> {
    let mut report = Report::new(path, text);
    let mut add = |broken: Broken| {
        let finding = Finding { cause: broken.cause, ..Finding::error(broken.code, broken.message) };
        report.add(Finding { help: remedy(&finding).map(str::to_owned), ..finding }, broken.span);
    };
    if !json::faults(text, &mut add) {
        Outliner::new(text, &mut add).read();
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
