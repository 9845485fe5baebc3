//! The admission webhook: validates ConfigMaps and Secrets before an API server stores them.
//!
//! A request is data from start to end. [`review`] reads it, [`policy`] chooses validators, [`decision`] validates and compares with the
//! object that is stored, [`wording`] makes the answer. None of them does IO, so a request can cause no process and reach no file. The
//! [`server`] has the listener, and gives the work to threads with a time limit; [`together`] is the only part that asks the API server, for
//! objects that the configuration names.

pub mod authority;
pub mod certificate;
pub mod decision;
pub mod metrics;
pub mod mutation;
pub mod policy;
pub mod review;
pub mod server;
pub mod together;
pub mod wording;

#[cfg(test)]
mod tests;

use crate::config::AdmissionRules;
use decision::{AdmissionDecision, DenialRules};
use review::{Answer, BadReview, Review};

/// Returns the response to a review without rules of a cluster, as the server would; it does no IO.
///
/// # Errors
/// When the bytes are no review.
pub fn respond(body: &[u8], denials: DenialRules) -> Result<(AdmissionDecision, String), BadReview> {
    let (review, rules) = (Review::parse(body)?, AdmissionRules::default());
    let object = review.object.as_ref().filter(|_| decision::needs_look(&review, denials));
    let selected = object.and_then(|object| Some((object, policy::select(&rules, &review)?)));
    let Some((object, selection)) = selected else {
        return Ok((AdmissionDecision::without_look(), Answer::allowed().response(&review.uid)));
    };
    let decision = decision::decide(&review, &selection, &[], denials);
    let response = wording::answer(&decision, object).response(&review.uid);
    Ok((decision, response))
}

/// Returns the response to a review, for the fuzzer.
#[must_use]
pub fn response(body: &[u8]) -> Option<String> {
    respond(body, DenialRules::default()).ok().map(|(_, response)| response)
}

pub use server::{AdmitSettings, CertificateSource, WebhookLimits, run};
