//! The walk through a configuration in the order in which nginx reads it, judging each directive in its block.
//!
//! nginx calls a directive's setter as soon as its `;` or `{` is read, the merge steps of `http` when the `}` of `http`
//! is read, and what concerns the whole at the end (`ngx_conf_parse()`, `ngx_http_block()`, `ngx_init_cycle()`). The
//! same order is kept here, so that the first error found is the one at which nginx stops.

mod files;
mod hints;
mod report;
pub(crate) mod script;
mod settings;
pub(crate) mod slots;
mod unknown;

use std::ops::Range;
use std::rc::Rc;

use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};

use reload_gate_contract::{Files, Finding, Findings, Place};

use crate::Options;
use crate::directives;
use crate::findings::codes;
use crate::findings::problem::{Checked, Problem};
use crate::model::block::{BlockId, Blocks};
use crate::model::directive::Directive;
use crate::model::families;
use crate::model::http::Http;
use crate::model::mail::Mail;
use crate::model::main_conf::MainConf;
use crate::model::sources::Sources;
use crate::model::stream::Stream;
use crate::model::zones::Zones;
use crate::syntax::tree::NodeKind;
use crate::values::regex::Regexes;

/// Limit of nested blocks and includes: far deeper than people write, and well within the stack.
const DEPTH: usize = 128;

