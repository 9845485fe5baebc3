//! A server of the application: its URL, credentials and TLS files. IO: reads the files for each request, since they may change.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::http::{self, HttpRequest, HttpResponse, Method};
use super::worker::{self, WorkKind};

/// The number of characters of a secret in a row that are shown of it at most.
const QUOTATION: usize = 6;

/// Credentials in a file, which is read for each request since it may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// A token (RFC 6750).
    Bearer(PathBuf),
    /// `USER:PASSWORD` (RFC 7617).
    Basic(PathBuf),
}

impl Credentials {
    /// The header of a request.
    ///
    /// # Errors
    /// When the file cannot be read or holds something else; the content is not shown.
    pub fn header(&self) -> Result<(String, String), String> {
        let value = match self {
            Self::Bearer(file) => {
                let token = Some(read(file)?).filter(|token| http::is_value(token));
                let token =
                    token.ok_or_else(|| format!("`{}` holds no token: it has several lines", file.display()))?;
                format!("Bearer {token}")
            }
            Self::Basic(file) => {
                let pair = Some(read(file)?).filter(|pair| pair.contains(':'));
                let pair =
                    pair.ok_or_else(|| format!("`{}` holds no `USER:PASSWORD`: it has no `:`", file.display()))?;
                format!("Basic {}", STANDARD.encode(pair))
            }
        };
        Ok(("Authorization".to_owned(), value))
    }

    fn file(&self) -> &Path {
        match self {
            Self::Bearer(file) | Self::Basic(file) => file,
        }
    }
}

/// Reads the certificates of a file.
///
/// # Errors
/// When it cannot be read or has none.
pub fn authorities(file: &Path) -> Result<Vec<u8>, String> {
    let text = std::fs::read(file).map_err(|error| unreadable(file, &error))?;
    let held = http::has_certificate(&text).then_some(text);
    held.ok_or_else(|| format!("`{}` holds no certificate (PEM) of an authority", file.display()))
}

/// Reads a file without its line end.
///
/// # Errors
/// When it cannot be read or is empty.
pub fn read(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|error| unreadable(file, &error))?;
    let text = text.trim();
    if text.is_empty() { Err(format!("`{}` is empty", file.display())) } else { Ok(text.to_owned()) }
}

fn unreadable(file: &Path, error: &std::io::Error) -> String {
    format!("cannot read `{}`: {error}", file.display())
}

/// The part of a request that does not depend on its URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Names and values of headers.
    pub headers: Vec<(String, String)>,
    /// The credentials.
    pub credentials: Option<Credentials>,
    /// A file with the certificates (PEM) of the authorities for the server's certificate.
    pub authorities: Option<PathBuf>,
    /// Files with a client certificate and its key (PEM), which may be one.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name in the server's certificate, if it is not the host of the URL.
    pub server_name: Option<String>,
}

/// A URL of the application, and the access to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The URL.
    pub url: String,
    /// Headers, credentials and TLS files.
    pub access: Access,
}

/// The reason why a URL was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// A message without credentials.
    pub message: String,
    /// The remedy, if the server wants other credentials.
    pub help: Option<String>,
    /// The server is there and failed (a status from 500 on is its own fault: RFC 9110, section 15.6), or it could not be asked.
    pub is_failure: bool,
}

impl Unread {
    /// The reason why what is there is not what was expected.
    #[must_use]
    pub fn other(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, is_failure: false }
    }

    fn failed(message: String) -> Self {
        Self { message, help: None, is_failure: true }
    }
}

impl From<String> for Server {
    fn from(url: String) -> Self {
        Self { url, access: Access::default() }
    }
}

impl Server {
    /// The URL without credentials.
    #[must_use]
    pub fn shown(&self) -> String {
        http::shown(&self.url)
    }

    /// Sends a request without content and returns the answer.
    ///
    /// # Errors
    /// When a file cannot be read, or there is no answer within `timeout`; without credentials.
    pub async fn ask(&self, method: Method, timeout: Duration) -> Result<HttpResponse, String> {
        self.exchange(method, None, timeout).await.map_err(|unread| unread.message)
    }

    /// Reads what is at the URL, of this size at most.
    ///
    /// # Errors
    /// As [`Server::ask`]; also when the answer is no success, is too long or no text.
    pub async fn read(&self, most: u64, timeout: Duration) -> Result<String, Unread> {
        let answer = self.exchange(Method::Get, Some(most), timeout).await?;
        if !(200..300).contains(&answer.status) {
            let message = format!("it answered {}", answer.status);
            return Err(Unread { message, help: self.help(answer.status), is_failure: answer.status >= 500 });
        }
        String::from_utf8(answer.content).map_err(|_| Unread::other("the answer is no text"))
    }

    async fn exchange(&self, method: Method, most: Option<u64>, timeout: Duration) -> Result<HttpResponse, Unread> {
        let (access, url) = (self.access.clone(), self.url.clone());
        let read = worker::run(WorkKind::Files, timeout, move || access.request(method, url, timeout)).await;
        let read = read.map_err(|error| Unread::failed(format!("reading the credentials: {error}")))?;
        let (request, secrets) = read.map_err(Unread::failed)?;
        let hide = |text: String| if quotes(&text, &secrets) { "(it quotes a credential)".to_owned() } else { text };
        match http::exchange(HttpRequest { most_content: most, ..request }).await {
            Ok(answer) => Ok(HttpResponse { remark: answer.remark.map(hide), ..answer }),
            Err(error) => Err(Unread { is_failure: !error.is_elsewhere(), ..Unread::failed(hide(error.to_string())) }),
        }
    }

