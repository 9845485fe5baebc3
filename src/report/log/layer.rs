//! The layers of `tracing` that write log lines: one for events, one for spans and decisions. IO: reads the clock.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::line::{DebugLine, Line, json, milliseconds};
use super::{LogFormat, text};

/// Writes one line.
pub(super) type WriteLine = Arc<dyn Fn(String) + Send + Sync>;

/// Writes the events of the gates.
pub(super) struct EventLayer {
    pub(super) format: LogFormat,
    pub(super) output: WriteLine,
}

impl<S: Subscriber> Layer<S> for EventLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        let mut line = Line { level: level.into(), ..Line::default().at(SystemTime::now()) };
        event.record(&mut line);
        (self.output)(match self.format {
            LogFormat::Text => text::event(&line),
            LogFormat::Json => json(&line),
        });
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let text = || Some(value.to_owned().into());
        match field.name() {
            "event" => self.event = value.to_owned().into(),
            "gate" => self.gate = value.to_owned().into(),
            "message" => self.message = text(),
            "help" => self.help = text(),
            "digest" => self.digest = Some(value.to_owned()),
            "previous" => self.previous = Some(value.to_owned()),
            // Lists are fields in JSON: a field of `tracing` is one value.
            "changed" => self.changed = serde_json::from_str(value).unwrap_or_default(),
            "findings" => self.findings = serde_json::from_str(value).unwrap_or_default(),
            "diff" => self.diff = text(),
            "signal" => self.signal = text(),
            _ => {}
        }
    }

    fn record_f64(&mut self, _: &Field, value: f64) {
        self.duration_ms = Some(value);
    }

    fn record_i64(&mut self, _: &Field, value: i64) {
        self.pid = Some(value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "changed_left_out" => self.changed_left_out = value,
            _ => self.findings_left_out = value,
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// Writes decisions, and spans as they end.
pub(super) struct DebugLayer {
    pub(super) format: LogFormat,
    pub(super) output: WriteLine,
}

/// The fields of a span or a decision.
#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

/// The begin of a span.
struct Begin(Instant);

impl DebugLayer {
    fn write(
        &self,
        level: tracing::Level,
        duration: Option<f64>,
        span: Option<String>,
        gate: Option<String>,
        fields: Fields,
    ) {
        let mut fields = fields.0;
        let line = DebugLine {
            timestamp: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            level: level.as_str().to_ascii_lowercase(),
            gate: fields.remove("gate").or(gate),
            span,
            message: fields.remove("message"),
            duration_ms: duration,
            fields,
        };
        (self.output)(match self.format {
            LogFormat::Text => text::debug(&line),
            LogFormat::Json => json(&line),
        });
    }
}

impl<S: Subscriber + for<'lookup> LookupSpan<'lookup>> Layer<S> for DebugLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let mut extensions = span.extensions_mut();
        extensions.insert(fields);
        extensions.insert(Begin(Instant::now()));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let gate = context.event_scope(event).into_iter().flatten().find_map(|span| {
            let extensions = span.extensions();
            extensions.get::<Fields>().and_then(|fields| fields.0.get("gate").cloned())
        });
        let span = context.event_span(event).map(|span| span.name().to_owned());
        self.write(*event.metadata().level(), None, span, gate, fields);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let mut extensions = span.extensions_mut();
        let (Some(begin), Some(fields)) = (extensions.remove::<Begin>(), extensions.remove::<Fields>()) else { return };
        let duration = milliseconds(begin.0.elapsed());
        self.write(*span.metadata().level(), Some(duration), Some(span.name().to_owned()), None, fields);
    }
}
