//! A directive as it is written in a file, with its words understood.

use std::borrow::Cow;

use reload_gate_contract::{Code, Span};

use crate::findings::problem::{Checked, Problem, SourceSpan};
use crate::syntax::tree::{SyntaxNode, SyntaxTree, Word};

/// A directive in use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Directive<'s> {
    pub(crate) file: usize,
    pub(crate) node: usize,
    /// The name in the table of directives, once it is found there.
    pub(crate) known: &'static str,
    tree: &'s SyntaxTree<'s>,
}

impl<'s> Directive<'s> {
    /// The directive of a node; `None` if it has no word.
    pub(crate) fn new(file: usize, tree: &'s SyntaxTree<'s>, node: usize) -> Option<Self> {
        (tree.count(node) > 0).then_some(Self { file, node, known: "", tree })
    }

    pub(crate) fn syntax(&self) -> &'s SyntaxNode {
        &self.tree.nodes()[self.node]
    }

    /// The number of arguments, without the name.
    pub(crate) fn count(&self) -> usize {
        self.tree.count(self.node) - 1
    }

    fn at(&self, at: usize) -> Word<'s> {
        self.tree.word(self.node, at).expect("a directive has the words that are asked for")
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
    pub(crate) fn arguments(self) -> impl Iterator<Item = (usize, &'s [u8])> {
        (1..=self.count()).map(move |at| (at, self.word(at)))
    }

    /// The span to report for a word: that of the word, unless nginx names another line, the one it had read up to.
    pub(crate) fn spot(&self, at: usize) -> SourceSpan {
        let (word, terminator) = (self.at(at).span, self.syntax().terminator(self.tree));
        let between = &self.tree.text()[word.start..terminator.start.max(word.start)];
        SourceSpan { file: self.file, span: if between.contains(&b'\n') { terminator } else { word } }
    }

    /// The span of a word itself.
    pub(crate) fn exact(&self, at: usize) -> SourceSpan {
        SourceSpan { file: self.file, span: self.at(at).span }
    }

    /// True if the directive has more than one line.
    pub(crate) fn has_lines(&self) -> bool {
        let (first, end) = (self.at(0).span.end, self.syntax().terminator(self.tree).start);
        self.tree.text()[first..end.max(first)].contains(&b'\n')
    }

    /// True if a word without quotes is the first of its line.
    pub(crate) fn begins_line(&self, at: usize) -> bool {
        let start = self.at(at).span.start;
        !matches!(self.tree.text()[start], b'"' | b'\'') && self.tree.indentation(start).is_some()
    }

    /// The span behind a word.
    pub(crate) fn end_of(&self, at: usize) -> SourceSpan {
        let end = self.at(at).span.end;
        SourceSpan { file: self.file, span: Span { start: end, end } }
    }

    /// The span of the directive's `;` or `{`, whose line nginx names when it reports the directive.
    pub(crate) fn terminator(&self) -> SourceSpan {
        SourceSpan { file: self.file, span: self.syntax().terminator(self.tree) }
    }

    /// The span of the `}` of its block.
    pub(crate) fn closing(&self) -> SourceSpan {
        SourceSpan { file: self.file, span: self.syntax().closing(self.tree) }
    }

    /// The number of the line that nginx would name.
    pub(crate) fn line(&self) -> u32 {
        self.tree.line(self.terminator().span.start)
    }

    pub(crate) fn is_block(&self) -> bool {
        self.syntax().kind == crate::syntax::tree::NodeKind::Block
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
