//! JUnit's XML: a suite for each input, a case for each validation. Rejected is a *failure*, inconclusive an *error*, and a part without
//! a validation is *skipped*.

use std::collections::HashMap;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report as Suites, TestCase, TestCaseStatus, TestSuite};
use reload_gate_contract::Verdict;

use super::{CheckReport, CheckSubject, Checked, REMOVE_GONE, Unchecked};
use crate::report::log::visible;

pub(super) fn render(report: &CheckReport) -> String {
    let checked = report.checked.iter().map(|checked| (&checked.subject, case(checked), checked.duration));
    let unchecked = report.unchecked.iter().map(|unchecked| (&unchecked.subject, skipped(unchecked), Duration::ZERO));
    let mut suites: Vec<(TestSuite, Duration)> = Vec::new();
    let mut known = HashMap::new();
    for (subject, case, duration) in checked.chain(unchecked) {
        let at = *known.entry(&subject.input).or_insert_with(|| {
            suites.push((TestSuite::new(legal(&visible(&subject.input))), Duration::ZERO));
            suites.len() - 1
        });
        let (suite, time) = &mut suites[at];
        suite.add_test_case(case);
        *time += duration;
    }
    let remarks = of_baseline(report);
    if !remarks.is_empty() {
        let mut suite = TestSuite::new("baseline");
        suite.add_test_cases(remarks);
        suites.push((suite, Duration::ZERO));
    }
    let mut document = Suites::new("reload-gate check");
    document.set_time(suites.iter().map(|(_, time)| *time).sum());
    document.add_test_suites(suites.into_iter().map(|(mut suite, time)| {
        suite.set_time(time);
        suite
    }));
    // Writing into memory does not fail.
    document.to_string().unwrap_or_default()
}

fn case(checked: &Checked) -> TestCase {
    let listed: String = checked
        .findings
        .iter()
        .map(|located| {
            let help = located.finding.help.as_ref();
            format!("{located}\n{}", help.map_or_else(String::new, |help| format!("  help: {}\n", visible(help))))
        })
        .collect();
    let status = match checked.verdict() {
        Verdict::Accepted => TestCaseStatus::success(),
        Verdict::Inconclusive => failed(checked, NonSuccessKind::Error, &listed),
        Verdict::Rejected => failed(checked, NonSuccessKind::Failure, &listed),
    };
    let mut case = named(&checked.subject, &format!(" ({})", visible(&checked.validator)), status);
    case.set_time(checked.duration);
    if !listed.is_empty() {
        case.set_system_out(legal(&listed));
    }
    case
}

/// Returns a status with the first finding of that verdict as its message, and all findings as its text.
fn failed(checked: &Checked, kind: NonSuccessKind, listed: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    let verdict = checked.verdict();
    if let Some(cause) = checked.findings.iter().find(|located| Verdict::of([&located.finding]) == verdict) {
        status.set_message(legal(&cause.to_string()));
        status.set_type(cause.finding.code.as_str());
    }
    status.set_description(legal(listed));
    status
}

fn skipped(unchecked: &Unchecked) -> TestCase {
    let mut status = TestCaseStatus::skipped();
    status.set_message(legal(&visible(&unchecked.why)));
    named(&unchecked.subject, "", status)
}

/// Returns a case for each part that is not validated any more, and one for the entries of the baseline that are gone.
fn of_baseline(report: &CheckReport) -> Vec<TestCase> {
    let case = |name: &str, message: String, text: Option<String>| {
        let mut status = TestCaseStatus::skipped();
        status.set_message(legal(&message));
        if let Some(text) = text {
            status.set_description(legal(&text));
        }
        let mut case = TestCase::new(legal(name), status);
        case.set_classname("baseline");
        case
    };
    let lapsed = report.lapsed.iter();
    let lapsed = lapsed.map(|lapsed| case(&format!("{} is validated", lapsed.subject), lapsed.to_string(), None));
    let gone = report.gone_lines();
    let gone = (!gone.is_empty()).then(|| case("all entries occur", REMOVE_GONE.to_owned(), Some(gone.join("\n"))));
    lapsed.chain(gone).collect()
}

/// Returns a case with the name of the part of the input, or of the input. Two validators of one part are two cases.
fn named(subject: &CheckSubject, by: &str, status: TestCaseStatus) -> TestCase {
    let input = visible(&subject.input);
    let name = subject.part().unwrap_or_else(|| input.clone().into_owned());
    let mut case = TestCase::new(legal(&format!("{name}{by}")), status);
    case.set_classname(legal(&input));
    case
}

/// Replaces the two characters that XML 1.0 (section 2.2) forbids and that are no control characters.
fn legal(text: &str) -> String {
    text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}
