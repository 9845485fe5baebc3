//! One observation about a configuration, and what all of them together amount to.

use std::fmt;

/// The stable, kebab-case name of a kind of finding, such as `unknown-directive`.
///
/// Scripts match on it and `docs/findings.md` describes it; the message may be reworded at any time, the code may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code {
    name: &'static str,
    absence: bool,
}

impl Code {
    /// A code. It must be kebab-case: lower-case ASCII letters, digits and single hyphens, beginning with a letter.
    ///
    /// # Panics
    /// On anything else; codes are constants, so this is a compile-time error where it is used as one.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty() && bytes[0].is_ascii_lowercase(), "a code begins with a lower-case letter");
        let mut i = 1;
        while i < bytes.len() {
            let hyphen = bytes[i] == b'-';
            assert!(hyphen || bytes[i].is_ascii_lowercase() || bytes[i].is_ascii_digit(), "a code is kebab-case");
            assert!(!hyphen || (bytes[i - 1] != b'-' && i + 1 < bytes.len()), "a code is kebab-case");
            i += 1;
        }
        Self { name, absence: false }
    }

    /// A code of findings about a file that is not among the inputs: the caller may weigh them, since the file may
    /// exist where the program runs.
    ///
    /// # Panics
    /// As [`Code::new`].
    #[must_use]
    pub const fn of_absence(name: &'static str) -> Self {
        Self { absence: true, ..Self::new(name) }
    }

    /// True if findings of this code are about a file that is not among the inputs.
    #[must_use]
    pub const fn is_absence(self) -> bool {
        self.absence
    }

    /// The name itself.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.name
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Weight of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; changes nothing.
    Note,
    /// Probably not what was meant; the program would start all the same.
    Warning,
    /// The program would refuse this configuration, or could not be asked.
    Error,
}

impl Severity {
    /// `note`, `warning` or `error`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Origin of a finding: the configuration, or the world around it.
///
/// The two must never be mixed: a wrong configuration stays wrong until it is changed, whereas the same
/// text may be
/// accepted a moment later when the world around it has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The text itself is wrong in any surroundings.
    Config,
    /// Something outside the text is missing or in the way: a file, a certificate, a host name, a permission,
    /// the checker itself.
    Environment,
}

/// A range of bytes in a file: `start` inclusive, `end` exclusive, both counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

/// Place of a finding: a file, and as much of a position in it as is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The path as the validator was given it (or as the configuration names it).
    pub file: String,
    /// The line, counted from 1.
    pub line: Option<u32>,
    /// The column in characters (not bytes), counted from 1.
    pub column: Option<u32>,
    /// The exact bytes, where a parser knew them.
    pub span: Option<Span>,
}

impl Place {
    /// A whole file.
    #[must_use]
    pub fn file(file: impl Into<String>) -> Self {
        Self { file: file.into(), line: None, column: None, span: None }
    }

    /// A line of a file, counted from 1.
    #[must_use]
    pub fn line(file: impl Into<String>, line: u32) -> Self {
        Self { line: Some(line), ..Self::file(file) }
    }

    /// A range of bytes of a file with the contents `text`; line and column are computed here, once, where
    /// the position is known.
    ///
    /// Invalid UTF-8 counts one column a byte sequence, as [`String::from_utf8_lossy`] replaces it. A span
    /// which reaches beyond the text is cut.
    #[must_use]
    pub fn span(file: impl Into<String>, text: &[u8], span: Span) -> Self {
        let before = &text[..span.start.min(text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let start_of_line = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(&before[start_of_line..]).chars().count() + 1;
        Self {
            file: file.into(),
            line: Some(u32::try_from(line).unwrap_or(u32::MAX)),
            column: Some(u32::try_from(column).unwrap_or(u32::MAX)),
            span: Some(span),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        for part in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{part}")?;
        }
        Ok(())
    }
}

/// One observation about a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The kind of finding, for scripts.
    pub code: Code,
    /// Its weight.
    pub severity: Severity,
    /// The configuration, or the world around it.
    pub cause: Cause,
    /// The fault, for people: one line, lower case, no full stop; in the program's own words where it has some.
    pub message: String,
    /// The remedy, where it is known.
    pub help: Option<String>,
    /// The place, where it is known.
    pub place: Option<Place>,
    /// The validator, such as `nginx -t`; its caller fills it in.
    pub source: Option<String>,
}

impl Finding {
    /// An error of the configuration itself.
    #[must_use]
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            cause: Cause::Config,
            message: message.into(),
            help: None,
            place: None,
            source: None,
        }
    }

    /// A warning about the configuration.
    #[must_use]
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// An obstacle outside the configuration.
    #[must_use]
    pub fn environment(code: Code, message: impl Into<String>) -> Self {
        Self { cause: Cause::Environment, ..Self::error(code, message) }
    }

    /// The same finding, at a place.
    #[must_use]
    pub fn at(self, place: Place) -> Self {
        Self { place: Some(place), ..self }
    }

    /// The same finding, with a remedy.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// Verdict on a list of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// No error.
    Accepted,
    /// No error of the configuration is known, but an obstacle outside it prevented a full judgement.
    Inconclusive,
    /// An error of the configuration: it stays wrong until it is changed.
    Rejected,
}

impl Verdict {
    /// The verdict that `findings` amount to: one config error rejects; else one obstacle leaves it open;
    /// else it is accepted.
    pub fn of<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Self {
        let weigh = |finding: &Finding| match (finding.severity, finding.cause) {
            (Severity::Error, Cause::Config) => Self::Rejected,
            (Severity::Error, Cause::Environment) => Self::Inconclusive,
            (Severity::Warning | Severity::Note, _) => Self::Accepted,
        };
        findings.into_iter().map(weigh).max().unwrap_or(Self::Accepted)
    }

    /// `accepted`, `inconclusive` or `rejected`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Inconclusive => "inconclusive",
            Self::Rejected => "rejected",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: Code = Code::new("a-code");

    #[test]
    fn a_config_error_outweighs_an_obstacle_and_both_outweigh_a_warning() {
        let warning = Finding::warning(CODE, "w");
        let obstacle = Finding::environment(CODE, "e");
        let error = Finding::error(CODE, "c");
        assert_eq!(Verdict::of(&[]), Verdict::Accepted);
        assert_eq!(Verdict::of([&warning]), Verdict::Accepted);
        assert_eq!(Verdict::of([&obstacle, &warning]), Verdict::Inconclusive);
        assert_eq!(Verdict::of([&warning, &error, &obstacle]), Verdict::Rejected);
    }

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        let text = "eins\nzwölf x".as_bytes();
        let x = text.len() - 1;
        let place = Place::span("f", text, Span { start: x, end: x + 1 });
        assert_eq!(place.to_string(), "f:2:7");
    }

    #[test]
    fn a_span_beyond_the_text_is_cut() {
        assert_eq!(Place::span("f", b"a\n", Span { start: 9, end: 10 }).to_string(), "f:2:1");
    }
}
