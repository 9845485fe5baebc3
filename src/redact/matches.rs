//! Finds the parts of texts that occur in contents as well, in time and memory that grow with their lengths. Pure.
//!
//! The texts, which are short, become a suffix automaton (Blumer et al., "The smallest automaton recognizing the subwords of a text",
//! 1985); the contents, which may be long, are run through it once.

use super::SHORTEST;

/// Separator of two texts, so that no match reaches from one into the other.
pub(super) const BETWEEN: u8 = 0;

const ROOT: u32 = 0;
const NONE: u32 = u32::MAX;

/// Returns true if a byte is part of a word. All of a character beyond ASCII is.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Returns true if no word goes across `at`.
pub(super) fn is_boundary(text: &[u8], at: usize) -> bool {
    at == 0 || at >= text.len() || !(is_word(text[at - 1]) && is_word(text[at]))
}

/// Returns the words of a text.
pub(super) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| !is_word(*byte)).filter(|word| !word.is_empty())
}

/// A set of parts of the texts that end at the same places.
#[derive(Clone, Debug)]
struct TextParts {
    /// Length of the longest of them.
    length: u32,
    /// The state of the longest suffix that ends at more places.
    link: u32,
    /// One of the places.
    end: u32,
    next: Vec<(u8, u32)>,
    /// Length of the longest of them that occurs in a content, and of the longest that is a row of whole words there.
    found: u32,
    found_words: u32,
}

/// Texts, and the parts of them that were found in contents.
#[derive(Debug)]
pub(super) struct Matches<'t> {
    texts: &'t [u8],
    states: Vec<TextParts>,
    /// Transitions of the root, which has more than others.
    first: Vec<u32>,
    /// The state after each byte.
    after: Vec<u32>,
}

impl<'t> Matches<'t> {
    /// Takes in `texts`, which are joined by [`BETWEEN`].
    pub(super) fn new(texts: &'t [u8]) -> Self {
        let root = TextParts { length: 0, link: NONE, end: 0, next: Vec::new(), found: 0, found_words: 0 };
        let mut new =
            Self { texts, states: vec![root], first: vec![NONE; 256], after: Vec::with_capacity(texts.len()) };
        let mut last = ROOT;
        for (at, byte) in texts.iter().enumerate() {
            last = if *byte == BETWEEN { ROOT } else { new.extend(last, *byte, at + 1) };
            new.after.push(last);
        }
        new
    }

    fn state(&self, index: u32) -> &TextParts {
        &self.states[index as usize]
    }

    fn next(&self, state: u32, byte: u8) -> Option<u32> {
        if state == ROOT {
            return Some(self.first[usize::from(byte)]).filter(|next| *next != NONE);
        }
        self.state(state).next.iter().find(|(known, _)| *known == byte).map(|(_, next)| *next)
    }

    fn lead(&mut self, state: u32, byte: u8, next: u32) {
        if state == ROOT {
            self.first[usize::from(byte)] = next;
            return;
        }
        let known = &mut self.states[state as usize].next;
        match known.iter_mut().find(|(other, _)| *other == byte) {
            Some(edge) => edge.1 = next,
            None => known.push((byte, next)),
        }
    }

    fn add(&mut self, state: TextParts) -> u32 {
        self.states.push(state);
        u32::try_from(self.states.len() - 1).unwrap_or(NONE)
    }

    /// Adds a byte after `last`, the state of the text so far, and returns the new state.
    fn extend(&mut self, last: u32, byte: u8, end: usize) -> u32 {
        if let Some(next) = self.next(last, byte) {
            return self.shortest_of(next, last, byte);
        }
        let length = self.state(last).length + 1;
        let end = u32::try_from(end).unwrap_or(NONE);
        let new = self.add(TextParts { length, link: ROOT, end, next: Vec::new(), found: 0, found_words: 0 });
        let mut from = last;
        while from != NONE && self.next(from, byte).is_none() {
            self.lead(from, byte, new);
            from = self.state(from).link;
        }
        if from != NONE
            && let Some(next) = self.next(from, byte)
        {
            let link = self.shortest_of(next, from, byte);
            self.states[new as usize].link = link;
        }
        new
    }

    /// Returns the state whose longest part is that of `from` and `byte`: `next` itself, or a new one that is split off from it.
    fn shortest_of(&mut self, next: u32, from: u32, byte: u8) -> u32 {
        let length = self.state(from).length + 1;
        if self.state(next).length == length {
            return next;
        }
        let split = TextParts { length, ..self.state(next).clone() };
        let split = self.add(split);
        self.states[next as usize].link = split;
        let mut from = from;
        while from != NONE && self.next(from, byte) == Some(next) {
            self.lead(from, byte, split);
            from = self.state(from).link;
        }
        split
    }

    /// Notes the parts of the texts that occur in `content`.
    pub(super) fn find_in(&mut self, content: &[u8]) {
        let (mut any, mut whole) = (Walk::default(), Walk::default());
        for (at, byte) in content.iter().enumerate() {
            if *byte == BETWEEN {
                (any, whole) = (Walk::default(), Walk::default());
                continue;
            }
            any.step(self, *byte);
            let state = &mut self.states[any.state as usize];
            state.found = state.found.max(any.length);
            whole.step(self, *byte);
            let end = at + 1;
            let mut start = end - whole.length as usize;
            while start < end && !is_boundary(content, start) {
                start += 1;
            }
            whole.shorten(self, end - start);
            if whole.length > 0 && is_boundary(content, end) {
                let state = &mut self.states[whole.state as usize];
                state.found_words = state.found_words.max(whole.length);
            }
        }
    }

