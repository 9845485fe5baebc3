//! Who judges what `check` is given: by flags and variables, by the rules of a configuration file, or by name. Pure.

use std::sync::Arc;

use globset::{GlobBuilder, GlobMatcher};

use super::layer::{self, Layer, Layers, Said};
use super::validators::with_schema;
use super::{ConfigError, GateConfig, Origin, Outside, Preset, file, in_order, presets, resolve};
use crate::flow::validate::{Builtin, ValidationPlan};
use crate::sys::suggest::suggestion;

/// Who judges, and what is known of the program whose configuration it is.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// The program's profile.
    pub preset: Option<Preset>,
    /// Who judges, and how.
    pub plan: ValidationPlan,
}

/// A rule of the configuration file: who judges files of such names.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What their names, keys or paths look like.
    pub files: Vec<GlobMatcher>,
    /// Who judges them.
    pub assignment: Arc<Assignment>,
}

/// What `check` is told of who judges.
#[derive(Debug, Default)]
pub struct Assignments {
    /// Who judges all that is given.
    pub given: Option<Arc<Assignment>>,
    /// The gates of the configuration file: who judges what will lie where they watch.
    pub gates: Vec<GateConfig>,
    /// The rules of the configuration file, of which the first that fits holds.
    pub rules: Vec<Rule>,
    /// What the command line says besides, which holds for whoever judges.
    flags: Layer,
}

/// The settings that say who judges, and of what.
const ALL: [&str; 4] = ["app", "builtin", "validate", "main"];
/// The settings that say who judges.
const WHO: [&str; 3] = ["app", "builtin", "validate"];

/// Finds out who judges by what the user says; of the variables only that of the configuration file counts, as the others are those of
/// a sidecar.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn assignments(outside: &Outside<'_>) -> Result<Assignments, Vec<ConfigError>> {
    let mut errors = Vec::new();
    let flags = with_schema(layer::of_flags(&outside.flags), outside, &mut errors);
    let named: Vec<_> =
        outside.variables.iter().filter(|(name, _)| *name == *super::settings::variable("config")).cloned().collect();
    let variables = layer::of_variables(&named, true, &mut Vec::new(), &mut errors);
    let path = Layers(vec![flags.clone(), variables]).text("config").cloned();
    let said = path.map(|path| file(path.value.as_ref(), &path.origin, outside, &mut errors)).unwrap_or_default();
    // Whether they are right does not depend on who judges, which is not known yet.
    let others = outside.flags.iter().filter(|(name, _)| !ALL.contains(name)).cloned().collect::<Vec<_>>();
    let besides = with_schema(layer::of_flags(&others), outside, &mut errors);
    errors.extend(["nginx", "tls"].iter().filter_map(|name| called(name, &besides).err()));
    let given = WHO.iter().any(|name| flags.says(name));
    let given = given.then(|| resolve::assignment(&Layers(vec![flags.clone()]), &mut errors)).flatten().map(Arc::new);
    // Flags such as `--timeout` hold for all of them.
    let under = |layer: Layer| Layers(vec![flags.clone(), layer]);
    // Nobody is told of anything here.
    let observe = layer::of_flags(&[("observe", "true".to_owned())]);
    let gates = said.gates.into_iter();
    let gates = gates.filter_map(|gate| {
        let gate = with_schema(gate, outside, &mut errors);
        resolve::gate(&Layers(vec![observe.clone(), flags.clone(), gate]), &outside.directory, &mut errors)
    });
    let gates = gates.collect();
    let rules = said.rules.into_iter().filter_map(|(files, layer)| {
        let files = files.iter().filter_map(|said| glob(said, &mut errors)).collect();
        let layer = with_schema(layer, outside, &mut errors);
        Some(Rule { files, assignment: Arc::new(rule(&under(layer), &mut errors)?) })
    });
    let rules = rules.collect();
    if errors.is_empty() { Ok(Assignments { given, gates, rules, flags: besides }) } else { Err(in_order(errors)) }
}

impl Assignments {
    /// The judge of that name: a preset's or a bundled one's.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub fn assignment_named(&self, name: &str) -> Result<Arc<Assignment>, ConfigError> {
        called(name, &self.flags).map(Arc::new)
    }
}

fn called(name: &str, flags: &Layer) -> Result<Assignment, ConfigError> {
    let presets = presets();
    let names = || presets.iter().map(|preset| preset.name);
    // What is both is meant as the program's profile, of which its own judge is a part.
    let setting = match name {
        _ if names().any(|preset| preset == name) => "app",
        _ if Builtin::NAMES.contains(&name) => "builtin",
        _ => {
            let meant = suggestion(name, names().chain(Builtin::NAMES));
            let help = "`reload-gate validators` lists them";
            return Err(ConfigError::new(Origin::Nowhere, format!("unknown validator `{name}`{meant}")).help(help));
        }
    };
    let said = layer::of_flags(&[(setting, name.to_owned())]);
    let mut errors = Vec::new();
    let assignment = resolve::assignment(&Layers(vec![said, flags.clone()]), &mut errors);
    assignment.ok_or_else(|| errors.swap_remove(0))
}

fn rule(layers: &Layers, errors: &mut Vec<ConfigError>) -> Option<Assignment> {
    if !WHO.iter().any(|name| layers.0.iter().any(|layer| layer.says(name))) {
        let help = "say who judges those files: `app: NAME`, `builtin: NAME` or `validate: CMD`";
        errors.push(ConfigError::new(layers.place(), "this rule names no judge").help(help));
        return None;
    }
    resolve::assignment(layers, errors)
}

fn glob(said: &Said, errors: &mut Vec<ConfigError>) -> Option<GlobMatcher> {
    // As in `.gitignore`, a name without a slash fits in any directory.
    let pattern = if said.value.contains('/') { said.value.clone() } else { format!("**/{}", said.value) };
    let glob = GlobBuilder::new(&pattern).literal_separator(true).build();
    let glob = glob.map_err(|error| errors.push(ConfigError::new(said.origin.clone(), error.kind().to_string())));
    glob.ok().map(|glob| glob.compile_matcher())
}
