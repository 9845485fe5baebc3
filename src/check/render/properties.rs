//! Properties of every report, for any input.

use std::sync::OnceLock;
use std::time::Duration;

use jsonschema::Validator;
use proptest::prelude::*;

use super::tests::{PLAIN, codes, elements, report};
use super::*;
use crate::report::log::is_control;

/// Ordinary and hostile texts.
fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[a-z ]{0,12}",
        "\\PC{0,8}",
        any::<char>().prop_map(String::from),
        prop::sample::select(vec![
            "\n",
            "\r\n",
            "\r",
            "\t",
            "\u{1b}[31m",
            "\u{9b}2J",
            "\0",
            "::error::x",
            "##[error]x",
            "##vso[a]",
            "##teamcity[a]",
            " ::",
            "\u{200b}",
            "]]>",
            "<a b='",
            "&amp;",
            "%0A",
            "\"",
            "日本",
            "🚀",
            "\u{202e}",
            "\u{fffe}",
            "\u{ffff}",
            "\u{feff}",
            "\u{2028}",
            "-",
            "/",
            "..",
            "://",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

fn maybe<T: fmt::Debug>(strategy: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    prop::option::of(strategy)
}

fn subject() -> impl Strategy<Value = CheckSubject> {
    (text(), maybe(text()), maybe(text()), maybe(any::<u32>())).prop_map(|(input, object, key, line)| {
        let whole = SubjectWhole { input: input.into(), object: object.map(Into::into), line };
        CheckSubject { key: key.map(Into::into), ..whole.into() }
    })
}

fn finding() -> impl Strategy<Value = Finding> {
    let place = (text(), maybe(any::<u32>()), maybe(any::<u32>())).prop_map(|(file, line, column)| Place {
        line,
        column,
        ..Place::file(file)
    });
    let codes = codes();
    let severities = [Severity::Note, Severity::Warning, Severity::Error];
    let weight = (0..2_usize, 0..3_usize, any::<bool>());
    (weight, text(), maybe(text()), maybe(place), maybe(text())).prop_map(
        move |(weight, message, help, place, source)| {
            let (code, severity, config) = weight;
            let cause = if config { Cause::Config } else { Cause::Environment };
            Finding { code: codes[code], severity: severities[severity], cause, message, help, place, source }
        },
    )
}

/// Excerpt with any mark, also an invalid one.
fn excerpt() -> impl Strategy<Value = InputExcerpt> {
    let lines = prop_oneof![4 => text(), 1 => "[a-z\t日]{0,400}"];
    (1..100_000_u32, lines, 0..60_usize, 0..60_usize).prop_map(|(first_line, text, start, length)| InputExcerpt {
        first_line,
        text,
        mark: start..start + length,
    })
}

fn any_report() -> impl Strategy<Value = CheckReport> {
    let located = (finding(), maybe(text()), maybe(text()), maybe(excerpt()))
        .prop_map(|(finding, object, key, excerpt)| Located { finding, object, key, excerpt });
    let checked = (subject(), text(), text(), prop::collection::vec(located, 0..4), any::<u32>()).prop_map(
        |(subject, validator, reason, findings, micros)| {
            let duration = Duration::from_micros(micros.into());
            Checked { duration, ..Checked::new(subject, validator, reason, findings) }
        },
    );
    let unchecked = (subject(), text(), maybe(text())).prop_map(|(subject, why, help)| Unchecked {
        subject,
        why: why.into(),
        help: help.map(Into::into),
    });
    (prop::collection::vec(checked, 0..4), prop::collection::vec(unchecked, 0..3))
        .prop_map(|(checked, unchecked)| CheckReport { checked, unchecked, ..CheckReport::default() })
}

fn style() -> impl Strategy<Value = ReportStyle> {
    (any::<bool>(), any::<bool>(), 20..200_usize).prop_map(|(verbose, quiet, width)| ReportStyle {
        color: false,
        verbose,
        quiet,
        width,
    })
}

fn parsed(report: &CheckReport, format: ReportFormat) -> serde_json::Value {
    let text = render(report, format, &PLAIN);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn schema() -> &'static Validator {
    static SCHEMA: OnceLock<Validator> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let text = include_str!("../../../fixtures/schemas/sarif-2.1.0.json");
        let schema = serde_json::from_str(text).expect("it is JSON");
        jsonschema::options().should_validate_formats(true).build(&schema).expect("it is a schema")
    })
}

