//! The bundled nginx checker: its main file, and the version of its rules.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use reload_gate_contract::{Absent, Code, Files as _, Finding, Place, Severity};
use reload_gate_nginx::{Build, Context, Options, Version};

use super::super::reading::nginx::RunningNginx;
use super::super::reading::not_read;
use super::super::{RootChoice, ValidationContext};
use super::view::CandidateFiles;
use crate::flow::snapshot::Access;

/// Code of the note that the files of a tree are included by a main file which the gate cannot see.
const MAIN_FILE_UNSEEN: Code = Code::new("main-file-unseen");

/// Default main files of nginx: of the packages and images of Debian and nginx.org, of its own build, of OpenResty, of FreeBSD's
/// ports, and of Bitnami's image.
const DEFAULTS: [&str; 5] = [
    "/etc/nginx/nginx.conf",
    "/usr/local/nginx/conf/nginx.conf",
    "/usr/local/openresty/nginx/conf/nginx.conf",
    "/usr/local/etc/nginx/nginx.conf",
    "/opt/bitnami/nginx/conf/nginx.conf",
];

/// Directories beside a main file which the main files of the packages of nginx.org and Debian include within `http`, each with the
/// names of the files.
const PARTS: [(&str, &str); 2] = [("conf.d", "*.conf"), ("sites-enabled", "*")];

/// A file that is in no configuration: for the checker anything may be defined in it.
const UNSEEN: &str = "/the main file of nginx";

/// Settings of the nginx checker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NginxSettings {
    /// The version of nginx; by default that of the running one, or the newest stable.
    pub version: Option<Version>,
    /// The build of nginx; by default that of the running one, or nginx.org's.
    pub build: Option<Build>,
    /// Directives of modules that the checker does not know.
    pub allowed: Vec<String>,
    /// The blocks around each file, if the files are snippets.
    pub context: Context,
    /// Warnings of insecure or fragile configuration; by default none, since each reload would repeat them.
    pub hygiene: Option<bool>,
}

impl NginxSettings {
    /// Returns the options of the checker for a running nginx.
    fn options(&self, running: &RunningNginx) -> Options {
        let known = running.version;
        Options {
            version: self.version.or(known.map(|(version, _)| version)).unwrap_or_default(),
            build: self.build.or(known.map(|(_, build)| build)).unwrap_or_default(),
            prefix: running.prefix.clone(),
            global: running.global.clone(),
            allowed_directives: self.allowed.clone(),
            context: self.context.clone(),
            hygiene: self.hygiene.unwrap_or(false),
            ..Options::default()
        }
    }
}

/// The file with which nginx begins.
enum MainFile {
    /// One that is in the tree or beside it.
    At(String),
    /// One that the gate cannot see, and that includes the tree within `http`.
    Unseen {
        path: String,
        /// The note about it, unless there is no nginx yet.
        note: Option<Finding>,
    },
}

/// Validates as `nginx -t` would with these settings. Returns `None` if something would have to be waited for where `access` forbids that.
pub(super) fn run(settings: &NginxSettings, context: &ValidationContext, access: Access) -> Option<Vec<Finding>> {
    if !settings.context.is_empty() {
        return (access == Access::Waiting).then(|| snippets(settings, context));
    }
    let running = match RunningNginx::of(&context.place, access)? {
        Ok(running) => running,
        Err(finding) => return Some(vec![*finding]),
    };
    let mut files = CandidateFiles::of(context, access);
    let findings = whole(settings, context, &running, &mut files);
    (access == Access::Waiting || !files.would_wait()).then_some(findings)
}

/// Validates a configuration from its main file on.
fn whole(
    settings: &NginxSettings,
    context: &ValidationContext,
    running: &RunningNginx,
    files: &mut CandidateFiles<'_>,
) -> Vec<Finding> {
    let main = match main_file(running, context, files) {
        Ok(main) => main,
        Err(finding) => return vec![*finding],
    };
    files.forget();
    let (main, unseen, note) = match main {
        MainFile::At(path) => (path, false, None),
        MainFile::Unseen { path, note } => {
            files.lay_over(path.clone(), around(context));
            (path, true, note)
        }
    };
    let mut findings = reload_gate_nginx::check(&main, &*files, &settings.options(running));
    if !files.was_read() {
        return vec![not_read(format!("`{main}` includes nothing of the configuration")).at(Place::file(main))];
    }
    if unseen {
        // The main file that is made up has no faults of its own.
        findings.retain(|finding| finding.place.as_ref().is_none_or(|place| place.file != main));
    }
    findings.extend(note);
    findings
}

