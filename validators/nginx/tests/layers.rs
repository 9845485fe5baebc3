//! The folders of the crate import downwards, without circles.

use std::fs;
use std::path::{Path, PathBuf};

/// Each folder, after all those it may import.
const LAYERS: [&str; 14] = [
    "syntax",
    "directives",
    "values",
    "findings",
    "model",
    "checker",
    "core",
    "ssl",
    "upstream",
    "mail",
    "stream",
    "http",
    "setters",
    "hygiene",
];

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("the sources are there").flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn layer(name: &str) -> usize {
    LAYERS.iter().position(|layer| *layer == name).unwrap_or_else(|| panic!("`{name}` is in no layer"))
}

#[test]
fn folders_import_downwards() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for path in files(&sources).iter().filter(|path| path.extension().is_some_and(|end| end == "rs")) {
        let relative = path.strip_prefix(&sources).expect("it is below the sources").to_string_lossy();
        let own = relative.split(['/', '.']).next().unwrap_or_default();
        if own == "lib" {
            continue;
        }
        let text = fs::read_to_string(path).expect("a source is UTF-8");
        for rest in text.split("crate::").skip(1) {
            let name: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            if !name.is_empty() {
                assert!(layer(&name) <= layer(own), "{relative} imports {name}, which is above it");
            }
        }
    }
}
