//! Files and directories that a volume keeps since they cannot be removed. An application that may write its volume can make one that no other
//! program can remove, and that stops no publication.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use reload_gate_contract::{Code, Finding};

const NOT_REMOVED: Code = Code::new("not-removed");

/// Largest number of leftovers that are reported.
const MOST: usize = 16;

/// The leftovers of a volume, each of which is reported once.
#[derive(Default)]
pub(super) struct Leftovers {
    known: BTreeSet<PathBuf>,
    unreported: Vec<Finding>,
}

impl Leftovers {
    /// Notes a path that could not be removed.
    pub(super) fn note(&mut self, path: &Path, error: &io::Error) {
        if self.known.len() < MOST && self.known.insert(path.to_owned()) {
            let message = format!("`{}` was left over, since it cannot be removed: {error}", path.display());
            let help = "remove it; let no other program write into the volume";
            self.unreported.push(Finding {
                cause: reload_gate_contract::Cause::Environment,
                ..Finding::warning(NOT_REMOVED, message).help(help)
            });
        }
    }

    /// Returns the warnings about those that were not reported.
    pub(super) fn take(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.unreported)
    }
}
