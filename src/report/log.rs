//! The log: one line of JSON an event, or text for people. IO: writes to standard error.

use std::borrow::Cow;
use std::io::Write as _;
use std::time::{Duration, SystemTime};

use reload_gate_contract::{Finding, Severity};
use serde::Serialize;

use super::found::Found;
use super::{Event, Kind};

/// So many findings of an event are written; of the others, how many they are. A line of any length is cut by who collects them.
const FINDINGS: usize = 100;

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs: one object a line.
    Json,
}

/// Writes an event of the gate called `gate`.
pub fn write(format: Format, gate: &str, event: &Event) {
    let now = SystemTime::now();
    let line = match format {
        Format::Text => text(gate, event, now),
        Format::Json => json(gate, event, now),
    };
    // One write a line, so that lines of several gates never mix; and if nobody reads the log, the gate goes on.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: &'static str,
    event: &'static str,
    gate: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changed: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<Found<'a>>,
    #[serde(skip_serializing_if = "is_none")]
    findings_left_out: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: &'a Option<String>,
}

/// Whether there are none of what is counted.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_none(count: &usize) -> bool {
    *count == 0
}

fn json(gate: &str, event: &Event, now: SystemTime) -> String {
    // No value in it can fail to be written: there are no maps with keys that are no strings.
    serde_json::to_string(&line(gate, event, now)).unwrap_or_default() + "\n"
}

/// An event as it stands in the log.
#[must_use]
pub fn object(gate: &str, event: &Event, at: SystemTime) -> serde_json::Value {
    serde_json::to_value(line(gate, event, at)).unwrap_or_default()
}

fn line<'a>(gate: &'a str, event: &'a Event, now: SystemTime) -> Line<'a> {
    Line {
        timestamp: humantime::format_rfc3339_millis(now).to_string(),
        level: event.level.as_str(),
        event: event.kind.as_str(),
        gate,
        message: &event.message,
        help: &event.help,
        digest: event.digest.map(|digest| digest.to_string()),
        previous: event.previous.map(|digest| digest.to_string()),
        changed: event.changed.iter().map(|path| path.display().to_string()).collect(),
        findings: event.findings.iter().take(FINDINGS).map(Found::from).collect(),
        findings_left_out: event.findings.len().saturating_sub(FINDINGS),
        diff: event.diff(),
        duration_ms: event.duration.map(milliseconds),
        pid: event.pid,
        signal: &event.signal,
    }
}

/// Microseconds are as fine as anything here is worth knowing.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn text(gate: &str, event: &Event, now: SystemTime) -> String {
    let time = humantime::format_rfc3339_seconds(now);
    let mut line = format!("{time} {gate} {}", event.kind.as_str());
    if let Some(digest) = event.digest {
        line += &format!(" {}", digest.short());
    }
    if let Some(message) = &event.message {
        line += &format!(": {}", visible(message));
    }
    if let Some(duration) = event.duration {
        line += &format!(" ({:.1} ms)", duration.as_secs_f64() * 1e3);
    }
    if !event.changed.is_empty() {
        let changed: Vec<_> = event.changed.iter().map(|path| visible(&path.to_string_lossy()).into_owned()).collect();
        line += &format!("\n    changed: {}", changed.join(", "));
    }
    // The message is the headline of the findings where they are the point.
    let headlined = matches!(event.kind, Kind::Rejected | Kind::Inconclusive);
    for (index, finding) in event.findings.iter().take(FINDINGS).enumerate() {
        if !(headlined && index == 0 && event.findings.len() == 1) {
            line += &format!("\n    {}", visible(&one_line(finding)));
        }
        if let Some(help) = &finding.help {
            line += &format!("\n    help: {}", visible(help));
        }
    }
    if event.findings.len() > FINDINGS {
        line += &format!("\n    and {} more", event.findings.len() - FINDINGS);
    }
    if let Some(help) = &event.help {
        line += &format!("\n    help: {}", visible(help));
    }
    for changed in event.diff().into_iter().flat_map(str::lines) {
        line += &format!("\n    {}", visible(&changed.replace('\t', "    ")));
    }
    line + "\n"
}

/// Whether a character is no text, but makes something of the text around it: control characters, and those which change its
/// direction, so that it reads as another (Unicode Standard Annex #9, section 2).
pub(crate) fn commands(c: char) -> bool {
    let directs = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || directs
}

/// A text in which control characters are written out. What a configuration or a checker says must not make lines of its own, and
/// commands a terminal nothing.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(commands) {
        return Cow::Borrowed(text);
    }
    let written = |c: char| if commands(c) { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(written).collect())
}