    /// The remedy for an answer that asks for other credentials; `None` for another answer.
    #[must_use]
    pub fn help(&self, status: u16) -> Option<String> {
        let file = self.access.credentials.as_ref().map(|credentials| credentials.file().display());
        match (status, file) {
            (401, None) => Some(
                "give the credentials that the application expects: `--reload-bearer-file`, `--reload-basic-file`, \
                 `--reload-header`, or a client certificate (`--reload-cert-file`)"
                    .into(),
            ),
            (401, Some(file)) => Some(format!(
                "renew the credentials in `{file}`, which the application does not accept: they are read for each request"
            )),
            (403, None) => Some(
                "give credentials that permit the request (`--reload-bearer-file`, `--reload-basic-file`), or permit it in the \
                 application: some have a switch for it, as `--web.enable-lifecycle` of Prometheus"
                    .into(),
            ),
            (403, Some(file)) => Some(format!(
                "permit the request in the application to the user of `{file}`: it knows the credentials, and they are not enough"
            )),
            _ => None,
        }
    }
}

impl Access {
    /// A request with what the files hold, and the secrets in it.
    fn request(&self, method: Method, url: String, timeout: Duration) -> Result<(HttpRequest, Vec<String>), String> {
        let authorization = self.credentials.as_ref().map(Credentials::header).transpose()?;
        let mut request = HttpRequest::new(method, url, timeout);
        request.headers = self.headers.iter().cloned().chain(authorization).collect();
        request.authorities = self.authorities.as_deref().map(authorities).transpose()?;
        request.identity = self.identity.as_ref().map(|(chain, key)| identity(chain, key)).transpose()?;
        request.server_name.clone_from(&self.server_name);
        let words = request.headers.iter().map(|(_, value)| value.rsplit(' ').next().unwrap_or_default().to_owned());
        let secrets = words.collect();
        Ok((request, secrets))
    }
}

/// Reads a client certificate and its key.
fn identity(chain: &Path, key: &Path) -> Result<(Vec<u8>, Vec<u8>), String> {
    let bytes = |file: &Path| std::fs::read(file).map_err(|error| unreadable(file, &error));
    let (certificates, private) = (bytes(chain)?, bytes(key)?);
    if !http::has_certificate(&certificates) {
        return Err(format!("`{}` holds no certificate (PEM)", chain.display()));
    }
    if !http::has_key(&private) {
        return Err(format!("`{}` holds no private key (PEM)", key.display()));
    }
    Ok((certificates, private))
}

/// Returns true if `text` repeats a part of a secret.
fn quotes(text: &str, secrets: &[String]) -> bool {
    secrets.iter().filter(|secret| !secret.is_empty()).any(|secret| {
        let secret: Vec<char> = secret.chars().collect();
        let parts = secret.windows(QUOTATION.min(secret.len()));
        parts.map(|part| part.iter().collect::<String>()).any(|part| text.contains(&part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_quotes_a_credential_is_not_shown() {
        let secrets = ["tok-123456789".to_owned(), String::new(), "pw".to_owned()];
        for (text, expected) in [
            ("bad token tok-123456789", true),
            ("bad token …456789", true),
            ("the beginning of it: tok-12", true),
            ("tok", false),
            ("password pw is wrong", true),
            ("not so", false),
        ] {
            assert_eq!(quotes(text, &secrets), expected, "{text}");
        }
    }

    #[test]
    fn a_file_without_what_it_has_to_hold_is_named_and_not_shown() {
        let directory = tempfile::tempdir().expect("there is room");
        let file = directory.path().join("hunter");
        let asked = |content: &str, access: Access| {
            std::fs::write(&file, content).expect("there is room");
            access.request(Method::Get, "https://host/".to_owned(), Duration::ZERO).map(|_| ())
        };
        let bearer = Access { credentials: Some(Credentials::Bearer(file.clone())), ..Access::default() };
        let certificate = Access { identity: Some((file.clone(), file.clone())), ..Access::default() };
        assert_eq!(asked("token\n", bearer.clone()), Ok(()));
        for (content, access, words) in [
            ("secret\nsecret", bearer.clone(), "holds no token"),
            (" \n", bearer, "is empty"),
            ("secret", certificate, "holds no certificate (PEM)"),
        ] {
            let error = asked(content, access).expect_err(words);
            assert!(error.contains(words) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_help_depends_on_what_was_sent() {
        let plain = Server::from("http://host/".to_owned());
        let credentials = Some(Credentials::Bearer("/run/token".into()));
        let access = Access { credentials, ..Access::default() };
        let known = Server { access, ..plain.clone() };
        assert!(plain.help(401).is_some_and(|help| help.contains("--reload-bearer-file")));
        assert!(known.help(401).is_some_and(|help| help.starts_with("renew the credentials in `/run/token`")));
        assert!(known.help(403).is_some_and(|help| help.contains("permit the request")));
        assert_eq!(plain.help(500), None);
    }
}
