//! The table of directives against the nginx of this machine: is each directive known, allowed and given a right
//! number of arguments exactly where the table has it?

#![expect(clippy::print_stderr, reason = "the counts are for people")]

mod skipped;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use reload_gate_nginx::directives::{Build, Contexts, Definition, Presence, Version, all, lookup};

use skipped::skip;

/// How far nginx gets with a directive, before it looks at the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    Unknown,
    NotAllowed,
    WrongTerminator,
    WrongNumber,
    Values,
}

/// The nginx of this machine.
struct Nginx {
    version: Version,
    build: Build,
    loaded: Vec<&'static str>,
    modules: PathBuf,
}

#[expect(clippy::disallowed_methods, reason = "nginx is what the table is compared with")]
fn nginx(arguments: &[&str]) -> Option<Output> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    Command::new("nginx").env("PATH", path).args(arguments).output().ok()
}

impl Nginx {
    /// What `nginx -V` says of it.
    fn installed() -> Option<Self> {
        let about = String::from_utf8(nginx(&["-V"])?.stderr).expect("it speaks ASCII");
        let after = |key: &str| about.split_once(key).and_then(|(_, rest)| rest.split_whitespace().next());
        let version = after("nginx/").expect("it has a version").parse().expect("it is one");
        let modules = PathBuf::from(after("--modules-path=").unwrap_or("/usr/lib/nginx/modules"));
        let dynamic = about.contains("--with-stream=dynamic");
        let build = if dynamic { Build::Debian } else { Build::NginxOrg };
        let installed = |module: &&str| modules.join(format!("{module}.so")).exists();
        let loaded =
            ["ngx_stream_module", "ngx_mail_module"].into_iter().filter(|_| dynamic).filter(installed).collect();
        Some(Self { version, build, loaded, modules })
    }

    fn has(&self, directive: &Definition) -> bool {
        match directive.module.presence(self.build) {
            Presence::Static => true,
            Presence::Dynamic(shared_object) => self.loaded.contains(&shared_object),
            Presence::Absent => false,
        }
    }

    /// What the table says.
    fn expected(&self, case: &Case) -> Reached {
        let mut reached = Reached::Unknown;
        for directive in lookup(case.name, self.version).filter(|directive| self.has(directive)) {
            if !directive.contexts.contains(case.context) {
                reached = Reached::NotAllowed;
            } else if directive.arity.is_block() != case.block {
                return Reached::WrongTerminator;
            } else if !directive.arity.accepts(case.arguments) {
                return Reached::WrongNumber;
            } else {
                return Reached::Values;
            }
        }
        reached
    }

    /// What nginx says.
    fn found(&self, case: &Case, directory: &Path) -> Reached {
        let load = |module: &&str| format!("load_module {}/{module}.so;\n", self.modules.display());
        let load: String = self.loaded.iter().map(load).collect();
        let file = directory.join("nginx.conf");
        std::fs::write(&file, load + &case.text()).expect("the directory can be written to");
        let [file, directory] = [&file, directory].map(|path| path.to_str().expect("it is UTF-8"));
        let output = nginx(&["-t", "-q", "-e", "stderr", "-p", directory, "-c", file]).expect("it was there before");
        let says = String::from_utf8_lossy(&output.stderr);
        let Case { name, .. } = case;
        let answers = [
            (format!("unknown directive \"{name}\""), Reached::Unknown),
            (format!("\"{name}\" directive is not allowed here"), Reached::NotAllowed),
            (format!("directive \"{name}\" is not terminated by \";\""), Reached::WrongTerminator),
            (format!("directive \"{name}\" has no opening \"{{\""), Reached::WrongTerminator),
            (format!("invalid number of arguments in \"{name}\" directive"), Reached::WrongNumber),
        ];
        answers.iter().find(|(words, _)| says.contains(words)).map_or(Reached::Values, |(_, reached)| *reached)
    }
}

