//! The blocks of a configuration with the directives of each, includes replaced by what they include.

use foldhash::{HashMap, HashMapExt as _};

use crate::model::directive::Directive;
use crate::model::growth;
use crate::model::sources::Sources;
use crate::syntax::tree::NodeKind;
use crate::values::{glob, numbers};

/// Limit of nested blocks and files.
const DEPTH: usize = 128;
/// Limit of directives, each time counted, at which files that include each other often end: those of a small configuration, those for each
/// byte of its files, and the most of any.
const MOST: (usize, usize, usize) = (50_000, 16, 1_000_000);
/// Directives as which an included file counts besides its own.
const INCLUDED: usize = 7;

/// The protocols that a block may belong to; none outside of them.
const PROTOCOLS: [&[u8]; 4] = [b"", b"http", b"stream", b"mail"];

/// A directive, with the index of its block if it has one.
pub(super) type ScopedDirective<'s> = (Directive<'s>, Option<u32>);

/// A directive as it is kept: a configuration has as many as lines.
#[derive(Clone, Copy)]
struct ScopedNode {
    file: u32,
    node: u32,
    /// The index of its block, or [`NO_BLOCK`].
    block: u32,
}

/// No index of a block.
const NO_BLOCK: u32 = u32::MAX;

/// A block.
pub(super) struct HygieneScope<'s> {
    /// Its own directive; `None` outside of all blocks.
    pub(super) directive: Option<Directive<'s>>,
    /// The block around it.
    parent: Option<u32>,
    sources: &'s Sources<'s>,
    /// The directives in it, those with blocks included, each with its block.
    directives: Box<[ScopedNode]>,
    /// A file that may hold more of it is unknown.
    pub(super) incomplete: bool,
    /// It has a `rewrite`.
    pub(super) rewrites: bool,
    /// A bit for each name in it, so that most searches end before they begin. Names may share a bit.
    names: u64,
}

/// The bit of a name, by its length and some of its bytes.
fn bit(name: &[u8]) -> u64 {
    let length = name.len();
    let some =
        [0, length / 3, length / 2, length.saturating_sub(2)].map(|at| name.get(at).copied().unwrap_or_default());
    let hash = some.iter().fold(length, |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    1 << ((hash ^ (hash >> 6)) & 63)
}

impl<'s> HygieneScope<'s> {
    fn new(sources: &'s Sources<'s>, directive: Option<Directive<'s>>, parent: Option<u32>) -> Self {
        let directives = Box::default();
        Self { directive, parent, sources, directives, incomplete: false, rewrites: false, names: 0 }
    }

    /// The number of directives in it.
    pub(super) fn len(&self) -> usize {
        self.directives.len()
    }

    /// A directive in it, with its block.
    pub(super) fn at(&self, at: usize) -> Option<ScopedDirective<'s>> {
        self.directives.get(at).and_then(|node| self.scoped(*node))
    }

    /// The directives in it, those with blocks included, each with its block.
    pub(super) fn directives(&self) -> impl Iterator<Item = ScopedDirective<'s>> + '_ {
        self.directives.iter().filter_map(|node| self.scoped(*node))
    }

    fn scoped(&self, ScopedNode { file, node, block }: ScopedNode) -> Option<ScopedDirective<'s>> {
        let tree = &self.sources.file(file as usize).tree;
        let directive = Directive::new(file as usize, tree, node as usize)?;
        Some((directive, (block != NO_BLOCK).then_some(block)))
    }

    /// The directives in it, or none if it has no directive of that name for certain.
    fn with(&self, name: &[u8]) -> impl Iterator<Item = ScopedDirective<'s>> + '_ {
        let nodes = if self.names & bit(name) == 0 { &[] } else { &*self.directives };
        nodes.iter().filter_map(|node| self.scoped(*node))
    }

    /// The blocks of that name in this very block, each with its directive.
    pub(super) fn blocks<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = (Directive<'s>, usize)> + 'a {
        let named = self.with(name).filter(move |(directive, _)| directive.word(0) == name);
        named.filter_map(|(directive, block)| Some((directive, block? as usize)))
    }

    /// The block around it.
    pub(super) fn parent(&self) -> Option<usize> {
        self.parent.map(|parent| parent as usize)
    }

    /// The name of its directive.
    pub(super) fn name(&self) -> &'s [u8] {
        self.directive.map_or(b"", |directive| directive.word(0))
    }

    /// The first directive of that name in this very block.
    pub(super) fn get(&self, name: &[u8]) -> Option<Directive<'s>> {
        self.with(name).map(|(directive, _)| directive).find(|directive| directive.word(0) == name)
    }

    /// The directives of that name in this very block.
    pub(super) fn all<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = Directive<'s>> + 'a {
        self.with(name).map(|(directive, _)| directive).filter(move |directive| directive.word(0) == name)
    }
}

