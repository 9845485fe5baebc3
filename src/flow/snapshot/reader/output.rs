//! Leaves out the output of the program itself. Pure, on what was read.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::SourceReader;
use crate::flow::snapshot::Source;
use crate::flow::snapshot::outputs::NamedSource;
use crate::flow::tree::EntryWithoutContent;

/// Beginnings of names that directories for output have: those are read last, when more of the configuration is known.
const OF_OUTPUT: [&str; 8] = ["cache", "data", "lib", "log", "run", "state", "temp", "tmp"];

/// Returns true for a directory that is read after others.
pub(super) fn is_read_late(name: &str) -> bool {
    OF_OUTPUT.iter().any(|beginning| name.trim_start_matches('.').starts_with(beginning))
}

/// Returns the directories among the sources as a configuration may name them.
pub(super) fn named(sources: &[Source]) -> Vec<NamedSource> {
    let directories = sources.iter().filter(|source| source.path.is_dir());
    let source = |source: &Source| NamedSource {
        name: if sources.len() == 1 { PathBuf::new() } else { source.mount.clone() },
        paths: [Some(source.mount.clone()), Some(source.path.clone()), source.path.canonicalize().ok()]
            .into_iter()
            .flatten()
            .collect(),
    };
    directories.map(source).collect()
}

impl SourceReader<'_> {
    /// Returns true if the configuration that was read so far names this directory for output. `--include` decides alone.
    pub(super) fn is_output_directory(&mut self, name: &Path) -> bool {
        !self.options.selection.is_limited() && self.outputs.is_directory(&self.named, name)
    }

    /// Leaves out the files that the configuration names for output. A volume that a kubelet writes has none.
    pub(super) fn leave_out_outputs(&mut self) {
        if self.options.selection.is_limited() {
            return;
        }
        let matcher = self.outputs.matcher(&self.named);
        let outputs: Vec<PathBuf> = self.plain.keys().filter(|name| matcher.is_match(name)).cloned().collect();
        for name in outputs {
            self.tree.remove(&name);
            self.plain.remove(&name);
            self.in_memory.remove(&name);
            let Some(directory) = name.parent() else { continue };
            // Its time is that of a name that came or went.
            self.times.remove(directory);
            if !directory.as_os_str().is_empty() && !self.tree.keys().any(|file| file.starts_with(directory)) {
                self.tree.note(directory.into(), EntryWithoutContent::Directory);
            }
        }
    }

    /// Returns the time at which the newest part of the configuration was put in place.
    pub(super) fn newest_time(&self) -> SystemTime {
        let files = self.plain.values().filter_map(|file| file.placed);
        files.chain(self.times.values().copied()).fold(self.delivered, SystemTime::max)
    }
}
