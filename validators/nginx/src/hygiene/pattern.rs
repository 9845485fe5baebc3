//! The structure of a regular expression, as far as it shows what a group can match (the syntax is that of `pcre2pattern(3)`).

use super::bytes::ByteSet;

/// A longer pattern, or one with deeper groups, is not looked into.
const LONGEST: usize = 4_096;
const DEEPEST: usize = 32;

/// A part of a pattern.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    /// One byte of a set.
    Set(ByteSet),
    Group(PatternGroup),
    /// The beginning or the end of the text.
    Start,
    End,
    /// A look around, or a word boundary: it matches nothing itself.
    Empty,
}

/// A group: its alternatives.
#[derive(Clone, Debug, Default)]
pub(super) struct PatternGroup {
    pub(super) number: Option<usize>,
    pub(super) name: Option<Vec<u8>>,
    pub(super) alternatives: Vec<Vec<Repeated>>,
    /// It never gives back what it has matched.
    pub(super) atomic: bool,
}

/// A piece with the number of its repetitions.
#[derive(Clone, Debug)]
pub(super) struct Repeated {
    pub(super) piece: Piece,
    pub(super) least: u32,
    /// `None` if there is no limit.
    pub(super) most: Option<u32>,
    pub(super) possessive: bool,
}

/// Parses a pattern; `None` where its structure is unknown.
pub(super) fn parse(pattern: &[u8]) -> Option<PatternGroup> {
    if pattern.len() > LONGEST {
        return None;
    }
    let mut parser = PatternParser { text: pattern, at: 0, groups: 0, dot_all: false };
    let whole = parser.alternatives(0)?;
    (parser.at == pattern.len()).then_some(PatternGroup { alternatives: whole, ..PatternGroup::default() })
}

struct PatternParser<'p> {
    text: &'p [u8],
    at: usize,
    groups: usize,
    dot_all: bool,
}