/// Validates each file of the tree that no other one includes, or that of `--main`, within the blocks around it.
fn snippets(settings: &NginxSettings, context: &ValidationContext) -> Vec<Finding> {
    let running = match RunningNginx::of(&context.place, Access::Waiting) {
        Some(Ok(running)) => running,
        Some(Err(finding)) => return vec![*finding],
        None => RunningNginx::default(),
    };
    let files = CandidateFiles::of(context, Access::Waiting);
    // The directives of the command line belong to the whole configuration.
    let options = Options { global: String::new(), ..settings.options(&running) };
    let main = context.main.as_ref().ok().filter(|_| context.main_is_given);
    let mut first: Vec<PathBuf> =
        main.map_or_else(|| context.tree.keys().cloned().collect(), |main| vec![main.clone()]);
    if first.len() > 1 {
        let included = included_by_others(&first, context, &files, &options);
        // Of files that include each other all are first.
        if included.len() < first.len() {
            first.retain(|name| !included.contains(name));
        }
    }
    let mut findings: Vec<Finding> = Vec::new();
    let mut known: HashSet<String> = HashSet::new();
    for name in first {
        let found = reload_gate_nginx::check(&shown(&name, context), &files, &options);
        // A file that several snippets include is validated within each of them.
        findings.extend(found.into_iter().filter(|finding| known.insert(format!("{finding:?}"))));
    }
    findings
}

/// Returns the files that another one includes.
fn included_by_others(
    names: &[PathBuf],
    context: &ValidationContext,
    files: &CandidateFiles<'_>,
    options: &Options,
) -> BTreeSet<PathBuf> {
    let mut included = BTreeSet::new();
    for name in names {
        files.forget();
        reload_gate_nginx::follow(&shown(name, context), files, options);
        included.extend(context.read().into_iter().filter(|read| read != name));
    }
    files.forget();
    included
}

/// Returns the path of a file of the tree for the application.
fn shown(name: &Path, context: &ValidationContext) -> String {
    context.path_map.shown(name).to_string_lossy().into_owned()
}

/// Returns the finding that the running nginx reads nothing of the tree, if that is certain; for a command that validates what the
/// running nginx reads.
pub(in super::super) fn obstacle(context: &ValidationContext) -> Option<Finding> {
    context.place.target.as_ref()?;
    let files = CandidateFiles::of(context, Access::Waiting);
    let running = RunningNginx::of(&context.place, Access::Waiting)?.ok()?;
    let Ok(MainFile::At(main)) = main_file(&running, context, &files) else { return None };
    if files.read(&main).is_err() {
        return None;
    }
    files.forget();
    let options = Options { prefix: running.prefix, global: running.global, ..Options::default() };
    reload_gate_nginx::follow(&main, &files, &options);
    context.forget_beside(Path::new(&main));
    let message = format!("pid {} reads `{main}`, which includes nothing of the configuration", context.place.pid());
    (!files.was_read()).then(|| not_read(message).at(Place::file(main)))
}

/// Returns true if no file of the tree is a whole configuration: its main file lies elsewhere, and includes it.
pub(in super::super) fn is_part(context: &ValidationContext) -> bool {
    let usual = Path::new(DEFAULTS[0]).file_name();
    let is_main = |name: &PathBuf| name.file_name() == usual;
    !context.main_is_given && !context.tree.iter().any(|(name, text)| is_main(name) || is_whole(text))
}

/// Returns true for a configuration with one of the blocks that only a main file has.
fn is_whole(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let mut lines = text.lines().map(str::trim_start);
    lines.any(|line| {
        let word = line.split(|c: char| c.is_whitespace() || c == '{').next().unwrap_or_default();
        matches!(word, "events" | "http" | "stream" | "mail") && !line[word.len()..].trim_start().starts_with(';')
    })
}

