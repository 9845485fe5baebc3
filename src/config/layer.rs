//! One place where settings are said, and several of them on top of each other. Pure.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use reload_gate_structured::yaml::{self, Document, Node, Scalar, Value};

use super::settings::{self, PREFIX, SETTINGS, Setting, Takes};
use super::{ConfigError, Origin};
use crate::flow::validate::JsonSchema;
use crate::sys::suggest::{nearest, suggestion};

/// A value, and where it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) value: String,
    pub(super) origin: Origin,
}

/// A command as it was said: one line that is split as a shell splits words, or words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Words {
    Line(Said),
    Split(Vec<Said>),
}

/// A command validator as it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RawCheck {
    pub(super) command: Words,
    pub(super) name: Option<Said>,
    pub(super) running: Option<Words>,
    pub(super) beside: Vec<Said>,
    pub(super) otherwise: Option<Said>,
    pub(super) package: Option<Said>,
    pub(super) options: Vec<Said>,
    pub(super) unset: Vec<Said>,
    pub(super) findings: Vec<Said>,
    pub(super) transient: Vec<Said>,
    pub(super) away: Vec<Said>,
}

/// What is said in one place.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    values: BTreeMap<&'static str, Vec<Said>>,
    /// Where the gate begins that it describes, if it is of a file.
    begins: Option<Origin>,
    pub(super) checks: Option<Vec<RawCheck>>,
    /// Whether `watch` was said by a variable that means the volume around a file as well.
    pub(super) whole_volume: bool,
    /// The schema that is named here.
    pub(super) schema: Option<JsonSchema>,
}

/// Layers on top of each other, the highest first.
#[derive(Clone, Debug)]
pub(super) struct Layers(pub(super) Vec<Layer>);

impl Layer {
    fn say(&mut self, name: &'static str, value: String, origin: Origin) {
        let said = Said { value, origin };
        if name == "validate" {
            self.checks.get_or_insert_default().push(RawCheck::line(said));
        } else {
            self.values.entry(name).or_default().push(said);
        }
    }

    /// Where nothing is said in so many words: such a path would be the working directory.
    pub(super) fn empty(&self) -> impl Iterator<Item = &Origin> {
        let said = self.values.values().flatten();
        said.filter(|said| said.value.trim().is_empty()).map(|said| &said.origin)
    }

    /// Whether anything is said of `name`.
    pub(super) fn says(&self, name: &str) -> bool {
        self.values.contains_key(name) || (name == "validate" && self.checks.is_some())
    }

    pub(super) fn text(&self, name: &str) -> Option<&Said> {
        self.values.get(name).and_then(|values| values.last())
    }

    pub(super) fn list(&self, name: &str) -> &[Said] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }
}

impl Layers {
    /// The value of the highest layer that says one.
    pub(super) fn text(&self, name: &str) -> Option<&Said> {
        self.0.iter().find_map(|layer| layer.text(name))
    }

    /// Where to say what nobody has said.
    pub(super) fn place(&self) -> Origin {
        self.0.iter().find_map(|layer| layer.begins.clone()).unwrap_or(Origin::Nowhere)
    }

    /// The values of the highest layer that says any.
    pub(super) fn list(&self, name: &str) -> &[Said] {
        self.0.iter().find_map(|layer| layer.values.get(name)).map_or(&[], Vec::as_slice)
    }

    /// The highest layer that says any of `names`.
    pub(super) fn speaking_of(&self, names: &[&str]) -> Option<&Layer> {
        self.0.iter().find(|layer| names.iter().any(|name| layer.says(name)))
    }

    /// Every setting of a single gate that is said, and where.
    pub(super) fn gate_settings(&self) -> impl Iterator<Item = (&'static str, Origin)> {
        let values = self.0.iter().flat_map(|layer| layer.values.iter());
        let of_gate = values.filter(|(name, _)| settings::find(name).is_some_and(|setting| setting.of_gate));
        of_gate.filter_map(|(name, said)| Some((*name, said.first()?.origin.clone())))
    }
}

impl Words {
    /// The file name of the program.
    fn program(&self) -> Option<String> {
        let first = match self {
            Self::Line(said) => shell_words::split(&said.value).ok()?.into_iter().next()?,
            Self::Split(words) => words.first()?.value.clone(),
        };
        Some(Path::new(&first).file_name()?.to_string_lossy().into_owned())
    }
}

