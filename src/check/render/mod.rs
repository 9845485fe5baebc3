//! Report of `check` as text: for people, and in formats for tools. Pure: a report goes in, a text comes out.

mod defuse;
mod fingerprint;
mod fix;
mod github;
mod group;
mod human;
mod json;
mod junit;
mod markdown;
#[cfg(test)]
mod properties;
mod rule;
mod sarif;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;
use std::time::Duration;

use reload_gate_contract::{Cause, Code, Finding, Place, Severity, Verdict};

pub(crate) use self::defuse::harmless_text;
pub(crate) use self::fingerprint::{Fingerprints, fingerprint, plain_path};
pub(crate) use self::fix::TextFix;
use crate::report::log::visible;

/// Code of the note that counts findings that are left out.
pub(crate) const MORE_FINDINGS: Code = Code::new("more-findings");

/// Code of the same note in the bundled validators.
pub(crate) const LEFT_OUT: &str = "too-many-findings";

/// Largest number of entries that a report lists of one kind, such as those that are gone.
const MOST_LISTED: usize = 10;

/// Remedy for entries of a baseline that no longer occur.
const REMOVE_GONE: &str = "the baseline has findings that are gone; `--write-baseline` removes them";

/// Result of one `check`, in the order of the report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Validations.
    pub checked: Vec<Checked>,
    /// Parts of the inputs without a validation.
    pub unchecked: Vec<Unchecked>,
    /// Entries of the baseline that no longer occur; `None` without a baseline.
    pub gone: Option<Vec<GoneEntry>>,
    /// Parts that are not validated any more, though the baseline has findings of them.
    pub lapsed: Vec<LapsedPart>,
}

/// Entry of a baseline without a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoneEntry {
    /// File.
    pub file: String,
    /// Object of a manifest.
    pub object: Option<String>,
    /// Key of that object.
    pub key: Option<String>,
    /// Finding code.
    pub code: String,
    /// Number of occurrences that are gone.
    pub count: usize,
    /// True if the file is gone as well.
    pub is_removed: bool,
}

/// Part of the inputs that is not validated any more, though the baseline has findings of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LapsedPart {
    /// The part.
    pub subject: CheckSubject,
    /// Reason for which it is not validated.
    pub why: String,
    /// Number of findings that the baseline has.
    pub count: usize,
    /// Former name of the file, if the baseline has the findings under that one.
    pub former: Option<String>,
}

/// Shows the part and the reason.
impl fmt::Display for LapsedPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.count == 1 { "" } else { "s" };
        write!(
            f,
            "{}: not validated any more ({}); the baseline has {} finding{plural} of ",
            self.subject,
            visible(&self.why),
            self.count
        )?;
        match &self.former {
            Some(former) => write!(f, "`{}`, which is gone", visible(former)),
            None => f.write_str("it"),
        }
    }
}

/// Shows the place and the code.
impl fmt::Display for GoneEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&visible(&self.file))?;
        if let Some(part) = part((self.object.as_deref(), self.key.as_deref())) {
            write!(f, ": {part}")?;
        }
        write!(f, ": {}", visible(&self.code))?;
        let times = (self.count > 1).then(|| format!("{} times", self.count));
        let removed = self.is_removed.then(|| "with its file".to_owned());
        let more: Vec<_> = times.into_iter().chain(removed).collect();
        if more.is_empty() { Ok(()) } else { write!(f, " ({})", more.join(", ")) }
    }
}

/// One validation: of one file, or of one mounted tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Part of the inputs that it is about.
    pub subject: CheckSubject,
    /// Validator, such as `nginx -t` or `builtin nginx`.
    pub validator: Arc<str>,
    /// Reason for this validator, such as ``named `nginx.conf` `` or `the sidecar's settings`.
    pub reason: Arc<str>,
    /// Findings, in the order of the inputs.
    pub findings: Vec<Located>,
    /// Findings that do not count.
    pub suppressed: Vec<Suppressed>,
    /// Number of further findings, which were not processed.
    pub omitted: usize,
    /// Duration.
    pub duration: Duration,
}

/// Part of the inputs: an object of a manifest or a whole input, whose fields it has by dereferencing, or a key of that object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CheckSubject {
    /// The object or input. The tens of thousands of keys that an object may have share it.
    pub whole: Arc<SubjectWhole>,
    /// Key of the object, such as `nginx.conf`.
    pub key: Option<Arc<str>>,
}

/// Object of a manifest, or whole input.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SubjectWhole {
    /// Path as it was given; `-` is standard input.
    pub input: Arc<str>,
    /// Object of a manifest, such as `ConfigMap web/nginx`.
    pub object: Option<Box<str>>,
    /// Line of the input at which it begins, counted from 1.
    pub line: Option<u32>,
}

