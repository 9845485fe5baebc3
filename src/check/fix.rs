//! Corrections of inputs (`--fix`, `--diff`): those that are certain, and only where the result is judged better. IO: reads and replaces
//! files.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use reload_gate_contract::{LineIndex, Severity, Span};
use reload_gate_structured::yaml;

use super::input::STDIN;
use super::known::KnownOutcomes;
use super::store::Store;
use super::{CheckOutcome, CheckRequest, Listing, with_tasks};
use crate::check::render::{CheckReport, Located, TextFix, harmless_text};

/// Largest number of rounds. A correction may bring up the next finding, as the end of a syntax error does.
const ROUNDS: usize = 100;

/// Time after which no further round begins.
const ALL_ROUNDS: Duration = Duration::from_secs(60);

/// Texts in place of those of files, by their names in the listing.
pub(super) type Overlay = BTreeMap<String, Vec<u8>>;

/// File with a correction.
#[derive(Debug)]
pub struct Corrected {
    /// Path.
    pub name: String,
    /// Text as it was judged.
    pub old: String,
    /// Text with the corrections.
    pub new: String,
}

/// Arguments by which the inputs are listed again.
#[derive(Clone, Copy, Debug)]
pub struct ListArguments<'a> {
    /// Paths.
    pub paths: &'a [String],
    /// Patterns of paths that are not read.
    pub exclude: &'a [String],
}

/// Validates all inputs, and corrects them in memory. Returns the outcome for the corrected inputs with their texts.
///
/// A round validates only what a correction of the last one changed.
#[must_use]
pub fn check_and_correct(request: &CheckRequest<'_>, arguments: ListArguments<'_>) -> (CheckOutcome, Vec<Corrected>) {
    let mut known = KnownOutcomes::default();
    let mut outcome = check_again(request, &mut known);
    let (mut texts, mut refused) = (Overlay::new(), BTreeSet::new());
    let mut originals = BTreeMap::new();
    let started = Instant::now();
    for _ in 0..ROUNDS {
        if outcome.interrupted.is_some() || started.elapsed() > ALL_ROUNDS {
            break;
        }
        let mut tried = texts.clone();
        let mut edited = BTreeSet::new();
        for (name, located) in by_file(&outcome.report) {
            if name == STDIN || refused.contains(name) {
                continue;
            }
            let read = texts.get(name).cloned().or_else(|| std::fs::read(name).ok());
            let Some(text) = read.and_then(|text| String::from_utf8(text).ok()) else { continue };
            if let Some(new) = edit(&text, &located) {
                originals.entry(name.to_owned()).or_insert(text);
                tried.insert(name.to_owned(), new.into_bytes());
                edited.insert(name.to_owned());
            }
        }
        if edited.is_empty() {
            break;
        }
        let Ok(listing) = Listing::with_texts(arguments.paths, arguments.exclude, tried.clone()) else { break };
        let next = check_again(&CheckRequest { listing: &listing, ..*request }, &mut known);
        if next.interrupted.is_some() {
            return (next, Vec::new());
        }
        let worse: Vec<_> = edited.into_iter().filter(|name| !is_better(name, &outcome.report, &next.report)).collect();
        if worse.is_empty() {
            (outcome, texts) = (next, tried);
        }
        refused.extend(worse);
    }
    let corrected = texts.into_iter().filter_map(|(name, new)| {
        let (old, new) = (originals.remove(&name)?, String::from_utf8(new).ok()?);
        Some(Corrected { name, old, new })
    });
    let corrected = corrected.collect();
    (outcome, corrected)
}

/// Validates the inputs whose results are not known.
fn check_again(request: &CheckRequest<'_>, known: &mut KnownOutcomes) -> CheckOutcome {
    let store = Store::new(request.listing);
    with_tasks(&store, request.assignments, &request.options, |tasks, take| {
        known.complete(tasks, &store, request, take)
    })
}

/// Returns the findings of a report by the names of their files.
fn by_file(report: &CheckReport) -> BTreeMap<&str, Vec<&Located>> {
    let mut files: BTreeMap<&str, Vec<&Located>> = BTreeMap::new();
    for located in report.checked.iter().flat_map(|checked| &checked.findings) {
        if let Some(place) = &located.finding.place {
            files.entry(place.file.as_str()).or_default().push(located);
        }
    }
    files
}

