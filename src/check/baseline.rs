//! Baseline: the findings that a repository had when it began to use `check`. Only others count. Pure.
//!
//! A finding is recognised by its file, object, key and code, and by a hash of its line, so it stays known when lines move. Paths are
//! relative to the working directory, in whatever way they were given. Nothing of a configuration is readable in a baseline.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use reload_gate_contract::{Code, Finding, Severity};
use serde::{Deserialize, Serialize};

use super::NO_VALIDATOR;
use super::charts;
use super::findings::doubt;
use crate::check::render::{
    CheckReport, CheckSubject, Checked, GoneEntry, LapsedPart, Located, Suppressed, Suppression, fingerprint,
    is_explanation, plain_path,
};

const VERSION: u32 = 1;

const PERHAPS_HIDDEN: Code = Code::new("perhaps-hidden");

/// Findings that are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline(BTreeMap<Known, usize>);

/// Finding, as a baseline knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Known {
    file: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    code: String,
    fingerprint: String,
}

/// Entry of the file: a finding, and the number of its occurrences.
#[derive(Serialize, Deserialize)]
struct BaselineEntry {
    #[serde(flatten)]
    known: Known,
    #[serde(default = "once")]
    count: usize,
}

#[derive(Deserialize)]
struct BaselineFile {
    version: u32,
    findings: Vec<BaselineEntry>,
}

const fn once() -> usize {
    1
}

impl Known {
    fn of(subject: &CheckSubject, located: &Located, base: &Path) -> Self {
        let (object, key) = located.part(subject);
        let file = relative(&located.place(subject).file, base);
        Self {
            fingerprint: fingerprint(subject, located, &file),
            file,
            object: object.map(str::to_owned),
            key: key.map(str::to_owned),
            code: located.finding.code.to_string(),
        }
    }
}

/// Returns `path` relative to `base`, if it lies there, without `.`, `..` and repeated slashes: those depend on the argument of `check`.
#[must_use]
pub fn relative(path: &str, base: &Path) -> String {
    let whole = base.join(path).display().to_string();
    let inside = Path::new(&plain_path(&whole)).strip_prefix(base).ok().map(|inside| inside.display().to_string());
    inside.filter(|_| !base.as_os_str().is_empty()).unwrap_or_else(|| plain_path(path))
}

/// Knowledge of one run about the entries of a baseline.
pub struct RunScope<'a> {
    /// Working directory.
    base: &'a Path,
    /// Files among the inputs.
    files: BTreeSet<String>,
    /// Inputs that were not validated, or not to the end.
    open: BTreeSet<PathBuf>,
    /// Parts of which nothing was validated.
    parts: Vec<(CheckSubject, Cow<'static, str>)>,
    /// Returns true if there is such a file.
    exists: &'a dyn Fn(&str) -> bool,
}

impl<'a> RunScope<'a> {
    /// Returns the scope of a run with this report. `files` are the files among the inputs, relative to `base`, the working directory.
    #[must_use]
    pub fn of(report: &CheckReport, files: BTreeSet<String>, base: &'a Path, exists: &'a dyn Fn(&str) -> bool) -> Self {
        let unchecked = report.unchecked.iter().map(|unchecked| (unchecked.subject.clone(), unchecked.why.clone()));
        let named = report.checked.iter().filter_map(|checked| {
            let cause = checked.findings.iter().find(|located| located.finding.code == NO_VALIDATOR)?;
            Some((checked.subject.clone(), cause.finding.message.clone().into()))
        });
        let has_obstacle = |checked: &&Checked| checked.findings.iter().any(Located::is_obstacle);
        let halted = report.checked.iter().filter(has_obstacle).map(|checked| relative(&checked.subject.input, base));
        let own = report.unchecked.iter().flat_map(|unchecked| {
            let input = relative(&unchecked.subject.input, base);
            // Of a chart the templates are not validated, and all else is.
            let below =
                charts::PARTS.iter().filter(|_| unchecked.why == charts::WHY).map(|part| Path::new(&input).join(part));
            let below: Vec<PathBuf> = below.collect();
            if below.is_empty() { vec![input.into()] } else { below }
        });
        let open = halted.map(PathBuf::from).chain(own).collect();
        Self { base, files, open, parts: unchecked.chain(named).collect(), exists }
    }

