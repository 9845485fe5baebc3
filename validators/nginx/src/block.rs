//! The blocks of a configuration, and what is set in each.

use std::collections::HashMap;
use std::rc::Rc;

use crate::directive::Directive;
use crate::directives::Contexts;
use crate::http::location::Location;

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
    settings: HashMap<&'static str, Rc<Directive<'s>>>,
    lists: HashMap<&'static str, Vec<Rc<Directive<'s>>>>,
}

impl<'s> Block<'s> {
    pub(crate) fn new(context: Contexts, parent: Option<BlockId>) -> Self {
        Self {
            context,
            parent,
            locations: vec![],
            location: Location::default(),
            settings: HashMap::new(),
            lists: HashMap::new(),
        }
    }

    /// What a directive was set to in this very block.
    pub(crate) fn get(&self, name: &str) -> Option<&Rc<Directive<'s>>> {
        self.settings.get(name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.settings.contains_key(name)
    }

    /// Keeps a setting; the last one counts.
    pub(crate) fn set(&mut self, directive: &Directive<'s>) {
        self.settings.insert(directive.known, Rc::new(directive.clone()));
    }

    /// Keeps one of several lines of a directive.
    pub(crate) fn add(&mut self, directive: &Directive<'s>) {
        self.lists.entry(directive.known).or_default().push(Rc::new(directive.clone()));
    }

    /// All lines of a directive in this very block; none is not the same as an empty list.
    pub(crate) fn all(&self, name: &str) -> Option<&[Rc<Directive<'s>>]> {
        self.lists.get(name).map(Vec::as_slice)
    }
}
