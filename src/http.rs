//! One HTTP request. IO.

use std::time::Duration;

/// What to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// RFC 9110, section 9.3.1.
    Get,
    /// RFC 9110, section 9.3.3, with no content.
    Post,
}

/// Sends a request and gives the status code of the answer.
///
/// # Errors
/// When there is no answer within `timeout`, in words without the credentials that the URL may hold.
pub async fn request(method: Method, url: &str, timeout: Duration) -> Result<u16, String> {
    let config = ureq::Agent::config_builder().timeout_global(Some(timeout)).http_status_as_error(false);
    let agent = config.build().new_agent();
    let url = url.to_owned();
    let call = tokio::task::spawn_blocking(move || match method {
        Method::Get => agent.get(&url).call(),
        Method::Post => agent.post(&url).send_empty(),
    });
    match call.await {
        Ok(Ok(answer)) => Ok(answer.status().as_u16()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
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
    use std::io::{Read as _, Write as _};
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
        let error =
            ask(Method::Get, "http://me:secret@127.0.0.1:1/", Duration::from_secs(5)).expect_err("nobody is there");
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
    fn who_does_not_answer_is_not_waited_for_for_ever() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
        let error = ask(Method::Get, &url, Duration::from_millis(50)).expect_err("nobody answers");
        assert!(error.contains("timeout"), "{error}");
    }
}
