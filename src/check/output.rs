//! Files that options of `check` name: reports, baselines, settings. IO: reads and writes.
//!
//! A pull request may have put a link in the place of such a file, so one that leads out of the repository is not followed.

use std::io;
use std::path::Path;

use super::walk::leaves_repository;
use crate::sys::bounded;

/// Writes a text to a file that the user names.
///
/// # Errors
/// The error of the file system; also for a link out of the repository.
pub fn write_output(path: &Path, text: &str) -> io::Result<()> {
    stays_inside(path)?;
    std::fs::write(path, text)
}

/// Reads a file that the user names.
///
/// # Errors
/// As [`bounded::read_to_string`]; also for a link out of the repository.
pub fn read_option(path: &Path) -> io::Result<String> {
    stays_inside(path)?;
    bounded::read_to_string(path)
}

fn stays_inside(path: &Path) -> io::Result<()> {
    let leads_out = |part: &&Path| part.is_symlink() && leaves_repository(part);
    match path.ancestors().find(leads_out) {
        None => Ok(()),
        Some(link) => {
            let message = format!("`{}` is a link out of the repository, which is not followed", link.display());
            Err(io::Error::other(message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_out_of_a_repository_is_not_read() {
        let place = tempfile::tempdir().expect("there is room");
        let path = |name: &str| place.path().join(name);
        std::fs::write(path("small"), "a").expect("there is room");
        assert_eq!(read_option(&path("small")).expect("it is there"), "a");
        std::fs::create_dir_all(path("repository/.git")).expect("there is room");
        std::os::unix::fs::symlink("../small", path("repository/link")).expect("there is room");
        let error = read_option(&path("repository/link")).expect_err("it is refused").to_string();
        assert!(error.contains("a link out of the repository"), "{error}");
    }
}
