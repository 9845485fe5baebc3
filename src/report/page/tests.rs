use std::collections::BTreeSet;

use reload_gate_contract::{Code, Finding, Place};
use serde_json::json;

use super::*;
use crate::flow::tree;
use crate::report::{Event, Shown, log};

const NOW: &str = "2026-11-23T11:22:19Z";

fn now() -> SystemTime {
    humantime::parse_rfc3339(NOW).expect("it is a time")
}

fn gate(live: bool, standing: Option<Value>) -> GateStatus {
    let content = |text: &[u8]| Some(RevisionStatus::new(tree::Digest::of(text), now() - Duration::from_secs(150)));
    GateStatus {
        gate: "web".into(),
        ready: true,
        live,
        desired: content(b"new"),
        validated: content(b"old"),
        running: content(b"old"),
        diverged_seconds: 192.0,
        watch_mode: "inotify".into(),
        standing,
        rollout: None,
        alerts: Vec::new(),
        recent: Vec::new(),
    }
}

fn rejected() -> Value {
    let place = Place { column: Some(9), ..Place::line("/etc/nginx/nginx.conf", 3) };
    let finding = Finding::error(Code::new("unknown-directive"), "unknown directive \"lisen\"").at(place.clone());
    let diff = "--- running/a\n+++ rejected/a\n@@ -1 +1 @@\n-listen 80;\n+lisen 80;\n";
    let event = Event {
        findings: vec![finding.help("did you mean `listen`?")],
        shown: Some(Box::new(Shown { excerpts: Vec::new(), diff: Some(diff.into()) })),
        ..Event::new(Kind::Rejected).message("unknown directive")
    };
    let mut object = log::object("web", &event, now() - Duration::from_secs(192));
    let excerpt = Excerpt::of(&place, b"http {\n    server {\n        lisen 80;\n    }\n}\n");
    object["excerpts"] = serde_json::to_value([excerpt]).expect("it is JSON");
    object
}

fn page(gates: Vec<GateStatus>) -> String {
    html(&Status::of(gates), now())
}

/// The elements of a page with their attributes, in order. Whatever is not closed where it should be is no page.
fn elements(page: &str) -> Vec<(String, Vec<String>)> {
    let (mut elements, mut open) = (Vec::new(), Vec::new());
    let mut rest = page.strip_prefix("<!DOCTYPE html>").expect("it says what it is");
    while let Some((_, after)) = rest.split_once('<') {
        let (tag, after) = after.split_once('>').expect("a tag ends");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "{tag} closes what is not open");
            continue;
        }
        // An attribute is `name="value"`, and in a value there is no quotation mark.
        let mut parts = tag.split('"');
        let mut names = Vec::new();
        let first = parts.next().expect("there is one");
        let mut words = first.split_whitespace();
        let name = words.next().expect("it has a name").to_owned();
        names.extend(words.map(|word| word.trim_end_matches('=').to_owned()));
        names.extend(parts.skip(1).step_by(2).map(|word| word.trim().trim_end_matches('=').to_owned()));
        names.retain(|name| !name.is_empty());
        if !["meta", "link", "br"].contains(&name.as_str()) {
            open.push(name.clone());
        }
        elements.push((name, names));
    }
    assert!(open.is_empty(), "{open:?}");
    elements
}

/// The text that a person reads, without the markup.
fn text(page: &str) -> String {
    let body = page.split_once("<body>").expect("there is one").1;
    body.split('<').filter_map(|part| Some(part.split_once('>')?.1)).collect()
}

#[test]
fn a_rejection_says_what_where_and_what_to_do() {
    let page = page(vec![gate(false, Some(rejected()))]);
    let text = text(&page);
    for said in [
        "web",
        "✕ Rejected",
        "Not live for 3m 12s; what runs goes on.",
        "unknown directive &quot;lisen&quot;",
        "/etc/nginx/nginx.conf:3:9",
        "did you mean listen?",
        "since 11:19:07Z (3m 12s ago)",
        "since 11:19:49Z (2m 30s ago)",
        "-listen 80;",
        "by the kernel’s events",
    ] {
        assert!(text.contains(said), "{said}:\n{text}");
    }
    assert!(page.contains("<span class=\"number\">3</span>        <mark>lisen</mark> 80;"), "{page}");
    assert!(page.contains(&format!("title=\"{}\"", tree::Digest::of(b"new"))), "the whole digest is shown on demand");
    assert!(page.contains("<title>✕ rejected · reload-gate</title>"), "{page}");
}

#[test]
fn every_state_has_a_word() {
    for (live, event, word) in [
        (true, None, "Live"),
        (false, None, "Pending"),
        (false, Some("rejected"), "Rejected"),
        (false, Some("inconclusive"), "Inconclusive"),
        (false, Some("unverified"), "Unverified"),
        (false, Some("degraded"), "Degraded"),
        (false, Some("rollout_refused"), "Refused"),
        (false, Some("rollout_waiting"), "Waiting"),
        (false, Some("target_missing"), "Target missing"),
        (false, Some("target_refused"), "Target refused"),
        (false, Some("some_day"), "Pending"),
    ] {
        let page = page(vec![gate(live, event.map(|event| json!({ "event": event })))]);
        assert!(text(&page).contains(&format!(" {word}")), "{word}");
        assert!(page.contains(if live { "<title>✓ live" } else { "<title>✕ " }), "{page}");
    }
    let several = page(vec![gate(true, None), gate(false, Some(rejected()))]);
    assert!(several.contains("1 of 2 gates not live") && several.contains("href=\"#gate-1\""), "{several}");
}

