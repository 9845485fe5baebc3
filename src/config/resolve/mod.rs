//! Layers of what was said → a valid gate, or everything that is wrong with it. Pure.

mod alerts;

use core::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use regex::Regex;

use super::layer::{Layers, RawCheck, Said, Words};
use super::preset::{Preset, presets};
use super::settings::SETTINGS;
use super::validators::Terms;
use super::{Assignment, ConfigError, GateConfig, Origin};
use crate::flow::process::{Selector, Signal};
use crate::flow::publish::{Publication, Volume};
use crate::flow::reload::ReloadMethod;
use crate::flow::snapshot::{Limits, Source};
use crate::flow::validate::{CommandValidator, Confinement, Main, Patterns, RootChoice, ValidationPlan, Validator};
use crate::flow::verify::Verification;
use crate::gate::Policy;
use crate::redact::Scope;
use crate::report::log;
use crate::sys::suggest::{nearest, suggestion};

pub(super) use alerts::{alerts, cluster};

pub(super) type ConfigErrors<'a> = &'a mut Vec<ConfigError>;

/// How long a proof is waited for if nobody says: nginx starts workers in milliseconds, gunicorn imports an application.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(10);

/// The gate that `layers` describe; `None` where something is wrong with it.
pub(super) fn gate(layers: &Layers, directory: &Path, errors: ConfigErrors<'_>) -> Option<GateConfig> {
    let before = errors.len();
    let preset = preset(layers, errors);
    let mut layers = layers.clone();
    layers.0.extend(preset.iter().map(|preset| preset.layer.clone()));
    let once = switch(&layers, "once", errors);
    let observe = switch(&layers, "observe", errors) || once;
    let diff = switch(&layers, "diff", errors);

    let sources = sources(&layers, directory, errors);
    let publication = volumes(&layers, "publish", &sources, directory, errors);
    let stage = volumes(&layers, "stage", &sources, directory, errors);
    distinct_volumes(&layers, directory, errors);
    // Who only observes writes nothing that anybody else reads.
    let publication = publication.filter(|_| !switch(&layers, "observe", errors));
    let selector = selector(&layers, preset.as_ref(), directory, errors);
    let reload = reload(&layers, &selector, observe, errors);
    let verification = verification(&layers, preset.as_ref(), &selector, errors);
    // An application that starts only when something is published cannot be waited for before.
    let without_target = once || publication.is_some();
    let plan = ValidationPlan { without_target, ..plan(&layers, main(&layers, preset.as_ref(), &sources), errors) };
    // What is staged lies in the gate's own root.
    let root = if stage.is_some() && plan.root == RootChoice::Auto { RootChoice::Local } else { plan.root };
    let fixed = fixed(&layers, &sources, directory);
    let confinement = plan.confinement.map(|confinement| Confinement { fixed, ..confinement });
    let plan = ValidationPlan { root, confinement, ..plan };
    let policy = Policy {
        publish: publication.is_some(),
        fail_on_empty: fail_on_empty(&layers, errors),
        max_shrink: max_shrink(&layers, errors),
        reload: !observe && !matches!(reload, ReloadMethod::Nothing),
        quiet: duration(&layers, "settle", Duration::from_millis(100), errors),
        poll: positive(&layers, "poll", Duration::from_secs(30), errors),
        grace: duration(&layers, "grace", Duration::from_secs(5), errors),
    };
    let limits = Limits {
        bytes: size(&layers, "max-bytes", Limits::default().bytes, errors),
        files: number(&layers, "max-files", Limits::default().files, errors),
    };
    let verify_timeout = positive(&layers, "verify-timeout", VERIFY_TIMEOUT, errors);
    let name = name(&layers, preset.as_ref());
    let redact = scope(&layers, errors);
    (errors.len() == before).then_some(GateConfig {
        name,
        sources,
        limits,
        publication,
        stage,
        plan,
        selector,
        reload,
        verification,
        verify_timeout,
        redact,
        diff,
        policy,
    })
}

