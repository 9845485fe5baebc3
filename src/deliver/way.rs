//! How one sink is told.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::alert::{Delivery, Subject, alertmanager, slack, webhook};
use crate::exec::{self, Command, End};
use crate::http::{self, Method, Request};
use crate::redact::Redactor;

/// How a sink is told.
#[derive(Clone, Debug)]
pub enum Way {
    /// The documented JSON by POST.
    Webhook(Endpoint),
    /// A message for a chat by POST.
    Slack(Endpoint),
    /// Alerts by the API of Alertmanager, version 2.
    Alertmanager(Endpoint),
    /// The documented JSON on the standard input of a command.
    Command(Vec<String>),
}

/// Where to send something, and as whom.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where.
    pub url: Url,
    /// Names and values of headers.
    pub headers: Vec<(String, String)>,
    /// As whom.
    pub credentials: Option<Credentials>,
    /// A file with the certificates (PEM) of the authorities that may vouch for the server.
    pub authorities: Option<PathBuf>,
}

/// An address that may be secret.
#[derive(Clone, Debug)]
pub enum Url {
    /// It was said.
    Said(String),
    /// It stands in this file.
    File(PathBuf),
}

/// What stands in a file that is read each time, since it changes.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// A token (RFC 6750).
    Bearer(PathBuf),
    /// `USER:PASSWORD` (RFC 7617).
    Basic(PathBuf),
}

impl Way {
    /// Whether the sink forgets what it is not told again.
    #[must_use]
    pub fn forgets(&self) -> bool {
        matches!(self, Self::Alertmanager(_))
    }

    /// Where it is, without what may be secret in the address.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Webhook(endpoint) | Self::Slack(endpoint) | Self::Alertmanager(endpoint) => match &endpoint.url {
                Url::Said(url) => format!("`{}`", origin(url)),
                Url::File(path) => format!("the URL in `{}`", path.display()),
            },
            // Its arguments may hold what nobody should read.
            Self::Command(words) => format!("`{}`", words.first().map_or("", String::as_str)),
        }
    }

    /// Tells the sink.
    ///
    /// # Errors
    /// When it did not take it within `timeout`; in words that hold no credentials.
    pub(super) async fn tell(
        &self,
        subject: Subject<'_>,
        delivery: &Delivery,
        repeat: Duration,
        timeout: Duration,
    ) -> Result<(), String> {
        match self {
            Self::Webhook(endpoint) => {
                for notice in delivery.notices() {
                    endpoint.post("", &webhook::body(subject, &notice), timeout).await?;
                }
                Ok(())
            }
            Self::Slack(endpoint) => endpoint.post("", &slack::body(subject, &delivery.notice), timeout).await,
            Self::Alertmanager(endpoint) => {
                let body = alertmanager::body(subject, delivery, SystemTime::now(), repeat);
                endpoint.post("/api/v2/alerts", &body, timeout).await
            }
            Self::Command(words) => {
                for notice in delivery.notices() {
                    run(words, &webhook::body(subject, &notice), timeout).await?;
                }
                Ok(())
            }
        }
    }
}

async fn run(words: &[String], body: &Value, timeout: Duration) -> Result<(), String> {
    let command = Command::here(words.iter().map(Into::into).collect(), timeout);
    let finished = exec::feed(&command, format!("{body}\n").as_bytes()).await.map_err(|error| error.to_string())?;
    let last = finished.output.lines().map(str::trim).rfind(|line| !line.is_empty());
    let said = last.map_or_else(String::new, |line| format!(": {}", line.chars().take(200).collect::<String>()));
    match finished.end {
        End::Exited(0) => Ok(()),
        End::Exited(code) => Err(format!("it exited with code {code}{said}")),
        End::Killed(signal) => Err(format!("it was killed by signal {signal}{said}")),
        End::TimedOut => Err(format!("it did not end within {}; it was killed", humantime::format_duration(timeout))),
    }
}

impl Endpoint {
    /// Sends `body`. What the answer, or an error, repeats of the address and the credentials is not shown.
    async fn post(&self, path: &str, body: &Value, timeout: Duration) -> Result<(), String> {
        let url = match &self.url {
            Url::Said(url) => url.clone(),
            Url::File(file) => read(file)?,
        };
        let whole = if path.is_empty() { url.clone() } else { format!("{}{path}", url.trim_end_matches('/')) };
        let mut request = Request::new(Method::Post, whole, timeout);
        let authorization = self.credentials.as_ref().map(Credentials::header).transpose()?;
        let mut secrets = vec![secret_part(&url)];
        secrets.extend(self.headers.iter().map(|(_, value)| value.clone()));
        secrets.extend(authorization.iter().map(|(_, value)| value.clone()));
        request.headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        request.headers.extend(self.headers.iter().cloned().chain(authorization));
        request.content = body.to_string().into_bytes();
        let authorities = |file: &PathBuf| std::fs::read(file).map_err(|error| unreadable(file, &error));
        request.authorities = self.authorities.as_ref().map(authorities).transpose()?;
        let failure = match http::exchange(request).await {
            Ok(answer) if (200..300).contains(&answer.status) => return Ok(()),
            Ok(answer) => {
                let remark = answer.remark.map_or_else(String::new, |remark| format!(": {remark}"));
                format!("it answered {}{remark}", answer.status)
            }
            Err(error) => error,
        };
        Err(Redactor::new(secrets.iter().map(String::as_bytes)).text(&failure))
    }
}

impl Credentials {
    fn header(&self) -> Result<(String, String), String> {
        let value = match self {
            Self::Bearer(file) => format!("Bearer {}", read(file)?),
            Self::Basic(file) => format!("Basic {}", STANDARD.encode(read(file)?)),
        };
        Ok(("Authorization".to_owned(), value))
    }
}

/// What stands in a file, without the end of its line.
pub(super) fn read(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|error| unreadable(file, &error))?;
    let text = text.trim();
    if text.is_empty() { Err(format!("`{}` is empty", file.display())) } else { Ok(text.to_owned()) }
}

fn unreadable(file: &Path, error: &std::io::Error) -> String {
    format!("cannot read `{}`: {error}", file.display())
}

/// Scheme, host and port of a URL; the rest may be secret.
fn origin(url: &str) -> String {
    let url = http::shown(url);
    let Some((scheme, rest)) = url.split_once("://") else { return String::new() };
    format!("{scheme}://{}", rest.split(['/', '?', '#']).next().unwrap_or_default())
}

/// What [`origin`] does not show of a URL.
fn secret_part(url: &str) -> String {
    let (_, rest) = url.split_once("://").unwrap_or_default();
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    format!("{user}\n{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_only_the_host_is_shown() {
        for (url, shown, secret) in [
            ("https://hooks.slack.com/services/T0/B0/XXXX", "https://hooks.slack.com", "\n/services/T0/B0/XXXX"),
            ("http://me:hunter2@host:9093?token=x", "http://host:9093", "me:hunter2\n?token=x"),
            ("http://host", "http://host", "\n"),
            ("nothing", "", "\n"),
        ] {
            assert_eq!((origin(url).as_str(), secret_part(url).as_str()), (shown, secret));
        }
    }
}
