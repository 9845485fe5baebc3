//! An alert for a chat: the format of Slack's incoming webhooks, which other chats understand as well (Mattermost, Rocket.Chat, Discord with
//! `/slack`). <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>

use serde_json::{Value, json};

use crate::notify::policy::Alert;
use crate::notify::wording::{self, Subject};
use crate::report::Kind;

/// The message as plain text, in the common subset of these formats.
#[must_use]
pub fn body(subject: Subject<'_>, alert: &Alert) -> Value {
    let sign = if alert.over { ":white_check_mark:" } else { ":rotating_light:" };
    let labels = subject.labels.iter().map(|(name, value)| format!("{name}={value}"));
    let labels = labels.collect::<Vec<_>>().join(", ");
    let labels = if labels.is_empty() { labels } else { format!(" ({})", escaped(&labels)) };
    let mut text = format!("{sign} *{}*{labels}", escaped(&wording::summary(subject.gate, alert)));
    if alert.over && alert.event.kind == Kind::Recovered {
        let live = alert.event.digest.map(|digest| format!("; the configuration {} is live", digest.short()));
        text += &live.unwrap_or_default();
    }
    if !alert.over {
        // A fence inside would end the block.
        let description = wording::description(alert).replace("```", "'''");
        text += &format!("\n```\n{}\n```\n<{}|what to do>", escaped(&description), wording::runbook(alert.incident));
    }
    json!({ "text": text })
}

/// The three characters with a meaning in Slack
/// (<https://docs.slack.dev/messaging/formatting-message-text#escaping>).
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
