//! Directories of the search path among the inputs. IO: follows links, looks for repositories.
//!
//! A pull request that changes the inputs may change the programs there, too.

use std::path::{Path, PathBuf};

use super::input::STDIN;
use super::listing::is_descriptor;
use super::walk::repository;

/// Directories below which no program is executed without permission: those of the inputs, and their repositories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputPlaces(Vec<PathBuf>);

impl InputPlaces {
    /// Returns those of the paths of the command line. The home directory and the root are none by themselves.
    #[must_use]
    pub fn of(paths: &[String], home: Option<&Path>) -> Self {
        let home = home.map(|home| home.canonicalize().unwrap_or_else(|_| home.to_owned()));
        let named = paths.iter().map(Path::new).filter(|path| *path != Path::new(STDIN) && !is_descriptor(path));
        let places = named.filter_map(|path| {
            let real = path.canonicalize().ok()?;
            let directory = if real.is_dir() { real.as_path() } else { real.parent()? };
            let is_own = directory.parent().is_some() && home.as_deref() != Some(directory);
            repository(directory).map(Path::to_owned).or_else(|| is_own.then(|| directory.to_owned()))
        });
        Self(places.collect())
    }

    /// Returns true for a directory of the search path that lies there, links to programs there, or is relative to the working directory.
    #[must_use]
    pub fn hold(&self, directory: &Path) -> bool {
        !directory.is_absolute() || self.are_above(directory) || self.is_led_to(directory) || self.is_linked(directory)
    }

    fn are_above(&self, path: &Path) -> bool {
        self.0.iter().any(|place| path.starts_with(place))
    }

    fn is_led_to(&self, path: &Path) -> bool {
        path.canonicalize().is_ok_and(|real| self.are_above(&real))
    }

    /// Returns true if a link in a directory leads there, as `npm link` makes them.
    fn is_linked(&self, directory: &Path) -> bool {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let links =
            entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink())).map(|entry| entry.path());
        // The other links of a directory of programs lead to their neighbours.
        let leaves = |link: &PathBuf| link.read_link().is_ok_and(|to| to.components().nth(1).is_some());
        !self.0.is_empty() && links.filter(leaves).any(|link| self.is_led_to(&link))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_directory_of_the_search_path_among_the_inputs_is_held() {
        let here = tempfile::tempdir().expect("there is room");
        let here = here.path().canonicalize().expect("it is there");
        for directory in ["repository/.git", "repository/conf", "repository/bin", "home/bin", "tools", "alone/bin"] {
            fs::create_dir_all(here.join(directory)).expect("there is room");
        }
        fs::write(here.join("home/a.conf"), "").expect("there is room");
        symlink("repository/bin", here.join("link")).expect("there is room");
        fs::create_dir(here.join("linked")).expect("there is room");
        symlink("../repository/bin/nginx", here.join("linked/nginx")).expect("there is room");
        fs::write(here.join("repository/bin/nginx"), "").expect("there is room");
        symlink("home", here.join("way-home")).expect("there is room");
        let held = |input: &str, directory: &str| {
            let input = here.join(input).display().to_string();
            InputPlaces::of(&["-".to_owned(), input], Some(&here.join("home"))).hold(&here.join(directory))
        };
        for (input, directory, expected) in [
            ("repository/conf", "repository/bin", true),
            ("repository/conf", "link", true),
            ("repository/conf", "linked", true),
            ("alone", "linked", false),
            ("repository/conf", "tools", false),
            ("alone", "alone/bin", true),
            ("alone", "alone-too/bin", false),
            ("home/a.conf", "home/bin", false),
        ] {
            assert_eq!(held(input, directory), expected, "{input}: {directory}");
        }
        let none = InputPlaces::of(&["/".to_owned()], None);
        assert!(none.hold(Path::new("bin")) && none.hold(Path::new("")), "they depend on the working directory");
        assert!(!none.hold(Path::new("/usr/bin")));
    }
}
