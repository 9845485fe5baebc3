//! Fingerprint of a finding, by which later runs recognise it.

use sha2::{Digest as _, Sha256};

use super::{CheckSubject, Located};

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
