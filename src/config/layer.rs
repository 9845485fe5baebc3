//! Settings of one place, and several places on top of each other. Pure.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use super::command::CommandEntry;
use super::parse::{Invalid, Parse};
use super::preset::Preset;
use super::settings::{List, Optional, Setting, SettingSpec, VALIDATE};
use super::{ConfigError, SettingOrigin};
use crate::flow::validate::JsonSchema;

/// Value and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GivenValue<T> {
    pub(super) value: T,
    pub(super) origin: SettingOrigin,
}

/// Errors found so far.
#[derive(Debug, Default)]
pub(super) struct ErrorList(RefCell<Vec<ConfigError>>);

impl ErrorList {
    pub(super) fn push(&self, error: ConfigError) {
        self.0.borrow_mut().push(error);
    }

    pub(super) fn extend(&self, errors: impl IntoIterator<Item = ConfigError>) {
        errors.into_iter().for_each(|error| self.push(error));
    }

    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    pub(super) fn into_errors(self) -> Vec<ConfigError> {
        self.0.into_inner()
    }
}

/// Settings of one place: the flags, the variables, a gate of the file, or a preset.
#[derive(Clone, Debug, Default)]
pub(super) struct SettingsLayer {
    values: BTreeMap<&'static str, Vec<GivenValue<String>>>,
    /// Place where the gate begins in the file.
    pub(super) begins: Option<SettingOrigin>,
    pub(super) commands: Option<Vec<CommandEntry>>,
    /// True if `watch` comes from a variable that means the volume around a file as well.
    pub(super) whole_volume: bool,
    /// The preset whose file is named here.
    pub(super) preset: Option<Box<Preset>>,
    /// The schema that is named here.
    pub(super) schema: Option<JsonSchema>,
}

impl SettingsLayer {
    pub(super) fn add(&mut self, setting: &'static SettingSpec, value: String, origin: SettingOrigin) {
        let given = GivenValue { value, origin };
        if setting.name == VALIDATE.spec.name {
            self.commands.get_or_insert_default().push(CommandEntry::of_line(given));
        } else {
            self.values.entry(setting.name).or_default().push(given);
        }
    }

    /// Removes a setting.
    pub(super) fn remove(&mut self, setting: &SettingSpec) {
        self.values.remove(setting.name);
    }

    /// Adds the settings of `below` that are not in this layer.
    pub(super) fn add_below(&mut self, below: &Self) {
        for (name, values) in &below.values {
            self.values.entry(name).or_insert_with(|| values.clone());
        }
        self.commands = self.commands.take().or_else(|| below.commands.clone());
        self.preset = self.preset.take().or_else(|| below.preset.clone());
        self.schema = self.schema.take().or_else(|| below.schema.clone());
    }

    /// Places of empty values. An empty path would be the working directory.
    pub(super) fn empty(&self) -> impl Iterator<Item = &SettingOrigin> {
        let given = self.values.values().flatten();
        given.filter(|given| given.value.trim().is_empty()).map(|given| &given.origin)
    }

    pub(super) fn has(&self, setting: &SettingSpec) -> bool {
        self.values.contains_key(setting.name) || (setting.name == VALIDATE.spec.name && self.commands.is_some())
    }

    /// The texts of a setting.
    pub(super) fn texts(&self, setting: &SettingSpec) -> &[GivenValue<String>] {
        self.values.get(setting.name).map_or(&[], Vec::as_slice)
    }

    /// The text of a setting that takes one; of several the last, as on every command line.
    pub(super) fn text(&self, setting: &SettingSpec) -> Option<&GivenValue<String>> {
        self.texts(setting).last()
    }
}

/// Layers on top of each other, the highest first. A setting of a higher layer hides that of a lower one.
#[derive(Clone, Debug)]
pub(super) struct Layers<'a> {
    pub(super) layers: Vec<SettingsLayer>,
    /// Directory in which relative paths begin.
    pub(super) directory: &'a Path,
    /// Errors of the values that were read.
    pub(super) errors: &'a ErrorList,
}

/// Setting that can be read from layers.
pub(super) trait Read: Copy {
    /// Type of its value.
    type Value;

