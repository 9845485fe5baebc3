//! The bundled profiles of programs: how each is checked, found, told and proven. Pure.

use std::sync::LazyLock;

use regex::Regex;

use super::layer::{self, Layer};
use super::yaml::{self, Node, Value};
use super::{Mistake, Origin};

/// The presets, by name. Adding one is adding a file in `validators/presets` and a line here.
const TEXTS: [(&str, &str); 3] = [
    ("gunicorn", include_str!("../../validators/presets/gunicorn.yaml")),
    ("haproxy", include_str!("../../validators/presets/haproxy.yaml")),
    ("nginx", include_str!("../../validators/presets/nginx.yaml")),
];

/// One program's profile.
#[derive(Clone, Debug)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// What it is for, in one line.
    pub about: String,
    /// The names of the files that are such a program's configuration; the first is the one to begin with.
    pub files: Vec<String>,
    /// The directory in which its configuration lies customarily.
    pub directory: Option<String>,
    /// Where in that directory files lie which its image's own main file includes: patterns with one `*`.
    pub parts: Vec<String>,
    /// What stands for that main file where only such parts are known; `{part}` is the pattern.
    pub around: Option<String>,
    /// What the text of a whole configuration holds, and that of a part does not.
    pub whole: Option<Regex>,
    /// The text of the profile.
    pub text: &'static str,
    /// What the command line of the process looks like that is the root of its family.
    pub(super) master: Option<Regex>,
    /// Whether the master starts a worker for each that dies by itself.
    pub(super) replaces_workers: bool,
    pub(super) layer: Layer,
}

/// All presets, sorted by name.
///
/// # Panics
/// If a bundled preset is wrong, which a test would have told.
#[must_use]
pub fn presets() -> &'static [Preset] {
    static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
        let read = |(name, text)| read(name, text).unwrap_or_else(|mistakes| panic!("preset {name}: {mistakes:?}"));
        TEXTS.into_iter().map(read).collect()
    });
    &PRESETS
}

fn read(name: &'static str, text: &'static str) -> Result<Preset, Vec<Mistake>> {
    let origin = |_, _| Origin::Preset(name);
    let node = match yaml::parse(text) {
        Ok(Some(node)) => node,
        Ok(None) => return Err(vec![Mistake::new(origin(0, 0), "it is empty")]),
        Err(broken) => return Err(vec![Mistake::new(origin(0, 0), broken.message)]),
    };
    let (mut about, mut files, mut master, mut replaces_workers) = (String::new(), Vec::new(), None, false);
    let (mut directory, mut parts, mut around, mut whole) = (None, Vec::new(), None, None);
    let mut mistakes = Vec::new();
    let mut own = |(key, value): &(Node, Node)| match (&key.value, &value.value) {
        (Value::Text(key), Value::Text(text)) if key == "about" => {
            about.clone_from(text);
            true
        }
        (Value::Text(key), Value::Text(pattern)) if key == "master" => {
            master = Some(Regex::new(pattern));
            true
        }
        (Value::Text(key), Value::Text(text)) if key == "replaces-workers" => {
            replaces_workers = text == "true";
            true
        }
        (Value::Text(key), Value::List(items)) if key == "files" => {
            files = items.iter().filter_map(text_of).collect();
            true
        }
        (Value::Text(key), Value::Text(text)) if key == "directory" => {
            directory = Some(text.clone());
            true
        }
        (Value::Text(key), Value::List(items)) if key == "parts" => {
            parts = items.iter().filter_map(text_of).collect();
            true
        }
        (Value::Text(key), Value::Text(text)) if key == "around" => {
            around = Some(text.clone());
            true
        }
        (Value::Text(key), Value::Text(pattern)) if key == "whole" => {
            whole = Some(Regex::new(pattern));
            true
        }
        _ => false,
    };
    let layer = layer::of_node(node, &mut own, &origin, &mut mistakes);
    let pattern = |pattern: Option<Result<Regex, regex::Error>>| {
        pattern.transpose().map_err(|error| vec![Mistake::new(origin(0, 0), error.to_string())])
    };
    let (master, whole) = (pattern(master)?, pattern(whole)?);
    if mistakes.is_empty() {
        Ok(Preset { name, about, files, directory, parts, around, whole, text, master, replaces_workers, layer })
    } else {
        Err(mistakes)
    }
}

fn text_of(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}
