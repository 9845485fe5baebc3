//! One report with a bit of everything, in each format; and what each format promises.

use std::time::Duration;

use quick_xml::XmlVersion;
use quick_xml::events::Event;
use reload_gate_contract::{Code, Finding, Place, Span};
use unicode_width::UnicodeWidthStr;

use super::*;

pub(super) const PLAIN: ReportStyle = ReportStyle { color: false, verbose: false, quiet: false, width: 80 };

const MANIFESTS: &str = "apiVersion: v1
kind: ConfigMap
metadata: { name: nginx, namespace: web }
data:
  nginx.conf: |
    events {}
    http {
    \tlisen 80;
    \tserver { listen 80; root /srv/日本/🚀; expires maybe; }
    }
";

/// Two codes, of a validator and of the gate.
pub(super) const fn codes() -> [Code; 2] {
    [Code::new("unknown-directive"), Code::new("checker-missing")]
}

/// The excerpt of `text` around `what`, and its place in `file`.
fn place(file: &str, text: &str, what: &str) -> (Place, InputExcerpt) {
    let start = text.find(what).expect("it is in there");
    let place = Place::span(file, text.as_bytes(), Span { start, end: start + what.len() });
    let line = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let first = text[..line].trim_end_matches('\n').rfind('\n').map_or(0, |at| at + 1);
    let end = text[start..].find('\n').map_or(text.len(), |at| start + at + 1);
    let first_line = u32::try_from(text[..first].matches('\n').count() + 1).expect("it is short");
    let mark = start - first..start - first + what.len();
    (place, InputExcerpt { first_line, text: text[first..end].to_owned(), mark })
}

fn located(finding: Finding, (place, excerpt): (Place, InputExcerpt)) -> Located {
    Located { finding: finding.at(place), object: None, key: None, excerpt: Some(excerpt) }
}

fn subject(input: &str, object: Option<&str>, key: Option<&str>, line: u32) -> CheckSubject {
    let whole = SubjectWhole { input: input.into(), object: object.map(Into::into), line: Some(line) };
    CheckSubject { key: key.map(Into::into), ..whole.into() }
}

fn checked(subject: CheckSubject, validator: &str, reason: &str, findings: Vec<Located>) -> Checked {
    let duration = Duration::from_micros(1250);
    let source = Some(validator.to_owned()).filter(|validator| validator.starts_with("builtin"));
    let sourced =
        |located: Located| Located { finding: Finding { source: source.clone(), ..located.finding }, ..located };
    let findings = findings.into_iter().map(sourced).collect();
    Checked { duration, ..Checked::new(subject, validator, reason, findings) }
}

/// Several findings of one tree, in two files, one of them in another object.
fn rejected() -> Checked {
    let inside = |located: Located, object: &str, key: &str| Located {
        object: Some(object.to_owned()),
        key: Some(key.to_owned()),
        ..located
    };
    let misspelt = Finding::error(Code::new("unknown-directive"), "unknown directive \"lisen\"")
        .help("did you mean `listen`?\u{1b}[2J");
    let expires = Finding::warning(Code::new("invalid-value"), "100% \"maybe\": not a time,\nnor one of the words");
    let long = format!("server {{ {} proxy_pas http://a; {} }}\r\n", "allow all; ".repeat(20), "deny all; ".repeat(20));
    let site = Finding::error(Code::new("unknown-directive"), "unknown directive \"proxy_pas\"");
    let findings = vec![
        inside(
            located(misspelt, place("deploy/my manifests.yaml", MANIFESTS, "lisen")),
            "ConfigMap web/nginx",
            "nginx.conf",
        ),
        inside(
            located(expires, place("deploy/my manifests.yaml", MANIFESTS, "maybe")),
            "ConfigMap web/nginx",
            "nginx.conf",
        ),
        inside(located(site, place("./sites.yaml", &long, "proxy_pas")), "ConfigMap web/sites", "a.conf"),
    ];
    let subject = subject("deploy/my manifests.yaml", Some("Deployment web/nginx"), Some("/etc/nginx"), 12);
    checked(subject, "builtin nginx", "the sidecar's settings", findings)
}

