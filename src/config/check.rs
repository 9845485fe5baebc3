//! Validators of the inputs of `check`: by flags, by the rules and gates of a configuration file, or by name. Pure.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use globset::{GlobBuilder, GlobMatcher};

use super::file::{ConfigFile, ConfigPart};
use super::layer::{ErrorList, GivenValue, Layers, SettingsLayer};
use super::settings::{APP, BUILTIN, CONFIG, CONTEXT, MAIN, OBSERVE, PRESET, SettingSpec, TIMEOUT, VALIDATE};
use super::validators::{check_context_use, with_files};
use super::{ConfigError, GateConfig, Preset, SettingOrigin, UserInput, flags, in_order, presets, read_file, resolve};
use crate::flow::validate::{Builtin, ValidationPlan};
use crate::sys::suggest::suggestion;

/// Validators of a file, and the preset of the program that reads it.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// The program's preset.
    pub preset: Option<Preset>,
    /// The validators and their environment.
    pub plan: ValidationPlan,
}

/// A rule of the configuration file: the validators of files with such names.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Patterns of names, keys or paths.
    pub files: Vec<GlobMatcher>,
    /// Their validators.
    pub assignment: Arc<Assignment>,
}

/// Assignments of validators that the user gives.
#[derive(Debug, Default)]
pub struct Assignments {
    /// Validators of all inputs.
    pub given: Option<Arc<Assignment>>,
    /// The gates of the configuration file, which apply to files that will be at their watched paths.
    pub gates: Vec<GateConfig>,
    /// The rules of the configuration file; the first that matches applies.
    pub rules: Vec<Rule>,
    /// Other flags, which apply to every validator.
    pub(super) flags: SettingsLayer,
    pub(super) directory: PathBuf,
    /// Validators of all presets with these flags, once they were asked for.
    pub(super) of_presets: Arc<OnceLock<Vec<Arc<Assignment>>>>,
}

/// Remedy for a rule without a validator.
const NAME_ANY: &str = "add `app: NAME`, `preset: FILE`, `builtin: NAME` or `validate: CMD` to the rule";

/// The settings that name validators.
const CHOICES: [&SettingSpec; 4] = [APP.spec, PRESET.spec, BUILTIN.spec, VALIDATE.spec];

/// Resolves the assignments that the user gives. Of the variables only that of the configuration file applies, since the others are
/// those of a sidecar.
///
/// # Errors
/// All errors at once.
pub fn assignments(input: &UserInput<'_>) -> Result<Assignments, Vec<ConfigError>> {
    let errors = ErrorList::default();
    let layers = |layers: Vec<SettingsLayer>| Layers { layers, directory: &input.directory, errors: &errors };
    let mut flags = with_files(flags::layer(&input.flags), input, &errors);
    if flags.has(CONTEXT.spec) && !CHOICES.iter().any(|setting| flags.has(setting)) {
        // Only nginx has such snippets.
        flags.add(BUILTIN.spec, "nginx".to_owned(), SettingOrigin::Flag(CONTEXT.spec.name));
    }
    let file = config_file(input, ConfigPart::Gates, &flags, &errors);
    let of_choice = |setting: &SettingSpec| {
        CHOICES.iter().chain(&[MAIN.spec, CONTEXT.spec]).any(|other| other.name == setting.name)
    };
    let others: Vec<_> = input.flags.iter().filter(|(setting, _)| !of_choice(setting)).cloned().collect();
    let others = with_files(flags::layer(&others), input, &errors);
    // These flags are checked even if no input needs such a validator.
    for name in ["nginx", "tls"] {
        let _ = named(name, &layers(vec![others.clone()]));
    }
    let given = CHOICES.iter().any(|setting| flags.has(setting));
    let given = given.then(|| chosen(&layers(vec![flags.clone()]))).flatten().map(Arc::new);
    // Nothing is reloaded here. Flags such as `--timeout` apply to all gates and rules.
    let observe = flags::layer(&[(OBSERVE.spec, "true".to_owned())]);
    let gates = file.gates.into_iter().filter_map(|gate| {
        let gate = with_files(gate, input, &errors);
        // The usual directory of a preset is in the container, not here.
        resolve::gate(&layers(vec![observe.clone(), flags.clone(), gate]), &|_| true)
    });
    let gates = gates.collect();
    let rules = file.rules.into_iter().filter_map(|rule| {
        let files = rule.files.iter().filter_map(|pattern| glob(pattern, &errors)).collect();
        let settings = with_files(rule.settings, input, &errors);
        Some(Rule {
            files,
            assignment: Arc::new(assignment_of_rule(&layers(vec![flags.clone(), settings]), NAME_ANY)?),
        })
    });
    let rules = rules.collect();
    let errors = errors.into_errors();
    let assignments = Assignments {
        given,
        gates,
        rules,
        flags: others,
        directory: input.directory.clone(),
        ..Assignments::default()
    };
    if errors.is_empty() { Ok(assignments) } else { Err(in_order(errors)) }
}

