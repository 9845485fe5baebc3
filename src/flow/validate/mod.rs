//! Asks the validators, in the right place. IO: runs commands, through `exec` alone.
//!
//! A verdict is a value. Findings of the configuration reject it; obstacles around it (a checker that is missing, killed or
//! out of time, a host name that did not resolve) leave it open.

mod builtin;
mod command;
mod compare;
mod path_map;
mod place;
mod reading;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reload_gate_contract::{Code, Finding, Place as Position, Verdict};

pub use builtin::{
    BUNDLED, Builtin, Bundled, JsonSchema, NginxSettings, ProgramSchema, TextFormat, Tls, program_schemas,
};
pub use command::{CommandValidator, FindingPatterns, START_AS_ITSELF, VIEW_NOT_POSSIBLE};
pub use path_map::{Mapping, PathMap};
pub use place::RootChoice;
pub use reading::ConfigLookup;
#[cfg(any(test, fuzzing))]
pub use reading::read_process;

use place::ExecutionPlace;

pub use crate::sys::exec::Confinement;

use crate::flow::placeholders;
use crate::flow::process::{TargetError, TargetSearches};
use crate::flow::tree::Tree;
use crate::sys::worker::{self, WorkKind};

const NO_MAIN_FILE: Code = Code::new("no-main-file");
const MISSING_REQUIRED: Code = Code::of_absence("missing-required-file");
const MISSING_MAIN_FILE: Code = Code::of_absence("missing-main-file");

/// Number of searches for a missing target, and the pause between them, until a validator does without: a program that starts just
/// now tells more, and its own checker is the better one.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(100);

/// Place where a content was validated; the nearer to the program that will read it, the greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Location {
    /// Nowhere: no validator was asked.
    #[default]
    Nowhere,
    /// In the gate itself, by what is built in.
    Gate,
    /// Here, by a command.
    Here,
    /// By a command, in the target's root or as its user.
    Target,
}

/// Result of the validators for one content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validation {
    /// Everything that was found.
    pub findings: Vec<Finding>,
    /// Time that all validators took together.
    pub duration: Duration,
    /// The validators and their place, in words.
    pub by: Option<String>,
    /// The place nearest to the target in which a validator ran.
    pub location: Location,
    /// Names of the validators, as reports show them.
    pub validators: Vec<String>,
    /// Short name of each validator that ran, and the time that it took.
    pub took: Vec<(String, Duration)>,
    /// Files that were read, by their names in the tree, as far as that is known.
    pub read: BTreeSet<PathBuf>,
    /// Files that the target reads as configuration, by its own rules, as far as they are known.
    pub configuration: BTreeSet<PathBuf>,
    /// Files outside of the tree that the target reads, as far as they are known: configuration that does not lie beside the main file, and
    /// certificates.
    pub unwatched: BTreeSet<PathBuf>,
    /// A validator may have read files outside of the tree, whose changes nothing announces.
    pub reads_beyond: bool,
}

impl Validation {
    /// Returns the verdict that the findings add up to.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::of(&self.findings)
    }
}

/// The validators of a gate, and the place where they run.
#[derive(Clone, Debug)]
pub struct ValidationPlan {
    /// The validators, asked in this order until one does not accept.
    pub validators: Vec<Validator>,
    /// The files without which a configuration is wrong, by their names.
    pub required: Vec<PathBuf>,
    /// Place where commands run.
    pub root: RootChoice,
    /// Time limit of each.
    pub timeout: Duration,
    /// The file to begin with.
    pub main: Main,
    /// The rules by which the target finds its configuration, if they are known.
    pub lookup: Option<ConfigLookup>,
    /// Validate here when there is no target; if false, wait for the target.
    pub without_target: bool,
    /// Use a bundled validator in place of a program that is not installed.
    pub fallback: bool,
    /// Paths that commands which run here must not reach.
    pub confinement: Option<Confinement>,
    /// The variables of the gate's own environment that commands see which run here: names, or what they begin with and a `*`.
    pub pass_env: Vec<String>,
    /// Further variables of commands that run here, with their values.
    pub env: Vec<(String, String)>,
    /// Everything that a command starts ends with it.
    pub kept: bool,
    /// A command in a view sees no home directory.
    pub hides_homes: bool,
}