pub(super) fn report() -> CheckReport {
    let missing = Finding::environment(Code::new("checker-missing"), "`haproxy` is not installed")
        .help("install the package haproxy, or use the bundled checker: `--fallback builtin`");
    let missing = Located { finding: missing, object: None, key: None, excerpt: None };
    let expired = Finding::error(Code::new("certificate-expired"), "the certificate expired on 2026-01-01");
    let secret = Located {
        finding: expired.at(Place { column: Some(3), ..Place::line("deploy/my manifests.yaml", 30) }),
        object: Some("Secret web/tls".to_owned()),
        key: Some("tls.crt".to_owned()),
        excerpt: None,
    };
    let manifests = "deploy/my manifests.yaml";
    CheckReport {
        gone: None,
        lapsed: Vec::new(),
        checked: vec![
            checked(subject("app.json", None, None, 1), "builtin json", "named `*.json`", vec![]),
            rejected(),
            checked(
                subject("-", Some("ConfigMap lb"), Some("haproxy.cfg"), 5),
                "haproxy -c",
                "named `haproxy.cfg`",
                vec![missing],
            ),
            checked(
                subject(manifests, Some("Secret web/tls"), None, 28),
                "builtin tls",
                "of type `kubernetes.io/tls`",
                vec![secret],
            ),
        ],
        unchecked: vec![Unchecked {
            subject: subject(manifests, Some("ConfigMap web/notes"), Some("notes.txt"), 40),
            why: "no validator for `notes.txt`".into(),
            help: None,
        }],
    }
}

#[test]
fn a_comment_has_the_lines_and_no_markup_of_the_inputs() {
    insta::assert_snapshot!(render(&report(), ReportFormat::Markdown, &PLAIN));
}

#[test]
fn a_comment_is_cut_at_its_limit() {
    let finding = Finding::error(Code::new("a-code"), "m".repeat(300));
    let many = vec![located(finding, place("f", "bad", "bad")); 500];
    let report =
        CheckReport { checked: vec![checked(subject("f", None, None, 1), "v", "r", many)], ..CheckReport::default() };
    let text = render(&report, ReportFormat::Markdown, &PLAIN);
    assert!(text.chars().count() <= 65_536 && text.ends_with("more findings are not listed.\n"), "{}", text.len());
}

fn pretty(json: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).expect("it is JSON");
    serde_json::to_string_pretty(&value).expect("it is JSON")
}

#[test]
fn people_see_the_lines_and_the_validators() {
    insta::assert_snapshot!(render(&report(), ReportFormat::Human, &PLAIN));
}

#[test]
fn a_terminal_has_colors() {
    let style = ReportStyle { color: true, ..PLAIN };
    insta::assert_snapshot!(render(&report(), ReportFormat::Human, &style).replace('\u{1b}', "ESC"));
}

#[test]
fn verbose_lists_parts_without_a_validation_and_durations() {
    let text = render(&report(), ReportFormat::Human, &ReportStyle { verbose: true, ..PLAIN });
    let lines: Vec<_> = text.lines().rev().take(6).collect();
    insta::assert_snapshot!(lines.into_iter().rev().collect::<Vec<_>>().join("\n"));
}

#[test]
fn quiet_shows_rejected_and_inconclusive_validations_alone() {
    let style = ReportStyle { quiet: true, ..PLAIN };
    let text = render(&report(), ReportFormat::Human, &style);
    assert!(!text.contains("warning") && !text.contains("accepted") && !text.contains("not checked"), "{text}");
    assert!(text.contains("error[unknown-directive]") && text.contains("obstacle[checker-missing]"), "{text}");
    let good = CheckReport { checked: report().checked.into_iter().take(1).collect(), ..CheckReport::default() };
    assert_eq!(render(&good, ReportFormat::Human, &style), "");
    assert_eq!(render(&CheckReport::default(), ReportFormat::Human, &style), "nothing was checked\n");
}

