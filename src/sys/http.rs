//! One HTTP request. IO.

use std::io::Read as _;
use std::time::{Duration, Instant};

use ureq::tls::{self, Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::time::Duration::NotHappening;
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use crate::sys::worker::{self, WorkError, WorkKind};

/// Request method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// RFC 9110, section 9.3.1.
    Get,
    /// RFC 9110, section 9.3.3.
    Post,
}

impl Method {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// An HTTP request.
#[derive(Clone)]
pub struct HttpRequest {
    /// Request method.
    pub method: Method,
    /// URL of the resource.
    pub url: String,
    /// Names and values of headers.
    pub headers: Vec<(String, String)>,
    /// The content; may be empty.
    pub content: Vec<u8>,
    /// The certificates (PEM) of the authorities that may vouch for a server, in place of the usual ones.
    pub authorities: Option<Vec<u8>>,
    /// A client certificate with its chain, and its private key (PEM).
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// The name that the server's certificate must have, in place of the host of the URL.
    pub server_name: Option<String>,
    /// Time limit of the whole exchange.
    pub timeout: Duration,
    /// The largest content of a success that is read; none is read without it.
    pub most_content: Option<u64>,
}

impl HttpRequest {
    /// A request without headers and content.
    #[must_use]
    pub fn new(method: Method, url: impl Into<String>, timeout: Duration) -> Self {
        Self {
            method,
            url: url.into(),
            headers: Vec::new(),
            content: Vec::new(),
            authorities: None,
            identity: None,
            server_name: None,
            timeout,
            most_content: None,
        }
    }
}

/// Response of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// Text beside the code, if that is no success: the target of a redirect, or the first line of the content.
    pub remark: Option<String>,
    /// The content of a success, if it was asked for.
    pub content: Vec<u8>,
}

type Response = ureq::http::Response<ureq::Body>;

/// Largest number of redirects that are followed.
const REDIRECTS: u32 = 5;
/// So many characters of an answer are shown.
const REMARK: usize = 200;
/// So much of its content is read.
const READ: u64 = 4096;
/// Time after the limit of a request in which its own report of that may come.
const MARGIN: Duration = Duration::from_millis(200);

/// Sends a request and gives the answer. A GET follows redirects to the same server alone: another one was not chosen by the user, and may
/// be out of the sender's reach. Any other request follows none: it would become a GET (RFC 9110, section 15.4.3), and of a login page.
///
/// # Errors
/// When there is no answer within the time, in words without the credentials that the URL may hold; and when the authorities are no
/// certificates.
pub async fn exchange(request: HttpRequest) -> Result<HttpResponse, HttpFailure> {
    let timeout = request.timeout;
    // The request has a limit of its own, except for the look-up of the server's name.
    match worker::run(WorkKind::Requests, timeout + MARGIN, move || call(&request)).await {
        Ok(answer) => answer,
        Err(WorkError::TimedOut) => Err(HttpFailure::timed_out(timeout)),
        Err(error) => Err(error.to_string().into()),
    }
}

/// Looks up names on the thread of the request. That of the library makes a thread for each, which may not be possible.
#[derive(Debug, Default)]
struct SameThreadResolver {
    /// The host with the address for every name; that of the request if absent.
    host: Option<ureq::http::Uri>,
}

impl Resolver for SameThreadResolver {
    fn resolve(
        &self,
        uri: &ureq::http::Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = self.host.as_ref().unwrap_or(uri);
        DefaultResolver::default().resolve(host, config, NextTimeout { after: NotHappening, ..timeout })
    }
}

fn call(request: &HttpRequest) -> Result<HttpResponse, HttpFailure> {
    // The settings name the server: a proxy of the environment is for other programs, and knows nothing of this cluster.
    let config = ureq::Agent::config_builder().timeout_global(Some(request.timeout)).proxy(None);
    let mut config = config.http_status_as_error(false).max_redirects(0).max_redirects_will_error(false);
    if request.url.starts_with("https:") {
        let roots = request.authorities.as_deref().map_or_else(|| Ok(trusted()), vouching)?;
        let identity = request.identity.as_ref().map(client_certificate).transpose()?;
        config = config.tls_config(TlsConfig::builder().root_certs(roots).client_cert(identity).build());
    }
    if let Some(named) = named(request)? {
        return follow(&agent(config.build(), named.resolver), &named.request);
    }
    follow(&agent(config.build(), SameThreadResolver::default()), request)
}

fn agent(config: ureq::config::Config, resolver: SameThreadResolver) -> ureq::Agent {
    ureq::Agent::with_parts(config, DefaultConnector::default(), resolver)
}

