//! Rules for findings that need the text that they are about: several lines in one message, formats that other programs read, and
//! placeholders. Pure.

use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::sync::LazyLock;

use regex::Regex;
use reload_gate_contract::{Finding, LineIndex, Place, Severity, Verdict};
use reload_gate_structured::yaml::{self, Node, Value};

use super::placeholder::{self, Dialect};
use crate::check::render::{CheckReport, CheckSubject, Checked, LEFT_OUT, Located, MORE_FINDINGS};
use crate::redact;

/// Largest number of findings of one validation in a report.
const MOST: usize = 100;

/// Largest number of findings of one validation that are processed, and so known to a baseline.
const PROCESSED: usize = 1_000;

/// Line of a message that begins with a place of its own, as in errors of go-yaml.
static LINE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^\s*line (?P<line>[0-9]+): (?P<message>.+)$").ok());

/// Access to the texts of a validation.
pub(super) struct Reading<'r> {
    /// Returns the text of a file.
    pub(super) contents: &'r dyn Fn(&str) -> Option<&'r [u8]>,
}

/// Splits a finding with several lines in its message, each of which has its own place.
pub(super) fn one_by_line(finding: &Finding) -> Vec<Finding> {
    let mut lines = finding.message.lines();
    let first = lines.next().unwrap_or_default().to_owned();
    let mut findings = vec![Finding { message: first, ..finding.clone() }];
    for line in lines {
        let found = LINE.as_ref().and_then(|pattern| pattern.captures(line));
        let place = finding.place.as_ref().map(|place| Place { column: None, span: None, ..place.clone() });
        match (found, place) {
            (Some(found), Some(place)) => {
                let place = Place { line: found["line"].parse().ok(), ..place };
                findings.push(Finding { message: found["message"].to_owned(), ..finding.clone() }.at(place));
            }
            _ => {
                if let Some(last) = findings.last_mut() {
                    last.message = format!("{}; {}", last.message, line.trim());
                }
            }
        }
    }
    findings
}

/// Returns the first findings, with shortened messages, and the number of the others. A finding that makes the verdict is among them.
pub(super) fn cut(mut findings: Vec<Finding>) -> (Vec<Finding>, usize) {
    let others = shorten(&mut findings, PROCESSED, |finding| finding);
    for finding in &mut findings {
        let shown = redact::truncated(&finding.message).len();
        if shown < finding.message.len() {
            finding.message.truncate(shown);
            finding.message += " …";
        }
    }
    (findings, others)
}

/// Leaves `most` findings, with one that makes the verdict, and returns the number of the others.
fn shorten<T>(findings: &mut Vec<T>, most: usize, finding: impl Fn(&T) -> &Finding) -> usize {
    let others = findings.len().saturating_sub(most);
    if others > 0 {
        let verdict = Verdict::of(findings.iter().map(&finding));
        if Verdict::of(findings[..most].iter().map(&finding)) != verdict
            && let Some(cause) = findings.iter().position(|one| Verdict::of([finding(one)]) == verdict)
        {
            findings.swap(most - 1, cause);
        }
        findings.truncate(most);
    }
    others
}

/// Returns a report with those findings of each validation that it lists, and a closing one if there are more.
#[must_use]
pub fn listed(mut report: CheckReport) -> CheckReport {
    for checked in &mut report.checked {
        let others = shorten(&mut checked.findings, MOST, |located| &located.finding) + checked.omitted;
        if others > 0 {
            let message = format!("{others} more findings are not listed");
            let closing = Finding { severity: Severity::Note, ..Finding::warning(MORE_FINDINGS, message) };
            let closing = closing.help("correct the first ones, and check again");
            checked.findings.push(of_whole(&checked.subject, closing));
        }
    }
    report
}

