//! Alerts and Kubernetes Events: which incidents are open, which sinks were notified, and how each sink is notified.

pub mod kubernetes;
pub mod policy;
pub mod sinks;
pub mod wording;
pub mod worker;