/// Judges a directive in a block.
pub(crate) type Setter = for<'c, 's> fn(&'c mut Checker<'s>, &Directive<'s>, BlockId) -> Checked;

/// The functions of nginx's subsystems that the checker calls without knowing them.
pub(crate) struct Subsystems {
    /// The function for a setter; `None` where any arguments will do.
    pub(crate) setter: fn(&str) -> Option<Setter>,
    /// The checks that come when everything is read.
    pub(crate) finish: for<'c, 's> fn(&'c mut Checker<'s>) -> Checked,
}

/// Reading of the nodes of a block.
enum Reading<'r, 's> {
    /// Directives in a block.
    Directives(BlockId),
    /// Lines of a block which reads them itself, such as `map`.
    Entries { includes: bool, read: &'r mut EntryReader<'r, 's> },
}

/// Judges one line of a block such as `map`.
type EntryReader<'r, 's> = dyn FnMut(&mut Checker<'s>, &Directive<'s>) -> Checked + 'r;

/// The configuration as far as it has been read.
pub(crate) struct Checker<'s> {
    pub(crate) options: &'s Options,
    pub(crate) sources: &'s Sources<'s>,
    pub(crate) files: &'s dyn Files,
    pub(crate) blocks: Blocks<'s>,
    pub(crate) main: MainConf<'s>,
    pub(crate) http: Http<'s>,
    pub(crate) stream: Stream<'s>,
    pub(crate) mail: Mail<'s>,
    pub(crate) zones: Zones,
    pub(crate) regexes: Regexes,
    /// Something is unknown that may define what else is used: a file or a module.
    pub(crate) incomplete: bool,
    pub(crate) errors: usize,
    /// The values of directives that may be repeated with others, each with its block.
    values: HashSet<(BlockId, &'static str, Vec<u8>)>,
    findings: Findings,
    /// Unknown directives that are reported.
    unknown: HashSet<&'s [u8]>,
    /// Modules that are absent, and reported.
    absent: HashSet<&'static str>,
    subsystems: Subsystems,
    rows: HashMap<&'s [u8], Rows>,
    reading: Vec<usize>,
    includes: usize,
    included: usize,
    depth: usize,
}

/// The entries for a name in this version and build.
type Rows = Rc<[Row]>;

/// An entry of a module's table, with the function that judges such a directive.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) entry: &'static directives::Definition,
    pub(crate) setter: Option<Setter>,
    /// The bit of the module's family in [`Block::families`].
    family: u8,
}

impl<'s> Checker<'s> {
    pub(crate) fn new(
        options: &'s Options,
        sources: &'s Sources<'s>,
        files: &'s dyn Files,
        subsystems: Subsystems,
    ) -> Self {
        Self {
            options,
            sources,
            files,
            blocks: Blocks::new(sources),
            main: MainConf::new(options),
            http: Http::default(),
            stream: Stream::default(),
            mail: Mail::default(),
            zones: Zones::default(),
            regexes: Regexes::default(),
            incomplete: false,
            errors: 0,
            values: HashSet::new(),
            findings: Findings::new(report::FINDINGS),
            unknown: HashSet::new(),
            absent: HashSet::new(),
            subsystems,
            rows: HashMap::new(),
            reading: vec![],
            includes: 0,
            included: 0,
            depth: 0,
        }
    }

    /// Judges everything, beginning with the main file.
    pub(crate) fn run(mut self, main: &str) -> Vec<Finding> {
        if !self.options.context.is_empty() {
            // The files around the snippet may define anything, and load modules.
            self.incomplete = true;
            self.main.expect_any_module();
        }
        match self.sources.first(main) {
            Ok(file) => {
                if let Some(global) = self.sources.global() {
                    self.file(global, &mut Reading::Directives(0));
                }
                self.file(file, &mut Reading::Directives(0));
                if self.errors == 0 {
                    let outcome = (self.subsystems.finish)(&mut self);
                    self.take(outcome);
                }
            }
            Err(absent) => {
                let reason = files::reason(absent).unwrap_or("it is not among the files that were given");
                let message = format!("open() \"{main}\" failed ({reason})");
                self.findings.push(Finding::environment(codes::MISSING_FILE, message).at(Place::file(main)));
            }
        }
        self.findings.finish(codes::TOO_MANY_FINDINGS)
    }

    fn file(&mut self, file: usize, reading: &mut Reading<'_, 's>) {
        self.reading.push(file);
        let nodes = self.sources.file(file).tree.nodes().len();
        self.nodes(file, 0..nodes, reading);
        self.reading.pop();
    }

    fn nodes(&mut self, file: usize, nodes: Range<usize>, reading: &mut Reading<'_, 's>) {
        let tree = &self.sources.file(file).tree;
        let mut at = nodes.start;
        while at < nodes.end {
            let node = &tree.nodes()[at];
            match node.kind {
                NodeKind::Error(error) => {
                    self.syntax_error(file, at, error);
                    self.repeated(tree.repeated(at));
                }
                // What ends with nothing has its syntax error already.
                NodeKind::Simple if !node.is_terminated() => {}
                _ => {
                    if let Some(directive) = Directive::new(file, tree, at) {
                        let swallowed = self.swallowed(&directive, reading);
                        let outcome = self.one(directive, reading);
                        self.take_with_hint(outcome, &directive, swallowed);
                    }
                }
            }
            at = tree.end(at);
        }
    }

    fn one(&mut self, directive: Directive<'s>, reading: &mut Reading<'_, 's>) -> Checked {
        match reading {
            Reading::Directives(_) if directive.is_block() && self.sources.global() == Some(directive.file()) => {
                let message = "block directives are not supported in -g option";
                directive.refuse(0, codes::NOT_ALLOWED_HERE, message)
            }
            Reading::Directives(block) => self.directive(directive, *block),
            Reading::Entries { .. } if directive.is_block() => {
                let spot = directive.terminator();
                Err(Box::new(Problem::error(codes::UNEXPECTED_TOKEN, "unexpected \"{\"", spot)))
            }
            Reading::Entries { includes: true, .. } if directive.word(0) == b"include" && directive.count() == 1 => {
                self.include(&directive, reading)
            }
            Reading::Entries { read, .. } => read(self, &directive),
        }
    }

    /// Reads the body of a block directive as directives in `block`. True if nothing in it was an error.
    pub(crate) fn body(&mut self, directive: &Directive<'s>, block: BlockId) -> bool {
        self.inside(directive, &mut Reading::Directives(block))
    }

    /// Reads the body of a block directive line by line, in which `include` is one or is a line like any other. True
    /// if nothing in it was an error.
    pub(crate) fn entries(
        &mut self,
        directive: &Directive<'s>,
        includes: bool,
        mut read: impl FnMut(&mut Self, &Directive<'s>) -> Checked,
    ) -> bool {
        self.inside(directive, &mut Reading::Entries { includes, read: &mut read })
    }

    fn inside(&mut self, directive: &Directive<'s>, reading: &mut Reading<'_, 's>) -> bool {
        let before = self.errors;
        if self.depth == DEPTH {
            let message = format!("blocks are nested deeper than {DEPTH}, so that they were not all judged");
            self.report(Problem::environment(codes::NESTING_TOO_DEEP, message, directive.spot(0)));
            return false;
        }
        self.depth += 1;
        self.nodes(directive.file(), directive.inside(), reading);
        self.depth -= 1;
        self.errors == before
    }

    /// The entries for a directive's name, those of absent modules left out: `ngx_conf_handler()`.
    fn rows(&mut self, name: &'s [u8]) -> Rows {
        if let Some(rows) = self.rows.get(name) {
            return Rc::clone(rows);
        }
        let text = std::str::from_utf8(name).unwrap_or_default();
        let all = directives::lookup_in(text, self.options.version, self.options.build)
            .filter(|entry| self.main.has_module(entry.module));
        let setter = |entry: &directives::Definition| entry.value.setter().and_then(self.subsystems.setter);
        let rows: Rows =
            all.map(|entry| Row { entry, setter: setter(entry), family: families::family(entry.name) }).collect();
        self.rows.insert(name, Rc::clone(&rows));
        rows
    }

    fn directive(&mut self, directive: Directive<'s>, block: BlockId) -> Checked {
        let rows = self.rows(directive.word(0));
        let context = self.blocks[block].context;
        let Some(row) = rows.iter().find(|row| row.entry.contexts.intersects(context)) else {
            return self.unknown(&directive, &rows, context);
        };
        let (name, arity) = (row.entry.name, row.entry.arity);
        if directive.is_block() && !arity.is_block() {
            let message = format!("directive \"{name}\" is not terminated by \";\"");
            return Err(Box::new(Problem::error(codes::NOT_TERMINATED, message, directive.terminator())));
        }
        if arity.is_block() && !directive.is_block() {
            let message = format!("directive \"{name}\" has no opening \"{{\"");
            return Err(Box::new(Problem::error(codes::NO_OPENING_BRACE, message, directive.terminator())));
        }
        if !arity.accepts(directive.count()) {
            let message = format!("invalid number of arguments in \"{name}\" directive");
            return directive.refuse(0, codes::ARGUMENT_COUNT, message);
        }
        self.blocks[block].families |= row.family;
        slots::apply(self, *row, &directive.of(row.entry), block)
    }

    /// Forgets the entries, because more modules are loaded now.
    pub(crate) fn forget_rows(&mut self) {
        self.rows.clear();
    }
}
