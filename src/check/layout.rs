//! Lays the files of a tree out where programs find them. IO: writes a temporary directory.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use super::assign::Task;
use super::images::ImageReference;
use crate::flow::tree::Tree;
use crate::flow::validate::{Mapping, PathMap};

/// Path of the names of hosts in a view.
pub(super) const HOSTS: &str = "/etc/hosts";

/// Returns a file of hosts with all words that may be names of hosts: these resolve in the cluster, and programs only look whether they
/// do. `None` if there is none.
pub(super) fn hosts(tree: &Tree) -> Option<String> {
    const MOST: usize = 10_000;
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_".contains(byte);
    let words = tree.values().flat_map(|text| text.split(|byte| !is_of_name(byte)));
    let names = words.filter(|word| word.len() < 254 && word.first().is_some_and(u8::is_ascii_alphanumeric));
    let names = names.filter_map(|word| std::str::from_utf8(word).ok());
    let names: BTreeSet<&str> =
        names.filter(|name| name.contains(|c: char| c.is_ascii_alphabetic())).take(MOST).collect();
    let lines = names.iter().map(|name| format!("127.0.0.1 {name}\n")).collect::<String>();
    (!names.is_empty()).then(|| format!("127.0.0.1 localhost\n::1 localhost\n{lines}"))
}

/// Returns the mount points of volumes with other content than the inputs, such as `emptyDir`. Programs look whether these directories
/// exist.
pub(super) fn empty_mounts<'t>(task: &'t Task, tree: &Tree) -> Vec<&'t Path> {
    /// Directories that programs need as they are on this machine, also those below them.
    const NEEDED: [&str; 10] =
        ["/bin", "/dev", "/etc/pki", "/etc/ssl", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr"];
    let is_needed = |path: &Path| NEEDED.iter().any(|top| path.starts_with(top));
    let points = task.tree.points.iter().filter(|point| !point.known).map(|point| point.path.as_path());
    let has_file = |path: &Path| tree.keys().any(|file| file.starts_with(path) || path.starts_with(file));
    let is_new = |path: &Path| !path.exists() && !path.components().any(|step| step == Component::ParentDir);
    points
        .filter(|path| task.container.image != ImageReference::default() && is_new(path))
        .filter(|path| !is_needed(path) && !has_file(path))
        .collect()
}

/// Writes the tree into a temporary directory for programs, with directories for the mount points in `empty`. Dropping the result removes
/// it.
pub(super) fn lay_out<'f>(
    asks_programs: bool,
    files: impl Iterator<Item = (&'f PathBuf, &'f Vec<u8>)>,
    empty: &[&Path],
) -> std::io::Result<Option<tempfile::TempDir>> {
    if !asks_programs {
        return Ok(None);
    }
    // It may hold Secrets.
    let private = std::fs::Permissions::from_mode(0o700);
    let directory = tempfile::Builder::new().prefix("reload-gate-").permissions(private).tempdir()?;
    for (path, content) in files {
        let file = below(directory.path(), path)?;
        std::fs::create_dir_all(file.parent().unwrap_or(&file))?;
        std::fs::write(file, content)?;
    }
    for path in empty {
        let place = below(directory.path(), path)?;
        std::fs::create_dir_all(&place)?;
        // The user of the program may be any one, as `fsGroup` permits it in the pod.
        std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o777))?;
    }
    Ok(Some(directory))
}

/// Returns the place of a path of a container in `directory`.
///
/// # Errors
/// When the path has `..`: it comes out of the inputs, and would lead out of the directory.
fn below(directory: &Path, path: &Path) -> std::io::Result<PathBuf> {
    if path.components().any(|step| step == Component::ParentDir) {
        let message = format!("`{}` leads out of its directory", path.display());
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, message));
    }
    Ok(directory.join(path.strip_prefix("/").unwrap_or(path)))
}

/// Returns the map from the temporary directory to the mounts.
pub(super) fn path_map(task: &Task, has_hosts: bool, here: &Path, asks_programs: bool) -> PathMap {
    let part = |path: &Path, whole| Mapping {
        prefix: path.to_owned(),
        here: here.join(path.strip_prefix("/").unwrap_or(path)),
        there: path.to_owned(),
        live: None,
        whole,
    };
    let points = &task.tree.points;
    // The directory of a single file is that of the image, in which a pattern finds the file as well. A program is shown each file.
    let covered = |path: &Path| points.iter().any(|point| point.path == path);
    let parents: BTreeSet<&Path> = points
        .iter()
        .filter(|point| !asks_programs && task.tree.files.contains_key(&point.path))
        .filter_map(|point| point.path.parent())
        .filter(|parent| !covered(parent))
        .collect();
    let parents = parents.into_iter().map(|parent| part(parent, false));
    let points = points.iter().map(|point| part(&point.path, point.known));
    let around = task.around.iter().map(|around| part(&around.path, true));
    let hosts = has_hosts.then(|| part(Path::new(HOSTS), true));
    PathMap(parents.chain(points).chain(around).chain(hosts).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_of_the_inputs_leads_out_of_the_directory() {
        let content = b"text".to_vec();
        let lay_out = |path: &str| lay_out(true, std::iter::once((&PathBuf::from(path), &content)), &[]).map(|_| ());
        lay_out("/etc/app/app.conf").expect("it is inside");
        for path in ["/../../opt/x", "/e/../../../opt/x", "../x"] {
            let error = lay_out(path).expect_err("it is refused");
            assert_eq!(error.to_string(), format!("`{path}` leads out of its directory"));
        }
    }
}
