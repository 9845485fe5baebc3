//! The configuration file: mappings of settings, read with the place of each. Pure.

use std::path::Path;

use reload_gate_structured::yaml::{self, Document, Node, Scalar, Value};

use super::command::CommandEntry;
use super::layer::{ErrorList, GivenValue, SettingsLayer};
use super::settings::{self, SETTINGS, SettingSpec, Takes, VALIDATE};
use super::{ConfigError, SettingOrigin};
use crate::sys::suggest::{nearest, suggestion};

/// Contents of a configuration file.
#[derive(Debug, Default)]
pub(super) struct ConfigFile {
    pub(super) gates: Vec<SettingsLayer>,
    pub(super) rules: Vec<RuleEntry>,
    /// Rules of the admission webhook; `None` if the file does not have that key.
    pub(super) admission: Option<Vec<AdmissionEntry>>,
}

/// A rule of the admission webhook: patterns of objects and keys, objects that one program reads, and settings.
#[derive(Debug)]
pub(super) struct AdmissionEntry {
    pub(super) kind: Option<GivenValue<String>>,
    pub(super) namespaces: Vec<GivenValue<String>>,
    pub(super) names: Vec<GivenValue<String>>,
    pub(super) keys: Vec<GivenValue<String>>,
    pub(super) together: Vec<TogetherEntry>,
    pub(super) settings: SettingsLayer,
}

/// An object of several that one program reads.
#[derive(Debug)]
pub(super) struct TogetherEntry {
    pub(super) name: GivenValue<String>,
    pub(super) path: GivenValue<String>,
}

/// A rule of `check`: patterns of file names, and the settings of these files.
#[derive(Debug)]
pub(super) struct RuleEntry {
    pub(super) files: Vec<GivenValue<String>>,
    pub(super) settings: SettingsLayer,
}

/// Part of the file that its reader needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConfigPart {
    Gates,
    Rules,
    Admission,
}

impl ConfigPart {
    const ALL: [Self; 3] = [Self::Gates, Self::Rules, Self::Admission];

    const fn key(self) -> &'static str {
        match self {
            Self::Gates => "gates",
            Self::Rules => "rules",
            Self::Admission => "admission",
        }
    }

    /// Returns the advice about the form of a file with this part.
    fn form(self) -> Option<String> {
        let form = match self {
            Self::Gates => "gates: [{app: nginx, watch: /etc/nginx}]",
            Self::Rules => "rules: [{files: 'conf.d/*.conf', app: nginx}]",
            Self::Admission => "admission: [{namespaces: [web], app: nginx}]",
        };
        Some(format!("write the file as `{form}`"))
    }
}

/// Kind of a mapping with settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section {
    /// Its keys beside the settings.
    keys: &'static [&'static str],
    /// Settings that have an effect in it; `None` for all of a gate.
    settings: Option<&'static [&'static str]>,
    /// Advice about an unknown key.
    help: &'static str,
}

/// A gate, or a preset.
pub(super) const GATE: Section = Section {
    keys: &[],
    settings: None,
    help: "use a flag of `reload-gate run --help` as the key, without its hyphens in front",
};
const RULE: Section = Section {
    keys: &["files"],
    settings: None,
    help: "use `files`, or a flag of `reload-gate check --help` without its hyphens in front",
};
const ADMISSION: Section = Section {
    keys: &["kind", "namespaces", "names", "keys", "together"],
    settings: Some(&ADMISSION_SETTINGS),
    help: "use `kind`, `namespaces`, `names`, `keys`, `together`, or a setting of a validator: `app`, `preset`, `builtin`, `main`, `context`, \
           `schema`, `nginx-version`, `nginx-build`, `nginx-allow`, `nginx-hygiene`, `tls-name`, `tls-warn`",
};

/// Settings of validators in a rule of the admission webhook, which runs no program.
pub const ADMISSION_SETTINGS: [&str; 12] = [
    "app",
    "preset",
    "builtin",
    "main",
    "context",
    "schema",
    "nginx-version",
    "nginx-build",
    "nginx-allow",
    "nginx-hygiene",
    "tls-name",
    "tls-warn",
];

/// FileReader of the nodes of one file.
pub(super) struct FileReader<'a> {
    /// The place of a line and a column.
    pub(super) place: &'a dyn Fn(u32, u32) -> SettingOrigin,
    pub(super) errors: &'a ErrorList,
}

/// Reads a configuration file, of which `wanted` is needed.
pub(super) fn read(path: &Path, text: &str, wanted: ConfigPart, errors: &ErrorList) -> ConfigFile {
    let place = |line, column| SettingOrigin::File(path.to_path_buf(), line, column);
    FileReader { place: &place, errors }.file(text, wanted)
}

