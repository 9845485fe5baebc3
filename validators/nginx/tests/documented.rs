//! `docs/findings.md` describes each code, and each of its examples has its finding: code, place and words.

use reload_gate_contract::{Cause, Finding, MemoryFiles, Severity};
use reload_gate_nginx::{Build, Options, Version, check, codes};

const PAGE: &str = include_str!("../../../docs/findings.md");
const MAIN: &str = "/etc/nginx/nginx.conf";

/// Codes with examples too long for a page: `tests/findings.rs` has them.
const WITHOUT_EXAMPLE: [&str; 3] = ["nesting-too-deep", "parameter-too-long", "too-many-findings"];

/// What the page says of a code.
struct Section {
    code: &'static str,
    /// A configuration, and the line below it.
    example: Option<(&'static str, &'static str)>,
}

fn sections() -> Vec<Section> {
    let section = |text: &'static str| {
        let (code, rest) = text.split_once('\n').expect("a heading is a line");
        let example = rest.split_once("```nginx\n").map(|(_, rest)| {
            let (configuration, rest) = rest.split_once("```\n").expect("an example ends");
            (configuration, rest.trim().strip_prefix("> ").expect("the finding is beneath it"))
        });
        Section { code, example }
    };
    PAGE.split("\n## ").skip(1).map(section).collect()
}

/// The finding of a code in a configuration, as the page writes it.
fn found(code: &str, configuration: &str, version: Version) -> Option<String> {
    // A module that the configuration loads is not loaded beforehand.
    let modules = ["ngx_stream_module", "ngx_mail_module"].into_iter().filter(|module| !configuration.contains(module));
    let modules = modules.map(str::to_owned).collect();
    let options = Options { version, build: Build::Debian, modules, ..Options::default() };
    let files: MemoryFiles = [(MAIN, configuration)].into_iter().collect();
    let line = |finding: &Finding| {
        let word = match (finding.severity, finding.cause) {
            (Severity::Note, _) => "note",
            (Severity::Warning, _) => "warning",
            (Severity::Error, Cause::Environment) => "obstacle",
            (Severity::Error, Cause::Config) => "error",
        };
        let place = finding.place.as_ref().expect("an example is in a file");
        let (line, column) = (place.line.expect("it has lines"), place.column.expect("and columns"));
        format!("{word} at {line}:{column}: `{}`", finding.message)
    };
    check(MAIN, &files, &options).iter().find(|finding| finding.code.as_str() == code).map(line)
}

#[test]
fn every_code_has_its_section() {
    let described: Vec<_> = sections().iter().map(|section| section.code).collect();
    let all: Vec<_> = codes::ALL.iter().map(|code| code.as_str()).collect();
    assert!(all.is_sorted(), "the codes are not sorted");
    assert_eq!(described, all);
}

#[test]
fn every_example_has_its_finding() {
    for Section { code, example } in sections() {
        let Some((configuration, expected)) = example else {
            assert!(WITHOUT_EXAMPLE.contains(&code), "{code} has no example");
            continue;
        };
        let found = found(code, configuration, Version::new(1, 22, 1))
            .or_else(|| found(code, configuration, Version::NEWEST_STABLE));
        assert_eq!(found.as_deref(), Some(expected), "{code} in\n{configuration}");
    }
}
