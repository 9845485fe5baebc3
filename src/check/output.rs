//! Files that options of `check` name: reports, baselines, settings. IO: reads and writes.
//!
//! A pull request may have put a link in the place of such a file, so one that leads out of the repository is not followed.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

use super::listing::{is_descriptor, leaves_repository};

/// Largest file that is read, in bytes.
const LARGEST: u64 = 16 << 20;

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
/// The error of the file system; also for a link out of the repository, for what is no regular file, and for a file of more than 16 MiB.
pub fn read_option(path: &Path) -> io::Result<String> {
    stays_inside(path)?;
    let file = if is_descriptor(path) { File::open(path)? } else { open_regular(path)? };
    let mut text = String::new();
    file.take(LARGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("it has more than {} MiB", LARGEST >> 20)));
    }
    Ok(text)
}

/// Opens a regular file. That of a FIFO would block until there is a writer, and a device has no end.
fn open_regular(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.union(OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if kind.is_file() { Ok(file) } else { Err(io::Error::other("it is a FIFO, socket or device")) }
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
    fn only_regular_files_of_a_bounded_size_are_read() {
        let place = tempfile::tempdir().expect("there is room");
        let path = |name: &str| place.path().join(name);
        let error = |name: &str| read_option(&path(name)).expect_err("it is refused").to_string();
        std::fs::write(path("small"), "a").expect("there is room");
        assert_eq!(read_option(&path("small")).expect("it is there"), "a");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            path("fifo"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .expect("there is room");
        assert_eq!(error("fifo"), "it is a FIFO, socket or device");
        std::os::unix::fs::symlink("/dev/zero", path("zero")).expect("there is room");
        assert_eq!(error("zero"), "it is a FIFO, socket or device");
        File::create(path("large")).and_then(|file| file.set_len(LARGEST + 1)).expect("there is room");
        assert_eq!(error("large"), "it has more than 16 MiB");
        // In a repository a link that leads out of it is not followed.
        std::fs::create_dir_all(path("repository/.git")).expect("there is room");
        std::os::unix::fs::symlink("../small", path("repository/link")).expect("there is room");
        assert!(error("repository/link").contains("a link out of the repository"));
    }
}
