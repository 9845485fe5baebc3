//! Compiled Python that hides a change of its source. IO: reads the files beside the sources.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::Proof;

/// The directory of compiled files (PEP 3147).
const DIRECTORY: &str = "__pycache__";
/// Length of the header of a compiled file (PEP 552).
const HEADER: usize = 16;

/// Returns the first of these files, which have changed, whose change Python does not see, as a proof that it is not in effect.
///
/// Python takes a compiled file if the time in seconds and the size in its header are those of the source
/// (`_validate_timestamp_pyc()` in `Lib/importlib/_bootstrap_external.py`). Archives, images and `rsync -t` set times of their own.
#[must_use]
pub fn hidden_change(files: &[PathBuf]) -> Option<Proof> {
    let (file, compiled) = files.iter().find_map(|file| Some((file, older_compiled(file)?)))?;
    Some(Proof::Ineffective {
        message: format!(
            "the change of `{}` is not in effect: Python takes the older `{}`, since the time and the size in it are those of the file",
            file.display(),
            compiled.display()
        ),
        help: "remove the compiled file, and restart the application; to prevent it, give a changed file a new time, or start the \
               application with `PYTHONDONTWRITEBYTECODE=1`"
            .into(),
    })
}

/// The compiled file that Python takes for `file`, if that was put in place later.
fn older_compiled(file: &Path) -> Option<PathBuf> {
    let (source, stem) = (std::fs::metadata(file).ok()?, file.file_stem()?.to_str()?);
    let entries = std::fs::read_dir(file.parent()?.join(DIRECTORY)).ok()?;
    let names = entries.flatten().map(|entry| entry.path());
    let is_of_file = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.strip_prefix(stem).is_some_and(|rest| rest.starts_with('.') && rest.ends_with(".pyc"))
    };
    names.filter(is_of_file).find(|path| hides(path, &source) == Some(true))
}

fn hides(compiled: &Path, source: &Metadata) -> Option<bool> {
    let mut file = File::open(compiled).ok()?;
    let mut header = [0; HEADER];
    file.read_exact(&mut header).ok()?;
    let number = |at: usize| header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    // Both are cut to 32 bits. With a flag the header has a hash of the source in their place.
    let [time, size] = [source.mtime().cast_unsigned(), source.size()].map(|value| value & u64::from(u32::MAX));
    let fits = number(4)? == 0 && u64::from(number(8)?) == time && u64::from(number(12)?) == size;
    let put_in_place = |metadata: &Metadata| (metadata.ctime(), metadata.ctime_nsec());
    Some(fits && put_in_place(&file.metadata().ok()?) < put_in_place(source))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    /// A source of this time, which is put in place just now.
    fn write(source: &Path, text: &str, time: u64) {
        let next = source.with_extension("next");
        std::fs::write(&next, text).expect("there is room");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(time);
        File::open(&next).and_then(|file| file.set_modified(time)).expect("it is ours");
        std::fs::rename(next, source).expect("there is room");
    }

    fn compiled(directory: &Path, flags: u32, time: u32, size: u32) {
        let header = [0x0a0d_0da7_u32, flags, time, size].map(u32::to_le_bytes).concat();
        std::fs::write(directory.join("__pycache__/conf.cpython-311.pyc"), header).expect("there is room");
    }

    #[test]
    fn an_older_compiled_file_hides_a_source_of_its_time_and_size() {
        let directory = tempfile::tempdir().expect("there is room");
        let here = directory.path();
        std::fs::create_dir(here.join("__pycache__")).expect("there is room");
        let source = here.join("conf.py");
        // Each case: flags, time and size in the header, and whether it hides.
        for (flags, time, size, expected) in
            [(0, 100, 3, true), (0, 101, 3, false), (0, 100, 4, false), (1, 100, 3, false)]
        {
            compiled(here, flags, time, size);
            let before = std::fs::metadata(here.join("__pycache__/conf.cpython-311.pyc")).expect("it is there");
            // The clock of a file system has a resolution of some milliseconds.
            loop {
                write(&source, "two", 100);
                let after = std::fs::metadata(&source).expect("it is there");
                if (before.ctime(), before.ctime_nsec()) < (after.ctime(), after.ctime_nsec()) {
                    break;
                }
            }
            let found = hidden_change(std::slice::from_ref(&source));
            assert_eq!(found.is_some(), expected, "{flags} {time} {size}");
        }
        // What Python has compiled of this very content is younger.
        compiled(here, 0, 100, 3);
        assert_eq!(hidden_change(&[source]), None);
    }
}
