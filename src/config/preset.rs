//! The bundled profiles of programs: how each is checked, found, told and proven. Pure.

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
pub fn presets() -> Vec<Preset> {
    let read = |(name, text)| read(name, text).unwrap_or_else(|mistakes| panic!("preset {name}: {mistakes:?}"));
    TEXTS.into_iter().map(read).collect()
}

fn read(name: &'static str, text: &'static str) -> Result<Preset, Vec<Mistake>> {
    let origin = |_, _| Origin::Preset(name);
    let node = match yaml::parse(text) {
        Ok(Some(node)) => node,
        Ok(None) => return Err(vec![Mistake::new(origin(0, 0), "it is empty")]),
        Err(broken) => return Err(vec![Mistake::new(origin(0, 0), broken.message)]),
    };
    let (mut about, mut files, mut master, mut replaces_workers) = (String::new(), Vec::new(), None, false);
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
        _ => false,
    };
    let layer = layer::of_node(node, &mut own, &origin, &mut mistakes);
    let master = master.transpose().map_err(|error| vec![Mistake::new(origin(0, 0), error.to_string())])?;
    if mistakes.is_empty() {
        Ok(Preset { name, about, files, text, master, replaces_workers, layer })
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
