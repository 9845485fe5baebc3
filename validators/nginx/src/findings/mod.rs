//! Problems on their way to becoming findings, and the codes of all findings.

pub mod codes;
pub(crate) mod problem;
