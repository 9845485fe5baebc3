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
        let named = paths.iter().map(Path::new).filter(|path| *path != Path::new(STDIN) && !is_descriptor(path));
        let places = named.filter_map(|path| {
            let real = path.canonicalize().ok()?;
            let directory = if real.is_dir() { real.as_path() } else { real.parent()? };
            let is_own = directory.parent().is_some() && home != Some(directory);
            repository(directory).map(Path::to_owned).or_else(|| is_own.then(|| directory.to_owned()))
        });
        Self(places.collect())
    }

    /// Returns true for a directory of the search path that lies there, or is relative to the working directory.
    #[must_use]
    pub fn hold(&self, directory: &Path) -> bool {
        let real = directory.canonicalize();
        let is_below = |path: &Path| self.0.iter().any(|place| path.starts_with(place));
        !directory.is_absolute() || is_below(directory) || real.is_ok_and(|real| is_below(&real))
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
        let held = |input: &str, directory: &str| {
            let input = here.join(input).display().to_string();
            InputPlaces::of(&["-".to_owned(), input], Some(&here.join("home"))).hold(&here.join(directory))
        };
        for (input, directory, expected) in [
            ("repository/conf", "repository/bin", true),
            ("repository/conf", "link", true),
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
