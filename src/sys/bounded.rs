//! Files of settings: the configuration file, a schema, a preset, a baseline. IO: reads a regular file of a limited size.
//!
//! Such a file may lie in a repository, where a pull request can put a link to a device or a FIFO in its place.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};

use super::regular::{self, RegularFile};

/// Largest file in bytes.
const LARGEST: u64 = 16 << 20;

/// Reads a text from a regular file of at most 16 MiB.
///
/// # Errors
/// When it cannot be read, is no regular file, is larger, or is not UTF-8.
pub fn read_to_string(path: &Path) -> io::Result<String> {
    let opened = rustix::fs::open(path, regular::FLAGS, Mode::empty())?;
    // What a shell passes as `<(command)` is a pipe, which the user of the command made.
    let is_passed = ["/dev/fd", "/dev/stdin", "/proc/self/fd"].iter().any(|passed| path.starts_with(passed));
    let file = if is_passed {
        rustix::fs::fcntl_setfl(&opened, OFlags::empty())?;
        File::from(opened)
    } else {
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&opened)?.st_mode);
        let is_directory = || if kind.is_dir() { io::ErrorKind::IsADirectory.into() } else { no_regular_file() };
        RegularFile::of(opened)?.ok_or_else(is_directory)?.file
    };
    let mut text = String::new();
    file.take(LARGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {} MiB", LARGEST >> 20)));
    }
    Ok(text)
}

fn no_regular_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_a_regular_file_of_a_limited_size_is_read() {
        let here = tempfile::tempdir().expect("there is room");
        let at = |name: &str| here.path().join(name);
        let error = |name: &str| read_to_string(&at(name)).expect_err("it is not read").to_string();
        fs::write(at("file"), "text").and_then(|()| symlink("file", at("link"))).expect("there is room");
        assert_eq!(read_to_string(&at("file")).expect("it is there"), "text");
        assert_eq!(read_to_string(&at("link")).expect("it is there"), "text");
        symlink("/dev/zero", at("zero")).expect("there is room");
        assert_eq!(error("zero"), "it is no regular file");
        rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), FileType::Fifo, 0o600.into(), 0).expect("room");
        assert_eq!(error("fifo"), "it is no regular file");
        File::create(at("large")).and_then(|file| file.set_len(LARGEST + 1)).expect("there is room");
        assert_eq!(error("large"), "it is larger than 16 MiB");
    }
}
