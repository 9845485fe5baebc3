use std::path::PathBuf;
use std::slice;
use std::sync::Mutex;
use std::time::Duration;

use reload_gate_contract::{Code, Finding, Place};

use super::*;
use crate::flow::tree::Digest;
use crate::report::headline;

/// The lines that `write` leaves in the log.
fn written(format: LogFormat, level: &str, write: impl FnOnce()) -> String {
    let lines = Arc::new(Mutex::new(String::new()));
    let output: WriteLine = {
        let lines = lines.clone();
        Arc::new(move |line: String| *lines.lock().unwrap() += &line)
    };
    let filter = filter(level).expect("it is a filter");
    tracing::subscriber::with_default(subscriber(format, filter, output), write);
    std::mem::take(&mut lines.lock().unwrap())
}

/// An event as a line without its time, which is the only part that differs from run to run.
fn line(format: LogFormat, gate: &str, event: &Event) -> String {
    let written = written(format, "", || write(gate, event));
    match format {
        LogFormat::Text => written.split_once(' ').expect("it begins with the time").1.to_owned(),
        LogFormat::Json => {
            let (before, rest) = written.split_once(r#""timestamp":""#).expect("it has a time");
            format!("{before}{}", rest.split_once("\",").expect("the time ends").1)
        }
    }
}

fn rejected() -> Event {
    let finding = Finding::error(Code::new("checker-error"), "unknown directive \"lisen\"");
    Event {
        previous: Some(Digest::of(b"before")),
        changed: vec!["nginx.conf".into()],
        findings: vec![finding.at(Place::line("/etc/nginx/nginx.conf", 3)).help("did you mean `listen`?")],
        duration: Some(Duration::from_micros(4567)),
        ..Event::new(Kind::Rejected)
            .about(Digest::of(b"after"))
            .message("/etc/nginx/nginx.conf:3: unknown directive \"lisen\"")
    }
}

#[test]
fn control_characters_and_directions_are_written_out() {
    let turned = "a\u{202e}b\u{2066}c\u{200f}d\u{61c}\u{fc}";
    assert_eq!(visible(turned), "a\\u{202e}b\\u{2066}c\\u{200f}d\\u{61c}\u{fc}");
    assert_eq!(visible("a\u{2028}b\u{200b}\u{feff}"), "a\\u{2028}b\\u{200b}\\u{feff}");
}

#[test]
fn findings_are_bounded() {
    let finding = |line| Finding::error(Code::new("checker-error"), format!("wrong {line}"));
    let event = Event { findings: (0..1000).map(finding).collect(), ..rejected() };
    let object = object("web", &event, SystemTime::UNIX_EPOCH);
    assert_eq!(object["findings"].as_array().map(Vec::len), Some(100));
    assert_eq!(object["findings_left_out"], 900);
    let text = line(LogFormat::Text, "web", &event);
    assert!(text.contains("wrong 99\n    and 900 more\n"), "{text}");
    assert!(!text.contains("wrong 100"), "{text}");
}

#[test]
fn changed_files_are_bounded() {
    let event = Event { changed: (0..1000).map(|file| PathBuf::from(format!("{file}.conf"))).collect(), ..rejected() };
    let object = object("web", &event, SystemTime::UNIX_EPOCH);
    assert_eq!(object["changed"].as_array().map(Vec::len), Some(100));
    assert_eq!(object["changed_left_out"], 900);
    let text = line(LogFormat::Text, "web", &event);
    assert!(text.contains("98.conf, 99.conf and 900 more\n"), "{text}");
}

#[test]
fn json_names_every_part_as_documented() {
    insta::assert_snapshot!(line(LogFormat::Json, "web", &rejected()));
}

#[test]
fn text_shows_what_where_and_what_to_do() {
    insta::assert_snapshot!(line(LogFormat::Text, "web", &rejected()));
}

#[test]
fn the_log_and_the_status_have_the_same_object() {
    let event = Event { pid: Some(7), signal: Some("SIGHUP".into()), help: Some("mend it".into()), ..rejected() };
    let logged: serde_json::Value =
        serde_json::from_str(&written(LogFormat::Json, "", || write("web", &event))).expect("it is JSON");
    let mut shown = object("web", &event, SystemTime::UNIX_EPOCH);
    shown["timestamp"] = logged["timestamp"].clone();
    assert_eq!(logged, shown);
}

#[test]
fn contents_make_no_lines_of_their_own() {
    let sly = "a\nb\r\u{1b}[2Jc\td\u{9b}";
    let finding = Finding::error(Code::new("checker-error"), sly).at(Place::line(sly, 3)).help(sly);
    let event = Event {
        changed: vec![sly.into()],
        findings: vec![finding.clone(), finding],
        help: Some(sly.into()),
        ..Event::new(Kind::Rejected).message(sly)
    };
    let shown = line(LogFormat::Text, "web", &event);
    assert_eq!(shown.matches(r"a\nb\r\u{1b}[2Jc\td\u{9b}").count(), 9, "{shown}");
    assert_eq!(shown.lines().count(), 7, "{shown}");
    assert!(shown.lines().skip(1).all(|line| line.starts_with("    ")), "{shown}");
    let object = written(LogFormat::Json, "", || write("web", &event));
    assert_eq!(object.lines().count(), 1);
    let read: serde_json::Value = serde_json::from_str(&object).expect("it is JSON");
    assert_eq!(read["message"], sly);
    assert_eq!(read["changed"][0], sly);
    assert_eq!(read["findings"][0]["file"], sly);
}

#[test]
fn a_single_finding_is_the_headline_and_warnings_are_marked() {
    let warning = Finding::warning(Code::new("checker-warning"), "old").at(Place::line("/a", 1));
    let error = Finding::error(Code::new("checker-error"), "bad").at(Place::line("/a", 2));
    let lines = |kind, findings: &[Finding]| {
        let message = headline(findings).expect("there is one");
        let event = Event { findings: findings.to_vec(), ..Event::new(kind).message(message) };
        let shown = line(LogFormat::Text, "web", &event);
        shown.lines().skip(1).map(str::trim).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(Kind::Rejected, slice::from_ref(&error)), Vec::<String>::new());
    assert_eq!(lines(Kind::Accepted, slice::from_ref(&warning)), ["/a:1: warning: old"]);
    assert_eq!(lines(Kind::Rejected, &[error, warning]), ["/a:2: bad", "/a:1: warning: old"]);
}

#[test]
fn a_single_finding_that_the_message_does_not_quote_has_its_line() {
    let error = Finding::error(Code::new("checker-error"), "bad").at(Place::line("nginx.conf", 2)).help("correct it");
    let event =
        Event { findings: vec![error], ..Event::new(Kind::Rejected).message("denied: create of ConfigMap web/a") };
    assert_eq!(
        line(LogFormat::Text, "admission", &event),
        "admission rejected: denied: create of ConfigMap web/a\n    nginx.conf:2: bad\n    help: correct it\n"
    );
}

fn validate_in_a_span() {
    let span = tracing::debug_span!("validate", gate = "web", digest = "f39592393ef0");
    span.in_scope(|| tracing::debug!(running = "f39592393ef0", "the content runs already"));
}

#[test]
fn spans_and_decisions_are_written_on_request() {
    assert_eq!(written(LogFormat::Text, "", validate_in_a_span), "");
    assert_eq!(written(LogFormat::Text, "info", validate_in_a_span), "");
    let shown = written(LogFormat::Text, "debug", validate_in_a_span);
    let lines: Vec<_> = shown.lines().map(|line| line.split_once(' ').expect("a time").1).collect();
    assert_eq!(lines[0], "web debug validate: the content runs already running=f39592393ef0");
    assert!(lines[1].starts_with("web debug validate digest=f39592393ef0 ("), "{shown}");
    assert_eq!(lines.len(), 2, "{shown}");
}

#[test]
fn a_span_that_is_off_evaluates_nothing() {
    let evaluated = std::cell::Cell::new(0);
    let spans = || {
        let count = || evaluated.replace(evaluated.get() + 1);
        tracing::debug_span!("scan", number = count()).in_scope(|| tracing::debug!(number = count(), "decided"));
    };
    assert_eq!(written(LogFormat::Text, "", spans), "");
    assert_eq!(evaluated.get(), 0);
    written(LogFormat::Text, "debug", spans);
    assert_eq!(evaluated.get(), 2);
}

#[test]
fn debug_lines_are_json_without_an_event() {
    let shown = written(LogFormat::Json, "debug", validate_in_a_span);
    let objects: Vec<serde_json::Value> = shown.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(objects[0]["message"], "the content runs already");
    assert_eq!(objects[1]["span"], "validate");
    assert!(objects[1]["duration_ms"].is_number(), "{shown}");
    assert!(objects.iter().all(|object| object.get("event").is_none()), "{shown}");
}

#[test]
fn a_level_does_not_hide_events() {
    assert!(written(LogFormat::Text, "off", || write("web", &rejected())).contains("rejected"));
}
