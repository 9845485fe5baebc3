//! An alert for Microsoft Teams: a message with an Adaptive Card, as the trigger "When a Teams webhook request is received" of a workflow
//! takes it. <https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using>

use serde_json::{Value, json};

use crate::notify::policy::Alert;
use crate::notify::wording::{self, Subject};

/// The message. Its texts are shown as they are: a `TextBlock` knows a part of Markdown, so its marks are escaped.
#[must_use]
pub fn body(subject: Subject<'_>, alert: &Alert) -> Value {
    let color = if alert.over { "Good" } else { "Attention" };
    let summary = text(&wording::summary(subject.gate, alert), json!({"weight": "Bolder", "color": color}));
    let labels = subject.labels.iter().map(|(name, value)| json!({"title": name, "value": escaped(value)}));
    let mut parts = vec![summary, json!({"type": "FactSet", "facts": labels.collect::<Vec<_>>()})];
    let mut actions = Vec::new();
    if !alert.over {
        parts.push(text(&wording::description(alert), json!({"fontType": "Monospace"})));
        actions.push(json!({"type": "Action.OpenUrl", "title": "What to do", "url": wording::runbook(alert.incident)}));
    }
    let card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": parts,
        "actions": actions,
    });
    let attachment = json!({"contentType": "application/vnd.microsoft.card.adaptive", "content": card});
    json!({"type": "message", "attachments": [attachment]})
}

fn text(text: &str, style: Value) -> Value {
    let mut block = json!({"type": "TextBlock", "wrap": true, "text": escaped(text)});
    if let (Some(block), Value::Object(style)) = (block.as_object_mut(), style) {
        block.extend(style);
    }
    block
}

/// The marks of the Markdown that cards know
/// (<https://learn.microsoft.com/en-us/adaptive-cards/authoring-cards/text-features>), with a backslash before each. A line break is two.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '*' | '_' | '[' | ']' | '(' | ')' | '#' | '-' | '`' | '<' | '>' => escaped.extend(['\\', c]),
            '\n' => escaped.push_str("\n\n"),
            c => escaped.push(c),
        }
    }
    escaped
}
