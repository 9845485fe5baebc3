//! Decisions of the state machine as debug lines of the log (`--log-level debug`). They have names and digests, and no contents.

use crate::gate::{Effect, Extent, Gate, Input};

/// Returns the name of an input, with its outcome.
pub(super) fn input(input: &Input) -> &'static str {
    match input {
        Input::WatchEvent(_) => "a source changed",
        Input::Degraded { .. } => "events are unavailable",
        Input::Rescan => "a scan was requested",
        Input::WatchRestored => "events are available again",
        Input::Scanned(Ok(_)) => "scanned",
        Input::Scanned(Err(_)) => "scan failed",
        Input::Validated(Ok(_)) => "validated",
        Input::Validated(Err(_)) => "no target for the validation",
        Input::Published(Ok(_)) => "published",
        Input::Published(Err(_)) => "publication failed",
        Input::Reloaded(Ok(_)) => "reload requested",
        Input::Reloaded(Err(_)) => "reload failed",
        Input::Compared(None) => "what is published is unchanged",
        Input::Compared(Some(_)) => "what is published was changed",
        Input::Kept { result: Ok(()), .. } => "kept as the last-known-good revision",
        Input::Kept { .. } => "not kept as the last-known-good revision",
        Input::Verified(_) => "verification ended",
        Input::TargetLost { .. } => "the target ended or was replaced",
        Input::TargetFound(Ok(_)) => "target found",
        Input::TargetFound(Err(_)) => "no target found",
        Input::Permit { .. } => "the group permits a reload",
        Input::Hold { .. } => "the group lets a revision wait",
        Input::Refuse { .. } => "the group refuses a revision",
        Input::FellBack(Ok(Some(_))) => "the known-good revision is published",
        Input::FellBack(_) => "no known-good revision",
        Input::Tick => "a deadline is over",
        Input::Stop => "stop requested",
    }
}

/// Writes what follows from an input.
pub(super) fn log(gate: &str, input: &'static str, state: &Gate, effects: &[Effect]) {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let digest = |revision: Option<&crate::flow::tree::Revision>| {
        revision.map_or_else(|| "unknown".to_owned(), |revision| revision.digest().short())
    };
    let next: Vec<_> = effects.iter().map(effect).collect();
    let next = if next.is_empty() { "nothing to do".to_owned() } else { next.join(", ") };
    let (desired, running) = (digest(state.desired()), digest(state.running()));
    tracing::debug!(gate, desired, running, "{input}: {next}");
}

fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Scan(Extent::Whole) => "scan".into(),
        Effect::Scan(Extent::Newest) => "scan the newest generation".into(),
        Effect::FallBack { .. } => "publish the known-good revision of the cluster".into(),
        Effect::Validate(digest) => format!("validate {}", digest.short()),
        Effect::Publish(digest) => format!("publish {}", digest.short()),
        Effect::ComparePublication => "compare what is published".into(),
        Effect::Reload(_) => "reload".into(),
        Effect::Verify { .. } => "verify".into(),
        Effect::Abandon => "end the late verification".into(),
        Effect::FindTarget => "find the target".into(),
        Effect::CheckTarget => "check the target".into(),
        Effect::Keep(digest) => format!("keep {}", digest.short()),
        Effect::Count(verdict) => format!("count {}", verdict.as_str()),
        Effect::Report(event) => format!("report {}", event.kind.as_str()),
        Effect::Finish => "finish".into(),
    }
}