impl PatternParser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn eat(&mut self, text: &[u8]) -> bool {
        let fits = self.text[self.at..].starts_with(text);
        self.at += if fits { text.len() } else { 0 };
        fits
    }

    fn alternatives(&mut self, depth: usize) -> Option<Vec<Vec<Repeated>>> {
        if depth > DEEPEST {
            return None;
        }
        let mut all = vec![vec![]];
        while let Some(byte) = self.peek() {
            match byte {
                b')' => break,
                b'|' => {
                    self.at += 1;
                    all.push(vec![]);
                }
                _ => {
                    if let Some(piece) = self.piece(depth)? {
                        let repeated = self.repeated(piece)?;
                        all.last_mut()?.push(repeated);
                    }
                }
            }
        }
        Some(all)
    }

    /// The next piece; `None` inside for options alone, such as `(?i)`.
    #[expect(clippy::option_option, reason = "no piece is not the same as an unknown one")]
    fn piece(&mut self, depth: usize) -> Option<Option<Piece>> {
        let dot = if self.dot_all { ByteSet::ALL } else { ByteSet::of([b'\n']).complement() };
        Some(Some(match self.next()? {
            b'.' => Piece::Set(dot),
            b'^' => Piece::Start,
            b'$' => Piece::End,
            b'[' => Piece::Set(self.class()?),
            b'\\' => self.escaped()?,
            b'(' => return self.group(depth),
            byte => Piece::Set(ByteSet::of([byte])),
        }))
    }

    #[expect(clippy::option_option, reason = "no piece is not the same as an unknown one")]
    fn group(&mut self, depth: usize) -> Option<Option<Piece>> {
        let mut group = PatternGroup::default();
        let mut looks = false;
        if self.eat(b"?") {
            if self.eat(b":") || self.eat(b"|") {
            } else if self.eat(b">") {
                group.atomic = true;
            } else if [&b"="[..], b"!", b"<=", b"<!"].iter().any(|mark| self.eat(mark)) {
                looks = true;
            } else if let Some(end) = self.name_end() {
                let rest = &self.text[self.at..];
                let length = rest.iter().position(|byte| *byte == end)?;
                group.name = Some(rest[..length].to_vec());
                self.at += length + 1;
                self.groups += 1;
                group.number = Some(self.groups);
            } else {
                return self.options(depth);
            }
        } else if self.peek() == Some(b'*') {
            return None;
        } else {
            self.groups += 1;
            group.number = Some(self.groups);
        }
        let before = self.dot_all;
        group.alternatives = self.alternatives(depth + 1)?;
        self.dot_all = before;
        if !self.eat(b")") {
            return None;
        }
        Some(Some(if looks { Piece::Empty } else { Piece::Group(group) }))
    }

    /// Skips the mark of a name, and returns the byte that ends the name.
    fn name_end(&mut self) -> Option<u8> {
        let is_name = self.text.get(self.at + 1).is_some_and(u8::is_ascii_alphabetic)
            || self.text.get(self.at + 1).is_some_and(|byte| matches!(byte, b'_' | b'<'));
        if !is_name {
            return None;
        }
        if self.eat(b"P<") || self.eat(b"<") { Some(b'>') } else { self.eat(b"'").then_some(b'\'') }
    }

    /// Options, such as `(?i)` for the rest of the group, or `(?i:…)`.
    #[expect(clippy::option_option, reason = "no piece is not the same as an unknown one")]
    fn options(&mut self, depth: usize) -> Option<Option<Piece>> {
        let before = self.dot_all;
        let mut on = true;
        loop {
            match self.next()? {
                b'-' => on = false,
                b's' => self.dot_all = on,
                b'i' | b'm' | b'U' | b'J' => {}
                b')' => return Some(None),
                b':' => break,
                _ => return None,
            }
        }
        let alternatives = self.alternatives(depth + 1)?;
        self.dot_all = before;
        self.eat(b")").then_some(Some(Piece::Group(PatternGroup { alternatives, ..PatternGroup::default() })))
    }

    fn escaped(&mut self) -> Option<Piece> {
        Some(match self.next()? {
            b'b' | b'B' | b'G' | b'K' => Piece::Empty,
            b'A' => Piece::Start,
            b'z' | b'Z' => Piece::End,
            // What a group has matched, or a literal text, has a structure of its own.
            b'0'..=b'9' | b'k' | b'g' | b'Q' | b'E' | b'p' | b'P' | b'X' | b'C' | b'c' | b'o' => return None,
            byte => Piece::Set(self.escape(byte)?),
        })
    }

    /// The set of an escape, whose backslash and first byte are read.
    fn escape(&mut self, byte: u8) -> Option<ByteSet> {
        let digits = ByteSet::of(b'0'..=b'9');
        let word = digits.union(ByteSet::of((b'a'..=b'z').chain(b'A'..=b'Z').chain([b'_'])));
        let space = ByteSet::of([b' ', b'\t', b'\n', 0x0b, 0x0c, b'\r']);
        Some(match byte {
            b'd' => digits,
            b'D' => digits.complement(),
            b'w' => word,
            b'W' => word.complement(),
            b's' => space,
            b'S' => space.complement(),
            b'h' => ByteSet::of([b' ', b'\t', 0xa0]),
            b'H' => ByteSet::of([b' ', b'\t', 0xa0]).complement(),
            b'v' | b'R' => ByteSet::of([b'\n', 0x0b, 0x0c, b'\r', 0x85]),
            b'V' => ByteSet::of([b'\n', 0x0b, 0x0c, b'\r', 0x85]).complement(),
            b'N' => ByteSet::of([b'\n']).complement(),
            b'n' => ByteSet::of([b'\n']),
            b'r' => ByteSet::of([b'\r']),
            b't' => ByteSet::of([b'\t']),
            b'f' => ByteSet::of([0x0c]),
            b'e' => ByteSet::of([0x1b]),
            b'a' => ByteSet::of([7]),
            b'x' => {
                let code = std::str::from_utf8(self.text.get(self.at..self.at + 2)?).ok()?;
                self.at += 2;
                ByteSet::of([u8::from_str_radix(code, 16).ok()?])
            }
            byte if byte.is_ascii_alphanumeric() => return None,
            byte => ByteSet::of([byte]),
        })
    }

    fn class(&mut self) -> Option<ByteSet> {
        let negated = self.eat(b"^");
        let mut set = ByteSet::default();
        let mut is_first = true;
        loop {
            if self.eat(b"[:") {
                set = set.union(self.posix()?);
                continue;
            }
            let byte = self.next()?;
            if byte == b']' && !is_first {
                break;
            }
            is_first = false;
            let low = match byte {
                b'\\' => {
                    let byte = self.next()?;
                    let escaped = if byte == b'b' { ByteSet::of([8]) } else { self.escape(byte)? };
                    set = set.union(escaped);
                    byte.is_ascii_punctuation().then_some(byte)
                }
                byte => {
                    set.add(byte);
                    Some(byte)
                }
            };
            let is_range = self.peek() == Some(b'-') && self.text.get(self.at + 1).is_some_and(|next| *next != b']');
            if let Some(low) = low.filter(|_| is_range) {
                self.at += 1;
                let high = match self.next()? {
                    b'\\' => self.next()?,
                    byte => byte,
                };
                set = set.union(ByteSet::of(low..=high));
            }
        }
        Some(if negated { set.complement() } else { set })
    }

    fn posix(&mut self) -> Option<ByteSet> {
        let rest = &self.text[self.at..];
        let end = rest.windows(2).position(|window| window == b":]")?;
        let ranges: &[(u8, u8)] = match &rest[..end] {
            b"alnum" => &[(b'0', b'9'), (b'A', b'Z'), (b'a', b'z')],
            b"alpha" => &[(b'A', b'Z'), (b'a', b'z')],
            b"digit" => &[(b'0', b'9')],
            b"lower" => &[(b'a', b'z')],
            b"upper" => &[(b'A', b'Z')],
            b"word" => &[(b'0', b'9'), (b'A', b'Z'), (b'a', b'z'), (b'_', b'_')],
            b"xdigit" => &[(b'0', b'9'), (b'A', b'F'), (b'a', b'f')],
            b"punct" => &[(b'!', b'/'), (b':', b'@'), (b'[', b'`'), (b'{', b'~')],
            b"space" => &[(b'\t', b'\r'), (b' ', b' ')],
            _ => return None,
        };
        self.at += end + 2;
        Some(ranges.iter().fold(ByteSet::default(), |set, (low, high)| set.union(ByteSet::of(*low..=*high))))
    }

    fn repeated(&mut self, piece: Piece) -> Option<Repeated> {
        let found = match self.peek() {
            Some(b'*') => Some((1, 0, None)),
            Some(b'+') => Some((1, 1, None)),
            Some(b'?') => Some((1, 0, Some(1))),
            Some(b'{') => self.bounds(),
            _ => None,
        };
        let Some((length, least, most)) = found else {
            return Some(Repeated { piece, least: 1, most: Some(1), possessive: false });
        };
        self.at += length;
        let possessive = self.eat(b"+");
        // A lazy repetition has the same matches.
        let _ = self.eat(b"?");
        Some(Repeated { piece, least, most, possessive })
    }

    /// The length and the numbers of `{2,5}`; `None` where the brace is a byte like any other.
    fn bounds(&self) -> Option<(usize, u32, Option<u32>)> {
        let rest = &self.text[self.at..];
        let end = rest.iter().position(|byte| *byte == b'}')?;
        let inside = std::str::from_utf8(&rest[1..end]).ok()?;
        let (least, most) = match inside.split_once(',') {
            None => (inside.parse().ok()?, Some(inside.parse().ok()?)),
            Some((least, "")) => (least.parse().ok()?, None),
            Some((least, most)) => (least.parse().ok()?, Some(most.parse().ok()?)),
        };
        Some((end + 1, least, most))
    }
}