/// One validator.
#[derive(Clone, Debug)]
pub enum Validator {
    /// One that is built in.
    Builtin(Builtin),
    /// A command.
    Command(Box<CommandValidator>),
}

impl Validator {
    /// Returns the name that people use.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Builtin(builtin) => builtin.name(),
            Self::Command(check) => &check.name,
        }
    }

    /// The same in a sentence, where a command is marked as such.
    #[must_use]
    pub fn quoted(&self) -> String {
        match self {
            Self::Builtin(builtin) => builtin.name().to_owned(),
            Self::Command(check) => format!("`{}`", check.name),
        }
    }

    /// Returns the name that reports use.
    #[must_use]
    pub fn title(&self) -> String {
        match self {
            Self::Builtin(builtin) => builtin.title(),
            Self::Command(check) => check.name.clone(),
        }
    }

    /// Returns true if it may read files outside of the tree.
    fn reads_beyond(&self) -> bool {
        match self {
            Self::Builtin(builtin) => builtin.reads_beyond(),
            Self::Command(_) => true,
        }
    }

    /// Returns true for a command that has the running nginx's own configuration validated by nginx.
    fn asks_nginx(&self) -> bool {
        let is_nginx = |builtin: &Builtin| matches!(builtin, Builtin::Nginx(_));
        matches!(self, Self::Command(check) if check.running.is_some() && check.otherwise.as_ref().is_some_and(is_nginx))
    }

    /// Returns a short name without a command's arguments.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Builtin(builtin) => format!("builtin {}", builtin.word()),
            Self::Command(check) => {
                let program = check.command.first().map(Path::new).and_then(Path::file_name);
                program.unwrap_or_default().to_string_lossy().into_owned()
            }
        }
    }
}

/// Files that a plan validates together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanScope {
    /// A configuration of the program of that preset.
    Program(&'static str),
    /// Each file alone, by the bundled validator of that name.
    Each(&'static str),
    /// Each file, with what lies beside it.
    Main,
    /// Each file as a part of a configuration of nginx, with what lies beside it.
    Snippets,
    /// All files.
    Together,
    /// All files that are meant, and no others.
    These,
}

/// The file that a program begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Main {
    /// This one, by the user's word: a configuration without it is wrong.
    Given(PathBuf),
    /// This one if it is there; else the only one there is.
    Usual(PathBuf),
    /// The only one there is.
    Only,
}

impl ValidationPlan {
    /// Returns which files it validates together.
    #[must_use]
    pub fn scope(&self) -> PlanScope {
        let names_main_alone = |check: &CommandValidator| {
            let names = |placeholder| placeholders::has(&check.command, placeholder);
            names(placeholders::CONFIG) && !names(placeholders::DIRECTORY)
        };
        match self.validators.first() {
            Some(Validator::Builtin(builtin)) => builtin.scope(),
            Some(Validator::Command(check)) => match &check.otherwise {
                Some(otherwise) => otherwise.scope(),
                None if self.main == Main::Only && names_main_alone(check) => PlanScope::Main,
                None => PlanScope::Together,
            },
            None => PlanScope::Together,
        }
    }

    /// Returns true if it runs programs, which read files and not values.
    #[must_use]
    pub fn asks_programs(&self) -> bool {
        self.validators.iter().any(|validator| matches!(validator, Validator::Command(_)))
    }

    /// The same plan without the programs that a bundled validator can stand in for.
    #[must_use]
    pub fn bundled(self) -> Self {
        let bundled = |validator: Validator| {
            let otherwise = match &validator {
                Validator::Command(check) => check.otherwise.clone(),
                Validator::Builtin(_) => None,
            };
            otherwise.map_or(validator, Validator::Builtin)
        };
        Self { validators: self.validators.into_iter().map(bundled).collect(), ..self }
    }

