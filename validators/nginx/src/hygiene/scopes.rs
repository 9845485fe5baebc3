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
    /// The index of its block, or [`NONE`].
    block: u32,
    /// The index of the next one in the block around it, or [`NONE`].
    next: u32,
    pub(super) name: KnownName,
}

/// No index.
const NONE: u32 = u32::MAX;

/// An index as it is kept. There are fewer than [`MOST`] of each kind.
fn index(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(NONE)
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
    directives: NodeChain<'s>,
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
            directives: NodeChain::default(),
            incomplete: false,
            names: NameSet::default(),
        }
    }

    /// The nodes of the directives in it.
    pub(super) fn nodes(&self) -> NodeChain<'s> {
        self.directives
    }

    /// The directive of a node in it.
    pub(super) fn directive_of(&self, node: ScopedNode) -> Option<Directive<'s>> {
        let file = node.file as usize;
        Directive::new(file, &self.sources.file(file).tree, node.node as usize)
    }

    /// The directives in it, those with blocks included.
    pub(super) fn directives(&self) -> impl Iterator<Item = Directive<'s>> + '_ {
        self.directives.filter_map(|node| self.directive_of(node))
    }

    /// The directives in it whose names a rule knows.
    pub(super) fn known(&self) -> impl Iterator<Item = (KnownName, Directive<'s>)> + '_ {
        let known = self.directives.filter(|node| node.name != KnownName::Other);
        known.filter_map(|node| Some((node.name, self.directive_of(node)?)))
    }

    /// The names of the directives in it, in their order.
    pub(super) fn names(&self) -> impl Iterator<Item = KnownName> {
        self.directives.map(|node| node.name)
    }

    /// The nodes of that name in this very block.
    fn named(&self, name: KnownName) -> impl Iterator<Item = ScopedNode> + use<'s> {
        let nodes = if self.has(name) { self.directives } else { NodeChain::default() };
        nodes.filter(move |node| node.name == name)
    }

    /// True if a directive of that name is in this very block.
    pub(super) fn has(&self, name: KnownName) -> bool {
        self.names.has(name)
    }

    /// The blocks of that name in this very block, each with its directive.
    pub(super) fn blocks(&self, name: KnownName) -> impl Iterator<Item = (Directive<'s>, usize)> + '_ {
        let blocks = self.named(name).filter(|node| node.block != NONE);
        blocks.filter_map(|node| Some((self.directive_of(node)?, node.block as usize)))
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
        self.named(name).filter_map(|node| self.directive_of(node))
    }
}

/// All blocks, each after the one around it.
pub(super) struct Scopes<'s> {
    pub(super) all: Vec<HygieneScope<'s>>,
    /// False if a file is unknown.
    pub(super) complete: bool,
}

/// The directives of all blocks. Those of a block are a chain: a configuration has many blocks, so none has a list of its own.
#[derive(Default)]
pub(super) struct BlockDirectives {
    nodes: Vec<ScopedNode>,
    /// The first and the last one of each block.
    ends: Vec<[u32; 2]>,
}

impl BlockDirectives {
    fn open(&mut self) {
        growth::push(&mut self.ends, [NONE; 2]);
    }

    fn push(&mut self, scope: usize, node: ScopedNode) {
        let at = index(self.nodes.len());
        let [first, last] = &mut self.ends[scope];
        match self.nodes.get_mut(*last as usize) {
            Some(last) => last.next = at,
            None => *first = at,
        }
        *last = at;
        growth::push(&mut self.nodes, node);
    }
}

/// The rest of the directives of a block.
#[derive(Clone, Copy, Default)]
pub(super) struct NodeChain<'s> {
    nodes: &'s [ScopedNode],
    next: u32,
}

impl Iterator for NodeChain<'_> {
    type Item = ScopedNode;

    fn next(&mut self) -> Option<ScopedNode> {
        let node = *self.nodes.get(self.next as usize)?;
        self.next = node.next;
        Some(node)
    }
}

impl<'s> Scopes<'s> {
    /// Reads all blocks, and the directives for [`Self::with`].
    pub(super) fn of(main: &str, sources: &'s Sources<'s>) -> (Self, BlockDirectives) {
        let mut scopes = Self { all: vec![HygieneScope::outermost(sources)], complete: true };
        let mut read = BlockDirectives::default();
        read.open();
        if let Ok(file) = sources.first(main) {
            let (files, patterns) = (vec![], HashMap::new());
            let most = MOST.2.min(MOST.0.saturating_add(sources.bytes().saturating_mul(MOST.1)));
            let (scopes, read) = (&mut scopes, &mut read);
            let mut expansion = Expansion { sources, scopes, read, files, count: 0, most, patterns };
            expansion.file(file, 0, 0);
        }
        (scopes, read)
    }

    /// Gives the blocks their directives.
    pub(super) fn with(mut self, read: &'s BlockDirectives) -> Self {
        for (scope, [first, _]) in self.all.iter_mut().zip(&read.ends) {
            scope.directives = NodeChain { nodes: &read.nodes, next: *first };
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

    /// Adds a directive to a block, with its own block if it has one.
    fn push(&mut self, scope: usize, name: KnownName, directive: &Directive<'s>, block: Option<usize>) {
        self.scopes.all[scope].names.add(name);
        let (file, node, block) = (index(directive.file()), index(directive.node()), block.map_or(NONE, index));
        self.read.push(scope, ScopedNode { file, node, block, next: NONE, name });
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
                        self.read.open();
                        self.push(scope, name, &directive, Some(inner));
                        if self.sources.is_surrounding(file) {
                            self.unknown(inner);
                        }
                        self.nodes(file, directive.inside(), inner, depth + 1);
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
