//! Treatment of warnings (`--warnings`). Pure.

use reload_gate_contract::{Cause, Finding, Severity};

use crate::check::render::CheckReport;

/// Treatment of warnings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warnings {
    /// They reject, as errors do.
    Reject,
    /// They are reported and change no verdict.
    Show,
    /// They are not reported.
    Hide,
}

impl Warnings {
    /// Applies it to the findings of a report that are not suppressed.
    #[must_use]
    pub fn apply(self, mut report: CheckReport) -> CheckReport {
        for checked in &mut report.checked {
            let is_warning = |finding: &Finding| finding.severity == Severity::Warning;
            match self {
                Self::Show => {}
                Self::Hide => checked.findings.retain(|located| !is_warning(&located.finding)),
                Self::Reject => {
                    let warnings = checked.findings.iter_mut().map(|located| &mut located.finding);
                    for finding in warnings.filter(|finding| is_warning(finding)) {
                        (finding.severity, finding.cause) = (Severity::Error, Cause::Config);
                    }
                }
            }
        }
        report
    }
}
