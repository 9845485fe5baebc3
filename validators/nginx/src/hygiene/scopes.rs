//! The blocks of a configuration with the directives of each, includes replaced by what they include.

use std::ops::Range;

use foldhash::{HashMap, HashMapExt as _};

use crate::model::directive::Directive;
use crate::model::growth;
use crate::model::sources::Sources;
use crate::syntax::tree::NodeKind;
use crate::values::{glob, numbers};

use super::names::{KnownName, NameSet};

/// Limit of nested blocks and files.
const DEPTH: usize = 128;
/// Limit of directives, each time counted, at which files that include each other often end: those of a small configuration, those for each
/// byte of its files, and the most of any.
const MOST: (usize, usize, usize) = (50_000, 16, 1_000_000);
/// Directives as which an included file counts besides its own.
const INCLUDED: usize = 7;

/// The protocol that a block may belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockProtocol {
    /// It is outside of them.
    None,
    Http,
    Stream,
    Mail,
}

/// A directive as it is kept: a configuration has as many as lines.
#[derive(Clone, Copy)]
pub(super) struct ScopedNode {
    file: u32,
    node: u32,
    /// The index of its block, or [`NO_BLOCK`].
    block: u32,
    name: KnownName,
}

/// No index of a block.
const NO_BLOCK: u32 = u32::MAX;

/// An index as it is kept. There are fewer than [`MOST`] of each kind.
fn index(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(NO_BLOCK)
}

/// A block.
pub(super) struct HygieneScope<'s> {
    /// Its own directive; `None` outside of all blocks.
    pub(super) directive: Option<Directive<'s>>,
    /// The name of its directive.
    pub(super) name: KnownName,
    pub(super) protocol: BlockProtocol,
    /// The block around it.
    parent: Option<u32>,
    sources: &'s Sources<'s>,
    /// The directives in it, those with blocks included, each with its block.
    directives: &'s [ScopedNode],
    /// A file that may hold more of it is unknown.
    pub(super) incomplete: bool,
    /// The names in it, so that most searches end before they begin.
    names: NameSet,
}

impl<'s> HygieneScope<'s> {
    /// The outermost block.
    fn outermost(sources: &'s Sources<'s>) -> Self {
        Self {
            directive: None,
            name: KnownName::Other,
            protocol: BlockProtocol::None,
            parent: None,
            sources,
            directives: &[],
            incomplete: false,
            names: NameSet::default(),
        }
    }

    /// The number of directives in it.
    pub(super) fn len(&self) -> usize {
        self.directives.len()
    }

    /// The name of a directive in it.
    pub(super) fn name_at(&self, at: usize) -> KnownName {
        self.directives.get(at).map_or(KnownName::Other, |node| node.name)
    }

