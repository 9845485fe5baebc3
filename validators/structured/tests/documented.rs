//! `docs/findings-structured.md` describes each code, and each of its examples has its finding: code, place and words.

use reload_gate_contract::{Cause, Finding, Severity};
use reload_gate_structured::json_schema::{Format, Schema};
use reload_gate_structured::{codes, ini, json, toml, xml, yaml};

const PAGE: &str = include_str!("../../../docs/findings-structured.md");

/// Codes with examples too long for a page, or not readable there: their tests are below.
const WITHOUT_EXAMPLE: [&str; 3] = ["not-utf8", "too-large", "too-many-findings"];

/// The text between a fence of that language and its end, and the text after it.
fn fenced<'t>(text: &'t str, language: &str) -> Option<(&'t str, &'t str)> {
    text.split_once(&format!("```{language}\n"))?.1.split_once("```\n")
}

/// Judges the examples of a language.
type Judge<'j> = (&'j str, &'j dyn Fn(&[u8]) -> Vec<Finding>);

/// The findings of the example of a section, and those written beneath it.
fn example(section: &str) -> Option<(Vec<Finding>, &str)> {
    let schema = || Schema::parse(fenced(PAGE, "schema").expect("the page has it").0).expect("it is a schema");
    let judges: [Judge<'_>; 6] = [
        ("ini", &|text| ini::check("f", text)),
        ("toml", &|text| toml::check("f", text)),
        ("json", &|text| json::check("f", text)),
        ("xml", &|text| xml::check("f", text)),
        ("yaml", &|text| yaml::check("f", text)),
        ("yaml-schema", &|text| schema().check("f", text, Format::Yaml)),
    ];
    judges.iter().find_map(|(language, judge)| {
        let (text, rest) = fenced(section, language)?;
        let expected = rest.trim().strip_prefix("> ").expect("the finding is beneath it");
        Some((judge(text.replace("<U+FEFF>", "\u{feff}").as_bytes()), expected))
    })
}

/// A finding as the page writes it.
fn shown(finding: &Finding) -> String {
    let word = match (finding.severity, finding.cause) {
        (Severity::Note, _) => "note",
        (Severity::Warning, _) => "warning",
        (Severity::Error, Cause::Environment) => "obstacle",
        (Severity::Error, Cause::Config) => "error",
    };
    let place = finding.place.as_ref().expect("an example is in a file");
    let (line, column) = (place.line.expect("it has lines"), place.column.expect("and columns"));
    let message = &finding.message;
    // As Markdown has text with backquotes in it: if they are at its ends they are set off.
    let fence = if message.contains('`') { "``" } else { "`" };
    let space = if message.starts_with('`') || message.ends_with('`') { " " } else { "" };
    format!("{word} at {line}:{column}: {fence}{space}{message}{space}{fence}")
}

#[test]
fn every_code_has_its_section() {
    let described: Vec<_> = PAGE.split("\n## ").skip(1).filter_map(|section| section.lines().next()).collect();
    let all: Vec<_> = codes::ALL.iter().map(|code| code.as_str()).collect();
    assert!(all.is_sorted(), "the codes are not sorted");
    assert_eq!(described, all);
}

#[test]
fn every_example_has_its_finding() {
    for section in PAGE.split("\n## ").skip(1) {
        let code = section.lines().next().expect("a heading is a line");
        let Some((findings, expected)) = example(section) else {
            assert!(WITHOUT_EXAMPLE.contains(&code), "{code} has no example");
            continue;
        };
        let found = findings.iter().find(|finding| finding.code.as_str() == code).map(shown);
        assert_eq!(found.as_deref(), Some(expected), "{code} in {findings:?}");
    }
}

#[test]
fn large_and_non_utf8_input_is_reported_by_both() {
    let too_deep = "[".repeat(200);
    for (text, expected) in [
        (too_deep.as_bytes(), "obstacle at 1:129: `nested too deep`"),
        (b"\"\xe4\"".as_slice(), "error at 1:2: `the text is not UTF-8`"),
    ] {
        for found in [json::check("f", text), yaml::check("f", text)] {
            assert_eq!(found.iter().map(shown).collect::<Vec<_>>(), [expected]);
        }
    }
}
