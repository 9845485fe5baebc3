//! Resolution: layers of settings become valid gates, or errors. Pure.

mod access;
mod alerts;
mod cluster;
mod sources;
mod target;
mod validation;

use std::path::{Path, PathBuf};

use super::layer::{GivenValue, Layers};
use super::preset::{self, Preset, presets};
use super::settings::{
    APP, DIFF, FAIL_ON_EMPTY, GRACE, LOG_FORMAT, MAX_LINGERING, MAX_SHRINK, MIN_INTERVAL, NAME, OBSERVE, ONCE, POLL,
    PRESET, PROCESS, PUBLISH, REDACT, RELOAD_BUDGET, SETTLE, STAGE, VERIFY_TIMEOUT, VERIFY_WORKERS,
};
use super::{Assignment, ConfigError, GateConfig, SettingOrigin};
use crate::flow::publish::Publication;
use crate::flow::reload::ReloadMethod;
use crate::flow::validate::{ConfigLookup, Confinement, RootChoice, ValidationPlan};
use crate::flow::verify::Verification;
use crate::gate::Policy;
use crate::report::log;
use crate::sys::suggest::suggestion;

pub(super) use alerts::{alerts, api_server, cluster};
pub(super) use cluster::{api_access, between_pods, kubeconfig};

/// Resolves the gate that `layers` describe; returns `None` after an error.
pub(super) fn gate(layers: &Layers<'_>, is_directory: &dyn Fn(&Path) -> bool) -> Option<GateConfig> {
    let before = layers.errors.len();
    let waives_proof = layers.get(VERIFY_WORKERS) == Some(false);
    let (layers, preset) = with_preset(layers);
    let (layers, preset) = (&layers, preset.as_ref());
    let once = layers.get(ONCE);
    let observe = layers.get(OBSERVE) || once;

    let usual = preset.and_then(|preset| preset.directory.as_deref()).map(Path::new).filter(|path| is_directory(path));
    let sources = sources::sources(layers, usual);
    let publication = sources::volumes(layers, PUBLISH, &sources);
    let stage = sources::volumes(layers, STAGE, &sources);
    sources::check_distinct_volumes(layers);
    let rendering = sources::rendering(layers);
    // A gate that only observes writes nothing that other programs read.
    let publication = if layers.get(OBSERVE) { None } else { publication };
    let selector = target::selector(layers, preset);
    let reload = target::reload(layers, &selector, preset, observe);
    access::check(layers);
    // No worker ever proves a signal after which none is started.
    let verification = match reload.without_effect(selector.process.as_deref()) {
        Some(_) => Verification::Nothing,
        None => target::verification(layers, &selector, preset),
    };
    let plan = ValidationPlan {
        // An application that starts only after the first publication cannot be waited for before it.
        without_target: once || publication.is_some(),
        ..validation::plan(layers, validation::main(layers, preset, &sources))
    };
    // A staged candidate lies in the gate's own root.
    let root = if stage.is_some() && plan.root == RootChoice::Auto { RootChoice::Local } else { plan.root };
    let fixed = sources::fixed(layers, &sources);
    let confinement = plan.confinement.map(|confinement| Confinement { fixed, ..confinement });
    let lookup = preset.map(|preset| preset.lookup.clone()).filter(|lookup| *lookup != ConfigLookup::default());
    let plan = ValidationPlan { root, confinement, lookup, ..plan };
    validation::check_once(layers, &plan, publication.is_some());
    let policy = Policy {
        publish: publication.is_some(),
        permission: false,
        fallback: false,
        fail_on_empty: layers.get(FAIL_ON_EMPTY),
        max_shrink: layers.get(MAX_SHRINK),
        once,
        main: plan.main.clone(),
        min_interval: layers.get(MIN_INTERVAL),
        budget: layers.get(RELOAD_BUDGET),
        reload: !observe && !matches!(reload, ReloadMethod::Nothing),
        quiet: layers.get(SETTLE),
        poll: layers.get(POLL),
        grace: layers.get(GRACE),
    };
    let gate = GateConfig {
        name: name(layers, preset),
        sources,
        reading: sources::reading(layers),
        rendering,
        publication,
        stage,
        plan,
        selector,
        reload,
        verification,
        verify_timeout: layers.get(VERIFY_TIMEOUT),
        max_lingering: layers.get(MAX_LINGERING),
        redact: layers.get(REDACT),
        diff: layers.get(DIFF),
        waives_proof,
        policy,
        cluster: None,
    };
    (layers.errors.len() == before).then_some(gate)
}

/// Resolves the validators that `layers` describe, and the preset of the program; returns `None` after an error.
pub(super) fn assignment(layers: &Layers<'_>) -> Option<Assignment> {
    let before = layers.errors.len();
    let (layers, preset) = with_preset(layers);
    let plan = validation::plan(&layers, validation::main(&layers, preset.as_ref(), &[]));
    (layers.errors.len() == before).then_some(Assignment { preset, plan })
}