impl RawCheck {
    /// This command, with what is known of the output of its program, if it is that of one of `known` and says nothing of its output
    /// itself: with other arguments it speaks the same language.
    pub(super) fn like_one_of(&self, known: &[Self]) -> Self {
        let program = self.command.program();
        let same = known.iter().find(|other| program.is_some() && other.command.program() == program);
        match same {
            Some(other) if [&self.findings, &self.transient, &self.away].iter().all(|said| said.is_empty()) => Self {
                package: self.package.clone().or_else(|| other.package.clone()),
                findings: other.findings.clone(),
                transient: other.transient.clone(),
                away: other.away.clone(),
                ..self.clone()
            },
            _ => self.clone(),
        }
    }

    fn line(said: Said) -> Self {
        let (command, name, running, otherwise, package) = (Words::Line(said), None, None, None, None);
        let [beside, options, unset, findings, transient, away] = [const { Vec::new() }; 6];
        Self { command, name, running, beside, otherwise, package, options, unset, findings, transient, away }
    }
}

/// What the command line says.
pub(super) fn of_flags(flags: &[(&'static str, String)]) -> Layer {
    let mut layer = Layer::default();
    for (name, value) in flags {
        layer.say(name, value.clone(), Origin::Flag(name));
    }
    layer
}

/// The variables of the well-known shell sidecar, and the settings that they are.
const LEGACY: [(&str, &str); 3] = [("FILE", "watch"), ("PROCESS", "process"), ("SIGNAL", "signal")];

/// What the environment says. With a configuration file (`has_file`), the variables of the shell sidecar say nothing: names as
/// common as theirs are somebody else's then.
pub(super) fn of_variables(
    variables: &[(OsString, OsString)],
    has_file: bool,
    warnings: &mut Vec<String>,
    errors: &mut Vec<ConfigError>,
) -> Layer {
    let mut layer = Layer::default();
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        let Some(setting) = SETTINGS.iter().find(|setting| settings::variable(setting.name) == name) else {
            // What all of them begin with makes none of them nearer.
            let word = name.trim_start_matches(PREFIX).to_ascii_lowercase().replace('_', "-");
            let meant = nearest(&word, SETTINGS.iter().map(|setting| setting.name)).map(settings::variable);
            let meant = meant.map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
            warnings.push(format!("variable `{name}` is not known and was ignored{meant}"));
            continue;
        };
        let origin = Origin::Variable(name.to_owned());
        let Some(value) = value.to_str() else {
            errors.push(ConfigError::new(origin, "the value is no UTF-8"));
            continue;
        };
        let values: Vec<_> = match setting.takes {
            // A list in a variable has one item a line: no other character can be excluded from a path or a command.
            Takes::Many(_) if !value.trim().is_empty() => {
                value.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
            }
            Takes::Many(_) | Takes::One(_) | Takes::Switch => vec![value],
        };
        for value in values {
            layer.say(setting.name, value.to_owned(), origin.clone());
        }
    }
    if !has_file && !layer.says("config") {
        take_legacy(variables, &mut layer);
    }
    layer
}

fn take_legacy(variables: &[(OsString, OsString)], layer: &mut Layer) {
    for (legacy, name) in LEGACY {
        let value = variables.iter().find(|(variable, _)| variable == legacy).and_then(|(_, value)| value.to_str());
        if let Some(value) = value.filter(|value| !value.is_empty() && !layer.says(name)) {
            layer.whole_volume |= name == "watch";
            layer.say(name, value.to_owned(), Origin::Variable(legacy.to_owned()));
        }
    }
}

/// What a configuration file describes.
#[derive(Debug, Default)]
pub(super) struct File {
    /// The gates.
    pub(super) gates: Vec<Layer>,
    /// The rules by which `check` finds who judges: what the names of files look like, and what is said of those.
    pub(super) rules: Vec<(Vec<Said>, Layer)>,
}

/// Reads a configuration file.
pub(super) fn of_file(path: &Path, text: &str, errors: &mut Vec<ConfigError>) -> File {
    let origin = |line, column| Origin::File(path.to_path_buf(), line, column);
    let at = |node: &Node| origin(node.line, node.column);
    // What is said twice is told below, among the other mistakes.
    let root = match yaml::documents(text).next().transpose() {
        Ok(Some(Document { root: Node { value: Value::Map(entries), .. }, .. })) => entries,
        Ok(_) => {
            errors.push(ConfigError::new(origin(1, 1), "a mapping with the key `gates` is wanted").help(SHAPE));
            return File::default();
        }
        Err(broken) => {
            errors.push(ConfigError::new(origin(broken.line, broken.column), broken.message));
            return File::default();
        }
    };
    let (mut gates, mut rules) = (Vec::new(), Vec::new());
    for (key, value) in root {
        match (key.as_str(), value.value) {
            (Some("gates"), Value::List(items)) => gates.extend(items),
            (Some("rules"), Value::List(items)) => rules.extend(items),
            (Some(name @ ("gates" | "rules")), _) => {
                errors.push(ConfigError::new(at(&key), format!("`{name}` is a list")).help(SHAPE));
            }
            (Some(name), _) => {
                let meant = suggestion(name, ["gates", "rules"]);
                errors.push(ConfigError::new(at(&key), format!("unknown key `{name}`{meant}")).help(SHAPE));
            }
            _ => errors.push(ConfigError::new(at(&key), "a key is a word").help(SHAPE)),
        }
    }
    if gates.is_empty() && rules.is_empty() && errors.is_empty() {
        errors.push(ConfigError::new(origin(1, 1), "there is no gate in it").help(SHAPE));
    }
    let of_gate = |gate: Node, errors: &mut Vec<ConfigError>| {
        let begins = Some(at(&gate));
        Layer { begins, ..of_node(gate, &mut |_| false, &origin, errors) }
    };
    File {
        gates: gates.into_iter().map(|gate| of_gate(gate, errors)).collect(),
        rules: rules.into_iter().map(|node| rule(node, &origin, errors)).collect(),
    }
}

const SHAPE: &str = "a configuration file looks like `gates: [{app: nginx, watch: /etc/nginx}]`";

/// A rule: the key `files`, and settings.
fn rule(node: Node, origin: &dyn Fn(u32, u32) -> Origin, errors: &mut Vec<ConfigError>) -> (Vec<Said>, Layer) {
    let begins = origin(node.line, node.column);
    let (mut files, mut wrong) = (Vec::new(), Vec::new());
    let mut own = |(key, value): &(Node, Node)| {
        let is_files = key.as_str() == Some("files");
        if is_files {
            files = texts(value.clone(), Takes::Many("GLOB"), "files", origin, &mut wrong);
        }
        is_files
    };
    let layer = of_node(node, &mut own, origin, errors);
    errors.extend(wrong);
    if files.is_empty() {
        let help = "say which files it is about: `files: ['*.rules', 'conf.d/**']`";
        errors.push(ConfigError::new(begins.clone(), "this rule has no `files`").help(help));
    }
    (files, Layer { begins: Some(begins), ..layer })
}

/// What a mapping says, with `extra` keys left to the caller.
pub(super) fn of_node(
    node: Node,
    extra: &mut dyn FnMut(&(Node, Node)) -> bool,
    origin: &dyn Fn(u32, u32) -> Origin,
    errors: &mut Vec<ConfigError>,
) -> Layer {
    let mut layer = Layer::default();
    let at = |node: &Node| origin(node.line, node.column);
    let Value::Map(entries) = node.value else {
        errors.push(ConfigError::new(origin(node.line, node.column), "a mapping of settings is wanted"));
        return layer;
    };
    let mut snapshot = Vec::new();
    for entry in entries {
        if extra(&entry) {
            continue;
        }
        let (key, value) = entry;
        let setting = match known(&key) {
            Ok(setting) => setting,
            Err((message, help)) => {
                errors.push(ConfigError { help, ..ConfigError::new(at(&key), message) });
                continue;
            }
        };
        let name = setting.name;
        if snapshot.contains(&name) {
            errors.push(ConfigError::new(at(&key), format!("`{name}` is said twice")));
            continue;
        }
        snapshot.push(name);
        if name == "validate" {
            layer.checks = Some(checks(value, origin, errors));
            continue;
        }
        for said in texts(value, setting.takes, name, origin, errors) {
            layer.say(name, said.value, said.origin);
        }
    }
    layer
}

/// The setting that a key names, or what is wrong with the key and what to do.
fn known(key: &Node) -> Result<&'static Setting, (String, Option<String>)> {
    let Some(name) = key.as_str() else { return Err(("a key is a word".into(), None)) };
    let of_gates = || SETTINGS.iter().filter(|setting| setting.of_gate).map(|setting| setting.name);
    match settings::find(name) {
        Some(setting) if setting.of_gate => Ok(setting),
        Some(_) => Err((format!("`{name}` is not said of one gate"), Some(format!("say `--{name}`, of all of them")))),
        None => {
            let message = format!("unknown key `{name}`{}", suggestion(name, of_gates()));
            Err((message, Some("the keys are the flags that `reload-gate run --help` lists".into())))
        }
    }
}

