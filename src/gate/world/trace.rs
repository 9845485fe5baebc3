//! The trace of a simulated world, and its text.

use std::time::Duration;

use super::SimulatedWorld;
use crate::flow::tree::Digest;
use crate::report::Event;

/// An action of the gate and its time.
#[derive(Clone, Debug)]
pub(in crate::gate) struct TraceEntry {
    pub(in crate::gate) at: Duration,
    pub(in crate::gate) what: What,
}

#[derive(Clone, Debug)]
pub(in crate::gate) enum What {
    Scan,
    Validate(Digest),
    Publish(Digest),
    Compare,
    Keep(Digest),
    Reload(Digest),
    Verify,
    Seek,
    FallBack,
    Report(Event),
    Finish,
}

impl SimulatedWorld {
    /// The trace as text, one line a thing.
    pub(in crate::gate) fn story(&self) -> String {
        let line = |did: &TraceEntry| {
            let what = match &did.what {
                What::Scan => "scan".to_owned(),
                What::Validate(digest) => format!("validate {digest:?}"),
                What::Publish(digest) => format!("publish {digest:?}"),
                What::Compare => "compare".to_owned(),
                What::Keep(digest) => format!("keep {digest:?}"),
                What::Reload(digest) => format!("reload {digest:?}"),
                What::Verify => "verify".to_owned(),
                What::Seek => "seek".to_owned(),
                What::FallBack => "fall back".to_owned(),
                What::Finish => "finish".to_owned(),
                What::Report(event) => {
                    let message = event.message.as_deref().map_or_else(String::new, |message| format!(": {message}"));
                    format!("  report {}{message}", event.kind.as_str())
                }
            };
            format!("{:>9} {what}\n", format!("{:?}", did.at))
        };
        // A poll that finds nothing new leaves a lone scan in the trace.
        let is_scan = |did: Option<&TraceEntry>| did.is_some_and(|did| matches!(did.what, What::Scan));
        let lines = self.trace.iter().enumerate();
        lines
            .filter(|(at, did)| !is_scan(Some(did)) || !is_scan(self.trace.get(at + 1)))
            .map(|(_, did)| line(did))
            .collect()
    }
}
