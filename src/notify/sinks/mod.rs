//! The kinds of sinks, and a delivery to each. IO: through `http` and `exec`.

pub mod alertmanager;
#[cfg(test)]
mod renderings;
pub mod slack;
pub mod teams;
pub mod webhook;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::notify::policy::{Delivery, Subject};
use crate::redact::Redactor;
use crate::sys::exec::{self, Command, End, NotStarted};
use crate::sys::http::{self, HttpRequest, Method};
use crate::sys::server::{Credentials, authorities, read};

/// The kind of a sink.
#[derive(Clone, Debug)]
pub enum SinkKind {
    /// The documented JSON by POST.
    Webhook(Endpoint),
    /// A message for a chat by POST.
    Slack(Endpoint),
    /// A card for Microsoft Teams by POST.
    Teams(Endpoint),
    /// Alerts by the API of Alertmanager, version 2.
    Alertmanager(Endpoint),
    /// The documented JSON on the standard input of a command.
    Command(Vec<String>),
}

/// An address with headers and credentials.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The address.
    pub url: Url,
    /// Names and values of headers.
    pub headers: Vec<(String, String)>,
    /// The credentials.
    pub credentials: Option<Credentials>,
    /// A file with the certificates (PEM) of the authorities for the server's certificate.
    pub authorities: Option<PathBuf>,
}

/// An address that may be secret.
#[derive(Clone, Debug)]
pub enum Url {
    /// From a setting.
    Said(String),
    /// From a file.
    File(PathBuf),
}

impl SinkKind {
    /// Returns true if the sink forgets an alert that is not repeated.
    #[must_use]
    pub fn forgets(&self) -> bool {
        matches!(self, Self::Alertmanager(_))
    }

