//! Comparison of the tree with the target's files: a command that runs in the target's root validates what lies there, which need
//! not be what the gate has read.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reload_gate_contract::{Code, Finding};

use super::ValidationContext;
use crate::flow::process::Sight;
use crate::sys::worker::{self, WorkKind};

const NOT_WHAT_THE_TARGET_SEES: Code = Code::new("not-what-the-target-sees");

/// Number of comparisons, and the pause between them, until a difference counts as lasting. In a volume that both mount the bytes
/// are the same at once, except on file systems that keep a copy for each.
const LOOKS: usize = 10;
const PAUSE: Duration = Duration::from_millis(100);

/// Returns a finding if the target sees something else than the tree.
pub(super) async fn obstacle(context: &Arc<ValidationContext>) -> Option<Finding> {
    if context.place.target.is_none() || !context.place.other_files {
        return None;
    }
    let mut found = compared(context).await;
    for _ in 1..LOOKS {
        found.as_ref()?;
        tokio::time::sleep(PAUSE).await;
        found = compared(context).await;
    }
    found.map(|(path, sight)| finding(context, &path, sight))
}

/// Compares beside the event loop: the files may lie on a server that does not answer. A comparison that does not end says nothing.
async fn compared(context: &Arc<ValidationContext>) -> Option<(PathBuf, Sight)> {
    let (limit, context) = (context.timeout, context.clone());
    worker::run(WorkKind::Files, limit, move || differing(&context)).await.ok().flatten()
}

/// A path at which the target sees something else than the file of the tree, and what.
///
/// A file that is not there at all may be none of the application's, which can mount some keys of a ConfigMap; unless it is the
/// one to begin with, or there is none of them.
fn differing(context: &ValidationContext) -> Option<(PathBuf, Sight)> {
    let target = context.place.target.as_ref().filter(|_| context.place.other_files)?;
    let main = context.main.as_ref().ok();
    let (mut missing, mut same) = (None, false);
    for (name, content) in &*context.tree {
        let path = context.path_map.path_of(name, true);
        match target.sees(&path, content) {
            Sight::Same => same = true,
            Sight::Unknown => return None,
            // A change in between starts a new validation.
            Sight::Other | Sight::Nothing if !is_still(&context.path_map.path_of(name, false), content) => return None,
            Sight::Nothing if main != Some(name) => missing = missing.or(Some((path, Sight::Nothing))),
            sight => return Some((path, sight)),
        }
    }
    missing.filter(|_| !same)
}

fn is_still(path: &Path, content: &[u8]) -> bool {
    fs::read(path).is_ok_and(|found| found == content)
}

fn finding(context: &ValidationContext, path: &Path, sight: Sight) -> Finding {
    let (pid, shown) = (context.place.pid(), path.display());
    let message = match sight {
        Sight::Nothing => format!("pid {pid} sees nothing at `{shown}`"),
        _ => format!("pid {pid} sees something else at `{shown}`"),
    };
    let help = "what would be judged there is not what the gate has read: mount the same volume in the application, and say where \
                the application sees it: `--mount DIR`";
    Finding::environment(NOT_WHAT_THE_TARGET_SEES, message).help(help)
}
