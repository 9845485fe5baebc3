//! The words that reveal nothing of any Secret: those of checkers, and the names in configurations.

use std::collections::HashSet;
use std::sync::LazyLock;

use reload_gate_nginx::directives;

static VOCABULARY: LazyLock<HashSet<&'static [u8]>> = LazyLock::new(|| {
    let words = include_str!("vocabulary.txt").lines().filter(|line| !line.starts_with('#'));
    words.flat_map(str::split_whitespace).chain(directives::every_name()).map(str::as_bytes).collect()
});

/// Returns true if `word`, in lower case, is of the vocabulary. Numbers are not.
pub(super) fn is_vocabulary(word: &[u8]) -> bool {
    VOCABULARY.contains(word)
}
