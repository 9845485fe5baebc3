//! `docs/findings-nginx-hygiene.md` describes each code; its bad examples have their findings, and its good ones do not.

use reload_gate_contract::{Finding, MemoryFiles, Severity, Verdict};
use reload_gate_nginx::{Options, Version, check, codes, hygiene_codes};

const PAGE: &str = include_str!("../../../docs/findings-nginx-hygiene.md");
const MAIN: &str = "/etc/nginx/nginx.conf";

/// A section of the page: a code, a bad example with its finding, and a good example.
struct HygieneSection {
    code: &'static str,
    bad: &'static str,
    expected: &'static str,
    good: &'static str,
}

fn sections() -> Vec<HygieneSection> {
    let section = |text: &'static str| {
        let (code, rest) = text.split_once('\n').expect("a heading is a line");
        let mut blocks =
            rest.split("```nginx\n").skip(1).map(|rest| rest.split_once("```\n").expect("an example ends"));
        let (bad, below) = blocks.next().expect("it has a bad example");
        let (good, _) = blocks.next().expect("it has a good example");
        let expected = below.lines().find_map(|line| line.strip_prefix("> ")).expect("the finding is beneath it");
        HygieneSection { code, bad, expected, good }
    };
    // The last section is the measure.
    PAGE.split("\n## ").skip(1).filter(|text| text.contains("```nginx")).map(section).collect()
}

fn findings(code: &str, text: &str) -> Vec<Finding> {
    // The example of a vulnerability has a version that has one.
    let version = if code == "known-vulnerability" { Version::new(1, 20, 0) } else { Version::default() };
    let files: MemoryFiles = [(MAIN, text)].into_iter().collect();
    check(MAIN, &files, &Options { version, hygiene: true, ..Options::default() })
}

fn shown(finding: &Finding) -> String {
    let place = finding.place.as_ref().expect("an example is in a file");
    let (line, column) = (place.line.expect("it has lines"), place.column.expect("and columns"));
    format!("warning at {line}:{column}: `{}`", finding.message)
}

#[test]
fn every_code_has_its_section() {
    let described: Vec<_> = sections().iter().map(|section| section.code).collect();
    let all: Vec<_> = hygiene_codes::ALL.iter().map(|code| code.as_str()).collect();
    assert!(all.is_sorted(), "the codes are not sorted");
    assert_eq!(described, all);
    assert!(all.iter().all(|code| codes::ALL.iter().all(|other| other.as_str() != *code)), "the sets are apart");
}

#[test]
fn every_bad_example_has_its_finding() {
    let wrong = sections().into_iter().filter_map(|HygieneSection { code, bad, expected, .. }| {
        let findings = findings(code, bad);
        let found = findings.iter().find(|finding| finding.code.as_str() == code).map(shown);
        (found.as_deref() != Some(expected)).then(|| format!("{code}\t{}\n{findings:?}", found.unwrap_or_default()))
    });
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_good_example_has_a_finding() {
    for HygieneSection { code, good, .. } in sections() {
        assert_eq!(findings(code, good), [], "{code}");
    }
}

#[test]
fn the_findings_are_warnings_and_come_only_on_request() {
    for HygieneSection { code, bad, .. } in sections() {
        let files: MemoryFiles = [(MAIN, bad)].into_iter().collect();
        assert_eq!(check(MAIN, &files, &Options::default()), [], "{code}");
        let findings = findings(code, bad);
        assert!(findings.iter().all(|finding| finding.severity == Severity::Warning), "{findings:?}");
        assert_eq!(Verdict::of(&findings), Verdict::Accepted, "{code}");
    }
}

#[test]
fn a_configuration_with_an_error_has_only_that() {
    let text = "events {}\nhttp { ssl_protocols SSLv3; server_tokens on; listn 80; }\n";
    let found = findings("", text);
    assert_eq!(found.iter().map(|finding| finding.code.as_str()).collect::<Vec<_>>(), ["unknown-directive"]);
}
