//! Fingerprint of a finding, by which later runs recognise it.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::{CheckSubject, Located};

/// Fingerprints of the findings of one report, of which no two are the same.
#[derive(Debug, Default)]
pub(crate) struct Fingerprints(HashMap<String, usize>);

impl Fingerprints {
    /// Returns the fingerprint of the next finding of the report. Of several with the same line each has its number.
    pub(crate) fn next(&mut self, subject: &CheckSubject, located: &Located) -> String {
        let print = fingerprint(subject, located, &plain_path(&located.place(subject).file));
        let times = self.0.entry(print.clone()).or_default();
        *times += 1;
        format!("{print}:{times}")
    }
}

/// Returns a path without `.`, repeated slashes and those `..` that lead back, so that a file has one name.
pub(crate) fn plain_path(path: &str) -> String {
    let mut plain = PathBuf::new();
    for step in Path::new(path).components() {
        match step {
            Component::CurDir => {}
            Component::ParentDir if matches!(plain.components().next_back(), Some(Component::Normal(_))) => {
                plain.pop();
            }
            // The parent of the root is the root (path_resolution(7)).
            Component::ParentDir if plain.has_root() => {}
            step => plain.push(step),
        }
    }
    plain.display().to_string()
}

/// Returns a hash of a finding that stays the same while lines above it come and go. Values of Secrets have no excerpt, and so are not
/// in it.
pub(crate) fn fingerprint(subject: &CheckSubject, located: &Located, file: &str) -> String {
    let line = located.excerpt.as_ref().and_then(|excerpt| {
        let before = excerpt.text.get(..excerpt.mark.start)?.matches('\n').count();
        excerpt.text.lines().nth(before)
    });
    // Numbers in a message are mostly of lines, processes and versions.
    let message = located.finding.message.replace(|c: char| c.is_ascii_digit(), "");
    let text = line.unwrap_or(&message);
    let mut hash = Sha256::new();
    let (object, key) = located.part(subject);
    for part in [Some(located.finding.code.as_str()), Some(file), object, key, Some(text.trim())] {
        hash.update(part.unwrap_or_default());
        hash.update([0]);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
