//! Entries without content that the configuration includes. Pure, on what was read.
//!
//! nginx does not start with a link that leads nowhere, or with a directory, among the files that it includes. So such an entry is a change
//! of the configuration as a file is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::SourceReader;
use crate::flow::snapshot::litter::Reads;
use crate::flow::tree::EntryWithoutContent;

impl SourceReader<'_> {
    /// Lets those count. A copy that the application reads does not have them; `--include` decides alone.
    pub(super) fn include_entries(&mut self) {
        if self.options.is_copied || self.options.selection.is_limited() {
            return;
        }
        let entries = self.tree.without_content().iter();
        // Of links that leave the sources the name and the target count.
        let entries = entries.filter(|(name, _)| !self.tree.links().contains_key(*name));
        let entries: Vec<(PathBuf, EntryWithoutContent)> =
            entries.map(|(name, entry)| (name.clone(), *entry)).collect();
        if entries.is_empty() {
            return;
        }
        // A directory may be named for anything.
        let named = entries.iter().filter(|(_, entry)| *entry == EntryWithoutContent::DanglingLink);
        let names: BTreeSet<String> =
            named.filter_map(|(name, _)| name.file_name()?.to_str().map(str::to_owned)).collect();
        let reads = Reads::of_includes(&self.tree, &names);
        for (name, _) in entries {
            if reads.match_of(&self.shown(&name)) {
                self.tree.include(name);
            }
        }
    }

    /// Returns the path of an entry for the application.
    fn shown(&self, name: &Path) -> PathBuf {
        match self.sources {
            [source] => source.mount.join(name),
            // With several sources a name is that path.
            _ => name.into(),
        }
    }
}
