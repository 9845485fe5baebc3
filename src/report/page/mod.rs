//! The status page: one document without scripts and without anything to load. Pure.
//!
//! The templates escape all names, messages and lines of a configuration.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::excerpt::Excerpt;
use super::log::is_control;
use super::status::{
    Decision, DeliveryState, DeliveryStatus, GateStatus, RevisionStatus, RolloutStatus, Status, short,
};
use super::{Kind, Level};

const STYLE: &str = include_str!("page.css");
/// The interval at which a browser loads the page again, in seconds.
const REFRESH: u32 = 5;
/// The number of findings on the page.
const FINDINGS: usize = 20;

/// The page's rights (Content Security Policy Level 3): none but its own style.
#[must_use]
pub fn policy() -> String {
    let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// Returns the page as of `now`.
#[must_use]
pub fn html(status: &Status, now: SystemTime) -> String {
    let waiting = status.gates.iter().filter(|gate| !gate.live).count();
    let summary = match (waiting, status.gates.as_slice()) {
        (0, [_]) => "live".to_owned(),
        (0, gates) => format!("all {} gates live", gates.len()),
        (_, [gate]) => StateBadge::of(gate).word.to_lowercase(),
        (waiting, gates) => format!("{waiting} of {} gates not live", gates.len()),
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                meta http-equiv="refresh" content=(REFRESH);
                title { (if waiting == 0 { "✓" } else { "✕" }) " " (summary) " · reload-gate" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "reload-gate" }
                    p { (summary) " · as of " (instant(now, now)) }
                }
                @if status.gates.len() > 1 { (overview(status)) }
                main { @for (index, gate) in status.gates.iter().enumerate() { (section(gate, index, now)) } }
                footer {
                    p { "reload-gate " (env!("CARGO_PKG_VERSION")) " · " a href="/status" { "JSON" } " · " a href="/metrics" { "metrics" } }
                    p { "all times are UTC · the page loads itself anew every " (REFRESH) " s" }
                }
            }
        }
    };
    legible(&page.into_string())
}

/// Writes out control characters, except those that lay out a page.
fn legible(page: &str) -> String {
    let laid_out = |c: char| !is_control(c) || matches!(c, '\n' | '\t');
    let mut legible = String::with_capacity(page.len());
    for c in page.chars() {
        if laid_out(c) { legible.push(c) } else { legible.extend(c.escape_default()) }
    }
    legible
}

/// The state of a gate as a word, a sign and a sentence.
struct StateBadge {
    class: &'static str,
    sign: &'static str,
    word: &'static str,
    sentence: &'static str,
}

impl StateBadge {
    fn of(gate: &GateStatus) -> Self {
        let state = |class, sign, word, sentence| Self { class, sign, word, sentence };
        match gate.reported() {
            _ if gate.live && gate.running.is_none() => state(
                "good",
                "✓",
                "Accepted",
                "The newest configuration is accepted. This gate reloads no application.",
            ),
            _ if gate.live => state("good", "✓", "Live", "The newest configuration is live."),
            "rejected" => state(
                "bad",
                "✕",
                "Rejected",
                "The newest configuration is wrong; the application keeps the running one.",
            ),
            "unverified" => state("bad", "✕", "Unverified", "The reload of the newest configuration is not verified."),
            "restored" => state(
                "bad",
                "✕",
                "Restored",
                "The newest configuration was not verified; the last-known-good configuration is live again.",
            ),
            "target_refused" => {
                state("bad", "✕", "Target refused", "The gate found the application, and cannot reload it.")
            }
            "degraded" => state(
                "bad",
                "!",
                "Degraded",
                "The newest configuration cannot be used; the known-good configuration of the cluster is live.",
            ),
            "rollout_refused" => {
                state("bad", "✕", "Refused", "A pod did not take the newest configuration, so its group refuses it.")
            }
            "rollout_waiting" => {
                state("pending", "…", "Waiting", "The newest configuration waits for the other pods of its group.")
            }
            "target_missing" => {
                state("pending", "…", "Target missing", "The application does not run; the gate waits for it.")
            }
            "inconclusive" => state(
                "pending",
                "?",
                "Inconclusive",
                "The newest configuration could not be validated; the gate tries again.",
            ),
            _ => state("pending", "…", "Pending", "The newest configuration is not known to be live yet."),
        }
    }