    /// Returns true if a file may have its findings still, since it is there and this run did not validate all of it.
    fn may_have(&self, file: &str) -> bool {
        let is_validated =
            self.files.contains(file) && !self.open.iter().any(|input| Path::new(file).starts_with(input));
        !is_validated && (self.exists)(file)
    }

    /// Returns the parts of which nothing was validated, though a baseline has findings of them: under their name, or under that of a file
    /// beside them that is gone and differs in its extension alone.
    fn lapsed(&self, entries: &BTreeMap<Known, usize>) -> Vec<LapsedPart> {
        let of_part = |(subject, why): &(CheckSubject, Cow<'static, str>)| {
            let input = relative(&subject.input, self.base);
            let is_own = |known: &&Known| {
                known.file == input
                    && (subject.object.is_none() || known.object.as_deref() == subject.object.as_deref())
                    && (subject.key.is_none() || known.key.as_deref() == subject.key.as_deref())
            };
            let is_former = |known: &&Known| subject.object.is_none() && is_renamed(&known.file, &input);
            let count = |fits: &dyn Fn(&&Known) -> bool| -> usize {
                entries.iter().filter(|(known, _)| fits(known)).map(|(_, count)| count).sum()
            };
            let former = entries.keys().find(|known| is_former(known) && !(self.exists)(&known.file));
            let (count, former) = match (count(&is_own), former) {
                (0, Some(known)) => (count(&|other| other.file == known.file), Some(known.file.clone())),
                (own, _) => (own, None),
            };
            (count > 0).then(|| LapsedPart { subject: subject.clone(), why: why.to_string(), count, former })
        };
        self.parts.iter().filter_map(of_part).collect()
    }
}

/// Returns true if two paths differ only behind the first dot of the name.
fn is_renamed(one: &str, other: &str) -> bool {
    let parts = |path: &str| {
        let path = Path::new(path);
        let name = path.file_name()?.to_str()?;
        let stem = name.split('.').next().filter(|stem| !stem.is_empty())?;
        Some((path.parent().map(Path::to_owned), stem.to_owned()))
    };
    one != other && parts(one).is_some_and(|own| Some(own) == parts(other))
}

/// Returns true if a baseline may hold a finding: it is about the configuration. An obstacle means that nothing was validated.
fn may_be_known(located: &Located) -> bool {
    located.finding.severity != Severity::Note && !located.is_obstacle()
}

/// Returns true for a line that git writes around the sides of a conflict (git-merge(1), "How conflicts are presented").
fn is_of_conflict(line: &str) -> bool {
    ["<<<<<<< ", ">>>>>>> ", "||||||| "].iter().any(|mark| line.starts_with(mark)) || line.trim_end() == "======="
}

/// Adds a note to the first new finding of each part with a finding that is gone: programs stop at an error, and find the next one once it
/// is corrected.
fn explain(checked: &mut Checked, gone: &BTreeMap<Known, usize>, base: &Path) {
    let part = |known: &Known| (known.file.clone(), known.object.clone(), known.key.clone());
    let mut parts: BTreeSet<_> = gone.keys().map(part).collect();
    let mut findings = Vec::with_capacity(checked.findings.len());
    for located in std::mem::take(&mut checked.findings) {
        let known = Known::of(&checked.subject, &located, base);
        let is_first = may_be_known(&located) && parts.remove(&part(&known));
        let note = is_first.then(|| {
            let message = "a finding that the baseline has of this part is gone: it may have hidden this one, or be the same on a changed line";
            let help = "mend this one as well, or write the baseline again: `--write-baseline`";
            let finding = Finding { severity: Severity::Note, ..Finding::warning(PERHAPS_HIDDEN, message) }.help(help);
            let finding = Finding { place: located.finding.place.clone(), ..finding };
            Located { finding, excerpt: None, ..located.clone() }
        });
        findings.push(located);
        findings.extend(note);
    }
    checked.findings = findings;
}

