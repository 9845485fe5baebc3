//! The walls between the modules, as data (`ARCHITECTURE.md`, "The walls").
//!
//! The test reads the paths of every source file as the compiler resolves them: grouped imports, `super` and `self`
//! included. Inside a macro's arguments the tokens are searched for `crate::`, since they have no syntax of their own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

/// The modules that a module may know, beside itself and its own submodules. A module knows only those below it in the table,
/// so there is no circle.
const KNOWS: &[(&str, &[&str])] = &[
    ("fuzzing", &["inject", "check", "config", "cluster", "report", "redact", "flow", "sys"]),
    ("cli", &["doctor", "run", "admit", "inject", "check", "config", "cluster", "report", "flow", "sys", "exit"]),
    ("doctor", &["run", "config", "cluster", "notify", "report", "flow", "sys", "exit"]),
    ("run", &["config", "cluster", "notify", "gate", "report", "redact", "flow", "sys", "exit"]),
    ("admit", &["inject", "check", "config", "report", "flow::watch", "sys", "exit"]),
    ("inject", &["check::manifest", "config", "sys::suggest"]),
    ("check", &["config", "report", "redact", "flow", "sys"]),
    ("check::manifest", &[]),
    ("config", &["cluster", "notify", "gate", "report", "redact", "flow", "sys"]),
    ("notify", &["report", "redact", "sys"]),
    ("cluster", &["flow::tree", "sys::backoff", "sys::kubernetes"]),
    ("gate", &["report", "flow", "sys::backoff", "sys::promise"]),
    ("report", &["flow", "sys", "exit"]),
    ("redact", &[]),
    // The stages do not know each other, except for the values that one hands to the next.
    ("flow::rendering", &["flow::snapshot", "flow::tree"]),
    ("flow::validate", &["flow::named", "flow::placeholders", "flow::process", "flow::snapshot", "flow::tree", "sys"]),
    ("flow::snapshot", &["flow::named", "flow::tree", "flow::watch", "sys"]),
    ("flow::publish", &["flow::tree", "sys::beneath", "sys::proc", "sys::regular", "sys::shortage"]),
    ("flow::reload", &["flow::verify", "flow::placeholders", "flow::process", "sys"]),
    ("flow::verify", &["flow::placeholders", "flow::process", "flow::tree", "sys"]),
    ("flow::process", &["sys"]),
    ("flow::watch", &["sys"]),
    ("flow::settle", &[]),
    ("flow::tree", &[]),
    ("flow::named", &[]),
    ("flow::placeholders", &[]),
    ("flow", &[]),
    ("sys::exec", &["sys::proc", "sys::service_manager", "sys::shortage"]),
    ("sys::server", &["sys::http", "sys::worker"]),
    ("sys::http", &["sys::worker"]),
    ("sys::kubernetes", &["sys::worker"]),
    ("sys::proc", &["sys::shortage"]),
    ("sys::shortage", &[]),
    ("sys::service_manager", &[]),
    ("sys::promise", &[]),
    ("sys::suggest", &[]),
    ("sys::backoff", &[]),
    ("sys::beneath", &[]),
    ("sys::bounded", &["sys::regular"]),
    ("sys::regular", &[]),
    ("sys::worker", &[]),
    ("sys::panics", &[]),
    ("sys", &[]),
    ("exit", &[]),
];

/// Modules which do no IO and read no clock.
const PURE: &[&str] = &[
    "admit::decision",
    "admit::policy",
    "admit::review",
    "admit::wording",
    "gate",
    "cluster::rollout",
    "cluster::rights",
    "cluster::keeper",
    "config",
    "redact",
    "flow::settle",
    "flow::named",
    "flow::placeholders",
    "flow::process::programs",
    "flow::rendering",
    "flow::tree",
    "check::manifest",
    "inject",
    "check::render",
    "cli::manual",
    "notify::policy",
    "notify::wording",
    "notify::kubernetes::object",
    "sys::promise",
    "sys::suggest",
    "sys::backoff",
    "sys::pattern",
];

/// Paths that no pure module names.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::os::unix::net",
    "std::process",
    "std::env",
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "Instant::now",
    "SystemTime::now",
    "kube::",
    "tokio",
    "rustix",
    "nix",
];

/// One module: its path below the crate's root, its file, and the absolute paths that its code names.
struct Module {
    path: String,
    file: PathBuf,
    names: BTreeSet<String>,
}

/// Collects the paths of one file.
struct Names {
    /// The module's own path, one word each.
    module: Vec<String>,
    names: BTreeSet<String>,
}

impl Names {
    /// Adds a path, made absolute where it begins with `crate`, `self` or `super`.
    fn add(&mut self, words: &[String]) {
        let mut words = words.iter().map(String::as_str).peekable();
        let mut absolute: Vec<&str> = Vec::new();
        match words.peek().copied() {
            Some("crate") => {
                words.next();
                absolute.push("crate");
            }
            Some("self" | "super") => {
                absolute.push("crate");
                absolute.extend(self.module.iter().map(String::as_str));
                while let Some(word) = words.next_if(|word| matches!(*word, "self" | "super")) {
                    if word == "super" {
                        absolute.pop();
                    }
                }
            }
            _ => {}
        }
        absolute.extend(words);
        self.names.insert(absolute.join("::"));
    }

