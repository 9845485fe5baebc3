//! `docs/findings-tls.md` describes each code, and each of its examples has its finding: code, place and words.

use reload_gate_tls::codes;

use crate::authority::{find, line, pem};

const PAGE: &str = include_str!("../../../../docs/findings-tls.md");

/// The code without an example, which would be too long: `robustness.rs` has one.
const WITHOUT_EXAMPLE: &str = "too-many-findings";

/// Section of a code: the files, the names, and the finding.
struct Section {
    code: &'static str,
    files: Vec<(&'static str, String)>,
    names: Vec<&'static str>,
    expected: &'static str,
}

fn sections() -> Vec<Section> {
    let section = |text: &'static str| {
        let (code, rest) = text.split_once('\n').expect("a heading is a line");
        let (_, rest) = rest.split_once("```text\n").unwrap_or_else(|| panic!("{code} has no example"));
        let (example, rest) = rest.split_once("```\n").expect("an example ends");
        let expected = rest.trim().strip_prefix("> ").expect("the finding is beneath it");
        let lines = example.lines().map(|line| line.split_once(": ").expect("a file, and what is in it"));
        let (names, files): (Vec<_>, Vec<_>) = lines.partition(|(key, _)| *key == "--tls-name");
        Section {
            code,
            files: files.into_iter().map(|(path, words)| (path, pem(words))).collect(),
            names: names.into_iter().map(|(_, name)| name).collect(),
            expected,
        }
    };
    let has_example = |text: &&str| !text.starts_with(WITHOUT_EXAMPLE);
    PAGE.split("\n## ").skip(1).filter(has_example).map(section).collect()
}

#[test]
fn every_code_has_its_section() {
    let headings = PAGE.lines().filter_map(|line| line.strip_prefix("## "));
    let described: Vec<_> = headings.collect();
    let all: Vec<_> = codes::ALL.iter().map(|code| code.as_str()).collect();
    assert!(all.is_sorted(), "the codes are not sorted");
    assert_eq!(described, all);
}

#[test]
fn every_example_has_its_finding() {
    let mut wrong = Vec::new();
    for Section { code, files, names, expected } in sections() {
        let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        let findings = find(&files, &names);
        let found = findings.iter().find(|finding| finding.code.as_str() == code);
        let found = found.map_or_else(|| format!("nothing of the kind: {findings:?}"), line);
        if found != expected {
            wrong.push(format!("{code}\n  page: {expected}\n  is:   {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