#[test]
fn json_is_as_documented() {
    let text = render(&report(), ReportFormat::Json, &PLAIN);
    assert_eq!(text.lines().count(), 1, "{text}");
    insta::assert_snapshot!(pretty(&text));
    insta::assert_snapshot!(render(&CheckReport::default(), ReportFormat::Json, &PLAIN), @r#"{"version":1,"verdict":"nothing","inputs":[]}"#);
}

#[test]
fn sarif_is_as_documented() {
    let text = render(&report(), ReportFormat::Sarif, &PLAIN);
    let mut sarif: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    // Their texts are those of the pages.
    for rule in sarif["runs"][0]["tool"]["driver"]["rules"].as_array_mut().expect("it is a list") {
        let rule = rule.as_object_mut().expect("it is an object");
        let description = rule.remove("fullDescription").expect("it has one");
        assert!(description["text"].as_str().is_some_and(|text| !text.is_empty()), "{description}");
        let help = rule.remove("help").expect("it has one");
        assert!(help["markdown"].as_str().is_some_and(|text| text.contains("[Documentation](https://")), "{help}");
    }
    insta::assert_snapshot!(pretty(&sarif.to_string()));
}

#[test]
fn junit_is_as_documented() {
    insta::assert_snapshot!(render(&report(), ReportFormat::Junit, &PLAIN));
}

#[test]
fn github_is_as_documented() {
    insta::assert_snapshot!(render(&report(), ReportFormat::Github, &PLAIN));
}

#[test]
fn the_worst_verdict_is_the_report_s() {
    let of = |indexes: &[usize]| {
        let all = report().checked;
        CheckReport { checked: indexes.iter().map(|index| all[*index].clone()).collect(), ..CheckReport::default() }
            .verdict()
    };
    assert_eq!(of(&[]), None);
    assert_eq!(of(&[0]), Some(Verdict::Accepted));
    assert_eq!(of(&[2, 0]), Some(Verdict::Inconclusive));
    assert_eq!(of(&[0, 1, 2]), Some(Verdict::Rejected));
    let counts = VerdictCounts { accepted: 1, rejected: 2, inconclusive: 1, unchecked: 1, ..VerdictCounts::default() };
    assert_eq!(report().counts(), counts);
}

#[test]
fn the_caret_is_beneath_the_character_after_tabs_and_wide_characters() {
    for line in ["\t\tx: bad", "日本🚀: bad", "a\u{300}\u{9b}\r: bad", "\u{1b}[31m: bad"] {
        let finding = Finding::error(Code::new("a-code"), "m");
        let report = CheckReport {
            checked: vec![checked(
                subject("f", None, None, 1),
                "v",
                "r",
                vec![located(finding, place("f", line, "bad"))],
            )],
            ..CheckReport::default()
        };
        let text = render(&report, ReportFormat::Human, &PLAIN);
        let shown = text.lines().find(|shown| shown.contains("bad")).expect("the line is shown");
        let caret = text.lines().find(|shown| shown.contains("^^^")).expect("it is marked");
        let column = |line: &str, what: &str| line.split(what).next().map(UnicodeWidthStr::width);
        assert_eq!(column(shown, "bad"), column(caret, "^^^"), "{text}");
    }
}

#[test]
fn standard_input_is_no_file_of_the_repository() {
    let finding = Finding::error(Code::new("a-code"), "m").at(Place::line("-", 3));
    let located = Located { finding, object: None, key: None, excerpt: None };
    let report = CheckReport {
        checked: vec![checked(subject("-", None, None, 1), "v", "r", vec![located])],
        ..CheckReport::default()
    };
    let text = render(&report, ReportFormat::Github, &PLAIN);
    assert_eq!(text.lines().next(), Some("::error title=error%3A a-code::-:3: m"));
}

#[test]
fn paths_become_uris() {
    let uri = |path: &str| {
        let finding = Finding::error(Code::new("a-code"), "m").at(Place::line(path, 3));
        let located = Located { finding, object: None, key: None, excerpt: None };
        let report = CheckReport {
            checked: vec![checked(subject(path, None, None, 1), "v", "r", vec![located])],
            ..CheckReport::default()
        };
        let sarif: serde_json::Value =
            serde_json::from_str(&render(&report, ReportFormat::Sarif, &PLAIN)).expect("it is JSON");
        let artifact = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"];
        (artifact["uri"].as_str().map(str::to_owned), artifact["uriBaseId"].as_str().is_some())
    };
    let is = |uri: &str, below| (Some(uri.to_owned()), below);
    assert_eq!(uri("./a b/ü%.yaml"), is("a%20b/%C3%BC%25.yaml", true));
    assert_eq!(uri("c:d.yaml"), is("c%3Ad.yaml", true));
    assert_eq!(uri("/srv/a.yaml"), is("file:///srv/a.yaml", false));
    assert_eq!(uri("../a.yaml"), is("../a.yaml", false));
    assert_eq!(uri("-"), is("-", false));
}

#[test]
fn a_fingerprint_survives_moved_lines_and_is_unique() {
    let prints = |text: &str| {
        let finding = || Finding::error(Code::new("a-code"), "m");
        let same = located(finding(), place("f", text, "bad"));
        let other = located(finding(), place("f", text, "worse"));
        let findings = vec![same.clone(), same, other];
        let report = CheckReport {
            checked: vec![checked(subject("f", None, None, 1), "v", "r", findings)],
            ..CheckReport::default()
        };
        let sarif: serde_json::Value =
            serde_json::from_str(&render(&report, ReportFormat::Sarif, &PLAIN)).expect("it is JSON");
        let results = sarif["runs"][0]["results"].as_array().expect("there are some").clone();
        let print = |result: &serde_json::Value| result["partialFingerprints"]["reloadGate/v1"].to_string();
        results.iter().map(print).collect::<Vec<_>>()
    };
    let before = prints("  bad\nworse\n");
    assert_eq!(before, prints("# new\n\n    bad\nworse\n"));
    assert!(before[0] != before[1] && before[1] != before[2] && before[0] != before[2], "{before:?}");
}

/// The names of the elements of a document with the value of an attribute, in their order.
pub(super) fn elements(xml: &str, attribute: &str) -> Vec<(String, Option<String>)> {
    let mut reader = quick_xml::Reader::from_str(xml);
    let mut found = Vec::new();
    loop {
        match reader.read_event().unwrap_or_else(|error| panic!("{error}: {xml}")) {
            Event::Eof => return found,
            Event::Start(tag) | Event::Empty(tag) => {
                let value = tag.attributes().map(|attribute| attribute.expect("it is well-formed"));
                let value = value.filter(|value| value.key.as_ref() == attribute.as_bytes()).last();
                let value = value
                    .map(|value| value.normalized_value(XmlVersion::Explicit1_0).expect("it is legal").into_owned());
                found.push((String::from_utf8_lossy(tag.name().as_ref()).into_owned(), value));
            }
            _ => {}
        }
    }
}

#[test]
fn junit_counts_as_its_readers_do() {
    let xml = render(&report(), ReportFormat::Junit, &PLAIN);
    let named = |name: &str, attribute: &str| -> Vec<_> {
        elements(&xml, attribute).into_iter().filter(|(tag, _)| tag == name).filter_map(|(_, value)| value).collect()
    };
    assert_eq!(named("testsuite", "name"), ["app.json", "deploy/my manifests.yaml", "-"]);
    assert_eq!(named("testsuites", "tests"), ["5"]);
    assert_eq!((named("testsuites", "failures"), named("testsuites", "errors")), (vec!["2".into()], vec!["1".into()]));
    assert_eq!(named("failure", "type"), ["unknown-directive", "certificate-expired"]);
    assert_eq!(named("error", "type"), ["checker-missing"]);
    assert_eq!(named("skipped", "message"), ["no validator for `notes.txt`"]);
    assert_eq!(named("testcase", "classname").len(), 5);
}
