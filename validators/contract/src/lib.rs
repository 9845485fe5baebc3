//! The contract of a validator: [`Files`] in, [`Finding`]s out.
//!
//! A validator judges text. It has no file system, no process, no network and no clock: what it needs to know
//! about the
//! world it asks through [`Files`], and it answers with a list of findings. The list *is* the verdict
//! ([`Verdict::of`]), so a validator cannot fail: what it could not look at is a finding of its own cause.

#![warn(missing_docs)]

mod files;
mod finding;
mod findings;
mod lines;
mod text;

pub use files::{Absent, Files, MemoryFiles};
pub use finding::{Cause, Code, Finding, Place, Severity, Span, Verdict};
pub use findings::Findings;
pub use lines::LineIndex;
pub use text::visible;
