//! Changes that a reload cannot bring into effect. Pure.
//!
//! gunicorn's master reads its configuration file anew on SIGHUP, and keeps every module that it has imported
//! (`Arbiter.reload()` in `gunicorn/arbiter.py`): with `--preload` the whole application, otherwise what the configuration imports, and a
//! configuration that is itself a module. It keeps its logger too, so it reads the file of `logconfig` at its start alone (`Arbiter.setup()`).
//!
//! Apache httpd takes the values of `${NAME}` from its environment, which it has from its start: apache2ctl(8) executes the file `envvars` and then
//! starts the server, or sends it a signal.

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
/// The option of the configuration, the number of characters of its name that are enough, and the beginning of a value that is a module.
const CONFIG_OPTIONS: [&str; 2] = ["--config", "-c"];
const CONFIG_SHORTEST: usize = "--con".len();
const MODULE: &str = "python:";
/// The options that name the configuration of logging, and the settings, whose value may be an expression.
const LOG_OPTIONS: [&str; 2] = ["--log-config", "--log-config-json"];
static LOG_SETTING: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?m)(?:^|[;:])[ \t]*logconfig(?:_json)?[ \t]*(?::[^=\n]*)?=[ \t]*([^=\n][^\n]*)").ok()
});
/// A string of Python.
static STRING: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"['"]([^'"\n]+)['"]"#).ok());
/// The names of Apache httpd, and the file with the variables of its start.
const APACHE: [&str; 2] = ["apache2", "httpd"];
const APACHE_VARIABLES: &str = "envvars";
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
        let changed = revision.changed_since(&self.revision);
        let variables: Vec<&PathBuf> = changed.iter().filter(|file| self.is_of_start(file, main)).collect();
        if !variables.is_empty() {
            let why = "Apache has the variables of its start, and a signal gives it no others";
            return Some(ineffective(&variables, why));
        }
        let configuration = self.configuration(tree, main)?;
        let others: Vec<&PathBuf> = changed.iter().filter(|file| !configuration.files.contains(file)).collect();
        if self.is_preloaded(tree, &configuration.files) && !others.is_empty() {
            let why =
                "gunicorn has loaded the application in its master (`--preload`), and a reload does not load it again";
            return Some(ineffective(&others, why));
        }
        self.kept(tree, &configuration).into_iter().find_map(|kept| {
            let stale: Vec<&PathBuf> = changed.iter().filter(|file| kept.files.contains(*file)).collect();
            (!stale.is_empty()).then(|| ineffective(&stale, kept.why))
        })
    }

    /// A description of the changes in `tree` that no reload will bring into effect in this process, if there are such.
    #[must_use]
    pub fn forewarning(&self, tree: &Tree, main: Option<&Path>) -> Option<String> {
        let configuration = self.configuration(tree, main)?;
        if self.is_preloaded(tree, &configuration.files) && tree.keys().any(|file| !configuration.files.contains(file))
        {
            let files = named(configuration.files.iter());
            return Some(format!(
                "gunicorn has loaded the application in its master (`--preload`): of all changes, a reload brings those of {files} \
                 alone into effect"
            ));
        }
        let parts = self.kept(tree, &configuration).into_iter().filter(|kept| !kept.files.is_empty());
        let parts: Vec<_> = parts.map(|kept| format!("{} {}", kept.how, named(kept.files.iter()))).collect();
        let parts = parts.join(" and ");
        (!parts.is_empty())
            .then(|| format!("gunicorn's configuration {parts}: a reload brings no change of it into effect"))
    }

    /// The files with which gunicorn begins; `None` if it is another program, or they are unknown.
    fn configuration(&self, tree: &Tree, main: Option<&Path>) -> Option<Configuration> {
        if !self.is_gunicorn() {
            return None;
        }
        let values = self.values(&CONFIG_OPTIONS, CONFIG_SHORTEST);
        match values.iter().find_map(|value| value.strip_prefix(MODULE)) {
            Some(module) => {
                let files = tree.keys().filter(|file| is_of_dotted(file, module)).cloned().collect();
                Some(Configuration { files, is_module: true })
            }
            None => Some(Configuration { files: vec![main?.into()], is_module: false }),
        }
    }

    /// The files of which no reload brings a change into effect.
    fn kept(&self, tree: &Tree, configuration: &Configuration) -> [KeptFiles; 3] {
        let module = if configuration.is_module { configuration.files.as_slice() } else { &[] };
        [
            KeptFiles {
                files: module.iter().cloned().collect(),
                how: "is the module",
                why: "gunicorn has imported it (`-c python:`), and a reload does not import a module again",
            },
            KeptFiles {
                files: imports(tree, &configuration.files),
                how: "imports",
                why: "gunicorn's configuration imports it, and a reload does not import a module again",
            },
            KeptFiles {
                files: self.log_files(tree, &configuration.files),
                how: "sets up logging by",
                why: "gunicorn reads the configuration of its logging (`logconfig`) only at its start",
            },
        ]
    }

    /// The files that configure logging, by their names on the command line and in the configuration.
    fn log_files(&self, tree: &Tree, configuration: &[PathBuf]) -> BTreeSet<PathBuf> {
        let mut paths = self.values(&LOG_OPTIONS, LOG_OPTIONS[0].len());
        for text in configuration.iter().filter_map(|file| tree.get(file)) {
            let text = String::from_utf8_lossy(text);
            for setting in LOG_SETTING.iter().flat_map(|pattern| pattern.captures_iter(&text)) {
                let strings = STRING
                    .iter()
                    .flat_map(|pattern| pattern.captures_iter(setting.get(1).map_or("", |value| value.as_str())));
                paths.extend(strings.map(|string| string[1].to_owned()));
            }
        }
        // An expression may have the directory elsewhere, so the last names are compared.
        let is_named = |file: &Path| paths.iter().any(|path| Path::new(path).file_name() == file.file_name());
        tree.keys().filter(|file| is_named(file) && !configuration.contains(file)).cloned().collect()
    }

    /// The values of an option on the command line and in the variable, by its names; of a long name the beginning is enough, from so many
    /// characters on (`argparse`).
    fn values(&self, names: &[&str], shortest: usize) -> Vec<String> {
        let beginnings =
            |name: &&str| (shortest.min(name.len())..=name.len()).map(|end| name[..end].to_owned()).collect();
        let names: Vec<String> = names.iter().flat_map(|name| -> Vec<String> { beginnings(name) }).collect();
        // The first word is no option.
        let further: Vec<String> = std::iter::once(String::new()).chain(self.further.iter().cloned()).collect();
        let of = |words: &[String]| names.iter().flat_map(|name| proc::option_values(words, name)).collect::<Vec<_>>();
        [of(&self.words), of(&further)].concat()
    }

    /// The Python files that have changed since the start of this process, if it reads Python.
    #[must_use]
    pub fn changed_modules(&self, revision: &Revision) -> Vec<PathBuf> {
        let is_python = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "py");
        let changed = if self.is_gunicorn() { revision.changed_since(&self.revision) } else { Vec::new() };
        changed.into_iter().filter(is_python).collect()
    }

    /// Returns `true` for the file that gave Apache its environment: it lies beside the main file.
    fn is_of_start(&self, file: &Path, main: Option<&Path>) -> bool {
        let program = self.words.first().and_then(|word| word.rsplit('/').next()).unwrap_or_default();
        let is_beside = main.is_none_or(|main| main.parent() == file.parent());
        APACHE.contains(&program) && file.file_name().is_some_and(|name| name == APACHE_VARIABLES) && is_beside
    }

    fn is_gunicorn(&self) -> bool {
        let is_named = |word: &String| word.rsplit('/').next().is_some_and(|name| name.starts_with("gunicorn"));
        let is_script = || proc::script(&self.words).is_some_and(|script| script.name.starts_with("gunicorn"));
        self.words.iter().take(2).any(is_named) || is_script()
    }

    fn is_preloaded(&self, tree: &Tree, configuration: &[PathBuf]) -> bool {
        let texts = configuration.iter().filter_map(|file| tree.get(file)).map(|text| String::from_utf8_lossy(text));
        let set = PRELOAD.as_ref().is_some_and(|pattern| texts.into_iter().any(|text| pattern.is_match(&text)));
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

/// The files with which gunicorn begins.
struct Configuration {
    files: Vec<PathBuf>,
    /// They are those of a module, which a reload does not import again.
    is_module: bool,
}

/// Files of which no reload brings a change into effect.
struct KeptFiles {
    files: BTreeSet<PathBuf>,
    /// Their use by the configuration.
    how: &'static str,
    /// The reason.
    why: &'static str,
}

/// The files of `tree` that these Python files import, directly or not.
fn imports(tree: &Tree, begins: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut ahead = begins.to_vec();
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
        let others = tree.keys().filter(|other| !begins.contains(other));
        for other in others.filter(|other| names.iter().any(|name| is_module(other, name))) {
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

/// Returns `true` if `file` is that of the module with the dotted name, or of the package of that name. The tree may begin within the package.
fn is_of_dotted(file: &Path, module: &str) -> bool {
    let path = PathBuf::from(module.replace('.', "/"));
    let (source, package) = (path.with_extension("py"), path.join("__init__.py"));
    let is_file = |whole: &Path| file.ends_with(whole) || whole.ends_with(file);
    is_file(&source) || is_file(&package)
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
    fn the_variables_of_apache_are_those_of_its_start() {
        let of = |value: &str, main: &str| tree(&[("apache2.conf", main), ("envvars", value), ("more/envvars", value)]);
        let before = of("export A=1", "one");
        let limit = |words: &[&str], after: &Tree| {
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            let loaded = Loaded::new(Arc::new(Revision::of(&before)), words);
            loaded.limit(&Revision::of(after), after, Some(Path::new("apache2.conf")))
        };
        let Some(Proof::Ineffective { message, .. }) =
            limit(&["/usr/sbin/apache2", "-k", "start"], &of("export A=2", "one"))
        else {
            panic!("it is not in effect");
        };
        assert!(message.starts_with("the change of `envvars` is not in effect: Apache"), "{message}");
        assert_eq!(limit(&["/usr/sbin/apache2", "-k", "start"], &of("export A=1", "two")), None);
        assert_eq!(limit(&["nginx"], &of("export A=2", "one")), None);
    }

    #[test]
    fn a_module_is_imported_by_any_statement() {
        let settings = |text: &str| {
            let files = tree(&[("gunicorn.conf.py", text), ("settings.py", ""), ("other.py", "")]);
            imports(&files, &["gunicorn.conf.py".into()]) == BTreeSet::from(["settings.py".into()])
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
    fn a_configuration_that_is_a_module_is_not_imported_again() {
        let of = |settings: &str, base: &str, other: &str| {
            tree(&[("pkg/__init__.py", ""), ("pkg/gconf.py", settings), ("base.py", base), ("web.py", other)])
        };
        let before = of("import base", "", "");
        for words in [
            &["gunicorn", "-c", "python:pkg.gconf"][..],
            &["/usr/bin/python3", "/usr/bin/gunicorn", "--config=python:pkg.gconf"],
            &["gunicorn", "-cpython:pkg.gconf"],
            &["gunicorn", "--conf", "python:pkg.gconf"],
        ] {
            let message = |after: &Tree| limit(words, &before, after).unwrap_or_default();
            let changed = message(&of("import base; workers = 2", "", ""));
            assert!(
                changed.starts_with("the change of `pkg/gconf.py` is not in effect: gunicorn has imported"),
                "{changed}"
            );
            let imported = message(&of("import base", "x = 1", ""));
            assert!(imported.starts_with("the change of `base.py` is not in effect"), "{imported}");
            assert_eq!(message(&of("import base", "", "y = 1")), "", "each worker loads the application");
        }
        let loaded = Loaded::new(Arc::new(Revision::of(&before)), vec!["gunicorn".to_owned()]);
        let loaded = loaded.with_arguments("-c python:pkg.gconf");
        let said = loaded.forewarning(&before, None).unwrap_or_default();
        assert!(said.contains("is the module `pkg/gconf.py` and imports `base.py`"), "{said}");
        assert!(is_of_dotted(Path::new("gconf.py"), "pkg.gconf"), "the package itself may be watched");
        assert!(is_of_dotted(Path::new("/srv/pkg/gconf/__init__.py"), "pkg.gconf"));
        assert!(!is_of_dotted(Path::new("pkg/other.py"), "pkg.gconf"));
    }

    #[test]
    fn the_configuration_of_logging_is_read_at_the_start_alone() {
        let of = |main: &str, log: &str| tree(&[("gunicorn.conf.py", main), ("log.ini", log), ("other.ini", log)]);
        let message = |words: &[&str], main: &str| {
            let after = tree(&[("gunicorn.conf.py", main), ("log.ini", "two"), ("other.ini", "one")]);
            limit(words, &of(main, "one"), &after).unwrap_or_default()
        };
        let expected = "the change of `log.ini` is not in effect: gunicorn reads the configuration of its logging (`logconfig`) only at its \
                        start";
        for main in [
            "logconfig = '/etc/app/log.ini'",
            "import os; logconfig = os.path.join(HERE, \"log.ini\")",
            "logconfig_json = 'log.ini'",
            "logconfig: str = HERE + '/log.ini'",
        ] {
            assert_eq!(message(&PLAIN, main), expected, "{main}");
        }
        assert_eq!(message(&["gunicorn", "--log-config", "/c/log.ini"], ""), expected);
        assert_eq!(message(&["gunicorn", "--log-config=/c/log.ini"], ""), expected);
        assert_eq!(message(&PLAIN, "# logconfig = 'log.ini'\nlogconfig_dict = {'a': 'log.ini'}"), "");
        let warned = |words: &[&str], main: &str| {
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            let tree = of(main, "");
            Loaded::new(Arc::new(Revision::of(&tree)), words).forewarning(&tree, Some(Path::new("gunicorn.conf.py")))
        };
        let said = warned(&PLAIN, "logconfig = 'log.ini'").unwrap_or_default();
        assert!(said.contains("sets up logging by `log.ini`"), "{said}");
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
