//! Goes through a configuration in the order in which nginx reads it, and judges each directive where it stands.
//!
//! nginx calls a directive's setter as soon as its `;` or `{` is read, the merge steps of `http` when the `}` of `http`
//! is read, and what concerns the whole at the end (`ngx_conf_parse()`, `ngx_http_block()`, `ngx_init_cycle()`). The
//! same order is kept here, so that the first error found is the one at which nginx stops.

use std::rc::Rc;

use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};

use reload_gate_contract::{Absent, Cause, Code, Files, Finding, Place, Severity};

use crate::block::{Block, BlockId};
use crate::codes;
use crate::directive::Directive;
use crate::directives::{self, Contexts, Presence, Value};
use crate::http::{Http, merge};
use crate::mail::Mail;
use crate::main_conf::MainConf;
use crate::nearest::nearest;
use crate::problem::{Outcome, Problem, Spot};
use crate::regex::Regexes;
use crate::setters::{self, Setter};
use crate::sources::Sources;
use crate::stream::Stream;
use crate::tree::{NodeKind, SyntaxError};
use crate::variables::Variables;
use crate::zones::Zones;
use crate::{Options, glob, slots, value};

/// How deep blocks and includes may be nested: far deeper than anybody writes, and well within the stack.
const DEPTH: usize = 128;

/// How many files may be included, each time counted: an end to files that include each other ever more often.
const INCLUDES: usize = 50_000;

/// How many bytes may be included, each time counted.
const INCLUDED: usize = 512 << 20;

/// How many findings are enough.
const FINDINGS: usize = 1_000;

/// The codes of what is missing: a file that is not known may have it.
const ABSENCES: [Code; 18] = [
    codes::BUFFER_SIZES,
    codes::CERTIFICATE_WITHOUT_KEY,
    codes::EMPTY_UPSTREAM,
    codes::MISPLACED_DIRECTIVE,
    codes::NO_AUTH_HTTP,
    codes::NO_CACHE_KEY,
    codes::NO_CERTIFICATE,
    codes::NO_CLIENT_CERTIFICATE,
    codes::NO_EVENTS,
    codes::NO_HANDLER,
    codes::NO_LISTEN,
    codes::NO_PORT_IN_UPSTREAM,
    codes::NO_RUN_TIME_RESOLUTION,
    codes::NO_TRUSTED_CERTIFICATE,
    codes::UNKNOWN_LOG_FORMAT,
    codes::UNKNOWN_THREAD_POOL,
    codes::UNKNOWN_ZONE,
    codes::ZERO_SIZE_ZONE,
];

/// What nodes are read as.
enum Reading<'r, 's> {
    /// Directives in a block.
    Directives(BlockId),
    /// Lines of a block which reads them itself, such as `map`.
    Entries { includes: bool, read: &'r mut EntryReader<'r, 's> },
}

/// Judges one line of a block such as `map`.
type EntryReader<'r, 's> = dyn FnMut(&mut Checker<'s>, &Directive<'s>) -> Outcome + 'r;

/// The configuration as far as it has been read.
pub(crate) struct Checker<'s> {
    pub(crate) options: &'s Options,
    pub(crate) sources: &'s Sources<'s>,
    pub(crate) files: &'s dyn Files,
    pub(crate) blocks: Vec<Block<'s>>,
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
    findings: Vec<Finding>,
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
    pub(crate) entry: &'static directives::Directive,
    pub(crate) setter: Option<Setter>,
    /// The bit of the module's family in [`Block::families`].
    family: u8,
}

impl<'s> Checker<'s> {
    pub(crate) fn new(options: &'s Options, sources: &'s Sources<'s>, files: &'s dyn Files) -> Self {
        Self {
            options,
            sources,
            files,
            blocks: vec![Block::new(Contexts::MAIN, None)],
            main: MainConf::new(options),
            http: Http::default(),
            stream: Stream::default(),
            mail: Mail::default(),
            zones: Zones::default(),
            regexes: Regexes::default(),
            incomplete: false,
            errors: 0,
            values: HashSet::new(),
            findings: vec![],
            rows: HashMap::new(),
            reading: vec![],
            includes: 0,
            included: 0,
            depth: 0,
        }
    }

