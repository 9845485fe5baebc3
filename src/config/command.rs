//! Command validators as they are given: in a line, or as a mapping of the file or of a preset. Pure.

use std::path::Path;

use reload_gate_structured::yaml::{Node, Scalar, Value};

use super::file::FileReader;
use super::layer::{GivenValue, Layers};
use super::parse;
use super::script::ScriptPlaceholder;
use super::validators::BuiltinSettings;
use super::{ConfigError, SettingOrigin};
use crate::flow::validate::{CommandValidator, FindingPatterns};
use crate::sys::pattern::LazyRegex;
use crate::sys::suggest::{nearest, suggestion};

/// Words of a command: one line that is split as a shell splits words, or a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CommandWords {
    Line(GivenValue<String>),
    Split(Vec<GivenValue<String>>),
}

/// A command validator as it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CommandEntry {
    command: CommandWords,
    name: Option<GivenValue<String>>,
    running: Option<CommandWords>,
    beside: Vec<GivenValue<String>>,
    otherwise: Option<GivenValue<String>>,
    package: Option<GivenValue<String>>,
    prelude: Option<GivenValue<String>>,
    options: Vec<GivenValue<String>>,
    unset: Vec<GivenValue<String>>,
    findings: Vec<GivenValue<String>>,
    transient: Vec<GivenValue<String>>,
    away: Vec<GivenValue<String>>,
    unnamed: Vec<GivenValue<String>>,
    accepts: Vec<GivenValue<String>>,
}

/// The options with which programs only check a configuration. Of several in a command the first counts.
const CHECK_OPTIONS: [&str; 5] = ["-c", "-t", "--check-config", "--check", "--test"];

/// The keys of a command validator.
const KEYS: [&str; 14] = [
    "command",
    "name",
    "running",
    "beside",
    "otherwise",
    "package",
    "prelude",
    "options",
    "unset",
    "findings",
    "transient",
    "away",
    "unnamed",
    "accepts",
];

impl CommandWords {
    /// File name of the program.
    fn program(&self) -> Option<String> {
        let first = match self {
            Self::Line(line) => shell_words::split(&line.value).ok()?.into_iter().next()?,
            Self::Split(words) => words.first()?.value.clone(),
        };
        Some(Path::new(&first).file_name()?.to_string_lossy().into_owned())
    }

    fn texts(&self) -> &[GivenValue<String>] {
        match self {
            Self::Line(line) => std::slice::from_ref(line),
            Self::Split(words) => words,
        }
    }

    fn words(&self, layers: &Layers<'_>) -> Vec<String> {
        match self {
            Self::Split(given) => {
                let words = values(given);
                if let Some(found) = ScriptPlaceholder::find(&words) {
                    let (message, help) = found.explained();
                    layers.fail(ConfigError::new(given[found.at].origin.clone(), message).help(help));
                }
                words
            }
            Self::Line(line) => layers.parse(line, parse::command_line).unwrap_or_default(),
        }
    }
}

impl CommandEntry {
    /// The program and the option with which it only checks a configuration.
    pub(super) fn check_word(&self) -> Option<(String, String)> {
        let CommandWords::Split(words) = &self.command else { return None };
        // `-c FILE` names the configuration, in bird for instance, and checks nothing; nor does `-c NAME=FILE` of PostgreSQL.
        let names_file = |next: Option<&GivenValue<String>>| next.is_some_and(|next| next.value.contains('{'));
        let is_check = |(place, word): &(usize, &GivenValue<String>)| {
            CHECK_OPTIONS.contains(&word.value.as_str()) && !names_file(words.get(place + 1))
        };
        let (_, option) = words.iter().enumerate().find(is_check)?;
        Some((self.command.program()?, option.value.clone()))
    }

    pub(super) fn of_line(line: GivenValue<String>) -> Self {
        Self::of_command(CommandWords::Line(line))
    }

    fn of_command(command: CommandWords) -> Self {
        let (name, running, otherwise, package, prelude) = (None, None, None, None, None);
        let [beside, options, unset, findings, transient, away, unnamed, accepts] = [const { Vec::new() }; 8];
        Self {
            command,
            name,
            running,
            beside,
            otherwise,
            package,
            prelude,
            options,
            unset,
            findings,
            transient,
            away,
            unnamed,
            accepts,
        }
    }

    /// Reads one validator of the key `validate`.
    pub(super) fn of_node(node: Node, reader: &FileReader<'_>) -> Option<Self> {
        let here = reader.origin(&node);
        let entries = match node.value {
            Value::Scalar(Scalar { text: value, .. }) => {
                return Some(Self::of_line(GivenValue { value: value.into(), origin: here }));
            }
            Value::Map(entries) => entries,
            _ => {
                reader.fail(here, "a validator is a command, or a mapping with the key `command`", None);
                return None;
            }
        };
        let mut command = None;
        let mut entry = Self::of_command(CommandWords::Split(Vec::new()));
        for (key, value) in entries {
            match key.as_str() {
                Some("command") => command = words(value, "command", reader),
                Some(name) if KEYS.contains(&name) => entry.set(name, value, reader),
                other => {
                    let text = other.unwrap_or_default();
                    let message = format!("unknown key `{text}`{}", suggestion(text, KEYS));
                    let help = format!("the keys of a validator are {}", KEYS.join(", "));
                    reader.fail(reader.origin(&key), message, Some(help));
                }
            }
        }
        if command.is_none() {
            reader.fail(here, "this validator has no `command`", None);
        }
        Some(Self { command: command?, ..entry })
    }

