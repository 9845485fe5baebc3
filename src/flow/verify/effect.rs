//! Changes that a reload cannot bring into effect. Pure.
//!
//! gunicorn's master reads its configuration file anew on SIGHUP, and keeps every module that it has imported
//! (`Arbiter.reload()` in `gunicorn/arbiter.py`): with `--preload` the whole application, otherwise what the configuration imports.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use regex::Regex;

use super::Proof;
use crate::flow::tree::{Revision, Tree};
use crate::sys::proc;

/// A statement of Python that imports modules, by their names; one line may hold several statements.
static IMPORT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?m)(?:^|[;:])[ \t]*(?:from[ \t]+(?P<from>[\w.]+)[ \t]+import\b|import[ \t]+(?P<names>[^;#\n]+))",
        r#"|\b(?:import_module|__import__)[ \t]*\([ \t]*['"](?P<called>[\w.]+)"#,
    ))
    .ok()
});
/// The setting of gunicorn that loads the application in the master.
static PRELOAD: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?m)(?:^|[;:])[ \t]*preload_app[ \t]*(?::[^=\n]*)?=[ \t]*(?:True|1)\b").ok());
/// The option of the same meaning, and the shortest beginning of it that `argparse` takes.
const PRELOAD_OPTION: &str = "--preload";
const SHORTEST_PRELOAD: usize = "--pre".len();
/// The environment variable with further arguments (`WSGIApplication` in `gunicorn/app/base.py`).
pub const GUNICORN_ARGUMENTS: &str = "GUNICORN_CMD_ARGS";

/// The content that a process has had since its start, as far as it is known.
#[derive(Clone, Debug)]
pub struct Loaded {
    revision: Arc<Revision>,
    /// The command line of the process.
    words: Vec<String>,
    /// The arguments in [`GUNICORN_ARGUMENTS`].
    further: Vec<String>,
}

impl Loaded {
    /// The content at the time when the process was seen first.
    #[must_use]
    pub fn new(revision: Arc<Revision>, words: Vec<String>) -> Self {
        Self { revision, words, further: Vec::new() }
    }

    /// Adds the value of [`GUNICORN_ARGUMENTS`] in the environment of the process.
    #[must_use]
    pub fn with_arguments(self, value: &str) -> Self {
        // A value that gunicorn cannot split either has ended it at its start.
        Self { further: shell_words::split(value).unwrap_or_default(), ..self }
    }

    /// The reason why a reload cannot bring all of `tree` into effect in this process, if there is one.
    #[must_use]
    pub fn limit(&self, revision: &Revision, tree: &Tree, main: Option<&Path>) -> Option<Proof> {
        let main = main.filter(|_| self.is_gunicorn())?;
        let changed = revision.changed_since(&self.revision);
        let others: Vec<&PathBuf> = changed.iter().filter(|file| *file != main).collect();
        if self.is_preloaded(tree, main) && !others.is_empty() {
            let why =
                "gunicorn has loaded the application in its master (`--preload`), and a reload does not load it again";
            return Some(ineffective(&others, why));
        }
        let imported = imports(tree, main);
        let stale: Vec<&PathBuf> = others.into_iter().filter(|file| imported.contains(*file)).collect();
        let why = "gunicorn's configuration imports it, and a reload does not import a module again";
        (!stale.is_empty()).then(|| ineffective(&stale, why))
    }

    /// A description of the changes in `tree` that no reload will bring into effect in this process, if there are such.
    #[must_use]
    pub fn forewarning(&self, tree: &Tree, main: Option<&Path>) -> Option<String> {
        let main = main.filter(|_| self.is_gunicorn())?;
        if self.is_preloaded(tree, main) && tree.keys().any(|file| file != main) {
            let name = main.display();
            return Some(format!(
                "gunicorn has loaded the application in its master (`--preload`): of all changes, a reload brings those of `{name}` \
                 alone into effect"
            ));
        }
        let imported = imports(tree, main);
        let files = named(imported.iter());
        (!imported.is_empty())
            .then(|| format!("gunicorn's configuration imports {files}: a reload brings no change of it into effect"))
    }