/// Returns a text with all corrections that do not touch each other; `None` without any.
fn edit(text: &str, findings: &[&Located]) -> Option<String> {
    let tabs = || findings.iter().filter(|located| located.finding.code.as_str() == "yaml-tab");
    if tabs().any(|located| located.key.is_none())
        && let Some(new) = without_tabs(text)
    {
        return Some(new);
    }
    let lines = LineIndex::new(text.as_bytes());
    let in_values = tabs().filter(|located| located.key.is_some()).filter_map(|located| located.finding.place.as_ref());
    let in_values = in_values.filter_map(|place| block_without_tabs(text, &lines, place.line?));
    let mut edits: Vec<(Span, String)> =
        findings.iter().filter_map(|located| located.fix()).filter_map(|fix| span(text, &lines, fix)).collect();
    edits.extend(in_values);
    edits.sort_by_key(|(span, _)| (span.start, span.end));
    // The same finding of two validations is one.
    edits.dedup();
    let mut new = String::with_capacity(text.len() + edits.len());
    let mut at = 0;
    for (span, replacement) in edits {
        if span.start < at {
            continue;
        }
        new += &text[at..span.start];
        new += &replacement;
        at = span.end;
    }
    new += &text[at..];
    (new != text).then_some(new)
}

/// Returns the bytes of a correction, if exactly the text that it replaces is there.
fn span(text: &str, lines: &LineIndex, fix: TextFix) -> Option<(Span, String)> {
    let TextFix { start: (line, column), old, new, .. } = fix;
    let range = lines.range(line);
    let in_line = text.get(range.clone())?;
    let column = usize::try_from(column).ok()?.checked_sub(1)?;
    let mut starts = in_line.char_indices().map(|(at, _)| at).chain([in_line.len()]);
    let start = range.start + starts.nth(column)?;
    let end = start + old.len();
    let is_there = text.get(start..end) == Some(&old);
    (is_there && line > 0).then_some((Span { start, end }, new))
}

/// Returns YAML with spaces in place of the tabs that begin lines, if its content does not depend on their width.
fn without_tabs(text: &str) -> Option<String> {
    let wide = |width: usize| -> String {
        let line = |line: &str| {
            let rest = line.trim_start_matches('\t');
            format!("{}{rest}", " ".repeat((line.len() - rest.len()) * width))
        };
        text.split_inclusive('\n').map(line).collect()
    };
    let read = |text: &str| {
        yaml::documents(text).map(|document| document.ok().map(|one| one.root)).collect::<Option<Vec<_>>>()
    };
    let (narrow, other) = (wide(2), wide(4));
    let (one, two) = (read(&narrow)?, read(&other)?);
    let is_same = one.len() == two.len() && one.iter().zip(&two).all(|(one, two)| one.has_same_value(two));
    (is_same && narrow != text).then_some(narrow)
}

/// Returns the block scalar (YAML 1.2.2, chapter 8.1) around a line, with spaces in place of the tabs that begin lines of its text.
fn block_without_tabs(text: &str, lines: &LineIndex, line: u32) -> Option<(Span, String)> {
    let of_line = |line: u32| text.get(lines.range(line)).map(|line| line.trim_end_matches(['\r', '\n']));
    let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let is_header = |line: &str| {
        let end = line.trim_end().trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+'));
        end.ends_with(['|', '>'])
    };
    let own = indent(of_line(line)?);
    let header = (1..line).rev().find(|at| of_line(*at).is_some_and(|line| indent(line) < own && is_header(line)))?;
    let outer = indent(of_line(header)?);
    let is_inside = |at: &u32| of_line(*at).is_some_and(|line| line.trim().is_empty() || indent(line) > outer);
    let last = (header + 1..=lines.count()).take_while(is_inside).last()?;
    let inner = (header + 1..=last).filter_map(of_line).find(|line| !line.trim().is_empty()).map(indent)?;
    let span = Span { start: lines.range(header + 1).start, end: lines.range(last).end };
    let block = text.get(span.start..span.end)?;
    let stripped: String = block.split_inclusive('\n').map(|line| line.get(inner..).unwrap_or("\n")).collect();
    let margin = " ".repeat(inner);
    let indented = |line: &str| if line.trim().is_empty() { line.to_owned() } else { format!("{margin}{line}") };
    Some((span, without_tabs(&stripped)?.split_inclusive('\n').map(indented).collect()))
}

/// Returns true if a file that had errors has fewer of them, or as many that begin further below or lack fewer `;`; and the other inputs
/// have no more than before.
fn is_better(name: &str, before: &CheckReport, after: &CheckReport) -> bool {
    let errors = |report: &CheckReport| -> (usize, (u32, u32), usize) {
        let files = by_file(report);
        let all = files.get(name).map_or(&[][..], Vec::as_slice);
        let errors = all.iter().filter(|located| located.finding.severity == Severity::Error);
        let places = errors.clone().filter_map(|located| located.finding.place.as_ref());
        let places = places.filter_map(|place| Some((place.line?, place.column.unwrap_or(0))));
        let semicolons = all.iter().filter(|located| located.finding.code.as_str() == "missing-semicolon");
        (errors.count(), places.min().unwrap_or((u32::MAX, 0)), semicolons.count())
    };
    let (before_count, before_place, before_lacking) = errors(before);
    let (after_count, after_place, after_lacking) = errors(after);
    let is_further = after_place > before_place || after_lacking < before_lacking;
    let elsewhere = |report: &CheckReport| {
        let all = report.checked.iter().flat_map(|checked| &checked.findings);
        all.filter(|located| located.finding.severity == Severity::Error).count()
    };
    let others = |report: &CheckReport, own: usize| elsewhere(report).saturating_sub(own);
    (after_count < before_count || (after_count == before_count && before_count > 0 && is_further))
        && others(after, after_count) <= others(before, before_count)
}