/// Who judges by what `layers` say, and what is known of the program whose configuration it is; `None` where something is wrong.
pub(super) fn assignment(layers: &Layers, errors: ConfigErrors<'_>) -> Option<Assignment> {
    let before = errors.len();
    let preset = preset(layers, errors);
    let mut layers = layers.clone();
    layers.0.extend(preset.iter().map(|preset| preset.layer.clone()));
    let plan = plan(&layers, main(&layers, preset.as_ref(), &[]), errors);
    (errors.len() == before).then_some(Assignment { preset, plan })
}

fn plan(layers: &Layers, main: Main, errors: ConfigErrors<'_>) -> ValidationPlan {
    ValidationPlan {
        validators: validators(layers, errors),
        root: root(layers, errors),
        required: layers.list("require").iter().map(|said| PathBuf::from(&said.value)).collect(),
        timeout: positive(layers, "timeout", Duration::from_secs(30), errors),
        main,
        without_target: false,
        fallback: false,
        confinement: confinement(layers, errors),
        pass_env: pass_env(layers, errors),
        env: Vec::new(),
    }
}

/// Two gates of one name could not be told apart in any event.
pub(super) fn distinct_names(gates: &[(Origin, GateConfig)], errors: ConfigErrors<'_>) {
    for (index, (origin, gate)) in gates.iter().enumerate() {
        if gates[..index].iter().any(|(_, other)| other.name == gate.name) {
            let message = format!("another gate is called `{}` too", gate.name);
            errors.push(ConfigError::new(origin.clone(), message).help("give each a `name`"));
        }
    }
}

fn preset(layers: &Layers, errors: ConfigErrors<'_>) -> Option<Preset> {
    let all = presets();
    let Some(app) = layers.text("app") else {
        // A process that is a preset's implies it: whoever signals nginx wants its configuration judged.
        let process = layers.text("process")?;
        return all
            .iter()
            .find(|preset| preset.layer.text("process").is_some_and(|said| said.value == process.value))
            .cloned();
    };
    if app.value == "none" {
        return None;
    }
    let found = all.iter().find(|preset| preset.name == app.value).cloned();
    if found.is_none() {
        let message =
            format!("unknown preset `{}`{}", app.value, suggestion(&app.value, all.iter().map(|preset| preset.name)));
        errors.push(ConfigError::new(app.origin.clone(), message).help("`reload-gate validators` lists the presets"));
    }
    found
}

fn name(layers: &Layers, preset: Option<&Preset>) -> String {
    let said = ["name", "process"].iter().find_map(|name| layers.text(name)).map(|said| said.value.clone());
    said.or_else(|| preset.map(|preset| preset.name.to_owned())).unwrap_or_else(|| "default".into())
}

fn sources(layers: &Layers, directory: &Path, errors: ConfigErrors<'_>) -> Vec<Source> {
    let (watched, mounts, published) = (layers.list("watch"), layers.list("mount"), layers.list("publish"));
    let whole_volume = layers.speaking_of(&["watch"]).is_some_and(|layer| layer.whole_volume);
    if watched.is_empty() {
        let help = "say `--watch PATH`, where PATH is the directory in which the ConfigMap is mounted";
        errors.push(ConfigError::new(layers.place(), "there is nothing to watch").help(help));
    }
    if mounts.len() > watched.len() {
        let message = format!("there are {} mounts for {} watched paths", mounts.len(), watched.len());
        let help = "each `--mount` says where the application sees the `--watch` in the same position";
        errors.push(ConfigError::new(mounts[watched.len()].origin.clone(), message).help(help));
    }
    let absolute = |said: &Said| normal(&directory.join(&said.value));
    let source = |(index, said): (usize, &Said)| {
        let path = absolute(said);
        let mount = mounts.get(index).or(published.get(index)).map_or_else(|| path.clone(), absolute);
        Source { path, mount, whole_volume }
    };
    watched.iter().enumerate().map(source).collect()
}

