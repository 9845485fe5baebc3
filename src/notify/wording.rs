//! The texts of an alert, the same for every sink.

use std::time::SystemTime;

use reload_gate_contract::Finding;

use super::policy::Alert;
use crate::report::log::visible;
use crate::report::{Event, Kind};

/// The pages that say what to do about each alert.
const RUNBOOKS: &str = "https://github.com/reload-gate/reload-gate/blob/main/docs/runbooks";
/// The number of findings in an alert, and the length of each text in characters; the log has all of them.
const FINDINGS: usize = 20;
const TEXT: usize = 1000;
/// The length of all findings together in characters: chats refuse longer messages.
const DESCRIPTION: usize = 3000;

/// The gate that an alert is about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The name of the gate.
    pub gate: &'a str,
    /// Further labels: the pod, and those of `--alert-label`.
    pub labels: &'a [(String, String)],
}

/// The name of the alert. It does not depend on the revision: another name would be another alert at each change.
pub(super) fn name(incident: Kind) -> &'static str {
    match incident {
        Kind::Rejected => "ReloadGateRejected",
        Kind::Inconclusive => "ReloadGateInconclusive",
        Kind::Restored => "ReloadGateRestored",
        Kind::TargetMissing => "ReloadGateTargetMissing",
        Kind::TargetRefused => "ReloadGateTargetRefused",
        Kind::Deferred => "ReloadGateDeferred",
        Kind::RolloutRefused => "ReloadGateRolloutRefused",
        _ => "ReloadGateUnverified",
    }
}

/// The runbook of the alert.
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

/// `critical` or `warning`, as in the rules of `deploy/monitoring`. The label stays the same at the end of an incident: another label
/// would be another alert.
pub(super) fn severity(incident: Kind) -> &'static str {
    // Only these incidents can affect the application; otherwise it keeps its configuration.
    if matches!(incident, Kind::Unverified | Kind::RolloutRefused) { "critical" } else { "warning" }
}

/// `firing` or `resolved`.
pub(super) fn status(alert: &Alert) -> &'static str {
    if alert.over { "resolved" } else { "firing" }
}

/// The incident in one line.
pub(super) fn summary(gate: &str, alert: &Alert) -> String {
    let what = match alert.incident {
        _ if alert.over => return format!("{}: `{}` is over", visible(gate), alert.incident.as_str()),
        Kind::Rejected => "a new configuration was rejected",
        Kind::Inconclusive => "a new configuration cannot be validated",
        Kind::Restored => "the last-known-good configuration is live again",
        Kind::TargetMissing => "there is no process to reload",
        Kind::TargetRefused => "the process cannot be reloaded",
        Kind::Deferred => "a new configuration waits: reloads are limited, or a file changes because of them",
        Kind::RolloutRefused => "a pod did not take a new configuration, so its group refuses it",
        _ => "the reload is not verified",
    };
    format!("{}: {what}", visible(gate))
}

/// The findings with their places and help.
pub(super) fn description(alert: &Alert) -> String {
    let event = brief(&alert.event);
    let findings = event.findings.iter().map(line);
    // The message is the headline of the findings.
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

/// Returns the event without the parts of unbounded length.
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
