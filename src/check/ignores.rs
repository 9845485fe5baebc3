//! Comments and annotations that ignore findings: `# reload-gate: ignore CODE reason`. Pure.
//!
//! An ignored finding stays in the report, with its reason. An obstacle cannot be ignored: nothing was validated.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use regex::bytes::Regex;
use reload_gate_contract::{Cause, Code, Finding, LineIndex, Place, Severity};

use crate::check::render::{Located, Suppression};
use crate::redact::REDACTED;
use crate::sys::suggest::suggestion;

const UNUSED_IGNORE: Code = Code::new("unused-ignore");
const IGNORE_WITHOUT_REASON: Code = Code::new("ignore-without-reason");

/// Largest number of codes of one comment or line; those behind have no effect.
const MOST_CODES: usize = 64;

/// Comment with its opening characters and the text behind it.
static COMMENT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let pattern = r"(?m)(?:^|[\s;{}])(#|;|//|--|!|<!--)[ \t]*reload-gate:[ \t]*ignore(?:[ \t]+([^\r\n]*))?\r?$";
    Regex::new(pattern).ok()
});

/// Comment that ignores findings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IgnoreComment {
    /// Line of the comment, counted from 1.
    pub(super) line: u32,
    /// Line below that it covers as well, if nothing else is on its own line.
    pub(super) below: Option<u32>,
    pub(super) rule: IgnoreRule,
}

/// Finding codes to ignore, with the reason.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct IgnoreRule {
    pub(super) codes: Vec<String>,
    pub(super) reason: Option<String>,
    /// It is a part of a Secret, so that no message has its codes.
    is_secret: bool,
}

impl IgnoreRule {
    /// Reads `CODE[,CODE] reason`.
    fn parse(text: &str) -> Self {
        let text = text.trim().trim_end_matches("-->").trim_end_matches("*/").trim();
        let (codes, reason) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let reason = reason.trim().trim_start_matches(['-', ':']).trim();
        let codes = codes.trim_end_matches(':').split(',').filter(|code| !code.is_empty());
        let codes = codes.take(MOST_CODES).map(str::to_owned).collect();
        Self { codes, reason: Some(reason.to_owned()).filter(|reason| !reason.is_empty()), is_secret: false }
    }

    /// Returns the rule of a comment in a Secret.
    pub(super) fn of_secret(self) -> Self {
        Self { reason: self.reason.map(|_| REDACTED.to_owned()), is_secret: true, ..self }
    }

    /// Reads an annotation, with a rule on each line.
    pub(super) fn of_annotation(text: &str) -> Vec<Self> {
        text.lines().filter(|line| !line.trim().is_empty()).map(Self::parse).collect()
    }

    /// Returns true if it ignores a finding.
    pub(super) fn covers(&self, finding: &Finding) -> bool {
        let is_obstacle = finding.severity == Severity::Error && finding.cause == Cause::Environment;
        !is_obstacle
            && finding.severity != Severity::Note
            && self.codes.iter().any(|code| code == finding.code.as_str())
    }
}

/// Returns the characters that open a comment in a file, by its name and the preset of its program.
fn marks(path: &Path, preset: Option<&str>) -> &'static [&'static str] {
    let end = path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    match (end.as_str(), preset.unwrap_or_default()) {
        ("json", _) => &[],
        ("xml", _) => &["<!--"],
        ("lua", _) | (_, "dnsdist") => &["--"],
        ("vcl", _) | (_, "varnish" | "named" | "bind") => &["#", "//"],
        ("ini", _) | (_, "php-fpm") => &["#", ";"],
        ("properties", _) => &["#", "!"],
        _ => &["#"],
    }
}

/// Returns the comments in a text that ignore findings.
pub(super) fn comments(path: &Path, preset: Option<&str>, text: &[u8]) -> Vec<IgnoreComment> {
    const WORD: &[u8] = b"reload-gate:";
    let Some(pattern) = COMMENT.as_ref().filter(|_| memchr::memmem::find(text, WORD).is_some()) else {
        return Vec::new();
    };
    let (lines, marks) = (LineIndex::new(text), marks(path, preset));
    let is_comment = |line: &[u8]| {
        let line = line.trim_ascii_start();
        marks.iter().any(|mark| line.starts_with(mark.as_bytes()))
    };
    let found = pattern.captures_iter(text).filter_map(|found| {
        let mark = found.get(1).filter(|mark| marks.iter().any(|known| known.as_bytes() == mark.as_bytes()))?;
        let line = lines.line(mark.start());
        let rest = found.get(2).map_or(&b""[..], |rest| rest.as_bytes());
        let is_alone = is_comment(&text[lines.range(line)]);
        let below = (line + 1..=lines.count()).find(|line| !is_comment(&text[lines.range(*line)]));
        let rule = IgnoreRule::parse(&String::from_utf8_lossy(rest));
        Some(IgnoreComment { line, below: below.filter(|_| is_alone), rule })
    });
    found.collect()
}

/// Effect of a comment or an annotation so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum IgnoreEffect {
    None,
    /// The validation was not possible.
    Unknown,
    Some,
}

/// Comment or annotation, with its place in the inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SeenIgnore {
    pub(super) rule: IgnoreRule,
    pub(super) place: Place,
    pub(super) object: Option<String>,
    pub(super) key: Option<String>,
    pub(super) effect: IgnoreEffect,
}

/// All comments and annotations of the inputs, each once.
#[derive(Debug, Default)]
pub(super) struct SeenIgnores(BTreeMap<(Place, IgnoreRule), SeenIgnore>);

