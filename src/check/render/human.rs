//! Report for people: each finding with its lines of the input, as `rustc` shows them; a line for each validation; and a summary.

use std::ops::Range;

use annotate_snippets::renderer::{AnsiColor, Style as Paint};
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use reload_gate_contract::{Place, Severity, Verdict};

use super::group::grouped;
use super::{
    CheckReport, CheckSubject, Checked, InputExcerpt, Located, REMOVE_GONE, ReportStyle, Suppressed, Suppression,
    Unchecked, part,
};
use crate::report::log::{is_control, visible};

const NOT_CHECKED: &str = "not checked";

pub(super) fn render(report: &CheckReport, style: &ReportStyle) -> String {
    let renderer = if style.color { Renderer::styled() } else { Renderer::plain() }.term_width(style.width);
    let mut text = String::new();
    let grave = |located: &Located| !style.quiet || located.finding.severity == Severity::Error;
    for one in grouped(report).iter().filter(|one| grave(one.located)) {
        text += &renderer.render(&[group(one.subject, one.located, one.others())]);
        text += "\n\n";
        for note in one.notes.iter().filter(|note| grave(note)) {
            text += &renderer.render(&[group(one.subject, note, None)]);
            text += "\n\n";
        }
    }
    let lapsed: String = report.lapsed.iter().map(|lapsed| format!("lapsed  {lapsed}\n")).collect();
    let of_baseline = lapsed + &gone(report, style);
    add_validations(&mut text, report, style);
    text + &suppressed(report, style) + &of_baseline + &summary(report, style)
}

/// Returns a line for each ignored error, which stays visible; with `verbose` also for each warning and each finding of the baseline.
fn suppressed(report: &CheckReport, style: &ReportStyle) -> String {
    let all = report.checked.iter().flat_map(|checked| &checked.suppressed);
    let is_shown = |suppressed: &&Suppressed| {
        let is_known = suppressed.by == Suppression::Baseline;
        style.verbose || (!style.quiet && !is_known && suppressed.located.finding.severity == Severity::Error)
    };
    let line = |Suppressed { located, by }: &Suppressed| {
        let (word, why) = match by {
            Suppression::Baseline => ("known", String::new()),
            Suppression::Ignored(_) => ("ignored", format!(" ({})", visible(&by.to_string()))),
        };
        format!("{word}  {located}{why}\n")
    };
    all.filter(is_shown).map(line).collect()
}

/// Returns the entries of the baseline that no longer occur, the first ones of many.
fn gone(report: &CheckReport, style: &ReportStyle) -> String {
    let lines: String = report.gone_lines().iter().map(|line| format!("gone  {line}\n")).collect();
    if lines.is_empty() || style.quiet { String::new() } else { format!("{lines}note: {REMOVE_GONE}\n") }
}

/// Returns true if a validation is shown; with `quiet` only if it is not accepted.
fn shown(checked: &Checked, style: &ReportStyle) -> bool {
    !style.quiet || checked.verdict() != Verdict::Accepted
}

fn group<'a>(subject: &CheckSubject, located: &'a Located, others: Option<String>) -> Group<'a> {
    let finding = &located.finding;
    let level = match finding.severity {
        // Another color as well, since the configuration may have no error.
        Severity::Error if located.is_obstacle() => Level::WARNING.with_name("obstacle"),
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let group = Group::with_title(level.primary_title(visible(&finding.message)).id(finding.code.as_str()));
    let place = located.place(subject);
    let mut group = match &located.excerpt {
        Some(excerpt) => group.element(snippet(&place, excerpt)),
        None => group.element(origin(&place)),
    };
    if let Some(part) = part(located.part(subject)) {
        group = group.element(Level::NOTE.message(format!("in {part}")));
    }
    if let Some(others) = others {
        group = group.element(Level::NOTE.message(others));
    }
    if let Some(help) = &finding.help {
        group = group.element(Level::HELP.message(visible(help)));
    }
    group
}

