//! The annotations by which a pod template asks for a gate.

use serde_json::{Map, Value};

use super::{INJECT, MARK, Remark};
use crate::config::{Preset, presets};
use crate::sys::suggest::{nearest, suggestion};

/// Value of the annotation that asks for no gate.
pub(super) const NONE: &str = "none";

/// Annotations that say more about the gate.
const CONTAINER: &str = "reload-gate.dev/inject-container";
pub(super) const MODE: &str = "reload-gate.dev/inject-mode";
const WATCH: &str = "reload-gate.dev/inject-watch";
const IMAGE: &str = "reload-gate.dev/inject-image";
pub(super) const ARGS: &str = "reload-gate.dev/inject-args";
const FURTHER: [&str; 5] = [CONTAINER, MODE, WATCH, IMAGE, ARGS];

/// Flags of what an injection sets by itself, each with the annotation for it. A preset of the user's own (`--preset`) has none.
const SET: [(&str, &str); 5] =
    [("--app", INJECT), ("--watch", WATCH), ("--publish", MODE), ("--mount", MODE), ("--stage", MODE)];

/// Words that people write to turn something on.
const ON: [&str; 6] = ["true", "yes", "on", "enabled", "enable", "auto"];

/// Beginning of the annotations of this program.
const PREFIX: &str = "reload-gate.dev/";
/// Names of annotations that other parts of this program read or write.
const OTHERS: [&str; 9] =
    ["inject", "injected", "nudge", "ignore", "validate", "validator", "main", "context", "nginx-version"];

/// Way in which the application gets its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InjectMode {
    /// It mounts the ConfigMap.
    Direct,
    /// It mounts a volume in which only accepted revisions appear.
    Publish,
}

/// The request of a template for a gate.
pub(super) struct InjectRequest {
    pub(super) preset: &'static Preset,
    pub(super) mode: InjectMode,
    /// Name of the application's container.
    pub(super) container: Option<String>,
    /// Mount paths of the configuration.
    pub(super) watch: Vec<String>,
    /// Image of reload-gate.
    pub(super) image: Option<String>,
    /// Further arguments of `run`.
    pub(super) args: Vec<String>,
}

/// Request of a template.
pub(super) enum Requested {
    /// Nothing.
    Nothing,
    /// A gate, which this version injected already.
    Injected(String),
    /// A gate.
    Gate(InjectRequest),
}

impl InjectRequest {
    /// Reads the annotations of a template.
    pub(super) fn of(template: &Value) -> Result<Requested, Remark> {
        let Some(annotations) = template.pointer("/metadata/annotations").and_then(Value::as_object) else {
            return Ok(Requested::Nothing);
        };
        if let Some(version) = annotations.get(MARK) {
            return Ok(Requested::Injected(version.as_str().unwrap_or_default().to_owned()));
        }
        let Some(name) = annotations.get(INJECT).filter(|name| *name != NONE) else { return Ok(Requested::Nothing) };
        let preset = preset(name.as_str().unwrap_or_default())?;
        refuse_unknown(annotations)?;
        let text = |key: &str| annotations.get(key).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
        let owned = |key: &str| text(key).map(|text| text.trim().to_owned());
        let paths = text(WATCH).map(str::split_whitespace).into_iter().flatten();
        let request = Self {
            preset,
            mode: mode(text(MODE))?,
            container: owned(CONTAINER),
            watch: paths.map(|path| path.trim_end_matches('/').to_owned()).collect(),
            image: owned(IMAGE),
            args: arguments(text(ARGS))?,
        };
        request.refuse_replaced()?;
        Ok(Requested::Gate(request))
    }

    /// Refuses arguments that would replace what the injection sets.
    fn refuse_replaced(&self) -> Result<(), Remark> {
        match SET.into_iter().find(|(flag, _)| self.has_flag(flag)) {
            Some((flag, annotation)) => {
                let message = format!("`{ARGS}`: `{flag}` would replace what the injection sets");
                Err((message, format!("use `{annotation}` in its place")))
            }
            None => Ok(()),
        }
    }

    /// True if an argument is this flag.
    pub(super) fn has_flag(&self, flag: &str) -> bool {
        self.args
            .iter()
            .any(|word| word.strip_prefix(flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('=')))
    }