    /// Judges everything, beginning with the main file.
    pub(crate) fn run(mut self, main: &str) -> Vec<Finding> {
        match self.sources.at(main) {
            Ok(file) => {
                if let Some(global) = self.sources.global() {
                    self.file(global, &mut Reading::Directives(0));
                }
                self.file(file, &mut Reading::Directives(0));
                if self.errors == 0 && !self.full() {
                    self.finish();
                }
            }
            Err(absent) => {
                let reason = reason(absent).unwrap_or("it is not among the files that were given");
                let message = format!("open() \"{main}\" failed ({reason})");
                self.findings.push(Finding::environment(codes::MISSING_FILE, message).at(Place::file(main)));
            }
        }
        self.findings
    }

    /// Writes a problem down, unless what is missing may be where nobody could look.
    pub(crate) fn report(&mut self, problem: Problem) {
        if self.incomplete && ABSENCES.contains(&problem.code) {
            return;
        }
        if problem.severity == Severity::Error && problem.cause == Cause::Config {
            self.errors += 1;
        }
        if self.full() {
            return;
        }
        let source = self.sources.file(problem.spot.file);
        let span = problem.spot.span;
        let place = Place {
            file: source.path.clone(),
            line: Some(source.tree.line(span.start)),
            column: Some(source.tree.column(span.start)),
            span: Some(span),
        };
        self.findings.push(Finding {
            code: problem.code,
            severity: problem.severity,
            cause: problem.cause,
            message: problem.message,
            help: problem.help,
            place: Some(place),
            source: None,
        });
        if self.full() {
            let message = format!("{FINDINGS} findings are enough: the rest was not looked at");
            self.findings
                .push(Finding { severity: Severity::Note, ..Finding::error(codes::TOO_MANY_FINDINGS, message) });
        }
    }

    fn full(&self) -> bool {
        self.findings.len() >= FINDINGS
    }

    /// Writes a problem down, if there is one.
    pub(crate) fn take(&mut self, outcome: Outcome) {
        if let Err(problem) = outcome {
            self.report(*problem);
        }
    }

    /// Passes over something missing that may be where nobody could look, so that what comes after it is judged.
    pub(crate) fn unless_unseen(&self, outcome: Outcome) -> Outcome {
        outcome.or_else(
            |problem| {
                if self.incomplete && ABSENCES.contains(&problem.code) { Ok(()) } else { Err(problem) }
            },
        )
    }

    pub(crate) fn warn(&mut self, problem: Problem) {
        self.report(Problem { severity: Severity::Warning, ..problem });
    }

    fn file(&mut self, file: usize, reading: &mut Reading<'_, 's>) {
        self.reading.push(file);
        let nodes = self.sources.file(file).tree.nodes().len();
        self.nodes(file, 0, nodes, reading);
        self.reading.pop();
    }

    fn nodes(&mut self, file: usize, from: usize, to: usize, reading: &mut Reading<'_, 's>) {
        let tree = &self.sources.file(file).tree;
        let mut at = from;
        while at < to && !self.full() {
            let node = &tree.nodes()[at];
            match node.kind {
                NodeKind::Error(error) => self.syntax_error(file, at, error),
                // What ends with nothing has its syntax error already.
                NodeKind::Simple if node.terminator(tree).start == tree.text().len() => {}
                _ => {
                    if let Some(directive) = Directive::new(file, tree, at) {
                        let outcome = self.one(directive, reading);
                        self.take(outcome);
                    }
                }
            }
            at = node.end();
        }
    }

