//! A directive as it is written in a file, with its words understood.

use std::borrow::Cow;

use reload_gate_contract::{Code, Span};

use crate::directives::Definition;
use crate::findings::problem::{Checked, Problem, SourceSpan};
use crate::syntax::tree::{NodeKind, SyntaxTree, Word};

/// A directive in use. Many are kept, so it is small.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Directive<'s> {
    file: u32,
    node: u32,
    /// The entry in the table of directives, once it is found there.
    entry: Option<&'static Definition>,
    tree: &'s SyntaxTree<'s>,
}

impl<'s> Directive<'s> {
    /// The directive of a node; `None` if it has no word.
    pub(crate) fn new(file: usize, tree: &'s SyntaxTree<'s>, node: usize) -> Option<Self> {
        let [file, index] = [file, node].map(|index| u32::try_from(index).unwrap_or(u32::MAX));
        (tree.count(node) > 0).then_some(Self { file, node: index, entry: None, tree })
    }

    /// The same directive, as the one of an entry in the table of directives.
    pub(crate) fn of(self, entry: &'static Definition) -> Self {
        Self { entry: Some(entry), ..self }
    }

    /// The same directive, as the one of the entry of another.
    pub(crate) fn like(self, other: &Self) -> Self {
        Self { entry: other.entry, ..self }
    }

    /// The name in the table of directives; none before it is found there.
    pub(crate) fn known(&self) -> &'static str {
        self.entry.map_or("", |entry| entry.name)
    }

    /// The index of its file.
    pub(crate) fn file(&self) -> usize {
        self.file as usize
    }

    /// The index of its node.
    pub(crate) fn node(&self) -> usize {
        self.node as usize
    }

    fn source(&self, span: Span) -> SourceSpan {
        SourceSpan::new(self.file(), span)
    }

    /// The number of arguments, without the name.
    pub(crate) fn count(&self) -> usize {
        self.tree.count(self.node()) - 1
    }

    fn at(&self, at: usize) -> Word<'s> {
        self.tree.word(self.node(), at).expect("a directive has the words that are asked for")
    }

    /// A word: 0 is the name.
    pub(crate) fn word(&self, at: usize) -> &'s [u8] {
        self.at(at).value
    }

    /// A word as text, for messages.
    pub(crate) fn text(&self, at: usize) -> Cow<'s, str> {
        String::from_utf8_lossy(self.word(at))
    }

    pub(crate) fn name(&self) -> Cow<'s, str> {
        self.text(0)
    }

    /// The arguments, each with its index.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = (usize, &'s [u8])> + use<'s> {
        (1..).zip(self.tree.words(self.node()).skip(1).map(|word| word.value))
    }

    /// The span to report for a word: that of the word, unless nginx names another line, the one it had read up to.
    pub(crate) fn spot(&self, at: usize) -> SourceSpan {
        let (word, terminator) = (self.at(at).span, self.tree.terminator(self.node()));
        let between = || &self.tree.text()[word.start..terminator.start.max(word.start)];
        let is_apart = (at == 0 || self.has_lines()) && between().contains(&b'\n');
        self.source(if is_apart { terminator } else { word })
    }

    /// The span of a word itself.
    pub(crate) fn exact(&self, at: usize) -> SourceSpan {
        self.source(self.at(at).span)
    }

    /// True if the directive has more than one line.
    pub(crate) fn has_lines(&self) -> bool {
        self.tree.nodes()[self.node()].has_lines()
    }

    /// True if a word without quotes is the first of its line.
    pub(crate) fn begins_line(&self, at: usize) -> bool {
        let start = self.at(at).span.start;
        !matches!(self.tree.text()[start], b'"' | b'\'') && self.tree.indentation(start).is_some()
    }

    /// The span behind a word.
    pub(crate) fn end_of(&self, at: usize) -> SourceSpan {
        let end = self.at(at).span.end;
        self.source(Span { start: end, end })
    }

    /// The span of the directive's `;` or `{`, whose line nginx names when it reports the directive.
    pub(crate) fn terminator(&self) -> SourceSpan {
        self.source(self.tree.terminator(self.node()))
    }

    /// The span of the `}` of its block.
    pub(crate) fn closing(&self) -> SourceSpan {
        self.source(self.tree.closing(self.node()))
    }

    /// The number of the line that nginx would name.
    pub(crate) fn line(&self) -> u32 {
        self.tree.line(self.terminator().span().start)
    }

    /// The nodes of its block.
    pub(crate) fn inside(&self) -> std::ops::Range<usize> {
        self.node() + 1..self.tree.end(self.node())
    }

    pub(crate) fn is_block(&self) -> bool {
        self.tree.nodes()[self.node()].kind == NodeKind::Block
    }

    /// A problem with the word `at`.
    pub(crate) fn problem(&self, at: usize, code: Code, message: impl Into<String>) -> Box<Problem> {
        Box::new(Problem::error(code, message, self.spot(at)))
    }

    /// Refuses the directive because of the word `at`.
    pub(crate) fn refuse<T>(&self, at: usize, code: Code, message: impl Into<String>) -> Checked<T> {
        Err(self.problem(at, code, message))
    }

    /// Refuses the directive in the form that nginx's setters use: `"name" directive …`.
    pub(crate) fn refuse_directive<T>(&self, at: usize, code: Code, complaint: &str) -> Checked<T> {
        Err(self.problem(at, code, format!("\"{}\" directive {complaint}", self.name())))
    }
}