impl Baseline {
    /// Reads a baseline.
    ///
    /// # Errors
    /// The reason why the text is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(line) = text.lines().position(is_of_conflict) {
            return Err(format!("it has an unresolved conflict of git at line {}", line + 1));
        }
        let file: BaselineFile = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if file.version != VERSION {
            return Err(format!("it has the version {}, and this reload-gate reads {VERSION}", file.version));
        }
        let mut known = BTreeMap::new();
        for BaselineEntry { known: entry, count } in file.findings {
            *known.entry(entry).or_default() += count;
        }
        Ok(Self(known))
    }

    /// Returns the baseline in a text with a conflict of git: the entries of both sides. Each has a line of its own.
    #[must_use]
    pub fn of_conflict(text: &str) -> Option<Self> {
        text.lines().any(is_of_conflict).then(|| {
            let mut known = BTreeMap::new();
            let entry = |line: &str| serde_json::from_str::<BaselineEntry>(line.trim().trim_end_matches(',')).ok();
            for BaselineEntry { known: entry, count } in text.lines().filter_map(entry) {
                let kept: &mut usize = known.entry(entry).or_default();
                *kept = count.max(*kept);
            }
            Self(known)
        })
    }

    /// Returns the baseline of a report, with the findings that a baseline already suppressed. `base` is the working directory.
    #[must_use]
    pub fn of(report: &CheckReport, base: &Path) -> Self {
        let mut known = BTreeMap::new();
        for checked in &report.checked {
            let suppressed = checked.suppressed.iter().filter(|suppressed| suppressed.by == Suppression::Baseline);
            let all = checked.findings.iter().chain(suppressed.map(|suppressed| &suppressed.located));
            for located in all.filter(|located| may_be_known(located)) {
                *known.entry(Known::of(&checked.subject, located, base)).or_default() += 1;
            }
        }
        Self(known)
    }

    /// Returns the baseline with the entries of `former` about files that may have their findings still, since the run did not validate them.
    #[must_use]
    pub fn with_unread(mut self, former: Self, scope: &RunScope<'_>) -> Self {
        for (known, count) in former.0.into_iter().filter(|(known, _)| scope.may_have(&known.file)) {
            let kept = self.0.entry(known).or_default();
            *kept = count.max(*kept);
        }
        self
    }

    /// Returns the numbers of findings that `former` lacks, and that it alone has.
    #[must_use]
    pub fn difference(&self, former: &Self) -> (usize, usize) {
        let more = |one: &Self, other: &Self| -> usize {
            one.0
                .iter()
                .map(|(known, count)| count.saturating_sub(other.0.get(known).copied().unwrap_or_default()))
                .sum()
        };
        (more(self, former), more(former, self))
    }

    /// Returns the number of findings in it.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.values().sum()
    }

    /// Moves the known findings of a report to those that are suppressed, and adds the entries that no longer occur, and the parts that are
    /// not validated any more.
    #[must_use]
    pub fn apply(&self, mut report: CheckReport, scope: &RunScope<'_>) -> CheckReport {
        let mut left = self.0.clone();
        for checked in &mut report.checked {
            let mut follows_known = false;
            for located in std::mem::take(&mut checked.findings) {
                if follows_known && is_explanation(&located.finding) {
                    continue;
                }
                let known = may_be_known(&located);
                let known = known.then(|| left.get_mut(&Known::of(&checked.subject, &located, scope.base)));
                let known = known.flatten().filter(|count| **count > 0);
                follows_known = known.is_some();
                match known {
                    Some(count) => {
                        *count -= 1;
                        checked.suppressed.push(Suppressed { located, by: Suppression::Baseline });
                    }
                    None => checked.findings.push(located),
                }
            }
            doubt(checked);
        }
        let gone = left.into_iter().filter(|(known, count)| *count > 0 && !scope.may_have(&known.file));
        let gone: BTreeMap<Known, usize> = gone.collect();
        report.checked.iter_mut().for_each(|checked| explain(checked, &gone, scope.base));
        let gone = gone.into_iter().map(|(Known { file, object, key, code, .. }, count)| {
            let is_removed = !(scope.exists)(&file);
            GoneEntry { file, object, key, code, count, is_removed }
        });
        report.gone = Some(gone.collect());
        report.lapsed = scope.lapsed(&self.0);
        report
    }

    /// Returns the text of its file, with a line for each entry, so that changes of it are easy to review and to merge.
    #[must_use]
    pub fn to_text(&self) -> String {
        let entries = self.0.iter().map(|(known, count)| BaselineEntry { known: known.clone(), count: *count });
        // Serialization cannot fail: all keys of maps are strings.
        let lines: Vec<_> = entries.map(|entry| serde_json::to_string(&entry).unwrap_or_default()).collect();
        let list = if lines.is_empty() { "[]".to_owned() } else { format!("[\n    {}\n  ]", lines.join(",\n    ")) };
        format!("{{\n  \"version\": {VERSION},\n  \"findings\": {list}\n}}\n")
    }
}

