//! Paths by their words alone. Pure.

use std::path::{Component, Path, PathBuf};

/// Returns a path without `.` and `..`, as its text says: where a link leads is not known here. A `..` at the top of the path is dropped.
#[must_use]
pub fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}
