//! Reasons why a request had no result.

use kube::core::Status;

/// The reason in the client's `Status` of an answer that has none, as the page of a proxy.
const NOT_OF_THE_API: &str = "Failed to parse error data";
/// The number of characters that are shown of such an answer.
const REMARK: usize = 200;

/// The reason why a request had no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// There is no such object.
    #[error("there is no such object: {0}")]
    NotFound(String),
    /// The object has changed since it was read, or exists already.
    #[error("it has changed since it was read: {0}")]
    Conflict(String),
    /// The account lacks a right.
    #[error("the service account may not {verb} {resource}: {message}")]
    Forbidden {
        /// The verb, as `get`.
        verb: &'static str,
        /// The resource in the plural, as `leases`.
        resource: String,
        /// The answer.
        message: String,
    },
    /// The credentials are not valid any more, or never were.
    #[error("the API server does not accept the credentials: {0}")]
    Unauthorized(String),
    /// The version from which a watch should begin is not kept any more.
    #[error("that version is not kept any more: {0}")]
    Gone(String),
    /// The API server is busy.
    #[error("the API server is busy{}", asked(*.pause))]
    TooManyRequests {
        /// The pause that it asks for, in seconds; 0 if it names none.
        pause: u32,
    },
    /// The API server will never take it.
    #[error("the API server refuses it: {0}")]
    Invalid(String),
    /// There was no answer, or none of use.
    #[error("the API server cannot be reached: {0}")]
    Unreachable(String),
}

impl RequestError {
    /// The reason in an error of the client.
    pub(super) fn of(verb: &'static str, resource: &str, error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(verb, resource, status),
            other => Self::Unreachable(format!("{verb} {resource}: {}", chain(other))),
        }
    }

    /// Returns the same reason with another message.
    #[must_use]
    pub fn with_message(self, change: impl FnOnce(&str) -> String) -> Self {
        match self {
            Self::NotFound(message) => Self::NotFound(change(&message)),
            Self::Conflict(message) => Self::Conflict(change(&message)),
            Self::Forbidden { verb, resource, message } => {
                Self::Forbidden { verb, resource, message: change(&message) }
            }
            Self::Unauthorized(message) => Self::Unauthorized(change(&message)),
            Self::Gone(message) => Self::Gone(change(&message)),
            Self::TooManyRequests { pause } => Self::TooManyRequests { pause },
            Self::Invalid(message) => Self::Invalid(change(&message)),
            Self::Unreachable(message) => Self::Unreachable(change(&message)),
        }
    }

    /// The reason in an answer.
    pub(super) fn of_status(verb: &'static str, resource: &str, status: &Status) -> Self {
        let message = if status.message.is_empty() { &status.reason } else { &status.message };
        let message: String = if status.reason == NOT_OF_THE_API {
            message.lines().next().unwrap_or_default().chars().take(REMARK).collect()
        } else {
            message.clone()
        };
        match status.code {
            400 | 405 | 413 | 415 | 422 => Self::Invalid(message),
            401 => Self::Unauthorized(message),
            403 => Self::Forbidden { verb, resource: resource.to_owned(), message },
            404 => Self::NotFound(message),
            409 => Self::Conflict(message),
            410 => Self::Gone(message),
            429 => Self::TooManyRequests {
                pause: status.details.as_ref().map_or(0, |details| details.retry_after_seconds),
            },
            code => Self::Unreachable(format!("{verb} {resource}: it answered {code}: {message}")),
        }
    }
}

fn asked(pause: u32) -> String {
    if pause == 0 { String::new() } else { format!("; it asks for a pause of {pause} s") }
}

/// An error with its causes: that of the client alone says only that it failed.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_its_meaning() {
        let of = |code: u16| {
            let status = Status { code, message: "no".to_owned(), ..Status::default() };
            RequestError::of_status("get", "leases", &status)
        };
        let no = || "no".to_owned();
        for (code, expected) in [
            (401, RequestError::Unauthorized(no())),
            (403, RequestError::Forbidden { verb: "get", resource: "leases".to_owned(), message: no() }),
            (404, RequestError::NotFound(no())),
            (409, RequestError::Conflict(no())),
            (410, RequestError::Gone(no())),
            (413, RequestError::Invalid(no())),
            (422, RequestError::Invalid(no())),
            (429, RequestError::TooManyRequests { pause: 0 }),
            (500, RequestError::Unreachable("get leases: it answered 500: no".to_owned())),
        ] {
            assert_eq!(of(code), expected, "{code}");
        }
    }

    #[test]
    fn the_page_of_a_proxy_is_cut_short() {
        let page = format!("{}\nsecond line", "x".repeat(300));
        let status = Status::failure(&page, NOT_OF_THE_API).with_code(503);
        let error = RequestError::of_status("get", "leases", &status).to_string();
        assert!(error.ends_with(&format!("it answered 503: {}", "x".repeat(REMARK))), "{error}");
    }

    #[test]
    fn another_message_leaves_the_reason() {
        let status = Status { code: 403, message: "no".to_owned(), ..Status::default() };
        let error =
            RequestError::of_status("create", "events", &status).with_message(|message| message.replace("no", "never"));
        assert_eq!(error.to_string(), "the service account may not create events: never");
    }
}
