//! Writes scalars in every way that YAML and JSON have, and remembers where it put each character.

mod document;

pub(crate) use document::{Document, Step, json, yaml};

/// Choices, made beforehand: once they are used up, the simplest is taken.
pub(crate) struct Dice<'d> {
    rolls: std::slice::Iter<'d, u8>,
}

impl<'d> Dice<'d> {
    pub(crate) fn new(rolls: &'d [u8]) -> Self {
        Self { rolls: rolls.iter() }
    }

    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.rolls.next().map_or(0, |roll| usize::from(*roll) % sides)
    }

    /// True one time in so many.
    pub(crate) fn rarely(&mut self, times: usize) -> bool {
        self.roll(times) == times - 1
    }
}

/// The ways to write a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Plain,
    Single,
    Double,
    Literal,
    Folded,
    Json,
}

pub(crate) const WAYS: [Way; 6] = [Way::Plain, Way::Single, Way::Double, Way::Literal, Way::Folded, Way::Json];

/// A text that is being written.
pub(crate) struct Pen<'d> {
    pub(crate) out: String,
    pub(crate) eol: &'static str,
    pub(crate) dice: Dice<'d>,
    /// For each character of the scalar, where it is.
    pub(crate) marks: Vec<usize>,
}

impl Pen<'_> {
    fn mark(&mut self) {
        self.marks.push(self.out.len());
    }

    /// A character as it is.
    fn raw(&mut self, character: char) {
        self.mark();
        match character {
            '\n' => self.out.push_str(self.eol),
            other => self.out.push(other),
        }
    }

    fn spaces(&mut self, count: usize) {
        self.out.extend(std::iter::repeat_n(' ', count));
    }

    /// A line break that says nothing by itself, and the indentation of the next line.
    fn new_line(&mut self, indent: usize) {
        self.out.push_str(self.eol);
        self.spaces(indent);
    }
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t')
}

/// YAML 1.2.2, 5.1, without the carriage return, which only an escape can say, and the byte order mark.
fn is_printable(character: char) -> bool {
    matches!(character, '\t' | '\n' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}'
        | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..)
}

/// Whether a text can be written so, where its lines are indented by less than ten.
pub(crate) fn can(way: Way, text: &str) -> bool {
    let printable = text.chars().all(is_printable);
    // Around folded line breaks white space is lost.
    let folds = text.split('\n').enumerate().all(|(index, line)| {
        (index == 0 || !line.starts_with(is_blank))
            && (index == text.matches('\n').count() || !line.ends_with(is_blank))
    });
    match way {
        Way::Json | Way::Double => true,
        Way::Single => printable && folds,
        Way::Literal | Way::Folded => printable,
        Way::Plain => {
            let word = |word: &str| word.starts_with(char::is_alphabetic) && !word.contains([',', '[', ']', '{', '}']);
            let words = text.split([' ', '\n']);
            printable
                && folds
                && !text.contains('\t')
                && text.lines().all(|line| line.starts_with(char::is_alphabetic) || line.is_empty())
                && text.starts_with(char::is_alphabetic)
                && !text.ends_with(['\n', ' ', ':'])
                && words.clone().all(|word| !word.ends_with(':') && !word.starts_with(['#', '\u{feff}']))
                && words.clone().next().is_some_and(word)
                && !text.contains([',', '[', ']', '{', '}'])
                && !matches!(text, "null" | "Null" | "NULL")
        }
    }
}

/// Single-quoted, double-quoted and plain scalars, whose further lines are indented so far.
pub(crate) fn flow(pen: &mut Pen<'_>, text: &str, way: Way, indent: usize) {
    let quote = match way {
        Way::Single => "'",
        Way::Double => "\"",
        _ => "",
    };
    pen.out.push_str(quote);
    let characters: Vec<_> = text.chars().collect();
    let mut at = 0;
    // Whether white space that comes next would be taken for indentation.
    let mut begins_line = false;
    while let Some(&character) = characters.get(at) {
        let next = characters.get(at + 1).copied();
        let blank_before = at > 0 && is_blank(characters[at - 1]);
        let around =
            at > 0 && !blank_before && next.is_some_and(|next| !is_blank(next) && next != '\n') && !begins_line;
        let between = around && characters[at - 1] != '\n';
        // A word that begins a line of a plain scalar must not look like anything else.
        let between = between && (way != Way::Plain || next.is_some_and(char::is_alphabetic));
        let newlines = characters[at..].iter().take_while(|character| **character == '\n').count();
        let folds = newlines > 0 && !blank_before && !characters.get(at + newlines).copied().is_some_and(is_blank);
        if newlines > 0 && (way != Way::Double || (folds && !begins_line && pen.dice.rarely(2))) {
            pen.new_line(0);
            for _ in 0..newlines {
                let spaces = pen.dice.roll(3);
                pen.spaces(spaces);
                pen.raw('\n');
            }
            pen.spaces(indent);
            (at, begins_line) = (at + newlines, true);
            continue;
        }
        if character == ' ' && between && pen.dice.rarely(3) {
            let spaces = pen.dice.roll(2);
            pen.spaces(spaces);
            pen.mark();
            pen.new_line(indent);
            (at, begins_line) = (at + 1, true);
            continue;
        }
        if way == Way::Double && pen.dice.rarely(8) {
            pen.out.push('\\');
            pen.new_line(indent);
            begins_line = true;
        }
        let last_blank = is_blank(character) && next.is_none_or(|next| next == '\n');
        match way {
            Way::Single if character == '\'' => {
                pen.mark();
                pen.out.push_str("''");
            }
            Way::Double => double(pen, character, is_blank(character) && (begins_line || last_blank)),
            _ => pen.raw(character),
        }
        (at, begins_line) = (at + 1, false);
    }
    pen.out.push_str(quote);
}