    /// Validates `tree`, laid out by `path_map`, for the program that `targets` find.
    ///
    /// Without the target a rejection still counts, as it may be the reason why there is no target.
    ///
    /// # Errors
    /// When validation needs the target and it is missing.
    pub async fn validate(
        &self,
        tree: &Arc<Tree>,
        path_map: &PathMap,
        targets: &TargetSearches,
    ) -> Result<Validation, TargetError> {
        let started = Instant::now();
        let (mut validation, main) = self.begin(tree);
        if validation.verdict() == Verdict::Accepted && !self.validators.is_empty() {
            let (place, absent) = self.place(targets).await?;
            let context = Arc::new(self.context(tree, path_map, place, main));
            match self.obstacle(&context).await {
                Some(finding) => validation.findings.push(finding),
                None => {
                    // The search for the obstacle followed the target's includes; a command may read anything.
                    (validation.configuration, validation.unwatched) = (context.read(), context.beyond());
                    validation.by = Some(self.ask(&context, &mut validation).await);
                }
            }
            validation.read = context.read();
            if let Some(absent) = absent.filter(|_| validation.verdict() != Verdict::Rejected) {
                return Err(absent);
            }
        }
        validation.duration = started.elapsed();
        Ok(validation)
    }

    /// Validates with the bundled validators of this plan, on the thread of the caller: no process starts, no file is read, and no time
    /// limit holds.
    #[must_use]
    pub fn validate_alone(&self, tree: &Arc<Tree>, path_map: &PathMap) -> Validation {
        let started = Instant::now();
        let (mut validation, main) = self.begin(tree);
        // In a view without a target nothing is beside the tree.
        let context =
            ValidationContext { root: RootChoice::View, ..self.context(tree, path_map, ExecutionPlace::here(), main) };
        for validator in &self.validators {
            let Validator::Builtin(builtin) = validator else { continue };
            if validation.verdict() != Verdict::Accepted {
                break;
            }
            let started = Instant::now();
            let found = builtin.validate_alone(&context);
            validation.took.push((validator.label(), started.elapsed()));
            validation.validators.push(validator.title());
            validation.location = Location::Gate;
            let source = |finding| Finding { source: Some(validator.name().to_owned()), ..path_map.show(finding) };
            validation.findings.extend(found.into_iter().map(source));
        }
        validation.read = context.read();
        validation.duration = started.elapsed();
        validation
    }

    /// Returns the findings about files that must be there, and the file to begin with.
    fn begin(&self, tree: &Tree) -> (Validation, Result<PathBuf, Box<Finding>>) {
        let main = self.main.find(tree);
        let lacks_main = main.as_ref().err().filter(|finding| finding.code == MISSING_MAIN_FILE);
        let required = self.required.iter().filter_map(|file| missing(file, tree));
        let findings = required.chain(lacks_main.map(|finding| Finding::clone(finding))).collect();
        (Validation { findings, ..Validation::default() }, main)
    }

    /// Finds the place for validation. Where the target is missing and a validator does without, the place is here, and the error
    /// comes with it.
    async fn place(&self, targets: &TargetSearches) -> Result<(ExecutionPlace, Option<TargetError>), TargetError> {
        let mut missing = None;
        for attempt in 0..ATTEMPTS {
            match place::find(self.root, targets, self.without_target).await {
                Err(error @ TargetError::Missing { .. }) if self.can_validate_without_target() => missing = Some(error),
                Err(error @ TargetError::Starting { .. }) => missing = Some(error),
                place => return place.map(|place| (place, None)),
            }
            if attempt + 1 < ATTEMPTS {
                tokio::time::sleep(PAUSE).await;
            }
        }
        match missing {
            Some(error) if !self.can_validate_without_target() => Err(error),
            missing => Ok((ExecutionPlace::here(), missing)),
        }
    }

    /// Returns true if the first validator has an opinion without the target: one that is bundled, or can be replaced by such a
    /// one, or one that a preset knows how to call.
    fn can_validate_without_target(&self) -> bool {
        match self.validators.first() {
            Some(Validator::Builtin(_)) => true,
            Some(Validator::Command(check)) => {
                self.root == RootChoice::Auto && (check.otherwise.is_some() || check.running.is_some())
            }
            None => false,
        }
    }

