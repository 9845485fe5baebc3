//! Baseline: the findings that a repository had when it began to use `check`. Only others count. Pure.
//!
//! A finding is recognised by its file, object, key and code, and by a hash of its line, so it stays known when lines move. Paths are
//! relative to the working directory, in whatever way they were given. Nothing of a configuration is readable in a baseline.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use reload_gate_contract::Severity;
use serde::{Deserialize, Serialize};

use super::findings::{doubt, is_explanation};
use crate::check::render::{
    CheckReport, CheckSubject, Checked, GoneEntry, Located, Suppressed, Suppression, fingerprint,
};

const VERSION: u32 = 1;

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

/// Returns `path` relative to `base`, if it lies there, without `.` and repeated slashes: those depend on the argument of `check`.
#[must_use]
pub fn relative(path: &str, base: &Path) -> String {
    let path = Path::new(path);
    let own = path.strip_prefix(base).unwrap_or(path).components().filter(|step| *step != Component::CurDir);
    own.collect::<PathBuf>().display().to_string()
}

/// Returns the inputs of a report, relative to `base`, that were not validated, or not to the end: a program or a file was missing.
#[must_use]
pub fn not_validated(report: &CheckReport, base: &Path) -> BTreeSet<PathBuf> {
    let has_obstacle = |checked: &&Checked| checked.findings.iter().any(Located::is_obstacle);
    let halted = report.checked.iter().filter(has_obstacle).map(|checked| &checked.subject);
    let all = halted.chain(report.unchecked.iter().map(|unchecked| &unchecked.subject));
    all.map(|subject| relative(&subject.input, base).into()).collect()
}

/// Returns true if a baseline may hold a finding: it is about the configuration. An obstacle means that nothing was validated.
fn may_be_known(located: &Located) -> bool {
    located.finding.severity != Severity::Note && !located.is_obstacle()
}