fn snippet(place: &Place, excerpt: &InputExcerpt) -> Snippet<'static, Annotation<'static>> {
    let (text, mark) = harmless(excerpt);
    let start = usize::try_from(excerpt.first_line).unwrap_or(usize::MAX);
    let snippet = Snippet::source(text).line_start(start).path(visible(&place.file).into_owned()).fold(false);
    snippet.annotation(AnnotationKind::Primary.span(mark))
}

fn origin(place: &Place) -> Origin<'static> {
    let mut origin = Origin::path(visible(&place.file).into_owned());
    if let Some(line) = place.line.and_then(|line| usize::try_from(line).ok()) {
        origin = origin.line(line);
        if let Some(column) = place.column.and_then(|column| usize::try_from(column).ok()) {
            origin = origin.char_column(column);
        }
    }
    origin
}

/// Replaces each control character by a visible one, so that columns stay the same; and moves the mark to whole characters.
fn harmless(excerpt: &InputExcerpt) -> (String, Range<usize>) {
    let mut text = String::with_capacity(excerpt.text.len());
    let Range { start, end } = &excerpt.mark;
    let (mut from, mut to) = (None, None);
    for (at, c) in excerpt.text.char_indices() {
        if at + c.len_utf8() > *start && from.is_none() {
            from = Some(text.len());
        }
        if at >= *end && to.is_none() {
            to = Some(text.len());
        }
        match c {
            // Ends of lines, and characters that the renderer replaces itself.
            '\0'..='\u{1f}' | '\u{7f}' => text.push(c),
            _ if is_control(c) => text.push(char::REPLACEMENT_CHARACTER),
            _ => text.push(c),
        }
    }
    let from = from.unwrap_or(text.len());
    let to = to.unwrap_or(text.len()).max(from);
    (text, from..to)
}

/// Adds a line for each validation; with `verbose` also for each part without a validation. There may be tens of thousands, so they are
/// written to the text of the report at once.
fn add_validations(text: &mut String, report: &CheckReport, style: &ReportStyle) {
    let checked: Vec<_> = report.checked.iter().filter(|checked| shown(checked, style)).collect();
    let is_shown = |unchecked: &&Unchecked| !style.quiet && (style.verbose || unchecked.help.is_some());
    let unchecked: Vec<_> = report.unchecked.iter().filter(is_shown).collect();
    let labels = checked.iter().map(|checked| checked.verdict().as_str());
    let width = labels.chain(unchecked.iter().map(|_| NOT_CHECKED)).map(str::len).max().unwrap_or_default();
    for checked in checked {
        let verdict = paint(checked.verdict(), &format!("{:width$}", checked.verdict().as_str()), style);
        let (validator, reason) = (visible(&checked.validator), visible(&checked.reason));
        *text += &format!("{verdict}  {} ({validator}: {reason})", checked.subject);
        if style.verbose {
            *text += &format!(" in {:.1} ms", checked.duration.as_secs_f64() * 1e3);
        }
        *text += "\n";
    }
    for unchecked in unchecked {
        let help = unchecked.help.as_ref().map_or_else(String::new, |help| format!("; {}", visible(help)));
        *text += &format!("{NOT_CHECKED:width$}  {} ({}{help})\n", unchecked.subject, visible(&unchecked.why));
    }
}

fn paint(verdict: Verdict, text: &str, style: &ReportStyle) -> String {
    let color = match verdict {
        Verdict::Accepted => AnsiColor::Green,
        Verdict::Inconclusive => AnsiColor::Yellow,
        Verdict::Rejected => AnsiColor::BrightRed,
    };
    let paint = if style.color { color.on_default().bold() } else { Paint::new() };
    format!("{paint}{text}{paint:#}")
}

/// Returns the last line; with `quiet` only if there is no other.
fn summary(report: &CheckReport, style: &ReportStyle) -> String {
    let counts = report.counts();
    if style.quiet && report.verdict().is_some() {
        return String::new();
    }
    let hint = if style.verbose { "" } else { " (`--verbose` lists them)" };
    match counts.unchecked {
        0 => format!("{counts}\n"),
        1.. => format!("{counts}; {} not checked{hint}\n", counts.unchecked),
    }
}
