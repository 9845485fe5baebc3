//! INI, which has no standard: the rules that most readers share, and those that differ.
//!
//! The rules are those of Python's `configparser` (<https://docs.python.org/3/library/configparser.html>), which are the most
//! widely documented ones:
//!
//! - a section is `[name]`, a setting `key = value` or `key: value`, a comment a line that begins with `#` or `;`;
//! - a line that is indented deeper than the setting before it goes on with its value, and empty lines do not end it;
//! - keys are the same in upper and lower case, names of sections are not.
//!
//! A line that is nothing of this is an error. Text that readers understand differently (a key twice, which for systemd is a list; an
//! indented line with a `=`, which for most others is a setting) is a warning.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};

use reload_gate_contract::{Finding, Span};

use crate::codes::{
    BYTE_ORDER_MARK, INI_CONTINUATION, INI_DUPLICATE_KEY, INI_DUPLICATE_SECTION, INI_NO_SECTION, INI_QUOTE,
    INI_SECTION, INI_SYNTAX,
};
use crate::text::{Report, decode};

/// Everything that is wrong with an INI file, from its top to its end.
#[must_use]
pub fn check(path: &str, text: &[u8]) -> Vec<Finding> {
    let text = match decode(path, text) {
        Ok(text) => text,
        Err(finding) => return vec![*finding],
    };
    let mut reader = IniReader {
        report: Report::new(path, text),
        number: 0,
        section: None,
        sections: BTreeMap::new(),
        keys: BTreeMap::new(),
        hasher: RandomState::new(),
        setting: None,
    };
    let mut start = 0;
    if text.starts_with('\u{feff}') {
        start = '\u{feff}'.len_utf8();
        let message = "a byte order mark: many readers take it for a part of the first line";
        reader.find(Finding::warning(BYTE_ORDER_MARK, message).help("save it as UTF-8 without a mark"), 0, start);
    }
    for line in text[start..].split_inclusive('\n') {
        reader.number += 1;
        reader.line(start, line.trim_end());
        start += line.len();
    }
    reader.report.finish()
}

struct IniReader<'t> {
    report: Report<'t>,
    /// The line that is read.
    number: u32,
    /// The section that is open.
    section: Option<&'t str>,
    /// The lines of the sections.
    sections: BTreeMap<u64, u32>,
    /// The lines of the settings, by section and key.
    keys: BTreeMap<u64, u32>,
    /// The hash of names, in place of which it is kept.
    hasher: RandomState,
    /// Indentation of the setting whose value a deeper line continues.
    setting: Option<usize>,
}

impl<'t> IniReader<'t> {
    fn find(&mut self, finding: Finding, start: usize, end: usize) {
        self.report.add(finding, Span { start, end });
    }

    fn line(&mut self, start: usize, line: &'t str) {
        let rest = line.trim_start();
        let indent = line.len() - rest.len();
        let (start, end) = (start + indent, start + line.len());
        if rest.is_empty() || rest.starts_with(['#', ';']) {
            return;
        }
        if self.setting.is_some_and(|setting| indent > setting) {
            if split(rest).is_some_and(|(key, _)| !key.is_empty() && !key.contains(char::is_whitespace))
                && rest.contains('=')
            {
                let message = "an indented line with a `=`: some read a setting, and others go on with the value above";
                let help = "begin it in the column of the setting above, if it is one";
                self.find(Finding::warning(INI_CONTINUATION, message).help(help), start, end);
            }
            return;
        }
        self.setting = None;
        if let Some(header) = rest.strip_prefix('[') {
            self.header(header, start, end);
        } else if let Some((key, value)) = split(rest) {
            self.setting = Some(indent);
            self.key(key, value, start, end);
        } else {
            let message = "neither a section, a setting nor a comment";
            let help = "a section is `[name]`, a setting `key = value`, a comment begins with `#` or `;`";
            self.find(Finding::error(INI_SYNTAX, message).help(help), start, end);
        }
    }

    fn header(&mut self, header: &'t str, start: usize, end: usize) {
        let help = "a section is `[name]`, alone on its line";
        let Some((name, after)) = header.rsplit_once(']') else {
            self.find(Finding::error(INI_SECTION, "the name of a section has no `]`").help(help), start, end);
            return;
        };
        if name.trim().is_empty() {
            self.find(Finding::error(INI_SECTION, "a section without a name").help(help), start, end);
        } else if !after.is_empty() && !after.trim_start().starts_with(['#', ';']) {
            let at = end - after.trim_start().len();
            let message = "text after the name of a section: some pass over it, and others refuse it";
            self.find(Finding::warning(INI_SECTION, message).help(help), at, end);
        }
        self.section = Some(name);
        let known = self.hasher.hash_one(name);
        if let Some(first) = self.sections.get(&known) {
            let message = format!("the section `{}` is there twice, first at line {first}", shown(name));
            let help = "some readers refuse that, some put both together, some take the last; put them together";
            self.find(Finding::warning(INI_DUPLICATE_SECTION, message).help(help), start, end);
        } else {
            self.sections.insert(known, self.number);
        }
    }

