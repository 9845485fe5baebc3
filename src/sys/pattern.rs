//! Regular expressions that are compiled when they are first used. Most presets are never used, and theirs are constants.

use std::sync::{Arc, OnceLock};

use regex::Regex;

/// A regular expression. Clones share its compiled form.
#[derive(Clone, Debug)]
pub struct LazyRegex(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    text: String,
    /// `None` inside if the text is no regular expression.
    compiled: OnceLock<Option<Regex>>,
}

impl PartialEq for LazyRegex {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for LazyRegex {}

impl LazyRegex {
    /// Takes a constant of this program, which is known to be right.
    #[must_use]
    pub fn constant(text: &str) -> Self {
        Self(Arc::new(Inner { text: text.to_owned(), compiled: OnceLock::new() }))
    }

    /// Takes a text of the user's, which is compiled at once.
    ///
    /// # Errors
    /// When it is no regular expression, or too large.
    pub fn parse(text: &str) -> Result<Self, regex::Error> {
        let compiled = Regex::new(text)?;
        Ok(Self(Arc::new(Inner { text: text.to_owned(), compiled: Some(compiled).into() })))
    }

    /// Returns the compiled expression; `None` if a constant is wrong.
    #[must_use]
    pub fn get(&self) -> Option<&Regex> {
        self.0.compiled.get_or_init(|| Regex::new(&self.0.text).ok()).as_ref()
    }

    /// Returns its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Returns true if it matches somewhere in `text`.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.get().is_some_and(|regex| regex.is_match(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_is_compiled_when_it_is_used() {
        let pattern = LazyRegex::constant("^a+$");
        assert!(pattern.0.compiled.get().is_none());
        assert!(pattern.clone().is_match("aaa") && !pattern.is_match("ab"));
        assert!(pattern.0.compiled.get().is_some(), "clones share it");
        assert!(LazyRegex::constant("(").get().is_none());
        assert!(LazyRegex::parse("(").is_err());
        assert!(LazyRegex::parse("a").is_ok_and(|pattern| pattern.0.compiled.get().is_some()));
    }
}
