//! Workflow commands of GitHub Actions, which become annotations at the lines of a change; and a summary for the log.
//!
//! The format and its escapes are those of "Workflow commands for GitHub Actions" in GitHub's documentation and of its toolkit
//! (`actions/toolkit`, `packages/core/src/command.ts`).

use std::fmt::Write as _;

use reload_gate_contract::{Place, Severity};

use super::group::grouped;
use super::{CheckReport, CheckSubject, Located, REMOVE_GONE, part, plain_path};
use crate::report::log::visible;

pub(super) fn render(report: &CheckReport) -> String {
    let mut text = String::new();
    for one in grouped(report) {
        text += &command(one.subject, one.located, one.others());
        text.extend(one.notes.iter().map(|note| command(one.subject, note, None)));
    }
    for lapsed in &report.lapsed {
        let file = &*lapsed.subject.input;
        let file = if file == "-" { String::new() } else { format!("file={},", property(&visible(&plain_path(file)))) };
        let _ = writeln!(text, "::warning {file}title=not validated any more::{}", data(&lapsed.to_string()));
    }
    let gone = report.gone_lines();
    if !gone.is_empty() {
        let _ = writeln!(text, "::notice title=gone::{}", data(&format!("{REMOVE_GONE}\n{}", gone.join("\n"))));
    }
    let counts = report.counts();
    let _ = writeln!(text, "reload-gate: {counts}; {} not checked", counts.unchecked);
    text
}

fn command(subject: &CheckSubject, located: &Located, others: Option<String>) -> String {
    let finding = &located.finding;
    // An obstacle fails the step too, so it is an error; its title says that it is none of the configuration.
    let name = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let place = located.place(subject);
    // Standard input is no file of the repository, so an annotation has no line there.
    let stdin = place.file == "-";
    let mut properties = if stdin { Vec::new() } else { position(&place, located) };
    properties.push(("title", format!("{}: {}", located.kind(), finding.code)));
    let properties: Vec<_> = properties.iter().map(|(name, value)| format!("{name}={}", property(value))).collect();
    let message = visible(&finding.message);
    let mut lines = vec![if stdin { format!("{place}: {message}") } else { message.into_owned() }];
    lines.extend(part(located.part(subject)).map(|part| format!("in {part}")));
    lines.extend(others);
    lines.extend(finding.help.as_ref().map(|help| format!("help: {}", visible(help))));
    format!("::{name} {}::{}\n", properties.join(","), data(&lines.join("\n")))
}

/// Returns the properties for the position of an annotation.
fn position(place: &Place, located: &Located) -> Vec<(&'static str, String)> {
    let mut position = vec![("file", visible(place.file.trim_start_matches("./")).into_owned())];
    let Some(line) = place.line else { return position };
    let end = located.end().map_or(line, |(line, _)| line);
    position.extend([("line", line.to_string()), ("endLine", end.to_string())]);
    // Columns are refused for an annotation of several lines.
    position.extend(place.column.filter(|_| end == line).map(|column| ("col", column.to_string())));
    position
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
