//! General entities (<https://www.w3.org/TR/xml/#sec-entity-decl>): their declarations, and what is wrong with a reference.
//!
//! A reference is replaced by a text, which may have further references. Each text is read once for contents and once for values, however
//! often it is used, so the time is that of reading the declarations.

use std::collections::HashMap;

use reload_gate_contract::Span;

use super::reader::XmlReader;
use super::{DEEPEST_ENTITY, MOST_NAMES, Read, XmlFault};

/// Place of a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Use {
    Content,
    Value,
}

/// A declared entity.
#[derive(Clone, Copy, Debug)]
pub(super) enum Definition {
    /// By its literal, without the quotes.
    Internal { start: usize, end: usize },
    /// By another file.
    External,
    /// By another file that is no XML.
    Unparsed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Progress {
    #[default]
    New,
    Reading,
    Read,
}

#[derive(Debug)]
struct Entity {
    definition: Definition,
    in_content: Progress,
    in_value: Progress,
}

/// The entities of a document.
#[derive(Debug, Default)]
pub(super) struct Entities<'t> {
    declared: HashMap<&'t str, Entity>,
    /// There may be declarations elsewhere.
    pub(super) incomplete: bool,
    depth: usize,
}

impl<'t> Entities<'t> {
    /// Declares an entity; the first of several declarations counts.
    pub(super) fn declare(&mut self, name: &'t str, definition: Definition, span: Span) -> Read {
        if self.declared.len() == MOST_NAMES && !self.declared.contains_key(name) {
            return Err(XmlFault::too_large(span, "more entities than this checker reads"));
        }
        let entity = Entity { definition, in_content: Progress::New, in_value: Progress::New };
        self.declared.entry(name).or_insert(entity);
        Ok(())
    }

    fn progress(&mut self, name: &str, place: Use) -> Option<&mut Progress> {
        let entity = self.declared.get_mut(name)?;
        Some(match place {
            Use::Content => &mut entity.in_content,
            Use::Value => &mut entity.in_value,
        })
    }

    /// Checks a reference to an entity by its name; `text` is that of the document, and `span` the place of the reference in it.
    pub(super) fn refer(&mut self, text: &'t str, name: &str, place: Use, span: Span) -> Read {
        if matches!(name, "lt" | "gt" | "amp" | "apos" | "quot") {
            return Ok(());
        }
        let Some(definition) = self.declared.get(name).map(|entity| entity.definition) else {
            if self.incomplete {
                return Ok(());
            }
            let fault = XmlFault::new(span, format!("unknown entity `{name}`"));
            return Err(fault.help("write `&amp;` for `&`, and `&lt;` for `<`"));
        };
        let (start, end) = match (definition, place) {
            (Definition::Internal { start, end }, _) => (start, end),
            (Definition::External, Use::Content) => return Ok(()),
            (Definition::External, Use::Value) => {
                let message = format!("the entity `{name}` is in another file, which no value may name");
                return Err(XmlFault::new(span, message));
            }
            (Definition::Unparsed, _) => return Err(XmlFault::new(span, format!("the entity `{name}` is no XML"))),
        };
        match self.progress(name, place) {
            Some(Progress::Read) | None => return Ok(()),
            Some(Progress::Reading) => {
                return Err(XmlFault::new(span, format!("the entity `{name}` contains itself")));
            }
            Some(progress) => *progress = Progress::Reading,
        }
        if self.depth == DEEPEST_ENTITY {
            return Err(XmlFault::too_large(span, "entities are nested too deep"));
        }
        self.depth += 1;
        let read = self.read_replacement(text, &text[start..end], name, place, span);
        self.depth -= 1;
        if let Some(progress) = self.progress(name, place) {
            *progress = Progress::Read;
        }
        read
    }

    fn read_replacement(&mut self, text: &'t str, literal: &str, name: &str, place: Use, span: Span) -> Read {
        let replacement = replacement(literal);
        if place == Use::Value && replacement.contains('<') {
            let message = format!("the entity `{name}` has a `<`, which no value may have");
            return Err(XmlFault::new(span, message));
        }
        let reader = XmlReader::fragment(&replacement);
        let read = match place {
            Use::Content => reader.content_of_entity(),
            Use::Value => reader.value_of_entity(),
        };
        // Its place is that of the reference: the text itself is nowhere.
        let references = read.map_err(|fault| {
            let message = format!("the entity `{name}` is not well-formed: {}", fault.message);
            Box::new(XmlFault { span, message, ..*fault })
        })?;
        references.into_iter().try_for_each(|(place, inner)| self.refer(text, inner, place, span))
    }
}

/// Returns the text that takes the place of a reference: references to characters are replaced in the declaration already
/// (<https://www.w3.org/TR/xml/#sec-internal-ent>).
fn replacement(literal: &str) -> String {
    let mut text = String::with_capacity(literal.len());
    let mut rest = literal;
    while let Some(at) = rest.find("&#") {
        text.push_str(&rest[..at]);
        let end = rest[at..].find(';').map_or(rest.len(), |end| at + end + 1);
        // One that is wrong was found with the declaration.
        text.extend(character(&rest[at..end]));
        rest = &rest[end..];
    }
    text + rest
}

/// Returns the character that a reference such as `&#233;` or `&#xe9;` means.
pub(super) fn character(reference: &str) -> Option<char> {
    let digits = reference.strip_prefix("&#")?.strip_suffix(';')?;
    let is_sign = |digits: &str| digits.starts_with('+');
    let number = match digits.strip_prefix('x') {
        Some(digits) if !is_sign(digits) => u32::from_str_radix(digits, 16).ok()?,
        None if !is_sign(digits) => digits.parse().ok()?,
        _ => return None,
    };
    char::from_u32(number).filter(|c| super::names::is_char(*c))
}
