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

    /// Adds a finding for each, which is an obstacle where another finding is at a line of the tree that names it: that follows from its
    /// absence, and so does an error without a line where any names it.
    pub(super) fn weigh(&self, mut validation: Validation, tree: &Tree) -> Validation {
        for point in &self.0 {
            let naming = lines_with(point, tree);
            let follows =
                |finding: &Finding| match finding.place.as_ref().map(|place| (Path::new(&place.file), place.line)) {
                    Some((file, Some(line))) => naming.contains(&(file, line)),
                    _ => finding.severity == Severity::Error && !naming.is_empty(),
                };
            let before = validation.findings.len();
            validation.findings.retain(|finding| !follows(finding));
            let finding = Finding::environment(NOT_LAID_OUT, Self::message(point)).help(Self::HELP);
            let severity = if validation.findings.len() < before { Severity::Error } else { Severity::Warning };
            validation.findings.push(Finding { severity, ..finding });
        }
        validation
    }
}

/// Returns the lines of a tree, counted from 1, that have this path or one below it as a word.
fn lines_with<'t>(path: &Path, tree: &'t Tree) -> BTreeSet<(&'t Path, u32)> {
    let path = path.as_os_str().as_encoded_bytes();
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let has_path = |line: &[u8]| {
        let mut found = memchr::memmem::find_iter(line, path);
        let is_word = |at: usize| {
            !line[at + path.len()..].first().is_some_and(is_of_name) && !line[..at].last().is_some_and(is_of_name)
        };
        found.any(is_word)
    };
    let lines = |(file, content): (&'t PathBuf, &'t Vec<u8>)| {
        let numbered = (1..).zip(content.split(|byte| *byte == b'\n'));
        numbered.filter(|(_, line)| has_path(line)).map(move |(number, _)| (file.as_path(), number)).collect::<Vec<_>>()
    };
    tree.iter().flat_map(lines).collect()
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
    fn a_finding_at_a_line_that_names_a_refused_mount_is_none() {
        use reload_gate_contract::{Code, Place};

        let refused = RefusedMounts(vec!["/usr/share/app".into()]);
        let text = b"a\nload /usr/share/app/x.so\nload /usr/share/app-other\n".to_vec();
        let found = |text: &[u8], line: Option<u32>| {
            let tree: Tree = [(PathBuf::from("/etc/app.conf"), text.to_vec())].into();
            let place = Place { line, ..Place::file("/etc/app.conf") };
            let finding = Finding::error(Code::new("checker-error"), "it is wrong").at(place);
            let findings =
                refused.weigh(Validation { findings: vec![finding], ..Validation::default() }, &tree).findings;
            findings.iter().map(|finding| (finding.code.to_string(), finding.severity)).collect::<Vec<_>>()
        };
        let obstacle = [("not-laid-out".to_owned(), Severity::Error)];
        let both = [("checker-error".to_owned(), Severity::Error), ("not-laid-out".to_owned(), Severity::Warning)];
        assert_eq!(found(&text, Some(2)), obstacle);
        assert_eq!(found(&text, Some(1)), both);
        assert_eq!(found(&text, Some(3)), both, "it is another path");
        assert_eq!(found(&text, None), obstacle, "some line names it");
        assert_eq!(found(b"a\n", None), both, "no line names it");
    }

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
