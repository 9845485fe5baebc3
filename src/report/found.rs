//! A finding as programs read it, in the log, in `/status` and in what `check` prints: one object with stable keys.

use std::borrow::Cow;

use reload_gate_contract::Finding;
use serde::{Deserialize, Serialize};

/// The object. Absent parts are left out.
#[derive(Serialize, Deserialize)]
pub(crate) struct Found<'a> {
    code: Cow<'a, str>,
    pub(super) severity: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
    pub(super) message: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) help: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Cow<'a, str>>,
}

impl Found<'_> {
    /// `FILE:LINE:COLUMN`, as far as it is known.
    pub(super) fn place(&self) -> Option<String> {
        let file = self.file.as_deref()?;
        let numbers = [self.line, self.column].into_iter().map_while(|number| number);
        Some(numbers.fold(file.to_owned(), |place, number| format!("{place}:{number}")))
    }
}

impl<'a> From<&'a Finding> for Found<'a> {
    fn from(finding: &'a Finding) -> Self {
        let place = finding.place.as_ref();
        Self {
            code: finding.code.as_str().into(),
            severity: finding.severity.as_str().into(),
            file: place.map(|place| place.file.as_str().into()),
            line: place.and_then(|place| place.line),
            column: place.and_then(|place| place.column),
            message: finding.message.as_str().into(),
            help: finding.help.as_deref().map(Cow::from),
            source: finding.source.as_deref().map(Cow::from),
        }
    }
}