impl Corrected {
    /// Returns the change as a unified diff. A line of the file is no command of a terminal or of a CI system there.
    #[must_use]
    pub fn diff(&self) -> String {
        let name = self.name.trim_start_matches("./");
        let (old, new) = (format!("a/{name}"), format!("b/{name}"));
        let diff = similar::TextDiff::from_lines(&self.old, &self.new);
        harmless_text(&diff.unified_diff().header(&old, &new).to_string())
    }

    /// Replaces the file in one step, with its mode and owner.
    ///
    /// # Errors
    /// The error of the file system; also if the file has changed since it was judged.
    pub fn write(&self) -> io::Result<()> {
        // A link stays one: the file that it leads to is replaced.
        let path = std::fs::canonicalize(&self.name)?;
        if std::fs::read(&path)? != self.old.as_bytes() {
            return Err(io::Error::other("it changed while it was judged"));
        }
        let directory = path.parent().unwrap_or_else(|| Path::new("/"));
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(self.new.as_bytes())?;
        let metadata = std::fs::metadata(&path)?;
        file.as_file().set_permissions(metadata.permissions())?;
        same_owner(file.as_file(), &metadata)?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(())
    }
}

/// Gives a file the owner of another one, where that is a different one.
fn same_owner(file: &std::fs::File, metadata: &std::fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let own = file.metadata()?;
    if (own.uid(), own.gid()) == (metadata.uid(), metadata.gid()) {
        return Ok(());
    }
    std::os::unix::fs::fchown(file, Some(metadata.uid()), Some(metadata.gid()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_validates_only_what_has_changed() {
        use std::sync::Mutex;

        use crate::check::{CheckOptions, Missing};
        use crate::config::Assignments;

        let here = tempfile::tempdir().expect("there is room");
        let write = |name: &str, text: &str| std::fs::write(here.path().join(name), text).expect("there is room");
        // The second correction is seen only after the first.
        write("a.yaml", "a:\n\tb: 1\n---\na:\n\tb: 1\n");
        write("manifest.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  a.json: '{}'\n");
        write("b.json", "[1,]\n");
        write("c.json", "[]\n");
        let paths = [here.path().to_string_lossy().into_owned()];
        let listing = Listing::of(&paths, &[]).expect("there are no patterns");
        let validated = Mutex::new(Vec::new());
        let progress = |done, total| {
            if done == total {
                validated.lock().expect("no thread panics").push(total);
            }
        };
        let (local, fallback, missing) = (false, false, Missing::Warn);
        let options = CheckOptions { local, fallback, missing, allow_commands: false, alone: false };
        let request =
            CheckRequest { listing: &listing, assignments: &Assignments::default(), options, progress: &progress };
        let (outcome, corrected) = check_and_correct(&request, ListArguments { paths: &paths, exclude: &[] });
        assert_eq!(corrected.len(), 2, "{corrected:?}");
        assert_eq!(outcome.report.checked.len(), 4, "the report has all inputs: {outcome:?}");
        assert!(outcome.report.checked.iter().all(|checked| checked.findings.is_empty()), "{outcome:?}");
        let validated = validated.into_inner().expect("no thread panics");
        assert_eq!(validated[0], 4);
        assert!(validated[1..].iter().all(|total| (1..=2).contains(total)), "{validated:?}");
    }

    #[test]
    fn tabs_become_spaces_where_their_width_makes_no_difference() {
        assert_eq!(without_tabs("a:\n\tb: 1\n\tc:\n\t\t- d\n"), Some("a:\n  b: 1\n  c:\n    - d\n".to_owned()));
        // With two columns `c` is beside `b`, with four it is not.
        assert_eq!(without_tabs("a:\n  b: 1\n\tc: 2\n"), None);
        assert_eq!(without_tabs("a: [\n\t1\n"), None);
    }

    #[test]
    fn only_the_text_that_was_judged_is_replaced() {
        let text = "a;\nü lisen 80;\n";
        let lines = LineIndex::new(text.as_bytes());
        let fix = |column: u32| TextFix {
            start: (2, column),
            end: (2, column + 5),
            old: "lisen".to_owned(),
            new: "listen".to_owned(),
        };
        assert_eq!(span(text, &lines, fix(3)).map(|(span, _)| &text[span.start..span.end]), Some("lisen"));
        assert_eq!(span(text, &lines, fix(4)), None);
        assert_eq!(span(text, &lines, fix(300)), None);
    }
}
