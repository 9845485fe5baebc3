//! Words of a configuration that may be paths, in any program's notation. Pure.

/// Longest word that may be a path (`PATH_MAX` of the kernel, path_resolution(7)).
const LONGEST: usize = 4096;

/// A word of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedWord<'c> {
    /// The word, without quotation marks.
    pub text: &'c str,
    /// True in a line that includes other files: every program here calls that so, or `import`.
    pub is_include: bool,
}

/// Returns the words of a content that is text, without comments: `#` at the beginning of a line or behind a blank, `;` at the beginning.
pub fn words(content: &[u8]) -> impl Iterator<Item = NamedWord<'_>> {
    split(content, |byte| is_end(byte) || b"[]".contains(byte))
}

/// Returns the words in the same way, with the brackets of patterns (glob(7)).
pub fn patterns(content: &[u8]) -> impl Iterator<Item = NamedWord<'_>> {
    split(content, is_end)
}

fn is_end(byte: &u8) -> bool {
    byte.is_ascii_whitespace() || b"\"';,=()<>{}`\0".contains(byte)
}

fn split(content: &[u8], is_end: fn(&u8) -> bool) -> impl Iterator<Item = NamedWord<'_>> {
    let lines = content.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_start);
    lines.filter(|line| !line.starts_with(b"#") && !line.starts_with(b";")).flat_map(move |line| {
        let is_include = is_include(line);
        let comment = line.windows(2).position(|pair| pair[0].is_ascii_whitespace() && pair[1] == b'#');
        let words = line[..comment.unwrap_or(line.len())]
            .split(is_end)
            .filter(|word| !word.is_empty() && word.len() <= LONGEST);
        words.filter_map(move |word| Some(NamedWord { text: std::str::from_utf8(word).ok()?, is_include }))
    })
}

fn is_include(line: &[u8]) -> bool {
    let sigils = line.iter().take_while(|byte| b"!$@%".contains(byte)).count();
    let keyword = line[sigils..].get(..7).unwrap_or_default();
    keyword.eq_ignore_ascii_case(b"include") || keyword == b"import "
}