    /// Returns the finding that the target does not read what would be validated.
    async fn obstacle(&self, context: &Arc<ValidationContext>) -> Option<Finding> {
        let differs = compare::obstacle(context).await;
        if differs.is_some() || context.place.target.is_none() {
            return differs;
        }
        let (lookup, input) = (self.lookup.clone(), context.clone());
        let asks_nginx = self.validators.iter().any(Validator::asks_nginx);
        if lookup.is_none() && !asks_nginx {
            return None;
        }
        let search = move || {
            let found = match lookup {
                Some(lookup) => reading::obstacle(&lookup, &input),
                None if asks_nginx => builtin::nginx::obstacle(&input),
                None => None,
            };
            if found.is_none() {
                reading::certificates::note(&input);
            }
            found
        };
        // A search that does not end says nothing.
        worker::run(WorkKind::Files, self.timeout, search).await.ok().flatten()
    }

    fn context(
        &self,
        tree: &Arc<Tree>,
        path_map: &PathMap,
        place: ExecutionPlace,
        main: Result<PathBuf, Box<Finding>>,
    ) -> ValidationContext {
        ValidationContext {
            tree: tree.clone(),
            path_map: path_map.clone(),
            place,
            root: self.root,
            main,
            main_is_given: matches!(self.main, Main::Given(_)),
            timeout: self.timeout,
            fallback: self.fallback,
            confinement: self.confinement.clone(),
            pass_env: self.pass_env.clone(),
            env: self.env.clone(),
            kept: self.kept,
            hides_homes: self.hides_homes,
            files_read: Mutex::default(),
            files_beyond: Mutex::default(),
        }
    }

    /// Runs the validators, and returns their names and their place in words.
    async fn ask(&self, context: &Arc<ValidationContext>, validation: &mut Validation) -> String {
        let (mut names, mut place) = (Vec::new(), None);
        for validator in &self.validators {
            let started = Instant::now();
            validation.reads_beyond |= validator.reads_beyond();
            let found = match validator {
                Validator::Builtin(builtin) => builtin.validate(context).await,
                // Boxed: the future of a plan without commands is small, and a change moves it.
                Validator::Command(check) => Box::pin(check.run(context)).await,
            };
            validation.took.push((validator.label(), started.elapsed()));
            validation.validators.push(validator.title());
            let location = match validator {
                Validator::Command(check) => match &check.otherwise {
                    Some(otherwise) if command::is_kept_out(&found, context) => {
                        names.push(otherwise.name().to_owned());
                        validation.validators.pop();
                        validation.validators.push(otherwise.title());
                        Location::Gate
                    }
                    _ => {
                        names.push(validator.quoted());
                        place = Some(context.place.describe());
                        context.place.location()
                    }
                },
                Validator::Builtin(_) => {
                    names.push(validator.quoted());
                    Location::Gate
                }
            };
            validation.location = validation.location.max(location);
            let verdict = Verdict::of(&found);
            let source =
                |finding| Finding { source: Some(validator.name().to_owned()), ..context.path_map.show(finding) };
            validation.findings.extend(found.into_iter().map(source));
            if verdict != Verdict::Accepted {
                break;
            }
        }
        names.extend(place);
        format!("validated by {}", names.join(", "))
    }
}

/// Returns true for the code of a finding that the gate may not enter the target's root.
#[must_use]
pub fn is_kept_out(code: Code) -> bool {
    code == command::ROOT_NOT_ENTERED
}

/// Returns the finding for a required file that is missing.
fn missing(file: &Path, tree: &Tree) -> Option<Finding> {
    let there = tree.keys().any(|name| name == file || name.ends_with(file));
    let message = format!("`{}` is missing", file.display());
    let help = "put it back, or drop it from `--require`";
    (!there)
        .then(|| Finding::error(MISSING_REQUIRED, message).at(Position::file(file.display().to_string())).help(help))
}

