//! Finds the parts of a text that occur in a content as well.

use super::SHORTEST;

/// Separator of two contents, so that no match reaches from one into the other.
pub(super) const BETWEEN: &[u8] = b"\0";

/// Returns true if a byte is part of a word. All of a character beyond ASCII is.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Returns true if no word goes across `at`.
pub(super) fn is_boundary(text: &[u8], at: usize) -> bool {
    at == 0 || at >= text.len() || !(is_word(text[at - 1]) && is_word(text[at]))
}

/// The words of a text.
pub(super) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| !is_word(*byte)).filter(|word| !word.is_empty())
}

/// The bytes that begin at a place; zeros beyond the end.
fn begins(content: &[u8], place: u32) -> [u8; SHORTEST] {
    let place = place as usize;
    content.get(place..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default()
}

/// A content in which the places of any short sequence of bytes are known.
#[derive(Debug)]
pub(super) struct Index {
    content: Vec<u8>,
    /// All places, in the order of the bytes that begin there.
    places: Vec<u32>,
}

impl Index {
    pub(super) fn new(content: Vec<u8>) -> Self {
        let count = u32::try_from(content.len().saturating_sub(SHORTEST - 1)).unwrap_or(u32::MAX);
        let mut places: Vec<u32> = (0..count).collect();
        places.sort_unstable_by_key(|place| begins(&content, *place));
        Self { content, places }
    }

    /// Returns the places of `key`, which is at least as long as a secret.
    fn places<'a>(&'a self, key: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        let first = key.first_chunk::<SHORTEST>();
        let from = first.map_or(self.places.len(), |first| {
            self.places.partition_point(|place| begins(&self.content, *place) < *first)
        });
        let places = self.places[from..].iter().take_while(move |place| Some(&begins(&self.content, **place)) == first);
        places.map(|place| *place as usize).filter(|place| self.content[*place..].starts_with(key))
    }

    /// Returns the length of the longest part of `text` from `start` on that occurs in the content: whole words of the one, or of
    /// the other.
    pub(super) fn longest(&self, text: &[u8], start: usize) -> Option<usize> {
        let text_begins = is_boundary(text, start);
        let length = |place: usize| {
            let same = text[start..].iter().zip(&self.content[place..]).take_while(|(one, other)| one == other).count();
            let in_text = |length: &usize| text_begins && is_boundary(text, start + length);
            let in_content =
                |length: &usize| is_boundary(&self.content, place) && is_boundary(&self.content, place + length);
            (SHORTEST..=same).rev().find(|length| in_text(length) || in_content(length))
        };
        let begins = text.get(start..start + SHORTEST).filter(|begins| !begins.contains(&0))?;
        self.places(begins).filter_map(length).max()
    }

    /// Returns true if `signs` occur in the content with only blanks and quotes beside them.
    pub(super) fn holds_alone(&self, signs: &[u8]) -> bool {
        let is_free =
            |byte: Option<&u8>| byte.is_none_or(|byte| byte.is_ascii_whitespace() || b"\"'\0;".contains(byte));
        self.places(signs)
            .any(|place| is_free(self.content[..place].last()) && is_free(self.content.get(place + signs.len())))
    }

    /// Returns true if `word` is a value somewhere in the content, and not only a name: a word that begins a line or a statement, or that a value is assigned to.
    pub(super) fn holds_as_value(&self, word: &[u8]) -> bool {
        if word.len() < SHORTEST {
            return false;
        }
        let whole =
            |place: &usize| is_boundary(&self.content, *place) && is_boundary(&self.content, place + word.len());
        self.places(word).filter(whole).any(|place| {
            let before = self.content[..place].iter().rev().find(|byte| !matches!(byte, b' ' | b'\t' | b'"' | b'\''));
            let after = self.content[place + word.len()..].iter();
            let after = after.clone().find(|byte| !matches!(byte, b' ' | b'\t' | b'"' | b'\''));
            let begins = before.is_none_or(|byte| b"\n\0;{},".contains(byte));
            !(begins || after.is_some_and(|byte| b"=:".contains(byte)))
        })
    }
}
