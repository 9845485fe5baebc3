//! Problems: findings before their places are computed.

use reload_gate_contract::{Absent, Cause, Code, Severity, Span};

/// A range of bytes in one of the files. Many are kept, so it is small: files of four gigabytes and more are not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SourceSpan {
    file: u32,
    start: u32,
    end: u32,
}

impl SourceSpan {
    pub(crate) fn new(file: usize, span: Span) -> Self {
        let [file, start, end] = [file, span.start, span.end].map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        Self { file, start, end }
    }

    /// The index of the file.
    pub(crate) const fn file(self) -> usize {
        self.file as usize
    }

    pub(crate) const fn span(self) -> Span {
        Span { start: self.start as usize, end: self.end as usize }
    }
}

/// Something to report.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    pub(crate) severity: Severity,
    pub(crate) cause: Cause,
    pub(crate) message: String,
    pub(crate) spot: SourceSpan,
    pub(crate) help: Option<String>,
}

impl Problem {
    pub(crate) fn error(code: Code, message: impl Into<String>, spot: SourceSpan) -> Self {
        let message = message.into();
        Self { code, severity: Severity::Error, cause: Cause::Config, message, spot, help: None }
    }

    pub(crate) fn warning(code: Code, message: impl Into<String>, spot: SourceSpan) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message, spot) }
    }

    /// An obstacle outside the configuration.
    pub(crate) fn environment(code: Code, message: impl Into<String>, spot: SourceSpan) -> Self {
        Self { cause: Cause::Environment, ..Self::error(code, message, spot) }
    }

    /// A file that could not be read: an obstacle if it is known to be missing, and only a warning if nothing is known
    /// of it, since it may well exist where nginx runs.
    pub(crate) fn absent(code: Code, message: impl Into<String>, spot: SourceSpan, absent: Absent) -> Self {
        let problem = Self::environment(code, message, spot);
        match absent {
            Absent::Unknown => Self { severity: Severity::Warning, ..problem },
            Absent::Missing | Absent::Directory => problem,
        }
    }

    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// Result of a check; nginx stops at an error, so there is at most one.
pub(crate) type Checked<T = ()> = Result<T, Box<Problem>>;