/// One volume cannot hold two things.
fn distinct_volumes(layers: &Layers, directory: &Path, errors: ConfigErrors<'_>) {
    let said: Vec<&Said> = ["publish", "stage"].iter().flat_map(|name| layers.list(name)).collect();
    let path = |said: &Said| normal(&directory.join(&said.value));
    for (index, one) in said.iter().enumerate() {
        let nested = |other: &&&Said| path(one).starts_with(path(other)) || path(other).starts_with(path(one));
        if said[..index].iter().any(|other| nested(&other)) {
            let message = format!("`{}` is, or is in, another volume that the gate writes", one.value);
            let help = "give each `--publish` and each `--stage` a volume of its own";
            errors.push(ConfigError::new(one.origin.clone(), message).help(help));
        }
    }
}

fn fail_on_empty(layers: &Layers, errors: ConfigErrors<'_>) -> bool {
    layers.text("on-empty").and_then(|said| one_word(said, &["fail", "wait"], errors)) == Some("fail")
}

fn max_shrink(layers: &Layers, errors: ConfigErrors<'_>) -> u8 {
    let Some(said) = layers.text("max-shrink") else { return 100 };
    let percent = said.value.trim_end_matches('%').parse().ok().filter(|percent| *percent <= 100);
    percent.unwrap_or_else(|| {
        let message = format!("`{}` is no share in percent, from 0 to 100", said.value);
        errors.push(ConfigError::new(said.origin.clone(), message));
        100
    })
}

/// The volumes that `name` gives to the sources, one to each.
fn volumes(
    layers: &Layers,
    name: &'static str,
    sources: &[Source],
    directory: &Path,
    errors: ConfigErrors<'_>,
) -> Option<Publication> {
    let said = layers.list(name);
    let first = said.first()?;
    if said.len() != sources.len() {
        let message = format!("there are {} volumes for {} watched paths", said.len(), sources.len());
        let help = format!("each `--{name}` belongs to the `--watch` in the same position");
        errors.push(ConfigError::new(first.origin.clone(), message).help(help));
    }
    let paths: Vec<PathBuf> = said.iter().map(|said| normal(&directory.join(&said.value))).collect();
    for (said, path) in said.iter().zip(&paths) {
        if sources.iter().any(|source| path.starts_with(&source.path) || source.path.starts_with(path)) {
            let message = format!("`{}` is watched, so it cannot be written to", path.display());
            let help = "give it a volume of its own, an `emptyDir`, beside the ConfigMap's";
            errors.push(ConfigError::new(said.origin.clone(), message).help(help));
        }
    }
    let prefixes = match sources {
        [_] => vec![PathBuf::new()],
        sources => sources.iter().map(|source| source.mount.clone()).collect(),
    };
    Some(Publication::new(paths.into_iter().map(Volume::new).collect(), prefixes))
}

/// A path without `.` and trailing slashes; `..` stays, since it means something only to the file system.
fn normal(path: &Path) -> PathBuf {
    path.components().collect()
}

fn main(layers: &Layers, preset: Option<&Preset>, sources: &[Source]) -> Main {
    if let Some(main) = layers.text("main") {
        return Main::Given(main.value.clone().into());
    }
    let legacy = sources.first().filter(|source| source.whole_volume).and_then(|source| source.path.file_name());
    let usual = legacy.map(PathBuf::from).or_else(|| Some(preset?.files.first()?.into()));
    usual.map_or(Main::Only, Main::Usual)
}

fn selector(layers: &Layers, preset: Option<&Preset>, directory: &Path, errors: ConfigErrors<'_>) -> Selector {
    let path = |name| layers.text(name).map(|said| normal(&directory.join(&said.value)));
    // Who says in other words which process is meant does not want to be known better.
    let own_words = ["cmdline", "exe", "pid-file"].iter().any(|name| layers.text(name).is_some());
    Selector {
        process: layers.text("process").map(|said| said.value.clone()),
        cmdline: layers.text("cmdline").and_then(|said| pattern(said, errors)),
        exe: path("exe"),
        pid_file: path("pid-file"),
        master: preset.filter(|_| !own_words).and_then(|preset| preset.master.clone()),
    }
}