/// A request in which the host is the name of the certificate.
struct NamedRequest {
    request: HttpRequest,
    resolver: SameThreadResolver,
}

/// Puts the name of the certificate in the place of the host. The header `Host` stays that of the URL.
fn named(request: &HttpRequest) -> Result<Option<NamedRequest>, String> {
    let Some(name) = request.server_name.as_ref().filter(|_| request.url.starts_with("https:")) else {
        return Ok(None);
    };
    let uri: ureq::http::Uri = request.url.parse().map_err(|_| "it is no URL".to_owned())?;
    let authority = uri.authority().ok_or("it is no URL")?;
    let port = authority.port_u16().unwrap_or(443);
    let user = authority.as_str().rsplit_once('@').map_or_else(String::new, |(user, _)| format!("{user}@"));
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = authority.as_str().rsplit('@').next().unwrap_or_default().to_owned();
    let mut request = HttpRequest { url: format!("https://{user}{name}:{port}{path}"), ..request.clone() };
    request.headers.push(("Host".to_owned(), host));
    Ok(Some(NamedRequest { request, resolver: SameThreadResolver { host: Some(uri) } }))
}

/// Sends the request and follows the redirects of a GET.
fn follow(agent: &ureq::Agent, request: &HttpRequest) -> Result<HttpResponse, HttpFailure> {
    let deadline = Instant::now() + request.timeout;
    let mut url = request.url.clone();
    for _ in 0..REDIRECTS {
        let answer = send_once(agent, request, &url)?;
        match redirect(&url, &answer).filter(|_| request.method == Method::Get && Instant::now() < deadline) {
            Some(next) => url = next,
            None => {
                let status = answer.status();
                let (remark, content) = match request.most_content {
                    Some(most) if status.is_success() => (None, content(answer, most)?),
                    _ if status.is_success() => (None, Vec::new()),
                    _ => (remark(answer), Vec::new()),
                };
                return Ok(HttpResponse { status: status.as_u16(), remark, content });
            }
        }
    }
    Err("it redirects without end".to_owned().into())
}

fn send_once(agent: &ureq::Agent, request: &HttpRequest, url: &str) -> Result<Response, HttpFailure> {
    let mut call = ureq::http::Request::builder().method(request.method.as_str()).uri(url);
    for (name, value) in &request.headers {
        call = call.header(name, value);
    }
    let answer = if request.method == Method::Get {
        agent.run(call.body(()).map_err(|error| error.to_string())?)
    } else {
        agent.run(call.body(request.content.clone()).map_err(|error| error.to_string())?)
    };
    answer.map_err(|error| HttpFailure::of(&error, request.timeout))
}

/// The URL to which a response redirects, if that is of the same server.
fn redirect(url: &str, answer: &Response) -> Option<String> {
    let location = answer.headers().get("location").filter(|_| answer.status().is_redirection())?.to_str().ok()?;
    let origin = |url: &str| {
        let uri: ureq::http::Uri = url.parse().ok()?;
        Some((uri.scheme_str()?.to_owned(), uri.authority()?.as_str().to_owned()))
    };
    let (scheme, authority) = origin(url)?;
    match location.strip_prefix('/') {
        // `//host/path` is another server (RFC 3986, section 4.2).
        Some(path) if !path.starts_with('/') => Some(format!("{scheme}://{authority}/{path}")),
        _ => (origin(location)? == (scheme, authority)).then(|| location.to_owned()),
    }
}

/// Beginning of the standard library's error for a name that does not resolve (`lookup_host` in library/std/src/sys).
const LOOKUP: &str = "failed to lookup address";

/// Failure of an exchange, with the remedy where that is not plain.
#[derive(Debug, thiserror::Error)]
pub enum HttpFailure {
    /// There was no answer within this time.
    #[error("no answer within {0}")]
    TimedOut(humantime::FormattedDuration),
    /// There is no server of that name.
    #[error("its name does not resolve")]
    Unresolved,
    /// There is no server at that address.
    #[error("nothing listens there ({0})")]
    Refused(String),
    /// The server broke the connection off.
    #[error("it closed the connection without an answer ({0})")]
    Closed(String),
    /// The content of the answer has more than so many MiB.
    #[error("the answer is longer than {0} MiB")]
    TooLong(u64),
    /// The server's certificate has an authority that is not known.
    #[error(
        "no authority that is known here has signed its certificate; name its own by a file (`--reload-ca-file`, alerts: \
         `--alert-ca-file`)"
    )]
    UnknownAuthority,
    /// The server's certificate is not one for that address, or not valid now.
    #[error("its certificate is not valid for it: {0}")]
    Certificate(String),
    /// The server does not speak TLS.
    #[error("it does not speak TLS: is the address one of `http://`?")]
    NoTls,
    /// Any other failure, such as a want of descriptors here.
    #[error("{0}")]
    Other(String),
}

