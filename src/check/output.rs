//! Files that `check` writes. IO: writes.

use std::io;
use std::path::Path;

use super::listing::leaves_repository;

/// Writes a text to a file that the user names. A pull request may have put a link there, so one that leads out of the
/// repository is not followed.
///
/// # Errors
/// The error of the file system; also for such a link.
pub fn write_output(path: &Path, text: &str) -> io::Result<()> {
    let leads_out = |part: &&Path| part.is_symlink() && leaves_repository(part);
    if let Some(link) = path.ancestors().find(leads_out) {
        let message = format!("`{}` is a link out of the repository, which is not followed", link.display());
        return Err(io::Error::other(message));
    }
    std::fs::write(path, text)
}
