//! One HTTP request. IO.

use std::io::Read as _;
use std::time::Duration;

use ureq::tls::{self, Certificate, PemItem, RootCerts, TlsConfig};

/// Request method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// RFC 9110, section 9.3.1.
    Get,
    /// RFC 9110, section 9.3.3.
    Post,
    /// RFC 5789.
    Patch,
}

impl Method {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
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
    /// Time limit of the whole exchange.
    pub timeout: Duration,
}

impl HttpRequest {
    /// A request without headers and content.
    #[must_use]
    pub fn new(method: Method, url: impl Into<String>, timeout: Duration) -> Self {
        Self { method, url: url.into(), headers: Vec::new(), content: Vec::new(), authorities: None, timeout }
    }
}

/// Response of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// Text beside the code, if that is no success: the target of a redirect, or the first line of the content.
    pub remark: Option<String>,
}

/// So many characters of an answer are shown.
const REMARK: usize = 200;
/// So much of its content is read.
const READ: u64 = 4096;

/// Sends a request and gives the status code of the answer.
///
/// # Errors
/// When there is no answer within `timeout`, in words without the credentials that the URL may hold.
pub async fn request(method: Method, url: &str, timeout: Duration) -> Result<u16, String> {
    send(method, url, timeout).await.map(|answer| answer.status)
}

/// Sends a request and gives the answer.
///
/// # Errors
/// As [`request`].
pub async fn send(method: Method, url: &str, timeout: Duration) -> Result<HttpResponse, String> {
    exchange(HttpRequest::new(method, url, timeout)).await
}

/// Sends a request and gives the answer. What is not a GET is not redirected: it would become one (RFC 9110, section 15.4.3), and of a
/// login page at that.
///
/// # Errors
/// As [`self::request`]; also when the authorities are no certificates.
pub async fn exchange(request: HttpRequest) -> Result<HttpResponse, String> {
    match tokio::task::spawn_blocking(move || call(request)).await {
        Ok(answer) => answer,
        Err(error) => Err(error.to_string()),
    }
}

fn call(request: HttpRequest) -> Result<HttpResponse, String> {
    // The settings name the server: a proxy of the environment is for other programs, and knows nothing of this cluster.
    let config = ureq::Agent::config_builder().timeout_global(Some(request.timeout)).proxy(None);
    let mut config = config.http_status_as_error(false);
    if request.method != Method::Get {
        config = config.max_redirects(0).max_redirects_will_error(false);
    }
    if request.url.starts_with("https:") {
        let roots = request.authorities.as_deref().map_or_else(|| Ok(trusted()), vouching)?;
        config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
    }
    let mut call = ureq::http::Request::builder().method(request.method.as_str()).uri(&request.url);
    for (name, value) in &request.headers {
        call = call.header(name, value);
    }
    let agent = config.build().new_agent();
    let answer = if request.method == Method::Get {
        agent.run(call.body(()).map_err(|error| error.to_string())?)
    } else {
        agent.run(call.body(request.content).map_err(|error| error.to_string())?)
    };
    let answer = answer.map_err(|error| in_words(&error, request.timeout))?;
    let status = answer.status();
    Ok(HttpResponse { status: status.as_u16(), remark: if status.is_success() { None } else { remark(answer) } })
}

const UNRESOLVED: &str = "its name does not resolve";

/// Returns the error in words, with the remedy where that is not plain.
fn in_words(error: &ureq::Error, timeout: Duration) -> String {
    let (said, rest) =
        (error.to_string(), humantime::format_duration(Duration::from_millis(timeout.as_millis() as u64)));
    match error {
        ureq::Error::Timeout(_) => format!("no answer within {rest}"),
        ureq::Error::HostNotFound => UNRESOLVED.to_owned(),
        // The standard library has no kind of its own for it.
        ureq::Error::Io(_) if said.contains("failed to lookup address") => UNRESOLVED.to_owned(),
        // An error of TLS comes as one of reading or writing.
        _ if said.contains("UnknownIssuer") => {
            "no authority that is known here has signed its certificate; name its own by a file (alerts: `--alert-ca-file`)".to_owned()
        }
        _ if said.contains("certificate") => format!("its certificate is not valid for it: {said}"),
        _ if said.contains("InvalidContentType") || said.contains("corrupt message") => {
            "it does not speak TLS: is the address one of `http://`?".to_owned()
        }
        ureq::Error::Io(error) => {
            let said = match error.kind() {
                std::io::ErrorKind::ConnectionRefused => "nothing listens there",
                std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::UnexpectedEof => "it closed the connection without an answer",
                _ => return error.to_string(),
            };
            format!("{said} ({error})")
        }
        _ => said,
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

fn remark(answer: ureq::http::Response<ureq::Body>) -> Option<String> {
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
fn printable(text: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().take(REMARK).map(escape).collect()
}

/// Gives what is at `url`, on this machine: no proxy is asked. Waits for it, so it is not for the loop.
///
/// # Errors
/// When there is no such answer, or none of status 200 to 299, within `timeout`; in words.
pub fn read(url: &str, timeout: Duration) -> Result<String, String> {
    let config = ureq::Agent::config_builder().timeout_global(Some(timeout)).proxy(None);
    let mut answer = config.build().new_agent().get(url).call().map_err(|error| error.to_string())?;
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
        runtime.block_on(request(method, url, timeout))
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
            let answer = runtime.block_on(send(Method::Post, &url, Duration::from_secs(20)));
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
