//! Mounts of the inputs that are not laid out for programs. IO: looks which places are the machine's own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reload_gate_contract::{Finding, Severity};

use super::assign::Task;
use super::validate::NOT_LAID_OUT;
use crate::flow::tree::Tree;
use crate::flow::validate::{Main, Validation};
use crate::sys::exec::ReservedPlaces;

/// Mounts of a task that are not laid out for programs, since they lie over the machine's own programs, libraries and accounts.
#[derive(Default)]
pub(super) struct RefusedMounts(Vec<PathBuf>);

impl RefusedMounts {
    /// Finds them.
    pub(super) fn of(task: &Task, tree: &Tree) -> Self {
        let places = ReservedPlaces::find();
        let around = task.around.iter().map(|around| (around.path.as_path(), true));
        let points = task.tree.points.iter().map(|point| (point.path.as_path(), point.known)).chain(around);
        let points: BTreeMap<&Path, bool> = points.collect();
        let mut refused = BTreeSet::new();
        for (point, files) in by_point(&points, tree) {
            if points.get(point).is_some_and(|is_whole| *is_whole) {
                refused.extend(places.refuses(point, files).then(|| point.to_owned()));
            } else {
                // What is not known as a whole is laid out file by file.
                refused.extend(files.into_iter().filter(|file| places.refuses(file, [])).map(Path::to_owned));
            }
        }
        Self(refused.into_iter().collect())
    }

    /// Returns true for a path that is such a mount, or lies below one.
    pub(super) fn holds(&self, path: &Path) -> bool {
        self.0.iter().any(|point| path.starts_with(point))
    }

    /// Returns the files that are laid out.
    pub(super) fn without(&self, tree: &Arc<Tree>) -> Arc<Tree> {
        if self.0.is_empty() {
            return tree.clone();
        }
        let left = tree.iter().filter(|(path, _)| !self.holds(path));
        Arc::new(left.map(|(path, content)| (path.clone(), content.clone())).collect())
    }

    /// Returns the finding that nothing can be validated without them.
    pub(super) fn obstacle(&self, task: &Task, tree: &Tree) -> Option<Finding> {
        let is_all = !self.0.is_empty() && tree.keys().all(|path| self.holds(path));
        let lacks_main = matches!(&task.main, Main::Given(main) if self.holds(main));
        let point = self.0.first().filter(|_| is_all || lacks_main)?;
        Some(Finding::environment(NOT_LAID_OUT, Self::message(point)).help(Self::HELP))
    }

    const HELP: &'static str =
        "mount configurations elsewhere, such as below `/etc/NAME`; or validate where the application runs";

    fn message(point: &Path) -> String {
        format!("`{}` is not laid out: programs, libraries or accounts of this machine lie there", point.display())
    }

    /// Adds a finding for each, which is an obstacle where another finding names it: that follows from its absence.
    pub(super) fn weigh(&self, mut validation: Validation) -> Validation {
        for point in &self.0 {
            let name = point.to_string_lossy();
            let is_named = |finding: &Finding| finding.message.contains(&*name);
            let before = validation.findings.len();
            validation.findings.retain(|finding| !is_named(finding));
            let finding = Finding::environment(NOT_LAID_OUT, Self::message(point)).help(Self::HELP);
            let severity = if validation.findings.len() < before { Severity::Error } else { Severity::Warning };
            validation.findings.push(Finding { severity, ..finding });
        }
        validation
    }
}

/// Returns the files of each mount that has any. A file is of the deepest mount that it lies in.
fn by_point<'t>(points: &BTreeMap<&'t Path, bool>, tree: &'t Tree) -> BTreeMap<&'t Path, Vec<&'t Path>> {
    let mut files: BTreeMap<&Path, Vec<&Path>> = BTreeMap::new();
    for file in tree.keys() {
        let point = file.ancestors().find_map(|above| points.get_key_value(above));
        if let Some((point, _)) = point {
            files.entry(point).or_default().push(file);
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_of_the_deepest_mount() {
        let points =
            BTreeMap::from([(Path::new("/etc"), false), (Path::new("/etc/app"), true), (Path::new("/run"), true)]);
        let tree: Tree = ["/etc/a", "/etc/app/b", "/srv/c"].map(|file| (PathBuf::from(file), Vec::new())).into();
        let found = by_point(&points, &tree);
        let expected = [("/etc", "/etc/a"), ("/etc/app", "/etc/app/b")];
        assert_eq!(found, expected.map(|(point, file)| (Path::new(point), vec![Path::new(file)])).into());
    }
}