/// Adds an obstacle to each validation that had more findings than were compared with a baseline: a new one may be among the others.
pub(super) fn doubt(checked: &mut Checked) {
    let is_cut = checked.findings.iter().any(|located| located.finding.code.as_str() == LEFT_OUT);
    if checked.omitted > 0 || is_cut {
        let message = "there are further findings, which were not compared with the baseline";
        let finding = Finding::environment(MORE_FINDINGS, message);
        let finding = finding.help("correct some of the known findings, or leave files out with `--exclude`");
        checked.findings.push(of_whole(&checked.subject, finding));
    }
}

/// Returns a finding about all of a validation.
fn of_whole(subject: &CheckSubject, finding: Finding) -> Located {
    let place = Place { line: subject.line, ..Place::file(&*subject.input) };
    Located { finding: finding.at(place), object: None, key: None, excerpt: None }
}

impl Reading<'_> {
    /// Returns the finding of a format as it counts for texts that are of another format to their programs.
    pub(super) fn weigh_format(&self, finding: Finding) -> Finding {
        if finding.code.as_str() != "json-trailing-text" {
            return finding;
        }
        let text = finding.place.as_ref().and_then(|place| (self.contents)(&place.file));
        let Some(text) = text.and_then(|text| std::str::from_utf8(text).ok()) else { return finding };
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let is_json = |line: &str| serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok();
        let help = if lines.all(is_json) {
            "each line is JSON of its own, which programs for JSON Lines read"
        } else if !text.trim_start().starts_with(['{', '['])
            && matches!(yaml::parse(text), Ok(Some(root)) if !root.entries().is_empty())
        {
            "it is YAML, which some programs read from files of this name"
        } else {
            return finding;
        };
        Finding { severity: Severity::Warning, help: Some(help.to_owned()), ..finding }
    }

    /// Returns the findings without those that reject a text on a line with a placeholder outside of quoted strings, or for a word that is
    /// one.
    pub(super) fn beside_placeholders(&self, mut findings: Vec<Finding>, dialect: Dialect) -> Vec<Finding> {
        // Each file is read once, however many findings there are.
        let mut files = BTreeMap::new();
        findings.retain(|finding| {
            let text = finding.place.as_ref().and_then(|place| Some((place, (self.contents)(&place.file)?)));
            let Some((place, text)) = text.filter(|_| is_rejecting(finding)) else { return true };
            let (lines, places) = files
                .entry(place.file.clone())
                .or_insert_with(|| (LineIndex::new(text), placeholder::open_places(text, dialect)));
            let line = place.line.map_or(0..text.len(), |line| lines.range(line));
            let is_on_line = places.iter().any(|place| place.start < line.end && line.start < place.end);
            let words = String::from_utf8_lossy(&text[line]);
            !is_on_line && (place.line.is_none() || !placeholder::is_named(&words, &finding.message, dialect))
        });
        findings
    }
}

/// Returns true if a finding rejects a text.
pub(super) fn is_rejecting(finding: &Finding) -> bool {
    Verdict::of([finding]) == Verdict::Rejected
}

/// Returns true if a word is a key of a YAML or JSON text, and in none of its values.
pub(super) fn is_only_a_key(text: &[u8], word: &str) -> bool {
    let is_identifier = word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let root = std::str::from_utf8(text).ok().filter(|_| is_identifier).map(yaml::parse);
    let Some(Ok(Some(root))) = root else { return false };
    let (mut is_key, mut is_value) = (false, false);
    visit(&root, &mut |text, key| {
        is_key |= key && text == word;
        is_value |= !key && text.contains(word);
    });
    is_key && !is_value
}

fn visit(node: &Node, scalar: &mut dyn FnMut(&str, bool)) {
    match &node.value {
        Value::Map(entries) => {
            for (key, value) in entries {
                key.as_str().into_iter().for_each(|key| scalar(key, true));
                visit(value, scalar);
            }
        }
        Value::List(items) => items.iter().for_each(|item| visit(item, scalar)),
        _ => node.as_str().into_iter().for_each(|text| scalar(text, false)),
    }
}

/// Directories of the machine whose files hold nothing that a message must not quote.
const OF_SYSTEM: [&str; 6] = ["/bin", "/etc", "/lib", "/lib64", "/sbin", "/usr"];

