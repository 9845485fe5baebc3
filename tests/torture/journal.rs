//! The log of one gate, as it is read: the last lines, and the open incident that they add up to.

use std::collections::VecDeque;

use serde_json::Value;

/// The number of lines that a violation shows.
const LAST: usize = 25;
/// The characters of each.
const LENGTH: usize = 400;
/// The events that open an incident.
const INCIDENTS: [&str; 6] = ["rejected", "inconclusive", "unverified", "target_missing", "target_refused", "deferred"];

/// An open incident.
#[derive(Debug)]
struct Open {
    event: String,
    digest: String,
    message: String,
}

impl Open {
    /// Without a digest (nothing could be read), the message names the reason.
    fn is_same(&self, other: &Self) -> bool {
        let same_reason = !self.digest.is_empty() || self.message == other.message;
        self.event == other.event && self.digest == other.digest && same_reason
    }
}

/// The log of one gate process.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    last: VecDeque<String>,
    open: Option<Open>,
    pub(crate) stopped: bool,
    pub(crate) events: u64,
    /// Lines were dropped, so that the incident is not known.
    pub(crate) incomplete: bool,
    violations: Vec<String>,
}

impl Journal {
    /// Takes in a line.
    pub(crate) fn read(&mut self, line: &str) {
        self.last.push_back(line.chars().take(LENGTH).collect());
        if self.last.len() > LAST {
            self.last.pop_front();
        }
        match serde_json::from_str::<Value>(line) {
            Ok(event) => self.follow(&event),
            Err(_) => self.violations.push(format!("a line of the log is no event: {line}")),
        }
    }

    fn follow(&mut self, event: &Value) {
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        let name = text("event");
        self.events += 1;
        self.stopped |= name == "stopped";
        self.incomplete |= text("message").ends_with("log lines were dropped: standard error did not take them");
        if INCIDENTS.contains(&name.as_str()) {
            let open = Open { event: name, digest: text("digest"), message: text("message") };
            if !self.incomplete && self.open.as_ref().is_some_and(|before| before.is_same(&open)) {
                self.violations.push(format!("an open incident was reported again: {open:?}"));
            }
            self.open = Some(open);
        } else if name == "restored" {
            // The same incident; the status names it by its newest event.
            self.open.iter_mut().for_each(|open| open.event.clone_from(&name));
        } else if name == "recovered" && self.open.take().is_none() && !self.incomplete {
            self.violations.push(format!("`recovered` without an open incident: {event}"));
        }
    }

    /// The event of the open incident.
    pub(crate) fn open(&self) -> Option<&str> {
        self.open.as_ref().map(|open| open.event.as_str())
    }

    /// The violations since the last call.
    pub(crate) fn violations(&mut self) -> Vec<String> {
        std::mem::take(&mut self.violations)
    }

    /// The last lines.
    pub(crate) fn tail(&self) -> String {
        self.last.iter().map(|line| format!("    {line}\n")).collect()
    }
}