impl Deref for CheckSubject {
    type Target = SubjectWhole;

    fn deref(&self) -> &SubjectWhole {
        &self.whole
    }
}

/// Finding with a place in the *input*, whatever the validator was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Finding; file, line and column of its place are those of an input.
    pub finding: Finding,
    /// Object in which it is, such as `ConfigMap web/nginx`; in a mounted tree not always that of the subject.
    pub object: Option<String>,
    /// Key of that object.
    pub key: Option<String>,
    /// Lines around it; `None` for the values of Secrets, and for an unknown place.
    pub excerpt: Option<InputExcerpt>,
}

/// Finding that does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppressed {
    /// The finding.
    pub located: Located,
    /// Origin of the decision.
    pub by: Suppression,
}

/// Origin of the decision that a finding does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Suppression {
    /// Baseline.
    Baseline,
    /// Comment in the configuration, or annotation of the object, with its reason.
    Ignored(Option<String>),
}

/// Shows the justification.
impl fmt::Display for Suppression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Baseline => f.write_str("known by the baseline"),
            Self::Ignored(Some(reason)) => f.write_str(reason),
            Self::Ignored(None) => f.write_str("ignored without a reason"),
        }
    }
}

/// Lines of an input around a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputExcerpt {
    /// Number of the first of them, counted from 1.
    pub first_line: u32,
    /// Whole lines.
    pub text: String,
    /// Bytes of `text` that the finding is about.
    pub mark: Range<usize>,
}

/// Part of the inputs without a validation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unchecked {
    /// The part.
    pub subject: CheckSubject,
    /// Reason.
    pub why: Cow<'static, str>,
    /// Remedy, if there is one; such a part is listed in every report.
    pub help: Option<Cow<'static, str>>,
}

impl Checked {
    /// Returns a validation with these findings.
    #[must_use]
    pub fn new(
        subject: CheckSubject,
        validator: impl Into<Arc<str>>,
        reason: impl Into<Arc<str>>,
        findings: Vec<Located>,
    ) -> Self {
        let (validator, reason) = (validator.into(), reason.into());
        Self { subject, validator, reason, findings, suppressed: Vec::new(), omitted: 0, duration: Duration::ZERO }
    }

    /// Returns the verdict of its findings.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::of(self.findings.iter().map(|located| &located.finding))
    }
}

impl CheckSubject {
    /// Returns all of an input.
    #[must_use]
    pub fn input(name: &str) -> Self {
        Self::at_line(name, None)
    }

    /// Returns all of an input, which begins at that line.
    #[must_use]
    pub fn at_line(name: &str, line: Option<u32>) -> Self {
        SubjectWhole { input: name.into(), object: None, line }.into()
    }

    /// Returns an object that begins at that line of an input.
    #[must_use]
    pub fn object(input: &str, object: &str, line: u32) -> Self {
        SubjectWhole { input: input.into(), object: Some(object.into()), line: Some(line) }.into()
    }

    /// Returns a key of the same object.
    #[must_use]
    pub fn with_key(self, key: Arc<str>) -> Self {
        Self { key: Some(key), ..self }
    }

    /// Returns its name without the path: the object and the key of a manifest.
    fn part(&self) -> Option<String> {
        part((self.object.as_deref(), self.key.as_deref()))
    }
}

impl From<SubjectWhole> for CheckSubject {
    fn from(whole: SubjectWhole) -> Self {
        Self { whole: Arc::new(whole), key: None }
    }
}

/// Shows the path, and the part of it.
impl fmt::Display for CheckSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&visible(&self.input))?;
        self.part().map_or(Ok(()), |part| write!(f, ": {part}"))
    }
}

/// Joins an object and its key; `None` where there is neither.
fn part((object, key): (Option<&str>, Option<&str>)) -> Option<String> {
    let parts: Vec<_> = [object, key].into_iter().flatten().map(visible).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

impl Located {
    /// Returns true if it prevented the validation, which is no error of the configuration.
    pub(crate) fn is_obstacle(&self) -> bool {
        self.finding.severity == Severity::Error && self.finding.cause == Cause::Environment
    }

    /// Returns the kind of the finding in a word.
    fn kind(&self) -> &'static str {
        if self.is_obstacle() { "obstacle" } else { self.finding.severity.as_str() }
    }

    /// Returns its place; if that is unknown, the place of the subject.
    pub(crate) fn place(&self, subject: &CheckSubject) -> Place {
        let whole = || Place { line: subject.line, ..Place::file(&*subject.input) };
        self.finding.place.clone().unwrap_or_else(whole)
    }

    /// Returns its object and key; if there are none, those of the subject.
    pub(crate) fn part<'a>(&'a self, subject: &'a CheckSubject) -> (Option<&'a str>, Option<&'a str>) {
        let own = (self.object.as_deref(), self.key.as_deref());
        if own == (None, None) { (subject.object.as_deref(), subject.key.as_deref()) } else { own }
    }

    /// Returns line and column behind its last character, both counted from 1; known where there is an excerpt. The end of a line does
    /// not count as a character.
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