    fn one(&mut self, directive: Directive<'s>, reading: &mut Reading<'_, 's>) -> Outcome {
        match reading {
            Reading::Directives(_) if directive.is_block() && self.sources.global() == Some(directive.file) => {
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

    fn syntax_error(&mut self, file: usize, node: usize, error: SyntaxError) {
        let tree = &self.sources.file(file).tree;
        let spot = Spot { file, span: tree.nodes()[node].terminator(tree) };
        let (code, message) = match error {
            SyntaxError::Unexpected(byte) => {
                (codes::UNEXPECTED_TOKEN, format!("unexpected \"{}\"", String::from_utf8_lossy(&[byte])))
            }
            SyntaxError::UnfinishedDirective if self.sources.global() == Some(file) => {
                (codes::UNEXPECTED_END, "unexpected end of parameter, expecting \";\"".to_owned())
            }
            SyntaxError::UnfinishedDirective => {
                (codes::UNEXPECTED_END, "unexpected end of file, expecting \";\" or \"}\"".to_owned())
            }
            SyntaxError::UnfinishedBlock => {
                (codes::UNEXPECTED_END, "unexpected end of file, expecting \"}\"".to_owned())
            }
            SyntaxError::TooLong(None) => {
                let start = String::from_utf8_lossy(&tree.text()[spot.span.start..spot.span.end]);
                (codes::PARAMETER_TOO_LONG, format!("too long parameter \"{start}...\" started"))
            }
            SyntaxError::TooLong(Some(quote)) => {
                let quote = char::from(quote);
                let message = format!("too long parameter, probably missing terminating \"{quote}\" character");
                (codes::PARAMETER_TOO_LONG, message)
            }
        };
        self.report(Problem::error(code, message, spot));
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
        mut read: impl FnMut(&mut Self, &Directive<'s>) -> Outcome,
    ) -> bool {
        self.inside(directive, &mut Reading::Entries { includes, read: &mut read })
    }

    fn inside(&mut self, directive: &Directive<'s>, reading: &mut Reading<'_, 's>) -> bool {
        let before = self.errors;
        if self.depth == DEPTH {
            let problem =
                directive.problem(0, codes::NESTING_TOO_DEEP, format!("blocks are nested deeper than {DEPTH}"));
            self.report(*problem);
            return false;
        }
        self.depth += 1;
        self.nodes(directive.file, directive.node + 1, directive.syntax().end(), reading);
        self.depth -= 1;
        self.errors == before
    }

    /// The entries for a directive's name, those of absent modules left out: `ngx_conf_handler()`.
    fn rows(&mut self, name: &'s [u8]) -> Rows {
        if let Some(rows) = self.rows.get(name) {
            return Rc::clone(rows);
        }
        let text = std::str::from_utf8(name).unwrap_or_default();
        let all = directives::lookup(text, self.options.version).filter(|entry| self.main.has_module(entry.module));
        let setter = |entry: &directives::Directive| match entry.value {
            Value::Custom(name) => setters::named(name),
            _ => None,
        };
        let rows: Rows =
            all.map(|entry| Row { entry, setter: setter(entry), family: merge::family(entry.name) }).collect();
        self.rows.insert(name, Rc::clone(&rows));
        rows
    }

    fn directive(&mut self, mut directive: Directive<'s>, block: BlockId) -> Outcome {
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
        directive.known = name;
        self.blocks[block].families |= row.family;
        slots::apply(self, *row, &directive, block)
    }

    fn unknown(&mut self, directive: &Directive<'s>, rows: &Rows, context: Contexts) -> Outcome {
        // nginx writes it as a C string.
        let name = String::from_utf8_lossy(value::c_string(directive.word(0)));
        if self.options.allowed_directives.iter().any(|allowed| **allowed == *name) {
            return Ok(());
        }
        if let Some(row) = rows.first() {
            let allowed = rows.iter().fold(row.entry.contexts, |all, row| all | row.entry.contexts);
            let problem =
                directive.problem(0, codes::NOT_ALLOWED_HERE, format!("\"{name}\" directive is not allowed here"));
            return Err(Box::new(problem.help(format!("it may stand in: {allowed}"))));
        }
        if self.main.unknown_module {
            self.incomplete = true;
            let message = format!("unknown directive \"{name}\", which an unknown module may know");
            let problem = Problem::absent(codes::UNKNOWN_MODULE, message, directive.spot(0), Absent::Unknown);
            return Err(Box::new(problem));
        }
        self.incomplete |= directive.is_block();
        let problem = directive.problem(0, codes::UNKNOWN_DIRECTIVE, format!("unknown directive \"{name}\""));
        Err(match self.suggestion(&name, context) {
            Some(help) => Box::new(problem.help(help)),
            None => problem,
        })
    }

    /// What the writer of an unknown directive may have meant.
    fn suggestion(&self, name: &str, context: Contexts) -> Option<String> {
        let version = self.options.version;
        if let Some(row) = directives::lookup(name, version).next() {
            return Some(match row.module.presence(self.options.build) {
                Presence::Dynamic(object) => format!("it needs `load_module modules/{object}.so;`"),
                _ => format!("it belongs to {}, which this build of nginx does not have", row.module.name),
            });
        }
        if let Some(row) = directives::history(name).next() {
            let since = row.since();
            return Some(match directives::history(name).filter_map(directives::Directive::until).max() {
                _ if since > version => format!("it came with nginx {since}; this is judged as {version}"),
                Some(until) => format!("it was removed in nginx {until}; this is judged as {version}"),
                None => format!("nginx {version} does not have it"),
            });
        }
        let fits = |name: &str| directives::lookup(name, version).any(|row| row.contexts.intersects(context));
        let best = nearest(name, directives::every_name(), fits)?;
        Some(format!("did you mean `{best}`?"))
    }

    /// The directive `include`: `ngx_conf_include()`.
    fn include(&mut self, directive: &Directive<'s>, reading: &mut Reading<'_, 's>) -> Outcome {
        let pattern = self.sources.full_name(&directive.text(1));
        if !glob::is_pattern(&pattern) {
            return self.include_file(directive, &pattern, reading);
        }
        match self.sources.matching(&pattern) {
            Ok(paths) => paths.iter().try_for_each(|path| self.include_file(directive, path, reading)),
            Err(Absent::Missing | Absent::Directory) => Ok(()),
            Err(Absent::Unknown) => {
                let message =
                    format!("it is not known which files \"{pattern}\" means, and what they say was not judged");
                Err(self.unseen(directive, reading, message, Absent::Unknown))
            }
        }
    }

    fn include_file(&mut self, directive: &Directive<'s>, path: &str, reading: &mut Reading<'_, 's>) -> Outcome {
        let file = match self.sources.at(path) {
            Ok(file) => file,
            Err(Absent::Directory) => {
                let message = format!("pread() \"{path}\" failed (21: Is a directory)");
                return directive.refuse(1, codes::INCLUDED_DIRECTORY, message);
            }
            Err(absent) => {
                let message = match reason(absent) {
                    Some(reason) => format!("open() \"{path}\" failed ({reason})"),
                    None => {
                        format!("\"{path}\" is not among the files that were given, and what it says was not judged")
                    }
                };
                return Err(self.unseen(directive, reading, message, absent));
            }
        };
        if self.reading.contains(&file) {
            return directive.refuse(1, codes::INCLUDE_CYCLE, format!("\"{path}\" includes itself"));
        }
        self.includes += 1;
        self.included += self.sources.file(file).tree.text().len();
        if self.includes > INCLUDES || self.included > INCLUDED || self.reading.len() >= DEPTH {
            self.includes = INCLUDES;
            return directive.refuse(1, codes::INCLUDE_CYCLE, "too many files are included, or too often");
        }
        self.file(file, reading);
        Ok(())
    }

    /// Takes note that something may be defined, and (outside of all blocks) modules loaded, where nobody could look.
    fn unseen(
        &mut self,
        directive: &Directive<'s>,
        reading: &Reading<'_, 's>,
        message: String,
        absent: Absent,
    ) -> Box<Problem> {
        self.incomplete = true;
        if matches!(reading, Reading::Directives(block) if self.blocks[*block].context == Contexts::MAIN) {
            self.main.expect_any_module();
            self.forget_rows();
        }
        Box::new(Problem::absent(codes::MISSING_INCLUDE, message, directive.spot(1), absent))
    }

    pub(crate) fn include_here(&mut self, directive: &Directive<'s>, block: BlockId) -> Outcome {
        self.include(directive, &mut Reading::Directives(block))
    }

    /// Whether a path below the directory of the main file is known to be a directory.
    pub(crate) fn is_directory(&self, path: &str) -> bool {
        self.files.read(&crate::sources::normalize(&self.sources.full_name(path))) == Err(Absent::Directory)
    }

    /// Looks whether a file that nginx opens while it reads the configuration is there.
    pub(crate) fn needs_file(&mut self, directive: &Directive<'s>, at: usize, path: &str, what: &str) {
        let full = crate::sources::normalize(&self.sources.full_name(path));
        if let Err(absent) = self.files.read(&full) {
            let message = match reason(absent) {
                Some(reason) => format!("cannot load {what} \"{full}\" ({reason})"),
                None => format!("the {what} \"{full}\" is not among the files that were given"),
            };
            let code = if what == "file" { codes::MISSING_FILE } else { codes::MISSING_CERTIFICATE };
            self.report(Problem::absent(code, message, directive.spot(at), absent));
        }
    }

    /// The variables of the protocol that a block belongs to.
    pub(crate) fn variables(&mut self, block: BlockId) -> &mut Variables {
        let stream = Contexts::STREAM | Contexts::STREAM_SERVER | Contexts::STREAM_UPSTREAM;
        if self.blocks[block].context.intersects(stream) {
            &mut self.stream.variables
        } else {
            &mut self.http.variables
        }
    }

    /// Takes the first setting of a directive in its block, and refuses any other.
    pub(crate) fn once(&mut self, directive: &Directive<'s>, block: BlockId) -> Outcome {
        let names = same_field(directive.known);
        let own = self.blocks[block].get(directive.known);
        if let Some(first) = own.or_else(|| names.iter().find_map(|name| self.blocks[block].get(name))) {
            let help = if first.word(0) == directive.word(0) {
                format!("it is set already on line {}", first.line())
            } else {
                format!("`{}` on line {} sets it already", first.name(), first.line())
            };
            let problem = directive.problem(
                0,
                codes::DUPLICATE_DIRECTIVE,
                format!("\"{}\" directive is duplicate", directive.name()),
            );
            return Err(Box::new(problem.help(help)));
        }
        self.blocks[block].set(directive);
        Ok(())
    }

    /// Whether a value of a directive comes for the first time in its block.
    pub(crate) fn is_new(&mut self, directive: &Directive<'s>, block: BlockId, value: &[u8]) -> bool {
        self.values.insert((block, directive.known, value.to_vec()))
    }

    /// Whether a value of a directive has come before in its block.
    pub(crate) fn has_value(&self, directive: &Directive<'s>, block: BlockId, value: &[u8]) -> bool {
        self.values.contains(&(block, directive.known, value.to_vec()))
    }

    /// The setting of a directive that holds in a block: its own, or that of the nearest block around it.
    pub(crate) fn effective(&self, block: BlockId, name: &str) -> Option<&Directive<'s>> {
        let mut next = Some(block);
        while let Some(at) = next {
            if let Some(found) = self.blocks[at].get(name) {
                return Some(found);
            }
            next = self.blocks[at].parent;
        }
        None
    }

    /// The lines of a directive that hold in a block: its own, or those of the nearest block around it that has some.
    pub(crate) fn effective_list(&self, block: BlockId, name: &str) -> Option<&[Directive<'s>]> {
        let mut next = Some(block);
        while let Some(at) = next {
            if let Some(found) = self.blocks[at].all(name) {
                return Some(found);
            }
            next = self.blocks[at].parent;
        }
        None
    }

    /// Opens a block within another.
    pub(crate) fn open(&mut self, context: Contexts, parent: BlockId) -> BlockId {
        self.blocks.push(Block::new(context, Some(parent)));
        self.blocks.len() - 1
    }

    /// Whether a directive that such a name fits is in use anywhere.
    pub(crate) fn uses(&self, fits: impl Fn(&[u8]) -> bool) -> bool {
        self.rows.keys().any(|name| fits(name))
    }

    /// The modules whose names have been asked for may have been loaded since.
    pub(crate) fn forget_rows(&mut self) {
        self.rows.clear();
    }
}

/// Why nginx could not open a file, in the system's words; `None` where it may well open it.
/// The directives which set the same field of nginx's configuration as this one, because one has replaced the other.
fn same_field(name: &str) -> &'static [&'static str] {
    match name {
        "open_file_cache_retest" | "open_file_cache_valid" => &["open_file_cache_retest", "open_file_cache_valid"],
        "optimize_server_names" | "server_name_in_redirect" => &["optimize_server_names", "server_name_in_redirect"],
        "proxy_buffer_size" | "proxy_downstream_buffer" | "proxy_upstream_buffer" => {
            &["proxy_buffer_size", "proxy_downstream_buffer", "proxy_upstream_buffer"]
        }
        "satisfy" | "satisfy_any" => &["satisfy", "satisfy_any"],
        _ => &[],
    }
}

fn reason(absent: Absent) -> Option<&'static str> {
    match absent {
        Absent::Missing => Some("2: No such file or directory"),
        Absent::Unknown => None,
        Absent::Directory => Some("21: Is a directory"),
    }
}