impl From<String> for HttpFailure {
    fn from(message: String) -> Self {
        Self::Other(message)
    }
}

impl HttpFailure {
    /// Returns true if the server at that address is another one than was expected, or none, and not one that fails at the moment.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        match self {
            Self::Unresolved | Self::Refused(_) | Self::TooLong(_) => true,
            Self::UnknownAuthority | Self::Certificate(_) | Self::NoTls => true,
            Self::TimedOut(_) | Self::Closed(_) | Self::Other(_) => false,
        }
    }

    fn of(error: &ureq::Error, timeout: Duration) -> Self {
        match error {
            ureq::Error::Timeout(_) => Self::timed_out(timeout),
            ureq::Error::HostNotFound => Self::Unresolved,
            ureq::Error::Rustls(error) => Self::of_tls(error),
            ureq::Error::Io(error) => Self::of_io(error),
            error => Self::Other(error.to_string()),
        }
    }

    fn timed_out(timeout: Duration) -> Self {
        Self::TimedOut(humantime::format_duration(Duration::from_millis(timeout.as_millis() as u64)))
    }

    fn of_io(error: &std::io::Error) -> Self {
        // An error of TLS comes as one of reading or writing.
        if let Some(error) = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) {
            return Self::of_tls(error);
        }
        match error.kind() {
            std::io::ErrorKind::ConnectionRefused => Self::Refused(error.to_string()),
            std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::UnexpectedEof => Self::Closed(error.to_string()),
            // The standard library has no kind of its own for an error of getaddrinfo(3), which has no number either.
            _ if error.raw_os_error().is_none() && error.to_string().starts_with(LOOKUP) => Self::Unresolved,
            _ => Self::Other(error.to_string()),
        }
    }

    fn of_tls(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => Self::UnknownAuthority,
            rustls::Error::InvalidCertificate(_) => Self::Certificate(error.to_string()),
            rustls::Error::InvalidMessage(_) => Self::NoTls,
            error => Self::Other(error.to_string()),
        }
    }
}

/// Returns true for a URL of a server: `http://` or `https://`, and a host.
#[must_use]
pub fn is_url(text: &str) -> bool {
    let uri = text.parse::<ureq::http::Uri>();
    uri.is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
}

/// Returns true if this can be the value of a header.
#[must_use]
pub fn is_value(text: &str) -> bool {
    ureq::http::HeaderValue::try_from(text).is_ok()
}

/// Returns true if there is a certificate (PEM) in a text.
#[must_use]
pub fn has_certificate(text: &[u8]) -> bool {
    !certificates(text).is_empty()
}

/// Returns true if there is a private key (PEM) in a text.
#[must_use]
pub fn has_key(text: &[u8]) -> bool {
    private_key(text).is_some()
}

fn private_key(text: &[u8]) -> Option<PrivateKey<'static>> {
    tls::parse_pem(text).find_map(|item| if let Ok(PemItem::PrivateKey(key)) = item { Some(key) } else { None })
}

fn client_certificate((chain, key): &(Vec<u8>, Vec<u8>)) -> Result<ClientCert, String> {
    let key = private_key(key).ok_or("there is no private key (PEM)")?;
    Ok(ClientCert::new_with_certs(&certificates(chain), key))
}

