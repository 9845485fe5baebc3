//! Text that people read.

use std::borrow::Cow;

/// True for a character that people do not see, or that moves the cursor of a terminal: control characters, spaces of
/// no width, marks of direction, and the byte order mark.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The text with invisible characters escaped: `\r`, `\u{feff}`.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_invisible) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_invisible(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_are_escaped_and_others_are_not() {
        assert_eq!(visible("a \u{feff}\r\n\t\0\u{202e}"), r"a \u{feff}\r\n\t\u{0}\u{202e}");
        assert_eq!(visible("zwölf \u{fffd} \"漢\""), "zwölf \u{fffd} \"漢\"");
    }
}