    /// The Python files that have changed since the start of this process, if it reads Python.
    #[must_use]
    pub fn changed_modules(&self, revision: &Revision) -> Vec<PathBuf> {
        let is_python = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "py");
        let changed = if self.is_gunicorn() { revision.changed_since(&self.revision) } else { Vec::new() };
        changed.into_iter().filter(is_python).collect()
    }

    fn is_gunicorn(&self) -> bool {
        let is_named = |word: &String| word.rsplit('/').next().is_some_and(|name| name.starts_with("gunicorn"));
        let is_script = || proc::script(&self.words).is_some_and(|script| script.name.starts_with("gunicorn"));
        self.words.iter().take(2).any(is_named) || is_script()
    }

    fn is_preloaded(&self, tree: &Tree, main: &Path) -> bool {
        let text = tree.get(main).map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default();
        let set = PRELOAD.as_ref().is_some_and(|pattern| pattern.is_match(&text));
        let is_option = |word: &String| word.len() >= SHORTEST_PRELOAD && PRELOAD_OPTION.starts_with(word.as_str());
        set || self.words.iter().chain(&self.further).any(is_option)
    }
}

fn ineffective(files: &[&PathBuf], why: &str) -> Proof {
    Proof::Ineffective {
        message: format!("the change of {} is not in effect: {why}", named(files.iter().copied())),
        help: "restart the application: the gate verifies the new process".into(),
    }
}

/// The first names of some files.
fn named<'a>(files: impl Iterator<Item = &'a PathBuf>) -> String {
    files.take(3).map(|file| format!("`{}`", file.display())).collect::<Vec<_>>().join(", ")
}

/// The files of `tree` that the Python file `main` imports, directly or not.
fn imports(tree: &Tree, main: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut ahead = vec![main.to_path_buf()];
    while let Some(file) = ahead.pop() {
        let Some(text) = tree.get(&file).map(|text| String::from_utf8_lossy(text)) else { continue };
        let code = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let text = code.collect::<Vec<_>>().join("\n");
        let statements = IMPORT.iter().flat_map(|pattern| pattern.captures_iter(&text));
        let modules = statements.filter_map(|found| {
            let modules = found.name("from").or_else(|| found.name("names")).or_else(|| found.name("called"))?;
            Some(modules.as_str().split(',').map(first_name).collect::<Vec<_>>())
        });
        let names: Vec<String> = modules.flatten().collect();
        for other in tree.keys().filter(|other| names.iter().any(|name| is_module(other, name))) {
            if found.insert(other.clone()) {
                ahead.push(other.clone());
            }
        }
    }
    found
}

/// The first part of a module's name; another name may follow it (`import a.b as c`).
fn first_name(module: &str) -> String {
    let module = module.split_whitespace().next().unwrap_or_default();
    module.trim_start_matches('.').split('.').next().unwrap_or_default().to_owned()
}

