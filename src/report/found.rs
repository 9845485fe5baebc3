//! A finding as programs read it, in the log, in `/status` and in what `check` prints: one object, its keys stable.

use reload_gate_contract::Finding;
use serde::Serialize;

/// The object. Absent parts are left out.
#[derive(Serialize)]
pub(crate) struct Found<'a> {
    code: &'static str,
    severity: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: &'a Option<String>,
}

impl<'a> From<&'a Finding> for Found<'a> {
    fn from(finding: &'a Finding) -> Self {
        let place = finding.place.as_ref();
        Self {
            code: finding.code.as_str(),
            severity: finding.severity.as_str(),
            file: place.map(|place| place.file.as_str()),
            line: place.and_then(|place| place.line),
            column: place.and_then(|place| place.column),
            message: &finding.message,
            help: &finding.help,
            source: &finding.source,
        }
    }
}