    /// The address without its secret parts.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Webhook(endpoint) | Self::Slack(endpoint) | Self::Teams(endpoint) | Self::Alertmanager(endpoint) => {
                match &endpoint.url {
                    Url::Said(url) => format!("`{}`", origin(url)),
                    Url::File(path) => format!("the URL in `{}`", path.display()),
                }
            }
            // The arguments may hold secrets.
            Self::Command(words) => format!("`{}`", words.first().map_or("", String::as_str)),
        }
    }

    /// Checks that a delivery is possible: the files have the right content, and the program can be started.
    ///
    /// # Errors
    /// The first thing that is missing, without credentials.
    pub fn ready(&self) -> Result<(), String> {
        match self {
            Self::Webhook(endpoint) | Self::Slack(endpoint) | Self::Teams(endpoint) | Self::Alertmanager(endpoint) => {
                endpoint.request(String::new(), Duration::ZERO).map(|_| ())
            }
            Self::Command(words) => {
                let program = words.first().map_or("", String::as_str);
                let there = exec::is_installed(OsStr::new(program));
                there.then_some(()).ok_or_else(|| NotStarted::Missing(program.to_owned()).to_string())
            }
        }
    }

    /// Connects to the server of the sink, if it has one, and sends nothing.
    ///
    /// # Errors
    /// When nothing answers within `timeout`.
    pub async fn connect(&self, timeout: Duration) -> Result<(), String> {
        match self {
            Self::Webhook(endpoint) | Self::Slack(endpoint) | Self::Teams(endpoint) | Self::Alertmanager(endpoint) => {
                http::connect(&endpoint.url()?, timeout).await
            }
            Self::Command(_) => Ok(()),
        }
    }

    /// Delivers an alert.
    ///
    /// # Errors
    /// When the sink did not take it within `timeout`; without credentials.
    pub(super) async fn deliver(
        &self,
        subject: Subject<'_>,
        delivery: &Delivery,
        repeat: Duration,
        timeout: Duration,
    ) -> Result<(), String> {
        match self {
            Self::Webhook(endpoint) => {
                for alert in delivery.alerts() {
                    endpoint.post("", &webhook::body(subject, &alert), timeout).await?;
                }
                Ok(())
            }
            Self::Slack(endpoint) => endpoint.post("", &slack::body(subject, &delivery.alert), timeout).await,
            Self::Teams(endpoint) => endpoint.post("", &teams::body(subject, &delivery.alert), timeout).await,
            Self::Alertmanager(endpoint) => {
                let body = alertmanager::body(subject, delivery, SystemTime::now(), repeat);
                endpoint.post("/api/v2/alerts", &body, timeout).await
            }
            Self::Command(words) => {
                for alert in delivery.alerts() {
                    run(words, &webhook::body(subject, &alert), timeout).await?;
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
    /// The address. A file without a URL is not shown: it may hold the secret with a typing error.
    fn url(&self) -> Result<String, String> {
        match &self.url {
            Url::Said(url) => Ok(url.clone()),
            Url::File(file) => Some(read(file)?)
                .filter(|url| http::is_url(url))
                .ok_or_else(|| format!("`{}` holds no URL that begins with `https://` (or `http://`)", file.display())),
        }
    }

    /// Builds a request from the files, and the list of secrets in it.
    fn request(&self, content: String, timeout: Duration) -> Result<(HttpRequest, Vec<String>), String> {
        let url = self.url()?;
        let authorization = self.credentials.as_ref().map(Credentials::header).transpose()?;
        let mut secrets = vec![secret_part(&url)];
        secrets.extend(self.headers.iter().map(|(_, value)| value.clone()));
        secrets.extend(authorization.iter().map(|(_, value)| value.clone()));
        let mut request = HttpRequest::new(Method::Post, url, timeout);
        request.headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        request.headers.extend(self.headers.iter().cloned().chain(authorization));
        request.content = content.into_bytes();
        request.authorities = self.authorities.as_deref().map(authorities).transpose()?;
        Ok((request, secrets))
    }

    /// Sends `body`. Secrets that the answer or an error repeats are redacted.
    async fn post(&self, path: &str, body: &Value, timeout: Duration) -> Result<(), String> {
        let (mut request, secrets) = self.request(body.to_string(), timeout)?;
        if !path.is_empty() {
            request.url = format!("{}{path}", request.url.trim_end_matches('/'));
        }
        let failure = match http::exchange(request).await {
            Ok(answer) if (200..300).contains(&answer.status) => return Ok(()),
            Ok(answer) => {
                let remark = answer.remark.map_or_else(String::new, |remark| format!(": {remark}"));
                format!("it answered {}{remark}", answer.status)
            }
            Err(error) => error.to_string(),
        };
        Err(Redactor::new(secrets.iter().map(String::as_bytes)).text(&failure))
    }
}

/// Returns scheme, host and port of a URL; the rest may be secret.
fn origin(url: &str) -> String {
    let url = http::shown(url);
    let Some((scheme, rest)) = url.split_once("://") else { return String::new() };
    format!("{scheme}://{}", rest.split(['/', '?', '#']).next().unwrap_or_default())
}

/// Returns the parts of a URL that [`origin`] leaves out.
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
    fn a_file_that_does_not_hold_what_it_must_is_named_and_not_shown() {
        let directory = tempfile::tempdir().expect("there is room");
        let endpoint = |content: &str| {
            let file = directory.path().join("hunter");
            std::fs::write(&file, content).expect("there is room");
            let url = Url::Said("http://127.0.0.1:1/".to_owned());
            (Endpoint { url, headers: Vec::new(), credentials: None, authorities: None }, file)
        };
        let slack = |content: &str| {
            let (endpoint, file) = endpoint(content);
            SinkKind::Slack(Endpoint { url: Url::File(file), ..endpoint }).ready()
        };
        let with = |content: &str, credentials: fn(PathBuf) -> Credentials| {
            let (endpoint, file) = endpoint(content);
            SinkKind::Webhook(Endpoint { credentials: Some(credentials(file)), ..endpoint }).ready()
        };
        let trusting = |content: &str| {
            let (endpoint, file) = endpoint(content);
            SinkKind::Alertmanager(Endpoint { authorities: Some(file), ..endpoint }).ready()
        };
        assert_eq!(
            [slack("https://host/x\n"), with("token\n", Credentials::Bearer), with("a:b", Credentials::Basic)],
            [const { Ok(()) }; 3]
        );
        for (result, words) in [
            (slack("hooks.slack.com/secret"), "holds no URL that begins with `https://`"),
            (slack("SLACK_URL=https://hooks.slack.com/secret"), "holds no URL"),
            (slack("https://host/secret\nsecret"), "holds no URL"),
            (with("secret\nsecret", Credentials::Bearer), "holds no token"),
            (with("secret", Credentials::Basic), "holds no `USER:PASSWORD`"),
            (with(" \n", Credentials::Basic), "is empty"),
            (trusting("secret"), "holds no certificate (PEM)"),
            (SinkKind::Command(vec!["no-such-program".to_owned()]).ready(), "is not installed here"),
        ] {
            let error = result.expect_err(words);
            assert!(error.contains(words) && !error.contains("secret"), "{error}");
        }
    }

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