impl SeenIgnores {
    /// Adds one, or its effect if it is there already: several validations may read the same file.
    pub(super) fn add(&mut self, seen: SeenIgnore) {
        let place = Place { column: None, span: None, ..seen.place.clone() };
        let known = self.0.entry((place, seen.rule.clone())).or_insert_with(|| seen.clone());
        known.effect = known.effect.max(seen.effect);
        if known.object.is_none() {
            (known.object, known.key) = (seen.object, seen.key);
        }
    }

    /// Returns the warnings about those without effect, and without a reason; `found` are the codes of all findings.
    pub(super) fn warnings(self, found: &BTreeSet<String>) -> Vec<Located> {
        let mut warnings = Vec::new();
        for SeenIgnore { rule, place, object, key, effect } in self.0.into_values() {
            let codes = match rule.codes.as_slice() {
                [] => "no code".to_owned(),
                _ if rule.is_secret => format!("`{REDACTED}`"),
                codes => format!("`{}`", codes.join("`, `")),
            };
            let mut warn = |code, message: String, help: &str| {
                let finding = Finding::warning(code, message).at(place.clone()).help(help);
                warnings.push(Located { finding, object: object.clone(), key: key.clone(), excerpt: None });
            };
            if effect == IgnoreEffect::None {
                // A comment is in a file or a key, an annotation in an object.
                let help = match (&object, &key) {
                    (Some(_), None) => "remove it, or name the code of a finding in this object",
                    _ => "remove it, or name the code of a finding on this line or the next one",
                };
                let codes_found = || found.iter().map(String::as_str);
                let meant = rule.codes.iter().filter(|code| !rule.is_secret && !found.contains(*code));
                let meant: String = meant.map(|code| suggestion(code, codes_found())).take(1).collect();
                warn(UNUSED_IGNORE, format!("this ignores {codes}, and there is no such finding{meant}"), help);
            }
            if rule.reason.is_none() && !rule.codes.is_empty() {
                let help = "write the reason behind the code";
                warn(IGNORE_WITHOUT_REASON, format!("this ignores {codes} without a reason"), help);
            }
        }
        warnings
    }
}

/// Returns the suppression by a rule.
pub(super) fn suppression(rule: &IgnoreRule) -> Suppression {
    Suppression::Ignored(rule.reason.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: Code = Code::new("a-code");

    /// Line, line below, codes and reason.
    type Found = (u32, Option<u32>, Vec<String>, Option<String>);

    fn all(path: &str, text: &str) -> Vec<Found> {
        let found = comments(Path::new(path), None, text.as_bytes());
        found.into_iter().map(|one| (one.line, one.below, one.rule.codes, one.rule.reason)).collect()
    }

    #[test]
    fn a_comment_covers_its_line_or_the_one_below() {
        let text = "a; # reload-gate: ignore a-code, it is fine\n  # reload-gate: ignore x,y old module\n# more\nb;\n";
        let expected = [
            (1, None, vec!["a-code".to_owned()], Some("it is fine".to_owned())),
            (2, Some(4), vec!["x".to_owned(), "y".to_owned()], Some("old module".to_owned())),
        ];
        assert_eq!(all("nginx.conf", text), expected);
    }

    #[test]
    fn a_comment_has_so_many_codes_and_no_more() {
        let comments = comments(
            Path::new("a.conf"),
            None,
            format!("# reload-gate: ignore {} why", "a,".repeat(400_000)).as_bytes(),
        );
        assert_eq!(comments[0].rule.codes.len(), MOST_CODES);
        assert_eq!(comments[0].rule.reason.as_deref(), Some("why"));
    }

    #[test]
    fn comments_are_those_of_the_format() {
        assert_eq!(all("a.ini", "; reload-gate: ignore a r\n").len(), 1);
        assert_eq!(
            all("a.xml", "<!-- reload-gate: ignore a r -->\n"),
            [(1, Some(2), vec!["a".to_owned()], Some("r".to_owned()))]
        );
        for (path, text) in [
            ("a.conf", "; reload-gate: ignore a r\n"),
            ("a.json", "# reload-gate: ignore a r\n"),
            ("a.conf", "x# reload-gate: ignore a r\n"),
            ("a.conf", "# reload-gate: ignored a r\n"),
        ] {
            assert!(all(path, text).is_empty(), "{path}: {text}");
        }
    }

    #[test]
    fn obstacles_and_notes_are_not_ignored() {
        let rule = IgnoreRule::parse("a-code r");
        assert!(rule.covers(&Finding::error(CODE, "m")) && rule.covers(&Finding::warning(CODE, "m")));
        assert!(!rule.covers(&Finding::environment(CODE, "m")));
        assert!(!rule.covers(&Finding { severity: Severity::Note, ..Finding::warning(CODE, "m") }));
    }

    #[test]
    fn an_ignore_without_effect_or_reason_is_a_warning() {
        let seen = |rule: &str, effect| SeenIgnore {
            rule: IgnoreRule::parse(rule),
            place: Place::line("f", 1),
            object: None,
            key: None,
            effect,
        };
        let codes = |all: Vec<SeenIgnore>| {
            let mut ignores = SeenIgnores::default();
            all.into_iter().for_each(|one| ignores.add(one));
            ignores.warnings(&BTreeSet::new()).iter().map(|one| one.finding.code.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(codes(vec![seen("a r", IgnoreEffect::None)]), ["unused-ignore"]);
        assert_eq!(codes(vec![seen("a", IgnoreEffect::Some)]), ["ignore-without-reason"]);
        assert!(codes(vec![seen("a r", IgnoreEffect::Unknown)]).is_empty());
        assert!(codes(vec![seen("a r", IgnoreEffect::None), seen("a r", IgnoreEffect::Some)]).is_empty());
        assert_eq!(codes(vec![seen("", IgnoreEffect::None)]), ["unused-ignore"]);
    }
}
