//! Problems to findings.

use reload_gate_contract::{Cause, Code, Finding, Place, Severity};

use super::Checker;
use crate::findings::codes;
use crate::findings::problem::{Checked, Problem, SourceSpan};
use crate::syntax::tree::SyntaxError;

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

/// Limit of findings.
const FINDINGS: usize = 1_000;

impl<'s> Checker<'s> {
    /// Reports a problem, unless a file that could not be read may hold the missing part.
    pub(crate) fn report(&mut self, problem: Problem) {
        if self.incomplete && ABSENCES.contains(&problem.code) {
            return;
        }
        if self.full() {
            return;
        }
        if problem.severity == Severity::Error {
            self.failures += 1;
            self.errors += usize::from(problem.cause == Cause::Config);
        } else if self.findings.len() >= FINDINGS {
            // There may still be an error to be found, so that reading goes on.
            return;
        }
        let source = self.sources.file(problem.spot.file);
        let span = problem.spot.span;
        let place = Place {
            file: source.path.clone(),
            line: Some(source.tree.line(span.start)),
            column: Some(source.tree.column(span.start)),
            span: Some(span),
        };
        self.findings.push(Finding {
            code: problem.code,
            severity: problem.severity,
            cause: problem.cause,
            message: problem.message,
            help: problem.help,
            place: Some(place),
            source: None,
        });
        if self.full() {
            self.note("the rest was not looked at");
        } else if self.findings.len() == FINDINGS && self.failures < FINDINGS {
            self.note("further warnings are left out");
        }
    }

    fn note(&mut self, consequence: &str) {
        let message = format!("{FINDINGS} findings are enough: {consequence}");
        self.findings.push(Finding { severity: Severity::Note, ..Finding::error(codes::TOO_MANY_FINDINGS, message) });
    }

    /// True if the limit of errors is reached, so that reading stops.
    pub(super) fn full(&self) -> bool {
        self.failures >= FINDINGS
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

    pub(super) fn syntax_error(&mut self, file: usize, node: usize, error: SyntaxError) {
        let tree = &self.sources.file(file).tree;
        let spot = SourceSpan { file, span: tree.nodes()[node].terminator(tree) };
        let (code, message) = match error {
            SyntaxError::Unexpected(byte) => {
                (codes::UNEXPECTED_TOKEN, format!("unexpected \"{}\"", String::from_utf8_lossy(&[byte])))
            }
            SyntaxError::UnfinishedDirective if self.sources.global() == Some(file) => {
                (codes::UNEXPECTED_END, "unexpected end of parameter, expecting \";\"".to_owned())
            }
            SyntaxError::UnfinishedDirective => {
                (codes::UNEXPECTED_END, "unexpected end of file, expecting \";\" or \"}\"".to_owned())
            }
            SyntaxError::UnfinishedBlock => {
                (codes::UNEXPECTED_END, "unexpected end of file, expecting \"}\"".to_owned())
            }
            SyntaxError::TooLong(None) => {
                let start = String::from_utf8_lossy(&tree.text()[spot.span.start..spot.span.end]);
                (codes::PARAMETER_TOO_LONG, format!("too long parameter \"{start}...\" started"))
            }
            SyntaxError::TooLong(Some(quote)) => {
                let quote = char::from(quote);
                let message = format!("too long parameter, probably missing terminating \"{quote}\" character");
                (codes::PARAMETER_TOO_LONG, message)
            }
        };
        self.report(Problem::error(code, message, spot));
    }
}
