//! The blocks of a configuration, and what is set in each.

use crate::directives::Contexts;
use crate::model::directive::Directive;
use crate::model::location::Location;

/// The index of a block among all.
pub(crate) type BlockId = usize;

/// A block: `http`, a `server`, a `location`, …
#[derive(Debug)]
pub(crate) struct Block<'s> {
    pub(crate) context: Contexts,
    /// The block around it, from which it inherits.
    pub(crate) parent: Option<BlockId>,
    /// The locations in it, in nginx's sense: `location`, `if` and `limit_except`.
    pub(crate) locations: Vec<BlockId>,
    pub(crate) location: Location<'s>,
    /// The modules that hand requests on and have directives in it, as bits.
    pub(crate) families: u8,
    /// The directives that are set once. There are so few in a block that to go through them is the fastest search.
    settings: Vec<Directive<'s>>,
    /// The lines of the directives that may have several.
    lists: Vec<(&'static str, Vec<Directive<'s>>)>,
}

impl<'s> Block<'s> {
    pub(crate) fn new(context: Contexts, parent: Option<BlockId>) -> Self {
        let location = Location::default();
        Self { context, parent, locations: vec![], location, families: 0, settings: vec![], lists: vec![] }
    }

    /// The setting of a directive in this very block.
    pub(crate) fn get(&self, name: &str) -> Option<&Directive<'s>> {
        self.settings.iter().find(|set| set.known == name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Keeps a setting; the last one counts.
    pub(crate) fn set(&mut self, directive: &Directive<'s>) {
        match self.settings.iter_mut().find(|set| set.known == directive.known) {
            Some(set) => *set = *directive,
            None => self.settings.push(*directive),
        }
    }

    /// Keeps one of several lines of a directive.
    pub(crate) fn add(&mut self, directive: &Directive<'s>) {
        match self.lists.iter_mut().find(|(name, _)| *name == directive.known) {
            Some((_, lines)) => lines.push(*directive),
            None => self.lists.push((directive.known, vec![*directive])),
        }
    }

    /// All lines of a directive in this very block; none is not the same as an empty list.
    pub(crate) fn all(&self, name: &str) -> Option<&[Directive<'s>]> {
        self.lists.iter().find(|(known, _)| *known == name).map(|(_, lines)| lines.as_slice())
    }
}