/// The scalar values of a setting.
fn texts(
    node: Node,
    takes: Takes,
    name: &str,
    origin: &dyn Fn(u32, u32) -> Origin,
    errors: &mut Vec<ConfigError>,
) -> Vec<Said> {
    let here = origin(node.line, node.column);
    match (node.value, takes) {
        (Value::Scalar(Scalar { text: value, .. }), _) => vec![Said { value, origin: here }],
        (Value::List(items), Takes::Many(_)) => {
            items.into_iter().flat_map(|item| texts(item, Takes::One("TEXT"), name, origin, errors)).collect()
        }
        (_, Takes::Many(_)) => wrong(errors, here, format!("`{name}` takes a text or a list of texts")),
        (_, Takes::Switch) => wrong(errors, here, format!("`{name}` takes true or false")),
        (_, Takes::One(_)) => wrong(errors, here, format!("`{name}` takes a text")),
    }
}

fn wrong(errors: &mut Vec<ConfigError>, origin: Origin, message: String) -> Vec<Said> {
    errors.push(ConfigError::new(origin, message));
    Vec::new()
}

fn checks(node: Node, origin: &dyn Fn(u32, u32) -> Origin, errors: &mut Vec<ConfigError>) -> Vec<RawCheck> {
    let items = match node.value {
        Value::List(items) => items,
        _ => vec![node],
    };
    items.into_iter().filter_map(|item| check(item, origin, errors)).collect()
}