/// Moves the place of a finding into its message, since it is no place in an input. An input can name any file of the machine, such as
/// one of the job's credentials, so what a message says of its text is left out.
pub(super) fn beside(finding: Finding) -> Finding {
    let Some(place) = &finding.place else { return finding };
    let file = Path::new(&place.file);
    let is_relative = file.is_relative() && !file.components().any(|part| part == Component::ParentDir);
    let is_shown = is_relative || OF_SYSTEM.iter().any(|system| file.starts_with(system));
    let message = if is_shown { &finding.message } else { "an error in a file that is not among the inputs" };
    Finding { message: format!("{place}: {message}"), ..finding }
}

#[cfg(test)]
mod tests {
    use reload_gate_contract::Code;

    use super::*;

    #[test]
    fn a_message_about_a_file_that_is_no_input_has_none_of_its_text() {
        let message = |file: &str| {
            let finding = Finding::error(Code::new("checker-error"), "unknown keyword 'hunter2'");
            beside(finding.at(Place::line(file, 3))).message
        };
        for file in ["/srv/builds/p.tmp/KUBECONFIG", "/home/ci/.netrc", "../../key", "/var/lib/ci/key", "/run/key"] {
            assert_eq!(message(file), format!("{file}:3: an error in a file that is not among the inputs"));
        }
        for file in ["/etc/nginx/mime.types", "/usr/share/app/defaults.conf", "app.conf"] {
            assert_eq!(message(file), format!("{file}:3: unknown keyword 'hunter2'"));
        }
    }

    const CODE: Code = Code::new("a-code");

    #[test]
    fn each_line_of_a_message_has_its_place() {
        let finding = Finding::error(CODE, "field a not found\n  line 6: field b not found").at(Place::line("f", 4));
        let found: Vec<_> = one_by_line(&finding)
            .into_iter()
            .map(|finding| format!("{}: {}", finding.place.expect("it has one"), finding.message))
            .collect();
        assert_eq!(found, ["f:4: field a not found", "f:6: field b not found"]);
        let plain = one_by_line(&Finding::error(CODE, "a\n  b"));
        assert_eq!(plain.iter().map(|finding| finding.message.as_str()).collect::<Vec<_>>(), ["a; b"]);
    }

    #[test]
    fn many_findings_end_with_their_number() {
        let mut findings = vec![Finding::warning(CODE, "w"); 150];
        findings.push(Finding::error(CODE, "e"));
        let subject = CheckSubject::input("a.conf");
        let findings = findings.into_iter().map(|finding| of_whole(&subject, finding)).collect();
        let checked = Checked { omitted: 7, ..Checked::new(subject, "v", "r", findings) };
        let report = listed(CheckReport { checked: vec![checked], ..CheckReport::default() });
        let checked = &report.checked[0];
        assert_eq!(checked.findings.len(), MOST + 1);
        assert_eq!(checked.verdict(), Verdict::Rejected);
        assert_eq!(checked.findings[MOST].finding.message, "58 more findings are not listed");
    }

    #[test]
    fn a_key_is_no_value() {
        let text = b"globall: {}\nroute: {receiver: secret}\n";
        assert!(is_only_a_key(text, "globall"));
        assert!(!is_only_a_key(text, "secret"));
        assert!(!is_only_a_key(b"secret: secret\n", "secret"));
        assert!(!is_only_a_key(b"not yaml: [", "yaml"));
    }

    #[test]
    fn json_lines_and_yaml_are_no_errors() {
        let weighed = |text: &'static str| {
            let reading = Reading { contents: &|_| Some(text.as_bytes()) };
            let finding = Finding::error(Code::new("json-trailing-text"), "m").at(Place::line("f", 2));
            reading.weigh_format(finding).severity
        };
        assert_eq!(weighed("{\"a\": 1}\n{\"a\": 2}\n"), Severity::Warning);
        assert_eq!(weighed("\"a\": {\"b\": 1}\n"), Severity::Warning);
        assert_eq!(weighed("{\"a\": 1}\n{\"a\": \n"), Severity::Error);
    }
}