impl PatternGroup {
    /// The group of that number or name.
    pub(super) fn find(&self, number: usize, name: &[u8]) -> Option<&Self> {
        if self.number == Some(number) || (!name.is_empty() && self.name.as_deref() == Some(name)) {
            return Some(self);
        }
        self.alternatives.iter().flatten().find_map(|part| match &part.piece {
            Piece::Group(group) => group.find(number, name),
            _ => None,
        })
    }

    /// The bytes that it can match anywhere.
    pub(super) fn bytes(&self) -> ByteSet {
        self.alternatives.iter().flatten().fold(ByteSet::default(), |set, part| set.union(part.bytes()))
    }

    /// True if it can match nothing.
    pub(super) fn is_nullable(&self) -> bool {
        self.alternatives.iter().any(|parts| parts.iter().all(Repeated::is_nullable))
    }

    /// The bytes with which a match can begin.
    pub(super) fn first(&self) -> ByteSet {
        let of_parts = |parts: &Vec<Repeated>| {
            let mut set = ByteSet::default();
            for part in parts {
                set = set.union(part.first());
                if !part.is_nullable() {
                    break;
                }
            }
            set
        };
        self.alternatives.iter().fold(ByteSet::default(), |set, parts| set.union(of_parts(parts)))
    }

    /// True for a choice of literal texts.
    pub(super) fn is_finite(&self) -> bool {
        self.alternatives.iter().flatten().all(|part| match &part.piece {
            Piece::Set(set) => part.most == Some(1) && (0..=u8::MAX).filter(|byte| set.has(*byte)).count() == 1,
            Piece::Group(group) => part.most == Some(1) && group.is_finite(),
            _ => true,
        })
    }

