//! Directories of programs on the search path. IO: lists directories and follows links.

use std::fs;
use std::path::{Path, PathBuf};

use super::reserved::real;

/// Parts of a directory with programs beside its `bin`: libraries, data, the mark of a virtual environment of Python, and what Java reads.
const PARTS: [&str; 7] = ["lib", "lib32", "lib64", "libexec", "share", "pyvenv.cfg", "conf/security"];

/// Returns the directories of the search path with their parts, and the programs outside of them to which their links lead, with theirs.
pub(super) fn find() -> Vec<PathBuf> {
    let path = super::super::search_path();
    let directories = std::env::split_paths(&path).filter(|path| path.is_absolute() && path.parent().is_some());
    let directories: Vec<PathBuf> = directories.flat_map(|path| [real(&path), path]).collect();
    let mut all = Vec::new();
    for directory in &directories {
        all.push(directory.clone());
        all.extend(parts(directory));
        for program in linked(directory) {
            all.extend(program.parent().into_iter().flat_map(parts));
            all.push(program);
        }
    }
    all.sort();
    all.dedup();
    all
}

fn parts(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let is_below_root = directory.parent() == Some(Path::new("/"));
    PARTS.iter().filter(move |_| !is_below_root).map(|part| directory.with_file_name(part))
}

/// Returns the files outside of the directory to which its links lead, except those of the system.
fn linked(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let links = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()));
    let leads_out = |link: &PathBuf| {
        let to = fs::read_link(link).unwrap_or_default();
        to.components().count() > 1 && !["/bin", "/lib", "/sbin", "/usr"].iter().any(|system| to.starts_with(system))
    };
    let links = links.map(|entry| entry.path()).filter(leads_out);
    links.map(|link| real(&link)).filter(|program| !program.starts_with("/usr") && program.is_file()).collect()
}
