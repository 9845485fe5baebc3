//! A bounded list of findings.

use crate::{Cause, Code, Finding, Severity};

/// Findings up to a limit, and the number of the others.
///
/// The limit holds for warnings, obstacles and errors of the configuration each, so that a flood of one kind never changes the
/// verdict.
#[derive(Clone, Debug)]
pub struct Findings {
    limit: usize,
    kept: Vec<Finding>,
    /// Warnings, obstacles and errors.
    counts: [usize; 3],
    omitted: usize,
}

impl Findings {
    /// An empty list with a limit.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { limit, kept: Vec::new(), counts: [0; 3], omitted: 0 }
    }

    const fn kind(severity: Severity, cause: Cause) -> usize {
        match (severity, cause) {
            (Severity::Note | Severity::Warning, _) => 0,
            (Severity::Error, Cause::Environment) => 1,
            (Severity::Error, Cause::Config) => 2,
        }
    }

    /// True if further findings of that kind are left out.
    #[must_use]
    pub const fn is_full(&self, severity: Severity, cause: Cause) -> bool {
        self.counts[Self::kind(severity, cause)] >= self.limit
    }

    /// True if a finding of that kind is left out; it is counted. So a validator saves the work of describing it.
    pub const fn omits(&mut self, severity: Severity, cause: Cause) -> bool {
        let omits = self.is_full(severity, cause);
        self.omitted += omits as usize;
        omits
    }

    /// Counts findings that are left out.
    pub const fn omit(&mut self, findings: usize) {
        self.omitted += findings;
    }

    /// True if there is no finding.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Adds a finding, or counts it if there are enough.
    pub fn push(&mut self, finding: Finding) {
        if !self.omits(finding.severity, finding.cause) {
            self.counts[Self::kind(finding.severity, finding.cause)] += 1;
            self.kept.push(finding);
        }
    }

    /// The list, with a last finding of `code` that has the number of those left out, if there are any.
    #[must_use]
    pub fn finish(mut self, code: Code) -> Vec<Finding> {
        if self.omitted > 0 {
            let (left, are) = if self.omitted == 1 { ("finding", "is") } else { ("findings", "are") };
            let message = format!("{} more {left} {are} left out", self.omitted);
            self.kept.push(Finding { severity: Severity::Note, ..Finding::error(code, message) });
        }
        self.kept
    }
}

impl Extend<Finding> for Findings {
    fn extend<I: IntoIterator<Item = Finding>>(&mut self, findings: I) {
        findings.into_iter().for_each(|finding| self.push(finding));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Verdict;

    const CODE: Code = Code::new("a-code");

    #[test]
    fn a_flood_of_warnings_leaves_room_for_an_error() {
        let mut findings = Findings::new(2);
        findings.extend((0..5).map(|_| Finding::warning(CODE, "w")));
        findings.extend((0..5).map(|_| Finding::environment(CODE, "o")));
        findings.push(Finding::error(CODE, "e"));
        let findings = findings.finish(CODE);
        assert_eq!(
            findings.iter().map(|finding| &*finding.message).collect::<Vec<_>>(),
            ["w", "w", "o", "o", "e", "6 more findings are left out"]
        );
        assert_eq!(Verdict::of(&findings), Verdict::Rejected);
    }

    #[test]
    fn nothing_is_added_where_nothing_is_left_out() {
        let mut findings = Findings::new(2);
        findings.push(Finding::warning(CODE, "w"));
        assert_eq!(findings.finish(CODE).len(), 1);
    }
}