impl Baseline {
    /// Reads a baseline.
    ///
    /// # Errors
    /// The reason why the text is none.
    pub fn parse(text: &str) -> Result<Self, String> {
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

    /// Returns the baseline with the entries of `former` about files that `may_have` findings still, since this run did not validate them.
    #[must_use]
    pub fn with_unread(mut self, former: Self, may_have: &dyn Fn(&str) -> bool) -> Self {
        for (known, count) in former.0.into_iter().filter(|(known, _)| may_have(&known.file)) {
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

    /// Moves the known findings of a report to those that are suppressed, and adds the entries that no longer occur. `may_have` returns
    /// true for a file that exists and that this run did not read, so that nothing is known of it.
    #[must_use]
    pub fn apply(&self, mut report: CheckReport, base: &Path, may_have: &dyn Fn(&str) -> bool) -> CheckReport {
        let mut left = self.0.clone();
        for checked in &mut report.checked {
            let mut follows_known = false;
            for located in std::mem::take(&mut checked.findings) {
                if follows_known && is_explanation(&located.finding) {
                    continue;
                }
                let known = may_be_known(&located).then(|| left.get_mut(&Known::of(&checked.subject, &located, base)));
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
        let gone = left.into_iter().filter(|(known, count)| *count > 0 && !may_have(&known.file));
        let gone =
            gone.map(|(Known { file, object, key, code, .. }, count)| GoneEntry { file, object, key, code, count });
        report.gone = Some(gone.collect());
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
    use reload_gate_contract::{Code, Finding, Place, Verdict};

    use super::*;
    use crate::check::render::InputExcerpt;

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
        let known = baseline.apply(moved, Path::new("/w"), &|_| false);
        assert!(left(&known).is_empty());
        assert_eq!(known.gone, Some(vec![]));
        let more = report(vec![at(5, "listen x;"), at(6, "listen x;"), at(7, "listen x;"), at(8, "root y;")]);
        let new = baseline.apply(more, Path::new("/w"), &|_| false);
        let lines: Vec<_> = new.checked[0].findings.iter().map(|one| one.finding.place.clone()?.line).collect();
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
        assert!(left(&baseline.apply(known, Path::new("/w"), &|_| false)).is_empty());
        let new = report(vec![at(3, "listen x;"), at(9, "root y;"), note("a-note", 8)]);
        assert_eq!(left(&baseline.apply(new, Path::new("/w"), &|_| false)), ["a-code", "a-note"]);
    }

    #[test]
    fn what_was_not_compared_is_an_obstacle() {
        let baseline = Baseline::of(&report(vec![at(3, "listen x;")]), Path::new("/w"));
        let mut known = report(vec![at(3, "listen x;")]);
        known.checked[0].omitted = 1;
        let known = baseline.apply(known, Path::new("/w"), &|_| false);
        assert_eq!((left(&known), known.checked[0].verdict()), (vec!["more-findings"], Verdict::Inconclusive));
    }

    #[test]
    fn an_obstacle_is_never_known() {
        let obstacle = Located { finding: Finding::environment(CODE, "m"), ..at(1, "x") };
        assert_eq!(Baseline::of(&report(vec![obstacle.clone()]), Path::new("/w")).count(), 0);
        let same = Known::of(&CheckSubject::input("./a.conf"), &obstacle, Path::new("/w"));
        let baseline = Baseline([(same, 1)].into());
        assert_eq!(left(&baseline.apply(report(vec![obstacle]), Path::new("/w"), &|_| true)), ["a-code"]);
    }

    #[test]
    fn only_entries_of_files_that_were_read_or_removed_are_gone() {
        let baseline = Baseline::of(&report(vec![at(1, "x")]), Path::new("/w"));
        let gone = |may_have: bool| {
            baseline.apply(CheckReport::default(), Path::new("/w"), &|_| may_have).gone.map(|gone| gone.len())
        };
        assert_eq!((gone(true), gone(false)), (Some(0), Some(1)));
    }

    #[test]
    fn a_file_is_the_same_by_each_of_its_paths() {
        let base = Path::new("/w");
        for path in ["k8s/a.conf", "./k8s//a.conf", "k8s/./a.conf", "/w/k8s/a.conf"] {
            assert_eq!(relative(path, base), "k8s/a.conf", "{path}");
        }
        assert_eq!(relative("/etc/a.conf", base), "/etc/a.conf");
        assert_eq!(relative("../a.conf", base), "../a.conf");
    }

    #[test]
    fn entries_of_files_that_were_not_read_stay() {
        let former = Baseline::of(&report(vec![at(1, "x")]), Path::new("/w"));
        for (may_have, count) in [(true, 1), (false, 0)] {
            let merged = Baseline::default().with_unread(former.clone(), &|_| may_have);
            assert_eq!(merged.count(), count);
        }
    }

    #[test]
    fn entries_of_a_file_that_was_not_validated_stay() {
        let former = report(vec![at(1, "x"), at(2, "y")]);
        let obstacle = Located { finding: Finding::environment(CODE, "m"), ..at(1, "x") };
        let halted = report(vec![obstacle, at(1, "x")]);
        let base = Path::new("/w");
        let files = not_validated(&halted, base);
        assert_eq!(files, [PathBuf::from("a.conf")].into());
        assert!(not_validated(&former, base).is_empty());
        let may_have = |file: &str| files.contains(Path::new(file));
        let merged = Baseline::of(&halted, base).with_unread(Baseline::of(&former, base), &may_have);
        assert_eq!(merged, Baseline::of(&former, base));
        assert_eq!(merged.difference(&Baseline::of(&report(vec![at(1, "x"), at(1, "z")]), base)), (1, 1));
    }

    #[test]
    fn another_version_is_no_baseline() {
        assert!(Baseline::parse("{\"version\": 2, \"findings\": []}").is_err());
        assert_eq!(Baseline::default().to_text(), "{\n  \"version\": 1,\n  \"findings\": []\n}\n");
    }
}
