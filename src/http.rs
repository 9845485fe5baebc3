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