#[test]
fn nothing_that_is_shown_becomes_part_of_the_page() {
    let evil = "\"'><script>alert(1)</script></style><img src=x onerror=alert(1)>&lt;<!--\u{1b}[2J`a`";
    let text = || evil.to_owned();
    let finding = json!({
        "severity": evil, "file": evil, "line": 1, "column": 1, "message": evil, "help": evil, "source": evil, "code": evil
    });
    let excerpt = json!({ "file": evil, "line": 1, "column": 1, "first": 1, "lines": [evil, evil] });
    let standing = json!({
        "event": evil, "timestamp": evil, "message": evil, "help": evil, "findings": [finding], "excerpts": [excerpt],
        "diff": format!("{evil}\n-{evil}\n+{evil}\n")
    });
    let content = || Some(RevisionStatus { digest: text(), since: text() });
    let hostile = GateStatus {
        gate: text(),
        desired: content(),
        running: content(),
        watch_mode: text(),
        diverged_seconds: f64::NAN,
        alerts: vec![DeliveryStatus {
            sink: text(),
            state: DeliveryState::Failing,
            about: Some(Kind::Rejected),
            at: Some(text()),
            wanted: Some(Kind::Rejected),
            error: Some(text()),
        }],
        recent: vec![Decision {
            timestamp: text(),
            level: Level::Error,
            event: Kind::Rejected,
            digest: Some(text()),
            message: Some(text()),
            duration_ms: Some(f64::INFINITY),
        }],
        ..gate(false, Some(standing))
    };
    let page = page(vec![hostile.clone(), hostile]);
    let elements = elements(&page);
    let names: BTreeSet<&str> = elements.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains("pre") && names.contains("ol"), "{names:?}");
    assert!(["script", "img", "iframe", "object", "form", "svg", "link"].iter().all(|name| !names.contains(name)));
    let known = [
        "aria-hidden",
        "aria-label",
        "aria-labelledby",
        "charset",
        "class",
        "content",
        "datetime",
        "href",
        "http-equiv",
        "id",
        "lang",
        "name",
        "reversed",
        "tabindex",
        "title",
    ];
    let unknown: Vec<_> =
        elements.iter().flat_map(|(_, names)| names).filter(|name| !known.contains(&name.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(!page.contains('\u{1b}'), "a control character is written out");
    assert_eq!(page.matches("<style>").count(), 1);
}

#[test]
fn its_own_style_is_the_only_thing_that_may_be_loaded() {
    let page = page(vec![gate(true, None)]);
    let style =
        page.split_once("<style>").and_then(|(_, rest)| Some(rest.split_once("</style>")?.0)).expect("there is one");
    assert!(policy().contains(&format!("style-src 'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(style)))));
    assert!(policy().starts_with("default-src 'none'; "));
    assert!(!style.contains("url(") && !style.contains("@import") && !page.contains("style="), "{page}");
}

#[test]
fn alerts_and_decisions_are_shown() {
    let alert = |state: DeliveryState, error: Option<&str>| DeliveryStatus {
        sink: "slack".into(),
        state,
        about: Some(Kind::TargetMissing),
        at: Some("2026-11-22T23:59:59Z".into()),
        wanted: (state == DeliveryState::Failing).then_some(Kind::Rejected),
        error: error.map(str::to_owned),
    };
    let event = Event {
        duration: Some(Duration::from_micros(4_567)),
        ..Event::new(Kind::Accepted).message("validated by `nginx -t`")
    };
    let recent = vec![
        Decision::new(&Event::new(Kind::Started), now() - Duration::from_hours(30)),
        Decision::new(&event.about(tree::Digest::of(b"new")), now() - Duration::from_mins(90)),
    ];
    let alerts = vec![alert(DeliveryState::Delivered, None), alert(DeliveryState::Failing, Some("connection refused"))];
    let page = page(vec![GateStatus { alerts, recent, ..gate(true, None) }]);
    let text = text(&page);
    for said in [
        "delivered slack target missing 2026-11-22 23:59:59Z (11h 22m ago)",
        "failing slack cannot deliver rejected; last delivered: target missing 2026-11-22 23:59:59Z",
        "connection refused",
        "took 4.6 ms",
        "09:52:19Z (1h 30m ago)",
    ] {
        assert!(text.contains(said), "{said}:\n{text}");
    }
    assert!(text.find("accepted") < text.find("started"), "the newest comes first: {text}");
    assert!(text.contains("2026-11-22 05:22:19Z (1d 6h ago)"), "{text}");
    assert!(page.contains("<code>nginx -t</code>"), "{page}");
}

#[test]
fn it_is_bounded() {
    let finding = |number: u32| json!({ "message": format!("finding {number}"), "file": "/a", "line": number });
    let findings: Vec<_> = (0..10_000).map(finding).collect();
    let standing = json!({ "event": "rejected", "findings": findings });
    let page = page(vec![gate(false, Some(standing))]);
    assert!(page.contains("and 9980 more") && page.len() < 32 << 10, "{}", page.len());
}

#[test]
fn times_are_told_in_two_units() {
    for (seconds, expected) in
        [(0, "0s"), (59, "59s"), (60, "1m"), (61, "1m 1s"), (601, "10m"), (3_600, "1h 0m"), (90_000, "1d 1h")]
    {
        assert_eq!(lasting(Duration::from_secs(seconds)), expected);
    }
}
