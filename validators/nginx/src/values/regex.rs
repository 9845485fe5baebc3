//! Regular expressions, compiled by PCRE2 as nginx has them compiled (`src/core/ngx_regex.c`).

use std::rc::Rc;

use foldhash::HashMap;
use pcre2::bytes::RegexBuilder;

use crate::directives::Version;
use crate::values::{library, numbers};

/// Groups of a pattern that compiles.
#[derive(Clone, Debug)]
pub(crate) struct Regex {
    /// The number of its groups.
    pub(crate) captures: usize,
    /// The names of its named groups, sorted.
    pub(crate) names: Vec<String>,
    /// The message of some versions of the library, where another one takes the pattern.
    pub(crate) doubt: Option<String>,
}

/// Result of compiling a pattern; the error is nginx's message.
pub(crate) type Compiled = Result<Rc<Regex>, String>;

/// The patterns that were compiled, each once.
#[derive(Default)]
pub(crate) struct Regexes {
    /// With regard to case and without, by pattern.
    known: [HashMap<Vec<u8>, Compiled>; 2],
}

/// The first release that is built with PCRE2, and names it in messages.
const PCRE2_SINCE: Version = Version::new(1, 21, 5);

impl Regexes {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// nginx's message.
    pub(crate) fn compile(&mut self, pattern: &[u8], caseless: bool, version: Version) -> Compiled {
        let known = &mut self.known[usize::from(caseless)];
        if let Some(compiled) = known.get(pattern) {
            return compiled.clone();
        }
        let compiled = compile(pattern, caseless, version).map(Rc::new);
        known.insert(pattern.to_vec(), compiled.clone());
        compiled
    }
}

/// Releases before this one come with PCRE2 10.42 or older; it is unknown which library a later one has.
const OLD_LIBRARY: Version = Version::new(1, 26, 0);

fn compile(pattern: &[u8], caseless: bool, version: Version) -> Result<Regex, String> {
    // PCRE's own interface, before PCRE2, takes a C string.
    let pattern = if version < PCRE2_SINCE { numbers::c_string(pattern) } else { pattern };
    // Bytes that are no UTF-8 mean nothing but themselves in a pattern: any letter does as well.
    let letter = |byte: &u8| if byte.is_ascii() { char::from(*byte) } else { '_' };
    let text = std::str::from_utf8(pattern).map_or_else(|_| pattern.iter().map(letter).collect(), ToOwned::to_owned);
    let build = |text: &str| RegexBuilder::new().caseless(caseless).build(text);
    let mut doubt = library::newer_syntax(pattern).map(|(at, words)| complaint(words, at, pattern, version));
    if let Some(complaint) = doubt.take_if(|_| version < OLD_LIBRARY) {
        return Err(complaint);
    }
    let regex = match build(&text) {
        Ok(regex) => regex,
        Err(error) => {
            let message = message(&error, pattern, version);
            let Some(older) = library::older_syntax(&text).and_then(|older| build(&older).ok()) else {
                return Err(message);
            };
            doubt = Some(message).filter(|_| version >= OLD_LIBRARY);
            older
        }
    };
    let mut names: Vec<_> = regex.capture_names().iter().flatten().cloned().collect();
    names.sort();
    Ok(Regex { captures: regex.captures_len() - 1, names, doubt })
}

fn message(error: &pcre2::Error, pattern: &[u8], version: Version) -> String {
    let all = error.to_string();
    let at = error.offset().unwrap_or(pattern.len());
    // The crate puts the offset before the library's own words.
    let words = all.split_once(&format!(" at offset {at}: ")).map_or(all.as_str(), |(_, words)| words);
    complaint(words, at, pattern, version)
}

/// nginx's message about a pattern, with the library's words about the byte `at`.
fn complaint(words: &str, at: usize, pattern: &[u8], version: Version) -> String {
    let function = if version < PCRE2_SINCE { "pcre_compile" } else { "pcre2_compile" };
    let whole = String::from_utf8_lossy(pattern);
    match pattern.get(at..).filter(|rest| !rest.is_empty()) {
        Some(rest) => format!("{function}() failed: {words} in \"{whole}\" at \"{}\"", String::from_utf8_lossy(rest)),
        None => format!("{function}() failed: {words} in \"{whole}\""),
    }
}