    fn add_use(&mut self, before: &mut Vec<String>, tree: &UseTree) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.add_use(before, &path.tree);
                before.pop();
            }
            UseTree::Name(name) => self.add(&[before.as_slice(), &[name.ident.to_string()]].concat()),
            UseTree::Rename(rename) => self.add(&[before.as_slice(), &[rename.ident.to_string()]].concat()),
            UseTree::Glob(_) => self.add(before),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_use(before, tree)),
        }
    }

    /// The paths in the arguments of a macro.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut words: Vec<String> = Vec::new();
        let mut joined = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if joined == 2 || words.is_empty() => {
                    words.push(ident.to_string());
                    joined = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !words.is_empty() => joined += 1,
                other => {
                    self.add(&std::mem::take(&mut words));
                    joined = 0;
                    match other {
                        TokenTree::Group(group) => self.add_tokens(group.stream()),
                        TokenTree::Ident(ident) => words.push(ident.to_string()),
                        _ => {}
                    }
                }
            }
        }
        self.add(&words);
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item(&mut self, item: &'ast Item) {
        if attributes(item).iter().any(is_for_tests) {
            return;
        }
        if let Item::Use(item) = item {
            self.add_use(&mut Vec::new(), &item.tree);
        }
        visit::visit_item(self, item);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let words: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(&words);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.add_tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Mod(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn is_for_tests(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
}

/// All modules that are no tests.
fn modules() -> Vec<Module> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = walkdir::WalkDir::new(&root).into_iter().map(|entry| entry.expect("it is readable").into_path());
    let sources = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let is_tested = |path: &PathBuf| !is_test(path.strip_prefix(&root).expect("it is below the root"));
    sources.filter(is_tested).map(|file| module(&root, file)).collect()
}

fn module(root: &Path, file: PathBuf) -> Module {
    let relative = file.strip_prefix(root).expect("it is below the root").with_extension("");
    let mut path: Vec<_> = relative.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    path.pop_if(|last| last == "mod");
    let text = std::fs::read_to_string(&file).expect("it is text");
    let mut names = Names { module: path.clone(), names: BTreeSet::new() };
    names.visit_file(&syn::parse_file(&text).expect("it compiles"));
    Module { path: path.join("::"), file, names: names.names }
}

/// Returns true for a file, or one of a folder, with a name that is for tests alone.
fn is_test(relative: &Path) -> bool {
    let names = ["tests", "properties", "renderings", "traces", "world"];
    relative.with_extension("").components().any(|part| names.iter().any(|name| part.as_os_str() == *name))
}

/// Returns true if `path` is `module` or below it.
fn is_in(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The line of the table for a module: the longest that contains it.
fn entry(path: &str) -> Option<&'static (&'static str, &'static [&'static str])> {
    KNOWS.iter().filter(|(name, _)| is_in(path, name)).max_by_key(|(name, _)| name.len())
}

#[test]
fn modules_know_only_those_that_the_table_allows() {
    let mut wrong = BTreeSet::new();
    for module in modules().iter().filter(|module| !matches!(module.path.as_str(), "main" | "lib")) {
        let Some((own, allowed)) = entry(&module.path) else {
            panic!("`{}` has no line in the table", module.path);
        };
        for name in module.names.iter().filter_map(|name| name.strip_prefix("crate::")) {
            let known = is_in(name, own) || allowed.iter().any(|allowed| is_in(name, allowed));
            // A parent names its children, and a folder's own file connects them.
            if !known && !is_in(own, name) {
                wrong.insert(format!("{} knows `{name}`", module.file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_table_has_no_circle() {
    for (place, (name, allowed)) in KNOWS.iter().enumerate() {
        for known in *allowed {
            let below = KNOWS[place + 1..].iter().any(|(other, _)| other == known);
            assert!(below, "`{name}` may know `{known}`, which is not below it in the table");
        }
    }
}

#[test]
fn pure_modules_do_no_io_and_read_no_clock() {
    let mut wrong = BTreeSet::new();
    for module in modules().iter().filter(|module| PURE.iter().any(|pure| is_in(&module.path, pure))) {
        for name in &module.names {
            if IMPURE.iter().any(|impure| name.starts_with(impure)) {
                wrong.insert(format!("{} names `{name}`", module.file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn validators_are_pure_crates_without_dependencies_on_the_product() {
    // Those which an outside crate may be used for: hashing, PCRE2, and the nearest name; the parsers of formats, and the
    // arithmetic of keys.
    let walls = [
        ("contract", &[][..]),
        ("nginx", &["foldhash", "pcre2", "reload-gate-contract", "strsim"]),
        (
            "structured",
            &["granit-parser", "jsonschema", "reload-gate-contract", "roxmltree", "serde_json", "toml", "toml_parser"],
        ),
        ("tls", &["base64", "reload-gate-contract", "ring", "x509-parser"]),
    ];
    for (name, may) in walls {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("validators").join(name).join("Cargo.toml");
        let text = std::fs::read_to_string(&manifest).expect("it is there");
        let dependencies = text.split("[dependencies]").nth(1).unwrap_or_default();
        let names: Vec<_> = dependencies.lines().take_while(|line| !line.starts_with('[')).collect();
        let others = names.iter().filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim());
        let wrong: Vec<_> =
            others.filter(|name| !may.contains(name) && !name.is_empty() && !name.starts_with('#')).collect();
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
    }
}
