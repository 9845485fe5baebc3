//! Scans of the sources beside the event loop: a file system that does not answer holds up one gate alone.

use std::path::PathBuf;
use std::time::Duration;

use reload_gate_contract::{Code, Finding};

use crate::config::GateConfig;
use crate::flow::snapshot::{Scanner, Snapshot, SnapshotError};
use crate::flow::watch::{Coverage, Mode, Watch, WatchEvent};
use crate::gate::{Extent, Input};
use crate::sys::promise::GOES_ON;
use crate::sys::worker::{self, Work, WorkError, WorkKind};

use super::redaction;

/// The number of scans in a row while each finds more directories to watch.
const SCANS: usize = 3;

const SCAN_TIMEOUT: Code = Code::new("scan-timeout");

/// The sources of a gate, and the watch over them. A scan takes both to its thread.
pub(super) enum Sources {
    /// Between two scans.
    Idle(Box<WatchedSources>),
    /// With a scan that did not end in time.
    Busy(Work<(Box<WatchedSources>, ScanOutcome)>),
}

/// A scanner and a watch.
pub(super) struct WatchedSources {
    watch: Watch,
    scanner: Scanner,
    config: GateConfig,
    /// For each source: true if its files may be those of a Secret, by the last scan of everything.
    secret: Vec<bool>,
}

/// The outcome of a scan.
pub(super) struct ScanOutcome {
    /// Reports of the watch.
    pub(super) inputs: Vec<Input>,
    /// The tree, or the reason why there is none.
    pub(super) result: Result<Snapshot, SnapshotError>,
    /// The files of the tree that may be those of Secrets.
    pub(super) secret: Vec<PathBuf>,
    /// The means by which changes are noticed.
    pub(super) mode: Mode,
}

impl Sources {
    pub(super) fn new(config: &GateConfig) -> Self {
        let scanner = Scanner::new(config.sources.clone(), config.reading.clone());
        Self::Idle(Box::new(WatchedSources {
            watch: Watch::new(),
            scanner,
            config: config.clone(),
            secret: Vec::new(),
        }))
    }

    /// Waits for a change. During a scan there is none: the events wait for its end.
    pub(super) async fn event(&self) -> WatchEvent {
        match self {
            Self::Idle(sources) => sources.watch.event().await,
            Self::Busy(_) => std::future::pending().await,
        }
    }

    /// Reads the newest generations of the sources, if the kernel has all of them in memory.
    pub(super) fn newest(&mut self) -> Option<ScanOutcome> {
        match self {
            Self::Idle(sources) => sources.newest(Scanner::newest_at_once),
            Self::Busy(_) => None,
        }
    }

    /// Reads the generations that are known as if they were new.
    pub(super) fn rehearse(&mut self) -> Option<Snapshot> {
        match self {
            Self::Idle(sources) => sources.newest(|scanner| scanner.rehearse()).and_then(|outcome| outcome.result.ok()),
            Self::Busy(_) => None,
        }
    }

    /// Reads the sources, and watches every directory in which a later change would show. A scan that does not end in time goes on; its
    /// result is not used, since it may be old.
    pub(super) async fn scan(self, extent: Extent, limit: Duration) -> (Self, Result<ScanOutcome, Finding>) {
        let sources = match self {
            Self::Idle(sources) => sources,
            Self::Busy(mut work) => match work.result(limit).await {
                Ok((sources, _)) => sources,
                Err(error) => return (Self::Busy(work), Err(unanswered(error, limit))),
            },
        };
        let mut work = worker::begin(WorkKind::Files, move || sources.scan(extent));
        match work.result(limit).await {
            Ok((sources, outcome)) => (Self::Idle(sources), Ok(outcome)),
            Err(error) => (Self::Busy(work), Err(unanswered(error, limit))),
        }
    }
}

impl WatchedSources {
    fn scan(mut self: Box<Self>, extent: Extent) -> (Box<Self>, ScanOutcome) {
        let newest = if extent == Extent::Newest { self.newest(Scanner::newest_in_time) } else { None };
        let outcome = newest.unwrap_or_else(|| self.whole());
        (self, outcome)
    }

    fn newest(&mut self, read: impl FnOnce(&mut Scanner) -> Option<Snapshot>) -> Option<ScanOutcome> {
        if self.config.rendering.is_some() || self.watch.mode() == Mode::Poll {
            return None;
        }
        let snapshot = read(&mut self.scanner)?;
        let secret = redaction::secret_among(&self.config, &self.secret, &snapshot.tree);
        Some(ScanOutcome { inputs: Vec::new(), secret, mode: Mode::Inotify, result: Ok(snapshot) })
    }

    fn whole(&mut self) -> ScanOutcome {
        let mut inputs = Vec::new();
        let mut scan = self.scanner.scan();
        for _ in 1..SCANS {
            match self.watch.cover(std::mem::take(&mut scan.watch_points)) {
                Coverage::Unchanged => break,
                Coverage::Degraded(message) => inputs.push(Input::Degraded { message, polling: true }),
                Coverage::Restored => inputs.push(Input::WatchRestored),
                // What changed between the scan and the beginning of the watch was missed.
                Coverage::Extended => {}
            }
            scan = self.scanner.scan();
        }
        let render = |snapshot| match &self.config.rendering {
            Some(rendering) => rendering.render(snapshot),
            None => Ok(snapshot),
        };
        let result = scan.result.and_then(render);
        self.secret = redaction::secret_sources(&self.config);
        let secret =
            result.as_ref().map(|snapshot| redaction::secret_among(&self.config, &self.secret, &snapshot.tree));
        ScanOutcome { inputs, secret: secret.unwrap_or_default(), mode: self.watch.mode(), result }
    }
}

/// The finding that the sources could not be read in time.
fn unanswered(error: WorkError, limit: Duration) -> Finding {
    let limit = humantime::format_duration(limit);
    match error {
        WorkError::TimedOut => {
            let message = format!("the sources could not be read within {limit}");
            let help = format!("see whether their file system answers (`stat` on the watched paths); {GOES_ON}");
            Finding::environment(SCAN_TIMEOUT, message).help(help)
        }
        WorkError::NotDone => {
            let message = format!("the sources could not be read: no thread was free within {limit}");
            let help = "raise the limit of processes of this pod or service: threads count in it";
            Finding::environment(SCAN_TIMEOUT, message).help(help)
        }
    }
}