/// These authorities, and no others.
fn vouching(authorities: &[u8]) -> Result<RootCerts, String> {
    let certificates = certificates(authorities);
    if certificates.is_empty() {
        return Err("there is no certificate (PEM) of any authority".into());
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

/// The certificates in a text (PEM).
fn certificates(text: &[u8]) -> Vec<Certificate<'static>> {
    let certificate = |item| if let Ok(PemItem::Certificate(certificate)) = item { Some(certificate) } else { None };
    tls::parse_pem(text).filter_map(certificate).collect()
}

/// Connects to the server of `url`, and asks it nothing.
///
/// # Errors
/// When its name does not resolve, or nothing listens there within `timeout`.
pub async fn connect(url: &str, timeout: Duration) -> Result<(), String> {
    let uri: ureq::http::Uri = url.parse().map_err(|_| "it is no URL".to_owned())?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    match tokio::time::timeout(timeout, tokio::net::TcpStream::connect((host, port))).await {
        Ok(connected) => connected.map(|_| ()).map_err(|error| error.to_string()),
        Err(_) => Err("it did not answer in time".into()),
    }
}

/// Certificates of the trusted authorities, unless `SSL_CERT_FILE` names another file, as for OpenSSL. Debian, Alpine and the image
/// of this program have them there.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Returns the authorities that are trusted here; without such a file those that Mozilla trusts.
fn trusted() -> RootCerts {
    let path = std::env::var_os("SSL_CERT_FILE").unwrap_or_else(|| CERTIFICATES.into());
    let Ok(text) = std::fs::read(path) else { return RootCerts::WebPki };
    let certificates = certificates(&text);
    if certificates.is_empty() { RootCerts::WebPki } else { RootCerts::new_with_certs(&certificates) }
}

/// The content of an answer, which must not be longer than `most`.
fn content(answer: Response, most: u64) -> Result<Vec<u8>, HttpFailure> {
    let mut content = Vec::new();
    let read = answer.into_body().into_reader().take(most + 1).read_to_end(&mut content);
    read.map_err(|error| format!("the answer broke off: {error}"))?;
    if content.len() as u64 > most {
        return Err(HttpFailure::TooLong(most >> 20));
    }
    Ok(content)
}

fn remark(answer: Response) -> Option<String> {
    let location = answer.headers().get("location").map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned());
    let redirect = location.map(|to| format!("it redirects to `{}`", printable(&shown(&to))));
    redirect.or_else(|| {
        let mut content = Vec::new();
        // The part that arrived before an error is shown as well.
        let _ = answer.into_body().into_reader().take(READ).read_to_end(&mut content);
        let content = String::from_utf8_lossy(&content);
        content.lines().map(str::trim).find(|line| !line.is_empty()).map(printable)
    })
}

/// The beginning of a foreign text, whose control characters could do something to a terminal.
#[must_use]
pub fn printable(text: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().take(REMARK).map(escape).collect()
}

/// Gives what is at `url`, on this machine: no proxy is asked. Waits for it, so it is not for the loop.
///
/// # Errors
/// When there is no such answer, or none of status 200 to 299, within `timeout`; in words.
pub fn read(url: &str, timeout: Duration) -> Result<String, String> {
    let config = ureq::Agent::config_builder().timeout_global(Some(timeout)).proxy(None);
    let mut answer =
        agent(config.build(), SameThreadResolver::default()).get(url).call().map_err(|error| error.to_string())?;
    answer.body_mut().read_to_string().map_err(|error| error.to_string())
}

