//! Sources that do not exist. IO: lists directories.

use std::ffi::OsStr;
use std::path::Path;

use reload_gate_contract::Finding;

use super::{DATA, MISSING_SOURCE, SourceReader};
use crate::flow::snapshot::Source;
use crate::sys::promise::WAITS;
use crate::sys::suggest::nearest;

impl SourceReader<'_> {
    /// Reports a source that does not exist; in the middle of a volume's update it may appear in an instant.
    pub(super) fn missing(&mut self, source: &Source) {
        let (parent, file) = (source.path.parent(), source.path.file_name());
        let mut help = format!("check `--watch` against the volume mounts of this container; {WAITS}");
        if let (Some(parent), Some(file)) = (parent, file) {
            if parent.join(DATA).is_symlink() {
                self.watch_points.volume(parent);
                self.settled &= !(source.path.is_symlink() || parent.join(DATA).join(file).exists());
            }
            if let Some(there) = names_in(parent) {
                help = format!("{}; {WAITS}", beside(file, &there));
            }
        }
        let finding = Finding::environment(MISSING_SOURCE, format!("`{}` does not exist", source.path.display()));
        self.findings.push(finding.help(help));
    }
}

/// Returns the names of the visible files in a directory, if there is one.
fn names_in(directory: &Path) -> Option<Vec<String>> {
    let entries = std::fs::read_dir(directory).ok()?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    Some(names.filter(|name| !name.starts_with("..")).collect())
}

/// Returns a remedy for a file that is missing among others.
fn beside(file: &OsStr, there: &[String]) -> String {
    const SHOWN: usize = 5;
    match nearest(&file.to_string_lossy(), there.iter().map(String::as_str)) {
        Some(name) => format!("did you mean `{name}`, which is there?"),
        None if there.is_empty() => "check the volume's source: the directory is there, and is empty".into(),
        None => {
            let mut names: Vec<_> = there.iter().map(|name| format!("`{name}`")).collect();
            names.sort();
            let more = names.len().saturating_sub(SHOWN);
            names.truncate(SHOWN);
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            format!("check the name and the volume's keys: {}{more} are there", names.join(", "))
        }
    }
}