fn one_line(finding: &Finding) -> String {
    let place = finding.place.as_ref().map_or_else(String::new, |place| format!("{place}: "));
    let severity = if finding.severity == Severity::Error { "" } else { finding.severity.as_str() };
    let severity = if severity.is_empty() { String::new() } else { format!("{severity}: ") };
    format!("{place}{severity}{}", finding.message)
}

#[cfg(test)]
mod tests {
    use std::slice;

    use reload_gate_contract::{Code, Place};

    use super::*;
    use crate::flow::tree::Digest;

    fn rejected() -> Event {
        let finding = Finding::error(Code::new("checker-error"), "unknown directive \"lisen\"");
        Event {
            previous: Some(Digest::of(b"before")),
            changed: vec!["nginx.conf".into()],
            findings: vec![finding.at(Place::line("/etc/nginx/nginx.conf", 3)).help("did you mean `listen`?")],
            duration: Some(Duration::from_micros(4567)),
            ..Event::new(Kind::Rejected).about(Digest::of(b"after")).message("unknown directive")
        }
    }

    #[test]
    fn nothing_turns_a_text_round() {
        let turned = "a\u{202e}b\u{2066}c\u{200f}d\u{61c}\u{fc}";
        assert_eq!(visible(turned), "a\\u{202e}b\\u{2066}c\\u{200f}d\\u{61c}\u{fc}");
    }

    #[test]
    fn findings_are_bounded() {
        let finding = |line| Finding::error(Code::new("checker-error"), format!("wrong {line}"));
        let event = Event { findings: (0..1000).map(finding).collect(), ..rejected() };
        let object = object("web", &event, SystemTime::UNIX_EPOCH);
        assert_eq!(object["findings"].as_array().map(Vec::len), Some(FINDINGS));
        assert_eq!(object["findings_left_out"], 900);
        let text = text("web", &event, SystemTime::UNIX_EPOCH);
        assert!(text.contains("wrong 99\n    and 900 more\n") && !text.contains("wrong 100"), "{text}");
    }

    #[test]
    fn json_names_every_part_as_documented() {
        insta::assert_snapshot!(json("web", &rejected(), SystemTime::UNIX_EPOCH));
    }

    #[test]
    fn text_shows_what_where_and_what_to_do() {
        insta::assert_snapshot!(text("web", &rejected(), SystemTime::UNIX_EPOCH));
    }

    #[test]
    fn nothing_makes_lines_of_its_own() {
        let sly = "a\nb\r\u{1b}[2Jc\td\u{9b}";
        let finding = Finding::error(Code::new("checker-error"), sly).at(Place::line(sly, 3)).help(sly);
        let event = Event {
            changed: vec![sly.into()],
            findings: vec![finding.clone(), finding],
            help: Some(sly.into()),
            ..Event::new(Kind::Rejected).message(sly)
        };
        let shown = text("web", &event, SystemTime::UNIX_EPOCH);
        let written = r"a\nb\r\u{1b}[2Jc\td\u{9b}";
        assert_eq!(shown.matches(written).count(), 9, "{shown}");
        assert_eq!(shown.lines().count(), 7, "{shown}");
        assert!(shown.lines().skip(1).all(|line| line.starts_with("    ")), "{shown}");
        let object = json("web", &event, SystemTime::UNIX_EPOCH);
        assert_eq!(object.lines().count(), 1);
        let read: serde_json::Value = serde_json::from_str(&object).expect("it is JSON");
        assert_eq!(
            (&read["message"], &read["changed"][0], &read["findings"][0]["file"]),
            (&sly.into(), &sly.into(), &sly.into())
        );
    }

    #[test]
    fn one_finding_is_not_said_twice_and_warnings_are_called_so() {
        let warning = Finding::warning(Code::new("checker-warning"), "old").at(Place::line("/a", 1));
        let error = Finding::error(Code::new("checker-error"), "bad").at(Place::line("/a", 2));
        let lines = |kind, findings: &[Finding]| {
            let event = Event { findings: findings.to_vec(), ..Event::new(kind).message("message") };
            let shown = text("web", &event, SystemTime::UNIX_EPOCH);
            shown.lines().skip(1).map(str::trim).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(lines(Kind::Rejected, slice::from_ref(&error)), Vec::<String>::new());
        assert_eq!(lines(Kind::Accepted, slice::from_ref(&warning)), ["/a:1: warning: old"]);
        assert_eq!(lines(Kind::Rejected, &[error, warning]), ["/a:2: bad", "/a:1: warning: old"]);
    }
}