    /// Returns for each place in the texts where the longest quotation that ends there begins, if one ends there: whole words of the
    /// text, or of the content.
    pub(super) fn quotations(&mut self) -> Vec<Option<usize>> {
        let next_boundary = self.next_boundaries();
        self.spread(&next_boundary);
        let start_of = |(at, state): (usize, &u32)| {
            let (state, end) = (self.state(*state), at + 1);
            let of_content = (state.found_words as usize >= SHORTEST).then(|| end - state.found_words as usize);
            let of_text = (state.found as usize >= SHORTEST && is_boundary(self.texts, end))
                .then(|| next_boundary[end - state.found as usize])
                .filter(|start| start + SHORTEST <= end);
            of_content.into_iter().chain(of_text).min()
        };
        self.after.iter().enumerate().map(start_of).collect()
    }

    /// Returns for each place in the texts the first boundary that is not before it.
    fn next_boundaries(&self) -> Vec<usize> {
        let mut next = vec![self.texts.len(); self.texts.len() + 1];
        for at in (0..self.texts.len()).rev() {
            next[at] = if is_boundary(self.texts, at) { at } else { next[at + 1] };
        }
        next
    }

    /// Lets each state know what was found of its suffixes, and of the longer parts whose suffixes it has.
    fn spread(&mut self, next_boundary: &[usize]) {
        let mut order: Vec<u32> = (1..self.states.len()).filter_map(|index| u32::try_from(index).ok()).collect();
        order.sort_unstable_by_key(|index| self.state(*index).length);
        for index in order.iter().rev() {
            let TextParts { link, end, found, found_words, .. } = *self.state(*index);
            let above = self.state(link).length;
            let suffix = &mut self.states[link as usize];
            if found > 0 {
                suffix.found = above;
            }
            if found_words > 0 {
                let end = end as usize;
                let words = if found_words <= above {
                    found_words as usize
                } else {
                    end - next_boundary[end - above as usize].min(end)
                };
                suffix.found_words = suffix.found_words.max(u32::try_from(words).unwrap_or(0));
            }
        }
        for index in order {
            let TextParts { link, found, found_words, .. } = *self.state(index);
            let (above, above_words) = (self.state(link).found, self.state(link).found_words);
            let state = &mut self.states[index as usize];
            state.found = if found > 0 { found } else { above };
            state.found_words = found_words.max(above_words);
        }
    }
}

/// The longest part of the texts that ends where a content has been read to.
#[derive(Clone, Copy, Debug, Default)]
struct Walk {
    state: u32,
    length: u32,
}

impl Walk {
    fn step(&mut self, matches: &Matches<'_>, byte: u8) {
        loop {
            if let Some(next) = matches.next(self.state, byte) {
                (self.state, self.length) = (next, self.length + 1);
                return;
            }
            if self.state == ROOT {
                self.length = 0;
                return;
            }
            self.state = matches.state(self.state).link;
            self.length = matches.state(self.state).length;
        }
    }

    fn shorten(&mut self, matches: &Matches<'_>, length: usize) {
        self.length = u32::try_from(length).unwrap_or(self.length);
        while self.state != ROOT && self.length <= matches.state(matches.state(self.state).link).length {
            self.state = matches.state(self.state).link;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same by trying all parts.
    fn naive(text: &[u8], content: &[u8]) -> Vec<Option<usize>> {
        let starts = |end: usize| {
            (0..(end + 1).saturating_sub(SHORTEST)).find(|start| {
                let part = &text[*start..end];
                let in_text = is_boundary(text, *start) && is_boundary(text, end);
                let places =
                    (0..=content.len().saturating_sub(part.len())).filter(|place| content[*place..].starts_with(part));
                !part.contains(&BETWEEN)
                    && places.into_iter().any(|place| {
                        in_text || (is_boundary(content, place) && is_boundary(content, place + part.len()))
                    })
            })
        };
        (1..=text.len()).map(starts).collect()
    }

    /// The text ends with a longer part of the content, `dc..`, of which only `..` is whole words there.
    #[test]
    fn a_short_quotation_is_found_within_a_longer_match() {
        let (text, content) = (b"c..adc..bdc..", b"c..adc..");
        let mut matches = Matches::new(text);
        matches.find_in(content);
        assert_eq!(matches.quotations()[12], Some(10));
        assert_eq!(matches.quotations(), naive(text, content));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn it_finds_what_a_search_for_every_part_finds(
            text in "[ab \u{0}]{0,24}|[abcd.]{0,30}", content in "[ab \u{0}]{0,40}|[abcd.]{0,60}", more in "[ab ]{0,10}"
        ) {
            let mut matches = Matches::new(text.as_bytes());
            matches.find_in(content.as_bytes());
            matches.find_in(more.as_bytes());
            let both = [content.as_bytes(), &[BETWEEN], more.as_bytes()].concat();
            prop_assert_eq!(matches.quotations(), naive(text.as_bytes(), &both));
        }
    }
}
