//! The blocks of a configuration, and what is set in each.

use std::ops::{Index, IndexMut};

use crate::directives::Contexts;
use crate::model::directive::Directive;
use crate::model::growth;
use crate::model::location::Location;
use crate::model::sources::Sources;

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
pub(crate) struct Block {
    pub(crate) context: Contexts,
    /// The modules that hand requests on and have directives in it, as bits.
    pub(crate) families: u8,
    parent: ListLink,
    /// Its name and kind, if it is a location.
    location: ListLink,
    /// The directive that came into use last, of which the others can be reached.
    last_kept: ListLink,
    /// The first and the last location in it.
    locations: [ListLink; 2],
    /// The next location in the block around it.
    next_location: ListLink,
}

impl Block {
    /// The block around it, from which it inherits.
    pub(crate) fn parent(&self) -> Option<BlockId> {
        self.parent.get()
    }
}

/// A directive that is set once in its block, or the first of several lines.
#[derive(Debug)]
struct KeptDirective<'s> {
    directive: Directive<'s>,
    /// The directive of another name that was kept before in the same block.
    before: ListLink,
    more: MoreLines,
}

/// Further lines of a kept directive, in four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct MoreLines(u32);

impl MoreLines {
    /// It is set once.
    const SETTING: Self = Self(u32::MAX);
    /// It may have several lines, and has one.
    const NONE: Self = Self(u32::MAX - 1);

    fn is_list(self) -> bool {
        self != Self::SETTING
    }

    /// The index of its ends among those of all lists with several lines.
    fn ends(self) -> Option<usize> {
        (self.0 < Self::NONE.0).then_some(self.0 as usize)
    }
}

/// A line of a directive that has several.
#[derive(Debug)]
struct ListedDirective {
    file: u32,
    node: u32,
    next: ListLink,
}

/// All blocks with their directives. A block has few names, so that to go through them is the fastest search; and there are many
/// blocks, so that none has a list of its own.
pub(crate) struct Blocks<'s> {
    sources: &'s Sources<'s>,
    all: Vec<Block>,
    /// The locations among them.
    places: Vec<Location<'s>>,
    kept: Vec<KeptDirective<'s>>,
    /// All lines but the first of each directive.
    lines: Vec<ListedDirective>,
    /// The second and the last line of each directive that has several.
    ends: Vec<[usize; 2]>,
}

impl Index<BlockId> for Blocks<'_> {
    type Output = Block;

    fn index(&self, block: BlockId) -> &Block {
        &self.all[block]
    }
}

impl IndexMut<BlockId> for Blocks<'_> {
    fn index_mut(&mut self, block: BlockId) -> &mut Block {
        &mut self.all[block]
    }
}

impl<'s> Blocks<'s> {
    /// The outermost block alone.
    pub(crate) fn new(sources: &'s Sources<'s>) -> Self {
        let mut blocks = Self { sources, all: vec![], places: vec![], kept: vec![], lines: vec![], ends: vec![] };
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
        growth::push(
            &mut self.all,
            Block {
                context,
                families: 0,
                parent,
                location: ListLink::NONE,
                last_kept: ListLink::NONE,
                locations: [ListLink::NONE; 2],
                next_location: ListLink::NONE,
            },
        );
        self.all.len() - 1
    }

    /// Adds an open block to the locations of the block around it, in nginx's sense: `location`, `if` and `limit_except`.
    pub(crate) fn add_location(&mut self, block: BlockId, location: Location<'s>) {
        self.all[block].location = ListLink::to(self.places.len());
        growth::push(&mut self.places, location);
        let Some(parent) = self.all[block].parent() else { return };
        let [first, last] = self.all[parent].locations;
        if let Some(last) = last.get() {
            self.all[last].next_location = ListLink::to(block);
        }
        self.all[parent].locations =
            [if first == ListLink::NONE { ListLink::to(block) } else { first }, ListLink::to(block)];
    }

    /// Name and kind of a block that is a location.
    pub(crate) fn location(&self, block: BlockId) -> Location<'s> {
        self.all[block].location.get().map_or_else(Location::default, |at| self.places[at])
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
        self.kept(block).find(|at| self.kept[*at].more.is_list() == is_list && self.kept[*at].directive.known() == name)
    }

    fn keep(&mut self, block: BlockId, directive: &Directive<'s>, is_list: bool) {
        let before = self.all[block].last_kept;
        self.all[block].last_kept = ListLink::to(self.kept.len());
        let more = if is_list { MoreLines::NONE } else { MoreLines::SETTING };
        growth::push(&mut self.kept, KeptDirective { directive: *directive, before, more });
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
        let line = self.lines.len();
        let [file, node] = [directive.file(), directive.node()].map(|index| ListLink::to(index).0);
        growth::push(&mut self.lines, ListedDirective { file, node, next: ListLink::NONE });
        match self.kept[at].more.ends() {
            Some(ends) => {
                let last = std::mem::replace(&mut self.ends[ends][1], line);
                self.lines[last].next = ListLink::to(line);
            }
            None => {
                self.kept[at].more = MoreLines(ListLink::to(self.ends.len()).0);
                growth::push(&mut self.ends, [line; 2]);
            }
        }
    }

    /// True if a directive has a line in this very block.
    pub(crate) fn has_lines(&self, block: BlockId, name: &str) -> bool {
        self.find(block, name, true).is_some()
    }

    /// All lines of a directive in this very block, in order.
    pub(crate) fn lines(&self, block: BlockId, name: &str) -> impl Iterator<Item = Directive<'s>> {
        let first = self.find(block, name, true).map(|at| &self.kept[at]);
        let second = first.and_then(|first| Some(self.ends[first.more.ends()?][0]));
        let more = std::iter::successors(second, |at| self.lines[*at].next.get());
        let more = more.filter_map(move |at| self.listed(&self.lines[at], &first?.directive));
        first.map(|first| first.directive).into_iter().chain(more)
    }

    /// A line of a directive, of which all lines have the same entry in the table of directives.
    fn listed(&self, line: &ListedDirective, first: &Directive<'s>) -> Option<Directive<'s>> {
        let directive =
            Directive::new(line.file as usize, &self.sources.file(line.file as usize).tree, line.node as usize);
        Some(directive?.like(first))
    }
}