impl FileReader<'_> {
    pub(super) fn origin(&self, node: &Node) -> SettingOrigin {
        (self.place)(node.line, node.column)
    }

    pub(super) fn fail(&self, origin: SettingOrigin, message: impl Into<String>, help: Option<String>) {
        self.errors.push(ConfigError { origin, message: message.into(), help });
    }

    fn file(&self, text: &str, wanted: ConfigPart) -> ConfigFile {
        let Some(entries) = self.top(text, wanted) else { return ConfigFile::default() };
        let before = self.errors.len();
        let (mut gates, mut rules, mut admission) = (Vec::new(), Vec::new(), None);
        // To the webhook, a file for `run` or `check` is one without rules for it, also where these have none.
        let is_of_others =
            entries.iter().any(|(key, _)| key.as_str().is_some_and(|key| ["gates", "rules"].contains(&key)))
                && matches!(wanted, ConfigPart::Admission);
        let called = |name: &str| ConfigPart::ALL.into_iter().find(|part| part.key() == name);
        for (key, value) in entries {
            match (key.as_str(), value.value) {
                (Some("gates"), Value::List(items)) => gates.extend(items),
                (Some("rules"), Value::List(items)) => rules.extend(items),
                (Some("admission"), Value::List(items)) => admission = Some(items),
                (Some(name), _) => match called(name) {
                    Some(part) => self.fail(self.origin(&key), format!("`{name}` is a list"), part.form()),
                    None => self.unknown_part(&key, name, wanted),
                },
                _ => self.fail(self.origin(&key), "a key is a word", wanted.form()),
            }
        }
        let is_empty = gates.is_empty() && rules.is_empty() && admission.is_none() && !is_of_others;
        if is_empty && self.errors.len() == before {
            let message = match wanted {
                ConfigPart::Admission => "the file has no rules of `admission`",
                ConfigPart::Gates | ConfigPart::Rules => "the file has no gates",
            };
            self.fail((self.place)(1, 1), message, wanted.form());
        }
        ConfigFile {
            gates: gates.into_iter().map(|gate| self.gate(gate)).collect(),
            rules: rules.into_iter().map(|rule| self.rule(rule)).collect(),
            admission: admission.map(|entries| entries.into_iter().map(|entry| self.admission(entry)).collect()),
        }
    }

    fn unknown_part(&self, key: &Node, name: &str, wanted: ConfigPart) {
        let keys = ConfigPart::ALL.map(ConfigPart::key);
        let meant = ConfigPart::ALL.into_iter().find(|part| nearest(name, keys) == Some(part.key()));
        let message = format!("unknown key `{name}`{}", suggestion(name, keys));
        self.fail(self.origin(key), message, meant.unwrap_or(wanted).form());
    }

    /// A rule of the admission webhook: its own keys, and settings.
    fn admission(&self, node: Node) -> AdmissionEntry {
        let begins = self.origin(&node);
        let (mut kind, mut together) = (None, Vec::new());
        let (mut namespaces, mut names, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        let mut own = |(key, value): &(Node, Node)| {
            match key.as_str() {
                Some("kind") => kind = self.texts(value.clone(), "kind").into_iter().next(),
                Some("namespaces") => namespaces = self.texts(value.clone(), "namespaces"),
                Some("names") => names = self.texts(value.clone(), "names"),
                Some("keys") => keys = self.texts(value.clone(), "keys"),
                Some("together") => together = self.together(value.clone()),
                _ => return false,
            }
            true
        };
        let mut settings = self.layer(node, ADMISSION, &mut own);
        settings.begins = Some(begins);
        AdmissionEntry { kind, namespaces, names, keys, together, settings }
    }

    /// Objects that one program reads: a list of mappings of `name` and `path`.
    fn together(&self, node: Node) -> Vec<TogetherEntry> {
        const FORM: &str = "write it as `together: [{name: nginx-main, path: /etc/nginx}]`";
        let origin = self.origin(&node);
        let Value::List(items) = node.value else {
            self.fail(origin, "`together` is a list", Some(FORM.to_owned()));
            return Vec::new();
        };
        let entry = |item: Node| {
            let origin = self.origin(&item);
            let (mut name, mut path) = (None, None);
            for (key, value) in item.entries() {
                let text =
                    || value.as_str().map(|text| GivenValue { value: text.to_owned(), origin: self.origin(value) });
                match key.as_str() {
                    Some("name") => name = text(),
                    Some("path") => path = text(),
                    _ => self.fail(self.origin(key), "it has the keys `name` and `path` alone", Some(FORM.to_owned())),
                }
            }
            let Some((name, path)) = name.zip(path) else {
                self.fail(origin, "it names no object and its directory", Some(FORM.to_owned()));
                return None;
            };
            Some(TogetherEntry { name, path })
        };
        items.into_iter().filter_map(entry).collect()
    }

    /// The mapping at the top of the file. Repeated keys are reported with the other errors.
    fn top(&self, text: &str, wanted: ConfigPart) -> Option<Vec<(Node, Node)>> {
        match yaml::documents(text).next().transpose() {
            Ok(Some(Document { root: Node { value: Value::Map(entries), .. }, .. })) => {
                return Some(entries.into_vec());
            }
            Ok(_) => {
                let message = format!("the file is no mapping with the key `{}`", wanted.key());
                self.fail((self.place)(1, 1), message, wanted.form());
            }
            Err(broken) => self.fail((self.place)(broken.line, broken.column), broken.message, None),
        }
        None
    }

    fn gate(&self, node: Node) -> SettingsLayer {
        let begins = Some(self.origin(&node));
        let mut layer = self.layer(node, GATE, &mut |_| false);
        layer.begins = begins;
        layer
    }

    /// A rule: the key `files`, and settings.
    fn rule(&self, node: Node) -> RuleEntry {
        let begins = self.origin(&node);
        let mut files = Vec::new();
        let mut own = |(key, value): &(Node, Node)| {
            let is_files = key.as_str() == Some("files");
            if is_files {
                files = self.texts(value.clone(), "files");
            }
            is_files
        };
        let mut settings = self.layer(node, RULE, &mut own);
        settings.begins = Some(begins.clone());
        if files.is_empty() {
            let help = "name the files of the rule: `files: ['*.rules', 'conf.d/**']`";
            self.fail(begins, "this rule has no `files`", Some(help.to_owned()));
        }
        RuleEntry { files, settings }
    }

    /// The settings of a mapping. The caller takes the keys for which `own` returns true.
    pub(super) fn layer(
        &self,
        node: Node,
        section: Section,
        own: &mut dyn FnMut(&(Node, Node)) -> bool,
    ) -> SettingsLayer {
        let mut layer = SettingsLayer::default();
        let here = self.origin(&node);
        let Value::Map(entries) = node.value else {
            self.fail(here, "the item is no mapping of settings", None);
            return layer;
        };
        let mut seen = Vec::new();
        for entry in entries {
            if own(&entry) {
                continue;
            }
            let (key, value) = entry;
            let Some(setting) = self.setting(&key, section) else { continue };
            if seen.contains(&setting.name) {
                self.fail(self.origin(&key), format!("`{}` is given twice", setting.name), None);
                continue;
            }
            seen.push(setting.name);
            if setting.name == VALIDATE.spec.name {
                layer.commands = Some(self.commands(value));
                continue;
            }
            for text in self.scalars(value, setting.takes, setting.name) {
                layer.add(setting, text.value, text.origin);
            }
        }
        layer
    }

    /// The setting that a key names.
    fn setting(&self, key: &Node, section: Section) -> Option<&'static SettingSpec> {
        let origin = self.origin(key);
        let Some(name) = key.as_str() else {
            self.fail(origin, "a key is a word", None);
            return None;
        };
        match settings::find(name) {
            Some(setting) if setting.of_gate && section.settings.is_none_or(|known| known.contains(&name)) => {
                return Some(setting);
            }
            Some(setting) if setting.of_gate => {
                let message = format!("`{name}` has no effect in a rule of `admission`, which runs no program");
                self.fail(origin, message, Some(section.help.to_owned()));
            }
            Some(_) => {
                let message = format!("`{name}` is a setting of the whole process, not of one gate");
                self.fail(origin, message, Some(format!("use the flag `--{name}`")));
            }
            None => {
                let of_gates = SETTINGS.iter().filter(|setting| setting.of_gate).map(|setting| setting.name);
                let of_gates = of_gates.filter(|name| section.settings.is_none_or(|known| known.contains(name)));
                let known = section.keys.iter().copied().chain(of_gates);
                let message = format!("unknown key `{name}`{}", suggestion(name, known));
                self.fail(origin, message, Some(section.help.to_owned()));
            }
        }
        None
    }

    fn commands(&self, node: Node) -> Vec<CommandEntry> {
        let items = match node.value {
            Value::List(items) => items.into_vec(),
            _ => vec![node],
        };
        items.into_iter().filter_map(|item| CommandEntry::of_node(item, self)).collect()
    }

    /// The texts of a key that takes one or several.
    pub(super) fn texts(&self, node: Node, key: &str) -> Vec<GivenValue<String>> {
        self.scalars(node, Takes::Many("TEXT"), key)
    }

    fn scalars(&self, node: Node, takes: Takes, key: &str) -> Vec<GivenValue<String>> {
        let origin = self.origin(&node);
        let wanted = match (node.value, takes) {
            (Value::Scalar(Scalar { text: value, .. }), _) => return vec![GivenValue { value: value.into(), origin }],
            (Value::List(items), Takes::Many(_)) => {
                return items.into_iter().flat_map(|item| self.scalars(item, Takes::One("TEXT"), key)).collect();
            }
            (_, Takes::Many(_)) => "a text or a list of texts",
            (_, Takes::Switch) => "true or false",
            (_, Takes::One(_)) => "a text",
        };
        self.fail(origin, format!("`{key}` takes {wanted}"), None);
        Vec::new()
    }
}
