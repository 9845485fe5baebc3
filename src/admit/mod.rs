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

pub use server::{AdmitSettings, CertificateSource, WebhookLimits, run};