    fn set(&mut self, key: &str, value: Node, reader: &FileReader<'_>) {
        if key == "running" {
            self.running = words(value, key, reader);
            return;
        }
        let mut texts = reader.texts(value, key);
        match key {
            "name" => self.name = texts.pop(),
            "otherwise" => self.otherwise = texts.pop(),
            "package" => self.package = texts.pop(),
            "prelude" => self.prelude = texts.pop(),
            "beside" => self.beside = texts,
            "options" => self.options = texts,
            "unset" => self.unset = texts,
            "findings" => self.findings = texts,
            "transient" => self.transient = texts,
            "away" => self.away = texts,
            "unnamed" => self.unnamed = texts,
            _ => self.accepts = texts,
        }
    }

    /// This command, with the output patterns of the entry among `known` that runs the same program, unless it has patterns of its
    /// own: with other arguments the program prints the same messages.
    pub(super) fn with_known_patterns(&self, known: &[Self]) -> Self {
        let program = self.command.program();
        let same = known.iter().find(|other| program.is_some() && other.command.program() == program);
        match same {
            Some(other) if [&self.findings, &self.transient, &self.away].iter().all(|own| own.is_empty()) => Self {
                package: self.package.clone().or_else(|| other.package.clone()),
                findings: other.findings.clone(),
                transient: other.transient.clone(),
                away: other.away.clone(),
                unnamed: other.unnamed.clone(),
                ..self.clone()
            },
            _ => self.clone(),
        }
    }

    pub(super) fn validator(&self, builtins: &BuiltinSettings, layers: &Layers<'_>) -> CommandValidator {
        let words = [Some(&self.command), self.running.as_ref()];
        let texts = words.into_iter().flatten().flat_map(CommandWords::texts).chain(&self.beside);
        texts.for_each(|text| check_placeholders(text, layers));
        let command = self.command.words(layers);
        let patterns = |given: &[GivenValue<String>]| {
            let pattern = |given: &GivenValue<String>| match given.origin {
                SettingOrigin::Preset(_) => Some(LazyRegex::constant(&given.value)),
                _ => layers.parse(given, parse::lazy_pattern),
            };
            given.iter().filter_map(pattern).collect()
        };
        CommandValidator {
            name: self.name.as_ref().map_or_else(|| shell_words::join(&command), |name| name.value.clone()),
            running: self.running.as_ref().map(|running| running.words(layers)),
            beside: values(&self.beside),
            otherwise: self.otherwise.as_ref().and_then(|name| builtins.named(name, layers)),
            package: self.package.as_ref().map(|package| package.value.clone()),
            prelude: self.prelude.as_ref().map(|prelude| prelude.value.clone()),
            options: values(&self.options),
            unset: values(&self.unset),
            patterns: FindingPatterns {
                findings: patterns(&self.findings),
                transient: patterns(&self.transient),
                away: patterns(&self.away),
                unnamed: patterns(&self.unnamed),
                accepts: patterns(&self.accepts),
            },
            command,
        }
    }
}

fn words(node: Node, key: &str, reader: &FileReader<'_>) -> Option<CommandWords> {
    let is_line = node.as_str().is_some();
    let mut texts = reader.texts(node, key);
    match texts.as_slice() {
        [] => None,
        _ if is_line => texts.pop().map(CommandWords::Line),
        _ => Some(CommandWords::Split(texts)),
    }
}

fn values(given: &[GivenValue<String>]) -> Vec<String> {
    given.iter().map(|given| given.value.clone()).collect()
}

/// Placeholders in the words of a validator. The last three refer to the running process; presets use them.
const PLACEHOLDERS: [&str; 7] = ["config", "dir", "exe", "program", "argv", "options", "mark"];

/// Reports placeholders that nothing replaces. `${name}` is a shell's.
fn check_placeholders(given: &GivenValue<String>, layers: &Layers<'_>) {
    let text = &given.value;
    for (at, _) in text.match_indices('{').filter(|(at, _)| !text[..*at].ends_with('$')) {
        let Some((name, _)) = text[at + 1..].split_once('}') else { continue };
        let is_word = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase());
        if !is_word || PLACEHOLDERS.contains(&name) {
            continue;
        }
        let begun = PLACEHOLDERS.into_iter().find(|known| known.starts_with(name));
        let meant = begun.or_else(|| nearest(name, PLACEHOLDERS));
        let meant = meant.map_or_else(String::new, |known| format!("; did you mean `{{{known}}}`?"));
        let help = "`{config}` is the main file and `{dir}` its directory; write a blank inside of literal braces, as `{ print }`";
        let message = format!("unknown placeholder `{{{name}}}`{meant}");
        layers.fail(ConfigError::new(given.origin.clone(), message).help(help));
    }
}