/// Reads the configuration file that the flag or the variable names, of which `wanted` is needed.
pub(super) fn config_file(
    input: &UserInput<'_>,
    wanted: ConfigPart,
    flags: &SettingsLayer,
    errors: &ErrorList,
) -> ConfigFile {
    let named: Vec<_> = input.variables.iter().filter(|(name, _)| *name == *CONFIG.spec.variable()).cloned().collect();
    let variables = flags::variables_layer(&named, true, &mut Vec::new(), errors);
    let layers = Layers { layers: vec![flags.clone(), variables], directory: &input.directory, errors };
    layers.given(CONFIG).map(|path| read_file(&path, wanted, input, errors)).unwrap_or_default()
}

impl Assignments {
    /// Returns the same assignments with other rules, and with further settings for validators that are named.
    #[must_use]
    pub fn with(&self, rules: Vec<Rule>, settings: &[(&'static SettingSpec, String)]) -> Self {
        let mut flags = flags::layer(settings);
        flags.add_below(&self.flags);
        // The same flags make the same validators of the presets.
        let of_presets = if settings.is_empty() { self.of_presets.clone() } else { Arc::default() };
        Self { given: None, gates: Vec::new(), rules, flags, directory: self.directory.clone(), of_presets }
    }

    /// Returns the same assignments with further settings for validators that are named.
    #[must_use]
    pub fn with_settings(&self, settings: &[(&'static SettingSpec, String)]) -> Self {
        let (given, gates, rules) = (self.given.clone(), self.gates.clone(), self.rules.clone());
        Self { given, gates, ..self.with(rules, settings) }
    }

    /// Returns the main file that the settings of an object name.
    pub(crate) fn main(&self) -> Option<&Path> {
        self.flags.text(MAIN.spec).map(|given| Path::new(&given.value))
    }

    /// Returns the time limit that the flags give.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        // It was checked when it was given.
        let errors = ErrorList::default();
        let layers = Layers { layers: vec![self.flags.clone()], directory: &self.directory, errors: &errors };
        self.flags.has(TIMEOUT.spec).then(|| layers.get(TIMEOUT))
    }

    /// Returns the validators of all presets whose settings are right.
    pub(crate) fn of_presets(&self) -> &[Arc<Assignment>] {
        let resolved = || presets().iter().filter_map(|preset| self.assignment_named(preset.name).ok()).collect();
        self.of_presets.get_or_init(resolved)
    }

    /// Returns the validators of a preset, or the built-in validator of that name.
    ///
    /// # Errors
    /// When no preset or validator has the name, or its settings are wrong.
    pub fn assignment_named(&self, name: &str) -> Result<Arc<Assignment>, ConfigError> {
        let errors = ErrorList::default();
        let layers = Layers { layers: vec![self.flags.clone()], directory: &self.directory, errors: &errors };
        let assignment = named(name, &layers);
        assignment.map(Arc::new).ok_or_else(|| errors.into_errors().swap_remove(0))
    }
}

/// Resolves the preset or built-in validator of that name, with other settings in `layers`.
fn named(name: &str, layers: &Layers<'_>) -> Option<Assignment> {
    let presets = presets();
    let names = || presets.iter().map(|preset| preset.name);
    // A name of both means the preset, which includes the built-in validator.
    let setting = match name {
        _ if names().any(|preset| preset == name) => APP.spec,
        _ if Builtin::NAMES.contains(&name) => BUILTIN.spec,
        _ => {
            let meant = suggestion(name, names().chain(Builtin::NAMES));
            let error = ConfigError::new(SettingOrigin::Nowhere, format!("unknown validator `{name}`{meant}"));
            layers.fail(error.help("choose a name that `reload-gate validators` lists"));
            return None;
        }
    };
    let mut layers = layers.clone();
    layers.layers.insert(0, flags::layer(&[(setting, name.to_owned())]));
    resolve::assignment(&layers)
}

/// Resolves the validators of a rule; without any `help` is the remedy.
pub(super) fn assignment_of_rule(layers: &Layers<'_>, help: &str) -> Option<Assignment> {
    if layers.highest(&CHOICES).is_none() {
        layers.fail(ConfigError::new(layers.place(), "this rule names no validator").help(help));
        return None;
    }
    chosen(layers)
}

/// Resolves the validators that the user has chosen.
fn chosen(layers: &Layers<'_>) -> Option<Assignment> {
    let assignment = resolve::assignment(layers)?;
    check_context_use(layers, &assignment.plan);
    Some(assignment)
}

fn glob(given: &GivenValue<String>, errors: &ErrorList) -> Option<GlobMatcher> {
    // As in `.gitignore`, a name without a slash matches in any directory.
    let pattern = if given.value.contains('/') { given.value.clone() } else { format!("**/{}", given.value) };
    let glob = GlobBuilder::new(&pattern).literal_separator(true).build();
    let glob = glob.map_err(|error| errors.push(ConfigError::new(given.origin.clone(), error.kind().to_string())));
    glob.ok().map(|glob| glob.compile_matcher())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_limit_of_the_flags_is_known_for_the_gates_of_the_inputs() {
        let with = |settings: &[(&'static SettingSpec, String)]| Assignments::default().with(Vec::new(), settings);
        assert_eq!(with(&[]).timeout(), None);
        assert_eq!(with(&[(TIMEOUT.spec, "1s".to_owned())]).timeout(), Some(Duration::from_secs(1)));
    }
}
