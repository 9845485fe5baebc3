//! Arguments of `check` that overlap, or name one file in several ways. IO: resolves links.

use std::path::{Path, PathBuf};

use super::input::STDIN;

/// Returns a path without links in its directory. A link to a file has a name of its own, as in `sites-enabled`.
pub(super) fn real(path: &Path) -> PathBuf {
    let resolved = match (path.file_name().filter(|_| !path.is_dir()), path.parent()) {
        (Some(name), Some(parent)) => {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            parent.canonicalize().map(|parent| parent.join(name))
        }
        _ => if path.as_os_str().is_empty() { Path::new(".") } else { path }.canonicalize(),
    };
    resolved.unwrap_or_else(|_| path.to_owned())
}

/// Returns the paths in their order, but each behind the directories among them that it lies in: what these include is then in one tree.
pub(super) fn outer_first(paths: &[String]) -> Vec<&String> {
    let real = |path: &String| if path == STDIN { PathBuf::from(path) } else { real(Path::new(path)) };
    let reals: Vec<PathBuf> = paths.iter().map(real).collect();
    let directories: Vec<usize> = (0..paths.len()).filter(|index| Path::new(&paths[*index]).is_dir()).collect();
    let mut is_placed = vec![false; paths.len()];
    let mut order = Vec::with_capacity(paths.len());
    for index in 0..paths.len() {
        let is_around = |other: &&usize| {
            **other > index && reals[**other] != reals[index] && reals[index].starts_with(&reals[**other])
        };
        let mut around: Vec<usize> = directories.iter().filter(is_around).copied().collect();
        around.sort_by_key(|other| reals[*other].components().count());
        for next in around.into_iter().chain([index]) {
            if !std::mem::replace(&mut is_placed[next], true) {
                order.push(&paths[next]);
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_listed_before_what_lies_in_it() {
        let root = tempfile::tempdir().expect("there is room");
        let path = |name: &str| root.path().join(name).to_str().expect("it is UTF-8").to_owned();
        std::fs::create_dir_all(path("a/b")).expect("there is room");
        std::fs::write(path("a/b/c.conf"), "").expect("there is room");
        let given =
            ["-".to_owned(), path("z"), path("a/b/c.conf"), path("a/b"), path("a/b/../b"), path("a"), path("a")];
        let order = outer_first(&given).into_iter().cloned().collect::<Vec<_>>();
        assert_eq!(
            order,
            ["-".to_owned(), path("z"), path("a"), path("a"), path("a/b"), path("a/b/../b"), path("a/b/c.conf")]
        );
    }
}