/// A URL as it may be shown: without the user and password that may stand in it (RFC 3986, section 3.2.1).
#[must_use]
pub fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;

    use super::*;

    fn ask(method: Method, url: &str, timeout: Duration) -> Result<u16, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
        let answer = runtime.block_on(exchange(HttpRequest::new(method, url, timeout)));
        answer.map(|answer| answer.status).map_err(|failure| failure.to_string())
    }

    #[test]
    fn credentials_are_not_shown() {
        for (url, expected) in [
            ("http://localhost:9090/-/reload", "http://localhost:9090/-/reload"),
            ("http://me:secret@localhost/x@y", "http://localhost/x@y"),
            ("https://me@h?a=b@c", "https://h?a=b@c"),
            ("http://a:b@c@host/", "http://host/"),
            ("http://host/?q=me@x", "http://host/?q=me@x"),
            ("no url", "no url"),
        ] {
            assert_eq!(shown(url), expected);
        }
        let error = ask(Method::Get, "http://me:secret@127.0.0.1:1/", Duration::from_secs(5))
            .expect_err("nothing listens there");
        assert!(!error.contains("secret") && !error.is_empty(), "{error}");
    }

    #[test]
    fn the_answer_is_its_status_whatever_it_is() {
        for (method, code, line) in [
            (Method::Get, 200, "GET /x?y HTTP/1.1\r\n"),
            (Method::Post, 204, "POST /x?y HTTP/1.1\r\n"),
            (Method::Post, 404, "POST /x?y HTTP/1.1\r\n"),
            (Method::Get, 503, "GET /x?y HTTP/1.1\r\n"),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
            let url = format!("http://{}/x?y", listener.local_addr().expect("it is bound"));
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().expect("somebody asks");
                let mut asked = vec![0; 4096];
                let length = stream.read(&mut asked).expect("it asks");
                let answer = format!("HTTP/1.1 {code} Whatever\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).expect("it listens");
                String::from_utf8_lossy(&asked[..length]).into_owned()
            });
            assert_eq!(ask(method, &url, Duration::from_secs(20)), Ok(code));
            let asked = server.join().expect("it answered");
            assert!(asked.starts_with(line), "{asked}");
        }
    }

    #[test]
    fn a_failure_has_a_remark() {
        let long = "y".repeat(300);
        let cases = [
            ("404 No\r\nContent-Length: 0", "", Some(404), None),
            ("200 Yes\r\nContent-Length: 3", "yes", Some(200), None),
            ("500 No\r\nContent-Length: 15", "\n\x1b[31mno\nsecond", Some(500), Some("\\u{1b}[31mno")),
            ("500 No\r\nContent-Length: 300", &long, Some(500), Some(&long[..200])),
            // Cut off before its end.
            ("500 No\r\nContent-Length: 300", "half", Some(500), Some("half")),
            (
                "302 Found\r\nContent-Length: 3\r\nLocation: http://me:secret@127.0.0.1:1/login",
                "see",
                Some(302),
                Some("it redirects to `http://127.0.0.1:1/login`"),
            ),
        ];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
        for (head, content, status, remark) in cases {
            let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
            let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
            let answer = format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n{content}");
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().expect("somebody asks");
                assert_ne!(stream.read(&mut [0; 4096]).expect("it asks"), 0);
                stream.write_all(answer.as_bytes()).expect("it listens");
            });
            let answer = runtime.block_on(exchange(HttpRequest::new(Method::Post, &url, Duration::from_secs(20))));
            server.join().expect("it answered");
            let answer = answer.unwrap_or_else(|error| panic!("{head}: {error}"));
            assert_eq!((Some(answer.status), answer.remark.as_deref()), (status, remark), "{head}");
        }
    }

    #[test]
    fn a_server_that_does_not_answer_is_waited_for_until_the_timeout() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
        let error = ask(Method::Get, &url, Duration::from_millis(50)).expect_err("no answer");
        assert_eq!(error, "no answer within 50ms");
    }

    /// A server that answers each request by the head for its path, and the number of requests that it got.
    fn serve(listener: TcpListener, heads: &'static [(&'static str, &'static str)]) -> std::thread::JoinHandle<usize> {
        std::thread::spawn(move || {
            for (asked, (path, head)) in heads.iter().enumerate() {
                let (mut stream, _) = listener.accept().expect("somebody asks");
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).expect("it asks");
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                assert!(request.starts_with(&format!("GET {path} ")), "{asked}: {request}");
                let answer = format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).expect("it listens");
            }
            heads.len()
        })
    }

    #[test]
    fn a_redirect_is_followed_to_the_same_server_alone() {
        let other = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        other.set_nonblocking(true).expect("it is a socket");
        let elsewhere = format!("302 Found\r\nLocation: http://{}/", other.local_addr().expect("it is bound"));
        let elsewhere: &'static str = elsewhere.leak();
        let heads: &'static [_] = vec![("/x", "302 Found\r\nLocation: /y"), ("/y", "200 Yes")].leak();
        let leads_away: &'static [_] = vec![("/x", elsewhere)].leak();
        let no_scheme: &'static [_] = vec![("/x", "302 Found\r\nLocation: //127.0.0.2/")].leak();
        for (heads, status) in [(heads, 200), (leads_away, 302), (no_scheme, 302)] {
            let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
            let url = format!("http://{}/x", listener.local_addr().expect("it is bound"));
            let server = serve(listener, heads);
            assert_eq!(ask(Method::Get, &url, Duration::from_secs(20)), Ok(status));
            assert_eq!(server.join().expect("it answered"), heads.len());
        }
        assert!(other.accept().is_err(), "nothing asks another server");
    }

    #[test]
    fn errors_are_in_words() {
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("it is free").port();
        let ask = |url: &str| ask(Method::Get, url, Duration::from_secs(20)).expect_err("there is no answer");
        assert!(ask(&format!("http://127.0.0.1:{port}/")).starts_with("nothing listens there"));
        assert_eq!(ask("http://no-such-host.invalid/"), "its name does not resolve");
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let url = format!("https://{}/", listener.local_addr().expect("it is bound"));
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("somebody asks");
            assert_ne!(stream.read(&mut [0; 4096]).expect("it asks"), 0);
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").expect("it listens");
        });
        assert!(ask(&url).starts_with("it does not speak TLS"));
        server.join().expect("it answered");
    }
}