fn reload(layers: &Layers, selector: &Selector, observe: bool, errors: ConfigErrors<'_>) -> ReloadMethod {
    let allow_uncaught = switch(layers, "allow-uncaught", errors);
    let Some(said) = one_of(layers, &["signal", "reload-url", "reload-command"], errors) else {
        if !observe {
            let help = "say `--signal HUP`, `--reload-url URL` or `--reload-command CMD`; or `--observe` to judge only";
            errors.push(
                ConfigError::new(layers.place(), "nothing says how the application is told to reload").help(help),
            );
        }
        return ReloadMethod::Nothing;
    };
    match said {
        ("reload-url", said) => ReloadMethod::Url(url(said, errors)),
        ("reload-command", said) => ReloadMethod::Command(words(&Words::Line(said.clone()), errors)),
        (_, said) if said.value.eq_ignore_ascii_case("none") => ReloadMethod::Nothing,
        (_, said) => {
            if selector.is_empty() && !observe {
                let help = "say which: `--process NAME`, `--cmdline REGEX`, `--exe PATH` or `--pid-file PATH`";
                errors.push(ConfigError::new(said.origin.clone(), "a signal needs a process to go to").help(help));
            }
            match Signal::from_str(&said.value) {
                Ok(signal) => ReloadMethod::Signal { signal, allow_uncaught },
                Err(error) => {
                    let help =
                        "signals are called as by `kill -l`: `HUP`, `SIGHUP` or a number; `none` is no signal at all";
                    errors.push(ConfigError::new(said.origin.clone(), error.to_string()).help(help));
                    ReloadMethod::Nothing
                }
            }
        }
    }
}

fn verification(
    layers: &Layers,
    preset: Option<&Preset>,
    selector: &Selector,
    errors: ConfigErrors<'_>,
) -> Verification {
    match one_of(layers, &["verify", "verify-url", "verify-command"], errors) {
        None => Verification::Nothing,
        Some(("verify-url", said)) => Verification::Url(url(said, errors)),
        Some(("verify-command", said)) => Verification::Command(words(&Words::Line(said.clone()), errors)),
        Some((_, said)) => {
            let workers = one_word(said, &["workers", "none"], errors) == Some("workers");
            if workers && selector.is_empty() {
                let help = "say whose: `--process NAME`, `--cmdline REGEX`, `--exe PATH` or `--pid-file PATH`";
                errors.push(
                    ConfigError::new(said.origin.clone(), "new workers need a process that starts them").help(help),
                );
            }
            let replaces = preset.is_some_and(|preset| preset.replaces_workers);
            if workers { Verification::Workers { replaces } } else { Verification::Nothing }
        }
    }
}

/// What the highest layer that chooses among `names` has chosen.
fn one_of<'a>(
    layers: &'a Layers,
    names: &[&'static str],
    errors: ConfigErrors<'_>,
) -> Option<(&'static str, &'a Said)> {
    let layer = layers.speaking_of(names)?;
    let mut chosen = names.iter().filter_map(|name| Some((*name, layer.text(name)?)));
    let first = chosen.next()?;
    for (name, said) in chosen {
        let message = format!("`{name}` and `{}` exclude each other", first.0);
        errors.push(ConfigError::new(said.origin.clone(), message).help("say one of them"));
    }
    Some(first)
}

fn root(layers: &Layers, errors: ConfigErrors<'_>) -> RootChoice {
    let Some(said) = layers.text("root") else { return RootChoice::Auto };
    match one_word(said, &["auto", "local", "target"], errors) {
        Some("local") => RootChoice::Local,
        Some("target") => RootChoice::Target,
        _ => RootChoice::Auto,
    }
}