#[cfg(test)]
mod tests {
    use reload_gate_contract::{Place, Verdict};

    use super::*;
    use crate::check::render::{InputExcerpt, Unchecked};

    const CODE: Code = Code::new("a-code");

    fn at(line: u32, text: &str) -> Located {
        let finding = Finding::error(CODE, "m").at(Place { column: Some(1), ..Place::line("./a.conf", line) });
        let excerpt = InputExcerpt { first_line: line, text: text.to_owned(), mark: 0..1 };
        Located { finding, object: None, key: None, excerpt: Some(excerpt) }
    }

    fn report(findings: Vec<Located>) -> CheckReport {
        let checked = Checked::new(CheckSubject::input("./a.conf"), "v", "r", findings);
        CheckReport { checked: vec![checked], ..CheckReport::default() }
    }

    /// Applies a baseline to the report of a run whose inputs were those with a validation; `exists` is true if all other files are there.
    fn applied(baseline: &Baseline, report: CheckReport, exists: bool) -> CheckReport {
        let base = Path::new("/w");
        let files = report.checked.iter().map(|checked| relative(&checked.subject.input, base)).collect();
        let there = |_: &str| exists;
        let scope = RunScope::of(&report, files, base, &there);
        baseline.apply(report, &scope)
    }

    fn left(report: &CheckReport) -> Vec<&str> {
        report.checked[0].findings.iter().map(|located| located.finding.code.as_str()).collect()
    }

    #[test]
    fn moved_lines_stay_known_and_a_further_occurrence_is_new() {
        let baseline =
            Baseline::of(&report(vec![at(3, "listen x;"), at(9, "listen x;"), at(12, "root;")]), Path::new("/w"));
        let baseline = Baseline::parse(&baseline.to_text()).expect("it is one");
        assert_eq!(baseline.count(), 3);
        let moved = report(vec![at(5, "  listen x;"), at(20, "listen x;"), at(1, "root;")]);
        let known = applied(&baseline, moved, false);
        assert!(left(&known).is_empty());
        assert_eq!(known.gone, Some(vec![]));
        let more = report(vec![at(5, "listen x;"), at(6, "listen x;"), at(7, "listen x;"), at(8, "root y;")]);
        let new = applied(&baseline, more, false);
        let errors = new.checked[0].findings.iter().filter(|one| one.finding.severity == Severity::Error);
        let lines: Vec<_> = errors.map(|one| one.finding.place.clone()?.line).collect();
        assert_eq!(lines, [Some(7), Some(8)]);
        assert_eq!(new.gone.map(|gone| gone.len()), Some(1));
    }

