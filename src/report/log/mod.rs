//! The log: events of the gates, and on request (`--log-level`) spans and decisions. IO: writes to standard error.
//!
//! An event is one event of `tracing` with the target [`EVENTS`]. Layers render it as text or JSON. A thread that is made at the
//! start writes the lines, so that a reader of standard error that stalls never delays a gate: what does not fit into the bounded
//! queue is dropped and counted, and so is a line that standard error does not take.

mod layer;
mod line;
mod queue;
mod text;

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use tracing_subscriber::filter::{EnvFilter, FilterExt as _, ParseError, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, Registry};

use super::{Event, Kind, Level};

use layer::{DebugLayer, EventLayer, WriteLine};
use line::Line;
use queue::LogQueue;

pub(crate) use line::milliseconds;
pub use queue::Dropped;
pub(crate) use text::{is_control, visible};

/// The target of the events of the gates.
pub const EVENTS: &str = "reload_gate::event";

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one object a line.
    Json,
}

/// The log of the process. Dropping it writes what waits, for at most a second.
pub struct Log {
    queue: LogQueue,
}

impl Log {
    /// Starts to write events as `format`, and the spans and decisions that `filter` selects. `gate` is named in the line that
    /// counts dropped lines.
    ///
    /// # Errors
    /// When the thread that writes cannot be made.
    pub fn start(format: LogFormat, filter: EnvFilter, gate: &str) -> io::Result<Self> {
        let gate = gate.to_owned();
        let queue = LogQueue::start(move |count| {
            let event = missing(count);
            let line = Line::of(&gate, &event).at(SystemTime::now());
            match format {
                LogFormat::Text => text::event(&line),
                LogFormat::Json => line::json(&line),
            }
        })?;
        let output: WriteLine = {
            let queue = queue.clone();
            Arc::new(move |line| queue.push(line))
        };
        // A second log in one process would be a bug of the caller; the first one goes on.
        let _ = tracing::subscriber::set_global_default(subscriber(format, filter, output));
        Ok(Self { queue })
    }

    /// The counter of the lines that were dropped since standard error did not take them.
    #[must_use]
    pub fn dropped(&self) -> Dropped {
        self.queue.dropped()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.queue.flush();
    }
}

/// Parses `--log-level`: the syntax of `RUST_LOG` (`tracing_subscriber::EnvFilter`). Nothing means no spans and no decisions.
///
/// # Errors
/// When the text is not a filter.
pub fn filter(text: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().parse(if text.is_empty() { "off" } else { text })
}

fn subscriber(format: LogFormat, filter: EnvFilter, output: WriteLine) -> impl tracing::Subscriber + Send + Sync {
    let events = EventLayer { format, output: output.clone() }.with_filter(filter_fn(|of| of.target() == EVENTS));
    // The client of Kubernetes logs answers that it cannot read, which may be Secrets.
    let others = filter_fn(|of| of.target() != EVENTS && !of.target().starts_with("kube_client"));
    let debug = DebugLayer { format, output }.with_filter(filter.and(others));
    Registry::default().with(events).with(debug)
}

fn missing(count: u64) -> Event {
    let help = "read standard error faster, or free space where it is written to; `reload_gate_log_lines_dropped_total` counts the lines that \
                are missing here";
    Event::new(Kind::AlertFailed)
        .message(format!("{count} log lines were dropped: standard error did not take them"))
        .help(Some(help.into()))
}

/// Writes an event of the gate called `gate`.
pub fn write(gate: &str, event: &Event) {
    // The level of a callsite of `tracing` is a constant.
    macro_rules! write_at {
        ($level:ident, $line:ident) => {
            tracing::event!(
                target: EVENTS,
                tracing::Level::$level,
                event = &*$line.event,
                gate = &*$line.gate,
                message = $line.message.as_deref(),
                help = $line.help.as_deref(),
                digest = $line.digest.as_deref(),
                previous = $line.previous.as_deref(),
                changed = (!$line.changed.is_empty()).then(|| line::json(&$line.changed)),
                changed_left_out = $line.changed_left_out,
                findings = (!$line.findings.is_empty()).then(|| line::json(&$line.findings)),
                findings_left_out = $line.findings_left_out,
                diff = $line.diff.as_deref(),
                duration_ms = $line.duration_ms,
                pid = $line.pid,
                signal = $line.signal.as_deref(),
            )
        };
    }
    let line = Line::of(gate, event);
    match event.level {
        Level::Info => write_at!(INFO, line),
        Level::Warn => write_at!(WARN, line),
        Level::Error => write_at!(ERROR, line),
    }
}

/// An event as the log has it.
#[must_use]
pub fn object(gate: &str, event: &Event, at: SystemTime) -> serde_json::Value {
    serde_json::to_value(Line::of(gate, event).at(at)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