fn scope(layers: &Layers, errors: ConfigErrors<'_>) -> Scope {
    let Some(said) = layers.text("redact") else { return Scope::Secrets };
    match one_word(said, &["auto", "always", "never"], errors) {
        Some("always") => Scope::All,
        Some("never") => Scope::Nothing,
        _ => Scope::Secrets,
    }
}

/// The names of variables, as POSIX has them (XBD 8.1), or what they begin with and a `*`.
fn pass_env(layers: &Layers, errors: ConfigErrors<'_>) -> Vec<String> {
    let is_name = |name: &str| {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        name.bytes().all(word) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
    };
    for said in
        layers.list("pass-env").iter().filter(|said| !is_name(said.value.strip_suffix('*').unwrap_or(&said.value)))
    {
        let message = format!("`{}` is no name of a variable", said.value);
        let help = "say the names alone, as `PORT`, or what several begin with, as `APP_*`; their values are taken from the gate's own \
                    environment";
        errors.push(ConfigError::new(said.origin.clone(), message).help(help));
    }
    values(layers.list("pass-env"))
}

/// What commands that run here must not get at, beside what is the gate's own to write.
fn confinement(layers: &Layers, errors: ConfigErrors<'_>) -> Option<Confinement> {
    let said = layers.text("sandbox").and_then(|said| one_word(said, &["auto", "strict", "off"], errors));
    // With what alerts are sent is nobody else's to read.
    let credentials =
        SETTINGS.iter().filter(|setting| setting.name.starts_with("alert-") && setting.name.ends_with("-file"));
    let credentials = credentials.flat_map(|setting| layers.list(setting.name)).map(|said| PathBuf::from(&said.value));
    let hidden = Confinement::SECRETS.map(PathBuf::from).into_iter().chain(credentials).collect();
    let strict = said == Some("strict");
    (said != Some("off")).then_some(Confinement { strict, hidden, fixed: Vec::new() })
}

/// What commands that run here must not write: what is watched, and what the application reads.
fn fixed(layers: &Layers, sources: &[Source], directory: &Path) -> Vec<PathBuf> {
    let written = ["publish", "stage"].iter().flat_map(|name| layers.list(name));
    let written = written.map(|said| normal(&directory.join(&said.value)));
    sources.iter().map(|source| source.path.clone()).chain(written).collect()
}

fn validators(layers: &Layers, errors: ConfigErrors<'_>) -> Vec<Validator> {
    let Some(layer) = layers.speaking_of(&["builtin", "validate"]) else { return Vec::new() };
    let terms = Terms::of(layers, errors);
    // The cheaper ones first.
    let builtins: Vec<_> = layer.list("builtin").iter().filter_map(|said| terms.builtin(said, errors)).collect();
    // The preset lies lowest; what is said over it may be the same program with other arguments.
    let lowest = layers.0.last().filter(|lowest| !std::ptr::eq(*lowest, layer));
    let known = lowest.and_then(|lowest| lowest.checks.as_deref()).unwrap_or_default();
    let said = layer.checks.iter().flatten().map(|raw| raw.like_one_of(known));
    let commands: Vec<_> = said.map(|raw| check(&raw, &terms, errors)).collect();
    builtins
        .into_iter()
        .map(Validator::Builtin)
        .chain(commands.into_iter().map(Box::new).map(Validator::Command))
        .collect()
}

