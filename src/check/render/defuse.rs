//! Replacement of what a CI system would take for its own commands, in a log that has lines of the inputs in it.
//!
//! Azure Pipelines looks for `##vso[` and `##[` anywhere in a line (`CommandStringConvertor` of `microsoft/azure-pipelines-agent`), the
//! runner of GitHub for `##[` anywhere and for `::` at the beginning of a line without its blanks (`ActionCommand.cs` of `actions/runner`),
//! TeamCity for `##teamcity[` ("Service Messages" in its documentation). So a line of a pull request could set variables or the search path
//! of the steps that follow. One character is replaced by another that looks alike, and the text keeps its width.

use std::fmt::Write as _;

use crate::report::log::is_control;

/// Character in place of a bracket that begins a command.
const BRACKET: char = '(';
/// Character in place of the first colon of a command: RATIO.
const COLON: char = '\u{2236}';

/// Returns a text without commands.
pub(super) fn without_commands(text: String) -> String {
    let mut text = without_marks(text);
    let starts: Vec<usize> = starts_of_colons(&text).collect();
    for at in starts.into_iter().rev() {
        text.replace_range(at..=at, COLON.encode_utf8(&mut [0; 4]));
    }
    text
}

/// Returns a text without commands that begin with `##`.
pub(super) fn without_marks(mut text: String) -> String {
    let brackets: Vec<usize> = brackets(&text).map(|(_, at)| at).collect();
    for at in brackets {
        // Both are one byte.
        text.replace_range(at..=at, BRACKET.encode_utf8(&mut [0; 1]));
    }
    text
}

/// Returns a document of JSON with the same values, in which `#` of a command and characters that command a terminal are written by their
/// numbers (RFC 8259, section 7).
pub(super) fn json(document: &str) -> String {
    let mut marks = brackets(document).map(|(mark, _)| mark).peekable();
    let mut written = String::with_capacity(document.len());
    for (at, c) in document.char_indices() {
        let is_mark = marks.next_if_eq(&at).is_some();
        if is_mark || (is_control(c) && c != '\n') {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(written, "\\u{unit:04x}");
            }
        } else {
            written.push(c);
        }
    }
    written
}

/// Returns a difference of files, or a message, without commands and without characters that command a terminal. The mark of a byte
/// order stays.
pub(crate) fn harmless_text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let is_end = c == '\n' || (c == '\r' && characters.peek() == Some(&'\n'));
        let is_shown = is_end || c == '\t' || c == '\u{feff}' || !is_control(c);
        shown.push(if is_shown { c } else { char::REPLACEMENT_CHARACTER });
    }
    without_commands(shown)
}

/// Returns the position of each bracket that begins a command, behind that of its second `#`.
fn brackets(text: &str) -> impl Iterator<Item = (usize, usize)> {
    text.match_indices('[').filter_map(|(at, _)| {
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        let marks = text[..at].trim_end_matches(is_of_name);
        marks.ends_with("##").then(|| (marks.len() - 1, at))
    })
}

/// Returns the position of `::` at the beginning of each line without its blanks.
fn starts_of_colons(text: &str) -> impl Iterator<Item = usize> {
    let mut end = 0;
    text.split_inclusive('\n').filter_map(move |line| {
        end += line.len();
        let trimmed = line.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        trimmed.starts_with("::").then_some(end - trimmed.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts with a command, and what is written in their place.
    const COMMANDS: [(&str, &str); 7] = [
        ("1 | # ##vso[task.setvariable variable=a]b", "1 | # ##vso(task.setvariable variable=a]b"),
        ("x ##[set-env name=A]b", "x ##(set-env name=A]b"),
        ("###[error]", "###(error]"),
        ("##teamcity[buildStop]", "##teamcity(buildStop]"),
        ("##VSO[a] ##vso[b]", "##VSO(a] ##vso(b]"),
        (" \t::stop-commands::x\n::b\n", " \t\u{2236}:stop-commands::x\n\u{2236}:b\n"),
        ("\u{a0}\u{feff}::a", "\u{a0}\u{feff}\u{2236}:a"),
    ];

    #[test]
    fn no_text_has_a_command_of_a_ci_system() {
        for (given, expected) in COMMANDS {
            assert_eq!(without_commands(given.to_owned()), expected);
        }
    }

    #[test]
    fn other_texts_stay_as_they_are() {
        for given in ["# [a]\n## b [c]\n", "listen [::]:80;\na::b\n", "#a[0]\n", "error[x]: y\n --> a:1\n", ""] {
            assert_eq!(without_commands(given.to_owned()), given);
            assert_eq!(harmless_text(given), given);
        }
    }

    #[test]
    fn a_document_of_json_keeps_its_values() {
        for given in ["##vso[a]", "\u{9b}2J\u{7f}", "a\u{202e}b\u{2028}", "\\##[x]", "\u{200b}\u{feff}", "日本 🚀 ü"]
        {
            let document = serde_json::to_string(&[given]).expect("it is text");
            let written = json(&document);
            assert_eq!(serde_json::from_str::<[String; 1]>(&written).expect("it is JSON"), [given]);
            assert!(!written.contains("##") && !written.contains(is_control), "{written}");
        }
        assert_eq!(json("[\"a\u{9b}\"]\n"), "[\"a\\u009b\"]\n");
    }

    #[test]
    fn a_difference_commands_neither_a_terminal_nor_a_runner() {
        let given = "\u{feff}--- a\r\n ::error::x\r::b\n+\t\u{1b}[2J\u{9b}1m\n ##vso[a]\n";
        let expected = "\u{feff}--- a\r\n \u{2236}:error::x\u{fffd}::b\n+\t\u{fffd}[2J\u{fffd}1m\n ##vso(a]\n";
        assert_eq!(harmless_text(given), expected);
    }
}
