//! What a notice says to people, whoever brings it.

use std::time::SystemTime;

use reload_gate_contract::Finding;

use super::policy::Alert;
use crate::report::log::visible;
use crate::report::{Event, Kind};

/// Where it is said what to do about each alert.
const RUNBOOKS: &str = "https://github.com/reload-gate/reload-gate/blob/main/docs/runbooks";
/// So many findings are shown, and so many characters of each text: whoever wants all of them has the log.
const FINDINGS: usize = 20;
const TEXT: usize = 1000;
/// So many characters of all of them together: chats refuse longer ones.
const DESCRIPTION: usize = 3000;

/// Whom a notice is about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// What people call the gate.
    pub gate: &'a str,
    /// What else tells it from others: the pod, and what the user says.
    pub labels: &'a [(String, String)],
}

/// The name of the alert: it never depends on the content, which would make another alert of each change.
pub(super) fn name(incident: Kind) -> &'static str {
    match incident {
        Kind::Rejected => "ReloadGateRejected",
        Kind::Inconclusive => "ReloadGateInconclusive",
        Kind::Restored => "ReloadGateRestored",
        Kind::TargetMissing => "ReloadGateTargetMissing",
        Kind::TargetRefused => "ReloadGateTargetRefused",
        Kind::Deferred => "ReloadGateDeferred",
        _ => "ReloadGateUnverified",
    }
}

/// Where it is said what to do about it.
pub(super) fn runbook(incident: Kind) -> String {
    let mut page = String::new();
    for c in name(incident).chars() {
        if c.is_ascii_uppercase() && !page.is_empty() {
            page.push('-');
        }
        page.push(c.to_ascii_lowercase());
    }
    format!("{RUNBOOKS}/{page}.md")
}

/// `critical` or `warning`, as the rules in `deploy/monitoring` have it. The same once it is over: a label which changed would make
/// another alert.
pub(super) fn severity(incident: Kind) -> &'static str {
    // Only then may the application be in trouble as well; otherwise it goes on with what it runs.
    if incident == Kind::Unverified { "critical" } else { "warning" }
}

/// `firing` or `resolved`.
pub(super) fn status(alert: &Alert) -> &'static str {
    if alert.over { "resolved" } else { "firing" }
}

/// What has happened, in one line.
pub(super) fn summary(gate: &str, alert: &Alert) -> String {
    let what = match alert.incident {
        _ if alert.over => return format!("{}: `{}` is over", visible(gate), alert.incident.as_str()),
        Kind::Rejected => "a new configuration was rejected",
        Kind::Inconclusive => "a new configuration cannot be judged",
        Kind::Restored => "the last known good configuration was put back",
        Kind::TargetMissing => "there is no process to tell of the new configuration",
        Kind::TargetRefused => "the process must not be told of the new configuration",
        Kind::Deferred => "a new configuration waits: reloads are limited, or a file changes because of them",
        _ => "there is no proof that the new configuration took effect",
    };
    format!("{}: {what}", visible(gate))
}

/// What was found, where, and what to do.
pub(super) fn description(alert: &Alert) -> String {
    let event = brief(&alert.event);
    let findings = event.findings.iter().map(line);
    // The message is the headline of the findings, so it need not be said twice.
    let message = event.message.iter().filter(|_| event.findings.is_empty()).cloned();
    let helps = event.findings.iter().filter_map(|finding| finding.help.as_ref()).chain(&event.help);
    let helps = helps.map(|help| format!("help: {help}"));
    let mut lines: Vec<String> = Vec::new();
    for line in message.chain(findings).chain(helps).map(|line| visible(&line).into_owned()) {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    let left_out = alert.event.findings.len().saturating_sub(FINDINGS);
    let more = if left_out > 0 { format!("\nand {left_out} more") } else { String::new() };
    lines.join("\n").chars().take(DESCRIPTION - more.len()).collect::<String>() + &more
}

fn line(finding: &Finding) -> String {
    let place = finding.place.as_ref().map_or_else(String::new, |place| format!("{place}: "));
    format!("{place}{}", finding.message)
}

/// The same event, but for what would make a message of any length of it.
pub(super) fn brief(event: &Event) -> Event {
    let cut = |text: &String| text.chars().take(TEXT).collect::<String>();
    let finding = |finding: &Finding| Finding {
        message: cut(&finding.message),
        help: finding.help.as_ref().map(cut),
        ..finding.clone()
    };
    Event {
        message: event.message.as_ref().map(cut),
        help: event.help.as_ref().map(cut),
        changed: event.changed.iter().take(FINDINGS).cloned().collect(),
        findings: event.findings.iter().take(FINDINGS).map(finding).collect(),
        ..event.clone()
    }
}

/// RFC 3339, UTC.
pub(super) fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}