    fn badge(&self) -> Markup {
        html! { span class={ "badge " (self.class) } { span aria-hidden="true" { (self.sign) } " " (self.word) } }
    }
}

/// The overview of several gates.
fn overview(status: &Status) -> Markup {
    html! {
        nav aria-label="Gates" {
            ul {
                @for (index, gate) in status.gates.iter().enumerate() {
                    li { a href={ "#gate-" (index) } { (StateBadge::of(gate).badge()) " " bdi { (gate.gate) } } }
                }
            }
        }
    }
}

fn section(gate: &GateStatus, index: usize, now: SystemTime) -> Markup {
    let (state, id) = (StateBadge::of(gate), format!("gate-{index}"));
    html! {
        article id=(id) class=(state.class) aria-labelledby={ (id) "-name" } {
            div class="head" { h2 id={ (id) "-name" } { bdi { (gate.gate) } } (state.badge()) }
            p class="lead" {
                (state.sentence)
                @if !gate.live { " " (diverged(gate)) }
            }
            @if let Some(event) = &gate.standing { (standing(event, now)) }
            (contents(gate, now))
            @if let Some(rollout) = &gate.rollout { (self::rollout(rollout)) }
            @if !gate.alerts.is_empty() { (alerts(&gate.alerts, now)) }
            @if !gate.recent.is_empty() { (timeline(&gate.recent, now)) }
        }
    }
}

fn diverged(gate: &GateStatus) -> String {
    let since = lasting(Duration::try_from_secs_f64(gate.diverged_seconds).unwrap_or_default());
    let runs = match (gate.running.is_some(), gate.ready) {
        (true, _) => "; what runs goes on",
        (false, true) => "; what was accepted before is where the application reads it",
        (false, false) => "; it is not known whether anything that was accepted is live",
    };
    format!("Not live for {since}{runs}.")
}

fn contents(gate: &GateStatus, now: SystemTime) -> Markup {
    let row = |name: &str, what: &str, content: &Option<RevisionStatus>| {
        html! {
            div {
                dt { (name) " " span class="what" { (what) } }
                dd {
                    @match content {
                        Some(content) => { (digest(&content.digest)) " " span class="since" { "since " (time(&content.since, now)) } }
                        None => span class="none" { "not known" }
                    }
                }
            }
        }
    };
    let watched = match gate.watch_mode.as_str() {
        "inotify" => "by the kernel’s events",
        "poll" => "by polling: changes may be seen late",
        other => other,
    };
    html! {
        dl {
            (row("Desired", "the newest there is", &gate.desired))
            (row("Validated", "the newest that is valid", &gate.validated))
            (row("Running", "known to be live", &gate.running))
            div { dt { "Watched" } dd { (watched) } }
        }
    }
}

/// The roll-out of the group.
fn rollout(rollout: &RolloutStatus) -> Markup {
    html! {
        section aria-label="Roll-out" {
            h3 { "Roll-out of group " bdi { (rollout.group) } }
            p {
                b { (rollout.phase) }
                @if rollout.paused { ", paused" }
                ": " (rollout.counts())
                @if let Some(leader) = &rollout.leader { ", led by " bdi { (leader) } }
            }
            @if let Some((by, reason)) = rollout.refused_by.as_ref().zip(rollout.reason.as_ref()) {
                p class="message" { "refused by " bdi { (by) } ": " (prose(reason)) }
            }
            @if let Some(lost) = &rollout.lost { p class="message" { (prose(lost)) } }
        }
    }
}