/// Adds the layer of the preset below the others.
fn with_preset<'a>(layers: &Layers<'a>) -> (Layers<'a>, Option<Preset>) {
    let preset = preset(layers);
    let mut layers = layers.clone();
    layers.layers.extend(preset.iter().map(|preset| preset.layer.clone()));
    (layers, preset)
}

fn preset(layers: &Layers<'_>) -> Option<Preset> {
    if let Some(layer) = layers.highest(&[APP.spec, PRESET.spec]).filter(|layer| layer.has(PRESET.spec)) {
        if let Some(app) = layer.text(APP.spec) {
            let error = ConfigError::new(app.origin.clone(), "`app` and `preset` exclude each other");
            layers.fail(error.help("give one of them"));
        }
        return layer.preset.as_deref().cloned();
    }
    let Some(app) = layers.given(APP) else {
        // The process of a preset implies the preset: a gate that signals nginx has to validate for nginx.
        let process = layers.get(PROCESS)?;
        return preset::of_process(&process).cloned();
    };
    if app.value == "none" {
        return None;
    }
    let found = preset::named(&app.value).cloned();
    if found.is_none() {
        let meant = suggestion(&app.value, presets().iter().map(|preset| preset.name));
        let error = ConfigError::new(app.origin, format!("unknown preset `{}`{meant}", app.value));
        layers.fail(error.help("choose a preset that `reload-gate validators` lists"));
    }
    found
}

fn name(layers: &Layers<'_>, preset: Option<&Preset>) -> String {
    let given = layers.get(NAME).or_else(|| layers.get(PROCESS));
    given.or_else(|| preset.map(|preset| preset.name.to_owned())).unwrap_or_else(|| "default".into())
}

/// Reports gates of one name: their events would look the same.
pub(super) fn check_distinct_names(gates: &[GivenValue<GateConfig>], layers: &Layers<'_>) {
    for (index, gate) in gates.iter().enumerate() {
        if gates[..index].iter().any(|other| other.value.name == gate.value.name) {
            let message = format!("another gate has the name `{}` too", gate.value.name);
            layers.fail(ConfigError::new(gate.origin.clone(), message).help("give each gate a `name`"));
        }
    }
}

/// Reports gates of one roll-out group: for the group they would be one pod.
pub(super) fn check_distinct_groups(gates: &[GivenValue<GateConfig>], layers: &Layers<'_>) {
    let group = |gate: &GivenValue<GateConfig>| Some(gate.value.cluster.as_ref()?.rollout.as_ref()?.group.clone());
    for (index, gate) in gates.iter().enumerate() {
        let Some(own) = group(gate) else { continue };
        if gates[..index].iter().any(|other| group(other).as_ref() == Some(&own)) {
            let message = format!("another gate of this pod has the roll-out group `{own}` too");
            let help = "give each gate a group of its own: the pods of a group have one configuration";
            layers.fail(ConfigError::new(gate.origin.clone(), message).help(help));
        }
    }
}

/// Place of the name of a gate, or of the gate itself.
pub(super) fn place_of_name(layers: &Layers<'_>) -> SettingOrigin {
    layers.origin(NAME.spec).cloned().unwrap_or_else(|| layers.place())
}

pub(super) fn log_format(layers: &Layers<'_>, terminal: bool) -> log::LogFormat {
    layers.get(LOG_FORMAT).unwrap_or(if terminal { log::LogFormat::Text } else { log::LogFormat::Json })
}

/// Hides the sources and volumes of each gate from the commands of the others.
pub(super) fn keep_apart(gates: &mut [GateConfig]) {
    let paths: Vec<Vec<PathBuf>> = gates.iter().map(own_paths).collect();
    for (index, gate) in gates.iter_mut().enumerate() {
        let Some(confinement) = &mut gate.plan.confinement else { continue };
        let overlaps = |path: &PathBuf| paths[index].iter().any(|own| own.starts_with(path) || path.starts_with(own));
        let others = paths.iter().enumerate().filter(|(other, _)| *other != index).flat_map(|(_, paths)| paths);
        confinement.hidden.extend(others.filter(|path| !overlaps(path)).cloned());
    }
}

/// The paths of a gate's sources and volumes.
fn own_paths(gate: &GateConfig) -> Vec<PathBuf> {
    let volumes = [&gate.publication, &gate.stage].into_iter().flatten().flat_map(Publication::volumes);
    let volumes = volumes.map(|(volume, _)| volume.path().to_owned());
    gate.sources.iter().map(|source| source.path.clone()).chain(volumes).collect()
}