fn check(raw: &RawCheck, terms: &Terms, errors: ConfigErrors<'_>) -> CommandValidator {
    for words in [Some(&raw.command), raw.running.as_ref()].into_iter().flatten() {
        let said = match words {
            Words::Line(line) => std::slice::from_ref(line),
            Words::Split(words) => words,
        };
        said.iter().for_each(|said| placeholders(said, errors));
    }
    raw.beside.iter().for_each(|said| placeholders(said, errors));
    let command = words(&raw.command, errors);
    let patterns =
        |said: &[Said], errors: ConfigErrors<'_>| said.iter().filter_map(|said| pattern(said, errors)).collect();
    CommandValidator {
        name: raw.name.as_ref().map_or_else(|| shell_words::join(&command), |said| said.value.clone()),
        running: raw.running.as_ref().map(|running| words(running, errors)),
        beside: values(&raw.beside),
        otherwise: raw.otherwise.as_ref().and_then(|said| terms.builtin(said, errors)),
        package: raw.package.as_ref().map(|said| said.value.clone()),
        options: values(&raw.options),
        unset: values(&raw.unset),
        patterns: Patterns {
            findings: patterns(&raw.findings, errors),
            transient: patterns(&raw.transient, errors),
            away: patterns(&raw.away, errors),
        },
        command,
    }
}

/// What is replaced in the words of a validator. The last three are of what runs: presets use them.
const PLACEHOLDERS: [&str; 5] = ["config", "dir", "exe", "argv", "options"];

/// Tells of placeholders that would not be replaced. `${name}` is a shell's.
fn placeholders(said: &Said, errors: ConfigErrors<'_>) {
    let text = &said.value;
    for (at, _) in text.match_indices('{').filter(|(at, _)| !text[..*at].ends_with('$')) {
        let Some((name, _)) = text[at + 1..].split_once('}') else { continue };
        let is_word = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase());
        if !is_word || PLACEHOLDERS.contains(&name) {
            continue;
        }
        let begun = PLACEHOLDERS.into_iter().find(|known| known.starts_with(name));
        let meant = begun.or_else(|| nearest(name, PLACEHOLDERS));
        let meant = meant.map_or_else(String::new, |known| format!("; did you mean `{{{known}}}`?"));
        let help = "`{config}` is the file to begin with and `{dir}` its directory; braces that are meant as such take a blank \
                    inside, as `{ print }`";
        let message = format!("unknown placeholder `{{{name}}}`{meant}");
        errors.push(ConfigError::new(said.origin.clone(), message).help(help));
    }
}

fn values(said: &[Said]) -> Vec<String> {
    said.iter().map(|said| said.value.clone()).collect()
}

fn words(said: &Words, errors: ConfigErrors<'_>) -> Vec<String> {
    let line = match said {
        Words::Split(words) => return values(words),
        Words::Line(line) => line,
    };
    match shell_words::split(&line.value) {
        Ok(words) if words.is_empty() => {
            errors.push(ConfigError::new(line.origin.clone(), "the command is empty"));
            words
        }
        Ok(words) => words,
        Err(error) => {
            let help = "it is split into words as a shell does it; a quote that is meant as such is written `\\'`";
            errors.push(ConfigError::new(line.origin.clone(), format!("`{}`: {error}", line.value)).help(help));
            Vec::new()
        }
    }
}

fn pattern(said: &Said, errors: ConfigErrors<'_>) -> Option<Regex> {
    let pattern = Regex::new(&said.value);
    pattern.map_err(|error| errors.push(ConfigError::new(said.origin.clone(), error.to_string()))).ok()
}

fn url(said: &Said, errors: ConfigErrors<'_>) -> String {
    let parsed = said.value.parse::<ureq::http::Uri>();
    let right = parsed.is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
    if !right {
        let message = format!("`{}` is no URL that begins with `http://` or `https://`", shown(&said.value));
        errors.push(ConfigError::new(said.origin.clone(), message));
    }
    said.value.clone()
}

/// A URL without the user and password that may stand in it.
fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) if scheme.is_empty() => rest[at + 1..].to_owned(),
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

pub(super) fn one_word(said: &Said, known: &[&'static str], errors: ConfigErrors<'_>) -> Option<&'static str> {
    let found = known.iter().find(|word| **word == said.value).copied();
    if found.is_none() {
        let meant = suggestion(&said.value, known.iter().copied());
        let message = format!("`{}` is none of {}{meant}", said.value, known.join(", "));
        errors.push(ConfigError::new(said.origin.clone(), message));
    }
    found
}

