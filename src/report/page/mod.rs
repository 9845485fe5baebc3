//! How all gates are, as a page for people: one document without scripts or anything to load. Pure.
//!
//! All that comes from outside (names, messages, lines of a configuration) is escaped by the templates.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::excerpt::Excerpt;
use super::log::is_control;
use super::status::{Decision, DeliveryStatus, GateStatus, RevisionStatus, Status, short};

const STYLE: &str = include_str!("page.css");
/// How often a browser loads it anew, in seconds.
const REFRESH: u32 = 5;
/// How many findings are shown.
const FINDINGS: usize = 20;

/// What the page may do (Content Security Policy Level 3): be looked at. Nothing but its own style is believed, whatever stands in it.
#[must_use]
pub fn policy() -> String {
    let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// The page, as it is at `now`.
#[must_use]
pub fn html(status: &Status, now: SystemTime) -> String {
    let waiting = status.gates.iter().filter(|gate| !gate.live).count();
    let summary = match (waiting, status.gates.as_slice()) {
        (0, [_]) => "live".to_owned(),
        (0, gates) => format!("all {} gates live", gates.len()),
        (_, [gate]) => State::of(gate).word.to_lowercase(),
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

/// A text in which control characters are written out, wherever they come from; but for those that a page is laid out with.
fn legible(page: &str) -> String {
    let laid_out = |c: char| !is_control(c) || matches!(c, '\n' | '\t');
    let mut legible = String::with_capacity(page.len());
    for c in page.chars() {
        if laid_out(c) { legible.push(c) } else { legible.extend(c.escape_default()) }
    }
    legible
}

/// How a gate is, in a word, a sign and a sentence.
struct State {
    class: &'static str,
    sign: &'static str,
    word: &'static str,
    sentence: &'static str,
}

impl State {
    fn of(gate: &GateStatus) -> Self {
        let state = |class, sign, word, sentence| Self { class, sign, word, sentence };
        match gate.reported() {
            _ if gate.live => state("good", "✓", "Live", "The newest configuration is live."),
            "rejected" => state("bad", "✕", "Rejected", "The newest configuration is wrong, and was not let through."),
            "unverified" => {
                state("bad", "✕", "Unverified", "There is no proof that the newest configuration took effect.")
            }
            "restored" => state(
                "bad",
                "✕",
                "Restored",
                "The newest configuration was not proven, and the last known good is live again.",
            ),
            "target_refused" => {
                state("bad", "✕", "Target refused", "The application was found, but must not or may not be told.")
            }
            "target_missing" => {
                state("pending", "…", "Target missing", "The application is not there; it is waited for.")
            }
            "inconclusive" => state(
                "pending",
                "?",
                "Inconclusive",
                "The newest configuration could not be judged; it is tried again.",
            ),
            _ => state("pending", "…", "On the way", "The newest configuration is not known to be live yet."),
        }
    }

    fn badge(&self) -> Markup {
        html! { span class={ "badge " (self.class) } { span aria-hidden="true" { (self.sign) } " " (self.word) } }
    }
}

/// With several gates: all of them at a glance.
fn overview(status: &Status) -> Markup {
    html! {
        nav aria-label="Gates" {
            ul {
                @for (index, gate) in status.gates.iter().enumerate() {
                    li { a href={ "#gate-" (index) } { (State::of(gate).badge()) " " bdi { (gate.gate) } } }
                }
            }
        }
    }
}

fn section(gate: &GateStatus, index: usize, now: SystemTime) -> Markup {
    let (state, id) = (State::of(gate), format!("gate-{index}"));
    html! {
        article id=(id) class=(state.class) aria-labelledby={ (id) "-name" } {
            div class="head" { h2 id={ (id) "-name" } { bdi { (gate.gate) } } (state.badge()) }
            p class="lead" {
                (state.sentence)
                @if !gate.live { " " (diverged(gate)) }
            }
            @if let Some(event) = &gate.standing { (standing(event, now)) }
            (contents(gate, now))
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

/// Why the newest content is not live.
fn standing(event: &Value, now: SystemTime) -> Markup {
    let part = |key: &str| event[key].as_str();
    let findings = event["findings"].as_array().map_or(&[][..], Vec::as_slice);
    let excerpts: Vec<Excerpt> = serde_json::from_value(event["excerpts"].clone()).unwrap_or_default();
    let unsaid = event["findings_left_out"].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or_default();
    let left_out = findings.len().saturating_sub(FINDINGS).saturating_add(unsaid);
    html! {
        section class="standing" aria-label="What stands" {
            h3 { "What stands " @if let Some(at) = part("timestamp") { span class="since" { "since " (time(at, now)) } } }
            @if findings.is_empty() && let Some(message) = part("message") { p class="message" { (prose(message)) } }
            @if !findings.is_empty() {
                ol class="findings" { @for found in findings.iter().take(FINDINGS) { li { (finding(found, &excerpts)) } } }
            }
            @if left_out > 0 { p { "and " (left_out) " more: " a href="/status" { "JSON" } } }
            @if let Some(help) = part("help") { p class="help" { (prose(help)) } }
            @if let Some(diff) = part("diff") { h4 { "What it changes against what runs" } (changes(diff)) }
        }
    }
}

fn finding(finding: &Value, excerpts: &[Excerpt]) -> Markup {
    let part = |key: &str| finding[key].as_str();
    let number = |key: &str| finding[key].as_u64();
    let position = [number("line"), number("column")].into_iter().flatten().fold(String::new(), |mut text, number| {
        // A String takes whatever is written to it.
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
        @if let Some(source) = part("source") { p class="source" { "said by " (prose(source)) } }
    }
}

/// A few lines with their numbers; the one that is meant stands out.
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

/// A line, in which the word at `column` is marked.
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
                        span class={ "badge small " (class(&alert.state)) } { (alert.state) } " "
                        b { bdi { (alert.sink) } }
                        @if let Some(wanted) = &alert.wanted {
                            " " span class="about" { (if alert.state == "failing" { "cannot be told of " } else { "is told of " }) (words(wanted)) }
                            @if alert.about.is_some() { "; last told:" }
                        }
                        @if let Some(about) = &alert.about { " " span class="about" { (words(about)) } }
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
                            b { (words(&decision.event)) }
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

/// By what color it is told: only what the style knows.
fn color(decision: &Decision) -> &'static str {
    match (decision.level.as_str(), decision.event.as_str()) {
        ("error", _) => "error",
        ("warn", _) => "warn",
        (_, "verified" | "recovered") => "good",
        _ => "info",
    }
}

/// The name of an event as words.
fn words(event: &str) -> String {
    event.replace('_', " ")
}

/// A text in which what stands in backticks is code, as it is in all messages.
fn prose(text: &str) -> Markup {
    // An odd number of them quotes nothing.
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

/// A time as it was sent: as it is if it cannot be read.
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

/// A time span as people say it, in its two largest units.
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
