//! The blocks of a configuration, and what is set in each.

use std::ops::{Index, IndexMut};

use crate::directives::Contexts;
use crate::model::directive::Directive;
use crate::model::location::Location;

/// The index of a block among all.
pub(crate) type BlockId = usize;

/// An index in four bytes, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ListLink(u32);

impl ListLink {
    const NONE: Self = Self(u32::MAX);

    fn to(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }

    fn get(self) -> Option<usize> {
        (self != Self::NONE).then_some(self.0 as usize)
    }
}

/// A block: `http`, a `server`, a `location`, …
#[derive(Debug)]
pub(crate) struct Block<'s> {
    pub(crate) context: Contexts,
    pub(crate) location: Location<'s>,
    /// The modules that hand requests on and have directives in it, as bits.
    pub(crate) families: u8,
    parent: ListLink,
    /// The directive that came into use last, of which the others can be reached.
    last_kept: ListLink,
    /// The first and the last location in it.
    locations: [ListLink; 2],
    /// The next location in the block around it.
    next_location: ListLink,
}

impl Block<'_> {
    /// The block around it, from which it inherits.
    pub(crate) fn parent(&self) -> Option<BlockId> {
        self.parent.get()
    }
}

/// A directive that is set once in its block, or the first of several lines.
#[derive(Debug)]
struct KeptDirective<'s> {
    directive: Directive<'s>,
    /// It may have several lines.
    is_list: bool,
    /// The directive of another name that was kept before in the same block.
    before: ListLink,
    /// The second and the last line.
    more: [ListLink; 2],
}

/// A line of a directive that has several.
#[derive(Debug)]
struct ListedDirective<'s> {
    directive: Directive<'s>,
    next: ListLink,
}

/// All blocks with their directives. A block has few names, so that to go through them is the fastest search; and there are many
/// blocks, so that none has a list of its own.
#[derive(Debug)]
pub(crate) struct Blocks<'s> {
    all: Vec<Block<'s>>,
    kept: Vec<KeptDirective<'s>>,
    /// All lines but the first of each directive.
    lines: Vec<ListedDirective<'s>>,
}

impl<'s> Index<BlockId> for Blocks<'s> {
    type Output = Block<'s>;

    fn index(&self, block: BlockId) -> &Block<'s> {
        &self.all[block]
    }
}

impl<'s> IndexMut<BlockId> for Blocks<'s> {
    fn index_mut(&mut self, block: BlockId) -> &mut Block<'s> {
        &mut self.all[block]
    }
}

impl<'s> Blocks<'s> {
    /// The outermost block alone.
    pub(crate) fn new() -> Self {
        let mut blocks = Self { all: vec![], kept: vec![], lines: vec![] };
        blocks.push(Contexts::MAIN, ListLink::NONE);
        blocks
    }

    /// The number of blocks.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Opens a block within another.
    pub(crate) fn open(&mut self, context: Contexts, parent: BlockId) -> BlockId {
        self.push(context, ListLink::to(parent))
    }

    fn push(&mut self, context: Contexts, parent: ListLink) -> BlockId {
        self.all.push(Block {
            context,
            location: Location::default(),
            families: 0,
            parent,
            last_kept: ListLink::NONE,
            locations: [ListLink::NONE; 2],
            next_location: ListLink::NONE,
        });
        self.all.len() - 1
    }

    /// Adds an open block to the locations of the block around it, in nginx's sense: `location`, `if` and `limit_except`.
    pub(crate) fn add_location(&mut self, block: BlockId, location: Location<'s>) {
        self.all[block].location = location;
        let Some(parent) = self.all[block].parent() else { return };
        let [first, last] = self.all[parent].locations;
        if let Some(last) = last.get() {
            self.all[last].next_location = ListLink::to(block);
        }
        self.all[parent].locations =
            [if first == ListLink::NONE { ListLink::to(block) } else { first }, ListLink::to(block)];
    }

    /// The locations in a block, in order.
    pub(crate) fn locations(&self, block: BlockId) -> impl Iterator<Item = BlockId> + '_ {
        std::iter::successors(self.all[block].locations[0].get(), |at| self.all[*at].next_location.get())
    }

    /// The directives that are kept of a block, each of another name or kind.
    fn kept(&self, block: BlockId) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(self.all[block].last_kept.get(), |at| self.kept[*at].before.get())
    }

    fn find(&self, block: BlockId, name: &str, is_list: bool) -> Option<usize> {
        self.kept(block).find(|at| self.kept[*at].is_list == is_list && self.kept[*at].directive.known() == name)
    }

    fn keep(&mut self, block: BlockId, directive: &Directive<'s>, is_list: bool) {
        let before = self.all[block].last_kept;
        self.all[block].last_kept = ListLink::to(self.kept.len());
        self.kept.push(KeptDirective { directive: *directive, is_list, before, more: [ListLink::NONE; 2] });
    }

    /// The setting of a directive in this very block.
    pub(crate) fn get(&self, block: BlockId, name: &str) -> Option<&Directive<'s>> {
        self.find(block, name, false).map(|at| &self.kept[at].directive)
    }

    pub(crate) fn has(&self, block: BlockId, name: &str) -> bool {
        self.find(block, name, false).is_some()
    }

    /// Keeps a setting that the block does not have yet.
    pub(crate) fn set_first(&mut self, block: BlockId, directive: &Directive<'s>) {
        self.keep(block, directive, false);
    }

    /// Keeps a setting; the last one counts.
    pub(crate) fn set(&mut self, block: BlockId, directive: &Directive<'s>) {
        match self.find(block, directive.known(), false) {
            Some(at) => self.kept[at].directive = *directive,
            None => self.keep(block, directive, false),
        }
    }

    /// Keeps one of several lines of a directive.
    pub(crate) fn add(&mut self, block: BlockId, directive: &Directive<'s>) {
        let Some(at) = self.find(block, directive.known(), true) else { return self.keep(block, directive, true) };
        let line = ListLink::to(self.lines.len());
        self.lines.push(ListedDirective { directive: *directive, next: ListLink::NONE });
        let [second, last] = self.kept[at].more;
        if let Some(last) = last.get() {
            self.lines[last].next = line;
        }
        self.kept[at].more = [if second == ListLink::NONE { line } else { second }, line];
    }

    /// True if a directive has a line in this very block.
    pub(crate) fn has_lines(&self, block: BlockId, name: &str) -> bool {
        self.find(block, name, true).is_some()
    }

    /// All lines of a directive in this very block, in order.
    pub(crate) fn lines(&self, block: BlockId, name: &str) -> impl Iterator<Item = &Directive<'s>> {
        let first = self.find(block, name, true).map(|at| &self.kept[at]);
        let second = first.and_then(|first| first.more[0].get());
        let more = std::iter::successors(second, |at| self.lines[*at].next.get());
        first.map(|first| &first.directive).into_iter().chain(more.map(|at| &self.lines[at].directive))
    }
}
