//! Log lines as text for people. Pure.

use std::borrow::Cow;

use crate::report::Kind;
use crate::report::found::Found;

use super::line::{DebugLine, Line};

/// The length of a digest that is enough for people to tell two apart.
const SHORT_DIGEST: usize = 12;

/// The event and everything that is known about it, one fact a line.
pub(super) fn event(line: &Line<'_>) -> String {
    let mut text = format!("{} {} {}", line.timestamp, line.gate, line.event);
    if let Some(digest) = &line.digest {
        text += &format!(" {}", short(digest));
    }
    if let Some(message) = &line.message {
        text += &format!(": {}", visible(message));
    }
    if let Some(duration) = line.duration_ms {
        text += &format!(" ({duration:.1} ms)");
    }
    if !line.changed.is_empty() {
        let changed: Vec<_> = line.changed.iter().map(|path| visible(path)).collect();
        let more = match line.changed_left_out {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        text += &format!("\n    changed: {}{more}", changed.join(", "));
    }
    text += &findings(line);
    if let Some(help) = &line.help {
        text += &format!("\n    help: {}", visible(help));
    }
    for changed in line.diff.as_deref().into_iter().flat_map(str::lines) {
        text += &format!("\n    {}", visible(&changed.replace('\t', "    ")));
    }
    text + "\n"
}

fn findings(line: &Line<'_>) -> String {
    // The message of these events of a gate is the headline of their findings, so a single finding needs no line of its own. Those of the
    // webhook name the object.
    let headlined = line.event == Kind::Rejected.as_str() || line.event == Kind::Inconclusive.as_str();
    let is_said =
        |finding: &Found<'_>| line.message.as_ref().is_some_and(|said| said.contains(finding.message.as_ref()));
    let mut text = String::new();
    for finding in &line.findings {
        if !headlined || line.findings.len() > 1 || !is_said(finding) {
            text += &format!("\n    {}", visible(&one_line(finding)));
        }
        if let Some(help) = &finding.help {
            text += &format!("\n    help: {}", visible(help));
        }
    }
    if line.findings_left_out > 0 {
        text += &format!("\n    and {} more", line.findings_left_out);
    }
    text
}

fn one_line(finding: &Found<'_>) -> String {
    let place = finding.place().map_or_else(String::new, |place| format!("{place}: "));
    let severity = if finding.severity == "error" { String::new() } else { format!("{}: ", finding.severity) };
    format!("{place}{severity}{}", finding.message)
}

/// A span or a decision.
pub(super) fn debug(line: &DebugLine) -> String {
    let gate = line.gate.as_deref().unwrap_or("-");
    let mut text = format!("{} {gate} {}", line.timestamp, line.level);
    if let Some(span) = &line.span {
        text += &format!(" {span}");
    }
    if let Some(message) = &line.message {
        text += &format!(": {}", visible(message));
    }
    for (name, value) in &line.fields {
        text += &format!(" {name}={}", visible(value));
    }
    if let Some(duration) = line.duration_ms {
        text += &format!(" ({duration:.3} ms)");
    }
    text + "\n"
}

fn short(digest: &str) -> &str {
    digest.get(..SHORT_DIGEST).unwrap_or(digest)
}

/// Tells whether a character commands a terminal, changes the direction of the text around it (Unicode Standard Annex #9,
/// section 2), ends a line for some readers, or has no width, so that the text reads as another one.
pub(crate) fn is_control(c: char) -> bool {
    let directs = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let hides = matches!(c, '\u{200b}' | '\u{2028}' | '\u{2029}' | '\u{2060}' | '\u{feff}');
    c.is_control() || directs || hides
}

/// Writes out the control characters of a text: a configuration or a checker cannot begin a line or command a terminal.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let written = |c: char| if is_control(c) { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(written).collect())
}