/// Input of a validator.
struct ValidationContext {
    tree: Arc<Tree>,
    path_map: PathMap,
    place: ExecutionPlace,
    /// Place where commands run, by the user's choice.
    root: RootChoice,
    /// The file to begin with, by its name in the tree.
    main: Result<PathBuf, Box<Finding>>,
    /// The user named that file, so no other is meant.
    main_is_given: bool,
    timeout: Duration,
    /// Use a bundled validator in place of a program that is not installed.
    fallback: bool,
    /// Files that were read so far.
    files_read: Mutex<BTreeSet<PathBuf>>,
    /// Files outside of the tree that were read so far.
    files_beyond: Mutex<BTreeSet<PathBuf>>,
    confinement: Option<Confinement>,
    pass_env: Vec<String>,
    env: Vec<(String, String)>,
    kept: bool,
    hides_homes: bool,
}

impl ValidationContext {
    /// The path of the file to begin with, for a command in this place.
    fn main(&self) -> Result<PathBuf, Box<Finding>> {
        self.main.as_ref().map(|name| self.path_map.path_of(name, self.place.is_elsewhere())).map_err(Clone::clone)
    }

    /// The directory of the configuration, for a command in this place.
    fn directory(&self) -> PathBuf {
        self.path_map.directory(self.place.is_elsewhere())
    }

    /// Remembers that these files of the tree were read.
    fn note_read<'a>(&self, names: impl IntoIterator<Item = &'a PathBuf>) {
        self.files_read.lock().unwrap_or_else(PoisonError::into_inner).extend(names.into_iter().cloned());
    }

    /// Remembers that this file outside of the tree was read.
    fn note_beyond(&self, path: &str) {
        self.files_beyond.lock().unwrap_or_else(PoisonError::into_inner).insert(path.into());
    }

    /// Forgets the files that lie beside the main file: a gate that watches a part of a directory leaves out the rest on purpose. One that
    /// watches a file alone does not.
    fn forget_beside(&self, main: &Path) {
        if self.path_map.is_of_files() {
            return;
        }
        let mut files = self.files_beyond.lock().unwrap_or_else(PoisonError::into_inner);
        files.retain(|file| main.parent().is_none_or(|directory| !file.starts_with(directory)));
    }

    /// Returns the files outside of the tree that were read so far.
    fn beyond(&self) -> BTreeSet<PathBuf> {
        self.files_beyond.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the files of the tree that were read so far.
    fn read(&self) -> BTreeSet<PathBuf> {
        self.files_read.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Main {
    /// Returns the finding that the named main file is missing, without a place.
    #[must_use]
    pub fn missing(main: &Path) -> Finding {
        let message = format!("`{}` is not in the configuration", main.display());
        Finding::error(MISSING_MAIN_FILE, message).help("put it back, or correct `--main`")
    }

    /// The name of the file in `tree` with which validation begins.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn find(&self, tree: &Tree) -> Result<PathBuf, Box<Finding>> {
        let only = || match tree.len() {
            1 => tree.keys().next().cloned(),
            _ => None,
        };
        // With several sources the names are whole paths, and the file is meant wherever it is; the nearest, if there are many.
        let same = |main: &PathBuf| tree.keys().filter(|name| name.ends_with(main)).cloned().collect::<Vec<_>>();
        let named = |main: &PathBuf| same(main).into_iter().min_by_key(|name| name.components().count());
        match self {
            Self::Given(main) => {
                named(main).ok_or_else(|| Box::new(Self::missing(main).at(Position::file(main.display().to_string()))))
            }
            Self::Usual(main) => named(main).or_else(only).ok_or_else(|| {
                let message = format!("there are several files, and none is called `{}`", main.display());
                let finding = Finding::environment(NO_MAIN_FILE, message);
                Box::new(finding.help("name the file to begin with: `--main FILE`"))
            }),
            Self::Only => only().ok_or_else(|| {
                let message = "there are several files, and no setting names the one to begin with";
                Box::new(Finding::environment(NO_MAIN_FILE, message).help("name it with `--main FILE`"))
            }),
        }
    }
}

#[cfg(test)]
mod tests;
