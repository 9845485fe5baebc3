//! The values of a Secret that a search for parts does not tell from other text: words of the vocabulary, and rows of signs. Pure.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::SHORTEST;
use super::matches::is_word;
use super::vocabulary::is_vocabulary;

/// Words of the vocabulary that are values, and rows of signs with only blanks and quotes beside them.
#[derive(Debug, Default)]
pub(super) struct Values {
    words: HashSet<Vec<u8>>,
    /// Hashes: a wrong match only redacts more.
    signs: HashSet<u64>,
}

impl Values {
    /// Takes in a content, in lower case.
    pub(super) fn add(&mut self, content: &[u8]) {
        let mut at = 0;
        for part in content.split(|byte| !is_word(*byte)) {
            let end = at + part.len();
            if part.len() >= SHORTEST && is_vocabulary(part) && !self.words.contains(part) && is_value(content, at, end)
            {
                self.words.insert(part.to_vec());
            }
            at = end + 1;
        }
        self.signs.extend(rows_of_signs(content));
    }

    /// Returns true if `word` is a value somewhere, and not only a name.
    pub(super) fn has_word(&self, word: &[u8]) -> bool {
        self.words.contains(word)
    }

    /// Returns true if a row of signs is all of a value.
    pub(super) fn has_signs(&self, signs: &[u8]) -> bool {
        rows_of_signs(signs).any(|row| self.signs.contains(&row))
    }
}

/// Returns true unless the word at this place begins a line or a statement, or a value is assigned to it.
fn is_value(content: &[u8], start: usize, end: usize) -> bool {
    let is_beside = |byte: &&u8| !matches!(byte, b' ' | b'\t' | b'"' | b'\'');
    let before = content[..start].iter().rev().find(is_beside);
    let after = content[end..].iter().find(is_beside);
    let begins = before.is_none_or(|byte| b"\n\0;{},".contains(byte));
    !(begins || after.is_some_and(|byte| b"=:".contains(byte)))
}

fn rows_of_signs(content: &[u8]) -> impl Iterator<Item = u64> {
    let parts = content.split(|byte| byte.is_ascii_whitespace() || b"\"'\0;".contains(byte));
    parts.filter(|part| part.len() >= SHORTEST && !part.iter().any(|byte| is_word(*byte))).map(|part| {
        let mut hasher = DefaultHasher::new();
        part.hash(&mut hasher);
        hasher.finish()
    })
}
