//! The files that belong to a configuration by `--include` and `--exclude`. Pure.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

/// Pattern of files. Without a slash it matches names at any depth, with one the path inside the source.
#[derive(Clone, Debug)]
pub struct FilePattern(Glob);

impl FromStr for FilePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = text.trim_end_matches('/');
        let anchored = plain.trim_start_matches('/');
        let anywhere = if plain.contains('/') { anchored.into() } else { format!("**/{anchored}") };
        let glob = GlobBuilder::new(&anywhere).literal_separator(true).build();
        glob.map(Self).map_err(|error| error.kind().to_string())
    }
}

/// The files that are read.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// If there are any, only files that match one of them are read.
    include: Patterns,
    exclude: Patterns,
}

impl Selection {
    /// Selects the files that match one of `include` (all files if there is none), and none of `exclude`.
    #[must_use]
    pub fn new(include: impl IntoIterator<Item = FilePattern>, exclude: impl IntoIterator<Item = FilePattern>) -> Self {
        Self { include: Patterns::new(include), exclude: Patterns::new(exclude) }
    }

    /// Returns true if a file or directory of this path inside the source is left out, with all that is in it.
    pub(super) fn excludes(&self, path: &Path) -> bool {
        self.exclude.set.is_match(path)
    }

    /// Returns true if `--include` names a file of this path, so that no other rule leaves it out.
    pub(super) fn includes(&self, path: &Path) -> bool {
        self.include.set.is_match(path)
    }

    /// Returns true if only files that `--include` names are read.
    pub(super) fn is_limited(&self) -> bool {
        !self.include.patterns.is_empty()
    }
}

/// Patterns, and the matcher of all of them.
#[derive(Clone, Default)]
struct Patterns {
    patterns: Vec<FilePattern>,
    set: GlobSet,
}

impl Patterns {
    fn new(patterns: impl IntoIterator<Item = FilePattern>) -> Self {
        let patterns: Vec<_> = patterns.into_iter().collect();
        let mut set = GlobSetBuilder::new();
        for pattern in &patterns {
            set.add(pattern.0.clone());
        }
        // It fails only if the patterns, each well-formed, are too large together. Then they match no file.
        Self { set: set.build().unwrap_or_default(), patterns }
    }
}

impl fmt::Debug for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.patterns.iter().map(|pattern| pattern.0.glob())).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(include: &[&str], exclude: &[&str]) -> Selection {
        let parse = |pattern: &&str| pattern.parse::<FilePattern>().expect("the pattern is well-formed");
        Selection::new(include.iter().map(parse), exclude.iter().map(parse))
    }

    #[test]
    fn a_pattern_without_a_slash_matches_at_any_depth() {
        let logs = selection(&[], &["*.log", "cache/", "/state", "conf.d/*.off"]);
        for (path, expected) in [
            ("error.log", true),
            ("deep/down/error.log", true),
            ("error.log.conf", false),
            ("cache", true),
            ("a/cache", true),
            ("state", true),
            ("a/state", false),
            ("conf.d/a.off", true),
            ("conf.d/deep/a.off", false),
            ("a.off", false),
        ] {
            assert_eq!(logs.excludes(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn only_included_files_are_read_if_there_is_a_pattern() {
        let (all, some) = (selection(&[], &[]), selection(&["*.conf"], &[]));
        assert!(!all.is_limited() && !all.includes(Path::new("a.conf")));
        assert!(some.is_limited() && some.includes(Path::new("d/a.conf")) && !some.includes(Path::new("d/a.txt")));
    }

    #[test]
    fn a_malformed_pattern_has_a_reason() {
        let reason = "[a".parse::<FilePattern>().expect_err("it has no end");
        assert!(reason.contains("unclosed character class"), "{reason}");
    }
}