    fn read(self, layers: &Layers<'_>) -> Self::Value;
}

impl<T> Read for Setting<T> {
    type Value = T;

    fn read(self, layers: &Layers<'_>) -> T {
        let given = layers.text(self.spec).and_then(|given| layers.parse(given, self.parse));
        let default = || (self.parse)(self.spec.default.unwrap_or("false"), layers.directory);
        given.unwrap_or_else(|| default().unwrap_or_else(|error| panic!("default of {}: {error:?}", self.spec.name)))
    }
}

impl<T> Read for Optional<T> {
    type Value = Option<T>;

    fn read(self, layers: &Layers<'_>) -> Option<T> {
        layers.given(self).map(|given| given.value)
    }
}

impl<T> Read for List<T> {
    type Value = Vec<GivenValue<T>>;

    fn read(self, layers: &Layers<'_>) -> Vec<GivenValue<T>> {
        let given = layers.highest(&[self.spec]).map_or(&[][..], |layer| layer.texts(self.spec));
        given.iter().filter_map(|given| layers.parse_given(given, self.parse)).collect()
    }
}

impl Layers<'_> {
    /// The value of a setting in the highest layer that has it. An invalid value is an error, and counts as absent.
    pub(super) fn get<S: Read>(&self, setting: S) -> S::Value {
        setting.read(self)
    }

    /// The value of a setting, and its place.
    pub(super) fn given<T>(&self, setting: Optional<T>) -> Option<GivenValue<T>> {
        self.parse_given(self.text(setting.spec)?, setting.parse)
    }

    /// The place of a setting.
    pub(super) fn origin(&self, setting: &SettingSpec) -> Option<&SettingOrigin> {
        self.text(setting).map(|given| &given.origin)
    }

    fn text(&self, setting: &SettingSpec) -> Option<&GivenValue<String>> {
        self.layers.iter().find_map(|layer| layer.text(setting))
    }

    pub(super) fn parse<T>(&self, given: &GivenValue<String>, parse: Parse<T>) -> Option<T> {
        let parsed = parse(&given.value, self.directory);
        parsed
            .map_err(|Invalid { message, help }| self.fail(ConfigError { origin: given.origin.clone(), message, help }))
            .ok()
    }

    pub(super) fn parse_given<T>(&self, given: &GivenValue<String>, parse: Parse<T>) -> Option<GivenValue<T>> {
        Some(GivenValue { value: self.parse(given, parse)?, origin: given.origin.clone() })
    }

    /// Adds an error.
    pub(super) fn fail(&self, error: ConfigError) {
        self.errors.push(error);
    }

    /// Place for errors about what is missing.
    pub(super) fn place(&self) -> SettingOrigin {
        self.layers.iter().find_map(|layer| layer.begins.clone()).unwrap_or(SettingOrigin::Nowhere)
    }

    /// The highest layer that has any of `settings`.
    pub(super) fn highest(&self, settings: &[&SettingSpec]) -> Option<&SettingsLayer> {
        self.layers.iter().find(|layer| settings.iter().any(|setting| layer.has(setting)))
    }

    /// The highest layer that has any of `settings`, which exclude each other.
    pub(super) fn exclusive(&self, settings: &[&SettingSpec]) -> Option<Self> {
        let layer = self.highest(settings)?;
        let mut chosen = settings.iter().filter(|setting| layer.has(setting));
        let first = chosen.next()?;
        for other in chosen {
            let origin = layer.text(other).map_or(SettingOrigin::Nowhere, |given| given.origin.clone());
            let message = format!("`{}` and `{}` exclude each other", other.name, first.name);
            self.fail(ConfigError::new(origin, message).help("give one of them"));
        }
        Some(Self { layers: vec![layer.clone()], ..self.clone() })
    }

    /// The settings that are given, each once, and the first place of each.
    pub(super) fn all_given(&self) -> impl Iterator<Item = (&'static SettingSpec, &[GivenValue<String>])> {
        super::SETTINGS.iter().filter_map(|setting| {
            let given = self.highest(&[setting])?.texts(setting);
            (!given.is_empty()).then_some((setting, given))
        })
    }
}