    #[test]
    fn a_note_is_hidden_with_the_finding_that_it_explains() {
        let note = |code: &'static str, line: u32| {
            let located = at(line, "x");
            let finding = Finding { code: Code::new(code), severity: Severity::Note, ..located.finding };
            Located { finding, ..located }
        };
        let baseline = Baseline::of(&report(vec![at(3, "listen x;")]), Path::new("/w"));
        let known = report(vec![at(3, "listen x;"), note("a-note", 2)]);
        assert!(left(&applied(&baseline, known, false)).is_empty());
        let new = report(vec![at(3, "listen x;"), at(9, "root y;"), note("a-note", 8)]);
        assert_eq!(left(&applied(&baseline, new, false)), ["a-code", "a-note"]);
    }

    #[test]
    fn what_was_not_compared_is_an_obstacle() {
        let baseline = Baseline::of(&report(vec![at(3, "listen x;")]), Path::new("/w"));
        let mut known = report(vec![at(3, "listen x;")]);
        known.checked[0].omitted = 1;
        let known = applied(&baseline, known, false);
        assert_eq!((left(&known), known.checked[0].verdict()), (vec!["more-findings"], Verdict::Inconclusive));
    }

    #[test]
    fn an_obstacle_is_never_known() {
        let obstacle = Located { finding: Finding::environment(CODE, "m"), ..at(1, "x") };
        assert_eq!(Baseline::of(&report(vec![obstacle.clone()]), Path::new("/w")).count(), 0);
        let same = Known::of(&CheckSubject::input("./a.conf"), &obstacle, Path::new("/w"));
        let baseline = Baseline([(same, 1)].into());
        assert_eq!(left(&applied(&baseline, report(vec![obstacle]), true)), ["a-code"]);
    }

    #[test]
    fn only_entries_of_files_that_were_read_or_removed_are_gone() {
        let baseline = Baseline::of(&report(vec![at(1, "x")]), Path::new("/w"));
        let gone = |exists: bool| applied(&baseline, CheckReport::default(), exists).gone.map(|gone| gone.len());
        assert_eq!((gone(true), gone(false)), (Some(0), Some(1)));
    }

    #[test]
    fn a_file_is_the_same_by_each_of_its_paths() {
        let base = Path::new("/w");
        let paths =
            ["k8s/a.conf", "./k8s//a.conf", "k8s/./a.conf", "/w/k8s/a.conf", "../w/k8s/a.conf", "x/../k8s/a.conf"];
        for path in paths {
            assert_eq!(relative(path, base), "k8s/a.conf", "{path}");
        }
        assert_eq!(relative("/etc/a.conf", base), "/etc/a.conf");
        assert_eq!(relative("../a.conf", base), "../a.conf");
        assert_eq!(relative("x/../../a.conf", base), "../a.conf");
    }

    #[test]
    fn entries_of_files_that_were_not_read_stay() {
        let former = Baseline::of(&report(vec![at(1, "x")]), Path::new("/w"));
        for (exists, count) in [(true, 1), (false, 0)] {
            let there = |_: &str| exists;
            let scope = RunScope::of(&CheckReport::default(), BTreeSet::new(), Path::new("/w"), &there);
            assert_eq!(Baseline::default().with_unread(former.clone(), &scope).count(), count);
        }
    }

    #[test]
    fn entries_of_a_file_that_was_not_validated_stay() {
        let former = report(vec![at(1, "x"), at(2, "y")]);
        let obstacle = Located { finding: Finding::environment(CODE, "m"), ..at(1, "x") };
        let halted = report(vec![obstacle, at(1, "x")]);
        let (base, files) = (Path::new("/w"), || BTreeSet::from(["a.conf".to_owned()]));
        let scope = RunScope::of(&halted, files(), base, &|_| true);
        assert!(scope.may_have("a.conf"));
        assert!(!RunScope::of(&former, files(), base, &|_| true).may_have("a.conf"));
        let merged = Baseline::of(&halted, base).with_unread(Baseline::of(&former, base), &scope);
        assert_eq!(merged, Baseline::of(&former, base));
        assert_eq!(merged.difference(&Baseline::of(&report(vec![at(1, "x"), at(1, "z")]), base)), (1, 1));
    }

    #[test]
    fn a_chart_leaves_only_its_templates_open() {
        let why = charts::WHY.into();
        let unchecked = vec![Unchecked { subject: CheckSubject::input("."), why, help: None }];
        let report = CheckReport { unchecked, ..CheckReport::default() };
        let files = ["a.conf", "templates/b.yaml"].map(str::to_owned).into();
        let scope = RunScope::of(&report, files, Path::new("/w"), &|_| true);
        assert_eq!((scope.may_have("a.conf"), scope.may_have("templates/b.yaml")), (false, true));
    }

    #[test]
    fn a_file_that_nothing_validates_any_more_is_said() {
        let baseline = Baseline::of(&report(vec![at(1, "x"), at(2, "y")]), Path::new("/w"));
        let lapsed = |input: &str, exists: bool| {
            let unchecked = vec![Unchecked { subject: CheckSubject::input(input), why: "w".into(), help: None }];
            let report = CheckReport { unchecked, ..CheckReport::default() };
            let lapsed = applied(&baseline, report, exists).lapsed;
            lapsed.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let kept = "./a.conf: not validated any more (w); the baseline has 2 findings of it";
        assert_eq!(lapsed("./a.conf", true), [kept]);
        let renamed = "./a.old: not validated any more (w); the baseline has 2 findings of `a.conf`, which is gone";
        assert_eq!(lapsed("./a.old", false), [renamed]);
        assert!(lapsed("./a.old", true).is_empty(), "the file is there, and was not among the inputs");
        assert!(lapsed("./b.conf", false).is_empty());
    }

    #[test]
    fn a_finding_behind_one_that_is_gone_has_a_note() {
        let baseline = Baseline::of(&report(vec![at(1, "x"), at(2, "y")]), Path::new("/w"));
        let notes = |findings| left(&applied(&baseline, report(findings), true)).join(" ");
        assert_eq!(notes(vec![at(2, "y"), at(5, "z"), at(6, "zz")]), "a-code perhaps-hidden a-code");
        assert_eq!(notes(vec![at(1, "x"), at(2, "y"), at(5, "z")]), "a-code", "nothing is gone");
    }

    #[test]
    fn a_conflict_of_git_is_named_and_keeps_the_entries_of_both_sides() {
        let base = Path::new("/w");
        let text = |findings| Baseline::of(&report(findings), base).to_text();
        let (one, other) = (text(vec![at(1, "x"), at(2, "y")]), text(vec![at(1, "x"), at(3, "z")]));
        let conflict = format!("<<<<<<< HEAD\n{one}=======\n{other}>>>>>>> branch\n");
        assert_eq!(Baseline::parse(&conflict), Err("it has an unresolved conflict of git at line 1".to_owned()));
        assert_eq!(Baseline::of_conflict(&conflict).map(|both| both.count()), Some(3));
        assert_eq!(Baseline::of_conflict(&one), None);
    }

    #[test]
    fn another_version_is_no_baseline() {
        assert!(Baseline::parse("{\"version\": 2, \"findings\": []}").is_err());
        assert_eq!(Baseline::default().to_text(), "{\n  \"version\": 1,\n  \"findings\": []\n}\n");
    }
}