/// The open incident.
fn standing(event: &Value, now: SystemTime) -> Markup {
    let part = |key: &str| event[key].as_str();
    let findings = event["findings"].as_array().map_or(&[][..], Vec::as_slice);
    let excerpts: Vec<Excerpt> = serde_json::from_value(event["excerpts"].clone()).unwrap_or_default();
    let unlisted =
        event["findings_left_out"].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or_default();
    let left_out = findings.len().saturating_sub(FINDINGS).saturating_add(unlisted);
    html! {
        section class="standing" aria-label="Incident" {
            h3 { "Incident " @if let Some(at) = part("timestamp") { span class="since" { "since " (time(at, now)) } } }
            @if findings.is_empty() && let Some(message) = part("message") { p class="message" { (prose(message)) } }
            @if !findings.is_empty() {
                ol class="findings" { @for found in findings.iter().take(FINDINGS) { li { (finding(found, &excerpts)) } } }
            }
            @if left_out > 0 { p { "and " (left_out) " more: " a href="/status" { "JSON" } } }
            @if let Some(help) = part("help") { p class="help" { (prose(help)) } }
            @if let Some(diff) = part("diff") { h4 { "Changes against the running configuration" } (changes(diff)) }
        }
    }
}

fn finding(finding: &Value, excerpts: &[Excerpt]) -> Markup {
    let part = |key: &str| finding[key].as_str();
    let number = |key: &str| finding[key].as_u64();
    let position = [number("line"), number("column")].into_iter().flatten().fold(String::new(), |mut text, number| {
        // A String takes every write.
        let _ = write!(text, ":{number}");
        text
    });
    let about = |excerpt: &&Excerpt| {
        let place = (part("file"), number("line"), number("column"));
        place == (Some(&excerpt.file), Some(excerpt.line.into()), excerpt.column.map(u64::from))
    };
    html! {
        p class="message" {
            @if let Some(severity) = part("severity").filter(|severity| *severity != "error") { em { (severity) ": " } }
            (prose(part("message").unwrap_or_default()))
        }
        @if let Some(file) = part("file") { p class="place" { code { (file) (position) } } }
        @if let Some(excerpt) = excerpts.iter().find(about) { (lines(excerpt)) }
        @if let Some(help) = part("help") { p class="help" { (prose(help)) } }
        @if let Some(source) = part("source") { p class="source" { "reported by " (prose(source)) } }
    }
}

/// Some lines with their numbers, with the line of the finding marked.
fn lines(excerpt: &Excerpt) -> Markup {
    html! {
        pre tabindex="0" aria-label={ "lines of " (excerpt.file) } {
            @for (number, text) in (excerpt.first..).zip(&excerpt.lines) {
                @let meant = number == excerpt.line;
                span class={ "line" @if meant { " meant" } } {
                    span class="number" { (number) }
                    @if meant { (marked(text, excerpt.column)) } @else { (text) }
                    "\n"
                }
            }
        }
    }
}

/// A line with the word at `column` marked.
fn marked(text: &str, column: Option<u32>) -> Markup {
    let Some((begin, first)) =
        column.and_then(|column| text.char_indices().nth(usize::try_from(column).ok()?.checked_sub(1)?))
    else {
        return html! { (text) };
    };
    let rest = &text[begin..];
    let ends = |c: char| c.is_whitespace() || matches!(c, ';' | '{' | '}' | ',' | '(' | ')');
    let length = rest.find(ends).unwrap_or(rest.len()).max(first.len_utf8());
    let (word, after) = rest.split_at(length);
    html! { (&text[..begin]) mark { (word) } (after) }
}

fn changes(diff: &str) -> Markup {
    let class = |line: &str| match line.as_bytes() {
        [b'-', b'-', b'-', b' ', ..] | [b'+', b'+', b'+', b' ', ..] => "file",
        [b'-', ..] => "removed",
        [b'+', ..] => "added",
        [b' ', ..] => "same",
        _ => "hunk",
    };
    html! {
        pre class="diff" tabindex="0" aria-label="What changed" {
            @for line in diff.lines() { span class={ "line " (class(line)) } { (line) "\n" } }
        }
    }
}

