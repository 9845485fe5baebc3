//! Corrections that are certain enough to propose: a name that is one letter off, a missing `;`, a comma too many.

use reload_gate_nginx::directives;

use super::Located;

/// Edit of an input: the text between two positions is replaced. Lines and columns are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TextFix {
    /// Line and column of the first character.
    pub(crate) start: (u32, u32),
    /// Line and column behind the last character.
    pub(crate) end: (u32, u32),
    /// Text that is there now.
    pub(crate) old: String,
    /// Text to put there.
    pub(crate) new: String,
}

impl Located {
    /// Returns the correction of a finding, if there is one. Values of Secrets have no excerpt, and so no correction.
    pub(crate) fn fix(&self) -> Option<TextFix> {
        let excerpt = self.excerpt.as_ref()?;
        let place = self.finding.place.as_ref()?;
        let old = excerpt.text.get(excerpt.mark.clone())?;
        let new = match self.finding.code.as_str() {
            "json-trailing-comma" if old == "," => String::new(),
            "missing-semicolon" if old.trim().is_empty() => ";".to_owned(),
            _ => self.meant(old)?.to_owned(),
        };
        let old = if new == ";" { "" } else { old };
        let start = (place.line?, place.column?);
        let end = (start.0, start.1.checked_add(u32::try_from(old.chars().count()).ok()?)?);
        (!old.contains('\n')).then(|| TextFix { start, end, old: old.to_owned(), new })
    }

    /// Returns the name that is surely meant: it is one letter off, and no other directive of nginx is as near.
    fn meant(&self, word: &str) -> Option<&str> {
        let meant = self.finding.help.as_deref()?.strip_prefix("did you mean `")?.strip_suffix("`?")?;
        let is_name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "_-.$".contains(c));
        let is_near = |name: &str| strsim::damerau_levenshtein(word, name) == 1;
        let is_only = self.finding.code.as_str() != "unknown-directive"
            || directives::every_name().filter(|name| is_near(name)).count() == 1;
        (is_name(word) && is_name(meant) && is_near(meant) && is_only).then_some(meant)
    }
}

#[cfg(test)]
mod tests {
    use reload_gate_contract::{Code, Finding, Place};

    use super::*;
    use crate::check::render::InputExcerpt;

    fn fix(code: &'static str, help: &str, text: &str, mark: std::ops::Range<usize>) -> Option<(String, String)> {
        let column = u32::try_from(mark.start + 1).expect("it is short");
        let place = Place { column: Some(column), ..Place::line("f", 1) };
        let finding = Finding::error(Code::new(code), "m").at(place).help(help);
        let excerpt = InputExcerpt { first_line: 1, text: text.to_owned(), mark };
        let fix = Located { finding, object: None, key: None, excerpt: Some(excerpt) }.fix()?;
        assert_eq!(fix.end.1 - fix.start.1, u32::try_from(fix.old.chars().count()).expect("it is short"));
        Some((fix.old, fix.new))
    }

    fn is(old: &str, new: &str) -> Option<(String, String)> {
        Some((old.to_owned(), new.to_owned()))
    }

    #[test]
    fn what_is_certain_has_a_correction() {
        assert_eq!(fix("unknown-directive", "did you mean `listen`?", "lisen 80;", 0..5), is("lisen", "listen"));
        assert_eq!(fix("json-trailing-comma", "remove it", "[1,]", 2..3), is(",", ""));
        assert_eq!(fix("missing-semicolon", "add a `;`", "listen 80", 9..9), is("", ";"));
    }

    #[test]
    fn what_is_not_certain_has_none() {
        let text = "lsin 80;";
        assert_eq!(fix("unknown-directive", "did you mean `listen`?", text, 0..4), None, "two letters are missing");
        assert_eq!(fix("unknown-directive", "did you mean `listen`?", "lisen 80;", 0..8), None, "it is no name");
        assert_eq!(fix("unknown-directive", "load the module", "lisen 80;", 0..5), None);
        assert_eq!(fix("json-trailing-comma", "remove it", "[1 ]", 2..3), None);
    }
}