/// Returns `true` if `file` is the module `name`, or belongs to the package of that name.
fn is_module(file: &Path, name: &str) -> bool {
    let is_python = file.extension().is_some_and(|extension| extension == "py");
    let in_package = file.parent().into_iter().flat_map(Path::components).any(|part| part.as_os_str() == name);
    is_python && !name.is_empty() && (file.file_stem().is_some_and(|stem| stem == name) || in_package)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        files.iter().map(|(name, text)| ((*name).into(), text.as_bytes().to_vec())).collect()
    }

    fn limit(words: &[&str], before: &Tree, after: &Tree) -> Option<String> {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let loaded = Loaded::new(Arc::new(Revision::of(before)), words);
        match loaded.limit(&Revision::of(after), after, Some(Path::new("gunicorn.conf.py"))) {
            None => None,
            Some(Proof::Ineffective { message, .. }) => Some(message),
            Some(other) => panic!("{other:?}"),
        }
    }

    const PLAIN: [&str; 3] = ["/usr/bin/python3", "/usr/bin/gunicorn", "app:app"];
    const PRELOADED: [&str; 3] = ["/usr/bin/python3", "/usr/bin/gunicorn", "--preload"];

    #[test]
    fn a_preloaded_application_is_not_loaded_again() {
        let before = tree(&[("gunicorn.conf.py", "workers = 1"), ("value", "one")]);
        let value = tree(&[("gunicorn.conf.py", "workers = 1"), ("value", "two")]);
        let main = tree(&[("gunicorn.conf.py", "workers = 2"), ("value", "one")]);
        assert_eq!(limit(&PLAIN, &before, &value), None);
        assert_eq!(limit(&PRELOADED, &before, &main), None);
        let message = limit(&PRELOADED, &before, &value).expect("it is not in effect");
        assert!(message.starts_with("the change of `value` is not in effect: gunicorn has loaded"), "{message}");
        let set = tree(&[("gunicorn.conf.py", "preload_app = True"), ("value", "two")]);
        assert!(limit(&PLAIN, &before, &set).is_some(), "the configuration may say it too");
    }

    #[test]
    fn an_application_is_preloaded_by_any_form_of_the_setting() {
        let preloaded = |words: &[&str], further: &str, main: &str| {
            let tree = tree(&[("gunicorn.conf.py", main), ("value", "one")]);
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            let loaded = Loaded::new(Arc::new(Revision::of(&tree)), words).with_arguments(further);
            loaded.forewarning(&tree, Some(Path::new("gunicorn.conf.py"))).is_some()
        };
        let module = ["python3", "-m", "gunicorn", "--preload"];
        assert!(preloaded(&module, "", ""));
        assert!(preloaded(&PLAIN, "--workers 2 --preload", ""));
        assert!(preloaded(&PLAIN, "--prel", ""), "argparse takes the beginning of an option");
        assert!(!preloaded(&PLAIN, "--pr", ""));
        assert!(!preloaded(&PLAIN, "--name=--preload", ""));
        assert!(preloaded(&PLAIN, "", "workers = 1; preload_app = True"));
        assert!(preloaded(&PLAIN, "", "preload_app: bool = True"));
        assert!(!preloaded(&PLAIN, "", "preload_app = False"));
    }

    #[test]
    fn a_module_is_imported_by_any_statement() {
        let settings = |text: &str| {
            let files = tree(&[("gunicorn.conf.py", text), ("settings.py", ""), ("other.py", "")]);
            imports(&files, Path::new("gunicorn.conf.py")) == BTreeSet::from(["settings.py".into()])
        };
        for text in [
            "import sys; sys.path.insert(0, '/etc/app'); from settings import *",
            "import sys, settings as s",
            "if True: import settings",
            "import importlib; s = importlib.import_module('settings')",
            "s = __import__(\"settings\")",
            "from settings import (\n    other,\n)",
        ] {
            assert!(settings(text), "{text}");
        }
        assert!(!settings("# This was: import settings\nbind = 'settings'"), "it imports nothing");
    }

    #[test]
    fn what_no_reload_brings_into_effect_is_known_before_a_change() {
        let warning = |words: &[&str], files: &[(&str, &str)]| {
            let tree = tree(files);
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            let loaded = Loaded::new(Arc::new(Revision::of(&tree)), words);
            loaded.forewarning(&tree, Some(Path::new("gunicorn.conf.py")))
        };
        let plain = [("gunicorn.conf.py", "workers = 1"), ("value", "one")];
        assert_eq!(warning(&PLAIN, &plain), None);
        assert_eq!(warning(&PRELOADED, &plain[..1]), None, "there is nothing else");
        assert!(warning(&PRELOADED, &plain).is_some_and(|text| text.contains("those of `gunicorn.conf.py` alone")));
        let imports = [("gunicorn.conf.py", "import settings"), ("settings.py", "workers = 1")];
        assert!(warning(&PLAIN, &imports).is_some_and(|text| text.contains("imports `settings.py`")));
        assert_eq!(warning(&["nginx"], &imports), None);
    }

    #[test]
    fn a_module_that_the_configuration_imports_is_not_imported_again() {
        let main = "import sys\nfrom settings_gunicorn import *\n";
        let of = |settings: &str, base: &str, other: &str| {
            tree(&[
                ("gunicorn.conf.py", main),
                ("settings_gunicorn.py", settings),
                ("base/core.py", base),
                ("other.py", other),
            ])
        };
        let before = of("import base.core\nworkers = 1", "x = 1", "y = 1");
        assert!(limit(&PLAIN, &before, &of("import base.core\nworkers = 3", "x = 1", "y = 1")).is_some());
        assert!(limit(&PLAIN, &before, &of("import base.core\nworkers = 1", "x = 2", "y = 1")).is_some());
        assert_eq!(limit(&PLAIN, &before, &of("import base.core\nworkers = 1", "x = 1", "y = 2")), None);
        assert_eq!(limit(&PLAIN, &before, &before), None, "what was changed back is in effect again");
        assert_eq!(limit(&["nginx"], &before, &tree(&[("gunicorn.conf.py", main)])), None);
    }
}
