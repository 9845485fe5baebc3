//! What `check` found, as bytes: for people, and in the formats that their tools read. Pure: a report goes in, a text comes out.

mod github;
mod human;
mod json;
mod junit;
#[cfg(test)]
mod properties;
mod sarif;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use reload_gate_contract::{Cause, Finding, Place, Severity, Verdict};

use crate::report::log::visible;

/// All that one `check` has to say, in the order in which it is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What was judged.
    pub checked: Vec<Checked>,
    /// What was among the inputs and nobody judged.
    pub unchecked: Vec<Unchecked>,
}

/// One judgement: a validator over one file, or over one mounted tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// What was judged.
    pub subject: Subject,
    /// Who judged, such as `nginx -t` or `builtin nginx`.
    pub validator: String,
    /// Why this validator, such as ``named `nginx.conf` `` or `the sidecar's settings`.
    pub reason: String,
    /// What was found, in the order of the inputs.
    pub findings: Vec<Located>,
    /// How long it took.
    pub duration: Duration,
}

/// What was judged: where in the inputs it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The path as it was given; `-` is standard input.
    pub input: String,
    /// The object of a manifest, such as `ConfigMap web/nginx`.
    pub object: Option<String>,
    /// The key of that object, such as `nginx.conf`.
    pub key: Option<String>,
    /// The line of the input at which it begins, counted from 1.
    pub line: Option<u32>,
}

/// A finding whose place is a position in the *input*, whatever the validator was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// What was found; the file of its place is an input, and line, column and span are that file's.
    pub finding: Finding,
    /// The object in which it is, such as `ConfigMap web/nginx`: of a mounted tree not always the one that is judged.
    pub object: Option<String>,
    /// The key of that object.
    pub key: Option<String>,
    /// The lines around it; `None` for the values of Secrets, and where nothing can be shown.
    pub excerpt: Option<Excerpt>,
}

/// Lines of an input around a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The number of the first of them, counted from 1.
    pub first_line: u32,
    /// The lines, whole.
    pub text: String,
    /// The bytes of `text` that the finding is about.
    pub mark: Range<usize>,
}

/// Something that nobody judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unchecked {
    /// What it is.
    pub subject: Subject,
    /// Why nobody did.
    pub why: String,
}

impl Checked {
    /// What its findings amount to.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::of(self.findings.iter().map(|located| &located.finding))
    }
}

impl Subject {
    /// Its name for people, without the path: the object and the key, where it is part of a manifest.
    fn part(&self) -> Option<String> {
        part((self.object.as_deref(), self.key.as_deref()))
    }
}

/// The path, and the part of it.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&visible(&self.input))?;
        self.part().map_or(Ok(()), |part| write!(f, ": {part}"))
    }
}

/// An object and its key for people; `None` where there is neither.
fn part((object, key): (Option<&str>, Option<&str>)) -> Option<String> {
    let parts: Vec<_> = [object, key].into_iter().flatten().map(visible).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

impl Located {
    /// Whether it kept the validator from judging. That is no error of the configuration, and is not called one.
    fn is_obstacle(&self) -> bool {
        self.finding.severity == Severity::Error && self.finding.cause == Cause::Environment
    }

    /// What kind of finding it is, in a word.
    fn kind(&self) -> &'static str {
        if self.is_obstacle() { "obstacle" } else { self.finding.severity.as_str() }
    }

    /// Where it is; where that is not known, where what was judged is.
    fn place(&self, subject: &Subject) -> Place {
        let whole = || Place { line: subject.line, ..Place::file(&subject.input) };
        self.finding.place.clone().unwrap_or_else(whole)
    }

    /// The object and the key in which it is, likewise.
    fn part<'a>(&'a self, subject: &'a Subject) -> (Option<&'a str>, Option<&'a str>) {
        let own = (self.object.as_deref(), self.key.as_deref());
        if own == (None, None) { (subject.object.as_deref(), subject.key.as_deref()) } else { own }
    }

    /// Line and column of the character behind the last that it is about, both counted from 1; known where there is an
    /// excerpt. The end of a line does not count as a character.
    fn end(&self) -> Option<(u32, u32)> {
        let place = self.finding.place.as_ref()?;
        let excerpt = self.excerpt.as_ref()?;
        let until = excerpt.text.get(..excerpt.mark.end)?.trim_end_matches(['\n', '\r']);
        let lines = until.bytes().filter(|byte| *byte == b'\n').count();
        let column = until.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let end = (excerpt.first_line.checked_add(u32::try_from(lines).ok()?)?, u32::try_from(column).ok()?);
        (end > (place.line?, place.column?)).then_some(end)
    }
}

/// One line: where, what kind, what.
impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let finding = &self.finding;
        if let Some(place) = &finding.place {
            write!(f, "{}: ", visible(&place.to_string()))?;
        }
        write!(f, "{}[{}]: {}", self.kind(), finding.code, visible(&finding.message))
    }
}

/// How many of a report's subjects came out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Found to be right.
    pub accepted: usize,
    /// Found to be wrong.
    pub rejected: usize,
    /// Not to be judged here and now.
    pub inconclusive: usize,
    /// Nobody's to judge.
    pub unchecked: usize,
}

impl Report {
    /// The worst verdict, in the order rejected, inconclusive, accepted; `None` where nothing was judged.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        self.checked.iter().map(Checked::verdict).max()
    }

    /// How many subjects came out how.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let of = |verdict| self.checked.iter().filter(|checked| checked.verdict() == verdict).count();
        Counts {
            accepted: of(Verdict::Accepted),
            rejected: of(Verdict::Rejected),
            inconclusive: of(Verdict::Inconclusive),
            unchecked: self.unchecked.len(),
        }
    }
}

/// In words, as in `3 checked: 1 accepted, 2 rejected`.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let checked = self.accepted + self.rejected + self.inconclusive;
        let each = [(self.accepted, "accepted"), (self.rejected, "rejected"), (self.inconclusive, "inconclusive")];
        let each: Vec<_> =
            each.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        if checked == 0 {
            f.write_str("nothing was judged")
        } else {
            write!(f, "{checked} judged: {}", each.join(", "))
        }
    }
}

/// How a report is written. The machine formats are described in `docs/stability.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Human,
    /// One JSON object.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// JUnit's XML, for the test reports of CI systems.
    Junit,
    /// Workflow commands of GitHub Actions: annotations at the changed lines.
    Github,
}

/// What a report for people looks like; the machine formats do not ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Escape sequences for a terminal.
    pub color: bool,
    /// With everything that was not judged, and how long each judgement took.
    pub verbose: bool,
    /// Only what is wrong, and what could not be judged.
    pub quiet: bool,
    /// How many columns there are.
    pub width: usize,
}

/// Writes `report`. The machine formats are the same whatever the `style`.
#[must_use]
pub fn render(report: &Report, format: Format, style: &Style) -> String {
    match format {
        Format::Human => human::render(report, style),
        Format::Json => json::render(report),
        Format::Sarif => sarif::render(report),
        Format::Junit => junit::render(report),
        Format::Github => github::render(report),
    }
}