    /// True if every match ends at the end of the text, or at one of these bytes.
    pub(super) fn ends_with(&self, bytes: &[u8]) -> bool {
        let ends = |parts: &Vec<Repeated>| match parts.iter().rev().find(|part| !matches!(part.piece, Piece::Empty)) {
            Some(Repeated { piece: Piece::End, .. }) => true,
            Some(Repeated { piece: Piece::Set(set), least: 1.., .. }) => {
                !bytes.is_empty() && set.is_within(ByteSet::of(bytes.iter().copied()))
            }
            Some(Repeated { piece: Piece::Group(group), least: 1.., .. }) => group.ends_with(bytes),
            _ => false,
        };
        self.alternatives.iter().all(ends)
    }

    /// True if every match begins at the beginning of the text.
    pub(super) fn starts(&self) -> bool {
        let starts = |parts: &Vec<Repeated>| match parts.iter().find(|part| !matches!(part.piece, Piece::Empty)) {
            Some(Repeated { piece: Piece::Start, .. }) => true,
            Some(Repeated { piece: Piece::Group(group), least: 1.., .. }) => group.starts(),
            _ => false,
        };
        self.alternatives.iter().all(starts)
    }

    /// True if a text that does not match may take a time that doubles with each byte: a repeated group can match one text in
    /// several ways, and something behind it can fail.
    pub(super) fn is_slow(&self) -> bool {
        self.is_slow_before(false)
    }

    /// The same, with the knowledge if something behind the group can fail.
    fn is_slow_before(&self, fails: bool) -> bool {
        self.alternatives.iter().any(|parts| {
            parts.iter().enumerate().any(|(at, part)| {
                let Piece::Group(group) = &part.piece else { return false };
                let fails =
                    fails || parts[at + 1..].iter().any(|part| !part.is_nullable() || matches!(part.piece, Piece::End));
                let is_kept = group.atomic || part.possessive;
                !is_kept && ((part.is_unlimited() && fails && group.is_ambiguous()) || group.is_slow_before(fails))
            })
        })
    }