pub(super) fn switch(layers: &Layers, name: &str, errors: ConfigErrors<'_>) -> bool {
    let Some(said) = layers.text(name) else { return false };
    match said.value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => true,
        "false" | "0" | "no" | "off" => false,
        _ => {
            errors.push(ConfigError::new(said.origin.clone(), format!("`{}` is neither true nor false", said.value)));
            false
        }
    }
}

pub(super) fn log_format(layers: &Layers, terminal: bool, errors: ConfigErrors<'_>) -> log::Format {
    match layers.text("log-format").map(|said| one_word(said, &["text", "json"], errors)) {
        Some(Some("text")) => log::Format::Text,
        None if terminal => log::Format::Text,
        _ => log::Format::Json,
    }
}

/// Where to listen: `IP:PORT`, or `:PORT` for all addresses.
pub(super) fn listen(layers: &Layers, errors: ConfigErrors<'_>) -> Option<SocketAddr> {
    let said = layers.text("listen")?;
    let all = said.value.strip_prefix(':').map(|port| format!("0.0.0.0:{port}"));
    let address = all.as_ref().unwrap_or(&said.value).parse::<SocketAddr>().ok().filter(|address| address.port() != 0);
    if address.is_none() {
        let message = format!("`{}` is no address to listen on", said.value);
        let help = "addresses look like `127.0.0.1:9464`, `[::]:9464` or, for all of IPv4, `:9464`";
        errors.push(ConfigError::new(said.origin.clone(), message).help(help));
    }
    address
}

pub(super) fn duration(layers: &Layers, name: &str, default: Duration, errors: ConfigErrors<'_>) -> Duration {
    let Some(said) = layers.text(name) else { return default };
    humantime::parse_duration(&said.value).unwrap_or_else(|error| {
        let message = format!("`{}` is no duration: {error}", said.value);
        errors.push(ConfigError::new(said.origin.clone(), message).help("durations look like `500ms`, `30s` or `5m`"));
        default
    })
}

fn positive(layers: &Layers, name: &str, default: Duration, errors: ConfigErrors<'_>) -> Duration {
    let given = duration(layers, name, default, errors);
    if given.is_zero()
        && let Some(said) = layers.text(name)
    {
        errors.push(ConfigError::new(said.origin.clone(), "it must be longer than nothing"));
    }
    given
}

fn number<N: FromStr + Copy + PartialEq + Default>(
    layers: &Layers,
    name: &str,
    default: N,
    errors: ConfigErrors<'_>,
) -> N {
    let Some(said) = layers.text(name) else { return default };
    match said.value.parse::<N>() {
        Ok(number) if number != N::default() => number,
        _ => {
            let message = format!("`{}` is no number above 0", said.value);
            errors.push(ConfigError::new(said.origin.clone(), message).help("numbers are digits alone, as `10000`"));
            default
        }
    }
}

/// A number of bytes, as Kubernetes writes quantities: a suffix is a power of 1024, with or without `i` and `B`.
fn size(layers: &Layers, name: &str, default: u64, errors: ConfigErrors<'_>) -> u64 {
    let Some(said) = layers.text(name) else { return default };
    bytes(&said.value).unwrap_or_else(|| {
        let message = format!("`{}` is no size above 0", said.value);
        let help =
            "sizes are whole numbers of bytes, or of their powers of 1024: `65536`, `512k`, `16M`, `16MiB`, `1G`";
        errors.push(ConfigError::new(said.origin.clone(), message).help(help));
        default
    })
}

fn bytes(text: &str) -> Option<u64> {
    let suffix = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let shift = match suffix.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "ki" | "kb" | "kib" => 10,
        "m" | "mi" | "mb" | "mib" => 20,
        "g" | "gi" | "gb" | "gib" => 30,
        _ => return None,
    };
    let number: u64 = text[..text.len() - suffix.len()].parse().ok()?;
    number.checked_mul(1 << shift).filter(|bytes| *bytes > 0)
}