/// A character within double quotes, escaped if it must be, and now and then if not.
fn double(pen: &mut Pen<'_>, character: char, must: bool) {
    let must = must || matches!(character, '"' | '\\' | '\n') || !is_printable(character);
    if !must && !pen.dice.rarely(5) {
        return pen.raw(character);
    }
    pen.mark();
    let short = match character {
        '\0' => "0",
        '\u{7}' => "a",
        '\u{8}' => "b",
        '\t' => "t",
        '\n' => "n",
        '\u{b}' => "v",
        '\u{c}' => "f",
        '\r' => "r",
        '\u{1b}' => "e",
        ' ' => " ",
        '"' => "\"",
        '/' => "/",
        '\\' => "\\",
        '\u{85}' => "N",
        '\u{a0}' => "_",
        '\u{2028}' => "L",
        '\u{2029}' => "P",
        _ => "",
    };
    let code = u32::from(character);
    let escape = match pen.dice.roll(4) {
        0 | 1 if !short.is_empty() => format!("\\{short}"),
        2 if code <= 0xff => format!("\\x{code:02x}"),
        3 => format!("\\U{code:08X}"),
        _ => unicode(code),
    };
    pen.out.push_str(&escape);
}

/// `\u` once, or twice for what is beyond the first plane.
fn unicode(code: u32) -> String {
    let mut units = [0; 2];
    let character = char::from_u32(code).expect("it is a character");
    character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect()
}

/// A string of JSON.
pub(crate) fn json_string(pen: &mut Pen<'_>, text: &str) {
    pen.out.push('"');
    for character in text.chars() {
        pen.mark();
        let short = match character {
            '"' => "\\\"",
            '\\' => "\\\\",
            '/' => "\\/",
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            _ => "",
        };
        let must = character < ' ' || matches!(character, '"' | '\\');
        match pen.dice.roll(6) {
            0..=3 if !must => pen.out.push(character),
            0..=4 if !short.is_empty() => pen.out.push_str(short),
            _ => pen.out.push_str(&unicode(character.into())),
        }
    }
    pen.out.push('"');
}

/// Literal and folded scalars within something that is indented by `parent`.
pub(crate) fn block(pen: &mut Pen<'_>, text: &str, way: Way, parent: usize) {
    let lines: Vec<_> = text.split('\n').collect();
    let with_text = lines.iter().position(|line| !line.trim_matches(' ').is_empty());
    // The indentation is found out by the first line with something on it, unless that has spaces of its own.
    let spaced = lines[..with_text.unwrap_or(lines.len())].iter().any(|line| !line.is_empty());
    let clear = !spaced && with_text.is_some_and(|line| !lines[line].starts_with(is_blank));
    let indent = 1 + pen.dice.roll(4);
    let indicator = if clear && pen.dice.roll(3) < 2 { String::new() } else { indent.to_string() };
    let trailing = text.len() - text.trim_end_matches('\n').len();
    let chomping = match trailing {
        0 => "-",
        1 if text.len() > 1 && pen.dice.roll(2) == 0 => "",
        _ => "+",
    };
    pen.out.push(if way == Way::Literal { '|' } else { '>' });
    let swapped = pen.dice.roll(2) == 0;
    pen.out.push_str(if swapped { chomping } else { &indicator });
    pen.out.push_str(if swapped { &indicator } else { chomping });
    pen.out.push_str(["", " ", " # why | not >", "\t"][pen.dice.roll(4)]);
    pen.out.push_str(pen.eol);
    let lines_of_text = &lines[..lines.len() - usize::from(trailing > 0)];
    content(pen, lines_of_text, trailing > 0, way, parent + indent);
    // Empty lines at the end mean nothing, except with `+`.
    if chomping != "+" {
        for _ in 0..pen.dice.roll(3) {
            let spaces = pen.dice.roll(parent + indent + 1);
            pen.spaces(spaces);
            pen.out.push_str(pen.eol);
        }
    }
}

/// The lines of a block scalar; whether the last one has a line break of its own.
fn content(pen: &mut Pen<'_>, lines: &[&str], ends: bool, way: Way, indent: usize) {
    // Whether the last line that is not empty is folded with the next.
    let mut folds = false;
    for (index, line) in lines.iter().enumerate() {
        let last = index + 1 == lines.len();
        let starts_text = way == Way::Folded && !line.is_empty() && !line.starts_with(is_blank);
        if line.is_empty() {
            let spaces = pen.dice.roll(indent + 1);
            pen.spaces(spaces);
        } else {
            pen.spaces(indent);
            written_line(pen, line, starts_text, indent);
            folds = starts_text;
        }
        if last && !ends {
            pen.out.push_str(pen.eol);
            continue;
        }
        let next = lines[index + 1..].iter().find(|line| !line.is_empty());
        let next_folds = folds && next.is_some_and(|line| !line.starts_with(is_blank));
        if !line.is_empty() && next_folds {
            // One line break more than are meant.
            pen.out.push_str(pen.eol);
        }
        pen.raw('\n');
    }
}

/// A line, of which some spaces may become line breaks if it is one that is folded.
fn written_line(pen: &mut Pen<'_>, line: &str, folds: bool, indent: usize) {
    let characters: Vec<_> = line.chars().collect();
    for (at, &character) in characters.iter().enumerate() {
        let between =
            at > 0 && !is_blank(characters[at - 1]) && characters.get(at + 1).is_some_and(|next| !is_blank(*next));
        if folds && character == ' ' && between && pen.dice.rarely(3) {
            pen.mark();
            pen.new_line(indent);
        } else {
            pen.raw(character);
        }
    }
}