    /// The value of a flag among the arguments.
    pub(super) fn flag(&self, flag: &str) -> Option<&str> {
        let mut words = self.args.iter();
        while let Some(word) = words.next() {
            match word.strip_prefix(flag) {
                Some("") => return words.next().map(String::as_str),
                Some(rest) if rest.starts_with('=') => return Some(&rest[1..]),
                _ => {}
            }
        }
        None
    }
}

/// The remark about several containers or mounts, which an annotation tells apart.
pub(super) fn name_container() -> String {
    format!("name the application's with `{CONTAINER}`")
}

/// The same about mounts.
pub(super) fn name_watch() -> String {
    format!("name the mount paths of the configuration with `{WATCH}`, separated by spaces")
}

/// The help for a name that a flag has to tell.
pub(super) fn name_flag(flag: &str) -> String {
    format!("add `{flag}` to `{ARGS}`")
}

fn preset(name: &str) -> Result<&'static Preset, Remark> {
    let known = || presets().iter().map(|preset| preset.name);
    presets().iter().find(|preset| preset.name == name).ok_or_else(|| {
        let is_switch = ON.contains(&name.to_ascii_lowercase().as_str());
        let meant = if is_switch {
            "; the value is the name of the program, as `nginx`".to_owned()
        } else {
            suggestion(name, known())
        };
        let message = format!("`{INJECT}`: there is no preset `{}`{meant}", shortened(name));
        (message, "choose one that `reload-gate validators` lists".to_owned())
    })
}

fn refuse_unknown(annotations: &Map<String, Value>) -> Result<(), Remark> {
    let is_ours = |name: &str| name.starts_with("inject-") || nearest(name, injection_names()).is_some();
    match unknown(annotations).find(|name| is_ours(name)) {
        Some(name) => Err(unknown_annotation(name)),
        None => Ok(()),
    }
}

/// The names of the annotations of this program in a template that no part of it knows.
fn unknown(annotations: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let names = annotations.keys().filter_map(|key| key.strip_prefix(PREFIX));
    names.filter(|name| !OTHERS.contains(name) && injection_names().all(|known| known != *name))
}

/// The names of the annotations of an injection, without their common beginning: it would make every name look near.
fn injection_names() -> impl Iterator<Item = &'static str> {
    [INJECT].into_iter().chain(FURTHER).filter_map(|key| key.strip_prefix(PREFIX))
}

fn unknown_annotation(name: &str) -> Remark {
    let meant = nearest(name, injection_names());
    let meant = meant.map_or_else(String::new, |meant| format!("; did you mean `{PREFIX}{meant}`?"));
    (format!("unknown annotation `{PREFIX}{}`{meant}", shortened(name)), "remove or correct it".to_owned())
}

/// Annotation of this program that has no effect.
pub(super) struct Ineffective {
    pub(super) remark: Remark,
    /// True if the template probably asks for a gate.
    pub(super) asks: bool,
}

/// Finds an annotation without effect in a template that does not have the one that asks for a gate, or for none.
pub(super) fn ineffective(template: &Value) -> Option<Ineffective> {
    let annotations = template.pointer("/metadata/annotations")?.as_object()?;
    if annotations.contains_key(INJECT) {
        return None;
    }
    if let Some(name) = unknown(annotations).next() {
        let asks = nearest(name, injection_names()).is_some();
        return Some(Ineffective { remark: unknown_annotation(name), asks });
    }
    let further = FURTHER.into_iter().find(|key| annotations.contains_key(*key))?;
    let message = format!("`{further}` has no effect without `{INJECT}`");
    Some(Ineffective { remark: (message, format!("add `{INJECT}: PRESET`, or remove it")), asks: true })
}

fn mode(text: Option<&str>) -> Result<InjectMode, Remark> {
    match text.map(str::trim) {
        None | Some("direct") => Ok(InjectMode::Direct),
        Some("publish") => Ok(InjectMode::Publish),
        Some(other) => Err((
            format!("`{MODE}`: there is no mode `{}`", shortened(other)),
            "choose `direct` or `publish`".to_owned(),
        )),
    }
}

fn arguments(text: Option<&str>) -> Result<Vec<String>, Remark> {
    shell_words::split(text.unwrap_or_default())
        .map_err(|error| (format!("`{ARGS}`: {error}"), "quote the arguments as for a shell".to_owned()))
}

/// The beginning of a text of any length.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}