/// All blocks, each after the one around it.
pub(super) struct Scopes<'s> {
    pub(super) all: Vec<HygieneScope<'s>>,
    sources: &'s Sources<'s>,
    /// False if a file is unknown.
    pub(super) complete: bool,
    /// The protocol of each block, by its index among [`PROTOCOLS`].
    protocols: Vec<u8>,
}

impl<'s> Scopes<'s> {
    pub(super) fn of(main: &str, sources: &'s Sources<'s>) -> Self {
        let root = HygieneScope::new(sources, None, None);
        let mut scopes = Self { all: vec![root], sources, complete: true, protocols: vec![0] };
        if let Ok(file) = sources.first(main) {
            let (files, pending, patterns) = (vec![], vec![], HashMap::new());
            let most = MOST.2.min(MOST.0.saturating_add(sources.bytes().saturating_mul(MOST.1)));
            let mut expansion = Expansion { sources, scopes: &mut scopes, files, count: 0, most, pending, patterns };
            expansion.file(file, 0, 0);
            expansion.close(0, 0);
        }
        scopes
    }

    /// The protocol that a block belongs to.
    pub(super) fn protocol(&self, scope: usize) -> &'static [u8] {
        PROTOCOLS[usize::from(self.protocols[scope])]
    }

    /// A block and those around it, from the inside out.
    pub(super) fn around(&self, scope: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(Some(scope), |at| self.all[*at].parent())
    }

    /// The innermost server around a block.
    pub(super) fn server(&self, scope: usize) -> Option<usize> {
        self.around(scope).find(|at| self.all[*at].name() == b"server")
    }

    fn open(&mut self, directive: Directive<'s>, parent: usize) -> usize {
        let protocol = match directive.word(0) {
            b"http" => 1,
            b"stream" => 2,
            b"mail" => 3,
            _ => self.protocols[parent],
        };
        self.protocols.push(protocol);
        growth::push(&mut self.all, HygieneScope::new(self.sources, Some(directive), u32::try_from(parent).ok()));
        self.all.len() - 1
    }
}

/// The walk through the files.
struct Expansion<'s, 'w> {
    sources: &'s Sources<'s>,
    scopes: &'w mut Scopes<'s>,
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
    fn push(&mut self, scope: usize, name: &[u8], directive: Directive<'s>, block: Option<usize>) {
        let scope = &mut self.scopes.all[scope];
        scope.names |= bit(name);
        scope.rewrites |= name == b"rewrite";
        let index = |index: usize| u32::try_from(index).unwrap_or(NO_BLOCK);
        let (file, node) = (index(directive.file()), index(directive.node()));
        growth::push(&mut self.pending, ScopedNode { file, node, block: block.map_or(NO_BLOCK, index) });
    }

    /// Gives a block its directives, which are those pending from an index on.
    fn close(&mut self, scope: usize, from: usize) {
        self.scopes.all[scope].directives = self.pending.drain(from..).collect();
    }

    fn nodes(&mut self, file: usize, nodes: std::ops::Range<usize>, scope: usize, depth: usize) {
        let tree = &self.sources.file(file).tree;
        let mut at = nodes.start;
        while at < nodes.end && self.count < self.most {
            let node = &tree.nodes()[at];
            self.count += 1;
            if let Some(directive) = Directive::new(file, tree, at) {
                let name = directive.word(0);
                match node.kind {
                    NodeKind::Simple if name == b"include" && directive.count() == 1 => {
                        self.include(&directive, scope, depth);
                    }
                    NodeKind::Block if depth < DEPTH => {
                        let inner = self.scopes.open(directive, scope);
                        self.push(scope, name, directive, Some(inner));
                        if self.sources.is_surrounding(file) {
                            self.unknown(inner);
                        }
                        let from = self.pending.len();
                        self.nodes(file, directive.inside(), inner, depth + 1);
                        self.close(inner, from);
                    }
                    _ => self.push(scope, name, directive, None),
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