    /// True if repetitions of the group can match one text in several ways.
    fn is_ambiguous(&self) -> bool {
        self.alternatives.iter().any(|parts| {
            parts.iter().enumerate().any(|(at, part)| {
                let is_repeated = part.is_unlimited() && !part.possessive;
                // What separates two repetitions is not in the repeated part itself.
                let others = parts.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, other)| other);
                let is_separated =
                    others.filter(|other| !other.is_nullable()).any(|other| !other.bytes().is_within(part.bytes()));
                is_repeated && !is_separated && !part.bytes().is_within(ByteSet::default())
            })
        })
    }
}

impl Repeated {
    fn is_unlimited(&self) -> bool {
        self.most.is_none()
    }

    pub(super) fn bytes(&self) -> ByteSet {
        match &self.piece {
            Piece::Set(set) => *set,
            Piece::Group(group) => group.bytes(),
            Piece::Start | Piece::End | Piece::Empty => ByteSet::default(),
        }
    }

    pub(super) fn is_nullable(&self) -> bool {
        self.least == 0
            || match &self.piece {
                Piece::Set(_) => false,
                Piece::Group(group) => group.is_nullable(),
                Piece::Start | Piece::End | Piece::Empty => true,
            }
    }

    fn first(&self) -> ByteSet {
        match &self.piece {
            Piece::Group(group) => group.first(),
            _ => self.bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(pattern: &str, number: usize) -> PatternGroup {
        let whole = parse(pattern.as_bytes()).unwrap_or_else(|| panic!("{pattern} is known"));
        whole.find(number, b"").unwrap_or_else(|| panic!("{pattern} has the group")).clone()
    }

    #[test]
    fn a_group_knows_its_bytes() {
        for (pattern, number, has_line_feed) in [
            ("^/(.*)$", 1, false),
            ("^/([^/]+)/", 1, true),
            ("(a|b)/(\\W*)", 2, true),
            ("(a|b)/(\\W*)", 1, false),
            ("(?s)(.+)", 1, true),
            ("(?<a>[\\s\\w-]{1,3})x", 1, true),
            ("([^\\n/]+)", 1, false),
            ("([[:alnum:]_]+)", 1, false),
            ("(?:x)(\\d+)?", 1, false),
        ] {
            assert_eq!(group(pattern, number).bytes().has(b'\n'), has_line_feed, "{pattern}");
        }
        assert!(group("^/x(/.*)$", 1).first().is_within(ByteSet::of([b'/'])));
        assert!(!group("^/x(.*)$", 1).first().is_within(ByteSet::of([b'/'])));
        assert!(group("(a\\.b|c)", 1).is_finite() && !group("(a.b)", 1).is_finite());
    }

    #[test]
    fn nested_repetitions_are_slow() {
        for (pattern, slow) in [
            ("^(a+)+$", true),
            ("^/(.*/)*x$", true),
            ("^(\\w+\\s*)+:", true),
            ("((?:a|b*)*)c", true),
            ("^([a-z0-9-]+\\.)+example\\.com$", false),
            ("^(/[^/]+)*/x$", false),
            ("^(a+)+", false),
            ("^(?>a+)+$", false),
            ("^(a++)+$", false),
            ("^(a|b)+$", false),
            ("^/(\\d+){2,3}/$", false),
        ] {
            let parsed = parse(pattern.as_bytes()).unwrap_or_else(|| panic!("{pattern} is known"));
            assert_eq!(parsed.is_slow(), slow, "{pattern}");
        }
    }

    #[test]
    fn the_ends_of_a_pattern_are_known() {
        let ends = |pattern: &str| parse(pattern.as_bytes()).map(|parsed| (parsed.starts(), parsed.ends_with(b"/")));
        assert_eq!(ends("^https?://a\\.b$"), Some((true, true)));
        assert_eq!(ends("^https?://a\\.b(:\\d+)?(/|$)"), Some((true, true)));
        assert_eq!(ends("^a|b$"), Some((false, false)));
        assert_eq!(ends("a{2}/"), Some((false, true)));
        assert_eq!(ends("\\Qa"), None);
        assert_eq!(ends("(a"), None);
    }
}
