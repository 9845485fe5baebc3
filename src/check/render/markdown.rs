//! Markdown for a comment on a pull request: the findings with their lines, the gravest first.

use std::fmt::Write as _;

use reload_gate_contract::{Severity, Verdict};

use super::group::{Grouped, grouped};
use super::{CheckReport, Located, MOST_LISTED, REMOVE_GONE, part};
use crate::report::log::{is_control, visible};

/// Longest body of a comment in characters (GitHub answers a longer one with "body is too long (maximum is 65536 characters)").
const LONGEST: usize = 65_536;

/// Longest line about the baseline in characters.
const LONGEST_LINE: usize = 300;

/// Room for the last line, which counts what is left out.
const ROOM: usize = 200;

pub(super) fn render(report: &CheckReport) -> String {
    let verdict = report.verdict().map_or("nothing to check", Verdict::as_str);
    let counts = report.counts();
    let mut text = format!("### reload-gate: {verdict}\n\n{counts}; {} not checked\n", counts.unchecked);
    let mut found = grouped(report);
    found.retain(|one| one.located.finding.severity != Severity::Note);
    // The sort is stable: those of one weight stay in the order of the inputs.
    found.sort_by_key(|one| (std::cmp::Reverse(one.located.finding.severity), one.located.is_obstacle()));
    let baseline = of_baseline(report);
    let mut length = text.chars().count() + baseline.chars().count();
    for (index, one) in found.iter().enumerate() {
        let section = section(one);
        length += section.chars().count();
        if length > LONGEST - ROOM {
            let _ = write!(text, "\n{} more findings are not listed.\n", found.len() - index);
            break;
        }
        text += &section;
    }
    text + &baseline
}

/// Returns the parts that are not validated any more, and the entries of the baseline that are gone.
fn of_baseline(report: &CheckReport) -> String {
    let more = report.lapsed.len().saturating_sub(MOST_LISTED);
    let lapsed = report.lapsed.iter().take(MOST_LISTED).map(ToString::to_string);
    let lapsed = lapsed.chain((more > 0).then(|| format!("and {more} more")));
    let lapsed: String = lapsed.map(|line| format!("- {}\n", code(&cut(&line)))).collect();
    let gone: String = report.gone_lines().iter().map(|line| format!("- {}\n", code(&cut(line)))).collect();
    let lapsed = if lapsed.is_empty() { lapsed } else { format!("\nnot validated any more:\n\n{lapsed}") };
    if gone.is_empty() { lapsed } else { format!("{lapsed}\n{REMOVE_GONE}:\n\n{gone}") }
}

/// Returns the beginning of a long line.
fn cut(line: &str) -> String {
    line.chars().take(LONGEST_LINE).collect()
}

fn section(one: &Grouped<'_>) -> String {
    let (subject, located) = (one.subject, one.located);
    let finding = &located.finding;
    let place = located.place(subject);
    let mut text = format!("\n**{}** {}: {}\n", located.kind(), code(finding.code.as_str()), code(&finding.message));
    let _ = write!(text, "{}", code(&place.to_string()));
    if let Some(part) = part(located.part(subject)) {
        let _ = write!(text, " in {}", code(&part));
    }
    text += "\n";
    if let Some(lines) = lines(located) {
        text += &fenced(&lines);
    }
    let notes = one.notes.iter().map(ToString::to_string);
    for note in one.others().into_iter().chain(notes) {
        let _ = write!(text, "\nnote: {}\n", code(&note));
    }
    if let Some(help) = &finding.help {
        let _ = write!(text, "\nhelp: {}\n", code(help));
    }
    text
}

/// Returns the lines of the finding with their numbers and a mark below.
fn lines(located: &Located) -> Option<String> {
    let excerpt = located.excerpt.as_ref()?;
    let before = excerpt.text.get(..excerpt.mark.start)?;
    let (marked, start) = (before.matches('\n').count(), before.rsplit('\n').next().unwrap_or_default());
    let last = excerpt.first_line as usize + excerpt.text.lines().count();
    let width = last.to_string().len();
    let mut text = String::new();
    for (index, line) in excerpt.text.lines().enumerate() {
        let line = line.trim_end_matches('\r');
        let shown: String = line.chars().map(|c| if is_control(c) { ' ' } else { c }).collect();
        let number = excerpt.first_line as usize + index;
        let _ = writeln!(text, "{number:width$} | {shown}");
        if index == marked {
            let mark = excerpt.text.get(excerpt.mark.clone())?.lines().next().unwrap_or_default();
            let blank = " ".repeat(start.chars().count());
            let _ = writeln!(text, "{:width$} | {blank}{}", "", "^".repeat(mark.chars().count().max(1)));
        }
    }
    Some(text)
}

/// Returns a text as code, in which nothing is markup, a mention or a link.
fn code(text: &str) -> String {
    let text = visible(text);
    let fence = "`".repeat(longest_run(&text) + 1);
    // A blank at both ends is removed (CommonMark 0.31, 6.1), so that the text may begin and end with a backquote.
    let pad = if text.starts_with('`') || text.ends_with('`') || text.is_empty() { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// Returns lines as a block of code.
fn fenced(lines: &str) -> String {
    let fence = "`".repeat((longest_run(lines) + 1).max(3));
    format!("\n{fence}text\n{lines}{fence}\n")
}

/// Returns the length of the longest run of backquotes.
fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or_default()
}