    fn key(&mut self, key: &str, value: &str, start: usize, end: usize) {
        if key.is_empty() {
            let help = "a setting is `key = value`; a value that goes on is indented deeper than its key";
            self.find(Finding::error(INI_SYNTAX, "there is no key before the value").help(help), start, end);
            return;
        }
        if self.section.is_none() && self.keys.is_empty() {
            let message = "a setting before any section: some readers refuse it";
            self.find(
                Finding::warning(INI_NO_SECTION, message).help("begin with the section that it belongs to"),
                start,
                end,
            );
        }
        let known = self.hasher.hash_one((self.section, key.to_lowercase()));
        if let Some(first) = self.keys.get(&known) {
            let message = format!("`{}` is there twice in its section, first at line {first}", shown(key));
            let help = "some readers refuse that, some take the last, some make a list of both; leave out one";
            self.duplicate(key, Finding::warning(INI_DUPLICATE_KEY, message).help(help), start);
        } else {
            self.keys.insert(known, self.number);
        }
        if let Some(quote) = value.chars().next().filter(|first| ['"', '\''].contains(first))
            && !value[1..].contains(quote)
        {
            let message = format!("a value that begins with `{quote}` and has no second one");
            let help = "end it with the same quote; a value that is to begin with a quote is put into the other kind of quotes";
            self.find(Finding::warning(INI_QUOTE, message).help(help), end - value.len(), end);
        }
    }

    /// Reports a duplicate key, unless it is a list as PHP writes them.
    fn duplicate(&mut self, key: &str, finding: Finding, start: usize) {
        if !key.ends_with("[]") {
            self.find(finding, start, start + key.len());
        }
    }
}

/// The key and the value of a setting.
fn split(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(['=', ':'])?;
    Some((key.trim_end(), value.trim_start()))
}

/// A name for a line of text.
fn shown(name: &str) -> String {
    name.chars().take(100).map(|c| if c.is_control() || c == '`' { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let shown = |finding: &Finding| {
            let place = finding.place.as_ref().expect("it has a place");
            format!(
                "{} {} at {}:{}",
                finding.severity,
                finding.code,
                place.line.unwrap_or(0),
                place.column.unwrap_or(0)
            )
        };
        let found: Vec<_> = super::check("f", text.as_bytes()).iter().map(shown).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn correct_input_is_accepted() {
        check("", &[]);
        check(
            "; a\n# b\n\n[s]\nkey = value\nother: value\nempty =\nurl = http://a/?b=c\n[t] ; comment\nkey = 'a' ; b\n",
            &[],
        );
        check("[s]\r\nkey = 1\r\n  more\r\n\r\n  and more: so\r\n", &[]);
        // Indented alike, as git writes them.
        check("[s]\n\ta = 1\n\tb = 2\n[php]\nx[] = 1\nx[] = 2\n", &[]);
    }

    #[test]
    fn lines_without_meaning_are_errors() {
        check("[s]\nkey\n", &["error ini-syntax at 2:1"]);
        check("[s]\n= 1\n", &["error ini-syntax at 2:1"]);
        check("[s\na = 1\n", &["error ini-section at 1:1", "warning ini-no-section at 2:1"]);
        check("[ ]\n", &["error ini-section at 1:1"]);
        check("  ä b\n", &["error ini-syntax at 1:3"]);
    }

    #[test]
    fn ambiguous_lines_are_warnings() {
        check("a = 1\nb = 2\n", &["warning ini-no-section at 1:1"]);
        check("[s]\na = 1\nA = 2\n[S]\na = 1\n", &["warning ini-duplicate-key at 3:1"]);
        check(
            "[s]\na = 1\n[t]\n[s]\na = 2\n",
            &["warning ini-duplicate-section at 4:1", "warning ini-duplicate-key at 5:1"],
        );
        check("[s]\na = 1\n  b = 2\n", &["warning ini-continuation at 3:3"]);
        check("[s]\na = \"x\n", &["warning ini-quote at 2:5"]);
        check("[s] x\n", &["warning ini-section at 1:5"]);
        check("\u{feff}[s]\n", &["warning byte-order-mark at 1:1"]);
    }

    #[test]
    fn bytes_that_are_not_text_are_found() {
        let found = super::check("f", b"[s]\na = \xff\n");
        assert_eq!(found[0].place.as_ref().map(ToString::to_string).as_deref(), Some("f:2:5"));
        assert_eq!(found[0].code, crate::codes::NOT_UTF8);
    }
}