fn main_file(
    running: &RunningNginx,
    context: &ValidationContext,
    files: &CandidateFiles<'_>,
) -> Result<MainFile, Box<Finding>> {
    if context.place.target.is_none() {
        return without_target(context, files);
    }
    let Some(main) = &running.main else { return default_main_file(context) };
    match files.read(main) {
        Ok(_) | Err(Absent::Missing | Absent::Directory) => Ok(MainFile::At(main.clone())),
        Err(Absent::Unknown) => included_by(Path::new(main), context).ok_or_else(|| {
            let message = format!(
                "pid {} reads `{main}`, which the gate may not see, so it is unknown if that includes the configuration",
                context.place.pid()
            );
            Box::new(not_read(message))
        }),
    }
}

/// The main file of a running nginx that was started without one, where the gate may not read the program.
fn default_main_file(context: &ValidationContext) -> Result<MainFile, Box<Finding>> {
    let in_tree =
        |path: &str| context.path_map.name_of(Path::new(path)).is_some_and(|name| context.tree.contains_key(&name));
    if let Some(path) = DEFAULTS.iter().find(|path| in_tree(path)) {
        return Ok(MainFile::At((*path).to_owned()));
    }
    let part = DEFAULTS.iter().find_map(|path| included_by(Path::new(path), context));
    part.ok_or_else(|| {
        let message = format!(
            "pid {} was started without `-c`, and the gate may not see its program, so the file that it reads is unknown",
            context.place.pid()
        );
        Box::new(not_read(message))
    })
}

/// The main file at `path`, if the tree lies in the directories beside it which the usual main files include.
fn included_by(path: &Path, context: &ValidationContext) -> Option<MainFile> {
    let directory = path.parent()?;
    let is_included = |name: &PathBuf| {
        let shown = context.path_map.shown(name);
        PARTS.iter().any(|(part, _)| shown.parent() == Some(&directory.join(part)))
    };
    context.tree.keys().any(is_included).then(|| {
        let message = format!(
            "`{}` cannot be seen from here; the configuration is validated as a part of its `http`",
            path.display()
        );
        let note = Finding { severity: Severity::Note, ..Finding::environment(MAIN_FILE_UNSEEN, message) };
        MainFile::Unseen { path: path.display().to_string(), note: Some(note) }
    })
}

fn without_target(context: &ValidationContext, files: &CandidateFiles<'_>) -> Result<MainFile, Box<Finding>> {
    let usual = Path::new(DEFAULTS[0]);
    let shown = |name: &PathBuf| context.path_map.shown(name).to_string_lossy().into_owned();
    match &context.main {
        Ok(name) if name.file_name() == usual.file_name() || context.main_is_given => Ok(MainFile::At(shown(name))),
        _ if context.root == RootChoice::Local && files.read(DEFAULTS[0]).is_ok() => {
            Ok(MainFile::At(DEFAULTS[0].to_owned()))
        }
        Ok(name) if context.root == RootChoice::View || !is_part(context) => Ok(MainFile::At(shown(name))),
        _ if is_part(context) => {
            let first = context.tree.keys().next().map(|name| context.path_map.shown(name));
            let directory = first.as_deref().and_then(Path::parent).and_then(Path::parent).unwrap_or(Path::new("/"));
            let path = directory.join("nginx.conf").display().to_string();
            Ok(MainFile::Unseen { path, note: None })
        }
        Err(finding) => Err(finding.clone()),
        Ok(name) => Ok(MainFile::At(shown(name))),
    }
}

/// The text of a main file that includes the tree within `http`, and of which nothing else is known.
fn around(context: &ValidationContext) -> String {
    let mut directories: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    for name in context.tree.keys() {
        let path = context.path_map.shown(name);
        if let (Some(directory), Some(file)) = (path.parent(), path.file_name()) {
            directories.entry(directory.to_owned()).or_default().push(file.to_string_lossy().into_owned());
        }
    }
    let included: BTreeSet<String> = directories.iter().map(|(directory, names)| pattern(directory, names)).collect();
    let includes: String = included.iter().map(|pattern| format!("    include \"{pattern}\";\n")).collect();
    format!("events {{}}\nhttp {{\n    include \"{UNSEEN}\";\n{includes}}}\n")
}

/// The files of a directory that a main file includes: those of the usual pattern; all where none fits it.
fn pattern(directory: &Path, names: &[String]) -> String {
    let usual = PARTS.iter().find(|(part, _)| directory.ends_with(part)).map_or("*.conf", |(_, names)| *names);
    let ending = usual.trim_start_matches('*');
    let fits = names.iter().any(|name| name.ends_with(ending));
    directory.join(if fits { usual } else { "*" }).display().to_string()
}