fn assert_sarif(sarif: &serde_json::Value) {
    let wrong: Vec<_> =
        schema().iter_errors(sarif).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{wrong:#?}\n{sarif:#}");
}

#[test]
fn the_schema_rejects_an_unknown_level() {
    let mut sarif = parsed(&report(), ReportFormat::Sarif);
    assert_sarif(&sarif);
    sarif["runs"][0]["results"][0]["level"] = "fatal".into();
    assert!(!schema().is_valid(&sarif));
}

proptest! {
    #[test]
    fn json_has_all_findings(report in any_report()) {
        let json = parsed(&report, ReportFormat::Json);
        let inputs = json["inputs"].as_array().expect("it is a list");
        prop_assert_eq!(inputs.len(), report.checked.len());
        for (input, checked) in inputs.iter().zip(&report.checked) {
            prop_assert_eq!(&input["input"], &*checked.subject.input);
            prop_assert_eq!(&input["verdict"], checked.verdict().as_str());
            let findings = input["findings"].as_array().expect("it is a list");
            let messages: Vec<_> = findings.iter().map(|finding| finding["message"].as_str().expect("it is text")).collect();
            let expected: Vec<_> = checked.findings.iter().map(|located| located.finding.message.as_str()).collect();
            prop_assert_eq!(messages, expected);
        }
    }

    #[test]
    fn sarif_is_valid_and_its_regions_do_not_end_before_they_begin(report in any_report()) {
        let sarif = parsed(&report, ReportFormat::Sarif);
        assert_sarif(&sarif);
        for result in sarif["runs"][0]["results"].as_array().expect("it is a list") {
            let region = &result["locations"][0]["physicalLocation"]["region"];
            let of = |name: &str| region[name].as_u64();
            if let (Some(line), Some(end)) = (of("startLine"), of("endLine")) {
                prop_assert!((line, of("startColumn")) < (end, of("endColumn")), "{region}");
            }
        }
    }

    #[test]
    fn junit_is_well_formed_and_legal(report in any_report()) {
        let xml = render(&report, ReportFormat::Junit, &PLAIN);
        let cases = elements(&xml, "name").into_iter().filter(|(tag, _)| tag == "testcase").count();
        prop_assert_eq!(cases, report.checked.len() + report.unchecked.len());
        let legal = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
        prop_assert!(xml.chars().all(legal), "{:?}", xml.chars().find(|c| !legal(*c)));
    }

    #[test]
    fn github_has_a_line_for_each_command(report in any_report()) {
        let text = render(&report, ReportFormat::Github, &PLAIN);
        let found = report.checked.iter().flat_map(|checked| &checked.findings);
        let (obstacles, others): (Vec<_>, Vec<_>) = found.partition(|located| located.is_obstacle() && located.excerpt.is_none());
        // An obstacle with the same words is one command, wherever it occurs.
        let finding = |located: &&Located| (located.finding.code, located.finding.message.clone(), located.finding.help.clone());
        let causes: std::collections::HashSet<_> = obstacles.iter().map(finding).collect();
        prop_assert_eq!(text.lines().count(), others.len() + causes.len() + 1);
        let (commands, summary) = text.trim_end_matches('\n').rsplit_once('\n').unwrap_or(("", &text));
        prop_assert!(commands.lines().all(|line| ["::error ", "::warning ", "::notice "].iter().any(|name| line.starts_with(name))));
        prop_assert!(summary.starts_with("reload-gate: ") && !text.contains('\r'));
    }

    #[test]
    fn markdown_fits_into_a_comment_and_ends_each_block(report in any_report()) {
        let text = render(&report, ReportFormat::Markdown, &PLAIN);
        prop_assert!(text.chars().count() <= 65_536);
        prop_assert!(text.chars().all(|c| !c.is_control() || c == '\n'), "{}", text);
        let fences = text.lines().filter(|line| line.starts_with("```") && line.trim_start_matches('`').trim() == "text").count();
        let shown = report.checked.iter().flat_map(|checked| &checked.findings);
        prop_assert!(fences <= shown.count());
    }

    #[test]
    fn no_control_character_reaches_a_terminal(report in any_report(), style in style()) {
        let text = render(&report, ReportFormat::Human, &style);
        let command = text.chars().find(|c| is_control(*c) && *c != '\n');
        prop_assert_eq!(command, None, "{}", text);
    }

    #[test]
    fn no_report_has_a_command_of_a_ci_system(report in any_report(), style in style()) {
        use ReportFormat::{Github, Human, Json, Junit, Markdown, Sarif};
        for format in [Human, Json, Sarif, Junit, Github, Markdown] {
            let text = render(&report, format, &style);
            for mark in ["##[", "##vso[", "##teamcity["] {
                prop_assert!(!text.contains(mark), "{:?} {}", format, text);
            }
            let is_command = |line: &str| line.trim_start().starts_with("::");
            prop_assert!(format == Github || !text.lines().any(is_command), "{:?} {}", format, text);
        }
    }

    #[test]
    fn colors_change_no_text(report in any_report(), style in style()) {
        let plain = render(&report, ReportFormat::Human, &style);
        let colored = render(&report, ReportFormat::Human, &ReportStyle { color: true, ..style });
        let mut stripped = String::new();
        for (index, part) in colored.split("\u{1b}[").enumerate() {
            stripped += if index == 0 { part } else { part.split_once('m').expect("a color ends").1 };
        }
        prop_assert_eq!(stripped, plain);
    }
}