    /// A directive in it.
    pub(super) fn at(&self, at: usize) -> Option<Directive<'s>> {
        self.directives.get(at).and_then(|node| self.directive(*node))
    }

    fn directive(&self, node: ScopedNode) -> Option<Directive<'s>> {
        let file = node.file as usize;
        Directive::new(file, &self.sources.file(file).tree, node.node as usize)
    }

    /// The directives in it, those with blocks included.
    pub(super) fn directives(&self) -> impl Iterator<Item = Directive<'s>> + '_ {
        self.directives.iter().filter_map(|node| self.directive(*node))
    }

    /// The directives in it whose names a rule knows.
    pub(super) fn known(&self) -> impl Iterator<Item = (KnownName, Directive<'s>)> + '_ {
        let known = self.directives.iter().filter(|node| node.name != KnownName::Other);
        known.filter_map(|node| Some((node.name, self.directive(*node)?)))
    }

    /// The names of the directives in it, in their order.
    pub(super) fn names(&self) -> impl Iterator<Item = KnownName> + '_ {
        self.directives.iter().map(|node| node.name)
    }

    /// The nodes of that name in this very block.
    fn named(&self, name: KnownName) -> impl Iterator<Item = ScopedNode> + '_ {
        let nodes = if self.has(name) { self.directives } else { &[] };
        nodes.iter().copied().filter(move |node| node.name == name)
    }

    /// True if a directive of that name is in this very block.
    pub(super) fn has(&self, name: KnownName) -> bool {
        self.names.has(name)
    }

    /// The blocks of that name in this very block, each with its directive.
    pub(super) fn blocks(&self, name: KnownName) -> impl Iterator<Item = (Directive<'s>, usize)> + '_ {
        let blocks = self.named(name).filter(|node| node.block != NO_BLOCK);
        blocks.filter_map(|node| Some((self.directive(node)?, node.block as usize)))
    }

    /// The block around it.
    pub(super) fn parent(&self) -> Option<usize> {
        self.parent.map(|parent| parent as usize)
    }

    /// The first directive of that name in this very block.
    pub(super) fn get(&self, name: KnownName) -> Option<Directive<'s>> {
        self.all(name).next()
    }

    /// The directives of that name in this very block.
    pub(super) fn all(&self, name: KnownName) -> impl Iterator<Item = Directive<'s>> + '_ {
        self.named(name).filter_map(|node| self.directive(node))
    }
}

/// All blocks, each after the one around it.
pub(super) struct Scopes<'s> {
    pub(super) all: Vec<HygieneScope<'s>>,
    /// False if a file is unknown.
    pub(super) complete: bool,
}

/// The directives of all blocks, those of a block beside each other: a configuration has many blocks with few directives, so none has a
/// list of its own.
#[derive(Default)]
pub(super) struct BlockDirectives {
    nodes: Vec<ScopedNode>,
    /// The range of each block.
    ranges: Vec<Range<u32>>,
}

impl<'s> Scopes<'s> {
    /// Reads all blocks, and the directives for [`Self::with`].
    pub(super) fn of(main: &str, sources: &'s Sources<'s>) -> (Self, BlockDirectives) {
        let mut scopes = Self { all: vec![HygieneScope::outermost(sources)], complete: true };
        let mut read = BlockDirectives { nodes: vec![], ranges: vec![Range::default()] };
        if let Ok(file) = sources.first(main) {
            let (files, pending, patterns) = (vec![], vec![], HashMap::new());
            let most = MOST.2.min(MOST.0.saturating_add(sources.bytes().saturating_mul(MOST.1)));
            let (scopes, read) = (&mut scopes, &mut read);
            let mut expansion = Expansion { sources, scopes, read, files, count: 0, most, pending, patterns };
            expansion.file(file, 0, 0);
            expansion.close(0, 0);
        }
        (scopes, read)
    }

    /// Gives the blocks their directives.
    pub(super) fn with(mut self, read: &'s BlockDirectives) -> Self {
        for (scope, range) in self.all.iter_mut().zip(&read.ranges) {
            scope.directives = &read.nodes[range.start as usize..range.end as usize];
        }
        self
    }

    /// A block and those around it, from the inside out.
    pub(super) fn around(&self, scope: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(Some(scope), |at| self.all[*at].parent())
    }

    /// The innermost server around a block.
    pub(super) fn server(&self, scope: usize) -> Option<usize> {
        self.around(scope).find(|at| self.all[*at].name == KnownName::Server)
    }

    fn open(&mut self, name: KnownName, directive: Directive<'s>, parent: usize) -> usize {
        let around = &self.all[parent];
        let protocol = match name {
            KnownName::Http => BlockProtocol::Http,
            KnownName::Stream => BlockProtocol::Stream,
            KnownName::Mail => BlockProtocol::Mail,
            _ => around.protocol,
        };
        let (directive, parent) = (Some(directive), u32::try_from(parent).ok());
        let scope = HygieneScope { directive, name, protocol, parent, ..HygieneScope::outermost(around.sources) };
        growth::push(&mut self.all, scope);
        self.all.len() - 1
    }
}