const CHECK_KEYS: [&str; 11] = [
    "command",
    "name",
    "running",
    "beside",
    "otherwise",
    "package",
    "options",
    "unset",
    "findings",
    "transient",
    "away",
];

fn check(node: Node, origin: &dyn Fn(u32, u32) -> Origin, errors: &mut Vec<ConfigError>) -> Option<RawCheck> {
    let here = origin(node.line, node.column);
    let entries = match node.value {
        Value::Scalar(Scalar { text: value, .. }) => return Some(RawCheck::line(Said { value, origin: here })),
        Value::Map(entries) => entries,
        _ => {
            errors.push(ConfigError::new(here, "a validator is a command, or a mapping with the key `command`"));
            return None;
        }
    };
    let (mut name, mut command, mut running, mut otherwise, mut package) = (None, None, None, None, None);
    let [mut beside, mut options, mut unset, mut findings, mut transient, mut away] = [const { Vec::new() }; 6];
    for (key, value) in entries {
        let mut list = |name| texts(value.clone(), Takes::Many("TEXT"), name, origin, errors);
        match key.as_str() {
            Some("name") => name = list("name").pop(),
            Some("otherwise") => otherwise = list("otherwise").pop(),
            Some("package") => package = list("package").pop(),
            Some("beside") => beside = list("beside"),
            Some("options") => options = list("options"),
            Some("unset") => unset = list("unset"),
            Some("findings") => findings = list("findings"),
            Some("transient") => transient = list("transient"),
            Some("away") => away = list("away"),
            Some("command") => command = words(value, "command", origin, errors),
            Some("running") => running = words(value, "running", origin, errors),
            other => {
                let text = other.unwrap_or_default();
                let message = format!("unknown key `{text}`{}", suggestion(text, CHECK_KEYS));
                let help = format!("the keys of a validator are {}", CHECK_KEYS.join(", "));
                errors.push(ConfigError::new(origin(key.line, key.column), message).help(help));
            }
        }
    }
    if command.is_none() {
        errors.push(ConfigError::new(here, "this validator has no `command`"));
    }
    let command = command?;
    Some(RawCheck { command, name, running, beside, otherwise, package, options, unset, findings, transient, away })
}

fn words(node: Node, name: &str, origin: &dyn Fn(u32, u32) -> Origin, errors: &mut Vec<ConfigError>) -> Option<Words> {
    let is_line = node.as_str().is_some();
    let mut said = texts(node, Takes::Many("TEXT"), name, origin, errors);
    match said.as_slice() {
        [] => None,
        _ if is_line => said.pop().map(Words::Line),
        _ => Some(Words::Split(said)),
    }
}
