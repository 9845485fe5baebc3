//! Syntax errors, and where a `;` or a `}` is missing.
//!
//! nginx notices a missing `;` at the end of the next directive, and a missing `}` at the end of the file. The error keeps
//! nginx's place; a note points to where the character is missing.

use reload_gate_contract::{Severity, Span};

use super::{Checker, Reading};
use crate::directives;
use crate::findings::codes;
use crate::findings::problem::{Checked, Problem, SourceSpan};
use crate::model::directive::Directive;
use crate::syntax::tree::{NodeKind, SyntaxError, SyntaxTree};

impl<'s> Checker<'s> {
    /// The word after which a `;` is missing, if the next one begins a line with a directive that is allowed here.
    pub(super) fn swallowed(&self, directive: &Directive<'s>, reading: &Reading<'_, 's>) -> Option<usize> {
        let Reading::Directives(block) = reading else { return None };
        if !directive.has_lines() {
            return None;
        }
        let (version, build) = (self.options.version, self.options.build);
        let context = self.blocks[*block].context;
        let is_directive = |word: &[u8]| {
            std::str::from_utf8(word).is_ok_and(|name| {
                directives::lookup_in(name, version, build).any(|row| row.contexts.intersects(context))
            })
        };
        (1..=directive.count())
            .find(|at| directive.begins_line(*at) && is_directive(directive.word(*at)))
            .map(|at| at - 1)
    }

    /// Reports a problem with a directive, if there is one, and a `;` that is missing within it.
    pub(super) fn take_with_hint(&mut self, outcome: Checked, directive: &Directive<'s>, swallowed: Option<usize>) {
        let Some(at) = swallowed else { return self.take(outcome) };
        let spot = directive.end_of(at);
        if let Err(problem) = outcome {
            let help = format!("write a `;` before `{}`, which begins a directive of its own", directive.text(at + 1));
            self.report(if problem.help.is_some() { *problem } else { problem.help(help) });
        }
        self.missing_semicolon(spot);
    }

    fn missing_semicolon(&mut self, spot: SourceSpan) {
        let problem = Problem::error(codes::MISSING_SEMICOLON, "a semicolon is missing here", spot);
        self.report(Problem { severity: Severity::Note, ..problem.help("add a `;`") });
    }

    pub(super) fn syntax_error(&mut self, file: usize, node: usize, error: SyntaxError) {
        let sources = self.sources;
        let tree = &sources.file(file).tree;
        let spot = SourceSpan::new(file, tree.terminator(node));
        let (code, message) = match error {
            SyntaxError::Unexpected(byte) => {
                (codes::UNEXPECTED_TOKEN, format!("unexpected \"{}\"", String::from_utf8_lossy(&[byte])))
            }
            SyntaxError::UnfinishedDirective if sources.global() == Some(file) => {
                (codes::UNEXPECTED_END, "unexpected end of parameter, expecting \";\"".to_owned())
            }
            SyntaxError::UnfinishedDirective => {
                (codes::UNEXPECTED_END, "unexpected end of file, expecting \";\" or \"}\"".to_owned())
            }
            SyntaxError::UnfinishedBlock => {
                (codes::UNEXPECTED_END, "unexpected end of file, expecting \"}\"".to_owned())
            }
            SyntaxError::TooLong => {
                let start = String::from_utf8_lossy(&tree.text()[spot.span().start..spot.span().end]);
                (codes::PARAMETER_TOO_LONG, format!("too long parameter \"{start}...\" started"))
            }
            SyntaxError::TooLongQuoted(quote) => {
                let quote = char::from(quote);
                let message = format!("too long parameter, probably missing terminating \"{quote}\" character");
                (codes::PARAMETER_TOO_LONG, message)
            }
        };
        let problem = Problem::error(code, message, spot);
        let unfinished = match error {
            SyntaxError::UnfinishedDirective | SyntaxError::Unexpected(b'}') => unfinished_directive(tree, node),
            _ => None,
        };
        let help = match (error, unfinished) {
            // No line: that of the file is another one in a manifest.
            (_, Some(_)) => Some(format!("end `{}` with a `;`", first_words(tree, node + 1))),
            (SyntaxError::UnfinishedBlock, None) => {
                open_block(tree).map(|block| format!("close the block {} with a `}}`", named(tree, block)))
            }
            (SyntaxError::Unexpected(b'}'), None) => {
                Some("remove it, or open the block that it closes: there is one `}` more than `{`".to_owned())
            }
            (SyntaxError::Unexpected(b';'), None) => Some("remove it: no directive comes before it".to_owned()),
            _ => None,
        };
        self.report(match help {
            Some(help) => problem.help(help),
            None => problem,
        });
        if let Some(span) = unfinished {
            self.missing_semicolon(SourceSpan::new(file, span));
        }
    }
}

/// The end of the directive that a syntax error leaves without a terminator: it is the node after the error.
fn unfinished_directive(tree: &SyntaxTree<'_>, error: usize) -> Option<Span> {
    let next = tree.nodes().get(error + 1).filter(|node| node.kind == NodeKind::Simple && !node.is_terminated());
    let end = next.and_then(|_| tree.words(error + 1).last())?.span.end;
    Some(Span { start: end, end })
}

/// A block as people find it: its words, and its line.
fn named(tree: &SyntaxTree<'_>, block: usize) -> String {
    let line = tree.line(tree.terminator(block).start);
    format!("`{}` (line {line} of the file)", first_words(tree, block))
}

fn first_words(tree: &SyntaxTree<'_>, node: usize) -> String {
    let words: Vec<_> = tree.words(node).take(3).map(|word| String::from_utf8_lossy(word.value)).collect();
    words.join(" ")
}

/// The block that lacks its `}`: the first whose `}` is indented less than the block itself, so that it was probably
/// meant for another one; or else the innermost that is open at the end.
fn open_block(tree: &SyntaxTree<'_>) -> Option<usize> {
    let blocks =
        || (0..tree.nodes().len()).filter(|at| tree.nodes()[*at].kind == NodeKind::Block && tree.count(*at) > 0);
    let misplaced = blocks().find(|at| {
        let begins = tree.word(*at, 0).and_then(|word| tree.indentation(word.span.start));
        let closes = tree.is_closed(*at).then(|| tree.indentation(tree.closing(*at).start)).flatten();
        begins.zip(closes).is_some_and(|(begins, closes)| closes < begins)
    });
    misplaced.or_else(|| blocks().filter(|at| !tree.is_closed(*at)).last())
}
