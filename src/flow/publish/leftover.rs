//! Files and directories that a volume keeps since they cannot be removed. An application that may write its volume can make one that no other
//! program can remove, and that stops no publication.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use reload_gate_contract::{Code, Finding};

const NOT_REMOVED: Code = Code::new("not-removed");

/// Largest number of leftovers that are reported.
const MOST: usize = 16;

/// The leftovers of a volume, each of which is reported once.
#[derive(Clone, Default)]
pub(super) struct Leftovers(Arc<Mutex<LeftoverState>>);

#[derive(Default)]
struct LeftoverState {
    known: BTreeSet<PathBuf>,
    unreported: Vec<Finding>,
}

impl fmt::Debug for Leftovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Leftovers")
    }
}

/// Volumes are equal if they are at the same path, whatever is left there.
impl PartialEq for Leftovers {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Leftovers {}

impl Leftovers {
    /// Notes a path that could not be removed.
    pub(super) fn note(&self, path: &Path, error: &io::Error) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.known.len() < MOST && state.known.insert(path.to_owned()) {
            let message = format!("`{}` was left over, since it cannot be removed: {error}", path.display());
            let help = "remove it; let no other program write into the volume";
            state.unreported.push(Finding {
                cause: reload_gate_contract::Cause::Environment,
                ..Finding::warning(NOT_REMOVED, message).help(help)
            });
        }
    }

    /// Returns the warnings about those that were not reported.
    pub(super) fn take(&self) -> Vec<Finding> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).unreported)
    }
}