fn alerts(alerts: &[DeliveryStatus], now: SystemTime) -> Markup {
    let class = |state: &str| match state {
        "delivered" | "idle" => "good",
        "failing" => "bad",
        _ => "pending",
    };
    html! {
        section aria-label="Alerts" {
            h3 { "Alerts" }
            ul class="alerts" {
                @for alert in alerts {
                    li {
                        span class={ "badge small " (class(alert.state.as_str())) } { (alert.state.as_str()) } " "
                        b { bdi { (alert.sink) } }
                        @if let Some(wanted) = &alert.wanted {
                            " " span class="about" { (if alert.state == DeliveryState::Failing { "cannot deliver " } else { "delivering " }) (words(wanted.as_str())) }
                            @if alert.about.is_some() { "; last delivered:" }
                        }
                        @if let Some(about) = &alert.about { " " span class="about" { (words(about.as_str())) } }
                        @if let Some(at) = &alert.at { " " span class="since" { (time(at, now)) } }
                        @if let Some(error) = &alert.error { p class="message" { (prose(error)) } }
                    }
                }
            }
        }
    }
}

/// The last decisions, the newest first.
fn timeline(recent: &[Decision], now: SystemTime) -> Markup {
    html! {
        section aria-label="Last decisions" {
            h3 { "Last decisions" }
            ol class="timeline" reversed {
                @for decision in recent.iter().rev() {
                    li class=(color(decision)) {
                        div class="what" {
                            b { (words(decision.event.as_str())) }
                            @if let Some(content) = &decision.digest { " " (digest(content)) }
                            @if let Some(took) = decision.duration_ms { " " span class="took" { "took " (milliseconds(took)) } }
                        }
                        div class="when" { (time(&decision.timestamp, now)) }
                        @if let Some(message) = &decision.message { p { (prose(message)) } }
                    }
                }
            }
        }
    }
}

/// The colour class of a level: only classes of the style.
fn color(decision: &Decision) -> &'static str {
    match (decision.level, decision.event) {
        (Level::Error, _) => "error",
        (Level::Warn, _) => "warn",
        (_, Kind::Verified | Kind::Recovered) => "good",
        _ => "info",
    }
}

/// The name of an event as words.
fn words(event: &str) -> String {
    event.replace('_', " ")
}

/// Text with code in backticks, as in all messages.
fn prose(text: &str) -> Markup {
    // With an odd number of backticks nothing is code.
    let quoted = text.matches('`').count().is_multiple_of(2);
    html! {
        @if quoted {
            @for (index, part) in text.split('`').enumerate() { @if index % 2 == 1 { code { (part) } } @else { (part) } }
        } @else {
            (text)
        }
    }
}

fn digest(digest: &str) -> Markup {
    html! { code class="digest" title=(digest) { (short(digest)) } }
}

/// A time as it was sent, if it cannot be parsed.
fn time(text: &str, now: SystemTime) -> Markup {
    match humantime::parse_rfc3339(text) {
        Ok(at) => instant(at, now),
        Err(_) => html! { (text) },
    }
}

fn instant(at: SystemTime, now: SystemTime) -> Markup {
    let exact = humantime::format_rfc3339_seconds(at).to_string();
    let (date, clock) = exact.split_once('T').unwrap_or(("", &exact));
    let today = humantime::format_rfc3339_seconds(now).to_string();
    let ago = now.duration_since(at).unwrap_or_default();
    html! {
        time datetime=(exact) title=(exact) {
            @if !today.starts_with(date) { (date) " " }
            (clock)
        }
        @if at != now { " " span class="ago" { "(" (lasting(ago)) " ago)" } }
    }
}

/// A duration in its two largest units.
fn lasting(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, seconds) if minutes < 10 && seconds > 0 => format!("{minutes}m {seconds}s"),
        (0, 0, minutes, _) => format!("{minutes}m"),
        (0, hours, minutes, _) => format!("{hours}h {minutes}m"),
        (days, hours, ..) => format!("{days}d {hours}h"),
    }
}

fn milliseconds(took: f64) -> String {
    if took < 1_000.0 { format!("{took:.1} ms") } else { format!("{:.1} s", took / 1_000.0) }
}

#[cfg(test)]
mod tests;
