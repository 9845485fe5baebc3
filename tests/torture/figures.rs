//! The figures of a run, and the report of a violation.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::holdings::Holdings;

/// The figures of one scenario, or of several.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) updates: u64,
    pub(crate) rests: u64,
    pub(crate) requests: u64,
    pub(crate) events: u64,
    pub(crate) longest_gap_ms: u64,
    pub(crate) longest_wait: Duration,
    /// Temporary files that gates left behind when they were killed.
    pub(crate) left_behind: u64,
    /// The number of each fault.
    pub(crate) faults: BTreeMap<&'static str, u64>,
    /// The holdings of the gate that made most updates, at its begin and end.
    pub(crate) longest_life: Option<Life>,
}

/// The resources of one gate process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    pub(crate) updates: u64,
    pub(crate) begin: Holdings,
    pub(crate) end: Holdings,
}

impl Figures {
    /// Adds the figures of another scenario.
    pub(crate) fn add(&mut self, other: Self) {
        self.updates += other.updates;
        self.rests += other.rests;
        self.requests += other.requests;
        self.events += other.events;
        self.longest_gap_ms = self.longest_gap_ms.max(other.longest_gap_ms);
        self.longest_wait = self.longest_wait.max(other.longest_wait);
        self.left_behind += other.left_behind;
        for (fault, count) in other.faults {
            *self.faults.entry(fault).or_default() += count;
        }
        other.longest_life.into_iter().for_each(|life| self.add_life(life));
    }

    pub(crate) fn add_life(&mut self, life: Life) {
        if self.longest_life.is_none_or(|longest| life.updates > longest.updates) {
            self.longest_life = Some(life);
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: Vec<_> = self.faults.iter().map(|(fault, count)| format!("{fault} {count}")).collect();
        write!(
            f,
            "{} updates, {} rests, {} requests, {} events; longest gap {} ms, longest wait for rest {:.1} s",
            self.updates,
            self.rests,
            self.requests,
            self.events,
            self.longest_gap_ms,
            self.longest_wait.as_secs_f64()
        )?;
        write!(f, "\n  faults: {}; {} temporary files left by killed gates", faults.join(", "), self.left_behind)?;
        if let Some(Life { updates, begin, end }) = self.longest_life {
            write!(
                f,
                "\n  one gate over {updates} updates: {} to {} KiB, {} to {} descriptors, {} to {} threads",
                begin.resident_kib, end.resident_kib, begin.descriptors, end.descriptors, begin.threads, end.threads
            )?;
        }
        Ok(())
    }
}
