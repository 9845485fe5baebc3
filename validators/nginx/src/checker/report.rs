//! Problems to findings.

use std::borrow::Cow;

use reload_gate_contract::{Cause, Code, Finding, Place, Severity, visible};

use super::Checker;
use crate::findings::codes;
use crate::findings::problem::{Checked, Problem, SourceSpan};

/// The codes of what is missing: a file that is not known may have it.
const ABSENCES: [Code; 18] = [
    codes::BUFFER_SIZES,
    codes::CERTIFICATE_WITHOUT_KEY,
    codes::EMPTY_UPSTREAM,
    codes::MISPLACED_DIRECTIVE,
    codes::NO_AUTH_HTTP,
    codes::NO_CACHE_KEY,
    codes::NO_CERTIFICATE,
    codes::NO_CLIENT_CERTIFICATE,
    codes::NO_EVENTS,
    codes::NO_HANDLER,
    codes::NO_LISTEN,
    codes::NO_PORT_IN_UPSTREAM,
    codes::NO_RUN_TIME_RESOLUTION,
    codes::NO_TRUSTED_CERTIFICATE,
    codes::UNKNOWN_LOG_FORMAT,
    codes::UNKNOWN_THREAD_POOL,
    codes::UNKNOWN_ZONE,
    codes::ZERO_SIZE_ZONE,
];

/// Limit of findings of each kind.
pub(super) const FINDINGS: usize = 1_000;

/// Limit of the bytes of a message: nginx cuts its own there (`NGX_MAX_CONF_ERRSTR` in `src/core/ngx_conf_file.h`).
const LONGEST: usize = 1_024;

impl<'s> Checker<'s> {
    /// Reports a problem, unless a file that could not be read may hold the missing part.
    pub(crate) fn report(&mut self, problem: Problem) {
        if self.incomplete && ABSENCES.contains(&problem.code) {
            return;
        }
        if problem.severity == Severity::Error {
            self.errors += usize::from(problem.cause == Cause::Config);
        }
        if self.findings.omits(problem.severity, problem.cause) {
            return;
        }
        let invisible = (invisible(&problem.message), problem.help);
        let help = match invisible {
            (Some(help), None) => Some(help.to_owned()),
            (_, help) => help,
        };
        let message = bounded(visible(&problem.message));
        let place = Some(self.place(problem.spot));
        let (code, severity, cause) = (problem.code, problem.severity, problem.cause);
        let help = help.map(|help| bounded(visible(&help)));
        self.findings.push(Finding { code, severity, cause, message, help, place, source: None });
    }

    /// Counts further errors, of which none is shown.
    pub(super) fn repeated(&mut self, errors: usize) {
        self.errors += errors;
        self.findings.omit(errors);
    }

    fn place(&self, spot: SourceSpan) -> Place {
        let source = self.sources.file(spot.file());
        if self.sources.is_surrounding(spot.file()) {
            return Place::file(source.path.clone());
        }
        source.tree.place(source.path.clone(), spot.span())
    }

    /// True if further errors are left out, so that a remedy need not be looked for.
    pub(super) fn is_full(&self) -> bool {
        self.findings.is_full(Severity::Error, Cause::Config)
    }

    /// Reports a problem, if there is one.
    pub(crate) fn take(&mut self, outcome: Checked) {
        if let Err(problem) = outcome {
            self.report(*problem);
        }
    }

    /// Passes over a missing part that may be in a file that could not be read, so that the rest is judged.
    pub(crate) fn unless_unseen(&self, outcome: Checked) -> Checked {
        outcome.or_else(
            |problem| {
                if self.incomplete && ABSENCES.contains(&problem.code) { Ok(()) } else { Err(problem) }
            },
        )
    }

    pub(crate) fn warn(&mut self, problem: Problem) {
        self.report(Problem { severity: Severity::Warning, ..problem });
    }
}

/// The remedy for an invisible character in a message.
fn invisible(message: &str) -> Option<&'static str> {
    if message.contains('\u{feff}') {
        return Some("save the file as UTF-8 without a byte order mark (U+FEFF)");
    }
    message.contains('\r').then_some("save the file with the line ends of Unix (LF), not with carriage returns")
}

/// The beginning of a text that may be long.
fn bounded(text: Cow<'_, str>) -> String {
    let mut text = text.into_owned();
    let end = (0..=LONGEST.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    text.truncate(end);
    text
}