/// One directive in one place.
struct Case {
    name: &'static str,
    context: Contexts,
    arguments: usize,
    block: bool,
}

impl Case {
    fn text(&self) -> String {
        let end = if self.block { " {}" } else { ";" };
        let directive = format!("{}{}{end}", self.name, " x".repeat(self.arguments));
        around(self.context).replace('@', &directive)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` with {} arguments in {}", self.name, self.arguments, self.context)
    }
}

/// A configuration with a place for a directive in that context.
fn around(context: Contexts) -> &'static str {
    match context {
        Contexts::MAIN => "@ events {}",
        Contexts::EVENTS => "events { @ }",
        Contexts::HTTP => "events {} http { @ }",
        Contexts::SERVER => "events {} http { server { @ } }",
        Contexts::LOCATION => "events {} http { server { location / { @ } } }",
        Contexts::UPSTREAM => "events {} http { upstream u { @ } }",
        Contexts::SERVER_IF => "events {} http { server { if ($uri) { @ } } }",
        Contexts::LOCATION_IF => "events {} http { server { location / { if ($uri) { @ } } } }",
        Contexts::LIMIT_EXCEPT => "events {} http { server { location / { limit_except GET { @ } } } }",
        Contexts::STREAM => "events {} stream { @ }",
        Contexts::STREAM_SERVER => "events {} stream { server { @ } }",
        Contexts::STREAM_UPSTREAM => "events {} stream { upstream u { @ } }",
        Contexts::MAIL => "events {} mail { @ }",
        Contexts::MAIL_SERVER => "events {} mail { server { @ } }",
        _ => unreachable!("nginx itself has no other context"),
    }
}

/// Every directive in every context, and, where it is allowed, with the numbers of arguments around each edge, and either end.
fn cases(nginx: &Nginx) -> Vec<Case> {
    let known = || all(nginx.version).filter(|directive| nginx.has(directive));
    let contexts: Vec<Contexts> = {
        let all = known().fold(Contexts::NONE, |all, directive| all | directive.contexts);
        all.iter().collect()
    };
    let mut cases = Vec::new();
    for name in known().map(|directive| directive.name).collect::<BTreeSet<_>>() {
        let rows: Vec<_> = lookup(name, nginx.version).filter(|directive| nginx.has(directive)).collect();
        let block = rows[0].arity.is_block();
        cases.extend(contexts.iter().map(|context| Case { name, context: *context, arguments: 9, block }));
        for row in rows {
            let context = row.contexts.iter().last().expect("a directive is allowed somewhere");
            let block = row.arity.is_block();
            let edge = |n: &usize| row.arity.accepts(*n) != row.arity.accepts(n + 1);
            let arguments: BTreeSet<_> = (0..9).filter(edge).flat_map(|n| [n, n + 1]).collect();
            cases.extend(arguments.into_iter().map(|arguments| Case { name, context, arguments, block }));
            cases.push(Case { name, context, arguments: 1, block: !block });
        }
    }
    cases
}

#[test]
fn the_table_says_what_nginx_says() {
    let Some(nginx) = Nginx::installed() else {
        return skip("there is no nginx on this machine");
    };
    let cases = cases(&nginx);
    let next = AtomicUsize::new(0);
    let compare = || {
        let directory = tempfile::tempdir().expect("there is a place for temporary files");
        let mut differing = Vec::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (expected, found) = (nginx.expected(case), nginx.found(case, directory.path()));
            if expected != found {
                differing.push(format!("{case}: {expected:?} by the table, {found:?} by nginx"));
            }
        }
        differing
    };
    let differing: Vec<String> = std::thread::scope(|scope| {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let running: Vec<_> = (0..workers).map(|_| scope.spawn(compare)).collect();
        running.into_iter().flat_map(|worker| worker.join().expect("it does not panic")).collect()
    });
    eprintln!("{} cases compared with nginx {}", cases.len(), nginx.version);
    assert!(cases.len() > 5_000, "there are too few cases: {}", cases.len());
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n"));
}