/// The walk through the files.
struct Expansion<'s, 'w> {
    sources: &'s Sources<'s>,
    scopes: &'w mut Scopes<'s>,
    read: &'w mut BlockDirectives,
    /// The files that are being read.
    files: Vec<usize>,
    count: usize,
    /// The most directives that are read, each time counted.
    most: usize,
    /// The directives of the blocks that are being read, those of the innermost one last.
    pending: Vec<ScopedNode>,
    patterns: HashMap<&'s [u8], String>,
}

impl<'s> Expansion<'s, '_> {
    fn file(&mut self, file: usize, scope: usize, depth: usize) {
        if self.files.contains(&file) || self.files.len() >= DEPTH {
            return;
        }
        self.files.push(file);
        if self.sources.is_surrounding(file) {
            self.unknown(scope);
        }
        let end = self.sources.file(file).tree.nodes().len();
        self.nodes(file, 0..end, scope, depth);
        self.files.pop();
    }

    fn unknown(&mut self, scope: usize) {
        self.scopes.complete = false;
        self.scopes.all[scope].incomplete = true;
    }

    /// Adds a directive to the innermost block, with its own block if it has one.
    fn push(&mut self, scope: usize, name: KnownName, directive: &Directive<'s>, block: Option<usize>) {
        self.scopes.all[scope].names.add(name);
        let (file, node) = (index(directive.file()), index(directive.node()));
        growth::push(&mut self.pending, ScopedNode { file, node, block: block.map_or(NO_BLOCK, index), name });
    }

    /// Gives a block its directives, which are those pending from an index on.
    fn close(&mut self, scope: usize, from: usize) {
        let start = index(self.read.nodes.len());
        for node in self.pending.drain(from..) {
            growth::push(&mut self.read.nodes, node);
        }
        self.read.ranges[scope] = start..index(self.read.nodes.len());
    }

    fn nodes(&mut self, file: usize, nodes: Range<usize>, scope: usize, depth: usize) {
        let tree = &self.sources.file(file).tree;
        let mut at = nodes.start;
        while at < nodes.end && self.count < self.most {
            let node = &tree.nodes()[at];
            self.count += 1;
            if let Some(directive) = Directive::new(file, tree, at) {
                let word = directive.word(0);
                let name = KnownName::of(word);
                match node.kind {
                    NodeKind::Simple if word == b"include" && directive.count() == 1 => {
                        self.include(&directive, scope, depth);
                    }
                    NodeKind::Block if depth < DEPTH => {
                        let inner = self.scopes.open(name, directive, scope);
                        growth::push(&mut self.read.ranges, Range::default());
                        self.push(scope, name, &directive, Some(inner));
                        if self.sources.is_surrounding(file) {
                            self.unknown(inner);
                        }
                        let from = self.pending.len();
                        self.nodes(file, directive.inside(), inner, depth + 1);
                        self.close(inner, from);
                    }
                    _ => self.push(scope, name, &directive, None),
                }
            }
            at = tree.end(at);
        }
    }

    fn include(&mut self, directive: &Directive<'s>, scope: usize, depth: usize) {
        let sources = self.sources;
        let name = directive.word(1);
        let full = || sources.full_name(&String::from_utf8_lossy(numbers::c_string(name)));
        let pattern = self.patterns.entry(name).or_insert_with(full).clone();
        let paths = if glob::is_pattern(&pattern) {
            sources.matching(&pattern).map(<[String]>::to_vec)
        } else {
            Ok(vec![pattern])
        };
        let Ok(paths) = paths else {
            self.unknown(scope);
            return;
        };
        for path in paths {
            self.count += INCLUDED;
            match sources.at(&path) {
                Ok(file) => self.file(file, scope, depth),
                Err(_) => self.unknown(scope),
            }
        }
    }
}
