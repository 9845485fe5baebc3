//! Validators and their environment. Pure.

use std::path::PathBuf;

use crate::config::ConfigError;
use crate::config::layer::Layers;
use crate::config::preset::{self, Preset};
use crate::config::settings::{BUILTIN, MAIN, ONCE, PASS_ENV, REQUIRE, ROOT, SANDBOX, Sandbox, TIMEOUT, VALIDATE};
use crate::config::validators::BuiltinSettings;
use crate::flow::snapshot::Source;
use crate::flow::validate::{Confinement, Main, ValidationPlan, Validator};

pub(super) fn plan(layers: &Layers<'_>, main: Main) -> ValidationPlan {
    ValidationPlan {
        validators: validators(layers),
        root: layers.get(ROOT),
        required: layers.get(REQUIRE).into_iter().map(|file| file.value).collect(),
        timeout: layers.get(TIMEOUT),
        main,
        lookup: None,
        without_target: false,
        hides_homes: false,
        fallback: false,
        confinement: confinement(layers),
        pass_env: layers.get(PASS_ENV).into_iter().map(|name| name.value).collect(),
        env: Vec::new(),
        kept: true,
    }
}

/// The file with which validation begins.
pub(super) fn main(layers: &Layers<'_>, preset: Option<&Preset>, sources: &[Source]) -> Main {
    if let Some(main) = layers.get(MAIN) {
        return Main::Given(main);
    }
    let legacy = sources.first().filter(|source| source.whole_volume).and_then(|source| source.path.file_name());
    let usual = legacy.map(PathBuf::from).or_else(|| {
        let preset = preset.or_else(|| preset_of_builtin(layers))?;
        Some(preset.files.first()?.into())
    });
    usual.map_or(Main::Only, Main::Usual)
}

/// The preset with the name of a built-in validator that is given: its program has the same main file.
fn preset_of_builtin(layers: &Layers<'_>) -> Option<&'static Preset> {
    let names = layers.get(BUILTIN);
    names.iter().find_map(|name| preset::named(name.value))
}

/// Reports `--once` without a validator: it would accept anything.
pub(super) fn check_once(layers: &Layers<'_>, plan: &ValidationPlan, publishes: bool) {
    let validates = layers.highest(&[BUILTIN.spec, VALIDATE.spec]).is_some() || !plan.required.is_empty();
    let Some(origin) = layers.origin(ONCE.spec) else { return };
    if layers.get(ONCE) && !validates && !publishes {
        let help = "add `--app NAME`, `--builtin NAME` or `--validate CMD`";
        layers.fail(ConfigError::new(origin.clone(), "there is no validator, so nothing can be validated").help(help));
    }
}

fn validators(layers: &Layers<'_>) -> Vec<Validator> {
    let settings = BuiltinSettings::of(layers);
    let chosen = [BUILTIN.spec, VALIDATE.spec];
    let Some(layer) = layers.highest(&chosen) else { return Vec::new() };
    let own = Layers { layers: vec![layer.clone()], ..layers.clone() };
    // The cheaper ones first.
    let builtins = own.get(BUILTIN).into_iter().filter_map(|name| settings.validator(&name, layers));
    // The preset is the lowest layer; a command over it may be the same program with other arguments.
    let lowest = layers.layers.last().filter(|lowest| !std::ptr::eq(*lowest, layer));
    let known = lowest.and_then(|lowest| lowest.commands.as_deref()).unwrap_or_default();
    let commands = layer.commands.iter().flatten().map(|entry| entry.with_known_patterns(known));
    let commands = commands.map(|entry| Box::new(entry.validator(&settings, layers)));
    builtins.map(Validator::Builtin).chain(commands.map(Validator::Command)).collect()
}

/// Paths that commands which run here must not read. The paths that they must not write depend on the gate.
fn confinement(layers: &Layers<'_>) -> Option<Confinement> {
    let sandbox = layers.get(SANDBOX);
    let private = layers.all_given().filter(|(setting, _)| setting.private);
    let private = private.flat_map(|(_, given)| given).map(|given| layers.directory.join(&given.value));
    let hidden = Confinement::SECRETS.map(PathBuf::from).into_iter().chain(private).collect();
    let strict = sandbox == Sandbox::Strict;
    (sandbox != Sandbox::Off).then_some(Confinement { strict, hidden, ..Confinement::default() })
}