/// Shows one line: place, kind, code and message.
impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let finding = &self.finding;
        if let Some(place) = &finding.place {
            write!(f, "{}: ", visible(&place.to_string()))?;
        }
        write!(f, "{}[{}]: {}", self.kind(), finding.code, visible(&finding.message))
    }
}

/// Returns true if a finding explains the one before it, and is shown only with that: a note, unless it counts what is left out.
pub(crate) fn is_explanation(finding: &Finding) -> bool {
    finding.severity == Severity::Note && ![MORE_FINDINGS.as_str(), LEFT_OUT].contains(&finding.code.as_str())
}

/// Number of validations by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerdictCounts {
    /// Accepted.
    pub accepted: usize,
    /// Rejected.
    pub rejected: usize,
    /// Inconclusive.
    pub inconclusive: usize,
    /// Without a validation.
    pub unchecked: usize,
    /// Findings that the baseline knows.
    pub known: usize,
    /// Findings that a comment or an annotation ignores.
    pub ignored: usize,
}

impl CheckReport {
    /// Returns the entries of the baseline that no longer occur, one a line and the first ones of many, with the remedy at the end.
    fn gone_lines(&self) -> Vec<String> {
        let gone = self.gone.as_deref().unwrap_or_default();
        let mut lines: Vec<String> = gone.iter().take(MOST_LISTED).map(ToString::to_string).collect();
        if gone.len() > MOST_LISTED {
            lines.push(format!("and {} more", gone.len() - MOST_LISTED));
        }
        lines
    }

    /// Returns the worst verdict, in the order rejected, inconclusive, accepted; `None` without a validation.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        self.checked.iter().map(Checked::verdict).max()
    }

    /// Returns the number of validations by verdict.
    #[must_use]
    pub fn counts(&self) -> VerdictCounts {
        let of = |verdict| self.checked.iter().filter(|checked| checked.verdict() == verdict).count();
        let suppressed = self.checked.iter().flat_map(|checked| &checked.suppressed);
        let (known, ignored): (Vec<_>, Vec<_>) = suppressed.partition(|one| one.by == Suppression::Baseline);
        VerdictCounts {
            known: known.len(),
            ignored: ignored.len(),
            accepted: of(Verdict::Accepted),
            rejected: of(Verdict::Rejected),
            inconclusive: of(Verdict::Inconclusive),
            unchecked: self.unchecked.len(),
        }
    }
}

/// Shows the numbers, as in `3 checked: 1 accepted, 2 rejected`.
impl fmt::Display for VerdictCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let checked = self.accepted + self.rejected + self.inconclusive;
        let each = [(self.accepted, "accepted"), (self.rejected, "rejected"), (self.inconclusive, "inconclusive")];
        let each: Vec<_> =
            each.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        if checked == 0 {
            f.write_str("nothing was checked")
        } else {
            write!(f, "{checked} checked: {}", each.join(", "))?;
            let each = [(self.known, "known by the baseline"), (self.ignored, "ignored")];
            each.iter().filter(|(count, _)| *count > 0).try_for_each(|(count, what)| write!(f, "; {count} {what}"))
        }
    }
}

/// Format of a report. The machine formats are described in `docs/stability.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportFormat {
    /// Text for people.
    Human,
    /// One JSON object.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// JUnit's XML, for the test reports of CI systems.
    Junit,
    /// Workflow commands of GitHub Actions: annotations at the changed lines.
    Github,
    /// Markdown, for a comment on a pull request.
    Markdown,
}

/// Appearance of a report for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportStyle {
    /// Escape sequences for a terminal.
    pub color: bool,
    /// Lists parts without a validation, and the duration of each validation.
    pub verbose: bool,
    /// Shows only what is rejected or inconclusive.
    pub quiet: bool,
    /// Number of columns.
    pub width: usize,
}

/// Writes `report`. The machine formats are the same whatever the `style`. No part of it is a command of a CI system, except for those of
/// the format [`ReportFormat::Github`].
#[must_use]
pub fn render(report: &CheckReport, format: ReportFormat, style: &ReportStyle) -> String {
    match format {
        ReportFormat::Human => defuse::without_commands(human::render(report, style)),
        ReportFormat::Json => defuse::json(&json::render(report)),
        ReportFormat::Sarif => defuse::json(&sarif::render(report)),
        ReportFormat::Junit => defuse::without_commands(junit::render(report)),
        ReportFormat::Github => defuse::without_marks(github::render(report)),
        ReportFormat::Markdown => defuse::without_commands(markdown::render(report)),
    }
}
